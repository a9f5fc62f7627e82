"""A grid is measured once, in fixed chunks, by whatever executor; a bad cell is found and the others are kept."""

import concurrent.futures
import io
import json
import multiprocessing
import sys
import time
import types
from dataclasses import replace

import jax
import pandas as pd
import pytest
from fake_fits import fake_measure, grid
from fake_targets import wave

from widththeory import fit, provenance
from widththeory import grid as engine
from widththeory.executors import InProcess, SpawnPool, work
from widththeory.grid import GridError, Summary
from widththeory.ledger import Ledger
from widththeory.progress import Bar, Estimate, JsonLines, Lines, State, duration


def run(settings, ledger, **more):
    arguments = {"experiment": "claim", "jobs": 1, "chunk_size": 3, "progress": "none"} | more
    return engine.run(settings, fake_measure, ledger, **arguments)


def counts(summary):
    return summary.done, summary.failed, summary.skipped


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


# What is measured


def test_a_second_run_does_nothing(ledger):
    settings = grid()
    assert counts(run(settings, ledger)) == (48, 0, 0)
    before = ledger.table("claim")
    assert counts(engine.run(settings, None.__class__, ledger, experiment="claim")) == (0, 0, 48)
    assert ledger.table("claim").equals(before)


def test_more_seeds_keep_old_rows_and_measure_only_new_ones(ledger):
    run(grid(seeds=3), ledger)
    before = ledger.table("claim")
    calls = []

    def counting(settings, chunk_size):
        calls.extend(settings)
        return fake_measure(settings, chunk_size)

    summary = engine.run(grid(seeds=5), counting, ledger, experiment="claim", jobs=1, chunk_size=4, progress="none")
    assert counts(summary) == (24, 0, 36)
    assert {one.seed for one in calls} == {3, 4}
    after = ledger.table("claim")
    assert after[after["seed"] < 3].reset_index(drop=True).equals(before)


def test_equal_cells_count_once(ledger):
    assert counts(run([*grid(), *grid()], ledger)) == (48, 0, 0)


def test_the_chunk_that_made_a_row_is_recorded(ledger):
    run(grid(), ledger, chunk_size=5)
    # Eight cells a program in chunks of at most five: two chunks of four.
    assert set(ledger.table("claim")["made.chunk_size"]) == {4}
    [(made_by, rows)] = ledger.provenances("claim")
    assert rows == 48
    assert {"jax", "numpy", "widththeory", "host", "python"} <= set(made_by)


def test_with_hours_the_quickest_come_first_and_a_later_run_goes_on(ledger):
    settings = [replace(one, millis=40) for one in grid(widths=(8, 3, 5), seeds=4)]
    lines = io.StringIO()
    summary = run(settings, ledger, hours=0.4 / 3600, progress=Lines(lines))
    assert 0 < summary.done < len(settings)
    widths = ledger.table("claim")["width"]
    in_a_program = len(settings) // len({one.program_key for one in settings})
    # Narrow ones first, and a program whole before the next is begun: at most one is there in part.
    assert set(widths) == set(sorted({3, 5, 8})[: widths.nunique()])
    assert sum(len(part) < 2 * in_a_program for _, part in ledger.table("claim").groupby("width")) <= 1
    left = len(settings) - summary.done
    assert f"the time is over: {left} cells of claim are left for another run" in lines.getvalue()
    assert counts(run(settings, ledger, hours=1.0)) == (left, 0, summary.done)
    with Ledger.open(ledger.path.with_name("whole.sqlite")) as whole:
        run(settings, whole)
        clocks = ["seconds", "created"]
        assert ledger.table("claim").drop(columns=clocks).equals(whole.table("claim").drop(columns=clocks))


def test_bad_arguments_are_said(ledger):
    with pytest.raises(ValueError, match="the grid is empty"):
        run([], ledger)
    with pytest.raises(ValueError, match="chunk_size must be an integer of at least 1, got 0"):
        run(grid(), ledger, chunk_size=0)
    with pytest.raises(ValueError, match="jobs must be an integer of at least 1, got 0"):
        run(grid(), ledger, jobs=0)
    with pytest.raises(ValueError, match=r"hours must be positive and finite, got 0\.0"):
        run(grid(), ledger, hours=0.0)
    with pytest.raises(ValueError, match="progress must be"):
        run(grid(), ledger, progress="loud")
    with pytest.raises(ValueError, match="importable by name"):
        engine.run(grid(), lambda settings, size: [], ledger, experiment="claim", jobs=2, progress="none")
    with pytest.raises(ValueError, match="frozen dataclasses, got str"):
        run(["width 3"], ledger)
    assert ledger.experiments() == []


# Executors


def test_all_executors_make_the_same_table(tmp_path):
    made = []
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        for name, how in (("one", {"jobs": 1}), ("pool", {"jobs": 2}), ("threads", {"executor": threads})):
            with Ledger.open(tmp_path / f"{name}.sqlite") as ledger:
                assert counts(run(grid(), ledger, **how)) == (48, 0, 0)
                path = tmp_path / f"{name}.csv"
                ledger.export_csv(path, "claim")
                # The fake fits need no JAX: only this process has loaded it and can name the device.
                made.append(pd.read_csv(path).drop(columns="made.device", errors="ignore").to_csv())
    assert made[0] == made[1] == made[2]


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
    assert set(ledger.table("claim").query("status == 'failed'")["seed"]) == {2}


def test_a_measure_that_returns_nonsense_is_a_failure(ledger):
    for measure, said in (
        (lambda settings, size: [], "returned 0 measurements for 1"),
        (lambda settings, size: [{"loss": [1]} for _ in settings], "not a measurement: metric loss"),
        (lambda settings, size: [3 for _ in settings], "not a measurement: 'int' object"),
    ):
        more = {"experiment": said, "jobs": 1, "progress": "none"}
        assert engine.run(grid(seeds=1), measure, ledger, **more).failed == 12
        assert all(said in error for _, error in ledger.failures(said))


def test_the_last_line_of_a_failure_says_what_went_wrong(ledger):
    """JAX adds a note on how it shortens tracebacks."""

    def untraceable(settings, size):
        return jax.jit(lambda x: x / (1 // 0))(1.0)

    engine.run(grid(seeds=1, widths=(3,)), untraceable, ledger, experiment="claim", jobs=1, progress="none")
    said = "ZeroDivisionError: integer division or modulo by zero"
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


# Plan and progress


def test_a_plan_counts_and_estimates(ledger):
    settings = grid(seeds=6)
    before = engine.plan(settings, ledger, experiment="claim", jobs=2, chunk_size=4)
    assert (before.missing, before.chunks, before.programs, before.seconds) == (72, 18, 6, None)
    assert "72 missing: 18 chunks of 6 programs, time unknown before a first run here with 2 jobs" in before.text()
    run(grid(seeds=6, widths=(3, 5)), ledger, chunk_size=4)
    chunks, cost, seconds = map(sum, zip(*ledger.throughputs().values(), strict=True))
    assert (chunks, cost) == (12, 2 * 3 * 4 * (3 + 5))
    after = engine.plan(settings, ledger, experiment="claim", jobs=1, chunk_size=4)
    assert (after.done, after.missing, after.chunks) == (48, 24, 6)
    assert 0 < after.seconds < 100 * seconds
    run(settings, ledger, chunk_size=4)
    assert engine.plan(settings, ledger, experiment="claim").text() == "72 of 72 cells done, nothing missing"


def test_a_plan_for_an_accelerator_knows_nothing_of_a_processors_pace(ledger, monkeypatch):
    run(grid(seeds=6, widths=(3, 5)), ledger, chunk_size=4)
    assert engine.plan(grid(seeds=6), ledger, experiment="claim").seconds > 0
    monkeypatch.setattr(engine, "accelerator_memory", lambda: 1e9)
    assert engine.plan(grid(seeds=6), ledger, experiment="claim").seconds is None


def test_an_estimate_is_exact_where_time_is_affine_in_cost():
    estimate = Estimate()
    assert estimate.seconds(1, 1.0) is None
    for program, cost in (("a", 10.0), ("b", 2.0)):
        estimate.observe(program, cost, 5.0 + 0.5 + 0.1 * cost)  # compiles for 5 s
    assert estimate.seconds(3, 30.0) > 3 * 0.5 + 0.1 * 30  # compile time included: too long rather than too short
    for program, cost in (("a", 10.0), ("b", 2.0)):
        estimate.observe(program, cost, 0.5 + 0.1 * cost)
    assert estimate.seconds(3, 30.0) == pytest.approx(3 * 0.5 + 0.1 * 30, rel=1e-12)  # a fit of two points: roundoff
    assert estimate.seconds(3, 30.0, new_programs=2) == pytest.approx(10 + 3 * 0.5 + 0.1 * 30, rel=1e-12)


def test_an_estimate_is_never_negative():
    estimate = Estimate()
    for cost, seconds in ((1.0, 9.0), (5.0, 2.0), (5.0, 0.0)):
        estimate.know("a", cost, seconds)
    assert estimate.seconds(2, 10.0) == pytest.approx(11.0)  # two chunks of the mean 5.5 s: cost explains nothing


def test_plain_lines_are_few(ledger):
    said = io.StringIO()
    run(grid(), ledger, progress=Lines(said))
    first, last = said.getvalue().splitlines()
    assert first == "claim: 0 of 48 cells"
    assert last.startswith("claim: 48 of 48 cells, ")


def test_a_process_without_stderr_has_nothing_to_say(ledger, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert run(grid(seeds=1), ledger, progress="auto").done == 12


def test_json_lines_tell_every_chunk(ledger):
    said = io.StringIO()
    settings = grid()
    settings[7] = replace(settings[7], trouble="raise")
    run(settings, ledger, progress=JsonLines(said))
    events = [json.loads(line) for line in said.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["start", *["chunk"] * 18, "finish"]
    assert [event["settled"] for event in events] == sorted(event["settled"] for event in events)
    assert (events[-1]["settled"], events[-1]["failed"], events[-1]["remaining"]) == (48, 1, 0.0)
    assert sum(event.get("cells", 0) for event in events) == 48


def test_a_bar_is_drawn_on_a_terminal(ledger):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    said = Terminal()
    run(grid(), ledger, progress=Bar(said))
    assert "48 of 48 cells" in said.getvalue()


def test_rows_made_by_other_versions_are_noted(ledger, monkeypatch):
    now = provenance.here()
    monkeypatch.setattr(provenance, "here", lambda **_: now | {"jax": "0.1.0"})
    run(grid(seeds=1), ledger)
    monkeypatch.setattr(provenance, "here", lambda **_: now)
    said = io.StringIO()
    run(grid(seeds=2), ledger, progress=Lines(said))
    assert f"12 older rows of claim were made by jax 0.1.0 (now {now['jax']})" in said.getvalue()
    assert {made_by["jax"] for made_by, _ in ledger.provenances("claim")} == {"0.1.0", now["jax"]}


def test_rows_made_on_different_devices_are_noted(ledger, monkeypatch):
    now = provenance.here()
    for seeds, device in ((1, "abacus"), (2, "slide rule")):
        monkeypatch.setattr(provenance, "here", lambda device=device, **_: now | {"device": device})
        run(grid(seeds=seeds), ledger, progress=Lines(said := io.StringIO()))
    assert "rows of claim were made on different devices: abacus, slide rule" in said.getvalue()


def test_several_devices_are_told_apart_from_one(monkeypatch):
    """XLA_FLAGS=--xla_force_host_platform_device_count=4 changes last digits of fits in this process."""
    kinds = [types.SimpleNamespace(device_kind="cpu")] * 4
    monkeypatch.setattr(jax, "devices", lambda: kinds[:1])
    assert provenance.here()["device"] == "cpu"
    monkeypatch.setattr(jax, "devices", lambda: kinds)
    assert provenance.here()["device"] == "4 x cpu"


def test_a_driver_with_workers_starts_no_device(ledger, monkeypatch):
    run(grid(seeds=1), ledger)

    def started():
        raise AssertionError("the driver has asked for its device")

    monkeypatch.setattr(provenance, "_device", started)
    assert run(grid(seeds=2), ledger, jobs=2).done == 12


def test_states_and_durations_read_well():
    state = State("claim", 900, 120, 2, measured=100, elapsed=50.0, remaining=240.0)
    assert state.text() == "claim: 120 of 900 cells, 2 failed, 2 cells/s, 4 min left"
    said = [duration(seconds) for seconds in (0.2, 42.0, 600.0, 6 * 3600.0, 9 * 86400.0)]
    assert said == ["less than 1 s", "42 s", "10 min", "6.0 h", "9.0 days"]


def test_a_small_grid_is_quick(ledger):
    began = time.process_time()
    assert isinstance(run(grid(seeds=50, widths=(3,)), ledger), Summary)
    # 68 chunks; measured 0.2 s, so that a chunk costs the driver some milliseconds beside those of its fits.
    assert time.process_time() - began < 5
