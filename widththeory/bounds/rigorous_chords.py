"""Floors in the plane for a first hidden layer of one unit as balls: `kernel_direction` by chords, rounding included.

The argument is that of `kernel_direction`: the square is cut into strips of chords without corner and these into cells,
f is replaced by its value at the middle of each, and moves by at most its Lipschitz constant times the offset. Here
values, weights and offsets are balls. With (c, s) the direction, chords are t -> t (c, s) + u (-s, c) for
|u| <= |c| + |s|, and each end is affine in u but for one corner, at u = |c| - |s| or its negative: nothing is divided
by a small number.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeAlias

from widththeory.bounds.rigorous import flint, positive, rational
from widththeory.typing import check_choice, check_positive_int

Ball: TypeAlias = flint.arb
Function: TypeAlias = Callable[[Sequence[flint.arb]], flint.arb]
Strip: TypeAlias = tuple[Ball, ...]  # offset, left and right end, for one edge and then the other


def chord_distance(
    function: Function,
    angle: int | float | Fraction,
    lipschitz: int | float | Fraction,
    norm: str = "l2",
    num_cells: int = 400,
    *,
    precision: int = 128,
) -> flint.arb:
    """`kernel_direction.chord_distance` as a ball: distance on [-1, 1]^2 to functions constant along a direction.

    Args:
        function: f, two coordinates as balls -> value as a ball.
        angle: of the direction (cos angle, sin angle), at its exact value.
        lipschitz: proven bound on |f(x) - f(y)| / |x - y| on the square.
        norm: "l2" (not squared) or "l1"; integrals over the square, of area 4.
        num_cells: chords, and cells a chord.
        precision: bits.

    Error:
        The radius: rounding, and the Lipschitz constant times sum(mass offset^2)^(1/2), in L1 sum(mass offset), with
        offset^2 = (step^2 + (longest / num_cells + tilt)^2) / 12 for each strip, as there.

    Raises:
        ValueError: an unknown norm, sizes out of range, a Lipschitz constant that is not positive and finite, a
            function that is not finite, or an angle so near an axis that the precision cannot tell on which side.

    Source: derived for this project.
    """
    _check(lipschitz, norm)
    check_positive_int("num_cells", num_cells, at_least=2)
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=32)):
        turn = rational(angle)
        cos, sin = turn.cos(), turn.sin()
        value, error = Ball(0), Ball(0)
        for lower, left, right, upper, left_above, right_above in _strips(cos, sin, num_cells):
            step, across = upper - lower, (upper + lower) / 2
            low, high = (left + left_above) / 2, (right + right_above) / 2
            start = (cos * low - sin * across, sin * low + cos * across)
            length = high - low
            moves = (cos * length / num_cells, sin * length / num_cells)
            values = []
            for k in range(num_cells):
                place = rational(Fraction(2 * k + 1, 2))
                values.append(function((start[0] + moves[0] * place, start[1] + moves[1] * place)))
            if not all(number.is_finite() for number in values):
                raise ValueError("function must be finite on the square, got a ball that is not")
            tilt = abs(left_above - left).max(abs(right_above - right))
            longest = (right - left).max(right_above - left_above)
            offset = (step**2 + (longest / num_cells + tilt) ** 2) / 12
            mass = step * length
            value += mass * (_variance(values) if norm == "l2" else _deviation(values))
            error += mass * (offset if norm == "l2" else offset.sqrt())
        if norm == "l2":
            value, error = value.nonnegative_part().sqrt(), error.sqrt()
        return _between((value - rational(lipschitz) * error).max(Ball(0)), value + rational(lipschitz) * error)


def narrow_floor(
    function: Function,
    lipschitz: int | float | Fraction,
    norm: str = "l2",
    *,
    num_cells: int = 120,
    num_angles: int = 120,
    max_evaluations: int = 300,
    precision: int = 128,
) -> flint.arb:
    """`kernel_direction.narrow_floor` as a ball: least distance on [-1, 1]^2 to functions constant along any direction.

    No network on R^2 with first hidden layer of width 1, of any depth and activation, is closer to f than its lower
    end.

    Args:
        function: f, two coordinates as balls -> value as a ball.
        lipschitz: proven bound on |f(x) - f(y)| / |x - y| on the square.
        norm: "l2" (not squared) or "l1".
        num_cells: chords a direction, and cells a chord.
        num_angles: directions to begin with, 22 / (7 num_angles) apart, which is more than pi / num_angles.
        max_evaluations: directions in all; the intervals of angle with the smallest lower bound are cut first.
        precision: bits.

    Error: the radius: that of `chord_distance`, and `turned` between directions. Half a minute for 300 directions.

    Raises:
        ValueError: as for `chord_distance`.

    Source: [lu2017] Theorem 3 (as recalled) asserts a positive floor; the certificate is derived for this project.
    """
    _check(lipschitz, norm)
    check_positive_int("num_angles", num_angles, at_least=4)
    check_positive_int("max_evaluations", max_evaluations, at_least=num_angles)
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=32)):

        def found(angle: Fraction, half: Fraction) -> tuple[Ball, Ball, Fraction, Fraction]:
            """Bound from below near the direction, distance along it, and the interval of angles."""
            distance = chord_distance(function, angle, lipschitz, norm, num_cells, precision=precision)
            return turned(distance.lower(), half, lipschitz, norm, precision=precision), distance, angle, half

        spacing = Fraction(22, 7 * num_angles)
        intervals = [found(spacing * k, spacing / 2) for k in range(num_angles)]
        above = intervals[0][1].upper()
        for _, distance, _, _ in intervals:
            above = above.min(distance.upper())
        for _ in range((max_evaluations - num_angles) // 2):
            worst = min(range(len(intervals)), key=lambda k: float(intervals[k][0]))  # floats for the order only
            below, distance, angle, half = intervals[worst]
            if distance.lower() - below < distance.rad() / 2:  # the angle no longer dominates the error
                break
            third = half / 3  # thirds, so that the middle one keeps its distance
            middle = turned(distance.lower(), third, lipschitz, norm, precision=precision)
            intervals[worst] = (middle, distance, angle, third)
            for shifted in (angle - 2 * third, angle + 2 * third):
                intervals.append(found(shifted, third))
                above = above.min(intervals[-1][1].upper())
        least = intervals[0][0]
        for below, _, _, _ in intervals:
            least = least.min(below)
        return _between(least.max(Ball(0)), above)


def turned(
    distance: flint.arb, angle: Fraction, lipschitz: int | float | Fraction, norm: str, *, precision: int = 128
) -> flint.arb:
    """`kernel_direction.turned`: bound from below for every direction within `angle` of one of at least this distance.

    s^p (D - lipschitz m ((1 - s) + 2 s sin(angle / 2))) with s = 1 / (cos angle + sin angle), p = 1 in L2 and 2 in L1,
    m = |x| in that norm over the square: (8/3)^(1/2), and 4 (2^(1/2) + arsinh 1) / 3. Where it is positive it falls as
    the angle grows up to pi / 3.

    Args:
        distance: D.
        angle: from 0 to 1.
        lipschitz, norm: as for `chord_distance`.
        precision: bits.

    Raises:
        ValueError: an angle outside [0, 1].

    Source: derived for this project.
    """
    if not 0 <= angle <= 1:
        raise ValueError(f"angle must lie in [0, 1], got {angle!r}")
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=32)):
        turn = rational(angle)
        shrink = 1 / (turn.cos() + turn.sin())
        if norm == "l2":
            moment, scale = rational(Fraction(8, 3)).sqrt(), shrink
        else:
            moment, scale = 4 * (Ball(2).sqrt() + Ball(1).asinh()) / 3, shrink**2
        return scale * (distance - rational(lipschitz) * moment * ((1 - shrink) + 2 * shrink * (turn / 2).sin()))


def _check(lipschitz: int | float | Fraction, norm: str) -> None:
    check_choice("norm", norm, ("l2", "l1"))
    positive("lipschitz", lipschitz)


def _between(low: flint.arb, high: flint.arb) -> flint.arb:
    return low.lower().union(high.upper())


def _variance(values: list[Ball]) -> flint.arb:
    mean = sum(values, Ball(0)) / len(values)
    gaps = [value - mean for value in values]
    return sum((gap * gap for gap in gaps), Ball(0)) / len(values)  # ** 2 of a ball about zero itself is not a number


def _deviation(values: list[Ball]) -> flint.arb:
    """Mean distance from the median: half of the midpoints less the other; radii move it by at most their mean."""
    middles, half = sorted(value.mid() for value in values), len(values) // 2
    spread = sum(middles[-half:], Ball(0)) - sum(middles[:half], Ball(0))
    return (spread + sum((value.rad() for value in values), Ball(0)) * Ball(0, 1)) / len(values)


def _sign(number: flint.arb) -> int:
    if number >= 0:
        return 1
    if number < 0:
        return -1
    raise ValueError("precision must be enough to tell on which side of axes and diagonals the angle is")


def _strips(cos: flint.arb, sin: flint.arb, num_cells: int) -> list[Strip]:
    """Strips of chords in order, the three between corners cut into equal parts; a part of no width is left out."""
    side = _sign(cos)
    if side == _sign(sin):  # the corners (1, -1) and (-1, 1) are at the ends
        end, gap, across = side * (sin - cos), cos - sin, cos + sin
    else:
        end, gap, across = side * (cos + sin), -cos - sin, cos - sin
    corner, gap, reach = _sign(gap) * across, abs(gap), abs(cos) + abs(sin)
    # the corners are (end, reach) and (corner, gap) as (t, u), and their negatives; at u = gap the chord's other end is
    # on the side from the negative of the second to the first
    other = -corner + (end + corner) * 2 * gap / (reach + gap)
    left, right = (corner, other) if corner < 0 else (other, corner)
    stops = [(-reach, -end, -end), (-gap, -right, -left), (gap, left, right), (reach, end, end)]
    inner = max(2, round(num_cells * float(gap) / float(reach)))
    outer = max(24, (num_cells - inner + 1) // 2)  # thin corner strips still have ends that move by a whole chord
    strips: list[Strip] = []
    for first, last, count in zip(stops, stops[1:], (outer, inner, outer), strict=False):
        if (last[0] - first[0]).is_zero():  # both are at the same corners, exactly: along an axis
            continue
        _sign(last[0] - first[0])  # is told from zero
        cuts = [[a + (b - a) * k / count for a, b in zip(first, last, strict=True)] for k in range(count + 1)]
        strips += [(*one, *two) for one, two in zip(cuts, cuts[1:], strict=False)]
    return strips
