"""Hosts that run the same command meet, and each can end by itself: what `multihost` begins and ends with."""

import atexit
import contextlib
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, Any, NoReturn

import jax

from widththeory.compiled import prepare_jax

_ADDRESS, _NUMBERS = "JAX_COORDINATOR_ADDRESS", {"num_processes": "JAX_NUM_PROCESSES", "process_id": "JAX_PROCESS_ID"}
_EXAMPLE = f"for instance {_ADDRESS}=10.0.0.1:1234 JAX_NUM_PROCESSES=2 JAX_PROCESS_ID=0 on the first of two hosts"
_JOIN_SECONDS, _STILL_SECONDS = 120.0, 30.0  # how long hosts wait for each other, and how often they say so
_HEARTBEAT_SECONDS = 30  # how soon the loss of a host ends the others; JAX's 100 leave a whole cluster waiting
_watched: list[IO[bytes]] = []  # a pipe to the process that watches this one


def join(tell: Callable[[str], Any] | None = None) -> int:
    """Meet the other processes; the number of this one. A second call changes nothing.

    What is waited for is told by `tell`, on stderr if not given. If not all have come in time the process ends, with
    status 2: JAX cannot be stopped in its waiting, and would abort.

    Raises:
        ValueError: a variable is wrong, no coordinator is given and none can be found, or its port is taken.
    """
    if jax.distributed.is_initialized():
        return jax.process_index()
    arguments, seconds = _arguments(), _join_seconds()
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM, and go on
    prepare_jax()
    failed: list[Exception] = []

    def meet() -> None:
        try:
            jax.distributed.initialize(
                heartbeat_timeout_seconds=_HEARTBEAT_SECONDS, initialization_timeout=int(seconds) + 600, **arguments
            )
        except Exception as error:
            failed.append(error)

    where = f" at {arguments['coordinator_address']}" if "coordinator_address" in arguments else ""
    waiting = f"waiting for {arguments.get('num_processes', 'all')} processes{where}"
    # In a thread, so that neither the deadline nor Ctrl-C has to wait for JAX.
    thread, begun = threading.Thread(target=meet, daemon=True), time.monotonic()
    try:
        (tell or say)(f"{waiting}, for {seconds:g} s at most")
        thread.start()
        while thread.is_alive():
            left = seconds - (time.monotonic() - begun)
            if left <= 0:
                leave(f"{waiting} was in vain for {seconds:g} s: run the same command on every host, {_EXAMPLE}", 2)
            thread.join(min(left, _STILL_SECONDS))
            passed = time.monotonic() - begun
            if thread.is_alive() and passed < seconds:
                (tell or say)(f"still {waiting}, {passed:.0f} s of {seconds:g} s")
    except KeyboardInterrupt as stop:
        interrupted(stop)
    if not failed:
        _watch()
    for error in failed:
        if not isinstance(error, (ValueError, RuntimeError)):
            raise error
        said = " ".join(str(error).split())[:300]
        lacking = [name for name in (_ADDRESS, *_NUMBERS.values()) if name not in os.environ]
        mend = f": set {', '.join(lacking)}, {_EXAMPLE}" if lacking else where
        raise ValueError(f"--multihost cannot meet the other hosts{mend} ({said})") from error
    return jax.process_index()


def _arguments() -> dict[str, Any]:
    """What the variables tell `jax.distributed.initialize`; what they do not, it finds out where a cluster says it.

    Raises:
        ValueError: a variable is wrong.
    """
    found: dict[str, Any] = {}
    address = os.environ.get(_ADDRESS)
    if address is not None:
        host, _, port = address.rpartition(":")
        if not host or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 2**16:
            raise ValueError(f"{_ADDRESS} must be host:port of process 0, got {address!r}; {_EXAMPLE}")
        found["coordinator_address"] = address
    for least, (name, variable) in zip((1, 0), _NUMBERS.items(), strict=True):
        text = os.environ.get(variable)
        if text is not None:
            if not re.fullmatch("[0-9]{1,9}", text) or int(text) < least:
                raise ValueError(f"{variable} must be an integer of at least {least}, got {text!r}; {_EXAMPLE}")
            found[name] = int(text)
    number, many = found.get("process_id", 0), found.get("num_processes", math.inf)
    if number >= many:
        raise ValueError(f"JAX_PROCESS_ID must be less than JAX_NUM_PROCESSES={many}, got {number}; {_EXAMPLE}")
    return found


def _join_seconds() -> float:
    text = os.environ.get("WIDTHTHEORY_JOIN_SECONDS", str(_JOIN_SECONDS))
    with contextlib.suppress(ValueError):
        if 0 < (seconds := float(text)) < math.inf:
            return seconds
    raise ValueError(f"WIDTHTHEORY_JOIN_SECONDS must be a positive number, got {text!r}")


def _watch() -> None:
    """Have another process say what has happened if this one ends out of order: JAX aborts when process 0 is lost."""
    code = "import sys; sys.stdin.read(1) or print(sys.argv[1], file=sys.stderr)"
    one = f"process {jax.process_index()} was killed, or aborted by JAX since a host was lost"
    sentence = f"{one}: run the same commands again"
    watcher = subprocess.Popen(
        [sys.executable, "-ISc", code, sentence],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for this process alone
    )
    assert watcher.stdin is not None
    _watched.append(watcher.stdin)
    atexit.register(_unwatch)


def _unwatch() -> None:
    """This process ends in order."""
    while _watched:
        with contextlib.suppress(OSError), _watched.pop() as pipe:
            pipe.write(b".")


def say(sentence: str) -> None:
    """One line on stderr."""
    print(sentence, file=sys.stderr, flush=True)


def leave(sentence: str, status: int) -> NoReturn:
    """End this process alone. An orderly end would wait for the others, who wait for this one in the fit."""
    with contextlib.suppress(OSError):  # the terminal is gone
        say(sentence)
    _unwatch()
    os._exit(status)


def interrupted(stop: BaseException | None) -> NoReturn:
    """End this process alone after Ctrl-C, or after a signal that `command.run` has turned into the same."""
    number = stop.args[0] if isinstance(stop, KeyboardInterrupt) and stop.args else signal.SIGINT
    leave("interrupted; what is finished is kept, and the same commands go on from there", 128 + number)
