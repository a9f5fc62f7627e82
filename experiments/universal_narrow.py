"""Explicit networks of constant narrow width pay for accuracy with depth, at rates that their constructions promise.

Chapter:  how narrow is too narrow, 3
Source:   Park et al. 2021 and Kim, Min, Park 2024 (encoder, memoriser, decoder) and Lu et al. 2017, Theorem 1 (width
          n + 4), which are on density and give no rate: errors and depths of their networks are derived for this
          project, as are interpolation on a grid and the exchange of width for depth. Rates: Hanin 2019 (maxima of
          affine functions, with Hanin, Sellke 2017), Yarotsky 2018 (packed digits) and Yarotsky 2017 (the square). All
          as recalled. Floors: `bounds.free_knot`, `bounds.affine_pieces`, `bounds.level_set`.
Tested:   every family of explicit networks with more than one size keeps the error that its construction promises at
          every depth, the power of the depth with which its error falls is the promised one over the same depths,
          within a quarter of it, and no trained network lies under its floor.
Decided:  proven, computed
Certain:  proven: promises and floors, some of the theorems as recalled. Computed: the errors of the explicit networks.
          Measured: trained ones, at few seeds.
Command:  python experiments/universal_narrow.py                    (smoke: --scale smoke, seconds)
Time:     about half a minute on 2 cores at laptop scale; --scale paper is made for a cluster.
Result:   results/<scale>/universal_narrow.csv, a row a fit; .network.csv, a row an explicit network: size, errors in
          three norms, what its construction promises in which norm; .floor.csv, floors of the sizes that are fitted;
          .needed.csv, the depth at which each construction promises an error.
Figure:   paper_figures/universal_narrow.py
Expected: each network keeps its promise, and its error falls with the depth at about the rate that the promise tends
          to: 1/n for Lipschitz functions of n variables, 2 for packed digits, 2/n for convex functions. Trained
          networks of a few layers are better than these, as they serve one function, and worse than networks that are
          exact for it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from widththeory import command, fit
from widththeory.bounds.affine_pieces import max_affine_pieces, square_floor
from widththeory.bounds.free_knot import network_floor
from widththeory.bounds.level_set import box_floor
from widththeory.bounds.tabulated import Tabulated
from widththeory.command import Scale
from widththeory.constructions.convex_lipschitz import ConvexParabola
from widththeory.constructions.hanin import PiecewiseAffine
from widththeory.constructions.interpolation import narrow_interpolation, shallow_interpolation
from widththeory.constructions.lipschitz_bits import PackedDistance
from widththeory.constructions.lipschitz_narrow import DistanceToPoints
from widththeory.constructions.minimum_width_network import DistanceMap
from widththeory.constructions.serialise import exchange_size, serialise
from widththeory.constructions.trapezoid_approximation import grid_error, trapezoid_grid
from widththeory.constructions.trapezoid_blocks import num_layers_per_box
from widththeory.constructions.yarotsky import Square
from widththeory.exact.one_dim import piecewise
from widththeory.experiment import Flags, fit_table, write_table
from widththeory.fit import Regression
from widththeory.metrics import evaluate, mean_and_stderr
from widththeory.network import Network, compose
from widththeory.typing import Size

if TYPE_CHECKING:
    import pandas as pd

DISTANCE, PARABOLA = "lipschitz_narrow.DistanceToPoints", "convex_lipschitz.ConvexParabola"
NUM_CENTRES = 4  # of the distance; its kinks are no grid points of what is measured here
EXCHANGE_WIDTH = 10
WINDOW_BITS = 20  # windows so short that they hardly show, and so long that float64 carries them
MARGIN = 0.05  # over the side of a cell, of the bumps at width n + 4
PROMISES = (0.1, 0.03, 0.01)


class Made(NamedTuple):
    """One explicit network: how to build it, its size, what its construction promises, and in which norm."""

    network: Callable[[], Network]
    size: Size
    norm: str
    bound: float


@dataclass(frozen=True)
class Sizes:
    """How much of the claim a scale covers; `counts` are cells, digits or planes of the explicit networks, by kind."""

    counts: dict[tuple[str, int, str], tuple[int, ...]]
    fitted: tuple[tuple[str, int, int], ...]
    depths: tuple[int, ...]
    learning_rates: tuple[float, ...]
    num_seeds: int
    num_steps: int
    num_train: int
    num_points: int


FITTED = ((DISTANCE, 1, 3), (DISTANCE, 1, 4), (DISTANCE, 2, 5), (PARABOLA, 1, 2), (PARABOLA, 1, 3))


def counts(cells: tuple[int, ...], plane: tuple[int, ...], digits: tuple[int, ...], planes: tuple[int, ...]) -> dict:
    """`Sizes.counts` from cells of the line and of the plane, digits, and planes of the parabola."""
    line = dict.fromkeys([(DISTANCE, 1, k) for k in ("grid", "chords", "exchange", "memoriser", "trapezoid")], cells)
    squares = dict.fromkeys([(DISTANCE, 2, k) for k in ("grid", "memoriser", "narrowest", "trapezoid")], plane)
    convex = {(PARABOLA, 1, "planes"): planes, (PARABOLA, 1, "chords"): planes, (PARABOLA, 2, "planes"): planes[:-1]}
    rest = {(DISTANCE, 1, "digits"): digits, (DISTANCE, 1, "maxima"): (1,), (PARABOLA, 1, "square"): (1, 2, 4, 6, 8)}
    return line | squares | convex | rest


SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes(
        counts((3, 7, 15), (2, 3, 5), (2, 3, 5), (2, 4, 8)),
        ((DISTANCE, 1, 3), (PARABOLA, 1, 3)),
        (1, 2),
        (1e-2,),
        2,
        100,
        512,
        1024,
    ),
    "laptop": Sizes(
        counts((3, 7, 15, 31, 63), (2, 3, 5, 9, 15), (2, 3, 5, 7, 11, 15), (2, 4, 8, 16, 32)),
        FITTED,
        (1, 2, 4, 8),
        (3e-3, 1e-2),
        3,
        2000,
        4096,
        8192,
    ),
    "paper": Sizes(
        counts((3, 7, 15, 31, 63, 127, 255), (2, 3, 5, 9, 15, 31), (2, 3, 5, 7, 11, 15, 19), (2, 4, 8, 16, 32, 64)),
        (*FITTED, (DISTANCE, 1, 2), (DISTANCE, 1, 10), (DISTANCE, 2, 3), (DISTANCE, 2, 6)),
        (1, 2, 3, 4, 6, 8, 12, 16),
        (1e-3, 3e-3, 1e-2),
        10,
        20_000,
        16_384,
        65_536,
    ),
}


@dataclass(frozen=True)
class Config(Flags):
    """Flags of this experiment; `seeds` counts the initialisations of each network."""


def settings(config: Config) -> list[Regression]:
    """Both targets, fitted at widths of the constructions with few layers."""
    return list(_grid(config))


def _grid(config: Config) -> Iterator[Regression]:
    sizes = SCALES[config.scale]
    for target, dim, width in sizes.fitted:
        args: tuple[tuple[str, int], ...] = (("input_dim", dim), ("planes_per_axis", 1))
        if target == DISTANCE:  # neither one plane nor one cell matters to the target
            args = (("input_dim", dim), ("num_cells", 1), ("num_centres", NUM_CENTRES), ("seed", 0))
        for depth in sizes.depths:
            for seed in range(config.seeds or sizes.num_seeds):
                for learning_rate in sizes.learning_rates:
                    yield Regression(
                        target,
                        args,
                        width,
                        depth,
                        seed=seed,
                        learning_rate=learning_rate,
                        num_steps=sizes.num_steps,
                        batch_size=256,
                        num_train=sizes.num_train,
                        num_test=sizes.num_points,
                        init="hinged",
                    )


# --- explicit networks ------------------------------------------------------------------------------------------------


def target_of(name: str, dim: int) -> DistanceToPoints | ConvexParabola:
    """The target that all constructions share."""
    return DistanceToPoints(dim, 1, NUM_CENTRES) if name == DISTANCE else ConvexParabola(dim, 1)


def made(name: str, dim: int, kind: str, count: int) -> Made:
    """The network of a kind with so many cells, digits or planes an axis."""
    if kind in ("chords", "exchange"):
        return _interpolated(name, kind, count)
    if kind == "trapezoid":
        return _trapezoids(dim, count)
    if kind == "square":  # half of x^2, whose error halves too
        square = Square(count)
        bound = square.error().bound / 2
        return Made(lambda: square.network().then([[Fraction(1, 2)]], [0]), square.size(), "sup", bound)
    kinds: dict[str, Callable[[], Any]] = {
        "grid": lambda: DistanceToPoints(dim, count, NUM_CENTRES),
        "digits": lambda: PackedDistance(2 * count, count, NUM_CENTRES),
        "memoriser": lambda: DistanceMap(dim, count, num_centres=NUM_CENTRES, window_bits=WINDOW_BITS),
        "narrowest": lambda: DistanceMap(dim, count, num_centres=NUM_CENTRES, window_bits=WINDOW_BITS, narrowest=True),
        "planes": lambda: ConvexParabola(dim, count),
        "maxima": difference_of_maxima,
    }
    one = kinds[kind]()
    return Made(one.network, one.size(), one.error().norm, one.error().bound)


def _interpolated(name: str, kind: str, count: int) -> Made:
    """Chords at equal knots: of width 2, or one layer of as many units exchanged for depth at width 10."""
    centres = [Fraction(c) for c in DistanceToPoints(1, 1, NUM_CENTRES).centres()[:, 0]]
    knots = [Fraction(i, count) for i in range(count + 1)]
    values = [min(abs(x - c) for c in centres) if name == DISTANCE else x * x / 2 for x in knots]
    # half a cell times slope 1, or a cell squared over 8 times f'' = 1
    bound = 1 / (2 * count) if name == DISTANCE else 1 / (8 * count**2)
    if kind == "chords":
        return Made(lambda: narrow_interpolation(knots, values), Size(1, (2,) * (count - 1)), "sup", bound)
    size = exchange_size(1, (count,), EXCHANGE_WIDTH)
    return Made(lambda: serialise(shallow_interpolation(knots, values), EXCHANGE_WIDTH, 0, 1), size, "sup", bound)


def _trapezoids(dim: int, count: int) -> Made:
    """Bumps on a grid of [-1, 1]^n, moved to [0, 1]^n."""
    one = target_of(DISTANCE, dim)
    # the distance is 1-Lipschitz in the maximum norm, so 1/2-Lipschitz in the Euclidean one of the larger cube
    bound = grid_error(0.5, 1.0, dim, count, MARGIN, "half-overlap").upper / 2**dim

    def network() -> Network:
        bumps = trapezoid_grid(lambda x: one.target((x + 1) / 2), dim, count, MARGIN).network(exact=True)
        doubled = [[Fraction(2 * (i == j)) for j in range(dim)] for i in range(dim)]
        return compose(bumps, Network([(doubled, [Fraction(-1)] * dim)]))

    return Made(network, Size(dim, (dim + 4,) * (num_layers_per_box(dim) * count**dim)), "l1", bound)


def difference_of_maxima() -> PiecewiseAffine:
    """The distance on the line itself: convex at its points, concave between them, so a difference of two maxima."""
    centres = sorted(Fraction(c) for c in DistanceToPoints(1, 1, NUM_CENTRES).centres()[:, 0])
    middles = [(a + b) / 2 for a, b in zip(centres, centres[1:], strict=False)]

    def planes(value: Fraction, slope: int, kinks: list[Fraction]) -> tuple[tuple, tuple]:
        slopes, offsets = [(float(slope),)], [float(value)]
        for kink in kinks:  # dyadic, so that floats are exact
            slope, value = slope + 2, value - 2 * kink
            slopes.append((float(slope),))
            offsets.append(float(value))
        return tuple(slopes), tuple(offsets)

    return PiecewiseAffine(*planes(centres[0], -1, centres), *planes(Fraction(0), 0, middles))


def networks(config: Config) -> "pd.DataFrame":
    """A row a network: its errors in three norms, exact for one variable, where digits are measured on a grid.

    In the plane `sup` is the largest error seen, at the points of a sample and of a grid; standard errors are those of
    the sample. `error` is the error in the norm of the promise `bound`.
    """
    import pandas as pd

    sizes = SCALES[config.scale]
    rows = []
    for (name, dim, kind), numbers in sizes.counts.items():
        for count in numbers:
            one = made(name, dim, kind, count)
            network = one.network()
            found = _on_line(name, kind, network) if dim == 1 else _in_plane(name, network, sizes.num_points)
            error, stderr = found[one.norm], found.get(f"{one.norm}_stderr", 0.0)
            cell = {"target": name, "input_dim": dim, "kind": kind, "count": count, "width": network.size.width}
            cell |= {"depth": network.size.depth, "norm": one.norm, "error": error, "stderr": stderr}
            rows.append({**cell, "bound": one.bound, **{norm: found[norm] for norm in ("sup", "l2", "l1")}})
    return pd.DataFrame(rows)


def _on_line(name: str, kind: str, network: Network) -> dict[str, float]:
    target = target_of(name, 1)
    if kind == "digits":  # thousands of pieces, in windows that are an eighth of a fine cell
        points = ((np.arange(2**14) + 0.5) / 2**14)[:, None]
        gap = np.abs(evaluate(network.float64(), points) - target.target(points))
        return {"sup": float(gap.max()), "l2": float(np.sqrt(np.mean(gap**2))), "l1": float(gap.mean())}
    curve = piecewise(network, 0, 1, "rational")
    distance = curve.distance(target.exact_target)
    return {"sup": distance.sup, "l2": distance.l2, "l1": distance.l1}


def _in_plane(name: str, network: Network, num_points: int) -> dict[str, float]:
    target = target_of(name, 2)
    step = np.linspace(0, 1, 65)
    grid = np.stack(np.meshgrid(step, step), axis=-1).reshape(-1, 2)
    points = target.sample(num_points, np.random.default_rng(1))
    gap, edge = (np.abs(evaluate(network.float64(), part) - target.target(part)) for part in (points, grid))
    (l1, l1_stderr), (square, square_stderr) = mean_and_stderr(gap), mean_and_stderr(gap**2)
    l2 = float(np.sqrt(square))
    found = {"sup": float(max(gap.max(), edge.max())), "l2": l2, "l1": l1, "l1_stderr": l1_stderr}
    return found | {"l2_stderr": square_stderr / (2 * l2)}


def needed(config: Config) -> "pd.DataFrame":
    """The least depth at which each construction promises an error, by its formulas."""
    import pandas as pd

    rows = []
    for name, dim, kind in SCALES[config.scale].counts:
        if kind == "maxima":
            continue
        for promise in PROMISES:
            count = 1 + (kind in ("memoriser", "narrowest", "chords"))
            while made(name, dim, kind, count).bound > promise:
                count += 1
            one = made(name, dim, kind, count)
            rows.append((name, dim, kind, promise, one.norm, count, one.size.width, one.size.depth))
    columns = ["target", "input_dim", "kind", "promise", "norm", "count", "width", "depth"]
    return pd.DataFrame(rows, columns=columns)


# --- floors -----------------------------------------------------------------------------------------------------------


def floors(config: Config) -> "pd.DataFrame":
    """A row a size: what no network of that width and depth can beat; 0 where nothing is proven.

    For one variable from the number of affine pieces. In the plane, in sup and for width 2 at every depth (`depth` 0),
    from a box about each point: the distance is 0 there and larger on the boundary of the box.
    """
    import pandas as pd

    sizes = SCALES[config.scale]
    rows = []
    exact = DistanceToPoints(1, 1, NUM_CENTRES).exact_target
    assert exact is not None
    shape = Tabulated(exact.knots, exact.values)
    kinds = {(name, width) for name, dim, width in sizes.fitted if dim == 1} | {(DISTANCE, 2), (PARABOLA, 2)}
    for name, width in sorted(kinds):
        for depth in sorted({*sizes.depths, *range(1, 9)}):
            widths = (width,) * depth
            if name == PARABOLA:
                found = [square_floor(widths, norm).lower / 2 for norm in ("sup", "l2", "l1")]
            elif max_affine_pieces(widths) >= exact.num_pieces:
                found = [0.0] * 3
            else:
                found = [network_floor(shape, widths, norm, num_cells=256).lower for norm in ("sup", "l2", "l1")]
            rows.append((name, 1, width, depth, *found))
    plane = DistanceToPoints(2, 1, NUM_CENTRES)
    least = 0.0
    for centre in plane.centres():
        reach = float(min(centre.min(), 1 - centre.max()))
        for size in (share * reach for share in (0.25, 0.5, 0.75, 1.0) if reach > 0):
            low, high = (centre - size).tolist(), (centre + size).tolist()
            least = max(least, box_floor(plane.target, 1.0, low, high, centre.tolist()).lower)
    rows.append((DISTANCE, 2, 2, 0, least, 0.0, 0.0))
    columns = ["target", "target.input_dim", "width", "depth", "sup_floor", "l2_floor", "l1_floor"]
    return pd.DataFrame(rows, columns=columns)


def main(config: Config) -> None:
    """Write what theory gives and what explicit networks attain, then measure what is missing of the fits."""
    command.results_file(__file__, config.scale, config.out)  # a folder that refuses is said before the theory runs
    write_table(__file__, config, "floor", floors(config))
    write_table(__file__, config, "needed", needed(config))
    write_table(__file__, config, "network", networks(config))
    fit_table(__file__, config, settings(config), fit.measure)


if __name__ == "__main__":
    command.run(main)
