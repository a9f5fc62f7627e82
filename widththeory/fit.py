"""Fit ReLU networks to the target of a construction: `Regression`, the settings of one fit, and `measure`, many fits."""

import dataclasses
import importlib
import io
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from widththeory import ensemble
from widththeory.metrics import error_metrics, evaluate
from widththeory.models.cost import forward_flops
from widththeory.models.mlp import check_initializer, initial_network
from widththeory.network import Network
from widththeory.optimizers import OPTIMIZERS, SCHEDULES, step_scalars
from widththeory.polish import polish
from widththeory.typing import Construction, Points, Size, Values, check_positive_int

Scalar = int | float | str | bool

NUM_CHECKS = 20  # times a fit looks at its training loss
_MAX_CHECK_POINTS = 2048
_MAX_SEGMENT = 500  # steps whose batches are sent to the device at a time
_WIDEST_FEATURE_MAJOR = 24
_STACKED_DEPTHS = (16, 64, 256)  # one program serves all depths up to each of these


@dataclass(frozen=True)
class Regression:
    """Settings of one fit of a ReLU network to a construction's target, in mean square under the construction's law.

    Args:
        target: "module.Class" inside `widththeory.constructions`.
        target_args: the class's arguments as sorted (name, value) pairs, "seed" included where the target is random.
        width: units of each hidden layer.
        depth: number of hidden layers, at least 1.
        seed: of the initial weights.
        learning_rate: positive; AdaDelta's customary one is 1.0.
        num_steps: of the optimiser; 0 measures the initial network.
        batch_size: points a step, drawn without replacement until the training points are used up.
        num_train: training points.
        num_test: points at which the error is measured.
        optimizer: "adam" or "adadelta".
        schedule: "cosine" (to zero at the last step) or "constant".
        polish_steps: iterations of L-BFGS after an exact least-squares fit of the output layer; 0 for neither.
        data_seed: of the points and their order.
        init: "lecun", "he" or "glorot".
        dtype: "float32" or "float64", of the training; errors are always measured in float64.
        keep_weights: whether the measurement carries the weights.

    Raises:
        ValueError: an argument outside these ranges, or an unknown target.
    """

    target: str
    target_args: tuple[tuple[str, Scalar], ...]
    width: int
    depth: int
    seed: int
    learning_rate: float
    num_steps: int
    batch_size: int
    num_train: int
    num_test: int
    optimizer: str = "adam"
    schedule: str = "cosine"
    polish_steps: int = 0
    data_seed: int = 0
    init: str = "lecun"
    dtype: str = "float32"
    keep_weights: bool = False

    def __post_init__(self) -> None:
        for name in ("width", "depth", "batch_size", "num_train", "num_test"):
            check_positive_int(name, getattr(self, name))
        for name in ("seed", "num_steps", "polish_steps", "data_seed"):
            check_positive_int(name, getattr(self, name), at_least=0)
        if self.batch_size > self.num_train:
            raise ValueError(f"batch_size must be at most num_train = {self.num_train}, got {self.batch_size}")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise ValueError(f"learning_rate must be positive and finite, got {self.learning_rate!r}")
        check_initializer(self.init)
        for name, allowed in (
            ("optimizer", tuple(OPTIMIZERS)),
            ("schedule", SCHEDULES),
            ("dtype", ("float32", "float64")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {list(allowed)}, got {getattr(self, name)!r}")
        object.__setattr__(self, "target_args", tuple(sorted((str(k), v) for k, v in self.target_args)))
        self.construction  # noqa: B018  an unknown target or argument is said here, before anything runs

    @property
    def construction(self) -> Construction:
        """The target and its law."""
        return _construct(self.target, self.target_args)

    @property
    def size(self) -> Size:
        """Size of the network that is fitted."""
        return Size(self.construction.input_dim, (self.width,) * self.depth)

    @property
    def cost(self) -> float:
        """Floating-point operations of the fit, by formula: training, its checks, polish and final measurement."""
        checks = min(NUM_CHECKS, self.num_steps) * min(self.num_train, _MAX_CHECK_POINTS)
        points = 3 * self.num_steps * self.batch_size + checks + self.num_train + self.num_test
        points += 3 * self.polish_steps * self.num_train
        return float(forward_flops(self.size) * points)

    @property
    def program_key(self) -> str:
        """Equal for fits that share their program and their points: all settings but the two seeds and the rate."""
        values = dataclasses.asdict(self)
        del values["seed"], values["learning_rate"]
        values["target_args"] = [[name, value] for name, value in self.target_args if name != "seed"]
        return json.dumps(values, sort_keys=True)


@dataclass(frozen=True)
class Measurement:
    """What one fit gave: finite numbers by name, and with `keep_weights` the network (see `load_weights`)."""

    settings: Regression
    metrics: dict[str, float]
    weights: bytes | None = field(default=None, repr=False)


@lru_cache(maxsize=1024)
def _construct(target: str, target_args: tuple[tuple[str, Scalar], ...]) -> Construction:
    module_name, _, class_name = target.partition(".")
    try:
        if not (module_name.isidentifier() and class_name.isidentifier()):
            raise ModuleNotFoundError
        kind = getattr(importlib.import_module(f"widththeory.constructions.{module_name}"), class_name)
    except (ModuleNotFoundError, AttributeError):
        kind = None
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise ValueError(f"target must be 'module.Class' with a construction of that name, got {target!r}")
    try:
        construction = kind(**dict(target_args))
    except TypeError as reason:
        raise ValueError(f"target_args do not suit {target}: {reason}") from None
    return construction


def save_weights(network: Network) -> bytes:
    """A network's arrays as the bytes of an .npz file."""
    blob = io.BytesIO()
    np.savez(blob, *(part for layer in network.float64().layers for part in layer))  # type: ignore[arg-type]
    return blob.getvalue()


def load_weights(blob: bytes) -> Network:
    """The network that `save_weights` wrote."""
    with np.load(io.BytesIO(blob), allow_pickle=False) as arrays:
        parts = [arrays[f"arr_{index}"] for index in range(len(arrays.files))]
    return Network(list(zip(parts[::2], parts[1::2], strict=True)))


def default_chunk_size(settings: Regression) -> int:
    """Networks to train side by side: many narrow ones, few wide ones, so that a step's work stays in the cache."""
    return max(4, min(64, 512 // settings.width))


@dataclass(frozen=True)
class _Data:
    """Points shared by the members of a chunk, and each member's values there."""

    train: Points
    test: Points
    train_values: Float[np.ndarray, "member num_train"]
    test_values: list[Values]


def _data(chunk: Sequence[Regression]) -> _Data:
    one = chunk[0]
    train_rng, test_rng = (np.random.default_rng([one.data_seed, part]) for part in (0, 1))
    train = one.construction.sample(one.num_train, train_rng)
    test = one.construction.sample(one.num_test, test_rng)
    distinct = {settings.target_args: settings.construction for settings in chunk}
    values = {args: (target.target(train), target.target(test)) for args, target in distinct.items()}
    rows = [values[settings.target_args] for settings in chunk]
    return _Data(train, test, np.stack([row[0] for row in rows]), [row[1] for row in rows])


def _batches(settings: Regression) -> np.ndarray:
    """Indices [num_steps, batch_size] into the training points: shuffled anew each time they are used up."""
    rng = np.random.default_rng([settings.data_seed, 2])
    per_epoch = settings.num_train // settings.batch_size
    epochs = -(-settings.num_steps // per_epoch)
    order = np.empty((epochs * per_epoch, settings.batch_size), np.int32)
    for epoch in range(epochs):
        shuffled = rng.permutation(settings.num_train)[: per_epoch * settings.batch_size]
        order[epoch * per_epoch : (epoch + 1) * per_epoch] = shuffled.reshape(per_epoch, settings.batch_size)
    return order[: settings.num_steps]


def _program(settings: Regression, chunk_size: int) -> ensemble.Program:
    stacked = settings.width <= _WIDEST_FEATURE_MAJOR and settings.depth <= _STACKED_DEPTHS[-1]
    depth = next(bound for bound in _STACKED_DEPTHS if bound >= settings.depth) if stacked else settings.depth
    return ensemble.Program(
        ensemble=chunk_size,
        input_dim=settings.construction.input_dim,
        width=settings.width,
        depth=depth,
        stacked=stacked,
        layout="feature" if settings.width <= _WIDEST_FEATURE_MAJOR else "batch",
        optimizer=settings.optimizer,
        batch_size=settings.batch_size,
        segment=min(_MAX_SEGMENT, max(1, -(-settings.num_steps // NUM_CHECKS))),
        num_eval=min(settings.num_train, _MAX_CHECK_POINTS),
        dtype=settings.dtype,
    )


def _segments(settings: Regression, program: ensemble.Program, data: _Data) -> Iterator[ensemble.Segment]:
    """First a segment of no steps, which measures the initial networks; then all steps."""
    dtype = np.dtype(settings.dtype)
    order = _batches(settings)
    scalars = step_scalars(settings.optimizer, settings.schedule, settings.num_steps).astype(dtype)
    train, values = data.train.T.astype(dtype), data.train_values.astype(dtype)
    for begin in range(-program.segment, settings.num_steps, program.segment):
        taken = order[max(begin, 0) : max(begin + program.segment, 0)]
        rows = np.zeros((program.segment, settings.batch_size), np.int32)
        rows[: len(taken)] = taken
        step_values = np.zeros((program.segment, 2), dtype)
        step_values[: len(taken)] = scalars[max(begin, 0) : max(begin, 0) + len(taken)]
        yield ensemble.Segment(
            np.ascontiguousarray(train[:, rows].transpose(1, 0, 2)),
            np.ascontiguousarray(values[:, rows].transpose(1, 0, 2)),
            step_values,
            np.int32(len(taken)),
            np.int32(max(begin, 0) + len(taken)),
        )


def train(chunk: Sequence[Regression], data: _Data) -> tuple[list[Network], list[dict[str, float]]]:
    """Each member's best network, and what is known of its training. Members share all but seeds and learning rate."""
    import jax

    one = chunk[0]
    program = _program(one, len(chunk))
    dtype = np.dtype(one.dtype)
    networks = [initial_network(one.size.input_dim, one.size.widths, init=s.init, seed=s.seed) for s in chunk]
    rates = np.array([settings.learning_rate for settings in chunk], dtype)
    # Drawn points come in no order, so the first ones are a fair subset of the training points.
    inputs, values = (part[:, : program.num_eval].astype(dtype) for part in (data.train.T, data.train_values))
    with jax.enable_x64(one.dtype == "float64"):
        run = ensemble.compiled(program)
        state = jax.device_put(ensemble.start(program, networks))
        for segment in _segments(one, program, data):
            state = run(state, rates, np.int32(one.depth), segment, inputs, values)
        state = jax.device_get(state)
    notes = [
        {"best_step": float(step), "diverged": float(not np.isfinite(loss))}
        for step, loss in zip(state.best_step, state.loss, strict=True)
    ]
    return ensemble.unpack(program, state.best, one.depth), notes


def _measure_chunk(chunk: Sequence[Regression], num_members: int) -> list[Measurement]:
    started = time.process_time()
    data = _data(chunk)
    networks, notes = train(chunk, data)
    results = []
    for index, settings in enumerate(chunk[:num_members]):
        network, values = networks[index], data.train_values[index]
        if settings.polish_steps:
            network = polish(network, data.train, values, settings.polish_steps)
        metrics = {"train_mse": float(np.mean((evaluate(network, data.train) - values) ** 2))}
        metrics |= error_metrics(evaluate(network, data.test), data.test_values[index]) | notes[index]
        results.append((settings, metrics, save_weights(network) if settings.keep_weights else None))
    seconds = (time.process_time() - started) / num_members
    return [Measurement(settings, metrics | {"seconds": seconds}, blob) for settings, metrics, blob in results]


def measure(settings: Sequence[Regression], chunk_size: int) -> list[Measurement]:
    """Run fits that share one `program_key`, `chunk_size` at a time; the last chunk is filled up with copies.

    A float32 result depends in its last digits on `chunk_size`, not on what else is in the chunk.

    Raises:
        ValueError: no fits, fits of different `program_key`, or `chunk_size` less than 1.
    """
    check_positive_int("chunk_size", chunk_size)
    if not settings:
        raise ValueError("settings must hold at least one fit, got none")
    keys = {one.program_key for one in settings}
    if len(keys) != 1:
        raise ValueError(f"settings must share one program_key, got {len(keys)} different ones")
    results: list[Measurement] = []
    for begin in range(0, len(settings), chunk_size):
        chunk = list(settings[begin : begin + chunk_size])
        results += _measure_chunk(chunk + [chunk[-1]] * (chunk_size - len(chunk)), len(chunk))
    return results
