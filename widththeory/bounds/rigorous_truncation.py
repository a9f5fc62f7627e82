"""`truncation` as balls: the floor of a network measured on a ball only, with proven probabilities and suprema.

What stays statistical is the error outside, which is sampled: its ball holds the true value with that probability.
"""

import math
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from widththeory.bounds import rigorous_law
from widththeory.bounds.radial_law import RadialLaw
from widththeory.bounds.rigorous import flint, rational
from widththeory.network import Network
from widththeory.typing import check_positive_int

Ball = flint.arb


def truncated_floor(floor: flint.arb, outside: flint.arb, *, precision: int = 128) -> flint.arb:
    """`truncation.truncated_floor` as a ball: E_k - E [(f~ - g)^2; |x| > R], which may be negative.

    Args:
        floor: E_k, as from `rigorous_wave`: its relative floor times its second moment.
        outside: from `outside_error`.
        precision: bits.

    Error: the radius.

    Source: derived for this project, from the floor of [eldanshamir2016] Proposition 13.
    """
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        return floor - outside


def law_scale(law: RadialLaw) -> flint.arb:
    """t / |x| as a ball, at the working precision: 2 pi R_d for order 0, R_d = pi^(-1/2) Gamma(d/2 + 1)^(1/d), else 1.

    Source: [eldanshamir2016] Section 2, for R_d.
    """
    if law.order:
        return Ball(1)
    return 2 * Ball.pi().sqrt() * ((Ball(law.dim) / 2 + 1).gamma().log() / law.dim).exp()


def share_outside(law: RadialLaw, radius: int | float, *, precision: int = 128) -> flint.arb:
    """P(|x| > R) as a ball: one less the distribution function, which grows, at both ends of the ball of t.

    Args:
        law: of t.
        radius: R > 0, in units of x, at its exact value.
        precision: bits.

    Error: the radius.

    Raises:
        ValueError: radius not positive.

    Source: derived for this project, as `rigorous_law.cdf`.
    """
    if not 0 < radius < math.inf:
        raise ValueError(f"radius must be positive and finite, got {radius!r}")
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=32)):
        t = law_scale(law) * rational(radius)
        masses = [rigorous_law.cdf(law, _fraction(end), precision=precision) for end in (t.lower(), t.upper())]
        return 1 - masses[0].union(masses[1])


def _fraction(exact: flint.arb) -> Fraction:
    mantissa, exponent = exact.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def truncated_supremum(network: Network, radius: int | float, *, precision: int = 128) -> flint.arb:
    """`truncation.truncated_supremum` as a ball: |c| + sum |v| max(|w| R + b, 0), a bound on |f~| over all of space.

    Args:
        network: one hidden layer, one output; its numbers at their exact values.
        radius: R > 0.
        precision: bits.

    Error: the radius.

    Raises:
        ValueError: the network does not have one hidden layer and one output, or the radius is not positive.

    Source: derived for this project.
    """
    if network.size.depth != 1 or network.output_dim != 1:
        raise ValueError(f"network must have one hidden layer and one output, got {network!r}")
    if not 0 < radius < math.inf:
        raise ValueError(f"radius must be positive and finite, got {radius!r}")
    (weight, bias), (outer, constant) = network.rational().layers
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        total = abs(rational(constant[0]))
        for row, shift, factor in zip(weight, bias, outer[0], strict=True):
            length = sum((rational(entry) ** 2 for entry in row), Ball(0)).sqrt()
            total += abs(rational(factor)) * (length * rational(radius) + rational(shift)).max(Ball(0))
        return total


def outside_error(
    law: RadialLaw,
    radius: int | float,
    squared_errors: Float[np.ndarray, "num_points"],
    supremum: int | float,
    *,
    failure_probability: int | float = 1e-6,
    precision: int = 128,
) -> flint.arb:
    """`truncation.outside_error` as a ball: E [(f~ - g)^2; |x| > R], with probability 1 - delta over the sample.

    Args:
        law: of t.
        radius: R, in units of x.
        squared_errors: at least 2 values of (f~ - g)^2 at independent points drawn given |x| > R.
        supremum: a bound on (f~ - g)^2 that holds everywhere outside.
        failure_probability: delta, in (0, 1).
        precision: bits.

    Error:
        The radius: rounding, and P(|x| > R) (sqrt(2 V log(4/delta) / n) + 7 M log(4/delta) / (3 (n - 1))) by the
        empirical Bernstein inequality, V the sample variance, M the supremum.

    Raises:
        ValueError: a radius not positive, fewer than 2 values, values outside [0, supremum], a supremum that is not
            finite, or a probability outside (0, 1).

    Source: [maurerpontil2009] Theorem 4, as recalled; two-sided by halving the probability.
    """
    number = len(squared_errors)
    if number < 2:
        raise ValueError(f"squared_errors must hold at least 2 values, got {number}")
    if not (np.all(squared_errors >= 0) and np.all(squared_errors <= supremum) and math.isfinite(supremum)):
        raise ValueError(f"squared_errors must lie between 0 and supremum={supremum!r}")
    if not 0 < failure_probability < 1:
        raise ValueError(f"failure_probability must be in (0, 1), got {failure_probability!r}")
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=32)):
        values = [rational(float(value)) for value in squared_errors]
        mean = sum(values, Ball(0)) / number
        gaps = [value - mean for value in values]
        variance = sum((gap * gap for gap in gaps), Ball(0)) / (number - 1)  # ** 2 of a ball about zero itself is NaN
        logarithm = (4 / rational(failure_probability)).log()
        spread = (2 * variance * logarithm / number).nonnegative_part().sqrt()
        spread += 7 * rational(supremum) * logarithm / (3 * (number - 1))
        return share_outside(law, radius, precision=precision) * (mean + spread * Ball(0, 1))
