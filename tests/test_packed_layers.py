"""Packed layers: equality in rationals outside windows, the measure of the windows, and where float64 ends."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from widththeory.constructions.named_layers import NamedLayers
from widththeory.constructions.packed_layers import PackedNetwork, pack_layers, packed_size, packing
from widththeory.network import Network


def dyadic_network(input_dim, widths, seed):
    """Weights that are multiples of 1/4, biases of 1/8."""
    rng, layers = np.random.default_rng(seed), []
    for fan_in, fan_out in zip((input_dim, *widths), (*widths, 1), strict=True):
        layers.append((rng.integers(-4, 5, (fan_out, fan_in)) / 4, rng.integers(-8, 9, fan_out) / 8))
    return Network(layers)


def grid(input_dim, bits):
    """All points of the cube with coordinates of so many bits."""
    return list(itertools.product([Fraction(k, 2**bits) for k in range(2**bits)], repeat=input_dim))


@pytest.mark.parametrize(
    ("input_dim", "widths", "bits"),
    [
        (1, (1,), 1),
        (1, (3,), 1),
        (1, (2,), 4),
        (2, (3,), 2),
        (1, (2, 3), 2),
        (2, (1, 2), 1),
        (3, (2,), 1),
        (1, (1, 1, 2), 2),
    ],
)
def test_equality_is_exact_at_inputs_of_few_bits(input_dim, widths, bits):
    wide = dyadic_network(input_dim, widths, [input_dim, *widths])
    narrow = pack_layers(wide, bits, 5)
    assert narrow.is_rational
    assert narrow.size == packed_size(wide, bits)
    assert narrow.size.width == max(6, input_dim + 3)
    points = grid(input_dim, bits)
    assert narrow.exact(points).tolist() == wide.exact(points).tolist()


@pytest.mark.parametrize("bits", [1, 3])
def test_inputs_are_rounded_down_outside_windows_and_only_there(bits):
    window_bits = 4
    wide = Network([([[1.0], [-1.0]], [0.0, 0.5]), ([[1.0, -1.0]], [0.0])])  # x - (1/2 - x)_+ is strictly increasing
    narrow = pack_layers(wide, bits, window_bits)
    fine = 2 ** (bits + window_bits + 1)
    points = [Fraction(2 * i + 1, 2 * fine) for i in range(fine)]
    down = [Fraction(int(x * 2**bits), 2**bits) for x in points]
    equal = [a == b for a, b in zip(narrow.exact([[x] for x in points]), wide.exact([[x] for x in down]), strict=True)]
    inside = [
        any((x * 2**j) % 1 < Fraction(1, 2) < (x * 2**j) % 1 + Fraction(1, 2**window_bits) for j in range(bits))
        for x in points
    ]
    assert all(same or window for same, window in zip(equal, inside, strict=True))
    assert not all(equal)
    assert sum(inside) / fine <= bits / 2**window_bits


def test_clipping_holds_everywhere():
    example = PackedNetwork(2, (2,), 3, 1, seed=4)  # windows are half of everything
    plan = packing(example.wide, 3)
    points = [[Fraction(i, 37), Fraction(j, 41)] for i in range(0, 38, 3) for j in range(0, 42, 3)]
    values = example.network().exact(points)[:, 0]
    assert all(plan.low <= value <= plan.high for value in values)


@pytest.mark.parametrize("example", [PackedNetwork(1, (3,), 4, 12), PackedNetwork(2, (2, 2), 2, 10, seed=1)])
def test_error_in_l1_and_in_probability(example):
    points = example.sample(200, np.random.default_rng(0))
    gap = np.abs(example.network().exact(points)[:, 0].astype(float) - example.target(points))
    near = example.lipschitz * 2.0**-example.input_bits
    # A window is met with probability below 1 %: more than ten of 200 points with probability below 1e-5.
    assert np.sum(gap > near) <= 10
    assert 0 < gap.mean() <= example.error().bound
    assert example.error().bound < near


def test_error_halves_with_each_bit():
    bounds = [PackedNetwork(1, (2,), bits, 60).error().bound for bits in range(1, 6)]
    # Windows are nothing next to the rounding of the inputs.
    np.testing.assert_allclose(np.divide(bounds[:-1], bounds[1:]), 2, rtol=1e-10)
    points = np.random.default_rng(1).random((300, 1))
    gaps = []
    for bits in (2, 5):
        example = PackedNetwork(1, (2,), bits, 60)
        gaps.append(np.abs(example.network().exact(points)[:, 0].astype(float) - example.target(points)).mean())
    assert 6 < gaps[0] / gaps[1] < 10.5  # 8 in the mean, 300 points


def test_hand_counted_size():
    # d = 1, c = 2; weights multiples of 1/2, outputs below 3/2: grid 3 bits, field 4 bits (12 < 2^4).
    wide = Network([([[0.5], [0.5]], [1.0, 0.0]), ([[1.0, 1.0]], [0.0])])
    plan = packing(wide, 2)
    assert (plan.grids, plan.fields) == ([2, 3], [2, 4])
    assert (plan.low, plan.high) == (1, 2)
    size = packed_size(wide, 2)
    assert size.depth == 2 + (2 * 2 + 1) + 2 * 4 + 2
    assert size.widths == (4, 4, 6, 6, 6, 6, 2, *[6] * 8, 1, 1)


def test_wide_layers_need_rationals():
    # Sixteen units of 5 bits or more are more than 53 bits: exact where the float64 rounding of it is not.
    wide = dyadic_network(1, (16,), 3)
    assert packing(wide, 1).fields[-1] * 16 > 53
    narrow = pack_layers(wide, 1, 2)
    points = grid(1, 1)
    assert narrow.exact(points).tolist() == wide.exact(points).tolist()
    floats = np.array(points, dtype=float)
    assert np.abs(narrow(floats) - wide(floats)).max() > 0.01


def test_few_bits_fit_in_float64():
    wide = dyadic_network(1, (2,), 0)
    points = np.array(grid(1, 3), dtype=float)
    np.testing.assert_array_equal(pack_layers(wide, 3, 8)(points), wide(points))  # all steps are exact


def test_bad_networks_raise():
    third = Network([([[Fraction(1, 3)]], [Fraction(0)]), ([[Fraction(1)]], [Fraction(0)])])
    with pytest.raises(ValueError, match="dyadic entries, got the denominator 3"):
        pack_layers(third, 2, 2)
    with pytest.raises(ValueError, match="hidden layers and one output"):
        pack_layers(Network([(np.eye(2), np.zeros(2))]), 2, 2)
    with pytest.raises(ValueError, match="window_bits"):
        PackedNetwork(1, (2,), 2, 0)


def test_layers_read_the_layer_before_and_no_other():
    tape = NamedLayers(["x"])
    tape.append({"y": {"x": Fraction(1)}})
    with pytest.raises(ValueError, match=r"terms must be of units of the last layer, \['y'\], got \['x'\]"):
        tape.append({"z": {"x": Fraction(1), "1": Fraction(2)}})


def test_biases_may_be_finer_than_all_else_and_layers_may_be_dead():
    network = Network([([[1.0]], [2.0**-10]), ([[1.0]], [2.0**-20]), ([[1.0]], [0.0])])
    assert packing(network, 1).grids == [1, 10, 20]
    dead = Network([([[-1.0]], [-1.0]), ([[1.0]], [0.5])])  # outputs without bits still take one
    points = [[Fraction(0)], [Fraction(1, 2)]]
    for original in (network, dead):
        assert pack_layers(original, 1, 4).exact(points).tolist() == original.exact(points).tolist()
        assert pack_layers(original, 1, 4).size == packed_size(original, 1)


def test_random_weights_are_multiples_of_a_half_up_to_one():
    parts = [part for seed in range(5) for layer in PackedNetwork(2, (3,), 1, 1, seed).wide.layers for part in layer]
    for kind in (parts[::2], parts[1::2]):
        assert set(np.concatenate([part.ravel() for part in kind])) == {-1, -0.5, 0, 0.5, 1}


def test_error_has_two_parts():
    example = PackedNetwork(2, (3,), 4, 6, seed=1)
    (first, _), (last, _) = example.wide.layers
    plan = packing(example.wide, 4)
    rounding = (np.abs(last) @ np.abs(first)).sum() / 2**5  # half of a step of 2^-4 in the mean
    windows = 2 * 4 / 2**6  # two coordinates of four bits
    assert example.error().norm == "l1"
    assert example.error().bound == pytest.approx(rounding + windows * float(plan.high - plan.low), rel=1e-12)
