"""Random networks of width 2 k^2 with two hidden layers, and the sizes of the networks they are compared with."""

from dataclasses import dataclass
from functools import cached_property
from math import isqrt

import numpy as np

from widththeory.constructions.arguments import check_built, keep_python_numbers
from widththeory.network import Network
from widththeory.typing import Guarantee, Points, Size, Values, check_positive_int


@dataclass(frozen=True)
class RandomWideNetwork:
    """A random ReLU network of width 2 k^2 with two hidden layers, as its own target.

    Weights are independent N(0, 1), biases uniform on [-1, 1). The theorem: for k >= n + 4 there is a network of this
    size such that for every b > 0 there is eps > 0 with int |F_A - F_B| >= eps for all ReLU networks F_B of width at
    most k^(3/2), at most k + 1 hidden layers and parameters in [-b, b]. It does not say that a random one will do.

    Args:
        input_dim: n, at least 1. The paper's experiments have 1 and 2.
        k: at least 1. The paper's experiments have 3, 4 and 5.
        seed: at least 0, draws the network.

    Domain: [-1, 1)^n, uniform law.
    Error: none, the network is the target.
    Size: width 2 k^2, two hidden layers.
    Raises: ValueError outside these ranges.
    Source: [lu2017] Theorem 4 and Section 4, as recalled.
        Differs: depth there counts the linear output, so their depths 3 and k + 2 are 2 and k + 1 hidden layers.
    """

    input_dim: int
    k: int
    seed: int

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("input_dim", self.input_dim)
        check_positive_int("k", self.k)
        check_positive_int("seed", self.seed, at_least=0)

    @cached_property
    def _network(self) -> Network:
        check_built(self.size())
        rng = np.random.default_rng(self.seed)
        fans = (self.input_dim, *self.size().widths, 1)
        layers = []
        for fan_in, fan_out in zip(fans, fans[1:], strict=False):
            layers.append((rng.standard_normal((fan_out, fan_in)), rng.uniform(-1.0, 1.0, fan_out)))
        return Network(layers)

    def target(self, points: Points) -> Values:
        blocks = np.array_split(points, -(-len(points) // 2048) or 1)  # small enough for the cache: twice as fast
        return np.concatenate([self._network(block)[:, 0] for block in blocks])

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        return rng.uniform(-1.0, 1.0, size=(num_points, self.input_dim))

    @property
    def interval(self) -> tuple[float, float]:
        """Sides of the domain, on which errors of one variable are measured exactly."""
        return -1.0, 1.0

    def network(self) -> Network:
        return self._network

    def error(self) -> Guarantee:
        return Guarantee("sup", 0.0)

    def size(self) -> Size:
        return wide_size(self.input_dim, self.k)


def wide_size(input_dim: int, k: int) -> Size:
    """Size of the target: width 2 k^2, two hidden layers.

    Source: [lu2017] Theorem 4, as recalled. Differs: their depth 3 counts the linear output.
    """
    return Size(check_positive_int("input_dim", input_dim), (2 * check_positive_int("k", k) ** 2,) * 2)


def narrow_size(input_dim: int, k: int) -> Size:
    """Size below which the theorem gives a positive distance: width floor(k^(3/2)), k + 1 hidden layers.

    Source: [lu2017] Theorem 4, as recalled. Differs: their depth k + 2 counts the linear output.
    """
    width = isqrt(check_positive_int("k", k) ** 3)
    return Size(check_positive_int("input_dim", input_dim), (width,) * (k + 1))


def student_size(input_dim: int, k: int) -> Size:
    """Size of the networks that the paper trains on the target: width ceil(3 k^(3/2)), k + 1 hidden layers.

    Source: [lu2017] Section 4, as recalled. Differs: their depth k + 2 counts the linear output.
    """
    width = isqrt(9 * check_positive_int("k", k) ** 3 - 1) + 1
    return Size(check_positive_int("input_dim", input_dim), (width,) * (k + 1))


def recalled_errors(input_dim: int, k: int) -> tuple[float, float]:
    """The paper's worst and average test MSE over 50 random targets, for its students of `student_size`.

    Args:
        input_dim: 1 or 2.
        k: 3, 4 or 5.

    Raises: ValueError for a row that the paper's table does not have.
    Source: [lu2017] Section 4, all numbers as recalled, the text not at hand.
    """
    table = {
        (1, 3): (0.002248, 0.000345),
        (1, 4): (0.003263, 0.000892),
        (1, 5): (0.005643, 0.001296),
        (2, 3): (0.008729, 0.001990),
        (2, 4): (0.018852, 0.006251),
        (2, 5): (0.030114, 0.007984),
    }
    if (input_dim, k) not in table:
        raise ValueError(f"input_dim must be 1 or 2 and k must be 3, 4 or 5, got {input_dim} and {k}")
    return table[input_dim, k]


EXAMPLES = (
    RandomWideNetwork(input_dim=1, k=3, seed=0),
    RandomWideNetwork(input_dim=2, k=5, seed=1),
)
