"""Training and measuring an ensemble whose points stay on the device: how fits run where the host would be too slow.

On a GPU thousands of networks take a step in less time than a host needs to gather their batches. So the training
points and the values of each distinct target are put on the device once; a step is told which columns to take. Members
may differ in width and depth. A narrower one has zeros for the missing units: these stay zero by themselves, since
their gradient is zero. A shallower one has identities, which are not trained, on top of its last hidden layer:
max(I h, 0) = h. So one program serves a class of shapes, with the same mathematics.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from widththeory.ensemble import Layer, Program, State, Weights, look, predict, step
from widththeory.models.mlp import initial_layers
from widththeory.network import Network
from widththeory.regression import Regression

_BLOCK_BYTES = 2**29  # of one hidden layer of all members, while errors are measured in float64


class Resident(NamedTuple):
    """What stays on the device throughout a fit."""

    points: Any  # [coordinate, training point]
    values: Any  # [target, training point]
    target: Any  # [member], which row of `values` is its own
    trained: Any  # [hidden layer above the first, member], 1 where the member has that layer, else 0
    rates: Any  # [member]


class Moments(NamedTuple):
    """Squared residuals of one block of points, each [member]: their number, mean, sum of squares about it, largest."""

    count: Any
    mean: Any
    spread: Any
    largest: Any


def run_resident(
    program: Program,
    state: State,
    resident: Resident,
    rows: Any,
    scalars: Any,
    num_steps: Any,
    end_step: Any,
) -> State:
    """Take up to `program.segment` steps on the points `rows` [step, point], then measure as `ensemble.run` does.

    The loop has a fixed length, so that a GPU need not ask the host after each step whether to go on; steps after the
    first `num_steps` change nothing.
    """

    def one(index: Any, carry: Any) -> Any:
        inputs = resident.points[:, rows[index]]
        values = resident.values[:, rows[index]][resident.target]
        moved = step(
            program, (*carry, None), resident.rates, None, inputs, values, scalars[index], tuple(resident.trained)
        )
        # Written out leaf by leaf, it is fused with the optimiser's update and costs nothing.
        return _where(index < num_steps, moved[:2], carry)

    def steps(carry: Any) -> Any:
        return lax.fori_loop(0, program.segment, one, carry)

    trained = lax.cond(num_steps > 0, steps, lambda carry: carry, (state.weights, state.moments))
    inputs = resident.points[:, : program.num_eval]
    values = resident.values[:, : program.num_eval][resident.target]
    return look(program, state, trained, None, inputs, values, end_step)


def _where(condition: Any, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def squared_residuals(
    program: Program, weights: Weights, points: Any, values: Any, target: Any, num_points: Any
) -> Moments:
    """Moments of each block of `points` [block, coordinate, point], with `values` [block, target, point], in float64.

    The last points, from `num_points` on, only fill the last block.
    """
    weights = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), weights)
    size = points.shape[2]

    def block(part: Any) -> Moments:
        index, inputs, wanted = part
        inside = (index * size + jnp.arange(size) < num_points)[None, :]
        count = jnp.sum(inside)
        square = jnp.where(inside, (predict(program, weights, inputs, None) - wanted[target]) ** 2, 0.0)
        mean = jnp.sum(square, axis=1) / count
        spread = jnp.sum(jnp.where(inside, (square - mean[:, None]) ** 2, 0.0), axis=1)
        return Moments(jnp.full_like(mean, count), mean, spread, jnp.max(square, axis=1))

    return lax.map(block, (jnp.arange(points.shape[0]), points, values))


def combine(moments: Moments) -> Moments:
    """The moments of all points from those of the blocks, in NumPy: the pairwise formula, which loses no digits."""
    blocks = [np.asarray(part, np.float64) for part in moments]
    count, mean, spread, largest = (part[0] for part in blocks)
    for more, other, wide, top in zip(*(part[1:] for part in blocks), strict=True):
        total, gap = count + more, other - mean
        spread = spread + wide + gap**2 * count * more / total
        mean = mean + gap * more / total
        count, largest = total, np.maximum(largest, top)
    return Moments(count, mean, spread, largest)


def block_size(program: Program, num_points: int) -> int:
    """Points to evaluate at a time: a power of two, at most those there are, so that a layer of all members fits."""
    most = max(16, _BLOCK_BYTES // (8 * program.ensemble * program.width))
    return 2 ** min(int(math.log2(most)), math.ceil(math.log2(max(num_points, 2))))


def in_blocks(array: Float[np.ndarray, "rows points"], size: int) -> Float[np.ndarray, "block rows size"]:
    """Columns in blocks of `size`, the last one filled up with zeros."""
    rows, count = array.shape
    blocks = -(-count // size)
    filled = np.zeros((rows, blocks * size), array.dtype)
    filled[:, :count] = array
    return np.ascontiguousarray(filled.reshape(rows, blocks, size).transpose(1, 0, 2))


def initial_weights(program: Program, chunk: Sequence[Regression], points: Float[np.ndarray, "n d"]) -> Weights:
    """The initial networks of the members, drawn as `initial_network` draws them, filled up to the program's shape."""
    count, width, dtype = program.ensemble, program.width, np.dtype(program.dtype)
    first = Layer(np.zeros((count, width, program.input_dim), dtype), np.zeros((count, width), dtype))
    hidden = [
        Layer(np.zeros((count, width, width), dtype), np.zeros((count, width), dtype)) for _ in range(program.depth - 1)
    ]
    last = Layer(np.zeros((count, width), dtype), np.zeros(count, dtype))
    for member, one in enumerate(chunk):
        layers = initial_layers(program.input_dim, (one.width,) * one.depth, one.init, one.seed, points)
        first.weight[member, : one.width], first.bias[member, : one.width] = layers[0]
        for layer, (weight, bias) in zip(hidden, layers[1:-1], strict=False):
            layer.weight[member, : one.width, : one.width], layer.bias[member, : one.width] = weight, bias
        for layer in hidden[one.depth - 1 :]:
            np.fill_diagonal(layer.weight[member], 1.0)
        (last.weight[member, : one.width],), (last.bias[member],) = layers[-1]
    return Weights(first, tuple(hidden), last)


def trained_layers(program: Program, chunk: Sequence[Regression]) -> Float[np.ndarray, "layer member"]:
    """1 where a member has a hidden layer above the first, 0 where an identity stands for it."""
    depths = np.array([one.depth for one in chunk])
    return (np.arange(1, program.depth)[:, None] < depths[None, :]).astype(program.dtype)


def member_network(weights: Weights, member: int, one: Regression) -> Network:
    """One member as a network, in float64, without what fills it up."""
    width = one.width
    layers = [(weights.first.weight[member, :width], weights.first.bias[member, :width])]
    layers += [
        (layer.weight[member, :width, :width], layer.bias[member, :width]) for layer in weights.hidden[: one.depth - 1]
    ]
    layers.append((weights.last.weight[member, None, :width], weights.last.bias[member, None]))
    return Network([(np.asarray(weight, np.float64), np.asarray(bias, np.float64)) for weight, bias in layers])
