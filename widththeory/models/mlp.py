"""The fully connected ReLU network as a Flax module, its initial laws, and its two ways to and from a `Network`."""

import itertools
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from widththeory.network import Network
from widththeory.typing import Points, check_positive_int

# Var(weight) = gain / fan, with fan-in or the mean of fan-in and fan-out; biases start at zero.
INITIALIZERS: dict[str, tuple[float, Literal["fan_in", "fan_avg"]]] = {
    "lecun": (1.0, "fan_in"),
    "he": (2.0, "fan_in"),
    "glorot": (1.0, "fan_avg"),
}
HINGED = "hinged"  # see `initial_network`; a module alone has no points to pass through


def check_initializer(init: str) -> str:
    """Return `init`, or raise ValueError."""
    if init not in INITIALIZERS:
        raise ValueError(f"init must be one of {sorted(INITIALIZERS)}, got {init!r}")
    return init


class MLP(nnx.Module):
    """A fully connected ReLU network.

    Depth counts hidden layers. widths () is an affine map; widths (8,) is affine, ReLU, affine; widths (8, 8) is
    affine, ReLU, affine, ReLU, affine.

    Args:
        input_dim: inputs, at least 1.
        widths: units of each hidden layer.
        output_dim: outputs, at least 1.
        init: "lecun" (variance 1/fan-in), "he" (2/fan-in) or "glorot" (2/(fan-in + fan-out)); normal, biases zero.
        param_dtype: dtype of weights and biases.
        rngs: the module's random streams.
    """

    def __init__(
        self,
        input_dim: int,
        widths: Sequence[int],
        output_dim: int = 1,
        *,
        init: str = "lecun",
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        sizes = [check_positive_int("input_dim", input_dim)]
        sizes += [check_positive_int(f"widths[{index}]", width) for index, width in enumerate(widths)]
        sizes += [check_positive_int("output_dim", output_dim)]
        gain, fan = INITIALIZERS[check_initializer(init)]
        kernel_init = jax.nn.initializers.variance_scaling(gain, fan, "normal")
        self.layers = nnx.List(
            nnx.Linear(fan_in, fan_out, kernel_init=kernel_init, param_dtype=param_dtype, dtype=param_dtype, rngs=rngs)
            for fan_in, fan_out in itertools.pairwise(sizes)
        )

    def __call__(self, points: Float[jax.Array, "*batch input_dim"]) -> Float[jax.Array, "*batch output_dim"]:
        for layer in list(self.layers)[:-1]:
            points = jax.nn.relu(layer(points))
        return self.layers[-1](points)


def to_network(model: nnx.Module) -> Network:
    """The network that the module computes, in float64. Flax kernels are (in, out): here alone they are transposed.

    Raises:
        TypeError: another module than an `MLP`, whose activation is not known.
    """
    if not isinstance(model, MLP):
        raise TypeError(
            f"model must be an MLP, got {type(model).__name__}; of a ReLU network of other modules give the layers: "
            "Network([(np.asarray(layer.kernel[...]).T, np.asarray(layer.bias[...])), ...])"
        )
    layers = [nnx.to_pure_dict(nnx.state(layer)) for layer in model.layers]
    return Network([(np.asarray(layer["kernel"]).T, np.asarray(layer["bias"])) for layer in layers])


def from_network(network: Network, *, param_dtype: Any = jnp.float32) -> MLP:
    """The module that computes `network`, its numbers rounded to `param_dtype`; so a construction can start a fit."""
    size = network.size
    model = MLP(size.input_dim, size.widths, network.output_dim, param_dtype=param_dtype, rngs=nnx.Rngs(0))
    for layer, (weight, bias) in zip(model.layers, network.float64().layers, strict=True):
        layer.kernel = nnx.Param(jnp.asarray(weight.T, param_dtype))
        layer.bias = nnx.Param(jnp.asarray(bias, param_dtype))
    return model


def initial_network(
    input_dim: int, widths: Sequence[int], *, init: str, seed: int, points: Points | None = None
) -> Network:
    """A network drawn from the law that `MLP` draws from, by NumPy: equal on every device, nothing to compile.

    With init "hinged" it is "he", except that the hinge of each unit of the first layer, where its ReLU bends, passes
    through one of `points`, drawn at random. With biases zero all hinges meet in the origin, and targets that oscillate
    away from it are hardly found.
    """
    return Network(initial_layers(input_dim, widths, init, seed, points))


def initial_layers(
    input_dim: int, widths: Sequence[int], init: str, seed: int, points: Points | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights and biases of `initial_network`."""
    rng = np.random.default_rng([seed, *b"weights"])  # a stream of its own: targets are drawn from `seed` itself
    gain, fan = INITIALIZERS["he" if init == HINGED else check_initializer(init)]
    sizes = [input_dim, *widths, 1]
    layers = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        scale = np.sqrt(gain / (fan_in if fan == "fan_in" else (fan_in + fan_out) / 2))
        layers.append((scale * rng.standard_normal((fan_out, fan_in)), np.zeros(fan_out)))
    if init == HINGED and widths:
        if points is None:
            raise ValueError(f"points must be given for init {HINGED!r}, got None")
        weight = layers[0][0]
        through = points[rng.integers(len(points), size=len(weight))]
        layers[0] = (weight, -np.sum(weight * through, axis=1))
    return layers
