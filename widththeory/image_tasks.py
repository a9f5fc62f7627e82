"""What figures share that compare networks on image tasks: accuracies, their gains, sentences on tasks and seeds.

A table has a row a fit, with columns `task` and `test_accuracy`. The columns `cell`, `task` among them, tell apart what
differs in more than seed.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from widththeory import verdicts
from widththeory.estimates import Interval, finished, pooled_contrast, rates_note

FLAT = 0.02  # of the test images: a task whose accuracies differ by less has no panels
HELD = verdicts.HELD
SIZES = ["num_params", "multiply_adds", "chance", "source", "num_train", "num_test", "image_size"]  # of a cell
ANSWERS = {"held": "yes", "not held": "no", "open": "undecided"}
FILLS = {"full": "filled", "none": "hollow", "left": "half filled"}  # of markers, as Matplotlib and captions say it


def labelled(table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """All fits, with what their cells are."""
    table = table.drop(columns=["num_params", "multiply_adds"], errors="ignore")
    return table.merge(cells, on="key", how="inner")


def summary(fits: pd.DataFrame, cell: Sequence[str], labels: Sequence[str]) -> pd.DataFrame:
    """Mean, range and number of finished fits of each cell, beside its labels, what it costs, and how many it had."""
    kept = [*cell, *labels, "num_params", "multiply_adds", "chance"]
    found = finished(fits).groupby(kept, sort=False)["test_accuracy"].agg(["mean", "min", "max", "count"]).reset_index()
    declared = fits.groupby([*cell]).size().rename("cells").reset_index()
    return found.merge(declared, on=[*cell])


def contrast(fits: pd.DataFrame, task: str, shares: Mapping[Any, float], *, by: str = "network") -> Interval:
    """A sum of mean test accuracies, each times its share, with Student's 95 % interval over seeds.

    All seeds have the training and test images of the task: what other images would change is not in the interval.
    The variance over seeds is pooled over all networks of the task, which the column `by` tells apart. The ends are NaN
    where none has two seeds; all is where a network was not measured.
    """
    own = finished(fits[fits["task"] == task])
    return pooled_contrast(own["test_accuracy"], own[by], shares)


def gain(fits: pd.DataFrame, task: str, before: Any, after: Any, *, by: str = "network") -> Interval:
    """What the test accuracy gains from one network to another; see `contrast`."""
    return contrast(fits, task, {after: 1.0, before: -1.0}, by=by)


def points(found: Interval) -> str:
    """Percentage points with the interval, in words."""
    if not np.isfinite(found.value):
        return "unknown (cells lost or not computed)"
    if not np.isfinite(found.low):
        return f"{100 * found.value:+.1f} points (no interval: n = 1)"
    value, low, high = (round(100 * number, 1) + 0.0 for number in (found.value, found.low, found.high))  # no "-0.0"
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]"


def called(task: str) -> str:
    """ "hard task", as titles have it; the set by its name where the task is all of it."""
    return "CIFAR-10, ten classes" if task == "all" else f"{task} task"


def named(task: str) -> str:
    """ "the hard task", as sentences have it."""
    return "all of CIFAR-10" if task == "all" else f"the {task} task"


def accuracies(fits: pd.DataFrame, by: str) -> str:
    """Range over networks, told apart by the column, of the mean test accuracy on each task, and chance, in words."""
    means = finished(fits).groupby(["task", by])["test_accuracy"].mean()
    said = []
    for task in (task for task in tasks(fits) if task in means):
        ends = dict.fromkeys(f"{100 * end:.0f}" for end in (means[task].min(), means[task].max()))
        chance = f" (chance {100 * fits.loc[fits['task'] == task, 'chance'].iloc[0]:.1f} %)"
        said.append(f"{' to '.join(ends)} % on {named(task)}{chance}")
    return f"accuracies: {', '.join(said)}" if said else "no accuracies"


def tasks(fits: pd.DataFrame) -> list[str]:
    """Easy and hard first, then the others as they come."""
    return sorted(fits["task"].unique(), key=lambda name: {"easy": 0, "hard": 1}.get(name, 2))


def telling(fits: pd.DataFrame) -> str:
    """The task that the claim is judged on: the hard one, or the last that there is."""
    names = tasks(fits)
    return "hard" if "hard" in names else names[-1]


def flat(fits: pd.DataFrame, cell: Sequence[str]) -> list[str]:
    """The tasks on which all networks are as good, within `FLAT`, but for the telling one.

    A sentence says so, `flat_note`, and no panels are spent on them.
    """
    means = finished(fits).groupby([*cell])["test_accuracy"].mean().groupby("task").agg(["min", "max", "size"])
    level = means.index[(means["size"] > 1) & (means["max"] - means["min"] < FLAT)]
    return [name for name in tasks(fits) if name in level and name != telling(fits)]


def flat_note(
    fits: pd.DataFrame, cell: Sequence[str], *, where: str = "not drawn", reached: str = "all networks reach {} %"
) -> str:
    """A sentence and a blank for each flat task: where it is drawn, and its range of mean accuracies for "{}"."""
    means = 100 * finished(fits).groupby([*cell])["test_accuracy"].mean()
    said = ""
    for name in flat(fits, cell):
        own = means[means.index.get_level_values("task") == name]
        ends = " to ".join(dict.fromkeys(f"{end:.1f}" for end in (own.min(), own.max())))
        said += f"On {named(name)}, {where}, {reached.format(ends)}. "
    return said


def marker_fills(fits: pd.DataFrame) -> dict[str, Any]:
    """How the markers of each task are filled where that tells tasks apart, the telling task first."""
    names = sorted(tasks(fits), key=lambda name: name != telling(fits))
    return dict(zip(names, itertools.cycle(FILLS), strict=False))


def fills_note(fits: pd.DataFrame) -> str:
    """ " (filled: hard task; hollow: easy task)", or nothing where there is one task."""
    said = [f"{FILLS[fill]}: {called(name)}" for name, fill in marker_fills(fits).items()]
    return f" ({'; '.join(said)})" if len(said) > 1 else ""


def facts(fits: pd.DataFrame) -> str:
    """Images and sizes of the tasks, in words, with that of the batches where the table has it; equal ones together."""
    said: dict[str, list[str]] = {}
    for name in tasks(fits):
        row = fits[fits["task"] == name].iloc[0]
        words = (
            f"({row['source'].partition(',')[0]}), chance {row['chance']:.3g}, {row['num_train']:.0f} training and "
            f"{row['num_test']:.0f} test images of {row['image_size']:.0f} pixels, {row['num_steps']:.0f} steps"
        )
        words += f" of {row['batch_size']:.0f}" if "batch_size" in fits else ""
        said.setdefault(words, []).append("ten classes" if name == "all" else name)
    return "; ".join(f"{' and '.join(names)} {words}" for words, names in said.items())


def seeds_note(fits: pd.DataFrame, everything: pd.DataFrame, cell: Sequence[str]) -> str:
    """ "n = 4 to 5 seeds, learning rate of 0.05, 0.2 by training loss; 1 of 40 fits failed or diverged", of the chosen
    fits and of all.
    """  # fmt: skip
    count = finished(fits).groupby([*cell]).size()
    n = " to ".join(dict.fromkeys(f"{end}" for end in (count.min(), count.max()))) if len(count) else "0"
    lost = len(everything) - len(finished(everything))
    failed = f"; {lost} of {len(everything)} fits failed or diverged" if lost else ""
    return f"n = {n} seeds, {rates_note(everything)}{failed}"


def answer(states: Sequence[str]) -> str:
    """What became of the parts of a question, in words."""
    return ", and ".join(dict.fromkeys(ANSWERS[state] for state in states)).capitalize()
