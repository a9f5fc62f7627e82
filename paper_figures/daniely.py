"""Sine of an inner product: floors, explicit and trained networks, and the norm certificate of one hidden layer.

Draws results/<scale>/daniely.csv with .floor.csv, .certificate.csv, .network.csv and .needed.csv; see
experiments/daniely.py.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from widththeory import command
from widththeory.bounds.daniely_norm import neuron_norm_needed, polynomial_distance_squared
from widththeory.estimates import finished, select_learning_rate, span
from widththeory.plotting import COLORS, CONSTRUCTION, FLOOR, MARKERS, TEXT_WIDTH, number_ticks, series
from widththeory.verdicts import HELD, Verdict, counted, floor_check, floors_kept

TARGET = ["target.sphere_dim", "target.order"]
CELL = [*TARGET, "depth", "width"]
TOLERANCE = 4  # standard errors of a measured error that may lie under a floor before it counts as a defect
SMALLEST = 3e-3  # of the errors that are shown
FAST = "sqrt(d)/2"  # the order of which the claim speaks: a frequency of pi d / 2
REACHED = 0.5  # relative squared error of the target that is shown
# Colours and markers of targets; the first ones, that they take first, are those of no depth.
TARGET_COLORS = (COLORS["purple"], COLORS["sky"], "0.35", COLORS["blue"], COLORS["orange"], COLORS["green"])
TARGET_MARKERS = ("v", "P", "D", "<", ">", "X")


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
    title = (
        r"$\sin(\pi\sqrt{d}\,m\langle x,x'\rangle)$: with $m\sim\sqrt{d}$ the weights of one hidden layer must grow "
    )
    title += "exponentially in $d$"
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
    look = {**FLOOR, "label": "floor, any depth, width below $d$"}
    axes.plot(narrow["width"], narrow["relative_floor"], **look)
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
        look = _target_look(index)
        curve = _of(certificate, target, ("sphere_dim", "order")).sort_values("norm_sum")
        axes.plot(curve["norm_sum"], curve["relative_floor"], color=look["color"])
        cells = _of(one, target, ("target.sphere_dim", "target.order"))
        name = f"$d={target[0]}$, $m={target[1]:g}$"
        axes.plot(cells["norm_sum"], cells["relative"], label=name, alpha=0.7, **{**look, "markersize": 3})
    axes.set(xscale="log", ylim=(0, 1.1), xlabel="sum of the neurons' $L_2$ norms")
    axes.set(ylabel="relative squared error", title="(b) 1 hidden layer: certificate (lines), trained")
    if len(one):
        axes.set_xlim(left=0.7 * one["norm_sum"].replace(0.0, np.nan).min())
        axes.legend(loc="lower left", fontsize=7)


def _target_look(index: int) -> dict[str, Any]:
    """Of the `index`-th target, where depth is one."""
    place = index % len(TARGET_COLORS)
    return {"color": TARGET_COLORS[place], "marker": TARGET_MARKERS[place], "linestyle": "none"}


def _least_error(needed: pd.DataFrame) -> pd.DataFrame:
    return needed[needed["relative_error"] == needed["relative_error"].min()].sort_values("sphere_dim")


def _needed(axes: Axes, needed: pd.DataFrame) -> None:
    rows = _least_error(needed)
    for marker, (law, cells) in zip(MARKERS, rows.groupby("order_law"), strict=False):
        axes.plot(
            cells["sphere_dim"], cells["path_norm"], **{**FLOOR, "linewidth": 1.2, "marker": marker, "label": None}
        )
        look = {**CONSTRUCTION, "marker": marker, "markersize": None, "label": None}
        axes.plot(cells["sphere_dim"], cells["two_layers_path_norm"], **look)
        name = r"$m=\sqrt{d}/2$" if law == FAST else f"$m={law}$"
        axes.plot([], [], color="0.45", linestyle="none", marker=marker, label=name)
    axes.plot([], [], **{**FLOOR, "linewidth": 1.2, "label": "1 hidden layer needs"})
    axes.plot([], [], **{**CONSTRUCTION, "marker": None, "label": "enough in 2 (explicit)"})
    axes.set(yscale="log", xlabel="dimension $d$ of each point", ylabel="path norm")
    dims = sorted(rows["sphere_dim"].unique().tolist())
    number_ticks(axes.xaxis, [dim for dim in dims if dim % 8 == 0] or dims)
    axes.set_title(f"(c) weights for relative squared error {rows['relative_error'].iloc[0]:g}")
    axes.legend(loc="upper left", fontsize=7)


def _price(axes: Axes, fits: pd.DataFrame) -> None:
    one = prices(fits)
    for index, (target, cells) in enumerate(one.groupby(TARGET)):
        groups = cells.groupby("width")["price"]
        middle, low, high = groups.median(), groups.min(), groups.max()
        look = {**_target_look(index), "label": f"$d={target[0]}$, $m={target[1]:g}$"}
        axes.errorbar(middle.index * 1.06 ** (index - 1), middle, [middle - low, high - middle], elinewidth=0.7, **look)
    axes.axhline(1.0, **{**FLOOR, "label": "certificate"})
    tried = sorted(one["width"].unique().tolist())
    axes.set(xscale="log", yscale="log", xlabel="width", ylabel="sum of $L_2$ norms over the least")
    axes.set_ylim(0.7, 8 * max(one["price"], default=1.0))  # room for the legend
    number_ticks(axes.xaxis, tried if len(tried) <= 8 else tried[:: len(tried) // 7])
    axes.set_title("(d) 1 hidden layer: norm used over norm needed")
    axes.legend(loc="upper left", ncols=2, fontsize=7)


@dataclass(frozen=True)
class Growth:
    """How path norms grow with d at the least error, over the lower half of the dimensions tried and over the upper.

    Args:
        dims: the least, the middle and the largest d.
        lower, upper: factor a dimension, over either half, of the path norm that one hidden layer needs.
        power: what `upper` would be if the power of d that explains `lower` went on.
        weights, neurons: powers of d, over the upper half, of the path norm and of the number of neurons that are
            enough in two layers.
        one, two: path norms at the largest d, needed by one hidden layer and enough in two.
    """

    dims: tuple[int, int, int]
    lower: float
    upper: float
    power: float
    weights: float
    neurons: float
    one: float
    two: float

    @property
    def exponential(self) -> bool:
        """Whether the upper factor is nearer to the lower one than to that of a power, by their logarithms."""
        return self.upper > math.sqrt(self.lower * self.power)


def growth(needed: pd.DataFrame, law: str = FAST) -> Growth:
    """Growth for one order of the sine."""
    rows = _least_error(needed)
    rows = rows[rows["order_law"] == law]
    ends = rows.iloc[[0, len(rows) // 2, -1]]
    start, middle, end = (int(dim) for dim in ends["sphere_dim"])

    def powers(column: str) -> tuple[float, float]:
        rises, steps = np.diff(np.log(ends[column])), np.diff(np.log([start, middle, end]))
        return float(rises[0] / steps[0]), float(rises[1] / steps[1])

    first, last = powers("path_norm")
    return Growth(
        (start, middle, end),
        (middle / start) ** (first / (middle - start)),
        (end / middle) ** (last / (end - middle)),
        (end / middle) ** (first / (end - middle)),
        powers("two_layers_path_norm")[1],
        powers("two_layers")[1],
        float(ends["path_norm"].iloc[-1]),
        float(ends["two_layers_path_norm"].iloc[-1]),
    )


def verdict(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame, needed: pd.DataFrame) -> Verdict:
    """Held where one layer's weights grow exponentially, two layers' like a power, and no fit lies under a floor."""
    measured = compared(finished(table), floor, network)
    floored = measured[measured["floor"] > 0]
    under, found = under_floor(floored), growth(needed)
    start, middle, end = found.dims
    sentence = (
        "where the frequency is pi d / 2, the path norm that one hidden layer needs grows by "
        f"{found.upper:.2f} times with each dimension from d = {middle} to {end} ({found.lower:.2f} times from {start} "
        f"to {middle}, of which a power of d would leave {found.power:.2f}), the one that is enough in two like "
        f"d^{found.weights:.1f}, with neurons like d^{found.neurons:.1f}"
    )
    quantity = (
        "path norm (sum over all paths of the product of |weights|) for relative squared error "
        f"{needed['relative_error'].min():g}, d = {end}, frequency pi d / 2: floor of one hidden layer, construction "
        "with two"
    )
    state = "held" if under.empty and found.exponential and found.weights < 4 and found.neurons < 3 else "not held"
    check, certified = floor_check(len(under), len(floored)), int((measured["norm_floor"] > 0).sum())
    check += f", {certified} of them with one hidden layer and a floor by its norms" * bool(len(floored))
    return Verdict(state, sentence, quantity, found.one, None, found.two, len(floored), check)


def caption(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame, needed: pd.DataFrame) -> str:
    """What is drawn, how many fits, and whether the claim held, computed from the tables."""
    fits, measured = drawn(table, floor, network), compared(finished(table), floor, network)
    floored = measured[measured["floor"] > 0]  # all fits, not only those of the chosen learning rate
    under = under_floor(floored)
    checked = floors_kept(len(under), len(floored))
    known = finished(fits[fits["explicit"].notna()])
    behind = known[known["relative"] > known["explicit"]]
    lost, counts = len(fits) - len(finished(fits)), fits.groupby(CELL).size()
    rates = ", ".join(f"{rate:g}" for rate in sorted(table["learning_rate"].unique()))
    held = HELD[verdict(table, floor, network, needed).state]
    found = growth(needed)
    fixed = {law: growth(needed, law) for law in sorted(set(needed["order_law"]) - {FAST})}
    falls = ", ".join(f"from {slow.lower:.2f} to {slow.upper:.2f} for m = {law}" for law, slow in fixed.items())
    return (
        "A sine as fast as the dimension d asks one hidden layer for weights exponential in d, two for a power "
        f"(Daniely 2017): the claim {held}. (a, b) Relative squared error, E (f - g)^2 / Var f; lines in (b): Theorem "
        "3. (c) Path norm: sum over paths of the product of |weights|. Markers: median and range of n = "
        f"{span(counts)} seeds, (b) all fits; {table['num_steps'].max()} steps of Adam (rate of {rates} by training "
        f"loss){f'; {lost} of {len(fits)} fits failed or diverged' if lost else ''}. For m = sqrt(d)/2 one layer's "
        f"norm grows by {found.lower:.2f} times a dimension up to d = {found.dims[1]}, {found.upper:.2f} beyond "
        f"(falling {falls}), two layers' like d^{found.weights:.1f}; {checked}"
        f"{counted(len(behind), len(known), 'deeper stay above explicit ones, an optimisation gap')}. The bound is on "
        "weights, not widths."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
