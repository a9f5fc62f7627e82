"""Phase transition at width n: narrower networks keep an error at every depth that width max(n, 2) beats.

Chapter:  how narrow is too narrow, 1
Source:   Lu et al. 2017, Theorems 1, 2 and 3, as recalled; Kim, Min, Park 2024 and Park et al. 2021, as recalled, for
          the least widths max(n, 2) in L^p of the cube and n + 1 in L^p of R^n; Hanin, Sellke 2017 and Johnson 2019, as
          recalled, for the sup norm. The floors themselves are derived for this project: `bounds.square_sum`,
          `bounds.kernel_direction`, `bounds.growing_box`, `bounds.level_set`.
Tested:   for every n of which an explicit network of width max(n, 2) is measured, its error lies under the floor of all
          narrower networks in the mean square on the cube, by 4 standard errors of the sample, and no trained network
          lies under its floor.
Decided:  proven, computed
Certain:  proven: floors of narrow networks at every depth (for n = 1 of width 1, whose networks are monotone); on all
          of R^n width n leaves the norm or infinity (Theorem 2); Theorem 1, of width n + 4, has no rate, the promise in
          (d) is that of the construction, derived here. Computed: errors of explicit networks of width max(n, 2), on a
          sample. Measured: how far training, of few layers and at few seeds, follows.
Command:  python experiments/width_below_n.py                       (smoke: --scale smoke, seconds)
Time:     about a minute on 2 cores at laptop scale; --scale paper is made for a cluster.
Result:   results/<scale>/width_below_n.csv, a row a fit; .floor.csv, a row a target and width: certified floors in L2,
          L1 and sup; .network.csv, explicit networks of width max(n, 2) and n + 4 against depth; .growth.csv, the L1
          error of explicit networks on boxes that grow.
Figure:   paper_figures/width_below_n.py
Expected: no trained network narrower than n lies under the floor, at any depth; explicit networks of width n do, and
          trained ones from n + 1 on; in sup width n is not enough either; on growing boxes the error of narrower
          networks is at least that of zero, and the explicit one of width n diverges.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from widththeory import command, fit
from widththeory.bounds.growing_box import growing_box_floor
from widththeory.bounds.kernel_direction import narrow_floor
from widththeory.bounds.level_set import extremum_floor, radial_oscillation
from widththeory.bounds.square_sum import square_sum_floor
from widththeory.command import Scale
from widththeory.constructions.minimum_width_network import memorising_network
from widththeory.constructions.narrow_targets import NarrowTarget
from widththeory.constructions.pyramid import Pyramid
from widththeory.constructions.trapezoid_approximation import TrapezoidApproximation
from widththeory.exact.distance_2d import distance
from widththeory.exact.polygons import box
from widththeory.experiment import Flags, fit_table, write_table
from widththeory.fit import Regression
from widththeory.metrics import evaluate, mean_and_stderr
from widththeory.network import Network, compose
from widththeory.typing import Certified, Values

if TYPE_CHECKING:
    import pandas as pd

CUBE, BOX = "narrow_targets.NarrowTarget", "pyramid.Pyramid"
NAME = "sum_of_squares"
PLANE = 2  # input dimension of the fits on boxes, whose errors are exact


@dataclass(frozen=True)
class Sizes:
    """How much of the claim a scale covers.

    `cells` are those an axis of the explicit networks of width max(n, 2) and n + 4, by n; `growing` the boxes on which
    explicit networks are measured. The largest depth is for widths n - 1, n and n + 1 only.
    """

    widths: dict[int, tuple[int, ...]]
    depths: tuple[int, ...]
    large_depth: int
    box_radii: tuple[int, ...]
    box_widths: tuple[int, ...]
    learning_rates: tuple[float, ...]
    num_seeds: int
    num_steps: int
    num_train: int
    num_test: int
    cells: dict[int, int]
    trapezoid_cells: dict[int, tuple[int, ...]]
    growing: tuple[int, ...]


SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes(
        {1: (1, 2), 2: (1, 3)},
        (2,),
        2,
        (2,),
        (1, 3),
        (1e-2,),
        2,
        100,
        1024,
        1024,
        {1: 4, 2: 4},
        {1: (2, 4, 8), 2: (2, 4)},
        (1, 4),
    ),
    "laptop": Sizes(
        {1: (1, 2, 3, 4, 5), 2: (1, 2, 3, 4, 6), 3: (1, 2, 3, 4, 5, 7), 4: (2, 3, 4, 5, 6, 8), 8: (4, 7, 8, 9, 12)},
        (2, 4),
        8,
        (1, 2, 4),
        (1, 2, 3, 4, 6),
        (3e-3, 1e-2),
        3,
        2000,
        8192,
        8192,
        {1: 4, 2: 4, 3: 5, 4: 6},
        {1: (2, 4, 8, 16, 32, 64), 2: (2, 4, 8, 16), 3: (2, 4, 6)},
        (1, 2, 4, 8, 16, 32),
    ),
    "paper": Sizes(
        {n: tuple(range(1, n + 5)) for n in range(1, 9)},
        (1, 2, 4, 8),
        32,
        (1, 2, 4, 8),
        (1, 2, 3, 4, 5, 6),
        (1e-3, 3e-3, 1e-2),
        10,
        20_000,
        32_768,
        32_768,
        {1: 4, 2: 4, 3: 5, 4: 6, 5: 7},
        {1: (2, 4, 8, 16, 32, 64, 128), 2: (2, 4, 8, 16, 32), 3: (2, 4, 8), 4: (2, 4)},
        (1, 2, 4, 8, 16, 32, 64),
    ),
}


@dataclass(frozen=True)
class Config(Flags):
    """Flags of this experiment; `seeds` counts the initialisations of each network."""


def settings(config: Config) -> list[Regression]:
    """The sum of squares on the cube of each dimension, and the pyramid in boxes of the plane, by every width."""
    return list(_grid(config))


def _grid(config: Config) -> Iterator[Regression]:
    sizes = SCALES[config.scale]
    for dim, widths in sizes.widths.items():
        args: tuple[tuple[str, int | str], ...] = (("name", NAME), ("input_dim", dim))
        for width in widths:
            depths = {*sizes.depths, *((sizes.large_depth,) if abs(width - dim) <= 1 else ())}
            for depth in sorted(depths):
                yield from _fits(config, CUBE, args, width, depth)
    for radius in sizes.box_radii:
        for width in sizes.box_widths:
            args = (("input_dim", PLANE), ("box_radius", radius))
            yield from _fits(config, BOX, args, width, Pyramid(PLANE).size().depth)


def _fits(
    config: Config, target: str, args: tuple[tuple[str, int | str], ...], width: int, depth: int
) -> Iterator[Regression]:
    sizes = SCALES[config.scale]
    for seed in range(config.seeds or sizes.num_seeds):
        for learning_rate in sizes.learning_rates:
            yield Regression(
                target,
                args,
                width,
                depth,
                seed=seed,
                learning_rate=learning_rate,
                num_steps=sizes.num_steps,
                batch_size=256,
                num_train=sizes.num_train,
                num_test=sizes.num_test,
                init="hinged",
                exact_plane=target == BOX,
            )


# --- floors -----------------------------------------------------------------------------------------------------------


def floors(config: Config) -> "pd.DataFrame":
    """A row a target, dimension, box and width; a floor of 0 where nothing is proven.

    `l2_floor` is in units of the variance, squared; `l1_floor` in units of the L1 norm of the target; `sup_floor` is
    the sup error itself. All hold at every depth. `variance` and `l1_mean` (E|f|) are those of the uniform law.
    """
    import pandas as pd

    sizes = SCALES[config.scale]
    rows = []
    for dim, widths in sizes.widths.items():
        variance = 4 * dim / 45
        below = square_sum_floor(dim).lower ** 2 / 2**dim / variance
        sup = radial_oscillation(np.square, 2.0, 0.0, 1.0).lower  # on the ball in the cube
        for width in widths:
            l2 = below if width < max(dim, 2) else 0.0
            rows.append((CUBE, dim, np.nan, width, variance, dim / 3, l2, 0.0, sup if width <= dim else 0.0))
    for radius in sizes.box_radii:
        one = Pyramid(PLANE, radius)
        l2, l1 = _box_floors(one)
        # inside the cube of radius 1 it is 1 at the centre, on its boundary 0
        sup = extremum_floor(Certified(1.0, 0.0), Certified(0.0, 0.0), Certified(0.0, 0.0)).lower
        mean = one.l1_norm / (2 * radius) ** PLANE
        for width in sizes.box_widths:
            narrow = width < PLANE
            found = (l2 if narrow else 0.0, l1 if narrow else 0.0, sup if width <= PLANE else 0.0)
            rows.append((BOX, PLANE, float(radius), width, one.variance, mean, *found))
    columns = ["target", "target.input_dim", "target.box_radius", "width", "variance", "l1_mean"]
    return pd.DataFrame(rows, columns=[*columns, "l2_floor", "l1_floor", "sup_floor"])


def _box_floors(one: Pyramid) -> tuple[float, float]:
    """Floors of the pyramid in the plane: relative and squared in L2, in units of its norm in L1."""
    radius = float(one.box_radius)

    def shrunk(points: np.ndarray) -> Values:
        return one.target(radius * points)

    few = {"num_cells": 160, "num_angles": 90, "max_evaluations": 270}
    square = narrow_floor(shrunk, radius * np.sqrt(2), "l2", **few).lower
    l1 = growing_box_floor(Certified(one.l1_norm, 0.0), 1.0, radius, PLANE).lower
    if l1 == 0:
        l1 = radius**2 * narrow_floor(shrunk, radius * np.sqrt(2), "l1", **few).lower
    return square**2 / 4 / one.variance, l1 / one.l1_norm


# --- explicit networks ------------------------------------------------------------------------------------------------


def narrowest(function: Callable[[list[Fraction]], Fraction], dim: int, num_cells: int, window_bits: int) -> Network:
    """A network of width max(n, 2) on [-1, 1]^n with given values in [0, 1] on the cells of a grid, but for windows.

    A first layer clamps x at -1, so that outside the cube nothing changes before that corner. `function` takes the
    centre of a cell.
    """
    values = np.empty((*(num_cells,) * dim, 1), dtype=object)
    for cell in np.ndindex(*(num_cells,) * dim):
        values[(*cell, 0)] = function([Fraction(2 * k + 1, num_cells) - 1 for k in cell])
    network = memorising_network(values, 2, Fraction(1, num_cells * 2**window_bits), narrowest=True)
    half, zero, one = Fraction(1, 2), Fraction(0), Fraction(1)
    moved = [[half if i == j else zero for j in range(dim)] for i in range(dim)]
    carried = [[one if i == j else zero for j in range(dim)] for i in range(dim)]
    return compose(network, Network([(moved, [half] * dim), (carried, [zero] * dim)]))


def mean_of_squares(dim: int, num_cells: int) -> Network:
    """The network of width max(n, 2) whose value on each cell is the mean of x_1^2 + ... + x_n^2 there."""
    spread = Fraction(1, 3 * num_cells**2)  # variance of a coordinate in a cell

    def mean(centre: list[Fraction]) -> Fraction:
        return sum((x * x + spread for x in centre), start=Fraction(0)) / dim

    return narrowest(mean, dim, num_cells, 20).then([[dim]], [0])


def networks(config: Config) -> "pd.DataFrame":
    """Explicit networks of the sum of squares against depth, measured on a sample of the uniform law.

    `relative` is the squared L2 error over the variance, `l1_error` the mean of |f - g|, `l1_bound` what is promised.
    """
    import pandas as pd

    sizes = SCALES[config.scale]
    rows = []
    for kind, cells in (("narrowest", {n: (m,) for n, m in sizes.cells.items()}), ("trapezoid", sizes.trapezoid_cells)):
        for dim, counts in cells.items():
            target = NarrowTarget(NAME, dim)
            points = target.sample(sizes.num_test, np.random.default_rng(dim))
            for num_cells in counts:
                made = TrapezoidApproximation(NAME, dim, num_cells)
                network = made.network() if kind == "trapezoid" else mean_of_squares(dim, num_cells)
                gap = evaluate(network, points) - target.target(points)
                absolute, square = mean_and_stderr(np.abs(gap)), mean_and_stderr(gap**2 / (4 * dim / 45))
                bound = made.error().bound if kind == "trapezoid" else np.nan
                rows.append((kind, dim, num_cells, network.size.width, network.size.depth, *absolute, bound, *square))
    columns = ["kind", "input_dim", "num_cells", "width", "depth", "l1_error", "l1_stderr", "l1_bound"]
    return pd.DataFrame(rows, columns=[*columns, "relative", "relative_stderr"])


def growth(config: Config) -> "pd.DataFrame":
    """L1 error on [-R, R]^2 over the norm of the pyramid, exact, of explicit networks that do not change with R."""
    import pandas as pd

    one = Pyramid(PLANE, 1)
    made = {
        "narrowest": narrowest(lambda x: max(Fraction(0), 1 - sum(map(abs, x), start=Fraction(0))), PLANE, 4, 6),
        "string": one.network(),
    }
    rows = []
    for kind, network in made.items():
        for radius in SCALES[config.scale].growing:
            l1 = distance(network, one.network(), box(-radius, radius)).l1
            rows.append((kind, network.size.width, network.size.depth, radius, l1 / one.l1_norm))
    return pd.DataFrame(rows, columns=["kind", "width", "depth", "box_radius", "l1_ratio"])


def main(config: Config) -> None:
    """Write what theory gives and what explicit networks attain, then measure what is missing of the fits."""
    command.results_file(__file__, config.scale, config.out)  # a folder that refuses is said before the theory runs
    write_table(__file__, config, "floor", floors(config))
    write_table(__file__, config, "network", networks(config))
    write_table(__file__, config, "growth", growth(config))
    fit_table(__file__, config, settings(config), fit.measure)


if __name__ == "__main__":
    command.run(main)
