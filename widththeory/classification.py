"""The settings of one fit of an image classifier."""

import dataclasses
import json
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from widththeory.images.record import Images, Outline
from widththeory.models.layers import Architecture
from widththeory.named import build, named_dataclass
from widththeory.optimizers import SCHEDULES
from widththeory.typing import as_tuples, check_positive, check_positive_int

Value = int | float | str | bool | None | tuple
Arguments = tuple[tuple[str, Value], ...]

OPTIMIZERS = ("sgd", "adam")
AUGMENTATIONS = ("none", "crop", "crop_flip")
DTYPES = ("float32", "bfloat16", "float64")
MAX_TRAIN_EVAL = 2048  # training images on which the last weights are measured

_FROM_IMAGES = ("image_size", "num_classes", "in_channels")
# On a CPU the fits of a chunk run in turn: so many floating-point operations, some 15 s, are worth handing out.
_CPU_CHUNK = 4e11
# On a GPU they run side by side: so many multiply-adds, of an image in all networks, keep it busy.
_GPU_CHUNK = 2e8
_MOST_ON_GPU = 64


@dataclass(frozen=True)
class Classification:
    """Settings of one fit of a network to a classification of images, by cross-entropy.

    A batch normalisation's running statistics are those of the training batches; the last weights are measured.

    Args:
        images: "module.Class" inside `widththeory.images`, or a data set of your own, "package.module:Class", in a
            module that is imported.
        images_args: the class's arguments as sorted (name, value) pairs.
        model: the same of `widththeory.models`.
        model_args: the class's arguments as sorted pairs; image_size, num_classes and in_channels are those of the
            images unless given.
        seed: of the initial weights, of the order of the images and of their augmentation.
        learning_rate: positive; the largest of the schedule.
        num_steps: of the optimiser; 0 measures the initial network.
        batch_size: images a step, drawn without replacement until fewer are left.
        optimizer: "sgd", with Nesterov momentum 0.9, or "adam".
        schedule: "cosine" (to zero at the last step) or "constant", both after the warm-up.
        warmup_steps: over which the rate grows linearly.
        weight_decay: w adds (w / 2) |kernel|^2 for each kernel to the loss; biases and normalisations are left alone.
        label_smoothing: s trains towards probability 1 - s + s / num_classes of the image's class.
        augment: "none"; "crop": padded by 4 pixels of the mean colour and cropped to the old size at random; or
            "crop_flip": mirrored at random as well, which textures must not be, as their classes are orientations.
        compute_dtype: "float32" or "bfloat16", of the layers; weights, running statistics and the loss are float32.
            "float64" is for comparisons: then all is.
        num_checks: how often the test accuracy is measured, evenly spaced, the last time after the last step.
        keep_weights: whether the measurement carries the first layer's filters.

    Raises:
        ValueError: an argument outside these ranges, unknown images or model, fewer images than a batch. Published
            images need not be there before they are loaded.
    """

    images: str
    images_args: Arguments
    model: str
    model_args: Arguments
    seed: int
    learning_rate: float
    num_steps: int
    batch_size: int
    optimizer: str = "sgd"
    schedule: str = "cosine"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    augment: str = "none"
    compute_dtype: str = "float32"
    num_checks: int = 1
    keep_weights: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "num_checks"):
            check_positive_int(name, getattr(self, name))
        for name in ("seed", "num_steps", "warmup_steps"):
            check_positive_int(name, getattr(self, name), at_least=0)
        check_positive("learning_rate", self.learning_rate)
        if not (self.weight_decay >= 0 and math.isfinite(self.weight_decay)):
            raise ValueError(f"weight_decay must be at least 0 and finite, got {self.weight_decay!r}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {self.label_smoothing!r}")
        for name, allowed in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("augment", AUGMENTATIONS),
            ("compute_dtype", DTYPES),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {list(allowed)}, got {getattr(self, name)!r}")
        if self.augment == "crop_flip" and self.images.startswith("textures."):
            raise ValueError("augment must not mirror textures, whose classes are orientations: take 'crop'")
        if self.num_steps and self.warmup_steps >= self.num_steps:
            raise ValueError(f"warmup_steps must be under num_steps = {self.num_steps}, got {self.warmup_steps}")
        if self.num_checks > max(self.num_steps, 1):
            raise ValueError(f"num_checks must be at most num_steps = {self.num_steps}, got {self.num_checks}")
        for name in ("images_args", "model_args"):
            object.__setattr__(self, name, tuple(sorted((str(k), as_tuples(v)) for k, v in getattr(self, name))))
        self.architecture  # noqa: B018  an unknown model, unknown images or a wrong argument is said here
        self.outline.check_batch(self.batch_size)

    @property
    def data(self) -> Images:
        """The images, loaded once a process."""
        return load_images(self.images, self.images_args)

    def check_there(self) -> None:
        """Raises DataError where the images are known not to be there, or to be damaged."""
        source = _make("images", self.images, self.images_args, "load")
        if hasattr(source, "check_there"):
            source.check_there()

    @property
    def outline(self) -> Outline:
        """How many images there are and of which shape; published sets need not be there for it."""
        return _outline(self.images, self.images_args)

    @property
    def architecture(self) -> Architecture:
        """The network that is fitted."""
        return _architecture(self.images, self.images_args, self.model, self.model_args)

    @property
    def check_steps(self) -> tuple[int, ...]:
        """After how many steps the test accuracy is measured."""
        return tuple((k + 1) * self.num_steps // self.num_checks for k in range(self.num_checks))

    @property
    def cost(self) -> float:
        """Floating-point operations of the fit, by formula: training, checks and final measurement."""
        data = self.outline
        images = 3 * self.num_steps * self.batch_size + self.num_checks * data.num_test
        images += min(data.num_train, MAX_TRAIN_EVAL)
        return 2.0 * images * self.architecture.cost().multiply_adds

    @property
    def chunk_size(self) -> int:
        """Fits of a chunk on a CPU: many short ones, few long ones."""
        return max(1, min(8, int(_CPU_CHUNK / self.cost)))

    def device_chunk_size(self, memory: float) -> int:
        """Networks to train side by side on a GPU: many narrow ones, few wide ones, which need less than `memory`."""
        work = self.architecture.cost().multiply_adds
        return max(1, min(_MOST_ON_GPU, int(_GPU_CHUNK / work)))

    @property
    def program_key(self) -> str:
        """Equal for fits that share their program and images: all settings but seed, learning rate and decay."""
        values = dataclasses.asdict(self)
        del values["seed"], values["learning_rate"], values["weight_decay"]
        return json.dumps(values, sort_keys=True)

    @property
    def twin_key(self) -> str:
        """Equal for fits whose programs differ in the images alone: as a rule they are compiled to the same code."""
        values = json.loads(self.program_key)
        del values["images"], values["images_args"]
        return json.dumps(values, sort_keys=True)


@lru_cache(maxsize=8)
def load_images(images: str, images_args: Arguments) -> Images:
    """The images of a data set, kept for the next to ask. Raises as `Classification` does."""
    source = _make("images", images, images_args, "load")
    loaded = source.load()
    if not isinstance(loaded, Images):
        raise ValueError(f"images must be a data set, but {images} does not load images")
    return loaded


@lru_cache(maxsize=1024)
def _outline(images: str, images_args: Arguments) -> Outline:
    source = _make("images", images, images_args, "load")
    return source.outline if hasattr(source, "outline") else load_images(images, images_args).outline


@lru_cache(maxsize=1024)
def _architecture(images: str, images_args: Arguments, model: str, model_args: Arguments) -> Architecture:
    kind = named_dataclass("model", model, "models", ("build",))  # before anything is loaded
    data = _outline(images, images_args)
    given = {name: getattr(data, name) for name in _FROM_IMAGES} | dict(model_args)
    architecture: Any = build("model", model, kind, given)
    for name in ("image_size", "in_channels"):
        if getattr(architecture, name) != getattr(data, name):
            raise ValueError(
                f"model_args must suit the images: {name} is {getattr(architecture, name)}, "
                f"that of {data.source} is {getattr(data, name)}"
            )
    if architecture.num_classes < data.num_classes:
        raise ValueError(
            f"model_args must suit the images: num_classes is {architecture.num_classes}, "
            f"{data.source} has {data.num_classes}"
        )
    return architecture


def _make(name: str, which: str, arguments: Arguments, method: str) -> Any:
    return build(name, which, named_dataclass(name, which, name, (method,)), dict(arguments))
