"""Chunks as Ray tasks: on this machine, or on a cluster that is there.

    python experiments/sawtooth.py --engine ray --jobs 8

starts a Ray of eight cores that only this machine can reach. For a cluster that `ray start` or `ray up` has made, give
`--scheduler auto` on its head, or `--scheduler ray://10.0.0.1:10001` from elsewhere; `--jobs` then says how many chunks
run at a time. A task takes one core, and one GPU where `--slurm.gpus` is 1 or more. No usage statistics are sent.
"""

import os
import re
import socket
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from widththeory.engines import GPU_MEMORY, Options, Remote, worker_environment

LIBRARY = "ray"

_CONNECT_SECONDS = 10.0
_CLIENT_PORT = 10001  # of `ray start --head` for ray:// addresses


def start(options: Options) -> Executor:
    """Workers of this machine, or those of the cluster at `options.scheduler`.

    Raises:
        ValueError: a cluster that does not answer, or a Ray of this process that is already in use.
    """
    if options.scheduler is not None:
        _check_answers(options.scheduler)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    import ray

    if ray.is_initialized():
        raise ValueError("engine ray must start Ray by itself, but this process has one already")
    environment = {"env_vars": worker_environment()}
    more: dict[str, Any] = {"include_dashboard": False, "num_cpus": options.workers, "_node_ip_address": "127.0.0.1"}
    if options.scheduler is not None:
        more = {"address": options.scheduler}
    try:
        ray.init(runtime_env=environment, log_to_driver=False, configure_logging=False, **more)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ValueError(f"no Ray cluster answers at {options.scheduler}: {error}") from error
    gpus = 1 if options.slurm.gpus else 0

    call = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(_call)

    def send(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        return call.remote(fn, args, kwargs).future()

    workers = options.workers if options.scheduler is None or options.jobs else int(ray.cluster_resources()["CPU"])
    return Remote(send, ray.shutdown, workers, GPU_MEMORY if gpus else None)


def _check_answers(address: str) -> None:
    """Refuse an address where nobody listens: Ray itself would wait there for many minutes."""
    if address == "auto":  # Ray knows where the cluster of this machine listens
        return
    found = re.fullmatch(r"(ray://)?(\[[^\]]+\]|[^\s:/\[\]]+)(?::(\d{1,5}))?", address)
    if found is None or not (found[1] or found[3]) or int(found[3] or 1) not in range(1, 65536):
        raise ValueError(f"scheduler of engine ray must be auto, host:port or ray://host:port, got {address!r}")
    try:
        socket.create_connection((found[2].strip("[]"), int(found[3] or _CLIENT_PORT)), _CONNECT_SECONDS).close()
    except OSError as error:
        raise ValueError(f"no Ray cluster answers at {address}: {error.strerror or error}") from error


def _call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return fn(*args, **kwargs)
