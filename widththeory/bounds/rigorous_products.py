"""`product_direction` as balls: floors of g_1(x_1) ... g_n(x_n) for every direction at once, rounding included.

The argument is that of `product_direction`. What is minimised or majorised there in floating point is here proven from
exact numbers: hulls of rounded points are exact in rationals, rounded to the side that proves less, and the nearest
multiple in L1 is bounded below by a sign, |sum| >= sum of sign times term, whatever the sign.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import reduce
from typing import TypeAlias

import numpy as np

from widththeory.bounds.rigorous import flint, rational
from widththeory.typing import check_choice, check_positive_int

Ball: TypeAlias = flint.arb
Steps: TypeAlias = list[flint.arb]

_REACHES = (Fraction(3, 20), Fraction(3, 10), Fraction(7, 10), Fraction(3, 2), None)  # of the triangles; None is 1


def product_floor(
    factors: Sequence[Callable[[flint.arb], flint.arb]],
    lipschitz: Sequence[int | float],
    norm: str = "l2",
    *,
    num_cells: int = 120,
    num_means: int = 100,
    precision: int = 64,
) -> flint.arb:
    """`product_direction.product_floor` as a ball, the replacement by steps subtracted, at least 0.

    No network on R^n with a first hidden layer of width at most n - 1 comes closer to f on [-1, 1]^n than the lower
    end of the ball.

    Args:
        factors: g_i, each even or odd, a ball to a ball; at least two. The same function given n times is treated once.
        lipschitz: a proven bound on |g_i'| on [-1, 1] for each, at its exact value.
        norm: "l2" (not squared) or "l1"; integrals over the cube, of volume 2^n.
        num_cells: cells of [-1, 1], even.
        num_means: intervals of the mean of the entries of a direction, in L2.
        precision: bits.

    Error: the radius.

    Raises:
        ValueError: fewer than two factors, one neither even nor odd, a bad Lipschitz constant, an unknown norm, or an
            odd number of cells.

    Source: derived for this project; that a floor exists is [lu2017] Theorem 3, as recalled.
    """
    check_choice("norm", norm, ("l2", "l1"))
    if len(factors) < 2 or len(lipschitz) != len(factors):
        raise ValueError(
            f"factors must be at least two, with a Lipschitz constant each, got {len(factors)} and {len(lipschitz)}"
        )
    if not all(0 <= bound < float("inf") for bound in lipschitz):
        raise ValueError(f"lipschitz must hold finite numbers of at least 0, got {lipschitz!r}")
    if check_positive_int("num_cells", num_cells, at_least=8) % 2:
        raise ValueError(f"num_cells must be even, got {num_cells}")
    check_positive_int("num_means", num_means)
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=32)):
        kinds = list(dict.fromkeys(zip(factors, lipschitz, strict=True)))
        which = [kinds.index(kind) for kind in zip(factors, lipschitz, strict=True)]
        steps = [_steps(factor, num_cells) for factor, _ in kinds]
        value = _square_floor(steps, which, num_means) if norm == "l2" else _absolute_floor(steps, which)
        return (value - _moved(steps, [rational(bound) for _, bound in kinds], which, norm)).max(Ball(0))


def _steps(factor: Callable[[flint.arb], flint.arb], num_cells: int) -> Steps:
    """Values at the middles of the cells; those on the left mirror those on the right, so that parity is exact."""
    middles = [rational(Fraction(2 * k + 1, num_cells)) for k in range(num_cells // 2)]
    right, left = [factor(x) for x in middles], [factor(-x) for x in middles]
    if not all(value.is_finite() for value in (*right, *left)):
        raise ValueError("factors must be finite on [-1, 1], got a ball that is not")
    for sign in (1, -1):
        if all(a.overlaps(sign * b) for a, b in zip(right, left, strict=True)):
            return [sign * value for value in reversed(right)] + right
    raise ValueError("factors must each be even or odd")


def _mass(steps: Steps, power: int) -> Steps:
    """Integral of |g|^power over [-1, 1 - t] for t = 0, h, 2 h, ..., 2."""
    found = [Ball(0)]
    for value in steps:
        found.append(found[-1] + abs(value) ** power * 2 / len(steps))
    return found[::-1]


def _moved(steps: list[Steps], bounds: Steps, which: list[int], norm: str) -> flint.arb:
    """Norm of prod g_i - prod of steps: one factor exchanged at a time, the others bounded by their larger norm."""
    size = Ball(2) / len(steps[0])
    if norm == "l2":
        gaps = [bound * size / Ball(6).sqrt() for bound in bounds]
        norms = [_mass(values, 2)[0].sqrt() + gap for values, gap in zip(steps, gaps, strict=True)]
    else:
        gaps = [bound * size / 2 for bound in bounds]
        norms = [_mass(values, 1)[0] + gap for values, gap in zip(steps, gaps, strict=True)]
    total = Ball(0)
    for m, kind in enumerate(which):
        total += reduce(lambda product, j: product * norms[j], which[:m] + which[m + 1 :], gaps[kind])
    return total


def _least(numbers: Sequence[flint.arb]) -> flint.arb:
    return reduce(lambda a, b: a.min(b), numbers)


def _best(integrands: list[list[Steps]], size: flint.arb) -> flint.arb:
    """Largest, over triangles, of the smallest integral over t; rows are intervals of t, columns what is minimised."""
    best = Ball(0)
    for reach in _REACHES:
        weights, total = [], Ball(1)
        for k in range(1, len(integrands[0]) + 1):  # at the far ends, where the weight is least
            weights.append(Ball(1) if reach is None else (1 - size * k / rational(reach)).max(Ball(0)))
        if reach is not None:
            total = rational(reach / 2 if reach <= 1 else 1 - 1 / (2 * reach))
        used = [k for k, weight in enumerate(weights) if weight.upper() > 0]
        found = [
            sum((weights[k] * rows[k][column] for k in used), Ball(0))
            for rows in integrands
            for column in range(len(rows[0]))
        ]
        best = best.max(_least(found) * size / total)
    return best


def _absolute_floor(steps: list[Steps], which: list[int]) -> flint.arb:
    """L1, as in `product_direction`: nu_m(t) times the product of the other masses, at the ends that prove less."""
    size = Ball(2) / len(steps[0])
    masses = [_mass(values, 1) for values in steps]
    integrands = []
    for m in sorted(set(which)):
        rest = list(which)
        rest.remove(m)
        nu = _nearest_multiple(steps[m])
        rows = []
        for k in range(len(nu) - 1):
            row = nu[k].min(nu[k + 1])
            for i in rest:
                row *= masses[i][k + 1]
            rows.append([row])
        integrands.append(rows)
    return _best(integrands, size) / 2


def _nearest_multiple(steps: Steps) -> Steps:
    """Lower bounds on min over |lambda| <= 1 of int |g(x + t) - lambda g(x)| over [-1, 1 - t], t = 0, h, ..., 2.

    For any numbers s in [-1, 1] it is at least int s g(x + t) - |int s g(x)|; the sign at the best lambda, with the
    fraction at the median that makes the second integral small, is taken.
    """
    number, values = len(steps), np.array([float(value.mid()) for value in steps])
    found = [Ball(0)] * (number + 1)
    for shift in range(1, number):
        moved, still = values[shift:], values[: number - shift]
        solid = np.flatnonzero(still)
        signs = np.sign(moved)
        if len(solid):
            ratios, weights = moved[solid] / still[solid], np.abs(still[solid])
            order = np.argsort(ratios)
            middle = min(int(np.searchsorted(np.cumsum(weights[order]), 0.5 * weights.sum())), len(order) - 1)
            chosen = solid[order[middle]]
            best = ratios[order[middle]]
            signs = np.sign(moved - np.clip(best, -1, 1) * still)
            if abs(best) <= 1:
                signs[chosen] = 0
                signs[chosen] = np.clip(-(signs @ still) / still[chosen], -1, 1)
        exact = [rational(float(sign)) for sign in signs]
        gained = sum((sign * value for sign, value in zip(exact, steps[shift:], strict=True)), Ball(0))
        lost = sum((sign * value for sign, value in zip(exact, steps[: number - shift], strict=True)), Ball(0))
        found[shift] = ((gained - abs(lost)) * 2 / number).max(Ball(0))
    return found


def _square_floor(steps: list[Steps], which: list[int], num_means: int) -> flint.arb:
    """L2, as in `product_direction`: products of masses less products of overlaps, by the mean of the other entries."""
    number = len(steps[0])
    size, masses = Ball(2) / number, [_mass(values, 2) for values in steps]
    if not all(mass[number - 1] > 0 for mass in masses):  # a factor that vanishes at the ends of the interval
        number = min(next((k for k, a in enumerate(mass) if not a > 0), number) for mass in masses)
        if number < 2:
            return Ball(0)
    losses, gains = [], []
    for values, mass in zip(steps, masses, strict=True):
        overlaps = [
            abs(sum((a * b for a, b in zip(values, values[k:], strict=False)), Ball(0))) * size for k in range(number)
        ]
        losses.append([(mass[0] / mass[k]).log() for k in range(number)])
        gains.append([_gain(overlap, mass[k]) for k, overlap in enumerate(overlaps)])
    scale = reduce(lambda product, i: product * masses[i][0], which, Ball(1))
    integrands = []
    for m in sorted(set(which)):
        rest = list(which)
        rest.remove(m)
        loss = [reduce(lambda a, b: a.max(b), [losses[i][k] for i in rest]) for k in range(number)]
        gain = [_least([gains[i][k] for i in rest]) for k in range(number)]
        rows = _by_mean(losses[m], gains[m], loss, gain, len(rest), Fraction(2, len(steps[0])), num_means)
        integrands.append([[scale * entry for entry in row] for row in rows])
    return _best(integrands, size).nonnegative_part().sqrt()  # the larger of 0 and a ball about 0 has no root


def _gain(overlap: flint.arb, mass: flint.arb) -> flint.arb:
    """-log(overlap / mass), from below and at least 0; a large number for an overlap of zero, which proves enough."""
    share = (overlap.upper() / mass.lower()).upper()
    if share >= 1:
        return Ball(0)
    return (-share.log()).max(Ball(0)).lower() if share > Ball(2) ** -60 else Ball(40)


def _by_mean(
    first_loss: Steps, first_gain: Steps, loss: Steps, gain: Steps, count: int, size: Fraction, num_means: int
) -> list[Steps]:
    """Lower bound on (prod a - prod |c|) / prod a(0) for t in each interval and the mean of `count` entries in each."""
    floors = [_down(a.min(b)) for a, b in zip(gain, gain[1:], strict=False)]
    means = [Fraction(j, num_means) for j in range(num_means + 1)]
    upper, lower = _Hull(), _Hull()
    upper.add(Fraction(0), Fraction(0))
    lower.add(Fraction(0), Fraction(0))
    rows = []
    for k, floor in enumerate(floors):
        near, far = size * k, size * (k + 1)
        upper.add(far, _down(-loss[k + 1]))
        lower.add(near, floor)
        lower.add(far, floor)
        first = _down(first_gain[k].min(first_gain[k + 1]))
        row = []
        for before, after in zip(means, means[1:], strict=False):
            most, least = -upper.at(far * after), max(Fraction(0), lower.at(near * before))
            shrunk = (-first_loss[k + 1] - rational(count * most)).exp()
            row.append(shrunk * -rational(-first - count * least).expm1())
        rows.append(row)
    return rows


def _down(ball: flint.arb) -> Fraction:
    """A rational of few bits certainly not above the ball."""
    return Fraction(float(np.nextafter(float(ball.lower()), -np.inf)))


class _Hull:
    """Lower convex hull of points that come from left to right, in rationals."""

    def __init__(self) -> None:
        self.xs: list[Fraction] = []
        self.ys: list[Fraction] = []

    def add(self, x: Fraction, y: Fraction) -> None:
        if self.xs and self.xs[-1] == x:
            self.xs.pop()
            y = min(y, self.ys.pop())
        while len(self.xs) >= 2:
            (x0, x1), (y0, y1) = self.xs[-2:], self.ys[-2:]
            if (y1 - y0) * (x - x0) < (y - y0) * (x1 - x0):
                break
            self.xs.pop()
            self.ys.pop()
        self.xs.append(x)
        self.ys.append(y)

    def at(self, x: Fraction) -> Fraction:
        right = min(max(1, bisect_left(self.xs, x)), len(self.xs) - 1)
        if not right:
            return self.ys[0]
        (x0, x1), (y0, y1) = self.xs[right - 1 : right + 1], self.ys[right - 1 : right + 1]
        return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
