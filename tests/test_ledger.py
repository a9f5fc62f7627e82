"""Rows come back exactly, equal rows give equal tables, and a malformed table is refused in one sentence."""

import json
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_fits import FakeFit, fake_measure, grid
from fake_ledger import FIT, METRICS, rows
from hypothesis import given
from hypothesis import strategies as st

from widththeory import identity, tables
from widththeory.experiment import Flags, fit_table
from widththeory.leases import Lease
from widththeory.ledger import Ledger, LedgerError, Row


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


def _same(one, other):
    return one == other or (one != one and other != other)


# Identity


def test_identity_is_stable():
    # Literal: a change of this key would orphan every row that anybody has measured.
    assert identity.key(FIT) == "cc89742b7a2163e5abf7122a2f2c302b"


def test_a_new_field_without_effect_keeps_the_key():
    @dataclass(frozen=True)
    class FakeFit:
        target: str
        target_args: tuple
        width: int
        seed: int
        learning_rate: float
        optimizer: str = "adam"
        millis: float = 0.0
        trouble: str = ""
        momentum: float | None = None

    same = FakeFit("lu.Wide", (("k", 3), ("seed", 1)), 8, 2, 1e-3)
    assert identity.key(same) == identity.key(FIT)
    assert identity.key(replace(same, momentum=0.5)) != identity.key(FIT)


VALUES = st.one_of(
    st.integers(-9, 9), st.floats(allow_nan=False), st.booleans(), st.text(), st.tuples(st.integers(0, 2))
)


@given(st.tuples(VALUES, VALUES, st.tuples(VALUES, VALUES)))
def test_the_quick_key_is_that_of_the_whole_text(values):
    one, other, pair = values
    fit = replace(FIT, seed=one, learning_rate=other, target_args=(("a", pair), ("b", one)))
    plain = json.loads(identity.defaults(FakeFit))
    for _ in range(2):  # the second time from what is remembered
        assert identity.key(fit) == identity.key_of("FakeFit", plain, json.loads(identity.encode(fit)))


def test_equal_settings_have_equal_keys():
    assert identity.key(replace(FIT, learning_rate=1)) == identity.key(replace(FIT, learning_rate=1.0))
    assert identity.key(replace(FIT, width=np.int64(8))) == identity.key(FIT)
    assert identity.key(replace(FIT, millis=0)) == identity.key(FIT)
    assert len({identity.key(one) for one in grid(seeds=20)}) == len(grid(seeds=20))


def test_whole_numbers_are_one_kind_as_far_as_floats_tell_them_apart():
    for sign in (1, -1):
        below, first = sign * (2.0**53 - 1), sign * 2.0**53
        assert identity.key(replace(FIT, millis=below)) == identity.key(replace(FIT, millis=int(below)))
        for number in (first, 4 * first):
            assert identity.key(replace(FIT, millis=number)) != identity.key(replace(FIT, millis=int(number)))


def test_data_without_a_younger_field_has_the_key_of_its_default():
    fields, settings = json.loads(identity.defaults(FakeFit)), json.loads(identity.encode(FIT))
    for name in ("millis", "trouble"):
        del settings[name]
    assert identity.key_of("FakeFit", fields, settings) == identity.key(FIT)


def test_settings_come_back_from_text():
    one = replace(FIT, target_args=(("k", (1, (2, "a"), ())), ("rate", 0.1)), millis=math.inf)
    assert FakeFit(**identity.decode(identity.encode(one))) == one


def test_a_default_that_is_made_counts_as_one():
    @dataclass(frozen=True)
    class Made:
        width: int
        rates: tuple = field(default_factory=tuple)

    assert identity.defaults(Made) == '[["width"], ["rates", []]]'
    assert identity.key(Made(3)) == identity.key_of("Made", [["width"]], {"width": 3})
    assert identity.key(Made(3, (1,))) != identity.key(Made(3))


def test_settings_that_are_not_plain_data_are_refused():
    for bad in (math.nan, {1: 2}, object(), np.arange(2), np.longdouble(1)):
        with pytest.raises(ValueError, match=r"FakeFit\.target_args must be"):
            identity.key(replace(FIT, target_args=(("k", bad),)))


# Rows


def test_rows_come_back_exactly(ledger):
    ledger.record("claim", rows([FIT]))
    ledger.close()
    with Ledger.open(ledger.path) as again:
        table = again.table("claim")
        assert again.counts("claim") == {"done": 1, "failed": 0}
    found = table.iloc[0]
    assert all(_same(found[name], value) for name, value in METRICS.items())
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


def test_experiments_do_not_sharerows(ledger):
    ledger.record("one", rows([FIT]))
    assert ledger.missing("two", [FIT]) == [FIT]
    assert ledger.experiments() == ["one"]


@pytest.mark.parametrize("name", ["width", "seconds", "key", "made.jax"])
def test_a_metric_has_a_name_of_its_own(ledger, name):
    with pytest.raises(ValueError, match=f"metric '{name}' must have a name of its own"):
        ledger.record("claim", [Row(FIT, metrics={name: 1.0})])


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
    @dataclass(frozen=True)
    class FakeFit:
        target: str
        target_args: tuple
        width: int
        seed: int
        learning_rate: float
        optimizer: str = "adam"
        millis: float = 0.0
        trouble: str = ""
        momentum: float = 0.5

    ledger.record("claim", rows([FIT]))
    ledger.record("claim", rows([FakeFit("lu.Wide", (("k", 3), ("seed", 1)), 8, 3, 1e-3, momentum=0.9)]))
    assert ledger.table("claim")["momentum"].tolist() == [0.5, 0.9]
    with Ledger.open(ledger.path) as older:  # of a version that does not know the field
        older.record("claim", rows([replace(FIT, seed=7)]))
        assert older.table("claim")["momentum"].tolist() == [0.5, 0.9, 0.5]


def test_a_backup_holds_what_was_recorded(ledger, tmp_path):
    ledger.record("claim", rows(grid()))
    ledger.backup(tmp_path / "copy.sqlite")
    with Ledger.open(tmp_path / "copy.sqlite") as copy:
        assert copy.statuses("claim") == ledger.statuses("claim")


# Tables


def test_equal_rows_give_equal_bytes(tmp_path):
    settings = grid(seeds=3)
    for name, order in (("a", settings), ("b", settings[::-1])):
        with Ledger.open(tmp_path / f"{name}.sqlite") as ledger:
            for row in rows(order):
                ledger.record("claim", [replace(row, seconds=time.perf_counter())])
            assert ledger.export_csv(tmp_path / f"{name}.csv", "claim")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    read = pd.read_csv(tmp_path / "a.csv")
    assert read["loss"].tolist() == [METRICS["loss"]] * len(settings)
    assert read[["target", "width", "seed"]].equals(
        read[["target", "width", "seed"]].sort_values(["target"], kind="stable")
    )
    assert not {"seconds", "created", "made.host", "made.commit"} & set(read)


def test_a_table_can_be_of_a_part_of_therows(ledger, tmp_path):
    ledger.record("claim", rows(grid(seeds=5)))
    assert ledger.export_csv(tmp_path / "claim.csv", "claim", grid(seeds=2))
    assert set(pd.read_csv(tmp_path / "claim.csv")["seed"]) == {0, 1}
    assert set(ledger.table("claim", grid(seeds=2))["seed"]) == {0, 1}


def test_an_unchanged_table_is_not_touched(ledger, tmp_path):
    ledger.record("claim", rows([FIT]))
    path = tmp_path / "claim.csv"
    assert ledger.export_csv(path, "claim")
    before = path.stat()
    assert not ledger.export_csv(path, "claim")
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert [entry.name for entry in tmp_path.glob("*.part")] == []


def test_other_numbers_replace_a_table_of_one_size_and_date(tmp_path, monkeypatch):
    path = tmp_path / "claim.csv"
    monkeypatch.setattr(tables.os, "fsync", lambda descriptor: os.utime(descriptor, (1, 1)))
    for text in ("a", "b"):
        assert tables.replace_file(path, [text])
        assert path.read_text() == text
        assert path.stat().st_mtime == 1


def test_what_a_killed_process_left_of_a_table_is_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, kept = (tmp_path / f".claim.csv.{number}.part" for number in (ended.pid, os.getppid()))
    for path in (left, kept):
        path.touch()
    tables.replace_file(tmp_path / "claim.csv", ["a"])
    assert not left.exists()
    assert kept.exists()  # its process may be writing it


def test_rows_of_equal_rank_have_an_order(ledger):
    ledger.record("claim", rows([replace(FIT, seed=1), replace(FIT, seed=True)]))  # equal to Python, not to us
    entries = list(ledger._entries("claim", None))
    assert tables.flatten(entries, volatile=True) == tables.flatten(entries[::-1], volatile=True)


def test_a_table_that_a_person_has_rearranged_is_read(ledger, tmp_path):
    ledger.record("claim", rows(grid()))
    ledger.export_csv(tmp_path / "claim.csv", "claim")
    table = pd.read_csv(tmp_path / "claim.csv", dtype=str, keep_default_na=False)
    table[table.columns[::-1]][::-1].to_csv(tmp_path / "by hand.csv", index=False, lineterminator="\r\n")
    with Ledger.open(tmp_path / "new.sqlite") as new:
        assert new.import_csv(tmp_path / "by hand.csv", FakeFit, "claim") == len(grid())
        assert not new.export_csv(tmp_path / "claim.csv", "claim")


def test_a_table_fills_an_empty_ledger(ledger, tmp_path):
    odd = [
        replace(FIT, optimizer=text, target_args=(("flag", True), ("name", text), ("none", None), ("rate", 1e300)))
        for text in ("", "1", "1.5", "nan", "True", "None", '"', "[1]", "a,b", "a\r\nb", "a\rb", "é", "-inf", " 1")
    ]
    ledger.record("claim", [*rows([FIT, *grid(), *odd]), Row(replace(FIT, seed=9), "failed", error="E: 1")])
    ledger.export_csv(tmp_path / "claim.csv", "claim")
    with Ledger.open(tmp_path / "new.sqlite") as new:
        assert new.import_csv(tmp_path / "claim.csv", FakeFit, "claim") == len(grid()) + len(odd) + 2
        assert new.import_csv(tmp_path / "claim.csv", FakeFit, "claim") == 0
        assert new.statuses("claim") == ledger.statuses("claim")
        assert not new.export_csv(tmp_path / "claim.csv", "claim")


def test_a_row_of_a_table_takes_the_place_of_a_failed_one(ledger, tmp_path):
    ledger.record("claim", rows([FIT]))
    ledger.export_csv(tmp_path / "claim.csv", "claim")
    with Ledger.open(tmp_path / "failed.sqlite") as failed:
        failed.record("claim", [Row(FIT, "failed", error="E: the whole\ntraceback")])
        failed.export_csv(tmp_path / "failed.csv", "claim")
        assert failed.import_csv(tmp_path / "failed.csv", FakeFit, "claim") == 0
        assert failed.failures("claim")[0][1] == "E: the whole\ntraceback"
        assert failed.import_csv(tmp_path / "claim.csv", FakeFit, "claim") == 1
        assert failed.counts("claim") == {"done": 1, "failed": 0}
        assert failed.import_csv(tmp_path / "failed.csv", FakeFit, "claim") == 0


def test_rows_computed_elsewhere_are_taken_over_by_a_ledger_in_use(tmp_path):
    here, there = (Flags(out=tmp_path / name, jobs=1, log="none") for name in ("here", "there"))
    script, settings = "experiments/claim.py", grid(seeds=2)
    mine, trouble = settings[:4], replace(settings[5], trouble="raise")
    fit_table(script, here, [*mine, trouble], fake_measure)
    elsewhere = fit_table(script, there, settings, fake_measure)
    (tmp_path / "there" / "claim.csv").replace(tmp_path / "here" / "claim.csv")  # as a pull does

    def never(settings, chunk_size):
        raise AssertionError("measured again what the table holds")

    table = fit_table(script, here, [*settings, trouble], never)
    assert set(table["key"]) == {*elsewhere["key"], identity.key(trouble)}
    assert list(table["status"]).count("failed") == 1
    with Ledger.open(tmp_path / "here" / "claim.sqlite") as ledger:
        ((_, error),) = ledger.failures("claim")
        assert "Traceback" in error


@given(
    st.one_of(
        st.floats(),
        st.integers(),
        st.booleans(),
        st.none(),
        st.text(st.characters(exclude_categories=["Cs"])),
        st.tuples(st.integers(), st.text('ab[,"')),
    )
)
def test_any_value_survives_a_cell(value):
    text = tables._text(value, object())
    again = tables._value(text)
    assert type(again) is type(value)
    assert _same(again, value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.replace("lu.Wide", "lu.Evil"), "line 2 is not a row: its settings have key"),
        (lambda t: t.replace(",done,", ",dome,"), "line 2 is not a row: status must be"),
        (lambda t: t.replace("target,", "goal,", 1), "no column 'target'"),
        (lambda t: t + "1,2\n", "line 3 is not a row: 2 cells"),
        (lambda t: t.replace("lu.Wide", "[" * 100_000), "line 2 is not a row"),
        (lambda t: t.replace("lu.Wide", "9" * 5000), "line 2 is not a row"),
        (lambda t: t.replace("lu.Wide", '"' + "x" * 200_000 + '"'), "not a CSV file"),
        (lambda t: t.replace("lu.Wide", "a\0b"), "line"),
        (lambda t: t.replace("lu.Wide", '"lu"Wide'), "not a CSV file"),
        (lambda t: "", "no column"),
        (lambda t: t.replace(",done,,", ',failed,"""\\ud800""",'), "line 2 is not a row"),
        (lambda t: t.replace(",millis,", ",width,", 1), "a column twice"),
        (
            lambda t: t + t.splitlines()[1].replace("1.0,done", "2.0,done"),
            "line 3 is not a row: it has the settings of",
        ),
        (lambda t: t.replace("loss", "other.loss"), "nothing that column 'other.loss' could be"),
    ],
)
def test_a_malformed_table_is_refused_with_its_line(ledger, tmp_path, change, said):
    ledger.record("claim", [Row(FIT, "done", {"loss": 1.0})])
    path = tmp_path / "claim.csv"
    ledger.export_csv(path, "claim")
    path.write_text(change(path.read_text()))
    with Ledger.open(tmp_path / "new.sqlite") as new:
        with pytest.raises(LedgerError, match=r"claim\.csv") as caught:
            new.import_csv(path, FakeFit, "claim")
        assert said in str(caught.value)
        assert new.experiments() == []


@pytest.mark.parametrize(("limit", "said"), [("_MAX_BYTES", "is larger than 9 bytes"), ("_MAX_COLUMNS", "too many")])
def test_a_table_that_is_too_large_is_refused(ledger, tmp_path, monkeypatch, limit, said):
    ledger.record("claim", rows([FIT]))
    ledger.export_csv(tmp_path / "claim.csv", "claim")
    monkeypatch.setattr(tables, limit, 9)
    with pytest.raises(LedgerError, match=said):
        ledger.import_csv(tmp_path / "claim.csv", FakeFit, "claim")


def test_a_table_in_another_encoding_or_missing_is_refused(ledger, tmp_path):
    (tmp_path / "claim.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LedgerError, match="not a CSV file"):
        ledger.import_csv(tmp_path / "claim.csv", FakeFit, "claim")
    with pytest.raises(LedgerError, match="cannot be read"):
        ledger.import_csv(tmp_path / "none.csv", FakeFit, "claim")
    with pytest.raises(LedgerError, match="no rows of experiment 'claim'"):
        ledger.export_csv(tmp_path / "claim.csv", "claim")


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
