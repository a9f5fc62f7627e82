"""The page's live corner: fitted functions by width and depth, and K(eps) by dimension and frequency, as Vega-Lite."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from widththeory.bounds.spectral import neurons_needed
from widththeory.constructions.eldan_shamir import Cosine

DIMS = (2, 3, 4, 6, 8, 12, 16)
FREQUENCIES = (1.0, 2.0, 3.0, 4.0, 5.0)
RELATIVE_ERRORS = (0.9, 0.75, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.02, 0.01)
FUNCTION_COLUMNS = ("panel", "width", "depth", "x", "value", "error", "floor", "explicit")
# Marks say nothing to a screen reader, which would read hundreds of points: the sentence under each chart does.
_SILENT = {"aria": False}
# A floor has the colour of the text, in a dark page too, as in figures it is black.
_FLOOR, _FIT, _TARGET, _KNOWN = "currentColor", "#0072B2", "#888888", "#D55E00"
_FEW = {"tickCount": 5, "labelOverlap": True}  # on a phone numbers would stand in one another


def function_tables(root: Path, scale: str) -> dict[str, pd.DataFrame]:
    """Tables results/<scale>/<claim>.functions.csv by claim, see `functions`.

    Raises:
        ValueError: one has other columns.
    """
    found = {}
    for path in sorted((root / "results" / scale).glob("*.functions.csv")):
        table = pd.read_csv(path)
        if tuple(table.columns) != FUNCTION_COLUMNS:
            raise ValueError(f"{path.name} must have the columns {', '.join(FUNCTION_COLUMNS)}, got {list(table)}")
        found[path.name.partition(".")[0]] = table
    return found


def functions(table: pd.DataFrame) -> dict[str, Any]:
    """The curves of one claim: corners of each fitted function, and its error beside floor and construction.

    Args:
        table: a row a corner. `panel` names a target; width and depth are 0 in the rows of the target itself. `error`,
            `floor` and `explicit` are the same for all corners of one function.
    """
    curves = table[["panel", "width", "depth", "x", "value"]]
    sizes = table[table["depth"] > 0].drop_duplicates(["panel", "width", "depth"])
    numbers = sizes.melt(["panel", "width", "depth"], ["floor", "error", "explicit"], "kind", "amount").dropna()
    names = {"floor": "certified floor", "error": "best fit", "explicit": "explicit"}
    numbers["kind"] = numbers["kind"].map(names)
    pieces = table[table["depth"] > 0].groupby(["panel", "width", "depth"]).size() - 1
    choices = {
        name: sorted(sizes[name].unique().tolist(), key=lambda value: (len(str(value)), value))
        for name in ("panel", "depth", "width")
    }
    return {
        "choices": choices,
        "sizes": [[*key, int(count)] for key, count in pieces.items()],
        "numbers": _records(numbers),
        "curve": _curve_spec(_records(curves)),
        "bars": _bar_spec(_records(numbers)),
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    rounded = table.assign(
        **{name: table[name].map(lambda value: float(f"{value:.6g}")) for name in table.select_dtypes("float")}
    )
    return rounded.to_dict("records")


def _chosen() -> list[dict[str, Any]]:
    """What the sliders set: `chosen_width`, as `width` is the chart's own."""
    return [{"name": f"chosen_{name}", "value": value} for name, value in (("panel", ""), ("width", 0), ("depth", 0))]


_SELECTED = " && ".join(f"datum.{name} == chosen_{name}" for name in ("panel", "width", "depth"))


def _curve_spec(rows: list[dict[str, Any]]) -> dict[str, Any]:
    # Of all targets, and half as much around: curves are compared at one scale, and a fit that leaves it is bad anyway.
    targets = [row for row in rows if row["depth"] == 0]
    ends = {name: [min(row[name] for row in targets), max(row[name] for row in targets)] for name in ("x", "value")}
    margin = (ends["value"][1] - ends["value"][0]) / 4
    ends["value"] = [ends["value"][0] - margin, ends["value"][1] + margin]
    axes = {
        "x": {"field": "x", "type": "quantitative", "title": "x", "scale": {"domain": ends["x"]}, "axis": _FEW},
        "y": {"field": "value", "type": "quantitative", "title": "f(x)", "scale": {"domain": ends["value"]}},
    }
    fitted = {"transform": [{"filter": _SELECTED}]}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": "The target and the fitted function, with its affine pieces.",
        "data": {"values": rows},
        "params": _chosen(),
        "width": "container",
        "height": 260,
        "layer": [
            {
                "transform": [{"filter": "datum.panel == chosen_panel && datum.depth == 0"}],
                "mark": {**_SILENT, "type": "line", "color": _TARGET, "strokeDash": [5, 3]},
                "encoding": axes,
            },
            {**fitted, "mark": {**_SILENT, "type": "line", "color": _FIT, "clip": True}, "encoding": axes},
            {
                **fitted,
                "mark": {**_SILENT, "type": "point", "color": _FIT, "filled": True, "size": 30, "clip": True},
                "encoding": axes,
            },
        ],
    }


def _bar_spec(rows: list[dict[str, Any]]) -> dict[str, Any]:
    order = ["certified floor", "best fit", "explicit"]
    y = {"field": "kind", "type": "nominal", "title": None, "sort": order, "scale": {"domain": order}}
    x = {
        "field": "amount",
        "type": "quantitative",
        "title": "relative squared error",
        "scale": {"domain": [0, 1.1]},  # with room for the number beside a bar of 1
        "axis": _FEW,
    }
    color = {
        "field": "kind",
        "legend": None,
        "scale": {"domain": order, "range": [_FLOOR, _FIT, _KNOWN]},
    }
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": "Error of the fit beside the certified floor and the explicit network of its size.",
        "data": {"values": rows},
        "params": _chosen(),
        "transform": [{"filter": _SELECTED}],
        "width": "container",
        "height": 100,
        "layer": [
            {"mark": {**_SILENT, "type": "bar", "clip": True}, "encoding": {"x": x, "y": y, "color": color}},
            {
                "mark": {**_SILENT, "type": "text", "align": "left", "dx": 4},
                "encoding": {"x": x, "y": y, "text": {"field": "amount", "format": ".3~g"}},
            },
        ],
    }


def _neurons() -> Iterator[dict[str, Any]]:
    for dim in DIMS:
        for frequency in FREQUENCIES:
            spectrum = Cosine(dim, frequency).spectrum()
            for relative_error in RELATIVE_ERRORS:
                count = max(1.0, neurons_needed(spectrum, relative_error).lower)
                yield {"d": dim, "omega": frequency, "eps": relative_error, "K": float(f"{count:.4g}")}


def separation() -> dict[str, Any]:
    """K(eps) of the wave cos(omega t) in d dimensions: fewer neurons in one hidden layer cannot reach it, certified."""
    rows = list(_neurons())
    eps = {
        "field": "eps",
        "type": "quantitative",
        "title": "relative squared error \u03b5",
        "scale": {"type": "log", "domain": [0.01, 1]},
        "axis": {"values": [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1], "format": "~g", "labelOverlap": True},
    }
    count = {"field": "K", "type": "quantitative", "scale": {"type": "log"}}
    # digits of 1e20 would be wider than the chart's margin
    count |= {"title": "neurons needed, K(\u03b5)", "axis": {"format": ".0e", "minExtent": 46}}
    return {
        "choices": {"d": list(DIMS), "omega": list(FREQUENCIES)},
        "rows": rows,
        "chart": {
            "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
            "description": "Neurons that one hidden layer needs, against the relative squared error.",
            "data": {"values": rows},
            "params": [{"name": "chosen_d", "value": 2}, {"name": "chosen_omega", "value": 1}],
            "transform": [{"filter": "datum.d == chosen_d && datum.omega == chosen_omega"}],
            "width": "container",
            "height": 260,
            "mark": {**_SILENT, "type": "line", "color": _FLOOR, "point": {"color": _FLOOR, "size": 40}},
            "encoding": {"x": eps, "y": count, "tooltip": [{"field": "eps"}, {"field": "K", "format": ",.4~g"}]},
        },
    }
