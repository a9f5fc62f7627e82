"""Textures made of the 40 Gabor atoms: an easy and a hard task of equal size, which need no download."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float

from widththeory.constructions.gabor import GaborBank
from widththeory.images.record import Images, Labels, Outline, Pixels
from widththeory.typing import check_positive_int

NUM_ATOMS = {"easy": 1, "hard": 5}
_GREY = 128.0
_BLOCK = 256  # images drawn at once: the working memory stays small at any num_train


@dataclass(frozen=True)
class Textures:
    """Colour images whose class is one of eight orientations, drawn by a known law.

    An atom with wave vector k, |k| = (pi / 2) / 2^(nu / 2) and angle mu pi / 8, at a centre z_0, with amplitude a,
    phase theta and colour c (length sqrt 3: grey is (1, 1, 1)) adds
    a Re exp(-|k|^2 |z - z_0|^2 / (2 (2 pi)^2) + i <k, z - z_0> - i theta) c to the pixels z; the constant that makes a
    Gabor filter blind to the mean, 3e-9, is left out. A pixel is 128 plus the sum, rounded and clipped to a byte. Image
    i has class mu = i mod 8. Centres are uniform in the middle half of the image, along each axis.

    - easy: one atom of orientation mu, its scale nu drawn from the five, a uniform in [60, 120], phase 0, grey. The
      strongest response of the 40 filters tells the class.
    - hard: two atoms of orientation mu at two different scales among three atoms of three other orientations at any
      scale; each a uniform in [40, 80], its phase and its colour drawn at random; and Gaussian noise of standard
      deviation 20 in each channel of each pixel. The strongest response belongs to another class more often than not:
      orientations have to be compared over all scales, phases and colours.

    Args:
        difficulty: "easy" or "hard"; all else being equal, both have the same number and size of images and of classes.
        image_size: pixels along a side, at least 16. Atoms keep their size in pixels (wavelength 4 to 16).
        num_train, num_test: how many images. A larger number only adds images: the first ones stay as they are.
        seed: of the drawing. Training and test images come from separate streams.

    Raises:
        ValueError: another difficulty, a size below 16, or counts below 8, which would leave a class without image.
    """

    difficulty: str = "easy"
    image_size: int = 32
    num_train: int = 4000
    num_test: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.difficulty not in NUM_ATOMS:
            raise ValueError(f"difficulty must be easy or hard, got {self.difficulty!r}")
        for name, least in (("image_size", 16), ("num_train", 8), ("num_test", 8), ("seed", 0)):
            check_positive_int(name, getattr(self, name), at_least=least)

    @property
    def outline(self) -> Outline:
        """Numbers and shape, before any is drawn."""
        return Outline(self.num_train, self.num_test, self.image_size, 3, GaborBank().num_orientations, self._source)

    @property
    def _source(self) -> str:
        return f"textures of Gabor atoms, {self.difficulty}, seed {self.seed}"

    def load(self) -> Images:
        """Draw the images."""
        train, train_labels = self._draw(0, self.num_train)
        test, test_labels = self._draw(1, self.num_test)
        degrees = 180 / GaborBank().num_orientations
        return Images(
            train=train,
            train_labels=train_labels,
            test=test,
            test_labels=test_labels,
            class_names=tuple(f"{mu * degrees:g} degrees" for mu in range(GaborBank().num_orientations)),
            source=self._source,
            licence="made by this program",
        )

    def _draw(self, stream: int, num_images: int) -> tuple[Pixels, Labels]:
        geometry, noise = (np.random.default_rng([self.seed, stream, part]) for part in (0, 1))
        labels = (np.arange(num_images) % GaborBank().num_orientations).astype(np.int32)
        images = np.empty((num_images, self.image_size, self.image_size, 3), np.uint8)
        for start in range(0, num_images, _BLOCK):
            block = slice(start, start + _BLOCK)
            pixels = self._atoms(labels[block], geometry)
            if self.difficulty == "hard":
                pixels += 20 * noise.standard_normal(pixels.shape, dtype=np.float32)
            images[block] = np.clip(np.rint(pixels + _GREY), 0, 255)
        return images, labels

    def _atoms(self, labels: Labels, rng: np.random.Generator) -> Float[np.ndarray, "num_images height width 3"]:
        """Sums of atoms; every image takes the same number of random numbers, so that one more changes none before."""
        bank = GaborBank()
        num_atoms = NUM_ATOMS[self.difficulty]
        uniform = rng.random((len(labels), num_atoms, 9))
        orientations, scales = _orientations_and_scales(labels, uniform, bank)
        waves = bank.wave_vectors()[scales * bank.num_orientations + orientations]
        centres = self.image_size * (0.25 + 0.5 * uniform[..., 2:4])
        if self.difficulty == "easy":
            amplitudes = 60 + 60 * uniform[..., 4]
            phases = np.zeros(amplitudes.shape)
            colours = np.ones((*amplitudes.shape, 3))
        else:
            amplitudes = 40 + 40 * uniform[..., 4]
            phases = 2 * math.pi * uniform[..., 5]
            colours = math.sqrt(3) * _on_sphere(uniform[..., 6], uniform[..., 7])
        # An atom is a product of a function of x and one of y, so an image costs one small matrix product.
        along_x = _along(waves[..., 0], waves, centres[..., 0], self.image_size, bank.sigma)
        along_y = _along(waves[..., 1], waves, centres[..., 1], self.image_size, bank.sigma)
        weights = (amplitudes * np.exp(-1j * phases))[..., None] * colours
        rows = np.einsum("nay,nac->nyca", along_y, weights.astype(np.complex64))
        size = self.image_size
        sums = (rows.reshape(len(labels), size * 3, num_atoms) @ along_x).real
        return np.moveaxis(sums.reshape(len(labels), size, 3, size), 2, 3).copy()


def _orientations_and_scales(labels: Labels, uniform: np.ndarray, bank: GaborBank) -> tuple[np.ndarray, np.ndarray]:
    """Indices mu and nu of the atoms: the class first, twice at two different scales if there are several atoms."""
    num_images, num_atoms, _ = uniform.shape
    scales = np.floor(bank.num_scales * uniform[..., 0]).astype(int)
    orientations = np.repeat(labels.astype(int)[:, None], num_atoms, axis=1)
    if num_atoms > 1:
        other = np.floor((bank.num_scales - 1) * uniform[:, 1, 0]).astype(int)
        scales[:, 1] = other + (other >= scales[:, 0])
        # Ranks of random numbers: a random order of the seven other orientations, of which the first ones are taken.
        shifts = 1 + np.argsort(uniform[:, :, [1, 8]].reshape(num_images, -1)[:, : bank.num_orientations - 1], axis=1)
        orientations[:, 2:] += shifts[:, : num_atoms - 2]
    return orientations % bank.num_orientations, scales


def _on_sphere(height: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Points uniform on the unit sphere of R^3, from two uniform numbers each (Archimedes' hat box)."""
    z = 2 * height - 1
    radius, angle = np.sqrt(1 - z**2), 2 * math.pi * turn
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=-1)


def _along(
    wave: np.ndarray, waves: np.ndarray, centre: np.ndarray, size: int, sigma: float
) -> Complex[np.ndarray, "num_images num_atoms size"]:
    """The factor of the atoms that depends on one coordinate."""
    offsets = np.arange(size) - centre[..., None]
    decay = ((waves**2).sum(axis=-1) / (2 * sigma**2))[..., None]
    return np.exp(-decay * offsets**2 + 1j * wave[..., None] * offsets).astype(np.complex64)
