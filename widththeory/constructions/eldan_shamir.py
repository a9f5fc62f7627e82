"""A radial wave: exponentially many neurons in one hidden layer, polynomially many in two."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from widththeory.bounds.quadrature import panel_edges, panel_nodes
from widththeory.bounds.radial_law import RadialLaw, Radii
from widththeory.bounds.spectral import Spectrum, spectrum
from widththeory.constructions.arguments import check_built, keep_python_numbers
from widththeory.network import Network
from widththeory.typing import Certified, Guarantee, Points, Size, Values, check_positive_int

Knots = Float[np.ndarray, "num_knots"]
Edges = Float[np.ndarray, "num_edges"]
Masses = Float[np.ndarray, "num_panels"]
Indices = Int[np.ndarray, "num_panels"]

_MANY_PIECES = 2**24  # so many that the first layer's error vanishes


@dataclass(frozen=True)
class Cosine:
    """The wave g = cos(frequency * t) chi(t) of the radius t, under a radial law, with a network of two hidden layers.

    Any one-hidden-layer network with relative squared error eps needs K(eps) neurons, exponentially many in the
    dimension (`spectrum` and `bounds.spectral.neurons_needed`); `network` has two hidden layers of polynomial width.
    The window chi is 1 up to `window[0]` and falls as a half period of a cosine to 0 at `window[1]`: (3.2 d, 4 d) for
    order 0, else the 99 % quantile of t and 1.25 times it.

    Layer 1 interpolates z^2 - h^2/6 in each coordinate, piecewise linearly with n pieces of length h on
    |z| <= window[1] / scale; the sum over the coordinates is close to |x|^2, and layer 2 interpolates g as a function
    of |x|^2, at radii `phase_step / frequency` apart.

    Args:
        input_dim: d, at least 2.
        frequency: omega > 0.
        order: m >= 0 of the law. Order 0 is the law of Eldan and Shamir, t = 2 pi R_d |x|; a network fitted under it
            that grows has infinite mean square, so fit under order 2. For order > 0, t = |x|.
        num_pieces: n >= 1, or None for the first n above 2.3 window[1] frequency^(1/2) d^(-1/4), which keeps the
            measured relative squared error below 1 % with the default phase_step.
        phase_step: phase omega t between knots of layer 2, in (0, pi].

    Domain:
        All of R^d. Beyond the window the target is 0 and the network at most max |L| of the term C below.

    Error:
        ||network - g||^2 <= (I + B)^2 + C^2, where L is the interpolant of g as a function of t^2 and q the length of a
        piece in units of t:
        I^2 = E (L(t^2) - g)^2, one integral in t;
        B^2 = min over tau of Lip(L beyond tau^2 - d q^2/6)^2 V + E [D(t)^2; t < tau];
        V = q^4 d / 180 if q <= pi, else (d q^2/6)^2, the mean square of the first layer's error in t^2;
        D(t) = a bound on the change of L over a shift by -d q^2/6 to d q^2/12, by its slopes there;
        C^2 = P(t > window[1]) max |L|^2 over the last d q^2/6 before the last knot.
        V is exact for q <= pi: the first layer's error is a sum of functions of one coordinate each, of period q and
        mean 0, and the characteristic function of the law vanishes at their frequencies and at those of their products.

    Size:
        widths (d (n + 1), 1 + ceil(window[1] frequency / phase_step)).

    Raises:
        ValueError: an argument out of range.

    Source:
        [eldanshamir2016] Lemma 18 and Proposition 17 for the network; Section 2 for the law.
        Differs: a wave in place of signed shells; widths d (n + 1) = O(d^2) and 4 d omega / phase_step in place of
        O(d^(19/4)); window, centring by h^2/6 and error derived for this project.
    """

    input_dim: int
    frequency: int | float = 3.0
    order: int = 0
    num_pieces: int | None = None
    phase_step: int | float = 0.8

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("input_dim", self.input_dim, at_least=2)
        RadialLaw(self.input_dim, self.order)
        if not 0 < self.frequency < math.inf:
            raise ValueError(f"frequency must be a positive number, got {self.frequency!r}")
        if self.num_pieces is not None:
            check_positive_int("num_pieces", self.num_pieces)
        if not 0 < self.phase_step <= math.pi:
            raise ValueError(f"phase_step must lie in (0, pi], got {self.phase_step!r}")

    @classmethod
    def for_error(
        cls, input_dim: int, frequency: int | float = 3.0, order: int = 0, *, relative_error: float
    ) -> "Cosine":
        """The smallest network found that guarantees a relative squared error: `error().bound` squared over E g^2.

        Of twelve values of phase_step, each with the fewest pieces that are enough, the one with the fewest neurons.
        They are O(d^2) for a fixed frequency and error: in units of t, pieces of length pi are enough for large d, as
        their part of the error falls as 1/d. Takes seconds in dimension 128, and a fraction of one up to 16.

        Args:
            relative_error: in [1e-6, 1).

        Raises:
            ValueError: an argument out of range.

        Source: derived for this project.
        """
        if not 1e-6 <= relative_error < 1:
            raise ValueError(f"relative_error must lie in [1e-6, 1), got {relative_error!r}")
        allowed = relative_error * cls(input_dim, frequency, order).second_moment().value
        found: list[Cosine | None] = []
        steps = relative_error**0.25 * np.geomspace(0.6, 2.4, 12)  # their share of the error is of order 4
        while not found:
            for phase_step in steps:

                def enough(pieces: int, phase_step: float = min(float(phase_step), math.pi)) -> "Cosine | None":
                    wave = cls(input_dim, frequency, order, pieces, phase_step)
                    return wave if wave.error().bound ** 2 <= allowed else None

                if enough(_MANY_PIECES):
                    low, high = 0, 1
                    while not enough(high):
                        low, high = high, 2 * high
                    while high - low > 1:
                        middle = (low + high) // 2
                        low, high = (low, middle) if enough(middle) else (middle, high)
                    found.append(enough(high))
            steps = steps / 4  # so slow a wave that its window bends more than it does
        return min((wave for wave in found if wave), key=lambda wave: sum(wave.size().widths))

    @property
    def law(self) -> RadialLaw:
        """The law of t = law.scale * |x|."""
        return RadialLaw(self.input_dim, self.order)

    @property
    def window(self) -> tuple[float, float]:
        """Radii t where the window begins to fall, and where it reaches 0."""
        return _window(self.law)

    def profile(self, radii: Radii) -> Radii:
        """g as a function of t."""
        start, end = self.window
        ramp = np.clip((radii - start) / (end - start), 0.0, 1.0)
        return np.cos(self.frequency * radii) * (0.5 + 0.5 * np.cos(np.pi * ramp))

    def target(self, points: Points) -> Values:
        """g at points x."""
        return self.profile(self.law.scale * np.linalg.norm(points, axis=1))

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Independent draws from the law."""
        return self.law.sample(num_points, rng)

    def second_moment(self) -> Certified:
        """E g^2 under the law, by which relative squared errors are divided."""
        end, resolution = self.window[1], 2.0 / self.frequency
        edges = tuple(np.arange(resolution, end, resolution))
        return self.law.expectation(lambda t: self.profile(t) ** 2, end, breaks=(self.window[0], *edges))

    def spectrum(self) -> Spectrum:
        """Spectral density of g, from which `bounds.spectral` takes the floor of one-hidden-layer networks; kept."""
        return _spectrum(Cosine(self.input_dim, self.frequency, self.order))

    @property
    def pieces(self) -> int:
        """n, pieces a coordinate in layer 1."""
        if self.num_pieces is not None:
            return self.num_pieces
        return math.ceil(2.3 * self.window[1] * math.sqrt(self.frequency) * self.input_dim**-0.25)

    def _knots(self) -> tuple[Knots, Knots]:
        """Squared radii at which layer 2 interpolates g, and the values of g there."""
        end = self.window[1]
        radii = np.append(np.arange(self.size().widths[1] - 1) * self.phase_step / self.frequency, end)
        values = self.profile(radii)
        values[-1] = 0.0
        return radii**2, values

    def network(self) -> Network:
        """The network with two hidden layers.

        Raises:
            ValueError: more than 2^27 numbers, 1 GiB.
        """
        check_built(self.size())
        d, n, scale = self.input_dim, self.pieces, self.law.scale
        reach = self.window[1] / scale
        step = 2 * reach / n
        nodes = step * (np.arange(n + 1) - n / 2)
        jumps = np.diff(nodes[:-1] + nodes[1:], prepend=0.0, append=0.0)
        squares, values = self._knots()
        slopes = np.diff(values) / np.diff(squares)
        return Network(
            [
                (np.repeat(np.eye(d), n + 1, axis=0), np.tile(-nodes, d)),
                (
                    np.tile(scale**2 * jumps, (len(squares), d)),
                    scale**2 * d * (reach**2 - step**2 / 6) - squares,
                ),
                (np.diff(slopes, prepend=0.0, append=0.0)[None, :], values[:1]),
            ]
        )

    def size(self) -> Size:
        """Widths by formula."""
        # a last step shorter than 1e-9 of the others is the same knot
        layer2 = 1 + max(1, math.ceil(self.window[1] * self.frequency / self.phase_step - 1e-9))
        return Size(self.input_dim, (self.input_dim * (self.pieces + 1), layer2))

    def error(self) -> Guarantee:
        """Bound on the L2 norm of network - target under the law; integrals to 1e-9."""
        d, end = self.input_dim, self.window[1]
        length = 2 * end / self.pieces
        down = d * length**2 / 6
        squares, values = self._knots()
        slopes = np.abs(np.diff(values) / np.diff(squares))
        edges, masses, interpolation, outside = _second_layer(replace(self, num_pieces=1))

        # greatest slope of L on each panel and anywhere above it, after a shift down or up
        first = np.searchsorted(squares[1:], edges[:-1] ** 2 - down, side="right")
        local = _greatest(slopes, first, np.searchsorted(squares[:-1], edges[1:] ** 2 + down / 2))
        beyond = np.maximum.accumulate(local[::-1])[::-1]
        mean_square = length**4 * d / 180 if length <= math.pi else down**2
        near = np.minimum(2.0, local * down) ** 2 * masses
        shift = math.sqrt(np.min(np.append(beyond**2 * mean_square, 0.0) + np.append(0.0, np.cumsum(near))))

        tail_values = np.abs(np.append(values[squares >= end**2 - down], np.interp(end**2 - down, squares, values)))
        tail = outside * float(np.max(tail_values)) ** 2
        return Guarantee("l2", math.sqrt((interpolation + shift) ** 2 + tail))


@lru_cache(maxsize=2)
def _second_layer(wave: Cosine) -> tuple[Edges, Masses, float, float]:
    """What the error takes from layer 2 alone: panels and their masses, the term I, and P(t > window[1])."""
    (squares, values), end = wave._knots(), wave.window[1]
    edges = panel_edges(end, 0.5, (wave.window[0], *np.sqrt(squares)))
    nodes, weights = panel_nodes(edges, 8)
    t = nodes.ravel()
    mass = weights.ravel() * wave.law.density(t)
    interpolation = math.sqrt(np.sum(mass * (np.interp(t**2, squares, values) - wave.profile(t)) ** 2))
    outside = float(1 - wave.law.cdf(np.array([end]))[0])
    return edges, mass.reshape(nodes.shape).sum(axis=1), interpolation, outside


def _greatest(numbers: Knots, first: Indices, end: Indices) -> Masses:
    """max(numbers[i:j]) for all pairs i < j of `first` and `end`: the larger of two maxima over powers of two."""
    powers = [numbers]
    while (step := 2 ** (len(powers) - 1)) < len(numbers):
        powers.append(np.maximum(powers[-1], np.append(powers[-1][step:], np.zeros(step))))
    power = np.frexp(end - first)[1] - 1
    table = np.stack(powers)
    return np.maximum(table[power, first], table[power, end - 2**power])


@lru_cache(maxsize=64)
def _window(law: RadialLaw) -> tuple[float, float]:
    if law.order == 0:
        return 3.2 * law.dim, 4.0 * law.dim
    start = law.quantile(0.99)
    return start, 1.25 * start


@lru_cache(maxsize=8)
def _spectrum(wave: Cosine) -> Spectrum:
    start, end = wave.window
    return spectrum(wave.profile, wave.law, end, wave.frequency + 4, breaks=(start,))


EXAMPLES = (
    Cosine(2, 1.0),
    Cosine(4, 2.0, num_pieces=33),
    Cosine(3, 3.0, order=2),
    Cosine(8, 3.0, order=2, num_pieces=20, phase_step=1.5),
)
