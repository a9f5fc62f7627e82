"""Equal rows give equal tables, which are read back exactly, and a malformed one is refused in one sentence."""

import os
import re
import subprocess
import sys
import time
from dataclasses import replace

import pandas as pd
import pytest
from fake_fits import FakeFit, fake_measure, grid
from fake_ledger import FIT, METRICS, rows, same
from hypothesis import given
from hypothesis import strategies as st

from widththeory import identity, replacement, tables
from widththeory.experiment import Flags, fit_table
from widththeory.ledger import Ledger, LedgerError, Row


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
    kept = []

    def fsync(descriptor):
        kept.append(os.fstat(descriptor).st_ino)
        os.utime(descriptor, (1, 1))

    monkeypatch.setattr(os, "fsync", fsync)
    for text in ("a", "b"):
        assert tables.replace_file(path, [text])
        assert path.read_text() == text
        assert path.stat().st_mtime == 1
        assert kept[-2:] == [path.stat().st_ino, tmp_path.stat().st_ino]  # the rename survives a power cut too


def test_what_a_killed_process_left_of_a_table_is_removed(tmp_path, monkeypatch):
    path = tmp_path / "claim.csv"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    def unfinished(pid):
        with replacement.replacement(path) as part:
            left = part.with_name(f"{part.name.rsplit('.', 2)[0]}.{pid}.part")
        left.touch()
        return left

    left, kept = (unfinished(pid) for pid in (ended.pid, os.getppid()))
    with monkeypatch.context() as elsewhere:  # where that number is, or was, another process's
        elsewhere.setattr(replacement, "host", lambda: "another")
        foreign = unfinished(ended.pid)
    tables.replace_file(path, ["a"])
    assert not left.exists()
    assert kept.exists()  # its process may be writing it
    assert foreign.exists()


def test_rows_are_sorted_by_settings_of_whatever_kind(ledger):
    values = [None, -1, 0.5, 2, "a", "b", (), (1, "a"), (1, "b"), (2,)]
    ledger.record("claim", rows([replace(FIT, target_args=(("k", value),)) for value in values[::-1]]))
    assert ledger.table("claim")["target.k"].tolist() == values


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
    assert same(again, value)


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
        (lambda t: t + re.sub(r",(\w{32})$", r',"""\1"""', t.splitlines()[1]) + "\n", "it has the settings of line 2"),
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
