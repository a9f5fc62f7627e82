"""Time of a step against depth and width at equal multiply-adds: seconds, ratios within a round, and the roofline.

Draws results/<scale>/device_friendliness.csv; see experiments/device_friendliness.py.
"""

import json
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from widththeory import command
from widththeory.estimates import finished, span
from widththeory.plotting import COLORS, TEXT_WIDTH, number_ticks, series
from widththeory.verdicts import HELD, Verdict

CELL = ["platform", "work", "batch_size", "depth"]
NAMES = {"cpu": "CPU", "gpu": "GPU"}
_HOLLOW: dict[str, Any] = {"color": "0.3", "marker": "o", "markerfacecolor": "none", "linestyle": "none"}
WORK = {"train": "training", "infer": "inference"}


def networks(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of networks that were measured, with width and depth; convolutions are the hidden layers."""
    good = finished(table)
    good = good[good["work"].isin(list(WORK))]
    widths = [int(json.loads(text)[0]) if isinstance(text, str) else int(text[0]) for text in good["model.widths"]]
    return good.assign(width=widths, depth=good["num_convs"].astype(int))


def rounds(table: pd.DataFrame) -> pd.DataFrame:
    """A row a network, batch size, run and round: seconds a call, and their ratio to the shallowest in that round."""
    good = networks(table)
    columns = [name for name in good if name.startswith("round_")]
    kept = [*CELL, "width", "run"]
    long = good.melt(id_vars=kept, value_vars=columns, var_name="round", value_name="seconds").dropna()
    pair = ["platform", "work", "batch_size", "run", "round"]
    shallowest = long.groupby(pair)["depth"].transform("min")
    # a run that lost its shallowest network has nothing to compare with
    least = long.groupby(["platform", "work"])["depth"].transform("min")
    base = long[long["depth"] == shallowest].set_index(pair)["seconds"]
    long["ratio"] = long["seconds"].to_numpy() / base.reindex(pd.MultiIndex.from_frame(long[pair])).to_numpy()
    return long.assign(ratio=long["ratio"].where(shallowest == least)).reset_index(drop=True)


def peaks(table: pd.DataFrame) -> pd.DataFrame:
    """Of each platform its name, and where measured, the rates of the matrix product and of the copy, medians."""
    good, rows = finished(table), []
    for platform, cells in good.groupby("platform"):
        product, copied = (cells[cells["work"] == work] for work in ("matmul", "copy"))
        rate = (product["flops"] / product["seconds_median"]).median()
        bandwidth = (copied["bytes"] / copied["seconds_median"]).median()
        rows.append((platform, cells["device_name"].iloc[0], rate, bandwidth))
    return pd.DataFrame(rows, columns=["platform", "device", "peak_flops", "bandwidth"])


def drawn(table: pd.DataFrame) -> pd.DataFrame:
    """A row a network and batch size: median and quartiles of the time and of the ratio, rate, intensity, the roof."""
    long = rounds(table)
    if long.empty:
        raise ValueError("no network was timed, so that there is nothing to draw")
    groups, shares = long.groupby([*CELL, "width"]), [0.25, 0.5, 0.75]
    shown = groups["seconds"].quantile(shares).unstack()
    shown.columns = pd.Index(["seconds_low", "seconds", "seconds_high"])
    ratio = groups["ratio"].quantile(shares).unstack()
    shown[["ratio_low", "ratio", "ratio_high"]] = ratio.to_numpy()
    shown["n"] = groups["ratio"].count()
    shown = shown.reset_index()
    facts = networks(table).groupby(CELL)[["flops", "bytes", "multiply_adds", "num_params"]].first().reset_index()
    shown = shown.merge(facts, on=CELL).merge(peaks(table), on="platform")
    shown["rate"], shown["intensity"] = shown["flops"] / shown["seconds"], shown["flops"] / shown["bytes"]
    shown["roof"] = np.minimum(shown["peak_flops"], shown["bandwidth"] * shown["intensity"])
    return shown


def figure(table: pd.DataFrame) -> Figure:
    """A row a platform: time an image, ratio to the shallowest, roofline; a look is a depth in all of them."""
    shown = drawn(table)
    platforms = sorted(shown["platform"].unique())
    picture = Figure(figsize=(TEXT_WIDTH, 0.75 + 2.4 * len(platforms)), layout="constrained")
    title = "At equal multiply-adds, wide and shallow is faster than narrow and deep, most at small batches"
    picture.suptitle(title, size=9.5)
    panels: Any = picture.subplots(len(platforms), 3, squeeze=False)
    letters = iter("abcdef")
    for row, platform in zip(panels, platforms, strict=True):
        own, name = shown[shown["platform"] == platform], NAMES[platform]
        trained = own[own["work"] == own["work"].max()]
        _seconds(row[0], trained, f"({next(letters)}) {name}, {WORK[trained['work'].iloc[0]]}")
        _ratios(row[1], own, f"({next(letters)}) {name}, over the shallowest")
        _roofline(row[2], own, f"({next(letters)}) {name}, roofline")
    several = shown["work"].nunique() > 1
    sizes = shown[["depth", "width"]].drop_duplicates().groupby("depth")["width"].agg(list)
    handles = [
        Line2D([], [], **series(index), label=f"depth {depth}, width {', '.join(map(str, sorted(set(widths))))}")
        for index, (depth, widths) in enumerate(sizes.items())
    ]
    handles += [Line2D([], [], color=COLORS["black"], linewidth=1.4, label="roof")]
    handles += [Line2D([], [], **_HOLLOW, label="hollow: inference")] if several else []
    picture.legend(handles=handles, loc="outside lower center", ncols=6, fontsize=7)
    return picture


def _seconds(axes: Axes, cells: pd.DataFrame, title: str) -> None:
    depths = sorted(cells["depth"].unique())
    for depth, own in cells.groupby("depth"):
        own = own.sort_values("batch_size")
        scale = 1e3 / own["batch_size"]
        ends = [(own["seconds"] - own["seconds_low"]) * scale, (own["seconds_high"] - own["seconds"]) * scale]
        look = series(depths.index(depth))
        axes.errorbar(own["batch_size"], own["seconds"] * scale, ends, capsize=1.5, elinewidth=0.7, **look)
    axes.set(xscale="log", yscale="log", ylabel="milliseconds per image", xlabel="batch size")
    number_ticks(axes.xaxis, sorted(cells["batch_size"].unique().tolist()))
    _plain_ticks(axes.yaxis, *axes.get_ylim())
    axes.set_title(title)


def _ratios(axes: Axes, cells: pd.DataFrame, title: str) -> None:
    deeper, depths = cells[cells["depth"] > cells["depth"].min()], sorted(cells["depth"].unique())
    for (work, depth), own in deeper.groupby(["work", "depth"]):
        own = own.dropna(subset="ratio").sort_values("batch_size")
        ends = [own["ratio"] - own["ratio_low"], own["ratio_high"] - own["ratio"]]
        look = series(depths.index(depth))
        look |= {} if work == "train" else {"markerfacecolor": "none"}
        axes.errorbar(own["batch_size"], own["ratio"], ends, capsize=1.5, elinewidth=0.7, **look)
    axes.axhline(1, color="0.5", linewidth=0.8, linestyle=":")
    axes.set(xscale="log", yscale="log", xlabel="batch size", ylabel="time over the shallowest's")
    number_ticks(axes.xaxis, sorted(cells["batch_size"].unique().tolist()))
    ends_of = deeper["ratio_high"].max(), deeper["ratio_low"].min()
    if np.isfinite(ends_of).all():
        ticks = [tick for tick in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64) if ends_of[1] / 2 < tick < 2 * ends_of[0]]
        number_ticks(axes.yaxis, ticks)
    axes.set_title(title)


def _roofline(axes: Axes, cells: pd.DataFrame, title: str) -> None:
    """From one operation a byte on, so that the roof is seen to bend; batch sizes are said at one network."""
    for index, (depth, of_depth) in enumerate(cells.groupby("depth")):
        for work, own in of_depth.groupby("work"):
            own = own.sort_values("batch_size")
            look = {**series(index), "linewidth": 0.7, "markersize": 4.5}
            look |= {} if work == "train" else {"markerfacecolor": "none"}
            axes.plot(own["intensity"], own["rate"] / 1e9, **look)
            if depth == cells["depth"].min() and work == cells["work"].max():
                for row in own.itertuples(index=False):
                    first = row.batch_size == own["batch_size"].min()  # its line leaves to the right
                    axes.annotate(
                        f"{row.batch_size}", (row.intensity, row.rate / 1e9), xytext=(-5, 2) if first else (5, 1),
                        ha="right" if first else "left", textcoords="offset points", fontsize=7, color=look["color"],
                        path_effects=[withStroke(linewidth=2, foreground="white")],  # where it lies on the roof
                    )  # fmt: skip
    peak, bandwidth = cells["peak_flops"].iloc[0], cells["bandwidth"].iloc[0]
    low, high = min(1.0, cells["intensity"].min() / 1.1), cells["intensity"].max() * 2.5
    if np.isfinite([peak, bandwidth]).all():
        x = np.unique([low, np.clip(peak / bandwidth, low, high), high])
        axes.plot(x, np.minimum(peak, bandwidth * x) / 1e9, color=COLORS["black"], linewidth=1.4)
    axes.set(xscale="log", yscale="log", xlabel="operations per byte", ylabel="$10^9$ operations per second")
    bottom, top = cells["rate"].min() / 2e9, 2 * max(cells["rate"].max(), np.nan_to_num(peak)) / 1e9
    axes.set(xlim=(low, high), ylim=(bottom, top))
    _plain_ticks(axes.xaxis, low, high)
    _plain_ticks(axes.yaxis, bottom, top)
    axes.set_title(title)


def _plain_ticks(axis: Axis, low: float, high: float) -> None:
    steps = (1, 2, 5) if high < 100 * low else (1,)
    plain = [step * 10.0**power for power in range(-6, 7) for step in steps]
    number_ticks(axis, [tick for tick in plain if low <= tick <= high])


def deepest(shown: pd.DataFrame) -> pd.DataFrame:
    """The cells that the claim is about: the deepest network of each platform, work and batch size, with its ratio."""
    least, most = (shown.groupby(["platform", "work"])["depth"].transform(which) for which in ("min", "max"))
    return shown[(shown["depth"] == most) & (most > least)].dropna(subset="ratio")


def falling(cells: pd.DataFrame) -> tuple[bool, bool]:
    """Whether the ratio falls from the smallest to the largest batch everywhere, and whether it rises somewhere.

    Quartiles that overlap are neither, and so is one batch size alone.
    """
    own = [rows.sort_values("batch_size") for _, rows in cells.groupby(["platform", "work"]) if len(rows) > 1]
    pairs = [(rows.iloc[0], rows.iloc[-1]) for rows in own]
    falls = [small["ratio_low"] > large["ratio_high"] for small, large in pairs]
    return bool(falls) and all(falls), any(small["ratio_high"] < large["ratio_low"] for small, large in pairs)


def verdict(table: pd.DataFrame) -> Verdict:
    """Held where the ratio, deepest to shallowest, is above 1 everywhere, and larger for the smallest batch than for
    the largest, by its quartiles.

    "not held" where they refute one of the two.
    """  # fmt: skip
    cells = deepest(drawn(table)).sort_values(["platform", "work", "batch_size"])
    slower, faster = (cells["ratio_low"] > 1), (cells["ratio_high"] < 1)
    falls, rises = falling(cells)
    told = []
    for (platform, work), own in cells.groupby(["platform", "work"]):
        ratios = ", ".join(f"{row.ratio:.2f} [{row.ratio_low:.2f}, {row.ratio_high:.2f}]" for row in own.itertuples())
        shape = f"{own['depth'].iloc[0]} layers of {own['width'].iloc[0]} channels"
        told.append(
            f"{NAMES[platform]}, {WORK[work]}: {shape} take {ratios} times as long as the shallowest network at batch "
            f"size {', '.join(map(str, own['batch_size']))}"
        )
    state = (
        "open" if cells.empty else "held" if slower.all() and falls else "not held" if faster.any() or rises else "open"
    )
    return Verdict(
        state,
        "; ".join(told) or "no two depths were measured",
        "time of a step, narrow and deep over wide and shallow at equal multiply-adds",
        floor=None,
        best_fit=None,
        construction=None,
        n=int(cells["n"].sum()),
    )


def caption(table: pd.DataFrame) -> str:
    """Devices, what is timed and how often, the ratios, and whether the claim held."""
    shown, found = drawn(table), verdict(table)
    long = rounds(table)
    devices = []
    for row in peaks(table).itertuples():
        known = np.isfinite([row.peak_flops, row.bandwidth]).all()
        devices.append(f"{NAMES[row.platform]} {row.device}{'' if known else ', roof not measured'}")
    uneven = shown.groupby("platform")["multiply_adds"].agg(lambda works: works.max() / works.min() - 1).max()
    work = " and ".join(f"{own['multiply_adds'].median() / 1e6:.3g}" for _, own in shown.groupby("platform"))
    told = []
    for (platform, what), own in deepest(shown).sort_values("batch_size").groupby(["platform", "work"]):
        ends = own.iloc[[0, -1]].itertuples()
        ratios = dict.fromkeys(f"{row.ratio:.2f} [{row.ratio_low:.2f}, {row.ratio_high:.2f}]" for row in ends)
        told.append(f"{' and '.join(ratios)} ({NAMES[platform]}, {WORK[what]})")
    best = shown.dropna(subset="roof")
    above = int((best["rate"] > best["roof"]).sum())
    over = f", with {above} of {len(best)} above, as caches allow" if above else ""
    num_rounds = long.groupby(CELL).size()
    lost = len(table) - len(finished(table))
    gone = f"; {lost} of {len(table)} cells failed or diverged" if lost else ""
    letters = "abcdef"[: 3 * shown["platform"].nunique()]
    first, second, third = (f"({', '.join(letters[start::3])})" for start in range(3))
    return (
        "At equal multiply-adds a wide shallow network takes less time a step than a narrow deep one, most at small "
        f"batches (Zagoruyko and Komodakis 2016): the claim {HELD[found.state]}. {first} Time of a step of SGD; "
        f"{second} over that of the shallowest network in its round: median and quartiles of n = {span(num_rounds)} "
        f"rounds in {long['run'].nunique()} runs{gone}. {third} "
        "Roofline of products and convolutions, every operand moved once; numbers: batch sizes, in the same order "
        f"along each line{over}. At the smallest and at the largest batch the deepest network takes "
        f"{'; '.join(told) or 'unknown'} times as long as the shallowest. Residual networks of one stage, {work} "
        f"million multiply-adds within {100 * uneven:.1f} %, float32, {'; '.join(devices)}; other devices have other "
        "times."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
