"""Speed of the fit engine on the device that JAX finds: fits a second, share of what the device can do, a whole grid.

Command: python tests/bench/device_speed.py [--quick] [--seconds N]
Measures: rates of the device itself (a large float32 product, a copy); for five shapes, training steps of ensembles of
    growing size as fits of 2,000 steps a second, beside the time that the device's own rates allow (the roofline: the
    larger of operations over the product's rate and bytes over the copy's); narrow layers as sums and as matrix
    products; one full chunk through `fit.measure`, split into its parts; and the grid of 900 fits of `grid_speed.py`
    (widths 3 to 64, depths 2 to 12, 5 seeds, 3 learning rates, 2,000 steps of 256 points) through a ledger, cold.
Time: under three minutes on an H100: parts that no longer fit in --seconds (160) are left out, and said to be. --quick,
    or a machine without an accelerator, takes small ensembles, few steps and a corner of the grid: a minute on two
    cores.
"""

import argparse
import dataclasses
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from widththeory import fit, grid, processes
from widththeory.compiled import compiled_resident, members_a_device, place_resident, prepare_jax, start_from
from widththeory.ledger import Ledger
from widththeory.regression import Regression
from widththeory.resident import Resident, initial_weights, trained_layers
from widththeory.training import DeviceFit, device_program, sample_targets

SHAPES = ((3, 4), (8, 4), (16, 4), (32, 8), (64, 4))
ENSEMBLES = (64, 512, 2048, 8192)
WIDTHS, DEPTHS, SEEDS, RATES = (3, 4, 6, 8, 12, 16, 24, 32, 48, 64), (2, 3, 4, 6, 8, 12), range(5), (3e-4, 1e-3, 3e-3)
NUM_STEPS, BATCH, NUM_POINTS = 2000, 256, 8192
ARGS = (("input_dim", 2), ("k", 3))


def one(width: int, depth: int, seed: int = 0, rate: float = 1e-3, target: int = 0, **more: Any) -> Regression:
    """Settings of one fit."""
    numbers = {"num_steps": NUM_STEPS, "batch_size": BATCH, "num_train": NUM_POINTS, "num_test": NUM_POINTS} | more
    args = (*ARGS, ("seed", target))
    return Regression("wide_random.RandomWideNetwork", args, width, depth, seed, rate, **numbers)


def best_seconds(task: Callable[[], Any], repeats: int = 3) -> float:
    """Least time of several runs by the clock."""
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(task())
        best = min(best, time.perf_counter() - start)
    return best


def device_rates(quick: bool) -> tuple[float, float]:
    """Operations a second of a large float32 product, and bytes a second of a copy (read and written)."""
    size, count = (1024, 2**24) if quick else (8192, 2**28)
    matrix = jax.random.normal(jax.random.key(0), (size, size), jnp.float32)
    multiply = jax.jit(lambda a: jnp.matmul(a, a, precision=jax.lax.Precision.HIGHEST))
    copy = jax.jit(lambda a: a + 1)
    line = jnp.zeros(count, jnp.float32)
    jax.block_until_ready((multiply(matrix), copy(line)))
    return 2 * size**3 / best_seconds(lambda: multiply(matrix)), 8 * count / best_seconds(lambda: copy(line))


def step_work(width: int, depth: int) -> tuple[float, float]:
    """Operations and bytes of one step of one network, by formula.

    Of each hidden layer: its values are written once and read three times (by the next layer, the gradient of its
    weights, the mask), their errors written once and read twice.
    """
    weights = width * 3 + (depth - 1) * width * (width + 1) + width + 1
    return 6.0 * weights * BATCH, 4.0 * (7 * depth * width * BATCH + 8 * weights)


class Steps:
    """One ensemble of a shape, ready to take a segment of steps."""

    def __init__(self, width: int, depth: int, ensemble: int, products: str) -> None:
        self.width, self.depth, self.products = width, depth, products
        self.ensemble = members_a_device(ensemble)
        chunk = [one(width, depth, seed) for seed in range(self.ensemble)]
        self.program = dataclasses.replace(device_program(chunk[0], self.ensemble), products=products)
        self.data = sample_targets(chunk)
        self.chunk = chunk
        start = time.perf_counter()
        self.run = compiled_resident(self.program, NUM_POINTS, 1)
        self.compiling = time.perf_counter() - start

    def seconds(self) -> float:
        """Seconds a step of all members, from whole segments."""
        program, data = self.program, self.data
        rates = np.full(self.ensemble, 1e-3, np.float32)
        layers = trained_layers(program, self.chunk)
        resident = place_resident(
            program,
            Resident(data.train.T.astype(np.float32), data.train_values.astype(np.float32), data.member, layers, rates),
        )
        state = start_from(program, initial_weights(program, self.chunk, data.train))
        rows = np.random.default_rng(0).integers(0, NUM_POINTS, (program.segment, BATCH)).astype(np.int32)
        scalars, count = np.ones((program.segment, 2), np.float32), np.int32(program.segment)
        best = np.inf
        for _ in range(3):
            start = time.perf_counter()
            state = jax.block_until_ready(self.run(state, resident, rows, scalars, count, count))
            best = min(best, time.perf_counter() - start)
        return best / program.segment


def shapes_part(quick: bool, rates: tuple[float, float], late: Callable[[], bool]) -> None:
    """Fits a second against the size of the ensemble."""
    memory = processes.accelerator_memory() or 8e9
    wanted = []
    for width, depth in SHAPES[:3] if quick else SHAPES:
        full = one(width, depth).device_chunk_size(memory)
        sizes = (16, 64) if quick else sorted({min(size, full) for size in ENSEMBLES})
        kinds = ("sum", "dot") if width <= 16 else ("dot",)
        wanted += [(width, depth, size, kind) for size in sizes for kind in kinds if size == sizes[-1] or kind == "dot"]
    print("width depth networks products  compile s   us/step  fits/s  TFLOP/s  of roofline", flush=True)
    with ThreadPoolExecutor(min(8, processes.usable_cores())) as threads:
        for task in [threads.submit(guarded, Steps, *each) for each in wanted]:
            ready = task.result()
            if isinstance(ready, str):
                print(f"  left out: {ready}", flush=True)
                continue
            if late():
                print("  further shapes left out: time", flush=True)
                threads.shutdown(wait=False, cancel_futures=True)
                return
            seconds = guarded(ready.seconds)
            if isinstance(seconds, str):
                print(f"  width {ready.width}, {ready.ensemble} networks: {seconds}", flush=True)
                continue
            flops, moved = (part * ready.ensemble for part in step_work(ready.width, ready.depth))
            roof = max(flops / rates[0], moved / rates[1])
            print(
                f"{ready.width:5}{ready.depth:6}{ready.ensemble:9}{ready.products:>9}{ready.compiling:11.1f}"
                f"{1e6 * seconds:10.0f}{ready.ensemble / seconds / NUM_STEPS:8.1f}{flops / seconds / 1e12:9.3f}"
                f"{roof / seconds:13.0%}",
                flush=True,
            )


def chunk_part(quick: bool) -> None:
    """One full chunk, as the grid would run it, and where its time goes."""
    memory = processes.accelerator_memory() or 8e9
    count = 32 if quick else one(16, 4).device_chunk_size(memory)
    steps = 100 if quick else NUM_STEPS
    chunk = [one(13 + seed % 4, 3 + seed % 2, seed, target=seed % 7, num_steps=steps) for seed in range(count)]
    times, results = [time.perf_counter()], []
    data = sample_targets(chunk)
    times.append(time.perf_counter())
    ready = DeviceFit(chunk, data, errors=True)
    times.append(time.perf_counter())
    weights = initial_weights(ready.program, chunk, data.train)
    times.append(time.perf_counter())
    ready.train()
    times.append(time.perf_counter())
    results = fit.measure(chunk, count)
    times.append(time.perf_counter())
    sampled, compiled, drawn, trained, whole = np.diff(times)
    del weights
    print(
        f"{count} networks of mixed shapes up to width 16 and depth 4, {steps} steps: targets {sampled:.2f} s, "
        f"compiling {compiled:.1f} s, drawing weights {drawn:.2f} s, training with errors {trained:.2f} s, "
        f"`fit.measure` again and whole {whole:.2f} s: {len(results) / whole:.1f} fits/s, "
        f"{1 - trained / whole:.0%} of it outside the device",
        flush=True,
    )


def grid_part(quick: bool) -> None:
    """The grid of 900 fits through a ledger, nothing compiled before."""
    widths, depths, steps = ((3, 8), (2,), 100) if quick else (WIDTHS, DEPTHS, NUM_STEPS)
    cells = [
        one(width, depth, seed, rate, num_steps=steps)
        for width, depth, seed, rate in product(widths, depths, SEEDS, RATES)
    ]
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder) / "bench.sqlite") as ledger:
        for name in ("cold", "with its programs compiled"):
            plan = grid.plan(cells, ledger, experiment=name)
            start = time.perf_counter()
            done = grid.run(cells, fit.measure, ledger, experiment=name, progress="none")
            seconds = time.perf_counter() - start
            print(
                f"{len(cells)} fits of {steps} steps, {name}: {seconds:.1f} s by the clock, {done.done} done, "
                f"{done.failed} failed, {plan.chunks} chunks of {plan.programs} programs",
                flush=True,
            )
            for _, error in ledger.failures(name)[:1]:
                print(error.strip().splitlines()[-1], flush=True)


def guarded(task: Callable[..., Any], *args: Any) -> Any:
    """What the task gives, or its error in a line: one part that fails leaves the others."""
    try:
        return task(*args)
    except Exception as error:
        traceback.print_exc(limit=-3)
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small ensembles and a corner of the grid")
    parser.add_argument("--seconds", type=float, default=160.0, help="no part begins later than this")
    options = parser.parse_args()
    began = time.perf_counter()
    prepare_jax()
    device = jax.devices()[0]
    quick = options.quick or device.platform == "cpu"
    print(
        f"{jax.device_count()} x {device.device_kind}, jax {jax.__version__}, {processes.usable_cores()} cores",
        flush=True,
    )
    rates = guarded(device_rates, quick)
    if isinstance(rates, str):
        return 1
    print(f"product {rates[0] / 1e12:.2f} TFLOP/s, copy {rates[1] / 1e9:.0f} GB/s", flush=True)

    def late(part: float = 0.6) -> bool:
        return time.perf_counter() - began > part * options.seconds

    failed = []
    parts: list[tuple[str, Callable[[], Any]]] = [
        ("grid", lambda: grid_part(quick)),
        ("chunk", lambda: chunk_part(quick)),
        ("shapes", lambda: shapes_part(quick, rates, lambda: late(1.0))),
    ]
    for name, part in parts:
        if late(0.9):
            print(f"{name}: left out, time", flush=True)
        elif isinstance(said := guarded(part), str):
            failed.append(name)
            print(f"{name}: {said}", flush=True)
        print(f"  ({name}: {time.perf_counter() - began:.0f} s since the beginning)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = cache
        jax.config.update("jax_compilation_cache_dir", cache)
        status = main()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)  # threads that still compile what was left out are not waited for
