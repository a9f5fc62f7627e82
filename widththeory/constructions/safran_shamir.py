"""The indicator of a ball: easy with two hidden layers, hard with one; and a radial control that is easy with one."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.special as sp

from widththeory.constructions.arguments import check_built, keep_python_numbers
from widththeory.network import Network
from widththeory.typing import Guarantee, Points, Size, Values, check_positive_int


def sample_uniform_radius(num_points: int, input_dim: int, radius: float, rng: np.random.Generator) -> Points:
    """Points of uniform direction whose norm is uniform on [0, radius], independent of it.

    Source:
        [safranshamir2017], law of the experiment, as recalled.
    """
    directions = rng.standard_normal((num_points, input_dim))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return directions * rng.uniform(0, radius, (num_points, 1))


@dataclass(frozen=True)
class BallIndicator:
    """1{|x| <= 1} by a network with two hidden layers: squares of the coordinates, then a ramp in their sum.

    The first layer interpolates x_i^2 - h^2 / 8 at knots h = 4 / n apart on [-2, 2], n = num_pieces, so that the sum S
    over coordinates is within e = d h^2 / 8 = 2 d / n^2 of |x|^2. The second layer makes the ramp from 1 at
    S = 1 - 2 e to 0 at S = 1 + 2 e. One hidden layer needs a width exponential in d to come within c / d^4 in mean
    square, under some law that depends on d.

    Args:
        input_dim: d, at least 1.
        num_pieces: n, with n^2 > 6 d, so that the ramp and its error stay within 0 < |x| < sqrt 2.

    Domain: the law has uniform direction and norm uniform on [0, 2].
    Error: the square root of the integral over r in [0, 2], with weight 1/2, of the square of
        (3 e - |r^2 - 1|)_+ / (4 e); of the order of sqrt(e).
    Size: widths d n and 2.

    Raises:
        ValueError: an argument that is not an integer of at least 1, or too few pieces.

    Source:
        [safranshamir2017] Theorem 1 (one hidden layer) and its network with two hidden layers, as recalled.
        Differs: the law is that of their experiment; their law for the lower bound comes from [eldanshamir2016]. Here a
        width O(d^(3/2) / error) suffices, from centring the interpolation error, where theirs is
        max(8 c d^2 / delta, c sqrt(1 / (2 delta))) with mean square delta.
    """

    input_dim: int
    num_pieces: int

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("input_dim", self.input_dim)
        check_positive_int("num_pieces", self.num_pieces)
        if self.num_pieces**2 <= 6 * self.input_dim:
            raise ValueError(
                f"num_pieces must have a square above 6 input_dim = {6 * self.input_dim}, got {self.num_pieces}"
            )

    @property
    def slack(self) -> Fraction:
        """e: largest distance of the network's S from |x|^2."""
        return Fraction(2 * self.input_dim, self.num_pieces**2)

    def target(self, points: Points) -> Values:
        """1 in the closed unit ball, 0 outside."""
        return ((points**2).sum(axis=1) <= 1).astype(np.float64)

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform direction, norm uniform on [0, 2]."""
        return sample_uniform_radius(num_points, self.input_dim, 2.0, rng)

    def network(self) -> Network:
        """Squares, ramp, in exact rationals."""
        check_built(self.size())
        dim, pieces, zero = self.input_dim, self.num_pieces, Fraction(0)
        step = Fraction(4, pieces)
        knots = [-2 + j * step for j in range(pieces)]
        # slopes of the interpolant of z^2 are t_j + t_{j+1}: the first is h - 4, and each knot adds 2 h
        jumps = [step - 4] + [2 * step] * (pieces - 1)
        start = dim * (4 - step**2 / 8)
        first: Any = np.full((dim * pieces, dim), zero)
        for axis in range(dim):
            first[axis * pieces : (axis + 1) * pieces, axis] = Fraction(1)
        ramp = 1 / (4 * self.slack)
        second = [[ramp * jump for jump in jumps] * dim] * 2
        edges = [(start - 1) * ramp + Fraction(1, 2), (start - 1) * ramp - Fraction(1, 2)]
        return Network(
            [(first, [-t for t in knots] * dim), (second, edges), ([[Fraction(-1), Fraction(1)]], [Fraction(1)])]
        )

    def error(self) -> Guarantee:
        """Root of the exact integral of the largest possible squared error at each radius.

        With x = |r^2 - 1| / (3 e) it is 27 e / 64 times that of (1 - x)^2 ((1 - 3 e x)^(-1/2) + (1 + 3 e x)^(-1/2))
        over [0, 1], a hypergeometric function; powers of r would cancel.
        """
        slack = float(self.slack)
        return Guarantee(
            "l2", math.sqrt(9 * slack / 64 * sum(float(sp.hyp2f1(0.5, 1, 4, s * 3 * slack)) for s in (1, -1)))
        )

    def size(self) -> Size:
        """Widths d n and 2."""
        return Size(self.input_dim, (self.input_dim * self.num_pieces, 2))


@dataclass(frozen=True)
class RadialControl:
    """|x| under the law of `BallIndicator`: 1-Lipschitz and radial, so no separation of depths should appear.

    For every fixed accuracy one hidden layer of a width polynomial in d suffices; the hard functions need a Lipschitz
    constant that grows with d.

    Args:
        input_dim: d, at least 1.

    Domain: uniform direction, norm uniform on [0, 2].

    Raises:
        ValueError: input_dim is not an integer of at least 1.

    Source:
        [safraneldanshamir2019].
    """

    input_dim: int

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("input_dim", self.input_dim)

    def target(self, points: Points) -> Values:
        """Euclidean norm."""
        return np.linalg.norm(points, axis=1)

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform direction, norm uniform on [0, 2]."""
        return sample_uniform_radius(num_points, self.input_dim, 2.0, rng)


EXAMPLES = (BallIndicator(1, 4), BallIndicator(3, 16), BallIndicator(10, 32), RadialControl(5))
