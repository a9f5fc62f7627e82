"""The settings of one fit of a ReLU network to the target of a construction."""

import dataclasses
import json
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np

from widththeory.models.cost import forward_flops
from widththeory.models.mlp import HINGED, check_initializer
from widththeory.named import build, named_dataclass
from widththeory.optimizers import OPTIMIZERS, SCHEDULES
from widththeory.typing import Construction, Size, check_positive, check_positive_int

Scalar = int | float | str | bool

NUM_CHECKS = 20  # times a fit looks at its training loss
_MAX_CHECK_POINTS = 1024
# On a GPU the compiler's time is the larger part of small grids: shapes share a program with those of their class.
_WIDTH_CLASSES = (4, 8, 16, 32, 48, 64)  # and then 2^k and 3 * 2^k
_DEPTH_CLASSES = (1, 2, 4, 8, 12, 16)
_FULL_DEVICE = 2**24  # units times points of a hidden layer, all networks together, that keep a large GPU busy
_MAX_MEMBERS = 8192


@dataclass(frozen=True)
class Regression:
    """Settings of one fit of a ReLU network to a construction's target, in mean square under the construction's law.

    Args:
        target: "module.Class" inside `widththeory.constructions`, or a construction of your own,
            "package.module:Class", in a module that is imported.
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
        init: "lecun", "he", "glorot", or "hinged", see `models.mlp.initial_network`.
        dtype: "float32" or "float64", of the training; errors are always measured in float64.
        keep_weights: whether the measurement carries the weights.
        exact_plane: whether errors of two inputs are measured exactly too, which takes up to a second a fit.

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
    exact_plane: bool = False

    def __post_init__(self) -> None:
        for name in ("width", "depth", "batch_size", "num_train", "num_test"):
            check_positive_int(name, getattr(self, name))
        for name in ("seed", "num_steps", "polish_steps", "data_seed"):
            check_positive_int(name, getattr(self, name), at_least=0)
        if self.batch_size > self.num_train:
            raise ValueError(f"batch_size must be at most num_train = {self.num_train}, got {self.batch_size}")
        check_positive("learning_rate", self.learning_rate)
        if self.init != HINGED:
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
    def num_check_points(self) -> int:
        """Training points at which the loss is checked on the way."""
        return min(self.num_train, _MAX_CHECK_POINTS)

    @property
    def cost(self) -> float:
        """Floating-point operations of the fit, by formula: training, its checks, polish and final measurement."""
        checks = NUM_CHECKS * self.num_check_points
        points = 3 * self.num_steps * self.batch_size + checks + self.num_train + self.num_test
        points += 3 * self.polish_steps * self.num_train
        return float(forward_flops(self.size) * points)

    @property
    def chunk_size(self) -> int:
        """Networks to train side by side: narrow ones share overheads, wide ones are faster few at a time."""
        if self.width <= 12:
            return 16
        return 5 if self.width <= 48 else 3

    @property
    def member_bytes(self) -> int:
        """Memory of one network of an ensemble while it is trained: weights, moments, hidden values, batches."""
        width, depth = self.device_shape
        params = Size(self.construction.input_dim, (width,) * depth).num_params
        hidden = width * (3 * depth * self.batch_size + 4 * self.num_check_points)
        batches = self.batch_size * max(1, min(500, self.num_steps // NUM_CHECKS))
        values = self.num_train + self.num_test
        return int(np.dtype(self.dtype).itemsize * (8 * params + hidden + batches) + 8 * values)

    @property
    def device_shape(self) -> tuple[int, int]:
        """Width and depth of the program that fits this network on a GPU, filled up with zeros and identities."""
        return _in_class(self.width, _WIDTH_CLASSES), _in_class(self.depth, _DEPTH_CLASSES)

    def device_chunk_size(self, memory: float) -> int:
        """Networks to train side by side on a GPU with so many bytes of memory: what keeps it busy, and fits twice."""
        width, _ = self.device_shape
        most = min(_MAX_MEMBERS, _FULL_DEVICE // (width * self.batch_size), int(memory / 2 / self.member_bytes))
        return int(2 ** math.floor(math.log2(max(most, 1))))

    @property
    def device_program_key(self) -> str:
        """Equal for fits that share their program on a GPU, and their points: shapes of one class go together."""
        width, depth = self.device_shape
        values = json.loads(self.program_key) | {"width": width, "depth": depth}
        return "device " + json.dumps(values, sort_keys=True)

    @property
    def program_key(self) -> str:
        """Equal for fits that share their program and their points: all settings but the two seeds and the rate."""
        values = dataclasses.asdict(self)
        del values["seed"], values["learning_rate"]
        values["target_args"] = [[name, value] for name, value in self.target_args if name != "seed"]
        return json.dumps(values, sort_keys=True)

    @property
    def twin_key(self) -> str:
        """Equal for fits whose programs differ in what they are fitted to alone: they are compiled to the same code."""
        values = json.loads(self.program_key)
        del values["target"]
        values["target_args"] = [[name, value] for name, value in self.target_args if name == "input_dim"]
        return json.dumps(values, sort_keys=True)


def _in_class(size: int, classes: tuple[int, ...]) -> int:
    """The smallest class that holds `size`."""
    steps = (factor * 2**power for power in range(2, 40) for factor in (2, 3))
    return next(one for one in (*classes, *(step for step in steps if step > classes[-1])) if one >= size)


@lru_cache(maxsize=1024)
def _construct(target: str, target_args: tuple[tuple[str, Scalar], ...]) -> Construction:
    construction = build("target", target, named_dataclass("target", target, "constructions"), dict(target_args))
    lacking = [name for name in ("input_dim", "target", "sample") if not hasattr(construction, name)]
    if lacking:
        raise ValueError(f"target must be a construction, but {target} lacks {', '.join(lacking)}")
    return cast(Construction, construction)
