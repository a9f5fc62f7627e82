"""The experiments of a folder as a whole: what is missing, what runs, and what came out.

Every function gives text to print. Ledgers that are not there are not made, and nothing is measured.
"""

import contextlib
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from widththeory.command import Scale, declared_cells
from widththeory.replacement import replacement

if TYPE_CHECKING:
    from widththeory.ledger import Ledger

_RECENT_SECONDS = 600.0
_METRICS = ("relative_error", "test_mse", "train_mse", "test_loss", "train_loss")  # what `show` sorts by, best first


class BrokenError(Exception):
    """A script that cannot be imported, whose grid cannot be made or whose rows cannot be read, with the reason."""


@dataclass(frozen=True)
class Study:
    """A folder with experiments/ and results/, at one scale; `claims` restricts it to some of them.

    Raises:
        ValueError: no experiments there, or not those asked for.
    """

    root: Path
    scale: Scale
    claims: tuple[str, ...] = ()
    named: bool = field(init=False)
    """Whether `claims` were given."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "named", bool(self.claims))
        there = [script.stem for script in sorted((self.root / "experiments").glob("*.py"))]
        if not there:
            raise ValueError(f"there are no experiments in {self.root / 'experiments'}")
        unknown = sorted(set(self.claims) - set(there))
        if unknown:
            raise ValueError(f"there is no experiment {unknown[0]!r}; there are {', '.join(there)}")
        object.__setattr__(self, "claims", self.claims or tuple(there))

    def table(self, claim: str) -> Path:
        """Where the table of a claim is, if it is there."""
        return self.root / "results" / self.scale / f"{claim}.csv"

    def module(self, folder: str, claim: str) -> ModuleType:
        """The module experiments/<claim>.py or paper_figures/<claim>.py, without running it as a command.

        Raises:
            BrokenError: it cannot be imported.
        """
        name = f"{folder}.{claim}"
        spec = importlib.util.spec_from_file_location(name, self.root / folder / f"{claim}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # where its dataclasses look their annotations up
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            what = "cannot" if folder == "experiments" else f"{folder}/{claim}.py cannot"
            raise BrokenError(f"{what} be imported: {_reason(error)}") from error
        return module

    def settings(self, claim: str) -> list[Any] | None:
        """The grid that a claim declares; None if it fits nothing.

        Raises:
            BrokenError: the experiment cannot be imported, or its grid cannot be made.
        """
        experiment = self.module("experiments", claim)
        if not hasattr(experiment, "settings"):
            return None
        try:
            return list(experiment.settings(experiment.Config(scale=self.scale)))
        except Exception as error:
            raise BrokenError(f"its grid cannot be made: {_reason(error)}") from error

    @contextlib.contextmanager
    def ledger(self, claim: str, settings: Sequence[Any]) -> "Iterator[Ledger]":
        """The ledger of a claim; where that has no rows, a passing one that holds those of the committed table.

        Raises:
            BrokenError: the ledger or the table cannot be read.
        """
        from widththeory.ledger import Ledger

        kept, committed = self.table(claim).with_suffix(".sqlite"), self.table(claim)
        with contextlib.ExitStack() as opened:
            if kept.exists():
                ledger = opened.enter_context(_to_read(kept))
                if ledger.statuses(claim) or not committed.exists():
                    yield ledger
                    return
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
            ledger = opened.enter_context(Ledger.open(folder / kept.name))
            if committed.exists():
                with _broken_where_refused():
                    ledger.import_csv(committed, type(settings[0]), claim)
            yield ledger


@contextlib.contextmanager
def _to_read(path: Path) -> "Iterator[Ledger]":
    """A ledger that is there, or a copy of it where it cannot be written: its folder may not be, its disk be full.

    Raises:
        BrokenError: it cannot be read.
    """
    from widththeory.ledger import Ledger, LedgerError

    written = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    with contextlib.ExitStack() as opened:
        with _broken_where_refused():
            try:
                ledger = opened.enter_context(Ledger.open(path) if written else _copied(path))
            except LedgerError:
                ledger = opened.enter_context(_copied(path))
        yield ledger


@contextlib.contextmanager
def _broken_where_refused() -> Iterator[None]:
    """Turn the refusal of a ledger or table into a BrokenError: those of other claims can be read."""
    from widththeory.storage import LedgerError

    try:
        yield
    except LedgerError as error:
        raise BrokenError(str(error)) from error


def _reason(error: BaseException) -> str:
    """What an exception says, in one line, or else its kind."""
    text = " ".join(str(error).split())
    if isinstance(error, SystemExit):
        return f"it ends the process: {text}"
    known = isinstance(error, (ImportError, SyntaxError, ValueError)) and text  # sentences by themselves
    return text if known else f"{type(error).__name__}: {text}"


def _each(study: Study, told: Callable[[str], Iterator[str]]) -> Iterator[str]:
    """What is told of each claim, broken scripts among them.

    Raises:
        ValueError: after the last line, if one was broken.
    """
    broken = 0
    for claim in study.claims:
        try:
            yield from told(claim)
        except BrokenError as reason:
            broken += 1
            yield f"{claim}: broken: {reason}"
    if broken:
        raise ValueError(
            f"{broken} of {len(study.claims)} experiments {'are' if broken > 1 else 'is'} broken, see above"
        )


def some(study: Study, told: Callable[[str], Iterator[str | None]]) -> Iterator[str]:
    """As `_each`, where None tells that a claim has rows.

    Raises:
        ValueError: after the last line, if no claim has rows.
    """
    found = False

    def lines(claim: str) -> Iterator[str]:
        nonlocal found
        for line in told(claim):
            if line is None:
                found = True
            else:
                yield line

    yield from _each(study, lines)
    if not found:
        asked = "the experiments asked for" if study.named else "the experiments"
        raise ValueError(f"none of {asked} has rows at scale {study.scale} in {study.root / 'results'}")


def plan(study: Study) -> Iterator[str]:
    """Fits that are missing, with the memory and the time that they will take."""
    from widththeory import grid  # slow to import: not before the flags are known to be right

    def told(claim: str) -> Iterator[str]:
        settings = study.settings(claim)
        if settings is None:
            yield f"{claim}: nothing to fit"
            return
        with study.ledger(claim, settings) as ledger:
            planned = grid.plan(settings, ledger, experiment=claim)
            more = sum(ledger.counts(claim).values()) - len(_statuses(ledger, claim, settings))
            yield f"{claim}: {planned.text()}{_more(more)}"

    return _each(study, told)


def status(study: Study) -> Iterator[str]:
    """Rows done and failed, what runs now, its pace and when it will have ended; the first failures in a line each."""

    def told(claim: str) -> Iterator[str]:
        path = study.table(claim).with_suffix(".sqlite")
        if path.exists():
            yield from _status_of(claim, path, study.settings(claim) or [])
        else:
            study.module("experiments", claim)  # the grid of paper scale takes seconds to make
            yield f"{claim}: nothing is measured at scale {study.scale} yet"

    return _each(study, told)


def _statuses(ledger: "Ledger", claim: str, settings: Sequence[Any]) -> dict[str, str]:
    """Status of the rows of a grid's cells, by their keys."""
    from widththeory.identity import key

    return ledger.statuses(claim, sorted({key(one) for one in settings}))


def _more(rows: int) -> str:
    """Says that a ledger holds rows that a grid does not declare."""
    return f", {rows} more row{'s' if rows > 1 else ''} in the ledger" if rows > 0 else ""


def _status_of(claim: str, path: Path, settings: Sequence[Any]) -> Iterator[str]:
    from widththeory.progress import duration

    with _to_read(path) as ledger:
        counts, last = ledger.counts(claim), declared_cells(path)
        rows = sum(counts.values())
        statuses = list(_statuses(ledger, claim, settings).values())
        declared = len(settings)
        if last > declared:  # the last run had more seeds, say: which cells those are is not known here
            declared, settled = last, min(rows, last)
            failed = min(counts["failed"], settled)
            counts = {"done": settled - failed, "failed": failed}
        else:
            settled, counts = len(statuses), {name: statuses.count(name) for name in counts}
        said = f"{claim}: {counts['done']} of {declared} cells done"
        said += f", {counts['failed']} failed" if counts["failed"] else ""
        said += _more(rows - settled)
        drivers = ledger.drivers(claim)
        recent, span = ledger.recent(claim, time.time() - _RECENT_SECONDS)
        if drivers and recent:
            pace = recent / max(span, 1.0)
            said += f", {drivers} driver{'s' if drivers > 1 else ''} at {pace:.2g} cells/s"
            if declared > settled:
                said += f", {duration((declared - settled) / pace)} left"
        elif declared > settled:
            said += f", {declared - settled} missing and no driver runs"
        yield said
        failures = ledger.failures(claim)
        for one, error in failures[:5]:
            short = ", ".join(
                f"{name}={one[name]}" for name in ("width", "depth", "seed", "learning_rate", "model") if name in one
            )
            yield f"  failed: {short}: {error.strip().splitlines()[-1] if error.strip() else 'without a reason'}"
        if len(failures) > 5:
            yield f"  and {len(failures) - 5} more"
        made = ledger.provenances(claim)
        for name in ("widththeory", "jax", "device"):
            kinds = sorted({str(made_by[name]) for made_by, _ in made if name in made_by})
            if len(kinds) > 1:
                yield f"  rows were made by different {name}: {', '.join(kinds)}"


def show(study: Study, rows: int, by: str | None) -> Iterator[str]:
    """The best rows of each table, with the settings that vary."""

    def told(claim: str) -> Iterator[str | None]:
        settings = study.settings(claim)
        if settings is None:
            yield f"{claim}: nothing to fit"
            return
        with study.ledger(claim, settings) as ledger:
            table = ledger.table(claim)
        if table.empty:
            yield f"{claim}: no rows at scale {study.scale}"
            return
        yield None
        if (table["status"] == "failed").all():
            yield f"{claim}: {len(table)} rows, which all failed"
            return
        metric = by or next((name for name in _METRICS if name in table), None)
        if metric is None or metric not in table:
            raise ValueError(f"{claim} has no column {metric!r}; it has {', '.join(map(str, table.columns))}")
        columns = [name for name in table.columns if name in settings[0].__dataclass_fields__ or "." in name]
        varying = [name for name in columns if not name.startswith("made.") and table[name].map(repr).nunique() > 1]
        best = table[table["status"] == "done"].sort_values(metric, kind="stable").head(rows)
        yield f"{claim}: {len(table)} rows, by {metric}"
        yield best[[*varying, metric]].to_string(index=False)

    return some(study, told)


def export(study: Study, out: Path, kind: str) -> Iterator[str]:
    """Write each table to a file of `out`: <claim>.csv, exact and deterministic, or <claim>.parquet."""
    if kind == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ValueError("Parquet files need the library pyarrow (pip install pyarrow); --kind csv needs nothing")

    def told(claim: str) -> Iterator[str | None]:
        settings = study.settings(claim)
        if settings is None:
            yield f"{claim}: nothing to fit"
            return
        with study.ledger(claim, settings) as ledger:
            if not ledger.statuses(claim):
                yield f"{claim}: no rows at scale {study.scale}"
                return
            yield None
            path = out / f"{claim}.{kind}"
            if kind == "csv":
                ledger.export_csv(path, claim)
            else:
                with replacement(path) as part:
                    ledger.table(claim).to_parquet(part)
            yield f"{claim}: {path}"

    return some(study, told)


def merge(study: Study, others: Sequence[Path]) -> Iterator[str]:
    """Take over the rows of ledgers that other machines filled; a row that is there already stays.

    Raises:
        ValueError: no ledgers, or files that are none; after the last line, if they had no rows of these experiments.
    """
    from widththeory.ledger import Ledger

    if not others:
        raise ValueError("merge needs --ledgers, the files to take rows from")
    found = broken = 0
    for other in others:
        if not other.is_file():
            raise ValueError(f"there is no ledger {other}{', but a folder' if other.is_dir() else ''}")
        with _copied(other) as source:
            there = source.experiments()
            asked = [claim for claim in study.claims if claim in there]
            lacking = [claim for claim in study.claims if claim not in there] if study.named else []
            if lacking or not asked:
                whose = " or ".join(lacking) or "these experiments"
                yield f"no rows of {whose} in {other}; it has {', '.join(there) or 'none at all'}"
            for claim in asked:
                found += 1
                with Ledger.open(study.table(claim).with_suffix(".sqlite")) as ledger:
                    said = f"{claim}: {ledger.take(source, claim)} rows from {other}"
                try:
                    declared = len(_statuses(source, claim, study.settings(claim) or []))
                    rows = sum(source.counts(claim).values())
                    yield f"{said}; the {study.scale} grid declares {declared} of the {rows} rows there"
                except BrokenError as reason:
                    broken += 1
                    yield f"{said}; broken: {reason}"
    if not found:
        raise ValueError(f"nothing was merged into {study.root / 'results' / study.scale}, see above")
    if broken:
        raise ValueError("the grids of broken experiments are not known, see above")


@contextlib.contextmanager
def _copied(path: Path) -> "Iterator[Ledger]":
    """A copy of a ledger: it is somebody else's, and may be on a disk that cannot be written."""
    from widththeory.ledger import Ledger, LedgerError
    from widththeory.storage import copy_file

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        try:
            copy_file(path, copy)
            with Ledger.open(copy) as source:
                yield source
        except LedgerError as error:
            raise LedgerError(str(error).replace(str(copy), str(path))) from error
