"""Polish a trained network in float64: the output layer by exact least squares, then all layers by L-BFGS."""

import numpy as np
from scipy.optimize import minimize

from widththeory.metrics import evaluate
from widththeory.network import Network
from widththeory.typing import Points, Values

_BLOCK = 2048  # points at a time, so that the hidden layers stay in the cache


def fit_output_layer(network: Network, points: Points, values: Values) -> Network:
    """The network (depth at least 1) with the output layer of least mean squared error, of least norm if not unique."""
    hidden = np.maximum(Network(network.layers[:-1])(points), 0)
    design = np.column_stack([hidden, np.ones(len(points))])
    solution, *_ = np.linalg.lstsq(design, values, rcond=None)
    return Network([*network.layers[:-1], (solution[None, :-1], solution[-1:])])


def loss_and_gradient(network: Network, points: Points, values: Values) -> tuple[float, list[np.ndarray]]:
    """Mean squared error, and its derivative by every weight and bias, in the order of `network.layers`."""
    layers = network.float64().layers
    gradient = [np.zeros_like(part) for layer in layers for part in layer]
    loss = 0.0
    for start in range(0, len(points), _BLOCK):
        kept = [points[start : start + _BLOCK].T]
        for weight, bias in layers[:-1]:
            hidden = weight @ kept[-1]
            hidden += bias[:, None]
            kept.append(np.maximum(hidden, 0, out=hidden))
        residual = layers[-1].weight @ kept[-1] + layers[-1].bias[:, None] - values[start : start + _BLOCK]
        loss += float(np.sum(residual**2))
        error = (2 / len(points)) * residual
        for index in reversed(range(len(layers))):
            gradient[2 * index] += error @ kept[index].T
            gradient[2 * index + 1] += error.sum(axis=1)
            if index:
                error = layers[index].weight.T @ error
                error *= kept[index] > 0
    return loss / len(points), gradient


def _flatten(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([part.ravel() for part in parts])


def _like(network: Network, flat: np.ndarray) -> Network:
    """The network of the same shapes with the numbers of `flat`."""
    parts, begin = [], 0
    for part in (part for layer in network.layers for part in layer):
        parts.append(flat[begin : begin + part.size].reshape(part.shape))
        begin += part.size
    return Network(list(zip(parts[::2], parts[1::2], strict=True)))


def polish(network: Network, points: Points, values: Values, num_steps: int) -> Network:
    """The best of: the network, its output layer refitted, and that after `num_steps` iterations of L-BFGS.

    Never worse than `network` on (points, values). L-BFGS takes the ReLU's derivative at zero as zero.
    """
    network = network.float64()
    candidates = [network, fit_output_layer(network, points, values)]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = loss_and_gradient(_like(network, flat), points, values)
        return loss, _flatten(gradient)

    begin = _flatten([part for layer in candidates[-1].layers for part in layer])
    found = minimize(
        objective,
        begin,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": num_steps, "maxfun": 4 * num_steps, "maxcor": 20, "ftol": 0, "gtol": 0},
    )
    if np.all(np.isfinite(found.x)):
        candidates.append(_like(network, found.x))
    losses = [float(np.mean((evaluate(candidate, points) - values) ** 2)) for candidate in candidates]
    return candidates[int(np.nanargmin(losses))]
