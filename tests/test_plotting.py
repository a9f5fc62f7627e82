"""Figures: the same bytes from the same table, fonts that journals take, lost cells said."""

import os
import re
import subprocess
import sys
import zlib

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import colors
from matplotlib import pyplot as plt

from widththeory import plotting, verdicts


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def fits():
    """Medians over seeds by width."""
    return pd.DataFrame({"width": [2, 4, 8, 16], "value": np.exp([0.1, -0.7, -1.3, -2.2])})


def drawing(table, *, scale="smoke"):
    with plotting.style():
        figure, axes = plt.subplots()
        axes.plot(table["width"], table["value"], **plotting.TRAINED)
        axes.plot([2, 16], [0.2, 0.03], **plotting.FLOOR)
        axes.plot([2, 16], [2, 0.5], **plotting.CONSTRUCTION)
        axes.set(xscale="log", yscale="log", xlabel="width", ylabel=r"error $\|f - g\|_2$")
        axes.legend()
        plotting.say_scale(figure, scale)
    return figure


def test_the_line_of_chance_says_so():
    axes = plt.figure().subplots()
    plotting.chance_line(axes, 0.125)
    (line,), (word,) = axes.lines, axes.texts
    assert (line.get_ydata()[0], line.get_linestyle()) == (0.125, ":")
    assert (word.get_text(), word.xy) == ("chance", (1, 0.125))


def test_saved_files(tmp_path):
    table = fits()
    figure = drawing(table)
    made = plotting.save(figure, tmp_path / "new", "claim", table, " A caption. ", "{}\n")
    assert made == tmp_path / "new" / "claim.pdf"
    kinds = ["csv", "json", "pdf", "png", "svg", "txt"]
    assert sorted(path.name for path in made.parent.iterdir()) == [f"claim.{kind}" for kind in kinds]
    assert made.with_suffix(".json").read_text() == "{}\n"
    assert "<text" not in made.with_suffix(".svg").read_text()  # letters are paths: a browser lacks the fonts
    assert made.with_suffix(".txt").read_text() == "A caption.\n"
    pd.testing.assert_frame_equal(pd.read_csv(made.with_suffix(".csv")), table, check_exact=True)
    assert made.stat().st_mtime_ns == max(path.stat().st_mtime_ns for path in made.parent.iterdir())  # written last
    assert made.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_pdf_has_no_type_3_fonts_even_outside_the_style(tmp_path):
    table = fits()
    figure = drawing(table)
    content = plotting.save(figure, tmp_path, "claim", table, "").read_bytes()
    streams = re.findall(rb"stream\n(.*?)\nendstream", content, flags=re.DOTALL)
    text = content + b"".join(zlib.decompress(part) for part in streams if part[:1] == b"x")
    assert b"/Type3" not in text
    assert b"/Type42" in text or b"/CIDFontType2" in text
    assert b"/CreationDate" not in text


def test_bytes_do_not_depend_on_the_run(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_plotting import drawing, fits\n"
        "from widththeory import plotting\n"
        "plotting.save(drawing(fits()), sys.argv[2], 'claim', fits(), 'caption')\n"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run(
            [sys.executable, "-c", code, os.path.dirname(__file__), str(tmp_path / seed)], check=True, env=environment
        )
    for kind in ("pdf", "png", "svg", "csv", "txt"):
        assert (tmp_path / "1" / f"claim.{kind}").read_bytes() == (tmp_path / "2" / f"claim.{kind}").read_bytes()


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    table = fits()
    figure = drawing(table)
    plotting.save(figure, tmp_path, "claim", table, "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        plotting.save(figure, tmp_path, "claim", table, "new")
    assert (tmp_path / "claim.txt").read_text() == "old\n"
    assert len(list(tmp_path.iterdir())) == 5


def test_style_is_for_the_block_only():
    before = dict(mpl.rcParams)
    with plotting.style():
        assert mpl.rcParams["pdf.fonttype"] == 42
        assert mpl.rcParams["mathtext.fontset"] == "stix"
        assert not mpl.rcParams["text.usetex"]
        assert 8 <= mpl.rcParams["font.size"] <= 9
    assert dict(mpl.rcParams) == before


def luminance(color):
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colors.to_rgb(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_series_differ_without_colour():
    looks = [plotting.series(index) for index in range(36)]
    assert len({(look["color"], look["marker"], str(look["linestyle"])) for look in looks}) == 36
    for first, second in zip(looks[:5], looks[1:6], strict=True):
        assert first["marker"] != second["marker"]
        assert first["linestyle"] != second["linestyle"]
    dashes = [look["linestyle"] for look in looks if look["linestyle"] != "-"]
    assert all(min(lengths[::2]) <= 1 for _, lengths in dashes)  # plain dashes mean a construction
    with pytest.raises(ValueError, match="index must be at least 0, got -1"):
        plotting.series(-1)


def test_floor_ceiling_construction_and_fit_differ_in_grey():
    looks = (plotting.FLOOR, plotting.CEILING, plotting.CONSTRUCTION, plotting.TRAINED)
    assert len({(str(look["linestyle"]), look.get("marker")) for look in looks}) == 4
    assert plotting.CEILING["linestyle"] not in [plotting.series(index)["linestyle"] for index in range(36)]
    assert luminance(plotting.FLOOR["color"]) == 0


def test_ticks_are_the_numbers_given():
    figure = drawing(fits())
    (axes,) = figure.axes
    plotting.number_ticks(axes.xaxis, (16, 2, 8, 4))
    figure.canvas.draw()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "4", "8", "16"]
    assert list(axes.get_xticks(minor=True)) == []


def test_the_scale_is_on_the_picture():
    figure = drawing(fits(), scale="laptop")
    (label,) = figure.texts
    assert label.get_text() == "scale: laptop"
    figure.canvas.draw()
    below = label.get_window_extent().y1
    assert all(axes.get_tightbbox().y0 >= below for axes in figure.axes)  # under everything else


@pytest.mark.parametrize("state", verdicts.STATES)
def test_a_picture_alone_says_what_became_of_the_claim_in_its_title(state):
    figure = drawing(fits(), scale="smoke")
    plotting.say_scale(figure, "laptop", state)
    assert figure.texts[-1].get_text() == f"claim {state}; scale: laptop"
