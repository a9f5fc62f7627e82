"""An explicit ReLU network as data: affine maps, evaluated in float64, in JAX, or in exact rationals.

A network with affine maps A_0, ..., A_L computes A_L ∘ relu ∘ A_{L-1} ∘ ... ∘ relu ∘ A_0; its depth is L, the number of
hidden layers. Weights are (fan-out, fan-in), as papers write them; only `models` transposes, for Flax.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from widththeory.typing import Outputs, Points, Rationals, Size, check_positive_int, to_fraction

try:
    import flint
except ModuleNotFoundError:  # exact results are the same with fractions alone, some ten times slower
    flint = None  # type: ignore[assignment]


class Affine(NamedTuple):
    """The map x -> weight @ x + bias. Entries are float64, or `fractions.Fraction` in arrays of dtype object."""

    weight: Shaped[np.ndarray, "fan_out fan_in"]
    bias: Shaped[np.ndarray, "fan_out"]


_ZERO = np.array(Fraction(0), dtype=object)


_as_fraction = np.frompyfunc(to_fraction, 1, 1)


def _fractions(name: str, array: Any) -> np.ndarray:
    """Object array of Fractions."""
    try:
        array = np.asarray(array, dtype=object)
        return np.asarray(_as_fraction(array), dtype=object).reshape(array.shape)
    except (TypeError, ValueError, OverflowError) as reason:
        raise ValueError(f"{name} must hold finite real numbers or Fractions: {reason}") from None


def _floats(name: str, array: np.ndarray) -> np.ndarray:
    """Float64 copy; each Fraction is rounded once."""
    try:
        return array.astype(np.float64)
    except OverflowError:
        raise ValueError(f"{name} has entries too large for float64; `exact` can still evaluate the network") from None


def _entries(name: str, array: Any) -> np.ndarray:
    """Read-only float64 copy, or an object array of Fractions when any entry is not a plain number."""
    try:
        array = np.asarray(array)
    except ValueError as reason:  # rows of different lengths
        raise ValueError(f"{name} must be an array of numbers: {reason}") from None
    if array.dtype == object:
        array = _fractions(name, array)
    elif not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer) or array.dtype == bool):
        raise ValueError(f"{name} must hold real numbers or Fractions, got dtype {array.dtype}")
    else:
        array = array.astype(np.float64)
        if not np.all(np.isfinite(array)):
            raise ValueError(f"{name} must hold finite numbers, got NaN or infinity")
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """A fully connected ReLU network, given by its affine maps.

    Args:
        layers: pairs (weight, bias), the first acting on the input, the last linear. Float arrays, or arrays (or nested
            lists) of `Fraction` for a network that is exact in rational arithmetic.

    Raises:
        ValueError: no layers, shapes that do not chain, entries that are not finite real numbers.
    """

    layers: tuple[Affine, ...]

    def __init__(self, layers: Sequence[tuple[Any, Any]]):
        layers = list(layers)
        if not layers:
            raise ValueError("layers must hold at least one affine map, got none")
        maps: list[Affine] = []
        for index, (weight, bias) in enumerate(layers):
            weight, bias = _entries(f"layers[{index}].weight", weight), _entries(f"layers[{index}].bias", bias)
            if weight.ndim != 2 or bias.shape != weight.shape[:1] or 0 in weight.shape:
                raise ValueError(
                    f"layers[{index}] must be a (fan_out, fan_in) weight and a (fan_out,) bias, "
                    f"got shapes {weight.shape} and {bias.shape}"
                )
            if maps and weight.shape[1] != maps[-1].weight.shape[0]:
                raise ValueError(
                    f"layers[{index}] has fan-in {weight.shape[1]}, but the layer before it has "
                    f"{maps[-1].weight.shape[0]} units"
                )
            maps.append(Affine(weight, bias))
        object.__setattr__(self, "layers", tuple(maps))

    def __repr__(self) -> str:
        entries = "rational" if self.is_rational else "float64"
        return (
            f"Network(input_dim={self.input_dim}, widths={self.size.widths}, output_dim={self.output_dim}, {entries})"
        )

    @property
    def input_dim(self) -> int:
        return self.layers[0].weight.shape[1]

    @property
    def output_dim(self) -> int:
        return self.layers[-1].weight.shape[0]

    @cached_property
    def size(self) -> Size:
        """Widths of the hidden layers; `size.width`, `size.depth` and `size.num_params` follow."""
        return Size(self.input_dim, tuple(len(layer.bias) for layer in self.layers[:-1]), self.output_dim)

    @property
    def is_rational(self) -> bool:
        """Whether every entry is a Fraction, so that `exact` evaluates the network its author meant."""
        return all(part.dtype == object for layer in self.layers for part in layer)

    @cached_property
    def _float_layers(self) -> tuple[Affine, ...]:
        return tuple(Affine(*_named(_floats, index, layer)) for index, layer in enumerate(self.layers))

    @cached_property
    def _fraction_layers(self) -> tuple[Affine, ...]:
        return tuple(Affine(*_named(_fractions, index, layer)) for index, layer in enumerate(self.layers))

    def rational(self) -> "Network":
        """The same network with Fraction entries; a float becomes the dyadic rational it stores."""
        return Network(self._fraction_layers)

    def float64(self) -> "Network":
        """The same network with float64 entries, each Fraction rounded once.

        Raises:
            ValueError: an entry is too large for float64.
        """
        return Network(self._float_layers)

    def __call__(self, points: Points) -> Outputs:
        """Values in NumPy float64."""
        self._check_input(np.shape(points))
        hidden = np.asarray(points, dtype=np.float64).T
        for weight, bias in self._float_layers[:-1]:
            hidden = np.maximum(weight @ hidden + bias[:, None], 0.0)
        weight, bias = self._float_layers[-1]
        return (weight @ hidden + bias[:, None]).T

    def jax(self, points: Float[Any, "num_points input_dim"]) -> Float[Any, "num_points output_dim"]:
        """Values in JAX, in the dtype of `points`; differentiable (relu'(0) = 0), and safe under jit, vmap and grad."""
        import jax  # here, so that importing a construction starts no device work
        import jax.numpy as jnp

        points = jnp.asarray(points)
        self._check_input(points.shape)
        if not jnp.issubdtype(points.dtype, jnp.floating):
            raise ValueError(f"points must have a floating dtype, got {points.dtype}")
        hidden = points
        for index, (weight, bias) in enumerate(self._float_layers):
            hidden = jax.nn.relu(hidden) if index else hidden
            # Accelerators would otherwise round the factors of float32 products to fewer bits.
            hidden = jnp.matmul(hidden, jnp.asarray(weight.T, points.dtype), precision="highest")
            hidden = hidden + jnp.asarray(bias, points.dtype)[None, :]
        return hidden

    def exact(self, points: Any) -> Rationals:
        """Values in exact rational arithmetic, as an object array of Fractions.

        Args:
            points: (num_points, input_dim) nested list or array of Fractions, ints or floats, taken as they are stored.
        """
        rows = _fractions("points", points)
        self._check_input(rows.shape)
        hidden = rows.T
        for index, (weight, bias) in enumerate(self._fraction_layers):
            hidden = _rational_matmul(weight, hidden) + bias[:, None]
            if index < len(self.layers) - 1:
                hidden = np.where(hidden > 0, hidden, _ZERO)
        return hidden.T

    def _check_input(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 2 or shape[1] != self.input_dim:
            raise ValueError(f"points must have shape (num_points, {self.input_dim}), got {tuple(shape)}")

    def then(self, weight: Any, bias: Any) -> "Network":
        """The affine map x -> weight @ x + bias applied to the output; size of the hidden layers unchanged."""
        return compose(Network([(weight, bias)]), self)

    def deepen(self, depth: int) -> "Network":
        """The same function with `depth` hidden layers: y = relu(y) - relu(-y) carries the output through the new ones.

        Raises:
            ValueError: depth is less than the network has.
        """
        check_positive_int("depth", depth, at_least=self.size.depth)
        if depth == self.size.depth:
            return self
        dtype = self.layers[-1].weight.dtype
        identity, zero = np.eye(self.output_dim, dtype=dtype), np.zeros(2 * self.output_dim, dtype=dtype)
        both = np.vstack([identity, -identity])
        split = self.then(both, zero).layers
        carry = [(np.eye(2 * self.output_dim, dtype=dtype), zero)] * (depth - self.size.depth - 1)
        return Network([*split, *carry, (both.T, zero[: self.output_dim])])


def _named(convert: Callable[[str, np.ndarray], np.ndarray], index: int, layer: Affine) -> Iterator[np.ndarray]:
    """Both parts of layer `index`, converted under the names that error messages give them."""
    return (convert(f"layers[{index}].{field}", part) for field, part in zip(layer._fields, layer, strict=True))


def _rational_matmul(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Product of two object arrays of Fractions."""
    if flint is None:
        return np.asarray(left @ right, dtype=object)

    def matrix(array: np.ndarray) -> Any:
        entries = [flint.fmpq(entry.numerator, entry.denominator) for entry in array.ravel()]
        return flint.fmpq_mat(array.shape[0], array.shape[1], entries)

    product = matrix(left) * matrix(right)
    entries = [Fraction(int(entry.p), int(entry.q)) for entry in product.entries()]
    return np.array(entries, dtype=object).reshape(len(left), right.shape[1])


def compose(outer: Network, inner: Network) -> Network:
    """The network x -> outer(inner(x)): the two affine maps that meet are multiplied out, and depths add up.

    Exact when a Fraction is involved on either side of the meeting; in float64 the product rounds.

    Raises:
        ValueError: the dimensions do not meet.
    """
    if outer.input_dim != inner.output_dim:
        raise ValueError(f"outer takes {outer.input_dim} inputs, but inner has {inner.output_dim} outputs")
    first, last = outer.layers[0], inner.layers[-1]
    if any(part.dtype == object for part in (*first, *last)):  # a product of a Fraction and a float would be a float
        first = Affine(*_named(_fractions, 0, first))
        last = Affine(*_named(_fractions, inner.size.depth, last))
        weight = _rational_matmul(first.weight, last.weight)
    else:
        weight = first.weight @ last.weight
    meeting = (weight, first.weight @ last.bias + first.bias)
    return Network([*inner.layers[:-1], meeting, *outer.layers[1:]])


def stack(networks: Sequence[Network]) -> Network:
    """The network x -> (f_1(x), ..., f_N(x)) that runs its parts side by side on one input.

    Hidden widths add layer by layer; shallower parts are first deepened to the deepest (`Network.deepen`).

    Raises:
        ValueError: no networks, or different input dimensions.
    """
    if not networks:
        raise ValueError("networks must hold at least one network, got none")
    dims = {network.input_dim for network in networks}
    if len(dims) != 1:
        raise ValueError(f"networks must share one input dimension, got {sorted(dims)}")
    depth = max(network.size.depth for network in networks)
    parts = [network.deepen(depth).layers for network in networks]
    layers = []
    for index, row in enumerate(zip(*parts, strict=True)):
        bias = np.concatenate([part.bias for part in row])
        weight = (
            np.vstack([part.weight for part in row]) if index == 0 else _block_diagonal([part.weight for part in row])
        )
        layers.append((weight, bias))
    return Network(layers)


def linear_combination(coefficients: Any, networks: Sequence[Network]) -> Network:
    """The network x -> sum_i c_i f_i(x), from `stack`; a coefficient that is a Fraction stays exact.

    Raises:
        ValueError: not one coefficient a network, or networks of different input or output dimensions.
    """
    coefficients = _entries("coefficients", coefficients)
    if coefficients.shape != (len(networks),):
        raise ValueError(
            f"coefficients must hold one number for each of the {len(networks)} networks, "
            f"got shape {coefficients.shape}"
        )
    stacked = stack(networks)
    outputs = {network.output_dim for network in networks}
    if len(outputs) != 1:
        raise ValueError(f"networks must share one output dimension, got {sorted(outputs)}")
    identity = np.eye(networks[0].output_dim, dtype=np.int64)
    return stacked.then(np.kron(coefficients, identity), np.zeros(len(identity)))


def _block_diagonal(blocks: Sequence[np.ndarray]) -> np.ndarray:
    rational = any(block.dtype == object for block in blocks)
    result = np.zeros(np.sum([block.shape for block in blocks], axis=0), dtype=object if rational else np.float64)
    if rational:
        result.fill(Fraction(0))
    row = column = 0
    for block in blocks:
        result[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return result
