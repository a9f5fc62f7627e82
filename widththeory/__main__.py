"""`python -m widththeory plan --scale laptop`: the fits that each experiment lacks, and the time they will take."""

import importlib.util
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import tyro

from widththeory import command
from widththeory.command import Scale


@dataclass(frozen=True)
class Flags:
    """What to say about the experiments."""

    action: tyro.conf.Positional[Literal["plan"]]
    """plan: cells missing and time expected."""
    scale: Scale = "laptop"
    """Whose grids."""
    root: Path | None = None
    """The folder that holds experiments/ and results/; default: that of this package, else the working folder."""


def main(flags: Flags) -> None:
    """Print a line an experiment; nothing is fitted and no file is made."""
    root = flags.root or next(
        (place for place in (Path(__file__).resolve().parent.parent, Path.cwd()) if (place / "experiments").is_dir()),
        Path.cwd(),
    )
    scripts = sorted((root / "experiments").glob("*.py"))
    if not scripts:
        raise ValueError(f"there are no experiments in {root / 'experiments'}")
    for script in scripts:
        print(f"{script.stem}: {_plan(script, root / 'results' / flags.scale / script.stem, flags.scale)}")


def _plan(script: Path, table: Path, scale: Scale) -> str:
    from widththeory import grid  # slow to import: not before the flags are known to be right
    from widththeory.ledger import Ledger

    experiment = _load(script)
    if not hasattr(experiment, "settings"):
        return "nothing to fit"
    settings = experiment.settings(experiment.Config(scale=scale))
    with tempfile.TemporaryDirectory() as folder:
        kept, committed = table.with_suffix(".sqlite"), table.with_suffix(".csv")
        with Ledger.open(kept if kept.exists() else Path(folder) / kept.name) as ledger:
            if not kept.exists() and committed.exists():
                ledger.import_csv(committed, type(settings[0]), script.stem)
            return grid.plan(settings, ledger, experiment=script.stem).text()


def _load(script: Path) -> ModuleType:
    """The module in the file `script`, without running it as a command."""
    name = f"experiments.{script.stem}"
    spec = importlib.util.spec_from_file_location(name, script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    command.run(main)
