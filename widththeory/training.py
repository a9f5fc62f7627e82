"""Train the members of one ensemble from their settings: points, order of the batches, program, best weights."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Float, Int

from widththeory import overlap
from widththeory.compiled import (
    compiled,
    compiled_resident,
    compiled_residuals,
    place_resident,
    start,
    start_from,
    unpack,
)
from widththeory.ensemble import Program, Segment, Weights
from widththeory.models.mlp import initial_network
from widththeory.network import Network
from widththeory.optimizers import step_scalars
from widththeory.regression import NUM_CHECKS, Regression
from widththeory.resident import (
    Moments,
    Resident,
    block_size,
    combine,
    in_blocks,
    initial_weights,
    trained_layers,
)

_MAX_SEGMENT = 500  # steps whose batches are sent to the device at a time
# Streams of random numbers of a data seed. None is 0: numbers of [seed, 0] are those of `seed` alone, and a target that
# is drawn from an equal seed would come from the numbers of its own training points.
_TEST, _ORDER, _TRAIN = 1, 2, 3
# A stacked program saves compiling and costs running time: by measurement it pays up to so many steps times
# (32 + width^2), with the networks of one chunk.
_STACKED_WORK = 2_500_000
_STACKED_DEPTH = 12  # of a program that serves all depths up to it; doubled as often as needed


# The widest layer whose products are written out as sums on a GPU; wider ones are matrix products.
SUMMED_WIDTH = 8


@dataclass(frozen=True)
class Data:
    """Points shared by all members, and each member's values there."""

    train: Float[np.ndarray, "num_train input_dim"]
    test: Float[np.ndarray, "num_test input_dim"]
    train_values: Float[np.ndarray, "member num_train"]
    test_values: list[Float[np.ndarray, "num_test"]]


def sample_data(chunk: Sequence[Regression]) -> Data:
    """The points, which depend on the settings that all members share, and the values of each member's target.

    Raises:
        ValueError: a target or its law gives arrays of another shape than a construction's.
    """
    one = chunk[0]
    train_rng, test_rng = (np.random.default_rng([one.data_seed, part]) for part in (_TRAIN, _TEST))
    dim = one.construction.input_dim
    train = _of_shape(one.construction.sample(one.num_train, train_rng), (one.num_train, dim), one.target, "sample")
    test = _of_shape(one.construction.sample(one.num_test, test_rng), (one.num_test, dim), one.target, "sample")
    distinct = {settings.target_args: settings.construction for settings in chunk}
    values = {
        args: tuple(
            _of_shape(target.target(points), points.shape[:1], one.target, "target") for points in (train, test)
        )
        for args, target in distinct.items()
    }
    rows = [values[settings.target_args] for settings in chunk]
    return Data(train, test, np.stack([row[0] for row in rows]), [row[1] for row in rows])


def _of_shape(array: np.ndarray, shape: tuple[int, ...], target: str, name: str) -> np.ndarray:
    if np.shape(array) != shape:
        raise ValueError(f"{name} of {target} must give an array of shape {shape}, got {np.shape(array)}")
    return array


@dataclass(frozen=True)
class Targets:
    """Points shared by all members, and the values there of each distinct target; `member` says which is whose."""

    train: Float[np.ndarray, "num_train input_dim"]
    test: Float[np.ndarray, "num_test input_dim"]
    train_values: Float[np.ndarray, "target num_train"]
    test_values: Float[np.ndarray, "target num_test"]
    member: Int[np.ndarray, "member"]


def sample_targets(chunk: Sequence[Regression]) -> Targets:
    """What `sample_data` gives, each target once."""
    distinct = list(dict.fromkeys(one.target_args for one in chunk))
    firsts = {one.target_args: one for one in reversed(chunk)}
    data = sample_data([firsts[args] for args in distinct])
    place = {args: index for index, args in enumerate(distinct)}
    member = np.array([place[one.target_args] for one in chunk], np.int32)
    return Targets(data.train, data.test, data.train_values, np.stack(data.test_values), member)


def batch_order(settings: Regression) -> Int[np.ndarray, "num_steps batch_size"]:
    """Indices [num_steps, batch_size] into the training points: shuffled anew each time they are used up."""
    rng = np.random.default_rng([settings.data_seed, _ORDER])
    per_epoch = settings.num_train // settings.batch_size
    epochs = -(-settings.num_steps // per_epoch)
    order = np.empty((epochs * per_epoch, settings.batch_size), np.intp)
    for epoch in range(epochs):
        shuffled = rng.permutation(settings.num_train)[: per_epoch * settings.batch_size]
        order[epoch * per_epoch : (epoch + 1) * per_epoch] = shuffled.reshape(per_epoch, settings.batch_size)
    return order[: settings.num_steps]


def choose_program(settings: Regression, ensemble: int) -> Program:
    """The program for so many members: on a CPU, and for short fits of narrow networks, one that serves many depths."""
    stacked = settings.num_steps * (32 + settings.width**2) <= _STACKED_WORK and jax.default_backend() == "cpu"
    depth = settings.depth
    if stacked:
        depth = _STACKED_DEPTH * 2 ** max(0, math.ceil(math.log2(settings.depth / _STACKED_DEPTH)))
    return _program(settings, ensemble, settings.width, depth, stacked=stacked)


def device_program(settings: Regression, ensemble: int) -> Program:
    """The program for so many members of one class of shapes, their points resident on the device."""
    width, depth = settings.device_shape
    program = _program(settings, ensemble, width, depth, stacked=False)
    return replace(program, products="sum" if width <= SUMMED_WIDTH else "dot")


def _program(settings: Regression, ensemble: int, width: int, depth: int, *, stacked: bool) -> Program:
    return Program(
        ensemble=ensemble,
        input_dim=settings.construction.input_dim,
        width=width,
        depth=depth,
        stacked=stacked,
        optimizer=settings.optimizer,
        batch_size=settings.batch_size,
        segment=min(_MAX_SEGMENT, max(1, -(-settings.num_steps // NUM_CHECKS))),
        num_eval=settings.num_check_points,
        dtype=settings.dtype,
    )


def _segments(settings: Regression, program: Program, data: Data) -> Iterator[Segment]:
    """First a segment of no steps, which measures the initial networks; then all steps."""
    dtype = np.dtype(settings.dtype)
    order = batch_order(settings)
    scalars = step_scalars(settings.optimizer, settings.schedule, settings.num_steps).astype(dtype)
    train, values = data.train.T.astype(dtype), data.train_values.astype(dtype)
    for low, high in pieces(settings.num_steps, program.segment):
        rows, step_values = (filled(part[low:high], program.segment) for part in (order, scalars))
        points = np.take(train, rows, axis=1), np.take(values, rows, axis=1)
        yield Segment(*points, step_values, np.int32(high - low), np.int32(high))


def train(chunk: Sequence[Regression], data: Data) -> tuple[list[Network], list[dict[str, float]]]:
    """Each member's best network, and what is known of its training. Members share all but seeds and learning rate."""
    one = chunk[0]
    program = choose_program(one, len(chunk))
    dtype = np.dtype(one.dtype)
    size, points = one.size, data.train
    networks = [initial_network(size.input_dim, size.widths, init=s.init, seed=s.seed, points=points) for s in chunk]
    rates = np.array([settings.learning_rate for settings in chunk], dtype)
    # Drawn points come in no order, so the first ones are a fair subset of the training points.
    inputs, values = (part[:, : program.num_eval].astype(dtype) for part in (data.train.T, data.train_values))
    with jax.enable_x64(one.dtype == "float64"):
        run = compiled(program)
        state = start(program, networks)
        for segment in _segments(one, program, data):
            state = run(state, rates, np.int32(one.depth), segment, inputs, values)
        state = jax.device_get(state)
    return unpack(program, state.best, one.depth), _notes(state.best_step, state.loss)


def _notes(steps: np.ndarray, losses: np.ndarray) -> list[dict[str, float]]:
    return [
        {"best_step": float(step), "diverged": float(not np.isfinite(loss))}
        for step, loss in zip(steps, losses, strict=True)
    ]


@dataclass(frozen=True)
class Trained:
    """Members after training on a device: best weights, in NumPy, and what is known of each; errors if asked for."""

    weights: Weights
    notes: list[dict[str, float]]
    train_errors: Moments | None
    test_errors: Moments | None


class DeviceFit:
    """The fit of one chunk of members, which share a class of shapes, on the device.

    Making it compiles and draws, which threads may do side by side; `train` is for one thread at a time.

    Args:
        chunk: settings of the members.
        data: their points and targets.
        errors: whether their errors on all points are measured on the device too.
    """

    def __init__(self, chunk: Sequence[Regression], data: Targets, *, errors: bool) -> None:
        self.chunk, self.data, self.errors = chunk, data, errors
        self.program = device_program(chunk[0], len(chunk))
        # Filled up to a power of two, so that the number of targets seldom makes a new program.
        count = 2 ** math.ceil(math.log2(len(data.train_values)))
        self._fill = ((0, count - len(data.train_values)), (0, 0))
        self._run = compiled_resident(self.program, chunk[0].num_train, count)
        if errors:
            for points in (data.train, data.test):
                self._residuals(len(points))
        one, dtype = chunk[0], np.dtype(chunk[0].dtype)
        rates = np.array([settings.learning_rate for settings in chunk], dtype)
        values = np.pad(data.train_values, self._fill).astype(dtype)
        with jax.enable_x64(one.dtype == "float64"):
            layers = trained_layers(self.program, chunk)
            self._start = start_from(self.program, initial_weights(self.program, chunk, data.train))
        self._resident = Resident(data.train.T.astype(dtype), values, data.member, layers, rates)
        self._order = batch_order(one).astype(np.int32)
        self._scalars = step_scalars(one.optimizer, one.schedule, one.num_steps).astype(dtype)

    def train(self) -> Trained:
        """Train all members, and measure them."""
        one, program, data, length = self.chunk[0], self.program, self.data, self.program.segment
        with jax.enable_x64(one.dtype == "float64"):
            resident, state = place_resident(program, self._resident), self._start
            for low, high in pieces(one.num_steps, length):
                overlap.go_on()
                rows, scalars = (filled(part[low:high], length) for part in (self._order, self._scalars))
                state = self._run(state, resident, rows, scalars, np.int32(high - low), np.int32(high))
        measured: list[Moments | None] = [None, None]
        if self.errors:
            parts = ((data.train, data.train_values), (data.test, data.test_values))
            measured = [self._measure(state.best, *part) for part in parts]
        best, step, loss = jax.device_get((state.best, state.best_step, state.loss))
        return Trained(best, _notes(step, loss), *measured)

    def _residuals(self, num_points: int) -> Callable[..., Moments]:
        size = block_size(self.program, num_points)
        return compiled_residuals(
            self.program, -(-num_points // size), size, self._fill[0][1] + len(self.data.train_values)
        )

    def _measure(self, weights: Weights, points: np.ndarray, values: np.ndarray) -> Moments:
        size = block_size(self.program, len(points))
        blocks = in_blocks(points.T, size), in_blocks(np.pad(values, self._fill), size)
        with jax.enable_x64(True):
            moments = self._residuals(len(points))(weights, *blocks, self.data.member, np.int32(len(points)))
            return combine(jax.device_get(moments))


def pieces(num_steps: int, length: int, begun: int | None = None) -> Iterator[tuple[int, int]]:
    """From where to where segments go; first (0, 0), after which the initial networks are measured, unless `begun`."""
    if begun is None:
        yield 0, 0
    for begin in range(begun or 0, num_steps, length):
        yield begin, min(begin + length, num_steps)


def filled(rows: np.ndarray, length: int) -> np.ndarray:
    """`rows` with zeros after them, `length` in all."""
    return np.pad(rows, ((0, length - len(rows)), (0, 0)))
