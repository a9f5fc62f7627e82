"""Width that comes cheap: accuracy against compute of ReLU, CReLU with half of the channels, and DenseNet.

Draws results/<scale>/free_width.csv with .cells.csv and .published.csv; see experiments/free_width.py.
"""

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
    ANSWERS,
    SIZES,
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
    named,
    points,
    seeds_note,
    summary,
    tasks,
    telling,
)
from widththeory.plotting import TEXT_WIDTH, number_ticks, series
from widththeory.verdicts import Verdict

CELL = ["task", "network"]
LABELS = ["family", "size"]
FAMILIES = {"ReLU": 0, "CReLU": 1, "DenseNet": 2, "DenseNet-BC": 4}  # the place of its look
NAMES = {"ReLU": "plain, ReLU", "CReLU": "plain, CReLU, half of the channels", "DenseNet": "DenseNet, ReLU"}
ENOUGH = 0.02  # of the test images: a network that loses less is as good
QUESTION = "Does CReLU halve the cost at no loss, and does a DenseNet beat plain nets?"


def drawn(table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The fits at the learning rate of least median training loss, chosen for each network and task."""
    fits = select_learning_rate(labelled(table, cells), by=CELL, loss="train_loss")
    kept = [*CELL, *LABELS, *SIZES, "seed", "learning_rate", "num_steps", "step_seconds"]
    kept += ["train_loss", "train_accuracy", "test_accuracy", "status"]
    return fits[[*kept, *(["diverged"] if "diverged" in fits else [])]]


def figure(table: pd.DataFrame, cells: pd.DataFrame, published: pd.DataFrame) -> Figure:
    """A row a task on which networks differ, accuracy against both costs; gains of CReLU; published errors."""
    fits = drawn(table, cells)
    found = summary(fits, CELL, LABELS)
    names = [name for name in tasks(fits) if name not in flat(fits, CELL)]
    picture = Figure(figsize=(TEXT_WIDTH, 2.8 + 2.1 * len(names)), layout="constrained")
    picture.suptitle(f"{QUESTION} {answer(answers(fits))}", size=9.5)
    panels: Any = picture.subplots(len(names) + 1, 2, squeeze=False)
    letters = iter("abcdefghij")
    for row, name in zip(panels, names, strict=False):
        for axes, cost in zip(row, ("multiply_adds", "num_params"), strict=True):
            _task(axes, found[found["task"] == name], cost)
            axes.set_xlabel({"multiply_adds": "million multiply-adds", "num_params": "thousand parameters"}[cost])
            axes.set_title(f"({next(letters)}) {called(name)}")
        row[0].set_ylabel("test accuracy")
    left, right = panels[-1]
    _gains(left, fits)
    left.set_title(f"({next(letters)}) CReLU less ReLU")
    _published(right, published)
    right.set_title(f"({next(letters)}) CIFAR-10, published")
    looks = {
        name: label for name, label in {**NAMES, "DenseNet-BC": "DenseNet-BC"}.items() if _there(name, fits, published)
    }
    handles = [Line2D([], [], **series(FAMILIES[name]), label=label) for name, label in looks.items()]
    picture.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7.5)
    return picture


def _there(family: str, *tables: pd.DataFrame) -> bool:
    return any((table["family"] == family).any() for table in tables)


def _task(axes: Axes, found: pd.DataFrame, cost: str) -> None:
    unit = 1e6 if cost == "multiply_adds" else 1e3
    for family in NAMES:
        rows = found[found["family"] == family].sort_values("size")
        if rows.empty:
            continue
        ends = [rows["mean"] - rows["min"], rows["max"] - rows["mean"]]
        axes.errorbar(rows[cost] / unit, rows["mean"], ends, capsize=2, elinewidth=0.8, **series(FAMILIES[family]))
        short = rows[rows["count"] < rows["cells"]]
        for x, y, count, cells in zip(short[cost] / unit, short["max"], short["count"], short["cells"], strict=True):
            axes.annotate(
                f"{count} of {cells}", (x, y), xytext=(0, 4), textcoords="offset points", fontsize=7, ha="center"
            )
    if len(found):
        chance, across = found["chance"].iloc[0], axes.get_yaxis_transform()
        axes.axhline(chance, color="0.5", linewidth=0.8, linestyle=":")
        axes.text(0.99, chance, "chance", transform=across, ha="right", va="bottom", fontsize=7)
        axes.set_ylim(0, min(1.05, 1.2 * found["max"].max()))
    _log(axes.xaxis)


def halved(fits: pd.DataFrame, task: str) -> dict[float, Interval]:
    """By multiplier of the width, what CReLU with half of those channels gains over ReLU."""
    sizes = sorted(fits.loc[fits["family"] == "CReLU", "size"].unique(), reverse=True)
    found = {size: gain(fits, task, f"plain-{size:g}", f"crelu-{size:g}") for size in sizes}
    return {size: one for size, one in found.items() if np.isfinite(one.value)}


def over_plain(fits: pd.DataFrame, task: str) -> dict[int, Interval]:
    """By growth rate, what a DenseNet gains over a plain ReLU network of as many multiply-adds.

    Between two plain networks accuracy is interpolated in the logarithm of the multiply-adds; those outside are left
    out. The end counts as inside: a DenseNet with more work than the largest plain network is not compared.
    """
    found = summary(fits[fits["task"] == task], CELL, LABELS)
    plain = found[found["family"] == "ReLU"].sort_values("multiply_adds")
    if len(plain) < 2:
        return {}
    names, work = plain["network"].tolist(), np.log(plain["multiply_adds"].to_numpy(float))
    gained = {}
    for row in found[found["family"] == "DenseNet"].itertuples(index=False):
        place = np.interp(np.log(row.multiply_adds), work, np.arange(len(work)), left=np.nan, right=np.nan)
        if np.isfinite(place):
            below = min(int(place), len(work) - 2)
            part = float(place - below)
            shares = {row.network: 1.0, names[below]: part - 1, names[below + 1]: -part}
            gained[int(row.size)] = contrast(fits, task, shares)
    return gained


def _left_out(fits: pd.DataFrame, task: str) -> list[int]:
    """Growth rates of the DenseNets that no plain network can be compared with."""
    there = fits.loc[(fits["task"] == task) & (fits["family"] == "DenseNet"), "size"].unique()
    return sorted({int(size) for size in there} - set(over_plain(fits, task)))


def _gains(axes: Axes, fits: pd.DataFrame) -> None:
    """The look is CReLU's; markers are filled by task."""
    sizes = sorted(fits.loc[fits["family"] == "CReLU", "size"].unique())
    look = {**series(FAMILIES["CReLU"]), "linestyle": "none"}
    for turn, (task, fill) in enumerate(marker_fills(fits).items()):
        for size, found in halved(fits, task).items():
            ends: Any = [[100 * (found.value - found.low)], [100 * (found.high - found.value)]]
            bar = ends if np.isfinite(found.low) else None
            axes.errorbar(
                [size * 1.06**turn], [100 * found.value], bar, capsize=2, elinewidth=0.9, fillstyle=fill, **look
            )
        axes.plot([], [], fillstyle=fill, label=called(task), **look)
    axes.axhline(0, color="0.5", linewidth=0.8)
    axes.axhline(-100 * ENOUGH, color="0.5", linewidth=0.8, linestyle="-.", zorder=0)
    axes.set(xscale="log", xlabel="width multiplier of the ReLU network", ylabel="gain in test accuracy, points")
    number_ticks(axes.xaxis, sizes)
    axes.margins(x=0.15)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.25 * (high - low))  # room for the legend
    axes.legend(loc="upper center", fontsize=7, ncols=3)


def _log(axis: Axis) -> None:
    """A log scale with few ticks, as plain numbers."""
    axis.axes.set_xscale("log")
    axis.set_major_locator(LogLocator(subs=(1, 3)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _published(axes: Axes, published: pd.DataFrame) -> None:
    for family in FAMILIES:
        rows = published[published["family"] == family].sort_values("num_params")
        look = series(FAMILIES[family])
        accuracy, spread = 1 - rows["error"] / 100, rows["error_sd"].fillna(0) / 100
        axes.errorbar(rows["num_params"], accuracy, spread, elinewidth=0.8, capsize=2, **look)
    axes.set(xscale="log", xlabel="million parameters", ylabel="test accuracy")
    number_ticks(axes.xaxis, (0.5, 1, 2, 5, 10, 20))


def answers(fits: pd.DataFrame) -> list[str]:
    """States of the two parts of the question, on CReLU and on DenseNets, on the task that tells."""
    found, gained = halved(fits, telling(fits)).values(), over_plain(fits, telling(fits)).values()
    as_good, worse = all(one.low > -ENOUGH for one in found), any(one.high < -ENOUGH for one in found)
    better, beaten = all(one.low > 0 for one in gained), any(one.high < 0 for one in gained)
    return [
        "not held" if refuted else "held" if known and shown else "open"
        for refuted, known, shown in ((worse, found, as_good), (beaten, gained, better))
    ]


def verdict(table: pd.DataFrame, cells: pd.DataFrame) -> Verdict:
    """Held where on the hard task CReLU with half the channels loses under 2 points at every width, by its interval,
    and every DenseNet that can be compared beats the plain network of as much work, by its interval.

    "not held" where CReLU loses more than 2 points at some width, or a DenseNet is worse, by its interval.
    """  # fmt: skip
    fits = drawn(table, cells)
    task = telling(fits)
    found, gained = halved(fits, task), over_plain(fits, task)
    parts = answers(fits)
    told = f"on {named(task)} CReLU with half of the channels changes accuracy by "
    told += ", ".join(f"{points(one)} at width {size:g}" for size, one in found.items()) or "an unknown amount"
    undecided = [f"{size:g}" for size, one in found.items() if one.low <= -ENOUGH <= one.high]
    if undecided:
        told += f" (at width {', '.join(undecided)} the intervals allow a loss of {100 * ENOUGH:g} points)"
    told += "; DenseNets gain "
    told += ", ".join(f"{points(one)} at growth rate {rate}" for rate, one in gained.items())
    told += " over plain networks of as many multiply-adds" if gained else "what cannot be compared at equal work"
    left = _left_out(fits, task)
    told += f" (growth rate {', '.join(map(str, left))}: no plain network of its work)" if gained and left else ""
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


def caption(table: pd.DataFrame, cells: pd.DataFrame, published: pd.DataFrame) -> str:
    """What is drawn, how many fits, and what became of both parts of the question, computed from the tables."""
    fits = drawn(table, cells)
    letters = "abcdefghij"[: 2 * (fits["task"].nunique() - len(flat(fits, CELL))) + 2]
    above = f"({', '.join(letters[:-2])})"
    crelu, dense = (ANSWERS[state] for state in answers(fits))
    task, told = telling(fits), []
    for found, name, of in (
        (halved(fits, task), "CReLU changes accuracy", "width"),
        (over_plain(fits, task), "a DenseNet, over a plain network of equal work, changes it", "growth rate"),
    ):
        known = {size: one for size, one in found.items() if np.isfinite(one.value)}
        if known:
            worst = min(known, key=lambda size: known[size].value)
            told.append(f"{name} by {points(known[worst])} at {of} {worst:g}")
    return (
        f"CReLU with half of the channels costs half and loses nothing (under {100 * ENOUGH:.0f} points; Shang et al. "
        f"2016): {crelu}; a DenseNet beats a plain network of equal work (Huang et al. 2017): {dense}. {above} Mean "
        f"and range over {seeds_note(fits, labelled(table, cells), CELL)}. ({letters[-2]}) Mean with Student's 95 % "
        f"interval, variance over seeds pooled over networks{fills_note(fits)}. "
        f"{flat_note(fits, CELL, where=f'drawn in ({letters[-2]}) alone')}({letters[-1]}) From the two papers; "
        f"DenseNets with augmentation. On {named(task)}, at worst, {', '.join(told) or 'nothing can be compared'}. "
        f"Other data may differ. Tasks: {facts(fits)}."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
