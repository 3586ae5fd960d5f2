"""Files of a source -> one relation of text in canonical columns, with file, line and time zone of every row."""

from __future__ import annotations

import glob
import importlib.util
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from pathlib import Path

import duckdb
import pandas as pd
from duckdb import CaseExpression as Case
from duckdb import ColumnExpression as Col
from duckdb import ConstantExpression as Const
from duckdb import Expression
from duckdb import FunctionExpression as Call
from python_calamine import load_workbook

from helpers.contracts import COUNT, MONEY, RATE, TABLES, TIME, ReportError
from helpers.engine import Engine
from helpers.params import Params, Source, nearest
from helpers.sources.sniff import fingerprint, guess_dates, guess_decimal, shape_of

EXCEL = {".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"}
GROUPED = {  # numbers with thousands separators, by decimal mark
    ".": r"^[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?$",
    ",": r"^[+-]?[0-9]{1,3}(\.[0-9]{3})*(,[0-9]+)?$|^[+-]?[0-9]+,[0-9]+$",
}


@dataclass(frozen=True)
class SourceFile:
    """One file that was read: for the manifest and for the page."""

    table: str
    path: Path
    sha256: str
    encoding: str
    ignored_columns: int = 0


def source_files(params: Params, table: str) -> list[Path]:
    """The files of a source, sorted by name. Raises ReportError where there is none."""
    source = params.sources[table]
    where = f"sources.{table}.path"
    if source.path.startswith("package://"):
        package, _, inner = source.path.removeprefix("package://").partition("/")
        spec = importlib.util.find_spec(package) if package.isidentifier() else None  # finds, does not import
        if spec is None or not spec.submodule_search_locations:
            remedy = "The packages of the examples come with: make examples"
            raise ReportError(f"{where}: the package {package} is not installed", remedy=remedy)
        pattern = Path(spec.submodule_search_locations[0]) / inner
    elif "://" in source.path:
        raise ReportError(f"{where}: {source.path.partition('://')[0]}:// is not read; give a file, folder or glob")
    else:
        pattern = params.resolve(source.path)
    if pattern.is_dir():
        found = [path for path in pattern.iterdir() if path.is_file() and not path.name.startswith(".")]
    else:
        found = [pattern] if pattern.is_file() else [Path(name) for name in glob.glob(str(pattern), recursive=True)]
    files = sorted(path for path in found if path.is_file())
    if not files:
        raise ReportError(f"{where}: there is no file {source.path} (relative to {params.file.name})")
    return files


def read_source(engine: Engine, params: Params, table: str) -> list[SourceFile]:
    """Register `raw_<table>`: the canonical columns as text (empty is null), file, line and zone.

    Raises ReportError with every missing column of every file.
    """
    if table not in params.sources:
        engine.register(f"raw_{table}", empty(engine, table))
        return []
    source, files, problems, relations = params.sources[table], [], [], []
    for path in source_files(params, table):
        digest, encoding = fingerprint(path)
        try:
            rows, header = open_file(engine, path, source, source.encoding or encoding)
            names = match_columns(table, source, rows.columns)
            relations.append(canonical(rows, table, source, names, path.name, int(header), params))
        except ReportError as error:
            problems += [f"{path.name}: {line}" for line in error.problems or [error.title]]
        except (duckdb.Error, ValueError, UnicodeError) as error:
            problems.append(f"{path.name}: {str(error).strip().splitlines()[0]}")
        else:
            files.append(SourceFile(table, path, digest, encoding, len(rows.columns) - len(names)))
    if problems:
        remedy = f"Name the columns under sources.{table}.columns (canonical name: name in the file), or mend the file."
        raise ReportError(f"Table '{table}' is not usable and", problems, remedy)
    engine.register(f"raw_{table}", reduce(lambda left, right: left.union(right), relations))
    return files


def empty(engine: Engine, table: str) -> pd.DataFrame:
    columns = [*TABLES[table].columns, "file", "line", "zone"]
    return pd.DataFrame({name: pd.Series([], dtype="int64" if name == "line" else "str") for name in columns})


def open_file(engine: Engine, path: Path, source: Source, encoding: str) -> tuple[duckdb.DuckDBPyRelation, bool]:
    """A file's rows as text columns, and whether its first line was a header."""
    con = engine.connection
    if path.suffix.lower() in (".parquet", ".pq"):
        rows = con.read_parquet(str(path))
        return rows.select(*[Col(name).cast("VARCHAR").alias(name) for name in rows.columns]), False
    if path.suffix.lower() in EXCEL:
        return con.from_df(excel_frame(path, source)), source.header is not False
    shape = shape_of(path, encoding, source.delimiter, source.header)
    width = max((len(row) for row in shape.rows), default=len(shape.names)) or 1
    if shape.delimiter == "blank":
        # DuckDB knows no runs of blanks: read whole lines, then part them
        whole = {"line": "VARCHAR"}
        lines = con.read_csv(
            str(path), sep="\x01", quotechar="", header=shape.header, columns=whole, encoding=shape.encoding
        )
        parts = Call("string_split_regex", Call("trim", Col("line")), Const(r"\s+"))
        names = shape.names or [f"column{position}" for position in range(1, width + 1)]
        fields = [Call("list_extract", parts, Const(i)).alias(name) for i, name in enumerate(names, 1)]
        return lines.select(*fields), shape.header
    names = list(shape.names) or [f"column{position}" for position in range(1, width + 1)]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ReportError(f"the header names {', '.join(map(repr, twice))} twice")
    rows = con.read_csv(
        str(path),
        sep=shape.delimiter,
        header=shape.header,
        columns=dict.fromkeys(names, "VARCHAR"),
        encoding=shape.encoding,
        null_padding=True,
        quotechar='"',
        escapechar='"',
    )
    return rows, shape.header


def excel_frame(path: Path, source: Source) -> pd.DataFrame:
    """One sheet as text: whole numbers without '.0', dates as ISO."""
    book = load_workbook(str(path))
    if source.sheet and source.sheet not in book.sheet_names:
        raise ReportError(f"there is no sheet {source.sheet!r}{nearest(source.sheet, book.sheet_names)}")
    rows = book.get_sheet_by_name(source.sheet or book.sheet_names[0]).to_python(skip_empty_area=True)

    def text(cell: object) -> str:
        if isinstance(cell, float) and cell.is_integer():
            return str(int(cell))
        return cell.isoformat(sep=" ") if isinstance(cell, datetime) else str(cell)

    body = [[text(cell) for cell in row] for row in rows]
    names = body.pop(0) if body and source.header is not False else [f"column{i}" for i in range(1, len(body[0]) + 1)]
    return pd.DataFrame(body, columns=names, dtype="str")


def match_columns(table: str, source: Source, found: list[str]) -> dict[str, str]:
    """Canonical column -> column of the file. Raises ReportError with every column that is missing."""
    by_name = {name.strip().lower(): name for name in found}
    names, problems = {}, []
    for column in TABLES[table].columns:
        wanted = source.columns.get(column, column)
        if isinstance(wanted, int):
            if not 1 <= wanted <= len(found):
                problems.append(f"column {wanted} for {column} is not there; the file has {len(found)} columns")
            else:
                names[column] = found[wanted - 1]
        elif wanted.strip().lower() in by_name:
            names[column] = by_name[wanted.strip().lower()]
        elif column in source.columns or column in TABLES[table].required:
            label = f"{wanted!r}" if wanted == column else f"{wanted!r} for {column}"
            problems.append(f"column {label} is missing{nearest(wanted, found)}")
    if problems:
        raise ReportError("columns are missing", problems)
    return names


def canonical(
    rows: duckdb.DuckDBPyRelation,
    table: str,
    source: Source,
    names: dict[str, str],
    file: str,
    skipped: int,
    params: Params,
) -> duckdb.DuckDBPyRelation:
    """Rows in canonical columns: text trimmed, empty as null, numbers with a point, dates as ISO."""
    sample = rows.limit(1000).fetchall()
    values = {name: [str(row[i]) for row in sample if row[i] is not None] for i, name in enumerate(rows.columns)}
    numbers = [names[c] for c, kind in TABLES[table].columns.items() if c in names and kind in (MONEY, RATE, COUNT)]
    decimal = source.decimal or guess_decimal(value for name in numbers for value in values[name])
    columns: list[Expression] = []
    for column, kind in TABLES[table].columns.items():
        if column not in names:
            columns.append(Const(None).cast("VARCHAR").alias(column))
            continue
        text = Call("nullif", Call("trim", Col(names[column])), Const(""))
        if kind in (MONEY, RATE, COUNT):
            text = plain_number(text, decimal)
        elif kind == TIME:
            try:
                formats = guess_dates(values[names[column]], source.dayfirst)
            except ValueError as error:
                raise ReportError(f"{names[column]}: {error} under sources.{table}") from None
            if formats:
                parsed = Call("try_strptime", text, Call("list_value", *[Const(f) for f in formats]))
                text = Case(parsed.isnotnull(), parsed.cast("VARCHAR")).otherwise(text)
            if column == "month":  # a month may be written 2025-06
                text = Case(
                    Call("regexp_matches", text, Const(r"^\d{4}-\d{2}$")),
                    Call("concat", text, Const("-01")),
                ).otherwise(text)
        columns.append(text.alias(column))
    zone = source.timezone or params.report.timezone
    constants = [Const(file).alias("file"), Const(zone).alias("zone")]
    numbered = rows.select(*columns, *constants).row_number("over ()", "*")
    line = Col(numbered.columns[-1]) + Const(skipped)
    kept = [Col(name) for name in [*TABLES[table].columns, "file"]]
    return numbered.select(*kept, line.alias("line"), Col("zone"))


def plain_number(text: Expression, decimal: str) -> Expression:
    """'1.234,56' or '1,234.56' as '1234.56'; anything else as it stands, to be judged by its row's rules."""
    grouped = Call("regexp_matches", text, Const(GROUPED[decimal]))
    thousands = "," if decimal == "." else "."
    bare = Call("replace", text, Const(thousands), Const(""))
    return Case(grouped, Call("replace", bare, Const(decimal), Const("."))).otherwise(text)
