"""Depth separation for a sine of an inner product as fast as the dimension: large weights in one hidden layer only.

Chapter:  what depth buys, 5
Source:   Daniely 2017, Theorem 3 (the norm certificate), Lemma 4 (the sine), Corollary 6 (two hidden layers). The
          certificate as a number, `bounds.daniely_norm`, its growth (docs/theorems/daniely.md), and the floor of narrow
          networks of any depth, `bounds.sphere_projection`, are derived for this project.
Tested:   for sin(pi sqrt(d) m <x, x'>) with m = sqrt(d) / 2, at the least error, the path norm (sum over all paths of
          the product of |weights|) that one hidden layer of ReLU needs grows exponentially in d: over the upper half of
          the dimensions its factor a dimension is nearer to that over the lower half than to what a power of d would
          leave of it. In two, explicit weights have a path norm that grows like a power of d below 4, and neurons like
          one below 3. No trained network lies under its floor.
Decided:  proven
Certain:  proven: the norm certificate at each dimension, its exponential growth, and explicit networks by their
          guarantee; it bounds the number of neurons in one hidden layer only where their norms are bounded. Measured:
          how far training follows, at few seeds and in small dimensions.
Command:  python experiments/daniely.py                             (smoke: --scale smoke, seconds)
Time:     about 30 seconds on 2 cores at laptop scale; --scale paper is made for a GPU.
Result:   results/<scale>/daniely.csv, a row a fit, with the sum of its neurons' norms where it has one hidden layer;
          .floor.csv, a row a dimension and width below it; .certificate.csv, the curve of Theorem 3; .network.csv,
          explicit networks of the widths that are fitted; .needed.csv, a row a dimension and order: what an error
          costs one hidden layer and two.
Figure:   paper_figures/daniely.py
Expected: every trained network with one hidden layer satisfies Theorem 3: its error is at least what the sum of its
          neurons' norms allows. What an error needs of that sum grows exponentially in d where the frequency grows like
          d, and where m is fixed like a power of d, a higher one for larger m. The path norm of explicit networks with
          two hidden layers grows like d^3 and d^2. No floor is known that depends on the width alone, once it is at
          least d.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.special as sp

from widththeory import command, fit
from widththeory.bounds.daniely_norm import error_floor, neuron_norm_needed, polynomial_distance_squared
from widththeory.bounds.sphere_projection import sphere_projection_floor
from widththeory.command import Scale
from widththeory.constructions.daniely import InnerProductSine
from widththeory.experiment import Flags, fit_table, write_table
from widththeory.fit import Measurement, Regression
from widththeory.metrics import error_metrics, evaluate
from widththeory.network import Network

if TYPE_CHECKING:
    import pandas as pd

TARGET = "daniely.InnerProductSine"
DEPTHS = (1, 2, 3)
RELATIVE_ERRORS = (0.5, 0.1)
QUADRATURE = 1e-3  # relative error of a neuron's norm that is allowed for; measured, it is below 1e-4
# How the order depends on d; the last one makes the frequency pi d / 2.
ORDERS: dict[str, Callable[[int], float]] = {
    "1": lambda dim: 1.0,
    "2": lambda dim: 2.0,
    "sqrt(d)/2": lambda dim: math.sqrt(dim) / 2,
}


@dataclass(frozen=True)
class Sizes:
    """How much of the claim a scale covers; `targets` are pairs of dimension and order of the sine."""

    targets: tuple[tuple[int, float], ...]
    widths: tuple[int, ...]
    wide: tuple[int, ...]
    needed_dims: tuple[int, ...]
    learning_rates: tuple[float, ...]
    num_seeds: int
    num_steps: int
    num_train: int
    num_test: int


SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes(((3, 1.0),), (2, 8), (), (4, 8, 16), (1e-2,), 2, 200, 2048, 4096),
    "laptop": Sizes(
        ((4, 0.5), (4, 1.0), (6, 0.5)),
        (2, 4, 8, 16, 32),
        (64, 128),
        (4, 6, 8, 12, 16, 24, 32, 48, 64),
        (1e-2, 3e-2),
        3,
        1500,
        65_536,
        20_000,
    ),
    "paper": Sizes(
        ((4, 1.0), (6, 1.0), (8, 1.0), (8, 2.0), (12, 1.0), (16, 1.0)),
        (2, 4, 8, 16, 32, 64, 128, 256),
        (512, 1024, 2048),
        (4, 6, 8, 12, 16, 24, 32, 48, 64),
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
    """The sine of each dimension and order, fitted by one, two and three hidden layers of many widths."""
    return list(_grid(config))


def _grid(config: Config) -> Iterator[Regression]:
    sizes = SCALES[config.scale]
    for dim, order in sizes.targets:
        for depth in DEPTHS:
            for width in (*sizes.widths, *(sizes.wide if depth == 1 else ())):
                for seed in range(config.seeds or sizes.num_seeds):
                    for learning_rate in sizes.learning_rates:
                        yield Regression(
                            TARGET,
                            (("order", order), ("sphere_dim", dim)),
                            width,
                            depth,
                            seed=seed,
                            learning_rate=learning_rate,
                            num_steps=sizes.num_steps,
                            batch_size=256,
                            num_train=sizes.num_train,
                            num_test=sizes.num_test,
                            init="hinged",
                            keep_weights=depth == 1,
                        )


def neuron_norms(network: Network, dim: int, num_nodes: int = 100) -> np.ndarray:
    """L2 norms of the neurons v relu(<w, x> + <w', x'> + b), less their means, under the uniform law of two spheres.

    Means are orthogonal to the target, which is odd: taken off the neurons, they only raise the network's error. By
    rotation <w, x> is |w| times a coordinate of the sphere, so that a Gauss-Jacobi rule in two coordinates serves; it
    sees the kink to about num_nodes^-2.
    """
    (weight, bias), (outer, _) = network.float64().layers
    nodes, weights = sp.roots_jacobi(num_nodes, (dim - 3) / 2, (dim - 3) / 2)
    mass = np.outer(weights, weights) / weights.sum() ** 2
    norms = []
    for row, shift, scale in zip(weight, bias, outer[0], strict=True):
        first, second = np.linalg.norm(row[:dim]), np.linalg.norm(row[dim:])
        values = np.maximum(first * nodes[:, None] + second * nodes + shift, 0.0)
        norms.append(abs(scale) * math.sqrt(max(0.0, float((mass * (values - (mass * values).sum()) ** 2).sum()))))
    return np.array(norms)


def measure(settings: Sequence[Regression], chunk_size: int) -> list[Measurement]:
    """What `fit.measure` gives; for one hidden layer also the sum of the neurons' norms, and Theorem 3 at it."""
    return [_certified(found) for found in fit.measure(settings, chunk_size)]


def _certified(found: Measurement) -> Measurement:
    if found.weights is None:
        return found
    sine = found.settings.construction
    assert isinstance(sine, InnerProductSine)
    norm_sum = float(neuron_norms(fit.load_weights(found.weights), sine.sphere_dim).sum())
    if not math.isfinite(norm_sum):
        return dataclasses.replace(found, weights=None)
    least = error_floor(sine.sphere_dim, sine.frequency, norm_sum * (1 + QUADRATURE)).lower
    certificate = {"norm_sum": norm_sum, "norm_floor": max(0.0, least)}
    return dataclasses.replace(found, metrics=found.metrics | certificate, weights=None)


def variance(dim: int, order: float) -> float:
    """E sin^2, by which squared errors are divided."""
    return polynomial_distance_squared(dim, InnerProductSine(dim, order).frequency, 0).value


def floors(config: Config) -> "pd.DataFrame":
    """A row a target and width below its dimension: the relative squared error that no depth goes under."""
    import pandas as pd

    rows = []
    for dim, order in SCALES[config.scale].targets:
        for width in range(1, dim):
            least = sphere_projection_floor(dim, InnerProductSine(dim, order).frequency, width).lower
            rows.append((dim, order, width, least))
    return pd.DataFrame(rows, columns=["sphere_dim", "order", "width", "relative_floor"])


def certificates(config: Config) -> "pd.DataFrame":
    """The curve of Theorem 3: a row a target and sum of norms, the relative squared error that it cannot go under."""
    import pandas as pd

    rows = []
    for dim, order in SCALES[config.scale].targets:
        frequency = InnerProductSine(dim, order).frequency
        most = neuron_norm_needed(dim, frequency, 1e-3).upper
        for norm_sum in np.geomspace(most / 100, most, 41):
            rows.append((dim, order, norm_sum, max(0.0, error_floor(dim, frequency, norm_sum).lower)))
    return pd.DataFrame(rows, columns=["sphere_dim", "order", "norm_sum", "relative_floor"])


def networks(config: Config) -> "pd.DataFrame":
    """Explicit networks whose two layers have at most a given width, errors relative to E sin^2.

    `relative_error` is measured, `relative_bound` guaranteed. A deeper network of the same width has no larger error:
    it can carry the second layer, which is not negative.
    """
    import pandas as pd

    sizes = SCALES[config.scale]
    rows = []
    for dim, order in sizes.targets:
        for width in sorted({*sizes.widths, *sizes.wide, *(2**power for power in range(4, 10))}):
            if width < 2 * dim:
                continue
            made = InnerProductSine(dim, order, width // dim, width - 1)
            points = made.sample(sizes.num_test, np.random.default_rng(0))
            found = error_metrics(evaluate(made.network(), points), made.target(points))
            scale = variance(dim, order)
            errors = (found["test_mse"] / scale, found["test_mse_stderr"] / scale, made.error().bound ** 2 / scale)
            rows.append((dim, order, width, sum(made.size().widths), *errors))
    columns = ["sphere_dim", "order", "width", "num_neurons"]
    return pd.DataFrame(rows, columns=[*columns, "relative_error", "relative_error_stderr", "relative_bound"])


def path_norm_needed(dim: int, frequency: float, relative_error: float) -> float:
    """Least path norm of one hidden layer of ReLU with this relative squared error, certified from below.

    A neuron v relu(<w, x> + <w', x'> + b), less its mean, has at most the norm of the linear function in it, as relu is
    1-Lipschitz: |v| |(w, w')|_2 / sqrt(d). Paths through it sum to at least |v| |(w, w')|_1, so that the path norm is
    at least sqrt(d) times the sum of norms that Theorem 3 asks for.
    """
    return math.sqrt(dim) * neuron_norm_needed(dim, frequency, relative_error).lower


def needed(config: Config) -> "pd.DataFrame":
    """A row a dimension, order and relative squared error: what one hidden layer needs, and what is enough in two.

    `norm_sum`, of the neurons, and `path_norm` are certified, from below, for one hidden layer. `two_layers` counts the
    neurons of an explicit network that guarantees the error, half of it allowed to each of the two interpolations;
    `two_layers_path_norm` is its own.
    """
    import pandas as pd

    rows = []
    for dim in SCALES[config.scale].needed_dims:
        for law, order in ORDERS.items():
            frequency = InnerProductSine(dim, order(dim)).frequency
            for relative_error in RELATIVE_ERRORS:
                allowed = math.sqrt(relative_error * variance(dim, order(dim))) / 2
                square = math.ceil(math.sqrt(frequency * dim / allowed))
                pieces = math.ceil(frequency / math.sqrt(2 * allowed))
                made = InnerProductSine(dim, order(dim), square, pieces)
                norm_sum = neuron_norm_needed(dim, frequency, relative_error).lower
                one = (norm_sum, path_norm_needed(dim, frequency, relative_error))
                two = (sum(made.size().widths), made.path_norm())
                rows.append((dim, law, order(dim), relative_error, *one, *two))
    columns = ["sphere_dim", "order_law", "order", "relative_error", "norm_sum", "path_norm", "two_layers"]
    return pd.DataFrame(rows, columns=[*columns, "two_layers_path_norm"])


def main(config: Config) -> None:
    """Write what theory gives, then measure what is missing of the fits."""
    command.results_file(__file__, config.scale, config.out)  # a folder that refuses is said before the theory runs
    write_table(__file__, config, "floor", floors(config))
    write_table(__file__, config, "certificate", certificates(config))
    write_table(__file__, config, "network", networks(config))
    write_table(__file__, config, "needed", needed(config))
    fit_table(__file__, config, settings(config), measure)


if __name__ == "__main__":
    command.run(main)
