"""Time a training step of an image classifier beside PyTorch, at four widths of one convolutional network.

allconv6 with widths 64, 128, 256, 512, 512 times 1/8, 1/4, 1/2, 1 on 32 x 32 colour images. A step takes 64 from
bytes, normalises them, and makes one update by SGD with Nesterov momentum and weight decay in float32. CPU seconds of
one process with one thread, the best of several runs.

    make bench                  about two minutes
    make bench BENCH=--quick    two widths, about a minute

An ensemble is four networks: here in turn, as `classify.measure` has them on a CPU; in PyTorch in turn, or by
`torch.func` side by side. PyTorch is timed in both memory layouts, and the quicker one counts. Expected: within
1.2 times PyTorch's time at every width, and ahead of both kinds of ensemble.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

MULTIPLIERS, QUICK_MULTIPLIERS = (1 / 8, 1 / 4, 1 / 2, 1), (1 / 8, 1 / 2)
BASELINE, BATCH, NUM_IMAGES, NUM_CLASSES, MEMBERS = (64, 128, 256, 512, 512), 64, 1024, 8, 4
RATE, MOMENTUM, DECAY = 0.05, 0.9, 5e-4
BAR = 1.2
ONE_THREAD = {name: "1" for name in ("PJRT_NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}

# Each way yields (seconds a step of one network alone, seconds a step and network of an ensemble, seconds compiling).
Timing = tuple[float, float, float]


def widths(multiplier: float) -> tuple[int, ...]:
    return tuple(round(multiplier * width) for width in BASELINE)


def best(take: Callable[[], None], steps: int, runs: int = 5) -> float:
    """CPU seconds a step, the best run of several after one to warm up."""
    take()
    times = []
    for _ in range(runs):
        start = time.process_time()
        take()
        times.append(time.process_time() - start)
    return min(times) / steps


def steps_for(multiplier: float) -> int:
    return max(3, round(12 / (1 + 8 * multiplier)))


def engine(multipliers: tuple[float, ...]) -> Iterator[Timing]:
    """The program of `classify.measure`."""
    import jax

    from widththeory import image_programs
    from widththeory.classification import Classification
    from widththeory.image_training import Bytes

    jax.config.update("jax_enable_compilation_cache", False)
    for multiplier in multipliers:
        fits = [
            Classification(
                "textures.Textures",
                (("num_test", 8), ("num_train", NUM_IMAGES)),
                "allconv6.AllConv6",
                (("widths", widths(multiplier)),),
                seed,
                RATE,
                num_steps=steps_for(multiplier),
                batch_size=BATCH,
                schedule="constant",
                weight_decay=DECAY,
            )
            for seed in range(MEMBERS)
        ]
        program = image_programs.choose_program(fits[0], MEMBERS)
        data = fits[0].data
        scale = (part.astype(np.float32) for part in data.mean_and_std())
        images = image_programs.on_device(program, Bytes(data.train, data.train_labels, *scale))
        rates, decays = np.array([RATE], np.float32), np.array([DECAY], np.float32)
        start = time.process_time()
        run = image_programs.compiled_run(program, NUM_IMAGES)
        compiling = time.process_time() - start
        states = [image_programs.start(program, [one]) for one in fits]
        parts = [list(image_programs.segments(program, [one], 0)) for one in fits]

        def take(members: int, run: Any = run, states: Any = states, parts: Any = parts, images: Any = images) -> None:
            for member in range(members):
                for segment, _ in parts[member]:
                    states[member] = run(states[member], rates, decays, segment, images)  # noqa: B023
                jax.block_until_ready(states[member])

        steps = fits[0].num_steps
        yield best(lambda: take(1), steps), best(lambda: take(MEMBERS), steps * MEMBERS), compiling


def _torch_network(multiplier: float) -> Any:
    import torch

    layers: list[Any] = []
    before = 3
    for width in widths(multiplier):
        layers += [
            torch.nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False),
            torch.nn.BatchNorm2d(width),
            torch.nn.ReLU(),
        ]
        before = width
    return torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(before, NUM_CLASSES))


def _torch_batches(steps: int) -> tuple[Any, Any, Any]:
    import torch

    images = torch.randint(256, (NUM_IMAGES, 3, 32, 32), dtype=torch.uint8)
    return images, torch.arange(NUM_IMAGES) % NUM_CLASSES, torch.randint(NUM_IMAGES, (steps, BATCH))


def torch_eager(multipliers: tuple[float, ...]) -> Iterator[Timing]:
    """`torch.optim.SGD`, in the quicker of both memory layouts; several networks in turn."""
    import torch

    torch.set_num_threads(1)
    for multiplier in multipliers:
        steps = steps_for(multiplier)
        images, labels, order = _torch_batches(steps)
        found = []
        for layout in (torch.contiguous_format, torch.channels_last):
            networks = [_torch_network(multiplier).to(memory_format=layout) for _ in range(MEMBERS)]
            optimizers = [
                torch.optim.SGD(one.parameters(), RATE, MOMENTUM, weight_decay=DECAY, nesterov=True) for one in networks
            ]
            pairs = list(zip(networks, optimizers, strict=True))

            def take(members: int, pairs: Any = pairs, layout: Any = layout, order: Any = order) -> None:
                for network, optimizer in pairs[:members]:
                    for rows in order:
                        pixels = (images[rows].to(memory_format=layout).float() - 128) / 64  # noqa: B023
                        optimizer.zero_grad()
                        torch.nn.functional.cross_entropy(network(pixels), labels[rows]).backward()  # noqa: B023
                        optimizer.step()

            found.append((best(lambda: take(1), steps), best(lambda: take(MEMBERS), steps * MEMBERS)))
        yield (*map(min, zip(*found, strict=True)), 0.0)  # type: ignore[misc]


def torch_func(multipliers: tuple[float, ...]) -> Iterator[Timing]:
    """The ensemble side by side: `vmap(grad)` over stacked parameters, SGD on the stacks."""
    import torch
    from torch.func import functional_call, grad, stack_module_state, vmap

    torch.set_num_threads(1)
    for multiplier in multipliers:
        steps = steps_for(multiplier)
        images, labels, order = _torch_batches(steps)
        networks = [_torch_network(multiplier) for _ in range(MEMBERS)]
        for network in networks:  # running statistics cannot be moved side by side: batch statistics alone
            for layer in network:
                if isinstance(layer, torch.nn.BatchNorm2d):
                    layer.track_running_stats = False
                    layer.running_mean = layer.running_var = layer.num_batches_tracked = None  # type: ignore[assignment]
        params, _ = stack_module_state(networks)
        params = {name: value.detach() for name, value in params.items()}
        optimizer = torch.optim.SGD(params.values(), RATE, MOMENTUM, weight_decay=DECAY, nesterov=True, foreach=True)
        base = networks[0]

        def loss(params: Any, x: Any, y: Any, base: Any = base) -> Any:
            return torch.nn.functional.cross_entropy(functional_call(base, params, (x,)), y)

        slope = vmap(grad(loss), in_dims=(0, 0, 0))

        def take(slope: Any = slope, params: Any = params, optimizer: Any = optimizer, order: Any = order) -> None:
            for rows in order:
                own = torch.stack([rows.roll(member) for member in range(MEMBERS)])
                pixels = (images[own].float() - 128) / 64  # noqa: B023
                for name, gradient in slope(params, pixels, labels[own]).items():  # noqa: B023
                    params[name].grad = gradient
                optimizer.step()

        yield float("nan"), best(take, steps * MEMBERS, runs=3), 0.0


WAYS: dict[str, Callable[[tuple[float, ...]], Iterator[Timing]]] = {
    "engine": engine,
    "torch_eager": torch_eager,
    "torch_func": torch_func,
}


def run_way(name: str, quick: bool) -> list[Timing]:
    """One way in a process of its own."""
    command = [sys.executable, __file__, "--way", name, *(["--quick"] if quick else [])]
    output = subprocess.run(command, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, text=True, check=True).stdout
    timings: list[Timing] = json.loads(output.splitlines()[-1])
    return timings


def report(results: dict[str, list[Timing]], multipliers: tuple[float, ...]) -> bool:
    """Print the table; whether every width is within the bar."""
    print(f"allconv6, batch {BATCH} of 32 x 32 colour images: milliseconds a step and network, one thread")
    print("                     one network               ensemble of", MEMBERS)
    print("widths    this engine  PyTorch  ratio   this engine  PyTorch  torch.func  ratio   compile s")
    good = True
    for index, multiplier in enumerate(multipliers):
        (alone, together, compiling), eager, func = (results[name][index] for name in WAYS)
        ratio, ratio_together = alone / eager[0], together / min(eager[1], func[1])
        good &= ratio <= BAR and ratio_together < 1
        print(
            f"x {multiplier:<6.3g}{1e3 * alone:11.1f}{1e3 * eager[0]:10.1f}{ratio:7.2f}"
            f"{1e3 * together:14.1f}{1e3 * eager[1]:9.1f}{1e3 * func[1]:12.1f}{ratio_together:7.2f}{compiling:12.1f}"
        )
    said = "reached" if good else "NOT reached"
    print(f"bar {said}: one network within {BAR} times PyTorch at every width, ensembles ahead of it")
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two widths")
    parser.add_argument("--way", choices=sorted(WAYS), help="time one way and print JSON")
    options = parser.parse_args()
    multipliers = QUICK_MULTIPLIERS if options.quick else MULTIPLIERS
    if options.way:
        print(json.dumps(list(WAYS[options.way](multipliers))))
        return
    results = {}
    for name in WAYS:
        start = time.perf_counter()
        results[name] = run_way(name, options.quick)
        print(f"{name}: measured in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    sys.exit(not report(results, multipliers))


if __name__ == "__main__":
    main()
