"""Depth compensates width: the error over both, and the depth that a narrow network needs.

Draws results/<scale>/depth_compensates_width.csv with .floor.csv; see experiments/depth_compensates_width.py.
"""

from collections.abc import Callable
from math import isqrt
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from widththeory import command
from widththeory.censored import CensoredLine, determines_slope, fit_censored_line
from widththeory.estimates import cells_note, finished, span
from widththeory.plotting import CONSTRUCTION, FLOOR, TEXT_WIDTH, number_ticks, series
from widththeory.verdicts import HELD, Verdict, counted, floors_kept

TARGET = ["target.input_dim", "target.k", "target.seed"]
TOLERANCE = 4  # standard errors of what was sampled, of errors and of floors, that count as chance
RELATIVE_ERROR = 1e-3  # squared, that the depth is asked for: between what one layer reaches and what no fit does
GREY = "0.45"  # of floors that are not proven, and of what a legend shows for every k
DOTS = (0, (1, 1))
UNREACHED: dict[str, Any] = {"marker": r"$\uparrow$", "markersize": 6, "linestyle": "none"}
FLOOR_DASH: dict[str, Any] = {"color": FLOOR["color"], "linestyle": "none", "marker": "_"}
FLOOR_DASH |= {"markersize": 7, "markeredgewidth": FLOOR["linewidth"]}


def drawn(table: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """The best fit of each target and size by training loss, with the floor and the exact network of that size.

    The squared error is exact for one input, and for two at scales that have the time; else it is measured on a sample.
    `relative` is that over the variance of the target by which the floor is divided too, so that floor and fit compare
    as their squared errors do. `protocol` is "grid", or "paper" for the paper's own students and optimiser.
    """
    ours, paper = table[table["optimizer"] == "adam"], table[table["optimizer"] == "adadelta"]
    if finished(ours).empty:
        raise ValueError("every fit of the grid failed or diverged, so that there is nothing to draw")
    best = finished(ours).sort_values("train_mse", kind="stable").groupby([*TARGET, "width", "depth"]).head(1)
    fits = compared(pd.concat([best.assign(protocol="grid"), paper.assign(protocol="paper")], ignore_index=True), floor)
    kept = ["protocol", *TARGET, "width", "depth", "learning_rate", "relative", "relative_stderr", "test_mse"]
    kept += ["relative_floor", "relative_floor_stderr", "exchange_depth", "status"]
    return fits[[*kept, *(["diverged"] if "diverged" in fits else [])]]


def compared(fits: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """Fits beside the floor of their size: `relative` and its standard error, over the variance the floor has."""
    fits = fits.drop(columns=["target_variance"]).merge(floor, on=[*TARGET, "width", "depth"], how="left")
    exact = fits["exact_l2_error"].notna() if "exact_l2_error" in fits else pd.Series(False, index=fits.index)
    squared = fits["test_mse"].where(~exact, fits["exact_l2_error"] ** 2 if exact.any() else np.nan)
    fits["relative"] = squared / fits["target_variance"]
    fits["relative_stderr"] = np.where(exact, 0.0, fits["test_mse_stderr"] / fits["target_variance"])
    return fits


def under_floor(fits: pd.DataFrame) -> pd.DataFrame:
    """Fits under their floor by more than `TOLERANCE` standard errors of what was sampled: defects."""
    slack = TOLERANCE * np.hypot(fits["relative_stderr"], fits["relative_floor_stderr"])
    return fits[fits["relative"] + slack < fits["relative_floor"] * (1 - 1e-9)]


def depth_needed(fits: pd.DataFrame, relative_error: float) -> pd.DataFrame:
    """Between which depths of the grid the error is reached, a row a target and width.

    `depth` is the least that reaches it, infinite where none does; `after` the one tried before it, 0 where the first
    that was tried did: what is needed is more than `after` and, for a network to be trained so well, at most `depth`.
    """
    rows = []
    for key, cells in finished(fits).sort_values("depth").groupby([*TARGET, "width"]):
        depths = [0.0, *cells["depth"].astype(float), np.inf]
        at = next((place for place, error in enumerate(cells["relative"], 1) if error <= relative_error), -1)
        rows.append((*key, depths[at - 1], depths[at]))
    return pd.DataFrame(rows, columns=[*TARGET, "width", "after", "depth"])


def depth_allowed(floor: pd.DataFrame, needed: pd.DataFrame, relative_error: float) -> pd.DataFrame:
    """The least depth whose floor, less what sampling leaves open, allows the error: for `needed`'s targets and widths.

    The table of floors has sizes beside the grid, the paper's students, and those of one depth only.
    """
    known = floor["relative_floor"] - TOLERANCE * floor["relative_floor_stderr"]
    least = floor[known <= relative_error].groupby([*TARGET, "width"])["depth"].min()
    return needed[[*TARGET, "width"]].merge(least.reset_index(), on=[*TARGET, "width"], how="left").fillna(np.inf)


def law(needed: pd.DataFrame, of: Callable[..., Any] = np.log) -> CensoredLine | None:
    """log depth = c_k + p log width, or p times another function of the width; None if too few depths are known.

    All targets and widths have a say: those that are never good enough are known to need more than the deepest network,
    those that one layer is enough for to need no more than it. Each k has a level of its own.
    """
    inside = needed[(needed["after"] > 0) & np.isfinite(needed["depth"])]
    if len(inside) < 4 or not determines_slope(inside["width"].to_numpy(), inside["target.k"].to_numpy()):
        return None
    with np.errstate(divide="ignore"):
        after, depth = np.log(needed["after"]), np.log(needed["depth"])
    targets = needed[TARGET].astype(str).agg("/".join, axis=1)
    place, ks = of(needed["width"].astype(float)), needed["target.k"]
    return fit_censored_line(place, after, depth, levels=ks, groups=targets)


def spans(needed: pd.DataFrame, deepest: float) -> pd.DataFrame:
    """Median and range over targets at each width, a depth never reached being infinite; drawn up to `deepest`.

    `reached` by the median target; `cut` where some target is never, so that the range has no upper end.
    """
    depths = needed.groupby("width")["depth"]
    found = pd.DataFrame({"middle": depths.median(), "low": depths.min(), "high": depths.max()})
    found["reached"], found["cut"] = np.isfinite(found["middle"]), np.isinf(found["high"])
    return found.replace(np.inf, deepest).reset_index()


def figure(table: pd.DataFrame, floor: pd.DataFrame, recalled: pd.DataFrame) -> Figure:
    """Maps of the error, depth needed against width, and the paper's table."""
    fits = drawn(table, floor)
    grid = fits[fits["protocol"] == "grid"]
    dims = sorted(grid["target.input_dim"].unique())
    ks = sorted(grid["target.k"].unique())
    picture = Figure(figsize=(TEXT_WIDTH, 7.6), layout="constrained")
    picture.suptitle("Depth compensates width: the narrower the layers, the more of them the same error takes", size=10)
    rows: Any = picture.subfigures(3, 1, height_ratios=(2.4, 3.3, 1.8))
    maps = rows[0].subplots(1, len(dims), squeeze=False)[0]
    curves = rows[1].subplots(1, len(dims), squeeze=False)[0]
    shades = None
    for letter, axes, dim in zip("ab", maps, dims, strict=False):
        cells = grid[(grid["target.input_dim"] == dim) & (grid["target.k"] == ks[len(ks) // 2])]
        shades = _map(axes, cells, f"({letter}) $n={dim}$, $k={ks[len(ks) // 2]}$")
    bar = rows[0].colorbar(shades, ax=maps, shrink=0.9, format=r"$10^{{{x:.0f}}}$")
    bar.set_label("relative squared error", fontsize=8)
    for letter, axes, dim in zip("cd", curves, dims, strict=False):
        _needed(axes, grid[grid["target.input_dim"] == dim], floor[floor["target.input_dim"] == dim], dim, letter)
    stairs = Line2D([], [], **{**CONSTRUCTION, "marker": None, "linewidth": 1.8})
    rows[0].legend([stairs], ["(a, b): above, an exact network exists"], loc="outside lower center")
    sampled = bool((floor["relative_floor_stderr"] > 0).any())
    rows[1].legend(handles=_legend(ks, dims, sampled), loc="outside lower center", ncols=3)
    _paper_table(rows[2].subplots(), paper_rows(fits[fits["protocol"] == "paper"], recalled))
    return picture


def _legend(ks: list[int], dims: list[int], sampled: bool) -> list[Line2D]:
    looks = [{**series(index), "label": f"trained, $k={k}$"} for index, k in enumerate(ks)]
    looks.append({"marker": "o", "markerfacecolor": "white", "label": "median target not reached"})
    looks.append({**UNREACHED, "label": "some target not reached"})
    looks.append({"linestyle": CONSTRUCTION["linestyle"], "label": "exact exchange"})
    looks.append({**FLOOR_DASH, "label": "certified floor, median target"})
    if sampled:
        looks.append({**FLOOR_DASH, "color": GREY, "label": "floor by random lines ($n=2$)"})
    if any(_theorem_speaks(dim, k) for dim in dims for k in ks):
        looks.append({"linestyle": DOTS, "marker": "x", "label": "Lu et al., Theorem 4: another target"})
    plain = {"color": GREY, "linestyle": "none"}
    return [
        Line2D([], [], **{**plain, **look, **({"linestyle": "none"} if i < len(ks) else {})})
        for i, look in enumerate(looks)
    ]


def _map(axes: Axes, cells: pd.DataFrame, title: str) -> Any:
    """Median error over targets, with iso-error lines; above the stairs an exact network exists."""
    errors = finished(cells).pivot_table(index="depth", columns="width", values="relative", aggfunc="median")
    logs = np.log10(np.maximum(errors.to_numpy(), 1e-9))
    shades = axes.pcolormesh(logs, cmap="viridis_r", vmin=-5, vmax=0)
    axes.set_xticks(np.arange(len(errors.columns)) + 0.5, [str(width) for width in errors.columns])
    axes.set_yticks(np.arange(len(errors.index)) + 0.5, [str(depth) for depth in errors.index])
    if min(logs.shape) > 1:
        xs, ys = np.arange(logs.shape[1]) + 0.5, np.arange(logs.shape[0]) + 0.5
        lines = axes.contour(xs, ys, logs, levels=(-4, -3, -2, -1), colors="white", linewidths=1, linestyles="-")
        axes.clabel(lines, fmt=lambda level: rf"$10^{{{level:.0f}}}$", fontsize=7)
    exact = cells.assign(exact=cells["exchange_depth"] <= cells["depth"])
    exact = exact.pivot_table(index="depth", columns="width", values="exact", aggfunc="mean")
    if (exact > 0.5).to_numpy().any():
        first = np.argmax((exact > 0.5).to_numpy(), axis=0).astype(float)
        first[~(exact > 0.5).to_numpy().any(axis=0)] = len(exact.index)
        edges = np.arange(len(first) + 1)
        look = {"color": CONSTRUCTION["color"], "linestyle": CONSTRUCTION["linestyle"], "linewidth": 1.8}
        axes.stairs(first, edges, baseline=None, **look)
    axes.set(xlabel="width", ylabel="hidden layers")
    axes.set_title(title)
    return shades


def _needed(axes: Axes, grid: pd.DataFrame, floor: pd.DataFrame, dim: int, letter: str) -> None:
    widths, deepest = sorted(grid["width"].unique().tolist()), float(grid["depth"].max())
    for index, (k, cells) in enumerate(grid.groupby("target.k")):
        look = series(index)
        color, marker = look["color"], {"marker": look["marker"], "linestyle": "none"}
        needed = depth_needed(cells, RELATIVE_ERROR)
        found = spans(needed, deepest)
        shift = 1.06 ** (index - 1)  # so that bars of different k do not hide each other
        place, whole, reached = found["width"] * shift, ~found["cut"], found["reached"]
        axes.vlines(place, found["low"], found["high"], color=color, linewidth=0.7)
        for end, here in (("low", found["low"] < found["middle"]), ("high", whole & (found["high"] > found["middle"]))):
            axes.plot(place[here], found[end][here], color=color, marker="_", markersize=4, linestyle="none")
        axes.plot(place[reached], found["middle"][reached], color=color, **marker)
        # an arrow upwards where the range has no upper end, and a hollow marker where the median has none
        axes.plot(place[~whole], 1.3 * found["high"][~whole], color=color, **UNREACHED)
        axes.plot(place[~reached], found["middle"][~reached], color=color, markerfacecolor="white", **marker)
        exact = floor[floor["width"].isin(widths) & (floor["target.k"] == k)].groupby("width")["exchange_depth"]
        axes.plot(exact.median().index, exact.median(), color=color, linestyle=CONSTRUCTION["linestyle"])
        least = depth_allowed(floor, needed, RELATIVE_ERROR).groupby("width")["depth"].median()
        proven = not (floor["relative_floor_stderr"] > 0).any()
        axes.plot(least.index * shift, least, **FLOOR_DASH | ({} if proven else {"color": GREY}), zorder=1.5)
        if _theorem_speaks(dim, k):
            width = isqrt(int(k) ** 3)
            axes.plot([widths[0], width], [k + 1] * 2, color=color, linestyle=DOTS, linewidth=0.9)
            axes.plot(width, k + 1, color=color, marker="x", markersize=6, zorder=5)
    fitted = law(depth_needed(grid, RELATIVE_ERROR))
    text = "" if fitted is None else f": width exponent {_exponent(fitted)}".replace("-", "\u2212")
    goal = f"hidden layers for relative\nsquared error $10^{{{np.log10(RELATIVE_ERROR):.0f}}}$"
    axes.set(xscale="log", yscale="log", xlabel="width", ylabel=goal)
    axes.set_title(rf"({letter}) $n={dim}${text}")
    number_ticks(axes.xaxis, widths)
    silent = dim in _silent(grid, floor)
    axes.set_ylim(bottom=0.4 if silent else 0.7)
    number_ticks(axes.yaxis, [2**power for power in range(int(np.log2(axes.get_ylim()[1])) + 1)])
    if silent:
        axes.text(0.5, 0.02, "the floor rules out no depth", transform=axes.transAxes, ha="center", fontsize=7)


def _theorem_speaks(dim: int, k: int) -> bool:
    """Whether Theorem 4 of Lu et al., as recalled, has its hypothesis: at width k^(3/2), k + 1 hidden layers."""
    return k >= dim + 4


def paper_rows(fits: pd.DataFrame, recalled: pd.DataFrame) -> pd.DataFrame:
    """The paper's table beside ours: squared error over targets, and its mean over the variance of the target."""
    known = recalled.set_index(["target.input_dim", "target.k"])
    rows = []
    for key, cells in fits.groupby(["target.input_dim", "target.k"]):
        done, first = finished(cells), cells.iloc[0]
        paper = known.loc[key]
        mse = done["test_mse"]
        sizes = (*key, first["width"], first["depth"], paper["average_mse"], paper["worst_mse"])
        rows.append((*sizes, mse.mean(), mse.max(), done["relative"].mean(), cells_note(cells)))
    columns = ["n", "k", "width", "layers", "recalled_average", "recalled_worst", "average", "worst", "relative"]
    return pd.DataFrame(rows, columns=[*columns, "fits"])


def _paper_table(axes: Axes, rows: pd.DataFrame) -> None:
    axes.set_axis_off()
    if rows.empty:
        return
    heads = ["$n$", "$k$", "width", "hidden layers", "average", "worst", "average", "worst", "relative"]
    shown = rows.astype({name: object for name in rows.columns})
    for name in ("recalled_average", "recalled_worst", "average", "worst", "relative"):
        shown[name] = [f"{value:.1e}" if np.isfinite(value) else "\u2013" for value in rows[name]]
    notes = [note.removeprefix("n = ") for note in rows["fits"]]
    ours = "ours" if len(set(notes)) > 1 else f"ours, {notes[0]} targets"
    shown = shown.drop(columns="fits")
    if ours == "ours":
        heads, shown = [*heads, "targets"], shown.assign(fits=notes)
    top = 1 - 1 / (len(rows) + 2)
    cells = axes.table(
        shown.astype(str).to_numpy().tolist(),
        colLabels=heads,
        bbox=Bbox.from_bounds(0, 0, 1, top),
        cellLoc="center",
        edges="horizontal",
    )
    cells.auto_set_font_size(False)
    cells.set_fontsize(8)
    for cell in cells.get_celld().values():
        cell.set_linewidth(0.4)
    for text, first, last in (("recalled, 50 targets", 4, 6), (ours, 6, len(heads))):
        left, right = first / len(heads), last / len(heads)
        axes.text((left + right) / 2, (1 + top) / 2, text, ha="center", va="center", fontsize=8)
        axes.plot([left + 0.01, right - 0.01], [top + 0.01] * 2, color="black", linewidth=0.4)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_title("(e) squared errors of the paper's students with its optimiser, over random targets", loc="left")


def floored(table: pd.DataFrame, floor: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All finished fits, not only the chosen ones, with a positive floor: certified, and by random lines.

    A floor by random lines is a mean with a standard error, and counts as positive where `TOLERANCE` of them are.
    """
    checked = compared(finished(table), floor)
    error = checked["relative_floor_stderr"]
    positive = checked["relative_floor"] > TOLERANCE * error
    return checked[positive & (error == 0)], checked[positive & (error > 0)]


def verdict(table: pd.DataFrame, floor: pd.DataFrame, recalled: pd.DataFrame) -> Verdict:
    """Held where the depth that is needed falls with width in every dimension, by the interval of its exponent.

    "not held" where in some it rises, or a fit lies under its floor; "open" where an interval has 0 in it, or too few
    depths are known for an exponent.
    """
    fits, (certified, sampled) = drawn(table, floor), floored(table, floor)
    grid, under, drifted = fits[fits["protocol"] == "grid"], under_floor(certified), under_floor(sampled)
    told, fitted, signs = [], {}, []
    for dim, cells in grid.groupby("target.input_dim"):
        needed = depth_needed(cells, RELATIVE_ERROR)
        told.append(f"n = {dim}: {_law_text(needed)}")
        found = law(needed)
        signs.append(0 if found is None else (found.low > 0) - (found.high < 0))
        if found:
            fitted[dim] = found
    refuted = len(under) + len(drifted) > 0 or max(signs) > 0
    state = "not held" if refuted else "held" if max(signs) < 0 else "open"
    sentence = f"over the widths tried the depth that reaches relative squared error {RELATIVE_ERROR:g} goes as "
    sentence += "width^p, by censored likelihood, for "
    students = fits[(fits["protocol"] == "paper") & (fits["target.input_dim"] == 1)]
    known = int((students["exchange_depth"] <= students["depth"]).sum())
    sentence += "; for ".join(told) + counted(
        known, len(students), "targets of n = 1", "; in (e) exact students exist for "
    )
    laws = [f"width^{found.slope:.2f} for n = {dim}" for dim, found in fitted.items()]
    short = f"the depth at which training reaches relative squared error {RELATIVE_ERROR:g} falls about as "
    short += " and ".join(laws)
    short *= state == "held"
    check = counted(len(under), len(certified), "trained networks with a positive certified floor (n = 1) lie under it")
    words = "" if len(certified) else "trained networks lie "  # said once
    words += f"under a floor by random lines (n = 2) that is positive by {TOLERANCE} standard errors"
    check = f"{check}{counted(len(drifted), len(sampled), words)}".removeprefix("; ")
    # Where an exact network exists all error is an optimisation gap; the floor speaks elsewhere.
    known = (grid["relative_floor"] > 0) & (grid["relative_floor_stderr"] == 0)
    narrow = grid[known & (grid["status"] == "done")]
    numbers: dict[str, float | None] = dict.fromkeys(("floor", "best_fit", "construction"))
    quantity = "relative squared error; no size with a positive certified floor was fitted"
    if len(narrow):
        tight = narrow.loc[(narrow["relative"] / narrow["relative_floor"]).idxmin()]
        numbers |= {"floor": tight["relative_floor"], "best_fit": tight["relative"]}
        numbers["construction"] = 0.0 if tight["exchange_depth"] <= tight["depth"] else None
        quantity = (
            f"relative squared error, n = {tight['target.input_dim']}, k = {tight['target.k']}, "
            f"width {tight['width']}, {tight['depth']} hidden layer{'s' if tight['depth'] > 1 else ''}, where a fit is "
            "nearest to its floor"
        )
    count = len(finished(table[table["optimizer"] == "adam"]))
    return Verdict(state, sentence, quantity, **numbers, n=count, check=check, short=short)


def caption(table: pd.DataFrame, floor: pd.DataFrame, recalled: pd.DataFrame) -> str:
    """What is drawn, how many fits, and whether the claim held, computed from the tables."""
    fits, (certified, sampled) = drawn(table, floor), floored(table, floor)
    grid, paper = fits[fits["protocol"] == "grid"], paper_rows(fits[fits["protocol"] == "paper"], recalled)
    under, drifted = under_floor(certified), under_floor(sampled)
    compliance = floors_kept(len(under), len(certified), kind="positive certified floor (n = 1)")
    compliance += counted(len(drifted), len(sampled), "lie under floors by random lines (n = 2)", ", and ")
    exact = grid[grid["exchange_depth"] <= grid["depth"]]
    gap = f" ({len(exact)} fits, median {exact['relative'].median():.1e})" if len(exact) else ""
    speaks = any(
        _theorem_speaks(dim, k) for dim, k in set(zip(grid["target.input_dim"], grid["target.k"], strict=True))
    )
    ours = table[table["optimizer"] == "adam"]
    tried = ours.groupby([*TARGET, "width", "depth"]).size()
    lost = len(ours) - len(finished(ours))
    ratio = paper["average"] / paper["recalled_average"]
    beside = "ours are all lost or not computed"
    if ratio.notna().any():
        beside = f"our averages are {ratio.min():.2g} to {ratio.max():.2g} times the paper's"
    laws = [
        f"{_exponent(law(depth_needed(cells, RELATIVE_ERROR)))} for n = {dim}"
        for dim, cells in grid.groupby("target.input_dim")
    ]
    return (
        "The narrower the layers, the more of them the same error takes (Lu et al. 2017; Vardi et al. 2022): the "
        f"claim {HELD[verdict(table, floor, recalled).state]}. (a, b) Relative squared error, E (f - g)^2 / Var f, "
        f"median of {grid['target.seed'].nunique()} random targets; above the dashes it is all optimisation gap{gap}. "
        f"(c, d) Least depth tried that reaches {RELATIVE_ERROR:g}: median and range over targets, best of "
        f"{span(tried)} fits by training loss, {ours['num_steps'].max()} steps of Adam"
        f"{f'; {lost} of {len(ours)} fits failed or diverged' if lost else ''}. (e) {beside[0].upper()}{beside[1:]}. "
        f"Depth goes as width^p, p (95 %, jackknife over targets) being {', '.join(laws)}; {compliance}. The "
        f"paper's numbers{' and Theorem 4' * speaks}: as recalled."
    )


def _silent(grid: pd.DataFrame, floor: pd.DataFrame) -> list[int]:
    """The input dimensions for which the floor allows the shallowest network that was fitted at every width."""
    allowed = depth_allowed(floor, depth_needed(grid, RELATIVE_ERROR), RELATIVE_ERROR)
    least = allowed.groupby("target.input_dim")["depth"].max()
    return [int(dim) for dim in least.index[least <= grid["depth"].min()]]


def _exponent(fitted: CensoredLine | None) -> str:
    ends = "(no interval)" if fitted is None or np.isnan(fitted.low) else f"[{fitted.low:.2f}, {fitted.high:.2f}]"
    return "unknown" if fitted is None else f"{fitted.slope:.2f} {ends}"


def _law_text(needed: pd.DataFrame) -> str:
    """The exponent with its interval, how much likelier a law exponential in 1/width is, and what is censored."""
    never, at_once = int(np.isinf(needed["depth"]).sum()), int((needed["after"] == 0).sum())
    censored = f"of {len(needed)} cells {never} never reached, {at_once} by the fewest layers"
    fitted, other = law(needed), law(needed, np.reciprocal)
    if fitted is None or other is None:
        return f"p is unknown ({censored})"
    gain = other.log_likelihood - fitted.log_likelihood
    instead = f"exponential in 1/width: log-likelihood {gain:+.1f}"
    return f"p = {_exponent(fitted)} ({instead}; {censored})"


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
