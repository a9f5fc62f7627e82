"""A fast sine of the inner product of two points on spheres: easy with two hidden layers, hard with one."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from widththeory.constructions.arguments import check_built, keep_python_numbers
from widththeory.constructions.interpolation import shallow_interpolation
from widththeory.network import Network, compose
from widththeory.typing import Guarantee, Points, Size, Values, check_positive, check_positive_int


@dataclass(frozen=True)
class InnerProductSine:
    """F(x, x') = sin(w <x, x'>), w = pi sqrt(d) order, for two unit vectors; input (x, x') of dimension 2 d.

    The first hidden layer interpolates (x_i + x'_i)^2 / 2, centred, at square_pieces equal pieces of [-2, 2]; on the
    spheres these sum to 1 + <x, x'>. The second interpolates sin(w t) at sine_pieces equal pieces of [-1, 1].
    With one hidden layer the sum of the neurons' norms must be large for a small mean square error
    (`widththeory.bounds.daniely_norm`). The bound is exponential in d where w grows like c d, c > 1/e, as for an order
    of sqrt(d) / 2 (docs/theorems/daniely.md). For fixed order and error it is at most a power of d, which rises with
    the order: there a polynomial of a degree that does not depend on d is near enough to the sine.

    Args:
        sphere_dim: d, at least 3; each point is on S^{d-1}.
        order: m, positive: the sine turns about m times over the typical range 1 / sqrt(d) of the inner product.
        square_pieces, sine_pieces: pieces of the two interpolations, at least 1.

    Domain: the law is uniform on S^{d-1} x S^{d-1}.
    Error: w d / square_pieces^2 + w^2 / (2 sine_pieces^2) in the sup norm: the sum is within d / square_pieces^2 of
        <x, x'>, and the interpolated sine is w-Lipschitz and within w^2 h^2 / 8, h = 2 / sine_pieces, of the sine.
    Size: widths d square_pieces and sine_pieces + 1.

    Raises:
        ValueError: an argument outside its range.

    Source:
        [daniely2017] Theorem 1, Lemma 4 (this sine) and Corollary 6 (the network).
        Differs: their example is sin(pi d^3 t), here order = d^2.5; their width is 16 d^2 w / error with weights at
        most max(4, 2 w), here centring the square gives one of order d^(3/2) (w / error)^(1/2).
    """

    sphere_dim: int
    order: float = 1.0
    square_pieces: int = 32
    sine_pieces: int = 64

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("sphere_dim", self.sphere_dim, at_least=3)
        check_positive_int("square_pieces", self.square_pieces)
        check_positive_int("sine_pieces", self.sine_pieces)
        check_positive("order", self.order)

    @property
    def input_dim(self) -> int:
        return 2 * self.sphere_dim

    @property
    def frequency(self) -> float:
        """w = pi sqrt(d) order."""
        return math.pi * math.sqrt(self.sphere_dim) * self.order

    def target(self, points: Points) -> Values:
        """sin(w <x, x'>)."""
        first, second = points[:, : self.sphere_dim], points[:, self.sphere_dim :]
        return np.sin(self.frequency * (first * second).sum(axis=1))

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Two independent uniform points of the sphere, side by side."""
        pairs = rng.standard_normal((num_points, 2, self.sphere_dim))
        pairs /= np.linalg.norm(pairs, axis=2, keepdims=True)
        return pairs.reshape(num_points, self.input_dim)

    def _square(self) -> Network:
        """The interpolant of z^2 / 2, z one of the sums x_i + x'_i; it is h^2 / 16 above z^2 / 2 on average."""
        knots = [-2 + Fraction(4 * j, self.square_pieces) for j in range(self.square_pieces + 1)]
        return shallow_interpolation(knots, [t**2 / 2 for t in knots])

    def _centred(self, start: Any) -> Any:
        """Output bias of the inner product, from that of one square; the spheres add the 1."""
        return self.sphere_dim * (start - Fraction(1, self.square_pieces**2)) - 1

    def _sine(self) -> Network:
        """The interpolated sine on [-1, 1], constant outside."""
        knots = [Fraction(2 * j, self.sine_pieces) - 1 for j in range(self.sine_pieces + 1)]
        values = np.sin(self.frequency * np.array(knots, dtype=float))
        return shallow_interpolation([*knots, Fraction(2)], [*values, values[-1]])

    def inner_product_network(self) -> Network:
        """One hidden layer for <x, x'>, within d / square_pieces^2 of it on the spheres, in exact rationals."""
        check_built(self.size())
        dim, pieces, zero, one = self.sphere_dim, self.square_pieces, Fraction(0), Fraction(1)
        (inner, bias), (head, start) = self._square().layers
        weight: Any = np.full((dim * pieces, 2 * dim), zero)
        for axis in range(dim):
            weight[axis * pieces : (axis + 1) * pieces, [axis, dim + axis]] = inner * one
        return Network([(weight, np.tile(bias, dim)), (np.tile(head, dim), self._centred(start))])

    def network(self) -> Network:
        """The interpolated sine of the interpolated inner product; constant where the latter leaves [-1, 1]."""
        check_built(self.size())
        return compose(self._sine(), self.inner_product_network())

    def path_norm(self) -> float:
        """Sum over all paths to the output of the product of |weights|, a bias being the weight of an input 1.

        It is the value at (1, ..., 1) of `network()` with every weight and bias replaced by its absolute value; found
        without the network, which is large in high dimension.
        """
        (_, bias), (head, start) = self._square().float64().layers
        (_, shifts), (jumps, first) = self._sine().float64().layers
        inner = self.sphere_dim * float(np.abs(head[0]) @ (2 + np.abs(bias)))
        centre = float(self._centred(start[0]))
        return float(np.abs(jumps[0]) @ (inner + np.abs(centre + shifts)) + abs(first[0]))

    def error(self) -> Guarantee:
        """w d / square_pieces^2 + w^2 / (2 sine_pieces^2)."""
        square = self.sphere_dim / self.square_pieces**2
        return Guarantee("sup", self.frequency * square + (self.frequency / self.sine_pieces) ** 2 / 2)

    def size(self) -> Size:
        """Widths d square_pieces and sine_pieces + 1."""
        return Size(self.input_dim, (self.sphere_dim * self.square_pieces, self.sine_pieces + 1))


EXAMPLES = (InnerProductSine(3), InnerProductSine(6, order=2.0, square_pieces=48, sine_pieces=100))
