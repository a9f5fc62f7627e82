"""`linear_regions` as balls: counts are integers, so that the radius is zero, or that of the precision asked for.

Unlike floats, balls hold a count of any number of digits.
"""

import math
from collections.abc import Sequence

from widththeory.bounds.region_counts import cells, check_sizes, folded, most
from widththeory.bounds.rigorous import flint, rational
from widththeory.typing import check_positive_int


def _ball(number: int, precision: int) -> flint.arb:
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        return rational(number)


def one_hidden_layer(input_dim: int, width: int, *, precision: int = 128) -> flint.arb:
    """`linear_regions.one_hidden_layer` as a ball: sum_{j <= d} C(width, j).

    Raises:
        ValueError: as there, or precision below 2.

    Source: Zaslavsky's count, as in [montufar2014] Section 2, as recalled.
    """
    return _ball(cells(input_dim, width), precision)


def montufar_lower(input_dim: int, widths: Sequence[int], *, precision: int = 128) -> flint.arb:
    """`linear_regions.montufar_lower` as a ball: prod_{l<L} floor(n_l / d)^d sum_{j <= d} C(n_L, j).

    Raises:
        ValueError: as there, or precision below 2.

    Source: [montufar2014], as recalled.
    """
    return _ball(folded(input_dim, widths, per_input=1), precision)


def serra_lower(input_dim: int, widths: Sequence[int], *, precision: int = 128) -> flint.arb:
    """`linear_regions.serra_lower` as a ball: prod_{l<L} (floor(n_l / d) + 1)^d sum_{j <= d} C(n_L, j), n_l >= 3 d.

    Raises:
        ValueError: as there, or precision below 2.

    Source: [serra2018], as recalled.
    """
    return _ball(folded(input_dim, widths, per_input=3, extra=1), precision)


def serra_upper(input_dim: int, widths: Sequence[int], *, precision: int = 128) -> flint.arb:
    """`linear_regions.serra_upper` as a ball: the sum over J of prod_l C(n_l, j_l).

    Raises:
        ValueError: as there, or precision below 2.

    Source: [serra2018] Theorem 1, as recalled.
    """
    return _ball(most(input_dim, widths), precision)


def one_dimension(widths: Sequence[int], *, precision: int = 128) -> flint.arb:
    """`linear_regions.one_dimension` as a ball: prod(n_l + 1).

    Raises:
        ValueError: as there, or precision below 2.

    Source: [serra2018], as recalled.
    """
    _, widths = check_sizes(1, widths, but_last=3)
    return _ball(math.prod(width + 1 for width in widths), precision)
