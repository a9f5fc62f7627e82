"""Profiles faster than a quadrature: its range weakens the floor, its panels follow the profile or it is refused."""

import math

import numpy as np
import pytest
from scipy import integrate

from widththeory.bounds import spectral
from widththeory.bounds.bessel_table import BesselTable
from widththeory.bounds.quadrature import panel_edges, panel_nodes, unresolved
from widththeory.bounds.radial_law import RadialLaw
from widththeory.bounds.radial_projection import radial_projection_floor
from widththeory.bounds.spectral import Spectrum, floor, relative_floor, spectrum
from widththeory.typing import Certified


def fast_wave(frequency, end):
    """An oscillation that falls to 0 at `end`."""
    return lambda t: np.cos(frequency * t) * (0.5 + 0.5 * np.cos(np.pi * t / end))


def test_a_small_max_frequency_weakens_the_floor_and_spoils_nothing():
    """Waves much faster than max_frequency: the zero network leaves E g^2, and a floor of more range is above."""
    rng = np.random.default_rng(0)
    cases = [(8, 28.108, 6.98216, 3.0, 1)]
    for _ in range(12):
        frequency, end, top = rng.uniform(10, 60), rng.uniform(3, 8), rng.uniform(1.1, 6)
        cases.append((int(rng.integers(2, 9)), frequency, end, top, int(rng.choice([1, 2, 5]))))
    for dim, frequency, end, top, count in cases:
        law, profile = RadialLaw(dim, 2), fast_wave(frequency, end)
        small, whole = (floor(spectrum(profile, law, end, most), count) for most in (top, frequency + 8))
        moment = law.expectation(lambda t, g=profile: g(t) ** 2, end, breaks=tuple(np.arange(0.05, end, 0.05)))
        assert small.lower <= moment.upper, (dim, frequency, end, top, count)
        assert small.lower <= whole.upper, (dim, frequency, end, top, count)
        assert whole.value > 0.9 * moment.value


def test_a_profile_that_is_not_resolved_is_refused():
    jump = lambda t: (t < 2.1).astype(float)  # noqa: E731
    with pytest.raises(ValueError, match="profile must be smooth between breaks at the scale of"):
        spectrum(jump, RadialLaw(4), 5.0, 4.0)
    assert spectrum(jump, RadialLaw(4), 5.0, 4.0, breaks=(2.1,)).density_error < 1e-10
    with pytest.raises(ValueError, match="profile must be smooth"):
        spectrum(fast_wave(1e7, 5.0), RadialLaw(4), 5.0, 4.0)
    for nothing in (np.zeros_like, lambda t: t * np.nan):
        with pytest.raises(ValueError, match="profile must have a finite second moment above 0 under the law, got"):
            spectrum(nothing, RadialLaw(4), 5.0, 4.0)
    with pytest.raises(ValueError, match=r"max_frequency \* support_end must be at most 65536, got 1e\+60 \* 5.0"):
        spectrum(jump, RadialLaw(4), 5.0, 1e60)
    with pytest.raises(ValueError, match=r"leftover must be a finite number of at least 0, got -0\.1"):
        spectrum(jump, RadialLaw(4), 5.0, 4.0, leftover=-0.1)
    with pytest.raises(ValueError, match="profile and density must be smooth"):
        radial_projection_floor(fast_wave(1e5, 1.0), lambda r: 2 * r, 1.0, 2, 1)


def test_a_projection_of_a_profile_with_a_kink_needs_its_break():
    """Resolved to 1e-6 it was 2.9e-8 off, with an error of 4e-9."""
    kink, density = (lambda r: np.abs(r - 0.3)), (lambda r: 5 * r**4)
    with pytest.raises(ValueError, match="profile and density must be smooth"):
        radial_projection_floor(kink, density, 1.0, 5, 2)
    assert radial_projection_floor(kink, density, 1.0, 5, 2, breaks=(0.3,)).error < 1e-12


def test_polynomials_of_degree_fifteen_are_resolved_and_no_more():
    edges, even = panel_edges(2.0, 0.7), np.ones_like
    assert unresolved(lambda t: t**15 - t, even, edges) < 1e-13
    assert unresolved(lambda t: t**15 - t, even, panel_edges(2.0, 2.0)) < 1e-13
    # what is left of t^16 on [0, 2] is its monic Legendre polynomial there, 2^16 16!^2 / 32! P_16 (t - 1)
    monic = np.polynomial.legendre.Legendre.basis(16)
    scale = 2.0**16 * math.factorial(16) ** 2 / math.factorial(32)
    nodes, weights = np.polynomial.legendre.leggauss(17)
    left = math.sqrt(weights @ (scale * monic(nodes)) ** 2) / math.sqrt(2.0**33 / 33)
    assert unresolved(lambda t: t**16, even, panel_edges(2.0, 2.0)) == pytest.approx(left, rel=1e-3)
    assert unresolved(np.zeros_like, even, edges) == 0.0


def disc_variance(frequency, num_nodes):
    """E Var(cos(w |x|) | x_1) for x uniform on the unit disc, along chords: x_1 = sin(angle), |x_2| <= cos(angle)."""
    nodes, weights = np.polynomial.legendre.leggauss(num_nodes)
    shares, halves = (nodes + 1) / 2, weights / 2
    angles = shares * np.pi / 2
    values = np.cos(frequency * np.hypot(np.sin(angles)[:, None], np.cos(angles)[:, None] * shares))
    variance = values**2 @ halves - (values @ halves) ** 2
    return float(2 * np.cos(angles) ** 2 * halves @ variance)


@pytest.mark.parametrize("frequency", [3.0, 40.0, 172.07980635981687])
def test_projections_follow_a_fast_profile(frequency):
    """With panels of one length the last was missed by 26 times its error: two rules agreed by chance."""
    found = radial_projection_floor(lambda r: np.cos(frequency * r), lambda r: 2 * r, 1.0, 2, 1)
    assert abs(found.value - disc_variance(frequency, 500)) <= found.error + 1e-12
    assert found.error < 1e-5


def test_projections_follow_a_fast_density():
    """The density of the law oscillates 40 times here; at half the panel the error is some tenth, the value the same.

    Panels of one length gave 38.49 +- 0.41 and, halved, 39.24 +- 0.19.
    """
    law = RadialLaw(4)
    end = law.quantile(0.99)
    coarse = radial_projection_floor(np.asarray, law.density, end, 4, 1)
    fine = radial_projection_floor(np.asarray, law.density, end, 4, 1, breaks=tuple(np.arange(0.7, end, 0.7)))
    assert abs(coarse.value - fine.value) <= coarse.error + fine.error
    assert coarse.error < 1e-3


def between(one, other):
    """Integral of the difference of two spectral densities on the same panels."""
    weights = panel_nodes(one.edges, one.density.shape[1])[1]
    return float(np.sum(weights * np.abs(one.density - other.density)))


def test_errors_of_a_spectrum_hold_those_of_its_quadrature(monkeypatch):
    """An oscillation that the first panels hardly follow, were they not halved."""
    options = fast_wave(30.0, 5.0), RadialLaw(4), 5.0, 4.0
    exact = spectrum(*options)
    monkeypatch.setattr(spectral, "unresolved", lambda *_: 0.0)
    found = spectrum(*options)
    assert 1e-11 < between(found, exact) <= found.density_error
    assert 1e-3 < abs(found.moment.value - exact.moment.value) <= found.moment.error


def test_errors_of_a_spectrum_hold_those_of_its_bessel_functions(monkeypatch):
    """Values that are all off to the same side, which no other nodes show, by as much as roundoff is said to be."""
    options = (
        (lambda t: (1 - t**2 / 9) ** 2),
        RadialLaw(4),
        3.0,
        4.0,
    )  # the amplitude is positive, so that nothing cancels
    exact = spectrum(*options)

    class Rough(BesselTable):
        def __call__(self, arguments):
            return super().__call__(arguments) + 1e-4

    monkeypatch.setattr(spectral, "BesselTable", Rough)
    monkeypatch.setattr(spectral, "bessel_roundoff", lambda order: 1e-4)
    found = spectrum(*options)
    assert 1e-5 < between(found, exact) <= found.density_error


@pytest.mark.parametrize("error", [-1e-6, 1e-6])
def test_errors_of_a_spectrum_hold_that_of_the_normaliser(monkeypatch, error):
    """By which density and moment are divided: its float may be off by what the law says that it is."""
    options, usual = (fast_wave(3.0, 12.0), RadialLaw(4), 12.0, 7.0), RadialLaw.normaliser.fget
    exact = spectrum(*options)
    monkeypatch.setattr(RadialLaw, "normaliser", property(lambda law: usual(law) * (1 + error)))
    found = spectrum(*options)
    assert 0.9e-6 * exact.moment.value < between(found, exact) <= found.density_error
    assert 0.9e-6 * exact.moment.value < abs(found.moment.value - exact.moment.value) <= found.moment.error


def test_a_density_with_a_corner_where_tubes_begin_to_cover_is_known_to_what_is_said():
    """Dimension 3, where cap = 1 - (1 - 1 / rho^2)^(1/2) and two tubes cover up to 1.1547: S = |rho - 1.18| to 1.2."""
    edges = np.array([0.0, 1.0, 1.2, 2.0])
    nodes, _ = panel_nodes(edges, 12)
    density = np.where(np.array([[0], [1], [0]]) > 0, np.abs(nodes - 1.18), 0.0)
    found = floor(Spectrum(3, edges, density, Certified(0.0164, 0.0), 0.0), 2)

    def weighted(rho):
        return (2 * math.sqrt(1 - 1 / rho**2) - 1) * abs(rho - 1.18)

    exact = integrate.quad(weighted, 2 / math.sqrt(3), 1.2, points=[1.18], epsabs=1e-14)[0]
    beyond = 0.0164 - float(np.sum(panel_nodes(edges, 12)[1] * density))
    gap = abs(found.value - exact - beyond * (1 - 2 * (1 - math.sqrt(0.75))))
    assert 1e-8 < gap <= found.error - beyond * 2 * (1 - math.sqrt(0.75))


def test_a_share_of_a_moment_that_is_not_known_is_less_known_by_both():
    """The moment 2 +- 0.5 enters E_k, its mass beyond, and what E_k is divided by."""
    edges, density = np.array([0.0, 1.0, 3.0]), np.array([[0.0] * 12, [1.0] * 12])
    value = floor(Spectrum(3, edges, density, Certified(2.0, 0.0), 0.0), 1).value
    share = relative_floor(Spectrum(3, edges, density, Certified(2.0, 0.5), 0.0), 1)
    assert share.value == pytest.approx(value / 2, rel=1e-14)
    assert share.upper == pytest.approx((value + 0.5) / 1.5, rel=1e-6)
