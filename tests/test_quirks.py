"""What exports, calendars and subscriptions are like, and files that are damaged.

quirk                                                where it is tested
---------------------------------------------------  --------------------------------------------------------------------------
byte order mark, every encoding, `;`, tab, blanks    test_sources.py: every_encoding, every_delimiter, without_header
decimal comma, thin spaces between thousands         test_sources.py: a_decimal_mark_is_recognised; here: thousands
(1,234.56) and 5- are negative                       here: accountants
Excel serial dates                                   here: the_number_of_a_day; typed dates: test_sources.py, excel_dates
D/M or M/D, refused where both may be meant          test_sources.py: a_day_above_12, read_both_ways, dayfirst
` UTC` suffix and offsets                            test_sources.py: iso_dates; unsorted and repeated stamps: here
overlaps of exports                                  here: overlap; what contradicts: test_marts.py, test_books.py
trailing totals                                      here: totals
internal customers, e-mail case, plus-tags           test_policies.py: TestIdentity
ids with leading zeros, ids that became floats       test_sources.py: ids_that_became_floats; across tables: here
mixed currencies, rates, zero-decimal currencies     test_policies.py: TestSales
movements at constant rates add up with fx           here: movements_and_rates; by hand: test_policies.py
multilingual text                                    here: every_language
midnights that do not exist or come twice            here: midnight, the_month_ends; test_sources.py: change_of_the_clock
leap February                                        here: leap_day; test_marts.py: AGES, spend_is_split_by_days
annual and multi-year plans, weeks, days             test_marts.py: intervals_become_months; a year's price at each end: here
several subscriptions a customer, plan swaps         test_marts.py: swap_of_plans, biggest_moves, partial_pause
upgrades within a month                              test_marts.py: versions_of_a_subscription; up and down in one month: here
pauses, trials, full discounts, coupons that end     test_marts.py: paused_customers, trials, full_discount
scheduled cancels, past due with grace, late entry   test_marts.py: later_ends, past_due, who_was_there_before_the_book
returns, whole and in part                           test_policies.py: TestSales
customers without a name, two at a time              here: nobodys
"""

import os
import random
import subprocess
import sys
import zipfile
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from test_marts import mart, moved, sale, sub
from test_sources import (
    HEADER,
    accounts,
    amounts,
    engine_for,
    kept,
    moments,
    params_for,
    problem,
    rows,
    stage_for,
    staged,
    write,
)

from helpers.contracts import ROOT
from helpers.marts import prepare, stage, write_csv

# --- cells ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u2009", "\u202f", "'"], ids=["blank", "fixed", "thin", "narrow", "quote"])
def test_thousands_are_parted_by_any_blank(tmp_path, blank):
    assert amounts(tmp_path, [f"1{blank}234{blank}567,5", f"-12{blank}345,25"]) == [Decimal("1234567.5"), Decimal("-12345.25")]


def test_accountants_write_minus_as_brackets_or_behind(tmp_path):
    assert amounts(tmp_path, ["(1,234.56)", "1,234.56-", "(5.50)", "0.50-"]) == [
        Decimal("-1234.56"), Decimal("-1234.56"), Decimal("-5.5"), Decimal("-0.5")]
    assert amounts(tmp_path, ["(1.234,56)", "7,5-"]) == [Decimal("-1234.56"), Decimal("-7.5")]


def test_the_number_of_a_day_is_what_spreadsheets_count_from_1900(tmp_path):
    # 45000 is 15 March 2023; 36526 is 1 January 2000; half a day is noon; a number of six digits is none
    assert moments(tmp_path, ["45000", "36526.5", "45000.75", "450000", "1.5"]) == [
        datetime(2023, 3, 15), datetime(2000, 1, 1, 12), datetime(2023, 3, 15, 18), None, None]


def test_a_book_of_subscriptions_alone_has_no_lines_to_repeat(make):
    row = {"subscription_id": "s1", "customer_id": "ann", "plan_id": "basic", "unit_amount": 10, "interval": "month"}
    assert make("2024-05", subscriptions=[row | {"started_at": "2024-01-05"}]).frame("summaries/duplicates").empty


def test_stamps_may_be_unsorted_and_repeated_and_carry_utc(make):
    stamps = ["2024-05-17 01:53:44 UTC", "2024-05-03 10:00:00 UTC", "2024-05-17 01:53:44 UTC", "2024-05-03 10:00:01 UTC"]
    book = make("2024-05", transactions=[sale("ann", stamp, 5) for stamp in stamps])
    # two lines of one instant are one order of 10; they are equal, so they are told as possible duplicates
    assert moved(book, "orders", "revenue", "buyers") == {"2024-05": [3, 20, 1]}
    assert book.frame("summaries/duplicates")[["table", "rows"]].values.tolist() == [["transactions", 1]]


def test_equal_sales_of_nobody_are_told_as_possible_duplicates(make):
    # two of 5 at one instant are equal, that of 7 is not, nor that of 5 a second later
    lines = [sale(None, "2024-05-03 10:00:00", amount) for amount in (5, 5, 7)] + [sale(None, "2024-05-03 10:00:01", 5)]
    book = make("2024-05", transactions=[*lines, sale("ann", "2024-05-03 10:00:00", 5)])
    assert book.frame("summaries/duplicates").values.tolist() == [["transactions", 1, 5]]


# --- rows -------------------------------------------------------------------------------------------------------


def overlap(folder: Path, line_no: str):
    header, days = f"transaction_id,{HEADER}", [f"T{day},ann,2025-06-{day:02},{day}.00" for day in range(1, 8)]
    header, days = header + line_no, [day + ",1" * bool(line_no) for day in days]
    write(folder, "\n".join([header, *days[:5]]), "in/a.csv")
    write(folder, "\n".join([header, *days[3:]]), "in/b.csv")                    # the 4th and the 5th again
    return stage(params_for(folder, "in"))


def test_an_overlap_of_two_exports_counts_once_where_lines_have_numbers(tmp_path):
    engine = overlap(tmp_path, ",line_no")
    assert accounts(engine)["transactions"] == {"read": (9, 37), "kept": (7, 28), "rejected": (2, 9), "after_as_of": (0, 0)}
    told = engine.frame("summaries/rejected_rows")[["file", "line", "rule", "value"]].values.tolist()
    assert told == [["b.csv", 2, "repeated", "T4"], ["b.csv", 3, "repeated", "T5"]]


def test_without_numbers_equal_lines_are_kept_and_told(tmp_path):
    overlap(tmp_path, "")                                # an order may hold a line twice: nothing tells it from an overlap
    book = prepare(str(tmp_path / "book.yaml"), None, str(tmp_path / "run"))
    assert moved(book, "orders", "revenue") == {"2025-06": [7, 37]}
    assert book.frame("summaries/duplicates").values.tolist() == [["transactions", 2, 9]]


@pytest.mark.parametrize("total", ["Total", "TOTALS", "Grand Total", "summe", "Total: 2 rows"])
@pytest.mark.parametrize(("table", "header", "row", "same"), [
    ("customers", "customer_id,channel,loyalty_points", "ann,search,5", "{},search,"),
    ("plans", "plan_id,plan_name,list_price", "basic,Basic,9", "{},,9"),
    ("addons", "customer_id,addon_id,amount", "ann,extra,4", "{},extra,4"),
    ("feedback", "feedback_id,customer_id,kind", "1,ann,nps", "{},ann,nps")])
def test_a_total_is_a_row_of_no_table_and_a_row_of_that_name_is_one(tmp_path, table, header, row, same, total):
    blank = "," * header.count(",")
    text = f"{header}\n{row}\n{same.format(total.replace(': 2 rows', ''))}\n{total}{blank}\n"
    engine = engine_for(tmp_path, text, "rows.csv", table=table)
    assert rows(engine, "stage", "rule", table=f"staged_{table}") == [("kept", None), ("kept", None), ("rejected", "total line")]


@pytest.mark.parametrize("total", ["Total,,6.00", "Total: 2 rows,,", ",,6.00", "Total", "Sum,2 rows,6.00"])
def test_a_total_at_the_end_is_no_sale(tmp_path, total):
    engine = stage_for(tmp_path, f"{HEADER}\nann,2025-06-01,2.00\nbob,2025-06-02,4.00\n{total}\n")
    assert accounts(engine)["transactions"]["kept"] == (2, 6)
    assert engine.frame("summaries/rejected_rows")[["line", "rule", "column"]].values.tolist() == [[4, *{
        ",": ["empty", "transacted_at"], "S": ["cannot be read", "transacted_at"]}.get(total[0], ["total line", "customer_id"])]]


def test_one_id_as_number_and_as_text_is_one_customer(tmp_path):
    write(tmp_path, f"{HEADER}\n17850,2025-06-01,5\n007,2025-06-01,6\n7,2025-06-01,7\n", "t.csv")
    write(tmp_path, "customer_id,channel\n17850.0,search\n007,mail\n", "c.csv")
    report = {"name": "book", "title": "Book", "month": "2025-06"}
    sources = {"transactions": {"path": "t.csv"}, "customers": {"path": "c.csv"}}
    (tmp_path / "book.yaml").write_text(yaml.safe_dump({"report": report, "sources": sources}))
    book = prepare(str(tmp_path / "book.yaml"), None, str(tmp_path / "run"))
    found = mart(book, "customers", "channel", "revenue").astype({"revenue": "float"})
    assert found.fillna("").T.to_dict("list") == {"17850": ["search", 5], "007": ["mail", 6], "7": ["", 7]}


def test_nobodys_sales_are_an_order_each_whatever_their_place(make):
    rows = [sale(None, "2024-05-02", amount, product_id=what) for amount, what in ((5, "x"), (3, "y"), (5, "x"))]
    first = mart(make("2024-05", transactions=rows), "transactions", "line_no", "amount", "product_id")
    book = make("2024-05", transactions=rows[::-1])
    assert moved(book, "orders", "buyers", "revenue") == {"2024-05": [3, 0, 13]}
    assert mart(book, "transactions", "line_no", "amount", "product_id").equals(first)
    assert first["line_no"].to_list() == [1, 1, 1]


LINES = ["añadir periódicamente nuevas funciones", "顧客の声を聞く", "إضافة ميزات جديدة", "e\u0301 und ß, 😀 👩\u200d👧",
         "ΣΊΣΥΦΟΣ \u200f\u202e", "ÿ"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_of_every_language_arrives_and_leaves_as_written(tmp_path, encoding):
    text = "date,label,kind\n" + "".join(f'2025-06-0{day},"{line}",release\n' for day, line in enumerate(LINES, 1))
    engine = staged(params_for(tmp_path, write(tmp_path, text.encode(encoding), "events.csv"), table="business_events"))
    found = rows(engine, "label", table="staged_business_events")
    assert [label for [label] in found] == LINES
    write_csv(pd.DataFrame({"label": LINES}), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[1:3] == LINES[:2]
    assert pd.read_csv(tmp_path / "out.csv")["label"].to_list() == LINES


# --- time -------------------------------------------------------------------------------------------------------

# zone, a time that its clocks skipped or showed twice, the instant that it is read as, in UTC: the offset before the change
CLOCKS = [
    ("America/Sao_Paulo", "2018-11-04", datetime(2018, 11, 4, 3)),          # 00:00 -03 became 01:00 -02
    ("Africa/Cairo", "2023-04-28", datetime(2023, 4, 27, 22)),              # 00:00 +02 became 01:00 +03
    ("Asia/Beirut", "2022-03-27", datetime(2022, 3, 26, 22)),               # 00:00 +02 became 01:00 +03
    ("Asia/Amman", "2016-04-01", datetime(2016, 3, 31, 22)),                # 00:00 +02 became 01:00 +03, on the first
    ("Asia/Beirut", "2021-10-31", datetime(2021, 10, 30, 22)),              # 00:00 +03 became 23:00 +02: midnight came later
]


@pytest.mark.parametrize(("zone", "written", "instant"), CLOCKS, ids=[f"{zone} {day}" for zone, day, _ in CLOCKS])
def test_a_midnight_that_the_clocks_skipped_is_still_its_day(tmp_path, zone, written, instant):
    month = written[:7]
    assert moments(tmp_path, [written], timezone=zone, month=month) == [instant]
    own = moments(tmp_path, [written], timezone=zone, zone=zone, month=month)
    assert own == [datetime.fromisoformat(written)]                          # in its own zone it is what is written


def test_an_hour_that_comes_twice_is_read_in_one_way_and_told_apart_by_an_offset(tmp_path):
    found = moments(tmp_path, ["2021-10-30 23:30:00", "2021-10-30 23:30:00+03:00", "2021-10-30 23:30:00+02:00"],
                    timezone="Asia/Beirut", month="2021-10")
    first, second = datetime(2021, 10, 30, 20, 30), datetime(2021, 10, 30, 21, 30)
    assert found[1:] == [first, second] and found[0] in (first, second)


@pytest.mark.parametrize(("zone", "month", "last", "first"), [
    ("Asia/Amman", "2016-03", "2016-03-31 21:59:59Z", "2016-03-31 22:00:00Z"),       # 23:59:59, then 01:00 on 1 April
    ("America/Havana", "2020-10", "2020-11-01 03:59:59Z", "2020-11-01 04:00:00Z"),   # 00:00, and once more at 05:00
    ("Pacific/Apia", "2011-12", "2011-12-31 09:59:59Z", "2011-12-31 10:00:00Z"),     # the 30th was left out
    ("Asia/Kathmandu", "2024-02", "2024-02-29 18:14:59Z", "2024-02-29 18:15:00Z")])  # +05:45, leap February
def test_the_month_ends_at_its_zones_midnight_even_where_clocks_change(tmp_path, zone, month, last, first):
    text = f"{HEADER}\nann,{last},1\nann,{first},2\n"
    assert [amount for *_, amount in kept(tmp_path, text, zone=zone, month=month)] == [1]


def test_the_midnight_that_comes_twice_belongs_to_the_new_month_both_times(tmp_path):
    text = f"{HEADER}\nann,2020-11-01 03:59:59Z,1\nann,2020-11-01 04:30:00Z,2\nann,2020-11-01 05:30:00Z,4\n"
    engine = engine_for(tmp_path, text, zone="America/Havana", month="2020-10")
    assert rows(engine, "stage", "transacted_at") == [
        ("kept", datetime(2020, 10, 31, 23, 59, 59)), ("after_as_of", datetime(2020, 11, 1, 0, 30)),
        ("after_as_of", datetime(2020, 11, 1, 0, 30))]


def test_a_year_from_a_leap_day_ends_on_the_28th(make):
    book = make("2025-03", subscriptions=[
        sub("ann", "2024-02-29", "2025-02-28", 120, interval="year"),
        sub("bob", "2024-02-29", "2025-02-28 00:00:01", 120, interval="year"), sub("cat", "2024-02-29")])
    assert mart(book, "customers", "spell_months", "spell_ended").T.to_dict("list") == {
        "ann": [12, True], "bob": [13, True], "cat": [13, False]}
    assert moved(book, "churned", "mrr_churn") == {"2025-02": [2, 20]}               # 120 a year is 10 a month


def test_february_29_counts_in_its_month(make):
    book = make("2024-02", transactions=[sale("ann", "2024-02-29 23:59:59", 1), sale("ann", "2024-03-01", 2)])
    assert moved(book, "revenue") == {"2024-02": [1]}
    spend = [{"period_start": "2024-02-01", "period_end": "2024-02-29", "channel": "x", "amount": 29},
             {"period_start": "2024-02-29", "period_end": "2024-03-01", "channel": "y", "amount": 2}]
    book = make("2024-02", transactions=[sale("ann", "2024-02-29")], marketing_spend=spend)
    assert mart(book, "marketing_spend", "channel", "amount")["amount"].map(float).to_list() == [29, 1]


# --- subscriptions ----------------------------------------------------------------------------------------------


def test_of_several_changes_in_a_month_the_one_at_its_end_counts(make):
    rows = [sub("ann", "2024-03-05", subscription_id="S", amount=amount, plan_id=plan, valid_from=start, valid_to=end)
            for amount, plan, start, end in [(10, "basic", "2024-03-05", "2024-04-10"), (50, "pro", "2024-04-10", "2024-04-20"),
                                             (25, "plus", "2024-04-20", None)]]
    assert moved(make("2024-04", subscriptions=rows), "mrr_new", "mrr_expansion", "mrr_contraction", "mrr_end") == {
        "2024-03": [10, 0, 0, 10], "2024-04": [0, 15, 0, 25]}


def test_a_prepaid_year_is_twelfths_and_a_renewal_at_another_price_moves_once(make):
    rows = [sub("ann", "2023-03-05", "2024-03-05", 120, interval="year", subscription_id="A"),
            sub("ann", "2024-03-05", amount=132, interval="year", subscription_id="B"),
            sub("bob", "2023-03-05", amount=300, interval="year", interval_count=3, subscription_id="C")]
    book = make("2024-04", subscriptions=rows)
    assert moved(book, "mrr_expansion", "mrr_end")["2024-03"] == [1, pytest.approx(11 + 8.3333)]      # 132/12; 300/36
    assert moved(book, "churned", "new")["2023-03"] == [0, 2] and moved(book, "churned").get("2024-03", [0]) == [0]


@pytest.mark.parametrize("seed", range(3))
def test_movements_and_rates_lead_from_start_to_end_to_the_cent(make, seed):
    chance, days = random.Random(seed), [f"2024-{month:02}-{day:02}" for month in range(1, 7) for day in (1, 9, 15, 28)]
    subscriptions = []
    for number in range(150):
        start, end, pause, back = sorted(chance.sample(days, 4))[0], *chance.sample(days, 3)
        row = sub(f"C{number % 70:02}", start, end if end > start and chance.random() < 0.4 else None,
                  amount=chance.randrange(1, 999_999) / 100, currency=chance.choice(["USD", "EUR", "JPY"]))
        row |= {"interval": chance.choice(["month", "year", "week"]), "discount_amount": chance.choice([0, 0, 3.33]),
                "discount_ends_at": chance.choice([None, *days]), "past_due_since": chance.choice([None] * 5 + days),
                "trial_ended_at": chance.choice([None, None, start, *days[:4]])}
        if pause > start and chance.random() < 0.3:
            row |= {"paused_at": pause, "resumed_at": back if back > pause else None}
        subscriptions.append(row)
    rates = [{"date": day, "from_currency": name, "to_currency": "USD", "rate": round(rate * chance.uniform(0.8, 1.25), 6)}
             for day in ["2023-12-01", *days] for name, rate in (("EUR", 1.1), ("JPY", 0.007))]
    months = make("2024-06", subscriptions=subscriptions, fx_rates=rates).frame("summaries/months")
    gains = months[["mrr_new", "mrr_reactivation", "mrr_resumed", "mrr_expansion", "mrr_fx"]].sum(axis=1)
    losses = months[["mrr_contraction", "mrr_paused", "mrr_churn"]].sum(axis=1)
    assert (months["mrr_start"] + gains - losses - months["mrr_end"]).abs().max() < 0.005
    assert months.drop(columns=["mrr_fx", "period"]).ge(0).all(axis=None)
    moving = ["mrr_new", "mrr_reactivation", "mrr_resumed", "mrr_expansion", "mrr_contraction", "mrr_paused", "mrr_churn"]
    assert months[moving].max().gt(0).all() and months["mrr_fx"].abs().gt(1).any()


# --- damaged files ----------------------------------------------------------------------------------------------


def body(lines: int = 50) -> bytes:
    return (HEADER + "".join(f"\nc{line},2025-06-01,{line}.50" for line in range(lines))).encode()


def wide(count: int) -> bytes:
    return ",".join(["customer_id", "transacted_at", "amount", *(f"x{i}" for i in range(count - 3))]).encode() + b"\n"


def parquet(folder: Path, lines: int = 100) -> bytes:
    stamps = pa.array([datetime(2025, 6, 1)] * lines, pa.timestamp("us"))
    names = [f"c{line * 7919 % 9973}" for line in range(lines)]
    table = pa.table({"customer_id": names, "transacted_at": stamps, "amount": [1.5] * lines})
    pq.write_table(table, folder / "whole.parquet")
    return (folder / "whole.parquet").read_bytes()


def excel(folder: Path) -> bytes:
    book = openpyxl.Workbook()
    for cells in [HEADER.split(","), *(["ann", datetime(2025, 6, 1), line] for line in range(200))]:
        book.active.append(cells)
    book.save(folder / "whole.xlsx")
    return (folder / "whole.xlsx").read_bytes()


def packed(folder: Path) -> bytes:
    with zipfile.ZipFile(folder / "whole.zip", "w") as archive:
        archive.writestr("hello.txt", "no workbook")
    return (folder / "whole.zip").read_bytes()


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def torn(data: bytes) -> bytes:
    return data[: len(data) // 2] + b"\xff" * 500 + data[len(data) // 2 + 500:]


NUL = "a NUL byte: this is no text, or a damaged one"
OPEN = "o.csv: line 52: Value with unterminated quote"
DAMAGED = {  # what it is: name, content, words of the error
    "cut off in a quoted field": ("o.csv", lambda _: body() + b'\nann,2025-06-01,"12.5', OPEN),
    "cut off in quoted lines": ("o.csv", lambda _: body() + b'\n"ann\nbob,2025-06-01,5', OPEN),
    "binary": ("o.csv", lambda _: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)), f"o.csv: line 3: {NUL}"),
    "nothing but zeros": ("o.csv", lambda _: bytes(5000), f"o.csv: line 1: {NUL}"),
    "a NUL byte": ("o.csv", lambda _: body() + b"\nann\0,2025-06-01,5\n", f"o.csv: line 52: {NUL}"),
    "a NUL byte far behind": ("o.csv", lambda _: body(90_000) + b"\nann\0,2025-06-01,5\n", f"o.csv: line 90002: {NUL}"),
    "UTF-16 without its mark": ("o.csv", lambda _: body().decode().encode("utf-16-le"), f"o.csv: line 1: {NUL}"),
    "UTF-32": ("o.csv", lambda _: body().decode().encode("utf-32"), f"o.csv: line 1: {NUL}"),
    "UTF-16 cut off": ("o.csv", lambda _: body().decode().encode("utf-16")[:-1], "o.csv: 'utf-16-le' codec can't decode"),
    "UTF-8 with a damaged letter": (
        "o.csv", lambda _: body() + "\nJosé,2025-06-01,5\nZo".encode() + b"\xeb,2025-06-01,5", "o.csv: line 53: not UTF-8, as"),
    "empty": ("o.csv", lambda _: b"", "o.csv: the file is empty"),
    "a header alone": ("o.csv", lambda _: f"{HEADER}\n".encode(), "transactions: o.csv holds no row"),
    "10,000 columns": ("o.csv", lambda _: wide(10_000), "o.csv: line 1: 10,000 columns; a text may have 2,000"),
    "a Parquet file cut off": ("o.parquet", lambda at: half(parquet(at)), "o.parquet: not a Parquet file, or one that is cut"),
    "an empty Parquet file": ("o.parquet", lambda at: b"", "o.parquet: not a Parquet file, or one that is cut off"),
    "a Parquet file torn far behind": ("o.parquet", lambda at: torn(parquet(at, 60_000)), "transactions: o.parquet: "),
    "Parquet that is called CSV": ("o.csv", parquet, f": {NUL}"),
    "a workbook that is another zip": ("o.xlsx", packed, "o.xlsx: not an Excel file, or one that is cut off or damaged"),
    "a workbook cut off": ("o.xlsx", lambda at: half(excel(at)), "o.xlsx: not an Excel file, or one that is cut off"),
    "an empty workbook": ("o.xlsx", lambda at: b"", "o.xlsx: not an Excel file, or one that is cut off or damaged"),
    "a packed file": ("o.csv.gz", packed, "o.csv.gz: it is packed: unpack it first"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_told_with_its_name_and_line(tmp_path, damage):
    name, content, words = DAMAGED[damage]
    found = problem(tmp_path, write(tmp_path, content(tmp_path), name))
    assert words in found and len(found) < 600 and all(line.isprintable() for line in found.splitlines())


@pytest.mark.parametrize(("last", "column"), [
    ("ann", "transacted_at"), ("ann,", "transacted_at"), ("ann,2025-0", "transacted_at"), ("ann,2025-06-01", "amount"),
    ("ann,2025-06-01,", "amount"), ("ann,2025-06-01,-", "amount")])
def test_a_line_cut_off_at_the_end_is_rejected_by_its_line(tmp_path, last, column):
    told = stage_for(tmp_path, body() + f"\n{last}".encode()).frame("summaries/rejected_rows")
    assert told[["file", "line", "column"]].values.tolist() == [["orders.csv", 52, column]]


@pytest.mark.parametrize("ends", [("\n", "\r\n"), ("\r\n", "\n"), ("\r\r\n", "\r\r\n")], ids=["unix first", "windows first", "doubled"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_lines_of_two_systems_stand_in_one_file(tmp_path, ends, encoding):
    lines = [HEADER, "ann,2025-06-01,1", "Zoë,2025-06-02,2", "bob,2025-06-03,x", "cy,2025-06-04,4"]
    text = "".join(line + ends[at > 2] for at, line in enumerate(lines))
    found = rows(engine_for(tmp_path, text.encode(encoding)), "customer_id", "amount", "line")
    assert [row[:2] for row in found] == [("ann", 1), ("Zoë", 2), ("bob", None), ("cy", 4)]
    assert [row[2] for row in found] == [2, 3, 4, 5]


@pytest.mark.parametrize("text", ['customer_id,transacted_at,amount\r\nann,2025-06-01,1\r\nbob,2025-06-02,"2"\n',
                                  '"customer_id","transacted_at","amount"\r\n"ann","2025-06-01","1"\r\n"bob","2025-06-02","2"\n'])
def test_so_do_lines_that_end_in_a_quote(tmp_path, text):
    assert rows(engine_for(tmp_path, text), "customer_id", "amount", "line") == [("ann", 1, 2), ("bob", 2, 3)]


def test_a_line_end_that_may_be_none_is_told_with_its_line(tmp_path):
    text = f"{HEADER}\r\nann,2025-06-01,1\r\nbob,2025-06-02,2\rcy,2025-06-03,3\nann,2025-06-01,1\n"
    assert "orders.csv: line 3: lines end in several ways, and a CR stands in this one; end all in LF or CRLF" in problem(
        tmp_path, write(tmp_path, text))


def test_a_folder_without_files_is_told(tmp_path):
    (tmp_path / "o.csv").mkdir()
    assert "sources.transactions.path: there is no file o.csv" in problem(tmp_path, "o.csv")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_told(tmp_path):
    (tmp_path / write(tmp_path, body(), "o.csv")).chmod(0)
    assert "o.csv: permission denied" in problem(tmp_path, "o.csv")


def test_a_file_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    name = write(tmp_path, body(), "o.csv")
    monkeypatch.setattr("helpers.sources.read.fingerprint", refuse)
    assert "o.csv: permission denied" in problem(tmp_path, name)


def test_2000_columns_are_read(tmp_path):
    text = wide(2000) + b"ann,2025-06-01,5" + b",1" * 1997 + b"\n"
    assert kept(tmp_path, text) == [("ann", datetime(2025, 6, 1), 5)]


def test_check_names_the_lines_and_exits_in_words(tmp_path):
    """A file with two bad lines, then one that cannot be read: exit code, no traceback, nothing left behind."""
    def check() -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "helpers", "check", str(params_for(tmp_path, "o.csv").file)]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})

    write(tmp_path, body() + b"\nann,2025-06-01,se\x1b[2Jven\nann,2025-0", "o.csv")
    done, files = check(), sorted(path.name for path in tmp_path.iterdir())
    assert done.returncode == 0 and "\x1b" not in done.stdout
    lines = [line.split() for line in done.stdout.splitlines() if "o.csv" in line]
    assert [line[:3] + line[-2:] for line in lines] == [
        ["transactions", "o.csv", "52", "amount", "se[2Jven"], ["transactions", "o.csv", "53", "transacted_at", "2025-0"]]
    write(tmp_path, bytes(999), "o.csv")
    failed = check()
    assert failed.returncode == 1 and failed.stdout == "" and "Traceback" not in failed.stderr
    assert f"o.csv: line 1: {NUL}" in failed.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == files == ["book.yaml", "o.csv"]
