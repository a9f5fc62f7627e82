"""Composite Gauss-Legendre quadrature on panels."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float

Edges = Float[np.ndarray, "num_edges"]
Panels = Float[np.ndarray, "num_panels num_nodes"]

_NUM_CHECKED = 16  # nodes of the polynomials that a function is held against


@lru_cache(maxsize=64)
def gauss_legendre(num_nodes: int) -> tuple[Edges, Edges]:
    """Nodes and weights on [-1, 1], kept."""
    nodes, weights = np.polynomial.legendre.leggauss(num_nodes)
    nodes.flags.writeable = weights.flags.writeable = False  # shared by all callers
    return nodes, weights


def panel_edges(end: float, width: float, breaks: Sequence[float] = ()) -> Edges:
    """Edges of panels no wider than `width` that cover [0, end], with an edge at every break inside."""
    inside = np.asarray([point for point in breaks if 0 < point < end], dtype=np.float64)
    return np.unique(np.concatenate([np.linspace(0.0, end, int(np.ceil(end / width)) + 1), inside]))


def panel_nodes(edges: Edges, num_nodes: int) -> tuple[Panels, Panels]:
    """Gauss-Legendre nodes and weights in each panel; exact for polynomials of degree below 2 num_nodes in each."""
    nodes, weights = gauss_legendre(num_nodes)
    half = np.diff(edges)[:, None] / 2
    return edges[:-1, None] + half * (1 + nodes), half * weights


def unresolved(function: Callable[[Edges], Edges], density: Callable[[Edges], Edges], edges: Edges) -> float:
    """Part of the function's norm that polynomials through 16 nodes in each panel leave at other nodes.

    The difference of two rules bounds their error only where this is small: an oscillation that is too fast for both
    is wrong in both.

    Args:
        function, density: vectorised; the norm is that of L2 under the density.
        edges: of the panels.

    Source: derived for this project.
    """
    nodes, weights = gauss_legendre(_NUM_CHECKED)
    expansion = (np.polynomial.legendre.legvander(nodes, _NUM_CHECKED - 1) * weights[:, None]).T
    expansion *= np.arange(_NUM_CHECKED)[:, None] + 0.5
    between = np.polynomial.legendre.legvander(gauss_legendre(_NUM_CHECKED + 1)[0], _NUM_CHECKED - 1) @ expansion
    at_nodes = panel_nodes(edges, _NUM_CHECKED)[0]
    elsewhere, weights = panel_nodes(edges, _NUM_CHECKED + 1)
    values, known = (function(t.ravel()).reshape(t.shape) for t in (elsewhere, at_nodes))
    mass = weights * density(elsewhere.ravel()).reshape(weights.shape)
    whole = float(np.sum(mass * values**2))
    return math.sqrt(float(np.sum(mass * (values - known @ between.T) ** 2)) / whole) if whole else 0.0
