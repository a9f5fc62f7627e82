"""Distances from a piecewise-affine function of one variable to a smooth or piecewise smooth target.

Between its inflection points a target minus an affine function has one critical point and two zeros at most, whatever
the affine function; so all zeros and extrema are found by bracketing, all pieces at once. Integrals are Gauss-Legendre
sums between them: exact for polynomials up to rounding, and without the cancellation of expanded antiderivatives.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import factorial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

Vector = Float[np.ndarray, "*any"]

_TAYLOR_ORDERS = 8  # derivatives that isolate the inflections of a sum of cosines


class Distance(NamedTuple):
    """Lebesgue L1 distance, L2 distance (not squared) and sup distance on an interval."""

    l1: float
    l2: float
    sup: float


@runtime_checkable
class SmoothTarget(Protocol):
    """A twice differentiable function: values, slopes, inflection points, and a quadrature that integrates it."""

    def __call__(self, points: Vector) -> Vector: ...

    def derivative(self, points: Vector) -> Vector: ...

    def inflections(self, low: float, high: float) -> Vector: ...

    def quadrature(self) -> tuple[int, float]: ...


@dataclass(frozen=True)
class Polynomial:
    """x -> sum_k coefficients[k] x^k."""

    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_finite("coefficients", self.coefficients)
        if len(self.coefficients) == 0:
            raise ValueError("coefficients must hold at least one number, got none")

    def __call__(self, points: Vector) -> Vector:
        return np.polynomial.polynomial.polyval(points, self.coefficients)

    def derivative(self, points: Vector) -> Vector:
        return self._derived(1)(points)

    def _derived(self, order: int) -> "Polynomial":
        return Polynomial(tuple(np.polynomial.polynomial.polyder(self.coefficients, order).tolist()))

    def inflections(self, low: float, high: float) -> Vector:
        """Where the second derivative changes sign in (low, high)."""
        derivatives = [self._derived(order) for order in range(2, max(3, len(self.coefficients)))]
        radius = max(abs(low), abs(high))
        size = float(np.polynomial.polynomial.polyval(radius, np.abs(derivatives[0].coefficients)))
        return sign_changes(derivatives, 0.0, size, low, high)

    def quadrature(self) -> tuple[int, float]:
        """(nodes, longest interval): Gauss-Legendre with degree + 1 nodes integrates the square exactly."""
        return max(2, len(self.coefficients)), np.inf  # an affine function is subtracted before squaring


@dataclass(frozen=True)
class CosineSum:
    """x -> constant + sum_k amplitudes[k] cos(frequencies[k] x + phases[k])."""

    amplitudes: tuple[float, ...]
    frequencies: tuple[float, ...]
    phases: tuple[float, ...]
    constant: float = 0.0

    def __post_init__(self) -> None:
        for name in ("amplitudes", "frequencies", "phases"):
            _check_finite(name, getattr(self, name))
            if len(getattr(self, name)) != len(self.amplitudes):
                raise ValueError(f"{name} must hold {len(self.amplitudes)} numbers, one for each amplitude")
        _check_finite("constant", (self.constant,))

    def __call__(self, points: Vector) -> Vector:
        return self._derived(0, points) + self.constant

    def derivative(self, points: Vector) -> Vector:
        return self._derived(1, points)

    def _derived(self, order: int, points: Vector) -> Vector:
        points = np.asarray(points, dtype=np.float64)
        total = np.zeros_like(points)
        for amplitude, frequency, phase in zip(self.amplitudes, self.frequencies, self.phases, strict=True):
            total += amplitude * frequency**order * np.cos(frequency * points + (phase + order * np.pi / 2))
        return total

    def inflections(self, low: float, high: float) -> Vector:
        """Where the second derivative changes sign in (low, high)."""

        def bound(order: int) -> float:
            return float(sum(abs(a * w**order) for a, w in zip(self.amplitudes, self.frequencies, strict=True)))

        derivatives = [partial(self._derived, order) for order in range(2, 2 + _TAYLOR_ORDERS)]
        return sign_changes(derivatives, bound(2 + _TAYLOR_ORDERS), bound(2), low, high)

    def quadrature(self) -> tuple[int, float]:
        """(nodes, longest interval): 12 nodes over 3 radians of the fastest term leave 1e-19 of the square."""
        fastest = max(map(abs, self.frequencies), default=0.0)
        return 12, 3.0 / fastest if fastest > 0 else np.inf


@dataclass(frozen=True)
class Piecewise:
    """Smooth parts joined at `breaks`, with or without jumps: parts[k] holds between breaks[k - 1] and breaks[k].

    At a break the value is that of the part on the right; distances do not depend on it, the supremum being essential.
    """

    breaks: tuple[float, ...]
    parts: tuple[Any, ...]

    def __post_init__(self) -> None:
        _check_finite("breaks", self.breaks)
        if len(self.parts) != len(self.breaks) + 1 or any(np.diff(self.breaks) <= 0):
            raise ValueError(f"breaks must increase and be one fewer than parts, got {self.breaks!r}")
        for part in self.parts:
            if not isinstance(part, (Polynomial, CosineSum)):
                raise ValueError(f"parts must be Polynomial or CosineSum, got {part!r}")

    def __call__(self, points: Vector) -> Vector:
        points = np.asarray(points, dtype=np.float64)
        values = np.stack([part(points) for part in self.parts])
        return np.take_along_axis(values, np.searchsorted(self.breaks, points, side="right")[None], axis=0)[0]


def smooth_distance(knots: Vector, values: Vector, target: Any) -> Distance:
    """Distance from the interpolant of (knots, values) to a `Polynomial`, a `CosineSum` or a `Piecewise` of them."""
    if not isinstance(target, Piecewise):
        l1, l2_squared, sup = _moments(knots, values, target)
        return Distance(l1, float(np.sqrt(l2_squared)), sup)
    edges = [knots[0], *[b for b in target.breaks if knots[0] < b < knots[-1]], knots[-1]]
    totals = []
    for low, high in zip(edges, edges[1:], strict=False):
        part = target.parts[int(np.searchsorted(target.breaks, 0.5 * (low + high)))]
        inside = (knots > low) & (knots < high)
        end = np.interp(high, knots, values)
        if high in knots:  # of knots that are one float the first is the limit from the left
            end = values[np.searchsorted(knots, high)]
        heights = np.concatenate([[np.interp(low, knots, values)], values[inside], [end]])
        totals.append(_moments(np.concatenate([[low], knots[inside], [high]]), heights, part))
    l1s, squares, sups = np.array(totals).T
    return Distance(float(l1s.sum()), float(np.sqrt(squares.sum())), float(sups.max()))


def _moments(knots: Vector, values: Vector, target: SmoothTarget) -> tuple[float, float, float]:
    """(L1, squared L2, sup) of target minus interpolant over one smooth part."""
    low, high = float(knots[0]), float(knots[-1])
    num_nodes, longest = target.quadrature()
    grid = np.linspace(low, high, int(np.ceil((high - low) / longest)) + 1) if np.isfinite(longest) else knots[:1]
    inflections = target.inflections(low, high)
    edges = np.unique(np.concatenate([knots, grid, inflections]))
    left, right = edges[:-1], edges[1:]
    piece = np.clip(np.searchsorted(knots, left, side="right") - 1, 0, len(knots) - 2)
    steps = np.diff(knots)
    slopes = np.divide(np.diff(values), steps, out=np.zeros_like(steps), where=steps > 0)

    def difference(points: Vector, at: Any) -> Vector:
        return target(points) - (values[at] + slopes[at] * (points - knots[at]))

    critical = find_zeros(lambda x, keep: target.derivative(x) - slopes[piece[keep]], left, right)
    middle = np.where(np.isnan(critical), right, critical)
    first = find_zeros(lambda x, keep: difference(x, piece[keep]), left, middle)
    second = find_zeros(lambda x, keep: difference(x, piece[keep]), middle, right)
    extra = np.concatenate([critical, first, second])
    cuts = np.unique(np.concatenate([edges, extra[~np.isnan(extra)]]))
    at = np.clip(np.searchsorted(knots, cuts[:-1], side="right") - 1, 0, len(knots) - 2)
    nodes, weights = np.polynomial.legendre.leggauss(num_nodes)
    half = 0.5 * np.diff(cuts)
    points = 0.5 * (cuts[:-1] + cuts[1:])[:, None] + half[:, None] * nodes
    gaps = np.abs(difference(points, at[:, None]))
    sup = max(np.max(np.abs(difference(cuts[:-1], at))), np.max(np.abs(difference(cuts[1:], at))))
    return float(half @ (gaps @ weights)), float(half @ (gaps**2 @ weights)), float(sup)


def find_zeros(function: Callable[[Vector, Any], Vector], left: Vector, right: Vector) -> Vector:
    """The zero of a function in each bracket whose ends differ in sign, NaN in the others (Illinois method).

    `function(points, indices)` evaluates it for the brackets numbered `indices`.
    """
    result = np.full(len(left), np.nan)
    everywhere = np.arange(len(left))
    left_value, right_value = function(left, everywhere), function(right, everywhere)
    keep = np.flatnonzero(left_value * right_value < 0)
    a, b, fa, fb = left[keep], right[keep], left_value[keep], right_value[keep]
    for iteration in range(200):
        # every third step halves, so that the bracket always shrinks geometrically
        x = 0.5 * (a + b) if iteration % 3 == 2 else b - fb * (b - a) / (fb - fa)
        x = np.clip(x, np.minimum(a, b), np.maximum(a, b))
        fx = function(x, keep)
        result[keep] = x
        flipped = fx * fb < 0
        a, fa = np.where(flipped, b, a), np.where(flipped, fb, np.where(fb * fa < 0, 0.5 * fa, fa))
        b, fb = x, fx
        active = (fx != 0) & (np.abs(b - a) > 4e-16 * (np.abs(a) + np.abs(b)))
        keep, a, b, fa, fb = keep[active], a[active], b[active], fa[active], fb[active]
        if not len(keep):
            break
    return result


def sign_changes(
    derivatives: Sequence[Callable[[Vector], Vector]], remainder: float, size: float, low: float, high: float
) -> Vector:
    """All points of (low, high) where a function changes sign, isolated by its Taylor polynomials.

    An interval goes when the Taylor polynomial at its middle proves that the function has no zero there, or one at
    most; else it is halved. Where the function is below 1e-14 of its size, or an interval below 1e-13 of the whole,
    there may be a multiple zero: the middle is returned as a sign change.

    Args:
        derivatives: the function, its derivative, and so on.
        remainder: bound of the derivative that follows the last one, on [low, high].
        size: bound of the sizes of the terms of the function, so that some 1e-16 of it is rounding.
    """
    if size == 0:
        return np.zeros(0)
    found: list[Vector] = [np.zeros(0)]
    left, right = np.array([low]), np.array([high])
    while len(left):
        middle, radius = 0.5 * (left + right), 0.5 * (right - left)
        heights = [np.abs(derivative(middle)) for derivative in derivatives] + [np.full(len(middle), remainder)]
        change, change_of_slope = (
            sum((h * radius**k / factorial(k) for k, h in enumerate(heights[first:], 1)), np.zeros(len(middle)))
            for first in (1, 2)
        )
        empty = heights[0] > change * (1 + 1e-12)
        tiny = ~empty & ((heights[0] + change <= 1e-14 * size) | (radius <= 1e-13 * (high - low)))
        monotone = ~empty & ~tiny & (heights[1] > change_of_slope * (1 + 1e-12))
        found.append(middle[tiny])
        zeros = find_zeros(lambda x, keep: derivatives[0](x), left[monotone], right[monotone])
        ends = np.concatenate([left[monotone], right[monotone]])
        found += [zeros[~np.isnan(zeros)], ends[derivatives[0](ends) == 0]]
        split = ~(empty | monotone | tiny)
        left, right = np.concatenate([left[split], middle[split]]), np.concatenate([middle[split], right[split]])
    points = np.unique(np.concatenate(found))
    return points[(points > low) & (points < high)]


def _check_finite(name: str, numbers: Sequence[float]) -> None:
    if not np.all(np.isfinite(np.asarray(numbers, dtype=np.float64))):
        raise ValueError(f"{name} must hold finite numbers, got {tuple(numbers)!r}")
