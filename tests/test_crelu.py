"""Concatenated ReLU: the identity in rationals, reconstruction against least squares, pairing of filters."""

from fractions import Fraction

import numpy as np
import pytest

from widththeory.constructions.crelu import (
    ReconstructedCoordinate,
    crelu,
    identity_network,
    pairing,
    random_pairing,
    reconstruct,
)


@pytest.mark.parametrize(("dim", "depth"), [(1, 0), (2, 1), (3, 5)])
def test_identity_is_exact(dim, depth):
    network = identity_network(dim, depth)
    points = [[Fraction(7 * i - 3 * j, 11) for j in range(dim)] for i in range(-4, 5)]
    assert network.exact(points).tolist() == points
    assert network.size.widths == (2 * dim,) * depth


@pytest.mark.parametrize(("num_filters", "dim"), [(3, 7), (7, 7), (12, 7)])
def test_reconstruction_misses_exactly_the_orthogonal_part(num_filters, dim):
    rng = np.random.default_rng(num_filters)
    filters, points = rng.standard_normal((num_filters, dim)), rng.standard_normal((20, dim))
    rebuilt = reconstruct(filters, crelu(points @ filters.T))
    # independent route: least squares onto the rows of the filters; both are stable, condition numbers below 1e3
    seen = (filters.T @ np.linalg.lstsq(filters.T, points.T, rcond=None)[0]).T
    np.testing.assert_allclose(rebuilt, seen, rtol=0, atol=1e3 * dim * 2.0**-50)
    if num_filters < dim:
        assert np.linalg.norm(points - rebuilt, axis=1).min() > 0.1
    assert np.abs((points - rebuilt) @ filters.T).max() < 1e3 * dim * 2.0**-50


def test_plain_relu_loses_what_crelu_keeps():
    filters = np.array([[1.0, 0.0], [0.0, 1.0]])
    points = np.array([[-1.0, -2.0], [-3.0, -4.0]])
    assert np.all(np.maximum(points @ filters.T, 0) == 0)
    np.testing.assert_array_equal(reconstruct(filters, crelu(points @ filters.T)), points)


def test_pairing_of_opposite_and_orthogonal_filters():
    filters = np.array([[2.0, 0.0, 0.0], [-0.5, 0.0, 0.0], [0.0, 3.0, 0.0]])
    np.testing.assert_array_equal(pairing(filters), [-1.0, -1.0, 0.0])
    # none opposite to any: a filter is not paired with itself, nor with nothing
    np.testing.assert_allclose(pairing(np.array([[1.0, 0.0], [2.0, 2.0]])), 0.5**0.5, rtol=1e-15)


@pytest.mark.parametrize(
    ("num_filters", "dim", "mean"), [(64, 27, -0.440), (32, 27, -0.386), (24, 27, -0.376), (64, 147, -0.195)]
)
def test_random_baseline(num_filters, dim, mean):
    means = [random_pairing(num_filters, dim, np.random.default_rng(seed)).mean() for seed in range(40)]
    # the reference means were drawn once each: one filter spreads by 0.1 or less, so a mean over n by 0.1 / sqrt(n)
    assert abs(np.mean(means) - mean) < 3 * 0.1 / np.sqrt(num_filters)
    assert np.mean(means) < 0


def test_size_and_bad_arguments():
    example = ReconstructedCoordinate(5, 2)
    assert example.network().size == example.size()
    with pytest.raises(ValueError, match="features must have 4 columns"):
        reconstruct(np.eye(2), np.zeros((3, 2)))
    for filters in (np.zeros((2, 3)), np.diag([1.0, 1.0, 0.0]), np.ones((1, 3))):
        with pytest.raises(ValueError, match="filters must be at least two rows"):
            pairing(filters)
    with pytest.raises(ValueError, match="num_filters"):
        ReconstructedCoordinate(3, 0)


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_fewer_units_than_both_signs_of_a_basis_are_not_injective(dim):
    """Of 2 d - 1 units at most d - 1 are active at x or at -x; a direction that these do not see changes nothing."""
    rng = np.random.default_rng(dim)
    weight = rng.standard_normal((2 * dim - 1, dim))
    x = rng.standard_normal(dim)
    x *= -1 if np.sum(weight @ x > 0) > dim - 1 else 1
    unseen = np.linalg.svd(np.vstack([weight[weight @ x > 0], np.zeros((dim, dim))]))[2][-1]
    other = x + 0.5 * np.min(np.abs(weight @ x)) / np.max(np.abs(weight @ unseen)) * unseen  # nobody changes its sign
    assert np.max(np.abs(other - x)) > 1e-6
    # Roundoff of d terms of order 1.
    np.testing.assert_allclose(np.maximum(weight @ other, 0), np.maximum(weight @ x, 0), rtol=0, atol=1e-14)
