"""Arrays of exact rationals: `flint.fmpq` where python-flint is installed, `fractions.Fraction` otherwise."""

import math
from fractions import Fraction
from numbers import Rational
from typing import Any

import numpy as np

try:
    import flint
except ModuleNotFoundError:  # the same numbers with fractions alone, some ten times slower
    flint = None  # type: ignore[assignment]


def _number(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value  # Fraction knows neither float32 nor overflow
    if flint is None:
        return Fraction(value)
    # A Fraction made from a float on the way would take twice the time.
    return flint.fmpq(*(value if isinstance(value, float) else Fraction(value)).as_integer_ratio())


def _fraction(number: Any) -> Fraction:
    return number if isinstance(number, Fraction) else Fraction(int(number.p), int(number.q))


_numbers = np.frompyfunc(_number, 1, 1)
_fractions = np.frompyfunc(_fraction, 1, 1)
_floats = np.frompyfunc(lambda number: int(number.numerator) / int(number.denominator), 1, 1)


def is_finite(value: Any) -> bool:
    """Whether it is a real number, neither NaN nor infinite; rationals may be too large for float64."""
    try:
        return isinstance(value, Rational) or math.isfinite(value)
    except TypeError:
        return False


def in_range(array: np.ndarray, smallest: float = 1e-100) -> bool:
    """Whether all numbers but 0 are from `smallest` to 1e100 in size: products neither underflow nor overflow."""
    sizes = abs(array)
    return bool(np.all(sizes <= 1e100) and not np.any((sizes < smallest) & (array != 0)))


def to_numbers(array: Any) -> np.ndarray:
    """Exact numbers to compute with, from Fractions, integers or floats (a float is the dyadic rational it stores)."""
    array = np.asarray(array, dtype=object)
    return np.asarray(_numbers(array), dtype=object).reshape(array.shape)


def to_fractions(array: np.ndarray) -> np.ndarray:
    """The same numbers as Fractions."""
    return np.asarray(_fractions(array), dtype=object).reshape(array.shape)


def to_floats(array: np.ndarray) -> np.ndarray:
    """The nearest float64 to each number: division of Python integers rounds correctly."""
    return np.asarray(_floats(array), dtype=object).reshape(array.shape).astype(np.float64)


def signs(array: np.ndarray) -> np.ndarray:
    """-1, 0 or 1 for each number, of any real type."""
    return (array > 0).astype(np.int8) - (array < 0).astype(np.int8)


def matmul(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Product of two matrices of exact numbers; sums without terms are 0."""
    shape = (len(left), right.shape[1])
    product = np.empty(shape[0] * shape[1], dtype=object)
    product.fill(_number(0))
    if left.size and right.size:
        if flint is None:
            return np.asarray(left @ right, dtype=object)
        first, second = (flint.fmpq_mat(len(part), len(part.T), part.ravel().tolist()) for part in (left, right))
        product[:] = (first * second).entries()
    return product.reshape(shape)


class ExactAffine:
    """The map row -> weight @ row + bias, applied to rows of exact numbers."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray):
        self._weight, self._bias = to_numbers(weight).T, to_numbers(bias)
        # Made once: for a single row it costs as much as the product.
        rows, columns = self._weight.shape
        self._matrix = None if flint is None else flint.fmpq_mat(rows, columns, self._weight.ravel().tolist())

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        if self._matrix is None:
            return matmul(rows, self._weight) + self._bias
        product = np.empty(len(rows) * len(self._bias), dtype=object)
        product[:] = (flint.fmpq_mat(len(rows), len(self._weight), rows.ravel().tolist()) * self._matrix).entries()
        return product.reshape(len(rows), len(self._bias)) + self._bias


def total(array: np.ndarray) -> Fraction:
    """Sum of exact numbers, in pairs: added one after another, denominators would grow to full length at once."""
    numbers = array.ravel()
    while len(numbers) > 1:
        if len(numbers) % 2:
            numbers = np.append(numbers, 0 * numbers[:1])
        numbers = numbers[::2] + numbers[1::2]
    return _fraction(numbers[0])
