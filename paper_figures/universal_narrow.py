"""Error of universal narrow constructions against depth: line in sup and mean norms, plane, and a convex function.

Draws results/<scale>/universal_narrow.csv with .floor.csv, .network.csv and .needed.csv; see
experiments/universal_narrow.py.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from widththeory import command
from widththeory.estimates import finished, fit_power_law, select_learning_rate
from widththeory.plotting import CONSTRUCTION, FLOOR, TEXT_WIDTH, series
from widththeory.verdicts import Verdict, floor_check

DISTANCE, PARABOLA = "lipschitz_narrow.DistanceToPoints", "convex_lipschitz.ConvexParabola"
CELL = ["target", "target.input_dim", "width", "depth"]
NORMS = ("sup", "l2", "l1")
WORDS = {"sup": "sup", "l2": "$L_2$", "l1": "$L_1$"}
ROUNDING = 1e-9  # relative; errors of one variable are exact up to some 1e-12
TOLERANCE = 4  # standard errors of a sampled error
SLACK = (
    0.25  # of the exponent of a promise, by which the measured one may differ: few depths, kinks between grid points
)

NAMES = {
    "grid": "grid",
    "chords": "chords",
    "exchange": "exchange",
    "digits": "packed digits",
    "memoriser": "memoriser",
    "narrowest": "memoriser",
    "trapezoid": "bumps",
    "planes": "max of planes",
    "square": "folds",
}


def rate(kind: str, target: str, dim: int) -> float | None:
    """The theorem's exponent of the error in the depth, in the limit; None for the folds, which are exponential."""
    if kind == "square":
        return None
    if kind == "digits" or (target == PARABOLA and kind == "chords"):
        return -2.0
    return -2.0 / dim if kind == "planes" else -1.0 / dim


def drawn(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> pd.DataFrame:
    """The chosen fits with their floors, and the best explicit network that is no wider and no deeper, in L2."""
    return compared(select_learning_rate(table, by=CELL), floor, network)


def compared(fits: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> pd.DataFrame:
    """Fits, chosen or not; L2 errors of one variable are exact, in the plane they are those of the sample."""
    fits = fits.merge(floor, on=CELL, how="left").rename(columns={f"exact_{norm}_error": norm for norm in NORMS})
    fits = fits.assign(l2=fits["l2"].fillna(np.sqrt(fits["test_mse"])), relative=fits["relative_error"])
    fits["explicit"] = [
        network.loc[
            (network["target"] == target)
            & (network["input_dim"] == dim)
            & (network["width"] <= width)
            & (network["depth"] <= depth),
            "l2",
        ].min()
        for target, dim, width, depth in fits[CELL].itertuples(index=False)
    ]
    kept = [*CELL, "seed", "learning_rate", "relative", *NORMS, *(f"{norm}_floor" for norm in NORMS), "explicit"]
    return fits[[*kept, "status", *(["diverged"] if "diverged" in fits else [])]]


def under_floor(fits: pd.DataFrame) -> pd.DataFrame:
    """Fits under the floor of their size in any of the three norms: defects."""
    under = pd.Series(False, index=fits.index)
    for norm in NORMS:
        under |= fits[norm] < fits[f"{norm}_floor"] * (1 - ROUNDING)
    return fits[under]


def slopes(network: pd.DataFrame) -> pd.DataFrame:
    """A row a construction: exponents of measured and promised error in the depth, over the same networks."""
    rows = []
    for (target, dim, kind), group in network[network["bound"] > 0].groupby(["target", "input_dim", "kind"]):
        if len(group) < 2 or group["error"].min() <= 0:
            continue
        found = [
            fit_power_law(group["depth"], group[name], with_floor=False, num_resamples=1).exponent
            for name in ("error", "bound")
        ]
        kept = group["error"] - TOLERANCE * group["stderr"] <= group["bound"] * (1 + ROUNDING)
        width, norm = int(group["width"].iloc[0]), group["norm"].iloc[0]
        rows.append((target, int(dim), kind, width, norm, *found, rate(kind, target, int(dim)), bool(kept.all())))
    columns = ["target", "input_dim", "kind", "width", "norm", "measured", "promised", "theorem", "kept"]
    found = pd.DataFrame(rows, columns=columns)
    return found.assign(agrees=(found["measured"] - found["promised"]).abs() <= SLACK * found["promised"].abs())


def figure(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> Figure:
    """Four panels; each construction in the norm of its theorem."""
    fits = drawn(table, floor, network)
    picture = Figure(figsize=(TEXT_WIDTH, 6.4), layout="constrained")
    picture.suptitle("At constant width, accuracy is paid in depth, at the theorems' rates", size=9.5)
    panels: Any = picture.subplots(2, 2)
    line = network[(network["target"] == DISTANCE) & (network["input_dim"] == 1)]
    _panel(panels[0, 0], line[line["norm"] == "sup"], fits, floor, DISTANCE, 1, "sup")
    panels[0, 0].set_title("(a) Lipschitz, $n=1$, sup")
    _panel(panels[0, 1], line[line["norm"] != "sup"], fits, floor, DISTANCE, 1, "l2")
    panels[0, 1].set_title("(b) Lipschitz, $n=1$, mean norms")
    plane = network[(network["target"] == DISTANCE) & (network["input_dim"] == 2)]
    _panel(panels[1, 0], plane, fits, floor, DISTANCE, 2, "l2")
    panels[1, 0].set_title("(c) Lipschitz, $n=2$")
    _panel(panels[1, 1], network[network["target"] == PARABOLA], fits, floor, PARABOLA, 1, "sup")
    panels[1, 1].set_title("(d) convex, $|x|^2/2$, sup")
    return picture


def _panel(
    axes: Axes, rows: pd.DataFrame, fits: pd.DataFrame, floor: pd.DataFrame, target: str, dim: int, norm: str
) -> None:
    """Measured (lines), promised (dotted), trained (open markers, median and range) and floors in `norm`."""
    found = slopes(rows)
    for index, one in enumerate(found.itertuples()):
        group = rows[(rows["kind"] == one.kind) & (rows["input_dim"] == one.input_dim)].sort_values("depth")
        look = series(index)
        theorem = "exp." if np.isnan(one.theorem) else f"{one.theorem:g}"
        where = f", $n={one.input_dim}$" if rows["input_dim"].nunique() > 1 else ""
        label = f"{NAMES[one.kind]}{where}, width {one.width}, {WORDS[one.norm]}: {one.measured:.2f} ({theorem})"
        axes.plot(group["depth"], group["error"], color=look["color"], marker=look["marker"], label=label)
        axes.plot(group["depth"], group["bound"], color=look["color"], linestyle=(0, (1, 1.2)), linewidth=0.9)
    cells = finished(fits[(fits["target"] == target) & (fits["target.input_dim"] == dim)])
    for index, (width, group) in enumerate(cells.groupby("width")):
        by = group.groupby("depth")[norm]
        middle, low, high = by.median(), by.min(), by.max()
        shade, marker, shift = ("0.25", "x", 0.97) if index == 0 else ("0.5", "+", 1.03)
        label = f"trained, width {width:.0f}, {WORDS[norm]}"
        look = {"color": shade, "marker": marker, "linestyle": "none", "markersize": 5, "label": label}
        axes.errorbar(middle.index * shift, middle, [middle - low, high - middle], elinewidth=0.7, **look)
    least = [float(rows["error"].where(rows["error"] > 0).min()), *cells[norm].tolist()]
    bottom = 0.3 * min(least)
    proven = floor[(floor["target"] == target) & (floor["target.input_dim"] == dim) & (floor["depth"] > 0)]
    proven = proven[(proven[f"{norm}_floor"] > bottom) & proven["width"].isin(cells["width"].unique())]
    for index, (width, group) in enumerate(proven.groupby("width")):
        look = {**FLOOR, "label": f"floor, width {width:.0f}", "linestyle": "-" if index == 0 else (0, (4, 1))}
        group = group.sort_values("depth")
        axes.plot(group["depth"], group[f"{norm}_floor"], **look, marker="_", markersize=6)
    exact = rows[rows["error"] == 0]
    if len(exact):
        look = {
            **CONSTRUCTION,
            "linestyle": "none",
            "label": f"exact, width {exact['width'].iloc[0]}",
            "clip_on": False,
        }
        axes.plot(exact["depth"], [bottom] * len(exact), **{**look, "markersize": 8})
    axes.set(xscale="log", yscale="log", xlabel="hidden layers", ylabel="error", ylim=(bottom, None))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), fontsize=6.5, ncols=2, columnspacing=0.8)


def gaps(fits: pd.DataFrame) -> pd.DataFrame:
    """Fits whose L2 error is above that of an explicit network no wider and no deeper: optimisation gaps."""
    return finished(fits[(fits["explicit"] < fits["l2"]) & fits["explicit"].notna()])


def _explicit_sup(network: pd.DataFrame, target: str, dim: int, width: int, depth: int) -> float:
    """Least sup error of explicit networks no wider and no deeper; NaN where there is none."""
    rows = network[(network["target"] == target) & (network["input_dim"] == dim)]
    return float(rows.loc[(rows["width"] <= width) & (rows["depth"] <= depth), "sup"].min())


def verdict(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> Verdict:
    """Held where every promise is kept, exponents agree with those of the promises, and no fit is under a floor."""
    measured = compared(finished(table), floor, network)
    measured = measured[measured[[f"{norm}_floor" for norm in NORMS]].max(axis=1) > 0]
    under, found = under_floor(measured), slopes(network)
    good = under.empty and bool(found["kept"].all()) and bool(found["agrees"].all())
    # the highest floor, of a size that explicit weights fit in if there is one
    floored = measured[measured["sup_floor"] > 0].sort_values(["sup_floor", *CELL])
    explicit = [_explicit_sup(network, *cell) for cell in floored[CELL].itertuples(index=False)]
    floored = floored.assign(explicit_sup=explicit)
    both = floored[floored["explicit_sup"].notna()]
    one = (floored if both.empty else both).iloc[-1]
    same = measured[(measured[CELL] == one[CELL]).all(axis=1)]
    kept, agreed = int(found["kept"].sum()), int(found["agrees"].sum())
    sentence = (
        f"{kept} of {len(found)} families of networks keep the error that their theorem promises at every depth, and "
        f"the errors of {agreed} fall with the depth as promised"
    )
    name = "the distance to points" if one["target"] == DISTANCE else "x^2 / 2"
    return Verdict(
        "held" if good else "not held",
        sentence,
        f"sup error on [0, 1] for {name}, width {one['width']}, {one['depth']} hidden "
        f"layer{'s' if one['depth'] > 1 else ''}",
        one["sup_floor"],
        same["sup"].min(),
        None if both.empty else one["explicit_sup"],
        len(measured),
        check=floor_check(len(under), len(measured)),
    )


def caption(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame, needed: pd.DataFrame) -> str:
    """What is drawn, what each construction pays, and whether rates and promises held, computed from the tables."""
    fits, found = drawn(table, floor, network), slopes(network)
    measured = compared(finished(table), floor, network)
    measured = measured[measured[[f"{norm}_floor" for norm in NORMS]].max(axis=1) > 0]
    under, gap = under_floor(measured), gaps(fits)
    checked = (
        f"none of {len(measured)} trained networks with a positive floor lies under it"
        if under.empty
        else f"{len(under)} of {len(measured)} trained networks lie under their floor, which is a defect"
    )
    promise = needed["promise"].min()
    price = needed[(needed["promise"] == promise) & (needed["target"] == DISTANCE)].sort_values(["input_dim", "depth"])
    prices = {
        dim: ", ".join(
            f"{NAMES[row.kind]} {row.depth} (width {row.width}, {row.norm.replace('l', 'L')})"
            for row in rows.itertuples()
        )
        for dim, rows in price.groupby("input_dim")
    }
    paid = "; ".join(f"n = {dim}: {text}" for dim, text in prices.items())
    held = "holds" if verdict(table, floor, network).state == "held" else "does not hold"
    off = (found["measured"] / found["promised"] - 1).abs().max()
    exact = network[network["error"] == 0]
    free = ", ".join(f"width {row.width} and {row.depth} layers" for row in exact.itertuples())
    level = floor[(floor["target.input_dim"] == 2) & (floor["sup_floor"] > 0)]
    lost, cells = len(fits) - len(finished(fits)), fits.groupby(CELL).size()
    rates = ", ".join(f"{value:g}" for value in sorted(table["learning_rate"].unique()))
    free = f"The distance on the line is exact at {free} (Hanin 2019). " if free else ""
    flat = (
        f"In the plane width 2 has sup error at least {level['sup_floor'].max():.2g} at every depth (level sets), and "
        "L2 error as small as one likes. "
        if len(level)
        else ""
    )
    return (
        "Explicit narrow networks on shared targets: distance to four points of [0, 1]^n (Lipschitz), |x|^2 / 2 "
        "(convex). Lines: measured, each in the norm of its theorem; dotted: promised; numbers: exponent in the depth, "
        "in brackets the theorem's in the limit (grid, chords and exchange derived; memoriser Park et al. 2021 and "
        "Kim, Min, Park 2024, bumps Lu et al. 2017, digits Yarotsky 2018, planes Hanin 2019, folds Yarotsky 2017, all "
        f"as recalled). The claim {held}: {found['kept'].sum()} of {len(found)} keep their promise at every depth, "
        f"and exponents differ from those of the promises over the same depths by at most {100 * off:.0f} %. Hidden "
        f"layers that promise error {promise:g}: {paid}. {free}"
        f"{flat}Black: floor from affine pieces; {checked} in sup, L2 or L1. Of {len(finished(fits))} trained networks "
        f"{len(gap)} have a larger L2 error than an explicit one no wider and no deeper, an optimisation gap. Crosses: "
        f"median and range of n = {cells.min()} initialisations, {table['num_steps'].max()} steps of Adam (rate of "
        f"{rates} by training loss){f'; {lost} of {len(fits)} fits failed or diverged' if lost else ''}. Errors for n "
        "= 1 are exact (digits: on a fine grid), for n = 2 sampled."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
