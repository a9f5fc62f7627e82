"""What every image data set becomes: bytes, labels, and where they come from."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int32, UInt8

from widththeory.typing import check_positive_int

Pixels = UInt8[np.ndarray, "num_images height width channels"]
Labels = Int32[np.ndarray, "num_images"]


@dataclass(frozen=True)
class Outline:
    """How many images there are and of which shape: what can be told of published sets before they are there."""

    num_train: int
    num_test: int
    image_size: int
    in_channels: int
    num_classes: int
    source: str

    def check_batch(self, batch_size: int) -> None:
        """Say so if a batch cannot be drawn without repetition.

        Raises: ValueError: there are fewer training images than batch_size.
        """
        check_positive_int("batch_size", batch_size)
        if batch_size > self.num_train:
            raise ValueError(
                f"batch_size must be at most the {self.num_train} training images of {self.source}, got {batch_size}"
            )


@dataclass(frozen=True, eq=False)
class Images:
    """Square images with their classes, for training and for testing.

    Args:
        train, test: pixels as bytes; height = width, and 1 (grey) or 3 (red, green, blue) channels.
        train_labels, test_labels: the class of each image, an index into class_names.
        class_names: at least two.
        source: where the images come from, with the version that was read.
        licence: under which they may be used, in the words of whoever publishes them.

    Raises:
        ValueError: arrays that do not fit together, no images, or a single class.
    """

    train: UInt8[np.ndarray, "_num_train _height _width _channels"]
    train_labels: Int32[np.ndarray, "_num_train"]
    test: UInt8[np.ndarray, "_num_test _height _width _channels"]
    test_labels: Int32[np.ndarray, "_num_test"]
    class_names: tuple[str, ...]
    source: str
    licence: str

    def __post_init__(self) -> None:
        if len(self.class_names) < 2:
            raise ValueError(f"there must be at least two classes to tell apart, got {list(self.class_names)}")
        if self.train.shape[1:] != self.test.shape[1:]:
            raise ValueError(f"train has images {self.train.shape[1:]}, test has {self.test.shape[1:]}")
        if self.train.shape[1] != self.train.shape[2] or self.train.shape[3] not in (1, 3):
            raise ValueError(f"images must be square with 1 or 3 channels, got {self.train.shape[1:]}")
        for part, images, labels in (
            ("train", self.train, self.train_labels),
            ("test", self.test, self.test_labels),
        ):
            if len(images) == 0:
                raise ValueError(f"{part} must hold at least one image, got none")
            if len(images) != len(labels):
                raise ValueError(f"{part} has {len(images)} images but {len(labels)} labels")
            if labels.min() < 0 or labels.max() >= self.num_classes:
                raise ValueError(
                    f"{part}_labels must be in 0 ... {self.num_classes - 1}, got {labels.min()} ... {labels.max()}"
                )
        if len(np.unique(self.train_labels)) < 2:
            raise ValueError(
                f"train must hold images of at least two classes, all are {self.class_names[self.train_labels[0]]!r}"
            )

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def image_size(self) -> int:
        """Pixels along a side."""
        return self.train.shape[1]

    @property
    def in_channels(self) -> int:
        """1 for grey, 3 for colour."""
        return self.train.shape[3]

    @property
    def outline(self) -> Outline:
        """Numbers and shape."""
        sizes = (len(self.train), len(self.test), self.image_size, self.in_channels, self.num_classes)
        return Outline(*sizes, self.source)

    def check_batch(self, batch_size: int) -> None:
        """See `Outline.check_batch`."""
        self.outline.check_batch(batch_size)

    def mean_and_std(self) -> tuple[Float[np.ndarray, "channels"], Float[np.ndarray, "channels"]]:
        """Mean and standard deviation of each channel over the training images, of values in [0, 1].

        Counted in integers, so exact but for the last division, and without a floating-point copy of the images.
        """
        levels = np.arange(256)
        counts = np.stack([np.bincount(self.train[..., c].ravel(), minlength=256) for c in range(self.in_channels)])
        total = self.train[..., 0].size
        mean = counts @ levels / total
        variance = counts @ levels**2 / total - mean**2
        return mean / 255, np.sqrt(np.maximum(variance, 0)) / 255
