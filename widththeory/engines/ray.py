"""Chunks on Ray: on this machine, or on a cluster that is there.

    python experiments/sawtooth.py --engine ray --jobs 8

starts a Ray of eight cores that only this machine can reach. For a cluster that `ray start` or `ray up` has made, give
`--scheduler auto` on its head, or `--scheduler ray://10.0.0.1:10001` from elsewhere; `--jobs` then says how many chunks
run at a time. A chunk is a task of one core, or where `--slurm.gpus` is 1 or more a call of an actor with one core and
one GPU: Ray ends the process of a task with a GPU, and JAX would start and compile anew for every chunk. No usage
statistics are sent.
"""

import os
import queue
import re
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any

from widththeory.engines import GPU_MEMORY, LostChunkError, Options, Remote, worker_environment

LIBRARY = "ray"

_CONNECT_SECONDS = 10.0
_CLOSE_SECONDS = 10.0
_CLIENT_PORT = 10001  # of `ray start --head` for ray:// addresses


def start(options: Options) -> Executor:
    """Workers of this machine, or those of the cluster at `options.scheduler`.

    Raises:
        ValueError: a cluster that does not answer or has no GPU, or a Ray of this process that is already in use.
    """
    if options.scheduler is not None:
        _check_answers(options.scheduler)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    import ray

    if ray.is_initialized():
        raise ValueError("engine ray must start Ray by itself, but this process has one already")
    handler = signal.getsignal(signal.SIGTERM)
    environment = {"env_vars": worker_environment()}
    more: dict[str, Any] = {"include_dashboard": False, "num_cpus": options.workers, "_node_ip_address": "127.0.0.1"}
    if options.scheduler is not None:
        more = {"address": options.scheduler}
    try:
        ray.init(runtime_env=environment, log_to_driver=False, configure_logging=False, **more)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ValueError(f"no Ray cluster answers at {options.scheduler}: {error}") from error
    finally:
        if callable(handler) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray's own would end this process by status 1
    kinds = ("CPU", "GPU") if options.slurm.gpus else ("CPU",)
    there, kind = min((int(ray.cluster_resources().get(kind, 0)), kind) for kind in kinds)
    workers = options.workers if options.jobs else there
    if options.scheduler is None:
        workers = min(workers, there)
    if not workers:
        ray.shutdown()
        mend = "leave --slurm.gpus out, or " if kind == "GPU" else ""
        raise ValueError(f"the Ray cluster has no {kind}: {mend}give --jobs if it will have one")
    if options.slurm.gpus:
        actors = Actors(ray.remote(num_cpus=1, num_gpus=1)(Worker).remote, workers)
        return Remote(actors.send, actors.close, workers, GPU_MEMORY)
    call = ray.remote(num_cpus=1, max_retries=0)(_call)

    def send(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        return call.remote(fn, args, kwargs).future()

    return Remote(send, ray.shutdown, workers)


class Worker:
    """An actor: its process keeps a GPU, and on it what JAX has compiled."""

    def call(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call `fn`."""
        return fn(*args, **kwargs)


class Actors:
    """At most `places` actors, each made when a chunk would have to wait, and made anew when it is lost.

    A chunk goes to one that has answered: the cluster may take its time to give a place.
    """

    def __init__(self, make: Callable[[], Any], places: int) -> None:
        self._make, self._places = make, places
        self._waiting: deque[tuple[Future[Any], tuple[Any, ...]]] = deque()
        self._idle: list[Any] = []
        self._there = self._coming = 0
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        # One thread alone asks Ray: its own threads, which bring the answers, must not.
        self._thread = threading.Thread(target=self._run, name="actors", daemon=True)
        self._thread.start()

    def send(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        """Have one of them call `fn`."""
        future: Future[Any] = Future()
        self._events.put((self._wait, future, (fn, args, kwargs)))
        return future

    def close(self) -> None:
        """End them, and Ray.

        One that hangs is no hindrance, as nobody waits for its answer. What asks Ray may hang in it, where a cluster is
        gone without a word; after some seconds it is left to end with this process.
        """
        import ray

        self._events.put(None)
        self._thread.join(_CLOSE_SECONDS)
        ray.shutdown()

    def _run(self) -> None:
        while event := self._events.get():
            happened, *what = event
            happened(*what)
            self._serve()

    def _wait(self, future: Future[Any], call: tuple[Any, ...]) -> None:
        self._waiting.append((future, call))

    def _serve(self) -> None:
        while self._waiting and self._idle:
            future, call = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                self._ask(self._idle.pop(), call, future)
        while len(self._waiting) > self._coming and self._there < self._places:
            self._there += 1
            self._coming += 1
            self._ask(None, (int, (), {}), None)  # answered when it is there

    def _ask(self, actor: Any, call: tuple[Any, ...], future: Future[Any] | None) -> None:
        try:
            actor = self._make() if actor is None else actor
            answer = actor.call.remote(*call).future()
        except Exception as error:
            answer = Future()
            answer.set_exception(BrokenExecutor(f"the cluster takes no more work: {error}"))
        answer.add_done_callback(lambda answer: self._events.put((self._hear, actor, answer, future)))

    def _hear(self, actor: Any, answer: Future[Any], future: Future[Any] | None) -> None:
        """What came of a chunk, or that an actor is there; if it is lost, one chunk that waits is lost with it."""
        import ray

        error = answer.exception()
        self._coming -= future is None
        if error is None or isinstance(error, ray.exceptions.RayTaskError):  # the call's own
            self._idle.append(actor)
        else:
            self._there -= 1
            while future is None and self._waiting:
                one, _ = self._waiting.popleft()
                future = one if one.set_running_or_notify_cancel() else None
            if not isinstance(error, BrokenExecutor):
                error = LostChunkError(" ".join(str(error).split())[:200])
        if future is not None:
            future.set_exception(error) if error else future.set_result(answer.result())


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
