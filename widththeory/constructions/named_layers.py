"""Layers of an explicit network in the making, whose units have names."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from widththeory.network import Network

# An affine function of the units of one layer: name -> coefficient. The name "1" stands for the constant one.
Terms = dict[str, Fraction]

ZERO, ONE = Fraction(0), Fraction(1)


def constant(number: Fraction | int) -> Terms:
    """The function that is this number everywhere."""
    return {"1": Fraction(number)}


def combine(*parts: tuple[Fraction | int, Terms]) -> Terms:
    """The linear combination of functions of the same units."""
    total: Terms = {}
    for factor, terms in parts:
        for name, number in terms.items():
            total[name] = total.get(name, ZERO) + factor * number
    return total


class NamedLayers:
    """A list of layers that grows; each unit is the ReLU of an affine function of the units of the layer before.

    Args:
        names: names of the inputs.
    """

    def __init__(self, names: Iterable[str]):
        self.names, self.layers = list(names), list[tuple[Any, Any]]()

    def _affine(self, rows: Iterable[Terms]) -> tuple[Any, Any]:
        rows = list(rows)
        unknown = {name for terms in rows for name in terms} - {*self.names, "1"}
        if unknown:
            raise ValueError(f"terms must be of units of the last layer, {self.names}, got {sorted(unknown)}")
        weight = [[terms.get(name, ZERO) for name in self.names] for terms in rows]
        return weight, [terms.get("1", ZERO) for terms in rows]

    def append(self, units: Mapping[str, Terms]) -> None:
        """A further layer, whose units have the keys as names."""
        self.layers.append(self._affine(units.values()))
        self.names = list(units)

    def network(self, outputs: Iterable[Terms]) -> Network:
        """The network whose outputs are these functions of the last layer."""
        return Network([*self.layers, self._affine(outputs)])
