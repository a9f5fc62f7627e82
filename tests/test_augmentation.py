"""Which images a step takes and how each is moved, against slices of padded images."""

import jax.numpy as jnp
import numpy as np
from image_fits import fit, moved_by_hand

from widththeory import augmentation, classify
from widththeory.augmentation import PADDING, draw_steps, take, take_moved


def pixels(num=6, size=10, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (num, size, size, 3), dtype=np.uint8)


def test_an_epoch_uses_each_image_once_and_seeds_and_epochs_differ():
    rows, moves = draw_steps(7, 0, 8, 70, 16)
    epochs = rows.reshape(2, 4, 16)
    assert all(len(np.unique(epoch)) == 64 for epoch in epochs)
    assert not np.array_equal(*epochs)
    assert not np.array_equal(rows, draw_steps(8, 0, 8, 70, 16)[0])
    later, later_moves = draw_steps(7, 3, 8, 70, 16)
    assert np.array_equal(later, rows[3:])
    assert np.array_equal(later_moves, moves[3:])
    assert moves[..., :2].max() == 2 * PADDING
    assert set(np.unique(moves[..., 2])) == {0, 1}
    # Each of 128 moves by 0 to 8 pixels either way, and a mirror: 5 standard errors, of a mean or of a count of 1/9.
    assert np.all(np.abs(moves[..., :2].mean(axis=(0, 1)) - PADDING) < 5 * np.sqrt(80 / 12 / 128))
    assert abs(moves[..., 2].mean() - 0.5) < 5 * np.sqrt(1 / 4 / 128)
    assert all(np.bincount(moves[..., axis].ravel(), minlength=9).min() > 0 for axis in (0, 1))
    assert len(np.unique(moves.reshape(8, -1), axis=0)) == 8  # of each step its own


def test_order_moves_and_weights_are_drawn_from_streams_of_their_own(monkeypatch):
    """SeedSequence fills up with zeros, so that streams are told apart without zeros at their ends."""
    drawn, default, one = [], np.random.default_rng, fit()
    assert one.data is one.data  # the images are there before

    def recorded(seed):
        drawn.append(tuple(int(number) for number in np.trim_zeros(np.array(seed), "b")))
        return default(seed)

    monkeypatch.setattr(np.random, "default_rng", recorded)
    for seed in (0, 3):
        for epoch in (0, 1):
            augmentation.epoch_order.__wrapped__(seed, epoch, 70)
            augmentation.epoch_moves.__wrapped__(seed, epoch, 70)
        classify.image_programs.choose_program(one, 1).network.init(seed)
    classify._ready.__wrapped__(one.images, one.images_args, "float64")
    assert len(drawn) == len(set(drawn)) == 11
    assert all(len(seed) > 1 for seed in drawn)  # none is that of a seed alone


def test_a_mirrored_image_has_its_pixels_and_a_crop_is_a_slice_of_the_padded_image():
    images, rows = jnp.asarray(pixels()), jnp.array([3, 0, 3, 5])
    mean, std = jnp.full(3, 0.5), jnp.full(3, 0.25)
    still = np.full((4, 2), PADDING, np.uint8)
    plain = take(images, rows, mean, std)
    np.testing.assert_allclose(plain, (np.asarray(images)[rows] / 255 - 0.5) / 0.25, rtol=0, atol=1e-14)  # float64
    mirrored = take_moved(images, rows, still, np.array([1, 0, 0, 1]), mean, std)
    assert np.array_equal(mirrored[1:3], plain[1:3])
    for index in (0, 3):
        assert np.array_equal(mirrored[index], plain[index, :, ::-1])
        assert np.array_equal(np.sort(mirrored[index], axis=None), np.sort(plain[index], axis=None))
    moves = np.array([(0, 8), (4, 1), (8, 8), (3, 5)], np.uint8)
    for mirror in (0, 1):
        moved = take_moved(images, rows, moves, np.full(4, mirror), mean, std)
        for index, (down, right) in enumerate(moves):
            expected = moved_by_hand(np.asarray(plain[index]), down, right)
            # Mirrored is the image, not the crop: a crop of the mirror image, moved to the other side.
            if mirror:
                expected = moved_by_hand(np.asarray(plain[index]), down, right)[:, ::-1]
            assert np.array_equal(moved[index], expected)
