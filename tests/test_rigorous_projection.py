"""Balls of the floor for projections of radial functions: closed forms, the float, laws, what is refused."""

import itertools
import math
from fractions import Fraction

import flint
import numpy as np
import pytest
import scipy.integrate
from balls import meets
from hypothesis import given
from hypothesis import strategies as st

from widththeory.bounds import radial_projection, rigorous_law
from widththeory.bounds.radial_law import RadialLaw
from widththeory.bounds.rigorous import rational, to_certified
from widththeory.bounds.rigorous_projection import law_density, radial_projection_floor
from widththeory.constructions.ball_under_law import BallUnderLaw

arb, acb = flint.arb, flint.acb


def constant(value):
    return lambda rho, analytic: acb(value)


def radius(rho, analytic):
    return rho


def square(rho, analytic):
    return rho**2


INDICATOR = [(constant(1), constant(0.5)), (constant(0), constant(0.5))]  # 1{|x| <= 1}, the norm uniform on [0, 2]


def indicator(dim, width, precision=20):
    """The radius asked for is 2^-precision of the variance 1/4; some hundred panels together may have some times it."""
    ball = radial_projection_floor(INDICATOR, [1, 2], dim, width, precision=precision)
    assert ball.is_finite()
    assert ball.rad() < 2.0 ** -(precision - 2)
    return ball


# --- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dim", "width", "power"), [(2, 1, 0), (3, 2, 0), (6, 4, 0), (4, 2, 1)])
def test_square_under_powers_on_the_ball(dim, width, power):
    """Density (1 - |x|^2)^c of x on the unit ball: given s = |P x| the rest y has |y|^2 / (1 - s^2) ~ Beta(k/2, c + 1),
    k = n - r, and 1 - s^2 ~ Beta(k/2 + c + 1, r/2). With c = 1 the density of the norm vanishes at the end.
    """

    def density(rho, analytic):
        return scale * rho ** (dim - 1) * (1 - rho**2) ** power

    scale = dim * acb(dim + 2) / 2 if power else acb(dim)
    k, c = Fraction(dim - width, 2), power + 1
    variance = k * c / ((k + c) ** 2 * (k + c + 1))
    fourth = (k + c) * (k + c + 1) / ((Fraction(dim, 2) + c) * (Fraction(dim, 2) + c + 1))
    exact = variance * fourth
    ball = radial_projection_floor([(square, density)], [1], dim, width, precision=16)
    assert meets(ball, rational(exact))
    # panels at the end have the bound for those that are never resolved
    assert ball.rad() < (3e-5 if power == 0 else 1e-3) * rational(exact)


def test_indicator_in_three_dimensions_by_an_exponential_integral():
    """b = 1 for n = 3, r = 1: m_0 = log(2/s)/2, m_1 = log(1/s)/2, and s = e^-t."""
    log2 = arb(2).log()
    exact = log2 / 2 * (1 - 2 * log2 * log2.expint(arb(1)))
    ball = indicator(3, 1, precision=32)
    assert meets(ball, exact)
    assert ball.rad() < 1e-8 * exact
    # the float leaves out the nearest |P x|: 1e-8, which its error holds
    known = radial_projection.radial_projection_floor(
        lambda r: (r <= 1).astype(float), lambda r: np.full_like(r, 0.5), 2.0, 3, 1, breaks=(1.0,)
    )
    assert meets(exact, arb(known.value, known.error))
    assert known.error < 5e-8


def test_indicator_in_the_plane_by_another_integral():
    """n = 2, r = 1: m_0 = acosh(2/s)/pi, m_1 = acosh(1/s)/pi, and s = 1/cosh(v)."""

    def integrand(v):
        return v * (1 - v / math.acosh(2 * math.cosh(v))) * math.tanh(v) / math.cosh(v) / math.pi

    value, error = scipy.integrate.quad(integrand, 0, 40, epsabs=1e-13, epsrel=1e-12)
    assert error < 1e-11
    assert meets(indicator(2, 1, precision=32), arb(value, 1e-11))


@pytest.mark.parametrize(
    ("values", "shares"), [((0, -1, 1), (Fraction(1, 3),) * 3), ((0, 0, 1), (0, Fraction(1, 2), Fraction(1, 2)))]
)
def test_the_nearest_place_hears_of_all_pieces(values, shares):
    """n = 3, r = 1: m_j(s) = sum_k f_k^j p_k log(end_k / max(s, end_(k-1))); f is its mean or absent on the first."""
    ends = (1, 2, 3)

    def explained(s):
        parts = [
            float(p) * math.log(end / max(s, end - 1)) if end > s else 0.0 for p, end in zip(shares, ends, strict=True)
        ]
        mass = sum(parts)
        return sum(f * part for f, part in zip(values, parts, strict=True)) ** 2 / mass if mass else 0.0

    pieces = [(0.0, 1e-9), (1e-9, 1e-3), (1e-3, 1.0), (1.0, 2.0), (2.0, 3.0)]
    known = sum(scipy.integrate.quad(explained, *piece, epsabs=1e-12, limit=400)[0] for piece in pieces)
    exact = sum(f * f * float(p) for f, p in zip(values, shares, strict=True)) - known
    law = [(constant(f), constant(float(p))) for f, p in zip(values, shares, strict=True)]
    ball = radial_projection_floor(law, ends, 3, 1, precision=14)
    assert meets(ball, arb(exact, 1e-8))  # quadrature near the ends, where s log s has no derivative
    assert ball.rad() < 1e-3


def test_a_thin_shell_costs_accuracy_at_most():
    plain = radial_projection_floor(INDICATOR, [1, 2], 3, 1, precision=12)
    pieces = [INDICATOR[0], INDICATOR[0], INDICATOR[1]]
    thin = radial_projection_floor(pieces, [1, Fraction(10**7 + 1, 10**7), 2], 3, 1, precision=12)
    assert meets(thin, plain)
    assert thin.rad() < 1e-2  # panels beside the thin shell are bounded, not resolved


@pytest.mark.parametrize("dim", [2, 5])
def test_constants_are_known_and_nothing_is_negative(dim):
    ball = radial_projection_floor([(constant(3), constant(0.5))], [2], dim, 1)
    assert ball.is_finite()
    assert ball >= 0
    assert ball < 1e-12  # rounding of the mean


def test_a_constant_more_changes_nothing_and_a_factor_enters_squared():
    def moved(rho, analytic):
        return 1000 - 3 * rho

    plain = radial_projection_floor([(radius, constant(1))], [1], 3, 1, precision=12)
    other = radial_projection_floor([(moved, constant(1))], [1], 3, 1, precision=12)
    assert meets(other, 9 * plain)
    assert other.rad() < 2e-3  # 12 bits of the variance 9/12, some times


def test_cuts_of_a_piece_change_nothing():
    """Ends that are close together too."""
    whole = radial_projection_floor([(radius, constant(1))], [1], 3, 2, precision=12)
    cut = radial_projection_floor([(radius, constant(1))] * 3, [0.5, Fraction(13, 25), 1], 3, 2, precision=12)
    assert meets(whole, cut)
    assert cut.rad() < 1e-4  # 12 bits of the variance 1/12


# --- the float --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dim", "width"), [(4, 1), (5, 2)])
def test_indicators_agree_with_floats(dim, width):
    known = radial_projection.radial_projection_floor(
        lambda r: (r <= 1).astype(float), lambda r: np.full_like(r, 0.5), 2.0, dim, width, breaks=(1.0,)
    )
    ball = indicator(dim, width, precision=16)
    # the float leaves out s < 2 e^-18, which its error holds
    assert meets(ball, arb(known.value, known.error))


def test_more_width_sees_more():
    balls = [indicator(3, width, precision=10) for width in (1, 2)]
    assert all(more < less for less, more in itertools.pairwise(balls))
    assert balls[0] < 0.25
    assert balls[-1] > 0


def test_lower_precision_overlaps_higher():
    coarse, fine = (indicator(3, 2, precision=precision) for precision in (10, 16))
    assert meets(coarse, fine)
    assert fine.rad() < coarse.rad()
    assert to_certified(fine).lower > 0


# --- the law ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dim", "order"), [(2, 0), (3, 2), (8, 2)])
def test_law_density_on_points(dim, order):
    law = RadialLaw(dim, order)
    with flint.ctx.workprec(64):
        density = law_density(law)
        for t in (0.01, 0.25, 0.75, 1.5, 7.5, 28.9):
            ball = density(acb(t), False).real
            assert meets(ball, rigorous_law.density(law, t))
            assert ball.rad() < 1e-15 * ball


@given(st.floats(0.1, 30), st.floats(-2, 2), st.floats(0, 1), st.floats(0, 1))
def test_law_density_on_boxes(place, shift, wide, tall):
    """A box holds the value at its middle and at a corner, from Bessel functions."""
    law = RadialLaw(4, 2)
    a, scale = rigorous_law.bessel_order(law), rigorous_law.normaliser(law)
    box = acb(arb(place, wide), arb(shift, tall))
    with flint.ctx.workprec(200):
        for point in (acb(place, shift), acb(place + wide, shift - tall)):
            value = point.bessel_j(acb(a)) ** 2 / point**5 / scale
            found = law_density(law)(box, True)
            assert meets(found, value)


def test_norm_under_the_law():
    law = RadialLaw(3, 2)
    end = law.quantile(0.9)
    ball = radial_projection_floor([(radius, law_density(law))], [end], 3, 2, precision=16)
    known = radial_projection.radial_projection_floor(np.asarray, law.density, end, 3, 2)
    assert meets(ball, arb(known.value, known.error))
    assert ball.rad() < 1e-4 * ball  # 16 bits


def test_ball_under_its_law():
    made = BallUnderLaw(3, 2, 8)
    end, density = made.law.quantile(0.9), law_density(made.law)
    pieces = [(constant(1), density), (constant(0), density)]
    ball = radial_projection_floor(pieces, [made.threshold, end], 3, 2, precision=16)
    known = radial_projection.radial_projection_floor(
        made.profile, made.law.density, end, 3, 2, breaks=(made.threshold,)
    )
    assert meets(ball, arb(known.value, known.error))
    assert ball.rad() < 1e-4 * ball  # 16 bits


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "ends", "dim", "width", "options", "message"),
    [
        (INDICATOR, [1, 2], 1, 1, {}, "input_dim must"),
        (INDICATOR, [1, 2], 4, 0, {}, "width must"),
        (INDICATOR, [1, 2], 4, 4, {}, "width must be below input_dim = 4, got 4"),
        (INDICATOR, [1], 4, 2, {}, "ends must be as many as pieces"),
        ([], [], 4, 2, {}, "ends must be as many as pieces"),
        (INDICATOR, [2, 1], 4, 2, {}, "ends must be positive, finite and increasing"),
        (INDICATOR, [0, 1], 4, 2, {}, "ends must be positive"),
        (INDICATOR, [1, math.inf], 4, 2, {}, "ends must be positive, finite"),
        (INDICATOR, [1, math.nan], 4, 2, {}, "ends must be positive, finite"),
        (INDICATOR, [1, 2], 4, 2, {"precision": 7}, "precision must"),
        ([(constant(math.nan), constant(1))], [1], 4, 2, {}, "pieces must be finite"),
        ([(constant(1), constant(0))], [1], 4, 2, {}, "pieces must be finite, of a positive mass"),
    ],
)
def test_bad_input_gets_one_sentence(pieces, ends, dim, width, options, message):
    with pytest.raises(ValueError, match=message):
        radial_projection_floor(pieces, ends, dim, width, **options)
