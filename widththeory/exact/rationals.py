"""Arrays of exact rationals: `flint.fmpq` where python-flint is installed, `fractions.Fraction` otherwise."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

try:
    import flint
except ModuleNotFoundError:  # the same numbers with fractions alone, some ten times slower
    flint = None  # type: ignore[assignment]


def _number(value: Any) -> Any:
    value = Fraction(value)
    return value if flint is None else flint.fmpq(value.numerator, value.denominator)


def _fraction(number: Any) -> Fraction:
    return number if isinstance(number, Fraction) else Fraction(int(number.p), int(number.q))


_numbers = np.frompyfunc(_number, 1, 1)
_fractions = np.frompyfunc(_fraction, 1, 1)
_floats = np.frompyfunc(lambda number: int(number.numerator) / int(number.denominator), 1, 1)


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


def affine(weight: np.ndarray, bias: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """weight @ row + bias for each row, in exact numbers."""
    return matmul(rows, weight.T) + bias[None, :]


def stack_rows(rows: Sequence[np.ndarray]) -> np.ndarray:
    """One object array from rows of exact numbers."""
    stacked = np.empty((len(rows), len(rows[0])), dtype=object)
    for index, row in enumerate(rows):
        stacked[index] = row
    return stacked


def total(array: np.ndarray) -> Fraction:
    """Sum of exact numbers, in pairs: added one after another, denominators would grow to full length at once."""
    numbers = array.ravel()
    while len(numbers) > 1:
        if len(numbers) % 2:
            numbers = np.append(numbers, 0 * numbers[:1])
        numbers = numbers[::2] + numbers[1::2]
    return _fraction(numbers[0])
