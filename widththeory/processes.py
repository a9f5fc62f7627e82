"""Is the process that wrote this still there? And how many may this machine run?"""

import importlib.util
import os
import platform
from pathlib import Path

_ACCELERATOR_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin", "jax_rocm60_plugin", "jax_rocm7_plugin", "libtpu")


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_jobs() -> int:
    """Worker processes to start: one a core, but a single one where they would share an accelerator."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    accelerated = any(importlib.util.find_spec(plugin) for plugin in _ACCELERATOR_PLUGINS)
    return 1 if accelerated and not platforms.startswith("cpu") else usable_cores()


def host() -> str:
    """Name of the place where process numbers mean the same: the machine, and on Linux the container."""
    try:
        return f"{platform.node()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()


def started(pid: int) -> str:
    """When a process started, as text that tells it from a later one of the same number; empty if unknown."""
    try:
        return _stat(pid)[19]
    except (OSError, IndexError):
        return ""


def is_alive(pid: int, began: str = "") -> bool:
    """Whether a process of this machine runs; `began` is what `started` said of it. In doubt, yes."""
    if os.name != "posix":  # there, signal 0 is not a question
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return not began or (started(pid) == began and not _is_zombie(pid))


def _is_zombie(pid: int) -> bool:
    try:
        return _stat(pid)[0] == "Z"
    except (OSError, IndexError):
        return False


def _stat(pid: int) -> list[str]:
    # The fields after the process's name, which may itself hold blanks and parentheses.
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
