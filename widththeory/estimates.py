"""Numbers that a figure draws from a table of fits: medians with intervals, the chosen learning rate, fitted exponents.

A table is a pandas frame with one row a fit; settings and measurements are columns, and `status` is "done" or "failed".
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import least_squares
from scipy.special import log_ndtr
from scipy.stats import bootstrap
from scipy.stats import t as student


@dataclass(frozen=True)
class Interval:
    """A statistic with the interval around it, and the number of values behind it."""

    value: float
    low: float
    high: float
    n: int


NOTHING = Interval(float("nan"), float("nan"), float("nan"), 0)


def bootstrap_interval(
    values: Any, statistic: Callable[..., Any] = np.median, *, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """`statistic` of `values` over seeds, with its bias-corrected bootstrap interval (percentile where that fails).

    The interval covers what another draw of seeds would give, nothing else. One value has no interval: NaN.

    Raises:
        ValueError: no values, or not finite ones.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.all(np.isfinite(values)):
        raise ValueError(f"values must be a non-empty list of finite numbers, got shape {values.shape}")
    value = float(statistic(values))
    if len(values) == 1:
        return Interval(value, float("nan"), float("nan"), 1)
    if np.ptp(values) == 0:
        return Interval(value, value, value, len(values))
    for method in ("BCa", "percentile"):  # BCa fails when all jackknife values agree
        with np.errstate(all="ignore"), _quiet():
            found = bootstrap(
                (values,),
                statistic,
                confidence_level=confidence,
                n_resamples=2000,
                method=method,
                rng=np.random.default_rng(seed),
            ).confidence_interval
        if np.all(np.isfinite([found.low, found.high])):
            break
    return Interval(value, float(found.low), float(found.high), len(values))


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def finished(table: pd.DataFrame) -> pd.DataFrame:
    """The rows whose fit was measured and stayed finite."""
    good = pd.Series(True, index=table.index)
    if "status" in table:
        good &= table["status"] == "done"
    if "diverged" in table:
        good &= ~(table["diverged"].fillna(0).astype(float) > 0)
    return table[good]


def cells_note(table: pd.DataFrame) -> str:
    """ "n = 20", or "n = 18 of 20" when cells failed or diverged: a loss of cells is said, never a thinner band."""
    done = len(finished(table))
    return f"n = {done}" if done == len(table) else f"n = {done} of {len(table)}"


def rates_note(table: pd.DataFrame, learning_rate: str = "learning_rate") -> str:
    """ "learning rate of 0.05, 0.2 by training loss", or "learning rate 0.05" where there was nothing to choose."""
    rates = [f"{rate:g}" for rate in sorted(table[learning_rate].unique())]
    return f"learning rate of {', '.join(rates)} by training loss" if len(rates) > 1 else f"learning rate {rates[0]}"


def select_learning_rate(
    table: pd.DataFrame, by: Sequence[str], *, loss: str = "train_mse", learning_rate: str = "learning_rate"
) -> pd.DataFrame:
    """The rows of the learning rate with the least median training loss, chosen for each value of the columns `by`.

    The test error has no say, so that the errors drawn are not the least of several. Cells that failed or diverged
    count as an infinite loss, and those at the chosen rate stay in the result: `cells_note` counts them. Of equal rates
    the smaller one is taken.

    Raises:
        ValueError: a column is missing.
    """
    missing = [name for name in (*by, loss, learning_rate) if name not in table]
    if missing:
        raise ValueError(f"the table must have the columns {', '.join(missing)}, got {', '.join(map(str, table))}")
    losses = table[loss].where(table.index.isin(finished(table).index), np.inf).fillna(np.inf)
    keys = [*by, learning_rate]
    medians = losses.groupby([table[key] for key in keys], dropna=False).median().rename("median").reset_index()
    ordered = medians.sort_values(["median", learning_rate], kind="stable")
    chosen = ordered.groupby(list(by), dropna=False).head(1) if by else ordered.head(1)
    return table.merge(chosen[keys], on=keys, how="inner").reset_index(drop=True)


@dataclass(frozen=True)
class PowerLaw:
    """y = coefficient * x**exponent + floor, with the bootstrap interval of the exponent."""

    coefficient: float
    exponent: float
    floor: float
    low: float
    high: float
    n: int

    def __call__(self, x: Any) -> np.ndarray:
        return self.coefficient * np.asarray(x, dtype=np.float64) ** self.exponent + self.floor


def fit_power_law(
    x: Any,
    y: Any,
    *,
    with_floor: bool = True,
    groups: Any = None,
    confidence: float = 0.95,
    num_resamples: int = 500,
    seed: int = 0,
) -> PowerLaw:
    """Fit y = c x^p + e to positive data, e >= 0, by least squares of log y; interval of p by resampling the points.

    A straight line through log y against log x ignores the error floor e, and so reads too small an |p|.

    Args:
        with_floor: fit e too; else e = 0.
        groups: a label for each point, where points of one label belong together (one target at several widths): then
            whole groups are resampled, since points that vary together would make the interval too narrow.

    Raises:
        ValueError: lengths differ, numbers that are not positive, or fewer distinct x than parameters.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"x and y must be lists of one length, got shapes {x.shape} and {y.shape}")
    if not (np.all(np.isfinite(x)) and np.all(np.isfinite(y)) and np.all(x > 0) and np.all(y > 0)):
        raise ValueError("x and y must hold positive finite numbers")
    parameters = 3 if with_floor else 2
    if len(np.unique(x)) < parameters:
        raise ValueError(f"x must hold at least {parameters} different numbers, got {len(np.unique(x))}")
    labels = np.arange(len(x)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if labels.shape != x.shape:
        raise ValueError(f"groups must hold one label for each of the {len(x)} points, got shape {labels.shape}")
    members = [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]
    best = _power_law(x, y, with_floor)
    rng = np.random.default_rng(seed)
    exponents = []
    for _ in range(num_resamples):
        chosen = np.concatenate([members[label] for label in rng.integers(len(members), size=len(members))])
        if len(np.unique(x[chosen])) >= parameters:
            exponents.append(_power_law(x[chosen], y[chosen], with_floor)[1])
    tail = (1 - confidence) / 2
    low, high = np.quantile(exponents, (tail, 1 - tail)) if exponents else (np.nan, np.nan)
    return PowerLaw(*best, float(low), float(high), len(x))


def _power_law(x: np.ndarray, y: np.ndarray, with_floor: bool) -> tuple[float, float, float]:
    """Least squares in (log c, p, e), with x centred and y scaled so that the problem is well conditioned."""
    centre, unit = np.exp(np.mean(np.log(x))), np.exp(np.mean(np.log(y)))
    log_x, log_y = np.log(x / centre), np.log(y / unit)
    slope, level = np.polyfit(log_x, log_y, 1)
    if not with_floor:
        return float(unit * np.exp(level) * centre**-slope), float(slope), 0.0

    def residual(parameters: np.ndarray) -> np.ndarray:
        log_c, power, floor = parameters
        return np.log(np.exp(np.clip(log_c + power * log_x, -300, 300)) + floor) - log_y

    top = float(np.exp(log_y.min()))  # the floor lies under the data, up to their noise
    starts = [(level, slope, 0.0), (level, 1.5 * slope, 0.5 * top), (level, 3 * slope, 0.9 * top)]
    bounds = ([-np.inf, -np.inf, 0.0], [np.inf, np.inf, 2 * top])
    found = min((least_squares(residual, start, bounds=bounds) for start in starts), key=lambda fit: fit.cost)
    log_c, power, floor = found.x
    return float(unit * np.exp(log_c) * centre**-power), float(power), float(unit * floor)


@dataclass(frozen=True)
class CensoredLine:
    """y = level + slope * x + normal noise of deviation `spread`, with the bootstrap interval of the slope.

    Of the `n` points `num_left` were known from above only, `num_right` from below only.
    """

    slope: float
    low: float
    high: float
    spread: float
    log_likelihood: float
    n: int
    num_left: int
    num_right: int


def fit_censored_line(
    x: Any,
    lower: Any,
    upper: Any,
    *,
    levels: Any = None,
    groups: Any = None,
    confidence: float = 0.95,
    num_resamples: int = 500,
    seed: int = 0,
) -> CensoredLine:
    """Fit a line to numbers y of which only `lower` <= y <= `upper` is known, by the likelihood of normal noise.

    Equal ends are a number that is known, an infinite end is a censored one. Points left out because y was out of reach
    would be chosen by y itself, which flattens the line.

    Args:
        levels: a label for each point: points of one label share their level, all share the slope. None for one level.
        groups: a label for each point, where points of one label are resampled together, as in `fit_power_law`.

    Raises:
        ValueError: lengths differ, ends that are NaN or in the wrong order, or fewer than two different x of points
            with two finite ends.
    """
    x, lower, upper = (np.asarray(part, dtype=np.float64) for part in (x, lower, upper))
    if not x.shape == lower.shape == upper.shape or x.ndim != 1:
        raise ValueError(f"x and ends must be lists of one length, got shapes {x.shape}, {lower.shape}, {upper.shape}")
    if not (np.all(np.isfinite(x)) and np.all(lower <= upper) and np.all(lower < np.inf) and np.all(upper > -np.inf)):
        raise ValueError("x must be finite, and lower ends at most upper ends")
    inside = np.isfinite(lower) & np.isfinite(upper)
    if len(np.unique(x[inside])) < 2:
        raise ValueError("points with two finite ends must have at least two different x")
    kinds, labels = (
        np.unique(np.asarray(given), return_inverse=True)[1] if given is not None else other
        for given, other in ((levels, np.zeros(len(x), dtype=int)), (groups, np.arange(len(x))))
    )
    if kinds.shape != x.shape or labels.shape != x.shape:
        raise ValueError(f"levels and groups must hold one label for each of the {len(x)} points")
    ends = np.concatenate([lower[np.isfinite(lower)], upper[np.isfinite(upper)]])
    centre, unit, width = float(np.mean(ends)), float(np.std(ends)) or 1.0, float(np.std(x))
    design = np.column_stack([(x - np.mean(x)) / width, np.eye(kinds.max() + 1)[kinds]])
    scaled = (lower - centre) / unit, (upper - centre) / unit
    best, (likelihood,) = _censored_line(design, *scaled, np.ones((1, len(x))))
    rng, count = np.random.default_rng(seed), labels.max() + 1
    drawn = [np.bincount(rng.integers(count, size=count), minlength=count)[labels] for _ in range(num_resamples)]
    drawn = [weights for weights in drawn if len(np.unique(x[inside & (weights > 0)])) >= 2]
    best, slopes = best[0], np.array([])
    if drawn:
        found, _ = _censored_line(design, *scaled, np.array(drawn, dtype=np.float64), best)
        slopes = found[:, 0] / found[:, -1]
    tail = (1 - confidence) / 2
    low, high = np.quantile(slopes, (tail, 1 - tail)) * unit / width if drawn else (np.nan, np.nan)
    return CensoredLine(
        slope=float(best[0] / best[-1] * unit / width),
        low=float(low),
        high=float(high),
        spread=float(unit / best[-1]),
        log_likelihood=float(likelihood - np.sum(lower == upper) * np.log(unit)),
        n=len(x),
        num_left=int(np.sum(np.isinf(lower))),
        num_right=int(np.sum(np.isinf(upper))),
    )


def _censored_line(
    design: np.ndarray, lower: np.ndarray, upper: np.ndarray, weights: np.ndarray, start: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients over the deviation and one over it, in which the log-likelihood is concave (Olsen), and its value.

    By Newton's method, for all rows of weights at once. A ridge keeps it finite where a line has no error or all points
    of a level are censored, else it is of no account.
    """
    ridge, known, constant = 1e-6, lower == upper, 0.5 * np.log(2 * np.pi)
    # how the standardised ends move with the parameters; an infinite end has no say
    below, above = (np.column_stack([-design, np.where(np.isfinite(end), end, 0.0)]) for end in (lower, upper))

    def at(place: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Objective, log-likelihood, the densities of the ends over the probability between them, and the ends."""
        low = np.where(np.isfinite(lower), place @ below.T, -np.inf)
        high = np.where(np.isfinite(upper), place @ above.T, np.inf)
        left, right = np.where(low > 0, -high, low), np.where(low > 0, -low, high)  # tails lose no digits on the left
        with np.errstate(all="ignore"):
            inside = log_ndtr(right) + np.log1p(-np.exp(log_ndtr(left) - log_ndtr(right)))
            each = np.where(known, np.log(place[:, -1:]) - 0.5 * low**2 - constant, inside)
            ratios = np.where(known, 0.0, np.exp(-0.5 * np.square([low, high]) - constant - inside))
        value = np.sum(weights * each, axis=1)
        ends = np.nan_to_num([low, high], posinf=0.0, neginf=0.0)
        return value - 0.5 * ridge * np.sum(place**2, axis=1), value, ratios, ends

    place = np.append(np.zeros(design.shape[1]), 1.0) if start is None else start
    place = np.tile(place, (len(weights), 1))
    objective, value, ratios, ends = at(place)
    for _ in range(200):
        (left, right), (low, high) = ratios, ends
        push = right[:, :, None] * above - (left + known * low)[:, :, None] * below
        slope = np.einsum("rn,rnp->rp", weights, push) - ridge * place
        bend = np.einsum("rn,np,nq->rpq", weights * right * high, above, above, optimize=True)
        bend -= np.einsum("rn,np,nq->rpq", weights * (left * low - known), below, below, optimize=True)
        bend += np.einsum("rn,rnp,rnq->rpq", weights * ~known, push, push, optimize=True) + ridge * np.eye(
            place.shape[1]
        )
        slope[:, -1] += weights @ known / place[:, -1]
        bend[:, -1, -1] += weights @ known / place[:, -1] ** 2
        step = np.linalg.solve(bend, slope[:, :, None])[:, :, 0]
        gain = np.sum(slope * step, axis=1)
        size = (gain > 1e-12).astype(float)
        if not size.any():
            break
        while True:
            new = place + size[:, None] * step
            valid = new[:, -1] > 0
            new[~valid] = place[~valid]
            found = at(new)
            short = (size > 1e-9) & (~valid | (found[0] < objective + 1e-4 * size * gain))
            if not short.any():
                break
            size[short] /= 2
        place, (objective, value, ratios, ends) = new, found
    return place, value


def labelled(table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """All fits, with what their cells are."""
    table = table.drop(columns=["num_params", "multiply_adds"], errors="ignore")
    return table.merge(cells, on="key", how="inner")


def contrast(fits: pd.DataFrame, task: str, shares: Mapping[Any, float], *, by: str = "network") -> Interval:
    """A sum of mean test accuracies, each times its share, with Student's 95 % interval over seeds.

    The variance over seeds is pooled over all networks of the task, which the column `by` tells apart. The ends are NaN
    where none has two seeds; all is where a network was not measured.
    """
    networks = finished(fits[fits["task"] == task]).groupby(by)["test_accuracy"]
    means, counts = networks.mean(), networks.size()
    if not set(shares) <= set(means.index):
        return NOTHING
    value, n = float(sum(share * means[one] for one, share in shares.items())), int(min(counts[one] for one in shares))
    degrees = int((counts - 1).sum())
    if not degrees:
        return Interval(value, np.nan, np.nan, n)
    variance = (networks.var().fillna(0) * (counts - 1)).sum() / degrees
    spread = np.sqrt(variance * sum(share**2 / counts[one] for one, share in shares.items()))
    half = float(student.ppf(0.975, degrees) * spread)
    return Interval(value, value - half, value + half, n)


def gain(fits: pd.DataFrame, task: str, before: Any, after: Any, *, by: str = "network") -> Interval:
    """What the test accuracy gains from one network to another; see `contrast`."""
    return contrast(fits, task, {after: 1.0, before: -1.0}, by=by)


def points(found: Interval) -> str:
    """Percentage points with the interval, in words."""
    if not np.isfinite(found.value):
        return "unknown (cells lost or not computed)"
    if not np.isfinite(found.low):
        return f"{100 * found.value:+.1f} points (no interval: n = 1)"
    value, low, high = (round(100 * number, 1) + 0.0 for number in (found.value, found.low, found.high))  # no "-0.0"
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]"


def accuracies(fits: pd.DataFrame, by: str) -> str:
    """Range over networks, told apart by the column, of the mean test accuracy on each task, and chance, in words."""
    means = finished(fits).groupby(["task", by])["test_accuracy"].mean()
    said = []
    for task in (task for task in tasks(fits) if task in means):
        ends = dict.fromkeys(f"{100 * end:.0f}" for end in (means[task].min(), means[task].max()))
        chance = f" (chance {100 * fits.loc[fits['task'] == task, 'chance'].iloc[0]:.1f} %)"
        said.append(f"{' to '.join(ends)} % on the {task} task{chance}")
    return f"accuracies: {', '.join(said)}" if said else "no accuracies"


def tasks(fits: pd.DataFrame) -> list[str]:
    """Easy and hard first, then the others as they come."""
    return sorted(fits["task"].unique(), key=lambda name: {"easy": 0, "hard": 1}.get(name, 2))


def telling(fits: pd.DataFrame) -> str:
    """The task that the claim is judged on: the hard one, or the last that there is."""
    names = tasks(fits)
    return "hard" if "hard" in names else names[-1]
