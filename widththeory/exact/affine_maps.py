"""The affine map that a network is where its neurons have a given activation pattern, in any input dimension."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from widththeory.exact.rationals import matmul, to_numbers
from widththeory.network import Network

_UNIT = 2.0**-53
_BLOCK = 2**18  # numbers in an intermediate array, so that memory does not grow with the number of patterns

Patterns = Bool[np.ndarray, "num_faces num_neurons"]


def relu_network(network: Any) -> Network:
    """The argument, if it is a ReLU network.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(network, Network):
        raise ValueError(
            f"network must be a widththeory.network.Network, affine maps with ReLU between them, got {type(network)}"
        )
    return network


def affine_maps(
    network: Network, patterns: Patterns
) -> tuple[Float[np.ndarray, "num_faces outputs columns"], Float[np.ndarray, "num_faces outputs columns"]]:
    """Gradient and, as last column, intercept of the network for each activation pattern, and bounds of their errors.

    Args:
        patterns: which neurons are active, those of all hidden layers side by side.
    """
    columns = network.input_dim + 1
    step = max(1, _BLOCK // (columns * max(network.size.width, network.output_dim)))
    blocks = [_block(network, patterns[start : start + step]) for start in range(0, len(patterns), step)]
    maps, errors = (np.concatenate(part) for part in zip(*blocks, strict=True))
    return maps, errors


def _block(network: Network, patterns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    layers, num_faces = network.float64().layers, len(patterns)
    columns = network.input_dim + 1
    weight, bias = layers[0]
    maps = np.repeat(np.concatenate([weight, bias[:, None]], axis=1)[:, None, :], num_faces, axis=1)
    errors = _UNIT * abs(maps)  # rounding of rational weights
    first = 0
    for weight, bias in layers[1:]:
        active = patterns[:, first : first + weight.shape[1]].T[:, :, None]
        first += weight.shape[1]
        maps, errors = (np.where(active, part, 0.0).reshape(len(active), -1) for part in (maps, errors))
        rounding = (weight.shape[1] + 4) * _UNIT
        errors = (abs(weight) @ (errors + rounding * abs(maps))).reshape(-1, num_faces, columns)
        maps = (weight @ maps).reshape(-1, num_faces, columns)
        maps[:, :, -1] += bias[:, None]
        errors[:, :, -1] += rounding * abs(bias[:, None])
    return maps.transpose(1, 0, 2), errors.transpose(1, 0, 2) * (1 + 2.0**-30)


def exact_affine_map(
    network: Network, pattern: Bool[np.ndarray, "num_neurons"]
) -> Shaped[np.ndarray, "outputs columns"]:
    """The same for one pattern, in exact numbers (`widththeory.exact.rationals`)."""
    layers = network.layers
    current = to_numbers(np.concatenate([layers[0].weight, layers[0].bias[:, None]], axis=1))
    first = 0
    for weight, bias in layers[1:]:
        active = np.flatnonzero(pattern[first : first + weight.shape[1]])
        first += weight.shape[1]
        current = matmul(to_numbers(weight[:, active]), current[active])
        current[:, -1] += to_numbers(bias)
    return current
