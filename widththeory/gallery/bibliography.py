"""Entries of references.bib, and those that a sentence such as "Telgarsky 2016, Theorem 1.1; Cai 2023" names."""

import re
from dataclasses import dataclass

_ENTRY = re.compile(r"^@\w+\{(\w+),\n(.*?)^\}", flags=re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"(\w+)\s*=\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_YEAR = re.compile(r"\b(?:18|19|20)\d\d\b")


@dataclass(frozen=True)
class Entry:
    """One entry: its key, its text, its authors' surnames and its year."""

    key: str
    text: str
    surnames: tuple[str, ...]
    year: str


def entries(text: str) -> list[Entry]:
    """All entries of a BibTeX file."""
    made = []
    for found in _ENTRY.finditer(text):
        fields = {name.lower(): value for name, value in _FIELD.findall(found[2])}
        authors = re.sub(r"\\.|[{}]", "", fields.get("author", "")).split(" and ")
        surnames = tuple(author.partition(",")[0].strip() for author in authors)
        made.append(Entry(found[1], found[0].strip(), surnames, fields.get("year", "")))
    return made


def quoted(source: str, known: list[Entry]) -> list[Entry]:
    """Entries whose year stands in the sentence with one of their surnames since the year before it, in its order."""
    named: dict[str, Entry] = {}
    begin = 0
    for year in _YEAR.finditer(source):
        words = _plain(source[begin : year.start()])
        begin = year.end()
        for entry in known:
            if entry.year == year[0] and any(_plain(name) in words for name in entry.surnames if name):
                named.setdefault(entry.key, entry)
    return list(named.values())


def _plain(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower().replace("\u00fa", "u").replace("\u00e9", "e"))
