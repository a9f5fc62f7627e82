"""A fit to images that was killed goes on from its last snapshot, and a file that is none is never believed."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from image_fits import TIMES, fit

from widththeory import classify
from widththeory.classify import measure
from widththeory.snapshots import Snapshots, snapshot_folder

pytestmark = pytest.mark.usefixtures("quick_to_compile")

KILLED = """
import os, signal, sys
from widththeory import classify, image_programs
from widththeory.snapshots import Snapshots

image_programs._OPTIONS["cpu"]["xla_backend_optimization_level"] = "0"

save = Snapshots.save

def save_and_die(self, step, arrays):
    save(self, step, arrays)
    if step == 4:
        os.kill(os.getpid(), signal.SIGKILL)

Snapshots.save = save_and_die
exec(sys.argv[1])
classify.measure([settings], 1)
"""


def test_a_fit_that_is_killed_goes_on_with_the_same_bits(monkeypatch, tmp_path):
    settings = fit(compute_dtype="float32")
    (whole,) = measure([settings], 1)
    monkeypatch.setenv("WIDTHTHEORY_SNAPSHOTS", str(tmp_path))
    monkeypatch.setenv("WIDTHTHEORY_SNAPSHOT_SECONDS", "0")
    made = f"settings = classify.Classification(**{dataclasses.asdict(settings)!r})"
    died = subprocess.run([sys.executable, "-c", KILLED, made], env=os.environ, capture_output=True, text=True)
    assert died.returncode == -9, died.stderr
    ((folder, names),) = [(path, os.listdir(path)) for path in tmp_path.iterdir()]
    assert names == ["4"]
    taken = []
    monkeypatch.setattr(classify._Fit, "go_on", go_on := _recording(classify._Fit.go_on, taken))
    assert go_on is classify._Fit.go_on
    (resumed,) = measure([settings], 1)
    assert taken == [4]
    assert resumed.metrics | TIMES == whole.metrics | TIMES
    assert not folder.exists()


def test_turns_that_ended_before_a_kill_are_not_run_again(monkeypatch, tmp_path):
    """Rows are written after the last turn of a call: if one takes long, those before it are kept until then."""
    one, other = fit(compute_dtype="float32"), fit(compute_dtype="float32", seed=5)
    whole = measure([one, other], 2)
    monkeypatch.setenv("WIDTHTHEORY_SNAPSHOTS", str(tmp_path))
    monkeypatch.setenv("WIDTHTHEORY_SNAPSHOT_SECONDS", "0")
    trained, train = [], classify._Fit.train

    def train_the_first(self, snapshots):
        trained.append(self.chunk[0].seed)
        if len(trained) == 2:
            raise KeyboardInterrupt
        train(self, snapshots)

    monkeypatch.setattr(classify._Fit, "train", train_the_first)
    with pytest.raises(KeyboardInterrupt):
        measure([one, other], 2)
    again = measure([one, other], 2)
    assert trained == [one.seed, other.seed, other.seed]
    assert [found.metrics | TIMES for found in again] == [found.metrics | TIMES for found in whole]
    assert list(tmp_path.iterdir()) == []


def _recording(method, steps):
    def go_on(self, step, arrays):
        steps.append(step)
        method(self, step, arrays)

    return go_on


def test_a_user_without_a_home_has_that_of_containers(monkeypatch):
    """A number without an entry in /etc/passwd: all fits of such a user failed."""

    def none():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", none)
    for name in ("WIDTHTHEORY_SNAPSHOTS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert snapshot_folder() == Path("/.cache/widththeory/snapshots")


@pytest.mark.parametrize("seconds", ["soon", "-1", "nan"])
def test_settings_of_snapshots_that_are_none_fail_no_fit(monkeypatch, tmp_path, seconds):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("WIDTHTHEORY_SNAPSHOTS", "~nobody_of_that_name")
    monkeypatch.setenv("WIDTHTHEORY_SNAPSHOT_SECONDS", seconds)
    with (
        pytest.warns(
            RuntimeWarning, match=f"SNAPSHOT_SECONDS must be a number of seconds, at least 0, got '{seconds}'"
        ),
        pytest.warns(RuntimeWarning, match="WIDTHTHEORY_SNAPSHOTS must be a folder, got '~nobody_of_that_name'"),
    ):
        snapshots = Snapshots("a fit")
    assert snapshots.interval == 60.0
    assert snapshots.folder.parent == tmp_path / "widththeory" / "snapshots"


def test_what_is_no_snapshot_is_left_alone_with_a_word(monkeypatch, tmp_path):
    monkeypatch.setenv("WIDTHTHEORY_SNAPSHOTS", str(tmp_path))
    assert snapshot_folder() == tmp_path
    arrays = {"state.0": np.arange(3.0)}  # a single one, as of several orbax leaves some reads behind when one fails
    snapshots = Snapshots("a fit", interval=0.0)
    assert snapshots.load(arrays) is None
    for step in (2, 4):
        snapshots.save(step, arrays)
    step, found = snapshots.load(arrays)
    assert step == 4
    assert np.array_equal(found["state.0"], arrays["state.0"])
    assert Snapshots("another fit").load(arrays) is None
    for others in ({"state.0": np.arange(4.0)}, {"state.0": np.arange(3, dtype="f4")}, {"state.1": arrays["state.0"]}):
        with pytest.warns(RuntimeWarning, match="starts anew: its arrays are those of another fit"):
            assert snapshots.load(others) is None
    (manifest,) = (snapshots.folder / "4").glob("manifest.ocdbt")
    manifest.write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR.")
    with pytest.warns(RuntimeWarning, match="is not a snapshot of this fit"):
        assert snapshots.load(arrays) is None
    snapshots.save(4, arrays)
    assert snapshots.load(arrays)[0] == 4
    (snapshots.folder / "notes.txt").write_text("not ours")
    (snapshots.folder / "7").write_text("nor is this")
    assert snapshots.load(arrays)[0] == 4
    (snapshots.folder / "7").unlink()
    snapshots.remove()
    assert [path.name for path in snapshots.folder.iterdir()] == ["notes.txt"]


def test_a_snapshot_is_due_before_a_minute_is_lost(monkeypatch, tmp_path):
    monkeypatch.setenv("WIDTHTHEORY_SNAPSHOTS", str(tmp_path))
    snapshots = Snapshots("a fit", interval=60.0)
    assert not snapshots.due(ahead=0.0)
    assert snapshots.due(ahead=60.0)
    snapshots._last -= 60.0
    assert snapshots.due(ahead=0.0)
    snapshots.save(1, {"state.0": np.arange(3.0)})
    assert not snapshots.due(ahead=0.0)


def test_the_newest_snapshot_is_kept_even_if_it_is_of_an_earlier_step(monkeypatch, tmp_path):
    """A fit that found its last snapshot damaged has started anew."""
    monkeypatch.setenv("WIDTHTHEORY_SNAPSHOTS", str(tmp_path))
    arrays, snapshots = {"state.0": np.arange(3.0)}, Snapshots("a fit", interval=0.0)
    for step in (4, 2):
        snapshots.save(step, arrays)
    assert [path.name for path in snapshots.folder.iterdir()] == ["2"]
    shutil.copytree(snapshots.folder / "2", tmp_path / "older")
    snapshots.save(3, {"state.0": np.ones(3)})
    shutil.copytree(tmp_path / "older", snapshots.folder / "2")  # as if killed before it was removed
    step, found = snapshots.load(arrays)
    assert (step, found["state.0"].tolist()) == (3, [1.0] * 3)


def test_a_snapshot_that_cannot_be_written_is_only_warned_of(monkeypatch, tmp_path):
    monkeypatch.setenv("WIDTHTHEORY_SNAPSHOTS", str(tmp_path))
    snapshots = Snapshots("a fit", interval=60.0)
    snapshots._last -= 60.0
    snapshots.folder.write_text("a file")
    with pytest.warns(RuntimeWarning, match=f"^no snapshot in {snapshots.folder}: "):
        snapshots.save(1, {"state.0": np.arange(3.0)})
    assert not snapshots.due(ahead=0.0)  # not tried at every step
    script = (
        "import numpy; from widththeory.snapshots import Snapshots; Snapshots('a fit').save(1, {'x': numpy.ones(3)})"
    )
    told = subprocess.run([sys.executable, "-c", script], env=os.environ, capture_output=True, text=True, timeout=200)
    # Beside what JAX may say of the machine; and no thread keeps the process from its end, or dies with a traceback.
    assert (told.returncode, told.stderr.count("no snapshot in "), told.stderr.count("Traceback")) == (0, 1, 0)


def test_what_one_of_several_processes_writes_alone_is_read_as_any_other(monkeypatch, tmp_path):
    import orbax.checkpoint as ocp

    monkeypatch.setenv("WIDTHTHEORY_SNAPSHOTS", str(tmp_path))
    arrays, usual, given = {"state.0": np.arange(3.0), "state.1": np.ones(2)}, ocp.StandardCheckpointer, []
    monkeypatch.setattr(ocp, "StandardCheckpointer", lambda **options: given.append(options) or usual(**options))
    Snapshots("a fit", alone=0).save(2, arrays)
    step, found = Snapshots("a fit").load(arrays)
    assert step == 2
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    assert given[0]["multiprocessing_options"].active_processes == {0}
    assert "multiprocessing_options" not in given[1]
