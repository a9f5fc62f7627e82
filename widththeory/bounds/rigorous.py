"""Rigorous mode: numbers as balls, whose radius is proven, rounding included (ball arithmetic of FLINT).

Closed forms here; `rigorous_<bound>` has those of the other bounds: `law` and `wave` (one hidden layer), `free_knot`
(rationals), `sliced` (in the plane), `ridge` (sums on equispaced lines), `chords`, `directions`, `products` and
`projection` (narrow first layers), `level_set`, `regions`, `daniely`, `features`, `gradient` and `truncation`.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

from widththeory.bounds.affine_pieces import max_affine_pieces
from widththeory.typing import Certified, check_positive_int, is_real, to_fraction

try:
    import flint
except ImportError as error:
    raise ImportError(
        "rigorous mode needs the package python-flint (pip install python-flint); the other bounds do not"
    ) from error


def to_certified(ball: flint.arb) -> Certified:
    """The ball as a float and a float radius that covers it.

    Raises:
        ValueError: a ball that is not finite, or beyond 1.8e308.

    Source: derived for this project.
    """
    if not ball.is_finite():
        raise ValueError(f"ball must be finite, got {ball}")
    value = float(ball.mid())
    if not math.isfinite(value):
        raise ValueError(f"ball must be in the range of floats, got {ball}")
    with flint.ctx.workprec(1024):  # the difference is then exact enough that its upper end is above it
        distance = (ball - flint.arb(value)).abs_upper()
    # float() rounds to nearest, a small distance to 0; one step up is above
    return Certified(value, math.nextafter(float(distance), math.inf) if distance > 0 else 0.0)


def to_ball(number: Certified) -> flint.arb:
    """The certified number as a ball, so that it enters ball arithmetic; its radius is the stated error, as good as it.

    This is how numbers that only floating point finds, as distances along chords, take part.

    Source: derived for this project.
    """
    return flint.arb(number.value, number.error)


def rational(number: Fraction | int | float) -> flint.arb:
    """The rational or float number, enclosed to the working precision.

    Source: derived for this project.
    """
    exact = to_fraction(number)
    return flint.arb(flint.fmpq(exact.numerator, exact.denominator))


def _is_number(number: object) -> bool:
    return is_real(number) or isinstance(number, flint.arb)


def positive(name: str, number: Fraction | int | float | flint.arb) -> flint.arb:
    """The number as a ball, or the ball itself, if it is positive and finite.

    Raises:
        ValueError: it is not; the argument is called `name`.

    Source: derived for this project.
    """
    if not (_is_number(number) and 0 < number < math.inf):
        raise ValueError(f"{name} must be positive and finite, got {number!r}")
    return number if isinstance(number, flint.arb) else rational(number)


def not_negative(name: str, number: Fraction | int | float | flint.arb) -> flint.arb:
    """The number as a ball, or the ball itself, if it is finite and at least 0.

    Raises:
        ValueError: it is not; the argument is called `name`.

    Source: derived for this project.
    """
    if not (_is_number(number) and 0 <= number < math.inf):
        raise ValueError(f"{name} must be a finite number of at least 0, got {number!r}")
    return number if isinstance(number, flint.arb) else rational(number)


def sawtooth_floor(num_folds: int, widths: Sequence[int], norm: str = "l1", *, precision: int = 128) -> flint.arb:
    """`affine_pieces.sawtooth_floor` as a ball: with missed = (1 - (P - 1) / 2^(k-1))_+ and P = prod(w_l + 1),

    missed / 4 in L1, sqrt(missed / 12) in L2, 1/2 in the sup norm where missed > 0.

    Args:
        num_folds: k, at least 1.
        widths: units of each hidden layer.
        norm: "l1", "l2" (not squared) or "sup".
        precision: bits.

    Error: the radius; a value near 2^-precision of the result.

    Raises:
        ValueError: a size out of range, or an unknown norm.

    Source:
        derived for this project, after [telgarsky2016] Lemma 3.1; the piece count is [serra2018] (as recalled).
    """
    teeth = 2 ** (check_positive_int("num_folds", num_folds) - 1)
    missed = max(Fraction(0), 1 - Fraction(max_affine_pieces(widths) - 1, teeth))
    return _of_norm({"l1": missed / 4, "l2": missed / 12, "sup": Fraction(1, 2) if missed else missed}, norm, precision)


def square_floor(widths: Sequence[int], norm: str = "sup", *, precision: int = 128) -> flint.arb:
    """`affine_pieces.square_floor` as a ball: 1/(8 P^2) in the sup norm, 1/(sqrt(180) P^2) in L2, 1/(16 P^2) in L1.

    Args:
        widths: units of each hidden layer; P = prod(w_l + 1).
        norm: "sup", "l2" or "l1".
        precision: bits.

    Error: the radius.

    Raises:
        ValueError: a size out of range, or an unknown norm.

    Source:
        derived for this project; the target is that of [yarotsky2017], the piece count [serra2018] (both as recalled).
    """
    pieces = max_affine_pieces(widths)
    squared = Fraction(1, pieces**2)
    return _of_norm({"sup": squared / 8, "l2": squared**2 / 180, "l1": squared / 16}, norm, precision)


def _of_norm(values: dict[str, Fraction], norm: str, precision: int) -> flint.arb:
    if norm not in values:
        raise ValueError(f"norm must be one of {', '.join(values)}, got {norm!r}")
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        return rational(values[norm]).sqrt() if norm == "l2" else rational(values[norm])
