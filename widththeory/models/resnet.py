"""Residual networks: for large images with bottlenecks (ResNet-50, wide ResNet-50-2), for small ones of depth 6n+2."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx

from widththeory.models.activation import Activation
from widththeory.models.convolution import Maps, output_size
from widththeory.models.cost import Cost, conv_cost, dense_cost, norm_cost
from widththeory.models.layers import Architecture, GlobalAverage, Layers, MaxPool, check_stem, check_widths, scaled


class Residual(nnx.Module):
    """activation(branch(x) + shortcut(x)).

    The shortcut is a projection (1x1 convolution with normalisation), or none: then it is x's linear part, every
    strides-th pixel of it, with channels of zeros added where the branch has more.
    """

    def __init__(self, branch: nnx.Sequential, projection: nnx.Sequential | None, strides: int, act: Activation):
        self.branch = branch
        self.projection = nnx.data(projection)
        self.strides = strides
        self.act = act

    def __call__(self, maps: Maps) -> Maps:
        out = self.branch(maps)
        if self.projection is not None:
            return self.act(out + self.projection(maps))
        kept = self.act.linear_part(maps)[:, :: self.strides, :: self.strides]
        missing = out.shape[-1] - kept.shape[-1]
        return self.act(out + jnp.pad(kept, ((0, 0), (0, 0), (0, 0), (0, missing))))


@dataclass(frozen=True)
class ResNet(Architecture):
    """Stages of residual blocks; the first block of each stage but the first has stride 2. Default: ResNet-50.

    Args:
        image_size, num_classes, in_channels, activation: as in `Architecture`.
        stem_width: channels of the first convolution.
        widths: channels of each stage, after its blocks.
        inner_widths: channels inside the blocks of each stage. A wide ResNet has these larger.
        lengths: blocks of each stage.
        block: "bottleneck" (1x1 to the inner width, 3x3 with the stride, 1x1 back) or "basic" (two 3x3, the first to
            the inner width).
        shortcut: where the shape changes: "projection", or "pad" with zeros, which takes no parameters and needs
            widths that never fall.
        stem: "imagenet", 7x7 with stride 2 and a 3x3 pooling with stride 2; "cifar", 3x3 with stride 1.

    Raises:
        ValueError: lists of different length, an unknown block, shortcut or stem, or widths that fall under "pad".

    Source:
        [he2016] Table 1 and Section 4.2; inner widths twice as large: [zagoruykokomodakis2016], as torchvision's
        wide_resnet50_2. Differs: the stride of a bottleneck is in its 3x3 convolution, as in torchvision, which costs
        4.1 rather than 3.8 thousand million multiply-adds. CReLU: the shortcut carries relu(z) - relu(-z) = z, so that
        sums keep their channels.
    """

    image_size: int = 224
    num_classes: int = 1000
    stem_width: int = 64
    widths: tuple[int, ...] = (256, 512, 1024, 2048)
    inner_widths: tuple[int, ...] = (64, 128, 256, 512)
    lengths: tuple[int, ...] = (3, 4, 6, 3)
    block: str = "bottleneck"
    shortcut: str = "projection"
    stem: str = "imagenet"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths("stem_width", (self.stem_width,))
        check_widths("widths", self.widths)
        check_widths("inner_widths", self.inner_widths, len(self.widths))
        check_widths("lengths", self.lengths, len(self.widths))
        check_stem(self.stem)
        if self.block not in ("bottleneck", "basic"):
            raise ValueError(f"block must be 'bottleneck' or 'basic', got {self.block!r}")
        if self.shortcut not in ("projection", "pad"):
            raise ValueError(f"shortcut must be 'projection' or 'pad', got {self.shortcut!r}")
        passed = (self.stem_width, *self.widths)
        if self.shortcut == "pad" and list(passed) != sorted(passed):
            raise ValueError(f"stem_width and widths must not fall under shortcut 'pad', got {passed}")

    @classmethod
    def resnet50(cls, multiplier: float | int = 1.0, inner_factor: float | int = 1.0, **rest: Any) -> "ResNet":
        """ResNet-50 with all widths multiplied; inner_factor 2 is the wide ResNet-50-2."""
        return cls(
            stem_width=scaled((64,), multiplier)[0],
            widths=scaled((256, 512, 1024, 2048), multiplier),
            inner_widths=scaled((64, 128, 256, 512), multiplier * inner_factor),
            **rest,
        )

    @classmethod
    def cifar(cls, depth: int = 20, multiplier: float | int = 1.0, num_classes: int = 10, **rest: Any) -> "ResNet":
        """The network for 32 pixels: depth 6n+2, three stages of n basic blocks, 16, 32 and 64 channels multiplied.

        Raises:
            ValueError: depth is not 6n+2 with n at least 1.
        """
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"depth must be 6n+2 with n at least 1, got {depth!r}")
        widths = scaled((16, 32, 64), multiplier)
        return cls(
            **{"image_size": 32, "shortcut": "pad", **rest},
            num_classes=num_classes,
            stem_width=widths[0],
            widths=widths,
            inner_widths=widths,
            lengths=((depth - 2) // 6,) * 3,
            block="basic",
            stem="cifar",
        )

    def _blocks(self) -> list[tuple[int, int, int, int, bool]]:
        """Of each block: stream width before, inner width, stream width after, strides, whether it projects."""
        blocks, before = [], self.stem_width
        for stage, (inner, after, length) in enumerate(zip(self.inner_widths, self.widths, self.lengths, strict=True)):
            for index in range(length):
                strides = 2 if stage > 0 and index == 0 else 1
                changes = before != after or strides > 1
                blocks.append((before, inner, after, strides, changes and self.shortcut == "projection"))
                before = after
        return blocks

    def build(
        self, rngs: nnx.Rngs, method: str = "native", dtype: Any = None, param_dtype: Any = jnp.float32
    ) -> nnx.Sequential:
        """The module; arguments as in `Layers`."""
        make = Layers(rngs, self.activation, method, dtype, param_dtype)
        if self.stem == "imagenet":
            layers = [*make.conv_norm_act(self.in_channels, self.stem_width, 7, 2), MaxPool(3, 2, 1)]
        else:
            layers = make.conv_norm_act(self.in_channels, self.stem_width, 3)
        grown = self.growth
        for before, inner, after, strides, projects in self._blocks():
            if self.block == "bottleneck":
                branch = [
                    *make.conv_norm_act(before * grown, inner, 1),
                    *make.conv_norm_act(inner * grown, inner, 3, strides),
                    *make.conv_norm(inner * grown, after, 1),
                ]
            else:
                branch = [
                    *make.conv_norm_act(before * grown, inner, 3, strides),
                    *make.conv_norm(inner * grown, after, 3),
                ]
            projection = nnx.Sequential(*make.conv_norm(before * grown, after, 1, strides)) if projects else None
            layers.append(Residual(nnx.Sequential(*branch), projection, strides, make.act()))
        return nnx.Sequential(*layers, GlobalAverage(), make.dense(self.widths[-1] * grown, self.num_classes))

    def cost(self) -> Cost:
        """Parameters and multiply-adds by formula."""
        kernel, strides = (7, 2) if self.stem == "imagenet" else (3, 1)
        size = output_size(self.image_size, kernel, strides)
        total = conv_cost(self.in_channels, self.stem_width, kernel, size) + norm_cost(self.stem_width)
        size = output_size(size, 3, 2, 1) if self.stem == "imagenet" else size
        grown = self.growth
        for before, inner, after, strides, projects in self._blocks():
            entered, size = size, output_size(size, 3, strides)
            if self.block == "bottleneck":
                total += conv_cost(before * grown, inner, 1, entered) + norm_cost(inner)
                total += conv_cost(inner * grown, inner, 3, size) + norm_cost(inner)
                total += conv_cost(inner * grown, after, 1, size) + norm_cost(after)
            else:
                total += conv_cost(before * grown, inner, 3, size) + norm_cost(inner)
                total += conv_cost(inner * grown, after, 3, size) + norm_cost(after)
            if projects:
                total += conv_cost(before * grown, after, 1, size) + norm_cost(after)
        return total + dense_cost(self.widths[-1] * grown, self.num_classes)


EXAMPLES = (
    ResNet(image_size=32, num_classes=5, stem_width=4, widths=(8, 12), inner_widths=(4, 6), lengths=(1, 2)),
    ResNet.cifar(8, 0.25, activation="crelu"),
    ResNet.cifar(8, 0.25, shortcut="projection", activation="crelu"),
)
