"""Linear regions of a network in the plane: activation regions, merged where the network is the same affine map.

A linear region is a maximal connected union of faces on which the network is one affine map; faces are neighbours if
they share an edge. (Two regions that meet in one point, or not at all, count twice even when their maps are equal.)
"""

import numpy as np
from jaxtyping import Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from widththeory.exact.affine_maps import affine_maps, exact_affine_map
from widththeory.exact.two_dim import Arithmetic, Polygon, PolygonalComplex, subdivide
from widththeory.network import Network


def linear_regions(complex_: PolygonalComplex) -> Int[np.ndarray, "num_faces"]:
    """The linear region that each face belongs to, numbered from 0.

    Whether two neighbours have the same map is decided exactly, also for a complex in float64: by error bounds where
    the maps differ visibly, by the graph of the network where the neurons that change reach no output, and otherwise
    in rational arithmetic.

    Raises:
        ValueError: slopes or intercepts of a complex in float64 that are beyond float64; a rational one may have them.
    """
    inner = complex_.edge_faces[(complex_.edge_faces >= 0).all(axis=1)]
    if complex_.is_rational:
        maps = complex_.affine_maps
        equal = np.all(maps[inner[:, 0]] == maps[inner[:, 1]], axis=(1, 2))
    else:
        equal = _equal_maps(complex_, inner)
    first, second = inner[equal].T
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(complex_.num_faces, complex_.num_faces))
    return connected_components(graph, directed=False)[1]


def _equal_maps(complex_: PolygonalComplex, pairs: np.ndarray) -> np.ndarray:
    """Whether the network has the same affine map on both faces of each pair."""
    network, patterns = complex_.network, complex_.patterns
    maps, errors = affine_maps(network, patterns)
    first, second = pairs.T
    close = np.flatnonzero(~np.any(abs(maps[first] - maps[second]) > errors[first] + errors[second], axis=(1, 2)))
    equal = np.zeros(len(pairs), dtype=bool)
    equal[close] = ~_difference_reaches_output(network, patterns[first[close]], patterns[second[close]])
    known: dict[int, np.ndarray] = {}
    for pair in close[~equal[close]]:
        for face in map(int, pairs[pair]):
            if face not in known:
                known[face] = exact_affine_map(network, patterns[face])
        equal[pair] = np.all(known[int(first[pair])] == known[int(second[pair])])
    return equal


def _difference_reaches_output(network: Network, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether a path of nonzero weights and active neurons leads from a neuron that changes to an output."""
    changed = np.zeros((len(one), network.input_dim))
    start = 0
    for weight, _ in network.layers[:-1]:
        stop = start + len(weight)
        a, b = one[:, start:stop], other[:, start:stop]
        depends = changed @ (weight != 0).T.astype(np.float64) > 0
        changed = ((a != b) | (depends & (a | b))).astype(np.float64)
        start = stop
    return np.any(changed @ (network.layers[-1].weight != 0).T.astype(np.float64) > 0, axis=1)


def count_activation_regions(network: Network, polygon: Polygon, arithmetic: Arithmetic = "filtered") -> int:
    """Number of activation patterns that occur on an open part of the polygon; exact in either arithmetic."""
    return subdivide(network, polygon, arithmetic).num_faces


def count_linear_regions(network: Network, polygon: Polygon, arithmetic: Arithmetic = "filtered") -> int:
    """Number of linear regions in the polygon; exact in either arithmetic."""
    return int(linear_regions(subdivide(network, polygon, arithmetic)).max()) + 1
