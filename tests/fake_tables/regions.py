"""Counts of regions, by formula."""

import numpy as np
import pandas as pd
from fake_rows import measured


def of_fits(tables):
    done, networks = tables[""][tables[""]["status"] == "done"], tables["networks"]
    names = ["width", "depth", "seed"]
    there = set(done[["target.input_dim", *names]].itertuples(index=False, name=None))
    sizes = networks[["input_dim", *names]].itertuples(index=False, name=None)
    kept = (networks["state"] != "trained") | np.array([size in there for size in sizes])
    return {**tables, "networks": networks[kept]}


def tables(num_seeds):
    """Explicit networks have width^(d depth), half their ceiling; others 3 N^d / (4 d!) and one more a seed."""
    fits, networks = [], []
    for input_dim in (1, 2):
        for depth in (1, 2, 3):
            for width in (8, 16, 32):
                neurons = width * depth
                explicit, order = width ** (input_dim * depth), neurons**input_dim / input_dim
                bounds = (2.0 * explicit, float(explicit))
                shape = (input_dim, width, depth, neurons)
                networks.append(("explicit", 0, *shape, explicit, None, *bounds))
                for seed in range(num_seeds):
                    count = round(0.75 * order) + seed
                    networks += [(state, seed, *shape, count, count, *bounds) for state in ("initialised", "trained")]
                    fits.append({"target.input_dim": input_dim, "width": width, "depth": depth, "seed": seed})
                    fits[-1] |= measured(0.1)
    columns = ["state", "seed", "input_dim", "width", "depth", "num_neurons", "regions", "activation_regions"]
    bounds = ["most", "least_maximum"]
    return {"": pd.DataFrame(fits), "networks": pd.DataFrame(networks, columns=[*columns, *bounds])}
