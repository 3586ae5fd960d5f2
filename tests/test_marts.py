"""The rules of Time and Policies, on books small enough for arithmetic in the head."""

import duckdb
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from simulate import predicted

from helpers import marts
from helpers.contracts import MARTS, ReportError
from helpers.demo import FILES, recipe, write_demo
from helpers.engine import SQL, Engine
from helpers.marts import make_demo, prepare
from helpers.metrics import data_prep
from helpers.params import load_params


def sub(customer: str, started_at: str, ended_at: str | None = None, amount: object = 10, **more) -> dict:
    row = {"customer_id": customer, "plan_id": "basic", "unit_amount": amount, "interval": "month"}
    return row | {"started_at": started_at, "ended_at": ended_at} | more


def sale(customer: str | None, at: str, amount: object = 10, **more) -> dict:
    return {"customer_id": customer, "transacted_at": at, "amount": amount} | more


def quoted(columns) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def mart(book, name: str, *columns: str) -> pd.DataFrame:
    """Columns of a mart in the order of its key, by the first part of it."""
    frame = book.engine.table(f"mart_{name}").order(quoted(MARTS[name])).df()
    return frame.set_index(MARTS[name][0])[list(columns)]


def moved(book, *columns: str) -> dict[str, list]:
    """The months in which something moved, with the numbers asked for."""
    months = book.frame("summaries/months").set_index("period")[list(columns)]
    return {period: list(row) for period, row in months.iterrows() if any(row)}


def by_age(book) -> pd.DataFrame:
    """Customers of the whole book that enter, end and are censored at each age in months."""
    table = book.frame("summaries/survival").query("dimension == 'all'")
    return table.set_index("month")[["entered", "events", "censored"]]


# Time

AGES = [                                                # started, ended, months lived or observed at 1 July, over
    ("2024-01-31", "2024-02-29", 1, True),               # 31 January + 1 month is 29 February
    ("2024-01-31", "2024-02-29 00:00:01", 2, True),      # a second later: the next anniversary is 31 March
    ("2024-01-31 10:00", "2024-01-31 12:00", 1, True),   # at least 1
    ("2024-02-29", "2024-03-29", 1, True),               # a later month has the day again
    ("2024-01-31", None, 5, False),                      # + 5 is 30 June
    ("2024-03-01", None, 4, False),                      # + 4 is as_of itself, 1 July
    ("2024-03-01 00:00:01", None, 3, False),             # a second late
    ("2024-05-15", "2024-06-15", 1, True),
    ("2024-05-15", "2024-06-15 00:00:01", 1, False),     # falls at 2, on 15 July: the month is not finished
    ("2024-06-10", "2024-06-20", 0, False),              # not a month old at as_of: never at risk
]


def test_age_counts_completed_months(make):
    rows = [sub(f"C{number}", started, ended) for number, (started, ended, *_) in enumerate(AGES)]
    book = make("2024-06", subscriptions=rows)
    found = mart(book, "customers", "spell_months", "spell_ended").values.tolist()
    assert found == [[age, over] for *_, age, over in AGES]
    assert by_age(book).T.to_dict("list") == {
        0: [9, 0, 0], 1: [0, 4, 1], 2: [0, 1, 0], 3: [0, 0, 1], 4: [0, 0, 1], 5: [0, 0, 1]}


def test_what_ends_at_a_month_end_is_still_live_there_and_what_starts_there_is_not_yet(make):
    book = make("2024-06", subscriptions=[
        sub("ann", "2024-04-10", "2024-06-01"), sub("bob", "2024-04-10", "2024-05-31 23:59:59"),
        sub("cat", "2024-06-01")])
    assert moved(book, "new", "churned", "active_end") == {
        "2024-04": [2, 0, 2], "2024-05": [0, 1, 1], "2024-06": [1, 1, 1]}


def test_rows_of_later_months_wait_and_later_ends_are_not_known_unless_announced(make):
    later, canceled = "2024-07-10", "2024-06-20"
    book = make("2024-06", subscriptions=[
        sub("ann", "2024-01-05", later), sub("bob", "2024-01-05", later, canceled_at=canceled),
        sub("cat", "2024-01-05", later, canceled_at="2024-07-01", paused_at="2024-07-02", cancel_reason="price"),
        sub("dan", "2024-01-05", "2024-06-05"), sub("eve", "2024-07-01")])
    known = mart(book, "subscriptions", "ended_at", "canceled_at", "paused_at", "cancel_reason").set_index(pd.Index(
        ["ann", "bob", "cat", "dan"]))
    assert known["ended_at"].astype("str").where(known["ended_at"].notna(), "").to_list() == [
        "", "2024-07-10", "", "2024-06-05"]
    assert known["canceled_at"].notna().to_list() == [False, True, False, False]
    assert not known[["paused_at", "cancel_reason"]].notna().any(axis=None)
    rows = book.frame("summaries/rows").set_index(["table", "stage"]).loc["subscriptions", "rows"]
    assert rows.to_dict() == {"read": 5, "kept": 4, "rejected": 0, "after_as_of": 1}
    assert mart(book, "customers", "spell_ended").loc[["ann", "bob", "cat", "dan"], "spell_ended"].to_list() == [
        False, False, False, True]


def test_a_customer_known_without_a_date_stays_though_a_later_row_repeats_the_key(make):
    rows = [{"customer_id": "ann", "created_at": None, "channel": "search"},
            {"customer_id": "ann", "created_at": "2024-08-01", "channel": "social"}]
    book = make("2024-06", subscriptions=[sub("ann", "2024-01-05")], customers=rows)
    assert mart(book, "customers", "channel").loc["ann", "channel"] == "search"


def test_trials_do_not_pay(make):
    book = make("2024-06", subscriptions=[
        sub("ann", "2024-05-06", trial_ended_at="2024-05-20"), sub("bob", "2024-05-25", trial_ended_at="2024-06-08"),
        sub("cat", "2024-05-06", "2024-05-20", trial_ended_at="2024-05-20"),         # left with the trial
        sub("dan", "2024-06-25", trial_ended_at="2024-07-09")])                      # still in it
    assert moved(book, "new", "churned", "in_month_churn", "acquired") == {
        "2024-05": [1, 0, 0, 1], "2024-06": [1, 0, 0, 1]}
    started = mart(book, "customers", "started_at")["started_at"].dropna()
    assert started.astype("str").to_dict() == {"ann": "2024-05-20", "bob": "2024-06-08"}


def test_a_full_discount_is_no_customer_until_it_ends(make):
    free = {"discount_amount": 10}
    book = make("2024-06", subscriptions=[
        sub("ann", "2024-03-01", **free, discount_ends_at="2024-05-15"), sub("bob", "2024-03-01", **free),
        sub("cat", "2024-03-01", **free, discount_ends_at="2024-05-01"),             # in force at T itself
        sub("dan", "2024-03-01", discount_amount=4, discount_ends_at="2024-06-01")])
    assert moved(book, "new", "mrr_new", "mrr_expansion") == {
        "2024-03": [1, 6, 0], "2024-05": [2, 20, 0], "2024-06": [0, 0, 4]}


def test_list_prices_are_mrr_where_the_policy_says_so(make):
    row = sub("ann", "2024-05-01", discount_amount=4)
    assert moved(make("2024-05", subscriptions=[row]), "mrr_end") == {"2024-05": [6]}
    book = make("2024-05", {"mrr_includes_discounts": False}, subscriptions=[row])
    assert moved(book, "mrr_end") == {"2024-05": [10]}


def test_discounts_that_end_lower_mrr_where_the_policy_says_so_and_lasting_ones_in_any_case(make):
    rows = [sub("ann", "2024-04-01", discount_amount=4), sub("bob", "2024-04-01", discount_amount=3, discount_ends_at="2024-05-15"),
            sub("cat", "2024-04-01", discount_amount=99, discount_ends_at="2024-05-15")]     # free until then
    told = ["mrr_end", "mrr_new", "mrr_expansion", "active_end"]
    assert moved(make("2024-05", subscriptions=rows), *told) == {"2024-04": [13, 13, 0, 2], "2024-05": [26, 10, 3, 3]}
    book = make("2024-05", {"finite_discounts": "ignore"}, subscriptions=rows)
    assert moved(book, *told) == {"2024-04": [26, 26, 0, 3], "2024-05": [26, 0, 0, 3]}


def test_paused_customers_resume_and_are_neither_churned_nor_reactivated(make):
    book = make("2024-06", subscriptions=[
        sub("ann", "2024-03-05", paused_at="2024-04-10", resumed_at="2024-06-05"),
        sub("bob", "2024-03-05", "2024-05-20", paused_at="2024-04-10")])             # ends while paused
    columns = ["new", "paused", "resumed", "churned", "reactivated", "mrr_paused", "mrr_resumed", "mrr_end"]
    assert moved(book, *columns) == {
        "2024-03": [2, 0, 0, 0, 0, 0, 0, 20], "2024-04": [0, 2, 0, 0, 0, 20, 0, 0],
        "2024-06": [0, 0, 1, 0, 0, 0, 10, 10]}
    assert mart(book, "customers", "spell_months", "spell_ended").values.tolist() == [[3, False], [3, True]]


def test_a_partial_pause_is_contraction(make):
    book = make("2024-04", subscriptions=[
        sub("ann", "2024-03-05"), sub("ann", "2024-03-05", amount=7, paused_at="2024-04-10")])
    assert moved(book, "mrr_new", "mrr_contraction", "mrr_paused", "paused") == {
        "2024-03": [17, 0, 0, 0], "2024-04": [0, 7, 0, 0]}


def test_a_swap_of_plans_is_no_end(make):
    book = make("2024-06", subscriptions=[
        sub("ann", "2024-03-05", "2024-04-05"), sub("ann", "2024-04-05", amount=25, plan_id="plus")])
    assert moved(book, "new", "churned", "in_month_churn", "mrr_new", "mrr_expansion") == {
        "2024-03": [1, 0, 0, 10, 0], "2024-04": [0, 0, 0, 0, 15]}
    customer = mart(book, "customers", "first_plan_id", "spell_ended", "spell_months").loc["ann"]
    assert customer.to_list() == ["basic", False, 3]


def test_versions_of_a_subscription_are_one_customer(make):
    book = make("2024-06", subscriptions=[
        sub("ann", "2024-03-05", subscription_id="S", valid_from="2024-03-05", valid_to="2024-04-10"),
        sub("ann", "2024-03-05", subscription_id="S", valid_from="2024-04-10", valid_to="2024-07-10", amount=12),
        sub("ann", "2024-03-05", subscription_id="S", valid_from="2024-07-10", amount=99)])
    assert moved(book, "new", "churned", "mrr_new", "mrr_expansion", "mrr_end") == {
        "2024-03": [1, 0, 10, 0, 10], "2024-04": [0, 0, 0, 2, 12], "2024-05": [0, 0, 0, 0, 12],
        "2024-06": [0, 0, 0, 0, 12]}


def test_who_returns_is_reactivated_and_survival_keeps_the_first_spell(make):
    book = make("2024-06", subscriptions=[sub("ann", "2024-01-05", "2024-02-20"), sub("ann", "2024-04-10", amount=15)])
    assert moved(book, "new", "churned", "reactivated", "mrr_reactivation") == {
        "2024-01": [1, 0, 0, 0], "2024-02": [0, 1, 0, 0], "2024-04": [0, 0, 1, 15]}
    assert mart(book, "customers", "spell_months", "spell_ended").loc["ann"].to_list() == [2, True]


def test_who_joins_and_leaves_within_a_month_is_acquired_but_counted_apart(make):
    rows = [sub("ann", "2024-04-03", "2024-04-20"), sub("bob", "2024-03-31", "2024-04-01")]
    book = make("2024-06", subscriptions=rows)
    assert moved(book, "new", "churned", "in_month_churn", "acquired", "active_end") == {
        "2024-03": [1, 0, 0, 1, 1], "2024-04": [0, 1, 1, 1, 0]}


def test_a_customer_stands_in_the_highest_tier_paid_for(make):
    plans = [{"plan_id": name, "tier_rank": rank} for name, rank in [("basic", 1), ("plus", 2), ("pro", 3)]]
    book = make("2024-05", plans=plans, subscriptions=[
        sub("ann", "2024-03-05", amount=50), sub("ann", "2024-04-05", plan_id="plus"),     # higher, though cheaper
        sub("bob", "2024-03-05", "2024-04-05", plan_id="pro"), sub("bob", "2024-04-05", amount=4),
        sub("cat", "2024-03-05", "2024-05-20"), sub("dan", "2024-03-05", paused_at="2024-05-05")])
    states = book.frame("summaries/tier_states")
    states = states[states["month"] > 2024 * 12 + 3].astype({"month": "int64"})
    columns = ["month", "from_plan", "to_plan", "customers", "mrr_start", "mrr_end"]
    april, may = 2024 * 12 + 4, 2024 * 12 + 5
    assert states[columns].values.tolist() == [
        [april, "basic", "basic", 2, 20, 20], [april, "basic", "plus", 1, 50, 60], [april, "pro", "basic", 1, 10, 4],
        [may, "basic", "(churned)", 1, 10, 0], [may, "basic", "(paused)", 1, 10, 0], [may, "basic", "basic", 1, 4, 4],
        [may, "plus", "plus", 1, 60, 60]]


def test_past_due_stays_paying_for_the_days_of_grace(make):
    rows = [sub(name, "2024-04-05", past_due_since=since)
            for name, since in [("ann", "2024-05-24"), ("bob", "2024-05-25"), ("cat", "2024-07-01")]]
    book = make("2024-06", subscriptions=rows)                # 24 May + 7 days is 31 May; 25 May + 7 days is T, 1 June
    assert moved(book, "new", "churned") == {"2024-04": [3, 0], "2024-05": [0, 1], "2024-06": [0, 1]}
    strict = make("2024-06", {"grace_days": 6}, subscriptions=rows)
    assert moved(strict, "new", "churned") == {"2024-04": [3, 0], "2024-05": [0, 2]}


# Policies

def test_a_buyer_is_active_for_exactly_180_days(make):
    book = make("2024-08", transactions=[
        sale("ann", "2024-01-03"),                       # 3 January + 180 days is 1 July 2024: active there
        sale("bob", "2024-01-02 23:59:59"),              # a second less: gone in June
        sale("bob", "2024-08-20")])
    assert moved(book, "new", "churned", "reactivated", "active_end") == {
        "2024-01": [2, 0, 0, 2], "2024-02": [0, 0, 0, 2], "2024-03": [0, 0, 0, 2], "2024-04": [0, 0, 0, 2],
        "2024-05": [0, 0, 0, 2], "2024-06": [0, 1, 0, 1], "2024-07": [0, 1, 0, 0], "2024-08": [0, 0, 1, 1]}
    ends = mart(book, "customers", "ended_on", "spell_months", "spell_ended")
    assert ends["ended_on"].astype("str").to_list() == ["2024-07-01", "2024-06-30"]
    assert ends[["spell_months", "spell_ended"]].values.tolist() == [[6, True], [6, True]]


def test_a_sale_on_the_last_active_day_continues_the_spell(make):
    book = make("2024-12", {"inactive_days": 30}, transactions=[
        sale("ann", "2024-03-01"), sale("ann", "2024-03-31"), sale("bob", "2024-03-01"), sale("bob", "2024-04-01"),
        sale("cat", "2024-03-01 10:00:00"), sale("cat", "2024-03-31 10:00:01")])            # a second late
    spells = mart(book, "spells", "spell", "ended_on")
    assert spells["ended_on"].astype("str").groupby(level=0).agg(list).to_dict() == {
        "ann": ["2024-04-30"], "bob": ["2024-03-31", "2024-05-01"], "cat": ["2024-03-31", "2024-04-30"]}


INTERVALS = [
    ("year", 1, "120", 10), ("month", 3, "30", 10), ("week", 1, "12", 52), ("day", 1, "2", 60.875),
    ("week", 4, "10", 10.8333),        # 520 / 48
    ("year", 2, "130.95", 5.4563),     # 5.45625: half away from zero
    ("day", 1, "0.82", 24.9588),       # 24.95875
]


def test_intervals_become_months(make):
    rows = [sub(f"C{number}", "2024-05-01", amount=amount, interval=interval, interval_count=count)
            for number, (interval, count, amount, _) in enumerate(INTERVALS)]
    found = mart(make("2024-05", subscriptions=rows), "subscription_months", "mrr")["mrr"]
    assert found.map(float).to_list() == [mrr for *_, mrr in INTERVALS]


def test_quantity_multiplies_and_a_discount_never_pays_out(make):
    book = make("2024-05", subscriptions=[
        sub("ann", "2024-05-01", quantity=3, discount_amount=5), sub("bob", "2024-05-01", discount_amount=11)])
    assert mart(book, "subscription_months", "mrr")["mrr"].to_dict() == {"ann": 25}


def test_who_was_there_before_the_book_enters_the_risk_set_late(make):
    book = make("2024-06", {"observed_from": "2024-03-01"}, subscriptions=[
        sub("ann", "2023-12-01", "2024-05-01"),          # 3 months old when watching begins, 5 when it ends
        sub("bob", "2023-12-15"),                        # 2½: the first month of age wholly watched begins at 3
        sub("cat", "2024-03-01"),                        # watched from the start
        sub("dan", "2023-12-15", "2024-03-10")])         # gone in the month of age that was only half watched
    assert by_age(book).T.to_dict("list") == {0: [1, 0, 0], 3: [2, 0, 0], 4: [0, 0, 1], 5: [0, 1, 0], 6: [0, 0, 1]}


def test_nothing_moves_before_the_book_is_complete(make):
    rows = [sub("ann", "2023-12-01"), sub("bob", "2024-04-05")]
    book = make("2024-06", {"observed_from": "2024-03-01"}, subscriptions=rows)
    months = book.frame("summaries/months").set_index("period")
    assert months.index[months["moves"]].to_list() == ["2024-03", "2024-04", "2024-05", "2024-06"]


def test_who_is_seen_at_the_left_edge_is_not_new(make):
    book = make("2024-04", {"left_edge_months": 2}, transactions=[
        sale("ann", "2024-01-05"), sale("bob", "2024-02-05"), sale("cat", "2024-03-05"), sale("ann", "2024-03-06")])
    assert mart(book, "customers", "is_new")["is_new"].to_dict() == {"ann": False, "bob": False, "cat": True}
    months = book.frame("summaries/months").set_index("period")
    assert months["moves"].to_list() == [False, False, True, True]
    assert months["acquired"].to_list() == [0, 0, 1, 0]
    assert set(book.frame("summaries/cohorts")["cohort"]) == {2024 * 12 + 3}


def test_spend_is_split_by_days_to_the_cent(make):
    book = make("2024-06", subscriptions=[sub("ann", "2024-01-05")], marketing_spend=[
        {"period_start": start, "period_end": end, "channel": channel, "amount": amount}
        for start, end, channel, amount in [
            ("2024-01-30", "2024-02-01", "search", 100),     # two of three days in January: 66.6667 and 33.3333
            ("2024-01-01", "2024-03-31", "social", "0.01"),  # 31, 29 and 31 of 91 days
            ("2024-06-29", "2024-07-02", "mail", 100)]])     # two of four days lie before as_of
    spend = book.engine.table("mart_marketing_spend").df().set_index(["channel", "month"])["amount"].map(float)
    january = 2024 * 12 + 1
    assert spend.to_dict() == {
        ("search", january): 66.6667, ("search", january + 1): 33.3333, ("mail", january + 5): 50,
        ("social", january): 0.0034, ("social", january + 1): 0.0032, ("social", january + 2): 0.0034}


# Rows

def test_rows_read_are_kept_rejected_or_later_to_the_cent(make):
    book = make("2024-06", transactions=[
        sale("ann", "2024-05-01", "10.10", transaction_id="a"), sale("ann", "2024-05-02", "-0.35", transaction_id="b"),
        sale("ann", "no date", "7.77", transaction_id="c"), sale("ann", "2024-05-03", "seven", transaction_id="d"),
        sale("ann", "2024-05-04", "1.01", transaction_id="e", type="gift"),
        sale("bob", "2024-07-01", "99.99", transaction_id="f"),
        sale("bob", "2024-06-30 23:59:59", "0.01", transaction_id="g")])
    rows = book.frame("summaries/rows").set_index("stage")
    assert rows["rows"].to_dict() == {"read": 7, "kept": 3, "rejected": 3, "after_as_of": 1}
    assert rows["amount"].round(4).to_dict() == {"read": 118.53, "kept": 9.76, "rejected": 8.78, "after_as_of": 99.99}
    assert book.frame("summaries/rejections")[["column", "rule", "amount"]].values.tolist() == [
        ["amount", "cannot be read", 0], ["transacted_at", "cannot be read", 7.77],
        ["type", "not an accepted value", 1.01]]


def test_money_is_summed_only_where_the_sum_says_something(make):
    book = make(
        "2024-06", fx_rates=[{"date": "2024-05-01", "from_currency": "EUR", "to_currency": "USD", "rate": 2}],
        subscriptions=[sub("ann", "2024-05-05", amount=80, currency="USD"),
                       sub("bob", "2024-05-05", amount=100, interval="year", currency="EUR"),
                       sub("cy", "2024-05-05", amount=7, interval="decade", currency="EUR")],
        plans=[{"plan_id": "pro", "list_price": 80}, {"plan_id": "max", "list_price": 900}],
        ledger_control=[{"month": "2024-06-01", "measure": "active_customers", "amount": 2},
                        {"month": "2024-06-01", "measure": "mrr", "amount": 96}],
        costs=[{"month": "2024-06-01", "category": "cogs", "amount": 5, "currency": "EUR"}],
        transactions=[sale("ann", "2024-05-10", 10, currency="USD"), sale("bob", "2024-05-10", 10, currency="EUR"),
                      sale("bob", "2024-04-10", 1000, currency="EUR"), sale("bob", "2024-05-11", 3, type="gift", currency="EUR")])
    rows = book.frame("summaries/rows")
    money = rows.set_index(["table", "stage"])["amount"].unstack()[["read", "kept", "rejected", "after_as_of"]]
    assert money.dropna().T.to_dict("list") == {         # 10 + 2 · 10, and 2 · 3; in April euros have no rate
        "costs": [10, 10, 0, 0], "transactions": [36, 30, 6, 0]}
    assert set(money.index[money.isna().all(axis=1)]) == {"fx_rates", "ledger_control", "plans", "subscriptions"}
    told = book.frame("summaries/rejections").set_index(["table", "rule"])["amount"]
    assert told.fillna(-1).to_dict() == {
        ("subscriptions", "not an accepted value"): -1, ("transactions", "no rate on or before its day"): 0,
        ("transactions", "not an accepted value"): 6}
    found = data_prep.row_checks(rows)
    assert found["passed"].all() and set(found.loc[found["check"].str.startswith("amount"), "scope"]) == {"costs", "transactions"}


def test_a_key_is_kept_once_and_what_repeats_it_is_told_from_what_contradicts_it(make):
    line = {"transaction_id": "a", "line_no": 1}
    first, other = sale("ann", "2024-05-01", 5, **line), sale("ann", "2024-05-02", 6, **line)
    book = make(
        "2024-06", customers=[{"customer_id": "ann", "channel": "search"}] * 2,
        transactions=[other, first, other, first, first,               # kept is 5, which sorts first; both 6 contradict it
                      sale("ann", "2024-07-02", 7, **line), sale("ann", "2024-05-01", 8, **line | {"line_no": 2})],
        subscriptions=[sub("ann", "2024-01-05", amount=amount, subscription_id="S") for amount in (10, 11)],
        plans=[{"plan_id": "pro", "plan_name": name} for name in (None, "pro")])    # no name means the id
    told = book.frame("summaries/rejections")[["table", "rule", "column", "rows", "amount"]]
    assert told.astype({"amount": "object"}).fillna("").values.tolist() == [
        ["customers", "repeated", "customer_id", 1, ""], ["plans", "repeated", "plan_id, valid_from", 1, ""],
        ["subscriptions", "contradicts another row", "subscription_id, plan_id, valid_from", 1, ""],
        ["transactions", "contradicts another row", "transaction_id, line_no", 2, 12],
        ["transactions", "repeated", "transaction_id, line_no", 2, 10]]
    assert mart(book, "transactions", "revenue")["revenue"].map(float).to_list() == [5, 8]


def test_lines_without_a_number_are_all_kept_and_numbered_by_what_they_say(make):
    rows = [sale("ann", "2024-05-01", amount, product_id=product) for amount, product in [(5, "x"), (3, "y"), (5, "x")]]
    book = make("2024-06", transactions=rows)
    lines = mart(book, "transactions", "line_no", "amount", "product_id")
    assert lines.astype({"amount": "float"}).values.tolist() == [[1, 3, "y"], [2, 5, "x"], [3, 5, "x"]]
    assert book.frame("summaries/months")["orders"].sum() == 1        # no id: one transaction a customer and instant


EVENTS = [                                              # date, label, kind; where rejected: rule, column and value
    ("2024-06-10", "App", "Release"), ("2024-06-11 09:30", "Fair", None), ("2024-05-31 23:59:59", "Fire", "outage"),
    ("2024-07-01", "Later", "promo"), ("2024-07-02", None, "party"),                 # what comes later is not judged
    (None, "No day", "market", "empty", "date", ""), ("soon", "Soon", "market", "cannot be read", "date", "soon"),
    ("2024-06-12", None, "promo", "empty", "label", ""),
    ("2024-06-13", "Ball", "Party", "not an accepted value", "kind", "Party")]


def test_events_are_kept_rejected_with_their_rule_or_later(make):
    rows = [dict(zip(("date", "label", "kind"), event, strict=False)) | {"plan_id": "pro"} for event in EVENTS]
    book = make("2024-06", subscriptions=[sub("ann", "2024-01-05")], business_events=rows)
    found = book.frame("summaries/rows").set_index(["table", "stage"]).loc["business_events"]
    assert found["rows"].to_dict() == {"read": 9, "kept": 3, "rejected": 4, "after_as_of": 2}
    assert found["amount"].isna().all()
    assert not len(book.engine.table("staged_business_events").filter("stage <> 'rejected' and rule is not null"))
    told = book.frame("summaries/rejected_rows").query("table == 'business_events'").fillna("")
    assert told[["line", "rule", "column", "value"]].values.tolist() == [
        [line, *why] for line, (_, _, _, *why) in enumerate(EVENTS, start=2) if why]
    counts = book.frame("summaries/rejections")[["table", "column", "rule", "rows"]].values.tolist()
    assert sorted(counts) == sorted(["business_events", column, rule, 1] for *_, rule, column, _ in EVENTS[5:])
    kept = mart(book, "business_events", "label", "kind", "plan_id").fillna("")
    assert [[str(day.date()), *row] for day, *row in kept.itertuples()] == [
        ["2024-05-31", "Fire", "outage", "pro"], ["2024-06-10", "App", "release", "pro"], ["2024-06-11", "Fair", "", "pro"]]


def test_charts_mark_the_events_of_25_months_and_one_listed_for_two_plans_once(make):
    rows = [{"date": date, "label": label, "kind": "release", "plan_id": plan} for date, label, plan in [
        ("2024-06-30", "B", "pro"), ("2024-06-30", "A", "pro"), ("2024-06-30 09:30", "B", "plus"),
        ("2022-06-01", "C", None), ("2022-05-31", "too long ago", None)]]
    events = make("2024-06", subscriptions=[sub("ann", "2024-01-05")], business_events=rows).frame("summaries/events")
    assert events.astype({"date": "str"}).values.tolist() == [
        ["2022-06-01", "C", "release"], ["2024-06-30", "A", "release"], ["2024-06-30", "B", "release"]]


def test_the_newest_moment_of_a_file_is_that_of_a_kept_row_before_as_of(make):
    start = "2024-01-05"
    book = make(
        "2024-06", transactions=[sale("ann", "2024-06-02"), sale("ann", "2024-06-20", "seven"), sale("ann", "2024-07-01")],
        subscriptions=[sub("ann", start, "2024-06-09"), sub("bob", start, "2024-07-09", canceled_at="2024-06-20")],
        addons=[{"customer_id": "ann", "addon_id": "x", "started_at": "2024-03-01", "ended_at": "2024-06-08"}],
        customers=[{"customer_id": "ann", "created_at": start}, {"customer_id": "bob", "created_at": "2024-07-05"}],
        plans=[{"plan_id": "basic"}],                      # has no dates
        marketing_spend=[{"period_start": "2024-06-25", "period_end": end, "channel": "search", "amount": 1}
                         for end in ("2024-06-27", "2024-07-03")],
        costs=[{"month": "2024-05", "category": "cogs", "amount": 1}, {"month": "2024-07", "category": "cogs", "amount": 1}],
        business_events=[{"date": "2024-04-04", "label": "App"}])
    newest = book.frame("summaries/inputs").set_index("table")["newest"].fillna("").str.removesuffix(" 00:00:00")
    assert newest.to_dict() == {
        "addons": "2024-03-01", "business_events": "2024-04-04", "costs": "2024-05-01", "customers": start,
        "marketing_spend": "2024-06-30", "plans": "", "subscriptions": "2024-06-09", "transactions": "2024-06-02"}


def test_a_new_version_of_a_subscription_is_new(make):
    rows = [sub("ann", "2024-01-05", subscription_id="S", valid_from=day) for day in ("2024-01-05", "2024-06-17")]
    assert make("2024-06", subscriptions=rows).frame("summaries/inputs")["newest"].to_list() == ["2024-06-17 00:00:00"]


def test_guests_failed_payments_adjustments_and_free_sales_count_where_they_should(make):
    book = make("2024-05", transactions=[
        sale("ann", "2024-05-01", 10), sale(None, "2024-05-02", 20), sale("bob", "2024-05-03", 40, status="failed"),
        sale("ann", "2024-05-04", -1, type="adjustment"), sale("ann", "2024-05-05", -2), sale("cat", "2024-05-06", 0)])
    month = book.frame("summaries/months").iloc[-1]
    assert month[["revenue", "revenue_unattributed", "orders", "buyers", "active_end"]].to_list() == [27, 20, 3, 2, 2]
    assert mart(book, "customers", "orders", "sale_days").loc["ann"].to_list() == [1, 1]


# What customers did, by orders, days and months

def test_refunds_fall_on_their_own_day_or_on_that_of_their_order(make):
    rows = [sale("ann", "2024-01-10", 100, transaction_id="a"),
            sale("ann", "2024-03-05", -40, transaction_id="r", original_transaction_id="a"),
            sale("ann", "2024-03-06", -5, transaction_id="s", original_transaction_id="unknown"),
            sale("ann", "2024-03-07", -1, transaction_id="t"),                       # names no order
            sale("ann", "2024-03-08", 7, transaction_id="x", original_transaction_id="a")]      # an exchange is no refund
    assert moved(make("2024-03", transactions=rows), "revenue") == {"2024-01": [100], "2024-03": [-39]}
    book = make("2024-03", {"refunds_on": "order_date"}, transactions=rows)
    assert moved(book, "revenue") == {"2024-01": [60], "2024-03": [1]}
    assert mart(book, "customer_days", "revenue")["revenue"].map(float).to_list() == [60, -5, -1, 7]


VOIDS = [                                               # customer, what is refunded of 50 and on which day, void within 10 days
    ("whole", -50, "2024-01-20 23:59", True), ("late", -50, "2024-01-21", False), ("part", -49, "2024-01-12", False),
    ("failed", -50, "2024-01-12", False)]


def test_an_order_given_back_whole_and_soon_is_void_where_the_policy_says_so(make):
    rows = [sale(name, "2024-01-10 12:00", 25, transaction_id=f"o {name}", line_no=line)
            for name, *_ in VOIDS for line in (1, 2)]
    rows += [sale(name, day, amount, transaction_id=f"r {name}", original_transaction_id=f"o {name}",
                  status="failed" if name == "failed" else "paid") for name, amount, day, _ in VOIDS]
    rows += [sale("whole", "2024-01-19", -50, transaction_id="f", original_transaction_id="o whole", status="failed")]
    assert make("2024-02", transactions=rows).frame("summaries/months")["orders"].sum() == 4
    book = make("2024-02", {"void_days": 10}, transactions=rows)
    january = book.frame("summaries/months").iloc[0]
    assert january[["orders", "buyers", "acquired", "revenue"]].to_list() == [3, 3, 3, 200 - 50 - 50 - 49]
    ours = mart(book, "customers", "orders", "purchase_days")
    assert ours.T.to_dict("list") == {name: [0, 0] if void else [1, 1] for name, *_, void in VOIDS}
    bought = mart(book, "transactions", "bought")["bought"]
    assert not bought[["o whole", "r whole"]].any() and bought[["o late", "o part", "r part"]].all()


def test_an_order_of_many_lines_is_one_and_a_repeated_line_does_not_stand_for_it(make):
    line = {"transaction_id": "a"}
    book = make("2024-06", transactions=[
        sale("ann", "2024-05-31", -1, line_no=1, **line), sale("ann", "2024-05-31", 3, line_no=3, **line),
        sale("ann", "2024-05-31", 4, line_no=3, **line), sale("ann", "2024-05-31", 2, line_no=2, status="failed", **line),
        sale("ann", "2024-06-01", 6, line_no=6, **line), sale("ann", "2024-06-01", 5, line_no=5, **line),
        sale("bob", "2024-06-02", -2, line_no=1, transaction_id="b"),
        sale("bob", "2024-06-02", -2, line_no=2, transaction_id="b"),
        sale("cat", "2024-06-03", 7, line_no=9, transaction_id="c")])
    opens = mart(book, "transactions", "line_no", "opens_order").query("opens_order")["line_no"]
    assert opens.to_dict() == {"a": 3, "c": 9}                  # the first paid sale by its number
    assert len(book.engine.table("staged_transactions").filter("opens_order")) == 2
    assert moved(book, "orders", "orders_known", "buyers") == {"2024-05": [1, 1, 1], "2024-06": [1, 1, 2]}
    assert mart(book, "customers", "orders")["orders"].to_dict() == {"ann": 1, "bob": 0, "cat": 1}


def test_without_subscriptions_a_customer_has_the_months_of_transactions_and_of_churns(make):
    book = make("2024-08", {"inactive_days": 60}, transactions=[
        sale("ann", "2024-01-10", 9), sale("ann", "2024-01-20", -1), sale("ann", "2024-02-05", -4),
        sale("ann", "2024-05-05", 5), sale("ann", "2024-07-20", -1), sale("cat", "2024-06-05", type="adjustment"),
        sale("bob", "2024-05-02 10:00"), sale("bob", "2024-07-01 10:00"),    # 60 days to the second: one spell, to 30 August
        sale("dan", "2024-07-03")])                                          # to 1 September: active at the end
    months = mart(book, "customer_months", "month", "days", "orders", "active_start", "active_end")
    found = {name: own.assign(month=own["month"] - 2024 * 12).values.tolist() for name, own in months.groupby(level=0)}
    assert found == {
        "ann": [[1, 2, 1, False, True], [2, 1, 0, True, True], [3, 0, 0, True, False],       # to 10 March, in spite of a refund
                [5, 1, 1, False, True], [7, 1, 0, True, False]],                              # to 4 July: a refund after it
        "bob": [[5, 1, 1, False, True], [7, 1, 1, True, True], [8, 0, 0, True, False]],
        "cat": [[6, 1, 0, False, False]], "dan": [[7, 1, 1, False, True]]}
    assert moved(book, "active_start", "active_end", "new", "churned", "reactivated") == {
        "2024-01": [0, 1, 1, 0, 0], "2024-02": [1, 1, 0, 0, 0], "2024-03": [1, 0, 0, 1, 0], "2024-05": [0, 2, 1, 0, 1],
        "2024-06": [2, 2, 0, 0, 0], "2024-07": [2, 2, 1, 1, 0], "2024-08": [2, 1, 0, 1, 0]}
    assert book.frame("summaries/volume")[["rows", "customers"]].values.tolist() == [
        [2, 1], [1, 1], [0, 0], [0, 0], [2, 2], [1, 1], [3, 3], [0, 0]]


def test_a_spell_that_ends_and_one_that_begins_in_a_month_leave_the_customer_active(make):
    book = make("2024-04", {"inactive_days": 10}, transactions=[
        sale("ann", "2024-01-28"), sale("ann", "2024-02-20"),        # to 7 February; to the first instant of March
        sale("bob", "2024-02-01"), sale("bob", "2024-02-15")])       # both begin and end within February
    months = mart(book, "customer_months", "month", "active_start", "active_end")
    assert (months.reset_index().assign(month=months["month"].to_numpy() - 2024 * 12)).values.tolist() == [
        ["ann", 1, False, True], ["ann", 2, True, True], ["ann", 3, True, False], ["bob", 2, False, False]]
    [worth] = book.frame("summaries/customer_value").to_dict("records")
    assert [worth[name] for name in ("customers", "sum_x", "sum_xx", "sum_y")] == [2, 2, 4, 40]      # active at two month ends


def test_days_of_a_customer_tell_what_was_sold_and_what_was_bought(make):
    book = make("2024-06", transactions=[
        sale("ann", "2024-06-01 09:00", 5, item_type="subscription"), sale("ann", "2024-06-01 08:00", -1, item_type="addon"),
        sale("ann", "2024-06-01 10:00", 2, item_type="addon"), sale("ann", "2024-06-02", 3, item_type="subscription"),
        sale("ann", "2024-06-03", -2, item_type="addon"), sale(None, "2024-06-04")])
    days = mart(book, "customer_days", "revenue", "orders", "sold", "purchased", "bought_revenue").astype(
        {"revenue": "float", "bought_revenue": "float"})
    assert days.values.tolist() == [[6, 2, True, True, 1], [3, 1, True, False, 0], [-2, 0, False, False, -2]]
    moments = mart(book, "customer_days", "first_sale_at", "last_sale_at").iloc[0]
    assert [moment.hour for moment in moments] == [9, 10]


def test_champions_of_earlier_months_are_scored_as_of_then(make):
    names = ["ann", "bob", "cat", "dan", "eve"]                    # each later, more often and for more than the one before
    rows = [sale(name, f"2024-05-{10 + nth + day:02d}", 1 + nth) for nth, name in enumerate(names) for day in range(nth + 1)]
    rows = [row for row in rows if row["customer_id"] != "ann"] + [sale("ann", "2024-04-10", 1), sale("ann", "2024-06-20", 500)]
    book = make("2024-06", transactions=rows)
    champions = book.frame("summaries/rfm_champions").set_index("period")
    assert champions.T.to_dict("list") == {                        # in April there is one customer, too few to be scored
        "2024-05": [5, 1 + 4 + 9 + 16 + 25, 25], "2024-06": [5, 555, 25]}      # only eve: 555, then 454
    june = mart(book, "rfm_customers", "monetary", "segment")
    assert float(june.query("segment == 'Champions'")["monetary"].sum()) == champions.loc["2024-06", "champions_revenue"]


def test_columns_that_no_file_has_stand_empty_in_the_mart(make):
    book = make("2024-06", transactions=[sale("ann", "2024-05-01", 5)])
    table = book.engine.table("mart_transactions")
    kinds = dict(zip(table.columns, map(str, table.types), strict=True))
    assert kinds["service_start"] == "TIMESTAMP" and kinds["quantity"] == "DECIMAL(18,4)" and kinds["product_id"] == "VARCHAR"
    assert table.select("line_no, service_start, quantity, product_id, currency").fetchall() == [(1, None, None, None, "USD")]


def test_addons_of_customers_who_are_active_by_sales(make):
    book = make("2024-03", {"inactive_days": 40}, transactions=[
        sale("ann", "2024-01-10"), sale("bob", "2024-02-10")],       # to 19 February, to 21 March
                addons=[{"customer_id": "ann", "addon_id": "x", "started_at": "2024-01-15"}])
    table = book.frame("summaries/addons_all")
    assert table.assign(month=table["month"] - 2024 * 12).values.tolist() == [[1, 1, 1], [2, 1, 0]]


# The biggest moves

def test_the_biggest_moves_of_mrr_say_what_happened(make):
    book = make("2024-06", subscriptions=[
        sub("new", "2024-06-03"), sub("back", "2024-01-05", "2024-02-20", 9), sub("back", "2024-06-05", amount=9),
        sub("resumed", "2024-01-05", amount=8, paused_at="2024-04-10", resumed_at="2024-06-05"),
        sub("more", "2024-01-05", amount=2), sub("more", "2024-06-30", amount=7),
        sub("less", "2024-01-05", amount=5), sub("less", "2024-01-05", "2024-06-30", 6),
        sub("paused", "2024-01-05", amount=4, paused_at="2024-06-10"), sub("gone", "2024-01-05", "2024-06-20", 3),
        sub("same", "2024-01-05"), sub("brief", "2024-06-03", "2024-06-20"), sub("may", "2024-05-05")])
    moves = book.frame("summaries/biggest_moves")
    assert moves.values.tolist() == [
        ["less", "loss", "contraction", 11, 5, -6], ["paused", "loss", "paused", 4, 0, -4],
        ["gone", "loss", "churned", 3, 0, -3], ["new", "win", "new", 0, 10, 10], ["back", "win", "reactivated", 0, 9, 9],
        ["resumed", "win", "resumed", 0, 8, 8], ["more", "win", "expansion", 2, 9, 7]]
    june = book.frame("summaries/months").iloc[-1]         # fewer than ten of each: all of the month's change
    assert moves["change"].sum() == june["mrr_end"] - june["mrr_start"] == 21


def test_without_subscriptions_revenue_moves_against_the_month_before(make):
    book = make("2024-06", {"inactive_days": 5}, transactions=[
        sale("new", "2024-06-03", 5), sale("back", "2024-03-03", 99), sale("back", "2024-06-03", 4),
        sale("more", "2024-05-03", 1), sale("more", "2024-06-03", 3), sale("less", "2024-05-03", 8),
        sale("less", "2024-06-03", 1), sale("none", "2024-05-03", 6),         # inactive at the end of May: no row in June
        sale("returned", "2024-06-03", 2), sale("returned", "2024-06-04", -4),
        sale("same", "2024-05-03", 7), sale("same", "2024-06-03", 7), sale("old", "2024-04-03", 50), sale(None, "2024-06-03")])
    assert book.frame("summaries/biggest_moves").values.tolist() == [
        ["less", "loss", "less than last month", 8, 1, -7], ["none", "loss", "less than last month", 6, 0, -6],
        ["returned", "loss", "less than last month", 0, -2, -2], ["new", "win", "first purchase", 0, 5, 5],
        ["back", "win", "more than last month", 0, 4, 4], ["more", "win", "more than last month", 1, 3, 2]]


def test_of_many_moves_the_ten_largest_stand_and_the_smaller_id_of_equals(make):
    rows = [sub(f"C{number:02d}", "2024-06-03", amount=5) for number in range(12, 0, -1)] + [sub("Z", "2024-06-03")]
    rows += [sub(f"D{number:02d}", "2024-01-05", "2024-06-20", number) for number in range(1, 13)]
    moves = make("2024-06", subscriptions=rows).frame("summaries/biggest_moves").set_index("direction")["customer_id"]
    assert moves["loss"].to_list() == [f"D{number:02d}" for number in range(12, 2, -1)]
    assert moves["win"].to_list() == ["Z", *(f"C{number:02d}" for number in range(1, 10))]


# RFM

def test_equal_customers_score_equal_and_the_most_recent_get_5(make):
    days = {"ann": ["01", "02"], "bob": ["02"], "cat": ["02"], "dan": ["01"], "eve": ["01"]}
    book = make("2024-05", transactions=[sale(name, f"2024-05-{day}") for name, own in days.items() for day in own])
    table = mart(book, "rfm_customers", "recency_days", "frequency", "monetary", "r", "f", "m").astype("int64")
    assert table.T.to_dict("list") == {                  # n = 5: the rank less 1 is the number of fifths
        "ann": [30, 2, 20, 5, 5, 5], "bob": [30, 1, 10, 5, 1, 1], "cat": [30, 1, 10, 5, 1, 1],
        "dan": [31, 1, 10, 2, 1, 1], "eve": [31, 1, 10, 2, 1, 1]}   # three are more recent: 5 − floor(5 · 3 / 5)


def test_below_five_customers_nobody_scores(make):
    book = make("2024-05", transactions=[sale(name, "2024-05-01") for name in ("ann", "bob", "cat", "dan")])
    table = mart(book, "rfm_customers", "frequency", "r", "f", "m", "segment")
    assert table["frequency"].to_list() == [1, 1, 1, 1]
    assert table[["r", "f", "m", "segment"]].isna().all(axis=None)


def test_monetary_is_net_of_refunds_and_nothing_else(make):
    book = make("2024-05", transactions=[
        sale("ann", "2024-05-01", 50), sale("ann", "2024-05-02", -20), sale("ann", "2024-05-03", -5, type="adjustment"),
        sale("ann", "2024-05-04", 9, status="failed"), sale("bob", "2024-05-05", -3)])
    table = mart(book, "rfm_customers", "recency_days", "frequency", "monetary").astype("float64")
    assert table.T.to_dict("list") == {"ann": [31, 1, 30]}          # bob never bought


def test_subscription_invoices_are_no_purchases(make):
    book = make("2024-05", subscriptions=[sub("ann", "2024-01-05")], transactions=[
        sale("ann", "2024-05-01", 10, item_type="subscription"), sale("ann", "2024-05-02", 30, item_type="service"),
        sale("ann", "2024-05-03", 20)])                   # not said what it is: in a book of subscriptions, no purchase
    assert mart(book, "rfm_customers", "frequency", "monetary").astype("float64").loc["ann"].to_list() == [1, 30]


# Whole books

@pytest.mark.parametrize("company", ["demo_book", "cdnow_book"])
@pytest.mark.parametrize("name", MARTS)
def test_a_mart_has_one_row_a_key(company, name, request):
    key = {"transactions": ("transaction_id", "line_no")}.get(name, MARTS[name])
    frame = request.getfixturevalue(company).engine.table(f"mart_{name}").select(*key).df()
    assert not frame.duplicated().any()


def test_mrr_movements_lead_from_start_to_end(demo_book):
    months = demo_book.frame("summaries/months")
    gains = months[["mrr_new", "mrr_reactivation", "mrr_resumed", "mrr_expansion"]].sum(axis=1)
    losses = months[["mrr_contraction", "mrr_paused", "mrr_churn"]].sum(axis=1)
    assert (months["mrr_start"] + gains - losses + months["mrr_fx"] - months["mrr_end"]).abs().max() < 0.00005
    assert (months["mrr_fx"] != 0).sum() > 12            # the demo bills in two currencies
    assert (months["mrr_start"].iloc[1:].to_numpy() == months["mrr_end"].iloc[:-1].to_numpy()).all()
    people = months["active_start"] + months["new"] + months["reactivated"] + months["resumed"]
    assert (people - months["churned"] - months["paused"] == months["active_end"]).all()


@pytest.fixture(scope="module")
def extracts(tmp_path_factory, write_params):
    """December 2024 twice: from an extract taken six months later, and from one taken at its end."""
    later, then = tmp_path_factory.mktemp("later"), tmp_path_factory.mktemp("then")
    write_demo(later, customers=300, months=36, end="2025-06")
    as_of = "2025-01-01"                                   # ISO times order as text
    dated = {"transactions": "transacted_at", "subscriptions": "valid_from", "customers": "created_at", "plans": "valid_from",
             "addons": "started_at", "marketing_spend": "period_start", "costs": "month", "business_events": "date"}
    for name in FILES:
        rows = pd.read_csv(later / f"{name}.csv", dtype="str", keep_default_na=False)
        if name in dated:
            rows = rows[rows[dated[name]] < as_of]
        if name == "subscriptions":
            announced = rows["canceled_at"].between("2", as_of, inclusive="left")
            rows.loc[(rows["ended_at"] >= as_of) & ~announced, ["ended_at", "status"]] = ""
            rows.loc[(rows["paused_at"] >= as_of) | (rows["past_due_since"] >= as_of), "status"] = ""
            for column in ("canceled_at", "paused_at", "resumed_at", "valid_to", "past_due_since"):
                rows.loc[rows[column] >= as_of, column] = ""
            rows.loc[rows["canceled_at"] == "", "cancel_reason"] = ""
            rows.loc[(rows["ended_at"] == "") | (rows["ended_at"] >= as_of), "churn_kind"] = ""
        if name == "addons":
            rows.loc[rows["ended_at"] >= as_of, "ended_at"] = ""
        rows.to_csv(then / f"{name}.csv", index=False)
    params = [write_params(folder, "2024-12", list(FILES)) for folder in (later, then)]
    return [predicted(prepare(str(path), None, str(path.parent / "run"))) for path in params]


ABOUT_FILES = {"inputs", "rows", "rejections", "rejected_rows", "trace"}


@pytest.mark.parametrize("query", sorted({path.stem for path in (SQL / "summaries").glob("*.sql")} - ABOUT_FILES))
def test_a_later_extract_gives_the_same_numbers(extracts, query):
    later, then = (book.frame(f"summaries/{query}") for book in extracts)
    assert len(later) or query in ("duplicates", "forecast_sales", "handovers", "spellings", "unmatched")
    assert_frame_equal(later, then, check_exact=True)


@pytest.mark.parametrize("name", MARTS)
def test_a_later_extract_gives_the_same_marts(extracts, name):
    later, then = (book.engine.table(f"mart_{name}").order(quoted(MARTS[name])).df() for book in extracts)
    assert len(later) or name not in FILES
    assert_frame_equal(later, then, check_exact=True)


def test_the_demo_company_is_written_when_one_of_its_files_is_missing(tmp_path, write_params):
    size = {"folder": "demo", "customers": 50, "months": 14}
    params = load_params(write_params(tmp_path, "2025-06", ["transactions"], demo=size))
    make_demo(params)
    events, plans = (tmp_path / "demo" / f"{name}.csv" for name in ("business_events", "plans"))
    text = events.read_text()
    plans.write_text("kept")
    make_demo(params)
    assert plans.read_text() == "kept"                     # nothing is missing: nothing is written
    events.unlink()
    make_demo(params)
    assert events.read_text() == text and plans.read_text() != "kept"
    stamp = tmp_path / "demo" / "demo.json"
    stamp.write_text(stamp.read_text().replace(recipe(), "an earlier one"))
    events.write_text("old")
    make_demo(params)
    assert events.read_text() == text                      # another recipe made them


def test_telco_counts(shared_data, write_params, tmp_path):
    folder = shared_data / "telco"
    tables = {name: {"path": str(folder / f"{name}.csv")} for name in ("subscriptions", "customers", "addons")}
    book = prepare(str(write_params(tmp_path, "2018-12", [], sources=tables)), None, str(tmp_path / "run"))
    rows = book.frame("summaries/rows").set_index(["table", "stage"]).loc["subscriptions", "rows"]
    assert rows.to_dict() == {"read": 7043, "kept": 7032, "rejected": 0, "after_as_of": 11}
    month = book.frame("summaries/months").iloc[-1]
    # of the 1,869 who left, 380 had a tenure of one month: they came and left within December
    assert month[["period", "active_start", "churned", "in_month_churn"]].to_list() == ["2018-12", 6419, 1489, 380]
    assert book.frame("summaries/survival").query("dimension == 'all'")["events"].sum() == 1869


class TestWords:
    """The analyst's commentary: read with the sources, so that a fault is told before a notebook runs."""

    @pytest.fixture
    def params(self, tmp_path, write_params):
        (tmp_path / "notes").mkdir()
        return load_params(write_params(tmp_path, "2025-06", ["transactions"], commentary="notes"))

    def write(self, params, data):
        (params.file.parent / "notes" / "2025-06.md").write_bytes(data)

    def test_the_last_line_is_the_signature(self, params):
        self.write(params, "\ufeffA good month.\r\n\r\n— Ann Lee\r\n".encode())
        assert marts.commentary(params) == ("A good month.\n", "— Ann Lee")

    def test_a_month_without_words_is_none(self, params):
        assert marts.commentary(params) is None

    @pytest.mark.parametrize(("data", "told"), [
        (b"A good month.\n", "last line must be a signature"), (b"Words\n---", "must be a signature"), (b"", "no words above"),
        ("— Ann".encode(), "no words above the signature"), (b"\xff\xfe\x00", "not a text file in UTF-8"),
        (b"x" * 20_000 + b"\n-- Ann", "at most 20,000"),
    ])
    def test_unusable_words_are_told(self, params, data, told):
        self.write(params, data)
        with pytest.raises(ReportError, match=told):
            marts.commentary(params)

    def test_a_missing_folder_is_told_with_the_sources(self, tmp_path, write_params):
        params = load_params(write_params(tmp_path, "2025-06", ["transactions"], commentary="absent"))
        with pytest.raises(ReportError, match="there is no folder .*absent(.|\n)*there is no file"):
            marts.stage(params)


@pytest.mark.parametrize("data", [b"a,b\n1,2\n", b"", b"\xff\x00\xfe", b"metric\n"])
def test_a_damaged_table_of_last_month_is_named_with_the_way_out(tmp_path, write_params, data):
    params = load_params(write_params(tmp_path, "2025-06", ["transactions"], history=str(tmp_path)))
    path = tmp_path / "book" / "2025-05" / "tables" / "definitions.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    book = marts.Book(params, tmp_path, None)
    with pytest.raises(ReportError, match="definitions.csv is damaged(.|\n)*history: null"):
        book.earlier("definitions", ["metric", "version"])
    assert book.earlier("decisions", ["rank"]) is None


def test_references_tell_what_names_nothing(make):
    plans = [{"plan_id": "basic"}]
    subs = [sub("ann", "2024-04-05"), sub("bob", "2024-04-05", plan_id="pro"), sub("cat", "2024-04-05", plan_id="pro")]
    sales = [sale("ann", "2024-04-05", transaction_id="A", subscription_id="S0"), sale("ann", "2024-04-06", -5, original_transaction_id="A"),
             sale("bob", "2024-04-07", -5, original_transaction_id="Z"), sale("bob", "2024-05-07", -5, original_transaction_id="later")]
    tables = {"plans": plans, "subscriptions": subs, "transactions": sales}
    found = make("2024-04", **tables).frame("summaries/references")
    assert found.drop(columns="refers_to").values.tolist() == [
        ["subscriptions", "plan_id", 2, 1, 2, "pro"],
        ["transactions", "original_transaction_id", 2, 1, 1, "Z"],
        ["transactions", "subscription_id", 1, 0, 0, ""]]
    people = [{"customer_id": name, "channel": "search", "referred_by": by} for name, by in
              (("ann", ""), ("bob", "ann"), ("cat", "x3"), ("dan", "x1"), ("eve", "x2"), ("fay", "x4"), ("gil", "x4"))]
    spend = [{"period_start": "2024-04-01", "period_end": "2024-04-30", "channel": name, "amount": 1} for name in ("search", "tv")]
    found = make("2024-04", customers=people, marketing_spend=spend, **tables).frame("summaries/references")
    assert found.head(2).drop(columns="refers_to").values.tolist() == [
        ["customers", "referred_by", 5, 4, 5, "x1, x2, x3"], ["marketing_spend", "channel", 2, 1, 1, "tv"]]


class TestLoadMart:
    def test_a_mart_as_a_frame(self, make):
        book = make("2025-06", transactions=[sale("ann", "2025-06-02"), sale("bob", "2025-06-03", 4)])
        frame = marts.load_mart(book.run_dir, "customer_months")
        assert frame.set_index("customer_id")["revenue"].to_dict() == {"ann": 10, "bob": 4}

    def test_an_unknown_one_is_told_with_those_that_are_there(self, make):
        book = make("2025-06", transactions=[sale("ann", "2025-06-02")])
        with pytest.raises(ReportError, match="(?s)^Mart customer_month .*it is not there; known: .*customer_months"):
            marts.load_mart(book.run_dir, "customer_month")

    def test_more_rows_than_the_policy_allows_are_refused(self, make):
        book = make("2025-06", transactions=[sale(f"c{number}", "2025-06-02") for number in range(3)])
        text = book.params.file.read_text().replace("policy: {}", "policy: {pandas_rows: 2}")
        (book.run_dir / "params.yaml").write_text(text)
        with pytest.raises(ReportError, match="Mart customers has 3 rows, more than 2"):
            marts.load_mart(book.run_dir, "customers")


class TestParts:
    def test_a_part_that_would_lose_others_is_refused(self, make):
        book = make("2025-06", transactions=[sale("ann", "2025-06-02")])
        first = pd.DataFrame({"metric": ["orders", "arpu"], "value": [1.0, 10.0]})
        book.add("metrics", "02_ltv_cac", first)
        with pytest.raises(ReportError, match="(?s)metrics of 02_ltv_cac.*without arpu, orders.*02_ltv_cac_more"):
            book.add("metrics", "02_ltv_cac", first.assign(metric="mine"))
        book.add("metrics", "02_mine", first.assign(metric="mine"))
        assert book.collect("metrics")["metric"].to_list() == ["orders", "arpu", "mine", "mine"]

    def test_a_cell_that_is_run_again_writes_its_part_again(self, make):
        book = make("2025-06", transactions=[sale("ann", "2025-06-02")])
        for value in (1.0, 2.0):
            book.add("checks", "01_data_prep", pd.DataFrame({"check": ["rows"], "actual": [value]}))
        assert book.collect("checks")["actual"].to_list() == [2.0]


@pytest.mark.parametrize("amount", ["'ten'", "cast(9e33 as decimal(38, 4))"])    # refused before and while it runs
def test_an_error_of_the_engine_names_the_file_of_the_query(amount):
    engine = Engine()
    engine.connection.execute(f"""create table mart_marketing_spend as
        select 1 as month, 'ads' as channel, 'media' as kind, {amount} as amount from range(2)""")
    engine.connection.execute("create table mart_customers as select 1 as started_month, 'ads' as channel, true as is_new")
    with pytest.raises(duckdb.Error, match=r"(?s)^(?!.*spend\.sql.*spend\.sql).*in helpers/sql/summaries/spend\.sql$"):
        engine.frame("summaries/spend")


def test_who_is_brought_by_a_known_other_counts_as_such(make):
    """Of June: b by a, c by itself, d by nobody known, e by nobody; f of December is too long ago."""
    began = {"a": "2024-01-01", "b": "2025-06-01", "c": "2025-06-02", "d": "2025-06-03", "e": "2025-06-04", "f": "2024-12-31"}
    names = [{"customer_id": of, "referred_by": by} for of, by in zip("bcdef", ("a", "c", "x", None, "a"), strict=True)]
    subs = [sub(of, day) for of, day in began.items()]
    found = make("2025-06", subscriptions=subs, customers=names).frame("summaries/referrals").set_index("month")
    june = 2025 * 12 + 6
    assert found.index.to_list() == [*range(june - 5, june + 1)]
    assert found.loc[june].to_dict() == {"new_customers": 4, "brought": 1} and found.loc[:june - 1].to_numpy().sum() == 0
    bare = [{"customer_id": of} for of in "ab"]
    assert make("2025-06", subscriptions=subs, customers=bare).frame("summaries/referrals").empty
