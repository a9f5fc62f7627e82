"""Depth separation in one variable: one hidden layer needs width exponential in the folds, k layers need width 2.

Chapter:  what depth buys, 2
Source:   Telgarsky 2015; Telgarsky 2016, Theorem 1.1. The floors of every width and depth are derived for this project,
          from a count of pieces as recalled (Serra et al. 2018): `bounds.affine_pieces`, and the best piecewise-affine
          approximation, certified, by `bounds.free_knot`.
Tested:   the width that the floor asks of one hidden layer for relative error 1/2 grows by over 1.5 times with each
          fold on average, and no trained network lies under its floor.
Decided:  proven
Certain:  proven: floors, for every weight; explicit networks, by their guarantee. Measured: how far training follows,
          at few seeds.
Command:  python experiments/sawtooth.py                            (smoke: --scale smoke, seconds)
Time:     about 30 seconds on 2 cores at laptop scale; --scale paper is made for a cluster.
Result:   results/<scale>/sawtooth.csv, a row a fit, its errors exact in L1, L2 and sup; .floor.csv, a row a number of
          folds, width and depth: the certified floors and the explicit network of that size; .functions.csv, corners
          of the best fits.
Figure:   paper_figures/sawtooth.py
Expected: no trained network lies under the floor of its size; the width that the floor asks of depth L grows like
          2^(k/L), and the explicit network needs no more than a small factor of it. Training asks for more, and from
          some k on finds nothing at any width tried: an optimisation gap.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from widththeory import command, fit, identity
from widththeory.bounds.affine_pieces import max_affine_pieces, sawtooth_floor
from widththeory.bounds.free_knot import Enclosures, free_knot_enclosures
from widththeory.bounds.tabulated import Tabulated
from widththeory.command import Scale
from widththeory.constructions.folded_sawtooth import FoldedSawtooth
from widththeory.exact.one_dim import piecewise
from widththeory.experiment import Flags, fit_table, write_table
from widththeory.fit import Regression
from widththeory.ledger import Ledger

if TYPE_CHECKING:
    import pandas as pd

TARGET = "telgarsky.Sawtooth"


@dataclass(frozen=True)
class Sizes:
    """How much of the claim a scale covers."""

    fitted_folds: tuple[int, ...]
    floor_folds: tuple[int, ...]
    depths: tuple[int, ...]
    widths: tuple[int, ...]
    learning_rates: tuple[float, ...]
    num_seeds: int
    num_steps: int
    polish_steps: int
    num_train: int


SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes((3,), (2, 3, 4), (1,), (2, 8), (1e-2,), 2, 200, 10, 512),
    "laptop": Sizes((3, 4, 5, 6), (2, 3, 4, 5, 6, 7), (1, 2, 3), (2, 4, 8, 16, 32), (5e-3, 2e-2), 3, 3000, 60, 2048),
    "paper": Sizes(
        (2, 3, 4, 5, 6, 7, 8),
        (2, 3, 4, 5, 6, 7, 8),
        (1, 2, 3),
        (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256),
        (1e-3, 5e-3, 1e-2, 2e-2),
        10,
        20_000,
        300,
        8192,
    ),
}


@dataclass(frozen=True)
class Config(Flags):
    """Flags of this experiment; `seeds` counts the initialisations of each network."""


def settings(config: Config) -> list[Regression]:
    """Each sawtooth fitted by networks of every width, with one, two, three and as many layers as it has folds."""
    return list(_grid(config))


def _depths(depths: tuple[int, ...], num_folds: int) -> list[int]:
    return sorted({depth for depth in depths if depth <= num_folds} | {num_folds})


def _grid(config: Config) -> Iterator[Regression]:
    sizes = SCALES[config.scale]
    for num_folds in sizes.fitted_folds:
        for depth in _depths(sizes.depths, num_folds):
            for width in sizes.widths:
                for seed in range(config.seeds or sizes.num_seeds):
                    for learning_rate in sizes.learning_rates:
                        yield Regression(
                            TARGET,
                            (("num_folds", num_folds),),
                            width,
                            depth,
                            seed=seed,
                            learning_rate=learning_rate,
                            num_steps=sizes.num_steps,
                            batch_size=256,
                            num_train=sizes.num_train,
                            num_test=1024,  # errors are exact; this sample is only looked at beside them
                            polish_steps=sizes.polish_steps,
                            init="hinged",
                            keep_weights=True,
                        )


def best_pieces(num_folds: int, norm: str) -> Enclosures:
    """Best approximation of h^k with P < 2^k affine pieces, over that by a constant (squared in L2), enclosed."""
    corners = 2**num_folds + 1
    teeth = Tabulated(np.linspace(0.0, 1.0, corners), np.arange(corners) % 2.0)
    found = free_knot_enclosures(teeth, corners - 2, norm, num_cells=1024)
    lower, upper = (12 * bound**2 if norm == "l2" else 4 * bound for bound in found)
    return Enclosures(lower, upper)


def floors(config: Config) -> "pd.DataFrame":
    """A row a number of folds, width and depth: what no network of that size can beat, and the explicit one.

    `l2_floor` is in the units of the fits, squared L2 error over the variance 1/12 of the target, `l1_floor` over the
    L1 error 1/4 of the best constant, both certified; `closed_form` is the lower one, by formula, that both are at
    least; `sup_floor` is the sup error itself. `explicit` is that of `FoldedSawtooth`, the same in both units.
    """
    import pandas as pd

    sizes = SCALES[config.scale]
    rows = []
    for num_folds in sizes.floor_folds:
        tables = {norm: best_pieces(num_folds, norm).lower for norm in ("l1", "l2")}
        for depth in _depths(sizes.depths, num_folds):
            for width in range(2, max(*sizes.widths, 2**num_folds) + 1):
                widths = (width,) * depth
                pieces = max_affine_pieces(widths)
                closed = 4 * sawtooth_floor(num_folds, widths, "l1").lower
                least = {
                    norm: max(closed, float(table[pieces - 1]) if pieces < 2**num_folds else 0.0)
                    for norm, table in tables.items()
                }
                sup = sawtooth_floor(num_folds, widths, "sup").lower
                explicit = float(FoldedSawtooth(num_folds, width, depth).missed)
                rows.append((num_folds, depth, width, min(pieces, 2**31), closed, *least.values(), sup, explicit))
    columns = ["num_folds", "depth", "width", "num_pieces", "closed_form", "l1_floor", "l2_floor"]
    return pd.DataFrame(rows, columns=[*columns, "sup_floor", "explicit"])


def functions(config: Config, table: "pd.DataFrame", floor: "pd.DataFrame") -> "pd.DataFrame":
    """Corners of the best fit of every size, by training loss, with its errors: the gallery's live corner draws them.

    Fits whose weights this ledger does not hold, as in a fresh clone, are fitted again.
    """
    import pandas as pd

    path = command.results_file(__file__, config.scale, config.out, suffix=".sqlite")
    by_key = {identity.key(one): one for one in settings(config)}
    best = table[table["status"] == "done"].sort_values("train_mse", kind="stable")
    best = best.groupby(["target.num_folds", "depth", "width"], sort=True).head(1)
    least = floor.set_index(["num_folds", "depth", "width"])
    rows: list[tuple[object, ...]] = []
    for num_folds in sorted(best["target.num_folds"].unique()):
        corners = np.arange(2**num_folds + 1)
        rows += [(_panel(num_folds), 0, 0, k / 2**num_folds, k % 2, None, None, None) for k in corners]
    with Ledger.open(path) as ledger:
        for chosen in best.sort_values(["target.num_folds", "depth", "width"]).to_dict("records"):
            one = by_key[chosen["key"]]
            blob = ledger.weights(path.stem, one) or fit.measure([one], 1)[0].weights
            assert blob is not None  # of fits that keep their weights
            curve = piecewise(fit.load_weights(blob), 0.0, 1.0)
            size = least.loc[(chosen["target.num_folds"], chosen["depth"], chosen["width"])]
            numbers = (12 * chosen["exact_l2_error"] ** 2, float(size["l2_floor"]), float(size["explicit"]))
            for x, y in zip(curve.knots, curve.values, strict=True):
                corner = round(float(x), 6), round(float(y), 6)  # finer than a screen
                rows.append((_panel(chosen["target.num_folds"]), chosen["width"], chosen["depth"], *corner, *numbers))
    return pd.DataFrame(rows, columns=["panel", "width", "depth", "x", "value", "error", "floor", "explicit"])


def _panel(num_folds: int) -> str:
    return f"sawtooth with {num_folds} folds"


def main(config: Config) -> None:
    """Write what theory gives, then measure what is missing of the fits."""
    command.results_file(__file__, config.scale, config.out)  # a folder that refuses is said before the theory runs
    floor = floors(config)
    write_table(__file__, config, "floor", floor)
    table = fit_table(__file__, config, settings(config), fit.measure)
    write_table(__file__, config, "functions", functions(config, table, floor))


if __name__ == "__main__":
    command.run(main)
