"""Fashion-MNIST: 70,000 grey images of 28 x 28 pixels in ten classes of clothing; an easy task."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from widththeory.images.archives import from_ar, from_tar, gunzip
from widththeory.images.files import DataError
from widththeory.images.packages import Package
from widththeory.images.published import Published, Unpack
from widththeory.images.record import Images, Labels, Outline, Pixels
from widththeory.images.selection import balanced, check_number

CLASS_NAMES = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
SIDE = 28


@dataclass(frozen=True)
class FashionMNIST:
    """Fashion-MNIST.

    Args:
        image_size: 28 as published, or 32, with a black margin of 2 pixels, for networks that halve it five times.
        num_train, num_test: how many images, the same number of each class; None for all 60,000 and 10,000.

    Raises:
        ValueError: another image size, or more images than there are.

    Source:
        [xiao2017].
    """

    image_size: int = SIDE
    num_train: int | None = None
    num_test: int | None = None

    def __post_init__(self) -> None:
        if self.image_size not in (28, 32):
            raise ValueError(f"image_size must be 28 or 32, got {self.image_size!r}")

    @property
    def outline(self) -> Outline:
        """Numbers and shape, whether the images are there or not.

        Raises: ValueError: more images than there are.
        """
        num_train = check_number(self.num_train, 60_000, "num_train")
        num_test = check_number(self.num_test, 10_000, "num_test")
        return Outline(num_train, num_test, self.image_size, 1, len(CLASS_NAMES), "Fashion-MNIST")

    def check_there(self) -> None:
        """Raises DataError if the images are not there, or damaged; they are read once for it."""
        OFFICIAL.check_there()

    def load(self) -> Images:
        """Read the images. Raises DataError if they are not there, or damaged."""
        files = OFFICIAL.contents()
        train, train_labels = self._part(files, "train", self.num_train, "num_train")
        test, test_labels = self._part(files, "t10k", self.num_test, "num_test")
        return Images(
            train=train,
            train_labels=train_labels,
            test=test,
            test_labels=test_labels,
            class_names=CLASS_NAMES,
            source="Fashion-MNIST",
            licence="MIT, Zalando SE",
        )

    def _part(self, files: Mapping[str, bytes], part: str, number: int | None, name: str) -> tuple[Pixels, Labels]:
        pixels = _read_idx(files[f"fashion-mnist/{part}-images-idx3-ubyte"], 3, f"{part}-images-idx3-ubyte")
        labels = _read_idx(files[f"fashion-mnist/{part}-labels-idx1-ubyte"], 1, f"{part}-labels-idx1-ubyte")
        chosen = balanced(labels.astype(np.int32), number, name)
        margin = (self.image_size - SIDE) // 2
        around = ((0, 0), (margin, margin), (margin, margin))
        return np.pad(pixels[chosen], around)[..., None], labels[chosen].astype(np.int32)


def _read_idx(content: bytes, num_axes: int, what: str) -> np.ndarray:
    """An array of bytes in the IDX format: two zero bytes, type 8, number of axes, their lengths, then the entries."""
    shape = tuple(np.frombuffer(content[4 : 4 + 4 * num_axes], ">u4").astype(int))
    if content[:4] != bytes([0, 0, 8, num_axes]) or len(shape) < num_axes:
        raise DataError(f"{what} is no IDX file of bytes with {num_axes} axes")
    entries = np.frombuffer(content, np.uint8, offset=4 + 4 * num_axes)
    if len(entries) != np.prod(shape):
        raise DataError(f"{what} is damaged: it holds {len(entries)} bytes instead of {np.prod(shape)}")
    return entries.reshape(shape)


_FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def _unpack_package(package: bytes) -> Mapping[str, bytes]:
    what = _PACKAGE.filename
    names = {f"usr/share/datasets/fashion-mnist/{name}.gz": f"fashion-mnist/{name}" for name in _FILES}
    members = from_tar(from_ar(package, "data.tar", what), names, what)
    return {names[inside]: gunzip(content, inside) for inside, content in members.items()}


def _from_gzip(name: str) -> Unpack:
    return lambda content: {f"fashion-mnist/{name}": gunzip(content, f"{name}.gz")}


_PACKAGE = Package(
    kind="deb",
    name="dataset-fashion-mnist",
    version="0.0~git20200523.55506a9-1",
    filename="dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
    sha256="39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    megabytes=31,
)

OFFICIAL = Published(
    name="fashion_mnist",
    title="Fashion-MNIST",
    files={f"fashion-mnist/{name}": sha256 for name, sha256 in _FILES.items()},
    package=_PACKAGE,
    unpack=_unpack_package,
    # As published, and where torchvision keeps them.
    official={f"{place}{name}.gz": _from_gzip(name) for place in ("", "FashionMNIST/raw/") for name in _FILES},
    advice="put the four files *-ubyte.gz of https://github.com/zalandoresearch/fashion-mnist in that folder",
)
