"""The loop between ledger and executor: claim a chunk, have it measured, write it; find the one cell that spoils it.

A chunk that raises is halved until the cell is alone, and only that cell is marked failed. When a worker dies, nobody
knows which chunk killed it: all that were under way are tried again, then one by one with nothing beside them, and who
kills its worker alone is halved as well. A cell is believed to kill its workers when two were lost while they had it
alone: one may have gone for reasons of its own. A chunk is written in one transaction when all its cells are settled.
"""

import queue
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass, field
from typing import Any

from widththeory import provenance
from widththeory.executors import Measure, Outcome, work
from widththeory.leases import Lease
from widththeory.ledger import Ledger, Row
from widththeory.packing import Chunk

_STRIKES = 2  # lost workers before a part is tried alone, and of a cell that is alone before it is blamed
_MAX_BREAKS = 32  # dead workers in a row, without one finished part, before the run is given up
_POLL_SECONDS = 0.2  # how often the claims of another driver are looked at when there is nothing else to do


class GridError(ChildProcessError):
    """The run cannot go on; what has been written stays, and the same call goes on from there."""


@dataclass(frozen=True)
class Written:
    """A chunk that is settled: by this driver, or `elsewhere` by another one on the same ledger."""

    chunk: Chunk
    done: int
    failed: int
    seconds: float = 0.0
    elsewhere: bool = False


@dataclass
class _Work:
    """A claimed chunk and the rows it has so far."""

    chunk: Chunk
    rows: dict[str, Row] = field(default_factory=dict)
    seconds: float = 0.0
    parts: int = 0


@dataclass
class _Part:
    """Some cells of a claimed chunk, to be measured by one call."""

    owner: _Work
    cells: tuple[Any, ...]
    keys: tuple[str, ...]
    chunk_size: int
    alone: bool = False
    strikes: int = 0
    generation: int = 0


class Driver:
    """One run over some chunks. Call `run`; `rescue` writes what had finished when it was interrupted."""

    def __init__(
        self,
        chunks: Sequence[Chunk],
        measure: Measure,
        ledger: Ledger,
        lease: Lease,
        executor: Executor,
        *,
        in_flight: int,
        tell: Callable[[Written], None],
        retry_failed: bool = False,
        seconds: float = float("inf"),
    ) -> None:
        self.measure = measure
        self.ledger = ledger
        self.lease = lease
        self.executor = executor
        self.in_flight = in_flight
        self.tell = tell
        self.retry_failed = retry_failed
        self._stop_at = time.monotonic() + seconds
        self._waiting = deque(chunks)
        self._parts: deque[_Part] = deque()
        self._suspects: deque[_Part] = deque()
        self._flying: dict[Future[Outcome], _Part] = {}
        self._landed: queue.SimpleQueue[Future[Outcome]] = queue.SimpleQueue()
        self._generation = 0
        self._breaks = 0

    def run(self) -> None:
        """Until every chunk is settled, or `seconds` are over and what was handed out is done.

        Raises:
            GridError: workers die whatever they are given or have no device, or an executor is broken for good.
            LedgerError: the ledger cannot be written.
        """
        while self._waiting or self._parts or self._suspects or self._flying:
            self._launch()
            try:
                idle = self._waiting and len(self._flying) < self.in_flight  # all that waits is claimed by others
                future = self._landed.get(timeout=_POLL_SECONDS if idle else 1.0)
            except queue.Empty:
                continue
            self._land(future)

    def rescue(self) -> None:
        """Write the chunks whose last part has come back but was not looked at yet, and call off the others."""
        for future in list(self._flying):
            future.cancel()
        while not self._landed.empty():
            future = self._landed.get()
            part = self._flying.pop(future, None)
            if part is not None and not future.cancelled() and future.exception() is None:
                outcome = future.result()
                if outcome.error is None:
                    self._keep(part, outcome)

    def _launch(self) -> None:
        while len(self._flying) < self.in_flight and not any(part.alone for part in self._flying.values()):
            if self._suspects:
                if not self._flying:
                    self._submit(self._suspects.popleft())
                return
            if self._parts:
                self._submit(self._parts.popleft())
            elif not self._claim_next():
                return

    def _claim_next(self) -> bool:
        """Submit the first waiting chunk that nobody else is at; False if there is none."""
        if time.monotonic() >= self._stop_at:
            self._waiting.clear()
        for _ in range(len(self._waiting)):
            chunk = self._waiting.popleft()
            answer = self.lease.claim(chunk.keys, retry_failed=self.retry_failed)
            if answer == "busy":
                self._waiting.append(chunk)
            elif answer == "settled":
                statuses = self.ledger.statuses(self.lease.experiment, chunk.keys)
                failed = list(statuses.values()).count("failed")
                self.tell(Written(chunk, len(chunk.keys) - failed, failed, elsewhere=True))
            else:
                self._submit(_Part(_Work(chunk, parts=1), chunk.cells, chunk.keys, chunk.chunk_size))
                return True
        return False

    def _submit(self, part: _Part) -> None:
        while True:
            part.generation = self._generation
            try:
                future = self.executor.submit(work, self.measure, part.cells, part.chunk_size)
                break
            except BrokenExecutor as error:
                self._restart(error)
        self._flying[future] = part
        future.add_done_callback(self._landed.put)

    def _land(self, future: Future[Outcome]) -> None:
        part = self._flying.pop(future)
        try:
            outcome = future.result()
        except Exception as error:
            self._lost(part, error)
            return
        if outcome.no_device is not None:
            raise GridError(outcome.no_device)
        self._breaks = 0
        if outcome.error is None:
            self._keep(part, outcome)
        else:
            part.owner.seconds += outcome.seconds
            self._blame(part, outcome.error, outcome.provenance, outcome.out_of_memory)

    def _keep(self, part: _Part, outcome: Outcome) -> None:
        part.owner.seconds += outcome.seconds
        share = outcome.seconds / len(part.cells)
        for key, cell, measurement in zip(part.keys, part.cells, outcome.measurements, strict=True):
            try:
                part.owner.rows[key] = _row(cell, measurement, outcome.provenance, part.chunk_size, share)
            except (AttributeError, TypeError, ValueError) as error:
                reason = f"measure returned something that is not a measurement: {error}"
                part.owner.rows[key] = _failed(cell, reason, outcome.provenance, part.chunk_size)
        self._close(part)

    def _lost(self, part: _Part, error: Exception) -> None:
        """A part whose worker did not come back with an outcome, whoever is at fault."""
        if part.generation == self._generation and isinstance(error, BrokenExecutor):
            self._restart(error)
        part.strikes += 1
        if part.alone and (len(part.cells) > 1 or part.strikes >= _STRIKES):
            text = f"the worker was lost {_STRIKES} times while it measured this cell alone: {type(error).__name__}"
            self._blame(part, text, provenance.here(device=False), out_of_memory=False)
        elif part.alone:
            self._suspects.append(part)
        elif part.strikes >= _STRIKES:
            part.alone, part.strikes = True, 0
            self._suspects.append(part)
        else:
            self._parts.append(part)

    def _restart(self, error: BrokenExecutor) -> None:
        self._generation += 1
        self._breaks += 1
        restart = getattr(self.executor, "restart", None)
        if restart is None:
            raise GridError(f"the executor is broken and cannot be restarted here: {error}") from error
        if self._breaks > _MAX_BREAKS:
            raise GridError(f"workers died {self._breaks} times in a row and finished nothing: {error}") from error
        try:
            restart()
        except ChildProcessError as reason:
            raise GridError(str(reason)) from error

    def _blame(self, part: _Part, error: str, made_by: Mapping[str, Any], out_of_memory: bool) -> None:
        """Halve a guilty part, and the program with it where memory was short; a guilty cell is marked failed.

        One that runs out of memory in the smallest program is guilty only if it does so alone.
        """
        chunk_size = -(-part.chunk_size // 2) if out_of_memory else part.chunk_size
        middle = len(part.cells) // 2
        if out_of_memory and part.chunk_size == 1 and not part.alone and self.in_flight > 1:
            part.alone, part.strikes = True, 0  # others had their share of the memory
            self._suspects.append(part)
            return
        if middle == 0 and chunk_size == part.chunk_size:
            part.owner.rows[part.keys[0]] = _failed(part.cells[0], error, made_by, part.chunk_size)
            self._close(part)
            return
        halves = [slice(0, middle), slice(middle, None)] if middle else [slice(None)]
        part.owner.parts += len(halves) - 1
        for half in halves:
            piece = _Part(part.owner, part.cells[half], part.keys[half], chunk_size, alone=part.alone)
            (self._suspects if part.alone else self._parts).append(piece)

    def _close(self, part: _Part) -> None:
        owner = part.owner
        owner.parts -= 1
        if owner.parts:
            return
        rows = [owner.rows[key] for key in owner.chunk.keys]
        self.ledger.record(self.lease.experiment, rows, chunk=(owner.chunk.program, owner.chunk.cost, owner.seconds))
        failed = sum(row.status == "failed" for row in rows)
        self.tell(Written(owner.chunk, len(rows) - failed, failed, owner.seconds))


def _row(cell: Any, measurement: Any, made_by: Mapping[str, Any], chunk_size: int, share: float) -> Row:
    metrics = dict(measurement if isinstance(measurement, Mapping) else measurement.metrics)
    seconds = float(metrics.pop("seconds", share))
    weights = getattr(measurement, "weights", None)
    if not isinstance(weights, (bytes, type(None))):
        raise TypeError(f"weights must be bytes or None, got {type(weights).__name__}")
    own = getattr(measurement, "provenance", None) or {}
    row = Row(cell, "done", metrics, {**made_by, **own, "chunk_size": chunk_size}, None, seconds, weights)
    row.check()
    return row


def _failed(cell: Any, error: str, made_by: Mapping[str, Any], chunk_size: int) -> Row:
    text = error.encode(errors="backslashreplace").decode()  # a name of a file may hold what no ledger and no table can
    return Row(cell, "failed", {}, {**made_by, "chunk_size": chunk_size}, text)
