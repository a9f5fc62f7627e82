"""Width of networks whose first layer is random: the law for Lipschitz targets, and a count without constants.

Only the outer weights are fitted, so that the network lies in the span V of r functions chosen before the target.
Bessel's inequality: for orthonormal functions phi_1, ..., phi_N the squared distances to V add up to at least N - r.
"""

import functools
import math
from typing import Literal

from widththeory.bounds.enclosure import at_least_zero
from widththeory.typing import Certified, check_positive, check_positive_int

_BITS = 10**6  # of the integers in which lattice points are counted; more radii cost seconds and add little


def _ratio(input_dim: int, lipschitz: float, l2_error: float) -> float:
    """(L / eps)^2."""
    check_positive_int("input_dim", input_dim)
    ratio = check_positive("lipschitz", lipschitz) / check_positive("l2_error", l2_error)
    if not 1e-150 < ratio < 1e150:  # its square and the inverse of that stay floats
        raise ValueError(f"lipschitz / l2_error must lie between 1e-150 and 1e150, got {lipschitz!r} / {l2_error!r}")
    return ratio**2


def law_exponent(input_dim: int, lipschitz: float, l2_error: float) -> float:
    """The exponent E of the law exp(Theta(E)) for the number of random ReLU units that L-Lipschitz functions need,

        E = min( (L^2 / eps^2) log(d eps^2 / L^2 + 2),  d log(L^2 / (eps^2 d) + 2) ),

    necessary and sufficient for L2 error eps on [-1, 1]^d, uniform law. The constants behind Theta are not given, so
    that this is a rate and not a count; `random_features_needed` is a count.

    Args:
        input_dim: d, at least 1.
        lipschitz: L, above 0.
        l2_error: eps, above 0, root mean square.

    Raises:
        ValueError: an argument outside its range.

    Source: [hsu2021], upper and lower bound.
    """
    ratio = _ratio(input_dim, lipschitz, l2_error)
    return min(ratio * math.log(input_dim / ratio + 2), input_dim * math.log(ratio / input_dim + 2))


def law_regime(input_dim: int, lipschitz: float, l2_error: float) -> Literal["accuracy", "dimension"]:
    """Which term of the law is the smaller one: "accuracy" (L^2/eps^2 < d), polynomial in d, or "dimension".

    With x = L^2 / (eps^2 d) the terms are d x log(1/x + 2) and d log(x + 2), equal at x = 1 and nowhere else.

    Args:
        input_dim, lipschitz, l2_error: as for `law_exponent`.

    Raises:
        ValueError: an argument outside its range.

    Source: [hsu2021]; where the terms cross is derived for this project.
    """
    return "accuracy" if _ratio(input_dim, lipschitz, l2_error) < input_dim else "dimension"


def lattice_points(input_dim: int, squared_radius: int) -> int:
    """Number of k in Z^d with |k|^2 <= squared_radius, exactly.

    The coefficients of (1 + 2 q + 2 q^4 + 2 q^9 + ...)^d up to q^squared_radius, added.

    Args:
        input_dim: d, at least 1.
        squared_radius: an integer of at least 0.

    Raises:
        ValueError: an argument outside its range.

    Source: derived for this project (classical).
    """
    input_dim = check_positive_int("input_dim", input_dim)
    squared_radius = check_positive_int("squared_radius", squared_radius, at_least=0)
    return _counts(input_dim, squared_radius)[-1]


def _counts(input_dim: int, last: int) -> list[int]:
    """Lattice points in balls of squared radius 0, 1, ..., last: the series as digits of one long integer."""
    bits = _fewer_digits(input_dim, last)
    mask = (1 << bits * (last + 1)) - 1
    base = 1 + sum(2 << bits * j * j for j in range(1, math.isqrt(last) + 1))
    power = 1
    for digit in bin(input_dim)[2:]:
        power = power * power & mask
        if digit == "1":
            power = power * base & mask
    # multiplied by 1 + q + q^2 + ...: partial sums
    power = power * (mask // ((1 << bits) - 1)) & mask
    width = bits // 8
    raw = power.to_bytes(width * (last + 1), "little")
    return [int.from_bytes(raw[width * j : width * (j + 1)], "little") for j in range(last + 1)]


def _digits(input_dim: int, last: int) -> int:
    """Bits that hold the number of lattice points of the cube around the ball, in whole bytes."""
    return 8 * math.ceil((input_dim * math.log2(2 * math.isqrt(last) + 1) + 1) / 8)


def _fewer_digits(input_dim: int, last: int) -> int:
    """The same, or those that hold (2 d + 1)^last: a point of the ball is reached by that many unit steps or rests."""
    return min(_digits(input_dim, last), 8 * math.ceil((last * math.log2(2 * input_dim + 1) + 1) / 8))


@functools.lru_cache(maxsize=32)
def _table(input_dim: int) -> tuple[int, ...]:
    """Lattice points for the squared radii that are tried: 0, 1, ... up to some thousands."""
    last = 1
    while 2 * last * _digits(input_dim, 2 * last) <= _BITS:
        last *= 2
    return tuple(_counts(input_dim, last))


def random_feature_floor(input_dim: int, lipschitz: float, num_features: int) -> Certified:
    """L2 error that r features chosen before the target cannot beat for every L-Lipschitz function on [-1, 1]^d.

    For |k|^2 <= m the functions A sqrt(2) cos(pi <k, x>) and A sqrt(2) sin(pi <k, x>), one of each pair k, -k, and
    the constant A, with A = L / (pi sqrt(2 m)), are L-Lipschitz, orthogonal and of root mean square A under the
    uniform law. There are N(m) of them, the lattice points of the ball, and for any r functions the mean of their
    squared distances to the span is at least

        A^2 (1 - r / N(m)).

    So for any law of r random features some member of the family has an expected squared error as large, fitted to
    infinite data. The root of the largest value over m is returned.

    Args:
        input_dim: d, at least 1.
        lipschitz: L, above 0, in the Euclidean norm.
        num_features: r, at least 0; a constant unit counts.

    Error: rounding. Radii m up to some thousands are tried: a floor all the same, but not the best for r beyond N(m).

    Raises:
        ValueError: an argument outside its range.

    Source: derived for this project, after the lower bound of [hsu2021].
    """
    input_dim, lipschitz = check_positive_int("input_dim", input_dim), check_positive("lipschitz", lipschitz)
    num_features = check_positive_int("num_features", num_features, at_least=0)
    best, table = 0.0, _table(input_dim)
    for m, count in enumerate(table[1:], start=1):
        size = lipschitz / (math.pi * math.sqrt(2 * m))
        if size <= best:
            break
        if count > num_features:
            best = max(best, size * math.sqrt((count - num_features) / count))
    # rounding among the least floats, whose digits are few
    tiny = 1e-320 if best < 1e-290 and table[-1] > num_features else 0.0
    return Certified(*at_least_zero(best, 1e-15 * 8 * best + tiny))


def random_features_needed(input_dim: int, lipschitz: float, l2_error: float, failure: float = 0.0) -> Certified:
    """Least number of random features with which every L-Lipschitz function on [-1, 1]^d can be fitted, from below.

    If for every L-Lipschitz target, with probability at least 1 - failure over the features, the best combination of r
    features is within eps in L2 (root mean square), then

        r >= (1 - failure) N(m) (1 - 2 pi^2 m eps^2 / L^2)    for all integers m >= 1,

    with N(m) lattice points as in `random_feature_floor`: for some draw a part 1 - failure of the family is within eps.

    Args:
        input_dim: d, at least 1.
        lipschitz: L, above 0.
        l2_error: eps, above 0.
        failure: probability, in [0, 1).

    Error: rounding. 0 where L / eps <= pi sqrt(2), since then no m helps.

    Raises:
        ValueError: an argument outside its range.

    Source: derived for this project, after the lower bound of [hsu2021].
    """
    scaled = 2 * math.pi**2 / _ratio(input_dim, lipschitz, l2_error)
    if not 0 <= failure < 1:
        raise ValueError(f"failure must lie in [0, 1), got {failure!r}")
    best = least = most = 0.0
    for m, count in enumerate(_table(input_dim)[1:], start=1):
        share = 1 - m * scaled
        if share <= -1e-14:  # a share that vanishes by rounding alone still counts at the upper end
            break
        value = float(count) * share * (1 - float(failure))  # counts of the table stay far below 1e308
        doubt = 1e-14 * float(count)  # the share is a difference of numbers up to 1
        best, least, most = max(best, value), max(least, value - doubt), max(most, value + doubt)
    return Certified(*at_least_zero(best, max(best - least, most - best)))
