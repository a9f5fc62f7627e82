"""Pictures of planar networks, drawn from the exact complex: no raster, so every region and break line is there.

All functions return a `matplotlib.figure.Figure` that belongs to no window; matplotlib is imported when one is called.
"""

from fractions import Fraction
from typing import Any, Literal

import numpy as np

from widththeory.exact.linear_regions import linear_regions
from widththeory.exact.two_dim import Polygon, PolygonalComplex, decision_regions, subdivide
from widththeory.network import Network

_OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")


def draw_slopes(
    axes: Any, complex_: PolygonalComplex, by: Literal["steepness", "direction", "region"] = "steepness"
) -> Any:
    """Draw the faces of a complex on matplotlib axes, coloured by the gradient of the first output; returns the artist.

    Args:
        by: "steepness" for the length of the gradient, "direction" for its angle, "region" for one colour, of eight, a
            linear region.
    """
    from matplotlib.collections import PolyCollection

    gradients = complex_.affine_maps[:, 0, :2].astype(np.float64)
    style: dict[str, Any]
    if by == "region":
        style = {"facecolors": [_OKABE_ITO[region % len(_OKABE_ITO)] for region in linear_regions(complex_)]}
    elif by == "direction":
        style = {"array": np.arctan2(gradients[:, 1], gradients[:, 0]), "cmap": "twilight", "clim": (-np.pi, np.pi)}
    elif by == "steepness":
        style = {"array": np.hypot(gradients[:, 0], gradients[:, 1]), "cmap": "viridis"}
    else:
        raise ValueError(f"by must be 'steepness', 'direction' or 'region', got {by!r}")
    polygons = [complex_.polygon(face).astype(np.float64) for face in range(complex_.num_faces)]
    artist = axes.add_collection(PolyCollection(polygons, edgecolors="white", linewidths=0.3, **style))
    _frame(axes, complex_)
    return artist


def slopes(network: Network, polygon: Polygon, by: Literal["steepness", "direction", "region"] = "steepness") -> Any:
    """Figure of the regions of a network on a convex polygon, coloured by slope; see `draw_slopes`."""
    from matplotlib.figure import Figure

    complex_ = subdivide(network, polygon)
    figure = Figure(figsize=(4.2, 3.4), layout="constrained")
    axes = figure.add_subplot()
    artist = draw_slopes(axes, complex_, by)
    if by != "region":
        figure.colorbar(artist, ax=axes, label="|gradient|" if by == "steepness" else "angle of the gradient")
    axes.set_title(f"{complex_.num_faces} activation regions", fontsize=9)
    return figure


def folds(network: Network, polygon: Polygon) -> Any:
    """Figure of what each hidden layer adds, one panel a layer.

    Break lines of the layer are dark, those of layers before it light. The shade is the layer's output, projected to
    the direction in which it varies most over the vertices: points of one shade are folded onto each other in this
    direction. Shades are affine on each face, so the interpolation of the picture is exact.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    complex_ = subdivide(network, polygon)
    depth, starts = network.size.depth, np.cumsum([0, *network.size.widths])
    if depth == 0:
        raise ValueError("network must have at least one hidden layer to fold, got depth 0")
    vertices = complex_.vertices.astype(np.float64)
    figure = Figure(figsize=(2.4 * depth, 2.6), layout="constrained")
    for layer, axes in enumerate(np.atleast_1d(figure.subplots(1, depth))):
        hidden = _hidden_layer(network, layer)(vertices)
        centred = hidden - hidden.mean(axis=0)
        direction = np.linalg.svd(centred, full_matrices=False)[2][0]
        shade = centred @ (direction * np.sign(direction[np.argmax(abs(direction))]))  # the sign is arbitrary: fix it
        axes.tripcolor(*vertices.T, complex_.triangles[0], shade, shading="gouraud", cmap="viridis", rasterized=True)
        made_by, ends = complex_.edge_neurons, vertices[complex_.edges]
        older = (made_by >= 0) & (made_by < starts[layer])
        newer = (made_by >= starts[layer]) & (made_by < starts[layer + 1])
        axes.add_collection(LineCollection(list(ends[older]), colors="white", linewidths=0.4))
        axes.add_collection(LineCollection(list(ends[newer]), colors="black", linewidths=0.8))
        axes.set_title(f"layer {layer + 1}: {_num_patterns(complex_, int(starts[layer + 1]))} regions", fontsize=9)
        _frame(axes, complex_)
    return figure


def decision_boundary(network: Network, polygon: Polygon) -> Any:
    """Figure of the classes of a classifier (see `two_dim.decision_regions`), with the exact boundary between them."""
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.figure import Figure

    complex_, classes = decision_regions(network, polygon)
    figure = Figure(figsize=(3.6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    polygons = [complex_.polygon(face).astype(np.float64) for face in range(complex_.num_faces)]
    colours = [_OKABE_ITO[label % len(_OKABE_ITO)] for label in classes]
    axes.add_collection(PolyCollection(polygons, facecolors=colours, edgecolors="white", linewidths=0.3, alpha=0.6))
    inner = (complex_.edge_faces >= 0).all(axis=1)
    sides = classes[complex_.edge_faces]
    border = complex_.vertices.astype(np.float64)[complex_.edges[inner & (sides[:, 0] != sides[:, 1])]]
    axes.add_collection(LineCollection(list(border), colors="black", linewidths=1.4))
    _frame(axes, complex_)
    return figure


def _hidden_layer(network: Network, layer: int) -> Network:
    """The network whose outputs are the neurons of a hidden layer."""
    width = network.size.widths[layer]
    identity = [[Fraction(int(i == j)) for j in range(width)] for i in range(width)]
    return Network([*network.layers[: layer + 1], (identity, [Fraction(0)] * width)])


def _num_patterns(complex_: PolygonalComplex, num_neurons: int) -> int:
    """Activation regions of the first neurons: each is convex, so it has one pattern and each pattern one region."""
    return len(np.unique(np.packbits(complex_.patterns[:, :num_neurons], axis=1), axis=0))


def _frame(axes: Any, complex_: PolygonalComplex) -> None:
    low, high = (getattr(complex_.vertices.astype(np.float64), end)(axis=0) for end in ("min", "max"))
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal", xticks=[], yticks=[])
