"""An ensemble of ReLU networks of one shape, and its training as one pure function for a compiler.

Members differ in their weights, learning rates and target values; they share the inputs of every batch, so the first
layer of all of them is one wide product. Weights are (fan-out, fan-in), as in `Network`, with the member in front.
Hidden values are [member, unit, point]: the long axis last, which suits narrow networks and costs wide ones nothing.

There are two ways through the hidden layers: unrolled, one program a depth, or stacked, one program for all depths,
with the depth as a run-time bound; it runs a little slower and saves compilations. The backward pass is written out,
since `jax.grad` does not go through a loop of run-time length.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from widththeory.optimizers import OPTIMIZERS

# One layer: m member, o and i units out and in, b point of the batch, d coordinate of the input.
_FIRST, _FIRST_GRADIENT = "mod,db->mob", "mob,db->mod"
_HIDDEN, _HIDDEN_GRADIENT, _HIDDEN_BACKWARD = "moi,mib->mob", "mob,mib->moi", "moi,mob->mib"
_LAST, _LAST_GRADIENT, _LAST_BACKWARD = "mi,mib->mb", "mb,mib->mi", "mi,mb->mib"


@dataclass(frozen=True)
class Program:
    """Everything that is static in a compiled program.

    Args:
        ensemble: number of members.
        input_dim, width: of every member.
        depth: number of hidden layers; with `stacked` the largest number that the program can run.
        stacked: whether the depth is a run-time bound.
        optimizer: a name in `optimizers.OPTIMIZERS`.
        batch_size: points a step.
        segment: the most steps a call.
        num_eval: points at which a call measures the loss.
        dtype: of the training.
    """

    ensemble: int
    input_dim: int
    width: int
    depth: int
    stacked: bool
    optimizer: str
    batch_size: int
    segment: int
    num_eval: int
    dtype: str


class Layer(NamedTuple):
    """Weight [member, out, in] and bias [member, out]; in a stack both have the layer's index in front."""

    weight: Any
    bias: Any


class Weights(NamedTuple):
    """Layers of all members. `hidden` is a tuple of layers, or one stack; `last` has no output axis."""

    first: Layer
    hidden: Any
    last: Layer


class State(NamedTuple):
    """What a program carries from one call to the next."""

    weights: Weights
    moments: tuple[Weights, Weights]
    best: Weights
    best_loss: Any
    best_step: Any
    loss: Any


class Segment(NamedTuple):
    """Data of up to `Program.segment` steps, of which `num_steps` are taken, and the number of the last of them."""

    inputs: Any  # [coordinate, step, point]
    values: Any  # [member, step, point]
    scalars: Any  # [step, 2], see optimizers.step_scalars
    num_steps: Any
    end_step: Any


def _einsum(equation: str, *operands: Any) -> Any:
    # On a GPU the default would round the factors to ten bits.
    return jnp.einsum(equation, *operands, precision=lax.Precision.HIGHEST)


def _forward(equation: str, layer: Layer, below: Any) -> Any:
    return jnp.maximum(_einsum(equation, layer.weight, below) + layer.bias[:, :, None], 0)


def _output(last: Layer, hidden: Any) -> Any:
    return _einsum(_LAST, last.weight, hidden) + last.bias[:, None]


def _backward(layer: Layer, error: Any, below: Any) -> tuple[Layer, Any]:
    """Gradient of a hidden layer, and the error of the layer below it."""
    gradient = Layer(_einsum(_HIDDEN_GRADIENT, error, below), jnp.sum(error, axis=2))
    return gradient, jnp.where(below > 0, _einsum(_HIDDEN_BACKWARD, layer.weight, error), 0)


def predict(program: Program, weights: Weights, inputs: Any, depth: Any) -> Any:
    """Values [member, point] at inputs [coordinate, point]."""
    hidden = _forward(_FIRST, weights.first, inputs)
    if program.stacked:
        stack = weights.hidden

        def layer(index: Any, hidden: Any) -> Any:
            return _forward(_HIDDEN, Layer(stack.weight[index], stack.bias[index]), hidden)

        hidden = lax.fori_loop(0, depth - 1, layer, hidden)
    else:
        for one in weights.hidden:
            hidden = _forward(_HIDDEN, one, hidden)
    return _output(weights.last, hidden)


def gradient(
    program: Program, weights: Weights, inputs: Any, values: Any, depth: Any, trace: Any = None
) -> tuple[Weights, Any]:
    """Derivative of each member's mean squared error, with the ReLU's derivative at 0 taken as 0.

    `trace` is a stacked program's buffer [depth, member, unit, point] for hidden values; it is passed on.
    """
    hidden, kept = _forward(_FIRST, weights.first, inputs), []
    if program.stacked:
        stack = weights.hidden

        def up(index: Any, carry: Any) -> Any:
            hidden, trace = carry
            trace = lax.dynamic_update_index_in_dim(trace, hidden, index, 0)
            return _forward(_HIDDEN, Layer(stack.weight[index], stack.bias[index]), hidden), trace

        hidden, trace = lax.fori_loop(0, depth - 1, up, (hidden, trace))
    else:
        for layer in weights.hidden:
            kept.append(hidden)
            hidden = _forward(_HIDDEN, layer, hidden)

    residual = (_output(weights.last, hidden) - values) * (2 / values.shape[1])
    last = Layer(_einsum(_LAST_GRADIENT, residual, hidden), jnp.sum(residual, axis=1))
    error = jnp.where(hidden > 0, _einsum(_LAST_BACKWARD, weights.last.weight, residual), 0)
    middle: Any = ()
    if program.stacked:

        def down(count: Any, carry: Any) -> Any:
            error, gradients = carry
            index = depth - 2 - count
            layer, error = _backward(Layer(stack.weight[index], stack.bias[index]), error, trace[index])
            pairs = zip(gradients, layer, strict=True)
            return error, Layer(*(lax.dynamic_update_index_in_dim(*pair, index, 0) for pair in pairs))

        error, middle = lax.fori_loop(0, depth - 1, down, (error, jax.tree.map(jnp.zeros_like, stack)))
    else:
        for layer, below in zip(reversed(weights.hidden), reversed(kept), strict=True):
            one, error = _backward(layer, error, below)
            middle = (one, *middle)
    first = Layer(_einsum(_FIRST_GRADIENT, error, inputs), jnp.sum(error, axis=2))
    return Weights(first, middle, last), trace


def map_members(program: Program, function: Callable[..., Any], numbers: Any, *trees: Weights) -> Weights:
    """Map function(number, leaf, ...) over the leaves, the number a member shaped to broadcast against the leaf."""

    def along(axis: int) -> Callable[..., Any]:
        def apply(leaf: Any, *rest: Any) -> Any:
            shape = (1,) * axis + (-1,) + (1,) * (leaf.ndim - axis - 1)
            return function(numbers.reshape(shape), leaf, *rest)

        return apply

    first, hidden, last = zip(*trees, strict=True)
    return Weights(
        jax.tree.map(along(0), *first),
        jax.tree.map(along(1 if program.stacked else 0), *hidden),
        jax.tree.map(along(0), *last),
    )


def _step(
    program: Program, carry: Any, rates: Any, depth: Any, inputs: Any, values: Any, scalars: Any
) -> tuple[Weights, tuple[Weights, Weights], Any]:
    """One step of the optimiser for every member."""
    weights, moments, trace = carry
    slope, trace = gradient(program, weights, inputs, values, depth, trace)
    optimizer = OPTIMIZERS[program.optimizer]

    def update(rate: Any, slope: Any, param: Any, one: Any, two: Any) -> Any:
        return optimizer(slope, param, one, two, rate, scalars)

    updated = map_members(program, update, rates, slope, weights, *moments)
    weights, *new_moments = jax.tree.transpose(jax.tree.structure(weights), jax.tree.structure((0, 0, 0)), updated)
    return weights, (new_moments[0], new_moments[1]), trace


def run(program: Program, state: State, rates: Any, depth: Any, segment: Segment, inputs: Any, values: Any) -> State:
    """Take the steps of a segment, then measure the loss on (inputs, values) and keep each member's best weights."""
    trace = None
    if program.stacked:
        trace = jnp.zeros((program.depth, program.ensemble, program.width, program.batch_size), program.dtype)

    def step(index: Any, carry: Any) -> Any:
        inputs, values = segment.inputs[:, index], segment.values[:, index]
        return _step(program, carry, rates, depth, inputs, values, segment.scalars[index])

    weights, moments, _ = lax.fori_loop(0, segment.num_steps, step, (state.weights, state.moments, trace))
    residual = predict(program, weights, inputs, depth) - values
    loss = jnp.mean(residual * residual, axis=1)
    better = loss < state.best_loss  # false for NaN
    return State(
        weights,
        moments,
        map_members(program, jnp.where, better, weights, state.best),
        jnp.where(better, loss, state.best_loss),
        jnp.where(better, segment.end_step, state.best_step),
        loss,
    )
