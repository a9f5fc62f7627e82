"""The floor by slicing as a ball: every line in rationals, and what lies between and beside the knots bounded.

On a line, f differs from its interpolant with steps h by at most L h / sqrt(12) a root of length in L2 where f has
Lipschitz constant L (between two zeros of the difference, at distance c in a cell, it is below the smaller of two
lines that reach at most L c / 2, whose square integrates to at most L^2 c^3 / 12, and the sum of c^3 is at most h^3),
and by at most C h^2 / sqrt(120) where |f''| <= C (below C / 2 times the product of the distances to the ends). The
length is 2. The floor F of a line changes by no more than its function in L2, so that F lies within this, and the roots
of the two ends of `rigorous_free_knot`, which has no rounding. Between the lines F changes by at most `across` times
the distance; the integral of its square has closed forms at both ends.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from typing import TypeAlias

from widththeory.bounds.affine_pieces import max_affine_pieces
from widththeory.bounds.rigorous import flint, not_negative, rational
from widththeory.bounds.rigorous_free_knot import free_knot_enclosure
from widththeory.typing import check_choice, check_positive_int

Number: TypeAlias = Fraction | int | float
Ball: TypeAlias = flint.arb


def sliced_floor(
    function: Callable[[Fraction, Fraction], Number | Ball],
    widths: Sequence[int],
    lipschitz: Number | Ball,
    *,
    curvature: Number | Ball | None = None,
    across: Number | Ball | None = None,
    num_lines: int = 32,
    axis: int = 0,
    num_knots: int = 65,
    num_cells: int = 48,
    precision: int = 128,
) -> Ball:
    """`sliced_floor.sliced_floor` with fixed lines as a ball: no network of these hidden widths is below its lower end.

    The ball holds the root of int F(y)^2 dy over [-1, 1], F(y) the L2([-1, 1]) distance on the line at height y from f
    to functions with P = prod(w_l + 1) affine pieces. The float function's random lines have a statistical error, so no
    ball is due to them; lines here are the middles of their strips.

    Args:
        function: f at a point of two rationals, as a rational, an integer, a float taken as the rational it stores, or
            a ball that holds f there.
        widths: units of each hidden layer.
        lipschitz: proven bound on |f(x) - f(y)| / |x - y| on the square.
        curvature: proven bound on the second derivative along the lines, where there is one; tightens each line.
        across: proven bound on the L2([-1, 1]) distance of f(., y) - f(., y') to affine functions, over |y - y'|; None
            for sqrt(2) lipschitz, which always holds.
        num_lines: lines, one in each of as many strips.
        axis: 0 for lines along the first coordinate, 1 along the second.
        num_knots: knots of the interpolant on each line, at least 2.
        num_cells: see `rigorous_free_knot.free_knot_enclosure`.
        precision: bits.

    Error:
        The radius: enclosures of the lines' floors, the distance of f from its interpolants and of the lines from one
        another. Rationals are dear: 0.1 to 0.4 s a line at 65 knots, where the float function has 8193; lines
        that differ by an affine function or a sign are done once.

    Raises:
        ValueError: sizes or bounds out of range, or a value of the function that is not finite.

    Source: derived for this project; the piece count is [serra2018] (as recalled).
    """
    check_positive_int("num_lines", num_lines)
    check_positive_int("num_knots", num_knots, at_least=2)
    check_positive_int("num_cells", num_cells, at_least=2)
    check_choice("axis", axis, (0, 1))
    pieces = max_affine_pieces(widths)
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        bound, step = not_negative("lipschitz", lipschitz), rational(Fraction(2, num_knots - 1))
        # a larger bound is a bound too, and exact: a ball about 0 could not divide
        slope = (Ball(2).sqrt() * bound if across is None else not_negative("across", across)).upper()
        beside = bound * step / Ball(12).sqrt()
        if curvature is not None:
            beside = beside.min(not_negative("curvature", curvature) * step**2 / Ball(120).sqrt())
        knots = [Fraction(2 * index, num_knots - 1) - 1 for index in range(num_knots)]

        @cache
        def of_line(values: tuple[Fraction, ...]) -> tuple[Ball, Ball]:
            ends = free_knot_enclosure(knots, values, pieces, "l2", num_cells=num_cells)
            return rational(ends.lower).sqrt(), rational(ends.upper).sqrt()

        half = rational(Fraction(1, num_lines))
        low = high = Ball(0)
        for line in range(num_lines):
            height = Fraction(2 * line + 1, num_lines) - 1
            points = [(knot, height) if axis == 0 else (height, knot) for knot in knots]
            values, unknown = _exact([function(*point) for point in points], precision)
            below, above = of_line(_without_chord(knots, values))
            distance = Ball(2).sqrt() * (beside + unknown)
            low += _falling((below - distance).nonnegative_part(), slope, half)
            high += _rising(above + distance, slope, half)
        return low.nonnegative_part().sqrt().union(high.sqrt())


def _exact(values: Sequence[Number | Ball], precision: int) -> tuple[list[Fraction], Ball]:
    """Rationals in place of the values, and a bound on how far they are from them."""
    exact, unknown = list[Fraction](), Ball(0)
    for value in values:
        if not -math.inf < value < math.inf:
            raise ValueError(f"function must have finite values, got {value}")
        if isinstance(value, Ball):
            mantissa, exponent = value.mid().man_exp()
            # fewer bits make the rationals that follow cheaper
            share = 2 ** min(precision, 64)
            rounded = Fraction(math.floor(int(mantissa) * Fraction(2) ** int(exponent) * share), share)
            unknown = unknown.max((value - rational(rounded)).abs_upper())
            exact.append(rounded)
        else:
            exact.append(Fraction(value))
    return exact, unknown


def _without_chord(knots: Sequence[Fraction], values: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """The values less their chord, up to their sign: the floor stays, and lines that are alike become equal."""
    tilt = (values[-1] - values[0]) / (knots[-1] - knots[0])
    flat = tuple(value - values[0] - tilt * (knot - knots[0]) for knot, value in zip(knots, values, strict=True))
    return max(flat, tuple(-value for value in flat))


def _falling(value: Ball, slope: Ball, half: Ball) -> Ball:
    """Integral of max(0, value - slope |t|)^2 over |t| <= half."""
    reach = half.min(value / slope) if slope > 0 else half
    return 2 * (value**2 * reach - value * slope * reach**2 + slope**2 * reach**3 / 3)


def _rising(value: Ball, slope: Ball, half: Ball) -> Ball:
    """Integral of (value + slope |t|)^2 over |t| <= half."""
    return 2 * (value**2 * half + value * slope * half**2 + slope**2 * half**3 / 3)
