"""Floor for networks whose first hidden layer is narrower than the input: they are constant along some direction.

A first layer of width below n has a unit vector v in its kernel, and then g(x + t v) = g(x) for all t, whatever follows
and whatever the activation. The distance from f to functions constant along v splits into chords parallel to v, with
the best constant on each: its median in L1, its mean in L2.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.special import beta, betainc, gamma

from widththeory.bounds.enclosure import at_least_zero
from widththeory.typing import (
    Certified,
    Points,
    Values,
    check_choice,
    check_not_negative,
    check_positive,
    check_positive_int,
)

Vector = Float[np.ndarray, "_"]

_SECOND_MOMENT = np.sqrt(8.0 / 3.0)  # |x| in L2([-1, 1]^2)
_FIRST_MOMENT = 4.0 * (np.sqrt(2.0) + np.arcsinh(1.0)) / 3.0  # |x| in L1([-1, 1]^2)


def narrow_floor(
    function: Callable[[Points], Values],
    lipschitz: float,
    norm: str = "l2",
    *,
    num_cells: int = 400,
    num_angles: int = 360,
    max_evaluations: int = 1000,
) -> Certified:
    """Least distance on [-1, 1]^2 from f to functions that are constant along a direction, over all directions.

    No network on R^2 with first hidden layer of width 1, of any depth and activation, is closer to f. In L2 it is the
    root of min_v of the integral over chords parallel to v of (variance x length).

    Args:
        function: f, vectorised over points.
        lipschitz: proven bound on |f(x) - f(y)| / |x - y| on the square.
        norm: "l2" (not squared) or "l1"; integrals over the square, of area 4.
        num_cells: chords a direction, and cells a chord; the discretisation error falls as lipschitz / num_cells.
        num_angles: directions to begin with, equally spaced.
        max_evaluations: directions in all; the intervals of angle with the smallest lower bound are cut first.

    Error:
        `value` is the smallest distance found, `value - error` is proven. Each chord cell is represented by one value,
        which moves f by at most the `lipschitz` constant times the cell's extent. Between directions theta and
        theta + delta, with D the distance, m = |x| in that norm over the square, p = 2 (L1) or 1 (L2) and
        s = 1 / (cos delta + sin delta), the factor by which the square must shrink to stay inside itself when turned,
        D(theta + delta) >= s^p (D(theta) - lipschitz m ((1 - s) + 2 s sin(delta / 2))).

    Raises:
        ValueError: an unknown norm, sizes out of range, a Lipschitz constant that is not positive and finite.

    Source: [lu2017] Theorem 3 (as recalled) asserts a positive floor; the certificate is derived for this project.
    """
    check_choice("norm", norm, ("l2", "l1"))
    check_positive("lipschitz", lipschitz)
    check_positive_int("num_cells", num_cells, at_least=2)
    check_positive_int("num_angles", num_angles, at_least=4)
    check_positive_int("max_evaluations", max_evaluations, at_least=num_angles)
    spacing = np.pi / num_angles
    centres = [spacing * k for k in range(num_angles)]
    halves = [spacing / 2] * num_angles
    found = [chord_distance(function, angle, lipschitz, norm, num_cells) for angle in centres]
    lower = [turned(d.lower, half, lipschitz, norm) for d, half in zip(found, halves, strict=True)]
    best = min(range(num_angles), key=lambda k: found[k].value)
    value, above = found[best].value, min(d.upper for d in found)
    evaluations = num_angles
    while evaluations + 2 <= max_evaluations:
        worst = int(np.argmin(lower))
        if found[worst].lower - lower[worst] < 0.5 * found[worst].error:  # the angle no longer dominates the error
            break
        angle, half = centres[worst], halves[worst] / 3  # thirds, so that the middle one keeps its distance
        evaluations += 2
        for shifted in (angle - 2 * half, angle + 2 * half):
            distance = chord_distance(function, shifted, lipschitz, norm, num_cells)
            value, above = min(value, distance.value), min(above, distance.upper)
            centres.append(shifted)
            halves.append(half)
            found.append(distance)
            lower.append(turned(distance.lower, half, lipschitz, norm))
        halves[worst], lower[worst] = half, turned(found[worst].lower, half, lipschitz, norm)
    below = max(0.0, min(lower))
    return Certified(*at_least_zero(value, max(value - below, above - value) * (1 + 1e-12)))


def turned(distance: float, angle: float, lipschitz: float, norm: str) -> float:
    """Lower bound on the distance for every direction within `angle` of one whose distance is at least `distance`.

    Let g be constant along the turned direction; turned back by R it is constant along the first one. Where R keeps
    the point in the square, |f - g| at R x is at least |f - g R| - |f - f R| at x, and |f R - f| <= 2 lipschitz
    sin(angle / 2) |x|. The square shrunk by s stays inside; on it the distance is that of f(s x) on the whole square,
    times s^(2/p'), with |f(s x) - f(x)| <= lipschitz (1 - s) |x|.

    Source: derived for this project.
    """
    shrink = 1.0 / (np.cos(angle) + np.sin(angle))
    moment, scale = (_SECOND_MOMENT, shrink) if norm == "l2" else (_FIRST_MOMENT, shrink**2)
    loss = lipschitz * moment * ((1 - shrink) + 2 * shrink * np.sin(angle / 2))
    return float(scale * (distance - loss) * (1 - 1e-12))


def chord_distance(
    function: Callable[[Points], Values], angle: float, lipschitz: float, norm: str = "l2", num_cells: int = 400
) -> Certified:
    """Distance on [-1, 1]^2 from f to functions constant along (cos angle, sin angle), by chords of equal cells.

    Args:
        function: f, vectorised over points.
        angle: of the direction.
        lipschitz: proven bound on |f(x) - f(y)| / |x - y|.
        norm: "l2" (not squared) or "l1".
        num_cells: chords, and cells a chord.

    Error:
        Chords are the lines t -> (s, t) of the turned square. In a strip of chords without corner their ends are affine
        in s, so that the strip is a rectangle in s and the fraction of the chord, of weight (chord length) ds;
        functions constant along chords stay so. There f is replaced by its value at the middle of each cell. The mean
        square of |s - middle| is step^2 / 12, that of the offset along the chord at most
        (longest / num_cells + tilt)^2 / 12, tilt being how far the ends move across the strip; f moves by `lipschitz`
        times the distance.

    Source: derived for this project.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    reach = abs(cos) + abs(sin)
    corner = abs(abs(cos) - abs(sin))  # |s| at the corners in between
    inner = max(2, round(num_cells * corner / reach))
    outer = max(24, (num_cells - inner + 1) // 2)  # thin corner strips still have ends that move by a whole chord
    edges = np.unique(
        np.concatenate(
            [
                np.linspace(-reach, -corner, outer + 1),
                np.linspace(-corner, corner, inner + 1),
                np.linspace(corner, reach, outer + 1),
            ]
        )
    )
    left, right = _chord_ends(edges, cos, sin)
    step, middle = np.diff(edges), 0.5 * (edges[1:] + edges[:-1])
    low, high = 0.5 * (left[1:] + left[:-1]), 0.5 * (right[1:] + right[:-1])
    mass = step * (high - low)
    fractions = (np.arange(num_cells) + 0.5) / num_cells
    along = low[:, None] + (high - low)[:, None] * fractions
    across = np.broadcast_to(middle[:, None], along.shape)
    points = np.stack([(cos * along - sin * across).ravel(), (sin * along + cos * across).ravel()], axis=1)
    values = np.asarray(function(points), dtype=np.float64).reshape(along.shape)
    if not np.all(np.isfinite(values)):
        raise ValueError("function must be finite on the square, got NaN or infinity")
    tilt = np.maximum(np.abs(np.diff(left)), np.abs(np.diff(right)))
    longest = np.maximum(right[1:] - left[1:], right[:-1] - left[:-1])
    offset = np.hypot(step, longest / num_cells + tilt) / np.sqrt(12.0)
    if norm == "l2":
        value, error = np.sqrt(mass @ np.var(values, axis=1)), np.sqrt(mass @ offset**2)
    else:
        centred = np.abs(values - np.median(values, axis=1, keepdims=True))
        value, error = mass @ np.mean(centred, axis=1), mass @ offset
    return Certified(float(value), float(lipschitz * error) + 1e-12 * float(np.max(np.abs(values))))


def _chord_ends(offsets: Vector, cos: float, sin: float) -> tuple[Vector, Vector]:
    """Ends t of the chords {t (cos, sin) + s (-sin, cos)} of [-1, 1]^2, s the offsets."""
    left, right = np.full(len(offsets), -np.inf), np.full(len(offsets), np.inf)
    for slope, start in ((cos, -offsets * sin), (sin, offsets * cos)):
        if abs(slope) > 1e-15:  # else the chord is parallel to this pair of sides, and s keeps it between them
            ends = np.stack([(-1.0 - start) / slope, (1.0 - start) / slope])
            left, right = np.maximum(left, ends.min(axis=0)), np.minimum(right, ends.max(axis=0))
    return left, np.maximum(left, right)


def radial_floor(
    profile: Callable[[Vector], Vector], lipschitz: float, input_dim: int, norm: str = "l2", *, num_cells: int = 800
) -> Certified:
    """Distance on the unit ball of R^n from f(x) = profile(|x|) to functions constant along a direction, any of them.

    All directions are alike on the ball, and [-1, 1]^n contains it: no network on R^n with first hidden layer of width
    at most n - 1 comes closer to f on the cube. With A the area of the unit sphere of R^(n-1),

        D^2 = A int_0^1 r^(n-2) (length x variance of profile(sqrt(r^2 + t^2)) over |t| <= sqrt(1 - r^2)) dr,

    and in L1 with the mean distance from the median in place of the variance.

    Args:
        profile: vectorised over radii in [0, 1].
        lipschitz: proven bound on |profile'|.
        input_dim: n, from 2 to 341.
        norm: "l2" (not squared) or "l1".
        num_cells: chords, and cells on half a chord.

    Error: each cell is represented by one value; f moves by at most `lipschitz` times the offset from it.

    Raises:
        ValueError: as for `narrow_floor`, or input_dim below 2 or above 341.

    Source: derived for this project.
    """
    check_choice("norm", norm, ("l2", "l1"))
    check_not_negative("lipschitz", lipschitz)
    check_positive_int("input_dim", input_dim, at_least=2)
    check_positive_int("num_cells", num_cells, at_least=2)
    # polar angle a of the chord, r = sin a and half-length cos a: both are smooth up to the rim
    edges = np.linspace(0.0, np.pi / 2, num_cells + 1)
    angle, fractions = 0.5 * (edges[1:] + edges[:-1]), (np.arange(num_cells) + 0.5) / num_cells
    radii = np.hypot(np.sin(angle)[:, None], np.cos(angle)[:, None] * fractions)
    values = np.asarray(profile(radii.ravel()), dtype=np.float64).reshape(radii.shape)
    if not np.all(np.isfinite(values)):
        raise ValueError("profile must be finite on [0, 1], got NaN or infinity")
    power = input_dim - 2
    rims = (
        sphere_area(input_dim - 1) * betainc(0.5 * (power + 1), 1.5, np.sin(edges) ** 2) * beta(0.5 * (power + 1), 1.5)
    )
    mass = np.diff(rims)  # A times the integral of r^(n-2) 2 sqrt(1 - r^2) dr over the cell
    # |x - x'| along and across: r moves by at most one angular cell, t = cos(a) * fraction by that and half a cell
    offset = np.hypot(0.5 * np.diff(edges), 0.5 * np.diff(edges) + 0.5 / num_cells)
    if norm == "l2":
        value, error, size = np.sqrt(mass @ np.var(values, axis=1)), np.sqrt(mass @ offset**2), np.sqrt(mass.sum())
    else:
        centred = np.abs(values - np.median(values, axis=1, keepdims=True))
        value, error, size = mass @ np.mean(centred, axis=1), mass @ offset, mass.sum()
    # rounding is that of a constant: balls of many dimensions are small, and so is all that is integrated over them
    rounding = 1e-12 * float(np.max(np.abs(values)) * size)
    return Certified(*at_least_zero(float(value), float(lipschitz * error) + rounding))


def sphere_area(dim: int) -> float:
    """Area of the unit sphere of R^dim: 2 for dim = 1, 2 pi for dim = 2.

    Raises:
        ValueError: dim below 1, or above 340, where Gamma(dim / 2) overflows.

    Source: derived for this project (a textbook formula).
    """
    if check_positive_int("dim", dim) > 340:
        raise ValueError(f"dim must be at most 340, got {dim}")
    return float(2 * np.pi ** (0.5 * dim) / gamma(0.5 * dim))
