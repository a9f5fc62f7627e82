"""Enclosures cut at zero hold every number of at least 0 that they held before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widththeory.bounds.enclosure import at_least_zero
from widththeory.bounds.growing_box import growing_box_floor
from widththeory.typing import Certified


@given(st.floats(-10, 10), st.floats(0, 20))
def test_ends_are_those_of_the_enclosure_from_zero_on(value, error):
    cut, whole = Certified(*at_least_zero(value, error)), Certified(value, error)
    assert cut.lower == max(0.0, whole.lower)
    assert cut.upper == pytest.approx(max(0.0, whole.upper), abs=1e-300)


@pytest.mark.parametrize("numbers", [(np.nan, 0.1), (0.1, np.nan), (-np.inf, np.inf)])
def test_what_is_not_a_number_is_not_zero_without_error(numbers):
    with pytest.raises(ValueError, match="error must be at least 0"):
        Certified(*at_least_zero(*numbers))


def test_a_tail_that_may_be_all_of_the_norm():
    """The norm is between 0.5 and 1.5, and 1.2 are lost: the floor is between 0 and 0.3."""
    floor = growing_box_floor(Certified(1.0, 0.5), 1.0, 2.0, 2, outside=0.6)
    assert floor.lower == 0.0
    assert floor.upper == pytest.approx(0.3)
