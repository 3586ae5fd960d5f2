"""What a customer is worth: the golden cases, margins, lifetimes, the horizon by plan, and the page as a whole."""

import numpy as np
import pandas as pd
import pytest

from helpers.contracts import ReportError
from helpers.metrics import acquisition, ltv, ltv_cac, worth
from helpers.metrics.retention import pooled_churn
from helpers.models.horizon import HorizonSum
from helpers.models.intervals import Estimate
from helpers.models.sbg import Sbg
from helpers.settings import LtvCac, Policy

ALL = ("all", "all")
NO_DISCOUNT = {"annual_discount_rate": 0.0, "horizon_months": 3}
ANY = Sbg(1.0, 1.0)  # a fit that is not needed, as the whole horizon has been seen


def known(value, n=100):
    return Estimate(value, value, value, n)


def months(count=12, **columns):
    """`count` months to 2025-12, whatever is not named is 0."""
    names = """active_start active_end churned in_month_churn acquired mrr_end mrr_new revenue revenue_unattributed
        revenue_active revenue_known revenue_new orders orders_known buyers""".split()
    index = np.arange(2025 * 12 + 13 - count, 2025 * 12 + 13)
    table = pd.DataFrame({"month": index, "moves": True} | dict.fromkeys(names, 0) | columns)
    return table.assign(period=[f"{(m - 1) // 12}-{(m - 1) % 12 + 1:02d}" for m in index])


def ends(*rows):
    """Survival counts of (dimension, member, month, events, censored, entered)."""
    return pd.DataFrame(rows, columns=["dimension", "member", "month", "events", "censored", "entered"])


def halved(dimension="all", member="all"):
    """40 customers, 20 leave after a month, 20 are watched for 3: S = 1, .5, .5; over 3 months 2 are lived."""
    return ends((dimension, member, 0, 0, 0, 40), (dimension, member, 1, 20, 0, 0), (dimension, member, 3, 0, 20, 0))


def stayed(dimension, member):
    """40 customers who all stay for 3 months."""
    return ends((dimension, member, 0, 0, 0, 40), (dimension, member, 3, 0, 40, 0))


REVENUE = ltv.Margin(1.0, "revenue", "")


class TestFormulas:
    @pytest.mark.parametrize(("arpa", "churn", "worth"), [(5, 0.06, 83.33), (20, 0.04, 500.0)])
    def test_value_a_month_over_churn(self, arpa, churn, worth):
        rows = ltv_cac.classic_methods(months(), known(churn), known(arpa), REVENUE, False)
        assert [name for name, *_ in rows] == ["ltv_arpu_lifetime", "ltv_margin"]
        assert rows[0][1].value == pytest.approx(worth, abs=0.005)

    def test_order_value_frequency_and_lifetime_are_50_and_4_a_year_and_3_years(self):
        # 3 active, an order of 50 a month: 12 orders ÷ 3 = 4 a year; churn 1/36: 3 years; 50 · 4 · 3 = 600
        book = months(active_end=3, orders=1, orders_known=1, revenue=50)
        rows = ltv_cac.classic_methods(book, known(1 / 36), known(50 / 3), REVENUE, True)
        assert rows[1][0] == "ltv_aov_frequency_lifetime" and rows[1][1].value == pytest.approx(600)

    def test_margin_times_lifetime_value(self):
        # 40 · 4 a year = 13.33 a month, 36 months, 60 % margin: 288
        margin = ltv.Margin(0.6, "gross_margin", "given")
        rows = ltv_cac.classic_methods(months(), known(1 / 36), known(40 / 3), margin, False)
        name, value, basis, how = rows[-1]
        assert (name, basis, how) == ("ltv_margin", "gross_margin", "given") and value.value == pytest.approx(288)

    def test_net_of_retention_and_acquisition(self):
        # 36 months lived for certain, worth 288; 36 customers cost 75 in the month: 75 over 36 months; CAC 90: 123
        future = ltv.Horizon(known(288), Estimate(288, 200, 400, 50), "", np.ones(36), np.full(36, 8.0))
        costs = pd.DataFrame({"month": [2025 * 12 + 11, 2025 * 12 + 12], "retention": [999, 75]})
        net = ltv_cac.net(future, months(active_start=36), costs, 90, Policy(annual_discount_rate=0.0), 2025 * 12 + 12)
        assert [net.value, net.low, net.high] == pytest.approx([123, 35, 235]) and net.n == 50

    def test_retention_costs_are_discounted_and_fall_on_survivors(self):
        # 21 % a year is 10 % in six months: S = 1 now, .5 after six: 2 · (1 + .5/1.1) of 12 ÷ 6 a month
        future = ltv.Horizon(known(100), known(100), "", np.array([1, 0, 0, 0, 0, 0, 0.5]), np.zeros(7))
        costs = pd.DataFrame({"month": [2025 * 12 + 12], "retention": [12]})
        net = ltv_cac.net(future, months(active_start=6), costs, 0, Policy(annual_discount_rate=0.21), 2025 * 12 + 12)
        assert net.value == pytest.approx(100 - 2 * (1 + 0.5 / 1.1))

    def test_a_year_of_the_discount_rate_makes_twelve_months(self):
        assert (1 + ltv.monthly_rate(0.10)) ** 12 == pytest.approx(1.10)
        assert ltv.monthly_rate(0.10) == pytest.approx(0.007974, abs=5e-7)  # not .008333

    def test_no_churn_leaves_the_value_empty_and_its_lower_bound_known(self):
        churn = pooled_churn(months(active_start=100, churned=0), window=6)
        # exact upper bound of 0 of 600: 1 − .025^(1/600) = .006130
        assert churn.high == pytest.approx(1 - 0.025 ** (1 / 600))
        book = ltv.lifetimes(churn, ltv.select(halved(), ALL), naive(), horizon=3, confidence=0.95)
        life = book[0][1]
        assert np.isnan(life.value) and np.isnan(life.high) and life.low == pytest.approx(1 / churn.high)
        worth = ltv_cac.classic_methods(months(), churn, known(20), REVENUE, False)[0][1]
        assert np.isnan(worth.value) and worth.low == pytest.approx(20 / churn.high)

    def test_order_value_and_value_a_month_are_one_method_where_every_sale_has_a_customer(self):
        book = months(active_end=[3, 4] * 6, orders=[5, 7] * 6, orders_known=[5, 7] * 6, revenue=[110, 90] * 6)
        worth = Estimate(1200 / 42, 20, 40, 10)  # revenue of the year ÷ Σ active
        rows = ltv_cac.classic_methods(book, known(0.05), worth, REVENUE, True)
        assert vars(rows[1][1]) == pytest.approx(vars(rows[0][1]))
        strangers = book.assign(orders=[10, 14] * 6, revenue=[220, 180] * 6)  # as much again without a customer
        apart = ltv_cac.classic_methods(strangers, known(0.05), worth, REVENUE, True)
        assert apart[1][1].value == pytest.approx(rows[0][1].value)  # same order value, orders of known customers alone


def naive(ended=4, total=20, squares=120, first=0.0):
    return pd.DataFrame({"ended": [ended], "months": total, "months_squared": squares, "first_end_month": first})


class TestMargin:
    def costs(self, **columns):
        zero = dict.fromkeys(["cogs", "support", "hosting", "payment_fees", "retention"], 0)
        return pd.DataFrame({"month": range(12), "revenue": 100} | zero | columns)

    def test_the_params_come_first(self):
        assert ltv.gross_margin(self.costs(cogs=50), 0.7) == ltv.Margin(0.7, "gross_margin", "policy.gross_margin")

    def test_direct_costs_over_revenue_and_the_absent_ones_named(self):
        found = ltv.gross_margin(self.costs(cogs=20, payment_fees=5, retention=60), None)
        assert (found.value, found.basis) == (pytest.approx(0.75), "gross_margin")
        assert found.method == "1 − direct costs ÷ revenue over 12 months, without support, hosting"
        whole = ltv.gross_margin(self.costs(cogs=10, support=4, hosting=3, payment_fees=3), None)
        assert whole.value == pytest.approx(0.8) and "without" not in whole.method

    def test_twelve_months_that_have_costs_and_revenue(self):
        # 14 months: the first is too old; one has no direct costs, so 12 of 13 are left
        costs = self.costs(cogs=10).reindex([0, 0, *range(12)]).assign(cogs=[99, *[10] * 12, 0])
        assert ltv.gross_margin(costs, None).value == pytest.approx(0.9)
        unsold = self.costs(cogs=[10] * 11 + [50], revenue=[100] * 11 + [0])
        assert ltv.gross_margin(unsold, None).value == pytest.approx(0.9)

    @pytest.mark.parametrize("costs", [{}, {"retention": 60}])
    def test_without_direct_costs_it_is_revenue_and_says_so(self, costs):
        found = ltv.gross_margin(self.costs(**costs), None)
        assert found == ltv.Margin(1.0, "revenue", "no costs given: revenue, not profit")


class TestMonths:
    def value(self, rows, name, period="2025-12"):
        return next(row for row in rows if row["metric"] == name and row["period"] == period)

    def test_sales(self):
        book = months(13, active_end=[99] + [4] * 12, buyers=3, orders=5, orders_known=[99] + [3] * 12, revenue=60,
                      revenue_active=44, revenue_unattributed=20)
        rows = ltv.revenue_metrics(book, currency="EUR", subscriptions=False, transactions=True)
        found = {name: self.value(rows, name)["value"] for name in {row["metric"] for row in rows}}
        assert found == pytest.approx({
            "revenue_net": 60, "revenue_unattributed": 20, "orders": 5, "buyers": 3, "average_order_value": 60 / 5,
            "arpu": 44 / 4, "purchase_frequency": 12 * 36 / 48,  # 36 orders ÷ mean active of 4: 9 a year
        })
        units = {row["metric"]: (row["unit"], row["n"]) for row in rows if row["period"] == "2025-12"}
        assert units["average_order_value"] == ("EUR", 5) and units["arpu"] == ("EUR", 4)
        assert units["purchase_frequency"] == ("per_year", 4)

    def test_subscriptions(self):
        book = months(active_end=4, mrr_end=100, revenue=60, revenue_active=44, orders=5)
        both = ltv.revenue_metrics(book, currency="USD", subscriptions=True, transactions=True)
        alone = ltv.revenue_metrics(book, currency="USD", subscriptions=True, transactions=False)
        assert (self.value(both, "arpa")["value"], self.value(both, "arpu")["value"]) == (25, 11)
        assert {row["metric"] for row in alone} == {"arpa", "arpu"}
        assert self.value(alone, "arpu")["value"] == 25 and "no transactions" in self.value(alone, "arpu")["method"]

    def test_the_last_13_months_and_none_where_nobody_is_active(self):
        book = months(15, active_end=[4] * 14 + [0], mrr_end=100)
        rows = [row for row in ltv.revenue_metrics(book, currency="USD", subscriptions=True, transactions=False)
                if row["metric"] == "arpa"]
        assert [rows[0]["period"], rows[-1]["period"]] == ["2024-12", "2025-11"] and len(rows) == 12

    def test_value_a_month_is_a_ratio_of_sums_with_students_interval(self):
        # y = 5, 15, 10, 10 of x = 1 each: 10; Σ(y − 10)² = 50; t(3) = 3.18245 · √(50 · 4/3) ÷ 4 = 6.4962
        sums = pd.DataFrame([("plan", "pro", 4, 40, 4, 450, 40, 4)], columns=[
            "dimension", "member", "customers", "sum_y", "sum_x", "sum_yy", "sum_xy", "sum_xx"])
        found = ltv.value_a_month(sums, confidence=0.95)[("plan", "pro")]
        assert [found.value, found.high - found.value, found.n] == pytest.approx([10, 6.4962, 4], rel=1e-4)

    def test_arpa_is_that_of_who_pays_and_has_the_interval_of_those_alone(self):
        # the four above, and two who are paused: they count in the value a month alone, 40 ÷ 6
        sums = pd.DataFrame([("all", "all", 6, 40, 6, 4, 450, 40, 6)], columns=[
            "dimension", "member", "customers", "sum_y", "sum_x", "sum_active", "sum_yy", "sum_xy", "sum_xx"])
        found = ltv.arpa(sums, 0.95)
        assert [found.value, found.high - found.value, found.n] == pytest.approx([10, 6.4962, 4], rel=1e-4)
        assert ltv.value_a_month(sums, confidence=0.95)[ALL].value == pytest.approx(40 / 6)
        assert np.isnan(ltv.arpa(sums.head(0), 0.95).value)                      # nobody is known


class TestLifetimes:
    def test_three_of_them(self):
        churn = Estimate(0.05, 0.04, 0.10, 600)
        found = ltv.lifetimes(churn, ltv.select(halved(), ALL), naive(), horizon=3, confidence=0.95)
        assert [name for name, *_ in found] == ltv.LIFETIMES
        churn, area, done = (value for _, value, _ in found)
        assert [churn.value, churn.low, churn.high, churn.n] == pytest.approx([20, 10, 25, 600])
        assert area.value == pytest.approx(2.0) and found[1][2] == "area under Kaplan–Meier, m = 3"
        # 20 ÷ 4 = 5; variance 120/4 − 25 = 5; √(5/3) = 1.29099
        assert [done.value, done.low, done.n] == pytest.approx([5, 5 - 1.959964 * 1.29099, 4], rel=1e-5)

    def test_completed_lifetimes_of_one_and_of_none(self):
        def mean(ended, total):
            table = naive(ended, total, total**2)
            return ltv.lifetimes(known(0.05), ltv.select(halved(), ALL), table, horizon=3, confidence=0.95)[2][1]
        assert mean(1, 7).value == 7 and np.isnan(mean(1, 7).low) and np.isnan(mean(0, 0).value)

    @pytest.mark.parametrize(("first", "spells", "possible"), [
        (99, halved(), True), (100, halved(), False), (np.nan, halved(), False), (99, ends(), False)])
    def test_a_book_without_departures_before_its_last_month_has_none(self, first, spells, possible):
        assert (ltv.estimable(naive(first=first), spells, 100) == "") is possible


class TestHorizon:
    def ltv(self, spells, worth, new=(), models=None, **settings):
        settings = {"margin": 1.0, "horizon": 3, "annual_rate": 0.0, "min_customers": 30, "confidence": 0.95} | settings
        new = pd.DataFrame(new, columns=["plan_id", "new_customers"])
        return ltv.horizon_ltv(spells, models or {}, worth, new, **settings)

    def test_one_curve(self):
        # S = 1, .5, .5 at 25 % a month
        found = self.ltv(halved(), {ALL: known(10)}, annual_rate=1.25**12 - 1, margin=0.5)
        assert found.plain.value == pytest.approx(0.5 * 10 * 2)
        assert found.discounted.value == pytest.approx(0.5 * 10 * (1 + 0.5 / 1.25 + 0.5 / 1.5625))
        assert found.curve == pytest.approx([1, 0.5, 0.5]) and found.income == pytest.approx([5, 2.5, 2.5])
        assert found.method == "seen to month 3, 0% of the value extrapolated by sBG"

    def test_plans_are_weighted_by_new_customers_and_have_their_own_value_and_curve(self):
        # .75 · 10 · 2 + .25 · 30 · 3 = 37.5, half of it margin
        spells = pd.concat([halved(), halved("plan", "p"), stayed("plan", "q")])
        worth = {ALL: known(999), ("plan", "p"): known(10, 30), ("plan", "q"): known(30, 30)}
        models = {ALL: ANY, ("plan", "p"): ANY, ("plan", "q"): ANY}
        found = self.ltv(spells, worth, [("p", 6), ("q", 2)], models, margin=0.5)
        assert found.plain.value == found.discounted.value == pytest.approx(18.75)
        assert found.income == pytest.approx([7.5, 5.625, 5.625]) and found.income.sum() == pytest.approx(18.75)
        assert found.curve == pytest.approx([1, 0.625, 0.625])

    def test_plans_err_together_by_what_the_months_share(self):
        # both halved, worth 10 and 30: 40 in all, of which a log unit of all hazards takes 20; shared .3: .15 on the log scale
        spells = pd.concat([halved("plan", "p"), halved("plan", "q"), halved()])
        worth = {ALL: known(999), ("plan", "p"): known(10), ("plan", "q"): known(30)}
        book = spells, worth, [("p", 1), ("q", 1)], dict.fromkeys(worth, ANY)
        for margin, side in ((1.0, "high"), (-1.0, "low")):
            alone, both = (self.ltv(*book, margin=margin, shared=shared).plain for shared in (0.0, 0.3))
            reach = [np.log(getattr(found, side) / found.value) for found in (alone, both)]
            assert both.value == pytest.approx(margin * 20 * 2) and reach[1]**2 - reach[0]**2 == pytest.approx(0.15**2)

    @pytest.mark.parametrize("small", ["few customers", "few departures", "no value"])
    def test_a_small_plan_counts_with_curve_and_value_of_all(self, small):
        spells = pd.concat([halved(), stayed("plan", "q")])
        worth = {ALL: known(10), ("plan", "q"): known(30, 29 if small == "few customers" else 30)}
        models = {ALL: ANY} | ({} if small == "few departures" else {("plan", "q"): ANY})
        if small == "no value":
            del worth[("plan", "q")]
        assert self.ltv(spells, worth, [("q", 2), ("r", 1)], models).plain.value == pytest.approx(10 * 2)

    def test_customers_of_a_plan_are_among_all_and_count_once(self):
        spells = pd.concat([halved(), halved("plan", "q")])
        worth = {ALL: known(10, 40), ("plan", "q"): known(30, 35)}
        found = self.ltv(spells, worth, [("q", 1), ("r", 1)], {ALL: ANY, ("plan", "q"): ANY})
        assert (found.plain.n, found.discounted.n) == (40, 40)

    def test_what_lies_beyond_the_ages_seen_is_said(self):
        # 5 customers: nothing is seen; sBG with α = β = 1 has S = 1, 1/2, 1/3: 5/6 of 11/6 is extrapolated
        few = ends((*ALL, 0, 0, 0, 5), (*ALL, 1, 0, 5, 0))
        found = self.ltv(few, {ALL: known(6)}, models={ALL: ANY})
        assert found.plain.value == pytest.approx(11)
        assert found.method == "seen to month 0, 45% of the value extrapolated by sBG"

    @pytest.mark.parametrize(("spells", "worth"), [
        (halved(), {ALL: known(10)}), (ends(), {ALL: known(10)}), (halved(), {})],
        ids=["no model beyond the ages seen", "nobody at risk", "nobody active"])
    def test_what_cannot_be_known_is_empty_and_says_so(self, spells, worth):
        found = self.ltv(spells, worth, horizon=36)
        assert np.isnan([found.plain.value, found.discounted.value]).all() and len(found.income) == 0
        assert found.method.startswith("not_estimable")

    def test_plans_are_added_as_independent(self):
        # distances to the bounds 3 and 2 · 2 below: 5; 8 and 2 · 3 above: 10
        found = ltv.add([(1, Estimate(10, 7, 18, 2)), (2, Estimate(10, 8, 13, 3))])
        assert [found.value, found.low, found.high, found.n] == pytest.approx([30, 25, 40, 5])


def summaries(**changes):
    """Subscriptions: ARPA 10, 60 customers; 40 new in each of 18 months, for 400 a month. S = 1, .5, .5."""
    spend = {"month": np.arange(24295, 24313), "channel": "search", "media": 400, "loaded": 800, "new_customers": 40}
    worth = pd.DataFrame([(*ALL, 60, 600, 60, 60, 6000, 600, 60)], columns=[
        "dimension", "member", "customers", "sum_y", "sum_x", "sum_active", "sum_yy", "sum_xy", "sum_xx"])
    costs = pd.DataFrame(columns=["month", *ltv.DIRECT, "retention", "revenue"], dtype=float)
    return {
        "months": months(18, acquired=40, active_start=60, active_end=60, mrr_end=600, churned=3), "survival": halved(),
        "lifetimes": naive(), "customer_value": worth, "costs": costs, "spend": pd.DataFrame(spend),
        "new_by_plan": pd.DataFrame(columns=["plan_id", "new_customers"]),
        "cac_by": pd.DataFrame(columns=["month", "dimension", "member", "channel", "media", "other", "new_customers"]),
        "member_ages": pd.DataFrame(), "realised": pd.DataFrame({"revenue": [9600]}), "survival_holdout": pd.DataFrame(),
        "purchases": pd.DataFrame({"customers": [0]}), "repeat_spend": None,
        "regularity": pd.DataFrame({"bought_net": [0.0], "bought_gross": [0.0]}),
    } | changes


def analyse(tables, given=("subscriptions", "marketing_spend"), **policy):
    return ltv_cac.analyse(tables, period="2025-12", last=24312, currency="USD", given=set(given), terms=LtvCac(),
                           policy=Policy(**NO_DISCOUNT | policy), formulas={"ltv": "the headline"}, target=4.0)


def values(page, names):
    return [page.value(name) for name in names.split()]


class TestPage:
    def test_worth_against_cost(self):
        # worth 10 · 2 = 20, cost 400/40 = 10: 2×; paid back by 10 at once; a quarter of 20 may be spent
        page = analyse(summaries())
        names = "churn_rate_pooled ltv ltv_discounted ltv_horizon ltv_arpu_lifetime ltv_margin ltv_net"
        assert values(page, names) == pytest.approx([0.05, 20, 20, 20, 200, 200, 10])
        names = "cac_blended cac_loaded ltv_to_cac payback_months max_cac ltv_to_cac_realised"
        assert values(page, names) == pytest.approx([10, 20, 2, 1, 5, 4])  # realised: 9,600 on 6 · 400
        assert np.isnan(page.value("mrr"))  # known, but not of this page
        with pytest.raises(KeyError, match="no such metric"):
            page.value("no such metric")
        dear = summaries()["spend"].assign(media=[100] * 6 + [400] * 12)  # realised: the spend on those 9,600 came from
        assert analyse(summaries(spend=dear)).value("ltv_to_cac_realised") == pytest.approx(16)
        assert page.remarks["holdout"] == "no customer had left before the holdout began"

    def test_margin_and_loaded_costs_reach_every_ratio(self):
        page = analyse(summaries(), gross_margin=0.5, cac_basis="loaded")
        names = "ltv ltv_margin ltv_arpu_lifetime ltv_to_cac payback_months ltv_to_cac_realised"
        # margin 10; CAC 20 is not reached by 5 + 2.5 + 2.5: beyond H
        assert values(page, names) == pytest.approx([10, 100, 200, 0.5, np.nan, 1], nan_ok=True)
        rows = page.metrics.set_index("metric")
        assert rows.loc["payback_months", "method"] == ">H" and rows.loc["ltv", "basis"] == "gross_margin"
        assert rows.loc["ltv_to_cac", "method"] == "loaded CAC of 6 months"
        assert page.payback_curve["margin"].to_list() == pytest.approx([5, 7.5, 10])
        assert page.payback_curve["cac"].to_list() == [20, 20, 20]

    def test_a_lag_meets_spend_with_later_customers(self):
        spend = summaries()["spend"].assign(media=[0] * 11 + [400] * 6 + [99_999])
        page = analyse(summaries(spend=spend), cac_lag_months=1)
        assert page.value("ltv_to_cac") == pytest.approx(2)

    def test_months_good_and_bad_for_all_widen_every_figure_that_rests_on_survival(self):
        book = summaries()
        of_plan = book["customer_value"].assign(dimension="plan", member="p")
        book |= {"survival": pd.concat([halved(), halved("plan", "p")]),
                 "customer_value": pd.concat([book["customer_value"], of_plan])}
        pages = [analyse(book | {"months": book["months"].assign(active_start=1000, churned=churned)})
                 for churned in (300, [100, 500] * 9)]
        even, shaken = (page.metrics.set_index("metric") for page in pages)
        for name in ("lifetime_months_rmst", "ltv_horizon", "ltv_discounted", "ltv", "ltv_to_cac"):
            assert shaken.loc[name, "value"] == even.loc[name, "value"], name
            assert shaken.loc[name, "low"] < even.loc[name, "low"], name
        even, shaken = (page.by_member.set_index("member").loc["p"] for page in pages)
        assert shaken["ltv"] == even["ltv"] and shaken["ltv_low"] < even["ltv_low"]

    def test_a_negative_ltv_keeps_its_ratio_with_its_bounds(self):
        def costs(direct):                                   # of a revenue of 600
            rows = {name: 0.0 for name in [*ltv.DIRECT, "retention"]} | {"month": 24312, "cogs": direct, "revenue": 600.0}
            return summaries(costs=pd.DataFrame([rows]))

        rows = analyse(costs(900.0)).metrics.set_index("metric")  # −10 on a CAC of 10
        worth, ratio = rows.loc["ltv"], rows.loc["ltv_to_cac"]
        assert ratio["value"] == pytest.approx(-1) and worth["low"] < -10 < worth["high"] < 0
        assert [ratio["low"], ratio["high"]] == pytest.approx([worth["low"] / 10, worth["high"] / 10])
        assert ratio["n"] == min(worth["n"], 240)
        nothing = analyse(costs(600.0))
        assert nothing.value("ltv_to_cac") == 0 and np.isnan(nothing.value("payback_months"))

    def test_ltv_to_cac_rests_on_the_fewer_customers_and_is_unknown_without_a_cost(self):
        assert ltv.over(Estimate(10, 5, 20, 50), Estimate(4, 4, 4, 30)) == Estimate(2.5, 1.25, 5, 30)
        assert np.isnan(ltv.over(Estimate(10, 5, 20, 50), Estimate(np.nan, np.nan, np.nan, 0)).value)

    @pytest.mark.parametrize(("of", "basis"), [("revenue", "gross_margin"), ("net", "gross_margin"), ("net", "net")])
    def test_a_ratio_of_unlike_bases_or_of_what_has_paid_the_cac_is_refused(self, of, basis):
        worth, cost = Estimate(10, 5, 20, 50), Estimate(4, 4, 4, 30)
        assert ltv.over(worth, cost, of="gross_margin", basis="gross_margin").value == 2.5
        with pytest.raises(ReportError, match=f"the LTV is on basis '{of}', the ratio on '{basis}'"):
            ltv.over(worth, cost, of=of, basis=basis)

    @pytest.mark.parametrize(("basis", "cac", "ratio"), [("blended", 10, 2), ("paid", 10, 2), ("loaded", 20, 1)])
    def test_a_channel_that_is_the_whole_company_has_its_cac_on_every_basis(self, basis, cac, ratio):
        # 400 of media and 400 of people a month on 40 new customers, all of search
        book = summaries()
        of_channel = book["customer_value"].assign(dimension="channel", member="search")
        rows = [(month, "channel", *row) for month in range(24307, 24313) for row in (
            ("search", "search", 400, 0, 40), ("(unattributed)", "(unattributed)", 0, 400, 0))]
        page = analyse(book | {
            "cac_by": pd.DataFrame(rows, columns=book["cac_by"].columns), "survival": pd.concat([halved(), halved("channel", "search")]),
            "customer_value": pd.concat([book["customer_value"], of_channel])}, cac_basis=basis)
        row = page.by_member.set_index("member").loc["search"]
        assert (row["cac"], row["cac_basis"]) == (cac, basis)
        assert row["ltv_to_cac"] == pytest.approx(page.value("ltv_to_cac")) == ratio

    @pytest.mark.parametrize("lag", [0, 1])
    def test_a_channel_has_one_cac_whatever_the_table(self, lag):
        # spend ends two months early: 400 a month on 40 of search, while 10 a month come by friends
        spend = summaries()["spend"].query("month <= 24310")
        rows = [(month, "channel", name, name, 400 if month - lag <= 24310 and name == "search" else 0, 0, people)
                for month in range(24307, 24313) for name, people in (("search", 40), ("friends", 10))]
        cuts = pd.DataFrame(rows, columns=["month", "dimension", "member", "channel", "media", "other", "new_customers"])
        page = analyse(summaries(spend=spend, cac_by=cuts), cac_lag_months=lag)
        channels = page.by_member.set_index("member")
        table = acquisition.cac_by(cuts, page.cac).set_index("member")
        assert channels.loc["search", "cac"] == table.loc["search", "cac"] == 10  # 400 · 6 on 40 · 4 would be less
        assert np.isnan(channels.loc["friends", "cac"])
        assert channels["new_customers"].to_dict() == {"friends": 60, "search": 240}

    def test_the_methods_stand_side_by_side_without_ratios(self):
        table = analyse(summaries()).methods
        methods = ["ltv_arpu_lifetime", "ltv_margin", "ltv_horizon", "ltv_discounted", "ltv_net", "ltv"]
        assert table["method"].to_list() == methods
        assert table.set_index("method").loc["ltv", ["formula", "basis"]].to_list() == ["the headline", "revenue"]
        assert table.set_index("method").loc["ltv_net", "basis"] == "revenue"  # g is not known
        known = analyse(summaries(), gross_margin=0.5).methods.set_index("method")["basis"]
        assert known[["ltv_margin", "ltv", "ltv_net"]].to_list() == ["gross_margin", "gross_margin", "net"]

    def test_formulas_that_assume_a_contract_say_so_in_a_book_of_sales(self):
        said = "assumes a contract that ends; with sales alone inactive_days stands for its end"
        for given, warned in ((["transactions"], True), (["subscriptions"], False)):
            remarks = analyse(summaries(), given=given).methods.set_index("method")["remark"]
            for name in ("ltv_arpu_lifetime", "ltv_margin", "ltv_horizon", "ltv_discounted"):
                assert remarks[name].endswith(said) is warned, name
            assert said not in remarks["ltv"]

    def test_a_snapshot_has_no_lifetime_and_no_ltv(self):
        page = analyse(summaries(lifetimes=naive(first=24312)))
        rows = page.metrics.set_index("metric")
        for name in [*ltv.LIFETIMES, *page.methods["method"]]:
            assert np.isnan(rows.loc[name, "value"]) and rows.loc[name, "method"].startswith("not_estimable"), name
        assert np.isnan(values(page, "ltv_to_cac payback_months")).all() and page.value("cac_blended") == 10
        assert page.payback_curve.empty and page.models.empty

    def test_nobody_at_risk_and_nobody_active_is_no_crash(self):
        empty = summaries()["customer_value"].head(0)
        for gone in ({"survival": ends()}, {"customer_value": empty}, {"survival": ends(), "customer_value": empty}):
            page = analyse(summaries(**gone))
            assert np.isnan(page.value("ltv")) and page.value("cac_blended") == 10

    def test_without_spend_the_costs_are_empty_and_say_what_they_need(self):
        page = analyse(summaries(spend=summaries()["spend"].head(0)), given=["subscriptions"])
        rows = page.metrics.set_index("metric")
        for name in ("ltv_to_cac", "payback_months", "ltv_net"):
            assert np.isnan(rows.loc[name, "value"]) and "marketing_spend" in rows.loc[name, "method"], name
        assert "cac_blended" not in rows.index and rows.loc["max_cac", "value"] == pytest.approx(5)

    def test_sales_without_a_model_have_no_headline_and_say_why(self):
        page = analyse(summaries(), given=["transactions", "marketing_spend"])
        row = page.metrics.set_index("metric").loc["ltv"]
        assert np.isnan(row["value"]) and row["method"].startswith("not_estimable: no sales that a customer chose")
        assert page.value("ltv_discounted") == pytest.approx(20)  # the horizon stands beside it

    def test_the_streams_sum_up_to_the_net_value_and_to_the_headline(self):
        page = analyse(summaries(), gross_margin=0.5, annual_discount_rate=0.1)
        company = page.streams["all", "all"]
        assert (company.horizon, company.revenue.shape[1], company.margin, company.cac) == (3, 4, 0.5, 10)
        assert worth.net(company) == pytest.approx(page.value("ltv_net"))
        assert worth.net(page.headline) == pytest.approx(page.value("ltv"))
        assert worth.ladder_checks(worth.ladder(page.methods, company, page.margin, summaries()["costs"], np.nan))["passed"].all()

    def test_a_curve_that_ends_with_the_horizon_still_has_a_ladder(self):
        seen = ends((*ALL, 0, 0, 0, 40), (*ALL, 1, 20, 0, 0), (*ALL, 2, 0, 20, 0))
        page = analyse(summaries(survival=seen), min_events=21)  # no sBG to go on with
        company = page.streams["all", "all"]
        assert company.revenue[0] == pytest.approx([10, 5, 5]) and worth.net(company) == pytest.approx(20 - 10)

    @pytest.mark.parametrize("gone", [{"lifetimes": naive(first=24312)}, {"survival": ends()}])
    def test_without_an_ltv_the_stream_is_empty_and_every_table_can_be_made(self, gone):
        page = analyse(summaries(**gone))
        company = page.streams["all", "all"]
        assert list(page.streams) == [ALL] and np.isnan(worth.net(company)) and np.isnan(worth.net(page.headline))
        assert worth.ladder_checks(worth.ladder(page.methods, company, page.margin, summaries()["costs"], np.nan)).empty
        assert worth.negative_ltv(page.streams).empty and len(worth.sensitivity(company, page.headline, page.margin)) == 5


class TestCurveTable:
    def test_ages_seen_and_fitted_of_plans_on_enough_customers(self):
        lived = HorizonSum(1.8, 1.5, 2.1, 40, 1, 0.1, 0.5, (1.0, 0.5, 0.3))
        value = {n: Estimate(10.0, 8.0, 12.0, n) for n in (4, 5)}
        plans = {("plan", "b"): (0.75, value[5], lived), ("plan", "a"): (0.25, value[4], lived)}
        table = ltv.curve_table(plans, margin=0.5, annual_rate=1.1**12 - 1, kept=2.0, below=5)
        assert table["member"].to_list() == ["b"] * 3 and table["t"].to_list() == [0, 1, 2]
        assert table["basis"].to_list() == ["seen", "seen", "fitted"]
        assert table["survival"].to_list() == [1.0, 0.5, 0.3]
        assert table["discount_factor"].to_list() == pytest.approx([1, 1 / 1.1, 1 / 1.21])
        assert (table[["weight", "value_a_month", "gross_margin", "retention_costs"]] == [0.75, 10.0, 0.5, 2.0]).all(axis=None)
