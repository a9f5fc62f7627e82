"""Fit image classifiers: `measure` runs fits that share a program and their images, side by side or in turn."""

import io
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from widththeory.augmentation import draw_steps
from widththeory.classification import MAX_TRAIN_EVAL, Classification
from widththeory.compiled import prepare_jax
from widththeory.image_training import Bytes, Program, Segment, State, evaluate, run, schedule
from widththeory.images.record import Images
from widththeory.models.functional import Functional, first_kernel
from widththeory.optimizers import step_scalars
from widththeory.typing import check_positive_int

__all__ = ["Classification", "Measurement", "load_filters", "measure"]

LARGEST_LOSS = 1e9  # stands for one that is larger or not a number: metrics are finite

_MAX_SEGMENT = 400
_SEGMENT_SECONDS = 10.0
_CPU_FLOPS, _GPU_FLOPS = 2e10, 2e13  # a second, modest guesses: a segment may be shorter than it should
_CPU_EVAL, _GPU_EVAL = 256, 2048  # images of all members evaluated at once
_SUBSET = 3  # stream of random numbers


@dataclass(frozen=True)
class Measurement:
    """What one fit gave.

    Args:
        settings: of the fit.
        metrics: finite numbers by name. Losses are cross-entropies, a loss that is no number is LARGEST_LOSS, and then
            or if the last step's loss was not finite, `diverged` is 1. Training images, at most MAX_TRAIN_EVAL, are
            measured as they are, like test images. `step_seconds` is run time a step without compiling: CPU time on a
            CPU, else by the clock; `seconds` is all of it.
        weights: the first layer's filters, with `keep_weights`; `load_filters` reads them.
    """

    settings: Classification
    metrics: dict[str, float]
    weights: bytes | None = field(default=None, repr=False)


def load_filters(blob: bytes) -> Float[np.ndarray, "height width channels filters"]:
    """The first layer's filters, from a measurement's `weights`."""
    return np.load(io.BytesIO(blob), allow_pickle=False)


def choose_program(settings: Classification, chunk_size: int) -> Program:
    """The program of one chunk: on a CPU its networks run in turn, as side by side they are no faster there."""
    on_cpu = jax.default_backend() == "cpu"
    ensemble = 1 if on_cpu else chunk_size
    dtype = settings.compute_dtype
    network = Functional(
        settings.architecture,
        "patches" if on_cpu or ensemble > 1 else "native",
        dtype,
        "float64" if dtype == "float64" else "float32",
    )
    flops = 6.0 * settings.batch_size * settings.architecture.cost().multiply_adds * ensemble  # type: ignore[attr-defined]
    longest = int(_SEGMENT_SECONDS * (_CPU_FLOPS if on_cpu else _GPU_FLOPS) / flops)
    lengths = _lengths(settings, max(1, min(_MAX_SEGMENT, longest)))
    return Program(
        network=network,
        ensemble=ensemble,
        segment=max(lengths, default=1),
        ragged=len(set(lengths)) > 1,
        batch_size=settings.batch_size,
        optimizer=settings.optimizer,
        label_smoothing=settings.label_smoothing,
        augment=settings.augment,
    )


def _lengths(settings: Classification, longest: int) -> list[int]:
    """Steps of each segment, nearly equal; they end at the checks."""
    lengths, begin = [], 0
    for end in settings.check_steps:
        parts = -(-(end - begin) // longest)
        cuts = [begin + (end - begin) * part // max(parts, 1) for part in range(parts + 1)]
        lengths += [after - before for before, after in zip(cuts, cuts[1:], strict=False)]
        begin = end
    return lengths


@lru_cache(maxsize=64)
def compiled_run(program: Program, num_images: int) -> Callable[..., State]:
    """`run` for so many training images, compiled once a process."""
    return _compile(run, program, *_abstract_run(program, num_images), donate=1)


@lru_cache(maxsize=64)
def compiled_evaluate(program: Program, batch: int) -> Callable[..., Any]:
    """`evaluate` for so many images at once, compiled once a process."""
    state, *_, data = _abstract_run(program, batch)
    return _compile(evaluate, program, state.params, state.stats, *data)


def _compile(function: Any, program: Program, *arguments: Any, donate: int | tuple[int, ...] = ()) -> Any:
    with jax.enable_x64(program.network.param_dtype == "float64"):
        return jax.jit(function, static_argnums=0, donate_argnums=donate).lower(program, *arguments).compile()


def _abstract_run(program: Program, num_images: int) -> tuple[Any, ...]:
    """Shapes and dtypes of the arguments of `run`."""
    count, steps, dtype = program.ensemble, program.segment, np.dtype(program.network.param_dtype)

    def array(*shape: int, kind: Any = dtype) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, kind)

    params, stats = (
        {name: array(count, *leaf.shape) for name, leaf in part.items()} for part in program.network.shapes()
    )
    state = State(params, (params,) * _num_moments(program), stats, array(count))
    rows = (count, steps, program.batch_size)
    segment = Segment(
        array(*rows, kind=np.int32), array(*rows, 3, kind=np.uint8), array(steps, 2), array(kind=np.int32)
    )
    architecture = program.network.architecture
    pixels = (num_images, architecture.image_size, architecture.image_size, architecture.in_channels)
    channels = array(architecture.in_channels)
    data = Bytes(array(*pixels, kind=np.uint8), array(num_images, kind=np.int32), channels, channels)
    return state, array(count), array(count), segment, data


def _num_moments(program: Program) -> int:
    return 2 if program.optimizer == "adam" else 1


def start(program: Program, chunk: Sequence[Classification]) -> State:
    """The members before the first step, in NumPy."""
    members = [program.network.init(settings.seed) for settings in chunk]
    params, stats = (
        {name: np.stack([member[part][name] for member in members]) for name in members[0][part]} for part in (0, 1)
    )
    moments = tuple(
        {name: np.zeros_like(array) for name, array in params.items()} for _ in range(_num_moments(program))
    )
    return State(params, moments, stats, np.zeros(len(chunk), program.network.param_dtype))


def segments(program: Program, chunk: Sequence[Classification], begin: int) -> Any:
    """What each segment from step `begin` on takes, with the number of steps after it."""
    one = chunk[0]
    dtype = np.dtype(program.network.param_dtype)
    num_images = len(one.data.train)
    scalars = (schedule(one)[:, None] * step_scalars(one.optimizer, "constant", one.num_steps)).astype(dtype)
    if one.optimizer == "adam":
        scalars[:, 1] = step_scalars("adam", "constant", one.num_steps)[:, 1]
    end = 0
    for length in _lengths(one, program.segment):
        first, end = end, end + length
        if first < begin:
            continue
        drawn = [draw_steps(s.seed, first, end, num_images, one.batch_size) for s in chunk]
        short = ((0, program.segment - length), (0, 0), (0, 0))
        rows = np.stack([np.pad(rows, short[:2]) for rows, _ in drawn])
        moves = np.stack([np.pad(moves, short) for _, moves in drawn])
        yield Segment(rows, moves, np.pad(scalars[first:end], short[:2]), np.int32(length)), end


@dataclass(frozen=True)
class Pool:
    """Images to be measured, with the size of a batch of them."""

    images: Any
    labels: Any
    batch: int


def _pools(data: Images, program: Program) -> tuple[Pool, Pool]:
    """Some training images, drawn at random as they may lie sorted by class; and the test images."""
    most = _CPU_EVAL if jax.default_backend() == "cpu" else max(128, _GPU_EVAL // program.ensemble)
    rng = np.random.default_rng([0, _SUBSET])
    some = np.sort(rng.permutation(len(data.train))[:MAX_TRAIN_EVAL])
    batch = min(most, max(len(some), len(data.test)))
    return Pool(data.train[some], data.train_labels[some], batch), Pool(data.test, data.test_labels, batch)


def _measure_pool(program: Program, state: State, pool: Pool, mean: Any, std: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean loss and accuracy of each member on a pool."""
    function = compiled_evaluate(program, pool.batch)
    found = []
    for begin in range(0, len(pool.images), pool.batch):
        images, labels = (part[begin : begin + pool.batch] for part in (pool.images, pool.labels))
        lacking = pool.batch - len(images)
        images = np.pad(images, ((0, lacking), (0, 0), (0, 0), (0, 0)))
        found.append(
            (function(state.params, state.stats, images, np.pad(labels, (0, lacking)), mean, std), len(labels))
        )
    losses, right = (
        np.concatenate([np.asarray(both[part], np.float64)[:, :number] for both, number in found], axis=1)
        for part in (0, 1)
    )
    return losses.mean(axis=1), right.mean(axis=1)


def _clock() -> float:
    return time.process_time() if jax.default_backend() == "cpu" else time.perf_counter()


def _fit(program: Program, chunk: Sequence[Classification]) -> tuple[list[dict[str, float]], np.ndarray]:
    """Train and measure as many networks as the program has places."""
    one, data = chunk[0], chunk[0].data
    dtype = np.dtype(program.network.param_dtype)
    mean, std = (part.astype(dtype) for part in data.mean_and_std())
    std = np.maximum(std, 1 / 255).astype(dtype)
    train_pool, test_pool = _pools(data, program)
    state, rates, decays = (
        start(program, chunk),
        *(
            np.array([getattr(settings, name) for settings in chunk], dtype)
            for name in ("learning_rate", "weight_decay")
        ),
    )
    curves: list[dict[str, float]] = [{} for _ in chunk]
    spent = 0.0
    images = Bytes(*jax.device_put((data.train, data.train_labels, mean, std)))
    for segment, step in segments(program, chunk, 0):
        function = compiled_run(program, len(data.train))
        started = _clock()
        state = function(state, rates, decays, segment, images)
        jax.block_until_ready(state.loss)
        spent += _clock() - started
        if step in one.check_steps and step < one.num_steps:
            for curve, accuracy in zip(curves, _measure_pool(program, state, test_pool, mean, std)[1], strict=True):
                curve[f"accuracy_at_{step}"] = float(accuracy)
    train_loss, train_accuracy = _measure_pool(program, state, train_pool, mean, std)
    test_loss, test_accuracy = _measure_pool(program, state, test_pool, mean, std)
    last_loss = np.asarray(state.loss)
    cost = one.architecture.cost()  # type: ignore[attr-defined]
    results = []
    for m, curve in enumerate(curves):
        finite = np.isfinite([train_loss[m], test_loss[m], last_loss[m]]).all()
        accuracy = float(test_accuracy[m])
        results.append(
            {
                "train_loss": _finite(train_loss[m]),
                "train_accuracy": float(train_accuracy[m]),
                "test_loss": _finite(test_loss[m]),
                "test_accuracy": accuracy,
                "test_accuracy_stderr": math.sqrt(accuracy * (1 - accuracy) / len(data.test)),
                "diverged": float(not finite),
                "num_params": float(cost.num_params),
                "multiply_adds": float(cost.multiply_adds),
                "step_seconds": spent / max(one.num_steps, 1) / program.ensemble,
                **curve,
                f"accuracy_at_{one.num_steps}": accuracy,
            }
        )
    return results, np.asarray(first_kernel(state.params))


def _finite(loss: float) -> float:
    return float(loss) if loss < LARGEST_LOSS else LARGEST_LOSS


def _measure_chunk(program: Program, chunk: Sequence[Classification]) -> list[Measurement]:
    results: list[Measurement] = []
    for begin in range(0, len(chunk), program.ensemble):
        members = list(chunk[begin : begin + program.ensemble])
        started = _clock()
        metrics, filters = _fit(program, members + [members[-1]] * (program.ensemble - len(members)))
        seconds = (_clock() - started) / len(members)
        for settings, one, kernel in zip(members, metrics, filters, strict=False):
            blob = _save_filters(kernel) if settings.keep_weights else None
            results.append(Measurement(settings, one | {"seconds": seconds}, blob))
    return results


def _save_filters(kernel: np.ndarray) -> bytes:
    blob = io.BytesIO()
    np.save(blob, kernel, allow_pickle=False)
    return blob.getvalue()


def measure(settings: Sequence[Classification], chunk_size: int) -> list[Measurement]:
    """Run fits that share one `program_key`, `chunk_size` at a time; the last chunk is filled up with copies.

    Raises:
        ValueError: no fits, fits of different `program_key`, or `chunk_size` less than 1.
    """
    check_positive_int("chunk_size", chunk_size)
    if not settings:
        raise ValueError("settings must hold at least one fit, got none")
    keys = {one.program_key for one in settings}
    if len(keys) != 1:
        raise ValueError(f"settings must share one program_key, got {len(keys)} different ones")
    prepare_jax()
    program = choose_program(settings[0], chunk_size)
    with jax.enable_x64(program.network.param_dtype == "float64"):
        return _measure_chunk(program, settings)
