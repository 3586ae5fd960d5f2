"""Intervals: published and hand-computed bounds, and how often they hold the truth."""

from decimal import Decimal
from math import e, exp, isnan, log, sqrt

import numpy as np
import pytest
from scipy.special import expit

from helpers.models.intervals import (
    Estimate,
    n_effective,
    next_value,
    pooled_rate,
    product,
    ratio_of_sums,
    shared_error,
    wilson,
)


@pytest.mark.parametrize(("successes", "n", "low", "high"), [
    (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718),
])
def test_wilson_is_that_of_newcombe_1998_table_1(successes, n, low, high):
    assert wilson(successes, n, 0.95) == pytest.approx((low, high), abs=5e-5)


def test_wilson_of_nobody_is_unknown_and_of_arrays_is_an_array():
    low, high = wilson([15, 0], [148, 0], 0.95)
    assert [low[0], high[0]] == pytest.approx([0.0624, 0.1605], abs=5e-5)
    assert np.isnan([low[1], high[1]]).all()


def test_what_differs_between_months_widens_a_pooled_rate():
    rate = pooled_rate([10, 30], [100, 100], 0.95)
    # Pearson: (10 − 20)²/100 + (30 − 20)²/100 = 2, over .2·.8 and one degree of freedom: 12.5; t(1) is 12.7062
    half = 12.7062 * sqrt(12.5 / (200 * 0.16))
    assert (rate.value, rate.n) == (0.2, 200)
    assert [rate.low, rate.high] == pytest.approx([1 / (1 + 4 * exp(half)), 1 / (1 + 4 * exp(-half))], rel=1e-4)


def test_months_more_even_than_chance_do_not_narrow_a_pooled_rate():
    rate = pooled_rate([20, 20, 20], [100, 100, 100], 0.95)
    half = 4.302653 * sqrt(1 / (300 * 0.16))  # dispersion 0, counted as 1; t(2) is 4.302653
    assert rate.high == pytest.approx(1 / (1 + 4 * exp(-half)), rel=1e-6)


def test_one_month_is_wilson_and_months_without_exposure_do_not_count():
    rate = pooled_rate([0, 15, 0], [0, 148, 0], 0.95)
    assert [rate.low, rate.high, rate.n] == pytest.approx([0.0624, 0.1605, 148], abs=5e-5)


def test_without_events_the_upper_bound_is_exact():
    assert pooled_rate([0, 0], [60, 40], 0.95) == Estimate(0.0, 0.0, pytest.approx(1 - 0.025**0.01), 100)  # .0362
    assert pooled_rate([60, 40], [60, 40], 0.95) == Estimate(1.0, pytest.approx(0.025**0.01), 1.0, 100)


def test_without_exposure_a_pooled_rate_is_unknown():
    rate = pooled_rate([0], [0], 0.95)
    assert rate.n == 0
    assert isnan(rate.value) and isnan(rate.low) and isnan(rate.high)


def covered(companies: int, seed: int) -> tuple[int, int]:
    """How many companies of 6 months and 2,000 customers at 4 %, shaken by 25 %, are held by ours and by Wilson."""
    rng, held, held_by_wilson = np.random.default_rng(seed), 0, 0
    truth = expit(log(0.04 / 0.96) + rng.normal(0, 0.25, 1_000_000)).mean()
    for _ in range(companies):
        rates = expit(log(0.04 / 0.96) + rng.normal(0, 0.25, 6))
        events = rng.binomial(2000, rates)
        rate, (low, high) = pooled_rate(events, np.full(6, 2000), 0.95), wilson(events.sum(), 12_000, 0.95)
        held, held_by_wilson = held + (rate.low <= truth <= rate.high), held_by_wilson + (low <= truth <= high)
    return held, held_by_wilson


def test_a_pooled_rate_holds_the_truth_where_wilson_does_not():
    held, held_by_wilson = covered(100, seed=11)
    assert held >= 88  # a true 95 % falls below once in 670
    assert held_by_wilson <= 75  # .61 in expectation


@pytest.mark.long
def test_a_pooled_rate_holds_the_truth_in_95_of_100():
    assert 930 <= covered(1000, seed=12)[0] <= 970


def test_months_that_differ_move_all_hazards_together():
    # neighbours differ by .2 at a mean of .2, weight 50: 50 · .04 − .2 · .8 = 1.84 beyond chance, over 2 · 50 · .04 = 4:
    # variance .46 a month, times Σw² = (10² + 30² + 10² + 30²)/80² = .3125; two thirds of 3 degrees: t(2) is 4.302653.
    # Chance, .8/80 = .01, has its 1.96 elsewhere and gets what Student adds
    expected = sqrt(4.302653**2 * 0.46 * 0.3125 + (4.302653**2 - 1.959964**2) * 0.01)
    assert shared_error([10, 30, 10, 30], [100] * 4, 0.95) == pytest.approx(expected)
    assert shared_error([10, 0, 30, 10, 30], [100, 0, 100, 100, 100], 0.95) == shared_error([10, 30, 10, 30], [100] * 4, 0.95)


@pytest.mark.parametrize("events", [[20, 24, 20, 17], [10, 14, 18, 22, 26, 30], [10, 90], [0, 0, 0, 0]],
                         ids=["chance", "a trend", "too few months", "no events"])
def test_months_share_no_error_without_a_sign_of_it(events):
    assert shared_error(events, [100] * len(events), 0.95) == 0


def test_ratio_of_sums_is_linearised():
    # y 1 2 3 over x 1 2 2: ratio 6/5; residuals −.2 −.4 .6, squares .56; variance (3/2)·.56/5²; t(2) is 4.302653
    ratio = ratio_of_sums(3, Decimal(6), Decimal(5), Decimal(14), Decimal(11), Decimal(9), 0.95)
    half = 4.302653 * sqrt(1.5 * 0.56) / 5
    assert [ratio.value, ratio.low, ratio.high, ratio.n] == pytest.approx([1.2, 1.2 - half, 1.2 + half, 3])


def test_ratio_without_base_or_with_one_customer_has_no_bounds():
    assert isnan(ratio_of_sums(0, None, None, None, None, None, 0.95).value)
    assert isnan(ratio_of_sums(2, 3, 0, 5, 0, 0, 0.95).value)
    one = ratio_of_sums(1, 3, 2, 9, 6, 4, 0.95)
    assert one.value == 1.5
    assert isnan(one.low) and isnan(one.high)


def test_n_effective_counts_equal_customers():
    assert n_effective(3, 3) == 3
    assert n_effective(4, 6) == pytest.approx(16 / 6)  # weights 2, 1, 1
    assert isnan(n_effective(0, 0))


def test_a_product_adds_the_squares_of_log_distances():
    got = product([Estimate(2, 1, 4, 50), Estimate(3, 1.5, 6, 40)])
    assert got == Estimate(pytest.approx(6), pytest.approx(6 * 2**-sqrt(2)), pytest.approx(6 * 2 ** sqrt(2)), 40)


def test_a_divisor_moves_the_bounds_the_other_way_and_a_known_number_not_at_all():
    got = product([Estimate(e, e, e, 9)], [Estimate(4, 2, 16, 7)])
    assert got == Estimate(pytest.approx(e / 4), pytest.approx(e / 16), pytest.approx(e / 2), 7)


def test_division_by_zero_leaves_the_low_bound():
    got = product([Estimate(10, 8, 12, 100)], [Estimate(0.0, 0.0, 0.04, 100)])
    assert got.low == pytest.approx(8 / 0.04)
    assert isnan(got.value) and isnan(got.high)


def test_the_next_value_is_held_by_students_prediction_interval():
    # 2, 4, 6: mean 4, s = √((4 + 0 + 4)/2) = 2; t(2) is 4.302653 at 95 % and 2.919986 at 90 %
    for confidence, t in ((0.95, 4.302653), (0.90, 2.919986)):
        usual, half = next_value([2, 4, 6], confidence), t * 2 * sqrt(4 / 3)
        assert [usual.value, usual.low, usual.high] == pytest.approx([4, 4 - half, 4 + half])
        assert usual.n == 3


def test_unknown_months_are_left_out_of_the_normal_range():
    assert next_value([2, np.nan, 4, 6, np.nan], 0.95) == next_value([2, 4, 6], 0.95)


def test_two_months_or_none_give_no_normal_range():
    two, none = next_value([2, np.nan, 4], 0.95), next_value([np.nan], 0.95)
    assert (two.value, two.n, none.n) == (3, 2, 0)
    assert np.isnan([two.low, two.high, none.value, none.low, none.high]).all()


@pytest.mark.parametrize("months", [3, 12])
def test_the_normal_range_holds_the_next_month_in_95_of_100(months):
    series = np.random.default_rng(21).normal(100, 15, (4000, months + 1))
    held = sum(usual.low <= row[-1] <= usual.high for row in series for usual in [next_value(row[:-1], 0.95)])
    assert 0.94 <= held / 4000 <= 0.96  # a true 95 % falls outside once in 270
