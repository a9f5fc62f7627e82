"""A function on [-1, 1]^n approximated in L1 at width n + 4, by trapezoidal bumps on a uniform grid."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from widththeory.constructions.arguments import BUILT, equal_widths, grid_size, keep_python_numbers
from widththeory.constructions.narrow_targets import NarrowTarget
from widththeory.constructions.trapezoid_blocks import (
    LARGEST_MARGIN,
    Number,
    TrapezoidBlocks,
    check_variant,
    exact_bump_integral,
    num_layers_per_box,
)
from widththeory.network import Network
from widththeory.typing import Certified, Guarantee, Points, Size, Values, check_positive_int, to_fraction


def trapezoid_grid(
    function: Callable[[Points], Values],
    input_dim: int,
    cells_per_side: int,
    margin_ratio: Number,
    variant: str = "half-overlap",
) -> TrapezoidBlocks:
    """Bumps over a grid of M^n cells of [-1, 1]^n, with the values of a function at the centres of the cells.

    Args:
        function: takes points to values.
        input_dim: n, at least 1.
        cells_per_side: M, at least 1.
        margin_ratio: margin over the side 2 / M of a cell; in (0, 1/2] for "inner", (0, 1] for "half-overlap".
        variant: see `TrapezoidBlocks`.

    Raises: ValueError outside these ranges.
    Source: [lu2017] Theorem 1, as recalled. Differs: a uniform grid in place of their covering of the graph by boxes.
    """
    input_dim = check_positive_int("input_dim", input_dim)
    cells_per_side = check_positive_int("cells_per_side", cells_per_side)
    grid_size(cells_per_side, input_dim, BUILT)
    edges = [-1 + 2 * index / cells_per_side for index in range(cells_per_side + 1)]
    cells = list(np.ndindex(*(cells_per_side,) * input_dim))
    lower = tuple(tuple(edges[index] for index in cell) for cell in cells)
    upper = tuple(tuple(edges[index + 1] for index in cell) for cell in cells)
    _check_margin_ratio(margin_ratio, variant)
    values = function((np.array(lower) + np.array(upper)) / 2)
    # Rounded edges can leave a cell shorter than 2 / M by a rounding, and the largest ratio leaves no room for that.
    shortest = min(b - a for a, b in zip(edges, edges[1:], strict=False))
    return TrapezoidBlocks(lower, upper, tuple(float(value) for value in values), margin_ratio * shortest, variant)


def grid_error(
    lipschitz: float, largest: float, input_dim: int, cells_per_side: int, margin_ratio: float, variant: str
) -> Certified:
    """Bound on int over [-1, 1]^n of |f - F| for the F of `trapezoid_grid`.

    With l = 2 / M, delta the margin, f L-Lipschitz in the Euclidean norm and |f| <= B on the cube:

    * "inner": 2^n L l sqrt(n / 12) + B (2^n - M^n int psi), whose second term does not depend on M at fixed delta / l.
    * "half-overlap": 2^n L (l + delta) sqrt(n / 12) + B (2^n - P), P the integral over the cube of the sum of all
      bumps. That sum is at most 1, and equal to 1 where at most one coordinate is on a ramp between two cells, so that
      2^n - P is n 2^n delta / 8, from the faces of the cube, plus terms of second order in delta / l.

    Args:
        lipschitz: L >= 0.
        largest: B >= 0.
        input_dim, cells_per_side, margin_ratio, variant: as in `trapezoid_grid`.

    Returns: the bound, and the rounding of its computation.
    Raises: ValueError outside these ranges.
    Source: [lu2017] Theorem 1, as recalled. Differs: derived for this project. The mean distance to the centre of a box
        of side l is bounded by its root mean square l sqrt(n / 12), not by the half diagonal l sqrt(n) / 2.
    """
    dim, cells = check_positive_int("input_dim", input_dim), check_positive_int("cells_per_side", cells_per_side)
    if not (0 <= lipschitz < math.inf and 0 <= largest < math.inf):
        raise ValueError(f"lipschitz and largest must be finite and at least 0, got {lipschitz} and {largest}")
    _check_margin_ratio(margin_ratio, variant)
    lipschitz, largest, side = float(lipschitz), float(largest), Fraction(2, cells)
    margin = to_fraction(margin_ratio) * side
    if variant == "inner":
        spread, mass = side, cells**dim * exact_bump_integral((side,) * dim, margin)
    else:
        spread, mass = side + margin, half_overlap_mass(dim, cells, margin_ratio)
    value = 2**dim * lipschitz * float(spread) * math.sqrt(dim / 12) + largest * float(2**dim - mass)
    return Certified(value, 8 * float(np.spacing(value)))  # eight roundings, each relative


def half_overlap_mass(input_dim: int, cells_per_side: int, margin_ratio: float) -> Fraction:
    """Integral over [-1, 1]^n of the sum of all half-overlapping bumps of a grid, as a rational number.

    A coordinate is on a flat part (total length 2 - M delta), on one of M - 1 inner ramps (length delta, two bumps), or
    on the inner half of one of the 2 ramps at the boundary (length delta / 2, one bump). With a ramps and b halves a
    bump integrates to (1 - b 2^-(a+b+1)) / (a+b+1)! in units of the margin.

    Raises: ValueError for arguments out of range.
    Source: derived for this project, for the bumps of [lu2017] Theorem 1 (as recalled).
    """
    dim, cells = check_positive_int("input_dim", input_dim), check_positive_int("cells_per_side", cells_per_side)
    _check_margin_ratio(margin_ratio, "half-overlap")
    margin = to_fraction(margin_ratio) * Fraction(2, cells)
    flat, inner, boundary = 2 - cells * margin, 2 * (cells - 1) * margin, 2 * margin
    total = Fraction(0)
    for ramps in range(dim + 1):
        for halves in range(dim + 1 - ramps):
            count = math.comb(dim, ramps) * math.comb(dim - ramps, halves)
            order = ramps + halves + 1
            integral = (1 - halves * Fraction(1, 2**order)) / math.factorial(order)
            total += count * flat ** (dim - ramps - halves) * inner**ramps * boundary**halves * integral
    return total


def depth_for_error(lipschitz: float, input_dim: int, l1_error: float) -> int:
    """Hidden layers for L1 error eps up to the margin term: (2 n + 1) M^n with M = ceil(2^n L sqrt(n) / eps).

    The paper's account bounds the error of a step function on M^n cells by 2^n L sqrt(n) / M.

    Raises: ValueError unless lipschitz and l1_error are positive.
    Source: derived for this project, from the error account of [lu2017] Theorem 1 (as recalled).
    """
    if not (0 < lipschitz < math.inf and 0 < l1_error < math.inf):
        raise ValueError(f"lipschitz and l1_error must be positive and finite, got {lipschitz} and {l1_error}")
    per_box, input_dim = num_layers_per_box(input_dim), int(input_dim)
    return per_box * math.ceil(2**input_dim * float(lipschitz) * math.sqrt(input_dim) / float(l1_error)) ** input_dim


@dataclass(frozen=True)
class TrapezoidApproximation:
    """A named target on [-1, 1]^n approximated in L1 by a network of width n + 4 on a grid of M^n cells.

    Args:
        name: a name that `NarrowTarget` knows.
        input_dim: n, at least 1.
        cells_per_side: M, at least 1.
        margin_ratio: margin over the side of a cell; in (0, 1/2] for "inner", (0, 1] for "half-overlap".
        variant: "inner" or "half-overlap", see `TrapezoidBlocks`.

    Domain: [-1, 1]^n, uniform law.
    Error: `grid_error` over 2^n, in L1 under the uniform law.
    Size: width n + 4, (2 n + 1) M^n hidden layers.
    Raises: ValueError outside these ranges.
    Source: [lu2017] Theorem 1, as recalled. Differs: see `trapezoid_grid` and `grid_error`.
    """

    name: str
    input_dim: int
    cells_per_side: int
    margin_ratio: float = 0.05
    variant: str = "half-overlap"

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        self.error()  # checks every argument

    @cached_property
    def _narrow_target(self) -> NarrowTarget:
        return NarrowTarget(self.name, self.input_dim)

    def target(self, points: Points) -> Values:
        return self._narrow_target.target(points)

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        return self._narrow_target.sample(num_points, rng)

    def network(self, exact: bool = False) -> Network:
        """The network, with float64 entries or with Fractions."""
        function, args = self._narrow_target.target, (self.input_dim, self.cells_per_side)
        return trapezoid_grid(function, *args, self.margin_ratio, self.variant).network(exact)

    def error(self) -> Guarantee:
        lipschitz, largest = self._narrow_target.lipschitz, self._narrow_target.largest
        bound = grid_error(lipschitz, largest, self.input_dim, self.cells_per_side, self.margin_ratio, self.variant)
        return Guarantee("l1", bound.upper / 2**self.input_dim)

    def size(self) -> Size:
        num_layers = num_layers_per_box(self.input_dim) * grid_size(self.cells_per_side, self.input_dim)
        return Size(self.input_dim, equal_widths(self.input_dim + 4, num_layers))


def _check_margin_ratio(margin_ratio: Number, variant: str) -> None:
    check_variant(variant)
    if not 0 < margin_ratio <= LARGEST_MARGIN[variant]:
        room = float(LARGEST_MARGIN[variant])
        raise ValueError(f"margin_ratio must be in (0, {room}] for variant {variant!r}, got {margin_ratio!r}")


EXAMPLES = (
    TrapezoidApproximation("product", input_dim=2, cells_per_side=6, margin_ratio=0.05, variant="half-overlap"),
    TrapezoidApproximation("norm", input_dim=1, cells_per_side=16, margin_ratio=0.05, variant="inner"),
)
