"""Floors from counting affine pieces: a scalar-input network of hidden widths w_l has at most prod(w_l + 1) of them."""

import math
from collections.abc import Sequence
from fractions import Fraction

from widththeory.typing import Certified, check_positive_int


def max_affine_pieces(widths: Sequence[int]) -> int:
    """No ReLU network R -> R with these hidden widths has more affine pieces than this: prod_l (w_l + 1).

    Each piece of a layer's input is cut at most w_l times, and composed zigzags attain it where every w_l >= 3.
    Narrower networks may have fewer: of width 1 at most 3, at any depth. On an interval the bound is the same, and a
    network R^n -> R restricted to a line has no more pieces.

    Args:
        widths: units of each hidden layer, each at least 1; none for an affine map.

    Raises:
        ValueError: a width is not an integer of at least 1.

    Source: [serra2018] (as recalled), exact for one input.
    """
    return math.prod(check_positive_int("widths", width) + 1 for width in widths)


def depth_for_pieces(num_pieces: int, width: int) -> int:
    """No fewer hidden layers of `width` units have `num_pieces` affine pieces; from width 3 on some of so many do.

    Raises:
        ValueError: an argument is not an integer of at least 1.

    Source: [serra2018] (as recalled), inverted.
    """
    num_pieces, width = check_positive_int("num_pieces", num_pieces), check_positive_int("width", width)
    depth, reached = 0, 1
    while reached < num_pieces:
        depth, reached = depth + 1, reached * (width + 1)
    return depth


def width_for_pieces(num_pieces: int, depth: int) -> int:
    """No `depth` hidden layers of less width have `num_pieces` affine pieces; from width 3 on some of this width do.

    Raises:
        ValueError: an argument is not an integer of at least 1.

    Source: [serra2018] (as recalled), inverted.
    """
    num_pieces, depth = check_positive_int("num_pieces", num_pieces), check_positive_int("depth", depth)
    low, high = 1, max(1, num_pieces - 1)
    while low < high:  # bisection on exact integers: a float root may be off by one
        middle = (low + high) // 2
        low, high = (low, middle) if (middle + 1) ** depth >= num_pieces else (middle + 1, high)
    return low


def sawtooth_floor(num_folds: int, widths: Sequence[int], norm: str = "l1") -> Certified:
    """Distance on [0, 1] from the sawtooth h^k with 2^(k-1) teeth to every network with these hidden widths.

    With P = prod(w_l + 1) and missed = (1 - (P - 1) / 2^(k-1))_+, k = num_folds, every g that is affine on P pieces,
    continuous or not, has

        |h^k - g|_L1 >= missed / 4,    |h^k - g|_L2^2 >= missed / 12,    |h^k - g|_sup >= 1/2 where missed > 0.

    A tooth without breakpoint costs that much: sign(h^k - 1/2) is orthogonal to affine functions on it.

    Args:
        num_folds: k, at least 1.
        widths: units of each hidden layer.
        norm: "l1", "l2" (not squared) or "sup".

    Error: the formula is exact; `error` is its rounding.

    Raises:
        ValueError: a size out of range, or an unknown norm.

    Source:
        derived for this project, after [telgarsky2016] Lemma 3.1; the piece count is [serra2018] (as recalled).
    """
    teeth = 2 ** (check_positive_int("num_folds", num_folds) - 1)
    missed = max(Fraction(0), 1 - Fraction(max_affine_pieces(widths) - 1, teeth))
    if norm == "l1":
        return _rounded(missed / 4)
    if norm == "l2":
        return _rounded_root(missed / 12)
    if norm == "sup":
        return Certified(0.5 if missed > 0 else 0.0, 0.0)
    raise ValueError(f"norm must be 'l1', 'l2' or 'sup', got {norm!r}")


def square_floor(widths: Sequence[int], norm: str = "sup") -> Certified:
    """Distance on [0, 1] from x^2 to every network with these hidden widths.

    The best function with P affine pieces, continuous or not, has sup error 1/(8 P^2), L2 error 1/(sqrt(180) P^2) and
    L1 error 1/(16 P^2), attained at equal pieces; a network has P = prod(w_l + 1) at most.

    Args:
        widths: units of each hidden layer.
        norm: "sup", "l2" or "l1".

    Error: the formula is exact; `error` is its rounding.

    Raises:
        ValueError: a size out of range, or an unknown norm.

    Source:
        derived for this project; the target is that of [yarotsky2017], the piece count [serra2018] (both as recalled).
    """
    pieces = max_affine_pieces(widths)
    if norm == "sup":
        return _rounded(Fraction(1, 8 * pieces**2))
    if norm == "l2":
        return _rounded_root(Fraction(1, 180 * pieces**4))
    if norm == "l1":
        return _rounded(Fraction(1, 16 * pieces**2))
    raise ValueError(f"norm must be 'sup', 'l2' or 'l1', got {norm!r}")


def pieces_for_square(sup_error: float) -> int:
    """The least number of affine pieces that bring the sup error for x^2 on [0, 1] down to `sup_error`.

    The least P with 1/(8 P^2) <= sup_error; for sup_error = 2^(-2m-2) it is ceil(2^(m-1/2)).

    Raises:
        ValueError: sup_error is not a positive finite number.

    Source: derived for this project.
    """
    if not (math.isfinite(sup_error) and sup_error > 0):
        raise ValueError(f"sup_error must be a positive finite number, got {sup_error!r}")
    needed = 1 / (8 * Fraction(sup_error))
    root = math.isqrt(math.floor(needed))
    return root if root * root >= needed else root + 1


def _rounded(exact: Fraction) -> Certified:
    value = float(exact)
    return Certified(value, math.ulp(value) if value != exact else 0.0)


def _rounded_root(exact: Fraction) -> Certified:
    if exact == 0:
        return Certified(0.0, 0.0)
    # of a number near 1: a fraction below 1e-308 has fewer digits as a float, or none, where its root has all
    shift = max(0, exact.denominator.bit_length() - exact.numerator.bit_length()) // 2
    value = math.ldexp(math.sqrt(exact * 4**shift), -shift)
    return Certified(value, 2 * math.ulp(value))  # two roundings, of the fraction and of the root
