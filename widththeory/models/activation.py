"""Activations of convolutional networks: ReLU, and concatenated ReLU, which keeps both signs and doubles the channels.

Wherever a network takes an activation, what follows takes `growth` times the channels. Widths always count the channels
before it, so CReLU with half the widths has as many channels after each activation as ReLU with all of them.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from widththeory.models.convolution import Maps

GROWTH = {"relu": 1, "crelu": 2}


def growth(activation: str) -> int:
    """By how much an activation multiplies the channels: 1 for "relu", 2 for "crelu".

    Raises:
        ValueError: another name.
    """
    if activation not in GROWTH:
        raise ValueError(f"activation must be one of {sorted(GROWTH)}, got {activation!r}")
    return GROWTH[activation]


class Activation(nnx.Module):
    """relu(z), or (relu(z), relu(-z)) within each group of channels, so that grouped convolutions see both signs.

    Args:
        name: "relu" or "crelu".
        groups: of the channels, for "crelu"; 1 for all together. Must divide the channels.

    Source:
        [shang2016] Section 2. Differs: the groups, which are 1 there.
    """

    def __init__(self, name: str = "relu", groups: int = 1):
        growth(name)
        self.name = name
        self.groups = groups

    def __call__(self, maps: jax.Array) -> jax.Array:
        if self.name == "relu":
            return jax.nn.relu(maps)
        split = maps.reshape(*maps.shape[:-1], self.groups, -1)
        both = jnp.concatenate([jax.nn.relu(split), jax.nn.relu(-split)], axis=-1)
        return both.reshape(*maps.shape[:-1], -1)

    def linear_part(self, maps: Maps) -> Maps:
        """What a shortcut takes from activated maps: themselves, or for "crelu" relu(z) - relu(-z) = z.

        So a residual sum keeps its number of channels under both.
        """
        if self.name == "relu":
            return maps
        positive, negative = jnp.split(maps.reshape(*maps.shape[:-1], self.groups, -1), 2, axis=-1)
        return (positive - negative).reshape(*maps.shape[:-1], -1)
