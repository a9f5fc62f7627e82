"""Correlations and gradients with a sawtooth, integrated exactly between breakpoints, against their bounds."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widththeory.bounds.affine_pieces import max_affine_pieces
from widththeory.bounds.sawtooth_gradient import (
    correlation_bound,
    gradient_bound,
    largest_gradient,
    printed_loss_floor,
    printed_progress,
    variation_bound,
)
from widththeory.constructions.telgarsky import Sawtooth

sizes = st.floats(0, 100)
GAUSS = 0.5 + np.array([-0.5, 0.5]) / np.sqrt(3)  # exact for cubics


def centred(points, num_folds):
    return Sawtooth(num_folds).target(points[:, None]) - 0.5


def draw(widths, rng):
    """He's law with biases, so that units change their activity inside [0, 1]."""
    ends = [1, *widths, 1]
    return [
        (rng.standard_normal((o, i)) * np.sqrt(2 / i), rng.uniform(-0.5, 0.5, o))
        for i, o in zip(ends[:-1], ends[1:], strict=True)
    ]


def activity_changes(layers):
    """Points of [0, 1] where some unit changes its activity: zeros of functions affine between the earlier ones."""
    knots, hidden = np.array([0.0, 1.0]), np.array([[0.0], [1.0]])
    for weight, bias in layers[:-1]:
        values = hidden @ weight.T + bias
        a, b = values[:-1], values[1:]
        rows, units = np.nonzero(a * b < 0)
        share = a[rows, units] / (a[rows, units] - b[rows, units])
        added = knots[rows] + share * (knots[rows + 1] - knots[rows])
        finer = np.union1d(knots, added)
        values = np.stack([np.interp(finer, knots, column) for column in values.T], axis=1)
        knots, hidden = finer, np.maximum(values, 0)
    return knots


def gradients(layers, points):
    """Derivatives of the output by all weights and biases, by hand: a row for each point."""
    hidden, below = [points[:, None]], []
    for weight, bias in layers[:-1]:
        value = hidden[-1] @ weight.T + bias
        below.append(value > 0)
        hidden.append(np.maximum(value, 0))
    delta, columns = np.ones((len(points), 1)), []
    for index in reversed(range(len(layers))):
        columns += [(delta[:, :, None] * hidden[index][:, None, :]).reshape(len(points), -1), delta]
        if index:
            delta = (delta @ layers[index][0]) * below[index - 1]
    return np.concatenate(columns, axis=1)


def integration(knots, num_folds):
    """Gauss points and weights of the cells between breakpoints and kinks of the sawtooth."""
    cells = np.union1d(knots, np.arange(2**num_folds + 1) / 2**num_folds)
    points = cells[:-1, None] + np.diff(cells)[:, None] * GAUSS
    return points.ravel(), np.repeat(np.diff(cells) / 2, 2)


@pytest.mark.parametrize("widths", [(5,), (20,), (4, 4), (3, 3, 3)])
def test_gradients_at_initialisation_hardly_see_the_sawtooth(widths):
    rng, rates = np.random.default_rng(0), []
    for _ in range(8):
        layers = draw(widths, rng)
        knots = activity_changes(layers)
        assert len(knots) - 1 <= max_affine_pieces(widths)
        largest = largest_gradient(layers).upper
        seen = []
        for num_folds in range(1, 12):
            points, weights = integration(knots, num_folds)
            slopes = gradients(layers, points)
            one, other = slopes[::2], slopes[1::2]  # affine on the cell: the norm is largest at one of its ends
            tilt = np.sqrt(3) * (other - one) / 2
            tallest = max(np.linalg.norm((one + other) / 2 + s * tilt, axis=1).max() for s in (-1, 1))
            assert tallest <= largest * (1 + 1e-12)
            # grad E_f = 2 int (g - f) grad g, for f the sawtooth and for f = 1/2
            output = np.maximum(points[:, None] @ layers[0][0].T + layers[0][1], 0)
            for weight, bias in layers[1:-1]:
                output = np.maximum(output @ weight.T + bias, 0)
            output = (output @ layers[-1][0].T + layers[-1][1])[:, 0]
            target = centred(points, num_folds) + 0.5
            difference = 2 * ((weights * (output - target)) @ slopes - (weights * (output - 0.5)) @ slopes)
            seen.append(np.linalg.norm(difference))
            # the rounding of the two gradients that are subtracted
            assert seen[-1] <= gradient_bound(num_folds, widths, largest).upper + 1e-13
            # the same with what the network has, in place of what its size allows
            sharper = min(len(knots) - 2, 2 ** (num_folds - 1)) * 2.0**-num_folds
            assert seen[-1] <= sharper * tallest + 1e-13
        if len(knots) > 2:
            rates.append(np.log2(seen[10] / seen[2]) / 8)
    # halved by each fold, neither faster nor slower: what is seen are jumps of the gradient, each by where it lies in
    # its tooth, which makes a factor of a few for one network
    assert len(rates) >= 4
    assert abs(np.mean(rates) + 1) < 0.2


@pytest.mark.parametrize("num_folds", [1, 3, 6])
def test_step_at_a_quarter_of_a_tooth_attains_the_variation_bound(num_folds):
    quarter = 2.0**-num_folds / 2
    points, weights = integration(np.array([0.0, quarter, 1.0]), num_folds)
    found = abs(weights @ (centred(points, num_folds) * (points > quarter)))
    assert found == pytest.approx(variation_bound(num_folds, 1.0).value, rel=1e-12)


@pytest.mark.parametrize("num_folds", [1, 4])
def test_sign_of_the_wave_attains_the_correlation_of_all_teeth(num_folds):
    """q = sign(h^k - 1/2) / 2 has oscillation 1 and breakpoints in every tooth: 2^(k-1) 2^(-k-2) = 1/8."""
    points, weights = integration(np.arange(4 * 2**num_folds + 1) / (4 * 2**num_folds), num_folds)
    wave = centred(points, num_folds)
    assert weights @ (wave * np.sign(wave)) / 2 == pytest.approx(1 / 8, rel=1e-12)
    assert correlation_bound(num_folds, 10**6, 1.0).value == 1 / 8


@given(st.integers(1, 8), st.integers(1, 12), st.integers(0, 10**6))
def test_no_piecewise_affine_function_correlates_more(num_folds, num_pieces, seed):
    rng = np.random.default_rng(seed)
    inner = np.sort(rng.uniform(size=num_pieces - 1))
    knots = np.concatenate([[0.0], inner, [1.0]])
    ends = rng.uniform(size=(num_pieces, 2))  # values at the ends of each piece, in [0, 1]
    points, weights = integration(knots, num_folds)
    piece = np.clip(np.searchsorted(knots, points) - 1, 0, num_pieces - 1)
    share = (points - knots[piece]) / (knots[piece + 1] - knots[piece])
    values = ends[piece, 0] + share * (ends[piece, 1] - ends[piece, 0])
    found = abs(weights @ (centred(points, num_folds) * values))
    variation = np.abs(np.diff(ends.ravel())).sum()
    assert found <= correlation_bound(num_folds, num_pieces, np.ptp(ends)).upper + 1e-14  # of the quadrature
    assert found <= variation_bound(num_folds, variation).upper + 1e-14


@given(st.integers(1, 200), st.integers(1, 10**6), sizes, sizes)
def test_bounds_are_monotone(num_folds, num_pieces, size, more):
    bound = correlation_bound(num_folds, num_pieces, size)
    assert correlation_bound(num_folds, num_pieces + 1, size).upper >= bound.lower
    assert correlation_bound(num_folds, num_pieces, size + more).upper >= bound.lower
    assert correlation_bound(num_folds + 1, num_pieces, size).lower <= bound.upper
    assert variation_bound(num_folds + 1, size).lower <= variation_bound(num_folds, size + more).upper


@given(st.integers(1, 60), st.lists(st.integers(1, 30), max_size=4), st.integers(1, 9), sizes)
def test_gradient_bound_is_monotone(num_folds, widths, extra, largest):
    bound = gradient_bound(num_folds, widths, largest)
    assert gradient_bound(num_folds, [*widths, extra], largest).upper >= bound.lower
    assert gradient_bound(num_folds + 1, widths, largest).lower <= bound.upper
    assert bound.value <= largest  # never worse than knowing nothing: 2 E|h^k - 1/2| |grad g| is half of it
    assert bound.value <= 0.5 * largest * (1 + 1e-15)


@pytest.mark.parametrize("num_folds", [2, 30, 1000, 1071, 1073, 1500])
@pytest.mark.parametrize("size", [0.1, 1e300, 1e-300])
def test_error_is_that_of_rounding_however_many_the_folds(num_folds, size):
    """2^-1075 is no float, and of five times as much, in floats, a fifth is lost: what is large makes up for it."""
    for bound, exact in (
        (correlation_bound(num_folds, 6, size), Fraction(min(5, 2 ** (num_folds - 1)), 2 ** (num_folds + 2))),
        (gradient_bound(num_folds, (5,), size), Fraction(min(5, 2 ** (num_folds - 1)), 2**num_folds)),
        (variation_bound(num_folds, size), Fraction(1, 2 ** (num_folds + 3))),
    ):
        assert abs(Fraction(bound.value) - exact * Fraction(size)) <= Fraction(bound.error)
        assert bound.error <= 4e-16 * bound.value + 5e-324


def test_small_constants_make_no_progress_of_zero():
    """Their squares underflow, and with a large rate nothing else does: 21 1e-340 1e300 2 1e9 / 2."""
    progress = printed_progress(1e-170, 1.0, 1e150, 4, 1000, 1000, 2.0)
    assert abs(progress.value - 2.1e-30) <= progress.error + 1e-45  # arguments are rounded


def test_largest_gradient_by_hand():
    """g(x) = relu(3 x): derivatives 3 [x > 0] by the bias and x 3 by the weight, 3 x and 1 by the output's."""
    layers = [(np.array([[3.0]]), np.zeros(1)), (np.array([[1.0]]), np.zeros(1))]
    assert largest_gradient(layers).value == pytest.approx(math.sqrt(1 + 1 + 9 + 1))
    assert np.linalg.norm(gradients(layers, np.array([1.0]))) == pytest.approx(math.sqrt(1 + 1 + 9 + 1))


def test_errors_are_those_of_rounding():
    """Chains of one unit a layer, whose norms are rational: squares of both ends, in rationals, on either side."""
    rng = np.random.default_rng(4)
    for depth in (1, 2, 5):
        layers = [(rng.standard_normal((1, 1)), rng.standard_normal(1)) for _ in range(depth)]
        norms = [(abs(Fraction(float(weight[0, 0]))), abs(Fraction(float(bias[0])))) for weight, bias in layers]
        heights, below, squared = [Fraction(1)], Fraction(1), Fraction(0)
        for weight, bias in norms:
            heights.append(weight * heights[-1] + bias)
        for (weight, _), height in zip(reversed(norms), reversed(heights[:-1]), strict=True):
            squared += below**2 * (height**2 + 1)
            below *= weight
        bound = largest_gradient(layers)
        value, error = Fraction(bound.value), Fraction(bound.error)
        assert (value - error) ** 2 <= squared <= (value + error) ** 2
        progress = printed_progress(0.1, 1.0, 0.3, depth + 2, 7, 3, 0.7)
        value, error = Fraction(progress.value), Fraction(progress.error)
        squared = (21 * Fraction(0.1) ** 2 * 7 * 9 / Fraction(0.7)) ** 2 * (depth + 2)
        assert (value - error) ** 2 <= squared <= (value + error) ** 2


def test_printed_floor_follows_from_counting_pieces():
    """Networks with values in [-1, 1] have 1 - <sign, g> >= 1 - (P - 1) / teeth, P = (p + 1)^depth, 2^(n-1) teeth."""
    assert printed_loss_floor(4, 2).value == pytest.approx(1 - 2 * 4 * 4**4 / 2**16)
    for depth in range(1, 12):
        for width in (1, 2, 5, 20):
            counted = 1 - ((width + 1) ** depth - 1) / 2 ** (depth**2 - 1)
            floor = printed_loss_floor(depth, width)
            assert floor.lower <= max(counted, 0.0)
            assert printed_loss_floor(depth, width + 1).lower <= floor.upper
            assert floor.lower >= 0
    assert printed_loss_floor(60, 10**9).lower > 0.999


def test_printed_progress_by_hand():
    progress = printed_progress(2.0, 3.0, 0.5, 4, 100, 10, 1e9)
    assert progress.value == pytest.approx(21 * 36 * 2 * 100 * 100 / 1e9)
    assert printed_progress(2.0, 3.0, 2.0, 4, 100, 10, 1e9).value == pytest.approx(4 * progress.value)


@given(st.floats(0.1, 9), st.floats(0.01, 9), st.integers(1, 99), st.integers(1, 999), st.integers(0, 99))
def test_progress_is_monotone(lipschitz, learning_rate, input_dim, num_params, num_steps):
    known = printed_progress(lipschitz, 1.0, learning_rate, input_dim, num_params, num_steps, 1e6)
    for more in (
        printed_progress(2 * lipschitz, 1.0, learning_rate, input_dim, num_params, num_steps, 1e6),
        printed_progress(lipschitz, 1.0, 2 * learning_rate, input_dim, num_params, num_steps, 1e6),
        printed_progress(lipschitz, 1.0, learning_rate, input_dim + 1, num_params + 1, num_steps + 1, 1e6),
        printed_progress(lipschitz, 1.0, learning_rate, input_dim, num_params, num_steps, 1e5),
    ):
        assert more.upper >= known.lower


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: correlation_bound(0, 1, 1.0), "num_folds must be"),
        (lambda: correlation_bound(1, 0, 1.0), "num_pieces must be"),
        (lambda: correlation_bound(1, 1, -1.0), "oscillation must be"),
        (lambda: variation_bound(1, math.inf), "total_variation must be"),
        (lambda: gradient_bound(1, (0,), 1.0), "widths must be"),
        (lambda: gradient_bound(1, (1,), math.nan), "largest must be"),
        (lambda: largest_gradient([]), "layers must be"),
        (lambda: printed_loss_floor(0, 1), "depth must be"),
        (lambda: printed_progress(0.0, 1.0, 1.0, 1, 1, 1, 1.0), "lipschitz must be"),
        (lambda: printed_progress(1.0, 1.0, 1.0, 1, 1, -1, 1.0), "num_steps must be"),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_bound_beyond_floats_is_refused():
    rest = {"initial_scale": 0.5, "learning_rate": 0.1, "input_dim": 3, "num_params": 9, "num_steps": 5, "alpha": 0.5}
    assert printed_progress(1e150, **rest).value == pytest.approx(21 * 0.25e300 * math.sqrt(3) * 9 * 25 / 0.5)
    with pytest.raises(ValueError, match="bound must be below"):
        printed_progress(1e200, **rest)
