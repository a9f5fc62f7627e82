"""Tables of products, by formula."""

import numpy as np
import pandas as pd
from fake_rows import measured

CELL = ["target", "target.num_factors", "depth", "width"]
TARGET = "rolnick_tegmark.ProductTree"


def narrow_floor(count, width):
    return 0.4 / count if width < count else 0.0


def line_floor(depth, width):
    return 4 / 15 / (width + 1.0) ** (4 * depth)


def tables(num_seeds):
    """Fits of error 0.9 / (depth width^(1/2)), floors of 4 / (15 P^4), explicit ones n^2 / width^2."""
    fits, floors, networks, smooth, needed = [], [], [], [], []
    for count in (2, 3, 4):
        for depth in (1, 2, 3):
            for width in (1, 2, 4, 8, 16, 32):
                least = (narrow_floor(count, width), line_floor(depth, width))
                floors.append((count, depth, width, *least, max(least)))
                for seed in range(num_seeds):
                    for rate in (0.01, 0.1):
                        relative = 0.9 / (depth * width**0.5) * (1 + 0.1 * seed + rate)
                        fit = {"target": TARGET, "target.num_factors": count, "target.scale": 1.0, "depth": depth}
                        fit |= {"width": width, "seed": seed, "learning_rate": rate}
                        fit |= {"exact_relative_error": relative if count == 2 else np.nan}
                        fits.append({**fit, **measured(relative, 3.0**-count)})
        for pieces in (2, 4, 8):
            for kind, depth, width in (
                ("directions", 1, pieces * 2 ** (count - 1)),
                ("gates", 2 if count > 2 else 1, pieces * 2 * (count // 2)),
                ("squares", 6, 6),
            ):
                error = (count / width) ** 2 if depth < 6 else 1e-4
                networks.append((count, kind, depth, width, depth * width, error, error / 100, error))
    for count in (2, 4, 8):
        for scale in (1e-3, 1e-2, 1e-1, 1.0):
            for kind, units, order in (("shallow", 2**count, count), ("tree", 4 * (count - 1), 2)):
                promised = count * scale**2 / 6
                sizes = (count, kind, 1 if kind == "shallow" else count // 2, units, scale, promised)
                smooth.append((*sizes, promised + 1e-16 * scale**-order))
    for count in (2, 4, 8, 16):
        needed.append((count, 2.0**count, 6 * count, 4 * (count - 1), 20 * 2.0**count, 30 * count))
    columns = ["num_factors", "kind", "depth", "width", "num_neurons", "relative_error", "relative_error_stderr"]
    units = ["smooth_shallow", "smooth_two", "smooth_tree", "relu_shallow", "relu_tree"]
    floor = ["num_factors", "depth", "width", "narrow", "line", "relative_floor"]
    plain = ["num_factors", "kind", "depth", "num_neurons", "scale", "promised", "measured"]
    return {
        "": pd.DataFrame(fits),
        "floor": pd.DataFrame(floors, columns=floor),
        "network": pd.DataFrame(networks, columns=[*columns, "sup_bound"]),
        "smooth": pd.DataFrame(smooth, columns=plain),
        "needed": pd.DataFrame(needed, columns=["num_factors", *units]),
    }


def plant(fits):
    """One exact error of one layer of 4 units under its floor of 4 / (15 5^4)."""
    one = (fits["target.num_factors"] == 2) & (fits["depth"] == 1) & (fits["width"] == 4) & (fits["seed"] == 0)
    fits.loc[one & (fits["learning_rate"] == 0.01), "exact_relative_error"] = 4e-4
