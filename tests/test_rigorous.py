"""Balls: against exact fractions, closed forms, FLINT's own rigorous integration, and the floating-point bounds."""

import math
import subprocess
import sys
from fractions import Fraction

import flint
import numpy as np
import own_process
import pytest
from balls import holds, meets
from hypothesis import given, settings
from hypothesis import strategies as st

from widththeory.bounds import affine_pieces, rigorous, rigorous_law, rigorous_wave, spectral
from widththeory.bounds.radial_law import RadialLaw
from widththeory.constructions.eldan_shamir import Cosine
from widththeory.typing import Certified

arb, acb = flint.arb, flint.acb


def wave_of(cosine, **settings):
    return rigorous_wave.Wave(cosine.input_dim, cosine.frequency, cosine.window, cosine.order, **settings)


# --- closed forms and conversions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["l1", "l2", "sup"])
@pytest.mark.parametrize("widths", [(1,), (3, 3), (10,) * 40])
def test_closed_forms_agree_with_the_rounded_ones(norm, widths):
    for floor, ball in (
        (affine_pieces.sawtooth_floor(8, widths, norm), rigorous.sawtooth_floor(8, widths, norm)),
        (affine_pieces.square_floor(widths, norm), rigorous.square_floor(widths, norm)),
    ):
        assert meets(ball, rigorous.to_ball(floor))
        assert ball.rad() <= arb(2) ** -100  # 128 bits, values below 1


def test_closed_forms_contain_the_exact_number():
    with flint.ctx.workprec(400):  # so that comparing does not round
        assert holds(5000 * rigorous.square_floor((4, 4), "sup"), arb(1))  # P = 25: 1 / (8 * 625)
        assert holds(24 * rigorous.sawtooth_floor(3, (2,), "l2") ** 2, arb(1))  # (1 - 2/4) / 12
    assert rigorous.sawtooth_floor(2, (9,), "sup") == 0


@given(st.fractions(min_value=-(10**6), max_value=10**6), st.floats(0, 1e3))
@settings(max_examples=50)
def test_certified_covers_the_ball(number, radius):
    ball = rigorous.rational(number) + arb(0, radius)
    certified = rigorous.to_certified(ball)
    assert Fraction(certified.value) - Fraction(certified.error) <= number - Fraction(radius)
    assert number + Fraction(radius) <= Fraction(certified.value) + Fraction(certified.error)
    assert certified.error <= radius * 1.001 + abs(number) * 1e-14 + 1e-300  # no wider than rounding makes it


def test_certified_covers_what_is_below_the_smallest_float():
    tiny = rigorous.to_certified(rigorous.square_floor((3,) * 600))
    assert tiny.value == 0.0
    assert 0.0 < tiny.error < 1e-300


def test_what_is_not_finite_or_known_is_refused():
    with pytest.raises(ValueError, match="finite"):
        rigorous.to_certified(arb("inf"))
    with pytest.raises(ValueError, match="ball must be in the range of floats"):
        rigorous.to_certified(arb(2) ** 2000)
    with pytest.raises(ValueError, match="norm must be one of"):
        rigorous.square_floor((2,), "l3")
    assert rigorous.to_certified(rigorous.to_ball(Certified(0.5, 0.25))).error == pytest.approx(
        0.25, rel=1e-8
    )  # radii have 30 bits


@pytest.mark.parametrize("number", [0, Fraction(1, 3), 2.5, 10**400, arb(1, 0.5)])
def test_numbers_in_range_become_balls(number):
    ball = rigorous.not_negative("radius", number)
    assert holds(ball, number if isinstance(number, arb) else flint.fmpq(*Fraction(number).as_integer_ratio()))
    if number:
        assert meets(rigorous.positive("radius", number), ball)


@pytest.mark.parametrize(
    "number", [-1e-300, Fraction(-1, 10**400), math.nan, math.inf, arb("nan"), arb(0, 1), arb("inf")]
)
def test_numbers_out_of_range_are_refused(number):
    with pytest.raises(ValueError, match="radius must be a finite number of at least 0, got"):
        rigorous.not_negative("radius", number)
    for other in (number, 0, arb(1, 1)):
        with pytest.raises(ValueError, match="radius must be positive and finite, got"):
            rigorous.positive("radius", other)


def odd_numbers_without_their_sentence():
    """What annotations keep out where they are checked; NumPy's numbers are numbers all the same."""
    wrong = []
    for check, allowed in (
        (rigorous.positive, "positive and finite"),
        (rigorous.not_negative, "a finite number of at"),
    ):
        for number in (True, np.True_, "3", None, 1j, np.array([1.0, 2.0])):
            try:
                check("radius", number)
            except ValueError as error:
                if str(error).startswith(f"radius must be {allowed}"):
                    continue
            wrong.append(f"{check.__name__} of {number!r}")
        for number in (np.float32(0.1), np.int64(2)):
            if float(check("radius", number)) != number:
                wrong.append(f"{check.__name__} of {number!r}")
    return wrong


def test_what_is_no_number_is_refused():
    assert own_process.found(odd_numbers_without_their_sentence) == []


def test_a_missing_package_is_one_sentence():
    code = "import sys; sys.modules['flint'] = None; import widththeory.bounds.rigorous_wave"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith("ImportError: rigorous mode needs the package python-flint")


# --- the law ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dim", "order"), [(2, 0), (3, 1), (4, 0), (16, 2)])
def test_law_agrees_with_the_floating_one(dim, order):
    law = RadialLaw(dim, order)
    for radius in (0.7, 3.0, 41.5):
        # both are accurate far beyond these, which are the stated errors of the floating-point law
        assert float(rigorous_law.cdf(law, radius)) == pytest.approx(law.cdf(np.array([radius]))[0], abs=1e-11)
        assert float(rigorous_law.density(law, radius)) == pytest.approx(law.density(np.array([radius]))[0], rel=1e-11)


@pytest.mark.parametrize(("dim", "order"), [(2, 0), (5, 1), (4, 2)])
def test_distribution_function_is_the_integral_of_the_density(dim, order):
    law = RadialLaw(dim, order)
    with flint.ctx.workprec(80):
        difference = rigorous_law.cdf(law, 6.5) - rigorous_law.cdf(law, 0.5)
        half = arb(dim) / 2 + order
        integral = acb.integral(
            lambda t, _: t.bessel_j(acb(half)) ** 2 / t ** (1 + 2 * order), 0.5, 6.5, rel_tol=1e-15
        ).real / rigorous_law.normaliser(law)
    assert meets(difference, integral)
    assert difference.rad() < 1e-22  # 80 bits
    assert integral.rad() < 1e-10


@pytest.mark.parametrize("radius", [0.5, 2.0, 6.5])
def test_what_a_coarse_distribution_function_leaves_out_is_in_its_ball(radius):
    for law in (RadialLaw(2), RadialLaw(3, 1)):
        coarse, fine = (rigorous_law.cdf(law, radius, precision=precision) for precision in (8, 200))
        assert holds(coarse, fine)
        assert coarse.rad() < 1e-4


@pytest.mark.parametrize(("dim", "order", "radius"), [(128, 0, Fraction(10, 3)), (8, 2, Fraction(1, 3 * 10**9))])
def test_a_mass_below_the_rounding_of_its_radius_ends(dim, order, radius):
    """It is known as a ball about zero, under which no rest of the sum can fall: the sum went on for ever."""
    law = RadialLaw(dim, order)
    coarse, fine = rigorous_law.cdf(law, radius), rigorous_law.cdf(law, radius, precision=2000)
    assert holds(coarse, fine)
    assert 0 < fine < 1e-40
    assert coarse.rad() < 1e-40


@pytest.mark.parametrize(("dim", "order", "radius", "precision"), [(128, 0, 100.0, 128), (256, 2, 160.0, 64)])
def test_bessel_functions_whose_order_is_near_the_radius_are_known(dim, order, radius, precision):
    """FLINT loses a bit and more for each unit of the radius: the sum was no number, and never ended."""
    law = RadialLaw(dim, order)
    ball = rigorous_law.cdf(law, radius, precision=precision)
    assert meets(ball, arb(float(law.cdf(np.array([radius]))[0]), 1e-11))
    assert ball.rad() < 1e-17
    assert meets(rigorous_law.density(law, 1.0), arb(0, 1e-40))


def test_tube_fraction_in_closed_form():
    """In dimension 3 it is 1 - sqrt(1 - 1/rho^2), in dimension 2 it is (2/pi) arcsin(1/rho)."""
    with flint.ctx.workprec(100):
        for rho in (1.000001, 1.04, 1.06, 2.5, 40.0):
            rho = arb(rho)
            assert meets(rigorous_law.tube_fraction(rho, 3), 1 - (1 - rho**-2).sqrt())
            assert meets(rigorous_law.tube_fraction(rho, 2), 2 / arb.pi() * (1 / rho).asin())
            assert rigorous_law.tube_fraction(rho, 3).rad() < 1e-24
        wide = rigorous_law.tube_fraction(arb(2, 0.1), 6)
        for rho in (1.9, 2.0, 2.1):
            assert meets(wide, rigorous_law.tube_fraction(arb(rho), 6))
    with pytest.raises(ValueError, match="above 1"):
        rigorous_law.tube_fraction(arb(1, 0.5), 3)
    assert float(rigorous_law.tube_fraction(arb(2.0), 16)) == pytest.approx(
        math.exp(spectral.log_tube_fraction(np.array([2.0]), 16)[0]), rel=1e-12
    )


def test_a_ball_without_a_number_passes_no_comparison():
    """In python-flint it overlaps and contains all others, and ** 2 makes one of a ball about zero itself."""
    for compare in (meets, holds):
        for pair in ((arb("nan"), arb(1)), (arb(1), arb("nan")), (arb(0, 1) + arb("inf"), arb(1))):
            with pytest.raises(AssertionError, match="not finite"):
                compare(*pair)
    assert meets(arb(1, 0.5), arb(2, 0.75))
    assert not meets(arb(1, 0.5), 2)
    assert holds(arb(1, 1.5), 2)
    assert not holds(arb(1, 0.5), arb(1, 1))


@pytest.mark.parametrize("twice", [0, 1, 2, 5, 14])
def test_bessel_ball_covers_its_ends(twice):
    order = arb(twice) / 2
    with flint.ctx.workprec(80):
        for middle in (0.3, 2.0, 17.5):
            ball = rigorous_law.bessel(order, arb(middle, 0.01))
            for point in (middle - 0.0099, middle, middle + 0.0099):
                assert meets(ball, arb(point).bessel_j(order))
            assert ball.rad() < 0.01 * (1.001 + twice / 0.5)


# --- quadrature and the floor -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", [8, 20, 60])
def test_quadrature_error_is_proven_and_not_wasted(precision):
    """exp(9 x) on [0, 2]: the bound covers the true error at every resolution, and few nodes too many are taken."""
    with flint.ctx.workprec(200):
        panel = rigorous_wave._Panel(arb(0), arb(2))
        number, error = panel.resolve(lambda reach, depth: (9 * (1 + reach)).exp(), precision)
        exact = (arb(18).exp() - 1) / 9

        def miss(count):
            return abs(sum(weight * (9 * x).exp() for x, weight in panel.nodes(count)) - exact)

        assert miss(number) <= error
        assert error <= arb(2) ** (1 - precision)
        assert miss(max(2, number * 2 // 3)) > arb(2) ** -precision


@pytest.mark.parametrize(("dim", "order", "rho"), [(4, 0, 1.747), (3, 1, 0.5634), (2, 0, 3.6)])
def test_spectral_density_agrees_with_direct_integration(dim, order, rho):
    cosine = Cosine(dim, 2.0, order)
    ball = rigorous_wave.spectral_density(wave_of(cosine), rho)
    start, stop = (arb(end) for end in cosine.window)
    half = arb(dim) / 2

    def transform(a, b, chi):
        def integrand(t, _):
            high, low = t.bessel_j(acb(half + order)) / t**order, (rho * t).bessel_j(acb(half - 1))
            return (2 * t).cos() * chi(t) * high * low

        return acb.integral(integrand, a, b, abs_tol=1e-12).real

    with flint.ctx.workprec(80):
        total = transform(arb(1e-6), start, lambda t: 1)
        total += transform(start, stop, lambda t: (1 + (acb.pi() * (t - start) / (stop - start)).cos()) / 2)
        direct = rho * total**2 / rigorous_law.normaliser(cosine.law)
    assert abs(ball - direct) < 1e-9  # what lies below 1e-6 is at most 1e-6^dim, and the tolerance of the integral
    assert ball.rad() < 1e-20


@pytest.mark.parametrize(("dim", "frequency", "order"), [(2, 3.0, 0), (3, 2.0, 1), (4, 3.0, 2), (6, 1.0, 0)])
def test_floor_agrees_with_the_floating_one(dim, frequency, order):
    cosine = Cosine(dim, frequency, order)
    wave, table = wave_of(cosine, precision=64), cosine.spectrum()
    moment = rigorous_wave.second_moment(wave)
    assert meets(moment, rigorous.to_ball(cosine.second_moment()))
    assert moment.rad() < 1e-12  # 64 bits
    previous = arb(1)
    for count in (1, 2, 6, 10**6):
        ball = rigorous_wave.relative_floor(wave, count)
        assert meets(ball, rigorous.to_ball(spectral.relative_floor(table, count)))
        assert ball.rad() < 2e-5  # the mass beyond the largest rho: 1e-5 of the moment in the plane, less above
        assert ball.lower() <= previous.upper()
        previous = ball


@pytest.mark.parametrize("count", [1, 2])
def test_floor_is_the_weighted_integral_of_the_density(count):
    """In the plane (2 / pi) arcsin(1 / rho) of the circle is in a tube, at most 1 / k from rho = 1 / sin(pi / 2k)."""
    cosine = Cosine(2, 2.0)
    wave = wave_of(cosine, precision=64)
    ball = rigorous_wave.floor(wave, count)
    assert meets(ball, rigorous.to_ball(spectral.floor(cosine.spectrum(), count)))
    assert meets(ball / rigorous_wave.second_moment(wave), rigorous_wave.relative_floor(wave, count))
    # rho = 1 / sin(a) takes away the root at rho = 1; 120 nodes are far more than S needs on [1, 6]
    low, high = math.asin(1 / wave.end), math.pi / (2 * count)
    nodes, weights = np.polynomial.legendre.leggauss(120)
    angles = (low + high) / 2 + (high - low) / 2 * nodes
    total = 0.0
    for angle, weight in zip(angles, weights, strict=True):
        density = float(rigorous_wave.spectral_density(wave, 1 / math.sin(angle)).mid())
        total += weight * (1 - 2 * count * angle / math.pi) * density * math.cos(angle) / math.sin(angle) ** 2
    total *= (high - low) / 2
    # what lies beyond the last rho adds to the floor, at most what the ball leaves open twice over
    beyond = 4 * float(ball.rad()) / (2 * count * low / math.pi)
    assert total - 1e-12 <= float(ball.upper())
    assert total + beyond + 1e-12 >= float(ball.lower())


@pytest.mark.parametrize("dim", [2, 3, 4, 7])
def test_no_mass_at_frequency_zero(dim):
    """The transform is 0 up to its error there, a ball about zero itself."""
    ball = rigorous_wave.spectral_density(rigorous_wave.Wave(dim, 2.0, (3.0, 4.0)), 0.0)
    assert ball == 0


def test_a_larger_frequency_range_narrows_the_ball():
    cosine = Cosine(2, 2.0)
    near, far = wave_of(cosine, max_frequency=4.0, precision=64), wave_of(cosine, max_frequency=7.0, precision=64)
    for count in (1, 3):
        wide, narrow = rigorous_wave.relative_floor(near, count), rigorous_wave.relative_floor(far, count)
        assert meets(wide, narrow)
        assert narrow.rad() < 0.2 * wide.rad()


def test_where_tubes_cover_all_that_is_resolved_the_rest_is_in_the_ball():
    """In the plane seven tubes cover the circle up to rho = 4.5, and what is beyond 4 has a floor that 7 resolves."""
    cosine = Cosine(2, 2.0)
    near, far = (rigorous_wave.floor(wave_of(cosine, max_frequency=top, precision=64), 7) for top in (4.0, 7.0))
    assert far > 0
    assert meets(near, far)


def test_dimension_sixteen():
    """118 neurons cannot halve the error by the floor, 119 might: the same number as in floating point."""
    cosine = Cosine(16, 1.0)
    wave = wave_of(cosine, precision=64)
    balls = [rigorous_wave.relative_floor(wave, count) for count in (118, 119)]
    assert balls[0] >= 0.5 > balls[1]
    assert balls[0].rad() < 1e-8
    assert spectral.neurons_needed(cosine.spectrum(), 0.5) == Certified(119.0, 0.0)


@pytest.mark.parametrize(("dim", "level", "known"), [(2, 0.05, 6), (4, 0.5, 25)])
def test_neurons_needed(dim, level, known):
    assert rigorous_wave.neurons_needed(wave_of(Cosine(dim, 3.0), precision=64), level) == (known, known)


def test_neurons_needed_with_a_coarse_range_stays_honest():
    wave = wave_of(Cosine(4, 2.0), max_frequency=2.9, precision=64)
    first, last = rigorous_wave.neurons_needed(wave, 0.25)
    assert first <= 19 <= last
    with pytest.raises(ValueError, match="above the mass"):
        rigorous_wave.neurons_needed(wave, 1e-9)


def test_bad_arguments():
    wave = wave_of(Cosine(2, 3.0))
    for build, match in (
        (lambda: rigorous_wave.Wave(2, -1.0, (1.0, 2.0)), "frequency"),
        (lambda: rigorous_wave.Wave(2, 1.0, (2.0, 1.0)), "window"),
        (lambda: rigorous_wave.Wave(2, 1.0, (1.0, 2.0), precision=3), "precision"),
        (lambda: rigorous_wave.Wave(2, 1.0, (1.0, 2.0), max_frequency=1.0), "max_frequency"),
        (lambda: rigorous_wave.relative_floor(wave, 0), "num_neurons"),
        (lambda: rigorous_wave.floor(wave, 0), "num_neurons"),
        (lambda: rigorous_wave.neurons_needed(wave, 1.5), "relative_error"),
        (lambda: rigorous_wave.spectral_density(wave, 9.0), "rho"),
        (lambda: rigorous_law.cdf(wave.law, 0.0), "radius"),
        (lambda: rigorous_law.cdf(wave.law, math.inf), "radius must be positive and finite, got inf"),
        (lambda: rigorous_law.density(wave.law, -1.0), "radius"),
        (lambda: rigorous_law.density(wave.law, math.inf), "radius must be positive and finite, got inf"),
    ):
        with pytest.raises(ValueError, match=match):
            build()
