"""What depth folds: of equally many parameters, depth can make far more linear regions than width can.

Chapter:  what depth buys, 7
Source:   Montufar, Pascanu, Cho, Bengio 2014 (folding networks and their count); Serra, Tjandraatmadja, Ramalingam 2018
          (upper bound); Hanin, Rolnick 2019, NeurIPS (at initialisation, under hypotheses on the law, the mean number
          of activation regions is at most of the order of N^2 for N neurons in the plane, at any depth). All as
          recalled.
Tested:   explicit deep weights have more regions than any shallow network of as many parameters can have, and
          initialised and trained deep networks, in the median, fewer than a shallow one can have.
Decided:  proven, measured
Certain:  proven: the count of the folding network and the ceiling of shallow ones. Computed: exact counts. Measured:
          how many trained networks have.
Command:  python experiments/what_depth_folds.py                    (smoke: --scale smoke, seconds)
Time:     a few seconds on 2 cores at laptop scale; less than a minute at paper scale.
Result:   results/<scale>/what_depth_folds.csv, a row a fit; .regions.csv, exact counts of every network, explicit,
          initialised or trained, beside the bounds; .faces.csv, the faces that the figure shows.
Figure:   paper_figures/what_depth_folds.py
Expected: the explicit deep network has many times the regions that any shallow one of its size can have; initialised
          and trained networks do not: in the median they have fewer than N^2 / 2 for N neurons, and at equal parameters
          the deep ones have fewer neurons.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from widththeory import command, fit, identity
from widththeory.bounds.linear_regions import serra_upper
from widththeory.command import Scale, results_file
from widththeory.constructions.montufar import FoldingNetwork
from widththeory.exact.linear_regions import linear_regions
from widththeory.exact.polygons import box
from widththeory.exact.two_dim import PolygonalComplex, subdivide
from widththeory.experiment import Flags, fit_table, write_table
from widththeory.fit import Regression
from widththeory.ledger import Ledger
from widththeory.network import Network
from widththeory.typing import Size

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Sizes:
    """How much of the claim a scale covers: a deep network's width and depth, seeds, steps."""

    width: int
    depth: int
    num_seeds: int
    num_steps: int


SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes(6, 3, 2, 100),
    "laptop": Sizes(8, 3, 10, 3000),
    "paper": Sizes(8, 3, 50, 20_000),
}


@dataclass(frozen=True)
class Config(Flags):
    """Flags of this experiment; `seeds` counts the initialisations of each architecture."""


def architectures(scale: Scale) -> dict[str, tuple[int, ...]]:
    """Hidden widths of the deep network, and of the shallow one with as many parameters or the most below that."""
    sizes = SCALES[scale]
    deep = (sizes.width,) * sizes.depth
    return {"deep": deep, "shallow": ((Size(2, deep).num_params - 1) // 4,)}  # one hidden layer of m units: 4 m + 1


def settings(config: Config) -> list[Regression]:
    """Both architectures before and after training on a smooth function of two variables."""
    return list(_grid(config))


def _grid(config: Config) -> Iterator[Regression]:
    sizes = SCALES[config.scale]
    for widths in architectures(config.scale).values():
        for num_steps in (0, sizes.num_steps):
            for seed in range(config.seeds or sizes.num_seeds):
                yield Regression(
                    "narrow_targets.NarrowTarget",
                    (("input_dim", 2), ("name", "product_of_cosines")),
                    widths[0],
                    len(widths),
                    seed=seed,
                    learning_rate=1e-2,
                    num_steps=num_steps,
                    batch_size=256,
                    num_train=8192,
                    num_test=8192,
                    init="hinged",
                    keep_weights=True,
                )


def _fitted(config: Config) -> Iterator[tuple[Regression, Network]]:
    """The networks of the fits that did not fail; those whose weights this ledger does not hold are fitted again."""
    path = results_file(__file__, config.scale, config.out, suffix=".sqlite")
    with Ledger.open(path) as ledger:
        statuses = ledger.statuses(path.stem)
        for one in settings(config):
            if statuses.get(identity.key(one)) == "failed":
                continue
            blob = ledger.weights(path.stem, one)
            if blob is None:
                (found,) = fit.measure([one], 1)
                blob = found.weights
            if blob is not None:
                yield one, fit.load_weights(blob)


def _explicit(scale: Scale) -> Iterator[tuple[str, Network]]:
    for name, widths in architectures(scale).items():
        yield name, FoldingNetwork(2, widths).network()


def networks(config: Config) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Exact counts of all networks, and the faces of one network of each kind, on its square scaled to [0, 1]^2."""
    import pandas as pd

    known = architectures(config.scale)
    names = {(widths[0], len(widths)): name for name, widths in known.items()}
    counts: list[tuple[object, ...]] = []
    faces: list[tuple[object, ...]] = []

    def add(name: str, state: str, seed: int, network: Network, low: int) -> None:
        complex_ = subdivide(network, box(low, 1))
        counts.append(
            (name, state, seed, network.size.num_params, complex_.num_faces, int(linear_regions(complex_).max()) + 1)
        )
        if seed == 0:
            faces.extend((name, state, *corner) for corner in _corners(complex_, low))

    for name, network in _explicit(config.scale):
        add(name, "explicit", 0, network, 0)
    for one, network in _fitted(config):
        state = "trained" if one.num_steps else "initialised"
        add(names[one.width, one.depth], state, one.seed, network, -1)
    columns = ["architecture", "state", "seed", "num_params", "activation_regions", "linear_regions"]
    regions = pd.DataFrame(counts, columns=columns)
    bounds = {name: serra_upper(2, widths).value for name, widths in known.items()}
    regions["most"] = [bounds[name] for name in regions["architecture"]]
    regions["widths"] = ["-".join(map(str, known[name])) for name in regions["architecture"]]
    return regions, pd.DataFrame(faces, columns=["architecture", "state", "face", "x", "y", "slope_x", "slope_y"])


def _corners(complex_: PolygonalComplex, low: int) -> Iterator[tuple[float, ...]]:
    """Corner by corner: number of its face, position as finely as a picture can show it, and the face's gradient."""
    slopes = complex_.affine_maps[:, 0, :2].astype(np.float64)
    for face in range(complex_.num_faces):
        for x, y in (complex_.polygon(face).astype(np.float64) - low) / (1 - low):
            yield face, round(float(x), 6), round(float(y), 6), *map(float, slopes[face])


def main(config: Config) -> None:
    """Measure what is missing of the fits, then take the networks apart."""
    fit_table(__file__, config, settings(config), fit.measure)
    regions, faces = networks(config)
    write_table(__file__, config, "regions", regions)
    write_table(__file__, config, "faces", faces)


if __name__ == "__main__":
    command.run(main)
