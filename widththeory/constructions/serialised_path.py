"""Any piecewise-linear function of one variable, computed exactly by a network of any width from 2."""

import bisect
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from widththeory.constructions.arguments import check_built, equal_widths, keep_python_numbers
from widththeory.constructions.interpolation import narrow_interpolation
from widththeory.constructions.serialise import Number
from widththeory.exact.one_dim import piecewise
from widththeory.network import Network
from widththeory.typing import Guarantee, Points, Size, Values, check_positive_int


def path_size(num_breaks: int, width: int) -> Size:
    """Size of the network of given width that equals a piecewise-linear function on an interval.

    With b breakpoints inside the interval: ceil(b / (width - 1)) hidden layers, and one where b = 0.

    Args:
        num_breaks: b, at least 0.
        width: at least 2.

    Raises: ValueError outside these ranges.
    Source: derived for this project, by `narrow_interpolation`; compare [vardi2022] Theorem 7.
    """
    check_positive_int("width", width, at_least=2)
    depth = math.ceil(check_positive_int("num_breaks", num_breaks, at_least=0) / (width - 1))
    return Size(1, equal_widths(int(width), max(1, depth)))


@dataclass(frozen=True)
class SerialisedPath:
    """A continuous piecewise-linear function on an interval, computed by a network of any width from 2.

    Args:
        knots: strictly increasing places t_1 < ... < t_b of the breaks, at least one.
        values: values there, one a knot.
        left_slope: slope before the first knot.
        right_slope: slope after the last knot.
        width: at least 2.
        low, high: ends of the interval, low < high. Knots outside it take no units.

    Domain: [low, high], uniform law.
    Error: exact; in floating point a roundoff in proportion to the offset of the running sum.
    Size: `path_size` of the number of knots inside the interval.
    Raises: ValueError outside these ranges.
    Source: derived for this project; compare [vardi2022] Theorem 7.
    """

    knots: tuple[Number, ...]
    values: tuple[Number, ...]
    left_slope: Number
    right_slope: Number
    width: int
    low: Number = -1
    high: Number = 1

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        if not self.knots or len(self.knots) != len(self.values):
            lengths = f"{len(self.knots)} and {len(self.values)}"
            raise ValueError(f"knots and values must have the same length of at least 1, got {lengths}")
        if not all(map(math.isfinite, (*self.knots, *self.values, self.left_slope, self.right_slope))):
            raise ValueError("knots, values and slopes must be finite, got NaN or infinity")
        if any(after <= before for before, after in zip(self.knots, self.knots[1:], strict=False)):
            raise ValueError("knots must be strictly increasing")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"low must be less than high, both finite, got {self.low} and {self.high}")
        self.size()

    @property
    def input_dim(self) -> int:
        return 1

    def target(self, points: Points) -> Values:
        knots, values = np.array(self.knots, dtype=np.float64), np.array(self.values, dtype=np.float64)
        place = points[:, 0]
        before, after = np.minimum(place - knots[0], 0), np.maximum(place - knots[-1], 0)
        return np.interp(place, knots, values) + float(self.left_slope) * before + float(self.right_slope) * after

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        return rng.uniform(float(self.low), float(self.high), size=(num_points, 1))

    def _value(self, place: Any) -> Fraction:
        """The exact value at a place."""
        knots, values = ([Fraction(number) for number in part] for part in (self.knots, self.values))
        after = bisect.bisect(knots, place)
        if after == 0:
            return values[0] + Fraction(self.left_slope) * (place - knots[0])
        if after == len(knots):
            return values[-1] + Fraction(self.right_slope) * (place - knots[-1])
        share = (place - knots[after - 1]) / (knots[after] - knots[after - 1])
        return values[after - 1] + share * (values[after] - values[after - 1])

    def network(self, exact: bool = False) -> Network:
        """The narrow network, with float64 entries, or with Fractions of the numbers as they are stored."""
        check_built(Size(self.width, self.size().widths))  # as if the first layer were square, too: Fractions take room
        low, high = Fraction(self.low), Fraction(self.high)
        inside = [(k, v) for k, v in zip(self.knots, self.values, strict=True) if low < k < high]
        knots, values = zip((low, self._value(low)), *inside, (high, self._value(high)), strict=True)
        narrow = narrow_interpolation(knots, values, self.width)
        return narrow if exact else narrow.float64()

    def error(self) -> Guarantee:
        return Guarantee("sup", 0.0)

    @property
    def _num_breaks(self) -> int:
        return sum(self.low < knot < self.high for knot in self.knots)

    def size(self) -> Size:
        return path_size(self._num_breaks, self.width)


def path_of_network(network: Network, width: int, low: Any = -1, high: Any = 1, exact: bool = False) -> SerialisedPath:
    """The restriction to [low, high] of a network of one variable and any depth, as a path of a given width.

    Args:
        network: one input, one output.
        width: at least 2.
        low, high: ends of the interval, low < high.
        exact: knots and values in Fractions, so that the narrow network can equal this one in rational arithmetic.

    Raises: ValueError outside these ranges.
    Source: derived for this project; compare [vardi2022] Theorem 7.
    """
    function = piecewise(network, low, high, arithmetic="rational" if exact else "filtered")
    knots, values = function.exact if exact and function.exact else (function.knots.tolist(), function.values.tolist())
    ends = (knots[0], knots[-1])
    return SerialisedPath(tuple(knots), tuple(values), 0, 0, width, *ends)


EXAMPLES = (
    SerialisedPath(
        knots=(-1.5, -0.5, 0.0, 0.25, 0.5, 2.0),
        values=(3.0, 1.0, -1.0, 0.5, 0.0, 1.0),
        left_slope=0.0,
        right_slope=1.0,
        width=4,
    ),
    SerialisedPath(knots=(0.0,), values=(0.0,), left_slope=-1.0, right_slope=1.0, width=2),
)
