"""What each experiment makes at smoke scale, once a process; and what each figure draws."""

import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
from scripts import EXPERIMENTS, FIGURES, ROOT, load


def smoke(experiment, folder, **flags):
    """The experiment's flags at smoke scale, in this process alone."""
    return experiment.Config(scale="smoke", out=folder, jobs=1, log="none", **flags)


@cache
def claim(name):
    """What the experiment `name` made: its module, folder, `table`, and further tables by name in `parts`."""
    path = ROOT / "experiments" / f"{name}.py"
    assert path in EXPERIMENTS
    kept = tempfile.TemporaryDirectory(prefix=f"{name}-")
    folder = Path(kept.name)
    experiment = load(path)
    experiment.main(smoke(experiment, folder))
    parts = {file.name.split(".")[1]: pd.read_csv(file) for file in folder.glob(f"{name}.*.csv")}
    return SimpleNamespace(
        kept=kept,  # until this process ends
        experiment=experiment,
        claim=name,
        script=path,
        folder=folder,
        csv=folder / f"{name}.csv",
        table=pd.read_csv(folder / f"{name}.csv"),
        parts=parts,
        **parts,
    )


def figure_of(name):
    """The module that draws the claim `name`."""
    (path,) = (path for path in FIGURES if path.stem == name)
    return load(path)
