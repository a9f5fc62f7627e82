"""First-layer filters: pictures, their Gabor atoms against the bank, copies and opposites against noise, by layer too.

Draws results/<scale>/first_layer_filters.csv with its parts; see experiments/first_layer_filters.py.
"""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from widththeory import command
from widththeory.estimates import finished, rates_note, select_learning_rate
from widththeory.plotting import TEXT_WIDTH, series
from widththeory.verdicts import HELD, Verdict, counted

CELL = ["task", "activation"]
NAMES = {
    "alexnet": "AlexNet",
    "vgg16": "VGG-16",
    "vgg16_oxford": "VGG-16, Oxford",
    "resnet50_thin": "ResNet-50-thin",
    "shift_tolerant_alexnet": "shift-tolerant AlexNet",
    "shift_tolerant_vgg16": "shift-tolerant VGG-16",
}
CONTROLS = ("shift_tolerant_alexnet", "shift_tolerant_vgg16")  # first layers that are noise
ORIENTATIONS, SCALES = 8, 5  # of the bank
LETTERS = "abcdefghijklmn"
LONGEST = 8  # filters along a side of a picture
MOSAICS = 7  # pictures in the row
MEASURES = {  # title and axis
    "goodness": ("like Gabor atoms", "share of energy in an atom"),
    "opposite": ("opposites", "cosine to the most opposite"),
    "nearest": ("copies", "cosine to the nearest"),
}


def chosen(table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Our fits, at the learning rate of least median training loss of their task and activation."""
    fits = table.drop(columns=["num_params", "multiply_adds"], errors="ignore").merge(cells, on="key", how="inner")
    return select_learning_rate(fits, by=CELL, loss="train_loss")


def kept(part: pd.DataFrame, fits: pd.DataFrame) -> pd.DataFrame:
    """Rows of a part that are of a package, of noise, or of a chosen fit that was measured."""
    ours = part["key"].isin(set(finished(fits)["key"]))
    return part[ours | (part["key"].fillna("") == "")]


def called(net: str) -> str:
    """A network as figures name it."""
    if not net.startswith("ours, "):
        return NAMES.get(net, net)
    _, task, activation = net.split(", ")
    return f"ours, {task}, {'CReLU' if activation == 'crelu' else 'ReLU'}"


def order(nets: pd.Series) -> list[str]:
    """Of packages in the order of NAMES, controls after them, ours last."""
    known = [*(name for name in NAMES if name not in CONTROLS), *CONTROLS]
    there = set(nets)
    ours = sorted(name for name in there if name.startswith("ours"))
    return [name for name in known if name in there] + ours


def noise_of(filters: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """The Gaussian filters by their size."""
    noise = filters[filters["kind"] == "noise"]
    return {int(size): own for size, own in noise.groupby("size")}


def drawn(table: pd.DataFrame, cells: pd.DataFrame, filters: pd.DataFrame, layers: pd.DataFrame) -> pd.DataFrame:
    """A row a network: medians over its filters beside those of noise of their shape; of ours, all seeds together."""
    fits = chosen(table, cells)
    rows, noise = [], noise_of(filters)
    first = kept(layers, fits)
    first = first[first["layer"] == 0]
    good = kept(filters, fits)
    for net in order(good.loc[good["kind"] != "noise", "net"]):
        own, layer = good[good["net"] == net], first[first["net"] == net]
        control = noise[int(own["size"].iloc[0])]
        row: dict[str, Any] = {"net": net, "kind": own["kind"].iloc[0], "size": int(own["size"].iloc[0])}
        row |= {"num_filters": len(own), "num_networks": len(layer)}
        for name in ("goodness", "one_phase", "bank_goodness"):
            row[name], row[f"noise_{name}"] = own[name].median(), control[name].median()
        for place, share in (("q1", 0.25), ("median", 0.5), ("q3", 0.75)):
            row[f"noise_goodness_{place}"] = control["goodness"].quantile(share)
            for name in ("opposite", "nearest"):
                row[f"{name}_{place}"] = own[name].quantile(share)
                row[f"noise_{name}_{place}"] = layer[f"noise_{name}_{place}"].mean()
        row["noise_best"] = control["goodness"].quantile(0.95)
        row["above_noise"] = (own["goodness"] > row["noise_best"]).mean()
        inside = histogram(own[own["goodness"] > row["noise_best"]])[1:-1]
        row |= {"in_bank": int(inside.sum()), "bank_cells": int((inside > 0).sum())}
        row |= {"mean_opposite": layer["opposite"].mean(), "noise_mean_opposite": layer["noise_opposite"].mean()}
        row |= {"noise_low": layer["noise_low"].min(), "noise_high": layer["noise_high"].max()}
        row |= {"largest_mean_opposite": layer["opposite"].max(), "least_mean_opposite": layer["opposite"].min()}
        row |= {"opposites": layer["opposites"].mean(), "copies": layer["copies"].mean()}
        row |= {"directions": layer["directions"].mean(), "noise_directions": layer["noise_directions"].mean()}
        row |= {"inputs": int(layer["inputs"].iloc[0])}
        rows.append(row)
    return pd.DataFrame(rows)


# --- the figure -------------------------------------------------------------------------------------------------------


def figure(
    table: pd.DataFrame, cells: pd.DataFrame, filters: pd.DataFrame, layers: pd.DataFrame, pixels: pd.DataFrame
) -> Figure:
    """Pictures above; measures of first layers beside noise; waves beside the bank; opposites by layer if there are."""
    fits, shown = chosen(table, cells), drawn(table, cells, filters, layers)
    pictured = mosaics(shown, kept(pixels, fits))
    looks = {net: series(index) for index, net in enumerate(shown["net"])}
    picture = Figure(figsize=(TEXT_WIDTH, 6.5), layout="constrained")
    picture.suptitle(
        "Trained first layers are nearer to Gabor atoms, and to opposites of each other, than noise is", size=9.5
    )
    parts: Any = picture.subfigures(3, 1, height_ratios=(0.85 if len(pictured) < 5 else 0.6, 1.2, 1.3))
    top, middle, bottom = parts
    panels: Any = top.subplots(1, max(len(pictured), 1), squeeze=False)[0]
    letters = iter(LETTERS)
    for axes, net in zip(panels, pictured, strict=False):
        _mosaic(axes, kept(pixels, fits), filters, net, next(letters))
    measures: Any = middle.subplots(1, 3, sharey=True)
    for axes, (name, (title, label)) in zip(measures, MEASURES.items(), strict=True):
        _measure(axes, shown, kept(filters, fits), name, looks)
        axes.set(xlabel=label)
        axes.set_title(f"({next(letters)}) {title}", fontsize=8)
    handles = [
        Line2D([], [], color="0.3", marker="o", markersize=4, label="trained, a look a network"),
        Line2D([], [], color="0.55", marker="o", markersize=4, markerfacecolor="white", label="Gaussian noise"),
    ]
    middle.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7)
    several = deep(kept(layers, fits))
    below: Any = bottom.subplots(1, 3, width_ratios=(1.5, 1, 1.1)) if several else bottom.subplots(1, 2)
    _waves(below[0], shown, kept(filters, fits), looks, next(letters))
    handles, names = below[0].get_legend_handles_labels()
    bottom.legend(handles, names, loc="outside lower left", ncols=5, fontsize=7, handletextpad=0.1)
    _histogram(below[1], shown, kept(filters, fits), next(letters))
    if several:
        _by_layer(below[2], kept(layers, fits), shown, looks, next(letters))
    return picture


def mosaics(shown: pd.DataFrame, pixels: pd.DataFrame) -> list[str]:
    """The networks whose filters are pictured: all but the controls, as many as there is room for."""
    there = set(pixels["net"])
    return [net for net in shown["net"] if net in there and net not in CONTROLS][:MOSAICS]


def deep(layers: pd.DataFrame) -> bool:
    """Whether layers after the first were measured: else there is nothing to draw layer by layer."""
    return bool((layers["num_layers"] > 1).any())


def _mosaic(axes: Axes, pixels: pd.DataFrame, filters: pd.DataFrame, net: str, letter: str) -> None:
    """Filters side by side, the best atoms first, each with its own largest value."""
    own = pixels[pixels["net"] == net]
    key = own["key"].fillna("").iloc[0]
    of_net = filters[(filters["net"] == net) & (filters["key"].fillna("") == key)]
    best = of_net.sort_values("goodness", ascending=False)["filter"].to_numpy()
    channels = [name for name in own if name.startswith("channel_")]
    size, count = int(own["row"].max()) + 1, int(own["filter"].max()) + 1
    stack = np.zeros((count, size, size, len(channels)))
    stack[own["filter"], own["row"], own["column"]] = own[channels].to_numpy()
    side = min(LONGEST, math.ceil(math.sqrt(count)))
    canvas = np.ones((side * (size + 1) - 1, side * (size + 1) - 1, 3))
    for place, index in enumerate(best[: side**2]):
        row, column = (part * (size + 1) for part in divmod(place, side))
        canvas[row : row + size, column : column + size] = np.clip((stack[index] + 1) / 2, 0, 1)
    axes.imshow(canvas, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(f"({letter}) {called(net)}", fontsize=7)


def _measure(axes: Axes, shown: pd.DataFrame, filters: pd.DataFrame, name: str, looks: dict[str, Any]) -> None:
    """Median and quartiles of each network's filters, and hollow, of noise of their shape."""
    for place, row in enumerate(shown.itertuples()):
        own = filters.loc[filters["net"] == row.net, name].quantile([0.25, 0.5, 0.75])
        noise = [getattr(row, f"noise_{name}_{quartile}") for quartile in ("q1", "median", "q3")]
        color = looks[row.net]["color"]
        for (low, middle, high), shift, face in ((own, -0.14, color), (noise, 0.2, "white")):
            axes.plot([low, high], [place + shift] * 2, color=color if face == color else "0.55", linewidth=1.1)
            axes.plot(
                middle, place + shift, marker=looks[row.net]["marker"], markersize=4, markerfacecolor=face,
                markeredgecolor=color if face == color else "0.45", linestyle="none",
            )  # fmt: skip
    axes.set_yticks(
        range(len(shown)), [f"{called(row.net)}, {row.size}x{row.size}" for row in shown.itertuples()], fontsize=7
    )
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim((-1.03, 0.03) if name == "opposite" else (-0.03, 1.03))
    axes.grid(axis="x", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)


def bank() -> tuple[np.ndarray, np.ndarray]:
    """Wave vectors of the 8 orientations at 5 scales, the coarsest 16 pixels long, the finest 4."""
    lengths = math.pi / 2 / 2 ** (np.arange(SCALES) / 2)
    angles = np.arange(ORIENTATIONS) * math.pi / ORIENTATIONS
    return (lengths[:, None] * np.cos(angles)).ravel(), (lengths[:, None] * np.sin(angles)).ravel()


def histogram(filters: pd.DataFrame) -> np.ndarray:
    """Numbers of atoms by scale and orientation of the bank: a row for those finer, five scales, a row for coarser."""
    scale = np.clip(np.rint(2 * np.log2(filters["wavelength"] / 4)), -1, SCALES).astype(int) + 1
    orientation = np.rint(filters["degrees"] / (180 / ORIENTATIONS)).astype(int) % ORIENTATIONS
    counts = np.zeros((SCALES + 2, ORIENTATIONS), int)
    np.add.at(counts, (scale, orientation), 1)
    return counts


def _histogram(axes: Axes, shown: pd.DataFrame, filters: pd.DataFrame, letter: str) -> None:
    good = [
        filters[(filters["net"] == row.net) & (filters["goodness"] > row.noise_best)]
        for row in shown.itertuples()
        if row.net not in CONTROLS
    ]
    counts = sum((histogram(own) for own in good), np.zeros((SCALES + 2, ORIENTATIONS), int))
    axes.imshow(counts, cmap="Blues", aspect="auto", vmin=0, vmax=1.3 * max(counts.max(), 1))
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if count > 0.8 * counts.max() else "black"
        axes.text(column, row, str(count), ha="center", va="center", fontsize=7, color=color)
    axes.set_xticks([0, 2, 4, 6], ["0", "45", "90", "135"])
    names = [f"{4 * 2 ** (scale / 2):.3g}" for scale in range(SCALES)]
    axes.set_yticks(range(SCALES + 2), ["finer", *names, "coarser"], fontsize=7)
    for edge in (0.5, SCALES + 0.5):
        axes.axhline(edge, color="black", linewidth=0.8)
    axes.set(xlabel="orientation, degrees", ylabel="wavelength, pixels")
    axes.set_title(f"({letter}) atoms by the bank's cells", fontsize=8)


def _waves(axes: Axes, shown: pd.DataFrame, filters: pd.DataFrame, looks: dict[str, Any], letter: str) -> None:
    for row in shown.itertuples():
        if row.net in CONTROLS:
            continue
        own = filters[(filters["net"] == row.net) & (filters["goodness"] > row.noise_best)]
        look = looks[row.net]
        axes.scatter(
            own["wave_x"], own["wave_y"], s=9, alpha=0.65, color=look["color"], marker=look["marker"], linewidths=0,
            label=called(row.net),
        )  # fmt: skip
    x, y = bank()
    axes.scatter(x, y, s=22, marker="+", color="black", linewidths=0.8, label="bank of 40")
    turn = np.linspace(0, math.pi, 100)
    circle: dict[str, Any] = {"color": "0.6", "linewidth": 0.7, "linestyle": ":", "label": r"$|k|=\pi$"}
    axes.plot(math.pi * np.cos(turn), math.pi * np.sin(turn), **circle)
    axes.set(aspect="equal", xlim=(-3.3, 3.3), ylim=(-0.1, 3.3), xlabel="$k_x$, radians per pixel", ylabel="$k_y$")
    axes.set_title(f"({letter}) waves of the atoms and the bank", fontsize=8)


def _by_layer(axes: Axes, layers: pd.DataFrame, shown: pd.DataFrame, looks: dict[str, Any], letter: str) -> None:
    """Mean cosine to the most opposite filter against the place of the layer, less that of noise."""
    for net in shown["net"]:
        own = layers[layers["net"] == net].sort_values("layer")
        if not deep(own):
            continue
        place = own["layer"] / (own["num_layers"] - 1).clip(lower=1)
        excess = own["opposite"] - own["noise_opposite"]
        axes.plot(place, excess, markersize=3, linewidth=0.8, **{**looks[net], "linestyle": "-"})
    axes.axhline(0, color="0.4", linewidth=0.8, linestyle=":")
    axes.set(xlabel="layer (first 0, last 1)", ylabel="cosine less noise's", xlim=(-0.08, 1.08))
    axes.set_title(f"({letter}) opposites, layer by layer", fontsize=8)


# --- words ------------------------------------------------------------------------------------------------------------


def verdict(table: pd.DataFrame, cells: pd.DataFrame, filters: pd.DataFrame, layers: pd.DataFrame) -> Verdict:
    """Held where every trained first layer has a median atom above the best of noise, and more opposites than noise.

    The best of noise is its 95 % quantile; opposites are compared by their mean cosine with the lowest of all draws,
    for networks under ReLU and every seed. "not held" where a median lies below, or the mean above the lowest draw,
    "open" where no network is under ReLU.
    """
    shown = drawn(table, cells, filters, layers)
    trained = shown[~shown["net"].isin(CONTROLS)]
    atoms = trained["goodness"] > trained["noise_best"]
    plain = trained[~trained["net"].str.endswith("crelu")]
    pairs = plain["largest_mean_opposite"] < plain["noise_low"]
    more = trained["goodness"] - trained["noise_goodness"]
    better = round((trained["above_noise"] * trained["num_filters"]).sum())
    most = trained["bank_cells"].max() if len(trained) else 0
    closer = "under ReLU filters have closer opposites than in any draw of random ones"
    told = counted(int(pairs.sum()), len(plain), closer, "; in ")
    told += counted(int(trained["in_bank"].sum()), better, "atoms are of the bank's scales")
    return Verdict(
        "not held" if not (atoms.all() and pairs.all()) else "open" if plain.empty else "held",
        f"in {int(atoms.sum())} of {len(trained)} first layers the median filter is nearer to a Gabor atom than 95 % "
        f"of random filters ({trained['goodness'].min():.2f} to {trained['goodness'].max():.2f} of its energy in one, "
        f"{more.min():.2f} to {more.max():.2f} more than of a random one's){told}, in at most {most} of "
        f"its {ORIENTATIONS * SCALES} cells a network",
        "energy outside an atom, as a share of the median filter's, the least over networks",
        floor=None,
        best_fit=None if trained.empty else float(1 - trained["goodness"].max()),
        construction=None,
        n=int(trained["num_filters"].sum()),
        short=f"{100 * trained['goodness'].min():.0f} to {100 * trained['goodness'].max():.0f} % of the median "
        "filter's energy lies in one Gabor atom",
    )


def caption(
    table: pd.DataFrame,
    cells: pd.DataFrame,
    filters: pd.DataFrame,
    layers: pd.DataFrame,
    pixels: pd.DataFrame,
    nets: pd.DataFrame,
) -> str:
    """Which networks and what is measured, pairs beside noise in numbers, what is missing, and whether it held."""
    fits, shown = chosen(table, cells), drawn(table, cells, filters, layers)
    found = verdict(table, cells, filters, layers)
    gone, lost = int((~nets["there"].astype(bool)).sum()), len(fits) - len(finished(fits))
    ours, trained = shown[shown["kind"] == "ours"], shown[~shown["net"].isin(CONTROLS)]
    reached = finished(fits).groupby(CELL)["test_accuracy"].mean()
    above = int((trained["goodness"] > trained["noise_best"]).sum())
    pairs = []
    for name, own in trained.groupby(trained["net"].str.endswith("crelu").map({True: "CReLU", False: "ReLU"})):
        below = int((own["largest_mean_opposite"] < own["noise_low"]).sum())
        cosines = dict.fromkeys(f"{end:.2f}" for end in (own["mean_opposite"].min(), own["mean_opposite"].max()))
        pairs.append(f"in {below} of {len(own)} under {name} ({' to '.join(cosines)})")
    count = len(mosaics(shown, kept(pixels, fits)))
    pictured = f" ({', '.join(LETTERS[:count])}) Filters, best atoms first." * (count > 0)
    atom, _, nearest, waves, bank_of, last = list(LETTERS[count : count + 6])
    by_layer = f" ({last}) Mean cosine to the most opposite." * deep(kept(layers, fits))
    accuracy = " to ".join(dict.fromkeys(f"{end:.2f}" for end in (reached.min(), reached.max())))
    accuracy = f", test accuracy {accuracy}" if len(reached) else ""
    return (
        "First layers of trained networks are nearer to Gabor atoms than noise is and, under ReLU, to opposites of "
        f"each other (Shang et al. 2016): the claim {HELD[found.state]}.{pictured} ({atom}-{nearest}) Median and "
        f"quartiles over filters, and over noise of their shape. ({waves}) Waves of atoms better than 95 % of noise, "
        f"beside the bank (as recalled); ({bank_of}) their numbers by its cells.{by_layer} Ours: n = "
        f"{ours['num_networks'].min() if len(ours) else 0:.0f} seeds, {rates_note(table)}{accuracy}"
        f"{f'; {lost} of {len(fits)} fits failed or diverged' if lost else ''}. In {above} of {len(trained)} first "
        f"layers the median filter has more of its energy in one atom ({trained['goodness'].min():.2f} to "
        f"{trained['goodness'].max():.2f}) than 95 % of noise; the mean cosine to the most opposite is below all draws "
        f"of noise {' and '.join(pairs)}.{f' Published networks not in the data folder: {gone}.' if gone else ''}"
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
