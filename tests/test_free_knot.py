"""Best piecewise-affine approximation: closed forms, brute force, and networks that stay above the floor."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widththeory.bounds.affine_pieces import max_affine_pieces, sawtooth_floor, square_floor
from widththeory.bounds.free_knot import free_knot_enclosures, free_knot_floor, network_floor
from widththeory.bounds.rigorous_free_knot import free_knot_enclosure
from widththeory.bounds.tabulated import Tabulated, tabulate
from widththeory.constructions.telgarsky import Sawtooth
from widththeory.exact.one_dim import piecewise
from widththeory.network import Network

NORMS = ["l2", "l1", "sup"]
SQUARE = tabulate(np.square, 0.0, 1.0, curvature=2.0)


def triangle_wave(num_folds):
    pieces = 2**num_folds
    return Tabulated(np.arange(pieces + 1) / pieces, (np.arange(pieces + 1) % 2).astype(float))


def l2_squared_by_least_squares(function, breaks):
    """Squared L2 error of the best fit on a partition, by Gauss points and a least-squares solver."""
    total = 0.0
    nodes, weights = np.polynomial.legendre.leggauss(2)  # exact for squares of affine functions
    for a, b in zip(breaks, breaks[1:], strict=False):
        inner = function.knots[(function.knots > a) & (function.knots < b)]
        edges = np.concatenate([[a], inner, [b]])
        half = np.diff(edges)[:, None] / 2
        x = (edges[:-1, None] + half * (1 + nodes)).ravel()
        root = np.sqrt((half * weights).ravel())
        y = np.interp(x, function.knots, function.values)
        columns = np.stack([root, root * x], axis=1)
        solution, *_ = np.linalg.lstsq(columns, root * y, rcond=None)
        total += float(np.sum((columns @ solution - root * y) ** 2))
    return total


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("num_pieces", [1, 2, 7])
def test_square_encloses_the_closed_form(norm, num_pieces):
    exact = square_floor((num_pieces - 1,) if num_pieces > 1 else (), norm).value
    floor = free_knot_floor(SQUARE, num_pieces, norm, num_cells=256)
    assert floor.lower <= exact <= floor.upper
    assert floor.lower >= 0.9 * exact  # the enclosure is worth having: 5 P / (2 M) before refinement is 7 % at 7
    all_counts = free_knot_enclosures(SQUARE, 7, norm, num_cells=256)
    assert all_counts.lower[num_pieces - 1] <= exact <= all_counts.upper[num_pieces - 1]


def test_refinement_narrows_the_enclosure():
    plain = free_knot_enclosures(SQUARE, 4, num_cells=512)
    refined = free_knot_floor(SQUARE, 4, num_cells=512)
    assert refined.upper - refined.lower < 0.2 * (plain.upper[3] - plain.lower[3])


@pytest.mark.parametrize("norm", NORMS)
def test_enclosures_fall_with_the_number_of_pieces(norm):
    rng = np.random.default_rng(3)
    function = Tabulated(np.sort(rng.random(40)), rng.standard_normal(40))
    lower, upper = free_knot_enclosures(function, 40, norm, num_cells=120)
    assert np.all(np.diff(lower) <= 0)
    assert np.all(lower <= upper)
    if norm != "l1":  # in L1 the upper end is that of one good partition, not of the best
        assert np.all(np.diff(upper) <= 0)
    assert upper[38] == pytest.approx(0.0, abs=1e-5)  # as many pieces as the function has (roots of rounding in L2)


def test_sawtooth_values():
    """h^4 with P = 8: 0.0401 was found on a grid before; P = 1 is the variance 1/12; P = 16 is the function itself."""
    wave = triangle_wave(4)
    assert free_knot_floor(wave, 1, num_cells=64).value ** 2 == pytest.approx(1 / 12, rel=1e-10)
    eight = free_knot_floor(wave, 8, num_cells=512)
    assert eight.lower**2 <= 0.0401 + 5e-5
    assert eight.upper**2 >= 0.0401 - 5e-5
    assert eight.upper**2 < 0.0405
    four = free_knot_floor(wave, 4, num_cells=512)
    assert four.value**2 == pytest.approx(0.06397, abs=5e-5)
    assert free_knot_floor(wave, 16, num_cells=128).upper < 1e-6  # the square root of rounding
    assert free_knot_floor(wave, 15, "sup", num_cells=128).lower == pytest.approx(0.25, rel=1e-9)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("num_pieces", [1, 2, 4, 7, 8, 9])
def test_sawtooth_formula_is_below_the_enclosure(norm, num_pieces):
    formula = sawtooth_floor(4, (num_pieces - 1,) if num_pieces > 1 else (), norm)
    assert formula.lower <= free_knot_floor(triangle_wave(4), num_pieces, norm, num_cells=64).upper


def test_two_and_three_pieces_by_brute_force():
    rng = np.random.default_rng(0)
    for seed_values in rng.standard_normal((4, 7)):
        function = Tabulated(np.linspace(0.0, 1.0, 7), seed_values)
        grid = np.linspace(0.0, 1.0, 61)
        two = min(l2_squared_by_least_squares(function, [0.0, t, 1.0]) for t in grid[1:-1])
        floor = free_knot_floor(function, 2, num_cells=256)
        assert floor.lower**2 <= two * (1 + 1e-9)
        # the grid's best breakpoint is within 1/120 of the optimum: second order, a few 1e-3 of the variance
        assert two - floor.upper**2 <= 5e-3 * float(np.var(seed_values))
        coarse = grid[::3]
        three = min(
            l2_squared_by_least_squares(function, [0.0, s, t, 1.0])
            for i, s in enumerate(coarse[1:-1], 1)
            for t in coarse[i + 1 : -1]
        )
        assert free_knot_floor(function, 3, num_cells=256).lower ** 2 <= three * (1 + 1e-9)


@pytest.mark.parametrize("norm", NORMS)
def test_rounding_proves_nothing(norm):
    """With as many pieces as the function has the distance is 0, and what is left of the costs is rounding."""
    rng = np.random.default_rng(2)
    for _ in range(4):
        function = Tabulated(np.sort(rng.random(8)), 1e3 + rng.standard_normal(8))
        assert free_knot_floor(function, 7, norm, num_cells=32).lower <= 0
        assert np.all(free_knot_enclosures(function, 8, norm, num_cells=32).lower[6:] <= 0)


@pytest.mark.parametrize(("norm", "measure"), [("l2", 2.0), ("l1", 4.0), ("sup", 1.0)])
def test_what_the_table_misses_moves_both_ends(norm, measure):
    """A function 0.01 above the table here and 0.01 below there is as far as that, on an interval of length 4."""
    knots, values = np.array([0.0, 1.0, 2.5, 4.0]), np.array([0.0, 1.0, -1.0, 2.0])
    plain = free_knot_floor(Tabulated(knots, values), 2, norm, num_cells=64)
    wide = free_knot_floor(Tabulated(knots, values, 0.01), 2, norm, num_cells=64)
    assert wide.lower == pytest.approx(plain.lower - 0.01 * measure, rel=1e-9)
    assert wide.upper == pytest.approx(plain.upper + 0.01 * measure, rel=1e-9)
    # spikes at the knots: their table is a zigzag, four times as far from affine functions as they are
    spikes = lambda x: np.maximum(0.0, 1 - 40 * np.abs(x - np.rint(x))) * (-1) ** np.rint(x)  # noqa: E731
    table = tabulate(spikes, 0.0, 4.0, lipschitz=40.0, num_knots=5)
    norms = {"l2": np.sqrt(4 / 60), "l1": 0.1, "sup": 1.0}  # of the spikes, four and no more
    assert free_knot_floor(table, 1, norm, num_cells=32).lower <= norms[norm]


def test_jump_costs_one_piece():
    step = Tabulated(np.array([0.0, 0.3, 0.3, 1.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    assert free_knot_floor(step, 2, num_cells=64).upper < 1e-6  # the square root of rounding
    # variance of a step, less what the line explains: v = pq, slope moment pq/2, 12 (pq/2)^2
    exact = np.sqrt(0.21 - 12 * 0.105**2)
    assert free_knot_floor(step, 1, num_cells=64).value == pytest.approx(exact, rel=1e-9)


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_adding_a_line_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    knots, values = np.linspace(-1.0, 2.0, 12), rng.standard_normal(12)
    plain = free_knot_floor(Tabulated(knots, values), 3, num_cells=64, tolerance=1.0)
    tilted = free_knot_floor(Tabulated(knots, values + 2 * knots - 1), 3, num_cells=64, tolerance=1.0)
    assert plain.value == pytest.approx(tilted.value, rel=1e-9, abs=1e-6)  # abs: the square root of rounding


@pytest.mark.parametrize("norm", NORMS)
def test_no_network_lies_below_its_floor(norm):
    target = piecewise(Sawtooth(4).network(), 0.0, 1.0)
    function = Tabulated(target.knots, target.values)
    rng = np.random.default_rng(1)
    # a constant, one layer that follows the first teeth, sawtooths of fewer folds, random ones
    networks = [Network([(np.zeros((1, 1)), np.zeros(1)), (np.zeros((1, 1)), np.full(1, 0.5))])]
    for units in (2, 4, 6):
        slopes = 16.0 * np.concatenate([[1.0], np.tile([-2.0, 2.0], units)[: units - 1]])
        networks.append(Network([(np.ones((units, 1)), -np.arange(units) / 16), (slopes[None], np.zeros(1))]))
    networks += [Sawtooth(folds).network() for folds in (1, 2, 3)]
    for widths in ((2,), (5,), (3, 2)):
        sizes = [1, *widths, 1]
        maps = [(rng.standard_normal((o, i)), rng.standard_normal(o)) for i, o in zip(sizes, sizes[1:], strict=False)]
        networks.append(Network(maps))
    shares = []
    for network in networks:
        floor = network_floor(function, network.size.widths, norm, num_cells=64)
        distance = getattr(piecewise(network, 0.0, 1.0).distance(target), norm)
        assert distance >= floor.lower
        if max_affine_pieces(network.size.widths) < target.num_pieces:
            assert floor.lower > 0
            shares.append(floor.lower / distance)
    assert len(shares) >= 6
    assert max(shares) > 0.75  # the constant is nearly the best there is: a floor a third larger would fail
    if norm == "sup":
        assert max(shares) > 0.99
    exact = network_floor(function, Sawtooth(4).size().widths, norm, num_cells=64)
    assert exact.lower <= 0  # the network that is the target


def test_interpolants_of_networks_with_enough_units_touch_the_floor():
    """One hidden layer of 15 units interpolates the wave of 16 pieces: the floor there is zero, and not before."""
    wave = triangle_wave(4)
    assert max_affine_pieces((15,)) == 16
    assert network_floor(wave, (15,), num_cells=128).upper < 1e-6
    assert network_floor(wave, (14,), num_cells=128).lower > 0.05
    assert network_floor(wave, (500, 500), num_cells=128).lower <= 0.0


def test_tabulated_error_is_proven():
    for options in ({"curvature": 9.0}, {"lipschitz": 3.0}, {"curvature": 9.0, "lipschitz": 3.0}):
        table = tabulate(lambda x: np.sin(3 * x), -1.0, 2.0, num_knots=301, **options)
        points = np.linspace(-1.0, 2.0, 50_001)
        gap = np.max(np.abs(np.sin(3 * points) - np.interp(points, table.knots, table.values)))
        assert gap <= table.sup_error
    assert table.sup_error < 2 * gap  # the curvature bound is sharp


def test_a_bound_that_is_infinite_says_no_more_than_the_other():
    """|x| has no curvature, but it has a slope."""
    corner = tabulate(np.abs, -1.0, 2.0, lipschitz=1.0, curvature=np.inf, num_knots=31)
    assert corner.sup_error == tabulate(np.abs, -1.0, 2.0, lipschitz=1.0, num_knots=31).sup_error < 0.051
    steep = tabulate(np.square, 0.0, 1.0, lipschitz=np.inf, curvature=2.0, num_knots=31)
    assert steep.sup_error == tabulate(np.square, 0.0, 1.0, curvature=2.0, num_knots=31).sup_error


def exact_distance_to_affine(function):
    """L2 distance to affine functions, squared, in rational arithmetic from the moments 1, x, f of the knots stored."""
    knots, values = ([Fraction(float(number)) for number in part] for part in (function.knots, function.values))
    pieces = list(zip(knots, knots[1:], values, values[1:], strict=False))
    length = knots[-1] - knots[0]
    mean = sum((b - a) * (u + v) / 2 for a, b, u, v in pieces) / length
    centre = (knots[0] + knots[-1]) / 2
    cross = sum(
        (b - a) * (2 * p * u + p * v + q * u + 2 * q * v) / 6
        for a, b, u, v in pieces
        for p, q in [(a - centre, b - centre)]
    )
    square = sum((b - a) * (u * u + u * v + v * v) / 3 for a, b, u, v in pieces) - length * mean * mean
    return float(square - 12 * cross * cross / length**3)


@pytest.mark.parametrize("height", [0.0, 1e6, -1e12])
@pytest.mark.parametrize("place", [0.0, 1e6, -1e10])
def test_far_from_the_origin_nothing_is_lost(height, place):
    rng = np.random.default_rng(5)
    function = Tabulated(
        place + np.sort(np.append(rng.integers(1, 1024, 20), [0, 1024])) / 1024, height + rng.standard_normal(22)
    )
    exact = np.sqrt(exact_distance_to_affine(function))
    for found in (free_knot_floor(function, 1, num_cells=64), free_knot_floor(function, 1, num_cells=8)):
        assert found.lower <= exact <= found.upper
        assert found.error < 1e-10 * exact  # rounding of 64 cells, whatever the offsets
    # the distance in the other norms does not depend on where the graph lies, up to the rounding of its values
    for norm in ("l1", "sup"):
        moved = free_knot_floor(function, 3, norm, num_cells=64)
        values = function.values - height  # exact or rounded to the spacing of `height`
        plain = free_knot_floor(Tabulated(function.knots - place, values), 3, norm, num_cells=64)
        assert moved.value == pytest.approx(plain.value, abs=4 * np.spacing(abs(height)) + 1e-9)


def test_short_cells_far_from_zero_keep_their_moments():
    """A spike of width 1e-10: lower ends were above upper ones when middles of cells were subtracted."""
    knots = [0.3276494542001177, 0.32764945421092256, 0.3276494550332589, 0.32764945505644333]
    knots = np.array([*knots, 0.943006272690257, 0.9689264863063872])
    values = np.array(
        [30132943.73721135, -0.0034564729358860327, -1.245181210221133, 1.6331647549194066, 6e-07, 1971.3]
    )
    floor = free_knot_floor(Tabulated(knots, values), 3, num_cells=64)
    exact = free_knot_enclosure(knots.tolist(), values.tolist(), 3, num_cells=16)
    assert Fraction(max(0.0, floor.lower)) ** 2 <= exact.upper
    assert exact.lower <= Fraction(floor.upper) ** 2


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("height", [1e-310, 1e-161, 1e200])
@pytest.mark.parametrize("stretch", [1e-140, 1.0, 1e100])
def test_scale_does_not_matter(norm, height, stretch):
    """Squares of values and cubes of lengths would underflow or overflow."""
    knots, values = np.array([0.0, 0.2, 0.5, 0.6, 1.0]), np.array([0.0, 1.0, -1.0, 0.3, 0.2])
    plain = free_knot_floor(Tabulated(knots, values), 2, norm, num_cells=64)
    scaled = free_knot_floor(Tabulated(knots * stretch, values * height), 2, norm, num_cells=64)
    all_counts = free_knot_enclosures(Tabulated(knots * stretch, values * height), 2, norm, num_cells=64)
    size = Fraction(height)
    for _ in range({"l2": 1, "l1": 2, "sup": 0}[norm]):
        size *= Fraction(np.sqrt(stretch))
    # 2e-13: rounding of the scaled numbers; subnormal ones have 13 digits less
    for low, high in ((scaled.lower, scaled.upper), (all_counts.lower[1], all_counts.upper[1])):
        slack = Fraction(2, 10**13) * size + Fraction(1e-322)
        assert Fraction(low) <= Fraction(plain.upper) * size + slack
        assert Fraction(high) >= Fraction(plain.lower) * size - slack
        assert Fraction(low) >= Fraction(0.9 * plain.lower) * size - slack


def test_values_of_a_table_are_rounded():
    """A third is no float, so that even an affine function is not its table."""
    table = tabulate(lambda x: x / 3, 0.0, 1.0, curvature=0.0, num_knots=9)
    gaps = [abs(Fraction(float(v)) - Fraction(float(x)) / 3) for x, v in zip(table.knots, table.values, strict=True)]
    assert 0 < max(gaps) <= Fraction(table.sup_error)


@pytest.mark.parametrize(("low", "num_knots"), [(1e6, 1001), (1e15, 8193), (-3.0, 100)])
def test_tabulated_error_is_that_of_the_knots_there_are(low, num_knots):
    """Knots far from 0 are rounded: beside 1e15 they are an eighth apart, not 10 / 8192."""
    sharp = lambda x: np.abs((x - low) % 0.25 - 0.125)  # noqa: E731
    table = tabulate(sharp, low, low + 10.0, lipschitz=1.0, num_knots=num_knots)
    assert table.sup_error >= 0.5 * np.max(np.diff(table.knots))
    points = np.linspace(low, low + 10.0, 20_001)
    assert np.max(np.abs(sharp(points) - np.interp(points, table.knots, table.values))) <= table.sup_error


def test_bad_input_gets_one_sentence():
    for call, message in [
        (lambda: free_knot_floor(SQUARE, 0), "num_pieces must be"),
        (lambda: free_knot_floor(SQUARE, 1, "l3"), "norm must be"),
        (lambda: free_knot_enclosures(SQUARE, 2, "l3"), "norm must be"),
        (lambda: free_knot_enclosures(SQUARE, 0), "max_pieces must be"),
        (lambda: free_knot_floor(Tabulated(np.array([0.0, 0.5, 0.5, 1.0]), np.zeros(4)), 1, "sup"), "continuous"),
        (lambda: Tabulated(np.array([1.0, 0.0]), np.zeros(2)), "sorted"),
        (lambda: Tabulated(np.array([0.0, 1.0]), np.array([0.0, np.nan])), "finite"),
        (lambda: Tabulated(np.array([0.0, 1.0]), np.zeros(2), -1.0), "sup_error must be"),
        (lambda: tabulate(np.sin, 0.0, 1.0), "lipschitz or curvature"),
        (lambda: tabulate(np.sin, 0.0, 1.0, lipschitz=1.0, curvature=-3.0), "lipschitz or curvature"),
        (lambda: tabulate(np.sin, 0.0, 1.0, lipschitz=np.nan, curvature=1.0), "lipschitz or curvature"),
        (lambda: tabulate(np.sin, 0.0, 1.0, lipschitz=np.inf, curvature=np.inf), "lipschitz or curvature"),
        (lambda: tabulate(np.sin, 0.0, 1.0, curvature=np.inf), "lipschitz or curvature"),
        (lambda: tabulate(np.sin, 1.0, 1.0, lipschitz=1.0), "low < high"),
        (lambda: tabulate(np.log, 0.0, 1.0, lipschitz=1.0), "finite"),
    ]:
        with pytest.raises(ValueError, match=message), np.errstate(divide="ignore"):
            call()
