"""The inner-product sine: its two layers in rationals, its error, and the floor for one hidden layer."""

from fractions import Fraction

import numpy as np
import pytest

from widththeory.bounds.daniely_norm import neuron_norm_needed, polynomial_distance_squared
from widththeory.constructions.daniely import InnerProductSine
from widththeory.network import Network


def test_inner_product_is_the_sum_of_centred_chords():
    example = InnerProductSine(3, square_pieces=6)
    rng = np.random.default_rng(0)
    points = [[Fraction(int(n), 25) for n in row] for row in rng.integers(-25, 26, (30, 6))]
    step = Fraction(4, 6)
    for point, value in zip(points, example.inner_product_network().exact(points)[:, 0], strict=True):
        total = Fraction(-1)
        for z in (a + b for a, b in zip(point[:3], point[3:], strict=True)):
            left = -2 + min(int((z + 2) / step), 5) * step
            total += ((2 * left + step) * z - left * (left + step)) / 2 - step**2 / 16
        assert value == total


def test_inner_product_on_rational_points_of_the_sphere():
    # (2, 3, 6) / 7 and (1, 4, 8) / 9 are unit vectors: the error is within d / square_pieces^2, exactly
    points = [[Fraction(n, 7) for n in (2, 3, 6)] + [Fraction(n, 9) for n in (1, -4, 8)]]
    inner = sum(a * b for a, b in zip(points[0][:3], points[0][3:], strict=True))
    for pieces in (1, 4, 9):
        value = InnerProductSine(3, square_pieces=pieces).inner_product_network().exact(points)[0, 0]
        assert abs(value - inner) <= Fraction(3, pieces**2)


@pytest.mark.parametrize(
    "example", [InnerProductSine(3), InnerProductSine(8, order=1.5, square_pieces=64, sine_pieces=120)]
)
def test_size_and_error(example):
    network = example.network()
    assert network.size == example.size()
    points = example.sample(2000, np.random.default_rng(1))
    gap = np.abs(network(points)[:, 0] - example.target(points)).max()
    assert gap <= example.error().bound


@pytest.mark.parametrize("pieces", [2, 4, 6])
def test_error_of_the_inner_product_is_attained_at_antipodes(pieces):
    """x' = -x puts every sum x_i + x'_i at the knot 0, where the centred chord is h^2 / 16 = 1 / pieces^2 too low."""
    point = [Fraction(n, 7) for n in (2, 3, 6)]
    value = InnerProductSine(3, square_pieces=pieces).inner_product_network().exact([[*point, *(-x for x in point)]])
    assert value[0, 0] == -1 - Fraction(3, pieces**2)


@pytest.mark.parametrize(("dim", "order"), [(3, 1.0), (3, 2.0), (6, 1.0)])
def test_error_is_sharp_up_to_a_third_and_falls_by_four(dim, order):
    gaps = []
    for factor in (1, 2, 4):
        example = InnerProductSine(dim, order, square_pieces=16 * factor, sine_pieces=32 * factor)
        points = example.sample(5000, np.random.default_rng(0))
        gaps.append(np.abs(example.network()(points)[:, 0] - example.target(points)).max())
        assert 2 / 3 * example.error().bound < gaps[-1] <= example.error().bound
    # largest of 5000 points that lie differently in the pieces
    np.testing.assert_allclose(np.divide(gaps[:-1], gaps[1:]), 4, rtol=0.1)


def test_error_of_the_sine_alone_is_almost_attained():
    # pieces of 0.54 radians, and squares too fine to matter: in the middle of the pieces about a crest, all but 1/100
    example = InnerProductSine(3, square_pieces=400, sine_pieces=20)
    points = example.sample(3000, np.random.default_rng(0))
    gap = np.abs(example.network()(points)[:, 0] - example.target(points)).max()
    assert 0.9 * example.error().bound < gap <= example.error().bound


@pytest.mark.parametrize("example", [InnerProductSine(3, 0.3, 2, 3), InnerProductSine(5, 2.0, 7, 10)])
def test_path_norm_is_the_network_of_absolute_values_at_ones(example):
    absolute = Network([(np.abs(weight), np.abs(bias)) for weight, bias in example.network().float64().layers])
    assert example.path_norm() == pytest.approx(absolute(np.ones((1, example.input_dim)))[0, 0], rel=1e-12)


def test_error_parts_fall_by_four():
    fine, finer = (InnerProductSine(4, square_pieces=10 * n, sine_pieces=20 * n).error().bound for n in (1, 2))
    assert fine / finer == pytest.approx(4, rel=1e-14)


def test_sampled_square_norm_is_the_closed_form():
    example = InnerProductSine(7, order=1.0)
    points = example.sample(50_000, np.random.default_rng(2))
    np.testing.assert_allclose((points[:, :7] ** 2).sum(axis=1), 1, rtol=0, atol=1e-14)
    squares = example.target(points) ** 2
    exact = polynomial_distance_squared(7, example.frequency, 0).value
    assert abs(squares.mean() - exact) < 5 * squares.std() / np.sqrt(50_000)  # five standard errors


def test_norm_needed_grows_with_dimension_and_order():
    dims, orders = (6, 9, 12), (1.0, 2.0)
    table = [[neuron_norm_needed(d, InnerProductSine(d, order=m).frequency, 0.1).value for m in orders] for d in dims]
    assert all(a < b for row in table for a, b in zip(row, row[1:], strict=False))
    assert all(a[1] * 2 < b[1] for a, b in zip(table, table[1:], strict=False))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="sphere_dim must be an integer of at least 3, got 2"):
        InnerProductSine(2)
    with pytest.raises(ValueError, match="order must be positive"):
        InnerProductSine(3, order=-1.0)
