"""The folder for what one user of this machine keeps between runs: programs, snapshots, data."""

import os
from pathlib import Path


def user_cache() -> Path:
    """widththeory in the user's cache folder, $XDG_CACHE_HOME or ~/.cache; of a user without a home that of the root.

    That is where containers have such a user at home. It can seldom be written, of which is warned.
    """
    try:
        home = Path.home()
    except RuntimeError:
        home = Path("/")
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "widththeory"
