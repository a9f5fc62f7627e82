"""How far a run is and how long it will take, said on a terminal, in plain lines or as JSON."""

import json
import sys
import time
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

from widththeory.driver import Written

Style = Literal["auto", "rich", "plain", "json", "none"]

Stream = Any  # a text file, or what behaves like one

_LINE_SECONDS = 10.0


class Estimate:
    """Seconds that chunks will take, from their cost and from those that have run: `start + rate * cost` a chunk.

    The first chunk of a program compiles it. It counts only towards the compile time, which is added for every program
    still to come; until another chunk has run, it stands for all, which errs to the long side. Narrow networks have a
    lower rate than wide ones, which run first; the constant makes up for that as soon as two costs have been seen.
    """

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._warm: list[tuple[float, float]] = []
        self._cold: list[tuple[float, float]] = []

    def observe(self, program: str, cost: float, seconds: float) -> None:
        """A chunk that has run."""
        (self._warm if program in self._seen else self._cold).append((float(cost), float(seconds)))
        self._seen.add(program)

    def know(self, program: str, cost: float, seconds: float) -> None:
        """A chunk of an earlier run, compile time included in the mean."""
        self._warm.append((float(cost), float(seconds)))

    def seconds(self, chunks: int, cost: float, new_programs: int = 0) -> float | None:
        """Of some chunks of a total cost, one after the other; None if nothing has run yet."""
        model = _line(self._warm or self._cold)
        if model is None:
            return None
        start, rate = model
        compiling = 0.0
        if self._warm and self._cold:
            compiling = sum(max(0.0, s - start - rate * c) for c, s in self._cold) / len(self._cold)
        return start * chunks + rate * cost + compiling * new_programs


def _line(points: list[tuple[float, float]]) -> tuple[float, float] | None:
    """start, rate >= 0 with the least relative error of `start + rate * cost`."""
    points = [(cost, seconds) for cost, seconds in points if seconds > 0]
    if not points:
        return None
    weights = [seconds**-2 for _, seconds in points]
    total = sum(weights)
    mean_cost = sum(w * c for w, (c, _) in zip(weights, points, strict=True)) / total
    mean_seconds = sum(w * s for w, (_, s) in zip(weights, points, strict=True)) / total
    spread = sum(w * (c - mean_cost) ** 2 for w, (c, _) in zip(weights, points, strict=True))
    ratio = sum(s for _, s in points) / max(sum(c for c, _ in points), 1e-300)
    if spread <= 1e-12 * total * mean_cost**2:
        return 0.0, ratio
    rate = sum(w * (c - mean_cost) * s for w, (c, s) in zip(weights, points, strict=True)) / spread
    start = mean_seconds - rate * mean_cost
    if rate < 0:
        return sum(s for _, s in points) / len(points), 0.0
    return (start, rate) if start >= 0 else (0.0, ratio)


@dataclass
class State:
    """Where a run is: cells settled of `total`, of those `failed`, and seconds still to go where known."""

    experiment: str
    total: int
    settled: int
    failed: int
    measured: int = 0
    elapsed: float = 0.0
    remaining: float | None = None

    def text(self) -> str:
        """One line."""
        failed = f", {self.failed} failed" if self.failed else ""
        rate = f", {_number(self.measured / self.elapsed)} cells/s" if self.measured and self.elapsed > 0 else ""
        left = f", {duration(self.remaining)} left" if self.remaining is not None and self.settled < self.total else ""
        return f"{self.experiment}: {self.settled} of {self.total} cells{failed}{rate}{left}"

    def ended(self) -> "State":
        """The same once the run is over: what is left then is left for another run, and takes no time of this one."""
        return replace(self, remaining=None) if self.settled < self.total else self


@runtime_checkable
class Reporter(Protocol):
    """What a run tells while it runs."""

    def start(self, state: State) -> None:
        """Before the first chunk."""
        ...

    def advance(self, state: State, written: Written) -> None:
        """After each chunk."""
        ...

    def note(self, text: str) -> None:
        """A sentence that the user should see."""
        ...

    def finish(self, state: State) -> None:
        """After the last chunk, or when the run was stopped."""
        ...


def reporter(style: str | Reporter, stream: Stream = None) -> Reporter:
    """The reporter of a name; "auto" is a moving bar on a terminal and plain lines elsewhere."""
    if not isinstance(style, str):
        return style
    out = sys.stderr if stream is None else stream
    if style == "auto":
        style = "rich" if out is not None and out.isatty() else "plain"  # a process may have been given no stderr
    if style == "rich":
        return Bar(out)
    if style == "json":
        return JsonLines(sys.stdout if stream is None else stream)
    if style in ("plain", "none"):
        return Lines(out if style == "plain" else None)
    raise ValueError(f"progress must be auto, rich, plain, json or none, got {style!r}")


class Lines:
    """The first and the last line, and at most one every ten seconds between."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._last = -1e300

    def start(self, state: State) -> None:
        """Before the first chunk."""
        self._say(state.text())

    def advance(self, state: State, written: Written) -> None:
        """After each chunk."""
        if time.monotonic() - self._last >= _LINE_SECONDS and state.settled < state.total:
            self._say(state.text())

    def note(self, text: str) -> None:
        """A sentence that the user should see."""
        self._say(text)

    def finish(self, state: State) -> None:
        """After the last chunk."""
        self._say(f"{state.ended().text()}; {duration(state.elapsed)}")

    def _say(self, text: str) -> None:
        self._last = time.monotonic()
        if self.stream is not None:
            print(text, file=self.stream, flush=True)


class JsonLines:
    """One JSON object a line: `start`, one `chunk` each, `note`, `finish`."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def start(self, state: State) -> None:
        """Before the first chunk."""
        self._say("start", vars(state))

    def advance(self, state: State, written: Written) -> None:
        """After each chunk."""
        chunk = {
            "program": written.chunk.program,
            "cells": len(written.chunk.keys),
            "chunk_failed": written.failed,
            "seconds": round(written.seconds, 6),
            "elsewhere": written.elsewhere,
        }
        self._say("chunk", vars(state) | chunk)

    def note(self, text: str) -> None:
        """A sentence that the user should see."""
        self._say("note", {"text": text})

    def finish(self, state: State) -> None:
        """After the last chunk."""
        self._say("finish", vars(state.ended()))

    def _say(self, event: str, fields: dict[str, Any]) -> None:
        print(json.dumps({"event": event} | fields), file=self.stream, flush=True)


class Bar:
    """A bar that moves on a terminal."""

    def __init__(self, stream: Stream) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(BarColumn(), TextColumn("{task.description}"), console=Console(file=stream))
        self._task = self._progress.add_task("", total=None)

    def start(self, state: State) -> None:
        """Before the first chunk."""
        self._show(state)
        self._progress.start()

    def advance(self, state: State, written: Written) -> None:
        """After each chunk."""
        self._show(state)

    def note(self, text: str) -> None:
        """A sentence that the user should see."""
        self._progress.console.print(text, markup=False, highlight=False)

    def finish(self, state: State) -> None:
        """After the last chunk."""
        self._show(state.ended())
        self._progress.stop()

    def _show(self, state: State) -> None:
        from rich.markup import escape

        self._progress.update(self._task, total=state.total, completed=state.settled, description=escape(state.text()))


def duration(seconds: float) -> str:
    """Seconds as a person would say them."""
    if seconds < 1:
        return "less than 1 s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
