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
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from widththeory.optimizers import OPTIMIZERS

# One layer: m member, o and i units out and in, b point of the batch, d coordinate of the input.
_FIRST, _FIRST_GRADIENT = "mod,db->mob", "mob,db->mod"
_HIDDEN, _HIDDEN_GRADIENT, _HIDDEN_BACKWARD = "moi,mib->mob", "mob,mib->moi", "mio,mob->mib"
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
        products: "dot", or "sum" for products of narrow layers written out as sums, which a GPU's compiler fuses with
            what stands around them.
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
    products: str = "dot"


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


class Scratch(NamedTuple):
    """Buffers of a stacked program, made once."""

    trace: Any  # hidden values [layer, member, unit, point]
    slopes: Layer  # gradient of the stack


def scratch_space(program: Program) -> Scratch | None:
    """Buffers of a stacked program; an unrolled one has none."""
    if not program.stacked:
        return None
    depth, count, width, dtype = program.depth, program.ensemble, program.width, program.dtype
    slopes = Layer(*(jnp.zeros((depth - 1, count, *fans), dtype) for fans in ((width, width), (width,))))
    return Scratch(jnp.zeros((depth, count, width, program.batch_size), dtype), slopes)


def _einsum(equation: str, *operands: Any) -> Any:
    # On a GPU the default would round the factors to ten bits.
    return jnp.einsum(equation, *operands, precision=lax.Precision.HIGHEST)


def _summed(equation: str, one: Any, other: Any) -> Any:
    """The product as a sum over the one contracted index, term by term."""
    inputs, output = equation.split("->")
    first, second = inputs.split(",")
    (index,) = set(first) & set(second) - set(output)
    free = list(output)

    def term(letters: str, array: Any, at: int) -> Any:
        array = lax.index_in_dim(array, at, letters.index(index), keepdims=False)
        left = letters.replace(index, "")
        array = jnp.transpose(array, sorted(range(len(left)), key=lambda axis: free.index(left[axis])))
        return jnp.expand_dims(array, [axis for axis, letter in enumerate(free) if letter not in left])

    length = one.shape[first.index(index)]
    terms = [term(first, one, at) * term(second, other, at) for at in range(length)]
    return reduce(lambda total, term: total + term, terms)


def _product(program: Program, equation: str, one: Any, other: Any) -> Any:
    """A product over units or coordinates; those over the points of a batch are always matrix products."""
    return (_summed if program.products == "sum" else _einsum)(equation, one, other)


def _forward(program: Program, equation: str, layer: Layer, below: Any) -> Any:
    return jnp.maximum(_product(program, equation, layer.weight, below) + layer.bias[:, :, None], 0)


def _output(program: Program, last: Layer, hidden: Any) -> Any:
    return _product(program, _LAST, last.weight, hidden) + last.bias[:, None]


def _backward(program: Program, across: Any, error: Any, below: Any) -> tuple[Layer, Any]:
    """Gradient of a hidden layer, and the error of the layer below it; `across` is the transposed weight."""
    gradient = Layer(_einsum(_HIDDEN_GRADIENT, error, below), jnp.sum(error, axis=2))
    return gradient, jnp.where(below > 0, _product(program, _HIDDEN_BACKWARD, across, error), 0)


def predict(program: Program, weights: Weights, inputs: Any, depth: Any) -> Any:
    """Values [member, point] at inputs [coordinate, point]."""
    hidden = _forward(program, _FIRST, weights.first, inputs)
    if program.stacked:
        stack = weights.hidden

        def layer(index: Any, hidden: Any) -> Any:
            return _forward(program, _HIDDEN, Layer(stack.weight[index], stack.bias[index]), hidden)

        hidden = lax.fori_loop(0, depth - 1, layer, hidden)
    else:
        for one in weights.hidden:
            hidden = _forward(program, _HIDDEN, one, hidden)
    return _output(program, weights.last, hidden)


def gradient(
    program: Program, weights: Weights, inputs: Any, values: Any, depth: Any, scratch: Scratch | None = None
) -> tuple[Weights, Any]:
    """Derivative of each member's mean squared error, with the ReLU's derivative at 0 taken as 0.

    A stacked program writes to its `scratch`; what is there above the depth has no meaning.
    """
    hidden, kept = _forward(program, _FIRST, weights.first, inputs), []
    if program.stacked:
        assert scratch is not None
        stack, (trace, slopes) = weights.hidden, scratch

        def up(index: Any, trace: Any) -> Any:
            above = _forward(program, _HIDDEN, Layer(stack.weight[index], stack.bias[index]), trace[index])
            return lax.dynamic_update_index_in_dim(trace, above, index + 1, 0)

        trace = lax.dynamic_update_index_in_dim(trace, hidden, 0, 0)
        trace = lax.fori_loop(0, depth - 1, up, trace)
        hidden = trace[depth - 1]
    else:
        for layer in weights.hidden:
            kept.append(hidden)
            hidden = _forward(program, _HIDDEN, layer, hidden)

    residual = (_output(program, weights.last, hidden) - values) * (2 / values.shape[1])
    last = Layer(_einsum(_LAST_GRADIENT, residual, hidden), jnp.sum(residual, axis=1))
    error = jnp.where(hidden > 0, _einsum(_LAST_BACKWARD, weights.last.weight, residual), 0)
    middle: Any = ()
    if program.stacked:

        def down(count: Any, carry: Any) -> Any:
            error, gradients = carry
            index = depth - 2 - count
            # XLA has a faster product for narrow layers if the transposed factor is there.
            across = lax.optimization_barrier(jnp.swapaxes(stack.weight[index], 1, 2))
            layer, error = _backward(program, across, error, trace[index])
            pairs = zip(gradients, layer, strict=True)
            return error, Layer(*(lax.dynamic_update_index_in_dim(*pair, index, 0) for pair in pairs))

        error, middle = lax.fori_loop(0, depth - 1, down, (error, slopes))
        scratch = Scratch(trace, middle)
    else:
        for layer, below in zip(reversed(weights.hidden), reversed(kept), strict=True):
            one, error = _backward(program, jnp.swapaxes(layer.weight, 1, 2), error, below)
            middle = (one, *middle)
    first = Layer(_einsum(_FIRST_GRADIENT, error, inputs), jnp.sum(error, axis=2))
    return Weights(first, middle, last), scratch


def _choose(program: Program, better: Any, new: Weights, old: Weights) -> Weights:
    """The new weights of the members that are better, and the old ones of the others."""

    def along(axis: int) -> Callable[[Any, Any], Any]:
        return lambda new, old: jnp.where(better.reshape((-1,) + (1,) * (new.ndim - axis - 1)), new, old)

    hidden = jax.tree.map(along(1 if program.stacked else 0), new.hidden, old.hidden)
    first, last = (jax.tree.map(along(0), *pair) for pair in ((new.first, old.first), (new.last, old.last)))
    return Weights(first, hidden, last)


def _each_layer(change: Callable[[Any, Any], Any], carry: Any, end: Any) -> tuple[Any, Any]:
    """Let change(index, carry) give the new carry for each index below `end`; also the last index, plus 1."""
    return lax.while_loop(lambda pair: pair[0] < end, lambda pair: (pair[0] + 1, change(*pair)), (jnp.int32(0), carry))


def _update_stack(update: Callable[..., Any], trained: Any, slopes: Layer, end: Any) -> Any:
    """Weights and moments (each a stack) after an update of the layers below `end`, and of no others."""

    def new(index: Any, weights: Layer, moments: Any) -> Any:
        parts = (slopes, weights, *moments)
        return update(*(Layer(*(leaf[index] for leaf in part)) for part in parts))

    def put(stack: Layer, layer: Layer, index: Any) -> Layer:
        return Layer(*(lax.dynamic_update_index_in_dim(*pair, index, 0) for pair in zip(stack, layer, strict=True)))

    def move(index: Any, weights: Layer) -> Layer:
        return put(weights, new(index, weights, moments)[0], index)

    def remember(index: Any, moments: Any) -> Any:
        return tuple(put(*pair, index) for pair in zip(moments, new(index, weights, moments)[1:], strict=True))

    # Two loops, and the second waits for the first: so XLA writes in place and does not copy whole stacks.
    weights, *moments = trained
    end, moved = _each_layer(move, weights, end)
    _, moments = _each_layer(remember, tuple(moments), end)
    return moved, *moments


def step(
    program: Program,
    carry: Any,
    rates: Any,
    depth: Any,
    inputs: Any,
    values: Any,
    scalars: Any,
    trained: Any = None,
) -> tuple[Weights, tuple[Weights, Weights], Any]:
    """One step of the optimiser for every member; `trained` [hidden layer, member] is 0 where a layer stays as it is.

    Only an unrolled program takes `trained`.
    """
    weights, moments, scratch = carry
    slope, scratch = gradient(program, weights, inputs, values, depth, scratch)
    if trained is not None:
        kept = zip(slope.hidden, trained, strict=True)
        slope = slope._replace(
            hidden=tuple(Layer(one.weight * to[:, None, None], one.bias * to[:, None]) for one, to in kept)
        )

    def update(*parts: Layer) -> list[Layer]:
        """New weights and moments of a layer, from its gradient, weights and moments."""

        def one(slope: Any, param: Any, first: Any, second: Any) -> Any:
            rate = rates.reshape((-1,) + (1,) * (slope.ndim - 1))
            return OPTIMIZERS[program.optimizer](slope, param, first, second, rate, scalars)

        return [Layer(*leaves) for leaves in zip(*(one(*leaves) for leaves in zip(*parts, strict=True)), strict=True)]

    first, hidden, last = zip(slope, weights, *moments, strict=True)
    if program.stacked:
        middle = _update_stack(update, hidden[1:], slope.hidden, depth - 1)
    else:
        middle = tuple(zip(*(update(*layer) for layer in zip(*hidden, strict=True)), strict=True)) or ((), (), ())
    weights, *moments = (Weights(*parts) for parts in zip(update(*first), middle, update(*last), strict=True))
    return weights, (moments[0], moments[1]), scratch


def run(program: Program, state: State, rates: Any, depth: Any, segment: Segment, inputs: Any, values: Any) -> State:
    """Take the steps of a segment, then measure the loss on (inputs, values) and keep each member's best weights."""

    def one(index: Any, carry: Any) -> Any:
        inputs, values = segment.inputs[:, index], segment.values[:, index]
        return step(program, carry, rates, depth, inputs, values, segment.scalars[index])

    weights, moments, _ = lax.fori_loop(
        0, segment.num_steps, one, (state.weights, state.moments, scratch_space(program))
    )
    return look(program, state, (weights, moments), depth, inputs, values, segment.end_step)


def look(program: Program, state: State, trained: Any, depth: Any, inputs: Any, values: Any, end_step: Any) -> State:
    """The state with weights and moments `trained`, their loss measured and each member's best weights kept."""
    weights, moments = trained
    residual = predict(program, weights, inputs, depth) - values
    loss = jnp.mean(residual * residual, axis=1)
    better = loss < state.best_loss  # false for NaN
    return State(
        weights,
        moments,
        _choose(program, better, weights, state.best),
        jnp.where(better, loss, state.best_loss),
        jnp.where(better, end_step, state.best_step),
        loss,
    )
