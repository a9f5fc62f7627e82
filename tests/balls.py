"""Comparisons of balls that a ball without a number cannot pass: NaN overlaps and contains everything."""

import flint


def meets(ball, other):
    """Both are finite and have a number in common."""
    ball, other = _finite(ball), _finite(other)
    return ball.overlaps(other)


def holds(ball, other):
    """Both are finite, and all of the other lies in the ball."""
    ball, other = _finite(ball), _finite(other)
    return ball.contains(other)


def _finite(number):
    ball = number if isinstance(number, flint.arb | flint.acb) else flint.arb(number)
    assert ball.is_finite(), f"{ball} is not finite"
    return ball
