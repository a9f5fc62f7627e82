"""x^2 on [0, 1] by networks of any width and depth, as near as functions with pieces of their length come."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from widththeory.constructions.arguments import check_built, keep_python_numbers
from widththeory.exact.one_dim import Polynomial
from widththeory.network import Network
from widththeory.typing import Guarantee, Points, Size, Values, check_choice, check_positive_int

_SHIFTS = {"sup": Fraction(1, 8), "l2": Fraction(1, 6)}  # half the largest gap below a chord of h = 1, and its mean


@dataclass(frozen=True)
class FoldedSquare:
    """x^2 on [0, 1] by `depth` hidden layers of `width` units.

    The interpolant of x^2 on pieces of length h lies above it by u (h - u), u the place within the piece; lowered by
    h^2 / 8 it has sup error h^2 / 8, and lowered by h^2 / 6 it has L2 error h^2 / sqrt(180), which is what the best
    function with pieces of length h has.

    * One hidden layer of w units: h = 2 / (2 w + 1), the first piece half as long; the network is constant there.
    * m >= 2 hidden layers: h = 1 / (w (w - 1)^(m-1)). The first layer makes w pieces and folds them onto [0, 1]; a
      later one has w - 1 units for as many folds z, and carries the interpolant I: where it has steps H,
      x^2 = I(x) - H^2 (z - z^2), and z^2 is interpolated next.

    Args:
        width: w, at least 1, and at least 3 for two and more hidden layers.
        depth: m, at least 1.
        norm: "sup" or "l2", which the offset is best for.

    Domain: the law is uniform on [0, 1].
    Error: h^2 / 8 in sup, h^2 / sqrt(180) in L2, attained.
    Size: width w, m hidden layers.

    Raises:
        ValueError: an argument out of its range.

    Source:
        Derived for this project, after [yarotsky2017] Proposition 2, as recalled.
        Differs: any number of folds a layer, and lowered; `yarotsky.Square` has two folds, width 3, and sup error
        h^2 / 4.
    """

    width: int
    depth: int
    norm: str = "sup"

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("depth", self.depth)
        check_positive_int("width", self.width, at_least=1 if self.depth == 1 else 3)
        check_choice("norm", self.norm, tuple(_SHIFTS))

    @property
    def input_dim(self) -> int:
        return 1

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the interval that the law is uniform on."""
        return 0.0, 1.0

    @property
    def exact_target(self) -> Polynomial:
        """x^2, for exact errors."""
        return Polynomial((0.0, 0.0, 1.0))

    @property
    def piece_length(self) -> Fraction:
        """h, the length of every piece but the first of a single hidden layer, which is h / 2."""
        if self.depth == 1:
            return Fraction(2, 2 * self.width + 1)
        return Fraction(1, self.width * (self.width - 1) ** (self.depth - 1))

    def target(self, points: Points) -> Values:
        """x^2."""
        return points[:, 0] ** 2

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of [0, 1]."""
        return rng.random((num_points, 1))

    def network(self) -> Network:
        """In exact rationals."""
        check_built(self.size())
        return self._shallow() if self.depth == 1 else self._deep()

    def _shallow(self) -> Network:
        step, one = self.piece_length, Fraction(1)
        kinks = [(index + Fraction(1, 2)) * step for index in range(self.width)]
        start = step**2 / 4 - _SHIFTS[self.norm] * step**2
        return Network([([[one]] * self.width, [-kink for kink in kinks]), ([[2 * step] * self.width], [start])])

    def _deep(self) -> Network:
        zero, one = Fraction(0), Fraction(1)
        folds = self.width
        layers = [([[one]] * folds, [-Fraction(index, folds) for index in range(folds)])]
        zigzag, chord, step = _fold(folds), _chord(folds), Fraction(1, folds)
        folds -= 1
        for _ in range(self.depth - 1):
            layers.append(([zigzag] * folds + [chord], [*(-Fraction(index, folds) for index in range(folds)), zero]))
            zigzag = [*_fold(folds), zero]
            chord = [step**2 * entry for entry in _chord(folds)] + [one]
            chord[0] -= step**2
            step /= folds
        return Network([*layers, ([chord], [-_SHIFTS[self.norm] * step**2])])

    def error(self) -> Guarantee:
        """h^2 / 8 or h^2 / sqrt(180), attained."""
        bound = float(self.piece_length**2 / 8) if self.norm == "sup" else float(self.piece_length**2) / math.sqrt(180)
        return Guarantee("sup" if self.norm == "sup" else "l2", bound + math.ulp(0.0))  # for underflow

    def size(self) -> Size:
        """`depth` hidden layers of `width` units."""
        return Size(1, (self.width,) * self.depth)


def _fold(folds: int) -> list[Fraction]:
    """Weights of the triangle wave with so many edges on the units relu(x - i / folds)."""
    return [Fraction(folds), *(Fraction(2 * folds * (-1) ** index) for index in range(1, folds))]


def _chord(folds: int) -> list[Fraction]:
    """Weights of the interpolant of x^2 at equal steps on the same units."""
    return [Fraction(1, folds), *[Fraction(2, folds)] * (folds - 1)]


EXAMPLES = (
    FoldedSquare(1, 1),
    FoldedSquare(8, 1, "l2"),
    FoldedSquare(3, 4),
    FoldedSquare(5, 3, "l2"),
)
