"""Kill, fill and share for longer than a test may: every crash that a study can meet, at random moments, many times.

Command: python tests/torture/torture.py [--rounds 20] [--seed N]; `make torture`
Does: drivers killed at random moments until the grid is done, in this process and with workers, and the table compared
    byte by byte with that of a quiet run; workers killed; two drivers on one ledger, of which one is killed; kills
    during the export of a table; a disk that is full; a ledger copied while it is written.
Time: some ten minutes on two cores. Prints one line a trial; the exit status is 1 if anything was lost or repeated.
"""

import argparse
import ctypes
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from fake_fits import grid  # noqa: E402  found beside this folder

from widththeory.ledger import Ledger, Row  # noqa: E402

CELLS = len(grid(seeds=10))
EXPORTER = """
import itertools, sys
from pathlib import Path
from widththeory.tables import replace_file
path = Path(sys.argv[1])
for turn in itertools.count():
    letter = "ab"[turn % 2]
    replace_file(path, (letter * 99 + "\\n" for _ in range(5000)))
    if turn == 0:
        print("begun", flush=True)
"""


class TortureError(AssertionError):
    """Something was lost, repeated or left behind."""


def demand(fact: bool, text: str) -> None:
    """Raise unless `fact`."""
    if not fact:
        raise TortureError(text)


def start(*command: object) -> subprocess.Popen:
    """A Python process in a session of its own."""
    paths = os.pathsep.join([str(HERE.parent), str(HERE.parent.parent)])
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
    )


def driver(path: Path, jobs: int, millis: float = 4.0) -> subprocess.Popen:
    """A driver of the whole pretended grid."""
    return start(HERE / "drive.py", path, jobs, millis)


def finished(process: subprocess.Popen) -> int:
    """Cells that a driver measured, when it has ended."""
    out, err = process.communicate(timeout=300)
    demand(process.returncode == 0, err)
    return int(out.splitlines()[-1])


def group_ends(group: int, within: float = 60.0) -> bool:
    """Whether every process of a session has ended."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def done_rows(path: Path) -> int:
    """Rows in a ledger, and no cell twice."""
    with Ledger.open(path) as ledger:
        rows, keys = ledger.connection.execute("SELECT count(*), count(DISTINCT key) FROM rows").fetchone()
        demand(rows == keys, f"{rows - keys} rows are there twice")
        return int(rows)


def kill_the_driver(folder: Path, rng: random.Random, whole: bytes) -> str:
    """Kill drivers at random moments, from their first instruction on, until one gets through."""
    path, kills, before = folder / "killed.sqlite", 0, 0
    begun = time.monotonic()
    finished(driver(folder / "timed.sqlite", 1))
    span = time.monotonic() - begun  # a driver that is quicker than its killer is no trial
    while kills < 12:
        process = driver(path, rng.choice((1, 2)))
        time.sleep(rng.uniform(0.0, 0.9 * span))
        if process.poll() is not None:
            break
        process.kill()
        process.communicate()
        kills += 1
        demand(group_ends(process.pid), "workers outlive their driver")
        now = done_rows(path) if path.exists() else 0
        demand(now >= before, f"{before - now} rows were lost")
        demand(now % 4 == 0, f"a chunk was written in part: {now} rows")
        before = now
    if process.poll() is None or process.returncode != 0:
        process = driver(path, 2)
    finished(process)
    demand(done_rows(path) == CELLS, "rows are missing")
    demand(Path(f"{path}.csv").read_bytes() == whole, "the table is another one")
    demand(finished(driver(path, 1)) == 0, "something was measured again")
    return f"{kills} kills"


def kill_workers(folder: Path, rng: random.Random, whole: bytes) -> str:
    """Kill workers while their driver goes on."""
    path, kills = folder / "workers.sqlite", 0
    process = driver(path, 2, 15.0)
    while process.poll() is None and kills < 4:
        time.sleep(rng.uniform(0.2, 1.0))
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            workers = [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
            os.kill(int(rng.choice(workers)), signal.SIGKILL)
            kills += 1
        except (OSError, IndexError):
            continue
    demand(finished(process) == CELLS, "cells were lost with their workers")
    with Ledger.open(path) as ledger:
        demand(ledger.counts("claim") == {"done": CELLS, "failed": 0}, "a cell was blamed for a killed worker")
    return f"{kills} workers killed"


def two_drivers(folder: Path, rng: random.Random, whole: bytes) -> str:
    """Two drivers on one ledger, one of them killed."""
    path = folder / "shared.sqlite"
    one, two = driver(path, 1), driver(path, 2)
    time.sleep(rng.uniform(0.5, 3.0))
    one.kill()
    one.communicate()
    finished(two)
    demand(done_rows(path) == CELLS, "the living driver left cells of the dead one")
    demand(Path(f"{path}.csv").read_bytes() == whole, "the table is another one")
    return "one of two killed"


def kill_the_export(folder: Path, rng: random.Random, whole: bytes) -> str:
    """Kill what replaces a table, while somebody reads it."""
    path, reads = folder / "table.csv", 0
    process = start("-c", EXPORTER, path)
    demand(process.stdout is not None and process.stdout.readline() == "begun\n", "the exporter did not begin")
    end = time.monotonic() + rng.uniform(0.0, 0.5)
    while time.monotonic() < end:
        text = path.read_text()
        demand(len(text) == 500_000 and len(set(text)) == 2, "a reader saw a part")
        reads += 1
    process.kill()
    process.communicate()
    demand(len(set(path.read_text())) == 2, "a killed export left a part")
    with Ledger.open(folder / "export.sqlite") as ledger:
        ledger.record("claim", [Row(grid()[0], metrics={"loss": 1.0})])
        ledger.export_csv(path, "claim")
    demand(not list(folder.glob(".*.part")), "what a killed export left behind stayed")
    return f"{reads} reads"


def full_disk(folder: Path, rng: random.Random, whole: bytes) -> str:
    """A small file system of its own where one may be mounted, else a limit on the size of files."""
    place = folder / "small"
    place.mkdir()
    size = rng.randrange(160, 420) * 1024
    mount = ctypes.CDLL(None, use_errno=True).mount
    mounted = mount(b"tmpfs", str(place).encode(), b"tmpfs", 0, f"size={size}".encode()) == 0
    try:
        path = place / "full.sqlite"
        process = start(HERE / "drive.py", path, 1, 0.0, *([] if mounted else [size]))
        _, err = process.communicate(timeout=300)
        if process.returncode == 0:
            return f"{size // 1024} KiB were enough"
        demand("LedgerError" in err and ("is full" in err or "cannot be written" in err), err[-600:])
        if mounted:
            mount(b"tmpfs", str(place).encode(), b"tmpfs", 32, b"size=64m")  # MS_REMOUNT: the disk has room again
        kept = done_rows(path)
        demand(kept % 4 == 0, "a chunk was written in part")
        finished(driver(path, 1, 0.0))
        demand(done_rows(path) == CELLS, "rows are missing after the disk had room again")
        return f"{'a small disk' if mounted else 'a limit on files'} full after {kept} rows"
    finally:
        if mounted:
            ctypes.CDLL(None).umount(str(place).encode())


def copy_in_use(folder: Path, rng: random.Random, whole: bytes) -> str:
    """Copies by `backup`, taken while the ledger is written, are whole ledgers with whole chunks."""
    path, copies = folder / "used.sqlite", 0
    process = driver(path, 2)
    while process.poll() is None:
        time.sleep(rng.uniform(0.02, 0.3))
        if path.exists() and path.stat().st_size:
            copy = folder / f"copy{copies}.sqlite"
            with Ledger.open(path) as ledger:
                ledger.backup(copy)
            demand(done_rows(copy) % 4 == 0, "a copy has a part of a chunk")
            check = sqlite3.connect(copy)
            demand(check.execute("PRAGMA integrity_check").fetchone() == ("ok",), "a copy is damaged")
            check.close()
            copies += 1
    finished(process)
    demand(done_rows(path) == CELLS, "copying lost rows")
    return f"{copies} copies"


TRIALS = (kill_the_driver, kill_workers, two_drivers, kill_the_export, full_disk, copy_in_use)


def torture(rounds: int, seed: int) -> Iterator[tuple[str, str | None]]:
    """A line for each trial, and what went wrong if anything did."""
    with tempfile.TemporaryDirectory() as quiet:
        finished(driver(Path(quiet) / "whole.sqlite", 2))
        whole = (Path(quiet) / "whole.sqlite.csv").read_bytes()
    for number in range(rounds):
        for trial in TRIALS:
            rng, began = random.Random(f"{seed} {number} {trial.__name__}"), time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                try:
                    said, wrong = trial(Path(folder), rng, whole), None
                except (TortureError, subprocess.TimeoutExpired, ValueError) as error:
                    said = wrong = f"{type(error).__name__}: {error}"
            name = trial.__name__.replace("_", " ")
            yield (
                f"{'ok  ' if wrong is None else 'LOST'} {number:3} {name}: {said} ({time.monotonic() - began:.1f} s)",
                wrong,
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failed = 0
    for line, wrong in torture(options.rounds, options.seed):
        print(line, flush=True)
        failed += wrong is not None
    print(f"{failed} of {options.rounds * len(TRIALS)} trials lost something" if failed else "nothing was lost")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
