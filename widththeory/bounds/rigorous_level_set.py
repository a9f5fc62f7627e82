"""`level_set` as balls: extremes of functions of balls, by cutting intervals and boxes, without Lipschitz bounds.

A function is given in ball arithmetic: `lambda x: x[0] ** 2 + x[1] ** 2` takes balls and returns a ball that holds all
values there. No bound on its slope is asked for. (In python-flint `** 2` of a ball about zero itself is not a number;
such parts are cut first.)
"""

import heapq
import itertools
import math
from collections.abc import Callable, Sequence

from widththeory.bounds.rigorous import flint, positive, rational
from widththeory.typing import check_positive_int

Ball = flint.arb


def extremum_floor(
    inside: flint.arb, boundary_min: flint.arb, boundary_max: flint.arb, *, precision: int = 128
) -> flint.arb:
    """`level_set.extremum_floor` as a ball: max(f(p) - max_boundary f, min_boundary f - f(p), 0) / 2.

    Args:
        inside: f(p).
        boundary_min, boundary_max: the extremes of f on the boundary.
        precision: bits.

    Error: the radius.

    Raises:
        ValueError: boundary_min certainly above boundary_max.

    Source: [johnson2019] and [haninsellke2017], as recalled; the quantitative form is derived for this project.
    """
    if boundary_min > boundary_max:
        raise ValueError(f"boundary_min must be at most boundary_max, got {boundary_min} and {boundary_max}")
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        return (inside - boundary_max).max(boundary_min - inside).max(Ball(0)) / 2


def cosines_floor(frequency: int | float | flint.arb, input_dim: int, *, precision: int = 128) -> flint.arb:
    """`level_set.cosines_floor` as a ball: sin(min(w, pi / 2) / 2)^2, and with pi in place of pi / 2 for one input.

    Args:
        frequency: w, above 0; a float is taken at its exact value.
        input_dim: n, at least 1.
        precision: bits.

    Error: the radius.

    Raises:
        ValueError: a frequency that is not positive and finite, or input_dim below 1.

    Source: derived for this project, from `extremum_floor`.
    """
    check_positive_int("input_dim", input_dim)
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        return (positive("frequency", frequency).min(Ball.pi() / (1 if input_dim == 1 else 2)) / 2).sin() ** 2


def radial_oscillation(
    profile: Callable[[flint.arb], flint.arb],
    low: int | float,
    high: int | float,
    *,
    num_cuts: int = 2000,
    precision: int = 64,
) -> flint.arb:
    """`level_set.radial_oscillation` as a ball: (max profile - min profile) / 2 over [low, high].

    Args:
        profile: radii as a ball -> values as a ball.
        low, high: 0 <= low < high.
        num_cuts: intervals cut, the most promising first.
        precision: bits.

    Error: the radius; how far the extremes are resolved.

    Raises:
        ValueError: radii out of order.

    Source: derived for this project, after [johnson2019], as recalled.
    """
    if not (0 <= low < high < math.inf):
        raise ValueError(f"low and high must be finite with 0 <= low < high, got {low!r} and {high!r}")
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        top = largest(lambda x: profile(x[0]), (low,), (high,), num_cuts)
        bottom = -largest(lambda x: -profile(x[0]), (low,), (high,), num_cuts)
        return ((top - bottom) / 2).max(Ball(0))


def box_floor(
    function: Callable[[Sequence[flint.arb]], flint.arb],
    low: Sequence[int | float],
    high: Sequence[int | float],
    inside: Sequence[int | float],
    *,
    num_cuts: int = 2000,
    precision: int = 64,
) -> flint.arb:
    """`level_set.box_floor` as a ball: `extremum_floor` for the box prod [low_i, high_i] and a point inside it.

    Args:
        function: coordinates as balls -> value as a ball.
        low, high: corners of the box.
        inside: a point of its interior.
        num_cuts: parts of each face cut, the most promising first.
        precision: bits.

    Error: the radius; how far the extremes on the boundary are resolved.

    Raises:
        ValueError: corners or point out of order.

    Source: derived for this project.
    """
    if not (len(low) == len(high) == len(inside) and all(a < p < b for a, p, b in zip(low, inside, high, strict=True))):
        raise ValueError(f"low, inside and high must have low < inside < high, got {low!r}, {inside!r} and {high!r}")
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        tops, bottoms = [], []
        for axis, end in itertools.product(range(len(low)), (low, high)):
            first, last = (tuple(end[i] if i == axis else side[i] for i in range(len(low))) for side in (low, high))
            tops.append(largest(function, first, last, num_cuts))
            bottoms.append(-largest(lambda x: -function(x), first, last, num_cuts))
        top, bottom = tops[0], bottoms[0]
        for one, other in zip(tops[1:], bottoms[1:], strict=True):
            top, bottom = top.max(one), bottom.min(other)
        return extremum_floor(function([rational(p) for p in inside]), bottom, top, precision=precision)


def largest(
    function: Callable[[Sequence[flint.arb]], flint.arb],
    low: Sequence[int | float],
    high: Sequence[int | float],
    num_cuts: int,
) -> flint.arb:
    """The largest value of a function of balls on a box as a ball: branch and bound, at the working precision.

    Parts with the largest upper bound are cut along their longest side; values at their middles are bounds from below.

    Args:
        function: coordinates as balls -> value as a ball.
        low, high: corners, low <= high; a side of length zero is not cut.
        num_cuts: at least 1.

    Raises:
        ValueError: num_cuts below 1, or a function that is not finite, on the box or on a part that is not cut.

    Source: derived for this project.
    """
    check_positive_int("num_cuts", num_cuts)
    order = itertools.count()
    parts: list[tuple[float, int, list[tuple[Ball, Ball]]]] = []
    least: list[Ball] = []

    def add(sides: list[tuple[Ball, Ball]]) -> None:
        value = function([a.union(b) for a, b in sides])
        middle = function([(a + b) / 2 for a, b in sides])
        if not middle.is_finite():
            raise ValueError("function must be finite on the box, got a ball that is not")
        least.append(middle)
        # a float for the order only; what is returned is computed from the parts again
        heapq.heappush(parts, (-float(value.upper()) if value.is_finite() else -math.inf, next(order), sides))

    add([(rational(a), rational(b)) for a, b in zip(low, high, strict=True)])
    for _ in range(num_cuts):
        sides = heapq.heappop(parts)[2]
        longest = max(range(len(sides)), key=lambda i: float(sides[i][1] - sides[i][0]))
        a, b = sides[longest]
        if not a < b:  # a point
            add(sides)
            break
        for half in ((a, ((a + b) / 2).mid()), (((a + b) / 2).mid(), b)):
            add([half if i == longest else side for i, side in enumerate(sides)])
    below, above = least[0].lower(), None
    for value in least[1:]:
        below = below.max(value.lower())
    for _, _, sides in parts:
        value = function([a.union(b) for a, b in sides]).upper()
        above = value if above is None else above.max(value)
    assert above is not None
    if not above.is_finite():
        raise ValueError(
            f"function must be finite on each part that num_cuts={num_cuts} leaves, got a ball that is not"
        )
    return below.union(above)
