"""The sawtooth: k folds of [0, 1] by a width-2 network with k hidden layers make 2^(k-1) teeth."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from widththeory.constructions.arguments import check_built, keep_python_numbers
from widththeory.network import Network
from widththeory.typing import Guarantee, Points, Size, Values, check_positive_int


@dataclass(frozen=True)
class Sawtooth:
    """Iterated tent map of the first coordinate, with 2**(num_folds - 1) teeth.

    With h(z) = relu(2 relu(z) - 4 relu(z - 1/2)), the target is h^k(x_1), k = num_folds. On [0, 1] it is the triangle
    wave h^k(z) = min(y, 2 - y), y = 2^k z mod 2; outside it is 0. A network that is affine on P pieces of [0, 1] has
    E|h^k - g| >= (1 - (P - 1) / 2^(k-1)) / 4 (`widththeory.bounds.affine_pieces`), and one of hidden widths w_l has
    P <= prod(w_l + 1): to be close, few hidden layers need a width exponential in k.

    Args:
        num_folds: k, at least 1.
        input_dim: dimension of the cube; only the first coordinate matters.

    Domain: the law is uniform on [0, 1]^input_dim; the network equals the target there, and from two folds on
        for all real first coordinates (the last tent has no outer ReLU).
    Error: zero. In float64 too, at every point of [0, 1]: each operation of the network is exact there.
    Size: width 2, num_folds hidden layers.

    Raises:
        ValueError: num_folds or input_dim is not an integer of at least 1.

    Source:
        [telgarsky2015] and [telgarsky2016] Section 1, Lemma 3.11 (teeth).
        Differs: they count the teeth of h^k by symmetry; the triangle-wave formula with mod is the same statement.
    """

    num_folds: int
    input_dim: int = 1

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("num_folds", self.num_folds)
        check_positive_int("input_dim", self.input_dim)

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the interval that the law is uniform on, in each coordinate."""
        return 0.0, 1.0

    @property
    def num_teeth(self) -> int:
        """Maxima of height 1 on [0, 1] (in the first coordinate)."""
        return 2 ** (self.num_folds - 1)

    @property
    def num_pieces(self) -> int:
        """Affine pieces on [0, 1] (in the first coordinate)."""
        return 2**self.num_folds

    def target(self, points: Points) -> Values:
        """Triangle wave of period 2**(1 - num_folds) on [0, 1], zero outside."""
        first = points[:, 0]
        phase = first
        for start in range(0, self.num_folds, 1000):  # all steps are exact in floating point, and none overflows
            phase = np.fmod(np.ldexp(phase, min(1000, self.num_folds - start)), 2.0)
        return np.where((first >= 0) & (first <= 1), np.minimum(phase, 2.0 - phase), 0.0)

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of the unit cube."""
        return rng.random((num_points, self.input_dim))

    def network(self) -> Network:
        """The composition of num_folds tents, in exact rationals."""
        check_built(self.size())
        half, two, four, zero = Fraction(1, 2), Fraction(2), Fraction(4), Fraction(0)
        first = [[Fraction(1)] + [zero] * (self.input_dim - 1)] * 2
        fold = ([[two, -four]] * 2, [zero, -half])
        return Network([(first, [zero, -half]), *[fold] * (self.num_folds - 1), ([[two, -four]], [zero])])

    def error(self) -> Guarantee:
        """The network is the target."""
        return Guarantee("sup", 0.0)

    def size(self) -> Size:
        """Width 2, one hidden layer a fold."""
        return Size(self.input_dim, (2,) * self.num_folds)


def separating_sawtooth(depth: int, input_dim: int = 1) -> Sawtooth:
    """The function h^(k^3 + 4) that no network with k = depth layers and at most 2^k units comes close to.

    E|f - g| >= 1/64 under the uniform law on the cube, for every ReLU network g with at most `depth` layers and at most
    2**depth units, whatever its weights.

    Args:
        depth: k, at least 1.
        input_dim: dimension of the cube.

    Source:
        [telgarsky2016] Theorem 1.1, with t = alpha = beta = 1 for ReLU units.
        Differs: their deep network has 2 k^3 + 8 layers because it counts the affine maps and ReLUs of h apart; here
        k^3 + 4 hidden layers of width 2.
    """
    check_positive_int("depth", depth)
    return Sawtooth(depth**3 + 4, input_dim)


EXAMPLES = (Sawtooth(1), Sawtooth(5), Sawtooth(12), Sawtooth(4, input_dim=3))
