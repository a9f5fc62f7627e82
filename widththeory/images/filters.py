"""What first-layer filters look like: the nearest Gabor atom, copies and opposites, and how many directions they span.

Filters are [height, width, channels, filters], as `Pretrained` and `classify.load_filters` give them.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from widththeory.constructions.gabor import GaborBank

Filters = Float[np.ndarray, "size size channels num_filters"]
PerFilter = Float[np.ndarray, "num_filters"]

_SHORTEST = 2.0  # pixels a wave: the sampling limit
_LONGEST = 4.0  # times the side: beyond, a cosine is flat and a sine a slope
_SPREADS = (0.4, 4.0)  # pixels; times the side
_STARTS = 3  # local searches a filter
_MAX_ROUNDS = 150
_LEAST_STEP = 5e-3  # of the search, in its units
_AT_ONCE = 16  # filters climbed together: their tries then lie in a cache
_THIN = 1e-6  # relative length of a carrier beside the other's direction that is taken for zero


@dataclass(frozen=True)
class GaborFits:
    """The best Gabor atom of each filter.

    With z = (x, y) the pixel seen from the centre, y growing with the row, and e the direction of the wave vector k, an
    atom has amplitude exp(-<z, e>^2 / (2 along^2) - |z - <z, e> e|^2 / (2 across^2)) cos(<k, z> - phase) in a channel.

    Args:
        goodness: share of the filter's energy that the atom has: 1 - |filter - atom|^2 / |filter|^2, the squared
            normalised correlation.
        one_phase: that share, envelope and wave kept, if all channels must have one phase: a wave of one colour.
        waves: k, radians a pixel, its second component not negative.
        centres: pixels from the middle of the filter.
        along, across: standard deviations of the envelope, pixels.
        phases: of each channel, in [-pi, pi].
        amplitudes: of each channel, not negative.
    """

    goodness: Float[np.ndarray, "num_filters"]
    one_phase: Float[np.ndarray, "num_filters"]
    waves: Float[np.ndarray, "num_filters 2"]
    centres: Float[np.ndarray, "num_filters 2"]
    along: Float[np.ndarray, "num_filters"]
    across: Float[np.ndarray, "num_filters"]
    phases: Float[np.ndarray, "num_filters channels"]
    amplitudes: Float[np.ndarray, "num_filters channels"]

    @property
    def wavelength(self) -> PerFilter:
        """2 pi / |k|, pixels."""
        return 2 * math.pi / np.linalg.norm(self.waves, axis=1)

    @property
    def degrees(self) -> PerFilter:
        """Angle of k with the x axis, in [0, 180)."""
        return np.degrees(np.arctan2(self.waves[:, 1], self.waves[:, 0])) % 180.0

    def atoms(self, size: int) -> Filters:
        """The atoms themselves."""
        shapes = np.concatenate([self.waves, self.centres, np.log([self.along, self.across]).T], axis=1)
        even, odd = _carriers(shapes, size)
        cosine, sine = self.amplitudes * np.cos(self.phases), self.amplitudes * np.sin(self.phases)
        made = np.einsum("np,nc->pcn", even, cosine) + np.einsum("np,nc->pcn", odd, sine)
        return made.reshape(size, size, -1, len(even))


def fit_gabor(filters: Filters) -> GaborFits:
    """The Gabor atom with the largest share of each filter's energy, by search.

    Phases and amplitudes are solved for exactly. Wave vector, centre and the two spreads are searched: on a grid, and
    from the best places there by steps along the axes that are halved when none helps. The goodness is attained; that
    none is better is not certified.

    Args:
        filters: at least one; a filter of zeros has goodness 0.
    """
    size, _, channels, count = filters.shape
    pixels = np.ascontiguousarray(filters.transpose(3, 0, 1, 2).reshape(count, size * size, channels), np.float64)
    norms = np.linalg.norm(pixels, axis=(1, 2))
    unit = pixels / np.where(norms > 0, norms, 1.0)[:, None, None]
    starts = _starts(unit, size)
    parts = [slice(begin, begin + _AT_ONCE) for begin in range(0, count, _AT_ONCE)]
    best = np.concatenate([_climb(unit[part], starts[part], size) for part in parts])
    basis, mix = _orthonormal(*_carriers(best, size))
    seen = np.einsum("nbp,npc->nbc", basis, unit)
    cosine, sine = (mix @ seen * norms[:, None, None]).transpose(1, 0, 2)  # back from the basis to the two carriers
    flip = best[:, 1:2] < 0  # cos(<k, z> - phase) = cos(<-k, z> + phase)
    return GaborFits(
        goodness=(seen**2).sum(axis=(1, 2)),
        one_phase=_largest(seen),
        waves=np.where(flip, -best[:, :2], best[:, :2]),
        centres=best[:, 2:4],
        along=np.exp(best[:, 4]),
        across=np.exp(best[:, 5]),
        phases=np.arctan2(np.where(flip, -sine, sine), cosine),
        amplitudes=np.hypot(cosine, sine),
    )


def bank_goodness(filters: Filters, bank: GaborBank) -> tuple[PerFilter, Int[np.ndarray, "num_filters"]]:
    """Share of each filter's energy in its best atom of a bank, phases and amplitudes free, and which atom that is.

    The bank's atoms are cropped to the size of the filters, or what they lack is zero.
    """
    size, _, channels, count = filters.shape
    atoms = bank.filters()
    lacking = max(0, -(-(size - bank.size) // 2))
    atoms = np.pad(atoms, ((0, 0), (lacking, lacking), (lacking, lacking)))
    begin = (atoms.shape[1] - size) // 2
    atoms = atoms[:, begin : begin + size, begin : begin + size].reshape(len(atoms), -1)
    pixels = np.asarray(filters, np.float64).transpose(3, 0, 1, 2).reshape(count, size * size, channels)
    basis, _ = _orthonormal(atoms.real, atoms.imag)
    energy = (np.einsum("abp,npc->nabc", basis, pixels) ** 2).sum(axis=(2, 3))
    total = np.maximum((pixels**2).sum(axis=(1, 2)), 1e-300)
    return energy.max(axis=1) / total, energy.argmax(axis=1)


def alive(filters: Filters, share: float = 1e-3) -> Bool[np.ndarray, "num_filters"]:
    """Filters whose norm is at least a share of the largest: the others are dead, and their directions mean nothing."""
    norms = np.linalg.norm(filters.reshape(-1, filters.shape[-1]), axis=0)
    return norms >= max(share * norms.max(), 1e-300)


def as_rows(filters: Float[np.ndarray, "height width channels num_filters"]) -> Float[np.ndarray, "num_filters _dim"]:
    """Filters as vectors, one a row, in float64."""
    return np.ascontiguousarray(filters.reshape(-1, filters.shape[-1]).T, np.float64)


def nearest(rows: Float[np.ndarray, "num_filters dim"]) -> PerFilter:
    """Cosine between each filter and the one most like it: 1 for a filter that is there twice, up to its length."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    return cosines.max(axis=1)


def num_directions(rows: Float[np.ndarray, "num_filters dim"], energy: float = 0.99) -> int:
    """Least number of orthogonal directions with this share of the energy of the filters, each scaled to norm 1."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    shares = np.cumsum(np.linalg.svd(unit, compute_uv=False) ** 2) / len(unit)
    return int(np.searchsorted(shares, energy * (1 - 1e-12)) + 1)


# --- the search -------------------------------------------------------------------------------------------------------

Shapes = Float[np.ndarray, "num 6"]  # k_x, k_y, x, y of the centre, logarithms of the spreads along and across


def _carriers(shapes: Shapes, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine under their envelope, [num, pixels]."""
    offsets = np.arange(size) - (size - 1) / 2
    waves, (x, y) = shapes[:, :2], (offsets[None, :] - shapes[:, 2:4, None]).transpose(1, 0, 2)
    e = waves / np.linalg.norm(waves, axis=1, keepdims=True)
    along = (e[:, :1] * x)[:, None, :] + (e[:, 1:] * y)[:, :, None]
    squared = (x**2)[:, None, :] + (y**2)[:, :, None]
    narrow, wide = np.exp(-2 * shapes[:, 4:]).T[:, :, None, None] / 2
    envelope = np.exp(-narrow * along**2 - wide * (squared - along**2))
    angle = np.linalg.norm(waves, axis=1)[:, None, None] * along
    flat = (len(shapes), size * size)
    return (envelope * np.cos(angle)).reshape(flat), (envelope * np.sin(angle)).reshape(flat)


def _orthonormal(even: np.ndarray, odd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An orthonormal basis of the span, [num, 2, pixels], and the 2x2 matrices that write it in the two carriers.

    The longer carrier comes first. Where the other adds nothing to it but rounding, the second vector is zero.
    """
    norms = np.stack([np.linalg.norm(even, axis=1), np.linalg.norm(odd, axis=1)])
    swap = norms[1] > norms[0]
    long, short = np.where(swap[:, None], odd, even), np.where(swap[:, None], even, odd)
    first = np.maximum(norms.max(axis=0), 1e-300)
    one = long / first[:, None]
    overlap = (one * short).sum(axis=1)
    rest = short - overlap[:, None] * one
    second = np.linalg.norm(rest, axis=1)
    thin = second <= _THIN * first
    inverse = np.where(thin, 0.0, 1 / np.where(thin, 1.0, second))
    mix = np.zeros((len(even), 2, 2))  # columns: the basis; rows: even, odd
    rows, place = np.arange(len(even)), swap.astype(int)
    mix[rows, place, 0], mix[rows, place, 1], mix[rows, 1 - place, 1] = 1 / first, -overlap / first * inverse, inverse
    return np.stack([one, inverse[:, None] * rest], axis=1), mix


def _largest(seen: Float[np.ndarray, "*num 2 channels"]) -> Float[np.ndarray, "*num"]:
    """Squares of the largest singular values: what one phase and one colour catch."""
    a, b = (seen[..., 0, :] ** 2).sum(axis=-1), (seen[..., 1, :] ** 2).sum(axis=-1)
    c = (seen[..., 0, :] * seen[..., 1, :]).sum(axis=-1)
    return (a + b + np.sqrt((a - b) ** 2 + 4 * c**2)) / 2


def _energy(pixels: np.ndarray, shapes: Float[np.ndarray, "num tries 6"], size: int) -> Float[np.ndarray, "num tries"]:
    """Energy that each atom tried catches of its filter."""
    num, tries, _ = shapes.shape
    basis, _ = _orthonormal(*_carriers(shapes.reshape(-1, 6), size))
    return ((basis.reshape(num, 2 * tries, -1) @ pixels) ** 2).reshape(num, tries, -1).sum(axis=2)


def _grid(size: int) -> Float[np.ndarray, "places tries 6"]:
    """Shapes to begin with: a row an orientation and wavelength, in it the centres and spreads."""
    angles = np.arange(8) * math.pi / 8
    lengths = np.geomspace(1.2 * _SHORTEST, 2.0 * size, 5)
    waves = 2 * math.pi * np.stack([np.cos(angles), np.sin(angles)], axis=1)[:, None] / lengths[:, None]
    places = np.linspace(-size / 3, size / 3, 5 if size > 3 else 3)
    centres = np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)
    spreads = np.log(size * np.array([[0.15, 0.15], [0.25, 0.25], [0.5, 0.5], [0.15, 0.35]]))
    rows, turns = waves.reshape(-1, 2), len(centres) * len(spreads)
    inner = np.concatenate([np.repeat(centres, len(spreads), axis=0), np.tile(spreads, (len(centres), 1))], axis=1)
    return np.concatenate([np.repeat(rows[:, None], turns, axis=1), np.repeat(inner[None], len(rows), axis=0)], axis=2)


def _starts(unit: np.ndarray, size: int) -> Float[np.ndarray, "num_filters starts 6"]:
    """For each filter the best shapes of the grid, no two of one orientation and wavelength."""
    count, pixels, channels = unit.shape
    columns = unit.transpose(1, 0, 2).reshape(pixels, -1)
    values, shapes = [], []
    for tried in _grid(size):
        basis, _ = _orthonormal(*_carriers(tried, size))
        seen = (basis.reshape(-1, pixels) @ columns).reshape(len(tried), 2, count, channels)
        energy = (seen**2).sum(axis=(1, 3)).T
        best = energy.argmax(axis=1)
        values.append(energy[np.arange(count), best])
        shapes.append(tried[best])
    order = np.argsort(-np.stack(values, axis=1), axis=1, kind="stable")[:, :_STARTS]
    return np.take_along_axis(np.stack(shapes, axis=1), order[:, :, None], axis=1)


def _climb(unit: np.ndarray, starts: Float[np.ndarray, "num_filters starts 6"], size: int) -> Shapes:
    """From each start up, one axis at a time; of each filter the best end."""
    count, turns, _ = starts.shape
    pixels = np.repeat(unit, turns, axis=0)
    shapes = starts.reshape(-1, 6).copy()
    units = np.array([2 / size, 2 / size, size / 8, size / 8, 0.4, 0.4])
    moves = np.concatenate([np.diag(units), -np.diag(units)])
    steps = np.ones(len(shapes))
    drift = np.zeros_like(shapes)  # the last good move, tried again whole
    energy = _energy(pixels, shapes[:, None], size)[:, 0]
    active = np.arange(len(shapes))
    for _ in range(_MAX_ROUNDS):
        tried = shapes[active, None] + np.concatenate([steps[active, None, None] * moves, drift[active, None]], axis=1)
        tried = _inside(tried, size)
        found = _energy(pixels[active], tried, size)
        best = found.argmax(axis=1)
        value = found[np.arange(len(active)), best]
        better = value > energy[active] + 1e-12
        chosen, where = active[better], tried[better, best[better]]
        drift[chosen] = 0.5 * drift[chosen] + (where - shapes[chosen])
        shapes[chosen], energy[chosen] = where, value[better]
        stuck = active[~better]
        steps[stuck] /= 2
        drift[stuck] = 0.0
        active = np.flatnonzero(steps > _LEAST_STEP)
        if not len(active):
            break
    winner = energy.reshape(count, turns).argmax(axis=1)
    return shapes.reshape(count, turns, 6)[np.arange(count), winner]


def _inside(shapes: np.ndarray, size: int) -> np.ndarray:
    """Shapes moved to what is allowed: waves not too short or long, centres in the filter, spreads as in _SPREADS."""
    norms = np.linalg.norm(shapes[..., :2], axis=-1, keepdims=True)
    allowed = np.clip(norms, 2 * math.pi / (_LONGEST * size), 2 * math.pi / _SHORTEST)
    waves = np.where(norms > 1e-12, shapes[..., :2] / np.maximum(norms, 1e-12), (1.0, 0.0)) * allowed
    centres = np.clip(shapes[..., 2:4], -size / 2, size / 2)
    spreads = np.clip(shapes[..., 4:], math.log(_SPREADS[0]), math.log(_SPREADS[1] * size))
    return np.concatenate([waves, centres, spreads], axis=-1)
