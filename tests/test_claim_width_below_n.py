"""Width n: floors and explicit networks by other routes, every smoke fit above its floor, numbers of the figure."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from claims import claim, figure_of
from matplotlib.lines import Line2D
from scripts import ROOT, load
from test_figures import given

from widththeory import plotting
from widththeory.bounds.minimum_width import minimum_width
from widththeory.bounds.square_sum import square_sum_floor
from widththeory.constructions.pyramid import Pyramid

FIGURE = figure_of("width_below_n")
FAKE = load(ROOT / "tests" / "fake_tables" / "width_below_n.py")
EXPERIMENT = load(ROOT / "experiments" / "width_below_n.py")


@pytest.fixture(scope="module")
def made():
    return claim("width_below_n")


def test_no_smoke_fit_lies_under_its_floor(made):
    """All fits; on boxes exact in three norms, on cubes up to four standard errors of their sample."""
    fits = FIGURE.compared(made.table, made.floor)
    assert len(FIGURE.under_floor(fits)) == 0
    assert fits[["l2_floor", "l1_floor", "sup_floor"]].notna().all().all()
    assert (fits["l2_floor"] > 0).sum() >= 4
    narrow = fits[(fits["target"] == FIGURE.BOX) & (fits["width"] == 1)]
    assert (narrow["l1_ratio"] >= 1).all()
    assert (narrow["sup"] >= 0.5).all()


def test_floors_speak_below_the_least_widths_and_only_there(made):
    for row in made.floor.itertuples(index=False):
        dim = row[1]
        cube = minimum_width("lp", "lp", "cube", "relu", dim, 1).upper
        assert (row.l2_floor > 0) == (row.width < cube)
        assert (row.sup_floor > 0) == (row.width < minimum_width("continuous", "sup", "cube", "relu", dim, 1).upper)
        if row.target == FIGURE.CUBE and row.width < cube:
            assert row.l2_floor == pytest.approx(square_sum_floor(dim).lower ** 2 * 45 / 4 / dim / 2**dim, rel=1e-12)
    boxes = made.floor[made.floor["target"] == FIGURE.BOX]
    assert set(boxes.loc[boxes["width"] == 1, "l1_floor"]) == {1.0}


def test_floors_of_boxes_by_chords_and_by_the_medians():
    """On [-1, 1]^2, where nothing is in closed form: below what functions constant along an axis attain."""
    square, absolute = EXPERIMENT._box_floors(Pyramid(2, 1))
    assert 0.5 < absolute <= 0.76
    step = (np.arange(400) + 0.5) / 200 - 1
    grid = Pyramid(2).target(np.stack(np.meshgrid(step, step), axis=-1).reshape(-1, 2)).reshape(400, 400)
    assert square <= grid.var(axis=0).mean() / grid.var() + 1e-3  # of one direction, by midpoints
    assert absolute <= np.abs(grid - np.median(grid, axis=0)).mean() / grid.mean() + 1e-3


@pytest.mark.parametrize(("dim", "num_cells"), [(1, 4), (2, 3), (3, 2)])
def test_narrowest_networks_have_the_means_of_their_cells(dim, num_cells):
    network = EXPERIMENT.mean_of_squares(dim, num_cells)
    assert network.size.width == max(dim, 2)
    for cell in np.ndindex(*(num_cells,) * dim):
        low = [Fraction(2 * k, num_cells) - 1 for k in cell]
        point = [a + Fraction(1, num_cells) for a in low]
        mean = sum(((a + Fraction(2, num_cells)) ** 3 - a**3) / 3 * Fraction(num_cells, 2) for a in low)
        assert network.exact([point])[0, 0] == mean


def test_relative_errors_of_cell_means_in_closed_form(made):
    """1 - Var of the means over the variance: a sum over coordinates, so that of one coordinate, whatever n."""
    rows = made.network[made.network["kind"] == "narrowest"]
    assert len(rows) >= 2
    for row in rows.itertuples():
        edges = np.linspace(-1, 1, row.num_cells + 1)
        means = np.diff(edges**3) / 3 / np.diff(edges)
        expected = 1 - means.var() * 45 / 4
        # windows are 2^-20 of a cell: what they add is far below the error of the sample
        assert abs(row.relative - expected) <= 4 * row.relative_stderr
        assert row.width == max(row.input_dim, 2)


def test_trapezoids_keep_their_promise_and_their_size(made):
    rows = made.network[made.network["kind"] == "trapezoid"]
    assert (rows["l1_error"] <= rows["l1_bound"] + 4 * rows["l1_stderr"]).all()
    assert (rows["width"] == rows["input_dim"] + 4).all()
    assert (rows["depth"] == (2 * rows["input_dim"] + 1) * rows["num_cells"] ** rows["input_dim"]).all()


def test_growing_boxes(made):
    narrow = made.growth[made.growth["kind"] == "narrowest"].sort_values("box_radius")
    assert (narrow["width"] == 2).all()
    assert narrow["l1_ratio"].iloc[0] < 1 < narrow["l1_ratio"].iloc[-1]
    string = made.growth[made.growth["kind"] == "string"]
    assert (string["width"] == 3).all()
    assert (string["l1_ratio"] == 0).all()


# --- the figure ------------------------------------------------------------------------------------------------------


def test_depth_and_rate_are_chosen_by_training_loss():
    tables = FAKE.tables(2)
    tables[""].loc[tables[""]["depth"] == 2, "train_mse"] *= 3  # worse in training, better in test
    fits = given(FIGURE.drawn, tables)
    assert set(fits["depth"]) == {4}
    assert set(fits["learning_rate"]) == {0.01}
    assert len(fits) == 2 * (4 + 5 + 6 + 2 * 3)


def test_under_floor_in_any_norm():
    base = {"relative": 0.5, "relative_stderr": 0.0, "l1_ratio": 1.1, "sup": 0.6}
    base |= {"l2_floor": 0.4, "l1_floor": 1.0, "sup_floor": 0.5}
    rows = [base, {**base, "relative": 0.39}, {**base, "l1_ratio": 0.99}, {**base, "sup": 0.49}]
    rows += [{**base, "relative": 0.39, "relative_stderr": 0.003}, {**base, "l1_ratio": 1.0, "sup": np.nan}]
    assert FIGURE.under_floor(pd.DataFrame(rows)).index.tolist() == [1, 2, 3]


def test_crossing_counts_widths_from_which_on_all_are_under():
    tables = FAKE.tables(3)
    found = FIGURE.crossing(given(FIGURE.drawn, tables), tables["floor"])
    assert found["width"].tolist() == [3.0, 3.0, 4.0]
    assert found["floor"].tolist() == [0.45, 0.3, 0.225]
    caption = given(FIGURE.caption, tables)
    assert "pass it from width n + 2 (n = 1), n + 1 (n = 2, 3) on" in caption
    assert "the transition holds" in caption
    assert "(d) The promise is kept." in caption


def test_an_explicit_network_above_the_floor_denies_the_transition():
    tables = FAKE.tables(1)
    tables["network"].loc[tables["network"]["kind"] == "narrowest", "relative"] = 0.9
    assert given(FIGURE.verdict, tables).state == "not held"
    assert "transition does not hold" in given(FIGURE.caption, tables)


def test_an_explicit_network_measured_too_roughly_leaves_the_transition_open():
    """Half of the floor, by a sample whose four standard errors reach it."""
    tables = FAKE.tables(1)
    assert given(FIGURE.verdict, tables).state == "held"
    tables["network"].loc[tables["network"]["kind"] == "narrowest", "relative_stderr"] = 0.2
    assert given(FIGURE.verdict, tables).state == "open"
    assert "transition is neither confirmed nor refuted" in given(FIGURE.caption, tables)


def test_the_cube_has_a_panel_for_each_n_that_tells_and_no_more_than_fit():
    fits = pd.DataFrame({"target": FIGURE.CUBE, "target.input_dim": [1, 2, 3, 4, 5, 6, 7, 8]})
    network = pd.DataFrame({"kind": "narrowest", "input_dim": [1, 2, 3, 4, 5]})
    assert FIGURE.shown(fits, network) == [1, 2, 5, 8]
    assert FIGURE.shown(fits, network[network["input_dim"] < 2]) == [1, 2, 8]
    assert FIGURE.shown(fits.iloc[:4], network) == [1, 2, 3, 4]


def test_of_each_n_the_floor_ends_below_the_width_of_the_star():
    """So that grey is what no network reaches, and no trained network of a width without a floor stands on it."""
    tables = FAKE.tables(1)
    with plotting.style():
        panels = given(FIGURE.figure, tables).axes
    for dim, axes in zip(FAKE.DIMS, panels, strict=False):
        lines = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
        floor, star = lines["floor, width < max$(n,2)$"], lines["explicit, width max$(n,2)$"]
        assert set(floor.get_ydata()) == {FAKE.below(dim)}
        assert star.get_xdata().tolist() == [max(dim, 2) - dim]
        assert floor.get_xdata()[1] == max(dim, 2) - dim - 0.5


def test_no_two_widths_have_one_colour():
    assert len({look["color"] for look in FIGURE.OTHERS}) == len(FIGURE.OTHERS)


def test_no_two_entries_of_a_legend_look_alike():
    tables = FAKE.tables(1)
    with plotting.style():
        panels = given(FIGURE.figure, tables).axes
    for axes in panels:
        lines = [handle if isinstance(handle, Line2D) else handle[0] for handle in axes.get_legend_handles_labels()[0]]
        looks = [(line.get_color(), line.get_marker(), str(line.get_linestyle())) for line in lines]
        assert len(set(looks)) == len(looks) > 2
