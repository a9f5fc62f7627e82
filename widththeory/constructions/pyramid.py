"""A pyramid in a box: width n + 1 computes it on all of R^n, width n - 1 is no better than zero from R = 2 on."""

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from widththeory.constructions.arguments import BUILT, grid_size, keep_python_numbers
from widththeory.constructions.hanin import max_min_string
from widththeory.network import Network
from widththeory.typing import Guarantee, Points, Size, Values, check_positive_int


@dataclass(frozen=True)
class Pyramid:
    """f(x) = (1 - |x_1| - ... - |x_n|)_+ under the uniform law on [-R, R]^n.

    It is the larger of 0 and the least of the 2^n affine functions 1 ± x_1 ± ... ± x_n. A first layer y = (x + R)_+
    moves the box to nonnegative coordinates, which a string of minima and one maximum carries. Where x_i < -R, y_i is
    0, as at x_i = -R, and f vanishes at both for R >= 1: the network equals f on all of R^n.

    Args:
        input_dim: n, at least 1.
        box_radius: R, at least 1.

    Domain: [-R, R]^n for the law, R^n for the network.
    Error: zero.
    Size: one hidden layer of width n and 2^n of width n + 1.

    Raises:
        ValueError: n below 1 or above 24, or R below 1 or not finite.

    Source:
        [haninsellke2017], max-min strings, as recalled; [lu2017] Theorem 2, as recalled: on R^n networks of width n are
        no closer in L1 than 0 is. Differs: the function and its string are chosen for this project.
    """

    input_dim: int
    box_radius: float | int = 1

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        grid_size(2, check_positive_int("input_dim", self.input_dim))
        if not (math.isfinite(self.box_radius) and self.box_radius >= 1):
            raise ValueError(f"box_radius must be a finite number of at least 1, got {self.box_radius!r}")

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of each side of the box."""
        return -float(self.box_radius), float(self.box_radius)

    @property
    def l1_norm(self) -> float:
        """Integral of f over R^n, 2^n / (n + 1)!."""
        return 2**self.input_dim / math.factorial(self.input_dim + 1)

    @property
    def variance(self) -> float:
        """Variance of f under the law; f^2 integrates to 2^(n + 1) / (n + 2)!."""
        volume = (2 * float(self.box_radius)) ** self.input_dim
        square = 2 ** (self.input_dim + 1) / math.factorial(self.input_dim + 2)
        return square / volume - (self.l1_norm / volume) ** 2

    def target(self, points: Points) -> Values:
        """Height of the pyramid."""
        return np.maximum(0.0, 1 - np.abs(points).sum(axis=1))

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of the box."""
        return rng.uniform(*self.interval, size=(num_points, self.input_dim))

    def network(self) -> Network:
        """A layer that moves the box, then the string, in exact rationals."""
        radius, dim = Fraction(self.box_radius), self.input_dim
        grid_size(2, dim, BUILT)
        slopes = [*itertools.product((1, -1), repeat=dim), (0,) * dim]
        offsets = [*(1 - sum(row) * radius for row in slopes[:-1]), Fraction(0)]
        string = max_min_string(slopes, offsets, [False] * (len(slopes) - 2) + [True])
        identity = [[Fraction(int(i == j)) for j in range(dim)] for i in range(dim)]
        return Network([(identity, [radius] * dim), *string.layers])

    def error(self) -> Guarantee:
        """The network is the target."""
        return Guarantee("sup", 0.0)

    def size(self) -> Size:
        """One layer for the box, one for each further affine function."""
        return Size(self.input_dim, (self.input_dim, *(self.input_dim + 1,) * grid_size(2, self.input_dim)))


EXAMPLES = (Pyramid(1, 2), Pyramid(2, 1), Pyramid(2, 2.5), Pyramid(3, 4))
