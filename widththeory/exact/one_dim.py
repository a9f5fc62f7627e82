"""Exact analysis of ReLU networks of one variable: breakpoints, pieces, distances, crossing numbers.

Example:
    >>> import numpy as np
    >>> tent = Network([(np.ones((2, 1)), [0.0, -0.5]), (np.array([[2.0, -4.0]]), [0.0])])
    >>> piecewise(tent, 0.0, 1.0).num_pieces
    2
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from widththeory.exact.affine_maps import relu_network
from widththeory.exact.one_dim_distance import CosineSum, Distance, Piecewise, Polynomial, smooth_distance
from widththeory.exact.one_dim_float import float_pieces
from widththeory.exact.one_dim_rational import RationalPieces, rational_distance, rational_pieces
from widththeory.exact.rationals import is_finite
from widththeory.network import Network

__all__ = [
    "CosineSum",
    "Distance",
    "Piecewise",
    "PiecewiseLinear",
    "Polynomial",
    "breakpoints",
    "crossing_number",
    "piecewise",
]


@dataclass(frozen=True, eq=False)
class PiecewiseLinear:
    """A continuous piecewise-affine function on [knots[0], knots[-1]].

    Args:
        knots: ends of the interval and the points between where the slope changes.
        values: values at the knots; the function is affine between them.
        certified: the number of pieces is that of the exact network, not a decision of floating point.
        exact: the same in Fractions, where rational arithmetic was used.
    """

    knots: Float[np.ndarray, "num_knots"]
    values: Float[np.ndarray, "num_knots"]
    certified: bool = False
    exact: RationalPieces | None = None

    def __post_init__(self) -> None:
        if len(self.knots) < 2 or self.knots.shape != self.values.shape or np.any(np.diff(self.knots) < 0):
            raise ValueError(f"knots must be two or more, sorted, with one value each, got {self.knots!r}")
        if not (np.all(np.isfinite(self.knots)) and np.all(np.isfinite(self.values))):
            raise ValueError("knots and values must be finite, got NaN or infinity")

    @property
    def num_pieces(self) -> int:
        """Number of maximal intervals on which the function is affine."""
        return len(self.knots) - 1

    @property
    def breakpoints(self) -> Float[np.ndarray, "num_breakpoints"]:
        """Points inside the interval where the slope changes."""
        return self.knots[1:-1]

    @cached_property
    def slopes(self) -> Float[np.ndarray, "num_pieces"]:
        """Slope of each piece, left to right."""
        if self.exact is None:
            return np.diff(self.values) / np.diff(self.knots)
        (xs, ys), pieces = self.exact, range(self.num_pieces)
        return np.array([float((ys[i + 1] - ys[i]) / (xs[i + 1] - xs[i])) for i in pieces])

    def __call__(self, points: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
        """Values at points of the interval; outside it the value at the nearer end."""
        return np.interp(points, self.knots, self.values)

    def distance(self, target: Any) -> Distance:
        """L1, L2 and sup distance to a target on this function's interval.

        Args:
            target: a `PiecewiseLinear` on the same interval, a `Network`, a `Polynomial`, a `CosineSum`, or a
                `Piecewise` of the last two.

        Error: closed forms between all knots, zeros and extrema; some ulps of the larger of |self| and |target|. Where
            both have several knots that round to one float, the sup is the least that agrees with these floats.

        Raises:
            ValueError: another interval, or a target of another kind.

        Source: derived for this project.
        """
        if isinstance(target, Network):
            target = piecewise(target, self.knots[0], self.knots[-1], "float")
        if isinstance(target, PiecewiseLinear):
            self._check_interval(target)
            knots = np.union1d(self.knots, target.knots)
            mine, theirs = (_limits(function.knots, function.values, knots) for function in (self, target))
            left, right = mine[0] - theirs[0], mine[1] - theirs[1]
            gaps = (left, right, _gaps(self, target), _gaps(target, self))
            return _affine_distance(knots, left, right, max(float(np.max(np.abs(gap))) for gap in gaps))
        if isinstance(target, (Polynomial, CosineSum, Piecewise)):
            return smooth_distance(self.knots, self.values, target)
        raise ValueError(f"target must be a Network or a function of widththeory.exact.one_dim, got {target!r}")

    def exact_distance(self, target: "PiecewiseLinear") -> tuple[Fraction, Fraction, Fraction]:
        """(L1 distance, squared L2 distance, sup distance) in rationals, of two functions computed in rationals.

        Raises:
            ValueError: one of the two was not computed with arithmetic="rational", or on another interval.
        """
        if not isinstance(target, PiecewiseLinear) or self.exact is None or target.exact is None:
            raise ValueError('exact_distance needs both functions computed with arithmetic="rational"')
        self._check_interval(target)
        return rational_distance(self.exact, target.exact)

    def _check_interval(self, other: "PiecewiseLinear") -> None:
        mine, theirs = (self.knots[0], self.knots[-1]), (other.knots[0], other.knots[-1])
        if mine != theirs:
            raise ValueError(f"target must be given on [{mine[0]}, {mine[1]}], got [{theirs[0]}, {theirs[1]}]")


def piecewise(network: Network, low: Any, high: Any, arithmetic: str = "filtered") -> PiecewiseLinear:
    """The restriction of a scalar network to [low, high], as knots and values; knots without change of slope left out.

    Args:
        network: one input, one output.
        low, high: finite numbers with low < high, Fractions included.
        arithmetic: "filtered" decides in float64 with running error bounds and recomputes in rationals when a bound
            cannot decide (a tie, or a network of Fractions); "rational" always does; "float" never does, and says with
            `certified` whether it could have been wrong about the number of pieces.

    Error: knots and values to a few ulps times the condition of the network; with rationals, rounded once.

    Raises:
        ValueError: not a ReLU network, more than one input or output, low >= high, NaN or infinite ends, values too
            large for float64, an unknown arithmetic.

    Source: derived for this project.
    """
    if relu_network(network).input_dim != 1 or network.output_dim != 1:
        raise ValueError(
            f"network must have one input and one output, got {network.input_dim} and {network.output_dim}"
        )
    if not (is_finite(low) and is_finite(high) and low < high):
        raise ValueError(f"low and high must be finite with low < high, got {low!r} and {high!r}")
    if arithmetic not in ("filtered", "rational", "float"):
        raise ValueError(f"arithmetic must be 'filtered', 'rational' or 'float', got {arithmetic!r}")
    try:
        rational_input = network.is_rational or any(isinstance(x, Fraction) or float(x) != x for x in (low, high))
        if arithmetic == "float" or (arithmetic == "filtered" and not rational_input):
            knots, values, certain = float_pieces(network.float64().layers, float(low), float(high))
            if certain or arithmetic == "float":
                return PiecewiseLinear(knots, values, certified=certain and not rational_input)
        exact = rational_pieces(network.rational().layers, low, high)
        knots, values = (np.array([float(entry) for entry in part]) for part in exact)
    except OverflowError:
        raise ValueError("the interval or the network's values are too large for float64") from None
    return PiecewiseLinear(knots, values, certified=True, exact=exact)


def breakpoints(network: Network, low: Any, high: Any) -> Float[np.ndarray, "num_breakpoints"]:
    """Points of (low, high) where the slope of a scalar network changes, sorted; see `piecewise`."""
    return piecewise(network, low, high).breakpoints


def crossing_number(function: PiecewiseLinear, level: float | Fraction = Fraction(1, 2)) -> int:
    """Number of maximal intervals of the domain on which the classifier 1[f(x) >= level] is constant.

    Decided exactly where the function carries its rational form.

    Source: [telgarsky2016] Section 3 (as recalled). Differs: counted on the function's interval, not on the line.
    """
    values = function.exact.values if function.exact is not None else function.values.tolist()
    labels = [value >= level for value in values]  # within a piece the label changes once, where its ends differ
    return 1 + sum(a != b for a, b in zip(labels, labels[1:], strict=False))


def _limits(knots: np.ndarray, values: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Limits from the right at all points but the last, and from the left at all but the first.

    They differ where knots round to one float: the function jumps there.
    """
    first, last = (np.searchsorted(knots, points, side) for side in ("left", "right"))
    from_right, from_left = np.interp(points, knots, values), np.interp(points, knots, values)
    jumps = last > first + 1
    from_right[jumps], from_left[jumps] = values[last[jumps] - 1], values[first[jumps]]
    return from_right[:-1], from_left[1:]


def _gaps(one: PiecewiseLinear, other: PiecewiseLinear) -> np.ndarray:
    """From values of one at its knots to the nearest that the other takes there: several, where its knots are one."""
    lowest = highest = other(one.knots)
    for knot in np.intersect1d(one.knots, other.knots[1:][np.diff(other.knots) == 0]):
        here, taken = one.knots == knot, other.values[other.knots == knot]
        lowest, highest = np.where(here, taken.min(), lowest), np.where(here, taken.max(), highest)
    return np.maximum(np.maximum(lowest - one.values, one.values - highest), 0)


def _affine_distance(knots: np.ndarray, left: np.ndarray, right: np.ndarray, sup: float) -> Distance:
    """From the difference at the left and at the right end of each interval, and its largest size."""
    exponent = int(np.frexp(sup)[1])  # so that squares are in range
    steps, left, right = np.diff(knots), np.ldexp(left, -exponent), np.ldexp(right, -exponent)
    total = np.abs(left) + np.abs(right)
    safe = np.where(total > 0, total, 1.0)
    same_sign = left * right >= 0
    l1 = np.where(same_sign, total / 2, (left * left + right * right) / (2 * safe))
    l2_squared = steps @ (left * left + left * right + right * right) / 3
    return Distance(float(np.ldexp(steps @ l1, exponent)), float(np.ldexp(np.sqrt(l2_squared), exponent)), sup)
