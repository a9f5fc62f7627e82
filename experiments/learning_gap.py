"""What deep networks can represent and training does not find: k folds, by networks of k layers.

Chapter:  what depth buys, 9
Source:   Malach, Yehudai, Shalev-Shwartz, Shamir 2021 (what shallow networks cannot approximate, gradient descent does
          not learn at any depth); Telgarsky 2016 (the explicit network, width 2 and depth k). The bound on the gradient
          is derived for this project, `bounds.sawtooth_gradient`.
Tested:   the part of the initial gradient that the target makes (the loss's against the sawtooth less that against its
          mean 1/2; 0 in networks that see nothing) falls over 1.5 times with each fold in root mean square (a fit,
          widest networks), every trained network of the most folds misses over half of the variance, and nothing
          contradicts a bound.
Decided:  proven, measured
Certain:  proven: the bound on the gradient at the start, by the total variation of the network's own, and the explicit
          weights. Measured: that training does not find them; another optimiser than Adam might.
Command:  python experiments/learning_gap.py                   (smoke: --scale smoke, seconds)
Time:     about 25 seconds on 2 cores at laptop scale; --scale paper is made for a cluster.
Result:   results/<scale>/learning_gap.csv, a row a fit; .gradient.csv, a row an initial network and number of folds:
          how much its gradient sees of the target, integrated exactly, and the bound; .pieces.csv, a row a fit: the
          pieces that training ended with; .returns.csv, a row a start near the explicit weights: errors before, after.
Figure:   paper_figures/learning_gap.py
Expected: the gradient at initialisation sees 2^-k of the target, whatever width and depth; so training finds few
          folds, although the floor of every size tried is zero and explicit weights attain it. From near the explicit
          weights descent finds back, but from a distance that shrinks with k as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from widththeory import command, fit, identity
from widththeory.bounds.affine_pieces import sawtooth_floor
from widththeory.bounds.sawtooth_gradient import variation_bound
from widththeory.command import Scale, results_file
from widththeory.compiled import compiled, prepare_jax, start, unpack
from widththeory.constructions.telgarsky import Sawtooth
from widththeory.ensemble import Program, Segment
from widththeory.exact.one_dim import PiecewiseLinear, piecewise
from widththeory.exact.parameter_gradient import ParameterGradient, parameter_gradient
from widththeory.experiment import Flags, fit_table, write_table
from widththeory.fit import Regression
from widththeory.ledger import Ledger
from widththeory.models.mlp import initial_network
from widththeory.network import Network
from widththeory.optimizers import step_scalars

if TYPE_CHECKING:
    import pandas as pd

TARGET = "telgarsky.Sawtooth"
INIT = "hinged"  # hinges in the domain: with zero biases they all meet in the origin


@dataclass(frozen=True)
class Sizes:
    """How much of the claim a scale covers: initial networks, fits, and starts near the explicit weights.

    Args:
        distances: |theta - theta*| / |theta*| of the starts, theta* the explicit weights.
    """

    gradient_folds: tuple[int, ...]
    num_initial: int
    widths: tuple[int, ...]
    fitted_folds: tuple[int, ...]
    learning_rates: tuple[float, ...]
    num_seeds: int
    num_steps: int
    num_train: int
    return_folds: tuple[int, ...]
    distances: tuple[float, ...]
    return_rates: tuple[float, ...]
    num_starts: int
    return_steps: int


def _halvings(first: int, last: int) -> tuple[float, ...]:
    return tuple(2.0**-power for power in range(first, last + 1))


SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes((1, 2, 4, 6), 4, (2, 8), (1, 2, 3), (1e-2,), 2, 200, 512, (2, 3), (1, 0.1, 0.01), (1e-3,), 2, 200),
    "laptop": Sizes(
        tuple(range(1, 13)),
        20,
        (2, 4, 8, 16),
        (1, 2, 3, 4, 5, 6),
        (3e-3, 1e-2),
        4,
        2000,
        2048,
        (2, 4, 6, 8),
        _halvings(3, 12),
        (1e-4, 1e-3, 1e-2),
        4,
        1200,
    ),
    "paper": Sizes(
        tuple(range(1, 21)),
        100,
        (2, 4, 8, 16, 32, 64),
        tuple(range(1, 13)),
        (1e-4, 1e-3, 3e-3, 1e-2),
        20,
        50_000,
        16_384,
        (2, 3, 4, 5, 6, 7, 8, 9, 10),
        _halvings(2, 18),
        (1e-5, 1e-4, 1e-3, 1e-2),
        20,
        20_000,
    ),
}
BATCH_SIZE = 256


@dataclass(frozen=True)
class Config(Flags):
    """Flags of this experiment; `seeds` counts initialisations and starts."""


def settings(config: Config) -> list[Regression]:
    """Each sawtooth of k folds fitted by networks of k layers and every width: all of them could be exact."""
    sizes = SCALES[config.scale]
    return [
        Regression(
            TARGET,
            (("num_folds", num_folds),),
            width,
            num_folds,
            seed=seed,
            learning_rate=learning_rate,
            num_steps=sizes.num_steps,
            batch_size=BATCH_SIZE,
            num_train=sizes.num_train,
            num_test=1024,  # errors are exact; this sample is only looked at beside them
            init=INIT,
            keep_weights=True,
        )
        for num_folds in sizes.fitted_folds
        for width in sizes.widths
        for seed in range(config.seeds or sizes.num_seeds)
        for learning_rate in sizes.learning_rates
    ]


# --- the gradient at initialisation -----------------------------------------------------------------------------------


def wave_integrals(points: np.ndarray, num_folds: int) -> tuple[np.ndarray, np.ndarray]:
    """The antiderivatives W(x) = int_0^x (h^k - 1/2) and V(x) = int_0^x W on [0, 1]; both have period 2^(1-k).

    On the rising half of a tooth, with u = 2^k x in [0, 1], h^k - 1/2 = u - 1/2, so that 2^k W = (u^2 - u) / 2 and
    4^k V = u^3 / 6 - u^2 / 4. The tooth is even about its middle: on the falling half W is odd and V even.
    """
    phase = np.fmod(np.ldexp(points, num_folds), 2.0)
    rising = np.minimum(phase, 2.0 - phase)
    once = np.where(phase <= 1, 1.0, -1.0) * (rising**2 - rising) / 2
    return np.ldexp(once, -num_folds), np.ldexp(rising**3 / 6 - rising**2 / 4, -2 * num_folds)


def seen(gradient: ParameterGradient, num_folds: int) -> np.ndarray:
    """grad E_f for f = h^k minus that for f = 1/2, E_f = int (g - f)^2: all that descent can tell of the sawtooth."""
    return -2 * gradient.times(*wave_integrals(gradient.knots, num_folds))


def gradients(config: Config) -> "pd.DataFrame":
    """A row a width, number of folds and initial network of that width, with as many layers as folds.

    `seen` is the squared norm of what the gradient of the loss has of the sawtooth, `bound` the squared bound on it,
    2^(-k-2) times the total variation of the network's gradient; `total` is the squared norm of the whole gradient.
    """
    import pandas as pd

    sizes = SCALES[config.scale]
    points = np.random.default_rng(0).random((4096, 1))
    rows = []
    for num_folds in sizes.gradient_folds:
        for width in sizes.widths:
            for seed in range(config.seeds or sizes.num_initial):
                network = initial_network(1, (width,) * num_folds, init=INIT, seed=seed, points=points)
                gradient = parameter_gradient(network, 0.0, 1.0)
                part = seen(gradient, num_folds)
                bound = 2 * variation_bound(num_folds, gradient.total_variation).upper
                total = 2 * gradient.times_output(0.5) + part
                rows.append((num_folds, width, seed, gradient.num_cells, part @ part, bound**2, total @ total))
    return pd.DataFrame(rows, columns=["num_folds", "width", "seed", "num_cells", "seen", "bound", "total"])


# --- what training ended with -----------------------------------------------------------------------------------------


def _fitted(config: Config) -> Iterator[tuple[Regression, Network]]:
    """The networks of the fits that did not fail; those whose weights this ledger does not hold are fitted again."""
    path = results_file(__file__, config.scale, config.out, suffix=".sqlite")
    with Ledger.open(path) as ledger:
        statuses = ledger.statuses(path.stem)
        for one in settings(config):
            if statuses.get(identity.key(one)) == "failed":
                continue
            blob = ledger.weights(path.stem, one)
            if blob is None:
                (found,) = fit.measure([one], 1)
                blob = found.weights
            if blob is not None:
                yield one, fit.load_weights(blob)


def pieces(config: Config) -> "pd.DataFrame":
    """A row a fit: affine pieces of the network, and the floor of so many, as squared L2 error over the variance."""
    import pandas as pd

    rows = []
    for one, network in _fitted(config):
        num_pieces = piecewise(network, 0.0, 1.0).num_pieces
        # one layer of P - 1 units has P pieces at most, as any function has that is affine on P
        floor = 12 * sawtooth_floor(one.depth, (num_pieces - 1,) * (num_pieces > 1), "l2").lower ** 2
        rows.append((one.depth, one.width, one.seed, one.learning_rate, num_pieces, floor))
    return pd.DataFrame(
        rows, columns=["target.num_folds", "width", "seed", "learning_rate", "num_pieces", "pieces_floor"]
    )


# --- the way back to the explicit weights -----------------------------------------------------------------------------


def perturbed(network: Network, distance: float, rng: np.random.Generator) -> Network:
    """The network moved by `distance` times the norm of all its numbers, in a uniformly random direction."""
    parts = [part for layer in network.float64().layers for part in layer]
    noise = [rng.standard_normal(part.shape) for part in parts]
    size, length = (np.sqrt(sum(np.sum(part**2) for part in these)) for these in (parts, noise))
    moved = [part + distance * size / length * step for part, step in zip(parts, noise, strict=True)]
    return Network(list(zip(moved[::2], moved[1::2], strict=True)))


def descend(networks: list[Network], num_folds: int, rates: np.ndarray, config: Config) -> list[tuple[Network, float]]:
    """Adam from the given networks on the sawtooth of `num_folds`; each one's best weights and their training loss."""
    sizes = SCALES[config.scale]
    rng = np.random.default_rng(1)
    points = rng.random((sizes.num_train, 1))
    values = Sawtooth(num_folds).target(points)
    segment = min(100, sizes.return_steps)
    depth = max(sizes.return_folds)  # one program serves all
    program = Program(len(networks), 1, 2, max(depth, 2), True, "adam", BATCH_SIZE, segment, sizes.num_train, "float64")
    prepare_jax()
    import jax

    scalars = step_scalars("adam", "cosine", sizes.return_steps)
    everyone = np.broadcast_to(values, (len(networks), len(values)))
    with jax.enable_x64(True):
        run, state = compiled(program), start(program, networks)
        for begin in range(-segment, sizes.return_steps, segment):  # first no steps, which measures the starts
            taken = scalars[max(begin, 0) : max(begin + segment, 0)]
            rows = rng.integers(len(points), size=(segment, BATCH_SIZE))
            padded = np.zeros((segment, 2))
            padded[: len(taken)] = taken
            step_values = np.broadcast_to(values[rows], (len(networks), *rows.shape))
            part = Segment(points[rows].transpose(2, 0, 1), step_values, padded, np.int32(len(taken)), np.int32(0))
            state = run(state, rates, np.int32(num_folds), part, points.T, everyone)
        state = jax.device_get(state)
    return list(zip(unpack(program, state.best, num_folds), map(float, state.best_loss), strict=True))


def _relative(network: Network, target: PiecewiseLinear) -> float:
    return 12 * piecewise(network, 0.0, 1.0, "float").distance(target).l2 ** 2


def returns(config: Config) -> "pd.DataFrame":
    """A row a number of folds, distance, start and learning rate: exact errors before and after, over the variance."""
    import pandas as pd

    sizes = SCALES[config.scale]
    rows = []
    for num_folds in sizes.return_folds:
        explicit = Sawtooth(num_folds).network()
        target = piecewise(explicit, 0.0, 1.0)
        starts = [
            (distance, seed, rate, perturbed(explicit, distance, np.random.default_rng([seed, place])))
            for place, distance in enumerate(sizes.distances)
            for seed in range(config.seeds or sizes.num_starts)
            for rate in sizes.return_rates
        ]
        found = descend(
            [network for *_, network in starts], num_folds, np.array([rate for *_, rate, _ in starts]), config
        )
        for (distance, seed, rate, network), (after, loss) in zip(starts, found, strict=True):
            row = (num_folds, distance, seed, rate, _relative(network, target), _relative(after, target), loss)
            rows.append(row)
    return pd.DataFrame(
        rows, columns=["num_folds", "distance", "seed", "learning_rate", "before", "after", "train_mse"]
    )


def main(config: Config) -> None:
    """What initial gradients see, then the fits and their pieces, then the way back from near the explicit weights."""
    command.results_file(__file__, config.scale, config.out)  # a folder that refuses is said before the theory runs
    write_table(__file__, config, "gradient", gradients(config))
    fit_table(__file__, config, settings(config), fit.measure)
    write_table(__file__, config, "pieces", pieces(config))
    write_table(__file__, config, "returns", returns(config))


if __name__ == "__main__":
    command.run(main)
