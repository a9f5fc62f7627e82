"""The affine map that a network is where its neurons have a given activation pattern, in any input dimension."""

import math
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from widththeory.exact.rationals import in_range, matmul, to_floats, to_numbers
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
    parts = (patterns[start : start + step] for start in range(0, len(patterns), step))
    floats = all(in_range(part) for layer in network.layers for part in layer)
    blocks = [(_block(network, part) if floats else None) or _rounded(network, part) for part in parts]
    maps, errors = (np.concatenate(part) for part in zip(*blocks, strict=True))
    return maps, errors


def _rounded(network: Network, patterns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same by rationals: floats would underflow or overflow on the way."""
    try:
        maps = to_floats(np.stack([exact_affine_map(network, pattern) for pattern in patterns]))
    except OverflowError:
        raise ValueError("network has slopes or intercepts too large for float64") from None
    return maps, _UNIT * abs(maps) + math.ulp(0.0)


def _block(network: Network, patterns: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """None where numbers come to be so small or so large that their products would be no floats."""
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
        if not (in_range(maps, 1e-180) and in_range(errors, 1e-200)):  # times a weight of 1e-100 still a float
            return None
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
