"""Is the process that wrote this still there? And how many may this machine run?"""

import importlib.util
import os
import platform
import subprocess
from pathlib import Path

_ACCELERATOR_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin", "jax_rocm60_plugin", "jax_rocm7_plugin", "libtpu")
_GUESSED_MEMORY = 16e9
_JAX_SHARE = 0.75  # of a GPU's memory, as JAX takes by itself


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_jobs(memory: float | None) -> int:
    """Worker processes to start: one a core, but a single one where they would share an accelerator's `memory`."""
    return usable_cores() if memory is None else 1


def side_by_side() -> tuple[int, int]:
    """How many experiments to run at a time, and with how many worker processes each, so that no core is idle.

    Two with half of the cores: what one does by itself (imports, theory, its last fits) is beside the fits of the
    other. One where there is one core, and where two would share an accelerator (there figures wait for fits too).
    """
    jobs = default_jobs(accelerator_memory())
    return (1, jobs) if jobs == 1 else (2, -(-jobs // 2))


def accelerator_memory() -> float | None:
    """Bytes that JAX takes of the smallest accelerator it will find here, told without starting it; None for none.

    Of NVIDIA's, JAX's share of the memory that the device has, not of what is free now: what is packed by it is packed
    so again. A guess for others, and where the tool does not say.
    """
    plugins = _plugins()
    if not plugins or os.environ.get("JAX_PLATFORMS", "").startswith("cpu"):
        return None
    query = ["nvidia-smi", "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        # The plugin for NVIDIA's without a driver finds no device, and JAX runs on the processor.
        return None if all("cuda" in plugin for plugin in plugins) else _GUESSED_MEMORY
    if "MIG-" in os.environ.get("CUDA_VISIBLE_DEVICES", ""):  # a part of a device, whose size is not among the answers
        return _GUESSED_MEMORY
    found = [[part.strip() for part in line.split(",")] for line in said.splitlines() if line.count(",") == 2]
    seen = [megabytes for index, uuid, megabytes in found if _is_visible(index, uuid)]
    if found and not seen:
        return None
    known = [float(megabytes) for megabytes in seen if megabytes.replace(".", "", 1).isdigit()]
    return _JAX_SHARE * min(known) * 2**20 if known else _GUESSED_MEMORY


def has_gpu() -> bool:
    """Whether that accelerator is a GPU."""
    return _plugins() != ["libtpu"] and accelerator_memory() is not None


def _plugins() -> list[str]:
    return [plugin for plugin in _ACCELERATOR_PLUGINS if importlib.util.find_spec(plugin)]


def _is_visible(index: str, uuid: str) -> bool:
    """Whether CUDA_VISIBLE_DEVICES leaves a device to this process."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return True
    names = [name.strip() for name in named.split(",")]
    return index in names or any(name.startswith("GPU-") and uuid.startswith(name) for name in names)


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


if __name__ == "__main__":
    print(*side_by_side())
