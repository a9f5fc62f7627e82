"""Products of n numbers: units of networks of exponential units, what floats allow them, and ReLU networks on the cube.

Draws results/<scale>/products.csv with .floor.csv, .network.csv, .smooth.csv and .needed.csv; see
experiments/products.py.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from widththeory import command
from widththeory.estimates import NOTHING, Interval, finished, pooled_contrast, select_learning_rate, span
from widththeory.plotting import CONSTRUCTION, FLOOR, TEXT_WIDTH, number_ticks, series
from widththeory.verdicts import HELD, Verdict, counted, floor_check, floors_kept

COUNT = "target.num_factors"
CELL = [COUNT, "depth", "width"]
TOLERANCE = 4  # standard errors of a sampled error that may lie under a floor before it counts as a defect
ROUNDING = 1e-9  # relative, of exact errors
SMALLEST = 2e-5  # of the errors that are shown; floors of more layers lie below


def drawn(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> pd.DataFrame:
    """The chosen fits: relative squared error beside the floor and the best explicit network of at most their size."""
    return compared(select_learning_rate(table, by=CELL), floor, network)


def compared(fits: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> pd.DataFrame:
    """Fits, chosen or not; `relative` is over the variance 3^-n, exact for two factors, else sampled."""
    floor = floor.rename(columns={"num_factors": COUNT})
    fits = fits.merge(floor[[*CELL, "narrow", "relative_floor"]], on=CELL, how="left")
    sampled, exact = fits["test_mse"] * 3.0 ** fits[COUNT], fits["exact_relative_error"]
    explicit = [explicit_error(network, *size) for size in fits[CELL].itertuples(index=False)]
    fits = fits.assign(
        relative=exact.where(exact.notna(), sampled),
        relative_stderr=(fits["test_mse_stderr"] * 3.0 ** fits[COUNT]).where(exact.isna(), exact * ROUNDING),
        explicit=explicit,
    )
    kept = [*CELL, "seed", "learning_rate", "relative", "relative_stderr", "narrow", "relative_floor", "explicit"]
    return fits[[*kept, "status", *(["diverged"] if "diverged" in fits else [])]]


def explicit_error(network: pd.DataFrame, count: int, depth: int, width: int) -> float:
    """Least measured error of an explicit ReLU network that is neither deeper nor wider; NaN if there is none.

    A deeper network carries the last layer of a shallower one, which is not negative, at no width.
    """
    fits = (network["num_factors"] == count) & (network["depth"] <= depth) & (network["width"] <= width)
    return float(network.loc[fits, "relative_error"].min())


def under_floor(fits: pd.DataFrame) -> pd.DataFrame:
    """Fits that lie under their certified floor by more than the error of their measurement: defects."""
    return fits[fits["relative"] + TOLERANCE * fits["relative_stderr"] < fits["relative_floor"]]


def layers(depth: int) -> str:
    """1 hidden layer, 2 hidden layers."""
    return f"{depth} hidden layer{'s' if depth > 1 else ''}"


def figure(
    table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame, smooth: pd.DataFrame, needed: pd.DataFrame
) -> Figure:
    """Four panels: units against n; smooth networks in floats; error against width; error against n."""
    fits = drawn(table, floor, network)
    picture = Figure(figsize=(TEXT_WIDTH, 5.7), layout="constrained")
    title = (
        "Products of $n$ numbers: $2^n$ exponential units in one hidden layer, $4(n-1)$ in a tree; depth helps ReLU too"
    )
    picture.suptitle(title, size=9.5)
    panels: Any = picture.subplots(2, 2)
    _units(panels[0, 0], needed)
    _floats(panels[0, 1], smooth)
    _errors(panels[1, 0], fits, floor, network)
    _counts(panels[1, 1], fits, network)
    handles, labels = panels[1, 0].get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=7.5)
    return picture


def shallow_floor(num_factors: Any) -> Any:
    """2^n: no fewer exponential units in one hidden layer multiply n numbers to arbitrarily small errors on a cube.

    For an activation with nonzero Taylor coefficients (Rolnick and Tegmark 2018, as recalled). It says nothing of ReLU,
    nor of an error that is fixed.
    """
    return 2.0**num_factors


def _units(axes: Axes, needed: pd.DataFrame) -> None:
    needed = needed.sort_values("num_factors")
    look = {**FLOOR, "linewidth": 3.0, "label": "floor: exponential, 1 hidden layer"}  # under dashes that attain it
    axes.plot(needed["num_factors"], shallow_floor(needed["num_factors"]), **look)
    names = {
        "smooth_shallow": "exponential, 1 hidden layer",
        "smooth_two": "exponential, 2 hidden layers",
        "smooth_tree": "exponential, tree",
        "relu_shallow": "ReLU, 1 hidden layer",
        "relu_tree": "ReLU, tree",
    }
    for index, (column, label) in enumerate(names.items()):
        look = {**series(index), "linestyle": CONSTRUCTION["linestyle"], "label": label}
        axes.plot(needed["num_factors"], needed[column], **look)
    axes.set(xscale="log", yscale="log", xlabel="factors $n$", ylabel="neurons")
    axes.set_title("(a) floor and explicit networks (dashed)")
    axes.set_ylim(1, needed["relu_shallow"].max() * 300)  # room for the legend
    counts = needed["num_factors"].tolist()
    number_ticks(axes.xaxis, counts if len(counts) <= 9 else counts[:: len(counts) // 7])
    axes.legend(loc="upper left", fontsize=7)


def _floats(axes: Axes, smooth: pd.DataFrame) -> None:
    """Colours are those of (a): one layer or a tree; markers tell the number of factors."""
    for index, count in enumerate(sorted(smooth["num_factors"].unique().tolist())):
        for kind, name in (("shallow", "1 layer"), ("tree", "tree")):
            rows = smooth[(smooth["num_factors"] == count) & (smooth["kind"] == kind)].sort_values("scale")
            if count == 2 and kind == "tree":
                continue  # the same network
            color = series(2 if kind == "tree" else 0)["color"]
            look = {"color": color, "marker": series(index)["marker"], "linestyle": CONSTRUCTION["linestyle"]}
            label = f"$n={count}$" if count == 2 else f"$n={count}$, {name}"
            axes.plot(rows["scale"], rows["measured"], label=label, **{**look, "linewidth": 0.8})
    axes.set(xscale="log", yscale="log", xlabel=r"scale $\lambda$ of the weights", ylabel="sup error in float64")
    axes.set(ylim=(1e-9, 1e2), title=r"(b) exponential: $\lambda^2$, then roundoff ($\lambda^{-n}$ in 1 layer)")
    axes.legend(loc="lower right", fontsize=7)


def _marks(axes: Axes, cells: pd.DataFrame, x: str, index: int, spread: float, label: str | None) -> None:
    groups = finished(cells).groupby(x)["relative"]
    middle, low, high = groups.median(), groups.min(), groups.max()
    look: dict[str, Any] = {**series(index), "linestyle": "none", "label": label}
    place = middle.index * spread ** (index - 1)
    axes.errorbar(place, middle, [middle - low, high - middle], elinewidth=0.7, **look)


def _errors(axes: Axes, fits: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> None:
    count = int(fits[COUNT].max())
    cells, widest = fits[fits[COUNT] == count], 1.4 * fits["width"].max()
    depths = sorted(cells["depth"].unique().tolist())
    rows = floor[(floor["num_factors"] == count) & (floor["width"] <= widest)].sort_values("width")
    for index, depth in enumerate(depths):
        look = series(index)
        size = rows[(rows["depth"] == depth) & (rows["narrow"] == 0)]
        if size["line"].max() > SMALLEST:
            label = f"floor, {layers(depth)}"
            axes.plot(size["width"], size["line"], color=look["color"], linewidth=1.5, label=label)
    narrow = rows[(rows["depth"] == depths[0]) & (rows["narrow"] > 0)]
    axes.plot(narrow["width"], narrow["narrow"], **{**FLOOR, "label": "floor, any depth, width below $n$"})
    for index, depth in enumerate(depths):
        _marks(axes, cells[cells["depth"] == depth], "width", index, 1.06, f"trained, {layers(depth)}")
    for index, depth in enumerate(depths[:2]):
        widths = np.arange(1, int(widest) + 1)
        best = np.array([explicit_error(network, count, depth, int(width)) for width in widths])
        look = {**CONSTRUCTION, "color": series(index)["color"], "marker": None}
        axes.plot(widths, best, **{**look, "drawstyle": "steps-post", "label": f"explicit, {layers(depth)}"})
    tried = sorted(cells["width"].unique().tolist())
    axes.set(xscale="log", yscale="log", xlabel="width", ylabel="relative squared error", xlim=(0.85, widest))
    axes.set(ylim=(SMALLEST, 2), title=f"(c) ReLU networks on the cube, $n={count}$")
    number_ticks(axes.xaxis, tried if len(tried) <= 8 else tried[:: len(tried) // 7])


def _counts(axes: Axes, fits: pd.DataFrame, network: pd.DataFrame) -> None:
    widest = int(fits["width"].max())
    cells = fits[fits["width"] == widest]
    counts, depths = sorted(cells[COUNT].unique().tolist()), sorted(cells["depth"].unique().tolist())
    for index, depth in enumerate(depths):
        _marks(axes, cells[cells["depth"] == depth], COUNT, index, 1.02, None)
        best = [explicit_error(network, count, depth, widest) for count in counts]
        if index < 2:
            look = {**CONSTRUCTION, "color": series(index)["color"], "label": None}
            axes.plot(counts, best, **look)
    axes.set(xscale="log", yscale="log", xlabel="factors $n$", ylabel="relative squared error")
    number_ticks(axes.xaxis, counts)
    axes.set_title(f"(d) at width {widest}: trained, explicit (stars)")


def _reached(smooth: pd.DataFrame) -> tuple[int, float, float]:
    """Most factors; the least errors in float64 of one hidden layer and of the tree, over all scales."""
    count = int(smooth["num_factors"].max())
    best = smooth[smooth["num_factors"] == count].groupby("kind")["measured"].min()
    return count, float(best["shallow"]), float(best["tree"])


def _kept(smooth: pd.DataFrame) -> float:
    """Largest measured error over that promised, at the scales that are clear of a roundoff of 2.2e-16 scale^-n."""
    order = np.where(smooth["kind"] == "tree", 2, smooth["num_factors"])
    clear = smooth[smooth["promised"] > 1e-12 * smooth["scale"] ** -order.astype(float)]
    return float((clear["measured"] / clear["promised"]).max())


def _depth_gain(fits: pd.DataFrame) -> tuple[int, int, Interval]:
    """Most factors, the widest width, and by what the deepest networks divide the error of one layer there.

    Of geometric means, with Student's 95 % interval of their logarithms, variance over seeds pooled over depths: the
    ratio of two medians of three is above 1 by chance as often as not. Nothing where no two depths were measured.
    """
    count, widest = int(fits[COUNT].max()), int(fits["width"].max())
    cells = finished(fits[(fits[COUNT] == count) & (fits["width"] == widest)])
    if cells["depth"].nunique() < 2:
        return count, widest, NOTHING
    first, last = int(cells["depth"].min()), int(cells["depth"].max())
    logs = pooled_contrast(np.log(cells["relative"]), cells["depth"], {first: 1.0, last: -1.0})
    value, low, high = (float(np.exp(number)) for number in (logs.value, logs.low, logs.high))
    return count, widest, Interval(value, low, high, logs.n)


def _told(gain: Interval) -> str:
    """A factor in words, with its interval where several seeds give one."""
    if not np.isfinite(gain.value):
        return "an unknown factor"
    return f"{gain.value:.2g}" + f" [{gain.low:.2g}, {gain.high:.2g}] (95 %)" * bool(np.isfinite(gain.low))


def verdict(
    table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame, smooth: pd.DataFrame, needed: pd.DataFrame
) -> Verdict:
    """Held where exponential units keep their promise, no fit lies under a floor, and depth helps at equal width.

    "not held" where one of these is refuted, the last by its interval, "open" where that allows both.
    """
    fits, measured = drawn(table, floor, network), compared(finished(table), floor, network)
    measured = measured[measured["relative_floor"] > 0]
    under, kept, (count, widest, gain) = under_floor(measured), _kept(smooth), _depth_gain(fits)
    most = needed.sort_values("num_factors").iloc[-1]
    factors, least = int(most["num_factors"]), float(shallow_floor(most["num_factors"]))
    sentence = (
        f"for errors that vanish, n = {factors} takes {least:.0f} exponential units in one hidden layer, no fewer, "
        f"and {most['smooth_tree']:.0f} in a tree; explicit networks {'keep' if kept < 1.05 else 'exceed'} the "
        f"guaranteed error (at most {kept:.2f} times it, up to n = {smooth['num_factors'].max()}); for n = {count} at "
        f"width {widest} more layers divide the error of trained ReLU networks by {_told(gain)}"
    )
    sound = kept < 1.05 and under.empty
    return Verdict(
        "not held" if not sound or gain.high < 1 else "held" if gain.low > 1 else "open",
        sentence,
        f"exponential units for a product of n = {factors} numbers, errors that vanish: floor of one hidden layer, "
        "construction by a tree",
        least,
        None,
        most["smooth_tree"],
        len(measured),
        check=floor_check(len(under), len(measured)),
    )


def caption(
    table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame, smooth: pd.DataFrame, needed: pd.DataFrame
) -> str:
    """What is drawn, how many fits, and whether the claim held, computed from the tables."""
    fits, measured = drawn(table, floor, network), compared(finished(table), floor, network)
    measured = measured[measured["relative_floor"] > 0]  # all fits, not only those of the chosen learning rate
    under, (count, widest, gain) = under_floor(measured), _depth_gain(fits)
    checked = floors_kept(len(under), len(measured))
    most, shallow, tree = _reached(smooth)
    last = needed.sort_values("num_factors").iloc[-1]
    known = finished(fits[fits["explicit"].notna()])
    behind = known[known["relative"] > known["explicit"]]
    lost, cells = len(fits) - len(finished(fits)), fits.groupby(CELL).size()
    held = HELD[verdict(table, floor, network, smooth, needed).state]
    return (
        "For errors that vanish, a product of n numbers takes 2^n exponential units in one hidden layer, 4 (n - 1) in "
        f"a tree (Rolnick and Tegmark 2018, as recalled), and depth helps ReLU too: the claim {held}. (a) For n = "
        f"{last['num_factors']:.0f}, {shallow_floor(last['num_factors']):.0f} against {last['smooth_tree']:.0f} units; "
        f"ReLU: for sup error 0.01 on the cube. (b) Exponential units: for n = {most} one layer gets to {shallow:.1e}, "
        f"a tree to {tree:.1e}. (c, d) ReLU networks on [-1, 1]^n, of which 2^n says nothing: relative squared error "
        f"(over the variance), median and range of n = {span(cells)} seeds, {table['num_steps'].max()} steps of Adam "
        f"(rate by training loss{f'; {lost} of {len(fits)} fits failed or diverged' if lost else ''}). Depth divides "
        f"the trained error by {_told(gain)} for n = {count} at width {widest}; {checked}"
        f"{counted(len(behind), len(known), 'stay above an explicit one of their size, an optimisation gap')}."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
