"""Optimisers as elementwise maths on one array, so that an ensemble with a learning rate a member is one program.

An update takes (gradient, parameter, the optimiser's two moment arrays, the members' learning rates, the scalars of
this step) and gives the new parameter and moments. The scalars are computed on the host in float64, by `step_scalars`.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

SCHEDULES = ("cosine", "constant")

_ADAM_DECAYS, _ADAM_EPS = (0.9, 0.999), 1e-8
_ADADELTA_DECAY, _ADADELTA_EPS = 0.95, 1e-8  # the defaults of Keras when AdaDelta was in use

Update = Callable[[Any, Any, Any, Any, Any, Any], tuple[Any, Any, Any]]


def adam(gradient: Any, param: Any, mean: Any, square: Any, rate: Any, scalars: Any) -> tuple[Any, Any, Any]:
    """Adam with bias correction, equal to `optax.adam`."""
    import jax.numpy as jnp

    first, second = _ADAM_DECAYS
    mean = first * mean + (1 - first) * gradient
    square = second * square + (1 - second) * gradient * gradient
    step = (scalars[0] * rate) * mean / (jnp.sqrt(scalars[1] * square) + _ADAM_EPS)
    return param - step, mean, square


def adadelta(gradient: Any, param: Any, square: Any, travel: Any, rate: Any, scalars: Any) -> tuple[Any, Any, Any]:
    """AdaDelta, equal to `optax.adadelta` with decay 0.95 and epsilon 1e-8."""
    import jax.numpy as jnp

    square = _ADADELTA_DECAY * square + (1 - _ADADELTA_DECAY) * gradient * gradient
    step = jnp.sqrt(travel + _ADADELTA_EPS) / jnp.sqrt(square + _ADADELTA_EPS) * gradient
    travel = _ADADELTA_DECAY * travel + (1 - _ADADELTA_DECAY) * step * step
    return param - scalars[0] * rate * step, square, travel


OPTIMIZERS: dict[str, Update] = {"adam": adam, "adadelta": adadelta}


def step_scalars(optimizer: str, schedule: str, num_steps: int) -> Float[np.ndarray, "num_steps 2"]:
    """The scalars of every step: schedule (times Adam's first bias correction), Adam's second bias correction."""
    steps = np.arange(num_steps)
    decay = 0.5 * (1 + np.cos(math.pi * steps / max(num_steps, 1))) if schedule == "cosine" else np.ones(num_steps)
    if optimizer != "adam":
        return np.stack([decay, np.ones(num_steps)], axis=1)
    first, second = (1 / (1 - beta ** (steps + 1.0)) for beta in _ADAM_DECAYS)
    return np.stack([decay * first, second], axis=1)
