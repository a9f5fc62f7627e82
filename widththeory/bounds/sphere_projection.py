"""Floor for sin(frequency <x, x'>) on two spheres and first layers narrower than one of them, at any depth."""

import math

import numpy as np
import scipy.special as sp

from widththeory.bounds.enclosure import at_least_zero
from widththeory.typing import Certified, check_narrow, check_positive_int

_ROUNDOFF = 1e-12  # Bessel functions of real order, divided by powers, are good to some 1e-13
_NUM_TERMS = 24  # 1 / 24! is below 1e-23
_LARGEST = 600, 1000  # dim, beyond which Bessel functions may underflow, and frequency, where it takes seconds


def sphere_projection_floor(dim: int, frequency: float, width: int) -> Certified:
    """Least relative squared error of networks whose first hidden layer has width r < d, for sin(w <x, x'>).

    Such a network depends on x only through P x, P of rank at most r; compare it with the best function of P x and of
    all of x', the conditional mean. With q = x - P x the inner product is <P x, P x'> + |q| |q'| u, u of the law of a
    coordinate on S^{d-r-1}, and all P are alike. With phi_k(c) = Gamma(k/2) (2/c)^(k/2-1) J_{k/2-1}(c), the
    characteristic function of a coordinate on S^{k-1}, the error of the best function is

        E sin^2 - E [phi_{d-r}(w |q| |q'|)^2 (1 - phi_r(2 w |P x| |P x'|)) / 2],

    |P x|^2 and |P x'|^2 independent of the law Beta(r/2, (d - r)/2), and E sin^2 = (1 - phi_d(2 w ...)) / 2 averaged
    likewise: it is the same with r = d.

    Args:
        dim: d, from 3 to 600; x and x' are independent and uniform on S^{d-1}.
        frequency: w, positive and at most 1000.
        width: r, between 1 and d - 1.

    Domain: any activation and any number of layers after the first.

    Error: the difference of two Gauss-Jacobi rules for an entire integrand, of N and 6 N / 5 nodes, N = 60 or, if that
        is more, w + 40, from where on they converge faster than any power; and roundoff. As sin(w t) is w t for small
        w, whose square is small beside roundoff, below some 1e-6 little is known and below 1e-7 nothing.
        `rigorous_daniely` has a proven error, and takes any argument.

    Raises:
        ValueError: an argument outside its range.

    Source:
        Derived for this project; the target is that of [daniely2017] Lemma 4.
    """
    check_positive_int("dim", dim, at_least=3)
    check_narrow(width, dim, "dim")
    if not (frequency > 0 and math.isfinite(frequency)):
        raise ValueError(f"frequency must be positive and finite, got {frequency!r}")
    if dim > _LARGEST[0] or frequency > _LARGEST[1]:
        raise ValueError(f"dim and frequency must be at most {_LARGEST}, got {dim!r} and {frequency!r}")

    def rule(num_nodes: int) -> float:
        nodes, weights = sp.roots_jacobi(num_nodes, (dim - width) / 2 - 1, width / 2 - 1)
        share, weights = (nodes + 1) / 2, weights / weights.sum()  # |P x|^2
        mass = np.outer(weights, weights)
        seen = 2 * frequency * np.sqrt(np.outer(share, share))
        hidden = frequency * np.sqrt(np.outer(1 - share, 1 - share))
        known = characteristic(hidden, dim - width) ** 2 * (1 - characteristic(seen, width)) / 2
        return float((mass * known).sum())

    whole = (1 - float(characteristic(np.array([[2 * frequency]]), dim)[0, 0])) / 2
    if whole <= _ROUNDOFF:
        return Certified(0.5, 0.5)  # it lies between 0 and 1
    num_nodes = max(60, math.ceil(frequency) + 40)
    known = rule(num_nodes)
    error = (abs(known - rule(num_nodes * 6 // 5)) + _ROUNDOFF) / whole
    return Certified(*at_least_zero(1 - known / whole, error))


def characteristic(arguments: np.ndarray, dim: int) -> np.ndarray:
    """Mean of exp(i c u), u a coordinate of a uniform point of S^{dim-1}: cos(c) for dim = 1, J_0(c) for dim = 2."""
    if dim == 1:
        return np.cos(arguments)
    order, start = dim / 2 - 1, math.sqrt(2 * dim)
    near, far = np.minimum(arguments, start), np.maximum(arguments, start)
    series = term = np.ones_like(near)
    for k in range(1, _NUM_TERMS):  # the k-th term is at most 1 / k! up to `start`
        term = term * -(near**2) / (4 * k * (order + k))
        series = series + term
    scale = np.exp(sp.gammaln(order + 1) + order * np.log(2 / far))
    return np.where(arguments < start, series, scale * sp.jv(order, far))
