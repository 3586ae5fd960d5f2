"""What a customer costs: three bases, the lag, months without spend, channels that add up, payback and cost ratio."""

import numpy as np
import pandas as pd
import pytest

from helpers.metrics import cac
from helpers.metrics.members import Worth
from helpers.models.intervals import Estimate


def months(*acquired, moves=True, first=1):
    index = range(first, first + len(acquired))
    return pd.DataFrame({"month": index, "period": [f"m{m}" for m in index], "moves": moves, "acquired": acquired})


def spend(*rows):
    return pd.DataFrame(rows, columns=["month", "channel", "media", "loaded", "new_customers"])


@pytest.fixture
def two_months():
    """search is paid media, partner costs people alone, 3 + 2 customers have no channel."""
    return spend(
        (1, "search", 100.0, 150.0, 5), (1, "partner", 0.0, 30.0, 2), (1, "(unattributed)", 0.0, 0.0, 3),
        (2, "search", 120.0, 120.0, 4), (2, "partner", 80.0, 80.0, 1), (2, "(unattributed)", 0.0, 0.0, 3),
    )


class TestByMonth:
    def test_blended_paid_and_loaded(self, two_months):
        table = cac.cac_by_month(two_months, months(10, 8), lag=0).set_index("month")
        # month 1: 100 of 10 · 100 of search's 5 · 180 of 10; month 2: 200 of 8 · 200 of 4 + 1 · 200 of 8
        assert table.loc[1, ["cac_blended", "cac_paid", "cac_loaded"]].to_list() == [10, 20, 18]
        assert table.loc[2, ["cac_blended", "cac_paid", "cac_loaded"]].to_list() == [25, 40, 25]
        assert table["period"].to_list() == ["m1", "m2"]

    def test_customers_without_a_channel_are_blended_and_not_paid(self, two_months):
        named = two_months[two_months["channel"] != "(unattributed)"]
        for rows in (two_months, named):
            table = cac.cac_by_month(rows, months(10, 8), lag=0)
            assert table[["acquired", "acquired_paid"]].to_numpy().tolist() == [[10, 5], [8, 5]]

    def test_spend_meets_the_customers_that_come_lag_months_later(self, two_months):
        table = cac.cac_by_month(two_months, months(10, 8, 5), lag=1).set_index("month")
        # month 2: spend of month 1 on its 8; paid: search alone had media in month 1, and brings 4 in month 2
        assert table.loc[2, ["cac_blended", "cac_paid", "cac_loaded"]].to_list() == [12.5, 25, 22.5]
        assert 1 not in table.index and table.loc[3, "cac_blended"] == 40
        assert table.loc[3, "acquired_paid"] == 0 and np.isnan(table.loc[3, "cac_paid"])  # nobody came: unknown, not 0

    def test_a_month_without_spend_between_two_counts_with_its_customers(self):
        rows = spend(*[(month, "search", media, media, 5) for month, media in ((1, 100), (2, 0), (3, 80), (4, 0))])
        table = cac.cac_by_month(rows, months(5, 5, 5, 9), lag=0)
        assert table["month"].to_list() == [1, 2, 3]  # after the last spend nothing is known
        assert table["cac_blended"].to_list() == [20, 0, 16]
        assert cac.cac_of(table, "blended", 1, 3).value == pytest.approx(180 / 15)

    def test_months_at_the_left_edge_are_left_out(self, two_months):
        table = cac.cac_by_month(two_months, months(10, 8).assign(moves=[False, True]), lag=0)
        assert table["month"].to_list() == [2]

    def test_without_spend_there_is_no_row(self):
        rows = spend((1, "(unattributed)", 0.0, 0.0, 5))
        assert cac.cac_by_month(rows, months(5), lag=0).empty
        assert cac.cac_by_month(spend(), months(5), lag=0).empty


class TestWindow:
    @pytest.mark.parametrize(("basis", "value", "n"), [
        ("blended", 300 / 18, 18), ("paid", 30, 10), ("loaded", 380 / 18, 18)])
    def test_sums_over_the_window(self, two_months, basis, value, n):
        table = cac.cac_by_month(two_months, months(10, 8), lag=0)
        found = cac.cac_of(table, basis, 1, 2)
        assert found.value == found.low == found.high == pytest.approx(value) and found.n == n
        outside = pd.concat([table, *[table.assign(month=month, media=999, loaded=999) for month in (0, 3)]])
        assert cac.cac_of(outside, basis, 1, 2) == found

    def test_no_customers_or_no_spend_is_unknown(self, two_months):
        table = cac.cac_by_month(two_months, months(10, 8), lag=0)
        assert np.isnan(cac.cac_of(table, "blended", 3, 8).value)
        assert np.isnan(cac.cac_of(table.assign(acquired=0), "blended", 1, 2).value)
        assert np.isnan(cac.cac_of(table.assign(media=0), "paid", 1, 2).value)


class TestPayback:
    INCOME = np.array([10, 5, 2.5, 1.25])  # half leave every month: 10, 15, 17.5, 18.75 in all

    @pytest.mark.parametrize(("cost", "paid_back"), [(9, 1), (10, 1), (10.01, 2), (16, 3), (17.5, 3), (18.75, 4)])
    def test_the_first_month_whose_income_of_survivors_covers_the_cost(self, cost, paid_back):
        # 16 ÷ 10 a month would say 2, as if nobody left
        found, how = cac.payback(self.INCOME, Estimate(20, 20, 20, 50), cost)
        assert (found.value, found.n, how) == (paid_back, 50, "survival-weighted, undiscounted")

    def test_not_within_the_horizon(self):
        found, how = cac.payback(self.INCOME, Estimate(20, 20, 20, 50), 18.76)
        assert np.isnan(found.value) and how == ">H"

    def test_bounds_move_the_income_as_those_of_the_ltv(self):
        # twice the income: 20 ≥ 16 at once; half of it ends at 9.4
        found, _ = cac.payback(self.INCOME, Estimate(20, 10, 40, 50), 16)
        assert (found.value, found.low) == (3, 1) and np.isnan(found.high)

    def test_an_ltv_of_nothing_or_below_has_no_bounds_of_payback(self):
        for value in (0.0, -5.0):
            found, how = cac.payback(value * self.INCOME, Estimate(value, -9, 9, 50), 16)
            assert np.isnan([found.value, found.low, found.high]).all() and how == ">H"

    @pytest.mark.parametrize(("income", "cost"), [(INCOME, np.nan), (np.zeros(0), 16)])
    def test_without_cost_or_income_it_says_what_it_needs(self, income, cost):
        found, how = cac.payback(income, Estimate(20, 20, 20, 50), cost)
        assert np.isnan(found.value) and how == "needs an LTV and marketing_spend"


class TestCostRatio:
    def ratio(self, subscriptions=True, **changes):
        """Six months to month 7, the one before shouts. New 100 and kept 500; in sales 40 and 160."""
        numbers = {"mrr_new": 100, "mrr_end": 600, "revenue_new": 40, "revenue_known": 200}
        numbers |= {"loaded": 200, "retention": 50} | changes
        table = pd.DataFrame({"month": [1, 2, 7]} | {name: [9999, 0, value] for name, value in numbers.items()})
        return cac.cost_ratio(table, table, table, subscriptions=subscriptions, last=7)

    def test_acquiring_a_unit_of_mrr_over_keeping_one(self):
        assert self.ratio() == pytest.approx((200 / 100) / (50 / 500))

    def test_of_revenue_where_there_are_no_subscriptions(self):
        assert self.ratio(subscriptions=False) == pytest.approx((200 / 40) / (50 / 160))

    def test_only_months_whose_spend_is_known_count_on_its_side(self):
        # new 100 + 300 of 600 + 600: kept 800 for 50 + 30. Spend met the second month alone: 120 for 300
        months = pd.DataFrame({"month": [6, 7], "mrr_new": [100, 300], "mrr_end": [600, 600], "retention": [50, 30]})
        table = pd.DataFrame({"month": [7], "loaded": [120]})
        found = cac.cost_ratio(months, months, table, subscriptions=True, last=7)
        assert found == pytest.approx((120 / 300) / (80 / 800))

    @pytest.mark.parametrize("missing", [{"retention": 0}, {"loaded": 0}, {"mrr_new": 0}, {"mrr_end": 100}])
    def test_a_side_without_money_is_unknown(self, missing):
        assert np.isnan(self.ratio(**missing))


class TestByMember:
    """Channel a: 40 customers who bring 20, 10, 10, half of it margin, then a month beyond the horizon; b has no LTV."""

    FOUND = {
        ("channel", "a"): Worth(Estimate(20, 15, 25, 40), np.array([20, 10, 10, 99]), np.array([1, 0.5, 0.5, 0.5])),
        ("channel", "b"): Worth(Estimate(np.nan, np.nan, np.nan, 29), remark="29 customers; 30 are needed"),
        ("plan", "p"): Worth(Estimate(20, 15, 25, 30), np.array([20, 10, 10, 99]), np.array([1, 0.5, 0.5, 0.5])),
    }
    WON = pd.Series({("channel", "a"): 8, ("channel", "(unattributed)"): 7, ("plan", "p"): 15, ("campaign", "x"): 15})

    def table(self, costs=None):
        table = cac.by_member(self.FOUND, self.WON, costs or {}, horizon=3, margin=0.5)
        return table.set_index(["dimension", "member"])

    def test_plans_come_first_and_channels_without_customers_stay_so_that_new_customers_add_up(self):
        table = self.table()
        assert table.index.to_list() == [("plan", "p"), ("channel", "(unattributed)"), ("channel", "a"), ("channel", "b")]
        assert table["customers"].to_list() == [30, 0, 40, 29] and table["new_customers"].to_list() == [15, 7, 8, 0]
        assert table["remark"].to_list() == ["", "no active customer names it", "", "29 customers; 30 are needed"]
        assert table.loc["plan", "p"][["ltv", "ltv_low", "ltv_high"]].to_list() == [20, 15, 25]
        columns = ["customers", "ltv", "ltv_low", "ltv_high", "cac", "ltv_to_cac", "payback_months"]
        assert table.columns[:7].to_list() == columns

    def test_whose_cost_is_known_has_ratio_and_payback(self):
        table = self.table({("channel", "a"): 12.5, ("channel", "b"): 9.0, ("plan", "a"): 99})  # margin 10, 5, 5
        assert table.loc["channel", "a"][["cac", "ltv_to_cac", "payback_months"]].to_list() == [12.5, 1.6, 2]
        assert table.loc["channel", "a"][["ltv_to_cac_low", "ltv_to_cac_high"]].to_list() == [15 / 12.5, 25 / 12.5]
        assert table.loc["channel", "b"]["cac"] == 9 and np.isnan(table.loc["channel", "b"]["ltv_to_cac"])
        assert np.isnan(table.loc["plan", "p"][["cac", "ltv_to_cac", "payback_months"]].astype(float)).all()

    def test_the_month_beyond_the_horizon_pays_nothing_back(self):
        assert np.isnan(self.table({("channel", "a"): 20.01}).loc["channel", "a"]["payback_months"])

    def test_an_ltv_is_hidden_by_who_it_rests_on_and_a_cost_by_who_was_won(self):
        table = cac.by_member(self.FOUND, self.WON, {("channel", "a"): 12.5}, horizon=3, margin=0.5)
        table = table.assign(ltv_shrunken=table["ltv"])
        for below, wanted in ((8, [20, 15, 25, 20, 12.5, 1.6, 2]), (9, [20, 15, 25, 20, *[np.nan] * 3]), (41, [np.nan] * 7)):
            row = cac.shown(table, below).set_index("member").loc["a"]
            found = row[["ltv", "ltv_low", "ltv_high", "ltv_shrunken", "cac", "ltv_to_cac", "payback_months"]].to_list()
            sides = row[["ltv_to_cac_low", "ltv_to_cac_high"]].astype(float)
            assert sides.isna().all() == np.isnan(row["ltv_to_cac"])
            assert found == pytest.approx(wanted, nan_ok=True), below
            assert (row["customers"], row["new_customers"]) == (40, 8)
        hidden = cac.shown(table, 41).set_index("member")["remark"]
        assert hidden["a"] == "hidden: fewer than 41 customers" and hidden["b"].startswith("29 customers")

    def test_together_is_weighted_by_new_customers_and_says_how_many_are_known(self):
        members = pd.DataFrame({"dimension": "channel", "member": list("abc"), "ltv": [10, 40, np.nan],
                                "new_customers": [2, 1, 1]})
        assert cac.together(members).to_numpy().tolist() == [["channel", 20, 0.75]]
        assert cac.together(members.assign(ltv=np.nan)).empty and cac.together(members.assign(new_customers=0)).empty
