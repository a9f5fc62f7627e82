"""What a network computes at the vertices of a subdivision, and on which side of each break line they lie.

A vertex is a corner of the domain, or the point where a neuron's pre-activation vanishes on an edge whose ends lie
strictly on its two sides. Every pre-activation of that layer is affine on the edge, so with the neuron's values
z(a) < 0 < z(b), or the reverse, at the ends a and b the vertex is a + t (b − a) with t = z(a)/(z(a) − z(b)), and so
are the values there of all neurons of the layer. Three arithmetics follow this:

- `RationalValues`: exact rationals throughout.
- `RoundedValues`: the same, with floats as result.
- `FilteredValues` (in `filtered_values`): float64 with a running error bound a number. A sign is taken from the float
  where |value| exceeds its bound; where it does not, the vertex is traced back to the corners of the domain
  (`vertex_ancestry`), in balls of 256 bits and, where these do not decide either, in exact rationals.

Many signs need no arithmetic at all: on an edge whose two ends agree in sign, so does every new vertex on it. So a
vertex that lies on several break lines is found to do so even though its float coordinates are rounded.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from widththeory.exact.rationals import ExactAffine, signs, to_floats, to_fractions, to_numbers
from widththeory.network import Network


@runtime_checkable
class VertexValues(Protocol):
    """The arithmetic of a subdivision. Arrays have a row a vertex, in the order in which vertices were made."""

    def enter(self, layer: int, decide: bool = True) -> np.ndarray:
        """Go on to the pre-activations of a layer; their signs, (num_vertices, width) int8, sure only if `decide`."""
        ...

    def insert(
        self, layer: int, neuron: int, edges: np.ndarray, tails: np.ndarray, heads: np.ndarray, below: np.ndarray
    ) -> np.ndarray:
        """Put a vertex on each edge from tail to head where the neuron vanishes; the signs of the layer there.

        The half at the tail keeps the number of the edge, the other halves follow in order as new edges. `below` holds
        the signs (num_edges, width) that are known beforehand, with 2 for those that are not.
        """
        ...

    def join(self, entry: np.ndarray, exit_: np.ndarray) -> None:
        """Add an edge between vertices at which the neuron inserted last vanishes, across each face that it cuts."""
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

    def insert(
        self, layer: int, neuron: int, edges: np.ndarray, tails: np.ndarray, heads: np.ndarray, below: np.ndarray
    ) -> np.ndarray:
        first, second = self._rows.array[tails], self._rows.array[heads]
        portion = first[:, neuron] / (first[:, neuron] - second[:, neuron])
        born = first + portion[:, None] * (second - first)
        self._rows.extend(born)
        unknown = below == 2
        below[unknown] = signs(born[:, : self._width][unknown])
        return below

    def join(self, entry: np.ndarray, exit_: np.ndarray) -> None:
        pass

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


class RoundedValues(RationalValues):
    """Exact rationals, rounded to floats at the end: for numbers with which `FilteredValues` cannot work."""

    def outputs(self) -> tuple[np.ndarray, np.ndarray]:
        try:
            values, points = map(to_floats, self._split())
        except OverflowError:
            raise ValueError("network returns values too large for float64; rational arithmetic takes them") from None
        return points, values

    def errors(self) -> tuple[np.ndarray, np.ndarray]:
        points, values = (2.0**-53 * abs(part) + 5e-324 for part in self.outputs())  # or the least float of all
        return points, values
