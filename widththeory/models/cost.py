"""Work and size of networks by formula. A compiler's own count is no use here: it counts the body of a loop once."""

from collections.abc import Sequence
from dataclasses import dataclass

from widththeory.typing import Size


def forward_flops(size: Size) -> int:
    """Floating-point operations of one network at one point: a multiply and an add a weight.

    Biases and ReLUs are not counted. A training step costs three times as much a point: one pass forward, two backward.
    """
    fan_ins = (size.input_dim, *size.widths)
    fan_outs = (*size.widths, size.output_dim)
    return 2 * sum(i * o for i, o in zip(fan_ins, fan_outs, strict=True))


@dataclass(frozen=True)
class Cost:
    """What a network takes; costs of layers add up.

    Args:
        num_params: trained numbers: kernels, biases, scales and shifts of normalisations; not running statistics.
        multiply_adds: of one image forward, in convolutions and dense layers; two floating-point operations each.
            Biases, normalisations, activations, poolings and additions are not counted, as the papers do.
    """

    num_params: int = 0
    multiply_adds: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.num_params + other.num_params, self.multiply_adds + other.multiply_adds)


def conv_cost(
    in_features: int, out_features: int, kernel_size: int, size: int, *, groups: int = 1, use_bias: bool = False
) -> Cost:
    """A convolution with a square kernel: kernel_size^2 in_features / groups * out_features weights, used size^2 times.

    Args:
        in_features, out_features: channels before and after.
        kernel_size: pixels along a side of the kernel.
        size: pixels along a side of what comes out.
        groups: into how many the channels fall.
        use_bias: whether there is a constant a channel.
    """
    weights = kernel_size**2 * (in_features // groups) * out_features
    return Cost(weights + use_bias * out_features, weights * size**2)


def dense_cost(in_features: int, out_features: int, *, use_bias: bool = True) -> Cost:
    """A dense layer: in_features * out_features weights, each used once."""
    weights = in_features * out_features
    return Cost(weights + use_bias * out_features, weights)


def head_cost(in_features: int, widths: Sequence[int], num_classes: int, growth: int) -> Cost:
    """Dense layers as `Layers.head` makes them, with an activation that multiplies the units by `growth`."""
    total = Cost()
    for width in widths:
        total += dense_cost(in_features, width)
        in_features = width * growth
    return total + dense_cost(in_features, num_classes)


def norm_cost(features: int) -> Cost:
    """A batch normalisation: a scale and a shift a channel."""
    return Cost(2 * features)
