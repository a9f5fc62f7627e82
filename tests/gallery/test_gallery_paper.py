"""The paper, the table at the end, and the command that writes all of it."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest
from fpdf import FPDF
from matplotlib import pyplot as plt
from pypdf import PdfReader
from scripts import ROOT

from widththeory import plotting, verdicts
from widththeory.gallery import claims, pages, paper
from widththeory.verdicts import Verdict


def test_the_paper_has_every_claim_and_is_the_same_again(tree, chapters):
    made = paper.build(chapters, "smoke")
    (tree / "made.pdf").write_bytes(made)
    words = " ".join(" ".join(page.extract_text() for page in PdfReader(tree / "made.pdf").pages).split())
    for claim in ("Depth buys folds", "Nothing is drawn", "An error < 1 & more"):
        assert claim in words
    assert words.count("0 of 3 lie under <it>") == 2
    assert paper.build(claims.chapters(tree, "smoke"), "smoke") == made


@pytest.mark.parametrize(("num_words", "num_pages"), [(10, 1), (200, 1), (1500, 3)])
def test_a_tall_figure_shrinks_a_little_so_that_its_claim_stays_on_a_page(tree, num_words, num_pages):
    """Seven by nine inches with 200 words would need two pages; with 1500 no figure that can be read makes room."""
    root = tree.parent / f"tall_{num_words}"
    shutil.copytree(tree, root, dirs_exist_ok=True)
    figure = plt.figure(figsize=(7, 9))
    verdict = Verdict("held", "It did", "error", None, None, None, 3)
    conclusion = verdicts.write("first", "smoke", "smoke", "word " * num_words, verdict)
    plotting.save(figure, root / "figures" / "smoke", "first", pd.DataFrame({"x": [1]}), "", conclusion)
    plt.close(figure)
    (root / "made.pdf").write_bytes(paper.build(claims.chapters(root, "smoke"), "smoke"))
    assert len(PdfReader(root / "made.pdf").pages) == 3 + num_pages  # the title's, and two of other claims


class Spy(FPDF):
    """Remembers each part, its size above the line or not, and the line that it ended on."""

    def write(self, height, text):
        super().write(height, text)
        self.said = [*getattr(self, "said", []), (text, self.char_vpos, self.get_y())]


def test_powers_and_indices_stay_on_the_line_of_what_they_belong_to():
    """A line's length is gone through in steps of an i, which is narrower than an index."""
    spy = Spy(unit="pt", format="A4")
    spy.add_font("stix", "", Path(mpl.get_data_path()) / "fonts" / "ttf" / "STIXGeneral.ttf")
    spy.add_page()
    for length in range(1, 200):
        paper._write(spy, f"{'i' * length} x_1^2 < 3 & 2^(n - 1).", 10)
    parts = [(text, place.name) for text, place, _ in spy.said]
    one = [("x", "LINE"), ("1", "SUB"), ("2", "SUP"), (" ", "LINE"), ("< 3 & ", "LINE")]
    assert parts.count(("2", "SUP")) == 199
    assert parts[1:9] == [*one, ("2", "LINE"), ("n - 1", "SUP"), (".", "LINE")]
    lines = [[y for _, _, y in spy.said[at + 1 : at + 4]] for at in range(0, len(spy.said), 9)]
    assert all(min(line) == max(line) for line in lines)


def test_what_does_not_fit_below_a_tall_figure_shrinks_it_on_its_own_page(tree):
    """A heading of 300 words sends the figure to the next page, where 8 of 9 inches leave room for the rest."""
    root = tree.parent / "next"
    shutil.copytree(tree, root, dirs_exist_ok=True)
    figure = plt.figure(figsize=(7, 9))
    verdict = Verdict("held", "word " * 400, "error", None, None, None, 3)
    conclusion = verdicts.write("first", "smoke", "smoke", "word " * 100, verdict)
    plotting.save(figure, root / "figures" / "smoke", "first", pd.DataFrame({"x": [1]}), "", conclusion)
    plt.close(figure)
    (root / "made.pdf").write_bytes(paper.build(claims.chapters(root, "smoke"), "smoke"))
    assert len(PdfReader(root / "made.pdf").pages) == 3 + 2  # the title's, and two of other claims


def test_numbers_that_are_not_known_are_not_told(tree, chapters):
    (tree / "known.pdf").write_bytes(paper.build(chapters, "smoke"))
    words = " ".join(" ".join(page.extract_text() for page in PdfReader(tree / "known.pdf").pages).split())
    assert words.count("error at width 3: floor 0.125, best fit 0.25, 3 checked; 0 defects.") == 2


def test_the_table_has_a_line_a_claim(chapters):
    lines = pages.summary(claim for found in chapters.values() for claim in found).splitlines()
    assert [line.split()[0] for line in lines] == ["claim", "first", "second", "third"]
    assert lines[1].split()[1:] == ["held", "error", "0.125", "0.25", "\u2013", "3", "\u2013"]
    assert lines[3].split()[1:3] == ["not", "held"]


def test_the_table_fits_100_columns():
    """The longest names, numbers that need all their digits, and hours."""
    longest = Verdict("not held", "It did not", "relative squared error, d = 3", 1.476e20, 1.234e-4, 2.345e-5, 99_999)
    claim = claims.Claim("depth_compensates_width", "", {}, frozenset(), ROOT, "smoke")
    claim.__dict__.update(conclusion=({}, longest), seconds=3e6)  # as if they had been read
    lines = pages.summary([claim]).splitlines()
    words = ["depth_compensates_width", "not", "held", "relative", "squared", "error"]
    assert lines[1].split() == [*words, "1.48e+20", "0.000123", "2.35e-05", "99999", "833h"]
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "\u2013"), (0.4, "0s"), (999.0, "999s"), (1e3, "17m"), (59_900.0, "998m"), (6e4, "17h")],
)
def test_times_have_three_digits_at_most(seconds, said):
    assert pages.duration(seconds) == said


def test_the_command_writes_all_of_it(tree):
    done = subprocess.run(
        [sys.executable, "-m", "widththeory.gallery", "--scale", "smoke", "--root", str(tree)],
        capture_output=True,
        text=True,
        check=True,
    )
    folder = tree / "figures" / "smoke"
    assert (folder / "index.html").stat().st_size > 500_000  # with the library that draws
    assert (folder / "widththeory.pdf").read_bytes().startswith(b"%PDF")
    assert (folder / "summary.txt").read_text() in done.stdout


def test_the_page_holds_no_chart_code_of_its_own():
    """Charts are Vega-Lite; the script only moves sliders."""
    script = (ROOT / "widththeory" / "gallery" / "templates" / "live.js").read_text()
    assert not re.search(r"\b(canvas|createElementNS|getContext|d3\.)", script)
    tree = ast.parse((ROOT / "widththeory" / "gallery" / "live.py").read_text())
    assert any("vega-lite" in str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant))
