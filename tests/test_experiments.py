"""Every experiment, at smoke scale: its tables, a second run, a fresh clone, its grids and its flags."""

import importlib.util
import inspect
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from claims import claim, figure_of, smoke
from fake_fits import fake_measure, grid
from scripts import EXPERIMENTS, ROOT, load

from widththeory import command, identity, progress
from widththeory.experiment import Flags, fit_table, write_table

FITTED = [path for path in EXPERIMENTS if hasattr(load(path), "settings")]
MEASURING = [
    importlib.import_module(f"widththeory.{name}")
    for name in ("fit", "classify", "timing")
    if importlib.util.find_spec(f"widththeory.{name}")
]
each = pytest.mark.parametrize("experiment", [load(path) for path in EXPERIMENTS], ids=[p.stem for p in EXPERIMENTS])


@pytest.fixture(params=EXPERIMENTS, ids=[path.stem for path in EXPERIMENTS])
def made(request):
    return claim(request.param.stem)


@pytest.fixture(params=FITTED, ids=[path.stem for path in FITTED])
def fitted(request):
    """An experiment that fits networks."""
    return claim(request.param.stem)


@pytest.fixture
def measured(monkeypatch):
    """The list of what is measured from here on; each measurement fails."""
    asked = []

    def poison(settings, chunk_size):
        asked.extend(settings)
        raise AssertionError("nothing was to be measured")

    for module in MEASURING:
        monkeypatch.setattr(module, "measure", poison)
    return asked


def measure(settings, chunk_size):
    raise AssertionError("nothing was to be measured")


def state(folder):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.glob("*.csv")}


# --- tables -----------------------------------------------------------------------------------------------------------


METRICS = {
    "Regression": ("train_mse", "test_mse", "test_mse_stderr", "target_variance", "relative_error"),
    "Classification": ("train_loss", "test_loss", "test_accuracy", "test_accuracy_stderr"),
    "Timing": ("seconds_median", "seconds_low", "seconds_high"),
}


def test_smoke_scale_measures_every_cell(fitted):
    settings = fitted.experiment.settings(smoke(fitted.experiment, fitted.folder))
    assert set(fitted.table["key"]) == {identity.key(one) for one in settings}
    assert set(fitted.table["status"]) == {"done"}
    assert fitted.table["diverged"].sum() == 0
    for metric in METRICS[type(settings[0]).__name__]:
        assert np.all(np.isfinite(fitted.table[metric])), metric
        assert np.all(fitted.table[metric] >= 0), metric
        assert np.any(fitted.table[metric] > 0), metric


def test_smoke_scale_makes_the_tables_that_the_figure_reads(made):
    figure = figure_of(made.claim)
    for function in (figure.figure, figure.caption, *([figure.drawn] if hasattr(figure, "drawn") else [])):
        _, *parts = inspect.signature(function).parameters
        assert set(parts) <= set(made.parts)
    assert all(len(part) for part in made.parts.values())


def test_second_run_measures_and_rewrites_nothing(made, measured):
    before = state(made.folder)
    made.experiment.main(smoke(made.experiment, made.folder))
    assert measured == []
    assert state(made.folder) == before


def test_fresh_clone_goes_on_from_the_committed_table(fitted, measured, tmp_path):
    shutil.copy(fitted.csv, tmp_path)
    config = smoke(fitted.experiment, tmp_path)
    table = fit_table(fitted.script, config, fitted.experiment.settings(config), measure)
    assert measured == []
    assert list(table["key"]) == list(fitted.table["key"])
    assert (tmp_path / fitted.csv.name).read_bytes() == fitted.csv.read_bytes()


def test_cells_no_longer_declared_stay_in_the_ledger_and_out_of_the_table(fitted, measured, tmp_path):
    shutil.copy(fitted.csv, tmp_path)
    config = smoke(fitted.experiment, tmp_path)
    settings = fitted.experiment.settings(config)
    fewer = fit_table(fitted.script, config, settings[2:], measure)
    gone = {identity.key(one) for one in settings[:2]}
    assert set(fewer["key"]) == set(fitted.table["key"]) - gone
    assert set(pd.read_csv(tmp_path / fitted.csv.name)["key"]) == set(fewer["key"])
    fit_table(fitted.script, config, settings, measure)
    assert (tmp_path / fitted.csv.name).read_bytes() == fitted.csv.read_bytes()
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


@pytest.mark.parametrize("path", FITTED, ids=[path.stem for path in FITTED])
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


@pytest.mark.parametrize("experiment", [load(path) for path in FITTED], ids=[path.stem for path in FITTED])
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
    began = os.times().children_user
    arguments = [sys.executable, str(path), "--scale", "paper", "--out", "file/results"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 2
    assert done.stderr == f"{path.name}: cannot write to the folder file/results: Not a directory\n"
    # The theory alone takes minutes at paper scale; importing JAX takes seconds of the processor, busy or not.
    assert os.times().children_user - began < 30


# --- what it says -----------------------------------------------------------------------------------------------------


@each
def test_docstring_says_claim_source_command_and_expectation(experiment):
    text = experiment.__doc__
    for part in ("Source:", "Command:", "Time:", "Result:", "Figure:", "Expected:"):
        assert re.search(rf"^{part}", text, flags=re.MULTILINE), part
    name = experiment.__name__.removeprefix("experiments.")
    assert f"python experiments/{name}.py" in text
    assert f"paper_figures/{name}.py" in text


def test_an_interrupted_run_leaves_its_rows_and_says_what_is_missing(tmp_path, monkeypatch):
    path = ROOT / "experiments" / "depth_compensates_width.py"
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


# --- what a run tells -------------------------------------------------------------------------------------------------


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """Runs a grid of eight cells, of which some fail, in a working folder of its own, and gives what it said."""
    monkeypatch.chdir(tmp_path)

    def run(failing, **flags):
        cells = grid(widths=(3,), seeds=2)
        cells = [replace(one, trouble="raise") if index < failing else one for index, one in enumerate(cells)]
        flags = Flags(**{"scale": "smoke", "out": tmp_path / "results", "jobs": 1, "log": "plain"} | flags)
        try:
            fit_table("experiments/claim.py", flags, cells, fake_measure)
        finally:
            said = capsys.readouterr()
            run.out, run.err = said.out.splitlines(), said.err.splitlines()

    return run


def test_a_run_says_where_its_table_is(told, tmp_path, capsys):
    told(0)
    assert told.err[-1] == "claim: its table is results/claim.csv"
    told(0)
    assert told.err == ["claim: nothing missing; its table is results/claim.csv"]
    told(0, log="none")
    assert (told.out, told.err) == ([], [])
    told(0, log="json")
    assert told.err == []
    text = "claim: nothing missing; its table is results/claim.csv"
    assert [json.loads(line) for line in told.out] == [{"event": "note", "text": text}]
    write_table("experiments/theory.py", Flags(out=tmp_path / "results", log="plain"), "", pd.DataFrame({"n": [1]}))
    assert capsys.readouterr().err == "theory: its table is results/theory.csv\n"


def test_rows_that_failed_are_told_and_how_to_measure_them_again(told):
    said = "claim: 8 of 8 cells, 7 failed (--retry-failed measures them again); its table is results/claim.csv"
    told(7)
    assert told.err[-1] == said
    told(7)
    assert told.err == [said]
    told(7, retry_failed=True)
    assert told.err[0].startswith("claim: 1 of 8 cells")


def test_a_grid_that_failed_as_a_whole_ends_in_a_sentence(told):
    for _ in range(2):
        with pytest.raises(command.OutcomeError) as stop:
            told(8)
        assert re.fullmatch(r"all 8 fits failed, the first with: ZeroDivisionError: seed \d is poison", str(stop.value))
        assert told.err[-1].endswith("its table is results/claim.csv")


def test_hours_too_few_for_any_fit_are_told(told):
    with pytest.raises(command.OutcomeError, match=r"^no fit was begun: the hours were over before the first$"):
        told(0, hours=1e-12)
    assert "the time is over: 8 cells of claim are left for another run" in told.err


def test_a_run_that_is_over_has_no_time_left():
    state = progress.State("claim", 24, 8, 0, measured=8, elapsed=4.0, remaining=0.0)
    lines, events, bar = (io.StringIO() for _ in range(3))
    progress.Lines(lines).finish(state)
    assert lines.getvalue() == "claim: 8 of 24 cells, 2 cells/s; 4 s\n"
    progress.JsonLines(events).finish(state)
    assert json.loads(events.getvalue())["remaining"] is None
    progress.Bar(bar).finish(state)
    assert "left" not in bar.getvalue()
    assert state.text().endswith(", less than 1 s left")
