"""Depth compensates width: the error over both, and the depth that a narrow network needs.

Draws results/<scale>/depth_compensates_width.csv with .floor.csv; see experiments/depth_compensates_width.py.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from widththeory import command
from widththeory.estimates import PowerLaw, cells_note, finished, fit_power_law
from widththeory.plotting import COLORS, CONSTRUCTION, FLOOR, TEXT_WIDTH, series
from widththeory.verdicts import Verdict, floor_check

TARGET = ["target.input_dim", "target.k", "target.seed"]
TOLERANCE = 4  # standard errors of what was sampled, of errors and of floors, that count as chance
RELATIVE_ERROR = 1e-3  # that the depth is asked for: between what one layer reaches and what no fit does


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


def depth_needed(fits: pd.DataFrame, relative_error: float, column: str = "relative") -> pd.DataFrame:
    """The least depth at which `column` falls to `relative_error`, a row a target and width; NaN where it never does.

    Between two depths of the grid the logarithm of the error is interpolated in the logarithm of the depth. `first`:
    the shallowest network of the grid was good enough already, so that the depth is only bounded from above.
    """
    rows = []
    for key, cells in finished(fits).sort_values("depth").groupby([*TARGET, "width"]):
        depths, errors = cells["depth"].to_numpy(float), cells[column].to_numpy(float)
        good = np.flatnonzero(errors <= relative_error)
        depth = np.nan
        if good.size:
            at = good[0]
            depth = depths[at]
            if at and errors[at] > 0:
                step = np.log(depths[at] / depths[at - 1]) / np.log(errors[at] / errors[at - 1])
                depth = depths[at - 1] * np.exp(step * np.log(relative_error / errors[at - 1]))
        rows.append((*key, depth, bool(good.size and good[0] == 0)))
    return pd.DataFrame(rows, columns=[*TARGET, "width", "depth", "first"])


def exponent(needed: pd.DataFrame) -> PowerLaw | None:
    """depth = c_k width^p, from the cells where the depth lies between two depths of the grid; None if too few.

    Each k has a coefficient of its own: harder targets leave the grid at narrow widths first, which would else bend p.
    """
    inside = needed[needed["depth"].notna() & ~needed["first"]]
    if inside["width"].nunique() < 2 or len(inside) < 4:
        return None
    logs = np.log(inside[["width", "depth"]])
    scaled = np.exp(logs - logs.groupby(inside["target.k"]).transform("mean"))
    targets = inside[TARGET].astype(str).agg("/".join, axis=1)
    return fit_power_law(scaled["width"], scaled["depth"], with_floor=False, groups=targets)


def figure(table: pd.DataFrame, floor: pd.DataFrame, recalled: pd.DataFrame) -> Figure:
    """Maps of the error, depth needed against width, and the paper's table."""
    fits = drawn(table, floor)
    grid = fits[fits["protocol"] == "grid"]
    dims = sorted(grid["target.input_dim"].unique())
    ks = sorted(grid["target.k"].unique())
    picture = Figure(figsize=(TEXT_WIDTH, 7.1), layout="constrained")
    picture.suptitle("What depth a narrower network needs: floor, trained networks, exact exchange", size=9.5)
    rows: Any = picture.subfigures(3, 1, height_ratios=(2.3, 2.9, 1.7))
    maps = rows[0].subplots(1, len(dims), squeeze=False)[0]
    curves = rows[1].subplots(1, len(dims), squeeze=False)[0]
    shades = None
    for letter, axes, dim in zip("ab", maps, dims, strict=False):
        cells = grid[(grid["target.input_dim"] == dim) & (grid["target.k"] == ks[len(ks) // 2])]
        shades = _map(axes, cells, f"({letter}) $n={dim}$, $k={ks[len(ks) // 2]}$")
    rows[0].colorbar(shades, ax=maps, label=r"$\log_{10}$ relative error", shrink=0.9)
    for letter, axes, dim in zip("cd", curves, dims, strict=False):
        _needed(axes, grid[grid["target.input_dim"] == dim], floor[floor["target.input_dim"] == dim], dim, letter)
    curves[0].legend(loc="upper right", fontsize=7)
    _paper_table(rows[2].subplots(), paper_rows(fits[fits["protocol"] == "paper"], recalled))
    return picture


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
        axes.stairs(first, edges, baseline=None, color=COLORS["vermilion"], linewidth=1.8)
    axes.set(xlabel="width", ylabel="hidden layers")
    axes.set_title(title)
    return shades


def _needed(axes: Axes, grid: pd.DataFrame, floor: pd.DataFrame, dim: int, letter: str) -> None:
    widths = sorted(grid["width"].unique())
    floor = floor[floor["width"].isin(widths)]
    for index, (k, cells) in enumerate(grid.groupby("target.k")):
        look = series(index)
        # A target that is never reached counts as infinitely deep, and its bar ends at the deepest network tried.
        needed = depth_needed(cells, RELATIVE_ERROR).fillna({"depth": np.inf}).groupby("width")["depth"]
        reached = needed.median()[np.isfinite(needed.median())].index
        middle, low, high = (part[reached] for part in (needed.median(), needed.min(), needed.max()))
        high = np.minimum(high, grid["depth"].max())
        shift = 1.0 + 0.02 * (index - 1)  # so that bars of different k do not hide each other
        axes.errorbar(
            middle.index * shift,
            middle,
            [middle - low, high - middle],
            color=look["color"],
            marker=look["marker"],
            linestyle="none",
            capsize=1.5,
            elinewidth=0.7,
            label=f"trained, $k={k}$",
        )
        exact = floor[floor["target.k"] == k].groupby("width")["exchange_depth"].median()
        line = {**CONSTRUCTION, "color": look["color"], "marker": None}
        axes.plot(exact.index, exact, **{**line, "label": "exact exchange" if index == 0 else None})
        axes.plot([widths[0], int(k**1.5)], [k + 1] * 2, color=look["color"], linestyle=(0, (1, 1)), linewidth=0.9)
        axes.plot([int(k**1.5)], [k + 1], color=look["color"], marker="x", linestyle="none", markersize=6, zorder=5)
    known = floor.assign(relative=floor["relative_floor"] - TOLERANCE * floor["relative_floor_stderr"])
    least = depth_needed_floor(known, RELATIVE_ERROR)
    axes.plot(least.index, least, **{**FLOOR, "label": "floor"}, drawstyle="steps-mid")
    fitted = exponent(depth_needed(grid, RELATIVE_ERROR))
    text = "" if fitted is None else f", exponent {fitted.exponent:.2f} [{fitted.low:.2f}, {fitted.high:.2f}]"
    axes.set(xscale="log", yscale="log", xlabel="width", ylabel="hidden layers needed")
    axes.set_title(rf"({letter}) $n={dim}$, relative error $10^{{{np.log10(RELATIVE_ERROR):.0f}}}${text}", fontsize=8)
    _plain_ticks(axes, widths)
    axes.set_ylim(bottom=0.8)


def depth_needed_floor(floor: pd.DataFrame, relative_error: float) -> pd.Series:
    """For each width the least depth whose floor allows the error, for the easiest of the targets."""
    allowed = floor[floor["relative"] <= relative_error]
    return allowed.groupby("width")["depth"].min()


def _plain_ticks(axes: Axes, widths: Sequence[int]) -> None:
    axes.xaxis.set_major_locator(FixedLocator(list(widths)))
    axes.xaxis.set_major_formatter(FixedFormatter([str(width) for width in widths]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def paper_rows(fits: pd.DataFrame, recalled: pd.DataFrame) -> pd.DataFrame:
    """The paper's table beside ours: MSE over targets, and the same over the variance of the target."""
    known = recalled.set_index(["target.input_dim", "target.k"])
    rows = []
    for key, cells in fits.groupby(["target.input_dim", "target.k"]):
        done, first = finished(cells), cells.iloc[0]
        paper = known.loc[key]
        mse = done["test_mse"]
        sizes = (*key, first["width"], first["depth"], paper["average_mse"], paper["worst_mse"])
        rows.append((*sizes, mse.mean(), mse.max(), done["relative"].mean(), cells_note(cells)))
    columns = [
        "n",
        "k",
        "width",
        "layers",
        "recalled_average",
        "recalled_worst",
        "average",
        "worst",
        "relative",
        "fits",
    ]
    return pd.DataFrame(rows, columns=columns)


def _paper_table(axes: Axes, rows: pd.DataFrame) -> None:
    axes.set_axis_off()
    numbers = ["recalled_average", "recalled_worst", "average", "worst", "relative"]
    shown = rows.astype({name: object for name in rows.columns})
    for name in numbers:
        shown[name] = [f"{value:.1e}" for value in rows[name]]
    heads = ["n", "k", "width", "hidden layers", "average", "worst", "average", "worst", "MSE / Var", "targets"]
    cells = axes.table(
        shown.astype(str).to_numpy().tolist(), colLabels=heads, loc="center", cellLoc="center", edges="horizontal"
    )
    cells.auto_set_font_size(False)
    cells.set_fontsize(8)
    for cell in cells.get_celld().values():
        cell.set_linewidth(0.4)
    axes.set_title("(e) the paper's students: MSE as recalled (left pair) and measured (right pair)", loc="left")


def _floored(table: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """All finished fits, not only the chosen ones, that have a positive floor."""
    checked = compared(finished(table), floor)
    return checked[checked["relative_floor"] > 0]


def verdict(table: pd.DataFrame, floor: pd.DataFrame, recalled: pd.DataFrame) -> Verdict:
    """Held where the depth that is needed falls with width, in every dimension that has an exponent."""
    fits, checked = drawn(table, floor), _floored(table, floor)
    grid, under = fits[fits["protocol"] == "grid"], under_floor(checked)
    told, falls, laws = [], [], []
    for dim, cells in grid.groupby("target.input_dim"):
        needed = depth_needed(cells, RELATIVE_ERROR)
        fitted, never = exponent(needed), int(needed["depth"].isna().sum())
        if fitted is not None:
            told.append(
                f"as width^{fitted.exponent:.2f} [{fitted.low:.2f}, {fitted.high:.2f}] for n = {dim} ({never} of "
                f"{len(needed)} pairs of a target and a width never reach it)"
            )
            falls.append(fitted.high < 0)
            laws.append(f"width^{fitted.exponent:.2f} for n = {dim}")
    state = "not held" if len(under) or (falls and not all(falls)) else "held" if falls else "open"
    sentence = (
        f"the depth that reaches relative error {RELATIVE_ERROR:g} falls "
        f"{' and '.join(told) or 'at no measurable rate'}"
    )
    short = f"where training reaches relative error {RELATIVE_ERROR:g}, its depth falls as {' and '.join(laws)}"
    short *= state == "held"
    # Where an exact network exists all error is an optimisation gap; the floor speaks elsewhere.
    narrow = grid[(grid["relative_floor"] > 0) & (grid["status"] == "done")]
    numbers: dict[str, float | None] = dict.fromkeys(("floor", "best_fit", "construction"))
    quantity = "relative squared error; no size with a positive floor was fitted"
    if len(narrow):
        tight = narrow.loc[(narrow["relative"] / narrow["relative_floor"]).idxmin()]
        numbers |= {"floor": tight["relative_floor"], "best_fit": tight["relative"]}
        numbers["construction"] = 0.0 if tight["exchange_depth"] <= tight["depth"] else None
        quantity = (
            f"relative squared error, n = {tight['target.input_dim']}, k = {tight['target.k']}, "
            f"width {tight['width']}, {tight['depth']} hidden layer{'s' if tight['depth'] > 1 else ''}, where a fit is "
            "nearest to its floor"
        )
    return Verdict(
        state, sentence, quantity, **numbers, n=len(checked), check=floor_check(len(under), len(checked)), short=short
    )


def caption(table: pd.DataFrame, floor: pd.DataFrame, recalled: pd.DataFrame) -> str:
    """What is drawn, how many fits, and whether the claim held, computed from the tables."""
    fits = drawn(table, floor)
    grid, paper = fits[fits["protocol"] == "grid"], paper_rows(fits[fits["protocol"] == "paper"], recalled)
    checked = _floored(table, floor)
    under = under_floor(checked)
    compliance = (
        f"none of {len(checked)} trained networks with a positive floor lies under it"
        if under.empty
        else f"{len(under)} of {len(checked)} trained networks lie under their floor, which is a defect"
    )
    exact = grid[grid["exchange_depth"] <= grid["depth"]]
    gap = f"{len(exact)} networks, median {exact['relative'].median():.1e}" if len(exact) else "no network of this grid"
    claims = []
    for dim, cells in grid.groupby("target.input_dim"):
        needed = depth_needed(cells, RELATIVE_ERROR)
        fitted, never = exponent(needed), int(needed["depth"].isna().sum())
        text = f"n = {dim}: "
        text += "no exponent (too few crossings)" if fitted is None else _exponent_text(fitted)
        claims.append(text + (f", {never} of {len(needed)} never reach it" if never else ""))
    ours = table[table["optimizer"] == "adam"]
    tried = ours.groupby([*TARGET, "width", "depth"]).size()
    lost = len(ours) - len(finished(ours))
    ratio = paper["average"] / paper["recalled_average"]
    beside = "Ours all failed"
    if ratio.notna().any():
        beside = f"Our averages are {ratio.min():.2g} to {ratio.max():.2g} times theirs"
    students = fits[(fits["protocol"] == "paper") & (fits["target.input_dim"] == 1)]
    known = int((students["exchange_depth"] <= students["depth"]).sum())
    return (
        "Depth compensates width (Lu et al. 2017; Vardi et al. 2022): random targets of width 2 k^2 with two hidden "
        f"layers, fitted by narrower and deeper networks; {compliance}. (a), (b) Median over "
        f"{grid['target.seed'].nunique()} targets of the squared L2 error over the variance of the target; lines: "
        "equal error. Above the stairs an exact network of that width and depth exists, so that size is no limit there "
        f"and the error is left by training ({gap}). (c), (d) Hidden layers "
        f"that reach relative error {RELATIVE_ERROR:g}: markers, trained, median over targets with their range, up to "
        "the deepest network tried where a target is not reached; dashed, exact exchange; black, the least depth "
        "that the floor allows for the easiest target: for n = 1 the best function with as many affine "
        f"pieces, certified; for n = 2 the mean of that over random lines less {TOLERANCE} standard errors"
        f"{_silent(floor)}; "
        "dotted, sizes of Theorem 4 as recalled, up to k^(3/2) units in each of k + 1 hidden layers (k + 2 with the "
        "output): for k >= n + 4 some target of width 2 k^2, not these random ones, keeps a positive distance from all "
        "networks of at most that size with bounded parameters. Depth as a power of the width, "
        f"from the crossings inside the grid: {'; '.join(claims)}. Best of {tried.min()} fits a network (restarts and "
        f"learning rates {', '.join(f'{rate:g}' for rate in sorted(ours['learning_rate'].unique()))}), chosen by "
        f"training loss, {ours['num_steps'].max()} steps of Adam"
        f"{f'; {lost} of {len(ours)} fits failed or diverged' if lost else ''}. (e) The paper's students with its "
        "optimiser; its numbers are as recalled, over 50 targets; batch size and initialisation are not recalled. "
        f"{beside}. For n = 1 an exact network of the student's size exists "
        f"for {known} of {len(students)} targets, so that what remains there is left by training, not by size."
    )


def _silent(floor: pd.DataFrame) -> str:
    """Says for which input dimensions the floor allows the least depth at every width: then it rules nothing out."""
    known = floor.assign(relative=floor["relative_floor"] - TOLERANCE * floor["relative_floor_stderr"])
    silent = [
        f"n = {dim}"
        for dim, rows in known.groupby("target.input_dim")
        if (depth_needed_floor(rows, RELATIVE_ERROR) <= rows["depth"].min()).all()
    ]
    return f" (it rules out no depth at this error for {' and '.join(silent)})" if silent else ""


def _exponent_text(fitted: PowerLaw) -> str:
    interval = f"[{fitted.low:.2f}, {fitted.high:.2f}]"
    return f"exponent {fitted.exponent:.2f} {interval} (95 % bootstrap over targets, {fitted.n} crossings)"


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
