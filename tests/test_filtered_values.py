"""Bounds of the errors of float vertices and values, against rationals, where floats and balls know little."""

from fractions import Fraction

import numpy as np
import pytest

from widththeory.exact.polygons import box
from widththeory.exact.two_dim import PolygonalComplex, subdivide
from widththeory.network import Network

HALF = Fraction(1, 2)
SQUARE = box(Fraction(-1), Fraction(1))


def rational(*layers):
    return Network([([list(map(Fraction, row)) for row in w], list(map(Fraction, b))) for w, b in layers])


def check_against_rationals(network, polygon=SQUARE) -> PolygonalComplex:
    """The filtered complex: that of rationals, numbers as near as it says."""
    filtered, exact = subdivide(network, polygon), subdivide(network, polygon, "rational")
    for name in ("edges", "edge_faces", "edge_neurons", "offsets", "cycles", "patterns"):
        assert np.array_equal(getattr(filtered, name), getattr(exact, name))
    for found, wanted, errors in (
        (filtered.vertices, exact.vertices, filtered.vertex_errors),
        (filtered.values, exact.values, filtered.value_errors),
    ):
        assert np.all(abs(wanted - np.vectorize(Fraction)(found)) <= np.vectorize(Fraction)(errors))
    return filtered


@pytest.mark.parametrize("bits", [200, 230])
def test_vertices_that_balls_know_badly_move_the_ends_of_edges(bits):
    """Two lines that nearly coincide meet in P, and a third line goes through P: balls know P up to 2^(bits - 256).

    The layer after asks balls for a sign at P, and takes the middle of the ball of P, which is not on the third line.
    """
    across, along = (Fraction(-4, 5), Fraction(3, 5)), (Fraction(3, 5), Fraction(4, 5))
    tilted = [v + u / 2**bits for v, u in zip(across, along, strict=True)]
    lines = [across, tilted, (0, 1), (1, 0), across]
    offsets = [0, Fraction(-1, 3 * 2**bits), -along[1] / 3, 2, 2]  # P is `along` / 3; the last two only carry
    second = (
        [[0, 0, 0, 0, 1], [0, 0, 0, 1, 0], [0, 0, 0, 1, 0]],
        [Fraction(1, 2**60) - 2, Fraction(-21, 10), -3 + HALF],
    )
    check_against_rationals(rational((lines, offsets), second, ([[1, 1, 1]], [0])))
