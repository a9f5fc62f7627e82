"""How many linear regions a ReLU network of given widths can have, must be able to have, and has in order."""

import math
from collections.abc import Sequence

from widththeory.bounds.region_counts import cells, check_sizes, folded, most
from widththeory.typing import Certified


def _count(regions: int) -> Certified:
    """An integer as a float, with the rounding as its error."""
    try:
        value = float(regions)
    except OverflowError:
        raise ValueError(
            f"widths must give fewer than 1e308 regions, got a number of {len(str(regions))} digits"
        ) from None
    missed = abs(regions - int(value))
    error = float(missed)
    return Certified(value, error if error >= missed else math.nextafter(error, math.inf))


def one_hidden_layer(input_dim: int, width: int) -> Certified:
    """Regions of one hidden layer of `width` units in general position: sum_{j <= d} C(width, j), the largest number.

    Args:
        input_dim: d, at least 1.
        width: at least 1.

    Raises:
        ValueError: an argument is not an integer of at least 1.

    Source:
        Zaslavsky's count of the cells of an arrangement, as in [montufar2014] Section 2, as recalled.
    """
    return _count(cells(input_dim, width))


def montufar_lower(input_dim: int, widths: Sequence[int]) -> Certified:
    """Some network of hidden widths n_l has at least prod_{l<L} floor(n_l / d)^d sum_{j <= d} C(n_L, j) regions.

    `widththeory.constructions.montufar` builds one that has exactly this number in the open unit cube.

    Args:
        input_dim: d, at least 1.
        widths: n_1, ..., n_L, each at least d.

    Raises:
        ValueError: an argument outside its range.

    Source:
        [montufar2014], as recalled.
    """
    return _count(folded(input_dim, widths, per_input=1))


def serra_lower(input_dim: int, widths: Sequence[int]) -> Certified:
    """Some network has at least prod_{l<L} (floor(n_l / d) + 1)^d sum_{j <= d} C(n_L, j) regions, if all n_l >= 3 d.

    Args:
        input_dim: d, at least 1.
        widths: n_1, ..., n_L, each at least 3 d.

    Raises:
        ValueError: an argument outside its range.

    Source:
        [serra2018], as recalled.
    """
    return _count(folded(input_dim, widths, per_input=3, extra=1))


def serra_upper(input_dim: int, widths: Sequence[int]) -> Certified:
    """No network of hidden widths n_l has more regions than sum over J of prod_l C(n_l, j_l).

    J holds the tuples with 0 <= j_l <= min(d, n_1 - j_1, ..., n_{l-1} - j_{l-1}, n_l). The minimum is the largest rank
    that a layer can still see, so the sum runs over layers with that number as state.

    Args:
        input_dim: d, at least 1.
        widths: n_1, ..., n_L, each at least 1.

    Raises:
        ValueError: an argument outside its range.

    Source:
        [serra2018] Theorem 1, as recalled.
    """
    return _count(most(input_dim, widths))


def one_dimension(widths: Sequence[int]) -> Certified:
    """Largest number of affine pieces of a network of one input: exactly prod(n_l + 1).

    Args:
        widths: n_1, ..., n_L: the last at least 1, all others at least 3. (Narrower layers may attain less: with width
            1 everywhere there are at most 3 pieces at any depth. The product remains an upper bound.)

    Raises:
        ValueError: an argument outside its range.

    Source:
        [serra2018], as recalled: `serra_lower` and `serra_upper` agree for input_dim 1.
    """
    _, widths = check_sizes(1, widths, but_last=3)
    return _count(math.prod(width + 1 for width in widths))


def order_at_initialisation(input_dim: int, widths: Sequence[int]) -> float:
    """N^d / d!, N the number of all hidden units: a formula, of the order of a bound on the mean at initialisation.

    Let all weights and biases have a joint density, each set of k biases given all else one of at most B^k, and let
    the m-th moment of the norm of each unit's gradient be at most G^m at every point, for each m. Then in a cube that
    is not too small the expected number of activation regions is at most (T N)^d / d! times its volume, if N >= d;
    T depends on B and G alone, on no depth. Linear regions are no more than activation regions. The theorem does not
    say T, nor that there are so many: a baseline for plots that bounds nothing, and so a plain float. For one input
    the mean number of linear regions is known to grow linearly in N.

    Args:
        input_dim: d, at least 1.
        widths: n_1, ..., n_L, each at least 1.

    Raises:
        ValueError: an argument outside its range.

    Source:
        [haninrolnick2019patterns], its hypotheses as recalled; one input: [haninrolnick2019].
    """
    input_dim, widths = check_sizes(input_dim, widths)
    units = sum(widths)
    try:
        return units**input_dim / math.factorial(input_dim)
    except OverflowError:
        raise ValueError(
            f"widths must give fewer than 1e308 regions, got {units} units in {input_dim} dimensions"
        ) from None
