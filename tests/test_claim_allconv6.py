"""Nine allconv6 networks: the grid against the family, the figure's numbers against numbers by hand."""

import numpy as np
import pandas as pd
import pytest
from claims import claim, figure_of
from scipy.stats import ttest_ind
from scripts import ROOT, load

FIGURE = figure_of("allconv6")
FAKE = load(ROOT / "tests" / "fake_tables" / "allconv6.py")
EXPERIMENT = load(ROOT / "experiments" / "allconv6.py")


@pytest.fixture(scope="module")
def made():
    return claim("allconv6")


# --- the grid --------------------------------------------------------------------------------------------------------


def test_laptop_nets_by_hand():
    cells = EXPERIMENT.cells(EXPERIMENT.Config(scale="laptop", seeds=1, learning_rates=(0.1,), tasks=("hard",)))
    widths = dict(zip(cells["net"], cells["widths"], strict=True))
    assert widths == {
        0: "16-32-64-128-128",
        1: "4-8-16-32-32",
        2: "8-16-16-32-32",
        3: "4-8-32-64-32",
        4: "4-8-16-32-64",
        5: "8-16-32-64-64",
        6: "16-32-32-64-64",
        7: "8-16-64-128-64",
        8: "8-16-32-64-128",
    }
    # 9 (3 16 8^2 + 16 32 4^2 + 32 64 2^2 + 64 128 + 128 128) + 128 8
    first = cells[cells["net"] == 0].iloc[0]
    assert first["multiply_adds"] == 9 * (3 * 16 * 64 + 16 * 32 * 16 + 32 * 64 * 4 + 64 * 128 + 128 * 128) + 128 * 8
    assert set(cells["chance"]) == {1 / 8}


def test_easy_and_hard_are_of_equal_size():
    cells = EXPERIMENT.cells(EXPERIMENT.Config(scale="laptop", seeds=1))
    sizes = cells.groupby("task")[["num_train", "num_test", "image_size", "chance"]].agg(["min", "max"])
    assert set(cells["task"]) == {"easy", "hard"}
    assert (sizes.loc["easy"] == sizes.loc["hard"]).all()


def test_flags_restrict_the_grid():
    one = EXPERIMENT.Config(scale="smoke", only=("5",), tasks=("hard",), seeds=1, learning_rates=(0.3,))
    (fit,) = EXPERIMENT.settings(one)
    assert dict(fit.model_args)["widths"] == (4, 4, 8, 8, 8)
    assert fit.learning_rate == 0.3
    assert fit.num_steps == 8  # 2 passes over 256 images, 64 a step
    assert fit.augment == "none"  # the mirror image of a texture belongs to another class
    with pytest.raises(ValueError, match="only must be of 0, 5, got 9"):
        EXPERIMENT.settings(EXPERIMENT.Config(scale="smoke", only=("9",)))
    with pytest.raises(ValueError, match="folders must be given with --images folder"):
        EXPERIMENT.settings(EXPERIMENT.Config(scale="smoke", images="folder"))


def test_cells_and_rows_say_the_same(made):
    both = made.table.merge(made.cells, on="key", suffixes=("", "_cell"))
    assert len(both) == len(made.table) == len(made.cells)
    for name in ("num_params", "multiply_adds"):  # measured, and by formula before the fit
        assert (both[name] == both[f"{name}_cell"]).all()
    assert (both["task"] == both["images.difficulty"]).all()
    # The last point of the learning curve is the final accuracy, a share of the test images.
    assert (both["accuracy_at_8"] == both["test_accuracy"]).all()
    assert np.allclose(both["test_accuracy"] * both["num_test"] % 1, 0)


# --- the figure ------------------------------------------------------------------------------------------------------


def test_student_interval_by_hand():
    rows = [
        ("easy", net, value) for net, values in {0: (0.5, 0.6, 0.7), 5: (0.1, 0.2, 0.3)}.items() for value in values
    ]
    fits = pd.DataFrame([*rows, ("hard", 0, 0.9)], columns=["task", "net", "test_accuracy"]).assign(status="done")
    found = FIGURE.gain(fits, "easy", 5, 0)
    # Both standard deviations are 0.1; t(0.975, 4) = 2.7764 (Fisher and Yates, Table III) to five digits.
    half = 2.7764 * 0.1 * np.sqrt(2 / 3)
    assert found.value == pytest.approx(0.4)
    assert (found.low, found.high) == pytest.approx((0.4 - half, 0.4 + half), abs=1e-5)
    by_scipy = ttest_ind([0.5, 0.6, 0.7], [0.1, 0.2, 0.3]).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(by_scipy), rel=1e-12)  # rounding
    assert np.isnan(FIGURE.gain(fits.drop_duplicates(["task", "net"]), "easy", 5, 0).low)
    assert FIGURE.gain(fits, "hard", 5, 0).n == 0


def test_the_learning_rate_is_chosen_by_training_loss():
    fits = FIGURE.drawn(*FAKE.tables(2).values())
    assert set(fits["learning_rate"]) == {0.02}  # the other has the better test accuracy
    assert len(fits) == 2 * 9 * 2


def test_verdict_and_caption_of_the_formula():
    tables = FAKE.tables(3)
    found = FIGURE.verdict(*tables.values())
    # 0.98 and 0.98 with equal seeds; 0.50 - 0.44; s = 0.002, t(0.975, 18) = 2.1009: half an interval is 0.0034.
    assert found.state == "held"
    assert "by +0.0 points [-0.3, +0.3] on the easy task" in found.sentence
    assert "by +6.0 points [+5.7, +6.3] on the hard task" in found.sentence
    assert found.best_fit == pytest.approx(0.502)
    caption = FIGURE.caption(*tables.values())
    assert "the claim holds. (a)" in caption
    assert "by +0.0 points [-0.3, +0.3] on the easy task and +6.0 points [+5.7, +6.3] on the hard task. " in caption
    assert " 9 allconv6 networks, the widest of w0; " in caption
    some = tables[""]["model.widths"].isin(["w0", "w5"])
    fewer = FIGURE.caption(tables[""][some], tables["cells"])
    assert " 2 allconv6 networks, the widest of w0; " in fewer
    assert "; doubling layers of the quarter net on the hard task: 1-2: " in found.sentence
    assert "3-4: +9.0 points [+8.7, +9.3]" in found.sentence
    assert found.sentence.endswith("; 3-4 pays most")


@pytest.mark.parametrize(("half", "state"), [(0.44, "held"), (0.5, "not held"), (0.49, "not held"), (None, "open")])
def test_states(half, state):
    tables = FAKE.tables(3)
    rows = (tables[""]["images.difficulty"] == "hard") & (tables[""]["model.widths"] == "w5")
    if half is None:  # seeds scatter so that nothing can be told
        tables[""].loc[rows, "test_accuracy"] += 0.5 * (tables[""]["seed"] - 1)
    else:
        tables[""].loc[rows, "test_accuracy"] += half - FAKE.HARD[5]
    assert FIGURE.verdict(*tables.values()).state == state


@pytest.mark.parametrize(("loss", "state"), [(0.0, "open"), (0.1, "not held")])
def test_one_task_is_not_taken_for_the_other(loss, state):
    """A table whose hard task is not computed yet was judged by the easy one twice: it loses little, "not held"."""
    tables = FAKE.tables(3)
    some = tables[""]["images.difficulty"] == "easy"
    tables[""].loc[tables[""]["model.widths"] == "w5", "test_accuracy"] -= loss
    found = FIGURE.verdict(tables[""][some], tables["cells"])
    assert found.state == state
    assert found.sentence.count("on the easy task") == 1 + found.sentence.count("net on the easy task")
    assert found.short == ""


def test_a_task_on_which_all_nets_are_as_good_has_a_sentence_and_no_panels():
    tables = FAKE.tables(3)  # 0.97 and 0.98 on the easy task
    titles = [axes.get_title() for axes in FIGURE.figure(*tables.values()).axes]
    assert titles == ["(a) hard task, on the way", "(b) hard task, at the end", "(c) gain by doubling"]
    assert "On the easy task, drawn in (c) alone, all networks reach 97.2 to 98.2 %." in FIGURE.caption(
        *tables.values()
    )
    tables[""].loc[tables[""]["model.widths"] == "w1", "test_accuracy"] -= 0.1
    assert len(FIGURE.figure(*tables.values()).axes) == 5
    caption = FIGURE.caption(*tables.values())
    assert "drawn in" not in caption
    assert all(f"({letters}) " in caption for letters in ("a, c", "b, d", "e"))


def test_accuracy_is_drawn_against_work():
    (_, right, _) = FIGURE.figure(*FAKE.tables(1).values()).axes
    assert right.get_xscale() == "log"
    drawn = sorted(float(bar.lines[0].get_xdata()[0]) for bar in right.containers)
    assert drawn == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_the_title_is_what_the_verdict_says():
    tables = FAKE.tables(3)
    assert FIGURE.figure(*tables.values()).get_suptitle() == FIGURE.TITLES["held"]
    assert FIGURE.figure(*FAKE.tables(1).values()).get_suptitle().endswith("? Undecided")
