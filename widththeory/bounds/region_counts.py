"""Numbers of linear regions as integers, exactly; `linear_regions` states the theorems and rounds these to floats."""

import math
from collections.abc import Sequence

from widththeory.typing import check_positive_int


def check_sizes(
    input_dim: int, widths: Sequence[int], *, per_input: int = 0, but_last: int = 1
) -> tuple[int, tuple[int, ...]]:
    """Both as Python's integers, which do not overflow as NumPy's do.

    Args:
        input_dim: d, at least 1.
        widths: of the hidden layers, at least one, each at least 1 and `per_input` times d.
        but_last: the least of all but the last.

    Raises:
        ValueError: an argument outside its range.
    """
    dim = check_positive_int("input_dim", input_dim)
    if len(widths) == 0:
        raise ValueError("widths must hold at least one hidden layer, got none")
    least = [max(1, per_input * dim, but_last)] * (len(widths) - 1) + [max(1, per_input * dim)]
    sizes = zip(widths, least, strict=True)
    return dim, tuple(check_positive_int(f"widths[{i}]", width, at_least=low) for i, (width, low) in enumerate(sizes))


def cells(input_dim: int, width: int) -> int:
    """sum_{j <= d} C(m, j): cells of m = width hyperplanes in general position in d dimensions."""
    input_dim, width = check_positive_int("input_dim", input_dim), check_positive_int("width", width)
    return sum(math.comb(width, j) for j in range(input_dim + 1))


def folded(input_dim: int, widths: Sequence[int], *, per_input: int, extra: int = 0) -> int:
    """prod_{l<L} (floor(n_l / d) + extra)^d sum_{j <= d} C(n_L, j): layers that fold, and one of hyperplanes."""
    input_dim, widths = check_sizes(input_dim, widths, per_input=per_input)
    folds = math.prod(width // input_dim + extra for width in widths[:-1])
    return folds**input_dim * cells(input_dim, widths[-1])


def most(input_dim: int, widths: Sequence[int]) -> int:
    """sum over J of prod_l C(n_l, j_l), by layers, with the largest rank that a layer can still see as state."""
    input_dim, widths = check_sizes(input_dim, widths)
    sums = {input_dim: 1}
    for width in widths:
        following: dict[int, int] = {}
        for rank, total in sums.items():
            for j in range(min(rank, width) + 1):
                left = min(rank, width - j)
                following[left] = following.get(left, 0) + total * math.comb(width, j)
        sums = following
    return sum(sums.values())
