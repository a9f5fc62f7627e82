"""Interpolants, wide and narrow, against chords in exact rationals."""

from fractions import Fraction

import numpy as np
import pytest

from widththeory.constructions.interpolation import SineInterpolation, narrow_interpolation, shallow_interpolation
from widththeory.network import Network


def chord(knots, values, point):
    """The interpolant by its definition."""
    i = max(j for j in range(len(knots) - 1) if knots[j] <= point)
    share = (point - knots[i]) / (knots[i + 1] - knots[i])
    return (1 - share) * values[i] + share * values[i + 1]


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    knots = [Fraction(int(n), 31) for n in np.cumsum(rng.integers(1, 9, 12)) - 20]
    return knots, [Fraction(int(n), 5) for n in rng.integers(-30, 30, 12)]


@pytest.mark.parametrize("width", [None, 2, 3, 4, 7, 11, 12, 20])
def test_networks_equal_the_chords(data, width):
    knots, values = data
    network = shallow_interpolation(knots, values) if width is None else narrow_interpolation(knots, values, width)
    points = [knots[0] + (knots[-1] - knots[0]) * Fraction(i, 97) for i in range(98)] + knots
    exact = network.exact([[p] for p in points])[:, 0]
    assert list(exact) == [chord(knots, values, p) for p in points]
    assert network.size.widths == ((11,) if width is None else (width,) * -(-10 // (width - 1)))


def test_few_pieces_take_few_layers():
    for num_pieces, depths in ((1, (1, 1, 1)), (2, (1, 1, 1)), (3, (2, 1, 1)), (4, (3, 2, 1)), (5, (4, 2, 2))):
        knots, values = range(num_pieces + 1), [(-2) ** k for k in range(num_pieces + 1)]
        for width, depth in zip((2, 3, 4), depths, strict=True):
            network = narrow_interpolation(knots, values, width)
            assert network.size.widths == (width,) * depth
            assert network.exact([[k] for k in knots])[:, 0].tolist() == values


def test_sums_need_their_offset():
    falling = narrow_interpolation([0, 1, 2, 3], [0, -1, -1, -1])
    points = [[Fraction(i, 4)] for i in range(13)]
    assert falling.exact(points)[:, 0].tolist() == [-min(point, 1) for (point,) in points]
    without = Network([(weight, np.minimum(bias, 0)) for weight, bias in falling.layers])
    assert without.exact(points)[-1] != -1


def test_square_error_is_exactly_the_bound():
    # f'' is constant for x^2, so h^2 / 8 max|f''| = h^2 / 4 is attained midway between the knots
    knots = [Fraction(i, 6) for i in range(7)]
    network = narrow_interpolation(knots, [k**2 for k in knots])
    middles = [Fraction(2 * i + 1, 12) for i in range(6)]
    gaps = [v - m**2 for v, m in zip(network.exact([[m] for m in middles])[:, 0], middles, strict=True)]
    assert gaps == [Fraction(1, 36) / 8 * 2] * 6


@pytest.mark.parametrize("width", [None, 5])
def test_sine_error_holds_and_is_sharp(width):
    points = (np.arange(20_000) / 20_000)[:, None]
    for num_pieces in (40, 80):
        example = SineInterpolation(num_pieces, frequency=1.5, width=width)
        gap = np.abs(example.network()(points)[:, 0] - example.target(points)).max()
        # a piece turns by 2 pi 1.5 h <= 0.24, and max|f''| is reached to a relative 0.24^2 / 2 < 4 %
        assert 0.96 * example.error().bound < gap <= example.error().bound
        assert example.network().size == example.size()


def test_bound_falls_by_four():
    assert SineInterpolation(10).error().bound == pytest.approx(4 * SineInterpolation(20).error().bound, rel=1e-15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SineInterpolation(0), "num_pieces must be"),
        (lambda: SineInterpolation(3, frequency=0.0), "frequency must be"),
        (lambda: SineInterpolation(3, width=1), "width must be"),
        (lambda: shallow_interpolation([0, 0], [1, 2]), "knots must be .* increasing"),
        (lambda: shallow_interpolation([0, 1], [1]), "got 2 knots and 1 values"),
        (lambda: narrow_interpolation([0, 1], [1, 2], width=1), "width must be"),
    ],
)
def test_bad_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()
