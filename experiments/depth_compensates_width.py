"""Depth compensates width: the narrower the layers, the more of them the same error takes.

Chapter:  the exchange rate, 1
Source:   Lu, Pu, Wang, Hu, Wang 2017, Section 4 (random targets of width 2 k^2 with two hidden layers; the table, not
          batch size and initialisation, as recalled) and Theorem 4 (as recalled: for k >= n + 4 some target, not these,
          keeps an L1 distance from networks of width k^(3/2) and k + 1 hidden layers with bounded parameters);
          Vardi, Yehudai, Shamir 2022, Theorem 7 (polynomial depth suffices).
Tested:   for random targets, of every number of inputs n, the depth at which trained networks reach relative squared
          error 1e-3 falls with the width, the 95 % interval of its exponent being below 0 (each k has a factor of its
          own; targets and widths that no depth tried is enough for, or the least one, count as censored), and no
          trained network lies under its floor. That it is a power of the width is not tested; the likelihood of a law
          exponential in 1/width is told beside it.
Decided:  measured
Certain:  proven: the explicit exchange, at a depth polynomial in the target's width; floors for n = 1 (those for n = 2
          are statistical: means over random lines, with their standard errors).
          Measured: the exponent between them, from the best of a few trained networks a size, with its interval.
Command:  python experiments/depth_compensates_width.py            (smoke: --scale smoke, seconds)
Time:     about 3 minutes on 2 cores at laptop scale, some hours at paper scale.
Result:   results/<scale>/depth_compensates_width.csv, a row a fit; .floor.csv, a row a target, width and depth: the
          floor no network of that size can beat (n = 1 certified, n = 2 estimated), and the depth at which an explicit
          network is exact;
          .recalled.csv, the paper's table.
Figure:   paper_figures/depth_compensates_width.py
Expected: between floor and exact exchange the depth needed falls with the width, about as steeply as a power between
          -1 and -2; where the exact network exists and the trained one has an error, that is an optimisation gap.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from widththeory import command, fit
from widththeory.bounds.affine_pieces import max_affine_pieces
from widththeory.bounds.free_knot import free_knot_enclosures
from widththeory.bounds.tabulated import Tabulated
from widththeory.command import Scale
from widththeory.constructions.serialise import exchange_size
from widththeory.constructions.serialised_path import path_size
from widththeory.constructions.wide_random import RandomWideNetwork, recalled_errors, student_size
from widththeory.exact.distance_2d import distance
from widththeory.exact.one_dim import PiecewiseLinear, piecewise
from widththeory.exact.polygons import box
from widththeory.exact.polynomial_2d import PlanarPolynomial
from widththeory.experiment import Flags, fit_table, write_table
from widththeory.fit import Regression
from widththeory.network import Network, compose

if TYPE_CHECKING:
    import pandas as pd

TARGET = "wide_random.RandomWideNetwork"


@dataclass(frozen=True)
class Sizes:
    """How much of the claim a scale covers."""

    input_dims: tuple[int, ...]
    ks: tuple[int, ...]
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    num_targets: int
    num_restarts: int
    learning_rates: tuple[float, ...]
    num_steps: int
    num_points: int
    num_table_targets: int
    table_epochs: tuple[int, ...]
    num_lines: int


SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes((1, 2), (3,), (4, 8), (1, 2), 2, 1, (1e-2,), 200, 1024, 1, (2, 2), 4),
    "laptop": Sizes(
        (1, 2),
        (3, 4, 5),
        (4, 6, 8, 12, 16, 24),
        (1, 2, 3, 4, 6, 8),
        3,
        2,
        (5e-3, 2e-2),
        2000,
        8192,
        3,
        (100, 200),
        16,
    ),
    "paper": Sizes(
        (1, 2),
        (3, 4, 5),
        (3, 4, 6, 8, 12, 16, 24, 32),
        (1, 2, 3, 4, 6, 8, 12, 16),
        10,
        2,
        (3e-3, 1e-2, 3e-2),
        10_000,
        40_000,
        50,
        (100, 200),
        64,
    ),
}


@dataclass(frozen=True)
class Config(Flags):
    """Flags of this experiment; `seeds` counts the random targets of each kind."""


def settings(config: Config) -> list[Regression]:
    """Students over width x depth x restart x learning rate on each target, then the paper's own students."""
    return [*_grid(config), *_table(config)]


def _target_args(input_dim: int, k: int, seed: int) -> tuple[tuple[str, int], ...]:
    return (("input_dim", input_dim), ("k", k), ("seed", seed))


def _grid(config: Config) -> Iterator[Regression]:
    sizes = SCALES[config.scale]
    for input_dim in sizes.input_dims:
        for k in sizes.ks:
            for width in sizes.widths:
                if width <= input_dim:
                    continue  # below n + 1 the kernel floor holds at every depth: another claim
                for depth in sizes.depths:
                    for target in range(config.seeds or sizes.num_targets):
                        for restart in range(sizes.num_restarts):
                            for learning_rate in sizes.learning_rates:
                                yield Regression(
                                    TARGET,
                                    _target_args(input_dim, k, target),
                                    width,
                                    depth,
                                    seed=sizes.num_restarts * target + restart,
                                    learning_rate=learning_rate,
                                    num_steps=sizes.num_steps,
                                    batch_size=256,
                                    num_train=2 * sizes.num_points,
                                    num_test=sizes.num_points,
                                    init="hinged",
                                    exact_plane=config.scale != "laptop",  # minutes, which a laptop has not
                                )


def _table(config: Config) -> Iterator[Regression]:
    """Section 4 of the paper, as recalled; not recalled are batch size and initialisation, here Keras's 32 and He's."""
    sizes = SCALES[config.scale]
    batch_size = 32
    for input_dim, epochs in zip((1, 2), sizes.table_epochs, strict=True):
        num_train = 10_000 * input_dim
        for k in sizes.ks:
            size = student_size(input_dim, k)
            for target in range(config.seeds or sizes.num_table_targets):
                yield Regression(
                    TARGET,
                    _target_args(input_dim, k, target),
                    size.width,
                    size.depth,
                    seed=target,
                    learning_rate=1.0,
                    num_steps=epochs * (num_train // batch_size),
                    batch_size=batch_size,
                    num_train=num_train,
                    num_test=num_train,
                    optimizer="adadelta",
                    schedule="constant",
                    init="he",
                )


def floors(config: Config) -> "pd.DataFrame":
    """A row a target, width and depth: what no network of that size can beat, and where an explicit one is exact.

    Targets of the paper's table beyond those of the grid have the row of its student alone.

    `relative_floor` is in the units of the fits: squared L2 error over the variance of the target. For one input it is
    certified, the best approximation by as many affine pieces as such a network can have; for two inputs an estimate,
    the mean of that over `num_lines` random lines, of which `relative_floor_stderr` is the standard error.
    `exchange_depth` is the number of hidden layers at which a network of that width equals the target exactly.
    """
    import pandas as pd

    sizes = SCALES[config.scale]
    num_targets = config.seeds or sizes.num_targets
    grid = {(width, depth) for width in sizes.widths for depth in range(1, max(sizes.depths) + 1)}
    rows = []
    for input_dim in sizes.input_dims:
        for k in sizes.ks:
            student = student_size(input_dim, k)
            for seed in range(config.seeds or max(sizes.num_targets, sizes.num_table_targets)):
                cells = {(student.width, student.depth)} | (grid if seed < num_targets else set())
                target = RandomWideNetwork(input_dim, k, seed)
                found = _one_input(target, cells) if input_dim == 1 else _two_inputs(target, cells, sizes.num_lines)
                rows += [(input_dim, k, seed, *row) for row in found]
    columns = ["target.input_dim", "target.k", "target.seed", "width", "depth", "num_pieces"]
    columns += ["relative_floor", "relative_floor_stderr", "exchange_depth", "target_variance"]
    return pd.DataFrame(rows, columns=columns)


def _floor_of_pieces(function: PiecewiseLinear, cells: set[tuple[int, int]], num_cells: int) -> dict[int, float]:
    """Certified mean square error of the best function with P affine pieces, for the P that the cells can have."""
    length = float(function.knots[-1] - function.knots[0])
    wanted = {max_affine_pieces((width,) * depth) for width, depth in cells}
    fewer = sorted(pieces for pieces in wanted if pieces < function.num_pieces)
    if not fewer:
        return {}
    found = free_knot_enclosures(Tabulated(function.knots, function.values), fewer[-1], num_cells=num_cells)
    return {pieces: float(found.lower[pieces - 1]) ** 2 / length for pieces in fewer}


def _variance(function: PiecewiseLinear) -> float:
    """Under the uniform law on the interval, by Simpson's rule on each piece, which is exact."""
    steps, values = np.diff(function.knots), function.values
    weight = steps / np.sum(steps)
    mean = float(weight @ (values[:-1] + values[1:]) / 2)
    left, right = values[:-1] - mean, values[1:] - mean
    return float(weight @ (left**2 + left * right + right**2) / 3)


def _one_input(target: RandomWideNetwork, cells: set[tuple[int, int]]) -> Iterator[tuple[float, ...]]:
    function = piecewise(target.network(), -1.0, 1.0)
    variance = _variance(function)
    floor = _floor_of_pieces(function, cells, 1024)
    for width, depth in sorted(cells):
        pieces = max_affine_pieces((width,) * depth)
        exact = path_size(len(function.breakpoints), width).depth
        yield width, depth, min(pieces, 2**31), floor.get(pieces, 0.0) / variance, 0.0, exact, variance


def _two_inputs(target: RandomWideNetwork, cells: set[tuple[int, int]], num_lines: int) -> Iterator[tuple[float, ...]]:
    """On each line a network of two inputs is one of one input and the same widths; lines are drawn in equal strata."""
    offsets = (
        -1 + 2 * (np.arange(num_lines) + np.random.default_rng([target.seed, 2]).uniform(size=num_lines)) / num_lines
    )
    polygon, zero, one = box(-1, 1), PlanarPolynomial(((0.0,),)), PlanarPolynomial(((1.0,),))
    square, shifted = (distance(target.network(), level, polygon).l2 ** 2 / 4 for level in (zero, one))
    variance = square - ((square - shifted + 1) / 2) ** 2  # E f = (E f^2 - E (f - 1)^2 + 1) / 2
    lines = [Network([([[1.0], [0.0]], [0.0, offset])]) for offset in offsets]
    functions = [piecewise(compose(target.network(), line), -1.0, 1.0) for line in lines]
    floors = [_floor_of_pieces(function, cells, 256) for function in functions]
    for width, depth in sorted(cells):
        pieces = max_affine_pieces((width,) * depth)
        values = np.array([floor.get(pieces, 0.0) for floor in floors]) / variance
        stderr = float(np.std(values, ddof=1)) / np.sqrt(num_lines)
        exact = exchange_size(2, target.size().widths, width).depth if width >= 5 else np.nan
        yield width, depth, min(pieces, 2**31), float(np.mean(values)), stderr, exact, variance


def recalled(config: Config) -> "pd.DataFrame":
    """The paper's table, as recalled: worst and average MSE of its students over 50 random targets."""
    import pandas as pd

    sizes = SCALES[config.scale]
    rows = [(dim, k, *recalled_errors(dim, k)) for dim in sizes.input_dims for k in sizes.ks]
    return pd.DataFrame(rows, columns=["target.input_dim", "target.k", "worst_mse", "average_mse"])


def main(config: Config) -> None:
    """Write what theory gives, then measure what is missing of the fits."""
    write_table(__file__, config, "recalled", recalled(config))
    write_table(__file__, config, "floor", floors(config))
    fit_table(__file__, config, settings(config), fit.measure)


if __name__ == "__main__":
    command.run(main)
