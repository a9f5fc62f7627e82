"""Products of many numbers by exponential units: 2^n of them in one hidden layer, 4 (n - 1) in a binary tree."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from widththeory.constructions.arguments import COUNTED, keep_python_numbers, shown
from widththeory.typing import Guarantee, Points, Values, check_positive, check_positive_int


def _gate(factors: Any, exponents: tuple[int, ...], scale: Any, coefficient: Any, activation: Callable) -> Any:
    """Product of powers of the columns of `factors`, by prod(r_i + 1) units in one layer."""
    degree = sum(exponents)
    if (count := math.prod(r + 1 for r in exponents)) > 2**COUNTED:
        raise ValueError(f"a gate has {shown(count)} units, more than the 2^{COUNTED} that are evaluated")
    total = 0
    for counts in itertools.product(*(range(r + 1) for r in exponents)):
        weight = math.prod((-1) ** j * math.comb(r, j) for r, j in zip(exponents, counts, strict=True))
        argument = sum(
            ((r - 2 * j) * factors[:, i] for i, (r, j) in enumerate(zip(exponents, counts, strict=True))),
            0 * factors[:, 0],
        )
        total = total + weight * activation(scale * argument)
    return total / (coefficient * math.factorial(degree) * (2 * scale) ** degree)


def _gate_coefficient(degree: int, coefficient: Any) -> Any:
    """Taylor coefficient of the given degree: that of exp unless the caller has another activation."""
    return 1 / math.factorial(degree) if coefficient is None else coefficient(degree)


@dataclass(frozen=True)
class ShallowMonomial:
    """x_1^{r_1} ... x_n^{r_n} by one hidden layer of prod(r_i + 1) exponential units.

    With s_R the Taylor coefficient of the activation a at the degree R = sum r_i and l = scale,
    (s_R R! (2 l)^R)^{-1} sum_{j <= r} prod_i (-1)^{j_i} C(r_i, j_i) a(l sum_i (r_i - 2 j_i) x_i)
    agrees with the monomial to O(l^2): terms of degree below R, and of degree R + 1, cancel. For a = exp it is
    prod_i (sinh(l x_i) / l)^{r_i}. No fewer exponential units (an output bias counts as one) reach arbitrarily small
    errors on any cube: for N(x) = sum_{i <= m} w_i exp(<v_i, x>) all matrices of N(p + q), and of limits of such N,
    have rank at most m, those of the monomial up to prod(r_i + 1). The theorem has smooth activations
    instead, which need as many to have the monomial as Taylor polynomial, but fewer may have small errors.

    Args:
        exponents: r_1, ..., r_n, each at least 1; all ones for the product, which takes 2^n units.
        scale: l > 0. Smaller is better in exact arithmetic; the roundoff of floats grows like eps l^(-R).

    Domain: the law is uniform on [-1, 1]^n. Shallow ReLU networks with bounded weights on the unit cube are another
        matter.
    Error: (sinh(l) / l)^R - 1 = R l^2 / 6 + O(l^4) in the sup norm, attained at (1, ..., 1).
    Size: prod(r_i + 1) units.

    Raises:
        ValueError: no exponent, an exponent below 1, or a scale that is not positive and finite.

    Source:
        [rolnicktegmark2018], construction for one hidden layer and Theorem 4.2, as recalled; the count of exponential
        units is derived for this project.
    """

    exponents: tuple[int, ...]
    scale: float

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        if not self.exponents:
            raise ValueError("exponents must hold at least one integer, got ()")
        for index, exponent in enumerate(self.exponents):
            check_positive_int(f"exponents[{index}]", exponent)
        check_positive("scale", self.scale)

    @property
    def input_dim(self) -> int:
        return len(self.exponents)

    @property
    def num_neurons(self) -> int:
        """Units of the hidden layer."""
        return math.prod(r + 1 for r in self.exponents)

    def target(self, points: Points) -> Values:
        """The monomial."""
        return np.prod(points ** np.array(self.exponents), axis=1)

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of the cube [-1, 1]^n."""
        return rng.uniform(-1, 1, (num_points, self.input_dim))

    def evaluate(
        self, points: Any, activation: Callable = np.exp, coefficient: Callable[[int], Any] | None = None
    ) -> Any:
        """Values of the network.

        Args:
            points: array (num_points, n), of floats or of mpmath numbers.
            activation: acts on arrays; its Taylor coefficient of degree R must not vanish.
            coefficient: degree -> Taylor coefficient of the activation at 0; may be left out for exp only.
        """
        degree = sum(self.exponents)
        return _gate(points, self.exponents, self.scale, _gate_coefficient(degree, coefficient), activation)

    def error(self) -> Guarantee:
        """(sinh(l) / l)^R - 1, for exponential units."""
        return Guarantee("sup", _excess(sum(self.exponents) * _log_ratio(self.scale)))


@dataclass(frozen=True)
class ProductTree:
    """x_1 ... x_n by a tree of gates, each multiplying `arity` numbers with 2^arity units.

    A gate is `ShallowMonomial` with exponents 1; each hidden layer multiplies groups of `arity` values, a last group
    that is smaller taking fewer units, and a single value left over is passed on. Two factors are
    u v = (a(l(u+v)) + a(-l(u+v)) - a(l(u-v)) - a(-l(u-v))) / (8 s_2 l^2) + O(l^2).

    Args:
        num_factors: n, at least 2.
        scale: l > 0.
        arity: factors a gate, at least 2; n or more for one hidden layer.

    Domain: the law is uniform on [-1, 1]^n.
    Error: value of the network at (1, ..., 1) minus 1, O(l^2), in the sup norm: with exponential units the network is a
        power series with nonnegative coefficients that contains the product, so the error is largest there.
    Size: ceil(log n / log arity) hidden layers; 4 (n - 1) units for arity 2.

    Raises:
        ValueError: num_factors or arity below 2, or a scale that is not positive and finite.

    Source:
        [rolnicktegmark2018], construction for deep networks, as recalled.
        Differs: a layer of gates is counted as one hidden layer, and any arity is allowed.
    """

    num_factors: int
    scale: float
    arity: int = 2

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("num_factors", self.num_factors, at_least=2)
        check_positive_int("arity", self.arity, at_least=2)
        check_positive("scale", self.scale)

    @property
    def input_dim(self) -> int:
        return self.num_factors

    def _layers(self) -> list[list[int]]:
        """Sizes of the groups that each hidden layer multiplies."""
        layers, count = [], self.num_factors
        while count > 1:
            groups = [min(self.arity, count - start) for start in range(0, count, self.arity)]
            layers.append(groups)
            count = len(groups)
        return layers

    @property
    def depth(self) -> int:
        """Hidden layers."""
        return len(self._layers())

    @property
    def num_neurons(self) -> int:
        """Units in all gates; a value that is passed on takes none."""
        return sum(2**group for layer in self._layers() for group in layer if group > 1)

    def target(self, points: Points) -> Values:
        """The product of the coordinates."""
        return np.prod(points, axis=1)

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of the cube [-1, 1]^n."""
        return rng.uniform(-1, 1, (num_points, self.num_factors))

    def evaluate(
        self, points: Any, activation: Callable = np.exp, coefficient: Callable[[int], Any] | None = None
    ) -> Any:
        """Values of the network; arguments as in `ShallowMonomial.evaluate`."""
        values = np.asarray(points)
        for groups in self._layers():
            columns, start = [], 0
            for group in groups:
                factors = values[:, start : start + group]
                start += group
                if group == 1:
                    columns.append(factors[:, 0])
                else:
                    taylor = _gate_coefficient(group, coefficient)
                    columns.append(_gate(factors, (1,) * group, self.scale, taylor, activation))
            values = np.stack(columns, axis=1)
        return values[:, 0]

    def error(self) -> Guarantee:
        """Value at (1, ..., 1) minus 1, for exponential units."""
        logarithms = [0.0] * self.num_factors
        for groups in self._layers():
            following, start = [], 0
            for group in groups:
                part = logarithms[start : start + group]
                start += group
                ratios = [_log_ratio(self.scale * (1 + _excess(log))) for log in part] if group > 1 else []
                following.append(sum(part) + sum(ratios))
            logarithms = following
        return Guarantee("sup", _excess(logarithms[0]))


def _log_ratio(z: float) -> float:
    """log(sinh(z) / z), with all its digits where it is small."""
    if z > 1:
        return math.inf if z > 1e300 else z + math.log1p(-math.exp(-2 * z)) - math.log(2 * z)
    excess = term = z * z / 6
    for k in range(2, 12):  # the next term is below 1e-25 of the first
        term *= z * z / (2 * k * (2 * k + 1))
        excess += term
    return math.log1p(excess)


def _excess(logarithm: float) -> float:
    """exp(logarithm) - 1; no error that is positive is rounded to 0."""
    return max(math.expm1(logarithm), math.ulp(0.0)) if logarithm < 709 else math.inf


EXAMPLES = (
    ShallowMonomial((1, 1, 1, 1), 0.05),
    ShallowMonomial((3, 1, 2), 0.1),
    ProductTree(7, 0.01),
    ProductTree(9, 0.02, arity=3),
)
