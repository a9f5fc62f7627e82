"""Indicator of a ball: floors, explicit and trained networks of one, two and three hidden layers; and a control.

Draws results/<scale>/ball_indicator.csv with .floor.csv, .network.csv and .needed.csv; see
experiments/ball_indicator.py.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from widththeory import command
from widththeory.estimates import finished, select_learning_rate, span
from widththeory.plotting import CONSTRUCTION, FLOOR, TEXT_WIDTH, number_ticks, series
from widththeory.verdicts import HELD, Verdict, counted, floor_check, floors_kept

BALL, PAPER, CONTROL = "ball_under_law.BallUnderLaw", "safran_shamir.BallIndicator", "radial_control.Norm"
CELL = ["target", "target.input_dim", "depth", "width"]
SIZE = ["target", "input_dim", "depth", "width"]
NARROW: dict[str, Any] = {
    "color": "0.45",
    "linewidth": 3.0,
    "solid_capstyle": "butt",
    "label": "certified floor, any depth, width below $d$",
}
TOLERANCE = 4  # standard errors of a measured error that may lie under a floor before it counts as a defect


def drawn(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> pd.DataFrame:
    """The chosen fits: relative squared error beside the floor and the explicit network of their size, if known."""
    return compared(select_learning_rate(table, by=CELL), floor, network)


def compared(fits: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> pd.DataFrame:
    """Fits, chosen or not, with floor and explicit network; an explicit one counts for greater depths too."""
    named = {"input_dim": "target.input_dim"}
    fits = fits.merge(floor.rename(columns=named)[[*CELL, "relative_floor"]], on=CELL, how="left")
    known = network.rename(columns={**named, "depth": "least_depth", "relative_error": "explicit"})
    places = ["target", "target.input_dim", "width"]
    fits = fits.merge(known[[*places, "least_depth", "explicit"]], on=places, how="left")
    exact = floor.groupby(["target", "input_dim"])["variance"].first()  # every dimension has a narrow width
    scale = np.array([exact[key] for key in zip(fits["target"], fits["target.input_dim"], strict=True)])
    fits = fits.assign(
        num_neurons=fits["width"] * fits["depth"],
        explicit=fits["explicit"].where(fits["depth"] >= fits["least_depth"]),
        relative=fits["test_mse"] / scale,
        relative_stderr=fits["test_mse_stderr"] / scale,
    )
    kept = [*CELL, "num_neurons", "seed", "learning_rate", "relative", "relative_stderr", "relative_floor", "explicit"]
    return fits[[*kept, "status", *(["diverged"] if "diverged" in fits else [])]]


def under_floor(fits: pd.DataFrame) -> pd.DataFrame:
    """Fits that lie under their certified floor by more than the error of their measurement: defects."""
    return fits[fits["relative"] + TOLERANCE * fits["relative_stderr"] < fits["relative_floor"]]


def past_one_layer(fits: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """Trained networks with more layers under the floor of one hidden layer with as many neurons: separation."""
    deep = finished(fits[(fits["target"] == BALL) & (fits["depth"] > 1)])
    rows = floor[(floor["target"] == BALL) & (floor["depth"] == 1) & (floor["one_layer"] > 0)]
    least = []
    for dim, width, depth in zip(deep["target.input_dim"], deep["width"], deep["depth"], strict=True):
        # the floor falls with the number of neurons, so that the next tabulated number above is a floor here too
        above = rows[(rows["input_dim"] == dim) & (rows["width"] >= width * depth)]
        least.append(above["one_layer"].max() if len(above) else 0.0)
    return deep[deep["relative"] + TOLERANCE * deep["relative_stderr"] < least]


def telling_dim(fits: pd.DataFrame, target: str = BALL) -> int:
    """The largest dimension in which a target was fitted, or any if that one was not."""
    own = fits[fits["target"] == target]
    return int((fits if own.empty else own)["target.input_dim"].max())


def figure(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame, needed: pd.DataFrame) -> Figure:
    """Four panels: error against width with every floor; neurons against dimension; the source's law; the control."""
    fits = drawn(table, floor, network)
    picture = Figure(figsize=(TEXT_WIDTH, 5.4), layout="constrained")
    title = "Indicator of a ball: two hidden layers go under the floor of one; for $|x|$ one suffices"
    picture.suptitle(title, size=9.5)
    panels: Any = picture.subplots(2, 2)
    dims = {target: telling_dim(fits, target) for target in (BALL, PAPER, CONTROL)}
    _errors(panels[0, 0], fits, floor, network, BALL, f"(a) ball, law with a floor, $d={dims[BALL]}$")
    _needed(panels[0, 1], needed)
    _errors(panels[1, 0], fits, floor, network, PAPER, f"(c) ball, norm uniform on $[0, 2]$, $d={dims[PAPER]}$")
    _errors(panels[1, 1], fits, floor, network, CONTROL, f"(d) control $|x|$, $d={dims[CONTROL]}$")
    _ball_beside(panels[1, 1], floor, dims[CONTROL])
    handles = {
        label: handle
        for axes in (panels[1, 0], panels[0, 0], panels[1, 1])
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    picture.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=7.5)
    return picture


def layers(depth: int) -> str:
    """1 hidden layer, 2 hidden layers."""
    return f"{depth} hidden layer{'s' if depth > 1 else ''}"


def _errors(
    axes: Axes, fits: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame, target: str, title: str
) -> None:
    """Errors by number of neurons where one hidden layer has a floor, which is by neurons; else by width."""
    by, dim = "num_neurons" if target == BALL else "width", telling_dim(fits, target)
    cells = fits[(fits["target"] == target) & (fits["target.input_dim"] == dim)]
    sizes = fits if cells.empty else cells  # of a target that is not fitted yet, floor and explicit network are shown
    widest = 1.25 * sizes[by].max()
    rows = floor[(floor["target"] == target) & (floor["input_dim"] == dim) & (floor["width"] <= widest)]
    rows = rows[rows["depth"] == 1].sort_values("width")
    if target == BALL:
        least, look = rows.set_index("width")["relative_floor"], {**FLOOR, "label": "certified floor, 1 hidden layer"}
    else:
        least, look = rows.set_index("width")["narrow"], {**NARROW}
    axes.plot(least.index, least, **look)
    known = network[(network["target"] == target) & (network["input_dim"] == dim)].sort_values(by)
    known = known[known[by] <= widest]
    name = "explicit, 1 hidden layer" if target == CONTROL else "explicit, 2 hidden layers (cap: guaranteed)"
    line = {**CONSTRUCTION, "label": name, "markerfacecolor": "white" if target == CONTROL else None}
    up = np.maximum(known["relative_bound"] - known["relative_error"], 0)
    if target == CONTROL:  # its guarantee is its error, exactly
        axes.plot(known[by], known["relative_bound"], **line)
    else:
        axes.errorbar(known[by], known["relative_error"], [0 * up, up], capsize=2.5, elinewidth=0.9, **line)
    shown = [least, known["relative_error"], known["relative_bound"]]
    depths = sorted(cells["depth"].unique().tolist())
    for index, depth in enumerate(depths):
        groups = finished(cells[cells["depth"] == depth]).groupby(by)["relative"]
        middle, low, high = groups.median(), groups.min(), groups.max()
        look = {**series(index), "linestyle": "none"}
        place = middle.index * 1.06 ** (index - 1)
        axes.errorbar(
            place, middle, [middle - low, high - middle], elinewidth=0.7, label=f"trained, {layers(depth)}", **look
        )
        shown += [low, high]
    tried = sorted(sizes["width"].unique().tolist())
    axes.set(xscale="log", yscale="log", ylabel="relative squared error", title=title)
    axes.set(xlabel="number of neurons" if target == BALL else "width")
    values = pd.concat(shown)
    axes.set(xlim=(min(1, tried[0]) * 0.85, widest), ylim=(values.min() / 1.6, 1.4 * values.max()))
    number_ticks(axes.xaxis, [1, *tried] if len(tried) <= 8 else [1, *tried[:: len(tried) // 6]])


def _ball_beside(axes: Axes, floor: pd.DataFrame, dim: int) -> None:
    """The floor of the ball, dotted as it is none for what the panel shows."""
    rows = floor[(floor["target"] == BALL) & (floor["input_dim"] == dim) & (floor["depth"] == 1)].sort_values("width")
    rows = rows[rows["width"] <= axes.get_xlim()[1]]
    look: dict[str, Any] = {"color": "0.3", "linewidth": 1.0, "linestyle": (0, (1, 1.5))}
    axes.plot(rows["width"], rows["one_layer"], **look, label="floor of the ball, 1 hidden layer")


def _needed(axes: Axes, needed: pd.DataFrame) -> None:
    for index, (relative_error, rows) in enumerate(sorted(needed.groupby("relative_error"), reverse=True)):
        rows, marker = rows.sort_values("input_dim"), series(index)["marker"]
        one = {**FLOOR, "linewidth": 1.2, "marker": marker, "label": f"{relative_error:g}"}
        axes.plot(rows["input_dim"], rows["one_layer"], **one)
        two = {**CONSTRUCTION, "linewidth": 0.9, "marker": marker, "markersize": 3, "label": None}
        axes.plot(rows["input_dim"], rows["two_layers"], **two)
    dims = sorted(needed["input_dim"].unique().tolist())
    axes.set(xscale="log", yscale="log", xlabel="input dimension $d$", ylabel="neurons")
    number_ticks(axes.xaxis, dims if len(dims) <= 8 else [dim for dim in dims if dim & (dim - 1) == 0])
    axes.set_title("(b) needed in 1 hidden layer (solid), enough in 2")
    axes.legend(loc="upper left", title="relative squared error", title_fontsize=7.5)


def gains(fits: pd.DataFrame, target: str) -> float:
    """By how much two hidden layers divide the median error of one with as many neurons, the most that both have."""
    cells = finished(fits[(fits["target"] == target) & (fits["target.input_dim"] == telling_dim(fits, target))])
    middle = cells.groupby(["num_neurons", "depth"])["relative"].median().unstack("depth")
    both = middle.reindex(columns=[1, 2]).dropna()
    return float(both[1].iloc[-1] / both[2].iloc[-1]) if len(both) else float("nan")


def _rival(floor: pd.DataFrame, network: pd.DataFrame, dim: int) -> tuple[pd.Series | None, float]:
    """Narrowest explicit network surely under the floor of one hidden layer of its many neurons, and that floor."""
    known = network[(network["target"] == BALL) & (network["input_dim"] == dim)].sort_values("width")
    rows = floor[(floor["target"] == BALL) & (floor["input_dim"] == dim) & (floor["depth"] == 1)]
    for _, row in known.iterrows():
        above = rows.loc[rows["width"] >= row["num_neurons"], "one_layer"]
        if len(above) and row["relative_bound"] < above.max():
            return row, float(above.max())
    return None, 0.0


def easy(network: pd.DataFrame, floor: pd.DataFrame, dim: int, widest: int) -> pd.Series | None:
    """The explicit network of one hidden layer for |x|, at most so wide, farthest under the ball's floor."""
    known = network[(network["target"] == CONTROL) & (network["input_dim"] == dim) & (network["width"] <= widest)]
    rows = floor[(floor["target"] == BALL) & (floor["input_dim"] == dim) & (floor["depth"] == 1)]
    both = known.merge(rows[["width", "one_layer"]], on="width")
    both = both[both["relative_bound"] < both["one_layer"]]
    return None if both.empty else both.loc[(both["relative_bound"] / both["one_layer"]).idxmin()]


def _widest(fits: pd.DataFrame) -> int:
    """The widest single hidden layer that the control was fitted with, 0 without one."""
    return max(fits.loc[(fits["target"] == CONTROL) & (fits["depth"] == 1), "width"].tolist(), default=0)


def _sure(rival: pd.Series | None, least: float) -> str:
    if rival is None:
        return "no explicit network of the widths tried is guaranteed to go under the floor of one hidden layer"
    return (
        f"{rival['num_neurons']:.0f} neurons in two hidden layers are guaranteed to leave at most "
        f"{rival['relative_bound']:.2g} of the variance ({rival['relative_error']:.2g} measured) where as many in one "
        f"cannot leave less than {least:.2g}"
    )


def _level(row: pd.Series | None) -> str:
    if row is None:
        return "no explicit network of the widths tried shows that |x| is easy for one"
    return (
        f"for |x|, without a jump, an explicit hidden layer of width {row['width']:.0f} leaves "
        f"{row['relative_bound']:.2g}, where the floor of the ball is {row['one_layer']:.2g}"
    )


def verdict(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> Verdict:
    """Held where guaranteed errors of two layers are under the floor of one, no fit under its own, |x| is easy.

    "not held" where a fit is under its floor. That none of the networks tried shows the others refutes nothing: "open".
    """
    fits, measured = drawn(table, floor, network), compared(finished(table), floor, network)
    measured = measured[measured["relative_floor"] > 0]
    dim, under = telling_dim(fits), under_floor(measured)
    rival, least = _rival(floor, network, dim)
    one = finished(fits[(fits["target"] == BALL) & (fits["target.input_dim"] == dim) & (fits["depth"] == 1)])
    best = one.sort_values(["width", "relative"], ascending=[False, True]).iloc[0] if len(one) else None
    level = easy(network, floor, dim, _widest(fits))
    sentence = f"in d = {dim}, {_sure(rival, least)}; {_level(level)}"
    ball, control = gains(fits, BALL), gains(fits, CONTROL)
    if np.isfinite([ball, control]).all():
        sentence += f"; at equal neurons a second layer divides the median trained error by {ball:.2g} for the ball, "
        sentence += f"{control:.2g} for |x|"
    state = "not held" if len(under) else "open" if rival is None or level is None else "held"
    two, explicit = network[(network["target"] == BALL) & (network["input_dim"] == dim)].sort_values("width"), None
    quantity = f"relative squared error, d = {dim}, one hidden layer; none was fitted"
    if best is not None:
        quantity = f"relative squared error, d = {dim}, one hidden layer of width {best['width']}"
        two = two[two["width"] <= best["width"]]
        explicit = two.iloc[-1] if len(two) else None
    if explicit is not None:
        quantity += (
            f"; construction with two, {explicit['num_neurons']} neurons, guaranteed "
            f"({explicit['relative_error']:.2g} measured)"
        )
    return Verdict(
        state,
        sentence,
        quantity,
        None if best is None else best["relative_floor"],
        None if best is None else best["relative"],
        None if explicit is None else explicit["relative_bound"],
        len(measured),
        check=floor_check(len(under), len(measured)),
    )


def caption(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame, needed: pd.DataFrame) -> str:
    """What is drawn, how many fits, and whether the claim held, computed from the tables."""
    fits, measured = drawn(table, floor, network), compared(finished(table), floor, network)
    measured = measured[measured["relative_floor"] > 0]  # all fits, not only those of the chosen learning rate
    under, past, dim = under_floor(measured), past_one_layer(fits, floor), telling_dim(fits)
    checked = floors_kept(len(under), len(measured))
    deep = finished(fits[(fits["target"] == BALL) & (fits["depth"] > 1)])
    rows = needed[needed["relative_error"] == needed["relative_error"].median()].sort_values("input_dim")
    last = rows.iloc[-1]
    lost, cells = len(fits) - len(finished(fits)), fits.groupby(CELL).size()
    gap = finished(fits[fits["target"] != CONTROL])
    known = gap[gap["explicit"].notna()]
    behind = known[known["relative"] > known["explicit"]]
    rates = ", ".join(f"{rate:g}" for rate in sorted(table["learning_rate"].unique()))
    held = HELD[verdict(table, floor, network).state]
    rival, least = _rival(floor, network, dim)
    sure = "no explicit network tried is guaranteed to go under the floor of one layer"
    if rival is not None:
        sure = f"{rival['num_neurons']:.0f} neurons in two layers guarantee {rival['relative_bound']:.2g}, where as "
        sure += f"many in one cannot go under {least:.2g}"
    level = easy(network, floor, dim, _widest(fits))
    smooth = (
        "" if level is None else f"; for |x| one layer of {level['width']:.0f} units has {level['relative_bound']:.2g}"
    )
    return (
        "A ball's indicator is dear for one hidden layer and cheap for two, |x| cheap for both (Safran and Shamir "
        f"2017, as recalled): the claim {held}. (a) Relative squared error, E (f - g)^2 / Var f, under Eldan and "
        f"Shamir's law. (c) The source's law: no floor known from width d on. Medians and ranges of n = {span(cells)} "
        f"seeds, {table['num_steps'].max()} steps of Adam (rate of {rates} by training loss)"
        f"{f'; {lost} of {len(fits)} fits failed or diverged' if lost else ''}. In d = {dim}, {sure}{smooth}; in d = "
        f"{last['input_dim']:.0f} one layer needs {last['one_layer']:.2g} neurons for {last['relative_error']:g}, two "
        f"{last['two_layers']:.0f}; {checked}{counted(len(past), len(deep), 'deeper ones go under that of one layer')}"
        f"{counted(len(behind), len(known), 'stay above explicit ones, an optimisation gap')}."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
