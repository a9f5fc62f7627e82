"""The Gabor bank: symmetry, self-similarity, blindness to the mean, and tuning to its own gratings."""

import math

import numpy as np
import pytest

from widththeory.constructions.gabor import GaborBank


def test_counts_and_constants():
    bank = GaborBank()
    assert bank.filters().shape == (40, 33, 33)
    assert bank.real_filters().shape[0] == 80
    assert bank.real_filters(4).shape[0] == 160
    one = GaborBank(size=5, num_orientations=1, num_scales=1, sigma=1.0)
    (filter_,), phases = one.filters(), np.exp(-0.5j * math.pi * np.arange(4))[:, None, None]
    np.testing.assert_allclose(one.real_filters(2), (phases[:2] * filter_).real, rtol=0, atol=1e-15)
    np.testing.assert_allclose(one.real_filters(4), (phases * filter_).real, rtol=0, atol=1e-15)
    norms = np.linalg.norm(bank.wave_vectors(), axis=1).reshape(5, 8)
    wavelengths = 2 * math.pi / norms
    # 4, 4 sqrt 2, 8, 8 sqrt 2, 16 pixels; a few roundings
    np.testing.assert_allclose(wavelengths, np.repeat(4 * 2 ** (np.arange(5)[:, None] / 2), 8, axis=1), rtol=1e-14)


def test_real_form():
    # the usual form exp(-(x'^2 + y'^2) / (2 s^2)) cos(2 pi x' / wavelength), for one filter at one pixel
    bank, angle, wavelength = GaborBank(size=9), 3 * math.pi / 8, 4 * math.sqrt(2)
    x, y = 2, -3
    along, spread = x * math.cos(angle) + y * math.sin(angle), 4 * math.sqrt(2)
    value = math.exp(-(x**2 + y**2) / (2 * spread**2)) * math.cos(2 * math.pi * along / wavelength) / spread**2
    constant = math.exp(-(x**2 + y**2) / (2 * spread**2)) * math.exp(-2 * math.pi**2) / spread**2
    assert bank.filters()[8 + 3, 4 + y, 4 + x].real == pytest.approx(value - constant, abs=1e-15)


def test_quarter_turn_permutes_the_orientations():
    filters = GaborBank(size=21, num_scales=2).filters()
    for mu in range(4):
        # cos and sin of an angle and of its complement differ by a rounding, times phases below 30
        np.testing.assert_allclose(np.rot90(filters[mu], -1), filters[mu + 4], rtol=0, atol=30 * 2.0**-50)


def test_two_scales_down_is_half_the_size():
    fine, coarse = GaborBank(size=9).filters(), GaborBank(size=17).filters()
    # psi_{nu + 2}(2 z) = psi_nu(z) / 4; same operations up to a few roundings of numbers below 1 / 16
    np.testing.assert_allclose(coarse[16:24, ::2, ::2], fine[:8] / 4, rtol=0, atol=1e-16 * 16)


def test_filters_do_not_see_a_constant():
    sums = np.abs(GaborBank(size=65, num_scales=3).filters().sum(axis=(1, 2)))
    # the plane integral is zero; cut at four standard deviations (8 pixels each at nu = 2) a tail of
    # 2 pi exp(-4^2 / 2) is left, and aliasing is below exp(-2 pi^2)
    assert sums.max() < 2 * math.pi * math.exp(-8)
    alone = np.abs((GaborBank(size=65, num_scales=1).filters()).sum(axis=(1, 2)))
    assert alone.max() < 1e-7  # exp(-2 pi^2) = 2.7e-9 for each of the 2 pi in area and the nearest aliases


def test_every_filter_prefers_its_own_grating():
    bank = GaborBank(size=65, num_scales=4)
    filters, waves = bank.filters(), bank.wave_vectors()
    offsets = np.arange(65) - 32
    y, x = np.meshgrid(offsets, offsets, indexing="ij")
    gratings = np.exp(1j * (waves[:, :1, None] * x + waves[:, 1:, None] * y))
    responses = np.abs(np.einsum("fyx,gyx->gf", filters.conj(), gratings))
    np.testing.assert_array_equal(responses.argmax(axis=1), np.arange(len(waves)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GaborBank(size=8), "size must be odd"),
        (lambda: GaborBank(num_scales=0), "num_scales must be"),
        (lambda: GaborBank(max_frequency=4.0), "max_frequency must be"),
        (lambda: GaborBank(sigma=0.0), "sigma must be"),
        (lambda: GaborBank().real_filters(3), "num_phases must be"),
    ],
)
def test_bad_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()
