"""Exact analysis in any input dimension: activation regions of small networks, and local affine maps."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Shaped

from widththeory.exact.affine_maps import relu_network
from widththeory.exact.linear_programming import Polyhedron, point_below
from widththeory.exact.rationals import is_finite, matmul, to_fractions, to_numbers
from widththeory.network import Network


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
        ValueError: not a ReLU network, or low and high are not finite numbers with low < high.

    Source: derived for this project.
    """
    dim = relu_network(network).input_dim
    normals, offsets, centre = np.empty((0, dim), dtype=object), np.empty(0, dtype=object), 0
    if (low, high) != (None, None):
        if low is None or high is None or not -np.inf < low < high < np.inf:
            raise ValueError(f"low and high must be finite numbers with low < high, got {low!r} and {high!r}")
        identity = np.eye(dim, dtype=np.int64)
        normals = to_numbers(np.concatenate([identity, -identity]))
        bounds = to_numbers([low, high])
        offsets = np.concatenate([np.repeat(-bounds[:1], dim), np.repeat(bounds[1:], dim)])
        centre = bounds.sum() / 2
    inside = to_numbers(np.zeros(dim, dtype=np.int64)) + centre
    layers = [(to_numbers(weight), to_numbers(bias)) for weight, bias in network.layers[:-1]]
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
    if point.shape != (relu_network(network).input_dim,) or not all(map(is_finite, point)):
        raise ValueError(f"point must hold {network.input_dim} finite numbers, got {point.tolist()!r}")
    dim, on_break = network.input_dim, False
    # Columns: derivatives, then the value.
    current = np.concatenate([to_numbers(np.eye(dim, dtype=np.int64)), to_numbers(point)[:, None]], axis=1)
    for index, (weight, bias) in enumerate(network.layers):
        current = matmul(to_numbers(weight), current)
        current[:, -1] += to_numbers(bias)
        if index < network.size.depth:
            on_break |= bool(np.any(current[:, -1] == 0))
            current = np.where(current[:, -1:] > 0, current, 0 * current)
    exact = to_fractions(current)
    return LocalMap(exact[:, -1], exact[:, :-1], on_break)
