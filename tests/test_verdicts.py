"""Where an interval lies decides: good, watch, act or unclear; small numbers and failed checks hold judgement back."""

import numpy as np
import pandas as pd
import pytest

from helpers import verdicts

RATIO = "R-LTV-2"  # higher is better: target 3, act below 1
PAYBACK = "R-PAY-1"  # lower is better: target 12, act above 18


def metric(name="ltv_to_cac", value=4.0, **changes):
    row = {"metric": name, "dimension": "all", "member": "all", "period": "2025-06", "value": value, "low": np.nan,
           "high": np.nan, "n": 100, "unit": "ratio"}
    return row | changes


def judge(*rows, page="02_ltv_cac", least=30, **overrides):
    return verdicts.judge(pd.DataFrame(rows), page, "2025-06", overrides=overrides.get("overrides", {}), least=least)


@pytest.mark.parametrize(("low", "high", "severity"), [
    (3.0, 5.0, "good"),      # touching the target clears it
    (2.999, 5.0, "unclear"),
    (0.5, 3.0, "unclear"),   # the target is in the interval, though the limit is too
    (0.5, 2.999, "watch"),
    (0.5, 1.0, "watch"),     # reaching the limit is not below it
    (0.5, 0.999, "act"),
])
def test_where_higher_is_better(low, high, severity):
    assert verdicts.severity_of(low, high, better="higher", target=3.0, low_limit=1.0) == severity


@pytest.mark.parametrize(("low", "high", "severity"), [
    (8.0, 12.0, "good"),
    (8.0, 12.001, "unclear"),
    (12.0, 30.0, "unclear"),
    (12.001, 30.0, "watch"),
    (18.0, 30.0, "watch"),
    (18.001, 30.0, "act"),
])
def test_where_lower_is_better(low, high, severity):
    assert verdicts.severity_of(low, high, better="lower", target=12.0, low_limit=18.0) == severity


@pytest.mark.parametrize(("value", "severity"), [(3.0, "good"), (2.9, "watch"), (1.0, "watch"), (0.9, "act")])
def test_a_value_without_interval_is_its_own(value, severity):
    assert judge(metric(value=value)).loc[0, "severity"] == severity


def test_an_interval_with_one_open_side_ends_at_the_value():
    assert judge(metric(value=4.0, low=3.5)).loc[0, "severity"] == "good"
    assert judge(metric(value=4.0, high=9.0, low=2.0)).loc[0, "severity"] == "unclear"


def test_a_statement_carries_value_interval_and_target():
    found = judge(metric(value=4.0, low=3.5, high=4.5)).iloc[0]
    assert found["statement"] == "LTV : CAC is 4.00× (3.50× to 4.50×); the target is 3.00×."
    assert judge(metric()).loc[0, "statement"] == "LTV : CAC is 4.00×; the target is 3.00×."
    assert (found["rule"], found["threshold"], found["n"], found["unit"]) == (RATIO, 3.0, 100, "ratio")


def test_an_interval_that_holds_the_target_says_so():
    text = judge(metric(value=3.1, low=2.0, high=4.0)).loc[0, "statement"]
    assert text.endswith("The interval holds the target: cannot tell yet (n = 100).")


def test_too_few_customers_give_the_number_without_a_verdict():
    few = judge(metric(value=9.0, n=29)).iloc[0]
    assert few["severity"] == "unclear" and few["value"] == 9.0
    assert few["statement"].endswith("Only n = 29: no verdict.")
    assert judge(metric(value=9.0, n=30)).loc[0, "severity"] == "good"


def test_params_set_target_and_limit():
    rows = metric(value=2.0)
    assert judge(rows).loc[0, "severity"] == "watch"
    eased, strict = judge(rows, overrides={RATIO: {"target": 2.0}}), judge(rows, overrides={RATIO: {"low": 2.5}})
    assert (eased.loc[0, "severity"], eased.loc[0, "threshold"]) == ("good", 2.0)
    assert (strict.loc[0, "severity"], strict.loc[0, "threshold"]) == ("act", 3.0)
    assert verdicts.target(RATIO, {}) == 3.0
    assert verdicts.target(RATIO, {RATIO: {"target": 2.5}}) == 2.5
    assert verdicts.target(RATIO, {RATIO: {"low": 2.5}}) == 3.0


@pytest.mark.parametrize("row", [
    metric(period="2025-05"), metric(dimension="plan"), metric(value=np.nan), metric("grr_12m", 0.95, unit="share"),
], ids=["another month", "a member", "unknown", "another page"])
def test_rules_judge_known_company_wide_figures_of_the_page_and_month(row):
    assert judge(row).empty


def test_the_most_urgent_stand_first():
    found = judge(metric(value=3.5), metric("payback_months", 20.0, unit="months"),
                  metric("churn_rate_pooled", 0.06, low=0.04, high=0.08, unit="share"))
    assert found["rule"].to_list() == [PAYBACK, "R-CHURN-1", RATIO]
    assert found["severity"].to_list() == ["act", "unclear", "good"]
    assert list(found.columns) == verdicts.COLUMNS
    mixed = found.assign(severity=["unclear", "watch", "watch"])
    assert verdicts.ordered(mixed)["rule"].to_list() == ["R-CHURN-1", RATIO, PAYBACK]


def test_verdicts_are_provisional_where_a_check_failed_or_the_data_are_bad():
    passed, failed = pd.DataFrame({"passed": [True, True]}), pd.DataFrame({"passed": [True, False]})
    good = judge(metric())
    bad_data = judge(metric("rejected_share", 0.06, unit="share"), page="01_data_prep")
    doubtful_data = judge(metric("rejected_share", 0.04, unit="share"), page="01_data_prep")
    assert (bad_data.loc[0, "severity"], doubtful_data.loc[0, "severity"]) == ("act", "watch")
    both = pd.concat([good, bad_data], ignore_index=True)
    assert verdicts.provisional(good, passed)["provisional"].to_list() == [False]
    assert verdicts.provisional(good, failed)["provisional"].to_list() == [True]
    assert verdicts.provisional(both, passed)["provisional"].to_list() == [True, True]
    assert verdicts.provisional(doubtful_data, passed)["provisional"].to_list() == [False]
    act = judge(metric(value=0.5))  # but no rule on the data
    assert verdicts.provisional(act, passed)["provisional"].to_list() == [False]


def test_a_cost_that_is_not_paid_back_within_the_horizon_is_to_act_on():
    found = judge(metric("payback_months", np.nan, unit="months", method=">H")).iloc[0]
    assert (found["severity"], found["rule"]) == ("act", PAYBACK)
    assert "more than the horizon" in found["statement"] and "nan" not in found["statement"]
