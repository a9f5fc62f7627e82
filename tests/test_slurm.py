"""SLURM is asked for what the flags say, chunks handed over together are one array, and Ctrl-C stops its jobs."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import types

import psutil
import pytest

from widththeory import engines
from widththeory.engines import Options, Slurm, slurm

# Beside these tests a cluster's own threads and sockets may still be closed by it in its own time.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
    pytest.mark.xdist_group("engines"),
]


def test_the_sbatch_file_asks_for_what_the_flags_say(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")  # a machine that has SLURM, to submitit
    asked = Options(7, folder=tmp_path, slurm=Slurm("gpu", 1.5, gpus=1, cpus=4, memory_gb=32.0, account="theory"))
    with engines.open_engine("slurm", asked) as jobs:
        assert jobs.memory == engines.GPU_MEMORY
        text = jobs._executor._executor._make_submission_file_text("python work.py", "uid")
    for line in (
        "#SBATCH --job-name=widththeory",
        "#SBATCH --partition=gpu",
        "#SBATCH --time=90",
        "#SBATCH --gpus-per-node=1",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH --mem=32GB",
        "#SBATCH --account=theory",
        "export OMP_NUM_THREADS=1",
    ):
        assert line in text.splitlines(), line


def test_chunks_handed_over_together_are_one_array(tmp_path, monkeypatch):
    class Job:
        def __init__(self, call):
            self.call = call

        def done(self):
            return True

        def result(self):
            chunk, *call = self.call
            assert isinstance(chunk.checkpoint(*call).function, slurm.Chunk)  # goes back in the queue if preempted
            return chunk(*call)

        def cancel(self, check):
            return None

    class Recorder:
        def __init__(self):
            self.arrays = []

        def batch(self):
            self.arrays.append([])
            return contextlib.nullcontext()

        def submit(self, *call):
            self.arrays[-1].append(call)
            return Job(call)

    all_there, recorder = threading.Event(), Recorder()
    gathers = types.SimpleNamespace(sleep=lambda seconds: all_there.wait(300))  # three calls may take longer
    monkeypatch.setattr(slurm, "time", gathers)
    with slurm.Jobs(recorder, 2, 0.01, {}) as jobs:
        futures = [jobs.submit(divmod, 7, two) for two in (2, 3, 4)]
        all_there.set()
        assert [future.result(timeout=300) for future in futures] == [(3, 1), (2, 1), (1, 3)]
    assert [len(array) for array in recorder.arrays] == [3]


def test_a_scheduler_that_does_not_answer_is_left(monkeypatch):
    monkeypatch.setattr(slurm, "_CLOSE_SECONDS", 0.1)
    asked, answer = threading.Event(), threading.Event()

    def batch():
        asked.set()
        answer.wait()
        raise OSError("no answer")

    jobs = slurm.Jobs(types.SimpleNamespace(batch=batch), 2, 0.01, {})
    jobs.submit(divmod, 7, 2)
    assert asked.wait(300)
    closing = threading.Thread(target=jobs.shutdown, daemon=True)
    closing.start()
    closing.join(60)
    left = not closing.is_alive()
    answer.set()
    jobs._thread.join(300)
    assert left
    assert not jobs._thread.is_alive()


@pytest.mark.parametrize(("waits", "seconds", "number"), [(False, 60.0, 3), (True, 0.1, 1)])
def test_a_scheduler_that_cancels_nothing_is_left_and_one_that_does_is_told_all(waits, seconds, number, monkeypatch):
    """`scancel` waits for its scheduler without end, once for each job."""
    monkeypatch.setattr(slurm, "_CLOSE_SECONDS", seconds)
    answer, told = threading.Event(), []

    class Job:
        def done(self):
            return False

        def cancel(self, check):
            told.append(self)
            if waits:
                answer.wait()
            raise ProcessLookupError

    jobs = slurm.Jobs(None, 2, 300.0, {})
    jobs._jobs = {name: Job() for name in range(3)}
    closing = threading.Thread(target=jobs.shutdown, daemon=True)
    closing.start()
    closing.join(60)
    left = not closing.is_alive()
    answer.set()
    assert left
    assert len(told) == number


@pytest.mark.usefixtures("signals")
def test_ctrl_c_on_a_terminal_stops_jobs_without_a_word_of_theirs(tmp_path):
    """It goes to all processes of the group."""
    script = (
        "from pathlib import Path; import sys, time; from widththeory import command, engines\n"
        "with command.plain_errors(), engines.open_engine('slurm', engines.Options(1, folder=Path(sys.argv[1]),"
        " slurm=engines.Slurm(local=True))) as jobs:\n"
        "    jobs.submit(time.sleep, 60).result()\n"
    )
    arguments = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(arguments, start_new_session=True, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(6000):
            time.sleep(0.05)
            if list(tmp_path.glob("*_log.err")):  # the controller has started its task
                break
        (controller,) = (one for one in psutil.Process(process.pid).children() if "submitit" in " ".join(one.cmdline()))
        time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=300)
    assert said == "interrupted; what is finished is kept, and the same command goes on from there\n"
    assert controller.wait(timeout=300) != 0 or not controller.is_running()
    assert "KeyboardInterrupt" in (tmp_path / "controllers.log").read_text()
