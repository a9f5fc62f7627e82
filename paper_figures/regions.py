"""Linear regions against neurons and depth: explicit, initialised and trained networks under their ceiling.

Draws results/<scale>/regions.csv with .networks.csv; see experiments/regions.py.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import t as student

from widththeory import command
from widththeory.bounds.linear_regions import montufar_lower, one_hidden_layer, order_at_initialisation, serra_upper
from widththeory.estimates import Interval, finished
from widththeory.plotting import CEILING, COLORS, CONSTRUCTION, TEXT_WIDTH, number_ticks, series
from widththeory.verdicts import Verdict

STATES = ("initialised", "trained")
STAR: dict[str, Any] = {**CONSTRUCTION, "label": None, "markersize": 7}
HAVE = {"held": "fewer than", "open": "perhaps fewer than", "not held": "at some sizes more than"}
DEPTHS = (0, 1, 2, 4, 5)  # of `series`; the colour of 3 is that of explicit networks
INPUTS: dict[int, dict[str, Any]] = {
    1: {"color": "0.25", "marker": "h", "label": "one input"},
    2: {"color": COLORS["sky"], "marker": "s", "label": "two inputs"},
}


def drawn(table: pd.DataFrame, networks: pd.DataFrame) -> pd.DataFrame:
    """Every network's count with the bounds for its size."""
    return networks


def above_ceiling(networks: pd.DataFrame) -> pd.DataFrame:
    """Networks with more regions than any network of their size can have: defects."""
    counted = networks[["regions", "activation_regions"]].max(axis=1)
    return networks[counted > networks["most"]]


def growth(networks: pd.DataFrame, state: str, input_dim: int, depth: int) -> Interval | None:
    """The power p of mean regions = c N^p at one depth, a line through logarithms; None where there is one size.

    The interval is Student's 95 % one of the jackknife over seeds, that is networks of one seed are left out together:
    their first weights are drawn from one stream. A theorem speaks of the mean, and networks of one region, whose
    logarithm is 0, weigh less in it.
    """
    cells = networks[(networks["state"] == state) & (networks["input_dim"] == input_dim) & (networks["depth"] == depth)]
    counts = cells.pivot_table(index="seed", columns="num_neurons", values="regions").sort_index(axis=1)
    if counts.shape[1] < 2:
        return None
    values = counts.to_numpy(float)
    power, num_seeds = _power(counts.columns, values), len(values)
    if np.isfinite(values).sum(axis=0).min() < 2:
        return Interval(power, np.nan, np.nan, num_seeds)
    without = np.array([_power(counts.columns, np.delete(values, seed, axis=0)) for seed in range(num_seeds)])
    spread = np.std(num_seeds * power - (num_seeds - 1) * without, ddof=1) / np.sqrt(num_seeds)
    half = float(student.ppf(0.975, num_seeds - 1) * spread)
    return Interval(power, power - half, power + half, num_seeds)


def _power(neurons: Any, counts: np.ndarray) -> float:
    return float(np.polyfit(np.log(np.asarray(neurons, dtype=float)), np.log(np.nanmean(counts, axis=0)), 1)[0])


def powers(networks: pd.DataFrame) -> pd.DataFrame:
    """A row a number of inputs, state and depth: the power at fixed depth with its interval, and where that lies.

    `where` is "above" or "below" the number of inputs, "with" it, or "unknown" where one seed gives no interval.
    """
    rows = []
    for input_dim, depth in sorted(set(networks[["input_dim", "depth"]].itertuples(index=False, name=None))):
        for state in STATES:
            found = growth(networks, state, input_dim, depth)
            if found is None:
                continue
            where = "unknown" if not np.isfinite(found.low) else "with"
            where = "above" if found.low > input_dim else "below" if found.high < input_dim else where
            rows.append((input_dim, depth, state, found.value, found.low, found.high, where))
    return pd.DataFrame(rows, columns=["input_dim", "depth", "state", "power", "low", "high", "where"])


def shallow_shares(networks: pd.DataFrame) -> pd.DataFrame:
    """A row a deep size: mean regions over the most that one hidden layer of as many neurons has, with its interval.

    The interval is Student's 95 % one over seeds of that size, without ends where there is one. Sizes differ in their
    variance by six times (200 initialisations each): an interval of a pooled one holds the mean of some in 82 % of
    cases.
    """
    fitted = networks[networks["state"].isin(STATES) & (networks["depth"] > 1)]
    most = [one_hidden_layer(int(row.input_dim), int(row.num_neurons)).value for row in fitted.itertuples(index=False)]
    shares = fitted.assign(share=fitted["regions"] / most).groupby(["state", "input_dim", "num_neurons", "depth"])[
        "share"
    ]
    found = shares.agg(share="mean", spread="std", count="count").reset_index()
    freedom = found["count"] - 1
    half = student.ppf(0.975, freedom.where(freedom > 0)) * found["spread"] / np.sqrt(found["count"])
    return found.assign(low=found["share"] - half, high=found["share"] + half)


def figure(table: pd.DataFrame, networks: pd.DataFrame) -> Figure:
    """Regions against neurons for one and two inputs, against depth at one width, and the power of the neurons."""
    picture = Figure(figsize=(TEXT_WIDTH, 5.6), layout="constrained")
    panels = picture.subplots(2, 2)
    for axes, input_dim, letter in zip(panels[0], (1, 2), "ab", strict=True):
        _against_neurons(axes, networks[networks["input_dim"] == input_dim], input_dim)
        axes.set_title(f"({letter}) {INPUTS[input_dim]['label']}")
    _key(panels[0, 0], sorted(networks["depth"].unique()))
    _against_depth(panels[1, 0], networks)
    _exponents(panels[1, 1], networks)
    picture.suptitle(
        "Depth makes exponentially many regions possible; "
        f"initialised or trained, deep networks have {HAVE[_state(networks)]} one layer can",
        fontsize=9.5,
    )
    return picture


def _depth_look(depth: int) -> dict[str, Any]:
    look = series(DEPTHS[(depth - 1) % len(DEPTHS)])
    return {"color": look["color"], "marker": look["marker"]}


def _state_look(look: dict[str, Any], state: str) -> dict[str, Any]:
    fill = look["color"] if state == "trained" else "white"
    return {"color": look["color"], "marker": look["marker"], "markerfacecolor": fill}


def _key(axes: Axes, depths: list[int]) -> None:
    """Depths by colour and marker; then what lines, stars, open and filled markers are, in all panels."""
    names = [Line2D([], [], linestyle="none", label=f"depth {depth}", **_depth_look(int(depth))) for depth in depths]
    plain = {"color": "0.3", "marker": "o"}
    names += [
        Line2D([], [], label="ceiling", **CEILING),
        Line2D([], [], **{**STAR, "color": "0.3", "label": "explicit"}),
        *(Line2D([], [], linestyle="none", label=state, **_state_look(plain, state)) for state in STATES),
    ]
    axes.legend(handles=names, loc="upper left", fontsize=7.5, ncols=2, columnspacing=1.0, handletextpad=0.5)


def _against_neurons(axes: Axes, networks: pd.DataFrame, input_dim: int) -> None:
    """Ceilings, explicit networks, initialised and trained ones; dotted: N^d / d!."""
    for depth, cells in networks.groupby("depth"):
        look = _depth_look(int(depth))
        ceiling = cells.groupby("num_neurons")["most"].first()
        axes.plot(ceiling.index, ceiling, **{**CEILING, "color": look["color"]})
        explicit = cells[cells["state"] == "explicit"]
        axes.plot(explicit["num_neurons"], explicit["regions"], **{**STAR, "color": look["color"]})
        for state, shift in zip(STATES, (0.97, 1.03), strict=True):
            at = cells[cells["state"] == state].groupby("num_neurons")["regions"]
            middle, low, high = at.median(), at.min(), at.max()
            bars = [middle - low, high - middle]
            axes.errorbar(
                middle.index * shift, middle, bars, linestyle="none", elinewidth=0.6, **_state_look(look, state)
            )
    sizes = sorted(networks["num_neurons"].unique())
    order = [order_at_initialisation(input_dim, (int(size),)) for size in sizes]
    axes.plot(sizes, order, color="0.35", linestyle=":", linewidth=1.2)
    power = ("$N$", "$N^2/2$")[input_dim - 1]
    axes.annotate(power, (sizes[-1], order[-1]), xytext=(4, 0), textcoords="offset points", fontsize=8, va="center")
    axes.set(xscale="log", yscale="log", xlabel="neurons $N$", ylabel="linear regions")
    axes.set_ylim(top=3 * networks["most"].max())
    number_ticks(axes.xaxis, [n for n in (4, 8, 16, 32, 64, 128, 256) if n <= 1.01 * sizes[-1]])


def _against_depth(axes: Axes, networks: pd.DataFrame) -> None:
    """At the width, the same for all depths, that shows explicit networks of most depths."""
    for input_dim in sorted(networks["input_dim"].unique()):
        look = INPUTS[input_dim]
        cells = networks[networks["input_dim"] == input_dim]
        width = telling_width(cells)
        cells = cells[cells["width"] == width]
        depths = np.arange(1, cells["depth"].max() + 1)
        shapes = [(width,) * int(depth) for depth in depths]
        most = [serra_upper(int(input_dim), shape).value for shape in shapes]
        least = [montufar_lower(int(input_dim), shape).value for shape in shapes]
        axes.fill_between(depths, least, most, color=look["color"], alpha=0.15, linewidth=0)
        axes.plot(depths, most, **{**CEILING, "color": look["color"]})
        explicit = cells[cells["state"] == "explicit"].sort_values("depth")
        axes.plot(explicit["depth"], explicit["regions"], **{**STAR, "color": look["color"]})
        for state in STATES:
            at = cells[cells["state"] == state].groupby("depth")["regions"].median()
            label = f"{look['label']}, width {width}" if state == "trained" else None
            axes.plot(at.index, at, linewidth=0.8, label=label, **_state_look(look, state))
    axes.set(yscale="log", xlabel="hidden layers", ylabel="linear regions", title="(c) one width, growing depth")
    number_ticks(axes.xaxis, range(1, int(networks["depth"].max()) + 1))
    axes.legend(loc="upper left", fontsize=7.5)


def telling_width(networks: pd.DataFrame) -> int:
    """The width with explicit networks of the most depths, and of those the largest."""
    depths = networks[networks["state"] == "explicit"].groupby("width")["depth"].nunique()
    return int(depths[depths == depths.max()].index.max())


def _exponents(axes: Axes, networks: pd.DataFrame) -> None:
    """Power p of regions = c N^p at fixed depth, against the number of inputs."""
    found, top = powers(networks), 2.0
    deepest = int(networks["depth"].max())
    for input_dim in sorted(networks["input_dim"].unique()):
        look = INPUTS[input_dim]
        axes.axhline(input_dim, color=look["color"], linestyle=":", linewidth=1.0)
        axes.annotate(
            f"{look['label']}: {input_dim}",
            (1, input_dim),
            xycoords=("axes fraction", "data"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="right",
            fontsize=7.5,
            color="0.25",  # pale blue words are hard to read
        )
        explicit = {depth: growth(networks, "explicit", int(input_dim), depth) for depth in range(1, deepest + 1)}
        known = {depth: one.value for depth, one in explicit.items() if one is not None}
        axes.plot(list(known), list(known.values()), **{**STAR, "color": look["color"]})
        top = max([top, *known.values()])
        for state, shift in zip(STATES, (-0.09, 0.09), strict=True):
            rows = found[(found["input_dim"] == input_dim) & (found["state"] == state)]
            bars = [rows["power"] - rows["low"], rows["high"] - rows["power"]]
            axes.errorbar(
                rows["depth"] + shift,
                rows["power"],
                bars,
                linestyle="none",
                elinewidth=0.8,
                capsize=1.5,
                **_state_look(look, state),
            )
    axes.set(xlabel="hidden layers", ylabel="power $p$ of $N$", title="(d) mean regions grow like $N^p$ at fixed depth")
    axes.set(ylim=(0, max(1.1 * top, 1.05 * found["high"].max())), xlim=(0.7, deepest + 1.1))
    number_ticks(axes.xaxis, range(1, deepest + 1))


def _told(networks: pd.DataFrame) -> str:
    """Where powers lie, in words; those above without the smallest width too, where deep networks have few regions."""
    found = powers(networks)
    above, known = found[found["where"] == "above"], found[found["where"] != "unknown"]
    if known.empty:
        return "no power has an interval"
    if above.empty:
        return f"none of {len(known)} powers lies above the number of inputs"
    most = above.loc[(above["power"] - above["input_dim"]).idxmax()]
    wider = networks[networks["width"] > networks.groupby("input_dim")["width"].transform("min")]
    again = powers(wider).merge(above[["input_dim", "depth", "state"]])
    still = int((again["where"] == "above").sum())
    without = f", {still or 'none'} without the smallest width" if len(again) else ""
    return (
        f"{len(above)} of {len(known)} powers lie above the number of inputs, at most {most['power']:.2f} "
        f"[{most['low']:.2f}, {most['high']:.2f}]{without}"
    )


def _state(networks: pd.DataFrame) -> str:
    shares = shallow_shares(networks)
    if len(above_ceiling(networks)) or (shares["low"] > 1).any():
        return "not held"
    told = (shares["high"] < 1).all() and set(shares["state"]) == set(STATES)
    return "held" if told else "open"


def _share(networks: pd.DataFrame) -> tuple[str, str, str]:
    """How many deep sizes have more than one layer can have, and how many fewer; the share that may be the largest."""
    shares = shallow_shares(networks)
    most = shares.loc[shares["high"].fillna(shares["share"]).idxmax()]
    known = bool(np.isfinite(most["high"]))
    interval = f"[{most['low']:.2f}, {most['high']:.2f}]" if known else "(one seed a size)"
    return (
        f"{int((shares['low'] > 1).sum()) or 'none'}",
        f"{int((shares['high'] < 1).sum()) or 'none'} of {len(shares)}",
        f"the highest interval is {most['share']:.2f} {interval} of that",
    )


def verdict(table: pd.DataFrame, networks: pd.DataFrame) -> Verdict:
    """Held where no network exceeds its ceiling, and no deep size has in the mean what one hidden layer can have."""
    over = above_ceiling(networks)
    plane = networks[networks["input_dim"] == networks["input_dim"].max()]
    width = telling_width(plane)
    size = plane[plane["width"] == width]
    size = size[size["depth"] == size.loc[size["state"] == "explicit", "depth"].max()]
    trained = size.loc[size["state"] == "trained", "regions"]
    explicit = size.loc[size["state"] == "explicit", "regions"].max()
    more, fewer, highest = _share(networks)
    sentence = (
        f"{fewer} sizes of several layers, initialised or trained, have in the mean fewer regions than one hidden "
        f"layer of as many neurons can have, and {more} more, by 95 % intervals over seeds; {highest}; at width "
        f"{width} and depth {size['depth'].iloc[0]} explicit weights have {explicit:,} in the plane"
    )
    return Verdict(
        _state(networks),
        sentence,
        f"linear regions at width {width}, {size['depth'].iloc[0]} layers, two inputs (more is more): most of a "
        "trained network, and explicit",
        None,
        float(trained.max()) if len(trained) else None,
        float(explicit),
        len(networks),
        check=f"{len(over)} of {len(networks)} networks have more regions than their ceiling",
    )


def caption(table: pd.DataFrame, networks: pd.DataFrame) -> str:
    """What is drawn, how many networks, and whether the powers are those of one layer, computed from the counts."""
    over = above_ceiling(networks)
    ceiling = (
        f"none of {len(networks)} networks has more regions than its ceiling"
        if over.empty
        else f"{len(over)} of {len(networks)} networks have more regions than their ceiling, which is a defect"
    )
    explicit = networks[networks["state"] == "explicit"]
    exact = bool((explicit["regions"] == explicit["least_maximum"]).all())
    folds = []
    for input_dim, cells in explicit.groupby("input_dim"):
        cells = cells[cells["width"] == telling_width(networks[networks["input_dim"] == input_dim])]
        cells = cells.sort_values("depth")
        if len(cells) > 1:
            factor = (cells["regions"].iloc[-1] / cells["regions"].iloc[0]) ** (
                1 / (cells["depth"].iloc[-1] - cells["depth"].iloc[0])
            )
            folds.append(f"{factor:.3g}")
    lost = len(table) - len(finished(table))
    fewer = f"; {lost} of {len(table)} fits failed or diverged" if lost else ""
    seeds = {state: networks.loc[networks["state"] == state, "seed"].nunique() for state in STATES}
    held = {"held": "holds", "not held": "does not hold", "open": "is open"}[_state(networks)]
    more, under, highest = _share(networks)
    other = "" if exact else ", which is not that of Montufar et al.,"
    return (
        "Explicit deep networks have exponentially many linear regions (Montufar et al. 2014), initialised and trained "
        f"ones in the mean fewer than one layer of as many neurons can have: the claim {held}. (a, b) Median and range "
        f"of n = {seeds['initialised']} initialised and {seeds['trained']} trained networks a size, "
        f"{table['num_steps'].max()} steps of Adam{fewer}; dotted: the order of a bound on the mean at initialisation "
        f"(Hanin and Rolnick 2019). (c) Medians; a layer multiplies the explicit number{other} by "
        f"{' and '.join(folds)}. (d) Student's 95 % over seeds; {_told(networks)}; {under} deep sizes have in the mean "
        f"fewer than one layer can have, {more} more; {highest}; {ceiling} (Serra et al. 2018, as recalled)."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
