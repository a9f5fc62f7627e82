"""First-layer filters: ours and those of packages beside noise, what is missing, and what the caption concludes."""

import shutil

import numpy as np
import pandas as pd
import pytest
from claims import claim, figure_of
from scripts import ROOT, load

from widththeory.constructions.gabor import GaborBank
from widththeory.images import pretrained
from widththeory.images.files import DataError
from widththeory.images.pretrained import Weights

FIGURE = figure_of("first_layer_filters")
FAKE = load(ROOT / "tests" / "fake_tables" / "first_layer_filters.py")
EXPERIMENT = load(ROOT / "experiments" / "first_layer_filters.py")


@pytest.fixture(scope="module")
def made():
    return claim("first_layer_filters")


def bank_filters():
    """The bank's finest atoms, and their negatives: every filter an atom, each with its opposite."""
    atoms = GaborBank(size=11, num_scales=2).filters().real.transpose(1, 2, 0)[:, :, None, :] * np.ones((3, 1))
    return np.concatenate([atoms, -atoms], axis=-1).astype(np.float32)


def network(name="alexnet", *kernels):
    weights = Weights(kernels or (bank_filters(),), "AlexNet", "images", "a package", "BSD")
    return EXPERIMENT.Net(name, "package", weights=weights)


# --- measures ---------------------------------------------------------------------------------------------------------


def test_atoms_with_their_opposites_are_measured_as_such():
    table = EXPERIMENT.filters_table([network()])
    own, noise = table[table["kind"] == "package"], table[table["kind"] == "noise"]
    assert (own["goodness"] > 0.999).all()  # the search stops a little short
    np.testing.assert_allclose(own["opposite"], -1, atol=1e-6)  # float32
    np.testing.assert_allclose(own["bank_goodness"], 1, atol=1e-6)
    np.testing.assert_array_equal(own["bank_orientation"], np.tile(np.arange(8), 4))
    np.testing.assert_array_equal(own["bank_scale"], np.tile(np.repeat([0, 1], 8), 2))
    assert (noise["goodness"] < 0.2).all()
    assert (noise["opposite"] > -0.5).all()
    assert set(noise["net"]) == {"noise, 11x11x3"}


def test_layers_beside_noise_of_their_shape():
    rng = np.random.default_rng(0)
    gaussian = rng.standard_normal((3, 3, 3, 64)).astype(np.float32)
    dead = np.concatenate([bank_filters(), np.zeros((11, 11, 3, 4), np.float32)], axis=-1)
    table = EXPERIMENT.layers_table([network("alexnet", dead, gaussian)])
    first, second = table.to_dict("records")
    assert (first["alive"], first["num_filters"], first["inputs"]) == (32, 36, 363)
    assert first["opposite"] == pytest.approx(-1, abs=1e-6)
    assert first["opposites"] == 1
    assert first["noise_opposite"] > -0.2
    # as many Gaussian filters as there are: their cosines spread about the mean, and are symmetric in sign
    assert first["noise_opposite_q1"] < first["noise_opposite_median"] < first["noise_opposite_q3"]
    assert first["noise_nearest_median"] == pytest.approx(-first["noise_opposite_median"], abs=0.03)
    assert first["directions"] <= 16 < first["noise_directions"]
    # Gaussian filters are within the draws of themselves, give or take what another twenty draws would give;
    # the reference of 64 filters of 27 numbers is -0.440, known to 0.01
    assert abs(second["opposite"] - second["noise_opposite"]) < 0.05
    assert second["noise_opposite"] == pytest.approx(-0.440, abs=0.02)
    assert second["noise_low"] < second["noise_opposite"] < second["noise_high"]


def test_pixels_are_the_filters():
    table = EXPERIMENT.pixels_table([network()])
    filters = bank_filters()
    row = table[(table["filter"] == 20) & (table["row"] == 3) & (table["column"] == 7)]
    assert row["channel_1"].item() == pytest.approx(filters[3, 7, 1, 20] / np.abs(filters[..., 20]).max(), abs=5e-4)
    assert len(table) == 32 * 121


# --- networks that are there and that are not -------------------------------------------------------------------------


def test_networks_that_are_missing_are_said(monkeypatch, tmp_path):
    """Nothing in the data folder: the names, and no weights; what is there comes with its source."""
    monkeypatch.setenv("WIDTHTHEORY_DATA", str(tmp_path))
    monkeypatch.setattr(EXPERIMENT, "_fitted", lambda config: iter(()))
    nets = EXPERIMENT.networks(EXPERIMENT.Config(scale="laptop"))
    assert {net.name for net in nets} == set(pretrained.NETS)
    assert all(net.weights is None and "is not in" in net.reason for net in nets)
    table = EXPERIMENT.nets_table([*nets, network("alexnet")])
    assert table["there"].tolist() == [False] * len(pretrained.NETS) + [True]
    assert str(tmp_path) not in table.to_csv()
    assert table["source"].tolist()[-1] == "a package"

    def broken(self):
        raise DataError("damaged")

    monkeypatch.setattr(EXPERIMENT.Pretrained, "load", broken)
    assert EXPERIMENT.networks(EXPERIMENT.Config(scale="laptop", only=("vgg16",)))[0].reason == "damaged"
    with pytest.raises(ValueError, match="only must be of alexnet"):
        EXPERIMENT.networks(EXPERIMENT.Config(scale="laptop", only=("lenet",)))


def test_smoke_measures_ours(made):
    ours = made.filters[made.filters["kind"] == "ours"]
    assert set(ours["key"]) == set(made.table["key"])
    assert len(ours) == len(made.table) * 6
    assert ours["goodness"].between(0, 1 + 1e-9).all()
    assert (ours["one_phase"] <= ours["goodness"] + 1e-9).all()
    assert ours["opposite"].between(-1 - 1e-9, 1).all()
    assert set(made.pixels["key"]) == set(made.table.loc[made.table["seed"] == 0, "key"])


def test_filters_that_the_ledger_lacks_are_fitted_again(made, tmp_path):
    """As in a fresh clone, which has the table and not the weights; float32 fits of one program are equal."""
    shutil.copy(made.csv, tmp_path)
    EXPERIMENT.main(EXPERIMENT.Config(scale="smoke", out=tmp_path, jobs=1, log="none"))
    again = pd.read_csv(tmp_path / "first_layer_filters.filters.csv")
    np.testing.assert_allclose(again["norm"], made.filters["norm"], rtol=1e-4)


# --- the figure -------------------------------------------------------------------------------------------------------


def parts(num_seeds=2):
    tables = FAKE.tables(num_seeds)
    return [tables[name] for name in ("", "cells", "filters", "layers")]


def test_the_chosen_rate_alone_is_drawn():
    shown = FIGURE.drawn(*parts()).set_index("net")
    assert shown.loc["ours, hard, relu", "num_filters"] == 2 * FAKE.COUNT
    assert shown.loc["ours, hard, relu", "goodness"] == pytest.approx(0.8, abs=1e-12)
    assert shown.loc["ours, hard, relu", "noise_goodness"] == pytest.approx(0.5, abs=1e-12)
    assert shown.loc["alexnet", "noise_goodness"] == pytest.approx(0.2, abs=1e-12)
    assert shown.loc["alexnet", "mean_opposite"] == pytest.approx(-0.6, abs=1e-12)
    assert (shown["above_noise"].drop("shift_tolerant_vgg16") == 1).all()


def test_atoms_fall_into_the_cells_of_the_bank():
    """Every atom of the bank into its own; and those between, finer and coarser."""
    waves = GaborBank().wave_vectors()
    degrees = np.degrees(np.arctan2(waves[:, 1], waves[:, 0]))
    table = pd.DataFrame({"wavelength": 2 * np.pi / np.linalg.norm(waves, axis=1), "degrees": degrees})
    counts = FIGURE.histogram(table)
    np.testing.assert_array_equal(counts[1:-1], 1)
    assert counts.sum() == 40
    other = FIGURE.histogram(pd.DataFrame({"wavelength": [2.0, 60.0, 5.7], "degrees": [179.0, 12.0, 100.0]}))
    assert (other[0, 0], other[-1, 1], other[2, 4]) == (1, 1, 1)
    x, y = FIGURE.bank()
    np.testing.assert_allclose(np.stack([x, y], axis=1), waves, atol=1e-12)


def test_the_verdict():
    table, cells, filters, layers = parts()
    found = FIGURE.verdict(table, cells, filters, layers)
    assert found.state == "held"
    assert "in 5 of 5 first layers" in found.sentence
    assert "in 3 of 3 under ReLU" in found.sentence  # AlexNet and ours; under CReLU opposites are as those of noise
    worse = layers.assign(opposite=layers["opposite"].where(layers["net"] != "alexnet", -0.2))
    assert FIGURE.verdict(table, cells, filters, worse).state == "not held"
    noisy = filters.assign(goodness=filters["goodness"].where(filters["net"] != "alexnet", 0.2))
    assert FIGURE.verdict(table, cells, noisy, layers).state == "not held"
    crelu = [part[part["net"].str.endswith("crelu") | part["kind"].eq("noise")] for part in (filters, layers)]
    left = FIGURE.verdict(table, cells, *crelu)  # it held what is said of networks under ReLU
    assert left.state == "open"
    assert "under ReLU" not in left.sentence


def test_the_caption_says_what_is_missing():
    tables = FAKE.tables(2)
    arguments = [tables[name] for name in ("", "cells", "filters", "layers", "pixels", "nets")]
    caption = FIGURE.caption(*arguments)
    assert caption.endswith(" Published networks not in the data folder: 1.")
    assert (
        "below all draws of noise in 0 of 2 under CReLU (-0.40) and in 3 of 3 under ReLU (-0.70 to -0.60)." in caption
    )
    whole = [*arguments[:-1], tables["nets"].assign(there=True)]
    assert "data folder" not in FIGURE.caption(*whole)


def test_all_but_controls_are_pictured_and_layers_drawn_where_there_are_several():
    tables = FAKE.tables(2)
    names = ("", "cells", "filters", "layers", "pixels")

    def titles():
        picture = FIGURE.figure(*(tables[name] for name in names))
        return [axes.get_title() for part in picture.subfigs for axes in part.axes]

    seen = ["AlexNet", *(f"ours, {task}, {name}" for task in ("easy", "hard") for name in ("CReLU", "ReLU"))]
    assert titles()[:5] == [f"({letter}) {name}" for letter, name in zip("abcde", seen, strict=True)]
    assert titles()[-1] == "(k) opposites, layer by layer"
    assert "(k) Mean cosine" in FIGURE.caption(*(tables[name] for name in (*names, "nets")))
    for name in ("filters", "layers", "pixels"):  # ours alone have but a first layer
        tables[name] = tables[name][tables[name]["net"] != "alexnet"]
    assert titles()[-1] == "(i) atoms by the bank's cells"
    caption = FIGURE.caption(*(tables[name] for name in (*names, "nets")))
    assert "(i) their numbers" in caption
    assert "Mean cosine" not in caption


def test_hollow_is_in_the_legend():
    tables = FAKE.tables(1)
    picture = FIGURE.figure(*(tables[name] for name in ("", "cells", "filters", "layers", "pixels")))
    (legend,) = picture.subfigs[1].legends
    assert [text.get_text() for text in legend.texts] == ["trained, a look a network", "Gaussian noise"]
