"""Values at single vertices, traced back through the edges on which they were made to the corners of the domain.

This is what a subdivision in floats asks when its error bounds leave a sign open. Bounds in floats grow with every
vertex that is made on an edge between other such vertices, far more than the errors do, so most open signs are not
ties: balls of 256 bits (interval arithmetic) decide these, some ten times faster than rationals. What they leave open
is decided in exact rationals. All values are remembered, for vertices have ancestors in common.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from widththeory.exact.rationals import ExactAffine, signs, to_floats, to_numbers
from widththeory.network import Network

try:
    import flint
except ModuleNotFoundError:
    flint = None  # type: ignore[assignment]

_UNIT = 2.0**-53
_BITS = 256


class _Birth(NamedTuple):
    """A vertex: the ends of the edge on which it was made, and the neuron that vanishes there."""

    tail: int
    head: int
    layer: int
    neuron: int


class _Rationals:
    numbers = staticmethod(to_numbers)
    affine = staticmethod(ExactAffine)

    def relu(self, row: np.ndarray) -> np.ndarray:
        return np.where(row > 0, row, 0 * row)


class _Balls:
    """Balls of flint. To be used under `flint.ctx.workprec(_BITS)`."""

    def __init__(self) -> None:
        self._zero = flint.arb(0)
        self._ball = np.frompyfunc(flint.arb, 1, 1)
        self._relu = np.frompyfunc(lambda ball: ball.max(self._zero), 1, 1)

    def numbers(self, array: Any) -> np.ndarray:
        return np.asarray(self._ball(to_numbers(array)), dtype=object)

    def relu(self, row: np.ndarray) -> np.ndarray:
        return np.asarray(self._relu(row), dtype=object)

    def affine(self, weight: np.ndarray, bias: np.ndarray) -> Any:
        matrix, shift = self.numbers(weight).tolist(), self.numbers(bias)
        left = flint.arb_mat(matrix)

        def apply(rows: np.ndarray) -> np.ndarray:
            result = np.empty(rows.T.shape[1:] + shift.shape, dtype=object)
            for index, row in enumerate(rows):
                result[index] = (left * flint.arb_mat(len(row), 1, row.tolist())).entries()
            return result + shift

        return apply


class Ancestry:
    """The family tree of the vertices of a subdivision, and the values of a network at its members."""

    def __init__(self, network: Network, corners: Sequence[Any]):
        self._network, self._corners = network, corners
        self._births: list[tuple[np.ndarray, np.ndarray, int, int]] = []
        self._starts = [len(corners)]
        self._exact = _Memory(self, _Rationals())
        self._balls = None if flint is None else _Memory(self, _Balls())
        self._surplus = 0  # vertices that balls have decided, less those that they have not

    def record(self, tails: np.ndarray, heads: np.ndarray, layer: int, neuron: int) -> None:
        """Vertices that follow in number, one on each edge from tail to head, where a neuron vanishes."""
        self._births.append((tails, heads, layer, neuron))
        self._starts.append(self._starts[-1] + len(tails))

    def birth(self, vertex: int) -> _Birth | None:
        """How a vertex was made; None for the corners of the domain."""
        if vertex < self._starts[0]:
            return None
        group = int(np.searchsorted(self._starts, vertex, side="right")) - 1
        tails, heads, layer, neuron = self._births[group]
        index = vertex - self._starts[group]
        return _Birth(int(tails[index]), int(heads[index]), layer, neuron)

    def corner(self, vertex: int) -> Any:
        """Coordinates of a corner of the domain."""
        return self._corners[vertex]

    def weights(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """The affine map of a layer."""
        return self._network.layers[layer]

    def decide(self, vertices: np.ndarray, layer: int, known: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Signs of the pre-activations of a layer at vertices; these with the coordinates as floats; bounds of errors.

        `known` holds the signs (num_vertices, width) that are known beforehand, with 2 for those that are asked for.
        """
        width = known.shape[1]
        sign, rows = known.copy(), np.empty((len(vertices), width + 2))
        bounds = np.empty_like(rows)
        for index, vertex in enumerate(map(int, vertices)):
            if not (self._surplus >= 0 and self._by_balls(vertex, layer, sign[index], rows[index], bounds[index])):
                exact = self._exact.row(vertex, layer)
                sign[index], rows[index] = signs(exact[:width]), to_floats(exact)
                bounds[index] = _UNIT * abs(rows[index])
        zero = sign == 0
        rows[:, :width][zero], bounds[:, :width][zero] = 0, 0
        return sign, rows, bounds

    def _by_balls(self, vertex: int, layer: int, sign: np.ndarray, row: np.ndarray, bound: np.ndarray) -> bool:
        """Fill in one row from balls; whether they decide what is asked for."""
        if self._balls is None:
            return False
        with flint.ctx.workprec(_BITS):
            balls = self._balls.row(vertex, layer)
            found = signs(balls[: len(sign)])
            decided = not np.any((sign == 2) & (found == 0))
            self._surplus += 1 if decided else -1
            if decided:
                sign[sign == 2] = found[sign == 2]
                row[:], bound[:] = _enclosed(balls)
        return decided


def _enclosed(balls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Floats near balls, and bounds of the distance to any number in them."""
    row = np.array([float(ball.mid()) for ball in balls])
    return row, np.array([2 * float(ball.rad()) for ball in balls]) + 2 * _UNIT * abs(row)


class _Memory:
    """Values in one arithmetic: a row (pre-activations, then coordinates) for each vertex and layer asked for."""

    def __init__(self, ancestry: Ancestry, arithmetic: _Rationals | _Balls):
        self._ancestry, self._arithmetic = ancestry, arithmetic
        self._rows: dict[tuple[int, int], np.ndarray] = {}
        self._layers: dict[int, Any] = {}

    def row(self, vertex: int, layer: int) -> np.ndarray:
        wanted = [(vertex, layer)]
        while wanted:  # a loop, since the chain of ancestors may be longer than the interpreter's stack
            key = wanted[-1]
            if key not in self._rows:
                birth = self._ancestry.birth(key[0])
                born_here = birth is not None and birth.layer == key[1]
                if birth is not None and born_here:
                    before = [(birth.tail, key[1]), (birth.head, key[1])]
                else:
                    before = [(key[0], key[1] - 1)] if key[1] > 0 else []
                missing = [other for other in before if other not in self._rows]
                if missing:
                    wanted.extend(missing)
                    continue
                self._rows[key] = self._between(birth) if birth and born_here else self._forward(*key)
            wanted.pop()
        return self._rows[vertex, layer]

    def _between(self, birth: _Birth) -> np.ndarray:
        first, second = self._rows[birth.tail, birth.layer], self._rows[birth.head, birth.layer]
        portion = first[birth.neuron] / (first[birth.neuron] - second[birth.neuron])
        row = first + portion * (second - first)
        row[birth.neuron] = 0 * portion if isinstance(self._arithmetic, _Rationals) else flint.arb(0)
        return row

    def _forward(self, vertex: int, layer: int) -> np.ndarray:
        if layer not in self._layers:
            self._layers[layer] = self._arithmetic.affine(*self._ancestry.weights(layer))
        if layer == 0:
            hidden = point = self._arithmetic.numbers(self._ancestry.corner(vertex))
        else:
            row = self._rows[vertex, layer - 1]
            hidden, point = self._arithmetic.relu(row[:-2]), row[-2:]
        return np.concatenate([self._layers[layer](hidden[None, :])[0], point])
