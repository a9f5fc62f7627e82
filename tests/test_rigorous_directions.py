"""Balls for narrow first layers and for level sets: closed forms, floating bounds, functions that come close."""

import math
from fractions import Fraction

import flint
import numpy as np
import pytest
from balls import holds, meets
from hypothesis import given, settings
from hypothesis import strategies as st

from widththeory.bounds import (
    growing_box,
    kernel_direction,
    level_set,
    product_direction,
    rigorous,
    rigorous_directions,
    rigorous_level_set,
    rigorous_products,
)
from widththeory.typing import Certified

arb, acb = flint.arb, flint.acb
SQUARE, NORM = (lambda s, _: s), (lambda s, analytic: s.sqrt(analytic))


def wave(x):
    return (arb.pi() * x).cos()


# --- radial -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("input_dim", [2, 3, 8])
def test_square_of_the_norm_in_closed_form(input_dim):
    """t^2 on a chord of half-length h: variance times length 8 h^5 / 45, mean deviation times length h^3 / 2 ..."""
    area = rigorous_directions.sphere_area(input_dim - 1)

    def moment(power):
        """int_0^1 r^(n-2) (1 - r^2)^(power / 2) dr, a beta function."""
        a, b = arb(input_dim - 1) / 2, arb(power) / 2 + 1
        return a.gamma() * b.gamma() / (2 * (a + b).gamma())

    squared = rigorous_directions.radial_floor(SQUARE, input_dim, precision=40) ** 2
    assert meets(squared, area * 8 * moment(5) / 45)
    assert squared.rad() < 1e-9
    # |t^2 - h^2/4| over |t| <= h: 2 [h^3 (1/3 - 1/24) - h^3/8 + h^3/8 - h^3/24] = h^3 / 2
    assert meets(rigorous_directions.radial_floor(SQUARE, input_dim, "l1", precision=40), area * moment(3) / 2)


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_distance_to_the_origin_agrees_with_the_floating_one(norm):
    ball = rigorous_directions.radial_floor(NORM, 3, norm, precision=16)
    number = kernel_direction.radial_floor(lambda t: t, 1.0, 3, norm)
    assert meets(ball, rigorous.to_ball(number))
    # 16 bits, before a root; midpoint cells are far better than their error says
    assert ball.rad() < 0.01
    assert abs(ball.mid() - number.value) < 1e-3


def test_where_the_profile_turns_the_signed_integral_is_a_floor_only():
    def cosine(s, _):
        return (-4 * s).hypgeom([], [acb(0.5)])  # cos(4 sqrt(s)), entire in s

    ball = rigorous_directions.radial_floor(cosine, 3, "l1", precision=20)
    number = kernel_direction.radial_floor(lambda t: np.cos(4 * t), 4.0, 3, "l1")
    assert 0 < ball < number.upper
    squared = rigorous_directions.radial_floor(cosine, 3, precision=20)
    assert meets(squared, rigorous.to_ball(kernel_direction.radial_floor(lambda t: np.cos(4 * t), 4.0, 3)))


def test_constants_leave_nothing_and_scaling_scales():
    assert rigorous_directions.radial_floor(lambda s, _: s * 0 + 2, 3, precision=20) < 1e-2
    one = rigorous_directions.radial_floor(SQUARE, 4, precision=20)
    assert meets(3 * one, rigorous_directions.radial_floor(lambda s, _: 3 * s, 4, precision=20))


@pytest.mark.parametrize("dim", [1, 2, 3, 9])
def test_sphere_areas(dim):
    assert float(rigorous_directions.sphere_area(dim)) == pytest.approx(kernel_direction.sphere_area(dim), rel=1e-13)


def test_growing_boxes_agree():
    for outside in (0.0, 0.25):
        for box in (1.0, 2.0):
            ball = rigorous_directions.growing_box_floor(arb(0.75), 1.0, box, 3, outside=outside)
            number = growing_box.growing_box_floor(Certified(0.75, 0.0), 1.0, box, 3, outside=outside)
            assert ball == number.value


# --- products ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("input_dim", [2, 4])
def test_products_agree_with_the_floating_ones(norm, input_dim):
    """The same steps prove the same up to the directions of rounding; fewer triangles and means prove less."""
    for ball_factor, float_factor, slope in (
        (lambda x: x, lambda x: x, 1.0),
        (wave, lambda x: np.cos(np.pi * x), 3.1416),
    ):
        ball = rigorous_products.product_floor([ball_factor] * input_dim, [slope] * input_dim, norm, num_cells=60)
        number = product_direction.product_floor([float_factor] * input_dim, [slope] * input_dim, norm, num_cells=60)
        assert ball.rad() < 1e-9
        assert float(ball.lower()) <= number.lower + 1e-9  # the float allows for rounding, below
        # Of a floor before steps are subtracted: they cost more than half of it on so few cells.
        assert float(ball) >= number.lower - 0.03 * number.value


@pytest.mark.parametrize(("name", "factor", "slope"), [("x y", lambda x: x, 1.0), ("waves", wave, 3.1416)])
def test_products_lie_below_the_least_distance_in_the_plane(name, factor, slope):
    def function(points):
        return np.prod(points if name == "x y" else np.cos(np.pi * points), axis=1)

    lipschitz = math.sqrt(2) * slope
    for norm in ("l2", "l1"):
        ball = rigorous_products.product_floor([factor] * 2, [slope] * 2, norm, num_cells=200)
        least = kernel_direction.narrow_floor(
            function, lipschitz, norm, num_cells=100, num_angles=90, max_evaluations=90
        )
        assert 0.05 < ball < least.upper


def test_a_factor_that_vanishes_at_the_ends_and_different_factors():
    def bump(x):
        return (1 - 4 * x**2).max(arb(0))

    ball = rigorous_products.product_floor([bump, bump], [4.0, 4.0], num_cells=80)
    number = product_direction.product_floor([lambda x: np.maximum(0, 1 - 4 * x**2)] * 2, [4.0, 4.0], num_cells=80)
    assert 0 < float(ball) <= number.lower + 1e-9
    mixed = rigorous_products.product_floor([lambda x: x**2, wave], [2.0, 3.1416], num_cells=80)
    # along the first axis x^2 has variance 4/45, as in test_product_direction: the root of 2 * 4/45 bounds the floor
    assert 0 < mixed < math.sqrt(8 / 45)


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("reach", [Fraction(3, 10), Fraction(3, 2)])
def test_the_same_steps_and_weight_prove_the_same(monkeypatch, norm, reach):
    """Few cells, so that to take an interval of lags or of means at its wrong end shows; the float allows for 1e-11."""
    monkeypatch.setattr(rigorous_products, "_REACHES", (reach,))
    monkeypatch.setattr(product_direction, "_REACHES", (float(reach),))
    monkeypatch.setattr(product_direction, "_NUM_MEANS", 20)
    balls, floats = [wave, lambda x: x * x, lambda x: x], [lambda x: np.cos(np.pi * x), np.square, lambda x: x]
    for which in ((0, 0), (1, 2), (2, 1, 1), (0, 1, 2)):
        # with these bounds on the slopes next to nothing is taken off for the steps
        ball = rigorous_products.product_floor(
            [balls[i] for i in which], [0] * len(which), norm, num_cells=12, num_means=20
        )
        number = product_direction.product_floor([floats[i] for i in which], [0.0] * len(which), norm, num_cells=12)
        assert float(ball) == pytest.approx(number.value, rel=1e-8, abs=1e-8)


def test_rationals_of_few_bits_are_below():
    for ball in (arb(1) / 3, arb(-1) / 3, arb(0), arb(0.1, 1e-20), arb(2) ** -2000):
        down = rigorous_products._down(ball)
        assert rigorous_products.rational(down) <= ball.lower()
        assert down > Fraction(float(ball)) - abs(Fraction(float(ball))) / 10**15 - Fraction(1, 10**19)


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_constant_factor_leaves_nothing(norm):
    one, identity = (lambda x: arb(1), 0.0), (lambda x: x, 1.0)
    for factors in ((one, identity), (identity, one)):
        ball = rigorous_products.product_floor(*zip(*factors, strict=True), norm, num_cells=20, num_means=10)
        assert holds(ball, arb(0))


# --- level sets -------------------------------------------------------------------------------------------------------


@given(st.floats(0.01, 20), st.integers(1, 4))
def test_cosines_agree(frequency, input_dim):
    ball = rigorous_level_set.cosines_floor(frequency, input_dim)
    number = level_set.cosines_floor(frequency, input_dim)
    # pi / 2 in floating point is off by an ulp, in a cosine of slope up to 1
    assert abs(ball - number.value) <= number.error + 1e-15


numbers = st.floats(-100, 100)


@settings(max_examples=40)
@given(numbers, numbers, numbers)
def test_extremum_floor_agrees(inside, one, other):
    low, high = min(one, other), max(one, other)
    ball = rigorous_level_set.extremum_floor(arb(inside), arb(low), arb(high))
    number = level_set.extremum_floor(Certified(inside, 0.0), Certified(low, 0.0), Certified(high, 0.0))
    assert meets(ball, rigorous.to_ball(number))


def test_radial_oscillation_by_hand_and_by_the_floating_one():
    ball = rigorous_level_set.radial_oscillation(lambda t: t**2, 0, 1.5)
    assert meets(ball, arb(1.125))  # (1.5^2 - 0) / 2
    assert ball.rad() < 1e-3
    ball = rigorous_level_set.radial_oscillation(lambda t: (3 * t).cos(), 0, 2.5)
    assert meets(ball, arb(1))
    assert ball.rad() < 1e-8  # the extremes are flat
    number = level_set.radial_oscillation(lambda t: np.sin(5 * t) * t, 6.0, 0.25, 1.0)
    ball = rigorous_level_set.radial_oscillation(lambda t: (5 * t).sin() * t, 0.25, 1.0)
    assert meets(ball, rigorous.to_ball(number))


def test_box_floor_by_hand_and_by_the_floating_one():
    """exp(-x^2 - 2 y^2) on [-1, 1]^2: 1 inside, at most 1/e on the boundary."""
    ball = rigorous_level_set.box_floor(lambda x: (-(x[0] ** 2) - 2 * x[1] ** 2).exp(), (-1, -1), (1, 1), (0, 0))
    assert meets(ball, (1 - arb(-1).exp()) / 2)
    assert ball.rad() < 1e-6
    number = level_set.box_floor(
        lambda p: np.exp(-(p[:, 0] ** 2) - 2 * p[:, 1] ** 2), 2.0, (-1.0, -1.0), (1.0, 1.0), (0.0, 0.0)
    )
    assert meets(ball, rigorous.to_ball(number))
    more = rigorous_level_set.box_floor(lambda x: x[0] * x[1], (-1, -1), (1, 1), (0, 0), num_cuts=50)
    assert meets(more, arb(0))  # a saddle: no extremum inside


@settings(max_examples=20)
@given(st.lists(st.integers(-9, 9), min_size=3, max_size=5), st.integers(1, 60))
def test_the_largest_value_is_enclosed_at_every_budget(coefficients, num_cuts):
    """Polynomials on [-1, 2]; the true maximum is at an end or where the derivative vanishes."""
    polynomial = np.polynomial.Polynomial(coefficients)
    critical = [root.real for root in polynomial.deriv().roots() if abs(root.imag) < 1e-9 and -1 < root.real < 2]
    top = max(polynomial(x) for x in (-1.0, 2.0, *critical))

    def function(x):
        total = arb(0)
        for coefficient in reversed(coefficients):
            total = total * x[0] + coefficient
        return total

    ball = rigorous_level_set.largest(function, (-1,), (2,), num_cuts)
    assert ball.lower() - 1e-6 <= top <= ball.upper() + 1e-6  # roots of the derivative in floating point


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rigorous_directions.radial_floor(SQUARE, 1), "input_dim must be"),
        (lambda: rigorous_directions.radial_floor(SQUARE, 2, "sup"), "norm must be"),
        (lambda: rigorous_directions.growing_box_floor(arb(-1), 1.0, 2.0, 2), "l1_norm"),
        (lambda: rigorous_directions.growing_box_floor(arb(1), 0.0, 2.0, 2), "radius must be"),
        (lambda: rigorous_products.product_floor([wave], [1.0]), "factors must be at least two"),
        (lambda: rigorous_products.product_floor([lambda x: x.exp()] * 2, [3.0, 3.0]), "even or odd"),
        (lambda: rigorous_products.product_floor([wave] * 2, [3.0, 3.0], num_cells=9), "num_cells must be even"),
        (lambda: rigorous_products.product_floor([wave] * 2, [-1.0, 3.0]), "lipschitz must"),
        (lambda: rigorous_level_set.extremum_floor(arb(0), arb(2), arb(1)), "boundary_min must be"),
        (lambda: rigorous_level_set.cosines_floor(0.0, 2), "frequency must be"),
        (lambda: rigorous_level_set.radial_oscillation(lambda t: t, 2, 1), "low and high must be"),
        (lambda: rigorous_level_set.box_floor(lambda x: x[0], (0,), (1,), (1,)), "low < inside < high"),
        (lambda: rigorous_level_set.largest(lambda x: 1 / x[0], (0,), (0,), 3), "function must be finite"),
        (lambda: rigorous_level_set.largest(lambda x: 1 / x[0], (-1,), (2,), 3), "on each part that num_cuts=3 leaves"),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
