"""Width multipliers: the grid against the published networks, the figure's numbers against numbers by hand."""

import numpy as np
import pytest
from claims import claim, figure_of
from scipy.stats import f_oneway, ttest_ind
from scripts import ROOT, load

from widththeory.models.mobilenet import MobileNet

FIGURE = figure_of("width_multiplier")
FAKE = load(ROOT / "tests" / "fake_tables" / "width_multiplier.py")
EXPERIMENT = load(ROOT / "experiments" / "width_multiplier.py")


@pytest.fixture(scope="module")
def made():
    return claim("width_multiplier")


# --- the grid --------------------------------------------------------------------------------------------------------


def test_paper_networks_are_the_published_family():
    """The widths that the experiment declares are those that `MobileNet.thin` gives."""
    networks = EXPERIMENT._networks(EXPERIMENT.SCALES["paper"])
    for multiplier in (1.0, 0.75, 0.5, 0.25):
        labels, model, arguments = networks[f"mobilenet-{multiplier:g}"]
        assert model == "mobilenet.MobileNet"
        assert labels["multiplier"] == multiplier
        assert MobileNet(**dict(arguments)) == MobileNet.thin(multiplier, stem="cifar")
    _, _, shallow = networks["mobilenet-shallow"]
    assert MobileNet(**dict(shallow)) == MobileNet.thin(1.0, shallow=True, stem="cifar")


def test_published_numbers_agree_with_the_formula():
    """Millions of multiply-adds and parameters at 224 pixels, as printed: two or three digits; 0.75 was recalled."""
    table = EXPERIMENT.published(EXPERIMENT.Config(scale="smoke"))
    for row in table.to_dict("records"):
        cost = MobileNet.thin(row["multiplier"], shallow="shallow" in row["family"]).cost()
        assert cost.multiply_adds / 1e6 == pytest.approx(row["multiply_adds"], rel=0.03)
        assert cost.num_params / 1e6 == pytest.approx(row["num_params"], rel=0.1)


def test_work_falls_with_the_square_of_the_multiplier():
    cells = EXPERIMENT.cells(EXPERIMENT.Config(scale="laptop", seeds=1, learning_rates=(0.1,)))
    work = cells[cells["task"] == "hard"].set_index("network")["multiply_adds"]
    # Between linear (the first layer) and quadratic (all others).
    for family in ("mobilenet", "resnet"):
        for multiplier in (0.75, 0.5, 0.25):
            assert multiplier**2 <= work[f"{family}-{multiplier:g}"] / work[f"{family}-1"] <= multiplier
    sizes = cells.groupby("task")[["num_train", "num_test", "image_size", "chance"]].first()
    assert (sizes.loc["easy"] == sizes.loc["hard"]).all()


def test_flags_restrict_the_grid():
    flags = {"only": ("mobilenet-1",), "tasks": ("hard",), "seeds": 1, "learning_rates": (0.3,)}
    (fit,) = EXPERIMENT.settings(EXPERIMENT.Config(scale="smoke", **flags))
    assert (fit.model, fit.learning_rate, fit.augment) == ("mobilenet.MobileNet", 0.3, "none")
    with pytest.raises(ValueError, match=r"only must be of mobilenet-1, mobilenet-0\.5, got resnet-1"):
        EXPERIMENT.settings(EXPERIMENT.Config(scale="smoke", only=("resnet-1",)))


def test_cells_and_rows_say_the_same(made):
    both = made.table.merge(made.cells, on="key", suffixes=("", "_cell"))
    assert len(both) == len(made.table) == len(made.cells)
    for name in ("num_params", "multiply_adds"):
        assert (both[name] == both[f"{name}_cell"]).all()
    assert (both["task"] == both["images.difficulty"]).all()


# --- the figure ------------------------------------------------------------------------------------------------------


def test_the_interval_by_scipy():
    """Two networks: the pooled t-test. More of them: the variance within groups of the analysis of variance."""
    tables = FAKE.tables(3)
    rng = np.random.default_rng(0)
    tables[""]["test_accuracy"] += 0.01 * rng.standard_normal(len(tables[""]))
    fits = FIGURE.drawn(tables[""], tables["cells"])
    hard = fits[fits["task"] == "hard"]
    two = hard[hard["network"].isin(["mobilenet-1", "mobilenet-0.5"])]
    values = {name: rows["test_accuracy"].to_numpy() for name, rows in hard.groupby("network")}
    found = FIGURE.gain(two, "hard", "mobilenet-0.5", "mobilenet-1")
    ends = ttest_ind(values["mobilenet-1"], values["mobilenet-0.5"]).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(ends), rel=1e-9)  # rounding
    # F = (n sum of squares of the means about theirs / (k - 1)) / s^2, which gives s^2; t(0.975, 18) = 2.1009.
    means = np.array([value.mean() for value in values.values()])
    within = 3 * means.var(ddof=1) / f_oneway(*values.values()).statistic
    pooled = FIGURE.gain(hard, "hard", "mobilenet-0.5", "mobilenet-1")
    assert pooled.high - pooled.value == pytest.approx(2.1009 * np.sqrt(within * 2 / 3), rel=1e-4)  # digits of t


def test_verdict_and_caption_of_the_formula():
    tables = FAKE.tables(3)
    found = FIGURE.verdict(*tables.values())
    assert found.state == "held"
    assert "loses 3.0 points [+2.7, +3.3] from all of its width to half and 9.0 points" in found.sentence
    assert found.best_fit == pytest.approx(0.55 + 0.004)  # the best seed of ResNet
    caption = FIGURE.caption(*tables.values())
    assert "published, as recalled, are 6.9, 13.1 and +3.1" in caption
    assert "loses 3.0 points [+2.7, +3.3] from all to half, 9.0 points [+8.7, +9.3] from half to a quarter" in caption
    assert "0.05, 0.15 by training loss" in caption
    assert set(FIGURE.drawn(tables[""], tables["cells"])["learning_rate"]) == {0.05}


def test_the_bend_is_told_by_an_interval():
    """9 - 3 points, held; with seeds of one network that scatter, means that differ as before tell nothing."""
    tables = FAKE.tables(3)
    hard = (tables[""]["images.difficulty"] == "hard") & (tables[""]["model.widths"] == "mobilenet-0.5")
    fits = FIGURE.drawn(tables[""], tables["cells"])
    found = FIGURE.bend(fits, "hard", "MobileNet")
    assert found.value == pytest.approx(0.06)
    # 1 + 4 + 1 variances of a mean of three; t(0.975, 18) = 2.1009.
    assert found.high - found.value == pytest.approx(2.1009 * 0.002 * np.sqrt(6 / 3), rel=1e-4)  # digits of t
    tables[""].loc[hard, "test_accuracy"] += 0.1 * (tables[""]["seed"] - 1)
    tables[""].loc[hard, "test_accuracy"] -= 0.04  # now the first loss has the larger mean, by chance for all one knows
    shallow = (tables[""]["images.difficulty"] == "hard") & (tables[""]["model.widths"] == "mobilenet-shallow")
    tables[""].loc[shallow, "test_accuracy"] -= 0.2
    assert FIGURE.verdict(*tables.values()).state == "open"


def test_a_larger_network_that_fits_worse_is_an_optimisation_gap():
    tables = FAKE.tables(3)
    assert "fits the training images worse" not in FIGURE.caption(*tables.values())
    rows = (tables[""]["images.difficulty"] == "hard") & (tables[""]["model.widths"] == "mobilenet-shallow")
    tables[""].loc[rows, "train_accuracy"] = 0.6
    # Its own is 0.50 and 0.002 a seed, on average over three 0.502.
    assert "worse than the shallow one, whose layers it has (50.2 against 60.0 %)" in FIGURE.caption(*tables.values())


@pytest.mark.parametrize(("shallow", "state"), [(0.44, "held"), (0.52, "not held"), (0.49, "open")])
def test_states(shallow, state):
    tables = FAKE.tables(3)
    rows = (tables[""]["images.difficulty"] == "hard") & (tables[""]["model.widths"] == "mobilenet-shallow")
    tables[""].loc[rows, "test_accuracy"] += shallow - 0.44
    assert FIGURE.verdict(*tables.values()).state == state


@pytest.mark.parametrize(("shallow", "answer"), [(0.44, "Yes"), (0.52, "Yes, and no"), (0.49, "Yes, and undecided")])
def test_the_title_ends_with_the_answer(shallow, answer):
    tables = FAKE.tables(3)
    rows = (tables[""]["images.difficulty"] == "hard") & (tables[""]["model.widths"] == "mobilenet-shallow")
    tables[""].loc[rows, "test_accuracy"] += shallow - 0.44
    assert FIGURE.figure(*tables.values()).get_suptitle().endswith(f"shallow? {answer}")


def test_a_task_on_which_all_networks_are_as_good_has_a_sentence_and_no_panels():
    tables = FAKE.tables(3)
    titles = [axes.get_title() for axes in FIGURE.figure(*tables.values()).axes]
    assert titles == [f"({a}) {b}" for a, b in zip("abcd", ["hard task", "ImageNet, published"] * 2, strict=True)]
    caption = FIGURE.caption(*tables.values())
    assert "On the easy task, not drawn, all networks reach 98.2 %." in caption
    assert "(a, c) Mean and range over" in caption
