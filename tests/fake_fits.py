"""Settings and measuring functions without networks, importable by the worker processes of the tests."""

import math
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FakeFit:
    """Settings of one pretended fit."""

    target: str
    target_args: tuple[tuple[str, Any], ...]
    width: int
    seed: int
    learning_rate: float
    optimizer: str = "adam"
    millis: float = 0.0  # what a cell takes
    trouble: str = ""  # "raise", "die", "die once <file>", "memory", "odd"

    @property
    def program_key(self) -> str:
        return f"{self.target} {self.width}"

    @property
    def cost(self) -> float:
        return float(self.width)


@dataclass(frozen=True)
class FakeMeasurement:
    metrics: dict[str, float]
    weights: bytes | None = None


class OddError(Exception):
    """An exception that cannot be unpickled."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"odd {one} {two}")


def fake_measure(settings: Sequence[FakeFit], chunk_size: int) -> list[FakeMeasurement]:
    """Numbers by formula, which depend on the chunk as float32 results do: on its size and a cell's place in it."""
    assert len({one.program_key for one in settings}) == 1
    assert len(settings) <= chunk_size
    for one in settings:
        _trouble(one, chunk_size)
    time.sleep(sum(one.millis for one in settings) / 1000)
    return [
        FakeMeasurement(
            {
                "train_mse": math.sin(one.width + 0.1 * one.seed + one.learning_rate) ** 2 / 3,
                "packing": chunk_size + place / 1000,
                "seconds": time.process_time(),
            }
        )
        for place, one in enumerate(settings)
    ]


def _trouble(one: FakeFit, chunk_size: int) -> None:
    kind, _, path = one.trouble.partition("|")
    if kind == "raise":
        raise ZeroDivisionError(f"seed {one.seed} is poison")
    if kind == "odd":
        raise OddError(1, 2)
    if kind == "memory" and chunk_size > 2:
        raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
    if kind == "die once":
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
    if kind.startswith("die"):
        os.kill(os.getpid(), signal.SIGKILL)


def grid(widths: Sequence[int] = (3, 5, 8), seeds: int = 4, rates: Sequence[float] = (1e-3, 0.1), **more: Any) -> list:
    """A grid of `FakeFit`s, two programs a width."""
    return [
        FakeFit(target, (("k", 3), ("seed", seed)), width, seed, rate, **more)
        for target in ("lu.Wide", "lu.Other")
        for width in widths
        for seed in range(seeds)
        for rate in rates
    ]
