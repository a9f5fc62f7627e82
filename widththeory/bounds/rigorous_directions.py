"""Floors for first layers narrower than the input as balls: radial functions, by proven integration; sums of squares.

For a ball all directions are alike. On a chord of half-length h at distance r from the centre, r^2 + h^2 = 1, put
t = h u. With p(s) the profile as a function of the squared radius s = r^2 + h^2 u^2, A_n the area of the unit sphere of
R^n and all integrals over [0, 1],

    int (variance x length) = A_n int p(s^2)^2 s^(n-1) ds - 2 A_(n-1) int r^(n-2) h (int p(r^2 + h^2 u^2) du)^2 dr.

The sum of squares on a cube has a closed form for every direction at once, which is elementary.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import TypeAlias

from widththeory.bounds.rigorous import flint, positive, rational
from widththeory.typing import check_choice, check_positive_int

Profile: TypeAlias = Callable[[flint.acb, bool], flint.acb]

# of the triangles tried for sums of squares; None is the weight 1
_REACHES = (*(Fraction(k, 20) for k in (3, 4, 6, 9, 14, 20, 30, 40)), None)


def radial_floor(profile: Profile, input_dim: int, norm: str = "l2", *, precision: int = 64) -> flint.arb:
    """`kernel_direction.radial_floor` as a ball: least distance on the unit ball to functions constant along a line.

    No network on R^n with a first hidden layer of width at most n - 1 comes closer to f(x) = profile(|x|^2) on the
    ball, or on a cube that holds it.

    In L1 the chord is cut at |u| = 1/2: the sign that is -1 inside and 1 outside is orthogonal to constants, so that

        |f - g|_1 >= 2 A_(n-1) int r^(n-2) h |int_(1/2)^1 p du - int_0^(1/2) p du| dr,

    which is the distance itself where the profile is monotone. The ball is that of the integral without the modulus.

    Args:
        profile: p(s, analytic), s = |x|^2 as a complex ball, holomorphic near (0, 1]; with the flag its value is not
            finite where p is not holomorphic, as `acb.sqrt(analytic)` has it: |x| is `lambda s, a: s.sqrt(a)`.
        input_dim: n, at least 2.
        norm: "l2" (not squared) or "l1".
        precision: bits asked for of the integrals.

    Error: the radius.

    Raises:
        ValueError: an unknown norm, or input_dim below 2.

    Source: derived for this project; that a floor exists is [lu2017] Theorem 3, as recalled.
    """
    check_choice("norm", norm, ("l2", "l1"))
    check_positive_int("input_dim", input_dim, at_least=2)
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=16) + 16):
        tolerance = flint.arb(2) ** -precision
        chords = 2 * sphere_area(input_dim - 1)

        def mean(angle: flint.acb, holomorphic: bool, low: flint.arb, high: flint.arb) -> flint.acb:
            """int p du over [low, high] on the chord with r = sin(angle), h = cos(angle)."""
            squares = (angle.sin() ** 2, angle.cos() ** 2)
            return flint.acb.integral(
                lambda u, analytic: profile(squares[0] + squares[1] * u**2, analytic or holomorphic),
                low,
                high,
                abs_tol=tolerance,
                rel_tol=tolerance,
            )

        def over_chords(value: Callable[[flint.acb, bool], flint.acb]) -> flint.arb:
            """2 A_(n-1) int r^(n-2) h value dr, by the angle: dr = h d(angle)."""

            def integrand(angle: flint.acb, analytic: bool) -> flint.acb:
                return angle.sin() ** (input_dim - 2) * angle.cos() ** 2 * value(angle, analytic)

            half_turn = flint.arb.pi() / 2
            return chords * flint.acb.integral(integrand, 0, half_turn, abs_tol=tolerance, rel_tol=tolerance).real

        zero, half, one = flint.arb(0), flint.arb(0.5), flint.arb(1)
        if norm == "l1":
            return abs(over_chords(lambda x, a: mean(x, a, half, one) - mean(x, a, zero, half)))
        whole = flint.acb.integral(
            lambda s, analytic: profile(s**2, analytic) ** 2 * s ** (input_dim - 1), 0, 1, abs_tol=tolerance
        ).real
        explained = over_chords(lambda x, a: mean(x, a, zero, one) ** 2)
        return (sphere_area(input_dim) * whole - explained).nonnegative_part().sqrt()


def sphere_area(dim: int) -> flint.arb:
    """`kernel_direction.sphere_area` as a ball, at the working precision: 2 pi^(dim/2) / Gamma(dim/2).

    Source: derived for this project (a textbook formula).
    """
    half = flint.arb(check_positive_int("dim", dim)) / 2
    return 2 * flint.arb.pi() ** half / half.gamma()


def growing_box_floor(
    l1_norm: flint.arb,
    radius: int | float,
    box_radius: int | float,
    input_dim: int,
    *,
    outside: flint.arb | int | float = 0.0,
) -> flint.arb:
    """`growing_box.growing_box_floor` as a ball: the L1 norm less twice what lies outside the ball, from R = 2 r on.

    Args:
        l1_norm: of f over R^n.
        radius: r, above 0.
        box_radius: R, above 0. For R < 2 r nothing is proven and the floor is 0.
        input_dim: n, at least 2.
        outside: bound on the L1 norm of f outside the ball |x| <= r.

    Error: the radius.

    Raises:
        ValueError: an argument outside its range.

    Source: [lu2017] Theorem 2, as recalled, for R^n and width n; finite boxes are derived for this project.
    """
    check_positive_int("input_dim", input_dim, at_least=2)
    outside = outside if isinstance(outside, flint.arb) else rational(outside)
    if l1_norm < 0 or outside < 0:
        raise ValueError(f"l1_norm and outside must be at least 0, got {l1_norm} and {outside}")
    if positive("box_radius", box_radius) < 2 * positive("radius", radius):
        return flint.arb(0)
    return (l1_norm - 2 * outside).max(flint.arb(0))


def square_sum_floor(input_dim: int, *, num_means: int = 4000, precision: int = 64) -> flint.arb:
    """`square_sum.square_sum_floor` as a ball: x_1^2 + ... + x_n^2 on [-1, 1]^n, networks narrower than max(n, 2).

    The distance (not squared). With v = 1 - t / 2 the integrals of that formula are of (1 - v)^2 v^p and (1 - v)^3 v^p.

    Args:
        input_dim: n, at least 1.
        num_means: intervals of the mean m of the entries of a direction; on each, the least of both factors is taken.
        precision: bits.

    Error: the radius.

    Raises:
        ValueError: an argument out of its range.

    Source:
        Derived for this project; that a floor exists is [lu2017] Theorem 3, and that width max(n, 2) suffices
        [kimminpark2024], both as recalled.
    """
    others = check_positive_int("input_dim", input_dim) - 1
    check_positive_int("num_means", num_means)
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=32) + 32):
        if not others:
            return rational(Fraction(9, 80)).sqrt()
        least = flint.arb("inf")
        for k in range(num_means):
            power = 3 + others * Fraction(k + 1, num_means)
            factor = rational(Fraction(4, 3) * (1 + others * Fraction(k, num_means) ** 2))
            integral = flint.arb(0)
            for reach in _REACHES:
                integral = integral.max(_weighted(reach, power))
            least = least.min(factor * integral)
        return (flint.arb(2) ** input_dim * least).sqrt()


def _weighted(reach: Fraction | None, power: Fraction) -> flint.arb:
    """int_0^2 w t^2 (1 - t/2)^p dt / (2 int_0^1 w dt) for w(t) = (1 - t / reach)_+, or 1 for None."""
    squared, cubed = (1, -2, 1), (1, -3, 3, -1)
    if reach is None:
        return 4 * _above(squared, Fraction(0), power)
    end = 1 - reach / 2
    integral = 8 * _above(squared, end, power) - rational(16 / reach) * _above(cubed, end, power)
    return integral / rational(reach if reach <= 1 else 2 - 1 / reach)


def _above(coefficients: tuple[int, ...], low: Fraction, power: Fraction) -> flint.arb:
    """Integral of sum_j c_j v^(power + j) over [low, 1]."""
    start, total = rational(low), flint.arb(0)
    whole = start ** rational(power + 1) if low else flint.arb(0)
    for j, coefficient in enumerate(coefficients):
        total += coefficient * (1 - whole * start**j) / rational(power + 1 + j)
    return total
