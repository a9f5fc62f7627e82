"""Time the fit engine on a grid of 900 networks, beside the same maths in PyTorch and in a plain Flax scan.

The grid: ReLU networks on R^2, widths 3 to 64, depths 2 to 12, 5 seeds, 3 learning rates, 2,000 Adam steps of 256
points in float32, evaluation included. CPU seconds are user plus system time of one process with one thread; the clock
is for two such processes side by side, through `widththeory.grid`.

    make bench                  the whole grid, about ten minutes on two cores
    make bench BENCH=--quick    widths 3, 8, 16, 64 and depths 2, 6, about two minutes

The fit engine runs every step of every network and measures its errors. The other ways train only, with batches taken
from the training points by index and a cosine schedule, as the engine does. They are timed on a stated number of steps
of each shape, after some to warm up, and scaled up; compilation is timed whole. Shares are of the core's own rate of
large float32 matrix products in NumPy. Expected on quiet cores: about 9 times PyTorch a core,
and 45 % of that rate while running.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

WIDTHS, DEPTHS = (3, 4, 6, 8, 12, 16, 24, 32, 48, 64), (2, 3, 4, 6, 8, 12)
QUICK_WIDTHS, QUICK_DEPTHS = (3, 8, 16, 64), (2, 6)
SEEDS, RATES = range(5), (3e-4, 1e-3, 3e-3)
NETWORKS, NUM_STEPS, BATCH, NUM_POINTS, INPUT_DIM = len(SEEDS) * len(RATES), 2000, 256, 8192, 2
ONE_THREAD = {name: "1" for name in ("PJRT_NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


def shapes(quick: bool) -> list[tuple[int, int]]:
    return list(product(QUICK_WIDTHS, QUICK_DEPTHS) if quick else product(WIDTHS, DEPTHS))


def training_flops(width: int, depth: int) -> float:
    weights = width * (INPUT_DIM + 1 + (depth - 1) * width)
    return 6.0 * weights * BATCH * NUM_STEPS * NETWORKS


def settings(quick: bool) -> list[list[Any]]:
    """The grid, a list of fits a shape."""
    from widththeory.fit import Regression

    def fit(width: int, depth: int, seed: int, rate: float) -> Regression:
        args = (("input_dim", INPUT_DIM), ("k", 3), ("seed", 0))
        return Regression(
            "wide_random.RandomWideNetwork", args, width, depth, seed, rate, NUM_STEPS, BATCH, NUM_POINTS, NUM_POINTS
        )

    return [[fit(*shape, seed, rate) for seed in SEEDS for rate in RATES] for shape in shapes(quick)]


def sgemm_rate() -> float:
    """Float32 operations a CPU second of a large matrix product, the best of several."""
    matrix = np.random.default_rng(0).standard_normal((1536, 1536), dtype=np.float32)
    best = np.inf
    for _ in range(8):
        start = time.process_time()
        matrix @ matrix
        best = min(best, time.process_time() - start)
    return 2 * len(matrix) ** 3 / best


# Each way below runs in a process of its own and yields (width, depth, seconds compiling, seconds running) a shape.
Timing = tuple[int, int, float, float]


def engine(quick: bool, steps: int) -> Iterator[Timing]:
    """The whole grid, every step."""
    from widththeory.compiled import compiled, members_a_device, prepare_jax
    from widththeory.fit import measure
    from widththeory.training import choose_program

    prepare_jax()
    for fits in settings(quick):
        one, chunk_size = fits[0], -(-NETWORKS // -(-NETWORKS // fits[0].chunk_size))
        start = time.process_time()
        compiled(choose_program(one, members_a_device(chunk_size)))
        ready = time.process_time()
        measure(fits, chunk_size)
        yield one.width, one.depth, ready - start, time.process_time() - ready


def two_workers(quick: bool, steps: int) -> Iterator[Timing]:
    """The whole grid through the ledger and a pool of two processes: clock seconds."""
    from widththeory import grid
    from widththeory.fit import measure
    from widththeory.ledger import Ledger

    fits = [one for shape in settings(quick) for one in shape]
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder) / "bench.sqlite") as ledger:
        start = time.perf_counter()
        grid.run(fits, measure, ledger, experiment="bench", jobs=2)
        yield 0, 0, 0.0, time.perf_counter() - start


def _time_steps(take: Callable[[int], None], steps: int, networks: int) -> float:
    """CPU seconds of all steps of the 15 networks of a shape, from `steps` of them on `networks` at a time."""
    take(max(3, steps // 4))
    start = time.process_time()
    take(steps)
    return (time.process_time() - start) * NUM_STEPS / steps * NETWORKS / networks


def flax_scan(quick: bool, steps: int) -> Iterator[Timing]:
    """One network at a time, split once, `lax.scan` over optax's Adam, compiled once a shape."""
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx

    from widththeory.models.mlp import MLP

    xs = jax.random.uniform(jax.random.key(0), (NUM_POINTS, INPUT_DIM), minval=-1.0)
    ys = jnp.sin(3 * xs[:, :1])
    order = jax.random.randint(jax.random.key(1), (steps, BATCH), 0, NUM_POINTS)
    for width, depth in shapes(quick):
        graph, params = nnx.split(MLP(INPUT_DIM, (width,) * depth, rngs=nnx.Rngs(0)))
        optimizer = optax.adam(optax.cosine_decay_schedule(1e-3, NUM_STEPS))

        def loss(params: Any, x: Any, y: Any, graph: Any = graph) -> Any:
            return jnp.mean((nnx.merge(graph, params)(x) - y) ** 2)

        def step(carry: Any, rows: Any, loss: Any = loss, optimizer: Any = optimizer) -> Any:
            params, state = carry
            value, gradient = jax.value_and_grad(loss)(params, xs[rows], ys[rows])
            change, state = optimizer.update(gradient, state)
            return (optax.apply_updates(params, change), state), value

        def train(carry: Any, order: Any, step: Any = step) -> Any:
            return jax.lax.scan(step, carry, order)

        carry = (params, optimizer.init(params))
        start = time.process_time()
        program = jax.jit(train).lower(carry, order).compile()
        compiling = time.process_time() - start

        def take(count: int, program: Any = program, carry: Any = carry) -> None:
            jax.block_until_ready(program(carry, order))

        yield width, depth, compiling, _time_steps(take, steps, 1)


def _torch_network(width: int, depth: int) -> Any:
    import torch

    sizes = [INPUT_DIM, *[width] * depth]
    layers = [part for i, o in zip(sizes, sizes[1:], strict=False) for part in (torch.nn.Linear(i, o), torch.nn.ReLU())]
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, 1))


def _torch_data() -> tuple[Any, Any, Any]:
    """Training points, their values, and the points of each step's batch."""
    import torch

    xs = torch.rand(NUM_POINTS, INPUT_DIM) * 2 - 1
    return xs, torch.sin(3 * xs[:, :1]), torch.randint(NUM_POINTS, (200, BATCH))


def torch_eager(quick: bool, steps: int) -> Iterator[Timing]:
    """One network at a time, `torch.optim.Adam`."""
    import torch

    torch.set_num_threads(1)
    xs, ys, order = _torch_data()
    for width, depth in shapes(quick):
        network = _torch_network(width, depth)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, NUM_STEPS)

        def take(count: int, network: Any = network, optimizer: Any = optimizer, schedule: Any = schedule) -> None:
            for step in range(count):
                x, y = xs[order[step]], ys[order[step]]
                optimizer.zero_grad()
                torch.nn.functional.mse_loss(network(x), y).backward()
                optimizer.step()
                schedule.step()

        yield width, depth, 0.0, _time_steps(take, steps, 1)


def torch_func(quick: bool, steps: int) -> Iterator[Timing]:
    """The 15 networks of a shape as one ensemble: `vmap(grad)` over stacked parameters, Adam on the stacks."""
    import torch
    from torch.func import functional_call, grad, stack_module_state, vmap

    torch.set_num_threads(1)
    xs, ys, order = _torch_data()
    for width, depth in shapes(quick):
        networks = [_torch_network(width, depth) for _ in range(NETWORKS)]
        params, _ = stack_module_state(networks)  # type: ignore[arg-type]
        params = {name: value.detach() for name, value in params.items()}
        optimizer = torch.optim.Adam(params.values(), lr=1e-3, foreach=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, NUM_STEPS)
        base = networks[0]

        def loss(params: Any, x: Any, y: Any, base: Any = base) -> Any:
            return torch.nn.functional.mse_loss(functional_call(base, params, (x,)), y)

        slope = vmap(grad(loss), in_dims=(0, None, None))
        parts = slope, params, optimizer, schedule

        def take(count: int, parts: Any = parts) -> None:
            slope, params, optimizer, schedule = parts
            for step in range(count):
                for name, gradient in slope(params, xs[order[step]], ys[order[step]]).items():
                    params[name].grad = gradient
                optimizer.step()
                schedule.step()

        yield width, depth, 0.0, _time_steps(take, steps, NETWORKS)


WAYS: dict[str, tuple[Callable[[bool, int], Iterator[Timing]], str, int]] = {
    "cold": (engine, "this engine, cold", NUM_STEPS),
    "warm": (engine, "this engine, warm", NUM_STEPS),
    "torch_eager": (torch_eager, "PyTorch eager", 100),
    "torch_func": (torch_func, "torch.func ensembles", 40),
    "flax_scan": (flax_scan, "Flax scan, once a shape", 200),
    "two_workers": (two_workers, "this engine, 2 workers, cold", NUM_STEPS),
}


def run_way(name: str, quick: bool, cache: str) -> dict[str, Any]:
    """One way in a process of its own, with its CPU seconds and peak memory."""
    environment = os.environ | ONE_THREAD | {"JAX_COMPILATION_CACHE_DIR": cache}
    if name == "flax_scan":
        environment["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    command = [sys.executable, __file__, "--way", name, *(["--quick"] if quick else [])]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    result["process"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return result


def report(results: dict[str, dict[str, Any]], quick: bool) -> None:
    """Print the table of ways, then each width."""
    flops = {shape: training_flops(*shape) for shape in shapes(quick)}
    rate = results["cold"]["sgemm"]

    def total(name: str, width: int | None = None) -> float:
        return sum(c + r for w, _, c, r in results[name]["timings"] if width in (None, w))

    base = total("torch_eager")
    print(f"{len(flops) * NETWORKS} fits, {NUM_STEPS} steps each; this core: {rate / 1e9:.0f} GFLOP/s in sgemm")
    print(f"{'':30}{'CPU s':>8}{'compile':>9}{'ratio':>8}{'of sgemm':>10}{'peak MB':>9}   steps timed a shape")
    for name, (_, label, steps) in WAYS.items():
        if name == "two_workers":
            continue
        compiling, running = (sum(timing[part] for timing in results[name]["timings"]) for part in (2, 3))
        share = sum(flops.values()) / running / rate
        line = f"{label:30}{compiling + running:8.1f}{compiling / (compiling + running):9.0%}"
        line += f"{base / (compiling + running):8.1f}{share:10.0%}{results[name]['peak']:9.0f}"
        print(f"{line}   {'all' if steps == NUM_STEPS else f'{steps}, scaled to {NUM_STEPS}'}")
    clock = results["two_workers"]["timings"][0][3]
    print(f"{WAYS['two_workers'][1]}: {clock:.1f} s by the clock, {base / clock:.1f} times PyTorch eager on one core, "
          f"{total('cold') / clock:.2f} times one worker; "
          f"{results['two_workers']['process']:.0f} CPU s with imports, so at best "
          f"{results['two_workers']['process'] / 2:.0f} s by the clock")  # fmt: skip
    print(f"ratio to torch.func {total('torch_func') / total('cold'):.1f}, "
          f"to Flax scan {total('flax_scan') / total('cold'):.1f}")  # fmt: skip
    print("\nwidth  PyTorch/engine  torch.func/engine  Flax scan/engine  GFLOP/s while running")
    for width in sorted({width for width, _ in flops}):
        ours = total("cold", width)
        running = sum(r for w, _, _, r in results["cold"]["timings"] if w == width)
        speed = sum(value for (w, _), value in flops.items() if w == width) / running / 1e9
        ratios = [total(name, width) / ours for name in ("torch_eager", "torch_func", "flax_scan")]
        print(f"{width:5}{ratios[0]:16.1f}{ratios[1]:19.1f}{ratios[2]:18.1f}{speed:23.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a part of the grid")
    parser.add_argument("--way", choices=sorted(WAYS), help="time one way and print JSON")
    options = parser.parse_args()
    if options.way:
        way, _, steps = WAYS[options.way]
        rate = sgemm_rate()
        timings = list(way(options.quick, steps))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"timings": timings, "sgemm": max(rate, sgemm_rate()), "peak": peak}))
        return
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as other:
        results = {}
        for name, (_, label, _) in WAYS.items():
            start = time.perf_counter()
            results[name] = run_way(name, options.quick, other if name == "two_workers" else cache)
            print(f"{label}: measured in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    report(results, options.quick)


if __name__ == "__main__":
    main()
