"""Error of one affine function over every run of grid cells, for a piecewise-affine function of one variable."""

import numpy as np
from jaxtyping import Float

Vector = Float[np.ndarray, "_"]
Matrix = Float[np.ndarray, "num_edges num_edges"]

_UNIT = 2.0**-53


def l2_costs(knots: Vector, values: Vector, edges: Vector) -> tuple[Matrix, float]:
    """Least integral of (f - affine)^2 over [edges[i], edges[j]] at [i, j], and a bound on rounding in their sums.

    Runs grow one cell at a time by pooling centred moments, so that nothing large is subtracted but the variance that
    the affine function explains. Each of at most M poolings adds a few roundings of the run's own variance, and runs
    that share no cell have variances that add up to no more than the whole. Lengths are differences of edges, and
    distances of centres half of lengths: middles of short cells far from 0 are not known as well.
    """
    cells = _cell_moments(knots, values, edges)
    num_cells, moments = len(edges) - 1, cells
    cost = np.full((num_cells + 1, num_cells + 1), np.inf)
    np.fill_diagonal(cost, 0.0)
    for size in range(1, num_cells + 1):
        start = np.arange(num_cells - size + 1)
        length, last = edges[start + size] - edges[start], edges[start + size - 1]
        if size > 1:
            first, second = tuple(part[:-1] for part in moments), tuple(part[size - 1 :] for part in cells)
            moments = _pool(first, second, last - edges[start], edges[start + size] - last)
        _, xf, ff = moments
        cost[start, start + size] = np.maximum(ff - 12 * xf * xf / length**3, 0.0)
    total = float(moments[2][0])
    return cost, 64 * (num_cells + 1) * _UNIT * total


def l1_costs(knots: Vector, values: Vector, edges: Vector) -> tuple[Matrix, float]:
    """Lower bounds for the least integral of |f - affine| over [edges[i], edges[j]], and a bound on their rounding.

    The integral of f times s, s = -1 on the middle half of a run and 1 on the rest, is at most the distance, s being
    orthogonal to affine functions; for convex f it is equal to it. Disjoint sub-runs bound a run by their sum.
    """
    num_cells = len(edges) - 1
    table = _running_integral(knots, values)
    cost = np.full((num_cells + 1, num_cells + 1), np.inf)
    np.fill_diagonal(cost, 0.0)
    for size in range(1, num_cells + 1):
        start = np.arange(num_cells - size + 1)
        end = start + size
        a, b = edges[start], edges[end]
        inside = _integral(table, knots, values, 0.25 * a + 0.75 * b) - _integral(
            table, knots, values, 0.75 * a + 0.25 * b
        )
        best = np.abs(_integral(table, knots, values, b) - _integral(table, knots, values, a) - 2 * inside)
        for part in {size * k // 12 for k in (1, 2, 3, 4, 6, 8, 9, 10, 11)} | {1, size - 1}:
            if 0 < part < size:
                best = np.maximum(best, cost[start, start + part] + cost[start + part, end])
        cost[start, end] = best
    # integrals of size max|f| * length, summed over all knots; one such error a piece, at most a cell each
    scale = float(np.max(np.abs(values))) * float(edges[-1] - edges[0])
    return cost, 64 * (len(knots) + num_cells) * _UNIT * scale


def l1_of_partition(knots: Vector, values: Vector, partition: Vector) -> float:
    """Integral of |f - g|, g on each part the better of the least-squares line and that through the quarter points."""
    total = 0.0
    means, crosses, _ = _cell_moments(knots, values, partition)
    for a, b, mean, cross in zip(partition, partition[1:], means, crosses, strict=False):
        length = b - a
        inner = knots[(knots > a) & (knots < b)]
        points = np.concatenate([[a], np.repeat(inner, 2), [b]])
        left, right = points[0::2], points[1::2]
        middle = 0.5 * (left + right)
        segment = np.clip(np.searchsorted(knots, middle, side="right") - 1, 0, len(knots) - 2)
        step = knots[segment + 1] - knots[segment]
        slope = np.divide(values[segment + 1] - values[segment], step, out=np.zeros_like(step), where=step > 0)
        height = values[segment] + slope * (left - knots[segment])
        quarters = np.interp([0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b], knots, values)
        lines = [(mean, 12 * cross / length**3), (quarters.mean(), 2 * (quarters[1] - quarters[0]) / length)]
        errors = []
        for centre_value, tilt in lines:
            u = height - (centre_value + tilt * (left - 0.5 * (a + b)))
            v = u + (slope - tilt) * (right - left)
            size = np.abs(u) + np.abs(v)
            mixed = (u * u + v * v) / (2 * np.where(size > 0, size, 1.0))
            errors.append(float((right - left) @ np.where(u * v >= 0, size / 2, mixed)))
        total += min(errors)
    return total


def sup_costs(knots: Vector, values: Vector, edges: Vector) -> tuple[Matrix, float]:
    """Least sup of |f - affine| over [edges[i], edges[j]], and a bound on its error, for continuous f.

    On finitely many points the least sup error is that of some three of them, a < t < b: half the distance of f(t) from
    the chord. f is affine between edges, up to the deviation from its interpolant there, which goes to the error.
    """
    num_cells = len(edges) - 1
    heights = np.interp(edges, knots, values)
    deviation = float(np.max(np.abs(values - np.interp(knots, edges, heights))))
    cost = np.full((num_cells + 1, num_cells + 1), np.inf)
    np.fill_diagonal(cost, 0.0)
    for size in range(1, num_cells + 1):
        start = np.arange(num_cells - size + 1)
        end = start + size
        if size == 1:
            cost[start, end] = 0.0
            continue
        slope = (heights[end] - heights[start]) / (edges[end] - edges[start])
        between = start[:, None] + np.arange(1, size)
        gap = heights[between] - heights[start, None] - slope[:, None] * (edges[between] - edges[start, None])
        inner = np.maximum(cost[start, end - 1], cost[start + 1, end])
        cost[start, end] = np.maximum(np.max(np.abs(gap), axis=1) / 2, inner)
    return cost, deviation + 16 * _UNIT * float(np.max(np.abs(values)))


def _pool(
    first: tuple[Vector, ...], second: tuple[Vector, ...], left: Vector, right: Vector
) -> tuple[Vector, Vector, Vector]:
    """Moments (mean f, Sxf, Sff) of two neighbouring runs together, of lengths `left` and `right`."""
    f1, xf1, ff1 = first
    f2, xf2, ff2 = second
    df, share = f2 - f1, right / (left + right)
    return f1 + share * df, xf1 + xf2 + left * right / 2 * df, ff1 + ff2 + left * share * df * df


def _cell_moments(knots: Vector, values: Vector, edges: Vector) -> tuple[Vector, Vector, Vector]:
    """Mean, centred integral of x f and of f^2 of each cell, exactly integrated piece by piece."""
    fine = np.unique(np.concatenate([knots, edges]))
    fine = fine[(fine >= edges[0]) & (fine <= edges[-1])]
    left, right = fine[:-1], fine[1:]
    step = right - left
    segment = np.clip(np.searchsorted(knots, left, side="right") - 1, 0, len(knots) - 2)
    slope = (values[segment + 1] - values[segment]) / (knots[segment + 1] - knots[segment])
    start = values[segment] + slope * (left - knots[segment])
    end = values[segment + 1] - slope * (knots[segment + 1] - right)
    first = np.searchsorted(fine, edges[:-1])
    cell = np.repeat(np.arange(len(edges) - 1), np.diff(np.append(first, len(left))))
    length = np.diff(edges)
    mean = np.add.reduceat(step * (start + end) / 2, first) / length
    u, v = start - mean[cell], end - mean[cell]
    p, q = (place - edges[cell] - length[cell] / 2 for place in (left, right))
    cross = np.add.reduceat(step * (2 * p * u + p * v + q * u + 2 * q * v) / 6, first)
    return mean, cross, np.add.reduceat(step * (u * u + u * v + v * v) / 3, first)


def _running_integral(knots: Vector, values: Vector) -> Vector:
    return np.concatenate([[0.0], np.cumsum(np.diff(knots) * (values[1:] + values[:-1]) / 2)])


def _integral(table: Vector, knots: Vector, values: Vector, points: Vector) -> Vector:
    """Integral of the interpolant from its first knot to each point."""
    segment = np.clip(np.searchsorted(knots, points, side="right") - 1, 0, len(knots) - 2)
    run, step = points - knots[segment], knots[segment + 1] - knots[segment]
    slope = np.divide(values[segment + 1] - values[segment], step, out=np.zeros_like(run), where=step > 0)
    return table[segment] + run * (values[segment] + slope * run / 2)
