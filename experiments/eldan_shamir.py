"""Depth separation: a radial wave needs exponentially many neurons in one hidden layer, polynomially many in two.

Chapter:  what depth buys, 1
Source:   Eldan, Shamir 2016, Theorem 1; its floor as a number for every width (`bounds.spectral`), and the explicit
          network with two hidden layers (`constructions.eldan_shamir`), derived for this project.
Tested:   the neurons that one hidden layer provably needs for 1 % error grow by over 1.5 times with each dimension on
          average, those of the explicit network with two that guarantees 1 % like a power of d below 3; from some
          dimension tried on it has fewer than any network with one hidden layer and that error; no trained network lies
          under its floor.
Decided:  proven, computed
Certain:  proven: the floor of one hidden layer, for every weight, as an integral; O(d^2) neurons for the explicit one.
          Computed: the floor's numbers, by two quadrature rules, and the guarantees of explicit networks; in d = 6 that
          one hidden layer of as many neurons misses 1 % has a proof in interval arithmetic (bounds.rigorous_wave, in
          the tests). Measured: errors of explicit networks on a sample; how far training follows, at few seeds.
Command:  python experiments/eldan_shamir.py                       (smoke: --scale smoke, seconds)
Time:     about 2 minutes on 2 cores at laptop scale; --scale paper is made for a GPU.
Result:   results/<scale>/eldan_shamir.csv, a row a fit; .floor.csv, the certified floor at every number of neurons and
          the number K(eps) that a relative squared error eps forces; .network.csv, explicit networks that guarantee
          1 %, measured.
Figure:   paper_figures/eldan_shamir.py
Expected: no trained network with one hidden layer lies under its floor; the explicit one with two hidden layers is far
          below the floor of one; the control |x|, with Lipschitz constant 1, shows no separation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from widththeory import command, fit
from widththeory.bounds.spectral import neurons_needed, relative_floor
from widththeory.command import Scale
from widththeory.constructions.eldan_shamir import Cosine
from widththeory.experiment import Flags, fit_table, write_table
from widththeory.fit import Regression
from widththeory.metrics import error_metrics, evaluate

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Sizes:
    """How much of the claim a scale covers; widths are units of one layer."""

    dims: tuple[int, ...]
    floor_dims: tuple[int, ...]
    one_layer_widths: tuple[int, ...]
    two_layer_widths: tuple[int, ...]
    learning_rates: tuple[float, ...]
    num_seeds: int
    num_steps: int
    num_train: int
    num_test: int


SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes((2, 3), (2, 3, 4), (4, 16), (8,), (1e-2,), 2, 200, 4096, 4096),
    "laptop": Sizes(
        (2, 4, 6),
        (2, 3, 4, 6, 8, 12, 16, 24, 32),
        (4, 16, 64, 256),
        (8, 16, 32, 64),
        (3e-3, 1e-2),
        3,
        5000,  # with half of them no network with two hidden layers comes under the floor of one
        65_536,
        50_000,
    ),
    "paper": Sizes(
        (2, 3, 4, 6, 8),
        (2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128),
        (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096),
        (8, 16, 32, 64, 128, 256, 512),
        (1e-3, 3e-3, 1e-2, 3e-2),
        5,
        50_000,
        1_048_576,
        200_000,
    ),
}

WAVE, CONTROL = "eldan_shamir.Cosine", "radial_control.Norm"
FREQUENCY = 3.0
FIT_ORDER = 2  # under the paper's own law, order 0, a network that grows has an infinite error
RELATIVE_ERRORS = (0.5, 0.25, 0.1, 0.05, 0.01)


@dataclass(frozen=True)
class Config(Flags):
    """Flags of this experiment; `seeds` counts the initialisations of each network."""


def settings(config: Config) -> list[Regression]:
    """The wave and the control, fitted by one and by two hidden layers of many widths."""
    return list(_grid(config))


def _grid(config: Config) -> Iterator[Regression]:
    sizes = SCALES[config.scale]
    for dim in sizes.dims:
        targets: dict[str, tuple[tuple[str, int | float], ...]] = {
            WAVE: (("frequency", FREQUENCY), ("input_dim", dim), ("order", FIT_ORDER)),
            CONTROL: (("input_dim", dim), ("order", FIT_ORDER)),
        }
        for target, target_args in targets.items():
            for depth, widths in ((1, sizes.one_layer_widths), (2, sizes.two_layer_widths)):
                for width in widths:
                    for seed in range(config.seeds or sizes.num_seeds):
                        for learning_rate in sizes.learning_rates:
                            yield Regression(
                                target,
                                target_args,
                                width,
                                depth,
                                seed=seed,
                                learning_rate=learning_rate,
                                num_steps=sizes.num_steps,
                                batch_size=256,
                                num_train=sizes.num_train,
                                num_test=sizes.num_test,
                                init="hinged",
                            )


def floors(config: Config) -> "pd.DataFrame":
    """Certified floors: a row a dimension, order of the law and number of neurons.

    `relative_floor` is the certified least relative squared error of that many neurons in one hidden layer, its own
    numerical error already taken off. In rows with `relative_error` set, `num_neurons` is K of it: fewer neurons cannot
    reach it.
    """
    import pandas as pd

    sizes = SCALES[config.scale]
    rows = []
    for order in (0, FIT_ORDER):
        for dim in sizes.floor_dims:
            wave = Cosine(dim, FREQUENCY, order)
            radial, moment = wave.spectrum(), wave.second_moment().value
            most = neurons_needed(radial, RELATIVE_ERRORS[-1])
            counts = np.unique(np.round(np.geomspace(1, max(2.0, min(most.value, 1e6)), 61)))
            for count in sorted({*counts, *map(float, sizes.one_layer_widths)}):
                lower = relative_floor(radial, count).lower
                rows.append((dim, FREQUENCY, order, moment, count, max(0.0, lower), np.nan))
            for relative_error in RELATIVE_ERRORS:
                needed = neurons_needed(radial, relative_error)
                rows.append((dim, FREQUENCY, order, moment, needed.lower, np.nan, relative_error))
    columns = ["input_dim", "frequency", "order", "second_moment", "num_neurons", "relative_floor", "relative_error"]
    return pd.DataFrame(rows, columns=columns)


def networks(config: Config) -> "pd.DataFrame":
    """Explicit networks with two hidden layers that guarantee 1 % under the law of the fits; the control's, with one.

    `relative_error` is the measured squared error over E g^2, with its standard error; `relative_bound` what the
    construction guarantees.
    """
    import pandas as pd

    from widththeory.constructions.radial_control import Norm

    sizes = SCALES[config.scale]
    rows = []
    for dim in sizes.floor_dims:
        if dim > 16:
            break  # wider than is worth evaluating for one point of a curve
        wave = Cosine.for_error(dim, FREQUENCY, FIT_ORDER, relative_error=RELATIVE_ERRORS[-1])
        size, points = wave.size(), wave.sample(sizes.num_test, np.random.default_rng(0))
        found = error_metrics(evaluate(wave.network(), points), wave.target(points))
        moment = wave.second_moment().value
        guaranteed = wave.error().bound ** 2 / moment
        errors = (found["test_mse"] / moment, found["test_mse_stderr"] / moment, guaranteed)
        rows.append((WAVE, dim, size.depth, sum(size.widths), size.num_params, *errors))
    for dim in sizes.dims:
        for width in sizes.one_layer_widths:
            easy = Norm(dim, FIT_ORDER, num_directions=width // 2)
            bound = easy.error().bound ** 2 / easy.second_moment().value
            rows.append((CONTROL, dim, 1, width, easy.size().num_params, bound, 0.0, bound))
    columns = ["target", "input_dim", "depth", "num_neurons", "num_params"]
    return pd.DataFrame(rows, columns=[*columns, "relative_error", "relative_error_stderr", "relative_bound"])


def main(config: Config) -> None:
    """Measure what is missing, and write the tables."""
    command.results_file(__file__, config.scale, config.out)  # a folder that refuses is said before the theory runs
    write_table(__file__, config, "floor", floors(config))
    write_table(__file__, config, "network", networks(config))
    fit_table(__file__, config, settings(config), fit.measure)


if __name__ == "__main__":
    command.run(main)
