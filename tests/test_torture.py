"""The short form of `make torture`: one round of every trial, at random moments."""

import importlib.util
import sys
from pathlib import Path

SPEC = importlib.util.spec_from_file_location("torture", Path(__file__).parent / "torture" / "torture.py")
assert SPEC is not None
assert SPEC.loader is not None
TORTURE = importlib.util.module_from_spec(SPEC)
sys.modules["torture"] = TORTURE
SPEC.loader.exec_module(TORTURE)


def test_one_round_of_torture_loses_nothing():
    lines = list(TORTURE.torture(rounds=1, seed=2))
    assert len(lines) == len(TORTURE.TRIALS) == 6
    assert [wrong for _, wrong in lines if wrong] == []


def test_a_loss_is_seen(monkeypatch):
    def careless(folder, rng, whole):
        TORTURE.demand(False, "a row was lost")

    monkeypatch.setattr(TORTURE, "TRIALS", (careless,))
    ((line, wrong),) = TORTURE.torture(rounds=1, seed=0)
    assert line.startswith("LOST   0 careless: TortureError: a row was lost")
    assert wrong == "TortureError: a row was lost"
