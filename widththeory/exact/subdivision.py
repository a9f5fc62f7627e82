"""A convex polygon cut by the break lines of a network: the combinatorics, and nothing else.

Vertices, edges and faces are integers. An edge has a tail and a head, and a face on its left and on its right (the
outside is -1); every face is a strictly convex polygon, and two faces that meet do so along whole edges. Both stay true
when one neuron after another cuts all faces at once, because a pre-activation is continuous and affine on each face: if
it changes sign inside an edge, then both faces beside the edge are cut, and from the same new vertex. All decisions
follow from the signs of the pre-activations at the vertices, so two arithmetics that agree on signs agree on
everything. Each cut is a fixed number of NumPy operations over all edges.
"""

import numpy as np

from widththeory.exact.vertex_values import Rows, VertexValues

# Sign inside an edge, from the signs at its two ends (indexed from -1 to 1); 2 where they are opposite.
_BETWEEN = np.array([[-1, -1, 2], [-1, 0, 1], [2, 1, 1]], dtype=np.int8)


class Subdivision:
    """A polygon with the given number of corners, cut further by `cut_by_layer`."""

    def __init__(self, num_corners: int, values: VertexValues):
        ring = np.arange(num_corners, dtype=np.int32)
        self._values = values
        self._tail, self._head = Rows(ring), Rows(np.roll(ring, -1))
        self._left, self._right = Rows(np.zeros_like(ring)), Rows(np.full_like(ring, -1))
        self._neuron = Rows(np.full_like(ring, -1))
        self._num_neurons = 0
        self.num_faces = 1
        self.patterns: list[Rows] = []

    @property
    def edges(self) -> np.ndarray:
        """Tail and head of each edge."""
        return np.stack([self._tail.array, self._head.array], axis=1)

    @property
    def edge_faces(self) -> np.ndarray:
        """Faces on the left and on the right of each edge."""
        return np.stack([self._left.array, self._right.array], axis=1)

    @property
    def edge_neurons(self) -> np.ndarray:
        """The neuron that made each edge, counted through all layers; -1 on the boundary of the domain."""
        return self._neuron.array.copy()

    def cut_by_layer(self, layer: int) -> np.ndarray:
        """Cut by the zero lines of all pre-activations of a layer; returns their signs at all vertices."""
        signs = Rows(self._values.enter(layer))
        width = signs.array.shape[1]
        crossing = (signs.array.max(axis=0) > 0) & (signs.array.min(axis=0) < 0)
        for neuron in np.flatnonzero(crossing):
            self._cut(layer, int(neuron), signs)
        self._num_neurons += width
        return signs.array

    def activate(self, signs: np.ndarray) -> None:
        """Apply ReLU to the layer that was cut last, and note which neurons are active on each face."""
        self._values.leave(signs)
        faces, tails, _ = self._half_edges()
        order = np.argsort(faces, kind="stable")
        starts = np.searchsorted(faces[order], np.arange(self.num_faces))
        blocks = [
            np.maximum.reduceat(signs[:, columns][tails[order]], starts, axis=0) > 0
            for columns in np.array_split(np.arange(signs.shape[1]), -(-signs.shape[1] // 16))
        ]
        self.patterns.append(Rows(np.concatenate(blocks, axis=1)))

    def _cut(self, layer: int, neuron: int, signs: Rows) -> None:
        sign = np.ascontiguousarray(signs.array[:, neuron])
        tail, head, left, right = (part.array for part in (self._tail, self._head, self._left, self._right))
        at_tail, at_head = sign[tail], sign[head]
        crossed = np.flatnonzero(at_tail * at_head < 0)
        born = np.arange(len(sign), len(sign) + len(crossed), dtype=np.int32)

        # Where the boundary of each face, followed counter-clockwise, comes to the positive side and where it leaves
        # it. The last entry stands for the outside.
        entry, exit_ = (np.full(self.num_faces + 1, -1, dtype=np.int32) for _ in range(2))
        rising = at_tail[crossed] < 0
        for faces, up in ((left, rising), (right, ~rising)):
            entry[faces[crossed[up]]], exit_[faces[crossed[~up]]] = born[up], born[~up]
        if len(sign) != np.count_nonzero(sign):  # the line also goes through old vertices
            for faces, arrival, before, there in ((left, head, at_tail, at_head), (right, tail, at_head, at_tail)):
                touched = np.flatnonzero((there == 0) & (before != 0))
                up = before[touched] < 0
                entry[faces[touched[up]]], exit_[faces[touched[~up]]] = arrival[touched[up]], arrival[touched[~up]]
        split = np.flatnonzero((entry[:-1] >= 0) & (exit_[:-1] >= 0)).astype(np.int32)
        if not len(split):
            return

        if len(crossed):
            tails, heads = tail[crossed], head[crossed]
            known = _BETWEEN[signs.array[tails] + 1, signs.array[heads] + 1]
            known[:, neuron] = 0
            signs.extend(self._values.insert(layer, neuron, crossed, tails, heads, known))
        positive = np.flatnonzero(at_tail + at_head > 0)
        num_edges = len(tail)
        head[crossed] = born
        added = np.arange(num_edges, num_edges + len(crossed))
        self._tail.extend(born)
        self._head.extend(heads if len(crossed) else born)
        for part in (self._left, self._right, self._neuron):
            part.extend(part.array[crossed])

        # The negative half keeps the number of the face; edges of the positive half get the new one.
        halves = np.arange(self.num_faces, self.num_faces + len(split), dtype=np.int32)
        renumbered = np.arange(self.num_faces + 1, dtype=np.int32)
        renumbered[split], renumbered[-1] = halves, -1
        positive = np.concatenate([positive, np.where(rising, added, crossed)])
        for part in (self._left, self._right):
            part.array[positive] = renumbered[part.array[positive]]
        self._tail.extend(entry[split])
        self._head.extend(exit_[split])
        self._left.extend(split)
        self._right.extend(halves)
        self._neuron.extend(np.full(len(split), self._num_neurons + neuron, dtype=np.int32))
        self._values.join(entry[split], exit_[split])
        for pattern in self.patterns:
            pattern.extend(pattern.array[split])
        self.num_faces += len(split)

    def _half_edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each edge once in each direction in which it bounds a face: the face on the left, tail, head."""
        tail, head, left, right = (part.array for part in (self._tail, self._head, self._left, self._right))
        inner = np.flatnonzero(right >= 0)
        return (
            np.concatenate([left, right[inner]]),
            np.concatenate([tail, head[inner]]),
            np.concatenate([head, tail[inner]]),
        )

    def cycles(self) -> tuple[np.ndarray, np.ndarray]:
        """Vertices of each face counter-clockwise: those of face i are cycles[offsets[i]:offsets[i + 1]]."""
        faces, tails, heads = self._half_edges()
        num_vertices = int(tails.max()) + 1
        keys = faces.astype(np.int64) * num_vertices + tails
        order = np.argsort(keys)
        following = np.searchsorted(keys, faces[order].astype(np.int64) * num_vertices + heads[order], sorter=order)
        tails = tails[order]
        degrees = np.bincount(faces, minlength=self.num_faces)
        offsets = np.concatenate([[0], np.cumsum(degrees)])
        cycles = np.empty(len(tails), dtype=np.int32)
        position = offsets[:-1]
        for step in range(int(degrees.max())):
            open_ = degrees > step
            cycles[(offsets[:-1] + step)[open_]] = tails[position[open_]]
            position = following[position]
        return offsets, cycles
