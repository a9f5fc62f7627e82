"""What pip installs: the library with its data, whole, and nothing that runs in a clone only."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {str(path.relative_to(ROOT)) for path in (ROOT / "widththeory").rglob("*.py")}
DATA = {
    "widththeory/py.typed",
    "widththeory/references.bib",
    *(str(path.relative_to(ROOT)) for path in (ROOT / "widththeory/gallery/templates").iterdir()),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Names in the wheel and in the source distribution, which are made in a copy: setuptools leaves its traces."""
    tree = tmp_path_factory.mktemp("clone")
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, tree)
    for name in ("widththeory", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    code = "from setuptools import build_meta as b; b.build_wheel('dist'); b.build_sdist('dist')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,), (archive,) = (tree / "dist").glob("*.whl"), (tree / "dist").glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as opened:
        wheel_names = set(opened.namelist())
    with tarfile.open(archive) as opened:
        source_names = {name.partition("/")[2] for name in opened.getnames()}
    return wheel_names, source_names


def test_both_hold_every_module_and_all_data(built):
    assert len(DATA) > 4
    for names in built:
        assert names >= MODULES | DATA


def test_neither_holds_what_needs_a_clone(built):
    wheel, source = built
    assert {name.partition("/")[0] for name in wheel if ".dist-info/" not in name} == {"widththeory"}
    assert not any(name.startswith(("tests", "experiments", "docs")) for name in source)
    assert {"LICENSE", "README.md", "pyproject.toml"} <= source
