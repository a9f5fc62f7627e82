"""Files that are replaced whole: a reader sees the old one or the new one, never a part, whatever ends the writer."""

import contextlib
import glob
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from widththeory.processes import host, is_alive


@contextlib.contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """Where to write what takes the place of `path` at the end of the `with` block, and then outlives a power cut.

    After an exception, or where nothing lies there in the end, `path` stays as it is. What killed processes of
    this host left behind is removed.

    Raises:
        OSError: a folder that cannot be made or written, or a disk that is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another host has other processes of these numbers, and may be writing the file in a folder that is shared.
    here = f".{path.name}.{hashlib.sha256(host().encode()).hexdigest()[:8]}"
    for left in path.parent.glob(f"{glob.escape(here)}.*.part"):
        owner = left.name.split(".")[-2]
        if owner.isdigit() and not is_alive(int(owner)):
            left.unlink(missing_ok=True)
    part = path.with_name(f"{here}.{secrets.token_hex(4)}.{os.getpid()}.part")
    try:
        yield part
        if part.exists():
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(part, path)
            _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where folders can be opened at all."""
    with contextlib.suppress(OSError, AttributeError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace_bytes(path: Path, content: bytes) -> None:
    """Put `content` in the place of a file. Raises OSError as `replacement` does."""
    with replacement(path) as part:
        part.write_bytes(content)
