"""Numbers that a figure draws from a table of fits: medians with intervals, the chosen learning rate, fitted exponents.

A table is a pandas frame with one row a fit; settings and measurements are columns, and `status` is "done" or "failed".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import least_squares
from scipy.stats import t as student


@dataclass(frozen=True)
class Interval:
    """A statistic with the interval around it, and the number of values behind it."""

    value: float
    low: float
    high: float
    n: int


NOTHING = Interval(float("nan"), float("nan"), float("nan"), 0)


def pooled_contrast(values: pd.Series, by: pd.Series, shares: Mapping[Any, float]) -> Interval:
    """A sum of means of the groups that `by` tells apart, each times its share, with Student's 95 % interval.

    The variance is pooled over all groups of `values`, also those without a share: with three values a group the
    interval is exact for normal values of equal variance, where that of two groups alone would be wide. The ends are
    NaN where no group has two values; all is where one with a share has none. `n` is the least number of values.
    """
    groups = values.groupby(by)
    means, counts = groups.mean(), groups.size()
    if not set(shares) <= set(means.index):
        return NOTHING
    value, n = float(sum(share * means[one] for one, share in shares.items())), int(min(counts[one] for one in shares))
    degrees = int((counts - 1).sum())
    if not degrees:
        return Interval(value, np.nan, np.nan, n)
    variance = (groups.var().fillna(0) * (counts - 1)).sum() / degrees
    spread = np.sqrt(variance * sum(share**2 / counts[one] for one, share in shares.items()))
    half = float(student.ppf(0.975, degrees) * spread)
    return Interval(value, value - half, value + half, n)


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


def span(counts: Iterable[int]) -> str:
    """ "5", or "2 to 5" where a table that is not whole has fewer in some cells, or "0" where it has none."""
    known = sorted({*counts} or {0})
    return " to ".join(dict.fromkeys((f"{known[0]}", f"{known[-1]}")))


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
            whole groups are resampled, since points that vary together would make the interval too narrow. Of few
            groups it still is: where they differ in exponent, one of 95 % held it in 75 % of cases at three groups, in
            86 % at six, 91 % at ten. `censored.fit_censored_line` has one that covers.

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
