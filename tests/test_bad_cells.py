"""A cell that fails, kills its worker or is short of memory is found and the others are kept; so is what is done."""

import concurrent.futures
import contextlib
import io
import json
import multiprocessing
import os
import time
from dataclasses import replace

import jax
import pytest
from fake_fits import fake_measure, grid
from fake_grid import counts, run
from fake_targets import wave

from widththeory import engines, fit, identity
from widththeory import grid as engine
from widththeory.driver import _POLL_SECONDS
from widththeory.executors import InProcess, SpawnPool, check_flags, work
from widththeory.grid import GridError
from widththeory.leases import Lease
from widththeory.ledger import Ledger, Row
from widththeory.packing import pack
from widththeory.progress import JsonLines, Lines


def test_a_poison_cell_is_isolated(ledger):
    settings = grid()
    settings[7] = replace(settings[7], trouble="raise")
    settings[20] = replace(settings[20], trouble="odd")
    assert counts(run(settings, ledger, chunk_size=8)) == (46, 2, 0)
    failed = {where["trouble"]: error for where, error in ledger.failures("claim")}
    assert failed["raise"].startswith("Traceback")
    assert failed["raise"].endswith("ZeroDivisionError: seed 3 is poison\n")
    assert "OddError: odd 1 2" in failed["odd"]
    said = ["ZeroDivisionError: seed 3 is poison", "fake_fits.OddError: odd 1 2"]
    assert sorted(ledger.table("claim")["error"].dropna()) == said
    # A failed cell is not tried again unless asked for; nothing else is ever measured twice.
    assert counts(run(settings, ledger, chunk_size=8)) == (0, 0, 48)
    assert counts(run(settings, ledger, chunk_size=8, retry_failed=True)) == (0, 2, 46)


def test_a_cell_that_kills_its_worker_is_isolated(ledger):
    settings = grid()
    settings[7] = replace(settings[7], trouble="die")
    assert counts(run(settings, ledger, jobs=2, chunk_size=8)) == (47, 1, 0)
    [(where, error)] = ledger.failures("claim")
    assert where["trouble"] == "die"
    assert "worker was lost" in error
    assert multiprocessing.active_children() == []


def test_a_lost_worker_costs_nothing_but_time(ledger, tmp_path):
    settings = [replace(one, trouble=f"die once|{tmp_path / 'died'}") for one in grid()]
    assert counts(run(settings, ledger, jobs=2)) == (48, 0, 0)
    assert (tmp_path / "died").exists()


class Unlucky(InProcess):
    """Loses its worker at some calls, a worker that stands for all that are at work."""

    def __init__(self, lost, in_flight=1):
        self.lost, self.in_flight, self.calls, self.restarts = lost, in_flight, 0, 0

    def submit(self, fn, /, *args, **kwargs):
        self.calls += 1
        if not self.lost(self):
            return super().submit(fn, *args, **kwargs)
        future = concurrent.futures.Future()
        future.set_exception(concurrent.futures.BrokenExecutor("killed"))
        return future

    def restart(self):
        self.restarts += 1


def test_workers_that_die_now_and_then_do_not_end_the_run(ledger, monkeypatch):
    monkeypatch.setattr("widththeory.driver._MAX_BREAKS", 1)
    executor = Unlucky(lambda one: one.calls % 2)
    assert counts(run(grid(), ledger, executor=executor)) == (48, 0, 0)
    assert executor.restarts == 18  # once a chunk


def test_workers_that_are_lost_together_are_started_anew_once(ledger):
    executor = Unlucky(lambda one: not one.restarts, in_flight=3)
    assert counts(run(grid(), ledger, executor=executor)) == (48, 0, 0)
    assert (executor.restarts, executor.calls) == (1, 3 + 18)


def test_cells_that_another_driver_found_bad_are_told(ledger):
    settings = grid(widths=(3,), seeds=2)

    def measure(cells, chunk_size):
        others = [Row(one, "failed", error="E: 1") for one in settings if one not in cells]
        with Ledger.open(ledger.path) as other:
            other.record("claim", others)
        return fake_measure(cells, chunk_size)

    lines = io.StringIO()
    more = {"experiment": "claim", "jobs": 1, "chunk_size": 4, "progress": JsonLines(lines)}
    assert counts(engine.run(settings, measure, ledger, **more)) == (4, 0, 4)
    last = json.loads(lines.getvalue().splitlines()[-1])
    assert (last["settled"], last["failed"]) == (8, 4)


def test_cells_of_a_driver_that_ends_without_them_are_measured(ledger, monkeypatch):
    """What it has claimed is waited for, also when there is nothing else to do."""
    settings, answers, claim = grid(widths=(3,), seeds=2), [], Lease.claim
    with Ledger.open(ledger.path) as its_own, contextlib.ExitStack() as there:
        other = there.enter_context(Lease(its_own, "claim"))
        assert other.claim([identity.key(one) for one in settings[4:]]) == "claimed"

        def claiming(lease, keys, **how):
            answers.append(claim(lease, keys, **how))
            if answers.count("busy") == 3:
                there.close()
            return answers[-1]

        monkeypatch.setattr(Lease, "claim", claiming)
        assert counts(run(settings, ledger, chunk_size=4)) == (8, 0, 0)
    assert answers == ["busy", "claimed", "busy", "busy", "claimed"]


def test_workers_that_always_die_end_the_run(ledger, monkeypatch):
    monkeypatch.setattr("widththeory.driver._MAX_BREAKS", 3)
    settings = [replace(one, trouble="die") for one in grid(seeds=1)]
    with pytest.raises(GridError, match="workers died 4 times in a row"):
        run(settings, ledger, jobs=2)
    assert ledger.missing("claim", settings) == settings


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_machine_without_a_device_ends_the_run_and_blames_no_cell(ledger, monkeypatch, jobs):
    def no_device():
        raise AssertionError  # as JAX does where a platform's plugin is not installed

    monkeypatch.setenv("JAX_PLATFORMS", "nowhere")  # read by workers; in this process JAX has begun
    monkeypatch.setattr(jax, "devices", no_device)
    monkeypatch.setattr(jax, "local_device_count", no_device)
    cells = [replace(wave(seed), target="telgarsky.Sawtooth", target_args=(("num_folds", 2),)) for seed in range(2)]
    more = {"experiment": "claim", "jobs": jobs, "chunk_size": 1, "progress": "none"}
    with pytest.raises(GridError, match=r"JAX finds no device on .*'nowhere'"):
        engine.run(cells, fit.measure, ledger, **more)
    assert ledger.counts("claim") == {"done": 0, "failed": 0}
    assert "'nowhere'" in work(fit.measure, cells[:1], 1).no_device  # of an exception SLURM's jobs would bring text


def test_flags_that_xla_refuses_are_said_and_blame_no_cell(ledger, monkeypatch):
    """It ends each process that has them."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_nonsense")
    said = "^JAX ends its process by XLA_FLAGS='--xla_nonsense': Unknown flag in XLA_FLAGS: --xla_nonsense$"
    with pytest.raises(ValueError, match=said):
        run(grid(seeds=1), ledger, jobs=2)
    with pytest.raises(ValueError, match=said), engines.open_engine("dask", engines.Options(jobs=1)):
        pass
    assert ledger.experiments() == []
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
    monkeypatch.setenv("JAX_PLATFORMS", "nowhere")  # which is said by the worker
    check_flags()


def test_a_broken_foreign_executor_ends_the_run(ledger):
    settings = [replace(one, trouble="die") for one in grid(seeds=1)]
    context = multiprocessing.get_context("spawn")
    executor = concurrent.futures.ProcessPoolExecutor(1, mp_context=context)
    with executor, pytest.raises(GridError, match="cannot be restarted here"):
        run(settings, ledger, executor=executor)


def test_a_worker_that_dies_while_another_is_started_costs_nothing(ledger, monkeypatch):
    """Then the pool has closed the pipes that the new process is to be given, and has not called itself broken yet."""
    plain, calls = concurrent.futures.ProcessPoolExecutor.submit, []

    def submit(self, *args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise OSError("handle is closed")
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(concurrent.futures.ProcessPoolExecutor, "submit", submit)
    settings = grid(seeds=1)
    with SpawnPool(2) as pool:
        assert run(settings, ledger, executor=pool).failed == 0
    assert ledger.missing("claim", settings) == []
    assert len(calls) > 2


def test_out_of_memory_halves_the_program(ledger):
    settings = [replace(one, trouble="memory") for one in grid(widths=(3,), seeds=4)]
    assert counts(run(settings, ledger, chunk_size=8)) == (16, 0, 0)
    assert set(ledger.table("claim")["made.chunk_size"]) == {2}


def test_a_cell_that_is_short_of_memory_beside_others_is_tried_alone(ledger):
    running = []

    def measure(settings, chunk_size):
        running.append(0)
        time.sleep(0.02)
        full = len(running) > 1
        running.pop()
        if full or settings[0].seed == 2:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return fake_measure(settings, chunk_size)

    with concurrent.futures.ThreadPoolExecutor(4) as executor:
        more = {"jobs": 4, "executor": executor, "chunk_size": 1, "progress": "none"}
        summary = engine.run(grid(widths=(3,)), measure, ledger, experiment="claim", **more)
    assert counts(summary) == (12, 4, 0)  # one of four seeds is too large for the memory by itself
    failed = ledger.table("claim").query("status == 'failed'")
    assert set(zip(failed["seed"], failed["error"], failed["made.chunk_size"], strict=True)) == {
        (2, "RuntimeError: RESOURCE_EXHAUSTED: Out of memory", 1)
    }


def test_nothing_is_begun_beside_a_cell_that_is_tried_alone(ledger):
    """However long it takes: who spoils it then could only be itself."""
    tries, running, beside = [], [], []

    def measure(settings, chunk_size):
        running.append(0)
        beside.append(len(tries) == 2 and len(running) > 1)  # between the second try's begin and its end
        if settings[0] == slow:
            tries.append("begun")
            if len(tries) == 1:
                running.pop()
                raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")
            time.sleep(3 * _POLL_SECONDS)
            tries.append("ended")
        running.pop()
        return fake_measure(settings, chunk_size)

    settings = grid()
    slow = pack(settings, {}, chunk_size=1).chunks[0].cells[0]
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        more = {"jobs": 2, "executor": executor, "chunk_size": 1, "progress": "none"}
        assert counts(engine.run(settings, measure, ledger, experiment="claim", **more)) == (48, 0, 0)
    assert tries == ["begun", "begun", "ended"]
    assert not any(beside)


def test_a_measure_that_returns_nonsense_is_a_failure(ledger):
    for measure, said in (
        (lambda settings, size: [], "returned 0 measurements for 1"),
        (lambda settings, size: [{"loss": [1]} for _ in settings], "not a measurement: metric loss"),
        (lambda settings, size: [3 for _ in settings], "not a measurement: 'int' object"),
    ):
        more = {"experiment": said, "jobs": 1, "progress": "none"}
        assert engine.run(grid(seeds=1), measure, ledger, **more).failed == 12
        assert all(said in error for _, error in ledger.failures(said))


def test_a_failure_that_names_a_file_of_odd_letters_is_kept(ledger, tmp_path):
    """Python writes bytes that are no UTF-8 as lone surrogates, which neither a ledger nor a table can hold."""

    def measure(settings, size):
        raise FileNotFoundError("no image " + os.fsdecode(b"caf\xe9.png"))

    engine.run(grid(seeds=1), measure, ledger, experiment="claim", jobs=1, progress="none")
    assert ledger.export_csv(tmp_path / "claim.csv", "claim")
    assert {error.splitlines()[-1] for _, error in ledger.failures("claim")} == {
        "FileNotFoundError: no image caf\\udce9.png"
    }


def test_the_last_line_of_a_failure_says_what_went_wrong(ledger):
    """JAX adds a note on how it shortens tracebacks."""

    said = "ZeroDivisionError: as said"

    def divide(x):
        raise ZeroDivisionError("as said")

    def untraceable(settings, size):
        return jax.jit(divide)(1.0)

    engine.run(grid(seeds=1, widths=(3,)), untraceable, ledger, experiment="claim", jobs=1, progress="none")
    assert [error.splitlines()[-1] for _, error in ledger.failures("claim")] == [said] * 4
    assert set(ledger.table("claim")["error"]) == {said}


def test_a_terminal_that_is_gone_hides_no_interrupt(ledger):
    """Of one that is closed the signal comes first, then all that is written to it fails."""

    class Gone(Lines):
        def __init__(self):
            super().__init__(None)
            self.told = []

        def advance(self, state, written):
            self.told.append(written)
            if len(self.told) > 1:
                raise OSError(5, "Input/output error")
            if written.chunk.cells[0].millis:
                raise KeyboardInterrupt

        def finish(self, state):
            self.told.append(None)
            raise OSError(5, "Input/output error")

    class Behind(InProcess):
        in_flight = 3

    gone = Gone()
    with pytest.raises(KeyboardInterrupt):
        run([replace(one, millis=1.0) for one in grid()], ledger, executor=Behind(), progress=gone)
    assert len(gone.told) == 4
    assert ledger.counts("claim")["done"] == sum(len(written.chunk.keys) for written in gone.told[:3])
    with pytest.raises(OSError, match="Input/output error"):
        run(grid(seeds=1, widths=(3,)), ledger, chunk_size=4, progress=Gone())


def test_an_interrupt_keeps_what_has_come_back_and_judges_no_cell(ledger):
    class Impatient(Lines):
        def advance(self, state, written):
            raise KeyboardInterrupt

    class Behind(InProcess):
        in_flight = 3

    settings = grid(widths=(3,), seeds=3)[:6]
    settings[2] = replace(settings[2], trouble="raise")  # of the second of three chunks
    with pytest.raises(KeyboardInterrupt):
        run(settings, ledger, executor=Behind(), chunk_size=2, progress=Impatient(None))
    assert ledger.counts("claim") == {"done": 4, "failed": 0}


def test_an_interrupt_calls_off_what_a_cluster_was_given(ledger):
    given = []

    class Impatient(Lines):
        def advance(self, state, written):
            raise KeyboardInterrupt

    class Cluster(InProcess):
        in_flight = 3

        def submit(self, *call):
            given.append(concurrent.futures.Future() if given else super().submit(*call))
            return given[-1]

    with pytest.raises(KeyboardInterrupt):
        run(grid(), ledger, executor=Cluster(), progress=Impatient(None))
    assert [one.cancelled() for one in given] == [False, True, True]


def test_an_interrupt_keeps_what_is_done_and_stops_the_workers(ledger):
    class Impatient(Lines):
        def advance(self, state, written):
            raise KeyboardInterrupt

    for jobs in (1, 2):
        settings = grid(millis=1.0)
        before = ledger.counts("claim")["done"]
        with pytest.raises(KeyboardInterrupt):
            run(settings, ledger, jobs=jobs, progress=Impatient(None))
        assert ledger.counts("claim")["done"] >= before + 2
        assert multiprocessing.active_children() == []
        assert ledger.connection.execute("SELECT count(*) FROM claims").fetchone() == (0,)
    assert run(settings, ledger).failed == 0
    assert ledger.counts("claim") == {"done": 48, "failed": 0}
