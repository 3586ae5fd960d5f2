"""The cards of the fitted models: what they expect of the data that they were fitted to, worked out by hand."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_marts import sale

from helpers import findings
from helpers.metrics import model_cards

LOYAL, FICKLE = (1.0, 1.0, 1e-9, 1.0), (1.0, 1.0, 1.0, 1e-9)  # nobody drops out; all do after the first repeat purchase


def purchases(*rows):
    return pd.DataFrame(rows, columns=["x", "last_days", "observed_days", "customers"])


def bg_nbd(parameters):
    return pd.DataFrame({"model": "bg_nbd", "dimension": "all", "member": "all", "parameter": [*"r", "alpha", "a", "b"],
                         "value": parameters})


class TestFrequencies:
    def test_chances_halve_with_each_repeat_day(self):
        # r = α = 1, a week: P(x) = .5^(x + 1); of 128 customers 64, 32, … and 1 with 7 or more
        found = model_cards.frequencies(purchases((0, 0, 7, 60), (2, 3, 7, 60), (7, 6, 7, 5), (9, 6, 7, 3)), bg_nbd(LOYAL))
        assert found["repeat_days"].to_list() == ["0", "1", "2", "3", "4", "5", "6", "7+"]
        assert found["actual"].to_list() == [60, 0, 60, 0, 0, 0, 0, 8]
        assert found["expected"].to_list() == pytest.approx([64, 32, 16, 8, 4, 2, 1, 1])

    def test_each_is_expected_by_its_own_time(self):
        # 1 and 3 weeks: P(0) = 1/2 and 1/4; all others drop out after one repeat day
        found = model_cards.frequencies(purchases((0, 0, 7, 10), (1, 5, 21, 40)), bg_nbd(FICKLE))
        assert found["expected"].to_list() == pytest.approx([5 + 10, 5 + 30, 0, 0, 0, 0, 0, 0], abs=1e-4)


    @pytest.mark.parametrize(("expected", "said"), [
        ([60, 25, 15], "10.0% of the customers: it expects too many with 0 repeat days"),
        ([50, 10, 40], "20.0% of the customers: it expects too few with 1 repeat days"),
    ])
    def test_the_widest_miss_is_said(self, expected, said):
        table = pd.DataFrame({"repeat_days": ["0", "1", "2"], "actual": [50, 30, 20], "expected": expected})
        assert findings.frequencies(table) == f"The purchase model misses by at most {said}"


class TestTracking:
    def by_month(self, repeats, days_left):
        periods = [f"m{i}" for i in range(len(repeats))]
        return pd.DataFrame({"period": periods, "repeats": repeats, "days_left": days_left})

    def test_expected_counts_from_each_first_day_on(self):
        # a purchase a week: 10 customers of 70 days, one of 28; 91 and 63 days before as_of: 0 and 1 week of the ten
        book = purchases((0, 0, 70, 4), (1, 9, 70, 6), (0, 0, 28, 1))
        found = model_cards.tracking(book, self.by_month([0, 5, 45, 50], [91, 63, 28, 0]), bg_nbd(LOYAL))
        assert found["actual"].to_list() == [0, 5, 50, 100]
        assert found["expected"].to_list() == pytest.approx([0, 10, 60, 104], abs=1e-5)
        assert found["deviation"].to_list() == pytest.approx([np.nan, 1, 0.2, 0.04], nan_ok=True, abs=1e-6)

    def test_thirteen_months_are_shown_and_all_are_counted(self):
        found = model_cards.tracking(purchases((0, 0, 70, 1)), self.by_month([1] * 15, range(140, -10, -10)), bg_nbd(LOYAL))
        assert found["actual"].to_list() == [*range(3, 16)] and found["period"].iloc[0] == "m2"

    @pytest.mark.parametrize(("off", "said"), [
        ([0.02, -0.15], "tracks repeat purchases: at most 15.0% below what came (b)"),
        ([0.16, 0.1], "fails to track repeat purchases: at most 16.0% above what came (a)")])
    def test_the_largest_deviation_is_said(self, off, said):
        table = pd.DataFrame({"period": ["a", "b"], "deviation": off})
        assert findings.tracked(table, 0.15) == f"The purchase model {said}"

    def test_months_of_repeat_days_begin_with_the_first_purchase(self, make):
        days = ["2024-01-05", "2024-01-09", "2024-01-09T12:00:00", "2024-03-02"]
        book = make("2024-03", transactions=[*(sale("ann", day) for day in days), sale("bob", "2024-02-03")])
        found = book.frame("summaries/purchases_months")
        assert found.to_numpy().tolist() == [["2024-01", 1, 60], ["2024-02", 0, 31], ["2024-03", 1, 0]]


def checks(customers, totals=(10, 60, 60), cv=0.8):
    spend = pd.DataFrame({"x": [1, 2, 3], "total": totals, "customers": customers})
    regularity = pd.DataFrame({"customers": [9], "median_cv": [cv]})
    return model_cards.purchase_checks(spend, regularity, 0.95)


class TestChecks:
    @pytest.mark.parametrize(("customers", "low", "high", "reading"), [
        # means 10, 30, 20 of 1, 2, 3 days: r = .5, atanh .5493; half 1.96/√(n − 3): .6533 and .1812
        (4, np.tanh(0.5493 - 0.6533), np.tanh(0.5493 + 0.6533), "no sign that spend goes with frequency"),
        (40, np.tanh(0.5493 - 0.1812), np.tanh(0.5493 + 0.1812), "spends more a time")])
    def test_correlation_of_days_and_spend_over_customers(self, customers, low, high, reading):
        row = checks(customers).iloc[0]
        assert [row["value"], row["low"], row["high"], row["n"]] == pytest.approx([0.5, low, high, 3 * customers], abs=1e-4)
        assert reading in row["reading"]

    def test_customers_who_share_a_row_weigh_as_many(self):
        # 1, 2 and 3 of six: means 7/3 and 65/3, cov 10/9, variances 5/9 and 425/9
        assert checks([4, 8, 12]).iloc[0]["value"] == pytest.approx(10 / 9 / np.sqrt(5 / 9 * 425 / 9))

    def test_who_comes_often_may_spend_less(self):
        row = checks(40, totals=(30, 20, 60)).iloc[0]  # means 30, 10, 20
        assert row["value"] == pytest.approx(-0.5) and "spends less a time" in row["reading"]

    @pytest.mark.parametrize(("customers", "totals"), [(1, (10, 60, 60)), (40, (10, 20, 30))])
    def test_too_few_or_all_alike_say_nothing(self, customers, totals):
        row = checks(customers, totals).iloc[0]
        assert np.isnan([row["value"], row["low"], row["high"]]).all() and row["reading"] == "too few to say"

    @pytest.mark.parametrize(("cv", "reading"), [
        (0.49, "too regular; no model below 0.5"), (0.5, "not too regular; no model below 0.5"),
        (np.nan, "nobody has two gaps; no model below 0.5")])
    def test_the_rhythm_is_shown_beside_its_bar(self, cv, reading):
        row = checks(4, cv=cv).iloc[1]
        assert row["reading"] == reading and row["n"] == 9
        assert row["value"] == pytest.approx(cv, nan_ok=True)

    def test_cdnow_has_the_published_correlation(self):
        folder = Path(find_spec("lifetimes").submodule_search_locations[0]) / "datasets"
        table = pd.read_csv(folder / "cdnow_customers_summary_with_transactions.csv").query("x > 0")
        spend = pd.DataFrame({"x": table["x"], "total": table["x"] * table["zbar"], "customers": 1})
        row = model_cards.purchase_checks(spend, pd.DataFrame({"customers": [1], "median_cv": [1.0]}), 0.95).iloc[0]
        assert row["value"] == pytest.approx(0.11, abs=0.005) and row["n"] == 946


def ends(dimension, member):
    """40 customers: 20 leave after a month, 10 of 20 after three, the rest are watched for six: S = .5, .25."""
    rows = [(0, 0, 0, 40), (1, 20, 0, 0), (3, 10, 0, 0), (6, 0, 10, 0)]
    table = pd.DataFrame(rows, columns=["month", "events", "censored", "entered"])
    return table.assign(dimension=dimension, member=member)


def sbg(dimension, member):
    """α = β = 1: S(t) = 1 ÷ (1 + t)."""
    return pd.DataFrame({"model": "sbg", "dimension": dimension, "member": member, "value": 1.0,
                         "parameter": ["alpha", "beta"]})


class TestCurves:
    def fit(self, **settings):
        keys = [("all", "all"), ("plan", "pro"), ("segment", "big")]
        book, models = (pd.concat([part(*key) for key in keys]) for part in (ends, sbg))
        return model_cards.curve_fit(book, models, confidence=0.95, **settings)

    def test_seen_and_fitted_by_age(self):
        found = self.fit()
        assert set(zip(found["dimension"], found["member"], strict=True)) == {("all", "all"), ("plan", "pro")}
        whole = found[found["dimension"] == "all"]
        assert whole["age_months"].to_list() == [1, 3, 6] and whole["at_risk"].to_list() == [40, 20, 10]
        assert whole["seen"].to_list() == pytest.approx([0.5, 0.25, 0.25])
        assert whole["fitted"].to_list() == pytest.approx([1 / 2, 1 / 4, 1 / 7])
        assert whole["difference"].to_list() == pytest.approx([0, 0, 1 / 7 - 1 / 4])
        assert (whole["low"] < whole["seen"]).all() and (whole["seen"] < whole["high"]).all()

    def test_both_curves_of_all_are_drawn_and_the_interval_with_what_was_seen(self):
        lines = model_cards.drawn(self.fit())
        seen, fitted = lines[lines["curve"] == "seen"], lines[lines["curve"] == "sBG"]
        assert seen["share"].to_list() == pytest.approx([0.5, 0.25, 0.25]) and seen[["low", "high"]].notna().all(axis=None)
        assert fitted["share"].to_list() == pytest.approx([1 / 2, 1 / 4, 1 / 7]) and fitted[["low", "high"]].isna().all(axis=None)
        assert seen["age_months"].to_list() == fitted["age_months"].to_list() == [1, 3, 6]

    def test_an_age_needs_ten_at_risk(self):
        assert self.fit(least=11)["age_months"].to_list() == [1, 3] * 2

    def test_the_largest_difference_is_said(self):
        table = pd.DataFrame([("all", 1, 0.5, 0.7, 0.65, 0.05), ("pro", 12, 0.3, 0.4, 0.2, -0.15)],
                             columns=["member", "age_months", "low", "high", "fitted", "difference"])
        assert findings.curves(table) == (
            "The sBG lies at most 15.0 points from Kaplan–Meier (pro, 12 months), and inside its interval at 1 of 2 ages")

    def test_without_a_fit_there_is_no_row(self):
        found = model_cards.curve_fit(ends("all", "all"), sbg("all", "all").head(0), confidence=0.95)
        assert found.empty and findings.curves(found).startswith("No sBG")
