"""The floor of the sum of squares against chords of sampled directions, quadrature, and isotonic regression."""

import numpy as np
import pytest
from scipy import integrate, optimize

from widththeory.bounds.kernel_direction import chord_distance
from widththeory.bounds.square_sum import square_sum_floor
from widththeory.network import Network


def relative(floor, input_dim):
    """Squared distance over the variance 4 n / 45, per unit of volume."""
    return floor**2 / 2**input_dim / (4 * input_dim / 45)


def distance_along(direction, points):
    """Mean over points of the variance on their chord: f = |x|^2 is a parabola there, with variance in closed form."""
    with np.errstate(divide="ignore"):
        ends = np.where(direction > 0, (np.array([[[1.0]], [[-1.0]]]) - points) / direction, np.inf)
    high = ends[0].min(axis=1)
    low = np.where(direction > 0, ends[1], -np.inf).max(axis=1)
    curvature, length = direction @ direction, high - low
    slope = 2 * points @ direction + curvature * (high + low)
    return curvature**2 * length**4 / 180 + slope**2 * length**2 / 12


@pytest.mark.parametrize("input_dim", [2, 3, 4, 8])
def test_chords_of_every_direction_lie_above(input_dim):
    rng = np.random.default_rng(input_dim)
    points = rng.uniform(-1, 1, (20000, input_dim))
    directions = [*np.tri(input_dim), *rng.random((20, input_dim)) ** rng.uniform(0.2, 5, (20, 1))]
    floor = relative(square_sum_floor(input_dim).lower, input_dim)
    for direction in directions:
        found = distance_along(direction / direction.max(), points) / (4 * input_dim / 45)
        assert floor <= found.mean() + 4 * found.std() / np.sqrt(len(points))
    # one coordinate left out: 1 / n exactly, and the floor is no less than half of it up to n = 8
    axis = distance_along(np.eye(input_dim)[0], points) * 45 / 4
    np.testing.assert_allclose(axis, 1.0, rtol=1e-12)
    assert 0.54 / input_dim < floor < 1 / input_dim


def test_plane_by_cells_on_chords():
    """`chord_distance` knows nothing of the function but its values."""
    floor = square_sum_floor(2)
    found = [chord_distance(lambda p: (p * p).sum(axis=1), angle, 2**1.5, num_cells=200) for angle in (0.0, 0.3, 0.8)]
    assert floor.lower <= min(one.upper for one in found)
    assert floor.lower >= 0.95 * found[0].value


@pytest.mark.parametrize("input_dim", [2, 4, 8])
def test_no_smaller_than_the_difference_bound_with_weight_one(input_dim):
    """The minimum over directions of the integral in the docstring, with weight 1, before the mean of entries."""
    floor = relative(square_sum_floor(input_dim).lower, input_dim)

    def bound(u):
        def integrand(t):
            short = 1 - t * u / 2
            return np.prod(short) * 4 * t**2 / 3 * np.sum(u**2 * short**2)

        return integrate.quad(integrand, 0, 2)[0] / 2 / (4 * input_dim / 45)

    rng = np.random.default_rng(0)
    entries = [np.r_[1.0, np.full(input_dim - 1, m)] for m in (0.0, 0.3, 0.6, 1.0)]
    entries += [np.r_[1.0, rng.random(input_dim - 1)] for _ in range(10)]
    least = min(bound(u) for u in entries)
    # triangles gain at most a fifth, where the mean of entries loses at most a third
    assert 0.67 * least <= floor <= 1.2 * least


def test_one_dimension_is_isotonic_regression():
    values = ((np.arange(20001) + 0.5) / 20001 * 2 - 1) ** 2
    missed = np.mean((optimize.isotonic_regression(values).x - values) ** 2)
    # midpoint sums of a function with slopes up to 2 on 20001 cells
    np.testing.assert_allclose(relative(square_sum_floor(1).value, 1), missed * 45 / 4, rtol=1e-4)
    np.testing.assert_allclose(relative(square_sum_floor(1).value, 1), 81 / 128, rtol=1e-12)


def test_networks_of_width_one_are_monotone():
    """What the floor for n = 1 rests on, for random deep ones."""
    rng = np.random.default_rng(0)
    points = np.linspace(-1, 1, 400)[:, None]
    moved = 0
    for _ in range(200):
        network = Network([(rng.standard_normal((1, 1)), rng.standard_normal(1)) for _ in range(4)])
        steps = np.diff(network(points)[:, 0])
        assert steps.min() >= -1e-15 or steps.max() <= 1e-15  # rounding
        moved += bool(np.any(steps))
    assert moved > 20


def test_share_falls_with_the_dimension_and_the_floor_does_not_vanish():
    shares = [relative(square_sum_floor(n).lower, n) for n in range(1, 30)]
    assert np.all(np.diff(shares) < 0)
    assert shares[-1] > 0.005


def test_many_dimensions():
    """By m = 0 alone the floor is at most 2^n (4 / 3) max_w int w t^2 (1 - t/2)^3 dt / (2 int_0^1 w), of order 2^n."""
    for dim in (1023, 1024, 1025, 2000):
        share = np.exp(2 * (np.log(square_sum_floor(dim).value) - dim / 2 * np.log(2)))
        before = np.exp(2 * (np.log(square_sum_floor(dim - 1).value) - (dim - 1) / 2 * np.log(2)))
        assert 0.99 < share / before < 1.0


def test_bad_input_gets_one_sentence():
    with pytest.raises(ValueError, match="input_dim must be at most 2000, got 2001"):
        square_sum_floor(2001)
    with pytest.raises(ValueError, match="input_dim must be an integer of at least 1, got 0"):
        square_sum_floor(0)
