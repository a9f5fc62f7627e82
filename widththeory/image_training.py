"""Training of image classifiers as one pure function of arrays, for one network or several side by side.

A segment of steps is one `lax.scan`; the images stay on the device as bytes, and a step takes its batch there.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from widththeory.augmentation import normalise, take, take_moved
from widththeory.models.functional import Arrays, Functional, is_kernel
from widththeory.optimizers import adam

MOMENTUM = 0.9


@dataclass(frozen=True)
class Program:
    """What is compiled: equal programs are compiled once.

    Args:
        network: pure functions.
        ensemble: networks side by side.
        segment: steps in one call.
        ragged: whether a call may take fewer steps.
        batch_size, optimizer, label_smoothing, augment: as in `classification.Classification`.
    """

    network: Functional
    ensemble: int
    segment: int
    ragged: bool
    batch_size: int
    optimizer: str
    label_smoothing: float
    augment: str


class State(NamedTuple):
    """Of all members: weights, the optimiser's moments (two of Adam), running statistics, the loss of the last step."""

    params: Arrays
    moments: tuple[Arrays, ...]
    stats: Arrays
    loss: Any


class Segment(NamedTuple):
    """Of each step: the images and their moves, members first; the optimiser's scalars; how many steps there are."""

    rows: Any
    moves: Any
    scalars: Any
    count: Any


class Bytes(NamedTuple):
    """Training images on the device."""

    images: Any
    labels: Any
    mean: Any
    std: Any


def nesterov(gradient: Any, param: Any, velocity: Any, rate: Any, scalars: Any) -> tuple[Any, Any]:
    """SGD with Nesterov's momentum, equal to `optax.sgd(rate, 0.9, nesterov=True)`; as the updates of `optimizers`."""
    velocity = MOMENTUM * velocity + gradient
    return param - scalars[0] * rate * (gradient + MOMENTUM * velocity), velocity


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> jax.Array:
    """Of each image, with the label smoothed: - sum_c q_c log p_c, q = (1 - s) [c is the label] + s / num_classes."""
    log_p = jax.nn.log_softmax(logits)
    # A sum, whose gradient is one too; that of an index would be a scatter, which a GPU does in any order.
    own = jnp.where(labels[:, None] == jnp.arange(logits.shape[1])[None], log_p, 0).sum(axis=1)
    return -(1 - smoothing) * own - smoothing * log_p.mean(axis=1)


def _step(program: Program, member: State, rate: Any, decay: Any, pixels: Any, labels: Any, scalars: Any) -> State:
    """One step of one network."""
    network = program.network

    def loss(params: Arrays) -> tuple[Any, Arrays]:
        logits, stats = network.apply(params, member.stats, pixels.astype(network.dtype), training=True)
        logits = logits.astype(network.param_dtype)
        return cross_entropy(logits, labels, program.label_smoothing).mean(), stats

    update: Any = adam if program.optimizer == "adam" else nesterov
    (value, stats), gradients = jax.value_and_grad(loss, has_aux=True)(member.params)
    params: Arrays = {}
    moments: tuple[Arrays, ...] = tuple({} for _ in member.moments)
    for name, gradient in gradients.items():
        param = member.params[name]
        slope = gradient + decay * param if is_kernel(name) else gradient
        params[name], *new = update(slope, param, *(moment[name] for moment in member.moments), rate, scalars)
        for moment, array in zip(moments, new, strict=True):
            moment[name] = array
    return State(params, moments, stats, value)


def run(program: Program, state: State, rates: Any, decays: Any, segment: Segment, data: Bytes) -> State:
    """All steps of a segment."""

    def member_step(member: State, rate: Any, decay: Any, rows: Any, moves: Any, scalars: Any) -> State:
        if program.augment != "none":
            mirror = moves[:, 2] if program.augment == "crop_flip" else jnp.zeros_like(moves[:, 2])
            pixels = take_moved(data.images, rows, moves[:, :2], mirror, data.mean, data.std)
        else:
            pixels = take(data.images, rows, data.mean, data.std)
        return _step(program, member, rate, decay, pixels, data.labels[rows], scalars)

    def step(state: State, xs: Any) -> tuple[State, None]:
        index, rows, moves, scalars = xs
        new = _for_members(program, member_step, (0, 0, 0, 0, 0, None))(state, rates, decays, rows, moves, scalars)
        if program.ragged:
            new = jax.tree.map(lambda after, before: jnp.where(index < segment.count, after, before), new, state)
        return new, None

    steps = (
        jnp.arange(program.segment),
        jnp.swapaxes(segment.rows, 0, 1),
        jnp.swapaxes(segment.moves, 0, 1),
        segment.scalars,
    )
    return jax.lax.scan(step, state, steps)[0]


def evaluate(program: Program, params: Arrays, stats: Arrays, images: Any, labels: Any, mean: Any, std: Any) -> Any:
    """Cross-entropy and rightness of each image by running statistics, members first."""
    network = program.network
    pixels = normalise(images, mean, std).astype(network.dtype)

    def member(params: Arrays, stats: Arrays) -> tuple[Any, Any]:
        logits, _ = network.apply(params, stats, pixels, training=False)
        logits = logits.astype(network.param_dtype)
        return cross_entropy(logits, labels), jnp.argmax(logits, axis=1) == labels

    return _for_members(program, member, (0, 0))(params, stats)


def _for_members(program: Program, function: Any, axes: tuple[int | None, ...]) -> Any:
    """`jax.vmap`; for one member without it, as a convolution with a batch of kernels is another one to a compiler."""
    if program.ensemble > 1:
        return jax.vmap(function, in_axes=axes)

    def alone(*arguments: Any) -> Any:
        only = (
            jax.tree.map(lambda leaf: leaf[0], argument) if axis == 0 else argument
            for argument, axis in zip(arguments, axes, strict=True)
        )
        return jax.tree.map(lambda leaf: leaf[None], function(*only))

    return alone
