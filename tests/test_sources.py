"""Sources: whatever a file is like, its values arrive as written, and every row and every cent is accounted for."""

import errno
import os
import random
import re
import shutil
import sys
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from helpers.contracts import READ, ReportError
from helpers.engine import Engine
from helpers.inputs import source_files
from helpers.marts import judge, settings, stage
from helpers.params import load_params
from helpers.sources import excel, read, read_source, sniff

HEADER = "customer_id,transacted_at,amount"
PLAIN = ("customer_id", "transacted_at", "amount")


def params_for(folder: Path, path: str, table: str = "transactions", zone: str = "UTC", month: str = "2025-06", **how):
    """Params of a book with one source; `how` says how to read it."""
    sources = {table: {"path": path, **how}}
    if table != "transactions":
        (folder / "t").mkdir(exist_ok=True)
        (folder / "t" / "t.csv").write_text(f"{HEADER}\nann,2025-06-01,1\n")
        sources["transactions"] = {"path": "t/t.csv"}
    report = {"name": "book", "title": "Book", "month": month, "timezone": zone}
    (folder / "book.yaml").write_text(yaml.safe_dump({"report": report, "sources": sources}))
    return load_params(folder / "book.yaml")


def write(folder: Path, content: str | bytes, name: str = "orders.csv") -> str:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def staged(params) -> Engine:
    """What `stage` makes of the tables that are given, in a fraction of its time."""
    engine = Engine()
    settings(engine, params)
    given = list(dict.fromkeys(["fx_rates", "customers", *params.sources]))
    for table in given:
        read_source(engine, params, table)
    judge(engine, [params.tables[name] for name in given])
    return engine


def engine_for(folder: Path, content: str | bytes, name: str = "orders.csv", **how):
    return staged(params_for(folder, write(folder, content, name), **how))


def stage_for(folder: Path, content: str | bytes, name: str = "orders.csv", **how):
    return stage(params_for(folder, write(folder, content, name), **how))


def rows(engine, *columns: str, table: str = "staged_transactions") -> list[tuple]:
    return engine.table(table).order("file, line").select(*columns).fetchall()


def kept(folder: Path, content: str | bytes, name: str = "orders.csv", **how) -> list[tuple]:
    """Customer, moment and amount of every row that is kept."""
    engine = engine_for(folder, content, name, **how)
    return engine.table("staged_transactions").filter("stage = 'kept'").order("file, line").select(*PLAIN).fetchall()


def problem(folder: Path, path: str, **how) -> str:
    with pytest.raises(ReportError) as caught:
        stage(params_for(folder, path, **how))
    return str(caught.value)


def accounts(engine) -> dict[str, dict[str, tuple[int, float]]]:
    """table -> stage -> (rows, money), after checking read = kept + rejected + after_as_of in both."""
    tables = {}
    for row in engine.frame("summaries/rows").itertuples():
        tables.setdefault(row.table, {})[row.stage] = (row.rows, row.amount)
    for stages in tables.values():
        parts = [stages[name] for name in ("kept", "rejected", "after_as_of")]
        assert stages["read"][0] == sum(part[0] for part in parts)
        assert stages["read"][1] == pytest.approx(sum(part[1] for part in parts), abs=1e-9, nan_ok=True)
    return tables


def at(*parts: int) -> datetime:
    return datetime(*parts)


EXPECTED = [("ann", at(2025, 6, 1), Decimal("10.50")), ("bob", at(2025, 6, 2), Decimal("-3.25"))]


# --- text: delimiters, encodings, headers -----------------------------------------------------------------------


MARKS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "blank": "  "}


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_every_delimiter_and_line_end_gives_the_same_rows(tmp_path, mark, end):
    lines = [HEADER, "ann,2025-06-01,10.50", "bob,2025-06-02,-3.25"]
    text = end.join(lines).replace(",", mark) + end
    assert kept(tmp_path, text) == EXPECTED


def test_a_delimiter_that_is_set_is_not_guessed(tmp_path):
    text = "customer_id:transacted_at:amount\nann:2025-06-01:10.50\nbob:2025-06-02:-3.25\n"
    assert kept(tmp_path, text, delimiter=":") == EXPECTED


def test_marks_inside_quotes_part_nothing(tmp_path):
    text = 'customer_id;transacted_at;amount;"a, b, c, d, e, f"\nann;2025-06-01;10,50;x\nbob;2025-06-02;-3,25;y\n'
    assert kept(tmp_path, text) == EXPECTED


def test_times_with_blanks_and_ragged_lines_do_not_make_a_comma_file_a_blank_one(tmp_path):
    text = HEADER + ",channel\n" + "ann,2025-06-01 10:00:00,1,x\n" * 8 + "ann,2025-06-01 10:00:00,1\n" * 4
    assert len(kept(tmp_path, text)) == 12


def test_blanks_in_texts_do_not_make_a_two_column_file_a_blank_one(tmp_path):
    text = "customer_id,segment\nC1,Small Business Group\nC2,Large Business Group\n"
    engine = engine_for(tmp_path, text, table="customers")
    found = rows(engine, "customer_id", "segment", table="staged_customers")
    assert found == [("C1", "Small Business Group"), ("C2", "Large Business Group")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_every_encoding_is_recognised(tmp_path, encoding):
    text = f"{HEADER}\nJosé,2025-06-01,1\nZoë,2025-06-02,2\n"
    engine = stage_for(tmp_path, text.encode(encoding))
    assert rows(engine, "customer_id") == [("José",), ("Zoë",)]
    expected = {"utf-8-sig": "utf-8"}.get(encoding, encoding)
    assert engine.table("source_files").filter("\"table\" = 'transactions'").select("encoding").fetchall() == [
        (expected,)
    ]


def test_utf_16_of_the_other_byte_order_and_beyond_the_basic_plane(tmp_path):
    text = b"\xfe\xff" + f"{HEADER}\n😀,2025-06-01,1\n".encode("utf-16-be")
    assert rows(engine_for(tmp_path, text), "customer_id") == [("😀",)]


def test_an_encoding_that_is_set_wins_and_is_checked(tmp_path):
    text = f"{HEADER}\nJosé,2025-06-01,1\n"
    assert rows(engine_for(tmp_path, text, encoding="latin-1"), "customer_id") == [("JosÃ©",)]  # its two bytes, as set
    latin = write(tmp_path, text.encode("latin-1"))
    assert "orders.csv: 'utf-8' codec can't decode" in problem(tmp_path, latin, encoding="utf-8")
    assert "orders.csv: UTF-16 stream does not start with BOM" in problem(tmp_path, latin, encoding="utf-16")


def test_text_cut_in_the_middle_of_a_letter_is_still_read(tmp_path):
    text = f"{HEADER},owner\nann,2025-06-01,1,Jos".encode() + b"\xc3"  # half of an é, at the end of the file
    assert len(kept(tmp_path, text)) == 1


def test_blank_lines_are_left_out_even_before_the_header(tmp_path):
    text = f"\n\n{HEADER}\nann,2025-06-01,10.50\n\nbob,2025-06-02,-3.25\n\n"
    assert rows(engine_for(tmp_path, text), *PLAIN) == EXPECTED


def test_without_header_columns_are_given_by_position(tmp_path):
    columns = {"customer_id": 1, "transacted_at": 2, "amount": 4}
    text = "ann,2025-06-01,x,10.50\nbob,2025-06-02,y,-3.25\n"
    assert kept(tmp_path, text, columns=columns) == EXPECTED
    assert kept(tmp_path, text, columns=columns, header=False) == EXPECTED


def test_without_header_and_with_runs_of_blanks(tmp_path):
    text = "  1 ann  20250601   10.50\n  2 bob  20250602   -3.25\n\n   \n"
    engine = engine_for(tmp_path, text, columns={"customer_id": 2, "transacted_at": 3, "amount": 4})
    assert rows(engine, *PLAIN) == EXPECTED


def test_a_line_with_more_blanks_than_the_others_is_told_not_cut(tmp_path):
    text = "1 ann 20250601 10.50\n" * 1200 + "2 bob two 20250602 -3.25\n"
    found = problem(tmp_path, write(tmp_path, text), columns={"customer_id": 2, "transacted_at": 3, "amount": 4})
    assert "orders.csv: a line has 5 fields in place of 4: 2 bob two" in found


def test_a_header_that_looks_like_data_is_kept_when_the_params_say_so(tmp_path):
    text = "customer_id,2024,amount\nann,2025-06-01,10.50\nbob,2025-06-02,-3.25\n"
    assert kept(tmp_path, text, header=True, columns={"transacted_at": "2024"}) == EXPECTED


def test_quoted_fields_hold_delimiters_quotes_and_newlines(tmp_path):
    text = (
        f'{HEADER},product_name\nann,2025-06-01,1,"a,b"\nann,2025-06-02,1,"say ""hi"""\nann,2025-06-03,1,"two\nlines"\n'
    )
    text += 'ann,2025-06-04,1,12" pipe\n'
    found = rows(engine_for(tmp_path, text), "product_name")
    assert found == [("a,b",), ('say "hi"',), ("two\nlines",), ('12" pipe',)]


def test_quoted_newlines_and_short_rows_together(tmp_path):
    text = f'{HEADER},product_name,category\nann,2025-06-01,1,"two\nlines",x\nbob,2025-06-02,2\n'
    found = rows(engine_for(tmp_path, text), "customer_id", "product_name", "category")
    assert found == [("ann", "two\nlines", "x"), ("bob", None, None)]


def test_a_short_row_is_judged_by_what_it_holds(tmp_path):
    engine = stage_for(tmp_path, f"{HEADER}\nann,2025-06-01,5\nbob,2025-06-02\nTotal\n")
    assert accounts(engine)["transactions"] == {
        "read": (3, 5),
        "kept": (1, 5),
        "rejected": (2, 0),
        "after_as_of": (0, 0),
    }
    rejected = engine.frame("summaries/rejected_rows")
    assert rejected[["line", "rule", "column"]].values.tolist() == [
        [3, "empty", "amount"],
        [4, "total line", "customer_id"],
    ]


@pytest.mark.parametrize("row", [2, 30_000], ids=["in the sample", "far behind it"])
def test_a_row_with_too_many_fields_stops_the_file_with_its_line(tmp_path, row):
    lines = [HEADER] + ["ann,2025-06-01,5"] * row
    lines[row - 1] = "ann,2025-06-01,1,234.50"  # a thousands mark without quotes would be read as 1
    found = problem(tmp_path, write(tmp_path, "\n".join(lines)))
    assert f"orders.csv: line {row}: Expected Number of Columns: 3 Found: 4" in found


def test_a_quote_that_is_never_closed_swallows_no_rows_silently(tmp_path):
    text = f'{HEADER}\nann,2025-06-01\nann,2025-06-01,5\nbob,2025-06-02,"5\ncat,2025-06-03,5\n'
    assert "line 4: Value with unterminated quote found" in problem(tmp_path, write(tmp_path, text))


def test_a_value_of_200_000_letters_arrives_whole(tmp_path):
    text = f"{HEADER},product_name\nann,2025-06-01,5,{'x' * 200_000}\n"
    assert rows(engine_for(tmp_path, text), "length(product_name)") == [(200_000,)]


def test_a_line_beyond_what_can_be_read_is_told_without_its_text(tmp_path):
    text = f"{HEADER},product_name\nann,2025-06-01,5,{'x' * 3_000_000}\n"
    found = problem(tmp_path, write(tmp_path, text))
    assert "line 2: Maximum line size of 2000000 bytes exceeded" in found and len(found) < 1000


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"], ids=["no byte", "blank lines", "a byte order mark"])
def test_an_empty_file_is_told(tmp_path, content):
    assert "orders.csv: the file is empty" in problem(tmp_path, write(tmp_path, content))


def test_a_header_alone_is_an_empty_table(tmp_path):
    params = params_for(tmp_path, write(tmp_path, "customer_id,segment\n", "c.csv"), table="customers")
    assert accounts(stage(params)).get("customers", {}).get("read", (0, 0)) == (0, 0)
    assert "there is nothing to report" in problem(tmp_path, write(tmp_path, HEADER))


HOSTILE = {
    "transaction_id": '"; drop table raw_transactions; --',
    "product_id": "select",
    "product_name": "a.b",
    "category": "*",
    "original_transaction_id": "it's",
    "subscription_id": 'a"b',
    "type": "COLUMNS(*)",
    "status": "é ü",
    "item_type": "${HOME}",
}


def test_a_column_may_be_called_anything(tmp_path):
    names = [*PLAIN, "", *HOSTILE.values()]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    text = f"{header}\nann,2025-06-01,5,empty,{','.join(HOSTILE)}\n"  # each field holds the name of our column
    by_name = {ours: theirs for ours, theirs in HOSTILE.items() if "$" not in theirs}
    by_place = {ours: place for place, ours in enumerate(HOSTILE, 5)}
    for columns in (by_name, by_place):
        params = params_for(tmp_path, write(tmp_path, text), columns=columns)
        engine = Engine()
        [file] = read_source(engine, params, "transactions")
        assert rows(engine, *columns, table="raw_transactions") == [tuple(columns)]
        assert file.ignored_columns == len(names) - 3 - len(columns)


def test_hostile_values_stay_text(tmp_path):
    value = "'); drop table raw_transactions; --"
    assert rows(engine_for(tmp_path, f"{HEADER}\n{value},2025-06-01,5\n"), "customer_id") == [(value,)]


# --- numbers ----------------------------------------------------------------------------------------------------


def amounts(folder: Path, values: list[str], mark: str = ";", **how) -> list[Decimal | None]:
    lines = [f"ann{mark}2025-06-01{mark}{value}" for value in values]
    return [row[0] for row in rows(engine_for(folder, "\n".join([HEADER.replace(",", mark), *lines]), **how), "amount")]


@pytest.mark.parametrize("values", [
    ["1,5", "-1.234,56", "1.234", "1 234,50", "1.234.567", "7", ",5"],
    ["1.5", "-1,234.56", "1,234", "1\u202f234.50", "1,234,567", "+7", ".5"],
], ids=["comma", "point"])
def test_a_decimal_mark_is_recognised(tmp_path, values):
    assert [str(value) for value in amounts(tmp_path, values)] == [
        "1.5000",
        "-1234.5600",
        "1234.0000",
        "1234.5000",
        "1234567.0000",
        "7.0000",
        "0.5000",
    ]


@pytest.mark.parametrize("values", [
    ["1,234", "7"], ["1.234", "12"], ["1,234", "5,50", "5.50"], ["(1,234)", "7"], ["1,234-", "7"], ["-1.234", "7"]])
def test_a_mark_that_may_be_decimal_or_thousands_is_refused_with_the_remedy(tmp_path, values):
    text = HEADER.replace(",", ";") + "".join(f"\nann;2025-06-01;{value}" for value in values)
    found = problem(tmp_path, write(tmp_path, text))
    assert "orders.csv: " in found and "may be a decimal or a thousand; set decimal" in found
    assert "sources.transactions" in found


def test_a_decimal_mark_that_is_set_is_not_guessed(tmp_path):
    assert amounts(tmp_path, ["1,234", "7"], decimal=",") == [Decimal("1.234"), 7]
    assert amounts(tmp_path, ["1,234", "7"], decimal=".") == [1234, 7]
    assert amounts(tmp_path, ["1.234", "7"], decimal=",") == [1234, 7]


@pytest.mark.parametrize("value", ["0,125", "1.234,567", "1234,567", "1.234.567", "1 234,567", "(0,125)", "1'234,5-"])
def test_one_value_can_settle_what_the_comma_is(tmp_path, value):
    assert amounts(tmp_path, [value, "2,345"])[1] == Decimal("2.345")


def test_what_is_no_number_is_rejected_with_its_line_and_value(tmp_path):
    values = ["5", "n/a", "1,2,3", "12.50.1", "$5", "1e400", "NaN", "99999999999999999"]
    engine = stage_for(tmp_path, HEADER.replace(",", ";") + "".join(f"\nann;2025-06-01;{v}" for v in values))
    rejected = engine.frame("summaries/rejected_rows")
    assert rejected[["line", "value"]].values.tolist() == [[i, v] for i, v in enumerate(values[1:], 3)]
    assert set(rejected["rule"]) == {"cannot be read"}


def test_money_is_rounded_once_half_away_from_zero(tmp_path):
    found = amounts(tmp_path, ["1.00005", "-1.00005", "1.00004999"])
    assert [str(value) for value in found] == ["1.0001", "-1.0001", "1.0000"]


def test_ids_that_became_floats_are_whole_again(tmp_path):
    found = rows(
        engine_for(tmp_path, f"{HEADER}\n17850.0,2025-06-01,5\n00042,2025-06-02,5\n1.50,2025-06-03,5\n"), "customer_id"
    )
    assert found == [("17850",), ("00042",), ("1.50",)]


def test_values_are_trimmed_and_empty_is_null(tmp_path):
    text = f"{HEADER},channel\n\u00a0ann \t,2025-06-01 , 5,  \n"
    found = rows(engine_for(tmp_path, text), "customer_id", "amount", "category", table="raw_transactions")
    assert found == [("ann", 5, None)]


# --- dates and zones --------------------------------------------------------------------------------------------


def moments(folder: Path, values: list[str], **how) -> list[datetime | None]:
    lines = [f"ann;{value};5" for value in values]
    engine = engine_for(folder, "\n".join([HEADER.replace(",", ";"), *lines]), **how)
    return [row[0] for row in rows(engine, "transacted_at")]


def test_iso_dates_with_and_without_time_and_offset(tmp_path):
    values = [
        "2025-06-01",
        "2025-06-01 10:30",
        "2025-06-01T10:30:05",
        "2025-06-01 10:30:00 UTC",
        "2025-06-01T10:30:00Z",
        "2025-06-01 10:30:00+02:00",
        "2025-06-01 10:30:00 +0200",
        "2025-06-01T10:30:00.250-0330",
        "2025-06-01 10:30:00+02",
    ]
    noon = at(2025, 6, 1, 10, 30)
    assert moments(tmp_path, values) == [
        at(2025, 6, 1),
        noon,
        at(2025, 6, 1, 10, 30, 5),
        noon,
        noon,
        at(2025, 6, 1, 8, 30),
        at(2025, 6, 1, 8, 30),
        at(2025, 6, 1, 14, 0, 0, 250_000),
        at(2025, 6, 1, 8, 30),
    ]


def test_compact_dates(tmp_path):
    assert moments(tmp_path, ["20250601", "20250630", "20250231"]) == [at(2025, 6, 1), at(2025, 6, 30), None]


@pytest.mark.parametrize("mark", ["/", ".", "-"])
def test_a_day_above_12_settles_the_order_of_day_and_month(tmp_path, mark):
    day_first = [value.replace("/", mark) for value in ("3/4/2025", "13/04/2025 17:05:09", "03/04/2025 5:05")]
    assert moments(tmp_path, day_first) == [at(2025, 4, 3), at(2025, 4, 13, 17, 5, 9), at(2025, 4, 3, 5, 5)]
    month_first = [value.replace("/", mark) for value in ("3/4/2025", "04/13/2025 5:05 PM", "03/04/2025 5:05:07 AM")]
    assert moments(tmp_path, month_first) == [at(2025, 3, 4), at(2025, 4, 13, 17, 5), at(2025, 3, 4, 5, 5, 7)]
    assert moments(tmp_path, ["12/13/2025".replace("/", mark)]) == [at(2025, 12, 13)]


@pytest.mark.parametrize(("values", "words"), [
    (["03/04/2025", "12/12/2025"], "'03/04/2025' may be day/month or month/day; set dayfirst"),
    (["01/01/2025", "13/04/2025", "04/14/2025"], "'13/04/2025' names the day first, '04/14/2025' the month; export"),
], ids=["no day", "both"])
def test_dates_that_may_be_read_both_ways_are_refused_with_the_remedy(tmp_path, values, words):
    text = HEADER + "".join(f"\nann,{value},5" for value in values)
    found = problem(tmp_path, write(tmp_path, text))
    assert f"orders.csv: {words}" in found
    assert "sources.transactions" in found


def test_one_column_of_dates_settles_the_order_for_the_others(tmp_path):
    text = f"{HEADER},service_start\nann,13/04/2025,5,03/04/2025\n"
    assert rows(engine_for(tmp_path, text), "service_start") == [(at(2025, 4, 3),)]


@pytest.mark.parametrize(("dayfirst", "expected"), [(True, at(2025, 4, 3)), (False, at(2025, 3, 4))])
def test_dayfirst_that_is_set_is_not_guessed(tmp_path, dayfirst, expected):
    assert moments(tmp_path, ["03/04/2025"], dayfirst=dayfirst) == [expected]


def test_days_that_do_not_exist_are_rejected(tmp_path):
    engine = stage_for(
        tmp_path, f"{HEADER}\nann,2025-06-01,5\nann,2025-06-31,5\nann,nonsense,5\nann,,5\nann,1969-12-31,5\n"
    )
    rejected = engine.frame("summaries/rejected_rows")
    assert rejected["rule"].tolist() == ["cannot be read", "cannot be read", "empty", "before 1970"]
    assert accounts(engine)["transactions"]["rejected"] == (4, 20)


def test_a_naive_time_is_in_the_zone_of_its_source_else_of_the_report(tmp_path):
    # midnight in New York on 1 July (UTC-4) is 04:00 UTC and 06:00 in Berlin
    assert moments(tmp_path, ["2025-06-30"], timezone="America/New_York") == [at(2025, 6, 30, 4)]
    assert moments(tmp_path, ["2025-06-30"], timezone="America/New_York", zone="Europe/Berlin") == [at(2025, 6, 30, 6)]
    assert moments(tmp_path, ["2025-06-30"], zone="Europe/Berlin") == [at(2025, 6, 30)]
    assert moments(tmp_path, ["2025-06-30 00:00:00Z"], zone="Europe/Berlin") == [at(2025, 6, 30, 2)]


def test_both_sides_of_a_change_of_the_clock(tmp_path):
    # Berlin changes at 01:00 UTC on 30 March 2025 from UTC+1 to UTC+2; Sao Paulo skipped midnight on 4 November 2018
    found = moments(tmp_path, ["2025-03-30 00:59:59Z", "2025-03-30 01:00:00Z"], zone="Europe/Berlin")
    assert found == [at(2025, 3, 30, 1, 59, 59), at(2025, 3, 30, 3)]
    # at UTC-3 the midnight that was skipped is 03:00 UTC, the same instant as 01:00 at UTC-2
    skipped = moments(tmp_path, ["2018-11-04", "2018-11-04 01:00:00"], timezone="America/Sao_Paulo", month="2018-11")
    assert skipped == [at(2018, 11, 4, 3), at(2018, 11, 4, 3)]


def test_the_month_ends_at_midnight_of_the_reports_zone(tmp_path):
    text = f"{HEADER}\nann,2025-06-30 21:59:59Z,1\nann,2025-06-30 22:00:00Z,2\n"  # 22:00 UTC is 1 July in Berlin
    assert [row[2] for row in kept(tmp_path, text, zone="Europe/Berlin")] == [1]
    assert [row[2] for row in kept(tmp_path, text)] == [1, 2]


def test_a_month_of_costs_may_be_written_without_a_day(tmp_path):
    text = "month,category,amount\n2025-05,cogs,10\n2025-06-01,cogs,20\n"
    found = rows(engine_for(tmp_path, text, "costs.csv", table="costs"), "month", "amount", table="staged_costs")
    assert found == [(at(2025, 5, 1), 10), (at(2025, 6, 1), 20)]


# --- files ------------------------------------------------------------------------------------------------------


def test_a_folder_and_a_glob_are_read_in_the_order_of_their_names(tmp_path):
    for name in ("b.csv", "a.csv", "c.txt", ".hidden.csv", "~$lock.csv"):
        write(tmp_path, f"{HEADER}\n{name},2025-06-01,5\n", f"in [1]/{name}")
    assert rows(staged(params_for(tmp_path, "in [1]")), "customer_id") == [("a.csv",), ("b.csv",), ("c.txt",)]
    write(tmp_path, f"{HEADER}\nz,2025-06-01,5\n", "in/z.csv")
    write(tmp_path, f"{HEADER}\ny,2025-06-01,5\n", "in/y.csv")
    names = [path.name for path in source_files(params_for(tmp_path, "*/?.csv"), "transactions")]
    assert names == ["y.csv", "z.csv", "a.csv", "b.csv"]


def test_a_glob_works_in_a_folder_whose_name_looks_like_one(tmp_path):
    (tmp_path / "books [2025]*").mkdir()
    write(tmp_path / "books [2025]*", f"{HEADER}\nann,2025-06-01,5\n")
    assert rows(staged(params_for(tmp_path / "books [2025]*", "ord*.csv")), "customer_id") == [("ann",)]


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path):
    for year in ("2024", "2025"):
        write(tmp_path, f"{HEADER}\nann,{year}-06-01,5\n", f"y{year}/orders.csv")
    engine = stage(params_for(tmp_path, "y*/orders.csv"))
    assert rows(engine, "file", "line") == [("y2024/orders.csv", 2), ("y2025/orders.csv", 2)]


def test_columns_of_two_files_may_stand_in_another_order(tmp_path):
    write(tmp_path, f"{HEADER}\nann,2025-06-01,10.50\n", "in/a.csv")
    write(tmp_path, "amount;customer_id;transacted_at\n-3,25;bob;2.6.2025\n7,00;bob;13.6.2025\n", "in/b.csv")
    found = rows(staged(params_for(tmp_path, "in")), *PLAIN)
    assert found == [*EXPECTED, ("bob", at(2025, 6, 13), 7)]


def test_a_package_is_found_without_being_imported(tmp_path, monkeypatch):
    write(tmp_path, "raise SystemExit('imported')", "shop_data/__init__.py")
    write(tmp_path, f"{HEADER}\nann,2025-06-01,5\n", "shop_data/orders.csv")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert len(rows(staged(params_for(tmp_path, "package://shop_data/orders.csv")), "line")) == 1
    assert "shop_data" not in sys.modules


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere.csv", "there is no file nowhere.csv (relative to book.yaml)"),
        ("in/*.parquet", "there is no file in/*.parquet"),
        ("package://no_such_package/x.csv", "the package no_such_package is not installed"),
        ("package://lifetimes/no.csv", "there is no file package://lifetimes/no.csv"),
        ("s3://bucket/x.csv", "s3:// is not read"),
        ("x" * 300, "there is no file"),
    ],
)
def test_a_file_that_is_not_there_is_told_with_the_key(tmp_path, path, words):
    found = problem(tmp_path, path)
    assert "sources.transactions.path" in found and words in found


def test_a_path_from_the_environment_is_not_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("WHERE", "hidden-place")
    found = problem(tmp_path, "${WHERE}/x.csv")
    assert "there is no file ${WHERE}/x.csv" in found and "hidden-place" not in found


def test_every_missing_column_of_every_file_is_told_with_the_nearest_name(tmp_path):
    write(tmp_path, "customer,transacted_at,amout\nann,2025-06-01,5\n", "in/a.csv")
    write(tmp_path, "x,y,z\nann,2025-06-01,5\n", "in/b.csv")
    found = problem(tmp_path, "in", columns={"product_id": "SKU", "quantity": 9}).splitlines()
    assert found[1:-1] == [
        "  - a.csv: column 'customer_id' is missing; did you mean customer?",
        "  - a.csv: column 'amount' is missing; did you mean amout?",
        "  - a.csv: column 'SKU' for product_id is missing; known: customer, transacted_at, amout",
        "  - a.csv: column 9 for quantity is missing; known: customer, transacted_at, amout",
        "  - b.csv: column 'customer_id' is missing; known: x, y, z",
        "  - b.csv: column 'transacted_at' is missing; known: x, y, z",
        "  - b.csv: column 'amount' is missing; known: x, y, z",
        "  - b.csv: column 'SKU' for product_id is missing; known: x, y, z",
        "  - b.csv: column 9 for quantity is missing; known: x, y, z",
    ]
    assert "sources.transactions" in found[-1]


@pytest.mark.parametrize("place", [0, -1, 4])
def test_a_position_that_is_not_there_is_a_missing_column(tmp_path, place):
    found = problem(tmp_path, write(tmp_path, f"{HEADER}\nann,2025-06-01,5\n"), columns={"amount": place})
    assert f"orders.csv: column {place} for amount is missing" in found


def test_a_name_that_stands_twice_in_the_header_is_refused_unless_a_position_is_given(tmp_path):
    text = "customer_id,transacted_at,amount,amount\nann,2025-06-01,1,10.50\nbob,2025-06-02,2,-3.25\n"
    assert "column 'amount' stands 2 times; give its position" in problem(tmp_path, write(tmp_path, text))
    assert kept(tmp_path, text, columns={"amount": 4}) == EXPECTED


def test_names_match_without_regard_to_case_unless_two_differ_in_nothing_else(tmp_path):
    assert (
        kept(tmp_path, "Customer_ID,TRANSACTED_AT, Amount \nann,2025-06-01,10.50\nbob,2025-06-02,-3.25\n") == EXPECTED
    )
    text = "customer_id,transacted_at,Amount,amount\nann,2025-06-01,1,10.50\nbob,2025-06-02,2,-3.25\n"
    assert kept(tmp_path, text) == EXPECTED


def test_one_column_of_the_file_may_serve_two_of_ours_and_the_rest_is_counted_as_ignored(tmp_path):
    text = "day,channel,amount,clicks,views\n2025-06-01,search,5,1,2\n"
    columns = {"period_start": "day", "period_end": "day"}
    params = params_for(tmp_path, write(tmp_path, text, "ads.csv"), table="marketing_spend", columns=columns)
    engine = stage(params)
    found = rows(engine, "period_start", "period_end", "amount", table="staged_marketing_spend")
    assert found == [(at(2025, 6, 1), at(2025, 6, 1), 5)]
    ignored = engine.table("source_files").filter("file = 'ads.csv'").select("ignored_columns").fetchall()
    assert ignored == [(2,)]


def test_of_two_bad_files_both_are_told_and_of_one_bad_table_the_other_too(tmp_path):
    write(tmp_path, f"{HEADER}\nann,03/04/2025,5\n", "in/a.csv")
    write(tmp_path, f"{HEADER}\nann,2025-06-01,5\n", "in/b.csv")
    write(tmp_path, "", "in/c.csv")
    write(tmp_path, "not a workbook", "in/d.xlsx")
    write(tmp_path, "PAR1 not really", "in/e.parquet")
    report = {"name": "book", "title": "Book", "month": "2025-06"}
    sources = {"transactions": {"path": "in"}, "customers": {"path": "nowhere.csv"}}
    (tmp_path / "book.yaml").write_text(yaml.safe_dump({"report": report, "sources": sources}))
    with pytest.raises(ReportError) as caught:
        stage(load_params(tmp_path / "book.yaml"))
    found = str(caught.value)
    assert all(f"  - {name}: " in found for name in ("a.csv", "c.csv", "d.xlsx", "e.parquet"))
    assert "b.csv" not in found and "has 4 problems" in found
    assert "sources.customers.path: there is no file nowhere.csv" in found


# --- Excel and Parquet ------------------------------------------------------------------------------------------


def workbook(path: Path, sheets: dict[str, list[list]]) -> str:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, cells in sheets.items():
        sheet = book.create_sheet(title)
        for row in cells:
            sheet.append(row)
    book.save(path)
    return path.name


CELLS = [
    ["Customer ID", "When", "Amount", "product_id"],
    [17850, datetime(2025, 6, 1, 9, 30), 10.5, None],
    [17850.0, date(2025, 6, 2), 1234.125, 536365.0],
    ["00042", datetime(2025, 6, 3), -3, 85048],
    ["text", "2025-06-04", "7.25", 1.5],
]
EXCEL_COLUMNS = {"customer_id": "Customer ID", "transacted_at": "When"}


def test_excel_dates_ids_and_numbers_arrive_as_written(tmp_path):
    name = workbook(tmp_path / "orders.xlsx", {"Orders": CELLS})
    assert rows(staged(params_for(tmp_path, name, columns=EXCEL_COLUMNS)), *PLAIN, "product_id") == [
        ("17850", at(2025, 6, 1, 9, 30), Decimal("10.5"), None),
        ("17850", at(2025, 6, 2), Decimal("1234.125"), "536365"),
        ("00042", at(2025, 6, 3), -3, "85048"),
        ("text", at(2025, 6, 4), Decimal("7.25"), "1.5"),
    ]


def test_excel_numbers_are_no_texts_with_a_decimal_comma(tmp_path):
    name = workbook(
        tmp_path / "orders.xlsx",
        {"Orders": [list(PLAIN), ["ann", date(2025, 6, 1), 1.234], ["b", date(2025, 6, 1), "1,5"]]},
    )
    assert [row[0] for row in rows(staged(params_for(tmp_path, name, decimal=",")), "amount")] == [
        Decimal("1.234"),
        Decimal("1.5"),
    ]


@pytest.mark.parametrize("words", [["7"], ["1,5"], ["1.5", "2,345.5"]], ids=["plain", "comma", "point"])
def test_a_number_of_a_sheet_needs_no_decimal_mark(tmp_path, words):
    """1.0850 and 45810.5 are typed: no text beside them, in their column or another, makes them 10,850 or no day."""
    lines = [["ann", 45810.5, 1.085], *(["bob", date(2025, 6, 2), word] for word in words)]
    name = workbook(tmp_path / "orders.xlsx", {"Orders": [list(PLAIN), *lines]})
    assert rows(staged(params_for(tmp_path, name)), *PLAIN)[0] == ("ann", at(2025, 6, 2, 12), Decimal("1.085"))


def test_a_text_of_a_sheet_that_may_be_read_two_ways_is_refused(tmp_path):
    lines = [["ann", date(2025, 6, 1), 10.5], ["bob", date(2025, 6, 2), "1,234"]]
    name = workbook(tmp_path / "orders.xlsx", {"Orders": [list(PLAIN), *lines]})
    assert "'1,234' may be a decimal or a thousand; set decimal" in problem(tmp_path, name)


def test_errors_of_a_sheet_are_no_empty_cells(tmp_path):
    lines = [[*PLAIN, "service_end", "transaction_id", "category"], ["ann", date(2025, 6, 1), "#DIV/0!", None, "T1", "x"],
             ["#NUM!", date(2025, 6, 2), 2.5, None, "T2", "#N/A"], ["bob", date(2025, 6, 3), 3.5, "#REF!", "T3", "y"],
             ["cy", date(2025, 6, 3), 3.5, None, "#N/A", "y"], [None, None, "#REF!"]]
    name = workbook(tmp_path / "orders.xlsx", {"Notes": [["#REF!"]], "Orders": lines})
    found = rows(staged(params_for(tmp_path, name, sheet="Orders")), "customer_id", "category", "stage", "rule_column", "rule_value")
    assert found == [("ann", "x", "rejected", "amount", "#DIV/0!"), (None, None, "kept", None, None),
                     ("bob", "y", "rejected", "service_end", "#REF!"), ("cy", "y", "rejected", "transaction_id", "#N/A")]


CELL = {
    "formula of two lines": '<c r="C2" t="e"><f>IF(A1,\n1/0)</f><v>#REF!</v></c>', "no place": '<c t="e"><v>#REF!</v></c>',
    "another quote": "<c r='C2' t='e'><v>#REF!</v></c>", "blanks": '<c\tr = "C2"\n t = "e" ><v xml:space="preserve">#REF! </v></c>',
    "style": '<c t="e" s="3" r="C2"><f>1/0</f><v>#REF!</v></c>'}


@pytest.mark.parametrize("cell", CELL.values(), ids=CELL)
@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl\\Worksheets\\Sheet1.xml"])
def test_an_error_is_found_however_a_sheet_writes_it(tmp_path, cell, part):
    name = workbook(tmp_path / "a.xlsx", {"Orders": [[*PLAIN], ["ann", date(2025, 6, 1), 77]]})
    with zipfile.ZipFile(tmp_path / name) as old, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as new:
        for member in old.namelist():
            text = old.read(member)
            if member.endswith("sheet1.xml"):
                text = re.sub(rb'<c r="C2".*?</c>', lambda _: cell.encode(), text)
            new.writestr(part if member.endswith("sheet1.xml") else member, text)
    assert excel.cell_errors(tmp_path / "b.xlsx", "Orders") == {(1, 2): "#REF!"}


def test_where_a_sheet_is_not_found_its_errors_are_not_known(tmp_path):
    (tmp_path / "a.xls").write_bytes(b"no archive")
    with zipfile.ZipFile(tmp_path / "a.ods", "w") as made:
        made.writestr("content.xml", "<a/>")
    assert excel.cell_errors(tmp_path / "a.xls", "Orders") == excel.cell_errors(tmp_path / "a.ods", "Orders") == {}


def test_days_that_a_sheet_holds_as_numbers_are_read(tmp_path):
    name = workbook(tmp_path / "orders.xlsx", {"Orders": [[*PLAIN], ["ann", 20250601, 5], ["bob", 20250615, 6.5]]})
    assert [row[0] for row in rows(staged(params_for(tmp_path, name)), "transacted_at")] == [at(2025, 6, 1), at(2025, 6, 15)]


def test_excel_sheets_are_chosen_by_name_else_the_first(tmp_path):
    other = [list(PLAIN), ["bob", date(2025, 6, 2), 2]]
    name = workbook(
        tmp_path / "orders.xlsx", {"First": [list(PLAIN), ["ann", date(2025, 6, 1), 1]], "Other": other, "Bare": []}
    )
    assert rows(staged(params_for(tmp_path, name)), "customer_id") == [("ann",)]
    assert rows(staged(params_for(tmp_path, name, sheet="Other")), "customer_id") == [("bob",)]
    assert "orders.xlsx: there is no sheet 'Othr'; did you mean Other?" in problem(tmp_path, name, sheet="Othr")
    assert "orders.xlsx: the sheet 'Bare' is empty" in problem(tmp_path, name, sheet="Bare")


def test_excel_without_header_and_with_empty_rows(tmp_path):
    cells = [["ann", date(2025, 6, 1), 10.5], [None, None, None], ["bob", date(2025, 6, 2), -3.25]]
    name = workbook(tmp_path / "orders.xlsx", {"Orders": cells})
    columns = {"customer_id": 1, "transacted_at": 2, "amount": 3}
    assert rows(staged(params_for(tmp_path, name, header=False, columns=columns)), *PLAIN) == EXPECTED


def parquet(path: Path, **columns) -> str:
    pq.write_table(pa.table(columns), path)
    return path.name


def test_parquet_keeps_its_types(tmp_path):
    name = parquet(
        tmp_path / "orders.parquet",
        customer_id=pa.array([17850.0, float("nan"), None]),
        transacted_at=pa.array([datetime(2025, 6, 1, 10, tzinfo=UTC)] * 3, pa.timestamp("us", tz="America/New_York")),
        amount=pa.array([Decimal("10.5000"), Decimal("1.2340"), Decimal("-3.2500")], pa.decimal128(18, 4)),
        quantity=pa.array([1.125, 2.0, 3.0]),
        service_start=pa.array([date(2025, 6, 1)] * 3),
    )
    found = rows(staged(params_for(tmp_path, name)), *PLAIN, "quantity", "service_start")
    ten, day = at(2025, 6, 1, 10), at(2025, 6, 1)
    assert found == [
        ("17850", ten, Decimal("10.5"), Decimal("1.125"), day),
        (None, ten, Decimal("1.234"), 2, day),
        (None, ten, Decimal("-3.25"), 3, day),
    ]


def test_a_zoned_parquet_time_is_an_instant_whatever_the_zone_of_source_and_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    stamp = pa.array([datetime(2025, 6, 1, 10, tzinfo=UTC)], pa.timestamp("us", tz="UTC"))
    name = parquet(tmp_path / "orders.parquet", customer_id=["ann"], transacted_at=stamp, amount=[5.0])
    found = rows(staged(params_for(tmp_path, name, timezone="Asia/Kolkata", zone="Europe/Berlin")), "transacted_at")
    assert found == [(at(2025, 6, 1, 12),)]


@pytest.mark.parametrize("written", ["2025-06-01T00:00:00Z", "2025-06-01 00:00:00+00", "2025-06-01T00:00:00.000+05:30", "2025-06-01"])
def test_a_day_of_a_calendar_is_the_day_that_is_written(tmp_path, written):
    text = f"period_start,period_end,channel,amount\n{written},{written.replace('-01', '-30', 1)},ads,5\n"
    engine = engine_for(tmp_path, text, "spend.csv", table="marketing_spend", zone="America/New_York")
    assert rows(engine, "period_start", "period_end", table="staged_marketing_spend") == [(at(2025, 6, 1), at(2025, 6, 30))]


@pytest.mark.parametrize(("hour", "zone"), [(0, None), (4, None), (0, "UTC"), (15, "Asia/Tokyo")])
def test_a_day_that_parquet_holds_as_an_instant_is_the_one_that_begins_at_it(tmp_path, hour, zone):
    """Midnight in UTC, or in the zone of its source: 4 h in New York, the report's, 15 h of the day before in Tokyo."""
    stamp = pa.array([datetime(2025, 5 if hour == 15 else 6, 31 if hour == 15 else 1, hour, tzinfo=UTC)], pa.timestamp("us", tz="UTC"))
    name = parquet(tmp_path / "costs.parquet", month=stamp, category=["cogs"], amount=[5.0])
    how = {"timezone": zone} if zone else {}
    engine = staged(params_for(tmp_path, name, table="costs", zone="America/New_York", **how))
    assert rows(engine, "month", table="staged_costs") == [(at(2025, 6, 1),)]


@pytest.mark.parametrize("word", ["NULL", "null", "nan", "NaN", "None", "NaT", "N/A", "n/a", "NA", "\\N", "<NA>"])
def test_a_word_for_an_empty_cell_is_one(tmp_path, word):
    text = f"{HEADER},product_id,service_end\n{word},2025-06-01,1,p,{word}\nann,2025-06-02,{word},{word},\n"
    found = rows(engine_for(tmp_path, text), *PLAIN[::2], "product_id", "service_end", "rule")
    assert found == [(None, 1, "p", None, None), ("ann", None, word, None, "cannot be read")]


def test_instants_of_parquet_may_tell_nanoseconds(tmp_path):
    stamp = pa.array([datetime(2025, 6, 1, 10, tzinfo=UTC)], pa.timestamp("ns", tz="UTC"))
    name = parquet(tmp_path / "orders.parquet", customer_id=["ann"], transacted_at=stamp, amount=[5.0])
    assert rows(staged(params_for(tmp_path, name, zone="Europe/Berlin")), "transacted_at") == [(at(2025, 6, 1, 12),)]


def test_a_word_for_nothing_joins_no_orders_and_is_no_currency(tmp_path):
    text = f"{HEADER},transaction_id,currency,type\nann,2025-06-01,1,NULL,\\N,NULL\nbob,2025-06-01,2,NULL,USD,sale\n"
    found = rows(engine_for(tmp_path, text), "stage", "transaction_id", "currency", "type")
    assert [row[0] for row in found] == ["kept", "kept"] and found[0][1] != found[1][1]
    assert [row[2:] for row in found] == [("USD", "sale"), ("USD", "sale")]


def test_text_in_parquet_is_read_as_in_csv(tmp_path):
    name = parquet(
        tmp_path / "o.parquet",
        customer_id=["ann", " "],
        transacted_at=["13/06/2025", "1/6/2025"],
        amount=["1,5", "1.234,5"],
    )
    found = rows(staged(params_for(tmp_path, name)), *PLAIN)
    assert found == [("ann", at(2025, 6, 13), Decimal("1.5")), (None, at(2025, 6, 1), Decimal("1234.5"))]


# --- every row is accounted for ---------------------------------------------------------------------------------

DIRT = {
    "customer_id": ["ann", "bob", "17850.0", "", " ", "'; --"],
    "transacted_at": [
        "2025-06-01",
        "2025-05-31 23:59:59",
        "2025-07-01",
        "2031-01-01",
        "1960-01-01",
        "",
        "x",
        "2025-02-30",
    ],
    "amount": ["10.00", "-2.50", "0", "", "abc", "1,234.56", "1e3", "0.00005", "99999999999999999"],
    "type": ["sale", "refund", "adjustment", "SALE", "", "gift"],
    "status": ["paid", "failed", "", "open"],
    "currency": ["USD", "usd", ""],
    "line_no": ["1", "2", "", "x"],
    "transaction_id": ["T1", "T2", "T3", ""],
    "discount": ["0", "", "1.00", "?"],
}


@pytest.mark.parametrize("seed", range(4))
def test_of_a_dirty_file_read_is_kept_and_rejected_and_after_as_of(tmp_path, seed):
    chance = random.Random(seed)
    names = list(DIRT)
    chance.shuffle(names)
    made = [{name: chance.choice(DIRT[name]) for name in names} for _ in range(300)]
    made[0] |= {
        "transacted_at": "2025-06-01",
        "amount": "10.00",
        "type": "sale",
        "status": "paid",
        "discount": "0",
        "line_no": "",
    }
    lines = [",".join(f'"{row[name]}"' for name in names) for row in made]
    stages = accounts(stage_for(tmp_path, "\n".join([",".join(names), *lines])))["transactions"]
    # an independent count of what can be read at all: python's own decimals
    money = {
        "": 0,
        "abc": 0,
        "1,234.56": Decimal("1234.56"),
        "1e3": 1000,
        "0.00005": Decimal("0.0001"),
        "99999999999999999": 0,
    }
    total = sum(Decimal(money.get(row["amount"], row["amount"])) for row in made)
    assert stages["read"] == (300, pytest.approx(float(total), abs=1e-9))
    # whatever else is wrong with a row from the time after the month, it is not this report's to judge
    late = [row for row in made if row["transacted_at"] in ("2025-07-01", "2031-01-01")]
    assert stages["after_as_of"][0] == len(late)
    assert 0 < stages["kept"][0] < 300 and stages["rejected"][0] > 0


SUBSCRIPTION_DIRT = {
    "subscription_id": ["S1", "S2", "S3", "S4", ""],
    "customer_id": ["ann", "bob", ""],
    "plan_id": ["basic", "pro", ""],
    "unit_amount": ["10", "20.05", "-1", "", "x"],
    "interval": ["month", "YEAR", "fortnight", ""],
    "started_at": ["2025-01-01", "2025-06-30", "2025-07-01", "1950-01-01", "", "x"],
    "ended_at": ["", "2025-06-15", "2024-01-01", "x"],
    "quantity": ["1", "", "-1", "x"],
    "valid_from": ["", "2025-03-01", "2025-08-01", "x"],
}


@pytest.mark.parametrize("seed", range(3))
def test_of_dirty_subscriptions_every_row_is_accounted_for(tmp_path, seed):
    chance = random.Random(seed)
    made = [[chance.choice(values) for values in SUBSCRIPTION_DIRT.values()] for _ in range(400)]
    text = "\n".join([",".join(SUBSCRIPTION_DIRT), *map(",".join, made)])
    stages = accounts(stage_for(tmp_path, text, "subs.csv", table="subscriptions"))["subscriptions"]
    counted = {stage: count for stage, (count, money) in stages.items()}
    assert counted.pop("read") == 400 == sum(counted.values()) and min(counted["kept"], counted["rejected"]) > 0


def test_a_table_that_is_not_given_is_there_and_empty(tmp_path):
    engine = stage_for(tmp_path, f"{HEADER}\nann,2025-06-01,5\n")
    assert rows(engine, "plan_id", "line", table="raw_plans") == []
    assert accounts(engine).keys() == {"transactions"}


def test_a_file_that_is_read_through_a_copy_outlives_it(tmp_path):
    engine = engine_for(tmp_path, f"{HEADER}\nJosé,2025-06-01,5\n".encode("latin-1"))
    (tmp_path / "orders.csv").unlink()
    assert rows(engine, "customer_id", table="raw_transactions") == [("José",)]


# --- what another month of the call has read --------------------------------------------------------------------


def taken(folder: Path, params) -> list[tuple]:
    """Whether each file of transactions was taken as another month read it, and the rows, in a run of its own."""
    engine = Engine(folder)
    settings(engine, params)
    files = read_source(engine, params, "transactions")
    found = engine.table("raw_transactions").order("file, line").select(*PLAIN, "misread_value", "file", "line").fetchall()
    return [[file.shared for file in files], found]


@pytest.fixture
def call(tmp_path):
    """A book of two files, and the folder of a run that belongs to a call of many months."""
    write(tmp_path, f"{HEADER}\nann,2025-06-01,10.50\n\nbob,2025-06-02,x\n", "in/a.csv")
    write(tmp_path, f"{HEADER}\nzoë,2025-06-01,3\n", "in/b.csv")
    (tmp_path / "run" / READ).mkdir(parents=True)
    return tmp_path / "run", params_for(tmp_path, "in")


def test_a_month_takes_what_another_month_of_its_call_has_read(call):
    first, second = taken(*call), taken(*call)
    assert (first[0], second[0]) == ([False, False], [True, True]) and first[1] == second[1]
    assert first[1][1] == ("bob", at(2025, 6, 2), None, "x", "a.csv", 4)


def test_what_was_read_with_other_settings_is_not_taken(call, tmp_path):
    taken(*call)
    assert taken(call[0], params_for(tmp_path, "in", zone="Asia/Tokyo"))[0] == [False, False]
    assert taken(call[0], params_for(tmp_path, "in", month="2025-07"))[0] == [True, True]
    assert taken(call[0], params_for(tmp_path, "in", dayfirst=True))[0] == [False, False]
    with_dimension = call[1].model_copy(update={"dimensions": ["shop"]})
    assert taken(call[0], with_dimension)[0] == [False, False]


def test_a_file_that_is_put_in_the_place_of_another_is_read_though_size_and_time_are_the_same(call, tmp_path):
    taken(*call)
    old, new = tmp_path / "in" / "b.csv", tmp_path / "new"
    new.write_bytes(old.read_bytes().replace(b",3", b",4"))
    os.utime(new, ns=(old.stat().st_atime_ns, old.stat().st_mtime_ns))
    new.replace(old)
    shared, found = taken(*call)
    assert shared == [True, False] and found[2][2] == 4


@pytest.mark.parametrize("file", ["rows.parquet", "file.json"])
def test_what_is_damaged_is_read_anew(call, file):
    first = taken(*call)
    for path in (call[0] / READ).glob(f"*/{file}"):
        path.write_bytes(path.read_bytes()[:9])
    assert taken(*call) == first


def test_a_disk_that_refuses_to_share_costs_time_alone(call, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    first = taken(*call)
    monkeypatch.setattr(os, "link", full)
    assert taken(*call) == first
    shutil.rmtree(call[0] / READ)
    (call[0] / READ).mkdir()
    assert taken(*call) == first


def test_a_file_that_is_changed_while_it_is_read_is_not_kept(call, monkeypatch):
    def changed(path, *given):
        path.write_bytes(path.read_bytes() + b"cat,2025-06-03,1\n")
        return was(path, *given)

    was = sniff.shape_of
    monkeypatch.setattr("helpers.sources.text.shape_of", changed)
    taken(*call)
    assert not [path for path in (call[0] / READ).iterdir() if not path.name.startswith("tmp")]


def test_all_months_see_the_rows_that_were_read_first(call, monkeypatch):
    """Two months may read at once, the second while a query answers with other rows."""
    def late(*given):
        monkeypatch.setattr(read, "open_file", was)
        others.extend(taken(*call))
        return was(*given)

    was, others = read.open_file, []
    monkeypatch.setattr(read, "open_file", late)
    shared, found = taken(*call)
    assert shared == [True, True] and others == [[False, False], found]


def test_no_secret_is_in_the_name_of_what_was_read(tmp_path, monkeypatch, call):
    terms = {"url": "${WAREHOUSE}", "query": "select '${TOKEN}' as customer_id"}
    names = []
    for secret in ("one", "two"):
        monkeypatch.setenv("WAREHOUSE", f"duckdb:////{secret}.duckdb")
        monkeypatch.setenv("TOKEN", secret)
        report = {"name": "book", "title": "Book", "month": "2025-06"}
        (tmp_path / "book.yaml").write_text(yaml.safe_dump({"report": report, "sources": {"transactions": terms}}))
        names.append(read.key_of(Engine(call[0]), load_params(tmp_path / "book.yaml"), "transactions", Path("duckdb query")))
    assert names[0] == names[1]
