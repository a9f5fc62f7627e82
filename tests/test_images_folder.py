"""Folders of images: the two layouts, the same split every time, and one sentence for whatever is wrong with a file."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from widththeory.images import image_folder
from widththeory.images.files import DataError
from widththeory.images.image_folder import ImageFolder

COLOURS = {"ant": (200, 30, 30), "bee": (30, 200, 30), "cow": (30, 30, 200)}


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WIDTHTHEORY_DATA", str(tmp_path / "data"))


def grow(root, classes=tuple(COLOURS), number=5, size=(40, 30), suffix=".png"):
    """A tree of one-coloured images; the blue channel counts them."""
    for name in classes:
        (root / name).mkdir(parents=True)
        for index in range(number):
            red, green, blue = COLOURS[name]
            Image.new("RGB", size, (red, green, blue + index)).save(root / name / f"{index:02}{suffix}", quality=95)
    return root


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".webp", ".bmp"])
def test_a_tree_becomes_images(tmp_path, suffix):
    images = ImageFolder(str(grow(tmp_path / "tree", suffix=suffix)), image_size=16).load()
    assert images.class_names == ("ant", "bee", "cow")
    assert images.train.shape == (12, 16, 16, 3)
    assert images.test.shape == (3, 16, 16, 3)
    assert images.source == "images in tree"
    for part, labels in ((images.train, images.train_labels), (images.test, images.test_labels)):
        expected = np.array(list(COLOURS.values()))[labels]
        # the five images of a class differ by up to 4 in blue; JPEG and WebP move a flat colour by a few levels more
        assert np.abs(part.mean(axis=(1, 2)) - expected).max() < 10


def test_the_split_is_by_seed_and_disjoint(tmp_path):
    root = str(grow(tmp_path / "tree", number=10))
    loads = [ImageFolder(root, image_size=8, test_share=0.3, seed=seed).load() for seed in (0, 0, 1, 2)]
    blues = [sorted(images.test[images.test_labels == 0][:, 0, 0, 2].tolist()) for images in loads]
    assert blues[0] == blues[1]
    assert len({tuple(blue) for blue in blues}) > 1
    for images in loads:
        np.testing.assert_array_equal(np.bincount(images.test_labels), [3, 3, 3])
        parts = (images.train, images.train_labels), (images.test, images.test_labels)
        seen = [
            (label, blue) for pixels, labels in parts for label, blue in zip(labels, pixels[:, 0, 0, 2], strict=True)
        ]
        assert len(set(seen)) == 30
    own = [[blue - 30 * (label < 2) - 200 * (label == 2) for label, blue in seen[21:]][k : k + 3] for k in (0, 3, 6)]
    assert len({tuple(sorted(part)) for part in own}) > 1  # each class draws for itself
    most = ImageFolder(root, image_size=8, test_share=0.96).load()
    np.testing.assert_array_equal(np.bincount(most.train_labels), [1, 1, 1])  # one of ten is left


def test_folders_for_training_and_testing_are_taken_as_they_are(tmp_path):
    grow(tmp_path / "tree" / "train", number=4)
    grow(tmp_path / "tree" / "val", number=2)
    images = ImageFolder(str(tmp_path / "tree"), image_size=8).load()
    assert (len(images.train), len(images.test)) == (12, 6)
    chosen = ImageFolder(str(tmp_path / "tree"), image_size=8, classes=("cow", "ant"), num_per_class=3).load()
    assert chosen.class_names == ("cow", "ant")
    assert (len(chosen.train), len(chosen.test)) == (6, 4)
    assert (chosen.train[chosen.train_labels == 0][..., 2] > 150).all()  # cows are blue
    for label, first in ((0, 200), (1, 30)):  # the first three by name
        assert chosen.train[chosen.train_labels == label][:, 0, 0, 2].tolist() == [first, first + 1, first + 2]


def test_a_folder_for_training_alone_is_split(tmp_path):
    grow(tmp_path / "tree" / "train", number=5)
    images = ImageFolder(str(tmp_path / "tree"), image_size=8).load()
    assert (len(images.train), len(images.test)) == (12, 3)


def test_the_middle_square_is_scaled(tmp_path):
    """A 60 x 20 image, black but for its white middle square, becomes white, but for a rim that sees beyond."""
    grow(tmp_path / "tree", size=(60, 20))
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 255
    for name in COLOURS:
        for index in range(5):
            Image.fromarray(pixels).save(tmp_path / "tree" / name / f"{index:02}.png")
    train = ImageFolder(str(tmp_path / "tree"), image_size=10).load().train
    assert (train[:, :, 1:-1] == 255).all()
    assert (train > 200).all()


def test_a_large_jpeg_is_drafted_to_the_same_picture(tmp_path):
    """Draft decodes at a fraction of the size; the result is that of decoding it whole but for rounding."""
    y, x = np.mgrid[0:480, 0:640]
    pixels = np.stack([x * 255 // 640, y * 255 // 480, (x + y) * 255 // 1120], axis=-1).astype(np.uint8)
    for name in ("ant", "bee"):
        (tmp_path / "tree" / name).mkdir(parents=True)
        for index in range(2):
            Image.fromarray(pixels).save(tmp_path / "tree" / name / f"{index}.jpg", quality=95)
    images = ImageFolder(str(tmp_path / "tree"), image_size=32, test_share=0.5).load()
    middle = pixels[:, 80:560].reshape(32, 15, 32, 15, 3).mean(axis=(1, 3))
    # a smooth ramp, of which a pixel spans 8 levels; JPEG at quality 95 moves it by a level or two
    assert np.abs(images.train - middle).max() < 5


def test_other_colours_become_rgb(tmp_path):
    root = grow(tmp_path / "tree", number=4)
    Image.new("L", (20, 20), 77).save(root / "ant" / "00.png")
    Image.new("RGBA", (20, 20), (1, 2, 3, 4)).save(root / "ant" / "01.png")
    Image.new("P", (20, 20)).save(root / "ant" / "02.png")
    Image.new("CMYK", (20, 20)).save(root / "ant" / "03.jpg")
    assert ImageFolder(str(root), image_size=8).load().train.shape[3] == 3


def test_decoded_images_are_kept_until_a_file_changes(tmp_path, monkeypatch):
    root = grow(tmp_path / "tree")
    folder = ImageFolder(str(root), image_size=8)
    first = folder.load()

    def forbidden(path, size):
        raise AssertionError(f"{path} is decoded again")

    decode = image_folder._decode
    monkeypatch.setattr(image_folder, "_decode", forbidden)
    np.testing.assert_array_equal(folder.load().train, first.train)
    with pytest.raises(AssertionError, match="is decoded again"):
        ImageFolder(str(root), image_size=9).load()
    monkeypatch.setattr(image_folder, "_decode", decode)
    for path in root.rglob("*.png"):
        Image.new("RGB", (40, 30), (9, 9, 9)).save(path)
        os.utime(path, ns=(1, 1))
    assert (folder.load().train == 9).all()
    for kept in (tmp_path / "data").rglob("*.rgb"):
        kept.write_bytes(b"cut")
    assert (folder.load().train == 9).all()


# --- what is refused --------------------------------------------------------------------------------------------------


def refusal(root, **arguments):
    with pytest.raises(DataError) as caught:
        ImageFolder(str(root), image_size=8, **arguments).load()
    return str(caught.value)


def test_wrong_layouts_are_said(tmp_path):
    assert "there is no folder" in refusal(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    assert "has no folders in it: it should hold one folder of images" in refusal(tmp_path / "empty")
    Image.new("RGB", (8, 8)).save(tmp_path / "empty" / "flat.png")
    assert "has no folders in it: it should hold one folder of images" in refusal(tmp_path / "empty")
    grow(tmp_path / "one", classes=("ant",))
    assert "holds the one class 'ant': there must be at least two" in refusal(tmp_path / "one")
    (tmp_path / "one" / "bee").mkdir()
    assert "bee holds no image (.bmp, .jpeg, .jpg, .png, .webp)" in refusal(tmp_path / "one")
    (tmp_path / "one" / "bee" / "notes.txt").write_text("nothing to see")
    assert "bee holds no image" in refusal(tmp_path / "one")
    assert "has no folder for class 'cow'" in refusal(tmp_path / "one", classes=("ant", "cow"))
    (tmp_path / "one" / "bee" / "folder.png").mkdir()
    assert "folder.png is not a file" in refusal(tmp_path / "one")
    grow(tmp_path / "half" / "val")
    assert refusal(tmp_path / "half").endswith("half has a folder val of classes, but no folder train beside it")


def test_a_single_image_cannot_be_split(tmp_path):
    root = grow(tmp_path / "tree", number=1)
    assert "class 'ant' has a single image" in refusal(root)


def test_other_classes_for_testing_are_said(tmp_path):
    grow(tmp_path / "tree" / "train")
    grow(tmp_path / "tree" / "val", classes=("ant", "bee"))
    assert "hold other classes: 'cow' is in one of them only" in refusal(tmp_path / "tree")
    grow(tmp_path / "tree" / "val", classes=("cow",))
    (tmp_path / "tree" / "val" / "cow").rename(tmp_path / "tree" / "val" / "dog")  # as many, and others
    assert "hold other classes: 'cow' is in one of them only" in refusal(tmp_path / "tree")


def test_a_truncated_image_is_said(tmp_path):
    for suffix in (".png", ".jpg", ".webp", ".bmp"):
        root = grow(tmp_path / suffix[1:], suffix=suffix, size=(200, 200))
        path = root / "bee" / f"01{suffix}"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert f"bee/01{suffix} is truncated or no image: " in refusal(root)


def test_what_is_no_image_is_said(tmp_path):
    root = grow(tmp_path / "tree")
    (root / "bee" / "01.png").write_bytes(b"<html>404 not found</html>")
    assert "bee/01.png is truncated or no image" in refusal(root)
    (root / "bee" / "01.png").write_bytes(b"")
    assert "bee/01.png is truncated or no image" in refusal(root)
    Image.new("RGB", (20, 20)).save(root / "bee" / "01.png", "GIF")  # a decoder that is not asked for
    assert "bee/01.png is truncated or no image" in refusal(root)


def bomb(width, height):
    """A PNG of a few bytes whose header promises width x height pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_decompression_bombs_are_not_decoded(tmp_path):
    root = grow(tmp_path / "tree")
    (root / "bee" / "01.png").write_bytes(bomb(9000, 8000))  # Pillow's own limit is higher
    assert "has 9000 x 8000 pixels, more than 64 million" in refusal(root)
    (root / "bee" / "01.png").write_bytes(bomb(60000, 60000))
    assert "would be too large when decoded" in refusal(root)


def test_large_files_and_sets_are_refused(tmp_path, monkeypatch):
    root = grow(tmp_path / "tree")
    monkeypatch.setattr(image_folder, "MAX_TOTAL", 12 * 8 * 8 * 3 - 1)
    assert "12 images of 8 x 8 pixels need more than" in refusal(root)
    monkeypatch.setattr(image_folder, "MAX_FILE", 50)
    monkeypatch.setattr(image_folder, "MAX_TOTAL", 2**33)
    assert "is larger than 0 MiB" in refusal(root)


def test_links_out_of_the_folder_are_refused(tmp_path):
    grow(tmp_path / "elsewhere")
    root = grow(tmp_path / "tree")
    (root / "bee" / "link.png").symlink_to(tmp_path / "elsewhere" / "ant" / "00.png")
    assert "bee/link.png is a link out of" in refusal(root)
    (root / "bee" / "link.png").unlink()
    (root / "bee" / "inside.png").symlink_to(root / "ant" / "00.png")
    assert len(ImageFolder(str(root), image_size=8).load().train) == 13
    (root / "dog").symlink_to(tmp_path / "elsewhere" / "ant")
    assert "dog/00.png is a link out of" in refusal(root)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": ("../elsewhere", "ant")}, "classes must be names of folders, got '../elsewhere'"),
        ({"classes": ("..", "ant")}, "classes must be names of folders"),
        ({"classes": ("/etc", "ant")}, "classes must be names of folders"),
        ({"classes": ("ant", "ant")}, "classes must differ from each other"),
        ({"image_size": 4}, "image_size must be an integer of at least 8, got 4"),
        ({"test_share": 1.0}, r"test_share must be in \(0, 1\), got 1.0"),
        ({"num_per_class": 0}, "num_per_class must be an integer of at least 1, got 0"),
        ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
    ],
)
def test_folders_refuse_nonsense(arguments, message):
    with pytest.raises(ValueError, match=message):
        ImageFolder("tree", **arguments)


def test_a_full_disk_only_costs_time(tmp_path, monkeypatch):
    root = grow(tmp_path / "tree")

    def full(path, content):
        raise DataError(f"{path} cannot be written: No space left on device")

    monkeypatch.setattr(image_folder, "place", full)
    assert len(ImageFolder(str(root), image_size=8).load().train) == 12
