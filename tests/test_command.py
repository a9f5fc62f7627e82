"""What a person sees who types a command: files in their place, one sentence when something is wrong."""

import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from scripts import load

from widththeory import command, plotting
from widththeory.verdicts import Verdict

EXPERIMENT = '''"""A claim in a sentence."""

import sys
from dataclasses import dataclass
from pathlib import Path

from widththeory import command
from widththeory.command import Scale


@dataclass(frozen=True)
class Config:
    scale: Scale = "smoke"
    seeds: int = 3
    trouble: str = ""
    out: Path | None = None

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds must be at least 1, got {self.seeds}")


def main(config: Config) -> None:
    if config.trouble == "ours":
        raise ValueError("width must be at least 1, got 0")
    if config.trouble == "numpy":
        import numpy as np

        np.ones(2) + np.ones(3)
    if config.trouble == "outcome":
        raise command.OutcomeError("all 8 fits failed")
    if config.trouble == "defect":
        {}["missing"]
    if config.trouble == "full disk":
        raise OSError(28, "No space left on device", str(Path.cwd() / "table.csv"))
    if config.trouble == "wait":
        import time

        try:
            print("waiting", flush=True)
            time.sleep(60)
        finally:
            print("ending", flush=True)
            time.sleep(1)
    path = command.results_file(__file__, config.scale, config.out)
    path.write_text("seed,error\\n" + "".join(f"{seed},{0.5**seed}\\n" for seed in range(config.seeds)))
    if config.trouble != "one table":
        path.with_suffix(".floor.csv").write_text("floor\\n0.01\\n")


if __name__ == "__main__":
    command.run(main)
    print("jax" in sys.modules)
'''

FIGURE = '''"""A picture in a sentence."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from widththeory import command


def figure(table: pd.DataFrame, floor: pd.DataFrame) -> Figure:
    picture, axes = plt.subplots()
    axes.plot(table["seed"], table["error"])
    axes.axhline(floor["floor"][0])
    return picture


def caption(table: pd.DataFrame) -> str:
    return f"n = {len(table)} at {table.attrs['scale']}."


if __name__ == "__main__":
    command.draw(figure, caption, __file__)
'''


@pytest.fixture
def root(tmp_path):
    for folder, text in (("experiments", EXPERIMENT), ("paper_figures", FIGURE)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "claim.py").write_text(text)
    return tmp_path


def run(root, *arguments, status=0):
    done = subprocess.run(
        [sys.executable, *arguments], cwd=root, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == status, done.stderr
    return done


def test_from_flags_to_table_to_picture(root):
    done = run(root, "experiments/claim.py", "--scale", "laptop", "--seeds", "4")
    assert done.stdout == "False\n"  # no jax
    assert len(pd.read_csv(root / "results/laptop/claim.csv")) == 4
    done = run(root, "paper_figures/claim.py", "--scale", "laptop")
    assert done.stdout == "claim: figures/laptop/claim.pdf\n"
    assert sorted(path.name for path in (root / "figures/laptop").iterdir()) == [
        f"claim.{kind}" for kind in ("csv", "pdf", "png", "svg", "txt")
    ]
    assert (root / "figures/laptop/claim.txt").read_text() == "n = 4 at laptop. Scale: laptop.\n"
    assert (root / "figures/laptop/claim.csv").read_text() == (root / "results/laptop/claim.csv").read_text()


def test_the_picture_says_what_became_of_the_claim(root, monkeypatch):
    run(root, "experiments/claim.py", "--out", "elsewhere")
    module = load(root / "paper_figures/claim.py")
    drawn = []
    monkeypatch.setattr(plotting, "save", lambda figure, *rest: drawn.append(figure) or root)
    verdict = Verdict("not held", "It did not.", "nothing", None, None, None, 3)
    flags = ["--table", str(root / "elsewhere/claim.csv")]
    command.draw(module.figure, module.caption, module.__file__, flags, verdict=lambda table: verdict)
    (picture,) = drawn
    assert [text.get_text() for text in picture.texts] == ["claim not held; scale: laptop"]


def test_out_replaces_the_folder(root):
    run(root, "experiments/claim.py", "--out", "elsewhere/deep")
    assert (root / "elsewhere/deep/claim.csv").exists()
    run(root, "paper_figures/claim.py", "--table", "elsewhere/deep/claim.csv", "--out", "pictures")
    assert (root / "pictures/claim.pdf").exists()
    assert not (root / "results").exists()
    assert not (root / "figures").exists()


def test_help_tells_the_claim_and_the_flags(root):
    said = run(root, "experiments/claim.py", "--help").stdout
    assert "A claim in a sentence." in said
    assert "--scale {smoke,laptop,paper}" in said


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--seeds", "x"], "--seeds must be an integer, got 'x' (see --help)"),
        (["--seeds=1.5"], "--seeds must be an integer, got '1.5' (see --help)"),
        (["--seed", "3"], "Unrecognized options: --seed, 3 (see --help)"),
        (
            ["--scale", "huge"],
            "invalid choice 'huge' for argument '--scale'. Expected one of ('smoke', 'laptop', 'paper')",
        ),
        (["--seeds", "0"], "seeds must be at least 1, got 0"),
        (["--trouble", "ours"], "width must be at least 1, got 0"),
        (["--trouble", "full disk"], "table.csv: No space left on device"),
        (["--out", ""], "--out must be a path, got '' (. is the working folder)"),
        (["--out="], "--out must be a path, got ''"),
        (["--out", "experiments/claim.py"], "cannot write to the folder experiments/claim.py: File exists"),
    ],
)
def test_wrong_input_is_one_sentence(root, flags, sentence):
    done = run(root, "experiments/claim.py", *flags, status=2)
    assert done.stderr.startswith("claim.py: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@dataclass(frozen=True)
class Nested:
    hours: float = 1.0


@dataclass(frozen=True)
class Many:
    rates: tuple[float, ...] | None = None
    widths: tuple[int, ...] = ()
    slurm: Nested = Nested()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--rates", "0.1", "z"], "--rates must be numbers, got '0.1 z' (see --help)"),
        (["--widths", "1.5"], "--widths must be integers, got '1.5' (see --help)"),
        (["--slurm.hours=x"], "--slurm.hours must be a number, got 'x' (see --help)"),
    ],
)
def test_wrong_flags_are_told_with_what_is_allowed(flags, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        command.parse(Many, flags)


@pytest.mark.parametrize(("trouble", "said"), [("numpy", "could not be broadcast"), ("defect", "KeyError: 'missing'")])
def test_defects_keep_their_traceback(root, trouble, said):
    done = run(root, "experiments/claim.py", "--trouble", trouble, status=1)
    assert "Traceback" in done.stderr
    assert said in done.stderr


def test_what_came_out_wrong_is_a_sentence_and_status_1(root):
    assert run(root, "experiments/claim.py", "--trouble", "outcome", status=1).stderr == "claim.py: all 8 fits failed\n"


def test_a_package_is_called_by_its_command():
    done = run(Path(), "-m", "widththeory", "--help").stdout
    assert done.startswith("usage: python -m widththeory [-h] ")
    examples = [line for line in done.splitlines() if line.startswith("  python -m widththeory ")]
    assert [line.split()[3] for line in examples] == ["plan", "status", "show", "export", "verify", "merge"]
    said = run(Path(), "-m", "widththeory", "show", "--rows", "x", status=2).stderr
    assert said == "python -m widththeory: --rows must be an integer, got 'x' (see --help)\n"


def test_a_copied_folder_is_not_run_by_the_code_of_the_old_one(root):
    (root / "widththeory").mkdir()
    shutil.copy(command.__file__, root / "widththeory/command.py")
    for script in ("experiments/claim.py", "paper_figures/claim.py"):
        said = run(root, script, status=2).stderr
        assert f"this script stands beside the package {root}/widththeory, but {Path(command.__file__).parent}" in said
        assert said.endswith(f"remove {root}/.venv and run make figures, or set PYTHONPATH={root}\n")
        assert said.count("\n") == 1
    assert not (root / "results").exists()
    (root / "widththeory/command.py").unlink()
    (root / "widththeory").rmdir()
    (root / "widththeory").symlink_to(Path(command.__file__).parent)
    run(root, "experiments/claim.py")


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_interrupted(root, number, status):
    arguments = [sys.executable, "experiments/claim.py", "--trouble", "wait"]
    with subprocess.Popen(arguments, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=300)
    assert process.returncode == status
    assert said == "interrupted; what is finished is kept, and the same command goes on from there\n"


@pytest.mark.usefixtures("signals")
def test_a_process_that_is_told_twice_ends_in_order_nevertheless(root):
    """Shell and kernel both tell that the terminal is closed; make and `kill` of its group both that it is over."""
    arguments = [sys.executable, "experiments/claim.py", "--trouble", "wait"]
    with subprocess.Popen(arguments, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line, number in (("waiting\n", signal.SIGHUP), ("ending\n", signal.SIGTERM), ("", signal.SIGHUP)):
            assert not line or process.stdout.readline() == line
            process.send_signal(number)
        _, said = process.communicate(timeout=300)
    assert process.returncode == 129
    assert said == "interrupted; what is finished is kept, and the same command goes on from there\n"


def test_a_process_that_does_not_end_is_ended_by_a_later_signal():
    code = """
import signal, time
from widththeory import command
command._TOGETHER_SECONDS = 0.01
def main(config: command.Path) -> None:
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        time.sleep(0.1)
        signal.raise_signal(signal.SIGTERM)
        time.sleep(60)
command.parse = lambda *_, **__: None
command.run(main, [])
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == -signal.SIGTERM


def test_a_table_that_cannot_be_drawn(root):
    missing = run(root, "paper_figures/claim.py", status=2).stderr
    assert missing.startswith("claim.py: there is no table results/laptop/claim.csv: `python experiments/claim.py ")
    assert not (root / "figures").exists()
    run(root, "experiments/claim.py", "--trouble", "one table")
    assert (
        "no table results/smoke/claim.floor.csv"
        in run(root, "paper_figures/claim.py", "--scale", "smoke", status=2).stderr
    )
    for content, sentence in (
        (b"", "is not a table of comma-separated values"),
        (b'a,b\n1,2,3\n"', "is not a table of comma-separated values"),
        (b"\xff\xfe\x00", "is not a table of comma-separated values"),
        (b"a,b\n", "has no rows"),
    ):
        (root / "bad.csv").write_bytes(content)
        said = run(root, "paper_figures/claim.py", "--table", "bad.csv", status=2).stderr
        assert sentence in said
        assert said.count("\n") == 1


def test_folders_and_their_refusals(tmp_path):
    script = tmp_path / "experiments" / "claim.py"
    assert command.results_file(script, "smoke") == tmp_path / "results/smoke/claim.csv"
    assert command.results_file(script, "paper", suffix=".sqlite") == tmp_path / "results/paper/claim.sqlite"
    assert command.figures_folder(script, "laptop") == tmp_path / "figures/laptop"
    assert command.figures_folder(script, "laptop", tmp_path / "mine") == tmp_path / "mine"
    assert list((tmp_path / "mine").iterdir()) == []  # the check leaves nothing behind


def test_unknown_scale():
    plain = run(
        Path(), "-c", "from widththeory import command\ncommand.results_file('x/y.py', 'huge')", status=1
    ).stderr
    assert "ValueError: scale must be one of smoke, laptop, paper, got 'huge'" in plain


def test_reader_that_goes_away_is_no_error(root):
    (root / "chatty.py").write_text(
        "from widththeory import command\n"
        "def main(config: command.Drawing) -> None:\n"
        "    for _ in range(100_000):\n"
        "        print('x' * 100)\n"
        "command.run(main)\n"
    )
    with subprocess.Popen(
        [sys.executable, "chatty.py"], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.read(10)
        process.stdout.close()
        said = process.stderr.read()
    assert said == b""


def test_plan_says_what_is_missing(root):
    said = run(root, "-m", "widththeory", "plan", "--root", str(root / "nowhere"), status=2).stderr
    assert "there are no experiments in" in said
    (root / "experiments/claim.py").write_text(
        "from dataclasses import dataclass\n"
        "from widththeory.fit import Regression\n"
        "@dataclass(frozen=True)\n"
        "class Config:\n"
        "    scale: str\n"
        "def settings(config):\n"
        "    return [Regression('telgarsky.Sawtooth', (('num_folds', 2),), 4, depth, seed=0, learning_rate=0.01,\n"
        "            num_steps=10, batch_size=8, num_train=64, num_test=64) for depth in (1, 2)]\n"
    )
    said = run(root, "-m", "widththeory", "plan", "--scale", "smoke", "--root", str(root)).stdout
    assert said.startswith("claim: 0 of 2 cells done, 2 missing: ")
    assert not (root / "results").exists()
