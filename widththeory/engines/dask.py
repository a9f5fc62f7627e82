"""Chunks on Dask workers: of this machine, or of a cluster that is there.

    python experiments/sawtooth.py --engine dask --jobs 8

starts eight one-thread workers that only this machine can reach. For a cluster, on each of its machines

    OMP_NUM_THREADS=1 dask worker tcp://10.0.0.1:8786 --nthreads 1 --nworkers 8

after `dask scheduler` on the first, and then `--engine dask --scheduler tcp://10.0.0.1:8786`. Dask's plain protocol
trusts whoever reaches its port: keep it inside the cluster's network, or use tls:// addresses. Where each worker has a
GPU of its own say so by `--slurm.gpus 1`, and chunks are packed for it.
"""

import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from widththeory.engines import GPU_MEMORY, Options, Remote, worker_environment

LIBRARY = "distributed"

_CONNECT_SECONDS = 30
_NEVER = "10000 days"


def start(options: Options) -> Executor:
    """Workers of this machine, or those of the scheduler at `options.scheduler`.

    Raises:
        ValueError: a scheduler that does not answer.
    """
    with contextlib.ExitStack() as opened:
        client = _client(options, opened)
        executor = client.get_executor(pure=False, retries=0)
        workers = sum(client.nthreads().values())
        close = opened.pop_all().close

    def send(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        return executor.submit(fn, *args, **kwargs)

    return Remote(send, close, workers, GPU_MEMORY if options.slurm.gpus else None)


def _client(options: Options, opened: contextlib.ExitStack) -> Any:
    """Of the scheduler that is there or of workers that are started, with what is to be closed after use."""
    import dask
    import distributed

    if options.scheduler is not None:
        try:
            client = distributed.Client(options.scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise ValueError(f"no Dask scheduler answers at {options.scheduler}: {error}") from error
        opened.callback(client.close)
        return client
    # Some time after each loss Dask looks whether the worker is back, and gives its place up where it has just been
    # lost again. The time is read at every loss, so the setting must hold as long as the cluster does.
    opened.enter_context(dask.config.set({"distributed.deploy.lost-worker-timeout": _NEVER}))
    # A chunk that has killed its worker comes back at once: the driver knows how to find the cell.
    quiet = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.nanny.environ": worker_environment(),
        "distributed.comm.timeouts.connect": "120s",  # workers that import JAX on a busy machine are slow to answer
    }
    with dask.config.set(quiet):
        cluster = distributed.LocalCluster(
            n_workers=options.workers,
            threads_per_worker=1,
            host="127.0.0.1",
            # Without an address, the scheduler's pages of health take port 8787, and warn where it is taken.
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )
        opened.callback(cluster.close)
        client = distributed.Client(cluster, set_as_default=False)
    opened.callback(client.close)
    return client
