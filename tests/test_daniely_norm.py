"""The norm certificate: closed forms against Gegenbauer quadrature, printed values, and monotonicity."""

import itertools
import math

import numpy as np
import pytest
import scipy.special as sp
from balls import meets
from hypothesis import given
from hypothesis import strategies as st

from widththeory.bounds import daniely_norm, rigorous, rigorous_daniely, sphere_projection
from widththeory.bounds.daniely_norm import (
    error_floor,
    harmonic_dimension,
    neuron_norm_needed,
    polynomial_distance_squared,
)


def test_dimension_of_harmonics():
    assert [harmonic_dimension(3, n) for n in range(6)] == [1, 3, 5, 7, 9, 11]
    assert [harmonic_dimension(2, n) for n in range(4)] == [1, 2, 2, 2]
    for d in (4, 7, 12):
        for n in range(1, 9):
            product = (2 * n + d - 2) * math.factorial(n + d - 3)
            assert harmonic_dimension(d, n) == product // (math.factorial(n) * math.factorial(d - 2))


@pytest.mark.parametrize(("dim", "frequency"), [(3, 2.0), (4, 7.5), (8, 20.0), (16, 25.0)])
def test_distance_equals_projection_by_quadrature(dim, frequency):
    # independent route: Gauss-Gegenbauer nodes, orthonormal polynomials by QR of the weighted Vandermonde matrix
    nodes, weights = sp.roots_jacobi(120, (dim - 3) / 2, (dim - 3) / 2)
    weights = weights / weights.sum()
    function = np.sin(frequency * nodes) * np.sqrt(weights)
    basis, _ = np.linalg.qr(np.polynomial.legendre.legvander(nodes, 40) * np.sqrt(weights)[:, None])
    for degree in (0, 1, 2, 5, 12, 30):
        rest = function - basis[:, :degree] @ (basis[:, :degree].T @ function)
        value = polynomial_distance_squared(dim, frequency, degree)
        # the quadrature is exact to the roundoff of 120 terms and of the QR, some 1e-13
        assert abs(value.value - rest @ rest) <= value.error + 1e-13
        assert value.error < 1e-8


@pytest.mark.parametrize(
    ("dim", "order", "value"),
    [(8, 1, 8.3), (8, 2, 63), (8, 4, 504), (12, 1, 37.5), (12, 2, 796), (12, 4, 2.4e4), (16, 1, 110), (16, 2, 7.4e3)],
)
def test_values_for_a_tenth(dim, order, value):
    needed = neuron_norm_needed(dim, math.pi * math.sqrt(dim) * order, 0.1)
    assert needed.value == pytest.approx(value, rel=0.02)  # the values are printed with two or three digits
    assert needed.error < 1e-6 * needed.value


def test_floor_and_norm_are_inverse():
    dim, frequency = 10, 20.0
    for eps in (0.05, 0.3, 0.7):
        needed = neuron_norm_needed(dim, frequency, eps)
        floor = error_floor(dim, frequency, needed.value)
        assert floor.value == pytest.approx(eps, rel=1e-8)  # both are computed to about 1e-10
    assert error_floor(dim, frequency, 0.0).value == pytest.approx(1.0, rel=1e-10)


def test_floor_holds_for_random_features():
    # least squares on random cosine features of the two inputs: the error of any combination is above the floor
    rng, dim, frequency, samples = np.random.default_rng(0), 6, 2 * math.pi * math.sqrt(6), 20_000
    first, second = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.standard_normal((2, samples, dim)))
    target = np.sin(frequency * (first * second).sum(axis=1))
    features = np.cos(
        frequency * (first @ rng.standard_normal((dim, 200)) + second @ rng.standard_normal((dim, 200))) / 2
        + rng.uniform(0, 2 * math.pi, 200)
    )
    weights = np.linalg.lstsq(features, target, rcond=None)[0]
    norms = np.abs(weights) * np.sqrt((features**2).mean(axis=0))
    relative = np.mean((target - features @ weights) ** 2) / np.mean(target**2)
    # the sample of 20000 determines the ratio to a few per cent
    assert relative >= error_floor(dim, frequency, norms.sum()).lower - 0.05


@given(st.integers(3, 30), st.floats(0.5, 60), st.floats(0.01, 0.9), st.floats(0.01, 0.9))
def test_less_error_needs_more_norm(dim, frequency, one, other):
    strict, loose = sorted((one, other))
    strong, weak = neuron_norm_needed(dim, frequency, strict), neuron_norm_needed(dim, frequency, loose)
    assert strong.upper >= weak.lower
    distances = [polynomial_distance_squared(dim, frequency, n) for n in (0, 3, 6)]
    assert distances[0].upper >= distances[1].lower
    assert distances[1].upper >= distances[2].lower


@given(st.integers(3, 30), st.floats(0.5, 60), st.floats(0, 1e3), st.floats(0, 1e3))
def test_more_norm_allows_less_error(dim, frequency, norm_sum, more):
    small, large = error_floor(dim, frequency, norm_sum), error_floor(dim, frequency, norm_sum + more)
    assert large.lower <= small.upper
    assert small.lower <= 1


@pytest.mark.parametrize(("dim", "frequency"), [(3000, 200.0), (1000, 95.0), (1000, 90.0), (5, 1e-162)])
def test_where_bessel_functions_underflow_nothing_is_claimed(dim, frequency):
    """The sine's norm is then unknown, and with it what share of it is left: it lies between 0 and 1."""
    for degree in (0, 3):
        ball = rigorous_daniely.polynomial_distance_squared(dim, frequency, degree)
        assert meets(ball, rigorous.to_ball(polynomial_distance_squared(dim, frequency, degree)))
    if dim == 5:  # of as many harmonics as elsewhere no norms are given
        floor = error_floor(dim, frequency, 0.0)
        assert floor.lower <= 0 < 1 <= floor.upper


def test_no_degree_is_so_large_that_nothing_is_left():
    assert polynomial_distance_squared(3, 2.0, 4000).upper > 0


@pytest.mark.parametrize("sign", [-1, 1])
def test_errors_of_the_parts_hold_those_of_bessel_functions(sign, monkeypatch):
    """Values that are off by what is allowed for, here a millionth: absolutely where they oscillate."""
    exact, bessel = daniely_norm.odd_energies(3, 40.0)[1], sp.jv

    def rough(order, argument):
        value = np.abs(bessel(order, argument))
        return value + sign * 1e-6 * np.where(order > argument, value, 1.0)

    monkeypatch.setattr(daniely_norm, "_BESSEL_ERROR", 1e-6)
    monkeypatch.setattr(sp, "jv", rough)
    _, energies, errors = daniely_norm.odd_energies(3, 40.0)
    assert np.all(np.abs(energies - exact) <= errors)
    assert np.max(np.abs(energies - exact)) > 1e-8


@pytest.mark.parametrize(("dim", "zero"), [(3, 4.493409457909064), (4, 5.135622301840683), (5, 5.763459196894550)])
def test_errors_of_the_parts_hold_at_zeros_of_bessel_functions(dim, zero):
    """J_(d/2) vanishes, and with it the part of degree 1, but not the roundoff of the series."""
    for frequency in (zero * (1 + step) for step in (0, 1e-9, -1e-8, 1e-7, -1e-6, 1e-5)):
        _, energies, errors = daniely_norm.odd_energies(dim, frequency)
        above, below = (rigorous_daniely.polynomial_distance_squared(dim, frequency, n) for n in (1, 3))
        assert abs(above - below - float(energies[0])) <= float(errors[0])
        assert errors[0] < 1e-15


def test_ends_hold_whatever_the_parts_may_be(monkeypatch):
    """Three parts, each known to a tenth or so: all numbers for parts at the ends of that."""
    degrees, parts, errors = np.array([1, 3, 5]), np.array([0.3, 0.25, 0.05]), np.array([0.02, 0.03, 0.01])

    def numbers(energies, unsure):
        monkeypatch.setattr(daniely_norm, "odd_energies", lambda dim, frequency: (degrees, energies, unsure))
        monkeypatch.setattr(sphere_projection, "odd_energies", daniely_norm.odd_energies)
        yield from (error_floor(4, 1.0, norm) for norm in (0.0, 0.2, 0.8))
        yield from (neuron_norm_needed(4, 1.0, eps) for eps in (0.1, 0.4, 0.9))
        yield from (sphere_projection.sphere_projection_floor(4, 1.0, width) for width in (1, 2, 3))

    wide = list(numbers(parts, errors))
    for signs in itertools.product((-1, 1), repeat=3):
        for outer, inner in zip(wide, numbers(parts + np.array(signs) * errors, 0 * errors), strict=True):
            assert outer.lower <= inner.value <= outer.upper
            assert inner.error < 1e-12 < outer.error


@pytest.mark.parametrize(
    ("dim", "frequency"),
    [(700, 26.0), (1000, 80.0), (140, 2e-3), (3, 4.0), (3, 6.4), (30, 16.0), (200, 42.0), (600, 300.0), (5, 4000.0)],
)
def test_every_degree_agrees_with_balls(dim, frequency):
    """Above and below the frequency to which orders take their series; the first underflows without it."""
    for degree in (0, 3, 9, 31):
        found = polynomial_distance_squared(dim, frequency, degree)
        ball = rigorous_daniely.polynomial_distance_squared(dim, frequency, degree)
        assert meets(ball, rigorous.to_ball(found))
        # roundoff of exponents up to some thousands; a square norm is at most 1
        assert found.error < 1e-9 * max(found.value, polynomial_distance_squared(dim, frequency, 0).value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: harmonic_dimension(1, 2), "dim must be .* at least 2"),
        (lambda: neuron_norm_needed(2, 1.0, 0.1), "dim must be .* at least 3"),
        (lambda: neuron_norm_needed(4, 0.0, 0.1), "frequency must be"),
        (lambda: neuron_norm_needed(4, 1.0, 0.0), "relative_error must be"),
        (lambda: error_floor(4, 1.0, -1.0), "norm_sum must be"),
        (lambda: error_floor(1000, 1000.0, 1.0), "dim and frequency must give fewer"),
        (lambda: polynomial_distance_squared(4, 1.0, -1), "degree must be"),
    ],
)
def test_bad_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("dim", [8, 24, 64])
def test_degrees_far_below_the_dimension_carry_next_to_nothing(dim):
    """The bound behind the exponential growth at w = c d: N_{d,k} Gamma(d/2)^2 (2/w)^(d-2) for the part of degree k."""
    frequency = math.pi * dim / 2
    whole = polynomial_distance_squared(dim, frequency, 0).value
    scale = 2 * math.lgamma(dim / 2) + (dim - 2) * math.log(2 / frequency)
    for degree in (2, dim // 4, dim // 2):
        counts = sum(harmonic_dimension(dim, k) for k in range(1, degree, 2))
        below = whole - polynomial_distance_squared(dim, frequency, degree).value
        assert below <= counts * math.exp(scale) + 1e-12


def test_norm_needed_is_exponential_for_frequencies_like_d_and_a_power_for_its_root():
    """By e^(1/2) c^(1/2) a dimension in the limit, c = pi / 2; at fixed order the factor tends to 1."""
    dims = (32, 64, 128, 256)
    fast, slow = (
        [math.log(neuron_norm_needed(dim, math.pi / 2 * dim**power * 32 ** (1 - power), 0.1).lower) for dim in dims]
        for power in (1.0, 0.5)
    )
    factors = np.exp(np.diff(fast) / np.diff(dims))
    np.testing.assert_allclose(factors, math.sqrt(math.e * math.pi / 2), rtol=0.03)
    falling = np.diff(slow) / np.diff(dims)
    assert (falling[1:] < 0.75 * falling[:-1]).all()
