"""Narrow networks on growing boxes: in L1 the best is zero as soon as the box is twice as wide as the target."""

import math

from widththeory.bounds.enclosure import at_least_zero
from widththeory.typing import Certified, check_not_negative, check_positive, check_positive_int


def growing_box_floor(
    l1_norm: Certified, radius: float, box_radius: float, input_dim: int, *, outside: float = 0.0
) -> Certified:
    """Least L1 distance on [-R, R]^n from f to networks with a first hidden layer of width at most n - 1.

    Let f vanish outside the ball |x| <= r. For R >= 2 r the distance is the L1 norm of f, attained by g = 0, whatever
    the depth and the activation: g is constant along some direction, a chord of [-R, R]^n at distance s <= r from the
    origin is at least 2 sqrt(R^2 - s^2) >= 4 sqrt(r^2 - s^2) long, so that f vanishes on half of it, and 0 is a median.
    Where f does not vanish outside the ball but has L1 norm `outside` there, the floor is l1_norm - 2 outside.

    This is the quantitative form, for width n - 1, of the theorem that on all of R^n a network of width at most n has
    L1 error infinity or |f|_L1; for width n nothing is claimed on a bounded box.

    Args:
        l1_norm: of f over R^n, not negative.
        radius: r, above 0.
        box_radius: R, above 0. For R < 2 r nothing is proven and the floor is 0.
        input_dim: n, at least 2.
        outside: bound on the L1 norm of f outside the ball.

    Error: that of `l1_norm`.

    Raises:
        ValueError: an argument outside its range.

    Source:
        [lu2017] Theorem 2, as recalled, for R^n and width n.
        Differs: width n - 1 and finite boxes (derived for this project).
    """
    check_positive_int("input_dim", input_dim, at_least=2)
    for name, number in (("radius", radius), ("box_radius", box_radius)):
        check_positive(name, number)
    if not (l1_norm.upper >= 0 and math.isfinite(l1_norm.upper)):
        raise ValueError(f"l1_norm must be a finite number of at least 0, got {l1_norm!r}")
    check_not_negative("outside", outside)
    if box_radius < 2 * radius or l1_norm.upper <= 2 * outside:
        return Certified(0.0, 0.0)
    value = l1_norm.value - 2 * outside
    rounding = 1e-15 * abs(value) if outside else 0.0
    return Certified(*at_least_zero(value, l1_norm.error + rounding))
