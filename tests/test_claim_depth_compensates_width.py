"""Depth compensates width: its floors and its fits at smoke scale, and the numbers of its figure."""

import dataclasses
import inspect

import numpy as np
import pandas as pd
import pytest
from claims import claim, figure_of
from matplotlib.axes import Axes
from matplotlib.text import Text
from scripts import ROOT, load

from widththeory.constructions.wide_random import RandomWideNetwork

FIGURE = figure_of("depth_compensates_width")
EXPERIMENT = load(ROOT / "experiments" / "depth_compensates_width.py")
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


def test_floors_are_of_the_sizes_that_are_fitted(monkeypatch):
    """Also where the paper's table has more targets than the grid, as at paper scale."""
    sizes = dataclasses.replace(EXPERIMENT.SCALES["smoke"], num_targets=1, num_table_targets=3)
    monkeypatch.setitem(EXPERIMENT.SCALES, "smoke", sizes)
    config = EXPERIMENT.Config(scale="smoke")
    fitted = {(*(value for _, value in fit.target_args), fit.width, fit.depth) for fit in EXPERIMENT.settings(config)}
    assert set(EXPERIMENT.floors(config)[SIZE].itertuples(index=False, name=None)) == fitted


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
    ("errors", "after", "depth"),
    [
        ({1: 1e-1, 2: 1e-2, 8: 1e-4}, 2, 8),
        ({1: 1e-1, 4: 1e-3}, 1, 4),
        ({2: 1e-4, 4: 1e-5}, 0, 2),  # the first is good enough: the depth is only bounded from above
        ({1: 1e-1, 2: 5e-2}, 2, np.inf),  # none is: only from below
        ({1: 1e-1, 2: 1e-2, 4: 1e-2, 16: 1e-4, 32: 1.0}, 4, 16),  # where it falls first; a later rise is the fit's
        ({8: 1e-4, 1: 1e-1, 2: 1e-2}, 2, 8),  # in any order
    ],
)
def test_depth_needed(errors, after, depth):
    (row,) = FIGURE.depth_needed(fits_of(errors), 1e-3).to_dict("records")
    assert (row["width"], row["after"], row["depth"]) == (8, after, depth)


def test_depth_needed_leaves_lost_fits_out():
    fits = fits_of({1: 1e-1, 2: 1e-9, 4: 1e-3})
    fits["diverged"] = [0.0, 1.0, 0.0]
    assert FIGURE.depth_needed(fits, 1e-3)[["after", "depth"]].to_numpy().tolist() == [[1, 4]]


def test_depth_needed_of_all_targets():
    both = pd.concat([fits_of({1: 1e-1, 4: 1e-3}), fits_of({1: 1e-4}).assign(width=16)])
    found = FIGURE.depth_needed(both, 1e-3)
    assert found[["width", "after", "depth"]].to_numpy().tolist() == [[8, 1, 4], [16, 0, 1]]


def cells_of_a_law(exponent, depths, num_targets=40):
    """Targets whose depth is c_k width^exponent up to noise, looked at on a grid of depths."""
    rng, rows = np.random.default_rng(0), []
    ends = [0, *depths, np.inf]
    for k, scale in ((3, 30.0), (4, 90.0)):
        for seed in range(num_targets):
            for width in (4, 8, 16, 32):
                depth = scale * width**exponent * np.exp(rng.normal(0, 0.5))
                at = int(np.searchsorted(ends, depth))
                rows.append((1, k, seed, width, ends[at - 1], ends[at]))
    return pd.DataFrame(rows, columns=[*FIGURE.TARGET, "width", "after", "depth"])


def test_the_exponent_is_that_of_all_targets_not_of_those_within_reach():
    """Narrow networks of hard targets leave the grid above, wide ones of easy targets below: left out, they bend p."""
    needed = cells_of_a_law(-1.2, (1, 2, 3, 4, 6, 8))
    found = FIGURE.law(needed)
    assert found.num_left > 20
    assert found.num_right > 60
    assert found.low < -1.2 < found.high
    assert found.high - found.low < 0.4
    inside = needed[(needed["after"] > 0) & np.isfinite(needed["depth"])]
    assert FIGURE.law(inside).slope > found.high + 0.2


def test_the_likelihood_tells_a_power_from_an_exponential():
    power = cells_of_a_law(-1.2, range(1, 40))
    assert FIGURE.law(power).log_likelihood > FIGURE.law(power, np.reciprocal).log_likelihood + 5


def test_no_exponent_from_too_few_crossings():
    widths = {"width": [4, 8, 16, 32], "after": [6.0, 3.0, 1.0, 1.0], "depth": [8.0, 4.0, 2.0, 2.0]}
    needed = pd.DataFrame({**widths, **dict.fromkeys(FIGURE.TARGET, 0)})
    assert FIGURE.law(needed).slope < 0
    assert " (no interval) (exponential in" in FIGURE._law_text(needed)  # of one target, where it was [nan, nan]
    assert FIGURE.law(needed.iloc[:3]) is None
    assert FIGURE.law(needed.assign(width=4)) is None
    assert FIGURE.law(needed.assign(after=0.0)) is None
    assert FIGURE.law(needed.assign(depth=np.inf)) is None


def test_a_size_out_of_reach_is_drawn_as_such():
    needed = pd.DataFrame({"width": [4] * 3 + [8] * 3 + [16] * 3, "depth": [4, *[np.inf] * 2, 2, 6, np.inf, 1, 2, 3]})
    found = FIGURE.spans(needed, 8.0)
    assert found[["middle", "low", "high"]].to_numpy().tolist() == [[8, 4, 8], [6, 2, 8], [2, 1, 3]]
    assert found["reached"].tolist() == [False, True, True]
    assert found["cut"].tolist() == [True, True, False]


def test_theorem_4_is_drawn_under_its_hypothesis_only():
    tables = FAKE.tables(1)
    assert "Theorem 4" not in FIGURE.caption(*(tables[part] for part in ("", "floor", "recalled")))  # k is 3 and 4
    for part in tables.values():
        part["target.k"] += 1
    assert "Theorem 4" in FIGURE.caption(*(tables[part] for part in ("", "floor", "recalled")))
    crosses = [
        line
        for axes in FIGURE.figure(*(tables[part] for part in ("", "floor", "recalled"))).findobj(Axes)
        for line in axes.lines
        if line.get_marker() == "x"
    ]
    assert [(*line.get_xdata(), *line.get_ydata()) for line in crosses] == [(11, 6)]  # n = 1, k = 5


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


def test_certified_floors_and_estimated_ones_are_counted_apart():
    tables = FAKE.tables(1)
    floor = tables["floor"]
    two = floor["target.input_dim"] == 2
    few = two & (floor["depth"] < 16)
    floor.loc[few, "relative_floor_stderr"] = 0.3 * floor.loc[few, "relative_floor"]  # less four of them it is below 0
    certified, sampled = FIGURE.floored(tables[""], floor)
    assert set(certified["target.input_dim"]) == {1}
    assert set(sampled["target.input_dim"]) == {2}
    assert len(certified) == 2 * (4 * 5 * 2 + 1)  # all fits for one input: the grid at two rates, and a student
    assert len(sampled) == 2 * 4 * 2
    given = tables[""], floor, tables["recalled"]
    said = FIGURE.caption(*given)
    assert f"none of {len(certified)} trained networks with a positive certified floor (n = 1) lies under it" in said
    assert f"and 0 of {len(sampled)} lie under floors by random lines" in said
    assert "exact students exist for 2 of 2 targets of n = 1" in FIGURE.verdict(*given).sentence
    floor.loc[~two, "relative_floor"] = 0.0
    only = f"0 of {len(sampled)} trained networks lie under a floor by random lines"
    assert FIGURE.verdict(*given).check.startswith(only)


def of_sizes(floors):
    """Rows of floors by width, depth and seed."""
    rows = [(1, 3, seed, *size, value, 0.0) for size, values in floors.items() for seed, value in enumerate(values)]
    return pd.DataFrame(rows, columns=[*SIZE, "relative_floor", "relative_floor_stderr"])


def test_the_floor_is_asked_for_the_sizes_of_the_grid_only():
    """The paper's student is tabulated at its own depth; it is no width of the grid, and a third target none of it."""
    floor = of_sizes({(4, 1): (1e-2, 1e-4, 1.0), (4, 2): (1e-4, 0.0, 1.0), (34, 6): (0.0, 0.0, 0.0)})
    grid = pd.concat([fits_of({1: 1.0, 2: 1.0}, width=4, **{"target.seed": seed}) for seed in (0, 1)])
    allowed = FIGURE.depth_allowed(floor, FIGURE.depth_needed(grid, 1e-3), 1e-3)
    assert allowed[["target.seed", "width", "depth"]].to_numpy().tolist() == [[0, 4, 2], [1, 4, 1]]
    assert FIGURE._silent(grid, floor) == []
    floor["relative_floor"] /= 100
    assert FIGURE._silent(grid, floor) == [1]
    floor["relative_floor"] = 1.0
    assert np.isinf(FIGURE.depth_allowed(floor, FIGURE.depth_needed(grid, 1e-3), 1e-3)["depth"]).all()
    floor["relative_floor_stderr"] = 0.25  # four of them
    assert FIGURE._silent(grid, floor) == [1]


def test_a_floor_that_rules_nothing_out_is_said():
    tables = FAKE.tables(1)
    for factor, panels in ((1.0, 0), (1e-3, 2)):
        tables["floor"]["relative_floor"] *= factor
        picture = FIGURE.figure(tables[""], tables["floor"], tables["recalled"])
        assert sum("rules out no depth" in text.get_text() for text in picture.findobj(Text)) == panels


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
    assert "(e) Ours are all lost or not computed. Depth goes" in FIGURE.caption(*fail(FAKE.tables(1), "adadelta"))
    with pytest.raises(ValueError, match="every fit of the grid failed or diverged, so that there is nothing to draw"):
        FIGURE.figure(*fail(FAKE.tables(1), "adam"))


def tilted(dims, slope, seeds=3):
    """Tables whose errors reach 1e-3 at a depth of 4 (width / 8)^slope, times up to 2 or less by chance, in `dims`."""
    tables, rng = FAKE.tables(seeds), np.random.default_rng(0)
    fits = tables[""]
    grid = (fits["optimizer"] == "adam") & fits["target.input_dim"].isin(dims)
    names = ["target.input_dim", "target.k", "target.seed", "width"]
    chance = {key: 2 ** rng.uniform(-1, 1) for key in fits[names].itertuples(index=False, name=None)}
    noise = np.array([chance[key] for key in fits[names].itertuples(index=False, name=None)])
    reached = fits["depth"] >= 4 * (fits["width"] / 8) ** slope * noise
    error = pd.Series(np.where(reached, 5e-4, 5e-2) * np.where(fits["learning_rate"] == 0.01, 1, 3))
    fits.loc[grid, "test_mse"] = fits.loc[grid, "train_mse"] = 0.5 * error[grid]
    fits.loc[grid, "exact_l2_error"] = np.sqrt(0.5 * error[grid]).where(fits["target.input_dim"] == 1)
    tables["floor"]["relative_floor"] = 0.0  # which says nothing here
    return [tables[part] for part in ("", "floor", "recalled")]


@pytest.mark.parametrize(
    ("dims", "slope", "state"),
    [((1, 2), -1.0, "held"), ((1, 2), 1.0, "not held"), ((1, 2), 0.0, "open"), ((2,), 0.0, "open")],
)
def test_the_verdict_is_that_of_the_intervals(dims, slope, state):
    """Depths that fall with the width, rise with it, and do neither, in both dimensions or in one of them."""
    fits, floor, recalled = tilted((1, 2), -1.0)
    other = tilted(dims, slope)[0]
    fits = fits.where(~fits["target.input_dim"].isin(dims), other)
    assert FIGURE.verdict(fits, floor, recalled).state == state


def test_a_dimension_without_an_exponent_leaves_the_claim_open():
    """The claim is of every number of inputs; where all depths suffice nothing is known of one."""
    fits, floor, recalled = tilted((1, 2), -1.0)
    easy = (fits["target.input_dim"] == 2) & (fits["optimizer"] == "adam")
    fits.loc[easy, ["train_mse", "test_mse"]] = 1e-6
    assert FIGURE.verdict(fits, floor, recalled).state == "open"
