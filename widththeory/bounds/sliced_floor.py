"""Floor in the plane by slicing: on every line a network of two inputs is one of one input, with the same widths."""

from collections.abc import Callable, Sequence

import numpy as np

from widththeory.bounds.free_knot import network_floor
from widththeory.bounds.tabulated import tabulate
from widththeory.typing import Certified, Points, Values, check_choice, check_not_negative, check_positive_int


def sliced_floor(
    function: Callable[[Points], Values],
    widths: Sequence[int],
    lipschitz: float,
    *,
    curvature: float | None = None,
    across: float | None = None,
    num_lines: int = 32,
    axis: int = 0,
    num_cells: int = 256,
    seed: int = 0,
) -> Certified:
    """Lower bound on the L2([-1, 1]^2) distance from f to ReLU networks with these hidden widths, with its error.

    With F(y) the L2 distance on the line at height y from f to functions with P = prod(w_l + 1) affine pieces, every
    such network g has |f - g|^2 >= int F(y)^2 dy over [-1, 1]; the root of the integral is what this computes.

    Args:
        function: f, vectorised over points.
        widths: units of each hidden layer.
        lipschitz: proven bound on |f(x) - f(y)| / |x - y| on the square.
        curvature: proven bound on the second derivative along the lines, where there is one; tightens each line.
        across: proven bound on the L2([-1, 1]) distance of f(., y) - f(., y') to affine functions, over |y - y'|. F
            changes no faster, since affine functions can be subtracted. `sqrt(2) * lipschitz` always holds.
        num_lines: lines, one in each of as many strips.
        axis: 0 for lines along the first coordinate, 1 along the second.
        num_cells: see `free_knot.network_floor`.
        seed: of the lines' random offsets, where they are random.

    Error:
        Each line's F is enclosed, always. With `across` the lines are the middles of their strips, F is bounded in
        between, and the whole is proven. Without it there is one uniformly random line in each strip: the mean of F^2
        is unbiased, and `error` holds the width of the enclosures and four standard errors of that mean, estimated
        from neighbouring strips (statistical, not proven). `lower` is meant as the floor: `upper` bounds the integral,
        not the best network.

    Raises:
        ValueError: sizes or bounds out of range, fewer than four lines where they are random, an odd number of them.

    Source: derived for this project; the piece count is [serra2018] (as recalled).
    """
    check_positive_int("num_lines", num_lines)
    check_choice("axis", axis, (0, 1))
    for name, bound in (("lipschitz", lipschitz), ("curvature", curvature), ("across", across)):
        if bound is not None:
            check_not_negative(name, bound)
    if across is None and (num_lines < 4 or num_lines % 2):
        raise ValueError(f"num_lines must be even and at least 4 for random lines, got {num_lines!r}")
    spacing = 2.0 / num_lines
    offsets = np.full(num_lines, 0.5) if across is not None else np.random.default_rng(seed).random(num_lines)
    heights = -1.0 + spacing * (np.arange(num_lines) + offsets)
    floors = [_line_floor(function, widths, lipschitz, curvature, float(y), axis, num_cells) for y in heights]
    below, above = (np.array([getattr(f, end) for f in floors]) for end in ("lower", "upper"))
    below = np.maximum(below, 0.0)
    if across is not None:
        low, high = _falling(below, across, spacing / 2), _rising(above, across, spacing / 2)
        spread = 0.0
    else:
        low, high = spacing * np.sum(below**2), spacing * np.sum(above**2)
        middle = (0.5 * (below + above)) ** 2
        # the squared difference of two strips estimates the sum of their variances, from above
        pairs = middle.reshape(-1, 2)
        spread = 4.0 * spacing * np.sqrt(np.sum((pairs[:, 0] - pairs[:, 1]) ** 2))
    root_low, root_high = np.sqrt(max(0.0, low - spread)), np.sqrt(high + spread)
    return Certified(float(root_low + root_high) / 2, float(root_high - root_low) / 2 * (1 + 1e-12))


def _line_floor(
    function: Callable[[Points], Values],
    widths: Sequence[int],
    lipschitz: float,
    curvature: float | None,
    height: float,
    axis: int,
    num_cells: int,
) -> Certified:
    def restricted(points: np.ndarray) -> np.ndarray:
        pair = [points, np.full_like(points, height)]
        return function(np.stack(pair if axis == 0 else pair[::-1], axis=1))

    table = tabulate(restricted, -1.0, 1.0, lipschitz=lipschitz, curvature=curvature)
    return network_floor(table, widths, "l2", num_cells)


def _falling(values: np.ndarray, slope: float, half: float) -> float:
    """Integral of max(0, value - slope |t|)^2 over |t| <= half, summed."""
    reach = np.minimum(half, np.divide(values, slope, out=np.full_like(values, half), where=slope > 0))
    return float(np.sum(2 * (values**2 * reach - values * slope * reach**2 + slope**2 * reach**3 / 3)))


def _rising(values: np.ndarray, slope: float, half: float) -> float:
    """Integral of (value + slope |t|)^2 over |t| <= half, summed."""
    return float(np.sum(2 * (values**2 * half + values * slope * half**2 + slope**2 * half**3 / 3)))
