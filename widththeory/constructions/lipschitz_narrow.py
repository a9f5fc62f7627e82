"""Any Lipschitz function of d variables by a deep network of constant width d + 3, in the sup norm."""

import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from widththeory.constructions.arguments import BUILT, check_built, equal_widths, grid_size, keep_python_numbers
from widththeory.exact.one_dim import PiecewiseLinear
from widththeory.exact.rationals import is_finite
from widththeory.network import Network
from widththeory.typing import Guarantee, Points, Size, Values, check_positive_int, to_fraction


def interpolating_network(grid_values: Any) -> Network:
    """The continuous piecewise-affine function on [0, 1]^d with given values on a grid, at constant width.

    The cube is cut into cells of side 1/M and each cell into d! simplices of the form y_p(1) >= ... >= y_p(d). The hat
    function of the grid point k is relu(1 - max(0, z) - max(0, -z)), z = M x - k, where the maxima run over the
    coordinates too. Two units find both maxima coordinate by coordinate, the next layer forms the hat, and an
    accumulator adds it.

    Args:
        grid_values: array of shape (M + 1, ..., M + 1), one axis a dimension; entry k is the value at k / M.

    Returns:
        A rational network of width d + 3 with (d + 1) (M + 1)^d hidden layers, equal to the interpolant on [0, 1]^d.

    Raises:
        ValueError: the array is not a cube of at least two finite numbers along each axis.

    Source:
        Derived for this project; universality at constant width is [haninsellke2017] (width d + 1).
    """
    values = np.asarray(grid_values, dtype=object)
    if len(set(values.shape)) != 1 or values.shape[0] < 2:
        raise ValueError(f"grid_values must have equal axes of at least 2 values, got shape {values.shape}")
    for value in values.ravel():
        if not is_finite(value):
            raise ValueError(f"grid_values must hold finite numbers, got {value!r}")
    dim, cells = values.ndim, values.shape[0] - 1
    u, v, total = dim, dim + 1, dim + 2
    zero, one = Fraction(0), Fraction(1)
    offset = max(zero, *(-to_fraction(value) for value in values.ravel()))  # hats sum to at most 1: total stays >= 0
    layers: list[tuple[Any, Any]] = []
    pending = zero

    def blank() -> tuple[np.ndarray, np.ndarray]:
        weight, bias = np.full((dim + 3, dim + 3), zero), np.full(dim + 3, zero)
        weight[range(dim), range(dim)] = weight[total, total] = one
        return weight, bias

    for index in itertools.product(range(cells + 1), repeat=dim):
        weight, bias = blank()
        weight[u, 0], bias[u] = Fraction(-cells), Fraction(index[0])  # max(0, z_1) = z_1 + u
        weight[v, 0], bias[v] = Fraction(cells), Fraction(-index[0])  # max(0, -z_1) = -z_1 + v
        weight[total, u] = pending
        layers.append((weight, bias))
        for i in range(1, dim):
            weight, bias = blank()
            weight[u, u] = weight[v, v] = one
            weight[u, i - 1], weight[u, i], bias[u] = (
                Fraction(cells),
                Fraction(-cells),
                Fraction(index[i] - index[i - 1]),
            )
            weight[v, i - 1], weight[v, i], bias[v] = -weight[u, i - 1], -weight[u, i], -bias[u]
            layers.append((weight, bias))
        weight, bias = blank()
        weight[u, u] = weight[u, v] = -one
        bias[u] = one  # the two z_d cancel, so the hat is relu(1 - u - v)
        layers.append((weight, bias))
        pending = to_fraction(values[index])
    layers[0] = (layers[0][0][:, :dim], layers[0][1])
    layers[0][1][total] = offset
    last = np.full((1, dim + 3), zero)
    last[0, u], last[0, total] = pending, one
    return Network([*layers, (last, [-offset])])


@dataclass(frozen=True)
class DistanceToPoints:
    """Distance to a few random points, approximated at constant width by interpolation on a grid.

    The target is min_j max_i |x_i - c_ji|, which is 1-Lipschitz in the maximum norm. With the barycentric coordinates
    of x as weights, the interpolant of a 1-Lipschitz function errs by at most E|x - V|, V a random corner of the
    simplex of x. In cell units the corner is (1{y_i >= U})_i with U uniform on [0, 1], so |y - V| <= max(U, 1 - U),
    of mean 3/4; with one coordinate it is 2 y (1 - y) <= 1/2.

    Args:
        input_dim: d, at least 1.
        num_cells: M, grid cells along each axis, at least 1.
        num_centres: number of points c_j, drawn uniformly from multiples of 1/256 in the cube.
        seed: seed of the points.

    Domain: the law is uniform on [0, 1]^d; the guarantee holds on the whole cube.
    Error: (3/4) / M in the sup norm, (1/2) / M for d = 1.
    Size: width d + 3, (d + 1) (M + 1)^d hidden layers, so the error is of the order of depth^(-1/d).

    Raises:
        ValueError: an integer argument is below its least value.

    Source:
        Derived for this project; compare [yarotsky2018] Theorems 1 and 2 (numbers as recalled).
        Differs: the paper reaches depth^(-2/d) at width 2 d + 10, which needs weights that are discontinuous in the
        function; weights here depend on its values continuously, and then depth^(-1/d) is the best exponent.
    """

    input_dim: int
    num_cells: int
    num_centres: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("input_dim", self.input_dim)
        check_positive_int("num_cells", self.num_cells)
        check_positive_int("num_centres", self.num_centres)
        check_positive_int("seed", self.seed, at_least=0)

    def centres(self) -> np.ndarray:
        """The random points, dyadic so that all values are exact."""
        return np.random.default_rng(self.seed).integers(0, 257, (self.num_centres, self.input_dim)) / 256

    def target(self, points: Points) -> Values:
        """Least maximum-norm distance to a centre."""
        return np.abs(points[:, None, :] - self.centres()).max(axis=2).min(axis=1)

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of each side of the cube."""
        return 0.0, 1.0

    @property
    def exact_target(self) -> PiecewiseLinear | None:
        """The target itself, for d = 1: its kinks are the points and the middles between neighbours; else None."""
        if self.input_dim != 1:
            return None
        centres = np.unique(self.centres())
        kinks = np.concatenate([[0.0, 1.0], centres, 0.5 * (centres[1:] + centres[:-1])])
        knots = np.unique(kinks)
        return PiecewiseLinear(knots, self.target(knots[:, None]))

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of the unit cube."""
        return rng.random((num_points, self.input_dim))

    def network(self) -> Network:
        """The interpolant of the target on the grid, in exact rationals."""
        grid_size(self.num_cells + 1, self.input_dim, BUILT)
        check_built(self.size())
        centres = [[Fraction(entry) for entry in row] for row in self.centres()]
        values = np.empty((self.num_cells + 1,) * self.input_dim, dtype=object)
        for index in np.ndindex(values.shape):
            point = [Fraction(i, self.num_cells) for i in index]
            values[index] = min(max(abs(p - c) for p, c in zip(point, row, strict=True)) for row in centres)
        return interpolating_network(values)

    def error(self) -> Guarantee:
        """Three quarters of a cell, half a cell in one dimension."""
        return Guarantee("sup", (0.5 if self.input_dim == 1 else 0.75) / self.num_cells)

    def size(self) -> Size:
        """Width d + 3, d + 1 hidden layers a grid point."""
        depth = (self.input_dim + 1) * grid_size(self.num_cells + 1, self.input_dim)
        return Size(self.input_dim, equal_widths(self.input_dim + 3, depth))


EXAMPLES = (DistanceToPoints(1, 6), DistanceToPoints(2, 3), DistanceToPoints(2, 5, num_centres=4, seed=1))
