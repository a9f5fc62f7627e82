"""Rows are measured again and compared with their floors: what did not come out is told, with what excuses it."""

import math
import types
from dataclasses import replace

from fake_fits import fake_measure, grid
from fake_study import refused, said

from widththeory import grid as engine
from widththeory import processes, provenance, verification
from widththeory.ledger import Ledger, Row
from widththeory.study import Study


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


def test_verify_packs_as_the_accelerator_does(root, monkeypatch):
    monkeypatch.setattr(processes, "accelerator_memory", lambda: 80e9)
    asked = []

    def record(cells, chunk_size):
        asked.append((len(cells), chunk_size))
        return [types.SimpleNamespace(metrics={}) for _ in cells]

    list(verification.verify(Study(root, "smoke", ("claim",)), 9, 0, record))
    assert asked == [(4, 4)]  # two programs here, one of padded layers there


def test_verify_leaves_out_rows_that_failed_and_finds_equal_what_is_no_number(root, capsys):
    with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
        ledger.connection.execute("UPDATE rows SET status = 'failed' WHERE id = 1")
    assert "claim: 3 rows came out again to the bit, 0 did not\n" in said(
        root, "verify", "--sample", "9", capsys=capsys
    )
    assert verification._equal(math.nan, math.nan)
    assert not any(verification._equal(*pair) for pair in ((math.nan, 0.0), (0.0, math.nan), (0.0, 1.0)))


def test_verify_measures_no_cell_again_that_failed(root):
    (root / "experiments/claim.py").write_text(
        "from dataclasses import replace\nfrom fake_fits import grid\nConfig = dict\n"
        "def settings(config):\n    return [replace(one, trouble='raise' if one.seed == 2 else '') for one in grid()]\n"
    )
    (root / "results/smoke/claim.floor.csv").unlink()
    only = Study(root, "smoke", ("claim",))

    def measure(settings, chunk_size):
        return [{"loss": one.metrics["train_mse"]} for one in fake_measure(settings, chunk_size)]

    with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
        engine.run(only.settings("claim"), measure, ledger, experiment="claim", jobs=1, progress="none")

    def again(settings, chunk_size):
        return [types.SimpleNamespace(metrics=metrics) for metrics in measure(settings, chunk_size)]

    (told,) = verification.verify(only, 99, 0, again)
    assert told == "claim: 36 rows came out again to the bit, 0 did not"


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
    for name in ("jax", "widththeory", "numpy", "scipy", "chunk_size", "device"):
        with Ledger.open(root / "results/smoke/claim.sqlite") as ledger:
            change = f"UPDATE provenance SET text = json_set(text, '$.device', 'cpu', '$.{name}', '0.0.1')"
            ledger.connection.execute(change)
        text = said(root, "verify", "--sample", "9", capsys=capsys)
        assert f"{name} 0.0.1 (now " in text
