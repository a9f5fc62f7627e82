"""`daniely_norm` and `sphere_projection` as balls: Bessel functions by FLINT, series with proven remainders."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from widththeory.bounds.daniely_norm import harmonic_dimension
from widththeory.bounds.rigorous import flint, rational
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
    if not (norm_sum >= 0 and math.isfinite(norm_sum)):
        raise ValueError(f"norm_sum must be a finite number of at least 0, got {norm_sum!r}")
    with flint.ctx.workprec(_bits(precision)):
        energies, best = _energies(dim, _key(frequency), precision), Ball(0)
        for n, squared in energies.pairs():
            distance = _distance(squared)
            best = best.max(distance * (distance - 2 * rational(norm_sum) / _root(dim, n)) / energies.whole)
        return best


def sphere_projection_floor(
    dim: int, frequency: int | float | flint.arb, width: int, *, precision: int = 64
) -> flint.arb:
    """`sphere_projection.sphere_projection_floor` as a ball: first hidden layers of width r < d, sin(w <x, x'>).

    With a = r/2, b = (d - r)/2 and M_ij = E s^i (1 - s)^j = (a)_i (b)_j / (d/2)_(i+j) for s = |P x|^2, the mean of
    phi_(d-r)(w |q| |q'|)^2 phi_r(2 w |P x| |P x'|) is the double series

        sum_ij (-1)^(i+j) M_ij^2 w^(2i) / (i! (a)_i) (w/2)^(2j) c_j,    c_j = sum_k 1 / (k! (j-k)! (b)_k (b)_(j-k)),

    and the floor is 1 - (sum over i >= 1, times -1/2) / ((1 - phi_d(2 w)) / 2).

    Args:
        dim: d, at least 3.
        frequency: w, positive; a float is taken at its exact value, a ball as all its numbers.
        width: r, between 1 and d - 1.
        precision: bits.

    Error:
        The radius. Since M_ij <= 1 and a, b >= 1/2, both factors are at most t_n = (2 w)^(2n) / (2n)!, so that what is
        beyond i, j <= N adds at most cosh(2 w) sum_(n > N) t_n.

    Raises:
        ValueError: an argument outside its range.

    Source: derived for this project; the target is that of [daniely2017] Lemma 4.
    """
    check_narrow(width, dim, "dim")
    dim, width = check_positive_int("dim", dim, at_least=3), int(width)
    key, wanted = _key(frequency), _bits(precision)
    # terms are as large as cosh(2 w)^2, and cancel; where w is small all but w^2 of 1 does
    lost = 6 * float(_frequency(key).abs_upper()) + max(0.0, -3 * float(_frequency(key).lower().log()))
    with flint.ctx.workprec(wanted + math.ceil(lost)):
        w = _frequency(key)
        a, b = Ball(width) / 2, Ball(dim - width) / 2
        last, beyond = _cut((2 * w) ** 2, Ball(2) ** -wanted * (w**2).min(Ball(1)) / (2 * w).cosh())
        first, second, both = (_rising(z, 2 * last) for z in (a, b, a + b))
        factorials = _rising(Ball(1), last)
        halves = [1 / (factorials[k] * second[k]) for k in range(last + 1)]
        known = Ball(0)
        for j in range(last + 1):
            square = sum((halves[k] * halves[j - k] for k in range(j + 1)), Ball(0)) * (w / 2) ** (2 * j)
            for i in range(1, last + 1):
                moment = first[i] * second[j] / both[i + j]
                known += (-1) ** (i + j + 1) * square * moment**2 * w ** (2 * i) / (factorials[i] * first[i]) / 2
        known += (2 * w).cosh() * beyond * Ball(0, 1)
        whole = (1 - (-(w**2)).hypgeom_0f1(a + b)) / 2
        return (1 - known / whole).max(Ball(0))


def _cut(square: flint.arb, tolerance: flint.arb) -> tuple[int, flint.arb]:
    """N, and a bound on what is left of cosh(sqrt(square)) after its terms n <= N, below the tolerance."""
    last, term = 0, square / 2  # the first that is left out
    while True:
        shrink = square / ((2 * last + 3) * (2 * last + 4))  # falls with the terms
        if shrink < 0.5 and 2 * term < tolerance:
            return last, term / (1 - shrink)
        last, term = last + 1, term * shrink


def _rising(start: flint.arb, last: int) -> list[flint.arb]:
    """start (start + 1) ... (start + n - 1) for n = 0, ..., last."""
    found = [Ball(1)]
    for n in range(last):
        found.append(found[-1] * (start + n))
    return found


@dataclass(frozen=True)
class _Energies:
    """Odd degrees n and A_n^2 at each, and the square norm of the sine, which is the first of them."""

    degrees: tuple[int, ...]
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
    if not isinstance(frequency, flint.arb):
        if not (math.isfinite(frequency) and frequency > 0):
            raise ValueError(f"frequency must be positive and finite, got {frequency!r}")
        return float(frequency)
    if not (frequency > 0 and frequency.is_finite()):
        raise ValueError(f"frequency must be positive and finite, got {frequency!r}")
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

    degrees, energies = [], []
    degree, tail = 1, Ball(0)
    while True:
        order = half + degree
        degrees.append(degree)
        energies.append(harmonic_dimension(dim, degree) * factor * w.bessel_j(order) ** 2)
        degree += 2
        # N_{k+2} / N_k and the Bessel bounds' quotients fall with k, so that all later terms shrink by this at least
        shrink = ceiling(degree + 2) / ceiling(degree)
        if shrink < 0.5:
            tail = (ceiling(degree) / (1 - shrink)).abs_upper()
            if tail < Ball(2) ** -precision * energies[0].abs_upper() and tail < Ball(2) ** -precision:
                break
    total, distances = tail * Ball(0.5, 0.5), []
    for energy in reversed(energies):
        total += energy
        distances.append(total.nonnegative_part())
    return _Energies(tuple(degrees), tuple(reversed(distances)))
