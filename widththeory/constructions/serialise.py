"""Exact exchange of width for depth on a box: a wide network computed by a narrow one, a few units at a time."""

import itertools
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
    """Size of the network of given width w that equals a network with one or two hidden layers on a box.

    * One hidden layer of m units: ceil((m - n - 1) / (w - n - 1)) hidden layers, at least one.
    * Two hidden layers of m_1 and m_2 units: ceil(m_1 / g) ceil(m_2 / k) + 1 hidden layers, with k + g = w - n - 1 such
      that they are fewest; two if w is at least m_1 and m_2.

    Args:
        input_dim: n, at least 1.
        widths: (m,) or (m_1, m_2), each at least 1.
        width: width to reach, at least n + 2 for one hidden layer and n + 3 for two.

    Raises: ValueError outside these ranges.
    Source: derived for this project; compare [vardi2022] Theorem 7: on all of R^n at width 2 (n + H), H hidden layers.
    """
    dim = check_positive_int("input_dim", input_dim)
    if len(widths) not in (1, 2):
        raise ValueError(f"widths must be those of one or two hidden layers, got {len(widths)}")
    widths = [check_positive_int("widths", units) for units in widths]
    room = check_positive_int("width", width, at_least=dim + len(widths) + 1) - dim - 1
    if width >= max(widths):
        depth = len(widths)
    elif len(widths) == 1:
        depth = math.ceil((widths[0] - dim - 1) / room)
    else:
        depth = _num_groups(widths, room, _num_sums(widths, room)) + 1
    return Size(dim, equal_widths(int(width), depth))


def _num_groups(widths: Sequence[int], room: int, num_sums: int) -> int:
    """ceil(m_1 / g) ceil(m_2 / k)."""
    return math.ceil(widths[0] / (room - num_sums)) * math.ceil(widths[1] / num_sums)


def _num_sums(widths: Sequence[int], room: int) -> int:
    """The k that needs the fewest layers: tried are those that are the least of their ceil(m_2 / k)."""
    some = range(1, math.isqrt(widths[1]) + 2)
    tried = {k for k in (*some, *(math.ceil(widths[1] / k) for k in some)) if k < room}
    return min(sorted(tried), key=lambda k: _num_groups(widths, room, k))


def serialise(network: Network, width: int, low: Number = -1, high: Number = 1) -> Network:
    """The network of given width that equals `network` on the box [low, high]^n.

    Its layers hold y = x - low >= 0, a running sum and a group of the original's units. The sum starts at an offset
    that bounds its negative terms over the box, so that the ReLU never changes it. The first layer needs no sum, and
    the last no inputs; units of the original have these places too. For two hidden layers, k sums for units of the
    second run at once, and the first is computed anew for the next k. The layer in which their ReLUs are taken begins
    the next sums, and one more sum, for the output, takes them in.

    Args:
        network: one or two hidden layers, one output.
        width: at least n + 2 for one hidden layer, n + 3 for two.
        low, high: sides of the box, low < high.

    Domain: [low, high]^n.
    Error: exact; a network of Fractions gives one of Fractions, and floats a roundoff in proportion to the offsets.
    Size: `exchange_size`. A width that holds all layers gives the network itself, with idle units.
    Raises: ValueError outside these ranges.
    Source: derived for this project; compare [vardi2022] Theorem 7: on all of R^n at width 2 (n + H), H hidden layers.
    """
    if network.output_dim != 1:
        raise ValueError(f"network must have one output, got {network.output_dim}")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"low must be less than high, both finite, got {low} and {high}")
    low, high = to_fraction(low), to_fraction(high)
    dim, hidden = network.input_dim, network.size.widths
    size = exchange_size(dim, hidden, width)  # checks depth and width
    width = size.width
    check_built(Size(width, size.widths))  # the first layer, too, is square in the making
    exact = any(part.dtype == object for layer in network.layers for part in layer)
    original = (network.rational() if exact else network).layers
    if width >= max(hidden):
        return _padded(original, width)
    number: Any = Fraction if exact else float
    (weight, bias), (rows, shifts), *outer = original
    bias = bias + weight.sum(axis=1) * number(low)  # the first layer as a function of y = x - low
    highest = np.maximum(bias + _positive(weight).sum(axis=1) * (number(high) - number(low)), number(0))
    starts = _positive(-rows) @ highest
    num_sums = _num_sums(hidden, width - dim - 1) if outer else 1
    total = dim + num_sums - 1 + len(outer)  # the place of the sum for the output
    free = [*range(total + 1, width)]
    places = [free] * math.ceil(hidden[0] / len(free))  # of each group of the first layer's units
    if not outer:
        places = [[dim, *free], *[free] * (size.depth - 2), [*range(dim), *free]]
    ends = [*itertools.accumulate(map(len, places), initial=0)]
    groups = [slice(*pair) for pair in itertools.pairwise(ends)]

    def affine(step: int) -> Affine:
        """The affine map to hidden layer `step`, or to the output, whose row is that of its sum."""
        layer = Affine(*(np.full(shape, number(0), dtype=rows.dtype) for shape in ((width, width), width)))
        np.fill_diagonal(layer.weight[:dim], number(1))
        if outer:
            layer.weight[total, total] = number(1)
        if step < size.depth:
            group = groups[step % len(groups)]
            workers = places[step % len(groups)][: len(bias[group])]
            layer.weight[workers] = number(0)
            layer.weight[workers, :dim], layer.bias[workers] = weight[group], bias[group]
        if step:
            batch, place = divmod(step - 1, len(groups))
            units = slice(batch * num_sums, (batch + 1) * num_sums)
            block = rows[units, groups[place]]
            sums = np.arange(dim, dim + len(block))
            layer.weight[np.ix_(sums, places[place][: block.shape[1]])] = block
            if place:
                layer.weight[sums, sums] = number(1)
            else:
                layer.bias[sums] = starts[units]
                if batch:  # the units that the batch before left in the places of its sums
                    done = outer[0].weight[0, units.start - num_sums : units.start]
                    layer.weight[total, dim : dim + len(done)] = done
            if place == len(groups) - 1:
                layer.bias[sums] += (shifts - starts)[units]
        return layer

    layers = [affine(step) for step in range(size.depth + 1)]
    first, last = layers[0], layers[-1]
    if outer:
        ((last_row,), last_bias) = outer[0]
        start = _positive(-last_row) @ np.maximum(shifts + _positive(rows) @ highest, number(0))
        first.bias[total] = start
        last.bias[total] = last_bias[0] - start
    first_weight = first.weight[:, :dim]
    return Network(
        [
            (first_weight, first.bias - first_weight.sum(axis=1) * number(low)),
            *layers[1:-1],
            (last.weight[[total]], last.bias[[total]]),
        ]
    )


def _positive(array: np.ndarray) -> np.ndarray:
    return np.where(array > 0, array, array * 0)


def _padded(layers: Sequence[Affine], width: int) -> Network:
    """The same layers with idle units up to a width."""
    num_idle = [0, *(width - len(layer.bias) for layer in layers[:-1]), 0]
    return Network(
        [
            (np.pad(weight, ((0, after), (0, before))), np.pad(bias, (0, after)))
            for (weight, bias), (before, after) in zip(layers, itertools.pairwise(num_idle), strict=True)
        ]
    )


@dataclass(frozen=True)
class SerialisedWideNetwork:
    """A random network of width 2 k^2 with two hidden layers, computed by a narrow one.

    Args:
        input_dim, k, seed: as in `RandomWideNetwork`.
        width: at least input_dim + 3.

    Domain: [-1, 1]^n, uniform law.
    Error: exact; in floating point a roundoff in proportion to the offsets of the running sums.
    Size: `exchange_size` of (2 k^2, 2 k^2).
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
