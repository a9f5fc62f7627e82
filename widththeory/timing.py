"""How long a step takes: networks, a matrix product and a copy, timed in turn on one device, round after round.

All of a run is one chunk: a slow moment of the machine is shared by what is compared, and ratios are taken within a
round. On a CPU everything runs on one thread.
"""

import dataclasses
import functools
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from widththeory.compiled import prepare_jax
from widththeory.models.functional import Arrays, Functional
from widththeory.models.layers import Architecture
from widththeory.named import build, named_dataclass
from widththeory.roofline import products, total
from widththeory.typing import check_positive, check_positive_int

NETWORK_WORK = ("train", "infer")
WORK = (*NETWORK_WORK, "matmul", "copy")
PLATFORMS = ("cpu", "gpu")

_MAX_CALLS = 10_000
_GUESSED_FLOPS = 1e10  # a second, for estimates of the time that measuring takes
_FLOAT = np.dtype(np.float32)
_MOMENTUM = 0.9

Value = int | float | str | bool | tuple


@dataclass(frozen=True)
class Timing:
    """Settings of one time that is measured; all of one run, platform, number of rounds and burst are timed in turn.

    Args:
        work: "train" is a step of SGD with Nesterov momentum on one batch, forward, backward and update; "infer" is a
            forward pass with running statistics; "matmul" a product of two square matrices, the measure of the largest
            rate of operations; "copy" an array read, multiplied by a number and written back, that of bandwidth.
        platform: "cpu" or "gpu".
        run: number of an independent repetition.
        num_rounds: times that each is timed.
        burst_seconds: calls are repeated for about so long in a round.
        model: "module.Class" inside `widththeory.models`, for networks.
        model_args: its arguments as sorted (name, value) pairs.
        batch_size: images a call, for networks.
        size: side of the matrices, or numbers of the array; 0 for networks.

    Raises:
        ValueError: an argument outside these ranges, or an unknown model.
    """

    work: str
    platform: str
    run: int
    num_rounds: int
    burst_seconds: float
    model: str = ""
    model_args: tuple[tuple[str, Value], ...] = ()
    batch_size: int = 1
    size: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (("work", WORK), ("platform", PLATFORMS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {list(allowed)}, got {getattr(self, name)!r}")
        for name, least in (("run", 0), ("num_rounds", 1), ("batch_size", 1), ("size", 0)):
            check_positive_int(name, getattr(self, name), at_least=least)
        check_positive("burst_seconds", self.burst_seconds)
        if (self.size == 0) != (self.work in NETWORK_WORK) or bool(self.model) != (self.work in NETWORK_WORK):
            raise ValueError(f"a network has a model and size 0, all else a size and no model, got {self}")
        object.__setattr__(self, "model_args", tuple(sorted(self.model_args)))
        if self.model:
            self.architecture  # noqa: B018  an unknown model is said here

    @property
    def architecture(self) -> Architecture:
        """The network."""
        return _architecture(self.model, self.model_args)

    @property
    def flops(self) -> float:
        """Floating-point operations of a call, by formula; backward counts twice forward."""
        if self.work == "matmul":
            return 2.0 * self.size**3
        if self.work == "copy":
            return float(self.size)
        forward = 2.0 * self.batch_size * self.architecture.cost().multiply_adds
        return 3 * forward if self.work == "train" else forward

    @property
    def cost(self) -> float:
        """Operations of all rounds, and what would have been done in the bursts, by a guessed rate."""
        return self.num_rounds * (self.flops + self.burst_seconds * _GUESSED_FLOPS)

    @property
    def chunk_size(self) -> int:
        """All of a run."""
        return 1_000_000

    @property
    def program_key(self) -> str:
        """Equal for what is timed in turn."""
        return json.dumps([self.platform, self.run, self.num_rounds, self.burst_seconds])


@dataclass(frozen=True)
class Measurement:
    """What the rounds gave.

    Args:
        settings: of the time.
        metrics: `round_1` ... are seconds a call, `seconds_median`, `seconds_low` and `seconds_high` their median and
            quartiles; `calls` is how many were timed together, `compile_seconds` CPU time of trace and compiler;
            `flops` and `bytes` a call, counted in the trace (see `roofline`); `num_convs`, `num_params` and
            `multiply_adds` of a network; `diverged` is 1 where the result was not finite; `device_name` says on what.
        provenance: the kind of device.
    """

    settings: Timing
    metrics: dict[str, float | str]
    provenance: dict[str, Any] = field(default_factory=dict)


@functools.lru_cache(maxsize=256)
def _architecture(model: str, model_args: tuple[tuple[str, Value], ...]) -> Architecture:
    kind = named_dataclass("model", model, "models", ("build",))
    if not issubclass(kind, Architecture):
        raise ValueError(f"model must be an Architecture, got {model!r}")
    architecture: Architecture = build("model", model, kind, dict(model_args))
    return architecture


# --- the clock --------------------------------------------------------------------------------------------------------

Burst = Callable[[int], Any]  # makes so many calls and returns when all are done


def in_turn(
    bursts: Sequence[Burst],
    num_rounds: int,
    burst_seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds a call of each burst in each round, and how many calls a burst had.

    Each is called once to warm up and once to choose the number of calls. Then every round times all, every second
    round from the last to the first, so that a drift of the machine's speed favours none.
    """
    calls = np.ones(len(bursts), int)
    for index, burst in enumerate(bursts):
        burst(1)
        began = clock()
        burst(1)
        calls[index] = min(_MAX_CALLS, max(1, round(burst_seconds / max(clock() - began, 1e-9))))
    seconds = np.empty((len(bursts), num_rounds))
    for turn in range(num_rounds):
        order = range(len(bursts)) if turn % 2 == 0 else reversed(range(len(bursts)))
        for index in order:
            began = clock()
            bursts[index](int(calls[index]))
            seconds[index, turn] = (clock() - began) / calls[index]
    return seconds, calls


# --- what is timed ----------------------------------------------------------------------------------------------------


def train_step(network: Functional, state: tuple[Arrays, Arrays, Arrays], images: Any, labels: Any, rate: Any) -> Any:
    """Weights, velocities and running statistics after a step of SGD with Nesterov momentum, and the loss before it."""
    params, velocities, stats = state

    def loss(params: Arrays) -> tuple[Any, Arrays]:
        logits, moved = network.apply(params, stats, images, training=True)
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1).mean(), moved

    (value, moved), gradients = jax.value_and_grad(loss, has_aux=True)(params)
    velocities = jax.tree.map(lambda velocity, gradient: _MOMENTUM * velocity + gradient, velocities, gradients)
    after = jax.tree.map(lambda p, v, g: p - rate * (g + _MOMENTUM * v), params, velocities, gradients)
    return (after, velocities, moved), value


def _infer(network: Functional, params: Arrays, stats: Arrays, images: Any) -> Any:
    return network.apply(params, stats, images, training=False)[0]


@dataclass
class _Compiled:
    """A compiled program with its arguments on the device; `burst` calls it, each step from where the last one was."""

    settings: Timing
    program: Any
    arguments: list[Any]
    compile_seconds: float
    flops: int
    bytes: int
    result: Any = None

    @property
    def num_convs(self) -> int:
        """Convolutions of the network."""
        params = self.arguments[0][0] if self.settings.work == "train" else self.arguments[0]
        return sum(array.ndim == 4 for array in params.values())

    def burst(self, calls: int) -> None:
        """So many calls, one after the other, without waiting in between."""
        for _ in range(calls):
            self.result = self.program(*self.arguments)
            if self.settings.work == "train":
                self.arguments[0], self.result = self.result
            elif self.settings.work == "copy":
                self.arguments[0] = self.result
        jax.block_until_ready((self.result, self.arguments))


@functools.lru_cache(maxsize=256)
def _compile(one: Timing, device: Any) -> _Compiled:
    rng = np.random.default_rng(0)
    began = time.process_time()
    function: Callable[..., Any]
    arguments: list[Any]
    donated: tuple[int, ...] = ()
    if one.work in NETWORK_WORK:
        network = Functional(one.architecture)
        params, stats = network.init(0)
        side, channels = one.architecture.image_size, one.architecture.in_channels
        images = rng.standard_normal((one.batch_size, side, side, channels), _FLOAT)
        if one.work == "train":
            labels = rng.integers(one.architecture.num_classes, size=one.batch_size, dtype=np.int32)
            velocities = {name: np.zeros_like(array) for name, array in params.items()}
            function, donated = functools.partial(train_step, network), (0,)
            # at rate 0 the same step is timed for ever; as an argument it is not known to the compiler
            arguments = [(params, velocities, stats), images, labels, np.float32(0)]
        else:
            function, arguments = functools.partial(_infer, network), [params, stats, images]
    elif one.work == "matmul":
        function, arguments = jnp.matmul, [rng.standard_normal((one.size, one.size), _FLOAT) for _ in range(2)]
    else:
        # in its own place, as new memory is slow when it is first touched
        function, arguments, donated = jnp.multiply, [np.ones(one.size, _FLOAT), np.float32(1)], (0,)
    placed = list(jax.device_put(tuple(arguments), device))
    traced = jax.jit(function, donate_argnums=donated).trace(*placed)
    program = traced.lower().compile()
    spent = time.process_time() - began
    work = (one.size, 2 * one.size * _FLOAT.itemsize) if one.work == "copy" else total(products(traced.jaxpr))
    return _Compiled(one, program, placed, spent, *work)


def measure(settings: Sequence[Timing], chunk_size: int) -> list[Measurement]:
    """Time settings of one program key in turn.

    Args:
        settings: what to time.
        chunk_size: not used; all of them are timed together.

    Raises:
        ValueError: no settings, or settings of different program keys.
        RuntimeError: the platform is not there.
    """
    check_positive_int("chunk_size", chunk_size)
    if not settings:
        raise ValueError("settings must hold at least one time, got none")
    if len({one.program_key for one in settings}) != 1:
        raise ValueError("settings must share one program_key")
    first = settings[0]
    prepare_jax()
    device = jax.devices(first.platform)[0]
    compiled = [_compile(dataclasses.replace(one, run=0), device) for one in settings]
    seconds, calls = in_turn([one.burst for one in compiled], first.num_rounds, first.burst_seconds)
    named = device_name(device.platform, device.device_kind)
    return [
        _measurement(one, made, times, count, named, device.device_kind)
        for one, made, times, count in zip(settings, compiled, seconds, calls, strict=True)
    ]


def _measurement(
    settings: Timing, one: _Compiled, seconds: np.ndarray, calls: Any, named: str, kind: str
) -> Measurement:
    metrics: dict[str, float | str] = {f"round_{turn}": float(value) for turn, value in enumerate(seconds, 1)}
    low, middle, high = np.quantile(seconds, (0.25, 0.5, 0.75))
    metrics |= {"seconds_median": float(middle), "seconds_low": float(low), "seconds_high": float(high)}
    metrics |= {"calls": int(calls), "compile_seconds": one.compile_seconds, "device_name": named}
    metrics |= {"flops": one.flops, "bytes": one.bytes}
    if settings.model:
        cost = settings.architecture.cost()
        metrics |= dataclasses.asdict(cost) | {"num_convs": one.num_convs}
    finite = bool(np.all([np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(one.result)]))
    return Measurement(settings, metrics | {"diverged": float(not finite)}, {"device": kind})


def device_name(platform_name: str, kind: str) -> str:
    """The device as its maker calls it; of a CPU as the operating system tells it, and how many threads are used."""
    if platform_name != "cpu":
        return kind
    name = platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or name
    return f"{name}, one thread"
