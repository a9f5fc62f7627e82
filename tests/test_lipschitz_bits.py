"""Packed digits: the network against its walk in rationals, and its rate against that of an interpolant."""

from fractions import Fraction

import numpy as np
import pytest

from widththeory.constructions.lipschitz_bits import PackedDistance, _median, digits_network, tracking_walk
from widththeory.constructions.lipschitz_narrow import DistanceToPoints


def lipschitz_values(count, seed):
    """Values at i / count of a random 1-Lipschitz function with rational steps."""
    steps = np.random.default_rng(seed).integers(-7, 8, count)
    return [Fraction(0)] + [Fraction(int(n), 7 * count) for n in np.cumsum(steps)]


def interpolant(values, x):
    """Chords through values at equal knots, constant outside [0, 1]."""
    count = len(values) - 1
    x = min(max(x, Fraction(0)), Fraction(1)) * count
    i = min(int(x), count - 1)
    return values[i] + (x - i) * (values[i + 1] - values[i])


@pytest.mark.parametrize("count", [1, 8, 200])
def test_walk_stays_within_a_step(count):
    values, step = lipschitz_values(count, count), Fraction(1, count)
    walk, bits = tracking_walk(values, step)
    assert all(abs(a - b) <= step for a, b in zip(walk, values, strict=True))
    assert [b - a for a, b in zip(walk, walk[1:], strict=False)] == [step if bit else -step for bit in bits]
    assert tracking_walk([Fraction(0)] * 3, step)[1] == [1, 0]  # up from a tie


@pytest.mark.parametrize(("cells", "digits"), [(1, 1), (1, 4), (3, 1), (2, 3), (4, 5)])
def test_network_follows_the_walk_everywhere(cells, digits):
    count = cells * digits
    values, step = lipschitz_values(count, cells), Fraction(1, count)
    walk, _ = tracking_walk(values, step)
    network = digits_network(values, cells, digits)
    # 16 points a fine cell meet the windows of all three copies, which are 1/8 of a fine cell long
    points = [Fraction(i, 16 * count) for i in range(16 * count + 1)]
    gaps = [
        abs(value - interpolant(walk, x))
        for x, value in zip(points, network.exact([[x] for x in points])[:, 0], strict=True)
    ]
    assert max(gaps) <= step / 4  # the walk has slope one, and copies are shifted by a quarter of a cell


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 1), (2, 2, 1), (1, 3, 3), (0, 0, 0)])
def test_median(order):
    assert _median().exact([order])[0, 0] == sorted(order)[1]


@pytest.mark.parametrize("example", [PackedDistance(1, 2), PackedDistance(5, 4), PackedDistance(8, 4, seed=2)])
def test_error_and_size(example):
    network = example.network()
    assert network.size == example.size()
    points = np.concatenate([example.sample(300, np.random.default_rng(0)), [[0.0], [1.0]]])
    gap = np.abs(network.exact(points)[:, 0].astype(float) - example.target(points)).max()
    assert gap <= example.error().bound


@pytest.mark.parametrize(("cells", "digits"), [(1, 4), (3, 4)])
def test_error_bound_is_sharp_up_to_a_factor_of_three(cells, digits):
    """The walk that follows zero goes up and down by a fine cell: 7/8 of one after the median, 9/4 are promised."""
    count = cells * digits
    network = digits_network([0] * (count + 1), cells, digits)
    outputs = network.exact([[Fraction(i, 16 * count)] for i in range(16 * count + 1)])[:, 0]
    assert max(map(abs, outputs)) == Fraction(7, 8 * count)
    assert PackedDistance(cells, digits).error().bound == Fraction(9, 4 * count) <= 3 * Fraction(7, 8 * count)


def test_error_falls_with_the_square_of_the_depth():
    shallow, deep = PackedDistance(8, 4), PackedDistance(16, 8)
    points = shallow.sample(100, np.random.default_rng(1))
    gaps = [np.abs(e.network().exact(points)[:, 0].astype(float) - e.target(points)).max() for e in (shallow, deep)]
    assert gaps[0] / gaps[1] > 2  # measured at a sample, between the factor 4 of the bound and 2 of an interpolant
    assert shallow.error().bound == 4 * deep.error().bound
    assert deep.size().depth + 1 < 2 * (shallow.size().depth + 1)


def test_packing_beats_interpolation_at_equal_depth_in_the_end():
    def interpolated(depth):
        return DistanceToPoints(1, max(1, depth // 2 - 1)).error().bound

    assert PackedDistance(4, 2).error().bound > interpolated(PackedDistance(4, 2).size().depth)
    assert PackedDistance(40, 20).error().bound < interpolated(PackedDistance(40, 20).size().depth)


def test_forty_digits_need_rationals():
    # 40 base-3 digits are 63 bits: the exact network is right where its float64 rounding is not
    values, step = lipschitz_values(80, 5), Fraction(1, 80)
    walk, _ = tracking_walk(values, step)
    network = digits_network(values, 2, 40)
    points = [Fraction(2 * i + 1, 160) for i in range(0, 80, 3)]
    exact = network.exact([[x] for x in points])[:, 0]
    expected = [interpolant(walk, x) for x in points]
    assert max(abs(a - b) for a, b in zip(exact, expected, strict=True)) <= step / 4
    rounded = network(np.array(points, dtype=float)[:, None])[:, 0]
    assert np.abs(rounded - np.array(expected, dtype=float)).max() > float(step)


def test_bad_values_raise():
    with pytest.raises(ValueError, match="values must hold 7 numbers, got 3"):
        digits_network([0, 0, 0], 2, 3)
    with pytest.raises(ValueError, match="consecutive differences of at most 1/2"):
        digits_network([0, 1, 1], 1, 2)
    with pytest.raises(ValueError, match="num_digits"):
        PackedDistance(2, 0)
