"""Floor for sin(frequency <x, x'>) on two spheres and first layers narrower than one of them, at any depth."""

import math

import numpy as np

from widththeory.bounds.daniely_norm import harmonic_dimension, odd_energies
from widththeory.typing import Certified, check_narrow, check_positive_int

_ROUNDOFF = 1e-14


def sphere_projection_floor(dim: int, frequency: float, width: int) -> Certified:
    """Least relative squared error of networks whose first hidden layer has width r < d, for sin(w <x, x'>).

    Such a network depends on x only through P x, P of rank at most r; compare it with the best function of P x and of
    all of x', the conditional mean: that over the orthogonal maps that leave P x alone. Of the N_{d,n} harmonics of
    degree n it keeps those that these maps keep, which are polynomials in P x and |x - P x|^2, less |x|^2 times
    those of degree n - 2: binomial(n + r - 1, n) of them. All P are alike, and in the sine all harmonics of a degree
    have one weight: with e_n the square norm of its part of degree n (as in `daniely_norm`) the error is

        sum_n e_n (1 - binomial(n + r - 1, n) / N_{d,n}) / sum_n e_n,    n odd.

    Args:
        dim: d, at least 3; x and x' are independent and uniform on S^{d-1}.
        frequency: w, positive.
        width: r, between 1 and d - 1.

    Domain: any activation and any number of layers after the first.

    Error: that of the e_n, to some 1e-12. Where they underflow, as in dimension 3000 at frequency 200, nothing is
        known: the floor is 1/2 with an error of 1/2. `rigorous_daniely` has a proven error, and takes any argument.

    Raises:
        ValueError: an argument outside its range.

    Source:
        Derived for this project; the target is that of [daniely2017] Lemma 4.
    """
    check_positive_int("dim", dim, at_least=3)
    check_narrow(width, dim, "dim")
    if not (frequency > 0 and math.isfinite(frequency)):
        raise ValueError(f"frequency must be positive and finite, got {frequency!r}")
    degrees, energies, errors = odd_energies(dim, frequency)
    kept = np.array([math.comb(n + width - 1, n) / harmonic_dimension(dim, n) for n in degrees.tolist()])
    missed, seen = energies @ (1 - kept), energies @ kept
    unsure = errors.sum()  # of either: it holds what all degrees beyond the last one add
    if missed + seen <= 2 * unsure:
        return Certified(0.5, 0.5)  # it lies between 0 and 1
    low, high = max(0.0, missed - unsure), missed + unsure
    low, high = low / (low + seen + unsure), high / (high + max(0.0, seen - unsure))
    return Certified(float(low + high) / 2, float(high - low) / 2 + _ROUNDOFF)
