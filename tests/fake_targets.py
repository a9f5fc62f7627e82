"""Targets made up for tests of the fit engine, and settings of small fits to them."""

import sys
import types
from dataclasses import dataclass

import numpy as np

from widththeory.network import Network
from widththeory.regression import Regression
from widththeory.typing import Guarantee


@dataclass(frozen=True)
class Wave:
    """A smooth target of which the seed moves the phase."""

    seed: int = 0
    input_dim: int = 2
    scale: float = 1.0

    def target(self, points):
        return self.scale * np.sin(3 * points[:, 0] + self.seed) + np.abs(points[:, -1])

    def sample(self, num_points, rng):
        return rng.uniform(-1, 1, (num_points, self.input_dim))


@dataclass(frozen=True)
class Column(Wave):
    """One whose values are a column, as a network's are."""

    def target(self, points):
        return super().target(points)[:, None]


@dataclass(frozen=True)
class Narrow(Wave):
    """One whose law has an input too few."""

    def sample(self, num_points, rng):
        return super().sample(num_points, rng)[:, 1:]


@dataclass(frozen=True)
class Hinge:
    """max(x, 0) on [-1, 1], itself a network."""

    input_dim: int = 1
    interval: tuple[float, float] = (-1.0, 1.0)

    def target(self, points):
        return np.maximum(points[:, 0], 0)

    def sample(self, num_points, rng):
        return rng.uniform(-1, 1, (num_points, 1))

    def network(self):
        return Network([(np.ones((1, 1)), np.zeros(1)), (np.ones((1, 1)), np.zeros(1))])

    def error(self):
        return Guarantee("sup", 0.0)


# Targets are looked for inside the package alone, so the fakes take a place in it.
_fakes = types.ModuleType("widththeory.constructions.fake")
_fakes.Wave, _fakes.Hinge = Wave, Hinge
sys.modules[_fakes.__name__] = _fakes


def wave(seed=0, learning_rate=3e-3, *, target_seed=0, **changes):
    args = {"width": 5, "depth": 3, "num_steps": 24, "batch_size": 32, "num_train": 100, "num_test": 200}
    args |= {"dtype": "float64", "init": "he"} | changes
    return Regression("fake.Wave", (("seed", target_seed),), seed=seed, learning_rate=learning_rate, **args)
