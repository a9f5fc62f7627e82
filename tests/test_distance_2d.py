"""Exact planar distances: closed forms by hand, dense sampling, and rationals against floats."""

from fractions import Fraction

import numpy as np
import pytest
from planar_networks import random_network, rational

from widththeory.exact import polynomial_2d
from widththeory.exact.distance_2d import difference, distance, exact_distance, exact_squared_l2
from widththeory.exact.polygons import box, convex_corners, coordinates
from widththeory.exact.polynomial_2d import PlanarPolynomial
from widththeory.exact.rationals import to_numbers
from widththeory.exact.two_dim import lipschitz_constant, restrict_to_plane, subdivide
from widththeory.network import Network

HALF = Fraction(1, 2)
SQUARE = box(Fraction(-1), Fraction(1))


def random_polynomial(degree, seed):
    entries = np.random.default_rng(seed).normal(size=(degree + 1, degree + 1))
    return PlanarPolynomial(
        tuple(map(tuple, np.where(np.add.outer(*[np.arange(degree + 1)] * 2) <= degree, entries, 0)))
    )


def test_l1_distance_to_a_saddle_whose_chords_err_to_both_sides():
    # On this triangle x² is below its chord as much as −y² is above. With u = x + y, v = x − y: ∫∫ |u v| dv du / 2.
    saddle = PlanarPolynomial(((0, 0, -1), (0, 0, 0), (1, 0, 0)))
    found = distance(rational(([[0, 0]], [0])), saddle, ((0, 0), (1, 0), (0, 1)))
    assert found.l1 == pytest.approx(1 / 8, rel=1e-9)  # the tolerance; by chords alone it is 1/6


def test_l1_tolerance_is_relative():
    """A spike of size 1 and area 1e-4 beside 1e-4 (x² + y² − 1/2), of integral 2/3 + π/4; where both are, 1e-8."""
    spike = rational(([[10_000, 0]], [-9_999]), ([[1]], [0]))
    circle = PlanarPolynomial(((-HALF / 10_000, 0, 1e-4), (0, 0, 0), (1e-4, 0, 0)))
    found = distance(spike, circle, SQUARE, tolerance=1e-3)
    assert found.l1 == pytest.approx(1e-4 * (1 + 2 / 3 + np.pi / 4), rel=1.2e-3)


def test_sup_distance_inside_a_face():
    # 1 − (x − 1/3)² − (y − 1/5)²: at a point that no halving of triangles meets
    cap = PlanarPolynomial(((1 - 1 / 9 - 1 / 25, 2 / 5, -1), (2 / 3, 0, 0), (-1, 0, 0)))
    found = distance(rational(([[0, 0]], [0])), cap, box(0, 1), tolerance=1e-6)
    assert 1 - 1e-6 < found.sup <= 1 + 1e-15


def test_distances_with_known_values():
    zero = rational(([[0, 0]], [0]))
    ramp = rational(([[1, 0]], [0]), ([[1]], [0]))
    # relu(x) on [-1, 1]²: integrals of x and x² over [0, 1] times 2.
    assert exact_distance(ramp, zero, SQUARE) == (1, Fraction(2, 3), 1)
    diamond = rational(([[1, 0], [-1, 0], [0, 1], [0, -1]], [0] * 4), ([[1] * 4], [-1]))
    # |x| + |y| − 1 is antisymmetric about the diamond within each quadrant: 4 (2/6) in L1, 4/6 in L2².
    assert exact_distance(diamond, zero, SQUARE) == (Fraction(4, 3), Fraction(2, 3), 1)
    # An affine map has no units that could be carried through the layers of the other: x − |x| is 2x for x < 0.
    line, modulus = rational(([[1, 0]], [0])), rational(([[1, 0], [-1, 0]], [0, 0]), ([[1, 1]], [0]))
    assert (
        exact_distance(line, modulus, SQUARE)
        == exact_distance(line, modulus.deepen(3), SQUARE)
        == (2, Fraction(8, 3), 2)
    )
    parabola = PlanarPolynomial(((0,), (0,), (1,)))
    assert exact_squared_l2(ramp, parabola, SQUARE) == 2 * Fraction(1, 5) + 2 * Fraction(1, 30)
    for power in (1, 2):  # the integral of (x y)^2p is that of x^2p squared; the degree is the sum of both
        product = PlanarPolynomial(((0, 0, 0), (0, 2 - power, 0), (0, 0, power - 1)))
        assert exact_squared_l2(zero, product, SQUARE) == Fraction(2, 2 * power + 1) ** 2
    against = distance(ramp, parabola, SQUARE)
    np.testing.assert_allclose(against, (2 / 3 + 1 / 3, np.sqrt(2 / 5 + 2 / 30), 1), rtol=1e-9)  # the tolerance
    # |x² + y² − 1/2|, a circle inside the square: ∫ = 4(2/3 − 1/2) + 2 ∫_disc (1/2 − r²) = 2/3 + π/4.
    circle = PlanarPolynomial(((-HALF, 0, 1), (0, 0, 0), (1, 0, 0)))
    found = distance(zero, circle, SQUARE, tolerance=1e-8)
    np.testing.assert_allclose(found[::2], (2 / 3 + np.pi / 4, 1.5), rtol=1e-8)


def test_distance_vanishes_only_between_equal_functions():
    network = random_network((2, 8, 8, 1), 5)
    deeper, shifted = network.deepen(4), network.then([[1.0]], [0.5])
    # The difference cancels up to rounding of values of order 1.
    assert max(distance(network, deeper, SQUARE)) < 1e-14
    np.testing.assert_allclose(distance(network, shifted, SQUARE), (2, 1, 0.5), rtol=1e-14)
    assert exact_distance(network, deeper, SQUARE) == (0, 0, 0)
    assert difference(network, network).size.depth == 2
    # relu(x) - 1/2, carried through more layers, breaks where relu(relu(x)) does: not at 1/2, where it is 0
    shallow = rational(([[1, 0]], [0]), ([[1]], [-HALF]))
    for more in (1, 2):
        deep = rational(([[1, 0]], [0]), *[([[1]], [0])] * more, ([[1]], [0]))
        assert subdivide(difference(shallow, deep), SQUARE).num_faces == 2


@pytest.mark.parametrize("block", range(4))
def test_distances_agree_with_sampling_on_random_networks(block):
    rng = np.random.default_rng(block)
    points = rng.uniform(-1, 1, size=(4000, 2))
    for seed in range(50):
        sizes = [(2, *rng.integers(1, 9, size=rng.integers(1, 4)).tolist(), 1) for _ in range(2)]
        one, other = (random_network(widths, (block, seed, i)) for i, widths in enumerate(sizes))
        found = distance(one, other, SQUARE)
        gaps = abs(one(points) - other(points))[:, 0]
        # Five and a half standard errors: one false alarm in 10^7 tests.
        assert abs(found.l1 - 4 * gaps.mean()) <= 5.5 * 4 * gaps.std() / np.sqrt(len(gaps)) + 1e-12
        squares = gaps**2
        assert abs(found.l2**2 - 4 * squares.mean()) <= 5.5 * 4 * squares.std() / np.sqrt(len(gaps)) + 1e-12
        # Any point of the square is within 0.2 of a sample, unless all 4000 miss a disc: (1 − π/400)^4000 < 10^-21.
        lipschitz = lipschitz_constant(subdivide(difference(one, other), SQUARE)).upper
        assert gaps.max() - 1e-12 <= found.sup <= gaps.max() + 0.2 * lipschitz
        exact = exact_distance(one, other, SQUARE)
        np.testing.assert_allclose(found, (float(exact[0]), float(exact[1]) ** 0.5, float(exact[2])), rtol=1e-12)


def test_distance_to_a_polynomial_agrees_with_sampling():
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, size=(200_000, 2))
    polynomial = PlanarPolynomial(((0.1, 1.0, 0.3), (-1.0, 2.0, 0.5), (1.0, 0.0, -1.0)))
    network = random_network((2, 8, 8, 1), 1)
    found = distance(network, polynomial, SQUARE, tolerance=1e-7)
    gaps = abs(network(points)[:, 0] - polynomial(points))
    assert abs(found.l1 - 4 * gaps.mean()) <= 5.5 * 4 * gaps.std() / np.sqrt(len(gaps))
    assert gaps.max() <= found.sup <= gaps.max() * 1.05
    assert found.l2 == pytest.approx(float(exact_squared_l2(network, polynomial, SQUARE)) ** 0.5, rel=1e-12)


@pytest.mark.parametrize("bend", [1e-30, 1e-17, -1e-18])
def test_distance_to_a_polynomial_that_differs_by_rounding_ends(bend):
    """Cut until the difference has a sign, triangles would be cut for ever."""
    network = Network([([[1 / 3, 0.1]], [0.7])])
    found = distance(network, PlanarPolynomial(((0.7, 0.1, 0.0), (1 / 3, 0.0, bend), (bend, 0.0, 0.0))), box(0.1, 0.9))
    assert max(found) < 1e-14  # some ten roundings of numbers of size 1


def test_distance_to_a_polynomial_of_high_degree_that_differs_by_rounding_ends():
    power = PlanarPolynomial((*[(0.0,)] * 8, (1e-17,)))
    shifted = PlanarPolynomial(((1 / 3,), (0.1,), *power.coefficients[2:]))
    found = distance(Network([([[0.1, 0.0]], [1 / 3])]), shifted, box(0.1, 0.9))
    assert max(found) < 1e-12  # less than the docstring says of degree 10


@pytest.mark.parametrize(
    ("slope", "side"), [(1e-170, 1.0), (1e200, 1.0), (1e308, 0.5), (1e250, 1e-170), (1e-250, 1e170)]
)
def test_distances_where_squares_or_areas_leave_the_floats(slope, side):
    """relu(c x) and c x against 0 on [-s, s]²: L2 distances were 0, infinite or NaN."""
    zero, square = rational(([[0, 0]], [0])), box(-side, side)
    ramp = Network([([[1.0, 0.0]], [0.0]), ([[slope]], [0.0])])
    l1, sup = slope * side * side * side, slope * side
    found = distance(ramp, zero, square)
    np.testing.assert_allclose(found, (l1, np.sqrt(2 / 3) * sup * side, sup), rtol=1e-14)
    for coefficient in (slope, Fraction(slope)):
        found = distance(zero, PlanarPolynomial(((0,), (coefficient,))), square)
        np.testing.assert_allclose(found, (2 * l1, np.sqrt(4 / 3) * sup * side, sup), rtol=1e-9)  # the tolerance


def test_large_coefficients_that_cancel():
    # 1e200 (1 - x), which is 0 in the upper right corner
    falling = PlanarPolynomial(((1e200,), (-1e200,)))
    found = distance(rational(([[0, 0]], [0])), falling, SQUARE)
    np.testing.assert_allclose(found, (4e200, np.sqrt(16 / 3) * 1e200, 2e200), rtol=1e-9)  # the tolerance


def test_large_networks_against_small_polynomials():
    ramp = rational(([[10**200, 0]], [0]))
    found = distance(ramp, PlanarPolynomial(((1.0,),)), SQUARE)
    np.testing.assert_allclose(found, (2e200, np.sqrt(4 / 3) * 1e200, 1e200), rtol=1e-9)  # the tolerance


def test_distance_too_large_for_floats_gets_one_sentence():
    zero, ramp = rational(([[0, 0]], [0])), rational(([[10**300, 0]], [0]))
    for target in (ramp, PlanarPolynomial(((0,), (10**300,)))):
        with pytest.raises(ValueError, match="distance is too large for float64"):
            distance(zero, target, box(-(10**6), 10**6))


@pytest.mark.parametrize("centre", [10**6, 10**8, 10**155, Fraction(1, 3) + 10**12])
def test_a_polynomial_whose_terms_cancel(centre):
    # (x - c)^2 on [c - 1, c + 1]^2, as x^2 - 2 c x + c^2
    square = PlanarPolynomial(((centre**2,), (-2 * centre,), (1,)))
    found = distance(rational(([[0, 0]], [0])), square, box(centre - 1, centre + 1))
    assert found.l2 == pytest.approx(np.sqrt(4 / 5), rel=1e-15)
    np.testing.assert_allclose(found[::2], (4 / 3, 1), rtol=1e-9)  # the tolerance


PENTAGON = tuple((Fraction(x), Fraction(y)) for x, y in ((-1, 0), (0.25, -1), (1, -0.5), (1, 0.75), (-0.5, 1)))
TINY, LARGE = Fraction(1, 10**70), 10**70


@pytest.mark.parametrize(
    ("centre", "sides"),
    [
        ((10**8, -(10**8)), ((1, 0), (0, 1))),  # far
        ((3, Fraction(1, 3)), ((1, 1), (1, 1 + Fraction(1, 2**40)))),  # thin, along no axis
        ((10**12, 10**9), ((TINY, TINY), (-TINY, 2 * TINY))),  # tiny and far
        ((1, 2), ((0, LARGE), (LARGE, -LARGE))),  # large, and turned over
    ],
)
def test_distances_do_not_depend_on_where_the_polygon_is(centre, sides):
    """The same functions, as a network and a polynomial of other coordinates, in which terms cancel."""
    (a, b), (c, d) = sides
    area = a * d - b * c
    back = [Fraction(d, area), Fraction(-b, area)], [Fraction(-c, area), Fraction(a, area)]
    start = [-centre[0] * back[0][i] - centre[1] * back[1][i] for i in range(2)]
    polygon = [tuple(centre[i] + s * sides[0][i] + t * sides[1][i] for i in range(2)) for s, t in PENTAGON]
    for degree in (1, 2, 4):
        network, polynomial = random_network((2, 4, 3, 1), degree), random_polynomial(degree, degree)
        moved = restrict_to_plane(network, start, back), polynomial.on_plane(start, back)
        found, near = distance(*moved, polygon, tolerance=1e-5), distance(network, polynomial, PENTAGON, tolerance=1e-5)
        exact = exact_squared_l2(*moved, polygon)
        assert exact == abs(area) * exact_squared_l2(network, polynomial, PENTAGON)
        assert found.l2 == pytest.approx(float(exact) ** 0.5, rel=1e-14)  # some ten roundings of numbers of size 1
        np.testing.assert_allclose(found[::2], (near.l1 * float(abs(area)), near.sup), rtol=2e-5)  # twice the tolerance
        if degree == 1:
            (constant, along_y, *_), (along_x, *_), *_ = moved[1].coefficients
            line = Network([([[along_x, along_y]], [constant])])
            l1, square, sup = map(float, exact_distance(moved[0], line, polygon))
            np.testing.assert_allclose(distance(moved[0], line, polygon), (l1, square**0.5, sup), rtol=1e-14)
            np.testing.assert_allclose(found[::2], (l1, sup), rtol=1e-5)  # the tolerance


def test_polynomials_of_other_coordinates():
    """Against values on a grid of 7 by 7, where none but 0 vanishes that has degree at most 6 in each variable."""
    origin, directions = (Fraction(1, 3), -2), ((5, 0.5), (-1, Fraction(2, 7)))
    polynomial = PlanarPolynomial(((1, 2.5, 0, Fraction(1, 3)), (0, -1, 0.25, 7)))
    grid = [(s, t) for s in range(7) for t in range(-3, 4)]
    points = to_numbers(grid) @ to_numbers(directions) + to_numbers(origin)
    assert list(polynomial.on_plane(origin, directions)(to_numbers(grid))) == list(polynomial(points))


def test_coordinates_in_which_a_polygon_is_near_and_round():
    assert coordinates(convex_corners(box(3, 5)))[2] == [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    rng, fractions = np.random.default_rng(0), np.vectorize(Fraction, otypes=[object])
    for num_corners in (3, 4, 5, 40):
        for _ in range(10):
            angles, slant = np.sort(rng.uniform(0, 2 * np.pi, num_corners)), rng.normal(size=(2, 2)) * (1e6, 1e-6)
            circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
            corners = convex_corners(fractions(circle) @ fractions(slant) + fractions(1e9 * rng.normal(size=2)))
            origin, (u, v), pairs = coordinates(corners)
            assert all(
                corner == (origin[0] + s * u[0] + t * v[0], origin[1] + s * u[1] + t * v[1])
                for corner, (s, t) in zip(corners, pairs, strict=True)
            )
            assert {(-1, -1), (1, -1), (1, 1)} <= set(pairs)
            assert max(abs(entry) for pair in pairs for entry in pair) <= 7


def test_polynomials_from_any_rows_of_numbers():
    wanted = PlanarPolynomial(((1, 2), (3, 4)))
    for rows in (
        [[1, 2], [3, 4]],
        np.array([[1, 2], [3, 4]], dtype=np.int8),
        np.array([[1, 2], [3, 4]], dtype=np.float32),
    ):
        assert PlanarPolynomial(rows) == wanted
        assert hash(PlanarPolynomial(rows)) == hash(wanted)
    for rows in ((), ((),), (1, 2), ((1,), (1, 2)), "ab"):
        with pytest.raises(ValueError, match="coefficients must be rows of one length, at least 1, got"):
            PlanarPolynomial(rows)
    for entry in (float("inf"), 1j, "1", None):
        with pytest.raises(ValueError, match="coefficients must be finite numbers, got"):
            PlanarPolynomial([[1, entry]])


def test_zero_against_zero_and_constants():
    zero, nothing = rational(([[0, 0]], [0])), PlanarPolynomial(((0,),))
    assert distance(zero, nothing, SQUARE) == distance(zero, zero, SQUARE) == (0, 0, 0)
    assert exact_squared_l2(zero, nothing, SQUARE) == 0
    assert distance(zero, PlanarPolynomial(((-3,),)), SQUARE) == (12, 6, 3)
    assert exact_squared_l2(zero, PlanarPolynomial(((Fraction(1, 3),),)), SQUARE) == Fraction(4, 9)


def test_tolerance_out_of_reach(monkeypatch):
    monkeypatch.setattr(polynomial_2d, "_MAX_TRIANGLES", 100)
    circle = PlanarPolynomial(((-HALF, 0, 1), (0, 0, 0), (1, 0, 0)))
    with pytest.raises(ValueError, match="tolerance needs more than 100 triangles; take a larger one"):
        distance(rational(([[0, 0]], [0])), circle, SQUARE)


def test_corners_that_are_not_numbers():
    for corner in (("a", "b"), (1j, 0), (None, 0)):
        with pytest.raises(ValueError, match="polygon must hold finite numbers, got"):
            convex_corners([(0, 0), (1, 0), corner])
