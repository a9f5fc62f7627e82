"""The Makefile's promises, on a tree of tiny scripts: what runs, what does not run again, what survives a failure."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from widththeory.executors import WORKER_ENVIRONMENT

ROOT = Path(__file__).parent.parent

EXPERIMENT = """
import os, pathlib, sys
name, scale = pathlib.Path(sys.argv[0]).stem, sys.argv[2]
print(f"ran {name}", file=open("log", "a"))
threads = [value for name, value in sorted(os.environ.items()) if name.endswith("_NUM_THREADS")]
print(name, *sys.argv[3:], *threads, file=open("shares", "a"))
if pathlib.Path(f"{name}.broken").exists():
    sys.exit("no data set")
table = pathlib.Path("results") / scale / f"{name}.csv"
table.parent.mkdir(parents=True, exist_ok=True)
content = pathlib.Path("content").read_text()
if not table.exists() or table.read_text() != content:
    table.write_text(content)
"""

FIGURE = """
import pathlib, sys
name, scale = pathlib.Path(sys.argv[0]).stem, sys.argv[2]
print(f"drew {name}", file=open("log", "a"))
picture = pathlib.Path("figures") / scale / f"{name}.pdf"
picture.parent.mkdir(parents=True, exist_ok=True)
picture.write_text((pathlib.Path("results") / scale / f"{name}.csv").read_text())
"""

GALLERY = """
import pathlib, sys
folder = pathlib.Path("figures") / sys.argv[2]
folder.mkdir(parents=True, exist_ok=True)
print("gathered", file=open("gatherings", "a"))
pictures = sorted(path.stem for path in folder.glob("*.pdf"))
(folder / "summary.txt").write_text(f"shown: {' '.join(pictures)}\\n")
(folder / "index.html").write_text("")
"""

# Stands for python3: `-m venv` makes a .venv whose python notes what pip is asked, and dies where the test says so.
INTERPRETER = """#!/bin/sh
case "$*" in
  *"-m venv"*) echo venv >> log; mkdir -p .venv/bin; cp "$0" .venv/bin/python;;
  *"-m pip"*) echo "pip $*" >> log; if test -e kill-pip; then kill -9 $$; fi;;
  *) exec {python} "$@";;
esac
"""


class Tree:
    """A clone with two claims, `first` and `second`, and its own make."""

    def __init__(self, root: Path):
        self.root = root
        for folder in ("experiments", "paper_figures", "widththeory/bounds", "widththeory/gallery"):
            (root / folder).mkdir(parents=True)
        shutil.copy(ROOT / "Makefile", root)
        self.write("requirements.txt", "jax==1\n")
        self.write("requirements-dev.txt", "pytest==1\n")
        self.write("widththeory/__init__.py", "")
        self.write("widththeory/gallery/__init__.py", "")
        self.write("widththeory/gallery/__main__.py", GALLERY)
        self.write("widththeory/fit.py", "")
        self.write("widththeory/plotting.py", "")
        for module in ("estimates", "censored", "image_tasks", "command", "verdicts"):
            self.write(f"widththeory/{module}.py", "")
        self.write("widththeory/processes.py", "print(2, 3)\n")
        self.write("content", "width,error\n1,0.5\n")
        for claim in ("first", "second"):
            self.write(f"experiments/{claim}.py", EXPERIMENT)
            self.write(f"paper_figures/{claim}.py", FIGURE)
        interpreter = self.write("interpreter", INTERPRETER.replace("{python}", sys.executable))
        interpreter.chmod(0o755)

    def write(self, name: str, content: str) -> Path:
        path = self.root / name
        path.write_text(content)
        os.utime(path, (1e9, 1e9))  # long ago: older than anything that make writes
        return path

    def touch(self, name: str) -> None:
        """Make `name` newer than all that is there, and older than all that is made next: the past is moved back."""
        for path in self.root.rglob("*"):
            if path.is_file() and not path.is_symlink():
                os.utime(path, (path.stat().st_mtime - 100,) * 2)
        os.utime(self.root / name, (time.time() - 50,) * 2)

    def make(self, *arguments: str, status: int = 0) -> str:
        ours = ("MAKE", "MFLAGS", "SCALE", "PYTHONPATH", "OMP_", "OPENBLAS_", "MKL_", "XLA_")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        done = subprocess.run(
            ["make", f"PYTHON={self.root / 'interpreter'}", *arguments],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def log(self, name: str = "log") -> list[str]:
        """What ran since the last call; "gatherings": how often the gallery was built; "shares": flags of fits."""
        path = self.root / name
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.fixture
def made(tree):
    tree.make("figures")
    tree.log()
    return tree


def in_order(log):
    """By claim, of which two are made at a time."""
    return sorted(log, key=lambda line: line.split()[1])


def test_figures_from_nothing(tree):
    said = tree.make("figures")
    log = tree.log()
    assert log[0] == "venv"
    assert [line.split()[0] for line in log[1:3]] == ["pip", "pip"]
    assert in_order(log[3:]) == ["ran first", "drew first", "ran second", "drew second"]
    assert (tree.root / "figures/laptop/second.pdf").read_text() == "width,error\n1,0.5\n"
    assert "2 of 2 up to date" in said


def test_second_run_does_nothing(made):
    made.make("figures")
    made.make("figures")
    assert made.log() == []


def test_new_style_redraws_without_fitting(made):
    for module in ("plotting", "estimates", "censored", "image_tasks", "verdicts", "command"):
        made.touch(f"widththeory/{module}.py")
    made.make("figures")
    assert in_order(made.log()) == ["drew first", "drew second"]


def test_new_library_fits_again_and_same_numbers_are_not_redrawn(made):
    made.touch("widththeory/fit.py")
    made.make("figures")
    assert in_order(made.log()) == ["ran first", "ran second"]
    made.make("figures")
    assert made.log() == []


def test_new_numbers_are_redrawn(made):
    made.touch("experiments/first.py")
    (made.root / "content").write_text("width,error\n1,0.25\n")
    made.make("figures")
    assert made.log() == ["ran first", "drew first"]


def test_new_numbers_in_a_further_table_are_redrawn(made):
    made.write("results/laptop/first.floor.csv", "width,floor\n1,0.1\n")
    made.make("figures")
    assert made.log() == []
    made.touch("results/laptop/first.floor.csv")
    made.make("figures")
    assert made.log() == ["drew first"]


def test_lost_table_is_made_again(made):
    (made.root / "results/laptop/first.csv").unlink()
    made.make("figures")
    assert made.log() == ["ran first", "drew first"]


def test_claims_share_the_cores_and_one_that_measures_times_has_them_alone(tree):
    tree.write("experiments/alone.py", EXPERIMENT + "ALONE = True  # times are measured\n")
    tree.write("paper_figures/alone.py", FIGURE)
    tree.make("figures")
    shares = tree.log("shares")
    one_thread = "1 1 1"  # as workers have it, so that rows are the same to the bit
    assert sorted(shares[:2]) == [f"{name} --jobs 3 --log plain {one_thread}" for name in ("first", "second")]
    assert shares[2:] == ["alone"]
    assert tree.log()[-2:] == ["ran alone", "drew alone"]


def test_two_claims_are_made_at_a_time(tree):
    """Each waits for the other to have begun, and gives up after a while."""
    waits = "begun, other = (pathlib.Path(f'{one}.begun') for one in (name, *({'first', 'second'} - {name})))\n"
    waits += "begun.touch()\nimport time\nend = time.monotonic() + 60\n"
    waits += "while not other.exists():\n    assert time.monotonic() < end\n    time.sleep(0.01)\n"
    for claim in ("first", "second"):
        tree.write(f"experiments/{claim}.py", EXPERIMENT + waits)
    tree.make("figures")


def test_claims_that_want_to_be_alone_are_so_whatever_make_is_told(tree):
    for claim in ("first", "second"):
        tree.write(f"experiments/{claim}.py", EXPERIMENT + "ALONE = True\n")
    tree.make("-j4", "figures")
    assert tree.log()[3:] == ["ran first", "drew first", "ran second", "drew second"]
    assert tree.log("shares") == ["first", "second"]


def test_shares_are_not_taken_from_the_environment(tree, monkeypatch):
    monkeypatch.setenv("SHARE", "/usr/share")
    tree.write("widththeory/processes.py", "raise SystemExit('no cores')\n")  # then one by one
    said = tree.make("figures")
    assert "no cores" in said
    assert tree.log("shares") == ["second", "first"]
    assert "2 of 2 up to date" in said


def test_variables_of_one_thread_are_those_of_workers():
    words = (ROOT / "Makefile").read_text().split()
    threads = [name for name in WORKER_ENVIRONMENT if name.endswith(("_NUM_THREADS", "NPROC"))]
    assert len(threads) == 4
    assert all(f"{name}={WORKER_ENVIRONMENT[name]}" in words for name in threads)


def test_claims_come_one_by_one_where_they_cannot_share(tree):
    tree.write("widththeory/processes.py", "print(1, 1)\n")
    tree.make("figures")
    assert tree.log("shares") == ["second", "first"]
    assert tree.log()[3:] == ["ran second", "drew second", "ran first", "drew first"]


def test_failed_claim_is_named_and_the_others_are_made(tree):
    (tree.root / "first.broken").touch()
    said = tree.make("figures", status=2)
    assert "not made at scale laptop: first (" in said
    assert (tree.root / "figures/laptop/second.pdf").exists()
    assert not (tree.root / "figures/laptop/first.pdf").exists()
    (tree.root / "first.broken").unlink()
    tree.log()
    tree.make("figures")
    assert tree.log() == ["ran first", "drew first"]


def test_the_gallery_is_built_last_and_only_for_new_pictures(tree):
    said = tree.make("figures")
    assert tree.log("gatherings") == ["gathered"]
    assert "shown: first second" in said
    assert said.rstrip().endswith("gallery: open figures/laptop/index.html")
    said = tree.make("figures")
    assert tree.log("gatherings") == []
    assert "shown: first second" in said  # told again, not made again
    tree.touch("widththeory/gallery/__main__.py")
    tree.make("figures")
    assert tree.log("gatherings") == ["gathered"]
    tree.touch("widththeory/plotting.py")
    tree.make("figures")
    assert tree.log("gatherings") == ["gathered"]


def test_the_gallery_shows_what_could_be_made(tree):
    (tree.root / "first.broken").touch()
    said = tree.make("figures", status=2)
    assert "shown: second" in said


def test_a_new_claim_needs_no_edit(made):
    made.write("experiments/third.py", EXPERIMENT)
    made.write("paper_figures/third.py", FIGURE)
    made.make("figures")
    assert made.log() == ["ran third", "drew third"]


def test_scales_are_apart(made):
    made.make("figures", "SCALE=smoke")
    assert in_order(made.log()) == ["ran first", "drew first", "ran second", "drew second"]
    assert (made.root / "results/smoke/first.csv").exists()
    assert "SCALE must be smoke, laptop or paper, got 'big'" in made.make("figures", "SCALE=big", status=2)


def test_a_figure_says_its_scale_itself(made):
    made.make("figures/smoke/first.pdf")
    assert made.log() == ["ran first", "drew first"]
    assert (made.root / "figures/smoke/first.pdf").exists()


def test_paper_scale_draws_what_is_committed_and_never_fits(tree):
    (tree.root / "results/paper").mkdir(parents=True)
    tree.write("results/paper/first.csv", "width,error\n1,0.1\n")
    said = tree.make("figures", "SCALE=paper", status=2)
    assert "results/paper/second.csv is not there" in said
    assert "not made at scale paper: second (" in said
    assert tree.log()[3:] == ["drew first"]
    tree.make("results", "SCALE=paper")
    assert tree.log() == ["ran first", "ran second"]
    tree.make("figures", "SCALE=paper")
    assert in_order(tree.log()) == ["drew first", "drew second"]  # the fake rows are not those that were committed


def test_killed_installation_is_not_ready(tree):
    (tree.root / "kill-pip").touch()
    tree.make("figures", status=2)
    assert not (tree.root / ".venv/requirements.txt").exists()
    assert [line.split()[0] for line in tree.log()] == ["venv", "pip"]
    (tree.root / "kill-pip").unlink()
    tree.make("figures")
    assert [line.split()[0] for line in tree.log()[:3]] == ["venv", "pip", "pip"]


def test_pip_runs_again_only_for_new_requirements(made):
    made.touch("requirements.txt")
    made.make("figures")
    assert made.log() == []
    made.write("requirements.txt", "jax==2\n")
    made.touch("requirements.txt")
    made.make("figures")
    assert [line.split()[0] for line in made.log()] == ["venv", "pip", "pip"]


def test_development_requirements_come_after_the_others(tree):
    tree.make(".venv/requirements-dev.txt")
    assert [line.split()[-1] for line in tree.log()] == ["venv", "requirements.txt", ".", "requirements-dev.txt"]


def test_clean_keeps_rows_and_installation(made):
    made.make("clean")
    assert not (made.root / "figures/laptop").exists()
    made.make("figures")
    assert in_order(made.log()) == ["drew first", "drew second"]


def test_help_lists_every_target(tree):
    said = tree.make("help")
    for target in ("figures", "results", "test", "lint", "bench", "plan", "torture", "data", "docs", "clean"):
        assert f"make {target} " in said
    assert tree.make() == said
