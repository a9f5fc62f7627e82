"""What must not change regions and distances, over random rational networks in which ties are common."""

from fractions import Fraction

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from planar_networks import errors_hold, same_combinatorics

from widththeory.exact.any_dim import count_regions
from widththeory.exact.distance_2d import exact_distance
from widththeory.exact.linear_regions import count_linear_regions, linear_regions
from widththeory.exact.polygons import box
from widththeory.exact.two_dim import subdivide
from widththeory.network import Network

SQUARE = box(Fraction(-2), Fraction(2))
# Small numerators and denominators: many zeros, repeated rows, parallel lines, and lines through corners.
ENTRIES = st.builds(Fraction, st.integers(-2, 2), st.sampled_from([1, 1, 2, 3]))


@st.composite
def networks(draw):
    widths = (2, *draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)), 1)
    layers = []
    for fan_in, fan_out in zip(widths, widths[1:], strict=False):
        weight = draw(st.lists(st.lists(ENTRIES, min_size=fan_in, max_size=fan_in), min_size=fan_out, max_size=fan_out))
        layers.append((weight, draw(st.lists(ENTRIES, min_size=fan_out, max_size=fan_out))))
    return Network(layers)


def parts(network):
    return [(weight.copy(), bias.copy()) for weight, bias in network.layers]


def counts(network):
    complex_ = subdivide(network, SQUARE)
    return complex_.num_faces, int(linear_regions(complex_).max()) + 1


def same_function_and_regions(one, other):
    assert exact_distance(one, other, SQUARE) == (0, 0, 0)
    assert counts(one) == counts(other)
    areas = [sorted(subdivide(network, SQUARE, "rational").areas) for network in (one, other)]
    assert areas[0] == areas[1]


@settings(max_examples=150)
@given(networks())
def test_filtered_arithmetic_decides_like_rational(network):
    exact, filtered = subdivide(network, SQUARE, "rational"), subdivide(network, SQUARE)
    assert same_combinatorics(exact, filtered)
    assert errors_hold(filtered, exact)
    assert np.array_equal(linear_regions(exact), linear_regions(filtered))
    assert exact.areas.sum() == 16
    assert np.array_equal(exact.values, network.exact(exact.vertices))


@settings(max_examples=25)
@given(networks())
def test_linear_programs_count_the_same(network):
    assert count_regions(network, -2, 2) == subdivide(network, SQUARE).num_faces


@settings(max_examples=40)
@given(networks(), st.randoms(use_true_random=False))
def test_permuting_neurons_changes_nothing(network, random):
    layers = parts(network)
    for index in range(len(layers) - 1):
        order = list(range(len(layers[index][1])))
        random.shuffle(order)
        (weight, bias), (following, last) = layers[index], layers[index + 1]
        layers[index], layers[index + 1] = (weight[order], bias[order]), (following[:, order], last)
    same_function_and_regions(network, Network(layers))


@settings(max_examples=40)
@given(networks(), st.lists(st.fractions(Fraction(1, 7), 7, max_denominator=9), min_size=12, max_size=12))
def test_rescaling_neurons_changes_nothing(network, factors):
    layers, position = parts(network), 0
    for index in range(len(layers) - 1):
        width = len(layers[index][1])
        scale = np.array(factors[position : position + width], dtype=object)
        position += width
        (weight, bias), (following, last) = layers[index], layers[index + 1]
        layers[index] = (weight * scale[:, None], bias * scale)
        layers[index + 1] = (following / scale, last)
    same_function_and_regions(network, Network(layers))


@settings(max_examples=40)
@given(networks(), st.integers(0, 10), st.fractions(-2, 2, max_denominator=5))
def test_splitting_a_neuron_in_two_changes_nothing(network, choice, share):
    layers = parts(network)
    index = choice % (len(layers) - 1)
    (weight, bias), (following, last) = layers[index], layers[index + 1]
    neuron = choice % len(bias)
    twins = np.concatenate([following, (1 - share) * following[:, neuron : neuron + 1]], axis=1)
    twins[:, neuron] = share * following[:, neuron]
    layers[index] = (np.concatenate([weight, weight[neuron : neuron + 1]]), np.append(bias, bias[neuron]))
    layers[index + 1] = (twins, last)
    same_function_and_regions(network, Network(layers))


def test_slopes_beyond_floats_are_left_to_rationals():
    steep = Network([([[Fraction(10**160), 0]], [Fraction(0)]), ([[Fraction(10**160)]], [Fraction(0)])])
    small = box(Fraction(-1, 10**200), Fraction(1, 10**200))  # where values are floats
    with pytest.raises(ValueError, match="slopes or intercepts too large for float64"):
        count_linear_regions(steep, small)
    assert count_linear_regions(steep, small, "rational") == 2
