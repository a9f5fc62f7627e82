"""Which layer's width pays: learning curves, final accuracies and the gains of doubling, on an easy and a hard task.

Draws results/<scale>/allconv6.csv with .cells.csv; see experiments/allconv6.py.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from widththeory import command, estimates
from widththeory.estimates import (
    Interval,
    accuracies,
    finished,
    labelled,
    points,
    rates_note,
    select_learning_rate,
    tasks,
)
from widththeory.plotting import COLORS, LINES, MARKERS, TEXT_WIDTH
from widththeory.verdicts import Verdict

CELL = ["task", "net"]
ENOUGH = 0.02  # of the test images: a net that loses less is as good
FAMILIES = {1: "black", 4: "blue", 2: "orange"}  # by the divisor of the baseline's widths
PLACES = {"none": 0, "1-2": 1, "3-4": 2, "5": 3}
# What is doubled, and from which net to which.
DOUBLINGS = {
    "all layers, from 1/4": (1, 5),
    "1-2, from 1/4": (1, 2),
    "3-4, from 1/4": (1, 3),
    "5, from 1/4": (1, 4),
    "all layers, from 1/2": (5, 0),
    "1-2, from 1/2": (5, 6),
    "3-4, from 1/2": (5, 7),
    "5, from 1/2": (5, 8),
}


def drawn(table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The fits at the learning rate of least median training loss, chosen for each net and task."""
    fits = select_learning_rate(labelled(table, cells), by=CELL, loss="train_loss")
    kept = [*CELL, "widths", "divisor", "doubled", "num_params", "multiply_adds", "chance", "num_train", "num_test"]
    kept += ["image_size", "seed", "learning_rate", "num_steps", "train_loss", "train_accuracy", "test_accuracy"]
    curves = [name for name in fits if name.startswith("accuracy_at_")]
    return fits[[*kept, *curves, "status", *(["diverged"] if "diverged" in fits else [])]]


def gain(fits: pd.DataFrame, task: str, before: int, after: int) -> Interval:
    """See `estimates.gain`, of nets by their number."""
    return estimates.gain(fits, task, before, after, by="net")


def figure(table: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """Learning curves, final accuracy with cost, gains of doubling; a column a task."""
    fits = drawn(table, cells)
    names = tasks(fits)
    picture = Figure(figsize=(TEXT_WIDTH, 7.2), layout="constrained")
    picture.suptitle(
        "Half of the width is enough on an easy task, not on a hard one; which layer's width pays", size=9.5
    )
    panels: Any = picture.subplots(3, len(names), squeeze=False, height_ratios=(1.15, 1, 1))
    for column, name in enumerate(names):
        own = fits[fits["task"] == name]
        _curves(panels[0, column], own, f"({'abc'[column]}) {name} task")
        _final(panels[1, column], own, last=column == len(names) - 1)
        _gains(panels[2, column], fits, name)
    panels[0, 0].set_ylabel("test accuracy")
    panels[1, 0].set_ylabel("final test accuracy")
    panels[2, 0].set_ylabel("gain, points")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    ends = [axes.get_ylim() for axes in panels[2]]
    for axes in panels[2]:
        axes.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))
    picture.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=7, handlelength=3)
    return picture


def _look(divisor: int, doubled: str) -> dict[str, Any]:
    place = PLACES[doubled]
    color = COLORS[FAMILIES[divisor]]
    return {"color": color, "marker": MARKERS[place], "linestyle": LINES[place], "markersize": 3}


def _label(net: int, divisor: int, doubled: str) -> str:
    name = {1: "baseline", 2: "half", 4: "quarter"}[divisor]
    return f"{net} {name}" + ("" if doubled == "none" else f", {doubled} twice")


def _curves(axes: Axes, fits: pd.DataFrame, title: str) -> None:
    steps = sorted(int(name.removeprefix("accuracy_at_")) for name in fits if name.startswith("accuracy_at_"))
    for (net, divisor, doubled), group in fits.groupby(["net", "divisor", "doubled"]):
        good = finished(group)
        mean = [good[f"accuracy_at_{step}"].mean() for step in steps]
        shown = [(step, value) for step, value in zip(steps, mean, strict=True) if np.isfinite(value)]
        xs, ys = zip(*shown, strict=True) if shown else ((), ())
        axes.plot(xs, ys, label=_label(net, divisor, doubled), **_look(divisor, doubled))
    axes.axhline(fits["chance"].iloc[0], color="0.5", linewidth=0.8, linestyle=":")
    axes.set(xlabel="steps", ylim=(0, _top(fits)))
    axes.set_title(title)


def _top(fits: pd.DataFrame) -> float:
    """Upper end of an axis of accuracies."""
    return min(1.05, 1.2 * float(finished(fits)["test_accuracy"].max()))


def _final(axes: Axes, fits: pd.DataFrame, *, last: bool) -> None:
    cost = axes.twinx()
    work = fits.groupby("net")["multiply_adds"].first()
    cost.bar(work.index, work / 1e6, color="0.88", width=0.8, zorder=0)
    cost.set_yscale("log")
    cost.set_ylim(work.min() / 2e6, 4 * work.max() / 1e6)
    cost.spines["right"].set_visible(True)
    if last:
        cost.set_ylabel("million multiply-adds (bars)", fontsize=8)
    axes.set_zorder(cost.get_zorder() + 1)
    axes.patch.set_visible(False)
    for (net, divisor, doubled), group in fits.groupby(["net", "divisor", "doubled"]):
        values = finished(group)["test_accuracy"]
        if values.empty:
            continue
        ends = [[values.mean() - values.min()], [values.max() - values.mean()]]
        look = {**_look(divisor, doubled), "linestyle": "none", "markersize": 4.5}
        axes.errorbar([net], [values.mean()], ends, capsize=2, elinewidth=0.9, **look)
        if len(values) < len(group):
            axes.annotate(f"{len(values)} of {len(group)}", (net, values.max()), xytext=(0, 4), fontsize=6,
                          textcoords="offset points", ha="center")  # fmt: skip
    axes.axhline(fits["chance"].iloc[0], color="0.5", linewidth=0.8, linestyle=":")
    axes.set(xlabel="net", ylim=(0, _top(fits)), xticks=sorted(fits["net"].unique()))


def _gains(axes: Axes, fits: pd.DataFrame, task: str) -> None:
    there = set(fits["net"])
    shown = {name: ends for name, ends in DOUBLINGS.items() if set(ends) <= there}
    for place, (name, (before, after)) in enumerate(shown.items()):
        found = gain(fits, task, before, after)
        if not np.isfinite(found.value):
            continue
        look: dict[str, Any] = {"color": COLORS["blue" if "1/4" in name else "orange"], "marker": MARKERS[place % 4]}
        ends = [[100 * (found.value - found.low)], [100 * (found.high - found.value)]]
        bar: Any = ends if np.isfinite(found.low) else None
        axes.errorbar([place], [100 * found.value], bar, capsize=2, elinewidth=0.9, linestyle="none", **look)
    axes.axhline(0, color="0.5", linewidth=0.8)
    axes.set_xticks(range(len(shown)), [name.split(",")[0].removesuffix(" layers") for name in shown])
    axes.set_xlabel("layers doubled, from the quarter net (blue) and the half net (orange)", fontsize=8)
    axes.set_xlim(-0.6, max(len(shown), 1) - 0.4)


def verdict(table: pd.DataFrame, cells: pd.DataFrame) -> Verdict:
    """Held where half of the width loses under 2 points on the easy task and over 2 on the hard, by their intervals.

    "not held" where an interval refutes one of the two, else "open".
    """
    fits = drawn(table, cells)
    easy, hard = (tasks(fits) * 2)[:2]
    loss = {name: gain(fits, name, 5, 0) for name in (easy, hard)}
    enough, costs = loss[easy].high < ENOUGH, loss[hard].low > ENOUGH
    refuted = loss[easy].low > ENOUGH or loss[hard].high < ENOUGH
    told = (
        f"from half of every width to all of it accuracy changes by {points(loss[easy])} on the {easy} task and by "
        f"{points(loss[hard])} on the {hard} one"
    )
    short = f"half of every width costs {100 * loss[easy].value:.1f} points on the {easy} task, "
    short += f"{100 * loss[hard].value:.1f} on the {hard} one"
    short *= easy != hard and all(np.isfinite(one.value) for one in loss.values())
    good = finished(fits[(fits["task"] == hard) & (fits["net"] == 0)])["test_accuracy"]
    return Verdict(
        "held" if enough and costs else "not held" if refuted else "open",
        told,
        f"test error of the baseline on the {hard} task, mean over seeds ({accuracies(fits, 'net')})",
        floor=None,
        best_fit=None if good.empty else 1 - good.mean(),
        construction=None,
        n=len(finished(fits)),
        short=short,
    )


def _paying(fits: pd.DataFrame, task: str) -> str:
    """Which of the three pairs of layers pays most when doubled in the quarter net, per cost."""
    cost = fits.groupby("net")["multiply_adds"].first()
    found = {
        name.split(",")[0]: (gain(fits, task, *ends), cost[ends[1]] / cost[ends[0]])
        for name, ends in DOUBLINGS.items()
        if name.endswith("1/4") and not name.startswith("all") and set(ends) <= set(cost.index)
    }
    known = {name: pair for name, pair in found.items() if np.isfinite(pair[0].value)}
    if not known:
        return ""
    told = ", ".join(f"{name}: {points(one)} for {ratio:.2f} times the work" for name, (one, ratio) in known.items())
    best = max(known, key=lambda name: known[name][0].value)
    apart = known[best][0].low > max((one.value for name, (one, _) in known.items() if name != best), default=-1)
    more = f"{best} pays most" if apart else f"{best} gains most here, but the intervals do not tell which pays most"
    return f"Doubling layers of the quarter net on the {task} task: {told}; {more}. "


def caption(table: pd.DataFrame, cells: pd.DataFrame) -> str:
    """What is drawn, how many fits, and whether the claim held, computed from the tables."""
    fits = drawn(table, cells)
    found, count = verdict(table, cells), finished(fits).groupby(CELL).size()
    n = f"{count.min()}" if count.min() == count.max() else f"{count.min()} to {count.max()}"
    everything = labelled(table, cells)
    lost = len(everything) - len(finished(everything))
    held = {"held": "holds", "not held": "does not hold", "open": "is neither confirmed nor refuted"}[found.state]
    facts = fits.groupby("task")[["chance", "num_train", "num_test", "image_size", "num_steps"]].first()
    of_tasks = "; ".join(
        f"{name}: chance {row['chance']:.3g}, {row['num_train']:.0f} training and {row['num_test']:.0f} test images of "
        f"{row['image_size']:.0f} pixels, {row['num_steps']:.0f} steps"
        for name, row in facts.iterrows()
    )
    return (
        f"{fits['net'].nunique()} allconv6 networks, widths "
        f"{', '.join(fits.sort_values('net')['widths'].unique())}; that nets 6 to 8 are the half net with layers "
        f"doubled is our reading of the family. {of_tasks}. Top: test accuracy on the way, "
        "mean over seeds. Middle: at the end, mean and range over seeds; bars, multiply-adds an image. Dotted: chance. "
        "Bottom: gain by doubling widths, Student's 95 % interval, variance over seeds pooled over nets. "
        f"n = {n} seeds a point, {rates_note(everything)}"
        f"{f'; {lost} of {len(everything)} fits failed or diverged' if lost else ''}. The claim, that "
        f"half of the width is enough on the easy task (under {100 * ENOUGH:.0f} points lost) and not on the hard one, "
        f"{held}: {found.sentence}. {_paying(fits, (tasks(fits) * 2)[1])}"
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
