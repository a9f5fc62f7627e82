"""An ensemble of ReLU networks of one shape, trained in one compiled program.

Members differ in their weights, learning rates and target values; they share the inputs of every batch, so the first
layer of all of them is one wide product. Weights are (fan-out, fan-in), as in `Network`, with the member in front.
Two layouts of the hidden values: "feature" [member, width, batch] keeps long rows for narrow networks, "batch"
[member, batch, width] suits wide ones. Two ways to go through the hidden layers: unrolled, one program a depth, or
stacked, one program for all depths, with the depth as a run-time bound. The backward pass is written out, since
`jax.grad` cannot go through a loop of run-time length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from widththeory.network import Network
from widththeory.optimizers import OPTIMIZERS


class Layout(NamedTuple):
    """The products of one layer: m member, o and i units out and in, b point of the batch, d input coordinate."""

    first: str
    first_gradient: str
    hidden: str
    hidden_gradient: str
    hidden_backward: str
    last: str
    last_gradient: str
    last_backward: str
    batch_axis: int


LAYOUTS = {
    "feature": Layout(
        "mod,db->mob", "mob,db->mod", "moi,mib->mob", "mob,mib->moi", "moi,mob->mib",
        "mi,mib->mb", "mb,mib->mi", "mi,mb->mib", 2,
    ),
    "batch": Layout(
        "mod,db->mbo", "mbo,db->mod", "moi,mbi->mbo", "mbo,mbi->moi", "moi,mbo->mbi",
        "mi,mbi->mb", "mb,mbi->mi", "mi,mb->mbi", 1,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Program:
    """Everything that is static in a compiled program.

    `depth` is the depth itself, or with `stacked` the largest depth that the program can run.
    """

    ensemble: int
    input_dim: int
    width: int
    depth: int
    stacked: bool
    layout: str
    optimizer: str
    batch_size: int
    segment: int
    num_eval: int
    dtype: str


class Layer(NamedTuple):
    weight: Any
    bias: Any


class Weights(NamedTuple):
    """Layers of all members. `hidden` is a tuple of layers, or one Layer of arrays with the layer's index in front."""

    first: Layer
    hidden: Any
    last: Layer


class State(NamedTuple):
    """What a program carries from one segment of steps to the next."""

    weights: Weights
    moments: tuple[Weights, Weights]
    best: Weights
    best_loss: Any
    best_step: Any
    loss: Any


class Segment(NamedTuple):
    """The data of up to `Program.segment` steps; `num_steps` says how many to take, `end_step` where they end."""

    inputs: Any  # [step, coordinate, batch]
    values: Any  # [step, member, batch]
    scalars: Any  # [step, 2], see optimizers.step_scalars
    num_steps: Any
    end_step: Any


def _einsum(equation: str, *operands: Any) -> Any:
    return jnp.einsum(equation, *operands, precision=lax.Precision.HIGHEST)


def _forward_layer(equation: str, layout: Layout, layer: Layer, hidden: Any) -> Any:
    bias = jnp.expand_dims(layer.bias, layout.batch_axis)
    return jnp.maximum(_einsum(equation, layer.weight, hidden) + bias, 0)


def _output(layout: Layout, last: Layer, hidden: Any) -> Any:
    return _einsum(layout.last, last.weight, hidden) + last.bias[:, None]


def _member(array: Any, axis: int, like: Any) -> Any:
    """A number a member, shaped to broadcast against `like`, whose member axis is `axis`."""
    return array.reshape((1,) * axis + (-1,) + (1,) * (like.ndim - axis - 1))


def predict(program: Program, weights: Weights, inputs: Any, depth: Any) -> Any:
    """Values [member, point] at inputs [coordinate, point]."""
    layout = LAYOUTS[program.layout]
    hidden = _forward_layer(layout.first, layout, weights.first, inputs)
    if program.stacked:
        stack = weights.hidden

        def layer(index: Any, hidden: Any) -> Any:
            return _forward_layer(layout.hidden, layout, Layer(stack.weight[index], stack.bias[index]), hidden)

        hidden = lax.fori_loop(0, depth - 1, layer, hidden)
    else:
        for one in weights.hidden:
            hidden = _forward_layer(layout.hidden, layout, one, hidden)
    return _output(layout, weights.last, hidden)


def _train_step(
    program: Program, weights: Weights, moments: tuple[Weights, Weights], trace: Any, rate: Any, depth: Any, batch: Any
) -> tuple[Weights, tuple[Weights, Weights], Any]:
    """One step of every member. `trace` is the buffer of hidden values of a stacked program (else None)."""
    layout, optimizer = LAYOUTS[program.layout], OPTIMIZERS[program.optimizer]
    inputs, values, scalars = batch
    sum_axis = layout.batch_axis

    def update(gradient: Any, param: Any, one: Any, two: Any) -> tuple[Any, Any, Any]:
        return optimizer(gradient, param, one, two, _member(rate, 0, param), scalars)

    def update_layer(gradient: Layer, *state: Layer) -> tuple[Layer, Layer, Layer]:
        weight = update(gradient.weight, *(layer.weight for layer in state))
        bias = update(gradient.bias, *(layer.bias for layer in state))
        one, two, three = (Layer(*pair) for pair in zip(weight, bias, strict=True))
        return one, two, three

    def layer_gradient(equation: str, error: Any, hidden: Any) -> Layer:
        return Layer(_einsum(equation, error, hidden), jnp.sum(error, axis=sum_axis))

    states = (weights, *moments)
    hidden = _forward_layer(layout.first, layout, weights.first, inputs)
    kept = [hidden]
    if program.stacked:
        stack = weights.hidden

        def forward(index: Any, carry: Any) -> Any:
            hidden, trace = carry
            trace = lax.dynamic_update_index_in_dim(trace, hidden, index, 0)
            hidden = _forward_layer(layout.hidden, layout, Layer(stack.weight[index], stack.bias[index]), hidden)
            return hidden, trace

        hidden, trace = lax.fori_loop(0, depth - 1, forward, (hidden, trace))
    else:
        for one in weights.hidden:
            hidden = _forward_layer(layout.hidden, layout, one, hidden)
            kept.append(hidden)

    output_error = (_output(layout, weights.last, hidden) - values) * (2 / program.batch_size)
    last_gradient = Layer(_einsum(layout.last_gradient, output_error, hidden), jnp.sum(output_error, axis=1))
    error = _einsum(layout.last_backward, weights.last.weight, output_error)
    error = jnp.where(hidden > 0, error, 0)
    last = update_layer(last_gradient, *(state.last for state in states))

    def backward(layer: Layer, error: Any, below: Any) -> tuple[Layer, Any]:
        gradient = layer_gradient(layout.hidden_gradient, error, below)
        return gradient, jnp.where(below > 0, _einsum(layout.hidden_backward, layer.weight, error), 0)

    if program.stacked:

        def down(count: Any, carry: Any) -> Any:
            error, stacks = carry
            index = depth - 2 - count
            layers = [Layer(stack.weight[index], stack.bias[index]) for stack in stacks]
            gradient, error = backward(layers[0], error, trace[index])
            stacks = tuple(
                Layer(*(lax.dynamic_update_index_in_dim(*pair, index, 0) for pair in zip(stack, new, strict=True)))
                for stack, new in zip(stacks, update_layer(gradient, *layers), strict=True)
            )
            return error, stacks

        error, hidden_states = lax.fori_loop(0, depth - 1, down, (error, tuple(state.hidden for state in states)))
    else:
        updated = []
        for index in reversed(range(program.depth - 1)):
            layers = [state.hidden[index] for state in states]
            gradient, error = backward(layers[0], error, kept[index])
            updated.append(update_layer(gradient, *layers))
        hidden_states = tuple(zip(*reversed(updated), strict=True)) if updated else ((), (), ())

    first_gradient = layer_gradient(layout.first_gradient, error, inputs)
    first = update_layer(first_gradient, *(state.first for state in states))
    new, *rest = (Weights(*parts) for parts in zip(first, hidden_states, last, strict=True))
    return new, (rest[0], rest[1]), trace


def _select(program: Program, better: Any, new: Weights, old: Weights) -> Weights:
    """Member by member, `new` where `better`."""

    def choose(axis: int) -> Callable[[Any, Any], Any]:
        return lambda one, two: jnp.where(_member(better, axis, one), one, two)

    return Weights(
        jax.tree.map(choose(0), new.first, old.first),
        jax.tree.map(choose(1 if program.stacked else 0), new.hidden, old.hidden),
        jax.tree.map(choose(0), new.last, old.last),
    )


def _run(program: Program, state: State, rate: Any, depth: Any, segment: Segment, inputs: Any, values: Any) -> State:
    """Take the steps of a segment, then measure the loss on (inputs, values) and keep each member's best weights."""
    trace = None
    if program.stacked:
        tail = (
            (program.width, program.batch_size) if program.layout == "feature" else (program.batch_size, program.width)
        )
        trace = jnp.zeros((program.depth, program.ensemble, *tail), program.dtype)

    def step(index: Any, carry: Any) -> Any:
        batch = (segment.inputs[index], segment.values[index], segment.scalars[index])
        weights, moments, trace = carry
        return _train_step(program, weights, moments, trace, rate, depth, batch)

    weights, moments, _ = lax.fori_loop(0, segment.num_steps, step, (state.weights, state.moments, trace))
    residual = predict(program, weights, inputs, depth) - values
    loss = jnp.mean(residual * residual, axis=1)
    better = loss < state.best_loss  # false for NaN
    return State(
        weights,
        moments,
        _select(program, better, weights, state.best),
        jnp.where(better, loss, state.best_loss),
        jnp.where(better, segment.end_step, state.best_step),
        loss,
    )


def pack(program: Program, networks: Sequence[Network]) -> Weights:
    """Weights of the members in NumPy. In a stacked program the layers above a member's depth are zeros."""
    dtype = np.dtype(program.dtype)
    columns = list(zip(*(network.float64().layers for network in networks), strict=True))
    layers = [Layer(*(np.stack(parts).astype(dtype) for parts in zip(*column, strict=True))) for column in columns]
    last = Layer(layers[-1].weight[:, 0, :], layers[-1].bias[:, 0])
    hidden: Any = tuple(layers[1:-1])
    if program.stacked:
        count = program.depth - 1
        weight = np.zeros((count, program.ensemble, program.width, program.width), dtype)
        bias = np.zeros((count, program.ensemble, program.width), dtype)
        for index, layer in enumerate(hidden):
            weight[index], bias[index] = layer
        hidden = Layer(weight, bias)
    return Weights(layers[0], hidden, last)


def unpack(program: Program, weights: Weights, depth: int) -> list[Network]:
    """The members as networks, in float64."""
    weights = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), weights)
    hidden = weights.hidden
    if program.stacked:
        hidden = [Layer(hidden.weight[index], hidden.bias[index]) for index in range(depth - 1)]
    last = Layer(weights.last.weight[:, None, :], weights.last.bias[:, None])
    layers = [weights.first, *hidden, last]
    return [Network([(layer.weight[m], layer.bias[m]) for layer in layers]) for m in range(program.ensemble)]


def start(program: Program, networks: Sequence[Network]) -> State:
    """The state before the first step, in NumPy."""
    weights = pack(program, networks)
    zeros = jax.tree.map(np.zeros_like, weights)
    infinite = np.full(program.ensemble, np.inf, program.dtype)
    return State(weights, (zeros, zeros), weights, infinite, np.zeros(program.ensemble, np.int32), infinite)


def _abstract(program: Program) -> tuple[Any, ...]:
    """Shapes and dtypes of the arguments of `_run`."""
    dtype = np.dtype(program.dtype)

    def array(*shape: int, kind: Any = dtype) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, kind)

    count, width, input_dim = program.ensemble, program.width, program.input_dim
    if program.stacked:
        hidden: Any = Layer(array(program.depth - 1, count, width, width), array(program.depth - 1, count, width))
    else:
        hidden = tuple(Layer(array(count, width, width), array(count, width)) for _ in range(program.depth - 1))
    weights = Weights(
        Layer(array(count, width, input_dim), array(count, width)), hidden, Layer(array(count, width), array(count))
    )
    number = array(kind=np.int32)
    state = State(weights, (weights, weights), weights, array(count), array(count, kind=np.int32), array(count))
    segment = Segment(
        array(program.segment, input_dim, program.batch_size),
        array(program.segment, count, program.batch_size),
        array(program.segment, 2),
        number,
        number,
    )
    return state, array(count), number, segment, array(input_dim, program.num_eval), array(count, program.num_eval)


@lru_cache(maxsize=256)
def compiled(program: Program) -> Callable[..., State]:
    """The program, compiled once a process and kept by JAX's persistent cache for the next."""
    with jax.enable_x64(program.dtype == "float64"):
        return jax.jit(_run, static_argnums=0, donate_argnums=1).lower(program, *_abstract(program)).compile()
