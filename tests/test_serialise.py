"""Narrow networks that equal wide ones: exact equality, sizes, and what it takes to serialise random targets."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widththeory.constructions.serialise import SerialisedWideNetwork, exchange_size, serialise
from widththeory.constructions.serialised_path import SerialisedPath, path_of_network, path_size
from widththeory.constructions.wide_random import RandomWideNetwork, narrow_size, student_size
from widththeory.network import Network

SEEDS = range(50)


def random_network(widths, input_dim, rng, rational=False):
    """Standard normal weights and biases, or rationals with small denominators, which no float holds."""
    layers = []
    for fan_in, fan_out in zip((input_dim, *widths), (*widths, 1), strict=True):
        if rational:
            draw = np.frompyfunc(lambda number: Fraction(int(number), 7), 1, 1)
            layers.append((draw(rng.integers(-9, 10, (fan_out, fan_in))), draw(rng.integers(-9, 10, fan_out))))
        else:
            layers.append((rng.standard_normal((fan_out, fan_in)), rng.standard_normal(fan_out)))
    return Network(layers)


def box_points(input_dim, low, high, rng, num_points=2000):
    """Uniform points, and the corners of the box, where running sums come nearest to zero."""
    corners = np.array(np.meshgrid(*[(low, high)] * input_dim)).reshape(input_dim, -1).T
    return np.concatenate([rng.uniform(low, high, (num_points, input_dim)), corners])


@pytest.mark.parametrize(("width", "depth"), [(7, 58), (10, 15), (22, 4), (63, 2), (64, 1), (70, 1)])
def test_one_hidden_layer(width, depth):
    rng = np.random.default_rng(0)
    wide = random_network((64,), 5, rng)
    narrow = serialise(wide, width)
    assert narrow.size.widths == (width,) * depth
    points = box_points(5, -1, 1, rng)
    # Offsets of some hundred, a unit of roundoff each: 1e-13 measured.
    np.testing.assert_allclose(narrow(points), wide(points), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("k", "width", "depth"), [(3, 4, 325), (3, 16, 9), (5, 34, 13), (4, 24, 10), (5, 49, 7), (5, 50, 2), (5, 90, 2)]
)
def test_two_hidden_layers(k, width, depth):
    example = SerialisedWideNetwork(input_dim=1, k=k, seed=3, width=width)
    narrow = example.network()
    assert narrow.size.widths == (width,) * depth
    points = np.linspace(-1, 1, 2001)[:, None]
    # Offsets of some hundred, a unit of roundoff each: 3e-14 measured.
    np.testing.assert_allclose(narrow(points)[:, 0], example.target(points), rtol=0, atol=1e-12)


@pytest.mark.parametrize("input_dim", [1, 2, 3])
@pytest.mark.parametrize("widths", [(1,), (7,), (1, 1), (1, 4), (5, 1), (7, 3)])
@pytest.mark.parametrize("group", [1, 2, 3, 9])
def test_equality_is_exact_in_rationals(input_dim, widths, group):
    rng = np.random.default_rng([input_dim, *widths, group])
    wide = random_network(widths, input_dim, rng, rational=True)
    width = input_dim + len(widths) + group
    low, high = Fraction(-3, 2), Fraction(5, 7)
    narrow = serialise(wide, width, low, high)
    assert narrow.is_rational
    assert narrow.size == exchange_size(input_dim, widths, width)
    steps = np.frompyfunc(lambda number: low + (high - low) * Fraction(int(number), 11), 1, 1)
    points = np.vstack([steps(rng.integers(0, 12, (12, input_dim))), steps(np.outer((0, 11), np.ones(input_dim)))])
    assert narrow.exact(points).tolist() == wide.exact(points).tolist()


def test_offsets_are_needed_and_serve_the_box_only():
    wide = Network([([[1.0], [-1.0]] * 2, [0.0, 0.0, -0.5, 0.5]), ([[-1.0] * 4], [0.0])])  # -|x| - |x - 1/2|
    narrow = serialise(wide, 3, -1, 1)
    assert narrow.size.widths == (3, 3)
    inside, outside = np.array([[-1.0], [-0.5], [0.75], [1.0]]), np.array([[-4.0], [5.0]])
    np.testing.assert_array_equal(narrow(inside), wide(inside))  # dyadic: no rounding
    assert np.all(narrow(outside) != wide(outside))
    without = Network([(weight, np.minimum(bias, 0)) for weight, bias in narrow.layers])
    assert np.any(without(inside) != wide(inside))


def test_random_wide_network_is_equalled_exactly():
    example = SerialisedWideNetwork(input_dim=2, k=3, seed=5, width=9)
    wide = RandomWideNetwork(input_dim=2, k=3, seed=5).network().rational()
    points = box_points(2, -1, 1, np.random.default_rng(6), num_points=4)
    assert example.network(exact=True).exact(points).tolist() == wide.exact(points).tolist()


@given(st.integers(1, 12), st.integers(1, 80), st.integers(1, 80), st.integers(1, 60))
def test_sizes_follow_the_formula(input_dim, first, second, group):
    """Depths from how many units fit in the layers, and from every way to share the room."""
    width = input_dim + 1 + group
    room = [width - input_dim, *[group] * first]  # no sum in the first layer, and in the last the inputs' places too
    one = next(depth for depth in range(1, first + 2) if first <= sum(room[:depth]) + input_dim)
    assert exchange_size(input_dim, (first,), width).widths == (width,) * one
    width += 1
    shares = [math.ceil(first / (group + 1 - k)) * math.ceil(second / k) + 1 for k in range(1, group + 1)]
    two = 2 if width >= max(first, second) else min(shares)
    assert exchange_size(input_dim, (first, second), width).widths == (width,) * two


def crossings(network, low=-1.0, high=1.0):
    """Breakpoints of a scalar network with two hidden layers, as zeros of its pre-activations: no outside help.

    Zeros of the first layer in the interval, and between them, where the second layer is affine, its changes of sign.
    """
    (first, first_bias), (second, second_bias), _ = network.layers
    breaks = -first_bias / first[:, 0]
    breaks = np.sort(breaks[(breaks > low) & (breaks < high)])
    knots = np.concatenate([[low], breaks, [high]])[:, None]
    before = np.maximum(knots @ first.T + first_bias, 0) @ second.T + second_bias
    left, right = before[:-1], before[1:]
    rows, units = np.nonzero(left * right < 0)
    fraction = left[rows, units] / (left[rows, units] - right[rows, units])
    places = knots[rows, 0] + fraction * (knots[rows + 1, 0] - knots[rows, 0])
    return np.sort(np.concatenate([breaks, places]))


@pytest.mark.parametrize("k", [3, 4, 5])
def test_breaks_and_depth_of_random_targets(k):
    paths, counts = [], []
    for seed in SEEDS:
        network = RandomWideNetwork(1, k, seed).network()
        breaks = crossings(network)
        path = path_of_network(network, narrow_size(1, k).width)
        # A pre-activation that changes sign where all units above it are off bends nothing: never more, rarely fewer.
        assert len(path.knots) - 2 <= len(breaks)
        assert path.size().depth == path_size(len(path.knots) - 2, narrow_size(1, k).width).depth
        nearest = np.abs(np.array(path.knots[1:-1])[:, None] - breaks).min(axis=1)
        assert nearest.max() < 1e-9  # roundoff over the slope of a pre-activation, which is rarely below 1e-3
        paths.append(path)
        counts.append(len(path.knots) - 2)
    # Means 23, 41, 65 and maxima 30, 57, 82 over 50 other draws. Counts spread by 4, 6, 7: five standard errors of a
    # difference of two means are 4, 6, 7, and maxima of 50 differ by about as much; depths follow from the counts.
    mean, largest, depth, spread = {
        3: (23, 30, 6.2, 4),
        4: (41, 57, 6.3, 6),
        5: (65, 82, 6.9, 7),
    }[k]
    assert abs(np.mean(counts) - mean) <= spread
    assert abs(max(counts) - largest) <= 2 * spread
    depths = [path.size().depth for path in paths]
    assert abs(np.mean(depths) - depth) <= spread / (narrow_size(1, k).width - 1)
    # The networks that the paper trains could represent every one of its targets exactly, at less than their depth.
    students = [path_size(count, student_size(1, k).width).depth for count in counts]
    assert max(students) <= 3 < student_size(1, k).depth


@pytest.mark.parametrize("k", [3, 5])
def test_path_of_network_equals_the_network(k):
    network = RandomWideNetwork(1, k, seed=8).network()
    width = narrow_size(1, k).width
    narrow = path_of_network(network, width).network()
    points = np.linspace(-1, 1, 3001)[:, None]
    # Offsets of some hundred, a unit of roundoff each: 1e-13 measured.
    np.testing.assert_allclose(narrow(points), network(points), rtol=0, atol=1e-12)
    exact = path_of_network(network, width, exact=True)
    places = [[Fraction(number, 13)] for number in range(-13, 14)]
    assert exact.network(exact=True).exact(places).tolist() == network.rational().exact(places).tolist()


def test_path_of_a_deep_network():
    deep = random_network((4, 3, 5), 1, np.random.default_rng(9))
    points = np.linspace(-2, 0.5, 1001)[:, None]
    for width in (2, 4, 50):
        narrow = path_of_network(deep, width, -2, 0.5).network()
        np.testing.assert_allclose(narrow(points), deep(points), rtol=0, atol=1e-12)  # numbers of size 10


@pytest.mark.parametrize("width", [2, 3, 5, 12])
@pytest.mark.parametrize("low", [Fraction(-5), Fraction(-1), Fraction(-1, 3), Fraction(2), Fraction(3)])
def test_path_equals_interpolation_exactly(width, low):
    knots = tuple(map(Fraction, (-2, -1, "-1/3", 0, "1/7", 1, 3)))
    values = tuple(map(Fraction, (1, -2, 4, "1/5", 0, 2, -1)))
    path = SerialisedPath(knots, values, Fraction(-2, 3), Fraction(5), width, low, Fraction(7, 2))
    inside = [knot for knot in knots if low < knot < path.high]
    assert path.size().widths == (width,) * max(1, math.ceil(len(inside) / (width - 1)))
    network = path.network(exact=True)
    assert network.size == path.size()
    assert network.is_rational
    points = [
        low,
        path.high,
        *inside,
        *((a + b) / 2 for a, b in zip([low, *inside], [*inside, path.high], strict=True)),
    ]

    def formula(point):
        if point <= knots[0]:
            return values[0] + path.left_slope * (point - knots[0])
        if point >= knots[-1]:
            return values[-1] + path.right_slope * (point - knots[-1])
        after = next(index for index, knot in enumerate(knots) if knot > point)
        share = (point - knots[after - 1]) / (knots[after] - knots[after - 1])
        return values[after - 1] + share * (values[after] - values[after - 1])

    assert network.exact([[point] for point in points])[:, 0].tolist() == [formula(point) for point in points]
    floats = np.array(points, dtype=np.float64)[:, None]
    np.testing.assert_allclose(path.target(floats), [float(formula(p)) for p in points], rtol=0, atol=1e-14)


def test_one_fraction_makes_the_narrow_network_exact():
    third = Fraction(1, 3)
    wide = Network([([[third], [-third], [1.0], [-1.0]], [0.25, 0.5, 0.0, 0.0]), ([[1.5, -2.0, -1.0, 1.0]], [0.125])])
    assert not wide.is_rational
    narrow = serialise(wide, 3)
    assert narrow.is_rational
    points = [[Fraction(number, 7)] for number in range(-7, 8)]
    assert narrow.exact(points).tolist() == wide.exact(points).tolist()


def test_paths_are_rational_where_that_is_asked_for_only():
    tied = Network([([[1.0], [1.0]], [0.0, 0.0]), ([[1.0, -0.5]], [0.0])])  # two equal kinks: decided in rationals
    assert all(isinstance(knot, float) for knot in path_of_network(tied, 3).knots)
    assert all(isinstance(knot, Fraction) for knot in path_of_network(tied, 3, exact=True).knots)


def test_law_and_guarantee():
    path = SerialisedPath((0.0,), (0.0,), -1.0, 1.0, 3, 2, 5)
    points = path.sample(2000, np.random.default_rng(0))
    # of 2000 uniform points of [2, 5] the ends are within 0.02 but with a chance of 2e-6
    assert 2 <= points.min() < 2.02
    assert 4.98 < points.max() <= 5
    assert path.error().bound == SerialisedWideNetwork(1, 3, 0, 5).error().bound == 0


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: exchange_size(2, (5,), 3), "width must be an integer of at least 4"),
        (lambda: exchange_size(2, (5, 5), 4), "width must be an integer of at least 5"),
        (lambda: exchange_size(2, (5, 5, 5), 9), "one or two hidden layers"),
        (lambda: exchange_size(2, (), 9), "one or two hidden layers"),
        (lambda: exchange_size(2, (5, 0), 9), "widths"),
        (lambda: path_size(3, 1), "width"),
        (lambda: path_size(-1, 3), "num_breaks"),
        (lambda: serialise(Network([([[1.0]], [0.0]), ([[1.0], [1.0]], [0.0, 0.0])]), 3), "one output"),
        (lambda: serialise(Network([([[1.0]], [0.0]), ([[1.0]], [0.0])]), 3, 1, 1), "low"),
        (lambda: serialise(Network([([[1.0]], [0.0]), ([[1.0]], [0.0])]), 3, -math.inf, 1), "both finite"),
        (lambda: serialise(Network([([[1.0]], [0.0]), ([[1.0]], [0.0])]), 3, -1, math.inf), "both finite"),
        (lambda: SerialisedWideNetwork(1, 3, 0, 3), "width"),
        (lambda: SerialisedWideNetwork(1, 3, -1, 5), "seed"),
        (lambda: SerialisedPath((), (), 0.0, 0.0, 3), "at least 1"),
        (lambda: SerialisedPath((0.0, 0.0), (1.0, 2.0), 0.0, 0.0, 3), "increasing"),
        (lambda: SerialisedPath((0.0,), (math.nan,), 0.0, 0.0, 3), "finite"),
        (lambda: SerialisedPath((math.nan,), (0.0,), 0.0, 0.0, 3), "finite"),
        (lambda: SerialisedPath((0.0,), (0.0,), math.nan, 0.0, 3), "finite"),
        (lambda: SerialisedPath((0.0,), (0.0,), 0.0, math.nan, 3), "finite"),
        (lambda: SerialisedPath((0.0, 1.0), (0.0,), 0.0, 0.0, 3), "same length"),
        (lambda: SerialisedPath((0.0,), (0.0,), 0.0, 0.0, 1), "width"),
        (lambda: SerialisedPath((0.0,), (0.0,), 0.0, 0.0, 3, 1.0, -1.0), "low"),
        (lambda: SerialisedPath((0.0,), (0.0,), 0.0, 0.0, 3, 1.0, 1.0), "low"),
        (lambda: SerialisedPath((0.0,), (0.0,), 0.0, 0.0, 3, -math.inf, 1.0), "low"),
    ],
)
def test_bad_arguments_are_refused(call, word):
    with pytest.raises(ValueError, match=word):
        call()
