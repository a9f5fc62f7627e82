"""Convex Lipschitz functions as maxima of supporting planes: width d + 1, error of the order of depth^(-2/d)."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from widththeory.constructions.arguments import BUILT, grid_size, keep_python_numbers
from widththeory.constructions.hanin import max_min_string
from widththeory.exact.one_dim import Polynomial
from widththeory.network import Network
from widththeory.typing import Guarantee, Points, Size, Values, check_positive, check_positive_int

Slopes = Float[np.ndarray, "num_planes input_dim"]
Offsets = Float[np.ndarray, "num_planes"]


def supporting_planes(
    value: Callable[[Points], Values],
    prox: Callable[[Points, float], Points],
    *,
    lipschitz: float,
    input_dim: int,
    planes_per_axis: int,
) -> tuple[Slopes, Offsets]:
    """Planes below a convex function whose maximum is within d L / (2 k^(2/d)) of it on [0, 1]^d.

    Let f be convex and L-Lipschitz on R^d and step = 1 / (2 L). For y in a grid of k = planes_per_axis^d cell centres
    of [-1/2, 3/2]^d take p = prox(y) and the subgradient s = (y - p) / step of f at p: the plane f(p) + <s, x - p> is
    nowhere above f. Every x of the cube is prox(y*) with y* = x + step s_x in the larger cube, some grid point is
    within r = sqrt(d) / planes_per_axis of y*, and
    f(x) - plane(x) <= <s_x - s, x - p> <= |y* - y|^2 / (4 step) <= r^2 L / 2,
    since |a + step b|^2 >= 4 step <a, b>.

    Args:
        value: f, on arrays of points.
        prox: (points y, step) -> argmin_p f(p) + |p - y|^2 / (2 step).
        lipschitz: L, positive.
        input_dim: d.
        planes_per_axis: k^(1/d).

    Returns:
        slopes and offsets of the k planes.

    Source:
        Derived for this project; the rate k^(-2/d) is that of [hanin2019], whose constant is C L d^(3/2) (as recalled).
    """
    check_positive_int("input_dim", input_dim)
    check_positive_int("planes_per_axis", planes_per_axis)
    check_positive("lipschitz", lipschitz)
    grid_size(planes_per_axis, input_dim, BUILT)
    step = 1 / (2 * lipschitz)
    grid = 2 * (np.arange(planes_per_axis) + 0.5) / planes_per_axis - 0.5
    points = np.array(list(itertools.product(grid, repeat=input_dim)))
    feet = prox(points, step)
    slopes = (points - feet) / step
    return slopes, value(feet) - (slopes * feet).sum(axis=1)


@dataclass(frozen=True)
class ConvexNorm:
    """The cone |x - c|, c the centre of the cube, as a maximum of planes_per_axis^d planes: convex and 1-Lipschitz.

    With k = planes_per_axis^d planes from `supporting_planes`, raised by half their error, the network of width d + 1
    with k - 1 hidden layers errs by at most (d / 4) k^(-2/d).

    Args:
        input_dim: d, at least 1.
        planes_per_axis: k^(1/d), at least 1.

    Domain: the law is uniform on [0, 1]^d.
    Error: (d / 4) planes_per_axis^(-2) in the sup norm.
    Size: width d + 1, k - 1 hidden layers.

    Raises:
        ValueError: an argument is not an integer of at least 1.

    Source:
        [hanin2019], as recalled: convex Lipschitz functions at width d + 1 with error C L d^(3/2) k^(-2/d).
        Differs: explicit planes and constant (derived for this project).
    """

    input_dim: int
    planes_per_axis: int

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("input_dim", self.input_dim)
        check_positive_int("planes_per_axis", self.planes_per_axis)

    def target(self, points: Points) -> Values:
        """Euclidean distance to the centre of the cube."""
        return np.linalg.norm(points - 0.5, axis=1)

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of the unit cube."""
        return rng.random((num_points, self.input_dim))

    def network(self) -> Network:
        """Maximum of supporting planes of the cone."""

        def prox(points: Points, step: float) -> Points:
            radius = np.linalg.norm(points - 0.5, axis=1, keepdims=True)
            return 0.5 + (points - 0.5) * np.maximum(0.0, 1 - step / np.maximum(radius, step))

        slopes, offsets = supporting_planes(
            self.target, prox, lipschitz=1.0, input_dim=self.input_dim, planes_per_axis=self.planes_per_axis
        )
        offsets = offsets + self.error().bound
        return max_min_string(slopes.tolist(), offsets.tolist(), [True] * (len(offsets) - 1))

    def error(self) -> Guarantee:
        """(d / 4) / planes_per_axis^2."""
        return Guarantee("sup", self.input_dim / (4 * self.planes_per_axis**2))

    def size(self) -> Size:
        """Width d + 1, k - 1 hidden layers."""
        return Size(self.input_dim, (self.input_dim + 1,) * (grid_size(self.planes_per_axis, self.input_dim) - 1))


@dataclass(frozen=True)
class ConvexParabola:
    """|x|^2 / 2 on the cube as a maximum of its tangent planes at the centres of a grid, error attained.

    max_p (<p, x> - |p|^2 / 2) = |x|^2 / 2 - min_p |x - p|^2 / 2: with k = planes_per_axis^d cell centres the gap is at
    most d / (8 k^(2/d)), and half of it once the planes are raised.

    Args:
        input_dim: d, at least 1.
        planes_per_axis: k^(1/d), at least 1.

    Domain: the law is uniform on [0, 1]^d, where the target is sqrt(d)-Lipschitz.
    Error: (d / 16) planes_per_axis^(-2) in the sup norm, attained at the cell centres and at the corners of the cells.
    Size: width d + 1, k - 1 hidden layers.

    Raises:
        ValueError: an argument is not an integer of at least 1.

    Source:
        [hanin2019], as recalled, for a function where the rate k^(-2/d) is exact (derived for this project).
    """

    input_dim: int
    planes_per_axis: int

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("input_dim", self.input_dim)
        check_positive_int("planes_per_axis", self.planes_per_axis)

    def target(self, points: Points) -> Values:
        """Half the squared norm."""
        return (points**2).sum(axis=1) / 2

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of each side of the cube."""
        return 0.0, 1.0

    @property
    def exact_target(self) -> Polynomial | None:
        """The target itself, for d = 1, else None."""
        return Polynomial((0.0, 0.0, 0.5)) if self.input_dim == 1 else None

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of the unit cube."""
        return rng.random((num_points, self.input_dim))

    def network(self) -> Network:
        """Maximum of raised tangent planes, in exact rationals."""
        count = self.planes_per_axis
        grid_size(count, self.input_dim, BUILT)
        axis = [Fraction(2 * i + 1, 2 * count) for i in range(count)]
        slopes = list(itertools.product(axis, repeat=self.input_dim))
        lift = Fraction(self.input_dim, 16 * count**2)
        offsets = [lift - sum((entry**2 for entry in row), Fraction(0)) / 2 for row in slopes]
        return max_min_string(slopes, offsets, [True] * (len(slopes) - 1))

    def error(self) -> Guarantee:
        """(d / 16) / planes_per_axis^2, attained."""
        return Guarantee("sup", self.input_dim / (16 * self.planes_per_axis**2))

    def size(self) -> Size:
        """Width d + 1, k - 1 hidden layers."""
        return Size(self.input_dim, (self.input_dim + 1,) * (grid_size(self.planes_per_axis, self.input_dim) - 1))


EXAMPLES = (ConvexNorm(2, 5), ConvexParabola(1, 6), ConvexParabola(2, 4))
