"""A network as pure functions of its arrays: split once from its Flax module, and never seen as a module again."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from widththeory.models.convolution import Maps
from widththeory.models.layers import Architecture

Arrays = dict[str, Any]  # by the path of each in its module, such as "layers.0.kernel"


@dataclass(frozen=True)
class Functional:
    """A network without its arrays; equal ones are one program to a compiler.

    Args:
        architecture: see `Architecture`.
        method: of the convolutions, see `convolve`.
        dtype: of the layers, by name.
        param_dtype: of weights and running statistics, by name.
    """

    architecture: Architecture
    method: str = "native"
    dtype: str = "float32"
    param_dtype: str = "float32"

    def shapes(self) -> tuple[Arrays, Arrays]:
        """Shapes and dtypes of the weights and of the running statistics, in the order of the module's layers."""
        _, params, stats = _split(self)
        return _named(params), _named(stats)

    def init(self, seed: int) -> tuple[Arrays, Arrays]:
        """Initial weights and running statistics by the module's law, in NumPy: equal anywhere, nothing to compile.

        Kernels are normal with variance 2 / fan-in; scales and variances 1; biases and means 0.
        """
        rng = np.random.default_rng([seed, *b"image weights"])
        params, stats = self.shapes()
        return (
            {name: _initial(name, leaf, rng) for name, leaf in params.items()},
            {name: _initial(name, leaf, rng) for name, leaf in stats.items()},
        )

    def apply(
        self, params: Arrays, stats: Arrays, images: Maps, *, training: bool
    ) -> tuple[Float[jax.Array, "_batch _classes"], Arrays]:
        """Logits, and the running statistics after: training uses the batch's own and moves the running ones."""
        plan, *shapes = _split(self)
        model = nnx.merge(
            plan, *(_unnamed(shape, arrays) for shape, arrays in zip(shapes, (params, stats), strict=True)), copy=True
        )
        if training:
            model.train()
        else:
            model.eval()
        logits = model(images)
        return logits, _named(nnx.state(model, nnx.BatchStat))


def is_kernel(name: str) -> bool:
    """Whether an array is the kernel of a convolution or of a dense layer, which alone are made to decay."""
    return name.rpartition(".")[2] == "kernel"


def first_kernel(params: Arrays) -> Any:
    """The filters of the first layer, [height, width, channels, filters]."""
    return next(array for name, array in sorted(params.items(), key=_layer) if is_kernel(name))


@lru_cache(maxsize=256)
def _split(network: Functional) -> tuple[Any, Any, Any]:
    """The module's plan, and its two states with shapes in place of arrays."""
    with jax.enable_x64(network.param_dtype == "float64"):
        model = nnx.eval_shape(
            lambda: network.architecture.build(
                nnx.Rngs(0), network.method, jnp.dtype(network.dtype), jnp.dtype(network.param_dtype)
            )
        )
        split: Any = nnx.split(model, nnx.Param, nnx.BatchStat)
    plan, params, stats = split
    return plan, params, stats


def _named(state: Any) -> Arrays:
    leaves = jax.tree.leaves_with_path(nnx.to_pure_dict(state))
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _unnamed(state: Any, arrays: Arrays) -> Any:
    return jax.tree.unflatten(jax.tree.structure(state), [arrays[name] for name in _named(state)])


def _layer(item: tuple[str, Any]) -> list[tuple[int, str]]:
    """Layers in order: the tenth comes after the second."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in item[0].split(".")]


def _initial(name: str, leaf: Any, rng: np.random.Generator) -> np.ndarray:
    kind = name.rpartition(".")[2]
    if kind == "kernel":
        scale = math.sqrt(2 / math.prod(leaf.shape[:-1]))
        return (scale * rng.standard_normal(leaf.shape)).astype(leaf.dtype)
    if kind in ("scale", "var", "bias", "mean"):
        return np.full(leaf.shape, 1 if kind in ("scale", "var") else 0, leaf.dtype)
    raise ValueError(f"the initial law of {name} is not known")
