"""Rows as a flat table, and the table as a CSV file that is replaced whole and read back exactly.

In a cell, numbers are written with all their digits, `True`, `False`, `None`, `nan`, `inf` as Python writes them,
tuples as JSON lists, nothing for a column that a row does not have, and text as it is, in JSON quotes where it would
read as one of these.
"""

import csv
import filecmp
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from widththeory import identity
from widththeory.provenance import VOLATILE
from widththeory.replacement import replacement
from widththeory.storage import LedgerError
from widththeory.typing import as_tuples

RESERVED = frozenset({"key", "status", "error", "seconds", "created"})

_MADE = "made."
_PAIRS = "_args"  # a field `target_args` of (name, value) pairs becomes columns `target.<name>`
_MAX_BYTES = 2**31
_MAX_COLUMNS = 10_000
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|-?inf|nan")
_INTEGER = re.compile(r"[-+]?\d+")
_WORDS = {"True": True, "False": False, "None": None}


@dataclass(frozen=True)
class Entry:
    """A row as the ledger keeps it; `fields` are those of its settings class, in order, with their defaults."""

    key: str
    status: str
    fields: list[list[Any]]
    settings: dict[str, Any]
    metrics: dict[str, Any]
    error: str | None
    provenance: dict[str, Any]
    seconds: float | None
    created: float


def flatten(entries: Iterable[Entry], *, volatile: bool) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows of the flat table, sorted by settings; `volatile` adds what differs from run to run."""
    order: dict[str, None] = {}  # settings fields in the order of their classes
    arguments: dict[str, set[str]] = {}
    metrics: set[str] = set()
    made: set[str] = set()
    records = []
    for entry in entries:
        settings = {name: default[0] for name, *default in entry.fields if default} | entry.settings
        order.update(dict.fromkeys(name for name, *_ in entry.fields))
        order.update(dict.fromkeys(settings))
        record: dict[str, Any] = {}
        for name, value in settings.items():
            if name.endswith(_PAIRS):
                prefix = name.removesuffix(_PAIRS)
                items = {f"{prefix}.{item}": as_tuples(argument) for item, argument in value}
                arguments.setdefault(name, set()).update(items)
                record |= items
            else:
                record[name] = as_tuples(value)
        provenance = {
            _MADE + name: as_tuples(v) for name, v in entry.provenance.items() if volatile or name not in VOLATILE
        }
        metrics.update(entry.metrics)
        made.update(provenance)
        record |= entry.metrics | provenance
        record |= {"status": entry.status, "key": entry.key}
        if entry.error:
            record["error"] = entry.error.strip().rsplit("\n", 1)[-1]
        if volatile:
            record |= {"seconds": entry.seconds, "created": entry.created}
        records.append(record)
    columns = [c for name in order for c in (sorted(arguments.get(name, ())) if name.endswith(_PAIRS) else [name])]
    sort_by = list(columns)
    columns += [*sorted(metrics), "status", "error", *sorted(made), "key"]
    columns += ["seconds", "created"] if volatile else []
    records.sort(key=lambda record: ([_rank(record.get(name)) for name in sort_by], record["key"]))
    return columns, records


def csv_lines(columns: list[str], records: list[dict[str, Any]]) -> Iterator[str]:
    """The lines of the CSV file."""
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    absent = object()
    for cells in (columns, *([_text(record.get(c, absent), absent) for c in columns] for record in records)):
        line.seek(0)
        line.truncate()
        writer.writerow(cells)
        yield line.getvalue()


def read_csv(path: Path, settings_class: type) -> Iterator[dict[str, Any]]:
    """Rows of a file that `csv_lines` wrote, as keyword arguments of `ledger.Row`; LedgerError names a bad line."""
    declared = json.loads(identity.defaults(settings_class))
    fields = {name for name, *_ in declared}
    required = {name for name, *default in declared if not default and not name.endswith(_PAIRS)}
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise LedgerError(f"{path} is larger than {_MAX_BYTES} bytes")
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            absent = ({"key", "status"} | required) - set(header)
            if absent or len(set(header)) != len(header) or len(header) > _MAX_COLUMNS:
                reason = f"no column {min(absent)!r}" if absent else "a column twice, or too many columns"
                raise LedgerError(f"{path} line 1 is not the header of a table of {settings_class.__name__}: {reason}")
            lines: dict[str, int] = {}
            for cells in reader:
                try:
                    row = _row(header, cells, settings_class, fields)
                    first = lines.setdefault(identity.key(row["settings"]), reader.line_num)
                    if first != reader.line_num:
                        raise ValueError(f"it has the settings of line {first}")
                    yield row
                except (ValueError, TypeError, RecursionError, OverflowError) as error:
                    raise LedgerError(f"{path} line {reader.line_num} is not a row: {error}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise LedgerError(f"{path} is not a CSV file of UTF-8 text: {error}") from error
    except OSError as error:
        raise LedgerError(f"{path} cannot be read: {error.strerror}") from error


def replace_file(path: Path, lines: Iterable[str]) -> bool:
    """Put lines of text in the place of a file, all at once, unless it holds them already; whether it changed."""
    try:
        with replacement(path) as part:
            with part.open("w", encoding="utf-8", newline="") as file:
                file.writelines(lines)
            if path.is_file() and filecmp.cmp(part, path, shallow=False):
                part.unlink()
                return False
    except OSError as error:
        raise LedgerError(f"{path} cannot be written: {error.strerror}; it is as it was") from error
    return True


def _row(header: list[str], cells: list[str], settings_class: type, fields: set[str]) -> dict[str, Any]:
    if len(cells) != len(header):
        raise ValueError(f"{len(cells)} cells under {len(header)} columns")
    settings: dict[str, Any] = {}
    pairs: dict[str, list[tuple[str, Any]]] = {name: [] for name in fields if name.endswith(_PAIRS)}
    metrics: dict[str, Any] = {}
    provenance: dict[str, Any] = {}
    own: dict[str, Any] = dict.fromkeys(RESERVED)
    for name, text in zip(header, cells, strict=True):
        if text == "":
            continue
        value = _value(text)
        prefix, dot, item = name.partition(".")
        if name in RESERVED:
            own[name] = _as_text(text)
        elif name in fields:
            settings[name] = value
        elif dot and prefix + _PAIRS in pairs:
            pairs[prefix + _PAIRS].append((item, value))
        elif name.startswith(_MADE):
            provenance[name.removeprefix(_MADE)] = value
        elif dot:
            raise ValueError(f"{settings_class.__name__} has nothing that column {name!r} could be")
        else:
            metrics[name] = value
    if own["status"] not in ("done", "failed"):
        raise ValueError(f"status must be done or failed, got {own['status']!r}")
    made = settings_class(**settings, **{name: tuple(sorted(items)) for name, items in pairs.items()})
    if identity.key(made) != own["key"]:
        raise ValueError(f"its settings have key {identity.key(made)}, it says {own['key']!r}")
    return {
        "settings": made,
        "status": own["status"],
        "metrics": metrics,
        "provenance": provenance,
        "error": own["error"],
    }


def _text(value: Any, absent: object) -> str:
    if value is absent:
        return ""
    if isinstance(value, str):
        plain = value and value[0] not in '"[' and isinstance(_value(value), str)
        return value if plain and "\r" not in value else json.dumps(value)
    if isinstance(value, tuple):
        return json.dumps(value)
    return repr(value)


def _value(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in '"[':
        return as_tuples(json.loads(text))
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def _as_text(text: str) -> str:
    """A cell of a column that only holds text: a key of digits alone is no number."""
    if text[0] == '"':
        text = str(json.loads(text))
        text.encode()  # a lone surrogate is no text
    return text


def _rank(value: Any) -> tuple[int, Any]:
    """A total order over the kinds of value that settings may hold."""
    if value is None:
        return 0, 0
    if isinstance(value, (bool, int, float)):
        return 1, value
    return (2, value) if isinstance(value, str) else (3, [_rank(item) for item in value])
