"""Balls of the closed forms: against floats with their stated errors, exact integers, and other formulas."""

import importlib
import inspect
import itertools
import math
import pkgutil
from fractions import Fraction

import flint
import numpy as np
import pytest
from balls import holds, meets
from hypothesis import given, settings
from hypothesis import strategies as st

import widththeory.bounds
from widththeory.bounds import (
    daniely_norm,
    linear_regions,
    random_features,
    rigorous,
    rigorous_daniely,
    rigorous_directions,
    rigorous_features,
    rigorous_gradient,
    rigorous_regions,
    rigorous_truncation,
    sawtooth_gradient,
    truncation,
)
from widththeory.bounds.radial_law import RadialLaw
from widththeory.bounds.sphere_projection import sphere_projection_floor
from widththeory.bounds.square_sum import square_sum_floor
from widththeory.network import Network
from widththeory.typing import Certified

arb, acb = flint.arb, flint.acb
widths_lists = st.lists(st.integers(3, 12), min_size=1, max_size=4)

BOUNDS = [
    importlib.import_module(f"widththeory.bounds.{info.name}")
    for info in pkgutil.iter_modules(widththeory.bounds.__path__)
    if not info.name.startswith("rigorous")
]
BALLS = [
    importlib.import_module(f"widththeory.bounds.{info.name}")
    for info in pkgutil.iter_modules(widththeory.bounds.__path__)
    if info.name.startswith("rigorous")
]


def certified_functions():
    """Public functions of the modules of bounds that return a `Certified`."""
    return [
        function
        for module in BOUNDS
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and not name.startswith("_")
        and inspect.signature(function).return_annotation is Certified
    ]


def test_every_certified_number_has_a_ball():
    functions = certified_functions()
    assert len(functions) > 30
    own = {
        name
        for module in BALLS
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__
    }
    assert [function for function in functions if function.__name__ not in own] == []


def covers(ball, number):
    """The ball and the certified number have a number in common, and the ball is the narrower one."""
    known = rigorous.to_ball(number)
    return meets(ball, known) and float(ball.rad()) <= max(number.error, 1e-14 * abs(number.value))


# --- first layers narrower than the input ---------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_sums_of_squares(dim):
    ball = rigorous_directions.square_sum_floor(dim)
    assert covers(ball, square_sum_floor(dim))
    # with fewer intervals of the mean the least of both factors is less, and a floor too
    assert rigorous_directions.square_sum_floor(dim, num_means=50) <= ball.upper()
    assert float(ball.rad()) < 1e-15 * float(ball.mid())


@pytest.mark.parametrize(
    ("dim", "frequency", "width"), [(3, 0.01, 2), (3, 1.0, 1), (3, 5.0, 2), (4, 7.0, 1), (8, 17.8, 7), (12, 40.0, 6)]
)
def test_projections_of_spheres(dim, frequency, width):
    """Balls against floats; `test_sphere_projection` has another route."""
    ball = rigorous_daniely.sphere_projection_floor(dim, frequency, width)
    assert covers(ball, sphere_projection_floor(dim, frequency, width))
    assert float(ball.rad()) < 1e-15
    assert meets(ball, rigorous_daniely.sphere_projection_floor(dim, arb(frequency), width, precision=32))


def test_projections_that_see_less_of_a_sphere_miss_more():
    balls = [rigorous_daniely.sphere_projection_floor(5, 6.0, width) for width in range(1, 5)]
    assert all(more < less for less, more in itertools.pairwise(balls))
    assert balls[-1] > 0
    assert balls[0] < 1


def test_linear_function_of_a_sphere_is_seen_in_proportion():
    """For small w the sine is w <x, x'>, of which r of d coordinates are seen: 1 - r / d is missed."""
    for dim, width in ((3, 1), (4, 3), (7, 2)):
        ball = rigorous_daniely.sphere_projection_floor(dim, 1e-6, width)
        assert abs(ball - arb(dim - width) / dim) < 1e-11  # of the order of w^2


# --- regions ----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 3), st.lists(st.integers(9, 14), min_size=1, max_size=3))
def test_counts_are_the_integers(dim, widths):
    for name in ("montufar_lower", "serra_lower", "serra_upper"):
        ball, number = getattr(rigorous_regions, name)(dim, widths), getattr(linear_regions, name)(dim, widths)
        assert covers(ball, number), name
    assert rigorous_regions.montufar_lower(dim, widths) <= rigorous_regions.serra_upper(dim, widths)
    assert rigorous_regions.one_hidden_layer(dim, widths[0]) == rigorous_regions.serra_upper(dim, widths[:1])


def test_counts_of_any_size():
    """In one dimension the sum is the product of n + 1; balls hold what floats cannot."""
    widths = (20,) * 60
    exact = arb(21) ** 60
    with flint.ctx.workprec(400):
        assert rigorous_regions.serra_upper(1, widths, precision=400) == arb(21) ** 60
    assert meets(rigorous_regions.one_dimension(widths), exact)
    with pytest.raises(ValueError, match="fewer than 1e308"):
        linear_regions.one_dimension((20,) * 300)
    assert rigorous_regions.one_dimension((20,) * 300).is_finite()
    number = linear_regions.one_dimension(widths)
    assert abs(21**60 - int(number.value)) <= Fraction(number.error)  # the stated error is not rounded down


# --- gradients --------------------------------------------------------------------------------------------------------


@given(st.integers(1, 60), widths_lists, st.floats(0, 100))
def test_gradient_bounds_agree(num_folds, widths, size):
    pieces = math.prod(width + 1 for width in widths)
    for ball, number in (
        (
            rigorous_gradient.correlation_bound(num_folds, pieces, size),
            sawtooth_gradient.correlation_bound(num_folds, pieces, size),
        ),
        (rigorous_gradient.variation_bound(num_folds, size), sawtooth_gradient.variation_bound(num_folds, size)),
        (
            rigorous_gradient.gradient_bound(num_folds, widths, size),
            sawtooth_gradient.gradient_bound(num_folds, widths, size),
        ),
    ):
        assert covers(ball, number)


@pytest.mark.parametrize("depth", [1, 2, 5, 12])
def test_printed_theorems_agree(depth):
    assert covers(rigorous_gradient.printed_loss_floor(depth, 3), sawtooth_gradient.printed_loss_floor(depth, 3))
    numbers = (2.0, 3.0, 0.5, 4, 100, 10, 1e9)
    assert covers(rigorous_gradient.printed_progress(*numbers), sawtooth_gradient.printed_progress(*numbers))
    assert 2500 * rigorous_gradient.printed_progress(1.0, 1.0, 7.0, 4, 25, 2, 1.0) == 2500 * 21 * 49 * 2 * 25 * 4


def test_spectral_norms_in_closed_form():
    """Diagonal, rank one, a rotation scaled, and eigenvalues that coincide."""
    for matrix, squared in (
        (np.diag([3.0, -4.0, 1.0]), 16),
        (np.ones((4, 2)), 8),
        (np.array([[3.0, -4.0], [4.0, 3.0]]), 25),
        (np.eye(3), 1),
        (np.array([[1.0, 2.0, 2.0]]), 9),
    ):
        ball = rigorous_gradient.spectral_norm(matrix)
        assert meets(ball**2, arb(squared))
        assert ball.rad() < 1e-12
    assert rigorous_gradient.spectral_norm(np.zeros((2, 3))) == 0
    rng = np.random.default_rng(0)
    for shape in ((6, 6), (9, 3), (1, 5)):
        matrix = rng.standard_normal(shape)
        ball = rigorous_gradient.spectral_norm(matrix)
        # LAPACK to some hundred roundings
        assert meets(ball, arb(np.linalg.norm(matrix, 2), 1e-13))
        for vector in rng.standard_normal((20, shape[1])):
            assert np.linalg.norm(matrix @ vector) <= float(ball.upper()) * np.linalg.norm(vector) * (1 + 1e-14)


def test_largest_gradient_agrees():
    rng = np.random.default_rng(1)
    sizes = (1, 8, 8, 1)
    layers = [(rng.standard_normal((o, i)), rng.standard_normal(o)) for i, o in zip(sizes, sizes[1:], strict=False)]
    assert covers(rigorous_gradient.largest_gradient(layers), sawtooth_gradient.largest_gradient(layers))
    by_hand = [(np.array([[3.0]]), np.zeros(1)), (np.array([[1.0]]), np.zeros(1))]
    assert meets(rigorous_gradient.largest_gradient(by_hand) ** 2, arb(12))


# --- random features --------------------------------------------------------------------------------------------------


@given(st.integers(1, 8), st.floats(0.5, 50), st.integers(0, 300))
@settings(max_examples=30)
def test_random_features_agree(dim, lipschitz, count):
    floor = rigorous_features.random_feature_floor(dim, lipschitz, count)
    known = random_features.random_feature_floor(dim, lipschitz, count)
    assert float(floor.lower()) <= known.upper  # floats try more radii
    needed = rigorous_features.random_features_needed(dim, lipschitz, 1.0, 0.25)
    assert float(needed.lower()) <= random_features.random_features_needed(dim, lipschitz, 1.0, 0.25).upper
    law = random_features.law_exponent(dim, lipschitz, 1.0)
    assert meets(rigorous_features.law_exponent(dim, lipschitz, 1.0), arb(law, 1e-13 * law))  # some roundings
    if 0 < count < 5:  # small radii are best there, and both have them
        assert covers(floor, known)


def test_random_features_by_hand():
    """d = 2, r = 4, as in test_random_features: m = 2 with 9 points, so that (pi floor)^2 = 5 / 36."""
    assert meets(36 * (arb.pi() * rigorous_features.random_feature_floor(2, 1.0, 4)) ** 2, arb(5))
    # L / eps = 10, d = 1: m = 1 and 4 have 3 and 5 points
    squared = arb.pi() ** 2 / 50
    needed = rigorous_features.random_features_needed(1, 10.0, 1.0)
    assert meets(needed, (3 * (1 - squared)).max(5 * (1 - 4 * squared)))
    assert needed.rad() < 1e-30


def test_the_last_radius_counts():
    """d = 1: three points up to m = 1, so that two features miss a third of the family, and three of it all."""
    floor = rigorous_features.random_feature_floor(1, 2.0, 2, max_squared_radius=1)
    assert meets((arb.pi() * floor) ** 2, 4 * arb(1) / 6)
    assert rigorous_features.random_feature_floor(1, 2.0, 3, max_squared_radius=3) == 0
    assert rigorous_features.random_features_needed(1, 100.0, 1.0, max_squared_radius=1) > 2.99


# --- spheres ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dim", "frequency"), [(3, 2.0), (6, 30.0), (25, 12.5)])
def test_sphere_bounds_agree(dim, frequency):
    for degree in (0, 1, 4, 9):
        ball = rigorous_daniely.polynomial_distance_squared(dim, frequency, degree)
        assert covers(ball, daniely_norm.polynomial_distance_squared(dim, frequency, degree))
    for level in (0.01, 0.3):
        ball = rigorous_daniely.neuron_norm_needed(dim, frequency, level)
        assert covers(ball, daniely_norm.neuron_norm_needed(dim, frequency, level))
    for norm in (0.0, 1.0, 50.0):
        ball = rigorous_daniely.error_floor(dim, frequency, norm)
        assert covers(ball, daniely_norm.error_floor(dim, frequency, norm))


@pytest.mark.parametrize("degree", [1, 3, 5])
def test_distance_to_polynomials_by_integration(degree):
    """d = 3: the law of <x, x'> is uniform on [-1, 1]; Legendre polynomials, and FLINT's own integrals."""
    w = arb(4)
    with flint.ctx.workprec(100):
        left = acb.integral(lambda t, _: (w * t).sin() ** 2, -1, 1).real / 2
        for k in range(1, degree, 2):
            inner = acb.integral(lambda t, _, k=k: (w * t).sin() * t.legendre_p(acb(k)), -1, 1).real / 2
            left -= (2 * k + 1) * inner**2
    ball = rigorous_daniely.polynomial_distance_squared(3, 4.0, degree)
    assert meets(ball, left)
    assert abs(ball - left) < 1e-20


def test_a_ball_of_frequencies_covers_its_ends_and_coarse_precision_stays_honest():
    wide = rigorous_daniely.error_floor(5, arb(3, 1e-6), 0.1)
    assert wide > 0
    for frequency in (2.9999991, 3.0, 3.0000009):
        assert holds(wide, rigorous_daniely.error_floor(5, frequency, 0.1))
    coarse = rigorous_daniely.neuron_norm_needed(3, 2.0, 1e-25, precision=32)
    assert meets(coarse, rigorous_daniely.neuron_norm_needed(3, 2.0, 1e-25, precision=200))
    beyond = rigorous_daniely.polynomial_distance_squared(3, 2.0, 4000)  # some 1e-24000
    assert holds(beyond, arb(0))


@pytest.mark.parametrize("ball", [arb(20, 1), arb(3, 0.05), arb(3, 1), arb(3, 2.9), arb(20, 19.9)])
def test_of_a_wide_ball_of_frequencies_little_is_known_and_said(ball):
    """It was no number, or did not end. Square norms of sines and floors are between 0 and 1."""
    numbers = (
        (lambda w: rigorous_daniely.polynomial_distance_squared(8, w, 0), 1),
        (lambda w: rigorous_daniely.polynomial_distance_squared(8, w, 5), 1),
        (lambda w: rigorous_daniely.error_floor(8, w, 0.1), 1),
        (lambda w: rigorous_daniely.sphere_projection_floor(8, w, 3), 1),
        (lambda w: rigorous_daniely.neuron_norm_needed(8, w, 0.1), 1e4),
    )
    for number, most in numbers:
        found = number(ball)
        for end in (ball.lower() * (1 + 1e-9), ball.mid(), ball.upper() * (1 - 1e-9)):
            assert meets(found, number(end))
        assert found.upper() < most * 1.001
        assert found.lower() > -most


# --- truncation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dim", "order"), [(2, 0), (8, 0), (4, 2)])
def test_truncation_agrees(dim, order):
    law = RadialLaw(dim, order)
    radius = 5.0 / law.scale
    share = rigorous_truncation.share_outside(law, radius)
    # the float's share is that of its own rounded t
    assert abs(share - arb(float(1 - law.cdf(np.array([law.scale * radius]))[0]))) < 1e-11
    squared = np.random.default_rng(dim).random(200)
    ball = rigorous_truncation.outside_error(law, radius, squared, 1.0)
    number = truncation.outside_error(law, radius, squared, 1.0)
    assert abs(ball.mid() - number.value) < 1e-11
    assert float(ball.rad()) == pytest.approx(number.error, rel=1e-6)  # radii have 30 bits
    floor = rigorous_truncation.truncated_floor(arb(0.9), ball)
    assert meets(floor, rigorous.to_ball(truncation.truncated_floor(Certified(0.9, 0.0), number)))


def test_equal_errors_outside_at_coarse_precision():
    """Each differs from their mean by a ball about zero itself."""
    law = RadialLaw(3)
    ball = rigorous_truncation.outside_error(law, 5.0, np.full(4, 0.1), 1.0, precision=32)
    assert holds(ball, rigorous_truncation.outside_error(law, 5.0, np.full(4, 0.1), 1.0).mid())


def test_supremum_by_hand_and_by_points():
    """|w| = 5, R = 2: max(10 + 1, 0), max(0 - 3, 0) and the constant."""
    network = Network([([[3.0, 4.0], [0.0, 0.0]], [1.0, -3.0]), ([[-2.0, 7.0]], [0.5])])
    assert rigorous_truncation.truncated_supremum(network, 2.0) == 22.5
    rng = np.random.default_rng(0)
    network = Network([(rng.standard_normal((5, 3)), rng.standard_normal(5)), (rng.standard_normal((1, 5)), [0.3])])
    ball = rigorous_truncation.truncated_supremum(network, 2.0)
    found = truncation.truncated_supremum(network, 2.0)
    assert float(ball.lower()) <= found <= float(ball.upper()) + 1e-12  # rounded up by 23 ulp of reach, bias and sum
    points = 10 * rng.standard_normal((2000, 3))
    assert np.abs(truncation.truncated_values(network, 2.0, points)).max() <= float(ball.upper())


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rigorous_regions.serra_lower(2, (5,)), "widths"),
        (lambda: rigorous_regions.serra_upper(2, (5,), precision=1), "precision"),
        (lambda: rigorous_gradient.variation_bound(3, -1.0), "total_variation must be"),
        (lambda: rigorous_gradient.gradient_bound(3, (2,), math.inf), "largest must be"),
        (lambda: rigorous_gradient.spectral_norm(np.array([[math.nan]])), "weight must be finite"),
        (lambda: rigorous_gradient.largest_gradient([]), "layers must be"),
        (lambda: rigorous_features.law_exponent(2, 0.0, 1.0), "lipschitz must be"),
        (lambda: rigorous_features.law_exponent(2, 1.0, math.inf), "l2_error must be"),
        (lambda: rigorous_features.law_exponent(0, 1.0, 1.0), "input_dim must be"),
        (lambda: rigorous_features.random_feature_floor(2, 1.0, 1, max_squared_radius=0), "max_squared_radius must"),
        (lambda: rigorous_features.random_features_needed(2, 1.0, 1.0, 1.0), "failure must"),
        (lambda: rigorous_features.random_features_needed(2, 1.0, 1.0, -0.1), "failure must"),
        (lambda: rigorous_daniely.error_floor(2, 1.0, 1.0), "dim must be"),
        (lambda: rigorous_daniely.error_floor(3, arb(0, 1), 1.0), "frequency must be"),
        (lambda: rigorous_daniely.neuron_norm_needed(3, 1.0, 2.0), "relative_error must be"),
        (lambda: rigorous_truncation.share_outside(RadialLaw(3), 0.0), "radius must be"),
        (lambda: rigorous_truncation.outside_error(RadialLaw(3), 1.0, np.array([2.0, 0.1]), 1.0), "squared_errors"),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
