"""The ledger: every measured fit, one row each, in one SQLite file that survives a crash at any moment.

A row is acknowledged when `record` returns; from then on neither a killed process nor a power cut loses it. Rows are
never overwritten, except failed ones by a new attempt. To copy a ledger in use, call `backup` (or `sqlite3 .backup`):
its latest rows may still be in the file ending in `-wal`.
"""

import dataclasses
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from widththeory import identity, tables
from widththeory.storage import LedgerError, connect, plain_errors, transaction

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["done", "failed"]

_MAX_TEXT = 2**20  # characters of a field that is taken over from another ledger
_MAX_WEIGHTS = 2**28
_INSERT = (
    "INSERT INTO rows (experiment, key, status, class, settings, metrics, error, provenance, seconds, created, weights)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (experiment, key) DO UPDATE SET status = excluded.status, metrics = excluded.metrics,"
    " error = excluded.error, provenance = excluded.provenance, seconds = excluded.seconds,"
    " created = excluded.created, weights = excluded.weights WHERE rows.status = 'failed'"
)

__all__ = ["Ledger", "LedgerError", "Row", "Status"]


@dataclass(frozen=True)
class Row:
    """One measured fit.

    Args:
        settings: a frozen dataclass; its identity is `identity.key`.
        status: "done", or "failed" with `error`.
        metrics: what was measured: numbers, strings, bools or None by name; floats are kept to the last bit.
        provenance: by what it was made (see `provenance.here`).
        error: the traceback of a failure.
        seconds: of computing time, where known.
        weights: anything large that belongs to the fit, as bytes.
    """

    settings: Any
    status: Status = "done"
    metrics: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    seconds: float | None = None
    weights: bytes | None = field(default=None, repr=False)

    def check(self) -> None:
        """Raise ValueError if the row could not be kept."""
        identity.encode(self.settings)
        _metrics_json(self)
        json.dumps(dict(self.provenance))


class Ledger:
    """An open ledger; use it in a `with` statement or close it.

    Args:
        path: the file; it and its folder are made if missing.
        journal_mode: of SQLite; "wal" by default, "delete" on network file systems, where "wal" does not work. The
            environment variable WIDTHTHEORY_JOURNAL_MODE says the same.

    Raises:
        LedgerError: a ValueError; the file is not a ledger, is of a newer version, or cannot be written.
    """

    def __init__(self, path: Path | str, *, journal_mode: str | None = None) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            raise LedgerError(f"{self.path} is not a ledger: it is a folder")
        self.journal_mode = journal_mode
        self.connection = connect(self.path, journal_mode)
        self._known_classes: set[type] = set()

    @classmethod
    def open(cls, path: Path | str, *, journal_mode: str | None = None) -> "Ledger":
        """The ledger at `path`, made if it is not there."""
        return cls(path, journal_mode=journal_mode)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def experiments(self) -> list[str]:
        """Names of the experiments that have rows here."""
        return [name for (name,) in self._read("SELECT DISTINCT experiment FROM rows ORDER BY 1")]

    def statuses(self, experiment: str, keys: Sequence[str] | None = None) -> dict[str, str]:
        """Status of the rows of an experiment by their keys; of all rows, or of some keys."""
        query = "SELECT key, status FROM rows WHERE experiment = ?"
        if keys is None:
            return dict(self._read(query, experiment))
        return dict(self._read(query + " AND key IN (SELECT value FROM json_each(?))", experiment, json.dumps(keys)))

    def counts(self, experiment: str) -> dict[str, int]:
        """Number of rows done and failed."""
        query = "SELECT status, count(*) FROM rows WHERE experiment = ? GROUP BY status"
        return {"done": 0, "failed": 0} | dict(self._read(query, experiment))

    def missing(self, experiment: str, settings: Iterable[Any], *, retry_failed: bool = False) -> list[Any]:
        """Those of `settings` that have no row yet; with `retry_failed` a failed one counts as none."""
        statuses = self.statuses(experiment)
        settled = ("done",) if retry_failed else ("done", "failed")
        return [one for one in settings if statuses.get(identity.key(one)) not in settled]

    def failures(self, experiment: str) -> list[tuple[dict[str, Any], str]]:
        """Settings and traceback of every failed row."""
        query = "SELECT settings, error FROM rows WHERE experiment = ? AND status = 'failed' ORDER BY key"
        return [(identity.decode(settings), error or "") for settings, error in self._read(query, experiment)]

    def provenances(self, experiment: str) -> list[tuple[dict[str, Any], int]]:
        """By what the rows of an experiment were made, and how many rows each, most first."""
        query = (
            "SELECT p.text, count(*) FROM rows r JOIN provenance p ON p.id = r.provenance WHERE r.experiment = ? "
            "GROUP BY p.id ORDER BY 2 DESC, p.id"
        )
        return [(json.loads(text), count) for text, count in self._read(query, experiment)]

    def seconds(self, experiment: str) -> float:
        """Computing time of all rows of an experiment, where it is known."""
        query = "SELECT coalesce(sum(seconds), 0.0) FROM rows WHERE experiment = ?"
        return float(next(iter(self._read(query, experiment)))[0])

    def weights(self, experiment: str, settings: Any) -> bytes | None:
        """What `Row.weights` held, or None."""
        query = "SELECT weights FROM rows WHERE experiment = ? AND key = ?"
        return next((blob for (blob,) in self._read(query, experiment, identity.key(settings))), None)

    def record(self, experiment: str, rows: Sequence[Row], *, chunk: tuple[str, float, float] | None = None) -> int:
        """Write rows in one transaction and give up the claims on them; the number of rows that were new is returned.

        A row that is there already stays as it is, unless it is a failed one. `chunk` is the program that made them,
        its cost and its seconds, kept for later estimates.

        Raises:
            LedgerError: the disk is full (nothing of the chunk is written, nothing older lost), or a settings class
                whose defaults have changed.
            ValueError: settings or metrics of a kind that cannot be kept.
        """
        now = time.time()
        written = 0
        classes = {type(row.settings) for row in rows} - self._known_classes
        entries = [
            (identity.key(row.settings), row, _metrics_json(row), json.dumps(dict(row.provenance), sort_keys=True))
            for row in rows
        ]
        with plain_errors(self.path), transaction(self.connection):
            for settings_class in classes:
                self._declare(settings_class)
            provenances = {text: self._provenance_id(text) for text in dict.fromkeys(text for *_, text in entries)}
            for key, row, metrics, made_by in entries:
                written += self.connection.execute(
                    _INSERT,
                    (
                        *(experiment, key, row.status, type(row.settings).__name__, identity.encode(row.settings)),
                        *(metrics, row.error, provenances[made_by], row.seconds, now, row.weights),
                    ),
                ).rowcount
            self.connection.executemany(
                "DELETE FROM claims WHERE experiment = ? AND key = ?", [(experiment, key) for key, *_ in entries]
            )
            if chunk is not None:
                self.connection.execute(
                    "INSERT INTO paces VALUES (?, ?, 1, ?, ?) ON CONFLICT (program, accelerated) DO UPDATE SET"
                    " chunks = chunks + 1, cost = cost + excluded.cost, seconds = seconds + excluded.seconds",
                    (chunk[0], _accelerated(rows), *chunk[1:]),
                )
        self._known_classes |= classes
        return written

    def throughputs(self, *, accelerated: bool = False) -> dict[str, tuple[int, float, float]]:
        """Chunks, their cost and their seconds, summed, of every program that ran on a processor, or on other devices.

        The pace of one says nothing of the other, and a ledger may hold rows of both.
        """
        query = "SELECT program, chunks, cost, seconds FROM paces WHERE accelerated = ?"
        rows = self._read(query, int(accelerated))
        return {program: (chunks, cost, seconds) for program, chunks, cost, seconds in rows}

    def table(self, experiment: str, settings: Iterable[Any] | None = None) -> "pd.DataFrame":
        """The rows as a flat table, sorted by settings; with `settings`, only the rows of these cells.

        Columns: the settings (the items of a field `target_args` as `target.<name>`), the metrics by name, status,
        error, `made.<name>` of provenance, key, and last what differs from run to run: seconds, created.
        """
        import pandas as pd

        columns, records = tables.flatten(self._entries(experiment, settings), volatile=True)
        return pd.DataFrame([[record.get(name) for name in columns] for record in records], columns=columns)

    def export_csv(self, path: Path | str, experiment: str, settings: Iterable[Any] | None = None) -> bool:
        """Write the table, without what differs from run to run, to a CSV file; whether the file changed is returned.

        Equal rows give equal bytes. A reader sees the old file or the new one, never a part; a file that would stay
        the same is not touched.

        Raises:
            LedgerError: an experiment without rows, or a file that cannot be written.
        """
        columns, records = tables.flatten(self._entries(experiment, settings), volatile=False)
        if not records:
            raise LedgerError(f"{self.path} has no rows of experiment {experiment!r}")
        return tables.replace_file(Path(path), tables.csv_lines(columns, records))

    def import_csv(self, path: Path | str, settings_class: type, experiment: str) -> int:
        """Take over the rows of a file that `export_csv` wrote; the number of rows that were new is returned.

        All rows or none. A row that is there already stays, unless it is a failed one and the file has it done. The
        file is data and never code; each key is computed again from the settings and compared.

        Raises:
            LedgerError: a file that is missing, malformed or of other settings; the message names the line.
        """
        known = self.statuses(experiment)
        rows = [Row(**fields) for fields in tables.read_csv(Path(path), settings_class)]
        # Of a failure the file has the last line, the ledger perhaps the whole traceback.
        rows = [row for row in rows if row.status == "done" or identity.key(row.settings) not in known]
        return self.record(experiment, rows)

    def take(self, source: "Ledger", experiment: str) -> int:
        """Take over the rows of an experiment from another ledger; the number of rows that were new is returned.

        A row that is there already stays, unless it is a failed one and the other ledger has it done. What the other
        holds is data: its keys are computed again from its settings, and its defaults must be those here.

        Raises:
            LedgerError: rows whose key is not that of their settings, or other defaults of one settings class.
        """
        ours, theirs = self._classes(), source._classes()
        query = (
            "SELECT r.key, r.status, r.class, r.settings, r.metrics, r.error, p.text, r.seconds, r.created, r.weights"
            " FROM rows r JOIN provenance p ON p.id = r.provenance WHERE r.experiment = ?"
        )
        new = 0
        with plain_errors(self.path), transaction(self.connection):
            for key, status, cls, settings, metrics, error, made_by, *rest in source._read(query, experiment):
                if ours.setdefault(cls, theirs.get(cls)) != theirs.get(cls):
                    raise LedgerError(
                        f"{source.path} has other fields or defaults of {cls} than {self.path}: "
                        "both must be made by one version"
                    )
                if not _sound(key, status, cls, theirs.get(cls), (settings, metrics, made_by, error), rest):
                    raise LedgerError(
                        f"{source.path} is not to be trusted: row {key!r} is malformed, or not what it says"
                    )
                self.connection.execute("INSERT OR IGNORE INTO classes VALUES (?, ?)", (cls, json.dumps(theirs[cls])))
                values = (experiment, key, status, cls, settings, metrics, error, self._provenance_id(made_by), *rest)
                new += self.connection.execute(_INSERT + " AND excluded.status = 'done'", values).rowcount
        return new

    def drivers(self, experiment: str) -> int:
        """Number of drivers that have claimed cells of an experiment and whose lease has not run out."""
        query = (
            "SELECT count(DISTINCT d.id) FROM drivers d JOIN claims c ON c.driver = d.id"
            " WHERE c.experiment = ? AND d.expires > ?"
        )
        return int(next(self._read(query, experiment, time.time()))[0])

    def recent(self, experiment: str, since: float) -> tuple[int, float]:
        """Number of rows written after a time, and the seconds from the first of them until now."""
        query = "SELECT count(*), min(created) FROM rows WHERE experiment = ? AND created > ?"
        count, first = next(self._read(query, experiment, since))
        return int(count), time.time() - first if count else 0.0

    def backup(self, path: Path | str) -> None:
        """Write a consistent copy to `path`, also while other processes use the ledger."""
        with plain_errors(Path(path)):
            copy = sqlite3.connect(path)
            try:
                self.connection.backup(copy)
            finally:
                copy.close()

    def _entries(self, experiment: str, settings: Iterable[Any] | None) -> Iterator[tables.Entry]:
        declared = None if settings is None else {identity.key(one) for one in settings}
        fields = self._classes()
        query = (
            "SELECT r.key, r.status, r.class, r.settings, r.metrics, r.error, p.text, r.seconds, r.created FROM rows r"
            " JOIN provenance p ON p.id = r.provenance WHERE r.experiment = ?"
        )
        for key, status, cls, values, metrics, error, made_by, seconds, created in self._read(query, experiment):
            if declared is not None and key not in declared:
                continue
            yield tables.Entry(
                key=key,
                status=status,
                fields=fields[cls],
                settings=json.loads(values),
                metrics=json.loads(metrics),
                error=error,
                provenance=json.loads(made_by),
                seconds=seconds,
                created=created,
            )

    def _classes(self) -> dict[str, Any]:
        """Fields and defaults of each settings class."""
        try:
            return {name: json.loads(text) for name, text in self._read("SELECT name, fields FROM classes")}
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise LedgerError(f"{self.path} is damaged: the fields of its settings are no JSON") from error

    def _read(self, query: str, *values: Any) -> Iterator[Any]:
        with plain_errors(self.path):
            yield from self.connection.execute(query, values)

    def _provenance_id(self, text: str) -> int:
        self.connection.execute("INSERT OR IGNORE INTO provenance (text) VALUES (?)", (text,))
        return int(self.connection.execute("SELECT id FROM provenance WHERE text = ?", (text,)).fetchone()[0])

    def _declare(self, settings_class: type) -> None:
        """Keep the defaults of a settings class; refuse changed ones, which would give old keys a new meaning."""
        name = settings_class.__name__
        fields = json.loads(identity.defaults(settings_class))
        found = self.connection.execute("SELECT fields FROM classes WHERE name = ?", (name,)).fetchone()
        if found is not None:
            now = {field_name: default for field_name, *default in fields}
            for field_name, *before in json.loads(found[0]):
                after = now.get(field_name, before)
                if field_name not in now:  # written by a newer version, which still wants it
                    fields.append([field_name, *before])
                if before and after and after != before:
                    raise LedgerError(
                        f"{self.path} holds rows of {name} from when the default of {field_name} was {before[0]!r}; "
                        f"it is {after[0]!r} now, so those rows would change their meaning: give back the old default"
                    )
        self.connection.execute("INSERT OR REPLACE INTO classes VALUES (?, ?)", (name, json.dumps(fields)))


def _sound(key: Any, status: Any, cls: Any, fields: Any, texts: tuple[Any, ...], rest: list[Any]) -> bool:
    """Whether a row of somebody else's ledger is one of ours, with the key that its settings give."""
    try:
        (*_, error), (seconds, created, weights) = texts, rest
        if any(len(text or "") > _MAX_TEXT for text in texts) or len(weights or b"") > _MAX_WEIGHTS:
            return False
        kinds: list[tuple[Any, type]] = [(text or "", str) for text in texts]
        kinds += [(seconds or 0.0, float), (created, float), (weights or b"", bytes)]
        if status not in ("done", "failed") or not all(isinstance(one, kind) for one, kind in kinds):
            return False
        if (seconds or 0.0) < 0:
            return False
        settings, metrics, made_by = (json.loads(text) for text in texts[:3])
        names = {name for name, *_ in fields}
        if not settings.keys() <= names or not isinstance(made_by, dict):
            return False
        _plain_metrics(metrics, names)
        entry = tables.Entry(key, status, fields, settings, metrics, error, made_by, seconds, created)
        # A row that makes no text, for a lone surrogate say, would stop every later export.
        "".join(tables.csv_lines(*tables.flatten([entry], volatile=True))).encode()
        return identity.key_of(cls, fields, settings) == key
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError):
        return False


def _accelerated(rows: Sequence[Row]) -> bool:
    """Whether an accelerator made any of them; rows that name no device were made without JAX."""
    return any(not str(row.provenance.get("device", "cpu")).endswith("cpu") for row in rows)


def _metrics_json(row: Row) -> str:
    return json.dumps(_plain_metrics(row.metrics, {field.name for field in dataclasses.fields(row.settings)}))


def _plain_metrics(metrics: Mapping[str, Any], settings: set[str]) -> dict[str, Any]:
    """The metrics of a row with settings of these names, in Python's own numbers.

    Raises:
        ValueError: one of a kind or name that cannot be kept.
    """
    plain = {}
    for name, value in metrics.items():
        if type(value) not in (bool, int, float, str, type(None)):
            if not hasattr(value, "item"):
                raise ValueError(f"metric {name} must be a number, a str, a bool or None, got {value!r}")
            value = value.item()
        if name in settings or name in tables.RESERVED or "." in name:
            raise ValueError(f"metric {name!r} must have a name of its own, without a dot")
        plain[name] = value
    return plain
