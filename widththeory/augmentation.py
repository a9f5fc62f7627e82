"""Which images a step takes and how each is moved, drawn by NumPy; and taking them from the bytes on the device.

What is drawn depends on seed and epoch alone, so it is the same on every device, for every chunk, and after a restart.
"""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

PADDING = 4  # pixels at each border, of which a crop of the old size keeps some

_ORDER, _MOVES = (1, 2)  # streams of random numbers of a seed


@lru_cache(maxsize=64)
def epoch_order(seed: int, epoch: int, num_images: int) -> Int[np.ndarray, "num_images"]:
    """All images in random order."""
    return np.random.default_rng([seed, _ORDER, epoch]).permutation(num_images).astype(np.int32)


@lru_cache(maxsize=64)
def epoch_moves(seed: int, epoch: int, num_images: int) -> UInt8[np.ndarray, "num_images 3"]:
    """Of each image in turn: rows and columns that its crop is moved by, 0 to 2 PADDING, and whether it is mirrored."""
    rng = np.random.default_rng([seed, _MOVES, epoch])
    return rng.integers(0, [2 * PADDING + 1, 2 * PADDING + 1, 2], (num_images, 3), dtype=np.uint8)


def draw_steps(
    seed: int, first: int, last: int, num_images: int, batch_size: int
) -> tuple[Int[np.ndarray, "steps batch"], UInt8[np.ndarray, "steps batch 3"]]:
    """Images of the steps first ... last - 1, and their moves; an epoch has its own order and drops the last few."""
    per_epoch = num_images // batch_size
    rows = np.empty((last - first, batch_size), np.int32)
    moves = np.empty((last - first, batch_size, 3), np.uint8)
    for index, step in enumerate(range(first, last)):
        epoch, place = divmod(step, per_epoch)
        part = slice(place * batch_size, (place + 1) * batch_size)
        rows[index] = epoch_order(seed, epoch, num_images)[part]
        moves[index] = epoch_moves(seed, epoch, num_images)[part]
    return rows, moves


def normalise(
    pixels: UInt8[jax.Array, "*batch channels"],
    mean: Float[jax.Array, "channels"],
    std: Float[jax.Array, "channels"],
) -> Float[jax.Array, "*batch channels"]:
    """Bytes as numbers of mean 0 and deviation 1 in each channel; `mean` and `std` are of values in [0, 1]."""
    scale, shift = 1 / (255 * std), mean / std
    axes = (None,) * (pixels.ndim - 1)
    return pixels.astype(scale.dtype) * scale[axes] - shift[axes]


def take(images: UInt8[jax.Array, "num height width channels"], rows: Any, mean: Any, std: Any) -> jax.Array:
    """Some images, normalised."""
    return normalise(images[rows], mean, std)


def take_moved(
    images: UInt8[jax.Array, "num height width channels"], rows: Any, moves: Any, mirror: Any, mean: Any, std: Any
) -> jax.Array:
    """Some images, normalised, padded by the mean colour, cropped as `moves` and mirrored as `mirror` (0 or 1) say."""
    size = images.shape[1]
    steps = jnp.arange(size, dtype=jnp.int32)
    down, right = (moves[:, axis].astype(jnp.int32)[:, None] for axis in (0, 1))
    ys = steps[None] + down - PADDING
    xs = jnp.where(mirror[:, None] == 1, steps[None, ::-1], steps[None]) + right - PADDING
    inside: Bool[jax.Array, "batch height width"] = _within(ys, size)[:, :, None] & _within(xs, size)[:, None, :]
    ys, xs = (jnp.clip(each, 0, size - 1) for each in (ys, xs))
    taken = images[rows[:, None, None], ys[:, :, None], xs[:, None, :]]
    return jnp.where(inside[..., None], normalise(taken, mean, std), 0)


def _within(places: jax.Array, size: int) -> jax.Array:
    return (places >= 0) & (places < size)
