"""The sawtooth at any width and depth: errors in rationals against the formula, and against the floor of the size."""

from fractions import Fraction

import pytest

from widththeory.bounds.affine_pieces import sawtooth_floor
from widththeory.constructions.folded_sawtooth import FoldedSawtooth
from widththeory.constructions.telgarsky import Sawtooth
from widththeory.exact.one_dim import piecewise

SIZES = [(k, width, depth) for k in (1, 3, 5) for width in (2, 3, 4, 7, 8, 31, 32) for depth in (1, 2, 3) if depth <= k]


@pytest.mark.parametrize(("num_folds", "width", "depth"), SIZES)
def test_errors_are_those_of_the_formula_in_rationals(num_folds, width, depth):
    made = FoldedSawtooth(num_folds, width, depth)
    zero, one = Fraction(0), Fraction(1)
    target = piecewise(Sawtooth(num_folds).network(), zero, one)
    l1, l2_squared, _ = piecewise(made.network(), zero, one).exact_distance(target)
    assert (l1, l2_squared) == (made.missed / 4, made.missed / 12)
    assert made.error().bound ** 2 == pytest.approx(float(made.missed) / 12, rel=1e-14)
    assert made.size().depth == depth
    assert made.size().width <= width
    floors = [sawtooth_floor(num_folds, made.size().widths, norm).lower for norm in ("l1", "l2")]
    assert floors[0] <= made.missed / 4
    assert floors[1] ** 2 <= float(made.missed) / 12


def test_exact_from_the_width_that_folds_often_enough():
    """One layer needs 2^k units, two the square root of it, k layers two; one unit less is not exact."""
    for depth, width in ((1, 64), (2, 8), (3, 4), (6, 2)):
        assert FoldedSawtooth(6, width, depth).missed == 0
        assert FoldedSawtooth(6, width, depth).size().widths == (width,) * depth
    for depth, width in ((1, 63), (2, 7), (3, 3)):
        assert FoldedSawtooth(6, width, depth).missed > 0


def test_wider_and_deeper_is_no_worse():
    missed = {(w, d): FoldedSawtooth(7, w, d).missed for w in range(2, 40) for d in range(1, 8)}
    assert all(missed[w + 1, d] <= missed[w, d] for w, d in missed if (w + 1, d) in missed)
    assert all(missed[w, d + 1] <= missed[w, d] for w, d in missed if (w, d + 1) in missed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 2, 1), "num_folds must be an integer of at least 1, got 0"),
        ((3, 1, 1), "width must be an integer of at least 2, got 1"),
        ((3, 2, 4), "depth must be at most num_folds = 3, got 4"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        FoldedSawtooth(*arguments)
