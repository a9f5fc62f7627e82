"""A driver to be killed: `python drive.py LEDGER JOBS MILLIS [BYTES]` measures a pretended grid and exports its table.

No file may become larger than BYTES.
"""

import resource
import sys

from fake_fits import fake_measure, grid

from widththeory import grid as engine
from widththeory.ledger import Ledger

if __name__ == "__main__":
    path, jobs, millis = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    if len(sys.argv) > 4:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), int(sys.argv[4])))
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
