"""Certified Lipschitz bounds of a network in any input dimension, from the norms of its weights."""

import numpy as np
from jaxtyping import Shaped

from widththeory.network import Network
from widththeory.typing import Certified

_UNIT = 2.0**-53


def spectral_norm(matrix: Shaped[np.ndarray, "rows columns"]) -> Certified:
    """Largest singular value of a matrix, with a rigorous bound of the error of its computation.

    Error: from a computed decomposition matrix ≈ U S Vᵀ and first right vector v,
    |matrix v|/|v| <= norm <= |U||V| s_1 + |matrix − U S Vᵀ|, where norms other than the first are Frobenius' of what U
    and V lack to be orthogonal, and of the residual; rounding of these few products is added.

    Source: derived for this project.
    """
    matrix = matrix.astype(np.float64)
    if not matrix.any():
        return Certified(0.0, 0.0)
    scale = 2.0 ** np.clip(np.floor(np.log2(abs(matrix).max())), -1022, 1022)  # so that squares are in range
    matrix = matrix / scale
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    slack = 4 * (sum(matrix.shape) + 4) * _UNIT * np.linalg.norm(matrix) * (1 + len(values))
    lengths = [
        np.sqrt(1 + np.linalg.norm(part - np.eye(len(part))) + 4 * sum(matrix.shape) ** 2 * _UNIT)
        for part in (left.T @ left, right @ right.T)
    ]
    upper = lengths[0] * lengths[1] * values[0] + np.linalg.norm(matrix - (left * values) @ right) + slack
    lower = np.linalg.norm(matrix @ right[0]) / lengths[1] - slack
    return Certified(float(upper + lower) / 2 * scale, float(upper - lower) / 2 * (1 + 2.0**-20) * scale)


def product_lipschitz_bound(network: Network) -> Certified:
    """∏ |W_l| over all layers, spectral norms: the network is Lipschitz with this constant in Euclidean norms.

    Since ReLU is 1-Lipschitz, |network(x) − network(y)| <= ∏ |W_l| |x − y| for all x, y. In the plane
    `two_dim.lipschitz_constant` is the best constant.

    Error: rigorous; use `.upper` for a bound that holds.

    Source: derived for this project.
    """
    norms = [spectral_norm(weight) for weight, _ in network.layers]
    slack = 2 * len(norms) * _UNIT
    upper = float(np.prod([norm.upper for norm in norms])) * (1 + slack)
    lower = float(np.prod([max(norm.lower, 0.0) for norm in norms])) * (1 - slack)
    return Certified((upper + lower) / 2, (upper - lower) / 2 * (1 + 2.0**-20))


def path_lipschitz_bound(network: Network) -> Certified:
    """Spectral norm of the product of entrywise moduli |W_L| ... |W_0|: a Lipschitz constant as well.

    Every Jacobian is a sum over paths, so it is at most this product entry by entry. Better than
    `product_lipschitz_bound` for sparse explicit networks, worse for dense random ones.

    Error: rigorous; use `.upper` for a bound that holds.

    Source: derived for this project.
    """
    product = np.eye(network.input_dim)
    terms = 0
    for weight, _ in network.layers:
        product = abs(weight.astype(np.float64)) @ product
        terms += weight.shape[1] + 2
    norm = spectral_norm(product)
    return Certified(norm.value, norm.error + 2 * terms * _UNIT * float(np.linalg.norm(product)))
