"""Depth separation for the indicator of a ball: its jump is dear for one hidden layer, cheap for two.

Chapter:  what depth buys, 4
Source:   Safran, Shamir 2017, Theorem 1 and the experiment, as recalled; Safran, Eldan, Shamir 2019 for the control, a
          1-Lipschitz radial function. Floors as numbers are derived for this project: one hidden layer
          of any width by `bounds.spectral`, first layers narrower than the input by `bounds.radial_projection`.
Tested:   in the largest dimension tried some explicit weights with two hidden layers are guaranteed to go under the
          floor of one with as many neurons, and for |x| some with one hidden layer go under the ball's floor; no
          trained network lies under its floor.
Decided:  proven, computed
Certain:  proven: floors, for every weight, and guarantees of explicit networks, as integrals. Computed: their numbers,
          by two quadrature rules each; for narrow layers tests enclose them with proof (bounds.rigorous_projection).
          Measured: errors of explicit networks on a sample; how far training follows, at few seeds.
Command:  python experiments/ball_indicator.py                      (smoke: --scale smoke, seconds)
Time:     about 40 seconds on 2 cores at laptop scale; --scale paper, up to the d = 100 of the source, needs a GPU.
Result:   results/<scale>/ball_indicator.csv, a row a fit; .floor.csv, a row a target, dimension, depth and width for
          which a floor is known; .network.csv, explicit networks of the widths that are fitted; .needed.csv, neurons
          for a given error, at least with one hidden layer and at most with two.
Figure:   paper_figures/ball_indicator.py
Expected: no trained network lies under a floor; explicit networks with two hidden layers do, as far as it is the floor
          of one, and trained ones follow in part; |x| shows no such separation. Under the law of the source's
          experiment no floor is known for one hidden layer as wide as the input.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from widththeory import command, fit
from widththeory.bounds.radial_projection import radial_projection_floor
from widththeory.bounds.spectral import floor, neurons_needed
from widththeory.command import Scale
from widththeory.constructions.ball_under_law import BallUnderLaw
from widththeory.constructions.radial_control import Norm
from widththeory.constructions.safran_shamir import BallIndicator
from widththeory.experiment import Flags, fit_table, write_table
from widththeory.fit import Regression
from widththeory.metrics import error_metrics, evaluate

if TYPE_CHECKING:
    import pandas as pd

BALL, PAPER, CONTROL = "ball_under_law.BallUnderLaw", "safran_shamir.BallIndicator", "radial_control.Norm"
ORDER = 2  # of the law of the ball with a floor, and of the control
DEPTHS = (1, 2, 3)
RELATIVE_ERRORS = (0.2, 0.1, 0.05)


@dataclass(frozen=True)
class Sizes:
    """How much of the claim a scale covers; one hidden layer is fitted at both kinds of widths."""

    dims: tuple[tuple[str, tuple[int, ...]], ...]
    widths: tuple[int, ...]
    wide: tuple[int, ...]
    needed_dims: tuple[int, ...]
    learning_rates: tuple[float, ...]
    num_seeds: int
    num_steps: int
    num_train: int
    num_test: int


SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes(((BALL, (3,)), (PAPER, (3,)), (CONTROL, (3,))), (2, 8), (), (2, 3, 4), (1e-2,), 2, 200, 2048, 4096),
    "laptop": Sizes(
        ((BALL, (4, 8)), (PAPER, (8,)), (CONTROL, (8,))),
        (2, 4, 8, 16, 32),
        (64, 128),
        (2, 3, 4, 6, 8, 12, 16, 24, 32),
        (3e-3, 1e-2),
        3,
        1200,
        65_536,
        20_000,
    ),
    "paper": Sizes(
        ((BALL, (2, 3, 4, 6, 8, 16)), (PAPER, (2, 4, 8, 16, 32, 100)), (CONTROL, (8, 16))),
        (2, 4, 8, 16, 32, 64, 100, 200),
        (400, 800, 1600),
        (2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128),
        (3e-4, 1e-3, 3e-3, 1e-2),
        5,
        50_000,
        524_288,
        200_000,
    ),
}


@dataclass(frozen=True)
class Config(Flags):
    """Flags of this experiment; `seeds` counts the initialisations of each network."""


def target_args(target: str, dim: int) -> tuple[tuple[str, int], ...]:
    """Arguments of a target; pieces of the explicit network, which the target ignores, are as few as are allowed."""
    if target == CONTROL:
        return (("input_dim", dim), ("order", ORDER))
    pieces = math.isqrt(6 * dim) + 1
    return (("input_dim", dim), ("num_pieces", pieces), *((("order", ORDER),) if target == BALL else ()))


def settings(config: Config) -> list[Regression]:
    """Balls and control, fitted by one, two and three hidden layers of many widths."""
    return list(_grid(config))


def _grid(config: Config) -> Iterator[Regression]:
    sizes = SCALES[config.scale]
    for target, dims in sizes.dims:
        for dim in dims:
            for depth in DEPTHS:
                for width in (*sizes.widths, *(sizes.wide if depth == 1 else ())):
                    for seed in range(config.seeds or sizes.num_seeds):
                        for learning_rate in sizes.learning_rates:
                            yield Regression(
                                target,
                                target_args(target, dim),
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


def variance(target: str, dim: int) -> float:
    """Variance of a target under its law, in closed form: errors are relative to it."""
    if target == PAPER:
        return 0.25  # the norm is uniform on [0, 2]
    return (BallUnderLaw(dim, ORDER, 2 * dim + 1) if target == BALL else Norm(dim, ORDER)).variance().value


@cache
def narrow_floor(target: str, dim: int, width: int) -> float:
    """Relative squared error that first hidden layers of width below `dim` cannot go under, at any depth."""
    if target == BALL:
        return BallUnderLaw(dim, ORDER, 2 * dim + 1).narrow_floor(width).lower / variance(target, dim)
    if target == PAPER:
        least = radial_projection_floor(_indicator, _half, 2.0, dim, width, breaks=(1.0,))
    else:
        law = Norm(dim, ORDER).law
        least = radial_projection_floor(np.asarray, law.density, law.quantile(0.9999), dim, width)
    return least.lower / variance(target, dim)


def _indicator(radii: np.ndarray) -> np.ndarray:
    return (radii <= 1).astype(np.float64)


def _half(radii: np.ndarray) -> np.ndarray:
    """Density of a norm that is uniform on [0, 2]."""
    return np.full_like(radii, 0.5)


def floors(config: Config) -> "pd.DataFrame":
    """A row a target, dimension, depth and width for which a floor is known; relative to the variance.

    `one_layer` is the floor of one hidden layer of that width, `narrow` that of a first layer narrower than the input;
    `relative_floor` is the larger one. `variance` is the exact one.
    """
    import pandas as pd

    sizes = SCALES[config.scale]
    rows = []
    for target, dims in sizes.dims:
        for dim in dims:
            fitted = {*sizes.widths, *sizes.wide}
            drawn = {int(width) for width in np.round(np.geomspace(1, 4 * max(fitted), 33))}
            spectrum = BallUnderLaw(dim, ORDER, 2 * dim + 1).spectrum() if target == BALL else None
            for depth in DEPTHS:
                for width in sorted(fitted | drawn | set(range(1, min(dim, 16)))):
                    narrow = narrow_floor(target, dim, width) if width < dim else 0.0
                    one = 0.0
                    if spectrum is not None and depth == 1:
                        one = max(0.0, floor(spectrum, width).lower) / variance(target, dim)
                    if narrow or one:
                        rows.append((target, dim, depth, width, one, narrow, max(one, narrow), variance(target, dim)))
    columns = ["target", "input_dim", "depth", "width", "one_layer", "narrow", "relative_floor", "variance"]
    return pd.DataFrame(rows, columns=columns)


def explicit(target: str, dim: int, width: int) -> Any:
    """The explicit network whose layers have at most this width, or None: two hidden layers, for the control one."""
    if target == CONTROL:
        return Norm(dim, ORDER, num_directions=width // 2) if width >= 2 else None
    pieces = width // dim
    if pieces**2 <= (6 if target == PAPER else 3) * dim:
        return None
    return BallIndicator(dim, pieces) if target == PAPER else BallUnderLaw(dim, ORDER, pieces)


def networks(config: Config) -> "pd.DataFrame":
    """Explicit networks: `relative_error` measured under the law, `relative_bound` what is guaranteed.

    A deeper network of the same width has no larger error: it can carry the second layer, which is not negative.
    """
    import pandas as pd

    sizes = SCALES[config.scale]
    rows = []
    for target, dims in sizes.dims:
        for dim in dims:
            for width in sorted({*sizes.widths, *sizes.wide, *(2**power for power in range(3, 11))}):
                made = explicit(target, dim, width)
                if made is None:
                    continue
                points = made.sample(sizes.num_test, np.random.default_rng(0))
                found = error_metrics(evaluate(made.network(), points), made.target(points))
                scale = variance(target, dim)
                errors = (found["test_mse"] / scale, found["test_mse_stderr"] / scale, made.error().bound ** 2 / scale)
                rows.append((target, dim, made.size().depth, width, sum(made.size().widths), *errors))
    columns = ["target", "input_dim", "depth", "width", "num_neurons"]
    return pd.DataFrame(rows, columns=[*columns, "relative_error", "relative_error_stderr", "relative_bound"])


def needed(config: Config) -> "pd.DataFrame":
    """A row a dimension and relative squared error: neurons that one hidden layer needs, and that two suffice.

    `one_layer` is certified: fewer neurons in one hidden layer cannot reach the error, any weights. `two_layers` is the
    smallest explicit network that guarantees it.
    """
    import pandas as pd

    rows = []
    for dim in SCALES[config.scale].needed_dims:
        spectrum = BallUnderLaw(dim, ORDER, 2 * dim + 1).spectrum()
        scale = variance(BALL, dim)
        share = scale / spectrum.second_moment.value  # floors are over the second moment, errors over the variance
        for relative_error in RELATIVE_ERRORS:
            least = neurons_needed(spectrum, relative_error * share).lower
            rows.append((dim, relative_error, max(1.0, least), dim * _pieces(dim, relative_error * scale) + 2))
    return pd.DataFrame(rows, columns=["input_dim", "relative_error", "one_layer", "two_layers"])


def _pieces(dim: int, squared_error: float) -> int:
    """Fewest pieces a coordinate for which the explicit network guarantees a squared error."""
    low = high = math.isqrt(3 * dim) + 1
    while BallUnderLaw(dim, ORDER, high).error().bound ** 2 > squared_error:
        low, high = high + 1, 2 * high
    while low < high:
        middle = (low + high) // 2
        if BallUnderLaw(dim, ORDER, middle).error().bound ** 2 > squared_error:
            low = middle + 1
        else:
            high = middle
    return high


def main(config: Config) -> None:
    """Write what theory gives, then measure what is missing of the fits."""
    command.results_file(__file__, config.scale, config.out)  # a folder that refuses is said before the theory runs
    write_table(__file__, config, "floor", floors(config))
    write_table(__file__, config, "network", networks(config))
    write_table(__file__, config, "needed", needed(config))
    fit_table(__file__, config, settings(config), fit.measure)


if __name__ == "__main__":
    command.run(main)
