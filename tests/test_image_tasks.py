"""Accuracies, their gains and sentences on them, against numbers and words by hand."""

import numpy as np
import pandas as pd
import pytest

from widththeory.estimates import NOTHING, Interval
from widththeory.image_tasks import (
    accuracies,
    answer,
    called,
    contrast,
    facts,
    fills_note,
    flat,
    flat_note,
    gain,
    labelled,
    marker_fills,
    points,
    seeds_note,
    summary,
    tasks,
    telling,
)

CELL = ["task", "network"]


def fits(*rows, **columns):
    """Finished fits, a row a task, network and accuracy."""
    table = pd.DataFrame(rows, columns=[*CELL, "test_accuracy"])
    return table.assign(status="done", diverged=0.0, **columns)


# --- accuracies and gains ---------------------------------------------------------------------------------------------


def test_a_contrast_by_hand():
    """Means 0.2, 0.6, 0.1 with variances 0.01, 0.01 of two networks; the third has one seed, and counts by its mean."""
    values = {"a": (0.1, 0.2, 0.3), "b": (0.5, 0.6, 0.7), "c": (0.1,)}
    rows = [("hard", name, value) for name, own in values.items() for value in own]
    table = fits(*rows)
    found = contrast(table, "hard", {"b": 2.0, "a": -1.0, "c": -1.0})
    half = 2.7764 * 0.1 * np.sqrt(4 / 3 + 1 / 3 + 1)  # t(0.975, 4), Fisher and Yates, Table III
    assert (found.value, found.n) == (pytest.approx(0.9), 1)
    assert (found.low, found.high) == pytest.approx((0.9 - half, 0.9 + half), abs=1e-4)
    assert contrast(table, "hard", {"b": 1.0, "d": -1.0}).n == 0
    assert gain(table, "hard", "a", "b").value == pytest.approx(0.4)  # after less before
    assert gain(table, "hard", "a", "b") == contrast(table, "hard", {"b": 1.0, "a": -1.0})
    assert contrast(table, "easy", {"b": 1.0, "a": -1.0}).n == 0


def test_points_in_words():
    assert points(Interval(0.0123, -0.0004, 0.0251, 5)) == "+1.2 points [+0.0, +2.5]"
    assert points(Interval(-0.02, np.nan, np.nan, 1)) == "-2.0 points (no interval: n = 1)"
    assert points(NOTHING) == "unknown (cells lost or not computed)"


def test_accuracies_in_words():
    rows = [("hard", "a", 0.25), ("hard", "a", 0.35), ("hard", "b", 0.5), ("easy", "a", 0.996), ("easy", "b", 1.0)]
    table = fits(*rows)
    table["chance"] = np.where(table["task"] == "easy", 0.25, 0.125)
    assert accuracies(table, "network") == (
        "accuracies: 100 % on the easy task (chance 25.0 %), 30 to 50 % on the hard task (chance 12.5 %)"
    )
    assert accuracies(table.assign(status="failed"), "network") == "no accuracies"


@pytest.mark.parametrize(
    ("names", "order", "judged"),
    [
        (("hard", "easy"), ["easy", "hard"], "hard"),
        (("all", "hard"), ["hard", "all"], "hard"),
        (("all", "easy"), ["easy", "all"], "all"),
        (("all", "hard", "easy"), ["easy", "hard", "all"], "hard"),
        (("easy",), ["easy"], "easy"),
    ],
)
def test_claims_are_judged_on_the_hard_task(names, order, judged):
    table = pd.DataFrame({"task": [*names, *names]})
    assert (tasks(table), telling(table)) == (order, judged)


def test_a_fit_has_the_labels_and_costs_of_its_cell():
    table = pd.DataFrame({"key": ["a", "b", "b"], "seed": [0, 0, 1], "num_params": 1})
    cells = pd.DataFrame({"key": ["b", "c"], "task": "hard", "num_params": [20, 30]})
    found = labelled(table, cells)
    assert found[["key", "seed", "task", "num_params"]].to_numpy().tolist() == [
        ["b", 0, "hard", 20],
        ["b", 1, "hard", 20],
    ]


def test_a_summary_counts_what_is_lost():
    rows = [("hard", "wide", 0.5), ("hard", "wide", 0.7), ("hard", "wide", 0.1), ("easy", "thin", 0.9)]
    table = fits(*rows, family="plain", num_params=7, multiply_adds=70, chance=0.1)
    table.loc[2, "status"] = "failed"
    found = summary(table, CELL, ["family"]).set_index("network")
    assert found.loc["wide", ["mean", "min", "max", "count", "cells"]].tolist() == pytest.approx([0.6, 0.5, 0.7, 2, 3])
    assert found.loc["thin", ["family", "multiply_adds", "count", "cells"]].tolist() == ["plain", 70, 1, 1]


# --- sentences --------------------------------------------------------------------------------------------------------

LEVEL = [("easy", "a", 0.97), ("easy", "a", 0.98), ("easy", "b", 0.99), ("hard", "a", 0.5), ("hard", "b", 0.505)]


def test_a_task_on_which_all_are_as_good_is_flat():
    """Means 97.5 and 99 %; the hard task is flatter, but it is the one that tells."""
    table = fits(*LEVEL)
    assert flat(table, CELL) == ["easy"]
    assert flat_note(table, CELL) == "On the easy task, not drawn, all networks reach 97.5 to 99.0 %. "
    said = flat_note(table, CELL, where="drawn in (c) alone", reached="accuracy is {} % at every width")
    assert said == "On the easy task, drawn in (c) alone, accuracy is 97.5 to 99.0 % at every width. "
    one_number = fits(("easy", "a", 0.98), ("easy", "b", 0.98), *LEVEL[3:])
    assert flat_note(one_number, CELL) == "On the easy task, not drawn, all networks reach 98.0 %. "


def test_a_task_that_differs_or_has_one_network_is_not_flat():
    for table in (fits(("easy", "a", 0.95), *LEVEL), fits(*LEVEL[:2], *LEVEL[3:])):
        assert flat(table, CELL) == []
        assert flat_note(table, CELL) == ""


def test_a_network_with_several_columns_is_told_apart_by_all():
    """Equal over widths, but not over activations."""
    rows = [("easy", 4, 0.9), ("easy", 4, 0.8), ("easy", 8, 0.9), ("easy", 8, 0.8), ("hard", 4, 0.5)]
    table = fits(*rows).assign(activation=["crelu", "relu"] * 2 + ["relu"])
    assert flat(table, CELL) == ["easy"]
    assert flat(table, [*CELL, "activation"]) == []


def test_tasks_of_equal_sizes_are_said_together():
    table = fits(*LEVEL, ("all", "a", 0.6), chance=0.125, num_train=800, num_test=400, image_size=8, num_steps=50)
    table["source"] = "CIFAR-10, " + table["task"] + "4"
    words = "(CIFAR-10), chance 0.125, 800 training and 400 test images of 8 pixels, 50 steps"
    table.loc[table["task"] == "all", "num_train"] = 900
    whole = words.replace("800", "900")
    assert facts(table) == f"easy and hard {words}; ten classes {whole}"
    assert facts(table.assign(batch_size=32)) == f"easy and hard {words} of 32; ten classes {whole} of 32"


def test_all_of_cifar10_is_called_by_its_name():
    """ "The all task" was what readers of titles and captions saw."""
    table = fits(("all", "a", 0.5), ("all", "b", 0.51), *LEVEL).assign(chance=0.1)
    assert (
        accuracies(table[table["task"] == "all"], "network")
        == "accuracies: 50 to 51 % on all of CIFAR-10 (chance 10.0 %)"
    )
    assert flat_note(table, CELL).endswith("On all of CIFAR-10, not drawn, all networks reach 50.0 to 51.0 %. ")
    assert [called(name) for name in ("hard", "all")] == ["hard task", "CIFAR-10, ten classes"]


def test_seeds_and_losses_in_words():
    everything = fits(*LEVEL, *LEVEL, learning_rate=0.1)
    assert seeds_note(everything, everything, CELL) == "n = 2 to 4 seeds, learning rate 0.1"
    one_each = everything.drop_duplicates(CELL)
    everything.loc[4, "status"] = "failed"
    everything.loc[5, "learning_rate"] = 0.2
    said = "n = 1 seeds, learning rate of 0.1, 0.2 by training loss; 1 of 10 fits failed or diverged"
    assert seeds_note(one_each, everything, CELL) == said


def test_fills_of_tasks_in_words():
    table = fits(*LEVEL, ("all", "a", 0.6))
    assert marker_fills(table) == {"hard": "full", "easy": "none", "all": "left"}
    assert fills_note(table) == " (filled: hard task; hollow: easy task; half filled: CIFAR-10, ten classes)"
    assert fills_note(fits(*LEVEL[:2])) == ""


def test_answers_are_said_once():
    assert answer(["held", "held"]) == "Yes"
    assert answer(["not held", "open"]) == "No, and undecided"
