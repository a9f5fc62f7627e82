"""How well sums of ridge functions do: the best fit on equispaced lines in the plane, to hold against the floor."""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Float

from widththeory.bounds.quadrature import panel_edges, panel_nodes
from widththeory.bounds.radial_law import RadialLaw, Radii
from widththeory.typing import Certified, check_positive_int

Array = Float[np.ndarray, "..."]


def best_ridge_error(
    profile: Callable[[Radii], Radii],
    law: RadialLaw,
    support_end: int | float,
    num_lines: int,
    *,
    spacing: int | float = 0.1,
) -> Certified:
    """Least relative squared error of f = sum_{i<=k} f_i(<v_i, x>) on k equispaced lines in the plane.

    The profiles f_i are piecewise linear in t with knots `spacing` apart on |t| <= 2 support_end, and 0 beyond. As g is
    radial, and the rotation by pi / k and the reflections permute the lines, averaging a best fit over them gives
    another whose profiles are equal and even: least squares for one profile on a sector. The least error is at least
    E_k / E g^2, and stays positive where E_k is 0.

    Args:
        profile: g as a function of t, vectorised, zero beyond `support_end`.
        law: a law in dimension 2.
        support_end: positive.
        num_lines: k, at least 1.
        spacing: distance of knots, positive; the value falls as it shrinks.

    Error:
        Of the least error over these profiles: what |x| beyond 16 support_end could add, at most
        1.05 k^2 (4/pi^2) int f_1^2 ds / (2 T^2) with T = 16 support_end, and an estimate of quadrature: six times the
        largest of three differences. `rigorous_ridge` has a proven error.

    Raises:
        ValueError: a law of another dimension or order, or an argument out of range.

    Source:
        derived for this project.
    """
    check_positive_int("num_lines", num_lines)
    if law.dim != 2 or law.order != 0:
        raise ValueError(f"law must have dimension 2 and order 0, got dimension {law.dim} and order {law.order}")
    if not (0 < support_end < math.inf and 0 < spacing < support_end):
        raise ValueError(
            f"spacing and support_end must satisfy 0 < spacing < support_end, got {spacing!r}, {support_end!r}"
        )
    num_knots, far = math.ceil(Fraction(2 * support_end) / Fraction(spacing)), 16.0 * support_end

    def normal_equations(num_angles: int, num_radii: int) -> tuple[Array, Array, float]:
        t, weight = (part.ravel() for part in panel_nodes(panel_edges(far, 0.5, (float(support_end),)), num_radii))
        angle, angle_weight = (part[0] for part in panel_nodes(np.array([0.0, math.pi / (2 * num_lines)]), num_angles))
        radius, turn = np.repeat(t, num_angles), np.tile(angle, len(t))
        mass = np.outer(weight * law.density(t), angle_weight * 2 * num_lines / math.pi).ravel()
        shape = (len(radius), num_knots + 1)
        hats = sparse.csr_matrix(shape)
        for line in range(num_lines):
            place = np.abs(radius * np.cos(turn - line * math.pi / num_lines)) / spacing
            rows = np.flatnonzero(place < num_knots)
            left = np.floor(place[rows]).astype(int)
            share = place[rows] - left
            entries = np.concatenate([1 - share, share])
            hats = hats + sparse.csr_matrix((entries, (np.tile(rows, 2), np.concatenate([left, left + 1]))), shape)
        hats = hats[:, :num_knots]  # the profile is 0 at its last knot
        values = np.repeat(profile(t), num_angles)
        weighted = hats.multiply(mass[:, None]).tocsr()
        return (hats.T @ weighted).toarray(), weighted.T @ values, float(mass @ values**2)

    # as many nodes as knots along the arc at 4.5 times the support, beyond where profiles matter
    num_angles = math.ceil(4.5 * support_end * math.pi / (2 * num_lines) / spacing) + 12
    gram, right, moment = normal_equations(num_angles, 10)
    heights = np.linalg.lstsq(gram, right, rcond=1e-13)[0]
    # Other nodes in both, as the first fit follows its own: its error there is too low, and at others too high. Two
    # rules may agree by chance, four hardly.
    rules = [(gram, right, moment)]
    rules += [normal_equations(num_angles + num_angles * j // 12, 10 + j) for j in (1, 2, 4)]
    errors = [float(m - 2 * b @ heights + heights @ a @ heights) for a, b, m in rules]
    others = np.array(errors[1:])
    spread = float(np.max(np.abs(others - errors[0])))
    # int f_1^2 ds over both half-lines, at most the trapezoid sum for a piecewise linear function
    energy = 2 * spacing * float(np.sum(heights**2))
    beyond = num_lines**2 * 1.05 * (4 / math.pi**2) * energy / (2 * far**2)
    return Certified(float(np.mean(others) + beyond / 2) / moment, float(beyond / 2 + 6 * spread) / moment)
