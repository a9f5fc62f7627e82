"""Exact analysis in any input dimension: activation regions of small networks, local affine maps, Lipschitz bounds."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Shaped

from widththeory.exact.linear_programming import Polyhedron, point_below
from widththeory.exact.rationals import matmul, to_fractions, to_numbers
from widththeory.network import Network
from widththeory.typing import Certified

_UNIT = 2.0**-53


class Region(NamedTuple):
    """An activation region: which neurons are active (hidden layers side by side), and a point inside it."""

    pattern: Bool[np.ndarray, "num_neurons"]
    inside: Shaped[np.ndarray, "input_dim"]


def activation_regions(network: Network, low: Any = None, high: Any = None) -> Iterator[Region]:
    """All activation patterns that occur on an open set, each with a point (Fractions) at which it does.

    Neurons are taken one after another. Each either keeps a region whole or cuts it in two, and a linear program in
    exact rationals decides which, so ties are no danger; the cost is one program a region and neuron.

    Args:
        network: any input dimension.
        low, high: restrict the inputs to the open cube (low, high)^input_dim; both or neither. Default: all inputs.

    Raises:
        ValueError: low and high are not numbers with low < high.

    Source: derived for this project.
    """
    dim = network.input_dim
    normals, offsets, centre = np.empty((0, dim), dtype=object), np.empty(0, dtype=object), 0
    if (low, high) != (None, None):
        if low is None or high is None or not low < high:
            raise ValueError(f"low and high must be numbers with low < high, got {low!r} and {high!r}")
        identity = np.eye(dim, dtype=np.int64)
        normals = to_numbers(np.concatenate([identity, -identity]))
        bounds = to_numbers([low, high])
        offsets = np.concatenate([np.repeat(-bounds[:1], dim), np.repeat(bounds[1:], dim)])
        centre = bounds.sum() / 2
    inside = to_numbers(np.zeros(dim, dtype=np.int64)) + centre
    layers = [(to_numbers(weight), to_numbers(bias)) for weight, bias in network.rational().layers[:-1]]
    identity_map = to_numbers(np.eye(dim, dim + 1, dtype=np.int64))
    pending = [(Polyhedron(normals, offsets, inside), [True] * 0, identity_map)]
    starts = np.cumsum([0, *network.size.widths])
    while pending:
        region, pattern, inputs = pending.pop()
        layer = int(np.searchsorted(starts, len(pattern), side="right")) - 1
        if layer == len(layers):
            yield Region(np.array(pattern, dtype=bool), to_fractions(region.inside))
            continue
        weight, bias = layers[layer]
        neuron = len(pattern) - int(starts[layer])
        row = matmul(weight[neuron : neuron + 1], inputs)[0]
        normal, offset = row[:-1], row[-1] + bias[neuron]
        for part, active in _halves(region, normal, offset):
            longer, following = [*pattern, active], inputs
            if neuron + 1 == len(bias):
                rows = matmul(weight, inputs)
                rows[:, -1] += bias
                following = np.where(np.array(longer[starts[layer] :])[:, None], rows, 0 * rows)
            pending.append((part, longer, following))


def _halves(region: Polyhedron, normal: np.ndarray, offset: Any) -> list[tuple[Polyhedron, bool]]:
    """The nonempty parts of a region where an affine function is positive, and negative (or zero throughout)."""
    if not np.any(normal != 0):
        return [(region, bool(offset > 0))]
    parts = []
    for sign in (-1, 1):
        point = point_below(region, sign * normal, sign * offset)
        if point is not None:
            parts.append((region.halved(-sign * normal, -sign * offset, point), sign < 0))
    return parts if len(parts) == 2 else [(region, parts[0][1])]


def count_regions(network: Network, low: Any = None, high: Any = None) -> int:
    """Number of `activation_regions`; exact. For networks in the plane `linear_regions` is far faster."""
    return sum(1 for _ in activation_regions(network, low, high))


class LocalMap(NamedTuple):
    """The network near a point, x -> value + gradient @ (x − point), in Fractions.

    Where `on_break` is true some pre-activation vanishes at the point: then the map is the one on which these neurons
    are inactive, and the network need not be differentiable.
    """

    value: Shaped[np.ndarray, "output_dim"]
    gradient: Shaped[np.ndarray, "output_dim input_dim"]
    on_break: bool


def local_map(network: Network, point: Any) -> LocalMap:
    """Exact value and gradient of a network at a point.

    Args:
        point: input_dim numbers; floats are taken as the rationals they store.

    Raises:
        ValueError: another number of coordinates, NaN or infinity.
    """
    point = np.asarray(point, dtype=object)
    if point.shape != (network.input_dim,) or not all(np.isfinite(float(entry)) for entry in point):
        raise ValueError(f"point must hold {network.input_dim} finite numbers, got {point.tolist()!r}")
    dim, on_break = network.input_dim, False
    # Columns: derivatives, then the value.
    current = np.concatenate([to_numbers(np.eye(dim, dtype=np.int64)), to_numbers(point)[:, None]], axis=1)
    for index, (weight, bias) in enumerate(network.rational().layers):
        current = matmul(to_numbers(weight), current)
        current[:, -1] += to_numbers(bias)
        if index < network.size.depth:
            on_break |= bool(np.any(current[:, -1] == 0))
            current = np.where(current[:, -1:] > 0, current, 0 * current)
    exact = to_fractions(current)
    return LocalMap(exact[:, -1], exact[:, :-1], on_break)


def spectral_norm(matrix: Shaped[np.ndarray, "rows columns"]) -> Certified:
    """Largest singular value of a matrix, with a rigorous bound of the error of its computation.

    Error: from a computed decomposition matrix ≈ U S Vᵀ and first right vector v,
    |matrix v|/|v| <= norm <= |U||V| s_1 + |matrix − U S Vᵀ|, where norms other than the first are Frobenius' of what U
    and V lack to be orthogonal, and of the residual; rounding of these few products is added.

    Source: derived for this project.
    """
    matrix = matrix.astype(np.float64)
    if not matrix.any():
        return Certified(0.0, 0.0)
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    slack = 4 * (sum(matrix.shape) + 4) * _UNIT * np.linalg.norm(matrix) * (1 + len(values))
    lengths = [
        np.sqrt(1 + np.linalg.norm(part - np.eye(len(part))) + 4 * sum(matrix.shape) ** 2 * _UNIT)
        for part in (left.T @ left, right @ right.T)
    ]
    upper = lengths[0] * lengths[1] * values[0] + np.linalg.norm(matrix - (left * values) @ right) + slack
    lower = np.linalg.norm(matrix @ right[0]) / lengths[1] - slack
    return Certified(float(upper + lower) / 2, float(upper - lower) / 2 * (1 + 2.0**-20))


def product_lipschitz_bound(network: Network) -> Certified:
    """∏ |W_l| over all layers, spectral norms: the network is Lipschitz with this constant in Euclidean norms.

    Since ReLU is 1-Lipschitz, |network(x) − network(y)| <= ∏ |W_l| |x − y| for all x, y. In the plane
    `two_dim.lipschitz_constant` is the best constant.

    Error: rigorous; use `.upper` for a bound that holds.

    Source: derived for this project.
    """
    norms = [spectral_norm(weight) for weight, _ in network.layers]
    slack = 2 * len(norms) * _UNIT
    upper = float(np.prod([norm.upper for norm in norms])) * (1 + slack)
    lower = float(np.prod([max(norm.lower, 0.0) for norm in norms])) * (1 - slack)
    return Certified((upper + lower) / 2, (upper - lower) / 2 * (1 + 2.0**-20))


def path_lipschitz_bound(network: Network) -> Certified:
    """Spectral norm of the product of entrywise moduli |W_L| ... |W_0|: a Lipschitz constant as well.

    Every Jacobian is a sum over paths, so it is at most this product entry by entry. Better than
    `product_lipschitz_bound` for sparse explicit networks, worse for dense random ones.

    Error: rigorous; use `.upper` for a bound that holds.

    Source: derived for this project.
    """
    product = np.eye(network.input_dim)
    terms = 0
    for weight, _ in network.layers:
        product = abs(weight.astype(np.float64)) @ product
        terms += weight.shape[1] + 2
    norm = spectral_norm(product)
    return Certified(norm.value, norm.error + 2 * terms * _UNIT * float(np.linalg.norm(product)))
