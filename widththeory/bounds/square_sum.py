"""Floor of x_1^2 + ... + x_n^2 on the cube for networks below the least universal width, for any n, in closed form.

For n >= 2 a first layer of width below n leaves the network constant along a direction u, which by symmetry has entries
in [0, 1], the largest of them 1. With e = f - g, and w(t) >= 0 constant or a triangle (`bounds.product_direction`),

    int_0^2 w(t) int |f(x + t u) - f(x)|^2 dx dt <= 2 int_0^1 w dt int |e|^2.

The inner integral, over the x for which both points lie in the cube, is in units of its volume

    prod_i (1 - t u_i / 2) (4 t^2 / 3) sum_i u_i^2 (1 - t u_i / 2)^2.

With s = 1 - t / 2 and m the mean of the entries other than the largest, the product is at least s^(1 + (n - 1) m), as
-log(1 - t u / 2) is convex in u, and the sum at least s^2 (1 + (n - 1) m^2).

For n = 1 the least universal width is 2 for ReLU, and a network of width 1 is monotone.
"""

import math

import numpy as np
from jaxtyping import Float
from scipy.special import beta, betainc

from widththeory.typing import Certified, check_positive_int

Vector = Float[np.ndarray, "_"]

_REACHES = (0.15, 0.2, 0.3, 0.45, 0.7, 1.0, 1.5, 2.0)  # of the triangles tried, the best is taken for each m
_NUM_MEANS = 4000


def square_sum_floor(input_dim: int) -> Certified:
    """Floor in L2 of [-1, 1]^n for f(x) = x_1^2 + ... + x_n^2 and networks narrower than max(n, 2), of any depth.

    The activation may be any for n >= 2, and is monotone, as ReLU is, for n = 1. With p = 3 + (n - 1) m, for n >= 2 and
    first hidden layers of width at most n - 1,

        |f - g|^2 >= 2^n min_{0 <= m <= 1} max_w (4 / 3) (1 + (n - 1) m^2) int_0^2 w t^2 (1 - t/2)^p dt / (2 int_0^1 w).

    As a fraction of the variance 4 n / 45 this is 0.455 for n = 2, 0.190 for n = 4, 0.068 for n = 8; leaving out one
    coordinate attains 1 / n. For n = 1 a network all of whose hidden layers have width 1 is monotone, and the nearest
    monotone function to x^2 is max(x, 1/2)^2, up to reflection: its error is the floor, 81/128 of the variance.

    Args:
        input_dim: n, from 1 to 2000.

    Returns: the distance (not squared), integrals over the cube, of volume 2^n.

    Error: rounding. The minimum over m is bounded below on 4000 intervals, on which one factor increases and the other
        decreases.

    Raises:
        ValueError: input_dim below 1, or above 2000, where the volume of the cube overflows.

    Source:
        Derived for this project; that a floor exists is [lu2017] Theorem 3, as recalled, and that width max(n, 2)
        suffices [kimminpark2024], as recalled.
    """
    dim = check_positive_int("input_dim", input_dim)
    if dim > 2000:
        raise ValueError(f"input_dim must be at most 2000, got {dim}")
    if dim == 1:
        squared = 9 / 160  # 81/128 * 4/45
    else:
        means = np.linspace(0.0, 1.0, _NUM_MEANS + 1)
        powers = 3 + (dim - 1) * means[1:]
        integral = np.max([_weighted(reach, powers) for reach in (*_REACHES, np.inf)], axis=0)
        squared = float(np.min(4 / 3 * (1 + (dim - 1) * means[:-1] ** 2) * integral))
    value = math.ldexp(math.sqrt(2 ** (dim % 2) * squared), dim // 2)  # the square alone would overflow from 1024 on
    return Certified(value, 1e-12 * value)


def _weighted(reach: float, powers: Vector) -> Vector:
    """int_0^2 w(t) t^2 (1 - t/2)^p dt / (2 int_0^1 w dt) for each p and w(t) = (1 - t / reach)_+, or 1 for inf."""
    whole = 8 * beta(3, powers + 1)
    if np.isinf(reach):
        return whole / 2
    near = betainc(3, powers + 1, reach / 2) * whole
    near -= 16 / reach * betainc(4, powers + 1, reach / 2) * beta(4, powers + 1)
    return near / (reach if reach <= 1 else 2 - 1 / reach)
