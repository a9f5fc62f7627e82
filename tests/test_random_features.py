"""The law of random features, and the count without constants, against projections on random and on chosen features."""

import functools
import itertools
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widththeory.bounds.random_features import (
    lattice_points,
    law_exponent,
    law_regime,
    random_feature_floor,
    random_features_needed,
)
from widththeory.typing import Certified

dims, positive = st.sampled_from([1, 2, 3, 5, 9, 17, 40]), st.floats(0.05, 50)


def periodic_grid(input_dim, num_steps):
    steps = np.arange(num_steps) * 2 / num_steps - 1
    return np.stack(np.meshgrid(*[steps] * input_dim, indexing="ij"), axis=-1).reshape(-1, input_dim)


def family(points, squared_radius):
    """The functions of the theorem with A = 1; on a periodic grid finer than twice the radius they stay orthonormal."""
    input_dim, reach = points.shape[1], math.isqrt(squared_radius)
    columns = []
    for k in itertools.product(range(-reach, reach + 1), repeat=input_dim):
        if np.dot(k, k) > squared_radius:
            continue
        wave = np.pi * points @ np.array(k, dtype=float)
        if not any(k):
            columns.append(np.ones(len(points)))
        else:
            columns.append(np.sqrt(2) * (np.cos(wave) if k > tuple(-j for j in k) else np.sin(wave)))
    return np.stack(columns, axis=1)


def mean_square_distances(functions, features):
    basis, _ = np.linalg.qr(features)
    rest = functions - basis @ (basis.T @ functions)
    return np.mean(rest**2, axis=0)


@pytest.mark.parametrize(("input_dim", "squared_radius"), [(1, 0), (1, 10), (2, 25), (3, 7), (4, 9), (6, 3)])
def test_lattice_points_by_listing(input_dim, squared_radius):
    reach = math.isqrt(squared_radius)
    points = np.array(list(itertools.product(range(-reach, reach + 1), repeat=input_dim)))
    assert lattice_points(input_dim, squared_radius) == np.sum((points**2).sum(axis=1) <= squared_radius)


def test_lattice_points_known_values():
    assert [lattice_points(2, r * r) for r in (1, 2, 3, 4, 5)] == [5, 13, 29, 49, 81]  # Gauss's circle problem
    assert lattice_points(24, 1) == 49
    # up to |k|^2 = 3: zero, 2 d, 4 C(d, 2), 8 C(d, 3)
    assert lattice_points(100, 3) == 1 + 200 + 4 * math.comb(100, 2) + 8 * math.comb(100, 3)


@pytest.mark.parametrize(("input_dim", "squared_radius"), [(1, 16), (2, 8), (3, 2)])
def test_family_is_orthonormal_and_as_steep_as_said(input_dim, squared_radius):
    points = periodic_grid(input_dim, 12)
    functions = family(points, squared_radius)
    count = lattice_points(input_dim, squared_radius)
    # products of sines and cosines, up to rounding
    np.testing.assert_allclose(functions.T @ functions / len(points), np.eye(count), atol=1e-13)
    steepest = np.pi * np.sqrt(2 * squared_radius)
    close = points + 1e-5 * np.random.default_rng(0).standard_normal(points.shape)
    slopes = np.abs(family(close, squared_radius) - functions).max(axis=1) / np.linalg.norm(close - points, axis=1)
    assert 0.5 * steepest < slopes.max() <= steepest * (1 + 1e-9)


@pytest.mark.parametrize("num_features", [1, 5, 12])
def test_own_members_attain_the_mean(num_features):
    functions = family(periodic_grid(2, 12), 4)
    distances = mean_square_distances(functions, functions[:, :num_features])
    assert distances.mean() == pytest.approx(1 - num_features / 13, abs=1e-12)


@pytest.mark.parametrize("input_dim", [1, 2, 3])
def test_random_relu_features_stay_above(input_dim):
    rng = np.random.default_rng(0)
    points = periodic_grid(input_dim, 12)
    for num_features in (3, 8, 20):
        floor = random_feature_floor(input_dim, 1.0, num_features)
        assert floor.lower > 0
        directions = rng.standard_normal((input_dim, num_features))
        features = np.maximum(points @ directions + rng.uniform(-1, 1, num_features), 0)
        worst = 0.0
        for squared_radius in range(1, 26 if input_dim < 3 else 6):
            size = 1 / (np.pi * np.sqrt(2 * squared_radius))
            distances = mean_square_distances(family(points, squared_radius), features)
            count = len(distances)
            assert distances.mean() >= 1 - num_features / count - 1e-12
            worst = max(worst, size * np.sqrt(distances.max()))
        if num_features < lattice_points(input_dim, 25 if input_dim < 3 else 5) / 2:
            assert worst >= floor.lower


def test_floor_by_hand():
    """d = 2, r = 4, by m = 1, 2, 4: (5 - 4) / 5, (9 - 4) / 9 / 2, (13 - 4) / 13 / 4, of which the second is largest."""
    floor = random_feature_floor(2, 3.0, 4)
    assert floor.value == pytest.approx(3 / (np.pi * np.sqrt(2)) * np.sqrt(5 / 18), rel=1e-14)
    needed = random_features_needed(2, 3.0, floor.value)
    assert needed.value == pytest.approx(4.0, rel=1e-12)
    half = random_features_needed(2, 3.0, floor.value, failure=0.5)
    assert half.value == pytest.approx(2.0, rel=1e-12)
    assert random_features_needed(5, 1.0, 1.0).value == 0.0


@given(dims, positive, st.integers(0, 500))
def test_floor_and_count_are_inverse(input_dim, lipschitz, num_features):
    floor = random_feature_floor(input_dim, lipschitz, num_features)
    if floor.value > 0:
        needed = random_features_needed(input_dim, lipschitz, floor.value)
        assert needed.value == pytest.approx(num_features, rel=1e-9, abs=1e-9)


@given(dims, positive, st.floats(1, 3), st.integers(0, 500), st.integers(0, 100))
def test_bounds_are_monotone(input_dim, lipschitz, factor, num_features, more):
    floor = random_feature_floor(input_dim, lipschitz, num_features)
    assert random_feature_floor(input_dim, lipschitz, num_features + more).lower <= floor.upper
    assert random_feature_floor(input_dim, lipschitz * factor, num_features).upper >= floor.lower
    needed = random_features_needed(input_dim, lipschitz, 1.0)
    assert random_features_needed(input_dim, lipschitz, factor).lower <= needed.upper
    assert random_features_needed(input_dim, lipschitz, 1.0, failure=1 - 1 / factor).lower <= needed.upper
    exponent = law_exponent(input_dim, lipschitz, 1.0)
    assert law_exponent(input_dim, lipschitz * factor, 1.0) >= exponent * (1 - 1e-12)
    assert law_exponent(input_dim + 1, lipschitz, 1.0) >= exponent * (1 - 1e-12)


@functools.cache
def counts_of_points(input_dim):
    return [lattice_points(input_dim, m) for m in range(64)]


def exact_floor(input_dim, lipschitz, num_features):
    """By its formula to 40 digits; for up to 50 features the best radius is below 64."""
    with mpmath.workdps(40):
        counts = enumerate(counts_of_points(input_dim)[1:], start=1)
        shares = (mpmath.mpf(count - num_features) / (2 * m * count) for m, count in counts if count > num_features)
        return mpmath.mpf(lipschitz) / mpmath.pi * mpmath.sqrt(max(shares))


def exact_count(input_dim, lipschitz, l2_error, failure=0.0):
    with mpmath.workdps(40):
        scaled = 2 * (mpmath.pi * mpmath.mpf(l2_error) / mpmath.mpf(lipschitz)) ** 2
        values = [count * (1 - m * scaled) for m, count in enumerate(counts_of_points(input_dim)[1:], start=1)]
        return max(0, *values) * (1 - mpmath.mpf(failure))


@pytest.mark.parametrize("lipschitz", [5e-324, 1e-322, 1e-318, 1e-300, 0.7, 1.0, 1.1, 3.0, 1.7e308])
def test_rounding_of_the_floor_is_in_its_error(lipschitz):
    """With a slope of 1e-322 it was above the truth by an eighth: the least floats have few digits."""
    for input_dim, num_features in itertools.product((2, 3, 100), (0, 1, 4, 7, 50)):
        found = random_feature_floor(input_dim, lipschitz, num_features)
        assert found.lower <= exact_floor(input_dim, lipschitz, num_features) <= found.upper


def test_a_floor_below_the_least_float_is_in_its_error():
    """All but one of N(512) = 5e162 features: no tiny slope, and the floor is 1e-334 all the same."""
    input_dim, last = 200, 512
    num_features = lattice_points(input_dim, last) - 1
    found = random_feature_floor(input_dim, 1e-250, num_features)
    with mpmath.workdps(40):
        exact = mpmath.mpf(1e-250) / (mpmath.pi * mpmath.sqrt(2 * last * mpmath.mpf(num_features + 1)))
    assert found.lower <= exact <= found.upper
    assert random_feature_floor(input_dim, 1e-250, lattice_points(input_dim, 600)) == Certified(0.0, 0.0)


def test_rounding_of_the_count_is_in_its_error():
    """Where the share 1 - 2 pi^2 m eps^2 / L^2 nearly vanishes its roundings are all there is of it."""
    edge = 1 / (math.pi * math.sqrt(2))
    for input_dim, failure in itertools.product((3, 4000), (0.0, 0.3)):
        for m, step in itertools.product((1, 2), range(-6, 7)):
            l2_error = edge / math.sqrt(m) * (1 + step * 2**-52)
            found = random_features_needed(input_dim, 1.0, l2_error, failure)
            assert found.lower <= exact_count(input_dim, 1.0, l2_error, failure) <= found.upper
            assert found.error <= 2e-14 * lattice_points(input_dim, m)


def test_many_inputs_take_no_time():
    """For a million the integers were as long as the cube around the ball asks, and took a quarter of a minute."""
    dim = 10**7
    assert lattice_points(dim, 2) == 1 + 2 * dim + 4 * math.comb(dim, 2)
    assert random_feature_floor(10**12, 1.0, 5).value == pytest.approx(1 / (math.pi * math.sqrt(2)), rel=1e-11)


def test_counts_fit_into_floats():
    largest = [random_features_needed(dim, 1e9, 1.0).value for dim in (50, 200, 500, 4000)]
    assert 1e100 < max(largest) < 1e300


def test_law_by_hand_and_where_its_terms_cross():
    assert law_exponent(4, 2.0, 1.0) == pytest.approx(4 * math.log(3))  # both terms
    assert law_exponent(100, 1.0, 1.0) == pytest.approx(math.log(102))
    assert law_exponent(1, 10.0, 1.0) == pytest.approx(math.log(102))
    for ratio in np.geomspace(1e-3, 1e3, 61):
        lipschitz = math.sqrt(10 * ratio)
        first = 10 * ratio * math.log(1 / ratio + 2)
        second = 10 * math.log(ratio + 2)
        regime = law_regime(10, lipschitz, 1.0)
        if abs(first - second) > 1e-9:
            assert regime == ("accuracy" if first < second else "dimension")


def test_count_follows_the_law():
    """The law is Theta in the exponent: log of the certified count over the exponent stays between two constants."""
    ratios = []
    for input_dim in (4, 16, 64, 256):
        for scale in (8.0, 12.0, 20.0, 40.0):
            count = random_features_needed(input_dim, scale, 1.0).lower
            ratios.append(math.log(count) / law_exponent(input_dim, scale, 1.0))
    assert min(ratios) > 0.03  # 1 / (2 pi^2) for large L / eps, where the family has m = L^2 / (2 pi^2 eps^2)
    assert max(ratios) < 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: law_exponent(0, 1.0, 1.0), "input_dim must be"),
        (lambda: law_exponent(1, 0.0, 1.0), "lipschitz must be"),
        (lambda: law_regime(1, 1.0, 0.0), "l2_error must be"),
        (lambda: law_exponent(1, 1e-160, 1.0), "lipschitz / l2_error must lie between 1e-150 and 1e150"),
        (lambda: random_features_needed(1, 1e200, 1e-200), "lipschitz / l2_error must lie between 1e-150 and 1e150"),
        (lambda: lattice_points(2, -1), "squared_radius must be"),
        (lambda: random_feature_floor(2, 1.0, -1), "num_features must be"),
        (lambda: random_features_needed(2, 1.0, 0.1, 1.0), "failure must"),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
