"""A driver to be killed: `python drive.py LEDGER JOBS [MILLIS]` measures a pretended grid and exports its table."""

import sys

from fake_fits import fake_measure, grid

from widththeory import grid as engine
from widththeory.ledger import Ledger

if __name__ == "__main__":
    path, jobs, millis = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 4.0
    with Ledger.open(path) as ledger:
        summary = engine.run(
            grid(seeds=10, millis=millis),
            fake_measure,
            ledger,
            experiment="claim",
            jobs=jobs,
            chunk_size=4,
            progress="json",
        )
        ledger.export_csv(path + ".csv", "claim")
        print(summary.done)
