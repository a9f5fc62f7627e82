"""What depth folds: linear regions of a deep and a shallow network with equally many parameters.

Draws results/<scale>/what_depth_folds.csv with .regions.csv and .faces.csv; see experiments/what_depth_folds.py.
"""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure, SubFigure

from widththeory import command
from widththeory.bounds.linear_regions import order_at_initialisation
from widththeory.estimates import finished, span
from widththeory.plotting import CEILING, COLORS, CONSTRUCTION, TEXT_WIDTH, series
from widththeory.verdicts import HELD, Verdict

STATES = ("explicit", "initialised", "trained")
ARCHITECTURES = ("shallow", "deep")
CEILING_BEHIND: dict[str, Any] = {**CEILING, "color": "0.6", "linewidth": 2.4}  # other lines lie on it


def drawn(table: pd.DataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    """The counts shown."""
    return regions


def figure(table: pd.DataFrame, regions: pd.DataFrame, faces: pd.DataFrame) -> Figure:
    """Six pictures of linear regions, shallow above deep, and the counts of all networks."""
    picture = Figure(figsize=(TEXT_WIDTH, 3.65), layout="constrained")
    picture.suptitle("At equal parameters depth can fold the plane far more often; training does not", size=9.5)
    halves: Any = picture.subfigures(1, 2, width_ratios=(2.2, 1))
    pictures: Any = halves[0].subplots(2, 3)
    for row, architecture in enumerate(ARCHITECTURES):
        for column, state in enumerate(STATES):
            axes = pictures[row, column]
            shown = faces[(faces["architecture"] == architecture) & (faces["state"] == state)]
            artist = _faces(axes, shown)
            count = regions[(regions["architecture"] == architecture) & (regions["state"] == state)]
            widths = regions.loc[regions["architecture"] == architecture, "widths"].iloc[0]
            name = f"{state}\n" if row == 0 else ""
            letter = "abcdef"[3 * row + column]
            found = f"{count['linear_regions'].iloc[0]:,} regions" if len(shown) else "that fit failed"
            axes.set_title(f"{name}({letter}) {found}", fontsize=8, pad=3)
            if column == 0:
                axes.set_ylabel(f"{architecture}: 2-{widths}-1", fontsize=9)
    _direction_key(halves[0], artist, pictures)
    _counts(halves[1].subplots(), regions)
    return picture


def _direction_key(picture: SubFigure, artist: PolyCollection, below: Any) -> None:
    """Which colour is which direction, by arrows."""
    quarter = np.pi / 2
    key = picture.colorbar(artist, ax=below, location="bottom", aspect=45, pad=0.02, extend="neither")
    arrows = [r"$\leftarrow$", r"$\downarrow$", r"$\rightarrow$", r"$\uparrow$", r"$\leftarrow$"]
    key.set_ticks([-2 * quarter, -quarter, 0, quarter, 2 * quarter], labels=arrows)
    key.ax.tick_params(length=2, pad=1)
    key.set_label("direction of the gradient (yellow: none)", fontsize=8, labelpad=1)


def _faces(axes: Axes, corners: pd.DataFrame) -> PolyCollection:
    """Regions coloured by the direction of the gradient; yellow where the network is constant."""
    groups = corners.groupby("face", sort=True)
    polygons = [group[["x", "y"]].to_numpy() for _, group in groups]
    slopes = groups[["slope_x", "slope_y"]].first()
    angles = np.arctan2(slopes["slope_y"], slopes["slope_x"]).to_numpy(float)
    flat = (slopes == 0).all(axis=1).to_numpy()
    colors = mpl.colormaps["twilight"].with_extremes(bad=COLORS["yellow"])
    artist = PolyCollection(
        polygons, array=np.ma.masked_array(angles, flat), cmap=colors, clim=(-np.pi, np.pi), rasterized=True
    )
    artist.set(edgecolor="white", linewidth=0.25 if len(polygons) < 2000 else 0.05)
    axes.add_collection(artist)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=(), yticks=())
    for spine in axes.spines.values():
        spine.set_visible(False)
    return artist


def _counts(axes: Axes, regions: pd.DataFrame) -> None:
    """Every network's count, with what is possible, what explicit weights have, and the order at initialisation."""
    places = {"initialised": 0.0, "trained": 1.0}
    for index, architecture in enumerate(ARCHITECTURES):
        cells = regions[regions["architecture"] == architecture]
        look = {**series(index), "linestyle": "none", "markersize": 2.2}
        for state, place in places.items():
            counts = cells.loc[cells["state"] == state, "linear_regions"]
            spread = np.linspace(-0.35, 0.35, len(counts)) if len(counts) > 1 else np.zeros(len(counts))
            axes.plot(place + 2.6 * index + spread, counts, **look)
        explicit, most = cells.loc[cells["state"] == "explicit", "linear_regions"].iloc[0], cells["most"].iloc[0]
        across = np.array([-0.5, 0.5, 1.5]) + 2.6 * index
        # Of a shallow network all three lie on each other: the widest line first, the thinnest last.
        axes.plot(across, [most] * 3, zorder=2.1, **CEILING_BEHIND)
        axes.plot(across, [explicit] * 3, zorder=2.2, **{**CONSTRUCTION, "markevery": [1], "linewidth": 1.4})
        order = order_at_initialisation(2, _widths(cells))
        axes.plot(across, [order] * 3, color="black", linestyle=":", linewidth=1.0, zorder=2.3)
        bound, star = f"at most {most:,.0f}", f"explicit: {explicit:,}"
        if most < 2 * explicit:
            _label(axes, across[1], most, f"{bound}\n{star}")
        else:
            _label(axes, across[1], most, bound)
            _label(axes, across[1], explicit, star)
        if order < explicit / 2:
            _label(axes, across[1], order, f"$N^2/2$: {order:,.0f}")
    axes.set(yscale="log", ylabel="linear regions", title="(g) all networks", xlim=(-0.7, 4.3))
    axes.set_ylim(top=4 * regions["most"].max())
    names = ["init.", "\nshallow", "trained", "init.", "\ndeep", "trained"]
    axes.set_xticks([0, 0.5, 1, 2.6, 3.1, 3.6], names)
    axes.tick_params(axis="x", length=0)


def _label(axes: Axes, x: float, y: float, text: str) -> None:
    axes.annotate(text, (x, y), xytext=(0, 4), textcoords="offset points", ha="center", va="bottom", fontsize=7.5)


def _widths(cells: pd.DataFrame) -> tuple[int, ...]:
    return tuple(map(int, str(cells["widths"].iloc[0]).split("-")))


def _medians(regions: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Of the fitted networks' counts, by architecture and state; NaN where none was counted."""
    counts = regions.groupby(["architecture", "state"])["linear_regions"].median()
    return {(of, state): float(counts.get((of, state), np.nan)) for of in ARCHITECTURES for state in STATES[1:]}


def _told(count: float) -> str:
    return f"{count:,g}" if np.isfinite(count) else "an unknown number"


def verdict(table: pd.DataFrame, regions: pd.DataFrame, faces: pd.DataFrame) -> Verdict:
    """Held where explicit deep weights have more regions than any shallow network, and fitted deep ones do not.

    "not held" where one of the two is refuted, "open" where no deep network of some state was counted.
    """
    explicit, middle = regions[regions["state"] == "explicit"].set_index("architecture"), _medians(regions)
    deep, shallow = explicit.loc["deep"], explicit.loc["shallow"]
    medians = np.array([middle["deep", state] for state in STATES[1:]])
    refuted = deep["linear_regions"] <= shallow["most"] or (medians >= shallow["most"]).any()
    trained = (regions["architecture"] == "deep") & (regions["state"] == "trained")
    found = regions.loc[trained, "linear_regions"]
    sentence = (
        f"with {deep['num_params']} parameters a deep network has {deep['linear_regions']:,} regions by explicit "
        f"weights, a shallow one at most {shallow['most']:,.0f}; initialised deep ones have "
        f"{_told(middle['deep', 'initialised'])} in the median, trained ones {_told(middle['deep', 'trained'])}"
    )
    return Verdict(
        "not held" if refuted else "held" if np.isfinite(medians).all() else "open",
        sentence,
        "linear regions of the deep network (more is more): most of a trained one, and explicit",
        None,
        float(found.max()) if len(found) else None,
        float(deep["linear_regions"]),
        len(regions),
    )


def caption(table: pd.DataFrame, regions: pd.DataFrame, faces: pd.DataFrame) -> str:
    """What is drawn, how many networks, and whether the claim held, computed from the tables."""
    explicit, middle = regions[regions["state"] == "explicit"].set_index("architecture"), _medians(regions)
    deep, shallow = explicit.loc["deep"], explicit.loc["shallow"]
    seeds = regions.loc[regions["state"] == "trained"].groupby("architecture")["seed"].nunique()
    trained = f", n = {span(seeds)} seeds" if len(seeds) else ""
    answer = HELD[verdict(table, regions, faces).state]
    lost = len(table) - len(finished(table))
    fewer = f" ({lost} of {len(table)} fits failed or diverged)" if lost else ""
    return (
        "Of as many parameters a deep network can have more linear regions than any shallow one (Montufar et al. "
        f"2014), and initialised and trained ones in the median do not: the claim {answer}. (a-c) "
        f"2-{shallow['widths']}-1 with {shallow['num_params']} parameters, (d-f) 2-{deep['widths']}-1 with "
        f"{deep['num_params']}, on [0, 1]^2 where explicit, else on [-1, 1]^2; all counts are exact. (g) One marker a "
        f"network{trained}, before and after {table['num_steps'].max()} steps of Adam on cos(pi x) cos(pi "
        f"y){fewer}. Dash-dotted: no weights have more (Serra et al. 2018, as recalled); dotted: the order of a bound "
        "on the mean at initialisation, constant unknown, for other laws (Hanin and Rolnick 2019). The explicit deep "
        f"network has {deep['linear_regions']:,} regions, a shallow one at most {shallow['most']:,.0f}; medians are "
        f"{_told(middle['deep', 'initialised'])} deep and {_told(middle['shallow', 'initialised'])} shallow as "
        f"initialised, {_told(middle['deep', 'trained'])} and {_told(middle['shallow', 'trained'])} trained."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
