"""A grid is a list of settings: `plan` says what measuring it would take, `run` measures what the ledger lacks.

    if __name__ == "__main__":  # worker processes import the script
        settings = [Regression(..., seed=seed, learning_rate=rate) for seed in range(5) for rate in (1e-3, 3e-3)]
        with Ledger.open("results/laptop/claim.sqlite") as ledger:
            grid.run(settings, fit.measure, ledger, experiment="claim")
            table = ledger.table("claim")

Calling it again costs nothing; after a crash it goes on where it was; with more seeds it measures only the new ones.
"""

import contextlib
import math
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from widththeory import identity, overlap, provenance
from widththeory.driver import Driver, GridError, Written
from widththeory.executors import (
    InProcess,
    Measure,
    SpawnPool,
    Threads,
    check_flags,
    check_not_a_worker,
    check_portable,
)
from widththeory.leases import Lease
from widththeory.ledger import Ledger
from widththeory.packing import ChunkSize, Packing, pack
from widththeory.processes import accelerator_memory, default_jobs, usable_cores
from widththeory.progress import Estimate, Reporter, State, duration, reporter
from widththeory.typing import check_positive, check_positive_int

__all__ = ["GridError", "Plan", "Summary", "plan", "run"]

_OTHER_ROWS = 4  # so many times the cells of a grid are too many rows to look at all of them
_JAX_BYTES = 4e8  # of a process that has compiled a few programs
_MAX_THREADS = 8  # that compile for an accelerator while it runs


@dataclass(frozen=True)
class Summary:
    """What a run did: cells measured, cells newly marked failed, cells that were settled without it, and its time."""

    done: int
    failed: int
    skipped: int
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What is there and what a run would do.

    `seconds` are by the ledger's history of processors, or of accelerators where there is one; None without any.
    """

    total: int
    done: int
    failed: int
    missing: int
    chunks: int
    programs: int
    jobs: int
    seconds: float | None
    memory: float | None = None  # bytes, of all workers together

    def text(self) -> str:
        """One line."""
        said = f"{self.done} of {self.total} cells done"
        if self.failed:
            said += f", {self.failed} failed"
        if not self.missing:
            return said + ", nothing missing"
        needed = "time unknown before a first run here" if self.seconds is None else duration(self.seconds)
        said += f", {self.missing} missing: {self.chunks} chunks of {self.programs} programs, {needed}"
        said += f" with {self.jobs} job{'s' if self.jobs > 1 else ''}"
        return said if self.memory is None else f"{said}, {self.memory / 1e9:.1f} GB of memory"


def plan(
    settings: Sequence[Any],
    ledger: Ledger,
    *,
    experiment: str,
    jobs: int | None = None,
    chunk_size: ChunkSize = None,
    retry_failed: bool = False,
) -> Plan:
    """What `run` with the same arguments would do, and how long it would take.

    Raises:
        ValueError: an empty grid, or jobs or chunk size less than 1.
    """
    jobs, memory = _workers(jobs)
    statuses = _statuses(settings, ledger, experiment)
    packing = pack(settings, statuses, chunk_size=chunk_size, retry_failed=retry_failed, memory=memory)
    accelerated = memory is not None
    estimate = _history(ledger, accelerated)
    costs: dict[str, list[float]] = {}
    for chunk in packing.chunks:
        costs.setdefault(chunk.program, []).append(chunk.cost)
    history = ledger.throughputs(accelerated=accelerated)
    seconds: float | None = 0.0
    for program, of_chunks in costs.items():
        if program in history:
            _, cost, took = history[program]
            part: float | None = took * sum(of_chunks) / max(cost, 1e-300)
        else:
            part = estimate.seconds(len(of_chunks), sum(of_chunks))
        seconds = None if seconds is None or part is None else seconds + part
    missing = sum(len(chunk.keys) for chunk in packing.chunks)
    workers = max(1, min(jobs, len(packing.chunks)))
    return Plan(
        total=packing.total,
        done=packing.done,
        failed=packing.failed,
        missing=missing,
        chunks=len(packing.chunks),
        programs=len(costs),
        jobs=jobs,
        seconds=None if seconds is None else seconds / workers,
        memory=_memory(packing, workers),
    )


def _workers(jobs: int | None) -> tuple[int, float | None]:
    """Worker processes, and the bytes of an accelerator for each; None without one."""
    memory = accelerator_memory()
    jobs = check_positive_int("jobs", default_jobs(memory) if jobs is None else jobs)
    return jobs, None if memory is None else memory / jobs


def _beside_the_device() -> Executor:
    return SpawnPool(max(1, usable_cores() - 1), {"JAX_PLATFORMS": "cpu"})


def _statuses(settings: Sequence[Any], ledger: Ledger, experiment: str) -> dict[str, str]:
    """Status of the rows there are; of these cells alone, where the ledger holds many others."""
    if sum(ledger.counts(experiment).values()) < _OTHER_ROWS * len(settings):
        return ledger.statuses(experiment)
    return ledger.statuses(experiment, sorted({identity.key(one) for one in settings}))


def _memory(packing: Packing, workers: int) -> float | None:
    """Bytes that workers need at most, where settings can tell; each has JAX, and its largest chunk."""
    chunks = packing.chunks
    if not chunks or not all(hasattr(chunk.cells[0], "member_bytes") for chunk in chunks):
        return None
    return workers * (_JAX_BYTES + max(float(chunk.chunk_size * chunk.cells[0].member_bytes) for chunk in chunks))


def run(
    settings: Sequence[Any],
    measure: Measure,
    ledger: Ledger,
    *,
    experiment: str,
    jobs: int | None = None,
    executor: Executor | None = None,
    chunk_size: ChunkSize = None,
    progress: str | Reporter = "auto",
    retry_failed: bool = False,
    hours: float | None = None,
) -> Summary:
    """Measure every cell of a grid that has no row in the ledger yet.

    Args:
        settings: frozen dataclasses with `program_key` and `cost`; the whole grid, not only what is missing.
        measure: `measure(settings, chunk_size)` for settings of one program, returning for each an object with
            `metrics`, a flat dictionary, and perhaps `weights`, bytes; a function that other processes can import.
        ledger: where rows go. Several drivers may work on one ledger; they share the cells.
        experiment: name of the table.
        jobs: worker processes; 1 measures in this process. Default: one a core; with an accelerator this process alone,
            whose threads compile programs while another one runs. Beside an `executor`, the number of its workers.
        executor: any `concurrent.futures.Executor` instead of worker processes, see `engines`; it is not shut down.
        chunk_size: see `packing.pack`.
        progress: "auto", "rich", "plain", "json", "none", or an object like those of `progress`.
        retry_failed: whether failed cells are measured again.
        hours: hand out no chunk later than this; those handed out, up to two a worker, are finished. What takes least
            time a cell is then measured first, program by program, so that a table cut short is whole up to some size
            of network; the same call goes on from there.

    Raises:
        ValueError: an empty grid, numbers below 1, hours that are not positive, a `measure` that workers could not
            import, or XLA_FLAGS that end them.
        GridError: workers die whatever they are given, or JAX has no device there.
        LedgerError: the ledger cannot be written, for instance since the disk is full; what it has is kept.
        KeyboardInterrupt: passed on after workers have been stopped; every finished chunk is in the ledger.
        SystemExit: called in a worker process, by a script without a guard.
    """
    check_not_a_worker()
    began = time.perf_counter()
    statuses = _statuses(settings, ledger, experiment)
    if executor is None:
        workers, memory = _workers(jobs)
    else:
        its_own = getattr(executor, "_max_workers", None) or usable_cores()
        workers = check_positive_int("jobs", its_own if jobs is None else jobs)
        memory = getattr(executor, "memory", None)
    packing = pack(settings, statuses, chunk_size=chunk_size, retry_failed=retry_failed, memory=memory)
    chunks = packing.chunks
    if hours is not None:
        check_positive("hours", hours)
        chunks = sorted(chunks, key=lambda chunk: (chunk.cost / chunk.chunk_size, chunk.program))
    watch = _Watch(experiment, packing, reporter(progress), began, hours)
    if not packing.chunks:
        return watch.summary()
    pool: Executor | None = None
    if executor is None:
        # The last chunk of many still goes to a worker: its float32 result may depend on the number of threads.
        if workers > 1:
            check_portable(measure, packing.chunks[0].cells[0])
            check_flags()
            executor = pool = SpawnPool(min(workers, len(packing.chunks)))
        elif memory is not None and usable_cores() > 1:
            executor = pool = Threads(min(_MAX_THREADS, usable_cores(), len(packing.chunks)))
        else:
            executor = pool = InProcess()
    watch.begin(ledger, 1 if isinstance(executor, (InProcess, Threads)) else workers, accelerated=memory is not None)
    # With an accelerator the processor has time to measure what has been trained.
    try:
        with (
            overlap.lend(_beside_the_device if isinstance(executor, Threads) else None),
            Lease(ledger, experiment) as lease,
        ):
            driver = Driver(
                chunks,
                measure,
                ledger,
                lease,
                executor,
                # A worker finds its next chunk waiting; no more, so that little is lost and other drivers get theirs.
                in_flight=getattr(executor, "in_flight", 2 * workers),
                tell=watch.tell,
                retry_failed=retry_failed,
                seconds=watch.seconds_left(),
            )
            try:
                driver.run()
                watch.tell_unbegun()
                watch.compare_devices(ledger)
            except BaseException as error:
                watch.stopped()
                overlap.call_off()  # until the pool is shut, whatever else interrupts
                if pool is not None:
                    pool.shutdown(cancel_futures=True)
                if isinstance(error, KeyboardInterrupt):
                    driver.rescue()  # what has come back by now is written
                raise
    finally:
        if pool is not None:
            pool.shutdown()
        overlap.call_on()
        watch.end()
    return watch.summary()


class _Watch:
    """Counts what is written and tells the reporter."""

    def __init__(
        self, experiment: str, packing: Packing, out: Reporter, began: float, hours: float | None = None
    ) -> None:
        missing = sum(len(chunk.keys) for chunk in packing.chunks)
        failed = packing.total - packing.done - missing
        self.state = State(experiment, packing.total, packing.total - missing, failed)
        self.out = out
        self.began = began
        self.hours = hours
        self.done = self.failed = 0
        self.skipped = self.state.settled
        self._unheard: tuple[type[OSError], ...] = ()
        self._chunks = len(packing.chunks)
        self._cost = sum(chunk.cost for chunk in packing.chunks)
        self._programs = {chunk.program for chunk in packing.chunks}

    def begin(self, ledger: Ledger, workers: int, *, accelerated: bool) -> None:
        """Tell what there is to do, and whether older rows were made by something else."""
        self._workers = workers
        self._estimate = _history(ledger, accelerated)
        self.state.remaining = self._remaining()
        self.out.start(self.state)
        here, older = provenance.here(device=False), Counter[str]()
        for made_by, rows in ledger.provenances(self.state.experiment):
            changed = [
                f"{name} {made_by[name]} (now {now})"
                for name, now in here.items()
                if name not in provenance.VOLATILE and made_by.get(name, now) != now
            ]
            older[", ".join(changed)] += rows  # one sum where only the chunk's size differs
        for changes, rows in older.items():
            if changes:
                self.out.note(f"{rows} older rows of {self.state.experiment} were made by {changes}")

    def compare_devices(self, ledger: Ledger) -> None:
        """Tell when rows of one table come from different kinds of device, whose last digits differ."""
        kinds = {str(made_by.get("device")) for made_by, _ in ledger.provenances(self.state.experiment)} - {"None"}
        if len(kinds) > 1:
            self.out.note(f"rows of {self.state.experiment} were made on different devices: {', '.join(sorted(kinds))}")

    def tell(self, written: Written) -> None:
        """Count a settled chunk."""
        chunk = written.chunk
        self._chunks -= 1
        self._cost -= chunk.cost
        if written.elsewhere:
            self.skipped += len(chunk.keys)
        else:
            self._estimate.observe(chunk.program, chunk.cost, written.seconds)
            self.done += written.done
            self.failed += written.failed
        self._programs.discard(chunk.program)
        self.state.settled += len(chunk.keys)
        self.state.failed += written.failed
        self.state.measured = self.done + self.failed
        self.state.elapsed = time.perf_counter() - self.began
        self.state.remaining = self._remaining()
        with contextlib.suppress(*self._unheard):
            self.out.advance(self.state, written)

    def seconds_left(self) -> float:
        """Until the hours of this run are over."""
        return math.inf if self.hours is None else 3600.0 * self.hours - (time.perf_counter() - self.began)

    def tell_unbegun(self) -> None:
        """Tell what the hours did not suffice for."""
        unbegun = self.state.total - self.state.settled
        if unbegun:
            self.out.note(f"the time is over: {unbegun} cells of {self.state.experiment} are left for another run")

    def stopped(self) -> None:
        """From now on whoever is gone, perhaps with the terminal, is not told: it would hide what stopped the run."""
        self._unheard = (OSError,)

    def end(self) -> None:
        """Tell how it ended."""
        self.state.elapsed = time.perf_counter() - self.began
        with contextlib.suppress(*self._unheard):
            self.out.finish(self.state)

    def summary(self) -> Summary:
        """What was done."""
        return Summary(self.done, self.failed, self.skipped, time.perf_counter() - self.began)

    def _remaining(self) -> float | None:
        seconds = self._estimate.seconds(self._chunks, max(self._cost, 0.0), len(self._programs))
        if seconds is None:
            return None
        return max(0.0, min(self.seconds_left(), seconds / max(1, min(self._workers, self._chunks))))


def _history(ledger: Ledger, accelerated: bool) -> Estimate:
    estimate = Estimate()
    for program, (chunks, cost, seconds) in ledger.throughputs(accelerated=accelerated).items():
        estimate.know(program, cost / chunks, seconds / chunks)
    return estimate
