"""By what was a row made? Versions, device and place, kept beside the row and outside its identity."""

import os
import platform
import subprocess
import sys
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

# True of a run, not of its result: in the ledger, never in an exported table, so that equal tables are equal files.
VOLATILE = frozenset({"commit", "host", "python", "num_devices"})

_PACKAGES = ("widththeory", "jax", "flax", "optax", "numpy", "scipy")


class NoDeviceError(RuntimeError):
    """JAX has no device in this process: whatever it was to measure is not at fault."""


def here(*, device: bool = True) -> dict[str, Any]:
    """Provenance of anything measured in this process: package versions, commit, host, and the device if JAX is loaded.

    Asking for the device starts it: a driver, which measures nothing itself, must not take memory of a GPU.

    Raises:
        NoDeviceError: JAX is loaded, and finds no device.
    """
    return {**_versions(), **(_device() if device else {})}


@lru_cache(maxsize=1)
def _versions() -> dict[str, Any]:
    found = {name: _version(name) for name in _PACKAGES}
    found |= {"python": platform.python_version(), "host": platform.node(), "commit": _commit()}
    return {name: value for name, value in found.items() if value is not None}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Commit of the checkout this package is imported from; a `+` says that its sources have changed since."""
    package = Path(__file__).parent
    try:
        head = _git("rev-parse", "--short=12", "HEAD", "--", str(package)).split()[0]
        tracked = _git("ls-files", "--", str(package))
        if not tracked:  # an installed copy inside somebody else's repository
            return None
        return head + ("+" if _git("status", "--porcelain", "--", str(package)) else "")
    except (OSError, subprocess.SubprocessError, IndexError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _device() -> dict[str, Any]:
    # Asked only where somebody has already imported JAX: a driver that merely counts rows must not load it.
    jax = sys.modules.get("jax")
    if jax is None or not hasattr(jax, "devices"):
        return {}
    try:
        devices = jax.devices()
    except Exception as error:  # an AssertionError where a platform's plugin is not installed
        said = str(error) or f"JAX_PLATFORMS is {os.environ.get('JAX_PLATFORMS')!r}"
        raise NoDeviceError(f"JAX finds no device on {platform.node()}: {said}") from error
    kind, many = str(devices[0].device_kind), len(devices)
    # Members are spread over the devices, and the last digits of float32 depend on how many a device has.
    return {"device": kind if many == 1 else f"{many} x {kind}", "num_devices": many}
