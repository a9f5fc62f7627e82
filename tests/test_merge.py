"""Ledgers of other machines are data: each row is checked, all of a claim are taken over or none."""

import contextlib
import json
import shutil
import sqlite3

import pytest
from fake_fits import FakeFit, fake_measure, grid
from fake_study import refused, said

from widththeory import grid as engine
from widththeory import identity
from widththeory.ledger import Ledger, LedgerError, Row


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
    assert (tmp_path / "empty.sqlite").stat().st_size == 0  # they are only read
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


def loosely(path):
    """Have a ledger hold what no ledger of ours would."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA writable_schema = ON")
        for strict, loose in (("created REAL NOT NULL", "created REAL"), ("CHECK (status IN ('done', 'failed'))", "")):
            other.execute("UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = 'rows'", (strict, loose))
        (version,) = other.execute("PRAGMA schema_version").fetchone()
        other.execute(f"PRAGMA schema_version = {version + 1}")  # whoever has it open reads it again


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE rows SET settings = json_set(settings, '$.width', 99) WHERE id = 1", "or not what it says"),
        ("UPDATE rows SET metrics = '[1]' WHERE id = 1", "is malformed"),
        ("UPDATE rows SET metrics = replace(hex(zeroblob(60000)), '00', '[') WHERE id = 1", "is malformed"),
        ("UPDATE rows SET error = replace(hex(zeroblob(600000)), '0', 'a') WHERE id = 1", "is malformed"),
        ("UPDATE rows SET key = '../../elsewhere' WHERE id = 1", "is malformed"),
        ("UPDATE rows SET metrics = json_set(metrics, '$.width', 99) WHERE id = 1", "is malformed"),
        ("UPDATE rows SET metrics = json_set(metrics, '$.train_mse', json('[1]')) WHERE id = 1", "is malformed"),
        ("UPDATE rows SET settings = json_set(settings, '$.colour', 'red') WHERE id = 1", "is malformed"),
        ("UPDATE rows SET metrics = json_set(metrics, '$.\"target.k\"', 0) WHERE id = 1", "is malformed"),
        ("UPDATE rows SET seconds = 'soon' WHERE id = 1", "is malformed"),
        ("UPDATE rows SET created = 'then' WHERE id = 1", "is malformed"),
        ("UPDATE rows SET error = x'00' WHERE id = 1", "is malformed"),
        ("UPDATE rows SET weights = 'heavy' WHERE id = 1", "is malformed"),
        ('UPDATE rows SET metrics = \'{"word": "\\ud800"}\' WHERE id = 1', "is malformed"),
        ('UPDATE provenance SET text = \'{"host": "here", "jax": "\\ud800"}\'', "is malformed"),
        ("UPDATE rows SET settings = CAST(settings AS BLOB) WHERE id = 1", "is malformed"),
        ("UPDATE rows SET seconds = -1.0 WHERE id = 1", "is malformed"),
        ("UPDATE rows SET weights = zeroblob(9) WHERE id = 1", "is malformed"),
        ("UPDATE rows SET key = 'x' WHERE id = (SELECT max(id) FROM rows)", "is malformed"),
        ("UPDATE rows SET status = 'dome' WHERE id = 1", "is malformed"),
        ("UPDATE rows SET created = NULL WHERE id = 1", "is malformed"),
        ("UPDATE classes SET fields = json_insert(fields, '$[#]', json('[\"momentum\", 0.5]'))", "other fields"),
    ],
)
def test_a_ledger_of_somebody_else_is_data_that_is_checked(tmp_path, monkeypatch, change, message):
    monkeypatch.setattr("widththeory.ledger._MAX_WEIGHTS", 8)
    with Ledger.open(tmp_path / "theirs.sqlite") as theirs, Ledger.open(tmp_path / "ours.sqlite") as ours:
        for ledger, seeds in ((theirs, 3), (ours, 1)):
            engine.run(grid(seeds=seeds), fake_measure, ledger, experiment="claim", jobs=1, progress="none")
        loosely(theirs.path)
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


def test_rows_that_are_taken_over_are_those_of_the_other_ledger(tmp_path):
    cells = grid(seeds=1)
    with Ledger.open(tmp_path / "theirs.sqlite") as theirs, Ledger.open(tmp_path / "ours.sqlite") as ours:
        ours.record("claim", [Row(grid(seeds=2)[-1], provenance={"jax": "0.1"}, seconds=1.0)])
        mine = ours.table("claim")
        for version, one in enumerate(cells):
            made = {"jax": f"0.{version // 4}"}
            theirs.record("claim", [Row(one, metrics={"loss": 1.0 / 3}, provenance=made, seconds=7.0, weights=b"w")])
        theirs.record("another", [Row(grid(seeds=3)[-1])])
        theirs.connection.execute("UPDATE rows SET created = created + id")
        assert ours.take(theirs, "claim") == len(cells)
        assert ours.table("claim", cells).equals(theirs.table("claim"))
        assert ours.weights("claim", cells[0]) == b"w"
        assert ours.table("claim", [grid(seeds=2)[-1]])["key"].tolist() == mine["key"].tolist()
        assert ours.experiments() == ["claim"]


def test_a_failed_row_gives_way_to_one_that_is_done(tmp_path):
    cells = grid(seeds=1)
    with Ledger.open(tmp_path / "theirs.sqlite") as theirs, Ledger.open(tmp_path / "ours.sqlite") as ours:
        for ledger, measure in ((theirs, fake_measure), (ours, lambda settings, size: [])):
            engine.run(cells, measure, ledger, experiment="claim", jobs=1, progress="none")
        with Ledger.open(tmp_path / "third.sqlite") as third:
            third.record("claim", [Row(cells[0], "failed", error="E: the first")])
            third.take(ours, "claim")
            assert "E: the first" in {error for _, error in third.failures("claim")}
        assert theirs.take(ours, "claim") == 0
        assert ours.take(theirs, "claim") == len(cells)
        assert ours.counts("claim") == {"done": len(cells), "failed": 0}
