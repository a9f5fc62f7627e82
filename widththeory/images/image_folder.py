"""Any data set that lies in folders, one a class: the layout that torchvision calls ImageFolder.

Two sets this is meant for, which no registry has:

- GHIM-10k, 20 classes of 500 photographs, 400 x 300 pixels: put the images of each class in a folder of its own, and
  read them by `ImageFolder("GHIM-10k", image_size=64)`; a fifth of each class becomes the test set.
- Places365 (small, 256 x 256), of which 20 scene classes are taken: unpack it as train/<class>/*.jpg and
  val/<class>/*.jpg, and name the classes,
  `ImageFolder("places365", image_size=64, classes=("beach", "forest_path", ...))`.
"""

import contextlib
import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from widththeory.images.files import DataError, data_folder, place
from widththeory.images.record import Images, Labels, Pixels
from widththeory.typing import check_positive_int

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
MAX_FILE = 2**26  # bytes of a file
MAX_PIXELS = 2**26  # of an image, as its header tells them, before anything is decoded
MAX_TOTAL = 2**33  # bytes of all images of a part once they are decoded

_TEST_FOLDERS = ("val", "test", "validation")


@dataclass(frozen=True)
class ImageFolder:
    """Images in folders: <path>/<class>/*, or <path>/train/<class>/* with <path>/val (or test)/<class>/*.

    Each image is scaled so that its shorter side is `image_size`, cropped to its middle square, and made RGB; notes on
    how the camera was held are not followed. Without a folder of test images, a share of each class is drawn for
    testing. Files that are no JPEG, PNG, WebP or BMP by their suffix, and hidden ones, are passed over. Decoded images
    are kept in the data folder and used again as long as the files have the same sizes and dates.

    Args:
        path: the folder. Links that lead out of it are refused.
        image_size: pixels along a side after scaling.
        classes: folders to take, in the order of the labels; default all, sorted by name.
        num_per_class: at most so many training images of each class, the first by name; default all.
        test_share: of each class, if there is no folder of test images; at least one image.
        seed: of drawing them.

    Raises:
        ValueError: a size below 8, a class name that is a path, or a share outside (0, 1).
    """

    path: str
    image_size: int = 64
    classes: tuple[str, ...] = ()
    num_per_class: int | None = None
    test_share: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        check_positive_int("image_size", self.image_size, at_least=8)
        check_positive_int("seed", self.seed, at_least=0)
        if self.num_per_class is not None:
            check_positive_int("num_per_class", self.num_per_class)
        if not 0 < self.test_share < 1:
            raise ValueError(f"test_share must be in (0, 1), got {self.test_share!r}")
        for name in self.classes:
            if not name or name in (".", "..") or set(name) & set("/\\\0"):
                raise ValueError(f"classes must be names of folders, got {name!r}")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes must differ from each other, got {list(self.classes)}")

    def load(self) -> Images:
        """Read the images. Raises DataError if the folder has another layout, or an image cannot be read."""
        root = Path(self.path)
        if not root.is_dir():
            raise DataError(f"there is no folder {root}: it should hold one folder of images for each class")
        test_root = next((root / name for name in _TEST_FOLDERS if (root / name).is_dir()), None)
        train_root = root / "train" if (root / "train").is_dir() else root
        if train_root == root and test_root is not None and any(path.is_dir() for path in test_root.iterdir()):
            raise DataError(f"{root} has a folder {test_root.name} of classes, but no folder train beside it")
        names, train = _listed(train_root, self.classes, root)
        if train_root == root or test_root is None:
            train, test = self._split(names, train)
        else:
            test_names, test = _listed(test_root, self.classes, root)
            if test_names != names:
                only = min(set(test_names) ^ set(names))
                raise DataError(f"{train_root} and {test_root} hold other classes: {only!r} is in one of them only")
        if self.num_per_class is not None:
            train = [files[: self.num_per_class] for files in train]
        train_images, train_labels = self._decoded(train)
        test_images, test_labels = self._decoded(test)
        return Images(
            train=train_images,
            train_labels=train_labels,
            test=test_images,
            test_labels=test_labels,
            class_names=tuple(names),
            source=f"images in {root.name}",
            licence="as their owner says",
        )

    def _split(self, names: list[str], files: list[list[Path]]) -> tuple[list[list[Path]], list[list[Path]]]:
        train, test = [], []
        for index, (name, own) in enumerate(zip(names, files, strict=True)):
            if len(own) < 2:
                raise DataError(f"class {name!r} has a single image, which cannot be both for training and for testing")
            number = min(max(1, round(self.test_share * len(own))), len(own) - 1)
            drawn = set(np.random.default_rng([self.seed, index]).permutation(len(own))[:number].tolist())
            train.append([path for position, path in enumerate(own) if position not in drawn])
            test.append([path for position, path in enumerate(own) if position in drawn])
        return train, test

    def _decoded(self, files: list[list[Path]]) -> tuple[Pixels, Labels]:
        flat = [path for own in files for path in own]
        labels = np.repeat(np.arange(len(files), dtype=np.int32), [len(own) for own in files])
        shape = (len(flat), self.image_size, self.image_size, 3)
        if np.prod(shape, dtype=float) > MAX_TOTAL:
            raise DataError(
                f"{len(flat)} images of {self.image_size} x {self.image_size} pixels need more than "
                f"{MAX_TOTAL >> 30} GiB: take a smaller image_size or num_per_class"
            )
        kept = data_folder() / "image_folder" / f"{_fingerprint(flat, self.image_size)}.rgb"
        if kept.is_file() and kept.stat().st_size == np.prod(shape):
            return np.fromfile(kept, np.uint8).reshape(shape), labels
        images = np.empty(shape, np.uint8)
        pool = ThreadPoolExecutor()
        try:
            for index, image in enumerate(pool.map(lambda path: _decode(path, self.image_size), flat)):
                images[index] = image
        finally:
            pool.shutdown(cancel_futures=True)  # a broken image is said at once
        with contextlib.suppress(DataError):  # a full disk only means that they are decoded again
            place(kept, images.tobytes())
        return images, labels


def _listed(folder: Path, classes: Sequence[str], root: Path) -> tuple[list[str], list[list[Path]]]:
    """Names of the classes in a folder, and the image files of each, sorted."""
    there = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not there:
        raise DataError(f"{folder} has no folders in it: it should hold one folder of images for each class")
    names = list(classes) or there
    if absent := [name for name in names if name not in there]:
        raise DataError(f"{folder} has no folder for class {absent[0]!r}")
    if len(names) < 2:
        raise DataError(f"{folder} holds the one class {names[0]!r}: there must be at least two to tell apart")
    inside = root.resolve()
    files = []
    for name in names:
        own = sorted(
            path
            for path in (folder / name).iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
        if not own:
            raise DataError(f"{folder / name} holds no image ({', '.join(sorted(SUFFIXES))})")
        for path in own:
            if not path.resolve().is_relative_to(inside):
                raise DataError(f"{path} is a link out of {root}, which is not followed")
            if not path.is_file():
                raise DataError(f"{path} is not a file")
        files.append(own)
    return names, files


def _fingerprint(files: list[Path], image_size: int) -> str:
    """Of what the decoded images depend on: which files, as they are now, and how they are scaled."""
    stats = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json.dumps([1, image_size, stats]).encode()).hexdigest()[:32]


def _decode(path: Path, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """The middle square of an image, scaled."""
    from PIL import Image

    try:
        if path.stat().st_size > MAX_FILE:
            raise DataError(f"{path} is larger than {MAX_FILE >> 20} MiB")
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise DataError(f"{path} has {width} x {height} pixels, more than {MAX_PIXELS >> 20} million")
            image.draft("RGB", (size, size))  # a JPEG is decoded at a half, a quarter or an eighth where that suffices
            scale = size / min(image.size)
            left, top = ((side - min(image.size)) / 2 for side in image.size)
            box = (left, top, left + size / scale, top + size / scale)
            square = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR, box=box)
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{path} would be too large when decoded: {error}") from error
    except Exception as error:  # Pillow's decoders raise almost anything on a broken file
        raise DataError(f"{path} is truncated or no image: {error}") from error
    return np.asarray(square)
