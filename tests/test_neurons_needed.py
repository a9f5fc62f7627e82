"""Floors and counts of neurons where they are known exactly: flat spectra in dimension 3, and far out."""

import math
from fractions import Fraction

import numpy as np
import pytest

from widththeory.bounds import spectral
from widththeory.bounds.quadrature import panel_nodes
from widththeory.bounds.spectral import Spectrum, floor, neurons_needed, relative_floor
from widththeory.typing import Certified


@pytest.mark.parametrize(("start", "rounded"), [(10**4, False), (10**8, True), (10**60, True), (10**150, True)])
@pytest.mark.parametrize("level", [0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
def test_rounding_of_a_large_count_is_in_its_error(start, rounded, level):
    """With S = 1 on [a, b], cap = 1 / (2 rho^2) to 1e-9: E_k = (b - a) - k (1 / a - 1 / b) / 2, nothing else unsure."""
    end = start * 5 // 4
    edges, density = np.array([0.0, 1.0, float(start), float(end)]), np.zeros((3, 20))
    density[2] = 1.0
    moment = float(np.sum(density * panel_nodes(edges, 20)[1]))
    found = neurons_needed(Spectrum(3, edges, density, Certified(moment, 0.0), 0.0), level)
    exact = (1 - Fraction(level)) * 2 * start * end
    assert abs(Fraction(found.value) - exact) <= Fraction(found.error) + 1  # a count, and the rest of cap
    assert (found.error > 0) == rounded
    # of cap some 70 units of 2^-52 are unsure, and of its logarithm 4; over the slope of the floor
    assert found.error < 2e-14 * (1 + math.log(start)) / (1 - level) * found.value


def flat_spectrum(height=1.0, beyond=0.5, **errors):
    """Dimension 3, S constant on [1, 3] in panels, and mass beyond 3: E_k = int (1 - k cap)_+ S in closed form."""
    edges = np.array([0.0, 1.0, 1.2, 1.5, 2.0, 3.0])
    density = np.where(np.arange(5)[:, None] > 0, height, np.zeros((5, 12)))
    moment = Certified(2 * height + beyond, errors.pop("moment_error", 0.0))
    return Spectrum(3, edges, density, moment, errors.pop("density_error", 0.0), **errors)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_floor_of_a_flat_spectrum_holds_mass_beyond_wherever_it_lies(count):
    """cap = 1 - (1 - 1 / rho^2)^(1/2), whose integral is rho - (rho^2 - 1)^(1/2) + arctan (rho^2 - 1)^(1/2)."""

    def integral(rho):
        root = math.sqrt(rho**2 - 1)
        return rho - count * (rho - root + math.atan(root))

    kink = 1 / math.sqrt(1 - (1 - 1 / count) ** 2)
    inside = integral(3.0) - integral(kink)
    least = 1 - count * (1 - math.sqrt(8) / 3)
    found = floor(flat_spectrum(), count)
    # mass at 3 has the weight `least`, at infinity 1; S is a polynomial, so that nothing else is unsure but roundoff
    assert found.lower == pytest.approx(inside + 0.5 * least, rel=1e-12)
    assert found.upper == pytest.approx(inside + 0.5, rel=1e-12)
    assert found.lower <= inside + 0.5 * least <= inside + 0.5 <= found.upper


def test_tubes_that_cover_all_that_was_computed_leave_what_is_beyond():
    """cap(3) is above 1 / 40: mass beyond may lie at 3, without weight, or at infinity."""
    found = floor(flat_spectrum(), 40)
    assert (found.lower, found.upper) == (pytest.approx(0.0, abs=1e-12), pytest.approx(0.5, rel=1e-12))
    assert found.lower <= 0
    assert floor(flat_spectrum(), 10**400).error < 0.25 + 1e-12


def test_floor_holds_what_was_cut_off_and_what_is_not_known():
    """By the triangle inequality the root of E_k moves by the norm that was cut off, at most, as does that of E g^2."""
    sure, cut = flat_spectrum(beyond=0.0), flat_spectrum(beyond=0.0, leftover=0.1)
    exact = floor(sure, 2).value
    assert floor(cut, 2).lower <= (math.sqrt(exact) - 0.1) ** 2 <= (math.sqrt(exact) + 0.1) ** 2 <= floor(cut, 2).upper
    assert floor(cut, 2).upper == pytest.approx((math.sqrt(exact) + 0.1) ** 2, rel=1e-12)
    more = floor(flat_spectrum(beyond=0.0, leftover=0.1, density_error=0.1), 2)
    assert more.upper == pytest.approx((math.sqrt(exact + 0.1) + 0.1) ** 2, rel=1e-12)
    assert cut.second_moment.upper >= (math.sqrt(2.0) + 0.1) ** 2
    assert cut.second_moment.lower <= (math.sqrt(2.0) - 0.1) ** 2
    both = flat_spectrum(beyond=0.0, leftover=0.1, moment_error=0.1).second_moment
    assert both.upper >= (math.sqrt(2.1) + 0.1) ** 2
    for change in (-0.05, 0.05):  # all of S at once; as much of the moment
        other = flat_spectrum(1 + change, beyond=0.0)
        unsure = flat_spectrum(beyond=0.0, density_error=0.1, moment_error=0.1)
        for number in (floor, relative_floor):
            assert number(unsure, 2).lower <= number(other, 2).value <= number(unsure, 2).upper
        assert relative_floor(unsure, 2).lower <= exact / (2.0 - 2 * change) <= relative_floor(unsure, 2).upper


def test_errors_of_density_and_moment_add_up_once():
    """0.1 less of S where seven tubes cover it, 0.1 more of the moment: 0.2 more beyond, at a weight up to 1."""
    sure, unsure = flat_spectrum(), flat_spectrum(density_error=0.1, moment_error=0.1)
    for sign in (-1, 1):
        density = sure.density.copy()
        density[1] -= sign * 0.5  # on [1, 1.2]
        moved = floor(Spectrum(3, sure.edges, density, Certified(2.5 + sign * 0.1, 0.0), 0.0), 7)
        # both ends are rounded
        assert floor(unsure, 7).lower <= moved.lower + 1e-14 < moved.upper - 1e-14 <= floor(unsure, 7).upper
    assert floor(unsure, 7).upper == pytest.approx(moved.upper, rel=1e-12)


def test_counts_are_where_the_ends_of_the_floor_cross_the_level():
    found = flat_spectrum(beyond=0.2, density_error=0.01, moment_error=0.02, leftover=0.01)
    for level in (0.2, 0.35, 0.5, 0.65):
        lowest, highest = (
            next(k for k in range(1, 100) if getattr(relative_floor(found, k), end) < level)
            for end in ("lower", "upper")
        )
        needed = neurons_needed(found, level)
        assert (needed.value, needed.error) == ((lowest + highest) / 2, (highest - lowest) / 2)
        assert highest > lowest
    assert neurons_needed(found, 0.999) == Certified(1.0, 0.0)


@pytest.mark.parametrize("power", [60, 500, 1000])
def test_rounding_of_the_logarithm_of_a_count_is_in_its_error(monkeypatch, power):
    """A floor without error that falls along the logarithm of k, through a half at a power of 2."""
    found = Spectrum(3, np.array([0.0, 1.0, 1e200]), np.zeros((2, 12)), Certified(1.0, 0.0), 0.0)
    half = power * math.log(2)
    monkeypatch.setattr(spectral, "_floor", lambda _, log_count: Certified(1 - log_count / (2 * half), 0.0))
    needed = neurons_needed(found, 0.5)
    assert abs(Fraction(needed.value) - 2**power - 1) <= Fraction(needed.error)
    assert 2.0**-52 * half < needed.error / needed.value < 1e-14 * (4 + half)


def test_a_count_that_mass_beyond_leaves_open_has_its_lower_end():
    found = flat_spectrum(beyond=1.0)
    lowest = next(k for k in range(1, 100) if relative_floor(found, k).lower < 0.3)
    assert neurons_needed(found, 0.3) == Certified(float(lowest), math.inf)


def test_nothing_is_known_of_a_share_of_a_moment_that_may_be_nothing():
    unknown = relative_floor(flat_spectrum(moment_error=2.5), 2)
    assert unknown.error == math.inf
    assert neurons_needed(flat_spectrum(moment_error=2.5), 0.5) == Certified(1.0, math.inf)


@pytest.mark.parametrize(
    ("frequency", "mass"), [(0, 2.5), (0.5, 2.5), (1.0, 2.5), (1.1, 2.4), (2.7, 0.8), (3.0, 0.5), (9, 0.5)]
)
def test_shares_above_a_frequency_count_what_is_beyond_the_last(frequency, mass):
    assert flat_spectrum().above(frequency) == pytest.approx(mass / 2.5, rel=1e-13)
    with pytest.raises(ValueError, match="frequency must be at least 0, got -1"):
        flat_spectrum().above(-1)


@pytest.mark.parametrize("level", [-0.1, 0.0, 1.0, 1.5, math.nan])
def test_levels_lie_between_nothing_and_the_whole(level):
    with pytest.raises(ValueError, match="relative_error must lie strictly between 0 and 1, got"):
        neurons_needed(flat_spectrum(), level)
