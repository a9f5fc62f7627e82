"""Floor for sin(frequency <x, x'>) on two spheres and first layers narrower than one of them, at any depth."""

import math

import numpy as np
import scipy.special as sp

from widththeory.typing import Certified, check_narrow, check_positive_int

_ROUNDOFF = 1e-12  # Bessel functions of real order, divided by powers, are good to some 1e-13
_NUM_NODES = 60


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
        dim: d, at least 3; x and x' are independent and uniform on S^{d-1}.
        frequency: w, positive.
        width: r, between 1 and d - 1.

    Domain: any activation and any number of layers after the first.

    Error: the difference of two Gauss-Jacobi rules, of 60 and 72 nodes, for an analytic integrand, and roundoff.

    Raises:
        ValueError: an argument outside its range.

    Source:
        Derived for this project; the target is that of [daniely2017] Lemma 4.
    """
    check_positive_int("dim", dim, at_least=3)
    check_narrow(width, dim, "dim")
    if not (frequency > 0 and math.isfinite(frequency)):
        raise ValueError(f"frequency must be positive and finite, got {frequency!r}")

    def rule(num_nodes: int) -> float:
        nodes, weights = sp.roots_jacobi(num_nodes, (dim - width) / 2 - 1, width / 2 - 1)
        share, weights = (nodes + 1) / 2, weights / weights.sum()  # |P x|^2
        mass = np.outer(weights, weights)
        seen = 2 * frequency * np.sqrt(np.outer(share, share))
        hidden = frequency * np.sqrt(np.outer(1 - share, 1 - share))
        known = characteristic(hidden, dim - width) ** 2 * (1 - characteristic(seen, width)) / 2
        return float((mass * known).sum())

    whole = (1 - float(characteristic(np.array([[2 * frequency]]), dim)[0, 0])) / 2
    known = rule(_NUM_NODES)
    error = (abs(known - rule(72)) + _ROUNDOFF) / whole
    value = max(0.0, 1 - known / whole)
    return Certified(value, min(error, value))


def characteristic(arguments: np.ndarray, dim: int) -> np.ndarray:
    """Mean of exp(i c u), u a coordinate of a uniform point of S^{dim-1}: cos(c) for dim = 1, J_0(c) for dim = 2."""
    if dim == 1:
        return np.cos(arguments)
    order = dim / 2 - 1
    safe = np.maximum(arguments, 1e-3)
    values = sp.gamma(order + 1) * (2 / safe) ** order * sp.jv(order, safe)
    small = 1 - arguments**2 / (2 * dim) + arguments**4 / (8 * dim * (dim + 2))  # the next term is below 1e-20
    return np.where(arguments < 1e-3, small, values)
