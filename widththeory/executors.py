"""Where chunks run: in this process, in a pool of one-thread processes, or in any `concurrent.futures.Executor`.

What crosses the seam is `work(measure, settings, chunk_size)`: a measuring function by its name, frozen dataclasses,
and back an `Outcome` of plain data. An exception in a chunk comes back as text, so that one that cannot be pickled does
not take the pool down with it.
"""

import contextlib
import errno
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from threadpoolctl import threadpool_limits

from widththeory import provenance
from widththeory.typing import check_positive_int

Measure = Callable[[Sequence[Any], int], Sequence[Any]]

# Processes side by side beat threads on narrow networks, and must not fight for the cores with threads of their own.
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JAX_NUM_CPU_DEVICES": "1",
    "PJRT_NPROC": "1",
    # Workers that are asked to share a GPU must not take most of its memory each, as JAX does by default.
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
_ENVIRONMENT = threading.RLock()
_STILLBORN = 3  # times that a worker ended by itself before any began to work
_GUARD = "a script that runs a grid must do so under `if __name__ == '__main__':`"
_OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "MemoryError", "Out of memory", "out of memory")


@dataclass(frozen=True)
class Outcome:
    """What came of one part of a chunk: measurements in the order of its settings, or the traceback.

    `no_device` is said by a process in which JAX has none. It is data, as clusters bring exceptions back as text.
    """

    measurements: list[Any] = field(default_factory=list)
    error: str | None = None
    out_of_memory: bool = False
    seconds: float = 0.0
    provenance: dict[str, Any] = field(default_factory=dict)
    no_device: str | None = None


def work(measure: Measure, settings: Sequence[Any], chunk_size: int) -> Outcome:
    """Measure some settings of one program, wherever this runs."""
    started = time.perf_counter()
    try:
        measurements = list(measure(settings, chunk_size))
        if len(measurements) != len(settings):
            raise ValueError(f"measure returned {len(measurements)} measurements for {len(settings)} settings")
        seconds = time.perf_counter() - started
        made_by = provenance.here()
    except Exception as error:
        # JAX's note on its tracebacks would be the last line, that tables show.
        if notes := getattr(error, "__notes__", None):
            error.__notes__ = [note for note in notes if "JAX_TRACEBACK_FILTERING" not in note]
        text = "".join(traceback.format_exception(error))
        full = isinstance(error, MemoryError) or any(sign in str(error) for sign in _OUT_OF_MEMORY)
        seconds = time.perf_counter() - started
        try:
            return Outcome([], text, full, seconds, provenance.here())
        except provenance.NoDeviceError as none:
            return Outcome([], text, full, seconds, no_device=str(none))
    return Outcome(measurements, None, False, seconds, made_by)


class InProcess(Executor):
    """Runs each task when it is submitted, in the caller's own thread.

    BLAS has one thread meanwhile, as in worker processes: rows are the same to the bit.
    """

    in_flight = 1

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The finished future of `fn(*args, **kwargs)`."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        try:
            with threadpool_limits(1):
                future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Threads(ThreadPoolExecutor):
    """Threads of this process, for an accelerator: programs are compiled and errors measured while another one runs.

    Measuring functions let one ensemble on the device at a time, see `overlap.device`.
    """

    def __init__(self, threads: int) -> None:
        super().__init__(check_positive_int("threads", threads), thread_name_prefix="chunk")
        self.in_flight = threads


class _Spawn(SpawnContext):
    """Remembers the processes that it starts, as a pool forgets its own once it is broken."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[SpawnProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        process = SpawnProcess(*args, **kwargs)
        self.started.append(process)
        return process


class SpawnPool(Executor):
    """Fresh one-thread processes; `restart` replaces them after one has died.

    Workers end at once when the pool is shut down or its owner dies, even by kill -9: each watches the other end of a
    pipe that only the owner holds. Ctrl-C reaches the owner alone.

    Args:
        jobs: number of processes.
        more: further environment variables of theirs.
    """

    def __init__(self, jobs: int, more: Mapping[str, str] | None = None) -> None:
        self._more = dict(more or {})
        self._begun = multiprocessing.get_context("spawn").RawValue("b", 0)  # no lock that a dying worker could keep
        self._stillborn = 0
        self.jobs = check_positive_int("jobs", jobs)
        self._start()

    def _start(self) -> None:
        context = _Spawn()
        self._started = context.started
        ours, self._leash = context.Pipe(duplex=False)
        self._ours = ours
        initargs = (ours, self._begun)
        self._pool = ProcessPoolExecutor(self.jobs, mp_context=context, initializer=_begin, initargs=initargs)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a worker call `fn`; the first calls start the workers.

        Raises:
            BrokenExecutor: a worker has died, or none could be started.
        """
        # The environment is set here and not in the worker: a library may read it while that imports the main script.
        with _no_interrupts(), environment(WORKER_ENVIRONMENT | self._more):
            try:
                return self._pool.submit(fn, *args, **kwargs)
            except OSError as error:
                if error.errno not in (None, errno.EBADF, errno.EPIPE):
                    raise
                # A worker that dies while another one is started: the pool has closed its pipes, and has not said so.
                raise BrokenExecutor(f"a worker could not be started: {error}") from error

    def restart(self) -> None:
        """Give up the processes and what they were doing, and start new ones.

        Raises:
            ChildProcessError: none ever began to work, and not because they were killed.
        """
        self._stop()
        by_itself = any(process.exitcode is not None and process.exitcode >= 0 for process in self._started)
        self._stillborn += by_itself and not self._begun.value
        if self._stillborn >= _STILLBORN:
            raise ChildProcessError(f"worker processes end before they begin to work, as their own words say; {_GUARD}")
        self._start()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers, at once."""
        self._stop()

    def _stop(self) -> None:
        self._leash.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._ours.close()


def check_portable(measure: Measure, settings: Any) -> None:
    """Say now, and once, that another process could not be told what to do.

    Raises:
        ValueError: `measure` or the settings cannot be sent.
    """
    try:
        pickle.dumps((measure, settings))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"measure and settings must be importable by name in another process, or jobs must be 1: {error}"
        ) from error


def check_flags() -> None:
    """Say now, and once, what XLA has against the flags that workers inherit: it would end each of them, cell by cell.

    Raises:
        ValueError: XLA_FLAGS by which it ends its process.
    """
    flags = os.environ.get("XLA_FLAGS")
    if not flags:
        return
    script = "import contextlib\nwith contextlib.suppress(Exception):\n    import jax; jax.devices()"
    tried = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | WORKER_ENVIRONMENT, capture_output=True, text=True
    )
    if tried.returncode:
        said = next((line for line in tried.stderr.splitlines() if "flag" in line.lower()), "it does not say why")
        raise ValueError(f"JAX ends its process by XLA_FLAGS={flags!r}: {said.rpartition('] ')[2]}")


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables for processes that are started meanwhile, by one thread at a time; then as before."""
    with _ENVIRONMENT:
        before = {name: os.environ.get(name) for name in values}
        os.environ.update(values)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


@contextlib.contextmanager
def _no_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back; processes started meanwhile never see it, not even while they are still importing."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def check_not_a_worker() -> None:
    """End a worker that runs its owner's script from the top while it imports it.

    Raises:
        SystemExit: this is one; the script lacks a guard.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(f"a worker process came to start workers of its own: {_GUARD}")


def _begin(leash: Connection, begun: Any) -> None:
    """First thing in a worker: ignore Ctrl-C, watch the owner; `begun` is set to 1."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(leash,), name="leash", daemon=True).start()
    begun.value = 1


def _watch(leash: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        leash.recv_bytes()
    os._exit(1)
