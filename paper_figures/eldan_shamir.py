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
from widththeory.estimates import finished, select_learning_rate
from widththeory.plotting import CONSTRUCTION, FLOOR, TEXT_WIDTH, TRAINED, series
from widththeory.verdicts import Verdict, floor_check

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
    picture = Figure(figsize=(TEXT_WIDTH, 5.4), layout="constrained")
    picture.suptitle("A radial wave: exponentially many neurons in one hidden layer, few in two", size=9.5)
    panels = picture.subplots(2, 2)
    _one_layer(panels[0, 0], fits, floor)
    _two_layers(panels[0, 1], fits, floor, network)
    _needed(panels[1, 0], floor, network)
    _control(panels[1, 1], fits, network)
    return picture


def _dims(fits: pd.DataFrame) -> list[int]:
    return sorted(fits["target.input_dim"].unique())


def _points(axes: Axes, cells: pd.DataFrame, **look: Any) -> None:
    """Median over seeds at each number of neurons, with the range of the seeds."""
    groups = finished(cells).groupby("num_neurons")["relative"]
    middle, low, high = groups.median(), groups.min(), groups.max()
    axes.errorbar(middle.index, middle, [middle - low, high - middle], capsize=1.5, elinewidth=0.7, **look)


def _curve(floor: pd.DataFrame, dim: int) -> pd.DataFrame:
    rows = floor[(floor["order"] == 2) & (floor["input_dim"] == dim) & floor["relative_error"].isna()]
    return rows[rows["relative_floor"] > 1e-4].sort_values("num_neurons")


def _frame(axes: Axes, title: str) -> None:
    axes.set(xscale="log", yscale="log", xlabel="number of neurons", ylabel="relative squared error", title=title)


def _one_layer(axes: Axes, fits: pd.DataFrame, floor: pd.DataFrame) -> None:
    chosen = fits[(fits["target"] == WAVE) & (fits["depth"] == 1)]
    for index, dim in enumerate(_dims(chosen)):
        look = series(index)
        curve = _curve(floor, dim)
        axes.plot(curve["num_neurons"], curve["relative_floor"], color=look["color"], linestyle=look["linestyle"])
        cells = chosen[chosen["target.input_dim"] == dim]
        _points(axes, cells, color=look["color"], marker=look["marker"], linestyle="none", label=f"$d={dim}$")
    _frame(axes, "(a) one hidden layer: floor (lines), trained")
    axes.set(xlim=(1, 1.5 * chosen["num_neurons"].max()), ylim=(3e-3, 2))
    axes.legend(loc="lower right")


def _two_layers(axes: Axes, fits: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> None:
    dim = telling_dim(fits, floor)
    chosen = fits[(fits["target"] == WAVE) & (fits["target.input_dim"] == dim)]
    curve = _curve(floor, dim)
    axes.plot(curve["num_neurons"], curve["relative_floor"], **{**FLOOR, "label": "certified floor, one hidden layer"})
    _points(axes, chosen[chosen["depth"] == 1], **{**TRAINED, "label": "trained, one hidden layer"})
    two = {"color": series(1)["color"], "marker": "s", "linestyle": "none", "label": "trained, two hidden layers"}
    _points(axes, chosen[chosen["depth"] == 2], **two)
    explicit = network[(network["target"] == WAVE) & (network["input_dim"] == dim)]
    star = {**CONSTRUCTION, "markersize": 9, "linestyle": "none", "label": "explicit, two hidden layers"}
    axes.plot(explicit["num_neurons"], explicit["relative_error"], **star)
    _frame(axes, f"(b) one against two hidden layers, $d={dim}$")
    axes.set(xlim=(1, None), ylim=(3e-3, 2))
    axes.legend(loc="lower left")


def _needed(axes: Axes, floor: pd.DataFrame, network: pd.DataFrame) -> None:
    needed = floor[floor["relative_error"].notna()]
    for index, relative_error in enumerate((0.5, 0.1, 0.01)):
        look = series(index)
        for order, style in ((0, "-"), (2, (0, (1, 1.2)))):
            rows = needed[(needed["relative_error"] == relative_error) & (needed["order"] == order)]
            rows = rows.sort_values("input_dim")
            label = rf"$K({relative_error:g})$" if order == 0 else None
            look = {**look, "linestyle": style, "label": label, "markersize": 3}
            axes.plot(rows["input_dim"], np.maximum(rows["num_neurons"], 1), **look)
    explicit = network[network["target"] == WAVE].sort_values("input_dim")
    star = {**CONSTRUCTION, "label": "explicit network, two hidden layers"}
    axes.plot(explicit["input_dim"], explicit["num_neurons"], **star)
    dims = sorted(needed["input_dim"].unique())
    axes.set(xscale="log", yscale="log", xlabel="input dimension $d$", ylabel="neurons")
    axes.set_title("(c) neurons that one hidden layer needs")
    axes.xaxis.set_major_locator(FixedLocator(dims))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([str(dim) for dim in dims])
    axes.legend(loc="upper left")


def _control(axes: Axes, fits: pd.DataFrame, network: pd.DataFrame) -> None:
    chosen = fits[fits["target"] == CONTROL]
    for index, dim in enumerate(_dims(chosen)):
        look = series(index)
        cells = chosen[chosen["target.input_dim"] == dim]
        for depth, fill in ((1, look["color"]), (2, "white")):
            _points(
                axes,
                cells[cells["depth"] == depth],
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
    axes.legend(loc="lower left")


def _floored(table: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """All finished fits, not only those of the chosen learning rate, that have a positive floor."""
    measured = compared(finished(table), floor)
    return measured[measured["floor"] > 0]


def _separated(floor: pd.DataFrame, network: pd.DataFrame) -> list[int]:
    """Dimensions from which on the explicit network with two layers is guaranteed what one needs more neurons for.

    Its guarantee is met by the largest K(eps) tabulated for an error of at least as much.
    """
    explicit = network[network["target"] == WAVE].set_index("input_dim")
    needed = floor[(floor["order"] == 2) & floor["relative_error"].notna()]
    fewer = []
    for dim, row in explicit.iterrows():
        known = needed[(needed["input_dim"] == dim) & (needed["relative_error"] >= row["relative_bound"])]
        if not known["num_neurons"].max() > row["num_neurons"]:
            fewer.append(dim)
    return [dim for dim in explicit.index if dim > max(fewer, default=0)]


def growth(floor: pd.DataFrame, network: pd.DataFrame) -> tuple[float, float]:
    """By how much a dimension multiplies K(0.01), under the law of order 2; power of d of the explicit neurons."""
    needed = floor[(floor["order"] == 2) & (floor["relative_error"] == 0.01)].set_index("input_dim")["num_neurons"]
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
    explicit = network[(network["target"] == WAVE) & (network["input_dim"] == dim)]
    dims = f"from d = {min(separated)} on" if separated else "in no dimension tried"
    factor, power = growth(floor, network)
    state = "held" if separated and under.empty and factor > 1.5 and power < 3 else "not held"
    if under.empty and not (math.isfinite(factor) and math.isfinite(power)):
        state = "open"
    sentence = (
        f"the neurons that one hidden layer needs for 1 % error grow by {factor:.2f} times with each dimension, those "
        f"of the explicit network with two like d^{power:.1f}; {dims} it is smaller than any network with one that "
        f"is as accurate as it is guaranteed to be; {len(past)} of {len(two)} trained networks with two layers beat "
        "every network with one and as many neurons"
    )
    quantity = f"relative squared error, d = {dim}: floor and best fit with one hidden layer"
    if len(widest):
        quantity += f" of {widest['num_neurons'].iloc[0]:.0f} neurons"
    if len(explicit):
        quantity += f", construction with two, {explicit['num_neurons'].iloc[0]:.0f} neurons"
    return Verdict(
        state,
        sentence,
        quantity,
        widest["floor"].iloc[0] if len(widest) else None,
        widest["relative"].min() if len(widest) else None,
        explicit["relative_error"].iloc[0] if len(explicit) else None,
        len(measured),
        check=floor_check(len(under), len(measured)),
        short=f"a radial wave takes one hidden layer {factor:.1f} times more neurons with each dimension, two of them "
        f"like d^{power:.1f}"
        if state == "held"
        else "",
    )


def caption(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> str:
    """What is drawn, how many fits, and whether the claim held, computed from the tables."""
    fits = drawn(table, floor)
    measured, separated = _floored(table, floor), _separated(floor, network)
    under, explicit = under_floor(measured), network[network["target"] == WAVE]
    checked = (
        f"none of {len(measured)} trained networks with one hidden layer and a positive floor lies under it"
        if under.empty
        else f"{len(under)} of {len(measured)} trained networks lie under their floor, which is a defect"
    )
    gap = f"from d = {min(separated)} on" if separated else "in none of these dimensions"
    past, two = past_one_layer(fits, floor), finished(fits[(fits["target"] == WAVE) & (fits["depth"] == 2)])
    dims = ", ".join(map(str, sorted(past["target.input_dim"].unique())))
    shown = f" (d = {dims})" if dims else ""
    steps, rates = table["num_steps"].max(), sorted(table["learning_rate"].unique())
    cells = fits.groupby(["target", "target.input_dim", "depth", "width"]).size()
    lost = len(fits) - len(finished(fits))
    return (
        f"Depth separation for the wave cos(3t) of the radius (Eldan and Shamir 2016): {checked}. "
        "For 1 % of E g^2 one hidden layer needs more neurons than the explicit network with two hidden layers has "
        f"{gap}; the explicit networks' measured errors are at most {explicit['relative_error'].max():.2g}. "
        f"{len(past)} of {len(two)} trained networks with two hidden layers beat every network with one hidden layer "
        f"and as many neurons{shown}. "
        "(a) Lines: certified floor over all networks with one hidden layer, any weights, under the law of order 2; "
        f"markers: trained. (b) The same beside two hidden layers, d = {telling_dim(fits, floor)}, the largest "
        "where training shows a separation, if it does in any; trained networks above the explicit one, if no "
        "narrower in either layer, are left there by training. (c) K(eps): fewer neurons in one hidden layer cannot "
        "reach relative squared error eps; solid, the paper's law; dotted, order 2. (d) A 1-Lipschitz radial target: "
        "one hidden layer suffices; lines: explicit, one hidden layer. "
        f"Markers: median over n = {cells.min()} initialisations, bars their range"
        f"{f' ({lost} of {len(fits)} failed or diverged and are left out)' if lost else ''}; {steps} steps of Adam, "
        f"learning rate of {', '.join(f'{rate:g}' for rate in rates)} chosen by training loss."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
