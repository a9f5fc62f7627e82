"""Compiled programs that outlive their process: the folder JAX keeps them in, and what a killed process left there.

JAX writes an entry in place. A process killed meanwhile leaves a part, which JAX never replaces: every later process
would fail to read it, say so in a warning, and compile anew.
"""

import importlib
import os
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax

from widththeory.user_folder import user_cache

_LOOKED_AT = ".looked-at"  # its date: entries older than it have been looked at
_ZSTD = b"\x28\xb5\x2f\xfd"


def keep_compiled_programs() -> None:
    """Have JAX keep programs in the user's cache folder, unless the user has said where.

    That is `JAX_COMPILATION_CACHE_DIR` or JAX's own setting; such a folder is the user's to look after.
    """
    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    from jax.experimental.compilation_cache import compilation_cache

    cache = user_cache() / "jax"
    _remove_torn_once(cache)
    jax.config.update("jax_compilation_cache_dir", str(cache))
    compilation_cache.reset_cache()  # an earlier compilation may have settled that there is none


def remove_torn(folder: Path) -> int:
    """Remove entries that are not whole, of those that came since the last look; how many there were.

    One that another process is still writing may be among them: it will be compiled once more.

    Raises:
        OSError: a folder that cannot be read or written.
    """
    looked_at = folder / _LOOKED_AT
    since = looked_at.stat().st_mtime_ns if looked_at.exists() else 0
    looked_at.touch()  # before the look: what comes meanwhile is seen now or the next time
    new = [entry for entry in os.scandir(folder) if entry.name.endswith("-cache") and entry.stat().st_mtime_ns >= since]
    torn = [Path(entry.path) for entry in new if not _is_whole(Path(entry.path).read_bytes())]
    for path in torn:
        path.unlink(missing_ok=True)
    return len(torn)


def _is_whole(entry: bytes) -> bool:
    """Whether a compressed entry goes on to its end; true of one that nothing here can unpack."""
    unpacking: Any = zlib.decompressobj()
    if entry.startswith(_ZSTD):
        try:
            unpacking = importlib.import_module(
                "compression.zstd"
            ).ZstdDecompressor()  # as JAX does from Python 3.14 on
        except ImportError:
            return True
    try:
        unpacking.decompress(entry)
    except Exception:  # each codec has its own
        return False
    return bool(unpacking.eof)


@lru_cache(maxsize=1)
def _remove_torn_once(folder: Path) -> None:
    try:
        remove_torn(folder)
    except OSError:  # not there yet, or not ours to tidy: JAX copes
        return
