"""Floors for narrow first layers: hand values, quadrature by another route, and narrow networks that stay above."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy.special import beta

from widththeory.bounds.kernel_direction import chord_distance, narrow_floor, radial_floor, sphere_area, turned
from widththeory.network import Network

# name: function, Lipschitz constant on [-1, 1]^2, least L1 distance, least squared L2 distance (three printed digits)
CASES = {
    "square": (lambda p: p[:, 0] ** 2 + p[:, 1] ** 2, 2 * np.sqrt(2), 0.994, 0.355),
    "product": (lambda p: p[:, 0] * p[:, 1], np.sqrt(2), 0.500, 0.1185),
    "norm": (lambda p: np.hypot(p[:, 0], p[:, 1]), 1.0, 0.686, 0.168),
    "cosines": (lambda p: np.cos(np.pi * p[:, 0]) * np.cos(np.pi * p[:, 1]), np.pi, 1.1145, 0.421),
    "maximum": (lambda p: np.max(p, axis=1), 1.0, 0.667, 0.167),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_floors_agree_with_the_known_values(name, norm):
    function, lipschitz, l1, l2_squared = CASES[name]
    floor = narrow_floor(function, lipschitz, norm, num_cells=100, num_angles=60, max_evaluations=90)
    known = l1 if norm == "l1" else np.sqrt(l2_squared)
    assert floor.value == pytest.approx(known, rel=2e-3)  # half a unit of the last printed digit, and the coarse grid
    assert floor.lower <= known * 1.001
    assert floor.lower > 0


def test_finer_grids_prove_more():
    function, lipschitz, _, l2_squared = CASES["norm"]
    floor = narrow_floor(function, lipschitz, "l2", num_cells=200, num_angles=180, max_evaluations=400)
    assert floor.lower > 0.9 * np.sqrt(l2_squared)


def test_product_is_worst_along_the_diagonal():
    function, lipschitz, _, _ = CASES["product"]
    distances = [chord_distance(function, angle, lipschitz).value for angle in np.linspace(0, np.pi / 2, 31)]
    assert int(np.argmin(distances)) == 15


def test_axis_directions_by_hand():
    """Along the first axis x^2 + y^2 has variance 4/45 on every chord, and mean distance from its median 1/4."""
    function, lipschitz, _, _ = CASES["square"]
    for angle in (0.0, np.pi / 2, np.pi):
        l2 = chord_distance(function, angle, lipschitz)
        l1 = chord_distance(function, angle, lipschitz, "l1")
        # midpoint sums with 400 cells a chord: second order, 1e-5
        assert l2.value**2 == pytest.approx(4 * 4 / 45, rel=1e-4)
        assert l1.value == pytest.approx(4 * 0.25, rel=1e-4)


@pytest.mark.parametrize("angle", [0.01, 0.4, 1.1, 2.5])
def test_chord_distance_agrees_with_adaptive_quadrature(angle):
    cos, sin = np.cos(angle), np.sin(angle)

    def lowest(s):
        """squared distance on the chord at offset s, from integrals of x y and (x y)^2 in closed form"""
        ends = []
        for slope, start in ((cos, -s * sin), (sin, s * cos)):
            ends.append(sorted(((-1 - start) / slope, (1 - start) / slope)))
        a, b = max(e[0] for e in ends), min(e[1] for e in ends)
        product = np.polynomial.Polynomial([-s * sin, cos]) * np.polynomial.Polynomial([s * cos, sin])
        first, second = product.integ(), (product * product).integ()
        return (second(b) - second(a)) - (first(b) - first(a)) ** 2 / (b - a)

    corner, reach = abs(abs(cos) - abs(sin)), abs(cos) + abs(sin)
    exact = sum(
        integrate.quad(lowest, a, b, epsabs=1e-12)[0]
        for a, b in [(-reach, -corner), (-corner, corner), (corner, reach)]
    )
    computed = chord_distance(CASES["product"][0], angle, np.sqrt(2))
    assert computed.value == pytest.approx(np.sqrt(exact), rel=1e-4)  # second order in 1/400
    assert computed.lower <= np.sqrt(exact) <= computed.upper


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("name", CASES)
def test_turning_loses_no_more_than_proven(name, norm):
    function, lipschitz, _, _ = CASES[name]
    for angle in (0.0, 0.3, 0.7):
        start = chord_distance(function, angle, lipschitz, norm, 300)
        for delta in (0.003, 0.01, 0.05):
            end = chord_distance(function, angle + delta, lipschitz, norm, 100)
            proven = turned(start.lower, delta, lipschitz, norm)
            assert end.upper >= proven
            if delta == 0.003:
                assert proven > 0.8 * start.value > 0.1  # it says something: the last assertion is not about zero


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("delta", [0.002, 0.01, 0.05])
def test_turning_into_the_direction_of_a_ridge_loses_everything(delta, norm):
    """f(x, y) = y is constant along the first axis, and as far as its slope allows from so along directions nearby."""
    start = chord_distance(lambda p: p[:, 1], delta, 1.0, norm, 400)
    assert chord_distance(lambda p: p[:, 1], 0.0, 1.0, norm, 400).value < 1e-15  # rounding of a mean
    assert start.value > delta
    assert turned(start.value, delta, 1.0, norm) <= 0
    # and a third of the loss that is claimed would not be enough
    assert turned(3.2 * start.value, delta, 1.0, norm) > 0


@pytest.mark.parametrize("name", CASES)
def test_narrow_networks_stay_above_the_floor(name):
    """A network of width 1 reads one linear form; the best polynomial of it comes close to the floor, never below."""
    function, lipschitz, _, _ = CASES[name]
    floors = {
        norm: narrow_floor(function, lipschitz, norm, num_cells=120, num_angles=120, max_evaluations=360)
        for norm in ("l1", "l2")
    }
    grid = (np.arange(200) + 0.5) / 100 - 1
    points = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 2)
    values = function(points)
    closest = {"l1": np.inf, "l2": np.inf}
    for angle in np.linspace(0, np.pi, 25):
        weights = np.array([[np.cos(angle), np.sin(angle)]])
        network = Network([(weights, np.array([3.0])), (np.ones((1, 1)), np.array([-3.0]))])
        columns = np.polynomial.legendre.legvander(network(points)[:, 0] / 1.5, 10)
        fit, *_ = np.linalg.lstsq(columns, values, rcond=None)
        gap = np.abs(columns @ fit - values)
        found = {"l1": 4 * gap.mean(), "l2": 2 * np.sqrt(np.mean(gap**2))}
        for norm, floor in floors.items():
            assert found[norm] >= floor.lower
            closest[norm] = min(closest[norm], found[norm])
    assert floors["l2"].lower >= 0.75 * closest["l2"]
    assert floors["l1"].lower >= 0.6 * closest["l1"]  # the fit is the best in L2, not in L1


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("max_evaluations", [4, 6, 12, 20])
def test_no_direction_is_left_out(max_evaluations, norm):
    """A linear function is constant along one direction, wherever that lies between those that are looked at."""
    for angle in np.arange(16) * np.pi / 16 + 0.01:
        ridge = lambda p, a=angle: p @ np.array([-np.sin(a), np.cos(a)])  # noqa: E731
        floor = narrow_floor(ridge, 1.0, norm, num_cells=40, num_angles=4, max_evaluations=max_evaluations)
        assert floor.lower <= 0


def test_coarse_grids_prove_nothing_and_say_so():
    function, lipschitz, _, _ = CASES["cosines"]
    floor = narrow_floor(function, lipschitz, num_cells=8, num_angles=4, max_evaluations=4)
    assert floor.lower == 0
    assert floor.upper >= np.sqrt(0.421)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_radial_floor_in_the_plane_agrees_with_chords_of_the_disc(norm):
    """|x|^2 on the unit disc: the chord at offset r has half-length h, h^2 = 1 - r^2, and t^2 on it is a parabola."""
    floor = radial_floor(np.square, 2.0, 2, norm)
    if norm == "l2":
        # variance of t^2 on [-h, h] is 4 h^4 / 45: the square is the integral of 2 h 4 h^4 / 45 over |r| <= 1
        exact = np.sqrt(integrate.quad(lambda r: 2 * 2 * 4 / 45 * (1 - r * r) ** 2.5, 0, 1)[0])
    else:
        # mean distance from the median, h^2 / 4
        exact = integrate.quad(lambda r: 2 * 2 / 4 * (1 - r * r) ** 1.5, 0, 1)[0]
    assert floor.value == pytest.approx(exact, rel=1e-4)
    assert floor.lower <= exact <= floor.upper


@pytest.mark.parametrize("input_dim", [3, 6])
def test_radial_floor_in_more_dimensions(input_dim):
    """L2 of |x|^2 on the ball: sphere area times the integral of r^(n-2) 2 h 4 h^4 / 45."""
    integral = integrate.quad(lambda r: r ** (input_dim - 2) * 2 * 4 / 45 * (1 - r * r) ** 2.5, 0, 1)[0]
    exact = np.sqrt(sphere_area(input_dim - 1) * integral)
    floor = radial_floor(np.square, 2.0, input_dim)
    assert floor.value == pytest.approx(exact, rel=1e-4)
    assert floor.error < 0.05 * floor.value


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_radial_floor_is_below_that_of_the_square(norm):
    """|x|: the disc is part of the square, whose corners add a distance that both enclosures resolve."""
    function, lipschitz, _, _ = CASES["norm"]
    disc = radial_floor(lambda r: r, 1.0, 2, norm)
    square = narrow_floor(function, lipschitz, norm, num_cells=200, num_angles=180, max_evaluations=400)
    assert 0 < 0.9 * disc.value < disc.lower
    assert disc.upper < square.lower
    if norm == "l2":
        # the chord at r: length times variance of sqrt(r^2 + t^2), from the integrals of r^2 + t^2 and of its root
        def lowest(r):
            half = np.sqrt(1 - r * r)
            root = 0.5 * (half + r * r * np.arcsinh(half / r))  # over [0, half], where the root is 1 at the end
            return 2 * (r * r * half + half**3 / 3) - 2 * root**2 / half

        exact = np.sqrt(2 * integrate.quad(lowest, 1e-12, 1 - 1e-12)[0])
        assert disc.value == pytest.approx(exact, rel=1e-4)
        assert disc.lower <= exact <= disc.upper


@given(st.floats(0, 10), st.floats(0, 0.7), st.floats(0, 5), st.floats(0, 5), st.sampled_from(["l1", "l2"]))
def test_turned_is_monotone(distance, angle, lipschitz, more, norm):
    """A larger distance is worth more; a larger angle or slope proves less, down to nothing."""
    proven = turned(distance, angle, lipschitz, norm)
    slack = 1e-12 * (1 + abs(proven))
    assert proven <= distance
    assert turned(distance + more, angle, lipschitz, norm) >= proven - slack
    assert turned(distance, angle, lipschitz + more, norm) <= proven + slack
    if proven > 0:
        assert turned(distance, angle + 0.05, lipschitz, norm) <= proven


@pytest.mark.parametrize("input_dim", [2, 10, 40, 100])
def test_radial_floor_of_a_small_ball_is_a_floor_still(input_dim):
    """|x|^2: the variance on a chord of half-length h is 4 h^4 / 45, and the ball has volume 1e-41 in dimension 100."""
    moment = beta((input_dim - 1) / 2, 3.5)  # twice the integral of r^(n-2) h^5
    exact = math.sqrt(4 / 45 * sphere_area(input_dim - 1) * moment)
    found = radial_floor(np.square, 2.0, input_dim)
    assert found.lower <= exact <= found.upper
    assert found.lower > 0.5 * exact
    assert radial_floor(np.square, 2.0, input_dim, "l1").lower > 0


@settings(max_examples=20)
@given(st.floats(0.1, 10), st.integers(2, 8), st.sampled_from(["l1", "l2"]), st.floats(1, 3))
def test_radial_floor_is_homogeneous_and_pays_for_slopes(scale, input_dim, norm, factor):
    one = radial_floor(np.square, 2.0, input_dim, norm, num_cells=60)
    scaled = radial_floor(lambda r: scale * np.square(r), 2.0 * scale, input_dim, norm, num_cells=60)
    assert scaled.value == pytest.approx(scale * one.value, rel=1e-9)
    assert radial_floor(np.square, 2.0 * factor, input_dim, norm, num_cells=60).lower <= one.lower


def test_sphere_areas():
    assert sphere_area(1) == pytest.approx(2)
    assert sphere_area(2) == pytest.approx(2 * np.pi)
    assert sphere_area(3) == pytest.approx(4 * np.pi)
    assert sphere_area(340) == pytest.approx(1.5352364755e-220, rel=1e-9)  # 2 pi^170 / 169!


def test_bad_input_gets_one_sentence():
    function = CASES["norm"][0]
    for call, message in [
        (lambda: narrow_floor(function, 1.0, "sup"), "norm must be"),
        (lambda: narrow_floor(function, 0.0), "lipschitz must be"),
        (lambda: narrow_floor(function, 1.0, num_angles=2), "num_angles must be"),
        (lambda: narrow_floor(lambda p: p[:, 0] * np.nan, 1.0), "finite"),
        (lambda: radial_floor(np.square, 2.0, 1), "input_dim must be"),
        (lambda: radial_floor(np.square, 2.0, 342), "dim must be at most 340, got 341"),
        (lambda: radial_floor(np.square, np.inf, 2), "lipschitz must be"),
        (lambda: radial_floor(np.square, 2.0, 2, "sup"), "norm must be"),
        (lambda: radial_floor(lambda r: r * np.nan, 2.0, 2), "finite"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
