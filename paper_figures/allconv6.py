"""Which layer's width pays: learning curves, final accuracies and the gains of doubling, on an easy and a hard task.

Draws results/<scale>/allconv6.csv with .cells.csv; see experiments/allconv6.py.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from widththeory import command, image_tasks
from widththeory.estimates import Interval, finished, select_learning_rate
from widththeory.image_tasks import (
    HELD,
    SIZES,
    accuracies,
    called,
    facts,
    fills_note,
    flat,
    flat_note,
    labelled,
    marker_fills,
    named,
    points,
    seeds_note,
    tasks,
    telling,
)
from widththeory.plotting import COLORS, LINES, MARKERS, TEXT_WIDTH, number_ticks
from widththeory.verdicts import Verdict

CELL = ["task", "net"]
ENOUGH = 0.02  # of the test images: a net that loses less is as good
FAMILIES = {1: "green", 4: "blue", 2: "orange"}  # by the divisor of the baseline's widths
NAMES = {1: "all of the width", 2: "half", 4: "quarter"}
PLACES = {"none": 0, "1-2": 1, "3-4": 2, "5": 3}
TITLES = {
    "held": "Half of the width is enough on an easy task, not on a hard one",
    "not held": "Is half of the width enough on an easy task, and not on a hard one? No",
    "open": "Is half of the width enough on an easy task, and not on a hard one? Undecided",
}
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
    kept = [*CELL, "widths", "divisor", "doubled", *SIZES, "seed", "learning_rate", "num_steps", "train_loss"]
    kept += ["train_accuracy", "test_accuracy"]
    curves = [name for name in fits if name.startswith("accuracy_at_")]
    return fits[[*kept, *curves, "status", *(["diverged"] if "diverged" in fits else [])]]


def gain(fits: pd.DataFrame, task: str, before: int, after: int) -> Interval:
    """See `image_tasks.gain`, of nets by their number."""
    return image_tasks.gain(fits, task, before, after, by="net")


def figure(table: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """A row a task on which nets differ, learning curves and final accuracy against cost; gains of doubling."""
    fits = drawn(table, cells)
    names = [name for name in tasks(fits) if name not in flat(fits, CELL)]
    picture = Figure(figsize=(TEXT_WIDTH, 3.0 + 2.3 * len(names)), layout="constrained")
    picture.suptitle(TITLES[verdict(table, cells).state], size=9.5)
    grid = picture.add_gridspec(len(names) + 1, 2)
    letters = iter("abcdefgh")
    for row, name in enumerate(names):
        own = fits[fits["task"] == name]
        left, right = (picture.add_subplot(grid[row, column]) for column in (0, 1))
        _curves(left, own, f"({next(letters)}) {called(name)}, on the way")
        _final(right, own, f"({next(letters)}) {called(name)}, at the end")
    _gains(picture.add_subplot(grid[-1, :]), fits, f"({next(letters)}) gain by doubling")
    nets = fits[["divisor", "doubled"]].drop_duplicates()
    order = nets.sort_values("divisor", ascending=False).sort_values("doubled", key=_places, kind="stable")
    pairs = [pair for pair in order.itertuples(index=False, name=None) if pair[0] > 1]
    pairs += [pair for pair in order.itertuples(index=False, name=None) if pair[0] == 1]
    handles = [Line2D([], [], **_look(*pair), label=_label(*pair)) for pair in pairs]
    picture.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=7, handlelength=3, columnspacing=1.2)
    return picture


def _places(doubled: pd.Series) -> pd.Series:
    return doubled.map(PLACES)


def _look(divisor: int, doubled: str) -> dict[str, Any]:
    place = PLACES[doubled]
    color = COLORS[FAMILIES[divisor]]
    return {"color": color, "marker": MARKERS[place], "linestyle": LINES[place], "markersize": 3.5}


def _label(divisor: int, doubled: str) -> str:
    return NAMES[divisor] + ("" if doubled == "none" else f", {doubled} doubled")


def _curves(axes: Axes, fits: pd.DataFrame, title: str) -> None:
    steps = sorted(int(name.removeprefix("accuracy_at_")) for name in fits if name.startswith("accuracy_at_"))
    for (divisor, doubled), group in fits.groupby(["divisor", "doubled"]):
        good = finished(group)
        mean = [good[f"accuracy_at_{step}"].mean() for step in steps]
        shown = [(step, value) for step, value in zip(steps, mean, strict=True) if np.isfinite(value)]
        xs, ys = zip(*shown, strict=True) if shown else ((), ())
        axes.plot(xs, ys, **_look(divisor, doubled))
    chance = fits["chance"].iloc[0]
    axes.axhline(chance, color="0.5", linewidth=0.8, linestyle=":")
    axes.text(0.99, chance, "chance", transform=axes.get_yaxis_transform(), ha="right", va="bottom", fontsize=7)
    axes.set(xlabel="steps", ylabel="test accuracy")
    axes.set_ylim(top=min(1.02, axes.get_ylim()[1]))
    axes.set_title(title)


def _final(axes: Axes, fits: pd.DataFrame, title: str) -> None:
    alike = finished(fits[fits["doubled"] == "none"]).groupby("multiply_adds")["test_accuracy"].mean()
    axes.plot(alike.index / 1e6, alike, color="0.7", linewidth=0.9, zorder=0)
    for (divisor, doubled), group in fits.groupby(["divisor", "doubled"]):
        values, work = finished(group)["test_accuracy"], group["multiply_adds"].iloc[0] / 1e6
        if values.empty:
            continue
        ends = [[values.mean() - values.min()], [values.max() - values.mean()]]
        look = {**_look(divisor, doubled), "linestyle": "none", "markersize": 4.5}
        axes.errorbar([work], [values.mean()], ends, capsize=2, elinewidth=0.9, **look)
        if len(values) < len(group):
            axes.annotate(f"{len(values)} of {len(group)}", (work, values.max()), xytext=(0, 4), fontsize=7,
                          textcoords="offset points", ha="center")  # fmt: skip
    least, most = fits["multiply_adds"].min() / 1e6, fits["multiply_adds"].max() / 1e6
    axes.set(
        xscale="log", xlabel="million multiply-adds an image", ylabel="test accuracy", xlim=(least / 1.3, most * 1.3)
    )
    plain = [step * 10.0**power for power in range(-4, 6) for step in (1, 2, 5)]
    number_ticks(axes.xaxis, [tick for tick in plain if least / 1.3 <= tick <= most * 1.3])
    axes.margins(y=0.1)
    axes.set_title(title)


def _gains(axes: Axes, fits: pd.DataFrame, title: str) -> None:
    there = set(fits["net"])
    shown = {name: ends for name, ends in DOUBLINGS.items() if set(ends) <= there}
    fills = marker_fills(fits)
    for turn, (task, fill) in enumerate(fills.items()):
        for place, (name, (before, after)) in enumerate(shown.items()):
            found = gain(fits, task, before, after)
            if not np.isfinite(found.value):
                continue
            doubled = name.split(",")[0]
            look = _look(4 if name.endswith("1/4") else 2, doubled if doubled in PLACES else "none")
            look |= {"linestyle": "none", "markersize": 4.5, "fillstyle": fill}
            ends = [[100 * (found.value - found.low)], [100 * (found.high - found.value)]]
            bar: Any = ends if np.isfinite(found.low) else None
            axes.errorbar([place + 0.2 * turn], [100 * found.value], bar, capsize=2, elinewidth=0.9, **look)
    axes.axhline(0, color="0.5", linewidth=0.8)
    axes.axhline(100 * ENOUGH, color="0.5", linewidth=0.8, linestyle="-.", zorder=0)
    words = [f"{name.split(',')[0].removesuffix(' layers')}" for name in shown]
    axes.set_xticks([place + 0.1 * (len(fills) - 1) for place in range(len(shown))], words)
    axes.set_xlabel("layers doubled: left, of the quarter net; right, of the half net", fontsize=8)
    axes.set_xlim(-0.5, max(len(shown), 1) - 0.3)
    axes.set_ylabel("gain in test accuracy, points")
    axes.set_title(title)
    if len(fills) > 1:
        handles = [
            Line2D([], [], color="0.3", marker="o", linestyle="none", fillstyle=fill, label=called(task))
            for task, fill in fills.items()
        ]
        axes.legend(handles=handles, loc="upper right", fontsize=7, handlelength=1)


def verdict(table: pd.DataFrame, cells: pd.DataFrame) -> Verdict:
    """Held where half of the width loses under 2 points on the easy task and over 2 on the hard, by their intervals.

    "not held" where an interval refutes one of the two, else "open": a task that is not measured yet refutes nothing.
    """
    fits = drawn(table, cells)
    easy, hard = (gain(fits, name, 5, 0) for name in ("easy", "hard"))
    enough, costs = easy.high < ENOUGH, hard.low > ENOUGH
    refuted = easy.low > ENOUGH or hard.high < ENOUGH
    task, shown = telling(fits), tasks(fits)[:2]
    told = "from half of every width to all of it accuracy changes by "
    told += " and by ".join(f"{points(gain(fits, name, 5, 0))} on {named(name)}" for name in shown)
    told += _paying(fits, task)
    short = f"half of every width costs {100 * easy.value:.1f} points on the easy task, {100 * hard.value:.1f} on the "
    short += "hard task"
    short *= bool(np.isfinite([easy.value, hard.value]).all())
    good = finished(fits[(fits["task"] == task) & (fits["net"] == 0)])["test_accuracy"]
    return Verdict(
        "held" if enough and costs else "not held" if refuted else "open",
        told,
        f"test accuracy of the baseline on {named(task)}, mean over seeds ({accuracies(fits, 'net')})",
        floor=None,
        best_fit=None if good.empty else good.mean(),
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
    return f"; doubling layers of the quarter net on {named(task)}: {told}; {more}"


def caption(table: pd.DataFrame, cells: pd.DataFrame) -> str:
    """What is drawn, how many fits, and whether the claim held, computed from the tables."""
    fits, found = drawn(table, cells), verdict(table, cells)
    letters = "abcdefgh"[: 2 * (fits["task"].nunique() - len(flat(fits, CELL))) + 1]
    left, right = (f"({', '.join(letters[start:-1:2])})" for start in (0, 1))
    own = (tasks(fits) * 2)[:2]
    gains = " and ".join(f"{points(gain(fits, name, 5, 0))} on {named(name)}" for name in dict.fromkeys(own))
    whole = fits.loc[fits["net"] == 0, "widths"].unique()
    return (
        f"Half of every width is enough on an easy task (under {100 * ENOUGH:.0f} points lost), not on a hard one "
        f"(after Springenberg et al. 2015): the claim {HELD[found.state]}. {left} Test accuracy, mean over "
        f"{seeds_note(fits, labelled(table, cells), CELL)}. {right} Mean and range; grey: all layers alike. "
        f"({letters[-1]}) Mean with Student's 95 % interval, variance over seeds pooled over "
        f"networks{fills_note(fits)}. {flat_note(fits, CELL, where=f'drawn in ({letters[-1]}) alone')}From half of "
        f"every width to all of it accuracy changes by {gains}. {fits['net'].nunique()} allconv6 networks"
        f"{f', the widest of {whole[0]}' if len(whole) else ''}; other families and data may differ. Tasks: "
        f"{facts(fits)}."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
