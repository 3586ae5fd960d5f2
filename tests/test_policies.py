"""Each policy with both of its readings, on books small enough for arithmetic in the head.

Elsewhere: inactive_days, observed_from, left_edge_months, grace_days, mrr_includes_discounts and zones in test_marts.py and
test_sources.py; in_month_churn, windows, horizon, discount, margin and CAC with the metrics; ledger_tolerance, suppress_below
and min_history_months in test_metrics_data_prep.py and test_pages.py.
"""

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from test_marts import mart, moved, sale, sub

from helpers.contracts import ReportError
from helpers.demo import FILES, write_demo
from helpers.marts import open_book, prepare

RATES = [{"date": date, "from_currency": "EUR", "to_currency": "USD", "rate": rate}
         for date, rate in (("2024-04-30", 1.1), ("2024-05-31", 1.2))]


def ids(book) -> list[str]:
    return sorted(mart(book, "customers", "orders").index)


def revenue(book) -> dict[str, float]:
    return {period: float(row[0]) for period, row in moved(book, "revenue").items()}


class TestIdentity:
    SALES = [sale("Ann", "2024-05-01", 10), sale("ann", "2024-05-02", 20), sale("ANN ", "2024-05-03", 30),
             sale("bob  lee", "2024-05-04"), sale("bob lee", "2024-05-05")]

    def test_spellings_are_one_customer_unless_ids_are_taken_exactly(self, make):
        book = make("2024-05", transactions=self.SALES)
        assert mart(book, "customers", "revenue", "orders").astype("float64").T.to_dict("list") == {
            "ANN": [60, 3], "bob  lee": [20, 2]}
        people = book.frame("summaries/people").set_index("table").loc["transactions"]
        assert people[["customers", "other_spellings"]].to_list() == [2, 3]
        assert ids(make("2024-05", {"customer_ids": "exact"}, transactions=self.SALES)) == [
            "ANN", "Ann", "ann", "bob  lee", "bob lee"]

    def test_one_id_in_all_tables(self, make):
        book = make("2024-05", transactions=self.SALES[:1], subscriptions=[sub("ANN", "2024-05-05")],
                    customers=[{"customer_id": "ann", "channel": "search"}])
        assert mart(book, "customers", "channel")["channel"].to_dict() == {"ANN": "search"}

    def test_tags_of_addresses(self, make):
        rows = [sale("ann+news@x.org", "2024-05-01"), sale("ann@x.org", "2024-05-02")]
        assert ids(make("2024-05", transactions=rows)) == ["ann+news@x.org", "ann@x.org"]
        assert ids(make("2024-05", {"email_tags": "drop"}, transactions=rows)) == ["ann+news@x.org"]

    def test_ids_of_one_address_are_counted_or_merged(self, make):
        tables = {"transactions": [sale("a1", "2024-05-01"), sale("a2", "2024-05-02"), sale("b", "2024-05-03")],
                  "customers": [{"customer_id": name, "email_hash": mail} for name, mail in
                                (("a1", "f00d"), ("a2", "F00D"), ("b", "beef"))]}
        book = make("2024-05", **tables)
        shared = book.frame("summaries/people").set_index("table")["shared_email"].to_dict()
        assert ids(book) == ["a1", "a2", "b"] and shared == {"customers": 2, "transactions": 2}
        assert ids(make("2024-05", {"same_email": "merge"}, **tables)) == ["a1", "b"]

    def test_what_comes_later_names_nobody(self, make):
        book = make("2024-05", transactions=[sale("ann", "2024-05-01"), sale("ANN", "2024-06-01")])
        assert ids(book) == ["ann"]

    def test_internal_customers_are_left_out_by_a_rule_or_counted(self, make):
        tables = {"transactions": [sale("ann", "2024-05-01", 10), sale("test", "2024-05-02", 99)],
                  "customers": [{"customer_id": "ann", "is_internal": "no"}, {"customer_id": "test", "is_internal": "yes"}]}
        book = make("2024-05", **tables)
        assert ids(book) == ["ann"] and revenue(book) == {"2024-05": 10}
        assert book.frame("summaries/rejections")[["rule", "rows", "amount"]].values.tolist() == [["internal customer", 1, 99]]
        book = make("2024-05", {"internal_customers": "count"}, **tables)
        assert ids(book) == ["ann", "test"] and revenue(book) == {"2024-05": 109}


class TestSubscriptions:
    def test_who_cancels_has_left_at_the_end_of_service_or_with_the_notice(self, make):
        rows = [sub("ann", "2024-01-05", "2024-05-20", canceled_at="2024-03-10"), sub("bob", "2024-01-05")]
        assert moved(make("2024-06", subscriptions=rows), "churned", "mrr_churn") == {"2024-05": [1, 10]}
        book = make("2024-06", {"churn_moment": "cancel"}, subscriptions=rows)
        assert moved(book, "churned", "mrr_churn") == {"2024-03": [1, 10]}
        told = [sub("ann", "2024-01-05", canceled_at="2024-03-10")]       # notice alone: no end is known
        assert moved(make("2024-06", subscriptions=told), "churned") == {}
        assert moved(make("2024-06", {"churn_moment": "cancel"}, subscriptions=told), "churned") == {"2024-03": [1]}

    @pytest.mark.parametrize(("reading", "found"), [
        ("movement", {"2024-04": [0, 1, 0, 0], "2024-06": [0, 0, 1, 0]}),
        ("churn", {"2024-04": [1, 0, 0, 0], "2024-06": [0, 0, 0, 1]}),
        ("unchanged", {})])
    def test_a_pause_is_a_movement_of_its_own_churn_or_nothing(self, make, reading, found):
        rows = [sub("ann", "2024-03-05", paused_at="2024-04-10", resumed_at="2024-06-05")]
        book = make("2024-06", {"pauses": reading}, subscriptions=rows)
        assert moved(book, "churned", "paused", "resumed", "reactivated") == found

    @pytest.mark.parametrize(("reading", "lives"), [
        ("movement", [("2024-01-05", None, 1), ("2024-02-05", None, 1), ("2024-01-01", None, 1)]),
        ("churn", [("2024-01-05", "2024-03-10", 1), ("2024-05-20", None, 2), ("2024-02-05", "2024-05-01", 1), ("2024-04-01", None, 1)]),
        ("unchanged", [("2024-01-05", None, 1), ("2024-02-05", None, 1), ("2024-01-01", None, 1)])])
    def test_where_a_pause_is_churn_it_ends_a_life_and_another_begins_after_it(self, make, reading, lives):
        # ann is back; bob paused once more than he resumed; cat's pause of two versions ends in the second, where her book begins
        rows = [sub("ann", "2024-01-05", paused_at="2024-03-10", resumed_at="2024-05-20", subscription_id="A"),
                sub("bob", "2024-02-05", paused_at="2024-05-01", resumed_at="2024-04-01", subscription_id="B"),
                sub("cat", "2024-01-01", paused_at="2024-01-01", resumed_at="2024-04-01", subscription_id="C")]
        book = make("2024-06", {"pauses": reading}, subscriptions=rows)
        found = book.engine.table("mart_spells").order("customer_id, spell").select("started_at, ended_on, spell").fetchall()
        assert [(str(from_at)[:10], None if until.year == 9999 else str(until), nth) for from_at, until, nth in found] == lives

    @pytest.mark.parametrize(("reading", "paying"), [("movement", 1), ("churn", 1), ("unchanged", 2)])
    def test_a_pause_touches_nobody_else(self, make, reading, paying):
        rows = [sub("ann", "2024-03-05", paused_at="2024-04-10"), sub("bob", "2024-03-05")]
        book = make("2024-05", {"pauses": reading}, subscriptions=rows)
        assert moved(book, "active_end", "mrr_end") == {
            "2024-03": [2, 20], "2024-04": [paying, 10 * paying], "2024-05": [paying, 10 * paying]}

    def test_a_month_ends_at_the_last_rate_before_its_end_in_its_own_report_and_in_later_ones(self, make):
        rates = [{"date": f"2024-0{month}-01", "from_currency": "EUR", "to_currency": "USD", "rate": rate}
                 for month, rate in ((4, 1.1), (5, 1.2), (6, 1.3), (7, 1.4))]
        rows = [sub("ann", "2024-04-05", amount=100, currency="EUR")]
        for month in ("2024-05", "2024-06"):
            found = moved(make(month, subscriptions=rows, fx_rates=rates), "mrr_start", "mrr_fx", "mrr_end")
            assert found["2024-05"] == [110, 10, 120]

    def test_no_customer_is_lost_to_a_rate(self, make):
        rates = [{"date": day, "from_currency": "EUR", "to_currency": "USD", "rate": rate}
                 for day, rate in (("2024-04-01", 1.2), ("2024-05-20", 1.0))]
        rows = [sub("ann", "2024-04-05", amount=100, currency="EUR"), sub("bob", "2024-04-05", amount=100)]
        book = make("2024-05", subscriptions=rows, fx_rates=rates)
        kept = book.frame("summaries/retained_mrr").query("span == 1").iloc[-1]
        assert kept[["base", "kept", "now"]].to_list() == [220, 220, 220]
        assert moved(book, "mrr_fx", "mrr_contraction")["2024-05"] == [-20, 0]

    def test_movements_are_at_the_rate_of_the_months_start_and_what_rates_did_stands_apart(self, make):
        versions = [sub("ann", "2024-04-05", subscription_id="S", amount=100, currency="eur", valid_to="2024-05-10"),
                    sub("ann", "2024-04-05", subscription_id="S", amount=120, currency="eur", valid_from="2024-05-10"),
                    sub("bob", "2024-04-05", subscription_id="B", amount=7)]
        book = make("2024-05", subscriptions=versions, fx_rates=RATES)
        # before the first quote there is no rate: the first row starts on 5 April
        assert book.frame("summaries/rejections")["rule"].to_list() == ["no rate on or before its day"]
        early = [{**RATES[0], "date": "2024-04-01"}, RATES[1]]
        book = make("2024-05", subscriptions=versions, fx_rates=early)
        columns = ["mrr_start", "mrr_new", "mrr_expansion", "mrr_contraction", "mrr_fx", "mrr_end"]
        assert moved(book, *columns) == {
            "2024-04": [0, 117, 0, 0, 0, 117],              # 100 · 1.10 + 7
            "2024-05": [117, 0, 22, 0, 12, 151]}            # 120 · 1.10 − 110; 120 · 0.10; 144 + 7


class TestReactivation:
    """20 February to 10 April are 9 + 31 + 10 = 50 days."""

    COLUMNS = ["new", "reactivated", "churned", "mrr_new", "mrr_reactivation", "mrr_churn", "acquired"]

    @pytest.mark.parametrize(("days", "back", "new"), [
        (None, "2024-04-10", 0), (49, "2024-04-10", 1), (50, "2024-04-10", 0), (50, "2024-04-10 00:00:01", 1)])
    def test_who_is_back_after_more_days_is_new_but_not_acquired_again(self, make, days, back, new):
        rows = [sub("ann", "2024-01-05", "2024-02-20"), sub("ann", back, amount=15), sub("bob", "2024-01-05", amount=7)]
        book = make("2024-05", {"reactivation_days": days}, subscriptions=rows)
        assert moved(book, *self.COLUMNS) == {
            "2024-01": [2, 0, 0, 17, 0, 0, 2], "2024-02": [0, 0, 1, 0, 0, 10, 0],
            "2024-04": [new, 1 - new, 0, 15 * new, 15 - 15 * new, 0, 0]}
        states = book.frame("summaries/tier_states").query("month == 24292 and from_plan != 'basic'")
        assert states[["from_plan", "mrr_end"]].values.tolist() == [["(new)" if new else "(reactivated)", 15]]
        assert mart(book, "customers", "started_month", "spell_months").loc["ann"].to_list() == [24289, 2]   # the first spell
        found = make("2024-04", {"reactivation_days": days}, subscriptions=rows).frame("summaries/biggest_moves")
        assert found[["what", "change"]].values.tolist() == [["new" if new else "reactivated", 15]]

    def test_only_the_last_gap_counts_and_a_pause_or_another_subscription_leaves_none(self, make):
        rows = [sub("ann", "2024-01-05", "2024-02-20"), sub("ann", "2024-04-10", "2024-05-10"), sub("ann", "2024-06-05"),
                sub("bob", "2024-01-05", paused_at="2024-01-20", resumed_at="2024-05-20"),
                sub("cat", "2024-01-05", "2024-01-10"), sub("cat", "2024-01-10", "2024-05-10"), sub("cat", "2024-05-20")]
        book = make("2024-06", {"reactivation_days": 30}, subscriptions=rows)     # back in June after 26 days
        assert moved(book, "new", "reactivated", "resumed", "paused", "churned") == {
            "2024-01": [2, 0, 0, 0, 0], "2024-02": [0, 0, 0, 0, 1], "2024-04": [1, 0, 0, 0, 0],
            "2024-05": [0, 0, 1, 0, 1], "2024-06": [0, 1, 0, 0, 0]}

    @pytest.mark.parametrize(("days", "back", "new"), [
        (None, "2024-03-20 10:00", 0), (39, "2024-03-20 10:00", 1), (40, "2024-03-20 10:00", 0),
        (40, "2024-03-20 10:00:01", 1)])
    def test_sales_alone_count_from_the_end_of_activity(self, make, days, back, new):
        rows = [sale("ann", "2024-01-10 10:00"), sale("ann", back)]               # active to 9 February: 20 + 20 = 40 days
        book = make("2024-03", {"inactive_days": 30, "reactivation_days": days}, transactions=rows)
        assert moved(book, "active_start", "new", "reactivated", "churned", "active_end", "acquired") == {
            "2024-01": [0, 1, 0, 0, 1, 1], "2024-02": [1, 0, 0, 1, 0, 0], "2024-03": [0, new, 1 - new, 0, 1, 0]}
        assert book.frame("summaries/cohorts").query("age == 0")["customers"].to_list() == [1]


class TestLevelOfMovements:
    ROWS = [sub("ann", "2024-03-05", "2024-05-20", subscription_id="A1"),
            sub("ann", "2024-04-05", subscription_id="A2", amount=15),
            sub("ann", "2024-04-05", subscription_id="A2", amount=25, plan_id="plus", valid_from="2024-06-05"),
            sub("bob", "2024-03-05", "2024-04-20", subscription_id="B", amount=7),
            sub("bob", "2024-06-05", subscription_id="B", amount=7, valid_from="2024-06-05"),       # 46 days later
            sub("cat", "2024-03-05", subscription_id="C1", amount=20, paused_at="2024-04-10", resumed_at="2024-06-10"),
            sub("cat", "2024-03-05", subscription_id="C2", amount=5),
            sub("dan", "2024-03-05", "2024-05-15", subscription_id="D1", amount=8),
            sub("dan", "2024-05-15", subscription_id="D2", amount=9)]
    COLUMNS = ["mrr_start", "mrr_new", "mrr_reactivation", "mrr_resumed", "mrr_expansion", "mrr_contraction", "mrr_paused",
               "mrr_churn", "mrr_end"]

    def test_movements_are_of_customers_or_of_subscriptions_and_customers_are_counted_alike(self, make):
        book, others = make("2024-06", subscriptions=self.ROWS), ["new", "churned", "reactivated", "paused", "active_end"]
        assert moved(book, *self.COLUMNS) == {
            "2024-03": [0, 50, 0, 0, 0, 0, 0, 0, 50],
            "2024-04": [50, 0, 0, 0, 15, 20, 0, 7, 38],            # ann 10 → 25, cat 25 → 5, bob left
            "2024-05": [38, 0, 0, 0, 1, 10, 0, 0, 29],             # ann 25 → 15, dan 8 → 9
            "2024-06": [29, 0, 7, 0, 30, 0, 0, 0, 66]}             # ann 15 → 25, cat 5 → 25, bob is back
        counts, kept = moved(book, *others), book.frame("summaries/retained_mrr")
        book = make("2024-06", {"movements_of": "subscription"}, subscriptions=self.ROWS)
        assert moved(book, *self.COLUMNS) == {
            "2024-03": [0, 50, 0, 0, 0, 0, 0, 0, 50],
            "2024-04": [50, 15, 0, 0, 0, 0, 20, 7, 38],            # A2, C1, B
            "2024-05": [38, 9, 0, 0, 0, 0, 0, 18, 29],             # D2; A1 and D1
            "2024-06": [29, 0, 7, 20, 10, 0, 0, 0, 66]}            # B, C1, A2
        assert moved(book, *others) == counts and book.frame("summaries/retained_mrr").equals(kept)
        assert "mart_subscription_mrr" in book.sql("summaries/months")
        assert_frame_equal(open_book(*self.opened(book)).frame("summaries/months"), book.frame("summaries/months"))

    @staticmethod
    def opened(book) -> tuple:
        return str(next(book.run_dir.parent.glob("*.yaml"))), None, str(book.run_dir)

    @pytest.mark.parametrize(("days", "new"), [(45, 7), (46, 0)])
    def test_a_subscription_that_is_back_late_is_new(self, make, days, new):
        book = make("2024-06", {"movements_of": "subscription", "reactivation_days": days}, subscriptions=self.ROWS)
        assert moved(book, "mrr_new", "mrr_reactivation")["2024-06"] == [new, 7 - new]

    def test_exchange_rates_stand_apart(self, make):
        rows = [sub("ann", "2024-04-30", amount=100, currency="EUR"), sub("ann", "2024-05-05", amount=50, currency="EUR")]
        book = make("2024-05", {"movements_of": "subscription"}, subscriptions=rows, fx_rates=RATES)
        assert moved(book, "mrr_start", "mrr_new", "mrr_expansion", "mrr_fx", "mrr_end")["2024-05"] == [110, 55, 0, 15, 180]


class TestSourceOfMrr:
    PLANS = [{"plan_id": "basic", "valid_from": "2024-02-01", "list_price": 20, "interval": "month"},
             {"plan_id": "basic", "valid_from": "2024-04-10", "list_price": 26, "interval": "month"},
             {"plan_id": "year", "list_price": 120, "interval": "year"}, {"plan_id": "bare", "list_price": None}]
    SAID = {"mrr_source": "plan_prices"}

    def test_mrr_is_of_subscriptions_or_of_the_list_price_in_force(self, make):
        rows = [sub("ann", "2024-01-05", amount=11), sub("bob", "2024-02-05", plan_id="year", amount=9, quantity=3),
                sub("cat", "2024-01-05", plan_id="bare", amount=7), sub("dan", "2024-01-05", plan_id="unknown", amount=5)]
        book = make("2024-04", subscriptions=rows, plans=self.PLANS)
        assert moved(book, "mrr_new", "mrr_expansion", "mrr_end") == {
            "2024-01": [23, 0, 23], "2024-02": [27, 0, 50], "2024-03": [0, 0, 50], "2024-04": [0, 0, 50]}
        book = make("2024-04", self.SAID, subscriptions=rows, plans=self.PLANS)
        # ann 11 before there is a price, 20 from February, 26 in April; bob 3 · 120 / 12; cat and dan have no list price
        assert moved(book, "mrr_new", "mrr_expansion", "mrr_end") == {
            "2024-01": [23, 0, 23], "2024-02": [30, 9, 62], "2024-03": [0, 0, 62], "2024-04": [0, 6, 68]}
        assert book.frame("summaries/unlisted").values.tolist() == [[4, 2]]
        timeline = book.frame("summaries/timeline").set_index("table").loc["subscriptions"]
        assert timeline["rows"] == timeline["told"] == 4 and moved(book, "active_end", "churned")["2024-04"] == [4, 0]
        told = book.engine.table("mart_customer_timeline").filter("what = 'list price changed'").order("happened_at").df()
        assert told["customer_id"].to_list() == ["ann", "ann"]
        assert told["happened_at"].astype("str").to_list() == ["2024-02-01", "2024-04-10"]

    def test_discounts_and_days_and_ends(self, make):
        rows = [sub("ann", "2024-03-05", discount_amount=24, interval="year", amount=1),        # 2 a month off
                sub("bob", "2024-03-05", "2024-03-20"),
                sub("cat", "2024-03-05", discount_amount=99, discount_ends_at="2024-04-05")]
        tables = {"subscriptions": rows, "plans": self.PLANS}
        assert moved(make("2024-04", self.SAID, **tables), "mrr_end") == {"2024-03": [18], "2024-04": [50]}    # 24 + 26
        book = make("2024-04", self.SAID | {"mrr_includes_discounts": False}, **tables)
        assert moved(book, "mrr_end") == {"2024-03": [40], "2024-04": [52]}
        book = make("2024-04", self.SAID | {"plan_changes": "by_day"}, subscriptions=rows[:1], plans=self.PLANS)
        assert moved(book, "mrr_end")["2024-04"] == [22.2]                       # (9 · 18 + 21 · 24) / 30
        assert moved(book, "active_end", "churned")["2024-04"] == [1, 0]

    def test_days_count_once_where_the_price_of_one_of_two_plans_changes(self, make):
        rows = [sub("ann", "2024-03-05", plan_id=plan, subscription_id="S") for plan in ("basic", "extra")]
        plans = [*self.PLANS, {"plan_id": "extra", "list_price": 10, "interval": "month"}]
        book = make("2024-05", self.SAID | {"plan_changes": "by_day"}, subscriptions=rows, plans=plans)
        # 20 until 9 April, then 26, beside 10: (9 · 30 + 21 · 36) / 30
        assert moved(book, "mrr_end", "mrr_contraction") == {"2024-03": [30, 0], "2024-04": [34.2, 0], "2024-05": [36, 0]}

    def test_a_price_counts_in_the_currency_of_the_subscription_alone(self, make):
        plans = [{"plan_id": "basic", "list_price": 20, "currency": "eur"}]
        rows = [sub("ann", "2024-04-30", amount=12, currency="EUR", interval_count=2), sub("bob", "2024-04-30", amount=7)]
        book = make("2024-05", self.SAID, subscriptions=rows, plans=plans, fx_rates=RATES)
        # a price without interval is that of the subscription's term: 20 EUR in two months; bob pays his own 7 dollars
        assert moved(book, "mrr_start", "mrr_fx", "mrr_end")["2024-05"] == [18, 1, 19]
        assert book.frame("summaries/unlisted").values.tolist() == [[2, 1]]

    def test_list_prices_need_plans(self, make):
        with pytest.raises(ReportError, match="(?s)mrr_source has 1 problem.*needs the table plans.*Name it, or take"):
            make("2024-04", self.SAID, subscriptions=[sub("ann", "2024-04-05")])


def invoice(start: str, end: str, amount: object, **more) -> dict:
    """A paid line of Ann's subscription S, dated when its period begins."""
    said = {"subscription_id": "S", "product_id": "basic", "item_type": "subscription", "service_start": start, "service_end": end}
    return sale("ann", start, amount) | said | more


class TestMrrFromInvoices:
    SAID = {"mrr_source": "invoices", "grace_days": 0}
    MOVES = ["mrr_new", "mrr_expansion", "mrr_contraction", "mrr_churn", "mrr_reactivation", "mrr_end"]

    def found(self, make, *rows: dict, month: str = "2024-06", said: dict | None = None, **tables) -> dict[str, list]:
        return moved(make(month, self.SAID | (said or {}), transactions=list(rows), **tables), *self.MOVES)

    def test_a_bill_is_spread_over_the_months_that_it_pays_for(self, make):
        rows = [invoice("2024-03-10", "2025-03-10", 1200), invoice("2024-02-01", "2024-05-01", 90, subscription_id="T")]
        assert self.found(make, *rows) == {                        # 100 a month, and 30 for three months, then 30 less
            "2024-02": [30, 0, 0, 0, 0, 30], "2024-03": [0, 100, 0, 0, 0, 130], "2024-04": [0, 0, 0, 0, 0, 130],
            "2024-05": [0, 0, 30, 0, 0, 100], "2024-06": [0, 0, 0, 0, 0, 100]}

    def test_a_month_is_one_whatever_its_days_and_a_gap_is_churn(self, make):
        rows = [invoice("2024-01-31", "2024-02-29", 50), invoice("2024-02-29", "2024-03-31", 50), invoice("2024-05-05", "2024-06-05", 60)]
        assert self.found(make, *rows) == {
            "2024-01": [50, 0, 0, 0, 0, 50], "2024-02": [0, 0, 0, 0, 0, 50], "2024-03": [0, 0, 0, 50, 0, 0],
            "2024-05": [0, 0, 0, 0, 60, 60], "2024-06": [0, 0, 0, 60, 0, 0]}

    def test_who_is_not_billed_again_is_past_due_for_the_days_of_grace(self, make):
        rows = [invoice("2024-04-27", "2024-05-27", 50), invoice("2024-06-02", "2024-07-02", 50)]
        assert self.found(make, *rows)["2024-05"] == [0, 0, 0, 50, 0, 0]
        assert self.found(make, *rows, said={"grace_days": 7})["2024-06"] == [0, 0, 0, 0, 0, 50]     # no gap
        assert self.found(make, rows[0], month="2024-05", said={"grace_days": 7})["2024-05"] == [0, 0, 0, 0, 0, 50]
        ended = [sub("ann", "2024-04-27", "2024-05-27", subscription_id="S", churn_kind="involuntary")]
        book = make("2024-05", self.SAID | {"grace_days": 7}, transactions=rows[:1], subscriptions=ended)
        assert moved(book, *self.MOVES)["2024-05"] == [0, 0, 0, 50, 0, 0]                            # its end is on record
        assert mart(book, "customers", "churn_kind").values.tolist() == [["involuntary"]]
        timeline = book.frame("summaries/timeline")
        assert (timeline["rows"] == timeline["told"]).all()

    @pytest.mark.parametrize(("start", "end", "full"), [("2024-03-20", "2024-04-20", 310), ("2024-03-20", "2025-03-20", 3650)])
    def test_charges_and_credits_of_a_part_cancel_against_the_whole_period(self, make, start, end, full):
        # ten a day for 31 days, or for 365; on 5 April the plan is given up for another of twice the price
        days = (pd.Timestamp(end) - pd.Timestamp("2024-04-05")).days
        rows = [invoice(start, end, full), invoice("2024-04-05", end, -10 * days, type="adjustment"),
                invoice("2024-04-05", end, 20 * days, product_id="pro")]
        book = make("2024-04", self.SAID | {"grace_days": 7}, transactions=rows if full > 310 else [
            *rows, invoice("2024-04-20", "2024-05-20", 620, product_id="pro")])
        month = 310 if full == 310 else 304.1667
        assert moved(book, "mrr_new", "mrr_expansion", "mrr_end") == {
            "2024-03": [month, 0, month], "2024-04": [0, pytest.approx(month, abs=1e-4), pytest.approx(2 * month, abs=1e-4)]}
        assert mart(book, "subscription_months", "plan_id", "month")["plan_id"].to_list() == ["basic", "pro"]

    def test_parts_without_a_whole_period_weeks_and_days(self, make):
        stub = [invoice("2024-05-21", "2024-06-01", 11), invoice("2024-06-01", "2024-07-01", 30)]    # 11 of May's 31 days
        assert self.found(make, *stub) == {"2024-05": [31, 0, 0, 0, 0, 31], "2024-06": [0, 0, 1, 0, 0, 30]}
        weeks = [invoice("2024-05-24", "2024-05-31", 12), invoice("2024-05-31", "2024-06-14", 24)]   # 12 · 52 / 12
        assert self.found(make, *weeks, month="2024-05") == {"2024-05": [52, 0, 0, 0, 0, 52]}
        days = [invoice("2024-05-01", "2024-07-05", 65)]                                            # a dollar a day, 365.25 / 12
        assert self.found(make, *days)["2024-06"] == [0, 0, 0, 0, 0, 30.4375]

    def test_a_last_day_or_second_is_an_end_too(self, make):
        rows = [invoice("2024-05-01", "2024-05-31", 50), invoice("2024-06-01", "2024-06-30", 50)]
        assert self.found(make, *rows) == {"2024-05": [50, 0, 0, 0, 0, 50], "2024-06": [0, 0, 0, 0, 0, 50]}
        rows = [row | {"service_end": f"{row['service_end']} 23:59:59"} for row in rows]
        assert self.found(make, *rows)["2024-06"] == [0, 0, 0, 0, 0, 50]

    def test_what_makes_no_mrr_is_counted(self, make):
        rows = [invoice("2024-05-01", "2024-06-01", 50), invoice("2024-06-01", "2024-07-01", 50, status="failed"),
                invoice("2024-05-03", "2024-06-03", 70, item_type="service"), invoice("2024-05-04", "2024-05-04", 7),
                invoice("2024-05-05", None, 8), invoice("2024-05-06", "2044-05-06", 9),
                invoice("2024-05-20", "2024-06-01", -20, type="refund")]
        assert self.found(make, *rows) == {"2024-05": [50, 0, 0, 0, 0, 50], "2024-06": [0, 0, 0, 50, 0, 0]}
        book = make("2024-06", self.SAID, transactions=rows)
        assert book.frame("summaries/unbilled").values.tolist() == [[4, 3, 24]]
        assert book.given == {"transactions", "subscriptions"} and "subscriptions.ended_at" in book.columns

    def test_discounts_currencies_and_shared_ids(self, make):
        rows = [invoice("2024-04-30", "2024-05-30", 40, discount=10, currency="EUR"), invoice("2024-05-30", "2024-06-30", 40, currency="EUR"),
                invoice("2024-05-02", "2024-06-02", 5, customer_id="bob")]
        found = moved(make("2024-05", self.SAID, transactions=rows, fx_rates=RATES), *self.MOVES[:2], "mrr_fx", "mrr_end")
        assert found == {"2024-04": [44, 0, 0, 44], "2024-05": [5, 0, 4, 53]}
        book = make("2024-05", self.SAID | {"mrr_includes_discounts": False}, transactions=rows, fx_rates=RATES)
        assert moved(book, "mrr_end")["2024-04"] == [55]

    def test_mrr_of_the_demo_is_that_of_its_subscriptions(self, tmp_path, write_params):
        write_demo(tmp_path, customers=400, end="2025-06")
        found = {}
        for source in ("subscriptions", "invoices"):
            params = write_params(tmp_path, "2025-06", [*FILES], policy={"mrr_source": source})
            months = prepare(str(params), None, str(tmp_path / source)).frame("summaries/months")
            found[source] = months.set_index("period").loc["2024-07":, ["mrr_end", "active_end", "mrr_new", "mrr_expansion"]]
        off = found["invoices"] - found["subscriptions"]
        assert off["active_end"].abs().max() <= 2                     # a pause is churn where only bills are known
        assert (off["mrr_end"].abs() / found["subscriptions"]["mrr_end"]).max() < 0.01
        assert abs(off[["mrr_new", "mrr_expansion"]].sum()).max() < 0.03 * found["subscriptions"]["mrr_new"].sum()

    def test_invoices_need_lines_with_periods(self, make):
        with pytest.raises(ReportError, match="(?s)mrr_source has 2 problems.*needs the column service_start of transactions"):
            make("2024-04", self.SAID, transactions=[sale("ann", "2024-04-05")])
        with pytest.raises(ReportError, match="(?s)mrr_source has 1 problem.*needs the table transactions"):
            make("2024-04", self.SAID, subscriptions=[sub("ann", "2024-04-05")])


class TestDayOfTheRate:
    RATES = [{"date": day, "from_currency": "EUR", "to_currency": "USD", "rate": rate} for day, rate in
             (("2024-01-01", 1.0), ("2024-02-10", 1.1), ("2024-03-10", 1.2), ("2024-04-10", 1.3))]
    COLUMNS = ["mrr_start", "mrr_new", "mrr_expansion", "mrr_contraction", "mrr_fx", "mrr_end"]

    def found(self, make, *rows: dict, reading: str = "invoice_date") -> dict:
        rows = [row | {"currency": "EUR", "subscription_id": "S"} for row in rows]
        return moved(make("2024-04", {"fx_rates_on": reading}, subscriptions=rows, fx_rates=self.RATES), *self.COLUMNS)

    def test_rates_move_mrr_at_every_months_end_or_with_a_bill(self, make):
        quarters = sub("ann", "2024-01-15", amount=300, interval_count=3)           # 100 a month; bills on 15 January and April
        rows = [quarters | {"valid_to": "2024-02-20"}, quarters | {"unit_amount": 360, "valid_from": "2024-02-20"}]
        assert self.found(make, *rows, reading="month_end") == {                    # from February 120 a month
            "2024-01": [0, 100, 0, 0, 0, 100], "2024-02": [100, 0, 20, 0, 12, 132],  # at 1.1: 12 of 120 · 0.1
            "2024-03": [132, 0, 0, 0, 12, 144], "2024-04": [144, 0, 0, 0, 12, 156]}
        assert self.found(make, *rows) == {
            "2024-01": [0, 100, 0, 0, 0, 100], "2024-02": [100, 0, 20, 0, 0, 120],   # still at 1.0 of 15 January
            "2024-03": [120, 0, 0, 0, 0, 120], "2024-04": [120, 0, 0, 0, 36, 156]}  # 120 · (1.3 − 1.0)

    @pytest.mark.parametrize(("row", "march"), [
        # on the 5th: 1.1 in March, before that 1.0
        (sub("ann", "2024-02-05", amount=100), [100, 0, 0, 0, 10, 110]),
        # on the 1st, which is in the month: 1.1 in March, before that 1.0
        (sub("ann", "2024-02-01", amount=100), [100, 0, 0, 0, 10, 110]),
        # on the 31st, or the month's last: 1.2 on 31 March, 1.1 on 29 February
        (sub("ann", "2024-01-31", amount=100), [110, 0, 0, 0, 10, 120]),
        # paid from the end of the trial: on the 12th, 1.2 in March, 1.1 in February
        (sub("ann", "2024-01-20", amount=100, trial_ended_at="2024-02-12"), [110, 0, 0, 0, 10, 120]),
        # 12 a week is 12 · 52 / 12 = 52 a month; new at 1.1 of its first bill on 1 March, 1.2 on the 29th
        (sub("ann", "2024-03-01", amount=12, interval="week"), [0, 57.2, 0, 0, 5.2, 62.4]),
        # every 50 days: 15 January 1.0, 5 March 1.1; 50 days of 365.25 / 12 = 0.60875 a month
        (sub("ann", "2024-01-15", amount=1000, interval="day", interval_count=50), [608.75, 0, 0, 0, 60.875, 669.625]),
        # a year's bill of December is older than all rates: at the first of them, until the next bill
        (sub("ann", "2023-12-05", amount=1200, interval="year", valid_from="2024-01-05"), [100, 0, 0, 0, 0, 100])])
    def test_the_last_bill_before_the_months_end_and_before_its_start(self, make, row, march):
        assert self.found(make, row)["2024-03"] == pytest.approx(march)

    def test_days_of_versions_and_movements_of_subscriptions_take_the_same_rates(self, make):
        quarters = sub("ann", "2024-01-15", subscription_id="S", amount=300, interval_count=3, currency="EUR")
        rows = [quarters, quarters | {"unit_amount": 600, "valid_from": "2024-04-10"},
                sub("ann", "2024-04-20", subscription_id="N", amount=10, currency="EUR")]
        said = {"fx_rates_on": "invoice_date", "plan_changes": "by_day", "movements_of": "subscription"}
        book = make("2024-04", said, subscriptions=rows, fx_rates=self.RATES)
        # S: (9 · 100 + 21 · 200) / 30 = 170, at 1.0, then at 1.3 of 15 April; N: new at 1.3
        assert moved(book, *self.COLUMNS)["2024-04"] == [100, 13, 70, 0, 51, 234]


class TestPlanChanges:
    """April has 30 days: 9 of them before the 10th, 21 from then on."""

    BASIC = sub("ann", "2024-03-05", subscription_id="S", amount=100, valid_to="2024-04-10")
    PLUS = sub("ann", "2024-03-05", subscription_id="S", amount=130, plan_id="plus", valid_from="2024-04-10")
    COLUMNS = ["mrr_start", "mrr_expansion", "mrr_contraction", "mrr_fx", "mrr_end"]

    def test_a_change_counts_whole_at_the_months_end_or_by_the_days_of_each_version(self, make):
        rows = [self.BASIC, self.PLUS, sub("bob", "2024-03-05", subscription_id="B", amount=7)]
        assert moved(make("2024-05", subscriptions=rows), *self.COLUMNS) == {
            "2024-03": [0, 0, 0, 0, 107], "2024-04": [107, 30, 0, 0, 137], "2024-05": [137, 0, 0, 0, 137]}
        book = make("2024-05", {"plan_changes": "by_day"}, subscriptions=rows)
        assert moved(book, *self.COLUMNS) == {               # (9 · 100 + 21 · 130) / 30 = 121
            "2024-03": [0, 0, 0, 0, 107], "2024-04": [107, 21, 0, 0, 128], "2024-05": [128, 9, 0, 0, 137]}
        months = mart(book, "subscription_months", "plan_id", "month", "mrr").loc["ann"]
        assert months.values.tolist() == [["basic", 24291, 100], ["plus", 24292, 121], ["plus", 24293, 130]]

    @pytest.mark.parametrize(("day", "mrr"), [
        ("2024-04-30 23:00:00", 101), ("2024-05-01", 100), ("2024-04-01", 130)])     # (29 · 100 + 1 · 130) / 30
    def test_the_first_and_the_last_day_of_a_month(self, make, day, mrr):
        rows = [self.BASIC | {"valid_to": day}, self.PLUS | {"valid_from": day}]
        assert moved(make("2024-04", {"plan_changes": "by_day"}, subscriptions=rows), "mrr_end")["2024-04"] == [mrr]

    def test_only_days_that_were_paid_count_and_only_who_pays_at_the_end(self, make):
        rows = [sub("new", "2024-04-21", subscription_id="N", valid_to="2024-04-26"),          # (5 · 10 + 5 · 30) / 10 = 20
                sub("new", "2024-04-21", subscription_id="N", amount=30, valid_from="2024-04-26"),
                sub("one", "2024-04-21", subscription_id="I", amount=5),                      # no change: no part of a month
                sub("off", "2024-03-05", "2024-04-20", subscription_id="O", valid_to="2024-04-10"),
                sub("off", "2024-03-05", "2024-04-20", subscription_id="O", amount=30, valid_from="2024-04-10")]
        book = make("2024-04", {"plan_changes": "by_day"}, subscriptions=rows)
        assert moved(book, "mrr_new", "mrr_churn", "mrr_end") == {"2024-03": [10, 0, 10], "2024-04": [25, 10, 25]}

    def test_the_mean_is_rounded_once_and_a_subscription_of_several_plans_has_one_number_of_days(self, make):
        rows = [sub("ann", "2024-04-05", subscription_id="S", plan_id="seats", valid_to="2024-05-10"),
                sub("ann", "2024-04-05", subscription_id="S", plan_id="old", amount=31, valid_to="2024-05-10"),
                sub("ann", "2024-04-05", subscription_id="S", plan_id="seats", amount=20, valid_from="2024-05-10"),
                sub("ann", "2024-04-05", subscription_id="S", plan_id="storage", amount=62, valid_from="2024-05-10")]
        book = make("2024-05", {"plan_changes": "by_day"}, subscriptions=rows)
        may = mart(book, "subscription_months", "plan_id", "month", "mrr").query("month == 24293")
        # May has 9 days and 22: seats (90 + 440 + 9 · 31 of the plan that went) / 31 = 809 / 31; storage 22 · 62 / 31
        assert may[["plan_id", "mrr"]].values.tolist() == [["seats", 26.0968], ["storage", 44]]

    def test_a_change_in_another_currency_and_one_before_a_pause(self, make):
        rows = [row | {"currency": "EUR"} for row in (self.BASIC, self.PLUS)]
        rows = [row | {"started_at": "2024-04-01 00:00:00"} for row in rows]
        rows = [rows[0] | {"valid_to": "2024-05-10"}, rows[1] | {"valid_from": "2024-05-10"}]
        rates = [{**RATES[0], "date": "2024-04-01"}, RATES[1]]
        book = make("2024-05", {"plan_changes": "by_day"}, subscriptions=rows, fx_rates=rates)
        # (9 · 110 + 22 · 143) / 31 = 133.4194 at the start's rate, (9 · 120 + 22 · 156) / 31 = 145.5484 at the end's
        assert moved(book, *self.COLUMNS)["2024-05"] == pytest.approx([110, 23.4194, 0, 12.129, 145.5484])
        rows = [self.BASIC, self.PLUS | {"paused_at": "2024-04-20"}]
        book = make("2024-04", {"plan_changes": "by_day"}, subscriptions=rows)
        assert moved(book, "mrr_paused", "mrr_end")["2024-04"] == [100, 0]
        assert mart(book, "customer_months", "month", "paused_end").query("month == 24292")["paused_end"].to_list() == [121]


class TestPointInTime:
    """What is told of a row only after the month is not in the month's report, and rejects nothing."""

    LATER = [
        ("feedback", {"feedback_id": "F", "kind": "nps", "asked_at": "2024-04-05"},
         {"answered_at": "2024-05-02", "score": 11, "text": "fine", "handled_at": "2024-05-03"}),
        ("support_tickets", {"ticket_id": "T", "opened_at": "2024-04-05"},
         {"first_reply_at": "2024-05-02", "solved_at": "2024-05-03", "csat": "good", "reopened": 2}),
        ("customers", {}, {"loyalty_joined_at": "2024-05-02", "loyalty_tier": "gold", "loyalty_points": 5}),
        ("addons", {"addon_id": "A", "started_at": "2024-04-05"}, {"ended_at": "2024-05-02"}),
        ("subscriptions", {"subscription_id": "S", "plan_id": "p", "unit_amount": 10, "interval": "month",
                           "started_at": "2024-04-05"},
         {"ended_at": "2024-05-09", "canceled_at": "2024-05-02", "status": "canceled", "cancel_reason": "price",
          "churn_kind": "voluntary", "past_due_since": "2024-05-01", "paused_at": "2024-05-03", "resumed_at": "2024-05-04"}),
    ]

    @pytest.mark.parametrize(("table", "row", "later"), LATER, ids=[table for table, *_ in LATER])
    def test_later_values_of_an_earlier_row_are_blank(self, make, table, row, later):
        sales = {"transactions": [sale("ann", "2024-04-05")]}
        book = make("2024-04", **sales, **{table: [{"customer_id": "ann", **row, **later}]})
        kept = book.engine.table(f"staged_{table}").df()
        assert kept["stage"].to_list() == ["kept"] and kept[[*later]].isna().all(axis=None)
        assert kept[[*row]].notna().all(axis=None)
        if table != "subscriptions":                          # there a version of later is a row of its own
            known = make("2024-05", **sales, **{table: [{"customer_id": "ann", **row, **later, "score": 9}]})
            found = known.engine.table(f"staged_{table}").df()
            assert found[[column for column in later if column in found]].notna().all(axis=None)


class TestStatus:
    @pytest.mark.parametrize(("status", "ends", "mrr"), [
        ("active", {}, 10), ("trialing", {}, 0), ("trialing", {"trial_ended_at": "2024-04-20"}, 10), ("Free", {}, 0),
        ("incomplete_expired", {}, 0), ("canceled", {"ended_at": "2024-06-09"}, 10)])
    def test_what_pays_nothing_by_its_status(self, make, status, ends, mrr):
        rows = [sub("ann", "2024-04-05", status=status, **ends), sub("bob", "2024-04-05", amount=5)]
        assert moved(make("2024-04", subscriptions=rows), "mrr_end") == {"2024-04": [mrr + 5]}

    def test_an_end_without_a_date_is_rejected(self, make):
        rows = [sub("ann", "2024-04-05", status="canceled"), sub("bob", "2024-04-05")]
        book = make("2024-04", subscriptions=rows)
        assert book.frame("summaries/rejected_rows")[["rule", "column", "value"]].values.tolist() == [
            ["ended without a date", "status", "canceled"]]
        assert moved(book, "mrr_end") == {"2024-04": [10]}

    DUE = [                            # status, what more is told; MRR at the ends of March, April, May; grace is 7 days
        ("past_due", {"current_period_end": "2024-04-20"}, [0, 0, 0]),        # the open bill of 20 March; from May on the paid end
        ("past_due", {"current_period_end": "2024-04-28"}, [10, 10, 0]),      # within grace on 1 April and on 1 May
        ("unpaid", {"current_period_end": "2024-05-20"}, [10, 0, 0]),         # the open bill of 20 April, when as_of is 1 May
        ("past_due", {"current_period_end": "2025-03-28", "interval": "year", "unit_amount": 120}, [10, 0, 0]),
        ("unpaid", {"current_period_end": "2024-05-03", "interval": "week", "unit_amount": 3}, [13, 13, 0]),
        ("past_due", {"valid_from": "2024-04-10"}, [0, 0, 0]),
        ("past_due", {}, [10, 10, 10]),                                       # in dunning, since nobody says when
        ("paused", {"valid_from": "2024-04-10"}, [0, 0, 0]),
        ("paused", {"paused_at": "2024-05-10"}, [10, 10, 0])]

    @pytest.mark.parametrize(("status", "more", "mrr"), DUE)
    def test_a_status_without_its_date_goes_by_the_open_bill(self, make, status, more, mrr):
        rows = [sub("ann", "2024-01-28") | {"status": status} | more, sub("bob", "2024-01-05", amount=5)]
        for month, expected in zip(("2024-03", "2024-04", "2024-05"), mrr, strict=True):
            found = moved(make(month, subscriptions=rows), "mrr_end")
            assert found.get(month) == [expected + 5], (month, found)

    def test_a_lapse_is_involuntary(self, make):
        rows = [sub("ann", "2024-01-05", past_due_since="2024-04-10"), sub("bob", "2024-01-05", "2024-04-20", churn_kind="voluntary"),
                sub("cat", "2024-01-05", "2024-04-12", past_due_since="2024-04-10")]
        kinds = mart(make("2024-05", subscriptions=rows), "customers", "churn_kind")["churn_kind"]
        assert kinds.fillna("").to_dict() == {"ann": "involuntary", "bob": "voluntary", "cat": ""}

    @pytest.mark.parametrize("status", ["unpaid", "paused"])
    def test_who_pays_nothing_since_a_day_that_nobody_says_is_rejected(self, make, status):
        book = make("2024-05", subscriptions=[sub("ann", "2024-01-05", status=status), sub("bob", "2024-01-05")])
        assert book.frame("summaries/rejected_rows")[["rule", "value"]].values.tolist() == [[f"{status} without a date", status]]

    def test_who_pays_and_is_known_to_leave(self, make):
        gone = {"canceled_at": "2024-05-10"}
        rows = [sub("ann", "2024-01-05", "2024-06-20", **gone), sub("bob", "2024-01-05", "2025-01-05", amount=7, **gone),
                sub("cat", "2024-01-05", past_due_since="2024-05-29"), sub("dan", "2024-01-05", "2024-06-20", **gone),
                sub("dan", "2024-02-05"), sub("eve", "2024-01-05", "2024-05-20", **gone), sub("fay", "2024-01-05", "2024-06-01", **gone)]
        book = make("2024-05", subscriptions=rows)
        assert book.frame("summaries/leaving").values.tolist() == [
            ["2024-06", "cancelled", 2, 20], ["2024-06", "past due", 1, 10], ["2025-01", "cancelled", 1, 7]]
        assert book.frame("summaries/undated").values.tolist() == [[0, 0]]

    def test_a_version_without_an_end_goes_on_until_the_next_one(self, make):
        rows = [sub("ann", "2024-01-05", subscription_id="S", amount=10),
                sub("ann", "2024-01-05", subscription_id="S", amount=25, valid_from="2024-04-05")]
        assert moved(make("2024-04", subscriptions=rows), "mrr_end") == {
            "2024-01": [10], "2024-02": [10], "2024-03": [10], "2024-04": [25]}

    def test_a_subscription_may_bill_several_plans(self, make):
        rows = [sub("ann", "2024-03-05", subscription_id="S", plan_id="seats", amount=10),
                sub("ann", "2024-03-05", subscription_id="S", plan_id="storage", amount=90),
                sub("ann", "2024-03-05", subscription_id="S", plan_id="seats", amount=20, valid_from="2024-04-05"),
                sub("ann", "2024-03-05", subscription_id="S", plan_id="storage", amount=90, valid_from="2024-04-05")]
        assert moved(make("2024-04", subscriptions=rows), "mrr_end") == {"2024-03": [100], "2024-04": [110]}


class TestSales:
    RETURNED = [sale("ann", "2024-04-20", 50, transaction_id="A"), sale("bob", "2024-04-21", 30, transaction_id="B"),
                sale("ann", "2024-05-02", -50, transaction_id="R", original_transaction_id="A", type="refund"),
                sale("bob", "2024-05-03", -10, transaction_id="Q", original_transaction_id="B", type="refund")]

    def test_a_refund_falls_on_its_day_or_on_that_of_its_order(self, make):
        assert revenue(make("2024-05", transactions=self.RETURNED)) == {"2024-04": 80, "2024-05": -60}
        book = make("2024-05", {"refunds_on": "order_date"}, transactions=self.RETURNED)
        assert revenue(book) == {"2024-04": 20}
        unknown = [*self.RETURNED[:2], sale("ann", "2024-05-02", -50, original_transaction_id="Z", type="refund")]
        assert revenue(make("2024-05", {"refunds_on": "order_date"}, transactions=unknown)) == {"2024-04": 80, "2024-05": -50}

    @pytest.mark.parametrize(("days", "orders"), [(None, 2), (11, 2), (12, 1)])     # given back on the twelfth day
    def test_an_order_given_back_whole_and_soon_is_none(self, make, days, orders):
        book = make("2024-05", {"void_days": days}, transactions=self.RETURNED)
        assert moved(book, "orders")["2024-04"] == [orders]
        assert mart(book, "rfm_customers", "monetary")["monetary"].astype("float64").get("bob") == 20
        assert ("ann" in mart(book, "rfm_customers", "monetary").index) == (orders == 2)

    def test_tax_is_left_out_or_counted(self, make):
        rows = [sale("ann", "2024-05-02", 100, tax=19), sale("bob", "2024-05-02", 10)]
        assert revenue(make("2024-05", transactions=rows)) == {"2024-05": 110}
        assert revenue(make("2024-05", {"tax": "included"}, transactions=rows)) == {"2024-05": 129}

    def test_another_currency_counts_at_the_rate_of_its_day_rounded_once(self, make):
        rows = [sale("ann", "2024-05-30", 10.01, currency="EUR"), sale("ann", "2024-05-31", 10, currency="eur"),
                sale("ann", "2024-05-31", 1, currency="USD"), sale("ann", "2024-04-29", 5, currency="EUR")]
        book = make("2024-05", transactions=rows, fx_rates=RATES)
        assert revenue(book) == {"2024-05": pytest.approx(10.01 * 1.1 + 12 + 1)}
        assert book.frame("summaries/rejections")["rule"].to_list() == ["no rate on or before its day"]
        found = book.frame("summaries/rows").query("table == 'transactions'").set_index("stage")["amount"]
        assert found["read"] == pytest.approx(found["kept"] + found["rejected"])

    def test_the_other_way_of_a_rate_will_do_and_the_direct_one_counts_first(self, make):
        other = [{"date": "2024-05-01", "from_currency": "USD", "to_currency": "EUR", "rate": 0.8}]
        rows = [sale("ann", "2024-05-30", 10, currency="EUR")]
        assert revenue(make("2024-05", transactions=rows, fx_rates=other)) == {"2024-05": 12.5}
        both = [*other, {"date": "2024-05-01", "from_currency": "EUR", "to_currency": "USD", "rate": 1.3}]
        assert revenue(make("2024-05", transactions=rows, fx_rates=both)) == {"2024-05": 13}

    def test_two_currencies_and_no_rate_stop_the_run(self, make):
        with pytest.raises(ReportError, match="two currencies and no rate"):
            make("2024-05", transactions=[sale("ann", "2024-05-30", 10, currency="EUR"), sale("ann", "2024-05-30", 10)])

    def test_amounts_of_a_currency_without_decimals(self, make):
        book = make("2024-05", transactions=[sale("ann", "2024-05-30", "1,234,567"), sale("ann", "2024-05-31", "-67")])
        assert revenue(book) == {"2024-05": 1_234_500}


def test_the_timeline_tells_every_row_and_the_customer_stands_whole(make):
    book = make(
        "2024-05", transactions=[sale("ann", "2024-05-02", 10), sale(None, "2024-05-02", 5)],
        subscriptions=[sub("ann", "2024-03-05", "2024-05-20", subscription_id="S", paused_at="2024-04-01")],
        touches=[{"touch_id": "t", "customer_id": "ann", "touched_at": "2024-05-03", "programme": "mail", "holdout": "yes"}],
        support_tickets=[{"ticket_id": "k", "customer_id": "ann", "opened_at": "2024-05-04", "solved_at": "2024-06-02"}],
        feedback=[{"feedback_id": "f", "customer_id": "ann", "kind": "nps", "answered_at": "2024-05-05", "score": 9}],
        addons=[{"customer_id": "ann", "addon_id": "x", "started_at": "2024-05-06"}])
    told = book.engine.table("mart_customer_timeline").order("happened_at").df()
    assert told["what"].to_list() == ["plan started", "plan paused", "sale", "held out", "ticket opened", "survey answered",
                                      "add-on started", "plan ended"]
    counts = book.frame("summaries/timeline")
    assert (counts["rows"] == counts["told"]).all() and counts["rows"].sum() == 6
    whole = mart(book, "customer_360", "orders", "open_tickets", "last_nps", "touches", "mrr").loc["ann"]
    assert whole.astype("float64").to_list() == [1, 1, 9, 0, 0]          # solved in June: still open; held out: not touched
    assert pd.isna(mart(book, "customer_360", "plan_id").loc["ann", "plan_id"])
