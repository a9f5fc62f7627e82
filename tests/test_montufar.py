"""Folding networks: regions counted from the network's own units, in rationals, against the formula."""

from fractions import Fraction

import numpy as np
import pytest

from widththeory.constructions.montufar import EXAMPLES, FoldingNetwork


def cut(polygon, values):
    """The two closed parts of a convex polygon where the values at its corners are >= 0 and <= 0."""
    parts = []
    for sign in (1, -1):
        part = []
        for i, (p, v) in enumerate(zip(polygon, values, strict=True)):
            q, w = polygon[(i + 1) % len(polygon)], values[(i + 1) % len(polygon)]
            if sign * v >= 0:
                part.append(p)
            if v * w < 0:
                part.append(tuple(a + (b - a) * (v / (v - w)) for a, b in zip(p, q, strict=True)))
        parts.append(part)
    return parts


def area(polygon):
    return sum(p[0] * q[1] - p[1] * q[0] for p, q in zip(polygon, [*polygon[1:], polygon[0]], strict=True)) / Fraction(
        2
    )


def cells(network):
    """Activation cells of a network on the unit square, each with the gradient and offset of the network there."""
    zero, one = Fraction(0), Fraction(1)
    square = [(zero, zero), (one, zero), (one, one), (zero, one)]
    current = [(square, np.array([[one, zero], [zero, one]]), np.array([zero, zero]))]
    for weight, bias in network.layers[:-1]:
        following = []
        for polygon, slope, offset in current:
            rows, constants = weight @ slope, weight @ offset + bias
            parts = [(polygon, [])]
            for row, constant in zip(rows, constants, strict=True):
                split = []
                for part, active in parts:
                    positive, negative = cut(part, [row[0] * x + row[1] * y + constant for x, y in part])
                    for piece, on in ((positive, True), (negative, False)):
                        if len(piece) > 2 and area(piece) > 0:
                            split.append((piece, [*active, on]))
                            if all(row[0] * x + row[1] * y + constant == 0 for x, y in part):
                                break  # an identically vanishing unit does not cut
                parts = split
            for part, active in parts:
                mask = np.array([one if on else zero for on in active])
                following.append((part, rows * mask[:, None], constants * mask))
        current = following
    weight, bias = network.layers[-1]
    return [(polygon, tuple((weight @ s)[0]), (weight @ o + bias)[0]) for polygon, s, o in current]


@pytest.mark.parametrize("widths", [(3,), (4, 3), (5, 4), (4, 4, 3), (6, 4)])
def test_regions_of_the_square_are_counted_by_cutting(widths):
    example = FoldingNetwork(2, widths)
    found = cells(example.network())
    assert sum(area(polygon) for polygon, _, _ in found) == 1
    assert len(found) == example.num_activation_regions == example.num_linear_regions
    # linear regions: no two cells that share a side are parts of one affine function, and no derivative vanishes
    assert all(slope[0] != 0 and slope[1] != 0 for _, slope, _ in found)
    for i, (first, slope, offset) in enumerate(found):
        for second, other, constant in found[:i]:
            shared = len(set(first) & set(second))
            assert shared < 2 or (slope, offset) != (other, constant)


@pytest.mark.parametrize("widths", [(1,), (2,), (3, 4), (2, 3, 4), (5, 2, 1, 3)])
def test_pieces_on_the_interval_are_counted_from_slopes(widths):
    example = FoldingNetwork(1, widths)
    # every kink is a preimage under the folds of a point i / (8 m) or of 0: the grid below holds them all
    grid = [Fraction(i, 8 * widths[-1] * example.num_folds) for i in range(8 * widths[-1] * example.num_folds + 1)]
    slopes = np.diff(example.network().exact([[p] for p in grid])[:, 0])
    pieces = 1 + sum(a != b for a, b in zip(slopes, slopes[1:], strict=False))
    assert pieces == example.num_activation_regions == example.num_folds * (widths[-1] + 1)


def test_vertices_of_three_planes_are_inside_and_apart():
    # d = 3: all C(m, 3) vertices of the last layer lie in the open cube and no fourth plane goes through one, so that
    # Zaslavsky's count of a generic arrangement, 1 + m + C(m, 2) + C(m, 3), holds within the cube
    weight, bias, _ = FoldingNetwork(3, (5,))._last_layer()
    for i in range(5):
        for j in range(i):
            for k in range(j):
                rows = weight[[i, j, k]].astype(float)
                vertex = np.linalg.solve(rows, -bias[[i, j, k]].astype(float))
                assert np.all((vertex > 0) & (vertex < 1))
                others = [r for r in range(5) if r not in (i, j, k)]
                # far above the 1e-15 roundoff of solving a 3 by 3 system of condition below 1e3
                assert np.all(np.abs(weight[others].astype(float) @ vertex + bias[others].astype(float)) > 1e-5)
    assert FoldingNetwork(3, (5,)).num_activation_regions == 1 + 5 + 10 + 10


@pytest.mark.parametrize("example", EXAMPLES)
def test_network_is_the_triangle_wave_formula(example):
    rng = np.random.default_rng(0)
    points = rng.integers(0, 65, (60, example.input_dim)) / 64  # dyadic: the wave is computed without rounding
    exact = example.network().exact(points)[:, 0].astype(float)
    # the last layer in floats: fewer than 100 roundings of numbers below 2**6 * 8
    np.testing.assert_allclose(exact, example.target(points), rtol=0, atol=100 * 2.0**-53 * 2**9)


def test_idle_units_and_bad_arguments():
    assert FoldingNetwork(2, (5, 3)).num_activation_regions == FoldingNetwork(2, (4, 3)).num_activation_regions
    assert FoldingNetwork(2, (2, 2)).num_activation_regions == 4
    with pytest.raises(ValueError, match="the last of widths must exceed input_dim = 2"):
        _ = FoldingNetwork(2, (4, 2)).num_linear_regions
    with pytest.raises(ValueError, match=r"widths\[1\] must be an integer of at least 2, got 1"):
        FoldingNetwork(2, (4, 1))
    with pytest.raises(ValueError, match="widths must hold"):
        FoldingNetwork(2, ())
