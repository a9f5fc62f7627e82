"""AlexNet: five convolutions, three poolings, three dense layers; the first layer is 96 filters wide."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx

from widththeory.models.convolution import output_size
from widththeory.models.cost import Cost, conv_cost, head_cost
from widththeory.models.layers import Architecture, Flatten, Layers, MaxPool, check_stem, check_widths

STEM_KERNELS = {"imagenet": (11, 4, 2), "cifar": (5, 1, 2)}  # kernel_size, strides, padding
KERNELS = (5, 3, 3, 3)
POOLED = (0, 1, 4)  # convolutions with a 3x3 pooling of stride 2 after them


@dataclass(frozen=True)
class AlexNet(Architecture):
    """Convolutions with biases, overlapping poolings, no normalisation of any kind.

    Args:
        image_size, num_classes, in_channels, activation: as in `Architecture`.
        widths: channels of the five convolutions. The classic first layer has 96.
        dense_widths: units of the hidden dense layers.
        groups: of each convolution; (1, 2, 1, 2, 2) is the original on two processors.
        stem: "imagenet", 11x11 with stride 4, for 63 pixels and more; "cifar", 5x5 with stride 1, for 15 and more.

    Raises:
        ValueError: not five widths or groups, or an image too small for the stem.

    Source:
        [krizhevsky2012] Section 3, from memory. Differs: padding 2 in the stem, which gives 55x55 maps at 224 pixels as
        theirs are; no response normalisation and no dropout. `AlexNet.torchvision()` is [krizhevsky2014] as
        torchvision has it.
    """

    image_size: int = 224
    num_classes: int = 1000
    widths: tuple[int, ...] = (96, 256, 384, 384, 256)
    dense_widths: tuple[int, ...] = (4096, 4096)
    groups: tuple[int, ...] = (1, 1, 1, 1, 1)
    stem: str = "imagenet"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths("widths", self.widths, 5)
        check_widths("groups", self.groups, 5)
        if self.dense_widths:
            check_widths("dense_widths", self.dense_widths)
        check_stem(self.stem)
        self._sizes()

    @classmethod
    def torchvision(cls, **rest: Any) -> "AlexNet":
        """The one-tower variant with 64 filters first."""
        return cls(widths=(64, 192, 384, 256, 256), **rest)

    @classmethod
    def two_groups(cls, **rest: Any) -> "AlexNet":
        """The original, whose second, fourth and fifth convolutions see one half of the channels each."""
        return cls(groups=(1, 2, 1, 2, 2), **rest)

    def _sizes(self) -> tuple[list[int], int]:
        """Pixels along a side after each convolution, and after the last pooling."""
        size, sizes = self.image_size, []
        for index in range(5):
            kernel, strides, padding = STEM_KERNELS[self.stem] if index == 0 else (KERNELS[index - 1], 1, None)
            size = output_size(size, kernel, strides, padding)
            sizes.append(size)
            size = output_size(size, 3, 2, 0) if index in POOLED else size
        return sizes, size

    def build(
        self, rngs: nnx.Rngs, method: str = "native", dtype: Any = None, param_dtype: Any = jnp.float32
    ) -> nnx.Sequential:
        """The module; arguments as in `Layers`."""
        make = Layers(rngs, self.activation, method, dtype, param_dtype)
        layers: list[Any] = []
        features = self.in_channels
        for index, (width, groups) in enumerate(zip(self.widths, self.groups, strict=True)):
            kernel, strides, padding = STEM_KERNELS[self.stem] if index == 0 else (KERNELS[index - 1], 1, None)
            layers.append(make.conv(features, width, kernel, strides, padding=padding, groups=groups, use_bias=True))
            # Signs of a channel stay together for the next convolution's groups.
            layers.append(make.act(self.groups[index + 1] if index < 4 else 1))
            layers += [MaxPool(3, 2)] if index in POOLED else []
            features = width * self.growth
        layers.append(Flatten())
        features *= self._sizes()[1] ** 2
        return nnx.Sequential(*layers, *make.head(features, self.dense_widths, self.num_classes))

    def cost(self) -> Cost:
        """Parameters and multiply-adds by formula."""
        sizes, last = self._sizes()
        kernels = (STEM_KERNELS[self.stem][0], *KERNELS)
        total, features = Cost(), self.in_channels
        for width, kernel, size, groups in zip(self.widths, kernels, sizes, self.groups, strict=True):
            total += conv_cost(features, width, kernel, size, groups=groups, use_bias=True)
            features = width * self.growth
        features *= last**2
        return total + head_cost(features, self.dense_widths, self.num_classes, self.growth)


EXAMPLES = (
    AlexNet(image_size=32, num_classes=5, widths=(4, 4, 6, 6, 4), dense_widths=(8, 8), stem="cifar"),
    AlexNet.two_groups(image_size=63, num_classes=5, widths=(4, 4, 6, 6, 4), dense_widths=(8,), activation="crelu"),
)
