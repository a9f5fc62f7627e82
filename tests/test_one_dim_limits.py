"""Pieces and distances in one dimension where floats end: knots that are one float, far ends, squares out of range."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from widththeory.exact.one_dim import Piecewise, PiecewiseLinear, Polynomial, piecewise
from widththeory.exact.one_dim_float import _between, _crossings, _slopes
from widththeory.network import Network

RELU = ([[1.0]], [1.0]), ([[1.0]], [0.0])  # relu(x + 1)


def zero(low, high):
    return PiecewiseLinear(np.array([low, high]), np.zeros(2))


def jump(bits):
    """A ramp from 0 to 1 that ends at 1/2 and is 2^-bits long."""
    steep = Fraction(2**bits)
    start = Fraction(1, 2) - 1 / steep
    return Network([([[Fraction(1)]] * 2, [-start, -Fraction(1, 2)]), ([[steep, -steep]], [Fraction(0)])])


def test_knots_that_round_to_one_float_are_one_knot_in_float_arithmetic():
    network = Network(
        [([[1.5], [-1.0], [1.5], [1.0]], [0.25, -0.25, 0.25, -0.75]), ([[-1.0, -1.0, -0.5, -0.5]], [-0.5])]
    )
    found = piecewise(network, -1.0, 1.0, "float")
    assert not found.certified
    assert np.all(np.diff(found.knots) > 0)
    assert found.slopes.tolist() == pytest.approx([1, 0, -2.25, -2.75], abs=1e-14)


def test_knots_are_found_where_one_end_is_far_away():
    for end in (1e3, 2.0**200):
        found = piecewise(Network(RELU), -1e20 * end, end)
        assert found.certified
        assert found.breakpoints.tolist() == pytest.approx([-1], abs=1e-12 * end)
        area = (end + 1) ** 2 / 2
        assert zero(-1e20 * end, end).distance(Network(RELU)).l1 == pytest.approx(area, rel=1e-12)
    # three more kinks left of -1, in their order although each is at the same fraction of the interval in floats
    several = Network([([[1.0]] * 4, [4.0, 1.0, 3.0, 2.0]), ([[1.0, 1.0, 1.0, 1.0]], [0.0])])
    assert piecewise(several, -1e20, 1e3, "float").breakpoints.tolist() == pytest.approx([-4, -3, -2, -1], rel=1e-12)


def test_many_bends_that_are_each_no_more_than_rounding_are_not_dropped_together():
    # kinks at -1/2 and 0; on the scale of the right end each is on the chord of its neighbours
    hidden = ([[-1.0], [1.0], [0.0]], [0.75, -0.25, -0.25])
    network = Network([([[0.5]], [0.25]), hidden, ([[0.0, -0.5, 0.0]], [0.75])])
    low, high = -(2.0**300), 2.0**200
    exact = piecewise(network, low, high, "rational")
    assert zero(low, high).distance(network).l1 == pytest.approx(zero(low, high).distance(exact).l1, rel=1e-12)
    assert exact.distance(network).l1 <= 1e-12 * zero(low, high).distance(exact).l1


@pytest.mark.parametrize("bits", [20, 80, 200])
def test_jumps_keep_their_place(bits):
    """A ramp of at most 2^-20, whose ends are one float from 80 bits on."""
    ramp, step = piecewise(jump(bits), 0, 1), Piecewise((0.5,), (Polynomial((0.0,)), Polynomial((1.0,))))
    assert ramp.num_pieces == 3
    np.testing.assert_allclose(ramp.distance(zero(0.0, 1.0)), (0.5, 0.5**0.5, 1), rtol=2.0**-20)
    np.testing.assert_allclose(ramp.distance(Polynomial((0.0,))), (0.5, 0.5**0.5, 1), rtol=2.0**-20)
    np.testing.assert_allclose(zero(0.0, 1.0).distance(ramp), (0.5, 0.5**0.5, 1), rtol=2.0**-20)
    assert ramp.distance(step).l1 <= 2.0**-bits
    assert ramp.distance(piecewise(jump(bits + 1), 0, 1)).l1 <= 2.0**-bits


@pytest.mark.parametrize("bits", [20, 56, 100])
def test_jumps_keep_their_place_in_float_arithmetic(bits):
    """1 - relu(1 - 2^bits relu(x - 1/2)), whose kinks are one float from 56 bits on, not certified then."""
    network = Network([([[1.0]], [-0.5]), ([[-(2.0**bits)]], [1.0]), ([[-1.0]], [1.0])])
    assert piecewise(network, 0, 1, "float").certified == (bits == 20)
    for found in (
        zero(0.0, 1.0).distance(network),
        piecewise(network, 0, 1, "float").distance(Polynomial((0.0,))),
    ):
        np.testing.assert_allclose(found, (0.5, 0.5**0.5, 1), rtol=2.0**-20)
    np.testing.assert_allclose(piecewise(network, 0, 1).distance(network), 0, atol=1e-15)


def test_sup_distance_at_common_jumps_is_the_least_that_agrees_with_the_floats():
    step = PiecewiseLinear(np.array([0.0, 0.5, 0.5, 1]), np.array([0, 0, 1, 1.0]))
    peak = PiecewiseLinear(np.array([0.0, 0.5, 0.5, 0.5, 1]), np.array([0, 0, 5, 1, 1.0]))
    assert step.distance(step) == (0, 0, 0)
    for one, other in ((step, peak), (peak, step)):
        assert one.distance(other) == (0, 0, 4)


@pytest.mark.parametrize("size", [1e-200, 1e-320, 1.0, 1e200, 1e307])
def test_distances_whose_squares_are_no_floats(size):
    line = PiecewiseLinear(np.array([-1.0, 1.0]), size * np.array([-1.0, 1.0]))
    # the least float is 5e-324
    np.testing.assert_allclose(
        line.distance(zero(-1.0, 1.0)), (size, size * (2 / 3) ** 0.5, size), rtol=1e-15, atol=1e-323
    )


@pytest.mark.parametrize("seed", range(20))
def test_error_bounds_hold_for_all_numbers_that_errors_allow(seed):
    """A unit that crosses zero, another that does not, and the ends of the interval, all known to some hundredths."""
    rng = np.random.default_rng(seed)
    knots, values = np.sort(rng.normal(size=2)), rng.choice([-1, 1]) * rng.uniform(0.1, 1, (2, 2))  # the other does not
    values[0] = rng.choice([-1, 1]) * np.array([-1, 1]) * rng.uniform(0.1, 1, 2)
    errors, knot_errors = 0.05 * rng.random((2, 2)), 0.05 * np.diff(knots) * rng.random(2)
    columns, rows, *places = _crossings(knots, values, errors)
    assert rows.tolist() == [0]
    other, other_error = (part[1, 0] for part in _between(values, errors, columns, *places))
    place, place_error = (part[0, 0] for part in _between(knots[None], knot_errors[None], columns, *places))
    slope, slope_error = (part[0] for part in _slopes(knots, knot_errors, values[rows], errors[rows], columns))
    for signs in itertools.product((-1, 1), repeat=6):
        (left, right), (a, b) = values + np.reshape(signs[:4], (2, 2)) * errors
        low, high = knots + signs[4:] * knot_errors
        fraction = abs(left) / (abs(left) + abs(right))
        assert abs(place - ((1 - fraction) * low + fraction * high)) <= place_error
        assert abs(other - ((1 - fraction) * a + fraction * b)) <= other_error
        assert abs(slope - abs(right - left) / (high - low)) <= slope_error
