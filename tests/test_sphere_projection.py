"""Projections of spheres by harmonics: against balls, and against the integral over what is seen."""

import math

import flint
import numpy as np
import pytest
import scipy.special as sp
from balls import meets

from widththeory.bounds import rigorous, rigorous_daniely, sphere_projection
from widththeory.bounds.sphere_projection import sphere_projection_floor


def characteristic(arguments, dim):
    """Mean of exp(i c u), u a coordinate of a uniform point of S^{dim-1}, c > 0."""
    if dim == 1:
        return np.cos(arguments)
    return math.gamma(dim / 2) * (2 / arguments) ** (dim / 2 - 1) * sp.jv(dim / 2 - 1, arguments)


def finer(dim, frequency, width, num_nodes):
    """Another route: E sin^2 - E [phi_(d-r)(w |q| |q'|)^2 (1 - phi_r(2 w |P x| |P x'|)) / 2], q = x - P x.

    |P x|^2 is of the law Beta(r/2, (d - r)/2); the nodes resolve the frequency.
    """
    nodes, weights = sp.roots_jacobi(num_nodes, (dim - width) / 2 - 1, width / 2 - 1)
    share, weights = (nodes + 1) / 2, weights / weights.sum()
    seen = 2 * frequency * np.sqrt(np.outer(share, share))
    hidden = frequency * np.sqrt(np.outer(1 - share, 1 - share))
    known = weights @ (characteristic(hidden, dim - width) ** 2 * (1 - characteristic(seen, width)) / 2) @ weights
    return 1 - 2 * known / (1 - float(characteristic(np.array([2 * frequency]), dim)[0]))


@pytest.mark.parametrize(
    ("dim", "frequency", "width"),
    [(3, 211.79737789356253, 2), (5, 212.61481906695408, 3), (3, 1.0, 1), (8, 17.8, 7), (6, 3.0, 2), (9, 40.0, 5)],
)
def test_harmonics_agree_with_the_integral_over_what_is_seen(dim, frequency, width):
    """At the first two 60 and 72 nodes of the integral agreed by chance."""
    found, truth = sphere_projection_floor(dim, frequency, width), finer(dim, frequency, width, 420)
    assert abs(found.value - truth) <= found.error + 1e-11  # twice the roundoff of `finer`, relative to a norm of 1/2
    assert found.error < 1e-9


@pytest.mark.parametrize(
    ("dim", "frequency", "width"),
    [
        *[
            (129, 0.0010624279465002132, 1),
            (140, 2e-3, 1),
            (400, 3.0, 100),
            (600, 24.0, 599),
            (600, 3.0, 1),
            (5, 1e-5, 2),
        ],
        *[(3, 900.0, 1), (600, 1000.0, 300), (1000, 80.0, 30), (5, 1e-8, 2), (5, 1e-160, 2), (4, 2 * 2**0.5 * 3, 3)],
    ],
)
def test_many_dimensions_and_all_frequencies(dim, frequency, width):
    """Bessel functions of high order underflow where their factor does not overflow yet: the first had the floor 1.

    By the integral balls did not end at 900, and the rule for 600 dimensions at 1000 was not a number.
    """
    found, ball = (
        module.sphere_projection_floor(dim, frequency, width) for module in (sphere_projection, rigorous_daniely)
    )
    assert meets(ball, rigorous.to_ball(found))
    assert ball.rad() < 1e-15
    assert found.error < 0.5 * found.value


def test_a_slow_sine_is_linear():
    """1 - r / d as w tends to 0, less than w^2 away."""
    assert abs(rigorous_daniely.sphere_projection_floor(5, 1e-160, 2) - flint.arb(3) / 5) < 1e-15


@pytest.mark.parametrize(("dim", "frequency"), [(3000, 200.0), (5, 1e-162)])
def test_nothing_is_claimed_where_the_sine_underflows(dim, frequency):
    found = sphere_projection_floor(dim, frequency, 2)
    assert (found.lower, found.upper) == pytest.approx((0.0, 1.0), abs=1e-15)
