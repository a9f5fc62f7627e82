"""Tables of the sine of an inner product, by formula."""

import math

import numpy as np
import pandas as pd
from fake_rows import measured

from widththeory.bounds.daniely_norm import polynomial_distance_squared

CELL = ["target", "target.sphere_dim", "target.order", "depth", "width"]
TARGET = "daniely.InnerProductSine"


def norm_floor(dim, norm_sum):
    """1 - norm / d."""
    return np.maximum(0.0, 1 - norm_sum / dim)


def tables(num_seeds):
    """One layer of norm width / 10, a fifth above its floor; two layers 8 / (8 + width), explicit ones 4 / width."""
    fits, floors, curves, networks, needed = [], [], [], [], []
    for dim, order in ((3, 1.0), (5, 0.5), (5, 1.0)):
        moment = polynomial_distance_squared(dim, math.pi * math.sqrt(dim) * order, 0).value
        floors += [(dim, order, width, 1 - width / dim) for width in range(1, dim)]
        curves += [(dim, order, norm_sum, norm_floor(dim, norm_sum)) for norm_sum in (0.01, 0.1, 1.0, 10.0)]
        networks += [(dim, order, width, 2 * width, 4 / width, 0.01 / width, 8 / width) for width in (8, 32, 128)]
        for depth in (1, 2, 3):
            for width in (2, 8, 32):
                for seed in range(num_seeds):
                    for rate in (0.01, 0.1):
                        least = norm_floor(dim, width / 10)
                        relative = 0.7 + 0.29 * least if depth == 1 else 8 / (8 + width)
                        relative = min(0.99, relative * (1 + 0.02 * seed + rate / 10))
                        fit = {"target": TARGET, "target.order": order, "target.sphere_dim": dim, "depth": depth}
                        fit |= {"width": width, "seed": seed, "learning_rate": rate}
                        norms = {"norm_sum": width / 10, "norm_floor": 0.9 * least} if depth == 1 else {}
                        fits.append({**fit, **norms, **measured(relative, moment)})
    for dim in (4, 8, 16):
        for law, order, norm in (("1", 1.0, dim**2.0), ("2", 2.0, dim**4.0), ("sqrt(d)/2", dim**0.5 / 2, 1.5**dim)):
            for error in (0.5, 0.1):
                needed.append((dim, law, order, error, norm / dim**0.5 / error, norm / error, 30 * dim**2, 9 * dim**3))
    target = ["sphere_dim", "order"]
    errors = ["relative_error", "relative_error_stderr", "relative_bound"]
    costs = ["norm_sum", "path_norm", "two_layers", "two_layers_path_norm"]
    return {
        "": pd.DataFrame(fits),
        "floor": pd.DataFrame(floors, columns=[*target, "width", "relative_floor"]),
        "certificate": pd.DataFrame(curves, columns=[*target, "norm_sum", "relative_floor"]),
        "network": pd.DataFrame(networks, columns=[*target, "width", "num_neurons", *errors]),
        "needed": pd.DataFrame(needed, columns=["sphere_dim", "order_law", "order", "relative_error", *costs]),
    }


def plant(fits):
    """One fit of one layer of 8 units under what the sum of its norms allows, 0.9 (1 - 0.8 / 5)."""
    one = (fits["target.sphere_dim"] == 5) & (fits["target.order"] == 1) & (fits["width"] == 8) & (fits["depth"] == 1)
    one &= (fits["seed"] == 0) & (fits["learning_rate"] == 0.01)
    fits.loc[one, ["test_mse", "test_mse_stderr", "relative_error"]] = 0.3, 1e-3, 0.6
