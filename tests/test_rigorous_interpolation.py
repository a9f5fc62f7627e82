"""What Gauss-Legendre rules tell of analytic functions, against functions that are worst and points of ellipses."""

import math

import flint
import numpy as np
import pytest
from balls import holds, meets

from widththeory.bounds.rigorous_interpolation import SUM, Rule, largest

arb, acb = flint.arb, flint.acb
ANGLES = [math.pi * i / 40 for i in range(80)]


def point(angle, size=1.0):
    """Of the ellipse whose semiaxes have the sum R, or inside it."""
    u = acb(SUM * math.cos(angle), SUM * math.sin(angle))
    return size * (u + 1 / u) / 2


@pytest.fixture(scope="module", params=[2, 3, 8, 20])
def rule(request):
    return Rule(request.param)


def test_error_covers_the_first_polynomial_that_is_not_exact(rule):
    """T_2N is at most (R^2N + R^-2N) / 2 on the ellipse, and its integral is 2 / (1 - 4 N^2)."""
    number = len(rule.nodes)
    for degree in (2 * number, 2 * number + 2):
        found = sum((weight * x.chebyshev_t(degree) for x, weight in rule.nodes), arb(0))
        missed = abs(found - arb(2) / (1 - degree**2))
        allowed = rule.error * (arb(SUM) ** degree + arb(SUM) ** -degree) / 2
        assert missed <= allowed
    exact = sum((weight * x ** (2 * number - 2) for x, weight in rule.nodes), arb(0))
    assert meets(exact, arb(2) / (2 * number - 1))
    # the sum over all degrees is worth a sixth more than its first term: some 2.5 for a difference of 1.4 to 1.6
    assert rule.error * arb(SUM) ** (2 * number) < 2 * arb(2.6)


def test_polynomials_on_the_ellipse_are_as_large_and_as_small_as_said(rule):
    number = len(rule.nodes)
    for k in (0, 1, number):
        sizes = [abs(point(angle).legendre_p(acb(k))) for angle in ANGLES]
        assert all(size.lower() <= rule.tops[k].upper() for size in sizes)
        assert meets(sizes[0], rule.tops[k])  # in the right end
    assert rule.smallest > 0
    least = min(float(size.lower()) for size in sizes)
    assert 0.7 * least < float(rule.smallest.lower()) <= least * (1 + 1e-12)


def test_boxes_cover_the_ellipse_and_little_more(rule):
    top, side = (SUM + 1 / SUM) / 2, (SUM - 1 / SUM) / 2
    for size in (1 - 1e-9, 0.7, 0.1):
        for angle in ANGLES:
            z = point(angle, size)
            assert any(holds(box, z) for box in rule.boxes)
    areas = [4 * float(box.real.rad()) * float(box.imag.rad()) for box in rule.boxes]
    assert sum(areas) < 1.2 * math.pi * top * side
    strips = np.linspace(-1, 1, 1001)
    for x in strips:  # the polynomial of degree 1 is the place itself
        assert any(holds(row[1], float(x)) for row in rule.strips)


def test_interpolants_of_polynomials_are_they(rule):
    """P_1 - P_0 / 2 is at most P_1(A) + 1/2 on the ellipse, which its left end attains; its coefficients alternate."""
    values = [x - arb(0.5) for x, _ in rule.nodes]
    bound = rule.largest(values)
    assert meets(bound, rule.tops[1] + arb(0.5))
    assert all(abs(point(angle) - arb(0.5)).lower() <= bound.upper() for angle in ANGLES)


def test_least_value_by_hand(rule):
    """Constants v, for functions at most s on the ellipse: v - (s + |v|) / min |P_N|; lines are least in an end."""
    number = len(rule.nodes)
    for value in (2, -2, 1000):
        least = rule.least([arb(value)] * number, arb(3))
        exact = value - (3 + abs(value)) / rule.smallest
        assert least <= exact.upper()
        assert least >= exact - arb(1e-5)  # wide strips blow up the rounding of coefficients that are 0
        assert least.is_exact()
    for sign in (-1, 1):
        least = rule.least([sign * x for x, _ in rule.nodes], arb(rule.tops[1]))
        assert least <= -1
        assert least >= -1 - 1 / arb(16) - (2 * rule.tops[1] / rule.smallest).upper()


def test_least_value_holds_for_what_the_nodes_do_not_see(rule):
    """P_N is 0 at all of them."""
    number = len(rule.nodes)
    lowest = min(float(arb(float(x)).legendre_p(arb(number)).mid()) for x in np.linspace(-1, 1, 401))
    assert rule.least([arb(0)] * number, rule.tops[-1]) <= lowest


def test_largest_of_balls():
    assert largest([arb(3, 1), arb(1)]) >= 4
    assert largest([arb(1), arb(3, 1)]) <= 4.001
    assert holds(largest([]), 0)
    for lost in (arb("inf"), arb("nan"), arb(0, 1) + arb("inf")):
        assert largest([arb(1), lost, arb(2)]) == arb("inf")
