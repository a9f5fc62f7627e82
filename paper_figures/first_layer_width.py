"""How wide must the first layer be: accuracy and loss against its width on an easy and a hard task, with the cost.

Draws results/<scale>/first_layer_width.csv with .cells.csv; see experiments/first_layer_width.py.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from widththeory import command
from widththeory.estimates import NOTHING, Interval, finished, select_learning_rate
from widththeory.image_tasks import (
    HELD,
    SIZES,
    accuracies,
    called,
    facts,
    flat,
    flat_note,
    gain,
    labelled,
    named,
    seeds_note,
    tasks,
    telling,
)
from widththeory.plotting import TEXT_WIDTH, number_ticks, series
from widththeory.verdicts import Verdict

CELL = ["task", "activation", "width"]
CLASSICS = {24: "ShuffleNet", 32: "MobileNet", 64: "VGG, ResNet", 96: "AlexNet"}
ENOUGH = {"test_accuracy": 0.01, "test_loss": 0.02}  # of the test images; nats
TICKS = (2, 4, 8, 16, 32, 64, 96)
TITLE_PAD = 38  # points, over the names of the classics
TITLES = {
    "held": "The first layer saturates below the widest classic one, and earlier where the task is easy",
    "not held": "Does the first layer saturate below the widest classic one, and earlier where the task is easy? No",
    "open": "Does the first layer saturate below the widest classic one, and earlier where the task is easy? Undecided",
}


def drawn(table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The fits at the learning rate of least median training loss, chosen for each task, activation and width."""
    fits = select_learning_rate(labelled(table, cells), by=CELL, loss="train_loss")
    kept = [*CELL, "patch", *SIZES, "seed", "learning_rate", "num_steps", "batch_size"]
    kept += ["train_loss", "train_accuracy", "test_loss", "test_accuracy"]
    return fits[[*kept, "status", *(["diverged"] if "diverged" in fits else [])]]


def first_enough(means: pd.Series, metric: str) -> int:
    """The least width from which on the mean stays as good as the widest one's, within `ENOUGH`."""
    means = means.sort_index()
    behind = (means.iloc[-1] - means) * (1 if metric == "test_accuracy" else -1)
    short = behind.index[behind > ENOUGH[metric]]  # never the last
    return int(means.index[0] if short.empty else means.index[means.index > short[-1]][0])


def saturation(fits: pd.DataFrame, metric: str = "test_accuracy") -> Interval:
    """Width of one activation on one task from which on more is of no use, with its 95 % interval.

    Each width is compared with the widest by Student's 95 % interval, the variance over seeds pooled over widths. The
    lower end is the first width, from the narrowest up, that is not shown to be short of the widest by more than
    `ENOUGH`; the upper end is the last, from the widest down, that is shown not to be. A walk passes the true width
    only by an error at one fixed width, so that the many comparisons need no correction. NaN where nothing was
    measured; no ends where there is but one width, or no width has two seeds.
    """
    sign = 1 if metric == "test_accuracy" else -1
    good = finished(fits).assign(task="", test_accuracy=lambda rows: sign * rows[metric])
    groups = good.groupby("width")[metric]
    if good.empty:
        return NOTHING
    found, n = float(first_enough(groups.mean(), metric)), int(groups.size().min())
    *widths, widest = sorted(good["width"].unique())
    behind = {width: gain(good, "", width, widest, by="width") for width in widths}
    if not behind or not all(np.isfinite(one.low) for one in behind.values()):
        return Interval(found, np.nan, np.nan, n)
    low = next((width for width in widths if behind[width].low <= ENOUGH[metric]), widest)
    high = widest
    while widths and behind[widths[-1]].high <= ENOUGH[metric]:
        high = widths.pop()
    return Interval(found, float(low), float(high), n)


def figure(table: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """A row a task that width matters for: accuracy and test loss."""
    fits = drawn(table, cells)
    names = [name for name in tasks(fits) if name not in flat(fits, CELL)]
    picture = Figure(figsize=(TEXT_WIDTH, 0.75 + 2.6 * len(names)), layout="constrained")
    picture.suptitle(TITLES[verdict(table, cells).state], size=9.5)
    panels: Any = picture.subplots(len(names), 2, squeeze=False)
    letters = iter("abcdef")
    for (left, right), name in zip(panels, names, strict=True):
        own = fits[fits["task"] == name]
        _accuracy(left, own, f"({next(letters)}) {called(name)}")
        _loss(right, own, f"({next(letters)}) {called(name)}")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=7)
    return picture


def _points(axes: Axes, fits: pd.DataFrame, metric: str) -> None:
    for index, (activation, own) in enumerate(
        fits.sort_values("activation", ascending=False).groupby("activation", sort=False)
    ):
        groups = finished(own).groupby("width")[metric]
        mean, low, high = groups.mean(), groups.min(), groups.max()
        name = {"relu": "ReLU", "crelu": "CReLU"}[activation]
        axes.errorbar(
            mean.index, mean, [mean - low, high - mean], label=name, capsize=1.5, elinewidth=0.7, **series(index)
        )
        lost = own.groupby("width").size() - finished(own).groupby("width").size().reindex(
            own["width"].unique()
        ).fillna(0)
        for width, count in lost[lost > 0].items():
            if width in mean.index:
                total = (own["width"] == width).sum()
                axes.annotate(
                    f"{total - count:.0f} of {total}", (width, high[width]), xytext=(0, 3),
                    textcoords="offset points", ha="center", fontsize=7,
                )  # fmt: skip
        found = saturation(own, metric)
        if np.isfinite(found.low):
            shade = {"color": series(index)["color"], "alpha": 0.13, "linewidth": 0}
            axes.axvspan(found.low / 1.06, found.high * 1.06, label="saturates (95 %)" if not index else None, **shade)


def _references(axes: Axes, fits: pd.DataFrame) -> None:
    patch = int(fits["patch"].iloc[0])
    axes.axvline(
        patch,
        color="black",
        linewidth=0.9,
        linestyle=(0, (3, 1, 1, 1, 1, 1)),
        zorder=0,
        label=f"{patch} numbers a patch",
    )
    said = f"{2 * patch}, least for an injective ReLU"
    axes.axvline(2 * patch, color="black", linewidth=0.9, linestyle=":", zorder=0, label=said)
    axes.set_xscale("log")
    number_ticks(axes.xaxis, TICKS)
    axes.set_xlim(fits["width"].min() / 1.3, 1.35 * max(fits["width"].max(), max(CLASSICS)))
    axes.set_xlabel("filters in the first layer")


def _accuracy(axes: Axes, fits: pd.DataFrame, title: str) -> None:
    """The names of the classics stand over the axes, where no line crosses them."""
    _references(axes, fits)
    _points(axes, fits, "test_accuracy")
    means = finished(fits[fits["activation"] == fits["activation"].max()]).groupby("width")["test_accuracy"].mean()
    if len(means):
        enough = means.iloc[-1] - ENOUGH["test_accuracy"]
        said = f"{100 * ENOUGH['test_accuracy']:.0f} point under the widest"
        axes.axhline(enough, color="0.5", linewidth=0.8, linestyle="-.", zorder=0, label=said)
    axes.margins(y=0.1)
    axes.set_ylim(top=min(1.02, axes.get_ylim()[1]))
    axes.set_ylabel("test accuracy")
    above = axes.secondary_xaxis("top")
    number_ticks(above.xaxis, CLASSICS)
    above.set_xticks(list(CLASSICS), [f"{width} {name}" for width, name in CLASSICS.items()])
    above.tick_params(labelsize=7, labelrotation=40, pad=1, length=3)
    for label in above.get_xticklabels():
        label.set(ha="left", rotation_mode="anchor")
    axes.set_title(title, y=1, pad=TITLE_PAD)


def _loss(axes: Axes, fits: pd.DataFrame, title: str) -> None:
    """Over the axes what the networks cost, at widths far enough apart to be read."""
    _references(axes, fits)
    _points(axes, fits, "test_loss")
    work = fits[fits["activation"] == fits["activation"].max()].groupby("width")["multiply_adds"].first() / 1e6
    shown: list[int] = []
    for width in sorted(work.index, reverse=True):
        shown += [width] if not shown or shown[-1] > 1.5 * width else []
    above = axes.secondary_xaxis("top")
    number_ticks(above.xaxis, shown)
    above.set_xticks(shown, [f"{work[width]:.2g}" for width in shown])
    above.tick_params(labelsize=7, length=3)
    above.set_xlabel("million multiply-adds an image", fontsize=7)
    axes.set_ylabel("test cross-entropy")
    axes.set_title(title, y=1, pad=TITLE_PAD)


def told(found: Interval) -> str:
    """A saturation width in words."""
    if not np.isfinite(found.value):
        return "unknown (nothing measured)"
    if not np.isfinite(found.low):
        return f"{found.value:.0f} (n = {found.n})"
    return f"{found.value:.0f} [{found.low:.0f}, {found.high:.0f}]"


def verdict(table: pd.DataFrame, cells: pd.DataFrame) -> Verdict:
    """Held where, by intervals, the easy task's accuracy saturates below 24 filters, the hard one's below 96 and later.

    "not held" where one of them saturates there or above, or the hard one's earlier, "open" where an interval leaves it
    undecided, or a task is not measured yet.
    """
    fits = drawn(table, cells)
    fits = fits[fits["activation"] == fits["activation"].max()]
    easy, hard = (saturation(fits[fits["task"] == name]) for name in ("easy", "hard"))
    below = easy.high < min(CLASSICS) and hard.high < max(CLASSICS)
    above = easy.low >= min(CLASSICS) or hard.low >= max(CLASSICS)
    later, earlier = easy.high < hard.low, easy.low > hard.high
    task, own = telling(fits), {name: fits[fits["task"] == name] for name in tasks(fits)[:2]}
    losses = " and ".join(told(saturation(rows, "test_loss")) for rows in own.values())
    ends = [f"at {told(saturation(rows))} filters on {named(name)}" for name, rows in own.items()]
    good = finished(fits[fits["task"] == task])
    widest = good.loc[good["width"] == good["width"].max(), "test_accuracy"]
    return Verdict(
        "held" if below and later else "not held" if above or earlier else "open",
        f"accuracy saturates {' and '.join(ends)}, of "
        f"{', '.join(map(str, sorted(fits['width'].unique())))} tried; cross-entropy at {losses}"
        f"{''.join(_gain(fits, name) for name in tasks(fits) if name not in flat(fits, CELL))}",
        f"test accuracy on {named(task)} with the widest first layer, mean over seeds ({accuracies(fits, 'width')})",
        floor=None,
        best_fit=None if widest.empty else float(widest.mean()),
        construction=None,
        n=len(finished(fits)),
    )


def _gain(fits: pd.DataFrame, name: str) -> str:
    """What the narrowest and the widest first layer reach, and cost."""
    own = fits[(fits["task"] == name) & (fits["activation"] == fits["activation"].max())]
    good = finished(own).groupby("width")[["test_accuracy", "test_loss", "multiply_adds"]].mean()
    if good.empty:
        return ""
    first, last = good.iloc[0], good.iloc[-1]
    return (
        f"; on {named(name)} accuracy goes from {100 * first['test_accuracy']:.1f} % with {good.index[0]} filters to "
        f"{100 * last['test_accuracy']:.1f} % with {good.index[-1]}, cross-entropy from {first['test_loss']:.3g} to "
        f"{last['test_loss']:.3g}, for {last['multiply_adds'] / first['multiply_adds']:.1f} times the multiply-adds"
    )


def caption(table: pd.DataFrame, cells: pd.DataFrame) -> str:
    """What is fixed, what is drawn, how many fits, where each task saturates, and whether the claim held."""
    fits, found = drawn(table, cells), verdict(table, cells)
    letters = "abcdef"[: 2 * (fits["task"].nunique() - len(flat(fits, CELL)))]
    own = fits[fits["activation"] == fits["activation"].max()]
    pair, ends = tasks(fits)[:2], []
    for name in (name for name in tasks(fits) if name not in flat(fits, CELL)):
        means = 100 * finished(own[own["task"] == name]).groupby("width")["test_accuracy"].mean()
        if len(means):
            ends.append(f"from {means.iloc[0]:.1f} to {means.iloc[-1]:.1f} % on {named(name)}")
    accuracy, loss = (
        " and ".join(told(saturation(own[own["task"] == name], metric)) for name in pair) for metric in ENOUGH
    )
    return (
        f"Accuracy saturates below {min(CLASSICS)} first-layer filters on an easy task, later but below "
        f"{max(CLASSICS)} on a hard one (Krizhevsky et al. 2012): the claim {HELD[found.state]}. "
        f"({', '.join(letters)}) Mean and range over {seeds_note(fits, labelled(table, cells), CELL)}. Shaded: 95 % "
        f"interval of the least width from which on the mean stays within {100 * ENOUGH['test_accuracy']:.0f} point "
        f"({ENOUGH['test_loss']:g} nats) of the widest one's, by Student's, variance pooled over widths. "
        f"{flat_note(fits, CELL, reached='accuracy is {} % at every width')}Saturation on the {' and the '.join(pair)} "
        f"task: accuracy at {accuracy} filters, cross-entropy at {loss}; accuracy goes {', '.join(ends) or 'nowhere'}. "
        f"The classics' widths and the {2 * int(fits['patch'].iloc[0])} are as recalled. Tasks: {facts(fits)}."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
