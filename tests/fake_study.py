"""A folder with one experiment, to read and to measure again by `python -m widththeory`."""

import pytest

from widththeory import __main__ as main
from widththeory import command, fit
from widththeory.experiment import Flags, fit_table
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


def make(root):
    """One experiment, computed, and one that fits nothing."""
    for place, claim, text in (
        ("experiments", "claim", EXPERIMENT),
        ("experiments", "theory", '"""Nothing is fitted."""'),
        ("paper_figures", "claim", FIGURE),
    ):
        (root / place).mkdir(exist_ok=True)
        (root / place / f"{claim}.py").write_text(text)
    module = Study(root, "smoke").module("experiments", "claim")
    flags = Flags(scale="smoke", out=root / "results" / "smoke", jobs=1, log="none")
    fit_table(root / "experiments" / "claim.py", flags, module.settings(module.Config("smoke")), fit.measure)
    (root / "results/smoke/claim.floor.csv").write_text("width,relative_floor\n3,1e-9\n4,1e-9\n")


def said(root, action, *flags, capsys):
    """What a command prints."""
    command.run(main.main, [action, "--scale", "smoke", "--root", str(root), *flags])
    return capsys.readouterr().out


def refused(root, action, *flags, capsys, status=2):
    """What a command prints that ends by a status, and the one line that says why."""
    with pytest.raises(SystemExit) as stop:
        command.run(main.main, [action, "--scale", "smoke", "--root", str(root), *flags])
    assert stop.value.code == status
    out = capsys.readouterr()
    assert out.err.count("\n") == 1
    return out.out, out.err
