"""`daniely_norm` and `sphere_projection` as balls: Bessel functions by FLINT, series with proven remainders."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from widththeory.bounds.daniely_norm import harmonic_dimension
from widththeory.bounds.rigorous import flint, not_negative, positive, rational
from widththeory.typing import check_narrow, check_positive_int

Ball = flint.arb


def polynomial_distance_squared(
    dim: int, frequency: int | float | flint.arb, degree: int, *, precision: int = 128
) -> flint.arb:
    """`daniely_norm.polynomial_distance_squared` as a ball: A_{n,d}(sin(w t))^2, n = degree.

    The sum over odd k >= n of N_{d,k} [Gamma(d/2) (2/w)^(d/2-1) J_{k+d/2-1}(w)]^2.

    Args:
        dim: d, at least 3.
        frequency: w, positive; a float is taken at its exact value, a ball as all its numbers.
        degree: n, at least 0.
        precision: bits.

    Error:
        The radius. Degrees beyond the last one add at most a geometric series, by |J_v(w)| <= (w/2)^v / Gamma(v + 1).

    Raises:
        ValueError: an argument outside its range.

    Source: [daniely2017] Section 2 for A_{n,d}; the closed form is derived for this project.
    """
    check_positive_int("degree", degree, at_least=0)
    with flint.ctx.workprec(_bits(precision)):
        energies = _energies(dim, _key(frequency), precision)
        beyond = Ball(0).union(energies.distances[-1])  # for degrees beyond the last one
        return next((distance for n, distance in energies.pairs() if n >= degree), beyond)


def neuron_norm_needed(
    dim: int, frequency: int | float | flint.arb, relative_error: int | float, *, precision: int = 128
) -> flint.arb:
    """`daniely_norm.neuron_norm_needed` as a ball: max_n sqrt(N_{d,n}) (A_n - eps |F|^2 / A_n) / 2, at least 0.

    Every network of one hidden layer whose relative squared error is at most eps has neurons whose norms sum to at
    least the lower end of the ball.

    Args:
        dim: d, at least 3.
        frequency: w, positive.
        relative_error: eps, in (0, 1].
        precision: bits.

    Error: the radius.

    Raises:
        ValueError: an argument outside its range.

    Source: [daniely2017] Theorem 3, solved for the norms (derived for this project).
    """
    if not 0 < relative_error <= 1:
        raise ValueError(f"relative_error must be in (0, 1], got {relative_error!r}")
    with flint.ctx.workprec(_bits(precision)):
        energies, best = _energies(dim, _key(frequency), precision), Ball(0)
        for n, squared in energies.pairs():
            distance, lost = _distance(squared), rational(relative_error) * energies.whole
            if squared > 0:
                best = best.max(_root(dim, n) * (distance - lost / distance) / 2)
            elif not squared < lost:  # too little precision to tell
                best = best.max(_root(dim, n) * distance / 2 * Ball(0.5, 0.5))
        return best


def error_floor(
    dim: int, frequency: int | float | flint.arb, norm_sum: int | float, *, precision: int = 128
) -> flint.arb:
    """`daniely_norm.error_floor` as a ball: max_n A_n (A_n - 2 norm_sum / sqrt(N_{d,n})) / |F|^2, at least 0.

    Args:
        dim: d, at least 3.
        frequency: w, positive.
        norm_sum: sum of the L2 norms of the neurons, output weights included, at least 0.
        precision: bits.

    Error: the radius.

    Raises:
        ValueError: an argument outside its range.

    Source: [daniely2017] Theorem 3.
    """
    with flint.ctx.workprec(_bits(precision)):
        norms = not_negative("norm_sum", norm_sum)
        energies, best = _energies(dim, _key(frequency), precision), Ball(0)
        if not energies.whole > 0:  # a ball too wide to tell
            return Ball(0.5, 0.5)
        for n, squared in energies.pairs():
            distance = _distance(squared)
            best = best.max(distance * (distance - 2 * norms / _root(dim, n)) / energies.whole)
        return best.min(Ball(1))


def sphere_projection_floor(
    dim: int, frequency: int | float | flint.arb, width: int, *, precision: int = 64
) -> flint.arb:
    """`sphere_projection.sphere_projection_floor` as a ball: first hidden layers of width r < d, sin(w <x, x'>).

    With e_n the square norm of the sine's part of degree n, of which projections keep binomial(n + r - 1, n) / N_{d,n},

        sum_n e_n (1 - binomial(n + r - 1, n) / N_{d,n}) / sum_n e_n,    n odd.

    Args:
        dim: d, at least 3.
        frequency: w, positive; a float is taken at its exact value, a ball as all its numbers.
        width: r, between 1 and d - 1.
        precision: bits.

    Error:
        The radius. Degrees beyond the last one miss all or nothing of what they add to the square norm, at most a
        geometric series. Time grows like w: 0.1 s at w = 1000.

    Raises:
        ValueError: an argument outside its range.

    Source: derived for this project; the target is that of [daniely2017] Lemma 4.
    """
    check_narrow(width, dim, "dim")
    with flint.ctx.workprec(_bits(precision)):
        energies = _energies(dim, _key(frequency), precision)
        if not energies.whole > 0:  # a ball too wide to tell
            return Ball(0.5, 0.5)
        missed = energies.beyond
        for n, energy in zip(energies.degrees, energies.parts, strict=True):
            kept = Fraction(math.comb(n + int(width) - 1, n), harmonic_dimension(dim, n))
            missed += energy * rational(1 - kept)
        return (missed / energies.whole).min(Ball(1))


@dataclass(frozen=True)
class _Energies:
    """Odd degrees n, square norms of the sine's parts of these degrees and of all beyond, and A_n^2, their tails."""

    degrees: tuple[int, ...]
    parts: tuple[flint.arb, ...]
    beyond: flint.arb
    distances: tuple[flint.arb, ...]

    @property
    def whole(self) -> flint.arb:
        return self.distances[0]

    def pairs(self) -> Iterator[tuple[int, flint.arb]]:
        return zip(self.degrees, self.distances, strict=True)


def _bits(precision: int) -> int:
    return check_positive_int("precision", precision, at_least=32) + 32


def _key(frequency: int | float | flint.arb) -> float | tuple[flint.fmpz, ...]:
    """Something hashable that says exactly which frequency."""
    positive("frequency", frequency)
    if not isinstance(frequency, flint.arb):
        return float(frequency)
    return (*frequency.mid().man_exp(), *frequency.rad().man_exp())


def _frequency(key: float | tuple[flint.fmpz, ...]) -> flint.arb:
    if isinstance(key, float):
        return rational(key)
    middle, radius = (Ball(man) * Ball(2) ** Ball(exp) for man, exp in (key[:2], key[2:]))
    return middle + radius * Ball(0, 1)


def _distance(squared: flint.arb) -> flint.arb:
    """The root, of a ball that may reach to zero or below."""
    return squared.sqrt() if squared > 0 else Ball(0).union(squared.abs_upper().sqrt())


def _root(dim: int, degree: int) -> flint.arb:
    return Ball(harmonic_dimension(dim, degree)).sqrt()


@lru_cache(maxsize=8)
def _energies(dim: int, key: float | tuple[flint.fmpz, ...], precision: int) -> _Energies:
    """The tail sums, from the last degree down: that from which on terms surely shrink and are negligible."""
    dim = check_positive_int("dim", dim, at_least=3)
    w = _frequency(key)
    half, most = Ball(dim) / 2 - 1, w.upper()
    factor = ((half + 1).gamma() * (2 / w) ** half) ** 2

    def ceiling(degree: int) -> flint.arb:
        order = half + degree
        # at the largest frequency: of a wide ball quotients would never be seen to shrink
        return harmonic_dimension(dim, degree) * ((half + 1).gamma() * (most / 2) ** degree / (order + 1).gamma()) ** 2

    last, tail = 1, Ball(0)
    small = Ball(2) ** -precision * (w.lower() ** 2 / dim).min(Ball(1))  # the square norm of a slow sine is w^2 / d
    while True:
        # N_{k+2} / N_k and the Bessel bounds' quotients fall with k, so that all later terms shrink by this at least
        shrink = ceiling(last + 4) / ceiling(last + 2)
        if shrink < 0.5:
            tail = (ceiling(last + 2) / (1 - shrink)).abs_upper()
            if tail < small:
                break
        last += 2
    bessel, degrees = _bessel(half, w, last), range(1, last + 1, 2)
    parts = []
    for degree in degrees:
        part = harmonic_dimension(dim, degree) * factor * (bessel[degree - 1] * bessel[degree - 1])
        # of a wide ball it is wider than its bounds; the square norm of a sine is below 1
        parts.append(part.nonnegative_part().min(ceiling(degree).min(Ball(1)).upper()))
    total = beyond = Ball(0).union(tail)
    distances = []
    for part in reversed(parts):
        total += part
        distances.append(total.min(Ball(1)))
    return _Energies(tuple(degrees), tuple(parts), beyond, tuple(reversed(distances)))


def _bessel(half: flint.arb, w: flint.arb, last: int) -> list[flint.arb]:
    """J_{half + n}(w), n = 1, ..., last, by recurrence from the highest two, as FLINT's balls are wide for large w."""
    middle, most = w.mid(), w.upper()
    with flint.ctx.workprec(flint.ctx.prec + 2 * math.ceil(float(middle))):  # balls grow by some e^w
        found = [middle.bessel_j(half + last + 1), middle.bessel_j(half + last)]
        for n in range(last, 1, -1):
            found.append(2 * (half + n) / middle * found[-1] - found[-2])
    values = found[:0:-1]
    if not w.is_exact():  # 2 |J_v'| = |J_{v-1} - J_{v+1}|, each at most 1 and (w/2)^v / Gamma(v + 1)
        for n in range(1, last + 1):
            slopes = [((most / 2) ** (half + k) / (half + k + 1).gamma()).min(Ball(1)) for k in (n - 1, n + 1)]
            values[n - 1] += sum(slopes, Ball(0)) / 2 * w.rad() * Ball(0, 1)
    return values
