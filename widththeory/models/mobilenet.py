"""MobileNet v1: depthwise separable convolutions, made narrower by a width multiplier or shallower by five blocks."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx

from widththeory.models.activation import Activation
from widththeory.models.convolution import output_size
from widththeory.models.cost import Cost, conv_cost, dense_cost, norm_cost
from widththeory.models.layers import Architecture, GlobalAverage, Layers, check_stem, check_widths, scaled

WIDTHS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
REPEATED = slice(6, 11)  # the five blocks of 512 channels at 14x14 pixels that the shallow network lacks


@dataclass(frozen=True)
class MobileNet(Architecture):
    """A 3x3 convolution, then blocks of a 3x3 depthwise and a 1x1 convolution, each with normalisation and activation.

    Args:
        image_size, num_classes, in_channels, activation: as in `Architecture`. CReLU stands after the stem and the 1x1
            convolutions, which mix channels; after depthwise ones there is ReLU under both.
        stem_width: channels of the first convolution.
        widths: channels after each block.
        strides: of each block's depthwise convolution, 1 or 2.
        stem: "imagenet", first stride 2; "cifar", first stride 1, so that 32 pixels end as 2.

    Raises:
        ValueError: as many strides as widths are not given, or a stride besides 1 and 2.

    Source:
        [howard2017] Table 1. Differs: the stride of the last block, which that table prints as 2 though its sizes and
        the released networks have 1.
    """

    image_size: int = 224
    num_classes: int = 1000
    stem_width: int = 32
    widths: tuple[int, ...] = WIDTHS
    strides: tuple[int, ...] = STRIDES
    stem: str = "imagenet"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths("stem_width", (self.stem_width,))
        check_widths("widths", self.widths)
        check_widths("strides", self.strides, len(self.widths))
        check_stem(self.stem)
        if not set(self.strides) <= {1, 2}:
            raise ValueError(f"strides must be 1 or 2, got {self.strides}")

    @classmethod
    def thin(cls, multiplier: float | int = 1.0, *, shallow: bool = False, **rest: Any) -> "MobileNet":
        """All widths multiplied; shallow leaves out the five blocks of 512 channels at 14x14 pixels."""
        widths, strides = list(scaled(WIDTHS, multiplier)), list(STRIDES)
        if shallow:
            del widths[REPEATED], strides[REPEATED]
        return cls(stem_width=scaled((32,), multiplier)[0], widths=tuple(widths), strides=tuple(strides), **rest)

    def build(
        self, rngs: nnx.Rngs, method: str = "native", dtype: Any = None, param_dtype: Any = jnp.float32
    ) -> nnx.Sequential:
        """The module; arguments as in `Layers`."""
        make = Layers(rngs, self.activation, method, dtype, param_dtype)
        layers = make.conv_norm_act(self.in_channels, self.stem_width, 3, 2 if self.stem == "imagenet" else 1)
        features = self.stem_width * self.growth
        for width, strides in zip(self.widths, self.strides, strict=True):
            layers += [*make.conv_norm(features, features, 3, strides, groups=features), Activation("relu")]
            layers += make.conv_norm_act(features, width, 1)
            features = width * self.growth
        return nnx.Sequential(*layers, GlobalAverage(), make.dense(features, self.num_classes))

    def cost(self) -> Cost:
        """Parameters and multiply-adds by formula."""
        size = output_size(self.image_size, 3, 2 if self.stem == "imagenet" else 1)
        total = conv_cost(self.in_channels, self.stem_width, 3, size) + norm_cost(self.stem_width)
        features = self.stem_width * self.growth
        for width, strides in zip(self.widths, self.strides, strict=True):
            size = output_size(size, 3, strides)
            total += conv_cost(features, features, 3, size, groups=features) + norm_cost(features)
            total += conv_cost(features, width, 1, size) + norm_cost(width)
            features = width * self.growth
        return total + dense_cost(features, self.num_classes)


EXAMPLES = (
    MobileNet(image_size=32, num_classes=5, stem_width=4, widths=(6, 8), strides=(1, 2)),
    MobileNet(
        image_size=16, num_classes=5, stem_width=4, widths=(6, 8), strides=(2, 1), stem="cifar", activation="crelu"
    ),
)
