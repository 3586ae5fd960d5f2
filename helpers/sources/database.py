"""A database's answer to one query -> rows in the engine, typed as there; no secret reaches a message."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

import duckdb
from adbc_driver_postgresql import dbapi as adbc
from pyarrow import RecordBatchReader

from helpers.contracts import ReportError
from helpers.settings import DUCKDB, ENVIRONMENT, Params

CONNECT_SECONDS, QUERY_SECONDS = 10, 3600  # no run hangs for ever
Col, Const, Call = duckdb.ColumnExpression, duckdb.ConstantExpression, duckdb.FunctionExpression


def open_query(con: duckdb.DuckDBPyConnection, params: Params, table: str) -> tuple[duckdb.DuckDBPyRelation, list[str], int]:
    """The answer to a source's query, in a table that goes with its last use; its columns' names; 0. Raises ReportError."""
    url, query, own = params.sources[table].url, params.sources[table].query, con.cursor()
    try:
        with ask(url, query, params) as answer:
            if not (fields := list(answer.schema)):
                raise ValueError("it answers with no columns; the query must be one select")
            own.register("answer", answer)
            # a stream is read once, and its rows are numbered as they come: tables may be filled by several threads
            own.execute("create temporary table answered as select *, row_number() over () - 1 as file_row_number from answer")
    except (adbc.Error, duckdb.Error, OSError, ValueError) as error:
        raise ReportError("the query failed", [explain(error, url, query, params.raw["sources"][table])]) from None
    rows, columns, problems = own.table("answered"), [], []
    for field, name, kind in zip(fields, rows.columns[:-1], map(str, rows.types[:-1]), strict=True):
        written, value = (field.metadata or {}).get(b"POSTGRESQL:type", b"blob").decode(), Col(name)
        if kind == "BLOB" or written == "money":  # money comes as cents, or what the server's locale has in their place
            problems.append(f"column {field.name!r} is of type {written}, which is not read; cast it to text or numeric")
        if kind.startswith(("DATE", "TIMESTAMP")):  # the driver makes infinity a day 290,000 years away
            value = duckdb.CaseExpression(Call("regexp_matches", value.cast("VARCHAR"), Const("^[0-9]{4,5}-")), value)
        columns.append(value.alias(f"column{len(columns) + 1}"))
    if problems:
        raise ReportError("types are not read", problems)
    return rows.select(*columns, Col("file_row_number")), [field.name for field in fields], 0


@contextmanager
def ask(url: str, query: str, params: Params) -> Iterator[RecordBatchReader]:
    """The answer of a database that is opened to read."""
    if url.startswith(DUCKDB):
        file, config = params.resolve(url.removeprefix(DUCKDB)), {"autoinstall_known_extensions": "false"}
        with duckdb.connect(file, read_only=True, config=config) as database:
            if [part.type for part in database.extract_statements(query)] != [duckdb.StatementType.SELECT]:
                raise ValueError("the query must be one select, and nothing that writes")
            yield database.sql(query).to_arrow_reader()
        return
    wait = f"{'&' if '?' in url else '?'}connect_timeout={CONNECT_SECONDS}" if "connect_timeout=" not in url else ""
    with adbc.connect(url + wait) as connection, connection.cursor() as cursor:
        cursor.execute("set transaction read only")
        cursor.execute(f"set local statement_timeout = '{QUERY_SECONDS}s'")
        cursor.execute(query.rstrip("; \r\n\t") + "\n")  # it is put into brackets, and may end in a comment
        yield cursor.fetch_record_batch()


def explain(error: Exception, url: str, query: str, raw: dict[str, str]) -> str:
    """What a driver says and where in the query, without user, password and what variables hold."""
    held = [os.environ.get(name, "").removeprefix(DUCKDB) for name in re.findall(ENVIRONMENT, f"{raw['url']} {raw['query']}")]
    user, _, password = url.partition("://")[2].rpartition("@")[0].partition(":")
    hidden = [*held, password, user and f'"{user}"', *re.findall("password=([^&]+)", url)]
    known = sorted(filter(None, {*hidden, *map(unquote, hidden)}), key=len, reverse=True)
    text = re.sub("|".join(map(re.escape, known)) or "(?!)", "…", str(error), flags=re.IGNORECASE)
    told = re.findall(r"(?:ERROR|FATAL): +(.*)", text) or text.rpartition("[libpq] ")[2].split("\nLINE")[0].split()
    doubtful = '"[^"]*"?' if "${" in raw["query"] else "(?!)"  # a message may quote a part of what a variable holds
    told = re.sub(doubtful, '"…"', " ".join(told)[:500])
    if at := int(dict(getattr(error, "details", ())).get(b"PG_DIAG_STATEMENT_POSITION", 0)):
        before = query[: at - 1 - len("COPY (") * ("could not begin COPY" in text)]
        told += f" (line {before.count(chr(10)) + 1}, character {len(before) - before.rfind(chr(10))} of the query)"
    return told
