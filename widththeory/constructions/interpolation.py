"""Piecewise-linear interpolation of a function of one variable: wide with one hidden layer, or narrow and deep."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from widththeory.constructions.arguments import check_built, keep_python_numbers
from widththeory.network import Network
from widththeory.typing import Guarantee, Points, Size, Values, check_positive, check_positive_int, to_fraction


def _slope_jumps(knots: Any, values: Any) -> tuple[list[Fraction], list[Fraction], list[Fraction]]:
    """Knots and values as Fractions, and the jump of the slope at each knot but the last (the first from slope 0)."""
    ts, vs = ([to_fraction(number) for number in np.ravel(np.asarray(part, dtype=object))] for part in (knots, values))
    if len(ts) < 2 or len(ts) != len(vs) or any(b <= a for a, b in zip(ts, ts[1:], strict=False)):
        raise ValueError(
            f"knots must be at least two increasing numbers, with one of values each, got {len(ts)} knots and "
            f"{len(vs)} values"
        )
    slopes = [(vs[i + 1] - vs[i]) / (ts[i + 1] - ts[i]) for i in range(len(ts) - 1)]
    return ts, vs, [slopes[0]] + [b - a for a, b in zip(slopes, slopes[1:], strict=False)]


def shallow_interpolation(knots: Any, values: Any) -> Network:
    """The interpolant v_0 + sum_j (jump of the slope at t_j) relu(x - t_j): m pieces, one hidden layer of m units.

    Args:
        knots: t_0 < ... < t_m, m >= 1; floats are taken as the rationals they store.
        values: v_0, ..., v_m.

    Domain: R; left of t_0 the network is constant, right of t_m it continues the last piece.

    Raises:
        ValueError: knots do not increase, or there is not one value a knot.

    Source:
        [eldanshamir2016] Lemma 19 uses this network.
    """
    ts, vs, jumps = _slope_jumps(knots, values)
    return Network([([[Fraction(1)]] * len(jumps), [-t for t in ts[:-1]]), ([jumps], [vs[0]])])


def narrow_interpolation(knots: Any, values: Any, width: int = 2) -> Network:
    """The same interpolant at a given width w >= 2, with ceil((m - 1) / (w - 1)) hidden layers, one for m = 1.

    The first layer has the units relu(x - t_j) of the first w knots. Each later one accumulates those of the layer
    before and has those of the next w - 1 knots, made from one of an earlier knot: relu(relu(x - s) - (t - s)) is
    relu(x - t) for t >= s, so that no unit carries x.

    Args:
        knots, values: as in `shallow_interpolation`.
        width: w, at least 2.

    Domain: [t_0, t_m].

    Raises:
        ValueError: width below 2, or knots that `shallow_interpolation` refuses.

    Source:
        Derived for this project; compare `serialise`, which takes any network with one hidden layer, of more variables.
    """
    check_positive_int("width", width, at_least=2)
    ts, vs, jumps = _slope_jumps(knots, values)
    zero, one = Fraction(0), Fraction(1)
    offset = sum((max(-jump, zero) * (ts[-1] - t) for t, jump in zip(ts, jumps, strict=False)), zero)  # keeps sums >= 0
    depth = max(1, math.ceil((len(jumps) - 1) / (width - 1)))
    idle = 1 + depth * (width - 1) - len(jumps)  # these units fill the last layer
    places, jumps = ts[:-1] + ts[-1:] * idle, jumps + [zero] * idle
    layers: list[tuple[Any, Any]] = [([[one]] * width, [-t for t in places[:width]])]
    reading, start = jumps[:width], offset
    for end in range(2 * width - 1, len(places) + 1, width - 1):
        group = slice(end - width + 1, end)
        last, shifts = [zero] * (width - 1) + [one], [places[group.start - 1] - t for t in places[group]]
        layers.append(([reading, *[last] * (width - 1)], [start, *shifts]))
        reading, start = [one, *jumps[group]], zero
    return Network([*layers, ([reading], [vs[0] + start - offset])])


@dataclass(frozen=True)
class SineInterpolation:
    """sin(2 pi frequency x) on [0, 1], interpolated at equal knots.

    The interpolant of a C^2 function at knots h apart errs by at most h^2 / 8 max|f''|, by Rolle's theorem; here
    h = 1 / num_pieces and max|f''| = (2 pi frequency)^2.

    Args:
        num_pieces: affine pieces of the interpolant, at least 1.
        frequency: oscillations on [0, 1], positive.
        width: width of the narrow network, at least 2; None for the network with one hidden layer.

    Domain: the law is uniform on [0, 1].
    Error: (pi frequency / num_pieces)^2 / 2 in the sup norm; the ratio to the true error tends to 1.
    Size: one hidden layer of num_pieces units, or ceil((num_pieces - 1) / (width - 1)) hidden layers of `width` units.

    Raises:
        ValueError: an argument outside its range.

    Source:
        Classical (Rolle's theorem); the ReLU network is that of [eldanshamir2016] Lemma 19.
    """

    num_pieces: int
    frequency: float = 1.0
    width: int | None = None

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("num_pieces", self.num_pieces)
        check_positive("frequency", self.frequency)
        if self.width is not None:
            check_positive_int("width", self.width, at_least=2)

    @property
    def input_dim(self) -> int:
        return 1

    def target(self, points: Points) -> Values:
        """sin(2 pi frequency x)."""
        return np.sin(2 * math.pi * self.frequency * points[:, 0])

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Uniform points of [0, 1]."""
        return rng.random((num_points, 1))

    def network(self) -> Network:
        """The interpolant at num_pieces + 1 equal knots, which are kept as exact rationals."""
        check_built(self.size())
        knots = [Fraction(i, self.num_pieces) for i in range(self.num_pieces + 1)]
        values = self.target(np.array(knots, dtype=float)[:, None])
        if self.width is None:
            return shallow_interpolation(knots, values)
        return narrow_interpolation(knots, values, self.width)

    def error(self) -> Guarantee:
        """h^2 / 8 max|f''|."""
        return Guarantee("sup", (math.pi * self.frequency / self.num_pieces) ** 2 / 2)

    def size(self) -> Size:
        """One wide layer, or as many narrow ones as the inner knots need."""
        if self.width is None:
            return Size(1, (self.num_pieces,))
        return Size(1, (self.width,) * max(1, math.ceil((self.num_pieces - 1) / (self.width - 1))))


EXAMPLES = (
    SineInterpolation(16),
    SineInterpolation(16, width=2),
    SineInterpolation(50, frequency=2.5, width=8),
    SineInterpolation(1, frequency=0.25, width=2),
)
