"""Rows come back exactly, the first result stays, and a chunk is written whole or not at all."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from fake_fits import grid
from fake_ledger import FIT, METRICS, later, rows, same

from widththeory.leases import Lease
from widththeory.ledger import Ledger, LedgerError, Row


def test_rows_come_back_exactly(ledger):
    ledger.record("claim", rows([FIT]))
    ledger.close()
    with Ledger.open(ledger.path) as again:
        table = again.table("claim")
        assert again.counts("claim") == {"done": 1, "failed": 0}
    found = table.iloc[0]
    assert all(same(found[name], value) for name, value in METRICS.items())
    assert [found["target"], found["target.k"], found["width"], found["learning_rate"]] == ["lu.Wide", 3, 8, 1e-3]
    assert [found["made.jax"], found["made.host"], found["status"], found["seconds"]] == [
        "0.10.2",
        "here",
        "done",
        0.25,
    ]


def test_the_first_result_stays_and_a_failure_gives_way(ledger):
    ledger.record("claim", [Row(FIT, "failed", error="Traceback\nZeroDivisionError: poison")])
    assert ledger.failures("claim")[0][1].endswith("poison")
    assert ledger.missing("claim", [FIT]) == []
    assert ledger.missing("claim", [FIT], retry_failed=True) == [FIT]
    assert ledger.record("claim", [Row(FIT, "done", {"loss": 1.0}, weights=b"w")]) == 1
    assert ledger.record("claim", [Row(FIT, "done", {"loss": 2.0})]) == 0
    assert ledger.record("claim", [Row(FIT, "failed", error="late")]) == 0
    assert ledger.table("claim")["loss"].tolist() == [1.0]
    assert ledger.weights("claim", FIT) == b"w"
    assert ledger.failures("claim") == []


def test_a_new_attempt_leaves_nothing_of_the_failed_one(ledger):
    ledger.record("claim", [Row(FIT, "failed", {"tries": 1}, {"jax": "0.1"}, "E: late", 9.0, b"old")])
    ledger.connection.execute("UPDATE rows SET created = 1")
    ledger.record("claim", [Row(FIT, "done", {"loss": 1.0}, {"jax": "0.2"}, None, 0.5)])
    table = ledger.table("claim")
    assert "tries" not in table
    assert table[["status", "error", "made.jax", "seconds"]].to_numpy().tolist() == [["done", None, "0.2", 0.5]]
    assert table["created"].item() > 1
    assert ledger.weights("claim", FIT) is None


def test_experiments_do_not_share_rows(ledger):
    lost = replace(FIT, seed=3)
    ledger.record("one", [replace(rows([FIT])[0], weights=b"w"), Row(lost, "failed", error="E: 1")])
    assert ledger.missing("two", [FIT, lost]) == [FIT, lost]
    assert ledger.counts("two") == {"done": 0, "failed": 0}
    assert (ledger.failures("two"), ledger.provenances("two"), ledger.seconds("two")) == ([], [], 0.0)
    assert (ledger.weights("two", FIT), ledger.recent("two", 0.0)) == (None, (0, 0.0))
    assert ledger.table("two").empty
    assert ledger.experiments() == ["one"]


def test_rows_of_one_chunk_keep_their_makers(ledger):
    made_by = [{"jax": "0.1", "device": "cpu"}, {"jax": "0.2"}, {"device": "cpu", "jax": "0.1"}]
    ledger.record("claim", [Row(replace(FIT, seed=seed), provenance=made) for seed, made in enumerate(made_by)])
    assert ledger.table("claim")["made.jax"].tolist() == ["0.1", "0.2", "0.1"]
    assert [count for _, count in ledger.provenances("claim")] == [2, 1]  # in whatever order it was told


def test_what_a_full_disk_did_not_take_is_declared_anew(ledger):
    (pages,) = ledger.connection.execute("PRAGMA page_count").fetchone()
    ledger.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerError, match="the disk is full"):
        ledger.record("claim", rows(grid(seeds=30)))
    ledger.connection.execute("PRAGMA max_page_count = 1000000")
    ledger.record("claim", rows([FIT]))
    assert len(ledger.table("claim")) == 1


@pytest.mark.parametrize("name", ["width", "seconds", "key", "made.jax"])
def test_a_metric_has_a_name_of_its_own(ledger, name):
    with pytest.raises(ValueError, match=f"metric '{name}' must have a name of its own"):
        ledger.record("claim", [Row(FIT, metrics={name: 1.0})])


def test_numbers_of_numpy_are_kept_as_pythons_own(ledger):
    ledger.record("claim", [Row(FIT, metrics={"many": np.int64(2**60), "some": np.float32(0.1), "all": np.True_})])
    found = ledger.table("claim")[["many", "some", "all"]].to_dict("records")
    assert found == [{"many": 2**60, "some": float(np.float32(0.1)), "all": True}]


def test_what_made_most_rows_is_told_first(ledger):
    made_by = [{"jax": "0.1"}, *[{"jax": "0.2"}] * 3, *[{"jax": "0.3"}] * 2]
    for one, made in zip(grid(), made_by, strict=False):
        ledger.record("claim", [Row(one, provenance=made)])
    assert ledger.provenances("claim") == [({"jax": "0.2"}, 3), ({"jax": "0.3"}, 2), ({"jax": "0.1"}, 1)]


def test_costs_and_seconds_of_a_program_are_summed(ledger):
    for cost, seconds in ((1.0, 2.0), (3.0, 5.0)):
        ledger.record("claim", rows([replace(FIT, millis=cost)]), chunk=("one", cost, seconds))
    assert ledger.throughputs() == {"one": (2, 4.0, 7.0)}
    assert ledger.seconds("claim") == 2 * 0.25


def test_an_accelerator_has_paces_of_its_own(ledger):
    for seed, device in enumerate(("NVIDIA H200", "2 x cpu", "4 x NVIDIA H200")):
        made = [replace(one, provenance={"device": device}) for one in rows([replace(FIT, seed=seed)])]
        ledger.record("claim", made, chunk=("one", 1.0, 10.0**seed))
    assert ledger.throughputs() == {"one": (1, 1.0, 10.0)}
    assert ledger.throughputs(accelerated=True) == {"one": (2, 2.0, 101.0)}


def test_drivers_and_recent_rows_are_those_of_now(ledger):
    with Lease(ledger, "claim") as lease:
        lease.claim(["a", "b"])
        assert (ledger.drivers("claim"), ledger.drivers("other")) == (1, 0)
        ledger.connection.execute("UPDATE drivers SET expires = ?", (time.time() - 1,))
        assert ledger.drivers("claim") == 0
    ledger.record("claim", rows(grid()[:3]))
    ledger.connection.execute("UPDATE rows SET created = created - 50 WHERE id = 2")
    ledger.connection.execute("UPDATE rows SET created = created - 500 WHERE id = 3")
    count, span = ledger.recent("claim", time.time() - 100)
    assert count == 2
    assert 50 <= span < 90
    assert ledger.recent("claim", time.time() + 100) == (0, 0.0)


def test_a_chunk_is_written_whole_or_not_at_all(ledger):
    bad = Row(replace(FIT, seed=3), "done", {"width": 1.0})
    with pytest.raises(ValueError, match="name of its own"):
        ledger.record("claim", [*rows([FIT]), bad])
    with pytest.raises(ValueError, match="metric loss must be"):
        ledger.record("claim", [*rows([FIT]), Row(FIT, "done", {"loss": [1]})])
    assert ledger.counts("claim") == {"done": 0, "failed": 0}


def test_a_changed_default_is_refused(ledger):
    def kind(default):
        @dataclass(frozen=True)
        class Fit:
            width: int
            num_steps: int = default

        return Fit

    ledger.record("claim", [Row(kind(100)(3))])
    with pytest.raises(LedgerError, match=r"default of num_steps was 100.*200 now"):
        ledger.record("claim", [Row(kind(200)(3))])

    @dataclass(frozen=True)
    class Fit:
        width: int
        num_steps: int

    ledger.record("claim", [Row(Fit(3, 200))])  # one that must be given changes no row
    assert ledger.counts("claim")["done"] == 2


def test_rows_older_than_a_field_show_its_default(ledger):
    ledger.record("claim", rows([FIT]))
    ledger.record("claim", rows([later(0.5)("lu.Wide", (("k", 3), ("seed", 1)), 8, 3, 1e-3, momentum=0.9)]))
    assert ledger.table("claim")["momentum"].tolist() == [0.5, 0.9]
    with Ledger.open(ledger.path) as older:  # of a version that does not know the field
        older.record("claim", rows([replace(FIT, seed=7)]))
        assert older.table("claim")["momentum"].tolist() == [0.5, 0.9, 0.5]


def test_a_backup_holds_what_was_recorded(ledger, tmp_path):
    ledger.record("claim", rows(grid()))
    ledger.backup(tmp_path / "copy.sqlite")
    with Ledger.open(tmp_path / "copy.sqlite") as copy:
        assert copy.statuses("claim") == ledger.statuses("claim")


def test_many_rows_are_quick(tmp_path):
    # In a process of its own, where types are not checked on every call. Processor seconds, not the clock's: other
    # tests may be running. Measured 1.0 s; a millisecond a row would be too much beside fits of some milliseconds.
    script = """
import sys, time
from fake_fits import grid
from widththeory.ledger import Ledger, Row
settings = grid(widths=range(1, 26), seeds=20, rates=[10.0**-i for i in range(10)])
rows = [Row(one, "done", {f"m{i}": 0.1 * i for i in range(8)}, {"jax": "0.10.2"}) for one in settings]
with Ledger.open(sys.argv[1]) as ledger:
    began = time.process_time()
    for begin in range(0, len(rows), 50):
        ledger.record("claim", rows[begin : begin + 50])
    assert ledger.missing("claim", settings) == []
    print(len(rows), time.process_time() - began)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "ledger.sqlite")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    rows, seconds = done.stdout.split()
    assert int(rows) == 10_000
    assert float(seconds) < 5


def test_opening_a_ledger_loads_no_heavy_library(tmp_path):
    script = (
        "import sys; from widththeory import grid, ledger; ledger.Ledger.open(sys.argv[1]).close();"
        "print([name for name in ('jax', 'pandas', 'flax', 'rich') if name in sys.modules])"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "ledger.sqlite")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.replace("'", '"')) == []
