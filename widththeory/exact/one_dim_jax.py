"""Exact one-dimensional distances of an ensemble of networks in one compiled call, with a fixed room for knots.

The knots of each network fill an array of static size, padded with the right end of the interval: intervals of length
zero count for nothing. A network with more knots than that is reported and its distances are NaN.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from widththeory.exact.one_dim import CosineSum, Piecewise, PiecewiseLinear, Polynomial
from widththeory.typing import check_positive_int


class KnotArrays(NamedTuple):
    """Knots of every unit of a network, values there, how many are in use, and whether there was no room for some."""

    knots: Float[Array, "*ensemble capacity"]
    values: Float[Array, "*ensemble capacity"]
    num_knots: Int[Array, "*ensemble"]
    overflow: Bool[Array, "*ensemble"]


class EnsembleDistances(NamedTuple):
    """L1, L2 (not squared), sup distance of each member, its knots, and whether the capacity was too small for them."""

    l1: Float[Array, "ensemble"]
    l2: Float[Array, "ensemble"]
    sup: Float[Array, "ensemble"]
    num_knots: Int[Array, "ensemble"]
    overflow: Bool[Array, "ensemble"]


def ensemble_distances(
    layers: Sequence[tuple[Any, Any]], target: Any, low: float, high: float, *, capacity: int = 1024
) -> EnsembleDistances:
    """Distances on [low, high] of many networks of one shape to one target, under one jit and vmap.

    Args:
        layers: pairs (weights, biases) with the ensemble as leading axis: (ensemble, fan_out, fan_in) and
            (ensemble, fan_out), one input and one output. The arithmetic is that of their dtype: float64 for certainty.
        target: a `PiecewiseLinear` on the same interval, a `Polynomial`, a `CosineSum` or a `Piecewise` of these two.
        low, high: finite, low < high.
        capacity: room for knots of all units, at least 2. Hidden units + 2 suffice for one hidden layer; trained
            networks seldom have more than twice that, and `overflow` says where one has.

    Error: as `PiecewiseLinear.distance`, in the dtype of the weights. Members that overflow have NaN distances.

    Raises:
        ValueError: shapes that do not chain, low >= high, a target of another kind or interval.

    Source: derived for this project.
    """
    check_positive_int("capacity", capacity, at_least=2)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"low and high must be finite with low < high, got {low!r} and {high!r}")
    layers = [(jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in layers]
    _check_layers(layers)
    if isinstance(target, PiecewiseLinear):
        if (target.knots[0], target.knots[-1]) != (low, high):
            raise ValueError(f"target must be given on [{low}, {high}]")
        dtype = layers[0][0].dtype
        return _to_interpolant(layers, jnp.asarray(target.knots, dtype), jnp.asarray(target.values, dtype), capacity)
    if not isinstance(target, (Polynomial, CosineSum, Piecewise)):
        raise ValueError(f"target must be a function of widththeory.exact.one_dim, got {target!r}")
    return _to_smooth(layers, target, float(low), float(high), capacity)


def knot_arrays(layers: Sequence[tuple[Array, Array]], low: Any, high: Any, capacity: int) -> KnotArrays:
    """Knots of one network and its values there; traceable, and safe under vmap.

    Source: derived for this project.
    """
    dtype = layers[0][0].dtype
    knots = jnp.full(capacity, high, dtype).at[0].set(low)
    hidden, count = knots[None, :], jnp.asarray(2)
    overflow = jnp.asarray(False)
    for weight, bias in layers[:-1]:
        values = weight @ hidden + bias[:, None]
        signs = jnp.sign(values)
        change = signs[:, :-1] * signs[:, 1:] < 0
        num_new = jnp.sum(change)
        overflow |= count + num_new > capacity
        rows, columns = jnp.nonzero(change, size=capacity, fill_value=(0, capacity - 2))
        used = jnp.arange(capacity) < num_new
        left, right = values[rows, columns], values[rows, columns + 1]
        fraction = jnp.where(used, left / jnp.where(used, left - right, 1), 1)  # unused ones land on the right end
        between = (1 - fraction)[None, :] * values[:, columns] + fraction[None, :] * values[:, columns + 1]
        between = jnp.where(used[None, :] & (jnp.arange(len(bias))[:, None] == rows[None, :]), 0, between)
        born = jnp.where(used, knots[columns] + fraction * (knots[columns + 1] - knots[columns]), knots[-1])
        both = jnp.concatenate([knots, born])
        order = jnp.argsort(both)[:capacity]
        knots = both[order]
        hidden = jnp.maximum(jnp.concatenate([values, between], axis=1)[:, order], 0)
        count = jnp.minimum(count + num_new, capacity)
    weight, bias = layers[-1]
    return KnotArrays(knots, (weight @ hidden + bias[:, None])[0], count, overflow)


@partial(jax.jit, static_argnames=("capacity",))
def _to_interpolant(layers: Any, target_knots: Any, target_values: Any, capacity: int) -> EnsembleDistances:
    def member(member_layers: Any) -> EnsembleDistances:
        arrays = knot_arrays(member_layers, target_knots[0], target_knots[-1], capacity)
        merged = jnp.sort(jnp.concatenate([arrays.knots, target_knots]))
        gaps = jnp.interp(merged, arrays.knots, arrays.values) - jnp.interp(merged, target_knots, target_values)
        steps, left, right = jnp.diff(merged), gaps[:-1], gaps[1:]
        total = jnp.abs(left) + jnp.abs(right)
        mixed = (left**2 + right**2) / (2 * jnp.where(total > 0, total, 1))
        l1 = steps @ jnp.where(left * right >= 0, total / 2, mixed)
        l2_squared = steps @ (left**2 + left * right + right**2) / 3
        return _reported(arrays, l1, l2_squared, jnp.max(jnp.abs(gaps)))

    return jax.vmap(member)(layers)


@partial(jax.jit, static_argnames=("target", "low", "high", "capacity"))
def _to_smooth(layers: Any, target: Any, low: float, high: float, capacity: int) -> EnsembleDistances:
    parts, breaks = (target.parts, target.breaks) if isinstance(target, Piecewise) else ((target,), ())
    ends = np.array([low, *[b for b in breaks if low < b < high], high])
    fixed = [ends]
    num_nodes = 2
    for a, b in zip(ends, ends[1:], strict=False):
        part = parts[int(np.searchsorted(breaks, 0.5 * (a + b)))]
        nodes_needed, longest = part.quadrature()
        num_nodes = max(num_nodes, nodes_needed)
        fixed += [part.inflections(float(a), float(b)), np.linspace(a, b, int(np.ceil((b - a) / longest)) + 1)]
    dtype = layers[0][0].dtype
    fixed_edges = jnp.asarray(np.unique(np.concatenate(fixed)), dtype)
    node_places, node_weights = (jnp.asarray(x, dtype) for x in np.polynomial.legendre.leggauss(num_nodes))

    def evaluate(points: Any, which: Any, order: int) -> Any:
        branches = [_evaluate(part, points, order) for part in parts]
        return jnp.select([which == k for k in range(len(parts))], branches)

    def member(member_layers: Any) -> EnsembleDistances:
        arrays = knot_arrays(member_layers, low, high, capacity)
        edges = jnp.sort(jnp.concatenate([arrays.knots, fixed_edges]))
        heights = jnp.interp(edges, arrays.knots, arrays.values)
        left, right = edges[:-1], edges[1:]
        step = right - left
        slope = jnp.where(step > 0, jnp.diff(heights) / jnp.where(step > 0, step, 1), 0)
        which = jnp.searchsorted(jnp.asarray(breaks, dtype), 0.5 * (left + right))

        def gap(points: Any) -> Any:
            return evaluate(points, which, 0) - (heights[:-1] + slope * (points - left))

        critical = _bisect(lambda x: evaluate(x, which, 1) - slope, left, right)
        first, second = _bisect(gap, left, critical), _bisect(gap, critical, right)
        l1 = l2_squared = sup = jnp.zeros((), dtype)
        for a, b in ((left, first), (first, critical), (critical, second), (second, right)):
            half, middle = 0.5 * (b - a), 0.5 * (a + b)
            sizes = jnp.abs(jax.vmap(lambda u, half=half, middle=middle: gap(middle + half * u))(node_places))
            l1 += half @ (node_weights @ sizes)
            l2_squared += half @ (node_weights @ sizes**2)
            ends = jnp.maximum(jnp.abs(gap(a)), jnp.abs(gap(b)))
            sup = jnp.maximum(sup, jnp.max(jnp.where(step > 0, ends, 0)))
        return _reported(arrays, l1, l2_squared, sup)

    return jax.vmap(member)(layers)


def _evaluate(part: Any, points: Any, order: int) -> Any:
    """The target (order 0) or its derivative (order 1) in JAX."""
    if isinstance(part, Polynomial):
        coefficients = np.polynomial.polynomial.polyder(part.coefficients, order) if order else part.coefficients
        return jnp.polyval(jnp.asarray(np.asarray(coefficients)[::-1], points.dtype), points)
    total = jnp.full_like(points, 0.0 if order else part.constant)
    for amplitude, frequency, phase in zip(part.amplitudes, part.frequencies, part.phases, strict=True):
        total += amplitude * frequency**order * jnp.cos(frequency * points + (phase + order * np.pi / 2))
    return total


def _bisect(function: Any, left: Any, right: Any) -> Any:
    """The zero in each bracket whose ends differ in sign; the right end of the others."""
    start = jnp.sign(function(left))
    crosses = start * jnp.sign(function(right)) < 0

    def halve(_: Any, ends: Any) -> Any:
        low, high = ends
        middle = 0.5 * (low + high)
        before = jnp.sign(function(middle)) == start
        return jnp.where(before, middle, low), jnp.where(before, high, middle)

    # after as many halvings as the mantissa has bits the bracket is down to rounding
    low, high = jax.lax.fori_loop(0, jnp.finfo(left.dtype).nmant + 2, halve, (left, right))
    return jnp.where(crosses, 0.5 * (low + high), right)


def _reported(arrays: KnotArrays, l1: Any, l2_squared: Any, sup: Any) -> EnsembleDistances:
    l1, l2, sup = (jnp.where(arrays.overflow, jnp.nan, x) for x in (l1, jnp.sqrt(l2_squared), sup))
    return EnsembleDistances(l1, l2, sup, arrays.num_knots, arrays.overflow)


def _check_layers(layers: Sequence[tuple[Array, Array]]) -> None:
    fan_in = 1
    for index, (weight, bias) in enumerate(layers):
        if weight.ndim != 3 or bias.shape != weight.shape[:2] or weight.shape[2] != fan_in:
            raise ValueError(
                f"layers[{index}] must be (ensemble, fan_out, {fan_in}) weights and (ensemble, fan_out) biases, "
                f"got shapes {weight.shape} and {bias.shape}"
            )
        fan_in = weight.shape[1]
    if not layers or fan_in != 1:
        raise ValueError(f"layers must end in one output, got {fan_in if layers else 'no layers'}")
