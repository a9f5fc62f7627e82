"""Tables of the sawtooth, by formula."""

import numpy as np
import pandas as pd
from fake_rows import measured

CELL = ["target", "target.num_folds", "depth", "width"]
TARGET = "telgarsky.Sawtooth"


def fold_floor(num_folds, depth, width):
    """1 - (P - 1) / 2^k, at least 0."""
    return max(0.0, 1 - ((width + 1) ** depth - 1) / 2**num_folds)


def tables(num_seeds):
    """Floors by formula, explicit networks halfway from floor to 1, fits a fifth above those, in all norms."""
    fits, floors = [], []
    for num_folds in (2, 3, 4, 5):
        for depth in sorted({1, 2, num_folds}):
            for width in (2, 3, 4, 8, 16, 32):
                floor = fold_floor(num_folds, depth, width)
                explicit = (1 + floor) / 2 if floor else 0.0
                sizes = (num_folds, depth, width, (width + 1) ** depth, floor / 2, floor, floor, 0.5 * (floor > 0))
                floors.append((*sizes, explicit))
                for seed in range(num_seeds):
                    for rate in (0.01, 0.1):
                        relative = (explicit + 0.02 * num_folds) * (1 + 0.1 * seed + rate)
                        fit = {"target": TARGET, "target.num_folds": num_folds, "depth": depth, "width": width}
                        exact = {
                            "exact_l1_error": relative / 4,
                            "exact_l2_error": np.sqrt(relative / 12),
                            "exact_sup_error": 0.6,
                        }
                        fits.append({**fit, "seed": seed, "learning_rate": rate, **exact, **measured(relative, 1 / 12)})
    columns = ["num_folds", "depth", "width", "num_pieces", "closed_form", "l1_floor", "l2_floor", "sup_floor"]
    return {"": pd.DataFrame(fits), "floor": pd.DataFrame(floors, columns=[*columns, "explicit"])}


def plant(fits):
    """One fit of the largest target under its floor of 1 - 2/32 in L1."""
    one = (fits["target.num_folds"] == 5) & (fits["depth"] == 1) & (fits["width"] == 2) & (fits["seed"] == 0)
    fits.loc[one & (fits["learning_rate"] == 0.01), "exact_l1_error"] = 0.2
