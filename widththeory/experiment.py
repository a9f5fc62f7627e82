"""What every experiment does with its grid: keep the rows in a ledger, measure what is missing, write the table."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widththeory import command, engines, grid
from widththeory.command import Scale
from widththeory.executors import InProcess
from widththeory.identity import key
from widththeory.ledger import Ledger
from widththeory.progress import Style, reporter
from widththeory.tables import replace_file
from widththeory.typing import check_positive, check_positive_int

if TYPE_CHECKING:
    import pandas as pd

_SCHEDULED = ("dask", "ray")  # engines that may be given the address of a cluster


@dataclass(frozen=True)
class Flags:
    """Flags that every experiment has; a `Config` inherits them and adds its own."""

    scale: Scale = "laptop"
    """smoke takes seconds, laptop minutes, paper a GPU or a cluster; each has its own folder."""
    seeds: int | None = None
    """Independent repetitions, instead of the scale's."""
    jobs: int | None = None
    """Worker processes; one a core if not given."""
    out: Path | None = None
    """Folder for the table and its ledger, instead of results/<scale>."""
    log: Style = "auto"
    """How progress is shown."""
    retry_failed: bool = False
    """Measure again what failed."""
    hours: float | None = None
    """Hand out no fits later than this, and the quickest first, so that a table cut short is whole up to some size."""
    chunk_size: int | None = None
    """Networks in one program, instead of what suits the machine."""
    engine: str = engines.POOL
    """Where fits run: pool (processes of this machine), dask, ray or slurm."""
    scheduler: str | None = None
    """Address of a Dask or Ray cluster that is there; without, one is started on this machine."""
    slurm: engines.Slurm = field(default_factory=engines.Slurm)
    """What a job asks of SLURM."""

    multihost: bool = False
    """This command runs on several hosts at once, and each fit is spread over all of them; see `multihost`."""

    def __post_init__(self) -> None:
        if self.multihost and self.engine != engines.POOL:
            raise ValueError(f"multihost needs engine {engines.POOL}, got {self.engine!r}")
        engines.check_name(self.engine)
        if self.scheduler is not None and self.engine not in _SCHEDULED:
            raise ValueError(
                f"scheduler must go with engine {' or '.join(_SCHEDULED)}, got {self.scheduler!r} with {self.engine}"
            )
        for name in ("seeds", "jobs", "chunk_size"):
            if getattr(self, name) is not None:
                check_positive_int(name, getattr(self, name))
        if self.hours is not None:
            check_positive("hours", self.hours)


def fit_table(
    script: str | Path,
    flags: Flags,
    settings: Sequence[Any],
    measure: Callable[..., Any],
) -> "pd.DataFrame":
    """Measure what is missing of a grid, write results/<scale>/<claim>.csv, and return the table of the grid's rows.

    Rows live in <claim>.sqlite beside the table. What that lacks but the table has, as in a fresh clone or after a pull
    of rows that were computed elsewhere, is taken over first. Rows of cells that the grid no longer declares stay in
    the ledger and out of the table. A run that is interrupted, or stopped by an error, writes the rows it has; how many
    cells the grid declares stands in <claim>.grid.csv, so that a figure can say what is missing. In the end it is told,
    as progress is, where the table is, and whether nothing was missing or something failed.

    Args:
        script: `__file__` of the experiment, whose name is the claim.
        flags: scale, number of jobs, folder.
        settings: the whole grid.
        measure: see `grid.run`.

    Raises:
        ValueError: an empty grid, a ledger or table that is not one of ours, images that are not there, or fits that
            the hosts cannot share.
        OSError: a folder that cannot be written.
        command.OutcomeError: every fit failed, or none was begun within the hours, so that there is nothing to look at.
    """
    path = command.results_file(script, flags.scale, flags.out)
    claim, out, leader = path.stem, reporter(flags.log), None
    if flags.multihost:
        from widththeory import hosts, multihost  # starts devices

        number = hosts.join(out.note)
        multihost.check(settings)
        if number:
            multihost.follow(settings)
            return _checked(multihost.share())
        measure = leader = multihost.Leader(settings)
    # Whatever stops process 0 here, the others are told.
    with leader or contextlib.nullcontext(), Ledger.open(path.with_suffix(".sqlite")) as ledger:
        if settings and path.is_file() and ledger.missing(claim, settings):
            ledger.import_csv(path, type(settings[0]), claim)
        lacking = ledger.missing(claim, settings, retry_failed=flags.retry_failed)
        for one in lacking:  # what they need is said once, before a thousand rows say so
            if hasattr(one, "check_there"):
                one.check_there()
        # A cluster is not started for nothing.
        engine = flags.engine if lacking or not settings else engines.POOL
        if engine != engines.POOL:
            engines.check_names(lacking)
        options = engines.Options(flags.jobs, flags.scheduler, path.with_suffix(".slurm"), flags.slurm)
        try:
            with engines.open_engine(engine, options) as executor:
                grid.run(
                    settings,
                    measure,
                    ledger,
                    experiment=claim,
                    jobs=1 if leader else flags.jobs,
                    executor=InProcess() if leader else executor,
                    chunk_size=1 if leader else flags.chunk_size,
                    progress=out,
                    retry_failed=flags.retry_failed,
                    hours=flags.hours,
                )
        finally:
            declared = {key(one) for one in settings}
            if ledger.statuses(claim, sorted(declared)):
                replace_file(path.with_suffix(".grid.csv"), ["cells\n", f"{len(declared)}\n"])
                ledger.export_csv(path, claim, settings)
        table = ledger.table(claim, settings)
    if leader:
        multihost.share(table)
    if not table.empty:
        failed = int((table["status"] == "failed").sum())
        said = ""
        if failed:
            said = f"{len(table)} of {len(declared)} cells, {failed} failed (--retry-failed measures them again); "
        elif not lacking:
            said = "nothing missing; "
        out.note(f"{claim}: {said}its table is {command.shown(path)}")
    return _checked(table)


def _checked(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table, if it has a fit that an experiment can look at."""
    if table.empty:
        raise command.OutcomeError("no fit was begun: the hours were over before the first")
    if (table["status"] == "failed").all():
        error = table["error"].iloc[0]
        first = error if isinstance(error, str) and error else "without a reason"
        many = f"all {len(table)} fits" if len(table) > 1 else "the one fit"
        raise command.OutcomeError(f"{many} failed, the first with: {first}")
    return table


def write_table(script: str | Path, flags: Flags, name: str, table: "pd.DataFrame") -> None:
    """Write numbers that stand beside the fits, floors for instance, to results/<scale>/<claim>.<name>.csv, whole.

    A claim that fits nothing writes its own table, <claim>.csv, under the name "".

    Raises:
        ValueError: a table without rows.
        OSError: a folder that cannot be written.
    """
    if table.empty:
        raise ValueError(f"the table {name or 'of the claim'} must have rows, got none")
    path = command.results_file(script, flags.scale, flags.out, suffix=f".{name}.csv" if name else ".csv")
    replace_file(path, table.to_csv(index=False, lineterminator="\n").splitlines(keepends=True))
    if not name:
        reporter(flags.log).note(f"{path.stem}: its table is {command.shown(path)}")
