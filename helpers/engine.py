"""The embedded engine: SQL from files only, settings as small tables, rows that stay out of Python."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from helpers.contracts import SPILL, ReportError, Table

Col, Const, Call, Case = duckdb.ColumnExpression, duckdb.ConstantExpression, duckdb.FunctionExpression, duckdb.CaseExpression
SQL = Path(__file__).parent / "sql"
# No dictionary for columns of many values, such as ids: it costs time, and no space is saved.
PARQUET = "format parquet, parquet_version v2, dictionary_size_limit 1000, compression zstd, compression_level 3"
MEMORY = "1300MB"  # beyond it DuckDB spills to disk: a run stays below 2 GB with Python and pandas
BESIDE = "800MB"  # the same where notebooks fit models beside it, below 1.5 GB


class Engine:
    """DuckDB in this process. A query is the name of a file under helpers/sql, such as `marts/customers`."""

    def __init__(self, spill: Path | None = None, memory: str = MEMORY) -> None:
        """spill : folder in which one of this engine's own, gone with it, takes what leaves no room in `memory`."""
        self.connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "memory_limit": memory})
        self.spill = TemporaryDirectory(prefix=SPILL, dir=spill) if spill else None
        if self.spill:
            self.connection.execute("set temp_directory = $folder", {"folder": self.spill.name})
        self.connection.execute(read_sql("macros"))

    def beside(self) -> Engine:
        """The same database and folder for another thread: a connection serves one at a time."""
        other = copy(self)
        other.connection = self.connection.cursor()
        return other

    def register(self, name: str, source: pd.DataFrame | Path) -> None:
        """Make a source readable under `name`: a small frame of settings, or a Parquet file."""
        if isinstance(source, Path):
            self.connection.read_parquet(str(source)).create_view(name)
        else:
            self.connection.from_df(source).create(name)

    def build(self, name: str, query: str, **names) -> None:
        """Run a query and keep its result as the table `name`; `names`: what a template of SQL is filled with."""
        with named(query):
            self._run(query, **names).create(name)

    def set_aside(self, name: str, rows: str | duckdb.DuckDBPyRelation | Path, **names) -> Path | None:
        """As `build`, for many rows: to a file, in their order, as in memory they would leave no room to sort and group others.

        rows : a Path: of a file that another engine made so. They get a column `file_row_number`, their place from 0, where
        they have none. Returns the file; None where there is no folder for it.
        """
        rows = self._run(rows, **names) if isinstance(rows, str) else rows
        if not self.spill:
            rows.create(f"{name}_rows")
            number = [] if "file_row_number" in rows.columns else [Col("rowid").alias("file_row_number")]
            self.table(f"{name}_rows").select(*map(Col, rows.columns), *number).create_view(name)
            return None
        path = Path(self.spill.name, f"{name}.parquet")
        path.unlink(missing_ok=True)  # it may be another engine's, too
        if isinstance(rows, Path):
            os.link(rows, path)  # it stays here when it goes there
        else:
            rows.write_parquet(str(path), compression="zstd")  # by the connection that holds them
        kept = self.connection.read_parquet(str(path))
        if "file_row_number" not in kept.columns:
            kept = self.connection.read_parquet(str(path), file_row_number=True)
        kept.create_view(name)
        return path

    def define(self, name: str, query: str, **names) -> None:
        """Make a query readable under `name`; it runs anew wherever it is read."""
        self._run(query, **names).create_view(name)

    def frame(self, query: str, **names) -> pd.DataFrame:
        """The result of a summary query; decimals, and counts that may be unknown, arrive as float64."""
        with named(query):
            frame = self._run(query, **names).df()
        nullable = [name for name, kind in frame.dtypes.items() if isinstance(kind, pd.Int32Dtype | pd.Int64Dtype)]
        return frame.astype(dict.fromkeys(nullable, "float64"))

    def rows(self, name: str, column: str, value: int) -> pd.DataFrame:
        """The rows of what was set aside under `name` with a value, in their order; decimals arrive as float64."""
        found = self.table(name).filter(Col(column) == Const(value)).order("file_row_number")
        return found.select(*[Col(of) for of in found.columns if of != "file_row_number"]).df()

    def table(self, name: str) -> duckdb.DuckDBPyRelation:
        """A table or view by name, as a relation: rows stay in the engine."""
        return self.connection.table(name)

    def empty(self, name: str) -> list[str]:
        """Columns of a table or view that hold no value: DuckDB knows without reading them."""
        rows = self.table(name)
        known = rows.select(*[Call("stats", Col(column)) for column in rows.columns]).limit(1).fetchall()
        return [column for row in known for column, stats in zip(rows.columns, row, strict=True) if not stats["has_no_null"]]

    def write(self, query: str, path: Path, key: tuple[str, ...], table: Table | None = None, **names) -> None:
        """Write what a query makes as Parquet, ordered by its key so that equal data give equal bytes.

        table : whose kept rows the query gives. What is empty in all of them is not carried through the sort.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = self._run(query, **names, **({"table": table} if table else {}))
        kinds, empty = dict(zip(rows.columns, rows.types, strict=True)), self.empty(f"staged_{table.name}") if table else ()
        narrow = rows.select(*[Col(name) for name in kinds if name not in empty])
        ordered = narrow.order(", ".join(f'"{name}"' for name in key if name not in empty))
        # a value as such: DuckDB would encode it by what it knows of the table it comes from, its other rows included
        wanted = [(Const(None).cast(kinds[name]) if name in empty else Case(Col(name).isnotnull(), Col(name))).alias(name)
                  for name in kinds]
        ordered.select(*wanted).create_view("written", replace=True)
        with named(query):
            self.connection.execute(f"copy written to $path ({PARQUET})", {"path": str(path)})

    def _run(self, query: str, **names) -> duckdb.DuckDBPyRelation:
        with named(query):
            return self.connection.sql(read_sql(query) if not names else template(query).render(names))


@contextmanager
def named(query: str) -> Iterator[None]:
    """What the engine says of a query, with the file that it stands in: a page and a log show no more of an error."""
    try:
        yield
    except duckdb.Error as error:
        if (place := f"in helpers/sql/{query}.sql") not in str(error):
            error.args = (f"{error}\n{place}",)
        raise


@cache
def template(query: str):
    """A query of helpers/sql that holds for several tables, to be filled with names from contracts.yaml."""
    return Environment(loader=FileSystemLoader(SQL), undefined=StrictUndefined).get_template(f"{query}.sql")


@cache
def read_sql(query: str) -> str:
    """The text of helpers/sql/<query>.sql; its first line states the grain."""
    path = SQL / f"{query}.sql"
    if not path.is_file():
        known = sorted(p.relative_to(SQL).with_suffix("").as_posix() for p in SQL.rglob("*.sql"))
        raise ReportError(f"There is no query {query}", [f"known: {', '.join(known)}"])
    return path.read_text(encoding="utf-8")
