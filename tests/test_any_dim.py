"""Regions by exact linear programs against closed forms and the planar complex; local maps; Lipschitz bounds."""

import math
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from planar_networks import random_network, rational

from widththeory.exact.affine_maps import affine_maps, exact_affine_map
from widththeory.exact.any_dim import activation_regions, count_regions, local_map
from widththeory.exact.linear_programming import Polyhedron, point_below
from widththeory.exact.linear_regions import count_activation_regions
from widththeory.exact.lipschitz import path_lipschitz_bound, product_lipschitz_bound, spectral_norm
from widththeory.exact.polygons import box
from widththeory.exact.rationals import to_fractions, to_numbers
from widththeory.exact.two_dim import lipschitz_constant, subdivide
from widththeory.network import Network

SQUARE = box(Fraction(0), Fraction(1))


@pytest.mark.parametrize(("dim", "num_neurons"), [(1, 6), (2, 9), (3, 7), (4, 6), (5, 5)])
def test_one_layer_in_general_position(dim, num_neurons):
    expected = sum(comb(num_neurons, j) for j in range(dim + 1))
    assert count_regions(random_network((dim, num_neurons, 1), 0)) == expected
    # Hyperplanes through the origin: twice the count of general position in one dimension less.
    central = 2 * sum(comb(num_neurons - 1, j) for j in range(dim))
    assert count_regions(random_network((dim, num_neurons, 1), 1, bias=0)) == central


def test_hyperplanes_that_coincide_or_touch():
    # x = 0 three times, x = 1 (parallel), and two neurons without input: 3 slabs, of which one layer more folds none.
    network = rational(
        ([[1, 0, 0], [-2, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]], [0, 0, 0, -1, 1, 0]), ([[1] * 6], [0])
    )
    assert count_regions(network) == 3
    # The planes x + y + z = 3 and = -3 meet the closed cube [-1, 1]³ in a corner only.
    corners = rational(([[1, 1, 1], [-1, -1, -1]], [-3, -3]), ([[1, 1]], [0]))
    assert count_regions(corners, -1, 1) == 1
    assert count_regions(corners, -1, Fraction(101, 100)) == 2
    assert count_regions(corners) == 3
    away = rational(([[2, 0]], [-5]), ([[1]], [0]))  # cut at 5/2
    low, high = sorted(region.inside[0] for region in activation_regions(away, 2, 3))
    assert 2 < low < Fraction(5, 2) < high < 3


def test_cube_folded_twice_has_64_to_the_power_of_a_third_pieces_a_side():
    fold = ([[2, 0, 0], [4, 0, 0], [0, 2, 0], [0, 4, 0], [0, 0, 2], [0, 0, 4]], [0, -2] * 3)
    unfold = [[1 if unit == 2 * axis else -1 if unit == 2 * axis + 1 else 0 for unit in range(6)] for axis in range(3)]
    again = [[(2 if unit % 2 == 0 else 4) * entry for entry in unfold[unit // 2]] for unit in range(6)]
    assert count_regions(rational(fold, ([[1] * 6], [0])), 0, 1) == 2**3
    assert count_regions(rational(fold, (again, [0, -2] * 3), ([[1] * 6], [0])), 0, 1) == 4**3


@pytest.mark.parametrize("widths", [(2, 6, 1), (2, 5, 4, 1), (2, 4, 3, 3, 1)])
@pytest.mark.parametrize("bias", [0.3, 0])
def test_linear_programs_agree_with_the_planar_complex(widths, bias):
    network = random_network(widths, 3, bias)
    assert count_regions(network, -1, 1) == count_activation_regions(network, box(-1, 1))


def test_regions_hold_their_points():
    network = random_network((4, 5, 5, 1), 2)
    regions = list(activation_regions(network, -1, 1))
    assert len({region.pattern.tobytes() for region in regions}) == len(regions)
    for region in regions:
        hidden, bits = region.inside[:, None], []
        for weight, bias in network.rational().layers[:-1]:
            values = weight @ hidden + bias[:, None]
            assert np.all(values != 0)
            bits += (values > 0)[:, 0].tolist()
            hidden = np.where(values > 0, values, 0 * values)
        assert bits == region.pattern.tolist()
    # Every pattern that sampling finds is there.
    points = np.random.default_rng(0).uniform(-1, 1, size=(2000, 4))
    first = points @ network.layers[0].weight.T + network.layers[0].bias
    second = np.maximum(first, 0) @ network.layers[1].weight.T + network.layers[1].bias
    sampled = {row.tobytes() for row in np.concatenate([first > 0, second > 0], axis=1)}
    assert sampled <= {region.pattern.tobytes() for region in regions}


def test_linear_program_finds_points_only_where_there_are():
    square = Polyhedron(to_numbers([[1, 0], [-1, 0], [0, 1], [0, -1]]), to_numbers([1, 1, 1, 1]), to_numbers([0, 0]))
    normal = to_numbers([1, 1])
    assert point_below(square, normal, to_numbers([2])[0]) is None  # touches the closed square in a corner
    point = point_below(square, normal, to_numbers([Fraction(2) - Fraction(1, 10**30)])[0])
    assert point is not None
    assert np.all(square.normals @ point + square.offsets > 0)
    assert normal @ point + to_numbers([Fraction(2) - Fraction(1, 10**30)])[0] < 0
    half_plane = Polyhedron(to_numbers([[1, 0]]), to_numbers([1]), to_numbers([0, 0]))
    assert point_below(half_plane, to_numbers([0, 1]), to_numbers([5])[0]) is not None
    assert point_below(half_plane, to_numbers([1, 0]), to_numbers([1])[0]) is None
    slanted = Polyhedron(to_numbers([[1, 1]]), to_numbers([1]), to_numbers([0, 0]))
    point = point_below(slanted, to_numbers([1, 0]), to_numbers([5])[0])  # x < -5, so y > 4
    assert point is not None
    assert point[0] < -5 < 4 < point[1]
    assert point[0] + point[1] > -1


def test_local_map_is_the_network_nearby():
    network = random_network((3, 6, 6, 2), 4)
    point = [0.1, -0.2, 0.3]
    found = local_map(network, point)
    assert not found.on_break
    step = [Fraction(1, 10**9), Fraction(-2, 10**9), Fraction(1, 10**9)]
    moved = network.exact([[Fraction(x) + s for x, s in zip(point, step, strict=True)]])[0]
    assert np.array_equal(moved, found.value + found.gradient @ np.array(step, dtype=object))
    kink = local_map(rational(([[1]], [0]), ([[1]], [0])), [0])
    assert (kink.value[0], kink.gradient[0, 0], kink.on_break) == (0, 0, True)
    assert local_map(rational(([[1]], [0]), ([[1]], [1]), ([[1]], [0])), [0]).on_break  # in the first of two layers


def test_errors_of_affine_maps_hold():
    sevenths = [random_sevenths((2, 3, 4, 2, 1), seed) for seed in range(10)]
    tenths = ([[Fraction(k, 10), 0] for k in (1, 2, 3)], [0, 0, 0])  # in floats 1/10 + 2/10 - 3/10 is not 0
    cancelled = rational(tenths, ([[1, 1, -1]], [0]), ([[10**10]], [0]))
    for network in (
        *sevenths,
        random_sevenths((2, 3), 0),
        rational(([[1, 0]], [0]), ([[0]], [Fraction(1, 3)])),
        cancelled,
    ):
        patterns = np.random.default_rng(0).random((20, sum(network.size.widths))) < 0.7
        patterns[0] = True
        maps, errors = affine_maps(network, patterns)
        for found, error, pattern in zip(maps, errors, patterns, strict=True):
            apart = abs(to_fractions(exact_affine_map(network, pattern)) - np.vectorize(Fraction)(found))
            assert np.all(apart <= np.vectorize(Fraction)(error))


def random_sevenths(widths, seed):
    rng = np.random.default_rng(seed)
    pairs = zip(widths, widths[1:], strict=False)
    parts = [(rng.integers(-9, 10, (o, i)), rng.integers(-9, 10, o)) for i, o in pairs]
    return Network([tuple(part.astype(object) * Fraction(1, 7) for part in layer) for layer in parts])


def test_spectral_norms_are_enclosed():
    assert spectral_norm(np.zeros((2, 3))).upper == 0
    diagonal = spectral_norm(np.diag([3.0, -7.0, 2.0]))
    assert diagonal.lower <= 7 <= diagonal.upper
    # The all-ones matrix and outer products: norms known, singular values multiple or zero.
    for scale in (2.0**-700, 2.0**700):  # squares underflow or overflow
        far = spectral_norm(scale * np.diag([3.0, -7.0, 2.0]))
        assert (far.value, far.error) == (scale * diagonal.value, scale * diagonal.error)
    ones = spectral_norm(np.ones((40, 90)))
    assert ones.lower <= 60 <= ones.upper
    assert ones.error < 1e-9  # condition-free: some hundred roundings of numbers up to 60
    hadamard = np.array([[1.0]])
    for _ in range(4):
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    norm = spectral_norm(hadamard)
    assert norm.lower <= 4 <= norm.upper


@pytest.mark.parametrize("factors", [(1.1, 1 / 1.1, 1), (1, 1 / 1.1, 1.1), (1, 0.9, 1), (1, 1.1, 1), (0.9, 1, 0.9)])
def test_spectral_norms_are_enclosed_by_any_decomposition(monkeypatch, factors):
    """U, S and V that are wrong by a tenth widen the bounds, and no more."""
    matrix, svd = np.random.default_rng(0).normal(size=(5, 4)), np.linalg.svd
    norm = svd(matrix)[1][0]

    def wrong(array, full_matrices):
        return tuple(factor * part for factor, part in zip(factors, svd(array, full_matrices), strict=True))

    monkeypatch.setattr(np.linalg, "svd", wrong)
    found = spectral_norm(matrix)
    assert found.lower <= norm <= found.upper < 2 * norm


def test_lipschitz_bounds_are_ordered_and_sharp_where_known():
    for seed in range(5):
        network = random_network((2, 8, 8, 2), seed)
        constant = lipschitz_constant(subdivide(network, box(-1, 1)))
        assert constant.lower <= product_lipschitz_bound(network).upper
        assert constant.lower <= path_lipschitz_bound(network).upper
    # The identity on positive numbers through eye: the product is sharp; |x| by two neurons: paths give 2.
    identity = rational(([[1, 0], [0, 1]], [0, 0]), ([[1, 0], [0, 1]], [0, 0]))
    assert product_lipschitz_bound(identity).value == pytest.approx(1, rel=1e-12)
    modulus = rational(([[1], [-1]], [0, 0]), ([[1, 1]], [0]))
    assert path_lipschitz_bound(modulus).value == pytest.approx(2, rel=1e-12)
    assert product_lipschitz_bound(modulus).value == pytest.approx(2, rel=1e-12)


def test_a_neuron_that_is_zero_throughout_is_inactive():
    network = rational(([[0, 0], [1, 0], [0, 0]], [0, 0, 1]), ([[0, 1, 0], [0, -1, 0]], [0, 0]), ([[1, 1]], [0]))
    patterns = {tuple(region.pattern.tolist()) for region in activation_regions(network)}
    # the second layer is (x, -x) where x > 0, and (0, 0) elsewhere
    assert patterns == {(False, True, True, True, False), (False, False, True, False, False)}


@pytest.mark.parametrize("size", [1e-170, 1.0, 1e170])
def test_lipschitz_constant_when_squares_underflow_or_overflow(size):
    constant = lipschitz_constant(subdivide(rational(([[3, 4]], [1]), ([[size]], [0])), box(0, 1)))
    assert constant.lower <= 5 * Fraction(size) <= constant.upper
    assert constant.error < 1e-13 * size  # some hundred roundings


@pytest.mark.parametrize(
    "factors",
    [
        (1e-200, 1e-200, 1e200, 1e200),  # products of two underflow
        (1e200, 1e200, 1e-200, 1e-200),  # and overflow
        (1e-90, 1e-90, 1e-90, 1e-90),  # no weight is small, but their product is
        (Fraction(1, 10**400), 10**400),  # no floats at all
        (1e-160, 1e-160),  # a subnormal product
    ],
)
def test_lipschitz_bounds_hold_where_products_leave_the_floats(factors):
    """(x, y) -> c (3 x + 4 y + 1), every neuron active: each of the three bounds is 5 c, c the product of factors."""
    first, *rest = map(Fraction, factors)
    network = rational(([[3 * first, 4 * first]], [first]), *[([[factor]], [0]) for factor in rest])
    exact = 5 * math.prod(map(Fraction, factors))
    constant = lipschitz_constant(subdivide(network, SQUARE, "rational"))
    for bound in (product_lipschitz_bound(network), path_lipschitz_bound(network), constant):
        assert Fraction(bound.lower) <= exact <= Fraction(bound.upper)
        assert bound.error <= max(1e-12 * exact, 2e-323)  # some hundred roundings


def test_lipschitz_bounds_of_deep_networks_take_no_rationals(monkeypatch):
    """Products beyond 1e100, or of weights that are all small, are scaled: rationals took thirty times as long."""
    monkeypatch.setattr("widththeory.exact.lipschitz.matmul", None)
    rng = np.random.default_rng(0)
    for size, depth in ((2.0**-400, 2), (1.0, 140)):
        layers, product = [(size * rng.normal(size=(8, 8)), np.zeros(8)) for _ in range(depth)], np.eye(8)
        for weight, _ in layers:
            product = abs(weight / size) @ product
        norm = np.linalg.norm(product, 2)  # up to some 3000 roundings
        found = path_lipschitz_bound(Network(layers))
        assert found.value / size**depth == pytest.approx(norm, rel=1e-12)
        assert found.error < 1e-9 * found.value
    assert path_lipschitz_bound(Network([(np.zeros((1, 2)), [1.0])])).upper == 0


def test_lipschitz_constant_of_constants():
    """relu(x) - relu(x) + 1e10: slopes are 0 but for what rounding may have hidden; and with no slopes at all."""
    cancelled = lipschitz_constant(subdivide(rational(([[3, 0], [3, 0]], [1, 1]), ([[1, -1]], [10**10])), SQUARE))
    assert cancelled.value == 0
    assert 0 < cancelled.error < 1e-13  # some roundings of 3
    assert lipschitz_constant(subdivide(rational(([[0, 0]], [10**10])), SQUARE)).upper == 0


def test_lipschitz_bounds_too_large_for_floats_get_one_sentence():
    network = rational(([[10**200, 0]], [0]), ([[10**200]], [0]))
    complex_ = subdivide(network, SQUARE, "rational")
    for bound, argument in (
        (product_lipschitz_bound, network),
        (path_lipschitz_bound, network),
        (lipschitz_constant, complex_),
        (lipschitz_constant, subdivide(rational(([[17 * 10**307, 17 * 10**307]], [0])), SQUARE, "rational")),
    ):
        with pytest.raises(ValueError, match="too large for float64"):
            bound(argument)


def test_numbers_may_be_numpy_scalars_or_beyond_floats():
    network = rational(([[1, -1]], [0]), ([[1]], [0]))
    for number in (np.float32, np.int64):
        assert count_regions(network, number(0), number(1)) == 2
        assert local_map(network, [number(1), number(0)]).value == [1]
    assert local_map(network, [10**400, 1]).value == [10**400 - 1]


def test_bad_arguments():
    network = random_network((3, 4, 1), 0)
    for low in (1, 0):
        with pytest.raises(ValueError, match=f"low and high must be finite numbers with low < high, got {low} and 0"):
            count_regions(network, low, 0)
    for high in (None, float("inf")):
        with pytest.raises(ValueError, match="low and high"):
            count_regions(network, 0, high)
    with pytest.raises(ValueError, match="point must hold 3 finite numbers"):
        local_map(network, [0.0, 1.0])
    with pytest.raises(ValueError, match="finite numbers"):
        local_map(network, [0.0, 1.0, float("nan")])
