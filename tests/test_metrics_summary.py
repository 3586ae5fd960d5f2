"""The month on one screen: what its figures are made of."""

import numpy as np
import pandas as pd
import pytest

from helpers.metrics import summary

LABELS = {24_288 + n: str(pd.Period("2024-01", "M") + n) for n in range(60)}       # 24,288 = 2024 × 12


def whole(**values):
    rows = [(name, "all", "2025-06", value, 100) for name, value in values.items()]
    return pd.DataFrame(rows, columns=["metric", "dimension", "period", "value", "n"]).assign(method="")


def test_cards_start_with_money_and_leave_out_what_is_unknown():
    assert summary.cards(whole(mrr=1.0, revenue_net=2.0, ltv=np.nan, grr_12m=0.9), "2025-06") == ["mrr", "grr_12m"]
    assert summary.cards(whole(revenue_net=2.0, ltv=3.0), "2025-06") == ["revenue_net", "ltv"]
    assert len(summary.cards(whole(**dict.fromkeys(["mrr", *summary.CARDS], 1.0)), "2025-06")) == 6


def test_a_change_of_revenue_is_parted_into_number_and_value_of_orders():
    rows = [(name, "all", period, value) for period, revenue, orders in (("2025-05", 1000.0, 10), ("2025-06", 1320.0, 12))
            for name, value in (("revenue_net", revenue), ("orders", orders))]
    metrics = pd.DataFrame(rows, columns=["metric", "dimension", "period", "value"])
    table = summary.moves(metrics, pd.DataFrame(), "2025-06")
    assert table["value"].to_list() == [1000, 200, 120, 1320]              # 2 more at 100 each; 12 at 110 instead of 100
    assert table["kind"].to_list() == ["total", "change", "change", "total"]


def test_a_month_without_orders_before_it_is_one_change():
    rows = [(name, "all", period, value) for period, revenue in (("2025-05", -50.0), ("2025-06", -80.0))
            for name, value in (("revenue_net", revenue), ("orders", 0))]
    metrics = pd.DataFrame(rows, columns=["metric", "dimension", "period", "value"])
    assert summary.moves(metrics, pd.DataFrame(), "2025-06")["value"].to_list() == [-50, -30, -80]
    assert summary.moves(metrics.tail(2), pd.DataFrame(), "2025-06")["value"].to_list() == [0, 0, -80]


def months(values):
    return pd.DataFrame({"month": range(24_288, 24_288 + len(values)), "mrr_end": values})


def forecast(values, confidence=0.95):
    return summary.forecast(months(values), LABELS, name="mrr", column="mrr_end", confidence=confidence)


def test_a_forecast_moves_the_last_value_by_the_mean_change():
    table = forecast([100 * 1.1 ** n for n in range(20)])                   # always 10 % a month
    assert len(table) == 13 and table["made_in"].iloc[-1] == "2025-08" and table["period"].iloc[-1] == "2025-09"
    assert table["value"].iloc[-1] == pytest.approx(100 * 1.1 ** 20)
    assert np.isnan(table["actual"].iloc[-1]) and table["actual"].iloc[-2] == pytest.approx(100 * 1.1 ** 19)


def test_a_forecast_knows_nothing_of_its_month():
    calm = [100.0 + n % 2 for n in range(20)]
    spiked = [*calm[:-1], 900.0]
    assert forecast(calm)["value"].iloc[-2] == forecast(spiked)["value"].iloc[-2]
    assert forecast(calm)["inside"].iloc[-2] and not forecast(spiked)["inside"].iloc[-2]


def test_a_forecast_needs_six_changes():
    assert len(forecast([0.0] * 5 + [100.0 + n for n in range(6)])) == 0
    assert len(forecast([0.0] * 5 + [100.0 + n for n in range(7)])) == 1    # the next month only
    assert len(forecast([0.0] * 8)) == 0


def test_its_interval_holds_as_often_as_it_says():
    chance, held = np.random.default_rng(7), []
    for _ in range(150):
        walk = 1000 * np.exp(np.cumsum(chance.normal(0.02, 0.03, 26)))
        held += forecast(walk)["inside"].iloc[:-1].astype(bool).to_list()
    assert 0.93 < np.mean(held) < 0.97                                      # 1,800 forecasts at 95 %


YEAR = pd.DataFrame({"month": range(12), "moves": True, "mrr_expansion": 10.0, "mrr_new": 0.0, "mrr_reactivation": 0.0,
                     "new": 5, "reactivated": 1, "revenue_known": 200.0, "revenue_new": 30.0})


def gains(metrics):
    return summary.levers(metrics, YEAR, "2025-06").set_index("lever")["gain_12m"]


def test_levers_of_recurring_revenue_by_hand():
    kept = gains(whole(mrr=1000.0, churn_rate_pooled=0.0, arpa=10.0, active_customers=100))
    assert kept["Unit price"] == pytest.approx(1000 * 0.01 * 12)            # nobody leaves: twelve full months
    assert "Churn" not in kept and "Win-back" not in kept                   # nothing below no churn, nobody came back
    assert kept["Upsell and cross-sell"] == pytest.approx(1 * 78)           # 1 more each month, kept 12 + 11 + … + 1 months
    gone = gains(whole(mrr=1000.0, churn_rate_pooled=1.0, arpa=10.0, active_customers=100))
    assert "Unit price" not in gone and gone["Upsell and cross-sell"] == pytest.approx(12)
    assert gone["Churn"] == pytest.approx(1000 * (0.005 / 0.995))           # Σ 0.005^t


def test_levers_of_sales_by_hand():
    table = gains(whole(revenue_net=500.0, churn_rate_pooled=0.0, average_order_value=20.0, purchase_frequency=4.0))
    assert table["Purchase frequency"] == table["Unit price"] == pytest.approx(200 * 0.01 * 12)
    assert table["New customers"] == pytest.approx(36)                      # a tenth of 12 × 30
    short = summary.levers(whole(revenue_net=500.0, churn_rate_pooled=0.0), YEAR.head(9), "2025-06").set_index("lever")
    assert short.loc["New customers", ["gain_12m", "customers"]].to_list() == [pytest.approx(36), 60]   # 9 months known: a year


def test_levers_are_ordered_by_what_they_bring_and_unknown_ones_left_out():
    table = summary.levers(whole(mrr=1000.0, arpa=10.0), YEAR, "2025-06")   # churn is unknown
    assert len(table) == 0
    known = summary.levers(whole(mrr=1000.0, churn_rate_pooled=0.02, arpa=10.0), YEAR, "2025-06")["gain_12m"]
    assert known.is_monotonic_decreasing and len(known) == 3


def test_readiness_says_what_is_missing():
    definitions = {name: {"unit": unit, "needs": "subscriptions"} for name, unit in (
        ("grr", "share"), ("nrr", "share"), ("mrr", "money"), ("payback_months", "months"), ("ltv", "money"))}
    metrics = whole(grr=0.9, nrr=0.9, payback_months=np.nan, ltv=np.nan)
    metrics.loc[metrics["metric"] == "nrr", "n"] = 29
    metrics.loc[metrics["metric"] == "payback_months", "method"] = ">H"     # beyond the horizon: an answer
    metrics.loc[metrics["metric"] == "ltv", "method"] = "not_estimable"
    table = summary.readiness(metrics, definitions, "2025-06", 30).set_index("metric")
    assert table["status"].to_dict() == {"grr": "ready", "nrr": "indicative", "mrr": "impossible", "payback_months": "ready",
                                         "ltv": "impossible"}
    missing = "no value this month; needs subscriptions"
    assert table["why"].to_dict() == {"grr": "", "nrr": "n below 30", "mrr": missing, "payback_months": "",
                                      "ltv": "no value this month: not_estimable"}


class TestIdentities:
    MONTHS = pd.DataFrame({
        "period": ["2025-05", "2025-06"], "moves": [False, True], "active_start": [0, 10], "new": [10, 5],
        "reactivated": [0, 2], "resumed": [0, 1], "churned": [0, 3], "paused": [0, 1], "active_end": [10, 14]})

    def found(self, metrics, tiers=None, groups=None, months=MONTHS):
        table = pd.DataFrame(metrics, columns=["metric", "dimension", "member", "period", "value"])
        checks = summary.identities(table, months, tiers, groups, "2025-06")
        return checks.set_index("check")["passed"].to_dict()

    ROWS = [("rows_in", "all", "all", "2025-06", 9.0), ("rows_in", "table", "a", "2025-06", 4.0),
            ("rows_in", "table", "b", "2025-06", 5.0), ("mrr", "all", "all", "2025-06", 100.0)]
    TIERS, GROUPS = pd.DataFrame({"mrr": [60.0, 40.0]}), pd.DataFrame({"share": [0.5, 0.5], "revenue_share": [0.7, 0.3]})

    def test_what_holds_passes(self):
        assert all(self.found(self.ROWS, self.TIERS, self.GROUPS).values())
        assert len(self.found(self.ROWS, self.TIERS, self.GROUPS)) == 6

    def test_two_values_of_one_metric_fail(self):
        assert not self.found([*self.ROWS, ("mrr", "all", "all", "2025-06", 100.1)])["one metric, one value on all pages"]

    def test_parts_that_do_not_make_the_whole_fail(self):
        assert not self.found(self.ROWS[:2] + self.ROWS[3:])["rows_in: tables add up to all"]
        assert not self.found(self.ROWS, self.TIERS.head(1))["mrr: tiers add up to all"]
        assert not self.found(self.ROWS, None, self.GROUPS.head(1))["RFM segments: share adds up to 1"]

    @pytest.mark.parametrize("column", ["active_start", "new", "reactivated", "resumed", "churned", "paused", "active_end"])
    def test_customers_that_nobody_accounts_for_fail(self, column):
        months = self.MONTHS.assign(**{column: self.MONTHS[column] + 1})
        assert not self.found(self.ROWS, months=months)["customer movements add up"]


def test_a_metric_of_lifetimes_is_indicative_where_the_history_is_thin():
    whole = {"dimension": "all", "period": "2025-06", "n": 100, "method": ""}
    rows = pd.DataFrame([whole | {"metric": name, "value": 1.0} for name in ("ltv", "mrr")])
    known = {name: {"unit": "money", "needs": "subscriptions"} for name in ("ltv", "mrr")}
    found = summary.readiness(rows, known, "2025-06", 30, "2 months of history").set_index("metric")
    assert found[["status", "why"]].values.tolist() == [["indicative", "2 months of history"], ["ready", ""]]


class TestRestated:
    """The reports of April and May were published; MRR of May is 1,000 by the data of June."""

    VERSIONS = {"mrr": 1, "arpu": 1}
    METRICS = pd.DataFrame([("mrr", "all", "all", "2025-04", 900.0), ("mrr", "all", "all", "2025-05", 1000.0),
                            ("mrr", "plan", "Pro", "2025-05", 400.0), ("mrr", "all", "all", "2025-06", 1100.0)],
                           columns=["metric", "dimension", "member", "period", "value"]).assign(unit="USD", low=np.nan, high=np.nan)
    VOLUME = pd.DataFrame([("transactions", "2025-05", 10, 990.0), ("transactions", "2025-06", 11, 1100.0)],
                          columns=summary.PUBLISHED["volume_by_table"])

    SETTINGS = pd.DataFrame({"setting": ["policy.grace_days", "policy.tax"], "value": ["7", "excluded"]})

    def report(self, *rows, volume=(("transactions", "2025-05", 10, 990.0),), version=1, grace="7"):
        return {"metrics": pd.DataFrame(rows, columns=summary.PUBLISHED["metrics"]).astype({"low": float, "high": float}),
                "volume_by_table": pd.DataFrame(volume, columns=summary.PUBLISHED["volume_by_table"]),
                "definitions": pd.DataFrame([("mrr", version)], columns=["metric", "version"]),
                "settings": self.SETTINGS.replace("7", grace)}

    def rows(self, published, metrics=None):
        metrics = self.METRICS if metrics is None else metrics
        return summary.restated(metrics, self.VOLUME, self.VERSIONS, self.SETTINGS, published, "2025-06").to_numpy().tolist()

    def test_each_report_is_asked_for_its_own_month_alone(self):
        may = self.report(["mrr", "all", "all", "2025-05", 990.0, 980.0, 995.0], ["mrr", "all", "all", "2025-04", 5.0, None, None],
                          ["mrr", "plan", "Gone", "2025-05", 7.0, None, None])
        april = self.report(["mrr", "all", "all", "2025-04", 850.0, 800.0, 950.0])
        none = dict.fromkeys(summary.PUBLISHED)
        assert self.rows({1: may, 2: april, 3: none}) == [
            ["2025-05", "mrr", "all", "all", "USD", 990.0, 1000.0, 10.0, True, "other cells or code"],
            ["2025-04", "mrr", "all", "all", "USD", 850.0, 900.0, 50.0, False, "other cells or code"]]

    def test_another_order_of_adding_up_restates_nothing(self):
        assert self.rows({1: self.report(["mrr", "all", "all", "2025-05", 1000.0 + 1e-8, None, None])}) == []

    def test_a_figure_that_is_no_longer_known_is_restated(self):
        lost = self.METRICS.assign(value=self.METRICS["value"].mask(self.METRICS["period"] == "2025-05"))
        found = self.rows({1: self.report(["mrr", "all", "all", "2025-05", 1000.0, 1.0, 2.0])}, lost)
        assert [(np.isnan(row[6]), row[8]) for row in found] == [(True, None)]

    def test_other_settings_are_a_cause_and_not_known_ones_may_be(self):
        figure = ["mrr", "all", "all", "2025-05", 990.0, None, None]
        late = [("transactions", "2025-05", 9, 900.0)]
        for report, cause in ((self.report(figure, grace="15"), "settings"), (self.report(figure, grace="15", volume=late), "settings, late rows"),
                              (self.report(figure) | {"settings": None}, "other cells, settings or code")):
            assert [row[-1] for row in self.rows({1: report})] == [cause]

    @pytest.mark.parametrize(("cause", "volume", "version"), [
        ("late rows", [("transactions", "2025-05", 9, 900.0)], 1),
        ("refunds", [("transactions", "2025-05", 9, 999.0)], 1),
        ("data", [("transactions", "2025-05", 10, 980.0)], 1),
        ("rows gone", [("transactions", "2025-05", 11, 995.0)], 1),
        ("definition", [("transactions", "2025-05", 10, 990.0)], 0),
        ("definition, late rows", [("transactions", "2025-05", 9, 900.0)], 0),
    ])
    def test_the_cause_is_what_the_tables_of_both_reports_tell(self, cause, volume, version):
        then = self.report(["mrr", "all", "all", "2025-05", 990.0, None, None], volume=volume, version=version)
        assert [row[-2:] for row in self.rows({1: then})] == [[None, cause]]

    def test_a_report_that_kept_no_rows_or_definitions_is_compared_all_the_same(self):
        then = self.report(["mrr", "all", "all", "2025-05", 990.0, None, None]) | {"volume_by_table": None, "definitions": None}
        assert [row[-1] for row in self.rows({1: then})] == ["other cells or code"]
