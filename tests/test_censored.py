"""Lines through censored numbers against least squares, SciPy's minimiser and normal law, and cases by hand."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

from widththeory.censored import fit_censored_line


def noisy_line(num, slope=-1.5, spread=0.4):
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 3, num)
    return x, 2.0 + slope * x + rng.normal(0, spread, num)


def test_what_is_known_is_fitted_by_least_squares():
    x, y = noisy_line(30)
    found = fit_censored_line(x, y, y)
    slope, level = np.polyfit(x, y, 1)
    residual = y - level - slope * x
    assert found.slope == pytest.approx(slope, rel=1e-5)
    assert found.spread == pytest.approx(np.sqrt(np.mean(residual**2)), rel=1e-5)
    assert found.log_likelihood == pytest.approx(norm.logpdf(residual, scale=found.spread).sum(), rel=1e-6)
    assert (found.n, found.num_left, found.num_right) == (30, 0, 0)
    assert found.low < slope < found.high


def test_the_interval_is_the_jackknife_over_groups():
    """Lines by least squares without one of four groups each, and Student's law of three degrees of freedom."""
    x, y = noisy_line(20)
    groups = np.arange(20) % 4
    found = fit_censored_line(x, y, y, groups=[f"target {group}" for group in groups])
    without = [np.polyfit(x[groups != group], y[groups != group], 1)[0] for group in range(4)]
    half = 3.182446305 * 3 * np.std(without, ddof=1) / 2  # pseudo-values vary three times as much
    slope = np.polyfit(x, y, 1)[0]
    assert (found.low, found.high) == pytest.approx((slope - half, slope + half), rel=1e-4)
    narrow = fit_censored_line(x, y, y, groups=groups, confidence=0.5)
    assert (narrow.high - narrow.low) / 2 == pytest.approx(half * 0.764892 / 3.182446, rel=1e-4)


def test_one_group_that_alone_tells_the_slope_gives_no_interval():
    y, groups = np.array([0.0, 1.0, 2.0, 2.5, 4.0]), [0, 0, 1, 1, 2]
    several = fit_censored_line([0.0, 1.0, 2.0, 3.0, 3.0], y, y, groups=groups)
    assert np.isfinite([several.low, several.high]).all()
    alone = fit_censored_line([0.0, 1.0, 2.0, 2.0, 2.0], y, y, groups=groups)  # all others lie at one x
    assert np.isfinite(alone.slope)
    assert np.isnan([alone.low, alone.high]).all()
    assert np.isnan(fit_censored_line([0.0, 1.0, 2.0, 3.0, 3.0], y, y, groups=[0] * 5).low)
    bounds = np.array([-np.inf, -np.inf, 0.0, 0.0, 0.5]), np.array([1.0, 2.0, 0.0, 0.0, 0.5])
    beside = fit_censored_line([0.0, 1.0, 2.0, 2.0, 3.0], *bounds, groups=[0, 0, 1, 1, 2])
    assert np.isfinite(beside.slope)
    assert np.isnan(beside.low)  # those that are censored tell no slope


def test_equal_numbers_have_a_flat_line():
    found = fit_censored_line([0.0, 1.0, 2.0], [5.0] * 3, [5.0] * 3)
    assert found.slope == pytest.approx(0, abs=1e-12)  # of numbers of size 5
    assert np.isfinite([found.low, found.high, found.spread]).all()


def test_levels_are_those_of_least_squares_with_dummies():
    x, y = noisy_line(40)
    kinds = np.arange(40) % 3
    y = y + 5.0 * kinds
    design = np.column_stack([x, np.eye(3)[kinds]])
    found = fit_censored_line(x, y, y, levels=[f"kind {kind}" for kind in kinds])
    assert found.slope == pytest.approx(np.linalg.lstsq(design, y)[0][0], rel=1e-5)


def test_narrow_intervals_are_nearly_numbers():
    x, y = noisy_line(30)
    whole = fit_censored_line(x, y, y)
    found = fit_censored_line(x, y - 1e-4, y + 1e-4)
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
    found = fit_censored_line(x, lower, upper)
    assert (found.num_left, found.num_right) == (np.sum(np.isinf(lower)), np.sum(np.isinf(upper)))
    assert min(found.num_left, found.num_right) > 5
    assert found.slope == pytest.approx(best.x[1], rel=1e-5)
    assert found.spread == pytest.approx(np.exp(best.x[2]), rel=1e-5)
    assert found.log_likelihood == pytest.approx(-best.fun, rel=1e-8)


def test_censoring_does_not_flatten_the_line():
    x, y = noisy_line(400)
    lower, upper = np.where(y > 0, 0.0, y), np.where(y > 0, np.inf, y)
    found = fit_censored_line(x, lower, upper)
    assert found.low < -1.5 < found.high
    assert found.high - found.low < 0.3
    left = y <= 0
    assert fit_censored_line(x[left], y[left], y[left]).slope > found.high  # chosen by its outcome


def test_censored_lines_of_few_points_are_finite():
    """A line without error, a level that is wholly censored, intervals that many lines go through."""
    x = np.array([0.0, 1.0, 2.0, 3.0])
    assert fit_censored_line(x, 3 * x, 3 * x).slope == pytest.approx(3.0, rel=1e-4)
    lower, upper = np.append(3 * x, [9.0] * 4), np.append(3 * x, [np.inf] * 4)
    found = fit_censored_line(np.tile(x, 2), lower, upper, levels=np.repeat([0, 1], 4))
    assert found.slope == pytest.approx(3.0, rel=1e-3)
    found = fit_censored_line(x, 3 * x - 1, 3 * x + 1)
    assert 7 / 3 < found.slope < 11 / 3  # the flattest and the steepest line through all of them
    assert np.isfinite([found.low, found.high]).all()
    far = fit_censored_line(x, [0, 1, 2, -np.inf], [0, 1, 2, -50])  # in the tails of every other
    assert np.isfinite([far.slope, far.spread, far.log_likelihood]).all()


def test_censored_points_of_one_group_are_left_out_together():
    x, y = noisy_line(12)
    groups = np.arange(12) % 4
    once = fit_censored_line(x, y, y, groups=groups)
    nines = (np.tile(part, 9) for part in (x, y, y))
    copies = fit_censored_line(*nines, groups=np.tile(groups, 9))
    assert (copies.slope, copies.low, copies.high) == pytest.approx((once.slope, once.low, once.high), rel=1e-4)


@pytest.mark.parametrize(
    ("lower", "upper", "options", "message"),
    [
        ([0.0, 1.0], [0.0, 1.0], {}, "x and ends must be lists of one length"),
        ([0.0, 1.0, 2.0], [0.0, 0.5, 2.0], {}, "x must be finite, and lower ends at most upper ends"),
        ([0.0, 1.0, np.nan], [0.0, 1.0, 2.0], {}, "x must be finite, and lower ends at most upper ends"),
        ([0.0, 1.0, np.inf], [0.0, 1.0, np.inf], {}, "x must be finite, and lower ends at most upper ends"),
        ([0.0, -np.inf, 1.0], [0.0, 1.0, np.inf], {}, "two finite ends must have at least two different x"),
        # each level has one x: lines of any slope go through both
        ([0.0, 1.0, 2.0], [0.0, 1.0, 2.0], {"levels": [0, 1, 2]}, "two different x in some level"),
        ([0.0, 1.0, 2.0], [0.0, 1.0, 2.0], {"groups": [1, 2]}, "one label for each of the 3 points"),
        ([0.0, 1.0, 2.0], [0.0, 1.0, 2.0], {"levels": [1, 2]}, "one label for each of the 3 points"),
    ],
)
def test_points_without_a_line(lower, upper, options, message):
    with pytest.raises(ValueError, match=message):
        fit_censored_line([1.0, 2.0, 3.0], lower, upper, **options)
