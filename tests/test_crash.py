"""Whatever is killed, whenever: nothing acknowledged is lost, nothing measured twice, the table comes out the same."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_fits import fake_measure, grid

from widththeory import grid as engine
from widththeory import processes
from widththeory.ledger import Ledger, Row

DRIVER = """
import sys
from fake_fits import fake_measure, grid
from widththeory import grid as engine
from widththeory.ledger import Ledger
if __name__ == "__main__":
    path, jobs, millis = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    with Ledger.open(path) as ledger:
        if sys.argv[4:]:
            print("opened", flush=True)
            sys.stdin.readline()
        summary = engine.run(
            grid(seeds=10, millis=millis), fake_measure, ledger,
            experiment="claim", jobs=jobs, chunk_size=4, progress="json",
        )
        ledger.export_csv(path + ".csv", "claim")
        print(summary.done)
"""
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
CELLS = grid(seeds=10, millis=4.0)


def start(*command):
    """A Python process in a session of its own, so that its group can be watched and hit."""
    here = Path(__file__).parent
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{here}{os.pathsep}{here.parent}"},
    )


@pytest.fixture
def driver(tmp_path):
    """A driver as a file, since its workers import the main script again."""
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)

    return lambda path, jobs, millis=4.0, *more: start(script, path, jobs, millis, *more)


def finished(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out.splitlines()


def group_is_empty(group, within=60.0):
    """Whether every process of a session has ended."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_a_driver_killed_at_any_moment_loses_and_repeats_nothing(driver, tmp_path):
    finished(driver(tmp_path / "whole.sqlite", 1))
    whole = (tmp_path / "whole.sqlite.csv").read_bytes()
    path = tmp_path / "killed.sqlite"
    rng = random.Random(0)
    acknowledged = 0
    for jobs in (2, 1, 2, 1):
        process = driver(path, jobs)
        # Chunks that it has said to be written must be there, and a few more milliseconds bring any moment.
        for line in process.stdout:
            if '"chunk"' in line:
                acknowledged += 4
                if rng.random() < 0.5:
                    break
        time.sleep(rng.uniform(0, 0.02))
        process.kill()
        process.communicate(timeout=300)
        assert group_is_empty(process.pid), "workers outlive their driver"
        with Ledger.open(path) as ledger:
            assert ledger.counts("claim")["done"] >= acknowledged
            acknowledged = ledger.counts("claim")["done"]
            assert acknowledged % 4 == 0  # chunks are whole
    *_, done = finished(driver(path, 2))
    assert int(done) == len(CELLS) - acknowledged
    assert Path(f"{path}.csv").read_bytes() == whole
    assert finished(driver(path, 1))[-1] == "0"


@pytest.mark.usefixtures("signals")
def test_an_interrupted_driver_leaves_no_workers_and_no_claims(driver, tmp_path):
    process = driver(tmp_path / "ledger.sqlite", 2, 50.0)  # three seconds of work, so that some is left to interrupt
    for line in process.stdout:
        if '"chunk"' in line:
            break
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, workers included
    _, err = process.communicate(timeout=300)
    assert "KeyboardInterrupt" in err
    assert err.count("Traceback") == 1  # the driver's own
    assert group_is_empty(process.pid)
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.counts("claim")["done"] >= 4
        assert ledger.connection.execute("SELECT count(*) FROM claims").fetchone() == (0,)


def test_killed_workers_are_replaced(driver, tmp_path):
    process = driver(tmp_path / "ledger.sqlite", 2, 20.0)  # there must be work left for the second kill
    killed = 0
    for line in process.stdout:
        if '"chunk"' in line and killed < 2:
            with contextlib.suppress(OSError):  # the pool may be ending them just now
                children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                workers = [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
                if workers:
                    os.kill(int(workers[0]), signal.SIGKILL)
                    killed += 1
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert killed == 2
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.counts("claim") == {"done": len(CELLS), "failed": 0}


def test_two_drivers_share_the_work(driver, tmp_path):
    path = tmp_path / "ledger.sqlite"
    both = [driver(path, 1, 25.0, "wait") for _ in range(2)]  # three seconds of work, which both begin at one moment
    assert [process.stdout.readline() for process in both] == ["opened\n"] * 2
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    done = [int(finished(process)[-1]) for process in both]
    assert sum(done) == len(CELLS)
    assert min(done) > 0
    with Ledger.open(path) as ledger:
        assert ledger.counts("claim") == {"done": len(CELLS), "failed": 0}
        assert ledger.connection.execute("SELECT count(*) FROM claims").fetchone() == (0,)
        assert ledger.connection.execute("SELECT count(*) FROM drivers").fetchone() == (0,)


def test_a_reader_sees_the_old_table_or_the_new_one(tmp_path):
    path = tmp_path / "claim.csv"
    rng = random.Random(1)
    for _ in range(6):
        process = start("-c", EXPORTER, path)
        assert process.stdout.readline() == "begun\n"
        end = time.monotonic() + rng.uniform(0.0, 0.03)
        while time.monotonic() < end:
            text = path.read_text()
            assert len(text) == 500_000
            assert len(set(text)) == 2
        process.kill()
        process.communicate(timeout=300)
        assert len(set(path.read_text())) == 2
    # What the killed left behind goes with the next export.
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        ledger.record("claim", [Row(CELLS[0], metrics={"loss": 1.0})])
        ledger.export_csv(path, "claim")
    assert list(tmp_path.glob(".*.part")) == []


def test_a_disk_that_fills_up_stops_the_run_and_loses_nothing(tmp_path):
    cells = grid(seeds=20)
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        (pages,) = ledger.connection.execute("PRAGMA page_count").fetchone()
        ledger.connection.execute(f"PRAGMA max_page_count = {pages + 6}")
        more = {"experiment": "claim", "jobs": 1, "chunk_size": 4, "progress": "none"}
        with pytest.raises(ValueError, match="the disk is full"):
            engine.run(cells, fake_measure, ledger, **more)
        done = ledger.counts("claim")["done"]
        assert 0 < done < len(cells)
        ledger.connection.execute("PRAGMA max_page_count = 1000000")
        assert engine.run(cells, fake_measure, ledger, **more).skipped == done
        assert ledger.counts("claim")["done"] == len(cells)


def test_processes_are_told_apart():
    own = os.getpid()
    assert processes.is_alive(own)
    assert processes.is_alive(own, processes.started(own))
    assert not processes.is_alive(own, "1")
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert not processes.is_alive(child.pid)
    assert processes.usable_cores() >= processes.default_jobs(None) >= 1


UNGUARDED = """
import sys
from fake_fits import fake_measure, grid
from widththeory import grid as engine
from widththeory.ledger import Ledger

with Ledger.open(sys.argv[1]) as ledger:
    engine.run(grid(), fake_measure, ledger, experiment="claim", jobs=2, progress="none")
"""


def test_a_script_without_a_guard_is_told_so_at_once(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(UNGUARDED)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    }
    told = subprocess.run(
        [sys.executable, script, tmp_path / "l.sqlite"], env=environment, capture_output=True, text=True, timeout=300
    )
    assert told.returncode != 0
    assert "GridError: worker processes end before they begin to work" in told.stderr
    assert (
        "a worker process came to start workers of its own: a script that runs a grid must do so under" in told.stderr
    )
    assert len(told.stderr.splitlines()) < 60  # a traceback of the owner's, and a sentence a worker
