"""The constant-width interpolant against barycentric interpolation done by sorting."""

from fractions import Fraction

import numpy as np
import pytest

from widththeory.constructions.lipschitz_narrow import DistanceToPoints, interpolating_network


def barycentric(values, point):
    """Interpolant by the definition: sort the local coordinates, walk from corner to corner of the simplex."""
    cells = values.shape[0] - 1
    corner = [min(int(p * cells), cells - 1) for p in point]
    local = [p * cells - k for p, k in zip(point, corner, strict=True)]
    order = sorted(range(len(point)), key=lambda i: -local[i])
    result, previous = Fraction(0), Fraction(1)
    for axis in order:
        result += (previous - local[axis]) * values[tuple(corner)]
        previous, corner[axis] = local[axis], corner[axis] + 1
    return result + previous * values[tuple(corner)]


@pytest.mark.parametrize(("dim", "cells"), [(1, 4), (2, 3), (3, 1), (3, 2)])
def test_network_is_the_interpolant_exactly(dim, cells):
    rng = np.random.default_rng(dim)
    numerators = rng.integers(-50, 50, (cells + 1,) * dim)
    values = np.empty(numerators.shape, dtype=object)
    for index in np.ndindex(values.shape):
        values[index] = Fraction(int(numerators[index]), 7)
    points = [[Fraction(int(n), 60) for n in row] for row in rng.integers(0, 61, (40, dim))]
    points += [[Fraction(0)] * dim, [Fraction(1)] * dim]
    exact = interpolating_network(values).exact(points)[:, 0]
    assert list(exact) == [barycentric(values, point) for point in points]


@pytest.mark.parametrize("example", [DistanceToPoints(1, 5), DistanceToPoints(2, 4), DistanceToPoints(3, 2, seed=3)])
def test_size_and_error_hold(example):
    network = example.network()
    assert network.size == example.size()
    points = example.sample(400, np.random.default_rng(2))
    values = network.exact(points)[:, 0].astype(float)
    assert np.abs(values - example.target(points)).max() <= example.error().bound


def test_error_bound_is_attained_in_one_dimension():
    # |x - c| with c midway between grid points: the interpolant there is half a cell above zero
    cells = 8
    values = [abs(Fraction(i, cells) - Fraction(7, 16)) for i in range(cells + 1)]
    assert interpolating_network(values).exact([[Fraction(7, 16)]])[0, 0] == Fraction(1, 2 * cells)
    assert DistanceToPoints(1, cells).error().bound == 1 / (2 * cells)


@pytest.mark.parametrize(
    ("place", "attained"),
    [
        ((Fraction(5, 8), Fraction(3, 8)), Fraction(9, 16)),
        ((Fraction(3, 4), Fraction(1, 2), Fraction(1, 4)), Fraction(5, 8)),
    ],
)
def test_error_bound_is_sharp_up_to_a_third_in_more_dimensions(place, attained):
    """The distance to one point inside a cell: by hand 9/16 and 5/8 of a cell, where 3/4 is promised for every d."""
    cells, dim = 2, len(place)
    point = [y / cells for y in place]
    values = np.empty((cells + 1,) * dim, dtype=object)
    for index in np.ndindex(values.shape):
        values[index] = max(abs(Fraction(i, cells) - p) for i, p in zip(index, point, strict=True))
    assert interpolating_network(values).exact([point])[0, 0] == attained / cells
    assert attained / cells <= Fraction(DistanceToPoints(dim, cells).error().bound) <= attained / cells * Fraction(4, 3)


def test_three_quarters_bounds_the_mean_distance_to_a_corner():
    # the step of the proof, evaluated from the barycentric weights themselves
    rng = np.random.default_rng(0)
    worst = 0.0
    for dim in (2, 3, 6, 12):
        for local in np.concatenate([rng.random((200, dim)), (np.arange(1, dim + 1) / (dim + 1))[None]]):
            local = np.sort(local)[::-1]
            weights = -np.diff(np.concatenate([[1.0], local, [0.0]]))
            corners = np.tril(np.ones((dim + 1, dim)), -1)
            worst = max(worst, weights @ np.abs(local - corners).max(axis=1))
    assert 0.6 < worst <= 0.75


def test_law_does_not_depend_on_the_seed():
    first, second = DistanceToPoints(2, 2, seed=0), DistanceToPoints(2, 2, seed=1)
    np.testing.assert_array_equal(*(e.sample(5, np.random.default_rng(0)) for e in (first, second)))
    assert not np.array_equal(first.centres(), second.centres())


def test_centres_are_multiples_of_1_over_256_in_the_cube():
    assert DistanceToPoints(2, 2).centres().shape == (3, 2)
    numerators = 256 * DistanceToPoints(2, 2, num_centres=4000).centres()
    assert set(numerators.ravel()) == set(range(257))  # each of 257 is missed by 8000 draws with probability e^-31


def test_network_is_exact_at_the_grid():
    """In thirds and in numbers that no float64 is."""
    example, place = DistanceToPoints(2, 3), (Fraction(1, 3), Fraction(2, 3))
    nearest = min(max(abs(p - Fraction(c)) for p, c in zip(place, row, strict=True)) for row in example.centres())
    assert example.network().exact([place])[0, 0] == nearest
    assert interpolating_network([2**53 + 1, 0.5]).exact([[0], [1]]).ravel().tolist() == [2**53 + 1, Fraction(1, 2)]


def test_exact_target_is_the_target():
    example = DistanceToPoints(1, 2, num_centres=5)
    points = np.linspace(0, 1, 1025)  # dyadic, so that nothing is rounded
    assert (example.exact_target.knots[0], example.exact_target.knots[-1]) == example.interval == (0, 1)
    np.testing.assert_array_equal(example.exact_target(points), example.target(points[:, None]))
    assert DistanceToPoints(2, 2).exact_target is None


def test_bad_grids_and_sizes_raise():
    with pytest.raises(ValueError, match="grid_values must have equal axes"):
        interpolating_network(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="at least 2 values"):
        interpolating_network(np.zeros((1, 1)))
    for value in (np.nan, np.inf, "1", 1j, None):
        with pytest.raises(ValueError, match="grid_values must hold finite numbers, got"):
            interpolating_network([0, value])
    with pytest.raises(ValueError, match="num_cells must be an integer of at least 1, got 0"):
        DistanceToPoints(2, 0)
