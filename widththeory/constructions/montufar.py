"""Folding networks: the number of linear regions multiplies from layer to layer, and is known exactly."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from widththeory.constructions.arguments import check_built, keep_python_numbers
from widththeory.network import Network
from widththeory.typing import Guarantee, Points, Size, Values, check_positive_int


@dataclass(frozen=True)
class FoldingNetwork:
    """A network that folds the cube onto itself and ends with hyperplanes in general position.

    In every hidden layer but the last, p_l = floor(n_l / d) units a coordinate make the zigzag
    z(x) = p x + 2 sum_{j=1}^{p-1} (-1)^j relu(p x - j), which folds p_l intervals onto [0, 1]. The last layer has
    m = n_L units relu(s_i (<a_i, x - c> - e t_i^d)), with c the centre of the cube, a_i = (1, t_i, ..., t_i^{d-1}),
    t_i = i / m, e = 2^{-d-2}: hyperplanes in general position, all of whose vertices lie in the open cube. On the open
    unit cube the network has exactly
    prod_{l<L} p_l^d * sum_{j<=d} C(m, j)
    activation regions. The signs s_i alternate and the output weights are 2^i, so if m > d no partial derivative of the
    network vanishes on any of them, and they are its linear regions.

    Args:
        input_dim: d, at least 1.
        widths: units of the hidden layers, each at least d; where d does not divide a width, the units left over are
            idle.

    Domain: the law is uniform on [0, 1]^d, and regions are counted in the open cube.
    Error: zero.
    Size: widths as given.

    Raises:
        ValueError: no hidden layer, or one narrower than the input.

    Source:
        [montufar2014], as recalled: the count is their lower bound on the maximal number.
        Differs: the last layer and the output are explicit, so that the count is exact (derived for this project); all
        units of a fold have one slope, where theirs have two.
    """

    input_dim: int
    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("input_dim", self.input_dim)
        if not self.widths:
            raise ValueError("widths must hold at least one hidden layer, got ()")
        for index, width in enumerate(self.widths):
            check_positive_int(f"widths[{index}]", width, at_least=self.input_dim)

    @property
    def num_folds(self) -> int:
        """Intervals of one coordinate that all folds together map onto [0, 1]."""
        return math.prod(width // self.input_dim for width in self.widths[:-1])

    @property
    def num_activation_regions(self) -> int:
        """Regions of the open unit cube on which the active units are the same."""
        last = sum(math.comb(self.widths[-1], j) for j in range(self.input_dim + 1))
        return self.num_folds**self.input_dim * last

    @property
    def num_linear_regions(self) -> int:
        """Maximal regions of the open unit cube on which the network is affine.

        Raises:
            ValueError: the last width is at most input_dim; some regions are then constant, and may merge.
        """
        if self.widths[-1] <= self.input_dim:
            raise ValueError(
                f"the last of widths must exceed input_dim = {self.input_dim} for an exact count of linear regions, "
                f"got {self.widths[-1]}"
            )
        return self.num_activation_regions

    def _last_layer(self) -> tuple[np.ndarray, np.ndarray, list[Fraction]]:
        """Weights, biases and output weights of the hyperplanes."""
        dim, count = self.input_dim, self.widths[-1]
        weight, bias = np.empty((count, dim), dtype=object), np.empty(count, dtype=object)
        for i in range(1, count + 1):
            t = Fraction(i, count)
            sign = (-1) ** (count - i + 1)  # the last unit is active below its hyperplane: no region has all units idle
            row = [sign * t**power for power in range(dim)]
            weight[i - 1], bias[i - 1] = row, -sum(row) / 2 - sign * t**dim * Fraction(1, 2 ** (dim + 2))
        return weight, bias, [Fraction(2**i) for i in range(1, count + 1)]

    def target(self, points: Points) -> Values:
        """The last layer on the triangle wave with num_folds pieces of each coordinate."""
        phase = np.fmod(self.num_folds * points, 2.0)
        folded = np.minimum(phase, 2.0 - phase)
        weight, bias, head = self._last_layer()
        return np.maximum(folded @ weight.astype(float).T + bias.astype(float), 0.0) @ np.asarray(head, dtype=float)

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of the unit cube."""
        return rng.random((num_points, self.input_dim))

    def network(self) -> Network:
        """Folds, hyperplanes and a weighted sum, in exact rationals."""
        check_built(self.size())
        dim, zero = self.input_dim, Fraction(0)
        fold: Any = np.full((dim, dim), zero)  # affine map from the layer below to the folded coordinates
        fold[range(dim), range(dim)] = Fraction(1)
        layers: list[tuple[Any, Any]] = []
        for width in self.widths[:-1]:
            pieces = width // dim
            units, bias = np.full((width, dim), zero), np.full(width, zero)
            unfold = np.full((dim, width), zero)
            for axis in range(dim):
                for j in range(pieces):
                    unit = axis * pieces + j
                    units[unit, axis], bias[unit] = Fraction(pieces), Fraction(-j)
                    unfold[axis, unit] = Fraction(1 if j == 0 else 2 * (-1) ** j)
            layers.append((units @ fold, bias))
            fold = unfold
        weight, bias, head = self._last_layer()
        return Network([*layers, (weight @ fold, bias), ([head], [zero])])

    def error(self) -> Guarantee:
        """The network is the target."""
        return Guarantee("sup", 0.0)

    def size(self) -> Size:
        """The widths it was given."""
        return Size(self.input_dim, self.widths)


EXAMPLES = (
    FoldingNetwork(1, (3, 4, 2)),
    FoldingNetwork(2, (4, 5)),
    FoldingNetwork(2, (4, 6, 5)),
    FoldingNetwork(3, (7, 4)),
)
