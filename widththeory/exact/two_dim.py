"""The polygonal complex of a ReLU network on a convex polygon: vertices, edges, and faces with their affine maps.

A face is a maximal polygon on which every neuron keeps its activation: active where its pre-activation is positive,
inactive where it is negative or vanishes identically. Faces and activation patterns that occur on an open set are in
one-to-one correspondence, so counting faces counts activation regions; `widththeory.exact.linear_regions` merges those
on which the network is the same affine map.

What is guaranteed. With arithmetic="rational" everything is exact, for the numbers that the network stores: a float is
the dyadic rational it is, nothing is rounded, and vertices come out as Fractions. With arithmetic="filtered" the
combinatorics (vertices, edges, faces, activation patterns, and their numbering) are the same as in rational
arithmetic, ties included; coordinates and values are floats, with rigorous bounds of their errors beside them. Where
weights or values leave 1e-100 to 1e100, so that floats may overflow or underflow, it computes in rationals and rounds
in the end. Both use the edges' ends only, as in edge subdivision, so each vertex is made once and shared by its faces.

Source: [berzins2023], as recalled, for subdividing edges instead of clipping cells. Differs: faces are tracked through
their edges instead of sign vectors, and signs are exact.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from widththeory.exact.affine_maps import affine_maps, relu_network
from widththeory.exact.filtered_values import FilteredValues, OutOfRangeError
from widththeory.exact.polygons import convex_corners, fan, triangle_areas
from widththeory.exact.rationals import is_finite, to_fractions, to_numbers
from widththeory.exact.subdivision import Subdivision
from widththeory.exact.vertex_values import RationalValues, RoundedValues, VertexValues
from widththeory.network import Network, compose
from widththeory.typing import Certified

Arithmetic = Literal["filtered", "rational"]
Polygon = Sequence[Any] | np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class PolygonalComplex:
    """A convex polygon, subdivided by the break lines of a network. Made by `subdivide`.

    Numbers are float64, or Fractions in arrays of dtype object. Face i has the vertices
    cycles[offsets[i]:offsets[i + 1]], counter-clockwise, and is strictly convex. `edge_faces` holds the faces on the
    left and right of each edge, -1 for the outside; `edge_neurons` the neuron whose break line made the edge (hidden
    neurons are counted through all layers), -1 on the boundary. `patterns` tells which neurons are active on each face,
    `values` what the network returns at each vertex. The two arrays of errors bound those of `vertices` and `values`;
    they are zero in rational arithmetic.
    """

    network: Network
    vertices: Shaped[np.ndarray, "num_vertices 2"]
    values: Shaped[np.ndarray, "num_vertices output_dim"]
    edges: Int[np.ndarray, "num_edges 2"]
    edge_faces: Int[np.ndarray, "num_edges 2"]
    edge_neurons: Int[np.ndarray, "num_edges"]
    offsets: Int[np.ndarray, "num_offsets"]
    cycles: Int[np.ndarray, "num_corners"]
    patterns: Bool[np.ndarray, "num_faces num_neurons"]
    vertex_errors: Float[np.ndarray, "num_vertices 2"]
    value_errors: Float[np.ndarray, "num_vertices output_dim"]

    def __repr__(self) -> str:
        return f"PolygonalComplex({self.num_faces} faces, {len(self.vertices)} vertices)"

    @property
    def num_faces(self) -> int:
        """Number of activation regions."""
        return len(self.offsets) - 1

    @property
    def is_rational(self) -> bool:
        """Whether the numbers are Fractions."""
        return self.vertices.dtype == object

    def polygon(self, face: int) -> Shaped[np.ndarray, "num_corners 2"]:
        """Corners of a face, counter-clockwise."""
        return self.vertices[self.cycles[self.offsets[face] : self.offsets[face + 1]]]

    @cached_property
    def triangles(self) -> tuple[np.ndarray, np.ndarray]:
        """Fan triangulation of all faces: corner indices (num_triangles, 3), and the face of each."""
        return fan(self.offsets, self.cycles)

    @cached_property
    def areas(self) -> Shaped[np.ndarray, "num_faces"]:
        """Area of each face."""
        corners, _ = self.triangles
        return np.add.reduceat(
            triangle_areas(self.vertices, corners), self.offsets[:-1] - 2 * np.arange(self.num_faces)
        )

    @cached_property
    def affine_maps(self) -> Shaped[np.ndarray, "num_faces output_dim 3"]:
        """The network on each face: gradient of each output, then its intercept."""
        if not self.is_rational:
            return affine_maps(self.network, self.patterns)[0]
        # Exact, from three corners: no three corners of a strictly convex polygon lie on a line.
        first, second, third = (self.cycles[self.offsets[:-1] + i] for i in range(3))
        origin, value = self.vertices[first], self.values[first]
        (ux, uy), (vx, vy) = (self.vertices[second] - origin).T, (self.vertices[third] - origin).T
        along_u, along_v = (self.values[second] - value).T, (self.values[third] - value).T
        determinant = ux * vy - uy * vx
        gradient_x, gradient_y = (
            (along_u * vy - along_v * uy) / determinant,
            (along_v * ux - along_u * vx) / determinant,
        )
        intercept = value.T - gradient_x * origin[:, 0] - gradient_y * origin[:, 1]
        return np.stack([gradient_x.T, gradient_y.T, intercept.T], axis=2)


def planar_network(network: Any) -> Network:
    """The argument, if it is a ReLU network on the plane.

    Raises:
        ValueError: it is something else, or its input dimension is not 2.
    """
    if relu_network(network).input_dim != 2:
        raise ValueError(f"network must have input_dim 2, got {network.input_dim}; see restrict_to_plane for slices")
    return network


def restrict_to_plane(network: Network, origin: Any, directions: Any) -> Network:
    """The network on a plane in its input space: (s, t) -> network(origin + s directions[0] + t directions[1]).

    The first layer is multiplied out in Fractions: rounded, it would lose ties that the network has on the plane.

    Args:
        origin: a point, input_dim numbers.
        directions: two vectors of input_dim numbers each, linearly independent if areas are to mean anything.

    Raises:
        ValueError: not a ReLU network, other shapes, or NaN.
    """
    relu_network(network)
    origin, directions = np.asarray(origin), np.asarray(directions)
    if origin.shape != (network.input_dim,) or directions.shape != (2, network.input_dim):
        raise ValueError(
            f"origin and directions must have shapes ({network.input_dim},) and (2, {network.input_dim}), "
            f"got {origin.shape} and {directions.shape}"
        )
    return compose(network, Network([(directions.T, origin)]).rational())


def subdivide(network: Network, polygon: Polygon, arithmetic: Arithmetic = "filtered") -> PolygonalComplex:
    """The polygonal complex of a network on a convex polygon.

    Args:
        network: input dimension 2, any output dimension; float or Fraction weights.
        polygon: corners in order along the boundary (see `polygons.convex_corners` and `polygons.box`).
        arithmetic: "filtered", float64 with exact combinatorics, or "rational" for Fractions throughout.

    Size: time and memory grow as faces times neurons, and no faster.

    Raises:
        ValueError: input dimension other than 2, a polygon that is empty, flat, not convex or not finite, or values
            too large for the floats of "filtered".

    Source: derived for this project.
    """
    return _subdivide(planar_network(network), polygon, arithmetic)[0]


def _subdivide(
    network: Network, polygon: Polygon, arithmetic: Arithmetic, cut_outputs: bool = False
) -> tuple[PolygonalComplex, np.ndarray]:
    """The complex, cut along the zero lines of the outputs too if asked for, and the signs of the outputs."""
    corners = convex_corners(polygon)
    if arithmetic not in ("filtered", "rational"):
        raise ValueError(f"arithmetic must be 'filtered' or 'rational', got {arithmetic!r}")
    if arithmetic == "rational":
        return _complex(network, RationalValues(network, corners), len(corners), cut_outputs)
    try:
        return _complex(network, FilteredValues(network, corners), len(corners), cut_outputs)
    except OutOfRangeError:
        return _complex(network, RoundedValues(network, corners), len(corners), cut_outputs)


def _complex(
    network: Network, values: VertexValues, num_corners: int, cut_outputs: bool
) -> tuple[PolygonalComplex, np.ndarray]:
    subdivision = Subdivision(num_corners, values)
    last = network.size.depth
    for layer in range(last):
        subdivision.activate(subdivision.cut_by_layer(layer))
    output_signs = subdivision.cut_by_layer(last) if cut_outputs else values.enter(last, decide=False)
    vertices, outputs = values.outputs()
    vertex_errors, value_errors = values.errors()
    offsets, cycles = subdivision.cycles()
    patterns = [pattern.array for pattern in subdivision.patterns]
    result = PolygonalComplex(
        network,
        vertices,
        outputs,
        subdivision.edges,
        subdivision.edge_faces,
        subdivision.edge_neurons,
        offsets,
        cycles,
        np.concatenate(patterns, axis=1) if patterns else np.zeros((1, 0), dtype=bool),
        vertex_errors,
        value_errors,
    )
    return result, output_signs


class LevelSet(NamedTuple):
    """Where a function has a given value: segments (num_segments, ends, coordinates), and polygons where it is flat."""

    segments: Shaped[np.ndarray, "num_segments 2 2"]
    flat: tuple[np.ndarray, ...]


def level_set(network: Network, polygon: Polygon, level: Any = 0, arithmetic: Arithmetic = "filtered") -> LevelSet:
    """The set {x in polygon: network(x) = level}.

    It is the union of the segments, of the flat polygons, and of vertices at which alone the level is attained. Which
    segments there are is decided exactly; in float arithmetic their ends are rounded.

    Args:
        network: input dimension 2, one output.
        level: a Fraction, an integer or a float.

    Raises:
        ValueError: as `subdivide`, or several outputs.
    """
    if planar_network(network).output_dim != 1:
        raise ValueError(f"network must have output_dim 1 for a level set, got {network.output_dim}")
    if not is_finite(level):
        raise ValueError(f"level must be a finite number, got {level!r}")
    exact = network if level == 0 else network.rational().then([[Fraction(1)]], -to_fractions(to_numbers([level])))
    cut, sign = _subdivide(exact, polygon, arithmetic, cut_outputs=True)
    on_level = sign[:, 0] == 0
    flat = np.logical_and.reduceat(on_level[cut.cycles], cut.offsets[:-1])
    segments = cut.vertices[cut.edges[on_level[cut.edges].all(axis=1)]]
    return LevelSet(segments, tuple(cut.polygon(int(face)) for face in np.flatnonzero(flat)))


def decision_regions(
    network: Network, polygon: Polygon, arithmetic: Arithmetic = "filtered"
) -> tuple[PolygonalComplex, Int[np.ndarray, "num_faces"]]:
    """Faces, cut further where a classifier changes its mind, and the class on each: the largest output.

    A network of one output decides between class 0 (negative, or identically zero) and class 1. Where outputs tie on a
    whole face the first of them wins. Edges made by a difference of outputs carry numbers after those of all hidden
    neurons in `edge_neurons`.
    """
    outputs = planar_network(network).output_dim
    rows, columns = np.triu_indices(outputs, 1)
    identity = np.eye(outputs, dtype=np.int64).astype(object)
    differences = (identity[columns] - identity[rows], np.zeros(len(rows), dtype=object))
    margins = network if outputs == 1 else network.rational().then(*differences)
    cut, sign = _subdivide(margins, polygon, arithmetic, cut_outputs=True)
    wins = np.maximum.reduceat(sign[cut.cycles], cut.offsets[:-1], axis=0) > 0  # the later class of each pair
    if outputs == 1:
        return cut, wins[:, 0].astype(np.int64)
    beaten = np.zeros((cut.num_faces, outputs), dtype=bool)
    for pair, row in enumerate(rows):
        beaten[:, row] |= wins[:, pair]
    return cut, np.argmin(beaten, axis=1)  # the first class that no later one beats is the first of the largest


def lipschitz_constant(complex_: PolygonalComplex) -> Certified:
    """Largest spectral norm of the Jacobian over all faces: the best Lipschitz constant, since the polygon is convex.

    Error: rigorous, from bounds of the errors of the Jacobians' entries.

    Raises:
        ValueError: too large for float64.

    Source: derived for this project.
    """
    maps, errors = (part[:, :, :2] for part in affine_maps(complex_.network, complex_.patterns))
    largest = max(abs(maps).max(), errors.max())
    if largest == 0:
        return Certified(0.0, 0.0)
    scale = float(2.0 ** np.floor(np.log2(largest)))  # so that squares are in range
    maps, errors = maps / scale, errors / scale
    (x, y), slack = (maps[:, :, axis] for axis in range(2)), np.sqrt((errors**2).sum(axis=(1, 2)))
    xx, yy, xy = (x * x).sum(axis=1), (y * y).sum(axis=1), (x * y).sum(axis=1)
    norms = np.sqrt((xx + yy) / 2 + np.hypot((xx - yy) / 2, xy))
    # Squares, sums and roots of nonnegative numbers; only xx − yy cancels, and beside it stands xx + yy.
    slack += 4 * (maps.shape[1] + 8) * 2.0**-53 * norms
    value = float(norms.max())
    error = float(np.maximum((norms + slack).max() - value, slack[np.argmax(norms)])) * (1 + 2.0**-20)
    if not np.isfinite(value * scale):
        raise ValueError("network has a Lipschitz constant too large for float64")
    return Certified(value * scale, error * scale + math.ulp(0.0))
