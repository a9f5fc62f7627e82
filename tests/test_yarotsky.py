"""Squares and products: interpolation, attained errors and rates, all in exact rationals."""

from fractions import Fraction

import numpy as np
import pytest

from widththeory.constructions.folded_square import FoldedSquare
from widththeory.constructions.relu_product import ProductBySquares
from widththeory.constructions.yarotsky import Product, Square, order_for


@pytest.mark.parametrize("order", [1, 2, 3, 6])
def test_square_interpolates_at_dyadic_points(order):
    knots = [Fraction(i, 2**order) for i in range(2**order + 1)]
    values = Square(order).network().exact([[k] for k in knots])[:, 0]
    assert list(values) == [k**2 for k in knots]


@pytest.mark.parametrize("order", [1, 2, 3, 6])
def test_square_is_the_chord_between_the_knots(order):
    # independent route: the chord of x^2 over [a, b] at a point is (a + b) x - a b
    cells = 2**order
    points = [Fraction(i, 5 * cells) for i in range(5 * cells)]
    values = Square(order).network().exact([[p] for p in points])[:, 0]
    for point, value in zip(points, values, strict=True):
        left = Fraction(int(point * cells), cells)
        right = left + Fraction(1, cells)
        assert value == (left + right) * point - left * right


@pytest.mark.parametrize("order", [1, 2, 4, 8])
def test_square_error_is_attained_and_falls_by_four(order):
    middles = [Fraction(2 * i + 1, 2 ** (order + 1)) for i in range(2**order)]
    values = Square(order).network().exact([[p] for p in middles])[:, 0]
    bound = Fraction(Square(order).error().bound)
    assert all(value - p**2 == bound for value, p in zip(values, middles, strict=True))
    assert bound == 4 * Fraction(Square(order + 1).error().bound)


@pytest.mark.parametrize(("order", "radius"), [(1, 1.0), (3, 2.5), (5, 0.75)])
def test_product_error_is_attained_and_never_exceeded(order, radius):
    example = Product(order, radius)
    bound, m = Fraction(example.error().bound), Fraction(radius)
    worst = m / 2 ** (order + 1)
    assert example.network().exact([[worst, worst]])[0, 0] - worst**2 == bound
    assert example.network().exact([[worst, -worst]])[0, 0] + worst**2 == -bound
    grid = [[m * Fraction(i, 11), m * Fraction(j, 13)] for i in range(-11, 12) for j in range(-13, 14)]
    values = example.network().exact(grid)[:, 0]
    assert all(abs(value - x * y) <= bound for value, (x, y) in zip(values, grid, strict=True))
    assert all(value == 0 for value, (x, y) in zip(values, grid, strict=True) if x == 0 or y == 0)


def test_sizes_match_the_networks():
    for order in (1, 2, 7):
        assert Square(order).network().size == Square(order).size()
        assert Product(order, 2.0).network().size == Product(order, 2.0).size()
    assert Product(4).size().depth == 5
    assert Product(4).size().width == 6


def test_order_for_is_least():
    for radius in (1.0, 3.0):
        for sup_error in (0.3, 1e-3, 2.0**-12, 1e-9):
            order = order_for(sup_error, radius)
            assert Product(order, radius).error().bound <= sup_error
            assert order == 1 or Product(order - 1, radius).error().bound > sup_error


def test_float_network_is_as_good_as_the_exact_one():
    points = np.random.default_rng(1).random((500, 1))
    exact = Square(6).network().exact(points)[:, 0].astype(float)
    # seven layers of three terms with values at most 1: fewer than 64 roundings of at most 2^-53 each
    np.testing.assert_allclose(Square(6).network()(points)[:, 0], exact, rtol=0, atol=64 * 2.0**-53)


@pytest.mark.parametrize(
    "deep",
    [Square(600), Product(600), FoldedSquare(3, 1200), FoldedSquare(5, 600, "l2"), ProductBySquares(3, 600)],
    ids=lambda deep: type(deep).__name__,
)
def test_no_error_underflows_to_none(deep):
    assert 0 < deep.error().bound < 1e-300


@pytest.mark.parametrize(
    ("deep", "least"),
    [
        (Product(536, 1.2), Fraction(1.2) ** 2 / 4**537),
        (ProductBySquares(1000, 537), Fraction(1023, 4**538)),  # twice the error before and a gate's, ten times
        *[(folded, folded.piece_length**2 / 8) for folded in (FoldedSquare(3, 533), FoldedSquare(5, 267))],
    ],
)
def test_errors_near_the_least_float_are_not_rounded_down(deep, least):
    assert Fraction(deep.error().bound) >= least


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Square(0), "order must be"),
        (lambda: Product(0), "order must be"),
        (lambda: Product(2, -1.0), "radius must be"),
        (lambda: order_for(0.0), "sup_error must be"),
        (lambda: order_for(float("inf")), "sup_error must be"),
        (lambda: order_for(0.1, float("nan")), "radius must be"),
        (lambda: order_for(0.1, radius=float("inf")), "radius must be"),
    ],
)
def test_bad_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()
