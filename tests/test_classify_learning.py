"""Image fits learn: easy textures from a few hundred images, hard ones less; bfloat16 as float32; on two devices."""

import numpy as np

from widththeory.classify import Classification, load_filters, measure

WIDTHS = (8, 16, 16, 32, 32)


def fit(difficulty, **changes):
    images = (("difficulty", difficulty), ("image_size", 16), ("num_test", 400), ("num_train", 800))
    settings = {"num_steps": 100, "batch_size": 32} | changes
    return Classification("textures.Textures", images, "allconv6.AllConv6", (("widths", WIDTHS),), 0, 0.1, **settings)


def test_easy_textures_are_learnt_and_hard_ones_less():
    easy, hard = (measure([fit(difficulty, keep_weights=True)], 1)[0] for difficulty in ("easy", "hard"))
    assert easy.metrics["test_accuracy"] > 0.8
    # Chance is 1/8; 5 standard errors apart.
    assert hard.metrics["test_accuracy"] < easy.metrics["test_accuracy"] - 5 * hard.metrics["test_accuracy_stderr"]
    assert easy.metrics["train_loss"] < 0.5 < 1 < hard.metrics["test_loss"]
    assert easy.metrics["train_accuracy"] >= easy.metrics["test_accuracy"]
    filters = load_filters(easy.weights)
    assert filters.shape == (3, 3, 3, 8)
    assert np.all(np.isfinite(filters))
