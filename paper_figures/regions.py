"""Linear regions against neurons and depth: explicit, initialised and trained networks under their ceiling.

Draws results/<scale>/regions.csv with .networks.csv; see experiments/regions.py.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from widththeory import command
from widththeory.bounds.linear_regions import montufar_lower, serra_upper
from widththeory.estimates import PowerLaw, finished, fit_power_law
from widththeory.plotting import CONSTRUCTION, TEXT_WIDTH, number_ticks, series
from widththeory.verdicts import Verdict

STATES = ("initialised", "trained")


def drawn(table: pd.DataFrame, networks: pd.DataFrame) -> pd.DataFrame:
    """Every network's count with the bounds for its size."""
    return networks


def above_ceiling(networks: pd.DataFrame) -> pd.DataFrame:
    """Networks with more regions than any network of their size can have: defects."""
    counted = networks[["regions", "activation_regions"]].max(axis=1)
    return networks[counted > networks["most"]]


def growth(networks: pd.DataFrame, state: str, input_dim: int, depth: int | None = None) -> PowerLaw | None:
    """regions = c N^p over the sizes of one kind of network, of one depth or all; None where there are too few."""
    cells = networks[(networks["state"] == state) & (networks["input_dim"] == input_dim)]
    if depth is not None:
        cells = cells[cells["depth"] == depth]
    if cells["num_neurons"].nunique() < 2:
        return None
    # Networks of one seed are redrawn together: their first weights are drawn from one stream.
    return fit_power_law(
        cells["num_neurons"], cells["regions"], with_floor=False, groups=cells["seed"], num_resamples=200
    )


def figure(table: pd.DataFrame, networks: pd.DataFrame) -> Figure:
    """Regions against neurons for one and two inputs, against depth at one width, and the power of the width."""
    picture = Figure(figsize=(TEXT_WIDTH, 5.6), layout="constrained")
    panels = picture.subplots(2, 2)
    for axes, input_dim, letter in zip(panels[0], (1, 2), "ab", strict=True):
        _against_neurons(axes, networks[networks["input_dim"] == input_dim], input_dim)
        axes.set_title(f"({letter}) {('one input', 'two inputs')[input_dim - 1]}")
    _against_depth(panels[1, 0], networks)
    _exponents(panels[1, 1], networks)
    picture.suptitle("Depth makes exponentially many regions possible; training does not make them", fontsize=10)
    return picture


def _ceiling(depth: int, index: int) -> dict[str, Any]:
    return {"color": series(index)["color"], "linewidth": 1.0, "linestyle": "-"}


def _against_neurons(axes: Axes, networks: pd.DataFrame, input_dim: int) -> None:
    """Lines: ceiling; stars: explicit; open markers: initialised; filled: trained; dotted: N^d / d!."""
    for index, (depth, cells) in enumerate(networks.groupby("depth")):
        look = series(index)
        ceiling = cells.groupby("num_neurons")["most"].first()
        axes.plot(ceiling.index, ceiling, **_ceiling(int(depth), index), label=f"depth {depth}")
        explicit = cells[cells["state"] == "explicit"]
        star = {**CONSTRUCTION, "label": None, "color": look["color"], "markersize": 7}
        axes.plot(explicit["num_neurons"], explicit["regions"], **star)
        for state, shift in zip(STATES, (0.97, 1.03), strict=True):
            at = cells[cells["state"] == state].groupby("num_neurons")["regions"]
            middle, low, high = at.median(), at.min(), at.max()
            fill = look["color"] if state == "trained" else "white"
            axes.errorbar(
                middle.index * shift,
                middle,
                [middle - low, high - middle],
                color=look["color"],
                marker=look["marker"],
                markerfacecolor=fill,
                linestyle="none",
                elinewidth=0.6,
            )
    expected = networks.groupby("num_neurons")["expected_at_initialisation"].first()
    axes.plot(expected.index, expected, color="0.35", linestyle=":", linewidth=1.2)
    power = ("$N$", "$N^2/2$")[input_dim - 1]
    last = expected.index.max()
    axes.annotate(power, (last, expected[last]), xytext=(4, 0), textcoords="offset points", fontsize=8, va="center")
    axes.set(xscale="log", yscale="log", xlabel="neurons $N$", ylabel="linear regions")
    axes.set_ylim(top=1.5 * networks["most"].max())
    number_ticks(axes.xaxis, [n for n in (4, 8, 16, 32, 64, 128, 256) if n <= 1.01 * last])
    axes.legend(loc="upper left", fontsize=7.5)


def _against_depth(axes: Axes, networks: pd.DataFrame) -> None:
    """At the width, the same for all depths, that shows explicit networks of most depths."""
    for index, input_dim in enumerate(sorted(networks["input_dim"].unique())):
        look = series(index)
        cells = networks[networks["input_dim"] == input_dim]
        width = telling_width(cells)
        cells = cells[cells["width"] == width]
        depths = np.arange(1, cells["depth"].max() + 1)
        shapes = [(width,) * int(depth) for depth in depths]
        most = [serra_upper(int(input_dim), shape).value for shape in shapes]
        least = [montufar_lower(int(input_dim), shape).value for shape in shapes]
        axes.fill_between(depths, least, most, color=look["color"], alpha=0.15, linewidth=0)
        axes.plot(depths, most, color=look["color"], linewidth=1.0)
        explicit = cells[cells["state"] == "explicit"].sort_values("depth")
        star = {**CONSTRUCTION, "label": None, "color": look["color"], "markersize": 7}
        axes.plot(explicit["depth"], explicit["regions"], **star)
        for state in STATES:
            at = cells[cells["state"] == state].groupby("depth")["regions"].median()
            fill = look["color"] if state == "trained" else "white"
            label = f"{('one input', 'two inputs')[input_dim - 1]}, width {width}" if state == "trained" else None
            axes.plot(at.index, at, **{**look, "markerfacecolor": fill, "linewidth": 0.8}, label=label)
    axes.set(yscale="log", xlabel="hidden layers", ylabel="linear regions", title="(c) one width, growing depth")
    number_ticks(axes.xaxis, range(1, int(networks["depth"].max()) + 1))
    axes.legend(loc="upper left", fontsize=7.5)


def telling_width(networks: pd.DataFrame) -> int:
    """The width with explicit networks of the most depths, and of those the largest."""
    depths = networks[networks["state"] == "explicit"].groupby("width")["depth"].nunique()
    return int(depths[depths == depths.max()].index.max())


def _exponents(axes: Axes, networks: pd.DataFrame) -> None:
    """Power p of regions = c N^p at fixed depth: for initialised and trained networks the input dimension."""
    top = 0.0
    for index, input_dim in enumerate(sorted(networks["input_dim"].unique())):
        depths = sorted(networks.loc[networks["input_dim"] == input_dim, "depth"].unique())
        for state, shift in (("explicit", 0.0), ("initialised", -0.08), ("trained", 0.08)):
            found = {depth: growth(networks, state, int(input_dim), int(depth)) for depth in depths}
            rows = [(d, f.exponent, f.low, f.high) for d, f in found.items() if f is not None]
            if not rows:
                continue
            at, power, low, high = map(np.array, zip(*rows, strict=True))
            top = max(top, power.max())
            color, marker = series(index)["color"], series(index)["marker"]
            if state == "explicit":
                axes.plot(at, power, **{**CONSTRUCTION, "label": None, "color": color, "markersize": 7})
                continue
            # Powers of the same seeds resampled may all lie on one side of the estimate by rounding.
            bars = [np.maximum(power - low, 0), np.maximum(high - power, 0)]
            fill = color if state == "trained" else "white"
            look = {"color": color, "marker": marker, "markerfacecolor": fill, "linestyle": "none", "elinewidth": 0.8}
            axes.errorbar(at + shift, power, bars, **look)
        axes.axhline(input_dim, color=series(index)["color"], linestyle=":", linewidth=1.0)
    axes.set(xlabel="hidden layers", ylabel="power $p$ of $N$ at fixed depth", title="(d) regions grow like $N^p$")
    axes.set_ylim(0, 1.4 * max(top, 2))
    number_ticks(axes.xaxis, range(1, int(networks["depth"].max()) + 1))
    for marker, fill, label in (("*", "0.3", "explicit"), ("o", "white", "initialised"), ("o", "0.3", "trained")):
        axes.plot([], [], marker=marker, color="0.3", markerfacecolor=fill, linestyle="none", label=label)
    axes.plot([], [], color="0.3", linestyle=":", label="number of inputs")
    axes.legend(loc="upper left", fontsize=7.5, ncols=2)


def _laws(networks: pd.DataFrame) -> dict[tuple[int, str], PowerLaw]:
    """regions = c N^p over all depths, by the number of inputs and the state, where there are sizes enough."""
    laws = {}
    for input_dim in sorted(networks["input_dim"].unique()):
        for state in STATES:
            law = growth(networks, state, int(input_dim))
            if law is not None:
                laws[int(input_dim), state] = law
    return laws


def furthest(networks: pd.DataFrame) -> tuple[str, int, int, PowerLaw] | None:
    """State, inputs and depth of the power at fixed depth that is furthest from the number of inputs, and that law."""
    found = []
    for input_dim, depth in networks[["input_dim", "depth"]].drop_duplicates().itertuples(index=False):
        for state in STATES:
            law = growth(networks, state, int(input_dim), int(depth))
            if law is not None:
                found.append((state, int(input_dim), int(depth), law))
    return max(found, key=lambda one: abs(one[3].exponent - one[1]), default=None)


def _at_one_depth(networks: pd.DataFrame) -> str:
    """The same in words, to follow the powers over all depths."""
    found = furthest(networks)
    if found is None:
        return ""
    state, input_dim, depth, law = found
    return (
        f"; at one depth it is furthest from the number of inputs for {state} networks of depth {depth} with "
        f"{input_dim} input{'s' if input_dim > 1 else ''}, {law.exponent:.2f} [{law.low:.2f}, {law.high:.2f}]"
    )


def verdict(table: pd.DataFrame, networks: pd.DataFrame) -> Verdict:
    """Held where no network exceeds its ceiling, and fitted ones grow like N to the number of inputs."""
    over, laws = above_ceiling(networks), _laws(networks)
    follow = [abs(law.exponent - input_dim) < 0.5 for (input_dim, _), law in laws.items()]
    plane = networks[networks["input_dim"] == networks["input_dim"].max()]
    width = telling_width(plane)
    size = plane[plane["width"] == width]
    size = size[size["depth"] == size.loc[size["state"] == "explicit", "depth"].max()]
    trained = size.loc[size["state"] == "trained", "regions"]
    told = ", ".join(f"{law.exponent:.2f} ({state}, n = {input_dim})" for (input_dim, state), law in laws.items())
    sentence = (
        f"over all depths the number of regions grows with that of neurons to the power {told}"
        f"{_at_one_depth(networks)}; at width {width} explicit weights have "
        f"{size.loc[size['state'] == 'explicit', 'regions'].max():,} in the plane"
    )
    state = "not held" if len(over) or (follow and not all(follow)) else "held" if follow else "open"
    return Verdict(
        state,
        sentence,
        f"linear regions at width {width}, {size['depth'].iloc[0]} layers, two inputs (more is more): most of a "
        "trained network, and explicit",
        None,
        float(trained.max()) if len(trained) else None,
        float(size.loc[size["state"] == "explicit", "regions"].max()),
        len(networks),
        check=f"{len(over)} of {len(networks)} networks have more regions than their ceiling",
    )


def caption(table: pd.DataFrame, networks: pd.DataFrame) -> str:
    """What is drawn, how many networks, and whether the laws held, computed from the counts."""
    over = above_ceiling(networks)
    ceiling = (
        f"none of {len(networks)} networks has more regions than its ceiling"
        if over.empty
        else f"{len(over)} of {len(networks)} networks have more regions than their ceiling, which is a defect"
    )
    found = _laws(networks)
    laws = [
        f"{law.exponent:.2f} [{law.low:.2f}, {law.high:.2f}] ({state}, {dim} in)" for (dim, state), law in found.items()
    ]
    follow = [abs(law.exponent - input_dim) < 0.5 for (input_dim, _), law in found.items()]
    initialised = networks[networks["state"] == "initialised"]
    ratio = (initialised["regions"] / initialised["expected_at_initialisation"]).groupby(initialised["depth"]).median()
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
            folds.append(f"{factor:.3g} ({input_dim} in, width {cells['width'].iloc[0]})")
    lost = len(table) - len(finished(table))
    fewer = f"; {lost} of {len(table)} fits failed or diverged" if lost else ""
    seeds = {state: networks.loc[networks["state"] == state, "seed"].nunique() for state in STATES}
    return (
        f"Linear regions, counted exactly: {ceiling} (Serra et al. 2018, as recalled). Explicit folding networks "
        f"{'have' if exact else 'do not have'} the number of Montufar et al. 2014: a further layer multiplies it by "
        f"{' and by '.join(folds)}. That initialised and trained networks grow like N to the number of inputs (Hanin "
        f"and Rolnick 2019) {'holds' if all(follow) else 'does not hold'} within 1/2 over all depths: powers "
        f"{', '.join(laws)}, 95 % intervals{_at_one_depth(networks)}; initialised ones have {ratio.min():.2f} to "
        f"{ratio.max():.2f} of N^d / d! in the median of a depth. "
        "(a, b) Lines: ceiling; stars: explicit; open: initialised; filled: "
        f"trained, {table['num_steps'].max()} steps of Adam; dotted: N^d / d!. (c) Shaded: from the explicit number to "
        "the ceiling. Markers: median, bars the range, "
        f"n = {seeds['initialised']} initialised, {seeds['trained']} trained a size{fewer}."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
