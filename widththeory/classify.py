"""Fit image classifiers: `measure` runs fits that share a program and their images, side by side or in turn."""

import io
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import jax
import numpy as np
from jaxtyping import Float, Int32, UInt8

from widththeory import image_programs, overlap
from widththeory.classification import MAX_TRAIN_EVAL, Arguments, Classification, load_images
from widththeory.compiled import prepare_jax
from widththeory.image_training import Bytes, Program, State
from widththeory.models.functional import first_kernel
from widththeory.snapshots import Snapshots
from widththeory.typing import check_positive_int

__all__ = ["Classification", "Measurement", "load_filters", "measure"]

LARGEST_LOSS = 1e9  # stands for a loss that is larger or not a number: metrics are finite

_CPU_BATCH, _GPU_BATCH = 128, 1024  # images measured at once: as many as the cache holds; as many as keep a GPU busy
_SUBSET = 3  # stream of random numbers


@dataclass(frozen=True)
class Measurement:
    """What one fit gave.

    Args:
        settings: of the fit.
        metrics: finite numbers by name, of the last weights: `train_loss`, `train_accuracy`, `test_loss`,
            `test_accuracy` with its binomial `test_accuracy_stderr`, and `accuracy_at_<step>`, on test images, for each
            check. Losses are cross-entropies without smoothing; at most MAX_TRAIN_EVAL training images are measured, as
            they are. `diverged` is 1 if a loss is no number: then LARGEST_LOSS stands for it. `num_params` and
            `multiply_adds`, of an image forward, are by formula. `step_seconds` is run time a step without compiling,
            CPU time on a CPU and else by the clock; `seconds` is that of everything.
        weights: the first layer's filters, with `keep_weights`; `load_filters` reads them.
    """

    settings: Classification
    metrics: dict[str, float]
    weights: bytes | None = field(default=None, repr=False)


def save_filters(kernel: Float[np.ndarray, "height width channels filters"]) -> bytes:
    """The first layer's filters as the bytes of an .npy file."""
    blob = io.BytesIO()
    np.save(blob, np.asarray(kernel), allow_pickle=False)
    return blob.getvalue()


def load_filters(blob: bytes) -> Float[np.ndarray, "height width channels filters"]:
    """The filters that `save_filters` wrote, which a measurement has as its `weights`; nothing is unpickled.

    Raises:
        ValueError: bytes that are not such a file.
    """
    try:
        kernel: np.ndarray = np.lib.format.read_array(io.BytesIO(blob), allow_pickle=False)
    except ValueError:
        raise
    except Exception as error:  # of a header that promises more than there is, or that no parser of Python's takes
        raise ValueError(f"filters must be the bytes of an .npy file: {error}") from error
    if kernel.ndim != 4:
        raise ValueError(f"filters must have four axes, got {kernel.ndim}")
    return kernel


@dataclass(frozen=True)
class Pool:
    """Images to be measured."""

    images: UInt8[np.ndarray, "num height width channels"]
    labels: Int32[np.ndarray, "num"]


@dataclass(frozen=True)
class Ready:
    """Images as a fit uses them: for training; those for training that are measured, drawn at random; for testing."""

    train: Bytes
    some: Pool
    test: Pool


@lru_cache(maxsize=4)
def _ready(images: str, images_args: Arguments, dtype: str) -> Ready:
    data = load_images(images, images_args)
    mean, std = data.mean_and_std()
    # A channel that is the same everywhere has no deviation; it stays zero whatever it is divided by.
    scale = tuple(part.astype(dtype) for part in (mean, np.maximum(std, 1 / 255)))
    some = np.sort(np.random.default_rng([0, _SUBSET]).permutation(len(data.train))[:MAX_TRAIN_EVAL])
    return Ready(
        Bytes(data.train, data.train_labels, *scale),
        Pool(data.train[some], data.train_labels[some]),
        Pool(data.test, data.test_labels),
    )


class _Fit:
    """Training and measuring as many networks as a program has places."""

    def __init__(self, program: Program, chunk: Sequence[Classification]) -> None:
        one, dtype = chunk[0], program.network.param_dtype
        self.program, self.chunk = program, chunk
        self.ready = _ready(one.images, one.images_args, dtype)
        self.rates = np.array([fit.learning_rate for fit in chunk], dtype)
        self.decays = np.array([fit.weight_decay for fit in chunk], dtype)
        self.state = image_programs.start(program, chunk)
        self.step, self.spent = 0, 0.0
        self.curves = np.zeros((len(chunk), len(one.check_steps)))

    def train(self, snapshots: Snapshots) -> None:
        """All steps that are not done yet."""
        one, checks = self.chunk[0], self.chunk[0].check_steps
        function = image_programs.compiled_run(self.program, len(self.ready.train.images))
        data = image_programs.on_device(self.program, self.ready.train)
        segments = image_programs.segments(self.program, self.chunk, self.step)
        coming = next(segments, None)
        while coming is not None:
            overlap.go_on()
            segment, self.step = coming
            began, clock = _seconds(), time.monotonic()
            self.state = function(self.state, self.rates, self.decays, segment, data)
            coming = next(segments, None)  # drawn here while the device is busy
            jax.block_until_ready(self.state.loss)
            self.spent += _seconds() - began
            if self.step in checks and self.step < one.num_steps:
                self.curves[:, checks.index(self.step)] = self.accuracy(self.ready.test)[1]
            if coming is not None and snapshots.due(time.monotonic() - clock):
                snapshots.save(self.step, self.arrays())

    def accuracy(self, pool: Pool) -> tuple[np.ndarray, np.ndarray]:
        """Mean loss and accuracy of each member."""
        found = list(_measured(self.program, self.state, pool, self.ready.train))
        losses, right = (np.concatenate([both[part] for both in found], axis=1, dtype=np.float64) for part in (0, 1))
        return losses.mean(axis=1), right.mean(axis=1)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that changes while the fit runs."""
        leaves = jax.tree.leaves(jax.device_get(self.state))
        notes = {"step": np.array([self.step]), "spent": np.array([self.spent]), "curves": self.curves}
        return {f"state.{index:05}": np.asarray(leaf) for index, leaf in enumerate(leaves)} | notes

    def go_on(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        """Take up what `arrays` gave at a step."""
        leaves = [array for name, array in sorted(arrays.items()) if name.startswith("state.")]
        self.state = jax.tree.unflatten(jax.tree.structure(self.state), leaves)
        self.step, self.spent, self.curves = step, float(arrays["spent"][0]), arrays["curves"]

    def results(self) -> Iterator[dict[str, float]]:
        """Metrics of each member."""
        one = self.chunk[0]
        cost = one.architecture.cost()
        train_losses, train_accuracies = self.accuracy(self.ready.some)
        test_losses, self.curves[:, -1] = self.accuracy(self.ready.test)
        last = np.asarray(self.state.loss)
        for member, curve in enumerate(self.curves):
            accuracy = float(curve[-1])
            losses = train_losses[member], test_losses[member], last[member]
            yield {
                "train_loss": _finite(train_losses[member]),
                "train_accuracy": float(train_accuracies[member]),
                "test_loss": _finite(test_losses[member]),
                "test_accuracy": accuracy,
                "test_accuracy_stderr": math.sqrt(accuracy * (1 - accuracy) / len(self.ready.test.labels)),
                "diverged": float(not np.isfinite(losses).all()),
                "num_params": float(cost.num_params),
                "multiply_adds": float(cost.multiply_adds),
                "step_seconds": self.spent / max(one.num_steps, 1) / self.program.ensemble,
            } | {f"accuracy_at_{step}": float(at) for step, at in zip(one.check_steps, curve, strict=True)}


def _measured(program: Program, state: State, pool: Pool, train: Bytes) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Losses and rightness of a batch of images after the other, members first."""
    batch = _batch(program)
    function = image_programs.compiled_evaluate(program, batch)
    for begin in range(0, len(pool.images), batch):
        images, labels = (part[begin : begin + batch] for part in (pool.images, pool.labels))
        number = len(images)
        if number < batch:
            images = np.pad(images, ((0, batch - number), (0, 0), (0, 0), (0, 0)))
            labels = np.pad(labels, (0, batch - number))
        losses, right = function(state.params, state.stats, images, labels, train.mean, train.std)
        yield np.asarray(losses)[:, :number], np.asarray(right)[:, :number]


def _batch(program: Program) -> int:
    """Images measured at once."""
    return _CPU_BATCH if jax.default_backend() == "cpu" else max(_CPU_BATCH, _GPU_BATCH // program.ensemble)


def _finite(loss: float) -> float:
    return float(loss) if loss < LARGEST_LOSS else LARGEST_LOSS


def _seconds() -> float:
    return time.process_time() if jax.default_backend() == "cpu" else time.perf_counter()


def _measure_members(
    program: Program, members: list[Classification], turns: int
) -> tuple[list[Measurement], Snapshots]:
    """What members side by side gave, as one of so many turns, and their snapshots, to be removed after the last."""
    chunk = members + [members[-1]] * (program.ensemble - len(members))
    with overlap.device():
        began, clock = _seconds(), time.monotonic()
        fit, snapshots = _Fit(program, chunk), Snapshots(image_programs.identity(program, chunk))
        if kept := snapshots.load(fit.arrays()):
            fit.go_on(*kept)
        if fit.step < members[0].num_steps:
            fit.train(snapshots)
            # Nothing of a call is written down before its last turn: of long ones each turn is kept until then.
            if turns > 1 and turns * (time.monotonic() - clock) >= snapshots.interval:
                snapshots.save(fit.step, fit.arrays())
        metrics = list(fit.results())[: len(members)]
        filters = np.asarray(first_kernel(fit.state.params)) if members[0].keep_weights else [None] * len(members)
        seconds = (_seconds() - began) / len(members)
    found = [
        Measurement(settings, one | {"seconds": seconds}, None if kernel is None else save_filters(kernel))
        for settings, one, kernel in zip(members, metrics, filters, strict=False)
    ]
    return found, snapshots


def measure(settings: Sequence[Classification], chunk_size: int | None = None) -> list[Measurement]:
    """Run fits that share one `program_key`; where there is a GPU `chunk_size` at a time, the last filled up by copies.

    Without a chunk size, that of the settings.

    On a CPU the fits of a chunk run in turn, and no result depends on `chunk_size`. Fits that are killed, in whichever
    turn, go on from their last snapshots, at most about a minute old, when they are asked for again.

    Raises:
        ValueError: no fits, fits of different `program_key`, or `chunk_size` less than 1; DataError, which is one,
            where the images are not there or damaged.
    """
    if not settings:
        raise ValueError("settings must hold at least one fit, got none")
    chunk_size = check_positive_int("chunk_size", settings[0].chunk_size if chunk_size is None else chunk_size)
    keys = {one.program_key for one in settings}
    if len(keys) != 1:
        raise ValueError(f"settings must share one program_key, got {len(keys)} different ones")
    prepare_jax()
    program = image_programs.choose_program(settings[0], chunk_size)
    with jax.enable_x64(program.network.param_dtype == "float64"):
        image_programs.compiled_evaluate(program, _batch(program))  # before the clock of the first fit starts
        if settings[0].num_steps:
            image_programs.compiled_run(program, len(settings[0].data.train))
        begins = range(0, len(settings), program.ensemble)
        done = [
            _measure_members(program, list(settings[begin : begin + program.ensemble]), len(begins)) for begin in begins
        ]
    for _, snapshots in done:
        snapshots.remove()
    return [measurement for found, _ in done for measurement in found]
