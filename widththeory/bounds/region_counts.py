"""Numbers of linear regions as integers, exactly; `linear_regions` states the theorems and rounds these to floats."""

import math
from collections.abc import Sequence

from widththeory.typing import check_positive_int


def check_sizes(input_dim: int, widths: Sequence[int], *, at_least: int = 1, but_last: int | None = None) -> None:
    """Raise ValueError unless there are hidden layers, each at least so wide (all but the last, with `but_last`)."""
    check_positive_int("input_dim", input_dim)
    if len(widths) == 0:
        raise ValueError("widths must hold at least one hidden layer, got none")
    for index, width in enumerate(widths):
        inner = but_last is not None and index < len(widths) - 1
        check_positive_int(f"widths[{index}]", width, at_least=but_last if inner and but_last else at_least)


def cells(input_dim: int, num_hyperplanes: int) -> int:
    """sum_{j <= d} C(m, j): cells of m hyperplanes in general position in d dimensions."""
    check_sizes(input_dim, (num_hyperplanes,))
    return sum(math.comb(num_hyperplanes, j) for j in range(input_dim + 1))


def folded(input_dim: int, widths: Sequence[int], *, extra: int = 0) -> int:
    """prod_{l<L} (floor(n_l / d) + extra)^d sum_{j <= d} C(n_L, j): layers that fold, and one of hyperplanes."""
    folds = math.prod(width // input_dim + extra for width in widths[:-1])
    return folds**input_dim * cells(input_dim, widths[-1])


def most(input_dim: int, widths: Sequence[int]) -> int:
    """sum over J of prod_l C(n_l, j_l), by layers, with the largest rank that a layer can still see as state."""
    check_sizes(input_dim, widths)
    sums = {input_dim: 1}
    for width in widths:
        following: dict[int, int] = {}
        for rank, total in sums.items():
            for j in range(min(rank, width) + 1):
                left = min(rank, width - j)
                following[left] = following.get(left, 0) + total * math.comb(width, j)
        sums = following
    return sum(sums.values())
