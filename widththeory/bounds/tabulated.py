"""A function of one variable as its piecewise-affine interpolant, with a proven bound on the difference."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from widththeory.typing import check_not_negative, check_positive_int

Vector = Float[np.ndarray, "_"]


@dataclass(frozen=True, eq=False)
class Tabulated:
    """A function on [knots[0], knots[-1]] known up to `sup_error` by its piecewise-affine interpolant.

    Args:
        knots: sorted; a knot given twice is a jump.
        values: one for each knot.
        sup_error: bound on |function - interpolant|, 0 for a piecewise-affine function.

    Raises:
        ValueError: fewer than two knots, knots not sorted, NaN, a negative error.
    """

    knots: Vector
    values: Vector
    sup_error: float = 0.0

    def __post_init__(self) -> None:
        if len(self.knots) < 2 or len(self.knots) != len(self.values) or not np.all(np.diff(self.knots) >= 0):
            raise ValueError(f"knots must be at least two, sorted, with one value each, got {self.knots!r}")
        if not (0 < self.length < np.inf and np.all(np.isfinite(self.knots)) and np.all(np.isfinite(self.values))):
            raise ValueError("knots and values must be finite, with knots[0] < knots[-1] and a finite length")
        check_not_negative("sup_error", self.sup_error)

    @property
    def length(self) -> float:
        """Length of the interval."""
        return float(self.knots[-1]) - float(self.knots[0])


def tabulate(
    function: Callable[[Vector], Vector],
    low: float,
    high: float,
    *,
    lipschitz: float | None = None,
    curvature: float | None = None,
    num_knots: int = 8193,
) -> Tabulated:
    """Interpolant of a vectorised function at equal steps h, with a proven error.

    |f - interpolant| <= curvature h^2 / 8 where |f''| <= curvature, and <= lipschitz h / 2 where |f'| <= lipschitz.

    Args:
        function: takes a vector of points.
        low, high: ends of the interval.
        lipschitz, curvature: bounds that the caller has proven, one of them finite at least: |x| has the curvature inf.
        num_knots: at least 2.

    Raises:
        ValueError: no finite bound given, a negative one, low >= high, or a function that is not finite.

    Source: derived for this project.
    """
    check_positive_int("num_knots", num_knots, at_least=2)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"low and high must be finite with low < high, got {low!r} and {high!r}")
    bounds = [bound for bound in (lipschitz, curvature) if bound is not None]
    if not (any(map(np.isfinite, bounds)) and all(bound >= 0 for bound in bounds)):
        raise ValueError(
            f"lipschitz or curvature must be a finite bound, and both at least 0, got {lipschitz} and {curvature}"
        )
    knots = np.linspace(low, high, num_knots)
    step = float(np.max(np.diff(knots)))  # knots are rounded, far from 0 by more than their distance
    factors = ((lipschitz, step / 2), (curvature, step**2 / 8))
    errors = [bound * factor for bound, factor in factors if bound is not None]
    values = np.asarray(function(knots), dtype=np.float64)
    # 1e-14: steps and values are rounded, the function itself evaluated to some ulps
    return Tabulated(knots, values, min(errors) + 1e-14 * float(np.max(np.abs(values), initial=0.0)))
