"""What depth folds: linear regions of a deep and a shallow network with equally many parameters.

Draws results/<scale>/what_depth_folds.csv with .regions.csv and .faces.csv; see experiments/what_depth_folds.py.
"""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from widththeory import command
from widththeory.estimates import finished
from widththeory.plotting import CONSTRUCTION, FLOOR, TEXT_WIDTH, series
from widththeory.verdicts import Verdict

STATES = ("explicit", "initialised", "trained")
ARCHITECTURES = ("shallow", "deep")


def drawn(table: pd.DataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    """The counts shown."""
    return regions


def figure(table: pd.DataFrame, regions: pd.DataFrame, faces: pd.DataFrame) -> Figure:
    """Six pictures of linear regions, shallow above deep, and the counts of all networks."""
    picture = Figure(figsize=(TEXT_WIDTH, 3.6), layout="constrained")
    picture.suptitle("At equal parameters depth can fold the plane far more often; training does not", size=9.5)
    grid: Any = picture.add_gridspec(2, 4, width_ratios=(1, 1, 1, 1.25))
    for row, architecture in enumerate(ARCHITECTURES):
        for column, state in enumerate(STATES):
            axes = picture.add_subplot(grid[row, column])
            shown = faces[(faces["architecture"] == architecture) & (faces["state"] == state)]
            _faces(axes, shown)
            count = regions[(regions["architecture"] == architecture) & (regions["state"] == state)]
            widths = regions.loc[regions["architecture"] == architecture, "widths"].iloc[0]
            name = f"{state}\n" if row == 0 else ""
            axes.set_title(f"{name}{count['linear_regions'].iloc[0]:,} regions", fontsize=8, pad=3)
            if column == 0:
                axes.set_ylabel(f"{architecture}: 2-{widths}-1", fontsize=9)
    _counts(picture.add_subplot(grid[:, 3]), regions)
    return picture


def _faces(axes: Axes, corners: pd.DataFrame) -> None:
    """Regions coloured by the direction of the gradient; black where the network is constant."""
    groups = corners.groupby("face", sort=True)
    polygons = [group[["x", "y"]].to_numpy() for _, group in groups]
    slopes = groups[["slope_x", "slope_y"]].first()
    angles = np.arctan2(slopes["slope_y"], slopes["slope_x"]).to_numpy(float)
    flat = (slopes == 0).all(axis=1).to_numpy()
    colors = mpl.colormaps["twilight"].with_extremes(bad="black")
    artist = PolyCollection(
        polygons, array=np.ma.masked_array(angles, flat), cmap=colors, clim=(-np.pi, np.pi), rasterized=True
    )
    artist.set(edgecolor="white", linewidth=0.25 if len(polygons) < 2000 else 0.05)
    axes.add_collection(artist)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=(), yticks=())
    for spine in axes.spines.values():
        spine.set_visible(False)


def _counts(axes: Axes, regions: pd.DataFrame) -> None:
    """Every network's count, with what is possible and what is expected at initialisation."""
    places = {"initialised": 0.0, "trained": 1.0}
    for index, architecture in enumerate(ARCHITECTURES):
        cells = regions[regions["architecture"] == architecture]
        look = {**series(index), "linestyle": "none", "markersize": 3}
        for state, place in places.items():
            counts = cells.loc[cells["state"] == state, "linear_regions"]
            spread = np.linspace(-0.12, 0.12, len(counts)) if len(counts) > 1 else np.zeros(1)
            label = f"{architecture}, fitted" if state == "trained" else None
            axes.plot(place + 3 * index + spread, counts, label=label, **look)
        explicit = cells.loc[cells["state"] == "explicit", "linear_regions"].iloc[0]
        across = (3 * index - 0.5, 3 * index + 1.5)
        axes.plot(across, [explicit] * 2, **{**CONSTRUCTION, "marker": None, "label": None if index else "explicit"})
        most = {**FLOOR, "linewidth": 1.2, "label": None if index else "upper bound, any weights"}
        axes.plot(across, [cells["most"].iloc[0]] * 2, **most)
        guess = [cells["expected_at_initialisation"].iloc[0]] * 2
        label = None if index else r"$N^2/2$, $N$ neurons"
        axes.plot(across, guess, color="0.5", linestyle=":", linewidth=1.0, label=label)
    axes.set(yscale="log", ylabel="linear regions")
    axes.set_ylim(top=60 * regions["most"].max())
    axes.set_xticks([0, 1, 3, 4], ["init.", "trained"] * 2)
    axes.legend(loc="upper left", fontsize=7)


def verdict(table: pd.DataFrame, regions: pd.DataFrame, faces: pd.DataFrame) -> Verdict:
    """Held where explicit deep weights have more regions than any shallow network, and fitted deep ones do not."""
    explicit = regions[regions["state"] == "explicit"].set_index("architecture")
    fitted = regions[regions["state"] != "explicit"]
    middle = fitted.groupby(["architecture", "state"])["linear_regions"].median()
    deep, shallow = explicit.loc["deep"], explicit.loc["shallow"]
    folds = deep["linear_regions"] > shallow["most"]
    unfound = all(middle["deep", state] < shallow["most"] for state in ("initialised", "trained"))
    found = fitted.loc[(fitted["architecture"] == "deep") & (fitted["state"] == "trained"), "linear_regions"]
    sentence = (
        f"with {deep['num_params']} parameters a deep network has {deep['linear_regions']:,} regions by explicit "
        f"weights, a shallow one at most {shallow['most']:,.0f}; initialised deep ones have "
        f"{middle['deep', 'initialised']:,.0f} in the median, trained ones {middle['deep', 'trained']:,.0f}"
    )
    return Verdict(
        "held" if folds and unfound else "not held",
        sentence,
        "linear regions of the deep network (more is more): most of a trained one, and explicit",
        None,
        float(found.max()),
        float(deep["linear_regions"]),
        len(regions),
    )


def caption(table: pd.DataFrame, regions: pd.DataFrame, faces: pd.DataFrame) -> str:
    """What is drawn, how many networks, and whether the claim held, computed from the tables."""
    explicit = regions[regions["state"] == "explicit"].set_index("architecture")
    middle = regions[regions["state"] != "explicit"].groupby(["architecture", "state"])["linear_regions"].median()
    deep, shallow = explicit.loc["deep"], explicit.loc["shallow"]
    held = deep["linear_regions"] > shallow["most"]
    seeds = regions.loc[regions["state"] == "trained"].groupby("architecture")["seed"].nunique().min()
    answer = "holds" if held else "does not hold"
    lost = len(table) - len(finished(table))
    fewer = f" ({lost} of {len(table)} fits failed or diverged)" if lost else ""
    return (
        f"What depth folds (Montufar et al. 2014): a deep network 2-{deep['widths']}-1 with {deep['num_params']} "
        f"parameters has {deep['linear_regions']:,} linear regions on a square by explicit weights, and a shallow one, "
        f"2-{shallow['widths']}-1 with {shallow['num_params']}, {shallow['linear_regions']:,}, of at most "
        f"{shallow['most']:,.0f}: that depth can fold more than any shallow network of its size {answer}. "
        "It is not what initialisation or training find (Hanin and Rolnick 2019): in the median "
        f"{middle['deep', 'initialised']:,.0f} regions (deep) against {middle['shallow', 'initialised']:,.0f} "
        "(shallow) "
        f"at initialisation, and {middle['deep', 'trained']:,.0f} against {middle['shallow', 'trained']:,.0f} after "
        f"{table['num_steps'].max()} steps of Adam on cos(pi x) cos(pi y). All counts are exact, on the square that is "
        "shown: [0, 1]^2 for explicit networks, [-1, 1]^2 for fitted ones. Colour: direction of the gradient. Right: "
        "one marker a network, "
        f"n = {seeds} initialisations{fewer}; upper bound of Serra et al. 2018, as recalled."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
