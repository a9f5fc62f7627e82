"""Balls of distances along chords of the square: closed forms, integrals by mpmath, and the floating ones."""

import math
from fractions import Fraction

import flint
import mpmath
import numpy as np
import pytest
from balls import holds, meets
from hypothesis import given, settings
from hypothesis import strategies as st

from widththeory.bounds import kernel_direction, rigorous, rigorous_chords
from widththeory.bounds.rigorous_chords import chord_distance, narrow_floor, turned

arb = flint.arb
# name: function of balls, of points, and a Lipschitz constant on [-1, 1]^2 rounded up
CASES = {
    "square": (lambda p: p[0] ** 2 + p[1] ** 2, lambda p: p[:, 0] ** 2 + p[:, 1] ** 2, 2.83),
    "tilted": (lambda p: p[0] * p[1] + p[0], lambda p: p[:, 0] * p[:, 1] + p[:, 0], 2.24),
    "norm": (lambda p: (p[0] ** 2 + p[1] ** 2).sqrt(), lambda p: np.hypot(p[:, 0], p[:, 1]), 1.0),
    "maximum": (lambda p: p[0].max(p[1]), lambda p: np.max(p, axis=1), 1.0),
}
PRODUCT = (lambda p: p[0] * p[1], lambda p: p[:, 0] * p[:, 1], 1.4143)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("angle", [0.0, 0.3, math.pi / 4, math.pi / 2, 2.0, 3.1, -0.4, -2.5])
def test_chords_agree_with_the_floating_ones(name, norm, angle):
    """The ends of chords are found in two ways; with the same cells middles and radii agree up to rounding."""
    of_balls, of_points, lipschitz = CASES[name]
    ball = chord_distance(of_balls, angle, lipschitz, norm, 30)
    number = kernel_direction.chord_distance(of_points, angle, lipschitz, norm, 30)
    assert meets(ball, rigorous.to_ball(number))
    assert number.error < number.value  # else the ball is cut at zero
    assert float(ball.mid()) == pytest.approx(number.value, rel=1e-9)  # radii have 30 bits
    assert float(ball.rad()) == pytest.approx(number.error, rel=1e-8)


@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_axes_by_hand(quarter_turns):
    """x^2 + y^2 has variance 4/45 on every chord, and mean distance 1/4 from its median."""
    of_balls, _, lipschitz = CASES["square"]
    angle = quarter_turns * math.pi / 2
    squared = chord_distance(of_balls, angle, lipschitz, num_cells=100) ** 2
    assert holds(squared, arb(16) / 45)
    assert float(squared.mid()) == pytest.approx(16 / 45, rel=1e-2)  # a radius of 0.1 squared, and midpoint sums
    assert holds(chord_distance(of_balls, angle, lipschitz, "l1", 100), arb(1))


@pytest.mark.parametrize("angle", [0.01, 0.4, 1.1, 2.5, 4.0])
def test_distance_agrees_with_integrals_by_mpmath(angle):
    """x y is a quadratic in t on each chord, whose variance is that of a polynomial; ends by clipping at the sides."""
    with mpmath.workdps(25):
        turn = mpmath.mpf(angle)
        cos, sin = mpmath.cos(turn), mpmath.sin(turn)

        def lowest(u):
            ends = [sorted(((-1 - p) / q, (1 - p) / q)) for q, p in ((cos, -u * sin), (sin, u * cos))]
            half = (min(e[1] for e in ends) - max(e[0] for e in ends)) / 2
            middle = (min(e[1] for e in ends) + max(e[0] for e in ends)) / 2
            if half <= 0:
                return mpmath.mpf(0)
            # cos sin t^2 + u (cos^2 - sin^2) t + ..., about the middle of the chord: a t^2 + b t
            a = cos * sin
            b = 2 * a * middle + u * (cos**2 - sin**2)
            return 2 * half * (a**2 * 4 * half**4 / 45 + b**2 * half**2 / 3)

        gap, reach = abs(abs(cos) - abs(sin)), abs(cos) + abs(sin)
        exact = float(mpmath.sqrt(mpmath.quad(lowest, [-reach, -gap, gap, reach])))
    ball = chord_distance(PRODUCT[0], angle, PRODUCT[2], num_cells=150)
    assert holds(ball, arb(exact, 1e-14))
    assert float(ball.mid()) == pytest.approx(exact, rel=1e-3)  # midpoint sums are of second order in 1 / 150
    assert float(ball.rad()) < 0.06


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_the_product_is_least_along_the_diagonals(norm):
    """x y = (t^2 - u^2) / 2 there: the square is int 2 h h^4 / 45 du = 16 / 135, and in L1 int 2 h h^2 / 8 du = 1/2."""
    exact = (arb(16) / 135).sqrt() if norm == "l2" else arb(0.5)
    assert holds(chord_distance(PRODUCT[0], math.pi / 4, PRODUCT[2], norm, 100), exact)
    ball = narrow_floor(PRODUCT[0], PRODUCT[2], norm, num_cells=60, num_angles=60, max_evaluations=90)
    number = kernel_direction.narrow_floor(
        PRODUCT[1], PRODUCT[2], norm, num_cells=60, num_angles=60, max_evaluations=90
    )
    assert holds(ball, exact)
    assert meets(ball, rigorous.to_ball(number))
    assert ball > 0.3 * exact
    # directions are 22/7 apart in place of pi, 4e-4 more, of a bound that is taken at the worst of them
    assert float(ball.lower()) == pytest.approx(number.lower, rel=0.05)


def test_finer_grids_prove_more():
    of_balls, _, lipschitz = CASES["norm"]
    coarse, fine = (
        narrow_floor(of_balls, lipschitz, num_cells=cells, num_angles=angles, max_evaluations=2 * angles)
        for cells, angles in ((12, 30), (48, 60))
    )
    assert meets(coarse, fine)
    assert fine.rad() < 0.5 * coarse.rad()
    assert holds(fine, arb(0.168).sqrt())  # as in test_kernel_direction, to three digits


def test_a_ridge_is_at_no_distance_from_its_direction():
    ball = narrow_floor(lambda p: p[1], 1.0, num_cells=20, num_angles=20, max_evaluations=20)
    assert holds(ball, arb(0))
    assert ball.upper() < 0.2  # not NaN, which contains all; and 20 cells
    assert chord_distance(lambda p: p[1], 0, 1.0, num_cells=400).upper() < 0.02


@settings(max_examples=40)
@given(st.floats(0, 10), st.floats(0, 0.7), st.floats(0.01, 5), st.sampled_from(["l1", "l2"]))
def test_turning_agrees(distance, angle, lipschitz, norm):
    ball = turned(arb(distance), Fraction(angle), lipschitz, norm)
    # the float takes 1e-12 off, and is rounded where terms of 10 cancel
    assert float(ball) == pytest.approx(kernel_direction.turned(distance, angle, lipschitz, norm), rel=2e-12, abs=1e-13)


def test_no_direction_is_left_out(monkeypatch):
    """A linear function is constant along one direction, wherever that lies between those that are looked at.

    Its distance along others, by the sine of the angle times at least 1.1, is taken as known, without cells.
    """
    for ridge in np.arange(40) * np.pi / 40:

        def known(function, angle, *rest, ridge=ridge, **options):
            return abs((arb(ridge) - rigorous.rational(angle)).sin()) * arb(1.1)

        monkeypatch.setattr(rigorous_chords, "chord_distance", known)
        for max_evaluations in (4, 6, 8, 20):
            floor = narrow_floor(lambda x: x[0], 1.0, num_angles=4, max_evaluations=max_evaluations)
            assert floor.is_finite()
            assert floor.lower() <= 0


def test_coarse_precision_stays_honest():
    of_balls, _, lipschitz = CASES["tilted"]
    fine = chord_distance(of_balls, 0.3, lipschitz, "l1", 20)
    assert holds(chord_distance(of_balls, 0.3, lipschitz, "l1", 20, precision=32), fine.mid())


def test_bad_input_gets_one_sentence():
    function = CASES["norm"][0]
    for call, message in [
        (lambda: narrow_floor(function, 1.0, "sup"), "norm must be"),
        (lambda: narrow_floor(function, 0.0), "lipschitz must be"),
        (lambda: narrow_floor(function, 1.0, num_angles=2), "num_angles must be"),
        (lambda: chord_distance(function, 0.0, math.inf), "lipschitz must be"),
        (lambda: chord_distance(function, 0.0, 1.0, num_cells=1), "num_cells must be"),
        (lambda: chord_distance(lambda p: 1 / (p[0] - p[0]), 0.1, 1.0, num_cells=4), "function must be finite"),
        (lambda: chord_distance(function, Fraction(1, 10**60), 1.0), "precision must be enough"),
        (lambda: turned(arb(1), Fraction(2), 1.0, "l2"), "angle must lie"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
