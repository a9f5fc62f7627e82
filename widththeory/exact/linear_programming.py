"""Linear programs in exact rationals, small ones: is an affine function negative somewhere on an open polyhedron?

Activation regions of explicit networks touch each other along faces of every dimension, so the optimum that decides
whether a region is empty is often exactly 0, which no floating-point solver can tell from 1e-12. The programs are small
and a strictly feasible point is always known, so the simplex method needs neither a first phase nor a tolerance.
"""

from typing import Any, NamedTuple

import numpy as np

from widththeory.exact.rationals import to_floats, to_numbers


class Polyhedron(NamedTuple):
    """The open set {x: normals @ x + offsets > 0}, and a point in it; all exact numbers."""

    normals: np.ndarray
    offsets: np.ndarray
    inside: np.ndarray

    def halved(self, normal: np.ndarray, offset: Any, inside: np.ndarray) -> "Polyhedron":
        """Its part where normal @ x + offset > 0, in which `inside` lies."""
        row = np.empty((1, len(normal)), dtype=object)
        row[0] = normal
        return Polyhedron(np.concatenate([self.normals, row]), np.append(self.offsets, offset), inside)


def point_below(region: Polyhedron, normal: np.ndarray, offset: Any) -> np.ndarray | None:
    """A point of the region with normal @ x + offset < 0, or None if there is none.

    Simplex method in dictionary form for max −normal @ d over normals @ (inside + d) + offsets >= 0, started at d = 0
    and stopped as soon as inside + d is below. Bland's rule, so it ends.

    Source: derived for this project.
    """
    height = normal @ region.inside + offset
    if height < 0:
        return region.inside
    slack = region.normals @ region.inside + region.offsets
    # Columns are the steps in each coordinate up and down, rows the slacks; labels order both for Bland's rule.
    table = np.concatenate([-region.normals, region.normals], axis=1)
    gain, value = np.concatenate([-normal, normal]), 0 * height
    columns, rows = np.arange(len(gain)), len(gain) + np.arange(len(slack))
    zero = 0 * height
    while value <= height:
        improving = [column for column in range(len(gain)) if gain[column] > 0]
        if not improving:
            return None
        entering = min(improving, key=columns.__getitem__)
        blocking = [row for row in range(len(slack)) if table[row, entering] > 0]
        if not blocking:  # the region is unbounded that way: go as far as needed
            slack = slack - table[:, entering] * ((height - value + 1) / gain[entering])
            direction = (int(columns[entering]), (height - value + 1) / gain[entering])
            return _inside(region, normal, offset, _step(columns, rows, slack, zero, direction))
        leaving = min(blocking, key=lambda row: (slack[row] / table[row, entering], rows[row]))
        pivot = table[leaving, entering]
        table[leaving], slack[leaving] = table[leaving] / pivot, slack[leaving] / pivot
        table[leaving, entering] = 1 / pivot
        others = [row for row in range(len(slack)) if row != leaving and table[row, entering] != 0]
        if others:
            factor = table[others, entering]
            slack[others] = slack[others] - factor * slack[leaving]
            table[others, entering] = zero
            table[others] = table[others] - factor[:, None] * table[leaving]
        factor = gain[entering]
        value = value + factor * slack[leaving]
        gain[entering] = zero
        gain = gain - factor * table[leaving]
        columns[entering], rows[leaving] = rows[leaving], columns[entering]
    return _inside(region, normal, offset, _step(columns, rows, slack, zero, None))


def _step(
    columns: np.ndarray, rows: np.ndarray, slack: np.ndarray, zero: Any, direction: tuple[int, Any] | None
) -> np.ndarray:
    """The step d of the current dictionary, from the values of its basic variables."""
    num_steps = len(columns)
    values = np.empty(num_steps, dtype=object)
    values.fill(zero)
    for label, amount in [*zip(rows, slack, strict=True), *([direction] if direction else [])]:
        if label < num_steps:
            values[label] = amount
    half = num_steps // 2
    return values[:half] - values[half:]


def _inside(region: Polyhedron, normal: np.ndarray, offset: Any, step: np.ndarray) -> np.ndarray:
    """A point between inside + step, on the boundary and below, and inside: in the open region, and below."""
    height, depth = normal @ region.inside + offset, -(normal @ (region.inside + step) + offset)
    point = region.inside + (1 - depth / (2 * (depth + height))) * step
    rounded = to_numbers(to_floats(point))  # shorter numbers, if they will do
    good = normal @ rounded + offset < 0 and np.all(region.normals @ rounded + region.offsets > 0)
    return rounded if good else point
