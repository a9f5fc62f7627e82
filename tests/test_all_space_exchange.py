"""Exchange on all of R^d: equality in rationals near and far from the origin, sizes within those of the theorem."""

from fractions import Fraction

import numpy as np
import pytest

from widththeory.constructions.all_space_exchange import (
    ExchangedEverywhere,
    all_space_size,
    exchange_everywhere,
    independent_groups,
    theorem_size,
)
from widththeory.constructions.serialise import exchange_size, serialise
from widththeory.network import Network


def rational_network(input_dim, widths, seed):
    """Random weights with denominators that no float holds."""
    rng, layers = np.random.default_rng(seed), []
    draw = np.frompyfunc(lambda number: Fraction(int(number), 7), 1, 1)
    for fan_in, fan_out in zip((input_dim, *widths), (*widths, 1), strict=True):
        layers.append((draw(rng.integers(-9, 10, (fan_out, fan_in))), draw(rng.integers(-9, 10, fan_out))))
    return Network(layers)


def points_of_all_scales(input_dim, seed, num_points=12):
    """Rational points at distances from 0 to some 10^6."""
    numbers = np.random.default_rng(seed).integers(-99, 100, (num_points, input_dim))
    return [[Fraction(int(n) * 10 ** (i % 6), 13) for n in row] for i, row in enumerate(numbers)] + [[0] * input_dim]


@pytest.mark.parametrize("input_dim", [1, 2, 3])
@pytest.mark.parametrize("widths", [(1,), (7,), (1, 1), (1, 4), (5, 1), (4, 3), (2, 2, 2), (3, 1, 2)])
def test_equality_is_exact_everywhere(input_dim, widths):
    wide = rational_network(input_dim, widths, [input_dim, *widths])
    narrow = exchange_everywhere(wide)
    groups = len(independent_groups(wide.layers[0].weight))
    assert narrow.size == all_space_size(input_dim, widths, groups)
    points = points_of_all_scales(input_dim, len(widths))
    assert narrow.exact(points).tolist() == wide.exact(points).tolist()


@pytest.mark.parametrize("input_dim", [1, 2, 3, 5])
@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_sizes_are_within_those_of_the_theorem(input_dim, width, depth):
    stated = theorem_size(input_dim, width, depth)
    assert stated.depth == (2 * width) ** depth + 1  # theirs, (2 n)^(L - 1) + 2, counts the output
    worst = all_space_size(input_dim, (width,) * depth, num_groups=width)
    assert stated.width == 2 * (input_dim + depth)
    assert worst.width == 2 * input_dim + depth + 1 <= stated.width
    assert worst.depth == width**depth + depth - 1 <= stated.depth
    assert all_space_size(input_dim, (width,) * depth).depth <= worst.depth


def test_a_box_needs_less_width_and_serves_the_box_only():
    # Hand values: d = 3, n_1 = n_2 = 7. Everywhere width 9, depth 3 * 7 + 1; on a box width 3 + 2 + 1, depth 7 * 7 + 1.
    assert all_space_size(3, (7, 7)).widths == (9,) * 22
    assert exchange_size(3, (7, 7), 6).widths == (6,) * 50
    wide = rational_network(2, (5,), 4)
    far = [[Fraction(-50), Fraction(70)]]
    assert serialise(wide, 4).exact(far).tolist() != wide.exact(far).tolist()  # offsets serve the box only
    assert exchange_everywhere(wide).exact(far).tolist() == wide.exact(far).tolist()


def test_groups_are_runs_of_independent_rows():
    rows = np.array([[1, 2], [2, 4], [0, 0], [0, 1], [1, 0], [3, 3]], dtype=object)
    groups = independent_groups(np.frompyfunc(Fraction, 1, 1)(rows))
    assert groups == [[0], [1, 3], [4, 5]]


@pytest.mark.parametrize("rows", [[[0, 0]], [[0, 0], [1, -1]], [[0, 0], [0, 0]]])
def test_units_without_weights_are_constants(rows):
    rows = [[Fraction(entry) for entry in row] for row in rows]
    biases = [Fraction(3, 2), Fraction(-1, 3)][: len(rows)]
    head = ([[Fraction(2), Fraction(-5)][: len(rows)]], [Fraction(1)])
    wide = Network([(rows, biases), head])
    points = points_of_all_scales(2, 0)
    assert exchange_everywhere(wide).exact(points).tolist() == wide.exact(points).tolist()


def test_floats_round_only_a_little():
    example = ExchangedEverywhere(3, (6, 4), seed=5)
    points = 100 * example.sample(500, np.random.default_rng(0))
    values = example.target(points)
    # Nine layers and frames of condition up to some hundred: at most 7e-14 measured for twenty seeds.
    np.testing.assert_allclose(example.network()(points)[:, 0], values, rtol=0, atol=1e-12 * np.abs(values).max())


def test_bad_networks_raise():
    with pytest.raises(ValueError, match="one output, got 2"):
        exchange_everywhere(Network([(np.eye(2), np.zeros(2)), (np.eye(2), np.zeros(2))]))
    with pytest.raises(ValueError, match="at least one hidden layer"):
        exchange_everywhere(Network([(np.ones((1, 2)), np.zeros(1))]))
    with pytest.raises(ValueError, match="widths must hold at least one"):
        ExchangedEverywhere(2, ())
