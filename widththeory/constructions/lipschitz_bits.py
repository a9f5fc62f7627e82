"""A Lipschitz function of one variable at error of the order of depth^(-2): digits of its increments are packed.

At constant width, an interpolant whose weights depend on the function continuously reaches depth^(-1) only. Here one
weight holds many increments of the function, as digits that later layers take out one by one.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from widththeory.constructions.arguments import COUNTED, check_built, keep_python_numbers
from widththeory.network import Network, compose, stack
from widththeory.typing import Guarantee, Points, Size, Values, check_positive_int, to_fraction


def tracking_walk(values: list[Fraction], step: Fraction) -> tuple[list[Fraction], list[int]]:
    """A walk q with q_{i+1} = q_i ± step that stays within `step` of a sequence whose own steps are at most `step`.

    Starting at q_0 = v_0, it goes up where v_{i+1} >= q_i and down otherwise; |v_i - q_i| <= step follows by induction.
    Returns the walk and its bits (1 for up).
    """
    walk, bits = [values[0]], []
    for value in values[1:]:
        bits.append(int(value >= walk[-1]))
        walk.append(walk[-1] + (step if bits[-1] else -step))
    return walk, bits


Rows = list[list[Fraction]]
_ZERO, _ONE = Fraction(0), Fraction(1)


def _digits_network(walk: list[Fraction], bits: list[int], num_cells: int, num_digits: int, shift: Fraction) -> Network:
    """x -> interpolant of the walk at x + shift, plus an offset that keeps it positive, outside short windows."""
    step = Fraction(1, num_cells * num_digits)
    finding, read, given = _find_cell(walk, bits, num_cells, num_digits, shift)
    # y, index, base and code of the cell become (place, code, total, u, u', v, v'): place is the position in the cell
    # in fine cells, u and u' see the first bit of the code, v and v' the position in the first fine cell
    place = [a / step - num_digits * b for a, b in zip(read[0], read[1], strict=True)]
    start = (given[0] - 1) / step - num_digits * given[1]
    digit = [3 * a for a in read[3]]
    unpack = [place, read[3], read[2], digit, digit, place, place]
    biases = [start, given[3], given[2], 3 * given[3] - Fraction(1, 2), 3 * given[3] - 1, start, start - 1]
    layers = [*finding, (unpack, biases)]
    for s in range(num_digits):
        spend = [[1, 0, 0, 0, 0, 0, 0], [0, 3, 0, -2, 2, 0, 0], [0, 0, 1, 0, 0, -step, step], [0, 0, 0, 2, -2, 1, -1]]
        layers.append((_fractions(spend), [_ZERO, _ZERO, _ZERO, -_ONE]))  # place, code, total, and bit * position
        if s + 1 < num_digits:
            place_row, code_row = [1, 0, 0, 0], [0, 3, 0, 0]
            state = [place_row, [0, 1, 0, 0], [0, 0, 1, 2 * step]]
            unpack = _fractions([*state, code_row, code_row, place_row, place_row])
            biases = [_ZERO, _ZERO, _ZERO, -Fraction(1, 2), -_ONE, Fraction(-s - 1), Fraction(-s - 2)]
            layers.append((unpack, biases))
    return Network([*layers, ([[_ZERO, _ZERO, _ONE, 2 * step]], [_ZERO])])


def _find_cell(
    walk: list[Fraction], bits: list[int], num_cells: int, num_digits: int, shift: Fraction
) -> tuple[list[tuple[Any, Any]], Rows, list[Fraction]]:
    """Layers that find the cell of x + shift, and rows and biases that read y, index, base and code from the last.

    Base value, code and index jump in the windows [k / N - r, k / N], r an eighth of a fine cell, where they are wrong.
    """
    window = Fraction(1, 8 * num_cells * num_digits)
    bases = [value + _offset(walk, num_cells) for value in walk[::num_digits][:num_cells]]
    packed = [bits[k * num_digits : (k + 1) * num_digits] for k in range(num_cells)]
    codes = [sum((Fraction(bit, 3 ** (s + 1)) for s, bit in enumerate(cell)), _ZERO) for cell in packed]
    # y = x + shift + 1 is never negative; with one cell everything is read from x itself
    read, given = [[_ONE], [_ZERO], [_ZERO], [_ZERO]], [shift + 1, _ZERO, bases[0], codes[0]]
    layers: list[tuple[Any, Any]] = []
    for k in range(1, num_cells):
        edge = Fraction(k, num_cells) + 1
        ramp = [entry / window for entry in read[0]]  # two ramps, whose difference climbs from 0 to 1 in the window
        starts = [(given[0] - edge) / window + 1, (given[0] - edge) / window]
        layers.append(([*read, ramp, ramp], [*given, *starts]))
        read = _fractions([[int(i == j) for j in range(6)] for i in range(4)])
        for row, jump in zip(read[1:], (_ONE, bases[k] - bases[k - 1], codes[k] - codes[k - 1]), strict=True):
            row[4], row[5] = jump, -jump
        given = [_ZERO] * 4
    return layers, read, given


def _fractions(rows: Any) -> Rows:
    return [[Fraction(entry) for entry in row] for row in rows]


def _offset(walk: list[Fraction], num_cells: int) -> Fraction:
    return max(_ZERO, Fraction(1, num_cells) - min(walk))


def digits_network(values: Any, num_cells: int, num_digits: int) -> Network:
    """Network of width 21 for a 1-Lipschitz function on [0, 1], from its values at i / (N S), N cells of S digits.

    The function is followed by a walk with steps ±1 / (N S) (`tracking_walk`). The first N - 1 hidden layers find the
    cell k of x, and with it the walk at k / N and the number with the S bits of the cell as base-3 digits. Two layers
    take out each bit, relu(3c - 1/2) and relu(3c - 1) being enough as c is in [0, 1/2], and add ±1 / (N S) times the
    position in the fine cell. All of this is wrong in short windows at the edges of cells. Three copies shifted by
    1 / (4 N S) are therefore run side by side, of which at most one is wrong, and the median is taken.

    Args:
        values: N S + 1 numbers whose consecutive differences are at most 1 / (N S).
        num_cells: N, at least 1.
        num_digits: S, at least 1.

    Raises:
        ValueError: a wrong number of values, or a step that is too long.

    Source:
        Derived for this project, after the digit extraction of [yarotsky2018].
    """
    num_cells = check_positive_int("num_cells", num_cells)
    num_digits = check_positive_int("num_digits", num_digits)
    step = Fraction(1, num_cells * num_digits)
    numbers = [to_fraction(value) for value in np.ravel(np.asarray(values, dtype=object))]
    if len(numbers) != num_cells * num_digits + 1:
        raise ValueError(f"values must hold {num_cells * num_digits + 1} numbers, got {len(numbers)}")
    if any(abs(b - a) > step for a, b in zip(numbers, numbers[1:], strict=False)):
        raise ValueError(f"values must have consecutive differences of at most {step}")
    walk, bits = tracking_walk(numbers, step)
    shifts = (-step / 4, Fraction(0), step / 4)
    copies = stack([_digits_network(walk, bits, num_cells, num_digits, shift) for shift in shifts])
    return compose(_median(), copies).then([[Fraction(1)]], [-_offset(walk, num_cells)])


def _median() -> Network:
    """Median of three nonnegative numbers: max(m, min(M, c)), m and M the smaller and the larger of a and b."""
    rows = [
        ([[1, -1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], [0] * 4),  # (a - b)+, a, b, c
        ([[1, 0, 1, -1], [1, 0, 1, 0], [-1, 1, 0, 0]], [0] * 3),  # (M - c)+, M, m
        ([[-1, 1, -1], [0, 0, 1]], [0] * 2),  # (min(M, c) - m)+, m
        ([[1, 1]], [0]),
    ]
    return Network([(_fractions(weight), [Fraction(entry) for entry in bias]) for weight, bias in rows])


@dataclass(frozen=True)
class PackedDistance:
    """Distance of x in [0, 1] to the nearest of a few random points, by packed digits.

    With fine cells of length h = 1 / (num_cells num_digits) the walk is within h of the function at the grid points,
    its interpolant within 2 h everywhere, and the shifted copies within 2 h + h / 4.

    Args:
        num_cells: N, at least 1.
        num_digits: S, digits packed into one weight, at least 1. Weights need 1.6 S bits, so float64 carries S up to
            about 25; rationals carry any.
        num_centres: number of points, drawn uniformly from multiples of 1/256.
        seed: seed of the points.

    Domain: the law is uniform on [0, 1].
    Error: (9/4) / (N S) in the sup norm.
    Size: widths 18 (N - 1 times), then 21 and 12 in turn (S times), then 4, 3, 2 for the median: N + 2 S + 2 hidden
        layers. With N = 2 S the error is (9/8) S^(-2), about 18 / depth^2.

    Raises:
        ValueError: an integer argument below its least value.

    Source:
        Derived for this project, after [yarotsky2018], whose theorem has width 2 d + 10 and error of the order of
        depth^(-2/d) for d variables. Differs: one variable, all weights explicit.
    """

    num_cells: int
    num_digits: int
    num_centres: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("num_cells", self.num_cells)
        check_positive_int("num_digits", self.num_digits)
        check_positive_int("num_centres", self.num_centres)
        check_positive_int("seed", self.seed, at_least=0)

    @property
    def input_dim(self) -> int:
        return 1

    def centres(self) -> np.ndarray:
        """The random points, dyadic so that all values are exact."""
        return np.random.default_rng(self.seed).integers(0, 257, self.num_centres) / 256

    def target(self, points: Points) -> Values:
        """Distance to the nearest centre."""
        return np.abs(points - self.centres()).min(axis=1)

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of [0, 1]."""
        return rng.random((num_points, 1))

    def network(self) -> Network:
        """The digit network of the values at the fine grid, in exact rationals."""
        check_built(self.size())
        if self.num_cells * self.num_digits * self.num_centres > 2**COUNTED:
            raise ValueError(
                f"num_cells, num_digits and num_centres must have a product of at most 2^{COUNTED} for a network, "
                f"got {self.num_cells}, {self.num_digits} and {self.num_centres}"
            )
        count, centres = self.num_cells * self.num_digits, [Fraction(c) for c in self.centres()]
        values = [min(abs(Fraction(i, count) - c) for c in centres) for i in range(count + 1)]
        return digits_network(values, self.num_cells, self.num_digits)

    def error(self) -> Guarantee:
        """Nine quarters of a fine cell."""
        return Guarantee("sup", 2.25 / (self.num_cells * self.num_digits))

    def size(self) -> Size:
        """Finding the cell, taking out digits, median; three copies side by side."""
        return Size(1, (18,) * (self.num_cells - 1) + (21, 12) * self.num_digits + (4, 3, 2))


EXAMPLES = (PackedDistance(1, 3), PackedDistance(4, 2), PackedDistance(6, 5, num_centres=3, seed=1))
