"""Bessel functions of one order at very many points, several times faster than one by one."""

import math

import numpy as np
import scipy.special as sp
from jaxtyping import Float

Array = Float[np.ndarray, "..."]

_STEPS = 32  # grid points a unit
_DEGREE = 6  # remainder (1/64)^7 / 7! < 1e-16, as derivatives of J are at most 1 where the table is used
_START = 1.0  # below, derivatives of fractional orders are large


class BesselTable:
    """J_order on [0, end] by Taylor polynomials about a grid, within `spectral.bessel_roundoff` of the exact values.

    Args:
        order: at least 0.
        end: largest argument.
    """

    def __init__(self, order: float, end: float):
        self.order = order
        grid = np.arange(int(end * _STEPS) + 2) / _STEPS
        grid[: int(_START * _STEPS) // 2] = 1.0  # never used
        shifted = {shift: sp.jv(order + shift, grid) for shift in range(-_DEGREE, _DEGREE + 1)}
        # J^(k) = 2^-k sum_j (-1)^j binom(k, j) J_{order - k + 2j}
        self._coefficients = [
            sum((-1.0) ** j * math.comb(k, j) * shifted[2 * j - k] for j in range(k + 1)) / (2**k * math.factorial(k))
            for k in range(_DEGREE + 1)
        ]

    def __call__(self, arguments: Array) -> Array:
        """J_order at the arguments, all in [0, end]."""
        place = arguments * _STEPS
        index = np.rint(place).astype(np.intp)
        offset = (place - index) / _STEPS
        values = self._coefficients[-1][index]
        for coefficient in self._coefficients[-2::-1]:
            values *= offset
            values += coefficient[index]
        small = arguments < _START
        values[small] = sp.jv(self.order, arguments[small])
        return values
