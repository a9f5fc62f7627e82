"""A network, drawn from its weights, beside the function that it computes."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

POSITIVE, NEGATIVE = "#0072B2", "#D55E00"
MOST_UNITS, MOST_LAYERS = 9, 9
GAP = None  # stands for what is left out


def shown(count: int, most: int) -> list[int | None]:
    """Indices that are drawn of `count` things; GAP between them where there are more than `most`."""
    if count <= most:
        return list(range(count))
    half = (most - 1) // 2
    return [*range(half), GAP, *range(count - half, count)]


def draw(construction: Any, path: Path) -> None:
    """Write the picture of a construction's network; the same bytes for the same network."""
    network = construction.network()
    style = {"font.family": "STIXGeneral", "mathtext.fontset": "stix", "svg.hashsalt": "widththeory", "font.size": 9}
    with mpl.rc_context():
        mpl.rcParams.update(style)  # type: ignore[arg-type]
        picture = Figure(figsize=(7.0, 2.7), layout="constrained")
        graph, function = picture.subplots(1, 2, width_ratios=(1.7, 1))
        _graph(graph, network)
        _function(function, construction, network)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _graph(axes: Axes, network: Any) -> None:
    """Layers as columns; lines from unit to unit, blue where the weight is positive, thick where it is large."""
    weights = [layer.weight for layer in network.float64().layers]
    counts = [weights[0].shape[1], *(len(weight) for weight in weights)]
    columns = shown(len(counts), MOST_LAYERS)
    units = {layer: shown(counts[layer], MOST_UNITS) for layer in columns if layer is not None}
    half = max(3, *map(len, units.values())) / 2

    def height(layer: int, row: int) -> float:
        return (len(units[layer]) - 1) / 2 - row

    for place, layer in enumerate(columns):
        if layer is None:
            axes.text(place, 0, "\u2026", ha="center", va="center", fontsize=16)
            continue
        last = layer == len(counts) - 1
        for row, unit in enumerate(units[layer]):
            if unit is None:
                axes.text(place, height(layer, row), "\u22ee", ha="center", va="center")
                continue
            face = "white" if layer in (0, len(counts) - 1) else "0.85"
            axes.plot(place, height(layer, row), "o", markersize=8, color=face, markeredgecolor="black", zorder=3)
        name = "input" if layer == 0 else "output" if last else f"{counts[layer]}"
        axes.text(place, -half - 0.4, name, ha="center", va="center", fontsize=8)
        if place and columns[place - 1] == layer - 1:
            _edges(axes, weights[layer - 1], place, units[layer - 1], units[layer], height, layer)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(-half - 0.8, half))
    axes.axis("off")


def _edges(
    axes: Axes,
    weight: np.ndarray,
    place: int,
    before: list[int | None],
    after: list[int | None],
    height: Any,
    layer: int,
) -> None:
    largest = np.abs(weight).max() or 1.0
    lines, colors, widths = [], [], []
    for row, unit in enumerate(after):
        for column, other in enumerate(before):
            if unit is None or other is None or weight[unit, other] == 0:
                continue
            lines.append([(place - 1, height(layer - 1, column)), (place, height(layer, row))])
            colors.append(POSITIVE if weight[unit, other] > 0 else NEGATIVE)
            widths.append(0.4 + 1.4 * abs(weight[unit, other]) / largest)
    axes.add_collection(LineCollection(lines, colors=colors, linewidths=widths))


def _function(axes: Axes, construction: Any, network: Any) -> None:
    """The graph for one input, a map for two; for more, network against target at points of the law."""
    points = construction.sample(2000, np.random.default_rng(0))
    low, high = np.floor(points.min(axis=0) * 20) / 20, np.ceil(points.max(axis=0) * 20) / 20
    if network.input_dim == 1:
        line = np.linspace(low[0], high[0], 2001)[:, None]
        axes.plot(line, construction.target(line), color="0.7", linewidth=3.5, label="target")
        axes.plot(line, network(line)[:, 0], color="black", linewidth=0.9, label="network")
        axes.legend(frameon=False, fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        axes.set(xlabel="$x$")
    elif network.input_dim == 2:
        sides = [np.linspace(a, b, 121) for a, b in zip(low, high, strict=True)]
        grid = np.stack([part.ravel() for part in np.meshgrid(*sides)], axis=1)
        values = network(grid)[:, 0].reshape(121, 121)
        image = axes.pcolormesh(*sides, values, cmap="viridis", rasterized=True)
        axes.figure.colorbar(image, ax=axes, shrink=0.85, label="network")
        axes.set(aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
    else:
        target = construction.target(points)
        axes.plot(target, network(points)[:, 0], ".", markersize=2, color="black", rasterized=True)
        ends = [target.min(), target.max()]
        axes.plot(ends, ends, color="0.6", linewidth=0.8)
        axes.set(xlabel="target", ylabel="network")
    axes.spines[["top", "right"]].set_visible(False)


def draw_filters(filters: np.ndarray, path: Path) -> None:
    """Write a bank of image filters, (rows, columns, size, size), as one picture."""
    with mpl.rc_context({"svg.hashsalt": "widththeory"}):
        picture = Figure(figsize=(7.0, 7.0 * filters.shape[0] / filters.shape[1]))
        panels = picture.subplots(*filters.shape[:2], squeeze=False, gridspec_kw={"wspace": 0.08, "hspace": 0.08})
        for axes, one in zip(panels.ravel(), filters.reshape(-1, *filters.shape[2:]), strict=True):
            largest = np.abs(one).max()
            axes.imshow(one, cmap="gray", vmin=-largest, vmax=largest)
            axes.axis("off")
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.savefig(path, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
