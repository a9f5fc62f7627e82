"""Wide residual networks, WRN-d-k: pre-activation blocks, few of them, k times as wide."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from widththeory.models.convolution import Conv, Maps, output_size
from widththeory.models.cost import Cost, conv_cost, dense_cost, norm_cost
from widththeory.models.layers import Architecture, GlobalAverage, Layers, MaxPool, check_stem, check_widths, scaled


class PreActivation(nnx.Module):
    """x + branch(a), or projection(a) + branch(a) where the shape changes, with a = activation(norm(x)) for both."""

    def __init__(self, enter: nnx.Sequential, branch: nnx.Sequential, projection: Conv | None):
        self.enter = enter
        self.branch = branch
        self.projection = nnx.data(projection)

    def __call__(self, maps: Maps) -> Maps:
        entered = self.enter(maps)
        shortcut: jax.Array = maps if self.projection is None else self.projection(entered)
        return shortcut + self.branch(entered)


@dataclass(frozen=True)
class WideResNet(Architecture):
    """Three stages of pre-activation blocks of two 3x3 convolutions; the default is WRN-16-8.

    Args:
        image_size, num_classes, in_channels, activation: as in `Architecture`.
        stem_width: channels of the first convolution.
        widths: channels of each stage.
        lengths: blocks of each stage; depth counts convolutions, 4 + 2 sum(lengths) for three stages.
        stem: "cifar", 3x3 with stride 1, as published; "imagenet", 7x7 with stride 2 and a 3x3 pooling with stride 2.

    Raises:
        ValueError: lists of different length, or an unknown stem.

    Source:
        [zagoruykokomodakis2016] Table 1. Differs: no dropout. Sums are taken before activations, so CReLU leaves their
        channels alone.
    """

    image_size: int = 32
    num_classes: int = 10
    stem_width: int = 16
    widths: tuple[int, ...] = (128, 256, 512)
    lengths: tuple[int, ...] = (2, 2, 2)
    stem: str = "cifar"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths("stem_width", (self.stem_width,))
        check_widths("widths", self.widths)
        check_widths("lengths", self.lengths, len(self.widths))
        check_stem(self.stem)

    @classmethod
    def wrn(cls, depth: int, factor: float | int, **rest: Any) -> "WideResNet":
        """WRN-depth-factor: (depth - 4) / 6 blocks a stage, widths 16, 32, 64 times the factor.

        Raises:
            ValueError: depth is not 6n+4 with n at least 1.
        """
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f"depth must be 6n+4 with n at least 1, got {depth!r}")
        return cls(widths=scaled((16, 32, 64), factor), lengths=((depth - 4) // 6,) * 3, **rest)

    def _blocks(self) -> list[tuple[int, int, int]]:
        """Of each block: width before, width after, strides."""
        blocks, before = [], self.stem_width
        for stage, (after, length) in enumerate(zip(self.widths, self.lengths, strict=True)):
            for index in range(length):
                blocks.append((before, after, 2 if stage > 0 and index == 0 else 1))
                before = after
        return blocks

    def build(
        self, rngs: nnx.Rngs, method: str = "native", dtype: Any = None, param_dtype: Any = jnp.float32
    ) -> nnx.Sequential:
        """The module; arguments as in `Layers`."""
        make = Layers(rngs, self.activation, method, dtype, param_dtype)
        layers: list[Any]
        if self.stem == "imagenet":
            layers = [make.conv(self.in_channels, self.stem_width, 7, 2), MaxPool(3, 2, 1)]
        else:
            layers = [make.conv(self.in_channels, self.stem_width, 3)]
        grown = self.growth
        for before, after, strides in self._blocks():
            enter = nnx.Sequential(make.norm(before), make.act())
            branch = [*make.conv_norm_act(before * grown, after, 3, strides), make.conv(after * grown, after, 3)]
            changes = before != after or strides > 1
            projection = make.conv(before * grown, after, 1, strides) if changes else None
            layers.append(PreActivation(enter, nnx.Sequential(*branch), projection))
        last = self.widths[-1]
        layers += [make.norm(last), make.act(), GlobalAverage(), make.dense(last * grown, self.num_classes)]
        return nnx.Sequential(*layers)

    def cost(self) -> Cost:
        """Parameters and multiply-adds by formula."""
        kernel, strides = (7, 2) if self.stem == "imagenet" else (3, 1)
        size = output_size(self.image_size, kernel, strides)
        total = conv_cost(self.in_channels, self.stem_width, kernel, size)
        size = output_size(size, 3, 2, 1) if self.stem == "imagenet" else size
        grown = self.growth
        for before, after, strides in self._blocks():
            size = output_size(size, 3, strides)
            total += norm_cost(before) + conv_cost(before * grown, after, 3, size)
            total += norm_cost(after) + conv_cost(after * grown, after, 3, size)
            if before != after or strides > 1:
                total += conv_cost(before * grown, after, 1, size)
        return total + norm_cost(self.widths[-1]) + dense_cost(self.widths[-1] * grown, self.num_classes)


EXAMPLES = (
    WideResNet(num_classes=5, stem_width=4, widths=(4, 8, 8), lengths=(1, 1, 1)),
    WideResNet(num_classes=5, stem_width=4, widths=(6, 8), lengths=(1, 2), stem="imagenet", activation="crelu"),
)
