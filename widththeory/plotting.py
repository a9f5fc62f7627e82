"""What the figures share: one style, one look for floor, construction and fit, safe saving.

No TeX, no Type 3 fonts, no jax. Two builds from one table give the same bytes.
"""

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from widththeory.replacement import replace_bytes

COLUMN_WIDTH = 3.4  # inches
TEXT_WIDTH = 7.0

# Okabe and Ito's eight colours, dark and light in turn, so that neighbours differ in grey too.
COLORS = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "yellow": "#F0E442",
    "black": "#000000",
}
SERIES = ("blue", "orange", "green", "vermilion", "purple", "sky")
MARKERS = ("o", "s", "^", "D", "v", "P")
# Plain dashes are kept for constructions: a line of any other kind has dots.
LINES: tuple[Any, ...] = (
    "-",
    (0, (5, 1, 1, 1)),
    (0, (1, 1)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (8, 1.2, 1, 1.2)),
    (0, (1, 2.5)),
)

# What figures compare; the same look in all of them.
FLOOR: dict[str, Any] = {"color": COLORS["black"], "linestyle": "-", "linewidth": 1.6, "label": "certified floor"}
# A bound from above, in the grey of a legend; in the colour of a series where it belongs to one.
CEILING: dict[str, Any] = {"color": "0.3", "linestyle": (0, (6, 1.5, 1, 1.5)), "linewidth": 1.0}
CONSTRUCTION: dict[str, Any] = {
    "color": COLORS["vermilion"],
    "linestyle": (0, (5, 1.5)),
    "marker": "*",
    "markersize": 6,
    "label": "explicit construction",
}
TRAINED: dict[str, Any] = {"color": COLORS["blue"], "linestyle": "none", "marker": "o", "label": "trained"}

_STYLE: dict[str, Any] = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "image.cmap": "viridis",
    "figure.figsize": (COLUMN_WIDTH, 2.5),
    "figure.constrained_layout.use": True,
    "figure.dpi": 150,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "path",  # a browser lacks the fonts
    "svg.hashsalt": "widththeory",
    "text.usetex": False,
}


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's settings for a paper, for the length of a `with` block; whatever the user's own settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)  # type: ignore[arg-type]
        yield


def series(index: int) -> dict[str, Any]:
    """Colour, marker and line of the `index`-th of several curves; no two of the first 36 look alike, in grey too."""
    if index < 0:
        raise ValueError(f"index must be at least 0, got {index}")
    turn, place = divmod(index, len(SERIES))
    return {
        "color": COLORS[SERIES[place]],
        "marker": MARKERS[(place + turn) % len(MARKERS)],
        "linestyle": LINES[(place + turn) % len(LINES)],
    }


def say_scale(figure: Figure, scale: str, state: str = "") -> None:
    """Write the scale, small and grey, in the corner under the axes: figures of different scales are never mistaken.

    Before it, what became of the claim in the title, if the `state` of a verdict is given: a picture is often seen
    without its caption.
    """
    height = 0.11 / figure.get_figheight()
    layout = figure.get_layout_engine()
    if isinstance(layout, ConstrainedLayoutEngine):
        layout.set(rect=(0, height, 1, 1 - height))
    said = f"claim {state}; scale: {scale}" if state else f"scale: {scale}"
    figure.text(0.995, 0.005, said, ha="right", va="bottom", fontsize=6, color="0.35")


def number_ticks(axis: Axis, values: Iterable[int | float]) -> None:
    """Tick `values` and nothing else, as plain numbers: on a log axis of widths 3, 4, 8 rather than 3 x 10^0."""
    axis.set_major_locator(FixedLocator(sorted(values)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))


def chance_line(axes: Axes, chance: float) -> None:
    """The accuracy of a guess: dotted, and said."""
    axes.axhline(chance, color="0.5", linewidth=0.8, linestyle=":")
    place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "xytext": (0, 1), "textcoords": "offset points"}
    axes.annotate("chance", (1, chance), **place, ha="right", va="bottom", fontsize=7, color="0.35")


def save(
    figure: Figure, folder: str | Path, claim: str, table: pd.DataFrame, caption: str, conclusion: str | None = None
) -> Path:
    """Write <claim>.csv (the numbers drawn), .txt (caption), .png, .svg and .pdf, each whole or not at all.

    With a `conclusion`, see `verdicts.write`, also <claim>.json. The PDF comes last: where it is new, so are the
    others. Dates are left out, so that equal figures are equal files.

    Returns:
        The path of the PDF.
    """
    folder = Path(folder)
    replace_bytes(folder / f"{claim}.csv", table.to_csv(index=False, lineterminator="\n").encode())
    replace_bytes(folder / f"{claim}.txt", f"{caption.strip()}\n".encode())
    if conclusion is not None:
        replace_bytes(folder / f"{claim}.json", conclusion.encode())
    with style():
        _settle(figure)
    undated: dict[str, dict[str, Any]] = {
        "png": {},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "ModDate": None},
    }
    for kind, metadata in undated.items():
        picture = io.BytesIO()
        with style():
            figure.savefig(picture, format=kind, metadata=metadata)
        content = picture.getvalue()
        replace_bytes(folder / f"{claim}.{kind}", _numbered_clips(content) if kind == "svg" else content)
    return folder / f"{claim}.pdf"


def _settle(figure: Figure) -> None:
    """Lay the figure out once, for all kinds of file.

    The last bits of a constrained layout differ between processes, and with them a pixel now and then: positions are
    rounded, far below what can be seen.
    """
    if not isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        return
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = axes.get_position().bounds
        axes.set_position((round(left, 6), round(bottom, 6), round(width, 6), round(height, 6)))


def _numbered_clips(svg: bytes) -> bytes:
    """Clips by number: Matplotlib names them by a hash of their sizes, whose last bits differ from run to run."""
    found = dict.fromkeys(re.findall(rb"url\(#(p[0-9a-f]{10})\)", svg))
    names = {old: b"clip%d" % number for number, old in enumerate(found)}
    return re.sub(rb"\bp[0-9a-f]{10}\b", lambda match: names.get(match[0], match[0]), svg)
