"""On a box twice as wide as the target a narrow network does no better than zero; chords of the plane say the same."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widththeory.bounds.growing_box import growing_box_floor
from widththeory.bounds.kernel_direction import chord_distance
from widththeory.typing import Certified

CONE = Certified(np.pi / 3, 0.0)  # integral of (1 - |x|)_+ in the plane


def cone(points):
    return np.maximum(0.0, 1 - np.hypot(points[:, 0], points[:, 1]))


@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 4])
def test_distance_along_every_direction_is_the_norm(angle):
    for box_radius in (2.0, 3.0):
        floor = growing_box_floor(CONE, 1.0, box_radius, 2)
        assert floor.value == np.pi / 3
        scaled = chord_distance(lambda p, r=box_radius: cone(r * p), angle, box_radius, "l1", 300)
        assert box_radius**2 * scaled.value == pytest.approx(np.pi / 3, rel=1e-3)  # midpoint sums of a cone


def test_small_boxes_let_narrow_networks_gain():
    """On [-1, 1]^2 the least distance is well below the norm over the square: the factor 2 is needed."""
    inside = chord_distance(cone, 0.0, 1.0, "l1", 300)
    assert inside.upper < 0.8 * np.pi / 3
    assert growing_box_floor(CONE, 1.0, 1.0, 2).value == 0.0


def test_tail_costs_twice_its_norm():
    floor = growing_box_floor(Certified(1.0, 0.01), 1.0, 2.0, 3, outside=0.1)
    assert floor.lower == pytest.approx(0.79)
    assert growing_box_floor(Certified(0.1, 0.0), 1.0, 2.0, 3, outside=0.1).lower == 0.0


@given(st.floats(0, 10), st.floats(0, 1e-15), st.floats(0, 4))
def test_difference_is_enclosed(norm, error, outside):
    """In rationals, for both ends of the norm."""
    floor = growing_box_floor(Certified(norm, error), 1.0, 2.0, 2, outside=outside)
    for end in (Fraction(norm) - Fraction(error), Fraction(norm) + Fraction(error)):
        exact = max(Fraction(0), end - 2 * Fraction(outside))
        assert Fraction(floor.lower) <= exact <= Fraction(floor.upper)


@given(st.floats(0, 10), st.floats(0, 10), st.floats(0.1, 5), st.floats(0.1, 5), st.floats(0, 2), st.integers(2, 9))
def test_floor_is_monotone(norm, more, radius, box_radius, outside, input_dim):
    floor = growing_box_floor(Certified(norm, 0.0), radius, box_radius, input_dim, outside=outside)
    assert growing_box_floor(Certified(norm + more, 0.0), radius, box_radius, input_dim, outside=outside).upper >= (
        floor.lower
    )
    assert growing_box_floor(Certified(norm, 0.0), radius, box_radius + more, input_dim, outside=outside).upper >= (
        floor.lower
    )
    assert growing_box_floor(Certified(norm, 0.0), radius + more, box_radius, input_dim, outside=outside).lower <= (
        floor.upper
    )
    assert 0 <= floor.lower <= norm


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: growing_box_floor(CONE, 0.0, 1.0, 2), "radius must be"),
        (lambda: growing_box_floor(CONE, 1.0, np.inf, 2), "box_radius must be"),
        (lambda: growing_box_floor(CONE, 1.0, 1.0, 1), "input_dim must be"),
        (lambda: growing_box_floor(CONE, 1.0, 1.0, 2, outside=-1.0), "outside must be"),
        (lambda: growing_box_floor(CONE, 1.0, 1.0, 2, outside=np.inf), "outside must be"),
        (lambda: growing_box_floor(Certified(-1.0, 0.0), 1.0, 1.0, 2), "l1_norm must be"),
        (lambda: growing_box_floor(Certified(1.0, np.inf), 1.0, 1.0, 2), "l1_norm must be"),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
