"""Where the chunks of a grid run, one engine a module, found by its name: this machine, or a cluster's scheduler.

Every engine is a `concurrent.futures.Executor` made by its module's `start(options)`; the driver, which alone writes
the ledger, needs no more. The chunks and their programs are the same everywhere, so a table that was begun on one
engine and finished on another is the table of either, to the bit for chunks of the same size on the same kind of
processor. A lost worker costs the chunks that it had, which are sent again; a cell that kills its workers is found.

    python experiments/sawtooth.py --engine dask                                    # processes of this machine
    python experiments/sawtooth.py --engine dask --scheduler tcp://10.0.0.1:8786    # a cluster that is there
    python experiments/sawtooth.py --engine slurm --slurm.partition gpu --slurm.gpus 1 --chunk-size 1024

or, from Python,

    with engines.open_engine("ray", Options(jobs=8)) as executor:
        grid.run(settings, fit.measure, ledger, experiment="claim", executor=executor)
"""

import contextlib
import importlib
import importlib.util
import os
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from widththeory.executors import WORKER_ENVIRONMENT, check_flags
from widththeory.processes import usable_cores
from widththeory.typing import check_positive_int

GPU_MEMORY = 40e9  # what is assumed of a GPU that this machine cannot ask
POOL = "pool"  # the processes of `executors.SpawnPool`, which need no engine


@dataclass(frozen=True)
class Slurm:
    """What a job asks of SLURM."""

    partition: str | None = None
    """Partition; the cluster's own default if not given."""
    hours: float = 4.0
    """Time limit of a job."""
    gpus: int = 0
    """GPUs of a job."""
    cpus: int = 1
    """Cores of a job."""
    memory_gb: float = 8.0
    """Memory of a job."""
    account: str | None = None
    """Account to charge."""
    local: bool = False
    """Processes of this machine in place of SLURM's, to try a study out."""

    def __post_init__(self) -> None:
        check_positive_int("gpus", self.gpus, at_least=0)
        check_positive_int("cpus", self.cpus)
        for name in ("hours", "memory_gb"):
            if not 0 < getattr(self, name) < 1e6:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)!r}")
        for name in ("partition", "account"):
            value = getattr(self, name)
            if value is not None and not (value and all(letter.isalnum() or letter in "-_.," for letter in value)):
                raise ValueError(f"{name} must be a name of SLURM's, got {value!r}")


@dataclass(frozen=True)
class Options:
    """What an engine is told; each takes what concerns it.

    Args:
        jobs: workers to start, or jobs to have in the queue; default one a core.
        scheduler: address of a cluster that is there; without, one is started that listens on this machine alone.
        folder: for the files of jobs; all machines must see it.
        slurm: what a job asks of SLURM.
    """

    jobs: int | None = None
    scheduler: str | None = None
    folder: Path | None = None
    slurm: Slurm = field(default_factory=Slurm)

    @property
    def workers(self) -> int:
        """`jobs`, or one a core."""
        return usable_cores() if self.jobs is None else check_positive_int("jobs", self.jobs)


def names() -> list[str]:
    """The engines there are: the pool, and the modules of this folder."""
    return sorted({POOL, *(module.name for module in pkgutil.iter_modules(__path__))})


def check_name(name: str) -> str:
    """Return `name`, or raise ValueError."""
    if name not in names():
        raise ValueError(f"engine must be one of {', '.join(names())}, got {name!r}")
    return name


@contextlib.contextmanager
def open_engine(name: str, options: Options) -> Iterator[Executor | None]:
    """The executor of an engine, shut down at the end; None for the pool, which `grid.run` makes by itself.

    Raises:
        ValueError: an unknown engine, one whose library is not installed, a scheduler that cannot be reached, or
            XLA_FLAGS that end workers.
    """
    if check_name(name) == POOL:
        yield None
        return
    module = importlib.import_module(f"{__name__}.{name}")
    if importlib.util.find_spec(module.LIBRARY) is None:
        raise ValueError(f"engine {name} needs the library {module.LIBRARY}: pip install 'widththeory[{name}]'")
    if options.scheduler is None:  # what is started here has the environment of this process
        check_flags()
    executor = module.start(options)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def worker_environment() -> dict[str, str]:
    """Environment variables of a worker that has one core: as those of the pool, so that rows are the same."""
    paths = os.pathsep.join(filter(None, [str(Path(__file__).parent.parent.parent), os.environ.get("PYTHONPATH")]))
    return WORKER_ENVIRONMENT | {"PYTHONPATH": paths}


def check_names(settings: Iterable[Any]) -> None:
    """Raise ValueError if settings name what a script has of its own, which no cluster has imported."""
    for one in settings:
        for part in ("target", "images", "model"):
            name = getattr(one, part, "")
            if isinstance(name, str) and ":" in name:
                raise ValueError(f"{part} {name!r} is known to processes of this machine alone: take engine {POOL}")


class LostChunkError(Exception):
    """A worker did not bring its chunk back; the driver sends the chunk again."""


class Remote(Executor):
    """An executor over futures of another library; what a broken cluster raises is said to the driver as such.

    Args:
        send: submits a call and gives a `concurrent.futures.Future`.
        close: gives the cluster up.
        workers: of the cluster.
        memory: bytes of each worker's GPU, None where it has none.
    """

    def __init__(
        self, send: Callable[..., Any], close: Callable[[], None], workers: int, memory: float | None = None
    ) -> None:
        self._send, self._close, self._max_workers, self.memory = send, close, max(1, workers), memory

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Have a worker call `fn`."""
        try:
            return self._send(fn, *args, **kwargs)
        except (OSError, RuntimeError, TimeoutError) as error:
            raise BrokenExecutor(f"the cluster takes no more work: {error}") from error

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Give the cluster up; one that was there before stays."""
        self._close()
