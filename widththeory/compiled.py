"""Compile an ensemble's program once, place its arrays on all local devices, and take networks in and out of it."""

import os
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Generic, ParamSpec, TypeVar

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from widththeory.compilation_cache import keep_compiled_programs
from widththeory.ensemble import Layer, Program, Segment, State, Weights, run
from widththeory.network import Network
from widththeory.resident import Moments, Resident, run_resident, squared_residuals

Key = ParamSpec("Key")
Result = TypeVar("Result")


def pack(program: Program, networks: Sequence[Network]) -> Weights:
    """Weights of the members, in NumPy. In a stack the layers above the members' depth are zeros."""
    dtype = np.dtype(program.dtype)
    columns = zip(*(network.float64().layers for network in networks), strict=True)
    layers = [Layer(*(np.stack(parts).astype(dtype) for parts in zip(*column, strict=True))) for column in columns]
    last = Layer(layers[-1].weight[:, 0, :], layers[-1].bias[:, 0])
    hidden: Any = tuple(layers[1:-1])
    if program.stacked:
        stack = Layer(*(np.zeros(leaf.shape, dtype) for leaf in _abstract_weights(program, None).hidden))
        for index, (weight, bias) in enumerate(hidden):
            stack.weight[index], stack.bias[index] = weight, bias
        hidden = stack
    return Weights(layers[0], hidden, last)


def unpack(program: Program, weights: Weights, depth: int) -> list[Network]:
    """The members as networks, in float64."""
    weights = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), weights)
    hidden = weights.hidden
    if program.stacked:
        hidden = [Layer(hidden.weight[index], hidden.bias[index]) for index in range(depth - 1)]
    last = Layer(weights.last.weight[:, None, :], weights.last.bias[:, None])
    layers = [weights.first, *hidden, last]
    return [Network([(layer.weight[m], layer.bias[m]) for layer in layers]) for m in range(program.ensemble)]


def start(program: Program, networks: Sequence[Network]) -> State:
    """The state before the first step, in NumPy."""
    return start_from(program, pack(program, networks))


def start_from(program: Program, weights: Weights) -> State:
    """The state before the first step, in NumPy, from the members' weights."""
    zeros = jax.tree.map(np.zeros_like, weights)
    infinite = np.full(program.ensemble, np.inf, program.dtype)
    return State(weights, (zeros, zeros), weights, infinite, np.zeros(program.ensemble, np.int32), infinite)


def _array(shape: tuple[int, ...], dtype: Any, mesh: Any, member_axis: int | None) -> jax.ShapeDtypeStruct:
    """An argument's shape, dtype and place: members spread over the mesh, all else on every device."""
    if mesh is None:
        return jax.ShapeDtypeStruct(shape, dtype)
    spec = PartitionSpec() if member_axis is None else PartitionSpec(*(None,) * member_axis, ("grid", "data"))
    return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, spec))


def _abstract_weights(program: Program, mesh: Any) -> Weights:
    count, width, dtype = program.ensemble, program.width, np.dtype(program.dtype)

    def layer(*fans: int) -> Layer:
        return Layer(_array((count, *fans), dtype, mesh, 0), _array((count, *fans[:-1]), dtype, mesh, 0))

    hidden: Any = tuple(layer(width, width) for _ in range(program.depth - 1))
    if program.stacked:
        shapes = ((program.depth - 1, count, width, width), (program.depth - 1, count, width))
        hidden = Layer(*(_array(shape, dtype, mesh, 1) for shape in shapes))
    return Weights(layer(width, program.input_dim), hidden, layer(width))


def _abstract_state(program: Program, mesh: Any) -> State:
    count = program.ensemble
    weights = _abstract_weights(program, mesh)
    loss = _array((count,), np.dtype(program.dtype), mesh, 0)
    return State(weights, (weights, weights), weights, loss, _array((count,), np.int32, mesh, 0), loss)


def _abstract_resident(program: Program, num_train: int, num_targets: int, mesh: Any) -> tuple[Any, ...]:
    """Shapes, dtypes and places of the arguments of `run_resident`."""
    count, dtype = program.ensemble, np.dtype(program.dtype)
    resident = Resident(
        _array((program.input_dim, num_train), dtype, mesh, None),
        _array((num_targets, num_train), dtype, mesh, None),
        _array((count,), np.int32, mesh, 0),
        _array((program.depth - 1, count), dtype, mesh, 1),
        _array((count,), dtype, mesh, 0),
    )
    rows = _array((program.segment, program.batch_size), np.int32, mesh, None)
    scalars, number = _array((program.segment, 2), dtype, mesh, None), _array((), np.int32, mesh, None)
    return _abstract_state(program, mesh), resident, rows, scalars, number, number


def _abstract(program: Program, mesh: Any) -> tuple[Any, ...]:
    """Shapes, dtypes and places of the arguments of `run`."""
    count, dtype = program.ensemble, np.dtype(program.dtype)

    def array(*shape: int, kind: Any = dtype, member_axis: int | None = None) -> jax.ShapeDtypeStruct:
        return _array(shape, kind, mesh, member_axis)

    number = array(kind=np.int32)
    loss = array(count, member_axis=0)
    segment = Segment(
        array(program.input_dim, program.segment, program.batch_size),
        array(count, program.segment, program.batch_size, member_axis=0),
        array(program.segment, 2),
        number,
        number,
    )
    points = array(program.input_dim, program.num_eval)
    values = array(count, program.num_eval, member_axis=0)
    return _abstract_state(program, mesh), loss, number, segment, points, values


def prepare_jax() -> None:
    """Settings of JAX that a user has left open, made before the first program and not on import.

    Compiled programs are kept, quick ones too.
    On a CPU one thread a device: XLA's own threads make small matrix products slower, by the clock as well.
    """
    devices = max(1, jax.config.values["jax_num_cpu_devices"])
    os.environ.setdefault("PJRT_NPROC", str(devices))  # read when JAX starts its devices
    keep_compiled_programs()
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)  # by default those under 1 s are not kept


def members_a_device(ensemble: int) -> int:
    """`ensemble` rounded up so that every local device has as many members."""
    devices = jax.local_device_count()
    return -(-ensemble // devices) * devices


def _mesh() -> Any:
    """All local devices along the ensemble; None for a single one."""
    devices = jax.local_devices()
    return jax.sharding.Mesh(np.array(devices).reshape(-1, 1), ("grid", "data")) if len(devices) > 1 else None


class Once(Generic[Key, Result]):
    """A function whose results are kept: threads call it for different arguments side by side, for equal ones once."""

    def __init__(self, function: Callable[Key, Result]) -> None:
        self.__doc__, self.__name__, self.__module__ = function.__doc__, function.__name__, function.__module__
        self._cached = lru_cache(maxsize=256)(function)
        self._locks: dict[Any, threading.Lock] = {}

    def __call__(self, *key: Key.args, **named: Key.kwargs) -> Result:
        """What the function gives."""
        with self._locks.setdefault((key, tuple(named.items())), threading.Lock()):
            return self._cached(*key, **named)  # type: ignore[arg-type]  # the lock has hashed them

    def calls(self) -> int:
        """How often the function itself was called."""
        return self._cached.cache_info().misses


def xla_options() -> dict[str, str | bool]:
    """What programs are compiled with: products by one thread, whatever XLA_FLAGS say, so that all rows are equal."""
    return {"xla_cpu_multi_thread_eigen": False} if jax.default_backend() == "cpu" else {}


def compile_for(
    function: Any, program: Any, arguments: Sequence[Any], x64: bool, donate: tuple[int, ...] = (), options: Any = None
) -> Any:
    """`function` with `program`, its first argument, fixed, compiled for `arguments`, which need only be abstract."""
    with jax.enable_x64(x64):
        lowered = jax.jit(function, static_argnums=0, donate_argnums=donate).lower(program, *arguments)
        return lowered.compile(compiler_options=xla_options() if options is None else options)


@Once
def compiled(program: Program) -> Callable[..., State]:
    """`run` with its first argument fixed, compiled once a process and kept by JAX's cache for the next process."""
    return compile_for(run, program, _abstract(program, _mesh()), x64=program.dtype == "float64", donate=(1,))


def place_resident(program: Program, resident: Resident) -> Resident:
    """The arrays of a fit on the devices: members spread over them, all else on each."""
    _, abstract, *_ = _abstract_resident(program, resident.points.shape[1], len(resident.values), _mesh())
    return jax.tree.map(lambda leaf, like: jax.device_put(leaf, like.sharding), resident, abstract)


@Once
def compiled_resident(program: Program, num_train: int, num_targets: int) -> Callable[..., State]:
    """`run_resident` for so many training points and distinct targets, compiled once a process."""
    arguments = _abstract_resident(program, num_train, num_targets, _mesh())
    return compile_for(run_resident, program, arguments, x64=program.dtype == "float64", donate=(1,))


@Once
def compiled_residuals(program: Program, blocks: int, size: int, num_targets: int) -> Callable[..., Moments]:
    """`squared_residuals` for so many blocks of points and distinct targets, compiled once a process."""
    mesh = _mesh()
    arguments = (
        _abstract_weights(program, mesh),
        _array((blocks, program.input_dim, size), np.float64, mesh, None),
        _array((blocks, num_targets, size), np.float64, mesh, None),
        _array((program.ensemble,), np.int32, mesh, 0),
        _array((), np.int32, mesh, None),
    )
    return compile_for(squared_residuals, program, arguments, x64=True)
