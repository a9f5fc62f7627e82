"""Pieces of a scalar-input ReLU network in float64, with running error bounds that say when a decision is certain.

Every combinatorial decision is a sign: of a pre-activation at a knot, of the distance between two knots born in one
interval, of a change of slope. Each quantity travels with a bound on its distance to the exact one; a sign is certain
when the quantity exceeds its bound, or when both are zero (exact zeros are common: dead layers).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from widththeory.network import Affine

_UNIT = 2.0**-53  # half a unit in the last place
_SLACK = 1.0 + 1e-9  # covers the rounding of the error bounds themselves
_TINY = 1e-60  # below this a product may underflow to an exact-looking zero


class FloatPieces(NamedTuple):
    """Knots and values after merging; `certain` says that their number is that of the exact network."""

    knots: Float[np.ndarray, "num_knots"]
    values: Float[np.ndarray, "num_knots"]
    certain: bool


def float_pieces(layers: Sequence[Affine], low: float, high: float) -> FloatPieces:
    """Knots of the network on [low, high] and its values there, knots without change of slope left out."""
    certain = not any(np.any((np.abs(part) < _TINY) & (part != 0)) for layer in layers for part in layer)
    knots, knot_errors = np.array([low, high]), np.zeros(2)
    hidden, errors = knots[None, :].copy(), np.zeros((1, 2))
    kinked = np.zeros((1, 2), dtype=bool)  # False: this unit is certainly affine across the knot
    for weight, bias in layers[:-1]:
        values, errors = _affine(weight, bias, hidden, errors)
        kinked = kinks_of_preactivations(weight, kinked)
        certain &= _signs_are_certain(values, errors)
        columns, fractions, fraction_errors, rows, distinct = _crossings(values, errors)
        certain &= distinct
        crossed = np.zeros((len(bias), len(knots)), dtype=bool)
        if len(columns):
            new_values, new_errors = _between(values, errors, columns, fractions, fraction_errors)
            born = np.arange(len(columns))
            new_values[rows, born] = new_errors[rows, born] = 0.0
            new_knots, new_knot_errors = _between(
                knots[None, :], knot_errors[None, :], columns, fractions, fraction_errors
            )
            new_crossed = np.zeros(new_values.shape, dtype=bool)
            new_crossed[rows, born] = True
            certain &= _signs_are_certain(new_values, new_errors)
            at = columns + 1
            knots, knot_errors = np.insert(knots, at, new_knots[0]), np.insert(knot_errors, at, new_knot_errors[0])
            values, errors = np.insert(values, at, new_values, axis=1), np.insert(errors, at, new_errors, axis=1)
            kinked, crossed = np.insert(kinked, at, False, axis=1), np.insert(crossed, at, new_crossed, axis=1)
        positive = values > 0
        hidden = np.where(positive, values, 0.0)
        # An inactive unit is exactly zero. Where the sign is in doubt the bound stays: relu is 1-Lipschitz.
        errors = np.where(positive | (values > -errors), errors, 0.0)
        kinked = kinks_after_relu(np.sign(values), kinked) | crossed
        keep = np.asarray(np.any(kinked, axis=0))
        keep[0] = keep[-1] = True
        if not keep.all():
            knots, knot_errors, kinked = knots[keep], knot_errors[keep], kinked[:, keep]
            hidden, errors = hidden[:, keep], errors[:, keep]
    weight, bias = layers[-1]
    outputs, output_errors = _affine(weight, bias, hidden, errors)
    keep = kinks_of_preactivations(weight, kinked)[0]
    keep[0] = keep[-1] = True
    knots, knot_errors, output, error = knots[keep], knot_errors[keep], outputs[0, keep], output_errors[0, keep]
    bends, bends_are_certain = _bends(knots, knot_errors, output, error)
    return FloatPieces(knots[bends], output[bends], bool(certain and bends_are_certain))


def kinks_of_preactivations(
    weight: np.ndarray, kinked: Bool[np.ndarray, "fan_in num_knots"]
) -> Bool[np.ndarray, "fan_out num_knots"]:
    """Where weight @ hidden + bias may change slope: where it reads a unit that may."""
    return (weight != 0).astype(np.float64) @ kinked.astype(np.float64) > 0


def kinks_after_relu(
    signs: np.ndarray, kinked: Bool[np.ndarray, "units num_knots"]
) -> Bool[np.ndarray, "units num_knots"]:
    """Where relu(z) may change slope, from the signs of z at all knots (its zeros among them).

    Active on both sides: where z does. Inactive on both sides: nowhere. At a zero: where a neighbouring knot is active.
    """
    active = signs > 0
    beside: np.ndarray = np.zeros(active.shape, dtype=bool)
    beside[:, 1:-1] = active[:, :-2] | active[:, 2:]
    return (active & kinked) | (beside & (signs == 0))


def _affine(
    weight: np.ndarray, bias: np.ndarray, hidden: np.ndarray, errors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    values = weight @ hidden + bias[:, None]
    rounding = (weight.shape[1] + 2) * _UNIT * _SLACK  # any order of summation
    bound = np.abs(weight) @ (errors + rounding * np.abs(hidden)) + (rounding * np.abs(bias))[:, None]
    return values, bound * _SLACK


def _signs_are_certain(values: np.ndarray, errors: np.ndarray) -> bool:
    return bool(np.all((np.abs(values) > errors) | ((values == 0) & (errors == 0))))


def _crossings(values: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, bool]:
    """Zeros strictly inside intervals: (interval, fraction, error of the fraction, unit), sorted, and: all distinct?"""
    positive, negative = values > 0, values < 0
    change = (positive[:, :-1] & negative[:, 1:]) | (negative[:, :-1] & positive[:, 1:])
    rows, columns = np.nonzero(change)
    left, right = np.abs(values[rows, columns]), np.abs(values[rows, columns + 1])
    left_error, right_error = errors[rows, columns], errors[rows, columns + 1]
    total = left + right
    fractions = left / total
    smallest = np.maximum(total - left_error - right_error, 1e-300)
    fraction_errors = ((right * left_error + left * right_error) / total / smallest + 4 * _UNIT) * _SLACK
    order = np.lexsort((fractions, columns))
    rows, columns, fractions, fraction_errors = rows[order], columns[order], fractions[order], fraction_errors[order]
    gap = np.diff(fractions) > fraction_errors[1:] + fraction_errors[:-1]
    return columns, fractions, fraction_errors, rows, bool(np.all(gap | (np.diff(columns) > 0)))


def _between(
    values: np.ndarray, errors: np.ndarray, columns: np.ndarray, fractions: np.ndarray, fraction_errors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolation inside intervals; a convex combination, so that two inactive ends stay inactive."""
    left, right = values[:, columns], values[:, columns + 1]
    left_error, right_error = errors[:, columns], errors[:, columns + 1]
    result = (1.0 - fractions) * left + fractions * right
    bound = (1.0 - fractions) * left_error + fractions * right_error
    bound += fraction_errors * (np.abs(right - left) + left_error + right_error)
    bound += 4 * _UNIT * np.maximum(np.abs(left), np.abs(right))
    both_zero = (left == 0) & (right == 0) & (left_error == 0) & (right_error == 0)
    return result, np.where(both_zero, 0.0, bound * _SLACK)


def _bends(
    knots: np.ndarray, knot_errors: np.ndarray, values: np.ndarray, errors: np.ndarray
) -> tuple[np.ndarray, bool]:
    """Which knots change the slope, and whether that is certain at each of them."""
    bends = np.ones(len(knots), dtype=bool)
    steps, rises = np.diff(knots), np.diff(values)
    step_errors = knot_errors[1:] + knot_errors[:-1] + 2 * _UNIT * np.abs(steps)
    rise_errors = errors[1:] + errors[:-1] + 2 * _UNIT * np.abs(rises)
    turn = rises[:-1] * steps[1:] - rises[1:] * steps[:-1]
    bound = np.abs(rises[:-1]) * step_errors[1:] + rise_errors[:-1] * (steps[1:] + step_errors[1:])
    bound += np.abs(rises[1:]) * step_errors[:-1] + rise_errors[1:] * (steps[:-1] + step_errors[:-1])
    bound += 4 * _UNIT * (np.abs(rises[:-1] * steps[1:]) + np.abs(rises[1:] * steps[:-1]))
    certain = np.abs(turn) > bound * _SLACK
    # The bound is a worst case. A bend it cannot confirm still counts when it moves the value by more than rounding.
    moved = np.abs(turn) > 1e-14 * max(float(np.max(np.abs(values))), 1e-300) * (steps[:-1] + steps[1:])
    bends[1:-1] = certain | moved
    return bends, bool(np.all(certain))
