"""Balls of floors by slicing: closed forms where each line is known, and the floating ones on the same lines."""

import math
from fractions import Fraction

import flint
import numpy as np
import pytest
from balls import holds, meets

from widththeory.bounds import rigorous, sliced_floor
from widththeory.bounds.rigorous_free_knot import free_knot_enclosure
from widththeory.bounds.rigorous_sliced import sliced_floor as ball_floor

arb, fmpq = flint.arb, flint.fmpq


def paraboloid(x, y):
    return x * x + y * y


def product(x, y):
    return x * x * y


def cosines(x, y):
    """cos(pi x) cos(pi y), in balls"""
    return math.prod((arb(fmpq(z.numerator, z.denominator)).cos_pi() for z in (x, y)), start=arb(1))


def of_square(pieces):
    """Distance of t^2 on [-1, 1] from functions of P pieces: with t = 2 u - 1, the root of 2 * 16 / (180 P^4)."""
    return (arb(32) / 180).sqrt() / pieces**2


@pytest.mark.parametrize("widths", [(1,), (3,), (1, 2)])
def test_paraboloid_by_hand(widths):
    """On every line it is t^2 plus a constant."""
    pieces = math.prod(width + 1 for width in widths)
    exact = arb(2).sqrt() * of_square(pieces)
    ball = ball_floor(paraboloid, widths, 3, curvature=2, across=0, num_lines=5)
    assert holds(ball, exact)
    # the enclosure is as wide as 5 P / (4 num_cells) before refinement, as that of floats, with 48 cells
    assert float(ball.rad()) < 5 * pieces / (4 * 48) * float(exact)
    number = sliced_floor.sliced_floor(lambda p: paraboloid(*p.T), widths, 3.0, curvature=2.0, across=0.0, num_lines=5)
    assert meets(ball, rigorous.to_ball(number))
    # no line differs from its neighbours, so their number is of no account
    alone = ball_floor(paraboloid, widths, 3, curvature=2, across=0, num_lines=1)
    assert abs(float(alone.mid()) - float(ball.mid())) < 1e-12  # roundings


@pytest.mark.parametrize("num_lines", [4, 9, 32])
def test_lines_that_differ_by_hand(num_lines):
    """x^2 y has F(y) = |y| F(1), and int y^2 = 2/3; two lines differ by (y - y') x^2, which P = 1 measures."""
    exact = (arb(2) / 3).sqrt() * of_square(2)
    ball = ball_floor(product, (1,), 3, curvature=2, across=of_square(1), num_lines=num_lines, num_knots=33)
    assert holds(ball, exact)
    # F moves by across / num_lines within half a strip, across is 4 F(1), and its square is taken over a length of 2
    assert float(ball.rad()) < 4 * float(of_square(2)) * math.sqrt(2) / num_lines + 0.005
    number = sliced_floor.sliced_floor(
        lambda p: product(*p.T), (1,), 3.0, curvature=2.0, across=float(of_square(1).upper()), num_lines=num_lines
    )
    assert meets(ball, rigorous.to_ball(number))


def test_values_as_balls():
    """cos(pi x) cos(pi y) has F(y) = |cos(pi y)| F(0); the float knows F(0), from a line taken twice as long."""
    options = {"curvature": math.pi**2 * (1 + 1e-15), "num_lines": 40}
    line = sliced_floor.sliced_floor(
        lambda p: np.cos(np.pi * p[:, 0]), (2,), 3.2, curvature=options["curvature"], across=0.0, num_lines=1
    )
    ball = ball_floor(cosines, (2,), arb.pi(), across=arb.pi(), num_knots=33, **options)
    assert meets(ball, rigorous.to_ball(line) / arb(2).sqrt())
    assert ball.lower() > 0
    by_floats = sliced_floor.sliced_floor(
        lambda p: np.prod(np.cos(np.pi * p), axis=1), (2,), np.pi, across=3.2, num_cells=96, **options
    )
    assert meets(ball, rigorous.to_ball(by_floats))


def test_wide_values_widen_the_floor():
    options = {"curvature": 2, "across": 0, "num_lines": 1}
    exact = ball_floor(paraboloid, (1,), 3, **options)

    def with_radius(radius):
        def values(x, y):
            total = paraboloid(x, y)
            return arb(fmpq(total.numerator, total.denominator), radius)

        return ball_floor(values, (1,), 3, **options)

    assert abs(with_radius(0) - exact).upper() < 0.01
    wide = with_radius(0.01)
    assert holds(wide, exact.mid())
    # both ends move by the radius times the root of 2, twice: lines of a length of 2, and their number of strips
    assert float(wide.rad() - exact.rad()) == pytest.approx(0.02, rel=1e-6)


def test_finer_is_narrower_and_coarse_precision_stays_honest():
    options = {"across": 0, "num_lines": 1}
    exact = arb(2).sqrt() * of_square(2)
    balls = [ball_floor(paraboloid, (1,), 3, num_knots=number, **options) for number in (9, 17, 33, 65)]
    for coarse, fine in zip(balls, balls[1:], strict=False):
        assert holds(coarse, exact)
        # without curvature the interpolant is off by as much as a step
        assert 0.4 * float(coarse.rad()) < float(fine.rad()) < 0.7 * float(coarse.rad())
    rough = ball_floor(paraboloid, (1,), 3, curvature=2, precision=12, **options)
    fine = ball_floor(paraboloid, (1,), 3, curvature=2, precision=200, **options)
    assert holds(rough, exact)
    assert meets(rough, fine)
    assert rough.rad() > fine.rad()


def test_what_lies_between_knots_is_counted():
    """Functions that are 0 at the knots, turning in each cell: triangles, the worst for their slope, and a sine."""
    step = Fraction(1, 4)

    def triangle(x, y):
        cell = math.floor((x + 1) / step)
        place = (x + 1) / step - cell
        return (-1) ** cell * min(place, 1 - place) * step

    ball = ball_floor(triangle, (), 1, across=0, num_lines=1, num_knots=9)
    norm = 2 * float(step) / math.sqrt(12)  # over the square; a line explains less than a hundredth of it
    assert float(ball.upper()) >= 0.99 * norm
    sine = lambda x, y: (arb.pi() * rigorous.rational(x / step)).sin()  # noqa: E731
    slope = math.pi / float(step)
    ball = ball_floor(sine, (), slope, curvature=slope**2, across=0, num_lines=1, num_knots=9)
    assert float(ball.upper()) >= 0.99 * math.sqrt(2)


def test_axis_chooses_the_lines():
    """Two pieces make |x| on lines along x; lines along y see a constant, but not so between them."""

    def tent(x, y):
        return 4 * abs(x)

    assert holds(ball_floor(tent, (1,), 4, across=0, num_lines=1), 0)
    along_y = ball_floor(tent, (1,), 4, axis=1, num_lines=1, across=0, curvature=0)
    assert along_y == 0
    # where `across` is not given it is sqrt(2) lipschitz, here up to a rounding
    given = ball_floor(tent, (1,), 4, axis=1, num_lines=2, across=4 * math.sqrt(2), curvature=0)
    assert float(ball_floor(tent, (1,), 4, axis=1, num_lines=2, curvature=0).upper()) == pytest.approx(
        float(given.upper()), rel=1e-12
    )
    assert holds(given, 0)


def test_axes_of_a_transposed_function():
    options = {"curvature": 2, "across": of_square(1), "num_lines": 6, "num_knots": 17}
    by_x = ball_floor(product, (2,), 3, **options)
    by_y = ball_floor(lambda x, y: product(y, x), (2,), 3, axis=1, **options)
    assert (by_x.mid(), by_x.rad()) == (by_y.mid(), by_y.rad())  # the same numbers in the same order


def test_a_line_between_smaller_ones_is_not_taken_for_all():
    """x^2 (1 - |y|) has F(y) = (1 - |y|) F(0), seen at y = 0 alone, with int (1 - |y|)^2 = 2/3."""

    def bent(x, y):
        return x * x * (1 - abs(y))

    ball = ball_floor(bent, (1,), 3, curvature=2, across=of_square(1), num_lines=1)
    assert 0 < ball.lower() < (arb(2) / 3).sqrt() * of_square(2)
    # a quarter of F(1) falls to 0 within a quarter, on both sides, or rises to five; lines are known to some 2 per cent
    assert float(ball.lower()) == pytest.approx(math.sqrt(2 / 3 / 4) * float(of_square(2)), rel=0.1)
    assert float(ball.upper()) == pytest.approx(math.sqrt(2 * (1 + 4 + 16 / 3)) * float(of_square(2)), rel=0.1)
    wide = ball_floor(bent, (1,), 3, curvature=2, across=arb(1, 0.5), num_lines=1)
    given = ball_floor(bent, (1,), 3, curvature=2, across=1.5, num_lines=1)
    assert abs(wide.upper() - given.upper()) < 1e-6  # radii have 30 bits
    assert abs(wide.lower() - given.lower()) < 1e-6


def test_ends_are_those_of_the_line():
    """A function with knots has no error beside them: few cells leave the ends of its floor apart; both are kept."""
    heights = [Fraction(n) for n in (0, 3, -1, 2, 5, 1, 4, -2, 0)]
    knots = [Fraction(n, 4) - 1 for n in range(9)]
    ends = free_knot_enclosure(knots, heights, 2, "l2", num_cells=2)
    assert ends.lower < ends.upper
    options = {"across": 0, "num_lines": 1, "num_knots": 9, "num_cells": 2}
    ball = ball_floor(lambda x, y: heights[knots.index(x)], (1,), 28, curvature=0, **options)
    assert meets(ball.lower(), (2 * rigorous.rational(ends.lower)).sqrt() + arb(0, 1e-6))  # radii have 30 bits
    assert meets(ball.upper(), (2 * rigorous.rational(ends.upper)).sqrt() + arb(0, 1e-6))
    # and of two bounds on what is beside the knots the better one counts
    slopes, both = (
        ball_floor(lambda x, y: heights[knots.index(x)], (1,), 28, curvature=bend, **options) for bend in (None, 10**9)
    )
    assert (slopes.lower(), slopes.upper()) == (both.lower(), both.upper())


def test_the_least_known_value_counts_wherever_it_is():
    def known_at_the_end(x, y):
        return arb(rigorous.rational(x * x), 0 if x == 1 else 0.01)

    options = {"curvature": 2, "across": 0, "num_lines": 1, "num_knots": 9}
    wide, exact = (ball_floor(f, (1,), 3, **options) for f in (known_at_the_end, lambda x, y: x * x))
    assert float(wide.rad() - exact.rad()) == pytest.approx(0.02, rel=1e-6)  # as above


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ball_floor(paraboloid, (1,), -1), "lipschitz must be a finite number of at least 0, got -1"),
        (lambda: ball_floor(paraboloid, (1,), arb(0, 1)), "lipschitz must be a finite number of at least 0"),
        (lambda: ball_floor(paraboloid, (1,), 1, curvature=math.nan), "curvature must be .*, got nan"),
        (lambda: ball_floor(paraboloid, (1,), 1, across=arb("inf")), "across must be"),
        (lambda: ball_floor(paraboloid, (1,), 1, axis=2), "axis must be 0 or 1, got 2"),
        (lambda: ball_floor(paraboloid, (1,), 1, num_lines=0), "num_lines must be"),
        (lambda: ball_floor(paraboloid, (1,), 1, num_knots=1), "num_knots must be"),
        (lambda: ball_floor(paraboloid, (1,), 1, num_cells=1), "num_cells must be"),
        (lambda: ball_floor(paraboloid, (0,), 1), "widths must be"),
        (lambda: ball_floor(paraboloid, (1,), 1, precision=1), "precision must be"),
        (lambda: ball_floor(lambda x, y: math.inf, (1,), 1), "function must have finite values, got inf"),
        (lambda: ball_floor(lambda x, y: arb("nan"), (1,), 1), "function must have finite values, got nan"),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
