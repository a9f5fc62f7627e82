"""Products of n numbers: one hidden layer takes 2^n exponential units, a tree 4 (n - 1); depth helps ReLU too.

Chapter:  what depth buys, 6
Source:   Rolnick, Tegmark 2018, as recalled, for smooth units near 0, whose count is proven here for exponential
          units (`constructions.rolnick_tegmark`); Yarotsky 2017, as recalled, for the product of two by
          ReLU. ReLU networks with one hidden layer by polarisation, and all floors on the cube, are derived for this
          project: `constructions.relu_product`, `bounds.product_direction`, `bounds.affine_pieces`.
Tested:   networks of exponential units err by at most 1.05 times what is promised; for the most factors and the
          largest width the deepest trained ReLU networks have a smaller error than those with one hidden layer, by the
          95 % interval of the quotient of geometric means over seeds; no trained network lies under its floor.
Decided:  proven, measured
Certain:  proven: the count of 2^n, for exponential units and errors that vanish on any cube,
          which says nothing about ReLU networks on the cube; floors there, for every weight, from affine pieces on a
          line and, below width n, from a direction not seen. Measured: how far training follows, at few seeds.
Command:  python experiments/products.py                            (smoke: --scale smoke, seconds)
Time:     about 20 seconds on 2 cores at laptop scale; --scale paper is made for a GPU.
Result:   results/<scale>/products.csv, a row a fit, exact where n = 2; .floor.csv, a row a number of factors, depth and
          width; .network.csv, explicit ReLU networks, measured; .smooth.csv, networks of exponential units, measured in
          float64; .needed.csv, neurons that explicit networks take.
Figure:   paper_figures/products.py
Expected: no trained network lies under a floor. Networks of exponential units err by the order of the square of
          their scale until roundoff takes over, for one hidden layer of n factors at scale^-n. The count of 2^n is no
          statement about ReLU networks on the cube, where depth helps all the same.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from widththeory import command, fit
from widththeory.bounds.affine_pieces import max_affine_pieces
from widththeory.bounds.product_direction import product_floor
from widththeory.command import Scale
from widththeory.constructions.relu_product import ProductByDirections, ProductByGates, ProductBySquares
from widththeory.constructions.rolnick_tegmark import ProductTree, ShallowMonomial
from widththeory.exact.polygons import box, triangle_areas
from widththeory.exact.polynomial_2d import PlanarPolynomial, squared_l2
from widththeory.exact.two_dim import subdivide
from widththeory.experiment import Flags, fit_table, write_table
from widththeory.fit import Measurement, Regression
from widththeory.metrics import evaluate, mean_and_stderr
from widththeory.network import Network

if TYPE_CHECKING:
    import pandas as pd

TARGET = "rolnick_tegmark.ProductTree"
XY = PlanarPolynomial(((0.0, 0.0), (0.0, 1.0)))
MAX_UNITS = 512  # of the explicit networks that are built


@dataclass(frozen=True)
class Sizes:
    """How much of the claim a scale covers; `counts` are numbers of factors that are fitted."""

    counts: tuple[int, ...]
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    needed_counts: tuple[int, ...]
    learning_rates: tuple[float, ...]
    num_seeds: int
    num_steps: int
    num_train: int
    num_test: int


SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes((2, 3), (1, 8), (1, 2), (2, 3, 4), (1e-2,), 2, 200, 2048, 4096),
    "laptop": Sizes(
        (2, 3, 4), (1, 2, 4, 8, 16, 32), (1, 2, 3), (2, 3, 4, 6, 8, 12, 16), (3e-3, 1e-2), 3, 1200, 32_768, 16_384
    ),
    "paper": Sizes(
        (2, 3, 4, 6, 8),
        (1, 2, 4, 8, 16, 32, 64, 128, 256),
        (1, 2, 3, 4),
        (2, 3, 4, 6, 8, 12, 16, 24, 32),
        (3e-4, 1e-3, 3e-3, 1e-2),
        5,
        50_000,
        1_048_576,
        200_000,
    ),
}


@dataclass(frozen=True)
class Config(Flags):
    """Flags of this experiment; `seeds` counts the initialisations of each network."""


def settings(config: Config) -> list[Regression]:
    """Each product fitted by networks of every width and depth."""
    return list(_grid(config))


def _grid(config: Config) -> Iterator[Regression]:
    sizes = SCALES[config.scale]
    for count in sizes.counts:
        for depth in sizes.depths:
            for width in sizes.widths:
                for seed in range(config.seeds or sizes.num_seeds):
                    for learning_rate in sizes.learning_rates:
                        yield Regression(
                            TARGET,
                            (("num_factors", count), ("scale", 1.0)),  # the scale is of a network that is not used
                            width,
                            depth,
                            seed=seed,
                            learning_rate=learning_rate,
                            num_steps=sizes.num_steps,
                            batch_size=256,
                            num_train=sizes.num_train,
                            num_test=sizes.num_test,
                            init="hinged",
                            keep_weights=count == 2,
                        )


def exact_relative_error(network: Network) -> float:
    """E (g - x_1 x_2)^2 over the variance 1/9, integrated exactly on the faces of the network's complex."""
    complex_ = subdivide(network, box(-1, 1))
    triangles = complex_.triangles[0]
    areas = triangle_areas(complex_.vertices, triangles)
    values = complex_.values[:, 0][triangles]
    squares: Any = squared_l2(XY, complex_.vertices[triangles], values, areas)
    return float(squares.sum()) * 9 / 4


def measure(settings: Sequence[Regression], chunk_size: int) -> list[Measurement]:
    """What `fit.measure` gives; for two factors also the exact relative squared error."""
    return [_with_exact(found) for found in fit.measure(settings, chunk_size)]


def _with_exact(found: Measurement) -> Measurement:
    if found.weights is None:
        return found
    network = fit.load_weights(found.weights)
    finite = all(np.all(np.isfinite(part)) for layer in network.layers for part in layer)
    exact = {"exact_relative_error": exact_relative_error(network)} if finite else {}
    return dataclasses.replace(found, metrics=found.metrics | exact, weights=None)


def _identity(values: np.ndarray) -> np.ndarray:
    return values


@cache
def narrow_floor(count: int) -> float:
    """Relative squared error that no first hidden layer of width below n goes under, at any depth."""
    return product_floor([_identity] * count, [1.0] * count).lower ** 2 * 1.5**count


def line_floor(widths: Sequence[int]) -> float:
    """Relative squared error of networks of these widths on any product, at least: 4 / (15 P^4), P pieces on a line.

    On lines along (1, 1, 0, ..., 0) the product is (t^2 - s^2) c with c that of the other factors. P affine pieces miss
    t^2 on a chord of length L = 2 (1 - |s|) by L^5 / (180 P^4) in squared L2; over s in [-1, 1], twice for the
    Jacobian, that is 16/135 / P^4, a mean of 4/135 / P^4, and E c^2 scales it as it does the variance 1/9.
    """
    return 4 / 15 / float(max_affine_pieces(widths)) ** 4 * (1 - 1e-12)


def floors(config: Config) -> "pd.DataFrame":
    """A row a number of factors, depth and width: the floors, and the larger one, relative to the variance 3^-n."""
    import pandas as pd

    sizes = SCALES[config.scale]
    rows = []
    for count in sizes.counts:
        for depth in sizes.depths:
            for width in range(1, 2 * max(sizes.widths) + 1):
                narrow, line = narrow_floor(count) if width < count else 0.0, line_floor((width,) * depth)
                rows.append((count, depth, width, narrow, line, max(narrow, line)))
    return pd.DataFrame(rows, columns=["num_factors", "depth", "width", "narrow", "line", "relative_floor"])


def _explicit(count: int) -> Iterator[tuple[str, Any]]:
    for pieces in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64):
        for kind, made in (("directions", ProductByDirections), ("gates", ProductByGates)):
            network = made(count, pieces)
            if sum(network.size().widths) <= MAX_UNITS:
                yield kind, network
    for order in range(1, 7):
        yield "squares", ProductBySquares(count, order)


def networks(config: Config) -> "pd.DataFrame":
    """Explicit ReLU networks: measured squared error over the variance 3^-n, and the sup error that is guaranteed."""
    import pandas as pd

    sizes = SCALES[config.scale]
    rows = []
    for count in sizes.counts:
        points = np.random.default_rng(0).uniform(-1, 1, (sizes.num_test // 2, count))
        for kind, made in _explicit(count):
            squares = (evaluate(made.network().float64(), points) - made.target(points)) ** 2
            mean, stderr = (3.0**count * part for part in mean_and_stderr(squares))
            size = made.size()
            neurons = sum(size.widths)
            rows.append((count, kind, size.depth, size.width, neurons, mean, stderr, made.error().bound))
    columns = ["num_factors", "kind", "depth", "width", "num_neurons", "relative_error", "relative_error_stderr"]
    return pd.DataFrame(rows, columns=[*columns, "sup_bound"])


def smooth() -> "pd.DataFrame":
    """Networks of exponential units at several scales: the sup error promised, and that measured in float64.

    Measured at random points and at (1, ..., 1), where in exact arithmetic the promised error is attained.
    """
    import pandas as pd

    rows = []
    for count in (2, 4, 8):
        points = np.random.default_rng(0).uniform(-1, 1, (64, count))
        points[0] = 1.0
        for scale in 10.0 ** np.arange(-5, 0.01, 0.5):
            shallow, tree = ShallowMonomial((1,) * count, float(scale)), ProductTree(count, float(scale))
            for depth, made in ((1, shallow), (tree.depth, tree)):
                missed = float(np.max(np.abs(made.evaluate(points) - made.target(points))))
                kind = "shallow" if made is shallow else "tree"
                rows.append((count, kind, depth, made.num_neurons, float(scale), made.error().bound, missed))
    columns = ["num_factors", "kind", "depth", "num_neurons", "scale", "promised", "measured"]
    return pd.DataFrame(rows, columns=columns)


SUP_ERROR = 0.01


def needed(config: Config) -> "pd.DataFrame":
    """A row a number of factors: exponential units, and those of ReLU networks that guarantee a sup error."""
    import pandas as pd

    rows = []
    for count in SCALES[config.scale].needed_counts:
        pieces = math.ceil(math.sqrt(ProductByDirections(count, 1).error().bound / SUP_ERROR))
        order = 1
        while ProductBySquares(count, order).error().bound > SUP_ERROR:
            order += 1
        relu = (2.0 ** (count - 1) * pieces, sum(ProductBySquares(count, order).size().widths))
        half = ProductTree(count, 1.0, arity=max(2, math.isqrt(count - 1) + 1))  # two hidden layers
        rows.append((count, 2.0**count, half.num_neurons, ProductTree(count, 1.0).num_neurons, *relu))
    columns = ["num_factors", "smooth_shallow", "smooth_two", "smooth_tree", "relu_shallow", "relu_tree"]
    return pd.DataFrame(rows, columns=columns)


def main(config: Config) -> None:
    """Write what theory gives, then measure what is missing of the fits."""
    command.results_file(__file__, config.scale, config.out)  # a folder that refuses is said before the theory runs
    write_table(__file__, config, "floor", floors(config))
    write_table(__file__, config, "network", networks(config))
    write_table(__file__, config, "smooth", smooth())
    write_table(__file__, config, "needed", needed(config))
    fit_table(__file__, config, settings(config), measure)


if __name__ == "__main__":
    command.run(main)
