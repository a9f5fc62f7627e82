"""Tables of explicit and fitted networks in the plane, by formula."""

import pandas as pd
from fake_rows import measured


def of_fits(tables):
    """A fit is of an architecture, told by its depth, and trained if it took steps."""
    done, regions, faces = tables[""][tables[""]["status"] == "done"], tables["regions"], tables["faces"]
    there = {
        ("deep" if fit.depth > 1 else "shallow", "trained" if fit.num_steps else "initialised", fit.seed)
        for fit in done.itertuples()
    }
    kept = [
        state == "explicit" or (name, state, seed) in there
        for name, state, seed in regions[["architecture", "state", "seed"]].itertuples(index=False, name=None)
    ]
    shown = [
        state == "explicit" or (name, state, 0) in there
        for name, state in faces[["architecture", "state"]].itertuples(index=False, name=None)
    ]
    return {**tables, "regions": regions[kept], "faces": faces[shown]}


def tables(num_seeds):
    """Explicit, initialised and trained networks whose regions are squares of a chessboard."""
    fits, regions, faces = [], [], []
    for name, widths, side in (("deep", "4-4", 6), ("shallow", "9", 3)):
        for state, steps in (("explicit", None), ("initialised", 0), ("trained", 100)):
            for seed in range(1 if steps is None else num_seeds):
                count = side**2 + seed
                regions.append((name, state, seed, 37, count, count, 40.0 if name == "deep" else 30.0, widths))
                if steps is not None:
                    fits.append({"width": int(widths[0]), "depth": 2 if name == "deep" else 1, "seed": seed})
                    fits[-1] |= measured(0.1) | {"num_steps": steps}
            for face in range(side**2):
                x, y = divmod(face, side)
                for right, up in ((0, 0), (1, 0), (1, 1), (0, 1)):
                    faces.append((name, state, face, (x + right) / side, (y + up) / side, float(x % 2), float(y % 2)))
    columns = ["architecture", "state", "seed", "num_params", "activation_regions", "linear_regions", "most"]
    return {
        "": pd.DataFrame(fits),
        "regions": pd.DataFrame(regions, columns=[*columns, "widths"]),
        "faces": pd.DataFrame(faces, columns=["architecture", "state", "face", "x", "y", "slope_x", "slope_y"]),
    }
