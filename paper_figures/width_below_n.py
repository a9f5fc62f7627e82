"""Phase transition at width n: L2 on cubes, L1 on growing boxes, sup norm, and the explicit network of width n + 4.

Draws results/<scale>/width_below_n.csv with .floor.csv, .network.csv and .growth.csv; see experiments/width_below_n.py.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from widththeory import command
from widththeory.estimates import finished, fit_power_law, select_learning_rate, span
from widththeory.plotting import CONSTRUCTION, FLOOR, TEXT_WIDTH, TRAINED, number_ticks, series
from widththeory.verdicts import HELD, Verdict, floor_check, floors_kept

CUBE, BOX = "narrow_targets.NarrowTarget", "pyramid.Pyramid"
PLACE = ["target", "target.input_dim", "target.box_radius"]
CELL = [*PLACE, "width", "depth"]
TOLERANCE = 4  # standard errors of a sampled error that may lie under a floor before it counts as a defect
ROUNDING = 1e-9  # relative, of exact errors
# Looks of trained networks by width; none is that of explicit networks.
OTHERS = (*(series(index) for index in (0, 1, 2, 4, 5)), {"color": "0.45", "marker": "D"})
COLD, WARM = ("#6BAED6", "#2171B5", "#08306B", "#807DBA"), ("#D55E00", "#7F3300", "#F4A582", "#B2182B")
SHAPES = ("o", "s", "^", "D")
NAMED = {"target.input_dim": "input_dim"}
MOST_PANELS = 4  # of (a), which share a row


def drawn(table: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """The fits of the chosen learning rate and depth, both by training loss, beside the floors of their width."""
    chosen = select_learning_rate(table, by=CELL)
    losses = chosen["train_mse"].where(chosen.index.isin(finished(chosen).index), np.inf).fillna(np.inf)
    medians = losses.groupby([chosen[name] for name in CELL], dropna=False).median().rename("median").reset_index()
    best = medians.sort_values(["median", "depth"], kind="stable").groupby([*PLACE, "width"], dropna=False).head(1)
    return compared(chosen.merge(best[CELL], on=CELL, how="inner"), floor)


def compared(fits: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """Fits, chosen or not, with the floors; L2 squared over the variance, L1 over the norm, both exact on boxes."""
    fits = fits.merge(floor, on=[*PLACE, "width"], how="left")
    exact = fits["target"] == BOX
    square = fits["test_mse"].where(~exact, fits["exact_l2_error"] ** 2)
    fits = fits.assign(
        relative=square / fits["variance"],
        relative_stderr=(fits["test_mse_stderr"] / fits["variance"]).where(~exact, 0.0),
        l1_ratio=(fits["exact_l1_error"] / fits["l1_mean"]).where(exact, np.nan),
        sup=fits["exact_sup_error"].where(exact, np.nan),
    )
    kept = [*CELL, "seed", "learning_rate", "relative", "relative_stderr", "l1_ratio", "sup"]
    kept += ["l2_floor", "l1_floor", "sup_floor", "status"]
    return fits[[*kept, *(["diverged"] if "diverged" in fits else [])]]


def under_floor(fits: pd.DataFrame) -> pd.DataFrame:
    """Fits under a floor of their width in L2, L1 or sup by more than the error of their measurement: defects."""
    slack = TOLERANCE * fits["relative_stderr"] + ROUNDING * fits["relative"]
    under = fits["relative"] + slack < fits["l2_floor"]
    for error, name in (("l1_ratio", "l1_floor"), ("sup", "sup_floor")):
        under |= fits[error] < fits[name] * (1 - ROUNDING)
    return fits[under]


def crossing(fits: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """For each n the floor below width n, and the least width from which on the median trained network is under it."""
    cells = finished(fits[fits["target"] == CUBE])
    below = floor[floor["target"] == CUBE].groupby("target.input_dim")["l2_floor"].max()
    rows = []
    for dim, group in cells.groupby("target.input_dim"):
        middle = group.groupby("width")["relative"].median()
        short = middle.index[~(middle < below[dim])]
        wide = middle.index[middle.index > (short.max() if len(short) else 0)]
        rows.append((int(dim), float(below[dim]), float(wide.min()) if len(wide) else np.nan))
    return pd.DataFrame(rows, columns=["n", "floor", "width"])


def shown(fits: pd.DataFrame, network: pd.DataFrame) -> list[int]:
    """The n that (a) has room for: the two smallest, the largest, and the largest with an explicit network."""
    own = finished(fits[fits["target"] == CUBE])
    dims = sorted(int(dim) for dim in (network if own.empty else own.rename(columns=NAMED))["input_dim"].unique())
    if len(dims) <= MOST_PANELS:
        return dims
    made = set(network.loc[network["kind"] == "narrowest", "input_dim"])
    return sorted({*dims[:2], dims[-1], *[dim for dim in dims if dim in made][-1:]})


def figure(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame, growth: pd.DataFrame) -> Figure:
    """A row for the cube, an n a panel, and a row for the other three theorems."""
    fits = drawn(table, floor)
    picture = Figure(figsize=(TEXT_WIDTH, 6.2), layout="constrained")
    picture.suptitle("Below width $n$ no depth helps; at width max$(n,2)$, in sup $n+1$, it does", size=9.5)
    grid = picture.add_gridspec(2, 1, height_ratios=[1, 1.25])
    dims = shown(fits, network)
    cubes: Any = grid[0].subgridspec(1, len(dims)).subplots(sharey=True)
    cubes = np.atleast_1d(cubes)
    for axes, dim in zip(cubes, dims, strict=True):
        _cube(axes, dim, fits, floor, network)
        axes.set_title(f"(a) $L_2$ of the cube, $n={dim}$" if axes is cubes[0] else f"$n={dim}$")
    cubes[0].set(yscale="log", ylabel="relative squared error")
    cubes[:2][-1].legend(loc="lower right", fontsize=7, handlelength=1.4, handletextpad=0.5, borderaxespad=0.1)
    rest: Any = grid[1].subgridspec(1, 3).subplots()
    _boxes(rest[0], fits, growth)
    _sup(rest[1], fits, floor)
    _depths(rest[2], network)
    for axes, columns in zip(rest, (2, 2, 1), strict=True):
        look: dict[str, Any] = {"fontsize": 7, "handlelength": 1.8, "columnspacing": 0.8, "handletextpad": 0.5}
        axes.legend(ncols=columns, loc="upper center", bbox_to_anchor=(0.5, -0.24), **look)
    return picture


def _marks(axes: Axes, places: Any, groups: Any, **look: Any) -> None:
    """Median over seeds, with their range."""
    middle, low, high = groups.median(), groups.min(), groups.max()
    axes.errorbar(places, middle, [middle - low, high - middle], capsize=1.5, elinewidth=0.7, **look)


def _cube(axes: Axes, dim: int, fits: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> None:
    """One n: floor of narrower networks with what it excludes in grey, the explicit network, trained ones by width."""
    cells = finished(fits[fits["target"] == CUBE])
    group = cells[cells["target.input_dim"] == dim]
    rows = floor[(floor["target"] == CUBE) & (floor["target.input_dim"] == dim) & (floor["l2_floor"] > 0)]
    ends = [min([rows["width"].min(), *group["width"]]) - dim - 0.5, max(dim, 2) - dim - 0.5]
    bottom = 0.2 * min([rows["l2_floor"].min(), *cells["relative"]])
    axes.fill_between(ends, bottom, rows["l2_floor"].max(), color="0.88", linewidth=0)
    axes.plot(ends, [rows["l2_floor"].max()] * 2, **{**FLOOR, "label": r"floor, width < max$(n,2)$"})
    by = group.groupby("width")["relative"]
    _marks(axes, by.median().index - dim, by, **{**TRAINED, "label": "trained"})
    star = network[(network["kind"] == "narrowest") & (network["input_dim"] == dim)]
    look = {**CONSTRUCTION, "linestyle": "none", "markersize": 8, "label": r"explicit, width max$(n,2)$"}
    axes.plot(star["width"] - dim, star["relative"], **look)
    last = max([dim, 2, *group["width"]]) - dim
    axes.set(xlabel="width$\\,-\\,n$", xlim=(ends[0], last + 0.5), ylim=(bottom, 2))
    step = 1 if last - ends[0] < 7 else 2
    number_ticks(axes.xaxis, [place for place in range(-dim + 1, last + 1) if place > ends[0] and place % step == 0])


def _boxes(axes: Axes, fits: pd.DataFrame, growth: pd.DataFrame) -> None:
    cells = finished(fits[fits["target"] == BOX])
    radii = sorted({*growth["box_radius"].tolist(), *cells["target.box_radius"].tolist()})
    axes.plot([2, radii[-1] * 1.25], [1, 1], **{**FLOOR, "label": "floor, width < $n$"})
    for index, (width, group) in enumerate(cells.groupby("width")):
        by = group.groupby("target.box_radius")["l1_ratio"]
        shift = 1.12 ** (index - 2)
        look = {**OTHERS[index % len(OTHERS)], "linestyle": "none", "label": f"trained, width {width:.0f}"}
        _marks(axes, by.median().index * shift, by, **look)
    names = {"narrowest": "explicit, width $n$", "string": "explicit, $n+1$: 0"}
    for kind, name in names.items():
        rows = growth[growth["kind"] == kind].sort_values("box_radius")
        look = {**CONSTRUCTION, "label": name, "marker": "*" if kind == "narrowest" else None}
        axes.plot(rows["box_radius"], rows["l1_ratio"], **look)
    axes.set_xscale("log", base=2)
    axes.set_yscale("symlog", linthresh=0.1, linscale=0.4)
    number_ticks(axes.xaxis, radii)
    number_ticks(axes.yaxis, [0, 0.1, 1, 10, 100])
    axes.set(xlabel="box $[-R,R]^2$, $R$", ylabel="$L_1$ error over the norm", ylim=(-0.02, 200))
    axes.set_title("(b) $L_1$, growing boxes, $n=2$")


def _sup(axes: Axes, fits: pd.DataFrame, floor: pd.DataFrame) -> None:
    cells = finished(fits[fits["target"] == BOX])
    radii = sorted(cells["target.box_radius"].unique().tolist())
    rows = floor[(floor["target"] == BOX) & (floor["sup_floor"] > 0)]
    edges = [0.5, rows["width"].max() + 0.5]
    axes.fill_between(edges, 0, rows["sup_floor"].max(), color="0.88", linewidth=0)
    axes.plot(edges, [rows["sup_floor"].max()] * 2, **{**FLOOR, "label": "floor, width $\\leq n$"})
    look = {**CONSTRUCTION, "linestyle": "none", "markersize": 8, "label": "explicit, $n+1$: 0", "clip_on": False}
    axes.plot([3], [0.0], **look)
    for index, radius in enumerate(radii):
        by = cells[cells["target.box_radius"] == radius].groupby("width")["sup"]
        look = {"color": COLD[index], "marker": SHAPES[index], "linestyle": "none", "label": f"trained, $R={radius:g}$"}
        _marks(axes, by.median().index + 0.16 * (index - (len(radii) - 1) / 2), by, **look)
    widths = sorted({3, *cells["width"].tolist()})
    axes.set(xlabel="width", ylabel="sup error", ylim=(0, 1.08), xlim=(0.5, max(widths) + 0.5))
    number_ticks(axes.xaxis, widths)
    axes.set_title("(c) sup norm, $n=2$")


def slopes(network: pd.DataFrame) -> pd.Series:
    """Exponent of the measured L1 error in the depth, by n, for networks of width n + 4."""
    rows = network[network["kind"] == "trapezoid"]
    found = {
        int(dim): fit_power_law(group["depth"], group["l1_error"], with_floor=False, num_resamples=1).exponent
        for dim, group in rows.groupby("input_dim")
        if len(group) > 1
    }
    return pd.Series(found, dtype=float)


def _depths(axes: Axes, network: pd.DataFrame) -> None:
    found = slopes(network)
    rows = network[network["kind"] == "trapezoid"]
    for index, (dim, group) in enumerate(rows.groupby("input_dim")):
        group = group.sort_values("depth")
        slope = f", slope {found[dim]:.2f}".replace("-", "\N{MINUS SIGN}") if dim in found else ""
        look = {"color": WARM[index], "marker": SHAPES[index], "linestyle": CONSTRUCTION["linestyle"]}
        axes.plot(group["depth"], group["l1_error"], **look, label=f"explicit, $n={dim:.0f}${slope}")
        axes.plot(group["depth"], group["l1_bound"], color=WARM[index], linestyle=(0, (1, 1.2)), linewidth=0.9)
    axes.plot([], [], color="0.3", linestyle=(0, (1, 1.2)), linewidth=0.9, label="promised")
    axes.set(xscale="log", yscale="log", xlabel="hidden layers", ylabel="$L_1$ error")
    axes.set_title("(d) explicit, width $n+4$")


def _checked(table: pd.DataFrame, floor: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All fits that have a floor, not only those of the chosen learning rate and depth; and those under it."""
    measured = compared(finished(table), floor)
    measured = measured[measured[["l2_floor", "l1_floor", "sup_floor"]].max(axis=1) > 0]
    return measured, under_floor(measured)


def _explicit(floor: pd.DataFrame, network: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Explicit networks of width max(n, 2), and whether all lie under the floor of narrower ones: a state."""
    star = network[network["kind"] == "narrowest"]
    least = floor[floor["target"] == CUBE].groupby("target.input_dim")["l2_floor"].max()
    over, slack = star["relative"] - star["input_dim"].map(least), TOLERANCE * star["relative_stderr"]
    return star, "held" if (over < -slack).all() else "not held" if (over > slack).any() else "open"


def verdict(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> Verdict:
    """Held where no fit lies under a floor, and explicit networks of width max(n, 2) lie under that of width n - 1.

    "open" where the samples do not tell whether they do.
    """
    measured, under = _checked(table, floor)
    star, state = _explicit(floor, network)
    one = star.sort_values("input_dim").iloc[-1]
    dim = int(one["input_dim"])
    narrow = measured[(measured["target"] == CUBE) & (measured["target.input_dim"] == dim)]
    rows = floor[(floor["target"] == CUBE) & (floor["target.input_dim"] == dim)]
    sentence = (
        f"for n = {dim} every network narrower than n keeps {rows['l2_floor'].max():.2g} of the variance of "
        f"x_1^2 + ... + x_n^2, where an explicit one of width {one['width']} and {one['depth']:,} layers leaves "
        f"{one['relative']:.2g}"
    )
    return Verdict(
        state if under.empty else "not held",
        sentence,
        f"relative squared error for n = {dim} below width {max(dim, 2)}; construction: at that width",
        rows["l2_floor"].max(),
        narrow["relative"].min() if len(narrow) else None,
        one["relative"],
        len(measured),
        check=floor_check(len(under), len(measured)),
        short=f"for n = {dim} networks below width n keep {rows['l2_floor'].max():.2g} of the variance at every depth, "
        f"width {one['width']} goes to {one['relative']:.2g} with {one['depth']:,} layers",
    )


def caption(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame, growth: pd.DataFrame) -> str:
    """What is drawn, which theorem covers which panel, and whether the claim held, computed from the tables."""
    fits = drawn(table, floor)
    measured, under = _checked(table, floor)
    checked = floors_kept(len(under), len(measured), " in L2, L1 or sup")
    crossed = crossing(fits, floor)
    known = crossed.dropna()
    more = known.assign(more=known["width"] - known["n"]).groupby("more", sort=False)["n"]
    every = len(more) == 1 and len(known) == len(crossed)
    whose = ["every n" if every else f"n = {', '.join(map(str, dims))}" for _, dims in more]
    reached = ", ".join(f"n + {step:.0f} ({dims})" for (step, _), dims in zip(more, whose, strict=True))
    found = verdict(table, floor, network)
    one = _explicit(floor, network)[0].sort_values("input_dim").iloc[-1]
    explicit = (
        f"For n = {one['input_dim']} the floor is {found.floor:.2g}, an explicit network has "
        f"{found.construction:.2g} ({one['depth']} layers)"
    )
    promised = network[network["kind"] == "trapezoid"]
    kept = (promised["l1_error"] - TOLERANCE * promised["l1_stderr"] <= promised["l1_bound"]).all()
    lost, counts = len(fits) - len(finished(fits)), fits.groupby(CELL, dropna=False).size()
    passed = f"pass it from width {reached} on" if len(known) else "pass it at no width tried"
    if len(crossed) > len(known) > 0:
        passed += f", for {len(crossed) - len(known)} n at no width tried"
    return (
        "Below width n no depth approximates x_1^2 + ... + x_n^2 on [-1, 1]^n, width max(n, 2) does (Lu et al. 2017; "
        f"Kim, Min, Park 2024): the transition {HELD[found.state]}. (a) Relative squared error, over the variance; "
        f"grey: excluded. {explicit}; trained ones {passed}. (b, c) For a pyramid n + 1 is enough (Park et al. 2021), "
        f"in sup n is not (Hanin, Sellke 2017; Johnson 2019). (d) The promise is {'' if kept else 'not '}kept. Median "
        f"and range of n = {span(counts)} seeds, {table['num_steps'].max()} steps of Adam (rate and depth by training "
        f"loss){f'; {lost} of {len(fits)} fits failed or diverged' if lost else ''}; {checked}. (a, d) "
        "sampled, (b, c) exact; theorems as recalled."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
