"""The distance to the origin: radial as the hard targets are, but easy for one hidden layer."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.special as sp
from jaxtyping import Float

from widththeory.bounds.radial_law import RadialLaw, Radii
from widththeory.bounds.spectral import Spectrum, spectrum
from widththeory.constructions.arguments import keep_python_numbers
from widththeory.network import Network
from widththeory.typing import Certified, Guarantee, Points, Size, Values, check_positive_int

Directions = Float[np.ndarray, "num_directions input_dim"]
Weights = Float[np.ndarray, "num_directions"]


@dataclass(frozen=True)
class Norm:
    """The 1-Lipschitz radial target |x|, under a radial law of order m >= 1, with a network of one hidden layer.

    The average of |<u, x>| over directions u is a multiple of |x|; with k random directions and the best weights the
    relative squared error is below (pi/2 - 1) / k on average, in every dimension. So depth buys little here: a control
    for experiments that show a gap for oscillating radial targets.

    Args:
        input_dim: d, at least 2.
        order: m, at least 1, since |x| is not square-integrable under order 0.
        num_directions: k, at least 1.
        direction_seed: at least 0, draws the directions of the network; the target does not depend on it.

    Domain:
        All of R^d, in the units t = |x|.

    Error:
        Exact in L2, but for a bound of rounding that is added: the square is E|x|^2 (1 - b^T A^(-1) b), where
        b_i = Gamma(d/2) / (sqrt(pi) Gamma((d+1)/2)) is the mean of |<u_i, w>| over uniform unit vectors w, and
        A_ij = 2/(pi d) (sqrt(1 - c^2) + c asin c) with c = <u_i, u_j> is the mean of |<u_i, w>| |<u_j, w>|.

    Size:
        width 2k, one hidden layer.

    Raises:
        ValueError: an argument out of range.

    Source:
        [safraneldanshamir2019] for the statement that O(1)-Lipschitz radial functions are no hard targets at fixed
        accuracy.
        Differs: this network and its error are derived for this project.
    """

    input_dim: int
    order: int = 2
    num_directions: int = 64
    direction_seed: int = 0

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("input_dim", self.input_dim, at_least=2)
        check_positive_int("order", self.order)
        RadialLaw(self.input_dim, self.order)
        check_positive_int("num_directions", self.num_directions)
        check_positive_int("direction_seed", self.direction_seed, at_least=0)

    @property
    def law(self) -> RadialLaw:
        """The law of t = |x|."""
        return RadialLaw(self.input_dim, self.order)

    def target(self, points: Points) -> Values:
        """|x|."""
        return np.linalg.norm(points, axis=1)

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Independent draws from the law."""
        return self.law.sample(num_points, rng)

    def second_moment(self) -> Certified:
        """E|x|^2, in closed form up to roundoff."""
        value = self.law.moment(2)
        return Certified(value, self.law.moment_error * value)

    def variance(self) -> Certified:
        """Variance of |x|: what is left to fit after the best constant."""
        square, mean = self.law.moment(2), self.law.moment(1)
        return Certified(square - mean**2, 3 * self.law.moment_error * square)  # twice for the square of the mean

    def spectrum(self) -> Spectrum:
        """Spectral density of |x|, cut between radii 20 and 25 times nu + m; what is cut off enters the errors. Kept.

        The floor from it is near 0 from few neurons on, up to its error: no lower bound of interest exists for |x|.
        """
        return _spectrum(self.law)

    def _directions(self) -> tuple[Directions, Weights, float]:
        """Directions, the best weights of |<u, x>|, and the relative squared error they leave, rounded up."""
        d = self.input_dim
        if self.num_directions > 2**13:  # a system of so many equations, 0.5 GiB
            raise ValueError(
                f"num_directions must be at most 2^13 for a network and its error, got {self.num_directions}"
            )
        units = np.random.default_rng(self.direction_seed).standard_normal((self.num_directions, d))
        units /= np.linalg.norm(units, axis=1, keepdims=True)
        cosines = np.clip(units @ units.T, -1.0, 1.0)
        second = 2 / (math.pi * d) * (np.sqrt(1 - cosines**2) + cosines * np.arcsin(cosines))
        mean = np.full(self.num_directions, math.exp(sp.gammaln(d / 2) - sp.gammaln((d + 1) / 2)) / math.sqrt(math.pi))
        weights = np.linalg.solve(second, mean)
        # the quadratic form at these weights, whatever rounding did to them; it is a small difference of large terms
        form, sizes = 1 - 2 * mean @ weights + weights @ second @ weights, np.abs(weights)
        terms = 1 + 2 * mean @ sizes + sizes @ second @ sizes
        rounding = np.finfo(np.float64).eps * ((self.num_directions + 20) * terms + (d + 10) * sizes.sum() ** 2)
        return units, weights, float(max(form, 0.0) + rounding)

    def network(self) -> Network:
        """The weighted sum of |<u, x>| = relu(<u, x>) + relu(-<u, x>)."""
        units, weights, _ = self._directions()
        width = 2 * self.num_directions
        return Network([(np.vstack([units, -units]), np.zeros(width)), (np.tile(weights, 2)[None, :], np.zeros(1))])

    def error(self) -> Guarantee:
        """The L2 norm of network - target, not below it by rounding."""
        return Guarantee("l2", math.sqrt(self.second_moment().upper * self._directions()[2]))

    def size(self) -> Size:
        """Widths by formula."""
        return Size(self.input_dim, (2 * self.num_directions,))


@lru_cache(maxsize=8)
def _spectrum(law: RadialLaw) -> Spectrum:
    start, end = 20 * law.bessel_order, 25 * law.bessel_order

    def windowed(radii: Radii) -> Radii:
        return radii * (0.5 + 0.5 * np.cos(np.pi * np.clip((radii - start) / (end - start), 0.0, 1.0)))

    left = law.moment(2) * (1 + law.moment_error) - law.expectation(lambda t: t**2, start).lower
    return spectrum(windowed, law, end, 3.0, breaks=(start,), leftover=math.sqrt(max(left, 0.0)))


EXAMPLES = (Norm(2), Norm(8, num_directions=20), Norm(5, order=1, direction_seed=3))
