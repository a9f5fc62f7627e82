"""One fit over two processes, one of them killed and both started again: it comes out as on one."""

import contextlib
import os
import random
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

from widththeory import multihost
from widththeory.experiment import Flags
from widththeory.fit import measure

SCRIPT = """
import sys
from pathlib import Path
from fake_targets import wave
from widththeory import fit
from widththeory.experiment import Flags, fit_table
settings = [wave(0, width=4, depth=2, num_steps=int(sys.argv[2]), batch_size=32)]
flags = Flags(out=Path(sys.argv[1]), log="none", multihost=True)
table = fit_table("experiments/claim.py", flags, settings, fit.measure)
print(table["train_mse"].tolist())
"""


def free_port():
    """A port that nobody listens to, and that the system gives to nobody who does not name it."""
    (first, _) = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    while True:
        port = random.randrange(first // 2, first)
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port


def both(folder, num_steps):
    """Two processes that fit together."""
    address = f"127.0.0.1:{free_port()}"
    environment = os.environ | {
        "JAX_COORDINATOR_ADDRESS": address,
        "JAX_NUM_PROCESSES": "2",
        "JAX_PLATFORMS": "cpu",
        "WIDTHTHEORY_SNAPSHOTS": str(folder / "snapshots"),
        "WIDTHTHEORY_SNAPSHOT_SECONDS": "0",
        "PYTHONPATH": str(Path(__file__).parent),
    }
    command = [sys.executable, "-c", SCRIPT, str(folder), str(num_steps)]
    return [
        subprocess.Popen(
            command,
            env=environment | {"JAX_PROCESS_ID": str(number)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]


def test_a_fit_over_two_processes_survives_the_loss_of_one(tmp_path):
    steps = 4000
    processes = both(tmp_path, steps)
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
    again = both(tmp_path, steps)
    said = [process.communicate(timeout=200) for process in again]
    assert [process.returncode for process in again] == [0, 0], said
    assert said[0][0].splitlines()[-1] == said[1][0].splitlines()[-1]
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
    with pytest.raises(ValueError, match="multihost needs engine pool, got 'dask'"):
        Flags(multihost=True, engine="dask")
    script = "from widththeory import multihost; multihost.join()"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_CO", "JAX_NUM_P", "SLURM"))}
    done = subprocess.run([sys.executable, "-c", script], env=clean, capture_output=True, text=True, check=False)
    assert "ValueError: --multihost found no other hosts" in done.stderr
