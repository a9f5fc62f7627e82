"""What is outside a ball, in floats and in balls: both ends of a probability, Bernstein's bound, what is refused."""

from fractions import Fraction

import flint
import mpmath
import numpy as np
import pytest
from balls import holds, meets
from hypothesis import given
from hypothesis import strategies as st

from widththeory.bounds import rigorous, rigorous_law, rigorous_truncation, truncation
from widththeory.bounds.radial_law import RadialLaw
from widththeory.network import Network
from widththeory.typing import Certified

arb = flint.arb
LAW = RadialLaw(3, 2)


def one_neuron(weight, bias, outer, constant):
    return Network([([weight], [bias]), ([[outer]], [constant])])


@pytest.mark.parametrize(("dim", "radius"), [(2, 0.5), (3, 2.0)])
def test_share_outside_a_ball_holds_both_ends_of_its_radius(dim, radius):
    """2 pi R_d is no float: at 40 bits the ball of t is wide, and the share lies between those of its ends."""
    law = RadialLaw(dim)
    coarse, fine = (rigorous_truncation.share_outside(law, radius, precision=bits) for bits in (40, 200))
    assert holds(coarse, fine)
    with flint.ctx.workprec(40):
        t = rigorous_truncation.law_scale(law) * radius
    for end in (t.lower(), t.upper()):
        mantissa, exponent = end.man_exp()
        exact = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
        assert holds(coarse, 1 - rigorous_law.cdf(law, exact, precision=200))


def test_bernstein_by_hand():
    """Values 0, 1, 1, 2: mean 1, variance 2/3; n = 4, M = 5, delta = 1/2, in 40 digits."""
    squared = np.array([0.0, 1.0, 1.0, 2.0])
    with mpmath.workdps(40):
        logarithm = mpmath.log(8)
        spread = mpmath.sqrt(2 * mpmath.mpf(2) / 3 * logarithm / 4) + 7 * 5 * logarithm / (3 * 3)
        ends = [arb(str(1 - spread)), arb(str(1 + spread))]
    share = rigorous_truncation.share_outside(LAW, 4.0)
    ball = rigorous_truncation.outside_error(LAW, 4.0, squared, 5.0, failure_probability=0.5)
    number = rigorous.to_ball(truncation.outside_error(LAW, 4.0, squared, 5.0, failure_probability=0.5))
    for found in (ball, number):
        assert abs(found.lower() - share * ends[0]) < 1e-7 * share * ends[1]  # radii have 30 bits
        assert abs(found.upper() - share * ends[1]) < 1e-7 * share * ends[1]
    finer = rigorous_truncation.outside_error(LAW, 4.0, squared, 5.0, failure_probability=0.5, precision=32)
    assert finer.rad() > ball.rad()


def test_two_values_are_enough():
    for outside in (truncation.outside_error, rigorous_truncation.outside_error):
        assert outside(LAW, 1.0, np.array([0.5, 0.5]), 1.0) is not None


@given(st.floats(0, 1), st.floats(0, 1e-3), st.floats(0, 1), st.floats(0, 1e-3))
def test_difference_of_floor_and_outside_is_enclosed(value, error, other, doubt):
    """In rationals: where value and error are alike, the rounding of the value is more than the last digit."""
    found = truncation.truncated_floor(Certified(value, error), Certified(other, doubt))
    middle, radius = Fraction(value) - Fraction(other), Fraction(error) + Fraction(doubt)
    assert Fraction(found.lower) <= middle - radius
    assert middle + radius <= Fraction(found.upper)


def test_supremum_counts_the_constant_and_no_neuron_that_is_off():
    for constant in (2.5, -2.5):
        network = one_neuron([3.0, 4.0], -11.0, -7.0, constant)
        for supremum in (truncation.truncated_supremum, rigorous_truncation.truncated_supremum):
            assert supremum(network, 2.0) >= 2.5
            assert supremum(network, 2.0) <= 2.5 * (1 + 1e-9)
            assert supremum(network, 3.0) >= 2.5 + 7 * 4
            assert supremum(network, 3.0) <= (2.5 + 7 * 4) * (1 + 1e-9)


def test_supremum_in_floats_is_not_below_the_exact_one():
    """Rounded to nearest it was, every other time."""
    rng = np.random.default_rng(0)
    for units in (1, 2, 5, 100) * 5:
        weights, bias = rng.standard_normal((units, 3)), rng.standard_normal(units)
        network = Network([(weights, bias), (rng.standard_normal((1, units)), rng.standard_normal(1))])
        exact = rigorous_truncation.truncated_supremum(network, 1.7)
        assert exact <= truncation.truncated_supremum(network, 1.7)
        assert meets(exact, arb(truncation.truncated_supremum(network, 1.7), 1e-10))  # 308 roundings of 220, twice


@pytest.mark.parametrize("constant", [0.0, 1e6 / 3])
def test_supremum_in_floats_where_reach_and_bias_cancel_or_the_constant_is_large(constant):
    """What is left of the neuron is all rounding, or its sum with the constant is."""
    for weights in np.random.default_rng(1).standard_normal((20, 3)):
        bias = -1.7 * float(np.linalg.norm(weights)) * (constant == 0)
        network = one_neuron(list(weights), bias, 1.0, constant)
        exact = rigorous_truncation.truncated_supremum(network, 1.7)
        assert exact <= truncation.truncated_supremum(network, 1.7)


DEEP = Network([(np.eye(2), np.zeros(2)), (np.eye(2), np.zeros(2)), (np.ones((1, 2)), np.zeros(1))])
AFFINE = Network([(np.ones((1, 2)), np.zeros(1))])
TWO_OUTPUTS = Network([(np.eye(2), np.zeros(2)), (np.eye(2), np.zeros(2))])
UNIT = one_neuron([1.0, 0.0], 0.0, 1.0, 0.0)
ONES = np.ones(3)


@pytest.mark.parametrize("module", [truncation, rigorous_truncation])
@pytest.mark.parametrize("radius", [0.0, -1.0, np.inf, np.nan])
def test_radii_that_are_none_are_refused(module, radius):
    message = f"radius must be positive and finite, got {radius!r}"
    calls = [
        lambda: module.truncated_supremum(UNIT, radius),
        lambda: module.outside_error(LAW, radius, ONES, 1.0),
        lambda: truncation.truncated_values(UNIT, radius, np.zeros((1, 2))),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("module", [truncation, rigorous_truncation])
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.truncated_supremum(DEEP, 1.0), "one hidden layer and one output"),
        (lambda m: m.truncated_supremum(AFFINE, 1.0), "one hidden layer and one output"),
        (lambda m: m.truncated_supremum(TWO_OUTPUTS, 1.0), "one hidden layer and one output"),
        (lambda m: m.outside_error(LAW, 1.0, np.array([1.0]), 1.0), "at least 2 values, got 1"),
        (lambda m: m.outside_error(LAW, 1.0, np.array([-1e-9, 1.0]), 1.0), "must lie between 0 and supremum=1.0"),
        (lambda m: m.outside_error(LAW, 1.0, np.array([np.nan, 1.0]), 1.0), "must lie between 0 and supremum=1.0"),
        (lambda m: m.outside_error(LAW, 1.0, np.array([0.5, 1.1]), 1.0), "must lie between 0 and supremum=1.0"),
        (lambda m: m.outside_error(LAW, 1.0, ONES, np.inf), "must lie between 0 and supremum=inf"),
        (lambda m: m.outside_error(LAW, 1.0, ONES, 1.0, failure_probability=0.0), "failure_probability must be"),
        (lambda m: m.outside_error(LAW, 1.0, ONES, 1.0, failure_probability=1.0), "failure_probability must be"),
    ],
)
def test_bad_input_gets_one_sentence(module, call, message):
    with pytest.raises(ValueError, match=message):
        call(module)
