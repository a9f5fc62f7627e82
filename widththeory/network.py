"""An explicit ReLU network as data: affine maps, evaluated in float64, in JAX, or in exact rationals.

A network with affine maps A_0, ..., A_L computes A_L ∘ relu ∘ A_{L-1} ∘ ... ∘ relu ∘ A_0; its depth is L, the number of
hidden layers. Weights are (fan-out, fan-in), as papers write them; only `models` transposes, for Flax.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from widththeory.typing import Outputs, Points, Rationals, Size, check_positive_int

try:
    import flint
except ModuleNotFoundError:  # exact results are the same with fractions alone, some ten times slower
    flint = None


class Affine(NamedTuple):
    """The map x -> weight @ x + bias. Entries are float64, or `fractions.Fraction` in arrays of dtype object."""

    weight: Shaped[np.ndarray, "fan_out fan_in"]
    bias: Shaped[np.ndarray, "fan_out"]


_as_fraction = np.frompyfunc(Fraction, 1, 1)


def _entries(name: str, array: Any) -> np.ndarray:
    """Float64 array, or an object array of Fractions when any entry is a Fraction."""
    array = np.asarray(array)
    if array.dtype == object:
        try:
            return np.asarray(_as_fraction(array), dtype=object)
        except (TypeError, ValueError, OverflowError) as reason:
            raise ValueError(f"{name} must hold finite numbers or Fractions: {reason}") from None
    array = array.astype(np.float64)
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must hold finite numbers, got NaN or infinity")
    return array


@dataclass(frozen=True, eq=False)
class Network:
    """A fully connected ReLU network, given by its affine maps.

    Args:
        layers: pairs (weight, bias), the first acting on the input, the last linear. Float arrays, or arrays (or nested
            lists) of `Fraction` for a network that is exact in rational arithmetic.

    Raises:
        ValueError: no layers, shapes that do not chain, NaN or infinite entries.
    """

    layers: tuple[Affine, ...]

    def __init__(self, layers: Sequence[tuple[Any, Any]]):
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
        return tuple(Affine(w.astype(np.float64), b.astype(np.float64)) for w, b in self.layers)

    @cached_property
    def _fraction_layers(self) -> tuple[Affine, ...]:
        return tuple(Affine(*(_fractions(part) for part in layer)) for layer in self.layers)

    def rational(self) -> "Network":
        """The same network with Fraction entries; a float becomes the dyadic rational it stores."""
        return Network(self._fraction_layers)

    def float64(self) -> "Network":
        """The same network with float64 entries (each Fraction rounded once)."""
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
        """Values in JAX, in the dtype of `points`; differentiable, and safe under jit, vmap and grad."""
        import jax.numpy as jnp  # here, so that importing a construction starts no device work

        self._check_input(points.shape)
        hidden = points
        last = len(self._float_layers) - 1
        for index, (weight, bias) in enumerate(self._float_layers):
            hidden = hidden @ jnp.asarray(weight.T, points.dtype) + jnp.asarray(bias, points.dtype)
            hidden = hidden if index == last else jnp.maximum(hidden, 0)
        return hidden

    def exact(self, points: Any) -> Rationals:
        """Values in exact rational arithmetic, as an object array of Fractions.

        Args:
            points: (num_points, input_dim) nested list or array of Fractions, ints or floats, taken as they are stored.
        """
        rows = _fractions(np.asarray(points, dtype=object))
        self._check_input(rows.shape)
        hidden = rows.T
        for index, (weight, bias) in enumerate(self._fraction_layers):
            hidden = _rational_matmul(weight, hidden) + bias[:, None]
            if index < len(self.layers) - 1:
                hidden = np.where(hidden > 0, hidden, Fraction(0))
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


def _fractions(array: np.ndarray) -> np.ndarray:
    return np.asarray(_as_fraction(array), dtype=object).reshape(array.shape)


def _rational_matmul(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Product of two object arrays of Fractions."""
    if flint is None:
        return np.asarray(left @ right, dtype=object)

    def matrix(array: np.ndarray) -> Any:
        entries = [flint.fmpq(entry.numerator, entry.denominator) for entry in array.ravel()]
        return flint.fmpq_mat(*array.shape, entries)

    product = matrix(left) * matrix(right)
    entries = [Fraction(int(entry.p), int(entry.q)) for entry in product.entries()]
    return np.array(entries, dtype=object).reshape(len(left), right.shape[1])


def compose(outer: Network, inner: Network) -> Network:
    """The network x -> outer(inner(x)), exactly: the two affine maps that meet are multiplied out.

    Depth is the sum of the two depths. Raises ValueError when the dimensions do not meet.
    """
    if outer.input_dim != inner.output_dim:
        raise ValueError(f"outer takes {outer.input_dim} inputs, but inner has {inner.output_dim} outputs")
    (first_weight, first_bias), (last_weight, last_bias) = outer.layers[0], inner.layers[-1]
    if first_weight.dtype != last_weight.dtype:  # a rational and a float meet: keep the rational exact
        first_weight, first_bias, last_weight, last_bias = map(
            _fractions, (first_weight, first_bias, last_weight, last_bias)
        )
    meeting = (first_weight @ last_weight, first_weight @ last_bias + first_bias)
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
    """The network x -> sum_i c_i f_i(x), from `stack`. Raises ValueError unless there is one coefficient a network."""
    stacked = stack(networks)
    outputs = networks[0].output_dim
    if len(coefficients) != len(networks) or any(network.output_dim != outputs for network in networks):
        raise ValueError(
            f"coefficients must hold one number for each of the {len(networks)} networks of equal output dimension, "
            f"got {len(coefficients)}"
        )
    identity = np.eye(outputs, dtype=stacked.layers[-1].weight.dtype)
    weight = np.hstack([np.asarray(c * identity) for c in coefficients])
    return stacked.then(weight, np.zeros(outputs, dtype=identity.dtype))


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
