"""The radial law: its distribution function against quadrature, its moments, quantiles and samples."""

import math
import subprocess
import sys

import mpmath
import numpy as np
import pytest
from scipy import integrate

from widththeory.bounds import rigorous_law
from widththeory.bounds.radial_law import RadialLaw, _table, ball_radius
from widththeory.bounds.spectral import spectrum


@pytest.mark.parametrize(("dim", "order"), [(2, 0), (2, 2), (3, 0), (3, 1), (8, 0), (8, 2), (8, 3), (32, 2), (128, 0)])
def test_distribution_function(dim, order):
    law = RadialLaw(dim, order)
    top = 2.0 * law.bessel_order
    grid = np.array([5e-4, 0.05, 0.7, 1.0, 1.3]) * top
    found = law.cdf(np.append(0.0, grid))
    assert found[0] == 0
    for value, radius in zip(found[1:], grid, strict=True):
        area = integrate.quad(lambda t: float(law.density(np.array([t]))[0]), 0, radius, epsabs=1e-13, limit=400)[0]
        assert abs(value - area) < 1e-11
    # the moments of the law in closed form, by quadrature to 40 top and the leading tail 2 / (pi Z) t^(s - 2 - 2m) / 2
    far = 40 * top
    for power in range(2 * order + 1):
        body = law.expectation(lambda t, power=power: t**power, far).value
        rest = far ** (power - 1 - 2 * order) / (math.pi * law.normaliser * (1 + 2 * order - power))
        assert body + rest == pytest.approx(law.moment(power), rel=2e-3)  # the tail's next terms are 1e-3 of the whole
    assert law.moment(0) == pytest.approx(1, rel=1e-12)
    assert float(law.cdf(np.array([law.quantile(0.3)]))[0]) == pytest.approx(0.3, rel=1e-9)


@pytest.mark.parametrize(("dim", "order"), [(2, 0), (3, 2), (256, 2), (500, 5), (2000, 0)])
def test_normaliser_is_as_wrong_as_said(dim, order):
    """By 50-digit Gamma functions; logarithms of Gamma lose three or four digits of Z in high dimension."""
    law = RadialLaw(dim, order)
    with mpmath.workdps(50):
        nu = mpmath.mpf(dim) / 2
        exact = mpmath.gamma(1 + 2 * order) * mpmath.gamma(nu) / mpmath.gamma(nu + 2 * order + 1)
        exact /= mpmath.mpf(2) ** (1 + 2 * order) * mpmath.gamma(1 + order) ** 2
        error = float(abs(law.normaliser / exact - 1))
    assert law.normaliser_error == pytest.approx(error, rel=1e-12)


@pytest.mark.parametrize(("dim", "order", "end"), [(256, 2, 160.0), (3, 1, 40.0)])
def test_error_of_the_normaliser_is_in_that_of_moments(dim, order, end):
    """At 256 both were off by 2.5e-13, and said 1e-13; balls know the share below `end`."""
    law = RadialLaw(dim, order)
    exact = rigorous_law.cdf(law, end, precision=80)
    for found in (law.expectation(np.ones_like, end), spectrum(np.ones_like, law, end, 1.05).moment):
        assert found.lower <= exact <= found.upper
        assert found.error < 1e-12


def test_error_of_bessel_functions_far_out_is_in_that_of_expectations():
    """The float of a radius of 9000 is off by 1e-12, and the oscillation with it."""
    law = RadialLaw(2)
    found = law.expectation(np.ones_like, 9000.0)
    exact = float(law.cdf(np.array([9000.0]))[0])
    assert abs(found.value - exact) <= found.error < 1e-11


def test_density_at_nothing_is_nothing_and_units_are_those_said():
    for law in (RadialLaw(2), RadialLaw(4, 2), RadialLaw(8, 3)):
        assert law.density(np.array([0.0, 1e-200])).tolist() == [0.0, pytest.approx(0.0, abs=1e-190)]
    # in the plane J_1(t)^2 = t^2 / 4 at first, so that P(t <= T) = T^2 / 4
    assert RadialLaw(2).cdf(np.array([1e-5]))[0] == pytest.approx(2.5e-11, rel=2e-6)
    assert [RadialLaw(4, order).scale for order in (1, 2)] == [1.0, 1.0]
    assert RadialLaw(4).scale == pytest.approx(2 * math.pi * (2 / math.pi**2) ** 0.25, rel=1e-14)  # pi^2 / 2 r^4 = 1


@pytest.mark.parametrize(("dim", "order"), [(2, 80), (3, 70)])
def test_density_of_high_orders_near_the_centre(dim, order):
    """In the plane with order 80 it was 0 below 0.8, where a quarter of a per cent of the law is."""
    law = RadialLaw(dim, order)
    radii = np.array([1e-3, 0.01, 0.1, 0.5, 0.7, 0.79, 1.0, 1.9, 2.1])
    for radius, found in zip(radii, law.density(radii), strict=True):
        assert found == pytest.approx(float(rigorous_law.density(law, radius, precision=200)), rel=1e-12)
    assert law.density(np.array([0.0])).tolist() == [0.0]
    whole = law.expectation(np.ones_like, 50.0)
    assert whole.lower <= rigorous_law.cdf(law, 50.0, precision=200) <= whole.upper
    assert whole.error < 1e-12


def test_error_of_an_expectation_that_cancels():
    """t^2 less its mean: what is rounded are the terms, of 10^2 each, and not their sum."""
    law = RadialLaw(16, 2)
    below, square = (law.expectation(lambda t, p=p: t**p, 100.0).value for p in (0, 2))
    found = law.expectation(lambda t: t**2 - square / below, 100.0)
    with mpmath.workdps(30):
        exact = mpmath.quad(
            lambda t: (t**2 - mpmath.mpf(square / below)) * mpmath.besselj(10, t) ** 2 / t**5,
            mpmath.linspace(0, 100, 21),
        )
        exact *= mpmath.fprod(range(16, 25, 2)) / 6
    assert abs(found.value - exact) <= found.error < 1e-11


NUMPY = """
import numpy as np
from widththeory.bounds.radial_law import RadialLaw
from widththeory.bounds.random_features import law_exponent, random_feature_floor, random_features_needed
from widththeory.bounds.truncation import outside_error, truncated_supremum
from widththeory.network import Network

def numbers(real, whole):
    law, unit = RadialLaw(whole(500), whole(5)), Network([([[3.0, 4.0]], [0.1]), ([[0.7]], [0.2])])
    ball = RadialLaw(4)
    return [
        law.normaliser_error, law.moment(real(0.1)), ball.expectation(np.ones_like, real(7.1)),
        outside_error(ball, real(1.1), np.full(3, 0.3), real(0.7)), truncated_supremum(unit, real(1.1)),
        random_feature_floor(whole(3), real(0.1), whole(4)), random_features_needed(3, real(9.1), real(0.3), real(0.1)),
        law_exponent(whole(3), real(9.1), real(0.3)),
    ]

assert numbers(lambda x: float(np.float32(x)), int) == numbers(np.float32, np.int64)
"""


def test_numbers_of_numpy_give_what_python_numbers_give():
    """In a process of its own, as under test annotations are checked; products overflowed, and float32 has 7 digits."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", NUMPY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_known_quantiles():
    for dim, printed in ((3, (2.97, 6.02, 9.7)), (4, (3.66, 7.02, 12.4)), (6, (4.99, 10.22, 14.9))):
        for share, value in zip((0.5, 0.99, 0.999), printed, strict=True):
            assert abs(RadialLaw(dim, 2).quantile(share) - value) < 0.06  # printed from a grid of step 0.05
    for dim in (2, 8, 32, 128):
        assert 0.89755 < float(RadialLaw(dim).cdf(np.array([3.2 * dim]))[0]) < 0.90785  # printed to four digits
        assert math.sqrt(dim) / 5 <= ball_radius(dim) <= math.sqrt(dim) / 2


@pytest.mark.parametrize(("dim", "order"), [(2, 0), (3, 1), (8, 0), (8, 2)])
def test_samples_follow_the_law(dim, order):
    law = RadialLaw(dim, order)
    rng = np.random.default_rng(dim)
    number = 40_000
    points = law.sample(number, rng)
    radii = np.sort(np.linalg.norm(points, axis=1)) * law.scale
    kept = radii < 30 * law.bessel_order  # the exact sum grows with the radius
    places = np.arange(number)[kept][::200]
    # Kolmogorov: the greatest gap exceeds 2.2 / sqrt(n) with probability 1e-4
    assert np.max(np.abs(law.cdf(radii[places]) - places / number)) < 2.2 / math.sqrt(number)
    assert np.all(np.abs(np.mean(np.sign(points), axis=0)) < 5 / math.sqrt(number))
    # the characteristic function vanishes from twice the ball's radius on, and not before
    ball = law.scale / (2 * math.pi)
    for multiple, vanishes in ((2.0, True), (2.7, True), (0.3, False)):
        waves = np.cos(2 * math.pi * multiple * ball * points[:, 0])
        assert (abs(waves.mean()) < 5 * waves.std() / math.sqrt(number)) == vanishes
    again, alone = law.sample(50, np.random.default_rng(0)), law.sample_radii(50, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(again, axis=1) * law.scale, alone, rtol=1e-14)  # some ten roundings
    for few in (0, 1):
        assert law.sample(few, rng, above=1e4).shape == (few, dim)
    for start in (law.bessel_order, 10 * law.bessel_order + 30):  # in the table and in the tail
        beyond = np.sort(np.linalg.norm(law.sample(number, rng, above=start), axis=1)) * law.scale
        assert beyond[0] >= start * (1 - 1e-14)
        body = float(law.cdf(np.array([start]))[0])
        kept = beyond < 4 * start + 40
        places = np.arange(number)[kept][::500]
        assert np.max(np.abs((law.cdf(beyond[places]) - body) / (1 - body) - places / number)) < 2.2 / math.sqrt(number)


@pytest.mark.parametrize(("dim", "order"), [(2, 0), (8, 2)])
def test_table_of_the_sampler(dim, order):
    law = RadialLaw(dim, order)
    grid, masses = _table(law)
    middles = (grid[1:] + grid[:-1])[::100] / 2  # where a chord is farthest from its curve
    np.testing.assert_allclose(np.interp(middles, grid, masses), law.cdf(middles), rtol=0, atol=1e-5)
    assert grid[-1] == pytest.approx(8 * law.bessel_order + 20, abs=0.005)
    assert np.diff(grid) == pytest.approx(0.005, rel=1e-9)


def test_envelope_of_the_tail():
    """From 1.25 (nu + m) on, where it is 1.67 times what it is far out; `sample_radii` begins farther."""
    law, number, start = RadialLaw(32), 40_000, 20.0
    radii = np.sort(law._sample_tail(number, np.random.default_rng(0), start))
    kept = radii < 100 * start  # the exact sum grows with the radius
    places = np.arange(number)[kept][::200]
    body = float(law.cdf(np.array([start]))[0])
    # Kolmogorov: the greatest gap exceeds 2.2 / sqrt(n) with probability 1e-4
    assert np.max(np.abs((law.cdf(radii[places]) - body) / (1 - body) - places / number)) < 2.2 / math.sqrt(number)


def test_bad_input_of_the_law():
    with pytest.raises(ValueError, match="normaliser Z of the radial law above 1e-304"):
        RadialLaw(64, 120)
    with pytest.raises(ValueError, match="dim must be an integer of at least 2, got 1"):
        RadialLaw(1)
    with pytest.raises(ValueError, match="power must be at least 0 and below 1"):
        RadialLaw(4).moment(1)
    with pytest.raises(ValueError, match="radius below 1e5"):
        RadialLaw(4).quantile(1 - 1e-12)
    with pytest.raises(ValueError, match="radii must be at least 0"):
        RadialLaw(4).cdf(np.array([-1.0]))
    for above in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="above must be at least 0 and finite, got"):
            RadialLaw(4).sample(3, np.random.default_rng(0), above=above)
    with pytest.raises(ValueError, match="num_points must be an integer of at least 0, got -1"):
        RadialLaw(4).sample_radii(-1, np.random.default_rng(0))
