"""Maxima and minima of affine functions at width d + 1, their differences at width d + 2."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from widththeory.constructions.arguments import keep_python_numbers
from widththeory.network import Network
from widththeory.typing import Guarantee, Points, Size, Values, to_fraction

Row = tuple[float | int | Fraction, ...]
Rows = tuple[Row, ...]


def _check_planes(slopes: Any, offsets: Any, name: str = "") -> None:
    """One offset a slope, at least one slope, all slopes of one positive length."""
    if not slopes or len(slopes) != len(offsets) or len({len(row) for row in slopes}) != 1 or not slopes[0]:
        raise ValueError(
            f"{name}slopes and {name}offsets must hold one row of d >= 1 numbers and one number for each of at least "
            f"one affine function, got {len(slopes)} rows of lengths {sorted({len(row) for row in slopes})} and "
            f"{len(offsets)} numbers"
        )


class _MaxUnit:
    """One unit u with y_j = l_j + s u the running maximum (s = 1) or minimum (s = -1), x carried beside it."""

    def __init__(self, slopes: Any, offsets: Any):
        self.slopes = [[to_fraction(entry) for entry in row] for row in slopes]
        self.offsets = [to_fraction(entry) for entry in offsets]

    def step(self, j: int, sign: int, last_sign: int) -> tuple[list[Fraction], Fraction, Fraction]:
        """Weights on x and on u, and the bias, of u_j = relu(s (y_{j-1} - l_j))."""
        on_x = [sign * (a - b) for a, b in zip(self.slopes[j - 1], self.slopes[j], strict=True)]
        return on_x, Fraction(sign * last_sign), sign * (self.offsets[j - 1] - self.offsets[j])


def max_min_string(slopes: Any, offsets: Any, is_max: Sequence[bool]) -> Network:
    """The function y_N of y_1 = l_1, y_j = max(l_j, y_{j-1}) or min(l_j, y_{j-1}).

    With l_j(x) = <slopes[j], x> + offsets[j], the unit u_j = relu(±(y_{j-1} - l_j)) gives y_j = l_j ± u_j, so x and
    one number are enough: width d + 1, N - 1 hidden layers.

    Args:
        slopes: N rows of d numbers (floats are taken as the rationals they store).
        offsets: N numbers.
        is_max: N - 1 flags, True where step j = 2, ..., N takes the maximum.

    Domain: points with nonnegative coordinates (the carried x passes through ReLUs).

    Raises:
        ValueError: lengths that do not match.

    Source:
        [haninsellke2017], max-min strings, as recalled.
    """
    _check_planes(slopes, offsets)
    if len(is_max) != len(slopes) - 1:
        raise ValueError(f"is_max must hold {len(slopes) - 1} flags, one fewer than slopes, got {len(is_max)}")
    dim, unit = len(slopes[0]), _MaxUnit(slopes, offsets)
    zero, one = Fraction(0), Fraction(1)
    carry = [[one if i == j else zero for j in range(dim)] for i in range(dim)]
    layers: list[tuple[Any, Any]] = []
    sign = 1
    for j in range(1, len(slopes)):
        last_sign, sign = sign, 1 if is_max[j - 1] else -1
        on_x, on_u, bias = unit.step(j, sign, last_sign)
        rows = [*carry, on_x] if j == 1 else [*([*row, zero] for row in carry), [*on_x, on_u]]
        layers.append((rows, [zero] * dim + [bias]))
    head = [*unit.slopes[-1], Fraction(sign)] if layers else unit.slopes[-1]
    return Network([*layers, ([head], [unit.offsets[-1]])])


@dataclass(frozen=True)
class MaxAffine:
    """Maximum of N affine functions by a network of width d + 1 with N - 1 hidden layers.

    Each hidden layer holds x and u_j = relu(u_{j-1} + l_{j-1}(x) - l_j(x)); then max(l_1, ..., l_j) = l_j + u_j.

    Args:
        slopes: N rows of d numbers.
        offsets: N numbers.

    Domain: the law is uniform on [0, 1]^d; the network is exact for all x with nonnegative coordinates.
    Error: zero.
    Size: width d + 1, N - 1 hidden layers.

    Raises:
        ValueError: lengths that do not match, or no affine function.

    Source:
        [hanin2019], as recalled (convex functions at width d + 1).
    """

    slopes: Rows
    offsets: Row

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        _check_planes(self.slopes, self.offsets)

    @property
    def input_dim(self) -> int:
        return len(self.slopes[0])

    def target(self, points: Points) -> Values:
        """Maximum of the affine functions."""
        return _maximum(points, self.slopes, self.offsets)

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of the unit cube."""
        return rng.random((num_points, self.input_dim))

    def network(self) -> Network:
        """A string of maxima, in exact rationals."""
        return max_min_string(self.slopes, self.offsets, [True] * (len(self.slopes) - 1))

    def error(self) -> Guarantee:
        """The network is the target."""
        return Guarantee("sup", 0.0)

    def size(self) -> Size:
        """Width d + 1, N - 1 hidden layers."""
        return Size(self.input_dim, (self.input_dim + 1,) * (len(self.slopes) - 1))


@dataclass(frozen=True)
class PiecewiseAffine:
    """Difference of two maxima of M and N affine functions: any continuous piecewise-affine function, at width d + 2.

    Both running maxima of `MaxAffine` share the carried x, so the network has width d + 2 and max(M, N) - 1 hidden
    layers; the shorter string keeps its value.

    Args:
        slopes, offsets: the M functions of the first maximum.
        minus_slopes, minus_offsets: the N functions of the maximum that is subtracted.

    Domain: the law is uniform on [0, 1]^d; the network is exact for all x with nonnegative coordinates.
    Error: zero.
    Size: width d + 2, max(M, N) - 1 hidden layers.

    Raises:
        ValueError: lengths that do not match, or no affine function in one of the maxima.

    Source:
        [hanin2019], as recalled, with width d + 3 and 2 (M + N) layers.
        Differs: both maxima run at once and need no accumulator (derived for this project), which saves a unit and most
        of the depth.
    """

    slopes: Rows
    offsets: Row
    minus_slopes: Rows
    minus_offsets: Row

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        _check_planes(self.slopes, self.offsets)
        _check_planes(self.minus_slopes, self.minus_offsets, "minus_")
        if len(self.slopes[0]) != len(self.minus_slopes[0]):
            raise ValueError(
                f"minus_slopes must have rows of length {len(self.slopes[0])}, as slopes, "
                f"got {len(self.minus_slopes[0])}"
            )

    @property
    def input_dim(self) -> int:
        return len(self.slopes[0])

    def target(self, points: Points) -> Values:
        """First maximum minus second."""
        return _maximum(points, self.slopes, self.offsets) - _maximum(points, self.minus_slopes, self.minus_offsets)

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of the unit cube."""
        return rng.random((num_points, self.input_dim))

    def network(self) -> Network:
        """Two running maxima over one carried x."""
        dim, zero, one = self.input_dim, Fraction(0), Fraction(1)
        plus, minus = _MaxUnit(self.slopes, self.offsets), _MaxUnit(self.minus_slopes, self.minus_offsets)
        carry = [[one if i == j else zero for j in range(dim + 2)] for i in range(dim)]
        layers: list[tuple[Any, Any]] = []
        for j in range(1, self.size().depth + 1):
            rows, biases = list(carry), [zero] * dim
            for position, unit in enumerate((plus, minus)):
                on_x, on_u, bias = [zero] * dim, one, zero  # a finished maximum keeps its u
                if j < len(unit.slopes):
                    on_x, on_u, bias = unit.step(j, 1, 1)
                rows.append([*on_x, *((on_u, zero) if position == 0 else (zero, on_u))])
                biases.append(bias)
            layers.append(([row[:dim] for row in rows] if j == 1 else rows, biases))
        head = [a - b for a, b in zip(plus.slopes[-1], minus.slopes[-1], strict=True)]
        head += [one, -one] if layers else []
        return Network([*layers, ([head], [plus.offsets[-1] - minus.offsets[-1]])])

    def error(self) -> Guarantee:
        """The network is the target."""
        return Guarantee("sup", 0.0)

    def size(self) -> Size:
        """Width d + 2, one hidden layer fewer than the longer maximum has functions."""
        depth = max(len(self.slopes), len(self.minus_slopes)) - 1
        return Size(self.input_dim, (self.input_dim + 2,) * depth)


def _maximum(points: Points, slopes: Rows, offsets: Row) -> Values:
    return (points @ np.asarray(slopes, dtype=float).T + np.asarray(offsets, dtype=float)).max(axis=1)


EXAMPLES = (
    MaxAffine(((1, 0), (0, 1), (-1, -1), (0.5, -2)), (0, 0.25, 0.5, 1)),
    PiecewiseAffine(((1.0, 2.0), (-3.0, 0.5), (0.0, 0.0)), (0.0, 1.0, 0.5), ((1.0, 1.0), (-1.0, 2.0)), (0.25, -0.5)),
)
