"""Squares and products by deep narrow networks: the error falls by 4 with each hidden layer."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from widththeory.constructions.arguments import keep_python_numbers
from widththeory.exact.one_dim import Polynomial
from widththeory.network import Network, compose, stack
from widththeory.typing import Guarantee, Points, Size, Values, check_positive, check_positive_int, to_fraction


@dataclass(frozen=True)
class Square:
    """x^2 on [0, 1] by a network of width 3 with `order` hidden layers.

    With the sawtooth g_s = h^s (see `telgarsky`), f_m(x) = x - sum_{s=1}^m g_s(x) / 4^s interpolates x^2 at the
    2^m + 1 points i / 2^m, m = order, so 0 <= f_m(x) - x^2 <= 2^(-2m-2), with equality midway between the points.

    Args:
        order: m, at least 1.

    Domain: the law is uniform on [0, 1].
    Error: 2^(-2m-2) in the sup norm, attained.
    Size: width 3, m hidden layers.

    Raises:
        ValueError: order is not an integer of at least 1.

    Source:
        [yarotsky2017] Proposition 2, as recalled.
        Differs: one hidden layer a fold and the sum carried in a third unit, where the paper stacks sawtooth networks.
    """

    order: int

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("order", self.order)

    @property
    def input_dim(self) -> int:
        return 1

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the interval that the law is uniform on."""
        return 0.0, 1.0

    @property
    def exact_target(self) -> Polynomial:
        """x^2, for exact errors."""
        return Polynomial((0.0, 0.0, 1.0))

    @property
    def num_pieces(self) -> int:
        """Affine pieces on [0, 1]."""
        return 2**self.order

    def target(self, points: Points) -> Values:
        """x^2."""
        return points[:, 0] ** 2

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of [0, 1]."""
        return rng.random((num_points, 1))

    def network(self) -> Network:
        """Two units fold, the third carries x - sum g_s / 4^s, which is never negative."""
        if self.order > 2**13:  # weights of 2 m bits in each of m layers
            raise ValueError(f"order must be at most 2^13 to build the network, got {self.order}")
        zero, one = Fraction(0), Fraction(1)
        fold, bias = [Fraction(2), Fraction(-4), zero], [zero, -Fraction(1, 2), zero]
        layers = [([[one], [one], [one]], bias)]
        for s in range(1, self.order + 1):
            carry = [Fraction(-2, 4**s), Fraction(4, 4**s), one]
            layers.append(([fold, fold, carry], bias) if s < self.order else ([carry], [zero]))
        return Network(layers)

    def error(self) -> Guarantee:
        """2^(-2m-2), attained at odd multiples of 2^(-m-1)."""
        return Guarantee("sup", max(2.0 ** (-2 * self.order - 2), math.ulp(0.0)))  # at 537 it would underflow to 0

    def size(self) -> Size:
        """Width 3, one hidden layer an order."""
        return Size(1, (3,) * self.order)


@dataclass(frozen=True)
class Product:
    """x y on [-radius, radius]^2 by a network of width 6 with order + 1 hidden layers.

    With M = radius and f_m from `Square`, the network is M^2 (f_m(|x + y| / 2M) - f_m(|x - y| / 2M)). Both errors
    lie in [0, 2^(-2m-2)], so their difference is at most M^2 2^(-2m-2) in absolute value. It vanishes on both axes.

    Args:
        order: m, at least 1.
        radius: M, positive.

    Domain: the law is uniform on [-M, M]^2.
    Error: M^2 2^(-2m-2) in the sup norm, attained at x = y = M 2^(-m-1).
    Size: widths 4, 6, ..., 6 (m sixes): m = O(ln(1/error) + ln M).

    Raises:
        ValueError: order is not an integer of at least 1, or radius is not positive and finite.

    Source:
        [yarotsky2017] Proposition 3, as recalled.
        Differs: two squares, of (x + y) / 2 and (x - y) / 2, where the paper takes those of x + y, x and y.
    """

    order: int
    radius: float = 1.0

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("order", self.order)
        check_positive("radius", self.radius)

    @property
    def input_dim(self) -> int:
        return 2

    def target(self, points: Points) -> Values:
        """x y."""
        return points[:, 0] * points[:, 1]

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of the square [-radius, radius]^2."""
        return rng.uniform(-self.radius, self.radius, (num_points, 2))

    def network(self) -> Network:
        """Two absolute values, two squares side by side, and their difference."""
        zero, one, radius = Fraction(0), Fraction(1), Fraction(self.radius)
        scale, square = 1 / (2 * radius), Square(self.order).network()

        def square_of(signs: list[Fraction]) -> Network:
            row = [sign * scale for sign in signs]
            absolute = Network([([row, [-entry for entry in row]], [zero, zero]), ([[one, one]], [zero])])
            return compose(square, absolute)

        both = stack([square_of([one, one]), square_of([one, -one])])
        return both.then([[radius**2, -(radius**2)]], [zero])

    def error(self) -> Guarantee:
        """M^2 2^(-2m-2), attained."""
        return Guarantee("sup", self.radius**2 * 2.0 ** (-2 * self.order - 2) + math.ulp(0.0))

    def size(self) -> Size:
        """Four units for two absolute values, then two squares of width 3."""
        return Size(2, (4,) + (6,) * self.order)


def order_for(sup_error: float, radius: float = 1.0) -> int:
    """Least order for which `Product` on [-radius, radius]^2 (and `Square`, for radius 1) has at most this sup error.

    Raises:
        ValueError: sup_error or radius is not positive and finite.

    Source:
        [yarotsky2017] Proposition 3, as recalled: a depth of O(ln(1/error) + ln M) suffices.
    """
    for name, number in (("sup_error", sup_error), ("radius", radius)):
        check_positive(name, number)
    size, allowed, order = to_fraction(radius) ** 2, to_fraction(sup_error), 1
    while size / 4 ** (order + 1) > allowed:
        order += 1
    return order


EXAMPLES = (Square(1), Square(4), Square(10), Product(3), Product(5, radius=3.5))
