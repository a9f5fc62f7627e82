"""Exact exchange of width for depth on a box: a wide network computed by a narrow one, a few units at a time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from widththeory.constructions.arguments import check_built, equal_widths, keep_python_numbers
from widththeory.constructions.wide_random import RandomWideNetwork, wide_size
from widththeory.network import Affine, Network
from widththeory.typing import Guarantee, Points, Size, Values, check_positive_int, to_fraction

Number = int | float | Fraction


def exchange_size(input_dim: int, widths: Sequence[int], width: int) -> Size:
    """Size of the network of given width that equals a network with one or two hidden layers on a box.

    With g >= 1 units a layer left for the original's units:

    * one hidden layer of m units: width n + 1 + g, ceil(m / g) hidden layers;
    * two hidden layers of m_1 and m_2 units: width n + 2 + g, m_2 (ceil(m_1 / g) + 1) hidden layers.

    Args:
        input_dim: n, at least 1.
        widths: (m,) or (m_1, m_2), each at least 1.
        width: width to reach, at least n + 2 for one hidden layer and n + 3 for two.

    Raises: ValueError outside these ranges.
    Source: derived for this project; compare [vardi2022] Theorem 7, exact on all of R^n at width 2 (n + L - 1).
    """
    dim = check_positive_int("input_dim", input_dim)
    if len(widths) not in (1, 2):
        raise ValueError(f"widths must be those of one or two hidden layers, got {len(widths)}")
    first, *rest = (check_positive_int("widths", units) for units in widths)
    group = _group(dim, len(widths), width)
    depth = rest[0] * (math.ceil(first / group) + 1) if rest else math.ceil(first / group)
    return Size(dim, equal_widths(int(width), depth))


def _group(input_dim: int, depth: int, width: int) -> int:
    """Units of the original that fit in one layer, beside the inputs and one running sum for each of its layers."""
    return check_positive_int("width", width, at_least=input_dim + depth + 1) - input_dim - depth


def serialise(network: Network, width: int, low: Number = -1, high: Number = 1) -> Network:
    """The network of given width that equals `network` on the box [low, high]^n.

    Its layers hold y = x - low >= 0, a running sum for each hidden layer of the original, and a group of the original's
    units. A sum starts at an offset that bounds its negative terms over the box, so that the ReLU never changes it. For
    two hidden layers, the first is computed anew for each unit of the second.

    Args:
        network: one or two hidden layers, one output.
        width: at least n + 2 for one hidden layer, n + 3 for two.
        low, high: sides of the box, low < high.

    Domain: [low, high]^n.
    Error: exact; a network of Fractions gives one of Fractions, and floats a roundoff of some 1e-16 times the offsets.
    Size: `exchange_size`.
    Raises: ValueError outside these ranges.
    Source: derived for this project; compare [vardi2022] Theorem 7, exact on all of R^n at width 2 (n + L - 1).
    """
    if network.output_dim != 1:
        raise ValueError(f"network must have one output, got {network.output_dim}")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"low must be less than high, both finite, got {low} and {high}")
    low, high = to_fraction(low), to_fraction(high)
    size = exchange_size(network.input_dim, network.size.widths, width)  # checks depth and width
    check_built(Size(size.width, size.widths))  # the first layer, too, is square in the making
    exact = any(part.dtype == object for layer in network.layers for part in layer)
    original = (network.rational() if exact else network).layers
    number: Any = Fraction if exact else float
    tape = _Tape(network.input_dim, network.size.depth, size.width, number)
    weight, bias = original[0]
    bias = bias + weight.sum(axis=1) * number(low)  # the first layer as a function of y = x - low
    highest = np.maximum(bias + _positive(weight).sum(axis=1) * (number(high) - number(low)), number(0))
    (last_row,), (last_bias,) = original[-1]
    if len(original) == 2:
        start = _positive(-last_row) @ highest
        reading = tape.accumulate(weight, bias, last_row, start)
        return tape.network(number(low), reading, last_bias - start)
    middle_weight, middle_bias = original[1]
    outer_start = _positive(-last_row) @ np.maximum(middle_bias + _positive(middle_weight) @ highest, number(0))
    for unit, row in enumerate(middle_weight):
        begin, start = len(tape.layers), _positive(-row) @ highest
        reading = tape.accumulate(weight, bias, row, start)
        if unit == 0:
            tape.layers[begin].bias[tape.outer] = outer_start
        else:  # take in the unit that the block before left in the inner sum's place
            tape.layers[begin].weight[tape.outer, tape.inner] = last_row[unit - 1]
        finish = tape.append()
        finish.weight[tape.inner], finish.bias[tape.inner] = reading, middle_bias[unit] - start
    reading = tape.zeros(size.width)
    reading[tape.outer], reading[tape.inner] = number(1), last_row[-1]
    return tape.network(number(low), reading, last_bias - outer_start)


def _positive(array: np.ndarray) -> np.ndarray:
    return np.where(array > 0, array, array * 0)


class _Tape:
    """Layers of the narrow network in the making; units are the inputs, one running sum a hidden layer, and workers."""

    def __init__(self, input_dim: int, depth: int, width: int, number: Any):
        self.input_dim, self.width, self.number = input_dim, width, number
        self.inner, self.outer, self.first_worker = input_dim, input_dim + depth - 1, input_dim + depth
        self.layers: list[Affine] = []

    def zeros(self, *shape: int) -> np.ndarray:
        return np.full(shape, self.number(0), dtype=object if self.number is Fraction else np.float64)

    def append(self) -> Affine:
        """A further layer, which so far carries the inputs and the outer sum."""
        layer = Affine(self.zeros(self.width, self.width), self.zeros(self.width))
        for unit in (*range(self.input_dim), self.outer):
            layer.weight[unit, unit] = self.number(1)
        self.layers.append(layer)
        return layer

    def accumulate(self, weight: np.ndarray, bias: np.ndarray, row: np.ndarray, start: Any) -> np.ndarray:
        """Layers that compute start + row @ relu(weight @ y + bias); returns the row that reads it off the last one."""
        group, reading = self.width - self.first_worker, self.zeros(self.width)
        for offset in range(0, len(row), group):
            layer, part = self.append(), slice(offset, offset + group)
            workers = slice(self.first_worker, self.first_worker + len(row[part]))
            layer.weight[workers, : self.input_dim], layer.bias[workers] = weight[part], bias[part]
            layer.weight[self.inner] = reading  # of the layer before; none yet in the first
            layer.bias[self.inner] = start if offset == 0 else self.number(0)
            reading = self.zeros(self.width)
            reading[self.inner], reading[workers] = self.number(1), row[part]
        return reading

    def network(self, low: Any, reading: np.ndarray, bias: Any) -> Network:
        """The network that shifts the inputs by `low` first and reads its output off the last layer."""
        (first_weight, first_bias), *rest = self.layers
        first_weight = first_weight[:, : self.input_dim]
        output_bias = self.zeros(1) + bias
        return Network(
            [(first_weight, first_bias - first_weight.sum(axis=1) * low), *rest, (reading[None], output_bias)]
        )


@dataclass(frozen=True)
class SerialisedWideNetwork:
    """A random network of width 2 k^2 with two hidden layers, computed by a narrow one.

    Args:
        input_dim, k, seed: as in `RandomWideNetwork`.
        width: at least input_dim + 3.

    Domain: [-1, 1]^n, uniform law.
    Error: exact; in floating point some 1e-16 times the offsets of the running sums.
    Size: `exchange_size`; 2 k^2 (ceil(2 k^2 / (width - n - 2)) + 1) hidden layers.
    Raises: ValueError outside these ranges.
    Source:
        derived for this project, for the targets of [lu2017] Section 4 (as recalled); compare [vardi2022] Theorem 7.
    """

    input_dim: int
    k: int
    seed: int
    width: int

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        self._wide.size()
        self.size()

    @cached_property
    def _wide(self) -> RandomWideNetwork:
        return RandomWideNetwork(self.input_dim, self.k, self.seed)

    def target(self, points: Points) -> Values:
        return self._wide.target(points)

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        return self._wide.sample(num_points, rng)

    def network(self, exact: bool = False) -> Network:
        """The narrow network, with float64 entries, or with the Fractions that make it equal the stored wide one."""
        wide = self._wide.network()
        return serialise(wide.rational() if exact else wide, self.width)

    def error(self) -> Guarantee:
        return Guarantee("sup", 0.0)

    def size(self) -> Size:
        return exchange_size(self.input_dim, wide_size(self.input_dim, self.k).widths, self.width)


EXAMPLES = (
    SerialisedWideNetwork(input_dim=1, k=3, seed=0, width=5),
    SerialisedWideNetwork(input_dim=2, k=3, seed=1, width=12),
)
