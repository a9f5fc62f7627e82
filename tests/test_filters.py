"""First-layer filters: planted Gabor atoms are found, a general optimiser finds no better ones, copies are counted."""

import math

import numpy as np
import pytest
from scipy.optimize import least_squares

from widththeory.constructions.crelu import pairing
from widththeory.constructions.gabor import GaborBank
from widththeory.images.filters import (
    GaborFits,
    alive,
    as_rows,
    bank_goodness,
    fit_gabor,
    nearest,
    num_directions,
)

SIZE = 9


def atom(size, wave, centre, along, across, phase, colour):
    """One atom, pixel by pixel, by its formula."""
    made = np.zeros((size, size, len(colour)))
    length = math.hypot(*wave)
    for row in range(size):
        for column in range(size):
            x, y = column - (size - 1) / 2 - centre[0], row - (size - 1) / 2 - centre[1]
            forward = (x * wave[0] + y * wave[1]) / length
            sideways = (x * wave[1] - y * wave[0]) / length
            envelope = math.exp(-(forward**2) / (2 * along**2) - sideways**2 / (2 * across**2))
            made[row, column] = envelope * math.cos(x * wave[0] + y * wave[1] - phase) * np.asarray(colour)
    return made


PLANTED = [
    ((1.2, 0.5), (0.5, -0.7), 2.0, 2.0, 0.4, (1.0, 1.0, 1.0)),
    ((-0.6, 0.9), (0.0, 0.0), 1.5, 2.5, -1.9, (1.0, -0.8, 0.1)),
    ((0.1, 2.0), (-1.0, 1.0), 2.5, 1.6, 2.5, (0.2, 0.9, 0.4)),
]


@pytest.fixture(scope="module")
def planted():
    filters = np.stack([atom(SIZE, *one) for one in PLANTED], axis=-1)
    return filters, fit_gabor(filters)


def test_planted_atoms_are_found(planted):
    _, fits = planted
    # The search stops at steps of 5e-3 in its units, below 0.005 pixels: the energy missed is of their square.
    assert (fits.goodness > 1 - 1e-3).all()
    assert (fits.goodness <= 1 + 1e-12).all()
    for index, (wave, centre, along, across, _, _) in enumerate(PLANTED):
        np.testing.assert_allclose(fits.waves[index], wave, atol=0.03)
        np.testing.assert_allclose(fits.centres[index], centre, atol=0.06)
        np.testing.assert_allclose([fits.along[index], fits.across[index]], [along, across], rtol=0.06)
    expected = [math.degrees(math.atan2(wave[1], wave[0])) for wave, *_ in PLANTED]
    np.testing.assert_allclose(fits.degrees, expected, atol=2)
    np.testing.assert_allclose(fits.wavelength, [2 * math.pi / math.hypot(*one[0]) for one in PLANTED], rtol=0.03)
    for index, (*_, colour) in enumerate(PLANTED):  # of one phase up to its sign, and that the sign of the colour
        np.testing.assert_allclose(fits.amplitudes[index], np.abs(colour), atol=0.03)
    np.testing.assert_allclose(fits.one_phase, fits.goodness, atol=2e-3)


def test_the_goodness_is_that_of_the_atoms_given(planted):
    """Of real structure and of noise; the atoms are written by the formula, pixel by pixel."""
    noise = np.random.default_rng(0).standard_normal((5, 5, 3, 6))
    for filters, fits in (planted, (noise, fit_gabor(noise))):
        own = fits.atoms(len(filters))
        for index in range(filters.shape[-1]):
            shape = (fits.waves[index], fits.centres[index], fits.along[index], fits.across[index])
            channels = zip(fits.phases[index], np.diag(fits.amplitudes[index]), strict=True)
            by_formula = sum(atom(len(filters), *shape, phase, colour) for phase, colour in channels)
            # rounding of the basis, which is as thin as 1e-6
            np.testing.assert_allclose(own[..., index], by_formula, atol=1e-8 * np.abs(by_formula).max())
            missed = ((filters[..., index] - by_formula) ** 2).sum() / (filters[..., index] ** 2).sum()
            assert 1 - missed == pytest.approx(fits.goodness[index], abs=1e-8)


def test_a_general_optimiser_finds_nothing_much_better():
    """All twelve numbers of an atom by Levenberg and Marquardt, from the atom found and from others, on noisy atoms."""
    rng = np.random.default_rng(1)
    filters = np.stack([atom(7, *one) for one in PLANTED], axis=-1)
    filters += 0.2 * rng.standard_normal(filters.shape)
    fits = fit_gabor(filters)
    for index in range(filters.shape[-1]):
        target = filters[..., index]

        def residual(p, target=target):
            shape = (p[:2], p[2:4], math.exp(p[4]), math.exp(p[5]))
            parts = zip(p[6:9], np.diag(p[9:]), strict=True)
            return (sum(atom(7, *shape, phase, colour) for phase, colour in parts) - target).ravel()

        best = np.inf
        own = [*fits.waves[index], *fits.centres[index], math.log(fits.along[index]), math.log(fits.across[index])]
        own += [*fits.phases[index], *fits.amplitudes[index]]
        wave, centre, along, across, phase, colour = PLANTED[index]
        truth = [*wave, *centre, math.log(along), math.log(across), phase, phase, phase, *colour]
        for begin in (own, truth):
            best = min(best, 2 * least_squares(residual, begin, max_nfev=25).cost)
        # steps end at 5e-3 of the search's units, which costs some 1e-4 of the energy
        assert fits.goodness[index] > 1 - best / (target**2).sum() - 2e-3


def test_channels_of_different_phases_are_one_atom():
    """A cosine in red and a sine in green: one envelope and wave, two phases; with one phase half of it is missed."""
    shape = ((0.9, 0.4), (0.0, 0.0), 2.0, 2.0)
    filters = (atom(SIZE, *shape, 0.0, (1, 0, 0)) + atom(SIZE, *shape, math.pi / 2, (0, 1, 0)))[..., None]
    fits = fit_gabor(filters)
    assert fits.goodness[0] > 1 - 1e-3
    energies = [(atom(SIZE, *shape, phase, (1,)) ** 2).sum() for phase in (0.0, math.pi / 2)]
    # the two are orthogonal, one even and one odd: the better half is the longer of the two
    assert fits.one_phase[0] == pytest.approx(max(energies) / sum(energies), abs=2e-3)


def test_structure_and_noise_are_told_apart():
    noise = fit_gabor(np.random.default_rng(2).standard_normal((11, 11, 3, 8)))
    assert (noise.goodness < 0.2).all()  # twelve numbers for 363
    assert (noise.goodness > 12 / 363 / 2).all()


def test_a_filter_of_zeros_has_no_atom():
    filters = np.zeros((5, 5, 3, 2))
    filters[2, 2, :, 1] = 1.0
    fits = fit_gabor(filters)
    assert fits.goodness[0] == 0
    assert np.isfinite(fits.atoms(5)).all()
    assert fits.goodness[1] > 0.99  # a spot is an atom with the narrowest envelope, 0.4 pixels


def test_grey_filters_of_one_channel():
    filters = np.stack([atom(SIZE, *one[:-1], (1.0,)) for one in PLANTED], axis=-1)
    fits = fit_gabor(filters)
    assert isinstance(fits, GaborFits)
    assert (fits.goodness > 1 - 1e-3).all()
    np.testing.assert_allclose(fits.one_phase, fits.goodness, rtol=1e-14)  # a few roundings, by a longer way


def test_the_bank_finds_its_own_atoms():
    bank = GaborBank(size=11)
    phases = np.exp(-1j * np.arange(40))[:, None, None]
    filters = (phases * bank.filters()).real.transpose(1, 2, 0)[:, :, None, :] * np.array([1.0, 0.5, -0.2])[:, None]
    goodness, which = bank_goodness(filters, bank)
    np.testing.assert_array_equal(which, np.arange(40))
    # one phase and one colour each: exact, but for some 100 roundings
    np.testing.assert_allclose(goodness, 1, atol=1e-13)
    # the free atom does as well; coarse waves are cut off by the filter's border, so that many atoms fit
    assert (fit_gabor(filters[..., ::5]).goodness > 1 - 2e-3).all()


def test_the_bank_is_cropped_or_padded_about_its_centre():
    filters = GaborBank(size=11).filters().real.transpose(1, 2, 0)[:, :, None, :]
    for size in (5, 33):
        _, which = bank_goodness(filters[:, :, :, :8], GaborBank(size=size))
        np.testing.assert_array_equal(which, np.arange(8))


def test_dead_filters():
    filters = np.ones((3, 3, 3, 4)) * np.array([1.0, 2e-3, 1e-4, 0.0])
    np.testing.assert_array_equal(alive(filters), [True, True, False, False])
    assert not alive(np.zeros((3, 3, 3, 2))).any()


def test_rows_are_the_filters():
    filters = np.arange(3 * 3 * 2 * 4, dtype=np.float32).reshape(3, 3, 2, 4)
    rows = as_rows(filters)
    assert rows.shape == (4, 18)
    np.testing.assert_array_equal(rows[1].reshape(3, 3, 2), filters[..., 1])


def test_copies_and_opposites():
    rows = np.array([[1.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 1.0]])
    np.testing.assert_allclose(nearest(rows), [1, 1, 0, 0], atol=1e-15)
    # what is nearest is what is most nearly opposite to the negatives
    random = np.random.default_rng(3).standard_normal((12, 5))
    both = np.concatenate([random, -random])
    np.testing.assert_allclose(pairing(both), -1, atol=1e-14)
    unit = random / np.linalg.norm(random, axis=1, keepdims=True)
    by_hand = [max(unit[i] @ unit[j] for j in range(12) if j != i) for i in range(12)]
    np.testing.assert_allclose(nearest(random), by_hand, atol=1e-14)


def test_directions():
    identity = np.eye(6)
    assert num_directions(identity) == 6
    assert num_directions(identity, 0.5) == 3
    assert num_directions(np.concatenate([identity[:2], -5 * identity[:2]])) == 2
    assert num_directions(np.ones((7, 3))) == 1
