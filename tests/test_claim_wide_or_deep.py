"""Wide or deep: costs that match, the published networks among ours, the figure's numbers by hand."""

import numpy as np
import pytest
from claims import claim, figure_of
from scripts import ROOT, load

from widththeory.models.cost import Cost
from widththeory.models.wide_resnet import WideResNet

FIGURE = figure_of("wide_or_deep")
FAKE = load(ROOT / "tests" / "fake_tables" / "wide_or_deep.py")
EXPERIMENT = load(ROOT / "experiments" / "wide_or_deep.py")


@pytest.fixture(scope="module")
def made():
    return claim("wide_or_deep")


# --- the grid --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [1, 7, 8, 9, 12, 13, 1000, 1023])
def test_matched_against_a_scan(budget):
    def cost(width):
        return Cost(width**2, 2 * width**2)

    widths = range(1, 100)
    best = min(abs(width**2 - budget) for width in widths)
    assert abs(EXPERIMENT.matched(cost, budget, "num_params") ** 2 - budget) == best


def test_networks_of_a_budget_cost_the_same():
    """A unit of width changes the work by 2 / width: half of that is the most by which the nearest can miss."""
    for scale, most in (("laptop", 0.1), ("paper", 0.1)):
        sizes = EXPERIMENT.SCALES[scale]
        networks = EXPERIMENT._networks(sizes)
        for labels, model, arguments in networks.values():
            _, _, top = networks[labels["budget"]]
            kind = getattr(EXPERIMENT, model.partition(".")[2])
            own, budget = (
                kind(image_size=sizes.image_size, num_classes=10, **part).cost() for part in (arguments, top)
            )
            if labels["equal"] != "num_params":
                assert own.multiply_adds == pytest.approx(budget.multiply_adds, rel=most)
            if labels["equal"] != "multiply_adds":
                assert own.num_params == pytest.approx(budget.num_params, rel=most)


def test_paper_grid_has_the_published_network():
    networks = EXPERIMENT._networks(EXPERIMENT.SCALES["paper"])
    assert WideResNet(**networks["wrn-16-8"][2]) == WideResNet.wrn(16, 8)
    assert WideResNet.wrn(16, 8).cost().num_params / 1e6 == pytest.approx(11.0, abs=0.05)  # as the paper has it
    assert networks["wrn-16-8"][0]["layers"] == 16


def test_cells_and_rows_say_the_same(made):
    both = made.table.merge(made.cells, on="key", suffixes=("", "_cell"))
    assert len(both) == len(made.table) == len(made.cells)
    for name in ("num_params", "multiply_adds"):
        assert (both[name] == both[f"{name}_cell"]).all()
    assert (both["step_seconds"] > 0).all()
    sizes = made.cells.groupby("task")[["num_train", "num_test", "image_size", "chance"]].first()
    assert (sizes.loc["easy"] == sizes.loc["hard"]).all()


# --- the figure ------------------------------------------------------------------------------------------------------


def test_verdict_and_caption_of_the_formula():
    tables = FAKE.tables(3)
    found = FIGURE.verdict(tables[""], tables["cells"])
    # 0.50 - 0.48, s = 0.002, t(0.975, 12) = 2.1788; 19 layers at a millisecond each against 7.
    half = 100 * 2.1788 * 0.002 * np.sqrt(2 / 3)
    assert found.state == "held"
    assert f"gains +2.0 points [{2 - half:+.1f}, {2 + half:+.1f}] over wrn-19-1" in found.sentence
    assert "; 3 of 3 seeds train against 3 of 3" in found.sentence
    assert f"takes {19 / 7:.2f} times as long a step" in found.sentence
    assert found.best_fit == pytest.approx(0.504)
    caption = FIGURE.caption(*tables.values())
    assert "MobileNet gains +5.0 points [+4.6, +5.4] at equal parameters, +4.0 points [+3.6, +4.4] at" in caption
    assert f"(WRN-layers-width) gains +2.0 points [{2 - half:+.1f}, {2 + half:+.1f}] over wrn-19-1" in caption


def test_shares_that_train_by_hand():
    """Chance is 1/8, the best of the task 0.516: a fit trains from 0.3205 on."""
    tables = FAKE.tables(4)
    fits, rate = tables[""], 0.15
    one = (fits["images.difficulty"] == "hard") & (fits["model.widths"] == "wrn-19-1") & (fits["learning_rate"] == rate)
    fits.loc[one & (fits["seed"] == 0), "train_accuracy"] = 0.3
    fits.loc[one & (fits["seed"] == 1), "diverged"] = 1.0
    fits.loc[one & (fits["seed"] == 2), "train_accuracy"] = 0.33
    shares = FIGURE.trained(FIGURE.labelled(fits, tables["cells"]), "hard")
    assert shares.loc["wrn-19-1", rate] == 0.5
    assert shares.drop(index="wrn-19-1").to_numpy().min() == 1


@pytest.mark.parametrize(
    ("accuracy", "seconds", "state"), [(0.48, 0.019, "held"), (0.56, 0.019, "not held"), (0.52, 0.019, "open")]
)
def test_states(accuracy, seconds, state):
    tables = FAKE.tables(3)
    rows = (tables[""]["images.difficulty"] == "hard") & (tables[""]["model.widths"] == "wrn-19-1")
    tables[""].loc[rows, "test_accuracy"] += accuracy - 0.48
    tables[""].loc[tables[""]["model.widths"] == "wrn-19-1", "step_seconds"] = seconds
    assert FIGURE.verdict(tables[""], tables["cells"]).state == state


def test_times_that_scatter_do_not_tell_which_is_faster():
    """Medians as before, 19 ms against 7, but quartiles that overlap."""
    tables = FAKE.tables(3)
    deep = tables[""]["model.widths"] == "wrn-19-1"
    tables[""].loc[deep, "step_seconds"] = 0.019 + 0.018 * (tables[""]["seed"] - 1)
    times = FIGURE.step_times(FIGURE.drawn(tables[""], tables["cells"])).set_index("network").loc["wrn-19-1"]
    # Of 1, 1, 19, 19, 37, 37, a seed in each task.
    assert (times["low"], times["milliseconds"], times["high"]) == pytest.approx((5.5, 19, 32.5))
    found = FIGURE.verdict(tables[""], tables["cells"])
    assert found.state == "open"
    assert "takes 2.71 times as long a step, 19 [5.5, 32.5] against 7 [7, 7] ms" in found.sentence


def test_the_caption_says_how_many_seeds_of_the_deep_network_train():
    """What the wide one gains over it is no matter of accuracy alone."""
    tables = FAKE.tables(3)
    assert "pooled variance; 3 of 3 seeds train), which takes" in FIGURE.caption(*tables.values())
    deep = (tables[""]["images.difficulty"] == "hard") & (tables[""]["model.widths"] == "wrn-19-1")
    tables[""].loc[deep & (tables[""]["seed"] == 1), "train_accuracy"] = 0.13  # chance is 0.125
    assert "pooled variance; 2 of 3 seeds train), which takes" in FIGURE.caption(*tables.values())


def test_the_caption_says_how_equal_costs_are():
    """MobileNets: 600,000 against 640,000 parameters' tenth, 650,000 against 640,000; WRN: 12 in 1,007."""
    tables = FAKE.tables(1)
    assert FIGURE.mismatch(tables["cells"]) == pytest.approx(4 / 64)
    assert "costs agree within 6.2 %" in FIGURE.caption(*tables.values())


def test_what_is_reached_stands_beside_what_is_published():
    """A fit on all of CIFAR-10, 40 passes: 100 steps of 320 over 800 images."""
    tables = FAKE.tables(1)
    assert "On all of CIFAR-10" not in FIGURE.caption(*tables.values())
    for name in ("", "cells"):
        tables[name] = tables[name][tables[name]["key"].str.startswith("easy-wrn-7-2-")].assign(batch_size=320)
    tables["cells"] = (
        tables["cells"].assign(task="all", network="wrn-16-8", budget="wrn-16-8").drop(columns="batch_size")
    )
    caption = FIGURE.caption(*tables.values())
    assert (
        "On all of CIFAR-10 wrn-16-8 reaches 98.0 % (n = 1) in 40 passes over the training images, published are "
        "95.7 % in 200 (as recalled)." in caption
    )


def test_slower_and_shallow_is_refuted():
    tables = FAKE.tables(3)
    tables[""].loc[tables[""]["model.widths"] == "wrn-19-1", "step_seconds"] = 0.001
    assert FIGURE.verdict(tables[""], tables["cells"]).state == "not held"


def test_every_network_has_a_name_and_the_flat_task_no_panel():
    tables = FAKE.tables(3)
    picture = FIGURE.figure(*tables.values())
    panels = [axes for part in picture.subfigs for axes in part.axes]
    assert [axes.get_title().split()[0] for axes in panels] == ["(a)", "(b)", "(c)", "(d)"]
    assert [text.get_text() for text in panels[0].texts] == [*FAKE.WRN, "chance"]
    (legend,) = picture.subfigs[0].legends
    assert [text.get_text() for text in legend.texts] == [
        "residual, multiply-adds of wrn-7-2",
        "mobilenet-0.75, narrow and deep",
        "shallow, as many parameters",
        "shallow, as many multiply-adds",
    ]
    caption = FIGURE.caption(*tables.values())
    assert "On the easy task, not drawn, all networks reach 98.2 %." in caption
    assert all(f"({letter}) " in caption for letter in "abcd")


def test_the_title_is_what_the_verdict_says():
    assert FIGURE.figure(*FAKE.tables(3).values()).get_suptitle() == FIGURE.TITLES["held"]
    assert FIGURE.figure(*FAKE.tables(1).values()).get_suptitle().endswith("? Undecided")
