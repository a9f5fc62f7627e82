"""What the ledger costs beside the fits: rows written a second, and the time to plan with a million rows there.

Command: python tests/bench/ledger_speed.py [--quick]
Measures: CPU seconds to write 100,000 rows in chunks of 16, as a share of as many fits of 40 ms each; CPU seconds of
    `grid.plan` for as many cells as rows, 100,000, and for 10,000 cells in a ledger of a million other rows. --quick
    takes a tenth of each. Each number beside what it may be at most.
Time: a minute; --quick 10 s.
"""

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from widththeory import grid
from widththeory.ledger import Ledger, Row

FIT_SECONDS = 0.04


@dataclass(frozen=True)
class Fit:
    """Settings of one pretended fit."""

    target: str
    target_args: tuple[tuple[str, int], ...]
    width: int
    seed: int
    learning_rate: float

    @property
    def program_key(self) -> str:
        return f"{self.target} {self.width}"

    @property
    def cost(self) -> float:
        return float(self.width)


def cells(count: int) -> list[Fit]:
    """Settings of 50 widths and 10 learning rates."""
    return [Fit("t.T", (("k", 3),), 1 + i % 50, i // 500, 10.0 ** -(i // 50 % 10)) for i in range(count)]


def report(name: str, value: float, limit: float, unit: str) -> bool:
    """Print one line; whether the limit was kept."""
    kept = value <= limit
    print(f"{'ok  ' if kept else 'SLOW'} {name:<62} {value:8.3g} {unit} (at most {limit:g})", flush=True)
    return kept


def main(quick: bool) -> int:
    part = 10 if quick else 1
    kept = []
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder) / "bench.sqlite") as ledger:
        grown = cells(100_000 // part)
        metrics = {f"metric{index}": 0.1 * index for index in range(10)}
        rows = [Row(one, "done", metrics, {"jax": "0"}, None, FIT_SECONDS) for one in grown]
        start = time.process_time()
        for begin in range(0, len(rows), 16):
            ledger.record("claim", rows[begin : begin + 16])
        share = (time.process_time() - start) / (len(rows) * FIT_SECONDS)
        kept.append(report(f"writing {len(rows):,} rows, share of their fits", 100 * share, 1.0, "%"))
        start = time.process_time()
        assert grid.plan(grown, ledger, experiment="claim").missing == 0
        kept.append(report(f"plan of {len(rows):,} cells that are all there", time.process_time() - start, 5.0, "s"))
        many = 1_000_000 // part
        ledger.connection.execute(
            "INSERT INTO rows (experiment, key, status, class, settings, metrics, provenance, created)"
            " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " SELECT 'claim', printf('%032x', i), 'done', 'Fit', r.settings, r.metrics, 1, 0 FROM n,"
            " (SELECT settings, metrics FROM rows LIMIT 1) r",
            (many,),
        )
        some = grown[: 10_000 // part]
        start = time.process_time()
        assert grid.plan(some, ledger, experiment="claim").missing == 0
        name = f"plan of {len(some):,} cells beside {many:,} other rows"
        kept.append(report(name, time.process_time() - start, 5.0, "s"))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main("--quick" in sys.argv[1:]))
