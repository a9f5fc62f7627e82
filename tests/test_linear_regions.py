"""Bounds on linear regions: against enumeration, explicit networks, and each other."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widththeory.bounds.linear_regions import (
    montufar_lower,
    one_dimension,
    one_hidden_layer,
    order_at_initialisation,
    serra_lower,
    serra_upper,
)
from widththeory.constructions.montufar import FoldingNetwork

DIMS, WIDTHS = st.integers(1, 4), st.lists(st.integers(1, 8), min_size=1, max_size=4)


def enumerated(input_dim, widths):
    """The sum over J by its definition."""
    total = 0
    for chosen in itertools.product(*(range(n + 1) for n in widths)):
        allowed = all(
            j <= min([input_dim, *(n - i for n, i in zip(widths[:layer], chosen[:layer], strict=True)), widths[layer]])
            for layer, j in enumerate(chosen)
        )
        if allowed:
            total += math.prod(math.comb(n, j) for n, j in zip(widths, chosen, strict=True))
    return total


def sign_patterns_of_lines(count, rng):
    """Cells of random lines: a vertex touches four, and with two lines or more every cell has a vertex."""
    normals, offsets = rng.standard_normal((count, 2)), rng.standard_normal(count)
    patterns = set()
    for i, j in itertools.combinations(range(count), 2):
        vertex = np.linalg.solve(normals[[i, j]], -offsets[[i, j]])
        signs = np.sign(normals @ vertex + offsets)
        for one, other in itertools.product((-1, 1), repeat=2):
            signs[i], signs[j] = one, other
            patterns.add(tuple(signs))
    return len(patterns)


@pytest.mark.parametrize("count", [2, 4, 9, 16])
def test_lines_in_the_plane(count):
    found = sign_patterns_of_lines(count, np.random.default_rng(count))
    assert one_hidden_layer(2, count).value == found == 1 + count + count * (count - 1) // 2


@pytest.mark.parametrize(
    ("dim", "widths"), [(1, (4, 1, 3)), (2, (3, 3, 3)), (3, (5, 2, 4)), (4, (2, 6)), (2, (1, 1, 1))]
)
def test_upper_bound_is_the_sum_of_the_definition(dim, widths):
    assert serra_upper(dim, widths).value == enumerated(dim, widths)


def test_hand_values():
    assert serra_upper(1, (1, 1)).value == 3  # relu(1 - relu(x)) attains it
    assert serra_upper(2, (4,)).value == 11
    assert montufar_lower(2, (4, 4)).value == 4 * 11
    assert serra_lower(2, (6, 6)).value == 16 * 22
    assert one_dimension((3, 3, 2)).value == 48
    assert order_at_initialisation(2, (10, 20)) == 450  # a plain float: it bounds nothing


@pytest.mark.parametrize(("dim", "widths"), [(1, (3, 4)), (2, (4, 5, 3)), (3, (6, 4))])
def test_folding_network_has_the_lower_number(dim, widths):
    assert montufar_lower(dim, widths).value == FoldingNetwork(dim, widths).num_linear_regions


@given(DIMS, WIDTHS)
def test_lower_bounds_are_below_upper_bounds(dim, factors):
    widths = [3 * dim * factor for factor in factors]
    low, better, high = (bound(dim, widths) for bound in (montufar_lower, serra_lower, serra_upper))
    assert low.lower <= better.upper
    assert better.lower <= high.upper
    if dim == 1:
        assert better.value == high.value == one_dimension(widths).value


@given(DIMS, WIDTHS, st.integers(0, 3))
def test_upper_bound_grows_with_every_width(dim, widths, position):
    wider = list(widths)
    wider[position % len(widths)] += 1
    assert serra_upper(dim, wider).value >= serra_upper(dim, widths).value
    assert serra_upper(dim + 1, widths).value >= serra_upper(dim, widths).value
    assert serra_upper(dim, [*widths, 1]).value >= serra_upper(dim, widths).value
    assert order_at_initialisation(dim, wider) > order_at_initialisation(dim, widths)


@given(DIMS, WIDTHS, st.integers(0, 3))
def test_lower_bounds_grow_with_every_width(dim, extra, position):
    """Not with the dimension or the depth: floors of n / d fall, and a last layer of d units has only 2^d cells."""
    widths = [3 * dim + more for more in extra]
    wider = list(widths)
    wider[position % len(widths)] += 1
    for bound in (montufar_lower, serra_lower):
        assert bound(dim, wider).value >= bound(dim, widths).value
    assert one_dimension(wider).value > one_dimension(widths).value
    assert one_hidden_layer(dim, wider[0]).value >= one_hidden_layer(dim, widths[0]).value
    assert one_hidden_layer(dim + 1, widths[0]).value > one_hidden_layer(dim, widths[0]).value
    assert montufar_lower(2, (3, 2)).value < montufar_lower(2, (3,)).value


@given(DIMS, st.lists(st.integers(1, 5), min_size=2, max_size=4))
def test_one_layer_has_the_most_for_few_units_and_deep_nets_exceed_it_only_beyond_the_input_dimension(dim, widths):
    units = sum(widths)
    if serra_upper(dim, widths).value > one_hidden_layer(dim, units).value:
        assert units > dim


def test_large_counts_are_rounded_honestly():
    count = one_hidden_layer(20, 200)
    exact = sum(math.comb(200, j) for j in range(21))
    assert 0 < count.error == abs(exact - int(count.value))
    for width in range(300, 320):  # what is missed is no float itself: of as many bits as the count, less 53
        count = one_hidden_layer(40, width)
        exact = sum(math.comb(width, j) for j in range(41))
        assert abs(exact - int(count.value)) <= int(count.error)
    with pytest.raises(ValueError, match="widths must give fewer than 1e308 regions"):
        serra_upper(100, (1000,) * 10)
    with pytest.raises(ValueError, match="widths must give fewer than 1e308 regions"):
        order_at_initialisation(400, (1000,) * 10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: serra_upper(0, (3,)), "input_dim must be"),
        (lambda: serra_upper(2, ()), "widths must hold"),
        (lambda: montufar_lower(3, (2, 4)), r"widths\[0\] must be .* at least 3, got 2"),
        (lambda: serra_lower(2, (5,)), r"widths\[0\] must be .* at least 6, got 5"),
        (lambda: one_dimension((2, 4)), r"widths\[0\] must be .* at least 3, got 2"),
        (lambda: one_hidden_layer(2, 0), "width must be"),
    ],
)
def test_bad_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()
