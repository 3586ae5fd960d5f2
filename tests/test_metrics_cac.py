"""What a customer costs: three bases, the lag, months without spend, channels that add up, payback and cost ratio."""

import numpy as np
import pandas as pd
import pytest

from helpers.metrics import cac
from helpers.models.intervals import Estimate
from helpers.models.sbg import Sbg


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

    @pytest.mark.parametrize("missing", [{"retention": 0}, {"loaded": 0}, {"mrr_new": 0}, {"mrr_end": 100}])
    def test_a_side_without_money_is_unknown(self, missing):
        assert np.isnan(self.ratio(**missing))


class TestByMember:
    @pytest.fixture
    def book(self):
        """Channel a: 40 customers, half leave after a month; b has no model; c too few customers for a figure."""
        a, b, c, p, whole = ("channel", "a"), ("channel", "b"), ("channel", "c"), ("plan", "p"), ("all", "all")
        rows = [(*key, *row) for key in (a, c, p) for row in ((0, 0, 0, 40), (1, 20, 0, 0), (3, 0, 20, 0))]
        ends = pd.DataFrame(rows, columns=["dimension", "member", "month", "events", "censored", "entered"])
        worth, models = {a: 40, b: 40, c: 29, p: 30, whole: 99}, dict.fromkeys([whole, a, c, p], Sbg(1.0, 1.0))
        rows = spend((0, "a", 9999.0, 9999.0, 999), (1, "a", 60.0, 99.0, 3), (6, "a", 36.0, 36.0, 5),
                     (6, "b", 50.0, 50.0, 5), (6, "(unattributed)", 0.0, 0.0, 7), (7, "a", 9999.0, 9999.0, 999))
        return ends, models, {key: Estimate(10, 10, 10, n) for key, n in worth.items()}, rows

    def table(self, dimension, book, lag=0, costs=None, shared=0.0):
        return cac.by_member(dimension, *book, margin=0.5, horizon=3, annual_rate=0.0, last=6, lag=lag, confidence=0.95,
                             least=30, costs=costs or {}, shared=shared).set_index("member")

    def test_a_plan_has_worth_and_no_cost(self, book):
        row = self.table("plan", book).loc["p"]
        assert (row["customers"], row["ltv"]) == (30, pytest.approx(0.5 * 10 * 2))
        assert row["ltv_low"] < 10 < row["ltv_high"]
        assert np.isnan(row[["cac", "ltv_to_cac", "payback_months"]].astype(float)).all()

    def test_a_plan_whose_customers_costs_are_known_has_ratio_and_payback(self, book):
        row = self.table("plan", book, costs={("plan", "p"): 7.5, ("channel", "p"): 99}).loc["p"]  # income 5, 2.5, 2.5
        assert row[["cac", "ltv_to_cac", "payback_months"]].to_list() == pytest.approx([7.5, 10 / 7.5, 2])

    def test_what_the_months_share_widens_the_worth_of_a_member(self, book):
        # 2 months lived, of which a log unit of all hazards takes 1: .3 of it moves the worth by .15 on the log scale
        alone, both = (self.table("plan", book, shared=shared).loc["p"] for shared in (0.0, 0.3))
        reach = [np.log(row["ltv_high"] / row["ltv"]) for row in (alone, both)]
        assert reach[1]**2 - reach[0]**2 == pytest.approx(0.15**2)

    def test_a_channel_has_six_months_of_media_over_its_new_customers(self, book):
        row = self.table("channel", book).loc["a"]
        # months 1 … 6: 96 for 8 customers, 12 each; income 5, 2.5, 2.5 (S = 1, .5, .5): 10 in all, so never paid back
        assert (row["customers"], row["cac"]) == (8, 12) and row["ltv_to_cac"] == pytest.approx(10 / 12)
        assert np.isnan(row["payback_months"])

    def test_a_lag_moves_the_spend_and_not_the_customers(self, book):
        row = self.table("channel", book, lag=5).loc["a"]  # spend of months −4 … 1, customers of 1 … 6
        assert (row["customers"], row["cac"]) == (8, (9999 + 60) / 8)

    def test_payback_of_a_channel(self, book):
        ends, models, worth, rows = book
        cheap = spend((6, "a", 72.0, 72.0, 10))  # 7.2 each: 5 + 2.5 in two months
        assert self.table("channel", (ends, models, worth, cheap)).loc["a", "payback_months"] == 2

    def test_members_without_a_model_or_a_name_stay_so_that_customers_add_up(self, book):
        table = self.table("channel", book)
        assert table.index.to_list() == ["(unattributed)", "a", "b", "c"]
        assert table["customers"].to_list() == [7, 8, 5, 0] and table.loc["b", "cac"] == 10
        assert table["ltv"].notna().to_list() == [False, True, False, False]  # c: fewer customers than asked for
        assert np.isnan(table.loc[["(unattributed)", "c"], "cac"]).all()
