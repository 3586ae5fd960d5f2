"""What makes up an LTV, what would change it, what a customer may cost, and who brings less than it costs."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from helpers import findings
from helpers.metrics import acquisition, cac, ltv, worth
from helpers.metrics.clv_models import revenue_by_month
from helpers.metrics.members import Worth
from helpers.models.intervals import Estimate
from helpers.settings import Policy

MARGIN = ltv.Margin(0.5, "gross_margin", "given")
REVENUE = ltv.Margin(1.0, "revenue", "no costs given")
COSTS = pd.DataFrame({"support": [0], "hosting": [0]})
NO_COSTS = COSTS.head(0)


def stream(revenue=(100, 50, 25, 12.5), horizon=3, **changes):
    """100 a month, half leave each month: 175 in three months, 87.5 margin; keeping costs 17.5, winning 30: 40 are left."""
    revenue = np.array(revenue, dtype=float)
    parts = {"ltv": Estimate(87.5, 80, 100, 60), "curve": revenue / 100, "ages": np.arange(revenue.shape[-1]), "margin": 0.5,
             "annual_rate": 0.0, "kept": 10.0, "cac": 30.0} | changes
    return worth.Stream(revenue=revenue, horizon=horizon, **parts)


UNKNOWN = stream([], ltv=ltv.UNKNOWN)


def methods(horizon=87.5, discounted=87.5, net=40.0, remark="less everything"):
    """Table ltv_methods."""
    rows = [("ltv_arpu_lifetime", 200.0), ("ltv_horizon", horizon), ("ltv_discounted", discounted), ("ltv_net", net)]
    return pd.DataFrame(rows, columns=["method", "value"]).assign(remark=remark)


class TestNet:
    def test_margin_of_the_horizon_less_keeping_and_winning(self):
        assert worth.net(stream()) == pytest.approx(87.5 - 17.5 - 30)

    def test_each_month_is_discounted_to_its_age(self):
        # 21 % a year is 10 % in six months: 50 now and 25/1.1 then, less 10 and 5/1.1
        found = stream([100, 50], horizon=2, ages=np.array([0, 6]), annual_rate=0.21)
        assert worth.net(found) == pytest.approx(40 + 20 / 1.1 - 30)

    def test_a_stream_that_ends_before_its_horizon_is_unknown(self):
        assert worth.net(stream(horizon=4)) == pytest.approx(93.75 - 18.75 - 30)
        assert np.isnan(worth.net(stream(horizon=5))) and np.isnan(worth.net(UNKNOWN))


class TestStaying:
    def test_one_of_a_hundred_leaves_at_every_age(self):
        found = worth.staying(stream(), 0.99)
        assert found.revenue == pytest.approx([100, 49.5, 25 * 0.99**2, 12.5 * 0.99**3])
        assert found.curve == pytest.approx(found.revenue / 100)

    def test_nobody_comes_back(self):
        # all stay, then half: 1.6 · .5 = .8 of those who are there, and no share of the month before
        assert worth.staying(stream([100, 100, 50]), 1.6).revenue == pytest.approx([100, 100, 80])
        assert worth.staying(stream(), 1000).curve == pytest.approx([1, 1, 1, 1])
        assert worth.staying(stream([100, 0, 0]), 1000).revenue == pytest.approx([100, 0, 0])

    def test_each_plan_stays_for_itself(self):
        # the first plan loses nobody until half do not renew: 1.2 · 1 is 1, then 1.2 · .5; the second half each month: .6
        both = stream([[50, 50, 25], [50, 25, 12.5]])
        assert worth.staying(both, 1.2).revenue == pytest.approx(np.array([[50, 50, 30], [50, 30, 18]]))
        assert worth.net(worth.staying(both, 1.2)) == pytest.approx((0.5 - 0.1) * 228 - 30)
        assert worth.mean_churn(both) == pytest.approx(62.5 / 175)   # 25 and 37.5 leave of 100 and 75

    def test_purchases_that_rise_from_month_to_month_stay_as_they_are(self):
        # sales: the first purchase, then 150 in the month after it; half a month lies between their ages
        sales = stream([100, 150, 75], ages=np.array([0, 0.5, 1.5]))
        assert worth.staying(sales, 1.0).revenue == pytest.approx([100, 150, 75])
        assert worth.staying(sales, 1.21).revenue == pytest.approx([100, 150, 75 * 1.21])
        assert worth.staying(sales, 0.81).revenue == pytest.approx([100, 150 * 0.9, 75 * 0.9 * 0.81])

    def test_mean_churn_is_who_left_over_who_could(self):
        # 100 → 50 → 25 within the horizon: 75 of 150 customer-months
        assert worth.mean_churn(stream()) == pytest.approx(0.5)
        assert worth.mean_churn(stream([100, 100, 50])) == pytest.approx(0.25)
        assert np.isnan(worth.mean_churn(UNKNOWN)) and np.isnan(worth.mean_churn(stream(horizon=1)))


class TestReferrals:
    FOUND = pd.DataFrame({"month": [7, 8], "new_customers": [30, 20], "brought": [3, 1]})
    MONTHS = pd.DataFrame({"month": [6, 7, 8], "active_start": [50, 80, 120]})

    def test_a_month_of_life_is_worth_the_chance_of_one_more_such_customer(self):
        # 4 of 200 customer months; 1 + .5 + .25 months of life; each who comes is worth 87.5 − 17.5 before CAC
        table, chance, value = acquisition.referrals(self.FOUND, self.MONTHS, stream(), 0.95)
        assert table.values.tolist() == [[7, 80, 30, 3], [8, 120, 20, 1]]
        assert (chance.value, chance.n) == (0.02, 200) and value.value == pytest.approx(0.02 * 1.75 * 70)
        assert value.low / value.value == pytest.approx(chance.low / 0.02) and value.low < value.value < value.high

    def test_months_of_life_are_discounted_to_their_age(self):
        of = stream([100, 50], horizon=2, ages=np.array([0, 6]), annual_rate=0.21)
        value = acquisition.referrals(self.FOUND, self.MONTHS, of, 0.95)[2].value
        assert value == pytest.approx(0.02 * (1 + 0.5 / 1.1) * (40 + 20 / 1.1))

    def test_who_are_worth_less_than_they_cost_make_it_a_loss(self):
        value = acquisition.referrals(self.FOUND, self.MONTHS, stream(kept=60.0), 0.95)[2]
        assert value.value == pytest.approx(0.02 * 1.75 * (87.5 - 105)) and value.low < value.value < value.high < 0

    def test_without_names_or_an_ltv_it_is_unknown(self):
        table, chance, value = acquisition.referrals(self.FOUND.head(0), self.MONTHS, stream(), 0.95)
        assert table.empty and np.isnan([chance.value, value.value]).all()
        _, chance, value = acquisition.referrals(self.FOUND, self.MONTHS, UNKNOWN, 0.95)
        assert chance.value == 0.02 and np.isnan(value.value)


class TestLadder:
    def rungs(self, *args):
        return worth.ladder(*args).set_index("label")

    def test_from_revenue_to_what_is_left(self):
        table = self.rungs(methods(), stream(), MARGIN, COSTS, 2.45)
        assert table["value"].dropna().to_dict() == pytest.approx({
            "revenue without an end": 200, "revenue": 175, "direct costs": -87.5, "margin": 87.5, "discount": 0,
            "discounted": 87.5, "retention costs": -17.5, "CAC": -30, "left": 40,
            "referral value": 2.45})
        assert table.loc[["revenue", "margin", "discounted", "left"], "kind"].eq("total").all()
        assert table.loc[["revenue", "discount", "left"], "basis"].to_list() == ["revenue", "gross_margin", "net"]
        assert table.loc["revenue without an end", "kind"] == "apart"

    def test_discount_and_retention_are_of_the_discounted_months(self):
        # two months, the second a half as far as a year of 21 %: margin 75, discounted 50 + 25/1.1; keeping 10 + 5/1.1
        of = stream([100, 50], horizon=2, ages=np.array([0, 6]), annual_rate=0.21)
        table = self.rungs(methods(), of, MARGIN, COSTS, np.nan)["value"]
        assert table[["revenue", "direct costs", "discount"]].to_list() == pytest.approx([150, -75, 25 / 1.1 - 25])
        assert table["retention costs"] == pytest.approx(-10 - 5 / 1.1)

    def test_rungs_add_up_to_the_metrics_or_the_check_fails(self):
        found = worth.ladder_checks(worth.ladder(methods(), stream(), MARGIN, COSTS, np.nan))
        assert found["scope"].to_list() == ["margin", "discounted", "left"]
        assert found["actual"].to_list() == pytest.approx([87.5, 87.5, 40]) and found["passed"].all()
        wrong = worth.ladder_checks(worth.ladder(methods(discounted=87.49), stream(), MARGIN, COSTS, np.nan))
        assert wrong["passed"].to_list() == [True, False, True]

    def test_without_costs_and_spend_it_is_revenue_and_says_what_it_needs(self):
        bare = stream(margin=1.0, kept=0.0, cac=np.nan)
        table = worth.ladder(methods(175, 175, np.nan, "needs marketing_spend"), bare, REVENUE, NO_COSTS, np.nan)
        steps, by = worth.ladder_steps(table), table.set_index("label")
        assert steps["label"].to_list() == ["revenue", "discounted"] and steps["value"].to_list() == [175, 175]
        absent = ["direct costs", "margin", "retention costs", "CAC", "left", "cost to serve", "referral value"]
        assert by.index[by["kind"] == "absent"].to_list() == absent
        assert by.loc["direct costs", "formula"] == "not available: needs costs or policy.gross_margin"
        assert by.loc["CAC", "formula"] == "not available: needs marketing_spend and new customers in six months"
        assert by.loc["left", "formula"] == "not available: needs marketing_spend"
        assert by.loc["discounted", "basis"] == "revenue" and worth.ladder_checks(table)["passed"].all()

    def test_retention_costs_known_without_spend_end_no_waterfall(self):
        # what stands behind the last total would hang in the air
        table = worth.ladder(methods(net=np.nan), stream(cac=np.nan), MARGIN, COSTS, np.nan)
        assert table.set_index("label").loc["retention costs", "value"] == pytest.approx(-17.5)
        assert worth.ladder_steps(table)["label"].to_list() == ["revenue", "direct costs", "margin", "discounted"]

    def test_a_total_of_nothing_stays_and_a_change_of_nothing_goes(self):
        table = worth.ladder(methods(net=0.0), stream(cac=70.0), MARGIN, COSTS, np.nan)
        labels = ["revenue", "direct costs", "margin", "discounted", "retention costs", "CAC", "left"]
        assert worth.ladder_steps(table)["label"].to_list() == labels and worth.ladder_checks(table)["passed"].all()

    def test_without_an_ltv_there_is_no_rung_and_no_check(self):
        nothing = methods(np.nan, np.nan, np.nan, "not_estimable: a snapshot")
        table = worth.ladder(nothing, stream([], cac=30.0), MARGIN, COSTS, np.nan)
        assert worth.ladder_steps(table).empty and worth.ladder_checks(table).empty
        assert table.set_index("label").loc["revenue", "formula"] == "not available: not_estimable: a snapshot"


class TestSensitivity:
    def table(self, *args):
        return worth.sensitivity(*args).set_index("lever")

    def test_one_step_of_each_lever(self):
        own = stream(kept=0.0, cac=0.0)
        table = self.table(stream(), own, MARGIN)
        sides = ["ltv_net_lower", "ltv_net_higher", "ltv_lower", "ltv_higher"]
        # 5 % of 175 is 8.75, all of it margin. The third month: 12.5 margin − 2.5 to keep; the fourth a half of it
        assert table.loc["price", sides].to_list() == pytest.approx([-8.75, 8.75, -8.75, 8.75])
        assert table.loc["gross margin", sides].to_list() == pytest.approx([-1.75, 1.75, -1.75, 1.75])
        assert table.loc["CAC", sides].to_list() == pytest.approx([3, -3, 0, 0])
        assert table.loc["lifetime", sides].to_list() == pytest.approx([-10, 5, -12.5, 6.25])
        # churn: 50 · .01 and 25 · (1 − .99²) = .4975 of revenue fall away, 40 % of it net of keeping, a half of it margin
        gone = 0.5 + 0.4975
        more = 0.5 + 25 * (1.01**2 - 1)
        assert table.loc["monthly churn", sides].to_list() == pytest.approx([0.4 * more, -0.4 * gone, 0.5 * more, -0.5 * gone])
        assert table["now"].to_dict() == pytest.approx(
            {"monthly churn": 0.5, "lifetime": 3, "price": 100, "gross margin": 0.5, "CAC": 30, "discount rate": 0})

    def test_the_largest_change_of_the_net_comes_first(self):
        assert self.table(stream(), stream(kept=0.0, cac=0.0), MARGIN).index.to_list() == [
            "lifetime", "price", "CAC", "gross margin", "monthly churn", "discount rate"]

    def test_a_point_of_the_discount_rate_is_a_year_s(self):
        # one payment of 100, a year ahead, at 10 %: 50/1.1; at 9 and 11 % 50/1.09 and 50/1.11
        late = stream([100], horizon=1, ages=np.array([12]), annual_rate=0.10, kept=0.0)
        row = self.table(late, late, MARGIN).loc["discount rate"]
        assert row[["ltv_lower", "ltv_higher"]].to_list() == pytest.approx([50 / 1.09 - 50 / 1.1, 50 / 1.11 - 50 / 1.1])
        free = self.table(stream(), stream(), MARGIN).loc["discount rate"]
        assert free["ltv_lower"] == 0 and free["ltv_higher"] < 0  # no rate below 0

    def test_no_margin_above_the_whole_and_none_where_it_is_not_known(self):
        row = self.table(stream(margin=0.996), stream(margin=0.996), MARGIN).loc["gross margin"]
        assert row[["ltv_lower", "ltv_higher"]].to_list() == pytest.approx([-1.75, 0.004 * 175])
        assert "gross margin" not in self.table(stream(margin=1.0), stream(margin=1.0), REVENUE).index

    def test_without_spend_the_headline_orders_the_levers(self):
        table = self.table(stream(cac=np.nan), stream(kept=0.0, cac=0.0), MARGIN)
        assert table[["ltv_net_lower", "ltv_net_higher"]].isna().all(axis=None)
        assert table.index[:2].to_list() == ["lifetime", "price"]

    def test_of_sales_alone_the_model_s_headline_moves(self):
        table = self.table(UNKNOWN, stream(kept=0.0, cac=0.0), MARGIN)
        assert table.loc["price", ["now", "ltv_higher"]].to_list() == pytest.approx([100, 8.75])
        assert np.isnan(table.loc["monthly churn", "now"]) and table.loc["monthly churn", "ltv_higher"] < 0

    def test_a_curve_that_cannot_go_on_has_no_longer_lifetime(self):
        short = stream([100, 50, 25])
        row = self.table(short, short, MARGIN).loc["lifetime"]
        assert row["ltv_net_lower"] == pytest.approx(-10) and np.isnan(row["ltv_net_higher"])

    def test_nothing_known_is_no_crash(self):
        changes = self.table(UNKNOWN, UNKNOWN, REVENUE)[["ltv_net_lower", "ltv_net_higher", "ltv_lower", "ltv_higher"]]
        assert changes.isna().all(axis=None)


class TestSwings:
    def moved(self, net):
        return pd.DataFrame({
            "lever": ["churn", "CAC"], "step": ["±1 point", "±10%"], "ltv_net_lower": net, "ltv_net_higher": net,
            "ltv_lower": [190.0, 0.0], "ltv_higher": [-160.0, 0.0]})

    def test_the_net_is_drawn_where_it_is_known_and_else_the_headline(self):
        assert worth.swings(self.moved([2000.0, 9.0])).to_dict("list") == {"lower": [2000, 9], "higher": [2000, 9]}
        assert worth.swings(self.moved([np.nan] * 2)).to_dict("index") == {"churn, ±1 point": {"lower": 190, "higher": -160}}

    def test_the_largest_is_said(self):
        said = findings.swings(worth.swings(self.moved([np.nan] * 2)), "USD")
        assert said == "LTV hangs most on churn, ±1 point: +190.00 USD with a step down, −160.00 USD with one up"
        assert "cannot be told" in findings.swings(pd.DataFrame({"lower": [np.nan], "higher": [np.nan]}), "USD")


class TestMaxCac:
    MEMBERS = pd.DataFrame(
        [("channel", "lucky", 40, 120.0, 20.0, 50.0, ""), ("channel", "sure", 50, 90.0, 60.0, np.nan, ""),
         ("channel", "tiny", 7, np.nan, np.nan, 10.0, "7 of 30"), ("channel", "wide", 60, 50.0, np.nan, 10.0, ""),
         ("plan", "pro", 60, 87.5, 80.0, np.nan, "")],
        columns=["dimension", "member", "customers", "ltv", "ltv_low", "cac", "remark"])
    STREAMS = {("all", "all"): stream(), ("channel", "lucky"): stream(), ("plan", "pro"): stream(annual_rate=0.5)}

    def table(self, **terms):
        return worth.max_cac_by(self.MEMBERS, self.STREAMS, **{"target": 4.0, "payback": 2} | terms).set_index("member")

    def test_ltv_over_the_target_and_what_comes_back_in_time(self):
        row = self.table().loc["lucky"]
        # 120 ÷ 4; margin of two months 50 + 25, neither discounted nor less costs; 50 are paid now
        assert row[["max_cac", "max_cac_payback", "headroom", "n"]].to_list() == pytest.approx([30, 75, -20, 60])
        assert self.table().loc["pro", "max_cac_payback"] == pytest.approx(75)
        assert self.table(payback=12).loc["lucky", "max_cac_payback"] == pytest.approx(87.5)  # the horizon ends it

    def test_the_lower_bound_ranks_within_a_dimension(self):
        table = self.table()
        assert table.index.to_list() == ["sure", "lucky", "tiny", "wide", "pro"]
        assert table["rank"].to_list() == pytest.approx([1, 2, np.nan, np.nan, 1], nan_ok=True)
        assert table["remark"].to_list() == ["", "", "7 of 30", "not ranked: the LTV has no lower bound", ""]

    def test_who_has_no_cost_has_no_headroom(self):
        assert self.table()["headroom"].isna().to_list() == [True, False, True, False, True]

    def test_where_no_ltv_is_known_the_reason_of_each_stays(self):
        unknown = self.MEMBERS.assign(ltv=np.nan, ltv_low=np.nan, remark="not_estimable: a snapshot")
        table = worth.max_cac_by(unknown, {("all", "all"): UNKNOWN}, target=3, payback=12)
        assert set(table["remark"]) == {"not_estimable: a snapshot"} and len(table) == 5
        assert worth.max_cac_by(unknown.head(0), {("all", "all"): UNKNOWN}, target=3, payback=12).empty


class TestNegative:
    def levers(self, of):
        return worth.negative_ltv({("channel", "ads"): of}).set_index("lever")

    def test_nobody_is_listed_at_zero_and_above(self):
        assert worth.negative_ltv({("all", "all"): stream(), ("plan", "even"): stream(cac=70.0)}).empty
        assert worth.negative_ltv({("all", "all"): UNKNOWN}).empty

    def test_what_each_lever_alone_must_reach(self):
        # 87.5 − 17.5 − 87.5: 17.5 short. A tenth of the revenue of 175 is missing: margin 60 %, price 110, CAC 70
        table = self.levers(stream(cac=87.5))
        assert table["net"].to_list() == pytest.approx([-17.5] * 4)
        assert table.iloc[0][["ltv", "retention_costs", "cac"]].to_list() == pytest.approx([87.5, 17.5, 87.5])
        assert table.loc["gross margin", ["now", "must_reach"]].to_list() == pytest.approx([0.5, 0.6])
        assert table.loc["price", ["now", "must_reach"]].to_list() == pytest.approx([100, 110])
        assert table.loc["CAC", ["now", "must_reach"]].to_list() == pytest.approx([87.5, 70])
        # 40 of each 100 is left: S = 1, x, x² must sum to 87.5/40 = 2.1875
        x = (5.75**0.5 - 1) / 2
        assert 1 + x + x * x == pytest.approx(2.1875)
        assert table.loc["monthly churn", ["now", "must_reach"]].to_list() == pytest.approx([0.5, 1 - x])

    def test_its_interval_is_the_ltv_s_less_the_same_costs(self):
        assert self.levers(stream(cac=87.5)).iloc[0][["low", "high", "n"]].to_list() == pytest.approx([-25, -5, 60])

    def test_where_no_value_of_a_lever_is_enough_it_is_empty(self):
        # costs 300 + 17.5 against 175 of revenue, 120 net of keeping if all stayed; a CAC of 70 would do, and a price
        table = self.levers(stream(cac=300.0))
        assert table.index[table["must_reach"].isna()].to_list() == ["gross margin", "monthly churn"]
        # 17.5 + 300 − 87.5 = 230 more on 175: 231.43
        assert table.loc["price", "must_reach"] == pytest.approx(100 * (1 + 230 / 175))

    def test_what_is_lost_before_it_is_won_no_cac_mends(self):
        # a margin of 5 % does not pay for keeping: 8.75 − 17.5; longer is worse
        table = self.levers(stream(margin=0.05, cac=np.nan))
        assert table.index[table["must_reach"].isna()].to_list() == ["monthly churn", "CAC"]
        assert table.loc["CAC", "now"] == 0 and table.loc["gross margin", "must_reach"] == pytest.approx(0.1)

    def test_refunds_above_sales_are_mended_by_cac_alone_or_not_at_all(self):
        table = self.levers(stream([-10, -5, -2.5], curve=np.array([1, 0.5, 0.25]), kept=0.0, cac=0.0))
        assert table["must_reach"].isna().all()


class TestMemberStreams:
    def test_members_with_an_ltv_have_a_stream_that_sums_up_to_it(self):
        """Half leave after a month; 10 a month, half of it margin: 5 · (1 + .5 + .5) = 10."""
        of = Worth(Estimate(10, 8, 12, 40), np.array([10, 5, 5, 5]), np.array([1, 0.5, 0.5, 0.5]))
        found = {("channel", "a"): of, ("channel", "b"): Worth(Estimate(np.nan, np.nan, np.nan, 9)), ("plan", "p"): of}
        members = cac.by_member(found, pd.Series(dtype=int), {("channel", "a"): 4.0}, horizon=3, margin=0.5)
        company, policy = stream(kept=0.0), Policy(horizon_months=3)
        streams = worth.member_streams(members, company, found, policy)
        assert list(streams) == [("all", "all"), ("plan", "p"), ("channel", "a")] and streams["all", "all"] is company
        a = streams["channel", "a"]
        assert a.revenue == pytest.approx([10, 5, 5, 5]) and a.curve == pytest.approx([1, 0.5, 0.5, 0.5])
        assert worth.net(a) + 4 == pytest.approx(a.ltv.value) and a.ltv.n == 40
        assert (a.cac, streams["plan", "p"].cac) == (4, 30)
        own = members.assign(cac=7.0)
        assert worth.member_streams(own, company, found, policy)["plan", "p"].cac == 7
        free = members.assign(cac=np.nan)  # a channel without spend of its own costs nobody else's
        assert np.isnan(worth.member_streams(free, company, found, policy)["channel", "a"].cac)
        few = members.assign(customers=4)
        assert list(worth.member_streams(few, company, found, policy)) == [("all", "all")]


def test_the_months_of_a_new_buyer_are_the_first_purchase_and_the_model_s_increments():
    # 20 a purchase, one in two months
    purchases, spend = SimpleNamespace(expected_new=lambda weeks: weeks * 84 / 365.25 / 2), SimpleNamespace(mean=20.0)
    assert revenue_by_month(purchases, spend, 3) == pytest.approx([20, 10, 10, 10])
