"""Floors in the plane from floors on lines: closed forms where all lines are alike, random lines against fixed ones."""

import itertools

import numpy as np
import pytest

from widththeory.bounds.sliced_floor import sliced_floor
from widththeory.constructions.telgarsky import Sawtooth
from widththeory.network import Network


def paraboloid(points):
    return points[:, 0] ** 2 + points[:, 1] ** 2


def cosines(points):
    return np.cos(np.pi * points[:, 0]) * np.cos(np.pi * points[:, 1])


@pytest.mark.parametrize("widths", [(1,), (3,), (1, 2)])
def test_paraboloid_by_hand(widths):
    """On every line it is t^2 plus a constant; with t = 2 u - 1 the best P pieces cost 2 * 16 / (180 P^4) a line."""
    pieces = np.prod(np.array(widths) + 1)
    exact = np.sqrt(2 * 2 * 16 / (180 * pieces**4))
    floor = sliced_floor(paraboloid, widths, 2 * np.sqrt(2), curvature=2.0, across=0.0, num_lines=2)
    assert floor.lower <= exact <= floor.upper
    assert floor.error <= 0.05 * exact  # 5 P / (4 num_cells) of the cells, before refinement
    random = sliced_floor(paraboloid, widths, 2 * np.sqrt(2), curvature=2.0, num_lines=4)
    assert random.value == pytest.approx(floor.value, rel=1e-3)  # all lines are alike: no statistical error


def test_random_lines_agree_with_fixed_ones():
    """cos(pi x) cos(pi y): F(y) = |cos(pi y)| F(0), so the integral is F(0)^2."""
    options = {"curvature": np.pi**2, "num_cells": 128}
    line = sliced_floor(cosines, (2,), np.pi, across=0.0, num_lines=1, **options)  # the line y = 0, taken twice as long
    exact = line.value / np.sqrt(2)
    fixed = sliced_floor(cosines, (2,), np.pi, across=np.pi, num_lines=40, **options)
    assert fixed.lower <= exact <= fixed.upper
    assert fixed.lower > 0.5 * exact
    random = [sliced_floor(cosines, (2,), np.pi, num_lines=12, seed=seed, **options) for seed in range(4)]
    assert all(floor.lower <= exact <= floor.upper for floor in random)
    assert np.mean([floor.value for floor in random]) == pytest.approx(exact, rel=0.1)


def bent(points):
    """x^2 (1 - |y|)"""
    return points[:, 0] ** 2 * (1 - np.abs(points[:, 1]))


def test_a_line_between_smaller_ones_is_not_taken_for_all_and_one_between_larger_ones_neither():
    """F(y) = (1 - |y|) F(0) and |y| F(1), seen at y = 0 only; lines differ by (y - y') x^2, which P = 1 measures."""
    of_square = np.sqrt(32 / 180)  # distance of x^2 on [-1, 1] from affine functions; from two pieces a quarter
    exact = np.sqrt(2 / 3) * of_square / 4
    options = {"curvature": 2.0, "across": of_square, "num_lines": 1}
    falls = sliced_floor(bent, (1,), 3.0, **options)
    assert 0 < falls.lower <= exact <= falls.upper
    # by hand: a quarter falls to 0 within a quarter, on both sides
    assert falls.lower == pytest.approx(np.sqrt(2 / 4 / 3) * of_square / 4, rel=0.01)
    assert falls.upper == pytest.approx(np.sqrt(2 * (1 + 4 + 16 / 3)) * of_square / 4, rel=0.01)
    rises = sliced_floor(lambda p: p[:, 0] ** 2 * p[:, 1], (1,), 3.0, **options)
    assert rises.lower <= exact <= rises.upper
    assert rises.upper == pytest.approx(np.sqrt(2 / 3) * of_square, rel=0.01)


def test_random_lines_have_four_standard_errors():
    """F(y) = (1 - |y|) F(0): neighbours' squared differences of F^2 estimate the variance."""
    found = sliced_floor(bent, (1,), 3.0, curvature=2.0, num_lines=6, seed=3)
    heights = -1 + (np.arange(6) + np.random.default_rng(3).random(6)) / 3
    squares = (1 - np.abs(heights)) ** 2 * 2 / 180
    spread = 4 / 3 * np.sqrt(np.sum(np.diff(squares)[::2] ** 2))
    whole = np.sum(squares) / 3
    assert found.lower == pytest.approx(np.sqrt(whole - spread), rel=0.02)
    assert found.upper == pytest.approx(np.sqrt(whole + spread), rel=0.02)


def test_larger_networks_have_lower_floors():
    options = {"curvature": 2.0, "across": 0.0, "num_lines": 2, "num_cells": 96}
    sizes = ((1,), (2,), (3,), (2, 2), (3, 2))
    floors = [sliced_floor(paraboloid, widths, 2 * np.sqrt(2), **options) for widths in sizes]
    for small, large in itertools.pairwise(floors):
        assert large.upper < small.lower  # 2, 3, 4, 9 and 12 pieces, on lines that are all alike
    assert floors[-1].lower > 0


def test_axis_chooses_the_lines():
    def ridge(points):
        return Sawtooth(3).target((points[:, :1] + 1) / 2)

    along = sliced_floor(ridge, (1,), 4.0, across=0.0, num_lines=1, num_cells=128)
    across = sliced_floor(ridge, (1,), 4.0, across=4 * np.sqrt(2), num_lines=2, num_cells=128, axis=1)
    assert along.lower > 0.2
    assert across.lower <= 1e-3  # constant on each line


def test_networks_stay_above():
    grid = (np.arange(200) + 0.5) / 100 - 1
    points = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 2)
    rng = np.random.default_rng(0)
    floor = sliced_floor(paraboloid, (3,), 2 * np.sqrt(2), curvature=2.0, across=0.0, num_lines=1)
    for _ in range(10):
        first, bias = rng.standard_normal((3, 2)), rng.standard_normal(3)
        hidden = Network([(first, bias), (np.eye(3), np.zeros(3))])(points)
        columns = np.column_stack([hidden, np.ones(len(points))])
        fit, *_ = np.linalg.lstsq(columns, paraboloid(points), rcond=None)
        assert 2 * np.sqrt(np.mean((columns @ fit - paraboloid(points)) ** 2)) >= floor.lower


def test_bad_input_gets_one_sentence():
    for call, message in [
        (lambda: sliced_floor(paraboloid, (1,), -1.0), "lipschitz must be"),
        (lambda: sliced_floor(paraboloid, (1,), 1.0, axis=2), "axis must be"),
        (lambda: sliced_floor(paraboloid, (1,), 1.0, num_lines=3), "num_lines must be even"),
        (lambda: sliced_floor(paraboloid, (0,), 1.0, num_lines=4), "widths must be"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
