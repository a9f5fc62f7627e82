"""The sawtooth network against the closed formula of a triangle wave."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from widththeory.constructions.telgarsky import EXAMPLES, Sawtooth, separating_sawtooth


def exact_tent(value: Fraction, num_folds: int) -> Fraction:
    """The definition of the tent map, iterated on a rational number."""
    for _ in range(num_folds):
        value = 2 * value if value <= Fraction(1, 2) else 2 - 2 * value
    return value


@pytest.mark.parametrize("num_folds", [1, 2, 5, 9])
def test_rational_network_iterates_the_tent(num_folds):
    points = [Fraction(i, 37) for i in range(38)]
    values = Sawtooth(num_folds).network().exact([[p] for p in points])[:, 0]
    assert list(values) == [exact_tent(p, num_folds) for p in points]


@pytest.mark.parametrize("example", EXAMPLES)
def test_float_network_is_bit_exact(example):
    # 2z, z - 1/2 and 2 - 2z are exact in binary floating point wherever a unit is active, so no tolerance
    points = np.concatenate([example.sample(2000, np.random.default_rng(0)), np.zeros((1, example.input_dim))])
    if example.num_folds > 1:  # the last tent has no outer ReLU, so a single one is right on [0, 1] only
        points = np.concatenate([points, 1 + points, -points])
    np.testing.assert_array_equal(example.network()(points)[:, 0], example.target(points))


def test_folds_beyond_the_exponents_of_floats():
    # one is a multiple of 2^-1074 as every float is, and 2^k times it is more than the largest of them
    points = np.append(np.random.default_rng(0).random(500), [0.0, 0.5, 1.0, 3e-305, 5e-324])[:, None]
    for num_folds in (1023, 1024, 1072, 1074, separating_sawtooth(11).num_folds):
        example = Sawtooth(num_folds)
        np.testing.assert_array_equal(example.network()(points)[:, 0], example.target(points))
    assert Sawtooth(1074).target(np.array([[5e-324]])) == 1


@pytest.mark.parametrize("num_folds", [1, 3, 8])
def test_teeth_are_counted_from_slopes(num_folds):
    example = Sawtooth(num_folds)
    grid = [[Fraction(i, 2 ** (num_folds + 1))] for i in range(2 ** (num_folds + 1) + 1)]
    values = example.network().exact(grid)[:, 0]
    slopes = np.diff(values)
    assert 1 + sum(a != b for a, b in itertools.pairwise(slopes)) == example.num_pieces
    assert sum(v == 1 for v in values) == example.num_teeth == example.num_pieces // 2


def test_one_fold_fewer_is_far_away():
    # |h(z) - z| integrates to 1/8 + 1/24 + 1/6 = 1/3 over [0, 1], and h^5 preserves the uniform law; the midpoint rule
    # errs only in the 32 cells of width 2^-16 where the two waves cross, at relative slope 96, by 96 * 2^-32 / 4 each
    points = ((np.arange(2**16) + 0.5) / 2**16)[:, None]
    gap = np.abs(Sawtooth(6).target(points) - Sawtooth(5).target(points)).mean()
    assert abs(gap - 1 / 3) < 32 * 96 / 4 * 2.0**-32


def test_separating_sawtooth_beats_the_piece_count():
    # 2**k units in k layers make at most (2**k / k + 1)**k pieces, for which the floor is far above 1/64
    for depth in (1, 2, 3, 4):
        example = separating_sawtooth(depth)
        pieces = Fraction(2**depth, depth) + 1
        assert (1 - (pieces**depth - 1) / example.num_teeth) / 4 >= Fraction(1, 64)
    assert separating_sawtooth(2).size().widths == (2,) * 12


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="num_folds must be an integer of at least 1, got 0"):
        Sawtooth(0)
    with pytest.raises(ValueError, match="input_dim"):
        Sawtooth(2, input_dim=0)
