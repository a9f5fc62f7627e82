"""The square: sup error against size and depth, L2 error against width, and the optimisation gap.

Draws results/<scale>/square.csv with .floor.csv and .network.csv; see experiments/square.py.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from widththeory import command
from widththeory.estimates import finished, fit_power_law, select_learning_rate, span
from widththeory.plotting import CONSTRUCTION, FLOOR, TEXT_WIDTH, TRAINED, number_ticks, series
from widththeory.verdicts import Verdict, floor_check, floors_kept

CELL = ["depth", "width"]
NORMS = ("sup", "l2", "l1")
ROUNDING = 1e-9  # relative; errors of fits are exact up to 1e-15, far under the floors of what is fitted
SMALLEST = 1e-7  # of the errors that are shown


def drawn(table: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """The chosen fits: exact errors beside floor and explicit weights of their size; `gap` is trained over explicit."""
    return compared(select_learning_rate(table, by=CELL), floor)


def compared(fits: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """Fits, chosen or not; `relative` is the squared L2 error over the variance 4/45 of the target."""
    fits = fits.rename(columns={f"exact_{norm}_error": norm for norm in NORMS}).merge(floor, on=CELL, how="left")
    fits = fits.assign(relative=fits["l2"] ** 2 * 45 / 4, gap=fits["l2"] / fits["l2_explicit"])
    kept = [*CELL, "seed", "learning_rate", "num_params", "relative", "gap", *NORMS]
    kept += [*(f"{norm}_floor" for norm in NORMS), "sup_explicit", "l2_explicit", "status"]
    return fits[[*kept, *(["diverged"] if "diverged" in fits else [])]]


def under_floor(fits: pd.DataFrame) -> pd.DataFrame:
    """Fits under the floor of their size in any of the three norms: defects."""
    under = pd.Series(False, index=fits.index)
    for norm in NORMS:
        under |= fits[norm] < fits[f"{norm}_floor"] * (1 - ROUNDING)
    return fits[under]


def figure(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> Figure:
    """Four panels."""
    fits = drawn(table, floor)
    picture = Figure(figsize=(TEXT_WIDTH, 5.1), layout="constrained")
    title = "$x^2$: explicit depth is exponentially accurate, width is not, and training finds little of either"
    picture.suptitle(title, size=9.5)
    panels: Any = picture.subplots(2, 2)
    few = sorted(depth for depth in fits["depth"].unique().tolist() if depth <= 3)
    _sizes(panels[0, 0], fits, floor, network, few)
    _depths(panels[0, 1], fits, floor, network)
    _widths(panels[1, 0], fits, floor, few)
    _gaps(panels[1, 1], fits, few)
    return picture


def _layers(depth: int) -> str:
    return f"{depth} layer{'s' if depth > 1 else ''}"


def _marks(axes: Axes, cells: pd.DataFrame, x: str, y: str, **look: Any) -> None:
    """Median over seeds, with their range."""
    groups = finished(cells).groupby(x)[y]
    middle, low, high = groups.median(), groups.min(), groups.max()
    axes.errorbar(middle.index, middle, [middle - low, high - middle], capsize=1.5, elinewidth=0.7, **look)


def _sizes(axes: Axes, fits: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame, few: list[int]) -> None:
    for index, depth in enumerate(few):
        look = {**series(index), "linestyle": "none", "label": f"trained, {_layers(depth)}"}
        _marks(axes, fits[fits["depth"] == depth], "num_params", "sup", **look)
    shallow = floor[floor["depth"] == 1].sort_values("num_params")
    axes.plot(shallow["num_params"], shallow["sup_floor"], **{**FLOOR, "label": "certified floor, 1 layer"})
    look = {**CONSTRUCTION, "marker": None, "label": "explicit, 1 layer"}
    axes.plot(shallow["num_params"], shallow["sup_explicit"], **look)
    shown = network[network["sup_error"] >= SMALLEST]
    look = {**CONSTRUCTION, "linewidth": 0.9, "label": "explicit, width 3, $m$ layers"}
    axes.plot(shown["num_params"], shown["sup_error"], **look)
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel="sup error", ylim=(SMALLEST / 30, None))
    axes.set_title("(a) error against size")
    axes.legend(loc="lower right", fontsize=7)


def _depths(axes: Axes, fits: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> None:
    narrow = int(network["width"].iloc[0])
    rows = floor[floor["width"] == narrow].sort_values("depth")
    axes.plot(rows["depth"], rows["sup_floor"], **FLOOR)
    axes.plot(
        rows["depth"], rows["sup_explicit"], **{**CONSTRUCTION, "marker": None, "label": "explicit, derived here"}
    )
    shown = network[network["depth"] <= rows["depth"].max()]
    look = {**CONSTRUCTION, "linewidth": 0.9, "label": "explicit, Yarotsky: $2^{-2m-2}$"}
    axes.plot(shown["depth"], shown["sup_error"], **look)
    _marks(axes, fits[fits["width"] == narrow], "depth", "sup", **TRAINED)
    axes.set(yscale="log", xlabel="hidden layers $m$", ylabel="sup error")
    number_ticks(axes.xaxis, rows["depth"].tolist())
    axes.set_title(f"(b) error against depth, width {narrow}")
    axes.legend(loc="lower left", fontsize=7)


def _widths(axes: Axes, fits: pd.DataFrame, floor: pd.DataFrame, few: list[int]) -> None:
    for index, depth in enumerate(few):
        look = series(index)
        rows = floor[floor["depth"] == depth].sort_values("width")
        axes.plot(rows["width"], rows["l2_floor"], color=look["color"], linewidth=1.5)
        axes.plot(rows["width"], rows["l2_explicit"], color=look["color"], linestyle=CONSTRUCTION["linestyle"])
        label = {"linestyle": "none", "label": _layers(depth)}
        _marks(axes, fits[fits["depth"] == depth], "width", "l2", **{**look, **label})
    axes.set(xscale="log", yscale="log", xlabel="width", ylabel="$L_2$ error", ylim=(SMALLEST, None))
    number_ticks(axes.xaxis, _tried(fits, few))
    axes.set_title("(c) floor (solid), explicit (dashed), trained")
    if few:
        axes.legend(loc="upper right", fontsize=7)


def _gaps(axes: Axes, fits: pd.DataFrame, few: list[int]) -> None:
    for index, depth in enumerate(few):
        look = {**series(index), "linestyle": "none", "label": _layers(depth)}
        _marks(axes, fits[fits["depth"] == depth], "width", "gap", **look)
    axes.axhline(1.0, **{**CONSTRUCTION, "marker": None, "label": "explicit construction"})
    axes.set(xscale="log", yscale="log", xlabel="width", ylabel="$L_2$ error, trained over explicit")
    number_ticks(axes.xaxis, _tried(fits, few))
    axes.set_title("(d) optimisation gap")
    axes.legend(loc="upper left", fontsize=7)


def _tried(fits: pd.DataFrame, few: list[int]) -> list[int]:
    tried = sorted(fits.loc[fits["depth"].isin(few), "width"].unique().tolist())
    return tried if len(tried) <= 8 else tried[:: len(tried) // 7]


def verdict(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> Verdict:
    """Held where explicit weights keep their promise, no fit lies under a floor, and depth beats one wide layer."""
    fits, measured = finished(drawn(table, floor)), compared(finished(table), floor)
    under, deepest = under_floor(measured), network.sort_values("depth").iloc[-1]
    wide = floor[floor["depth"] == 1].sort_values("width").iloc[-1]
    kept = np.allclose(network["sup_error"], network["sup_promised"], rtol=1e-6)  # measured exactly, up to rounding
    beaten = bool(wide["sup_floor"] > deepest["sup_error"])
    one = fits[(fits["depth"] == 1) & (fits["width"] == wide["width"])]
    sentence = (
        f"width 3 and {deepest['depth']:.0f} layers reach sup error {deepest['sup_error']:.1e} by explicit weights, "
        f"where one layer of {wide['width']:.0f} units cannot go below {wide['sup_floor']:.1e}"
    )
    return Verdict(
        "held" if kept and beaten and under.empty else "not held",
        sentence,
        f"sup error on [0, 1] with one hidden layer of width {wide['width']:.0f}",
        wide["sup_floor"],
        one["sup"].min() if len(one) else None,
        wide["sup_explicit"],
        len(measured),
        check=floor_check(len(under), len(measured)),
    )


def caption(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> str:
    """What is drawn, how many fits, and whether the claim held, computed from the tables."""
    fits = drawn(table, floor)
    measured = compared(finished(table), floor)  # all fits, not only those of the chosen learning rate
    under = under_floor(measured)
    checked = floors_kept(len(under), len(measured), " in L2, L1 or sup")
    off = np.max(np.abs(network["sup_error"] / network["sup_promised"] - 1))
    deepest = network.sort_values("depth").iloc[-1]
    wide = floor[floor["depth"] == 1].sort_values("width").iloc[-1]
    held = "holds" if verdict(table, floor, network).state == "held" else "does not hold"
    beaten = wide["sup_floor"] > deepest["sup_error"] and wide["num_params"] >= deepest["num_params"]
    rival = (
        f"{wide['sup_floor'] / deepest['sup_error']:.2g} times less than the floor"
        if beaten
        else "not yet less than the floor"
    )
    # 1 / (8 (w + 1)^2): the width that one layer would need for as little
    needed = int(np.ceil(1 / np.sqrt(8 * deepest["sup_error"]) - 1))
    median = finished(fits).groupby(CELL)["gap"].median()
    gap = "of which none was finished"
    if len(median):
        gap = f"in the median from {median.min():.2g} ({_place(median.idxmin())}) to {median.max():.2g} "
        gap += f"({_place(median.idxmax())}){_growth(fits)}"
    little = "; training finds little of either" * bool(median.max() > 10)  # an order of magnitude is left somewhere
    ahead = int((finished(fits)["gap"] < 1).sum())
    better = f"; {ahead} are better than explicit" if ahead else ""
    least = finished(fits[fits["width"] == network["width"].iloc[0]])["sup"].min()
    reached = f"; trained ones reach {least:.1e} at best" if np.isfinite(least) else ""
    lost, counts = len(fits) - len(finished(fits)), fits.groupby(CELL).size()
    rates = ", ".join(f"{rate:g}" for rate in sorted(table["learning_rate"].unique()))
    return (
        "Explicit networks approximate x^2 on [0, 1] exponentially well in their depth, one layer by a power of its "
        f"width (Yarotsky 2017, as recalled): the claim {held}{little}. (a) With "
        f"{deepest['num_params']:.0f} parameters explicit networks of width 3 have {deepest['sup_error']:.1e}, {rival} "
        f"of one layer of {wide['width']:.0f} units; one layer needs at least {needed} for as little. (b) Yarotsky's "
        f"networks have the error promised{f' within {off:.0e}' if off else ''}{reached}. (c) Explicit networks of "
        f"every size, derived here. (d) The optimisation gap, {gap}{better}. Markers: median and range of n = "
        f"{span(counts)} seeds{f' ({lost} of {len(fits)} fits failed or diverged)' if lost else ''}, "
        f"{table['num_steps'].max()} steps of Adam (rate of {rates} by training loss), then L-BFGS. All errors are "
        f"exact; {checked}."
    )


def _place(cell: Any) -> str:
    return f"width {cell[1]}, {_layers(cell[0])}"


def _growth(fits: pd.DataFrame) -> str:
    """Whether the gap grows with the width, by its exponent over the depths that have several."""
    done = finished(fits)
    several = done.groupby("depth")["width"].transform("nunique") > 1
    rows = done[several]
    if rows.empty:
        return ""
    own = rows["gap"] / np.exp(np.log(rows["gap"]).groupby(rows["depth"]).transform("mean"))
    slope = fit_power_law(rows["width"], own, with_floor=False, num_resamples=1).exponent
    return f", {'grows' if slope > 0 else 'does not grow'} with width"


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
