"""Maxima of supporting planes: attained errors in rationals, and the rate of the theorem."""

from fractions import Fraction

import numpy as np
import pytest

from widththeory.constructions.convex_lipschitz import ConvexNorm, ConvexParabola, supporting_planes


@pytest.mark.parametrize(("dim", "count"), [(1, 4), (2, 3), (3, 2)])
def test_parabola_error_is_attained(dim, count):
    example = ConvexParabola(dim, count)
    bound = Fraction(dim, 16 * count**2)
    corner, centre = [Fraction(0)] * dim, [Fraction(1, 2 * count)] * dim
    values = example.network().exact([corner, centre])[:, 0]
    assert values[0] - 0 == -bound
    assert values[1] - Fraction(dim, 8 * count**2) == bound
    points = [[Fraction(int(e), 17) for e in row] for row in np.random.default_rng(0).integers(0, 18, (50, dim))]
    values = example.network().exact(points)[:, 0]
    assert all(abs(v - sum(x * x for x in p) / 2) <= bound for v, p in zip(values, points, strict=True))
    assert float(bound) == example.error().bound


@pytest.mark.parametrize(("dim", "count"), [(1, 3), (2, 6), (3, 3)])
def test_cone_error_holds(dim, count):
    example = ConvexNorm(dim, count)
    points = np.concatenate([example.sample(3000, np.random.default_rng(0)), np.full((1, dim), 0.5)])
    gap = np.abs(example.network()(points)[:, 0] - example.target(points)).max()
    # a few hundred roundings of numbers below 4; a plane that touches the cone at the tip was raised by the bound
    assert gap == pytest.approx(example.error().bound, abs=1e-12)
    assert example.error().bound == dim / (4 * count**2)  # half of what `supporting_planes` proves
    assert example.network().size == example.size()


def test_cone_rate_is_that_of_the_theorem():
    # along rays |x - c| = |s| with <s, x - c> maximised over grid slopes: doubling the grid divides the error by 4
    points = ConvexNorm(2, 1).sample(4_000, np.random.default_rng(0))
    gaps = []
    for count in (4, 8, 16, 32):
        slopes, offsets = supporting_planes(
            lambda p: np.linalg.norm(p, axis=1),
            lambda p, step: p * np.maximum(0, 1 - step / np.maximum(np.linalg.norm(p, axis=1, keepdims=True), step)),
            lipschitz=1.0,
            input_dim=2,
            planes_per_axis=count,
        )
        below = np.linalg.norm(points, axis=1) - (points @ slopes.T + offsets).max(axis=1)
        assert below.min() >= -1e-12  # supporting planes are nowhere above a convex function; roundoff of O(1) sums
        assert below.max() <= 2 / (2 * count**2)
        gaps.append(below.max())
    rate = np.log2(gaps[0] / gaps[-1]) / 3
    # the exponent 2 of the theorem; which grid slope is nearest a ray varies, hence the slack
    assert 1.6 < rate < 2.6


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="lipschitz must be positive"):
        supporting_planes(lambda p: p[:, 0], lambda p, s: p, lipschitz=0.0, input_dim=1, planes_per_axis=2)
    with pytest.raises(ValueError, match="input_dim"):
        supporting_planes(lambda p: p[:, 0], lambda p, s: p, lipschitz=1.0, input_dim=0, planes_per_axis=2)
    with pytest.raises(ValueError, match="planes_per_axis"):
        ConvexNorm(2, 0)
    with pytest.raises(ValueError, match="input_dim"):
        ConvexParabola(0, 2)
