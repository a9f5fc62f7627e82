"""The floor of one hidden layer on a ball: networks cut off outside, and what they err there by sampling."""

from fractions import Fraction

import numpy as np
import own_process
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widththeory.bounds import random_features
from widththeory.bounds.radial_law import RadialLaw
from widththeory.bounds.spectral import floor
from widththeory.bounds.truncation import outside_error, truncated_floor, truncated_supremum, truncated_values
from widththeory.constructions.eldan_shamir import Cosine
from widththeory.network import Network
from widththeory.typing import Certified


def fitted_network(wave, num_neurons, rng):
    """Random neurons, output weights by least squares on a sample."""
    points = wave.sample(4000, rng)
    weight = rng.standard_normal((num_neurons, wave.input_dim))
    bias = rng.uniform(-6, 6, num_neurons)
    features = np.column_stack([np.maximum(points @ weight.T + bias, 0), np.ones(len(points))])
    outer = np.linalg.lstsq(features, wave.target(points), rcond=1e-8)[0]
    return Network([(weight, bias), (outer[None, :-1], outer[-1:])])


def test_floor_on_a_ball():
    rng = np.random.default_rng(5)
    wave = Cosine(4, 3.0, order=2)
    network, radius = fitted_network(wave, 16, rng), wave.law.quantile(0.999)
    points = wave.sample(20_000, rng)
    inside = np.linalg.norm(points, axis=1) <= radius
    cut, whole = truncated_values(network, radius, points), network(points)[:, 0]
    np.testing.assert_allclose(cut[inside], whole[inside], rtol=1e-12, atol=1e-9)
    assert not np.allclose(cut[~inside], whole[~inside])
    assert np.all(np.abs(cut) <= truncated_supremum(network, radius) + 1e-9)

    far = wave.law.sample(20_000, rng, above=radius)
    assert np.all(np.linalg.norm(far, axis=1) > radius * (1 - 1e-9))
    gaps = (truncated_values(network, radius, far) - wave.target(far)) ** 2
    outside = outside_error(wave.law, radius, gaps, (truncated_supremum(network, radius) + 1) ** 2)
    bound = truncated_floor(floor(wave.spectrum(), 16), outside)
    measured = np.where(inside, (whole - wave.target(points)) ** 2, 0.0)
    # five standard errors of the mean
    assert measured.mean() + 5 * measured.std() / np.sqrt(len(measured)) > bound.lower
    assert bound.lower > 0.3  # of 0.495: the certificate says something
    assert bound.value < floor(wave.spectrum(), 16).value


def test_outside_error_contains_the_truth():
    law = RadialLaw(3, 2)
    radius = law.quantile(0.9)
    # values with a known mean: 1 where a fair coin falls, so the integral is P(|x| > R) / 2
    for seed in range(20):
        coins = np.random.default_rng(seed).integers(0, 2, 400).astype(float)
        result = outside_error(law, radius, coins, 1.0)
        assert abs(result.value - 0.05) <= result.error
    assert outside_error(law, radius, np.ones(400), 1.0).value == pytest.approx(0.1, rel=1e-8)
    with pytest.raises(ValueError, match="squared_errors must lie between 0 and supremum"):
        outside_error(law, radius, np.array([0.0, 2.0]), 1.0)
    with pytest.raises(ValueError, match=r"failure_probability must be in \(0, 1\), got 4"):
        outside_error(law, radius, np.ones(400), 1.0, failure_probability=4.0)
    with pytest.raises(ValueError, match="at least 2 values"):
        outside_error(law, radius, np.array([0.0]), 1.0)
    with pytest.raises(ValueError, match="one hidden layer"):
        truncated_supremum(Network([(np.eye(2), np.zeros(2))]), 1.0)


def test_values_by_hand():
    """relu(x + 5) and relu(5 - x) are cut off beyond 1 on both sides, where they are not 0; the constant is not."""
    network = Network([([[1.0], [-1.0]], [5.0, 5.0]), ([[1.0, -3.0]], [-0.5])])
    points = np.array([[-3.0], [-1.0], [0.5], [1.0], [3.0]])
    np.testing.assert_array_equal(truncated_values(network, 1.0, points), [-0.5, -14.5, -8.5, -6.5, -0.5])
    assert truncated_supremum(network, 1.0) == pytest.approx(0.5 + 6 + 18, rel=1e-14)  # rounded up


def test_a_neuron_without_values_adds_nothing():
    """relu(x - 5) is 0 up to |x| = 1, however large its weight."""
    network = Network([([[1.0], [1.0]], [-5.0, 2.0]), ([[7.0, 3.0]], [0.0])])
    assert truncated_supremum(network, 1.0) == pytest.approx(9, rel=1e-13)  # rounded up


def test_outside_error_by_hand():
    """Variance 1/3 of four values, M = 2, log(4 / delta) = log 400."""
    law, values = RadialLaw(3, 2), np.array([0.0, 1.0, 0.0, 1.0])
    share, log_term = float(1 - law.cdf(np.array([2.0]))[0]), np.log(400)
    found = outside_error(law, 2.0, values, 2.0, failure_probability=0.01)
    assert found.value == share / 2
    spread = np.sqrt(2 / 3 * log_term / 4) + 7 * 2 * log_term / 9
    assert found.error == pytest.approx(share * spread + 1e-11 * (0.5 + spread), rel=1e-14)
    assert outside_error(law, 2.0, values, 2.0) == outside_error(law, 2.0, values, 2.0, failure_probability=1e-6)
    far = outside_error(law, 200.0, values, 2.0, failure_probability=0.01)  # where the share is 1e-11
    share = float(1 - law.cdf(np.array([200.0]))[0])
    assert far.error == pytest.approx(share * spread + 1e-11 * (0.5 + spread), rel=1e-14)
    assert outside_error(law, 2.0, values, 1.0).error > 0  # the supremum may be attained
    for probability in (0.0, 1.0):
        with pytest.raises(ValueError, match="failure_probability must be"):
            outside_error(law, 2.0, values, 2.0, failure_probability=probability)
    for call in (truncated_values, truncated_supremum):
        two = Network([(np.eye(2), np.zeros(2)), (np.eye(2), np.zeros(2))])
        with pytest.raises(ValueError, match="one hidden layer and one output, got depth 1 and 2 outputs"):
            call(two, 1.0, *([np.ones((1, 2))] if call is truncated_values else []))


def other_with_fractions():
    """Bounds that a Fraction changes: it is a number, and the nearest float is what they compute with."""

    def numbers(x):
        law, unit = RadialLaw(4), Network([([[3.0, 4.0]], [0.1]), ([[0.7]], [0.2])])
        return {
            "outside_error": outside_error(law, x, np.full(3, 0.2), x),
            "truncated_supremum": truncated_supremum(unit, x),
            "truncated_values": truncated_values(unit, x, np.ones((1, 2))).tolist(),
            "random_feature_floor": random_features.random_feature_floor(3, x, 4),
            "random_features_needed": random_features.random_features_needed(3, 9.0, x, x / 4),
            "law_exponent": random_features.law_exponent(3, 9.0, x),
        }

    exact, rounded = numbers(Fraction(1, 3)), numbers(1 / 3)
    return [name for name, number in exact.items() if number != rounded[name]]


def test_fractions_are_numbers():
    assert own_process.found(other_with_fractions) == []


magnitudes = st.floats(0, 1e9)


@given(magnitudes, magnitudes, magnitudes, magnitudes)
def test_rounding_of_a_difference_is_in_its_error(one, other, error, more):
    found = truncated_floor(Certified(one, error), Certified(other, more))
    middle, spread = Fraction(one) - Fraction(other), Fraction(error) + Fraction(more)
    assert abs(Fraction(found.value) - middle) + spread <= Fraction(found.error)
    assert found.error <= (error + more) * (1 + 1e-14) + 1e-14 * abs(one - other)


def test_errors_of_the_floor_and_of_what_is_outside_add_up():
    bound = truncated_floor(Certified(0.75, 0.125), Certified(0.25, 0.0625))
    assert bound.value == 0.5
    assert bound.error == pytest.approx(0.1875, rel=1e-14)  # rounded up


@pytest.mark.parametrize("radius", [200.0, 3e3])
def test_what_is_beyond_a_very_large_ball_is_not_nothing(radius):
    """The distribution function is 1 up to roundoff there, and what is outside was said to be zero, without error."""
    law = RadialLaw(4, 2)
    found = outside_error(law, radius, np.ones(50), 1.0)
    # squares of Bessel functions are 1 / (pi t) on average, up to a part of the order 1 / t
    assert found.lower <= 1 / (5 * np.pi * law.normaliser * radius**5) <= found.upper
    assert found.error < 1e-8
