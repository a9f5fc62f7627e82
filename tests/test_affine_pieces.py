"""Piece counts against networks that attain them, floors against hand values and best piecewise fits."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widththeory.bounds.affine_pieces import (
    depth_for_pieces,
    max_affine_pieces,
    pieces_for_square,
    sawtooth_floor,
    square_floor,
    width_for_pieces,
)
from widththeory.constructions.telgarsky import Sawtooth
from widththeory.exact.one_dim import PiecewiseLinear, Polynomial, piecewise
from widththeory.network import Network

widths_lists = st.lists(st.integers(1, 9), max_size=5)


def folding(widths):
    """Layers that each map [0, 1] onto itself in w + 1 monotone pieces, w >= 3, in exact rationals.

    Slopes 2q, -q, q, -q, ... with q = w + 1/2. The third unit looks left, relu(k_3 - y), and so carries the first
    piece: its slope is the sum of those beside the third kink.
    """
    layers, weight, bias = [], np.array([[Fraction(1)]], dtype=object), np.array([Fraction(0)], dtype=object)
    for width in widths:
        kinks = np.array([Fraction(2 * j + 1, 2 * width + 1) for j in range(width)], dtype=object)
        sides = np.array([[Fraction(-1 if j == 2 else 1)] for j in range(width)], dtype=object)
        layers.append((sides @ weight, sides[:, 0] * (bias - kinks)))
        jumps = [Fraction(2 * width + 1) * (-1) ** (j + 1) for j in range(width)]
        jumps[0] = Fraction(-3 * (2 * width + 1), 2)
        weight, bias = np.array([jumps], dtype=object), np.array([Fraction(5)], dtype=object)
    return Network([*layers, (weight, bias)])


@pytest.mark.parametrize("widths", [(3,), (4,), (3, 3), (3, 4), (5, 3), (3, 3, 3)])
def test_piece_bound_is_attained_from_width_three(widths):
    folded = piecewise(folding(widths), 0, 1)
    assert folded.num_pieces == max_affine_pieces(widths)
    assert set(folded.values) <= {0.0, 1.0}


@given(widths_lists, st.integers(1, 9))
def test_piece_bound_grows_with_every_width(widths, extra):
    assert max_affine_pieces([*widths, extra]) == max_affine_pieces(widths) * (extra + 1)
    assert max_affine_pieces(widths) <= max_affine_pieces([w + 1 for w in widths])


@pytest.mark.parametrize("widths", [(1,), (4,), (2, 2), (3, 5), (7, 7, 7)])
def test_no_network_has_more_pieces(widths):
    rng = np.random.default_rng(0)
    sizes = [1, *widths, 1]
    for _ in range(20):
        maps = [(rng.standard_normal((o, i)), rng.standard_normal(o)) for i, o in zip(sizes, sizes[1:], strict=False)]
        assert piecewise(Network(maps), -50.0, 50.0).num_pieces <= max_affine_pieces(widths)


@given(st.integers(1, 10**6), st.integers(1, 20))
def test_depth_and_width_are_the_least_that_suffice(num_pieces, size):
    depth = depth_for_pieces(num_pieces, size)
    assert (size + 1) ** depth >= num_pieces
    assert depth == 0 or (size + 1) ** (depth - 1) < num_pieces
    width = width_for_pieces(num_pieces, size)
    assert (width + 1) ** size >= num_pieces
    assert width == 1 or width**size < num_pieces


def test_powers_and_squares_are_attained_exactly():
    assert [width_for_pieces(pieces, 2) for pieces in (15, 16, 17)] == [3, 3, 4]
    assert [depth_for_pieces(pieces, 3) for pieces in (15, 16, 17)] == [2, 2, 3]
    # 1 / (8 P^2) for P = 4, and just below; one piece has 1 / 8
    assert [pieces_for_square(error) for error in (1 / 128, 1 / 128 - 1e-18, 1 / 8, 1.0)] == [4, 5, 1, 1]


@pytest.mark.parametrize("norm", ["sup", "l1"])
def test_error_is_that_of_rounding(norm):
    for floor, exact in (
        (square_floor((2, 2), norm), Fraction(1, (8 if norm == "sup" else 16) * 81)),
        (sawtooth_floor(60, (2,) * 10, "l1"), (1 - Fraction(3**10 - 1, 2**59)) / 4),
    ):
        assert 0 < abs(Fraction(floor.value) - exact) <= Fraction(floor.error)


def test_sawtooth_floor_hand_values():
    # four folds: 8 teeth; P = 4 and P = 8 leave 5/8 and 1/8 of them
    assert sawtooth_floor(4, (3,)).value == 5 / 32
    assert sawtooth_floor(4, (3,), "l2").value ** 2 == pytest.approx(0.0521, abs=5e-5)
    assert sawtooth_floor(4, (7,), "l2").value ** 2 == pytest.approx(0.0104, abs=5e-5)
    assert sawtooth_floor(4, (7,), "sup").value == 0.5
    assert sawtooth_floor(4, (8,), "sup").value == 0.0
    assert sawtooth_floor(300, (3,)).value == pytest.approx(0.25, rel=1e-15)


@pytest.mark.parametrize("norm", ["l1", "l2", "sup"])
@pytest.mark.parametrize("num_folds", [2, 3, 4, 5])
def test_sawtooth_floor_is_below_every_network(num_folds, norm):
    target = piecewise(Sawtooth(num_folds).network(), 0.0, 1.0)
    rng = np.random.default_rng(num_folds)
    networks = [Sawtooth(folds).network() for folds in range(1, num_folds + 1)]
    for _ in range(20):
        maps = [(rng.standard_normal((4, 1)), rng.standard_normal(4)), (rng.standard_normal((1, 4)), np.full(1, 0.5))]
        networks.append(Network(maps))
    for network in networks:
        floor = sawtooth_floor(num_folds, network.size.widths, norm)
        assert getattr(piecewise(network, 0.0, 1.0).distance(target), norm) >= floor.lower


@pytest.mark.parametrize("num_pieces", [1, 2, 5, 16])
def test_square_floor_is_attained_by_equal_pieces(num_pieces):
    """The best affine function on each of P equal intervals, from the extremal polynomials of the three norms."""
    step = 1 / num_pieces
    widths = (num_pieces - 1,) if num_pieces > 1 else ()
    for norm, lift in [("sup", step**2 / 8), ("l2", step**2 / 6), ("l1", 3 * step**2 / 16)]:
        pieces = [PiecewiseLinear(np.array([0.0, step]), np.array([-lift, step**2 - lift]))] * num_pieces
        errors = [getattr(piece.distance(Polynomial((0.0, 0.0, 1.0))), norm) for piece in pieces]
        total = {"sup": max(errors), "l1": sum(errors), "l2": math.sqrt(sum(e * e for e in errors))}[norm]
        assert square_floor(widths, norm).value == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("num_scales", range(1, 12))
def test_pieces_for_square_is_the_formula(num_scales):
    needed = pieces_for_square(2.0 ** (-2 * num_scales - 2))
    assert needed == math.ceil(2 ** (num_scales - 0.5))
    assert square_floor((needed - 1,) if needed > 1 else (), "sup").value <= 2.0 ** (-2 * num_scales - 2)


@pytest.mark.parametrize("depth", [100, 132, 133, 134, 250])
def test_floors_of_very_many_pieces_are_as_good(depth):
    """The squared floor of 4^133 pieces is a float of three bits, from 134 on none: its root has them all."""
    floor, pieces = square_floor((3,) * depth, "l2"), 4**depth
    assert floor.error <= 4e-16 * floor.value
    value, error = Fraction(floor.value), Fraction(floor.error)
    assert (value - error) ** 2 <= Fraction(1, 180 * pieces**4) <= (value + error) ** 2
    sawtooth = sawtooth_floor(1081, (2**1080 - 1,), "l2")  # the last of 2^1080 teeth
    assert sawtooth.lower**2 * 12 <= 2.0**-1070
    assert Fraction(sawtooth.lower) ** 2 <= Fraction(1, 12 * 2**1080) <= Fraction(sawtooth.upper) ** 2


def test_bad_input_gets_one_sentence():
    for call, message in [
        (lambda: max_affine_pieces((3, 0)), "widths must be"),
        (lambda: depth_for_pieces(0, 1), "num_pieces must be"),
        (lambda: width_for_pieces(5, 0), "depth must be"),
        (lambda: sawtooth_floor(0, (1,)), "num_folds must be"),
        (lambda: sawtooth_floor(1, (1,), "l3"), "norm must be"),
        (lambda: square_floor((1,), "l3"), "norm must be"),
        (lambda: pieces_for_square(-1.0), "sup_error must be"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
