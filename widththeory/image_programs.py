"""From settings of image fits to a compiled program and its arguments: which program, what it takes step by step."""

import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Float

from widththeory.augmentation import draw_steps
from widththeory.classification import Classification
from widththeory.compiled import Once, compile_for, members_a_device
from widththeory.image_training import Bytes, Program, Segment, State, evaluate, run
from widththeory.models.functional import Functional
from widththeory.optimizers import step_scalars

_MAX_SEGMENT = 400
_SEGMENT_SECONDS = 10.0
_CPU_FLOPS, _GPU_FLOPS = 2e10, 2e13  # a second; modest guesses, as a segment may well be shorter
# Of XLA. On a CPU it compiles in two thirds of the time of the default level, 3, and by measurement runs as fast. On a
# GPU, no sums in whatever order threads come: a fit that goes on after a kill has the same bits.
_OPTIONS: dict[str, dict[str, str | bool]] = {
    "cpu": {"xla_backend_optimization_level": "1", "xla_cpu_multi_thread_eigen": False},
    "gpu": {"xla_gpu_exclude_nondeterministic_ops": True},
}


def choose_program(settings: Classification, chunk_size: int) -> Program:
    """The program for chunks of so many fits.

    On a CPU one network a device at a time, as several side by side are no faster there, with convolutions as patches,
    as XLA's own are slow in a loop. On a GPU all side by side, as batched products of patches; a single one by XLA's
    own convolution.
    """
    on_cpu, devices = jax.default_backend() == "cpu", jax.local_device_count()
    if on_cpu:
        ensemble = devices if chunk_size >= devices else 1
    else:
        ensemble = members_a_device(chunk_size) if chunk_size > 1 else 1
    dtype = settings.compute_dtype
    network = Functional(
        settings.architecture,
        "patches" if on_cpu or ensemble > 1 else "mixed",
        dtype,
        "float64" if dtype == "float64" else "float32",
    )
    work = 6.0 * settings.batch_size * settings.architecture.cost().multiply_adds * ensemble
    longest = int(_SEGMENT_SECONDS * (_CPU_FLOPS if on_cpu else _GPU_FLOPS) / work)
    lengths = segment_lengths(settings, max(1, min(_MAX_SEGMENT, longest)))
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


def segment_lengths(settings: Classification, longest: int) -> list[int]:
    """Steps of each segment: at most `longest`, nearly equal, none across a check."""
    lengths: list[int] = []
    for begin, end in itertools.pairwise((0, *settings.check_steps)):
        parts = -(-(end - begin) // longest)
        cuts = [(end - begin) * part // max(parts, 1) for part in range(parts + 1)]
        lengths += [after - before for before, after in itertools.pairwise(cuts)]
    return lengths


def segments(program: Program, chunk: Sequence[Classification], begin: int) -> Iterator[tuple[Segment, int]]:
    """What each segment from step `begin` on takes, and the number of steps that are done after it."""
    one, dtype = chunk[0], np.dtype(program.network.param_dtype)
    num_images = len(one.data.train)
    scalars = step_scalars(one.optimizer, "constant", one.num_steps)
    scalars[:, 0] *= schedule(one)
    after = 0
    for length in segment_lengths(one, program.segment):
        first, after = after, after + length
        if first < begin:
            continue
        drawn = [draw_steps(fit.seed, first, after, num_images, one.batch_size) for fit in chunk]
        none = ((0, program.segment - length), (0, 0), (0, 0))
        rows = np.stack([np.pad(rows, none[:2]) for rows, _ in drawn])
        moves = np.stack([np.pad(moves, none) for _, moves in drawn])
        step_values = np.pad(scalars[first:after], none[:2]).astype(dtype)
        yield Segment(rows, moves, step_values, np.int32(length)), after


def schedule(settings: Classification) -> Float[np.ndarray, "num_steps"]:
    """Learning rate of each step t as a share of the largest: (t + 1) / warmup_steps first, then constant or cosine."""
    steps, warmup = np.arange(settings.num_steps), settings.warmup_steps
    share = np.ones(settings.num_steps)
    if settings.schedule == "cosine":
        share = 0.5 * (1 + np.cos(math.pi * (steps - warmup) / max(settings.num_steps - warmup, 1)))
    return np.where(steps < warmup, (steps + 1) / max(warmup, 1), share)


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


def on_device(program: Program, data: Bytes) -> Bytes:
    """The training images, a copy on each device that has members."""
    mesh = _mesh(program)
    return Bytes(*jax.device_put(tuple(data), None if mesh is None else NamedSharding(mesh, PartitionSpec())))


@Once
def compiled_run(program: Program, num_images: int) -> Callable[..., State]:
    """`run` for so many training images, compiled once a process, and kept by JAX's cache for the next one."""
    return _compiled(run, program, *_abstract(program, num_images), donate=(1,))


@Once
def compiled_evaluate(program: Program, batch: int) -> Callable[..., tuple[Any, Any]]:
    """`evaluate` for so many images at once, compiled once a process, and kept by JAX's cache for the next one."""
    state, _, _, _, data = _abstract(program, batch)
    return _compiled(evaluate, program, state.params, state.stats, *data)


def identity(program: Program, chunk: Sequence[Classification]) -> str:
    """Text that is equal for fits which give the same bits after any number of steps."""
    parts = [jax.__version__, jax.default_backend(), repr(program), *(asdict(settings) for settings in chunk)]
    return json.dumps(parts)


def _num_moments(program: Program) -> int:
    return 2 if program.optimizer == "adam" else 1


def _compiled(function: Any, program: Program, *arguments: Any, donate: tuple[int, ...] = ()) -> Any:
    options = _OPTIONS.get(jax.default_backend(), {})
    # On a GPU the default would round the factors of float32 products to ten bits.
    precision = None if program.network.dtype == "bfloat16" else "highest"
    x64 = program.network.param_dtype == "float64"
    with jax.default_matmul_precision(precision):
        return compile_for(function, program, arguments, x64=x64, donate=donate, options=dict(options))


def _mesh(program: Program) -> Any:
    """The devices that members are spread over; None for a single one."""
    devices = jax.local_devices()
    if program.ensemble == 1 or len(devices) == 1:
        return None
    return jax.sharding.Mesh(np.array(devices).reshape(-1, 1), ("grid", "data"))


def _abstract(program: Program, num_images: int) -> tuple[State, Any, Any, Segment, Bytes]:
    """Shapes, dtypes and places of the arguments of `run`: members spread over the mesh, all else on every device."""
    count, steps, dtype = program.ensemble, program.segment, np.dtype(program.network.param_dtype)
    mesh = _mesh(program)

    def array(*shape: int, kind: Any = dtype, members: bool = False) -> jax.ShapeDtypeStruct:
        if mesh is None:
            return jax.ShapeDtypeStruct(shape, kind)
        spec = PartitionSpec(("grid", "data")) if members else PartitionSpec()
        return jax.ShapeDtypeStruct(shape, kind, sharding=NamedSharding(mesh, spec))

    params, stats = (
        {name: array(count, *leaf.shape, members=True) for name, leaf in part.items()}
        for part in program.network.shapes()
    )
    rates = array(count, members=True)
    state = State(params, (params,) * _num_moments(program), stats, rates)
    rows = (count, steps, program.batch_size)
    segment = Segment(
        array(*rows, kind=np.int32, members=True),
        array(*rows, 3, kind=np.uint8, members=True),
        array(steps, 2),
        array(kind=np.int32),
    )
    network: Any = program.network.architecture
    pixels = array(num_images, network.image_size, network.image_size, network.in_channels, kind=np.uint8)
    channels = array(network.in_channels)
    return state, rates, rates, segment, Bytes(pixels, array(num_images, kind=np.int32), channels, channels)
