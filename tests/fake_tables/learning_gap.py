"""Tables of the learning gap, by formula."""

import numpy as np
import pandas as pd
from fake_rows import measured

CELL = ["target", "target.num_folds", "depth", "width"]


def tables(num_seeds):
    """Gradients that halve a fold under twice as large bounds, fits with 2 k pieces, and a basin that halves a fold."""
    fits, pieces, gradient, returns = [], [], [], []
    for num_folds in (1, 2, 3, 4, 5):
        for width in (2, 8):
            for seed in range(num_seeds):
                norm = width * (1 + seed) * 2.0**-num_folds
                gradient.append((num_folds, width, seed, 5, norm**2, 4 * norm**2, 10.0 + seed))
                count = 2 * num_folds
                floor = max(0.0, 1 - (count - 1) / 2 ** (num_folds - 1))
                for rate in (0.01, 0.1):
                    relative = (floor + 1) / 2 * (1 + 0.01 * seed + rate) if num_folds > 2 else 0.01 * (1 + seed)
                    fit = {"target": "telgarsky.Sawtooth", "target.num_folds": num_folds, "depth": num_folds}
                    fit |= {"width": width, "seed": seed, "learning_rate": rate}
                    fits.append(fit | {"exact_l2_error": np.sqrt(relative / 12)} | measured(relative, 1 / 12))
                    pieces.append((num_folds, width, seed, rate, count, floor))
    for num_folds in (2, 4):
        for distance in (2.0**-2, 2.0**-4, 2.0**-6):
            for seed in range(num_seeds):
                for rate in (0.01, 0.1):
                    after = 1e-6 if distance <= 2.0**-num_folds else 0.5 + rate
                    returns.append((num_folds, distance, seed, rate, 2.0, after, after / 12 * (1 + rate)))
    by_fit = ["target.num_folds", "width", "seed", "learning_rate", "num_pieces", "pieces_floor"]
    by_start = ["num_folds", "distance", "seed", "learning_rate", "before", "after", "train_mse"]
    return {
        "": pd.DataFrame(fits),
        "gradient": pd.DataFrame(
            gradient, columns=["num_folds", "width", "seed", "num_cells", "seen", "bound", "total"]
        ),
        "pieces": pd.DataFrame(pieces, columns=by_fit),
        "returns": pd.DataFrame(returns, columns=by_start),
    }


def of_fits(tables):
    done = tables[""][tables[""]["status"] == "done"]
    by = ["target.num_folds", "width", "seed", "learning_rate"]
    return {**tables, "pieces": tables["pieces"].merge(done[by], on=by)}


def plant(fits):
    """One fit of five folds with ten pieces under their floor of 1 - 9/16."""
    one = (fits["target.num_folds"] == 5) & (fits["width"] == 2) & (fits["seed"] == 0)
    fits.loc[one & (fits["learning_rate"] == 0.01), "exact_l2_error"] = np.sqrt(0.3 / 12)
