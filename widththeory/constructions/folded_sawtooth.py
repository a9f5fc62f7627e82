"""The sawtooth by a network of any width and depth: exactly where its layers fold often enough, else on a part."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from widththeory.constructions.arguments import check_built, keep_python_numbers
from widththeory.constructions.interpolation import shallow_interpolation
from widththeory.constructions.telgarsky import Sawtooth
from widththeory.network import Network, compose
from widththeory.typing import Guarantee, Points, Size, Values, check_positive_int


@dataclass(frozen=True)
class FoldedSawtooth:
    """h^k on [0, 1], k = num_folds, by `depth` hidden layers of at most `width` units.

    A layer of 2^f units folds f times. With f = floor(log2(width)), `depth` layers give h^k exactly where k <= depth f.
    Where not, all but the last layer fold f times, and with j = k - (depth - 1) f the last one's w = width units follow
    the last w - 1/2 of the 2^j edges of h^j, and are 1/2 before them. Folds preserve the uniform law, so that with

        missed = 1 - (2 w - 1) / 2^(j+1)

    (0 where exact) the errors are E|h^k - g| = missed / 4 and E|h^k - g|^2 = missed / 12: relative to the variance 1/12
    of the target, `missed`. The floor of this size (`bounds.affine_pieces.sawtooth_floor`) has the same form.

    Args:
        num_folds: k, at least 1.
        width: of the widest hidden layer allowed, at least 2.
        depth: at least 1 and at most num_folds.

    Domain: the law is uniform on [0, 1].
    Error: (missed / 12)^(1/2) in L2, attained.
    Size: `depth` hidden layers, 2^f or fewer units in each, the last `width` where not exact.

    Raises:
        ValueError: an argument out of its range.

    Source:
        Derived for this project, after [telgarsky2016] Section 1 (width 2 and depth k; one layer of 2^k units).
    """

    num_folds: int
    width: int
    depth: int

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("num_folds", self.num_folds)
        check_positive_int("width", self.width, at_least=2)
        if check_positive_int("depth", self.depth) > self.num_folds:
            raise ValueError(f"depth must be at most num_folds = {self.num_folds}, got {self.depth}")

    @property
    def input_dim(self) -> int:
        return 1

    @property
    def _folds(self) -> tuple[int, ...]:
        """Folds of each layer; of the last, those that it would take to be exact."""
        most = self.width.bit_length() - 1
        if self.num_folds > self.depth * most:
            return (most,) * (self.depth - 1) + (self.num_folds - (self.depth - 1) * most,)
        each, more = divmod(self.num_folds, self.depth)
        return (each + 1,) * more + (each,) * (self.depth - more)

    @property
    def missed(self) -> Fraction:
        """Squared L2 error over the variance of the target, and L1 error over that of the best constant."""
        last = 2 ** self._folds[-1]
        return Fraction(0) if last <= self.width else 1 - Fraction(2 * self.width - 1, 2 * last)

    def target(self, points: Points) -> Values:
        """The sawtooth with 2**(num_folds - 1) teeth."""
        return Sawtooth(self.num_folds).target(points)

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of [0, 1]."""
        return rng.random((num_points, 1))

    def network(self) -> Network:
        """Zigzags composed, in exact rationals."""
        check_built(self.size())
        *inner, last = self._folds
        made = _zigzag(last) if self.missed == 0 else _last_edges(last, self.width)
        for folds in reversed(inner):
            made = compose(made, _zigzag(folds))
        return made

    def error(self) -> Guarantee:
        """The L2 error, attained."""
        return Guarantee("l2", math.sqrt(self.missed / 12))

    def size(self) -> Size:
        """2^f units for f folds; `width` in a last layer that is not exact."""
        return Size(1, tuple(min(self.width, 2**folds) for folds in self._folds))


def _zigzag(num_folds: int) -> Network:
    """h^f with one hidden layer of 2^f units."""
    edges = 2**num_folds
    return shallow_interpolation([Fraction(i, edges) for i in range(edges + 1)], [i % 2 for i in range(edges + 1)])


def _last_edges(num_folds: int, width: int) -> Network:
    """1/2 up to the middle of an edge of h^j, then h^j to the end: one kink there and one at each later corner."""
    edges, half = 2**num_folds, Fraction(1, 2)
    first = edges - width
    kinks = [(first + half) / edges, *(Fraction(corner, edges) for corner in range(first + 1, edges))]
    rise = edges if first % 2 == 0 else -edges
    jumps = [Fraction(rise), *(Fraction(2 * rise * (-1) ** place) for place in range(1, width))]
    return Network([([[Fraction(1)]] * width, [-kink for kink in kinks]), ([jumps], [half])])


EXAMPLES = (FoldedSawtooth(4, 16, 1), FoldedSawtooth(5, 7, 1), FoldedSawtooth(6, 5, 2), FoldedSawtooth(7, 2, 7))
