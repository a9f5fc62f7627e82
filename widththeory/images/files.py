"""Where data sets lie on this machine, and what may be read from there: only bytes whose SHA-256 is known."""

import hashlib
import os
from pathlib import Path

from widththeory.replacement import replace_bytes
from widththeory.user_folder import user_cache


class DataError(ValueError):
    """A data set that is not there or cannot be used, said in one sentence."""


def data_folder() -> Path:
    """$WIDTHTHEORY_DATA, else `data` in `user_folder.user_cache()`.

    Raises DataError: ~name of a user who is not there.
    """
    if own := os.environ.get("WIDTHTHEORY_DATA"):
        try:
            return Path(own).expanduser()
        except RuntimeError as error:
            raise DataError(f"WIDTHTHEORY_DATA must be a folder, got {own!r}: {error}") from None
    return user_cache() / "data"


def read(path: Path) -> bytes:
    """All bytes of a file. Raises DataError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def read_checked(path: Path, sha256: str) -> bytes:
    """All bytes of a file. Raises DataError if it cannot be read, or has another SHA-256."""
    content = read(path)
    check(content, sha256, str(path))
    return content


def check(content: bytes, sha256: str, name: str) -> None:
    """Raise DataError unless `content` has this SHA-256."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(
            f"{name} is damaged or another version: its SHA-256 is {found[:12]}..., not {sha256[:12]}...; "
            "delete it and fetch it again"
        )


def place(path: Path, content: bytes) -> None:
    """Write a file all at once: whoever reads finds all of it or nothing. Raises DataError if it cannot be written."""
    try:
        replace_bytes(path, content)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from error
