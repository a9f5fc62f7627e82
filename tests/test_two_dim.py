"""The polygonal complex: every face against clipping in Fractions, counts against closed forms, ties and near ties."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from planar_networks import errors_hold, random_network, rational, same_combinatorics

from widththeory.exact import rationals, vertex_ancestry
from widththeory.exact.distance_2d import exact_distance
from widththeory.exact.linear_regions import count_activation_regions, count_linear_regions, linear_regions
from widththeory.exact.polygons import box, convex_corners
from widththeory.exact.two_dim import PolygonalComplex, subdivide
from widththeory.network import Network, stack

HALF = Fraction(1, 2)
SQUARE = box(Fraction(-1), Fraction(1))
UNIT_SQUARE = box(Fraction(0), Fraction(1))
ARITHMETICS = ("filtered", "rational")
# Rotations by rational angles, columns of which are the images of the axes.
ROTATIONS = {
    "0": ((1, 0), (0, 1)),
    "3-4-5": ((Fraction(3, 5), Fraction(-4, 5)), (Fraction(4, 5), Fraction(3, 5))),
    "5-12-13": ((Fraction(12, 13), Fraction(5, 13)), (Fraction(-5, 13), Fraction(12, 13))),
    "20-21-29": ((Fraction(20, 29), Fraction(21, 29)), (Fraction(-21, 29), Fraction(20, 29))),
}


def sawtooth(num_folds, direction):
    """The tent map iterated along a direction: 2**num_folds pieces where direction · x runs through [0, 1]."""
    first = ([direction, direction], [0, -HALF])
    return rational(first, *[([[2, -4], [2, -4]], [0, -HALF])] * (num_folds - 1), ([[2, -4]], [0]))


def num_strips(num_folds, low, high):
    """Regions of the sawtooth on low < z < high: sides of teeth, a flat piece below 0 and, when folded, one above 1."""
    inner_high = high if num_folds == 1 else min(high, 1)
    last = 1 if num_folds == 1 else 2**num_folds - 1
    first_side = int(max(low, 0) * 2**num_folds)
    last_side = min(-int(-inner_high * 2**num_folds // 1) - 1, last)
    return last_side - first_side + 1 + (low < 0) + (num_folds > 1 and high > 1)


def clip(network, corners):
    """Reference: cells {activation pattern: polygon} by clipping one polygon after another, all in Fractions."""

    def cut(polygon, values):
        parts = ([], [])
        for i, (p, a) in enumerate(zip(polygon, values, strict=True)):
            q, b = polygon[(i + 1) % len(polygon)], values[(i + 1) % len(polygon)]
            for part, sign in zip(parts, (1, -1), strict=True):
                if sign * a >= 0:
                    part.append(p)
            if a * b < 0:
                crossing = tuple(x + (y - x) * a / (a - b) for x, y in zip(p, q, strict=True))
                parts[0].append(crossing)
                parts[1].append(crossing)
        return parts

    cells = [((), list(corners), [[Fraction(1), 0, 0], [0, Fraction(1), 0]])]
    for weight, bias in network.rational().layers[:-1]:
        following = []
        for pattern, polygon, maps in cells:
            rows = [
                [
                    sum((w * m[c] for w, m in zip(row, maps, strict=True)), Fraction(0)) + (b if c == 2 else 0)
                    for c in range(3)
                ]
                for row, b in zip(weight, bias, strict=True)
            ]
            pieces = [(pattern, polygon)]
            for x, y, c in rows:
                pieces_next = []
                for bits, piece in pieces:
                    values = [x * p[0] + y * p[1] + c for p in piece]
                    if max(values) <= 0 or min(values) >= 0:
                        pieces_next.append(((*bits, max(values) > 0), piece))
                    else:
                        above, below = cut(piece, values)
                        pieces_next += [((*bits, True), above), ((*bits, False), below)]
                pieces = pieces_next
            for bits, piece in pieces:
                active = bits[len(pattern) :]
                following.append(
                    (bits, piece, [r if on else [Fraction(0)] * 3 for r, on in zip(rows, active, strict=True)])
                )
        cells = following
    return {pattern: polygon for pattern, polygon, _ in cells}


def shoelace(polygon):
    return (
        sum((p[0] * q[1] - p[1] * q[0] for p, q in zip(polygon, polygon[1:] + polygon[:1], strict=True)), Fraction(0))
        / 2
    )


def check_complex(complex_: PolygonalComplex, area):
    """What holds for every complex: Euler's formula, strictly convex faces of one pattern each, the area."""
    assert len(complex_.vertices) - len(complex_.edges) + complex_.num_faces == 1
    assert len(np.unique(complex_.patterns, axis=0)) == complex_.num_faces
    assert np.all(complex_.areas > 0)
    assert np.all(complex_.edges[:, 0] != complex_.edges[:, 1])
    inner = (complex_.edge_faces >= 0).all(axis=1)
    assert len(complex_.cycles) == 2 * inner.sum() + (~inner).sum()
    assert np.all((complex_.edge_neurons >= 0) == inner)
    left, right = complex_.patterns[complex_.edge_faces[inner]].transpose(1, 0, 2)
    assert np.all((left != right)[np.arange(inner.sum()), complex_.edge_neurons[inner]])  # its neuron made the edge
    if complex_.is_rational:
        assert complex_.areas.sum() == area
    else:
        assert complex_.areas.sum() == pytest.approx(float(area), rel=1e-13)  # some thousand roundings


LINES = [[1, 2], [1, 2], [-2, -4], [1, -1], [3, 1]]
DEGENERATE = {
    "affine": rational(([[1, 2]], [3])),
    "repeated neurons": rational(
        (LINES, [0, 0, 0, 0, 1]), ([[1, 1, -3, 2, 1], [1, 1, -3, 2, 1]], [-1, -1]), ([[1, 1]], [0])
    ),
    "zero rows": rational(
        ([[0, 0], [1, 1], [0, 0]], [1, 0, 0]), ([[1, 1, 1], [0, 0, 0], [0, 1, 0]], [0, 0, 0]), ([[1, 1, 1]], [0])
    ),
    "collinear lines": rational(
        (LINES, [1, 1, -2, 0, 0]), ([[1, -1, 0, 0, 0], [1, 1, 1, 1, 1]], [0, -1]), ([[1, 1]], [0])
    ),
    "concurrent lines": rational(
        ([[1, 0], [0, 1], [1, 1], [1, -1], [2, 1]], [0] * 5), ([[1, -1, 1, -1, 1]] * 2, [0, -1]), ([[1, 1]], [0])
    ),
    "lines through corners": rational(
        ([[1, 1], [1, -1], [1, 0], [2, 1]], [0, 0, -1, 1]), ([[1, 1, 0, 0], [1, -1, 1, 0]], [-2, 0]), ([[1, 1]], [0])
    ),
    "lines along the boundary": rational(([[1, 0], [0, -1], [1, 1]], [1, 1, 2]), ([[1, 1, -1]], [0]), ([[1]], [0])),
    "dead layer": rational(
        ([[1, 1], [1, -1]], [0, 0]), ([[-1, -1], [-1, 0]], [0, -1]), ([[1, 1], [1, 1]], [0, 1]), ([[1, 1]], [0])
    ),
    "lines that coincide across layers": rational(
        ([[1, 0], [0, 1], [-1, 0]], [0, 0, 0]),
        ([[1, 0, -1], [1, 1, 0], [1, -1, 0]], [0, 0, 0]),
        ([[1, 0, 0], [0, 1, -1]], [0, 0]),
        ([[1, 1]], [0]),
    ),
    "grid folded twice": rational(
        ([[1, 0], [-1, 0], [0, 1], [0, -1]], [0] * 4),
        ([[1, 1, 0, 0], [-1, -1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]], [-HALF, HALF, -HALF, -1]),
        ([[1, 1, 1, 1], [1, -1, 1, -1]], [-HALF, 0]),
        ([[1, 1]], [0]),
    ),
    "no biases": random_network((2, 5, 5, 5, 1), 0, bias=0),
    "float thirds": Network(
        [
            ([[1 / 3, 0.1], [1 / 3, 0.1], [0.1, -1 / 3]], [0.0, 0.0, 0.1]),
            ([[0.1, -0.1, 1], [0.3, 1, 1]], [0.0, -0.1]),
            ([[1.0, 1.0]], [0.0]),
        ]
    ),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("polygon", [SQUARE, ((0, 0), (3, 1), (Fraction(1, 3), 2))], ids=["square", "triangle"])
def test_complex_equals_clipping_on_degenerate_networks(name, polygon):
    network = DEGENERATE[name]
    corners = convex_corners(polygon)
    reference = clip(network, corners)
    exact, filtered = (subdivide(network, polygon, arithmetic) for arithmetic in ARITHMETICS[::-1])
    assert same_combinatorics(exact, filtered)
    check_complex(exact, shoelace(list(corners)))
    check_complex(filtered, shoelace(list(corners)))
    cells = {tuple(bits.tolist()): area for bits, area in zip(exact.patterns, exact.areas, strict=True)}
    assert cells == {pattern: shoelace(piece) for pattern, piece in reference.items()}
    assert np.array_equal(exact.values, network.exact(exact.vertices))


@pytest.mark.parametrize("seed", range(12))
def test_filtered_arithmetic_equals_rational_on_random_networks(seed):
    network = random_network((2, 7, 6, 5, 2), seed)
    exact, filtered = (subdivide(network, SQUARE, arithmetic) for arithmetic in ARITHMETICS[::-1])
    assert same_combinatorics(exact, filtered)
    assert exact.num_faces == len(clip(network, convex_corners(SQUARE)))
    check_complex(exact, 4)
    assert errors_hold(filtered, exact)
    # Maps by multiplying out layers, against maps from exact values at three corners; entries are at most some tens.
    np.testing.assert_allclose(filtered.affine_maps, exact.affine_maps.astype(float), rtol=0, atol=1e-12)


@pytest.mark.parametrize("num_folds", range(1, 8))
@pytest.mark.parametrize("angle", ROTATIONS)
@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_sawtooth_rotated_about_a_corner(num_folds, angle, arithmetic):
    axis = ROTATIONS[angle][0]
    ends = [axis[0] * x + axis[1] * y for x, y in UNIT_SQUARE]
    expected = num_strips(num_folds, min(ends), max(ends))
    complex_ = subdivide(sawtooth(num_folds, axis), UNIT_SQUARE, arithmetic)
    assert complex_.num_faces == len(set(linear_regions(complex_).tolist())) == expected
    check_complex(complex_, 1)


def test_hand_counted_strips():
    assert num_strips(1, 0, 1) == 2
    assert num_strips(3, 0, 1) == 8
    assert num_strips(3, Fraction(0), Fraction(7, 5)) == 9
    assert num_strips(2, Fraction(-1, 2), Fraction(1, 4)) == 2
    assert num_strips(2, Fraction(-1, 2), Fraction(3, 10)) == 3


@pytest.mark.parametrize("num_folds", range(1, 8))
@pytest.mark.parametrize("angle", ROTATIONS)
def test_two_sawtooths_at_right_angles(num_folds, angle):
    """Strips across each other: in each strip of the first, count those of the second that it meets."""
    axes = ROTATIONS[angle]
    network = stack([sawtooth(num_folds, axis) for axis in axes]).then([[Fraction(1), Fraction(2)]], [Fraction(0)])
    complex_ = subdivide(network, UNIT_SQUARE)
    check_complex(complex_, 1)
    heights = sorted({Fraction(i, 2**num_folds) for i in range(2**num_folds + (num_folds > 1))})
    low, high = (limit(axes[0][0] * x + axes[0][1] * y for x, y in UNIT_SQUARE) for limit in (min, max))
    levels = [low, *[height for height in heights if low < height < high], high]
    expected = 0
    for bottom, top in zip(levels, levels[1:], strict=False):
        strip = _slab(_slab(list(convex_corners(UNIT_SQUARE)), axes[0], bottom), [-a for a in axes[0]], -top)
        ends = [axes[1][0] * x + axes[1][1] * y for x, y in strip]
        expected += num_strips(num_folds, min(ends), max(ends))
    assert complex_.num_faces == expected


def _slab(polygon, axis, bottom):
    kept = []
    for p, q in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        a, b = (axis[0] * x + axis[1] * y - bottom for x, y in (p, q))
        kept += [p] if a >= 0 else []
        if a * b < 0:
            kept.append(tuple(x + (y - x) * a / (a - b) for x, y in zip(p, q, strict=True)))
    return kept


def montufar(folds, lines):
    """Layers that fold [0, 1]² onto itself folds[i]² times, and then a layer of lines in general position."""
    layers, reading = [], [[Fraction(1), Fraction(0)], [Fraction(0), Fraction(1)]]
    for num in folds:
        weight = [
            [(1 if j == 0 else 2) * num * entry for entry in reading[axis]] for axis in range(2) for j in range(num)
        ]
        layers.append((weight, [-2 * j for _ in range(2) for j in range(num)]))
        reading = [
            [(-1) ** j if unit // num == axis else 0 for unit, j in enumerate([*range(num)] * 2)] for axis in range(2)
        ]
    weight = [[a * x + b * y for x, y in zip(*reading, strict=True)] for a, b, _ in lines]
    return rational(*layers, (weight, [c for *_, c in lines]), ([range(1, len(lines) + 1)], [0]))


# Tangents of the parabola y = x²/2 + 1/4 at 1/8, 3/8, ...: every two meet inside the unit square, no three in a point.
TANGENTS = [
    (-t, Fraction(1), t * t / 2 - Fraction(1, 4))
    for t in (Fraction(1, 8), Fraction(3, 8), Fraction(5, 8), Fraction(7, 8))
]


@pytest.mark.parametrize(("folds_", "num_lines"), [((2,), 4), ((3, 3), 2), ((2, 2, 2), 3), ((4, 3), 4)])
def test_montufar_networks(folds_, num_lines):
    network = montufar(folds_, TANGENTS[:num_lines])
    expected = int(np.prod(folds_)) ** 2 * (1 + num_lines + comb(num_lines, 2))
    for arithmetic in ARITHMETICS:
        complex_ = subdivide(network, UNIT_SQUARE, arithmetic)
        assert complex_.num_faces == expected
        check_complex(complex_, 1)
    # Where no line's neuron is active the output is 0, and such faces touch across folds: fewer linear regions.
    assert (
        count_linear_regions(network, UNIT_SQUARE) == count_linear_regions(network, UNIT_SQUARE, "rational") < expected
    )


@pytest.mark.parametrize("num_neurons", [1, 2, 5, 16, 40])
def test_one_layer_in_general_position(num_neurons):
    rng = np.random.default_rng(num_neurons)
    network = Network(
        [(rng.normal(size=(num_neurons, 2)), rng.normal(size=num_neurons)), (rng.normal(size=(1, num_neurons)), [0.0])]
    )
    # All crossings lie within: two of 40 random lines are parallel to within 1e-6 with probability below 1e-3.
    polygon = box(-1e6, 1e6)
    assert (
        count_activation_regions(network, polygon)
        == count_linear_regions(network, polygon)
        == 1 + num_neurons + comb(num_neurons, 2)
    )


def test_linear_regions_merge_what_no_output_sees():
    # |x| + |y| by four neurons, and a fifth that is multiplied by 0, a sixth and seventh that cancel.
    weight = [[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [2, 1], [2, 1]]
    network = rational((weight, [0, 0, 0, 0, -HALF, 0, 0]), ([[1, 1, 1, 1, 0, 3, -3]], [0]))
    for arithmetic in ARITHMETICS:
        assert count_linear_regions(network, SQUARE, arithmetic) == 4
        assert count_activation_regions(network, SQUARE, arithmetic) == len(clip(network, convex_corners(SQUARE))) > 4


def test_linear_regions_merge_what_cancels_but_for_rounding():
    # 0.1 + 1000.3 - 1000.3 is not 0.1 in float64
    network = Network([([[1.0, 0.0], [1.0, 1.0], [1.0, 1.0]], [5.0, 0.0, 0.0]), ([[0.1, 1000.3, -1000.3]], [0.0])])
    maps = subdivide(network, SQUARE).affine_maps
    assert len(maps) == 2
    assert not np.array_equal(*maps)
    for arithmetic in ARITHMETICS:
        assert count_linear_regions(network, SQUARE, arithmetic) == 1


@pytest.mark.parametrize("bits", [40, 60, 200, 300, 2000])
@pytest.mark.parametrize("layers", [1, 2])
def test_near_ties_are_decided_by_balls_and_then_by_rationals(bits, layers):
    """Three lines through a point but for 2**-bits: floats decide 40, balls of 256 bits 200, rationals the rest."""
    lines, offsets = [[1, Fraction(1, 3)], [Fraction(-1, 7), 1], [1, 1]], [0, 0, Fraction(1, 2**bits)]
    if layers == 1:
        network, exactly = (rational((lines, o), ([[1, 1, 1]], [0])) for o in (offsets, [0, 0, 0]))
    else:  # the same lines, read from a layer that carries the coordinates and is active on the whole square
        moved = [o - 2 * sum(line) for line, o in zip(lines, offsets, strict=True)]
        shifted = [-2 * sum(line) for line in lines]
        carry = ([[1, 0], [0, 1]], [2, 2])
        network, exactly = (rational(carry, (lines, o), ([[1, 1, 1]], [0])) for o in (moved, shifted))
    filtered, exact = (subdivide(network, SQUARE, arithmetic) for arithmetic in ARITHMETICS)
    assert same_combinatorics(filtered, exact)
    assert filtered.num_faces == 7
    assert count_activation_regions(exactly, SQUARE) == 6


TINY = Fraction(1, 2**2000)


@pytest.mark.parametrize(
    "network",
    [
        rational(([[1, -1]], [TINY]), ([[1]], [0])),  # passes by a corner of the domain
        rational(([[1, -1], [1, 0]], [TINY, 0]), ([[1, 0], [1, -1]], [0, 0]), ([[1, 1]], [0])),
        rational(([[TINY, -TINY]], [0]), ([[1]], [0])),
        rational(([[10**180, -(10**180)], [1, 2]], [1, -1]), ([[10**100, -1]], [0]), ([[1]], [0])),
        random_network((2, *[3] * 30, 1), 0).then([[1e-150]], [0.0]),
    ],
)
def test_numbers_beyond_floats_are_left_to_rationals(network):
    filtered, exact = (subdivide(network, UNIT_SQUARE, arithmetic) for arithmetic in ARITHMETICS)
    assert same_combinatorics(filtered, exact)
    assert np.array_equal(linear_regions(filtered), linear_regions(exact))
    assert errors_hold(filtered, exact)


def test_values_too_large_for_floats_get_one_sentence():
    network = rational(([[10**200, 0]], [0]), ([[10**200]], [0]), ([[1]], [0]))
    assert subdivide(network, SQUARE, "rational").num_faces == 2
    with pytest.raises(ValueError, match="too large for float64"):
        subdivide(network, SQUARE)


def test_results_do_not_need_flint(monkeypatch):
    network = DEGENERATE["grid folded twice"]
    reference = {arithmetic: subdivide(network, SQUARE, arithmetic) for arithmetic in ARITHMETICS}
    distances = exact_distance(network, DEGENERATE["repeated neurons"], SQUARE)
    monkeypatch.setattr(rationals, "flint", None)
    monkeypatch.setattr(vertex_ancestry, "flint", None)
    for arithmetic in ARITHMETICS:
        again = subdivide(network, SQUARE, arithmetic)
        assert same_combinatorics(again, reference[arithmetic])
        assert np.array_equal(again.vertices, reference[arithmetic].vertices)
    assert exact_distance(network, DEGENERATE["repeated neurons"], SQUARE) == distances


@pytest.mark.parametrize("seed", range(4))
def test_bounds_hold_in_deep_networks(seed):
    network = random_network((2, *[10] * 8, 2), seed)
    filtered, exact = (subdivide(network, box(HALF, 1), arithmetic) for arithmetic in ARITHMETICS)
    assert same_combinatorics(filtered, exact)
    assert filtered.num_faces > 5
    assert errors_hold(filtered, exact)
    # and they are of use: eight layers, angles down to a thousandth
    assert max(filtered.vertex_errors.max(), filtered.value_errors.max()) < 1e-6
