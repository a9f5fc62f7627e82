"""Speed of the exact planar analysis, in CPU seconds on one thread.

Command: python tests/bench/exact_speed.py [--quick]; `make bench` installs the peer
Measures: the complete complex of a 2-32-32-32-1 network; exact L1 and L2 distance of a depth-3 width-16 and a depth-3
    width-24 network on some 2,600 cells; complexes of up to 100,000 cells, with the exponent of growth in cells x
    neurons; peak memory. Each number beside what it may be at most. Where affinitree is installed, its decision tree of
    the first network and of a hand-built one, in the same run.
Time: some 10 s; with --quick, which leaves out the largest complexes, 2 s.
"""

import os

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
# ruff: noqa: E402 - threads are set before the libraries that read them are imported
import resource
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from widththeory.exact.distance_2d import difference, distance
from widththeory.exact.polygons import box
from widththeory.exact.two_dim import subdivide
from widththeory.network import Network


def random_network(widths: tuple[int, ...], seed: int) -> Network:
    """He-initialised weights, biases of standard deviation 0.3."""
    rng = np.random.default_rng(seed)
    pairs = zip(widths, widths[1:], strict=False)
    return Network([(rng.normal(size=(o, i)) * np.sqrt(2 / i), 0.3 * rng.normal(size=o)) for i, o in pairs])


def cpu_seconds(task: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Least CPU time of several runs, and the result."""
    best, result = np.inf, None
    for _ in range(repeats):
        start = time.process_time()
        result = task()
        best = min(best, time.process_time() - start)
    return best, result


def report(name: str, seconds: float, limit: float, note: str) -> bool:
    """Print one line; whether the limit was kept."""
    kept = seconds <= limit
    print(f"{'ok  ' if kept else 'SLOW'} {name:<46} {seconds:8.4f} s  (at most {limit:g} s)  {note}")
    return kept


def peer(name: str, network: Network, low: float, high: float) -> None:
    """Time affinitree on a network over a square, beside this library: its leaves are activation regions."""
    try:
        with warnings.catch_warnings(action="ignore"):  # it misses PyTorch, which is not needed here
            import affinitree
    except ModuleNotFoundError:
        print(f"     {name}: affinitree is not installed")
        return

    def distil() -> Any:
        architecture = affinitree.Architecture(2)
        for index, (weight, bias) in enumerate(network.float64().layers):
            architecture.linear(affinitree.AffFunc.from_mats(weight, bias))
            if index < network.size.depth:
                architecture.relu()
        domain = affinitree.Polytope.hyperrectangle(2, [(low, high)] * 2)
        start = affinitree.AffTree.from_poly(domain, affinitree.AffFunc.identity(2))
        return affinitree.builder.from_layers(architecture, precondition=start)

    theirs, tree = cpu_seconds(distil, 1)
    ours, complex_ = cpu_seconds(lambda: subdivide(network, box(low, high)), 3)
    print(
        f"     {name}: affinitree {theirs:.3f} s and {tree.num_terminals()} leaves, "
        f"here {ours:.4f} s and {complex_.num_faces} regions: {theirs / ours:.0f} times faster"
    )


def folded_square() -> Network:
    """Three folds by three in two layers, and two lines: (3 · 3)² · 4 = 324 regions, with ties everywhere."""
    fold = np.array([[3, 0], [6, 0], [6, 0], [0, 3], [0, 6], [0, 6]], dtype=np.float64)
    unfold = np.array([[1, -1, 1, 0, 0, 0], [0, 0, 0, 1, -1, 1]], dtype=np.float64)
    shift = np.array([0.0, -2.0, -4.0] * 2)
    lines = np.array([[-0.125, 1.0], [-0.375, 1.0]])
    last = (lines @ unfold, np.array([-0.2421875, -0.1796875]))
    return Network([(fold, shift), (fold @ unfold, shift), last, (np.ones((1, 2)), [0.0])])


def main(quick: bool) -> int:
    kept = []
    network, square = random_network((2, 32, 32, 32, 1), 0), box(-2, 2)
    seconds, complex_ = cpu_seconds(lambda: subdivide(network, square), 5)
    kept.append(report("complex of 2-32-32-32-1", seconds, 0.1, f"{complex_.num_faces} cells"))

    peer("the same", network, -2.0, 2.0)
    peer("324 regions by folding", folded_square(), 0.0, 1.0)

    narrow, wide = random_network((2, 16, 16, 16, 1), 5), random_network((2, 24, 24, 24, 1), 1)
    cells = subdivide(difference(narrow, wide), box(-1, 1)).num_faces
    seconds, found = cpu_seconds(lambda: distance(narrow, wide, box(-1, 1)), 5)
    kept.append(report("distance, depth 3, width 16 to width 24", seconds, 0.5, f"{cells} cells, L1 {found.l1:.9f}"))

    sizes, times = [], []
    for width in (16, 32, 64) if quick else (16, 32, 64, 96, 128):
        network = random_network((2, width, width, width, width, 1), 0)
        seconds, complex_ = cpu_seconds(lambda network=network: subdivide(network, square), 1 if width > 64 else 3)
        sizes.append(complex_.num_faces * 4 * width)
        times.append(seconds)
        limit = 30 * max(1.0, complex_.num_faces / 1e5)
        kept.append(
            report(f"complex of 2-{width}-{width}-{width}-{width}-1", seconds, limit, f"{complex_.num_faces} cells")
        )
    exponent = float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
    kept.append(exponent <= 1.0)
    print(f"{'ok  ' if kept[-1] else 'SLOW'} time grows as (cells x neurons)^{exponent:.2f}  (at most 1)")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    kept.append(memory < 2)
    print(f"{'ok  ' if kept[-1] else 'OVER'} peak memory {memory:.2f} GiB  (below 2)")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main("--quick" in sys.argv[1:]))
