"""Depth makes exponentially many linear regions possible; initialised or trained there are fewer than in one layer.

Chapter:  what depth buys, 8
Source:   Montufar, Pascanu, Cho, Bengio 2014 (lower bound, by folding networks); Serra, Tjandraatmadja, Ramalingam 2018
          (ceiling); Hanin, Rolnick 2019, NeurIPS (at initialisation, under hypotheses on the law, the mean number of
          activation regions is at most of the order of N^n for N neurons and n inputs, at any depth). All as recalled.
Tested:   no network has more regions than its ceiling, and initialised and trained networks of several layers have in
          the mean fewer than one hidden layer of as many neurons can have, at each size, by 95 % intervals over seeds.
Decided:  proven, measured
Certain:  proven: both bounds. Computed: exact counts. Measured: powers, over a range of small widths, which no theorem
          speaks of; that on initialisation has an unknown constant, and says nothing of training or of this law.
Command:  python experiments/regions.py                    (smoke: --scale smoke, seconds)
Time:     about a minute on 2 cores at laptop scale; at paper scale an hour on 2 cores, minutes on a GPU.
Result:   results/<scale>/regions.csv, a row a fit; .networks.csv, exact counts of all networks, explicit, initialised
          or trained, of one and two inputs, over widths and depths, beside the bounds for their size.
Figure:   paper_figures/regions.py
Expected: explicit networks follow the lower bound, a power of the width that grows with depth. Initialised and trained
          ones have in the mean no more than one hidden layer of as many neurons can have; narrow deep ones have fewer,
          so that over small widths the power of the neurons at some depths lies above the number of inputs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from widththeory import command, fit, identity
from widththeory.bounds.linear_regions import montufar_lower, serra_upper
from widththeory.command import Scale, results_file
from widththeory.constructions.montufar import FoldingNetwork
from widththeory.constructions.narrow_targets import NarrowTarget
from widththeory.exact.linear_regions import linear_regions
from widththeory.exact.one_dim import piecewise
from widththeory.exact.polygons import box
from widththeory.exact.two_dim import subdivide
from widththeory.experiment import Flags, fit_table, write_table
from widththeory.fit import Regression
from widththeory.ledger import Ledger
from widththeory.models.mlp import initial_network
from widththeory.network import Network

if TYPE_CHECKING:
    import pandas as pd

INIT = "hinged"  # hinges in the domain: with zero biases they all meet in the origin


@dataclass(frozen=True)
class Sizes:
    """Widths by input dimension, depths, initialisations, fits of each size and their steps; regions counted at most.

    Means lie up to 0.89 of what they are held against, and a network varies by up to 0.3 of that: drawn from the counts
    at paper scale, 10 initialised and 4 trained networks a size never told what those tell, 40 and 20 do so in 6 of 7
    draws.

    Args:
        most: explicit networks with more regions are left out; the others are counted in rationals.
    """

    widths: dict[int, tuple[int, ...]]
    depths: dict[int, tuple[int, ...]]
    num_initial: int
    num_seeds: int
    num_steps: int
    most: int


SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes({1: (4, 8), 2: (8,)}, {1: (1, 2), 2: (1, 2)}, 3, 1, 50, 1000),
    "laptop": Sizes({1: (4, 8, 16), 2: (8, 16, 24)}, {1: (1, 2, 3, 4), 2: (1, 2, 3)}, 40, 20, 1000, 20_000),
    "paper": Sizes(
        {1: (4, 8, 16, 32), 2: (8, 16, 32, 64)}, {1: (1, 2, 3, 4), 2: (1, 2, 3, 4)}, 50, 50, 10_000, 500_000
    ),
}


@dataclass(frozen=True)
class Config(Flags):
    """Flags of this experiment; `seeds` counts the initialisations, and the fits, of each size."""


def _architectures(scale: Scale) -> Iterator[tuple[int, int, int]]:
    """Input dimension, width and depth."""
    sizes = SCALES[scale]
    for input_dim, widths in sizes.widths.items():
        for depth in sizes.depths[input_dim]:
            for width in widths:
                yield input_dim, width, depth


def settings(config: Config) -> list[Regression]:
    """Every architecture trained on a smooth function, cos(pi x_1) ... cos(pi x_n)."""
    sizes = SCALES[config.scale]
    return [
        Regression(
            "narrow_targets.NarrowTarget",
            (("input_dim", input_dim), ("name", "product_of_cosines")),
            width,
            depth,
            seed=seed,
            learning_rate=1e-2,
            num_steps=sizes.num_steps,
            batch_size=128,
            num_train=4096,
            num_test=4096,
            init=INIT,
            keep_weights=True,
        )
        for input_dim, width, depth in _architectures(config.scale)
        for seed in range(config.seeds or sizes.num_seeds)
    ]


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


def count(network: Network, low: int) -> tuple[int, float]:
    """Linear regions in [low, 1]^n, and those of equal active units where n = 2; decided exactly."""
    if network.input_dim == 1:
        return piecewise(network, low, 1).num_pieces, np.nan
    complex_ = subdivide(network, box(low, 1))
    return int(linear_regions(complex_).max()) + 1, float(complex_.num_faces)


def networks(config: Config) -> "pd.DataFrame":
    """Exact counts of all networks, with the bounds for their sizes."""
    import pandas as pd

    sizes = SCALES[config.scale]
    rows: list[tuple[object, ...]] = []

    def add(state: str, seed: int, input_dim: int, width: int, depth: int, network: Network) -> None:
        counts = count(network, 0 if state == "explicit" else -1)
        rows.append((state, seed, input_dim, width, depth, width * depth, *counts))

    for input_dim, width, depth in _architectures(config.scale):
        widths = (width,) * depth
        folding = FoldingNetwork(input_dim, widths)
        if folding.num_activation_regions <= sizes.most:
            add("explicit", 0, input_dim, width, depth, folding.network())
        target = NarrowTarget("product_of_cosines", input_dim)
        for seed in range(config.seeds or sizes.num_initial):
            points = target.sample(4096, np.random.default_rng(seed))
            drawn = initial_network(input_dim, widths, init=INIT, seed=seed, points=points)
            add("initialised", seed, input_dim, width, depth, drawn)
    for one, network in _fitted(config):
        add("trained", one.seed, network.input_dim, one.width, one.depth, network)
    columns = ["state", "seed", "input_dim", "width", "depth", "num_neurons", "regions", "activation_regions"]
    table = pd.DataFrame(rows, columns=columns)
    shapes = list(zip(table["input_dim"], table["width"], table["depth"], strict=True))
    for name, bound in (("most", serra_upper), ("least_maximum", montufar_lower)):
        table[name] = [bound(input_dim, (width,) * depth).value for input_dim, width, depth in shapes]
    return table


def main(config: Config) -> None:
    """Measure what is missing of the fits, then count the regions of all networks."""
    fit_table(__file__, config, settings(config), fit.measure)
    write_table(__file__, config, "networks", networks(config))


if __name__ == "__main__":
    command.run(main)
