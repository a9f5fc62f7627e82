"""Free knots in rationals: closed forms, every partition of a grid, and the enclosures of floating point."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from balls import meets
from hypothesis import given, settings
from hypothesis import strategies as st

from widththeory.bounds import rigorous
from widththeory.bounds.affine_pieces import sawtooth_floor
from widththeory.bounds.free_knot import free_knot_floor as float_floor
from widththeory.bounds.rigorous_free_knot import free_knot_enclosure, free_knot_floor, network_floor
from widththeory.bounds.tabulated import Tabulated
from widththeory.constructions.folded_sawtooth import FoldedSawtooth
from widththeory.exact.one_dim import piecewise

HALF = Fraction(1, 2)


def teeth(num_folds):
    count = 2**num_folds
    return [Fraction(i, count) for i in range(count + 1)], [i % 2 for i in range(count + 1)]


def test_one_piece_and_enough_pieces_are_exact():
    """The sawtooth's best constant: variance 1/12, mean deviation 1/4, half its range; its own pieces cost nothing."""
    for num_folds in (2, 3):
        for norm, value in (("l2", Fraction(1, 12)), ("l1", Fraction(1, 4)), ("sup", HALF)):
            assert free_knot_enclosure(*teeth(num_folds), 1, norm, num_cells=16) == (value, value)
            enough = free_knot_enclosure(*teeth(num_folds), 2**num_folds, norm, num_cells=16)
            assert enough == (0, 0)


def test_two_pieces_of_a_tent_with_a_flat_end():
    """f = relu(1 - 3 x) on [0, 1]: its own breakpoint at 1/3 makes two pieces exact; the best line costs more."""
    knots, values = [0, Fraction(1, 3), 1], [1, 0, 0]
    assert free_knot_enclosure(knots, values, 2, "l2") == (0, 0)
    # Least squares on [0, 1] by the normal equations: int f = 1/6, int x f = 1/54, int f^2 = 1/9.
    slope = 12 * (Fraction(1, 54) - HALF * Fraction(1, 6))
    left = Fraction(1, 9) - Fraction(1, 36) - slope**2 / 12
    assert free_knot_enclosure(knots, values, 1, "l2") == (left, left)


@settings(max_examples=12)
@given(st.lists(st.integers(-6, 6), min_size=4, max_size=6), st.integers(2, 3), st.sampled_from(["l2", "sup"]))
def test_every_partition_with_breakpoints_at_knots_costs_at_least_as_much(values, num_pieces, norm):
    """The upper end is below the best partition at knots, found by trying all; the lower end is below the upper."""
    knots = list(range(len(values)))
    found = free_knot_enclosure(knots, values, num_pieces, norm, num_cells=16)

    def cost(a, b):
        xs, ys = np.arange(a, b + 1.0), np.array(values[a : b + 1], float)
        if norm == "sup":
            chords = [
                abs(ys[t] - ys[i] - (ys[j] - ys[i]) * (t - i) / (j - i))
                for i, j in itertools.combinations(range(len(xs)), 2)
                for t in range(i + 1, j)
            ]
            return max(chords, default=0.0) / 2
        fine = np.linspace(a, b, 4000 * (b - a) + 1)
        heights = np.interp(fine, xs, ys)
        return np.mean((heights - np.polyval(np.polyfit(fine, heights, 1), fine)) ** 2) * (b - a)

    combine = max if norm == "sup" else sum
    best = min(
        combine([cost(a, b) for a, b in itertools.pairwise((0, *inner, len(knots) - 1))])
        for count in range(num_pieces)
        for inner in itertools.combinations(range(1, len(knots) - 1), count)
    )
    # means over 4000 points a cell are off by 1e-3 of values up to 12 at most
    assert 0 <= found.lower <= found.upper <= best * 1.01 + 1e-6


@pytest.mark.parametrize("norm", ["l2", "l1", "sup"])
@pytest.mark.parametrize("num_pieces", [2, 3, 5])
def test_enclosures_of_floats_and_of_rationals_overlap(norm, num_pieces):
    knots, values = teeth(3)
    ball = free_knot_floor(knots, values, num_pieces, norm, num_cells=32)
    floating = float_floor(Tabulated(np.array(knots, float), np.array(values, float)), num_pieces, norm, 128)
    assert meets(ball, rigorous.to_ball(floating))
    assert ball.upper() >= 0
    squared = free_knot_enclosure(knots, values, num_pieces, norm, num_cells=32)
    assert squared.lower <= squared.upper


def test_more_cells_prove_more_and_more_pieces_cost_less():
    knots, values = teeth(3)
    coarse, fine = (free_knot_enclosure(knots, values, 3, num_cells=cells) for cells in (8, 64))
    assert coarse.lower < fine.lower <= fine.upper <= coarse.upper
    assert (fine.upper - fine.lower) < (coarse.upper - coarse.lower) / 4
    lower = [free_knot_enclosure(knots, values, pieces, num_cells=24).lower for pieces in (1, 2, 3, 4)]
    assert lower == sorted(lower, reverse=True)


@pytest.mark.parametrize(("width", "norm"), [(2, "l2"), (5, "l2"), (3, "l1"), (6, "sup")])
def test_explicit_networks_lie_above_and_the_formula_below(width, norm):
    """In rationals on both sides: the distance of `FoldedSawtooth` is exact too."""
    curve = piecewise(FoldedSawtooth(3, width, 1).network(), 0, 1, "rational")
    distance = dict(
        zip(
            ("l1", "l2", "sup"),
            curve.exact_distance(piecewise(FoldedSawtooth(3, 8, 1).network(), 0, 1, "rational")),
            strict=True,
        )
    )
    found = free_knot_enclosure(*teeth(3), curve.num_pieces, norm, num_cells=40)
    assert found.lower <= distance[norm]
    ball = network_floor(*teeth(3), (width,), norm, num_cells=24)
    assert ball.upper() >= sawtooth_floor(3, (width,), norm).lower


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0, 1], 0), "num_pieces must be"),
        (([0, 1], [0, 1], 1, "l3"), "norm must be one of"),
        (([0], [0], 1), "knots must be at least two"),
        (([0, 0], [0, 1], 1), "knots must increase"),
    ],
)
def test_bad_input_gets_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        free_knot_enclosure(*arguments)
