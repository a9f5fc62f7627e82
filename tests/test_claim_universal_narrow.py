"""Universal narrow networks on shared targets: errors and promises by other routes, floors, numbers of the figure."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from claims import claim, figure_of
from matplotlib.lines import Line2D
from scripts import ROOT, load
from test_figures import given

from widththeory import plotting
from widththeory.bounds.affine_pieces import square_floor
from widththeory.constructions.lipschitz_narrow import DistanceToPoints

FIGURE = figure_of("universal_narrow")
FAKE = load(ROOT / "tests" / "fake_tables" / "universal_narrow.py")
EXPERIMENT = load(ROOT / "experiments" / "universal_narrow.py")
DISTANCE, PARABOLA = EXPERIMENT.DISTANCE, EXPERIMENT.PARABOLA
KINDS = sorted(EXPERIMENT.SCALES["laptop"].counts)


@pytest.fixture(scope="module")
def made():
    return claim("universal_narrow")


def test_no_smoke_fit_lies_under_its_floor(made):
    fits = FIGURE.compared(made.table, made.floor, made.network)
    assert len(FIGURE.under_floor(fits)) == 0
    assert (fits["sup_floor"] > 0).sum() >= 4
    assert (fits[["sup", "l2", "l1"]].to_numpy() > 0).all()


def test_no_explicit_network_lies_under_a_floor(made):
    """A floor of a width and depth bounds narrower and shallower networks too."""
    rows = made.network.merge(made.floor.rename(columns={"target.input_dim": "input_dim"}), on=["target", "input_dim"])
    rows = rows[(rows["width_x"] <= rows["width_y"]) & (rows["depth_x"] <= rows["depth_y"])]
    assert (rows["sup_floor"] > 0).sum() >= 10
    for norm in ("sup", "l2", "l1"):
        assert (rows[norm] >= rows[f"{norm}_floor"] * (1 - 1e-9)).all()  # rounding of exact errors
    # in the plane, at width 2 and any depth, the largest error seen at 5000 points is above the floor in sup
    plane = made.floor[made.floor["depth"] == 0].iloc[0]
    narrow = made.network[made.network["kind"] == "narrowest"]
    assert plane["sup_floor"] > 0.05
    assert (narrow["sup"] >= plane["sup_floor"]).all()
    assert narrow["l2"].min() < plane["sup_floor"]


def test_promises_are_kept_and_near(made):
    rows = made.network[made.network["bound"] > 0]
    assert set(rows["kind"]) >= {
        "grid",
        "chords",
        "exchange",
        "digits",
        "memoriser",
        "narrowest",
        "trapezoid",
        "planes",
    }
    assert (rows["error"] - 4 * rows["stderr"] <= rows["bound"] * (1 + 1e-9)).all()
    assert (rows["error"] >= 0.2 * rows["bound"]).all()
    planes = rows[rows["kind"] == "planes"]  # attained: at corners of cells, which the grid in the plane has
    np.testing.assert_allclose(planes["error"], planes["bound"], rtol=1e-9)
    exact = made.network[made.network["kind"] == "maxima"]
    assert (exact[["sup", "l2", "l1"]].to_numpy() == 0).all()


@pytest.mark.parametrize("place", KINDS)
def test_size_and_errors_of_one_network_by_sampling(place):
    """The formula of the size, and |network - target| at 300 points in rational arithmetic where there is one."""
    name, dim, kind = place
    one = EXPERIMENT.made(name, dim, kind, 4)
    network = one.network()
    assert network.size == one.size
    target = EXPERIMENT.target_of(name, dim)
    points = target.sample(60 if dim == 2 else 300, np.random.default_rng(0))
    outputs = network.exact(points)[:, 0].astype(float) if network.is_rational else network(points)[:, 0]
    gap = np.abs(outputs - target.target(points))
    found = {"sup": gap.max(), "l2": np.sqrt(np.mean(gap**2)), "l1": gap.mean()}
    measured = EXPERIMENT._on_line(name, kind, network) if dim == 1 else EXPERIMENT._in_plane(name, network, 2000)
    assert found["sup"] <= measured["sup"] * 1.1 + 1e-12  # in the plane and for digits the largest of a sample
    for norm, power in (("l2", 2), ("l1", 1)):
        spread = np.std(gap**power) / np.sqrt(len(gap))
        assert abs(found[norm] ** power - measured[norm] ** power) <= 5 * spread + 1e-12


def test_float64_carries_the_windows():
    """At the largest grid of the laptop scale; windows of 2^-20 of a cell and projections multiply to 2^45.

    The tolerance is a tenth of the error that is measured at this grid, 0.018.
    """
    for kind in ("memoriser", "narrowest"):
        network = EXPERIMENT.made(DISTANCE, 2, kind, 15).network()
        points = np.random.default_rng(2).random((25, 2))
        np.testing.assert_allclose(
            network.float64()(points)[:, 0], network.exact(points)[:, 0].astype(float), atol=2e-3
        )


def test_distance_is_a_difference_of_maxima_in_rationals():
    one, network = DistanceToPoints(1, 1, EXPERIMENT.NUM_CENTRES), EXPERIMENT.difference_of_maxima().network()
    points = [Fraction(i, 97) for i in range(98)]
    centres = [Fraction(c) for c in one.centres()[:, 0]]
    expected = [min(abs(x - c) for c in centres) for x in points]
    assert network.exact([[x] for x in points])[:, 0].tolist() == expected
    assert network.size.width == 3


def test_the_exact_target_is_the_target():
    for seed in range(4):
        one = DistanceToPoints(1, 2, 5, seed=seed)
        points = np.random.default_rng(seed).random((500, 1))
        np.testing.assert_allclose(one.exact_target(points[:, 0]), one.target(points), atol=1e-15)
        assert one.exact_target.num_pieces == 2 * len(np.unique(one.centres()))
    assert DistanceToPoints(2, 2).exact_target is None


def test_needed_depths_are_the_least(made):
    assert (made.needed["promise"].min(), len(made.needed)) == (0.01, 3 * (len(KINDS) - 1))
    for row in made.needed[made.needed["promise"] > 0.02].itertuples():
        one = EXPERIMENT.made(row.target, row.input_dim, row.kind, row.count)
        assert one.bound <= row.promise
        assert one.size.depth == row.depth
        if row.count > 2:
            assert EXPERIMENT.made(row.target, row.input_dim, row.kind, row.count - 1).bound > row.promise


def test_floors_of_the_parabola_are_half_those_of_the_square(made):
    rows = made.floor[made.floor["target"] == PARABOLA]
    for row in rows.itertuples(index=False):
        assert row.l2_floor == square_floor((row.width,) * row.depth, "l2").lower / 2
    line = made.floor[(made.floor["target"] == DISTANCE) & (made.floor["target.input_dim"] == 1)]
    # eight pieces: fewer are not enough, and as many are
    assert ((line["sup_floor"] > 0) == ((line["width"] + 1) ** line["depth"] < 8)).all()


# --- the figure ------------------------------------------------------------------------------------------------------


def test_slopes_are_those_of_the_formula():
    found = FIGURE.slopes(FAKE.tables(1)["network"])
    assert len(found) == len(FAKE.KINDS)  # the exact one has no slope
    powers = {(target, dim, kind): power for target, dim, kind, *_, power in FAKE.KINDS}
    for row in found.itertuples():
        power = powers[row.target, row.input_dim, row.kind]
        assert row.measured == pytest.approx(power, rel=1e-9)
        assert row.promised == pytest.approx(power, rel=1e-9)
        assert row.limit == power
    assert found["kept"].all()
    assert found["agrees"].all()


@pytest.mark.parametrize("change", ["broken", "slow"])
def test_a_promise_not_kept_denies_the_claim(change):
    tables = FAKE.tables(1)
    rows = tables["network"]
    one = (rows["kind"] == "grid") & (rows["input_dim"] == 1)
    if change == "broken":
        rows.loc[one & (rows["depth"] == 64), "error"] *= 2.5
    else:
        rows.loc[one, "error"] = 0.01
    assert given(FIGURE.verdict, tables).state == "not held"
    assert "the claim does not hold;" in given(FIGURE.caption, tables)


def test_gaps_are_to_networks_no_wider_and_no_deeper():
    tables = FAKE.tables(2)
    fits = given(FIGURE.drawn, tables)
    line = fits[(fits["target"] == DISTANCE) & (fits["target.input_dim"] == 1)]
    assert line.loc[line["depth"] < 4, "explicit"].isna().all()
    assert (line.loc[line["depth"] == 4, "explicit"] == 0).all()
    gap = FIGURE.gaps(fits)
    # at four layers all: both widths on the line (0), the plane (1/8) and the parabola (1/64), against fits of 0.11 on
    assert len(gap) == 2 * (2 + 1 + 2)
    caption = given(FIGURE.caption, tables)
    assert f"In L2 {len(gap)} of {len(fits)} lie above an explicit one no larger" in caption


def test_under_floor_in_any_norm():
    base = {"sup": 0.5, "l2": 0.4, "l1": 0.3, "sup_floor": 0.5, "l2_floor": 0.4, "l1_floor": 0.3}
    rows = [base, {**base, "sup": 0.49}, {**base, "l2": 0.39}, {**base, "l1": 0.29}, {**base, "l1": np.nan}]
    assert FIGURE.under_floor(pd.DataFrame(rows)).index.tolist() == [1, 2, 3]


@pytest.mark.parametrize("widths", [(3, 4), (2, 3, 4, 5, 6, 10)])
def test_no_two_entries_of_a_legend_look_alike(widths):
    """Also where as many widths are trained as at paper scale, each with its floor."""
    tables = FAKE.tables(1)
    for part in ("", "floor"):
        rows = tables[part]
        line = (rows["target"] == DISTANCE) & (rows["target.input_dim"] == 1)
        more = [rows[line & (rows["width"] == 3)].assign(width=width) for width in widths]
        tables[part] = pd.concat([rows[~line], *more], ignore_index=True)
    with plotting.style():
        panels = given(FIGURE.figure, tables).axes
    for axes in panels:
        looks = []
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            line = handle if isinstance(handle, Line2D) else handle.lines[0]
            looks.append((line.get_color(), line.get_marker(), line.get_linestyle(), line.get_markerfacecolor()))
            assert label
        assert len(set(looks)) == len(looks) > 2
    trained = [label for label in panels[0].get_legend_handles_labels()[1] if label.startswith("trained")]
    assert trained == [f"trained, width {width}" for width in widths]


def test_exponents_are_told_beside_those_of_the_promises_and_no_theorem_gets_them():
    tables = FAKE.tables(1)
    labels = given(FIGURE.figure, tables).axes[0].get_legend_handles_labels()[1]
    assert "grid, width 4: \N{MINUS SIGN}1.00 / \N{MINUS SIGN}1.00" in labels
    tables["network"].loc[tables["network"]["kind"] == "memoriser", ["error", "bound"]] **= 0.8
    assert "exponents are within 0 % of it" in given(FIGURE.caption, tables)
    sentence = given(FIGURE.verdict, tables).sentence
    assert "construction promises" in sentence
    assert "(powers are within 20 % of those that the promises tend to)" in sentence


def test_networks_ahead_are_those_under_a_deeper_explicit_one():
    network = pd.DataFrame(
        {"target": "f", "input_dim": 1, "depth": [4, 8, 2], "error": [1.0, 1.0, 0.0], "l2": [2.0, 1, 0]}
    )
    fits = pd.DataFrame({"target": "f", "dim": 1, "depth": [4, 4, 8, 8], "l2": [0.5, 1.5, 1.5, 0.5]})
    assert FIGURE.ahead(fits, network) == 1
