"""Fits with resident points, as on a GPU, against those of the host path and against plain loops."""

import concurrent.futures
import os
import subprocess
import sys
import threading
import time
import types
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from fake_targets import Wave, wave

from widththeory import compiled, grid, overlap, processes, training
from widththeory.executors import SpawnPool
from widththeory.fit import load_weights, measure
from widththeory.ledger import Ledger
from widththeory.models.mlp import initial_network
from widththeory.packing import pack
from widththeory.progress import Lines
from widththeory.regression import Regression
from widththeory.resident import Moments, combine, in_blocks, initial_weights, member_network
from widththeory.training import DeviceFit, device_program, sample_targets

# Members of one class of shapes, width at most 8 and depth at most 4, as a GPU would run them side by side.
MIXED = [
    wave(0, width=5, depth=3, keep_weights=True),
    wave(1, 1e-2, width=8, depth=4, keep_weights=True),
    wave(2, 3e-2, width=6, depth=4, target_seed=1, keep_weights=True),
]


def of(result):
    return {name: value for name, value in result.metrics.items() if name != "seconds"}


@pytest.fixture(scope="module")
def together():
    return measure(MIXED, 3)


@pytest.mark.parametrize("member", range(3))
def test_a_mixed_ensemble_equals_each_shape_alone(together, member):
    (alone,) = measure([MIXED[member]], 3)  # on the CPU one shape takes the host path
    found = together[member]
    for (weight, bias), (other, shift) in zip(
        load_weights(found.weights).layers, load_weights(alone.weights).layers, strict=True
    ):
        # 24 steps in float64, in two programs; Adam divides by the root of squared gradients, which magnifies rounding
        np.testing.assert_allclose(weight, other, rtol=0, atol=1e-6)
        np.testing.assert_allclose(bias, shift, rtol=0, atol=1e-6)
    assert found.metrics.keys() == alone.metrics.keys()
    for name, value in of(alone).items():
        assert found.metrics[name] == pytest.approx(value, rel=1e-6), name


def test_errors_measured_on_the_device_are_those_of_the_network(together):
    for settings, result in zip(MIXED, together, strict=True):
        network, target = load_weights(result.weights), Wave(dict(settings.target_args)["seed"])
        points = target.sample(200, np.random.default_rng([0, 1]))
        square = (network(points)[:, 0] - target.target(points)) ** 2
        metrics = result.metrics
        # the same sums of 200 numbers in float64, in another order
        assert metrics["test_mse"] == pytest.approx(np.mean(square), rel=1e-12)
        assert metrics["test_mse_stderr"] == pytest.approx(np.std(square, ddof=1) / np.sqrt(200), rel=1e-12)
        assert metrics["sample_sup_error"] == pytest.approx(np.sqrt(np.max(square)), rel=1e-12)
        assert metrics["relative_error"] == pytest.approx(np.mean(square) / np.var(target.target(points)), rel=1e-12)


def test_polish_on_the_way_is_that_of_the_host():
    chunk = [replace(one, polish_steps=5) for one in MIXED]
    for settings, result in zip(chunk, measure(chunk, 3), strict=True):
        (alone,) = measure([settings], 3)
        # L-BFGS from starts that differ by the rounding of 24 steps
        assert result.metrics["train_mse"] == pytest.approx(alone.metrics["train_mse"], rel=1e-4)


def test_lent_processes_give_the_same_bits(monkeypatch):
    args = (("input_dim", 2), ("k", 2), ("seed", 0))  # a target that other processes know
    chunk = [replace(one, target="wide_random.RandomWideNetwork", target_args=args, polish_steps=3) for one in MIXED]
    here = [of(result) for result in measure(chunk, 3)]
    monkeypatch.setattr(overlap, "_BATCH", 1)
    started = []

    def start():
        started.append(SpawnPool(1))
        return started[-1]

    with overlap.lend(start):
        assert [of(result) for result in measure(chunk, 3)] == here
    assert len(started) == 1

    class Broken(concurrent.futures.Executor):
        def submit(self, *call):
            raise concurrent.futures.BrokenExecutor("killed")

    with overlap.lend(Broken):
        assert [of(result) for result in measure(chunk, 3)] == here  # then it is done here


@pytest.mark.parametrize(("products", "num_steps"), [("dot", 0), ("dot", 23), ("sum", 41)])
def test_steps_beyond_the_last_change_nothing(products, num_steps, monkeypatch):
    monkeypatch.setattr(training, "SUMMED_WIDTH", 8 if products == "sum" else 0)
    chunk = [wave(seed, width=3 + seed, depth=2, num_steps=num_steps) for seed in range(2)]
    assert device_program(chunk[0], 2).products == products
    for settings, result in zip(chunk, measure(chunk, 2), strict=True):
        (alone,) = measure([settings], 2)
        assert result.metrics["best_step"] == alone.metrics["best_step"]
        assert result.metrics["train_mse"] == pytest.approx(alone.metrics["train_mse"], rel=1e-6)  # as above


def test_what_fills_a_member_up_stays_as_it_was(together):
    chunk = [replace(one, num_steps=24) for one in MIXED]
    trained = DeviceFit(chunk, sample_targets(chunk), errors=False).train()
    first, hidden, last = trained.weights
    assert not np.any(first.weight[0, 5:])
    assert not np.any(first.bias[0, 5:])
    assert not np.any(last.weight[0, 5:])
    assert not np.any(hidden[0].weight[0, 5:])
    assert not np.any(hidden[0].weight[0, :, 5:])
    np.testing.assert_array_equal(hidden[2].weight[0], np.eye(8))
    np.testing.assert_array_equal(hidden[2].bias[0], np.zeros(8))


def test_initial_weights_are_those_of_the_host():
    for init in ("he", "hinged"):
        chunk = [replace(one, init=init) for one in MIXED]
        points = sample_targets(chunk).train
        weights = initial_weights(device_program(chunk[0], 3), chunk, points)
        for index, one in enumerate(chunk):
            wanted = initial_network(2, one.size.widths, init=init, seed=one.seed, points=points)
            found = member_network(weights, index, one)
            for (weight, bias), (other, shift) in zip(found.layers, wanted.layers, strict=True):
                np.testing.assert_array_equal(weight, other)
                np.testing.assert_array_equal(bias, shift)


def test_moments_of_blocks_are_those_of_all_points():
    squares = np.random.default_rng(0).uniform(0, 1, 1000) ** 2 + 1e3  # a spread much smaller than the mean
    parts = np.split(squares, [300, 550, 999])
    moments = Moments(
        np.array([[len(p)] for p in parts]),
        np.array([[p.mean()] for p in parts]),
        np.array([[np.sum((p - p.mean()) ** 2)] for p in parts]),
        np.array([[p.max()] for p in parts]),
    )
    count, mean, spread, largest = combine(moments)
    assert (count[0], largest[0]) == (1000, squares.max())
    assert mean[0] == pytest.approx(squares.mean(), rel=1e-14)
    assert spread[0] == pytest.approx(
        np.sum((squares - squares.mean()) ** 2), rel=1e-9
    )  # 1e3 / 0.3 times roundoff, twice
    np.testing.assert_array_equal(in_blocks(np.arange(5.0)[None], 4)[:, 0], [[0, 1, 2, 3], [4, 0, 0, 0]])


def test_a_device_s_chunk_fits_its_memory_and_keeps_it_busy():
    one = wave(width=12, depth=3, batch_size=64, num_train=64, dtype="float32")
    assert one.device_shape == (16, 4)
    assert one.device_chunk_size(80e9) == 8192
    assert one.device_chunk_size(1e9) < one.device_chunk_size(80e9)
    assert one.device_chunk_size(1.0) == 1
    sizes = [replace(one, width=width).device_chunk_size(80e9) for width in (4, 16, 64, 256, 1000)]
    assert sizes == sorted(sizes, reverse=True)
    assert replace(one, width=100, depth=20).device_shape == (128, 24)
    assert wave(width=3).device_program_key == wave(7, 0.1, width=4, depth=4).device_program_key
    assert wave(width=3).device_program_key != wave(width=5).device_program_key


def test_one_two_and_four_devices_agree(tmp_path):
    script = """
import sys, jax
jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))
from fake_targets import wave
from widththeory.fit import measure
same = [wave(seed, width=14, depth=2, num_steps=20) for seed in range(5)]
mixed = [wave(seed, width=3 + seed % 2, depth=2, num_steps=20) for seed in range(4)]
for one in [*measure(same, 5), *measure(mixed, 4)]:
    print(one.metrics["train_mse"], one.metrics["test_mse"])
assert jax.local_device_count() == int(sys.argv[1])
"""
    folder = str(Path(__file__).parent)
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "PYTHONPATH": folder}
    run = {"env": environment, "capture_output": True, "text": True, "check": True}
    outputs = [subprocess.run([sys.executable, "-c", script, count], **run).stdout for count in ("1", "2", "4")]
    one, *others = (np.array(output.split(), float) for output in outputs)
    assert len(one) == 18
    for other in others:
        # Float64, the same mathematics in another partition: rounding of 20 steps of Adam.
        np.testing.assert_allclose(one, other, rtol=1e-9)
    assert list(tmp_path.iterdir())  # and the compiled programs are kept


def test_settings_of_two_classes_are_refused():
    with pytest.raises(ValueError, match="share one program_key, got 2"):
        measure([wave(width=4), wave(width=5)], 2)


def test_a_class_is_compiled_once():
    measure(MIXED, 3)
    before = compiled.compiled_resident.calls()
    measure([replace(one, seed=9, width=8) for one in MIXED], 3)
    assert compiled.compiled_resident.calls() == before
    assert isinstance(MIXED[0], Regression)


def test_a_grid_is_packed_by_classes_where_there_is_an_accelerator(tmp_path, monkeypatch):
    cells = [wave(seed, width=width, depth=2, num_steps=5) for width in (3, 4, 14) for seed in range(2)]
    packing = pack(cells, {}, memory=80e9)
    assert sorted(len(chunk.cells) for chunk in packing.chunks) == [2, 4]
    assert {one.width for chunk in packing.chunks if len(chunk.cells) == 4 for one in chunk.cells} == {3, 4}
    assert [chunk.chunk_size for chunk in pack(cells, {}, memory=80e9, chunk_size=2).chunks] == [2, 2, 2]
    asked = []
    monkeypatch.setattr(grid, "accelerator_memory", lambda: asked.append(1) or 80e9)
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        assert grid.plan(cells, ledger, experiment="claim").programs == 2
        assert grid.run(cells, measure, ledger, experiment="claim", progress="none").done == 6
        assert asked == [1, 1]  # its tool takes a second
        table = ledger.table("claim").set_index(["width", "seed"])
    for (width, seed), row in table.iterrows():
        (alone,) = measure([next(one for one in cells if (one.width, one.seed) == (width, seed))], 1)
        assert row["train_mse"] == pytest.approx(alone.metrics["train_mse"], rel=1e-6)  # as above


def test_out_of_memory_of_a_compiler_halves_the_chunk(tmp_path, monkeypatch):
    real = compiled.compiled_resident

    def short(program, *more):
        if program.ensemble > 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.")
        return real(program, *more)

    monkeypatch.setattr(training, "compiled_resident", short)
    cells = [wave(seed, width=3 + seed % 2, depth=2, num_steps=5) for seed in range(4)]
    monkeypatch.setattr(grid, "accelerator_memory", lambda: 80e9)
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        assert grid.run(cells, measure, ledger, experiment="claim", jobs=1, progress="none").done == 4
        assert set(ledger.table("claim")["made.chunk_size"]) == {2}


def test_memory_of_an_accelerator_is_asked_of_its_tool(monkeypatch):
    said = types.SimpleNamespace(stdout="0, GPU-8a1, 79123\n1, GPU-77b, 40960\n2, GPU-5c2, [N/A]\n")
    monkeypatch.setattr(processes.subprocess, "run", lambda *_, **__: said)
    monkeypatch.setattr(processes.importlib.util, "find_spec", lambda name: name == "jax_cuda13_plugin")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    shares = {"0": 79123, "1,0": 40960, " GPU-77b ": 40960, "0,2": 79123}
    for named, megabytes in shares.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
        assert processes.accelerator_memory() == 0.75 * megabytes * 2**20
    for named in ("2", "MIG-GPU-8a1/1/0"):  # of a size that is not said
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
        assert processes.accelerator_memory() == 16e9
    for named in ("", "-1", "7"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
        assert processes.accelerator_memory() is None
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert processes.accelerator_memory() == 0.75 * 40960 * 2**20
    assert processes.default_jobs(16e9) == 1
    assert processes.side_by_side() == (1, 1)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert processes.accelerator_memory() is None

    def absent(*_, **__):
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.delenv("JAX_PLATFORMS")
    monkeypatch.setattr(processes.subprocess, "run", absent)
    assert processes.accelerator_memory() is None  # a plugin without its driver
    monkeypatch.setattr(processes.importlib.util, "find_spec", lambda name: name == "libtpu")
    assert processes.accelerator_memory() == 16e9


@pytest.mark.parametrize(("cores", "shares"), [(1, (1, 1)), (2, (2, 1)), (3, (2, 2)), (8, (2, 4))])
def test_experiments_side_by_side_use_all_cores(monkeypatch, cores, shares):
    monkeypatch.setattr(processes, "accelerator_memory", lambda: None)
    monkeypatch.setattr(processes, "usable_cores", lambda: cores)
    assert processes.side_by_side() == shares


class Lost(concurrent.futures.Executor):
    """Breaks at the first call; whole once it is restarted."""

    restarts = 0

    def submit(self, fn, /, *args, **kwargs):
        future = concurrent.futures.Future()
        if self.restarts:
            future.set_result(fn(*args, **kwargs))
        else:
            future.set_exception(concurrent.futures.BrokenExecutor("killed"))
        return future

    def restart(self):
        self.restarts += 1


def test_after_a_lost_process_the_others_are_started_anew():
    pool, items = Lost(), list(range(100))
    with overlap.lend(lambda: pool):
        with pytest.warns(RuntimeWarning, match="lost; it is started anew"):
            assert overlap.spread(str, items) == list(map(str, items))
        assert overlap.spread(str, items) == list(map(str, items))
    assert pool.restarts == 1


def test_one_ensemble_is_on_the_device_at_a_time_and_none_after_the_run_is_called_off():
    there, most = [], []

    def fit(_):
        with overlap.device():
            there.append(0)
            most.append(len(there))
            time.sleep(0.02)
            there.pop()

    with overlap.lend(None), concurrent.futures.ThreadPoolExecutor(4) as threads:
        list(threads.map(fit, range(8)))
        assert max(most) == 1
        overlap.call_off()
        with pytest.raises(concurrent.futures.CancelledError):
            fit(None)
    overlap.call_on()
    fit(None)  # the next run


def test_threads_compile_different_programs_side_by_side_and_one_once():
    both, made = threading.Barrier(2, timeout=60), []

    @compiled.Once
    def slow(key):
        """Nothing."""
        both.wait()  # passed only if both keys are under way
        made.append(key)
        return key

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert list(threads.map(slow, (1, 2, 1, 2))) == [1, 2, 1, 2]
    assert sorted(made) == [1, 2]
    assert slow.calls() == 2


def test_a_run_that_stops_calls_its_fits_off_and_the_next_one_begins(tmp_path, monkeypatch):
    """On an accelerator threads measure: those that wait for the device must not train after the run has stopped."""
    monkeypatch.setattr(grid, "accelerator_memory", lambda: 80e9)
    monkeypatch.setattr(grid, "usable_cores", lambda: 4)
    cells = [wave(seed, width=3 + seed, depth=1, num_steps=5) for seed in range(4)]
    trained, end = [], time.monotonic() + 60

    def slow(settings, chunk_size):
        with overlap.device():
            trained.append(settings[0].width)
            while len(trained) == 2 and time.monotonic() < end:  # until the run has stopped
                overlap.go_on()
                time.sleep(0.01)
        return [{"train_mse": 0.0} for _ in settings]

    class Full(Lines):
        def advance(self, state, written):
            raise OSError("the disk is full")

    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        more = {"experiment": "claim", "chunk_size": 1}
        with pytest.raises(OSError, match="full"):
            grid.run(cells, slow, ledger, progress=Full(None), **more)
        assert len(trained) == 2
        assert grid.run(cells, slow, ledger, progress="none", **more).failed == 0
        assert len(ledger.table("claim")) == 4


def test_processes_that_never_begin_are_done_without():
    class Stillborn(Lost):
        def restart(self):
            raise ChildProcessError("worker processes end before they begin to work")

    items = list(range(100))
    with overlap.lend(Stillborn):
        with pytest.warns(RuntimeWarning) as said:
            assert overlap.spread(str, items) == list(map(str, items))
        assert "measured by this process alone: worker processes end" in str(said[-1].message)
        assert overlap.spread(str, items) == list(map(str, items))  # without a word
