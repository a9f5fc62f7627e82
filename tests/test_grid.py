"""A grid is planned, and measured once, in fixed chunks, by whatever executor."""

import concurrent.futures
import io
import time
import types

import pandas as pd
import pytest
from fake_fits import fake_measure, grid
from fake_grid import counts, run

from widththeory import driver, provenance
from widththeory import grid as engine
from widththeory.grid import Summary
from widththeory.ledger import Ledger
from widththeory.progress import Lines


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


def test_a_measurement_may_tell_what_made_it(ledger):
    def measure(settings, chunk_size):
        return [types.SimpleNamespace(metrics={"loss": 1.0}, provenance={"device": "two hosts"}) for _ in settings]

    engine.run(grid(seeds=1), measure, ledger, experiment="claim", jobs=1, progress="none")
    assert set(ledger.table("claim")["made.device"]) == {"two hosts"}


def test_the_time_of_what_failed_is_counted(ledger):
    def measure(settings, chunk_size):
        time.sleep(0.01)
        raise ZeroDivisionError

    engine.run(grid(seeds=1), measure, ledger, experiment="claim", jobs=1, chunk_size=1, progress="none")
    assert min(took / chunks for chunks, _, took in ledger.throughputs().values()) >= 0.01


def test_the_time_of_a_chunk_is_shared_by_its_cells_unless_they_tell_their_own(ledger):
    def measure(settings, chunk_size):
        time.sleep(0.01)
        return [{"loss": 1.0} if settings[0].width == 3 else {"loss": 1.0, "seconds": 7.0} for _ in settings]

    engine.run(grid(widths=(3, 5)), measure, ledger, experiment="claim", jobs=1, chunk_size=4, progress="none")
    chunks = sum(took for _, cost, took in ledger.throughputs().values() if cost == 8 * 3)
    seconds = ledger.table("claim").groupby("width")["seconds"].sum()
    assert seconds[3] == pytest.approx(chunks, rel=1e-12)  # sums of some roundings
    assert seconds[3] >= 4 * 0.01
    assert seconds[5] == 16 * 7.0


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only where a test has it pass."""
    clock = types.SimpleNamespace(now=1e5)
    stopped = types.SimpleNamespace(perf_counter=lambda: clock.now, monotonic=lambda: clock.now)
    for module in (engine, driver):
        monkeypatch.setattr(module, "time", stopped)
    return clock


def test_with_hours_the_quickest_come_first_and_a_later_run_goes_on(ledger, clock):
    def measure(cells, chunk_size):
        clock.now += 0.02 * len(cells)
        return fake_measure(cells, chunk_size)

    settings = grid(widths=(8, 3, 5), seeds=4)
    lines = io.StringIO()
    more = {"experiment": "claim", "jobs": 1, "chunk_size": 3, "hours": 0.4 / 3600, "progress": Lines(lines)}
    summary = engine.run(settings, measure, ledger, **more)
    assert summary.done == 22  # chunks of 3, 3 and 2 cells: two programs of 8 by 0.32 s, and two chunks by 0.44 s
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


def test_a_driver_with_workers_starts_no_device(ledger, monkeypatch):
    run(grid(seeds=1), ledger)

    def started():
        raise AssertionError("the driver has asked for its device")

    monkeypatch.setattr(provenance, "_device", started)
    assert run(grid(seeds=2), ledger, jobs=2).done == 12


def test_a_small_grid_is_quick(ledger):
    began = time.process_time()
    assert isinstance(run(grid(seeds=50, widths=(3,)), ledger), Summary)
    # 68 chunks; measured 0.2 s, so that a chunk costs the driver some milliseconds beside those of its fits.
    assert time.process_time() - began < 5
