"""How large the neurons of a one-hidden-layer network must be to approximate sin(omega <x, x'>) on two spheres."""

import math

import numpy as np
import scipy.special as sp

from widththeory.typing import Certified, check_positive, check_positive_int

# scipy's Bessel functions of real order are accurate to about 1e-13, absolutely where they oscillate and relatively
# where they do not; ten times that is allowed for.
_BESSEL_ERROR = 1e-12
_ROUNDOFF = 1e-14
_SMALLEST = 5e-324  # of squares that underflow
_LEAST_BESSEL = 1e-290  # below, digits are lost to underflow
_NEAR = 4.0  # orders v with w^2 / (4 (v + 1)) below this take the series of J_v; its terms are at most 4^k / k!
_NUM_TERMS = 40  # the first that is left out is below 1e-23


def harmonic_dimension(dim: int, degree: int) -> int:
    """Dimension N_{d,n} = (2n + d - 2) (n + d - 3)! / (n! (d - 2)!) of the spherical harmonics of degree n in R^d.

    Args:
        dim: d, at least 2.
        degree: n, at least 0.

    Raises:
        ValueError: an argument below its least value.

    Source:
        [daniely2017] Section 2.
    """
    check_positive_int("dim", dim, at_least=2)
    check_positive_int("degree", degree, at_least=0)
    if degree == 0:
        return 1
    return math.comb(degree + dim - 1, degree) - (math.comb(degree + dim - 3, degree - 2) if degree > 1 else 0)


def _check(dim: int, frequency: float) -> None:
    check_positive_int("dim", dim, at_least=3)
    check_positive("frequency", frequency)


def odd_energies(dim: int, frequency: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Odd degrees n, the square norms of the parts of sin(frequency t) of those degrees, and their errors.

    The part of degree n of exp(i w <x, x'>) is Gamma(d/2) (2/w)^(d/2-1) J_{n+d/2-1}(w) i^n times the reproducing
    kernel, whose square norm is N_{d,n}; the sine has the odd degrees. Degrees are cut where (w/2)^v / Gamma(v + 1),
    which bounds |J_v(w)|, makes all that follow negligible; it is also the first factor of the series of J_v, by which
    orders are computed that are large beside w, where J_v underflows long before its factor overflows.

    Source:
        [daniely2017] Section 2; the closed form is derived for this project.
    """
    half = dim / 2 - 1
    last = math.ceil(math.e * frequency) + 80
    degrees = np.arange(1, last + 1, 2)
    counts = np.array([math.log(harmonic_dimension(dim, int(n))) for n in degrees])
    scale = math.lgamma(dim / 2) + half * math.log(2 / frequency)
    orders = degrees + half
    # of the part's norm for |J_v(w)| = (w/2)^v / Gamma(v + 1), the first term of the series and a bound
    logarithm = counts / 2 + math.lgamma(dim / 2) + degrees * math.log(frequency / 2) - sp.gammaln(orders + 1)
    leading = np.exp(np.minimum(logarithm, 700.0))
    ratio = np.minimum(frequency**2 / (4 * (orders + 1)), _NEAR)
    series = term = np.ones_like(ratio)
    for k in range(1, _NUM_TERMS):
        term = term * -ratio * (orders + 1) / (k * (orders + k))
        series = series + term
    sizes = counts + math.lgamma(dim / 2) + degrees * abs(math.log(frequency / 2)) + np.abs(sp.gammaln(orders + 1))
    # relative, of the factor; and absolute, of the series, which may vanish: nine roundings a step and 40 additions
    rounded = np.finfo(np.float64).eps * (8 * (10 + sizes) * np.abs(series) + 40 * np.exp(ratio))
    bessel = np.abs(sp.jv(orders, frequency))
    size = np.exp(np.minimum(counts / 2 + scale, 700.0))
    accuracy = size * _BESSEL_ERROR * np.where(orders > frequency, bessel, 1.0)
    near, lost = ratio < _NEAR, bessel < _LEAST_BESSEL
    below = np.exp(np.minimum(counts / 2 + scale + math.log(2 * _LEAST_BESSEL), 0.0))  # of the norms of those lost
    amplitude = np.where(near, leading * np.abs(series), np.where(lost, 0.0, size * bessel))
    spread = np.where(near, leading * rounded, np.where(lost, np.minimum(leading, below), accuracy))
    energies = amplitude**2
    errors = 2 * amplitude * spread + spread**2 + 4 * _ROUNDOFF * last * energies + _SMALLEST
    # square norm at the first degree left out, by |J_v(w)| <= (w/2)^v / Gamma(v+1); from there on terms at least halve
    order = last + 1 + half
    tail = (
        counts[-1]
        + dim * math.log1p(2 / last)
        + 2 * scale
        + 2 * (order * math.log(frequency / 2) - math.lgamma(order + 1))
    )
    errors[-1] += 2 * math.exp(min(tail, 0.0))
    return degrees, energies, errors


def polynomial_distance_squared(dim: int, frequency: float, degree: int) -> Certified:
    """A_{n,d}(f)^2: squared distance of f(t) = sin(frequency t) to polynomials of degree below n = degree.

    Distance in L2 of the law of <x, x'> for x, x' independent and uniform on the sphere S^{d-1}, which has density
    proportional to (1 - t^2)^((d-3)/2). Its values are the tail sums, over odd k >= n, of
    N_{d,k} [Gamma(d/2) (2/w)^(d/2-1) J_{k+d/2-1}(w)]^2, w = frequency.

    Args:
        dim: d, at least 3.
        frequency: w, positive.
        degree: n, at least 0; n = 0 gives the square norm of f.

    Raises:
        ValueError: an argument outside its range.

    Source:
        [daniely2017] Section 2 for A_{n,d}.
        Differs: closed form by the plane-wave expansion (derived for this project), where the paper bounds it below.
    """
    _check(dim, frequency)
    check_positive_int("degree", degree, at_least=0)
    degrees, energies, errors = odd_energies(dim, frequency)
    chosen = degrees >= degree
    chosen[-1] = True  # it carries the error of all that was cut
    return Certified(float(energies[chosen].sum()), float(errors[chosen].sum()))


def neuron_norm_needed(dim: int, frequency: float, relative_error: float) -> Certified:
    """Least sum of neuron norms of a one-hidden-layer network with a given relative squared error.

    Let F(x, x') = sin(w <x, x'>) on S^{d-1} x S^{d-1} with the uniform law, and g = sum_i g_i, each g_i a function of
    (<v_i, x>, <v'_i, x'>). Then |F - g|^2 >= A_n (A_n - 2 sum_i |g_i| / sqrt(N_{d,n})) for every n, so that
    |F - g|^2 <= eps |F|^2 requires
    sum_i |g_i| >= max_n sqrt(N_{d,n}) (A_n - eps |F|^2 / A_n) / 2.
    All norms are in L2 of the law.

    Args:
        dim: d, at least 3.
        frequency: w, positive.
        relative_error: eps, in (0, 1].

    Domain: any activation and any number of neurons; it is the sum of the neurons' norms that is bounded, not their
        count. For w = c d, c > 1/e, it grows at least like (e c)^(d/2); for w = c sqrt(d) at most like a power of d
        (docs/theorems/daniely.md).

    Raises:
        ValueError: an argument outside its range, or harmonics that are more than floats can count, as those of
            dimension 1000 and frequency 1000; `rigorous_daniely` has no such limit.

    Source:
        [daniely2017] Theorem 3, solved for the norms (derived for this project).
    """
    _check(dim, frequency)
    if not 0 < relative_error <= 1:
        raise ValueError(f"relative_error must be in (0, 1], got {relative_error!r}")
    low = high = 0.0
    whole, degrees, lowest, highest = _tails(dim, frequency)
    for n, below, above in zip(degrees, lowest, highest, strict=True):
        root = _root(dim, int(n)) / 2
        if below > 0:
            low = max(low, root * (math.sqrt(below) - relative_error * whole.upper / math.sqrt(below)))
        high = max(high, root * (math.sqrt(above) - relative_error * whole.lower / math.sqrt(above)))
    return Certified((low + high) / 2, (high - low) / 2 + _ROUNDOFF * high)


def error_floor(dim: int, frequency: float, norm_sum: float) -> Certified:
    """Relative squared error that a one-hidden-layer network keeps if its neurons' norms sum to `norm_sum`.

    max_n A_n (A_n - 2 norm_sum / sqrt(N_{d,n})) / |F|^2, and 0 if that is negative; see `neuron_norm_needed`.

    Args:
        dim: d, at least 3.
        frequency: w, positive.
        norm_sum: sum of the L2 norms of the neurons, output weights included, at least 0.

    Raises:
        ValueError: an argument outside its range, or harmonics that are more than floats can count, as those of
            dimension 1000 and frequency 1000; `rigorous_daniely` has no such limit.

    Source:
        [daniely2017] Theorem 3.
    """
    _check(dim, frequency)
    if not norm_sum >= 0:
        raise ValueError(f"norm_sum must be at least 0, got {norm_sum!r}")
    low = high = 0.0
    whole, degrees, lowest, highest = _tails(dim, frequency)
    for n, below, above in zip(degrees, lowest, highest, strict=True):
        cost = 2 * norm_sum / _root(dim, int(n))
        root_below, root_above = math.sqrt(max(below, 0.0)), math.sqrt(max(above, 0.0))
        low = max(low, root_below * (root_below - cost) / whole.upper)
        # where nothing is known of the sine's norm, all that is known is that the floor is a fraction of it
        high = max(high, root_above * (root_above - cost) / whole.lower) if whole.lower > 0 else 1.0
    return Certified((low + high) / 2, (high - low) / 2 + _ROUNDOFF * high)


def _root(dim: int, degree: int) -> float:
    count = harmonic_dimension(dim, degree)
    if count.bit_length() > 1023:
        raise ValueError(f"dim and frequency must give fewer than 1e308 harmonics of degree {degree}, got dim={dim}")
    return math.sqrt(count)


def _tails(dim: int, frequency: float) -> tuple[Certified, np.ndarray, np.ndarray, np.ndarray]:
    """Square norm of the sine, odd degrees, and enclosures of A_n^2 at them."""
    degrees, energies, errors = odd_energies(dim, frequency)
    values, spreads = np.cumsum(energies[::-1])[::-1], np.cumsum(errors[::-1])[::-1]
    return Certified(float(values[0]), float(spreads[0])), degrees, values - spreads, values + spreads
