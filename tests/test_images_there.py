"""Images that are not there are said before anything is computed."""

import hashlib
from dataclasses import replace

import pytest
from scripts import EXPERIMENTS, load

from widththeory.classification import Classification
from widththeory.experiment import Flags, fit_table
from widththeory.images import cifar10, published
from widththeory.images.files import DataError, place


@pytest.mark.parametrize("name", ["allconv6", "wide_or_deep"])
def test_a_grid_whose_images_are_missing_measures_and_writes_nothing(name, tmp_path, monkeypatch):
    monkeypatch.setenv("WIDTHTHEORY_DATA", str(tmp_path / "data"))
    (experiment,) = (load(path) for path in EXPERIMENTS if path.stem == name)
    settings = experiment.settings(experiment.Config(scale="paper"))
    flags = Flags(scale="paper", out=tmp_path, log="none")
    with pytest.raises(DataError, match=r"CIFAR-10 is not in .*data: `python -m widththeory\.images fetch cifar10`"):
        fit_table(f"experiments/{name}.py", flags, settings, lambda *_: pytest.fail("measured"))
    assert not list(tmp_path.glob("*.csv"))


def test_a_grid_whose_images_are_damaged_is_said_once(tmp_path, monkeypatch):
    monkeypatch.setenv("WIDTHTHEORY_DATA", str(tmp_path / "data"))
    for name in cifar10.OFFICIAL.files:
        place(tmp_path / "data" / name, b"other bytes")
    (experiment,) = (load(path) for path in EXPERIMENTS if path.stem == "allconv6")
    settings = experiment.settings(experiment.Config(scale="paper"))[:3]
    with pytest.raises(DataError, match=r"is damaged or another version: .*; delete it and fetch it again"):
        fit_table("allconv6.py", Flags(out=tmp_path, log="none"), settings, lambda *_: pytest.fail("measured"))
    assert not list(tmp_path.glob("*.csv"))


def test_a_file_is_read_once_and_again_when_it_has_changed(tmp_path, monkeypatch):
    monkeypatch.setenv("WIDTHTHEORY_DATA", str(tmp_path))
    place(tmp_path / "images", b"some")
    files, real, asked = {"images": hashlib.sha256(b"some").hexdigest()}, published.read_checked, []
    monkeypatch.setattr(published, "read_checked", lambda *file: asked.append(file) or real(*file))
    data = replace(cifar10.OFFICIAL, files=files)
    for _ in range(3):
        data.check_there()
    assert len(asked) == 1
    place(tmp_path / "images", b"other bytes")
    for _ in range(2):  # what is bad is not kept as good
        with pytest.raises(DataError, match="is damaged"):
            data.check_there()
    assert len(asked) == 3


def test_fashion_mnist_that_is_missing_is_said_and_textures_are_always_there(tmp_path, monkeypatch):
    monkeypatch.setenv("WIDTHTHEORY_DATA", str(tmp_path))
    images = (("difficulty", "easy"), ("image_size", 16))
    model = (("widths", (4, 4, 4, 4, 4)),)
    textures = Classification(
        "textures.Textures", images, "allconv6.AllConv6", model, 0, 0.1, num_steps=1, batch_size=16
    )
    textures.check_there()
    clothes = replace(textures, images="fashion_mnist.FashionMNIST", images_args=(("image_size", 32),))
    with pytest.raises(DataError, match="Fashion-MNIST is not in"):
        clothes.check_there()
