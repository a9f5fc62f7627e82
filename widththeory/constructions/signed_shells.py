"""Signed indicator functions of thin shells: the hard target of Eldan and Shamir, with its constants left free."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import scipy.special as sp
from jaxtyping import Bool, Float

from widththeory.bounds.radial_law import RadialLaw, Radii
from widththeory.bounds.spectral import Spectrum, spectrum
from widththeory.constructions.arguments import keep_python_numbers
from widththeory.typing import Certified, Points, Values, check_positive_int

Signs = Float[np.ndarray, "num_shells"]
Flags = Bool[np.ndarray, "num_shells"]


@dataclass(frozen=True)
class AlternatingShells:
    """Shells of alternating sign: g(x) = sum_i (-1)^i g_i(|x|), i = 0 .. N - 1.

    N = ceil(gamma d^2) shells Delta_i = [(1 + i/N) alpha sqrt(d), (1 + (i+1)/N) alpha sqrt(d)). A shell is good if
    J_{d/2}(2 pi R_d r)^2 >= 1 / (80 pi R_d r) for all r in it; g_i is its indicator function if it is good, and 0 if it
    is not. For alpha >= 1 and N large enough, E g^2 >= 0.003 / alpha. Zeros of J are about pi apart in t: of shells
    not much thinner few or none are good. For d = 4, alpha = 4 and gamma = 1 none is, and g is 0.

    Mollified, the indicator of Delta_i becomes min(1, N dist(r, outside Delta_i)): the sum is N-Lipschitz in |x|, and
    differs from g by at most 3 / (alpha^2 sqrt(d)) in E (.)^2, which is a theorem for large d only.

    Args:
        input_dim: d, at least 2.
        alpha: at least 1; the theorem needs a large constant.
        gamma: positive; the theorem needs a large constant.
        mollified: whether to take the Lipschitz version.

    Domain:
        All of R^d in the paper's units; 0 outside alpha sqrt(d) <= |x| < 2 alpha sqrt(d). Radii t = 2 pi R_d |x|.

    Raises:
        ValueError: an argument out of range.

    Source:
        [eldanshamir2016] Section 2, Lemmas 11 and 12.
        Differs: alternating signs in place of signs that exist; Lemma 12 prints max where min is meant.
    """

    input_dim: int
    alpha: int | float = 1.0
    gamma: int | float = 1.0
    mollified: bool = False

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        _check_shells(self)

    @property
    def law(self) -> RadialLaw:
        """The law of Eldan and Shamir, of order 0."""
        return RadialLaw(self.input_dim)

    @property
    def num_shells(self) -> int:
        """N."""
        return math.ceil(self.gamma * self.input_dim**2)

    def signs(self) -> Signs:
        """Signs of the shells, good or not."""
        return (-1.0) ** np.arange(self.num_shells)

    def good(self) -> Flags:
        """Which shells are good."""
        return _good_shells(self.law, self.alpha, self.num_shells)

    def edges(self) -> Radii:
        """The N + 1 radii t that bound the shells."""
        return _edges(self.law, self.alpha, self.num_shells)

    def profile(self, radii: Radii) -> Radii:
        """g as a function of t."""
        return _profile(self, radii)

    def target(self, points: Points) -> Values:
        """g at points x."""
        return self.profile(self.law.scale * np.linalg.norm(points, axis=1))

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Independent draws from the law."""
        return self.law.sample(num_points, rng)

    def second_moment(self) -> Certified:
        """E g^2 under the law."""
        return self.law.expectation(lambda t: self.profile(t) ** 2, self.edges()[-1], breaks=_breaks(self))

    def spectrum(self, max_frequency: int | float | None = None) -> Spectrum:
        """Spectral density up to `max_frequency`, by default past the third harmonic of alternating signs; kept.

        The default is 3.3 omega + 3, where omega = pi N / (length of the window in t). The jumps leave a tenth of
        the moment beyond it: raise `max_frequency` for floors below a quarter.
        """
        return _spectrum(self, max_frequency)


@dataclass(frozen=True)
class RandomShells(AlternatingShells):
    """Shells with independent random signs; otherwise as `AlternatingShells`.

    For large d, alpha and N there are signs for which every one-hidden-layer network with at most c e^(c d) neurons is
    at least delta / alpha away in L2. The proof averages over random signs, and does not say which.

    Args:
        input_dim: d, at least 2.
        alpha: at least 1.
        gamma: positive.
        mollified: whether to take the Lipschitz version.
        seed: at least 0, draws the signs.

    Source:
        [eldanshamir2016] Proposition 13 and Lemma 14.
    """

    seed: int = 0

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        _check_shells(self)
        check_positive_int("seed", self.seed, at_least=0)

    def signs(self) -> Signs:
        """Independent fair signs."""
        return np.random.default_rng(self.seed).choice([-1.0, 1.0], self.num_shells)


def _check_shells(shells: AlternatingShells) -> None:
    check_positive_int("input_dim", shells.input_dim, at_least=2)
    if not 1 <= shells.alpha < math.inf:
        raise ValueError(f"alpha must be a number of at least 1, got {shells.alpha!r}")
    if not 0 < shells.gamma < math.inf:
        raise ValueError(f"gamma must be a positive number, got {shells.gamma!r}")


def _edges(law: RadialLaw, alpha: float, num_shells: int) -> Radii:
    return law.scale * alpha * math.sqrt(law.dim) * (1 + np.arange(num_shells + 1) / num_shells)


@lru_cache(maxsize=32)
def _good_shells(law: RadialLaw, alpha: float, num_shells: int) -> Flags:
    edges = _edges(law, alpha, num_shells)
    # in t the condition is t J(t)^2 >= 1/40. Beyond d/2, sqrt(t) |J(t)| is concave between zeros of J (it solves
    # u'' = -(1 - (nu^2 - 1/4)/t^2) u), so it is least at an end of the shell, unless a zero lies inside; zeros are
    # further apart than 3 there, and a grid finer than 0.1 sees each of them as a change of sign
    per_shell = max(1, math.ceil((edges[1] - edges[0]) / 0.1))
    fine = np.linspace(0, 1, per_shell + 1)[:, None] * np.diff(edges) + edges[:-1]
    values = sp.jv(law.bessel_order, fine)
    same_sign = np.all(values > 0, axis=0) | np.all(values < 0, axis=0)
    return same_sign & np.all(fine * values**2 >= 1 / 40, axis=0)


def _profile(shells: AlternatingShells, radii: Radii) -> Radii:
    edges, num_shells = shells.edges(), shells.num_shells
    heights = np.concatenate([[0.0], np.where(shells.good(), shells.signs(), 0.0), [0.0]])
    width = edges[1] - edges[0]
    place = (radii - edges[0]) / width  # shells have equal widths, so no search is needed
    index = np.clip(np.floor(place), -1, num_shells).astype(int)
    values = heights[index + 1]
    if shells.mollified:
        distance = np.minimum(place - index, 1 - (place - index)) * width / shells.law.scale
        values = values * np.minimum(1.0, num_shells * distance)
    return values


def _breaks(shells: AlternatingShells) -> tuple[float, ...]:
    edges = shells.edges()
    if not shells.mollified:
        return tuple(edges)
    ramp = min(shells.law.scale / shells.num_shells, (edges[1] - edges[0]) / 2)
    return tuple(np.concatenate([edges, edges[:-1] + ramp, edges[1:] - ramp]))


@lru_cache(maxsize=8)
def _spectrum(shells: AlternatingShells, max_frequency: float | None) -> Spectrum:
    edges = shells.edges()
    top = max_frequency or 3.3 * math.pi * shells.num_shells / (edges[-1] - edges[0]) + 3
    return spectrum(shells.profile, shells.law, edges[-1], top, breaks=_breaks(shells))


EXAMPLES = (
    AlternatingShells(4),
    AlternatingShells(3, alpha=1.5, gamma=0.5, mollified=True),
    RandomShells(4, seed=1),
    replace(RandomShells(5), mollified=True),
)
