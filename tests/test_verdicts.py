"""Where an interval lies decides; money at stake orders; small numbers, failed checks and stale data hold judgement back."""

from datetime import date
from io import StringIO

import numpy as np
import pandas as pd
import pytest

from helpers import verdicts
from helpers.contracts import definitions, read_yaml
from helpers.tables import Formats

RATIO = "R-LTV-2"  # higher is better: target 3, act below 1
PAYBACK = "R-PAY-1"  # lower is better: target 12, act above 18
RULES = read_yaml("rules.yaml")


def metric(name="ltv_to_cac", value=4.0, **changes):
    row = {"metric": name, "dimension": "all", "member": "all", "period": "2025-06", "value": value, "low": np.nan,
           "high": np.nan, "n": 100, "unit": "ratio", "method": ""}
    return row | changes


def judge(*rows, page="02_ltv_cac", overrides=None, least=30, **options):
    return verdicts.judge(pd.DataFrame(rows), page, "2025-06", overrides=overrides or {}, least=least, **options)


def share(name, value, **changes):
    return metric(name, value, unit="share", **changes)


def retained(*rows, **options):
    return judge(*rows, page="05_retention", **options)


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


def test_the_unknown_side_of_an_interval_has_no_limit():
    assert judge(metric(value=4.0, low=3.5)).loc[0, "severity"] == "good"
    assert judge(metric(value=4.0, high=9.0)).loc[0, "severity"] == "unclear"
    assert judge(metric(value=2.0, low=1.0)).loc[0, "severity"] == "unclear"


def test_a_statement_carries_value_interval_and_target():
    found = judge(metric(value=4.0, low=3.5, high=4.5)).iloc[0]
    assert found["statement"] == "LTV : CAC is 4.00× (3.50× to 4.50×); the target is 3.00×."
    assert judge(metric()).loc[0, "statement"] == "LTV : CAC is 4.00×; the target is 3.00×."
    assert (found["rule"], found["threshold"], found["n"], found["unit"]) == (RATIO, 3.0, 100, "ratio")


class TestCannotTellYet:
    """n · (bound towards the target ÷ distance to it)², rounded up to two figures."""

    def text(self, value, low, high, n=100, **options):
        return judge(metric(value=value, low=low, high=high, n=n), **options).loc[0, "statement"]

    def test_of_a_ratio_it_counts_who_stand_behind_the_interval(self):
        # n = 100 are the new customers behind CAC, which is exact; 400 stand behind the LTV: 400 · 3² = 3,600
        worth = metric("ltv", 350.0, low=200.0, high=400.0, n=400)
        found = judge(metric(value=3.5, low=2.0, high=4.0), worth).set_index("rule").loc[RATIO, "statement"]
        assert found.endswith("(n = 100; about 3,600 in place of 400 behind the interval would be needed).")

    def test_says_how_many_would_be_needed(self):
        # target 3 lies .5 below 3.5, the bound 1.5 below: 100 · 3² = 900
        assert self.text(3.5, 2.0, 4.0).endswith(
            "The interval holds the target: cannot tell yet (n = 100; about 900 would be needed).")
        # .5 above 2.5, the bound 1 above: 4 · 1,230 = 4,920
        assert self.text(2.5, 0.0, 3.5, n=1230).endswith("(n = 1,230; about 5,000 would be needed).")
        assert self.text(2.5, 0.0, 3.5, n=1225).endswith("(n = 1,225; about 4,900 would be needed).")

    def test_rounds_the_dust_of_floats_down_and_people_up(self):
        assert "about 1,600 would" in self.text(3.3, 2.1, 4.0)  # .3 above, the bound 1.2 below: 100 · 4², and 2e-13
        assert "about 3 would" in self.text(3.5, 2.9, 4.0, n=2, least=1)  # 2 · 1.2² = 2.88

    def test_says_nothing_of_more_than_a_hundred_times_as_many(self):
        assert self.text(3.5, -1.5, 4.0).endswith("(n = 100; about 10,000 would be needed).")
        assert self.text(3.5, -1.6, 4.0).endswith("cannot tell yet (n = 100).")

    @pytest.mark.parametrize(("value", "low", "high", "n"), [
        (3.0, 2.0, 4.0, 100), (3.0, 2.0, 3.0, 100), (2.5, 1.0, np.nan, 100), (3.5, 2.0, 4.0, np.nan),
    ], ids=["on the target", "a bound on it too", "no upper bound", "n unknown"])
    def test_says_nothing_where_it_cannot_be_said(self, value, low, high, n):
        text = self.text(value, low, high, n)
        assert "cannot tell yet" in text and "needed" not in text


def test_too_few_customers_give_the_number_without_a_verdict():
    few = judge(metric(value=9.0, n=29)).iloc[0]
    assert few["severity"] == "unclear" and few["value"] == 9.0
    assert few["statement"].endswith("Only n = 29: no verdict.")
    assert "cannot tell" not in judge(metric(value=3.1, low=2.0, high=4.0, n=29)).loc[0, "statement"]
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
    metric(period="2025-05"), metric(dimension="plan"), metric(value=np.nan), share("grr_12m", 0.95),
], ids=["another month", "a member", "unknown", "another page"])
def test_rules_judge_known_company_wide_figures_of_the_page_and_month(row):
    assert judge(row).empty


def test_the_most_urgent_stand_first_then_the_most_money_then_the_unknown():
    found = judge(metric(value=3.5), metric("payback_months", 20.0, unit="months"),
                  share("churn_rate_pooled", 0.06, low=0.04, high=0.08))
    assert found["rule"].to_list() == [PAYBACK, "R-CHURN-1", RATIO]
    assert found["severity"].to_list() == ["act", "unclear", "good"]
    assert list(found.columns) == verdicts.COLUMNS
    money = found.assign(severity=["watch", "watch", "watch"], value_at_stake=[np.nan, 5.0, 7.0])
    assert verdicts.ordered(money)["rule"].to_list() == [RATIO, "R-CHURN-1", PAYBACK]
    assert verdicts.ordered(found.assign(severity="watch"))["rule"].to_list() == ["R-CHURN-1", RATIO, PAYBACK]


def test_verdicts_are_provisional_where_a_check_failed_or_the_data_are_bad():
    passed, failed = pd.DataFrame({"passed": [True, True]}), pd.DataFrame({"passed": [True, False]})
    good = judge(metric())
    assert good["provisional"].to_list() == [False]
    bad_data = judge(share("rejected_share", 0.06), page="01_data_prep")
    doubtful_data = judge(share("rejected_share", 0.04), page="01_data_prep")
    assert (bad_data.loc[0, "severity"], doubtful_data.loc[0, "severity"]) == ("act", "watch")
    both = pd.concat([good, bad_data], ignore_index=True)
    assert verdicts.provisional(good, passed)["provisional"].to_list() == [False]
    assert verdicts.provisional(good, failed)["provisional"].to_list() == [True]
    assert verdicts.provisional(good, passed, stale=True)["provisional"].to_list() == [True]
    assert verdicts.provisional(both, passed)["provisional"].to_list() == [True, True]
    assert verdicts.provisional(doubtful_data, passed)["provisional"].to_list() == [True]  # above the limit of 1 %
    fair_data = judge(share("rejected_share", 0.009), page="01_data_prep")
    assert verdicts.provisional(fair_data, passed)["provisional"].to_list() == [False]
    act = judge(metric(value=0.5))  # but no rule on the data
    assert verdicts.provisional(act, passed)["provisional"].to_list() == [False]


@pytest.mark.parametrize(("low", "said"), [(5.01, True), (5.0, False), (3.5, False), (2.0, False)])
def test_a_ratio_wholly_above_five_is_good_and_may_mean_too_little_is_spent(low, said):
    found = judge(metric(value=7.0, low=low, high=9.0)).iloc[0]
    text = "All of it is above 5.00×: possible under-investment in growth, test more spend."
    assert found["severity"] == ("good" if low >= 3 else "unclear") and found["statement"].endswith(text) is said


def test_revenue_of_five_times_the_cost_says_nothing_of_growth():
    assert "under-investment" not in judge(metric(value=7.0, basis="revenue")).loc[0, "statement"]


class TestRevenueIsNoProfit:
    SAYS = "This is revenue, not profit: name costs or policy.gross_margin."

    @pytest.mark.parametrize(("row", "severity"), [
        (metric(value=4.0), "unclear"), (metric(value=2.0), "watch"), (metric(value=0.5), "act"),
        (metric("payback_months", 6.0, unit="months"), "unclear"), (metric("payback_months", 24.0, unit="months"), "act"),
        (metric("ltv_net", 50.0, unit="USD"), "unclear"), (metric("ltv_net", -50.0, unit="USD"), "act"),
    ])
    def test_what_revenue_clears_is_not_proven_and_what_it_misses_is(self, row, severity):
        found = judge(row | {"basis": "revenue"}).iloc[0]
        assert (found["severity"], found["provisional"]) == (severity, True) and found["statement"].endswith(self.SAYS)
        known = judge(row | {"basis": "net" if row["metric"] == "ltv_net" else "gross_margin"}).iloc[0]
        assert known["severity"] == severity.replace("unclear", "good")
        assert not known["provisional"] and self.SAYS not in known["statement"]

    def test_what_is_not_proven_has_no_stake(self):
        year = [metric("cac_blended", 10.0, n=5, unit="USD", basis="")]
        assert np.isnan(judge(metric(value=4.0, basis="revenue"), *year).loc[0, "value_at_stake"])
        assert judge(metric(value=2.0, basis="revenue"), *year).loc[0, "value_at_stake"] == 50  # (3 − 2) · 50

    def test_it_stays_provisional_where_the_data_are_good_and_in_the_sum_of_verdicts(self):
        found = judge(metric(value=4.0, basis="revenue"), share("gross_margin", 0.6, basis=""))
        passed = verdicts.provisional(found, pd.DataFrame({"passed": [True]})).set_index("rule")["provisional"]
        assert passed.to_dict() == {RATIO: True, "R-MAR-1": False}
        whole = verdicts.sustainability(found, overrides={}).iloc[0]
        assert whole["severity"] == "unclear" and whole["provisional"]


def test_a_cost_that_is_not_paid_back_within_the_horizon_is_to_act_on():
    found = judge(metric("payback_months", np.nan, unit="months", method=">H")).iloc[0]
    assert (found["severity"], found["rule"]) == ("act", PAYBACK)
    assert found["statement"] == "A new customer pays back its cost after more than the horizon; the target is 12.0 months."
    assert np.isnan(found["value"])


def test_a_payback_that_may_yet_reach_its_target_is_unclear():
    found = judge(metric("payback_months", np.nan, low=11.0, unit="months", method=">H")).iloc[0]
    assert found["severity"] == "unclear" and "needed" not in found["statement"]


def test_a_customer_who_costs_more_than_it_brings_is_to_act_on():
    loss, maybe, gain = (judge(metric("ltv_net", value, low=value - 20, high=value + 20, unit="USD")).iloc[0]
                         for value in (-21.0, -20.0, 20.0))
    assert (loss["rule"], loss["severity"], maybe["severity"], gain["severity"]) == ("R-LTV-4", "act", "unclear", "good")
    assert loss["statement"].endswith("break-even is 0.00 USD. Each new customer loses money: the business is not established.")
    assert "not established" not in maybe["statement"] + gain["statement"]


def test_a_gross_margin_without_interval_or_n_is_judged():
    found = [judge(share("gross_margin", value, n=np.nan)).iloc[0] for value in (0.5, 0.49, 0.29)]
    assert [row["severity"] for row in found] == ["good", "watch", "act"]
    assert {row["rule"] for row in found} == {"R-MAR-1"}


class TestHiddenLosses:
    """R-RET-2: NRR of 100 % or more, and a GRR whose interval lies below its value of twelve months before."""

    def found(self, nrr=1.0, before=0.85, *more):
        rows = [share("nrr_12m", nrr), share("grr_12m", 0.80, low=0.75, high=0.84), share("nrr_12m", 1.0, period="2024-06"),
                share("grr_12m", 0.70, period="2024-07")]
        then = [share("grr_12m", before, period="2024-06", low=0.1, high=0.9)] if before else []
        return retained(*rows, *then, *more).set_index("rule")

    def test_are_told_with_both_values(self):
        row = self.found().loc["R-RET-2"]
        assert (row["severity"], row["threshold"], row["value"]) == ("watch", 0.85, 0.80)
        assert row["statement"] == ("Net revenue retention is on target; gross is 80.0% (75.0% to 84.0%), "
                                    "and was 85.0% 12 months before. Expansion is hiding losses.")

    def test_are_denied_where_gross_retention_rose(self):
        row = self.found(before=0.75).loc["R-RET-2"]
        assert row["severity"] == "good" and row["statement"].endswith("Expansion hides no growing losses.")

    @pytest.mark.parametrize(("nrr", "before"), [(0.999, 0.85), (1.0, 0.84), (1.0, 0.76), (1.0, None)],
                             ids=["NRR below", "the bound of now", "within the interval", "no year before"])
    def test_are_not_spoken_of_otherwise(self, nrr, before):
        assert "R-RET-2" not in self.found(nrr, before).index

    def test_need_an_nrr(self):
        rows = [share("grr_12m", 0.80, high=0.84), share("grr_12m", 0.85, period="2024-06")]
        assert retained(*rows)["rule"].to_list() == ["R-RET-1"]


class TestNormalRange:
    """R-PRC-3: higher is better; R-PRC-4: lower. 4 and 6 % in turn: mean 5 %, Student's t of 11 gives ± 2.4 points."""

    def judged(self, name, now, months=12, **options):
        past = [share(name, 0.04 + 0.02 * (k % 2), period=str(pd.Period("2025-06") - k)) for k in range(1, months + 1)]
        return judge(*past, share(name, now, low=now / 2, high=now * 2), page="04_pricing_tiers", **options)

    @pytest.mark.parametrize(("name", "now", "severity", "edge"), [
        ("upgrade_rate", 0.027, "good", 0.026), ("upgrade_rate", 0.025, "watch", 0.026), ("upgrade_rate", 0.2, "good", 0.026),
        ("downgrade_rate", 0.073, "good", 0.074), ("downgrade_rate", 0.075, "watch", 0.074),
        ("downgrade_rate", 0, "good", 0.074),
    ])
    def test_only_a_month_beyond_the_bad_side_is_to_watch(self, name, now, severity, edge):
        row = self.judged(name, now).iloc[0]
        assert row["severity"] == severity and row["threshold"] == pytest.approx(edge, abs=0.0005)

    def test_fewer_than_six_months_have_no_range(self):
        assert len(self.judged("upgrade_rate", 0.01, months=5)) == 0 and len(self.judged("upgrade_rate", 0.01, months=6)) == 1


class TestPlan:
    def of(self, row, plan, **options):
        found = retained(row, targets={row["metric"]: {"2025-06": plan, "2025-05": 7.0}}, **options).iloc[0]
        return found["statement"].partition(" Plan: ")[2], found["plan"]

    def test_a_rate_misses_it_by_points(self):
        assert self.of(share("grr_12m", 0.749), 0.78) == ("78.0%, missed by 3.1 points.", 0.78)

    def test_reaching_it_meets_it(self):
        assert self.of(share("grr_12m", 0.78), 0.78) == ("78.0%, met.", 0.78)

    def test_months_miss_it_from_above_and_in_months(self):
        late, early = (judge(metric("payback_months", value, unit="months"), targets={"payback_months": {"2025-06": 9}})
                       for value in (11.0, 9.0))
        assert late.loc[0, "statement"].endswith("Plan: 9.0 months, missed by 2.0 months.")
        assert early.loc[0, "statement"].endswith("Plan: 9.0 months, met.")

    def test_never_is_missed_by_no_number(self):
        row = metric("payback_months", np.nan, unit="months", method=">H")
        found = judge(row, targets={"payback_months": {"2025-06": 9}})
        assert found.loc[0, "statement"].endswith("Plan: 9.0 months, missed.")

    def test_of_another_month_is_not_spoken_of(self):
        found = judge(metric(), targets={"ltv_to_cac": {"2025-05": 7.0}, "ltv": {"2025-06": 7.0}})
        assert "Plan" not in found.loc[0, "statement"] and np.isnan(found.loc[0, "plan"])


def test_numbers_are_written_as_the_report_has_them():
    text = judge(metric(value=3.5, low=2.0, high=4.0, n=1000), formats=Formats(locale="de"),
                 targets={"ltv_to_cac": {"2025-06": 3.75}}).loc[0, "statement"]
    assert text == ("LTV : CAC is 3,50× (2,00× to 4,00×); the target is 3,00×. The interval holds the target: cannot tell yet "
                    "(n = 1.000; about 9.000 would be needed). Plan: 3,75×, missed by 0,25×.")


class TestValueAtStake:
    """|value − target| × a yearly base; every base has a row that must not count."""

    MRR = [metric("mrr", 999.0, unit="USD", period="2025-05"), metric("mrr", 100.0, unit="USD"),
           metric("mrr", 999.0, unit="USD", dimension="plan")]
    REVENUE = [metric("revenue_net", value, period=period, unit="USD")
               for value, period in ((500.0, "2025-06"), (700.0, "2024-07"), (999.0, "2024-06"), (999.0, "2025-07"))]
    CAC = [metric("cac_blended", value, n=n, period=period, unit="USD")
           for value, n, period in ((10.0, 20, "2025-06"), (30.0, 10, "2024-07"), (99.0, 9, "2024-06"))]
    NEW = [metric("new_customers", value, period=period, unit="count")
           for value, period in ((20.0, "2025-06"), (10.0, "2024-07"), (99.0, "2024-06"))]

    def of(self, row, *base, **options):
        return judge(row, *base, page=options.pop("page", "02_ltv_cac"), **options).loc[0, "value_at_stake"]

    @pytest.mark.parametrize(("name", "value", "page", "money"), [
        ("grr_12m", 0.80, "05_retention", 0.1 * 1200),
        ("nrr_12m", 0.75, "05_retention", 0.25 * 1200),
        ("gross_margin", 0.25, "02_ltv_cac", 0.25 * 1200),
    ])
    def test_a_rate_is_a_gap_of_a_years_recurring_revenue(self, name, value, page, money):
        assert self.of(share(name, value), *self.MRR, *self.REVENUE, page=page) == pytest.approx(money)

    def test_churn_is_what_a_year_would_bring_more_at_the_target(self):
        # of 100 a month: Σ q^t over t = 1 … 12 is q (1 − q^12) ÷ (1 − q), at q = 0.95 and at 0.85
        kept, now = (q * (1 - q ** 12) / (1 - q) for q in (0.95, 0.85))
        assert self.of(share("churn_rate_pooled", 0.15), *self.MRR) == pytest.approx(100 * (kept - now))

    def test_without_mrr_recurring_is_the_revenue_of_twelve_months(self):
        assert self.of(share("gross_margin", 0.25), *self.REVENUE) == pytest.approx(0.25 * 1200)
        unknown = [metric("mrr", np.nan, unit="USD"), *self.REVENUE]
        assert self.of(share("gross_margin", 0.25), *unknown) == pytest.approx(0.25 * 1200)

    def test_hidden_losses_are_the_fall_of_gross_retention(self):
        rows = [share("nrr_12m", 1.1), share("grr_12m", 0.60, high=0.65, low=0.55), share("grr_12m", 0.70, period="2024-06")]
        found = retained(*rows, *self.MRR).set_index("rule")["value_at_stake"]
        assert found[["R-RET-2", "R-RET-1"]].to_list() == pytest.approx([0.1 * 1200, 0.3 * 1200])

    def test_a_ratio_is_a_gap_of_what_a_years_customers_cost(self):
        # 20 customers at 10 and 10 at 30, a year ago: 500; the month before that counts no more
        assert self.of(metric(value=2.0), *self.CAC, *self.NEW) == pytest.approx(1.0 * 500)

    def test_the_first_known_cost_counts(self):
        paid, loaded = metric("cac_paid", 7.0, n=10, unit="USD"), metric("cac_loaded", 9.0, n=10, unit="USD")
        unknown = metric("cac_blended", np.nan, n=10, unit="USD")
        assert self.of(metric(value=2.0), unknown, loaded, paid) == pytest.approx(70)
        assert self.of(metric(value=2.0), loaded) == pytest.approx(90)

    def test_a_late_payback_is_the_part_of_the_cost_not_back_in_time(self):
        assert self.of(metric("payback_months", 16.0, unit="months"), *self.CAC) == pytest.approx(0.25 * 500)  # 4 of 16
        never = metric("payback_months", np.nan, unit="months", method=">H")
        assert self.of(never, *self.CAC) == pytest.approx(500)

    def test_a_loss_a_customer_is_lost_with_each_of_a_year(self):
        assert self.of(metric("ltv_net", -4.0, unit="USD"), *self.NEW) == pytest.approx(4 * 30)

    def test_is_told_of_the_unclear_but_not_of_the_good_the_few_or_the_data(self):
        assert self.of(metric(value=2.5, low=2.0, high=4.0), *self.CAC) == pytest.approx(0.5 * 500)
        assert np.isnan(self.of(metric(value=4.0), *self.CAC))
        assert np.isnan(self.of(metric(value=2.0, n=29), *self.CAC))
        assert np.isnan(self.of(share("rejected_share", 0.5), *self.MRR, *self.CAC, page="01_data_prep"))

    @pytest.mark.parametrize("row", [share("gross_margin", 0.1), metric(value=1.0), metric("ltv_net", -4.0, unit="USD")])
    def test_is_unknown_without_its_base(self, row):
        assert np.isnan(self.of(row, *(base | {"period": "2024-06"} for base in [self.MRR[0], *self.CAC[:1], self.NEW[0]])))


class TestSustainability:
    def found(self, *rows, **options):
        both = [judge(*rows), retained(*rows), judge(share("rejected_share", 0.5), page="01_data_prep")]
        return verdicts.sustainability(pd.concat(both), overrides={}, **options)

    GOOD = [metric(value=4.0), metric("payback_months", 6.0, unit="months"), share("grr_12m", 0.95), share("nrr_12m", 1.1),
            share("gross_margin", 0.6)]

    def of(self, **changed):
        return self.found(*(row | changed.get(row["metric"], {}) for row in self.GOOD)).iloc[0]

    @pytest.mark.parametrize(("changed", "severity", "clear", "advice"), [
        ({}, "good", 5, "continue"),
        ({"ltv_to_cac": {"low": 2.0, "high": 5.0}}, "unclear", 4, "cannot tell yet, so hold growth spend as it is"),
        ({"ltv_to_cac": {"low": 2.0, "high": 5.0}, "nrr_12m": {"value": 0.95}}, "watch", 3, "mend before spending more"),
        ({"grr_12m": {"value": 0.7}, "nrr_12m": {"value": 0.95}}, "act", 3, "stop growth spend until mended"),
    ])
    def test_is_as_good_as_the_worst_part_and_says_what_to_do(self, changed, severity, clear, advice):
        row = self.of(**changed)
        assert (row["rule"], row["page"], row["severity"]) == ("R-SUS-1", "06_summary", severity)
        assert (row["value"], row["threshold"], row["unit"]) == (clear, 5, "count")
        assert row["statement"].startswith(f"Sustainability: {clear} of 5 measures clear their targets; {advice}. ")

    def test_names_each_part_with_value_and_target_the_worst_first(self):
        row = self.of(payback_months={"value": np.nan, "method": ">H"}, grr_12m={"value": 0.85},
                      nrr_12m={"low": 0.9, "high": 1.2}, gross_margin={"value": np.nan})
        assert row["statement"].partition(". ")[2] == (
            "Payback more than the horizon misses 12.0 months; GRR over 12 months 85.0% misses 90.0%; NRR over 12 months "
            "110.0% cannot yet be told from 100.0%; LTV to CAC 4.00× clears 3.00×; Gross margin is not judged.")

    def test_has_the_largest_stake_of_its_parts_and_no_figure_of_one(self):
        rows = [share("grr_12m", 0.8, low=0.7, high=0.85), share("nrr_12m", 0.95), share("churn_rate_pooled", 0.9)]
        judged = retained(*rows, metric("mrr", 100.0, unit="USD"), targets={"grr_12m": {"2025-06": 0.9}})
        row = verdicts.sustainability(judged, overrides={}).iloc[0]
        assert row["value_at_stake"] == pytest.approx(0.1 * 1200)
        assert row[["metric", "low", "high", "n", "plan"]].isna().all()

    def test_needs_two_parts(self):
        assert self.found(metric(), share("churn_rate_pooled", 0.9)).empty
        assert len(self.found(metric(), share("gross_margin", 0.6))) == 1

    def test_stands_in_the_columns_of_all_verdicts_in_the_reports_formats(self):
        found = self.found(*self.GOOD, formats=Formats(locale="de"))
        assert list(found.columns) == verdicts.COLUMNS and "LTV to CAC 4,00× clears 3,00×" in found.loc[0, "statement"]


class TestDecisions:
    ROWS = [share("grr_12m", 0.5), share("nrr_12m", 0.95), share("churn_rate_pooled", 0.12), share("gross_margin", 0.4),
            metric(value=3.1, low=2.0, high=4.0), metric("payback_months", 6.0, unit="months"),
            metric("mrr", 100.0, unit="USD")]

    def found(self, **options):
        every = pd.concat([judge(*self.ROWS), retained(*self.ROWS)])
        every = pd.concat([verdicts.sustainability(every, overrides={}), every])
        return verdicts.decisions(every, **{"as_of": date(2025, 7, 1), "overrides": {}} | options)

    def test_act_before_watch_and_more_money_first_without_the_unclear_the_good_and_the_sum(self):
        every = self.found(most=9)
        assert every["rule"].to_list() == ["R-RET-1", "R-CHURN-1", "R-MAR-1"]  # 480, 298; 120 a year
        assert every["severity"].to_list() == ["act", "act", "watch"]
        assert self.found()["rank"].to_list() == [1, 2, 3]

    def test_a_net_loss_is_decided_with_the_gross_one(self):
        lost = [share("nrr_12m", 0.95), metric("mrr", 100.0, unit="USD")]
        alone = verdicts.decisions(retained(*lost), as_of=date(2025, 7, 1), overrides={})
        both = verdicts.decisions(retained(*lost, share("grr_12m", 0.5)), as_of=date(2025, 7, 1), overrides={})
        assert (alone["rule"].to_list(), both["rule"].to_list()) == (["R-NRR-1"], ["R-RET-1"])

    def test_say_what_who_by_when_and_why(self):
        row = self.found().iloc[1]
        terms = RULES["R-CHURN-1"]
        assert (row["decision"], row["owner"], row["metric"]) == (terms["action"], terms["owner"], "churn_rate_pooled")
        assert row["due_on"] == date(2025, 7, 15)  # 14 days after the month
        assert row["because"] == "Pooled monthly churn is 12.0%; the target is 5.0%."
        assert (row["value"], row["unit"], row["value_at_stake"]) == (0.12, "share", pytest.approx(298.1, abs=0.1))

    def test_params_set_who_and_by_when(self):
        row = self.found(overrides={"R-RET-1": {"owner": "Kim", "days": 3}}).iloc[0]
        assert (row["owner"], row["due_on"]) == ("Kim", date(2025, 7, 4))

    def test_of_a_good_month_there_are_none(self):
        found = verdicts.decisions(judge(metric()), as_of=date(2025, 7, 1), overrides={})
        assert found.empty and list(found.columns) == list(self.found().columns)


class TestBecame:
    """Last month NRR was 90.0 % (higher is better) and payback 20 months (lower is)."""

    EARLIER = pd.DataFrame({
        "rule": ["R-NRR-1", PAYBACK], "decision": ["Offer more", "Cut cost"], "owner": ["Kim", "Lee"],
        "due_on": ["2025-06-30", "2025-06-14"], "severity": ["act", "act"], "metric": ["nrr_12m", "payback_months"],
        "value": [0.90, 20.0], "unit": ["share", "months"],
    })

    def found(self, nrr, months, earlier=EARLIER, **changes):
        rows = [share("nrr_12m", nrr), metric("payback_months", months, unit="months", **changes)]
        old = [share("nrr_12m", 0.1, period="2025-05"), metric("nrr_12m", 0.2, dimension="plan"), share("grr_12m", 0.3)]
        every = pd.concat([judge(*rows), retained(*rows, *old)])
        return verdicts.became(earlier, pd.DataFrame([*old, *rows]), every)

    @pytest.mark.parametrize(("nrr", "months", "outcomes"), [
        (1.00, 12.0, ["solved", "solved"]),
        (0.91, 19.0, ["better", "better"]),
        (0.89, 21.0, ["worse", "worse"]),
        (0.9004, 20.04, ["unchanged", "unchanged"]),  # both read as last month: 90.0 % and 20.0 months
        (np.nan, np.nan, ["not judged this month", "not judged this month"]),
    ])
    def test_is_read_in_the_rules_direction(self, nrr, months, outcomes):
        assert self.found(nrr, months)["outcome"].to_list() == outcomes

    def test_shows_both_values_and_todays_severity(self):
        row = self.found(0.95, 20.0).iloc[0]
        assert row.to_dict() == {"rule": "R-NRR-1", "decision": "Offer more", "owner": "Kim", "due_on": "2025-06-30",
                                 "then": 0.90, "now": 0.95, "unit": "share", "severity": "watch", "outcome": "better"}

    def test_a_payback_beyond_the_horizon_is_longer_than_any(self):
        never = self.EARLIER.assign(value=[0.9, np.nan])
        assert self.found(0.9, np.nan, method=">H")["outcome"].to_list() == ["unchanged", "worse"]
        assert self.found(0.9, 30.0, never)["outcome"].to_list() == ["unchanged", "better"]
        assert self.found(0.9, np.nan, never, method=">H")["outcome"].to_list() == ["unchanged", "unchanged"]

    def test_a_rule_that_is_no_more_is_not_judged(self):
        row = self.found(0.9, 20.0, self.EARLIER.assign(rule=["R-OLD-1", PAYBACK])).iloc[0]
        assert (row["outcome"], row["now"]) == ("not judged this month", 0.9)

    def test_of_no_decisions_is_nothing(self):
        none = pd.read_csv(StringIO(self.EARLIER.head(0).to_csv(index=False)))
        found = self.found(0.9, 20.0, none)
        assert found.empty and self.found(0.9, 20.0, self.EARLIER.head(0)).empty
        assert list(found.columns) == list(self.found(0.9, 20.0).columns)


@pytest.mark.parametrize("rule", RULES)
class TestRules:
    def test_ask_one_role_for_one_short_decision_without_a_number(self, rule):
        terms = RULES[rule]
        assert 0 < len(terms["action"]) <= 90 and not any(sign.isdigit() for sign in terms["action"])
        assert terms["owner"] and terms["why"] and terms["name"] and 0 < terms["days"] <= 90

    def test_judge_a_defined_metric_in_its_good_direction(self, rule):
        terms = RULES[rule]
        if rule == "R-SUS-1":
            assert set(terms["parts"]) < set(RULES)
            assert set(terms["says"]) == set(terms["means"]) == set(verdicts.RANKS)
            return
        assert {"up": "higher", "down": "lower"}[definitions()[terms["metric"]]["good"]] == terms["better"]
        if "normal" in terms:
            assert not {"target", "low"} & terms.keys()
            return
        assert (terms["low"] <= terms["target"]) == (terms["better"] == "higher") or terms["low"] == terms["target"]
        assert terms.get("stake") in {"recurring", "leaving", "acquisition", "newcomers", None}
        assert definitions().get(terms.get("while", "nrr_12m"))


def test_what_rests_on_a_thin_history_is_not_judged():
    clear = metric("ltv_to_cac", 4.0, low=3.5, high=4.5)
    found = judge(clear, thin="2 months of history, at least 12 needed").iloc[0]
    assert found["severity"] == "unclear" and np.isnan(found["value_at_stake"])
    assert found["statement"].endswith("Only 2 months of history, at least 12 needed: no verdict.")
    assert judge(clear)["severity"].to_list() == ["good"]
    other = metric("payback_months", 4.0) | {"metric": "rejected_share", "value": 0.0}
    assert judge(other, page="01_data_prep", thin="too little")["severity"].to_list() == ["good"]


def test_a_rate_that_cannot_be_estimated_is_not_judged():
    churn = share("churn_rate_pooled", 0.0, high=0.001, method="not_estimable: the book shows no departures")
    assert judge(churn).empty
    assert judge(churn | {"method": "6 months"})["severity"].to_list() == ["good"]


class TestMembers:
    """R-LTV-4 judges the members that lose money, too: at most three, the largest loss × customers first."""

    def judged(self, *members, **options):
        rows = [metric("ltv_net", value, low=value - 10, high=value + 10, n=n, unit="USD", dimension="plan", member=name)
                for name, value, n in members]
        found = judge(metric("ltv_net", 100.0, low=90.0, high=110.0, unit="USD"), *rows, **options)
        return found[found["dimension"] == "plan"]

    def test_that_lose_are_named_with_value_interval_and_n_and_those_that_gain_are_not(self):
        row, = self.judged(("starter", -50.0, 40), ("pro", 50.0, 40)).to_dict("records")
        assert (row["member"], row["severity"]) == ("starter", "act")
        assert row["statement"] == ("Plan starter (n = 40): After retention and acquisition costs a new customer brings "
                                    "−50.00 USD (−60.00 USD to −40.00 USD); break-even is 0.00 USD.")

    def test_are_three_at_most_by_loss_times_customers(self):  # 1,200; 1,500; 1,000; 3,000 USD
        found = self.judged(("a", -30.0, 40), ("b", -50.0, 30), ("c", -20.0, 50), ("d", -15.0, 200))
        assert sorted(found["member"]) == ["a", "b", "d"]

    def test_too_small_or_too_uncertain_are_unclear(self):
        assert self.judged(("a", -50.0, 29)).iloc[0]["statement"].endswith("Only n = 29: no verdict.")
        assert self.judged(("a", -5.0, 40)).iloc[0]["severity"] == "unclear"

    def test_ask_for_no_decision_of_their_own(self):
        assert verdicts.decisions(self.judged(("a", -50.0, 40)), as_of=date(2025, 7, 1), overrides={}).empty
