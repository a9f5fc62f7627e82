"""Projections of spheres: large and small frequencies, many dimensions, against balls and finer quadrature."""

import math

import flint
import numpy as np
import pytest
import scipy.special as sp
from balls import meets

from widththeory.bounds import rigorous, rigorous_daniely
from widththeory.bounds.sphere_projection import characteristic, sphere_projection_floor


@pytest.mark.parametrize("dim", [1, 2, 3, 20, 101, 600])
def test_characteristic_functions(dim):
    """cos and 0F1; ten times the roundoff of a sum of terms up to 1 and of 10^3 roundings in the exponent."""
    arguments = np.geomspace(1e-9, 60, 40)
    with flint.ctx.workprec(300):
        squares = [-(flint.arb(float(c)) ** 2) / 4 for c in arguments]
        expected = [float(square.hypgeom_0f1(flint.arb(dim) / 2).mid()) for square in squares]
    np.testing.assert_allclose(characteristic(arguments, dim), expected, rtol=0, atol=1e-13)


def finer(dim, frequency, width, num_nodes):
    """The double integral at many nodes, which resolve the frequency."""
    nodes, weights = sp.roots_jacobi(num_nodes, (dim - width) / 2 - 1, width / 2 - 1)
    share, weights = (nodes + 1) / 2, weights / weights.sum()
    seen = 2 * frequency * np.sqrt(np.outer(share, share))
    hidden = frequency * np.sqrt(np.outer(1 - share, 1 - share))
    known = weights @ (characteristic(hidden, dim - width) ** 2 * (1 - characteristic(seen, width)) / 2) @ weights
    return 1 - 2 * known / (1 - float(characteristic(np.array([2 * frequency]), dim)[0]))


@pytest.mark.parametrize(("dim", "frequency", "width"), [(3, 211.79737789356253, 2), (5, 212.61481906695408, 3)])
def test_large_frequencies_are_resolved(dim, frequency, width):
    """60 and 72 nodes agreed by chance here: the floor was above the truth by 28 and by 16 times its error."""
    found, truth = sphere_projection_floor(dim, frequency, width), finer(dim, frequency, width, 420)
    assert abs(found.value - truth) <= found.error + 1e-11  # twice the roundoff of `finer`, relative to a norm of 1/2
    assert found.error < 1e-9


@pytest.mark.parametrize(
    ("dim", "frequency", "width"),
    [(129, 0.0010624279465002132, 1), (140, 2e-3, 1), (400, 3.0, 100), (600, 24.0, 599), (600, 3.0, 1), (5, 1e-5, 2)],
)
def test_many_dimensions_and_small_frequencies(dim, frequency, width):
    """Bessel functions of high order underflow where their factor does not overflow yet: the first had the floor 1."""
    found = sphere_projection_floor(dim, frequency, width)
    assert meets(rigorous_daniely.sphere_projection_floor(dim, frequency, width), rigorous.to_ball(found))
    assert found.error < 0.5 * found.value


@pytest.mark.parametrize("frequency", [1e-8, 1e-160])
def test_nothing_is_known_where_the_sine_is_lost_in_roundoff_but_to_balls(frequency):
    found = sphere_projection_floor(5, frequency, 2)
    assert (found.lower, found.upper) == pytest.approx((0.0, 1.0), abs=1e-15)
    # 1 - r / d as w tends to 0, less than w^2 away
    assert abs(rigorous_daniely.sphere_projection_floor(5, frequency, 2) - flint.arb(3) / 5) < 1e-15


def test_what_takes_too_long_or_underflows_is_refused():
    for bad in ((601, 1.0, 2), (5, 1001.0, 2)):
        with pytest.raises(ValueError, match="dim and frequency must be at most"):
            sphere_projection_floor(*bad)
    assert math.isfinite(sphere_projection_floor(600, 1e-3, 300).upper)
