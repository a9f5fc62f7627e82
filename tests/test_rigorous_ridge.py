"""Balls of the best sums of ridge functions: the floating ones, and normal equations by other formulas."""

import itertools
import math

import flint
import numpy as np
import pytest
import scipy.special as sp
from balls import meets

from widththeory.bounds import ridge_sum, rigorous, rigorous_wave
from widththeory.bounds.rigorous_ridge import best_ridge_error
from widththeory.bounds.rigorous_wave import Wave
from widththeory.constructions.eldan_shamir import Cosine

arb = flint.arb
SMALL = (1.0, 2.0)  # a window whose hats are few


def profile(wave, radii):
    start, stop = wave.window
    fall = np.clip((radii - start) / (stop - start), 0, 1)
    return np.cos(wave.frequency * radii) * (1 + np.cos(np.pi * fall)) / 2


def panels(edges, num_nodes=60):
    """Gauss-Legendre nodes and weights."""
    nodes, weights = np.polynomial.legendre.leggauss(num_nodes)
    for low, high in itertools.pairwise(edges):
        yield from zip(low + (high - low) * (1 + nodes) / 2, (high - low) / 2 * weights, strict=True)


def hats(place, spacing, count):
    return np.maximum(0, 1 - np.abs(place / spacing - np.arange(count)))


def marginal(place):
    """Density of <v, x>: a Struve function, where the ball sums a hypergeometric series."""
    return sp.struve(1, 2 * place) / (np.pi * place**2)


def same_line(spacing, count):
    gram = np.zeros((count, count))
    for place, weight in panels(spacing * np.arange(count + 1), 20):
        row = hats(place, spacing, count)
        gram += 2 * weight * marginal(place) * np.outer(row, row)
    return gram


def two_lines(angle, spacing, count):
    """By characteristic functions: hats' are squared sines, the law's is the overlap of two discs of radius 1.

    The density of the frequency u v + w v' is 1 / sin(angle) in u and w. Nodes are many enough for ten digits.
    """
    gram = np.zeros((count, count))
    turns = 2 * np.pi * np.arange(400) / 400
    for half, weight in panels([0, np.pi / 2], 100):
        rho = 2 * np.cos(half)
        overlap = (2 * half - np.sin(2 * half)) / np.pi
        x, y = rho * np.cos(turns), rho * np.sin(turns)
        w = y / np.sin(angle)
        rows = []
        for u in (x - w * np.cos(angle), w):
            shape = spacing * np.sinc(u * spacing / (2 * np.pi)) ** 2
            rows.append([shape * (2 * np.cos(u * j * spacing) if j else 1) for j in range(count)])
        mass = weight * 2 * np.sin(half) * rho * overlap * 2 * np.pi / len(turns)
        gram += mass * np.array(rows[0]) @ np.array(rows[1]).T
    return gram / (4 * np.pi**2 * np.sin(angle))


def right_side(wave, spacing, count):
    """In the coordinates along and across the line, where the ball has closed forms along circles."""
    start, stop = wave.window
    right = np.zeros(count)
    ends = sorted({start, stop, *(j * spacing for j in range(count) if j * spacing < stop)})
    for place, weight in panels(ends):
        inner = math.sqrt(max(0.0, start**2 - place**2))
        for y, mass in panels(sorted({0.0, inner, math.sqrt(stop**2 - place**2)}), 40):
            radius = math.hypot(place, y)
            density = (sp.j1(radius) / radius) ** 2 / np.pi
            right += 4 * weight * mass * density * profile(wave, radius) * hats(place, spacing, count)
    return right


def by_floats(wave, num_lines, spacing):
    count = math.ceil(2 * wave.window[1] / spacing)
    gram = same_line(spacing, count)
    for line in range(1, num_lines):
        gram += two_lines(math.pi * line / num_lines, spacing, count)
    right = right_side(wave, spacing, count)
    moment = sum(weight * profile(wave, t) ** 2 * 2 * sp.j1(t) ** 2 / t for t, weight in panels([0, *wave.window]))
    return 1 - num_lines * right @ np.linalg.solve(gram, right) / moment


@pytest.mark.parametrize(
    ("frequency", "num_lines", "spacing"),
    [(2, 1, 1.0), (5, 1, 0.5), (2, 2, 1.0), (2, 3, 1.0), (7, 4, 0.8), (2, 5, 1.5)],
)
def test_other_formulas_agree(frequency, num_lines, spacing):
    wave = Wave(2, float(frequency), SMALL)
    ball = best_ridge_error(wave, num_lines, spacing=spacing)
    assert ball.is_finite()
    assert float(ball.rad()) < 1e-20
    # where g's second derivative jumps, the coordinates along a line leave powers 2.5 and 60 nodes some 1e-10
    assert float(ball.mid()) == pytest.approx(by_floats(wave, num_lines, spacing), abs=1e-9)


@pytest.mark.parametrize(
    ("frequency", "num_lines", "spacing"),
    [
        *((5, 4, 0.1), (3, 3, 0.2), (5, 1, 0.2), (5, 1, 0.4), (5, 7, 0.4), (3, 1, 0.5)),
        # where two rules of the floating one agree by chance
        *((5, 4, 0.42), (5, 4, 0.77), (3, 3, 0.45), (8, 4, 0.87)),
    ],
)
def test_agrees_with_the_floating_one(frequency, num_lines, spacing):
    cosine = Cosine(2, frequency)
    wave = Wave(2, float(frequency), cosine.window)
    ball = best_ridge_error(wave, num_lines, spacing=spacing)
    number = ridge_sum.best_ridge_error(cosine.profile, cosine.law, cosine.window[1], num_lines, spacing=spacing)
    assert meets(ball, rigorous.to_ball(number))
    assert number.error < 4e-3
    assert float(ball.rad()) < 1e-20  # 96 bits, of which the solution loses few: knots are far apart
    assert ball > rigorous_wave.relative_floor(wave, num_lines)


def test_more_knots_and_more_lines_do_better():
    """Knots of each spacing are knots of half of it, up to the same end; k lines are among 2 k."""
    wave = Wave(2, 3.0, SMALL)
    finer = [best_ridge_error(wave, 3, spacing=spacing) for spacing in (1.0, 0.5, 0.25, 0.125)]
    assert all(fine < coarse for coarse, fine in itertools.pairwise(finer))
    assert finer[-2] - finer[-1] < finer[-3] - finer[-2]
    more = [best_ridge_error(wave, count, spacing=0.5) for count in (1, 2, 4, 8)]
    assert all(better < worse for worse, better in itertools.pairwise(more))
    assert more[-1] > 0
    assert more[0] < 1


@pytest.mark.parametrize("num_lines", [1, 2, 5])
def test_precision(num_lines):
    """Coarse balls hold what fine ones find, and are wider."""
    balls = [best_ridge_error(Wave(2, 4.0, SMALL, precision=bits), num_lines, spacing=0.4) for bits in (32, 64, 128)]
    for coarse, fine in itertools.combinations(balls, 2):
        assert meets(coarse, fine)
        assert coarse.rad() > fine.rad()
    for bits, ball in zip((32, 64, 128), balls, strict=True):
        assert ball.rad() < arb(2) ** (8 - bits)  # the moment's own radius, and some roundings


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: best_ridge_error(Wave(3, 2.0, SMALL), 1), "wave must have input_dim 2 and order 0, got 3 and 0"),
        (
            lambda: best_ridge_error(Wave(2, 2.0, SMALL, order=1), 1),
            "wave must have input_dim 2 and order 0, got 2 and 1",
        ),
        (lambda: best_ridge_error(Wave(2, 2.0, SMALL), 0), "num_lines must be"),
        (lambda: best_ridge_error(Wave(2, 2.0, SMALL), 1, spacing=0), "spacing must be .* below .* 2.0, got 0"),
        (lambda: best_ridge_error(Wave(2, 2.0, SMALL), 1, spacing=2.5), "spacing must be .*, got 2.5"),
        (lambda: best_ridge_error(Wave(2, 2.0, SMALL), 1, spacing=math.nan), "spacing must be .*, got nan"),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_spacing_that_a_float_quotient_takes_for_a_divisor():
    """6.0 / 0.3 is 20 in floats and just above it for the numbers they store: 21 knots reach twice the window's end."""
    wave = Wave(2, 4.0, (1.0, 3.0))
    assert math.ceil(6.0 / 0.3) == 20
    exact, below, above = (best_ridge_error(wave, 2, spacing=spacing) for spacing in (0.3, 0.3 - 1e-15, 0.3 + 1e-15))
    assert abs(exact - below) < 1e-15  # as many knots, all but in the same places
    assert abs(exact - above) > 1e-9  # one knot less
