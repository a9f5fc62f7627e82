"""Tables of the square, by formula."""

import pandas as pd
from fake_rows import measured

CELL = ["target", "depth", "width"]
TARGET = "yarotsky.Square"


def tables(num_seeds):
    """Floors 1/(8 (w + 1)^(2 m)), explicit networks half again above, fits a factor of the width above those."""
    fits, floors, networks = [], [], []
    for depth in (1, 2, 3, 4):
        networks.append((3, depth, 12 * depth - 2, 4.0 ** (-depth - 1), 4.0**-depth / 30**0.5, 4.0 ** (-depth - 1)))
        for width in (3, 8, 16) if depth < 4 else (3,):
            least = (width + 1.0) ** (-2 * depth)
            sizes = (width, depth, 3 * width + 1 + (depth - 1) * (width**2 + width))
            floors.append((*sizes, least / 8, least / 14, least / 16, 1.5 * least / 8, 1.5 * least / 14))
            for seed in range(num_seeds):
                for rate in (0.01, 0.1):
                    error = 1.5 * least * width * (1 + 0.1 * seed + rate)
                    exact = {
                        "exact_sup_error": error / 8,
                        "exact_l2_error": error / 14,
                        "exact_l1_error": error / 16,
                    }
                    fit = {"target": TARGET, "target.order": 1, "depth": depth, "width": width, "seed": seed}
                    relative = (error / 14) ** 2 * 45 / 4
                    fits.append({**fit, "learning_rate": rate, **exact, **measured(relative, 4 / 45)})
    columns = ["width", "depth", "num_params", "sup_floor", "l2_floor", "l1_floor", "sup_explicit", "l2_explicit"]
    explicit = ["width", "depth", "num_params", "sup_error", "l2_error", "sup_promised"]
    return {
        "": pd.DataFrame(fits),
        "floor": pd.DataFrame(floors, columns=columns),
        "network": pd.DataFrame(networks, columns=explicit),
    }


def plant(fits):
    """One fit of one layer of 16 units under the floor in L1 alone."""
    one = (fits["depth"] == 1) & (fits["width"] == 16) & (fits["seed"] == 0) & (fits["learning_rate"] == 0.01)
    fits.loc[one, "exact_l1_error"] = 1e-4
