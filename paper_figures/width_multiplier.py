"""Width multipliers: accuracy against multiply-adds and parameters, beside the published numbers.

Draws results/<scale>/width_multiplier.csv with .cells.csv and .published.csv; see experiments/width_multiplier.py.
"""

from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from widththeory import command
from widththeory.estimates import Interval, finished, select_learning_rate
from widththeory.image_tasks import (
    HELD,
    SIZES,
    accuracies,
    answer,
    called,
    contrast,
    facts,
    flat,
    flat_note,
    gain,
    labelled,
    named,
    points,
    seeds_note,
    summary,
    tasks,
    telling,
)
from widththeory.plotting import TEXT_WIDTH, chance_line, number_ticks, series
from widththeory.verdicts import Verdict

CELL = ["task", "network"]
LABELS = ["family", "multiplier"]
FAMILIES = ("MobileNet", "ResNet", "shallow MobileNet")
QUESTION = "Does half of the width cost little accuracy and a quarter much more, and does narrow beat shallow?"
COSTS = {"multiply_adds": "million multiply-adds", "num_params": "thousand parameters"}


def drawn(table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The fits at the learning rate of least median training loss, chosen for each network and task."""
    fits = select_learning_rate(labelled(table, cells), by=CELL, loss="train_loss")
    kept = [*CELL, *LABELS, *SIZES, "seed", "learning_rate", "num_steps", "step_seconds"]
    kept += ["train_loss", "train_accuracy", "test_accuracy", "status"]
    return fits[[*kept, *(["diverged"] if "diverged" in fits else [])]]


def figure(table: pd.DataFrame, cells: pd.DataFrame, published: pd.DataFrame) -> Figure:
    """Accuracy against both costs; a column a task on which networks differ, and one for ImageNet."""
    fits = drawn(table, cells)
    found = summary(fits, CELL, LABELS)
    names = [name for name in tasks(fits) if name not in flat(fits, CELL)]
    picture = Figure(figsize=(TEXT_WIDTH, 4.9), layout="constrained")
    picture.suptitle(f"{QUESTION} {answer(answers(fits))}", size=9.5)
    panels: Any = picture.subplots(2, len(names) + 1, squeeze=False)
    for row, (cost, label) in enumerate(COSTS.items()):
        for column, name in enumerate(names):
            axes = panels[row, column]
            _task(axes, found[found["task"] == name], cost)
            axes.set_xlabel(label)
            letter = "abcdefgh"[row * (len(names) + 1) + column]
            axes.set_title(f"({letter}) {called(name)}")
        axes = panels[row, -1]
        _published(axes, published, cost)
        axes.set_xlabel(label.replace("thousand", "million"))
        axes.set_title(f"({'abcdefgh'[(row + 1) * (len(names) + 1) - 1]}) ImageNet, published")
        panels[row, 0].set_ylabel("test accuracy")
    handles: dict[str, Any] = {}
    for axes in panels.ravel():
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    handles["1/4 to 1: share of the width"] = Line2D([], [], linestyle="none")
    picture.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=7)
    return picture


def _look(family: str) -> dict[str, Any]:
    look = series(FAMILIES.index(family))
    return {**look, "linestyle": "none"} if family == "shallow MobileNet" else look


def _task(axes: Axes, found: pd.DataFrame, cost: str) -> None:
    unit = 1e6 if cost == "multiply_adds" else 1e3
    for family in FAMILIES:
        rows = found[found["family"] == family].sort_values(cost)
        if rows.empty:
            continue
        ends = [rows["mean"] - rows["min"], rows["max"] - rows["mean"]]
        axes.errorbar(rows[cost] / unit, rows["mean"], ends, capsize=2, elinewidth=0.8, label=family, **_look(family))
        if family == FAMILIES[0] and cost == "multiply_adds":  # in the other panels they stand in the same order
            _shares(axes, rows[cost] / unit, rows["max"], rows["multiplier"])
        short = rows[rows["count"] < rows["cells"]]
        for x, y, count, cells in zip(short[cost] / unit, short["max"], short["count"], short["cells"], strict=True):
            axes.annotate(
                f"{count} of {cells}", (x, y), xytext=(0, 4), textcoords="offset points", fontsize=7, ha="center"
            )
    if len(found):
        chance_line(axes, found["chance"].iloc[0])
        axes.set_ylim(0, min(1.05, 1.2 * found["max"].max()))
    _log(axes.xaxis)


def _shares(axes: Axes, x: pd.Series, y: pd.Series, multipliers: pd.Series) -> None:
    """Over each marker the share of the width that it has."""
    for place, height, multiplier in zip(x, y, multipliers, strict=True):
        words = str(Fraction(multiplier).limit_denominator(100))
        look: dict[str, Any] = {"xytext": (0, 4), "textcoords": "offset points", "ha": "center", "fontsize": 7}
        axes.annotate(words, (place, height), color="0.25", **look)


def _log(axis: Axis) -> None:
    """A log scale with few ticks, as plain numbers."""
    axis.axes.set_xscale("log")
    axis.set_major_locator(LogLocator(subs=(1, 3)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _published(axes: Axes, published: pd.DataFrame, cost: str) -> None:
    looks = {
        ("paper, as recalled", "MobileNet"): series(0),
        ("checkpoints", "MobileNet"): {
            **series(0),
            "marker": "D",
            "markersize": 7,
            "linestyle": "none",
            "markerfacecolor": "none",
        },
        ("paper, as recalled", "shallow MobileNet"): {**series(2), "linestyle": "none"},
    }
    for (origin, family), look in looks.items():
        rows = published[(published["origin"] == origin) & (published["family"] == family)].sort_values(cost)
        label = family if origin != "checkpoints" else "MobileNet, released checkpoints"
        axes.plot(rows[cost], rows["accuracy"] / 100, label=label, **look)
        if origin == "checkpoints" and cost == "multiply_adds":
            _shares(axes, rows[cost], rows["accuracy"] / 100 + 0.02, rows["multiplier"])
    axes.set(xscale="log", ylim=(0, 0.8))
    number_ticks(axes.xaxis, (50, 100, 200, 500) if cost == "multiply_adds" else (0.5, 1, 2, 4))


def drops(fits: pd.DataFrame, task: str, family: str) -> tuple[Interval, Interval]:
    """What a family loses from all of the width to half of it, and from half to a quarter."""
    name = family.lower()
    return gain(fits, task, f"{name}-0.5", f"{name}-1"), gain(fits, task, f"{name}-0.25", f"{name}-0.5")


def bend(fits: pd.DataFrame, task: str, family: str) -> Interval:
    """By how much the second of the two `drops` is the larger."""
    name = family.lower()
    return contrast(fits, task, {f"{name}-0.5": 2.0, f"{name}-1": -1.0, f"{name}-0.25": -1.0})


def narrow_or_shallow(fits: pd.DataFrame, task: str) -> Interval:
    """What the MobileNet with 3/4 of the width gains over the shallow one."""
    return gain(fits, task, "mobilenet-shallow", "mobilenet-0.75")


def answers(fits: pd.DataFrame) -> list[str]:
    """States of the two parts of the question, on the task that tells."""
    task = telling(fits)
    parts = bend(fits, task, "MobileNet"), narrow_or_shallow(fits, task)
    return ["held" if one.low > 0 else "not held" if one.high < 0 else "open" for one in parts]


def verdict(table: pd.DataFrame, cells: pd.DataFrame, published: pd.DataFrame) -> Verdict:
    """Held where on the hard task MobileNet loses more from 1/2 to 1/4 than from 1 to 1/2, and narrow beats shallow.

    "not held" where the second loss is smaller or shallow is better; both by their intervals, else "open".
    """
    fits = drawn(table, cells)
    task = telling(fits)
    first, second = drops(fits, task, "MobileNet")
    more, narrow = bend(fits, task, "MobileNet"), narrow_or_shallow(fits, task)
    parts = answers(fits)
    told = (
        f"on {named(task)} MobileNet loses {_lost(first)} from all of its width to half and {_lost(second)} from "
        f"half to a quarter, {_which(more, 'more', 'not more')} (by {points(more)}); at 3/4 of the width it is "
        f"{_which(narrow, 'better', 'worse')} than the shallow one (by {points(narrow)}). {_gap(fits, task)}"
        f"On ImageNet (Howard et al. 2017, as recalled) these numbers are {_on_imagenet(published)}"
    )
    best = finished(fits[fits["task"] == task])["test_accuracy"]
    return Verdict(
        "not held" if "not held" in parts else "open" if "open" in parts else "held",
        told,
        f"test accuracy on {named(task)}, of the best fit (mean {accuracies(fits, 'network')})",
        floor=None,
        best_fit=None if best.empty else best.max(),
        construction=None,
        n=len(finished(fits)),
    )


def _which(found: Interval, above: str, below: str) -> str:
    """What the interval tells."""
    return above if found.low > 0 else below if found.high < 0 else f"undecided whether {above}"


def _lost(found: Interval) -> str:
    return points(found).removeprefix("+")


def _on_imagenet(published: pd.DataFrame) -> str:
    """The same two losses of MobileNet, and its gain at 3/4 of the width over the shallow one, as published."""
    known = published[published["origin"] == "paper, as recalled"].set_index(["family", "multiplier"])["accuracy"]
    one, half, quarter = (known["MobileNet", multiplier] for multiplier in (1.0, 0.5, 0.25))
    shallow = known["shallow MobileNet", 1.0]
    return f"{one - half:.1f}, {half - quarter:.1f} and {known['MobileNet', 0.75] - shallow:+.1f}"


def _gap(fits: pd.DataFrame, task: str) -> str:
    """Says so where the full MobileNet fits its training images worse than the shallow one, whose layers it has."""
    fitted = finished(fits[fits["task"] == task]).groupby("network")["train_accuracy"].mean()
    full, shallow = (fitted.get(name, np.nan) for name in ("mobilenet-1", "mobilenet-shallow"))
    if not full < shallow:
        return ""
    return (
        "All of its width fits the training images worse than the shallow one, whose layers it has "
        f"({100 * full:.1f} against {100 * shallow:.1f} %). "
    )


def caption(table: pd.DataFrame, cells: pd.DataFrame, published: pd.DataFrame) -> str:
    """What is drawn, how many fits, and whether the claim held, computed from the tables."""
    fits = drawn(table, cells)
    found, task = verdict(table, cells, published), telling(fits)
    work = fits.groupby("network")["multiply_adds"].first()
    same = ""
    if {"mobilenet-shallow", "mobilenet-0.75"} <= set(work.index):
        same = f" ({work['mobilenet-0.75'] / work['mobilenet-shallow']:.2f} times the work)"
    first, second = drops(fits, task, "MobileNet")
    columns = fits["task"].nunique() - len(flat(fits, CELL)) + 1
    letters = "abcdefgh"[: 2 * columns]
    ours = [letters[row * columns : (row + 1) * columns - 1] for row in (0, 1)]
    above, below = (", ".join(row) for row in ours)
    return (
        "Half of its width costs a MobileNet little accuracy, a quarter much more, and narrow beats shallow at about "
        f"equal cost (Howard et al. 2017): the claim {HELD[found.state]}. Tasks: {facts(fits)}. ({above}, {below}) "
        f"Mean and range over {seeds_note(fits, labelled(table, cells), CELL)}. {flat_note(fits, CELL)}On "
        f"{named(task)} MobileNet loses {_lost(first)} from all to half, {_lost(second)} from half to a quarter, and "
        f"at 3/4{same} gains {points(narrow_or_shallow(fits, task))} over the shallow one (Student's 95 %, pooled "
        f"variance); published, as recalled, are {_on_imagenet(published)}. {_gap(fits, task)}"
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
