"""Convex polygons: a domain checked in exact arithmetic, and integrals of affine functions over polygons.

Integrals go by fan triangulation. On a triangle of area A, an affine function with values a, b, c at the corners has

    ∫ d = A (a + b + c)/3,   ∫ d² = A (a² + b² + c² + ab + bc + ca)/6,

and if only c is positive then ∫ max(d, 0) = (A/3) c³/((c − a)(c − b)), which gives ∫ |d| without cutting the triangle.
All three work alike on float64 arrays and on object arrays of exact rationals.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from widththeory.exact.rationals import is_finite, signs
from widththeory.typing import to_fraction

Pair = tuple[Fraction, Fraction]


def box(low: Any, high: Any) -> tuple[tuple[Any, Any], ...]:
    """Corners of the square [low, high]², counter-clockwise. Raises ValueError unless low < high."""
    if not low < high:
        raise ValueError(f"low must be less than high, got {low!r} and {high!r}")
    return ((low, low), (high, low), (high, high), (low, high))


def convex_corners(polygon: Sequence[Any] | np.ndarray) -> tuple[Pair, ...]:
    """Corners of a convex polygon as Fractions, counter-clockwise, without points in the middle of a side.

    Args:
        polygon: its corners in either sense of rotation, pairs of Fractions, integers or floats.

    Raises:
        ValueError: fewer than three corners, entries that are not finite numbers, no area, or not convex.
    """
    corners = _points(polygon)
    corners = [p for i, p in enumerate(corners) if p != corners[i - 1]]
    if len(corners) < 3:
        raise ValueError(f"polygon must have at least three different corners, got {len(corners)}")
    if _doubled_area(corners) < 0:
        corners.reverse()
    if _doubled_area(corners) == 0:
        raise ValueError("polygon must have positive area, got corners that enclose none")
    steps = [(q[0] - p[0], q[1] - p[1]) for p, q in zip(corners, corners[1:] + corners[:1], strict=True)]
    turns = [cross(u, v) for u, v in zip(steps[-1:] + steps, steps, strict=False)]
    upward = [dy > 0 or (dy == 0 and dx > 0) for dx, dy in steps]
    windings = sum(after and not before for before, after in zip(upward[-1:] + upward, upward, strict=False))
    # A step straight back would be half a winding: in the other half all steps lean to one side, and none closes.
    if min(turns) < 0 or windings != 1:
        raise ValueError(f"polygon must be convex, with its corners in order along the boundary, got {polygon!r}")
    return tuple(p for p, turn in zip(corners, turns, strict=True) if turn > 0)


def coordinates(corners: Sequence[Pair]) -> tuple[Pair, tuple[Pair, Pair], list[Pair]]:
    """Coordinates (s, t) in which a convex polygon is neither far from 0 nor thin, large or small.

    Args:
        corners: from `convex_corners`.

    Returns:
        origin and two directions, a point being origin + s directions[0] + t directions[1]; and (s, t) at all corners.
        They are from -7 to 7, and three of them are (-1, -1), (1, -1) and (1, 1). A square [a, b]^2 becomes [-1, 1]^2.
    """
    first = corners[0]
    apart = [(x - first[0], y - first[1]) for x, y in corners]
    # No corner is farther up or down from the first than `far`, nor farther from the line through both than `high`.
    far = max(apart, key=lambda step: abs(step[1]))
    high = max(apart, key=lambda step: abs(cross(far, step)))
    u, v = (high[0] / 2, high[1] / 2), ((far[0] - high[0]) / 2, (far[1] - high[1]) / 2)
    origin = (first[0] + far[0] / 2, first[1] + far[1] / 2)
    area = cross(u, v)
    return origin, (u, v), [(cross(step, v) / area - 1, cross(u, step) / area - 1) for step in apart]


def cross(u: Pair, v: Pair) -> Fraction:
    """Signed area of the parallelogram of two vectors."""
    return u[0] * v[1] - u[1] * v[0]


def _points(polygon: Sequence[Any] | np.ndarray) -> list[Pair]:
    points = []
    for corner in polygon:
        if np.shape(corner) != (2,):
            raise ValueError(f"polygon must hold pairs of numbers, got {corner!r}")
        if not all(map(is_finite, corner)):
            raise ValueError(f"polygon must hold finite numbers, got {tuple(corner)!r}")
        points.append((to_fraction(corner[0]), to_fraction(corner[1])))
    return points


def _doubled_area(corners: Sequence[Pair]) -> Fraction:
    return sum((cross(p, q) for p, q in zip([corners[-1], *corners], corners, strict=False)), Fraction(0))


def fan(offsets: np.ndarray, cycles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles that make up polygons: corner indices (num_triangles, 3), and the polygon each belongs to.

    Args:
        offsets: polygon i has the corners cycles[offsets[i]:offsets[i + 1]].
        cycles: corner indices, counter-clockwise.
    """
    counts = np.diff(offsets) - 2
    owners = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    apex = offsets[:-1][owners]
    return np.stack([cycles[apex], cycles[apex + within + 1], cycles[apex + within + 2]], axis=1), owners


def triangle_areas(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Signed areas of triangles with the given corner indices."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    u, v = b - a, c - a
    return (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) / 2


def integral(areas: np.ndarray, values: np.ndarray) -> np.ndarray:
    """∫ d over each triangle, from the values (num_triangles, 3) of the affine function d at its corners."""
    return areas * values.sum(axis=1) / 3


def integral_of_square(areas: np.ndarray, values: np.ndarray) -> np.ndarray:
    """∫ d² over each triangle."""
    a, b, c = values.T
    return areas * (a * a + b * b + c * c + a * b + b * c + c * a) / 6


def integral_of_modulus(areas: np.ndarray, values: np.ndarray) -> np.ndarray:
    """∫ |d| over each triangle."""
    sign = signs(values)
    result = abs(integral(areas, values))
    mixed = np.flatnonzero((sign.max(axis=1) > 0) & (sign.min(axis=1) < 0))
    # Two corners on one side and one alone on the other: turn the triangle so that the lonely corner is c > 0.
    lonely_sign = np.where((sign[mixed] > 0).sum(axis=1) == 1, 1, -1)
    turned = values[mixed] * lonely_sign[:, None]
    lonely = np.argmax(signs(turned), axis=1)
    a, b, c = (turned[np.arange(len(mixed)), (lonely + shift) % 3] for shift in (1, 2, 0))
    positive = areas[mixed] / 3 * c * (c / (c - a)) * (c / (c - b))
    result[mixed] = 2 * positive - areas[mixed] * (a + b + c) / 3
    return result
