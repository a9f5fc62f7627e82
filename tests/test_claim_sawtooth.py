"""Sawtooth: floors and explicit networks by other routes, every smoke fit above its floor, numbers of the figure."""

import numpy as np
import pandas as pd
import pytest
from claims import claim, figure_of
from scripts import ROOT, load

from widththeory import plotting
from widththeory.bounds.affine_pieces import sawtooth_floor
from widththeory.constructions.folded_sawtooth import FoldedSawtooth
from widththeory.constructions.telgarsky import Sawtooth
from widththeory.exact.one_dim import piecewise

FIGURE = figure_of("sawtooth")
FAKE = load(ROOT / "tests" / "fake_tables" / "sawtooth.py")


@pytest.fixture(scope="module")
def made():
    return claim("sawtooth")


def test_no_smoke_fit_lies_under_its_floor(made):
    """All fits, and the floor by formula too; both are exact up to rounding."""
    fits = FIGURE.compared(made.table, made.floor)
    assert len(FIGURE.under_floor(fits)) == 0
    assert (fits["l2_floor"] > 0).sum() >= 2
    for row in made.table.to_dict("records"):
        widths = (row["width"],) * row["depth"]
        for norm in ("l1", "l2", "sup"):
            assert row[f"exact_{norm}_error"] >= sawtooth_floor(row["target.num_folds"], widths, norm).lower


def test_floors_fall_with_size_and_lie_under_the_explicit_networks(made):
    floor = made.floor
    for norm in ("l1", "l2"):
        assert (floor[f"{norm}_floor"] >= floor["closed_form"]).all()
        assert (floor[f"{norm}_floor"] <= floor["explicit"] + 1e-12).all()  # rounding
        for _, rows in floor.groupby(["num_folds", "depth"]):
            assert (np.diff(rows.sort_values("width")[f"{norm}_floor"]) <= 1e-12).all()
    few = floor[(floor["num_pieces"] < 2 ** floor["num_folds"]) & (floor["num_pieces"] > 2)]
    assert (few["l2_floor"] > few["closed_form"] + 0.01).all()  # the search is worth its time


def test_best_two_pieces_by_scanning_the_breakpoint():
    """k = 3: least squares of a fine sample on either side of each place, without any of the library."""
    experiment = load(ROOT / "experiments" / "sawtooth.py")
    points = (np.arange(2048) + 0.5) / 2048
    values = np.minimum(8 * points % 2, 2 - 8 * points % 2)

    def left_over(part):
        return np.sum((values[part] - np.polyval(np.polyfit(points[part], values[part], 1), points[part])) ** 2)

    scanned = min(left_over(slice(0, cut)) + left_over(slice(cut, None)) for cut in range(8, 2041, 8))
    lower, upper = experiment.best_pieces(3, "l2")
    # Midpoint sums of a function with slope 8 are known to (8 / 2048)^2, breakpoints to 8 / 2048.
    assert lower[1] - 1e-3 <= 12 * scanned / 2048 <= upper[1] + 1e-3
    assert upper[1] - lower[1] < 0.01
    constant = experiment.best_pieces(1, "l2")
    assert constant.lower[0] <= 1 <= constant.upper[0] + 1e-12  # one piece of one tooth: the constant


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_explicit_networks_lie_above_the_enclosures(norm):
    experiment = load(ROOT / "experiments" / "sawtooth.py")
    lower = experiment.best_pieces(4, norm).lower
    for width in range(2, 15):  # its pieces on [0, 1] are width + 1
        network = FoldedSawtooth(4, width, 1).network()
        curve = piecewise(network, 0.0, 1.0)
        distance = curve.distance(Sawtooth(4).network())
        error = 4 * distance.l1 if norm == "l1" else 12 * distance.l2**2
        assert lower[curve.num_pieces - 1] <= error * (1 + 1e-12)


# --- the figure ------------------------------------------------------------------------------------------------------


def test_width_needed_is_the_least_from_which_on_half_is_reached():
    rows = pd.DataFrame(
        {
            "k": [1] * 4 + [2] * 4 + [3] * 2,
            "width": [2, 4, 8, 16] * 2 + [2, 4],
            "error": [0.9, 0.4, 0.6, 0.1, 0.5, 0.4, 0.3, np.nan, 0.9, 0.8],
        }
    )
    needed = FIGURE.width_needed(rows, "k", "error")
    assert needed.to_dict() == {1: 16.0}  # 2 has a size that is not known at the end, 3 never reaches it


def test_folds_of_which_no_width_found_half_get_an_arrow():
    """Of four and of five folds all fits with one layer leave more than half; no other size does."""
    tables = FAKE.tables(2)
    fits = tables[""]
    fits.loc[(fits["depth"] == 1) & (fits["target.num_folds"] >= 4), "exact_l2_error"] = np.sqrt(0.9 / 12)
    with plotting.style():
        panels = FIGURE.figure(fits, tables["floor"]).axes
    needed = next(axes for axes in panels if axes.get_ylabel().startswith("width for"))
    arrows = [line for line in needed.lines if line.get_marker() == FIGURE.UNREACHED]
    assert sorted(round(float(line.get_xdata()[0])) for line in arrows) == [4, 5]
    assert {line.get_color() for line in arrows} == {plotting.COLORS["blue"]}
    flat = [line for line in needed.lines if set(line.get_ydata()) == {2.0} and len(line.get_xdata()) == 4]
    assert len(flat) == 1  # as many layers as folds: width 2 at all four numbers of folds
    assert [text.get_text() for text in needed.texts] == ["$k$ layers: 2"]


def test_floors_are_steps_between_widths():
    """A network of width 3.5 is one of width 3: sloped lines would ask less of it."""
    tables = FAKE.tables(2)
    with plotting.style():
        errors = FIGURE.figure(tables[""], tables["floor"]).axes[0]
    steps = [line for line in errors.lines if line.get_label() in ("certified floor", "explicit construction")]
    assert [line.get_drawstyle() for line in steps] == ["steps-post", "steps-post"]


def test_under_floor_in_any_norm():
    base = {"relative": 0.5, "l1": 0.5, "sup": 0.6, "l2_floor": 0.4, "l1_floor": 0.4, "sup_floor": 0.5}
    rows = [base, {**base, "relative": 0.39}, {**base, "l1": 0.39}, {**base, "sup": 0.49}, {**base, "l1": 0.4}]
    assert FIGURE.under_floor(pd.DataFrame(rows)).index.tolist() == [1, 2, 3]


def test_the_caption_counts_gaps_and_growth():
    tables = FAKE.tables(2)
    fits = FIGURE.drawn(tables[""], tables["floor"])
    gap = FIGURE.gaps(fits)
    assert (gap["explicit"] == 0).all()
    assert len(gap) == sum(FAKE.fold_floor(*row) == 0 for row in fits[FIGURE.CELL].itertuples(index=False))
    caption = FIGURE.caption(tables[""], tables["floor"])
    assert f"and 0 of {len(gap)} leave more than half" in caption
    assert all(f"({letters})" in caption for letters in ("a-c", "d", "e"))
    # 1 - w / 2^k <= 1/2 from w = 2^(k-1) on: 2, 4, 8, 16.
    assert "grows by 2.00 times a fold, to 16 at k = 5" in caption
    assert FIGURE.telling_folds(fits) == 5
