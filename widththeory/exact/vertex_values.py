"""What a network computes at the vertices of a subdivision, and on which side of each break line they lie.

A vertex is a corner of the domain, or the point where a neuron's pre-activation vanishes on an edge whose ends lie
strictly on its two sides. Every pre-activation of that layer is affine on the edge, so with the neuron's values
z(a) < 0 < z(b), or the reverse, at the ends a and b the vertex is a + t (b − a) with t = z(a)/(z(a) − z(b)), and so
are the values there of all neurons of the layer. Two arithmetics follow this:

- `RationalValues`: exact rationals throughout.
- `FilteredValues`: float64 with a running error bound a number. A sign is taken from the float where |value| exceeds
  its bound; where it does not, the vertex is traced back to the corners of the domain (`vertex_ancestry`), in balls of
  256 bits and, where these do not decide either, in exact rationals.

Many signs need no arithmetic at all: on an edge whose two ends agree in sign, so does every new vertex on it. So a
vertex that lies on several break lines is found to do so even though its float coordinates are rounded.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from widththeory.exact.lipschitz import spectral_norm
from widththeory.exact.rationals import ExactAffine, signs, to_fractions, to_numbers
from widththeory.exact.vertex_ancestry import Ancestry
from widththeory.network import Network

_UNIT = 2.0**-53
_SAFE = 1 + 2.0**-30  # the bounds are themselves computed in floats


@runtime_checkable
class VertexValues(Protocol):
    """The arithmetic of a subdivision. Arrays have a row a vertex, in the order in which vertices were made."""

    def enter(self, layer: int, decide: bool = True) -> np.ndarray:
        """Go on to the pre-activations of a layer; their signs, (num_vertices, width) int8, sure only if `decide`."""
        ...

    def insert(self, layer: int, neuron: int, tails: np.ndarray, heads: np.ndarray, below: np.ndarray) -> np.ndarray:
        """Put a vertex on each edge from tail to head where the neuron vanishes; the signs of the layer there.

        `below` holds the signs (num_edges, width) that are known beforehand, with 2 for those that are not.
        """
        ...

    def leave(self, sign: np.ndarray) -> None:
        """Apply ReLU to the layer entered last, given the signs of its pre-activations."""
        ...

    def outputs(self) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (num_vertices, 2), and the values there of the affine map entered last."""
        ...

    def errors(self) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of the errors of `outputs`."""
        ...


class Rows:
    """An array that grows by rows; its capacity doubles."""

    def __init__(self, array: np.ndarray):
        self._store, self._count = array, len(array)

    @property
    def array(self) -> np.ndarray:
        return self._store[: self._count]

    def extend(self, rows: np.ndarray) -> None:
        needed = self._count + len(rows)
        if needed > len(self._store):
            grown = np.empty((max(needed, 2 * len(self._store)), *self._store.shape[1:]), self._store.dtype)
            grown[: self._count] = self.array
            self._store = grown
        self._store[self._count : needed] = rows
        self._count = needed


class RationalValues:
    """Exact rationals."""

    def __init__(self, network: Network, corners: Sequence[Any]):
        self._layers = [ExactAffine(*layer) for layer in network.layers]
        self._points = to_numbers(corners)
        self._hidden = self._points

    def enter(self, layer: int, decide: bool = True) -> np.ndarray:
        values = self._layers[layer](self._hidden)
        self._width = values.shape[1]
        self._rows = Rows(np.concatenate([values, self._points], axis=1))
        return signs(values)

    def insert(self, layer: int, neuron: int, tails: np.ndarray, heads: np.ndarray, below: np.ndarray) -> np.ndarray:
        first, second = self._rows.array[tails], self._rows.array[heads]
        portion = first[:, neuron] / (first[:, neuron] - second[:, neuron])
        born = first + portion[:, None] * (second - first)
        self._rows.extend(born)
        unknown = below == 2
        below[unknown] = signs(born[:, : self._width][unknown])
        return below

    def leave(self, sign: np.ndarray) -> None:
        values, self._points = self._split()
        self._hidden = np.where(sign > 0, values, 0 * values)

    def outputs(self) -> tuple[np.ndarray, np.ndarray]:
        values, points = self._split()
        return to_fractions(points), to_fractions(values)

    def errors(self) -> tuple[np.ndarray, np.ndarray]:
        values, points = self._split()
        return np.zeros(points.shape), np.zeros(values.shape)

    def _split(self) -> tuple[np.ndarray, np.ndarray]:
        return self._rows.array[:, : self._width], self._rows.array[:, self._width :]


class FilteredValues:
    """float64 with error bounds, and other arithmetics where the bound does not decide a sign.

    Errors are bounded entry by entry, which sees zeros of the weights, and in the Euclidean norm of a layer's values,
    which grows by the spectral norm of a layer instead of that of its entries' moduli: 3 instead of 9 at width 64. Each
    entry has the smaller of the two bounds.
    """

    def __init__(self, network: Network, corners: Sequence[Any]):
        self._layers = [_float_layer(w, b) for w, b in network.float64().layers]
        self._ancestry = Ancestry(network, corners)
        self._points = np.array([[float(c) for c in corner] for corner in corners])
        self._point_errors = _UNIT * abs(self._points)
        self._hidden, self._hidden_errors = self._points, self._point_errors
        self._hidden_norms = _length(self._point_errors)
        self.num_traced = 0  # vertices that had to be traced back, once a layer each

    def enter(self, layer: int, decide: bool = True) -> np.ndarray:
        weight, bias, row_norms, norm = self._layers[layer]
        self._width = len(bias)
        values = self._hidden @ weight.T + bias
        # Rounding of a sum of n products in any order, of the weights themselves, and of this bound.
        rounding = (weight.shape[1] + 4) * _UNIT
        errors = (self._hidden_errors + rounding * abs(self._hidden)) @ abs(weight.T) + rounding * abs(bias)
        lengths = rounding * _length(self._hidden)
        np.minimum(errors, (self._hidden_norms + lengths)[:, None] * row_norms + rounding * abs(bias), out=errors)
        norms = norm * self._hidden_norms + lengths * _length(row_norms[None])[0] + rounding * _length(bias[None])[0]
        rows = np.concatenate([values, self._points], axis=1)
        bounds = np.concatenate([errors * _SAFE, self._point_errors], axis=1)
        norms = np.minimum(norms, _length(errors)) * _SAFE
        # A value 0 with error 0 is exact: no neuron before it is active, and its bias is 0.
        unknown = ~(abs(values) > bounds[:, : self._width]) & (bounds[:, : self._width] != 0)
        sign = signs(values)
        if decide:
            self._decide(np.arange(len(rows)), layer, rows, bounds, norms, sign, unknown)
        self._rows, self._errors, self._norms = Rows(rows), Rows(bounds), Rows(norms)
        return sign

    def insert(self, layer: int, neuron: int, tails: np.ndarray, heads: np.ndarray, below: np.ndarray) -> np.ndarray:
        first_vertex, width = len(self._rows.array), self._width
        self._ancestry.record(tails, heads, layer, neuron)
        first, second = self._rows.array[tails], self._rows.array[heads]
        first_errors, second_errors = self._errors.array[tails], self._errors.array[heads]
        first_norms, second_norms = self._norms.array[tails], self._norms.array[heads]
        portion, portion_error = _crossing(
            first[:, neuron], second[:, neuron], first_errors[:, neuron], second_errors[:, neuron]
        )
        step = second - first
        rows = first + portion[:, None] * step
        bounds = np.maximum(first_errors, second_errors) + 4 * _UNIT * (abs(first) + abs(second))
        bounds += portion_error[:, None] * (abs(step) + first_errors + second_errors)
        norms = np.maximum(first_norms, second_norms) + portion_error * (_length(step) + first_norms + second_norms)
        norms += 4 * _UNIT * (_length(first) + _length(second))
        bounds, norms = bounds * _SAFE, norms * _SAFE
        np.minimum(bounds[:, :width], norms[:, None], out=bounds[:, :width])
        unknown = below == 2
        values = rows[:, :width]
        if unknown.any():
            below[unknown] = signs(values[unknown])
            unknown &= ~(abs(values) > bounds[:, :width])
        zero = below == 0
        values[zero], bounds[:, :width][zero] = 0, 0
        vertices = np.arange(first_vertex, first_vertex + len(rows))
        self._decide(vertices, layer, rows, bounds, norms, below, unknown)
        self._rows.extend(rows)
        self._errors.extend(bounds)
        self._norms.extend(norms)
        return below

    def _decide(
        self,
        vertices: np.ndarray,
        layer: int,
        rows: np.ndarray,
        bounds: np.ndarray,
        norms: np.ndarray,
        sign: np.ndarray,
        unknown: np.ndarray,
    ) -> None:
        """Replace, in place, the rows that have unknown signs by better ones, in which all signs are known."""
        doubtful = np.flatnonzero(unknown.any(axis=1))
        if len(doubtful):
            self.num_traced += len(doubtful)
            known = np.where(unknown[doubtful], 2, sign[doubtful]).astype(np.int8)
            sign[doubtful], rows[doubtful], bounds[doubtful] = self._ancestry.decide(vertices[doubtful], layer, known)
            norms[doubtful] = _length(bounds[doubtful]) * _SAFE

    def leave(self, sign: np.ndarray) -> None:
        (values, errors), (self._points, self._point_errors) = self._split()
        active = sign > 0
        self._hidden = np.where(active, np.maximum(values, 0.0), 0.0)
        self._hidden_errors = np.where(active, errors, 0.0)
        self._hidden_norms = np.minimum(self._norms.array, _length(self._hidden_errors) * _SAFE)

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
    portion = np.where(good, a / total, 0.5)
    slack = (first_error * b + second_error * a) / (total * (total - np.where(good, error, 0.0))) + 4 * _UNIT
    return portion, np.where(good, slack * _SAFE, 1.0)
