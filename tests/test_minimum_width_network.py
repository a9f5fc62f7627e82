"""Encoder, memoriser, decoder: values on cells in rationals, windows, widths against the table, rate of the error."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from widththeory.bounds.minimum_width import minimum_width
from widththeory.constructions.minimum_width_network import DistanceMap, memorising_network, memorising_size


def random_values(input_dim, output_dim, num_cells, seed):
    """Values on the cells of a grid, multiples of 1/35."""
    numbers = np.random.default_rng(seed).integers(0, 36, (num_cells,) * input_dim + (output_dim,))
    return np.array([Fraction(int(n), 35) for n in numbers.ravel()], dtype=object).reshape(numbers.shape)


@pytest.mark.parametrize("narrowest", [False, True])
@pytest.mark.parametrize("num_cells", [2, 3])
@pytest.mark.parametrize("num_levels", [2, 5])
@pytest.mark.parametrize(("input_dim", "output_dim"), [(1, 1), (1, 2), (2, 1), (2, 2), (2, 4), (3, 1), (3, 2), (1, 4)])
def test_cells_have_their_values_exactly(input_dim, output_dim, num_cells, num_levels, narrowest):
    values = random_values(input_dim, output_dim, num_cells, [input_dim, output_dim, num_cells])
    window = Fraction(1, 7 * num_cells)
    network = memorising_network(values, num_levels, window, narrowest)
    assert network.is_rational
    assert network.size == memorising_size(input_dim, output_dim, num_cells, num_levels, narrowest)
    # Both ends of what is not a window in a cell, and a place between them.
    places = (Fraction(0), Fraction(2, 5 * num_cells), Fraction(1, num_cells) - window)
    cells = list(itertools.product(range(num_cells), repeat=input_dim))
    shifts = np.random.default_rng(0).integers(0, 3, (len(cells), input_dim))
    points = [
        [Fraction(k, num_cells) + places[s] for k, s in zip(*pair, strict=True)]
        for pair in zip(cells, shifts, strict=True)
    ]
    expected = [list(values[cell]) for cell in cells]
    if output_dim > 1:
        levels = [[min(int(v * num_levels), num_levels - 1) for v in row] for row in expected]
        expected = [[Fraction(2 * level + 1, 2 * num_levels) for level in row] for row in levels]
    assert network.exact(points).tolist() == expected


def test_corner_of_the_cube_belongs_to_the_last_cell():
    values = random_values(2, 1, 3, 0)
    for narrowest in (False, True):
        assert memorising_network(values, 2, Fraction(1, 9), narrowest).exact([[1, 1]])[0, 0] == values[2, 2, 0]


@pytest.mark.parametrize("narrowest", [False, True])
@pytest.mark.parametrize("output_dim", [1, 3])
def test_windows_stay_between_the_extreme_values(output_dim, narrowest):
    values = random_values(2, output_dim, 3, 1)
    window = Fraction(1, 4)  # most of a cell
    network = memorising_network(values, 3, window, narrowest)
    points = [[Fraction(i, 24), Fraction(j, 23)] for i in range(25) for j in range(24)]
    outputs = network.exact(points)
    lowest, highest = (
        (min(values.ravel()), max(values.ravel())) if output_dim == 1 else (Fraction(1, 6), Fraction(5, 6))
    )
    assert outputs.min() >= lowest
    assert outputs.max() <= highest
    assert len(set(outputs.ravel())) > 9  # windows do take values of no cell


@pytest.mark.parametrize(("input_dim", "output_dim"), list(itertools.product(range(1, 5), repeat=2)))
def test_width_is_the_least_in_the_table(input_dim, output_dim):
    width = memorising_size(input_dim, output_dim, 2, 2).width
    assert width == minimum_width("lp", "lp", "euclidean", "relu", input_dim, output_dim).upper
    narrowest = memorising_size(input_dim, output_dim, 2, 2, narrowest=True).width
    known = minimum_width("lp", "lp", "cube", "relu", input_dim, output_dim)
    assert (known.lower, known.upper) == (narrowest, narrowest)
    assert width - narrowest == int(input_dim > 1 and output_dim <= input_dim)


@pytest.mark.parametrize(
    "example",
    [
        DistanceMap(1, 8),
        DistanceMap(2, 8),
        DistanceMap(2, 8, narrowest=True),
        DistanceMap(2, 4, 3, num_levels=8, seed=1),
        DistanceMap(3, 3, 2, num_levels=8, seed=1, narrowest=True),
    ],
)
@pytest.mark.parametrize("power", [1, 2, 4])
def test_error_holds_and_is_near(example, power):
    points = example.sample(4000, np.random.default_rng(0))
    gap = np.abs(example.network()(points) - example.map(points))
    means = np.mean(gap**power, axis=0) ** (1 / power)
    # Inside the bound, by its slack over slopes of one coordinate; windows (lost^(1/4) is 4 %) weigh on high powers.
    assert np.all(means <= example.lp_error(power))
    assert np.all(means >= 0.2 * example.lp_error(power))


def test_error_is_sharp_in_one_dimension():
    # One centre at 0 gives f(x) = x: the L1 error is 1 / (4 M), and one cell fewer does not keep the bound.
    values = np.array([[Fraction(2 * k + 1, 14)] for k in range(7)], dtype=object)
    network = memorising_network(values, 2, Fraction(1, 7 * 2**30))
    points = (np.arange(2100) + 0.5) / 2100
    gap = np.abs(network(points[:, None])[:, 0] - points).mean()
    np.testing.assert_allclose(gap, 1 / 28, rtol=1e-6)  # the midpoint rule is exact on cells of 300 points
    assert DistanceMap(1, 7, window_bits=30).lp_error(1) == pytest.approx(1 / 28, rel=1e-6)
    assert DistanceMap(1, 8, window_bits=30).lp_error(1) < gap


def test_error_halves_as_cells_double():
    points = np.random.default_rng(1).random((3000, 2))
    gaps = []
    for num_cells in (4, 8, 16):
        example = DistanceMap(2, num_cells, window_bits=30)
        gaps.append(np.sqrt(np.mean((example.network()(points) - example.map(points)) ** 2)))
    # Kinks of the target make cells differ, and 3000 points do.
    np.testing.assert_allclose(np.divide(gaps[:-1], gaps[1:]), 2, rtol=0.15)
    assert DistanceMap(2, 16).size().depth == 2 * 2 * 15 + 16**2 - 1


def test_lost_fraction_is_that_of_the_windows():
    example = DistanceMap(2, 3, window_bits=1)  # windows of a sixth, two a side
    points = [[Fraction(2 * i + 1, 36), Fraction(2 * j + 1, 36)] for i in range(18) for j in range(18)]
    cell = [np.prod([not ((x * 3) % 1 > Fraction(1, 2) and x < Fraction(2, 3)) for x in row]) for row in points]
    assert example.lost == pytest.approx(1 - np.mean(cell), rel=1e-12)
    inside = [tuple(int(x * 3) for x in row) for row in points]
    values = random_values(2, 1, 3, 5)
    for narrowest in (False, True):
        outputs = memorising_network(values, 2, example.window, narrowest).exact(points)[:, 0]
        assert all(out == values[k][0] for out, k, kept in zip(outputs, inside, cell, strict=True) if kept)


def test_error_has_three_parts():
    # Hand values. Cells of a quarter, in the root mean square; three windows of a sixteenth; two levels.
    cell, lost = 3**-0.5 / 8, 3 / 16
    assert DistanceMap(1, 4, window_bits=2).lp_error(2) == pytest.approx(cell + lost**0.5, rel=1e-12)
    two = DistanceMap(1, 4, output_dim=2, num_levels=2, window_bits=2)
    assert two.lp_error(2) == pytest.approx(cell + 1 / 4 + lost**0.5, rel=1e-12)
    assert two.lp_error(1) == pytest.approx(1 / 16 + 1 / 4 + lost, rel=1e-12)


def test_strips_go_wrong_outside_the_cube():
    values = random_values(2, 1, 3, 6)
    beside = [[Fraction(1, 6), Fraction(3, 2)]]  # in the first column of cells, but above it
    wide, narrow = (memorising_network(values, 2, Fraction(1, 30), narrowest) for narrowest in (False, True))
    assert wide.exact(beside)[0, 0] == values[0, 2, 0]
    assert narrow.exact(beside)[0, 0] == values[1, 1, 0]


def test_bad_arguments_raise():
    values = random_values(1, 1, 3, 0)
    with pytest.raises(ValueError, match="window must be between 0 and 1/3"):
        memorising_network(values, 2, Fraction(1, 3))
    with pytest.raises(ValueError, match="between 0 and 1"):
        memorising_network(2 + values, 2, Fraction(1, 9))
    with pytest.raises(ValueError, match="M >= 2"):
        memorising_network(values[:1], 2, Fraction(1, 9))
    with pytest.raises(ValueError, match=r"got \(3, 0\)"):
        memorising_network(values[:, :0], 2, Fraction(1, 9))
    with pytest.raises(ValueError, match="num_cells"):
        DistanceMap(2, 1)
    with pytest.raises(ValueError, match="power"):
        DistanceMap(2, 2).lp_error(0.5)
