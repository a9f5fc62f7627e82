"""Threads that share a device: one ensemble trains at a time, and other processes finish those that have trained.

Whoever runs a grid lends the processes, as a function that starts them; a measuring function spreads its work over
them, or does it by itself where none are lent.
"""

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor
from typing import Any

_BATCH = 8  # items that go to a process together
_device = threading.Lock()
_called_off = threading.Event()
_lock = threading.Lock()
_start: Callable[[], Executor] | None = None
_pool: Executor | None = None
_restarts = 0


@contextlib.contextmanager
def device() -> Iterator[None]:
    """Have the device to oneself: several ensembles at once would share its memory, and their times would say nothing.

    Raises:
        CancelledError: as `go_on`.
    """
    with _device:
        go_on()
        yield


def go_on() -> None:
    """For each pause of a long fit: is it still wanted?

    Raises:
        CancelledError: the run has been called off.
    """
    if _called_off.is_set():
        raise CancelledError("the run was called off")


def call_off() -> None:
    """Have all fits of this process end at their next pause, until `call_on`."""
    _called_off.set()


def call_on() -> None:
    """Let fits begin again, once those that were called off have ended."""
    _called_off.clear()


@contextlib.contextmanager
def lend(start: Callable[[], Executor] | None) -> Iterator[None]:
    """Let `spread` start a pool, if any, when it first has something for it; the pool is shut down at the end."""
    global _start, _pool
    _start = start
    try:
        yield
    finally:
        with _lock:
            pool, _start, _pool = _pool, None, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)


def spread(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """[function(item) for item in items], by other processes if some are lent and there is enough to do.

    After a process was killed the others are started anew, once; then the work is done here.
    """
    batches = [items[begin : begin + _BATCH] for begin in range(0, len(items), _BATCH)]
    for _ in range(2 if len(items) > _BATCH else 0):
        with _lock:
            restarts, pool = _restarts, _lent()
            try:
                futures = [pool.submit(_each, function, batch) for batch in batches] if pool else None
            except BrokenExecutor:
                futures = []
        if futures is None:
            break
        with contextlib.suppress(BrokenExecutor, CancelledError):
            if futures:
                return [result for future in futures for result in future.result()]
        go_on()
        if not _restart(restarts):
            break
    return _each(function, items)


def _lent() -> Executor | None:
    global _pool
    if _pool is None and _start is not None:
        _pool = _start()
    return _pool


def _restart(restarts: int) -> bool:
    """Start the processes anew, unless another thread has since the number of restarts was `restarts`."""
    global _restarts, _start, _pool
    with _lock:
        if _restarts == restarts:
            restart = getattr(_pool, "restart", None)
            if restart is None:
                return False
            warnings.warn("a process that measures networks was lost; it is started anew", RuntimeWarning, stacklevel=2)
            try:
                restart()
            except ChildProcessError as error:
                warnings.warn(f"networks are measured by this process alone: {error}", RuntimeWarning, stacklevel=2)
                _start = _pool = None
                return False
            _restarts += 1
    return True


def _each(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    return [function(item) for item in items]
