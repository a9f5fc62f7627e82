"""How wide must the first layer be: accuracy and loss against its width on an easy and a hard task, with the cost.

Draws results/<scale>/first_layer_width.csv with .cells.csv; see experiments/first_layer_width.py.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from widththeory import command
from widththeory.estimates import Interval, accuracies, finished, rates_note, select_learning_rate
from widththeory.plotting import TEXT_WIDTH, number_ticks, series
from widththeory.verdicts import Verdict

CELL = ["task", "activation", "width"]
CLASSICS = {24: "ShuffleNet", 32: "MobileNet", 64: "VGG, ResNet", 96: "AlexNet"}
ENOUGH = {"test_accuracy": 0.01, "test_loss": 0.02}  # of the test images; nats
RESAMPLES = 1000
TICKS = (2, 4, 8, 16, 32, 64)


def labelled(table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """All fits, with what their cells are."""
    return table.drop(columns=["num_params", "multiply_adds"], errors="ignore").merge(cells, on="key", how="inner")


def drawn(table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The fits at the learning rate of least median training loss, chosen for each task, activation and width."""
    fits = select_learning_rate(labelled(table, cells), by=CELL, loss="train_loss")
    kept = [*CELL, "patch", "num_params", "multiply_adds", "chance", "num_train", "num_test", "image_size", "seed"]
    kept += ["learning_rate", "num_steps", "batch_size", "train_loss", "train_accuracy", "test_loss", "test_accuracy"]
    return fits[[*kept, "status", *(["diverged"] if "diverged" in fits else [])]]


def tasks(fits: pd.DataFrame) -> list[str]:
    """Easy and hard first, then the others as they come."""
    return sorted(fits["task"].unique(), key=lambda name: {"easy": 0, "hard": 1}.get(name, 2))


def first_enough(means: pd.Series, metric: str) -> int:
    """The least width from which on the mean stays as good as the widest one's, within `ENOUGH`."""
    means = means.sort_index()
    return int(means.index[_first_enough(means.to_numpy()[None], metric)[0]])


def _first_enough(means: np.ndarray, metric: str) -> np.ndarray:
    """Places in the rows of `means` by rising width."""
    behind = (means[:, -1:] - means) * (1 if metric == "test_accuracy" else -1)
    short = behind > ENOUGH[metric]  # never the last
    return np.where(short.any(axis=1), means.shape[1] - np.argmax(short[:, ::-1], axis=1), 0)


def saturation(fits: pd.DataFrame, metric: str = "test_accuracy") -> Interval:
    """Width at which more is of no use, with its 95 % bootstrap interval: seeds drawn anew at each width.

    NaN where nothing was measured; no ends with a single seed somewhere.
    """
    good = finished(fits)
    values = {width: np.sort(own[metric].to_numpy()) for width, own in good.groupby("width")}
    if not values:
        return Interval(np.nan, np.nan, np.nan, 0)
    found = float(first_enough(pd.Series({width: own.mean() for width, own in values.items()}), metric))
    n = min(map(len, values.values()))
    if n < 2:
        return Interval(found, np.nan, np.nan, n)
    rng = np.random.default_rng(0)
    widths = np.array(sorted(values))
    means = np.stack(
        [rng.choice(values[width], (RESAMPLES, len(values[width]))).mean(axis=1) for width in widths], axis=1
    )
    again = widths[_first_enough(means, metric)]
    low, high = np.quantile(again, (0.025, 0.975), method="inverted_cdf")
    return Interval(found, float(low), float(high), n)


def figure(table: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """A column a task: accuracy with the cost behind it, and test loss."""
    fits = drawn(table, cells)
    names = tasks(fits)
    picture = Figure(figsize=(TEXT_WIDTH, 5.0), layout="constrained")
    picture.suptitle("The first layer saturates below the widest classic one, and at once where the task is easy")
    panels: Any = picture.subplots(2, len(names), squeeze=False, sharex=True, height_ratios=(1.2, 1))
    for column, name in enumerate(names):
        own = fits[fits["task"] == name]
        _accuracy(panels[0, column], own, f"({'abc'[column]}) {name} task", last=column == len(names) - 1)
        _loss(panels[1, column], own, f"({'abcdef'[len(names) + column]}) {name} task")
    panels[0, 0].set_ylabel("test accuracy")
    panels[1, 0].set_ylabel("test cross-entropy")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    more, names_of = panels[1, 0].get_legend_handles_labels()
    picture.legend([*handles, *more], [*labels, *names_of], loc="outside lower center", ncols=6, fontsize=7)
    return picture


def _points(axes: Axes, fits: pd.DataFrame, metric: str, *, label: bool) -> None:
    for index, (activation, own) in enumerate(
        fits.sort_values("activation", ascending=False).groupby("activation", sort=False)
    ):
        groups = finished(own).groupby("width")[metric]
        mean, low, high = groups.mean(), groups.min(), groups.max()
        name = {"relu": "ReLU", "crelu": "CReLU"}[activation] if label else None
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
                    textcoords="offset points", ha="center", fontsize=6,
                )  # fmt: skip
        found = saturation(own, metric)
        if np.isfinite(found.low):
            shade = {"color": series(index)["color"], "alpha": 0.13, "linewidth": 0}
            axes.axvspan(
                found.low / 1.06, found.high * 1.06, label="saturates (95 %)" if label and not index else None, **shade
            )


def _references(axes: Axes, fits: pd.DataFrame, *, label: bool) -> None:
    patch = int(fits["patch"].iloc[0])
    for width in CLASSICS:
        axes.axvline(width, color="0.75", linewidth=0.7, zorder=0)
    for width, style, name in ((patch, "--", "patch rank, CReLU"), (2 * patch, ":", "twice: ReLU")):
        axes.axvline(width, color="black", linewidth=0.9, linestyle=style, zorder=0, label=name if label else None)
    axes.set_xscale("log")
    number_ticks(axes.xaxis, TICKS)
    axes.set_xlim(fits["width"].min() / 1.3, 1.35 * max(fits["width"].max(), max(CLASSICS)))


def _accuracy(axes: Axes, fits: pd.DataFrame, title: str, *, last: bool) -> None:
    cost = axes.twinx()
    work = fits[fits["activation"] == fits["activation"].max()].groupby("width")["multiply_adds"].first()
    cost.fill_between(work.index, work / 1e6, color="0.92", linewidth=0)
    cost.set_yscale("log")
    cost.set_ylim(work.min() / 3e6, work.max() / 1e6 * 30)
    cost.spines["right"].set_visible(True)
    if last:
        cost.set_ylabel("million multiply-adds (grey)", fontsize=8)
    axes.set_zorder(cost.get_zorder() + 1)
    axes.patch.set_visible(False)
    _references(axes, fits, label=False)
    _points(axes, fits, "test_accuracy", label=True)
    axes.axhline(fits["chance"].iloc[0], color="0.5", linewidth=0.8, linestyle=(0, (1, 2)))
    axes.set_ylim(0, 1.25 * np.nanmax([fits["chance"].iloc[0], finished(fits)["test_accuracy"].max()]))
    axes.set_yticks([tick for tick in axes.get_yticks() if tick < 1.01])
    for width, name in CLASSICS.items():
        axes.annotate(
            f"{width} {name}", (width, fits["chance"].iloc[0]), rotation=90, fontsize=6, color="0.25", ha="right",
            va="bottom", xytext=(-0.5, 3), textcoords="offset points",
        )  # fmt: skip
    axes.set_title(title)


def _loss(axes: Axes, fits: pd.DataFrame, title: str) -> None:
    _references(axes, fits, label=True)
    _points(axes, fits, "test_loss", label=False)
    axes.set_xlabel("filters in the first layer")
    axes.set_title(title)


def told(found: Interval) -> str:
    """A saturation width in words."""
    if not np.isfinite(found.value):
        return "unknown (nothing measured)"
    if not np.isfinite(found.low):
        return f"{found.value:.0f} (no interval: n = {found.n})"
    return f"{found.value:.0f} [{found.low:.0f}, {found.high:.0f}]"


def verdict(table: pd.DataFrame, cells: pd.DataFrame) -> Verdict:
    """Held where, by intervals, the easy task's accuracy saturates below 24 filters, the hard one's below 96 and later.

    "not held" where one of them saturates there or above, or the hard one's earlier, "open" where an interval leaves it
    undecided.
    """
    fits = drawn(table, cells)
    fits = fits[fits["activation"] == fits["activation"].max()]
    easy, hard = (tasks(fits) * 2)[:2]
    limits = {easy: min(CLASSICS), hard: max(CLASSICS)}
    found = {name: saturation(fits[fits["task"] == name]) for name in (easy, hard)}
    below = all(found[name].high < limit for name, limit in limits.items())
    above = any(found[name].low >= limit for name, limit in limits.items())
    later, earlier = found[easy].high < found[hard].low, found[easy].low > found[hard].high
    losses = {name: saturation(fits[fits["task"] == name], "test_loss") for name in (easy, hard)}
    good = finished(fits[fits["task"] == hard])
    widest = good.loc[good["width"] == good["width"].max(), "test_accuracy"]
    return Verdict(
        "held" if below and later else "not held" if above or earlier else "open",
        f"accuracy saturates at {told(found[easy])} filters on the {easy} task and at {told(found[hard])} on the "
        f"{hard} one, of {', '.join(map(str, sorted(fits['width'].unique())))} tried; cross-entropy at "
        f"{told(losses[easy])} and {told(losses[hard])}",
        f"test error on the {hard} task with the widest first layer, mean over seeds ({accuracies(fits, 'width')})",
        floor=None,
        best_fit=None if widest.empty else float(1 - widest.mean()),
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
        f" On the {name} task accuracy goes from {100 * first['test_accuracy']:.1f} % with {good.index[0]} filters to "
        f"{100 * last['test_accuracy']:.1f} % with {good.index[-1]}, cross-entropy from {first['test_loss']:.3g} to "
        f"{last['test_loss']:.3g}, for {last['multiply_adds'] / first['multiply_adds']:.1f} times the multiply-adds."
    )


def caption(table: pd.DataFrame, cells: pd.DataFrame) -> str:
    """What is fixed, what is drawn, how many fits, where each task saturates, and whether the claim held."""
    fits, everything, found = drawn(table, cells), labelled(table, cells), verdict(table, cells)
    count = finished(fits).groupby(CELL).size()
    n = f"{count.min()}" if count.min() == count.max() else f"{count.min()} to {count.max()}"
    lost = len(everything) - len(finished(everything))
    held = {"held": "holds", "not held": "does not hold", "open": "is neither confirmed nor refuted"}[found.state]
    facts = fits.groupby("task")[["chance", "num_train", "num_test", "image_size", "num_steps", "batch_size"]].first()
    of_tasks = "; ".join(
        f"{name}: chance {row['chance']:.3g}, {row['num_train']:.0f} training and {row['num_test']:.0f} test images of "
        f"{row['image_size']:.0f} pixels, {row['num_steps']:.0f} steps of {row['batch_size']:.0f}"
        for name, row in facts.iterrows()
    )
    patch = int(fits["patch"].iloc[0])
    classics = ", ".join(f"{width} {name}" for width, name in CLASSICS.items())
    return (
        f"allconv6 networks, 3x3 filters first; only their number changes. {of_tasks}. Points: mean and range over n = "
        f"{n} seeds, {rates_note(everything)}"
        f"{f'; {lost} of {len(everything)} fits failed or diverged' if lost else ''}. Grey area: multiply-adds an "
        f"image; fine dots: chance; thin lines: classic first layers ({classics}), as recalled. Dashed: a patch has "
        f"{patch} numbers, fewer filters lose some linearly, as many keep all under CReLU; dotted: the {2 * patch} "
        "that injectivity takes under ReLU (Puthawala et al. 2022, as recalled). Shaded: where it saturates, the least "
        f"width from which on the mean is within {100 * ENOUGH['test_accuracy']:.0f} point ({ENOUGH['test_loss']:g} "
        "nats) of the widest one's, 95 % bootstrap interval over seeds. The claim, that the easy task saturates below "
        f"{min(CLASSICS)} filters and the hard one below {max(CLASSICS)}, {held}: {found.sentence}."
        f"{''.join(_gain(fits, name) for name in tasks(fits))}"
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
