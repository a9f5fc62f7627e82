"""Composite Gauss-Legendre quadrature on panels."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float

Edges = Float[np.ndarray, "num_edges"]
Panels = Float[np.ndarray, "num_panels num_nodes"]


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
