"""Every engine runs the same chunks: one table whatever made it, lost workers replaced, a poison cell found."""

import concurrent.futures
import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import dask
import distributed
import pandas as pd
import psutil
import pytest
from fake_fits import fake_measure, grid
from fake_targets import wave

from widththeory import command, engines, fit
from widththeory import grid as engine
from widththeory.engines import LostChunkError, Options, Slurm
from widththeory.experiment import Flags
from widththeory.ledger import Ledger
from widththeory.progress import Lines

ARGS = (("input_dim", 2), ("k", 2), ("seed", 0))
CLUSTERS = [name for name in engines.names() if name != engines.POOL]
# Workers import the fakes; a cluster's own threads and sockets are closed by it in its own time.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
    pytest.mark.xdist_group("engines"),
]


@pytest.fixture(scope="module", params=CLUSTERS)
def cluster(request, tmp_path_factory):
    """An engine with two workers."""
    options = Options(jobs=2, folder=tmp_path_factory.mktemp("jobs"), slurm=Slurm(local=True))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    with engines.open_engine(request.param, options) as executor:
        yield executor
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


class Impatient(Lines):
    """Stops the run after some chunks."""

    def __init__(self, chunks):
        super().__init__(None)
        self.left = chunks

    def advance(self, state, written):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def run(settings, ledger, executor, measure=fake_measure, **more):
    arguments = {"experiment": "claim", "chunk_size": 4, "progress": "none", "jobs": 2} | more
    return engine.run(settings, measure, ledger, executor=executor, **arguments)


def test_a_cluster_is_not_asked_for_targets_that_it_cannot_know():
    engines.check_names([wave(), *grid()])
    with pytest.raises(ValueError, match=r"target 'fake_targets:Wave' is known to processes of this machine alone"):
        engines.check_names([wave(), replace(wave(), target="fake_targets:Wave")])


def test_engines_are_found_by_name():
    assert engines.names() == ["dask", "pool", "ray", "slurm"]
    with pytest.raises(ValueError, match="engine must be one of dask, pool, ray, slurm, got 'mesos'"):
        Flags(engine="mesos")
    with engines.open_engine("pool", Options()) as executor:
        assert executor is None


def test_a_lost_worker_and_a_poison_cell_cost_themselves_alone(cluster, tmp_path):
    cells = grid(widths=(3, 5), seeds=2)
    cells[3] = replace(cells[3], trouble="raise")
    cells[9] = replace(cells[9], trouble=f"die once|{tmp_path / 'died'}")
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        done = run(cells, ledger, cluster)
        assert (done.done, done.failed) == (15, 1)
        ((where, error),) = ledger.failures("claim")
        assert where["trouble"] == "raise"
        assert error.endswith("ZeroDivisionError: seed 1 is poison\n")
    assert (tmp_path / "died").exists()


def halves(cells, measure, executors, folder, chunk_size):
    """The exported table of a grid begun on the first executor, stopped after a chunk and finished on the last."""
    name = "-".join(map(str, map(id, executors)))
    with Ledger.open(folder / f"{name}.sqlite") as ledger:
        if len(executors) > 1:
            with pytest.raises(KeyboardInterrupt):
                run(cells, ledger, executors[0], measure, chunk_size=chunk_size, progress=Impatient(1))
            assert chunk_size <= ledger.counts("claim")["done"] < len(cells)
        run(cells, ledger, executors[-1], measure, chunk_size=chunk_size)
        ledger.export_csv(folder / f"{name}.csv", "claim")
    # The fake fits need no JAX: only a process that has loaded it can name the device.
    return pd.read_csv(folder / f"{name}.csv").drop(columns="made.device", errors="ignore").to_csv()


def test_half_on_one_engine_and_half_on_another_is_the_same_table(cluster, tmp_path):
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        cells = grid(seeds=6)
        whole = halves(cells, fake_measure, (threads,), tmp_path, 4)
        assert halves(cells, fake_measure, (cluster, threads), tmp_path, 4) == whole
        assert halves(cells, fake_measure, (threads, cluster), tmp_path, 4) == whole


@pytest.mark.parametrize("cluster", ["dask"], indirect=True)
def test_real_fits_are_the_same_to_the_bit(cluster, tmp_path):
    cells = [wave(seed, width=width, depth=2, num_steps=5, dtype="float32") for width in (3, 4) for seed in range(4)]
    cells = [replace(one, target="wide_random.RandomWideNetwork", target_args=ARGS) for one in cells]
    whole = halves(cells, fit.measure, (None,), tmp_path, 1)
    assert "train_mse" in whole
    assert halves(cells, fit.measure, (cluster, None), tmp_path, 1) == whole


@pytest.mark.parametrize("cluster", ["dask"], indirect=True)
def test_dask_listens_to_this_machine_alone_and_beside_another(cluster):
    options = Options(jobs=1)
    before = {one.laddr for one in psutil.Process().net_connections("inet") if one.status == psutil.CONN_LISTEN}
    with engines.open_engine("dask", options):  # a second one takes no port of the first
        family = [psutil.Process(), *psutil.Process().children(recursive=True)]
        sockets = []
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):  # it has ended since
                sockets += process.net_connections("inet")
    heard = {one.laddr for one in sockets if one.status == psutil.CONN_LISTEN} - before
    assert len(heard) >= 2
    assert {address.ip for address in heard} == {"127.0.0.1"}


def test_dask_keeps_the_place_of_a_worker_that_is_lost_again():
    """By default Dask looks 15 s after each loss whether the worker is there, and closes its place if it is not."""
    name = "distributed.deploy.lost-worker-timeout"
    with dask.config.set({name: "1 ms"}):
        with engines.open_engine("dask", Options(jobs=1)) as executor:
            lost = executor.submit(os.kill, executor.submit(os.getpid).result(300), signal.SIGKILL)
            with pytest.raises(distributed.KilledWorker):
                lost.result(300)
            assert executor.submit(pow, 2, 5).result(300) == 32
        assert dask.config.get(name) == "1 ms"  # the setting went with the cluster


def test_a_cell_that_loses_one_worker_alone_is_not_blamed(tmp_path):
    """A worker may go for reasons of its own, be it three times in a row."""

    class Unlucky(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            calls.append(args)
            return super().submit(abort if len(calls) <= 3 else fn, *args, **kwargs)

    def abort(*args):
        raise LostChunkError("preempted")

    calls = []
    with Ledger.open(tmp_path / "l.sqlite") as ledger, Unlucky(1) as executor:
        done = run(grid(widths=(3,), seeds=1)[:1], ledger, executor, chunk_size=1)
    assert (done.done, done.failed) == (1, 0)
    assert len(calls) == 4


# Of SLURM's jobs each is a process of its own: there the same takes half a minute, and nothing else happens.
@pytest.mark.parametrize("cluster", ["dask", "ray"], indirect=True)
def test_a_cell_that_kills_its_worker_is_found(cluster, tmp_path):
    cells = grid(widths=(3,), seeds=2)
    cells[2] = replace(cells[2], trouble="die")
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        done = run(cells, ledger, cluster)
        assert (done.done, done.failed) == (7, 1)
        ((where, error),) = ledger.failures("claim")
        assert where["trouble"] == "die"
        assert "worker was lost" in error


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--slurm.partition", "gpu; rm -rf /"], "partition must be a name of SLURM's"),
        (["--slurm.hours", "0"], "hours must be positive, got 0.0"),
        (["--slurm.gpus", "-1"], "gpus must be an integer of at least 0, got -1"),
        (["--engine", "mesos"], "engine must be one of"),
        (["--scheduler", "tcp://a:1"], "scheduler must go with engine dask or ray, got 'tcp://a:1' with pool"),
        (["--engine", "slurm", "--scheduler", "a"], "scheduler must go with engine dask or ray, got 'a' with slurm"),
    ],
)
def test_wrong_flags_are_one_sentence(flags, said):
    with pytest.raises(ValueError, match=said):
        command.parse(Flags, flags)
    assert command.parse(Flags, ["--engine", "slurm", "--slurm.partition", "gpu"]).slurm.partition == "gpu"


def test_a_library_that_is_not_installed_is_said(monkeypatch):
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    for name in CLUSTERS:
        with (
            pytest.raises(ValueError, match=rf"pip install 'widththeory\[{name}\]'"),
            engines.open_engine(name, Options()),
        ):
            pass


def test_a_scheduler_that_is_not_there_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr("widththeory.engines.dask._CONNECT_SECONDS", 1)
    dead = Options(scheduler="tcp://127.0.0.1:9", folder=tmp_path)
    for name, said in (("dask", r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"), ("slurm", "can submit jobs")):
        with pytest.raises(ValueError, match=said), engines.open_engine(name, dead):
            pass
