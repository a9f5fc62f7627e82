"""Every figure, drawn from tables made by formula: lost cells, one seed, a fit under its floor; and its numbers."""

import os
import re
import subprocess
import sys
import zlib

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from scripts import FIGURES, load

from widththeory import command

DEPTH, WAVE = (
    load(next(path for path in FIGURES if path.stem == name)) for name in ("depth_compensates_width", "eldan_shamir")
)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


# --- tables by formula ------------------------------------------------------------------------------------------------


def measured(relative, moment=0.5):
    """What a fit of this relative error measured."""
    return {
        "train_mse": 0.9 * relative * moment,
        "test_mse": relative * moment,
        "test_mse_stderr": 0.01 * relative * moment,
        "target_variance": moment,
        "target_second_moment": moment,
        "relative_error": relative,
        "status": "done",
        "diverged": 0.0,
        "num_steps": 100,
    }


def random_targets(num_seeds):
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
                        floor = {"relative_floor": 0.1 / (width * depth), "relative_floor_stderr": 1e-6}
                        exchange = {"exchange_depth": 16 / np.sqrt(width), "target_variance": 0.5}
                        floors.append({**size, "num_pieces": width**depth, **floor, **exchange})
    pairs = [(input_dim, k, 2e-3, 1e-3) for input_dim in (1, 2) for k in (3, 4)]
    recalled = pd.DataFrame(pairs, columns=["target.input_dim", "target.k", "worst_mse", "average_mse"])
    return {"": pd.DataFrame(fits), "floor": pd.DataFrame(floors), "recalled": recalled}


def wave_floor(dim, num_neurons):
    return np.maximum(0.0, 1 - num_neurons / (10 * 2.0**dim))


def waves(num_seeds):
    """Floors 1 - K / (10 2^d) under one layer, whose fits are a tenth above; two layers have 1 / neurons."""
    fits, floors, networks = [], [], []
    for dim in (2, 4, 6):
        for target in (WAVE.WAVE, WAVE.CONTROL):
            for depth, widths in ((1, (8, 32, 128, 512)), (2, (16, 64))):
                for width in widths:
                    for seed in range(num_seeds):
                        for rate in (0.01, 0.1):
                            one = 1.1 * wave_floor(dim, width) + 0.01 if target == WAVE.WAVE else 1 / width
                            relative = (one if depth == 1 else 1 / (2 * width)) * (1 + 0.1 * seed + rate)
                            fit = {"target": target, "target.input_dim": dim, "depth": depth, "width": width}
                            fits.append({**fit, "seed": seed, "learning_rate": rate, **measured(relative)})
        for order in (0, 2):
            for num_neurons in (1.0, 8.0, 16.0, 32.0, 128.0, 256.0, 512.0):
                floors.append((dim, 3.0, order, 0.5, num_neurons, wave_floor(dim, num_neurons), np.nan))
            for eps in (0.5, 0.1, 0.01):
                floors.append((dim, 3.0, order, 0.5, (1 - eps) * 10 * 2**dim, np.nan, eps))
        networks.append((WAVE.WAVE, dim, 2, 30 * dim, 30 * dim**2, 0.005, 1e-4, 0.06))
        networks += [(WAVE.CONTROL, dim, 1, width, width * dim, 2 / width, 0.0, 2 / width) for width in (8, 32, 128)]
    columns = ["input_dim", "frequency", "order", "second_moment", "num_neurons", "relative_floor", "relative_error"]
    sizes = ["target", "input_dim", "depth", "num_neurons", "num_params"]
    return {
        "": pd.DataFrame(fits),
        "floor": pd.DataFrame(floors, columns=columns),
        "network": pd.DataFrame(
            networks, columns=[*sizes, "relative_error", "relative_error_stderr", "relative_bound"]
        ),
    }


def folds(num_seeds):
    """Explicit, initialised and trained networks whose regions are squares of a chessboard."""
    fits, regions, faces = [], [], []
    for name, widths, side in (("deep", "4-4", 6), ("shallow", "9", 3)):
        for state, steps in (("explicit", None), ("initialised", 0), ("trained", 100)):
            for seed in range(1 if steps is None else num_seeds):
                count = side**2 + seed
                regions.append((name, state, seed, 37, count, count, 40.0 if name == "deep" else 30.0, 20.0, widths))
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
        "regions": pd.DataFrame(regions, columns=[*columns, "expected_at_initialisation", "widths"]),
        "faces": pd.DataFrame(faces, columns=["architecture", "state", "face", "x", "y", "slope_x", "slope_y"]),
    }


def plant_random_target(fits):
    """The best fit of one size under its floor of 0.1 / 128, by much more than its standard error."""
    one = (fits["target.input_dim"] == 1) & (fits["target.k"] == 3) & (fits["target.seed"] == 0)
    one &= (fits["width"] == 8) & (fits["depth"] == 16) & (fits["learning_rate"] == 0.01)
    fits.loc[one, ["train_mse", "test_mse", "exact_l2_error"]] = 1e-4, 1e-4, 1e-2


def plant_wave(fits):
    one = (fits["target"] == WAVE.WAVE) & (fits["target.input_dim"] == 6) & (fits["width"] == 32)
    one &= (fits["depth"] == 1) & (fits["seed"] == 0) & (fits["learning_rate"] == 0.01)
    fits.loc[one, ["test_mse", "test_mse_stderr"]] = 0.1, 1e-3


# A new figure is drawn by a new line here: its tables from the number of seeds, and how to put a fit under its floor,
# where there is one.
FAKES = {
    "depth_compensates_width": (random_targets, plant_random_target),
    "eldan_shamir": (waves, plant_wave),
    "what_depth_folds": (folds, None),
}


def lose(fits):
    """Every seventh fit failed, every eleventh diverged, and all fits of the first size."""
    numbers = [name for name in ("train_mse", "test_mse", "test_mse_stderr", "relative_error") if name in fits]
    sizes = [name for name in fits if name.startswith("target") and not name.endswith(("variance", "moment"))]
    first = (fits[[*sizes, "width", "depth"]] == fits.loc[0, [*sizes, "width", "depth"]]).all(axis=1)
    failed = first | (np.arange(len(fits)) % 7 == 3)
    fits.loc[failed, [*numbers, *(name for name in fits if name.startswith("exact_")), "diverged"]] = np.nan
    fits.loc[failed, "status"] = "failed"
    fits.loc[~failed & (np.arange(len(fits)) % 11 == 5), "diverged"] = 1.0


def fake(claim, variant="whole"):
    tables, plant = FAKES[claim]
    made = tables(1 if variant == "one seed" else 3)
    if variant == "lost":
        lose(made[""])
    if variant == "planted":
        plant(made[""])
    return made


def write(folder, claim, tables):
    folder.mkdir(parents=True, exist_ok=True)
    for part, table in tables.items():
        table.to_csv(folder / (f"{claim}.{part}.csv" if part else f"{claim}.csv"), index=False)
    return folder / f"{claim}.csv"


def draw(path, tables, folder):
    """The figure drawn as its command does, and its caption."""
    module = load(path)
    table = write(folder / "tables", path.stem, tables)
    flags = ["--scale", "smoke", "--table", str(table), "--out", str(folder / "made")]
    command.draw(module.figure, module.caption, path, flags, drawn=module.drawn)
    return (folder / "made" / f"{path.stem}.txt").read_text()


each = pytest.mark.parametrize("path", FIGURES, ids=[path.stem for path in FIGURES])


# --- what every figure does -------------------------------------------------------------------------------------------


def test_every_figure_has_a_table_here():
    assert set(FAKES) == {path.stem for path in FIGURES}


@each
def test_files_are_whole_equal_and_fit_for_print(path, tmp_path):
    """Drawn twice, the second time by a process that hashes otherwise."""
    caption = draw(path, fake(path.stem), tmp_path)
    made = tmp_path / "made"
    assert sorted(file.name for file in made.iterdir()) == [
        f"{path.stem}.{kind}" for kind in ("csv", "pdf", "png", "txt")
    ]
    assert caption.endswith(" Scale: smoke.\n")
    assert (made / f"{path.stem}.png").read_bytes().startswith(b"\x89PNG")
    assert len(pd.read_csv(made / f"{path.stem}.csv"))
    content = (made / f"{path.stem}.pdf").read_bytes()
    left, _, right, _ = map(float, re.search(rb"/MediaBox \[ ([\d. ]+) \]", content)[1].split())
    assert right - left <= 7 * 72  # a journal's text width, in points
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, flags=re.DOTALL)
    text = content + b"".join(zlib.decompress(part) for part in streams if part[:1] == b"x")
    assert b"/Type3" not in text
    assert b"/Type42" in text or b"/CIDFontType2" in text

    arguments = [sys.executable, str(path), "--scale", "smoke", "--out", str(tmp_path / "again")]
    arguments += ["--table", str(tmp_path / "tables" / f"{path.stem}.csv")]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONWARNINGS": "error"}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for file in made.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


@each
@pytest.mark.parametrize("variant", ["whole", "lost", "one seed"])
def test_the_caption_says_what_the_table_holds(path, variant, tmp_path):
    caption = draw(path, fake(path.stem, variant), tmp_path)
    assert not re.search(r"\b(nan|inf)\b", caption)
    assert "defect" not in caption
    if FAKES[path.stem][1]:
        assert re.search(r"none of (the )?\d+ trained networks .*?lies under", caption)
    assert ("failed or diverged" in caption) == (variant == "lost")


@pytest.mark.parametrize("path", [path for path in FIGURES if FAKES[path.stem][1]], ids=lambda path: path.stem)
def test_a_fit_under_its_floor_is_called_a_defect(path, tmp_path):
    caption = draw(path, fake(path.stem, "planted"), tmp_path)
    assert re.search(r"\b1 of \d+ trained networks .*?lie under .*?, which is a defect", caption)


@pytest.mark.parametrize("module", [DEPTH, WAVE], ids=lambda module: module.__name__.split(".")[1])
def test_lost_cells_stay_marked(module):
    tables = fake(module.__name__.split(".")[1], "lost")
    drawn = module.drawn(tables[""], tables["floor"])
    done = drawn[(drawn["status"] == "done") & (drawn["diverged"] == 0)]
    assert len(done) > len(drawn) / 2
    assert np.isfinite(done["relative"]).all()


# --- depth compensates width ------------------------------------------------------------------------------------------


def fits_of(errors, **columns):
    """One target and width, with errors by depth."""
    target = {"target.input_dim": 1, "target.k": 3, "target.seed": 0, "width": 8}
    rows = [{**target, "depth": depth, "relative": error, "status": "done"} for depth, error in errors.items()]
    return pd.DataFrame(rows).assign(**columns)


@pytest.mark.parametrize(
    ("errors", "depth", "first"),
    [
        ({1: 1e-1, 2: 1e-2, 8: 1e-4}, 4.0, False),  # half-way between 2 and 8 in both logarithms
        ({1: 1e-1, 4: 1e-3}, 4.0, False),
        ({2: 1e-4, 4: 1e-5}, 2.0, True),
        ({1: 1e-1, 2: 5e-2}, np.nan, False),
        ({1: 1e-1, 2: 0.0}, 2.0, False),  # exact: there is no logarithm to interpolate
        ({1: 1e-1, 2: 1e-2, 4: 1e-2, 16: 1e-4, 32: 1.0}, 8.0, False),  # where it falls first; a later rise is the fit's
        ({8: 1e-4, 1: 1e-1, 2: 1e-2}, 4.0, False),  # in any order
    ],
)
def test_depth_needed(errors, depth, first):
    (row,) = DEPTH.depth_needed(fits_of(errors), 1e-3).to_dict("records")
    assert row["depth"] == pytest.approx(depth, rel=1e-12, nan_ok=True)
    assert row["first"] is first
    assert row["width"] == 8


def test_depth_needed_leaves_lost_fits_out():
    fits = fits_of({1: 1e-1, 2: 1e-9, 4: 1e-3})
    fits["diverged"] = [0.0, 1.0, 0.0]
    assert DEPTH.depth_needed(fits, 1e-3)["depth"].tolist() == [pytest.approx(4.0)]


def test_depth_needed_of_all_targets():
    both = pd.concat([fits_of({1: 1e-1, 4: 1e-3}), fits_of({1: 1e-4}).assign(width=16)])
    found = DEPTH.depth_needed(both, 1e-3)
    assert found[["width", "depth", "first"]].to_numpy().tolist() == [[8, pytest.approx(4.0), False], [16, 1.0, True]]


def test_exponent_of_a_power_law():
    widths = np.array([4, 4, 8, 16, 32])
    parts = [
        pd.DataFrame({"width": widths, "depth": 20 * scale * widths**-0.75, "first": False})
        .assign(**dict.fromkeys(DEPTH.TARGET, 0))
        .assign(**{"target.k": k})
        .iloc[skipped:]
        for k, scale, skipped in ((3, 1, 0), (4, 10, 2))  # the harder targets miss the narrow widths
    ]
    outside = pd.DataFrame({"width": [64, 2], "depth": [1.0, np.nan], "first": [True, False], "target.k": [3, 3]})
    for tables, n in ((parts[:1], 5), (parts, 8), ([*parts, outside], 8)):  # bounds and missing depths have no say
        found = DEPTH.exponent(pd.concat(tables))
        assert (found.exponent, found.n) == (pytest.approx(-0.75), n)
        assert found.low == pytest.approx(found.high)


def test_no_exponent_from_too_few_crossings():
    needed = pd.DataFrame(
        {"width": [4, 8, 16, 32], "depth": [8.0, 4.0, 2.0, 1.0], "first": False, **dict.fromkeys(DEPTH.TARGET, 0)}
    )
    assert DEPTH.exponent(needed) is not None
    assert DEPTH.exponent(needed.iloc[:3]) is None
    assert DEPTH.exponent(needed.assign(width=4)) is None
    assert DEPTH.exponent(needed.assign(first=True)) is None


def test_random_targets_under_their_floor():
    fits = pd.DataFrame(
        {
            "relative": [0.059, 0.061, 0.0999, 0.1, 0.0],
            "relative_stderr": [0.006, 0.006, 0.0, 0.0, 0.0],
            "relative_floor": [0.1, 0.1, 0.1, 0.1, 0.0],
            "relative_floor_stderr": [0.008, 0.008, 0.0, 0.0, 0.0],
        }
    )
    # Both errors together have a standard error of 0.01, four of which are allowed.
    assert DEPTH.under_floor(fits).index.tolist() == [0, 2]


def test_floor_allows_the_depth_of_the_easiest_target():
    floor = pd.DataFrame(
        {"width": [4, 4, 4, 4, 8, 8], "depth": [1, 2, 1, 2, 1, 2], "relative": [1.0, 1e-2, 1.0, 1e-3, 1.0, 0.5]}
    )
    assert DEPTH.depth_needed_floor(floor, 1e-3).to_dict() == {4: 2}


def test_the_best_by_training_loss_is_drawn_and_one_input_exactly():
    tables = random_targets(1)
    fits = tables[""]
    fits.loc[fits["learning_rate"] == 0.1, "test_mse"] *= 1e-3  # tempting, but the test error has no say
    one = fits["target.input_dim"] == 1
    fits.loc[one, "target_variance"] = 0.6  # of a sample; the target's own is in the floor's table
    drawn = DEPTH.drawn(fits, tables["floor"])
    grid = drawn[drawn["protocol"] == "grid"]
    assert len(grid) == 2 * 2 * 4 * 5
    assert set(grid["learning_rate"]) == {0.01}
    np.testing.assert_allclose(grid["relative"], 3 / (grid["width"] * grid["depth"] ** 2), rtol=1e-12)
    exact = grid["target.input_dim"] == 1
    assert (grid.loc[exact, "relative_stderr"] == 0).all()
    np.testing.assert_allclose(grid.loc[~exact, "relative_stderr"], 0.01 * grid.loc[~exact, "relative"], rtol=1e-12)
    fits.loc[one, "test_mse"] *= 7  # the sampled error of one input is not what is drawn
    np.testing.assert_array_equal(DEPTH.drawn(fits, tables["floor"])["relative"], drawn["relative"])


def test_the_papers_table_counts_failed_targets():
    tables = random_targets(3)
    fits = tables[""]
    paper = fits["optimizer"] == "adadelta"
    fits.loc[paper & (fits["target.k"] == 3) & (fits["target.seed"] == 1), ["status", "test_mse"]] = "failed", np.nan
    fits.loc[paper & (fits["target.seed"] == 2), "test_mse"] = 0.05
    drawn = DEPTH.drawn(fits, tables["floor"])
    rows = DEPTH.paper_rows(drawn[drawn["protocol"] == "paper"], tables["recalled"])
    assert rows["fits"].tolist() == ["n = 2 of 3", "n = 3"] * 2
    assert rows["average"].tolist() == pytest.approx([0.035, 0.09 / 3] * 2)
    assert rows["worst"].tolist() == [0.05] * 4
    assert (rows["recalled_average"] == 1e-3).all()


def fail(tables, optimizer):
    fits = tables[""]
    numbers = ["train_mse", "test_mse", "test_mse_stderr", "exact_l2_error"]
    fits.loc[fits["optimizer"] == optimizer, numbers] = np.nan
    fits.loc[fits["optimizer"] == optimizer, "status"] = "failed"
    return [tables[part] for part in ("", "floor", "recalled")]


def test_when_all_of_a_kind_failed():
    assert "Ours all failed. For n = 1" in DEPTH.caption(*fail(random_targets(1), "adadelta"))
    with pytest.raises(ValueError, match="every fit of the grid failed or diverged, so that there is nothing to draw"):
        DEPTH.figure(*fail(random_targets(1), "adam"))


# --- radial wave ------------------------------------------------------------------------------------------------------


def chosen(**columns):
    base = {"target": WAVE.WAVE, "target.input_dim": 6, "depth": 2, "width": 8, "relative_stderr": 0.0}
    return pd.DataFrame({**base, "status": "done", "diverged": 0.0, **columns})


def test_waves_under_their_floor():
    fits = pd.DataFrame(
        {
            "relative": [0.05, 0.07, 0.1, 0.2],
            "relative_stderr": [0.01, 0.01, 0.0, 0.0],
            "floor": [0.1, 0.1, 0.1, np.nan],
        }
    )
    assert WAVE.under_floor(fits).index.tolist() == [0]  # four standard errors of 0.01 are allowed


def test_floor_is_that_of_the_same_number_of_neurons():
    tables = waves(2)
    drawn = WAVE.drawn(tables[""], tables["floor"])
    assert set(drawn["learning_rate"]) == {0.01}
    single = (drawn["target"] == WAVE.WAVE) & (drawn["depth"] == 1)
    np.testing.assert_array_equal(
        drawn.loc[single, "floor"], wave_floor(drawn.loc[single, "target.input_dim"], drawn.loc[single, "width"])
    )
    assert drawn.loc[~single, "floor"].isna().all()  # two layers and the control are under no such floor
    assert (drawn["num_neurons"] == drawn["width"] * drawn["depth"]).all()
    np.testing.assert_allclose(drawn["relative_stderr"], 0.01 * drawn["relative"], rtol=1e-12)


def test_past_one_layer():
    """Floor at 8 neurons 1 - 8 / 640; between 32 and 128 that of 128 counts, beyond 512 none is known."""
    floor = waves(1)["floor"]
    at = {neurons: wave_floor(6, neurons) for neurons in (32, 128)}
    fits = chosen(
        num_neurons=[32, 32, 48, 48, 1024, 32, 32, 32, 32],
        relative=[at[32] - 0.01, at[32] + 0.01, at[128] - 0.01, at[128] + 0.01, 0.0, 0.0, 0.0, 0.0, at[32] - 0.01],
        relative_stderr=[0.0] * 8 + [0.003],
        diverged=[0.0] * 5 + [1.0] + [0.0] * 3,
        depth=[2] * 6 + [1] + [2] * 2,
        target=[WAVE.WAVE] * 7 + [WAVE.CONTROL, WAVE.WAVE],
    )
    assert WAVE.past_one_layer(fits, floor).index.tolist() == [0, 2]


def test_the_dimension_that_tells_most():
    floor = waves(1)["floor"]
    shown = chosen(num_neurons=32, **{"target.input_dim": [2, 4, 6], "relative": [0.0, 0.0, 1.0]})
    # d = 2 has no floor left at 32 of its 40 neurons' worth above the error 0; d = 4 has, d = 6 is not reached.
    assert WAVE.telling_dim(shown, floor) == 4
    assert WAVE.telling_dim(shown.assign(relative=1.0), floor) == 6


def test_the_caption_counts_the_separation():
    tables = waves(2)
    caption = WAVE.caption(*(tables[part] for part in ("", "floor", "network")))
    # 0.99 * 10 * 2^d neurons against 30 d: 158 against 120 at d = 4, 39.6 against 60 at d = 2.
    assert "than the explicit network with two hidden layers has from d = 4 on" in caption
    fits = WAVE.drawn(tables[""], tables["floor"])
    past = len(WAVE.past_one_layer(fits, tables["floor"]))
    assert 0 < past < 12
    assert f"{past} of 12 trained networks with two hidden layers beat every network with one hidden layer" in caption
