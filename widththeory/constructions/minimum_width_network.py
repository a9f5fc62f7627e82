"""Encoder, memoriser, decoder: any Lipschitz map of the cube in L^p at width max(d_x + 1, d_y) or max(d_x, d_y, 2)."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from widththeory.constructions.arguments import (
    BUILT,
    check_built,
    check_counted,
    equal_widths,
    grid_size,
    keep_python_numbers,
)
from widththeory.constructions.named_layers import ONE, NamedLayers, Terms, combine, constant
from widththeory.network import Network
from widththeory.typing import Guarantee, Outputs, Points, Size, Values, check_positive_int, to_fraction


def _climb(
    tape: NamedLayers, carried: dict[str, Terms], name: str, starts: Sequence[Fraction], ramp: Fraction
) -> Terms:
    """Two layers a step for the staircase of the carried unit `name` that climbs from k to k + 1 after starts[k].

    With one unit u beside the carried ones, y = max(y, line_k) = line_k + relu(y - line_k), then
    y = min(y, k + 1) = k + 1 - relu(k + 1 - y); line_k has slope 1 / ramp and is k at starts[k].
    """
    stairs: Terms = {}
    for k, start in enumerate(starts):
        line = combine((1 / ramp, carried[name]), (1, constant(k - start / ramp)))
        tape.append(carried | {"u": combine((1, stairs), (-1, line))})
        carried = {unit: {unit: ONE} for unit in carried}
        stairs = combine((1 / ramp, carried[name]), (1, constant(k - start / ramp)), (1, {"u": ONE}))
        tape.append(carried | {"u": combine((1, constant(k + 1)), (-1, stairs))})
        stairs = combine((1, constant(k + 1)), (-1, {"u": ONE}))
    return stairs


def _encode(tape: NamedLayers, dim: int, num_cells: int, window: Fraction, narrowest: bool) -> Terms:
    """Layers that put the number of the cell in place of each coordinate; returns that of the cube."""
    cuts = [Fraction(k, num_cells) - window for k in range(1, num_cells)]
    carried = {f"x{i}": {f"x{i}": ONE} for i in range(dim)}
    starts = dict.fromkeys(carried, cuts)
    if narrowest and dim > 1:
        carried = _strip(tape, carried, num_cells, window)
        period = 1 + window  # from a strip to the next; its last cell ends at 1, and what is beyond is free for a ramp
        starts["x1"] = [period * k + cut for k in range(num_cells) for cut in (*cuts, ONE)][:-1]
    code: Terms = {}
    for name in list(carried):
        stairs = _climb(tape, carried, name, starts[name], window)
        carried = {unit: {unit: ONE} for unit in carried} | {name: stairs}
    for terms in carried.values():
        code = combine((num_cells, code), (1, terms))
    return code


def _strip(tape: NamedLayers, carried: dict[str, Terms], num_cells: int, window: Fraction) -> dict[str, Terms]:
    """2 (M - 1) layers of width d that replace (x_0, x_1) by x_1 + (1 + r) k, k the number of the cell of x_0.

    From the last cell down: what lies at its edge x_0 = a already is moved to x_0 = a - r and 1 + r up in x_1, by a
    projection along the line (1, -(1 + r) / r); then the next cell is projected along x_0 to its own edge a - 1 / M.
    """
    edge, slope = ONE, (1 + window) / window
    carried = dict(carried)
    for k in reversed(range(num_cells)):
        if k < num_cells - 1:  # x_1 + slope x_0 stays
            sheared = combine((1, carried["x1"]), (slope, carried["x0"]))
            tape.append(carried | {"x0": combine((1, constant(edge - window)), (-1, carried["x0"])), "x1": sheared})
            carried = {unit: {unit: ONE} for unit in carried}
            carried["x0"] = {"1": edge - window, "x0": -ONE}
            carried["x1"] = combine((1, carried["x1"]), (-slope, carried["x0"]))
        edge = Fraction(k, num_cells)
        if k:
            tape.append(carried | {"x0": combine((1, constant(edge)), (-1, carried["x0"]))})
            carried = {unit: {unit: ONE} for unit in carried} | {"x0": {"1": edge, "x0": -ONE}}
    del carried["x0"]
    return carried


def _memorise(tape: NamedLayers, code: Terms, values: Sequence[Fraction]) -> Terms:
    """Layers of width 2 that interpolate values[k] at code = k; the code stays in [0, len(values) - 1].

    Units are relu(code - k) and the sum of the chords' slope changes times these, from an offset that keeps it >= 0.
    """
    last, offset, slope = len(values) - 1, Fraction(0), Fraction(0)
    for k in range(last):  # with its first k + 1 chords the sum is linear from k on, so least at k, k + 1 or the end
        rest = values[k] + (values[k + 1] - values[k]) * (last - k)
        offset = max(offset, -values[k], -values[k + 1], -rest)
    total = constant(values[0] + offset)
    for k in range(last):
        tape.append({"code": code, "sum": total})
        turn, slope = values[k + 1] - values[k] - slope, values[k + 1] - values[k]
        total = {"sum": ONE, "code": turn}
        code = {"code": ONE, "1": -ONE}
    return combine((1, total), (1, constant(-offset)))


def _decode(tape: NamedLayers, code: Terms, base: int, num_digits: int) -> list[Terms]:
    """Layers that split a number into its digits, the highest first; stage j has j + 1 units, so the last has d_y."""
    carried = {"code": code}
    for j in range(num_digits - 1):
        unit = base ** (num_digits - 1 - j)
        starts = [Fraction(k * unit - 1) for k in range(1, base)]
        digit = _climb(tape, carried, "code", starts, ONE)
        carried = {name: {name: ONE} for name in carried}
        carried |= {f"digit{j}": digit, "code": combine((1, carried["code"]), (-unit, digit))}
    return [*(carried[f"digit{j}"] for j in range(num_digits - 1)), carried["code"]]


def memorising_network(cell_values: Any, num_levels: int, window: Fraction, narrowest: bool = False) -> Network:
    """A network of width max(d_x + 1, d_y) with given values on the cells of a grid of the cube, but for windows.

    * Encoder, width d_x + 1: coordinate by coordinate, a staircase puts the number of the cell in the place of x_i.
      It climbs in windows of a given width before the edges between cells. The code is the number of the cell.
      For the width max(d_x, d_y, 2), the first coordinate is not replaced in its place, which takes a further unit.
      Its cells are strips that projections of the plane (x_1, x_2) move onto one line, one beside the other; a
      coordinate is gone, and its unit serves the other staircases. Projections need the cube: far away they go wrong.
    * Memoriser, width 2: a piecewise-linear function of the code.
    * Decoder, for d_y > 1: the memorised number has the d_y values as digits in base Q, which staircases split off,
      the width being the digits already found and two.

    In windows each output is still between the least and the largest value there is.

    Args:
        cell_values: array of shape (M, ..., M, d_y), one axis a dimension, entries in [0, 1], M >= 2. Cell k is
            [k / M, (k + 1) / M) in each coordinate.
        num_levels: Q, at least 2. For d_y > 1, an output v is (k + 1/2) / Q with k = floor(Q v), or Q - 1 for v = 1.
            For d_y = 1 it is v itself.
        window: less than 1 / M.
        narrowest: whether to take the encoder of width d_x (for d_x > 1).

    Size: `memorising_size`.

    Raises:
        ValueError: outside these ranges.

    Source:
        [park2021] for the width max(d_x + 1, d_y) and [kimminpark2024] for max(d_x, d_y, 2), both in L^p and as
        recalled; staircases are max-min strings of [haninsellke2017]. Differs: all weights explicit, and an encoder of
        width d_x that moves strips (derived for this project).
    """
    values = np.asarray(cell_values, dtype=object)
    if values.ndim < 2 or len(set(values.shape[:-1])) != 1 or values.shape[0] < 2 or values.shape[-1] < 1:
        raise ValueError(f"cell_values must have the shape (M, ..., M, d_y) with M >= 2, got {values.shape}")
    num_levels = check_positive_int("num_levels", num_levels, at_least=2)
    num_cells, dim, output_dim = values.shape[0], values.ndim - 1, values.shape[-1]
    if not 0 < window < Fraction(1, num_cells):
        raise ValueError(f"window must be between 0 and 1/{num_cells}, got {window}")
    rows = [[to_fraction(entry) for entry in row] for row in values.reshape(-1, output_dim)]
    if not all(0 <= entry <= 1 for row in rows for entry in row):
        raise ValueError("cell_values must be between 0 and 1")
    tape = NamedLayers(f"x{i}" for i in range(dim))
    code = _encode(tape, dim, num_cells, to_fraction(window), narrowest)
    if output_dim == 1:
        return tape.network([_memorise(tape, code, [row[0] for row in rows])])
    packed = []
    for row in rows:
        digits = [min(int(entry * num_levels), num_levels - 1) for entry in row]
        packed.append(Fraction(sum(digit * num_levels**j for j, digit in enumerate(reversed(digits)))))
    half = constant(Fraction(1, 2))
    found = _decode(tape, _memorise(tape, code, packed), num_levels, output_dim)
    return tape.network(combine((Fraction(1, num_levels), combine((1, digit), (1, half)))) for digit in found)


def memorising_size(input_dim: int, output_dim: int, num_cells: int, num_levels: int, narrowest: bool = False) -> Size:
    """Size of `memorising_network`.

    Width max(d_x + 1, d_y): 2 d_x (M - 1) layers of width d_x + 1, M^d_x - 1 of width 2, and 2 (Q - 1) of each of the
    widths 2, ..., d_y. The narrowest, for d_x > 1: width max(d_x, d_y, 2), the encoder having 2 (d_x - 1) (M - 1) +
    2 (M^2 - 1) layers of width d_x.

    Args:
        input_dim, output_dim: d_x and d_y, at least 1.
        num_cells, num_levels: M and Q, at least 2.
        narrowest: as in `memorising_network`.

    Raises:
        ValueError: outside these ranges.

    Source:
        Derived for this project, for the widths of [park2021] and [kimminpark2024].
    """
    input_dim, output_dim = check_positive_int("input_dim", input_dim), check_positive_int("output_dim", output_dim)
    num_cells = check_positive_int("num_cells", num_cells, at_least=2)
    num_levels = check_positive_int("num_levels", num_levels, at_least=2)
    encoder = equal_widths(input_dim + 1, 2 * input_dim * (num_cells - 1))
    if narrowest and input_dim > 1:
        encoder = equal_widths(input_dim, 2 * (input_dim - 1) * (num_cells - 1) + 2 * (num_cells**2 - 1))
    check_counted(2 * (num_levels - 1) * (output_dim - 1))  # of the decoder
    decoder = [width for width in range(2, output_dim + 1) for _ in range(2 * (num_levels - 1))]
    return Size(input_dim, (*encoder, *(2,) * (grid_size(num_cells, input_dim) - 1), *decoder), output_dim)


@dataclass(frozen=True)
class DistanceMap:
    """Distances to random sets of points, d_y of them, in L^p at width max(d_x + 1, d_y) or max(d_x, d_y, 2).

    Each coordinate is x -> min_j max_i |x_i - c_ji|, which is 1-Lipschitz in the maximum norm and in [0, 1]. `target`
    is the first, `map` has all; the guarantee holds for each.

    Args:
        input_dim: d_x, at least 1.
        num_cells: M, grid cells along each axis, at least 2.
        output_dim: d_y, at least 1.
        num_levels: Q, values of an output if d_y > 1, at least 2.
        window_bits: q; windows are 2^(-q) of a cell wide, at least 1.
        num_centres: points of each set, drawn uniformly from multiples of 1/256 in the cube.
        seed: seed of the points.
        narrowest: whether to take the encoder of width d_x, which is one narrower if d_x > 1 and d_y <= d_x.

    Domain: the law is uniform on [0, 1]^d_x.
    Error: `lp_error`. A cell's value is taken at its centre, within |x - centre|, whose L^p norm is
        (d / (d + p))^(1/p) / (2 M); rounding to levels adds 1 / (2 Q) if d_y > 1; windows are the fraction
        `lost` <= d 2^(-q) of the cube, on which the error is at most 1.
    Size: `memorising_size`: at most 4 M^d_x + 2 d_y Q hidden layers. Windows cost no layers.

    Raises:
        ValueError: outside these ranges.

    Source:
        [park2021], as recalled: max(d_x + 1, d_y) is the least width in L^p(R^d_x). [kimminpark2024], as recalled: in
        L^p of the cube it is max(d_x, d_y, 2); compare [cai2023]. Differs: on the cube for both, all weights explicit,
        the narrowest encoder and the error derived for this project.
    """

    input_dim: int
    num_cells: int
    output_dim: int = 1
    num_levels: int = 16
    window_bits: int = 20
    num_centres: int = 3
    seed: int = 0
    narrowest: bool = False

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        self.size()
        check_positive_int("window_bits", self.window_bits)
        check_positive_int("num_centres", self.num_centres)
        check_positive_int("seed", self.seed, at_least=0)

    def centres(self) -> np.ndarray:
        """The points, as an array (output_dim, num_centres, input_dim); dyadic, so that all values are exact."""
        shape = self.output_dim, self.num_centres, self.input_dim
        return np.random.default_rng(self.seed).integers(0, 257, shape) / 256

    def map(self, points: Points) -> Outputs:
        """Least maximum-norm distance to each set of points."""
        gaps = np.abs(points[:, None, None, :] - self.centres())
        return gaps.max(axis=3).min(axis=2)

    def target(self, points: Points) -> Values:
        """The first coordinate of the map."""
        return self.map(points)[:, 0]

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of the unit cube."""
        return rng.random((num_points, self.input_dim))

    @property
    def window(self) -> Fraction:
        """Width of the windows before the edges between cells."""
        return Fraction(1, self.num_cells * 2**self.window_bits)

    @property
    def lost(self) -> float:
        """Fraction of the cube in windows: 1 - (1 - (M - 1) window)^d."""
        return float(1 - (1 - (self.num_cells - 1) * self.window) ** self.input_dim)

    def network(self) -> Network:
        """The network that memorises the map at the centres of the cells, in exact rationals."""
        grid_size(self.num_cells, self.input_dim, BUILT)
        check_built(self.size())
        centres = [[[Fraction(entry) for entry in row] for row in group] for group in self.centres()]
        values = np.empty((self.num_cells,) * self.input_dim + (self.output_dim,), dtype=object)
        for cell in itertools.product(range(self.num_cells), repeat=self.input_dim):
            point = [Fraction(2 * k + 1, 2 * self.num_cells) for k in cell]
            for j, group in enumerate(centres):
                values[(*cell, j)] = min(max(abs(p - c) for p, c in zip(point, row, strict=True)) for row in group)
        return memorising_network(values, self.num_levels, self.window, self.narrowest)

    def lp_error(self, power: float | int) -> float:
        """Bound on the L^p error of each coordinate, p = power >= 1."""
        if not power >= 1:
            raise ValueError(f"power must be at least 1, got {power!r}")
        cell = (self.input_dim / (self.input_dim + power)) ** (1 / power) / (2 * self.num_cells)
        rounding = 0.0 if self.output_dim == 1 else 1 / (2 * self.num_levels)
        return cell + rounding + self.lost ** (1 / power)

    def error(self) -> Guarantee:
        """`lp_error` for p = 2."""
        return Guarantee("l2", self.lp_error(2))

    def size(self) -> Size:
        """Encoder, memoriser, decoder."""
        return memorising_size(self.input_dim, self.output_dim, self.num_cells, self.num_levels, self.narrowest)


EXAMPLES = (
    DistanceMap(1, 8),
    DistanceMap(2, 6),
    DistanceMap(2, 4, output_dim=2, num_levels=4, seed=1),
    DistanceMap(2, 5, narrowest=True),
    DistanceMap(3, 3, output_dim=2, num_levels=8, narrowest=True),
    DistanceMap(1, 5, output_dim=3, num_levels=3, seed=2),
    DistanceMap(3, 3, output_dim=4, num_levels=3, seed=3),
)
