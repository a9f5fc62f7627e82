"""Long fits survive a kill: what a fit needs to go on is written once a minute, by orbax, and removed when it is done.

A snapshot is arrays only. Nothing is unpickled, and a folder that holds anything else is left alone, with a warning.
"""

import contextlib
import hashlib
import os
import shutil
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from widththeory.user_folder import user_cache

Arrays = dict[str, np.ndarray]


def snapshot_folder() -> Path:
    """$WIDTHTHEORY_SNAPSHOTS, else `snapshots` in `user_folder.user_cache()`."""
    if own := os.environ.get("WIDTHTHEORY_SNAPSHOTS"):
        try:
            return Path(own).expanduser()
        except RuntimeError:
            _ignore("WIDTHTHEORY_SNAPSHOTS", own, "a folder")
    return user_cache() / "snapshots"


def _interval() -> float:
    own = os.environ.get("WIDTHTHEORY_SNAPSHOT_SECONDS", "60")
    with contextlib.suppress(ValueError):
        if (seconds := float(own)) >= 0:
            return seconds
    _ignore("WIDTHTHEORY_SNAPSHOT_SECONDS", own, "a number of seconds, at least 0")
    return 60.0


def _ignore(name: str, value: str, wanted: str) -> None:
    # Snapshots are no part of a fit: by an error every cell of a grid would be marked failed.
    warnings.warn(f"{name} must be {wanted}, got {value!r}: the default is taken", RuntimeWarning, stacklevel=4)


@dataclass
class Snapshots:
    """The snapshots of one fit, each in a folder of its own, named by its step; the newest is kept.

    Args:
        identity: text that is equal for fits which go on alike, and only for those.
        interval: seconds of running between snapshots, $WIDTHTHEORY_SNAPSHOT_SECONDS or 60; shorter fits write none.
        alone: number of this process where several run as one, so that it waits for no other to write or read.
    """

    identity: str
    interval: float = field(default_factory=_interval)
    alone: int | None = None

    def __post_init__(self) -> None:
        self.folder = snapshot_folder() / hashlib.sha256(self.identity.encode()).hexdigest()[:32]
        self._last = time.monotonic()

    def due(self, ahead: float) -> bool:
        """Whether more than the interval would have passed without a snapshot in `ahead` seconds from now."""
        return time.monotonic() + ahead - self._last >= self.interval

    def save(self, step: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Write a snapshot and remove older ones. A full disk, say, is only warned of: the fit itself goes on."""
        try:
            with self._orbax() as writer:
                writer.save(self.folder.absolute() / str(step), dict(arrays), force=True)
            for other in self._steps():
                if other != step:
                    shutil.rmtree(self.folder / str(other), ignore_errors=True)
        except (OSError, ValueError) as error:
            warnings.warn(f"no snapshot in {self.folder}: {_sentence(error)}", RuntimeWarning, stacklevel=2)
        self._last = time.monotonic()

    def load(self, like: Mapping[str, np.ndarray]) -> tuple[int, Arrays] | None:
        """The newest snapshot, if its arrays have the names, shapes and dtypes of `like`, and its step; else None."""
        steps = self._steps()
        if not steps:
            return None
        path = self.folder.absolute() / str(max(steps))
        try:
            with self._orbax() as reader:
                found = reader.restore(path)  # as it is: to what it is told to expect, orbax would round it
            kinds = [{name: (a.shape, a.dtype) for name, a in arrays.items()} for arrays in (found, like)]
            if kinds[0] != kinds[1]:
                raise ValueError("its arrays are those of another fit")
        except Exception as error:  # orbax and tensorstore raise almost anything on a folder that is not theirs
            warnings.warn(
                f"{path} is not a snapshot of this fit, which starts anew: {_sentence(error)}",
                RuntimeWarning,
                stacklevel=2,
            )
            return None
        return max(steps), {name: np.array(array) for name, array in found.items()}

    def remove(self) -> None:
        """Remove all snapshots of the fit."""
        for step in self._steps():
            shutil.rmtree(self.folder / str(step), ignore_errors=True)
        with contextlib.suppress(OSError):  # something else lies there
            self.folder.rmdir()

    def _orbax(self) -> Any:
        """What writes and reads."""
        import orbax.checkpoint as ocp  # type: ignore[import-untyped]

        # Where a folder cannot be made, threads would wait for it for long, and the end of the process for them.
        options: dict[str, Any] = {"async_options": ocp.AsyncOptions(create_directories_asynchronously=False)}
        if self.alone is not None:
            options["multiprocessing_options"] = ocp.options.MultiprocessingOptions(
                primary_host=self.alone, active_processes={self.alone}
            )
        return ocp.StandardCheckpointer(**options)

    def _steps(self) -> list[int]:
        """A snapshot gets its name when it is whole, so what orbax was writing when it was killed is not among them."""
        with contextlib.suppress(OSError):
            return [int(path.name) for path in self.folder.iterdir() if path.name.isdecimal() and path.is_dir()]
        return []


def _sentence(error: Exception) -> str:
    """Its first line, without the specification that tensorstore adds to it."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].partition(" [")[0][:200]
