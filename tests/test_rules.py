"""Rules of the house, read from the source: layers, sources, docstrings, names, scripts, and what importing may do."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import widththeory

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "widththeory"
MODULES = sorted(PACKAGE.rglob("*.py"))
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.py"))
FIGURES = sorted((ROOT / "paper_figures").glob("*.py"))
EVERYTHING = [
    *MODULES,
    *EXPERIMENTS,
    *FIGURES,
    *sorted((ROOT / "tests").rglob("*.py")),
    *sorted((ROOT / "docs").rglob("*.py")),
]
LAYERS = [line.strip().split(", ") for line in widththeory.__doc__.splitlines() if line.startswith("    ")]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# What a figure may use: theorems and tables, nothing that fits.
FOR_FIGURES = {"typing", "bounds", "estimates", "censored", "image_tasks", "verdicts", "plotting", "command"}
BIBLIOGRAPHY = set(re.findall(r"^@\w+\{(\w+),", (PACKAGE / "references.bib").read_text(), flags=re.MULTILINE))
CITATION = re.compile(r"\[([a-z]+\d{4}[a-z]*)\]")


def path_id(path):
    return str(path.relative_to(ROOT))


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=path_id)


def imported(tree):
    """Dotted names of all that a module imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_parts(tree):
    """First names below `widththeory` of what a module imports from it."""
    names = (name.split(".") for name in imported(tree))
    return {parts[1] for parts in names if parts[0] == "widththeory" and len(parts) > 1}


def public(tree):
    """Public functions and classes at the top of a module, and public methods of those classes with their class."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node


# --- layers and imports -----------------------------------------------------------------------------------------------


@each([path for path in MODULES if path.name not in ("__init__.py", "__main__.py")])
def test_layers_go_one_way(path):
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert part in LEVEL, f"say in the docstring of widththeory/__init__.py which layer {part} belongs to"
    above = {other for other in own_parts(ast.parse(path.read_text())) if LEVEL[other] > LEVEL[part]}
    assert not above, f"{part} imports {above} from a later layer"


def test_the_map_of_layers_is_the_tree():
    there = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert set(LEVEL) <= there


@each(FIGURES)
def test_figures_use_theorems_and_tables_only(path):
    tree = ast.parse(path.read_text())
    assert own_parts(tree) <= FOR_FIGURES
    assert not {name.split(".")[0] for name in imported(tree)} & {"jax", "flax", "optax", "sqlite3"}


@each([path for path in [*MODULES, *EXPERIMENTS, *FIGURES] if PACKAGE / "models" not in path.parents])
def test_only_models_import_flax(path):
    assert "flax" not in {name.split(".")[0] for name in imported(ast.parse(path.read_text()))}


def python(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def names_of(paths):
    return [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]


def test_bounds_and_figures_do_not_import_jax():
    names = names_of(path for path in MODULES if "bounds" in path.parts or path.stem in FOR_FIGURES)
    assert python(f"import sys, {', '.join(names)}; print('jax' in sys.modules)") == "False"


def test_importing_starts_no_device():
    names = names_of(path for path in MODULES if path.name != "__main__.py")
    code = f"import {', '.join(names)}; from jax._src import xla_bridge; print(xla_bridge.backends_are_initialized())"
    assert python(code) == "False"


@each(EVERYTHING)
def test_no_postponed_annotations(path):
    """They would hide shapes from the run-time checker."""
    assert "__future__.annotations" not in set(imported(ast.parse(path.read_text())))


# --- names ------------------------------------------------------------------------------------------------------------


@each(EVERYTHING)
def test_no_drawers_for_everything(path):
    assert not {"utils", "util", "common", "helpers", "misc"} & set(path.relative_to(ROOT).with_suffix("").parts)


@each([*MODULES, *EXPERIMENTS, *FIGURES])
def test_a_module_is_read_in_one_sitting(path):
    assert len(path.read_text().splitlines()) <= 400


@each([path for path in EVERYTHING if path != Path(__file__)])
def test_nothing_unfinished(path):
    text = path.read_text()
    for mark in (
        "TODO",
        "FIXME",
        "XXX",
        "NotImplementedError",
        "mark.skip",
        "mark.xfail",
        "pytest.skip(",
        "pytest.xfail(",
    ):
        assert mark not in text


# --- docstrings and sources -------------------------------------------------------------------------------------------


@each([*MODULES, *EXPERIMENTS, *FIGURES])
def test_public_names_say_what_they_are(path):
    """Every module; every public function and class; and a theorem's methods too, as they are what it promises."""
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) or not tree.body, "the module has no docstring"
    for node in public(tree):
        assert ast.get_docstring(node), f"{node.name} has no docstring"
        first, *rest = ast.get_docstring(node).splitlines()
        assert not rest or not rest[0].strip() or first.rstrip()[-1] not in ".:", (
            f"{node.name}: blank line after the first"
        )


@each([path for path in MODULES if path.parent.name in ("bounds", "constructions")])
def test_theorems_name_their_source(path):
    """A bound is what returns a Certified, a construction what has a target: their docstrings end in a Source."""
    for node in public(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            theorem = any(isinstance(item, ast.FunctionDef) and item.name == "target" for item in node.body)
        else:
            theorem = node.returns is not None and "Certified" in ast.unparse(node.returns)
        if theorem:
            _, found, source = (ast.get_docstring(node) or "").rpartition("Source:")
            assert found, f"{node.name} has no Source"
            assert CITATION.search(source) or "derived for this project" in source.lower(), f"{node.name} cites nothing"


def test_cited_keys_are_the_bibliography():
    cited = {key for path in MODULES for key in CITATION.findall(path.read_text())}
    assert cited - BIBLIOGRAPHY == set(), "cited, but not in references.bib"
    assert BIBLIOGRAPHY - cited == set(), "in references.bib, but cited nowhere"


# --- scripts ----------------------------------------------------------------------------------------------------------


def test_each_experiment_has_its_figure():
    assert [path.name for path in EXPERIMENTS] == [path.name for path in FIGURES]


def defined(path):
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


@each(EXPERIMENTS)
def test_experiments_have_the_parts_that_others_use(path):
    assert {"Config", "main"} <= defined(path)
    assert ("settings" in defined(path)) == ("fit_table(" in path.read_text())
    assert "command.run(main)" in path.read_text()


@each(FIGURES)
def test_figures_have_the_parts_that_others_use(path):
    assert {"figure", "caption"} <= defined(path)
    assert "command.draw(figure, caption, __file__" in path.read_text()


@each([ROOT / "README.md"])
def test_readme_knows_every_experiment(path):
    text = path.read_text()
    assert [claim.stem for claim in EXPERIMENTS if claim.stem not in text] == []


# --- packaging --------------------------------------------------------------------------------------------------------


def pins(name):
    lines = [line for line in (ROOT / name).read_text().splitlines() if line]
    for line in lines:
        requirement, comment, who = line.partition("#")
        assert comment, f"{name} does not say who needs {requirement}"
        assert who.strip(), f"{name} does not say who needs {requirement}"
        yield Requirement(requirement)


@pytest.mark.parametrize("name", [path.name for path in sorted(ROOT.glob("requirements*.txt"))])
def test_requirements_are_pinned_and_explained(name):
    for requirement in pins(name):
        assert [pin.operator for pin in requirement.specifier] == ["=="]


def test_pins_are_within_the_ranges_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins("requirements.txt")}
    for requirement in map(Requirement, project["dependencies"]):
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier


@pytest.mark.xdist_group("grouped")
def test_workers_know_the_groups(request):
    """Else each of them computes the tables of every claim, builds the documentation and starts the clusters."""
    assert request.node.nodeid.endswith("@grouped") == ("PYTEST_XDIST_WORKER" in os.environ)


def test_the_package_declares_what_it_imports():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = (Requirement(text) for texts in project["optional-dependencies"].values() for text in texts)
    declared = {requirement.name for requirement in (*map(Requirement, project["dependencies"]), *optional)}
    provided_by = {
        "PIL": "pillow",
        "dask": "distributed",
        "flint": "python-flint",
        "fpdf": "fpdf2",
        "orbax": "orbax-checkpoint",
        "vl_convert": "vl-convert-python",
    }
    used = {name.split(".")[0] for path in MODULES for name in imported(ast.parse(path.read_text()))}
    third_party = used - set(sys.stdlib_module_names) - {"widththeory"}
    assert {provided_by.get(name, name) for name in third_party} <= declared
