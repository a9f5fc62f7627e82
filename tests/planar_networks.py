"""Networks that are subdivided in tests, and subdivisions held against each other."""

from fractions import Fraction

import numpy as np

from widththeory.network import Network


def random_network(widths, seed, bias=0.3):
    """He-initialised weights; all widths, from the input's to the output's."""
    rng = np.random.default_rng(seed)
    pairs = zip(widths, widths[1:], strict=False)
    return Network([(rng.normal(size=(o, i)) * np.sqrt(2 / i), bias * rng.normal(size=o)) for i, o in pairs])


def rational(*layers):
    """Lists of numbers as Fractions."""
    return Network([([list(map(Fraction, row)) for row in w], list(map(Fraction, b))) for w, b in layers])


def same_combinatorics(one, other):
    """All that is told of edges, faces and patterns is equal."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("edges", "edge_faces", "edge_neurons", "offsets", "cycles", "patterns")
    )


def errors_hold(filtered, exact):
    """Vertices and values are as near to rational ones as their errors say."""
    return all(
        np.all(abs(wanted - np.vectorize(Fraction)(found)) <= np.vectorize(Fraction)(errors))
        for found, wanted, errors in (
            (filtered.vertices, exact.vertices, filtered.vertex_errors),
            (filtered.values, exact.values, filtered.value_errors),
        )
    )
