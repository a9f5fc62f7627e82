"""Floor for radial targets and first layers narrower than the input: they see the point through its projection only.

A first hidden layer of width r < n computes functions of P x, P the orthogonal projection to a subspace of dimension at
most r, and so does the network, whatever its depth and activation. The best function of P x is the conditional mean.
Under a law that rotations leave alone all subspaces are alike.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import scipy.special as sp
from jaxtyping import Float

from widththeory.bounds.enclosure import at_least_zero
from widththeory.bounds.quadrature import panel_edges, panel_nodes, unresolved
from widththeory.typing import Certified, check_narrow, check_positive

Vector = Float[np.ndarray, "_"]

_SMALLEST = 18.0  # s = end exp(-x) is followed up to this x
_PANEL = 0.4  # of the roots of x
# Of the norm of each integrand, which polynomials of degree 15 may leave; of |t - 0.3| they leave 4e-8 in 256 rings.
_UNRESOLVED = 1e-9
_MOST_RINGS = 256  # more take a minute


def radial_projection_floor(
    profile: Callable[[Vector], Vector],
    density: Callable[[Vector], Vector],
    support_end: float,
    input_dim: int,
    width: int,
    *,
    breaks: Sequence[float] = (),
) -> Certified:
    """Least E (f - g)^2 over functions g(P x), f(x) = profile(|x|), P of rank at most `width`, |x| of given density.

    With s = |P x|, s / |x| independent of |x| and its square of the law Beta(r/2, (n - r)/2), this is

        E Var(f | P x) = int (m_2 - m_1^2 / m_0) ds,    m_j(s) = int profile(rho)^j p(rho) b(s / rho) drho / rho,

    b the density of s / rho. No network on R^n with a first hidden layer of width r < n comes closer to f in mean
    square. If p is cut at `support_end`, the integral is a floor still: who is told whether |x| is beyond knows more.

    Args:
        profile: vectorised over radii, smooth between `breaks`.
        density: p, of |x|, vectorised, smooth between `breaks`.
        support_end: radii beyond are left out.
        input_dim: n, at least 2.
        width: r, between 1 and n - 1.
        breaks: radii where the profile or the density jumps, or the slope of one of them.

    Error:
        Computed, not proven (`rigorous_projection` encloses it with proof). Radii are cut until polynomials of degree
        15 agree with p, profile p and profile^2 p in each panel, to 1e-9 of their norms. Then the difference of two
        Gauss-Legendre rules, with 10 and 12 nodes a panel, roundoff, and the share of the nearest |P x|, which is left
        out: 1e-8 for a width of 1.

    Raises:
        ValueError: a width that is not below the input dimension, a support that is not positive and finite, or a
            profile or density that 256 rings do not resolve.

    Source:
        Derived for this project; that a floor exists is [lu2017] Theorem 3, as recalled.
    """
    check_narrow(width, input_dim)
    check_positive("support_end", support_end)
    inner = [float(point) for point in breaks if 0 < point < support_end]

    shape, smallest = (width / 2, (input_dim - width) / 2), support_end * float(np.exp(-_SMALLEST))
    num_rings = 1
    while not _resolved(profile, density, smallest, support_end, inner):
        num_rings *= 2
        if num_rings > _MOST_RINGS:
            raise ValueError(
                f"profile and density must be smooth between breaks at the scale of {2 * support_end / num_rings:.2g}: "
                "breaks must hold every radius where one of them or its slope jumps"
            )
        inner = sorted({*inner, *(support_end * k / num_rings for k in range(1, num_rings))})

    def variance(place: float, num_nodes: int) -> float:
        # rho = s exp(z^2), so that drho / rho = 2 z dz takes away the root that b may have at 1
        z, weights = (part.ravel() for part in panel_nodes(_panels(place, support_end, inner), num_nodes))
        log_kernel = (1 - width) * z**2 + (shape[1] - 1) * np.log(-np.expm1(-2 * z**2)) - sp.betaln(*shape)
        radii = place * np.exp(z**2)
        mass = weights * 4 * z * np.exp(log_kernel) * density(radii)
        values = profile(radii)
        whole, mean = float(mass.sum()), float(mass @ values)
        return float(mass @ values**2) - (mean**2 / whole if whole > 0 else 0.0)

    def rule(num_nodes: int) -> float:
        total, ends = 0.0, np.unique([0.0, *np.log(support_end / np.array(inner)), _SMALLEST])
        for begin, end in zip(ends[:-1], ends[1:], strict=True):
            # log s falls as u^2 from each break, where the integrand has a root
            u, weights = (
                part.ravel() for part in panel_nodes(panel_edges(float(np.sqrt(end - begin)), _PANEL), num_nodes)
            )
            places = support_end * np.exp(-begin - u**2)
            total += sum(
                2 * root * weight * place * variance(place, num_nodes)
                for root, weight, place in zip(u, weights, places, strict=True)
            )
        return total

    value = rule(12)
    left_out = 2 * smallest * variance(smallest, 12) / width  # the integrand grows like s^(width - 1), or a log less
    error = abs(value - rule(10)) + 1e-12 * abs(value) + left_out
    return Certified(*at_least_zero(value, error))


def _panels(place: float, support_end: float, inner: Sequence[float]) -> Vector:
    """Edges of panels of z, radii being place exp(z^2), with an edge at every inner one beyond."""
    cuts = tuple(float(np.sqrt(np.log(point / place))) for point in inner if point > place)
    return panel_edges(float(np.sqrt(np.log(support_end / place))), _PANEL, cuts)


def _resolved(
    profile: Callable[[Vector], Vector],
    density: Callable[[Vector], Vector],
    smallest: float,
    support_end: float,
    inner: Sequence[float],
) -> bool:
    """Whether polynomials do for all three integrands, seen from the nearest |P x|, where panels are longest."""

    def integrand(z: Vector, power: int) -> Vector:
        radii = smallest * np.exp(z**2)
        return profile(radii) ** power * density(radii)

    edges = _panels(smallest, support_end, inner)
    return all(
        unresolved(partial(integrand, power=power), lambda z: z * np.exp(z**2), edges) <= _UNRESOLVED
        for power in range(3)
    )
