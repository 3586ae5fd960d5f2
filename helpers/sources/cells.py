"""Cells of a file, text or typed -> values in canonical columns and types, the first misread one of each row beside them."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from helpers.contracts import COUNT, FLAG, TEXT, TIME, Table
from helpers.settings import Source
from helpers.sources.sniff import NUMBERS, SAMPLE_LINES, guess_dates, guess_dayfirst, guess_decimal

Col, Const, Call = duckdb.ColumnExpression, duckdb.ConstantExpression, duckdb.FunctionExpression
Rows, Expression = duckdb.DuckDBPyRelation, duckdb.Expression
Opened = tuple[Rows, list[str], int]  # rows, their columns' names in the file, lines before them
LINE = "file_row_number"  # of what stands below the lines before, from 0; so DuckDB calls it in a Parquet file
TYPED = "kinds of the cells"  # a column of marks beside the columns of a sheet
DAYS = ("month", "period_start", "period_end", "date")  # days of a calendar, the same in every zone
BARE = ("currency", "transaction_id")  # columns of text, besides keys, in which a word for nothing is none
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")


@dataclass(frozen=True)
class Notation:
    """How a file writes numbers and dates."""

    decimal: str
    dates: list[str]  # strptime formats of those that are not ISO
    dayfirst: bool | None  # None where all dates are ISO


def notation(rows: Rows, contract: Table, places: dict[str, int], source: Source) -> Notation:
    """As the source has it, else as the first rows look. Raises ValueError where they may be read in two ways."""
    seen = sample(rows)
    written = sample(rows, written=True) if TYPED in rows.columns else seen

    def texts(values: list[list[str]], kinds: Sequence[str]) -> list[str]:
        return [text for column, i in places.items() if str(rows.types[i]) == "VARCHAR" and contract.columns[column] in kinds
                for text in values[i]]

    days = texts(seen, (TIME,))
    dayfirst = guess_dayfirst(days) if source.dayfirst is None else source.dayfirst
    return Notation(source.decimal or guess_decimal(texts(written, NUMBERS)), guess_dates(days, dayfirst), dayfirst)


def sample(rows: Rows, written: bool = False) -> list[list[str]]:
    """The first values of every column, as text, empty ones left out; those that were `written`: not a sheet's numbers."""
    cells = rows.select(*[Col(name).cast("VARCHAR") for name in rows.columns]).limit(SAMPLE_LINES).fetchall()
    typed = rows.columns.index(TYPED) if written and TYPED in rows.columns else None
    return [[row[i].strip() for row in cells if row[i] and row[i].strip() and (typed is None or row[typed][i:i + 1] == "0")]
            for i in range(len(rows.columns))]


def canonical(rows: Rows, contract: Table, places: dict[str, int], how: Notation, zone: str, report_zone: str) -> Rows:
    """Rows in canonical columns and types, the first misread cell beside them, and Parquet's own number of a row."""
    kinds = [str(kind) for kind in rows.types]
    texts, values, unread = [], [], []
    for column, i in places.items():  # text is trimmed once; of what is typed, text is made only where it is asked for
        cell = Col(rows.columns[i])
        texts.append((Call("as_text", cell) if kinds[i] == "VARCHAR" else cell).alias(f"{column} cell"))
    texts += [Col(TYPED)] if TYPED in rows.columns else []
    for column, kind in contract.columns.items():
        value = Const(None)
        if column in places:
            was, cell = kinds[places[column]], Col(f"{column} cell")
            text = cell if was == "VARCHAR" else cell.cast("VARCHAR")
            zones = Const(report_zone if column in DAYS else zone), Const(report_zone)
            number = Call("as_number", text, Const(number_pattern(how.decimal)), Const(how.decimal))
            mark = Call("substr", Col(TYPED), Const(places[column] + 1), Const(1)) if TYPED in rows.columns else Const("")
            if TYPED in rows.columns:
                number = duckdb.CaseExpression(mark == Const("1"), text).otherwise(number)
            if was in ("FLOAT", "DOUBLE"):
                text = Call("nullif", text, Const("nan"))
            if was == "TIMESTAMPTZ_NS":  # as pandas writes it
                cell, was = cell.cast("TIMESTAMPTZ"), "TIMESTAMP WITH TIME ZONE"
            if column in DAYS and was == "TIMESTAMP WITH TIME ZONE":
                value = Call("calendar_day", duckdb.CaseExpression(Call("isfinite", cell), cell), Const(zone))
            elif kind == TIME and was.startswith(("TIMESTAMP", "DATE")):
                value = in_zone(duckdb.CaseExpression(Call("isfinite", cell), cell), *zones, was)
            elif kind == TIME and was == "VARCHAR":
                known = how.dates + ["%Y-%m"] * (column == "month")
                day = Call("without_offset", text) if column in DAYS else text
                value = in_zone(Call("as_naive", day, Call("list_value", *map(Const, known or ["%Y-%m-%d"]))), *zones)
                value = duckdb.CoalesceOperator(value, Call("as_time", day, *zones))
            elif kind == COUNT:
                value = Call("as_whole", number)
            elif kind in NUMBERS and was == "VARCHAR":
                value = number
            elif kind in NUMBERS:
                value = cell if was.startswith(("DECIMAL", *INTEGERS)) else text
            elif kind == FLAG:
                value = Call("as_flag", text)
            else:
                whole = column in contract.people or (column in contract.dimensions and was in ("FLOAT", "DOUBLE"))
                value = Call("as_id", text) if whole else text
                if column in contract.key or column in contract.accepted or column in BARE:
                    value = duckdb.CaseExpression(Call("is_filled", text), value)
                if TYPED in rows.columns:  # an error is no text; a row that would be joined by it cannot be read
                    value = duckdb.CaseExpression(mark != Const("e"), value)
                    if column in contract.key and column not in contract.people or column in BARE:
                        unread.append((mark == Const("e"), column, text))
            value = value.try_cast(kind)
            if kind != TEXT:
                known = text.isnotnull() if column in contract.required else Call("is_filled", text)
                unread.append((cell.isnotnull() & value.isnull() & known, column, text))
        values.append(value.cast(kind).alias(column))
    wrong, value = duckdb.CaseExpression(Const(False), Const("")), duckdb.CaseExpression(Const(False), Const(""))
    for broken, column, text in unread:
        wrong, value = wrong.when(broken, Const(column)), value.when(broken, text)
    misread = [wrong.alias("misread"), value.alias("misread_value")]
    number = [Col(LINE)] if LINE in rows.columns else []
    return rows.select(*texts, *number).select(*values, *misread, *number)


def in_zone(moment: Expression, zone: Expression, report_zone: Expression, was: str = "") -> Expression:
    """A moment in the report's zone: an instant as it is, any other as the clock of its source's zone."""
    if was != "TIMESTAMP WITH TIME ZONE":
        if str(zone) == str(report_zone):
            return moment
        moment = Call("timezone", zone, moment.cast("TIMESTAMP"))
    return Call("timezone", report_zone, moment)


def number_pattern(decimal: str) -> str:
    """What a number looks like whose thousands are parted by the other mark, a blank or an apostrophe."""
    thousands = ",.".strip(decimal) + " '\u00a0\u202f\u2009"
    return rf"^[+-]?[0-9]{{1,3}}([{thousands}][0-9]{{3}})*([{decimal}][0-9]+)?$|^[+-]?[0-9]*[{decimal}][0-9]+$"
