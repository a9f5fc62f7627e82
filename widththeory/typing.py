"""Shape vocabulary, and the three small records that theorems return.

Shapes live in annotations and are checked under test (jaxtyping + beartype); docstrings do not repeat them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Shaped

Points = Float[np.ndarray, "num_points input_dim"]
Values = Float[np.ndarray, "num_points"]
Outputs = Float[np.ndarray, "num_points output_dim"]
Rationals = Shaped[np.ndarray, "num_points output_dim"]  # dtype object, entries fractions.Fraction

Norm = Literal["sup", "l1", "l2"]


@dataclass(frozen=True)
class Certified:
    """A number that a theorem gives, and the error of its own computation: |value - exact| <= error."""

    value: float
    error: float

    def __post_init__(self) -> None:
        if not self.error >= 0:
            raise ValueError(f"error must be at least 0, got {self.error!r}")

    @property
    def lower(self) -> float:
        """A number certainly not above the exact one: value - error, rounded down."""
        below = self.value - self.error
        # a difference of zero is exact: a floor that proves nothing is zero, not the number next to it
        return math.nextafter(below, -math.inf) if self.error and below else below

    @property
    def upper(self) -> float:
        """A number certainly not below the exact one: value + error, rounded up."""
        return math.nextafter(self.value + self.error, math.inf) if self.error else self.value


@dataclass(frozen=True)
class Guarantee:
    """What a construction promises: ||network - target|| <= bound.

    `norm` is taken under the construction's own law, the one `sample` draws from: "l1" is E|.|, "l2" is (E|.|^2)^(1/2),
    "sup" the supremum over the law's support. `bound` is for exact arithmetic; floating point adds to it.
    """

    norm: Norm
    bound: float


@dataclass(frozen=True)
class Size:
    """Size of a fully connected network: `widths` of its hidden layers, weights and biases counted as `num_params`."""

    input_dim: int
    widths: tuple[int, ...]
    output_dim: int = 1

    @property
    def width(self) -> int:
        """Units in the widest hidden layer (0 for an affine map)."""
        return max(self.widths, default=0)

    @property
    def depth(self) -> int:
        """Number of hidden layers: 0 for an affine map, 1 for `affine, ReLU, affine`."""
        return len(self.widths)

    @property
    def num_params(self) -> int:
        """Entries of all dense weight matrices and bias vectors."""
        fan_ins = (self.input_dim, *self.widths)
        fan_outs = (*self.widths, self.output_dim)
        return sum((i + 1) * o for i, o in zip(fan_ins, fan_outs, strict=True))


@runtime_checkable
class Construction(Protocol):
    """A target function and the law it is measured under. Frozen dataclasses; modules list instances as `EXAMPLES`.

    A construction whose theorem gives an explicit network also has `network() -> Network`, `error() -> Guarantee` and
    `size() -> Size`; `size` counts by formula, so that it does not need the network.

    Those of this package raise ValueError for sizes above 2^24, for real numbers above 1e150 (beyond float64 where
    Fractions are taken), for networks of more than 2^24 hidden layers in `size`, and of more than 2^18 layers or 2^27
    numbers in `network`; see `constructions.arguments`.
    """

    @property
    def input_dim(self) -> int:
        """Dimension of the inputs of `target`."""
        ...

    def target(self, points: Points) -> Values:
        """Values of the target function."""
        ...

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Independent draws from the law the theorem is stated for."""
        ...


def to_fraction(number: Any) -> Fraction:
    """`number` as it is stored; parts are Python ints, since Fraction keeps NumPy's, which overflow in silence.

    Raises:
        TypeError, ValueError, OverflowError: what is not a finite real number.
    """
    if type(number) is Fraction and type(number.numerator) is int and type(number.denominator) is int:
        return number
    fraction = Fraction(number.item() if isinstance(number, np.generic) else number)
    return Fraction(int(fraction.numerator), int(fraction.denominator))


def as_tuples(value: Any) -> Any:
    """`value` with tuples in the place of lists, at every depth: as JSON has it, and as settings must, to be hashed."""
    return tuple(as_tuples(item) for item in value) if isinstance(value, (list, tuple)) else value


def is_real(value: Any) -> bool:
    """Whether it is a number of Python or NumPy on the real line, NaN and infinities too; truth values are none."""
    return isinstance(value, (int, float, Fraction, np.integer, np.floating)) and not isinstance(value, bool)


def _is_float(value: Any) -> bool:
    try:
        return is_real(value) and math.isfinite(value)
    except OverflowError:
        return False


def check_positive_int(name: str, value: Any, *, at_least: int = 1) -> int:
    """Return `value` as an int, or raise ValueError naming the argument, its value and what is allowed."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < at_least:
        raise ValueError(f"{name} must be an integer of at least {at_least}, got {value!r}")
    return int(value)


def check_positive(name: str, value: Any) -> float:
    """Return `value` as a float, or raise ValueError naming the argument, its value and what is allowed."""
    if not (_is_float(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, got {value!r}")
    return float(value)


def check_not_negative(name: str, value: Any) -> float:
    """Return `value` as a float, or raise ValueError naming the argument, its value and what is allowed."""
    if not (_is_float(value) and value >= 0):
        raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")
    return float(value)


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Raise ValueError for what is none of the choices, naming the argument, its value and what is allowed."""
    if value not in choices:
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, got {value!r}")


def check_narrow(width: Any, dim: Any, name: str = "input_dim") -> None:
    """Raise ValueError unless 1 <= width < dim, both integers; `name` is the dimension's."""
    check_positive_int(name, dim, at_least=2)
    if check_positive_int("width", width) >= dim:
        raise ValueError(f"width must be below {name} = {dim}, got {width}")
