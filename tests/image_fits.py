"""Settings of fits to images that are quick to compile, for tests of the engine and of its snapshots."""

from dataclasses import dataclass

import numpy as np

from widththeory.augmentation import PADDING
from widththeory.classify import Classification
from widththeory.images.record import Images

IMAGES = (("image_size", 16), ("num_test", 40), ("num_train", 70))
# Three convolutions - one of them depthwise - and a dense layer: compiling is what these tests cost.
NETWORK = (("stem_width", 4), ("strides", (1,)), ("widths", (6,)))
TIMES = {"seconds": 0, "step_seconds": 0}  # what differs from one run to the next


def fit(seed=0, learning_rate=0.05, **changes):
    """Settings of one fit, in float64 unless changed."""
    settings = {"num_steps": 6, "batch_size": 16, "num_checks": 3, "weight_decay": 1e-2, "label_smoothing": 0.1}
    settings |= {"augment": "crop", "compute_dtype": "float64", "warmup_steps": 2} | changes
    return Classification("textures.Textures", IMAGES, "mobilenet.MobileNet", NETWORK, seed, learning_rate, **settings)


def moved_by_hand(pixels, down, right):
    """Padded by the mean colour, which is zero, and cropped."""
    around = ((PADDING, PADDING), (PADDING, PADDING), (0, 0))
    return np.pad(pixels, around)[down : down + len(pixels), right : right + len(pixels)]


@dataclass(frozen=True)
class Speckles:
    """A data set of one's own: noise in two classes, of 8 x 8 pixels, whose green is 200 everywhere."""

    num_train: int = 20

    def load(self):
        rng = np.random.default_rng(5)
        train, test = (rng.integers(0, 256, (number, 8, 8, 3), dtype=np.uint8) for number in (self.num_train, 6))
        train[..., 1] = test[..., 1] = 200
        labels = (np.arange(len(part), dtype=np.int32) % 2 for part in (train, test))
        return Images(train, next(labels), test, next(labels), ("cat", "dog"), "speckles", "none")


@dataclass(frozen=True)
class Words:
    """What is no data set, though it loads."""

    def load(self):
        return "words"
