"""Bump networks of width n + 4 against their formula, their integrals, and the error account of the grid."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from widththeory.constructions.narrow_targets import NAMES, NarrowTarget
from widththeory.constructions.trapezoid_approximation import (
    TrapezoidApproximation,
    depth_for_error,
    grid_error,
    half_overlap_mass,
    trapezoid_grid,
)
from widththeory.constructions.trapezoid_blocks import (
    VARIANTS,
    TrapezoidBlocks,
    bump_integral,
    exact_bump_integral,
    num_layers_per_box,
)

DIMS = range(1, 7)


def random_blocks(dim, variant, num_boxes=5, seed=0):
    """Boxes that overlap each other, with dyadic corners and coefficients of both signs."""
    rng = np.random.default_rng(seed)
    lower = rng.integers(-64, 0, size=(num_boxes, dim)) / 64
    upper = rng.integers(32, 64, size=(num_boxes, dim)) / 64
    coefficients = rng.integers(-32, 33, size=num_boxes) / 16
    corners = (tuple(map(tuple, lower.tolist())), tuple(map(tuple, upper.tolist())))
    return TrapezoidBlocks(*corners, tuple(coefficients.tolist()), margin=3 / 16, variant=variant)


def rational_formula(blocks, point):
    """The sum of bumps as the docstring states it, in rationals."""
    margin = Fraction(blocks.margin)
    shift = margin / 2 if blocks.variant == "half-overlap" else 0
    total = Fraction(0)
    for low, high, coefficient in zip(blocks.lower, blocks.upper, blocks.coefficients, strict=True):
        level = Fraction(1)
        for x, a, b in zip(map(Fraction, point), map(Fraction, low), map(Fraction, high), strict=True):
            level -= max((x - (b + shift) + margin) / margin, 0) + max(((a - shift) + margin - x) / margin, 0)
        total += Fraction(coefficient) * max(level, 0)
    return total


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dim", DIMS)
def test_network_equals_formula(dim, variant):
    blocks = random_blocks(dim, variant)
    rng = np.random.default_rng(1)
    # Half of the points near the middle, so that bumps are seen in six dimensions; some far outside all boxes.
    points = np.concatenate([blocks.sample(2000, rng), blocks.sample(2000, rng) / 2, 8 * blocks.sample(500, rng)])
    values = blocks.target(points)
    assert np.count_nonzero(values) > 1000
    # Numbers of size 1 divided by the margin 3/16, some ten roundings: well under 1e-13.
    np.testing.assert_allclose(blocks.network()(points)[:, 0], values, rtol=0, atol=1e-13)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dim", DIMS)
def test_exact_network_equals_rational_formula(dim, variant):
    blocks = random_blocks(dim, variant)
    network = blocks.network(exact=True)
    assert network.is_rational
    rng = np.random.default_rng(2)
    near = rng.integers(-30, 40, size=(25, dim)) / 48  # thirds: not on the dyadic grid of the boxes
    points = [*near.tolist(), *np.asarray(blocks.upper).tolist(), *np.full((1, dim), -9.0).tolist()]
    expected = [rational_formula(blocks, point) for point in points]
    assert sum(value != 0 for value in expected) >= 5
    assert network.exact(points)[:, 0].tolist() == expected


@pytest.mark.parametrize("dim", DIMS)
def test_size(dim):
    blocks = random_blocks(dim, "inner", num_boxes=3)
    size = blocks.network().size
    assert size == blocks.size()
    assert size.widths == (dim + 4,) * (3 * (2 * dim + 1))
    assert num_layers_per_box(dim) == 2 * dim + 1


def test_bump_is_one_inside_and_zero_outside():
    blocks = TrapezoidBlocks(((0.0, 1.0),), ((1.0, 3.0),), (1.0,), margin=0.25)
    inside = [[0.25, 1.25], [0.75, 2.75], [0.5, 2.0]]
    outside = [[0.0, 2.0], [1.0, 2.0], [0.5, 1.0], [0.5, 3.0], [-1.0, -1.0]]
    network = blocks.network()  # dyadic numbers: no rounding
    np.testing.assert_array_equal(network(np.array(inside)), 1)
    np.testing.assert_array_equal(network(np.array(outside)), 0)
    np.testing.assert_array_equal(network(np.array([[0.125, 2.0]])), 0.5)


@pytest.mark.parametrize("dim", DIMS)
def test_bump_integral_equals_sum_over_subsets(dim):
    sides = [Fraction(number, 7) for number in (5, 9, 4, 6, 11, 8)[:dim]]
    margin = Fraction(1, 5)
    total = Fraction(0)
    for size in range(dim + 1):
        for ramps in itertools.combinations(range(dim), size):
            flat = math.prod(sides[axis] - 2 * margin for axis in range(dim) if axis not in ramps)
            total += flat * (2 * margin) ** size / math.factorial(size + 1)
    assert exact_bump_integral(tuple(sides), margin) == total
    certified = bump_integral(tuple(sides), margin)
    assert abs(Fraction(certified.value) - total) <= Fraction(certified.error)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_bump_integral_equals_quadrature(dim):
    sides, margin = (1.0, 0.75, 1.25)[:dim], 0.25
    blocks = TrapezoidBlocks(((0.0,) * dim,), (sides,), (1.0,), margin=margin)
    step = 1 / 64
    axes = [np.arange(0, side, step) + step / 2 for side in sides]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, dim)
    # The midpoint rule is exact where the bump is affine on a cell; elsewhere it errs by at most the variation over
    # half a cell, n step / (2 margin), and kinks that cross cells fill a thin part of the box: 1 % is ample.
    np.testing.assert_allclose(
        blocks.target(points).sum() * step**dim, blocks.integral().value, rtol=0.01 if dim > 1 else 1e-14
    )


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dim", [2, 4, 6])
def test_integral_agrees_with_monte_carlo(dim, variant):
    blocks = random_blocks(dim, variant)
    values = blocks.target(blocks.sample(100_000, np.random.default_rng(3)))
    volume = (2 * blocks.reach) ** dim
    deviation = values.std() / math.sqrt(len(values))
    assert abs(values.mean() - blocks.integral().value / volume) <= 4 * deviation  # four standard errors, seed fixed


def test_margin_loss_is_attained_by_disjoint_boxes():
    blocks = TrapezoidBlocks(((-1.0,), (0.0,)), ((0.0,), (1.0,)), (2.0, -3.0), margin=0.125)
    # |f_M - F| is 2 and 3 times two triangles of base 1/8 and height 1: (2 + 3) / 8.
    assert blocks.margin_loss().value == 5 / 8
    with pytest.raises(ValueError, match="inner"):
        TrapezoidBlocks(((0.0,),), ((1.0,),), (1.0,), 0.125, "half-overlap").margin_loss()


def waves(points):
    return np.sin(2.5 * points[:, 0]) * np.cos(1.5 * points[:, -1]) + 0.3 * points[:, 0]


def midpoints(dim, num_cells):
    axis = (np.arange(num_cells) + 0.5) * 2 / num_cells - 1
    return np.stack(np.meshgrid(*[axis] * dim, indexing="ij"), axis=-1).reshape(-1, dim)


# Distance over [-1, 1]^n from `waves`, at margin 0.05 of a cell: to the two sums of bumps and to the step function of
# the values at the cells' centres. The numbers were estimated by sampling beforehand, with other code; for "inner",
# whose error sits on a tenth of the volume, the estimate is good to a few per cent only.
SAMPLED = [(1, 128, 25_600, (0.0654, 0.0100, 0.0104)), (2, 16, 640, (0.3825, 0.1690, 0.1739))]


@pytest.mark.parametrize(("dim", "cells", "resolution", "sampled"), SAMPLED)
def test_half_overlap_removes_the_margin_term(dim, cells, resolution, sampled):
    points = midpoints(dim, resolution)
    values = waves(points)
    inner, overlap = (
        2**dim * np.abs(trapezoid_grid(waves, dim, cells, 0.05, variant).target(points) - values).mean()
        for variant in VARIANTS
    )
    centres = (np.floor((points + 1) * cells / 2) + 0.5) * 2 / cells - 1
    steps = 2**dim * np.abs(waves(centres) - values).mean()
    np.testing.assert_allclose((inner, overlap, steps), sampled, rtol=0.03)
    assert overlap < steps < inner / 2  # the margin costs nothing, where inside the boxes it costs most
    size = trapezoid_grid(waves, dim, cells, 0.05).size()
    assert size.depth == {1: 384, 2: 1280}[dim]
    assert size.width == dim + 4


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("ratio", [0.125, 0.5, 1.0])
def test_half_overlap_mass(dim, ratio):
    blocks = trapezoid_grid(lambda points: np.ones(len(points)), dim, 3, ratio)
    # Midpoints of 48 cells a side: the kinks of a bump lie on cell edges in one dimension, so the rule is exact there;
    # above, the cells that a diagonal kink crosses err by a fraction of a step over the ramp.
    points = midpoints(dim, 48)
    total = blocks.target(points)
    assert total.max() <= 1 + 1e-14  # so that 1 - sum is a defect; roundoff of a few units
    expected = float(half_overlap_mass(dim, 3, ratio))
    np.testing.assert_allclose(total.mean() * 2**dim, expected, rtol=1e-13 if dim == 1 else 0.02)


def test_half_overlap_defect_is_a_boundary_term_to_first_order():
    for dim in (1, 2, 3):
        margin = Fraction(1, 2**20)
        defect = 2**dim - half_overlap_mass(dim, 4, float(2 * margin))  # cells of side 1/2
        first_order = Fraction(dim * 2**dim, 8) * margin
        assert abs(defect / first_order - 1) < 64 * margin


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", NAMES)
def test_grid_error_bounds_the_measured_error(name, variant):
    approximation = TrapezoidApproximation(name, 2, 8, 0.05, variant)
    points = midpoints(2, 320)
    measured = np.abs(
        trapezoid_grid(approximation.target, 2, 8, 0.05, variant).target(points) - approximation.target(points)
    )
    bound = approximation.error().bound
    assert measured.mean() <= bound
    # L is attained in few places only, but the account must not be idle: within a factor ten.
    assert bound <= 10 * measured.mean()


def test_grid_error_is_sharp_where_the_slope_is_everywhere_that_of_the_bound():
    """|x| on the line: a cell of side l costs l / 4 in the mean, l / sqrt(12) is the bound; margins are 1 % of it."""
    approximation = TrapezoidApproximation("norm", 1, 64, 0.01)
    points = midpoints(1, 64 * 200)
    measured = np.abs(approximation.network()(points)[:, 0] - approximation.target(points)).mean()
    assert measured <= approximation.error().bound <= 1.05 * np.sqrt(16 / 12) * measured


def test_grid_error_falls_with_the_grid_only_if_the_margin_does():
    coarse, fine = (grid_error(2.0, 1.0, 2, cells, 0.05, "inner").value for cells in (64, 4096))
    shrunk = grid_error(2.0, 1.0, 2, 4096, 0.05 / 64, "inner").value
    overlap = grid_error(2.0, 1.0, 2, 4096, 0.05, "half-overlap").value
    assert fine > coarse / 2
    assert shrunk < coarse / 32
    assert overlap < fine / 10


def test_depth_for_error():
    assert depth_for_error(1.0, 1, 0.5) == 3 * 4
    assert depth_for_error(1.4, 2, 1.0) == 5 * 8**2  # 4 * 1.4 * sqrt(2) = 7.92
    # The grid that it counts keeps the paper's bound on a step function.
    cells = round((depth_for_error(1.0, 3, 0.25) / 7) ** (1 / 3))
    assert 8 * math.sqrt(3) / cells <= 0.25 < 8 * math.sqrt(3) / (cells - 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dim", [1, 2, 4])
def test_narrow_targets_state_their_lipschitz_constant_and_maximum(name, dim):
    target = NarrowTarget(name, dim)
    rng = np.random.default_rng(4)
    corners = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=dim)))
    points = np.concatenate([target.sample(4000, rng), corners])
    assert np.abs(target.target(points)).max() == pytest.approx(target.largest, rel=1e-14)  # attained at a corner
    # Towards the middle from each point, so that the constant of the corners is seen.
    moved = points * (1 - 1e-6)
    distance = np.linalg.norm(moved - points, axis=1)
    away = distance > 0
    slopes = np.abs(target.target(moved) - target.target(points))[away] / distance[away]
    assert slopes.max() <= target.lipschitz * (1 + 1e-9)  # difference quotients lose nine digits at steps of 1e-6
    assert slopes.max() >= 0.3 * target.lipschitz


def test_narrow_targets_by_hand():
    point = np.array([[0.5, -1.0]])
    expected = {
        "sum_of_squares": 1.25,
        "product": -0.5,
        "norm": math.sqrt(1.25),
        "product_of_cosines": 0.0,
        "maximum": 0.5,
    }
    assert set(expected) == set(NAMES)
    for name, value in expected.items():
        assert NarrowTarget(name, 2).target(point)[0] == pytest.approx(value, abs=1e-15)  # cos(pi / 2) is 6e-17


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"lower": ()}, "at least one box"),
        ({"coefficients": (1.0, 2.0)}, "one entry for each"),
        ({"upper": ((1.0, 1.0),)}, "dimension"),
        ({"upper": ((0.0,),)}, "upper must exceed lower"),
        ({"upper": ((math.inf,),)}, "finite"),
        ({"margin": 0.0}, "margin"),
        ({"margin": 0.51}, "at most 0.5"),
        ({"variant": "outer"}, "outer"),
    ],
)
def test_bad_boxes_are_refused(arguments, word):
    good = {"lower": ((0.0,),), "upper": ((1.0,),), "coefficients": (1.0,), "margin": 0.25}
    with pytest.raises(ValueError, match=word):
        TrapezoidBlocks(**{**good, **arguments})


def test_every_side_of_every_box_must_have_room_for_the_margin():
    wide, narrow, empty = ((1.0, 1.0), (1.0, 0.25), (1.0, 0.0))
    for upper, word in (((wide, narrow), "at most 0.125"), ((wide, empty), "upper must exceed lower")):
        with pytest.raises(ValueError, match=word):
            TrapezoidBlocks(((0.0, 0.0), (0.0, 0.0)), upper, (1.0, 1.0), margin=0.2)


def test_bad_grids_are_refused():
    with pytest.raises(ValueError, match="cells_per_side"):
        TrapezoidApproximation("norm", 2, 0)
    with pytest.raises(ValueError, match="margin_ratio"):
        TrapezoidApproximation("norm", 2, 4, 0.75, "inner")
    with pytest.raises(ValueError, match="nobody"):
        TrapezoidApproximation("nobody", 2, 4)
    with pytest.raises(ValueError, match="variant"):
        TrapezoidApproximation("norm", 2, 4, 0.1, "outer")
    with pytest.raises(ValueError, match="margin"):
        exact_bump_integral((1,), 1)
    for lipschitz, error in ((1.0, 0.0), (0.0, 1.0)):
        with pytest.raises(ValueError, match="l1_error"):
            depth_for_error(lipschitz, 1, error)


def test_spread_of_overlapping_bumps_by_hand():
    # n = 1, M = 2: sides of 1, widened by half a side; nothing is lost where the target is bounded by 0
    assert grid_error(1.0, 0.0, 1, 2, 0.5, "half-overlap").value == pytest.approx(2 * 1.5 / 12**0.5, rel=1e-14)
    assert grid_error(1.0, 0.0, 1, 2, 0.5, "inner").value == pytest.approx(2 * 1.0 / 12**0.5, rel=1e-14)
