"""Kernel-direction floors of products f(x) = g_1(x_1) ... g_n(x_n) on the cube, for any n and all directions at once.

A first layer of width below n leaves the network g constant along some direction v, which by symmetry has entries
u_i in [0, 1] with the largest one equal to 1. Compare f with itself moved by h = t u. On the box where x and x + h both
lie in the cube, e = f - g has the same difference as f, and for any weight w >= 0 that does not increase

    int_0^2 w(t) int |f(x + h) - f(x)| dx dt   <= 2 int_0^1 w dt * int |e|,
    int_0^2 w(t) int |f(x + h) - f(x)|^2 dx dt <= 2 int_0^1 w dt * int |e|^2    if w(|t|) is positive definite too:

on a chord of length at most 2 (in t) the left side is at most the integral of |e(s)|^p W(s), W(s) that of w(|s - t|)
over the chord, less in L2 a double integral of w(|s - t|) e(s) e(t) that is not negative. Here w is 1 or a triangle.
The inner integrals are bounded below by products of functions of one variable.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from widththeory.typing import Certified, check_choice, check_positive_int

Vector = Float[np.ndarray, "_"]
Matrix = Float[np.ndarray, "rows columns"]

_REACHES = (0.15, 0.2, 0.3, 0.45, 0.7, 1.0, 1.5, 2.5, np.inf)  # of the triangles tried, the best is taken
_NUM_MEANS = 200


def product_floor(
    factors: Sequence[Callable[[Vector], Vector]], lipschitz: Sequence[float], norm: str = "l2", *, num_cells: int = 600
) -> Certified:
    """Floor on [-1, 1]^n for f(x) = g_1(x_1) ... g_n(x_n) and first hidden layers of width at most n - 1.

    With a_i(t) the integral of g_i^2 over [-1, 1 - t] and c_i(t) that of g_i(x) g_i(x + t), in L2

        |f - g|^2 >= max_w min_u int_0^2 w(t) (prod a_i(t u_i) - prod |c_i(t u_i)|) dt / int_0^1 w dt,

    minimised over u with u_m = 1, m any index, by Jensen's inequality: the logarithms of both products are sums over
    the other entries, and functions of their mean through a concave majorant of -log a_i and a convex minorant of
    -log(|c_i| / a_i). In L1, with a_i the integral of |g_i| and
    nu_m(t) = min_{|lambda| <= 1} int |g_m(x + t) - lambda g_m(x)| dx,

        |f - g| >= max_w min_m int_0^2 w(t) nu_m(t) prod_{i != m} a_i(t) dt / (2 int_0^1 w dt).

    In the plane, where `kernel_direction.narrow_floor` finds the least distance itself, this is 0.9 (x_1 x_2) and 0.8
    (cos(pi x_1) cos(pi x_2)) of it in L2, and about 0.3 in L1.

    Args:
        factors: g_i, each even or odd, vectorised; at least two. The same function given n times is treated once.
        lipschitz: a proven bound on |g_i'| on [-1, 1] for each.
        norm: "l2" (not squared) or "l1"; integrals over the cube, of volume 2^n.
        num_cells: cells of [-1, 1].

    Error:
        Each g_i is replaced by its value at the middle of each cell, which moves f by at most `error` in the norm;
        `value` is a proven floor for the product of these steps, `value - error` for f, cut at 0.

    Raises:
        ValueError: fewer than two factors, one neither even nor odd or not finite, a bad Lipschitz constant, an unknown
            norm.

    Source: derived for this project; that a floor exists is [lu2017] Theorem 3, as recalled.
    """
    check_choice("norm", norm, ("l2", "l1"))
    if len(factors) < 2 or len(lipschitz) != len(factors):
        raise ValueError(
            f"factors must be at least two, with a Lipschitz constant each, got {len(factors)} and {len(lipschitz)}"
        )
    if not all(np.isfinite(bound) and bound >= 0 for bound in lipschitz):
        raise ValueError(f"lipschitz must hold finite numbers of at least 0, got {lipschitz!r}")
    check_positive_int("num_cells", num_cells, at_least=8)
    kinds = list(dict.fromkeys(zip(factors, map(float, lipschitz), strict=True)))
    which = [kinds.index(kind) for kind in zip(factors, map(float, lipschitz), strict=True)]
    steps = [_steps(factor, num_cells) for factor, _ in kinds]
    value = _square_floor(steps, which) if norm == "l2" else _absolute_floor(steps, which)
    # some 10^4 roundings of numbers below the norm of f, to its power, and factors even or odd up to 10^-12
    power = 2 if norm == "l2" else 1
    rounding = 1e-11 * float(np.prod([_mass(steps[i], power)[0] for i in which]))
    sure = max(0.0, value**power - rounding) ** (1 / power)
    error = _moved(steps, [bound for _, bound in kinds], which, norm) + (value - sure)
    return Certified(value, min(error, value))


def _steps(factor: Callable[[Vector], Vector], num_cells: int) -> Vector:
    """Values at the middles of the cells."""
    values = np.asarray(factor((np.arange(num_cells) + 0.5) * 2 / num_cells - 1), dtype=np.float64)
    if not np.all(np.isfinite(values)):
        raise ValueError("factors must be finite on [-1, 1], got NaN or infinity")
    slack = 1e-12 * np.max(np.abs(values))
    if min(np.max(np.abs(values - values[::-1])), np.max(np.abs(values + values[::-1]))) > slack:
        raise ValueError("factors must each be even or odd")
    return values


def _mass(values: Vector, power: int) -> Vector:
    """Integral of |g|^power over [-1, 1 - t] for t = 0, h, 2 h, ..., 2; affine between these t."""
    cells = np.abs(values) ** power * 2 / len(values)
    return np.concatenate([np.cumsum(cells)[::-1], [0.0]])


def _moved(steps: list[Vector], bounds: list[float], which: list[int], norm: str) -> float:
    """Norm of prod g_i - prod of steps: one factor exchanged at a time, the others bounded by their larger norm."""
    size = 2 / len(steps[0])
    power = 2 if norm == "l2" else 1
    # |x - middle| has mean square size^2 / 12 and mean size / 4
    gaps = [bound * (size / np.sqrt(6) if norm == "l2" else size / 2) for bound in bounds]
    norms = [float(_mass(values, power)[0] ** (1 / power)) + gap for values, gap in zip(steps, gaps, strict=True)]
    return float(sum(gaps[i] * np.prod([norms[j] for k, j in enumerate(which) if k != m]) for m, i in enumerate(which)))


def _triangle(reach: float, times: Vector) -> tuple[Vector, float]:
    """The weight (1 - t / reach)_+ and its integral over [0, 1]."""
    if np.isinf(reach):
        return np.ones_like(times), 1.0
    return np.maximum(0.0, 1 - times / reach), reach / 2 if reach <= 1 else 1 - 1 / (2 * reach)


def _best(integrands: list[Matrix], size: float) -> float:
    """Largest, over triangles, of the smallest integral over t; rows are intervals of t, columns what is minimised."""
    times = size * np.arange(1, integrands[0].shape[0] + 1)  # at the far ends, where the weight is least
    found = []
    for reach in _REACHES:
        weight, total = _triangle(reach, times)
        found.append(min(float((size * weight @ rows).min()) for rows in integrands) / total)
    return max(0.0, *found)


def _absolute_floor(steps: list[Vector], which: list[int]) -> float:
    """L1: the integral over x_m is at least nu_m(t) times the larger of two products, that over the rest prod a_i."""
    size = 2 / len(steps[0])
    masses = [_mass(values, 1) for values in steps]
    integrands = []
    for m in set(which):
        rest = list(which)
        rest.remove(m)
        nu = _nearest_multiple(steps[m])
        # nu of steps is at least its interpolant between multiples of the cell, since a minimum of affine functions is
        # concave; the least of its two ends and the far end of the decreasing masses bound the interval
        others = np.prod([masses[i][1:] for i in rest], axis=0)
        integrands.append((np.minimum(nu[:-1], nu[1:]) * others)[:, None])
    return 0.5 * _best(integrands, size)


def _nearest_multiple(values: Vector) -> Vector:
    """Minimum over |lambda| <= 1 of the integral of |g(x + t) - lambda g(x)| over [-1, 1 - t], t = 0, h, ..., 2."""
    number, found = len(values), np.zeros(len(values) + 1)
    for shift in range(1, number):
        moved, still = values[shift:], values[: number - shift]
        solid = np.abs(still) > 0
        ratios, weights = moved[solid] / still[solid], np.abs(still[solid])
        if len(ratios):  # a weighted median is a minimum; cut to [-1, 1] it stays one of a convex function
            order = np.argsort(ratios)
            middle = np.searchsorted(np.cumsum(weights[order]), 0.5 * weights.sum())
            best = float(np.clip(ratios[order[min(middle, len(order) - 1)]], -1.0, 1.0))
        else:
            best = 0.0
        found[shift] = np.abs(moved - best * still).sum() * 2 / number
    return found


def _square_floor(steps: list[Vector], which: list[int]) -> float:
    """L2: products of masses less products of overlaps, by the mean of the entries of u other than the largest."""
    number = len(steps[0])
    size, scale = 2 / number, float(np.prod([_mass(steps[i], 2)[0] for i in which]))
    masses = [_mass(values, 2) for values in steps]
    # nothing is left to prove at lags where a mass is zero, as the last one of each always is
    lags = min(int(np.argmin(mass > 0)) for mass in masses)
    if scale == 0 or lags < 2:
        return 0.0
    losses, gains = [], []
    for values, mass in zip(steps, masses, strict=True):
        overlap = np.abs(np.correlate(values, values, "full")[number - 1 :]) * size  # affine between shifts, up to sign
        with np.errstate(divide="ignore"):
            losses.append(-np.log(mass[:lags] / mass[0]))
            gains.append(np.maximum(0.0, -np.log(np.minimum(1.0, overlap[:lags] / mass[:lags]))))
    integrands = []
    for m in set(which):
        rest = list(which)
        rest.remove(m)
        loss, gain = np.max([losses[i] for i in rest], axis=0), np.min([gains[i] for i in rest], axis=0)
        integrands.append(scale * _by_mean(losses[m], gains[m], loss, gain, len(rest), size))
    return float(np.sqrt(_best(integrands, size)))


def _by_mean(first_loss: Vector, first_gain: Vector, loss: Vector, gain: Vector, count: int, size: float) -> Matrix:
    """Lower bound on (prod a - prod |c|) / prod a(0) for t in each interval and the mean of `count` entries in each.

    Losses -log(a / a(0)) increase and are convex between multiples of the cell, so their concave majorant on [0, t] is
    the hull of the values there. Gains -log(|c| / a) are at least their lesser end on each interval, as |c| lies below
    a ratio of affine functions times a.
    """
    floors = np.minimum(gain[:-1], gain[1:])
    means = np.linspace(0.0, 1.0, _NUM_MEANS + 1)
    upper, lower = _Hull(), _Hull()
    upper.add(0.0, 0.0)
    lower.add(0.0, 0.0)
    rows = np.zeros((len(loss) - 1, _NUM_MEANS))
    for k in range(len(loss) - 1):
        near, far = size * k, size * (k + 1)
        upper.add(far, -float(loss[k + 1]))
        lower.add(near, float(floors[k]))
        lower.add(far, float(floors[k]))
        most = -upper.at(far * means[1:])
        least = np.maximum(0.0, lower.at(near * means[:-1]))
        first = min(first_gain[k], first_gain[k + 1])
        rows[k] = np.exp(-first_loss[k + 1] - count * most) * -np.expm1(-first - count * least)
    return rows


class _Hull:
    """Lower convex hull of points that come from left to right."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float]] = []

    def add(self, x: float, y: float) -> None:
        if self.points and self.points[-1][0] == x:
            y = min(y, self.points.pop()[1])
        while len(self.points) >= 2:
            (x0, y0), (x1, y1) = self.points[-2:]
            if (y1 - y0) * (x - x0) < (y - y0) * (x1 - x0):
                break
            self.points.pop()
        self.points.append((x, y))

    def at(self, xs: Vector) -> Vector:
        nodes = np.array(self.points)
        return np.interp(xs, nodes[:, 0], nodes[:, 1])
