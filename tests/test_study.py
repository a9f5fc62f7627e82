"""`python -m widththeory`: what a person reads about the experiments of a folder, broken ones among them."""

import importlib.util
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fake_fits import fake_measure, grid
from fake_study import EXPERIMENT, refused, said

from widththeory import grid as engine
from widththeory import study
from widththeory.ledger import Ledger, LedgerError, Row


def test_plan_tells_memory_and_time(root, capsys):
    assert said(root, "plan", capsys=capsys) == "claim: 4 of 4 cells done, nothing missing\ntheory: nothing to fit\n"
    (root / "results/smoke/claim.sqlite").unlink()
    assert said(root, "plan", capsys=capsys).startswith("claim: 4 of 4 cells done")  # from the table
    assert not (root / "results/smoke/claim.sqlite").exists()
    (root / "results/smoke/claim.csv").unlink()
    text = said(root, "plan", "--claims", "claim", capsys=capsys)
    assert "4 missing: 2 chunks of 2 programs, time unknown before a first run here with" in text
    assert text.endswith(" GB of memory\n")


def test_status_tells_failures_pace_and_what_is_missing(root, capsys):
    assert said(root, "status", capsys=capsys).startswith(
        "claim: 4 of 4 cells done\ntheory: nothing is measured at scale smoke yet"
    )
    path = root / "results/smoke/claim.sqlite"
    cells = grid(seeds=3)
    cells[0] = replace(cells[0], trouble="raise")
    with Ledger.open(path) as ledger:
        engine.run(cells, fake_measure, ledger, experiment="claim", jobs=1, progress="none")
        ledger.connection.execute("INSERT INTO drivers VALUES ('d', 'far', 1, '', 9e18)")
        ledger.connection.execute("INSERT INTO claims VALUES ('claim', 'k', 'd')")
    path.with_suffix(".grid.csv").write_text("cells\n80\n")
    text = said(root, "status", "--claims", "claim", capsys=capsys)
    assert "claim: 39 of 80 cells done, 1 failed, 1 driver at " in text
    assert " cells/s, " in text
    assert " left\n" in text
    assert "  failed: width=3, seed=0, learning_rate=0.001: ZeroDivisionError: seed 0 is poison\n" in text


def test_pace_and_time_left_are_those_of_the_last_minutes(root, capsys, monkeypatch):
    with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
        engine.run(grid(seeds=3), fake_measure, ledger, experiment="claim", jobs=1, progress="none")
        ledger.connection.execute("INSERT INTO drivers VALUES ('d', 'far', 1, '', 9e18)")
        ledger.connection.execute("INSERT INTO claims VALUES ('claim', 'k', 'd')")
        ledger.connection.execute("UPDATE rows SET created = CASE WHEN id <= 4 THEN 1e9 - 700 ELSE 1e9 - 100 END")
    (root / "results/smoke/claim.grid.csv").write_text("cells\n58\n")
    monkeypatch.setattr(time, "time", lambda: 1e9)
    text = said(root, "status", "--claims", "claim", capsys=capsys)  # 36 rows in 100 s, 18 cells to come
    assert text.startswith("claim: 40 of 58 cells done, 1 driver at 0.36 cells/s, 50 s left\n")
    monkeypatch.setattr(time, "time", lambda: 1e9 - 100)  # as they are written
    text = said(root, "status", "--claims", "claim", capsys=capsys)
    assert ", 1 driver at 36 cells/s, less than 1 s left\n" in text


def test_rows_of_different_makers_are_told(root, capsys):
    with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
        for name, version in (("widththeory", "0.0.1"), ("jax", "0.0.2"), ("device", "abacus")):
            made = {"widththeory": "9", "jax": "9", "device": "9", name: version}
            ledger.record("claim", [Row(replace(grid()[0], optimizer=name), provenance=made)])
        ledger.connection.execute("DELETE FROM rows WHERE class != 'FakeFit'")
    text = said(root, "status", "--claims", "claim", capsys=capsys)
    for name, version in (("widththeory", "0.0.1"), ("jax", "0.0.2"), ("device", "abacus")):
        first, second = sorted(("9", version))
        assert f"  rows were made by different {name}: {first}, {second}\n" in text


def test_more_failures_than_cells_are_not_told(root, capsys):
    """The last run had more seeds, and an earlier one other cells: which rows are whose is not known here."""
    cells = [replace(one, trouble="raise") for one in grid(seeds=1)]
    with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
        engine.run(cells, fake_measure, ledger, experiment="claim", jobs=1, progress="none")
    (root / "results/smoke/claim.grid.csv").write_text("cells\n9\n")
    text = said(root, "status", "--claims", "claim", capsys=capsys)
    assert text.startswith("claim: 0 of 9 cells done, 9 failed, 7 more rows in the ledger\n")


@pytest.mark.parametrize(("failures", "told"), [(8, "  and 3 more\n"), (6, "  and 1 more\n"), (5, "")])
def test_status_tells_five_failures_at_most(root, capsys, failures, told):
    cells = [replace(one, trouble="raise") for one in grid()[:failures]]
    with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
        engine.run(cells, fake_measure, ledger, experiment="claim", jobs=1, progress="none")
    text = said(root, "status", "--claims", "claim", capsys=capsys)
    assert text.count("  failed: ") == 5
    assert text.endswith(told or "is poison\n")


def test_rows_that_the_grid_does_not_declare_are_told_apart(root, capsys):
    with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
        engine.run(grid(seeds=1), fake_measure, ledger, experiment="claim", jobs=1, progress="none")
    named = ("--claims", "claim")
    told = "claim: 4 of 4 cells done, nothing missing, 12 more rows in the ledger\n"
    assert said(root, "plan", *named, capsys=capsys) == told
    assert said(root, "status", *named, capsys=capsys).startswith(
        "claim: 4 of 4 cells done, 12 more rows in the ledger\n"
    )
    (root / "results/smoke/claim.grid.csv").write_text("cells\n9\n")  # the last run had more seeds, say
    text = said(root, "status", *named, capsys=capsys)
    assert text.startswith("claim: 9 of 9 cells done, 7 more rows in the ledger\n")
    (root / "results/smoke/claim.grid.csv").write_text("cells\n4\n")
    with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
        ledger.connection.execute("DELETE FROM rows WHERE id = 1")
    text = said(root, "status", *named, capsys=capsys)
    assert text.startswith("claim: 3 of 4 cells done, 12 more rows in the ledger, 1 missing and no driver runs\n")
    text = said(root, "plan", *named, capsys=capsys)
    assert text.startswith("claim: 3 of 4 cells done, 1 missing: ")
    assert text.endswith(", 12 more rows in the ledger\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import widththeory.nowhere", "cannot be imported: No module named 'widththeory.nowhere'"),
        ("def settings(:", "cannot be imported: invalid syntax (broken.py, line 1)"),
        ("{}['missing']", "cannot be imported: KeyError: 'missing'"),
        ("import sys\nsys.exit(3)", "cannot be imported: it ends the process: 3"),
    ],
)
@pytest.mark.parametrize("action", ["plan", "status", "show", "export", "verify"])
def test_a_broken_experiment_is_named_and_the_others_are_told(root, action, text, reason, tmp_path, capsys):
    (root / "experiments/broken.py").write_text(text)
    more = {"export": ["--out", str(tmp_path / "tables")], "verify": ["--sample", "0"]}.get(action, [])
    out, err = refused(root, action, *more, capsys=capsys)
    assert out.startswith(f"broken: broken: {reason}\nclaim: ")
    assert "1 of 3 experiments is broken, see above" in err
    assert "experiments.broken" not in sys.modules


def test_a_grid_that_cannot_be_made_is_told(root, capsys):
    (root / "experiments/broken.py").write_text(EXPERIMENT.replace("return [", "return 1 / 0, ["))
    out, _ = refused(root, "plan", capsys=capsys)
    assert out.startswith("broken: broken: its grid cannot be made: ZeroDivisionError: division by zero\nclaim: 4 of 4")
    (root / "paper_figures/claim.py").write_text("import nowhere")
    out, _ = refused(root, "verify", "--claims", "claim", "--sample", "0", capsys=capsys)
    assert "claim: broken: paper_figures/claim.py cannot be imported: No module named 'nowhere'\n" in out


@pytest.mark.parametrize("action", ["plan", "status", "show", "export", "verify"])
def test_rows_that_cannot_be_read_are_named_and_the_others_are_told(root, action, tmp_path, capsys):
    for place in ("experiments", "results/smoke"):
        for path in (root / place).glob("claim.*"):
            shutil.copy(path, path.with_stem(path.stem.replace("claim", "another")))
    (root / "results/smoke/another.sqlite").write_text("not a ledger at all, but long enough to be a header " * 9)
    more = {"export": ["--out", str(tmp_path / "tables")], "verify": ["--sample", "0"]}.get(action, [])
    out, err = refused(root, action, *more, capsys=capsys)
    assert out.startswith(f"another: broken: {root}/results/smoke/another.sqlite is not a ledger: it is not an SQLite")
    assert "\nclaim: " in out
    (root / "results/smoke/another.sqlite").unlink()
    if action != "status":  # which tells of ledgers alone
        (root / "results/smoke/another.csv").write_text("not,a,table\n")
        out, _ = refused(root, action, *more, capsys=capsys)
        assert out.startswith(f"another: broken: {root}/results/smoke/another.csv line 1 is not the header of a table")
        assert "\nclaim: " in out
    assert "1 of 3 experiments is broken" in err


@pytest.mark.parametrize("action", ["plan", "status", "show", "export", "verify"])
def test_a_folder_that_cannot_be_written_can_be_read(root, action, tmp_path, capsys, monkeypatch):
    """As root may write anywhere, SQLite is told to refuse."""
    more = {"export": ["--out", str(tmp_path / "tables")], "verify": ["--sample", "0"]}.get(action, [])
    usual = said(root, action, *more, capsys=capsys)
    kept = root / "results/smoke/claim.sqlite"
    before = kept.read_bytes()
    monkeypatch.setattr(study.os, "access", lambda path, how: Path(path) not in (kept, kept.parent))
    opened = Ledger.open
    monkeypatch.setattr(Ledger, "open", lambda path: opened(path) if path != kept else pytest.fail("opened to write"))
    assert said(root, action, *more, capsys=capsys) == usual
    assert kept.read_bytes() == before


def test_a_ledger_is_copied_where_it_or_its_folder_cannot_be_written(root, capsys, monkeypatch):
    kept = root / "results/smoke/claim.sqlite"
    opened = Ledger.open
    monkeypatch.setattr(Ledger, "open", lambda path: opened(path) if path != kept else pytest.fail("opened to write"))
    for denied in (kept, kept.parent):
        monkeypatch.setattr(study.os, "access", lambda path, how, denied=denied: Path(path) != denied)
        assert said(root, "status", capsys=capsys).startswith("claim: 4 of 4 cells done\n")


def test_a_ledger_on_a_full_disk_can_be_read(root, capsys, monkeypatch):
    """To open one SQLite writes there."""
    kept, opened = root / "results/smoke/claim.sqlite", Ledger.open

    def full(path):
        if path == kept:
            raise LedgerError("the disk is full")
        return opened(path)

    monkeypatch.setattr(Ledger, "open", full)
    assert said(root, "status", capsys=capsys).startswith("claim: 4 of 4 cells done\n")


@pytest.mark.parametrize("action", ["show", "export", "verify"])
def test_no_rows_are_no_success(root, action, tmp_path, capsys):
    more = ("--out", str(tmp_path / "tables")) if action == "export" else ()
    out, err = refused(root, action, "--claims", "theory", *more, capsys=capsys)
    assert out == "theory: nothing to fit\n"
    assert f"none of the experiments asked for has rows at scale smoke in {root}/results\n" in err
    for path in root.glob("results/smoke/claim.*"):
        if path.name != "claim.floor.csv":
            path.unlink()
    out, err = refused(root, action, *more, capsys=capsys)
    assert out == "claim: no rows at scale smoke\ntheory: nothing to fit\n"
    assert "none of the experiments has rows at scale smoke" in err


def test_show_gives_the_best_rows_with_what_varies(root, capsys):
    text = said(root, "show", "--claims", "claim", "--rows", "2", capsys=capsys)
    head, columns, *rows = text.splitlines()
    assert head == "claim: 4 rows, by relative_error"
    assert columns.split() == ["width", "seed", "relative_error"]
    table = pd.read_csv(root / "results/smoke/claim.csv")
    assert [float(row.split()[-1]) for row in rows] == pytest.approx(sorted(table["relative_error"])[:2], rel=1e-5)
    assert "has no column 'beauty'" in refused(root, "show", "--claims", "claim", "--by", "beauty", capsys=capsys)[1]
    with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
        ledger.connection.execute("UPDATE rows SET status = 'failed' WHERE id = 1")
    assert said(root, "show", "--claims", "claim", "--rows", "9", capsys=capsys).count("\n") == 2 + 3


def test_export_writes_files_or_says_what_it_needs(root, tmp_path, monkeypatch, capsys):
    said(root, "export", "--out", str(tmp_path / "tables"), capsys=capsys)
    assert (tmp_path / "tables/claim.csv").read_bytes() == (root / "results/smoke/claim.csv").read_bytes()
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, find=importlib.util.find_spec: None if name == "pyarrow" else find(name),
    )
    assert "need the library pyarrow" in refused(root, "export", "--kind", "parquet", capsys=capsys)[1]
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, find=importlib.util.find_spec: find("sys") if name == "pyarrow" else find(name),
    )
    monkeypatch.setattr(pd.DataFrame, "to_parquet", lambda table, path: path.write_text(str(len(table))), raising=False)
    said(root, "export", "--kind", "parquet", "--out", str(tmp_path / "tables"), capsys=capsys)
    assert (tmp_path / "tables/claim.parquet").read_text() == "4"


def test_bad_input_is_one_sentence(root, tmp_path, capsys):
    assert "there is no experiment 'nothing'" in refused(root, "plan", "--claims", "nothing", capsys=capsys)[1]
    assert "there are no experiments in" in refused(tmp_path, "status", capsys=capsys)[1]
    assert "rows must be an integer of at least 1" in refused(root, "show", "--rows", "0", capsys=capsys)[1]
    (root / "results/smoke/claim.sqlite").write_text("not a ledger at all, but long enough to be a header " * 9)
    assert "is not a ledger" in refused(root, "status", capsys=capsys)[0]
    assert "claim" in study.Study(root, "smoke").claims
    assert sys.modules["experiments.claim"]
