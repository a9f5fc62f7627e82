"""CReLU and DenseNets: what is halved, what is compared at equal work, the figure's numbers by hand."""

import numpy as np
import pytest
from claims import claim, figure_of
from scripts import ROOT, load

FIGURE = figure_of("free_width")
FAKE = load(ROOT / "tests" / "fake_tables" / "free_width.py")
EXPERIMENT = load(ROOT / "experiments" / "free_width.py")


@pytest.fixture(scope="module")
def made():
    return claim("free_width")


# --- the grid --------------------------------------------------------------------------------------------------------


def test_half_of_the_channels_is_half_of_the_weights():
    """Each convolution takes as many maps and gives half, the first too; the last layer keeps all."""
    cells = EXPERIMENT.cells(EXPERIMENT.Config(scale="laptop", seeds=1, learning_rates=(0.1,), tasks=("hard",)))
    cells = cells.set_index("network")
    classes = 8
    for multiplier in (1.0, 0.5, 0.25):
        plain, crelu = (cells.loc[f"{kind}-{multiplier:g}"] for kind in ("plain", "crelu"))
        last = 128 * multiplier * classes  # of both: half of the channels, both signs
        assert crelu["multiply_adds"] - last == (plain["multiply_adds"] - last) / 2
        shifts = 2 * (16 + 32 + 64 + 128 + 128) * multiplier  # of normalisations, which halve too
        assert crelu["num_params"] - last - classes == (plain["num_params"] - last - classes) / 2
        assert plain["num_params"] > shifts


def test_tasks_are_of_equal_size_and_growth_rates_rise():
    cells = EXPERIMENT.cells(EXPERIMENT.Config(scale="laptop", seeds=1, learning_rates=(0.1,)))
    sizes = cells.groupby("task")[["num_train", "num_test", "image_size", "chance"]].first()
    assert (sizes.loc["easy"] == sizes.loc["hard"]).all()
    dense = cells[(cells["family"] == "DenseNet") & (cells["task"] == "hard")].sort_values("size")
    assert list(dense["size"]) == [4, 12, 24]
    assert dense["multiply_adds"].is_monotonic_increasing


def test_plain_networks_are_the_programs_of_allconv6():
    """Equal but for the number of steps and checks, which the compiled program of a segment does not see."""
    other = load(ROOT / "experiments" / "allconv6.py")
    flags = {"scale": "laptop", "seeds": 1, "learning_rates": (0.1,), "tasks": ("hard",)}
    (ours,) = EXPERIMENT.settings(EXPERIMENT.Config(only=("plain-0.5",), **flags))
    (theirs,) = other.settings(other.Config(only=("5",), **flags))
    assert ours.architecture == theirs.architecture
    assert (ours.images_args, ours.batch_size) == (theirs.images_args, theirs.batch_size)
    assert {*np.diff((0, *ours.check_steps))} == {*np.diff((0, *theirs.check_steps))}


def test_cells_and_rows_say_the_same(made):
    both = made.table.merge(made.cells, on="key", suffixes=("", "_cell"))
    assert len(both) == len(made.table) == len(made.cells)
    for name in ("num_params", "multiply_adds"):
        assert (both[name] == both[f"{name}_cell"]).all()
    assert set(both.loc[both["family"] == "CReLU", "model.activation"]) == {"crelu"}


# --- the figure ------------------------------------------------------------------------------------------------------


def test_equal_work_is_interpolated_by_hand():
    """Plain: 0.38, 0.44, 0.50 at 1, 4, 16 times 10^5; a fourfold work is 0.06. DenseNets at 2, 6, 12 times 10^5."""
    tables = FAKE.tables(1)
    gained = {
        rate: one.value for rate, one in FIGURE.over_plain(FIGURE.drawn(tables[""], tables["cells"]), "hard").items()
    }
    plain = {rate: 0.38 + 0.06 * np.log(work) / np.log(4) for rate, work in ((4, 2), (12, 6), (24, 12))}
    assert gained == pytest.approx({4: 0.45 - plain[4], 12: 0.52 - plain[12], 24: 0.6 - plain[24]})
    assert 48 not in gained  # more work than the largest plain network
    assert "(growth rate 48: no plain network of its work)" in FIGURE.verdict(tables[""], tables["cells"]).sentence


def test_a_densenet_is_compared_by_an_interval():
    """Half way between two plain networks: the variance of a mean of theirs is half of one's, so 1 + 1/2 in all."""
    tables = FAKE.tables(3)
    fits, cells = tables[""], tables["cells"]
    cells.loc[cells["network"] == "densenet-4", "multiply_adds"] = 200000  # between 1 and 4 times 10^5
    found = FIGURE.over_plain(FIGURE.drawn(fits, cells), "hard")[4]
    # All standard deviations are 0.002, of 10 networks with 3 seeds; t(0.975, 20) = 2.0860.
    assert found.high - found.value == pytest.approx(2.0860 * 0.002 * np.sqrt(1.5 / 3), rel=1e-4)  # digits of t
    noisy = (fits["images.difficulty"] == "hard") & (fits["model.widths"] == "densenet-12")
    fits.loc[noisy, "test_accuracy"] += 0.2 * (fits["seed"] - 1)
    assert FIGURE.verdict(fits, cells).state == "open"  # the means are as before


def test_published_errors_are_drawn_as_accuracies():
    """So that up is better in every panel."""
    tables = FAKE.tables(1)
    panel = FIGURE.figure(*tables.values()).axes[-1]
    drawn = sorted(float(y) for bar in panel.containers for y in bar.lines[0].get_ydata())
    assert drawn == pytest.approx(sorted(1 - tables["published"]["error"] / 100), rel=1e-12)  # rounding
    assert panel.get_ylabel() == "test accuracy"


def test_verdict_and_caption_of_the_formula():
    tables = FAKE.tables(3)
    found = FIGURE.verdict(tables[""], tables["cells"])
    assert found.state == "held"
    assert "+1.0 points [+0.7, +1.3] at width 1," in found.sentence
    assert found.best_fit == pytest.approx(0.61 + 0.004)
    caption = FIGURE.caption(*tables.values())
    assert (
        "Shang et al. 2016): yes; a DenseNet beats a plain network of equal work (Huang et al. 2017): yes. " in caption
    )
    assert "CReLU changes accuracy by +1.0 points [+0.7, +1.3] at width " in caption
    assert set(FIGURE.drawn(tables[""], tables["cells"])["learning_rate"]) == {0.05}


@pytest.mark.parametrize(("crelu", "state"), [(0.01, "held"), (-0.019, "open"), (-0.03, "not held")])
def test_states(crelu, state):
    tables = FAKE.tables(3)
    rows = (tables[""]["images.difficulty"] == "hard") & (tables[""]["model.widths"] == "crelu-0.5")
    tables[""].loc[rows, "test_accuracy"] += crelu - 0.01
    assert FIGURE.verdict(tables[""], tables["cells"]).state == state


def test_published_numbers_are_consistent():
    """CReLU doubles what a layer takes, so half of the channels is a quarter of the weights of all of them."""
    known = EXPERIMENT.published(EXPERIMENT.Config(scale="smoke")).set_index("variant")["num_params"]
    assert known["all channels"] / known["half the channels"] == pytest.approx(4)
    assert known["baseline"] / known["half the channels"] == pytest.approx(2)
    assert known["twice the channels"] / known["baseline"] == pytest.approx(4)


@pytest.mark.parametrize(("crelu", "answer"), [(0.01, "Yes"), (-0.019, "Undecided, and yes"), (-0.03, "No, and yes")])
def test_the_title_ends_with_the_answer(crelu, answer):
    tables = FAKE.tables(3)
    rows = (tables[""]["images.difficulty"] == "hard") & (tables[""]["model.widths"] == "crelu-0.5")
    tables[""].loc[rows, "test_accuracy"] += crelu - 0.01
    assert FIGURE.figure(*tables.values()).get_suptitle() == f"{FIGURE.QUESTION} {answer}"


def test_a_task_on_which_all_networks_are_as_good_has_a_sentence_and_no_panels():
    tables = FAKE.tables(3)
    titles = [axes.get_title() for axes in FIGURE.figure(*tables.values()).axes]
    assert titles == ["(a) hard task", "(b) hard task", "(c) CReLU less ReLU", "(d) CIFAR-10, published"]
    caption = FIGURE.caption(*tables.values())
    assert "On the easy task, drawn in (c) alone, all networks reach 98.2 %." in caption
    assert all(f"({letters}) " in caption for letters in ("a, b", "c", "d"))
