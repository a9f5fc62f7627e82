"""Polynomials in two variables, and the distance to one from functions that are affine on triangles.

On a triangle of area A write the difference as q = Σ c_α B_α in Bernstein polynomials of degree n, N = (n+1)(n+2)/2 of
them. They are nonnegative with sum 1 and integrals A/N each, so

    min c ≤ q ≤ max c,   ∫ q = A mean(c),   ∫ q² = A Σ_αβ G_αβ c_α c_β

with G_αβ = (n; α)(n; β)/((2n; α+β) (n+1)(2n+1)), where (n; α) is a multinomial coefficient. The integral of |q| is A
|mean(c)| where all c have one sign; elsewhere it is that of the affine interpolant of q up to A mean|c − interpolant|,
and triangles are cut in four until the sum of these errors is small. The maximum of |q| is enclosed in the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from math import factorial
from typing import Any

import numpy as np
from jaxtyping import Shaped

from widththeory.exact.polygons import integral_of_modulus
from widththeory.exact.rationals import is_finite, signs, to_fractions, to_numbers
from widththeory.typing import to_fraction

_QUARTERS = np.array([[[2, 0, 0], [1, 1, 0], [1, 0, 1]], [[1, 1, 0], [0, 2, 0], [0, 1, 1]]])
_QUARTERS = np.concatenate([_QUARTERS, [[[1, 0, 1], [0, 1, 1], [0, 0, 2]], [[0, 1, 1], [1, 0, 1], [1, 1, 0]]]]) / 2
_MAX_TRIANGLES = 4_000_000


@dataclass(frozen=True)
class PlanarPolynomial:
    """The polynomial Σ_ij coefficients[i][j] x^i y^j.

    Args:
        coefficients: rows of equal length; floats, integers or Fractions. Kept as tuples.

    Raises:
        ValueError: no coefficients, rows of unequal length, or entries that are not finite numbers.
    """

    coefficients: Sequence[Any] | np.ndarray

    def __post_init__(self) -> None:
        shapes = {np.shape(row) for row in self.coefficients}
        if len(shapes) != 1 or shapes <= {(), (0,)}:
            raise ValueError(f"coefficients must be rows of one length, at least 1, got {self.coefficients!r}")
        object.__setattr__(self, "coefficients", tuple(map(tuple, self.coefficients)))
        if not all(is_finite(entry) for row in self.coefficients for entry in row):
            raise ValueError(f"coefficients must be finite numbers, got {self.coefficients!r}")

    @cached_property
    def degree(self) -> int:
        """Total degree (0 for the zero polynomial)."""
        return max(
            (i + j for i, row in enumerate(self.coefficients) for j, entry in enumerate(row) if entry), default=0
        )

    def __call__(self, points: Shaped[np.ndarray, "*any 2"]) -> Shaped[np.ndarray, "*any"]:
        """Values at points: float64, or exact at exact numbers (`widththeory.exact.rationals`)."""
        x, y = points[..., 0], points[..., 1]
        rows = (
            to_numbers(self.coefficients) if points.dtype == object else np.array(self.coefficients, dtype=np.float64)
        )
        return _horner([_horner(row, y) for row in rows], x)

    def moduli(self) -> "PlanarPolynomial":
        """The polynomial of the moduli of the coefficients: at (r, r) it bounds this one on [-r, r]²."""
        return PlanarPolynomial(tuple(tuple(abs(entry) for entry in row) for row in self.coefficients))

    def on_plane(self, origin: Any, directions: Any) -> "PlanarPolynomial":
        """(s, t) -> p(origin + s directions[0] + t directions[1]), in Fractions (see `two_dim.restrict_to_plane`)."""
        size = len(self.coefficients) + len(self.coefficients[0]) - 1
        x, y = to_numbers([origin, *directions]).T

        def times(power: np.ndarray, at: np.ndarray) -> np.ndarray:
            product = at[0] * power
            product[1:] += at[1] * power[:-1]
            product[:, 1:] += at[2] * power[:, :-1]
            return product

        result, power_of_x = to_numbers(np.zeros((2, size, size), dtype=int))
        power_of_x[0, 0] += 1
        for row in to_numbers(self.coefficients):
            power = power_of_x
            for coefficient in row:
                result += coefficient * power
                power = times(power, y)
            power_of_x = times(power_of_x, x)
        return PlanarPolynomial(tuple(map(tuple, to_fractions(result))))

    def scaled(self, high: int) -> "PlanarPolynomial":
        """2^-high times this one, in float64."""
        return PlanarPolynomial(
            tuple(tuple(float(to_fraction(entry) / Fraction(2) ** high) for entry in row) for row in self.coefficients)
        )


def _horner(coefficients: Any, at: np.ndarray) -> np.ndarray:
    result = 0 * at + coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        result = result * at + coefficient
    return result


class Bernstein:
    """Bernstein polynomials of a degree on triangles: lattice points, coefficients from values there, Gram matrix."""

    def __init__(self, degree: int, exact: bool):
        self.indices = np.array([(i, j, degree - i - j) for i in range(degree + 1) for j in range(degree + 1 - i)])
        tables = (*_tables(degree), np.array(self.indices.tolist(), dtype=object) * Fraction(1, degree))
        self._inverse, self.gram, self.weights = (
            to_numbers(table) if exact else table.astype(np.float64) for table in tables
        )

    def coefficients(self, polynomial: PlanarPolynomial, corners: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Coefficients (num_triangles, N) of the affine function with the corner `values`, minus the polynomial.

        Args:
            corners: (num_triangles, 3, 2).
            values: (num_triangles, 3).
        """
        lattice = np.stack([corners[..., axis] @ self.weights.T for axis in range(2)], axis=-1)
        # The affine part is its own coefficients; only the polynomial is converted.
        return values @ self.weights.T - polynomial(lattice) @ self._inverse.T

    def rounding(self, polynomial: PlanarPolynomial, corners: np.ndarray, values: np.ndarray) -> float:
        """What rounding may leave of `coefficients` that are 0."""
        size = float(abs(values).max() + polynomial.moduli()(abs(corners).max(axis=(0, 1))[None])[0])
        return 8 * float(np.finfo(np.float64).eps) * size * (1 + float(abs(self._inverse).sum(axis=1).max()))


@lru_cache(maxsize=16)
def _tables(degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of the matrix of Bernstein polynomials at the lattice points, and their Gram matrix on area 1."""
    indices = [(i, j, degree - i - j) for i in range(degree + 1) for j in range(degree + 1 - i)]

    def multinomial(index: tuple[int, ...]) -> int:
        result = factorial(sum(index))
        for part in index:
            result //= factorial(part)
        return result

    def bernstein(index: tuple[int, ...], point: tuple[int, ...]) -> Fraction:
        product = Fraction(multinomial(index))
        for exponent, coordinate in zip(index, point, strict=True):
            product *= Fraction(coordinate, degree) ** exponent
        return product

    values = [[bernstein(index, point) for index in indices] for point in indices]
    scale = (degree + 1) * (2 * degree + 1)
    gram = [
        [Fraction(multinomial(a) * multinomial(b), multinomial(tuple(np.add(a, b).tolist())) * scale) for b in indices]
        for a in indices
    ]
    return _inverse(values), np.array(gram, dtype=object)


def _inverse(matrix: list[list[Fraction]]) -> np.ndarray:
    size = len(matrix)
    rows = [row + [Fraction(int(i == j)) for j in range(size)] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = next(i for i in range(column, size) if rows[i][column] != 0)
        rows[column], rows[pivot] = rows[pivot], rows[column]
        head = rows[column][column]
        rows[column] = [entry / head for entry in rows[column]]
        for i in range(size):
            factor = rows[i][column]
            if i != column and factor != 0:
                rows[i] = [entry - factor * above for entry, above in zip(rows[i], rows[column], strict=True)]
    return np.array([row[size:] for row in rows], dtype=object)


def squared_l2(polynomial: PlanarPolynomial, corners: np.ndarray, values: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """∫ (affine − polynomial)² over each triangle; exact for exact numbers."""
    basis = Bernstein(max(polynomial.degree, 1), exact=corners.dtype == object)
    c = basis.coefficients(polynomial, corners, values)
    return areas * ((c @ basis.gram) * c).sum(axis=1)


def l1(
    polynomial: PlanarPolynomial, corners: np.ndarray, values: np.ndarray, areas: np.ndarray, tolerance: float
) -> float:
    """∫ |affine − polynomial| over all triangles, to a relative error of `tolerance` besides rounding."""
    basis = Bernstein(max(polynomial.degree, 1), exact=False)
    rounding = basis.rounding(polynomial, corners, values)
    total = 0.0
    while True:
        c = basis.coefficients(polynomial, corners, values)
        sign = signs(c)
        mixed = (sign.max(axis=1) > 0) & (sign.min(axis=1) < 0)
        total += float((areas * abs(c.mean(axis=1)))[~mixed].sum())
        corners, values, areas, c = corners[mixed], values[mixed], areas[mixed], c[mixed]
        ends = c[:, np.argmax(basis.indices, axis=0)]
        error = areas * abs(c - ends @ basis.weights.T).mean(axis=1)
        estimate = integral_of_modulus(areas, ends)
        allowed = tolerance * (total + float(estimate.sum()))
        # Largest errors are refined, until the others add up to what is allowed.
        order = np.argsort(error)
        keep = (np.cumsum(error[order]) <= allowed / 2) | (error[order] <= areas[order] * rounding)
        total += float(estimate[order[keep]].sum())
        tolerance /= 2
        refine = order[~keep]
        if not len(refine):
            return total
        corners, values, areas = _quarter(corners[refine], values[refine], areas[refine])


def sup(polynomial: PlanarPolynomial, corners: np.ndarray, values: np.ndarray, tolerance: float) -> float:
    """max |affine − polynomial| over all triangles, to a relative error of `tolerance` besides rounding."""
    basis = Bernstein(max(polynomial.degree, 1), exact=False)
    rounding = basis.rounding(polynomial, corners, values)
    lower = 0.0
    while True:
        c = basis.coefficients(polynomial, corners, values)
        lower = max(lower, float(abs(c[:, np.argmax(basis.indices, axis=0)]).max()))
        alive = abs(c).max(axis=1) > lower * (1 + tolerance) + rounding
        if not alive.any():
            return lower
        corners, values, _ = _quarter(corners[alive], values[alive], np.zeros(int(alive.sum())))


def _quarter(corners: np.ndarray, values: np.ndarray, areas: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each triangle cut in four by the middles of its sides."""
    if 4 * len(corners) > _MAX_TRIANGLES:
        raise ValueError(f"tolerance needs more than {_MAX_TRIANGLES} triangles; take a larger one")
    corners = np.einsum("qij,tjx->tqix", _QUARTERS, corners).reshape(-1, 3, 2)
    values = np.einsum("qij,tj->tqi", _QUARTERS, values).reshape(-1, 3)
    return corners, values, np.repeat(areas / 4, 4)
