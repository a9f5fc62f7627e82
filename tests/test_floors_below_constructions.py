"""No construction comes below a floor that speaks about it, and floors are monotone in their arguments."""

import importlib
import pkgutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import widththeory.constructions
from widththeory.bounds.affine_pieces import max_affine_pieces, sawtooth_floor, square_floor
from widththeory.bounds.free_knot import network_floor
from widththeory.bounds.level_set import box_floor
from widththeory.bounds.tabulated import Tabulated
from widththeory.exact.one_dim import PiecewiseLinear, Polynomial, piecewise
from widththeory.network import Network

NORMS = ["sup", "l2", "l1"]
NUM_CELLS = 96  # a floor from counting pieces says nothing about networks that may have more of them
EXAMPLES = [
    pytest.param(example, id=f"{info.name}-{type(example).__name__}-{index}")
    for info in pkgutil.iter_modules(widththeory.constructions.__path__)
    for index, example in enumerate(
        getattr(importlib.import_module(f"widththeory.constructions.{info.name}"), "EXAMPLES", ())
    )
    if hasattr(example, "network")
]
FEW_PIECES = [
    param
    for param in EXAMPLES
    if len(param.values[0].size().widths) < 10 and max_affine_pieces(param.values[0].size().widths) <= NUM_CELLS
]
NARROW = [
    param
    for param in EXAMPLES
    if type(param.values[0]).__name__ == "DistanceMap"
    and max(param.values[0].size().widths) <= param.values[0].input_dim
]
widths_lists = st.lists(st.integers(1, 6), min_size=1, max_size=3)


def on_a_line(example, seed):
    """Network and target on a segment through the law, as functions of one variable; the target interpolated."""
    start, end = example.sample(2, np.random.default_rng(seed))
    (weight, bias), *rest = example.network().float64().layers
    network = Network([(weight @ (end - start)[:, None], weight @ start + bias), *rest])
    knots = np.linspace(0.0, 1.0, 193)
    return network, Tabulated(knots, example.target(start + knots[:, None] * (end - start)))


def test_there_is_something_to_compare():
    assert len(FEW_PIECES) >= 15
    assert len({type(param.values[0]) for param in FEW_PIECES}) >= 10
    assert len(NARROW) >= 2


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("example", FEW_PIECES)
def test_networks_on_lines_are_above_the_floor_of_their_pieces(example, norm):
    """The floor holds for any function, so for the interpolant too, from which the distance is exact."""
    for seed in range(2):
        network, function = on_a_line(example, seed)
        floor = network_floor(function, network.size.widths, norm, num_cells=NUM_CELLS)
        target = PiecewiseLinear(function.knots, function.values)
        distance = getattr(piecewise(network, 0.0, 1.0, "float").distance(target), norm)
        # networks that equal their target are at zero up to rounding of their values
        assert floor.lower <= distance + 1e-9 * (1 + np.abs(function.values).max())


@pytest.mark.parametrize("norm", NORMS)
def test_some_of_these_floors_are_a_good_part_of_the_distance(norm):
    shares = []
    for param in FEW_PIECES:
        network, function = on_a_line(param.values[0], 0)
        floor = network_floor(function, network.size.widths, norm, num_cells=NUM_CELLS).lower
        if floor > 0:
            target = PiecewiseLinear(function.knots, function.values)
            shares.append(floor / getattr(piecewise(network, 0.0, 1.0, "float").distance(target), norm))
    assert len(shares) >= 5
    assert max(shares) > 0.25


@pytest.mark.parametrize("example", [p for p in EXAMPLES if type(p.values[0]).__name__ in ("Square", "FoldedSquare")])
def test_squares_are_above_their_floor(example):
    network, guarantee = example.network(), example.error()
    distance = piecewise(network, 0, 1).distance(Polynomial((0.0, 0.0, 1.0)))
    for norm in NORMS:
        floor = square_floor(network.size.widths, norm)
        assert 0 < floor.lower <= getattr(distance, norm) * (1 + 1e-12) + 1e-16  # rounding of values of order 1
    assert square_floor(network.size.widths, guarantee.norm).lower <= guarantee.bound * (1 + 1e-12)


@pytest.mark.parametrize("example", NARROW)
def test_narrow_networks_pay_in_sup_norm_for_extrema_inside(example):
    """The target is 0 at random points and grows with the distance from them: boxes around those inside have a gap."""
    best, boundary = 0.0, []
    for centre in example.centres()[0]:
        reach = min(centre.min(), 1 - centre.max())
        for size in [share * reach for share in (0.3, 0.6, 0.9, 1.0) if reach > 0]:
            low, high = centre - size, centre + size
            floor = box_floor(example.target, 1.0, low.tolist(), high.tolist(), centre.tolist(), num_cells=50)
            best = max(best, floor.lower)
            faces = np.tile(low + (high - low) * np.random.default_rng(0).random((4000, example.input_dim)), (2, 1))
            for axis in range(example.input_dim):
                moved = faces.copy()
                moved[:4000, axis], moved[4000:, axis] = low[axis], high[axis]
                boundary.append(moved)
            boundary.append(centre[None])
    assert best > 0.03
    points = np.concatenate(boundary)
    gaps = np.abs(example.network().float64()(points)[:, 0] - example.target(points))
    # the same statement on these points: 4000 a face miss an extreme of the network by little
    assert gaps.max() >= best
    points = example.sample(4000, np.random.default_rng(1))
    gaps = np.abs(example.network().float64()(points)[:, 0] - example.target(points))
    assert np.sqrt(np.mean(gaps**2)) <= example.error().bound  # close in L2 all the same


# --- monotone in the arguments ----------------------------------------------------------------------------------------


@given(st.integers(1, 30), widths_lists, st.integers(0, 2), st.sampled_from(NORMS))
def test_sawtooth_floor_is_monotone(num_folds, widths, index, norm):
    floor = sawtooth_floor(num_folds, widths, norm)
    wider = [width + (place == index) for place, width in enumerate(widths)]
    assert sawtooth_floor(num_folds, wider, norm).lower <= floor.upper
    assert sawtooth_floor(num_folds, [*widths, 1], norm).lower <= floor.upper
    assert sawtooth_floor(num_folds + 1, widths, norm).upper >= floor.lower >= 0


@given(widths_lists, st.integers(0, 2), st.sampled_from(NORMS))
def test_square_floor_is_monotone(widths, index, norm):
    floor = square_floor(widths, norm)
    wider = [width + (place == index) for place, width in enumerate(widths)]
    assert 0 < square_floor(wider, norm).lower <= floor.upper
    assert square_floor([*widths, 1], norm).lower <= floor.upper


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 3), min_size=1, max_size=2), st.sampled_from(NORMS))
def test_network_floor_is_monotone(seed, widths, norm):
    rng = np.random.default_rng(seed)
    function = Tabulated(np.linspace(0, 1, 33), rng.standard_normal(33))
    floor = network_floor(function, widths, norm, num_cells=64)
    assert network_floor(function, [*widths, 1], norm, num_cells=64).lower <= floor.upper
    assert network_floor(function, [widths[0] + 1, *widths[1:]], norm, num_cells=64).lower <= floor.upper
    scaled = network_floor(Tabulated(function.knots, 2 * function.values), widths, norm, num_cells=64)
    assert scaled.upper >= floor.lower >= 0
