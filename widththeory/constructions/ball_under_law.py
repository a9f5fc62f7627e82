"""The indicator of a ball under a law for which one hidden layer has a certified floor at every width."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from widththeory.bounds.radial_law import RadialLaw, Radii
from widththeory.bounds.radial_projection import radial_projection_floor
from widththeory.bounds.spectral import Spectrum, spectrum
from widththeory.constructions.arguments import check_built, keep_python_numbers
from widththeory.network import Network
from widththeory.typing import Certified, Guarantee, Points, Size, Values, check_positive_int

_REACH = 600.0  # of the spectrum: max_frequency times the radius, which sets its cost


@dataclass(frozen=True)
class BallUnderLaw:
    """1{t <= T}, t the radius of a point under a radial law and T its median, by a network with two hidden layers.

    In |x| the ball has radius r = T / law.scale. With e = d h^2 / 8 the first layer interpolates x_i^2 - h^2 / 8 at
    knots h = 2 a / n apart on [-a, a], n = num_pieces, a^2 = r^2 + 3 e, constant to the left, linear to the right: S,
    the sum over coordinates, is within e of |x|^2 where all |x_i| <= a, and at least a^2 - e = r^2 + 2 e elsewhere. The
    second layer makes the ramp from 1 at S = r^2 - 2 e to 0 at S = r^2 + 2 e.

    With one hidden layer of k units, of any activation and weights, E (f - g)^2 >= E_k > 0 for every k
    (`spectrum` and `bounds.spectral.floor`): a jump has so much mass at high frequencies that E_k falls only as
    k^(-1 / (d - 1)).

    Args:
        input_dim: d, at least 2.
        order: m >= 0 of the law; fit under order 2, as networks that grow have infinite mean square under order 0.
        num_pieces: n, with n^2 > 3 d, so that the ramp and its error stay within |x| > 0.

    Domain: all of R^d.
    Error: the square is E min(1, (3 e - | |x|^2 - r^2 |)_+ / (4 e))^2; of the order of e.
    Size: widths d n and 2.

    Raises:
        ValueError: an argument out of range, or too few pieces.

    Source:
        [safranshamir2017] Theorem 1, as recalled: indicators of balls, hard for one hidden layer under a law made from
        that of [eldanshamir2016]; and its network with two hidden layers.
        Differs: a floor as a number, at every width, where theirs is c / d^4 below an exponential width; order, radius
        and error are chosen and derived for this project.
    """

    input_dim: int
    order: int = 2
    num_pieces: int = 16

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("input_dim", self.input_dim, at_least=2)
        RadialLaw(self.input_dim, self.order)
        check_positive_int("num_pieces", self.num_pieces)
        if self.num_pieces**2 <= 3 * self.input_dim:
            raise ValueError(
                f"num_pieces must have a square above 3 input_dim = {3 * self.input_dim}, got {self.num_pieces}"
            )

    @property
    def law(self) -> RadialLaw:
        """The law of t = law.scale * |x|."""
        return RadialLaw(self.input_dim, self.order)

    @property
    def threshold(self) -> float:
        """T, the median of t."""
        return _median(self.law)

    def profile(self, radii: Radii) -> Radii:
        """1{t <= T}."""
        return (radii <= self.threshold).astype(np.float64)

    def target(self, points: Points) -> Values:
        """1 in the closed ball, 0 outside."""
        return self.profile(self.law.scale * np.linalg.norm(points, axis=1))

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Independent draws from the law."""
        return self.law.sample(num_points, rng)

    def variance(self) -> Certified:
        """P(t <= T) (1 - P(t <= T)): what is left after the best constant, which costs a network nothing."""
        inside = float(self.law.cdf(np.array([self.threshold]))[0])
        return Certified(inside * (1 - inside), 1e-11)

    def spectrum(self) -> Spectrum:
        """Spectral density of the indicator up to the frequency 600 / T, mass beyond which is bounded; kept."""
        return _spectrum(self.law)

    def narrow_floor(self, width: int) -> Certified:
        """Least E (f - g)^2 for first hidden layers of width below d, at any depth."""
        # what is farther is left out; order 0 has a heavy tail, whose oscillations would be thousands
        law, end = self.law, self.law.quantile(0.9999 if self.order else 0.99)
        return radial_projection_floor(self.profile, law.density, end, self.input_dim, width, breaks=(self.threshold,))

    @property
    def _slack(self) -> float:
        """e."""
        radius, dim = self.threshold / self.law.scale, self.input_dim
        return radius**2 * dim / (2 * self.num_pieces**2 - 3 * dim)

    def network(self) -> Network:
        """Squares, ramp."""
        check_built(self.size())
        dim, pieces, slack = self.input_dim, self.num_pieces, self._slack
        inside = (self.threshold / self.law.scale) ** 2
        reach = math.sqrt(inside + 3 * slack)
        step = 2 * reach / pieces
        knots = -reach + step * np.arange(pieces)
        # slopes of the interpolant of z^2 are t_j + t_{j+1}: the first is h - 2 a, and each knot adds 2 h
        jumps = np.full(pieces, 2 * step)
        jumps[0] = step - 2 * reach
        start = dim * (reach**2 - step**2 / 8)
        ramp = 1 / (4 * slack)
        return Network(
            [
                (np.repeat(np.eye(dim), pieces, axis=0), np.tile(-knots, dim)),
                (ramp * np.tile(jumps, (2, dim)), ramp * (start - inside) + np.array([0.5, -0.5])),
                (np.array([[-1.0, 1.0]]), np.ones(1)),
            ]
        )

    def error(self) -> Guarantee:
        """Root of the integral of the largest possible squared error at each radius."""
        inside, slack, scale = (self.threshold / self.law.scale) ** 2, self._slack, self.law.scale
        low, high = (scale * math.sqrt(inside + sign * 3 * slack) for sign in (-1, 1))

        def worst(radii: Radii) -> Radii:
            gap = np.abs((radii / scale) ** 2 - inside)
            return np.maximum(0.0, 3 * slack - gap) ** 2 / (16 * slack**2)

        edges = np.linspace(low, high, 65)  # the law is smooth, the integrand peaks between
        square = self.law.expectation(worst, high, breaks=(self.threshold, *edges))
        return Guarantee("l2", math.sqrt(square.upper))

    def size(self) -> Size:
        """Widths d n and 2."""
        return Size(self.input_dim, (self.input_dim * self.num_pieces, 2))


@lru_cache(maxsize=64)
def _median(law: RadialLaw) -> float:
    return law.quantile(0.5)


@lru_cache(maxsize=32)
def _spectrum(law: RadialLaw) -> Spectrum:
    radius = _median(law)
    return spectrum(lambda t: (t <= radius).astype(np.float64), law, radius, max(4.0, _REACH / radius))


EXAMPLES = (BallUnderLaw(2, 2, 8), BallUnderLaw(4, 2, 24), BallUnderLaw(3, 0, 12))
