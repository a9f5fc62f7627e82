"""Statistics against formulas, simulation and hand-made tables."""

import numpy as np
import pandas as pd
import pytest

from widththeory.estimates import (
    PowerLaw,
    cells_note,
    finished,
    fit_power_law,
    pooled_contrast,
    rates_note,
    select_learning_rate,
    span,
)


def fits(**columns):
    return pd.DataFrame({"status": "done", "diverged": 0.0, **columns})


# --- intervals --------------------------------------------------------------------------------------------------------


def test_a_pooled_contrast_covers_as_often_as_it_says():
    """Of three groups of three, only two of which are compared: Student's law is exact for equal variances."""
    rng = np.random.default_rng(3)
    by = pd.Series(np.repeat(["a", "b", "c"], 3))
    found = [pooled_contrast(pd.Series(rng.normal(size=9)), by, {"a": 1.0, "b": -1.0}) for _ in range(1000)]
    # binomial deviation 0.7 %, times 4; the normal quantile in place of Student's would cover 90 %
    assert np.mean([one.low <= 0.0 <= one.high for one in found]) == pytest.approx(0.95, abs=0.028)
    assert {one.n for one in found} == {3}


def test_a_pooled_variance_counts_degrees_of_freedom_and_n_the_groups_that_are_compared():
    """Squares about means of 2, 18 and 0 of 1, 2 and 0 degrees; t(0.975, 3) = 3.1824 (Fisher and Yates, Table III)."""
    values, by = pd.Series([1.0, 3.0, 4.0, 10.0, 7.0, 5.0]), pd.Series(["a", "a", "b", "b", "b", "c"])
    found = pooled_contrast(values, by, {"a": 1.0, "b": -1.0})
    variance = (2.0 + 18.0) / 3
    half = 3.1824 * np.sqrt(variance * (1 / 2 + 1 / 3))
    assert (found.value, found.n) == (-5.0, 2)
    assert (found.low, found.high) == pytest.approx((-5 - half, -5 + half), abs=1e-3)


# --- failed cells and learning rates ----------------------------------------------------------------------------------


def test_failed_and_diverged_cells_are_counted():
    table = fits(train_mse=[1.0, 1.0, np.nan, np.inf])
    table["status"] = ["done", "done", "failed", "done"]
    table["diverged"] = [0.0, 0.0, np.nan, 1.0]
    assert list(finished(table).index) == [0, 1]
    assert cells_note(table) == "n = 2 of 4"
    assert cells_note(table.head(2)) == "n = 2"
    table["diverged"] = [np.nan, 0.0, np.nan, 1.0]  # of a measurement that does not say
    assert list(finished(table).index) == [0, 1]
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


def test_one_bad_seed_does_not_decide_against_a_rate_and_a_loss_that_is_no_number_does():
    """Medians 1 and 2, means 34 and 2; then, with two losses that are none, no number and 2."""
    table = fits(width=4, learning_rate=[0.1] * 3 + [0.01] * 3, train_mse=[1.0, 1.0, 100.0, 2.0, 2.0, 2.0])
    assert set(select_learning_rate(table, by=["width"])["learning_rate"]) == {0.1}
    table["train_mse"] = [1.0, np.nan, np.nan, 2.0, 2.0, 2.0]
    assert set(select_learning_rate(table, by=["width"])["learning_rate"]) == {0.01}
    table["train_mse"] = [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    table["diverged"] = [0.0, 1.0, 1.0, 0.0, 0.0, 0.0]  # the loss of its best weights is a number all the same
    assert set(select_learning_rate(table, by=["width"])["learning_rate"]) == {0.01}


def test_cells_without_a_value_in_a_column_are_cells():
    """As of targets that lack an argument which others have."""
    table = fits(k=[np.nan, np.nan, 3.0, 3.0], learning_rate=[0.1, 0.01] * 2, train_mse=[1.0, 2.0, 2.0, 1.0])
    chosen = select_learning_rate(table, by=["k"])
    assert dict(zip(chosen["k"].fillna(0), chosen["learning_rate"], strict=True)) == {0: 0.1, 3: 0.01}


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


def test_the_interval_is_that_of_lines_through_resampled_points():
    rng = np.random.default_rng(1)
    x = np.geomspace(1, 50, 12)
    y = x**-0.7 * np.exp(0.3 * rng.standard_normal(12))
    draws, slopes = np.random.default_rng(9), []
    for _ in range(100):
        chosen = draws.integers(12, size=12)
        if len(set(chosen)) > 1:  # else there is no line
            slopes.append(np.polyfit(np.log(x[chosen]), np.log(y[chosen]), 1)[0])
    found = fit_power_law(x, y, with_floor=False, confidence=0.9, num_resamples=100, seed=9)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(slopes, [0.05, 0.95])), rel=1e-9)  # roundings
    assert found.coefficient == pytest.approx(np.exp(np.polyfit(np.log(x), np.log(y), 1)[1]), rel=1e-12)
    assert np.isnan(fit_power_law(x, y, num_resamples=0).low)


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


def test_counts_are_told_by_their_ends():
    assert [span(counts) for counts in ([5, 5], [5, 2, 3], pd.Series([4]), [])] == ["5", "2 to 5", "4", "0"]
