"""Compile an ensemble's program once, place its arrays on all local devices, and take networks in and out of it."""

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from widththeory.ensemble import Layer, Program, Segment, State, Weights, run
from widththeory.network import Network


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
    weights = pack(program, networks)
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


def _abstract(program: Program, mesh: Any) -> tuple[Any, ...]:
    """Shapes, dtypes and places of the arguments of `run`."""
    count, dtype = program.ensemble, np.dtype(program.dtype)

    def array(*shape: int, kind: Any = dtype, member_axis: int | None = None) -> jax.ShapeDtypeStruct:
        return _array(shape, kind, mesh, member_axis)

    weights, number = _abstract_weights(program, mesh), array(kind=np.int32)
    loss, step = array(count, member_axis=0), array(count, kind=np.int32, member_axis=0)
    segment = Segment(
        array(program.input_dim, program.segment, program.batch_size),
        array(count, program.segment, program.batch_size, member_axis=0),
        array(program.segment, 2),
        number,
        number,
    )
    points = array(program.input_dim, program.num_eval)
    values = array(count, program.num_eval, member_axis=0)
    return State(weights, (weights, weights), weights, loss, step, loss), loss, number, segment, points, values


def prepare_jax() -> None:
    """Settings of JAX that a user has left open, made before the first program and not on import.

    Compiled programs are kept in the user's cache folder (`JAX_COMPILATION_CACHE_DIR` says where else), quick ones too.
    On a CPU one thread a device: XLA's own threads make small matrix products slower, by the clock as well.
    """
    devices = max(1, jax.config.values["jax_num_cpu_devices"])
    os.environ.setdefault("PJRT_NPROC", str(devices))  # read when JAX starts its devices
    if jax.config.values["jax_compilation_cache_dir"] is None:
        from jax.experimental.compilation_cache import compilation_cache

        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(cache / "widththeory" / "jax"))
        compilation_cache.reset_cache()  # an earlier compilation may have settled that there is none
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)  # by default those under 1 s are not kept


def members_a_device(ensemble: int) -> int:
    """`ensemble` rounded up so that every local device has as many members."""
    devices = jax.local_device_count()
    return -(-ensemble // devices) * devices


@lru_cache(maxsize=256)
def compiled(program: Program) -> Callable[..., State]:
    """`run` with its first argument fixed, compiled once a process and kept by JAX's cache for the next process."""
    devices = jax.local_devices()
    mesh = jax.sharding.Mesh(np.array(devices).reshape(-1, 1), ("grid", "data")) if len(devices) > 1 else None
    with jax.enable_x64(program.dtype == "float64"):
        return jax.jit(run, static_argnums=0, donate_argnums=1).lower(program, *_abstract(program, mesh)).compile()
