"""ShuffleNet v1: grouped 1x1 convolutions, between which channels are shuffled; the first layer is 24 filters wide."""

import itertools
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx

from widththeory.models.activation import Activation
from widththeory.models.convolution import Maps, average_pool, output_size
from widththeory.models.cost import Cost, conv_cost, dense_cost, norm_cost
from widththeory.models.layers import Architecture, GlobalAverage, Layers, MaxPool, check_stem, check_widths, scaled

# Channels of the three stages for each number of groups, at about equal work.
WIDTHS = {1: (144, 288, 576), 2: (200, 400, 800), 3: (240, 480, 960), 4: (272, 544, 1088), 8: (384, 768, 1536)}


class Shuffle(nnx.Module):
    """Channel i of group g becomes channel g of group i, so that the next groups see all of the last ones."""

    def __init__(self, groups: int):
        self.groups = groups

    def __call__(self, maps: Maps) -> Maps:
        split = maps.reshape(*maps.shape[:-1], self.groups, -1)
        return split.swapaxes(-1, -2).reshape(maps.shape)


class Unit(nnx.Module):
    """activation(x + branch(x)), or with stride 2 activation of a 3x3 average pooling of x beside branch(x)."""

    def __init__(self, branch: nnx.Sequential, strides: int, entered: Activation, act: Activation):
        self.branch = branch
        self.strides = strides
        self.entered = entered  # what activated x
        self.act = act

    def __call__(self, maps: Maps) -> Maps:
        kept = self.entered.linear_part(maps)
        if self.strides == 1:
            return self.act(kept + self.branch(maps))
        return self.act(jnp.concatenate([average_pool(kept, 3, 2, 1), self.branch(maps)], axis=-1))


@dataclass(frozen=True)
class ShuffleNet(Architecture):
    """A 3x3 convolution of stride 2, a pooling, stages of units whose first has stride 2; the default is 1x, g = 3.

    A unit is a grouped 1x1 convolution to a quarter of its stage's width, a shuffle, a 3x3 depthwise and a grouped 1x1
    convolution. The very first 1x1 convolution is not grouped.

    Args:
        image_size, num_classes, in_channels, activation: as in `Architecture`. With CReLU shortcuts carry
            relu(z) - relu(-z) = z, and both signs of a channel stay in its group.
        stem_width: channels of the first convolution.
        widths: channels of each stage, multiples of 4 groups, and each wider than what comes before it.
        lengths: units of each stage.
        groups: of the 1x1 convolutions; they divide stem_width.
        stem: "imagenet", 3x3 with stride 2 and a 3x3 pooling with stride 2; "cifar", 3x3 with stride 1 and no pooling.

    Raises:
        ValueError: widths that do not rise, or that the groups do not divide.

    Source:
        [zhang2018] Tables 1 and 2; the first stage's groups as in the authors' code.
    """

    image_size: int = 224
    num_classes: int = 1000
    stem_width: int = 24
    widths: tuple[int, ...] = WIDTHS[3]
    lengths: tuple[int, ...] = (4, 8, 4)
    groups: int = 3
    stem: str = "imagenet"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths("stem_width", (self.stem_width,))
        check_widths("widths", self.widths)
        check_widths("lengths", self.lengths, len(self.widths))
        check_widths("groups", (self.groups,))
        check_stem(self.stem)
        passed = (self.stem_width, *self.widths)
        if any(after <= before for before, after in itertools.pairwise(passed)):
            raise ValueError(f"stem_width and widths must rise, as a stage adds channels to those before, got {passed}")
        if any(width % (4 * self.groups) for width in self.widths) or self.stem_width % self.groups:
            raise ValueError(
                f"widths must be multiples of 4 groups, stem_width of groups = {self.groups}, got {passed}"
            )

    @classmethod
    def of_groups(cls, groups: int = 3, multiplier: float | int = 1.0, **rest: Any) -> "ShuffleNet":
        """The published stages for 1, 2, 3, 4 or 8 groups, their widths multiplied; the first layer keeps 24 channels.

        Raises:
            ValueError: another number of groups.
        """
        if groups not in WIDTHS:
            raise ValueError(f"groups must be one of {sorted(WIDTHS)}, got {groups!r}")
        return cls(widths=scaled(WIDTHS[groups], multiplier), groups=groups, **rest)

    def _units(self) -> list[tuple[int, int, int, int, int]]:
        """Of each unit: width before, inner width, branch's width, strides, groups of its first convolution."""
        units, before = [], self.stem_width
        for stage, (after, length) in enumerate(zip(self.widths, self.lengths, strict=True)):
            for index in range(length):
                first = index == 0
                branch = after - before if first else after
                groups = 1 if first and stage == 0 else self.groups
                units.append((before, after // 4, branch, 2 if first else 1, groups))
                before = after
        return units

    def build(
        self, rngs: nnx.Rngs, method: str = "native", dtype: Any = None, param_dtype: Any = jnp.float32
    ) -> nnx.Sequential:
        """The module; arguments as in `Layers`."""
        make = Layers(rngs, self.activation, method, dtype, param_dtype)
        strides = 2 if self.stem == "imagenet" else 1
        layers: list[Any] = [*make.conv_norm(self.in_channels, self.stem_width, 3, strides), make.act(self.groups)]
        layers += [MaxPool(3, 2, 1)] if self.stem == "imagenet" else []
        grown = self.growth
        for before, inner, width, strides, groups in self._units():
            branch = [
                *make.conv_norm(before * grown, inner, 1, groups=groups),
                make.act(self.groups),
                Shuffle(self.groups),
                *make.conv_norm(inner * grown, inner * grown, 3, strides, groups=inner * grown),
                *make.conv_norm(inner * grown, width, 1, groups=self.groups),
            ]
            layers.append(Unit(nnx.Sequential(*branch), strides, make.act(self.groups), make.act(self.groups)))
        return nnx.Sequential(*layers, GlobalAverage(), make.dense(self.widths[-1] * grown, self.num_classes))

    def cost(self) -> Cost:
        """Parameters and multiply-adds by formula."""
        size = output_size(self.image_size, 3, 2 if self.stem == "imagenet" else 1)
        total = conv_cost(self.in_channels, self.stem_width, 3, size) + norm_cost(self.stem_width)
        size = output_size(size, 3, 2, 1) if self.stem == "imagenet" else size
        grown = self.growth
        for before, inner, width, strides, groups in self._units():
            total += conv_cost(before * grown, inner, 1, size, groups=groups) + norm_cost(inner)
            size, inner = output_size(size, 3, strides), inner * grown
            total += conv_cost(inner, inner, 3, size, groups=inner) + norm_cost(inner)
            total += conv_cost(inner, width, 1, size, groups=self.groups) + norm_cost(width)
        return total + dense_cost(self.widths[-1] * grown, self.num_classes)


EXAMPLES = (
    ShuffleNet(image_size=32, num_classes=5, stem_width=6, widths=(12, 24), lengths=(1, 2)),
    ShuffleNet(
        image_size=16,
        num_classes=5,
        stem_width=4,
        widths=(8, 16),
        lengths=(2, 1),
        groups=2,
        stem="cifar",
        activation="crelu",
    ),
)
