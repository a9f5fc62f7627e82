"""From a frozen dataclass and a function to a command: flags, folders, and what a person sees when something is wrong.

An experiment, `experiments/<claim>.py`, has a frozen dataclass `Config` and `settings(config)`, `main(config)`; it ends

    if __name__ == "__main__":
        command.run(main)

Its docstring is the text of `--help`, the fields of `Config` are the flags; `command.results_file` says where to write.
A figure, `paper_figures/<claim>.py`, has `figure(table) -> Figure` and `caption(table) -> str`; it ends

    if __name__ == "__main__":
        command.draw(figure, caption, __file__)

which gives it `--scale`, `--table` and `--out`. Nothing here imports jax.

Exit status: 0 done; 1 done, and what came out is wrong (`OutcomeError`); 2 wrong input or a file that cannot be used;
130 interrupted, 143 terminated, 129 left by its terminal. Each is said in one sentence on stderr. Any other exception
is a defect and keeps its traceback.
"""

import contextlib
import dis
import inspect
import io
import itertools
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_type_hints

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from widththeory.verdicts import Verdict

Scale = Literal["smoke", "laptop", "paper"]

ConfigType = TypeVar("ConfigType")

_PACKAGE = Path(__file__).resolve().parent
_SCRIPTS = ("experiments", "paper_figures")  # folders of those that belong to the package beside them
_TOGETHER_SECONDS = 3.0  # in which signals are taken for one


class OutcomeError(Exception):
    """What was asked for was done, and came out wrong: said in one sentence, with exit status 1."""


def results_file(script: str | Path, scale: Scale, out: Path | None = None, *, suffix: str = ".csv") -> Path:
    """Where the experiment `script` keeps its rows: results/<scale>/<claim><suffix> beside the folder of the script.

    The folder is made if it is missing; `out` replaces it.

    Raises:
        ValueError: `scale` is unknown.
        OSError: the folder cannot be made or written to.
    """
    return _folder("results", script, scale, out) / f"{Path(script).stem}{suffix}"


def figures_folder(script: str | Path, scale: Scale, out: Path | None = None) -> Path:
    """Where the figure `script` puts its pictures: figures/<scale>, or `out`. Raises as `results_file` does."""
    return _folder("figures", script, scale, out)


def _folder(kind: str, script: str | Path, scale: Scale, out: Path | None) -> Path:
    if scale not in get_args(Scale):
        raise ValueError(f"scale must be one of {', '.join(get_args(Scale))}, got {scale!r}")
    folder = Path(out) if out is not None else Path(script).resolve().parent.parent / kind / scale
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # the one check that also holds for root and read-only mounts
            pass
    except OSError as reason:
        raise OSError(f"cannot write to the folder {shown(folder)}: {reason.strerror}") from None
    return folder


def shown(path: Path) -> str:
    """The path as a person standing in the working folder would write it."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def parse(config: type[ConfigType], arguments: Sequence[str] | None = None, *, description: str = "") -> ConfigType:
    """A `config` filled from flags (default: those of this process).

    Raises:
        ValueError: wrong flags, in one sentence; also what `config` itself refuses.
        SystemExit: after printing the help text that was asked for.
    """
    import tyro  # here, so that scripts that only import a Config from each other need no flags

    given = sys.argv[1:] if arguments is None else arguments
    _check_paths(given, config)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(config, prog=_program(), args=arguments, description=_sections(description))
    except SystemExit as stop:
        if stop.code in (None, 0):
            raise
        reason = _first_paragraph(said.getvalue())
        raise ValueError(f"{_plainly(reason, given, config)} (see --help)") from None


def _program() -> str:
    """How this process was called: the path of a script, or `python -m` and the package."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name.endswith(".__main__") and Path(sys.argv[0]).name == "__main__.py":
        return f"python -m {spec.name.removesuffix('.__main__')}"
    return sys.argv[0]


def _check_paths(arguments: Sequence[str], config: type) -> None:
    """Refuse an empty path, which would be taken for the working folder: mostly a variable that is not set."""
    for word, following in itertools.pairwise([*arguments, "-"]):
        name, equals, value = word.partition("=")
        if word.startswith("--") and not (value if equals else following):
            flag = name.replace("_", "-")
            with contextlib.suppress(KeyError):  # an unknown flag is told by tyro
                if re.search(r"\bPath\b", str(_hint(config, flag))):
                    raise ValueError(f"{flag} must be a path, got '' (. is the working folder)")


def _sections(description: str) -> str:
    """Each section of a docstring as a paragraph of its own, each command as a line: tyro would join them."""
    whole = re.sub(r"\n[ \t]+(?=\S)", " ", description)
    return re.sub(r"\n(?=python )", "\n  ", re.sub(r"\n(?=\w+: )", "\n\n", whole))


def _first_paragraph(box: str) -> str:
    """The message in the frame that tyro draws around it and its hints; of dashes where there is no Unicode."""
    parts: list[list[str]] = [[]]
    for line in box.splitlines():
        text = line.strip("│ ")
        if text.startswith(("╭", "╰")) or re.fullmatch("[─-]{3,}", text):
            parts.append([])
        elif text:
            parts[-1].append(text)
    words = next(filter(None, parts[1:]), parts[0])  # before the frame there is at most its title
    return " ".join(words).rstrip(".")


def _plainly(reason: str, arguments: Sequence[str], config: type) -> str:
    """Tyro's reason, with the flag, what is allowed and what was given where it tells of a parser's exception."""
    reason = re.sub(r"^Error parsing [A-Z]\w*: ", "", reason)  # what a config itself refuses is a sentence already
    found = re.match(r"Error parsing (--[\w.-]+): ", reason)
    if found is None:
        return reason
    flag, given = found[1], list[str]()
    for index, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name.replace("_", "-") == flag:
            rest = itertools.takewhile(lambda word: not word.startswith("--"), arguments[index + 1 :])
            given = [value] if equals else list(rest)
    return f"{flag} must be {_kind(config, flag)}, got {' '.join(given)!r}"


def _kind(config: type, flag: str) -> str:
    """What the field behind the flag takes, in words."""
    hint = _hint(config, flag)
    several = "tuple" in str(hint)
    for word, name in (("float", "number"), ("int", "integer")):
        if re.search(rf"\b{word}\b", str(hint)):
            return f"{name}s" if several else f"a{'n' * (name == 'integer')} {name}"
    return "of the kind that --help tells"


def _hint(config: type, flag: str) -> Any:
    """The annotation of the field behind the flag; KeyError where there is none."""
    hint: Any = config
    for name in flag.removeprefix("--").replace("-", "_").split("."):
        hint = get_type_hints(hint)[name]
    return hint


def run(main: Callable[[Any], None], arguments: Sequence[str] | None = None) -> None:
    """Run `main(config: Config)` as a command; its one argument's annotation is the dataclass that holds the flags."""
    (config,) = (hint for name, hint in get_type_hints(main).items() if name != "return")
    module = sys.modules[main.__module__]
    text = module.__doc__ or ""
    with plain_errors(), _stopped_as_by_ctrl_c():
        _check_package(getattr(module, "__file__", None))
        main(parse(config, arguments, description=text))


def _check_package(script: str | Path | None) -> None:
    """Refuse to run a script of a copied folder by the package of the folder that it was copied from."""
    if script is None:
        return
    root = Path(script).resolve().parent.parent
    beside = root / _PACKAGE.name
    if Path(script).resolve().parent.name not in _SCRIPTS or not (beside / "command.py").is_file():
        return
    if not beside.samefile(_PACKAGE):
        raise ValueError(
            f"this script stands beside the package {beside}, but {_PACKAGE} is imported: its installation is of "
            f"another folder; remove {root / '.venv'} and run make figures, or set PYTHONPATH={root}"
        )


@dataclass(frozen=True)
class Drawing:
    """Flags of every figure."""

    scale: Scale = "laptop"
    """Which scale's table to draw."""
    table: Path | None = None
    """The table, instead of results/<scale>/<claim>.csv."""
    out: Path | None = None
    """The folder to write to, instead of figures/<scale>."""


def draw(
    figure: "Callable[..., Figure]",
    caption: Callable[..., str],
    script: str | Path,
    arguments: Sequence[str] | None = None,
    *,
    drawn: "Callable[..., pd.DataFrame] | None" = None,
    verdict: "Callable[..., Verdict] | None" = None,
) -> None:
    """Draw the table of the claim that `script` is named after, as a command.

    Args:
        figure: the picture, from the table; `table.attrs["scale"]` tells the scale. Further arguments are more tables
            of the experiment: `figure(table, floor)` is given results/<scale>/<claim>.floor.csv too.
        caption: the text under it, from the same tables; a sentence naming the scale is added.
        script: `__file__` of the figure.
        arguments: the flags; default those of this process.
        drawn: the numbers shown, when they are not the rows of the table but come from the tables.
        verdict: what they show, from the same tables; written to <claim>.json for the gallery.
    """
    with plain_errors():
        _check_package(script)
        options = parse(Drawing, arguments, description=sys.modules[figure.__module__].__doc__ or "")
        claim = Path(script).stem
        source = options.table or Path(script).resolve().parent.parent / "results" / options.scale / f"{claim}.csv"
        read: dict[str, pd.DataFrame] = {}

        def given(function: Callable[..., Any]) -> Any:
            _, *parts = inspect.signature(function).parameters
            for part in parts:
                if part not in read:
                    read[part] = _table(source.with_suffix(f".{part}.csv"), claim, options.scale)
            return function(read[""], *(read[part] for part in parts))

        read[""] = _table(source, claim, options.scale)
        _check_some_finished(read[""], source, None if options.table else options.scale)
        folder = figures_folder(script, options.scale, options.out)

        from widththeory import plotting, verdicts

        with plotting.style():
            picture = given(figure)
            extent = f"{options.scale}{_missing(source, read[''])}"
            found = given(verdict) if verdict else None
            plotting.say_scale(picture, extent, found.state if found else "")
            text = f"{given(caption).strip()} Scale: {extent}."
            conclusion = verdicts.write(claim, options.scale, extent, text, found) if found else None
            plotting.save(picture, folder, claim, given(drawn) if drawn else read[""], text, conclusion)
        print(f"{claim}: {shown(folder / claim)}.pdf")


def declared_cells(path: Path) -> int:
    """Cells of the grid at its last run, from beside its table or ledger; 0 if unknown. See `experiment.fit_table`."""
    try:
        return int(path.with_suffix(".grid.csv").read_text(encoding="utf-8").split()[-1])
    except (OSError, ValueError, IndexError):
        return 0  # a table of the user's own has no grid


def _missing(source: Path, table: "pd.DataFrame") -> str:
    """Says how much of the declared grid is there, when it is not all."""
    declared = declared_cells(source)
    return f", {len(table)} of {declared} cells computed" if len(table) < declared else ""


def _table(path: Path, claim: str, scale: Scale) -> "pd.DataFrame":
    import pandas as pd

    if not path.is_file():
        raise ValueError(
            f"there is no table {shown(path)}: `python experiments/{claim}.py --scale {scale}` computes it, "
            f"and `make results SCALE={scale}` all tables"
        )
    try:
        table = pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as reason:
        raise ValueError(f"{shown(path)} is not a table of comma-separated values: {reason}") from None
    if table.empty:
        raise ValueError(f"the table {shown(path)} has no rows")
    table.attrs["scale"] = scale
    return table


def _check_some_finished(table: "pd.DataFrame", source: Path, scale: Scale | None) -> None:
    """Refuse a table of fits that has nothing to draw; `scale` if it is the experiment's own, with a ledger."""
    from widththeory.estimates import finished

    is_fits = "status" in table and table["status"].isin(("done", "failed")).all()  # not one of theorems, say
    if is_fits and finished(table).empty:
        failed = int((table["status"] == "failed").sum())
        told = (
            f"{failed} of the {len(table)} fits of {shown(source)} failed and {len(table) - failed} diverged, so that "
        )
        told += "there is nothing to draw"
        if failed and scale:
            told += f": `python -m widththeory status --scale {scale}` says why they failed, and the experiment's "
            told += "--retry-failed measures them again"
        raise ValueError(told)


@contextlib.contextmanager
def _stopped_as_by_ctrl_c() -> Iterator[None]:
    """Have what ends a process (`kill`, `timeout`, a terminal that is closed) stop it as Ctrl-C does: in order."""
    came: list[float] = []

    def stop(number: int, _: Any) -> None:
        came.append(time.monotonic())
        if len(came) == 1:
            raise KeyboardInterrupt(number)
        # Shell and kernel both tell that a terminal is closed, make and kill that they end. A later one ends at once.
        if came[-1] - came[0] >= _TOGETHER_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    numbers = [number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None))]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    numbers = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]  # `nohup` has its way
    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in numbers if not came else ():  # the process ends, and may be told again meanwhile
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Say in one sentence what the caller can mend, and end with the status above; leave defects their traceback.

    A `ValueError` or `RuntimeError` is the caller's matter when this package or the script raised it on purpose. One
    that NumPy or JAX raised on being called wrongly is a defect of ours.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        with contextlib.suppress(OSError):  # the terminal is gone
            print("interrupted; what is finished is kept, and the same command goes on from there", file=sys.stderr)
        raise SystemExit(128 + (stop.args[0] if stop.args else signal.SIGINT)) from None
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # else the interpreter complains once more at exit
        raise SystemExit(141) from None
    except OutcomeError as error:
        _say(str(error))
        raise SystemExit(1) from None
    except (ValueError, RuntimeError, OSError) as error:
        if not isinstance(error, OSError) and not _raised_on_purpose(error.__traceback__):
            raise
        text = str(error)
        if isinstance(error, OSError) and error.strerror:
            text = ": ".join(filter(None, (error.filename and shown(Path(error.filename)), error.strerror)))
        _say(text)
        raise SystemExit(2) from None


def _say(text: str) -> None:
    """One line on stderr, after the name of the command."""
    program = _program()
    name = program if program.startswith("python -m ") else Path(program).name
    print(f"{name}: {' '.join(text.split())}", file=sys.stderr)


def _raised_on_purpose(trace: TracebackType | None) -> bool:
    """Whether the innermost frame is this package's or a script's, and stands at a `raise` statement."""
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    here = Path(code.co_filename).resolve()
    ours = here.is_relative_to(_PACKAGE) or here.parent.name in _SCRIPTS
    return ours and dis.opname[code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"
