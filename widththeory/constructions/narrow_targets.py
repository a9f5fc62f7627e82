"""Targets that a network of width below the input dimension cannot approximate on the cube, whatever its depth."""

from collections.abc import Callable
from dataclasses import dataclass
from math import pi, sqrt

import numpy as np

from widththeory.constructions.arguments import keep_python_numbers
from widththeory.typing import Points, Values, check_positive_int

# name -> function, and as functions of n: its Euclidean Lipschitz constant and its largest absolute value on the cube
_TARGETS: dict[str, tuple[Callable[[Points], Values], Callable[[int], float], Callable[[int], float]]] = {
    "sum_of_squares": (lambda x: (x * x).sum(axis=1), lambda n: 2 * sqrt(n), float),
    "product": (lambda x: x.prod(axis=1), sqrt, lambda n: 1.0),
    "norm": (lambda x: np.sqrt((x * x).sum(axis=1)), lambda n: 1.0, sqrt),
    "product_of_cosines": (lambda x: np.cos(pi * x).prod(axis=1), lambda n: pi, lambda n: 1.0),
    "maximum": (lambda x: x.max(axis=1), lambda n: 1.0, lambda n: 1.0),
}

NAMES = tuple(_TARGETS)


@dataclass(frozen=True)
class NarrowTarget:
    """A continuous function on [-1, 1]^n that is constant along no direction, by its name.

    "sum_of_squares" is x_1^2 + ... + x_n^2, "product" x_1 ... x_n, "norm" |x|, "product_of_cosines" cos(pi x_1) ...
    cos(pi x_n), "maximum" max(x_1, ..., x_n). For n >= 2 there is eps > 0 such that every ReLU network of width at most
    n - 1, of any depth, is at least eps away in L1: it is constant along a direction in the kernel of its first layer.

    Args:
        name: one of `NAMES`.
        input_dim: n, at least 1 (the statement needs at least 2).

    Domain: [-1, 1]^n, uniform law.
    Raises: ValueError for an unknown name or input_dim below 1.
    Source: [lu2017] Theorem 3, as recalled. Differs: the functions are chosen for this project.
    """

    name: str
    input_dim: int = 2

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        if self.name not in NAMES:
            raise ValueError(f"name must be one of {', '.join(NAMES)}, got {self.name!r}")
        check_positive_int("input_dim", self.input_dim)

    def target(self, points: Points) -> Values:
        return _TARGETS[self.name][0](points)

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        return rng.uniform(-1.0, 1.0, size=(num_points, self.input_dim))

    @property
    def lipschitz(self) -> float:
        """A Lipschitz constant on the cube, in the Euclidean norm."""
        return float(_TARGETS[self.name][1](self.input_dim))

    @property
    def largest(self) -> float:
        """The largest absolute value on the cube."""
        return float(_TARGETS[self.name][2](self.input_dim))


EXAMPLES = tuple(NarrowTarget(name, input_dim) for name in NAMES for input_dim in (2, 3))
