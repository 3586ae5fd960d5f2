"""When no honest report is possible: what a book holds is judged row by row, and stops the run where too much is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from helpers.contracts import BOOKS, CARRIERS, MEMBERS, TABLES, TIME, ReportError
from helpers.engine import Engine
from helpers.settings import Params, nearest
from helpers.sources import SourceFile

SIGNED = {"costs": "category", "marketing_spend": "channel"}  # tables whose money is above zero, and by what


def refuse(engine: Engine, params: Params, files: Sequence[SourceFile]) -> None:
    """Look at what `staged_…` and `staged_rows` hold. Raises ReportError."""
    no_group(engine, params, files)
    first = engine.frame("staging/first_rejected")
    mixed_dates(files, first)
    other_currencies(params, first)
    below_zero(engine)
    nothing_left(engine, params, files, first)


def no_group(engine: Engine, params: Params, files: Sequence[SourceFile]) -> None:
    """Raises ReportError for dimensions that no file holds, or that have too many members to be groups."""
    held = [file for file in files if file.table in CARRIERS]
    others, known = [name for file in held for name in file.others], {name for file in held for name in file.columns}
    found = [f"'{name}' is no column of the files of {' or '.join(of for of in CARRIERS if of in params.sources)}"
             f"{nearest(name, others) if others else ''}" for name in params.dimensions if name not in known]
    remedy = "Name them as the file does, or say under sources.<table>.columns which columns of it they are."
    if not found and params.dimensions:
        engine.define("told", "staging/told", dimensions=params.dimensions, tables=CARRIERS)
        counts = engine.frame("staging/members")
        found = [f"'{row.dimension}' has {row.members:,} members, more than {MEMBERS}"
                 for row in counts[counts["members"] > MEMBERS].itertuples()]
        remedy = "Name a column of groups instead, as regions for shops."
    if found:
        raise ReportError("dimensions", found, remedy)


def mixed_dates(files: Sequence[SourceFile], first: pd.DataFrame) -> None:
    """Raises ReportError where dates that were rejected name day and month in the other order than their file's first."""
    guessed = {(file.table, file.name): "day" if file.dayfirst else "month" for file in files if file.dayfirst is not None}
    rows = first[(first["rule"] == "cannot be read") & first["kind"].notna()]
    found = [f"{row.table}: {at(row)}: {row.value!r} names the {named} first, the first dates of the file the {order}"
             for row in rows.itertuples() if TABLES[row.table].columns.get(row.column) == TIME
             for order in [guessed.get((row.table, row.file))] for named in [row.kind.partition(" ")[0]]
             if order not in (None, named)]
    if found:
        remedy = "Rows beside them may be read as another month. Export dates as 2025-06-13, or set dayfirst of the source: " \
                 "then rows that do not fit are rejected."
        raise ReportError("Dates stand in two orders, which", few(found), remedy)


def other_currencies(params: Params, first: pd.DataFrame) -> None:
    """Raises ReportError where rows are in another currency than the report's, and no rates are given."""
    foreign = first[first["rule"] == "other currency than the report"]
    if foreign.empty:
        return
    found = [f"{row.table}: {counted(row.rows)} in {row.value}, the first {at(row)}" for row in foreign.itertuples()]
    ours, told = params.report.currency, sorted({str(value) for value in foreign["value"]})
    remedy = f"The report is in {ours}: give fx_rates of {', '.join(few(told))} to {ours}, or leave these rows out"
    remedy += f"; or, if all is {told[0]}, set report.currency to it." if len(told) == 1 else "."
    raise ReportError("The sources hold two currencies and no rate, which", few(found), remedy)


def below_zero(engine: Engine) -> None:
    """Raises ReportError for costs or spend that are below zero in all: written with a minus, they would count as none."""
    found = []
    for table, member in SIGNED.items():
        for row in engine.frame("staging/below_zero", table=table, member=member).itertuples():
            found.append(f"{table}: {member} {row.member}: {row.amount:,.2f} in {counted(row.rows)}, the first {at(row)}")
    if found:
        remedy = "Write costs and spend without a minus. A credit may have one, where the costs that it lowers are given, too."
        raise ReportError("Costs are below zero in all, which", few(found), remedy)


def nothing_left(engine: Engine, params: Params, files: Sequence[SourceFile], first: pd.DataFrame) -> None:
    """Raises ReportError where neither a sale nor a subscription is kept."""
    rows = engine.frame("summaries/rows")
    rows = rows[rows["table"].isin(BOOKS) & (rows["rows"] > 0)]
    if (rows["stage"] == "kept").any():
        return
    found = [f"{row.table}: {counted(row.rows)} after the month" for row in rows[rows["stage"] == "after_as_of"].itertuples()]
    found += [f"{row.table}: {counted(row.rows)}: {row.rule} ({row.column}), the first {at(row)}"
              f"{'' if pd.isna(row.value) else f': {row.value!r}'}" for row in first[first["table"].isin(BOOKS)].itertuples()]
    found = found or [f"{file.table}: {file.name} holds no row" for file in files if file.table in BOOKS]
    remedy = "Mend these rows, say under sources how files write them (columns, decimal, dayfirst), or report a later month."
    raise ReportError(f"No row is left before {params.as_of}: there is nothing to report, and the book", found, remedy)


def counted(rows: float) -> str:
    return f"{int(rows):,} {'row' if rows == 1 else 'rows'}"


def few(found: Sequence[str]) -> list[str]:
    """The first five, and how many more there are."""
    return [*found[:5], *([f"{len(found) - 5:,} more"] if len(found) > 5 else [])]


def at(row: tuple) -> str:
    return f"{row.file} line {row.line}"
