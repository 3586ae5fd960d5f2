"""What is said of the rows and of the books: rules, the ledger, readiness, and what changed since last month."""

import re

import numpy as np
import pandas as pd
import pytest

from helpers.contracts import BELOW, TABLES
from helpers.engine import template
from helpers.inputs import history
from helpers.marts import prepare
from helpers.metrics import data_prep, hidden

LEAST = {"months": 12, "customers": 30, "ends": 5}


def evidence(months=36, customers=100, ends=9):
    return pd.DataFrame([{"months": months, "customers": customers, "ends": ends}])


def section(found, name):
    return found.set_index("section").loc[name, ["status", "missing", "unlocks"]].to_list()


class TestRules:
    ROWS = pd.DataFrame([("sales", "read", 9, 100.0), ("sales", "kept", 5, 60.0), ("sales", "rejected", 3, 25.0),
                         ("sales", "after_as_of", 1, 15.0)], columns=["table", "stage", "rows", "amount"])
    BROKEN = pd.DataFrame([("sales", "empty", "amount", 1, 0.0), ("sales", "empty", "at", 1, 5.0),
                           ("sales", "below 1", "n", 1, 20.0), ("other", "empty", "n", 7, 70.0)],
                          columns=["table", "rule", "column", "rows", "amount"])

    def test_the_waterfall_goes_from_read_to_kept_rule_by_rule(self):
        found = data_prep.waterfall(self.ROWS, self.BROKEN, "sales")
        assert found.values.tolist() == [
            ["read", 100, "total"], ["below 1", -20, "change"], ["empty", -5, "change"],
            ["after the month", -15, "change"], ["kept", 60, "total"]]
        assert found["value"].iloc[:-1].sum() == found["value"].iloc[-1]

    def test_customers_whom_a_policy_leaves_out_are_no_fault_of_the_file(self):
        broken = pd.DataFrame([("sales", "internal customer", "customer_id", 2, 0.0), ("sales", "empty", "at", 1, 5.0)],
                              columns=self.BROKEN.columns)
        found = data_prep.prep_metrics(self.ROWS, broken, TestLedger.NONE, "2025-06").set_index(["metric", "dimension"])
        assert found.loc[("rejected_share", "all"), "value"] == 1 / 8
        assert found.loc[("rows_rejected", "all"), "value"] == 3

    def test_every_rule_has_a_remedy(self):
        judged = "".join(template("staging/judged").render(table=table, below=BELOW) for table in TABLES.values())
        rules = {*re.findall(r"'([^'|\n]+)\|", judged), "repeated", "contradicts another row"}
        assert rules > {"cannot be read", "empty", "below zero", "before period_start", "too large", "beyond 1000"}
        found = data_prep.remedies(pd.DataFrame({"rule": sorted(rules)})).set_index("rule")["remedy"]
        assert found.str.endswith(".").all()
        assert found["empty"].startswith("Fill the cell") and found["repeated"].startswith("Nothing")
        assert found["before 1970"].startswith("Write the true time") and "two times" in found["before started_at"]


class TestControlTotals:
    """Ten rows of 100.10 were sent in two files; three tables of the settings tell what was counted."""

    INPUTS = pd.DataFrame({"table": ["sales", "sales", "other"]})
    ROWS = pd.DataFrame([("sales", "read", 10, 100.10), ("sales", "kept", 4, 40.0), ("other", "read", 0, np.nan)],
                        columns=["table", "stage", "rows", "amount"])

    def number(self, value, unit):
        return f"{value:g}"

    def found(self, **told):
        return data_prep.control_checks(self.ROWS, self.INPUTS, told)

    def test_what_was_read_counts_not_what_was_kept(self):
        found = self.found(sales={"files": 2, "rows": 10, "amount": 100.1})
        assert found["passed"].all() and len(found) == 3
        assert data_prep.controlled(found, self.number) == "3 of 3 control totals agree."

    @pytest.mark.parametrize("told", [{"files": 3}, {"rows": 11}, {"amount": 100.11}, {"rows": 4, "amount": 100.1}])
    def test_a_gap_fails_and_names_its_table(self, told):
        found = self.found(other={"files": 1, "rows": 0}, sales=told)
        assert (~found["passed"]).sum() == 1
        assert "Not those of sales: a file is missing, cut off, " in data_prep.controlled(found, self.number)

    def test_a_table_without_rows_is_told_too(self):
        found = data_prep.control_checks(self.ROWS, self.INPUTS, {"empty": {"rows": 3}})
        assert found[["actual", "passed"]].to_numpy().tolist() == [[0.0, False]]

    def test_none_told_is_said(self):
        assert data_prep.controlled(self.found(), self.number).startswith("No control totals were told: ")

    def test_money_stands_in_the_currency_and_the_rest_are_counts(self):
        shown = data_prep.controls(self.found(sales={"rows": 10, "amount": 100.1}), "EUR")
        assert shown[["check", "unit"]].to_numpy().tolist() == [["control total: rows", "count"], ["control total: amount", "EUR"]]

    def test_a_file_that_lost_its_last_line_fails_the_run_s_own_totals(self, make):
        lines = [["C1", "2025-06-01", 10.0], ["C2", "2025-06-02", 20.5], ["C2", "2025-06-03", "never"]]
        rows = pd.DataFrame(lines, columns=["customer_id", "transacted_at", "amount"])
        for cut, passed in ((0, [True, True, True]), (1, [True, False, True]), (2, [True, False, False])):
            book = make("2025-06", transactions=rows.head(len(rows) - cut))
            found = data_prep.control_checks(book.frame("summaries/rows"), book.frame("summaries/inputs"),
                                             {"transactions": {"files": 1, "rows": 3, "amount": 30.5}})
            assert found["passed"].to_list() == passed, cut


class TestRates:
    RATES = [{"date": day, "from_currency": of, "to_currency": to, "rate": rate} for day, of, to, rate in (
        ("2024-05-01", "EUR", "USD", 1.1), ("2024-06-30", "EUR", "USD", 1.2), ("2025-04-10", "EUR", "USD", 1.5),
        ("2025-07-01", "EUR", "USD", 9.9), ("2025-06-30", "USD", "JPY", 160), ("2025-06-30", "GBP", "USD", 1.3))]

    def found(self, make):
        lines = [["a", "2025-06-01", 10, "EUR"], ["a", "2025-06-02", 10, "eur"], ["a", "2025-06-30", 10, "JPY"],
                 ["a", "2025-06-30", 10, "USD"], ["a", "2025-06-30", 10, None], ["a", "2025-07-01", 10, "EUR"]]
        sales = [dict(zip(["customer_id", "transacted_at", "amount", "currency"], line, strict=True)) for line in lines]
        spend = [{"period_start": "2025-06-01", "period_end": "2025-06-30", "channel": "x", "amount": 5, "currency": "EUR"}]
        return make("2025-06", transactions=sales, marketing_spend=spend, fx_rates=self.RATES).frame("summaries/rates")

    def test_each_currency_in_use_tells_its_rates_and_their_age_at_the_end_of_the_month(self, make):
        table = self.found(make).astype({"first_rate": str, "last_rate": str, "last_use": str})
        assert table.drop(columns=["rate", "rate_a_year_before", "widest_gap"]).to_numpy().tolist() == [
            ["EUR", 3, 3, "2024-05-01", "2025-04-10", "2025-06-02", 53],       # the rate of July is not known yet
            ["JPY", 1, 1, "2025-06-30", "2025-06-30", "2025-06-30", 0]]        # nobody uses GBP
        assert table["widest_gap"].fillna(0).to_list() == [284, 0]      # 30 June 2024 to 10 April 2025
        assert table["rate"].to_list() == [1.5, 0.00625]
        assert table["rate_a_year_before"].fillna(0).to_list() == [1.2, 0]

    def test_a_last_rate_that_is_too_old_fails_a_check(self, make):
        found = data_prep.rate_checks(self.found(make), 31).query("check.str.startswith('age')")
        assert found[["scope", "actual", "passed"]].to_numpy().tolist() == [["EUR", 53.0, False], ["JPY", 0.0, True]]
        assert data_prep.rate_checks(self.found(make), 53)["passed"].all()

    @pytest.mark.parametrize(("ended", "last", "age"), [(None, "2025-06-30", 81), ("2025-05-01 09:00", "2025-05-01", 21),
                                                       ("2025-08-01", "2025-06-30", 81), ("2024-07-02", "2024-07-02", 0)])
    def test_a_subscription_needs_rates_until_it_ends(self, make, ended, last, age):
        rows = [{"customer_id": "a", "plan_id": "p", "unit_amount": 10, "interval": "month", "currency": "EUR",
                 "started_at": "2024-06-02", "ended_at": ended}]
        table = make("2025-06", subscriptions=rows, fx_rates=self.RATES).frame("summaries/rates")
        assert [str(table["last_use"].iloc[0])[:10], table["age_days"].iloc[0]] == [last, age]

    def test_books_of_one_currency_have_none(self, make):
        rows = [{"customer_id": "a", "transacted_at": "2025-06-01", "amount": 10, "currency": "USD"}]
        assert data_prep.rate_checks(make("2025-06", transactions=rows).frame("summaries/rates"), 31).empty


class TestLedger:
    NONE = pd.DataFrame(columns=["month", "measure", "ledger", "ours", "difference", "gap", "passed"])
    LEDGER = pd.DataFrame([
        ("2025-05", "active_customers", 10.0, np.nan), ("2025-06", "active_customers", 12.0, np.nan),
        ("2025-06", "mrr", 200.0, 200.9), ("2025-06", "net_revenue", 1000.0, 1005.0), ("2025-06", "refunds", 0.0, 0.01),
        ("2025-06", "marketing_spend", 50.0, np.nan)], columns=["month", "measure", "ledger", "ours"])
    MONTHS = pd.DataFrame({"period": ["2025-05", "2025-06"], "active_end": [10, 11]})

    @pytest.fixture
    def tied(self):
        return data_prep.reconcile(self.LEDGER, self.MONTHS, 0.005)

    def test_a_figure_may_differ_by_the_tolerance_and_one_of_nothing_by_half_a_cent(self, tied):
        found = tied.set_index(["month", "measure"])
        assert found["passed"].dropna().to_dict() == {
            ("2025-05", "active_customers"): True, ("2025-06", "active_customers"): False,  # 11 of 12
            ("2025-06", "mrr"): True, ("2025-06", "net_revenue"): True, ("2025-06", "refunds"): False}
        assert found.loc[("2025-06", "active_customers"), "gap"] == pytest.approx(-1 / 12)
        assert np.isnan(found.loc[("2025-06", "refunds"), "gap"])

    def test_what_we_do_not_count_is_not_compared(self, tied):
        other = tied[tied["measure"] == "marketing_spend"]
        assert other["ledger"].to_list() == [50] and other[["ours", "gap", "passed"]].isna().all(axis=None)
        assert "ledger: marketing_spend" not in set(data_prep.ledger_checks(tied, 0.005)["check"])

    def test_the_gap_is_that_of_net_revenue_else_of_mrr(self, tied):
        def gap(table):
            rows = pd.DataFrame(data_prep.ledger_metrics(table))
            return rows[(rows["dimension"] == "all") & (rows["period"] == "2025-06")][["value", "method"]].values.tolist()
        assert gap(tied) == [[pytest.approx(0.005), "of net_revenue"]]
        assert gap(tied[tied["measure"] != "net_revenue"]) == [[pytest.approx(0.0045), "of mrr"]]
        assert gap(tied[tied["measure"] == "active_customers"]) == [[pytest.approx(-1 / 12), "of active_customers"]]

    def test_each_figure_is_a_check_with_its_tolerance(self, tied):
        found = data_prep.ledger_checks(tied, 0.005).set_index(["check", "scope"])
        assert found.loc[("ledger: net_revenue", "2025-06"), ["expected", "actual", "tolerance", "passed"]].to_list() == [
            1000, 1005, 5, True]
        assert found["passed"].to_list() == tied["passed"].dropna().to_list()


class TestReadiness:
    def test_a_section_without_its_table_is_impossible(self):
        found = data_prep.sections({"transactions"}, set(), LEAST)
        assert section(found, "Tiers") == ["impossible", "subscriptions", "the whole section"]

    def test_a_missing_column_makes_it_partial_and_says_what_it_would_unlock(self):
        columns = {"transactions.product_id"}
        found = data_prep.sections({"transactions"}, columns, LEAST)
        assert section(found, "Revenue, orders and repeat purchases") == ["ready", "", ""]
        assert section(found, "RFM and purchase models") == [
            "partial", "transactions.item_type", "purchases told from renewals"]

    def test_either_of_two_tables_will_do_and_columns_of_the_other_are_not_missed(self):
        found = data_prep.sections({"transactions"}, {"business_events.label"}, LEAST)
        assert section(found, "Retention") == ["ready", "", ""]
        found = data_prep.sections({"subscriptions"}, {"business_events.label"}, LEAST)
        assert section(found, "Retention")[:2] == ["partial", "subscriptions.ended_at"]

    @pytest.mark.parametrize(("changes", "said"), [
        ({"months": 11}, "12 months of history (found 11)"), ({"customers": 29}, "30 customers (found 29)"),
        ({"ends": 4}, "5 customers who left (found 4)"), ({"months": 12, "customers": 30, "ends": 5}, "")])
    def test_too_little_to_judge_lifetimes_is_partial(self, changes, said):
        columns = {"costs.amount", "customers.channel"}
        found = data_prep.sections({"transactions"}, columns, LEAST, evidence(**changes))
        assert section(found, "LTV and lifetimes")[:2] == ["partial" if said else "ready", said]

    def test_before_a_run_lifetimes_are_not_called_ready(self):
        known = "12 months of history, 30 customers, 5 customers who left: known after a run"
        for columns, status, missing in (({"costs.amount", "customers.channel"}, "known after a run", known),
                                         ({"costs.amount"}, "partial", f"customers.channel; {known}")):
            found = data_prep.sections({"transactions"}, columns, LEAST)
            assert section(found, "LTV and lifetimes")[:2] == [status, missing]
        found = data_prep.sections({"customers"}, columns, LEAST)
        assert section(found, "LTV and lifetimes") == ["impossible", "transactions or subscriptions", "the whole section"]


class TestDrift:
    NOW = pd.DataFrame([("sales", "amount", 100, 0), ("sales", "colour", 100, 20), ("sales", "size", 100, 5)],
                       columns=["table", "column", "rows", "empty"])

    def test_columns_that_came_went_or_are_emptier_are_told(self):
        then = pd.DataFrame([("sales", "amount", 50, 0), ("sales", "shape", 50, 0), ("sales", "size", 50, 0),
                             ("sales", "colour", 50, 7)], columns=["table", "column", "rows", "empty"])
        found = data_prep.drift(self.NOW, then).fillna("")
        assert sorted(found.values.tolist()) == [  # size went from 0 to 5 %, not by more than five points
            ["sales", "colour", "empty cells", 0.14, 0.2], ["sales", "shape", "no longer there", 0.0, ""]]
        assert data_prep.drift(self.NOW, then.iloc[:3]).fillna("").values.tolist()[0] == ["sales", "colour", "new", "", 0.2]

    VOLUME = ["table", "period", "rows", "amount"]

    def test_months_that_are_no_longer_what_was_published_are_told_to_the_cent(self):
        then = pd.DataFrame([("sales", "2025-03", 5, 50.0), ("sales", "2025-04", 6, 60.0), ("sales", "2025-05", 7, 70.0),
                             ("usage", "2025-05", 3, np.nan), ("plans", "2025-05", 1, np.nan)], columns=self.VOLUME)
        now = pd.DataFrame([("sales", "2025-03", 5, 50.0), ("sales", "2025-04", 6, 60.01), ("sales", "2025-05", 8, 70.0),
                            ("sales", "2025-06", 9, 90.0), ("usage", "2025-05", 4, np.nan), ("plans", "2025-05", 1, np.nan)],
                           columns=self.VOLUME)
        assert data_prep.late(now, then, "2025-06").fillna(-1).values.tolist() == [
            ["sales", "2025-04", 6, 6, 60.0, 60.01, pytest.approx(0.01)], ["sales", "2025-05", 7, 8, 70.0, 70.0, 0.0],
            ["usage", "2025-05", 3, 4, -1, -1, 0.0]]

    def test_a_month_that_came_or_went_is_told_and_the_windows_ends_are_not(self):
        then = pd.DataFrame([("sales", f"2025-0{n + 3}", 5 + n, 50.0 + 10 * n) for n in range(3)], columns=self.VOLUME)
        now = pd.DataFrame([("sales", "2025-04", 6, 60.0), ("sales", "2025-06", 8, 80.0)], columns=self.VOLUME)
        assert data_prep.late(now, then, "2025-06").fillna(0).values.tolist() == [["sales", "2025-05", 7, 0, 70, 0, -70]]
        assert data_prep.late(then, now.iloc[[0]].assign(period="2025-05"), "2025-06").values.tolist() == [
            ["sales", "2025-05", 6, 7, 60, 70, 10]]

    def test_a_table_that_came_or_went_has_no_late_months(self):
        then = pd.DataFrame([("sales", "2025-05", 5, 50.0), ("costs", "2025-05", 1, 9.0)], columns=self.VOLUME)
        now = pd.DataFrame([("sales", "2025-05", 5, 50.0), ("usage", "2025-05", 1, np.nan)], columns=self.VOLUME)
        assert data_prep.late(now, then, "2025-06").empty

    def test_a_month_that_was_missing_when_it_was_published_is_told_when_it_comes(self):
        then = pd.DataFrame([("sales", "2025-03", 5, 50.0), ("sales", "2025-04", 6, 60.0)], columns=self.VOLUME)
        now = pd.DataFrame([*then.to_numpy(), ("sales", "2025-05", 7, 70.0), ("sales", "2025-06", 8, 80.0)], columns=self.VOLUME)
        assert data_prep.late(now, then, "2025-06").fillna(0).values.tolist() == [["sales", "2025-05", 0, 7, 0, 70, 70]]

    @pytest.mark.parametrize("given", [["subscriptions", "costs"], ["subscriptions"]])
    def test_late_and_changed_rows_are_named_against_the_table_that_was_published(self, tmp_path, write_params, given):
        path = write_params(tmp_path, "2025-06", given, history=str(tmp_path / "out"))

        def book(month, people, cost):
            pd.DataFrame([{"subscription_id": name, "customer_id": name, "plan_id": "pro", "unit_amount": 10, "interval": "month",
                           "started_at": day} for name, day in people]).to_csv(tmp_path / "subscriptions.csv", index=False)
            pd.DataFrame([("2025-04-01", "cogs", 5), ("2025-05-01", "cogs", cost)],
                         columns=["month", "category", "amount"]).to_csv(tmp_path / "costs.csv", index=False)
            return prepare(str(path), month, str(tmp_path / "out" / "book" / month))

        def compare(book):
            tables = {name: book.frame(f"summaries/{name}") for name in ("columns", "volume_by_table")}
            known = book.earlier("columns", ["table", "column", "rows", "empty"])
            earlier = book.earlier("volume_by_table", self.VOLUME)
            drift = data_prep.drift(tables["columns"], known)
            late = data_prep.late(tables["volume_by_table"], earlier, book.params.report.month)
            return tables, late.fillna("").values.tolist(), data_prep.compared(known, earlier, drift, late)

        people = [("ann", "2025-03-05"), ("bob", "2025-05-20"), ("cy", "2025-06-02")]
        may = book("2025-05", people[:2], 6)
        tables, found, said = compare(may)
        assert not found and said == "No report of the month before was found: there is nothing to compare with."
        may.save("columns", tables["columns"])
        assert "not kept by table" in compare(book("2025-06", people, 6))[2]
        may.save("volume_by_table", tables["volume_by_table"])
        june = book("2025-06", people, 6)
        assert {"book/2025-05/tables/columns.csv", "book/2025-05/tables/volume_by_table.csv"} == {*history(june.params)}
        assert compare(june)[1:] == ([], f"Compared with the report of the month before: 0 columns changed; "
                                         f"0 past months of {len(given)} tables changed.")
        changed = compare(book("2025-06", [*people, ("late", "2025-04-30")], 8))  # and 6.00 of May's costs are now 8.00
        costs = [["costs", "2025-05", 1, 1, 6, 8, 2]] if "costs" in given else []
        assert changed[1] == [*costs, ["subscriptions", "2025-04", 0, 1, "", "", 0]]
        assert changed[2].endswith(f"{len(given)} past months of {len(given)} tables changed.")

    def test_without_an_earlier_report_nothing_is_told(self):
        assert data_prep.drift(self.NOW, None).empty and data_prep.late(self.NOW, None, "2025-06").empty


def test_kept_rows_and_money_must_be_those_of_the_marts():
    rows = pd.DataFrame([("transactions", "kept", 5, 50.0), ("transactions", "read", 7, 70.0), ("costs", "kept", 0, np.nan)],
                        columns=["table", "stage", "rows", "amount"])
    for held, passed in ((5, [True, True]), (4, [False, False])):
        placed = pd.DataFrame([("costs", "in the marts", 0, 0.0), ("marketing_spend", "in the marts", 0, 0.0),
                               ("transactions", "in the marts", held, 10.0 * held)], columns=["table", "place", "rows", "amount"])
        found = data_prep.volume_checks(rows, placed).set_index("scope")["passed"]
        assert found["transactions"].to_list() == passed and found["costs"].all() and "marketing_spend" not in found
    assert data_prep.volume_checks(rows.iloc[:0], placed).empty


def test_spend_of_days_after_the_month_is_told_and_all_other_kept_money_is_in_the_marts(make):
    spend = [("2025-05-01", "2025-07-31", "ads", "", 92), ("2025-06-30", "2025-07-01", "ads", "", 5), ("2025-06-01", "2025-06-30",
             "ads", "x", 7), ("2025-06-02", "2025-06-02", "ads", "x", 1), ("2025-07-01", "2025-07-31", "ads", "x", 400)]
    book = make(
        "2025-06", subscriptions=[{"customer_id": "ann", "plan_id": "pro", "unit_amount": 10, "interval": "month",
                                   "started_at": "2025-05-03"}],
        marketing_spend=[dict(zip(["period_start", "period_end", "channel", "campaign", "amount"], row, strict=True))
                         for row in spend],
        costs=[{"month": f"2025-{month}-01", "category": category, "amount": amount} for month, category, amount in [
            ("05", "cogs", 3), ("05", "cogs", 4), ("06", "support", 5), ("06", "", 9), ("07", "cogs", 6)]])
    placed, rows = book.frame("summaries/placed"), book.frame("summaries/rows")
    assert placed.fillna(-1).values.tolist() == [
        ["costs", "in the marts", 3, 12], ["marketing_spend", "falls after the month", -1, 33.5],  # 31 of 92 days, 1 of 2
        ["marketing_spend", "in the marts", 4, 71.5], ["transactions", "in the marts", 0, 0]]      # 61 + 2.5 + 7 + 1
    found = data_prep.volume_checks(rows, placed)
    assert found[["scope", "expected", "actual", "passed"]].values.tolist() == [
        ["costs", 3, 3, True], ["costs", 12, 12, True], ["marketing_spend", 4, 4, True], ["marketing_spend", 105, 105, True]]
    book.engine.connection.execute(  # the mart loses June, 24,306
        "create or replace temp table mart_costs as select 24305 as month, 'cogs' as category, 7 as amount")
    found = data_prep.volume_checks(rows, book.frame("summaries/placed"))
    assert found.loc[~found["passed"], ["scope", "expected", "actual"]].values.tolist() == [["costs", 3, 2], ["costs", 12, 7]]


class TestRevenueBridge:
    """June 2025 by hand, and what its lines are in the months around it."""

    LINES = [  # id, day, amount, type, item_type, service_start, service_end
        ("a", "2025-06-16", 30, "sale", "subscription", "2025-06-16", "2025-07-16"),      # 15 of 30 days
        ("b", "2025-06-01", 365, "sale", "subscription", "2025-06-01", "2026-06-01"),     # 30 of 365 days
        ("c", "2025-05-16", 31, "sale", "subscription", "2025-05-16", "2025-06-16"),      # invoiced in May, 15 of 31 days
        ("d", "2025-06-20", 7, "sale", "addon", "", ""),                                  # no period: on its day
        ("e", "2025-06-20", 11, "sale", "one_off", "", ""),
        ("f", "2025-06-21", -5, "refund", "subscription", "", ""),
        ("g", "2025-06-03", 60, "sale", "subscription", "2025-06-01", "2025-06-30"),      # told by its last day: all of June
        ("h", "2025-06-16", -10, "adjustment", "subscription", "2025-06-16", "2025-07-16"),
        ("i", "2025-06-10", 99, "sale", "subscription", "2025-07-01", "2025-08-01"),      # in advance: nothing of June
        ("j", "2025-05-31", 10, "sale", "subscription", "2025-05-31 23:59:59", "2025-06-30 23:59:59"),  # May 31st to June's end
    ]

    @pytest.fixture
    def book(self, make):
        names = "transaction_id transacted_at amount type item_type service_start service_end".split()
        return make(
            "2025-06", subscriptions=[{"customer_id": "ann", "plan_id": "pro", "unit_amount": 30, "interval": "month",
                                       "started_at": "2025-06-16"}],
            transactions=[dict(zip(names, line, strict=True)) | {"customer_id": "ann"} for line in self.LINES])

    def test_june_by_hand(self, book):
        june = book.frame("summaries/revenue_bridge").set_index("period").loc["2025-06"]
        due = 15 + 30 + 15 + 60 - 5 + 10 * 30 / 31
        assert june.drop(["month", "within_month", "recognised", "deferred"]).to_dict() == {
            "mrr": 30, "without_period": 7, "invoiced": 30 + 365 + 7 + 60 - 10 + 99, "other": 11, "refunds": -5, "revenue": 557}
        assert june["within_month"] == pytest.approx(due - 30, abs=1e-4)
        assert june["recognised"] == pytest.approx(due + 7, abs=1e-4)
        assert june["deferred"] == pytest.approx(551 - due - 7, abs=1e-4)

    def test_what_is_not_due_in_a_month_is_due_in_another(self, book):
        found = book.frame("summaries/revenue_bridge").set_index("period")
        assert list(found.index) == ["2025-05", "2025-06"]  # nothing was known before
        assert found.loc["2025-05", "recognised"] == pytest.approx(16 + 10 / 31, abs=1e-4)
        left = 15 + 335 - 5 + 99  # of a, b, h and i after June
        assert found["deferred"].sum() == pytest.approx(left, abs=1e-3)

    def test_its_steps_lead_from_mrr_to_the_revenue_of_all_pages(self, book):
        bridged, months = book.frame("summaries/revenue_bridge"), book.frame("summaries/months")
        steps, found = data_prep.revenue_steps(bridged), data_prep.revenue_checks(bridged, months, book.labels)
        assert steps["value"].iloc[[0, -1]].to_list() == [30, 557]
        changes = steps.loc[steps["kind"] == "change", "value"].sum()
        assert changes == pytest.approx(527) and found["passed"].all() and found["expected"].to_list() == [41, 557] * 2
        off = data_prep.revenue_checks(bridged.assign(other=12.0), months.assign(revenue_unattributed=[0.0, 1.0]), book.labels)
        assert off["passed"].to_list() == [False, False, True, False]

    def test_a_book_without_sales_or_subscriptions_has_no_steps(self, make):
        book = make("2025-06", transactions=[{"customer_id": "ann", "transacted_at": "2025-06-02", "amount": 5}])
        assert book.frame("summaries/revenue_bridge")[["mrr", "recognised", "other", "revenue"]].values.tolist() == [[0, 0, 5, 5]]
        assert data_prep.revenue_steps(book.frame("summaries/revenue_bridge").head(0))["value"].eq(0).all()


def test_who_has_no_money_on_either_side_is_no_passed_trace():
    trace = pd.DataFrame([("ann", 2, 9.0, 9.0), ("bob", 0, 0.0, 0.0), ("cy", 0, 0.0, 4.0), ("di", 1, 5.0, 4.0)],
                         columns=["customer_id", "transaction_rows", "amount_in_source", "revenue_in_mart"])
    assert data_prep.trace_checks(trace).set_index("scope")["passed"].to_dict() == {"ann": True, "cy": False, "di": False}
    assert data_prep.trace_checks(trace.iloc[[1]]).empty


def test_every_kept_row_of_a_customer_must_stand_in_the_timeline():
    found = data_prep.timeline_checks(pd.DataFrame({"table": ["sales", "touches"], "rows": [5, 3], "told": [5, 2]}))
    assert found[["scope", "expected", "actual", "passed"]].values.tolist() == [["sales", 5, 5, True], ["touches", 3, 2, False]]


class TestLeftEdge:
    def months(self, acquired, churned=None, active=100):
        count = len(acquired)
        periods = pd.period_range("2024-01", periods=count, freq="M").astype(str)
        return pd.DataFrame({"period": periods, "acquired": acquired, "active_start": active,
                             "churned": churned or [2] * count})

    def test_a_first_month_of_three_usual_ones_is_told_unless_it_is_set(self):
        found = data_prep.left_edge(self.months([31] + [10] * 11), left_edge_months=0, observed_from=False)
        assert found.startswith("31 customers are first seen in 2024-01, a usual month has 10:")
        assert not data_prep.left_edge(self.months([30] + [10] * 11), left_edge_months=0, observed_from=False)
        assert not data_prep.left_edge(self.months([31] + [10] * 11), left_edge_months=1, observed_from=False)

    def test_months_in_which_nobody_leaves_though_five_would_have_are_told_unless_they_are_set(self):
        gone = [0, 0, 0] + [2] * 6                         # 3 · 100 at 2 % are 6 who should have left
        found = data_prep.left_edge(self.months([10] * 9, gone), left_edge_months=0, observed_from=False)
        assert found.startswith("Nobody leaves before 2024-04") and found.endswith("Set policy.observed_from: 2024-04-01.")
        assert not data_prep.left_edge(self.months([10] * 9, gone), left_edge_months=0, observed_from=True)
        assert not data_prep.left_edge(self.months([10] * 8, gone[1:]), left_edge_months=0, observed_from=False)


def test_members_of_too_few_customers_show_what_adds_up_and_no_estimate():
    table = pd.DataFrame({"member": ["a", "b"], "customers": [5, 4], "mrr": [50.0, 40.0], "ltv": [7.0, 8.0], "months": [3, 4]})
    assert hidden(table, 5).fillna(-1).values.tolist() == [["a", 5, 50, 7, 3], ["b", 4, 40, -1, -1]]
    assert hidden(table, 4)["ltv"].to_list() == [7, 8]


def test_spellings_that_differ_by_case_or_blanks_are_listed_with_customers_and_spend(make):
    people = [("a", "Search", "US"), ("b", "search", "US"), ("c", "search", "US"), ("d", "mail  list", "us"),
              ("e", "Mail list", "DE")]
    customers = [dict(zip(["customer_id", "channel", "country"], row, strict=True)) for row in people]
    subs = [{"customer_id": row[0], "plan_id": plan, "unit_amount": 10, "interval": "month", "started_at": "2024-05-10"}
            for row, plan in zip(people, ["pro", "Pro", "pro", "team", "team"], strict=True)]
    spend = [("Search", 90, "media"), ("search", 10, "media"), ("search", 5, "people"), ("poster", 7, "media")]
    book = make("2024-06", customers=customers, subscriptions=subs, marketing_spend=[
        {"period_start": "2024-06-01", "period_end": "2024-06-30", "channel": channel, "amount": amount, "kind": kind}
        for channel, amount, kind in spend])
    rows = book.frame("summaries/spellings")
    assert rows.astype({"media_spend": float}).to_numpy().tolist() == [
        ["channel", "mail list", "Mail list", 1, 0], ["channel", "mail list", "mail  list", 1, 0],
        ["channel", "search", "Search", 1, 90], ["channel", "search", "search", 2, 10],
        ["country", "us", "US", 3, 0], ["country", "us", "us", 1, 0],
        ["plan", "pro", "Pro", 1, 0], ["plan", "pro", "pro", 2, 0]]


def sale(who: str, day: str, amount: float = 10, **more) -> dict:
    return {"customer_id": who, "transacted_at": f"{day} 10:00:00", "amount": amount, **more}


def shown(value: float, unit: str) -> str:
    return f"{value:.0%}" if unit == "share" else f"{value:,.0f}"


class TestUnmatched:
    COLUMNS = ["table", "customer_id", "rows", "first_day", "last_day", "amount", "nearest"]
    KNOWN = [{"customer_id": name} for name in ("C-42", "A.1", "A1", "17", "---", "ann")]
    SALES = [sale("ann", "2024-05-01"), sale("c0042", "2024-05-02", 30), sale("c0042", "2024-05-07", -10),
             sale("a-1", "2024-05-03"),
             sale("", "2024-05-04", 99), sale("=1+1", "2024-05-05", -50), sale("0017", "2024-04-01", 5),
             sale("late", "2024-06-01", 500), sale("...", "2024-05-06", 1)]
    TOUCHES = [{"touch_id": number, "customer_id": who, "programme": "care", "touched_at": "2024-05-09", "cost": cost}
               for number, (who, cost) in enumerate([("17", 3), ("0017", 3), ("0017", 4)])]
    TICKETS = [{"ticket_id": number, "customer_id": "<b>", "opened_at": "2024-05-10"} for number in range(2)]

    def found(self, book) -> list[list]:
        frame = book.frame("summaries/unmatched")
        days = {name: frame[name].astype(str).str[:10] for name in ("first_day", "last_day")}
        return frame.assign(**days).fillna({"amount": -1, "nearest": ""})[self.COLUMNS].values.tolist()

    @pytest.mark.parametrize("step", [1, -1])
    def test_ids_that_customers_does_not_know_are_listed_by_money_in_whatever_order_rows_come(self, make, step):
        """Nobody is no id, and June comes later; a-1 could be A.1 or A1, and an id of dots alone is like no other."""
        book = make("2024-05", customers=self.KNOWN[::step], transactions=self.SALES[::step], touches=self.TOUCHES[::step],
                    support_tickets=self.TICKETS[::step])
        assert self.found(book) == [
            ["transactions", "=1+1", 1, "2024-05-05", "2024-05-05", -50, ""],
            ["transactions", "c0042", 2, "2024-05-02", "2024-05-07", 20, "C-42"],
            ["transactions", "a-1", 1, "2024-05-03", "2024-05-03", 10, ""],
            ["touches", "0017", 2, "2024-05-09", "2024-05-09", 7, "17"],
            ["transactions", "0017", 1, "2024-04-01", "2024-04-01", 5, "17"],
            ["transactions", "...", 1, "2024-05-06", "2024-05-06", 1, ""],
            ["support_tickets", "<b>", 2, "2024-05-10", "2024-05-10", -1, ""]]
        frame = book.save("unmatched", book.frame("summaries/unmatched"))
        assert frame["place"].to_list() == [1, 2, 3, 4, 5, 6, 7] and set(frame["found"]) == {7}
        lines = (book.run_dir / "tables" / "unmatched.csv").read_text().splitlines()
        assert lines[1].startswith("1,transactions,'=1+1,")
        said = data_prep.strangers(frame, shown, True)
        assert said.startswith("Ids that customers does not know, counted in each table: 7. 3 of those listed would be")

    def test_at_most_a_thousand_are_listed_and_all_are_counted(self, make):
        """1,003 of one sale each; x1003 has two, so it comes first, and of equal ones those that sort last are left out."""
        names = [f"x{number:04}" for number in range(1, 1004)]
        found = make("2024-05", customers=[{"customer_id": "ann"}], transactions=[
            *(sale(name, "2024-05-02", 4) for name in names[::-1]), sale("x1003", "2024-05-03", 0)]).frame("summaries/unmatched")
        assert found["customer_id"].to_list() == ["x1003", *names[:999]] and set(found["found"]) == {1003}
        assert data_prep.strangers(found, shown, True) == (
            "Ids that customers does not know, counted in each table: 1,003; the first 1,000 are listed.")

    def test_with_all_known_or_no_customers_given_nothing_is_listed_and_that_is_said(self, make):
        all_known = make("2024-05", customers=self.KNOWN, transactions=self.SALES[:1]).frame("summaries/unmatched")
        assert all_known.empty
        assert data_prep.strangers(all_known, shown, True) == "customers knows every id of the other tables."
        none_given = make("2024-05", transactions=self.SALES).frame("summaries/unmatched")
        assert none_given.empty and data_prep.strangers(none_given, shown, False).startswith("No table of customers is given")

    def test_a_table_of_customers_without_a_row_knows_nobody(self, make):
        late = [{"customer_id": "ann", "created_at": "2024-06-01"}]
        assert self.found(make("2024-05", customers=late, transactions=self.SALES[:1])) == [
            ["transactions", "ann", 1, "2024-05-01", "2024-05-01", 10, ""]]

    def test_a_spelling_that_is_folded_into_a_known_one_is_no_stranger(self, make):
        sales = [sale("ANN", "2024-05-01"), sale("17.0", "2024-05-01")]
        assert self.found(make("2024-05", customers=self.KNOWN, transactions=sales)) == []


class TestOutliers:
    def rows(self, frame) -> list[list]:
        return frame.assign(paid_on=frame["paid_on"].astype(str).str[:10])[
            ["transaction_id", "customer_id", "paid_on", "amount", "currency", "times_median"]].values.tolist()

    @pytest.mark.parametrize("step", [1, -1])
    def test_amounts_beyond_the_outer_fence_of_ratios_are_listed_by_sign_the_largest_first(self, make, step):
        """Of eleven sales Q1 = 10, the median 15, Q3 = 20: the fence is 20 · (20 / 10)³ = 160; ten medians are 150.

        Of ten refunds both quartiles and the median are 2, so the fence is 2 and ten medians, 20, decide. 160 is on the fence, -20 on ten medians: inside.
        A failed payment and an amount of 0 are none of them.
        """
        amounts = [5, 10, 10, 10, 15, 15, 20, 20, 20, 160, 160.01, *[-2] * 8, -20, -20.01, 0]
        sales = [sale(f"c{at}", f"2024-05-{at + 1:02}", amount, transaction_id=f"T{at:02}") for at, amount in enumerate(amounts)]
        sales.append(sale("zed", "2024-05-20", 9999, transaction_id="T99", status="failed"))
        frame = make("2024-05", transactions=sales[::step]).frame("summaries/outliers")
        assert self.rows(frame) == [["T10", "c10", "2024-05-11", 160.01, "USD", 160.01 / 15],
                                    ["T20", "c20", "2024-05-21", -20.01, "USD", 20.01 / 2]]
        # 160.01 - 20.01 = 140 of 445.01 - 56.01 = 389
        assert frame[["place", "found"]].values.tolist() == [[1, 2], [2, 2]] and set(frame["revenue_share"]) == {140 / 389}
        assert data_prep.extremes(frame, shown) == (
            "Amounts far beyond the others of their sign: 2. They are kept, and they hold 36% of all revenue.")

    def test_a_hundred_are_listed_and_all_are_counted_and_ties_go_by_id(self, make):
        """400 of 1 and 101 of 11: eleven medians, all of one size. 1,111 of 1,511 is their revenue."""
        sales = [sale("ann", "2024-05-01", 11 if at < 101 else 1, transaction_id=f"T{at:03}") for at in range(501)]
        frame = make("2024-05", transactions=sales[::-1]).frame("summaries/outliers")
        assert frame["transaction_id"].to_list() == [f"T{at:03}" for at in range(100)] and set(frame["found"]) == {101}
        assert data_prep.extremes(frame, shown) == (
            "Amounts far beyond the others of their sign: 101; the 100 largest are listed. "
            "They are kept, and they hold 74% of all revenue.")

    def test_a_book_of_subscriptions_has_no_amounts_and_a_book_without_revenue_no_share(self, make):
        subs = [{"customer_id": "ann", "plan_id": "pro", "unit_amount": 10, "interval": "month", "started_at": "2024-05-10"}]
        none = make("2024-05", subscriptions=subs).frame("summaries/outliers")
        assert none.empty and data_prep.extremes(none, shown) == "No amount lies far beyond the others of its sign."
        back = [sale("ann", "2024-05-01", amount) for amount in (-1, -1, -1, -11)]
        assert data_prep.extremes(make("2024-05", transactions=back).frame("summaries/outliers"), shown) == (
            "Amounts far beyond the others of their sign: 1. They are kept.")


class TestAdjustments:
    def adjustment(self, day, amount, name, **more):
        return sale("ann", day, amount, type="adjustment", transaction_id=name, product_name=f"why {name}") | more

    def test_they_are_listed_the_latest_first_with_their_sums(self, make):
        rows = [sale("ann", "2024-05-01", 100), self.adjustment("2024-04-30", -20, "A1"), self.adjustment("2024-05-02", 5, "A2"),
                self.adjustment("2024-05-02", 1, "A0"), self.adjustment("2024-05-03", 0, "A3"),
                self.adjustment("2024-05-04", 9, "A4", status="failed"), self.adjustment("2024-06-01", 7, "A5")]      # later
        frame = make("2024-05", transactions=rows[::-1]).frame("summaries/adjustments")
        assert frame[["transaction_id", "amount", "reason"]].values.tolist() == [
            ["A0", 1, "why A0"], ["A2", 5, "why A2"], ["A1", -20, "why A1"]]
        assert data_prep.adjusted(frame, shown, "USD") == "Adjustments in revenue: 3, -14 in all; of this month 2, 6."

    def test_a_hundred_are_listed_and_all_are_counted(self, make):
        rows = [self.adjustment(f"2024-05-{1 + at % 28:02}", 1, f"A{at:03}") for at in range(101)]
        frame = make("2024-05", transactions=[sale("ann", "2024-05-01", 5), *rows]).frame("summaries/adjustments")
        assert len(frame) == 100 and frame["day"].is_monotonic_decreasing and frame["found"].iloc[0] == 101

    def test_none_are_said(self, make):
        none = make("2024-05", transactions=[sale("ann", "2024-05-01", 5)]).frame("summaries/adjustments")
        assert data_prep.adjusted(none, shown, "USD") == "No adjustment is in revenue."
