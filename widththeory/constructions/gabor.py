"""The Gabor bank: 8 orientations at 5 scales, the filters that first layers of image networks are compared with."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float

from widththeory.constructions.arguments import COUNTED, keep_python_numbers
from widththeory.typing import check_choice, check_positive, check_positive_int


@dataclass(frozen=True)
class GaborBank:
    """Complex Gabor filters psi_{mu, nu} on a square of pixels.

    With |k_nu| = max_frequency / 2^(nu / 2), phi_mu = mu pi / num_orientations and
    k = |k_nu| (cos phi_mu, sin phi_mu), at a pixel z from the centre
    psi(z) = |k|^2 / sigma^2 exp(-|k|^2 |z|^2 / (2 sigma^2)) (exp(i <k, z>) - exp(-sigma^2 / 2)).
    The subtracted constant makes the integral over the plane zero: a filter does not see the mean grey value. The
    envelope has standard deviation sigma / |k|: 4 pixels at the finest scale, 16 at the coarsest.

    Args:
        size: pixels along a side, odd, so that there is a centre.
        num_orientations: mu runs below it.
        num_scales: nu runs below it, half an octave apart.
        max_frequency: |k_0|, radians a pixel, in (0, pi]. Raise it to fit the envelope into small filters, and say so.
        sigma: envelope width in units of 1 / |k|.

    Size: num_scales * num_orientations complex filters: 40, that is 80 real ones (phases 0 and pi / 2), or 160 with all
        four phases that a plain ReLU needs.

    Raises:
        ValueError: an even size, a count below 1, or a max_frequency or sigma out of range.

    Source:
        [lades1993] for the family; [liuwechsler2002] for pi / 2, sigma = 2 pi, eight orientations and five scales, as
        recalled.
    """

    size: int = 33
    num_orientations: int = 8
    num_scales: int = 5
    max_frequency: float = math.pi / 2
    sigma: float = 2 * math.pi

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("size", self.size)
        check_positive_int("num_orientations", self.num_orientations)
        check_positive_int("num_scales", self.num_scales)
        if self.size**2 * self.num_orientations * self.num_scales > 2**COUNTED:
            raise ValueError(
                f"size, num_orientations and num_scales must give at most 2^{COUNTED} pixels in all filters, "
                f"got {self.size}, {self.num_orientations} and {self.num_scales}"
            )
        if self.size % 2 == 0:
            raise ValueError(f"size must be odd, got {self.size}")
        if not 0 < self.max_frequency <= math.pi:
            raise ValueError(f"max_frequency must be in (0, pi], got {self.max_frequency!r}")
        check_positive("sigma", self.sigma)

    def wave_vectors(self) -> Float[np.ndarray, "num_filters 2"]:
        """(k_x, k_y) of each filter, scale by scale from the finest, orientations inside."""
        norms = self.max_frequency / 2 ** (np.arange(self.num_scales) / 2)
        angles = np.arange(self.num_orientations) * math.pi / self.num_orientations
        directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return (norms[:, None, None] * directions).reshape(-1, 2)

    def filters(self) -> Complex[np.ndarray, "num_filters size size"]:
        """The filters, indexed [filter, row, column]: y grows with the row, x with the column."""
        offsets = np.arange(self.size) - self.size // 2
        y, x = np.meshgrid(offsets, offsets, indexing="ij")
        waves = self.wave_vectors()[:, :, None, None]
        decay = (waves**2).sum(axis=1) / self.sigma**2
        envelope = decay * np.exp(-decay * (x**2 + y**2) / 2)
        carrier = np.exp(1j * (waves[:, 0] * x + waves[:, 1] * y))
        return envelope * (carrier - math.exp(-(self.sigma**2) / 2))

    def real_filters(self, num_phases: int = 2) -> Float[np.ndarray, "num_real size size"]:
        """Real filters Re(exp(-i theta) psi): phases theta = 0, pi / 2 (two) or 0, pi / 2, pi, 3 pi / 2 (four).

        Args:
            num_phases: 2 for linear or CReLU use, 4 for plain ReLUs, which see one sign only.

        Raises:
            ValueError: num_phases is neither 2 nor 4.
        """
        check_choice("num_phases", num_phases, (2, 4))
        filters = self.filters()
        phases = [filters.real, filters.imag, -filters.real, -filters.imag]
        return np.concatenate(phases[:num_phases])
