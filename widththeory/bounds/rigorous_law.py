"""The radial law and the share of the sphere in a tube as balls: `radial_law` and `log_tube_fraction`, with proof."""

from fractions import Fraction

from widththeory.bounds.radial_law import RadialLaw
from widththeory.bounds.rigorous import flint, positive
from widththeory.typing import check_positive_int

_MOST_BITS = 2**17  # for Bessel functions of arguments up to about 1e5


def normaliser(law: RadialLaw) -> flint.arb:
    """Z = Gamma(1+2m) Gamma(nu) / (2^(1+2m) Gamma(1+m)^2 Gamma(nu+2m+1)), at the working precision.

    Source: derived for this project; 1/dim for order 0, as in [eldanshamir2016] Section 2.
    """
    nu, m = flint.arb(law.dim) / 2, law.order
    top = flint.arb(1 + 2 * m).gamma() * nu.gamma()
    return top / (flint.arb(2) ** (1 + 2 * m) * flint.arb(1 + m).gamma() ** 2 * (nu + 2 * m + 1).gamma())


def bessel_order(law: RadialLaw) -> flint.arb:
    """nu + m, exactly."""
    return flint.arb(law.dim) / 2 + law.order


def bessel(order: flint.arb, argument: flint.arb) -> flint.arb:
    """J_order on a ball of positive real numbers: the value in the middle, and |J'| = |a J_a / z - J_{a+1}| <= a/z + 1.

    FLINT's own enclosure for half-integer orders widens a ball of radius r by far more; and where the order is about
    the argument it loses bits, all of 100 at J_200(160), so that the value in the middle takes as many as it needs.
    """
    low = argument.lower()
    if not low > 0:
        return argument.bessel_j(order)
    bits, middle = flint.ctx.prec, argument.mid().bessel_j(order)
    wanted = flint.arb(2) ** (16 - bits)  # some digits are lost anyway
    while not (middle.is_finite() and middle.rad() < wanted) and bits < _MOST_BITS:
        bits *= 2
        with flint.ctx.workprec(bits):
            middle = argument.mid().bessel_j(order)
    return middle + (1 + order / low) * argument.rad() * flint.arb(0, 1)


def _squared(ball: flint.arb) -> flint.arb:
    return ball * ball  # ** 2 of a ball about zero itself is not a number


def density(law: RadialLaw, radius: float | Fraction, *, precision: int = 128) -> flint.arb:
    """p(t) = J_{nu+m}(t)^2 t^(-1-2m) / Z as a ball, for t > 0.

    Raises:
        ValueError: radius not positive, or not finite.

    Source: [eldanshamir2016] Section 2 for m = 0; m > 0 derived for this project.
    """
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        t = positive("radius", radius)
        return _squared(bessel(bessel_order(law), t)) / (t ** (1 + 2 * law.order) * normaliser(law))


def cdf(law: RadialLaw, radius: float | Fraction, *, precision: int = 128) -> flint.arb:
    """P(t <= T) as a ball, for T > 0: the sum of squared Bessel functions and the recursion of `RadialLaw.cdf`.

    Error:
        The sum stops at order a + N with a + N > T; by J_b(T) <= (T/2)^b / Gamma(b + 1), the rest is at most
        4/3 of that bound, squared, at b = a + N: each term is at most 1/4 of the one before.

    Raises:
        ValueError: radius not positive, or not finite.

    Source: derived for this project, as `RadialLaw.cdf`.
    """
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2) + 32):
        t, a = positive("radius", radius), bessel_order(law)
        shift = max(1, int(radius) + 1)
        mass = _squared(bessel(a, t))
        for k in range(1, shift):
            mass += 2 * _squared(bessel(a + k, t))
        tolerance = flint.arb(2) ** -(precision + 16)
        while True:
            rest = ((t / 2) ** (a + shift) / (a + shift + 1).gamma()) ** 2 * 4 / 3
            if not rest > tolerance * mass:  # nor where rounding is all that is known of a small mass
                break
            mass += 2 * _squared(bessel(a + shift, t))
            shift += 1
        mass = (mass + 2 * rest * flint.arb(0.5, 0.5)) / (2 * a)
        value, slope = bessel(a, t), (bessel(a - 1, t) - bessel(a + 1, t)) / 2
        for j in range(1, law.order + 1):
            edge = _squared(t * slope) + 2 * j * t * value * slope + (t**2 + 2 * j**2 - a**2) * _squared(value)
            mass = ((4 * j - 2) * mass + edge / t ** (2 * j)) / (4 * j * (a**2 - j**2))
        return mass / normaliser(law)


def tube_fraction(rho: flint.arb, dim: int) -> flint.arb:
    """cap(rho) = I_{1/rho^2}((d-1)/2, 1/2) for a ball rho > 1, at the working precision.

    As cap falls, the enclosure is that of its two ends.

    Raises:
        ValueError: rho not certainly above 1.

    Source: derived for this project; [eldanshamir2016] Lemma 16 bounds it at rho = 2.
    """
    if not rho > 1:
        raise ValueError(f"rho must be above 1, got {rho}")
    a = flint.arb(check_positive_int("dim", dim, at_least=2) - 1) / 2

    def cap(point: flint.arb) -> flint.arb:
        inner = 1 / point**2
        if inner < 0.9:
            return inner.beta_lower(a, flint.arb(0.5), regularized=True)
        return 1 - (1 - inner).beta_lower(flint.arb(0.5), a, regularized=True)  # the same, stable near rho = 1

    return cap(rho) if rho.is_exact() else cap(rho.lower()).union(cap(rho.upper()))
