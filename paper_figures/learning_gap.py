"""Learning gap: what initial gradients see of a sawtooth, what training finds of it, and from where it finds back.

Draws results/<scale>/learning_gap.csv with .gradient.csv, .pieces.csv, .returns.csv; see experiments/learning_gap.py.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from widththeory import command
from widththeory.estimates import finished, select_learning_rate, span
from widththeory.plotting import CEILING, CONSTRUCTION, TEXT_WIDTH, number_ticks, series
from widththeory.verdicts import HELD, Verdict, counted

CELL = ["target.num_folds", "width"]
START = ["num_folds", "distance"]
ROUNDING = 1e-9  # relative; errors of fits are exact up to some 1e-12, floors are rounded down
SEEN_ROUNDING = 1e-26  # of squared gradients of size up to 1e4, each a sum of some thousand roundings
REACHED = 0.5  # the share of the variance that counts as found
BACK = 0.01  # the share that may be left after the way back
LOOKS = (0, 1, 2, 4, 5, 6)  # of `series`; the colour of 3 is that of explicit networks
START_MARKERS = ("D", "X", "p", "<", ">", "h")  # of folds, which no width has


def drawn(table: pd.DataFrame, pieces: pd.DataFrame) -> pd.DataFrame:
    """The chosen fits: relative squared error, exact, and the affine pieces that training ended with."""
    return compared(select_learning_rate(table, by=CELL), pieces)


def compared(fits: pd.DataFrame, pieces: pd.DataFrame) -> pd.DataFrame:
    """Fits, chosen or not, beside the floor of the pieces they have; that of their size is zero."""
    fits = fits.assign(relative=12 * fits["exact_l2_error"] ** 2)
    fits = fits.merge(pieces, on=[*CELL, "seed", "learning_rate"], how="left")
    kept = [*CELL, "seed", "learning_rate", "relative", "num_pieces", "pieces_floor", "status"]
    return fits[[*kept, *(["diverged"] if "diverged" in fits else [])]]


def under_floor(fits: pd.DataFrame) -> pd.DataFrame:
    """Fits under the floor of as many pieces as they have: defects."""
    return fits[fits["relative"] < fits["pieces_floor"] * (1 - ROUNDING)]


def over_bound(gradient: pd.DataFrame) -> pd.DataFrame:
    """Initial networks whose gradient sees more than the bound: defects."""
    return gradient[gradient["seen"] > gradient["bound"] * (1 + ROUNDING) + SEEN_ROUNDING]


def dead(gradient: pd.DataFrame) -> pd.DataFrame:
    """A row a width and number of folds: initial networks whose gradient sees nothing, of how many, and if `drawn`.

    The mean says little where half of them see nothing: from there on a width is not drawn.
    """
    groups = gradient.assign(none=gradient["seen"] == 0).groupby(["width", "num_folds"])["none"]
    counts = groups.agg(dead="sum", of="size").reset_index()
    counts["drawn"] = (2 * counts["dead"] < counts["of"]).groupby(counts["width"]).cummin()
    return counts


def fall(gradient: pd.DataFrame) -> float:
    """By what factor the root mean square of what the widest networks see falls, a fold."""
    widest = gradient[gradient["width"] == gradient["width"].max()]
    squares = widest.groupby("num_folds")["seen"].mean()
    squares = squares[squares > 0]
    return float(2 ** -np.polyfit(squares.index, np.log2(squares) / 2, 1)[0])


def chosen_returns(returns: pd.DataFrame) -> pd.DataFrame:
    """The starts at the learning rate of least median training loss, a number of folds and distance."""
    return select_learning_rate(returns, by=START)


def basin(returns: pd.DataFrame) -> pd.Series:
    """For each number of folds the largest distance up to which the median of the errors after descent is small."""
    found = {}
    for count, rows in chosen_returns(returns).groupby("num_folds"):
        middle = rows.groupby("distance")["after"].median().sort_index()
        lost = middle.index[~(middle <= BACK)]
        near = middle.index[middle.index < (lost.min() if len(lost) else np.inf)]
        if len(near):
            found[count] = float(near.max())
    return pd.Series(found, dtype=float)


def figure(table: pd.DataFrame, gradient: pd.DataFrame, pieces: pd.DataFrame, returns: pd.DataFrame) -> Figure:
    """Initial gradients and errors after training above; pieces found and the way back below."""
    fits = drawn(table, pieces)
    picture = Figure(figsize=(TEXT_WIDTH, 5.0), layout="constrained")
    title = "Networks of $k$ layers can be the sawtooth of $k$ folds; gradient descent hardly sees it, nor finds it"
    picture.suptitle(title, size=9.5)
    panels: Any = picture.subplots(2, 2)
    _gradients(panels[0, 0], gradient)
    _errors(panels[0, 1], fits)
    _pieces(panels[1, 0], fits)
    _returns(panels[1, 1], returns)
    return picture


def _gradients(axes: Axes, gradient: pd.DataFrame) -> None:
    counts, lowest = dead(gradient), np.inf
    widths = sorted(gradient["width"].unique())
    for index, width in enumerate(widths):
        shown = counts.loc[(counts["width"] == width) & counts["drawn"], "num_folds"]
        squares = gradient[gradient["width"] == width].groupby("num_folds")[["seen", "bound"]].mean().loc[shown]
        look = {**series(LOOKS[index % len(LOOKS)]), "linestyle": "none"}
        name = f"width {width}" + (
            "" if counts.loc[counts["width"] == width, "drawn"].all() else ", till half see nothing"
        )
        axes.plot(_beside(squares.index, index, len(widths)), squares["seen"], label=name, **look)
        axes.plot(squares.index, squares["bound"], **{**CEILING, "color": look["color"]})
        lowest = min([lowest, *squares["seen"]])
    total = gradient.groupby("num_folds")["total"].median()
    axes.plot(total.index, total, color="0.5", linestyle=":", label="whole gradient")
    axes.plot([], [], **CEILING, label="certified bound")
    axes.set(yscale="log", xlabel="folds $k$ = hidden layers", ylabel="mean square of the gradient")
    axes.set_ylim(lowest / 1000, 4 * total.max())  # the legend has the corner under small k, where nothing is
    number_ticks(axes.xaxis, sorted(gradient["num_folds"].unique().tolist()))
    axes.set_title("(a) what initial gradients see of the sawtooth")
    axes.legend(loc="lower left", fontsize=7)


def _beside(folds: pd.Index, index: int, count: int) -> pd.Index:
    """Where the `index`-th of several widths is drawn, so that they do not hide each other."""
    return folds + 0.12 * (index - (count - 1) / 2)


def _spread(axes: Axes, cells: pd.DataFrame, y: str, index: int, count: int, **look: Any) -> None:
    """Median over seeds, with their range."""
    groups = cells.groupby("target.num_folds")[y]
    middle, low, high = groups.median(), groups.min(), groups.max()
    place = _beside(middle.index, index, count)
    axes.errorbar(place, middle, [middle - low, high - middle], capsize=1.5, elinewidth=0.7, **look)


def _each_width(axes: Axes, fits: pd.DataFrame, y: str) -> list[int]:
    folds, fits = sorted(fits["target.num_folds"].unique().tolist()), finished(fits)
    widths = sorted(fits["width"].unique())
    for index, width in enumerate(widths):
        look = {**series(LOOKS[index % len(LOOKS)]), "linewidth": 0.6, "linestyle": "-"}
        _spread(axes, fits[fits["width"] == width], y, index, len(widths), **look)
    number_ticks(axes.xaxis, folds)
    axes.set_xlabel("folds $k$ = hidden layers")
    return folds


def _errors(axes: Axes, fits: pd.DataFrame) -> None:
    folds = _each_width(axes, fits, "relative")
    axes.plot(folds, np.zeros(len(folds)), **{**CONSTRUCTION, "label": None})
    axes.axhline(1.0, color="0.5", linestyle=":", linewidth=1.0)
    _say(axes, folds[-1] + 0.3, 0.0, "explicit, width 2")
    _say(axes, folds[0], 1.0, "best constant", "left")
    axes.set(ylabel="relative squared error", ylim=(-0.06, 1.15), yticks=(0, 0.5, 1))
    axes.set_title("(b) error after training, widths as in (a)")


def _say(axes: Axes, x: float, y: float, text: str, side: str = "right") -> None:
    axes.annotate(text, (x, y), xytext=(0, 4), textcoords="offset points", ha=side, va="bottom", fontsize=7.5)


def _pieces(axes: Axes, fits: pd.DataFrame) -> None:
    folds = _each_width(axes, fits, "num_pieces")
    needed = [2**count for count in folds]
    axes.plot(folds, needed, **{**CONSTRUCTION, "label": "sawtooth, explicit network"})
    top = 6 * max(*needed, fits["num_pieces"].max())
    axes.set(yscale="log", ylabel="affine pieces on $[0, 1]$", ylim=(0.8, top))
    number_ticks(axes.yaxis, [count for count in (1, 4, 16, 64, 256, 1024, 4096) if count < top])
    axes.set_title("(c) pieces that training ended with, widths as in (a)")
    axes.legend(loc="upper left", fontsize=7)


def _returns(axes: Axes, returns: pd.DataFrame) -> None:
    """Shades of the colour of width 2, darker for more folds."""
    chosen = chosen_returns(returns)
    least, counts = max(chosen["after"].min(), 1e-12), sorted(chosen["num_folds"].unique())
    shades = colormaps["Blues"](np.linspace(0.5, 1, len(counts)))
    for index, count in enumerate(counts):
        rows = chosen[chosen["num_folds"] == count]
        look = {"color": shades[index], "marker": START_MARKERS[index % len(START_MARKERS)]}
        groups = rows.groupby("distance")
        middle, before = groups["after"].median(), groups["before"].median()
        axes.plot(before.index, before, color=look["color"], linestyle=":", linewidth=1.0)
        axes.plot(middle.index, middle, **{**look, "linestyle": "-", "linewidth": 0.9, "label": f"$k={count}$"})
    axes.axhline(1.0, color="0.5", linestyle=":", linewidth=1.0)
    axes.set(xscale="log", yscale="log", xlabel="distance of the start from the explicit weights, relative")
    axes.set(ylabel="relative squared error", ylim=(least / 3, 1e3 * chosen["before"].max()))
    axes.set_title("(d) before (dotted) and after descent, width 2")
    axes.legend(loc="upper left", fontsize=7, ncols=4, columnspacing=1.2)


def _floored(table: pd.DataFrame, pieces: pd.DataFrame) -> pd.DataFrame:
    """All finished fits, not only those of the chosen learning rate, that have fewer pieces than it takes."""
    measured = compared(finished(table), pieces)
    return measured[measured["pieces_floor"] > 0]


def _deepest(fits: pd.DataFrame) -> pd.DataFrame:
    """The finished fits with the most folds tried."""
    return finished(fits[fits["target.num_folds"] == fits["target.num_folds"].max()])


def verdict(table: pd.DataFrame, gradient: pd.DataFrame, pieces: pd.DataFrame, returns: pd.DataFrame) -> Verdict:
    """Held where gradients fall exponentially under their bound and no network of the most folds finds half of them."""
    deepest, falls = _deepest(drawn(table, pieces)), fall(gradient)
    floored = _floored(table, pieces)
    under, over = len(under_floor(floored)), len(over_bound(gradient))
    missed = deepest["relative"] > REACHED
    most = int(table["target.num_folds"].max())
    told = f"how much the initial gradient depends on the target shrinks by a factor of {falls:.2f} with each fold; "
    quantity, short = f"relative squared error for {most} folds, {most} hidden layers", ""
    if deepest.empty:
        told += f"no network of {most} layers was trained to its end"
    else:
        told += f"of {len(deepest)} trained networks of {most} layers {missed.sum()} leave more than half of the "
        told += f"variance of {most} folds, which {most} layers of width 2 represent exactly"
        quantity += f" of up to {deepest['width'].max()} units"
        short = f"{missed.sum()} of {len(deepest)} trained networks miss a sawtooth of {most} folds that their {most} "
        short += "layers could represent"
    refuted = under + over > 0 or falls <= 1.5 or not missed.all()
    return Verdict(
        "not held" if refuted else "open" if deepest.empty else "held",
        told,
        quantity,
        floor=0.0,
        best_fit=None if deepest.empty else deepest["relative"].min(),
        construction=0.0,
        n=len(deepest),
        short=short,
        check=f"{counted(under, len(floored), 'trained networks with too few pieces lie under their floor, and ', '')}"
        f"{over} of {len(gradient)} initial gradients see more than their bound",
    )


def caption(table: pd.DataFrame, gradient: pd.DataFrame, pieces: pd.DataFrame, returns: pd.DataFrame) -> str:
    """What is drawn, how many networks, and whether the claim held, computed from the tables."""
    fits, over, measured = drawn(table, pieces), over_bound(gradient), _floored(table, pieces)
    under = under_floor(measured)
    floors = f"none of {len(measured)} trained networks lies under the floor of its pieces"
    if measured.empty:
        floors = "no trained network has so few pieces that they have a floor"
    if len(under):
        floors = (
            f"{len(under)} of {len(measured)} trained networks lie under the floor of their pieces, which is a defect"
        )
    broken = f"; {len(over)} of {len(gradient)} initial networks see more than their bound, which is a defect"
    good, most, gap, near = finished(fits), table["target.num_folds"].max(), _deepest(fits)["relative"], basin(returns)
    missed = counted(int((gap > REACHED).sum()), len(gap), "leave over half of the variance, an optimisation gap", "")
    away = " to ".join(dict.fromkeys(f"{near[count]:.2g} (k = {count})" for count in near.index[[0, -1][: len(near)]]))
    lost, cells = len(fits) - len(good), fits.groupby(CELL).size()
    starts = chosen_returns(returns).groupby(START).size()
    rates = ", ".join(f"{rate:g}" for rate in sorted(table["learning_rate"].unique()))
    return (
        "Gradient descent hardly sees a sawtooth of k folds nor finds it, though k layers of width 2 are it (after "
        f"Malach et al. 2021): the claim {HELD[verdict(table, gradient, pieces, returns).state]}. (a) Gradient against "
        f"the sawtooth less that against its mean, n = {gradient.groupby(['num_folds', 'width']).size().min()} "
        f"networks. (b) Relative squared error, E (f - g)^2 / Var f, (c) pieces: median and range of n = {span(cells)} "
        f"seeds, {table['num_steps'].max()} steps of Adam (rate of {rates} by training loss)"
        f"{f'; {lost} of {len(fits)} fits failed or diverged' if lost else ''}. (d) Medians of {starts.min()} starts. "
        f"The widest networks see {fall(gradient):.2f} times less of it with each fold{broken * bool(len(over))}; "
        f"{floors}. At k = {most} {missed or 'no network was trained to its end'}. Descent finds back to "
        f"{100 * BACK:g} % from distances of {away or 'none tried'}. Another optimiser might find more."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
