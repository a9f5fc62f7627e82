"""Floor for any function of one variable: the best approximation with P affine pieces, continuous or not, enclosed.

A network of hidden widths w_l is affine on at most P = prod(w_l + 1) pieces of an interval, so no network of that width
and depth comes closer than the best choice of P pieces with free knots. On a grid of M cells the P - 1 breakpoints lie
in at most P - 1 cells. Dropping what happens in these cells leaves full runs of cells, each with one affine function:
the least such cost, found by dynamic programming, is certainly below the optimum. Breakpoints at grid points give a
cost certainly above it.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from widththeory.bounds.affine_pieces import max_affine_pieces
from widththeory.bounds.free_knot_costs import l1_costs, l1_of_partition, l2_costs, sup_costs
from widththeory.bounds.tabulated import Tabulated
from widththeory.typing import Certified, check_positive_int

Vector = Float[np.ndarray, "_"]

_POWERS = {"l2": 1, "l1": 2, "sup": 0}  # of the root of a length, in a distance


class Enclosures(NamedTuple):
    """Bounds on the error of the best approximation with at most P pieces, P = 1, 2, ... (entry P - 1)."""

    lower: Vector
    upper: Vector


def free_knot_enclosures(function: Tabulated, max_pieces: int, norm: str = "l2", num_cells: int = 1024) -> Enclosures:
    """Enclosures of the least distance to functions with P affine pieces, for all P up to `max_pieces` at once.

    lower[P - 1] <= min over g with P affine pieces of |f - g| <= upper[P - 1]. For a smooth function the relative width
    is about 5 P / (2 num_cells) in L2; `free_knot_floor` narrows it for one P. In L1 the cost of a run is bounded below
    by integrals of f against the signs of an extremal polynomial, exact where f is convex or concave on the run.

    Args:
        function: on its interval; see `tabulated.tabulate`.
        max_pieces: largest P.
        norm: "l2" (not squared), "l1" or "sup".
        num_cells: M; memory 24 M^2 bytes, time about 3 ms times `max_pieces` at M = 1024; at most 512 are used in sup.

    Raises:
        ValueError: sizes out of range, an unknown norm, or the sup norm of a function with a jump.

    Source: derived for this project.
    """
    check_positive_int("max_pieces", max_pieces)
    check_positive_int("num_cells", num_cells)
    function, unit = _normalised(function, norm)
    edges = _grid(function, num_cells, norm)
    costs = _costs(function, edges, norm)
    lower, upper = [costs.cost[0, -1]], [costs.cost[0, -1]]
    below, step = costs.cost[0, :-1], _dropped(costs.cost)
    above, choices = costs.cost[0], []
    for _ in range(max_pieces - 1):
        lower.append(np.min(costs.combine(below, costs.cost[1:, -1])))
        below = np.min(costs.combine(below[:, None], step), axis=0)
        table = costs.combine(above[:, None], costs.cost)
        above = np.min(table, axis=0)
        upper.append(above[-1])
        if norm == "l1":
            choices.append(np.argmin(table, axis=0))
    if norm == "l1":
        upper = [_l1_upper(function, edges, choices[:count]) for count in range(max_pieces)]
    ends = _as_distances(function, norm, np.array(lower), np.array(upper), costs.rounding)
    return Enclosures(*(np.ldexp(end, unit) for end in ends))


def free_knot_floor(
    function: Tabulated, num_pieces: int, norm: str = "l2", num_cells: int = 1024, tolerance: float = 1e-3
) -> Certified:
    """The least distance to functions with `num_pieces` affine pieces, continuous or not.

    Cells where no optimal breakpoint can lie (the best lower cost with one there exceeds the upper bound) are joined,
    the others halved, until the enclosure is narrower than `tolerance` times its upper end or narrows no more.

    Args:
        function: on its interval; see `tabulated.tabulate`.
        num_pieces: P, at least 1.
        norm: "l2" (not squared), "l1" or "sup".
        num_cells: largest number of cells of a grid; at most 512 are used in sup.
        tolerance: wanted relative width, not promised.

    Error: `error` is half the width of the enclosure, the function's `sup_error` and rounding included.

    Raises:
        ValueError: sizes out of range, an unknown norm, or the sup norm of a function with a jump.

    Source: derived for this project.
    """
    check_positive_int("num_pieces", num_pieces)
    check_positive_int("num_cells", num_cells, at_least=4)
    function, unit = _normalised(function, norm)
    edges: Any = _grid(function, max(1, num_cells // 2), norm)
    closed = np.zeros(len(edges) - 1, dtype=bool)  # cells that hold no optimal breakpoint
    best_lower, best_upper = 0.0, np.inf
    while edges is not None:
        costs = _costs(function, edges, norm)
        lower, upper, through, choices = _one_count(costs, closed, num_pieces)
        if norm == "l1":
            upper = _l1_upper(function, edges, choices)
        previous = best_upper - best_lower
        (low,), (high,) = _as_distances(function, norm, np.array([lower]), np.array([upper]), costs.rounding)
        best_lower, best_upper = max(best_lower, float(low)), min(best_upper, float(high))
        width = best_upper - best_lower
        if width <= tolerance * best_upper or width > 0.9 * previous:
            break
        edges, closed = _refined(edges, through > upper + 2 * costs.rounding, num_cells)
    value = 0.5 * (best_lower + best_upper)
    error = 0.5 * (best_upper - best_lower) * (1 + 1e-15) if best_lower > 0 else value
    # in the end all is rounded to multiples of the smallest float
    return Certified(math.ldexp(value, unit), math.ldexp(error, unit) + (math.ulp(0.0) if value else 0.0))


def network_floor(function: Tabulated, widths: Sequence[int], norm: str = "l2", num_cells: int = 1024) -> Certified:
    """The least distance from a function of one variable to piecewise-affine functions with prod(w_l + 1) pieces.

    No ReLU network with these hidden widths comes closer than `lower`; whether one comes as close as `upper` depends on
    more than the count of pieces. Norms are integrals over the function's interval (divide the square by its length for
    a mean square).

    Args:
        function: on its interval; see `tabulated.tabulate`.
        widths: units of each hidden layer.
        norm: "l2" (not squared), "l1" or "sup".
        num_cells: see `free_knot_floor`.

    Error: enclosure of the best piecewise-affine approximation. With more pieces than cells the lower end is 0.

    Raises:
        ValueError: sizes out of range, an unknown norm, or the sup norm of a function with a jump.

    Source: derived for this project; the piece count is [serra2018] (as recalled).
    """
    pieces = max_affine_pieces(widths)
    check_positive_int("num_cells", num_cells, at_least=4)
    if pieces > num_cells:  # every cell may hold a breakpoint, so nothing is left; fewer pieces give the upper end
        upper = free_knot_floor(function, num_cells // 4, norm, num_cells).upper
        return Certified(upper / 2, upper / 2)
    return free_knot_floor(function, pieces, norm, num_cells)


class _Costs(NamedTuple):
    """Entry [i, j]: cost of one affine function over cells i, ..., j - 1; 0 where i = j, inf where i > j.

    A lower bound in L1, exact up to `rounding` in L2 and sup. `combine` adds two disjoint runs.
    """

    cost: np.ndarray
    rounding: float
    combine: np.ufunc


def _normalised(function: Tabulated, norm: str) -> tuple[Tabulated, int]:
    """The same up to a constant, a shift of the interval and powers of 2, and the power of 2 in units of distance.

    Rounding is then that of the function's variation, and cubes of lengths and squares of values do not underflow.
    """
    if norm not in _POWERS:
        raise ValueError(f"norm must be 'l2', 'l1' or 'sup', got {norm!r}")
    stretch, height = 2 * (math.frexp(function.length)[1] // 2), math.frexp(float(np.max(np.abs(function.values))))[1]
    knots, values = np.ldexp(function.knots, -stretch), np.ldexp(function.values, -height)
    length = knots[-1] - knots[0]
    centred = values - float(np.diff(knots) @ (values[1:] + values[:-1]) / 2) / length
    nearest = min(knots[0], knots[-1], key=abs)
    if knots[0] * knots[-1] > 0 and abs(nearest) >= length:
        knots = knots - nearest  # exact: all have one sign, and none is more than twice this one
    # each value was rounded once, relative to itself
    error = math.ldexp(function.sup_error, -height) + 2.0**-53 * float(np.max(np.abs(centred)))
    return Tabulated(knots, centred, error), height + stretch // 2 * _POWERS[norm]


def _costs(function: Tabulated, edges: Vector, norm: str) -> _Costs:
    if norm == "l2":
        return _Costs(*l2_costs(function.knots, function.values, edges), np.add)
    if norm == "l1":
        return _Costs(*l1_costs(function.knots, function.values, edges), np.add)
    return _Costs(*sup_costs(function.knots, function.values, edges), np.maximum)


def _dropped(cost: np.ndarray) -> np.ndarray:
    """Entry [c, e]: cost of the full cells between breakpoints in cells c <= e, the cells c and e left out."""
    step = np.full((len(cost) - 1, len(cost) - 1), np.inf)
    step[:-1] = cost[1:-1, :-1]
    np.fill_diagonal(step, 0.0)
    return step


def _one_count(costs: _Costs, closed: np.ndarray, num_pieces: int) -> tuple[float, float, np.ndarray, list[np.ndarray]]:
    """(lower, upper, for each cell the lower cost given a breakpoint in it, choices that give the upper cost)."""
    cost, combine = costs.cost, costs.combine
    above = cost[0]
    choices: list[np.ndarray] = []
    if num_pieces == 1:
        return float(above[-1]), float(above[-1]), np.full(len(closed), np.inf), choices
    barrier = np.where(closed, np.inf, 0.0)
    step = _dropped(cost) + barrier
    forward = [cost[0, :-1] + barrier]  # entry k: the (k + 1)-th breakpoint lies in this cell
    for count in range(1, num_pieces):
        if count > 1:
            forward.append(np.min(combine(forward[-1][:, None], step), axis=0))
        table = combine(above[:, None], cost)
        choices.append(np.argmin(table, axis=0))
        above = np.take_along_axis(table, choices[-1][None, :], axis=0)[0]
    backward = cost[1:, -1] + barrier  # pieces to the right of a breakpoint in this cell
    through = combine(forward[-1], backward)
    lower = float(np.min(through))
    for ahead in reversed(forward[:-1]):
        backward = np.min(combine(step, backward[None, :]), axis=1)
        through = np.minimum(through, combine(ahead, backward))
    return lower, float(above[-1]), through, choices


def _l1_upper(function: Tabulated, edges: Vector, choices: list[np.ndarray]) -> float:
    """L1 error of an affine function on each piece of the partition that the choices lead to."""
    at, cuts = len(edges) - 1, [len(edges) - 1]
    for choice in reversed(choices):
        at = int(choice[at])
        cuts.append(at)
    partition = np.unique(np.append(edges[cuts], edges[0]))
    return l1_of_partition(function.knots, function.values, partition)


def _refined(edges: Vector, closed: np.ndarray, num_cells: int) -> tuple[Vector | None, np.ndarray]:
    """Join neighbouring closed cells and cut the open ones; None where they do not fit in `num_cells`."""
    starts: np.ndarray = np.ones(len(closed), dtype=bool)
    starts[1:] = ~(closed[1:] & closed[:-1])
    num_open = int(np.sum(~closed))
    parts = min(16, (num_cells - int(np.sum(starts & closed))) // max(num_open, 1))
    if parts < 2 or num_open == 0:
        return None, closed
    first = np.flatnonzero(starts)
    pieces, flags = [], []
    for index, after in zip(first, np.append(first[1:], len(closed)), strict=True):
        count = 1 if closed[index] else parts
        pieces.append(np.linspace(edges[index], edges[after], count + 1)[:-1])
        flags += [bool(closed[index])] * count
    refined = np.append(np.concatenate(pieces), edges[-1])
    fine_enough = np.min(np.diff(refined)) <= 1e-12 * (edges[-1] - edges[0])
    return (None, closed) if fine_enough else (refined, np.array(flags))


def _grid(function: Tabulated, num_cells: int, norm: str) -> Vector:
    """About `num_cells` cells; the function's own knots are edges where they are few."""
    if norm == "sup":
        if np.any(np.diff(function.knots) == 0):
            raise ValueError("norm 'sup' needs a continuous function, got knots that are given twice")
        num_cells = min(num_cells, 512)  # the cost of all runs takes num_cells^3 / 6 operations
    uniform = np.linspace(function.knots[0], function.knots[-1], num_cells + 1)
    own = np.unique(function.knots)
    if len(own) > num_cells // 2:
        return uniform
    merged = np.union1d(own, uniform)
    far = np.min(np.abs(merged[:, None] - own[None, :]), axis=1) > 1e-3 * (uniform[1] - uniform[0])
    return merged[far | np.isin(merged, own)]


def _as_distances(
    function: Tabulated, norm: str, lower: np.ndarray, upper: np.ndarray, rounding: float
) -> tuple[np.ndarray, np.ndarray]:
    lower, upper = np.maximum(lower - rounding, 0.0), upper + rounding
    measure = {"l2": np.sqrt(function.length), "l1": function.length, "sup": 1.0}[norm]
    if norm == "l2":
        lower, upper = np.sqrt(lower), np.sqrt(upper)
    shift = function.sup_error * measure
    return np.maximum(lower - shift, 0.0) * (1 - 1e-15), (upper + shift) * (1 + 1e-15)
