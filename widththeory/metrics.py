"""How far a network is from its target on a sample, in float64."""

import math
from typing import Any

import numpy as np

from widththeory.exact.distance_2d import distance as planar_distance
from widththeory.exact.one_dim import piecewise
from widththeory.exact.polygons import box
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
    return summarise(mse, stderr, float(np.max(np.abs(residual))), target_moments(target))


def target_moments(target: Values) -> tuple[float, float]:
    """Variance and mean square."""
    return float(np.var(target)), float(np.mean(target**2))


def summarise(mse: float, stderr: float, largest: float, target: tuple[float, float]) -> dict[str, float]:
    """The metrics of `error_metrics` from numbers that were computed elsewhere; `target` as `target_moments` gives."""
    variance, second_moment = target
    return {
        "test_mse": mse,
        "test_mse_stderr": stderr,
        "target_variance": variance,
        "target_second_moment": second_moment,
        "relative_error": mse / variance if variance > 0 else math.nan,
        "sample_sup_error": largest,
    }


def exact_metrics(network: Network, construction: Any, *, plane: bool = False) -> dict[str, float]:
    """Exact errors E|f - g|, (E|f - g|^2)^(1/2) and sup|f - g| under the uniform law on an interval, g the target.

    With `plane` also for two inputs, on the square of that interval: up to a second a network. Empty unless the target
    is known exactly: a construction with an `interval`, and either a `network` whose `error` is zero or, for one input,
    an `exact_target` that `PiecewiseLinear.distance` takes.
    """
    interval, target = (getattr(construction, name, None) for name in ("interval", "exact_target"))
    if network.input_dim not in ((1, 2) if plane else (1,)) or interval is None:
        return {}
    if target is None and construction.error().bound != 0:
        return {}
    low, high = interval
    if network.input_dim == 1:
        target = construction.network() if target is None else target
        distance = piecewise(network, low, high, "float").distance(target)
    else:
        distance = planar_distance(network, construction.network(), box(low, high))
    measure = (high - low) ** network.input_dim
    return {
        "exact_l1_error": distance.l1 / measure,
        "exact_l2_error": distance.l2 / math.sqrt(measure),
        "exact_sup_error": distance.sup,
    }
