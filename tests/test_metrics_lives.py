"""Churn by billing, the loss of a year, medians: small books counted by hand."""

import numpy as np
import pandas as pd
import pytest
from test_marts import sale, sub

from helpers.metrics import lives

POOLED = pd.Series({"value": 0.5, "low": 0.0, "high": 1.0, "n": 70})


class TestBilling:
    def table(self, *rows, moves=True, window=2):
        names = ["month", "billing", "customers", "churned", "renewals", "churned_at_renewal"]
        months = pd.DataFrame({"month": [1, 2, 3], "moves": moves})
        return lives.churn_by_billing(pd.DataFrame(rows, columns=names), months, window=window, confidence=0.95)

    def test_per_customer_month_and_per_renewal_over_the_window(self):
        # the first month is out; monthly 30 of 300; yearly 6 of 120, of whom 5 of 10 at renewal
        found = self.table((1, "month", 999, 900, 999, 900), (2, "month", 100, 10, 100, 10), (3, "month", 200, 20, 200, 20),
                           (2, "year", 60, 3, 4, 2), (3, "year", 60, 3, 6, 3)).set_index("billing")
        assert [*found.index] == ["month", "year", "all"]
        assert found["customers"].to_list() == [200, 60, 260] and found["customer_months"].to_list() == [300, 120, 420]
        assert found["churn"].to_list() == pytest.approx([0.1, 0.05, 36 / 420]) and found["churned"].to_list() == [30, 6, 36]
        assert found["churn_at_renewal"].to_list() == pytest.approx([0.1, 0.5, np.nan], nan_ok=True)
        assert found["renewals"].to_list() == pytest.approx([300, 10, np.nan], nan_ok=True)
        year = found.loc["year"]
        # dispersion 1, t(1) = 12.706; ± 12.706/√(10 · .25) on the logit scale
        assert year["renewal_low"] == pytest.approx(1 / (1 + np.exp(12.7062 / np.sqrt(2.5))), rel=1e-3)
        assert year["low"] < 0.05 < year["high"] < year["renewal_high"]

    def test_months_without_movements_are_left_out(self):
        found = self.table((2, "year", 60, 3, 4, 2), (3, "year", 60, 6, 6, 3), moves=[False, False, True])
        assert found["customer_months"].to_list() == [60, 60]

    def test_without_subscriptions_all_is_unknown(self):
        found = self.table()
        assert found["billing"].to_list() == ["all"] and np.isnan(found["churn"].iloc[0])

    def test_who_is_billed_how_and_what_is_due(self, make):
        year, quarter = {"interval": "year"}, {"interval_count": 3}
        book = make("2024-05", policy={"churn_window_months": 1}, subscriptions=[
            sub("ann", "2024-01-05"), sub("bob", "2024-01-05", "2024-05-03"), sub("hal", "2024-01-05", paused_at="2024-05-10"),
            sub("cat", "2023-05-10", "2024-05-10", 120, **year),                      # leaves at its renewal
            sub("dan", "2023-05-20", None, 120, **year),                              # renews
            sub("eve", "2023-09-01", "2024-05-15", 120, **year),                      # leaves within its year
            sub("ivy", "2024-01-01", None, 600, **year), sub("ivy", "2023-05-01"),    # the larger one counts
            sub("fay", "2024-02-10", None, 30, **quarter), sub("gus", "2024-03-10", None, 30, **quarter),
            sub("new", "2024-05-02"),
        ])
        found = book.frame("summaries/churn_by_billing")
        assert found.drop(columns="month").to_numpy().tolist() == [
            ["month", 3, 1, 3, 1], ["other", 2, 0, 1, 0], ["year", 4, 2, 2, 1]]
        months = book.frame("summaries/months").iloc[-1]
        assert (found["customers"].sum(), found["churned"].sum()) == (months["active_start"], months["churned"])


class TestYear:
    def test_counted_beside_the_monthly_rate_carried_on(self):
        found = lives.year_loss(pd.DataFrame({"customers": [40], "lost": [10]}), POOLED, 0.95)
        assert found["value"].to_list() == pytest.approx([0.25, 1 - 0.5**12]) and found["n"].to_list() == [40, 70]
        # Wilson, z² = 3.8415: (10 + 1.9207 ± 1.96·√(10·30/40 + .9604)) ÷ 43.8415
        assert found.loc[0, ["low", "high"]].to_list() == pytest.approx([0.14187, 0.40194], abs=1e-4)
        assert found.loc[1, ["low", "high"]].to_list() == [0, 1]

    def test_nobody_a_year_ago_is_unknown(self):
        found = lives.year_loss(pd.DataFrame({"customers": [0], "lost": [0]}), POOLED, 0.95)
        assert found.loc[0, ["value", "low", "high"]].isna().all()

    @pytest.mark.parametrize(("policy", "expected"), [
        ({}, [4, 2]), ({"observed_from": "2024-06-01"}, [4, 2]), ({"observed_from": "2024-06-02"}, [0, 0])])
    def test_who_paid_a_year_ago_and_does_not_now(self, make, policy, expected):
        book = make("2025-05", policy=policy, subscriptions=[
            sub("ann", "2024-01-05"), sub("bob", "2024-01-05", "2024-12-05"), sub("cat", "2024-07-05"),
            sub("dan", "2024-01-05", "2024-08-05"), sub("dan", "2025-02-05"),         # is back
            sub("eve", "2024-01-05", paused_at="2025-05-10"), sub("fay", "2023-01-05", "2024-05-20")])
        assert book.frame("summaries/year_loss").iloc[0].to_list() == expected

    def test_with_sales_alone_active_a_year_ago_means_a_sale_within_180_days(self, make):
        # at 2024-06-01: xia, yan, zoe and, on the last day, vic (2023-12-04 + 180 days); of them xia has bought again
        book = make("2025-05", transactions=[
            sale("xia", "2024-04-20"), sale("xia", "2025-05-01"), sale("yan", "2024-05-20"), sale("zoe", "2024-01-02"),
            sale("vic", "2023-12-04"), sale("uwe", "2023-12-03"), sale("wim", "2025-05-03")])
        assert book.frame("summaries/year_loss").iloc[0].to_list() == [4, 3]


class TestMedians:
    def ends(self, member, *rows):
        table = pd.DataFrame([(0, 0, 0, 40), *rows], columns=["month", "events", "censored", "entered"])
        return table.assign(dimension="all" if member == "all" else "plan", member=member)

    def test_reached_or_not(self):
        book = pd.concat([
            self.ends("all", (2, 8, 0, 0), (4, 12, 0, 0), (6, 16, 0, 0), (7, 0, 4, 0)),     # .8, .5, .1
            self.ends("long", (5, 10, 0, 0), (9, 0, 30, 0)),                                # .75, and no more is seen
            self.ends("thin", (5, 10, 21, 0), (9, 8, 1, 0)),                                # nine at risk at 9
            self.ends("late", (1, 1, 0, 0), (9, 20, 19, 0))]).reset_index(drop=True)        # .975, .475: .31 to .62
        found = lives.medians(book, confidence=0.95).set_index("member")
        assert found["median"].to_list() == pytest.approx([4, 9, np.nan, np.nan], nan_ok=True)
        assert found["remark"].to_list() == [
            "", "upper bound not reached in 9 months", "median not reached in 9 months", "median not reached in 5 months"]
        assert found["still_there"].to_list() == pytest.approx([0.1, 19 / 40, 0.75, 0.75])
        assert (found["customers"] == 40).all() and found.loc["late", "low"] == 9

    def test_other_cuts_are_left_out(self):
        assert lives.medians(self.ends("x", (9, 20, 20, 0)).assign(dimension="channel"), confidence=0.95).empty
