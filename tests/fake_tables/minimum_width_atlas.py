"""An atlas and explicit networks, by formula."""

import pandas as pd

FITS = False
SETTINGS = (
    ("lp", "lp", "cube", "relu"),
    ("lp", "lp", "euclidean", "relu"),
    ("continuous", "sup", "cube", "relu+step"),
    ("continuous", "sup", "cube", "leaky_relu+floor"),
    ("continuous", "sup", "cube", "leaky_relu"),
    ("continuous", "sup", "cube", "relu"),
    ("continuous", "sup", "cube", "tanh"),
    ("c1", "w1inf", "cube", "hwang_c1"),
)


def tables(num_seeds):
    """Width n + m, with the gap n - 1 outside L^p, one sided at n = 4; errors depth^(-1/2) under bounds twice that."""
    rows, networks = [], []
    for setting in SETTINGS:
        for n in range(1, 5):
            for m in range(1, 5):
                gap = 0 if setting[0] == "lp" else n - 1
                upper = None if gap == 3 else n + m + gap
                status = "tight" if gap == 0 else "open"
                conflict = "[li2023] against [hwang2025]" if setting[3] == "leaky_relu" and n == m == 2 else None
                rows.append((*setting, n, m, n + m, upper, status, "[cai2023]", "[lu2017] Theorem 1", conflict))
    for n, m in ((1, 1), (2, 1), (1, 3)):
        for k in range(1, 5):
            for seed in range(num_seeds):
                error = (2.0**-k) * (1 + 0.1 * seed)
                networks.append((n, m, 2**k, seed, max(n, m, 2), 4**k, error, 0.01 * error**2, 2.0 ** (1 - k)))
    columns = ["function_class", "norm", "domain", "activation", "input_dim", "output_dim", "lower", "upper", "status"]
    sizes = ["input_dim", "output_dim", "num_cells", "seed", "width", "depth"]
    return {
        "": pd.DataFrame(rows, columns=[*columns, "lower_source", "upper_source", "conflict"]),
        "networks": pd.DataFrame(networks, columns=[*sizes, "l2_error", "squared_error_stderr", "l2_bound"]),
    }
