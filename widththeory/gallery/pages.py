"""The page: one self-contained HTML file, with its pictures, its charts and the library that draws them inside."""

import base64
import json
import os
import re
from collections.abc import Iterable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from widththeory.gallery import live
from widththeory.gallery.claims import CHAPTERS, GROUNDS, WORDS, Claim

LARGEST_SVG = 1_500_000  # bytes; a larger picture is shown as PNG, its SVG and PDF are linked


def render(chapters: dict[str, list[Claim]], root: Path, scale: str) -> str:
    """The page's text.

    Raises:
        ValueError: a table or a conclusion that is not one of ours.
    """
    environment = Environment(
        loader=PackageLoader("widththeory.gallery"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "identifier": identifier, "json": _json, "code": code}
    environment.globals["picture"] = picture
    environment.globals["link"] = partial(link, folder=root / "figures" / scale)
    functions = {claim: live.functions(table) for claim, table in live.function_tables(root, scale).items()}
    return environment.get_template("index.html.j2").render(
        chapters=chapters,
        introductions=CHAPTERS,
        grounds=GROUNDS,
        words=WORDS,
        scale=scale,
        claims=[claim for claims in chapters.values() for claim in claims],
        data={"functions": functions, "separation": live.separation()},
        # its stub asks for an argument that is optional
        vega=_script(vl_convert.javascript_bundle()),  # type: ignore[call-arg]
        licence=licence(),
    )


def number(value: float | None) -> str:
    """Three digits, counts of thousands to millions of millions in full, or a dash."""
    if value is None:
        return "\u2013"
    return f"{value:,.0f}" if 1000 <= value < 1e15 and value.is_integer() else f"{value:.3g}"


def duration(seconds: float | None) -> str:
    """Seconds, minutes or hours, of which needs no more than three digits, or a dash."""
    if seconds is None:
        return "\u2013"
    unit, name = (1, "s") if seconds < 999.5 else (60, "m") if seconds < 999.5 * 60 else (3600, "h")
    return f"{seconds / unit:.0f}{name}"


def identifier(text: str) -> str:
    """A heading as the name of its place."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def code(text: str) -> Markup:
    """Escaped, with what stands between backticks as code, and powers and indices elsewhere raised and lowered."""
    parts = re.split(r"`([^`]+)`", str(escape(text)))
    return Markup("".join(f"<code>{part}</code>" if at % 2 else raised(part) for at, part in enumerate(parts)))


def raised(text: str) -> str:
    """x^2, 2^(k/L), d^1.7, width^-0.3 and x_1 as HTML has them."""
    text = re.sub(r"(?<=[\w)\]|])\^\(([^()]+)\)", r"<sup>\1</sup>", text)
    text = re.sub(r"(?<=[\w)\]|])\^(-?(?:\d+(?:\.\d+)?|[A-Za-z]))(?!\w)", r"<sup>\1</sup>", text)
    return re.sub(r"\b([A-Za-z])_(\d+|\w)\b", r"\1<sub>\2</sub>", text)


def picture(claim: Claim) -> str | None:
    """The figure as a data URI: vectors, or pixels where vectors are too many."""
    vector, pixels = claim.file("svg"), claim.file("png")
    if vector is not None and vector.stat().st_size <= LARGEST_SVG:
        return _uri("image/svg+xml", vector)
    return None if pixels is None else _uri("image/png", pixels)


def _uri(kind: str, path: Path) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def link(path: Path, folder: Path) -> str:
    """A path as seen from the page."""
    return Path(os.path.relpath(path, folder)).as_posix()


def licence() -> str:
    """Of the library inside the page, as its package has it.

    Raises:
        ValueError: the package has none.
    """
    package = metadata.distribution("vl-convert-python")
    for file in package.files or ():
        if file.name.upper().startswith("LICENSE"):
            return Path(str(file.locate())).read_text(encoding="utf-8").strip()
    raise ValueError("vl-convert-python must come with its licence, got none")


def _json(value: Any) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _script(text: str) -> str:
    """JavaScript that may stand inside a script element.

    Only what ends or restarts one is escaped: any other `</` may be the end of a regular expression, as in /</g.
    """
    return re.sub(r"<(?=/script|!--|script)", r"\\x3c", text, flags=re.IGNORECASE)


def summary(claims: Iterable[Claim]) -> str:
    """One line a claim: verdict, what the three numbers after it are, n, and how long its fits took; 100 columns."""
    rows: list[tuple[str, ...]] = [("claim", "verdict", "compared", "floor", "best fit", "explicit", "n", "time")]
    for claim in claims:
        found = claim.verdict
        time = duration(claim.seconds)
        if found is None:
            rows.append((claim.name, "not drawn", *("\u2013",) * 5, time))
        else:
            numbers = (number(value) for value in (found.floor, found.best_fit, found.construction))
            rows.append((claim.name, found.state, found.name, *numbers, str(found.n), time))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        words = (
            word.ljust(width) if column < 3 else word.rjust(width)
            for column, (word, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(words).rstrip())
    return "\n".join(lines)
