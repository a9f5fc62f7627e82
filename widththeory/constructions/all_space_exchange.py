"""Exact exchange of width for depth on all of R^d: no box, so that no running sum can be kept positive by an offset."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from widththeory.constructions.arguments import COUNTED, check_built, equal_widths, keep_python_numbers
from widththeory.network import Affine, Network
from widththeory.typing import Guarantee, Points, Size, Values, check_positive_int

_ZERO, _ONE = Fraction(0), Fraction(1)


def all_space_size(input_dim: int, widths: Sequence[int], num_groups: int | None = None) -> Size:
    """Size of the narrow network that equals one of given hidden widths n_1, ..., n_H on all of R^d.

    Width 2 d + H + 1 and G n_2 ... n_H + H - 1 hidden layers, where G is the number of groups of independent rows into
    which `exchange_everywhere` cuts the first weight matrix: ceil(n_1 / d) if any d rows are independent, n_1 at most.

    Args:
        input_dim: d, at least 1.
        widths: hidden widths of the original, at least one.
        num_groups: G; by default ceil(n_1 / d).

    Raises:
        ValueError: outside these ranges.

    Source:
        Derived for this project, after [vardi2022] Theorem 7 (`theorem_size`).
    """
    dim = check_positive_int("input_dim", input_dim)
    if not widths:
        raise ValueError("widths must hold at least one hidden width, got none")
    first, *rest = (check_positive_int("widths", units) for units in widths)
    groups = math.ceil(first / dim) if num_groups is None else check_positive_int("num_groups", num_groups)
    return Size(dim, equal_widths(2 * dim + len(widths) + 1, groups * math.prod(rest) + len(rest)))


def theorem_size(input_dim: int, width: int, depth: int) -> Size:
    """Size in the theorem: for H hidden layers of width n, width 2 (d + H) and (2 n)^H + 1 hidden layers.

    Args:
        input_dim: d, at least 1.
        width: n, at least 1.
        depth: H, at least 1.

    Raises:
        ValueError: outside these ranges.

    Source:
        [vardi2022] Theorem 7. Differs: L = H + 1 and their depth (2 n)^(L - 1) + 2 count the linear output.
    """
    input_dim, width, depth = (
        check_positive_int(name, number)
        for name, number in (("input_dim", input_dim), ("width", width), ("depth", depth))
    )
    power = (2 * width) ** min(depth, COUNTED)  # no higher one is counted
    return Size(input_dim, equal_widths(2 * (input_dim + depth), power + 1))


def independent_groups(weight: Any) -> list[list[int]]:
    """Numbers of the nonzero rows of a rational matrix, cut greedily into runs of linearly independent rows."""
    groups: list[list[int]] = [[]]
    echelon: list[np.ndarray] = []
    for index, row in enumerate(weight):
        if not any(row):
            continue
        left = _reduce(row, echelon)
        if not any(left):
            groups.append([])
            echelon, left = [], row
        groups[-1].append(index)
        echelon.append(left / next(entry for entry in left if entry))
    return groups


def _reduce(row: np.ndarray, echelon: list[np.ndarray]) -> np.ndarray:
    """What is left of `row` after rows with leading entry one, each zero where those before it lead."""
    for pivot_row in echelon:
        row = row - row[next(i for i, entry in enumerate(pivot_row) if entry)] * pivot_row
    return row


def _frame(rows: np.ndarray, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """An invertible matrix that starts with the given independent rows, and its inverse, in Fractions."""
    basis = [*rows]
    echelon: list[np.ndarray] = []
    for row in (*rows, *_fractions(np.eye(dim, dtype=int))):
        left = _reduce(row, echelon)
        if any(left):
            if len(echelon) >= len(rows):
                basis.append(row)
            echelon.append(left / next(entry for entry in left if entry))
    matrix = np.array(basis, dtype=object).reshape(dim, dim)
    both = np.hstack([matrix, _fractions(np.eye(dim, dtype=int))])
    for column in range(dim):  # Gauss and Jordan
        pivot = next(i for i in range(column, dim) if both[i, column])
        both[[column, pivot]] = both[[pivot, column]]
        both[column] = both[column] / both[column, column]
        for i in range(dim):
            if i != column:
                both[i] = both[i] - both[i, column] * both[column]
    return matrix, both[:, dim:]


def _fractions(array: Any) -> np.ndarray:
    array = np.asarray(array)
    return np.array([Fraction(int(entry)) for entry in array.ravel()], dtype=object).reshape(array.shape)


def _check_dim(input_dim: int) -> None:
    if input_dim > 256:
        raise ValueError(f"input_dim must be at most 256, as d x d matrices of Fractions are inverted, got {input_dim}")


def _with_negative(array: np.ndarray) -> np.ndarray:
    """Each row, and after it its negative."""
    return np.stack([array, -array], axis=1).reshape(-1, *array.shape[1:])


def _offsets(layers: Sequence[Affine], inverse: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """C_0 and C_1, an entry a row of the last layer, so that no partial sum there is below -(C_0 + C_1 |y|_1).

    Here y = A x + c, and A^(-1) and c are given.
    """
    (weight, bias), *middle, (last, _) = layers
    matrix = weight @ inverse
    constants, slopes = np.maximum(bias - matrix @ shift, 0), np.abs(matrix).max(axis=1)
    for weight, bias in middle:  # units are at most constants + slopes |y|_1
        positive = np.maximum(weight, 0)
        constants, slopes = positive @ constants + np.maximum(bias, 0), positive @ slopes
    negative = np.maximum(-last, 0)
    return negative @ constants, negative @ slopes


def exchange_everywhere(network: Network) -> Network:
    """The network of width 2 d + H + 1 that equals a network with H hidden layers at every point of R^d.

    A layer holds relu(y) and relu(-y) for coordinates y = A x + c that change from layer to layer, and one running sum
    for each hidden layer of the original. The first rows of A and entries of c are those of up to d units of its first
    layer, so these units are among the relu(y) and take no room. The sum over the first layer is held in two parts
    relu(s), relu(-s). Any other changes only in layers after those with one and the same A, so it is kept from being
    negative by C (1 + |y|_1) from its start to its end. The sum for a unit of a later layer ends as relu(s), which is
    that unit. All that a unit needs is computed anew for each unit that needs it.

    Args:
        network: one output, at least one hidden layer.

    Domain: all of R^d.
    Error: zero; entries are Fractions (floats are taken as the rationals they store).
    Size: `all_space_size`: width 2 d + H + 1, G n_2 ... n_H + H - 1 hidden layers. On a box `serialise` has width
        d + H + 1, with n_1 - d - 1, or n_1 n_2 + 1, hidden layers.

    Raises:
        ValueError: more than one output, no hidden layer, more than 256 inputs, or a result beyond memory.

    Source:
        Derived for this project, after [vardi2022] Theorem 7: width 2 (d + L - 1), depth (2 n)^(L - 1) + 2, both
        counting the output. Differs: H - 1 units less, as sums beyond the first need no negative part, and at most
        n^H + H - 1 hidden layers for their (2 n)^H + 1, as units of the first layer are coordinates of the carried
        input and sums are read while the next ones start.
    """
    if network.output_dim != 1:
        raise ValueError(f"network must have one output, got {network.output_dim}")
    if not network.size.depth:
        raise ValueError("network must have at least one hidden layer, got none")
    _check_dim(network.input_dim)
    check_built(all_space_size(network.input_dim, network.size.widths))
    original = network.rational().layers
    dim, height = network.input_dim, network.size.depth
    weight, bias = original[0]
    groups = independent_groups(weight)
    constants = np.array([_ZERO if any(row) else max(b, _ZERO) for row, b in zip(weight, bias, strict=True)])
    later = [Affine(original[1].weight, original[1].bias + original[1].weight @ constants), *original[2:]]
    periods = [1, *itertools.accumulate((len(groups), *network.size.widths[1:]), lambda a, b: a * b)]
    num_steps = periods[height]
    frames = [_frame(weight[group].reshape(-1, dim), dim) for group in groups]
    shifts = [np.concatenate([bias[group], np.full(dim - len(group), _ZERO)]) for group in groups]
    carried = [(level - 2) % len(groups) for level in range(2, height + 1)]  # the A that a sum beyond the first reads
    offsets = [_offsets(original[: i + 3], frames[at][1], shifts[at]) for i, at in enumerate(carried)]
    places = [2 * dim, *range(2 * dim + 2, 2 * dim + height + 1)]  # of the sums, the first in two parts
    width = 2 * dim + height + 1

    def sums(layer: int, rows: np.ndarray, biases: np.ndarray) -> None:
        """Rows and biases of the running sums in hidden layer `layer`, read from the layer before."""
        rows[0, 2 * dim + 1] = -_ONE
        for level in range(1, height + 1):
            row = rows[level - 1]
            row[places[level - 1]] = _ONE
            step = layer - level  # the step whose result arrives at this level now
            if step < 0 or (step + 1) % periods[level - 1]:
                continue
            num_terms = periods[level] // periods[level - 1]
            unit, place = divmod((step + 1) // periods[level - 1] - 1, num_terms)
            matrix, shift = later[level - 1]
            unit %= len(shift)
            starts, ends = place == 0, place == num_terms - 1
            if starts:
                row[:] = _ZERO
            if level == 1:
                biases[0] = starts * shift[unit]
                row[[2 * slot for slot in range(len(groups[place]))]] = matrix[unit, groups[place]]
            else:
                constants, slopes = offsets[level - 2]
                biases[level - 1] = (starts - ends) * constants[unit] + ends * shift[unit]
                row[: 2 * dim] = (starts - ends) * slopes[unit]
                row[places[level - 2]] += matrix[unit, place]

    layers: list[tuple[Any, Any]] = []
    for layer in range(num_steps + height - 1):
        now, before = layer % len(groups), (layer - 1) % len(groups)
        rows, biases = np.full((dim + height, width), _ZERO), np.full(dim + height, _ZERO)
        if layer == 0:
            rows = np.full((dim + height, dim), _ZERO)
            rows[:dim], biases[:dim] = frames[now][0], shifts[now]
        else:
            recode = frames[now][0] @ frames[before][1]
            rows[:dim, 0 : 2 * dim : 2], rows[:dim, 1 : 2 * dim : 2] = recode, -recode
            biases[:dim] = shifts[now] - recode @ shifts[before]
            sums(layer, rows[dim:], biases[dim:])
        rows, biases = (np.concatenate([_with_negative(part[: dim + 1]), part[dim + 1 :]]) for part in (rows, biases))
        layers.append((rows, biases))
    rows, biases = np.full((height, width), _ZERO), np.full(height, _ZERO)
    sums(num_steps + height - 1, rows, biases)
    return Network([*layers, (rows[-1:], biases[-1:])])


@dataclass(frozen=True)
class ExchangedEverywhere:
    """A random network on all of R^d, computed by a network of width 2 d + H + 1.

    Args:
        input_dim: d, at least 1 and at most 256.
        widths: hidden widths n_1, ..., n_H of the target, at least one.
        seed: draws weights and biases, uniform multiples of 1/4 in [-2, 2].

    Domain: the law is standard normal on R^d, so the guarantee is for every x in R^d.
    Error: zero.
    Size: `all_space_size`, with the number of groups that the random rows make.

    Raises:
        ValueError: outside these ranges.

    Source:
        Derived for this project, after [vardi2022] Theorem 7.
    """

    input_dim: int
    widths: tuple[int, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        all_space_size(self.input_dim, self.widths)
        _check_dim(self.input_dim)
        check_positive_int("seed", self.seed, at_least=0)

    @cached_property
    def wide(self) -> Network:
        """The target as a network."""
        check_built(Size(self.input_dim, self.widths))
        rng, layers = np.random.default_rng(self.seed), []
        for fan_in, fan_out in itertools.pairwise((self.input_dim, *self.widths, 1)):
            layers.append((rng.integers(-8, 9, (fan_out, fan_in)) / 4, rng.integers(-8, 9, fan_out) / 4))
        return Network(layers)

    def target(self, points: Points) -> Values:
        """Values of the wide network."""
        return self.wide(points)[:, 0]

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Standard normal points."""
        return rng.standard_normal((num_points, self.input_dim))

    def network(self) -> Network:
        """The narrow network, in exact rationals."""
        return exchange_everywhere(self.wide)

    def error(self) -> Guarantee:
        """The network is the target."""
        return Guarantee("sup", 0.0)

    def size(self) -> Size:
        """Width 2 d + H + 1."""
        groups = independent_groups(self.wide.rational().layers[0].weight)
        return all_space_size(self.input_dim, self.widths, len(groups))


EXAMPLES = (
    ExchangedEverywhere(1, (5,)),
    ExchangedEverywhere(3, (8,), seed=1),
    ExchangedEverywhere(2, (5, 4), seed=2),
    ExchangedEverywhere(2, (3, 2, 3), seed=3),
)
