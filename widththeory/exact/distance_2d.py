"""Exact distances in the plane: between two ReLU networks, and from a network to a polynomial.

The difference of two networks is a network, affine on each face of its complex. Its faces are cut into triangles, on
which |d| and d² have closed integrals (`widththeory.exact.polygons`); its maximum is at a vertex. Nothing is sampled.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np

from widththeory.exact import polynomial_2d
from widththeory.exact.one_dim_distance import Distance
from widththeory.exact.polygons import (
    convex_corners,
    coordinates,
    cross,
    integral_of_modulus,
    integral_of_square,
    triangle_areas,
)
from widththeory.exact.polynomial_2d import PlanarPolynomial
from widththeory.exact.rationals import to_fractions, to_numbers, total
from widththeory.exact.two_dim import Polygon, planar_network, restrict_to_plane, subdivide
from widththeory.network import Network, linear_combination


def difference(first: Network, second: Network) -> Network:
    """The network first − second. Hidden values are carried through missing layers, which makes no new break lines."""
    depth = max(first.size.depth, second.size.depth)
    return linear_combination((1, -1), [_carried(network, depth) for network in (first, second)])


def _carried(network: Network, depth: int) -> Network:
    width, missing = network.layers[-1].weight.shape[1], depth - network.size.depth
    if network.size.depth == 0:  # inputs have either sign: `deepen` splits them in two
        return network.deepen(depth)
    dtype = network.layers[-1].weight.dtype
    carry = (np.eye(width, dtype=dtype), np.zeros(width, dtype=dtype))
    return Network([*network.layers[:-1], *[carry] * missing, network.layers[-1]])


def distance(
    network: Network, target: Network | PlanarPolynomial, polygon: Polygon, *, tolerance: float = 1e-9
) -> Distance:
    """L1, L2 and sup distance (Lebesgue measure, not normalised) between two functions on a convex polygon.

    Args:
        network: two inputs, one output.
        target: another such network, or a polynomial.
        polygon: corners of the domain, see `two_dim.subdivide`.
        tolerance: for a polynomial target only, where the zero set of the difference is curved.

    Error: closed forms in float64 on a complex whose combinatorics are exact, in coordinates in which the polygon is
        near 0 and round: some 1e-14 of the size of the functions there, and of a network's hidden values. Against a
        polynomial relative `tolerance` besides for L1 and sup; for degree 6 some 1e-13, for 10 some 1e-11.

    Raises:
        ValueError: input dimension other than 2, several outputs, a bad polygon, a tolerance out of reach, or a
            distance too large for float64.

    Source: derived for this project.
    """
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must be between 0 and 1, got {tolerance!r}")
    affine = _affine_part(network, target)
    origin, directions, corners = coordinates(convex_corners(polygon))
    vertices, triangles, values = _on_triangles(restrict_to_plane(affine, origin, directions), corners, "filtered")
    size = Fraction(abs(values).max())
    if isinstance(target, PlanarPolynomial):
        polynomial = target.on_plane(origin, directions)
        reach = to_numbers(abs(vertices).max(axis=0)[None])
        size = max(size, to_fractions(polynomial.moduli()(reach))[0])
    # Values and areas over powers of two, so that squares are in range; this rounds only negligible ones.
    stretch = abs(cross(*directions))
    wide, high = _exponent(stretch) // 2, _exponent(size)
    areas = triangle_areas(vertices, triangles) * float(stretch / Fraction(4) ** wide)
    values = np.ldexp(values[triangles], -high)
    if isinstance(target, PlanarPolynomial):
        polynomial, corners = polynomial.scaled(high), vertices[triangles]
        l1 = polynomial_2d.l1(polynomial, corners, values, areas, tolerance)
        squared = polynomial_2d.squared_l2(polynomial, corners, values, areas).sum()
        supremum = polynomial_2d.sup(polynomial, corners, values, tolerance)
    else:
        l1, squared = integral_of_modulus(areas, values).sum(), integral_of_square(areas, values).sum()
        supremum = abs(values).max()
    try:
        return Distance(
            math.ldexp(l1, 2 * wide + high), math.ldexp(math.sqrt(squared), wide + high), math.ldexp(supremum, high)
        )
    except OverflowError:
        raise ValueError("distance is too large for float64") from None


def _exponent(number: Fraction) -> int:
    return number.numerator.bit_length() - number.denominator.bit_length()


def exact_distance(first: Network, second: Network, polygon: Polygon) -> tuple[Fraction, Fraction, Fraction]:
    """L1 distance, squared L2 distance and sup distance of two networks on a convex polygon, as exact rationals.

    Arguments and errors as for `distance`; floats are taken as the dyadic rationals they store.
    """
    first, second = (planar_network(network).rational() for network in (first, second))
    vertices, triangles, values = _on_triangles(_affine_part(first, second), polygon, "rational")
    areas, supremum = triangle_areas(vertices, triangles), total(abs(values).max(keepdims=True))
    values = values[triangles]
    return total(integral_of_modulus(areas, values)), total(integral_of_square(areas, values)), supremum


def exact_squared_l2(network: Network, polynomial: PlanarPolynomial, polygon: Polygon) -> Fraction:
    """∫ (network − polynomial)² over a convex polygon, as an exact rational."""
    affine = _affine_part(planar_network(network).rational(), polynomial)
    vertices, triangles, values = _on_triangles(affine, polygon, "rational")
    areas = triangle_areas(vertices, triangles)
    return total(polynomial_2d.squared_l2(polynomial, vertices[triangles], values[triangles], areas))


def _affine_part(network: Network, target: Network | PlanarPolynomial) -> Network:
    """What of the difference is a network; the arguments are checked."""
    networks = {"network": network} if isinstance(target, PlanarPolynomial) else {"network": network, "target": target}
    for name, part in networks.items():
        if planar_network(part).output_dim != 1:
            raise ValueError(f"{name} must have output_dim 1, got {part.output_dim}")
    return difference(*networks.values()) if len(networks) == 2 else network


def _on_triangles(network: Network, polygon: Polygon, arithmetic: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, the triangles between them on which the network is affine, and its values at the vertices."""
    complex_ = subdivide(network, polygon, arithmetic)
    vertices, values, triangles = complex_.vertices, complex_.values[:, 0], complex_.triangles[0]
    if arithmetic == "rational":
        vertices, values = to_numbers(vertices), to_numbers(values)
    return vertices, triangles, values
