"""The paper: the same claims on A4 pages, figures as vectors."""

import datetime
import io
import re
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path

import matplotlib as mpl
from fpdf import FPDF
from fpdf.enums import CharVPos, MethodReturnValue
from pypdf import PdfReader, PdfWriter, Transformation

from widththeory.gallery.claims import CHAPTERS, GROUNDS, Claim
from widththeory.gallery.pages import number, raised

_MARGIN, _WIDTH, _HEIGHT = 51.0, 595.28, 841.89  # points
_FONT = "stix"
# A word with raised or lowered parts, or what stands before the next such word.
_RUN = re.compile(r"(?:[^\s<]*(?:<su[pb]>.*?</su[pb]>[^\s<]*)+|(?:[^\s<]+(?:\s+|$))+)\s*")
_SMALLEST = 0.7  # of a figure's full size, for which it is made smaller


@dataclass(frozen=True)
class _Place:
    """Where a figure goes: page, distance of its top from the page's, and its scale."""

    page: int
    top: float
    scale: float
    path: Path


def build(chapters: dict[str, list[Claim]], scale: str) -> bytes:
    """The PDF; equal inputs give equal bytes."""
    pages, places = _text(chapters, scale)
    reader, writer = PdfReader(io.BytesIO(pages)), PdfWriter()
    writer.append(reader)
    for place in places:
        figure = PdfReader(place.path).pages[0]
        height = float(figure.mediabox.height) * place.scale
        across = (_WIDTH - float(figure.mediabox.width) * place.scale) / 2
        move = Transformation().scale(place.scale).translate(across, _HEIGHT - place.top - height)
        writer.pages[place.page].merge_transformed_page(figure, move)
    writer.compress_identical_objects()
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


def _text(chapters: dict[str, list[Claim]], scale: str) -> tuple[bytes, list[_Place]]:
    """All pages without their figures, and where those go."""
    paper = FPDF(unit="pt", format="A4")
    paper.set_creation_date(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))  # equal papers are equal files
    paper.set_title(f"widththeory, {scale} scale")
    paper.set_margin(_MARGIN)
    paper.set_auto_page_break(True, _MARGIN)
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    for style, name in (("", "STIXGeneral"), ("B", "STIXGeneralBol"), ("I", "STIXGeneralItalic")):
        paper.add_font(_FONT, style, folder / f"{name}.ttf")
    paper.add_page()
    _write(paper, "How wide must a neural network be?", 20, "B")
    _write(paper, "What is proven, what explicit weights reach, and what training finds", 13, "I")
    count = sum(len(claims) for claims in chapters.values())
    _write(
        paper,
        f"{count} claims at {scale} scale. Every number comes from a table that the command under its figure makes "
        "anew. A certified floor holds for all networks of a size; a construction has explicit weights; what a trained "
        "network lacks to it is an optimisation gap.",
        10,
    )
    for chapter, claims in chapters.items():
        _write(paper, chapter[0].upper() + chapter[1:], 11, "B")
        for claim in claims:
            _write(paper, f"{claim.sentence}: {claim.verdict.state if claim.verdict else 'not drawn'}.", 10)
    _write(paper, " ".join(f"{ground[0].upper()}{ground[1:]}: {meaning}." for ground, meaning in GROUNDS.items()), 9)
    places: list[_Place] = []
    for chapter, claims in chapters.items():
        paper.add_page()
        paper.start_section(chapter[0].upper() + chapter[1:])
        _write(paper, chapter[0].upper() + chapter[1:], 17, "B")
        _write(paper, CHAPTERS[chapter], 10, "I")
        for index, claim in enumerate(claims):
            if index:
                paper.add_page()
            _claim(paper, claim, places)
    return bytes(paper.output()), places


def _claim(paper: FPDF, claim: Claim, places: list[_Place]) -> None:
    paper.start_section(claim.sentence, level=1)
    _write(paper, claim.sentence, 13, "B")
    if claim.verdict is None:
        _write(paper, f"Not drawn yet: {claim.command}", 10)
        return
    found = claim.verdict
    if claim.tested:
        _write(paper, f"Tested: {claim.tested}", 10)
    _write(
        paper,
        f"{found.state[0].upper()}{found.state[1:]}{claim.decided and f' by {claim.decided}'}: {found.sentence}.",
        10.5,
    )
    numbers = {"floor": found.floor, "best fit": found.best_fit, "construction": found.construction}
    values = "".join(f"{name} {number(value)}, " for name, value in numbers.items() if value is not None)
    below = [
        *([(f"How sure: {claim.certainty}", 10, "")] if claim.certainty else []),
        (claim.caption.replace("`", ""), 9, ""),
        (f"{found.quantity}: {values}{found.n} checked{'; ' * bool(found.check)}{found.check}.", 9, ""),
        (f"Source: {claim.sections.get('Source', 'this project')}".replace("`", ""), 9, ""),
        (claim.command, 8, "I"),
    ]
    path = claim.file("pdf")
    if path is not None:
        box = PdfReader(path).pages[0].mediabox
        largest = min((_WIDTH - 2 * _MARGIN) / float(box.width), 1.0)
        # a claim stays on its page, or what is left of it on the next, where a somewhat smaller figure lets it
        under = 6 + sum(_height(paper, *text) for text in below)
        for top in (paper.get_y(), _MARGIN):
            size = min(largest, (_HEIGHT - _MARGIN - top - under) / float(box.height))
            if size >= _SMALLEST * largest:
                break
        else:
            top, size = paper.get_y(), largest
        if top != paper.get_y() or top + float(box.height) * size > _HEIGHT - _MARGIN:
            paper.add_page()
        places.append(_Place(paper.page - 1, paper.get_y(), size, path))
        paper.set_y(paper.get_y() + float(box.height) * size + 6)
    for text in below:
        _write(paper, *text)


def _height(paper: FPDF, text: str, size: int | float, style: str = "") -> float:
    """Of what `_write` would write, at most."""
    paper.set_font(_FONT, style, size)
    plain = "".join(part for part, _ in _parts(raised(escape(text, quote=False))))
    height = paper.multi_cell(0, 1.25 * size, plain, align="L", dry_run=True, output=MethodReturnValue.HEIGHT)
    assert isinstance(height, float)  # one kind was asked for
    return height + 0.4 * size


def _write(paper: FPDF, text: str, size: int | float, style: str = "") -> None:
    """Text with raised and lowered parts, which stay on the line of what they belong to."""
    paper.set_font(_FONT, style, size)
    for run in re.findall(_RUN, raised(escape(text, quote=False))):
        parts = _parts(run)
        if len(parts) > 1 and paper.get_x() + _width(paper, parts) > paper.w - paper.r_margin - 2 * paper.c_margin:
            paper.ln(1.25 * size)
        for part, place in parts:
            paper.char_vpos = place
            paper.write(1.25 * size, part)
        paper.char_vpos = CharVPos.LINE
    paper.ln(1.65 * size)


def _parts(run: str) -> list[tuple[str, CharVPos]]:
    """What stands on the line, above it or below, in turn."""
    places = {"sup": CharVPos.SUP, "sub": CharVPos.SUB}
    words = re.split(r"<(su[pb])>(.*?)</su[pb]>", run)
    parts = [(words[0], CharVPos.LINE)]
    for place, part, rest in zip(words[1::3], words[2::3], words[3::3], strict=True):
        parts += [(part, places[place]), (rest, CharVPos.LINE)]
    return [(unescape(part), place) for part, place in parts if part]


def _width(paper: FPDF, parts: list[tuple[str, CharVPos]]) -> float:
    """At most, as raised and lowered parts are smaller."""
    return sum(paper.get_string_width(part.rstrip()) for part, _ in parts)
