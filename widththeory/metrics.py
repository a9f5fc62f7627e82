"""How far a network is from its target on a sample, in float64."""

import math

import numpy as np

from widththeory.network import Network
from widththeory.typing import Points, Values

_BLOCK = 2048  # points evaluated at a time, so that the hidden layers stay in the cache


def evaluate(network: Network, points: Points) -> Values:
    """Values of a network with one output."""
    blocks = [network(points[start : start + _BLOCK])[:, 0] for start in range(0, len(points), _BLOCK)]
    return np.concatenate(blocks)


def mean_and_stderr(values: Values) -> tuple[float, float]:
    """Sample mean, and the standard error of that mean (infinite for a single value)."""
    stderr = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return float(np.mean(values)), stderr


def error_metrics(predicted: Values, target: Values) -> dict[str, float]:
    """Mean squared error with its standard error, relative error MSE / Var(target), and the largest residual seen."""
    residual = predicted - target
    mse, stderr = mean_and_stderr(residual**2)
    variance = float(np.var(target))
    return {
        "test_mse": mse,
        "test_mse_stderr": stderr,
        "target_variance": variance,
        "target_second_moment": float(np.mean(target**2)),
        "relative_error": mse / variance if variance > 0 else math.nan,
        "sample_sup_error": float(np.max(np.abs(residual))),
    }
