"""The square x^2 on [0, 1]: explicit depth is exponentially accurate, one hidden layer is not.

Chapter:  what depth buys, 3
Source:   Yarotsky 2017, Proposition 2, as recalled (sums of m sawtooths, sup error 2^(-2m-2)); width 3 with m layers
          (`constructions.yarotsky`), networks of any width (`constructions.folded_square`) and the floors
          (`bounds.affine_pieces`) are derived for this project.
Tested:   explicit networks of width 3 have sup error 2^(-2m-2) at m layers, the deepest goes under the floor of the
          widest single layer tried, and no trained network lies under its floor.
Decided:  proven
Certain:  proven: floors, for every weight; explicit networks, by their guarantee. Measured: how far training follows,
          at few seeds.
Command:  python experiments/square.py                              (smoke: --scale smoke, seconds)
Time:     about 20 seconds on 2 cores at laptop scale; --scale paper is made for a cluster.
Result:   results/<scale>/square.csv, a row a fit, its errors exact in L1, L2 and sup; .floor.csv, a row a width and
          depth: the certified floors and what explicit weights of that size attain; .network.csv, Yarotsky's networks,
          their errors measured exactly.
Figure:   paper_figures/square.py
Expected: no trained network lies under its floor; the explicit sup error at width 3 falls by 4 a layer, as the size
          grows linearly; the gap between trained and explicit weights grows with both width and depth.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from widththeory import command, fit
from widththeory.bounds.affine_pieces import square_floor
from widththeory.command import Scale
from widththeory.constructions.folded_square import FoldedSquare
from widththeory.constructions.yarotsky import Square
from widththeory.experiment import Flags, fit_table, write_table
from widththeory.fit import Regression
from widththeory.metrics import exact_metrics

if TYPE_CHECKING:
    import pandas as pd

TARGET = "yarotsky.Square"


@dataclass(frozen=True)
class Sizes:
    """How much of the claim a scale covers; `narrow_depths` are those of the networks of width 3."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    narrow_depths: tuple[int, ...]
    learning_rates: tuple[float, ...]
    num_seeds: int
    num_steps: int
    polish_steps: int
    num_train: int


NARROW = 3
SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes((3, 8), (1, 2), (1, 2), (1e-2,), 2, 150, 20, 256),
    "laptop": Sizes((3, 4, 6, 8, 12, 16, 24, 32), (1, 2, 3), (1, 2, 3, 4, 5, 6, 8), (3e-3, 1e-2), 5, 1500, 200, 1024),
    "paper": Sizes(
        (3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128),
        (1, 2, 3, 4, 6),
        (1, 2, 3, 4, 5, 6, 7, 8, 10, 12),
        (1e-3, 3e-3, 1e-2),
        10,
        20_000,
        2000,
        8192,
    ),
}


@dataclass(frozen=True)
class Config(Flags):
    """Flags of this experiment; `seeds` counts the initialisations of each network."""


def settings(config: Config) -> list[Regression]:
    """x^2 fitted by networks of every width with few layers, and of width 3 with many."""
    return list(_grid(config))


def _sizes(sizes: Sizes) -> list[tuple[int, int]]:
    """(width, depth) of every network that is fitted."""
    grid = {(width, depth) for width in sizes.widths for depth in sizes.depths}
    return sorted(grid | {(NARROW, depth) for depth in sizes.narrow_depths})


def _grid(config: Config) -> Iterator[Regression]:
    sizes = SCALES[config.scale]
    for width, depth in _sizes(sizes):
        for seed in range(config.seeds or sizes.num_seeds):
            for learning_rate in sizes.learning_rates:
                yield Regression(
                    TARGET,
                    (("order", 1),),  # of the explicit network, which is not used: the target is x^2 for all
                    width,
                    depth,
                    seed=seed,
                    learning_rate=learning_rate,
                    num_steps=sizes.num_steps,
                    batch_size=min(256, sizes.num_train),
                    num_train=sizes.num_train,
                    num_test=512,  # errors are exact; this sample is only looked at beside them
                    polish_steps=sizes.polish_steps,
                    init="hinged",
                )


def floors(config: Config) -> "pd.DataFrame":
    """A row a width and depth: certified floors in sup, L2 and L1, and what `FoldedSquare` of that size attains."""
    import pandas as pd

    rows = []
    for width, depth in _sizes(SCALES[config.scale]):
        least = [square_floor((width,) * depth, norm).lower for norm in ("sup", "l2", "l1")]
        explicit = [FoldedSquare(width, depth, norm).error().bound for norm in ("sup", "l2")]
        rows.append((width, depth, FoldedSquare(width, depth).size().num_params, *least, *explicit))
    columns = ["width", "depth", "num_params", "sup_floor", "l2_floor", "l1_floor", "sup_explicit", "l2_explicit"]
    return pd.DataFrame(rows, columns=columns)


def networks(config: Config) -> "pd.DataFrame":
    """Yarotsky's networks of width 3: errors measured exactly, beside the sup error promised."""
    import pandas as pd

    rows = []
    for depth in sorted({*SCALES[config.scale].narrow_depths, *range(1, 9)}):
        made = Square(depth)
        found = exact_metrics(made.network(), made)
        errors = (found["exact_sup_error"], found["exact_l2_error"], made.error().bound)
        rows.append((NARROW, depth, made.size().num_params, *errors))
    return pd.DataFrame(rows, columns=["width", "depth", "num_params", "sup_error", "l2_error", "sup_promised"])


def main(config: Config) -> None:
    """Write what theory gives, then measure what is missing of the fits."""
    command.results_file(__file__, config.scale, config.out)
    write_table(__file__, config, "floor", floors(config))
    write_table(__file__, config, "network", networks(config))
    fit_table(__file__, config, settings(config), fit.measure)


if __name__ == "__main__":
    command.run(main)
