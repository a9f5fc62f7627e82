"""Work of the host beside a busy device: other processes polish and measure networks while the next ones train.

Whoever runs a grid lends the processes, as a function that starts them; a measuring function spreads its work over
them, or does it by itself where none are lent.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor
from typing import Any

_BATCH = 8  # items that go to a process together
_lock = threading.Lock()
_start: Callable[[], Executor] | None = None
_pool: Executor | None = None


@contextlib.contextmanager
def lend(start: Callable[[], Executor]) -> Iterator[None]:
    """Let `spread` start a pool when it first has something for it; the pool is shut down at the end."""
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
    """[function(item) for item in items], by other processes if some are lent and there is enough to do."""
    pool = _lent() if len(items) > _BATCH else None
    if pool is not None:
        batches = [items[begin : begin + _BATCH] for begin in range(0, len(items), _BATCH)]
        with contextlib.suppress(BrokenExecutor):  # a process that was killed: then it is done here
            futures = [pool.submit(_each, function, batch) for batch in batches]
            return [result for future in futures for result in future.result()]
    return _each(function, items)


def _lent() -> Executor | None:
    global _pool
    with _lock:
        if _pool is None and _start is not None:
            _pool = _start()
        return _pool


def _each(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    return [function(item) for item in items]
