"""Values at the vertices of a subdivision in float64, with rigorous bounds of their errors."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from widththeory.exact.lipschitz import spectral_norm
from widththeory.exact.rationals import in_range, signs
from widththeory.exact.vertex_ancestry import Ancestry
from widththeory.exact.vertex_values import Rows
from widththeory.network import Network

_UNIT = 2.0**-53
_SAFE = 1 + 2.0**-30  # the bounds are themselves computed in floats
_UNBOUNDED = 1e30


class OutOfRangeError(Exception):
    """Numbers are so large or so small that their floats err by more than rounding."""


class FilteredValues:
    """float64 with error bounds, and other arithmetics where the bound does not decide a sign.

    Each number has the smaller of two bounds. One is that of interval arithmetic. It is good for few layers and sees
    zeros of the weights, but on an edge it charges a new vertex for errors of the ends *along* the edge, which do not
    move it, so that it grows with every generation of vertices. The other avoids this. Let x be a vertex, y its float
    coordinates, v its float values, and A the values on a face at x as an affine map of the plane; in Euclidean norms,

        |v − A(x)| <= |v − A(y)| + |A(y) − A(x)| <= residual + shift.

    Residuals are mere rounding: a vertex made between two others has the larger of theirs. The shift of a new vertex
    follows from how far the float ends of its edge deviate from the exact line that the edge lies on (a number an edge,
    which its parts inherit) and from the residual over the slope of the neuron along the edge: `_shifts_on_edges`.
    From layer to layer both grow by the spectral norm of the weights.

    Raises:
        OutOfRangeError: a number other than 0 is not between 1e-100 and 1e100 in size, so that a bound may not hold.
    """

    def __init__(self, network: Network, corners: Sequence[Any]):
        for exact in (*(part for layer in network.layers for part in layer), np.array(corners, dtype=object)):
            _check_range(exact)
        self._layers = [_float_layer(w, b) for w, b in network.float64().layers]
        self._ancestry = Ancestry(network, corners)
        self._points = np.array([[float(c) for c in corner] for corner in corners])
        self._point_errors = _UNIT * abs(self._points)
        self._hidden, self._hidden_errors = self._points, self._point_errors
        self._hidden_residuals, self._hidden_shifts = np.zeros(len(corners)), _length(self._point_errors)
        self._deviations = Rows(np.full(len(corners), _UNIT * float(_length(self._points).max()) * _SAFE))
        self._steepest = 1.0  # bound of the gradient of a layer, that is of the norms of all its A
        self._newborn, self._slopes = len(corners), np.zeros(0)
        self.num_traced = 0  # vertices that had to be traced back, once a layer each

    def enter(self, layer: int, decide: bool = True) -> np.ndarray:
        weight, bias, row_norms, norm = self._layers[layer]
        self._width = len(bias)
        self._steepest *= norm * _SAFE
        _check_range(np.array([self._steepest]))
        values = self._hidden @ weight.T + bias
        _check_range(values)
        # Rounding of a sum of n products in any order, of the weights themselves, and of this bound.
        rounding = (weight.shape[1] + 4) * _UNIT
        errors = (self._hidden_errors + rounding * abs(self._hidden)) @ abs(weight.T) + rounding * abs(bias)
        lengths = rounding * _length(self._hidden)
        total = self._hidden_residuals + self._hidden_shifts + lengths
        np.minimum(errors, total[:, None] * row_norms + rounding * abs(bias), out=errors)
        residuals = (
            norm * self._hidden_residuals + np.linalg.norm(row_norms) * lengths + rounding * np.linalg.norm(bias)
        )
        shifts = np.minimum(norm * self._hidden_shifts, residuals + _length(errors))
        rows = np.concatenate([values, self._points], axis=1)
        bounds = np.concatenate([errors * _SAFE, self._point_errors], axis=1)
        # A value 0 with error 0 is exact: no neuron before it is active, and its bias is 0.
        unknown = ~(abs(values) > bounds[:, : self._width]) & (bounds[:, : self._width] != 0)
        sign = signs(values)
        self._rows, self._errors = Rows(rows), Rows(bounds)
        self._residuals, self._shifts = Rows(residuals * _SAFE), Rows(shifts * _SAFE)
        if decide:
            self._decide(np.arange(len(rows)), layer, sign, unknown)
        return sign

    def insert(
        self, layer: int, neuron: int, edges: np.ndarray, tails: np.ndarray, heads: np.ndarray, below: np.ndarray
    ) -> np.ndarray:
        self._newborn, width = len(self._rows.array), self._width
        self._ancestry.record(tails, heads, layer, neuron)
        first, second = self._rows.array[tails], self._rows.array[heads]
        first_errors, second_errors = self._errors.array[tails], self._errors.array[heads]
        portion, portion_error = _crossing(
            first[:, neuron], second[:, neuron], first_errors[:, neuron], second_errors[:, neuron]
        )
        step = second - first
        rows = first + portion[:, None] * step
        _check_range(rows)
        bounds = np.maximum(first_errors, second_errors) + 4 * _UNIT * (abs(first) + abs(second))
        bounds += portion_error[:, None] * (abs(step) + first_errors + second_errors)
        values, zero = rows[:, :width], below == 0
        unknown = below == 2
        below[unknown] = signs(values[unknown])

        first_residuals, second_residuals = self._residuals.array[tails], self._residuals.array[heads]
        residuals = np.maximum(first_residuals, second_residuals) + _length(np.where(zero, values, 0.0))
        displaced = 4 * _UNIT * (_length(first[:, width:]) + _length(second[:, width:]))
        residuals += 4 * _UNIT * (_length(first[:, :width]) + _length(second[:, :width])) + self._steepest * displaced
        deviations = self._deviations.array[edges]
        shift_bounds, shifts, self._slopes = self._shifts_on_edges(
            step, neuron, residuals, first_residuals + second_residuals, deviations
        )
        shift_bounds[:, :width] += residuals[:, None]
        np.minimum(bounds, shift_bounds, out=bounds)
        bounds *= _SAFE
        shifts = np.minimum(shifts, residuals + _length(bounds[:, :width])) * _SAFE
        values[zero], bounds[:, :width][zero] = 0, 0
        unknown &= ~(abs(values) > bounds[:, :width])

        for part, extension in (
            (self._rows, rows),
            (self._errors, bounds),
            (self._residuals, residuals * _SAFE),
            (self._shifts, shifts),
        ):
            part.extend(extension)
        self._deviations.array[edges] = (deviations + displaced) * _SAFE
        self._deviations.extend(self._deviations.array[edges])
        self._decide(np.arange(self._newborn, self._newborn + len(rows)), layer, below, unknown)
        return below

    def _shifts_on_edges(
        self, step: np.ndarray, neuron: int, residuals: np.ndarray, end_residuals: np.ndarray, deviations: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bounds of the shifts of new vertices, by entry and in norm, and of the neuron's slopes from below.

        Exact and float vertex differ by some s along the edge and at most 4 deviations across it, as long as s is at
        most the edge's length and that at least 4 deviations. The neuron vanishes at the one and is at most the
        residual at the other, so s over the length is at most (residual + 4 deviation · steepest)/(change of the neuron
        between the ends); its change is known up to the residuals of the ends.
        """
        width = self._width
        change, length = abs(step[:, neuron]) - end_residuals, _length(step[:, width:])
        across = 4 * deviations
        good = (change > 0) & (length >= across)
        relative = (residuals + across * self._steepest) / np.where(good, change, 1.0) * _SAFE
        good &= relative <= 1
        relative, across = np.where(good, relative, _UNBOUNDED), np.where(good, across, _UNBOUNDED)
        bounds = relative[:, None] * abs(step)
        bounds[:, :width] += (relative * end_residuals + across * self._steepest)[:, None]
        bounds[:, width:] += across[:, None]
        norms = relative * (_length(step[:, :width]) + end_residuals) + across * self._steepest
        slopes = np.where(change > 0, change, 0.0) / np.where(length > 0, length, np.inf)
        return bounds, norms, slopes / _SAFE

    def join(self, entry: np.ndarray, exit_: np.ndarray) -> None:
        # The line of a neuron is as far from a point as its value there over its gradient, which its slope along any
        # edge of the face bounds from below.
        ends = np.stack([entry, exit_])
        new = ends - self._newborn
        slopes = np.zeros(ends.shape)
        slopes[new >= 0] = self._slopes[new[new >= 0]]
        slope, residual = slopes.max(axis=0), self._residuals.array[ends].max(axis=0)
        deviations = np.where(slope > 0, residual / np.where(slope > 0, slope, 1.0) * _SAFE, _UNBOUNDED)
        self._deviations.extend(np.minimum(deviations, _UNBOUNDED))
        self._newborn, self._slopes = len(self._rows.array), np.zeros(0)

    def _decide(self, vertices: np.ndarray, layer: int, sign: np.ndarray, unknown: np.ndarray) -> None:
        """Replace the rows that have unknown signs by better ones, in which all signs are known; `sign` in place."""
        doubtful = np.flatnonzero(unknown.any(axis=1))
        if len(doubtful):
            self.num_traced += len(doubtful)
            which, width = vertices[doubtful], self._width
            known = np.where(unknown[doubtful], 2, sign[doubtful]).astype(np.int8)
            sign[doubtful], rows, bounds = self._ancestry.decide(which, layer, known)
            _check_range(rows)
            if np.any((sign[doubtful] != 0) & (rows[:, :width] == 0)):
                raise OutOfRangeError
            shifts = self._steepest * _length(bounds[:, width:]) * _SAFE
            # The exact vertex is on all its lines, so coordinates that are new leave them by their errors at most.
            moved = float(_length(bounds[:, width:]).max()) * _SAFE
            np.maximum(self._deviations.array, moved, out=self._deviations.array)
            self._rows.array[which], self._errors.array[which], self._shifts.array[which] = rows, bounds, shifts
            self._residuals.array[which] = (_length(bounds[:, :width]) + shifts) * _SAFE

    def leave(self, sign: np.ndarray) -> None:
        (values, errors), (self._points, self._point_errors) = self._split()
        active = sign > 0
        self._hidden = np.where(active, np.maximum(values, 0.0), 0.0)
        self._hidden_errors = np.where(active, errors, 0.0)
        wrong = _length(np.where(active, np.minimum(values, 0.0), 0.0))  # active, but rounded to the other side
        self._hidden_residuals, self._hidden_shifts = self._residuals.array + wrong, self._shifts.array

    def outputs(self) -> tuple[np.ndarray, np.ndarray]:
        (values, _), (points, _) = self._split()
        return points.copy(), values.copy()

    def errors(self) -> tuple[np.ndarray, np.ndarray]:
        (_, value_errors), (_, point_errors) = self._split()
        return point_errors.copy(), value_errors.copy()

    def _split(self) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        rows, bounds, width = self._rows.array, self._errors.array, self._width
        return (rows[:, :width], bounds[:, :width]), (rows[:, width:], bounds[:, width:])


class _FloatLayer(NamedTuple):
    """An affine map with upper bounds of the Euclidean norms of its rows and of its spectral norm."""

    weight: np.ndarray
    bias: np.ndarray
    row_norms: np.ndarray
    norm: float


def _float_layer(weight: np.ndarray, bias: np.ndarray) -> _FloatLayer:
    return _FloatLayer(weight, bias, _length(weight) * _SAFE, spectral_norm(weight).upper * _SAFE)


def _check_range(numbers: np.ndarray) -> None:
    if not in_range(numbers):
        raise OutOfRangeError


def _length(rows: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("ij,ij->i", rows, rows))


def _crossing(
    first: np.ndarray, second: np.ndarray, first_error: np.ndarray, second_error: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """t = a/(a + b) for the moduli a, b of two values of opposite sign, with a bound of its error in [0, 1]."""
    a, b = abs(first), abs(second)
    total, error = a + b, first_error + second_error
    good = total > 4 * error  # else nothing is known of t, and whatever depends on it is decided exactly
    total = np.where(good, total, 1.0)
    portion = a / np.where(a + b > 0, a + b, 1.0)
    slack = (first_error * b + second_error * a) / (total * (total - np.where(good, error, 0.0))) + 4 * _UNIT
    return portion, np.where(good, slack * _SAFE, 1.0)
