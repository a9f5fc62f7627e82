"""Speed of the exact analysis in one dimension, in CPU seconds on one thread.

Command: python tests/bench/exact_one_dim_speed.py [--quick]
Measures: exact L1, L2 and sup distance to their target of fitted networks, of the shapes of the grid in
    `grid_speed.py`: widths 3 to 64, depths 2 to 12, 5 seeds, 3 learning rates, 900 in all; the fits take 200 steps and
    are not timed. --quick takes every seventh shape.
Time: about two minutes, most of it to fit; 20 s with --quick.
"""

import os

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
# ruff: noqa: E402 - threads are set before the libraries that read them are imported
import itertools
import sys
import time

from widththeory.exact.one_dim import piecewise
from widththeory.fit import Regression, load_weights, measure

WIDTHS, DEPTHS = (3, 4, 6, 8, 12, 16, 24, 32, 48, 64), (2, 3, 4, 6, 8, 12)
SEEDS, RATES = 5, (1e-3, 3e-3, 1e-2)
LIMIT = 10.0  # CPU seconds for all 900


def fits(width: int, depth: int) -> list[Regression]:
    """The cells of one shape."""
    return [
        Regression(
            "wide_random.RandomWideNetwork",
            (("input_dim", 1), ("k", 4), ("seed", seed)),
            width,
            depth,
            seed=seed,
            learning_rate=rate,
            num_steps=200,
            batch_size=256,
            num_train=4096,
            num_test=256,
            init="hinged",
            keep_weights=True,
        )
        for seed in range(SEEDS)
        for rate in RATES
    ]


def main(quick: bool) -> int:
    """Fit, then time; 0 if the limit was kept."""
    shapes = list(itertools.product(WIDTHS, DEPTHS))[:: 7 if quick else 1]
    seconds, pieces, certified, count = 0.0, 0, 0, 0
    for width, depth in shapes:
        for found in measure(fits(width, depth), 15):
            assert found.weights is not None
            network, target = load_weights(found.weights), found.settings.construction
            goal = piecewise(target.network(), -1.0, 1.0)  # type: ignore[attr-defined]
            start = time.process_time()
            function = piecewise(network, -1.0, 1.0)
            function.distance(goal)
            seconds += time.process_time() - start
            pieces, certified, count = pieces + function.num_pieces, certified + function.certified, count + 1
    limit = LIMIT * count / (SEEDS * len(RATES) * len(WIDTHS) * len(DEPTHS))
    kept = seconds <= limit
    verdict = f"{'ok  ' if kept else 'SLOW'} exact distances of {count} fitted networks {seconds:.2f} s"
    print(f"{verdict}  (at most {limit:.2f} s)  {pieces / count:.0f} pieces a network, {certified} counts certified")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main("--quick" in sys.argv[1:]))
