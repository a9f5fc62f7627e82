"""Sawtooth: what width and depth must be, what explicit weights attain, and what training finds.

Draws results/<scale>/sawtooth.csv with .floor.csv; see experiments/sawtooth.py.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from widththeory import command
from widththeory.estimates import finished, select_learning_rate, span
from widththeory.plotting import CONSTRUCTION, FLOOR, TEXT_WIDTH, TRAINED, number_ticks, series
from widththeory.verdicts import Verdict, counted, floor_check, floors_kept

CELL = ["target.num_folds", "depth", "width"]
NORMS = ("l1", "l2", "sup")
ROUNDING = 1e-9  # relative; errors of fits are exact up to some 1e-12, floors are rounded down
REACHED = 0.5  # the relative squared error that a width is asked for
LETTERS = "abcdefgh"
LAYER_NAMES = ("1 layer", "2 layers", "3 layers", "$k$ layers")
LAYERS = (0, 1, 2, 4)  # of `series`; the colour of 3 is that of explicit networks
UNREACHED = r"$\uparrow$"


def drawn(table: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """The chosen fits: relative squared error, exact, beside the floor and the explicit network of their size."""
    return compared(select_learning_rate(table, by=CELL), floor)


def compared(fits: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """Fits, chosen or not, with floor and explicit network; all three errors in the units of the floors."""
    fits = fits.assign(
        l1=4 * fits["exact_l1_error"], relative=12 * fits["exact_l2_error"] ** 2, sup=fits["exact_sup_error"]
    )
    fits = fits.merge(floor.rename(columns={"num_folds": "target.num_folds"}), on=CELL, how="left")
    kept = [*CELL, "seed", "learning_rate", "num_pieces", "relative", "l1", "sup"]
    kept += ["l2_floor", "l1_floor", "sup_floor", "explicit", "status"]
    return fits[[*kept, *(["diverged"] if "diverged" in fits else [])]]


def under_floor(fits: pd.DataFrame) -> pd.DataFrame:
    """Fits under the floor of their size in any of the three norms: defects."""
    under = pd.Series(False, index=fits.index)
    for norm in NORMS:
        under |= fits["relative" if norm == "l2" else norm] < fits[f"{norm}_floor"] * (1 - ROUNDING)
    return fits[under]


def telling_folds(fits: pd.DataFrame) -> int:
    """The most folds of which some trained network found half; if none did, the fewest."""
    found = finished(fits)
    found = found.loc[found["relative"] < REACHED, "target.num_folds"]
    return int(found.max() if len(found) else fits["target.num_folds"].min())


def width_needed(rows: pd.DataFrame, folds: str, error: str) -> pd.Series:
    """For each number of folds the least width from which on the median of `error` is at most one half."""
    needed = {}
    for count, cells in rows.groupby(folds):
        middle = cells.groupby("width")[error].median()
        short = middle.index[~(middle <= REACHED)]
        wide = middle.index[middle.index > (short.max() if len(short) else 0)]
        if len(wide):
            needed[count] = int(wide.min())
    return pd.Series(needed, dtype=float)


def figure(table: pd.DataFrame, floor: pd.DataFrame) -> Figure:
    """Error against width for one, two, three and k layers; below, width needed and optimisation gap against k."""
    fits = drawn(table, floor)
    folds = telling_folds(fits)
    picture = Figure(figsize=(TEXT_WIDTH, 5.3), layout="constrained")
    picture.suptitle("Few layers need a width exponential in the number of folds; training needs more still", size=9.5)
    depths = _shown_depths(fits, folds)
    rows: Any = picture.subfigures(2, 1, height_ratios=(1, 1.2))
    above, below = rows
    panels: Any = above.subplots(1, len(depths), sharey=True, squeeze=False)[0]
    for letter, axes, depth in zip(LETTERS, panels, depths, strict=False):
        _errors(axes, fits, floor, folds, depth, letter)
    panels[0].set_ylabel("relative squared error")
    above.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=7.5)
    letters = LETTERS[len(depths) :]
    left, right = below.subplots(1, 2)
    _needed(left, fits, floor, letters[0])
    _gap(right, fits, letters[1])
    below.legend(handles=_layer_key(), loc="outside upper center", ncols=7, fontsize=7.5, columnspacing=1.2)
    return picture


def _shown_depths(fits: pd.DataFrame, folds: int) -> list[int]:
    return sorted(fits.loc[fits["target.num_folds"] == folds, "depth"].unique().tolist())


def _errors(axes: Axes, fits: pd.DataFrame, floor: pd.DataFrame, folds: int, depth: int, letter: str) -> None:
    """Floor and explicit network are steps: between two widths there is no other."""
    cells = finished(fits[(fits["target.num_folds"] == folds) & (fits["depth"] == depth)])
    tried = sorted(fits["width"].unique().tolist())
    size = floor[(floor["num_folds"] == folds) & (floor["depth"] == depth) & (floor["width"] <= 1.2 * tried[-1])]
    size = size.sort_values("width")
    axes.fill_between(size["width"], 0, size["l2_floor"], step="post", color="0.88", linewidth=0)
    axes.plot(size["width"], size["l2_floor"], drawstyle="steps-post", **FLOOR)
    line = {**CONSTRUCTION, "markevery": [int(np.argmin(size["explicit"]))] if len(size) else []}
    axes.plot(size["width"], size["explicit"], drawstyle="steps-post", **line)
    groups = cells.groupby("width")["relative"]
    middle, low, high = groups.median(), groups.min(), groups.max()
    axes.errorbar(middle.index, middle, [middle - low, high - middle], capsize=1.5, elinewidth=0.7, **TRAINED)
    axes.set(xscale="log", ylim=(-0.04, 1.12), xlabel="width")
    number_ticks(axes.xaxis, tried if len(tried) <= 7 else tried[:: len(tried) // 6])
    axes.set_title(f"({letter}) $k={folds}$, {depth} layer{'s' if depth > 1 else ''}")


def _layer_look(index: int) -> dict[str, Any]:
    look = series(LAYERS[index])
    return {"color": look["color"], "marker": look["marker"]}


def _of_layers(rows: pd.DataFrame, folds: str, index: int) -> pd.DataFrame:
    """Those of one, two or three layers; the fourth are of as many layers as folds, if that is more."""
    deep = rows["depth"] == rows[folds]
    return rows[deep & (rows["depth"] > 3)] if index == 3 else rows[rows["depth"] == index + 1]


def _layer_key() -> list[Line2D]:
    names = [Line2D([], [], linestyle="none", label=name, **_layer_look(at)) for at, name in enumerate(LAYER_NAMES)]
    arrow: dict[str, Any] = {"marker": UNREACHED, "color": "0.3", "linestyle": "none", "markersize": 6}
    return [
        *names,
        Line2D([], [], color="0.3", linewidth=1.5, label="floor"),
        Line2D([], [], color="0.3", linestyle=CONSTRUCTION["linestyle"], label="explicit"),
        Line2D([], [], label="not reached", **arrow),
    ]


def unreached(cells: pd.DataFrame, needed: pd.Series) -> list[int]:
    """Numbers of folds that were fitted, and of which no width tried found half."""
    return sorted(set(cells["target.num_folds"].unique().tolist()) - set(needed.index))


def _needed(axes: Axes, fits: pd.DataFrame, floor: pd.DataFrame, letter: str) -> None:
    top, missing = float(fits["width"].max()), []
    for index in range(len(LAYER_NAMES)):
        look = _layer_look(index)
        rows, cells = _of_layers(floor, "num_folds", index), finished(_of_layers(fits, "target.num_folds", index))
        if index == 3:  # the width is that of all numbers of folds, and part of the point
            rows = floor[floor["depth"] == floor["num_folds"]]
        least, explicit = (width_needed(rows, "num_folds", name) for name in ("l2_floor", "explicit"))
        if index < 3:
            axes.plot(least.index, least, color=look["color"], linewidth=1.5)
        axes.plot(explicit.index, explicit, color=look["color"], linestyle=CONSTRUCTION["linestyle"])
        trained = width_needed(cells, "target.num_folds", "relative")
        shift = 0.1 * (index - 1.5)
        axes.plot(trained.index + shift, trained, linestyle="none", **look)
        missing += [(folds + 1.2 * shift, look["color"]) for folds in unreached(cells, trained)]
        top = max([top, *least, *explicit])
        if index == 3 and len(explicit):
            place = explicit.index[-1], explicit.iloc[-1]
            style: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "va": "top", "fontsize": 7.5}
            axes.annotate(f"$k$ layers: {explicit.iloc[-1]:.0f}", place, (0, -4), color=look["color"], **style)
    for at, color in missing:
        axes.plot(at, 1.7 * top, marker=UNREACHED, color=color, linestyle="none", markersize=7)
    axes.set(yscale="log", xlabel="folds $k$", ylabel="width for relative squared error 1/2", ylim=(1.2, 2.6 * top))
    number_ticks(axes.yaxis, [2**power for power in range(1, 12) if 2**power <= 1.02 * top])
    number_ticks(axes.xaxis, sorted(floor["num_folds"].unique().tolist()))
    axes.set_title(f"({letter}) width that floor, explicit weights, training ask")


def gaps(fits: pd.DataFrame) -> pd.DataFrame:
    """Trained networks of sizes that have an exact explicit network: all of their error is an optimisation gap."""
    return finished(fits[fits["explicit"] == 0])


def _gap(axes: Axes, fits: pd.DataFrame, letter: str) -> None:
    cells = gaps(fits)
    for index in range(len(LAYER_NAMES)):
        rows = _of_layers(cells, "target.num_folds", index)
        place = rows["target.num_folds"] + 0.17 * (index - 1.5)
        size = 1.5 + 1.1 * np.log2(rows["width"])
        axes.scatter(place, rows["relative"], s=size**2 / 2, alpha=0.6, linewidths=0, **_layer_look(index))
    counts = sorted(fits["target.num_folds"].unique().tolist())
    axes.set(ylim=(-0.04, 1.12), xlabel="folds $k$", ylabel="relative squared error")
    axes.set_xlim(counts[0] - 0.5, counts[-1] + 0.5)
    number_ticks(axes.xaxis, counts)
    axes.set_title(f"({letter}) trained, where an exact network has that size")


def verdict(table: pd.DataFrame, floor: pd.DataFrame) -> Verdict:
    """Held where floors grow exponentially for one layer and no network lies under one; numbers of one layer."""
    fits = drawn(table, floor)
    folds = telling_folds(fits)
    one = finished(fits[(fits["target.num_folds"] == folds) & (fits["depth"] == 1) & (fits["l2_floor"] > 0)])
    measured = _floored(table, floor)
    under, growth, last, needed = under_floor(measured), *_growth(floor)
    least, reached, explicit = None, None, None
    quantity = "relative squared error with one hidden layer; no size with a positive floor was fitted"
    if len(one):
        widest = one[one["width"] == one["width"].max()]
        best = widest.loc[widest["relative"].idxmin()]
        least, reached, explicit = best["l2_floor"], best["relative"], best["explicit"]
        quantity = f"relative squared error for {folds} folds, one hidden layer of width {best['width']}"
    told = (
        f"the width that the floor asks of one layer grows by {growth:.2f} times a fold, to {needed:.0f} at {last} "
        f"folds, where {last} layers need width 2"
    )
    state, check = "held" if under.empty and growth > 1.5 else "not held", floor_check(len(under), len(measured))
    return Verdict(state, told, quantity, least, reached, explicit, len(measured), check)


def _floored(table: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """All finished fits, not only those of the chosen learning rate, that have a positive floor in some norm."""
    measured = compared(finished(table), floor)
    return measured[measured[[f"{norm}_floor" for norm in NORMS]].max(axis=1) > 0]


def _growth(floor: pd.DataFrame) -> tuple[float, int, float]:
    """By how much a fold multiplies the width that the floor asks of one layer; most folds, and the width there."""
    needed = width_needed(floor[floor["depth"] == 1], "num_folds", "l2_floor")
    first, last = int(needed.index.min()), int(needed.index.max())
    return float((needed[last] / needed[first]) ** (1 / (last - first))), last, float(needed[last])


def caption(table: pd.DataFrame, floor: pd.DataFrame) -> str:
    """What is drawn, how many fits, and whether the claim held, computed from the tables."""
    fits = drawn(table, floor)
    measured = _floored(table, floor)
    under, growth, last, needed = under_floor(measured), *_growth(floor)
    checked = floors_kept(len(under), len(measured), " in L2, L1 or sup")
    gap = gaps(fits)
    missed = gap[gap["relative"] > REACHED]
    lost, cells = len(fits) - len(finished(fits)), fits.groupby(CELL).size()
    rates = ", ".join(f"{rate:g}" for rate in sorted(table["learning_rate"].unique()))
    held = "holds" if verdict(table, floor).state == "held" else "does not hold"
    count = len(_shown_depths(fits, telling_folds(fits)))
    panels = f"(a-{LETTERS[count - 1]})" if count > 1 else "(a)"
    width, gaps_letter = LETTERS[count], LETTERS[count + 1]
    return (
        "A sawtooth of k folds needs a width exponential in k in few layers, and width 2 in k layers (Telgarsky 2016): "
        f"the claim {held}. {panels} Relative squared error, over the variance; grey: excluded by the floor; markers: "
        f"median and range of n = {span(cells)} seeds, {table['num_steps'].max()} steps of Adam (rate of {rates} by "
        f"training loss), then L-BFGS{f'; {lost} of {len(fits)} fits failed or diverged' if lost else ''}. ({width}) "
        "Least width from which on at most half of the variance is left (trained: in the median), up to "
        f"{fits['width'].max()}. ({gaps_letter}) One marker a trained network, larger for wider: all its error is "
        f"optimisation gap{counted(len(missed), len(gap), 'leave more than half', ', and ')}. The floor's width for "
        f"one layer grows by {growth:.2f} times a fold, to {needed:.0f} at k = {last}; {checked}. The count of pieces "
        "behind the floors is as recalled."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
