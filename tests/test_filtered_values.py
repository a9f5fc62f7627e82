"""Bounds of the errors of float vertices and values, against rationals, where floats and balls know little."""

from fractions import Fraction

import numpy as np
import pytest
from planar_networks import errors_hold, rational, same_combinatorics

from widththeory.exact import filtered_values, two_dim, vertex_ancestry
from widththeory.exact.polygons import box
from widththeory.exact.two_dim import PolygonalComplex, subdivide
from widththeory.network import Network

HALF = Fraction(1, 2)
SQUARE = box(Fraction(-1), Fraction(1))


def check_against_rationals(network, polygon=SQUARE) -> PolygonalComplex:
    """The filtered complex: that of rationals, numbers as near as it says."""
    filtered, exact = subdivide(network, polygon), subdivide(network, polygon, "rational")
    assert same_combinatorics(filtered, exact)
    assert errors_hold(filtered, exact)
    assert exact.vertex_errors.max() == exact.value_errors.max() == 0
    return filtered


@pytest.mark.parametrize("bits", [200, 230])
def test_vertices_that_balls_know_badly_move_the_ends_of_edges(bits):
    """Two lines that nearly coincide meet in P, and a third line goes through P: balls know P up to 2^(bits - 256).

    The layer after asks balls for a sign at P, and takes the middle of the ball of P, which is not on the third line.
    Another sign, of x - P_x + 2^-25, is known from floats and unknown to balls.
    """
    across, along = (Fraction(-4, 5), Fraction(3, 5)), (Fraction(3, 5), Fraction(4, 5))
    tilted = [v + u / 2**bits for v, u in zip(across, along, strict=True)]
    lines = [across, tilted, (0, 1), (1, 0), across]
    offsets = [0, Fraction(-1, 3 * 2**bits), -along[1] / 3, 2, 2]  # P is `along` / 3; the last two only carry
    second = (
        [[0, 0, 0, 0, 1], [0, 0, 0, 1, 0], [0, 0, 0, 1, 0]],
        [Fraction(1, 2**60) - 2, Fraction(1, 2**25) - 2 - along[0] / 3, -3 + HALF],
    )
    check_against_rationals(rational((lines, offsets), second, ([[1, 1, 1]], [0])))


UNIT = 2.0**-20


class RoughValues(filtered_values.FilteredValues):
    """As if floats had twenty bits, and each operation erred by as much as it may, up or down."""

    rng = np.random.default_rng(0)
    allowed = None  # what the sums that are computed next may be off by
    bounds = ("intervals", "norms")  # of which the smaller counts

    def __init__(self, network, corners):
        super().__init__(network, corners)
        self.rough(self._points)
        self._layers = [layer._replace(weight=layer.weight.copy(), bias=layer.bias.copy()) for layer in self._layers]
        for layer in self._layers:
            self.rough(layer.weight)
            self.rough(layer.bias)

    def enter(self, layer, decide=True):
        weight, bias = self._layers[layer][:2]
        if "intervals" not in self.bounds:
            self._hidden_errors = np.where(self._hidden_errors > 0, 1e30, 0.0)
        if "norms" not in self.bounds:
            self._hidden_shifts = np.full(len(self._hidden), 1e30)
        # products and sums, n of each where n weights and a bias are added
        type(self).allowed = UNIT * ((1 + len(weight.T)) * abs(self._hidden) @ abs(weight.T) + abs(bias))
        return super().enter(layer, decide)

    def insert(self, layer, neuron, edges, tails, heads, below):
        first, second = self._rows.array[tails], self._rows.array[heads]
        # a + t (b - a): a difference, a product, a sum
        type(self).allowed = UNIT * (2 * abs(second - first) + np.maximum(abs(first), abs(second)))
        return super().insert(layer, neuron, edges, tails, heads, below)

    def _shifts_on_edges(self, *arguments):
        bounds, norms, slopes = super()._shifts_on_edges(*arguments)
        return (bounds, norms, slopes) if "norms" in self.bounds else (bounds + 1e30, norms + 1e30, slopes)

    @classmethod
    def rough(cls, numbers):
        if numbers.flags.writeable and numbers.dtype == np.float64:  # what is computed, not what was given
            allowed = UNIT * abs(numbers)
            if cls.allowed is not None and cls.allowed.shape == numbers.shape:
                allowed, cls.allowed = cls.allowed, None
            numbers += 0.95 * allowed * cls.rng.choice([-1, 1], numbers.shape)


def uneven_network(widths, corners, rng):
    """Weights, some of very different sizes, some 0, neurons nearly alike, most lines in the polygon."""
    layers, hidden = [], rng.dirichlet(np.ones(len(corners)), 50) @ corners
    for fan_in, fan_out in zip(widths, widths[1:], strict=False):
        spread = rng.integers(0, 7) * (rng.random() < 0.5)
        weight = 2.0 ** rng.integers(-spread, spread + 1, (fan_out, 1)) * 2.0 ** rng.integers(
            -spread, spread + 1, fan_in
        )
        weight = weight * rng.normal(size=(fan_out, fan_in)) * (rng.random((fan_out, fan_in)) < 0.9)
        for row in range(1, fan_out, 2):  # small errors move far where their lines cross
            weight[row] = weight[row - 1] * (1 + 2.0 ** -rng.integers(0, 9) * rng.normal(size=fan_in))
        bias = -(weight * hidden[rng.integers(len(hidden), size=fan_out)]).sum(axis=1) * (rng.random(fan_out) < 0.9)
        layers.append((weight, bias))
        hidden = np.maximum(hidden @ weight.T + bias, 0)
    return Network(layers)


@pytest.mark.parametrize("bounds", [("intervals",), ("norms",), ("intervals", "norms")])
@pytest.mark.parametrize("seed", range(3))
def test_bounds_hold_for_whatever_rounding_allows(monkeypatch, seed, bounds):
    """Errors in float64 are far below bounds for the worst case: here they are made nearly as large."""
    check_range, crossing = filtered_values._check_range, filtered_values._crossing

    def rough(numbers):  # all numbers that are computed are seen here
        check_range(numbers)
        RoughValues.rough(numbers)

    if seed == 0:
        monkeypatch.setattr(vertex_ancestry, "flint", None)  # what is open goes to rationals, without balls
    if "intervals" not in bounds:
        monkeypatch.setattr(filtered_values, "_crossing", lambda *values: (crossing(*values)[0], np.full(1, 1e30)))
    monkeypatch.setattr(two_dim, "FilteredValues", RoughValues)
    monkeypatch.setattr(RoughValues, "bounds", bounds)
    monkeypatch.setattr(RoughValues, "rng", np.random.default_rng(seed))
    monkeypatch.setattr(filtered_values, "_check_range", rough)
    monkeypatch.setattr(filtered_values, "_UNIT", UNIT)
    monkeypatch.setattr(filtered_values, "_SAFE", 1 + 2.0**-16)  # weights are off by 2^-20, and so are norms
    monkeypatch.setattr(vertex_ancestry, "_UNIT", UNIT)
    rng = np.random.default_rng(seed)
    for _ in range(12):
        widths = (2, *rng.integers(1, 6, size=rng.integers(1, 4)).tolist(), 2)
        corner, size = 2.0 ** rng.integers(-6, 7) * rng.normal(size=2), 2.0 ** rng.integers(-3, 4)
        corners = corner + size * np.array([(0, 0), (1, 0.1), (0.2, 1)])
        check_against_rationals(uneven_network(widths, corners, rng), corners)
