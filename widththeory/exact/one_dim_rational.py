"""Pieces of a scalar-input ReLU network in exact rational arithmetic: every tie is decided."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from widththeory.exact.rationals import matmul, signs, to_fractions, to_numbers
from widththeory.network import Affine


class RationalPieces(NamedTuple):
    """Knots and values after merging, as Fractions."""

    knots: tuple[Fraction, ...]
    values: tuple[Fraction, ...]


def rational_pieces(layers: Sequence[Affine], low: Any, high: Any) -> RationalPieces:
    """Knots of the network on [low, high] and its values there, knots without change of slope left out.

    Args:
        layers: affine maps with Fraction or float entries (a float is the dyadic rational it stores).
        low, high: ends of the interval, Fractions, ints or floats.
    """
    knots, zero = to_numbers([low, high]), to_numbers(0)
    hidden, kinked = knots[None, :], np.zeros((1, 2), dtype=bool)
    for weight, bias in layers[:-1]:
        values = _affine(weight, bias, hidden)
        kinked = _kinks_of_preactivations(weight, kinked)
        sign = signs(values)
        rows, columns = np.nonzero(sign[:, :-1] * sign[:, 1:] < 0)
        if len(rows):
            left, right = values[rows, columns], values[rows, columns + 1]
            born = sorted(set(zip(columns.tolist(), left / (left - right), strict=True)))  # ties become one knot
            columns, fractions = np.array([column for column, _ in born]), _objects([t for _, t in born])
            between = values[:, columns] + fractions * (values[:, columns + 1] - values[:, columns])
            new_knots = knots[columns] + fractions * (knots[columns + 1] - knots[columns])
            at = columns + 1
            knots, values = np.insert(knots, at, new_knots), np.insert(values, at, between, axis=1)
            sign = np.insert(sign, at, signs(between), axis=1)
            kinked = np.insert(kinked, at, False, axis=1)
        hidden = np.where(sign > 0, values, zero)
        kinked = _kinks_after_relu(sign, kinked)
        keep = np.asarray(np.any(kinked, axis=0))
        keep[0] = keep[-1] = True
        knots, hidden, kinked = knots[keep], hidden[:, keep], kinked[:, keep]
    weight, bias = layers[-1]
    output = _affine(weight, bias, hidden)[0]
    keep = _kinks_of_preactivations(weight, kinked)[0]
    keep[0] = keep[-1] = True
    knots, output = knots[keep], output[keep]
    steps, rises = np.diff(knots), np.diff(output)
    keep = np.ones(len(knots), dtype=bool)
    keep[1:-1] = rises[:-1] * steps[1:] != rises[1:] * steps[:-1]
    return RationalPieces(tuple(to_fractions(knots[keep])), tuple(to_fractions(output[keep])))


def rational_distance(first: RationalPieces, second: RationalPieces) -> tuple[Fraction, Fraction, Fraction]:
    """Exact (L1 distance, squared L2 distance, sup distance) of two continuous piecewise-affine functions."""
    knots = sorted(set(first.knots) | set(second.knots))
    gaps = [a - b for a, b in zip(_resample(first, knots), _resample(second, knots), strict=True)]
    l1 = l2_squared = Fraction(0)
    for x, y, a, b in zip(knots, knots[1:], gaps, gaps[1:], strict=False):
        if a * b >= 0:
            l1 += (y - x) * (abs(a) + abs(b)) / 2
        else:
            l1 += (y - x) * (a * a + b * b) / (2 * (abs(a) + abs(b)))
        l2_squared += (y - x) * (a * a + a * b + b * b) / 3
    return l1, l2_squared, max(map(abs, gaps))


def _resample(pieces: RationalPieces, knots: Sequence[Fraction]) -> list[Fraction]:
    """Values at `knots`, which are sorted and contain the function's own."""
    result, piece = [], 0
    for x in knots:
        while piece < len(pieces.knots) - 2 and x > pieces.knots[piece + 1]:
            piece += 1
        (x0, x1), (y0, y1) = pieces.knots[piece : piece + 2], pieces.values[piece : piece + 2]
        result.append(y0 + (y1 - y0) * (x - x0) / (x1 - x0))
    return result


def _objects(numbers: Sequence[Any]) -> np.ndarray:
    result = np.empty(len(numbers), dtype=object)
    result[:] = numbers
    return result


def _affine(weight: np.ndarray, bias: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    return np.asarray(matmul(to_numbers(weight), hidden) + to_numbers(bias)[:, None])


def _kinks_of_preactivations(weight: np.ndarray, kinked: np.ndarray) -> np.ndarray:
    """Where weight @ hidden + bias may change slope: where it reads a unit that may."""
    return (weight != 0).astype(np.float64) @ kinked.astype(np.float64) > 0


def _kinks_after_relu(sign: np.ndarray, kinked: np.ndarray) -> np.ndarray:
    """Where relu(z) may change slope, from the signs of z at all knots (its zeros among them).

    Active on both sides: where z does. Inactive on both sides: nowhere. At a zero: where a neighbouring knot is active.
    """
    active = sign > 0
    beside: np.ndarray = np.zeros(active.shape, dtype=bool)
    beside[:, 1:-1] = active[:, :-2] | active[:, 2:]
    return (active & kinked) | (beside & (sign == 0))
