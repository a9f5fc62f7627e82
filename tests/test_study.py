"""`python -m widththeory`: what a person reads about the experiments of a folder, and what is measured again."""

import importlib.util
import json
import math
import shutil
import sys
import types
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fake_fits import FakeFit, fake_measure, grid

from widththeory import __main__ as main
from widththeory import command, identity, provenance, study, verification
from widththeory import grid as engine
from widththeory.experiment import Flags, fit_table
from widththeory.ledger import Ledger, LedgerError, Row
from widththeory.study import Study

EXPERIMENT = """
from dataclasses import dataclass
from widththeory.regression import Regression
@dataclass(frozen=True)
class Config:
    scale: str
def settings(config):
    return [Regression("telgarsky.Sawtooth", (("num_folds", 2),), width, 2, seed=seed, learning_rate=0.01, num_steps=10,
            batch_size=8, num_train=64, num_test=64) for width in (3, 4) for seed in range(2)]
"""
FIGURE = """
def compared(table, floor):
    return table.merge(floor, on="width")
def under_floor(fits):
    return fits[fits["relative_error"] < fits["relative_floor"]]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with one experiment, computed, and one that fits nothing."""
    root = tmp_path_factory.mktemp("root")
    for place, claim, text in (
        ("experiments", "claim", EXPERIMENT),
        ("experiments", "theory", '"""Nothing is fitted."""'),
        ("paper_figures", "claim", FIGURE),
    ):
        (root / place).mkdir(exist_ok=True)
        (root / place / f"{claim}.py").write_text(text)
    module = Study(root, "smoke").module("experiments", "claim")
    from widththeory import fit

    flags = Flags(scale="smoke", out=root / "results" / "smoke", jobs=1, log="none")
    fit_table(root / "experiments" / "claim.py", flags, module.settings(module.Config("smoke")), fit.measure)
    (root / "results/smoke/claim.floor.csv").write_text("width,relative_floor\n3,1e-9\n4,1e-9\n")
    return root


@pytest.fixture
def root(folder, tmp_path):
    """The same, to spoil."""
    shutil.copytree(folder, tmp_path / "root")
    return tmp_path / "root"


def said(root, action, *flags, capsys):
    command.run(main.main, [action, "--scale", "smoke", "--root", str(root), *flags])
    return capsys.readouterr().out


def refused(root, action, *flags, capsys, status=2):
    with pytest.raises(SystemExit) as stop:
        command.run(main.main, [action, "--scale", "smoke", "--root", str(root), *flags])
    assert stop.value.code == status
    out = capsys.readouterr()
    assert out.err.count("\n") == 1
    return out.out, out.err


def test_plan_tells_memory_and_time(root, capsys):
    assert said(root, "plan", capsys=capsys) == "claim: 4 of 4 cells done, nothing missing\ntheory: nothing to fit\n"
    (root / "results/smoke/claim.sqlite").unlink()
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


def test_verify_takes_both_its_numbers_from_one_place(root, capsys):
    with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
        ledger.connection.execute("DELETE FROM rows")
    text = said(root, "verify", "--sample", "9", capsys=capsys)  # the rows of the table, as of a fresh clone
    assert "claim: 4 rows came out again to the bit, 0 did not\nclaim: 0 of 4 rows under their floor\n" in text
    with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
        engine.run(grid(seeds=1), fake_measure, ledger, experiment="claim", jobs=1, progress="none")
    out, _ = refused(root, "verify", capsys=capsys)
    assert out == "claim: of its 12 rows none is done and of the smoke grid\ntheory: nothing to fit\n"


def test_what_no_module_measures_is_said(root, capsys):
    (root / "experiments/claim.py").write_text(
        "from fake_fits import grid\nConfig = dict\ndef settings(config):\n    return grid(seeds=1)\n"
    )
    (root / "results/smoke/claim.floor.csv").unlink()
    with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
        engine.run(grid(seeds=1), fake_measure, ledger, experiment="claim", jobs=1, progress="none")
    text = said(root, "verify", "--claims", "claim", capsys=capsys)
    assert text == "claim: nothing measures a FakeFit again to the bit\n"


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


def test_verify_measures_again_and_compares_with_floors(root, capsys):
    text = said(root, "verify", "--sample", "9", capsys=capsys)
    assert "claim: 4 rows came out again to the bit, 0 did not\n" in text
    assert "claim: 0 of 4 rows under their floor\n" in text
    with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:  # a row that the grid does not declare
        one = Study(root, "smoke").settings("claim")[0]
        ledger.record("claim", [Row(replace(one, seed=9), metrics={"relative_error": 0.0})])
    text = said(root, "verify", "--sample", "0", capsys=capsys)
    assert "claim: 0 of 4 rows under their floor\n" in text
    (root / "results/smoke/claim.floor.csv").write_text("width,relative_floor\n3,1e9\n4,1e-9\n")
    out, err = refused(root, "verify", "--sample", "0", capsys=capsys, status=1)
    assert out.count("claim: under its floor: ") == 2
    assert "2 rows are not what they should be" in err
    (root / "paper_figures/claim.py").write_text("")
    text = said(root, "verify", "--sample", "0", capsys=capsys)
    assert text.splitlines()[1] == "claim: its figure compares no single rows with a floor"


def test_verify_draws_chunks_that_have_rows_by_its_seed(root):
    asked = set()

    def record(cells, chunk_size):
        asked.add(cells[0].width)
        return [types.SimpleNamespace(metrics={}) for _ in cells]

    def drawn():
        asked.clear()
        for seed in range(8):
            list(verification.verify(Study(root, "smoke", ("claim",)), 1, seed, record))
        return asked

    assert drawn() == {3, 4}
    with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
        ledger.connection.execute("UPDATE rows SET status = 'failed' WHERE json_extract(settings, '$.width') = 3")
    assert drawn() == {4}


def test_verify_leaves_out_rows_that_failed_and_finds_equal_what_is_no_number(root, capsys):
    with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
        ledger.connection.execute("UPDATE rows SET status = 'failed' WHERE id = 1")
    assert "claim: 3 rows came out again to the bit, 0 did not\n" in said(
        root, "verify", "--sample", "9", capsys=capsys
    )
    assert verification._equal(math.nan, math.nan)
    assert not any(verification._equal(*pair) for pair in ((math.nan, 0.0), (0.0, math.nan), (0.0, 1.0)))


def test_verify_finds_a_forged_row_and_excuses_other_versions_and_accelerators(root, capsys, monkeypatch):
    with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
        change = "UPDATE rows SET metrics = json_set(metrics, '$.train_mse', 0.5) WHERE id = 1"
        ledger.connection.execute(change)
    out, err = refused(root, "verify", "--sample", "9", capsys=capsys, status=1)
    assert "was 0.5, though made by the same versions" in out
    assert "claim: 3 rows came out again to the bit, 1 did not\n" in out
    assert "1 row is not what it should be" in err
    (root / "experiments/broken.py").write_text("import nowhere")  # which weighs less
    _, err = refused(root, "verify", "--sample", "9", capsys=capsys, status=1)
    assert "1 row is not what it should be, see above; 1 of 3 experiments is broken, see above" in err
    (root / "experiments/broken.py").unlink()
    for device in ("4 x cpu", "NVIDIA H100"):
        with monkeypatch.context() as patch:
            here = provenance.here() | {"device": device}
            patch.setattr(provenance, "here", lambda here=here, **_: here)
            with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
                change = f"UPDATE provenance SET text = json_set(text, '$.device', '{device}')"
                ledger.connection.execute(change)
            if device.endswith("cpu"):
                assert "was 0.5" in refused(root, "verify", "--sample", "9", capsys=capsys, status=1)[0]
            else:
                assert "was 0.5, though made by" in said(root, "verify", "--sample", "9", capsys=capsys)
    for name in ("jax", "widththeory", "numpy", "scipy", "chunk_size"):
        with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
            change = f"UPDATE provenance SET text = json_set(text, '$.{name}', '0.0.1', '$.device', 'cpu')"
            ledger.connection.execute(change)
        text = said(root, "verify", "--sample", "9", capsys=capsys)
        assert f"{name} 0.0.1 (now " in text


def test_merge_takes_rows_of_other_machines(root, tmp_path, capsys):
    halves = []
    for index, cells in enumerate((grid(seeds=2), grid(seeds=3))):
        halves.append(tmp_path / f"{index}.sqlite")
        with Ledger.open(halves[-1]) as ledger:
            engine.run(cells, fake_measure, ledger, experiment="claim", jobs=1, progress="none")
            ledger.record("elsewhere", [])
    text = said(root, "merge", "--ledgers", *map(str, halves), capsys=capsys)
    assert [line.split()[1] for line in text.splitlines()] == ["24", "12"]
    assert text.splitlines()[1].endswith("1.sqlite; the smoke grid declares 0 of the 36 rows there")
    with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
        assert ledger.counts("claim")["done"] == 4 + 36
        assert ledger.missing("claim", grid(seeds=3)) == []
    assert said(root, "merge", "--ledgers", str(halves[0]), capsys=capsys).split()[1] == "0"
    assert "merge needs --ledgers" in refused(root, "merge", capsys=capsys)[1]
    assert "there is no ledger" in refused(root, "merge", "--ledgers", "nowhere.sqlite", capsys=capsys)[1]


def test_merge_says_what_it_did_not_find(root, tmp_path, capsys):
    (tmp_path / "empty.sqlite").touch()
    with Ledger.open(tmp_path / "other.sqlite") as ledger:
        engine.run(grid(seeds=1), fake_measure, ledger, experiment="elsewhere", jobs=1, progress="none")
    named, empty, other = ("--claims", "claim"), str(tmp_path / "empty.sqlite"), str(tmp_path / "other.sqlite")
    out, err = refused(root, "merge", *named, "--ledgers", empty, other, capsys=capsys)
    assert out == f"no rows of claim in {empty}; it has none at all\nno rows of claim in {other}; it has elsewhere\n"
    assert "nothing was merged into" in err
    out, _ = refused(root, "merge", "--ledgers", other, capsys=capsys)
    assert out == f"no rows of these experiments in {other}; it has elsewhere\n"
    own = str(root / "results/smoke/claim.sqlite")
    text = said(root, "merge", "--claims", "claim", "theory", "--ledgers", own, capsys=capsys)
    assert text == (
        f"no rows of theory in {own}; it has claim\n"
        f"claim: 0 rows from {own}; the smoke grid declares 4 of the 4 rows there\n"
    )


def test_merge_names_the_file_that_it_was_given(root, tmp_path, capsys):
    theirs = tmp_path / "theirs.sqlite"
    theirs.write_text("not a ledger at all, but long enough to be a header " * 9)
    assert f" {theirs} is not a ledger: it is not" in refused(root, "merge", "--ledgers", str(theirs), capsys=capsys)[1]
    shutil.copy(root / "results/smoke/claim.sqlite", theirs)
    with Ledger.open(theirs) as ledger:
        ledger.connection.execute("UPDATE rows SET key = 'x' WHERE id = 1")
    assert f" {theirs} is not to be trusted" in refused(root, "merge", "--ledgers", str(theirs), capsys=capsys)[1]
    (tmp_path / "folder").mkdir()
    err = refused(root, "merge", "--ledgers", str(tmp_path / "folder"), capsys=capsys)[1]
    assert f"there is no ledger {tmp_path}/folder, but a folder" in err


def test_merge_goes_on_where_an_experiment_is_broken(root, tmp_path, capsys):
    shutil.copy(root / "results/smoke/claim.sqlite", tmp_path / "theirs.sqlite")
    (root / "results/smoke/claim.sqlite").unlink()
    (root / "experiments/claim.py").write_text("import nowhere")
    out, err = refused(root, "merge", "--ledgers", str(tmp_path / "theirs.sqlite"), capsys=capsys)
    assert out.startswith("claim: 4 rows from ")
    assert out.endswith("; broken: cannot be imported: No module named 'nowhere'\n")
    assert "broken experiments" in err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE rows SET settings = json_set(settings, '$.width', 99) WHERE id = 1", "or not what it says"),
        ("UPDATE rows SET metrics = '[1]' WHERE id = 1", "is malformed"),
        ("UPDATE rows SET metrics = replace(hex(zeroblob(60000)), '00', '[') WHERE id = 1", "is malformed"),
        ("UPDATE rows SET error = hex(zeroblob(600000)) WHERE id = 1", "is malformed"),
        ("UPDATE rows SET key = '../../elsewhere' WHERE id = 1", "is malformed"),
        ("UPDATE rows SET metrics = json_set(metrics, '$.width', 99) WHERE id = 1", "is malformed"),
        ("UPDATE rows SET metrics = json_set(metrics, '$.train_mse', json('[1]')) WHERE id = 1", "is malformed"),
        ("UPDATE rows SET settings = json_set(settings, '$.colour', 'red') WHERE id = 1", "is malformed"),
        ("UPDATE rows SET metrics = json_set(metrics, '$.\"target.k\"', 0) WHERE id = 1", "is malformed"),
        ("UPDATE rows SET seconds = 'soon' WHERE id = 1", "is malformed"),
        ("UPDATE rows SET created = 'then' WHERE id = 1", "is malformed"),
        ("UPDATE rows SET error = x'00' WHERE id = 1", "is malformed"),
        ("UPDATE rows SET weights = 'heavy' WHERE id = 1", "is malformed"),
        ("UPDATE classes SET fields = json_insert(fields, '$[#]', json('[\"momentum\", 0.5]'))", "other fields"),
    ],
)
def test_a_ledger_of_somebody_else_is_data_that_is_checked(tmp_path, change, message):
    with Ledger.open(tmp_path / "theirs.sqlite") as theirs, Ledger.open(tmp_path / "ours.sqlite") as ours:
        for ledger, seeds in ((theirs, 3), (ours, 1)):
            engine.run(grid(seeds=seeds), fake_measure, ledger, experiment="claim", jobs=1, progress="none")
        theirs.connection.execute(change)
        before = ours.statuses("claim")
        with pytest.raises(LedgerError, match=message):
            ours.take(theirs, "claim")
        assert ours.statuses("claim") == before


def test_a_row_of_somebody_else_that_makes_no_table_is_refused(tmp_path):
    """Its key is right: it was made for settings that no class would take."""
    with Ledger.open(tmp_path / "theirs.sqlite") as theirs, Ledger.open(tmp_path / "ours.sqlite") as ours:
        engine.run(grid(seeds=1), fake_measure, theirs, experiment="claim", jobs=1, progress="none")
        settings = identity.decode(identity.encode(grid()[0])) | {"target_args": 5}
        key = identity.key_of("FakeFit", json.loads(identity.defaults(FakeFit)), settings)
        theirs.connection.execute("UPDATE rows SET key = ?, settings = ? WHERE id = 1", (key, json.dumps(settings)))
        with pytest.raises(LedgerError, match="is malformed"):
            ours.take(theirs, "claim")


def test_a_failed_row_gives_way_to_one_that_is_done(tmp_path):
    cells = grid(seeds=1)
    with Ledger.open(tmp_path / "theirs.sqlite") as theirs, Ledger.open(tmp_path / "ours.sqlite") as ours:
        for ledger, measure in ((theirs, fake_measure), (ours, lambda settings, size: [])):
            engine.run(cells, measure, ledger, experiment="claim", jobs=1, progress="none")
        assert theirs.take(ours, "claim") == 0
        assert ours.take(theirs, "claim") == len(cells)
        assert ours.counts("claim") == {"done": len(cells), "failed": 0}
        assert isinstance(cells[0], FakeFit)


def test_bad_input_is_one_sentence(root, tmp_path, capsys):
    assert "there is no experiment 'nothing'" in refused(root, "plan", "--claims", "nothing", capsys=capsys)[1]
    assert "there are no experiments in" in refused(tmp_path, "status", capsys=capsys)[1]
    assert "rows must be an integer of at least 1" in refused(root, "show", "--rows", "0", capsys=capsys)[1]
    (root / "results/smoke/claim.sqlite").write_text("not a ledger at all, but long enough to be a header " * 9)
    assert "is not a ledger" in refused(root, "status", capsys=capsys)[0]
    assert "claim" in study.Study(root, "smoke").claims
    assert sys.modules["experiments.claim"]
