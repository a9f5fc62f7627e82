"""Sine of an inner product: floors, explicit and trained networks, and the norm certificate of one hidden layer.

Draws results/<scale>/daniely.csv with .floor.csv, .certificate.csv, .network.csv and .needed.csv; see
experiments/daniely.py.
"""

import math
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from widththeory import command
from widththeory.bounds.daniely_norm import neuron_norm_needed, polynomial_distance_squared
from widththeory.estimates import finished, select_learning_rate
from widththeory.plotting import CONSTRUCTION, TEXT_WIDTH, number_ticks, series
from widththeory.verdicts import Verdict, floor_check

TARGET = ["target.sphere_dim", "target.order"]
CELL = [*TARGET, "depth", "width"]
TOLERANCE = 4  # standard errors of a measured error that may lie under a floor before it counts as a defect
SMALLEST = 3e-3  # of the errors that are shown
REACHED = 0.5  # relative squared error of the target that is shown


@cache
def _moment(dim: int, order: float) -> float:
    return polynomial_distance_squared(dim, _frequency(dim, order), 0).value


def _frequency(dim: int, order: float) -> float:
    return math.pi * math.sqrt(dim) * order


def drawn(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> pd.DataFrame:
    """The chosen fits: relative squared error, its floors, the explicit network of that width; norms of one layer."""
    return compared(select_learning_rate(table, by=CELL), floor, network)


def compared(fits: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> pd.DataFrame:
    """Fits, chosen or not; `norm_floor` from the sum of the neurons' norms, `narrow` from a width below d."""
    named = {"sphere_dim": "target.sphere_dim", "order": "target.order"}
    narrow = floor.rename(columns={**named, "relative_floor": "narrow"})
    explicit = network.rename(columns={**named, "relative_error": "explicit"})
    fits = fits.merge(narrow, on=[*TARGET, "width"], how="left")
    fits = fits.merge(explicit[[*TARGET, "width", "explicit"]], on=[*TARGET, "width"], how="left")
    moment = np.array([_moment(int(dim), float(order)) for dim, order in fits[TARGET].itertuples(index=False)])
    fits = fits.assign(
        relative=fits["test_mse"] / moment,
        relative_stderr=fits["test_mse_stderr"] / moment,
        floor=fits[["narrow", "norm_floor"]].max(axis=1),
        explicit=fits["explicit"].where(fits["depth"] > 1),
    )
    kept = [*CELL, "seed", "learning_rate", "relative", "relative_stderr", "narrow", "norm_sum", "norm_floor", "floor"]
    return fits[[*kept, "explicit", "status", *(["diverged"] if "diverged" in fits else [])]]


def under_floor(fits: pd.DataFrame) -> pd.DataFrame:
    """Fits that lie under a floor by more than the error of their measurement: defects."""
    return fits[fits["relative"] + TOLERANCE * fits["relative_stderr"] < fits["floor"]]


def prices(fits: pd.DataFrame) -> pd.DataFrame:
    """One hidden layer: sum of the neurons' norms over the least sum that the error reached needs, at least 1."""
    better = fits["relative"] + TOLERANCE * fits["relative_stderr"] < 1  # than the constant, which needs no norm
    one = finished(fits[(fits["depth"] == 1) & better])
    sizes = one[[*TARGET, "relative"]].itertuples(index=False)
    needed = [neuron_norm_needed(int(dim), _frequency(dim, order), error).lower for dim, order, error in sizes]
    return one.assign(price=one["norm_sum"] / np.array(needed, dtype=float))


def telling_target(fits: pd.DataFrame) -> tuple[int, float]:
    """Dimension and order of the fastest sine of which two hidden layers found half; if of none, of the slowest."""
    speed = fits["target.order"] * np.sqrt(fits["target.sphere_dim"])
    found = finished(fits)
    found = found[(found["depth"] == 2) & (found["relative"] < REACHED)]
    index = speed[found.index].idxmax() if len(found) else speed.idxmin()
    return int(fits.loc[index, "target.sphere_dim"]), float(fits.loc[index, "target.order"])


def _of(rows: pd.DataFrame, target: tuple[int, float], names: tuple[str, str]) -> pd.DataFrame:
    return rows[(rows[names[0]] == target[0]) & (rows[names[1]] == target[1])]


def layers(depth: int) -> str:
    """1 hidden layer, 2 hidden layers."""
    return f"{depth} hidden layer{'s' if depth > 1 else ''}"


def figure(
    table: pd.DataFrame,
    floor: pd.DataFrame,
    certificate: pd.DataFrame,
    network: pd.DataFrame,
    needed: pd.DataFrame,
) -> Figure:
    """Four panels: error against width; error against the sum of norms; what an error needs against d; the price."""
    fits = drawn(table, floor, network)
    picture = Figure(figsize=(TEXT_WIDTH, 5.4), layout="constrained")
    title = r"$\sin(\pi\sqrt{d}\,m\langle x,x'\rangle)$: one hidden layer needs large neurons, two need few"
    picture.suptitle(title, size=9.5)
    panels: Any = picture.subplots(2, 2)
    _errors(panels[0, 0], fits, floor, network)
    _certificate(panels[0, 1], compared(finished(table), floor, network), certificate)
    _needed(panels[1, 0], needed)
    _price(panels[1, 1], fits)
    return picture


def _errors(axes: Axes, fits: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> None:
    target = telling_target(fits)
    cells = _of(fits, target, ("target.sphere_dim", "target.order"))
    narrow = _of(floor, target, ("sphere_dim", "order")).sort_values("width")
    look: dict[str, Any] = {"color": "0.45", "linewidth": 3.0, "solid_capstyle": "butt"}
    axes.plot(narrow["width"], narrow["relative_floor"], label="floor, any depth, width below $d$", **look)
    widest = 1.5 * cells["width"].max()
    known = _of(network, target, ("sphere_dim", "order")).sort_values("width")
    known = known[(known["relative_error"] >= SMALLEST / 3) & (known["width"] <= widest)]
    axes.plot(known["width"], known["relative_error"], **{**CONSTRUCTION, "label": "explicit, 2 hidden layers"})
    for index, depth in enumerate(sorted(cells["depth"].unique().tolist())):
        groups = finished(cells[cells["depth"] == depth]).groupby("width")["relative"]
        middle, low, high = groups.median(), groups.min(), groups.max()
        look = {**series(index), "linestyle": "none", "label": f"trained, {layers(depth)}"}
        axes.errorbar(middle.index * 1.06 ** (index - 1), middle, [middle - low, high - middle], elinewidth=0.7, **look)
    tried = sorted(cells["width"].unique().tolist())
    axes.set(xscale="log", yscale="log", xlabel="width", ylabel="relative squared error", ylim=(SMALLEST, 2))
    axes.set_xlim(0.85, widest)
    number_ticks(axes.xaxis, [1, *tried] if len(tried) <= 8 else [1, *tried[:: len(tried) // 6]])
    axes.set_title(f"(a) error against width, $d={target[0]}$, $m={target[1]:g}$")
    axes.legend(loc="lower left", fontsize=7)


def _certificate(axes: Axes, measured: pd.DataFrame, certificate: pd.DataFrame) -> None:
    one = measured[measured["depth"] == 1]
    for index, target in enumerate(sorted(set(one[TARGET].itertuples(index=False, name=None)))):
        look = series(index)
        curve = _of(certificate, target, ("sphere_dim", "order")).sort_values("norm_sum")
        axes.plot(curve["norm_sum"], curve["relative_floor"], color=look["color"], linestyle=look["linestyle"])
        cells = _of(one, target, ("target.sphere_dim", "target.order"))
        name = f"$d={target[0]}$, $m={target[1]:g}$"
        style = {"color": look["color"], "marker": look["marker"], "linestyle": "none", "alpha": 0.7, "markersize": 3}
        axes.plot(cells["norm_sum"], cells["relative"], label=name, **style)
    low = one["norm_sum"].replace(0.0, np.nan).min()
    axes.set(xscale="log", ylim=(0, 1.1), xlim=(0.7 * low, None), xlabel="sum of the neurons' norms")
    axes.set(ylabel="relative squared error", title="(b) 1 hidden layer: certificate (lines), trained")
    axes.legend(loc="lower left", fontsize=7)


def _needed(axes: Axes, needed: pd.DataFrame) -> None:
    rows = needed[needed["relative_error"] == needed["relative_error"].min()]
    for index, (order, cells) in enumerate(rows.groupby("order")):
        look, cells = series(index), cells.sort_values("sphere_dim")
        label = f"1 hidden layer, norm, $m={order:g}$"
        axes.plot(cells["sphere_dim"], cells["norm_sum"], color=look["color"], marker=look["marker"], label=label)
        style = {"color": look["color"], "linestyle": CONSTRUCTION["linestyle"], "marker": "*", "markersize": 5}
        label = f"2 hidden layers, neurons, $m={order:g}$"
        axes.plot(cells["sphere_dim"], cells["two_layers"], label=label, **style)
    dims = sorted(rows["sphere_dim"].unique().tolist())
    axes.set(xscale="log", yscale="log", xlabel="dimension $d$ of each point", ylabel="norm, or neurons")
    number_ticks(axes.xaxis, dims)
    axes.set_title(f"(c) needed (solid) or enough (stars) for error {rows['relative_error'].iloc[0]:g}")
    axes.legend(loc="upper left", fontsize=7)


def _price(axes: Axes, fits: pd.DataFrame) -> None:
    one = prices(fits)
    for index, (target, cells) in enumerate(one.groupby(TARGET)):
        groups = cells.groupby("width")["price"]
        middle, low, high = groups.median(), groups.min(), groups.max()
        look = {**series(index), "linewidth": 0.8, "label": f"$d={target[0]}$, $m={target[1]:g}$"}
        axes.errorbar(middle.index, middle, [middle - low, high - middle], elinewidth=0.7, **look)
    axes.axhline(1.0, color="black", linewidth=1.6, label="certificate")
    tried = sorted(one["width"].unique().tolist())
    axes.set(xscale="log", yscale="log", xlabel="width", ylabel="sum of norms over the least")
    number_ticks(axes.xaxis, tried if len(tried) <= 8 else tried[:: len(tried) // 7])
    axes.set_title("(d) 1 hidden layer: norm used over norm needed")
    axes.legend(loc="best", fontsize=7)


def _exponents(needed: pd.DataFrame) -> tuple[float, float]:
    """At the least error and order 2: by how much a dimension multiplies the norm; the power of d of the neurons."""
    rows = needed[needed["relative_error"] == needed["relative_error"].min()]
    rows = rows[rows["order"] == rows["order"].max()].sort_values("sphere_dim")
    first, last = rows.iloc[-2], rows.iloc[-1]
    factor = (last["norm_sum"] / first["norm_sum"]) ** (1 / (last["sphere_dim"] - first["sphere_dim"]))
    power = math.log(last["two_layers"] / first["two_layers"]) / math.log(last["sphere_dim"] / first["sphere_dim"])
    return float(factor), power


def verdict(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame, needed: pd.DataFrame) -> Verdict:
    """Held where norms needed outgrow the explicit network's neurons, and no fit lies under a floor of its own."""
    fits, measured = drawn(table, floor, network), compared(finished(table), floor, network)
    floored = measured[measured["floor"] > 0]
    under, (factor, power) = under_floor(floored), _exponents(needed)
    target = telling_target(fits)
    cells = finished(_of(fits, target, ("target.sphere_dim", "target.order")))
    one = cells[cells["depth"] == 1]
    best = one.loc[one["relative"].idxmin()]
    sentence = (
        "the total weight of the neurons, the sum of |w_in| |w_out|, that one hidden layer needs (which is no count of "
        f"them) grows by {factor:.2f} times with each dimension, the neurons that are enough in two like d^{power:.1f}"
    )
    quantity = f"relative squared error, d = {target[0]}, m = {target[1]:g}, one hidden layer of width {best['width']}"
    state = "held" if under.empty and factor > 1.1 and power < 3 else "not held"
    least = best["norm_floor"] if best["norm_floor"] > 0 else None
    check = floor_check(len(under), len(floored))
    return Verdict(state, sentence, quantity, least, best["relative"], None, len(floored), check)


def caption(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame, needed: pd.DataFrame) -> str:
    """What is drawn, how many fits, and whether the claim held, computed from the tables."""
    fits, measured = drawn(table, floor, network), compared(finished(table), floor, network)
    floored = measured[measured["floor"] > 0]  # all fits, not only those of the chosen learning rate
    under, one = under_floor(floored), measured[measured["depth"] == 1]
    checked = (
        f"none of {len(floored)} trained networks with a positive floor lies under it"
        if under.empty
        else f"{len(under)} of {len(floored)} trained networks lie under their floor, which is a defect"
    )
    spoken = int((one["norm_floor"] > 0).sum())
    factor, power = _exponents(needed)
    target, price = telling_target(fits), prices(fits)["price"]
    cells = finished(_of(fits, target, ("target.sphere_dim", "target.order")))
    best = cells.groupby(["depth", "width"])["relative"].median().groupby("depth").min()
    reached = ", ".join(f"{best[depth]:.2g} with {layers(depth)}" for depth in best.index)
    known = finished(fits[fits["explicit"].notna()])
    behind = known[known["relative"] > known["explicit"]]
    lost, counts = len(fits) - len(finished(fits)), fits.groupby(CELL).size()
    rates = ", ".join(f"{rate:g}" for rate in sorted(table["learning_rate"].unique()))
    held = "holds" if verdict(table, floor, network, needed).state == "held" else "does not hold"
    error = needed["relative_error"].min()
    return (
        "sin(pi sqrt(d) m <x, x'>) on two spheres (Daniely 2017). (a) No network whose first layer is narrower than d "
        "goes under the grey line, at any depth; for one hidden layer at least as wide no floor by width alone is "
        f"known, and none is drawn. Best medians: {reached}. (b) Theorem 3 bounds the error by the sum of the neurons' "
        f"norms (less their means): it says something about {spoken} of {len(one)} trained networks with one hidden "
        f"layer; {checked}, of either kind. (c) The separation {held}: for relative squared error {error:g} that sum "
        f"must grow by {factor:.2f} times a dimension, at the end and at the larger m, while explicit networks with "
        f"two hidden layers need neurons like d^{power:.1f}; as a count of neurons it is for norms of at most 1. (d) "
        f"Trained networks use {price.min():.2g} to {price.max():.2g} times the norm that their error needs, where it "
        f"is surely below that of the constant. Of {len(known)} trained networks with more layers whose width has an "
        f"explicit one, {len(behind)} stay above its error: an optimisation gap. "
        f"Markers: median and range of n = {counts.min()} initialisations in (a) and (d), all fits in (b)"
        f"{f' ({lost} of {len(fits)} fits failed or diverged)' if lost else ''}; {table['num_steps'].max()} steps of "
        f"Adam, rate of {rates} by training loss."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
