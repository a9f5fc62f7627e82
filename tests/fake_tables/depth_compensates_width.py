"""Tables of random targets, by formula."""

import numpy as np
import pandas as pd
from fake_rows import measured


def tables(num_seeds):
    """Errors 3 / (width depth^2) over floors 0.1 / (width depth); exact from width^(1/2) depth = 16 on."""
    fits, floors = [], []
    for input_dim in (1, 2):
        for k in (3, 4):
            for seed in range(num_seeds):
                target = {"target.input_dim": input_dim, "target.k": k, "target.seed": seed}
                for width in (4, 8, 16, 32):
                    for depth in (1, 2, 4, 8, 16):
                        size = {**target, "width": width, "depth": depth}
                        relative = 3 * (1 + 0.2 * seed) / (width * depth**2)
                        for rate in (0.01, 0.1):
                            spoilt = relative * (1 if rate == 0.01 else 3)
                            exact = np.sqrt(spoilt * 0.5) if input_dim == 1 else np.nan
                            fit = {**size, "learning_rate": rate, "optimizer": "adam", "exact_l2_error": exact}
                            fits.append({**fit, **measured(spoilt)})
                        optimizer = {"learning_rate": 1.0, "optimizer": "adadelta"}
                        if (width, depth) == (16, 4):
                            fits.append({**size, **optimizer, "exact_l2_error": np.sqrt(0.02), **measured(0.04)})
                        floor = {
                            "relative_floor": 0.1 / (width * depth),
                            "relative_floor_stderr": 1e-6 * (input_dim - 1),
                        }
                        exchange = {"exchange_depth": 16 / np.sqrt(width), "target_variance": 0.5}
                        floors.append({**size, "num_pieces": width**depth, **floor, **exchange})
    pairs = [(input_dim, k, 2e-3, 1e-3) for input_dim in (1, 2) for k in (3, 4)]
    recalled = pd.DataFrame(pairs, columns=["target.input_dim", "target.k", "worst_mse", "average_mse"])
    return {"": pd.DataFrame(fits), "floor": pd.DataFrame(floors), "recalled": recalled}


def plant(fits):
    """The best fit of one size under its floor of 0.1 / 128, by much more than its standard error."""
    one = (fits["target.input_dim"] == 1) & (fits["target.k"] == 3) & (fits["target.seed"] == 0)
    one &= (fits["width"] == 8) & (fits["depth"] == 16) & (fits["learning_rate"] == 0.01)
    fits.loc[one, ["train_mse", "test_mse", "exact_l2_error"]] = 1e-4, 1e-4, 1e-2
