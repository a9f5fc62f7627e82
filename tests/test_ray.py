"""Ray: addresses that are none, actors that keep a GPU, wait for none that does not come, and are made anew."""

import concurrent.futures
import os
import signal
import socket
import threading
import time
import types
from dataclasses import replace
from pathlib import Path

import pytest
from fake_fits import grid
from fake_grid import run

from widththeory import engines
from widththeory.engines import LostChunkError, Options, Slurm, ray
from widththeory.grid import GridError
from widththeory.ledger import Ledger

# Workers import the fakes; a cluster's own threads and sockets are closed by it in its own time.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
    pytest.mark.xdist_group("engines"),
]


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
            executor.submit(divmod, 7, 0).result(300)
        assert set(places("whole", 1, 1)) == set(two)
        with pytest.raises(LostChunkError, match="actor died"):
            executor.submit(signal.raise_signal, signal.SIGKILL).result(300)
        three = places("three", 1, 1)
        assert len(set(three) & set(two)) == 1
        assert sorted(gpu for _, gpu in three) == ["0", "1"]
        cells = grid(widths=(3,), seeds=2)
        cells[2] = replace(cells[2], trouble="die")
        with Ledger.open(tmp_path / "l.sqlite") as ledger:
            done = run(cells, ledger, executor=executor, jobs=2)
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
    assert [one.result(300) for one in [actors.send(pow, 2, five) for five in (1, 5)]] == [2, 32]


def test_a_ray_that_is_gone_breaks_the_run_and_blames_no_cell(tmp_path):
    def gone():
        raise ConnectionError("the cluster is gone")

    actors = ray.Actors(gone, 2)
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        with pytest.raises(GridError, match="takes no more work: the cluster is gone"):
            run(grid(), ledger, executor=engines.Remote(actors.send, lambda: None, 2), jobs=2)
        assert ledger.counts("claim") == {"done": 0, "failed": 0}


def test_a_ray_that_does_not_answer_is_left(monkeypatch):
    import ray as library

    ended, answer = [], threading.Event()
    monkeypatch.setattr(library, "shutdown", lambda: ended.append(True))
    monkeypatch.setattr(ray, "_CLOSE_SECONDS", 0.1)
    actors = ray.Actors(answer.wait, 1)
    actors.send(pow, 2, 5)
    closing = threading.Thread(target=actors.close, daemon=True)
    closing.start()
    closing.join(30)
    assert ended == [True]
    answer.set()
    actors._thread.join(30)
    assert not actors._thread.is_alive()


@pytest.mark.parametrize("given", ["head", "", "tcp://head:1", "head:0", "head:99999", "ray://", "a b:1"])
def test_an_address_that_is_none_of_rays_is_said(given):
    with pytest.raises(ValueError, match=r"must be auto, host:port or ray://host:port, got '"):
        ray._check_answers(given)
