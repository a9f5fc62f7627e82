"""Certified floor for one hidden layer: how well any k neurons can fit a radial function, as a number."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.optimize as opt
import scipy.special as sp
from jaxtyping import Float

from widththeory.bounds.bessel_table import BesselTable
from widththeory.bounds.quadrature import gauss_legendre, panel_edges, panel_nodes, unresolved
from widththeory.bounds.radial_law import RadialLaw
from widththeory.typing import Certified, check_positive_int

Array = Float[np.ndarray, "..."]

_NUM_NODES = 12  # Gauss-Legendre nodes a panel
_LARGEST_LOG = 709.0  # exp of more overflows float64
_UNRESOLVED = 1e-10  # of the norm of the profile, which polynomials may leave
_MOST_PANELS = 2**14  # in t, when a profile is resolved
_LARGEST_ARGUMENT = 2**16  # of the transform's Bessel function; time grows as its square


def bessel_roundoff(order: float) -> float:
    """Roundoff of one Bessel value and of its place in a sum; half of it was measured, up to order 499."""
    return float((64 + 2 * order) * np.finfo(np.float64).eps)


def log_tube_fraction(rho: Array, dim: int) -> Array:
    """Logarithm of cap(rho): the share of the sphere of radius rho within distance 1 of a line through its centre.

    cap(rho) = I_{1/rho^2}((d-1)/2, 1/2), the regularised incomplete beta function, for rho > 1, and 1 for rho <= 1.
    The logarithm is finite where cap itself underflows.

    Source:
        derived for this project: 1 - <u,v>^2 has the law Beta((d-1)/2, 1/2) for uniform u;
        [eldanshamir2016] Lemma 16 bounds it at rho = 2.
    """
    check_positive_int("dim", dim, at_least=2)
    a, outer = (dim - 1) / 2, np.maximum(rho, 1.0)
    with np.errstate(divide="ignore"):
        inner = outer**-2.0
        result = np.log(sp.betainc(a, 0.5, inner))
    small = result < -600
    series = -2 * a * np.log(outer[small]) - np.log(a) - sp.betaln(a, 0.5)
    result[small] = series + np.log(sp.hyp2f1(a, 0.5, a + 1, inner[small]))
    return result


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Radial spectral density S of g * phi on Gauss-Legendre panels over [0, max_frequency], and its errors.

    S >= 0 integrates to the second moment of g under the law (Parseval); frequencies rho are in units of the radius of
    the ball that carries the transform of phi. Made by `spectrum`; arrays are (panels, nodes).

    Args:
        dim: input dimension.
        edges: ends of the panels, 1 among them.
        density: S at the nodes of each panel.
        moment: second moment of what was transformed, by direct integration.
        density_error: bound on the integral of |computed S - S|.
        leftover: norm of what was cut off g before transforming, 0 if nothing.
    """

    dim: int
    edges: Array
    density: Array
    moment: Certified
    density_error: float
    leftover: float = 0.0
    _log_tubes: Array = field(init=False, repr=False)
    _masses: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        nodes, weights = panel_nodes(self.edges, self.density.shape[1])
        object.__setattr__(self, "_log_tubes", log_tube_fraction(nodes, self.dim))
        object.__setattr__(self, "_masses", self.density * weights)

    @property
    def second_moment(self) -> Certified:
        """E g^2; what was left out adds to it or takes from it by at most the triangle inequality."""
        slack = 2 * self.leftover * math.sqrt(self.moment.upper) + self.leftover**2
        return Certified(self.moment.value, self.moment.error + slack)

    @property
    def max_frequency(self) -> float:
        """The largest rho at which S was computed; mass beyond it is bounded, not neglected."""
        return float(self.edges[-1])

    @property
    def frequencies(self) -> Array:
        """The nodes rho."""
        return panel_nodes(self.edges, self.density.shape[1])[0]

    @property
    def masses(self) -> Array:
        """S(rho) drho at the nodes: they sum to the second moment, less the mass beyond `max_frequency`."""
        return self._masses

    @property
    def mass_beyond(self) -> float:
        """Second moment not found below `max_frequency` (Parseval)."""
        return max(0.0, self.moment.value - float(np.sum(self.masses)))

    def above(self, frequency: int | float) -> float:
        """Share of the second moment at rho > frequency, all that is beyond `max_frequency` included.

        Raises:
            ValueError: a negative frequency.
        """
        if not frequency >= 0:
            raise ValueError(f"frequency must be at least 0, got {frequency!r}")
        return (_integrate_above(self, float(frequency), None) + self.mass_beyond) / self.moment.value


def spectrum(
    profile: Callable[[Array], Array],
    law: RadialLaw,
    support_end: int | float,
    max_frequency: int | float,
    *,
    breaks: Sequence[float] = (),
    leftover: float = 0.0,
) -> Spectrum:
    """Spectral density S(rho) = rho H(rho)^2 / Z, H(rho) = int g(t) J_{nu+m}(t) t^(-m) J_{nu-1}(rho t) dt.

    Args:
        profile: g as a function of t, vectorised, zero beyond `support_end`, smooth between `breaks`.
        law: the input law; its dimension and order are used.
        support_end: positive.
        max_frequency: above 1; the floor counts mass beyond it as if at it, so that a small value weakens the bound:
            panels in t follow `profile`, however fast it oscillates. For an oscillation cos(omega t) take omega + 4.
        breaks: radii where `profile` or its slope jumps.
        leftover: norm of the part of g that `profile` leaves out.

    Error:
        Computed, not proven (`bounds.rigorous_wave` encloses the floors of waves with proof). Panels in t are halved
        until polynomials of degree 15 agree with `profile` in each of them, to 1e-10 of its norm, at other nodes. Then
        two quadratures with different nodes are run over t at every rho; their difference, and a bound on roundoff, are
        `density_error`. Time grows as support_end^2 max_frequency (max_frequency + omega).

    Raises:
        ValueError: support_end, max_frequency, their product or leftover out of range, a profile that 2^14 panels do
            not resolve, or one without a second moment.

    Source:
        derived for this project: Hankel transform of order nu - 1, [eldanshamir2016] Section 2 for m = 0.
    """
    if not (0 < support_end < math.inf):
        raise ValueError(f"support_end must be a positive number, got {support_end!r}")
    if not (1 < max_frequency < math.inf):
        raise ValueError(f"max_frequency must be a number above 1, got {max_frequency!r}")
    if max_frequency * support_end > _LARGEST_ARGUMENT:
        raise ValueError(
            f"max_frequency * support_end must be at most {_LARGEST_ARGUMENT}, got {max_frequency!r} * {support_end!r}"
        )
    if not (0 <= leftover < math.inf):
        raise ValueError(f"leftover must be a finite number of at least 0, got {leftover!r}")
    step = 5 / support_end  # S has wavelength at least pi / support_end
    below, above = (
        np.linspace(a, b, int(np.ceil((b - a) / step)) + 1) for a, b in ((0.0, 1.0), (1.0, float(max_frequency)))
    )
    edges = np.concatenate([below, above[1:]])
    rho = panel_nodes(edges, _NUM_NODES)[0]

    # the law's Bessel function and that of the transform oscillate at rate at most max_frequency + 1
    width = 5 / (max_frequency + 2)
    while unresolved(profile, law.density, panel_edges(support_end, width, breaks)) > _UNRESOLVED:
        if 2 * support_end > _MOST_PANELS * width:
            raise ValueError(
                f"profile must be smooth between breaks at the scale of {width:.2g}, the shortest panels tried: breaks "
                "must hold every radius where it or its slope jumps"
            )
        width /= 2
    bessel = BesselTable(law.dim / 2 - 1, float(max_frequency * support_end))

    def quadrature(width: float, num_nodes: int) -> tuple[Array, float, float, float]:
        t_edges = panel_edges(support_end, width, breaks)
        t, weight = (part.ravel() for part in panel_nodes(t_edges, num_nodes))
        values = profile(t)
        keep = values != 0
        t, weight, values = t[keep], weight[keep], values[keep]
        amplitude = values * sp.jv(law.bessel_order, t) * t ** (-float(law.order)) * weight
        moment = float(np.sum(weight * values**2 * law.density(t)))
        # blocks small enough for the cache
        blocks = np.array_split(rho.ravel(), max(1, rho.size * t.size // 30_000))
        transform = np.concatenate([bessel(block[:, None] * t) @ amplitude for block in blocks])
        # both Bessel functions are rounded, and so are the sum and the arguments, whose floats move an oscillation by
        # less, as there are more terms than radians
        roundoff = bessel_roundoff(law.bessel_order) + bessel_roundoff(law.dim / 2 - 1) + 2.0**-53 * t.size
        return transform.reshape(rho.shape), moment, float(np.sum(np.abs(amplitude))), roundoff

    coarse, coarse_moment, _, _ = quadrature(width, 10)
    fine, moment, total, roundoff = quadrature(0.92 * width, 11)
    if not (0 < moment < math.inf):
        raise ValueError(f"profile must have a finite second moment above 0 under the law, got {moment!r}")
    slip = np.abs(fine - coarse) + roundoff * total
    _, weights = panel_nodes(edges, _NUM_NODES)
    density_error = float(np.sum(weights * rho * (2 * np.abs(fine) + slip) * slip) / law.normaliser)
    density_error += law.normaliser_error * moment  # the float of Z is in S and in the moment
    certified_moment = Certified(moment, abs(moment - coarse_moment) + (roundoff + law.normaliser_error) * moment)
    return Spectrum(law.dim, edges, rho * fine**2 / law.normaliser, certified_moment, density_error, leftover)


def floor(spectrum: Spectrum, num_neurons: int | float) -> Certified:
    """Floor E_k under E(f - g)^2 for every network f with one hidden layer of k neurons, of any activation and weights.

    For f = sum_{i<=k} f_i(<v_i, x>), each f_i measurable of polynomial growth, and g radial and square-integrable under
    the law: E (f - g)^2 >= E_k = int_1^inf max(0, 1 - k cap(rho)) S(rho) drho. Only distinct directions v_i count, so k
    neurons are at most k; a constant is free, a linear skip connection is one more direction.

    Args:
        num_neurons: k, at least 1 (an int or a float of any size).

    Error:
        Quadrature and roundoff of S (`Spectrum.density_error`) and of the second moment; the mass beyond
        `max_frequency`, whose weight lies between 1 - k cap(max_frequency) and 1 and is taken in the middle;
        interpolation of S in the panel where k cap(rho) = 1; roundoff of cap; for a profile that was cut, the cut part
        through the triangle inequality of the weighted norm.

    Raises:
        ValueError: num_neurons less than 1.

    Source:
        [eldanshamir2016] Proposition 13 for the method.
        Differs: derived for this project as a number, with the exact cap in place of Lemma 16 and no open constant.
    """
    if not num_neurons >= 1:
        raise ValueError(f"num_neurons must be at least 1, got {num_neurons!r}")
    return _floor(spectrum, math.log(num_neurons))


def _floor(spectrum: Spectrum, log_count: float) -> Certified:
    start = _covered_frequency(spectrum, log_count)
    inside = _integrate_above(spectrum, start, log_count)
    covered = math.exp(min(0.0, log_count - _largest_log_count(spectrum)))
    unsure = spectrum.mass_beyond * covered / 2  # of its weight, which is at most 1 and at least 1 - covered
    value = inside + spectrum.mass_beyond - unsure
    # an error of S inside is undone beyond, at another weight: it counts once, as weights differ by at most 1
    error = spectrum.density_error + spectrum.moment.error + unsure + _kink_error(spectrum, start, log_count)
    error += _cap_roundoff(spectrum, log_count) * spectrum.moment.upper
    error += 2 * spectrum.leftover * math.sqrt(value + error) + spectrum.leftover**2
    return Certified(value, error)


def relative_floor(spectrum: Spectrum, num_neurons: int | float) -> Certified:
    """E_k divided by the second moment of g: floor under the relative squared error of k neurons, between 0 and 1.

    Args:
        num_neurons: k, at least 1.

    Source:
        [eldanshamir2016] Proposition 13, as a number; see `floor`.
    """
    return _relative(spectrum, floor(spectrum, num_neurons))


def _relative(spectrum: Spectrum, bound: Certified) -> Certified:
    moment = spectrum.second_moment
    value, least = bound.value / moment.value, moment.value - moment.error
    return Certified(value, (bound.error + value * moment.error) / least if least > 0 else math.inf)


def neurons_needed(spectrum: Spectrum, relative_error: float) -> Certified:
    """K(eps): the fewest neurons k with E_k < eps E g^2, so that fewer cannot reach relative squared error eps.

    Args:
        relative_error: eps in (0, 1).

    Error:
        Half the span of K over the error of the floor, and over the rounding of K; infinite if the mass beyond
        `max_frequency` alone exceeds eps, and then `value` is the lower end.

    Raises:
        ValueError: relative_error outside (0, 1); or K overflows float64 (above 1.8e308, as in very high dimension).

    Source:
        derived for this project: inverse of `floor`.
    """
    if not 0 < relative_error < 1:
        raise ValueError(f"relative_error must lie strictly between 0 and 1, got {relative_error!r}")
    highest = _largest_log_count(spectrum)

    def count(sign: int) -> float:
        def excess(log_count: float) -> float:
            bound = _relative(spectrum, _floor(spectrum, log_count))
            return bound.value + sign * bound.error - relative_error

        if excess(0.0) < 0:
            return 1.0
        if excess(highest) > 0:
            return math.inf  # only for sign = 1: the least that the floor can be ends at 0
        root = float(opt.brentq(excess, 0.0, highest, xtol=1e-14, rtol=1e-15))
        root += 2 * sign * (1e-14 + 1e-15 * root)  # by as much as the root and its exponential may be off
        return math.floor(math.exp(root)) + 1.0 if root < _LARGEST_LOG else math.inf

    low, high = count(-1), count(1)
    if low == math.inf:
        raise ValueError(
            f"relative_error={relative_error!r} needs a number of neurons K that overflows float64 (1.8e308) in "
            f"dimension {spectrum.dim}"
        )
    return Certified(low, high) if high == math.inf else Certified(low / 2 + high / 2, high / 2 - low / 2)


def _largest_log_count(spectrum: Spectrum) -> float:
    """Logarithm of the k whose tubes can cover all frequencies up to `max_frequency`: k cap = 1 there."""
    return -float(log_tube_fraction(np.array([spectrum.max_frequency]), spectrum.dim)[0])


def _cap_roundoff(spectrum: Spectrum, log_count: float) -> float:
    """Relative roundoff of k cap where it is below 1; two thirds of it were measured, in dimensions up to 2000."""
    logarithm = min(log_count, _largest_log_count(spectrum))
    return float((64 + 2 * spectrum.dim + 4 * logarithm) * np.finfo(np.float64).eps)


def _covered_frequency(spectrum: Spectrum, log_count: float) -> float:
    """The rho below which k tubes can cover the sphere: k cap(rho) = 1; 1 when k = 1."""

    def excess(log_rho: float) -> float:
        return float(log_tube_fraction(np.array([math.exp(log_rho)]), spectrum.dim)[0]) + log_count

    if log_count <= 0:
        return 1.0
    if log_count >= _largest_log_count(spectrum):
        return spectrum.max_frequency
    return math.exp(opt.brentq(excess, 0.0, math.log(spectrum.max_frequency), xtol=1e-14))


def _integrate_above(spectrum: Spectrum, start: float, log_count: float | None) -> float:
    """Integral of S times max(0, 1 - k cap) (times 1 if log_count is None) from `start` to max_frequency."""
    panel = int(np.searchsorted(spectrum.edges, start, side="right")) - 1
    if panel >= len(spectrum.density):
        return 0.0
    whole = spectrum.masses[panel + 1 :]
    if log_count is not None:
        whole = whole * -np.expm1(np.minimum(0.0, log_count + spectrum._log_tubes[panel + 1 :]))
    # the panel of the kink: S by its interpolating polynomial, and rho = 1 + u^2, as cap has a square root at 1, which
    # may be much nearer to the kink than the panel is long
    left, right, base = spectrum.edges[panel], spectrum.edges[panel + 1], min(1.0, start)
    nodes, weight = gauss_legendre(20)
    low, high = math.sqrt(start - base), math.sqrt(right - base)
    u = low + (high - low) * (nodes + 1) / 2
    rho = base + u**2
    density = _interpolate(spectrum.density[panel], (2 * rho - left - right) / (right - left))
    factor = 1.0 if log_count is None else -np.expm1(np.minimum(0.0, log_count + log_tube_fraction(rho, spectrum.dim)))
    return float(np.sum(whole) + np.sum(density * factor * weight * u) * (high - low))


def _kink_error(spectrum: Spectrum, start: float, log_count: float) -> float:
    """Size of the last two Legendre coefficients of S over the panel of the kink, times the largest weight there."""
    panel = min(int(np.searchsorted(spectrum.edges, start, side="right")) - 1, len(spectrum.density) - 1)
    width, right = spectrum.edges[panel + 1] - spectrum.edges[panel], spectrum.edges[panel + 1 : panel + 2]
    weight = -math.expm1(min(0.0, log_count + log_tube_fraction(right, spectrum.dim)[0]))
    return float(weight * width * np.sum(np.abs(_legendre_coefficients(spectrum.density[panel])[-2:])))


def _legendre_coefficients(values: Array) -> Array:
    nodes, weights = gauss_legendre(len(values))
    basis = np.polynomial.legendre.legvander(nodes, len(values) - 1)
    return (basis * weights[:, None]).T @ values * (np.arange(len(values)) + 0.5)


def _interpolate(values: Array, positions: Array) -> Array:
    return np.polynomial.legendre.legval(positions, _legendre_coefficients(values))
