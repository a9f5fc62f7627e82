"""No strict extremum inside for networks no wider than their input, and the floors in sup norm that follow."""

import itertools
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widththeory.bounds.level_set import box_floor, cosines_floor, extremum_floor, radial_oscillation
from widththeory.constructions.narrow_targets import NarrowTarget
from widththeory.network import Network
from widththeory.typing import Certified

numbers = st.floats(-100, 100)


def exact(value):
    return Certified(value, 0.0)


def draw(widths, rng):
    maps = [(rng.standard_normal((o, i)), rng.standard_normal(o)) for i, o in itertools.pairwise(widths)]
    return Network(maps)


def excess(network, points, boundary):
    """How far values at the points lie outside the range of those on the boundary."""
    inside, edge = network(points)[:, 0], network(boundary)[:, 0]
    return max(inside.max() - edge.max(), edge.min() - inside.min())


def square_and_its_boundary(num_steps):
    steps = np.linspace(-1, 1, num_steps + 1)
    points = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    on_edge = np.abs(points).max(axis=1) == 1
    return points, points[on_edge]


@pytest.mark.parametrize("hidden", [(1,), (2,), (2, 2), (2, 1, 2), (2, 2, 2, 2)])
def test_networks_of_the_width_of_the_input_have_no_extremum_inside(hidden):
    points, boundary = square_and_its_boundary(160)
    rng = np.random.default_rng(0)
    for _ in range(40):
        network = draw((2, *hidden, 1), rng)
        gradient_bound = np.prod([np.linalg.norm(weight, 2) for weight, _ in network.layers])
        # an extreme of the boundary lies within half a step of a sampled point
        assert excess(network, points, boundary) <= gradient_bound / 160


def test_one_more_unit_makes_an_extremum():
    """Width 3 in the plane: a bump over a triangle, which no network of width 2 comes near."""
    angles = 2 * np.pi * np.arange(3) / 3
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    network = Network([(directions, np.zeros(3)), (-np.ones((1, 3)), np.zeros(1))])
    points, boundary = square_and_its_boundary(160)
    assert excess(network, points, boundary) > 0.4


def test_square_of_the_norm_by_hand():
    """|x|^2 is 0 at the centre of the ball of radius r and r^2 on its boundary; the constant r^2 / 2 is as close."""
    for radius in (0.5, 1.0, 3.0):
        floor = radial_oscillation(np.square, 2 * radius, 0.0, radius)
        assert floor.lower <= radius**2 / 2 <= floor.upper
        assert floor.error <= 1e-3 * floor.value
    annulus = radial_oscillation(lambda r: r, 1.0, 1.0, 2.0)
    assert annulus.lower <= 0.5 <= annulus.upper


@pytest.mark.parametrize("low", [0.0, 0.7])
def test_radial_floor_is_that_of_monotone_functions_on_a_diameter(low):
    """n = 1: width 1 gives monotone functions; the closest one to sampled values is half the largest drop away."""
    radii = np.linspace(low, 2.0, 4001)
    values = np.sin(5 * radii) * radii
    line = np.concatenate([values[::-1], values])
    drops = [np.max(np.maximum.accumulate(sign * line) - sign * line) / 2 for sign in (1, -1)]
    floor = radial_oscillation(lambda r: np.sin(5 * r) * r, 11.0, low, 2.0)
    assert min(drops) == pytest.approx(floor.value, abs=floor.error + 11 * 2 / 4000)  # both are sampled
    assert floor.value > 0.5


@pytest.mark.parametrize("frequency", [0.3, 1.0, np.pi / 2, 2.0, np.pi, 9.0])
def test_cosines_agree_with_the_boundary_of_the_box(frequency):
    for input_dim in (1, 2, 3):
        side = min(1.0, np.pi / frequency if input_dim == 1 else np.pi / 2 / frequency)
        numeric = box_floor(
            lambda x: np.cos(frequency * x).prod(axis=1),
            frequency,
            [-side] * input_dim,
            [side] * input_dim,
            [0.0] * input_dim,
            num_cells=60,
        )
        floor = cosines_floor(frequency, input_dim)
        # the maximum on a face is at its middle, between the sampled points, as far as the error of the box allows
        assert numeric.lower <= floor.upper
        assert numeric.upper >= floor.lower
        assert numeric.error <= 0.025 * max(1.0, frequency * side)


def test_targets_of_narrow_networks():
    """Closed forms against boxes: 1/2 for the radial ones and the cosines, nothing where no extremum is inside."""
    centre = [[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]]
    for name, expected in [("sum_of_squares", 0.5), ("norm", 0.5), ("product", 0.0), ("maximum", 0.0)]:
        target = NarrowTarget(name)
        floor = box_floor(target.target, target.lipschitz, *centre)
        assert floor.lower <= expected <= floor.upper
        assert floor.lower >= expected - 0.02
        assert floor.lower >= 0


def test_narrow_networks_stay_above_the_floor():
    points, _ = square_and_its_boundary(40)
    rng = np.random.default_rng(3)
    floors = {
        "sum_of_squares": radial_oscillation(np.square, 2.0, 0.0, 1.0).lower,
        "norm": radial_oscillation(lambda r: r, 1.0, 0.0, 1.0).lower,
        "product_of_cosines": cosines_floor(np.pi, 2).lower,
    }
    for name, floor in floors.items():
        assert floor > 0.49
        target = NarrowTarget(name).target(points)
        for _ in range(30):
            hidden = draw((2, 2, 2, 1), rng)(points)[:, 0]
            columns = np.stack([hidden, np.ones(len(points))], axis=1)
            fit, *_ = np.linalg.lstsq(columns, target, rcond=None)
            # the grid holds the centre, and the circles only to a step of 1/20
            assert np.max(np.abs(columns @ fit - target)) >= floor - 0.05


def test_a_wider_network_goes_below():
    """One more unit than the input: 1 - relu(...) ... a pyramid is closer to -|x| than half its oscillation."""
    points, _ = square_and_its_boundary(100)
    points = points[np.linalg.norm(points, axis=1) <= 1]
    angles = 2 * np.pi * np.arange(3) / 3
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    network = Network([(directions, np.zeros(3)), (np.ones((1, 3)), np.full(1, 0.07))])
    assert np.max(np.abs(network(points)[:, 0] - np.linalg.norm(points, axis=1))) < 0.25
    assert radial_oscillation(lambda r: r, 1.0, 0.0, 1.0).lower > 0.49


@given(numbers, numbers, numbers, st.floats(0, 50))
def test_floor_grows_with_the_gap(inside, one, other, more):
    low, high = sorted((one, other))
    floor = extremum_floor(exact(inside), exact(low), exact(high))
    assert floor.value == pytest.approx(max(inside - high, low - inside, 0.0) / 2)
    assert floor.lower >= 0
    if inside >= high:
        assert extremum_floor(exact(inside + more), exact(low), exact(high)).upper >= floor.lower
    # a larger range on the boundary proves less
    assert extremum_floor(exact(inside), exact(low - more), exact(high + more)).lower <= floor.upper


@given(st.floats(0.01, 20), st.floats(1.0, 3.0), st.integers(1, 6))
def test_cosines_floor_is_monotone(frequency, factor, input_dim):
    floor = cosines_floor(frequency, input_dim)
    assert cosines_floor(frequency * factor, input_dim).upper >= floor.lower
    assert cosines_floor(frequency, input_dim + 1).lower <= floor.upper
    assert floor.lower > 0
    assert floor.upper <= 1 + 1e-14  # the constant 0


@given(st.floats(0.1, 3.0), st.floats(0.0, 2.0))
def test_radial_floor_grows_with_the_domain(radius, more):
    small = radial_oscillation(np.cos, 1.0, 0.0, radius, num_cells=256)
    large = radial_oscillation(np.cos, 1.0, 0.0, radius + more, num_cells=256)
    assert large.upper >= small.lower


@pytest.mark.parametrize("num_cells", [1, 2, 5])
def test_extremes_between_samples_are_counted(num_cells):
    """The distance to the nearest radius that is looked at, and a sum that is largest at corners."""
    step = 1 / num_cells
    found = radial_oscillation(lambda r: np.abs(r - step * np.rint(r / step)), 1.0, 0.0, 1.0, num_cells=num_cells)
    assert found.lower <= step / 4 <= found.upper
    peak = lambda p: np.maximum(np.abs(p).sum(axis=1), 1.8 - 5 * np.hypot(p[:, 0], p[:, 1]))  # noqa: E731
    corners = box_floor(peak, np.sqrt(2), (-1.0, -1.0), (1.0, 1.0), (0.0, 0.0), num_cells=num_cells)
    assert corners.lower <= 0  # 1.8 inside, from 1 to 2 on the boundary
    below = box_floor(lambda p: -peak(p), np.sqrt(2), (-1.0, -1.0), (1.0, 1.0), (0.0, 0.0), num_cells=num_cells)
    assert below.lower <= 0


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_rounding_is_counted(inside, one, other):
    low, high = min(one, other), max(one, other)
    gap = max(Fraction(inside) - Fraction(high), Fraction(low) - Fraction(inside), Fraction(0)) / 2
    floor = extremum_floor(exact(inside), exact(low), exact(high))
    assert Fraction(floor.lower) <= gap <= Fraction(floor.upper)


def test_a_profile_is_rounded_when_it_is_evaluated():
    """Of (11/10)^20 r floats have 11 digits more than they should, as 1.1 is above 11/10: some 10 ulps."""
    found = radial_oscillation(lambda r: r * np.prod(np.full(20, 1.1)), 7.0, 0.0, 1.0)
    assert Fraction(found.lower) <= Fraction(11, 10) ** 20 / 2 <= Fraction(found.upper)


def test_oscillation_by_hand():
    """r on [1, 3] in four cells: 1 between the ends, and up to a slope of 2 times half a cell more."""
    seen = []
    found = radial_oscillation(lambda r: seen.append(r) or r, 2.0, 1.0, 3.0, num_cells=4)
    assert [*seen[0]] == [1, 1.5, 2, 2.5, 3]
    assert (found.value, found.error) == pytest.approx((1.25, 0.25))
    # a constant has a floor of 0, and rounding of its values is all that is unsure
    for constant in (-2.0, 2.0):
        still = radial_oscillation(lambda r, c=constant: np.full_like(r, c), 0.0, 1.0, 3.0)
        assert still.lower == 0
        assert 1.9e-14 < still.upper < 4e-14


@pytest.mark.parametrize(("lipschitz", "ends"), [(2.0, (2.25, 2.75)), (4.0, (1.5, 2.75))])
@pytest.mark.parametrize("sign", [-1, 1])
def test_box_by_hand(lipschitz, ends, sign):
    """x + 2 y on the boundary of (1, 3) x (2, 6) in two cells a side, and 20 inside, at (2, 3).

    It is at most 14.5 where it is looked at on top, 1/2 from a corner, and 13 on the right, 1 from one.
    """

    def function(points):
        return sign * np.where((points == [2, 3]).all(axis=1), 20.0, points @ [1.0, 2.0])

    found = box_floor(function, lipschitz, (1.0, 2.0), (3.0, 6.0), (2.0, 3.0), num_cells=2)
    assert (found.lower, found.upper) == pytest.approx(ends)


def test_rounding_of_what_is_evaluated_on_a_box_is_counted():
    """2 inside and 1 on the boundary, without slope: 1e-14 of both is unsure, and nothing else."""
    inside = lambda p: 1.0 + (p == 0).all(axis=1)  # noqa: E731
    found = box_floor(inside, 0.0, (-1.0, -1.0), (1.0, 1.0), (0.0, 0.0), num_cells=3)
    assert 0.5 - 2e-14 < found.lower < 0.5 - 1.4e-14
    assert 0.5 + 0.9e-14 < found.upper < 0.5 + 2e-14


@pytest.mark.parametrize("frequency", [1e-6, 0.1, 0.7, 1.3, 1.57, 2.9])
def test_rounding_of_the_cosines_is_in_their_error(frequency):
    for input_dim in (1, 3):
        found = cosines_floor(frequency, input_dim)
        with mpmath.workdps(40):
            exact = (1 - mpmath.cos(min(mpmath.mpf(frequency), mpmath.pi / min(input_dim, 2)))) / 2
        assert found.lower <= exact <= found.upper
        assert found.error < 1e-14 * found.value


def test_uncertain_values_prove_less():
    certain = extremum_floor(exact(1.0), exact(0.0), exact(0.2))
    unsure = extremum_floor(Certified(1.0, 0.1), exact(0.0), Certified(0.2, 0.05))
    assert unsure.lower == pytest.approx(certain.value - 0.075)
    assert unsure.upper == pytest.approx(certain.value + 0.075)
    # extremes in the wrong order may be in the right one, within their errors
    assert extremum_floor(exact(1.0), Certified(0.3, 0.1), Certified(0.2, 0.1)).upper == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: extremum_floor(exact(0.0), exact(1.0), exact(0.0)), "boundary_min must be"),
        (lambda: radial_oscillation(np.cos, 1.0, 1.0, 1.0), "low and high must be"),
        (lambda: radial_oscillation(np.cos, 1.0, -0.5, 1.0), "low and high must be"),
        (lambda: radial_oscillation(np.cos, 1.0, 0.0, np.inf), "low and high must be"),
        (lambda: radial_oscillation(np.cos, 1.0, 0.0, 1.0, num_cells=0), "num_cells must be"),
        (lambda: radial_oscillation(np.cos, np.inf, 0.0, 1.0), "lipschitz must be"),
        (lambda: radial_oscillation(lambda r: np.where(r == 0, np.nan, r), 1.0, 0.0, 1.0), "finite"),
        (lambda: radial_oscillation(lambda r: r * np.nan, 1.0, 0.0, 1.0), "finite"),
        (lambda: cosines_floor(0.0, 2), "frequency must be"),
        (lambda: cosines_floor(1.0, 0), "input_dim must be"),
        (lambda: box_floor(lambda x: x[:, 0], 1.0, [0.0], [1.0], [1.0]), "low < inside < high"),
        (lambda: box_floor(lambda x: x[:, 0], 1.0, [0.0, 0.0], [1.0, 1.0], [0.5, 0.0]), "low < inside < high"),
        (lambda: box_floor(lambda x: x[:, 0], 1.0, [0.0, 0.0], [1.0, 1.0], [0.5, 1.0]), "low < inside < high"),
        (lambda: box_floor(lambda x: x[:, 0], 1.0, [0.0], [1.0], [0.5], num_cells=0), "num_cells must be"),
        (lambda: box_floor(lambda x: x[:, 0], 1.0, [0.0] * 3, [1.0] * 3, [0.5] * 3, num_cells=1291), "at most 10"),
        (lambda: box_floor(lambda x: x[:, 0], -1.0, [0.0], [1.0], [0.5]), "lipschitz must be"),
        (lambda: box_floor(lambda x: np.where(x[:, 0] == 0, np.nan, 1.0), 1.0, [0.0], [1.0], [0.5]), "finite"),
        (lambda: box_floor(lambda x: x[:, 0] * np.nan, 1.0, [0.0], [1.0], [0.5]), "finite"),
        (lambda: box_floor(lambda x: x[:, 0], 1.0, [0.0] * 5, [1.0] * 5, [0.5] * 5), "num_cells must give"),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
