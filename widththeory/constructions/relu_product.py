"""The product of n numbers by ReLU networks: 2^(n-1) directions in one hidden layer, or a tree of products of two."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from widththeory.constructions.arguments import check_built, keep_python_numbers
from widththeory.constructions.interpolation import shallow_interpolation
from widththeory.constructions.yarotsky import Product
from widththeory.network import Network, compose, linear_combination, stack
from widththeory.typing import Guarantee, Points, Size, Values, check_positive_int

_ROUNDING = 1 + 1e-12  # radii of inner gates are rounded up


def _directions(num_factors: int, pieces: int, radius: Any) -> Network:
    """sum_s (prod_i s_i) q(<s, x>), q the interpolant of 2 z^n / (2^n n!) on |z| <= n radius, s_1 = 1."""
    reach = num_factors * Fraction(radius)
    knots = [-reach + 2 * reach * j / pieces for j in range(pieces + 1)]
    scale = Fraction(2, 2**num_factors * math.factorial(num_factors))
    power = shallow_interpolation(knots, [scale * knot**num_factors for knot in knots])
    signs = [(1, *rest) for rest in itertools.product((1, -1), repeat=num_factors - 1)]
    rows = [compose(power, Network([([[Fraction(s) for s in sign]], [Fraction(0)])])) for sign in signs]
    return linear_combination([Fraction(math.prod(sign)) for sign in signs], rows)


@dataclass(frozen=True)
class ProductByDirections:
    """x_1 ... x_n by one hidden layer of 2^(n-1) pieces units: the polarisation identity, with interpolated powers.

    2^n n! x_1 ... x_n = sum over s in {±1}^n of (prod s_i) <s, x>^n, where s and -s give equal terms. Each power is
    interpolated at p = pieces equal pieces of [-n, n].

    Args:
        num_factors: n, at least 2.
        pieces: p, at least 1.

    Domain: the law is uniform on [-1, 1]^n.
    Error: (n - 1) n^(n+1) / (2 n! p^2) in the sup norm for odd n, half of it for even n, where all interpolants lie
        above their powers and half of the terms are subtracted.
    Size: one hidden layer of width 2^(n-1) p.

    Raises:
        ValueError: an argument below its least value.

    Source:
        [rolnicktegmark2018], as recalled, for 2^n directions with smooth units.
        Differs: ReLU units, which need p pieces a direction; derived for this project.
    """

    num_factors: int
    pieces: int = 8

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("num_factors", self.num_factors, at_least=2)
        check_positive_int("pieces", self.pieces)

    @property
    def input_dim(self) -> int:
        return self.num_factors

    def target(self, points: Points) -> Values:
        """The product of the coordinates."""
        return np.prod(points, axis=1)

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of the cube [-1, 1]^n."""
        return rng.uniform(-1, 1, (num_points, self.num_factors))

    def network(self) -> Network:
        """All directions side by side, in exact rationals."""
        check_built(self.size())
        return _directions(self.num_factors, self.pieces, 1)

    def error(self) -> Guarantee:
        """By h^2 / 8 times the second derivative of each power, h = 2 n / p."""
        n = self.num_factors
        if n > 1000:  # e^n, roughly: no float, however many the pieces
            return Guarantee("sup", math.inf)
        try:
            bound = (n - 1) * n ** (n + 1) / (2 * math.factorial(n) * self.pieces**2)
        except OverflowError:
            bound = math.inf
        return Guarantee("sup", bound if n % 2 else bound / 2)

    def size(self) -> Size:
        """2^(n-1) p units."""
        return Size(self.num_factors, (2 ** (self.num_factors - 1) * self.pieces,))


def _levels(num_factors: int) -> list[tuple[int, int]]:
    """Gates, and values that are passed on (0 or 1), at each level of the binary tree."""
    levels = []
    while num_factors > 1:
        levels.append(divmod(num_factors, 2))
        num_factors = sum(levels[-1])
    return levels


def _gate_errors(num_factors: int, relative: float) -> tuple[list[float], float]:
    """Radii of the gates of each level, and the error after the last, for gates of error radius^2 * relative.

    With inputs within e of numbers in [-1, 1], of size at most r = 1 + e, a gate is within r^2 relative + (r + 1) e.
    """
    radii, error = [], 0.0
    for _ in _levels(num_factors):
        radii.append((1 + error) * _ROUNDING if error else 1.0)
        error = radii[-1] * radii[-1] * relative + (radii[-1] + 1) * error
    return radii, error


def _tree(num_factors: int, radii: list[float], gate_of: Callable[[float], Network]) -> Network:
    zero, one = Fraction(0), Fraction(1)
    if not all(map(math.isfinite, radii)):
        raise ValueError(
            f"num_factors must be small enough for gates so rough, whose errors overflow, got {num_factors}"
        )
    network: Network | None = None
    for (gates, passed), radius in zip(_levels(num_factors), radii, strict=True):
        gate, count = gate_of(radius), 2 * gates + passed

        def choose(first: int, number: int, count: int = count) -> Network:
            rows = [[one if column == first + row else zero for column in range(count)] for row in range(number)]
            return Network([(rows, [zero] * number)])

        parts = [compose(gate, choose(2 * index, 2)) for index in range(gates)]
        parts += [choose(count - 1, 1).deepen(gate.size.depth)] * passed
        level = stack(parts)
        network = level if network is None else compose(level, network)
    assert network is not None
    return network


@dataclass(frozen=True)
class ProductByGates:
    """x_1 ... x_n by a binary tree with one hidden layer a level: gates u v = (u + v)^2 / 4 - (u - v)^2 / 4.

    Both squares of a gate are interpolated at p = pieces equal pieces; a value left over is carried by two units.

    Args:
        num_factors: n, at least 2.
        pieces: p, at least 1.

    Domain: the law is uniform on [-1, 1]^n.
    Error: a gate on [-r, r]^2 is within r^2 / p^2, and errors pass on as e -> r^2 / p^2 + (r + 1) e, r = 1 + e.
    Size: ceil(log2 n) hidden layers, of 2 p units a gate and 2 for a value left over.

    Raises:
        ValueError: an argument below its least value.

    Source:
        [rolnicktegmark2018], as recalled, for the tree of gates with smooth units.
        Differs: ReLU units and the error are derived for this project.
    """

    num_factors: int
    pieces: int = 8

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("num_factors", self.num_factors, at_least=2)
        check_positive_int("pieces", self.pieces)

    @property
    def input_dim(self) -> int:
        return self.num_factors

    def target(self, points: Points) -> Values:
        """The product of the coordinates."""
        return np.prod(points, axis=1)

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of the cube [-1, 1]^n."""
        return rng.uniform(-1, 1, (num_points, self.num_factors))

    def network(self) -> Network:
        """The tree, in exact rationals."""
        check_built(self.size())
        radii, _ = _gate_errors(self.num_factors, self.pieces**-2)
        return _tree(self.num_factors, radii, lambda radius: _directions(2, self.pieces, radius))

    def error(self) -> Guarantee:
        """The recursion through the levels."""
        return Guarantee("sup", _gate_errors(self.num_factors, self.pieces**-2)[1])

    def size(self) -> Size:
        """2 p units a gate."""
        widths = tuple(2 * self.pieces * gates + 2 * passed for gates, passed in _levels(self.num_factors))
        return Size(self.num_factors, widths)


@dataclass(frozen=True)
class ProductBySquares:
    """x_1 ... x_n by a binary tree of products of two that are exponentially accurate in their depth.

    Args:
        num_factors: n, at least 2.
        order: m of each `yarotsky.Product`, at least 1.

    Domain: the law is uniform on [-1, 1]^n.
    Error: a gate on [-r, r]^2 is within r^2 4^(-m-1), and errors pass on as e -> r^2 4^(-m-1) + (r + 1) e, r = 1 + e.
    Size: (m + 1) ceil(log2 n) hidden layers; a gate has 4 units in its first layer and 6 in the others.

    Raises:
        ValueError: an argument below its least value.

    Source:
        [yarotsky2017] Proposition 3, as recalled, for the product of two; [rolnicktegmark2018], as recalled, for the
        tree.
    """

    num_factors: int
    order: int = 3

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("num_factors", self.num_factors, at_least=2)
        check_positive_int("order", self.order)

    @property
    def input_dim(self) -> int:
        return self.num_factors

    def target(self, points: Points) -> Values:
        """The product of the coordinates."""
        return np.prod(points, axis=1)

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of the cube [-1, 1]^n."""
        return rng.uniform(-1, 1, (num_points, self.num_factors))

    def network(self) -> Network:
        """The tree, in exact rationals."""
        check_built(self.size())
        radii, _ = _gate_errors(self.num_factors, 4.0 ** (-self.order - 1))
        return _tree(self.num_factors, radii, lambda radius: Product(self.order, radius).network())

    def error(self) -> Guarantee:
        """The recursion through the levels."""
        relative = 4.0 ** (-self.order - 1) + math.ulp(0.0)  # for underflow
        return Guarantee("sup", _gate_errors(self.num_factors, relative)[1])

    def size(self) -> Size:
        """4 units a gate, then m layers of 6, and 2 for a value left over."""
        widths: list[int] = []
        for gates, passed in _levels(self.num_factors):
            widths += [4 * gates + 2 * passed, *[6 * gates + 2 * passed] * self.order]
        return Size(self.num_factors, tuple(widths))


EXAMPLES = (
    ProductByDirections(2, 4),
    ProductByDirections(3, 9),
    ProductByDirections(4, 12),
    ProductByGates(2, 5),
    ProductByGates(5, 8),
    ProductBySquares(2, 2),
    ProductBySquares(3, 3),
    ProductBySquares(6, 4),
)
