"""A delimited text -> rows of text: encodings, line ends and blank lines made plain, faults told by line."""

import csv
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import duckdb
import pandas as pd

from helpers.contracts import ReportError
from helpers.settings import Source
from helpers.sources.cells import LINE, Call, Col, Const, Opened, Rows
from helpers.sources.sniff import refuse_damaged, shape_of

BLANKS = " \t\r\n\u00a0\u202f"
LF, CR, CRLF = b"\n", b"\r", b"\r\n"


def open_text(con: duckdb.DuckDBPyConnection, path: Path, source: Source, encoding: str) -> Opened:
    """A file's rows. One that mixes LF and CRLF is read from a copy. Raises ValueError, ReportError and duckdb.Error."""
    refuse_damaged(path, encoding)
    try:
        return read_utf8(con, path, source) if encoding == "utf-8" else open_copy(con, path, source, encoding, iter)
    except (duckdb.InvalidInputException, ReportError) as error:  # of several ways DuckDB says what comes to its mind
        ends = ends_of(path)
        odd = isinstance(error, duckdb.Error) and (len(ends) > 1 or not ends <= {LF, CR, CRLF})
        if not (odd or {LF, CRLF} <= ends):
            raise
        return open_copy(con, path, source, encoding, one_end)


def open_copy(
    con: duckdb.DuckDBPyConnection, path: Path, source: Source, encoding: str, made: Callable[[Iterable[str]], Iterable],
) -> Opened:
    """The rows of a text as DuckDB's reader for Python takes it: UTF-8, with one kind of line end, which `made` makes."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        with path.open(encoding=encoding, newline="\n") as text, copy.open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(made(text))
        rows, names, before = read_utf8(con, copy, source)
        return con.from_df(rows.df()), names, before


def ends_of(path: Path) -> set[bytes]:
    """All the ways in which the lines of a file end; a CR within a line is one."""
    with path.open("rb") as stream:
        found = {end for line in stream for body in [line.rstrip(b"\r\n")]
                 for end in (line[len(body):], b"\r" if b"\r" in body else b"")}
    return found - {b""}


def one_end(lines: Iterable[str]) -> Iterator[str]:
    """Lines that end in LF, whatever stood before it. Raises ValueError, with the line, for a CR that may be an end or not."""
    for number, line in enumerate(lines, 1):
        if "\r" in (text := line.rstrip("\r\n")):
            raise ValueError(f"line {number}: lines end in several ways, and a CR stands in this one; end all in LF or CRLF")
        yield f"{text}\n"


def read_utf8(con: duckdb.DuckDBPyConnection, path: Path, source: Source) -> Opened:
    """The rows of a UTF-8 file: blank lines left out, short ones filled up, all other faults told by line."""
    delimiter, header, blank_lines, names = shape_of(path, "utf-8", source.delimiter, source.header)
    fields, before = [f"column{i}" for i in range(1, len(names) + 1)], blank_lines + int(header)
    options = {"skiprows": blank_lines, "header": header, "auto_detect": False}
    if delimiter == "blank":  # DuckDB knows no runs of blanks: read whole lines, then part them
        lines = con.read_csv(str(path), sep="\x01", quotechar="", columns={"line": "VARCHAR"}, **options)
        parts = Call("string_split_regex", Call("trim", Col("line"), Const(BLANKS)), Const(r"\s+"))
        lines = lines.filter(Call("regexp_matches", Col("line"), Const(r"\S"))).select(parts.alias("parts"))
        for [long] in lines.filter(Call("len", Col("parts")) > Const(len(names))).limit(1).fetchall():
            raise ValueError(f"a line has {len(long)} fields in place of {len(names)}: {' '.join(long)[:80]}")
        cells = [Call("list_extract", Col("parts"), Const(i)).alias(field) for i, field in enumerate(fields, 1)]
        return lines.select(*cells), names, before
    options |= {"sep": delimiter, "columns": dict.fromkeys(fields, "VARCHAR"), "quotechar": '"', "escapechar": '"'}
    with con.cursor() as probe:  # its own temporary tables of faults
        probe.read_csv(str(path), store_rejects=True, **options).count("*").fetchall()
        faults = probe.table("reject_errors").select("line", "error_type", "error_message").fetchall()
    if wrong := [fault for fault in faults if fault[1] != "MISSING COLUMNS"]:
        raise ReportError("rows cannot be read", [f"line {line}: {message}" for line, _, message in wrong[:5]])
    # filling up hides a quote that is never closed, and takes one thread: only where rows are short and nothing else
    return con.read_csv(str(path), null_padding=bool(faults), parallel=not faults, **options), names, before


def on_lines(
    con: duckdb.DuckDBPyConnection, rows: Rows, path: Path, source: Source, encoding: str, before: int,
) -> Rows | None:
    """Rows of a text, numbered by the lines on which they begin, where some lines are blank or some rows longer than a line."""
    with path.open("rb") as stream:
        ends, count = sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(1 << 20), b"")), len(rows)
    if ends - before in (count, count - 1):
        return None  # a row a line, the last one ended or not
    delimiter, header, above, _ = shape_of(path, encoding, source.delimiter, source.header)
    lines, last = array("q"), 0
    with path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter) if delimiter != "blank" else map(str.split, stream)
        for line, row in enumerate(reader, 1):
            if row and last >= above:
                lines.append(last - before)
            last = getattr(reader, "line_num", line)
    if len(lines) != header + count:
        return None  # parted in another way: a row's place is all that is known
    known = con.from_df(pd.DataFrame({"nth": range(count), "begins": lines[header:]}))
    rows = rows.select(*[Col(name) for name in rows.columns if name != LINE], Col(LINE).alias("nth")).join(known, "nth")
    return rows.select(*[Col(name) for name in rows.columns if name not in ("nth", "begins")], Col("begins").alias(LINE))
