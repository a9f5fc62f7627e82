"""One fit over two processes: it survives the loss of one, and whatever goes wrong, none waits for the other."""

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from fake_targets import wave

from widththeory import hosts, multihost
from widththeory.experiment import Flags
from widththeory.fit import measure
from widththeory.ledger import Ledger

BEGINNING = """
import os, signal, sys, time, warnings
from pathlib import Path
from fake_targets import wave
from widththeory import command, fit, multihost
from widththeory.experiment import Flags, fit_table
out, number = Path(sys.argv[1]), int(os.environ["JAX_PROCESS_ID"])
def table(settings, out=out):
    flags = Flags(out=out, log="none", multihost=True)
    return fit_table("experiments/claim.py", flags, settings, fit.measure)
def some(num_steps=40, **changes):
    return wave(width=4, depth=2, num_steps=num_steps, **changes)
"""

ONE_FIT = """
pieces = multihost.pieces
def told(num_steps, length, begun):
    print("begun:", begun)
    return pieces(num_steps, length, begun)
multihost.pieces = told
print(table([some(int(sys.argv[2]))])["train_mse"].tolist())
"""

# Each is said in turn, as a command would end by it.
CANNOT_BEGIN = """
for settings, file in (([some(batch_size=32 + 2 * number)], ""), ([some()], "not a ledger")):
    (out / "claim.sqlite").write_text(file)
    try:
        with command.plain_errors():
            table(settings)
    except SystemExit as end:
        print("status", end.code)
with command.plain_errors():
    table([some(batch_size=33), some(batch_size=32)])
"""

FAILS_EVERYWHERE = """
measured, trained = multihost.host_metrics, multihost.run_resident
def failing(one, *rest):
    if one.seed == 0:
        raise ValueError("no such errors")
    return measured(one, *rest)
def uncompiled(program, *rest):
    if program.optimizer == "adadelta":
        raise ValueError("no such program")
    return trained(program, *rest)
multihost.host_metrics, multihost.run_resident = failing, uncompiled
rows = table([some(seed=0), some(seed=1, optimizer="adadelta"), some(seed=2)], out / f"of process {number}")
for column in rows:
    print(column, rows[column].dtype, rows[column].tolist())
print(dict(zip(rows["seed"], rows["status"])))
"""

# Process 1 alone fails, when it begins the third segment, or when it measures the network.
FAILS_ON_ONE = """
name = sys.argv[2]
usual, calls = getattr(multihost, name), []
def failing(*arguments):
    calls.append(name)
    if number == 1 and len(calls) == (7 if name == "filled" else 1):
        raise ValueError("only here")
    return usual(*arguments)
setattr(multihost, name, failing)
table([some()])
"""

# Process 1 is killed when a function is called for the so manieth time.
LOSES_ONE = """
name, moment = sys.argv[2], int(sys.argv[3])
usual, calls = getattr(multihost, name), []
def dying(*arguments):
    calls.append(name)
    if number == 1 and len(calls) == moment:
        os.kill(os.getpid(), signal.SIGKILL)
    return usual(*arguments)
setattr(multihost, name, dying)
table([some(seed=0), some(seed=1)])
"""

# Process 0 is killed while process 1 waits for nobody.
LOSES_THE_FIRST = """
def first_lost(*_):
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(100)
multihost.host_metrics = first_lost
table([some()])
"""

TERMINATED = """
def terminated(*_):
    signal.raise_signal(signal.SIGTERM)
    time.sleep(60)
multihost.host_metrics = terminated
def main(flags: Flags) -> None:
    table([some()])
command.run(main, [])
"""

NOT_SHARED = """
multihost.Snapshots.remove = lambda self: None
table([some()], out / "first")
if number == 1:
    os.environ["WIDTHTHEORY_SNAPSHOTS"] = str(out / "of process 1")
table([some()], out / "second")
"""


def free_port():
    """A port that nobody listens to, and that the system gives to nobody who does not name it."""
    (first, _) = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    while True:
        port = random.randrange(first // 2, first)
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port


def both(script, folder, *arguments, numbers=(0, 1)):
    """Two processes that fit together, or only some of them."""
    address = f"127.0.0.1:{free_port()}"
    environment = os.environ | {
        "JAX_COORDINATOR_ADDRESS": address,
        "JAX_NUM_PROCESSES": "2",
        "JAX_PLATFORMS": "cpu",
        "WIDTHTHEORY_SNAPSHOTS": str(folder / "snapshots"),
        "WIDTHTHEORY_SNAPSHOT_SECONDS": "0",
        "WIDTHTHEORY_JOIN_SECONDS": "120" if len(numbers) == 2 else "3",
        "PYTHONPATH": str(Path(__file__).parent),
    }
    command = [sys.executable, "-c", BEGINNING + script, str(folder), *map(str, arguments)]
    return [
        subprocess.Popen(
            command,
            env=environment | {"JAX_PROCESS_ID": str(number)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in numbers
    ]


def ended(processes, seconds=120):
    """Exit statuses of the processes, what they printed, and what they said on stderr; they must come to an end."""
    end, said, waiting = time.monotonic() + seconds, [], []
    for number, process in enumerate(processes):
        try:
            said.append(process.communicate(timeout=max(1.0, end - time.monotonic())))
        except subprocess.TimeoutExpired:
            waiting.append(number)
            process.kill()
            said.append(process.communicate())
    assert not waiting, f"process {waiting} still waited after {seconds} seconds: {said}"
    return [process.returncode for process in processes], *zip(*said, strict=True)


def test_what_cannot_begin_is_said_on_every_host(tmp_path):
    statuses, printed, said = ended(both(CANNOT_BEGIN, tmp_path))
    assert statuses == [2, 2], said
    assert [text.splitlines()[-2:] for text in printed] == [["status 2"] * 2] * 2
    assert "claim.sqlite" in said[0]
    assert "process 0 has stopped, and says why" in said[1]
    for text in said:
        assert "with the same versions of the packages, but process 1 differs from process 0" in text
        assert "batch_size must be a multiple of the 2 devices of all hosts, got 33" in text
        assert "Traceback" not in text


def test_a_fit_that_fails_on_every_host_is_marked_and_the_next_one_begins(tmp_path):
    """Each host has a folder of its own here: that of process 0 has the rows, and all are told them."""
    (tmp_path / "snapshots").write_text("no snapshot can be written here, which stops nobody")
    statuses, printed, said = ended(both(FAILS_EVERYWHERE, tmp_path))
    assert statuses == [0, 0], said
    tables = [[line for line in text.splitlines() if "Gloo" not in line] for text in printed]
    assert tables[0] == tables[1]
    assert tables[0][-1] == "{0: 'failed', 1: 'failed', 2: 'done'}"
    assert "RuntimeWarning: no snapshot in" in said[0]
    with Ledger.open(tmp_path / "of process 0" / "claim.sqlite") as ledger:
        errors = [error for _, error in sorted(ledger.failures("claim"), key=lambda failure: failure[0]["seed"])]
    reasons = ["ValueError: no such errors", "ValueError: no such program"]
    assert [error.splitlines()[-1] for error in errors] == reasons


@pytest.mark.parametrize("part", ["filled", "host_metrics"])
def test_a_failure_on_one_host_ends_all_and_marks_no_fit(tmp_path, part):
    statuses, _, said = ended(both(FAILS_ON_ONE, tmp_path, part))
    assert 0 not in statuses
    assert "ValueError: only here" in said[1]
    assert "run the same commands again" in said[1]
    with Ledger.open(tmp_path / "claim.sqlite") as ledger:
        assert not any(ledger.counts("claim").values())


@pytest.mark.parametrize(("part", "moment", "done"), [("_gather", 2, 0), ("filled", 7, 0), ("fit_across_hosts", 2, 1)])
def test_the_loss_of_a_host_is_said_and_marks_no_fit(tmp_path, part, moment, done):
    statuses, _, said = ended(both(LOSES_ONE, tmp_path, part, moment))
    assert statuses == [1, -9], said
    assert "a host was lost" in said[0]
    assert "run the same commands again" in said[0]
    assert "Traceback" not in said[0]
    with Ledger.open(tmp_path / "claim.sqlite") as ledger:
        counts = ledger.counts("claim")
    assert counts.get("failed", 0) == 0
    assert counts.get("done", 0) == done


def test_the_loss_of_the_first_host_is_said_though_jax_aborts(tmp_path):
    statuses, _, said = ended(both(LOSES_THE_FIRST, tmp_path))
    assert statuses == [-signal.SIGKILL, -signal.SIGABRT], said
    assert said[1].splitlines()[-1] == (
        "process 1 was killed, or aborted by JAX since a host was lost: run the same commands again"
    )


def test_hosts_that_are_terminated_stop_as_by_ctrl_c(tmp_path):
    """JAX would take the signal for a word that it should save what it has, and go on."""
    statuses, _, said = ended(both(TERMINATED, tmp_path))
    assert statuses == [128 + signal.SIGTERM] * 2, said
    assert all(
        "interrupted; what is finished is kept, and the same commands go on from there\n" in text for text in said
    )


@pytest.mark.parametrize(("number", "log"), [(0, "none"), (1, "plain")])
def test_a_host_that_is_alone_says_so_and_ends(tmp_path, number, log):
    begun = time.monotonic()
    script = f'fit_table("claim.py", Flags(out=out, log="{log}", multihost=True), [some()], fit.measure)'
    (status,), _, (said,) = ended(both(script, tmp_path, numbers=[number]), 60)
    assert status == 2, said
    waiting = r"waiting for 2 processes at 127\.0\.0\.1:\d+"
    *first, last = said.splitlines()
    assert re.match(f"{waiting} was in vain for 3 s: run the same command on every host, for instance JAX_COORD", last)
    assert len(first) == (log == "plain")
    assert all(re.fullmatch(f"{waiting}, for 3 s at most", line) for line in first)
    assert time.monotonic() - begun > 3


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"JAX_COORDINATOR_ADDRESS": "10.0.0.1"}, "JAX_COORDINATOR_ADDRESS must be host:port of process 0, got '10.0"),
        ({"JAX_COORDINATOR_ADDRESS": "10.0.0.1:http"}, "JAX_COORDINATOR_ADDRESS must be host:port of process 0, got"),
        ({"JAX_COORDINATOR_ADDRESS": ":70000"}, "JAX_COORDINATOR_ADDRESS must be host:port of process 0, got"),
        ({"JAX_NUM_PROCESSES": "two"}, "JAX_NUM_PROCESSES must be an integer of at least 1, got 'two'"),
        ({"JAX_NUM_PROCESSES": "0"}, "JAX_NUM_PROCESSES must be an integer of at least 1, got '0'"),
        ({"JAX_PROCESS_ID": "-1"}, "JAX_PROCESS_ID must be an integer of at least 0, got '-1'"),
        ({"JAX_PROCESS_ID": "2"}, "JAX_PROCESS_ID must be less than JAX_NUM_PROCESSES=2, got 2"),
        ({"WIDTHTHEORY_JOIN_SECONDS": "soon"}, "WIDTHTHEORY_JOIN_SECONDS must be a positive number, got 'soon'"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch, changes, text):
    usual = {"JAX_COORDINATOR_ADDRESS": "[::1]:1234", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "0"}
    for name, value in usual.items():
        monkeypatch.setenv(name, value)
    arguments = {"coordinator_address": "[::1]:1234", "num_processes": 2, "process_id": 0}
    assert hosts._arguments() == arguments
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    # Wrongly accepted values must not start a cluster in this process.
    monkeypatch.setattr(jax.distributed, "initialize", lambda **_: pytest.fail("accepted"))
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        hosts.join()
    for name in usual:
        assert name in str(caught.value) or "JOIN_SECONDS" in text


def test_all_hosts_go_on_from_the_same_snapshot_or_stop(tmp_path):
    statuses, _, said = ended(both(NOT_SHARED, tmp_path))
    assert statuses == [2, 2], said
    for text, folder in zip(said, ("snapshots", "of process 1"), strict=True):
        assert "process 1 does not have the same snapshot of this fit as process 0" in text
        assert f"{tmp_path / folder}" in text
        assert "set WIDTHTHEORY_SNAPSHOTS to one folder that all hosts see" in text
        assert "Traceback" not in text


def test_segments_lead_from_where_a_fit_begins_to_its_end():
    assert list(multihost.pieces(10, 4)) == [(0, 0), (0, 4), (4, 8), (8, 10)]
    assert list(multihost.pieces(10, 4, 0)) == [(0, 4), (4, 8), (8, 10)]
    assert list(multihost.pieces(10, 4, 8)) == [(8, 10)]
    assert list(multihost.pieces(0, 1)) == [(0, 0)]


def test_a_fit_goes_on_only_by_what_began_it():
    made_by = multihost._made_by()
    assert {"widththeory", "jax", "numpy", "device", "num_devices"} <= set(made_by)
    assert not {"host", "commit"} & set(made_by)


def test_a_fit_over_two_processes_survives_the_loss_of_one(tmp_path):
    steps = 4000
    processes = both(ONE_FIT, tmp_path, steps)
    end = time.monotonic() + 120
    try:
        # The first snapshot is that of some step before the last one.
        while not [path for path in tmp_path.glob("snapshots/*/*") if path.name.isdecimal() and path.name != "0"]:
            assert time.monotonic() < end
            assert all(process.poll() is None for process in processes)
            time.sleep(0.01)
        processes[1].kill()
        processes[0].communicate(timeout=150)
        assert processes[0].returncode != 0  # one fault domain
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    taken = max(int(path.name) for path in tmp_path.glob("snapshots/*/*") if path.name.isdecimal())
    assert 0 < taken < steps
    statuses, printed, said = ended(both(ONE_FIT, tmp_path, steps), 200)
    assert statuses == [0, 0], said
    assert printed[0].splitlines()[-2:] == printed[1].splitlines()[-2:]
    assert f"begun: {taken}" in printed[0]
    assert not list(tmp_path.glob("snapshots/*"))  # removed once the fit is done
    table = pd.read_csv(tmp_path / "claim.csv")
    (alone,) = measure([wave(0, width=4, depth=2, num_steps=steps, batch_size=32)], 1)
    # Float64; the gradient is summed in another order, and 4,000 steps of Adam magnify rounding.
    assert table["train_mse"][0] == pytest.approx(alone.metrics["train_mse"], rel=1e-3)
    assert np.all(np.isfinite(table["relative_error"]))


def test_what_cannot_be_shared_is_said():
    devices = jax.device_count()
    with pytest.raises(ValueError, match=f"batch_size must be a multiple of the {devices + 1} devices"):
        multihost.check_batch(wave(batch_size=devices + 2), devices + 1)
    with pytest.raises(ValueError, match="multihost fits Regression settings, got str"):
        multihost.check_batch("no settings", 1)
    with pytest.raises(ValueError, match="multihost needs engine pool, got 'dask'"):
        Flags(multihost=True, engine="dask")
    script = "from widththeory import hosts; hosts.join()"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_CO", "JAX_NUM_P", "SLURM"))}
    done = subprocess.run([sys.executable, "-c", script], env=clean, capture_output=True, text=True, check=False)
    told = (
        "ValueError: --multihost cannot meet the other hosts: set JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, JAX_PROC"
    )
    assert told in done.stderr
