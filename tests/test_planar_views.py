"""What is read off the planar complex: level sets, classes, slices, pictures; and what bad input is told."""

from fractions import Fraction

import numpy as np
import pytest
from planar_networks import random_network, rational

from widththeory.exact import two_dim
from widththeory.exact.distance_2d import distance
from widththeory.exact.linear_regions import count_activation_regions
from widththeory.exact.polygons import box, convex_corners
from widththeory.exact.polynomial_2d import PlanarPolynomial
from widththeory.exact.region_pictures import decision_boundary, folds, slopes
from widththeory.exact.two_dim import (
    decision_regions,
    level_set,
    lipschitz_constant,
    planar_network,
    restrict_to_plane,
    subdivide,
)
from widththeory.network import Network

HALF = Fraction(1, 2)
SQUARE = box(Fraction(-1), Fraction(1))
UNIT_SQUARE = box(Fraction(0), Fraction(1))
ARITHMETICS = ("filtered", "rational")


def test_level_sets():
    diamond = rational(([[1, 0], [-1, 0], [0, 1], [0, -1]], [0] * 4), ([[1] * 4], [0]))
    for arithmetic in ARITHMETICS:
        for level in (HALF, 1):
            segments = level_set(diamond, SQUARE, level, arithmetic).segments.astype(float)
            lengths = np.linalg.norm(segments[:, 0] - segments[:, 1], axis=1)
            np.testing.assert_allclose(lengths, float(level) * np.sqrt(2), rtol=1e-15)
            assert len(segments) == 4
    ramp = rational(([[1, 0]], [0]), ([[1]], [0]))
    flat = level_set(ramp, SQUARE)
    assert len(flat.flat) == 1
    assert sorted(flat.flat[0].tolist()) == [[-1, -1], [-1, 1], [0, -1], [0, 1]]
    network = random_network((2, 8, 8, 1), 2)
    level = float(network(np.zeros((1, 2)))[0, 0])
    found = level_set(network, SQUARE, level)
    assert len(found.segments) > 0
    np.testing.assert_allclose(network(found.segments.reshape(-1, 2)), level, atol=1e-13)  # values of order 1


def test_decision_regions_are_where_outputs_are_largest():
    network = random_network((2, 8, 8, 4), 3)
    complex_, classes = decision_regions(network, SQUARE)
    centroids = np.array([complex_.polygon(face).mean(axis=0) for face in range(complex_.num_faces)])
    assert np.array_equal(classes, np.argmax(network(centroids), axis=1))
    assert len(set(classes.tolist())) > 1
    single = random_network((2, 8, 1), 3)
    complex_, classes = decision_regions(single, SQUARE)
    centroids = np.array([complex_.polygon(face).mean(axis=0) for face in range(complex_.num_faces)])
    assert np.array_equal(classes, (single(centroids) > 0)[:, 0])


def test_lipschitz_constant_is_attained():
    tent = rational(([[3, 4], [3, 4]], [0, -HALF]), ([[2, -4]], [0]))
    assert lipschitz_constant(subdivide(tent, UNIT_SQUARE)).value == pytest.approx(10, rel=1e-14)
    network = random_network((2, 8, 8, 3), 4)
    constant = lipschitz_constant(subdivide(network, SQUARE))
    rng = np.random.default_rng(0)
    points, steps = rng.uniform(-1, 1, (20_000, 2)), 1e-6 * rng.normal(size=(20_000, 2))
    ratios = np.linalg.norm(network(points + steps) - network(points), axis=1) / np.linalg.norm(steps, axis=1)
    assert 0.9 * constant.value < ratios.max() <= constant.upper * (1 + 1e-8)  # values rounded at 1e-16, steps 1e-6


def test_lipschitz_constant_holds_for_whatever_the_errors_of_slopes_allow(monkeypatch):
    """Four outputs (s, s) · x on one face, (t, t) · x on the other: norms √8 s and √8 t; the first is found larger."""
    complex_ = subdivide(rational(([[1, 0]], [0]), ([[1]] * 4, [0] * 4)), SQUARE)
    for found, off in (((1.1, 0.9), (-0.1, 0.0)), ((0.9, 0.8), (0.1, 0.0)), ((0.9, 0.8), (0.0, 0.2))):
        maps, errors = (np.zeros((2, 4, 3)) + np.reshape(np.abs(part), (2, 1, 1)) for part in (found, off))
        monkeypatch.setattr(two_dim, "affine_maps", lambda *_, both=(maps, errors): both)
        constant = lipschitz_constant(complex_)
        exact = np.sqrt(8) * max(np.add(found, off))
        assert constant.lower <= exact * (1 + 1e-15)  # as long as an error of its own is not larger
        assert exact * (1 - 1e-15) <= constant.upper <= 1.3 * exact


def test_slice_of_a_network():
    network = random_network((5, 8, 8, 1), 6)
    rng = np.random.default_rng(1)
    origin, directions = rng.normal(size=5), rng.normal(size=(2, 5))
    complex_ = subdivide(restrict_to_plane(network, origin, directions), SQUARE)
    assert complex_.num_faces > 10
    np.testing.assert_allclose(network(origin + complex_.vertices @ directions), complex_.values, atol=1e-12)


def test_slices_keep_ties():
    """Hyperplanes that differ in space and meet the plane in one line; in floats 0.1 + 0.2 is not 0.3."""
    tenths = [[Fraction(1, 10), Fraction(2, 10), 0], [0, 0, Fraction(3, 10)]]
    ties = Network([([[float(x) for x in row] for row in tenths], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
    # 0.1 (s + 3 t) + 0.2 (s + 3 t) and w (s + 3 t) with any w are the same line, whatever the floats are.
    sliced = restrict_to_plane(ties, np.zeros(3), np.array([[1.0, 1.0, 1.0], [3.0, 3.0, 3.0]]))
    assert subdivide(sliced, SQUARE).num_faces == subdivide(sliced, SQUARE, "rational").num_faces == 2


def test_pictures_show_every_region():
    network = random_network((2, 6, 6, 1), 7)
    complex_ = subdivide(network, SQUARE)
    for by in ("steepness", "direction", "region"):
        assert len(slopes(network, SQUARE, by).axes[0].collections[0].get_paths()) == complex_.num_faces
    panels = folds(network, SQUARE).axes
    assert panels[-1].get_title() == f"layer 2: {complex_.num_faces} regions"
    shallow = count_activation_regions(Network([network.layers[0], ([[1.0] * 6], [0.0])]), SQUARE)
    assert panels[0].get_title() == f"layer 1: {shallow} regions"
    assert len(decision_boundary(network, SQUARE).axes[0].collections) == 2


def test_pictures_of_a_ramp():
    """relu(3 x + 4 y) on a rectangle: slopes 0 and (3, 4), two classes, and the line between them."""
    ramp, rectangle = rational(([[3, 4]], [0]), ([[1]], [0])), ((-1, -2), (1, -2), (1, 2), (-1, 2))
    for by, wanted in (("steepness", [0, 5]), ("direction", [0, np.arctan2(4, 3)])):
        figure = slopes(ramp, rectangle, by)
        np.testing.assert_allclose(sorted(figure.axes[0].collections[0].get_array()), wanted, rtol=1e-15)
        assert len(figure.axes) == 2  # a colour bar
        assert (figure.axes[0].get_xlim(), figure.axes[0].get_ylim()) == ((-1, 1), (-2, 2))
    figure = slopes(ramp, rectangle, "region")
    assert len(figure.axes) == 1
    faces, border = decision_boundary(ramp, rectangle).axes[0].collections
    for artist in (figure.axes[0].collections[0], faces):
        assert len(np.unique(artist.get_facecolor(), axis=0)) == 2
    assert [sorted(map(tuple, ends)) for ends in border.get_segments()] == [[(-1, 0.75), (1, -0.75)]]
    with pytest.raises(ValueError, match="at least one hidden layer"):
        folds(rational(([[1, 0]], [0])), rectangle)


def test_pictures_of_folds_show_new_lines_and_the_widest_direction():
    # relu(x) and ten times relu(-x), then a line on each side of 0
    network = rational(([[1, 0], [-10, 0]], [0, 0]), ([[10, 1]], [-5]), ([[1]], [0]))
    first, second = (axes.collections for axes in folds(network, SQUARE).axes)
    assert [len(part.get_segments()) for part in (*first[1:], *second[1:])] == [0, 1, 1, 2]
    # centred at the vertices, along the direction in which they vary most, its largest part positive
    shade = np.array(first[0].get_array())
    points = subdivide(network, SQUARE).vertices
    hidden = np.maximum(points[:, :1] * [1, -10], 0)
    directions = np.linalg.eigh(np.cov(hidden.T))[1]
    widest = directions[:, 1] * np.sign(directions[1, 1])
    np.testing.assert_allclose(shade, (hidden - hidden.mean(axis=0)) @ widest, atol=1e-13)


def test_polygons_are_taken_in_either_sense_and_without_middles():
    corners = [(0, 0), (HALF, 0), (1, 0), (1, 1), (0, 1)]
    forwards, backwards = convex_corners(corners), convex_corners(corners[::-1])
    assert len(forwards) == 4
    # One rotation of the other: the same corners in the same sense.
    assert backwards in [forwards[i:] + forwards[:i] for i in range(4)]
    assert len(convex_corners(np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 1.0]]))) == 3


@pytest.mark.parametrize(
    ("polygon", "message"),
    [
        ([], "at least three different corners, got 0"),
        ([(0, 0), (1, 0), (1, 0)], "at least three different corners, got 2"),
        ([(0, 0), (1, 0), (2, 0)], "positive area"),
        ([(0, 0), (2, 0), (1, HALF), (1, 2)], "convex"),
        ([(0, 0), (1, 1), (1, 0), (0, 1)], "positive area"),
        ([(0, 3), (2, -3), (-3, 1), (3, 1), (-2, -3)], "convex"),
        ([(0, 0), (3, 0), (2, 0), (2, 2), (0, 2)], "convex"),  # straight back
        ([(0, 0), (2, 0), (2, 3), (2, 2), (0, 2)], "convex"),
        ([(0, 0), (2, 0), (2, 2), (0, 2), (0, -1)], "convex"),
        ([(0, 0), (1, 0), (0, float("nan"))], "finite"),
        ([(0, 0, 0), (1, 0, 0), (0, 1, 0)], "pairs of numbers"),
    ],
)
def test_bad_polygons(polygon, message):
    with pytest.raises(ValueError, match=message):
        subdivide(random_network((2, 3, 1), 0), polygon)


def test_bad_arguments():
    solid, wide = random_network((3, 4, 1), 0), random_network((2, 4, 2), 0)
    with pytest.raises(ValueError, match="network must have input_dim 2, got 3"):
        subdivide(solid, SQUARE)
    with pytest.raises(ValueError, match="network must have input_dim 2, got 3"):
        distance(solid, solid, SQUARE)
    with pytest.raises(ValueError, match="affine maps with ReLU"):
        planar_network(np.tanh)
    for level in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="level must be a finite number"):
            level_set(random_network((2, 3, 1), 0), SQUARE, level)
    with pytest.raises(ValueError, match="output_dim 1, got 2"):
        distance(wide, wide, SQUARE)
    with pytest.raises(ValueError, match="output_dim 1 for a level set, got 2"):
        level_set(wide, SQUARE)
    with pytest.raises(ValueError, match="finite numbers, got NaN"):
        Network([([[np.nan, 1.0]], [0.0])])
    with pytest.raises(ValueError, match="low must be less than high"):
        box(1, 1)
    for tolerance in (0.0, 1.0):
        with pytest.raises(ValueError, match=f"tolerance must be between 0 and 1, got {tolerance}"):
            distance(random_network((2, 3, 1), 0), PlanarPolynomial(((1,),)), SQUARE, tolerance=tolerance)
    with pytest.raises(ValueError, match="rows of one length"):
        PlanarPolynomial(((1,), (1, 2)))
    with pytest.raises(ValueError, match="finite numbers"):
        PlanarPolynomial(((float("nan"),),))
    with pytest.raises(ValueError, match="shapes"):
        restrict_to_plane(solid, np.zeros(2), np.zeros((2, 3)))


def test_level_is_subtracted_exactly():
    # 0.1 + x is 0.3 on the right side of this rectangle, for the floats as stored; 0.3 - 0.1 rounded is beside it
    right = Fraction(0.3) - Fraction(0.1)
    rectangle = ((0, 0), (right, 0), (right, 1), (0, 1))
    network = Network([([[1.0, 0.0]], [0.1])])
    for arithmetic in ("filtered", "rational"):
        assert len(level_set(network, rectangle, 0.3, arithmetic).segments) == 1
        assert len(level_set(network, rectangle, Fraction(0.3) + Fraction(1, 2**80), arithmetic).segments) == 0
