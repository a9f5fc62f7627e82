"""Pieces of a scalar-input ReLU network in float64, with running error bounds that say when a decision is certain.

Every combinatorial decision is a sign: of a pre-activation at a knot, or of a change of slope. Each quantity travels
with a bound on its distance to the exact one; a sign is certain when the quantity exceeds its bound, or when both are
zero (exact zeros are common: dead layers).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from widththeory.network import Affine

_UNIT = 2.0**-53  # half a unit in the last place
_SLACK = 1.0 + 1e-9  # covers the rounding of the error bounds themselves
# Weights and what layers make of them: below these a product of two, or of one and its error, may underflow to an
# exact-looking zero.
_TINY, _SMALL = 1e-60, 1e-140


class FloatPieces(NamedTuple):
    """Knots and values after merging; `certain` says that their number is that of the exact network."""

    knots: Float[np.ndarray, "num_knots"]
    values: Float[np.ndarray, "num_knots"]
    certain: bool


@np.errstate(over="ignore", invalid="ignore")  # infinity and NaN exceed no bound, so they are never certain
def float_pieces(layers: Sequence[Affine], low: float, high: float) -> FloatPieces:
    """Knots of the network on [low, high] and its values there, knots without change of slope left out."""
    knots, knot_errors = np.array([low, high]), np.zeros(2)
    certain = not (any(_some_below(_TINY, part) for layer in layers for part in layer) or _some_below(_SMALL, knots))
    hidden, errors = knots[None, :].copy(), np.zeros((1, 2))
    # Change of slope of each unit at each knot. Carried along rather than taken from the values, whose quotients lose
    # all digits where knots are close. Zero with error zero: certainly none.
    jumps, jump_errors = np.zeros((1, 2)), np.zeros((1, 2))
    for weight, bias in layers[:-1]:
        values, errors = _affine(weight, bias, hidden, errors)
        jumps, jump_errors = _affine(weight, np.zeros(len(bias)), jumps, jump_errors)
        certain &= _signs_are_certain(values, errors)
        columns, rows, *places = _crossings(knots, values, errors)
        born = np.zeros((2, len(bias), len(columns)))  # jumps of the new knots and their errors
        new_values, new_errors = _between(values, errors, columns, *places)
        new_knots, new_knot_errors = _between(knots[None, :], knot_errors[None, :], columns, *places)
        new_knots = np.clip(new_knots, knots[columns], knots[columns + 1])  # weights may sum to a rounding more than 1
        each = np.arange(len(columns))
        new_values[rows, each] = new_errors[rows, each] = 0.0
        certain &= _signs_are_certain(new_values, new_errors)  # so new knots are distinct, too
        born[:, rows, each] = _slopes(knots, knot_errors, values[rows], errors[rows], columns)
        at = columns + 1
        positive, signs = values > 0, np.sign(values)
        beside = np.zeros(values.shape, dtype=bool)
        beside[:, 1:-1] = (signs[:, 1:-1] == 0) & (positive[:, :-2] | positive[:, 2:])
        certain &= not np.any(beside)  # a unit that is zero at an old knot and active beside it: a tie
        jumps = np.where(positive, jumps, np.where(beside, 1.0, 0.0))
        jump_errors = np.where(positive, jump_errors, 0.0)
        knots, knot_errors = np.insert(knots, at, new_knots[0]), np.insert(knot_errors, at, new_knot_errors[0])
        values, errors = np.insert(values, at, new_values, axis=1), np.insert(errors, at, new_errors, axis=1)
        jumps, jump_errors = np.insert(jumps, at, born[0], axis=1), np.insert(jump_errors, at, born[1], axis=1)
        certain &= not (_some_below(_SMALL, values) or _some_below(_SMALL, jumps))
        positive = values > 0
        hidden = np.where(positive, values, 0.0)
        errors = np.where(positive, errors, 0.0)  # an inactive unit is exactly zero
        keep = np.asarray(np.any((jumps != 0) | (jump_errors != 0), axis=0))
        keep[0] = keep[-1] = True
        if not keep.all():
            knots, knot_errors, jumps, jump_errors = (
                knots[keep],
                knot_errors[keep],
                jumps[:, keep],
                jump_errors[:, keep],
            )
            hidden, errors = hidden[:, keep], errors[:, keep]
    weight, bias = layers[-1]
    outputs, _ = _affine(weight, bias, hidden, errors)
    jumps, jump_errors = _affine(weight, np.zeros(1), jumps, jump_errors)
    certain &= _signs_are_certain(jumps[:, 1:-1], jump_errors[:, 1:-1])
    keep = (jumps[0] != 0) | (jump_errors[0] != 0)
    keep[0] = keep[-1] = True
    knots, output, clear = knots[keep], outputs[0, keep], np.abs(jumps[0, keep]) > jump_errors[0, keep]
    bends = _bends(knots, output, clear)
    knots, output = knots[bends], output[bends]
    apart, rounding = np.diff(knots) > 0, 1e-14 * float(np.max(np.abs(output)))
    # of knots that are one float the last is kept, and those before a jump
    kept = np.append(apart | (np.abs(np.diff(output)) > rounding), True)
    return FloatPieces(knots[kept], output[kept], bool(certain and apart.all()))


def _affine(
    weight: np.ndarray, bias: np.ndarray, hidden: np.ndarray, errors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    values = weight @ hidden + bias[:, None]
    rounding = (weight.shape[1] + 2) * _UNIT * _SLACK  # any order of summation
    bound = np.abs(weight) @ (errors + rounding * np.abs(hidden)) + (rounding * np.abs(bias))[:, None]
    return values, bound * _SLACK


def _some_below(least: float, numbers: np.ndarray) -> bool:
    return bool(np.any((np.abs(numbers) < least) & (numbers != 0)))


def _signs_are_certain(values: np.ndarray, errors: np.ndarray) -> bool:
    return bool(np.all((np.abs(values) > errors) | ((values == 0) & (errors == 0))))


def _crossings(knots: np.ndarray, values: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, ...]:
    """Zeros strictly inside intervals: (interval, unit, weight of its right end, of its left end, error of these)."""
    positive, negative = values > 0, values < 0
    change = (positive[:, :-1] & negative[:, 1:]) | (negative[:, :-1] & positive[:, 1:])
    rows, columns = np.nonzero(change)
    left, right = np.abs(values[rows, columns]), np.abs(values[rows, columns + 1])
    left_error, right_error = errors[rows, columns], errors[rows, columns + 1]
    total = left + right
    fractions = left / total
    rest = np.where(right < 1e-12 * total, right / total, 1.0 - fractions)  # 1 - fractions would lose a zero that near
    smallest = np.maximum(total - left_error - right_error, 1e-300)
    fraction_errors = ((right * left_error + left * right_error) / total / smallest + 4 * _UNIT) * _SLACK
    order = np.lexsort((fractions, rest * knots[columns] + fractions * knots[columns + 1], columns))
    return columns[order], rows[order], fractions[order], rest[order], fraction_errors[order]


def _between(
    values: np.ndarray,
    errors: np.ndarray,
    columns: np.ndarray,
    fractions: np.ndarray,
    rest: np.ndarray,
    fraction_errors: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolation inside intervals; a convex combination, so that two inactive ends stay inactive, with error 0."""
    left, right = values[:, columns], values[:, columns + 1]
    left_error, right_error = errors[:, columns], errors[:, columns + 1]
    result = rest * left + fractions * right
    bound = rest * left_error + fractions * right_error
    bound += fraction_errors * (np.abs(right - left) + left_error + right_error)
    bound += 6 * _UNIT * np.maximum(np.abs(left), np.abs(right))  # two products, their sum, and that of the weights
    return result, bound * _SLACK


def _slopes(
    knots: np.ndarray, knot_errors: np.ndarray, values: np.ndarray, errors: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Absolute slope of row k in interval columns[k], and its error: the jump that a ReLU makes of a crossing."""
    each = np.arange(len(columns))
    step = knots[columns + 1] - knots[columns]
    step_error = knot_errors[columns + 1] + knot_errors[columns] + 2 * _UNIT * step
    slope = np.abs(values[each, columns + 1] - values[each, columns]) / np.maximum(step, 1e-300)
    rise_error = errors[each, columns + 1] + errors[each, columns]
    # |a/b - a'/b'| <= (|a - a'| + |a/b| |b - b'|) / b', and b' >= b - |b - b'|
    least = np.maximum(step - step_error, 1e-300)
    return slope, ((rise_error + slope * step_error) / least + 4 * _UNIT * slope) * _SLACK


def _bends(knots: np.ndarray, values: np.ndarray, clear: np.ndarray) -> np.ndarray:
    """Which knots to keep: those that are clear, and of those that the error bound, a worst case, cannot confirm all
    but the ones that are on chords up to rounding. Neighbours go in turns, as many small bends make a large one."""
    kept = np.arange(len(knots))
    while True:
        loose = ~(clear[kept] | _moves(knots[kept], values[kept]))
        places = np.arange(len(kept))
        in_run = places - np.maximum.accumulate(np.where(loose, 0, places))
        stays = in_run % 2 == 0
        if stays.all():
            return kept
        kept = kept[stays]


def _moves(knots: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Which knots are off the chord of their neighbours by more than rounding; the ends always are."""
    steps, rises = np.diff(knots), np.diff(values)
    turn = np.abs(rises[:-1] * steps[1:] - rises[1:] * steps[:-1])
    scale = 1e-14 * max(float(np.max(np.abs(values))), 1e-300)
    return np.concatenate([[True], turn > scale * (steps[:-1] + steps[1:]), [True]])
