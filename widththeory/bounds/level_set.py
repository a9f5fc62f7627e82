"""Sup-norm floors for networks no wider than their input: they have no strict extremum inside any bounded region.

Maximum principle. Let g : R^n -> R be a network of any depth whose hidden widths are all at most n, with activations
that are, locally uniformly, limits of continuous injective functions of one variable (ReLU, leaky ReLU, sigmoid, tanh).
Then for every bounded open set U

    max of g over the closure of U = max of g over the boundary of U,    and the same for the minimum.

Proof. Units with zero weights make all hidden widths n and change nothing. Replace each activation by an injective one
near it (max(t, 0) by max(t, delta t)), and each weight matrix by an invertible one near it, the output row by a nonzero
one. The network becomes l(H(x)) with H a composition of continuous injective maps of R^n into itself, hence open by
invariance of domain, and l affine and not constant, hence open too. An open map takes no extremum inside U. On the
closure of U, which is compact, g is the uniform limit of such networks, and the equality passes to the limit.

Nothing is asked of g outside its formula, but f has to be known only where the statements below use it.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from widththeory.typing import Certified, Points, Values, check_not_negative, check_positive, check_positive_int

Vector = Float[np.ndarray, "_"]


def extremum_floor(inside: Certified, boundary_min: Certified, boundary_max: Certified) -> Certified:
    """Half the gap between the value of f at a point of a region and its extremes on the boundary of the region.

    Let U be a bounded open set of R^n, K hold a point p of U and the whole boundary of U, and f be defined on K. Every
    network g of hidden widths at most n, of any depth, has

        sup_K |f - g| >= max(f(p) - max_boundary f, min_boundary f - f(p), 0) / 2,

    since g(p) <= max_boundary g <= max_boundary f + sup_K |f - g|. The rest of U need not lie in K.

    Args:
        inside: f(p).
        boundary_min, boundary_max: the extremes of f on the boundary of U.

    Error: the errors of the values, halved. The floor grows with the gap and is 0 where there is none.

    Raises:
        ValueError: boundary_min certainly above boundary_max.

    Source:
        [johnson2019], as recalled: every component of a level set of such a network is unbounded; [haninsellke2017] for
        ReLU, as recalled: width n + 1 is needed. Differs: the maximum principle is proven here, and quantitative
        (derived for this project).
    """
    if boundary_min.lower > boundary_max.upper:
        raise ValueError(f"boundary_min must be at most boundary_max, got {boundary_min} and {boundary_max}")
    gaps = [(inside, boundary_max), (boundary_min, inside)]
    low = max(0.0, *(0.5 * (high.lower - below.upper) for high, below in gaps))
    top = max(0.0, *(0.5 * (high.upper - below.lower) for high, below in gaps))
    return _enclosed(low, top)


def radial_oscillation(
    profile: Callable[[Vector], Vector], lipschitz: float, low: float, high: float, *, num_cells: int = 4096
) -> Certified:
    """Sup distance on {low <= |x| <= high} in R^n from f(x) = profile(|x|) to networks of hidden widths at most n.

    It is (max profile - min profile) / 2 over [low, high], exactly, in every dimension n and at every depth: a constant
    attains it, and for radii s < r the ball of radius r has f = profile(r) on its boundary and profile(s) inside, so
    that `extremum_floor` applies with gap |profile(s) - profile(r)|. For low = 0 the domain is a ball; a larger domain,
    such as the cube that holds it, has a floor at least as large.

    Args:
        profile: vectorised over radii.
        lipschitz: proven bound on |profile'| on [low, high].
        low, high: 0 <= low < high.
        num_cells: intervals between sampled radii.

    Error: the profile exceeds its sampled extremes by at most lipschitz * (high - low) / (2 num_cells).

    Raises:
        ValueError: radii out of order, a Lipschitz constant that is not finite, a profile that is not.

    Source: derived for this project, after [johnson2019] (as recalled), which has |x|^2 as an example.
    """
    if not (0 <= low < high < np.inf):
        raise ValueError(f"low and high must be finite with 0 <= low < high, got {low!r} and {high!r}")
    check_not_negative("lipschitz", lipschitz)
    check_positive_int("num_cells", num_cells)
    values = np.asarray(profile(np.linspace(low, high, num_cells + 1)), dtype=np.float64)
    if not np.all(np.isfinite(values)):
        raise ValueError("profile must be finite on [low, high], got NaN or infinity")
    found = 0.5 * float(values.max() - values.min())
    missed = 0.5 * lipschitz * (high - low) / num_cells  # at each of the two extremes, halved
    rounding = 1e-14 * float(np.abs(values).max())
    return _enclosed(max(0.0, found - rounding), found + missed + rounding)


def cosines_floor(frequency: float, input_dim: int) -> Certified:
    """Floor on [-1, 1]^n for cos(w x_1) ... cos(w x_n) and hidden widths at most n.

    The cube |x_i| < a = min(1, pi / (2 w)) has value 1 at its centre and at most cos(w a) >= 0 on its boundary:

        sup |f - g| >= (1 - cos(w a)) / 2,    which is 1/2 from w = pi / 2 on.

    For n = 1 an interval has two boundary points only, and a = min(1, pi / w): the floor is 1 from w = pi on, which a
    constant attains.

    Args:
        frequency: w, above 0.
        input_dim: n, at least 1.

    Error: rounding.

    Raises:
        ValueError: a frequency that is not positive and finite, or input_dim below 1.

    Source: derived for this project, from `extremum_floor`.
    """
    check_positive("frequency", frequency)
    check_positive_int("input_dim", input_dim)
    largest = np.pi if input_dim == 1 else np.pi / 2
    value = float(np.sin(0.5 * min(frequency, largest)) ** 2)  # (1 - cos) / 2 without cancellation
    return Certified(value, 1e-15 * value)


def box_floor(
    function: Callable[[Points], Values],
    lipschitz: float,
    low: Sequence[float],
    high: Sequence[float],
    inside: Sequence[float],
    *,
    num_cells: int = 200,
) -> Certified:
    """`extremum_floor` of any Lipschitz function for the box prod [low_i, high_i] and a point inside it.

    Args:
        function: f, vectorised over points; it is evaluated on the boundary of the box and at the point.
        lipschitz: proven bound on |f(x) - f(y)| / |x - y| for points of the boundary.
        low, high: corners of the box.
        inside: a point of its interior.
        num_cells: cells along each side of a face: 2 n num_cells^(n - 1) values.

    Error:
        On a face f is known at the centres of cells of half diagonal r, and elsewhere up to lipschitz * r.

    Raises:
        ValueError: corners or point out of order, a bad Lipschitz constant, values that are not finite, more than 10^7
            cells.

    Source: derived for this project.
    """
    corners, tops, point = (np.asarray(part, dtype=np.float64) for part in (low, high, inside))
    if not (len(corners) == len(tops) == len(point) and np.all(corners < point) and np.all(point < tops)):
        raise ValueError(f"low, inside and high must have low < inside < high, got {low!r}, {inside!r} and {high!r}")
    check_not_negative("lipschitz", lipschitz)
    check_positive_int("num_cells", num_cells)
    dim, sides = len(corners), tops - corners
    if 2 * dim * num_cells ** (dim - 1) > 10**7:
        raise ValueError(f"num_cells must give at most 10^7 cells, got {num_cells} in {dim} dimensions")
    fractions = (np.arange(num_cells) + 0.5) / num_cells
    least, most = [], []
    for axis, end in itertools.product(range(dim), (corners, tops)):
        grids = [end[i : i + 1] if i == axis else corners[i] + sides[i] * fractions for i in range(dim)]
        face = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, dim)
        values = np.asarray(function(face), dtype=np.float64)
        if not np.all(np.isfinite(values)):
            raise ValueError("function must be finite on the boundary, got NaN or infinity")
        reach = lipschitz * 0.5 / num_cells * float(np.linalg.norm(np.delete(sides, axis)))
        reach += 1e-14 * float(np.abs(values).max())  # of evaluating the function
        least.append((float(values.min()), reach))
        most.append((float(values.max()), reach))
    centre = float(function(point[None])[0])
    # the extreme lies between the one sampled and that moved by the reach
    bottom = _enclosed(min(v - r for v, r in least), min(v for v, _ in least))
    top = _enclosed(max(v for v, _ in most), max(v + r for v, r in most))
    return extremum_floor(Certified(centre, 1e-14 * abs(centre)), bottom, top)


def _enclosed(low: float, high: float) -> Certified:
    """A number between low and high; low itself is kept where it is zero."""
    value = 0.5 * (low + high)
    error = max(value - low, high - value)
    return Certified(value, error if low == 0 else error * (1 + 1e-15) + 4e-16 * abs(value))
