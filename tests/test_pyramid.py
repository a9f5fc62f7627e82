"""The pyramid's string in rationals, on its box and far outside; its norms; its width is the least on R^n."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from widththeory.bounds.minimum_width import minimum_width
from widththeory.constructions.pyramid import Pyramid
from widththeory.exact.distance_2d import distance
from widththeory.exact.polygons import box
from widththeory.network import Network


@pytest.mark.parametrize("example", [Pyramid(1), Pyramid(1, 2.5), Pyramid(2), Pyramid(2, 3), Pyramid(3, 1.5)])
def test_network_equals_formula_on_all_of_space(example):
    dim, radius = example.input_dim, Fraction(example.box_radius)
    rng = np.random.default_rng(dim)
    near = [[Fraction(int(k), 21) for k in row] for row in rng.integers(-21, 22, (40, dim))]
    far = [[Fraction(int(k), 2) * radius for k in row] for row in rng.integers(-40, 41, (40, dim))]
    corners = [list(corner) for corner in itertools.product((-radius, Fraction(0), radius), repeat=dim)]
    points = [*near, *far, *corners]
    expected = [max(Fraction(0), 1 - sum(map(abs, point))) for point in points]
    assert sum(value > 0 for value in expected) >= 5
    network = example.network()
    assert network.is_rational
    assert network.exact(points)[:, 0].tolist() == expected
    assert network.size == example.size()
    assert example.error().bound == 0


@pytest.mark.parametrize("input_dim", [1, 2, 3, 4])
def test_width_is_the_least_on_all_of_space(input_dim):
    assert Pyramid(input_dim).size().width == minimum_width("lp", "l1", "euclidean", "relu", input_dim, 1).upper


@pytest.mark.parametrize("radius", [1, 2.5])
def test_norms_in_the_plane_are_those_of_the_exact_network(radius):
    example = Pyramid(2, radius)
    zero = Network([(np.zeros((1, 2)), np.zeros(1))])
    found, area = distance(example.network(), zero, box(-radius, radius)), 4 * radius**2
    assert example.l1_norm == pytest.approx(found.l1, rel=1e-12)
    assert example.variance == pytest.approx(found.l2**2 / area - (found.l1 / area) ** 2, rel=1e-12)
    assert found.sup == 1


@pytest.mark.parametrize("input_dim", [1, 3, 5])
def test_norms_by_sampling(input_dim):
    example = Pyramid(input_dim)
    values = example.target(example.sample(200_000, np.random.default_rng(0)))
    stderr = values.std() / np.sqrt(len(values))
    assert abs(values.mean() * 2**input_dim - example.l1_norm) <= 4 * stderr * 2**input_dim
    squares = (values - values.mean()) ** 2
    assert abs(values.var() - example.variance) <= 4 * squares.std() / np.sqrt(len(values))


def test_one_affine_function_fewer_is_another_function():
    example = Pyramid(2)
    layers = example.network().layers
    shorter = Network([*layers[:2], *layers[3:]])
    points = [[Fraction(i, 4), Fraction(j, 4)] for i in range(-3, 4) for j in range(-3, 4)]
    assert shorter.exact(points).tolist() != example.network().exact(points).tolist()


def test_bad_arguments_raise():
    with pytest.raises(ValueError, match="input_dim"):
        Pyramid(0)
    with pytest.raises(ValueError, match=r"box_radius must be a finite number of at least 1, got 0\.5"):
        Pyramid(2, 0.5)
