"""Wide and shallow against thin and deep: accuracy, time of a step, and which learning rates train, at equal cost.

Draws results/<scale>/wide_or_deep.csv with .cells.csv and .published.csv; see experiments/wide_or_deep.py.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from widththeory import command
from widththeory.estimates import NOTHING, finished, select_learning_rate
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
    points,
    seeds_note,
    summary,
    tasks,
    telling,
)
from widththeory.plotting import COLORS, TEXT_WIDTH, chance_line, number_ticks, series
from widththeory.verdicts import Verdict

# Not clipped at text or marker: by that its ends, and pixels of its edge, differed from run to run in the last bit.
LEADER = {
    "arrowstyle": "-", "linewidth": 0.5, "color": "0.5",
    "patchA": None, "shrinkA": 0, "shrinkB": 0, "relpos": (0.1, 1.0),
}  # fmt: skip
CELL = ["task", "network"]
LABELS = ["family", "layers", "budget", "equal"]
ENOUGH = 0.02  # of the test images: a network that loses less is as good
MOBILE = {"both": "v", "num_params": "<", "multiply_adds": ">"}  # markers, by what equals the narrow one's
TITLES = {
    "held": "At equal cost wide and shallow is as accurate as thin and deep, and faster",
    "not held": "At equal cost, is wide and shallow as accurate as thin and deep, and faster? No",
    "open": "At equal cost, is wide and shallow as accurate as thin and deep, and faster? Undecided",
}
PUBLISHED_PASSES = 200  # over the training images of CIFAR-10, of the published WRNs


def drawn(table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The fits at the learning rate of least median training loss, chosen for each network and task."""
    fits = select_learning_rate(labelled(table, cells), by=CELL, loss="train_loss")
    kept = [*CELL, *LABELS, *SIZES, "seed", "learning_rate", "num_steps", "step_seconds"]
    kept += ["train_loss", "train_accuracy", "test_accuracy", "status"]
    return fits[[*kept, *(["diverged"] if "diverged" in fits else [])]]


def figure(table: pd.DataFrame, cells: pd.DataFrame, published: pd.DataFrame) -> Figure:
    """Accuracy against depth at equal cost, a column a task on which networks differ; times, what trains, published."""
    fits = drawn(table, cells)
    found = summary(fits, CELL, LABELS)
    names = [name for name in tasks(fits) if name not in flat(fits, CELL)]
    picture = Figure(figsize=(TEXT_WIDTH, 6.2), layout="constrained")
    picture.suptitle(TITLES[verdict(table, cells).state], size=9.5)
    rows: Any = picture.subfigures(2, 1, height_ratios=(1, 1.1))
    above: Any = rows[0].subplots(1, len(names) + 1, squeeze=False)[0]
    letters = iter("abcdef")
    for axes, name in zip(above, names, strict=False):
        _accuracy(axes, found[found["task"] == name])
        axes.set_title(f"({next(letters)}) {called(name)}")
    above[0].set_ylabel("test accuracy")
    _time(above[-1], fits)
    above[-1].set_title(f"({next(letters)}) time of a step")
    handles: dict[str, Any] = {}
    for axes in above:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    columns = 2 if len(handles) < 5 else 3
    rows[0].legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns, fontsize=7)
    left, right = rows[1].subplots(1, 2, width_ratios=(1.15, 1))
    _trains(left, labelled(table, cells), fits, telling(fits))
    left.set_title(f"({next(letters)}) share of seeds that train, {called(telling(fits))}", fontsize=8.5)
    _published(right, published)
    right.set_title(f"({next(letters)}) CIFAR-10, published")
    return picture


def budgets(fits: pd.DataFrame) -> list[str]:
    """The networks that set the budgets, residual ones first."""
    pairs = fits[["family", "budget"]].drop_duplicates().sort_values("family", key=lambda names: names == "MobileNet")
    return pairs["budget"].tolist()


def _drawn(fits: pd.DataFrame) -> list[tuple[dict[str, Any], str, pd.Series]]:
    """Look, label and rows of what is drawn alike: the residual networks of a budget, and each MobileNet by itself."""
    parts: list[tuple[dict[str, Any], str, pd.Series]] = []
    for index, budget in enumerate(budgets(fits)):
        own = fits["budget"] == budget
        if not (fits.loc[own, "family"] == "MobileNet").any():
            parts.append((series(index), f"residual, multiply-adds of {budget}", own))
            continue
        words = {
            "both": f"{budget}, narrow and deep",
            "num_params": "shallow, as many parameters",
            "multiply_adds": "shallow, as many multiply-adds",
        }
        for equal, marker in MOBILE.items():
            if (own & (fits["equal"] == equal)).any():
                look = {"color": COLORS["purple"], "marker": marker, "markersize": 5, "linestyle": "none"}
                parts.append((look, words[equal], own & (fits["equal"] == equal)))
    return parts


def _beside(rows: pd.DataFrame) -> pd.Series:
    """Numbers of layers; the two shallow MobileNets, which have as many, stand side by side."""
    apart = (rows["family"] == "MobileNet") * rows["equal"].map({"num_params": -1, "multiply_adds": 1}).fillna(0)
    return rows["layers"] * 1.02**apart


def _accuracy(axes: Axes, found: pd.DataFrame) -> None:
    for look, label, own in _drawn(found):
        rows = found[own].sort_values("layers")
        x, ends = _beside(rows), [rows["mean"] - rows["min"], rows["max"] - rows["mean"]]
        axes.errorbar(x, rows["mean"], ends, capsize=2, elinewidth=0.8, label=label, **look)
        alone = (rows["family"] == "WRN").all() and found.loc[found["family"] == "WRN", "budget"].nunique() == 1
        for row in rows.itertuples(index=False) if alone else ():
            axes.annotate(row.network, (row.layers, row.max), xytext=(0, 5), fontsize=7, ha="center", color="0.25",
                          textcoords="offset points")  # fmt: skip
        short = rows[rows["count"] < rows["cells"]]
        for place, y, count, cells in zip(x[short.index], short["min"], short["count"], short["cells"], strict=True):
            axes.annotate(
                f"{count} of {cells}", (place, y), xytext=(0, -10), textcoords="offset points", fontsize=7, ha="center"
            )
    if len(found):
        chance_line(axes, found["chance"].iloc[0])
        axes.set_ylim(0, min(1.05, 1.2 * found["max"].max()))
    _layers(axes, found["layers"])


def _layers(axes: Axes, layers: pd.Series) -> None:
    axes.set(xscale="log", xlabel="layers with weights")
    number_ticks(axes.xaxis, sorted(layers.unique().tolist()))
    axes.margins(x=0.12)


def step_times(fits: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles of the time of a step in milliseconds, over all finished fits of a network."""
    groups = finished(fits).groupby(["network", *LABELS])["step_seconds"]
    shares = [0.25, 0.5, 0.75]
    times = groups.quantile(shares).mul(1000).unstack().reindex(columns=shares)
    times.columns = pd.Index(["low", "milliseconds", "high"])
    return times.reset_index().sort_values("layers")


def _time(axes: Axes, fits: pd.DataFrame) -> None:
    times = step_times(fits).reset_index(drop=True)
    for look, label, own in _drawn(times):
        rows = times[own]
        ends = [rows["milliseconds"] - rows["low"], rows["high"] - rows["milliseconds"]]
        axes.errorbar(_beside(rows), rows["milliseconds"], ends, capsize=2, elinewidth=0.8, label=label, **look)
    axes.set(ylabel="milliseconds", ylim=(0, 1.15 * max(times["high"].max(), 1e-9)))
    _layers(axes, fits["layers"])


def trained(everything: pd.DataFrame, task: str) -> pd.DataFrame:
    """Share of seeds that train, a row a network, a column a learning rate.

    A fit trains if it does not diverge and its training accuracy is at least half as far above chance as the best of
    the task; a fit that failed to run does not.
    """
    own = everything[everything["task"] == task]
    good = finished(own)
    level = own["chance"].iloc[0] + (good["train_accuracy"].max() - own["chance"].iloc[0]) / 2
    trains = own.index.isin(good[good["train_accuracy"] >= level].index)
    return own.assign(trains=trains).pivot_table(
        index="network", columns="learning_rate", values="trains", aggfunc="mean", sort=False
    )


def _that_train(everything: pd.DataFrame, fits: pd.DataFrame, network: str) -> str:
    """ "2 of 3" seeds train at the rate chosen for the one task of `fits`: of least loss may be one that fails some."""
    own = fits[fits["network"] == network]
    share = trained(everything, own["task"].iloc[0]).loc[network, own["learning_rate"].iloc[0]]
    return f"{share * len(own):.0f} of {len(own)}"


def _trains(axes: Axes, everything: pd.DataFrame, fits: pd.DataFrame, task: str) -> None:
    shares = trained(everything, task)
    axes.imshow(shares.to_numpy(), vmin=0, vmax=1, cmap="cividis", aspect="auto", alpha=0.85)
    best = fits[fits["task"] == task].groupby("network")["learning_rate"].first()
    for y, network in enumerate(shares.index):
        for x, rate in enumerate(shares.columns):
            share = shares.loc[network, rate]
            if np.isfinite(share):
                mark = "$\\star$ " if best.get(network) == rate else ""
                axes.text(x, y, f"{mark}{share:.0%}", ha="center", va="center", fontsize=7,
                          color="white" if share < 0.5 else "black")  # fmt: skip
    axes.set_xticks(range(len(shares.columns)), [f"{rate:g}" for rate in shares.columns])
    axes.set_yticks(range(len(shares.index)), list(shares.index), fontsize=7)
    axes.set_xlabel("learning rate (star: least training loss)")
    axes.spines[:].set_visible(False)


def _published(axes: Axes, published: pd.DataFrame) -> None:
    for family, rows in published.groupby("family", sort=False):
        axes.scatter(
            rows["layers"], 1 - rows["error"] / 100, s=14 * np.sqrt(rows["num_params"]), marker="o", edgecolors="0.35",
            facecolors="0.6" if family == "WRN" else "none", label=f"{family} (size: parameters)",
        )  # fmt: skip
    for row in published.itertuples(index=False):
        late = row.layers > 500
        axes.annotate(
            f"{row.network.removeprefix('pre-act ')}, {row.num_params:g} M",
            (row.layers, 1 - row.error / 100),
            xytext=(-9, -3) if late else (-8, -26) if row.layers < 20 else (11, -3),
            textcoords="offset points",
            fontsize=7,
            ha="right" if late else "left",
            va="center",
            color=COLORS["black"],
            arrowprops=LEADER if row.layers < 20 else None,
        )
    axes.set(xscale="log", xlabel="layers with weights", ylabel="test accuracy", ylim=(0.908, 0.97), xlim=(9, 3000))
    number_ticks(axes.xaxis, (16, 40, 110, 1000))
    axes.legend(loc="lower left", fontsize=7)


def ends(fits: pd.DataFrame) -> tuple[str, str] | None:
    """The shallowest and the deepest residual network of the largest budget that both were fitted for."""
    rows = fits[fits["family"] == "WRN"]
    for _, own in sorted(rows.groupby("budget"), key=lambda pair: -pair[1]["multiply_adds"].max()):
        order = own.drop_duplicates("network").sort_values("layers")["network"].tolist()
        if len(order) > 1:
            return order[0], order[-1]
    return None


def verdict(table: pd.DataFrame, cells: pd.DataFrame) -> Verdict:
    """Held where on the hard task the shallowest residual network loses under 2 points to the deepest, by its
    interval, and takes less time a step, by the quartiles; "not held" where either is refuted, else "open".
    """  # fmt: skip
    fits = drawn(table, cells)
    task = telling(fits)
    both = ends(fits[fits["task"] == task])
    wide, deep = both or ("", "")
    found = gain(fits, task, deep, wide) if both else NOTHING
    times = step_times(fits).set_index("network")[["low", "milliseconds", "high"]]
    one, other = (times.reindex([name]).iloc[0] for name in (wide, deep))
    ratio = float(other["milliseconds"] / one["milliseconds"])
    as_good, faster = found.low > -ENOUGH, other["low"] > one["high"]
    refuted = found.high < -ENOUGH or other["high"] < one["low"]
    told, short = "no two residual networks of equal work were fitted", ""
    if both:
        told = f"on {named(task)} {wide} (WRN-layers-width) gains {points(found)} over {deep}"
        if np.isfinite(ratio):
            ends_of = (f"{row['milliseconds']:.3g} [{row['low']:.3g}, {row['high']:.3g}]" for row in (other, one))
            told += f", which takes {ratio:.2f} times as long a step, {' against '.join(ends_of)} ms"
        everything = labelled(table, cells)
        some = [_that_train(everything, fits[fits["task"] == task], name) for name in both]
        rates = fits[fits["task"] == task].groupby("network")["learning_rate"].first()
        tried = finished(everything[everything["task"] == task])
        means = tried.groupby(["network", "learning_rate"])["test_accuracy"].mean()
        told += f"; {some[0]} seeds train against {some[1]}"
        least = means.get((wide, rates[wide]), np.nan) - means[means.index.get_level_values(0) == deep].max()
        if np.isfinite(least):
            told += f"; with the rate for {deep} that suits its test images best {100 * least:+.1f} points"
        if found.value > 0 and ratio > 1:
            short = (
                f"wide and shallow reaches {100 * found.value:+.1f} points against thin and deep, of which {some[1]} "
                f"seeds train, {ratio:.2f} times faster"
            )
    best = finished(fits[fits["task"] == task])["test_accuracy"]
    return Verdict(
        "held" if as_good and faster else "not held" if refuted else "open",
        told,
        f"test accuracy on {named(task)}, of the best fit (mean {accuracies(fits, 'network')})",
        floor=None,
        best_fit=None if best.empty else best.max(),
        construction=None,
        n=len(finished(fits)),
        short=short,
    )


def mismatch(cells: pd.DataFrame) -> float:
    """By how much costs that are called equal differ at most, as a share."""
    worst = 0.0
    for (_, budget), own in cells.groupby(["task", "budget"]):
        top = own[own["network"] == budget]
        for what in ("multiply_adds", "num_params"):
            equal = own.loc[own["equal"] == what, what]
            if len(top) and len(equal):
                worst = max(worst, float((equal / top[what].iloc[0] - 1).abs().max()))
    return worst


def uneven(cells: pd.DataFrame) -> float:
    """By how much the parameters of residual networks of one budget differ at most, as a share."""
    groups = cells[cells["family"] == "WRN"].groupby(["task", "budget"])["num_params"]
    return float((groups.max() / groups.min() - 1).max())


def _reached(fits: pd.DataFrame, everything: pd.DataFrame, published: pd.DataFrame) -> str:
    """What networks of the published names reach on all of CIFAR-10, beside what is published."""
    good = finished(fits[fits["task"] == "all"])
    errors = published.set_index(published["network"].str.lower())["error"]
    batch_size = everything["batch_size"].iloc[0] if "batch_size" in everything else np.nan
    said = ""
    for network, own in good[good["network"].isin(errors.index)].groupby("network"):
        one = own.iloc[0]
        passes = one["num_steps"] * batch_size / one["num_train"]
        said += (
            f" On all of CIFAR-10 {network} reaches {100 * own['test_accuracy'].mean():.1f} % (n = {len(own)}) in "
            f"{passes:.0f} passes over the training images, published are {100 - errors[network]:.1f} % in "
            f"{PUBLISHED_PASSES} (as recalled)."
        )
    return said


def _mobile(fits: pd.DataFrame, task: str) -> str:
    """The narrow and deep MobileNet against the shallow ones, in words."""
    rows = fits[(fits["task"] == task) & (fits["family"] == "MobileNet")].drop_duplicates("network")
    deep = rows.loc[rows["equal"] == "both", "network"]
    words = {"num_params": "parameters", "multiply_adds": "multiply-adds"}
    said = [
        f"{points(gain(fits, task, row.network, deep.iloc[0]))} at equal {words[row.equal]}"
        for row in rows.itertuples(index=False)
        if row.equal in words and len(deep)
    ]
    return f"A deeper, narrower MobileNet gains {', '.join(said)}. " if said else ""


def caption(table: pd.DataFrame, cells: pd.DataFrame, published: pd.DataFrame) -> str:
    """What is drawn, how many fits, and whether the claim held, computed from the tables."""
    fits, everything = drawn(table, cells), labelled(table, cells)
    found, task = verdict(table, cells), telling(fits)
    told, both = "No two residual networks of equal work were fitted. ", ends(fits[fits["task"] == task])
    if both:
        times = step_times(fits).set_index("network")["milliseconds"].reindex(both)
        told = (
            f"On {named(task)} {both[0]} (WRN-layers-width) gains {points(gain(fits, task, both[1], both[0]))} over "
            f"{both[1]} (Student's 95 %, pooled variance; "
            f"{_that_train(everything, fits[fits['task'] == task], both[1])} seeds train)"
        )
        ratio = times[both[1]] / times[both[0]]
        told += f", which takes {ratio:.2f} times as long a step. " if np.isfinite(ratio) else ". "
    letters = [f"({letter})" for letter in "abcdef"[: fits["task"].nunique() - len(flat(fits, CELL)) + 3]]
    return (
        f"At equal multiply-adds wide and shallow residual networks lose under {100 * ENOUGH:.0f} points to thin and "
        f"deep ones and are faster (Zagoruyko and Komodakis 2016): the claim {HELD[found.state]}. "
        f"Tasks: {facts(fits)}; costs agree within {100 * max(mismatch(cells), uneven(cells)):.1f} %. "
        f"{', '.join(letters[:-3])} Mean and range over {seeds_note(fits, everything, CELL)}. "
        f"{flat_note(fits, CELL)}{letters[-3]} Median and quartiles. {letters[-2]} A seed trains if it fits at least "
        f"half as far above chance as the best. {letters[-1]} Sizes as recalled. "
        f"{told}{_mobile(fits, task)}{_reached(fits, everything, published).strip()}"
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
