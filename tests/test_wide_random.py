"""The random wide targets: their formula, the law of their weights, and the sizes in the paper's comparison."""

import math

import numpy as np
import pytest

from widththeory.constructions.wide_random import (
    RandomWideNetwork,
    narrow_size,
    recalled_errors,
    student_size,
    wide_size,
)


def test_parameter_counts():
    # Counted by hand as sums of (fan_in + 1) fan_out: target, theorem's narrow network, student.
    expected = {
        (1, 3): (397, 106, 865),
        (1, 4): (1153, 313, 2473),
        (1, 5): (2701, 694, 6053),
        (2, 3): (415, 111, 881),
        (2, 4): (1185, 321, 2497),
        (2, 5): (2751, 705, 6087),
    }
    for (input_dim, k), counts in expected.items():
        sizes = (wide_size(input_dim, k), narrow_size(input_dim, k), student_size(input_dim, k))
        assert tuple(size.num_params for size in sizes) == counts
        assert tuple(size.depth for size in sizes) == (2, k + 1, k + 1)  # theirs, 3 and k + 2, count the linear output


def test_widths():
    assert [wide_size(1, k).width for k in (3, 4, 5)] == [18, 32, 50]
    assert [narrow_size(1, k).width for k in (3, 4, 5)] == [5, 8, 11]
    assert [student_size(1, k).width for k in (3, 4, 5)] == [16, 24, 34]
    # Integer square roots against the definition, in which k^3 is a square for k = 4, 9, 16, ...
    for k in range(1, 40):
        narrow, student = narrow_size(2, k).width, student_size(2, k).width
        assert narrow**2 <= k**3 < (narrow + 1) ** 2
        assert (student - 1) ** 2 < 9 * k**3 <= student**2


@pytest.mark.parametrize("input_dim", [1, 2, 5])
def test_target_equals_its_formula(input_dim):
    example = RandomWideNetwork(input_dim, k=3, seed=7)
    points = example.sample(5000, np.random.default_rng(0))
    (first, b1), (second, b2), (last, b3) = example.network().layers
    expected = [
        last[0] @ np.maximum(second @ np.maximum(first @ point + b1, 0) + b2, 0) + b3[0] for point in points[::50]
    ]
    # Sums of 18 terms, twice, of numbers of size up to 100.
    np.testing.assert_allclose(example.target(points)[::50], expected, rtol=0, atol=1e-12)


def test_weights_are_normal_and_biases_uniform():
    networks = [RandomWideNetwork(2, k=5, seed=seed).network() for seed in range(20)]
    weights = np.concatenate([layer.weight.ravel() for network in networks for layer in network.layers])
    biases = np.concatenate([layer.bias for network in networks for layer in network.layers])
    # Five standard errors, of the mean, the variance, and the fourth moment of N(0, 1) (variance 96).
    assert abs(weights.mean()) < 5 / math.sqrt(weights.size)
    assert abs(weights.var() - 1) < 5 * math.sqrt(2 / weights.size)
    assert abs((weights**4).mean() - 3) < 5 * math.sqrt(96 / weights.size)
    assert biases.min() >= -1
    assert biases.max() < 1
    assert abs(biases.mean()) < 5 * math.sqrt(1 / 3 / biases.size)
    assert abs(biases.var() - 1 / 3) < 5 * math.sqrt(4 / 45 / biases.size)


def test_target_values_vary_on_the_scale_the_paper_names():
    ranges = []
    for k in (3, 4, 5):
        grid = np.linspace(-1, 1, 400)[:, None]
        values = np.array([RandomWideNetwork(1, k, seed).target(grid) for seed in range(50)])
        ranges.append(np.ptp(values, axis=1).mean())
    # Means 11.6, 19.8, 34.9 over other draws; a mean over 50 draws of a range spread by half of it moves by 7 %.
    np.testing.assert_allclose(ranges, (11.6, 19.8, 34.9), rtol=0.3)


def test_recalled_table_is_consistent():
    for input_dim in (1, 2):
        rows = [recalled_errors(input_dim, k) for k in (3, 4, 5)]
        assert all(worst > average for worst, average in rows)
        assert rows == sorted(rows)  # both errors grow with k
    with pytest.raises(ValueError, match="got 3 and 3"):
        recalled_errors(3, 3)


@pytest.mark.parametrize("name", ["input_dim", "k", "seed"])
def test_bad_arguments_are_refused(name):
    with pytest.raises(ValueError, match=name):
        RandomWideNetwork(**{"input_dim": 1, "k": 3, "seed": 0, name: -1})
