"""The parts that convolutional networks are put together from, and how an architecture's arguments are checked."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from widththeory.models.activation import Activation, growth
from widththeory.models.convolution import HE_NORMAL, Conv, Maps, average_pool, check_method, global_average, max_pool
from widththeory.models.cost import Cost
from widththeory.typing import check_positive_int

STEMS = ("imagenet", "cifar")


class MaxPool(nnx.Module):
    """The largest value of each window."""

    def __init__(self, window: int, strides: int, padding: int = 0):
        self.window, self.strides, self.padding = window, strides, padding

    def __call__(self, maps: Maps) -> Maps:
        return max_pool(maps, self.window, self.strides, self.padding)


class AveragePool(nnx.Module):
    """The mean of each window, zeros beyond the border counted in."""

    def __init__(self, window: int, strides: int, padding: int = 0):
        self.window, self.strides, self.padding = window, strides, padding

    def __call__(self, maps: Maps) -> Maps:
        return average_pool(maps, self.window, self.strides, self.padding)


class GlobalAverage(nnx.Module):
    """The mean over all pixels."""

    def __call__(self, maps: Maps) -> jax.Array:
        return global_average(maps)


class Flatten(nnx.Module):
    """All numbers of an image in one row."""

    def __call__(self, maps: Maps) -> jax.Array:
        return maps.reshape(maps.shape[0], -1)


@dataclass(frozen=True)
class Layers:
    """Makes the layers of one network, all by one method and in one dtype.

    Args:
        rngs: the network's random streams.
        activation: "relu" or "crelu".
        method: of the convolutions, see `convolve`.
        dtype: of the computation; None takes it from images and weights, which then must be of one.
        param_dtype: of kernels, biases, scales, shifts and, where it is at least float32, of running statistics.
    """

    rngs: nnx.Rngs
    activation: str = "relu"
    method: str = "native"
    dtype: Any = None
    param_dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        growth(self.activation)
        check_method(self.method)

    def conv(self, in_features: int, out_features: int, kernel_size: int, strides: int = 1, **rest: Any) -> Conv:
        """A convolution, He's law; `rest` as `Conv` has it."""
        return Conv(
            in_features,
            out_features,
            kernel_size,
            strides,
            method=self.method,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
            rngs=self.rngs,
            **rest,
        )

    def norm(self, features: int) -> nnx.BatchNorm:
        """A batch normalisation, of whose running statistics a step replaces a tenth."""
        norm = nnx.BatchNorm(
            features, momentum=0.9, epsilon=1e-5, dtype=self.dtype, param_dtype=self.param_dtype, rngs=self.rngs
        )
        # Flax keeps running statistics in float32, and a float64 step may not write to them.
        kept = jnp.promote_types(self.param_dtype, jnp.float32)
        norm.mean = nnx.BatchStat(jnp.zeros((features,), kept))
        norm.var = nnx.BatchStat(jnp.ones((features,), kept))
        return norm

    def act(self, groups: int = 1) -> Activation:
        """The network's activation."""
        return Activation(self.activation, groups)

    def conv_norm(self, in_features: int, out_features: int, kernel_size: int, strides: int = 1, **rest: Any) -> list:
        """A convolution without bias and its normalisation."""
        return [self.conv(in_features, out_features, kernel_size, strides, **rest), self.norm(out_features)]

    def conv_norm_act(
        self, in_features: int, out_features: int, kernel_size: int, strides: int = 1, **rest: Any
    ) -> list:
        """A convolution without bias, its normalisation, the activation."""
        return [*self.conv_norm(in_features, out_features, kernel_size, strides, **rest), self.act()]

    def dense(self, in_features: int, out_features: int) -> nnx.Linear:
        """A dense layer with bias, He's law."""
        return nnx.Linear(
            in_features,
            out_features,
            kernel_init=HE_NORMAL,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
            rngs=self.rngs,
        )

    def head(self, in_features: int, widths: Sequence[int], num_classes: int) -> list:
        """Hidden dense layers of these widths, each with its activation, and the dense layer of the logits."""
        layers: list[Any] = []
        for width in widths:
            layers += [self.dense(in_features, width), self.act()]
            in_features = width * growth(self.activation)
        return [*layers, self.dense(in_features, num_classes)]


@dataclass(frozen=True)
class Architecture(ABC):
    """A network as data: what goes in, what comes out, and the activation; its kinds add their widths.

    What it builds is a Flax module from images [batch, image_size, image_size, in_channels] to logits [batch,
    num_classes]. Where there is batch normalisation, `model.train()` makes it use the statistics of the batch and move
    the running ones, which are `nnx.BatchStat`; `model.eval()` makes it use the running ones. A module is built in
    training mode. There is no dropout, so that a step has no randomness besides its batch.

    Args:
        image_size: pixels along a side.
        num_classes: logits, at least 2.
        in_channels: 3 for colours, 1 for grey.
        activation: "relu", or "crelu", which doubles the channels that the next layer takes.
    """

    image_size: int
    num_classes: int
    in_channels: int = 3
    activation: str = "relu"

    def __post_init__(self) -> None:
        check_positive_int("image_size", self.image_size)
        check_positive_int("num_classes", self.num_classes, at_least=2)
        check_positive_int("in_channels", self.in_channels)
        growth(self.activation)

    @property
    def growth(self) -> int:
        """By how much the activation multiplies the channels."""
        return growth(self.activation)

    @abstractmethod
    def build(
        self, rngs: nnx.Rngs, method: str = "native", dtype: Any = None, param_dtype: Any = jnp.float32
    ) -> nnx.Sequential:
        """The module; arguments as in `Layers`."""

    @abstractmethod
    def cost(self) -> Cost:
        """Parameters and multiply-adds by formula."""


def check_widths(name: str, widths: Sequence[int], length: int | None = None) -> None:
    """Raise ValueError unless `widths` are positive integers, at least one, and `length` of them."""
    if length is not None and len(widths) != length:
        raise ValueError(f"{name} must hold {length} numbers, got {len(widths)}: {tuple(widths)}")
    if not widths:
        raise ValueError(f"{name} must hold at least one number, got none")
    for index, width in enumerate(widths):
        check_positive_int(f"{name}[{index}]", width)


def check_stem(stem: str) -> str:
    """Return `stem`, or raise ValueError."""
    if stem not in STEMS:
        raise ValueError(f"stem must be one of {list(STEMS)}, got {stem!r}")
    return stem


def scaled(widths: Sequence[int], multiplier: float | int) -> tuple[int, ...]:
    """Widths times a multiplier, rounded to the nearest integer, at least 1.

    Raises:
        ValueError: the multiplier is not positive.
    """
    if not multiplier > 0:
        raise ValueError(f"multiplier must be positive, got {multiplier!r}")
    return tuple(max(1, round(multiplier * width)) for width in widths)
