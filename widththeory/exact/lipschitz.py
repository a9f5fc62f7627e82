"""Certified Lipschitz bounds of a network in any input dimension, from the norms of its weights."""

import math
from fractions import Fraction

import numpy as np
from jaxtyping import Shaped

from widththeory.exact.rationals import in_range, matmul, to_fractions, to_numbers
from widththeory.network import Network
from widththeory.typing import Certified, to_fraction

_UNIT = 2.0**-53


def spectral_norm(matrix: Shaped[np.ndarray, "rows columns"]) -> Certified:
    """Largest singular value of a matrix, with a rigorous bound of the error of its computation.

    Error: from a computed decomposition matrix ≈ U S Vᵀ and first right vector v,
    |matrix v|/|v| <= norm <= |U||V| s_1 + |matrix − U S Vᵀ|, where norms other than the first are Frobenius' of what U
    and V lack to be orthogonal, and of the residual; rounding of these few products is added.

    Raises:
        ValueError: too large for float64.

    Source: derived for this project.
    """
    matrix, exponent = _scaled(matrix)
    if not matrix.any():
        return Certified(0.0, 0.0)
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    slack = 4 * (sum(matrix.shape) + 4) * _UNIT * np.linalg.norm(matrix) * (1 + len(values))
    lengths = [
        np.sqrt(1 + np.linalg.norm(part - np.eye(len(part))) + 4 * sum(matrix.shape) ** 2 * _UNIT)
        for part in (left.T @ left, right @ right.T)
    ]
    upper = lengths[0] * lengths[1] * values[0] + np.linalg.norm(matrix - (left * values) @ right) + slack
    lower = np.linalg.norm(matrix @ right[0]) / lengths[1] - slack
    return _times_power(float(upper + lower) / 2, float(upper - lower) / 2 * (1 + 2.0**-20), exponent)


def _scaled(matrix: np.ndarray) -> tuple[np.ndarray, int]:
    """The matrix over a power of two, so that its largest entry is near 1 and squares are in range; the exponent.

    Less than 1e-300 of the largest entry may be lost, which is far below a rounding of it.
    """
    if matrix.dtype == object:
        largest = to_fraction(max(abs(matrix).ravel()))
        exponent = largest.numerator.bit_length() - largest.denominator.bit_length()
        return (matrix / Fraction(2) ** exponent).astype(np.float64), exponent
    exponent = int(np.frexp(abs(matrix).max())[1]) - 1
    return np.ldexp(matrix.astype(np.float64), -exponent), exponent


def _times_power(value: float, error: float, exponent: int) -> Certified:
    try:
        # the least float of all covers what is lost where floats end; it changes no other number
        return Certified(math.ldexp(value, exponent), math.ldexp(error, exponent) + math.ulp(0.0))
    except OverflowError:
        raise ValueError(f"network has a Lipschitz bound of some 2**{exponent}, too large for float64") from None


def product_lipschitz_bound(network: Network) -> Certified:
    """∏ |W_l| over all layers, spectral norms: the network is Lipschitz with this constant in Euclidean norms.

    Since ReLU is 1-Lipschitz, |network(x) − network(y)| <= ∏ |W_l| |x − y| for all x, y. In the plane
    `two_dim.lipschitz_constant` is the best constant.

    Error: rigorous; use `.upper` for a bound that holds.

    Raises:
        ValueError: too large for float64.

    Source: derived for this project.
    """
    scaled = [_scaled(weight) for weight, _ in network.layers]
    norms = [spectral_norm(matrix) for matrix, _ in scaled]
    upper = math.prod((Fraction(norm.upper) for norm in norms), start=Fraction(1))
    lower = math.prod((Fraction(max(norm.lower, 0.0)) for norm in norms), start=Fraction(1))
    middle, slack = (upper + lower) / 2, (upper - lower) / 2
    if not upper:
        return Certified(0.0, 0.0)
    more = middle.numerator.bit_length() - middle.denominator.bit_length()
    value, error = (float(part / Fraction(2) ** more) for part in (middle, slack))
    return _times_power(value, error + 2 * _UNIT * value, more + sum(exponent for _, exponent in scaled))


def path_lipschitz_bound(network: Network) -> Certified:
    """Spectral norm of the product of entrywise moduli |W_L| ... |W_0|: a Lipschitz constant as well.

    Every Jacobian is a sum over paths, so it is at most this product entry by entry. Better than
    `product_lipschitz_bound` for sparse explicit networks, worse for dense random ones.

    Error: rigorous; use `.upper` for a bound that holds.

    Raises:
        ValueError: too large for float64.

    Source: derived for this project.
    """
    product, exponent = _product_of_moduli([weight for weight, _ in network.layers])
    if product is None:  # numbers of one matrix differ so much that floats would underflow on the way
        exact = to_numbers(np.eye(network.input_dim, dtype=np.int64))
        for weight, _ in network.layers:
            exact = matmul(abs(to_numbers(weight)), exact)
        return spectral_norm(to_fractions(exact))
    if not product.any():
        return Certified(0.0, 0.0)
    norm, terms = spectral_norm(product), sum(weight.shape[1] + 2 for weight, _ in network.layers)
    return _times_power(norm.value, norm.error + 2 * terms * _UNIT * float(np.linalg.norm(product)), exponent)


def _product_of_moduli(weights: list[np.ndarray]) -> tuple[np.ndarray | None, int]:
    """Over a power of two, whose exponent is the second; None where a number is too small beside others."""
    product, exponent = np.eye(weights[0].shape[1]), 0
    for weight in weights:
        scaled, more = _scaled(weight)
        if not in_range(scaled) or np.any((scaled == 0) != (weight == 0)):
            return None, 0
        product, further = _scaled(abs(scaled) @ product)
        exponent += more + further
        if not in_range(product, 1e-200):
            return None, 0
    return product, exponent
