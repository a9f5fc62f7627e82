"""Every engine runs the same chunks: one table whatever made it, lost workers replaced, a poison cell found."""

import concurrent.futures
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import types
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
from widththeory.engines import LostChunkError, Options, Slurm, ray, slurm
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
        sockets = [one for process in family for one in process.net_connections("inet")]
    heard = {one.laddr for one in sockets if one.status == psutil.CONN_LISTEN} - before
    assert len(heard) >= 2
    assert {address.ip for address in heard} == {"127.0.0.1"}


def test_dask_keeps_the_place_of_a_worker_that_is_lost_again():
    """By default Dask looks 15 s after each loss whether the worker is there, and closes its place if it is not."""
    name = "distributed.deploy.lost-worker-timeout"
    with dask.config.set({name: "1 ms"}):
        with engines.open_engine("dask", Options(jobs=1)) as executor:
            lost = executor.submit(os.kill, executor.submit(os.getpid).result(60), signal.SIGKILL)
            with pytest.raises(distributed.KilledWorker):
                lost.result(60)
            assert executor.submit(pow, 2, 5).result(60) == 32
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


# What SLURM is told


def test_the_sbatch_file_asks_for_what_the_flags_say(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")  # a machine that has SLURM, to submitit
    asked = Options(7, folder=tmp_path, slurm=Slurm("gpu", 1.5, gpus=1, cpus=4, memory_gb=32.0, account="theory"))
    with engines.open_engine("slurm", asked) as jobs:
        assert jobs.memory == engines.GPU_MEMORY
        text = jobs._executor._executor._make_submission_file_text("python work.py", "uid")
    for line in (
        "#SBATCH --job-name=widththeory",
        "#SBATCH --partition=gpu",
        "#SBATCH --time=90",
        "#SBATCH --gpus-per-node=1",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH --mem=32GB",
        "#SBATCH --account=theory",
        "export OMP_NUM_THREADS=1",
    ):
        assert line in text.splitlines(), line


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


def test_chunks_handed_over_together_are_one_array(tmp_path, monkeypatch):
    class Job:
        def __init__(self, call):
            self.call = call

        def done(self):
            return True

        def result(self):
            chunk, *call = self.call
            assert isinstance(chunk.checkpoint(*call).function, slurm.Chunk)  # goes back in the queue if preempted
            return chunk(*call)

        def cancel(self, check):
            return None

    class Recorder:
        def __init__(self):
            self.arrays = []

        def batch(self):
            self.arrays.append([])
            return contextlib.nullcontext()

        def submit(self, *call):
            self.arrays[-1].append(call)
            return Job(call)

    monkeypatch.setattr(slurm, "_GATHER_SECONDS", 2.0)  # three calls may take 0.2 s on a busy machine
    recorder = Recorder()
    with slurm.Jobs(recorder, 2, 0.01, {}) as jobs:
        futures = [jobs.submit(divmod, 7, two) for two in (2, 3, 4)]
        assert [future.result(timeout=20) for future in futures] == [(3, 1), (2, 1), (1, 3)]
    assert [len(array) for array in recorder.arrays] == [3]


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


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_a_ray_that_is_not_there_is_said_at_once(address, monkeypatch):
    """Ray itself would wait for many minutes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        given = address.format(server.getsockname()[1])
        ray._check_answers(given)
    with (
        pytest.raises(ValueError, match=f"^no Ray cluster answers at {given}: Connection refused$"),
        engines.open_engine("ray", Options(scheduler=given)),
    ):
        pass
    connected = []
    monkeypatch.setattr(ray.socket, "create_connection", lambda *place: connected.append(place) or socket.socket())
    for given in ("auto", "ray://head", "[::1]:6379"):
        ray._check_answers(given)
    assert connected == [(("head", 10001), 10.0), (("::1", 6379), 10.0)]


@pytest.fixture
def with_gpus(monkeypatch):
    """Has Ray believe in so many GPUs, and returns the engine that chunks for GPUs are sent to."""
    import ray as library

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    usual = library.init

    def opened(gpus, jobs):
        monkeypatch.setattr(library, "init", lambda **more: usual(**more, num_gpus=gpus))
        return engines.open_engine("ray", Options(jobs=jobs, slurm=Slurm(gpus=1)))

    return opened


def place(folder, others):
    """Process and GPU of a worker, once chunks run in so many others too."""
    (folder / str(os.getpid())).touch()
    end = time.monotonic() + 120
    while len(list(folder.iterdir())) <= others:
        assert time.monotonic() < end
        time.sleep(0.01)
    return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"]


def test_on_gpus_ray_keeps_its_processes_and_replaces_those_that_die(with_gpus, tmp_path):
    def places(name, *others):
        (tmp_path / name).mkdir()
        found = [executor.submit(place, tmp_path / name, number) for number in others]
        return [one.result(120) for one in found]

    with with_gpus(2, 3) as executor:
        assert (executor._max_workers, executor.memory) == (2, engines.GPU_MEMORY)
        (first,) = places("one", 0)
        assert places("again", 0) == [first]
        two = places("two", 1, 1)
        assert first in two
        assert sorted(gpu for _, gpu in two) == ["0", "1"]
        with pytest.raises(ZeroDivisionError):
            executor.submit(divmod, 7, 0).result(60)
        assert set(places("whole", 1, 1)) == set(two)
        with pytest.raises(LostChunkError, match="actor died"):
            executor.submit(signal.raise_signal, signal.SIGKILL).result(60)
        three = places("three", 1, 1)
        assert len(set(three) & set(two)) == 1
        assert sorted(gpu for _, gpu in three) == ["0", "1"]
        cells = grid(widths=(3,), seeds=2)
        cells[2] = replace(cells[2], trouble="die")
        with Ledger.open(tmp_path / "l.sqlite") as ledger:
            done = run(cells, ledger, executor)
            assert (done.done, done.failed) == (7, 1)


def test_a_ray_without_gpus_is_said_and_takes_no_signal(with_gpus):
    """Ray's handler of SIGTERM would end a command by status 1, and what has come back by then would not be written."""
    usual = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(ValueError, match=r"has no GPU: leave --slurm\.gpus out"), with_gpus(0, 1):
            pass
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, usual)


def test_a_ray_whose_processors_are_still_to_come_is_said(monkeypatch):
    """The head of a cluster that grows by itself has none."""
    import ray as library

    monkeypatch.setattr(library, "init", lambda **more: None)
    monkeypatch.setattr(library, "cluster_resources", lambda: {"memory": 1.0})
    with pytest.raises(ValueError, match="the Ray cluster has no CPU: give --jobs"):
        engines.ray.start(Options(scheduler="auto"))


def test_chunks_wait_for_no_actor_that_does_not_come():
    """On a cluster that others use, one may get its place after hours."""

    class Actor:
        def __init__(self, comes):
            self.call, self.comes = self, comes

        def remote(self, fn, args, kwargs):
            answer = concurrent.futures.Future()
            if self.comes:
                answer.set_result(fn(*args, **kwargs))
            return types.SimpleNamespace(future=lambda: answer)

    made = iter((Actor(False), Actor(True)))
    actors = ray.Actors(lambda: next(made), 2)
    assert [one.result(60) for one in [actors.send(pow, 2, five) for five in (1, 5)]] == [2, 32]


def test_a_ray_that_is_gone_breaks_the_run_and_blames_no_cell(tmp_path):
    def gone():
        raise ConnectionError("the cluster is gone")

    actors = ray.Actors(gone, 2)
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        with pytest.raises(engine.GridError, match="takes no more work: the cluster is gone"):
            run(grid(), ledger, engines.Remote(actors.send, lambda: None, 2))
        assert ledger.counts("claim") == {"done": 0, "failed": 0}


@pytest.mark.parametrize("given", ["head", "", "tcp://head:1", "head:0", "head:99999", "ray://", "a b:1"])
def test_an_address_that_is_none_of_rays_is_said(given):
    with pytest.raises(ValueError, match=r"must be auto, host:port or ray://host:port, got '"):
        ray._check_answers(given)


def test_ctrl_c_on_a_terminal_stops_jobs_without_a_word_of_theirs(tmp_path):
    """It goes to all processes of the group."""
    script = (
        "from pathlib import Path; import sys, time; from widththeory import command, engines\n"
        "with command.plain_errors(), engines.open_engine('slurm', engines.Options(1, folder=Path(sys.argv[1]),"
        " slurm=engines.Slurm(local=True))) as jobs:\n"
        "    jobs.submit(time.sleep, 60).result()\n"
    )
    arguments = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(arguments, start_new_session=True, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(1200):
            time.sleep(0.05)
            if list(tmp_path.glob("*_log.err")):  # the controller has started its task
                break
        (controller,) = (one for one in psutil.Process(process.pid).children() if "submitit" in " ".join(one.cmdline()))
        time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert said == "interrupted; what is finished is kept, and the same command goes on from there\n"
    assert controller.wait(timeout=30) != 0 or not controller.is_running()
    assert "KeyboardInterrupt" in (tmp_path / "controllers.log").read_text()
