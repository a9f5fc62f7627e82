"""The atlas of minimum width: its table against formulas of the papers, its networks against their guarantee."""

import numpy as np
import pytest
from claims import claim, figure_of
from scripts import ROOT, load

FIGURE = figure_of("minimum_width_atlas")
FAKE = load(ROOT / "tests" / "fake_tables" / "minimum_width_atlas.py")


@pytest.fixture(scope="module")
def made():
    return claim("minimum_width_atlas")


def cell(table, setting, n, m):
    rows = FIGURE.cells_of(table, setting)
    (row,) = rows[(rows["input_dim"] == n) & (rows["output_dim"] == m)].itertuples()
    return row


# --- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "formula"),
    [
        (("lp", "lp", "cube", "relu"), lambda n, m: max(n, m, 2)),  # Kim, Min, Park
        (("lp", "lp", "euclidean", "relu"), lambda n, m: max(n + 1, m)),  # Park et al.
        (("continuous", "sup", "cube", "relu+step"), lambda n, m: max(n + 1, m)),  # Park et al.
    ],
)
def test_settled_tables_are_the_formulas_of_their_papers(made, setting, formula):
    rows = FIGURE.cells_of(made.table, setting)
    assert len(rows) == 64
    expected = [formula(row.input_dim, row.output_dim) for row in rows.itertuples()]
    assert rows["lower"].tolist() == rows["upper"].tolist() == expected
    assert set(rows["status"]) == {"tight"}


def test_cells_by_hand(made):
    """Uniform norm: n + 1 for scalar functions with ReLU, curves in the plane need 3, Hwang's 4."""
    relu, leaky = ("continuous", "sup", "cube", "relu"), ("continuous", "sup", "cube", "leaky_relu")
    for n in range(1, 9):
        assert (cell(made.table, relu, n, 1).lower, cell(made.table, relu, n, 1).upper) == (n + 1, n + 1)
    assert cell(made.table, relu, 1, 2).upper == 3
    assert [cell(made.table, leaky, 2, m).lower for m in (2, 3)] == [4, 4]


def test_every_bound_has_a_source_and_no_two_contradict(made):
    table = made.table
    for side in ("lower", "upper"):
        assert (table[side].notna() == table[f"{side}_source"].notna()).all()
    both = table.dropna(subset=["lower", "upper"])
    assert len(both) > 1000
    assert (both["lower"] <= both["upper"]).all()
    assert ((table["status"] == "tight") == (table["lower"] == table["upper"])).all()


def test_the_known_disagreement_is_marked_where_it_is(made):
    disputed = made.table[made.table["conflict"].notna()]
    assert set(zip(disputed["input_dim"], disputed["output_dim"], strict=True)) == {(2, 2)}
    assert set(disputed["norm"]) == {"sup"}
    assert "leaky_relu" in set(disputed["activation"])
    assert "relu" not in set(disputed["activation"])


def test_panels_differ_and_stand_for_the_activations_they_name(made):
    bounds = {}
    for setting, _ in FIGURE.PANELS:
        bounds[setting] = tuple(FIGURE.cells_of(made.table, setting)[["lower", "upper"]].to_numpy().ravel())
    assert len(set(bounds.values())) >= len(bounds) - 1  # ReLU on R^n and ReLU with step have one formula
    for first, others in (
        (("lp", "lp", "cube", "relu"), ("leaky_relu", "tanh", "softplus")),
        (("continuous", "sup", "cube", "tanh"), ("sigmoid",)),
    ):
        for other in others:
            rows = FIGURE.cells_of(made.table, (*first[:3], other))
            assert tuple(rows[["lower", "upper"]].to_numpy().ravel()) == bounds[first]
    gelu = FIGURE.cells_of(made.table, ("lp", "lp", "cube", "gelu"))  # not monotone, which matters at (1, 1) only
    assert gelu[["lower", "upper"]].to_numpy().ravel().tolist() == [1, *bounds["lp", "lp", "cube", "relu"][1:]]
    assert gelu["status"].tolist() == ["open", *["tight"] * 63]


# --- the networks ----------------------------------------------------------------------------------------------------


def test_networks_have_the_least_width_and_keep_their_guarantee(made):
    setting = ("lp", "lp", "cube", "relu")
    for row in made.networks.itertuples():
        assert row.width == cell(made.table, setting, row.input_dim, row.output_dim).lower
    # A mean square that is within its bound stays so up to the error of its estimate from points.
    excess = made.networks["l2_error"] ** 2 - made.networks["l2_bound"] ** 2
    assert (excess <= 4 * made.networks["squared_error_stderr"]).all()
    assert (made.networks["l2_error"] > 0).all()
    for _, cells in made.networks.groupby(["input_dim", "output_dim", "seed"]):
        ordered = cells.sort_values("depth")
        assert (np.diff(ordered["depth"]) > 0).all()
        assert (np.diff(ordered["l2_error"]) < 0).all()


# --- the figure ------------------------------------------------------------------------------------------------------


def test_shades_and_numbers():
    nan = float("nan")
    cells = {
        (3, 3): (0, "3"),
        (3, 4): (1, "3\u20134"),
        (3, 5): (2, "3\u20135"),
        (3, 7): (3, "3\u20137"),
        (3, 11): (4, "3\u201311"),
        (3, 12): (5, "3\u201312"),
        (3, nan): (6, r"$\geq$3"),
        (nan, 5): (6, r"$\leq$5"),
        (nan, nan): (6, "open"),
        (4, 3): (7, "4\u20133"),
    }
    for bounds, expected in cells.items():
        assert (FIGURE.shade(*bounds), FIGURE.number(*bounds)) == expected


def test_the_caption_counts_and_accuses():
    tables = FAKE.tables(2)
    whole = FIGURE.caption(tables[""], tables["networks"])
    assert "(a) 16, (b) 16, (c) 4" in whole
    assert "the claim holds" in whole
    assert "its proven bound, which all 24 explicit networks keep" in whole
    assert "statements disagree at (2, 2)" in whole
    assert "defect" not in whole

    crossed = tables[""].copy()
    crossed.loc[3, "upper"] = crossed.loc[3, "lower"] - 1
    assert "1 lower bounds exceed an upper one, which is a defect" in FIGURE.caption(crossed, tables["networks"])
    broken = tables["networks"].copy()
    broken.loc[0, "l2_error"] = 3 * broken.loc[0, "l2_bound"]
    assert "1 of 24 explicit networks break, which is a defect" in FIGURE.caption(tables[""], broken)


def test_the_verdict_can_fail():
    tables = FAKE.tables(1)
    settled = tables[""].assign(upper=tables[""]["lower"], status="tight")
    assert "the claim does not hold" in FIGURE.caption(settled, tables["networks"])
