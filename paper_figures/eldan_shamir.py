"""Depth separation: certified floor of one hidden layer, trained networks, and the explicit network with two.

Draws results/<scale>/eldan_shamir.csv with .floor.csv and .network.csv; see experiments/eldan_shamir.py.
"""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from widththeory import command
from widththeory.estimates import finished, select_learning_rate, span
from widththeory.plotting import CONSTRUCTION, FLOOR, TEXT_WIDTH, series
from widththeory.verdicts import HELD, Verdict, counted, floor_check, floors_kept

WAVE, CONTROL = "eldan_shamir.Cosine", "radial_control.Norm"
TOLERANCE = 4  # standard errors of a measured error that may lie under a floor before it counts as a defect
CELL = ["target", "target.input_dim", "depth", "width"]


def drawn(table: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """The chosen fits: relative squared error, its standard error, and the floor at their number of neurons."""
    return compared(select_learning_rate(table, by=CELL), floor)


def compared(fits: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """Fits, chosen or not, beside the floor at their number of neurons where there is one."""
    exact = floor[floor["order"] == 2].groupby("input_dim")["second_moment"].first()
    moment = fits["target_second_moment"].where(fits["target"] != WAVE, fits["target.input_dim"].map(exact))
    fits = fits.assign(
        num_neurons=fits["width"] * fits["depth"],
        relative=fits["test_mse"] / moment,
        relative_stderr=fits["test_mse_stderr"] / moment,
        floor=np.nan,
    )
    curve = floor[(floor["order"] == 2) & floor["relative_error"].isna()]
    known = {(row.input_dim, row.num_neurons): row.relative_floor for row in curve.itertuples()}
    single = (fits["depth"] == 1) & (fits["target"] == WAVE)
    keys = zip(fits["target.input_dim"], fits["width"], strict=True)
    fits["floor"] = np.where(single, [known.get(key, np.nan) for key in keys], np.nan)
    kept = [*CELL, "seed", "learning_rate", "num_neurons", "relative", "relative_stderr", "floor", "status"]
    return fits[[*kept, *(["diverged"] if "diverged" in fits else [])]]


def under_floor(fits: pd.DataFrame) -> pd.DataFrame:
    """Fits that lie under their certified floor by more than the error of their measurement: defects."""
    return fits[fits["relative"] + TOLERANCE * fits["relative_stderr"] < fits["floor"]]


def past_one_layer(fits: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """Trained networks with two hidden layers under the floor of one hidden layer with as many neurons: separation."""
    two = finished(fits[(fits["target"] == WAVE) & (fits["depth"] == 2)])
    rows = floor[(floor["order"] == 2) & floor["relative_error"].isna()]
    least = []
    for fit in two.itertuples():
        # The floor falls with the number of neurons, so that the next tabulated number above is a floor here too.
        above = rows[(rows["input_dim"] == fit._2) & (rows["num_neurons"] >= fit.num_neurons)]
        least.append(above["relative_floor"].max() if len(above) else 0.0)
    return two[two["relative"] + TOLERANCE * two["relative_stderr"] < least]


def telling_dim(fits: pd.DataFrame, floor: pd.DataFrame) -> int:
    """The largest dimension in which training shows the separation; if it does in none, the largest."""
    dims = past_one_layer(fits, floor)["target.input_dim"]
    return int(dims.max()) if len(dims) else _dims(fits)[-1]


def figure(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> Figure:
    """Four panels: one layer against its floor; one and two layers at one dimension; K(eps) against d; the control."""
    fits = drawn(table, floor)
    picture = Figure(figsize=(TEXT_WIDTH, 5.6), layout="constrained")
    picture.suptitle("A radial wave: exponentially many neurons in one hidden layer, few in two", size=9.5)
    panels = picture.subplots(2, 2)
    _one_layer(panels[0, 0], fits, floor)
    _two_layers(panels[0, 1], fits, floor, network)
    _needed(panels[1, 0], floor, network)
    _control(panels[1, 1], fits, network)
    # beside the panels, as points of wide networks come to lie in every corner of (a)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    labels = [f"(a, d): {labels[0]}", *labels[1:]] if labels else []
    picture.legend(handles, labels, loc="outside lower center", ncols=5, columnspacing=0.8, handletextpad=0.2)
    return picture


def _look(index: int) -> dict[str, Any]:
    """Of the `index`-th dimension; the fourth colour is that of explicit networks."""
    return series(index + (index >= 3))


def _dims(fits: pd.DataFrame) -> list[int]:
    return sorted(fits["target.input_dim"].unique())


def _points(axes: Axes, cells: pd.DataFrame, shift: float = 1.0, **look: Any) -> None:
    """Median over seeds at each number of neurons, with the range of the seeds; curves a little apart by a `shift`."""
    groups = finished(cells).groupby("num_neurons")["relative"]
    middle, low, high = groups.median(), groups.min(), groups.max()
    axes.errorbar(shift * middle.index, middle, [middle - low, high - middle], capsize=1.5, elinewidth=0.7, **look)


def _shift(index: int, dims: list[int]) -> float:
    """Of the `index`-th dimension, whose points would hide those of another."""
    return 1.07 ** (index - (len(dims) - 1) / 2)


def _curve(floor: pd.DataFrame, dim: int) -> pd.DataFrame:
    rows = floor[(floor["order"] == 2) & (floor["input_dim"] == dim) & floor["relative_error"].isna()]
    return rows[rows["relative_floor"] > 1e-4].sort_values("num_neurons")


def _frame(axes: Axes, title: str) -> None:
    axes.set(xscale="log", yscale="log", xlabel="number of neurons", ylabel="relative squared error", title=title)


def _one_layer(axes: Axes, fits: pd.DataFrame, floor: pd.DataFrame) -> None:
    chosen = fits[(fits["target"] == WAVE) & (fits["depth"] == 1)]
    dims = _dims(chosen)
    for index, dim in enumerate(dims):
        look = _look(index)
        curve = _curve(floor, dim)
        axes.plot(curve["num_neurons"], curve["relative_floor"], color=look["color"], linestyle=FLOOR["linestyle"])
        cells = chosen[chosen["target.input_dim"] == dim]
        look |= {"linestyle": "none", "label": f"$d={dim}$"}
        _points(axes, cells, _shift(index, dims), **look)
    _frame(axes, "(a) one hidden layer: floors (lines), trained")
    axes.set(xlim=(1, 1.5 * (fits if chosen.empty else chosen)["num_neurons"].max()), ylim=(3e-3, 2))


def _two_layers(axes: Axes, fits: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> None:
    dim = telling_dim(fits, floor)
    chosen = fits[(fits["target"] == WAVE) & (fits["target.input_dim"] == dim)]
    curve = _curve(floor, dim)
    axes.plot(curve["num_neurons"], curve["relative_floor"], **{**FLOOR, "label": "certified floor, one hidden layer"})
    look = {**_look(_dims(fits).index(dim)), "linestyle": "none"}
    _points(axes, chosen[chosen["depth"] == 1], **look, label="trained, one hidden layer")
    _points(axes, chosen[chosen["depth"] == 2], **look, markerfacecolor="white", label="trained, two hidden layers")
    explicit = network[(network["target"] == WAVE) & (network["input_dim"] == dim)]
    star = {**CONSTRUCTION, "markersize": 9, "linestyle": "none", "label": "explicit, two (cap: guaranteed)"}
    error = explicit["relative_error"]
    up = np.maximum(explicit["relative_bound"] - error, 0)
    axes.errorbar(explicit["num_neurons"], error, [0 * up, up], capsize=3, elinewidth=1.0, **star)
    _frame(axes, f"(b) one against two hidden layers, $d={dim}$")
    axes.set(xlim=(1, None), ylim=(min(3e-3, error.min() / 2) if len(error) else 3e-3, 2))
    axes.legend(loc="lower left")


def _needed(axes: Axes, floor: pd.DataFrame, network: pd.DataFrame) -> None:
    needed = floor[floor["relative_error"].notna()]
    curves = (
        (2, 0.01, FLOOR["color"], "^", ""),
        (2, 0.5, FLOOR["color"], "o", ""),
        (0, 0.01, "0.6", "^", ", paper's law"),
    )
    for place, (order, relative_error, shade, marker, law) in enumerate(curves):
        rows = needed[(needed["relative_error"] == relative_error) & (needed["order"] == order)]
        rows = rows.sort_values("input_dim")
        look = {"color": shade, "linestyle": FLOOR["linestyle"], "marker": marker, "zorder": 2.5 - 0.1 * place}
        axes.plot(rows["input_dim"], np.maximum(rows["num_neurons"], 1), **look, label=f"$K({relative_error:g})${law}")
    explicit = network[network["target"] == WAVE].sort_values("input_dim")
    level = 100 * common_error(floor, network)
    star = {**CONSTRUCTION, "label": f"explicit, {level:g} % guaranteed"}
    axes.plot(explicit["input_dim"], explicit["num_neurons"], **star)
    dims = sorted(needed["input_dim"].unique())
    axes.set(xscale="log", yscale="log", xlabel="input dimension $d$", ylabel="neurons")
    axes.set_title("(c) needed in one hidden layer, enough in two")
    axes.xaxis.set_major_locator(FixedLocator(dims))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([str(dim) for dim in dims])
    axes.legend(loc="upper left")


def _control(axes: Axes, fits: pd.DataFrame, network: pd.DataFrame) -> None:
    chosen = fits[fits["target"] == CONTROL]
    dims = _dims(chosen)
    for index, dim in enumerate(dims):
        look = _look(index)
        cells = chosen[chosen["target.input_dim"] == dim]
        for depth, fill in ((1, look["color"]), (2, "white")):
            _points(
                axes,
                cells[cells["depth"] == depth],
                _shift(index, dims),
                color=look["color"],
                marker=look["marker"],
                markerfacecolor=fill,
                linestyle="none",
                label=f"$d={dim}$" if depth == 1 else None,
            )
        explicit = network[(network["target"] == CONTROL) & (network["input_dim"] == dim)]
        line = {**CONSTRUCTION, "color": look["color"], "marker": None}
        axes.plot(explicit["num_neurons"], explicit["relative_error"], **{**line, "label": None})
    _frame(axes, "(d) control $|x|$: trained (open: two layers), explicit")


def _floored(table: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """All finished fits, not only those of the chosen learning rate, that have a positive floor."""
    measured = compared(finished(table), floor)
    return measured[measured["floor"] > 0]


def common_error(floor: pd.DataFrame, network: pd.DataFrame) -> float:
    """The least eps with K(eps) tabulated that every explicit network for the wave guarantees; NaN without one."""
    needed = floor.loc[(floor["order"] == 2) & floor["relative_error"].notna(), "relative_error"]
    return float(needed[needed >= network.loc[network["target"] == WAVE, "relative_bound"].max()].min())


def _separated(floor: pd.DataFrame, network: pd.DataFrame) -> list[int]:
    """Dimensions from which on one hidden layer needs more neurons for an error than two have that guarantee it."""
    explicit = network[network["target"] == WAVE].set_index("input_dim")["num_neurons"].sort_index()
    needed = floor[(floor["order"] == 2) & (floor["relative_error"] == common_error(floor, network))]
    needed = needed.set_index("input_dim")["num_neurons"]
    fewer = [dim for dim in explicit.index if not needed.get(dim, 0) > explicit[dim]]
    return [dim for dim in explicit.index if dim > max(fewer, default=0)]


def growth(floor: pd.DataFrame, network: pd.DataFrame) -> tuple[float, float]:
    """By how much a dimension multiplies K under the law of order 2, on average; power of d of the explicit neurons.

    Both at the error that the explicit networks guarantee, and both from the first to the last dimension.
    """
    at = (floor["order"] == 2) & (floor["relative_error"] == common_error(floor, network))
    needed = floor[at].set_index("input_dim")["num_neurons"]
    explicit = network[network["target"] == WAVE].set_index("input_dim")["num_neurons"]
    (first, last), (low, high) = ((dims.min(), dims.max()) for dims in (needed.index, explicit.index))
    factor = (needed[last] / needed[first]) ** (1 / (last - first)) if last > first else math.nan
    power = math.log(explicit[high] / explicit[low]) / math.log(high / low) if high > low else math.nan
    return float(factor), power


def verdict(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> Verdict:
    """Held where the separation is certified from some dimension on, needs grow so, and no fit is under its floor."""
    fits, measured, separated = drawn(table, floor), _floored(table, floor), _separated(floor, network)
    under, dim = under_floor(measured), telling_dim(fits, floor)
    past, two = past_one_layer(fits, floor), finished(fits[(fits["target"] == WAVE) & (fits["depth"] == 2)])
    here = finished(fits[(fits["target"] == WAVE) & (fits["target.input_dim"] == dim)])
    one = here[here["depth"] == 1]
    widest = one[one["num_neurons"] == one["num_neurons"].max()]
    waves = network[network["target"] == WAVE].sort_values("input_dim")
    explicit = waves[waves["input_dim"] == dim]
    dims = f"from d = {min(separated)} on" if separated else "in no dimension tried"
    factor, power = growth(floor, network)
    level = f"{100 * common_error(floor, network):g} %"
    state = "held" if separated and under.empty and factor > 1.5 and power < 3 else "not held"
    if under.empty and not (math.isfinite(factor) and math.isfinite(power)):
        state = "open"
    first, last = waves.iloc[0], waves.iloc[-1]
    sentence = (
        f"the neurons that one hidden layer needs for {level} error grow by {factor:.2f} times with each dimension; "
        f"the explicit network with two that guarantees {level} has {first['num_neurons']} in d = {first['input_dim']} "
        f"and {last['num_neurons']} in d = {last['input_dim']}, in the long run at most of the order d^2; {dims} it is "
        "smaller than any network with one of that accuracy"
    )
    beat = "trained networks with two layers beat every network with one and as many neurons"
    sentence += counted(len(past), len(two), beat)
    quantity = f"relative squared error, d = {dim}: floor and best fit with one hidden layer"
    if len(widest):
        quantity += f" of {widest['num_neurons'].iloc[0]:.0f} neurons"
    if len(explicit):
        quantity += (
            f", construction with two, {explicit['num_neurons'].iloc[0]:.0f} neurons, guaranteed "
            f"({explicit['relative_error'].iloc[0]:.2g} measured)"
        )
    return Verdict(
        state,
        sentence,
        quantity,
        widest["floor"].iloc[0] if len(widest) else None,
        widest["relative"].min() if len(widest) else None,
        explicit["relative_bound"].iloc[0] if len(explicit) else None,
        len(measured),
        check=floor_check(len(under), len(measured)),
        short=f"a radial wave takes one hidden layer {factor:.1f} times more neurons with each dimension, two of them "
        "at most of the order d^2"
        if state == "held"
        else "",
    )


def caption(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> str:
    """What is drawn, how many fits, and whether the claim held, computed from the tables."""
    fits = drawn(table, floor)
    measured, separated = _floored(table, floor), _separated(floor, network)
    under, explicit = under_floor(measured), network[network["target"] == WAVE]
    checked = floors_kept(len(under), len(measured))
    gap = f"from d = {min(separated)} on" if separated else "in no dimension tried"
    factor, _ = growth(floor, network)
    grows = f"K({common_error(floor, network):g}) grows by {factor:.2f} times a dimension; "
    grows *= math.isfinite(factor)
    past, two = past_one_layer(fits, floor), finished(fits[(fits["target"] == WAVE) & (fits["depth"] == 2)])
    dims = ", ".join(map(str, sorted(past["target.input_dim"].unique())))
    shown = f" (d = {dims})" if dims else ""
    steps, rates = table["num_steps"].max(), ", ".join(f"{rate:g}" for rate in sorted(table["learning_rate"].unique()))
    cells = fits.groupby(["target", "target.input_dim", "depth", "width"]).size()
    lost = len(fits) - len(finished(fits))
    return (
        "A radial wave needs exponentially many neurons in one hidden layer, few in two (Eldan and Shamir 2016): the "
        f"claim {HELD[verdict(table, floor, network).state]}. (a) Relative squared error, E (f - g)^2 / E f^2; lines: "
        "certified floors of one hidden layer, under the law of order 2. (b) Star: measured. (c) K(eps): neurons "
        "without which one hidden layer cannot have error eps. (d) Dashes: explicit, one hidden layer, exact error. "
        f"Markers: median and range of n = {span(cells)} seeds, {steps} steps of Adam (rate of {rates} by training "
        f"loss){f'; {lost} of {len(fits)} fits failed or diverged' if lost else ''}. {grows}{gap} explicit networks "
        f"with two layers have fewer neurons and guarantee {explicit['relative_bound'].max():.2g}; {checked}"
        f"{counted(len(past), len(two), 'with two layers fell below the floor of one with as many neurons')}{shown}. "
        "Floors are computed numerically."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
