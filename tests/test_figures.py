"""Every figure, drawn from tables made by formula: lost cells, one seed, a fit under its floor.

The tables are those of tests/fake_tables/<claim>.py: `tables(num_seeds)` by name of the part, the fits under ""; where
there is a floor `plant(fits)`, which puts one fit under it; `FITS = False` where nothing is fitted; `CELL`, the columns
that make one size, where they are not the target's, width and depth; `of_fits(tables)`, the tables without rows of fits
that are not done, where parts have such.
"""

import inspect
import os
import re
import subprocess
import sys
import zlib

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from scripts import FIGURES, ROOT, load

from widththeory import command, plotting

FAKES = {path.stem: load(path) for path in sorted((ROOT / "tests" / "fake_tables").glob("*.py"))}
FLOORED = [path for path in FIGURES if hasattr(FAKES.get(path.stem), "plant")]
KINDS = ("pdf", "png", "svg", "txt")
# Tables of which a figure itself says that there is nothing to draw, be some other fit finished or not.
NOTHING_OF_IT = {("depth_compensates_width", "all"), *(("device_friendliness", some) for some in ("all", "but first"))}
FITTED = [path for path in FIGURES if getattr(FAKES.get(path.stem), "FITS", True)]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def cell(claim, fits):
    """The columns that make one size."""
    sizes = [name for name in fits if name.startswith("target") and not name.endswith(("variance", "moment"))]
    return getattr(FAKES[claim], "CELL", [*sizes, "width", "depth"])


def lose(claim, fits):
    """Every seventh fit failed, every eleventh diverged, and all fits of the first size."""
    names = ("train_mse", "test_mse", "test_mse_stderr", "relative_error", "train_loss", "test_loss")
    begins = ("exact_", "train_accuracy", "test_accuracy", "train_loss_at_")
    numbers = [name for name in fits if name in names or name.startswith(begins)]
    first = (fits[cell(claim, fits)] == fits.loc[0, cell(claim, fits)]).all(axis=1)
    failed = first | (np.arange(len(fits)) % 7 == 3)
    fits.loc[failed, [*numbers, "diverged"]] = np.nan
    fits.loc[failed, "status"] = "failed"
    fits.loc[~failed & (np.arange(len(fits)) % 11 == 5), "diverged"] = 1.0


SETTINGS = ("seed", "learning_rate", "width", "depth", "num_steps", "batch_size", "size", "work", "platform", "run")
SETTINGS += ("target", "optimizer", "status", "key")


def little(claim, variant):
    """Tables of which hardly a fit is left, one seed each: the others failed, diverged or were not yet computed."""
    tables = FAKES[claim].tables(1)
    fits = tables[""]
    names = cell(claim, fits)
    first, last = ((fits[names] == fits.loc[at, names]).all(axis=1) for at in (0, len(fits) - 1))
    least = fits.get("learning_rate", fits.get("batch_size", fits.get("width")))
    lost = {"all": first | True, "but first": ~first, "but last": ~last, "rate": least == least.min()}[variant]
    measured = [name for name in fits if name not in SETTINGS and not name.startswith(("target.", "images.", "model."))]
    if variant == "but last":
        fits = fits[~lost].reset_index(drop=True)
    elif variant == "rate":
        numbers = [name for name in measured if name.startswith(("train_", "test_", "exact_", "relative_"))]
        fits.loc[lost, numbers] = np.inf
        fits.loc[lost, "diverged"] = 1.0
    else:
        fits = fits.astype(dict.fromkeys(fits[measured].select_dtypes("number"), float))
        fits.loc[lost, measured] = np.nan
        fits.loc[lost, "status"] = "failed"
    return getattr(FAKES[claim], "of_fits", lambda tables: tables)({**tables, "": fits})


def fake(claim, variant="whole"):
    made = FAKES[claim].tables(1 if variant == "one seed" else 3)
    if variant == "lost":
        lose(claim, made[""])
    if variant == "planted":
        FAKES[claim].plant(made[""])
    return made


def write(folder, claim, tables):
    folder.mkdir(parents=True, exist_ok=True)
    for part, table in tables.items():
        table.to_csv(folder / (f"{claim}.{part}.csv" if part else f"{claim}.csv"), index=False)
    return folder / f"{claim}.csv"


def given(function, tables):
    """What a function of a figure makes of the tables that it asks for."""
    _, *parts = inspect.signature(function).parameters
    return function(tables[""], *(tables[part] for part in parts))


def draw(path, tables, folder):
    """The figure drawn as its command does, and its caption."""
    module = load(path)
    table = write(folder / "tables", path.stem, tables)
    flags = ["--scale", "smoke", "--table", str(table), "--out", str(folder / "made")]
    more = {name: getattr(module, name, None) for name in ("drawn", "verdict")}
    command.draw(module.figure, module.caption, path, flags, **more)
    return (folder / "made" / f"{path.stem}.txt").read_text()


def captioned(path, tables):
    """The caption, with the figure drawn but not laid out and saved in every kind of file, which takes seconds."""
    module = load(path)
    with plotting.style():
        given(module.figure, tables)
        if hasattr(module, "verdict"):
            given(module.verdict, tables)
        return given(module.caption, tables)


each = pytest.mark.parametrize("path", FIGURES, ids=[path.stem for path in FIGURES])


# --- what every figure does -------------------------------------------------------------------------------------------


def test_every_figure_has_a_table_here():
    assert set(FAKES) == {path.stem for path in FIGURES}


@each
def test_files_are_whole_equal_and_fit_for_print(path, tmp_path):
    """Drawn twice, the second time by a process that hashes otherwise."""
    caption = draw(path, fake(path.stem), tmp_path)
    made = tmp_path / "made"
    assert sorted(file.name for file in made.iterdir()) == [
        f"{path.stem}.{kind}" for kind in ("csv", *(["json"] if hasattr(load(path), "verdict") else []), *KINDS)
    ]
    assert caption.endswith(" Scale: smoke.\n")
    assert (made / f"{path.stem}.png").read_bytes().startswith(b"\x89PNG")
    assert len(pd.read_csv(made / f"{path.stem}.csv"))
    content = (made / f"{path.stem}.pdf").read_bytes()
    left, _, right, _ = map(float, re.search(rb"/MediaBox \[ ([\d. ]+) \]", content)[1].split())
    assert right - left <= 7 * 72  # a journal's text width, in points
    streams = re.findall(rb"stream\n(.*?)\nendstream", content, flags=re.DOTALL)
    text = content + b"".join(zlib.decompress(part) for part in streams if part[:1] == b"x")
    assert b"/Type3" not in text
    assert b"/Type42" in text or b"/CIDFontType2" in text

    arguments = [sys.executable, str(path), "--scale", "smoke", "--out", str(tmp_path / "again")]
    arguments += ["--table", str(tmp_path / "tables" / f"{path.stem}.csv")]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONWARNINGS": "error"}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for file in made.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("path", FITTED, ids=lambda path: path.stem)
@pytest.mark.parametrize("variant", ["whole", "lost", "one seed"])
def test_the_caption_says_what_the_table_holds(path, variant):
    caption = captioned(path, fake(path.stem, variant))
    assert not re.search(r"\b(nan|inf)\b", caption)
    assert "defect" not in caption
    if path in FLOORED:
        assert re.search(r"none of (the )?[\d,]+ trained networks .*?lies under", caption)
    assert ("failed or diverged" in caption) == (variant == "lost")


@each
def test_a_caption_is_read_in_one_go(path):
    """150 words, and some for numbers that real tables do not have; what more there is to say stands in docstrings."""
    assert len(captioned(path, fake(path.stem)).split()) <= 160


@pytest.mark.parametrize("path", FLOORED, ids=lambda path: path.stem)
def test_a_fit_under_its_floor_is_called_a_defect(path):
    caption = captioned(path, fake(path.stem, "planted"))
    assert re.search(r"\b1 of [\d,]+ trained networks .*?lie under .*?, which is a defect", caption)


@pytest.mark.parametrize("path", FLOORED, ids=lambda path: path.stem)
def test_lost_cells_are_left_out_of_no_count(path):
    """Failed cells stay in the numbers that are drawn, marked as such; the others are finite."""
    module, tables = load(path), fake(path.stem, "lost")
    drawn = given(module.drawn, tables)
    done = drawn[(drawn["status"] == "done") & (drawn["diverged"] == 0)]
    assert len(drawn) > len(done) > len(drawn) / 2
    assert np.isfinite(done["relative"]).all()


@pytest.mark.parametrize("path", FITTED, ids=lambda path: path.stem)
@pytest.mark.parametrize("variant", ["all", "but first", "but last", "rate"])
def test_of_hardly_a_fit_captions_and_verdicts_say_what_they_can(path, variant):
    """Some raised, some said that none of 0 networks lies under a floor, or an error of nan."""
    module, tables = load(path), little(path.stem, variant)
    if (path.stem, variant) in NOTHING_OF_IT:
        with pytest.raises(ValueError, match="so that there is nothing to draw"):
            given(module.verdict, tables)
        return
    found, caption = given(module.verdict, tables), given(module.caption, tables)
    if variant == "but last":  # a grid of which a first cell is computed
        with plotting.style():
            given(module.figure, tables)
    for text in (caption, found.sentence, found.quantity, found.check, found.short):
        assert not re.search(r"\b(nan|inf|None|of 0)\b(?!\.\d)", text), text


@pytest.mark.parametrize("path", FITTED, ids=lambda path: path.stem)
@pytest.mark.parametrize("how", ["failed", "diverged"])
def test_a_table_without_one_finished_fit_is_said(path, how, tmp_path, capsys):
    tables = fake(path.stem)
    if how == "failed":
        tables[""]["status"] = "failed"
    else:
        tables[""]["diverged"] = 1.0
    with pytest.raises(SystemExit, match="2"):
        draw(path, tables, tmp_path)
    said = capsys.readouterr().err
    count = len(tables[""])
    failed = count if how == "failed" else 0
    assert f"{failed} of the {count} fits of " in said
    assert said.endswith(f" failed and {count - failed} diverged, so that there is nothing to draw\n")
    assert not (tmp_path / "made").exists()
