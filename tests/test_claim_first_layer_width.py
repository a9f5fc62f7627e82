"""First-layer width: only it changes, where a curve saturates by hand and by its interval, what the caption says."""

import numpy as np
import pandas as pd
import pytest
from claims import claim, figure_of
from scripts import ROOT, load

FIGURE = figure_of("first_layer_width")
FAKE = load(ROOT / "tests" / "fake_tables" / "first_layer_width.py")
EXPERIMENT = load(ROOT / "experiments" / "first_layer_width.py")


@pytest.fixture(scope="module")
def made():
    return claim("first_layer_width")


def fake(num_seeds=3):
    tables = FAKE.tables(num_seeds)
    return FIGURE.drawn(tables[""], tables["cells"])


# --- the grid ---------------------------------------------------------------------------------------------------------


def test_only_the_first_layer_changes():
    settings = EXPERIMENT.settings(EXPERIMENT.Config(scale="laptop"))
    widths = {dict(one.model_args)["widths"] for one in settings}
    assert len({rest for _, *rest in map(tuple, widths) for rest in [tuple(rest)]}) == 1
    assert min(first for first, *_ in widths) == 2
    assert max(first for first, *_ in widths) == 96
    others = {(one.num_steps, one.batch_size, one.weight_decay, one.optimizer, one.schedule) for one in settings}
    assert len(others) == 1
    # easy and hard are of equal size
    for name in ("image_size", "num_train", "num_test"):
        assert len({dict(one.images_args)[name] for one in settings}) == 1


def test_cost_is_affine_in_the_first_width():
    """Two layers see the width, and each is linear in it: three points of a scale are on a line."""
    cells = EXPERIMENT.cells(EXPERIMENT.Config(scale="laptop"))
    work = cells.groupby("width")["multiply_adds"].first()
    slopes = np.diff(work) / np.diff(work.index)
    assert len(set(slopes)) == 1
    # 27 and 9 * 16 weights a filter, on maps of 8x8 and 4x4
    assert slopes[0] == 27 * 64 + 9 * 16 * 16
    assert (cells["patch"] == 27).all()


def test_flags_choose():
    def chosen(**flags):
        return EXPERIMENT.cells(EXPERIMENT.Config(scale="laptop", **flags))

    assert set(chosen(only=("8", "96"))["width"]) == {8, 96}
    assert set(chosen(tasks=("hard",))["task"]) == {"hard"}
    with pytest.raises(ValueError, match="only must be of 2, 8"):
        chosen(only=("7",))


def test_smoke_rows_are_the_cells(made):
    merged = made.table.merge(made.cells, on="key", suffixes=("", "_formula"))
    assert len(merged) == len(made.table) == len(made.cells)
    np.testing.assert_array_equal(merged["multiply_adds"], merged["multiply_adds_formula"])
    np.testing.assert_array_equal(merged["num_params"], merged["num_params_formula"])


# --- where a curve saturates ------------------------------------------------------------------------------------------


def test_first_enough_by_hand():
    means = pd.Series({2: 0.5, 4: 0.70, 8: 0.68, 16: 0.695, 32: 0.70})
    assert FIGURE.first_enough(means, "test_accuracy") == 16  # 4 is as good, but 8 falls behind again
    assert FIGURE.first_enough(pd.Series({2: 0.8, 4: 0.7}), "test_accuracy") == 2  # the narrow one is better
    assert FIGURE.first_enough(pd.Series({2: 0.1, 4: 0.7}), "test_accuracy") == 4
    assert FIGURE.first_enough(pd.Series({2: 1.0, 4: 0.55, 8: 0.555, 16: 0.54}), "test_loss") == 4


def test_saturation_of_the_formula():
    fits = fake()
    for task, width in FAKE.ENOUGH_AT.items():
        for metric in ("test_accuracy", "test_loss"):
            found = FIGURE.saturation(fits[(fits["task"] == task) & (fits["activation"] == "relu")], metric)
            # three points a doubling, against a tenth of a point between seeds
            assert (found.value, found.low, found.high, found.n) == (width, width, width, 3)


def rows_of(values):
    return pd.DataFrame([
        {"width": width, "test_accuracy": one, "test_loss": 2 - one, "status": "done"}
        for width, own in values.items()
        for one in own
    ])  # fmt: skip


def test_the_interval_by_hand():
    """Student's, s = 0.01 at each width: t(0.975, 6) = 2.4469, so that a difference is known to 0.0200.

    8 filters are 2.8 points behind, which allows 0.8: it may be enough. Resampling three seeds would exclude it.
    """
    values = {2: (0.39, 0.40, 0.41), 8: (0.462, 0.472, 0.482), 32: (0.49, 0.50, 0.51)}
    found = FIGURE.saturation(rows_of(values))
    assert (found.value, found.low, found.high, found.n) == (32, 8, 32, 3)
    worse = FIGURE.saturation(rows_of(values | {8: (0.45, 0.46, 0.47)}))  # 4 points, at least 2
    assert (worse.value, worse.low, worse.high) == (32, 32, 32)
    better = FIGURE.saturation(rows_of(values | {8: (0.502, 0.512, 0.522)}))  # -1.2 points, at most 0.8
    assert (better.value, better.low, better.high) == (8, 8, 8)
    found = FIGURE.saturation(rows_of(values), "test_loss")  # 2.8 points, of which 2 are allowed
    assert (found.value, found.low, found.high) == (32, 8, 32)


def test_one_width_tells_nothing():
    found = FIGURE.saturation(rows_of({8: (0.5, 0.6)}))
    assert (found.value, found.n) == (8, 2)
    assert np.isnan(found.low)


def test_one_seed_has_no_interval():
    fits = fake(1)
    found = FIGURE.saturation(fits[fits["task"] == "hard"][lambda rows: rows["activation"] == "relu"])
    assert found.value == 32
    assert np.isnan(found.low)
    assert FIGURE.told(found) == "32 (n = 1)"


# --- the figure ------------------------------------------------------------------------------------------------------


def test_the_learning_rate_is_chosen_by_training_loss():
    assert set(fake()["learning_rate"]) == {0.02}


def test_the_verdict():
    tables = FAKE.tables(3)
    assert FIGURE.verdict(tables[""], tables["cells"]).state == "held"
    said = FIGURE.verdict(tables[""], tables["cells"]).sentence
    assert "saturates at 4 [4, 4] filters on the easy task and at 32 [32, 32]" in said
    fits = tables[""]
    wide = fits["key"].str.contains("easy-relu-(?:32|96)")
    better = fits.assign(test_accuracy=fits["test_accuracy"] + 0.05 * wide)
    assert FIGURE.verdict(better, tables["cells"]).state == "not held"
    # the hard task saturates at 2 filters, before the easy one does at 4
    hard = fits["key"].str.startswith("hard")
    early = fits.assign(test_accuracy=fits["test_accuracy"].where(~hard, 0.4 + 0.001 * fits["seed"]))
    assert FIGURE.verdict(early, tables["cells"]).state == "not held"
    alone = FAKE.tables(1)
    assert FIGURE.verdict(alone[""], alone["cells"]).state == "open"


@pytest.mark.parametrize(("enough", "state"), [(4, "open"), (32, "not held")])
def test_one_task_is_not_taken_for_the_other(enough, state):
    """The easy task is to saturate below 24 filters; alone it was held to the 96 of the hard one, and told twice."""
    tables = FAKE.tables(3)
    fits = tables[""][tables[""]["images.difficulty"] == "easy"].copy()
    fits.loc[fits["model.widths"].str.strip("[]").astype(int) < enough, "test_accuracy"] -= 0.2
    found = FIGURE.verdict(fits, tables["cells"])
    assert found.state == state
    assert found.sentence.startswith(
        f"accuracy saturates at {enough} [{enough}, {enough}] filters on the easy task, of "
    )


def test_gain_and_cost_are_told():
    tables = FAKE.tables(3)
    said = FIGURE.verdict(tables[""], tables["cells"]).sentence
    assert "goes from 33.1 % with 2 filters to 45.1 % with 96" in said
    assert "for 32.3 times the multiply-adds" in said  # 97 / 3
    caption = FIGURE.caption(tables[""], tables["cells"])
    assert "task: accuracy at 4 [4, 4] and 32 [32, 32] filters, cross-entropy at 4 [4, 4] and 32 [32, 32]; " in caption
    assert ", from 33.1 to 45.1 % on the hard task. " in caption
    assert "n = 3 seeds" in caption


def test_a_task_on_which_width_does_not_matter_has_a_sentence_and_no_panels():
    tables = FAKE.tables(3)
    assert len(FIGURE.figure(tables[""], tables["cells"]).axes) == 4
    easy = tables[""]["images.difficulty"] == "easy"
    tables[""].loc[easy, "test_accuracy"] = 0.99
    titles = [axes.get_title() for axes in FIGURE.figure(tables[""], tables["cells"]).axes]
    assert titles == ["(a) hard task", "(b) hard task"]
    assert "On the easy task, not drawn, accuracy is 99.0 % at every width." in FIGURE.caption(*tables.values())
    assert "(a, b) Mean and range" in FIGURE.caption(*tables.values())


def test_the_title_asks_what_is_not_held():
    tables = FAKE.tables(1)
    assert FIGURE.figure(*tables.values()).get_suptitle().endswith("easy? Undecided")
    assert not FIGURE.figure(*FAKE.tables(3).values()).get_suptitle().endswith("?")
