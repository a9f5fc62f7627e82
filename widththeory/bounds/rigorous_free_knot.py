"""`free_knot` without rounding: for a piecewise-affine function every cost, and so every floor, is a rational number.

The argument is that of `free_knot`; here costs of runs of cells, sums and comparisons are exact. The enclosure is as
wide as the grid makes it, and the ball adds one root (in L2) and one rounding.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

from widththeory.bounds.affine_pieces import max_affine_pieces
from widththeory.bounds.rigorous import flint, rational
from widththeory.typing import check_positive_int

Exact: TypeAlias = flint.fmpq
Costs: TypeAlias = list[list[Any]]  # [i][j], j >= i: cost of one affine function over cells i, ..., j - 1


class Enclosure(NamedTuple):
    """lower <= least distance to functions with P affine pieces <= upper, exactly; squared distances in L2."""

    lower: Fraction
    upper: Fraction


def free_knot_enclosure(
    knots: Sequence[Any], values: Sequence[Any], num_pieces: int, norm: str = "l2", *, num_cells: int = 48
) -> Enclosure:
    """The least distance from a continuous piecewise-affine function to functions with P affine pieces, in rationals.

    Cells that hold no optimal breakpoint are joined and the others halved, as in `free_knot.free_knot_floor`, for as
    long as they fit in `num_cells` and the enclosure narrows.

    Args:
        knots: increasing; floats are taken as the rationals they store.
        values: one for each knot.
        num_pieces: P, at least 1.
        norm: "l2" (squared), "l1" or "sup".
        num_cells: cells of the grids, those between the function's own knots not counted; time grows as its cube in
            sup, as its square in the others.

    Raises:
        ValueError: knots that do not increase, numbers out of range, or an unknown norm.

    Source: derived for this project.
    """
    check_positive_int("num_pieces", num_pieces)
    check_positive_int("num_cells", num_cells, at_least=2)
    if norm not in _COSTS:
        raise ValueError(f"norm must be one of {', '.join(_COSTS)}, got {norm!r}")
    function = _Function(knots, values)
    edges: list[Exact] | None = function.grid(max(2, num_cells // 2))
    assert edges is not None
    closed = [False] * (len(edges) - 1)
    best: tuple[Exact, Exact] | None = None
    while edges is not None:
        costs = _COSTS[norm](function, edges)
        lower, upper, through, partition = _one_count(costs, closed, num_pieces, _larger if norm == "sup" else _sum)
        if norm == "l1":
            upper = function.l1_error([edges[at] for at in partition])
        if best is not None:
            lower, upper = _larger(lower, best[0]), -_larger(-upper, -best[1])
            if 10 * (upper - lower) >= 9 * (best[1] - best[0]):
                best = lower, upper
                break
        best = lower, upper
        edges, closed = _refined(function, edges, [cost is None or cost > upper for cost in through], num_cells)
    assert best is not None
    return Enclosure(*(Fraction(int(number.p), int(number.q)) for number in best))


def free_knot_floor(
    knots: Sequence[Any],
    values: Sequence[Any],
    num_pieces: int,
    norm: str = "l2",
    *,
    num_cells: int = 48,
    precision: int = 128,
) -> flint.arb:
    """`free_knot_enclosure` as a ball, of the distance itself (not squared in L2).

    Args:
        knots, values, num_pieces, norm, num_cells: as there.
        precision: bits.

    Error: the radius, mostly half the width of the enclosure.

    Raises:
        ValueError: as there.

    Source: derived for this project.
    """
    found = free_knot_enclosure(knots, values, num_pieces, norm, num_cells=num_cells)
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        low, high = (rational(number) for number in found)
        return low.sqrt().union(high.sqrt()) if norm == "l2" else low.union(high)


def network_floor(
    knots: Sequence[Any],
    values: Sequence[Any],
    widths: Sequence[int],
    norm: str = "l2",
    *,
    num_cells: int = 48,
    precision: int = 128,
) -> flint.arb:
    """`free_knot.network_floor` as a ball: no ReLU network of these hidden widths comes closer than its lower end.

    Args:
        knots, values: of the function, as in `free_knot_enclosure`.
        widths: units of each hidden layer; P = prod(w_l + 1).
        norm: "l2" (not squared), "l1" or "sup".
        num_cells: as there.
        precision: bits.

    Error: the radius, mostly half the width of the enclosure.

    Raises:
        ValueError: as there, or a width below 1.

    Source: derived for this project; the piece count is [serra2018] (as recalled).
    """
    pieces = max_affine_pieces(widths)
    return free_knot_floor(knots, values, pieces, norm, num_cells=num_cells, precision=precision)


def _exact(number: Any) -> Exact:
    number = Fraction(number)
    return Exact(number.numerator, number.denominator)


def _sum(left: Exact, right: Exact) -> Exact:
    return left + right


def _larger(left: Exact, right: Exact) -> Exact:
    return right if left < right else left


class _Function:
    """The interpolant of values at knots, and its integrals."""

    def __init__(self, knots: Sequence[Any], values: Sequence[Any]):
        self.knots, self.values = [_exact(knot) for knot in knots], [_exact(value) for value in values]
        if len(self.knots) < 2 or len(self.knots) != len(self.values):
            raise ValueError(f"knots must be at least two, with one value each, got {len(knots)} and {len(values)}")
        if any(not a < b for a, b in zip(self.knots, self.knots[1:], strict=False)):
            raise ValueError("knots must increase")

    def grid(self, num_cells: int) -> list[Exact]:
        """Equal cells, and the function's own knots."""
        low, high = self.knots[0], self.knots[-1]
        equal = [low + (high - low) * index / num_cells for index in range(num_cells + 1)]
        return sorted({(n.p, n.q): n for n in (*equal, *self.knots)}.values())

    def __call__(self, point: Exact) -> Exact:
        index = next(i for i in range(1, len(self.knots)) if point <= self.knots[i])
        left, right = self.knots[index - 1], self.knots[index]
        rise = self.values[index] - self.values[index - 1]
        return self.values[index - 1] + rise * (point - left) / (right - left)

    def segments(self, a: Exact, b: Exact) -> list[tuple[Exact, Exact]]:
        """Points of [a, b] between which the function is affine, with its values."""
        inner = [(x, y) for x, y in zip(self.knots, self.values, strict=True) if a < x < b]
        return [(a, self(a)), *inner, (b, self(b))]

    def moments(self, points: Sequence[Exact]) -> list[tuple[Exact, Exact, Exact]]:
        """Integrals of f, x f and f^2 from the first point to each; the points go through all knots between them."""
        found, total = [(Exact(0),) * 3], [Exact(0)] * 3
        heights = [self(point) for point in points]
        for x, y, u, v in zip(points, points[1:], heights, heights[1:], strict=False):
            step = y - x
            total[0] += step * (u + v) / 2
            total[1] += step * (2 * x * u + x * v + y * u + 2 * y * v) / 6
            total[2] += step * (u * u + u * v + v * v) / 3
            found.append((total[0], total[1], total[2]))
        return found

    def integral(self, a: Exact, b: Exact) -> Exact:
        """Of f over [a, b]."""
        points = self.segments(a, b)
        pairs = zip(points, points[1:], strict=False)
        return sum(((y - x) * (u + v) / 2 for (x, u), (y, v) in pairs), Exact(0))

    def l1_error(self, partition: Sequence[Exact]) -> Exact:
        """Integral of |f - g|, g on each part the better of two lines: least squares, or through the quarter points."""
        total = Exact(0)
        for a, b in zip(partition, partition[1:], strict=False):
            points = self.segments(a, b)
            zeroth, first, _ = self.moments([x for x, _ in points])[-1]
            length, centre = b - a, (a + b) / 2
            low, high = (self(a + length * share / 4) for share in (1, 3))
            lines = [
                (zeroth / length, 12 * (first - centre * zeroth) / length**3),
                ((low + high) / 2, 2 * (high - low) / length),
            ]
            total += min(_absolute([(x, y - value - tilt * (x - centre)) for x, y in points]) for value, tilt in lines)
        return total


def _absolute(points: list[tuple[Exact, Exact]]) -> Exact:
    """Integral of the modulus of the interpolant."""
    total = Exact(0)
    for (x, u), (y, v) in zip(points, points[1:], strict=False):
        size = abs(u) + abs(v)
        if size:
            total += (y - x) * (size / 2 if u * v >= 0 else (u * u + v * v) / (2 * size))
    return total


def _l2_costs(function: _Function, edges: list[Exact]) -> Costs:
    """What is left of the integral of f^2 over a run by its best affine function."""
    moments, count = function.moments(edges), len(edges)
    costs: Costs = [[None] * count for _ in range(count)]
    for i in range(count):
        costs[i][i] = Exact(0)
        for j in range(i + 1, count):
            length, centre = edges[j] - edges[i], (edges[j] + edges[i]) / 2
            zeroth, first, second = (b - a for a, b in zip(moments[i], moments[j], strict=True))
            first -= centre * zeroth
            costs[i][j] = second - zeroth**2 / length - 12 * first**2 / length**3
    return costs


def _l1_costs(function: _Function, edges: list[Exact]) -> Costs:
    """|int f s|, s = -1 on the middle half of a run and 1 on the rest, or two sub-runs' costs added: a lower bound."""
    count = len(edges)
    costs: Costs = [[None] * count for _ in range(count)]
    for i in range(count):
        costs[i][i] = Exact(0)
    for size in range(1, count):
        for i in range(count - size):
            j = i + size
            a, b = edges[i], edges[j]
            quarter = (b - a) / 4
            inside = function.integral(a + quarter, b - quarter)
            best = abs(function.integral(a, b) - 2 * inside)
            for part in sorted({size * k // 4 for k in (1, 2, 3)} | {1, size - 1}):
                if 0 < part < size:
                    best = max(best, costs[i][i + part] + costs[i + part][j])
            costs[i][j] = best
    return costs


def _sup_costs(function: _Function, edges: list[Exact]) -> Costs:
    """Half the largest distance of a point of f from a chord: three points decide, and f is affine between edges."""
    count, heights = len(edges), [function(edge) for edge in edges]
    costs: Costs = [[None] * count for _ in range(count)]
    for i in range(count):
        costs[i][i] = Exact(0)
    for size in range(1, count):
        for i in range(count - size):
            j = i + size
            best = max(costs[i][j - 1], costs[i + 1][j])
            slope = (heights[j] - heights[i]) / (edges[j] - edges[i])
            for t in range(i + 1, j):
                best = max(best, abs(heights[t] - heights[i] - slope * (edges[t] - edges[i])) / 2)
            costs[i][j] = best
    return costs


_COSTS: dict[str, Callable[[_Function, list[Exact]], Costs]] = {"l2": _l2_costs, "l1": _l1_costs, "sup": _sup_costs}


def _one_count(
    costs: Costs, closed: list[bool], num_pieces: int, combine: Callable[[Exact, Exact], Exact]
) -> tuple[Exact, Exact, list[Any], list[int]]:
    """(lower, upper, for each cell the lower cost given a breakpoint in it or None, edges of the upper's partition)."""
    last = len(closed)
    if num_pieces == 1:
        return costs[0][last], costs[0][last], [None] * last, [0, last]
    open_cells = [cell for cell in range(last) if not closed[cell]]

    def through_cells(run: Callable[[int, int], Exact], first: Callable[[int], Exact], order: list[int]) -> list[dict]:
        """[k][cell]: least cost on one side of the cell, with k more breakpoints there; cells in the order of reach."""
        found = [{cell: first(cell) for cell in order}]
        for _ in range(num_pieces - 2):
            before = found[-1]
            found.append(
                {cell: min(combine(before[c], run(c, cell)) for c in order[: at + 1]) for at, cell in enumerate(order)}
            )
        return found

    def between(c: int, e: int) -> Exact:
        return costs[min(c, e) + 1][max(c, e)] if c != e else Exact(0)

    forward = through_cells(between, lambda cell: costs[0][cell], open_cells)
    backward = through_cells(between, lambda cell: costs[cell + 1][last], open_cells[::-1])
    through: list[Any] = [None] * last
    for cell in open_cells:
        through[cell] = min(
            combine(forward[k][cell], backward[num_pieces - 2 - k][cell]) for k in range(num_pieces - 1)
        )
    above, choices = costs[0], []
    for _ in range(num_pieces - 1):
        sums = [[combine(above[i], costs[i][j]) for i in range(j + 1)] for j in range(last + 1)]
        chosen = [row.index(min(row)) for row in sums]
        above = [row[i] for row, i in zip(sums, chosen, strict=True)]
        choices.append(chosen)
    at, partition = last, {0, last}
    for chosen in reversed(choices):
        at = chosen[at]
        partition.add(at)
    return min(through[cell] for cell in open_cells), above[last], through, sorted(partition)


def _refined(
    function: _Function, edges: list[Exact], closed: list[bool], num_cells: int
) -> tuple[list[Exact] | None, list[bool]]:
    """Neighbouring closed cells joined, but for a knot between, and the open ones halved; None if they do not fit."""
    finer, flags = [edges[0]], list[bool]()
    for index, shut in enumerate(closed):
        left, right = edges[index], edges[index + 1]
        if shut and flags and flags[-1] and left not in function.knots:
            finer[-1] = right
            continue
        finer += [right] if shut else [(left + right) / 2, right]
        flags += [True] if shut else [False, False]
    return (None, closed) if len(flags) > num_cells + len(function.knots) or False not in flags else (finer, flags)
