"""A small tree of claims, and what the gallery makes of it."""

import shutil

import numpy as np
import pandas as pd
import pytest
from html_page import Page
from matplotlib import pyplot as plt
from scripts import ROOT

from widththeory import plotting, verdicts
from widththeory.gallery import claims, live, pages
from widththeory.verdicts import Verdict

EXPERIMENT = '''"""{sentence}

Chapter:  {chapter}, 1
Source:   Telgarsky 2016, Theorem 1.1 (as recalled);
          Hanin, Sellke 2017.
Tested:   no fit lies under 2^(-k) or x_1.
Decided:  proven, measured
Certain:  proven: the floor. Measured: two fits; their costs are computed.
Command:  python experiments/{name}.py
"""

from widththeory.bounds.affine_pieces import sawtooth_floor

TARGET = "telgarsky.Sawtooth"
'''


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Three claims: one held, one not drawn, and one in no chapter whose words want escaping."""
    root = tmp_path_factory.mktemp("tree")
    for folder in ("experiments", "paper_figures", "widththeory", "docs/theorems", "results/smoke"):
        (root / folder).mkdir(parents=True)
    shutil.copy(ROOT / "widththeory" / "references.bib", root / "widththeory")
    shutil.copy(ROOT / "docs" / "theorems" / "telgarsky.md", root / "docs" / "theorems")
    for name, sentence, chapter in (
        ("first", "Depth buys folds.", "what depth buys"),
        ("second", "Nothing is drawn.", "the exchange rate"),
        ("third", "An error < 1 & more.", "nowhere"),
    ):
        (root / "experiments" / f"{name}.py").write_text(
            EXPERIMENT.format(name=name, sentence=sentence, chapter=chapter)
        )
        (root / "paper_figures" / f"{name}.py").write_text("")
    for name, state in (("first", "held"), ("third", "not held")):
        figure, axes = plt.subplots(figsize=(6, 3))
        axes.plot([0, 1], [1, 0])
        short = "none of three is lower" if state == "held" else ""
        verdict = Verdict(
            state, "0 of 3 lie under <it>", "error at width 3", 0.125, 0.25, None, 3, short=short, check="0 defects"
        )
        conclusion = verdicts.write(name, "smoke", "smoke, 1 of 2 cells", "A caption of \u03c3. Scale: smoke.", verdict)
        plotting.save(figure, root / "figures" / "smoke", name, pd.DataFrame({"x": [1]}), "A caption.", conclusion)
        plt.close(figure)
    rows = [("k = 2", 0, 0, x, x % 0.5 * 4, None, None, None) for x in (0.0, 0.25, 1.0)]
    for width, error in ((2, 0.5), (4, 0.25)):
        rows += [("k = 2", width, 1, x, error, error, 0.125, 0.0) for x in np.linspace(0, 1, width + 1)]
    table = pd.DataFrame(rows, columns=live.FUNCTION_COLUMNS)
    table.to_csv(root / "results" / "smoke" / "first.functions.csv", index=False)
    # two targets of two seeds, one longer fit, and one that is not trained
    steps = [2000.0, 2000.0, 2000.0, 2000.0, 31200.0, 0.0]
    fits = pd.DataFrame({"target.seed": [0, 0, 1, 1, 0, 0], "seed": [0, 1, 2, 3, 4, 5], "num_steps": steps})
    fits.to_csv(root / "results" / "smoke" / "first.csv", index=False)
    return root


@pytest.fixture(scope="module")
def chapters(tree):
    return claims.chapters(tree, "smoke")


@pytest.fixture(scope="module", autouse=True)
def few_spectra():
    """The page's own choices take seconds, and run-time type checks make them minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "DIMS", (2, 6, 8))
        patch.setattr(live, "FREQUENCIES", (2.0, 3.0))
        patch.setattr(live, "RELATIVE_ERRORS", (0.5, 0.1))
        yield


@pytest.fixture(scope="module")
def text(tree, chapters):
    return pages.render(chapters, tree, "smoke")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)
