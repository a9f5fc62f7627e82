"""Every experiment, at smoke scale: its tables, a second run, a fresh clone, and its theory beside its fits."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scripts import EXPERIMENTS, FIGURES, ROOT, load

from widththeory import command, fit, identity
from widththeory.bounds.spectral import relative_floor
from widththeory.constructions.eldan_shamir import Cosine
from widththeory.constructions.wide_random import RandomWideNetwork
from widththeory.experiment import fit_table

each = pytest.mark.parametrize("experiment", [load(path) for path in EXPERIMENTS], ids=[p.stem for p in EXPERIMENTS])


def smoke(experiment, folder, **flags):
    return experiment.Config(scale="smoke", out=folder, jobs=1, log="none", **flags)


def measure_once(path, folder):
    experiment = load(path)
    experiment.main(smoke(experiment, folder))
    parts = {file.name.split(".")[1]: pd.read_csv(file) for file in folder.glob(f"{path.stem}.*.csv")}
    return SimpleNamespace(
        experiment=experiment,
        claim=path.stem,
        script=path,
        folder=folder,
        csv=folder / f"{path.stem}.csv",
        table=pd.read_csv(folder / f"{path.stem}.csv"),
        parts=parts,
        **parts,
    )


_made = {}


def claim(path, tmp_path_factory):
    """What the experiment `path` made at smoke scale, once for all tests of this process."""
    if path not in _made:
        _made[path] = measure_once(path, tmp_path_factory.mktemp(path.stem))
    return _made[path]


@pytest.fixture(params=EXPERIMENTS, ids=[path.stem for path in EXPERIMENTS])
def made(request, tmp_path_factory):
    return claim(request.param, tmp_path_factory)


@pytest.fixture
def depth(tmp_path_factory):
    return claim(next(path for path in EXPERIMENTS if path.stem == "depth_compensates_width"), tmp_path_factory)


@pytest.fixture
def wave(tmp_path_factory):
    return claim(next(path for path in EXPERIMENTS if path.stem == "eldan_shamir"), tmp_path_factory)


@pytest.fixture
def measured(monkeypatch):
    """The list of what is measured from here on; each measurement fails."""
    asked = []

    def poison(settings, chunk_size):
        asked.extend(settings)
        raise AssertionError("nothing was to be measured")

    monkeypatch.setattr(fit, "measure", poison)
    return asked


def state(folder):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.glob("*.csv")}


# --- tables -----------------------------------------------------------------------------------------------------------


def test_smoke_scale_measures_every_cell(made):
    settings = made.experiment.settings(smoke(made.experiment, made.folder))
    assert set(made.table["key"]) == {identity.key(one) for one in settings}
    assert set(made.table["status"]) == {"done"}
    assert made.table["diverged"].sum() == 0
    for metric in ("train_mse", "test_mse", "test_mse_stderr", "target_variance", "relative_error"):
        assert np.all(np.isfinite(made.table[metric])), metric
        assert np.all(made.table[metric] > 0), metric


def test_smoke_scale_makes_the_tables_that_the_figure_reads(made):
    (path,) = (path for path in FIGURES if path.stem == made.claim)
    figure = load(path)
    for function in (figure.figure, figure.caption, figure.drawn):
        _, *parts = inspect.signature(function).parameters
        assert set(parts) <= set(made.parts)
    assert all(len(part) for part in made.parts.values())


def test_second_run_measures_and_rewrites_nothing(made, measured):
    before = state(made.folder)
    made.experiment.main(smoke(made.experiment, made.folder))
    assert measured == []
    assert state(made.folder) == before


def test_fresh_clone_goes_on_from_the_committed_table(made, measured, tmp_path):
    shutil.copy(made.csv, tmp_path)
    config = smoke(made.experiment, tmp_path)
    table = fit_table(made.script, config, made.experiment.settings(config), fit.measure)
    assert measured == []
    assert list(table["key"]) == list(made.table["key"])
    assert (tmp_path / made.csv.name).read_bytes() == made.csv.read_bytes()


def test_cells_no_longer_declared_stay_in_the_ledger_and_out_of_the_table(made, measured, tmp_path):
    shutil.copy(made.csv, tmp_path)
    config = smoke(made.experiment, tmp_path)
    settings = made.experiment.settings(config)
    fewer = fit_table(made.script, config, settings[2:], fit.measure)
    gone = {identity.key(one) for one in settings[:2]}
    assert set(fewer["key"]) == set(made.table["key"]) - gone
    assert set(pd.read_csv(tmp_path / made.csv.name)["key"]) == set(fewer["key"])
    fit_table(made.script, config, settings, fit.measure)
    assert (tmp_path / made.csv.name).read_bytes() == made.csv.read_bytes()
    assert measured == []


# --- grids ------------------------------------------------------------------------------------------------------------


COUNT = """
import json, sys, time
from pathlib import Path
from scripts import load
from widththeory import identity
experiment = load(Path(sys.argv[1]))
for scale in ("smoke", "laptop", "paper"):
    began = time.process_time()
    settings = experiment.settings(experiment.Config(scale=scale))
    keys, programs = {identity.key(one) for one in settings}, {one.program_key for one in settings}
    cost = sum(one.cost for one in settings)
    print(json.dumps([len(settings), len(keys), len(programs), cost, time.process_time() - began]))
"""


@pytest.mark.parametrize("path", EXPERIMENTS, ids=[path.stem for path in EXPERIMENTS])
def test_grids_of_all_scales(path):
    """In a process without run-time type checks, which take ten times as long as what they check."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    done = subprocess.run(
        [sys.executable, "-c", COUNT, str(path)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    costs = []
    for line in done.stdout.splitlines():
        cells, different, programs, cost, seconds = json.loads(line)
        assert different == cells > 0
        # A committed table has some 400 bytes a row, and common hosts refuse files of 100 MB.
        assert cells <= 200_000
        # One is compiled in about a second, once.
        assert programs <= 1000
        # `make plan` counts them too. The largest takes 5 s; the rest is for slower machines.
        assert seconds < 30
        costs.append(cost)
    assert costs[0] < costs[1] / 10 < costs[2] / 100  # seconds, minutes, a GPU


@each
def test_more_seeds_only_add_cells(experiment):
    keys = [
        {identity.key(one) for one in experiment.settings(experiment.Config(scale="smoke", seeds=seeds))}
        for seeds in (1, 2, 3)
    ]
    assert keys[0] < keys[1] < keys[2]


# --- what a person sees who mistypes ----------------------------------------------------------------------------------


@each
@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--seeds", "0"], "seeds must be an integer of at least 1, got 0"),
        (["--jobs", "0"], "jobs must be an integer of at least 1, got 0"),
        (["--scale", "nosuch"], "invalid choice 'nosuch' for argument '--scale'. Expected one of ('smoke', 'laptop'"),
    ],
)
def test_wrong_flags_are_one_sentence(experiment, flags, sentence, capsys, measured):
    with pytest.raises(SystemExit) as stop:
        command.run(experiment.main, flags)
    said = capsys.readouterr()
    assert stop.value.code == 2
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize("path", EXPERIMENTS, ids=[path.stem for path in EXPERIMENTS])
def test_a_folder_that_cannot_be_written_is_said_before_anything_is_computed(path, tmp_path):
    (tmp_path / "file").touch()
    began = time.perf_counter()
    arguments = [sys.executable, str(path), "--scale", "paper", "--out", "file/results"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert done.stderr == f"{path.name}: cannot write to the folder file/results: Not a directory\n"
    # The theory alone takes minutes at paper scale; importing JAX takes seconds.
    assert time.perf_counter() - began < 30


# --- theory beside fits -----------------------------------------------------------------------------------------------


@pytest.fixture(params=["depth", "wave"])
def floored(request):
    """An experiment with certified floors."""
    return request.getfixturevalue(request.param)


def test_theory_does_not_depend_on_the_fits(floored, monkeypatch, measured, tmp_path):
    made = floored
    monkeypatch.setattr(made.experiment, "fit_table", lambda *ignored: None)
    made.experiment.main(smoke(made.experiment, tmp_path))
    fitted = {made.csv.name, made.csv.with_suffix(".grid.csv").name}
    expected = {name: content for name, (content, _) in state(made.folder).items() if name not in fitted}
    assert {name: content for name, (content, _) in state(tmp_path).items()} == expected
    assert measured == []


def test_no_smoke_fit_lies_under_its_floor_in_the_figure(floored):
    made = floored
    (path,) = (path for path in FIGURES if path.stem == made.claim)
    figure = load(path)
    _, *parts = inspect.signature(figure.drawn).parameters
    assert len(figure.under_floor(figure.drawn(made.table, *(made.parts[part] for part in parts)))) == 0


def falls(values):
    return bool(np.all(np.diff(values) <= 0))


def test_wave_floors_fall_with_neurons(wave):
    curves = wave.floor[wave.floor["relative_error"].isna()]
    assert curves["relative_floor"].between(0, 1).all()
    for _, curve in curves.groupby(["input_dim", "order"]):
        assert falls(curve.sort_values("num_neurons")["relative_floor"])
        assert curve["relative_floor"].max() > 0.5  # one neuron is far from enough: the test sees floors, not zeros


def test_wave_neurons_needed_agree_with_the_floors(wave):
    """K(eps) comes from another search than the curve: with fewer neurons the floor is above eps, with more below."""
    for _, rows in wave.floor.groupby(["input_dim", "order"]):
        curve, needed = rows[rows["relative_error"].isna()], rows[rows["relative_error"].notna()]
        assert falls(needed.sort_values("relative_error")["num_neurons"])
        for eps, most in zip(needed["relative_error"], needed["num_neurons"], strict=True):
            # Both are known to about 1e-9; what is between is told by neither.
            assert (curve.loc[curve["num_neurons"] < most * (1 - 1e-6), "relative_floor"] > eps * (1 - 1e-6)).all()
            assert (curve.loc[curve["num_neurons"] > most * (1 + 1e-6), "relative_floor"] < eps * (1 + 1e-6)).all()


def test_waves_explicit_networks_keep_their_guarantee(wave):
    explicit = wave.network
    # The guarantee is on the expectation, of which a sample was taken: 5 standard errors.
    assert (explicit["relative_error"] <= explicit["relative_bound"] + 5 * explicit["relative_error_stderr"]).all()
    assert (explicit.loc[explicit["target"] == wave.experiment.WAVE, "relative_error_stderr"] > 0).all()


def test_every_fit_of_the_wave_lies_above_the_floor_of_its_size(wave):
    """All fits, not only the chosen ones, and the floor by formula, not from the table."""
    single = wave.table[(wave.table["target"] == wave.experiment.WAVE) & (wave.table["depth"] == 1)]
    above_nothing = 0
    for row in single.to_dict("records"):
        radial = Cosine(row["target.input_dim"], row["target.frequency"], row["target.order"]).spectrum()
        floor = max(0.0, relative_floor(radial, float(row["width"])).lower)
        above_nothing += floor > 0
        # Both are sampled moments: 4 standard errors of the error, 5 % for the second moment from 4096 points.
        slack = 4 * row["test_mse_stderr"] / row["target_second_moment"] + 0.05 * floor
        assert row["test_mse"] / row["target_second_moment"] + slack > floor
        tabulated = wave.floor[
            (wave.floor["input_dim"] == row["target.input_dim"])
            & (wave.floor["order"] == row["target.order"])
            & (wave.floor["num_neurons"] == row["width"])
            & wave.floor["relative_error"].isna()
        ]
        assert tabulated["relative_floor"].tolist() == [pytest.approx(floor, rel=1e-12)]
    assert above_nothing >= 4


SIZE = ["target.input_dim", "target.k", "target.seed", "width", "depth"]


def test_floors_of_random_targets_fall_with_width_and_depth(depth):
    floor = depth.floor
    assert floor["relative_floor"].between(0, 1).all()
    assert (floor["relative_floor"] > 0).any()
    for by, others in (("width", "depth"), ("depth", "width")):
        for _, cells in floor.groupby([*SIZE[:3], others]):
            assert falls(cells.sort_values(by)["relative_floor"])
    for _, cells in floor.groupby(SIZE[:3]):
        exact = cells.dropna(subset="exchange_depth").sort_values("width")
        assert falls(exact["exchange_depth"])
        assert exact["exchange_depth"].min() >= 1


def test_where_an_exact_network_exists_nothing_is_excluded(depth):
    """Two theorems about one size must not contradict each other."""
    exact = depth.floor[depth.floor["exchange_depth"] <= depth.floor["depth"]]
    assert len(exact)
    assert (exact["relative_floor"] == 0).all()


def test_every_fit_of_random_targets_lies_above_the_floor_of_its_size(depth):
    """All fits; squared errors over the variance by which the floor is divided, for one input both without sampling."""
    fits = depth.table.drop(columns="target_variance").merge(depth.floor, on=SIZE, how="left", validate="many_to_one")
    assert fits["relative_floor"].notna().all()
    one = fits[fits["target.input_dim"] == 1]
    assert len(one)
    assert (one["exact_l2_error"] ** 2 / one["target_variance"] > one["relative_floor"]).all()
    two = fits[fits["target.input_dim"] == 2]
    assert len(two)
    slack = 4 * np.hypot(two["test_mse_stderr"] / two["target_variance"], two["relative_floor_stderr"])
    assert (two["test_mse"] / two["target_variance"] + slack > two["relative_floor"]).all()


def test_variance_of_the_random_targets_is_that_of_their_samples(depth):
    for row in depth.floor.drop_duplicates(SIZE[:3]).to_dict("records"):
        target = RandomWideNetwork(row["target.input_dim"], row["target.k"], row["target.seed"])
        sample = target.target(target.sample(200_000, np.random.default_rng(1)))
        # One input: exact, so that the sample's own 0.5 % is all. Two: four lines, which vary by some ten per cent.
        assert row["target_variance"] == pytest.approx(
            np.var(sample), rel=0.02 if row["target.input_dim"] == 1 else 0.5
        )


def test_the_recalled_table_has_a_row_a_student(depth):
    students = depth.table[depth.table["optimizer"] == "adadelta"]
    pairs = set(zip(students["target.input_dim"], students["target.k"], strict=True))
    assert set(zip(depth.recalled["target.input_dim"], depth.recalled["target.k"], strict=True)) == pairs
    assert (depth.recalled["worst_mse"] >= depth.recalled["average_mse"]).all()


@each
def test_docstring_says_claim_source_command_and_expectation(experiment):
    text = experiment.__doc__
    for part in ("Source:", "Command:", "Time:", "Result:", "Figure:", "Expected:"):
        assert re.search(rf"^{part}", text, flags=re.MULTILINE), part
    name = experiment.__name__.removeprefix("experiments.")
    assert f"python experiments/{name}.py" in text
    assert f"paper_figures/{name}.py" in text


def test_an_interrupted_run_leaves_its_rows_and_says_what_is_missing(tmp_path, monkeypatch):
    path = EXPERIMENTS[0]
    module = load(path)
    config = module.Config(scale="smoke", out=tmp_path, jobs=1, log="none")
    real, calls = module.fit.measure, []

    def interrupted(settings, chunk_size):
        calls.append(len(settings))
        if len(calls) > 2:
            raise KeyboardInterrupt
        return real(settings, chunk_size)

    monkeypatch.setattr(module.fit, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        module.main(config)
    rows = pd.read_csv(tmp_path / f"{path.stem}.csv")
    declared = int((tmp_path / f"{path.stem}.grid.csv").read_text().split()[-1])
    assert len(rows) == sum(calls[:2])
    assert declared == len(module.settings(config)) > len(rows)
    assert command._missing(tmp_path / f"{path.stem}.csv", rows) == f", {len(rows)} of {declared} cells computed"
    assert command._missing(tmp_path / "other.csv", rows) == ""
