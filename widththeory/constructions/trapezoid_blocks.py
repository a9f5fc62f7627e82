"""Width n + 4 suffices: sums of trapezoidal bumps over boxes, computed box after box by a narrow deep network."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from widththeory.constructions.arguments import check_built, keep_python_numbers
from widththeory.network import Network
from widththeory.typing import Certified, Guarantee, Points, Size, Values, check_positive_int, to_fraction

Number = int | float | Fraction

VARIANTS = ("inner", "half-overlap")
LARGEST_MARGIN = {"inner": Fraction(1, 2), "half-overlap": Fraction(1)}  # in units of the shortest side


@dataclass(frozen=True)
class TrapezoidBlocks:
    """Sum of trapezoidal bumps over boxes, computed by a network of width n + 4.

    Over the box prod [a_i, b_i] with margin delta the bump is
    psi(x) = (1 - sum_i [((x_i - b_i + delta) / delta)_+ + ((a_i + delta - x_i) / delta)_+])_+,
    which is 1 on prod [a_i + delta, b_i - delta] and 0 outside the box. The network equals sum_j c_j psi_j on R^n.
    Its units are n for the coordinates, two that sum the positive and the negative terms, and two that build a bump.
    Where x_i < -r the network clamps it to -r, harmlessly: every bump vanishes there.

    Args:
        lower: corners a of the boxes, one tuple of n numbers a box.
        upper: corners b, with a_i < b_i.
        coefficients: c, one number a box.
        margin: delta > 0. At most half of every side for "inner", at most every side for "half-overlap".
        variant: "inner" puts each bump inside its box, as the paper does. "half-overlap" first widens every box by
            delta / 2 on each side, so that the bumps of two boxes that share a face add up to 1 across it.

    Domain: R^n; the law of `sample` is uniform on the smallest cube [-r, r]^n that holds all bumps.
    Error: exact; in floating point a few units of roundoff times r / delta.
    Size: width n + 4 in each of 2 n + 1 hidden layers a box.
    Raises: ValueError for no boxes, shapes that differ, an empty box, a margin that does not fit or is not positive.
    Source: [lu2017] Theorem 1, as recalled.
        Differs: weights derived for this project; theirs take 4 n + 1 layers a box, and "half-overlap" is
        not in the paper.
    """

    lower: tuple[tuple[Number, ...], ...]
    upper: tuple[tuple[Number, ...], ...]
    coefficients: tuple[Number, ...]
    margin: Number
    variant: str = "inner"

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_variant(self.variant)
        num_boxes = len(self.coefficients)
        if not num_boxes or len(self.lower) != num_boxes or len(self.upper) != num_boxes:
            raise ValueError(
                "lower, upper and coefficients must hold one entry for each of at least one box, "
                f"got {len(self.lower)}, {len(self.upper)} and {num_boxes}"
            )
        dims = {len(corner) for corner in (*self.lower, *self.upper)}
        if len(dims) != 1 or 0 in dims:
            raise ValueError(f"corners of the boxes must all have the same dimension of at least 1, got {sorted(dims)}")
        corners = [number for corner in (*self.lower, *self.upper) for number in corner]
        if not all(math.isfinite(number) for number in (*corners, *self.coefficients, self.margin)):
            raise ValueError("corners, coefficients and margin must be finite, got NaN or infinity")
        shortest = min(
            b - a for low, high in zip(self.lower, self.upper, strict=True) for a, b in zip(low, high, strict=True)
        )
        if shortest <= 0:
            raise ValueError(f"upper must exceed lower in every coordinate, got a side of length {float(shortest)}")
        room = LARGEST_MARGIN[self.variant] * Fraction(shortest)
        if not 0 < self.margin <= room:
            raise ValueError(
                f"margin must be positive and at most {float(room)} for these boxes and variant {self.variant!r}, "
                f"got {self.margin!r}"
            )

    @property
    def input_dim(self) -> int:
        return len(self.lower[0])

    @property
    def num_boxes(self) -> int:
        return len(self.coefficients)

    def _corners(self, exact: bool) -> tuple[list[list[Any]], list[list[Any]]]:
        """Corners of the supports of the bumps; `Fraction` entries carry no rounding at all."""
        number: Any = Fraction if exact else float
        shift = number(self.margin) / 2 if self.variant == "half-overlap" else number(0)
        lower = [[number(a) - shift for a in corner] for corner in self.lower]
        upper = [[number(b) + shift for b in corner] for corner in self.upper]
        return lower, upper

    @property
    def reach(self) -> float:
        """The r of the smallest cube [-r, r]^n that holds all bumps."""
        lower, upper = self._corners(exact=False)
        return float(max(abs(number) for corner in (*lower, *upper) for number in corner))

    def target(self, points: Points) -> Values:
        lower, upper = (np.array(corners, dtype=np.float64) for corners in self._corners(exact=False))
        margin, values, columns = float(self.margin), np.zeros(len(points)), np.ascontiguousarray(points.T)
        for low, high, coefficient in zip(lower, upper, self.coefficients, strict=True):
            inside = np.logical_and.reduce([(x > a) & (x < b) for x, a, b in zip(columns, low, high, strict=True)])
            near = points[inside]
            ramps = np.maximum((near - high + margin) / margin, 0) + np.maximum((low + margin - near) / margin, 0)
            values[inside] += float(coefficient) * np.maximum(1 - ramps.sum(axis=1), 0)
        return values

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        return rng.uniform(-self.reach, self.reach, size=(num_points, self.input_dim))

    def network(self, exact: bool = False) -> Network:
        """The network, with float64 entries, or with Fractions of the numbers as they are stored."""
        check_built(self.size())
        number: Any = Fraction if exact else float
        dim, dtype = self.input_dim, object if exact else np.float64
        positive, negative, level, ramp = range(dim, dim + 4)
        lower, upper = self._corners(exact)
        margin = number(self.margin)
        reach = max(abs(corner) for box in (*lower, *upper) for corner in box)  # units hold y = x + r >= 0
        layers: list[tuple[np.ndarray, np.ndarray]] = []

        def append(slope: Any, face: Any, axis: int | None) -> np.ndarray:
            """Carry all units, subtract the ramp from the level, and load the next ramp: slope * (y_axis - face)_+."""
            weight, bias = np.full((dim + 4, dim + 4), number(0), dtype=dtype), np.full(dim + 4, number(0), dtype=dtype)
            np.fill_diagonal(weight, number(1))
            weight[ramp, ramp], weight[level, ramp] = number(0), number(-1)
            if axis is not None:
                weight[ramp, axis], bias[ramp] = slope, -slope * face
            layers.append((weight, bias))
            return weight

        for index, (low, high) in enumerate(zip(lower, upper, strict=True)):
            for axis in range(dim):
                weight = append(1 / margin, high[axis] + reach - margin, axis)
                if axis == 0:  # bank the bump of the box before, and start this one from 1
                    weight[level] = number(0)
                    layers[-1][1][level] = number(1)
                    if index > 0:
                        before = number(self.coefficients[index - 1])
                        weight[positive if before > 0 else negative, level] = abs(before)
                append(-1 / margin, low[axis] + reach + margin, axis)
            append(number(0), number(0), None)
        weight, bias = layers[0]  # the first layer sees x itself
        layers[0] = (weight[:, :dim].copy(), bias + weight[:, :dim].sum(axis=1) * reach)
        output = np.full((1, dim + 4), number(0), dtype=dtype)
        output[0, [positive, negative, level]] = number(1), number(-1), number(self.coefficients[-1])
        return Network([*layers, (output, np.full(1, number(0), dtype=dtype))])

    def error(self) -> Guarantee:
        return Guarantee("sup", 0.0)

    def size(self) -> Size:
        return Size(self.input_dim, (self.input_dim + 4,) * (num_layers_per_box(self.input_dim) * self.num_boxes))

    def integral(self) -> Certified:
        """Integral over R^n of the sum of bumps, sum_j c_j int psi_j."""
        terms = (Fraction(c) * mass for c, mass in zip(self.coefficients, self._masses(), strict=True))
        return _certified(sum(terms, start=Fraction(0)))

    def margin_loss(self) -> Certified:
        """L1 distance to the step function with the same boxes: at most sum_j |c_j| (vol J_j - int psi_j), for "inner".

        Raises ValueError for "half-overlap", whose bumps do not lie inside their boxes (see `grid_error`).
        """
        if self.variant != "inner":
            raise ValueError(f'margin_loss needs variant "inner", got {self.variant!r}')
        loss = Fraction(0)
        for low, high, coefficient, mass in zip(self.lower, self.upper, self.coefficients, self._masses(), strict=True):
            volume = math.prod((Fraction(b) - Fraction(a) for a, b in zip(low, high, strict=True)), start=Fraction(1))
            loss += abs(Fraction(coefficient)) * (volume - mass)
        return _certified(loss)

    def _masses(self) -> list[Fraction]:
        lower, upper = self._corners(exact=True)
        sides = [tuple(b - a for a, b in zip(low, high, strict=True)) for low, high in zip(lower, upper, strict=True)]
        known = {side: exact_bump_integral(side, Fraction(self.margin)) for side in set(sides)}
        return [known[side] for side in sides]


def check_variant(variant: str) -> None:
    """Raise ValueError unless `variant` is one of VARIANTS."""
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")


def num_layers_per_box(input_dim: int) -> int:
    """Hidden layers that one box takes: 2 n + 1.

    Source: [lu2017] Theorem 1, as recalled. Differs: theirs takes 4 n + 1.
    """
    return 2 * check_positive_int("input_dim", input_dim) + 1


def exact_bump_integral(sides: tuple[Any, ...], margin: Any) -> Fraction:
    """Integral of one bump, as a rational number.

    int psi = sum over S of prod_(i not in S) (l_i - 2 delta) * (2 delta)^|S| / (|S| + 1)!, with S all subsets of the
    axes; the sum is gathered by |S|, as the coefficients of prod_i ((l_i - 2 delta) + 2 delta t).

    Args:
        sides: lengths l_i of the support, at least 2 delta each.
        margin: delta > 0.

    Raises: ValueError for a margin that is not positive or a side shorter than 2 delta.
    Source: derived for this project, for the bumps of [lu2017] Theorem 1 (as recalled).
    """
    margin, sides = to_fraction(margin), tuple(map(to_fraction, sides))
    if margin <= 0 or not sides or min(sides) < 2 * margin:
        raise ValueError(f"margin must be positive and sides at least twice the margin, got {margin} and {sides}")
    by_size = [Fraction(1)]
    for side in sides:
        flat, ramps = side - 2 * margin, 2 * margin
        by_size = [flat * a + ramps * b for a, b in zip([*by_size, Fraction(0)], [Fraction(0), *by_size], strict=True)]
    return sum((term / math.factorial(size + 1) for size, term in enumerate(by_size)), start=Fraction(0))


def bump_integral(sides: tuple[Any, ...], margin: Any) -> Certified:
    """`exact_bump_integral` rounded to a float.

    Source: derived for this project, for the bumps of [lu2017] Theorem 1 (as recalled).
    """
    return _certified(exact_bump_integral(sides, margin))


def _certified(value: Fraction) -> Certified:
    """A rational rounded once."""
    return Certified(float(value), float(np.spacing(abs(float(value)))))


EXAMPLES = (
    TrapezoidBlocks(lower=((0.0,),), upper=((1.0,),), coefficients=(2.0,), margin=0.25),
    TrapezoidBlocks(
        lower=((-1.0, -0.5), (0.25, 0.0), (-0.5, 0.0)),
        upper=((0.5, 0.5), (1.0, 2.0), (0.25, 2.0)),
        coefficients=(1.5, -2.0, 0.5),
        margin=0.125,
        variant="half-overlap",
    ),
)
