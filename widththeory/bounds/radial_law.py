"""The rotation-invariant input law under which one hidden layer provably needs exponentially many neurons."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import scipy.optimize as opt
import scipy.special as sp
from jaxtyping import Float

from widththeory.bounds.quadrature import panel_edges, panel_nodes
from widththeory.typing import Certified, Points, check_positive_int

Radii = Float[np.ndarray, "num_radii"]

_CELL = 0.005  # step of the sampler's table; see `RadialLaw.sample_radii`
_TINY = 1e-3  # below, the distribution function is continued by its leading power


def ball_radius(dim: int) -> float:
    """Radius R_d = pi^(-1/2) Gamma(d/2 + 1)^(1/d) of the ball of volume one in dimension d.

    Source:
        [eldanshamir2016] Section 2, Lemma 6: sqrt(d)/5 <= R_d <= sqrt(d)/2.
    """
    return float(np.exp(sp.gammaln(check_positive_int("dim", dim) / 2 + 1) / dim) / np.sqrt(np.pi))


@dataclass(frozen=True)
class RadialLaw:
    """Law of the dimensionless radius t of a point x with density |phi(x)|^2, phi the transform of a bump on a ball.

    With nu = dim/2 and m = order, phi is, up to a constant, the Fourier transform of (1 - |w|^2/R^2)_+^m, and
    t = 2 pi R |x|. The density of t is p(t) = J_{nu+m}(t)^2 t^(-1-2m) / Z with
    Z = Gamma(1+2m) Gamma(nu) / (2^(1+2m) Gamma(1+m)^2 Gamma(nu+2m+1)).
    The characteristic function of x vanishes for |w| >= 2R, whatever m is. Tails fall as t^(-2-2m), so E t^(2m) is
    finite and E t^(2m+1) is not: under order 0, the law of Eldan and Shamir, every ReLU network that grows has infinite
    mean square; order 2 is meant for training.

    Args:
        dim: input dimension, at least 2.
        order: m, at least 0.

    Domain:
        Radii t >= 0, without unit; `scale` turns |x| into t.

    Raises:
        ValueError: dim or order out of range, or so large that Z underflows float64.

    Source:
        [eldanshamir2016] Section 2 for m = 0.
        Differs: stated in t; orders m > 0 and their distribution function are derived for this project.
    """

    dim: int
    order: int = 0

    def __post_init__(self) -> None:
        # integers of NumPy would overflow in the product of `normaliser_error`
        object.__setattr__(self, "dim", check_positive_int("dim", self.dim, at_least=2))
        object.__setattr__(self, "order", check_positive_int("order", self.order, at_least=0))
        if self._log_normaliser() < -700:
            raise ValueError(
                f"dim and order must keep the normaliser Z of the radial law above 1e-304, where float64 underflows, "
                f"got dim={self.dim} and order={self.order}"
            )

    @property
    def bessel_order(self) -> float:
        """nu + m, the order of the Bessel function in the density."""
        return self.dim / 2 + self.order

    @property
    def scale(self) -> float:
        """t / |x|: 2 pi R_d for order 0, so that mu is the paper's; 1 for order > 0, where R = 1/(2 pi)."""
        return 2 * np.pi * ball_radius(self.dim) if self.order == 0 else 1.0

    def _log_normaliser(self) -> float:
        nu, m = self.dim / 2, self.order
        return float(
            sp.gammaln(1 + 2 * m) + sp.gammaln(nu) - (1 + 2 * m) * np.log(2) - 2 * sp.gammaln(1 + m)
            - sp.gammaln(nu + 2 * m + 1)
        )  # fmt: skip

    @property
    def normaliser(self) -> float:
        """Z, which makes the density integrate to one."""
        return float(np.exp(self._log_normaliser()))

    @property
    def normaliser_error(self) -> float:
        """Relative error of the float `normaliser`, exactly: Z = binomial(2m, m) / (d (d+2) ... (d+4m)) is rational."""
        factors = math.prod(range(self.dim, self.dim + 4 * self.order + 1, 2))
        return float(abs(Fraction(self.normaliser) * factors / math.comb(2 * self.order, self.order) - 1))

    def moment(self, power: int | float) -> float:
        """E t^power in closed form, for 0 <= power < 1 + 2 m, beyond which it is infinite.

        With a = nu + m and q = 1 + 2m - power it is Gamma(q) Gamma(a + (1-q)/2) / (2^q Gamma((1+q)/2)^2
        Gamma(a + (1+q)/2)) / Z.

        Error: rounding, up to `moment_error`.

        Raises:
            ValueError: power out of range.
        """
        if not 0 <= power < 1 + 2 * self.order:
            raise ValueError(
                f"power must be at least 0 and below {1 + 2 * self.order} for order {self.order}, got {power!r}"
            )
        a, q = self.bessel_order, 1 + 2 * self.order - float(power)
        log_integral = sp.gammaln(q) + sp.gammaln(a + (1 - q) / 2) - 2 * sp.gammaln((1 + q) / 2)
        log_integral -= q * np.log(2) + sp.gammaln(a + (1 + q) / 2)
        return float(np.exp(log_integral - self._log_normaliser()))

    @property
    def moment_error(self) -> float:
        """Bound on the relative rounding of `moment`: logarithms of Gamma functions, the largest at nu + 2m + 1."""
        return 1e-13 + 2.0**-50 * float(sp.gammaln(self.dim / 2 + 2 * self.order + 1))

    def density(self, radii: Radii) -> Radii:
        """p(t), zero at t = 0 (dimension 2 and order 0 included: J_1(t)^2 / t vanishes there)."""
        a, positive = self.bessel_order, np.maximum(radii, 1e-300)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            bessel = sp.jv(a, positive)
            values = np.asarray(bessel**2 * positive ** (-1.0 - 2 * self.order) / self.normaliser)
            # J^2 underflows where, in high order, the power is as large: t^(dim-1) and the series of J instead
            small = (bessel < 1e-140) & (positive < 2)
            t, k = np.asarray(radii)[small, None], np.arange(1, 9)
            series = 1 + np.sum(np.cumprod(-((t / 2) ** 2) / (k * (a + k)), axis=1), axis=1)
            log_leading = -2 * a * math.log(2) - 2 * sp.gammaln(a + 1) - self._log_normaliser()
            values[small] = np.exp(log_leading + (self.dim - 1) * np.log(t[:, 0])) * series**2
        # where J^2 underflows elsewhere, the density is below 1e-40
        return np.where(np.isfinite(values), values, 0.0)

    def cdf(self, radii: Radii) -> Radii:
        """P(t <= T), exactly: a sum of about T squared Bessel functions, then m steps of a recursion.

        With a = nu + m and U_j(T) = int_0^T J_a(t)^2 t^(-1-2j) dt:
        U_0 = (J_a^2 + 2 sum_{k>=1} J_{a+k}^2) / (2a) and, for j = 1..m,
        4 j (a^2 - j^2) U_j = (4j - 2) U_{j-1} + T^(-2j) [T^2 (J_a'^2 + J_a^2) + 2 j T J_a J_a' + (2 j^2 - a^2) J_a^2].

        Error: only roundoff, below 1e-11 in absolute value for dim <= 128 and order <= 2. Time grows as T.

        Source:
            derived for this project: the sum telescopes since (J_a^2)' = J_a (J_{a-1} - J_{a+1}), the recursion is
            integration by parts with Bessel's equation.
        """
        radii = np.asarray(radii, dtype=np.float64)
        if not np.all(radii >= 0):
            raise ValueError("radii must be at least 0, got a negative number or NaN")
        result = np.zeros(radii.shape)
        # sorted blocks, so that short sums do not wait for long ones
        for block in np.array_split(np.argsort(radii), max(1, radii.size // 64)):
            result[block] = self._cdf_block(radii[block])
        return np.clip(result, 0.0, 1.0)

    def _cdf_block(self, radii: Radii) -> Radii:
        a, positive = self.bessel_order, np.maximum(radii, _TINY)
        top = float(positive.max(initial=0.0))
        # J_{a+k}(T) is below 1e-20 once its order passes T + 12 T^(1/3) + 20 (Airy decay)
        num_terms = max(1, int(np.ceil(top + 12 * np.cbrt(top) + 20 - a)))
        mass = sp.jv(a, positive) ** 2 / (2 * a)
        for ks in np.array_split(np.arange(1, num_terms + 1), max(1, num_terms * radii.size // 1_000_000)):
            mass = mass + np.sum(sp.jv(a + ks[:, None], positive) ** 2, axis=0) / a
        value, slope = sp.jv(a, positive), sp.jvp(a, positive)
        for j in range(1, self.order + 1):
            edge = (positive * slope) ** 2 + (positive * value) ** 2 + 2 * j * positive * value * slope
            edge = (edge + (2 * j**2 - a**2) * value**2) * positive ** (-2.0 * j)
            mass = ((4 * j - 2) * mass + edge) / (4 * j * (a**2 - j**2))
        # below _TINY the density is its leading power t^(dim - 1), to a relative 1e-6
        return mass / self.normaliser * np.minimum(radii / _TINY, 1.0) ** self.dim

    def quantile(self, probability: float) -> float:
        """The radius T with P(t <= T) = probability, to 1e-10 relative and what the roundoff of `cdf` moves it by.

        Raises:
            ValueError: probability outside (0, 1), or its radius beyond 1e5, where the sum in `cdf` is too long.
        """
        if not 0 < probability < 1:
            raise ValueError(f"probability must lie strictly between 0 and 1, got {probability!r}")

        def excess(radius: float) -> float:
            return float(self.cdf(np.array([radius]))[0]) - probability

        top = 2 * self.bessel_order
        while excess(top) < 0:
            top *= 2
            if top > 1e5:
                raise ValueError(
                    f"probability must have a radius below 1e5 in dimension {self.dim}, got {probability!r}"
                )
        return float(opt.brentq(excess, 0.0, top, xtol=1e-12, rtol=1e-10))

    def expectation(self, profile: Callable[[Radii], Radii], end: float, *, breaks: Sequence[float] = ()) -> Certified:
        """E [profile(t); t <= end], for a profile that is smooth between `breaks` at the scale of one unit of t.

        Error: the difference of two Gauss-Legendre rules with 8 and 10 nodes in panels of at most 1, plus roundoff of
        E |profile(t)|, to which the floats of Z and of large radii add.
        """
        end = float(end)

        def terms(num_nodes: int) -> Radii:
            t, weight = (part.ravel() for part in panel_nodes(panel_edges(end, 1.0, breaks), num_nodes))
            return weight * profile(t) * self.density(t)

        fine = terms(10)
        value = float(np.sum(fine))
        roundoff = (1e-13 + self.normaliser_error + 2.0**-52 * end) * float(np.sum(np.abs(fine)))
        return Certified(value, abs(value - float(np.sum(terms(8)))) + roundoff)

    def sample_radii(self, num_points: int, rng: np.random.Generator, *, above: float = 0.0) -> Radii:
        """Independent draws of t, given that t >= above, which is at least 0.

        Error: up to radius 8 (nu + m) + 20 the draw inverts a table of the distribution function, linear between
        steps of 0.005, so that the sampled distribution function is within 1e-5 of `cdf`; beyond, the draw is exact, by
        rejection from the envelope J_a^2 <= (2/pi) (t^2 - a^2)^(-1/2).
        """
        check_positive_int("num_points", num_points, at_least=0)
        if not 0 <= above < math.inf:
            raise ValueError(f"above must be at least 0 and finite, got {above!r}")
        grid, masses = _table(self)
        edge, body = grid[-1], masses[-1]
        if above >= edge:
            return self._sample_tail(num_points, rng, above)
        start = float(np.interp(above, grid, masses))
        uniforms = rng.uniform(start, 1.0, num_points)
        radii = np.interp(uniforms, masses, grid)
        tail = uniforms > body
        radii[tail] = self._sample_tail(int(tail.sum()), rng, edge)
        return radii

    def _sample_tail(self, num_points: int, rng: np.random.Generator, start: float) -> Radii:
        a, power = self.bessel_order, 1.0 + 2 * self.order
        slack = 1 / np.sqrt(1 - (a / start) ** 2)
        accepted = [np.empty(0)]
        while (missing := num_points - sum(map(len, accepted))) > 0:
            proposals = start * (1 - rng.uniform(size=3 * missing + 16)) ** (-1 / power)
            ratio = sp.jv(a, proposals) ** 2 * proposals * np.pi / (2 * slack)
            accepted.append(proposals[rng.uniform(size=len(proposals)) < ratio][:missing])
        return np.concatenate(accepted)

    def sample(self, num_points: int, rng: np.random.Generator, *, above: float = 0.0) -> Points:
        """Independent points x with t = scale * |x| from the law, given t >= above, in uniform directions."""
        radii = self.sample_radii(num_points, rng, above=above)
        points = rng.standard_normal((num_points, self.dim))
        points *= (radii / (self.scale * np.linalg.norm(points, axis=1)))[:, None]
        return points


@lru_cache(maxsize=32)
def _table(law: RadialLaw) -> tuple[Radii, Radii]:
    """Radii and their distribution function by three-point Gauss-Legendre in each cell, for the sampler."""
    num_cells = int(np.ceil((8 * law.bessel_order + 20) / _CELL))
    grid = _CELL * np.arange(num_cells + 1)
    inner, weights = panel_nodes(grid, 3)
    cells = np.sum(weights * law.density(inner.ravel()).reshape(inner.shape), axis=1)
    return grid, np.concatenate([[0.0], np.cumsum(cells)])
