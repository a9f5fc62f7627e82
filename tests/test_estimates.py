"""Statistics against formulas, simulation and hand-made tables."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

from widththeory.estimates import (
    PowerLaw,
    accuracies,
    bootstrap_interval,
    cells_note,
    contrast,
    finished,
    fit_censored_line,
    fit_power_law,
    rates_note,
    select_learning_rate,
    tasks,
    telling,
)


def fits(**columns):
    return pd.DataFrame({"status": "done", "diverged": 0.0, **columns})


# --- intervals --------------------------------------------------------------------------------------------------------


def test_interval_of_the_mean_is_that_of_the_formula():
    values = np.random.default_rng(0).normal(2.0, 0.5, 400)
    found = bootstrap_interval(values, np.mean)
    half = 1.96 * values.std(ddof=1) / 20
    # 2000 resamples know a 2.5 % quantile to about 3 % of the half-width; four times that is allowed.
    assert found.low == pytest.approx(values.mean() - half, abs=0.12 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.12 * half)
    assert (found.value, found.n) == (values.mean(), 400)


def test_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = [
        found.low <= 0.0 <= found.high
        for found in (bootstrap_interval(rng.normal(size=20), np.mean) for _ in range(200))
    ]
    # Nominal 95 %, some 93 % at n = 20 (the bootstrap's known small-sample loss); binomial deviation 1.8 %, times 3.
    assert 0.87 <= np.mean(covered) <= 1.0


def test_few_values():
    alone = bootstrap_interval([3.0])
    assert (alone.value, alone.n) == (3.0, 1)
    assert np.isnan(alone.low)
    assert np.isnan(alone.high)
    equal = bootstrap_interval([2.0, 2.0, 2.0])
    assert (equal.low, equal.value, equal.high, equal.n) == (2.0, 2.0, 2.0, 3)
    two = bootstrap_interval([1.0, 3.0])
    assert 1.0 <= two.low <= two.high <= 3.0


def test_same_seed_same_interval():
    values = np.random.default_rng(2).random(9)
    assert bootstrap_interval(values) == bootstrap_interval(values)


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [[1.0]]])
def test_values_without_an_interval(values):
    with pytest.raises(ValueError, match="values must be a non-empty list of finite numbers"):
        bootstrap_interval(values)


# --- failed cells and learning rates ----------------------------------------------------------------------------------


def test_failed_and_diverged_cells_are_counted():
    table = fits(train_mse=[1.0, 1.0, np.nan, np.inf])
    table["status"] = ["done", "done", "failed", "done"]
    table["diverged"] = [0.0, 0.0, np.nan, 1.0]
    assert list(finished(table).index) == [0, 1]
    assert cells_note(table) == "n = 2 of 4"
    assert cells_note(table.head(2)) == "n = 2"
    table["diverged"] = [False, False, None, True]
    assert list(finished(table).index) == [0, 1]


def test_learning_rate_is_chosen_by_training_loss():
    table = fits(
        width=[4, 4, 4, 4, 8, 8, 8, 8],
        seed=[0, 1, 0, 1, 0, 1, 0, 1],
        learning_rate=[0.1, 0.1, 0.01, 0.01] * 2,
        train_mse=[1.0, 2.0, 3.0, 4.0, 6.0, 5.0, 1.0, 2.0],
        test_mse=[9.0, 9.0, 0.1, 0.1, 0.1, 0.1, 9.0, 9.0],  # the test error would choose the other rate
    )
    chosen = select_learning_rate(table, by=["width"])
    assert chosen.groupby("width")["learning_rate"].unique().map(list).to_dict() == {4: [0.1], 8: [0.01]}
    assert list(chosen["seed"]) == [0, 1, 0, 1]
    overall = select_learning_rate(table, by=[])
    assert set(overall["learning_rate"]) == {0.01}  # medians 3.5 and 2.5
    assert len(overall) == 4


def test_a_single_rate_was_not_chosen():
    assert rates_note(fits(learning_rate=[0.2, 0.05, 0.2])) == "learning rate of 0.05, 0.2 by training loss"
    assert rates_note(fits(learning_rate=[0.05, 0.05])) == "learning rate 0.05"


def test_a_contrast_by_hand():
    """Means 0.2, 0.6, 0.1 with variances 0.01, 0.01 of two networks; the third has one seed, and counts by its mean."""
    values = {"a": (0.1, 0.2, 0.3), "b": (0.5, 0.6, 0.7), "c": (0.1,)}
    rows = [("hard", name, value) for name, own in values.items() for value in own]
    table = fits(**dict(zip(("task", "network", "test_accuracy"), zip(*rows, strict=True), strict=True)))
    found = contrast(table, "hard", {"b": 2.0, "a": -1.0, "c": -1.0})
    half = 2.7764 * 0.1 * np.sqrt(4 / 3 + 1 / 3 + 1)  # t(0.975, 4), Fisher and Yates, Table III
    assert (found.value, found.n) == (pytest.approx(0.9), 1)
    assert (found.low, found.high) == pytest.approx((0.9 - half, 0.9 + half), abs=1e-4)
    assert contrast(table, "hard", {"b": 1.0, "d": -1.0}).n == 0
    assert contrast(table, "easy", {"b": 1.0, "a": -1.0}).n == 0


def test_a_rate_that_loses_cells_loses():
    table = fits(
        width=4,
        learning_rate=[0.1, 0.1, 0.1, 0.01, 0.01, 0.01],
        train_mse=[0.1, np.nan, np.nan, 1.0, 1.0, np.nan],
    )
    table["status"] = ["done", "failed", "failed", "done", "done", "failed"]
    chosen = select_learning_rate(table, by=["width"])
    assert set(chosen["learning_rate"]) == {0.01}
    assert cells_note(chosen) == "n = 2 of 3"  # the failed cell of the chosen rate is not hidden


def test_equal_rates_give_the_smaller_one():
    table = fits(width=4, learning_rate=[0.1, 0.01], train_mse=[1.0, 1.0])
    assert list(select_learning_rate(table, by=["width"])["learning_rate"]) == [0.01]


def test_missing_columns_are_named():
    with pytest.raises(
        ValueError, match="the table must have the columns depth, train_mse, learning_rate, got status, "
    ):
        select_learning_rate(fits(width=[1]), by=["depth"])


# --- power laws -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("floor", [0.0, 0.02])
@pytest.mark.parametrize("exponent", [-1.5, -0.5, 2.0])
def test_exact_data_gives_the_law(exponent, floor):
    x = np.array([1.0, 2, 3, 5, 8, 12, 20, 30])
    found = fit_power_law(x, 3.0 * x**exponent + floor, num_resamples=20)
    # Without noise least squares stops at its tolerance of 1e-8 on the cost, about 1e-4 on flat directions.
    assert found.exponent == pytest.approx(exponent, abs=1e-3)
    assert found.coefficient == pytest.approx(3.0, rel=1e-3)
    assert found.floor == pytest.approx(floor, abs=1e-3)
    assert found(x) == pytest.approx(3.0 * x**exponent + floor, rel=1e-3)


def test_a_straight_line_misreads_the_exponent():
    x = np.geomspace(1, 100, 20)
    y = x**-1.5 + 0.01
    assert fit_power_law(x, y, num_resamples=10).exponent == pytest.approx(-1.5, abs=1e-3)
    line = fit_power_law(x, y, with_floor=False, num_resamples=10)
    assert line.exponent == pytest.approx(np.polyfit(np.log(x), np.log(y), 1)[0])
    assert line.exponent > -1.2


def test_interval_holds_the_exponent():
    rng = np.random.default_rng(3)
    x = np.repeat(np.geomspace(2, 64, 6), 5)
    found = fit_power_law(x, 4.0 * x**-1.2 * np.exp(rng.normal(0, 0.1, len(x))), num_resamples=200)
    assert found.low < -1.2 < found.high
    assert found.high - found.low < 0.4
    assert found.n == 30


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1.0, 2.0], [1.0], "x and y must be lists of one length"),
        ([1.0, 2.0, 3.0], [1.0, 0.0, 1.0], "x and y must hold positive finite numbers"),
        ([1.0, 2.0, np.nan], [1.0, 1.0, 1.0], "x and y must hold positive finite numbers"),
        ([1.0, 2.0, 2.0], [1.0, 1.0, 1.0], "x must hold at least 3 different numbers, got 2"),
    ],
)
def test_data_without_a_law(x, y, message):
    with pytest.raises(ValueError, match=message):
        fit_power_law(x, y)


def test_a_law_is_evaluated_as_written():
    assert PowerLaw(2.0, -1.0, 0.5, -1.1, -0.9, 3)([1.0, 4.0]) == pytest.approx([2.5, 1.0])


def test_points_of_one_group_are_resampled_together():
    """Each of 8 groups has its own factor, the same at all widths of few: 20 copies of a group say no more than one."""
    rng = np.random.default_rng(0)
    x, factor = np.tile([1.0, 10.0], 8), np.exp(rng.standard_normal(16))
    y, groups = factor * x**-0.5, np.arange(16) % 8
    once = fit_power_law(x, y, with_floor=False, groups=groups)
    copies = fit_power_law(np.tile(x, 20), np.tile(y, 20), with_floor=False, groups=np.tile(groups, 20))
    alone = fit_power_law(np.tile(x, 20), np.tile(y, 20), with_floor=False)
    assert copies.exponent == pytest.approx(once.exponent, rel=1e-9)
    # the same draws of groups give the same lines
    assert (copies.low, copies.high) == pytest.approx((once.low, once.high), rel=1e-9)
    assert alone.high - alone.low < 0.5 * (copies.high - copies.low)  # sqrt(1/20) of it, were the copies new points
    with pytest.raises(ValueError, match="groups must hold one label for each of the 16 points"):
        fit_power_law(x, y, with_floor=False, groups=[1, 2])


# --- censored lines ---------------------------------------------------------------------------------------------------


def noisy_line(num, slope=-1.5, spread=0.4):
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 3, num)
    return x, 2.0 + slope * x + rng.normal(0, spread, num)


def test_what_is_known_is_fitted_by_least_squares():
    x, y = noisy_line(30)
    found = fit_censored_line(x, y, y, num_resamples=50)
    slope, level = np.polyfit(x, y, 1)
    residual = y - level - slope * x
    assert found.slope == pytest.approx(slope, rel=1e-5)
    assert found.spread == pytest.approx(np.sqrt(np.mean(residual**2)), rel=1e-5)
    assert found.log_likelihood == pytest.approx(norm.logpdf(residual, scale=found.spread).sum(), rel=1e-6)
    assert (found.n, found.num_left, found.num_right) == (30, 0, 0)
    assert found.low < slope < found.high


def test_levels_are_those_of_least_squares_with_dummies():
    x, y = noisy_line(40)
    kinds = np.arange(40) % 3
    y = y + 5.0 * kinds
    design = np.column_stack([x, np.eye(3)[kinds]])
    found = fit_censored_line(x, y, y, levels=[f"kind {kind}" for kind in kinds], num_resamples=0)
    assert found.slope == pytest.approx(np.linalg.lstsq(design, y)[0][0], rel=1e-5)
    assert np.isnan(found.low)


def test_narrow_intervals_are_nearly_numbers():
    x, y = noisy_line(30)
    whole = fit_censored_line(x, y, y, num_resamples=0)
    found = fit_censored_line(x, y - 1e-4, y + 1e-4, num_resamples=0)
    assert (found.slope, found.spread) == pytest.approx((whole.slope, whole.spread), rel=1e-6)


def test_the_likelihood_is_at_its_maximum():
    """Of numbers, intervals and both kinds of censoring, against SciPy's own minimiser and normal law."""
    x, y = noisy_line(60)
    lower, upper = np.floor(2 * y) / 2, np.floor(2 * y) / 2 + 0.5
    lower[:10] = upper[:10] = y[:10]
    lower[y < -1.5], upper[y < -1.5] = -np.inf, -1.5
    lower[y > 1.0], upper[y > 1.0] = 1.0, np.inf

    def cost(parameters):
        level, slope, log_spread = parameters
        law = norm(level + slope * x, np.exp(log_spread))
        known = lower == upper
        with np.errstate(divide="ignore"):
            each = np.where(known, law.logpdf(np.where(known, y, 0)), np.log(law.cdf(upper) - law.cdf(lower)))
        return -each.sum()

    best = minimize(cost, [2.0, -1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    found = fit_censored_line(x, lower, upper, num_resamples=0)
    assert (found.num_left, found.num_right) == (np.sum(np.isinf(lower)), np.sum(np.isinf(upper)))
    assert min(found.num_left, found.num_right) > 5
    assert found.slope == pytest.approx(best.x[1], rel=1e-5)
    assert found.spread == pytest.approx(np.exp(best.x[2]), rel=1e-5)
    assert found.log_likelihood == pytest.approx(-best.fun, rel=1e-8)


def test_censoring_does_not_flatten_the_line():
    x, y = noisy_line(400)
    lower, upper = np.where(y > 0, 0.0, y), np.where(y > 0, np.inf, y)
    found = fit_censored_line(x, lower, upper, num_resamples=100)
    assert found.low < -1.5 < found.high
    assert found.high - found.low < 0.3
    left = y <= 0
    assert fit_censored_line(x[left], y[left], y[left], num_resamples=0).slope > found.high  # chosen by its outcome


def test_censored_lines_of_few_points_are_finite():
    """A line without error, a level that is wholly censored, intervals that many lines go through."""
    x = np.array([0.0, 1.0, 2.0, 3.0])
    assert fit_censored_line(x, 3 * x, 3 * x, num_resamples=20).slope == pytest.approx(3.0, rel=1e-4)
    lower, upper = np.append(3 * x, [9.0] * 4), np.append(3 * x, [np.inf] * 4)
    found = fit_censored_line(np.tile(x, 2), lower, upper, levels=np.repeat([0, 1], 4), num_resamples=20)
    assert found.slope == pytest.approx(3.0, rel=1e-3)
    found = fit_censored_line(x, 3 * x - 1, 3 * x + 1, num_resamples=20)
    assert 7 / 3 < found.slope < 11 / 3  # the flattest and the steepest line through all of them
    assert np.isfinite([found.low, found.high]).all()
    far = fit_censored_line(x, [0, 1, 2, -np.inf], [0, 1, 2, -50], num_resamples=0)  # in the tails of every other
    assert np.isfinite([far.slope, far.spread, far.log_likelihood]).all()


def test_censored_points_of_one_group_are_resampled_together():
    x, y = noisy_line(12)
    groups = np.arange(12) % 4
    once = fit_censored_line(x, y, y, groups=groups, num_resamples=100)
    nines = (np.tile(part, 9) for part in (x, y, y))
    copies = fit_censored_line(*nines, groups=np.tile(groups, 9), num_resamples=100)
    assert (copies.slope, copies.low, copies.high) == pytest.approx((once.slope, once.low, once.high), rel=1e-4)


@pytest.mark.parametrize(
    ("lower", "upper", "options", "message"),
    [
        ([0.0, 1.0], [0.0, 1.0], {}, "x and ends must be lists of one length"),
        ([0.0, 1.0, 2.0], [0.0, 0.5, 2.0], {}, "x must be finite, and lower ends at most upper ends"),
        ([0.0, 1.0, np.nan], [0.0, 1.0, 2.0], {}, "x must be finite, and lower ends at most upper ends"),
        ([0.0, 1.0, np.inf], [0.0, 1.0, np.inf], {}, "x must be finite, and lower ends at most upper ends"),
        ([0.0, -np.inf, 1.0], [0.0, 1.0, np.inf], {}, "two finite ends must have at least two different x"),
        ([0.0, 1.0, 2.0], [0.0, 1.0, 2.0], {"groups": [1, 2]}, "one label for each of the 3 points"),
        ([0.0, 1.0, 2.0], [0.0, 1.0, 2.0], {"levels": [1, 2]}, "one label for each of the 3 points"),
    ],
)
def test_points_without_a_line(lower, upper, options, message):
    with pytest.raises(ValueError, match=message):
        fit_censored_line([1.0, 2.0, 3.0], lower, upper, **options)


def test_accuracies_in_words():
    rows = [("hard", "a", 0.25), ("hard", "a", 0.35), ("hard", "b", 0.5), ("easy", "a", 0.996), ("easy", "b", 1.0)]
    fits = pd.DataFrame(rows, columns=["task", "net", "test_accuracy"]).assign(status="done")
    fits["chance"] = np.where(fits["task"] == "easy", 0.25, 0.125)
    assert accuracies(fits, "net") == (
        "accuracies: 100 % on the easy task (chance 25.0 %), 30 to 50 % on the hard task (chance 12.5 %)"
    )
    assert accuracies(fits.assign(status="failed"), "net") == "no accuracies"


@pytest.mark.parametrize(
    ("names", "order", "judged"),
    [
        (("hard", "easy"), ["easy", "hard"], "hard"),
        (("all", "hard"), ["hard", "all"], "hard"),
        (("all", "easy"), ["easy", "all"], "all"),
        (("all", "hard", "easy"), ["easy", "hard", "all"], "hard"),
        (("easy",), ["easy"], "easy"),
    ],
)
def test_claims_are_judged_on_the_hard_task(names, order, judged):
    table = pd.DataFrame({"task": [*names, *names]})
    assert (tasks(table), telling(table)) == (order, judged)
