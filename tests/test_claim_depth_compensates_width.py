"""Depth compensates width: its floors and its fits at smoke scale, and the numbers of its figure."""

import inspect

import numpy as np
import pandas as pd
import pytest
from claims import claim, figure_of
from scripts import ROOT, load

from widththeory.constructions.wide_random import RandomWideNetwork

FIGURE = figure_of("depth_compensates_width")
FAKE = load(ROOT / "tests" / "fake_tables" / "depth_compensates_width.py")


@pytest.fixture(scope="module")
def made():
    return claim("depth_compensates_width")


def falls(values):
    return bool(np.all(np.diff(values) <= 0))


def test_no_smoke_fit_lies_under_its_floor_in_the_figure(made):
    _, *parts = inspect.signature(FIGURE.drawn).parameters
    drawn = FIGURE.drawn(made.table, *(made.parts[part] for part in parts))
    assert len(FIGURE.under_floor(drawn)) == 0


SIZE = ["target.input_dim", "target.k", "target.seed", "width", "depth"]


def test_floors_of_random_targets_fall_with_width_and_depth(made):
    floor = made.floor
    assert floor["relative_floor"].between(0, 1).all()
    assert (floor["relative_floor"] > 0).any()
    for by, others in (("width", "depth"), ("depth", "width")):
        for _, cells in floor.groupby([*SIZE[:3], others]):
            assert falls(cells.sort_values(by)["relative_floor"])
    for _, cells in floor.groupby(SIZE[:3]):
        exact = cells.dropna(subset="exchange_depth").sort_values("width")
        assert falls(exact["exchange_depth"])
        assert exact["exchange_depth"].min() >= 1


def test_where_an_exact_network_exists_nothing_is_excluded(made):
    """Two theorems about one size must not contradict each other."""
    exact = made.floor[made.floor["exchange_depth"] <= made.floor["depth"]]
    assert len(exact)
    assert (exact["relative_floor"] == 0).all()


def test_every_fit_of_random_targets_lies_above_the_floor_of_its_size(made):
    """All fits; squared errors over the variance by which the floor is divided, for one input both without sampling."""
    fits = made.table.drop(columns="target_variance").merge(made.floor, on=SIZE, how="left", validate="many_to_one")
    assert fits["relative_floor"].notna().all()
    one = fits[fits["target.input_dim"] == 1]
    assert len(one)
    assert (one["exact_l2_error"] ** 2 / one["target_variance"] > one["relative_floor"]).all()
    two = fits[fits["target.input_dim"] == 2]
    assert len(two)
    slack = 4 * np.hypot(two["test_mse_stderr"] / two["target_variance"], two["relative_floor_stderr"])
    assert (two["test_mse"] / two["target_variance"] + slack > two["relative_floor"]).all()


def test_variance_of_the_random_targets_is_that_of_their_samples(made):
    for row in made.floor.drop_duplicates(SIZE[:3]).to_dict("records"):
        target = RandomWideNetwork(row["target.input_dim"], row["target.k"], row["target.seed"])
        sample = target.target(target.sample(200_000, np.random.default_rng(1)))
        # One input: exact, so that the sample's own 0.5 % is all. Two: four lines, which vary by some ten per cent.
        assert row["target_variance"] == pytest.approx(
            np.var(sample), rel=0.02 if row["target.input_dim"] == 1 else 0.5
        )


def test_the_recalled_table_has_a_row_a_student(made):
    students = made.table[made.table["optimizer"] == "adadelta"]
    pairs = set(zip(students["target.input_dim"], students["target.k"], strict=True))
    assert set(zip(made.recalled["target.input_dim"], made.recalled["target.k"], strict=True)) == pairs
    assert (made.recalled["worst_mse"] >= made.recalled["average_mse"]).all()


# --- the figure ------------------------------------------------------------------------------------------------------


def fits_of(errors, **columns):
    """One target and width, with errors by depth."""
    target = {"target.input_dim": 1, "target.k": 3, "target.seed": 0, "width": 8}
    rows = [{**target, "depth": depth, "relative": error, "status": "done"} for depth, error in errors.items()]
    return pd.DataFrame(rows).assign(**columns)


@pytest.mark.parametrize(
    ("errors", "depth", "first"),
    [
        ({1: 1e-1, 2: 1e-2, 8: 1e-4}, 4.0, False),  # half-way between 2 and 8 in both logarithms
        ({1: 1e-1, 4: 1e-3}, 4.0, False),
        ({2: 1e-4, 4: 1e-5}, 2.0, True),
        ({1: 1e-1, 2: 5e-2}, np.nan, False),
        ({1: 1e-1, 2: 0.0}, 2.0, False),  # exact: there is no logarithm to interpolate
        ({1: 1e-1, 2: 1e-2, 4: 1e-2, 16: 1e-4, 32: 1.0}, 8.0, False),  # where it falls first; a later rise is the fit's
        ({8: 1e-4, 1: 1e-1, 2: 1e-2}, 4.0, False),  # in any order
    ],
)
def test_depth_needed(errors, depth, first):
    (row,) = FIGURE.depth_needed(fits_of(errors), 1e-3).to_dict("records")
    assert row["depth"] == pytest.approx(depth, rel=1e-12, nan_ok=True)
    assert row["first"] is first
    assert row["width"] == 8


def test_depth_needed_leaves_lost_fits_out():
    fits = fits_of({1: 1e-1, 2: 1e-9, 4: 1e-3})
    fits["diverged"] = [0.0, 1.0, 0.0]
    assert FIGURE.depth_needed(fits, 1e-3)["depth"].tolist() == [pytest.approx(4.0)]


def test_depth_needed_of_all_targets():
    both = pd.concat([fits_of({1: 1e-1, 4: 1e-3}), fits_of({1: 1e-4}).assign(width=16)])
    found = FIGURE.depth_needed(both, 1e-3)
    assert found[["width", "depth", "first"]].to_numpy().tolist() == [[8, pytest.approx(4.0), False], [16, 1.0, True]]


def test_exponent_of_a_power_law():
    widths = np.array([4, 4, 8, 16, 32])
    parts = [
        pd.DataFrame({"width": widths, "depth": 20 * scale * widths**-0.75, "first": False})
        .assign(**dict.fromkeys(FIGURE.TARGET, 0))
        .assign(**{"target.k": k})
        .iloc[skipped:]
        for k, scale, skipped in ((3, 1, 0), (4, 10, 2))  # the harder targets miss the narrow widths
    ]
    outside = pd.DataFrame({"width": [64, 2], "depth": [1.0, np.nan], "first": [True, False], "target.k": [3, 3]})
    for tables, n in ((parts[:1], 5), (parts, 8), ([*parts, outside], 8)):  # bounds and missing depths have no say
        found = FIGURE.exponent(pd.concat(tables))
        assert (found.exponent, found.n) == (pytest.approx(-0.75), n)
        assert found.low == pytest.approx(found.high)


def test_no_exponent_from_too_few_crossings():
    needed = pd.DataFrame(
        {"width": [4, 8, 16, 32], "depth": [8.0, 4.0, 2.0, 1.0], "first": False, **dict.fromkeys(FIGURE.TARGET, 0)}
    )
    assert FIGURE.exponent(needed) is not None
    assert FIGURE.exponent(needed.iloc[:3]) is None
    assert FIGURE.exponent(needed.assign(width=4)) is None
    assert FIGURE.exponent(needed.assign(first=True)) is None


def test_random_targets_under_their_floor():
    fits = pd.DataFrame(
        {
            "relative": [0.059, 0.061, 0.0999, 0.1, 0.0],
            "relative_stderr": [0.006, 0.006, 0.0, 0.0, 0.0],
            "relative_floor": [0.1, 0.1, 0.1, 0.1, 0.0],
            "relative_floor_stderr": [0.008, 0.008, 0.0, 0.0, 0.0],
        }
    )
    # Both errors together have a standard error of 0.01, four of which are allowed.
    assert FIGURE.under_floor(fits).index.tolist() == [0, 2]


def test_floor_allows_the_depth_of_the_easiest_target():
    floor = pd.DataFrame(
        {"width": [4, 4, 4, 4, 8, 8], "depth": [1, 2, 1, 2, 1, 2], "relative": [1.0, 1e-2, 1.0, 1e-3, 1.0, 0.5]}
    )
    assert FIGURE.depth_needed_floor(floor, 1e-3).to_dict() == {4: 2}


def test_the_best_by_training_loss_is_drawn_and_one_input_exactly():
    tables = FAKE.tables(1)
    fits = tables[""]
    fits.loc[fits["learning_rate"] == 0.1, "test_mse"] *= 1e-3  # tempting, but the test error has no say
    one = fits["target.input_dim"] == 1
    fits.loc[one, "target_variance"] = 0.6  # of a sample; the target's own is in the floor's table
    drawn = FIGURE.drawn(fits, tables["floor"])
    grid = drawn[drawn["protocol"] == "grid"]
    assert len(grid) == 2 * 2 * 4 * 5
    assert set(grid["learning_rate"]) == {0.01}
    np.testing.assert_allclose(grid["relative"], 3 / (grid["width"] * grid["depth"] ** 2), rtol=1e-12)
    exact = grid["target.input_dim"] == 1
    assert (grid.loc[exact, "relative_stderr"] == 0).all()
    np.testing.assert_allclose(grid.loc[~exact, "relative_stderr"], 0.01 * grid.loc[~exact, "relative"], rtol=1e-12)
    fits.loc[one, "test_mse"] *= 7  # the sampled error of one input is not what is drawn
    np.testing.assert_array_equal(FIGURE.drawn(fits, tables["floor"])["relative"], drawn["relative"])


def test_the_papers_table_counts_failed_targets():
    tables = FAKE.tables(3)
    fits = tables[""]
    paper = fits["optimizer"] == "adadelta"
    fits.loc[paper & (fits["target.k"] == 3) & (fits["target.seed"] == 1), ["status", "test_mse"]] = "failed", np.nan
    fits.loc[paper & (fits["target.seed"] == 2), "test_mse"] = 0.05
    drawn = FIGURE.drawn(fits, tables["floor"])
    rows = FIGURE.paper_rows(drawn[drawn["protocol"] == "paper"], tables["recalled"])
    assert rows["fits"].tolist() == ["n = 2 of 3", "n = 3"] * 2
    assert rows["average"].tolist() == pytest.approx([0.035, 0.09 / 3] * 2)
    assert rows["worst"].tolist() == [0.05] * 4
    assert (rows["recalled_average"] == 1e-3).all()


def fail(tables, optimizer):
    fits = tables[""]
    numbers = ["train_mse", "test_mse", "test_mse_stderr", "exact_l2_error"]
    fits.loc[fits["optimizer"] == optimizer, numbers] = np.nan
    fits.loc[fits["optimizer"] == optimizer, "status"] = "failed"
    return [tables[part] for part in ("", "floor", "recalled")]


def test_when_all_of_a_kind_failed():
    assert "Ours all failed. For n = 1" in FIGURE.caption(*fail(FAKE.tables(1), "adadelta"))
    with pytest.raises(ValueError, match="every fit of the grid failed or diverged, so that there is nothing to draw"):
        FIGURE.figure(*fail(FAKE.tables(1), "adam"))
