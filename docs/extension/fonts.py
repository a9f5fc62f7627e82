"""The font of formulas, part of the site: few fonts have the tables by which browsers stretch and place symbols."""

import logging
from importlib.util import find_spec
from pathlib import Path

from fontTools import subset

RANGES = ((0x20, 0x180), (0x370, 0x400), (0x2000, 0x2400), (0x27C0, 0x2B00), (0x1D400, 0x1D800))


def write(path: Path) -> None:
    """STIX Two Math (SIL Open Font License), which the package ziamath brings, cut to letters, Greek and operators."""
    spec = find_spec("ziamath")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("ziamath is in requirements-docs.txt, for its font")
    logging.getLogger("fontTools.subset").setLevel(logging.WARNING)
    options = subset.Options(flavor="woff", layout_features=["*"])
    font = subset.load_font(str(Path(spec.origin).parent / "fonts" / "STIXTwoMath-Regular.ttf"), options)
    cut = subset.Subsetter(options)
    cut.populate(unicodes=[letter for start, end in RANGES for letter in range(start, end)])
    cut.subset(font)
    subset.save_font(font, str(path), options)
