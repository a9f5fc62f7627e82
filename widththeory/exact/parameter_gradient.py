"""The gradient of a ReLU network of one variable in its parameters, as the function of its input that it is, exactly.

Between two neighbouring changes of activity each derivative of the output by a weight or bias is affine in the input:
a constant (from the unit up to the output) times the value of a unit of the layer below.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from widththeory.exact.affine_maps import relu_network
from widththeory.network import Affine, Network


@dataclass(frozen=True, eq=False)
class ParameterGradient:
    """grad g(x) in all weights and biases, affine on each cell; a column a parameter, in the order of the layers.

    Args:
        knots: ends of the cells, the ends of the interval first and last.
        left: the gradient at the left end of each cell, as the limit from inside it.
        right: the same at the right end.
        outputs: g at the knots.
    """

    knots: Float[np.ndarray, "num_knots"]
    left: Float[np.ndarray, "num_cells num_params"]
    right: Float[np.ndarray, "num_cells num_params"]
    outputs: Float[np.ndarray, "num_knots"]

    @property
    def num_cells(self) -> int:
        """Intervals on which no unit changes its activity."""
        return len(self.left)

    @property
    def total_variation(self) -> float:
        """Of x -> grad g(x) in the Euclidean norm, jumps included; at least that of every u . grad g with |u| = 1."""
        inside = np.linalg.norm(self.right - self.left, axis=1).sum()
        return float(inside + np.linalg.norm(self.left[1:] - self.right[:-1], axis=1).sum())

    def times_output(self, shift: float = 0.0) -> Float[np.ndarray, "num_params"]:
        """The integral of (g - shift) grad g; with shift = c, half the gradient of the loss against the constant c."""
        ends = self.outputs - shift
        begin, end = ends[:-1, None], ends[1:, None]
        # the integral of a product of two affine functions over one cell
        products = begin * (2 * self.left + self.right) + end * (self.left + 2 * self.right)
        return np.diff(self.knots) @ products / 6

    def times(
        self, once: Float[np.ndarray, "num_knots"], twice: Float[np.ndarray, "num_knots"]
    ) -> Float[np.ndarray, "num_params"]:
        """The integral of w grad g, for a function w given by its antiderivative, and that one's, at the knots.

        By parts on each cell: [W grad g] - slope [V] for W' = w, V' = W. No cell is divided, however fast w oscillates.
        """
        slopes = (self.right - self.left) / np.diff(self.knots)[:, None]
        ends = once[1:] @ self.right - once[:-1] @ self.left
        return np.asarray(ends - np.diff(twice) @ slopes)


def parameter_gradient(network: Network, low: float, high: float) -> ParameterGradient:
    """The gradient of a scalar network in its parameters on [low, high].

    The derivative of the ReLU at zero is taken as zero, which matters where a unit is zero on a whole cell.

    Args:
        network: one input, one output.
        low, high: finite, low < high.

    Error: float64, without a bound; a change of activity that rounding hides or adds makes a cell of no length.

    Raises:
        ValueError: not a ReLU network of one input and output, or low >= high.

    Source: derived for this project.
    """
    if relu_network(network).input_dim != 1 or network.output_dim != 1:
        raise ValueError(
            f"network must have one input and one output, got {network.input_dim} and {network.output_dim}"
        )
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"low and high must be finite with low < high, got {low!r} and {high!r}")
    layers = network.float64().layers
    knots = _activity_changes(layers, low, high)
    middle = (knots[:-1] + knots[1:]) / 2
    active, hidden = [], middle[None, :]
    for weight, bias in layers[:-1]:
        hidden = weight @ hidden + bias[:, None]
        active.append(hidden > 0)
        hidden = np.where(active[-1], hidden, 0.0)
    return ParameterGradient(
        knots,
        _with_activity(layers, active, knots[:-1]),
        _with_activity(layers, active, knots[1:]),
        network(knots[:, None])[:, 0],
    )


def _activity_changes(layers: tuple[Affine, ...], low: float, high: float) -> np.ndarray:
    """The ends, and where some unit changes its sign: zeros of functions that are affine between the earlier ones."""
    knots = np.array([low, high])
    hidden = knots[None, :]
    for weight, bias in layers[:-1]:
        values = weight @ hidden + bias[:, None]
        units, cells = np.nonzero(values[:, :-1] * values[:, 1:] < 0)
        left, right = values[units, cells], values[units, cells + 1]
        born = knots[cells] + left / (left - right) * (knots[cells + 1] - knots[cells])
        finer = np.union1d(knots, born)
        hidden = np.maximum(np.stack([np.interp(finer, knots, row) for row in values]), 0.0)
        knots = finer
    return knots


def _with_activity(layers: tuple[Affine, ...], active: list[Any], points: np.ndarray) -> np.ndarray:
    """grad g at one point of each cell, with the units that are active inside the cell."""
    below = [points[None, :]]
    for (weight, bias), on in zip(layers[:-1], active, strict=True):
        below.append(np.where(on, weight @ below[-1] + bias[:, None], 0.0))
    delta, parts = np.ones((1, len(points))), []
    for index in reversed(range(len(layers))):
        products = np.einsum("oc,ic->coi", delta, below[index]).reshape(len(points), -1)
        parts.append(np.concatenate([products, delta.T], axis=1))
        if index:
            delta = np.where(active[index - 1], layers[index].weight.T @ delta, 0.0)
    return np.concatenate(parts[::-1], axis=1)
