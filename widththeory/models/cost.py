"""Work of a network by formula. A compiler's own count is no use here: it counts the body of a loop once."""

from widththeory.typing import Size


def forward_flops(size: Size) -> int:
    """Floating-point operations of one network at one point: a multiply and an add a weight.

    Biases and ReLUs are not counted. A training step costs three times as much a point: one pass forward, two backward.
    """
    fan_ins = (size.input_dim, *size.widths)
    fan_outs = (*size.widths, size.output_dim)
    return 2 * sum(i * o for i, o in zip(fan_ins, fan_outs, strict=True))
