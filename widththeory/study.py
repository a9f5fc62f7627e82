"""The experiments of a folder as a whole: what is missing, what runs, what came out, and whether it comes out again.

Every function gives text to print. Ledgers that are not there are not made, and nothing is measured but by `verify`.
"""

import importlib.util
import inspect
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from widththeory.command import Scale

if TYPE_CHECKING:
    from widththeory.ledger import Ledger

_RECENT_SECONDS = 600.0
_METRICS = ("relative_error", "test_mse", "train_mse", "test_loss", "train_loss")  # what `show` sorts by, best first
_PROVENANCE = ("jax", "device", "chunk_size")  # on which the last digits depend


@dataclass(frozen=True)
class Study:
    """A folder with experiments/ and results/, at one scale; `claims` restricts it to some of them.

    Raises:
        ValueError: no experiments there, or not those asked for.
    """

    root: Path
    scale: Scale
    claims: tuple[str, ...] = ()

    def __post_init__(self) -> None:
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
        """The module experiments/<claim>.py or paper_figures/<claim>.py, without running it as a command."""
        name = f"{folder}.{claim}"
        spec = importlib.util.spec_from_file_location(name, self.root / folder / f"{claim}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # where its dataclasses look their annotations up
        spec.loader.exec_module(module)
        return module

    def settings(self, claim: str) -> list[Any] | None:
        """The grid that a claim declares; None if it fits nothing."""
        experiment = self.module("experiments", claim)
        if not hasattr(experiment, "settings"):
            return None
        return list(experiment.settings(experiment.Config(scale=self.scale)))

    @contextmanager
    def ledger(self, claim: str, settings: Sequence[Any]) -> "Iterator[Ledger]":
        """The ledger of a claim, or a passing one that holds the rows of the committed table."""
        from widththeory.ledger import Ledger

        kept, committed = self.table(claim).with_suffix(".sqlite"), self.table(claim)
        with (
            tempfile.TemporaryDirectory() as folder,
            Ledger.open(kept if kept.exists() else Path(folder) / kept.name) as ledger,
        ):
            if not kept.exists() and committed.exists():
                ledger.import_csv(committed, type(settings[0]), claim)
            yield ledger


def plan(study: Study) -> Iterator[str]:
    """Fits that are missing, with the memory and the time that they will take."""
    from widththeory import grid  # slow to import: not before the flags are known to be right

    for claim in study.claims:
        settings = study.settings(claim)
        if settings is None:
            yield f"{claim}: nothing to fit"
            continue
        with study.ledger(claim, settings) as ledger:
            yield f"{claim}: {grid.plan(settings, ledger, experiment=claim).text()}"


def status(study: Study) -> Iterator[str]:
    """Rows done and failed, what runs now, its pace and when it will have ended; the first failures in a line each."""
    for claim in study.claims:
        path = study.table(claim).with_suffix(".sqlite")
        if not path.exists():
            yield f"{claim}: nothing is measured at scale {study.scale} yet"
            continue
        yield from _status_of(claim, path)


def _status_of(claim: str, path: Path) -> Iterator[str]:
    from widththeory.ledger import Ledger
    from widththeory.progress import duration

    with Ledger.open(path) as ledger:
        counts = ledger.counts(claim)
        settled, declared = sum(counts.values()), _declared(path)
        said = f"{claim}: {counts['done']}{f' of {declared}' if declared else ''} cells done"
        said += f", {counts['failed']} failed" if counts["failed"] else ""
        drivers = ledger.drivers(claim)
        recent, span = ledger.recent(claim, time.time() - _RECENT_SECONDS)
        if drivers and recent:
            pace = recent / max(span, 1.0)
            said += f", {drivers} driver{'s' if drivers > 1 else ''} at {pace:.2g} cells/s"
            if declared and declared > settled:
                said += f", {duration((declared - settled) / pace)} left"
        elif declared and declared > settled:
            said += f", {declared - settled} missing and no driver runs"
        yield said
        failures = ledger.failures(claim)
        for settings, error in failures[:5]:
            short = ", ".join(
                f"{name}={settings[name]}"
                for name in ("width", "depth", "seed", "learning_rate", "model")
                if name in settings
            )
            yield f"  failed: {short}: {error.strip().splitlines()[-1] if error.strip() else 'without a reason'}"
        if len(failures) > 5:
            yield f"  and {len(failures) - 5} more"
        made = ledger.provenances(claim)
        for name in ("widththeory", "jax", "device"):
            kinds = sorted({str(made_by[name]) for made_by, _ in made if name in made_by})
            if len(kinds) > 1:
                yield f"  rows were made by different {name}: {', '.join(kinds)}"


def _declared(path: Path) -> int | None:
    """Cells of the grid at its last run, see `experiment.fit_table`."""
    try:
        return int(path.with_suffix(".grid.csv").read_text(encoding="utf-8").split()[-1])
    except (OSError, ValueError, IndexError):
        return None


def show(study: Study, rows: int, by: str | None) -> Iterator[str]:
    """The best rows of each table, with the settings that vary."""
    for claim in study.claims:
        settings = study.settings(claim)
        if settings is None:
            yield f"{claim}: nothing to fit"
            continue
        with study.ledger(claim, settings) as ledger:
            table = ledger.table(claim)
        if table.empty:
            yield f"{claim}: no rows at scale {study.scale}"
            continue
        metric = by or next((name for name in _METRICS if name in table), None)
        if metric is None or metric not in table:
            raise ValueError(f"{claim} has no column {metric!r}; it has {', '.join(map(str, table.columns))}")
        columns = [name for name in table.columns if name in settings[0].__dataclass_fields__ or "." in name]
        varying = [name for name in columns if not name.startswith("made.") and table[name].map(repr).nunique() > 1]
        best = table[table["status"] == "done"].sort_values(metric, kind="stable").head(rows)
        yield f"{claim}: {len(table)} rows, by {metric}"
        yield best[[*varying, metric]].to_string(index=False)


def export(study: Study, out: Path, kind: str) -> Iterator[str]:
    """Write each table to a file of `out`: <claim>.csv, exact and deterministic, or <claim>.parquet."""
    if kind == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ValueError("Parquet files need the library pyarrow (pip install pyarrow); --kind csv needs nothing")
    for claim in study.claims:
        settings = study.settings(claim)
        if settings is None:
            continue
        with study.ledger(claim, settings) as ledger:
            if not ledger.statuses(claim):
                yield f"{claim}: no rows at scale {study.scale}"
                continue
            path = out / f"{claim}.{kind}"
            out.mkdir(parents=True, exist_ok=True)
            if kind == "csv":
                ledger.export_csv(path, claim)
            else:
                part = path.with_name(f".{path.name}.part")
                ledger.table(claim).to_parquet(part)
                part.replace(path)
            yield f"{claim}: {path}"


def merge(study: Study, others: Sequence[Path]) -> Iterator[str]:
    """Take over the rows of ledgers that other machines filled; a row that is there already stays."""
    from widththeory.ledger import Ledger
    from widththeory.storage import copy_file

    if not others:
        raise ValueError("merge needs --ledgers, the files to take rows from")
    for other in others:
        if not other.is_file():
            raise ValueError(f"there is no ledger {other}")
        with tempfile.TemporaryDirectory() as folder:
            # A copy: it is somebody else's, and may be on a disk that cannot be written.
            copy = Path(folder) / other.name
            copy_file(other, copy)
            with Ledger.open(copy) as source:
                for claim in sorted(set(source.experiments()) & set(study.claims)):
                    with Ledger.open(study.table(claim).with_suffix(".sqlite")) as ledger:
                        yield f"{claim}: {ledger.take(source, claim)} rows from {other}"


def verify(study: Study, sample: int, seed: int, measure: Callable[..., Any] | None = None) -> Iterator[str]:
    """Measure a random sample of rows again, and list every row that lies under a certified floor.

    A row's whole chunk is measured again, since float32 results depend on it. Made by the same versions on the same
    kind of device it comes out to the bit; made by others it is listed with what differs.

    Raises:
        ValueError: after the last line, if a row did not come out again, or one lies under its floor.
    """
    wrong = 0
    for claim in study.claims:
        settings = study.settings(claim)
        if settings is not None:
            for bad, line in _again(study, claim, settings, sample, seed, measure):
                wrong += bad
                yield line
        for bad, line in _under_floor(study, claim):
            wrong += bad
            yield line
    if wrong:
        raise ValueError(f"{wrong} rows are not what they should be, see above")


def _again(
    study: Study, claim: str, settings: list[Any], sample: int, seed: int, measure: Callable[..., Any] | None
) -> Iterator[tuple[bool, str]]:
    from widththeory import identity, provenance
    from widththeory.executors import InProcess
    from widththeory.packing import pack
    from widththeory.processes import accelerator_memory

    with study.ledger(claim, settings) as ledger:
        rows = {record["key"]: record for record in ledger.table(claim).to_dict("records")}
    done = {key for key, record in rows.items() if record["status"] == "done"}
    chunks = [chunk for chunk in pack(settings, {}, memory=accelerator_memory()).chunks if done & set(chunk.keys)]
    if not chunks:
        yield False, f"{claim}: no rows at scale {study.scale}"
        return
    same = different = 0
    found = measure or _measure_of(settings[0])
    for chunk in random.Random(seed).sample(chunks, min(sample, len(chunks))):
        now = provenance.here() | {"chunk_size": chunk.chunk_size}
        again = InProcess().submit(found, chunk.cells, chunk.chunk_size).result()
        for key, one, result in zip(chunk.keys, chunk.cells, again, strict=True):
            if key not in done:
                continue
            row = rows[key]
            changed = [
                name for name in result.metrics if name != "seconds" and not _equal(result.metrics[name], row.get(name))
            ]
            if not changed:
                same += 1
                continue
            made = [
                f"{name} {row.get(f'made.{name}')} (now {now[name]})"
                for name in _PROVENANCE
                if name in now and row.get(f"made.{name}") != now[name]
            ]
            different += 1
            name = changed[0]
            why = (
                f"made by {', '.join(made)}" if made else "though made by the same versions on the same kind of device"
            )
            yield (
                not made,
                f"{claim}: {identity.encode(one)}: {name} is {result.metrics[name]!r}, was {row.get(name)!r}, {why}",
            )
    yield False, f"{claim}: {same} rows came out again to the bit, {different} did not"


def _equal(one: Any, other: Any) -> bool:
    return one == other or (one != one and other != other)


def _measure_of(one: Any) -> Callable[..., Any]:
    """The measuring function for settings of this kind: `measure` of the module that fits them."""
    from widththeory import classify, fit

    for module in (fit, classify):
        if type(one).__name__ in vars(module):
            return module.measure
    raise ValueError(f"nothing measures settings of {type(one).__name__}")


def _under_floor(study: Study, claim: str) -> Iterator[tuple[bool, str]]:
    """Rows under their floor, as the claim's figure compares them."""
    import pandas as pd

    path = study.table(claim)
    if not path.exists() or not path.with_suffix(".floor.csv").exists():
        return
    figure = study.module("paper_figures", claim)
    if not (hasattr(figure, "compared") and hasattr(figure, "under_floor")):
        yield False, f"{claim}: its figure compares no single rows with a floor"
        return
    tables = [pd.read_csv(path)]
    _, *parts = inspect.signature(figure.compared).parameters
    tables += [pd.read_csv(path.with_suffix(f".{part}.csv")) for part in parts]
    compared = figure.compared(*tables)
    under = figure.under_floor(compared)
    for _, row in under.iterrows():
        yield True, f"{claim}: under its floor: {row.dropna().to_dict()}"
    yield False, f"{claim}: {len(under)} of {len(compared)} rows under their floor"
