"""What the experiments lack, what runs, what came out, and whether it comes out again.

python -m widththeory plan --scale laptop       fits that are missing, memory and time they will take
python -m widththeory status                    rows done and failed, pace, time left
python -m widththeory show --claims sawtooth    its best rows
python -m widththeory export --kind parquet --out tables
python -m widththeory verify --sample 2         measure some chunks again; list rows under a certified floor
python -m widththeory merge --ledgers a.sqlite b.sqlite
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from widththeory import command, study, verification
from widththeory.command import Scale
from widththeory.typing import check_positive_int


@dataclass(frozen=True)
class Flags:
    """What to say about the experiments."""

    action: tyro.conf.Positional[Literal["plan", "status", "show", "export", "verify", "merge"]]
    """What to do, see above."""
    scale: Scale = "laptop"
    """Whose grids."""
    claims: tuple[str, ...] = ()
    """Experiments, by name; all if not given."""
    root: Path | None = None
    """The folder that holds experiments/ and results/; default: that of this package, else the working folder."""
    rows: int = 5
    """show: rows of each table."""
    by: str | None = None
    """show: the column to sort by."""
    kind: Literal["csv", "parquet"] = "csv"
    """export: of which kind the files are."""
    out: Path = Path("tables")
    """export: the folder for them."""
    sample: int = 1
    """verify: chunks of each experiment to measure again."""
    seed: int = 0
    """verify: which ones."""
    ledgers: tuple[Path, ...] = ()
    """merge: files to take rows from."""

    def __post_init__(self) -> None:
        check_positive_int("rows", self.rows)
        check_positive_int("sample", self.sample, at_least=0)
        check_positive_int("seed", self.seed, at_least=0)


def main(flags: Flags) -> None:
    """Print what was asked for, line by line."""
    root = flags.root or next(
        (place for place in (Path(__file__).resolve().parent.parent, Path.cwd()) if (place / "experiments").is_dir()),
        Path.cwd(),
    )
    asked = study.Study(root, flags.scale, flags.claims)
    lines = {
        "plan": lambda: study.plan(asked),
        "status": lambda: study.status(asked),
        "show": lambda: study.show(asked, flags.rows, flags.by),
        "export": lambda: study.export(asked, flags.out, flags.kind),
        "verify": lambda: verification.verify(asked, flags.sample, flags.seed),
        "merge": lambda: study.merge(asked, flags.ledgers),
    }
    for line in lines[flags.action]():
        print(line, flush=True)


if __name__ == "__main__":
    command.run(main)
