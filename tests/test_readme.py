"""The README's promises: its code runs, and what it names is there."""

import importlib
import re
from pathlib import Path

import pandas as pd
import pytest
from scripts import EXPERIMENTS, FIGURES, ROOT, load

import widththeory
from widththeory import command, engines
from widththeory.gallery import claims

TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
QUOTED = sorted(set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL))))
MADE = ("results/", "figures/", "build/", ".venv/")  # by commands, not by git


def paths():
    """Paths in backticks and in links; of commands the words that are paths."""
    links = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    words = {word for quoted in QUOTED for word in quoted.split()}
    files = {word for word in words if re.fullmatch(r"[\w./<>-]+(/[\w.<>-]+|\.(py|bib|md|toml))", word)}
    return sorted({*links, *files})


@pytest.mark.parametrize("code", PYTHON, ids=[f"block {index}" for index in range(len(PYTHON))])
def test_code_runs_and_prints(code, capsys):
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == code.count("print(")
    assert all(line.strip() and "nan" not in line for line in printed)


def test_the_example_tells_the_separation():
    """As its comments say: no 1000 neurons of one layer do what the explicit network does."""
    told = []
    exec(compile(PYTHON[0], "README.md", "exec"), {"print": lambda *values: told.append(values)})
    (floor,), (needed,), (_, guaranteed), (error,) = told
    assert 0 < error < guaranteed < floor.lower < 1
    assert needed.lower > 1000


def test_there_is_code():
    assert PYTHON


@pytest.mark.parametrize("path", paths())
def test_paths_exist(path):
    if path.startswith(MADE):
        return
    whole, _, placeholder = path.partition("<")
    place = Path(whole).parent if placeholder else Path(path)
    # A bare file name is one of the package, or of the folder that the sentence is about.
    assert any((root / place).exists() for root in (ROOT, ROOT / "widththeory")), path


def test_paths_are_found():
    """The test above sees what it should."""
    assert {"experiments/eldan_shamir.py", "widththeory/references.bib", "references.bib"} <= set(paths())
    assert any(path.endswith(".png") for path in paths())


@pytest.mark.parametrize("claim", [path.stem for path in EXPERIMENTS])
def test_table_has_a_row_a_claim(claim):
    rows = [line for line in TEXT.splitlines() if line.startswith("|") and f"`experiments/{claim}.py`" in line]
    assert len(rows) == 1
    assert f"`paper_figures/{claim}.py`" in rows[0]
    sentence, *_, source = (cell.strip() for cell in rows[0].strip("|").split("|"))
    assert sentence
    assert re.search(r"\d{4}", source)


def test_table_has_no_claim_that_is_gone():
    named = re.findall(r"`(experiments|paper_figures)/(\w+)\.py`", TEXT)
    assert {stem for folder, stem in named if folder == "experiments"} == {path.stem for path in EXPERIMENTS}
    assert {stem for folder, stem in named if folder == "paper_figures"} == {path.stem for path in FIGURES}


def test_commands_are_targets_of_make():
    targets = set(re.findall(r"^(\w+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    commands = [*QUOTED, *(line for language, code in BLOCKS if not language for line in code.splitlines())]
    asked = {
        word
        for command in commands
        if command.startswith("make ")
        for word in command.partition("#")[0].split()[1:]
        if "=" not in word and not word.startswith(MADE)
    }
    assert {"figures", "test", "help"} <= asked <= targets


FILES = {".csv", ".json", ".png", ".svg", ".txt", ".pdf", "references.bib"}
NAMES = [name for name in QUOTED if re.fullmatch(r"[a-z_]*(\.\w+)+", name) and name not in FILES]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_the_package_exist(name):
    """`widththeory.bounds`, `.grid` or `models.mlp`; what has arguments is a method of what the sentence is about."""
    place = widththeory
    for part in name.removeprefix("widththeory").strip(".").split("."):
        place = getattr(place, part, None) or importlib.import_module(f"{place.__name__}.{part}")


def cluster_commands():
    """Of the section on clusters: experiment and flags of each command."""
    (section,) = re.findall(r"^## On a cluster.*?^```\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
    lines = section.replace("\\\n", " ").splitlines()
    return re.findall(r"python (experiments/\w+\.py) ([^#\n]*)", "\n".join(lines))


def test_commands_for_a_cluster_have_flags_that_there_are():
    said = set()
    for script, flags in cluster_commands():
        config = command.parse(load(ROOT / script).Config, flags.split())
        said |= {config.engine, *(["hours"] if config.hours else []), *(["multihost"] if config.multihost else [])}
    assert said == {*engines.names(), "hours", "multihost"}


def test_words_of_the_gallery_are_listed():
    _, adding = TEXT.split("\n## Adding one\n")
    words = " ".join(adding.partition("\n## ")[0].split())
    chapters = words.partition("The chapters are ")[2].partition(";")[0]
    assert re.findall(r'"([^"]+)"', chapters) == list(claims.CHAPTERS)
    grounds = words.partition("the words of `Decided:`")[2].partition(" are ")[2].partition(".")[0]
    assert grounds.split(", ") == list(claims.GROUNDS)


def test_times_are_measured():
    times = re.findall(r"about (\S+) minutes", TEXT)
    assert len(times) == 2
    assert all(re.fullmatch(r"\d+|[a-z]+", time) for time in times)


def test_exponents_are_those_of_the_rows_at_paper_scale():
    """To two digits, as the caption has them, which is computed from the tables."""
    figure = load(ROOT / "paper_figures" / "depth_compensates_width.py")
    names = ("", ".floor", ".recalled")
    tables = [pd.read_csv(ROOT / f"results/paper/depth_compensates_width{name}.csv") for name in names]
    found = re.findall(r"(-\d\.\d\d) \[(-\d\.\d\d), (-\d\.\d\d)\] for n = [12]", figure.caption(*tables))
    told = re.findall(r"width\^(-\d\.\d\d) \((?:95 %: )?(-\d\.\d\d) to\s+(-\d\.\d\d)\)", TEXT)
    assert len(told) == 2
    assert told == found
