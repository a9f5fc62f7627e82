"""Floor for radial targets and first layers narrower than the input: they see the point through its projection only.

A first hidden layer of width r < n computes functions of P x, P the orthogonal projection to a subspace of dimension at
most r, and so does the network, whatever its depth and activation. The best function of P x is the conditional mean.
Under a law that rotations leave alone all subspaces are alike.
"""

from collections.abc import Callable, Sequence

import numpy as np
import scipy.special as sp
from jaxtyping import Float

from widththeory.bounds.quadrature import panel_edges, panel_nodes
from widththeory.typing import Certified, check_narrow

Vector = Float[np.ndarray, "_"]

_SMALLEST = 18.0  # s = end exp(-x) is followed up to this x


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
        breaks: radii where the profile or the density jumps.

    Error:
        The difference of two Gauss-Legendre rules, with 10 and 12 nodes a panel, roundoff, and the share of the nearest
        |P x|, which is left out: 1e-8 for a width of 1. `rigorous_projection` has a proven error.

    Raises:
        ValueError: a width that is not below the input dimension, a support that is not positive and finite.

    Source:
        Derived for this project; that a floor exists is [lu2017] Theorem 3, as recalled.
    """
    check_narrow(width, input_dim)
    if not (np.isfinite(support_end) and support_end > 0):
        raise ValueError(f"support_end must be a positive finite number, got {support_end!r}")
    inner = [float(point) for point in breaks if 0 < point < support_end]

    shape = (width / 2, (input_dim - width) / 2)

    def variance(place: float, num_nodes: int) -> float:
        # rho = s exp(z^2), so that drho / rho = 2 z dz takes away the root that b may have at 1
        cuts = tuple(float(np.sqrt(np.log(point / place))) for point in inner if point > place)
        edges = panel_edges(float(np.sqrt(np.log(support_end / place))), 0.4, cuts)
        z, weights = (part.ravel() for part in panel_nodes(edges, num_nodes))
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
                part.ravel() for part in panel_nodes(panel_edges(float(np.sqrt(end - begin)), 0.4), num_nodes)
            )
            places = support_end * np.exp(-begin - u**2)
            total += sum(
                2 * root * weight * place * variance(place, num_nodes)
                for root, weight, place in zip(u, weights, places, strict=True)
            )
        return total

    value, smallest = rule(12), support_end * float(np.exp(-_SMALLEST))
    left_out = 2 * smallest * variance(smallest, 12) / width  # the integrand grows like s^(width - 1), or a log less
    error = abs(value - rule(10)) + 1e-12 * abs(value) + left_out
    return Certified(max(0.0, value), min(error, max(0.0, value)))
