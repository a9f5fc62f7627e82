"""The floor for one hidden layer as a ball: every quadrature has a proven error, rounding included.

All integrals are Gauss-Legendre sums of functions that are analytic and at most M on an ellipse about their interval:
with n nodes and the ellipse of foci -1, 1 and semiaxes sum r (half the length scaled to 1), the error is at most
(64/15) M r^(-2n) / (1 - r^(-2)): Chebyshev coefficients are at most 2 M r^(-j), the sum is exact below degree 2 n, and
at degree j >= 4 integral and sum differ by at most 2 + 2/(j^2 - 1) <= 32/15, odd degrees not at all.

M comes from |J_a(z)| <= C_a e^|Im z| for Re z > 0, with C_a = 1 for integer a and 1 + 1/(pi a) otherwise (Schlaefli's
integral), and for |z| <= 1 from |J_a(z)| <= |z/2|^a e^|Im z| / Gamma(a + 1), so that also |J_{nu+m}(z) z^(-m)| <=
C e^|Im z|. What is integrated over t or rho is t^(d-1) or rho^(d-1) times an entire even function, up to the factors of
the wave, so its modulus at -z obeys the same bounds.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import TypeAlias

import scipy.optimize as opt

from widththeory.bounds.radial_law import RadialLaw
from widththeory.bounds.rigorous import flint, rational
from widththeory.bounds.rigorous_law import bessel, bessel_order, normaliser, tube_fraction
from widththeory.typing import check_positive_int

Ball: TypeAlias = flint.arb
Complex: TypeAlias = flint.acb
Size: TypeAlias = Callable[[Ball, Ball], Ball]  # semiaxes of an ellipse -> bound on |f| there

IMAGINARY = Complex(0, 1)
SIGNED, FRACTION = Ball(0, 1), Ball(0.5, 0.5)  # [-1, 1] and [0, 1]
_BRIDGE = 1.5  # below this rho, integrals run over the angle of rho = 1 / cos(angle), where cap is smooth at rho = 1


@dataclass(frozen=True)
class Wave:
    """The wave cos(omega t) chi(t) under the radial law, chi falling as half a period of a cosine over the window.

    Floats are taken at their exact binary values. `constructions.eldan_shamir.Cosine` has the same profile: give its
    `input_dim`, `frequency`, `window` and `order`.

    Args:
        input_dim: d, at least 2.
        frequency: omega > 0.
        window: radii t where chi begins to fall from 1, and where it reaches 0.
        order: m of the law.
        precision: bits of the arithmetic, at least 32; quadratures are resolved to match it.
        max_frequency: rho beyond which mass is bounded, not resolved; None for omega + 4.

    Raises:
        ValueError: an argument out of range.

    Source:
        derived for this project, for the law and the method of [eldanshamir2016].
    """

    input_dim: int
    frequency: float
    window: tuple[float, float]
    order: int = 0
    precision: int = 96
    max_frequency: float | None = None

    def __post_init__(self) -> None:
        RadialLaw(self.input_dim, self.order)
        check_positive_int("precision", self.precision, at_least=32)
        if not 0 < self.frequency < math.inf:
            raise ValueError(f"frequency must be a positive number, got {self.frequency!r}")
        if not 0 < self.window[0] < self.window[1] < math.inf:
            raise ValueError(f"window must be two increasing positive radii, got {self.window!r}")
        if not 2 <= self.end < math.inf:
            raise ValueError(f"max_frequency must be at least 2, got {self.max_frequency!r}")

    @property
    def law(self) -> RadialLaw:
        """The law of t."""
        return RadialLaw(self.input_dim, self.order)

    @property
    def end(self) -> float:
        """The largest rho at which the spectral density is integrated."""
        return self.frequency + 4.0 if self.max_frequency is None else self.max_frequency


def second_moment(wave: Wave) -> Ball:
    """E g^2 as a ball.

    Source: derived for this project.
    """
    return _prepared(wave).moment


def spectral_density(wave: Wave, rho: float | Ball) -> Ball:
    """S(rho) = rho H(rho)^2 / Z as a ball, H(rho) = int g(t) J_{nu+m}(t) t^(-m) J_{nu-1}(rho t) dt, 0 <= rho <= end.

    Raises:
        ValueError: rho out of range.

    Source: derived for this project, as `spectral.spectrum`.
    """
    with flint.ctx.workprec(wave.precision):
        rho = rho if isinstance(rho, Ball) else rational(rho)
        if not (rho >= 0 and rho <= rational(wave.end)):
            raise ValueError(f"rho must lie in [0, {wave.end!r}], got {rho}")
        return _prepared(wave).density(rho)


def floor(wave: Wave, num_neurons: int) -> Ball:
    """E_k as a ball: `spectral.floor`, with proof.

    E (f - g)^2 is at least the lower end for every network f with one hidden layer of k = num_neurons neurons.

    Error: the radius, as for `relative_floor`, which is this divided by `second_moment`.

    Raises:
        ValueError: num_neurons less than 1.

    Source: [eldanshamir2016] Proposition 13 for the method; as a number derived for this project.
    """
    check_positive_int("num_neurons", num_neurons)
    with flint.ctx.workprec(wave.precision):
        return _prepared(wave).floor(num_neurons)


def relative_floor(wave: Wave, num_neurons: int) -> Ball:
    """E_k / E g^2 as a ball: `spectral.relative_floor`, with proof.

    E_k = int_1^inf max(0, 1 - k cap(rho)) S(rho) drho, k = num_neurons. Every network with one hidden layer of k
    neurons has relative squared error at least the lower end.

    Error:
        The radius: quadrature, rounding, and the mass beyond `wave.end`, whose weight lies between 1 - k cap(end) and
        1. About 0.2 s in dimension 4 and 3 s in dimension 16 for the first k, a fraction of it for others.

    Raises:
        ValueError: num_neurons less than 1.

    Source:
        [eldanshamir2016] Proposition 13 for the method; as a number derived for this project.
    """
    with flint.ctx.workprec(wave.precision):
        return floor(wave, num_neurons) / second_moment(wave)


def neurons_needed(wave: Wave, relative_error: float) -> tuple[int, int]:
    """Proven bounds on K(eps), the fewest k with E_k < eps E g^2: first <= K <= last, mostly equal.

    With k < first neurons, no network with one hidden layer reaches relative squared error eps.

    Args:
        relative_error: eps in (0, 1).

    Raises:
        ValueError: relative_error outside (0, 1), or not above the relative mass beyond `wave.end`.

    Source: derived for this project: inverse of `relative_floor`.
    """
    if not 0 < relative_error < 1:
        raise ValueError(f"relative_error must lie strictly between 0 and 1, got {relative_error!r}")
    with flint.ctx.workprec(wave.precision):
        level, prepared = rational(relative_error), _prepared(wave)
        if not prepared.beyond < level * prepared.moment:
            raise ValueError(
                f"relative_error={relative_error!r} must be above the mass beyond max_frequency={wave.end}"
            )

        @cache
        def excess(num_neurons: int) -> Ball:
            return prepared.floor(num_neurons) / prepared.moment - level if num_neurons else 1 - level

        if excess(1) < 0:
            return 1, 1
        most = -float(tube_fraction(prepared.end, wave.input_dim).log()) + 1e-6
        root = opt.brentq(lambda log_count: float(excess(round(math.exp(log_count))).mid()), 0.0, most, rtol=1e-13)
        middle = round(math.exp(root))
        low, high, step = middle, middle + 1, 1
        while not excess(low) >= 0:
            low, step = max(0, low - step), 2 * step
        step = 1
        while not excess(high) < 0:
            high, step = high + step, 2 * step
        while high - low > 1:
            middle = (low + high) // 2
            difference = excess(middle)
            if difference >= 0:
                low = middle
            elif difference < 0:
                high = middle
            else:
                break
        return low + 1, high


@lru_cache(maxsize=4)
def _prepared(wave: Wave) -> "_Prepared":
    with flint.ctx.workprec(wave.precision):
        return _Prepared(wave)


class _Prepared:
    """Nodes in t with the wave's amplitudes, the moment, and the mass beyond the largest rho."""

    def __init__(self, wave: Wave):
        self.wave, self.order, self.low_order = wave, bessel_order(wave.law), Ball(wave.input_dim) / 2 - 1
        self.start, self.stop, self.end = (rational(x) for x in (*wave.window, wave.end))
        self.omega, self.normaliser = rational(wave.frequency), normaliser(wave.law)
        self.high, self.low = _bessel_constant(self.order), _bessel_constant(self.low_order)
        self._known: dict[tuple[float, float, int], list[tuple[Ball, Ball]]] = {}
        self._amplitudes: list[tuple[Ball, Ball]] = []
        self._transform_error, moment = Ball(0), Ball(0)
        for a, b, falls in ((Ball(0), self.start, False), (self.start, self.stop, True)):
            panel = _Panel(a, b)

            def amplitude(reach: Ball, depth: Ball, falls: bool = falls) -> Ball:
                return self.high * ((self.omega + 1) * depth).exp() * (self._fall(depth * IMAGINARY) if falls else 1)

            def transformed(reach: Ball, depth: Ball, size: Size = amplitude) -> Ball:
                return size(reach, depth) * self.low * (self.end * depth).exp() / self.normaliser

            num_nodes, error = panel.resolve(transformed, wave.precision)
            self._transform_error += error * self.normaliser
            for t, weight in panel.nodes(num_nodes):
                self._amplitudes.append((t, weight * self._wave(t, falls)))

            def squared(reach: Ball, depth: Ball, size: Size = amplitude) -> Ball:
                return size(reach, depth) ** 2 / self.normaliser  # for the same reasons

            num_nodes, error = panel.resolve(squared, wave.precision)
            moment += error * SIGNED + sum(
                weight * self._wave(t, falls) ** 2 / t / self.normaliser for t, weight in panel.nodes(num_nodes)
            )
        self.moment = moment
        panel = _Panel(Ball(0), self.end)
        num_nodes, error = panel.resolve(self._density_size(panel), wave.precision)
        inside = error * SIGNED + sum(weight * self.density(rho) for rho, weight in panel.nodes(num_nodes))
        self.beyond = (moment - inside).nonnegative_part()

    def _fall(self, offset: Complex) -> Ball:
        """|chi| on the window, or a bound on it: for an imaginary offset, the largest at that depth."""
        return (1 + (Ball.pi() * offset / (self.stop - self.start)).cos().real) / 2

    def _wave(self, t: Ball, falls: bool) -> Ball:
        """g J t^-m at a real t"""
        chi = self._fall(Complex(t - self.start)) if falls else 1
        return (self.omega * t).cos() * chi * bessel(self.order, t) / t**self.wave.order

    def density(self, rho: Ball) -> Ball:
        """S(rho)."""
        total = self._transform_error * SIGNED
        for t, amplitude in self._amplitudes:
            total += amplitude * bessel(self.low_order, rho * t)
        return rho * (total * total) / self.normaliser  # ** 2 of a ball about zero itself is not a number

    def _density_bound(self, modulus: Ball, depth: Ball) -> Ball:
        """|S| where the argument's modulus and imaginary part are at most these: |H| <= C e^(T depth) int |g J t^-m|"""
        return modulus * (self.low * self.high * self.stop * (self.stop * depth).exp()) ** 2 / self.normaliser

    def _density_size(self, panel: "_Panel", weight: Ball | int = 1) -> "Size":
        return lambda reach, depth: weight * self._density_bound(panel.middle + reach, depth)

    def floor(self, num_neurons: int) -> Ball:
        """E_k."""
        dim = self.wave.input_dim
        last = 1 - num_neurons * tube_fraction(self.end, dim)
        if not last > 0:  # the weight grows with rho: it is at most this up to the end
            return (self.beyond + self.moment * last.nonnegative_part()) * FRACTION
        below, above = self._covered(num_neurons)
        total = self.beyond * last.union(Ball(1))  # the weight beyond the end
        if num_neurons > 1:  # the weight between the two is at most that at `above`
            rise = (1 - num_neurons * tube_fraction(above, dim)).nonnegative_part()
            total += (above - below) * rise * self._density_bound(above, Ball(0)) * FRACTION
        edges = [Ball(_BRIDGE)]
        while edges[-1] < self.end:  # rho = 1 is at least 1.7 half-lengths from the middle of each panel
            step = 1 + 3 * (edges[-1] - 1)
            edges.append(step if step < 0.8 * self.end else self.end)
        if above < edges[0]:
            total += self._near_one(above, edges[0], num_neurons)
        for left, right in pairwise(edges):
            if above < right:
                fixed = above <= left
                total += self._away(left if fixed else above, right, num_neurons, fixed)
        return total

    def _covered(self, num_neurons: int) -> tuple[Ball, Ball]:
        """Points close together with k cap >= 1 at the first and k cap <= 1 at the second; (1, 1) for k = 1."""
        if num_neurons == 1:
            return Ball(1), Ball(1)

        def boundary(proven: Callable[[Ball], bool], inside: Ball, outside: Ball) -> Ball:
            for _ in range(self.wave.precision):
                middle = ((inside + outside) / 2).mid()
                if proven(num_neurons * tube_fraction(middle, self.wave.input_dim)):
                    inside = middle
                else:
                    outside = middle
            return inside

        return boundary(lambda tubes: tubes >= 1, Ball(1), self.end), boundary(
            lambda tubes: tubes <= 1, self.end, Ball(1)
        )

    def _away(self, a: Ball, b: Ball, num_neurons: int, fixed: bool) -> Ball:
        """Integral of (1 - k cap) S over [a, b], cap analytic for Re rho > 1 and |cap(rho)| <= cap(|rho|)."""
        panel, dim = _Panel(a, b), self.wave.input_dim
        reach = min(4.0, 0.5 + 0.5 * float((panel.middle - 1) / panel.half))
        nearest = (panel.middle - panel.half * reach).lower()
        size = 1 + num_neurons * tube_fraction(nearest, dim)
        num_nodes, error = panel.resolve(self._density_size(panel, size), self.wave.precision, reach)
        num_nodes = 16 * math.ceil(num_nodes / 16)  # so that few different rules are kept; more nodes do not harm
        key = (float(a), float(b), num_nodes)
        densities = self._known.get(key) if fixed else None
        if densities is None:
            densities = [(rho, weight * self.density(rho)) for rho, weight in panel.nodes(num_nodes)]
            if fixed:
                self._known[key] = densities
        return error * SIGNED + sum((1 - num_neurons * tube_fraction(rho, dim)) * mass for rho, mass in densities)

    def _near_one(self, a: Ball, b: Ball, num_neurons: int) -> Ball:
        """The same with rho = 1 / cos(angle): 1 - cap = (2/B) int_0^angle cos^(d-2), B = B(1/2, (d-1)/2), is entire.

        Where |Re angle| <= x < pi/2 and |Im angle| <= y: |rho| <= 1/cos x, |Im rho| <= sin x sinh y / cos^2 x.
        """
        dim, count = self.wave.input_dim, num_neurons
        panel = _Panel((1 / a).acos() if a > 1 else Ball(0), (1 / b).acos())
        half_dim = Ball(dim - 1) / 2
        slope = 2 * (half_dim + Ball(0.5)).gamma() / (Ball(0.5).gamma() * half_dim.gamma())

        def size(reach: Ball, depth: Ball) -> Ball:
            x = panel.middle + reach
            weight = count - 1 + count * slope * (x + depth) * depth.cosh() ** (dim - 2)
            bound = self._density_bound(1 / x.cos(), x.sin() * depth.sinh() / x.cos() ** 2)
            return bound * weight * depth.cosh() / x.cos() ** 2

        num_nodes, error = panel.resolve(size, self.wave.precision, float((1.25 - panel.middle) / panel.half))
        total = error * SIGNED
        for angle, weight in panel.nodes(num_nodes):
            rho = 1 / angle.cos()
            share = (angle.sin() ** 2).beta_lower(Ball(0.5), half_dim, regularized=True)
            total += weight * angle.sin() * rho**2 * (1 - count + count * share) * self.density(rho)
        return total


class _Panel:
    """An interval and its Gauss-Legendre rules."""

    def __init__(self, a: Ball, b: Ball):
        self.middle, self.half = (a + b) / 2, (b - a) / 2

    def resolve(self, size: Size, precision: int, largest_reach: float = 16.0) -> tuple[int, Ball]:
        """Nodes that bring the error to about 2^-precision, and the proven bound on it.

        `size(reach, depth)` bounds the function on the ellipse of these semiaxes about the middle; `largest_reach` is
        in half-lengths.
        """
        best, error = 10**9, Ball(0)
        for k in range(1, 25):
            reach = 1 + (largest_reach - 1) * Ball(0.6) ** k
            depth = (reach**2 - 1).sqrt()
            ratio = reach + depth
            bound = size(self.half * reach, self.half * depth) * self.half * 64 / 15 / (1 - ratio**-2)
            wanted = (float(bound.log()) + precision * math.log(2)) / (2 * float(ratio.log()))
            if math.isfinite(wanted) and wanted < best:
                best = max(2, math.ceil(wanted))
                error = (bound * ratio ** (-2 * best)).abs_upper()
        return best, error

    def nodes(self, number: int) -> Iterator[tuple[Ball, Ball]]:
        """Nodes and weights on the interval."""
        for x, weight in _legendre(number, flint.ctx.prec):
            yield self.middle + self.half * x, self.half * weight


@lru_cache(maxsize=64)
def _legendre(number: int, precision: int) -> list[tuple[Ball, Ball]]:
    return [Ball.legendre_p_root(number, k, weight=True) for k in range(number)]


def _bessel_constant(order: Ball) -> Ball:
    return Ball(1) if order.is_integer() else 1 + 1 / (Ball.pi() * order)
