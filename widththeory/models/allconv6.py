"""allconv6: five convolutions of stride 2 and one dense layer, and eight variants that are narrower here or there."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx

from widththeory.models.convolution import output_size
from widththeory.models.cost import Cost, conv_cost, dense_cost, norm_cost
from widththeory.models.layers import Architecture, Flatten, Layers, check_widths

NUM_CONVS = 5
BASELINE = (64, 128, 256, 512, 512)
# Variant: (divisor of all widths of the baseline, layers whose width is then doubled, counted from 1).
VARIANTS: dict[int, tuple[int, tuple[int, ...]]] = {
    0: (1, ()),
    1: (4, ()),
    2: (4, (1, 2)),
    3: (4, (3, 4)),
    4: (4, (5,)),
    5: (2, ()),
    6: (2, (1, 2)),
    7: (2, (3, 4)),
    8: (2, (5,)),
}


@dataclass(frozen=True)
class AllConv6(Architecture):
    """Five 3x3 convolutions of stride 2, each with batch normalisation and activation, then one dense layer.

    Strides in place of pooling make it all-convolutional; at 32 pixels the last maps are single pixels.

    Args:
        image_size, num_classes, in_channels, activation: as in `Architecture`.
        widths: channels of the five convolutions.
        batch_norm: False for plain convolutions with biases.

    Size:
        Convolution i of n_i channels on maps s_i = ceil(s_{i-1} / 2) wide: 9 n_{i-1} n_i weights, s_i^2 times each;
        2 n_i more for normalisation, or n_i for biases; then (s_5^2 n_5 + 1) num_classes. CReLU doubles n_{i-1}, n_5.

    Raises:
        ValueError: not five widths, or one under 1.

    Source:
        Pooling replaced by strides: [springenberg2015] Section 2. The family itself, and its baseline widths (64, 128,
        256, 512, 512), are this project's.
    """

    image_size: int = 32
    num_classes: int = 10
    widths: tuple[int, ...] = BASELINE
    batch_norm: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths("widths", self.widths, NUM_CONVS)

    @classmethod
    def variant(cls, index: int, *, baseline: tuple[int, ...] = BASELINE, **rest: Any) -> "AllConv6":
        """One of the nine: which layers' widths pay?

        0 is the baseline. 1 has a quarter of every width; 2, 3, 4 are 1 with layers 1-2, 3-4, 5 doubled. 5 has half of
        every width; 6, 7, 8 are 5 with layers 1-2, 3-4, 5 doubled. That 6 to 8 mirror 2 to 4 is our reading of the
        family.

        Args:
            index: 0 to 8.
            baseline: five widths, multiples of 4.
            rest: the other arguments of the class.

        Raises:
            ValueError: no such variant, or widths that a quarter of is no integer.
        """
        if index not in VARIANTS:
            raise ValueError(f"index must be one of 0 ... {max(VARIANTS)}, got {index!r}")
        if len(baseline) != NUM_CONVS or any(width % 4 for width in baseline):
            raise ValueError(f"baseline must be {NUM_CONVS} multiples of 4, got {baseline}")
        divisor, doubled = VARIANTS[index]
        return cls(widths=tuple(w // divisor * (1 + (i in doubled)) for i, w in enumerate(baseline, 1)), **rest)

    def build(
        self, rngs: nnx.Rngs, method: str = "native", dtype: Any = None, param_dtype: Any = jnp.float32
    ) -> nnx.Sequential:
        """The module; arguments as in `Layers`."""
        make = Layers(rngs, self.activation, method, dtype, param_dtype)
        layers: list[Any] = []
        features, size = self.in_channels, self.image_size
        for width in self.widths:
            if self.batch_norm:
                layers += make.conv_norm_act(features, width, 3, 2)
            else:
                layers += [make.conv(features, width, 3, 2, use_bias=True), make.act()]
            features, size = width * self.growth, output_size(size, 3, 2)
        return nnx.Sequential(*layers, Flatten(), make.dense(size**2 * features, self.num_classes))

    def cost(self) -> Cost:
        """Parameters and multiply-adds by formula."""
        total, features, size = Cost(), self.in_channels, self.image_size
        for width in self.widths:
            size = output_size(size, 3, 2)
            total += conv_cost(features, width, 3, size, use_bias=not self.batch_norm)
            total += norm_cost(width) if self.batch_norm else Cost()
            features = width * self.growth
        return total + dense_cost(size**2 * features, self.num_classes)


EXAMPLES = (
    AllConv6(widths=(4, 4, 4, 8, 8)),
    AllConv6(widths=(4, 4, 4, 8, 8), activation="crelu", batch_norm=False),
)
