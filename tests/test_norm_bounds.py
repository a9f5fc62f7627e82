"""Norm-wise error bounds of float vertices and values, by hand: each term alone, where nothing else is unsure."""

import numpy as np
import pytest

from widththeory.exact import filtered_values
from widththeory.exact.polygons import box
from widththeory.network import Network

SQUARE = box(-1, 1)
NORM = np.sqrt(125.0)  # of both rows together, in either norm, as they are parallel
ROUNDED = 2.0**-53


def a_layer(hidden=(0.0, 0.0), bias=(0.0, 0.0), residual=0.0, shift=0.0, error=1e30):
    """A layer of two rows along (3, 4), of norms 5 and 10, after what is known of four vertices is set by hand."""
    first, second = (np.eye(2), np.zeros(2)), (np.array([[3.0, 4.0], [6.0, 8.0]]), np.array(bias))
    known = filtered_values.FilteredValues(Network([first, second]), SQUARE)
    known._hidden, known._hidden_errors = np.tile(hidden, (4, 1)), np.full((4, 2), error)
    known._hidden_residuals, known._hidden_shifts = np.full(4, residual), np.full(4, shift)
    known.enter(1, decide=False)
    return known._errors.array[0, :2], known._residuals.array[0], known._shifts.array[0]


def test_what_is_off_along_a_row_is_off_by_its_norm_after_a_layer():
    errors, residual, shift = a_layer(residual=2.0)
    assert [*errors, residual, shift] == pytest.approx([10, 20, 2 * NORM, 0])
    errors, residual, shift = a_layer(shift=2.0)
    assert [*errors, residual, shift] == pytest.approx([10, 20, 0, 2 * NORM])
    # known entries hold the whole: the shift is at most residual and errors
    errors, residual, shift = a_layer(residual=2.0, shift=4.0, error=0.125)
    assert [*errors, residual] == pytest.approx([7 / 8, 14 / 8, 2 * NORM])
    assert shift == pytest.approx(2 * NORM + 7 / 8 * np.sqrt(5))


def test_roundings_of_a_layer_are_counted():
    """Two weights, two products and two sums with a bias, each off by its unit, all to one side."""
    errors, residual, _ = a_layer(hidden=(3.0, 4.0))
    assert errors == pytest.approx([6 * ROUNDED * 25, 6 * ROUNDED * 50])
    assert residual == pytest.approx(6 * ROUNDED * 5 * NORM)
    errors, residual, _ = a_layer(bias=(-3.0, 4.0))
    assert errors == pytest.approx([6 * ROUNDED * 3, 6 * ROUNDED * 4])
    assert residual == pytest.approx(6 * ROUNDED * 5)
    errors, *_ = a_layer(hidden=(3.0, -4.0), error=0.0)  # by entries: 3 * 3 + 4 * 4 however signs are
    assert errors == pytest.approx([6 * ROUNDED * 25, 6 * ROUNDED * 50])


def an_edge(residual=0.0, end_residual=0.0, deviation=0.0, steepest=2.0, length=3.0):
    """Two neurons that change by 8 and 6 along an edge of length 5 in the direction of (3, 4) / 5."""
    known = filtered_values.FilteredValues(Network([(np.eye(2), np.zeros(2))]), SQUARE)
    known._width, known._steepest = 2, steepest
    numbers = (residual, end_residual, deviation)
    step = np.array([[8.0, -6.0, length, 4 * length / 3]])
    bounds, norm, slope = known._shifts_on_edges(step, 0, *(np.array([number]) for number in numbers))
    return [*bounds[0], norm[0], slope[0]]


def test_shifts_along_and_across_an_edge():
    # along: by 1 / 4 of the edge, as the neuron changes by 8
    assert an_edge(residual=2.0) == pytest.approx([2, 1.5, 0.75, 1, 2.5, 1.6])
    # as the ends are known up to 4 together, the neuron may change by 4 only, and the others by 4 more
    assert an_edge(residual=2.0, end_residual=4.0) == pytest.approx([6, 5, 1.5, 2, 7, 0.8])
    # across: by 4 deviations, and along by 4 of them times the steepest slope over the change
    assert an_edge(deviation=0.25) == pytest.approx([4, 3.5, 1.75, 2, 4.5, 1.6])
    # longer than the edge, or an edge shorter than 4 deviations, or a change that may be none: nothing is known
    for unknown in ({"residual": 8.1}, {"deviation": 0.25, "length": 0.5}, {"end_residual": 8.0}):
        assert min(an_edge(**unknown)[:5]) > 1e29
    assert an_edge(end_residual=8.0)[5] == 0


def a_vertex(residuals=(0.0, 0.0), values=((4.0, 2.0), (-4.0, -1.0)), below=(0, 2)):
    """A vertex in the middle of the edge from (-1, -1) to (1, -1), where the first of two neurons vanishes."""
    known = filtered_values.FilteredValues(Network([(np.eye(2), np.zeros(2))]), SQUARE)
    known.enter(0, decide=False)
    known._rows.array[:2, :2], known._residuals.array[:2] = values, residuals
    known._errors.array[:], known._deviations.array[:] = 0, 0
    edges, tails, heads = np.array([0]), np.array([0]), np.array([1])
    known.insert(0, 0, edges, tails, heads, np.array([below], dtype=np.int8))
    return known


def test_residuals_of_a_new_vertex():
    rounded = 4 * ROUNDED * (np.sqrt(20) + np.sqrt(17) + 2 * np.sqrt(2))  # of values, of coordinates times slope 1
    assert a_vertex()._residuals.array[-1] == pytest.approx(rounded)
    for ends in ((0.5, 0.25), (0.25, 0.5)):
        assert a_vertex(residuals=ends)._residuals.array[-1] == pytest.approx(0.5)
    # the second neuron is 1 / 2 there, and vanishes by what is known of the edge
    assert a_vertex(below=(0, 0))._residuals.array[-1] == pytest.approx(0.5)
    moved = a_vertex()._deviations.array  # the edge and its new part
    assert moved[[0, -1]] == pytest.approx(4 * ROUNDED * 2 * np.sqrt(2))


def test_what_is_active_and_rounded_below_zero_is_off_by_that():
    known = a_vertex(residuals=(0.5, 0.0))
    known._rows.array[0, :2] = -3.0, -4.0
    known.leave(np.ones((5, 2), dtype=np.int8))
    assert known._hidden_residuals[0] == pytest.approx(5.5)
    assert known._hidden[0].tolist() == [0, 0]


def test_deviations_of_a_line_between_new_vertices():
    """A neuron of slope 4 along the edge, known to 1 / 2, is off its line by 1 / 8."""
    known = a_vertex(residuals=(0.5, 0.0), values=((4.0, 2.0), (-4.5, -1.0)))
    known.join(np.array([4]), np.array([4]))
    assert known._deviations.array[-1] == pytest.approx(0.5 / 4)
    known.join(np.array([0]), np.array([1]))  # no slope is known between old ones
    assert known._deviations.array[-1] == 1e30
