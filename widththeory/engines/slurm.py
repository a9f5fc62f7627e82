"""Chunks as SLURM jobs, through submitit: those that are handed over at one moment become one array of jobs.

    python experiments/sawtooth.py --scale paper --engine slurm --jobs 32 \\
        --slurm.partition gpu --slurm.gpus 1 --slurm.hours 2 --chunk-size 1024

keeps 64 chunks in the queue, of which 32 run at a time; give large chunks, since a job takes seconds to start. The
driver must live as long as the grid: run it on the login node, or in a job of its own. If it is killed, run it again;
finished chunks are in the ledger. A chunk that SLURM preempts is put back in the queue by submitit. `--slurm.local`
runs the jobs as processes of this machine. Files of the jobs are in <claim>.slurm/ beside the table.
"""

import contextlib
import os
import queue
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from widththeory.engines import GPU_MEMORY, LostChunkError, Options, worker_environment
from widththeory.executors import environment

LIBRARY = "submitit"

_GATHER_SECONDS = 0.2  # chunks handed over within this time go into one array
_CLOSE_SECONDS = 60.0  # an answer that comes later leaves jobs in the queue
_LOOK_SECONDS = {"slurm": 2.0, "local": 0.05}


class Chunk:
    """A call that submitit puts back in the queue when its job is preempted."""

    def __call__(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call `fn`."""
        return fn(*args, **kwargs)

    def checkpoint(self, *call: Any) -> Any:
        """What to submit in the place of a job that was stopped: the same."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, *call)


class Jobs(Executor):
    """Jobs of submitit's `executor` as futures; at most `jobs` run at a time."""

    memory: float | None = None

    def __init__(self, executor: Any, jobs: int, look_seconds: float, environment: dict[str, str]) -> None:
        self._executor, self._max_workers, self._look_seconds = executor, jobs, look_seconds
        self._environment = environment
        self._new: queue.SimpleQueue[tuple[Future[Any], tuple[Any, ...]]] = queue.SimpleQueue()
        self._jobs: dict[Future[Any], Any] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Put a call in the queue."""
        future: Future[Any] = Future()
        self._new.put((future, (fn, args, kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop looking, and cancel what is in the queue; a minute without an answer of the scheduler ends either."""
        self._stop.set()
        self._thread.join(_CLOSE_SECONDS)
        for job in list(self._jobs.values()):
            asked = threading.Thread(target=_cancel, args=(job,), daemon=True)  # scancel has no time limit of its own
            asked.start()
            asked.join(_CLOSE_SECONDS)
            if asked.is_alive():
                break

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._send()
                self._look()
            except Exception as error:
                for future in list(self._jobs):
                    self._jobs.pop(future)
                    future.set_exception(error)
            self._stop.wait(self._look_seconds)

    def _send(self) -> None:
        """Submit what has been handed over, as one array."""
        with contextlib.suppress(queue.Empty):
            batch = [self._new.get_nowait()]
            time.sleep(_GATHER_SECONDS)
            while not self._new.empty():
                batch.append(self._new.get_nowait())
            batch = [(future, call) for future, call in batch if future.set_running_or_notify_cancel()]
            try:
                with environment(self._environment), self._executor.batch():
                    jobs = [self._executor.submit(Chunk(), *call) for _, call in batch]
            except Exception as error:
                for future, _ in batch:
                    future.set_exception(LostChunkError(f"the job was not taken: {error}"))
            else:
                self._jobs.update(zip((future for future, _ in batch), jobs, strict=True))

    def _look(self) -> None:
        import submitit

        for future, job in list(self._jobs.items()):
            if not job.done():
                continue
            del self._jobs[future]
            try:
                future.set_result(job.result())
            except (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedJobError) as error:
                future.set_exception(LostChunkError(str(error).strip().splitlines()[0]))
            except Exception as error:
                future.set_exception(error)


def _cancel(job: Any) -> None:
    with contextlib.suppress(Exception):  # it may have ended by itself
        job.cancel(check=False)


def job_parameters(options: Options) -> dict[str, Any]:
    """What submitit is told of each job."""
    slurm = options.slurm
    asked = {
        "name": "widththeory",
        "timeout_min": max(1, round(60 * slurm.hours)),
        "cpus_per_task": slurm.cpus,
        "mem_gb": slurm.memory_gb,
        "gpus_per_node": slurm.gpus or None,
        "slurm_partition": slurm.partition,
        "slurm_account": slurm.account,
        "slurm_array_parallelism": options.workers,
        "slurm_setup": [f"export {name}={shlex.quote(value)}" for name, value in worker_environment().items()],
    }
    return {name: value for name, value in asked.items() if value is not None}


def _local_executor(folder: Path) -> Any:
    """Jobs of this machine, each controlled in a session of its own, where no Ctrl-C of the terminal arrives.

    What controls one is stopped by `Jobs.shutdown`, and complains into a file of the folder.
    """
    from submitit.local import local

    class LocalExecutor(local.LocalExecutor):
        def _submit_command(self, command: str) -> Any:
            """Start what controls a job, as submitit's own method does."""
            asked = self.parameters
            told = {
                "SUBMITIT_EXECUTOR": "local",
                "SUBMITIT_LOCAL_COMMAND": command,
                "SUBMITIT_LOCAL_TIMEOUT_S": str(60 * asked["timeout_min"]),
                "SUBMITIT_LOCAL_SIGNAL_DELAY_S": "30",
                "SUBMITIT_LOCAL_NODEID": "0",
                "CUDA_VISIBLE_DEVICES": ",".join(map(str, range(asked.get("gpus_per_node", 0)))),
            }
            told |= dict.fromkeys(("SUBMITIT_LOCAL_NTASKS", "SUBMITIT_LOCAL_JOB_NUM_NODES"), "1")
            told |= dict.fromkeys(("SUBMITIT_STDERR_TO_STDOUT", "SUBMITIT_LOCAL_WITH_SHELL"), "")
            with (folder / "controllers.log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "submitit.local._local", str(folder)],
                    env=os.environ | told,
                    start_new_session=True,
                    stdin=subprocess.DEVNULL,
                    stderr=log,
                )
            return local.LocalJob(folder, str(process.pid), [0], process)

    return LocalExecutor(folder)


def start(options: Options) -> Executor:
    """An executor of jobs.

    Raises:
        ValueError: a machine without SLURM.
    """
    import submitit

    folder = (options.folder or Path.cwd() / "slurm").absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # results come back through it as pickles
    asked = job_parameters(options)
    if options.slurm.local:
        executor = _local_executor(folder)
        executor.update_parameters(**{name: asked[name] for name in ("timeout_min", "gpus_per_node") if name in asked})
        jobs = Jobs(executor, options.workers, _LOOK_SECONDS["local"], worker_environment())
    else:
        try:
            executor = submitit.AutoExecutor(folder=folder, cluster="slurm")
        except RuntimeError as error:
            text = f"engine slurm needs a machine that can submit jobs (--slurm.local tries it out without): {error}"
            raise ValueError(text) from error
        executor.update_parameters(**asked)
        jobs = Jobs(executor, options.workers, _LOOK_SECONDS["slurm"], {})
    jobs.memory = GPU_MEMORY if options.slurm.gpus else None
    return jobs
