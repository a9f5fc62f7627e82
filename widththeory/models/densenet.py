"""DenseNet and DenseNet-BC: each layer adds a few channels, the growth rate, to all that came before it."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx

from widththeory.models.activation import Activation
from widththeory.models.convolution import Maps, output_size
from widththeory.models.cost import Cost, conv_cost, dense_cost, norm_cost
from widththeory.models.layers import (
    Architecture,
    AveragePool,
    GlobalAverage,
    Layers,
    MaxPool,
    check_stem,
    check_widths,
)
from widththeory.typing import check_positive_int


class Beside(nnx.Module):
    """x and branch(x), channels beside channels."""

    def __init__(self, branch: nnx.Sequential):
        self.branch = branch

    def __call__(self, maps: Maps) -> Maps:
        return jnp.concatenate([maps, self.branch(maps)], axis=-1)


@dataclass(frozen=True)
class DenseNet(Architecture):
    """Dense blocks with transitions between them (normalisation, activation, 1x1 convolution, 2x2 average pooling).

    A layer is normalisation, activation and a 3x3 convolution to growth_rate channels; with a bottleneck there is first
    normalisation, activation and a 1x1 convolution. The default is DenseNet-121.

    Args:
        image_size, num_classes, in_channels, activation: as in `Architecture`.
        stem_width: channels of the first convolution.
        growth_rate: channels that each layer adds.
        lengths: layers of each block.
        bottleneck_width: channels of the 1x1 convolutions; 0 for none.
        compression: share of the channels that a transition keeps, in (0, 1], rounded down.
        stem: "imagenet", 7x7 with stride 2, normalisation, activation and a 3x3 pooling with stride 2; "cifar", 3x3.

    Raises:
        ValueError: a compression outside (0, 1], or a transition that keeps nothing.

    Source:
        [huang2017] Sections 3 and 4.2, Table 1. Differs: no dropout; the "imagenet" stem is torchvision's. CReLU
        doubles what convolutions take; what is kept and handed on is counted before it.
    """

    image_size: int = 224
    num_classes: int = 1000
    stem_width: int = 64
    growth_rate: int = 32
    lengths: tuple[int, ...] = (6, 12, 24, 16)
    bottleneck_width: int = 128
    compression: float | int = 0.5
    stem: str = "imagenet"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths("stem_width", (self.stem_width,))
        check_positive_int("growth_rate", self.growth_rate)
        check_widths("lengths", self.lengths)
        check_positive_int("bottleneck_width", self.bottleneck_width, at_least=0)
        check_stem(self.stem)
        if not 0 < self.compression <= 1:
            raise ValueError(f"compression must be in (0, 1], got {self.compression!r}")
        if not all(after for _, after in self._blocks()):
            raise ValueError(f"compression {self.compression} leaves a transition without channels")
        self._sizes()

    @classmethod
    def cifar(
        cls, depth: int = 100, growth_rate: int = 12, *, bottleneck: bool = True, num_classes: int = 10, **rest: Any
    ) -> "DenseNet":
        """Three blocks for 32 pixels: DenseNet-BC-depth-growth_rate, or the plain one without bottleneck.

        BC: 1x1 convolutions to 4 growth_rate, half the channels kept, 2 growth_rate first. Plain: 16 first, all kept.

        Raises:
            ValueError: depth - 4 is no positive multiple of 3, or of 6 with bottlenecks.
        """
        convs = 6 if bottleneck else 3
        if depth <= 4 or (depth - 4) % convs:
            raise ValueError(f"depth must be {convs}n+4 with n at least 1, got {depth!r}")
        return cls(
            **{"image_size": 32, "stem": "cifar", **rest},
            num_classes=num_classes,
            stem_width=2 * growth_rate if bottleneck else 16,
            growth_rate=growth_rate,
            lengths=((depth - 4) // convs,) * 3,
            bottleneck_width=4 * growth_rate if bottleneck else 0,
            compression=0.5 if bottleneck else 1.0,
        )

    def _blocks(self) -> list[tuple[int, int]]:
        """Of each block: channels before it, and channels after its transition, if it has one."""
        blocks, features = [], self.stem_width
        for index, length in enumerate(self.lengths):
            before, features = features, features + length * self.growth_rate
            if index < len(self.lengths) - 1:
                features = int(self.compression * features)
            blocks.append((before, features))
        return blocks

    def _sizes(self) -> list[int]:
        """Pixels along a side of each block."""
        size = self.image_size
        if self.stem == "imagenet":
            size = output_size(output_size(size, 7, 2), 3, 2, 1)
        sizes = [size]
        for _ in self.lengths[1:]:
            sizes.append(output_size(sizes[-1], 2, 2, 0))
        return sizes

    def build(
        self, rngs: nnx.Rngs, method: str = "native", dtype: Any = None, param_dtype: Any = jnp.float32
    ) -> nnx.Sequential:
        """The module; arguments as in `Layers`."""
        make = Layers(rngs, self.activation, method, dtype, param_dtype)

        def enter(features: int, width: int, kernel_size: int) -> list:
            """Normalisation, activation, convolution."""
            return [make.norm(features), make.act(), make.conv(features * self.growth, width, kernel_size)]

        if self.stem == "imagenet":
            layers = [make.conv(self.in_channels, self.stem_width, 7, 2), make.norm(self.stem_width)]
            # A block normalises and activates what it takes: here ReLU under both, as CReLU would be taken twice.
            layers += [Activation("relu"), MaxPool(3, 2, 1)]
        else:
            layers = [make.conv(self.in_channels, self.stem_width, 3)]
        for index, (length, (features, after)) in enumerate(zip(self.lengths, self._blocks(), strict=True)):
            for _ in range(length):
                inner = self.bottleneck_width or features
                branch = enter(features, inner, 1) if self.bottleneck_width else []
                layers.append(Beside(nnx.Sequential(*branch, *enter(inner, self.growth_rate, 3))))
                features += self.growth_rate
            if index < len(self.lengths) - 1:
                layers += [*enter(features, after, 1), AveragePool(2, 2)]
        features = self._blocks()[-1][1]
        layers += [make.norm(features), make.act(), GlobalAverage()]
        return nnx.Sequential(*layers, make.dense(features * self.growth, self.num_classes))

    def cost(self) -> Cost:
        """Parameters and multiply-adds by formula."""
        sizes, grown = self._sizes(), self.growth
        if self.stem == "imagenet":
            total = conv_cost(self.in_channels, self.stem_width, 7, output_size(self.image_size, 7, 2))
            total += norm_cost(self.stem_width)
        else:
            total = conv_cost(self.in_channels, self.stem_width, 3, self.image_size)
        for index, (length, (features, after)) in enumerate(zip(self.lengths, self._blocks(), strict=True)):
            size = sizes[index]
            for _ in range(length):
                inner = self.bottleneck_width or features
                if self.bottleneck_width:
                    total += norm_cost(features) + conv_cost(features * grown, inner, 1, size)
                total += norm_cost(inner) + conv_cost(inner * grown, self.growth_rate, 3, size)
                features += self.growth_rate
            if index < len(self.lengths) - 1:
                total += norm_cost(features) + conv_cost(features * grown, after, 1, size)
        features = self._blocks()[-1][1]
        return total + norm_cost(features) + dense_cost(features * grown, self.num_classes)


EXAMPLES = (
    DenseNet(image_size=32, num_classes=5, stem_width=4, growth_rate=3, lengths=(1, 2), bottleneck_width=6),
    DenseNet.cifar(7, 4, bottleneck=False, activation="crelu"),
)
