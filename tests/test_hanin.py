"""Maxima of affine functions at width d + 1, against maxima taken directly in rationals."""

from fractions import Fraction

import numpy as np
import pytest

from widththeory.constructions.hanin import MaxAffine, PiecewiseAffine, max_min_string


def random_planes(rng, count, dim):
    """Integer slopes and offsets, as nested tuples of ints."""
    slopes = rng.integers(-9, 10, (count, dim))
    return tuple(tuple(int(e) for e in row) for row in slopes), tuple(int(e) for e in rng.integers(-9, 10, count))


def random_points(rng, count, dim):
    return [[Fraction(int(e), 17) for e in row] for row in rng.integers(0, 18, (count, dim))]


def affine(slopes, offsets, point):
    return [sum(a * x for a, x in zip(row, point, strict=True)) + c for row, c in zip(slopes, offsets, strict=True)]


@pytest.mark.parametrize(("dim", "count"), [(1, 1), (1, 5), (2, 2), (3, 12), (5, 7)])
def test_maximum_is_exact(dim, count):
    rng = np.random.default_rng(count)
    slopes, offsets = random_planes(rng, count, dim)
    example, points = MaxAffine(slopes, offsets), random_points(rng, 50, dim)
    values = example.network().exact(points)[:, 0]
    assert list(values) == [max(affine(slopes, offsets, point)) for point in points]
    assert example.network().size == example.size()


def test_max_min_string_is_exact():
    rng = np.random.default_rng(3)
    slopes, offsets = random_planes(rng, 9, 2)
    flags = [bool(b) for b in rng.integers(0, 2, 8)]
    assert any(flags)
    assert not all(flags)
    network = max_min_string(slopes, offsets, flags)
    assert network.size.widths == (3,) * 8
    points = random_points(rng, 60, 2)
    for point, value in zip(points, network.exact(points)[:, 0], strict=True):
        planes = affine(slopes, offsets, point)
        expected = planes[0]
        for plane, is_max in zip(planes[1:], flags, strict=True):
            expected = max(plane, expected) if is_max else min(plane, expected)
        assert value == expected


@pytest.mark.parametrize(("dim", "first", "second"), [(1, 1, 1), (1, 4, 2), (2, 3, 6), (3, 8, 1), (2, 1, 5)])
def test_difference_of_maxima_is_exact(dim, first, second):
    rng = np.random.default_rng(first + 10 * second)
    plus, minus = random_planes(rng, first, dim), random_planes(rng, second, dim)
    example, points = PiecewiseAffine(*plus, *minus), random_points(rng, 50, dim)
    values = example.network().exact(points)[:, 0]
    assert list(values) == [max(affine(*plus, point)) - max(affine(*minus, point)) for point in points]
    assert example.network().size == example.size()
    assert example.size().width <= dim + 2  # one below the width of the theorem


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="slopes and offsets must hold"):
        MaxAffine(((1.0,),), (0.0, 1.0))
    with pytest.raises(ValueError, match="minus_slopes must have rows of length 1"):
        PiecewiseAffine(((1.0,),), (0.0,), ((1.0, 2.0),), (0.0,))
    with pytest.raises(ValueError, match="is_max must hold 1 flags"):
        max_min_string([[1], [2]], [0, 0], [])
