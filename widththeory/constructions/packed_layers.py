"""A wide network recomputed at width 6: each layer's outputs are packed as bits of one number, and read bit by bit.

Numbers need as many bits as a whole layer holds, so this is for rationals, or for layers that float64 can hold.
"""

import itertools
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from widththeory.constructions.arguments import check_built, check_counted, keep_python_numbers
from widththeory.constructions.named_layers import ONE, ZERO, NamedLayers, Terms, combine, constant
from widththeory.network import Network
from widththeory.typing import Guarantee, Points, Size, Values, check_positive_int

_ZEROS = np.array(ZERO, dtype=object)
_REST: Terms = {"rest": 2 * ONE, "up": -ONE, "down": ONE}  # of a number, twice, without the bit that was found


class Packing(NamedTuple):
    """How outputs of the layers (inputs first) are packed: output = integer / 2^grid, integer < 2^field."""

    grids: list[int]
    fields: list[int]
    low: Fraction  # of the network's output on the cube
    high: Fraction


def packing(network: Network, input_bits: int) -> Packing:
    """Bits that hold every output of every layer exactly, for inputs in [0, 1] of `input_bits` bits.

    Raises:
        ValueError: more than one output, no hidden layer, or an entry that is not a multiple of a power of 1/2.
    """
    input_bits = check_positive_int("input_bits", input_bits)
    if network.output_dim != 1 or not network.size.depth:
        raise ValueError(f"network must have hidden layers and one output, got {network!r}")
    grids, fields = [input_bits], [input_bits]
    low, high = np.full(network.input_dim, ZERO), np.full(network.input_dim, ONE)
    for weight, bias in network.rational().layers:
        positive, negative = np.where(weight > 0, weight, _ZEROS), np.where(weight < 0, weight, _ZEROS)
        low, high = positive @ low + negative @ high + bias, positive @ high + negative @ low + bias
        if len(grids) > network.size.depth:
            break
        grids.append(max(grids[-1] + _num_bits(weight), _num_bits(bias)))
        low, high = np.maximum(low, _ZEROS), np.maximum(high, _ZEROS)
        fields.append(max(1, int(max(high) * 2 ** grids[-1]).bit_length()))
    return Packing(grids, fields, low[0], high[0])


def _num_bits(array: np.ndarray) -> int:
    """The least b such that all entries are multiples of 2^(-b)."""
    denominators = {entry.denominator for entry in array.ravel()}
    if any(number & (number - 1) for number in denominators):
        raise ValueError(f"network must have dyadic entries, got the denominator {max(denominators)}")
    return max(denominators).bit_length() - 1


def packed_size(network: Network, input_bits: int) -> Size:
    """Size of `pack_layers`.

    With layers of n_0 = d, n_1, ..., n_H units, C_0 = c, C_1, ..., C_H bits each and m_l = n_l C_l: width
    max(6, d + 3), and m_0 + sum_l (n_l m_{l-1} + 1) + m_H + 2 hidden layers.

    Args:
        network: dyadic entries, one output, at least one hidden layer.
        input_bits: c, at least 1.

    Raises:
        ValueError: as `packing`.

    Source:
        Derived for this project, after [vardi2022] Theorem 2.
    """
    input_bits = check_positive_int("input_bits", input_bits)
    dim, hidden, fields = network.input_dim, network.size.widths, packing(network, input_bits).fields
    bits = [units * field for units, field in zip((dim, *hidden), fields, strict=True)]
    check_counted(dim * input_bits + sum(n * before for n, before in zip(hidden, bits, strict=False)) + bits[-1])
    widths = [4 + others for others in reversed(range(dim)) for _ in range(input_bits)]
    for units, before in zip(hidden, bits, strict=False):
        widths += [6] * (units * before) + [2]
    return Size(dim, (*widths, *[6] * bits[-1], 1, 1))


def pack_layers(network: Network, input_bits: int, window_bits: int) -> Network:
    """A network of width max(6, d + 3) that equals another one at its inputs rounded down to c bits, but for windows.

    * Inputs: in turn, each bit of each coordinate r is found by a ramp of width 2^(-q) below 1/2, r becomes 2 r minus
      the bit, and the bit joins the packed number. This is the only part that can be wrong, when some r is in a window
      (1/2 - 2^(-q), 1/2): with probability at most d c 2^(-q) under the uniform law.
    * Units: the bits of a packed number X / 2^m are read in the same way, by ramps as wide as the grid that what is
      left of it lies on, so that nothing is in a window. Each bit adds its weight to the sum for one unit, whose output
      joins the packed number of the next layer. All bits are read once for each unit.
    * The output is clipped to the range that interval arithmetic gives for the cube.

    Args:
        network: dyadic entries (as floats are), one output, at least one hidden layer.
        input_bits: c, at least 1.
        window_bits: q, at least 1.

    Domain: [0, 1]^d.
    Error: outside the windows zero at inputs of c bits, at others at most sup |g|_1 2^(-c), g the gradient.
    Size: `packed_size`. Weights are as large as 2^m, 2^(q) and the network's own; float64 holds m up to about 50.

    Raises:
        ValueError: as `packing`, or window_bits below 1.

    Source:
        [vardi2022] Theorem 2: with probability 1 - delta within eps, at width max(5 d, 10) and depth
        O(n^2 L^2 log(A B n / eps)). Differs: dyadic weights are kept exactly, so only inputs are rounded; bits are
        differences of two units; width max(6, d + 3) (derived for this project). Theorem 5 there has width
        max(d + 2, 10), less from d = 8 on, as recalled.
    """
    input_bits = check_positive_int("input_bits", input_bits)
    window_bits = check_positive_int("window_bits", window_bits)
    plan, dim = packing(network, input_bits), network.input_dim
    tape = NamedLayers([f"x{i}" for i in range(dim)])
    packed: Terms = {}
    for i, bit in itertools.product(range(dim), range(input_bits)):
        units = _bit(_REST if bit else {f"x{i}": ONE}, 2**window_bits)
        others = {f"x{k}": {f"x{k}": ONE} for k in range(i + 1, dim)}
        tape.append(units | {"packed": packed} | others)
        place = Fraction(1, 2 ** (i * input_bits + bit + 1))
        packed = {"packed": ONE, "up": place, "down": -place}
    *hidden, (last_row, last_bias) = network.rational().layers
    for level, (weight, bias) in enumerate(hidden):
        before = plan.grids[level], plan.fields[level]
        gathered: Terms = {}
        given: Terms = {}  # the unit computed last, before its ReLU
        for unit, (row, shift) in enumerate(zip(weight, bias, strict=True)):
            place = Fraction(2 ** plan.grids[level + 1], 2 ** (unit * plan.fields[level + 1]))  # of the unit before
            total, gathered = _read_bits(tape, packed, row, before, gathered, given, place if unit else ZERO)
            packed, given = {"packed": ONE}, combine((1, total), (1, constant(shift)))
        tape.append({"next": gathered, "sum": given})
        place = Fraction(2 ** plan.grids[level + 1], 2 ** (len(bias) * plan.fields[level + 1]))
        packed = {"next": ONE, "sum": place}
    total, _ = _read_bits(tape, packed, last_row[0], (plan.grids[-1], plan.fields[-1]), {}, {}, ZERO)
    tape.append({"above": combine((1, total), (1, constant(last_bias[0] - plan.low)))})
    tape.append({"below": {"above": -ONE, "1": plan.high - plan.low}})
    return tape.network([{"below": -ONE, "1": plan.high}])


def _bit(rest: Terms, slope: int) -> dict[str, Terms]:
    """Units of which up - down is the first bit of `rest`, but for a window of width 1 / slope below 1/2."""
    ramp = combine((slope, rest), (1, constant(Fraction(-slope, 2))))
    return {"rest": rest, "up": combine((1, ramp), (1, constant(1))), "down": ramp}


def _read_bits(
    tape: NamedLayers, packed: Terms, row: Any, layout: tuple[int, int], gathered: Terms, given: Terms, place: Fraction
) -> tuple[Terms, Terms]:
    """Layers that read all bits of `packed`; returns row @ (the numbers packed there) in terms of the last of them.

    The first layer also holds relu(given), the unit before, which then joins `gathered` at its place; that sum is
    returned too.
    """
    grid, field = layout
    num_bits = len(row) * field
    largest = Fraction(2**field - 1, 2**grid)
    offset = sum((max(-entry, ZERO) for entry in row), ZERO) * largest  # keeps the sum from being negative
    total: Terms = given
    for bit in range(num_bits):
        units = _bit(_REST if bit else packed, 2 ** (num_bits - bit))  # what is left has so many bits
        tape.append({"packed": {"packed": ONE} if bit else packed, **units, "sum": total, "next": gathered})
        gathered = {"next": ONE} if bit else {"next": ONE, "sum": place}
        value = row[bit // field] * Fraction(2 ** (field - 1 - bit % field), 2**grid)
        total = combine((1, {"sum": ONE} if bit else constant(offset)), (value, {"up": ONE, "down": -ONE}))
    return combine((1, total), (1, constant(-offset))), gathered


@dataclass(frozen=True)
class PackedNetwork:
    """A random network on the cube, recomputed by one of width max(6, d + 3) that holds a layer in one number.

    Args:
        input_dim: d, at least 1.
        widths: hidden widths of the target, at least one.
        input_bits: c, bits kept of each coordinate.
        window_bits: q, windows have width 2^(-q).
        seed: draws weights and biases, uniform multiples of 1/2 in [-1, 1].

    Domain: the law is uniform on [0, 1]^d.
    Error: L1, E|x_i - x_i rounded down| = 2^(-c-1) gives |g|_1 2^(-c-1), with |g|_1 at most the sum of the entries of
        the product of absolute weights; and on windows, of measure at most d c 2^(-q), the range of the output.
    Size: `packed_size`.

    Raises:
        ValueError: outside these ranges.

    Source:
        [vardi2022] Theorem 2. Differs: as `pack_layers`; L1 error instead of a probability (derived for this project).
    """

    input_dim: int
    widths: tuple[int, ...]
    input_bits: int
    window_bits: int
    seed: int = 0

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("input_dim", self.input_dim)
        if not self.widths:
            raise ValueError("widths must hold at least one hidden width, got none")
        for units in self.widths:
            check_positive_int("widths", units)
        check_positive_int("input_bits", self.input_bits)
        check_positive_int("window_bits", self.window_bits)
        check_positive_int("seed", self.seed, at_least=0)

    @cached_property
    def wide(self) -> Network:
        """The target as a network."""
        rng, layers = np.random.default_rng(self.seed), []
        for fan_in, fan_out in itertools.pairwise((self.input_dim, *self.widths, 1)):
            layers.append((rng.integers(-2, 3, (fan_out, fan_in)) / 2, rng.integers(-2, 3, fan_out) / 2))
        return Network(layers)

    def target(self, points: Points) -> Values:
        """Values of the wide network."""
        return self.wide(points)[:, 0]

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of the unit cube."""
        return rng.random((num_points, self.input_dim))

    def network(self) -> Network:
        """The narrow network, in exact rationals."""
        check_built(self.size())
        return pack_layers(self.wide, self.input_bits, self.window_bits)

    @property
    def failure(self) -> float:
        """Bound on the probability that an input is in a window: d c 2^(-q)."""
        return self.input_dim * self.input_bits * 2.0**-self.window_bits

    @property
    def lipschitz(self) -> float:
        """A Lipschitz constant in the maximum norm: the sum of the product of absolute weights."""
        product = np.ones(self.input_dim)
        for weight, _ in self.wide.layers:
            product = np.abs(weight) @ product
        return float(product[0])

    def error(self) -> Guarantee:
        """Rounding of the inputs, and the range of the output on windows."""
        plan = packing(self.wide, self.input_bits)
        rounding = self.lipschitz * 2.0 ** -(self.input_bits + 1)
        return Guarantee("l1", rounding + min(1.0, self.failure) * float(plan.high - plan.low))

    def size(self) -> Size:
        """Quantiser, units one by one, clipped output."""
        return packed_size(self.wide, self.input_bits)


EXAMPLES = (
    PackedNetwork(1, (3,), 5, 12),
    PackedNetwork(2, (2, 2), 2, 10, seed=1),
    PackedNetwork(3, (2,), 3, 14, seed=2),
)
