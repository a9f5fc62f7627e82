"""The records that theorems return."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widththeory.typing import Certified, Size, check_choice, check_not_negative, check_positive, check_positive_int

numbers = st.floats(-1e300, 1e300)


@given(numbers, st.floats(0, 1e300))
def test_ends_of_an_enclosure_are_rounded_outwards(value, error):
    certified = Certified(value, error)
    assert Fraction(certified.lower) <= Fraction(value) - Fraction(error)
    assert Fraction(certified.upper) >= Fraction(value) + Fraction(error)


@given(numbers)
def test_an_exact_number_is_its_own_enclosure(value):
    certified = Certified(value, 0.0)
    assert certified.lower == certified.value == certified.upper == value


def test_a_floor_that_proves_nothing_is_zero():
    assert Certified(0.5, 0.5).lower == 0
    assert Certified(0.5, 0.25).lower == math.nextafter(0.25, 0)


@pytest.mark.parametrize("error", [-1e-9, math.nan])
def test_an_error_is_not_negative(error):
    with pytest.raises(ValueError, match="error must be at least 0, got"):
        Certified(1.0, error)


def test_size_of_an_affine_map_and_of_a_deep_network():
    assert (Size(3, ()).width, Size(3, ()).depth, Size(3, ()).num_params) == (0, 0, 4)
    assert (Size(2, (4, 8), 3).width, Size(2, (4, 8), 3).depth) == (8, 2)
    assert Size(2, (4, 8), 3).num_params == 3 * 4 + 5 * 8 + 9 * 3


def test_check_positive():
    assert check_positive("hours", np.float32(0.5)) == 0.5
    assert type(check_positive("hours", 3)) is float
    assert check_positive("hours", Fraction(1, 10**400)) == 0.0  # positive, and no float
    for value in (0, -1.0, np.nan, np.inf, True, np.True_, "3", None, 1j, np.complex64(1), 10**400, Fraction(10**400)):
        with pytest.raises(ValueError, match="hours must be positive and finite, got"):
            check_positive("hours", value)


def test_check_not_negative():
    assert check_not_negative("across", np.int64(0)) == 0
    assert type(check_not_negative("across", 3)) is float
    for value in (-1e-300, Fraction(-1, 10**400), np.nan, np.inf, False, "3", None, 10**400, Fraction(10**400)):
        with pytest.raises(ValueError, match="across must be a finite number of at least 0, got"):
            check_not_negative("across", value)


def test_check_choice():
    check_choice("norm", "l1", ("l2", "l1"))
    for value in ("sup", None, 1):
        with pytest.raises(ValueError, match=f"norm must be 'l2' or 'l1', got {value!r}"):
            check_choice("norm", value, ("l2", "l1"))


def test_check_positive_int():
    assert check_positive_int("width", np.int64(3)) == 3
    assert type(check_positive_int("width", np.int64(3))) is int
    assert check_positive_int("depth", 0, at_least=0) == 0
    for value in (0, -1, 2.0, "3", True, None):
        with pytest.raises(ValueError, match=f"width must be an integer of at least 1, got {value!r}"):
            check_positive_int("width", value)
