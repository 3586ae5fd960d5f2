"""Discounted months over a horizon: sums by hand, the fitted tail, and intervals that hold a known truth."""

import numpy as np
import pandas as pd
import pytest

from helpers.models import sbg
from helpers.models.horizon import horizon_sum, months_within
from helpers.models.survival import kaplan_meier

EVEN = sbg.Sbg(1.0, 1.0)  # hazard 1/(t + 1), so S(t) = 1/(t + 1)


def constant(churn):
    """A tail that loses `churn` every month: customers who do not differ."""
    return sbg.Sbg(churn * 1e9, (1 - churn) * 1e9)


def curve(*counts):
    """Kaplan–Meier of (month, events, censored)."""
    return kaplan_meier(pd.DataFrame(counts, columns=["month", "events", "censored"]))


@pytest.fixture
def seen():
    """40 customers, 20 leave after a month, 20 are watched for 3: S = 1, .5, .5, .5."""
    return curve((1, 20, 0), (3, 0, 20))


def test_a_curve_wholly_seen_is_summed_and_discounted(seen):
    found = horizon_sum(seen, None, 3, 0.25, 0.95)
    assert found.value == pytest.approx(1 + 0.5 / 1.25 + 0.5 / 1.5625)
    assert found.curve == pytest.approx((1, 0.5, 0.5))
    assert (found.seen, found.extrapolated, found.n) == (3, 0, 40)


def test_month_h_is_not_paid(seen):
    # t = 0 … H − 1: the 4th payment, at t = 3, is in H = 4 and not in H = 3
    assert horizon_sum(seen, None, 3, 0.0, 0.95).value == pytest.approx(2.0)
    assert horizon_sum(seen, None, 4, 0.0, 0.95).value == pytest.approx(2.5)


def test_beyond_the_ages_seen_the_fitted_hazards_go_on_from_the_last_share_seen():
    # seen: S(1) = .8 where the model has .5; then S(2) = .8 · 2/3, S(3) = .8 · 2/3 · 3/4 = .4
    found = horizon_sum(curve((1, 20, 80)), EVEN, 4, 0.0, 0.95)
    assert found.curve == pytest.approx((1, 0.8, 0.8 * 2 / 3, 0.4))
    assert found.value == pytest.approx(2.2 + 1.6 / 3)
    assert found.extrapolated == pytest.approx((0.4 + 1.6 / 3) / (2.2 + 1.6 / 3))


def test_the_last_age_seen_has_ten_at_risk():
    ten, nine = curve((1, 0, 10), (2, 0, 10)), curve((1, 0, 10), (2, 0, 9))
    assert horizon_sum(ten, EVEN, 2, 0.0, 0.95).seen == 2
    assert horizon_sum(nine, EVEN, 2, 0.0, 0.95).seen == 1


def test_constant_churn_paid_in_advance():
    # c = .03, 10 % a year: (1 + d)/(d + c) = 26.54; undiscounted 1/c = 33.33
    few = curve((1, 0, 5))  # too few to be seen beyond month 0
    assert horizon_sum(few, constant(0.03), 600, 1.10 ** (1 / 12) - 1, 0.95).value == pytest.approx(26.54, abs=0.005)
    assert horizon_sum(few, constant(0.03), 600, 0.0, 0.95).value == pytest.approx(1 / 0.03, rel=1e-4)


def test_sbg_from_the_start_is_the_published_expected_lifetime():
    # Fader and Hardie's High End set (2007: .668, 3.806): 2F1(1, β; α + β; 1/1.1) = 5.9223 at 10 % a period
    found = horizon_sum(curve((1, 0, 5)), sbg.Sbg(0.66809, 3.80610), 400, 0.10, 0.95)
    assert found.value == pytest.approx(5.9223, abs=1e-4)


def test_without_a_model_the_sum_beyond_is_unknown_and_what_was_seen_its_lower_bound(seen):
    found = horizon_sum(seen, None, 36, 0.0, 0.95)
    assert np.isnan([found.value, found.high, found.extrapolated]).all()
    assert (found.low, found.curve) == (pytest.approx(2.5), ())


def test_the_interval_is_greenwoods_on_the_log_scale(seen):
    # H = 2: value 1.5; area from month 1 on .5; Greenwood 20/(40 · 20) = .025; √(.25 · .025) = .0790569
    found = horizon_sum(seen, None, 2, 0.0, 0.95)
    reach = np.exp(1.959964 * 0.0790569 / 1.5)
    assert [found.low, found.high] == pytest.approx([1.5 / reach, 1.5 * reach], rel=1e-6)


def test_the_slope_is_what_a_log_unit_of_all_hazards_takes(seen):
    # odds 20/20 at month 1, 1 to come from it on; then with a tail: S = 1, .8, .8 · 2/3, odds .25 and .5
    assert horizon_sum(seen, None, 3, 0.0, 0.95).slope == pytest.approx(1.0)
    tail = horizon_sum(curve((1, 20, 80)), EVEN, 3, 0.0, 0.95)
    assert tail.slope == pytest.approx(0.25 * (0.8 + 1.6 / 3) + 0.5 * 1.6 / 3)
    assert horizon_sum(curve((1, 20, 0), (2, 20, 0)), EVEN, 3, 0.0, 0.95).slope == pytest.approx(0.5)  # all are gone


def test_an_uncertain_tail_widens_the_interval_by_its_covariance():
    # seen to month 0 alone, H = 2: 1 + S(1) = 1 + β/(α + β) = 1.5; ∂/∂ln α = −.25, ∂/∂ln β = +.25
    # variance of ln α .04 and of ln β .01, independent: √(.0625 · .05) = .0559017
    unsure = sbg.Sbg(1.0, 1.0, covariance=np.diag([0.04, 0.01]))
    found = horizon_sum(curve((1, 0, 5)), unsure, 2, 0.0, 0.95)
    assert np.log(found.high / found.value) == pytest.approx(1.959964 * 0.0559017 / 1.5, rel=1e-6)
    sure = horizon_sum(curve((1, 0, 5)), EVEN, 2, 0.0, 0.95)
    assert sure.low == sure.high == pytest.approx(1.5)


def test_the_ages_seen_and_the_tail_err_together():
    # S = 1, .5 seen, then .5 · 2/3: 1.8333. A hazard at month 1 moves .8333, one at month 2 moves .3333.
    # Greenwood .025 · .8333² = .0173611. By ln α (slope −h): −.41667 seen, −.11111 beyond;
    # by ln β (slope h · β/(β + t − 1)): .41667 and .05556
    # .11111 · .04 · (.11111 + .83333) + .05556 · .01 · (.05556 + .83333) = .0046914; √.0220525 = .148501
    unsure = sbg.Sbg(1.0, 1.0, covariance=np.diag([0.04, 0.01]))
    found = horizon_sum(curve((1, 20, 20)), unsure, 3, 0.0, 0.95)
    assert found.value == pytest.approx(11 / 6)
    assert np.log(found.high / found.value) == pytest.approx(1.959964 * 0.148501 / (11 / 6), rel=1e-5)


def simulated(rng, truth, customers, longest):
    """A book of customers with their own chances to leave, who joined over `longest` months: counts by age."""
    ends, watched = rng.geometric(rng.beta(truth.alpha, truth.beta, customers)), rng.integers(1, longest + 1, customers)
    left = ends <= watched
    table = pd.DataFrame({"month": np.where(left, ends, watched), "events": left, "censored": ~left})
    return table.groupby("month", as_index=False).sum()


def test_the_interval_holds_the_truth_in_at_least_88_of_100_books():
    # A right 95 % interval fails this .15 % of the time. Two thirds of the horizon lie beyond 12 months.
    rng, truth, rate = np.random.default_rng(11), sbg.Sbg(1.0, 9.0), 1.10 ** (1 / 12) - 1
    true = (truth.survival(np.arange(36)) / (1 + rate) ** np.arange(36)).sum()
    held = 0
    for _ in range(100):
        ends = simulated(rng, truth, 600, 12)
        found = horizon_sum(kaplan_meier(ends), sbg.fit(ends), 36, rate, 0.95)
        held += found.low <= true <= found.high
    assert held >= 88


def test_one_customer_stays_as_long_as_its_chance_to_says():
    # sBG of 1, 1: a new one stays for 1, 2, … months with 1/2, 1/3, 1/4, 1/5; of one month's age with 2/3, 2/4, 2/5, 2/6
    low, high = months_within(curve((1, 0, 5)), EVEN, 1, 4, 0.0, 0.30)  # chances .65 and .35
    assert low.tolist() == [0, 1] and high.tolist() == [1, 3]
    low, high = months_within(curve((1, 0, 5)), EVEN, 1, 4, 0.25, 0.30)
    assert low[1] == pytest.approx(0.8) and high[1] == pytest.approx(0.8 + 0.64 + 0.512)
