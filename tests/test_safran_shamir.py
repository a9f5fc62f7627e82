"""The ball indicator: its network in rationals, its error against an integral, and the law."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import scipy.integrate

from widththeory.constructions.ball_under_law import BallUnderLaw
from widththeory.constructions.safran_shamir import BallIndicator, RadialControl


def ramp_of_interpolant(example, point):
    """The network by its definition: chords of x^2, then a clipped ramp."""
    step = Fraction(4, example.num_pieces)
    total = Fraction(0)
    for z in point:
        left = -2 + int((z + 2) / step) * step
        total += (2 * left + step) * z - left * (left + step) - step**2 / 8
    e = 2 * Fraction(example.input_dim) / example.num_pieces**2
    return min(Fraction(1), max(Fraction(0), (1 + 2 * e - total) / (4 * e)))


@pytest.mark.parametrize(("dim", "pieces"), [(1, 3), (2, 5), (4, 8)])
def test_network_is_the_ramp_exactly(dim, pieces):
    example = BallIndicator(dim, pieces)
    rng = np.random.default_rng(0)
    points = [[Fraction(int(n), 29) for n in row] for row in rng.integers(-40, 41, (40, dim)) // dim]
    values = example.network().exact(points)[:, 0]
    assert list(values) == [ramp_of_interpolant(example, point) for point in points]
    assert example.network().size == example.size()


@pytest.mark.parametrize(("dim", "pieces"), [(1, 4), (3, 16), (20, 64)])
def test_error_is_the_integral_and_bounds_the_sample(dim, pieces):
    example = BallIndicator(dim, pieces)
    e = float(example.slack)
    worst, _ = scipy.integrate.quad(
        lambda r: max(0.0, 3 * e - abs(r * r - 1)) ** 2 / (4 * e) ** 2 / 2,
        0,
        2,
        points=[np.sqrt(1 - 3 * e), 1, np.sqrt(1 + 3 * e)],
    )
    assert example.error().bound ** 2 == pytest.approx(worst, rel=1e-9)  # of the quadrature
    points = example.sample(20_000, np.random.default_rng(1))
    gaps = np.abs(example.network()(points)[:, 0] - example.target(points))
    radii = (points**2).sum(axis=1)
    # point by point; a distance within roundoff of the sphere may fall on either side, hence the 1e-9
    assert np.all(gaps <= np.maximum(0, 3 * e - np.abs(radii - 1)) / (4 * e) + 1e-9)
    assert 0 < np.mean(gaps**2) < example.error().bound ** 2


@pytest.mark.parametrize("example", [BallUnderLaw(2, 2, 8), BallUnderLaw(4, 0, 24), BallUnderLaw(3, 2, 200)])
def test_error_under_a_law_is_the_integral_over_the_ramp(example):
    """With e from its definition: a = n h / 2 and e = d h^2 / 8, and a^2 = r^2 + 3 e fixes h."""
    dim, law, inside = example.input_dim, example.law, (example.threshold / example.law.scale) ** 2
    e = dim / 8 * inside / (example.num_pieces**2 / 4 - 3 * dim / 8)
    kinks = law.scale * np.sqrt(inside + e * np.array([-3, 0, 3]))
    parts = [
        scipy.integrate.quad(
            lambda t: (
                float(law.density(np.array([t]))[0]) * (3 * e - abs((t / law.scale) ** 2 - inside)) ** 2 / (4 * e) ** 2
            ),
            *ends,
        )[0]
        for ends in itertools.pairwise(kinks)
    ]
    assert example.error().bound ** 2 == pytest.approx(sum(parts), rel=1e-9)  # of the quadrature
    assert float(law.cdf(np.array([example.threshold]))[0]) == pytest.approx(0.5, abs=1e-9)  # 1e-10 of the radius
    assert example.variance().value == pytest.approx(0.25, abs=1e-9)


@pytest.mark.parametrize("pieces", [10**3, 10**4, 10**6])
def test_error_of_many_pieces_has_all_its_digits(pieces):
    """9/32 e (1 + O(e^2)): integrals of powers of r would be differences of numbers e^-3 times as large."""
    example = BallIndicator(1, pieces)
    assert example.error().bound ** 2 == pytest.approx(9 / 32 * float(example.slack), rel=1e-11)


def test_square_of_the_error_falls_with_the_square_of_the_pieces():
    coarse, fine = BallIndicator(2, 200).error().bound, BallIndicator(2, 400).error().bound
    # to leading order (9/16) e each side times density 1/4 in r^2; corrections are of order e < 1e-3
    assert coarse**2 / fine**2 == pytest.approx(4, rel=1e-3)
    assert coarse**2 == pytest.approx(2 * 9 / 16 * 1e-4 / 4, rel=1e-3)


@pytest.mark.parametrize("dim", [1, 3, 10])
def test_measured_error_is_half_of_the_bound_and_falls_with_the_pieces(dim):
    rng, gaps = np.random.default_rng(3), []
    for pieces in (16, 32):
        example = BallIndicator(dim, pieces)
        # within 3 e of the sphere only, where the error is; the law has density 1/2 in the norm
        low, high = np.sqrt(1 - 3 * float(example.slack)), np.sqrt(1 + 3 * float(example.slack))
        points = example.sample(20_000, rng)
        points *= (rng.uniform(low, high, 20_000) / np.linalg.norm(points, axis=1))[:, None]
        squares = (example.network()(points)[:, 0] - example.target(points)) ** 2
        gaps.append(np.sqrt(squares.mean() * (high - low) / 2))
        assert example.error().bound / 2 < gaps[-1] <= example.error().bound
    # 20000 points have the mean to 1 %; the ramp is not quite symmetric for 16 pieces
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.1)


def test_law():
    points = RadialControl(7).sample(20_000, np.random.default_rng(2))
    radii = RadialControl(7).target(points)
    # uniform on [0, 2]: mean 1, variance 1/3; five standard errors
    assert abs(radii.mean() - 1) < 5 * np.sqrt(1 / 3 / 20_000)
    assert radii.max() <= 2 + 1e-12
    inside = BallIndicator(7, 8).target(points)
    assert abs(inside.mean() - 0.5) < 5 * 0.5 / np.sqrt(20_000)
    np.testing.assert_array_equal(points, BallIndicator(7, 8).sample(20_000, np.random.default_rng(2)))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="num_pieces must have a square above 6 input_dim = 24, got 4"):
        BallIndicator(4, 4)
    with pytest.raises(ValueError, match="num_pieces must have a square above 6 input_dim = 36, got 6"):
        BallIndicator(6, 6)
    with pytest.raises(ValueError, match="num_pieces must have a square above 3 input_dim = 9, got 3"):
        BallUnderLaw(3, 2, 3)
    with pytest.raises(ValueError, match="input_dim"):
        RadialControl(0)


def test_the_ball_is_closed():
    points = np.array([[1.0, 0.0], [0.0, -1.0], [np.nextafter(1.0, 2.0), 0.0]])
    assert BallIndicator(2, 4).target(points).tolist() == [1.0, 1.0, 0.0]
