"""Gauss-Legendre nodes for quadrature and interpolation of analytic functions, with proven errors.

E is the ellipse with foci -1, 1 whose semiaxes have the sum R. With z = (u + 1/u) / 2 and a_i = binomial(2i, i) / 4^i,
P_k(z) = sum_i a_i a_(k-i) u^(k-2i): on E its modulus is at most P_k(A), A = (R + 1/R) / 2, and at least 2 a_k R^k -
P_k(A).

A function h that is analytic on E and vanishes at the N nodes is at most max_E |h| / min_E |P_N| on [-1, 1], since
h / P_N is analytic; so is the difference between a function and its interpolant of degree N - 1.
"""

import math
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

from widththeory.bounds.rigorous import flint, rational

Ball: TypeAlias = flint.arb
Complex: TypeAlias = flint.acb

SUM = 2.5  # R
SIGNED = Ball(0, 1)  # [-1, 1]
_BOXES = 6  # that cover an ellipse
_STRIPS = 32  # that cover [-1, 1]


class Rule:
    """Gauss-Legendre nodes and weights on [-1, 1], and what they tell of functions analytic on the ellipse E about it.

    For a function at most M on E the rule errs by at most `error` M. P_k is at most `tops[k]` on E, P_N, N the number
    of nodes, at least `smallest`; `boxes` cover E.

    Source: derived for this project; the error is classical, see `rigorous_wave`.
    """

    def __init__(self, number: int):
        radii, orders = Ball(SUM), [Ball(k) for k in range(number + 1)]
        top, side = (radii + 1 / radii) / 2, (radii - 1 / radii) / 2
        self.nodes = [Ball.legendre_p_root(number, i, weight=True) for i in range(number)]
        self.error = Ball(64) / 15 / (radii ** (2 * number) * (1 - radii**-2))
        self.tops = [top.legendre_p(k) for k in orders]  # largest |P_k| on the ellipse
        leading = Ball(math.comb(2 * number, number)) / 4**number
        self.smallest = 2 * leading * radii**number - self.tops[-1]  # of |P_N| there
        self.table = [[(2 * k + 1) * x.legendre_p(k) * share / 2 for x, share in self.nodes] for k in orders[:-1]]
        strips = [Ball((2 * i + 1) / _STRIPS - 1, 1 / _STRIPS) for i in range(_STRIPS)]  # exact: a power of 2
        self.strips = [[strip.legendre_p(k) for k in orders[:-1]] for strip in strips]
        self.boxes = []
        for i in range(_BOXES):
            left, right = (rational(Fraction(2 * j, _BOXES) - 1) for j in (i, i + 1))
            nearest = abs(left).min(abs(right)) if left * right > 0 else Ball(0)
            self.boxes.append(Complex(top * left.union(right), side * (1 - nearest**2).sqrt() * SIGNED))

    def _coefficients(self, values: list[Ball]) -> list[Ball]:
        """Of Legendre polynomials, for the interpolant of values at the nodes: their rules are exact."""
        return [total(a * value for a, value in zip(row, values, strict=True)) for row in self.table]

    def largest(self, values: list[Ball]) -> Ball:
        """Bound on the interpolant on E.

        Source: derived for this project.
        """
        return total(abs(c) * top for c, top in zip(self._coefficients(values), self.tops[:-1], strict=True))

    def least(self, values: list[Ball], size: Ball) -> Ball:
        """Lower bound on [-1, 1] for a function with these values at the nodes and at most `size` on E.

        Source: derived for this project.
        """
        coefficients, least = self._coefficients(values), Ball("inf")
        for row in self.strips:
            least = least.min(total(c * p for c, p in zip(coefficients, row, strict=True)))
        return (least - (size + self.largest(values)) / self.smallest).lower()


@lru_cache(maxsize=64)
def rule(number: int, precision: int) -> Rule:
    """The rule at the working precision, which is given.

    Source: derived for this project.
    """
    return Rule(number)


def total(numbers: Iterable[Ball]) -> Ball:
    """Sum.

    Source: derived for this project.
    """
    return sum(numbers, Ball(0))


def largest(numbers: Iterable[Ball]) -> Ball:
    """Bound on all numbers, which are not negative; infinite if one is not finite.

    Source: derived for this project.
    """
    found = Ball(0)
    for number in numbers:
        size = number.upper()
        if not size.is_finite():
            return Ball("inf")
        found = found.max(size)
    return found
