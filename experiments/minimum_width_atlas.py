"""The least universal width of ReLU networks is settled in L^p, and not for uniform approximation.

Chapter:  how narrow is too narrow, 2
Source:   Lu et al. 2017; Hanin, Sellke 2017; Johnson 2019; Kidger, Lyons 2020; Park et al. 2021; Cai 2023; Li et al.
          2023; Kim, Min, Park 2024; Hwang 2025; Shin et al. 2025; Rochau et al. 2025; Yang, Zhou, Zhou 2025
          (`bounds.minimum_width_results`).
Tested:   for ReLU networks the bounds meet in L^p of the cube and of R^n for every pair of dimensions up to 8, but not
          for every pair in uniform approximation by leaky ReLU, ReLU or tanh; no lower bound exceeds an upper one, and
          explicit networks of the least width keep their guarantee.
Decided:  proven, computed
Certain:  proven: a table of theorems of the papers cited, some as recalled, with the source of each bound; for GELU,
          which is not monotone, that for L^p asks for dimensions of at least 3 in sum. Computed: the errors of the
          explicit networks.
Command:  python experiments/minimum_width_atlas.py                    (smoke: --scale smoke, seconds)
Time:     a few seconds at smoke and laptop scale, some minutes at paper scale; nothing is fitted.
Result:   results/<scale>/minimum_width_atlas.csv, both bounds with their sources for each space, activation and pair of
          dimensions; .networks.csv, measured errors of explicit networks of the least width against their depth.
Figure:   paper_figures/minimum_width_atlas.py
Expected: in L^p the table is full and tight; for uniform approximation it is open in most places; the explicit networks
          have exactly the least width for L^p of the cube, and their error falls with depth as their guarantee says.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from widththeory import command
from widththeory.bounds.minimum_width import minimum_width
from widththeory.bounds.minimum_width_results import ACTIVATIONS
from widththeory.command import Scale, results_file
from widththeory.constructions.minimum_width_network import DistanceMap
from widththeory.experiment import Flags, write_table

if TYPE_CHECKING:
    import pandas as pd

# function class, norm, domain; a cube stands for any compact set
SPACES = (
    ("lp", "lp", "cube"),
    ("lp", "lp", "euclidean"),
    ("lp", "l1", "cube"),
    ("lp", "l1", "euclidean"),
    ("continuous", "sup", "cube"),
    ("c1", "w1inf", "cube"),
)
LARGEST_DIM = 8


@dataclass(frozen=True)
class Sizes:
    """How many cells an axis the explicit networks go up to, by (input_dim, output_dim); random maps; test points."""

    num_cells: dict[tuple[int, int], int]
    num_maps: int
    num_points: int


SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes({(1, 1): 8, (2, 1): 4, (2, 2): 4, (1, 3): 4}, 1, 2048),
    "laptop": Sizes({(1, 1): 64, (1, 3): 32, (2, 1): 16, (2, 2): 16, (2, 4): 16, (3, 2): 8}, 3, 16384),
    "paper": Sizes({(1, 1): 256, (1, 3): 128, (2, 1): 32, (2, 2): 32, (2, 4): 32, (3, 2): 16}, 20, 65536),
}


@dataclass(frozen=True)
class Config(Flags):
    """Flags of this experiment; `seeds` counts the random maps that the explicit networks approximate."""


def atlas() -> "pd.DataFrame":
    """Every space, activation and pair of dimensions: the two bounds, what attains them, and what contradicts."""
    import pandas as pd

    rows: list[tuple[object, ...]] = []
    dims = range(1, LARGEST_DIM + 1)
    for space in SPACES:
        for activation in ACTIVATIONS:
            for input_dim in dims:
                for output_dim in dims:
                    found = minimum_width(*space, activation, input_dim, output_dim)
                    binding = {
                        side: "; ".join(dict.fromkeys(e.result.source for e in found.binding if e.side == side))
                        for side in ("lower", "upper")
                    }
                    disputes = [c for c in found.conflicts if (input_dim, output_dim) in c.dims]
                    rows.append(
                        (
                            *space,
                            activation,
                            input_dim,
                            output_dim,
                            found.lower,
                            found.upper,
                            found.status,
                            binding["lower"],
                            binding["upper"],
                            "; ".join(" against ".join(conflict.sources) for conflict in disputes),
                        )
                    )
    columns = ["function_class", "norm", "domain", "activation", "input_dim", "output_dim", "lower", "upper", "status"]
    table = pd.DataFrame(rows, columns=[*columns, "lower_source", "upper_source", "conflict"])
    return table.astype({"lower": "Int64", "upper": "Int64"})


def networks(config: Config) -> "pd.DataFrame":
    """Explicit networks of width max(d_x, d_y, 2): size, guarantee, and the measured error under the uniform law."""
    import pandas as pd

    sizes = SCALES[config.scale]
    rows = []
    for (input_dim, output_dim), most in sizes.num_cells.items():
        for exponent in range(1, most.bit_length()):
            for seed in range(config.seeds or sizes.num_maps):
                num_cells = 2**exponent
                narrowest = input_dim > 1 and output_dim <= input_dim
                one = DistanceMap(input_dim, num_cells, output_dim, num_cells, seed=seed, narrowest=narrowest)
                points = one.sample(sizes.num_points, np.random.default_rng(seed))
                squares = (one.network()(points) - one.map(points)) ** 2
                worst = int(squares.mean(axis=0).argmax())  # the guarantee is one for each coordinate of the map
                rows.append(
                    {
                        "input_dim": input_dim,
                        "output_dim": output_dim,
                        "num_cells": num_cells,
                        "seed": seed,
                        "width": one.size().width,
                        "depth": one.size().depth,
                        "l2_error": float(np.sqrt(squares[:, worst].mean())),
                        "squared_error_stderr": float(squares[:, worst].std(ddof=1) / np.sqrt(len(points))),
                        "l2_bound": one.lp_error(2),
                    }
                )
    return pd.DataFrame(rows)


def main(config: Config) -> None:
    """Write the atlas and the errors of the networks."""
    results_file(__file__, config.scale, config.out)
    write_table(__file__, config, "", atlas())
    write_table(__file__, config, "networks", networks(config))


if __name__ == "__main__":
    command.run(main)
