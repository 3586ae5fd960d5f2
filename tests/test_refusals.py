"""What stops a run before any number is made: each message names what, where, what was found, and the remedy."""

import pytest
from test_marts import sale, sub
from test_sources import HEADER, params_for, problem, rows, stage_for, write

from helpers.contracts import ReportError
from helpers.marts import stage
from helpers.metrics import data_prep

DAYS = [f"{day:02}/06/2025" for day in range(1, 31)]


def book_of(days: list[str]) -> str:
    return HEADER + "".join(f"\nann,{day},5" for day in days) + "\n"


class TestDates:
    LATE = [*DAYS * 34, "06/13/2025"]                    # beyond the lines by which the order was guessed

    def test_a_date_that_only_the_other_order_can_read_stops_the_run(self, tmp_path):
        found = problem(tmp_path, write(tmp_path, book_of(self.LATE)))
        assert "transactions: orders.csv line 1022: '06/13/2025' names the month first, the first dates of the file the day" in found
        assert "set dayfirst" in found

    def test_where_the_order_is_set_such_a_row_is_rejected(self, tmp_path):
        rejected = stage_for(tmp_path, book_of(self.LATE), dayfirst=True).frame("summaries/rejected_rows")
        assert rejected[["line", "value"]].values.tolist() == [[1022, "06/13/2025"]]

    def test_an_impossible_day_before_it_hides_it_not(self, tmp_path):
        days = ["04/25/2025", "05/28/2025"] * 504 + ["31/06/2025", "13/06/2025"]
        found = problem(tmp_path, write(tmp_path, book_of(days)))
        assert "orders.csv line 1011: '13/06/2025' names the day first, the first dates of the file the month" in found

    def test_among_iso_dates_nothing_beside_it_can_be_misread(self, tmp_path):
        rejected = stage_for(tmp_path, book_of(["2025-06-01"] * 1001 + ["13/06/2025"])).frame("summaries/rejected_rows")
        assert rejected["value"].to_list() == ["13/06/2025"]

    @pytest.mark.parametrize("day", ["31/06/2025", "30/02/2025", "32/13/2025", "06/13/25", "soon", "13.06.2025", "14/06/2025 25:00",
                                     "13/06/2025T10:00"])
    def test_a_day_that_no_order_knows_or_its_own_stops_nothing(self, tmp_path, day):
        rejected = stage_for(tmp_path, book_of([*DAYS * 34, day])).frame("summaries/rejected_rows")
        assert rejected["value"].to_list() == [day]

    def test_what_is_no_time_may_look_like_the_other_order(self, tmp_path):
        text = book_of(DAYS).replace(HEADER, f"{HEADER},quantity").replace(",5\n", ",5,06/13/2025\n", 3)
        assert set(stage_for(tmp_path, text).frame("summaries/rejected_rows")["column"]) == {"quantity"}


class TestCurrencies:
    def test_each_currency_is_told_with_its_rows_and_the_first_line(self, make):
        lines = [sale("a", "2025-06-01", 1, currency=of) for of in ("USD", "eur", "GBP", "EUR")]
        with pytest.raises(ReportError) as caught:
            make("2025-06", transactions=lines)
        assert "transactions: 2 rows in EUR, the first transactions.csv line 3" in str(caught.value)
        assert "transactions: 1 row in GBP, the first transactions.csv line 4" in str(caught.value)
        assert "give fx_rates of EUR, GBP to USD" in str(caught.value) and "set report.currency" not in str(caught.value)

    def test_where_there_is_but_one_other_it_may_be_the_reports(self, make):
        with pytest.raises(ReportError, match=r"if all is EUR, set report\.currency to it"):
            make("2025-06", transactions=[sale("a", "2025-06-01", 1, currency="EUR")])


class TestSigns:
    COSTS = [{"month": "2025-06", "category": "cogs", "amount": -5}, {"month": "2025-06", "category": "support", "amount": 4}]

    def test_costs_with_a_minus_stop_the_run(self, make):
        spend = [{"period_start": "2025-06-01", "period_end": "2025-06-30", "channel": "ads", "amount": a} for a in (2, -3, -4)]
        with pytest.raises(ReportError) as caught:
            make("2025-06", transactions=[sale("a", "2025-06-01")], costs=self.COSTS, marketing_spend=spend)
        assert "costs: category cogs: -5.00 in 1 row, the first costs.csv line 2" in str(caught.value)
        assert "marketing_spend: channel ads: -5.00 in 3 rows, the first marketing_spend.csv line 3" in str(caught.value)
        assert "support" not in str(caught.value)

    def test_a_member_that_was_but_credited_stops_nothing(self, make):
        spend = [{"period_start": "2025-06-01", "period_end": "2025-06-02", "channel": of, "amount": amount}
                 for of, amount in (("google", -5), ("GOOGLE", 50))]
        book = make("2025-06", transactions=[sale("a", "2025-06-01")], marketing_spend=spend)
        assert book.frame("summaries/spend")["loaded"].sum() == 45

    def test_of_many_the_first_five_are_told(self, make):
        spend = [{"period_start": "2025-06-01", "period_end": "2025-06-02", "channel": f"c{at}", "amount": -1} for at in range(9)]
        with pytest.raises(ReportError) as caught:
            make("2025-06", transactions=[sale("a", "2025-06-01")], marketing_spend=spend)
        assert str(caught.value).count("marketing_spend: channel") == 5 and "- 4 more" in str(caught.value)

    def test_a_credit_lowers_what_was_spent_and_one_after_the_month_says_nothing(self, make):
        spend = [{"period_start": day, "period_end": day, "channel": of, "amount": amount}
                 for day, of, amount in (("2025-06-01", "ads", 10), ("2025-06-09", "ads", -3), ("2025-07-02", "mail", -3))]
        book = make("2025-06", transactions=[sale("a", "2025-06-01")], marketing_spend=spend)
        assert book.frame("summaries/spend")["loaded"].sum() == 7


class TestNothingLeft:
    def test_it_tells_rules_columns_lines_and_values_of_sales_alone(self, tmp_path):
        text = f"{HEADER}\nann,2025-06-01,x\nann,2025-06-02,\nbob,2025-06-01,y\nbob,2025-07-01,1\n"
        found = problem(tmp_path, write(tmp_path, text))
        assert "No row is left before 2025-07-01" in found
        assert "transactions: 2 rows: cannot be read (amount), the first orders.csv line 2: 'x'" in found
        assert "transactions: 1 row: empty (amount), the first orders.csv line 3" in found
        assert "transactions: 1 row after the month" in found and " read\n" not in found and "0 rows" not in found


class TestWhatAFileSaid:
    def test_a_rejected_value_is_the_one_of_the_file(self, make):
        rates = [{"date": "2025-05-01", "from_currency": "EUR", "to_currency": "USD", "rate": 3}]
        plans = [{"plan_id": "p", "list_price": -7, "currency": "EUR", "kind": "Tier"}, {"plan_id": "q", "kind": "Odd"}]
        costs = [{"month": "1969-12-24", "category": "cogs", "amount": 5}]
        book = make("2025-06", transactions=[sale("a", "2025-06-01")], plans=plans, costs=costs, fx_rates=rates)
        told = book.frame("summaries/rejected_rows")[["table", "column", "value"]].values.tolist()
        assert told == [["costs", "month", "1969-12-24 00:00:00"], ["plans", "list_price", "-7.00000000"], ["plans", "kind", "Odd"]]

    @pytest.mark.parametrize("moment", ["end_of_service", "cancel"])
    def test_a_notice_before_the_beginning_ends_nothing_that_begins_after_it(self, make, moment):
        lines = [sub("a", "2025-01-05 10:00", canceled_at="2025-01-05"), sub("b", "2025-01-01")]
        book = make("2025-06", {"churn_moment": moment}, subscriptions=lines)
        assert book.frame("summaries/months")["mrr_end"].iloc[-1] == 20

    def test_an_id_with_a_fixed_blank_is_that_with_a_plain_one(self, make):
        book = make("2025-06", transactions=[sale(f"ann{blank}lee", "2025-06-01") for blank in (" ", "\u00a0", "\u202f", " \u2009")])
        assert len(book.engine.table("mart_customers").fetchall()) == 1


class TestHandovers:
    def test_a_subscription_that_names_two_customers_is_told(self, make):
        lines = [sub("ann", "2025-01-01", subscription_id="S"), sub("bob", "2025-03-05", subscription_id="S"),
                 sub("dee", "2025-01-01", valid_from="2025-01-01", subscription_id="U"),
                 sub("eve", "2025-01-01", valid_from="2025-02-01", subscription_id="U"),
                 sub("dee", "2025-01-01", valid_from="2025-03-01", subscription_id="U"),
                 sub("cy", "2025-01-01", subscription_id="T"), sub("CY", "2025-02-01", amount=20, subscription_id="T")]
        found = make("2025-06", subscriptions=lines).frame("summaries/handovers")
        assert found.values.tolist() == [["S", 2, "ann", "bob", "2025-03-05 00:00:00", 2], ["U", 2, "dee", "dee", "2025-03-01 00:00:00", 2]]


class TestFiles:
    @pytest.mark.parametrize("names", [("a", "b"), ("a", "a")])
    def test_a_file_that_was_sent_twice_fails_a_check(self, tmp_path, names):
        for at, name in enumerate(names):
            write(tmp_path, f"{HEADER}\n{name},2025-06-01,5\n", f"orders/{at}.csv")
            write(tmp_path, f"{HEADER}\n", f"orders/empty{at}.csv")             # a month without sales says nothing
        found = data_prep.file_checks(stage(params_for(tmp_path, "orders")).frame("summaries/inputs"))
        assert found[["scope", "expected", "actual"]].values.tolist() == [["transactions", 2, len({*names})]]
        assert found["passed"].to_list() == [names == ("a", "b")]


def test_the_last_rate_of_a_day_counts(make):
    rates = [{"date": at, "from_currency": "EUR", "to_currency": "USD", "rate": rate}
             for at, rate in (("2025-06-01 09:00", 3), ("2025-06-01 16:00", 2), ("2025-05-01", 1))]
    book = make("2025-06", transactions=[sale("a", "2025-06-01", 10, currency="EUR")], fx_rates=rates)
    assert rows(book.engine, "amount") == [(20,)]


def test_a_currency_without_any_rate_is_no_rate_of_today(make):
    rates = [{"date": "2025-05-01", "from_currency": "EUR", "to_currency": "USD", "rate": 1}]
    lines = [sale("a", "2025-06-01", 10, currency=of) for of in ("EUR", "GBP")]
    found = data_prep.rate_checks(make("2025-06", transactions=lines, fx_rates=rates).frame("summaries/rates"), 31)
    assert found.set_index(["check", "scope"])["passed"].to_dict() == {
        ("there are rates of the currency", "EUR"): True, ("there are rates of the currency", "GBP"): False,
        ("age of the last rate in days", "EUR"): True}
