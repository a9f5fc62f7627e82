"""Error of universal narrow constructions against depth: line in sup and mean norms, plane, and a convex function.

Draws results/<scale>/universal_narrow.csv with .floor.csv, .network.csv and .needed.csv; see
experiments/universal_narrow.py.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from widththeory import command
from widththeory.estimates import finished, fit_power_law, select_learning_rate, span
from widththeory.plotting import COLORS, CONSTRUCTION, FLOOR, TEXT_WIDTH
from widththeory.verdicts import Verdict, counted, floor_check, floors_kept

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

# Explicit families are warm, filled and joined by dashes; trained networks are cool, open and never joined.
EXPLICIT = (COLORS["vermilion"], COLORS["orange"], "#7F3300", COLORS["purple"], "#F4A582")
TRAINED = (COLORS["blue"], COLORS["sky"], COLORS["green"], "#332288", "0.45", "#117777")
SHAPES = ("o", "s", "^", "D", "v", "P")


def rate(kind: str, target: str, dim: int) -> float | None:
    """The power of the depth that a promise tends to; None for the folds, whose promise is exponential."""
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
    columns = ["target", "input_dim", "kind", "width", "norm", "measured", "promised", "limit", "kept"]
    found = pd.DataFrame(rows, columns=columns)
    return found.assign(agrees=(found["measured"] - found["promised"]).abs() <= SLACK * found["promised"].abs())


def figure(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame) -> Figure:
    """Four panels; each construction in the norm of its promise."""
    fits = drawn(table, floor, network)
    picture = Figure(figsize=(TEXT_WIDTH, 7.4), layout="constrained")
    picture.suptitle("At constant width, accuracy is paid in depth, at the rates of the constructions", size=9.5)
    panels: Any = picture.subplots(2, 2)
    line = network[(network["target"] == DISTANCE) & (network["input_dim"] == 1)]
    _panel(panels[0, 0], line[line["norm"] == "sup"], fits, floor, (DISTANCE, 1, "sup"))
    panels[0, 0].set(title="(a) Lipschitz, $n=1$", ylabel="sup error")
    _panel(panels[0, 1], line[line["norm"] != "sup"], fits, floor, (DISTANCE, 1, "l2"))
    panels[0, 1].set(title="(b) Lipschitz, $n=1$", ylabel="$L_1$ or $L_2$ error")
    plane = network[(network["target"] == DISTANCE) & (network["input_dim"] == 2)]
    _panel(panels[1, 0], plane, fits, floor, (DISTANCE, 2, "l2"))
    panels[1, 0].set(title="(c) Lipschitz, $n=2$", ylabel="$L_1$, $L_2$ or sup error")
    _panel(panels[1, 1], network[network["target"] == PARABOLA], fits, floor, (PARABOLA, 1, "sup"))
    panels[1, 1].set(title="(d) convex, $|x|^2/2$", ylabel="sup error")
    return picture


def _panel(
    axes: Axes, rows: pd.DataFrame, fits: pd.DataFrame, floor: pd.DataFrame, place: tuple[str, int, str]
) -> None:
    """Explicit networks, trained ones of the target, dimension and norm in `place`, their floors, and what is exact."""
    target, dim, norm = place
    _families(axes, rows)
    cells = finished(fits[(fits["target"] == target) & (fits["target.input_dim"] == dim)])
    exact = rows[rows["error"] == 0]
    least = min(float(rows["error"].where(rows["error"] > 0).min()), float(cells[norm].min()))
    bottom = (0.08 if len(exact) else 0.3) * least
    proven = floor[(floor["target"] == target) & (floor["target.input_dim"] == dim) & (floor["depth"] > 0)]
    proven = proven[proven[f"{norm}_floor"] > bottom]
    looks = dict(zip(sorted(fits["width"].unique()), zip(TRAINED, SHAPES, strict=True), strict=False))
    widths = sorted(cells["width"].unique())
    said = f", {WORDS[norm]}" if rows["norm"].nunique() > 1 else ""
    for index, width in enumerate(widths):
        color, shape = looks[width]
        shift = 1.1 ** (index - (len(widths) - 1) / 2)
        by = cells[cells["width"] == width].groupby("depth")[norm]
        middle, low, high = by.median(), by.min(), by.max()
        look = {"color": color, "marker": shape, "markerfacecolor": "white", "markersize": 4.5, "linestyle": "none"}
        bars = [middle - low, high - middle]
        axes.errorbar(
            middle.index * shift, middle, bars, elinewidth=0.7, label=f"trained, width {width:.0f}{said}", **look
        )
        group = proven[proven["width"] == width].sort_values("depth")
        if len(group):
            places, values = group["depth"] * shift, group[f"{norm}_floor"]
            look = {**FLOOR, "marker": shape, "markersize": 2.8, "label": f"floor, width {width:.0f}"}
            axes.plot(places, values, **look)
            axes.plot(places, values, color=FLOOR["color"], linestyle="none", marker="_", markersize=7)
    if len(exact):
        _zero(axes, exact)
    axes.set(xscale="log", yscale="log", xlabel="hidden layers", ylim=(bottom, None))
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Under the panel: families with their exponents on the left, the rest on the right."""
    columns: tuple[list[Any], list[Any]] = [], []
    for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
        columns["/" not in label].append((handle, label))
    for column in columns:
        column += [(Line2D([], [], linestyle="none"), "")] * (max(map(len, columns)) - len(column))
    handles, labels = zip(*columns[0], *columns[1], strict=True)
    look: dict[str, Any] = {"fontsize": 7, "title_fontsize": 7, "ncols": 2, "columnspacing": 0.8, "handlelength": 2.6}
    look |= {"loc": "upper center", "bbox_to_anchor": (0.5, -0.195)}
    axes.legend(handles, labels, title="exponents: measured / promised over the same depths", **look)


def _families(axes: Axes, rows: pd.DataFrame) -> None:
    """Measured errors of explicit networks, a family a look, and dotted what each construction promises."""
    several = rows["input_dim"].nunique() > 1, rows["norm"].nunique() > 1
    for index, one in enumerate(slopes(rows).itertuples()):
        group = rows[(rows["kind"] == one.kind) & (rows["input_dim"] == one.input_dim)].sort_values("depth")
        where = f", $n={one.input_dim}$" if several[0] and one.input_dim > 1 else ""
        norm = f", {WORDS[one.norm]}" if several[1] else ""
        powers = f"{one.measured:.2f} / {one.promised:.2f}".replace("-", "\N{MINUS SIGN}")
        label = f"{NAMES[one.kind]}{where}, width {one.width}{norm}: {powers}"
        look = {"color": EXPLICIT[index], "marker": SHAPES[index], "linestyle": CONSTRUCTION["linestyle"]}
        axes.plot(group["depth"], group["error"], **look, label=label)
        axes.plot(group["depth"], group["bound"], color=EXPLICIT[index], linestyle=(0, (1, 1.2)), linewidth=0.9)


def _zero(axes: Axes, exact: pd.DataFrame) -> None:
    """Networks of error 0, which a log axis has no place for: a star over an arrow to the frame."""
    frame = axes.get_xaxis_transform()
    look = {**CONSTRUCTION, "linestyle": "none", "markersize": 8, "label": f"exact, width {exact['width'].iloc[0]}"}
    axes.plot(exact["depth"], [0.14] * len(exact), transform=frame, **look)
    arrow = {"arrowstyle": "->", "color": CONSTRUCTION["color"], "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    for depth in exact["depth"]:
        axes.annotate("", (depth, 0.0), (depth, 0.12), xycoords=frame, textcoords=frame, arrowprops=arrow)
        at = {"xytext": (7, 0), "textcoords": "offset points", "color": CONSTRUCTION["color"], "fontsize": 7}
        axes.annotate("error 0", (depth, 0.14), xycoords=frame, va="center", **at)


def gaps(fits: pd.DataFrame) -> pd.DataFrame:
    """Fits whose L2 error is above that of an explicit network no wider and no deeper: optimisation gaps."""
    return finished(fits[(fits["explicit"] < fits["l2"]) & fits["explicit"].notna()])


def ahead(fits: pd.DataFrame, network: pd.DataFrame) -> int:
    """Fits with a smaller L2 error than a deeper explicit network."""
    return sum(
        bool(
            (
                (network["target"] == fit.target)
                & (network["input_dim"] == fit.dim)
                & (network["depth"] > fit.depth)
                & (network["l2"] > fit.l2)
            ).any()
        )
        for fit in finished(fits).itertuples()
    )


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
    least, reached, by_weights, quantity = None, None, None, "sup error; no size with a positive floor was fitted"
    if len(floored):
        one = (floored if both.empty else both).iloc[-1]
        least, by_weights = one["sup_floor"], None if both.empty else one["explicit_sup"]
        reached = measured.loc[(measured[CELL] == one[CELL]).all(axis=1), "sup"].min()
        name = "the distance to points" if one["target"] == DISTANCE else "x^2 / 2"
        quantity = f"sup error on [0, 1] for {name}, width {one['width']}, {one['depth']} hidden "
        quantity += f"layer{'s' if one['depth'] > 1 else ''}"
    kept, agreed = int(found["kept"].sum()), int(found["agrees"].sum())
    beyond = (found["measured"] / found["limit"] - 1).abs().max()
    sentence = (
        f"{kept} of {len(found)} families of networks keep the error that their construction promises at every depth, "
        f"and the errors of {agreed} fall with the depth as promised (powers are within {100 * beyond:.0f} % of those "
        "that the promises tend to)"
    )
    check = floor_check(len(under), len(measured))
    state = "held" if good else "not held"
    return Verdict(state, sentence, quantity, least, reached, by_weights, len(measured), check)


def caption(table: pd.DataFrame, floor: pd.DataFrame, network: pd.DataFrame, needed: pd.DataFrame) -> str:
    """What is drawn, what each construction pays, and whether rates and promises held, computed from the tables."""
    fits, found = drawn(table, floor, network), slopes(network)
    measured = compared(finished(table), floor, network)
    measured = measured[measured[[f"{norm}_floor" for norm in NORMS]].max(axis=1) > 0]
    under, gap = under_floor(measured), gaps(fits)
    checked = floors_kept(len(under), len(measured), " in L2, L1 or sup")
    promise = needed["promise"].min()
    price = needed[(needed["promise"] == promise) & (needed["target"] == DISTANCE)].groupby("input_dim")["depth"]
    paid = ", ".join(f"{depths.min()} to {depths.max()} layers (n = {dim})" for dim, depths in price)
    deeper = ahead(fits.rename(columns={"target.input_dim": "dim"}), network)
    words = f"lie above an explicit one no larger, an optimisation gap, {deeper} under a deeper one"
    told = counted(len(gap), len(finished(fits)), words, ". In L2 ")
    held = "holds" if verdict(table, floor, network).state == "held" else "does not hold"
    off = (found["measured"] / found["promised"] - 1).abs().max()
    lost, cells = len(fits) - len(finished(fits)), fits.groupby(CELL).size()
    return (
        "Explicit networks of constant width pay for accuracy with depth as promised (Hanin 2019; Yarotsky 2017, 2018; "
        f"others derived here; all as recalled): the claim {held}; {found['kept'].sum()} of {len(found)} families keep "
        f"their promise, exponents are within {100 * off:.0f} % of it. (a, b) Distance to four points of [0, 1], (c) "
        f"of [0, 1]^2; (d) |x|^2 / 2. Dotted: promised; open: median and range of n = {span(cells)} seeds, "
        f"{table['num_steps'].max()} steps of Adam (rate by training "
        f"loss){f'; {lost} of {len(fits)} fits failed or diverged' if lost else ''}. Error {promise:g} is promised "
        f"from {paid} on; {checked}{told}. Errors are exact for n = 1 (digits: on a fine grid), else sampled."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
