"""x^2 at any width and depth: errors measured exactly against the formula, and against the floor of the size."""

import math
from fractions import Fraction

import numpy as np
import pytest

from widththeory.bounds.affine_pieces import square_floor
from widththeory.constructions.folded_square import FoldedSquare
from widththeory.constructions.yarotsky import Square
from widththeory.exact.one_dim import piecewise
from widththeory.metrics import exact_metrics

SIZES = [(1, 1), (2, 1), (9, 1), (3, 2), (4, 2), (3, 3), (5, 3), (3, 6)]


@pytest.mark.parametrize(("width", "depth"), SIZES)
@pytest.mark.parametrize("norm", ["sup", "l2"])
def test_errors_are_attained_and_above_the_floor(width, depth, norm):
    made = FoldedSquare(width, depth, norm)
    found = exact_metrics(made.network(), made)
    # The rounding of values near 1 is some 1e-16, the smallest error here 1e-5.
    assert found[f"exact_{norm}_error"] == pytest.approx(made.error().bound, rel=1e-9)
    floor = square_floor(made.size().widths, norm).lower
    assert floor <= made.error().bound
    # The best with w + 1 pieces a layer, against w or more in the first and w - 1 in the others.
    assert made.error().bound <= floor * ((width + 1) ** depth * float(made.piece_length)) ** 2 * (1 + 1e-12)
    assert math.isclose(made.error().bound, FoldedSquare(width, depth).error().bound) == (norm == "sup")


@pytest.mark.parametrize(("width", "depth"), [(4, 1), (4, 2), (3, 4)])
def test_it_lies_as_far_above_as_below_at_the_corners_and_between(width, depth):
    """In rationals: the error is -h^2/8 at each corner and +h^2/8 midway: no better function has such pieces."""
    made = FoldedSquare(width, depth)
    curve = piecewise(made.network(), Fraction(0), Fraction(1))
    knots, values = curve.exact
    inside = slice(1, None) if depth == 1 else slice(None)  # a single layer has half a piece at 0
    step = made.piece_length
    assert {knot**2 - value for knot, value in zip(knots[inside], values[inside], strict=True)} == {step**2 / 8}
    assert {after - before for before, after in zip(knots[1:], knots[2:], strict=False)} == {step}
    middle = [(before + after) / 2 for before, after in zip(knots[1:], knots[2:], strict=False)]
    found = made.network().exact([[point] for point in middle])[:, 0]
    assert {value - point**2 for point, value in zip(middle, found, strict=True)} == {step**2 / 8}


def test_square_of_width_three_is_measured_exactly():
    for order in (1, 2, 5):
        made = Square(order)
        found = exact_metrics(made.network(), made)
        assert found["exact_sup_error"] == pytest.approx(2.0 ** (-2 * order - 2), rel=1e-9)
        # The chord's gap u (h - u) has second moment h^4 / 30.
        assert found["exact_l2_error"] == pytest.approx(4.0**-order / np.sqrt(30), rel=1e-9)
        assert found["exact_l1_error"] == pytest.approx(4.0**-order / 6, rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1), "width must be an integer of at least 1, got 0"),
        ((2, 2), "width must be an integer of at least 3, got 2"),
        ((3, 0), "depth must be an integer of at least 1, got 0"),
        ((3, 1, "l1"), "norm must be 'sup' or 'l2', got 'l1'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        FoldedSquare(*arguments)
