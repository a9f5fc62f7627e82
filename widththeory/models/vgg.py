"""VGG: stages of 3x3 convolutions, each stage ended by a pooling, then dense layers."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx

from widththeory.models.cost import Cost, conv_cost, head_cost, norm_cost
from widththeory.models.layers import Architecture, Flatten, Layers, MaxPool, check_widths, scaled

LENGTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
STAGE_WIDTHS = (64, 128, 256, 512, 512)


@dataclass(frozen=True)
class VGG(Architecture):
    """3x3 convolutions, a 2x2 pooling after each stage; the default is VGG-16.

    Small images need no other stem: at 32 pixels five poolings leave one pixel. There, one hidden dense layer of 512,
    dense_widths=(512,), or none, is customary.

    Args:
        image_size, num_classes, in_channels, activation: as in `Architecture`; image_size at least 2^stages.
        widths: channels of each convolution.
        lengths: convolutions of each stage; they add up to the number of widths.
        dense_widths: units of the hidden dense layers; () for none.
        batch_norm: whether each convolution has batch normalisation, and no bias.

    Raises:
        ValueError: lengths that do not add up, or an image that the poolings leave nothing of.

    Source:
        [simonyan2015] Table 1. Differs: no dropout.
    """

    image_size: int = 224
    num_classes: int = 1000
    widths: tuple[int, ...] = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    lengths: tuple[int, ...] = LENGTHS[16]
    dense_widths: tuple[int, ...] = (4096, 4096)
    batch_norm: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths("lengths", self.lengths)
        check_widths("widths", self.widths, sum(self.lengths))
        if self.dense_widths:
            check_widths("dense_widths", self.dense_widths)
        if self.image_size < 2 ** len(self.lengths):
            raise ValueError(
                f"image_size must be at least {2 ** len(self.lengths)} for {len(self.lengths)} poolings, "
                f"got {self.image_size}"
            )

    @classmethod
    def of_depth(cls, depth: int, multiplier: float | int = 1.0, **rest: Any) -> "VGG":
        """VGG-11, 13, 16 or 19 with the widths of its convolutions multiplied.

        Raises:
            ValueError: another depth.
        """
        if depth not in LENGTHS:
            raise ValueError(f"depth must be one of {sorted(LENGTHS)}, got {depth!r}")
        repeated = [w for w, length in zip(STAGE_WIDTHS, LENGTHS[depth], strict=True) for _ in range(length)]
        return cls(widths=scaled(repeated, multiplier), lengths=LENGTHS[depth], **rest)

    def build(
        self, rngs: nnx.Rngs, method: str = "native", dtype: Any = None, param_dtype: Any = jnp.float32
    ) -> nnx.Sequential:
        """The module; arguments as in `Layers`."""
        make = Layers(rngs, self.activation, method, dtype, param_dtype)
        layers: list[Any] = []
        features, size, widths = self.in_channels, self.image_size, iter(self.widths)
        for length in self.lengths:
            for _, width in zip(range(length), widths, strict=False):
                if self.batch_norm:
                    layers += make.conv_norm_act(features, width, 3)
                else:
                    layers += [make.conv(features, width, 3, use_bias=True), make.act()]
                features = width * self.growth
            layers.append(MaxPool(2, 2))
            size //= 2
        layers.append(Flatten())
        features *= size**2
        return nnx.Sequential(*layers, *make.head(features, self.dense_widths, self.num_classes))

    def cost(self) -> Cost:
        """Parameters and multiply-adds by formula."""
        sizes = [self.image_size // 2**stage for stage, length in enumerate(self.lengths) for _ in range(length)]
        total, features = Cost(), self.in_channels
        for width, size in zip(self.widths, sizes, strict=True):
            total += conv_cost(features, width, 3, size, use_bias=not self.batch_norm)
            total += norm_cost(width) if self.batch_norm else Cost()
            features = width * self.growth
        features *= (self.image_size // 2 ** len(self.lengths)) ** 2
        return total + head_cost(features, self.dense_widths, self.num_classes, self.growth)


EXAMPLES = (
    VGG(image_size=32, num_classes=5, widths=(4, 4, 6, 6, 8), lengths=(1, 1, 1, 1, 1), dense_widths=(8,)),
    VGG(
        image_size=16,
        num_classes=5,
        widths=(4, 6, 6),
        lengths=(1, 2),
        dense_widths=(),
        batch_norm=True,
        activation="crelu",
    ),
)
