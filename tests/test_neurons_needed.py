"""The count of neurons where it is known exactly: a spectrum far out, in dimension 3."""

from fractions import Fraction

import numpy as np
import pytest

from widththeory.bounds.quadrature import panel_nodes
from widththeory.bounds.spectral import Spectrum, neurons_needed
from widththeory.typing import Certified


@pytest.mark.parametrize(("start", "rounded"), [(10**4, False), (10**8, True)])
@pytest.mark.parametrize("level", [0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
def test_rounding_of_a_large_count_is_in_its_error(start, rounded, level):
    """With S = 1 on [a, b], cap = 1 / (2 rho^2) to 1e-9: E_k = (b - a) - k (1 / a - 1 / b) / 2, nothing else unsure."""
    end = start * 5 // 4
    edges, density = np.array([0.0, 1.0, start, end]), np.zeros((3, 20))
    density[2] = 1.0
    moment = float(np.sum(density * panel_nodes(edges, 20)[1]))
    found = neurons_needed(Spectrum(3, edges, density, Certified(moment, 0.0), 0.0), level)
    exact = (1 - Fraction(level)) * 2 * start * end
    assert abs(Fraction(found.value) - exact) <= Fraction(found.error) + 1  # a count, and the rest of cap
    assert (found.error > 0) == rounded
    assert found.error < 1e-13 * found.value
