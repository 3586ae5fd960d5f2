"""Sentences that say what a table shows, and no more."""

import numpy as np
import pandas as pd
import pytest

from helpers import findings
from helpers.tables import Formats

NOISE = [0.04, 0.06, 0.04, 0.06, 0.04, 0.06, 0.04, 0.06, 0.04, 0.06, 0.04, 0.06]   # mean 5 %, s = 0.010445
# Student's t of 11 is 2.201: 5 % ± 2.201 · 0.010445 · √(1 + 1/12) = ± 2.4 points


@pytest.mark.parametrize(("last", "said"), [
    (0.05, "Churn: 5.0%, inside its normal range (2.6% to 7.4%)"),
    (0.075, "Churn: 7.5%, above its normal range (2.6% to 7.4%)"),
    (0.02, "Churn: 2.0%, below its normal range (2.6% to 7.4%)"),
])
def test_a_rate_is_held_against_the_twelve_months_before(last, said):
    assert findings.moved([*NOISE, last], "Churn", "share") == said


def test_older_months_do_not_widen_the_range():
    assert "(2.6% to 7.4%)" in findings.moved([0.9, *NOISE, 0.05], "Churn", "share")


def test_money_is_judged_by_how_it_changes():
    growing = [100.0]
    for step in NOISE:
        growing.append(growing[-1] * (1 + step))
    text = findings.moved([*growing, growing[-1] * 1.05], "MRR", "USD")
    assert text.endswith("up 5.0%, inside its normal range (2.6% to 7.4%)") and text.startswith("MRR: 18")
    assert "down 10.0%, below its normal range" in findings.moved([*growing, growing[-1] * 0.9], "MRR", "USD")


def test_a_short_history_has_no_normal_range():
    assert findings.moved([0.04, 0.06, 0.05], "Churn", "share") == "Churn: 5.0%"
    assert findings.moved([100, 110], "MRR", "USD") == "MRR: 110.00 USD, up 10.0%"


def test_an_unknown_month_is_said():
    assert findings.moved([0.04, np.nan], "Churn", "share") == "Churn is not known for this month"
    assert findings.moved([], "Churn", "share") == "Churn is not known for this month"


@pytest.mark.parametrize("unit", ["count", "USD", "share"])
def test_a_first_month_has_a_value_and_no_range(unit):
    assert findings.moved([0.5], "Churn", unit) == f"Churn: {findings.number(0.5, unit)}"
    assert np.isnan(findings.normal_range([], unit)[1])


def test_numbers_follow_the_formats():
    assert findings.moved([100, 110], "MRR", "EUR", Formats("EUR", "de")) == "MRR: 110,00 EUR, up 10,0\u00a0%"


def test_a_share_has_no_normal_range_beyond_what_it_can_be():
    low = [0.0, 0.02] * 6
    assert "(0.0% to" in findings.moved([*low, 0.01], "Churn", "share")
    assert "to 100.0%)" in findings.moved([*(1 - np.array(low)), 0.99], "Kept", "share")


def test_a_metric_that_rolls_is_held_against_a_year_ago():
    assert findings.moved([0.8, *NOISE[1:], 0.75], "GRR", "share", rolling=True) == "GRR: 75.0%, 80.0% a year ago"
    assert findings.moved([0.8, 0.75], "GRR", "share", rolling=True) == "GRR: 75.0%"
    assert [findings.rolls(name) for name in ("grr_12m", "repeat_rate", "grr", "logo_churn_rate")] == [True, True, False, False]


def members(*rows):
    return pd.DataFrame(rows, columns=["plan", "rate", "low", "high"]).set_index("plan")


def test_members_differ_only_where_intervals_lie_apart():
    apart = members(("a", 0.02, 0.01, 0.03), ("b", 0.06, 0.04, 0.08))
    touching = members(("a", 0.02, 0.01, 0.05), ("b", 0.06, 0.04, 0.08))
    assert findings.extremes(apart, "rate", "low", "high", "Churn", "share") == (
        "Churn is highest for b (6.0%), lowest for a (2.0%)")
    assert findings.extremes(touching, "rate", "low", "high", "Churn", "share") == (
        "Churn is between a (2.0%) and b (6.0%); none stands apart beyond chance")


def test_an_end_is_named_only_where_it_stands_apart_from_all_others():
    table = members(("a", 0.02, 0.01, 0.03), ("b", 0.025, 0.02, 0.04), ("c", 0.09, 0.07, 0.11))
    assert findings.extremes(table, "rate", "low", "high", "Churn", "share") == "Churn is highest for c (9.0%)"
    table = members(("a", 0.02, 0.01, 0.03), ("b", 0.08, 0.06, 0.09), ("c", 0.09, 0.07, 0.11))
    assert findings.extremes(table, "rate", "low", "high", "Churn", "share") == "Churn is lowest for a (2.0%)"


def test_pairs_that_lie_apart_are_named_where_nobody_lies_apart_from_all():
    table = members(("a", 0.02, 0.01, 0.03), ("b", 0.04, 0.02, 0.06), ("c", 0.06, 0.04, 0.08), ("d", 0.07, 0.05, 0.09))
    assert findings.extremes(table, "rate", "low", "high", "Churn", "share") == (
        "Churn is between a (2.0%) and d (7.0%); a lies below c and d")
    rows = [(name, 0.02 + at / 100, at / 100, 0.035 + at / 100) for at, name in enumerate("abcdefgh")]
    said = findings.extremes(members(*rows).drop("a"), "rate", "low", "high", "Churn", "share")
    assert said.startswith("Churn is between b (3.0%) and h (9.0%); b lies below f and g and h; c lies below g and h; 1 more")


def test_methods_are_spanned_and_not_ranked():
    table = pd.DataFrame({"value": [700.0, 500.0, np.nan, 900.0]}, index=["ltv", "ltv_net", "ltv_margin", "ltv_arpu"])
    assert findings.span(table, "ltv", "LTV", "USD") == (
        "LTV: 700.00 USD; other methods, on their own bases, give 500.00 USD (ltv_net) to 900.00 USD (ltv_arpu)")
    assert findings.span(table.head(1), "ltv", "LTV", "USD") == "LTV: 700.00 USD"


def test_one_member_or_none_is_not_compared():
    assert findings.extremes(members(("a", 0.02, 0.01, 0.03)), "rate", "low", "high", "Churn", "share") == "Churn: a (2.0%)"
    assert "cannot be estimated" in findings.extremes(members(("a", np.nan, 0, 1)), "rate", "low", "high", "Churn", "share")


def steps(*rows):
    return pd.DataFrame(rows, columns=["label", "value", "kind"])


def test_a_bridge_names_what_moved_it_most():
    table = steps(("start", 100.0, "total"), ("new", 30.0, "change"), ("resumed", 5.0, "change"), ("churn", -15.0, "change"),
                  ("end", 120.0, "total"))
    assert findings.bridge(table, "MRR", "USD") == "MRR grew by 20.00 USD: new +30.00 USD against churn −15.00 USD"
    still = steps(("start", 100.0, "total"), ("end", 100.0, "total"))
    assert findings.bridge(still, "MRR", "USD") == "MRR stayed at 100.00 USD"


def test_a_last_total_is_told_by_the_two_steps_that_made_most_of_it():
    table = steps(("MRR", 100.0, "total"), ("days", -3.0, "change"), ("deferred", -20.0, "change"), ("invoiced", 77.0, "total"),
                  ("other", 9.0, "change"), ("net revenue", 86.0, "total"))
    assert findings.built(table, "USD") == "MRR 100.00 USD, net revenue 86.00 USD: deferred −20.00 USD, other +9.00 USD"
    still = steps(("MRR", 5.0, "total"), ("days", 0.0, "change"), ("net revenue", 5.0, "total"))
    assert findings.built(still, "USD") == "MRR 5.00 USD, net revenue 5.00 USD"


def test_a_ladder_says_what_is_left_and_what_took_most():
    table = steps(("revenue", 2000.0, "total"), ("costs", -500.0, "change"), ("gifts", 10.0, "change"),
                  ("margin", 1510.0, "total"), ("CAC", -600.0, "change"), ("left", 910.0, "total"))
    assert findings.rungs(table, "USD") == (
        "A new customer is worth 910.00 USD (left) of 2,000 USD (revenue); most is lost to CAC")
    assert findings.rungs(steps(("revenue", 5.0, "total"), ("left", 5.0, "total")), "USD") == (
        "A new customer is worth 5.00 USD (left) of 5.00 USD (revenue)")


def test_the_largest_share_is_named_with_its_size():
    table = pd.DataFrame({"share": [0.1, 0.9], "revenue_share": [0.6, 0.4]}, index=["Champions", "Others"])
    assert findings.largest(table, "revenue_share", "revenue", "share", "customers") == (
        "Champions, 10.0% of customers, bring 60.0% of revenue")
    assert findings.largest(table.head(0), "revenue_share", "revenue") == "revenue: nothing to share"


def test_organic_is_new_customers_of_known_channels_without_spend_of_all_new():
    rows = [("channel", "ads", 60, 500.0), ("channel", "friends", 25, 0.0), ("channel", "organic", 5, 0.0),
            ("channel", "(unattributed)", 10, 0.0), ("plan", "pro", 999, 0.0)]
    cuts = pd.DataFrame(rows, columns=["dimension", "member", "customers", "media"])
    # Wilson of 30 of 100: (30 + 1.92 ± 1.96 · √(30 · 70/100 + .96)) ÷ 103.84
    assert findings.organic(cuts, 0.95) == (
        "30.0% of 100 new customers of six months came by a channel without media spend (21.9% to 39.6%); "
        "of 10.0% the channel is not known")
    for unknown in (cuts.tail(2), cuts.head(0)):
        assert findings.organic(unknown, 0.95) == "No new customer of the last six months names the channel that it came by"


def test_members_together_stand_beside_the_headline():
    table = pd.DataFrame({"dimension": ["channel", "country"], "ltv": [1290.0, 1300.0], "known": [1.0, 0.25]})
    assert findings.together(table, 1294.0, "USD") == (
        "Weighted by the new customers of six months: all channels together 1,290.00 USD, all countries together 1,300.00 USD "
        "(of 25.0% of them); headline 1,294.00 USD")
    for unknown in ((table.head(0), 1294.0), (table, np.nan)):
        assert "needs the LTV of both" in findings.together(*unknown, "USD")


def test_the_own_cost_ratio_stands_beside_the_claim():
    assert findings.dearer(78.0, 39.0).startswith(
        "Winning a unit of monthly revenue, which is paid once, cost 78.00× what keeping one for a month did, and "
        "2.00× what keeping one for 39.0 months did, the restricted mean lifetime. The five times that are often quoted are ")
    assert "for a month did. The five times" in findings.dearer(3.25, np.nan)
    assert findings.dearer(np.nan, 39.0).endswith("needs spend, new revenue and costs of retention")


def test_cohorts_seen_for_a_year_say_whether_they_paid_back():
    rows = [(12, 50.0, 4.0), (13, 50.0, 7.0), (20, 50.0, np.nan), (11, 50.0, 1.0), (30, np.nan, np.nan)]
    table = pd.DataFrame(rows, columns=["months_seen", "cac", "paid_back_month"])
    assert findings.paid_back(table) == "2 of 3 cohorts seen for 12 months have paid back their cost, in 4 to 7 months"
    assert findings.paid_back(table[2:3]) == "0 of 1 cohorts seen for 12 months have paid back their cost"
    assert findings.paid_back(table[3:]) == "No cohort whose cost is known has been seen for 12 months"


LEVERS = pd.DataFrame(
    [("price", -5.0, -9.0, -1.0), ("churn", 12.0, 8.0, 16.0), ("margin", 1.0, -1.0, 3.0), ("LTV", 8.0, 2.0, 14.0)],
    columns=["lever", "contribution", "low", "high"])


def test_a_change_beyond_noise_names_the_levers_beyond_noise_the_largest_first():
    text = "LTV moved by 8.00 USD since last month (2.00 USD to 14.00 USD): "
    assert findings.changed(LEVERS, "USD") == text + "churn +12.00 USD, price −5.00 USD"
    rounding = LEVERS.assign(contribution=[-5.0, 12, 1e-9, 8], low=[-9.0, 8, 1e-10, 2])
    assert findings.changed(rounding, "USD") == text + "churn +12.00 USD, price −5.00 USD"
    none = LEVERS.assign(low=[-9.0, -1, -1, 2], high=[1.0, 25, 3, 14])
    assert findings.changed(none, "USD") == text + "no lever alone beyond noise"


def test_a_change_within_noise_has_no_cause():
    within = LEVERS.assign(low=[-9.0, 8, -1, -2])
    assert findings.changed(within, "USD") == "LTV moved by 8.00 USD since last month (−2.00 USD to 14.00 USD): within noise"
    unknown = findings.changed(LEVERS.assign(low=np.nan, high=np.nan), "USD")
    assert unknown == "LTV moved by 8.00 USD since last month; how much of it is chance is not known"
    assert findings.changed(LEVERS.head(0), "USD").startswith("How LTV moved since last month is not known")


def test_cac_against_ltv_is_told_sign_by_sign():
    rows = [("CAC grew more", 0.5, 0.1, -0.1, 0.3, "yes"), ("Ratio fell", 0.2, 0.1, np.nan, np.nan, "no")]
    names = ["sign", "cac_growth", "ltv_growth", "ltv_growth_low", "ltv_growth_high", "outcome"]
    table = pd.DataFrame(rows, columns=names)
    assert findings.outpaced(table) == (
        "CAC grew more: yes (CAC 50.0%, LTV 10.0%, −10.0% to 30.0%); Ratio fell: no (CAC 20.0%, LTV 10.0%)")
    assert findings.outpaced(table.head(0)).startswith("Whether CAC outpaces LTV is not known")


def test_cohorts_are_compared_at_an_age_that_three_have_reached():
    cohorts = (("a", 3), ("b", 2), ("c", 2))
    rows = [(c, age, 100, 100 - 10 * age, 1 - age / 10) for c, ages in cohorts for age in range(ages + 1)]
    rows[-1] = ("c", 2, 200, 100, 0.5)                         # 80 + 80 + 100 of 400 are left at age 2
    table = pd.DataFrame(rows, columns=["cohort", "age", "customers", "active", "rate"])
    assert findings.kept(table) == "After 2 months 65.0% of a cohort are active (50.0% to 80.0% by cohort)"
    assert findings.kept(table[table["cohort"] == "a"]) == "Cohorts are too young to compare"


def test_survival_is_compared_at_an_age_that_all_have_reached():
    table = pd.DataFrame([("a", 1, 0.9, 0.8, 0.95), ("a", 5, 0.5, 0.4, 0.6), ("b", 1, 0.7, 0.6, 0.75), ("b", 3, 0.2, 0.1, 0.3)],
                         columns=["member", "month", "survival", "low", "high"])
    assert findings.stay(table) == "Share still there after 3 months is highest for a (90.0%), lowest for b (20.0%)"
    assert findings.stay(table.head(0)) == "No customer has been seen for a month yet"


def test_a_grid_counts_its_corners():
    cells = pd.DataFrame([(5, 5, 10), (1, 1, 30), (1, 5, 60)], columns=["r", "f", "customers"])
    assert findings.grid(cells) == ("10.0% of customers are among the latest and most frequent, "
                                    "30.0% among the longest gone and rarest")
    assert findings.grid(cells.head(0)) == "No customer has a score"


def test_moves_between_tiers_are_counted_by_their_order():
    moves = pd.DataFrame([("s", "m", 4), ("m", "s", 1), ("s", "s", 90), ("(new)", "m", 7), ("m", "(churned)", 3)],
                         columns=["from_plan", "to_plan", "customers"])
    assert findings.tiers(moves, ["s", "m"]) == "Moves between tiers: 4 up, 1 down"
    assert findings.tiers(moves, ["m", "s"]) == "Moves between tiers: 1 up, 4 down"


def test_predictions_that_held_are_counted_without_those_that_have_no_interval():
    rows = [("a", 1, 3, 2), ("b", 1, 3, 4), ("c", np.nan, np.nan, 9)]
    table = pd.DataFrame(rows, columns=["model", "low", "high", "actual"])
    assert findings.held(table).endswith("inside 1 of 2 predictive intervals; b fails")
    assert findings.held(table.head(1)).endswith("inside 1 of 1 predictive intervals")
    assert findings.held(table.tail(1)) == "No model could be held against later weeks"


def test_the_track_record_is_that_of_months_that_came():
    table = pd.DataFrame(
        [("2025-04", "2025-05", 90, 110, 120, False), ("2025-05", "2025-06", 405, 431, 412, True),
         ("2025-06", "2025-07", 1, 2, np.nan, None)],
        columns=["made_in", "period", "low", "high", "actual", "inside"])
    assert findings.track_record(table, "MRR", "count") == (
        "The data to 2025-05 said 405 to 431 for 2025-06; it was 412. 1 of 2 such forecasts held.")
    assert "too few months" in findings.track_record(table.tail(1), "MRR", "count")


MONTHS = [("mrr", "all", "2025-05", 100.0), ("mrr", "all", "2025-06", 110.0), ("revenue_net", "all", "2025-06", 5.0)]
METRICS = pd.DataFrame(MONTHS, columns=["metric", "dimension", "period", "value"])


def test_the_headline_is_a_number_a_cause_and_a_consequence():
    moves = steps(("start", 100.0, "total"), ("new", 12.0, "change"), ("fx", 1.0, "change"), ("churn", -3.0, "change"),
                  ("end", 110.0, "total"))
    decisions = pd.DataFrame([("GRR is 75.0%; the target is 90.0%.", 1200.0)], columns=["because", "value_at_stake"])
    assert findings.headline(METRICS, moves, decisions, "2025-06", {"mrr": "MRR"}) == (
        "MRR of 2025-06: 110.00 USD, up 10.0%. Moved most by new +12.00 USD and churn −3.00 USD. "
        "To decide first: GRR is 75.0%; the target is 90.0%. At stake: 1,200.00 USD a year.")


def test_a_month_as_usual_needs_no_cause():
    months = [str(month) for month in pd.period_range(end="2025-06", periods=14, freq="M")]
    metrics = pd.DataFrame({"metric": "mrr", "dimension": "all", "period": months, "value": [100.0 + n % 2 for n in range(14)]})
    moves = steps(("start", 100.0, "total"), ("new", 12.0, "change"), ("end", 101.0, "total"))
    told = findings.headline(metrics, moves, pd.DataFrame(), "2025-06", {"mrr": "MRR"})
    assert "inside its normal range" in told and "Moved" not in told


def test_without_a_number_there_is_no_headline():
    assert findings.headline(METRICS, steps(), pd.DataFrame(), "2025-07", {"mrr": "MRR", "revenue_net": "Net revenue"}) == ""
