"""Files of a source -> one relation of text in canonical columns, with file, line and time zone of every row."""

import csv
import hashlib
import os
import re
import tempfile
import zipfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

import duckdb
import pandas as pd
from pydantic import TypeAdapter
from python_calamine import CalamineError, load_workbook

from helpers.contracts import COUNT, FLAG, FORMATS, READ, TEXT, TIME, ReportError, Table
from helpers.engine import Engine
from helpers.inputs import source_files, stamp
from helpers.params import Params, Source, nearest
from helpers.sources.database import open_query
from helpers.sources.sniff import (
    NUMBERS,
    SAMPLE_LINES,
    called,
    fingerprint,
    formats_of,
    guess_dates,
    guess_dayfirst,
    guess_decimal,
    refuse_damaged,
    shape_of,
)

Col, Const, Call = duckdb.ColumnExpression, duckdb.ConstantExpression, duckdb.FunctionExpression
Rows, Expression = duckdb.DuckDBPyRelation, duckdb.Expression
Opened = tuple[Rows, list[str], int]  # rows, their columns' names in the file, lines before them
FAULTS = (ReportError, duckdb.Error, ValueError, OSError, CalamineError)  # what is wrong with a file, not with us
PARQUET, EXCEL = (".parquet", ".pq"), (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
PACKED = (".gz", ".zip", ".bz2", ".xz", ".zst", ".7z", ".rar", ".tar")
BLANKS = " \t\r\n\u00a0\u202f"
DAYS = ("month", "period_start", "period_end", "date")  # days of a calendar, the same in every zone
BARE = ("currency", "transaction_id")  # columns of text, besides keys, in which a word for nothing is none
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
TYPED = "kinds of the cells"  # a column of marks beside the columns of a sheet
ERROR = re.compile(rb"""\bt\s*=\s*["']e["']""")  # a cell with an error, in the XML of a sheet
LINE = "file_row_number"  # of what stands below the lines before, from 0; so DuckDB calls it in a Parquet file
ROW = {"misread": TEXT, "misread_value": TEXT, "file": TEXT, "line": "bigint"}


@dataclass(frozen=True)
class SourceFile:
    """One file that was read: for the manifest and for the page. `name`: as the rows of its table call it; `before`: lines
    above its first row; `shared`: whether another month of the call had read it."""

    table: str
    path: Path
    sha256: str
    encoding: str
    ignored_columns: int = 0
    name: str = ""
    columns: tuple[str, ...] = ()  # the canonical ones that it has
    others: tuple[str, ...] = ()
    before: int = 0
    shared: bool = False
    dayfirst: bool | None = None  # the order of day and month, where it was guessed


KEPT = TypeAdapter(SourceFile)


def read_source(engine: Engine, params: Params, table: str) -> list[SourceFile]:
    """Register `raw_<table>`: canonical columns, typed; misread, misread_value, file, line. Raises ReportError.

    misread : the first column whose cell holds something that cannot be read as its type; the cell is null then.
    """
    contract, files, problems, relations = params.tables[table], [], [], []
    if table not in params.sources:
        empty = [Const(None).cast(kind).alias(column) for column, kind in contract.columns.items()]
        empty += [Const(None).cast(kind).alias(name) for name, kind in ROW.items()]
        engine.connection.values([Const(0)]).select(*empty).limit(0).create_view(f"raw_{table}")
        return []
    source = params.sources[table]
    paths = [Path(f"{source.url.partition(':')[0]} query")] if source.url else source_files(params, table)
    for number, path in enumerate(paths):
        name = path.relative_to(os.path.commonpath([path.parent for path in paths])).as_posix()
        try:
            aside, key = f"read_{table}_{number}", key_of(engine, params, table, path)
            rows, file = take(engine, aside, key) or read_file(engine, params, source, table, path, aside, key)
            line = Col(LINE) + Const(file.before + 1)
            columns = [Col(column) for column in rows.columns if column != LINE]
            relations.append(rows.select(*columns, Const(name).alias("file"), line.alias("line")))
            files.append(replace(file, name=name))
        except FAULTS as error:
            found = getattr(error, "problems", None) or [str(error).strip().splitlines()[0][:200]]
            if isinstance(error, PermissionError):
                found = ["permission denied: let the user who runs the report read it"]
            if isinstance(error, duckdb.Error) and path.suffix.lower() in PARQUET:
                found = [f"cut off or damaged ({found[0]})"]
            problems += [f"{name}: {line}" for line in found]
    if problems:
        remedy = f"Mend the file, or say under sources.{table} how to read it: columns, delimiter, decimal, dayfirst …"
        if source.url:
            remedy = f"Mend sources.{table}: url, query or columns."
        raise ReportError(f"Table '{table}' is not usable and", problems, remedy)
    reduce(lambda left, right: left.union(right), relations).create_view(f"raw_{table}")
    return files


def read_file(
    engine: Engine, params: Params, source: Source, table: str, path: Path, aside: str, key: Path | None,
) -> tuple[Rows, SourceFile]:
    """A file's rows, typed, each with its line, set aside under a name unless it is Parquet; and kept for other months."""
    if source.url:
        digest, encoding = "", "database"
        rows, names, before = open_query(engine.connection, params, table)
    else:
        digest, encoding = fingerprint(path)
        rows, names, before = open_file(engine.connection, path, source, source.encoding or encoding)
    source = as_its_format(source, table, names, params.report.timezone)
    contract, source = as_exported(params.tables[table], source, names)
    places = match_columns(contract, source, names)
    order = None if source.dayfirst is not None else guess_dayfirst(texts_of(rows, contract, places, (TIME,)))
    rows = canonical(rows, contract, places, source, params.report.timezone)
    others = tuple(name for place, name in enumerate(names) if place not in places.values())
    file = SourceFile(table, path, digest, encoding, len(others), "", (*places,), others, before, dayfirst=order)
    if path.suffix.lower() in PARQUET and not source.url and source.format == "canonical":
        return rows, file
    text = LINE not in rows.columns and not source.url
    kept = engine.set_aside(aside, rows)  # parsed once; in the order of the file, so that rows tell their lines
    encoding = source.encoding or encoding
    lines = on_lines(engine.connection, engine.table(aside), path, source, encoding, before) if text else None
    if lines is not None:
        kept = engine.set_aside(aside := f"lined_{aside}", lines)
    if source.format != "canonical":
        made = translated(engine, params.tables[table], source, contract, aside)
        kept = engine.set_aside(aside := f"{source.format}_{aside}", made)
        held = engine.table(aside).aggregate("count(columns(*))")
        counts = dict(zip(held.columns, held.fetchall()[0], strict=True))
        given = [column for column in params.tables[table].columns if counts[column] or column in params.tables[table].required]
        file = replace(file, columns=(*given,))
    if kept and key and key_of(engine, params, table, path) == key:  # else the file was changed meanwhile
        with suppress(OSError):  # it costs other months time
            part = Path(tempfile.mkdtemp(dir=key.parent))
            os.link(kept, part / "rows.parquet")
            (part / "file.json").write_bytes(KEPT.dump_json(replace(file, shared=True)))
            part.rename(key)  # whole or not at all
            key = None
    return take(engine, f"shared_{aside}", key) or (engine.table(aside), file)  # where another was first, all take its


def take(engine: Engine, aside: str, key: Path | None) -> tuple[Rows, SourceFile] | None:
    """What another month of the call kept of a file, set aside under a name; None where there is nothing, or in trouble."""
    with suppress(OSError, ValueError, duckdb.Error):
        if key and key.exists():
            file = KEPT.validate_json((key / "file.json").read_bytes())
            engine.set_aside(aside, key / "rows.parquet")
            return engine.table(aside), file
    return None


def key_of(engine: Engine, params: Params, table: str, path: Path) -> Path | None:
    """Where the months of a call keep a file's rows: SHA-256 of what these rest on, no secret; None where no call is made."""
    folder, source = engine.spill and Path(engine.spill.name).with_name(READ), params.sources[table]
    if not folder or not os.path.isdir(folder):
        return None
    file = None if source.url else (str(path), *stamp(path))
    given = params.raw["sources"][table], source.model_dump(exclude={"url", "query"}), params.report.timezone
    return folder / hashlib.sha256(repr((file, given, params.tables[table])).encode()).hexdigest()


def open_file(con: duckdb.DuckDBPyConnection, path: Path, source: Source, encoding: str) -> Opened:
    """A file's rows: text, but for Parquet. Raises FAULTS."""
    kind = path.suffix.lower()
    if kind in PACKED:
        raise ValueError("it is packed: unpack it first")
    if kind in PARQUET + EXCEL:
        try:
            if kind in EXCEL:
                return open_excel(con, path, source)
            rows = con.read_parquet(str(path), file_row_number=True)
            return rows, [name for name in rows.columns if name != LINE], 0
        except (duckdb.Error, CalamineError) as error:
            what = "an Excel" if kind in EXCEL else "a Parquet"
            raise ValueError(f"not {what} file, or one that is cut off or damaged ({str(error).splitlines()[0]})") from None
    refuse_damaged(path, encoding)
    try:
        return open_text(con, path, source) if encoding == "utf-8" else open_copy(con, path, source, encoding, iter)
    except (duckdb.InvalidInputException, ReportError) as error:  # of several ways DuckDB says what comes to its mind
        ends = ends_of(path)
        if len(ends) < 2 and ends <= {b"\n", b"\r\n", b"\r"} or isinstance(error, ReportError) and not {b"\n", b"\r\n"} <= ends:
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
        rows, names, before = open_text(con, copy, source)
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


def open_text(con: duckdb.DuckDBPyConnection, path: Path, source: Source) -> Opened:
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


def damaged(con: duckdb.DuckDBPyConnection, files: Sequence[SourceFile]) -> list[str]:
    """Parquet files that cannot be read to their end, each with the reason: what is in them is seen only when it is used."""
    problems = []
    for file in files:
        try:
            if file.path.suffix.lower() in PARQUET:
                con.read_parquet(str(file.path)).aggregate("max(length(cast(columns(*) as varchar)))").fetchall()
        except duckdb.Error as error:
            problems.append(f"{file.table}: {file.name}: {str(error).splitlines()[0]}")
    return problems


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


def open_excel(con: duckdb.DuckDBPyConnection, path: Path, source: Source) -> Opened:
    """The rows of one sheet as text: whole numbers without '.0', dates as ISO, errors by name; empty rows left out.

    TYPED marks, letter by letter, numbers by 1, for which no decimal mark has to be known, and errors by e.
    """
    book = load_workbook(str(path))
    if source.sheet and source.sheet not in book.sheet_names:
        raise ReportError(f"there is no sheet {source.sheet!r}{nearest(source.sheet, book.sheet_names)}")
    name = source.sheet or book.sheet_names[0]
    sheet = book.get_sheet_by_name(name)
    cells, (above, left) = sheet.to_python(skip_empty_area=True), sheet.start or (0, 0)
    body = [[*(repr(v).removesuffix(".0") if type(v) is float else str(v) for v in row),
             "".join("01"[type(v) is float] for v in row)] for row in cells]
    for (row, column), error in cell_errors(path, name).items():
        at, place = row - above, column - left
        if 0 <= at < len(cells) and 0 <= place < len(cells[at]) and any(cells[at]):  # formulas reach below the rows
            body[at][place], body[at][-1] = error, body[at][-1][:place] + "e" + body[at][-1][place + 1:]
    lines = [above + i for i, row in enumerate(body) if any(row[:-1])]  # from 0
    if not (body := [row for row in body if any(row[:-1])]):
        raise ValueError("the sheet is empty")
    header, width = source.header is not False, len(body[0]) - 1
    names = [name.strip() or f"column{i}" for i, name in enumerate(body[0][:-1] if header else [""] * width, 1)]
    frame = pd.DataFrame(body[header:], columns=[*(f"column{i}" for i in range(1, width + 1)), TYPED], dtype="str")
    return con.from_df(frame.assign(**{LINE: lines[header:]})), names, 0


def cell_errors(path: Path, sheet: str) -> dict[tuple[int, int], str]:
    """Row and column, from 0, of cells with an error such as #REF!, which calamine calls empty. Of .xlsx and .xlsm alone."""
    try:
        with zipfile.ZipFile(path) as parts:  # names in all the ways that calamine takes
            names = {name.replace("\\", "/").lower(): name for name in parts.namelist()}
            book, related = (ElementTree.fromstring(parts.read(names[name])) for name in (
                "xl/workbook.xml", "xl/_rels/workbook.xml.rels"))
            of = next(of for of in book.iter() if of.tag.endswith("}sheet") and of.get("name") == sheet)
            key = next(value for name, value in of.items() if name.endswith("}id"))
            target = next(part.get("Target") for part in related if part.get("Id") == key).lower()
            text = parts.read(names[target[1:] if target.startswith("/") else f"xl/{target}"])
    except (zipfile.BadZipFile, KeyError, StopIteration, ElementTree.ParseError):
        return {}  # another kind of file, or one that only calamine can find its way in
    found, row, column, value, error = {}, -1, -1, [], False
    if not ERROR.search(text):
        return found

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal row, column, error
        match name.rpartition(":")[2]:
            case "row":
                row, column = int(attributes.get("r", row + 2)) - 1, -1
            case "c":
                letters = re.match("[A-Z]*", attributes.get("r", ""))[0]
                column = reduce(lambda n, letter: n * 26 + ord(letter) - 64, letters, 0) - 1 if letters else column + 1
                error = attributes.get("t") == "e"
            case "v":
                value.clear()

    def end(name: str) -> None:
        if error and name.rpartition(":")[2] == "v":
            found[row, column] = "".join(value).strip()

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = begin, end, value.append
    parser.Parse(text, True)
    return found


def as_its_format(source: Source, table: str, names: list[str], report_zone: str) -> Source:
    """How one file is read: with `format: auto` by the names of its columns; what is not set as its format has it."""
    fits = [form for form in formats_of(names) if FORMATS[form]["table"] == table] if source.format == "auto" else []
    form = fits[0] if fits else source.format.replace("auto", "canonical")
    own = {"decimal": "." if source.url else None, **FORMATS.get(form, {}).get("settings", {})}
    own = {key: value for key, value in own.items() if getattr(source, key) is None}
    zone = source.timezone or own.get("timezone") or report_zone
    return source.model_copy(update={**own, "format": form, "timezone": zone})


def as_exported(contract: Table, source: Source, names: list[str]) -> tuple[Table, Source]:
    """What a file of an export holds, as a table, and where; the params' `columns` win. Raises ReportError."""
    if not (form := FORMATS.get(source.format)):
        return contract, source
    known, found, lacks = {name.lower() for name in names}, {}, []
    for column, (_, *aliases) in form["columns"].items():
        if name := called(aliases, names):
            found[column] = name
        elif column not in source.columns and column not in form["optional"]:
            lacks.append(f"format {source.format} needs the column {' or '.join(map(repr, aliases))}, for {column}")
    if billed := sorted({"service_start", "service_end"} & source.columns.keys()):  # joined by line, which two may share
        raise ReportError("columns", [f"{name} cannot stand beside format {source.format}; name all columns"
                                      for name in billed])
    if lacks:
        fits = f"its columns are those of format: {other[0]}" if (other := formats_of(names)) else (
            "no format has its columns: leave format out, and say under columns which of them is what")
        raise ReportError("columns are missing", [*lacks, f"it has {', '.join(names)[:200]}; {fits}"])
    own = {*source.columns, *(name for name in contract.dimensions if name.lower() in known)} - form["columns"].keys()
    kinds = {column: kind for column, (kind, *_) in form["columns"].items()}
    kinds |= {column: kind for column, kind in contract.columns.items() if column in own}
    needed, people = [*form["columns"].keys() - {*form["optional"]}], [*contract.people, "transaction_id"]
    exported = replace(contract, columns=kinds, required=needed, people=people)
    return exported, source.model_copy(update={"columns": found | source.columns})


def translated(engine: Engine, contract: Table, source: Source, exported: Table, aside: str) -> Rows:
    """Canonical rows of an export that was set aside, in the order of its lines, by the query of its format."""
    form = FORMATS[source.format]
    own = [column for column in exported.columns if column not in form["columns"]]
    told = re.search(r"\((\w{3})\)$", str(source.columns.get("amount", "")))  # a currency in the name of a column
    fills = {"minor": False, "channel": "", "currency": told[1].upper() if told else "", **form.get("fills", {})}
    fills |= {"channel": source.channel} if source.channel else {}
    engine.define(f"made_{aside}", f"formats/{form['query']}", rows=aside, own=own, **fills)
    rows = engine.table(f"made_{aside}").order("line")
    values = [(Col(name) if name in rows.columns else Const(None)).cast(kind).alias(name)
              for name, kind in contract.columns.items()]
    return rows.select(*values, Col("misread"), Col("misread_value"), Col("line").alias(LINE))


def match_columns(contract: Table, source: Source, names: list[str]) -> dict[str, int]:
    """Canonical column -> its place in the file, from 0. Raises ReportError with every column that is missing."""
    places, problems = {}, []
    for column in contract.columns:
        wanted = source.columns.get(column, column)
        label = repr(wanted) if wanted == column else f"{wanted!r} for {column}"
        alike = [i for i, name in enumerate(names) if name.lower() == str(wanted).strip().lower()]
        found = [i for i in alike if names[i] == str(wanted).strip()] or alike
        if isinstance(wanted, int):
            found = [wanted - 1] if 0 < wanted <= len(names) else []
        if len(found) == 1:
            places[column] = found[0]
        elif found:
            problems.append(f"column {label} stands {len(found)} times; give its position instead")
        elif column in source.columns or column in contract.required:
            problems.append(f"column {label} is missing{nearest(str(wanted), names)}")
    if problems:
        raise ReportError("columns are missing", problems)
    return places


def sample(rows: Rows, written: bool = False) -> list[list[str]]:
    """The first values of every column, as text, empty ones left out; those that were `written`: not a sheet's numbers."""
    cells = rows.select(*[Col(name).cast("VARCHAR") for name in rows.columns]).limit(SAMPLE_LINES).fetchall()
    typed = rows.columns.index(TYPED) if written and TYPED in rows.columns else None
    return [[row[i].strip() for row in cells if row[i] and row[i].strip() and (typed is None or row[typed][i:i + 1] == "0")]
            for i in range(len(rows.columns))]


def texts_of(
    rows: Rows, contract: Table, places: dict[str, int], kinds: Sequence[str], written: bool = False,
) -> list[str]:
    """The first texts of all columns of some kinds."""
    seen = sample(rows, written)
    return [text for column, i in places.items() if str(rows.types[i]) == "VARCHAR" and contract.columns[column] in kinds
            for text in seen[i]]


def canonical(rows: Rows, contract: Table, places: dict[str, int], source: Source, report_zone: str) -> Rows:
    """Rows in canonical columns and types, the first misread cell beside them, and Parquet's own number of a row."""
    kinds = [str(kind) for kind in rows.types]
    decimal = source.decimal or guess_decimal(texts_of(rows, contract, places, NUMBERS, written=True))
    formats = guess_dates(texts_of(rows, contract, places, (TIME,)), source.dayfirst)
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
            zones = Const(report_zone if column in DAYS else source.timezone), Const(report_zone)
            number = Call("as_number", text, Const(number_pattern(decimal)), Const(decimal))
            mark = Call("substr", Col(TYPED), Const(places[column] + 1), Const(1)) if TYPED in rows.columns else Const("")
            if TYPED in rows.columns:
                number = duckdb.CaseExpression(mark == Const("1"), text).otherwise(number)
            if was in ("FLOAT", "DOUBLE"):
                text = Call("nullif", text, Const("nan"))
            if was == "TIMESTAMPTZ_NS":  # as pandas writes it
                cell, was = cell.cast("TIMESTAMPTZ"), "TIMESTAMP WITH TIME ZONE"
            if column in DAYS and was == "TIMESTAMP WITH TIME ZONE":
                value = Call("calendar_day", duckdb.CaseExpression(Call("isfinite", cell), cell), Const(source.timezone))
            elif kind == TIME and was.startswith(("TIMESTAMP", "DATE")):
                value = in_zone(duckdb.CaseExpression(Call("isfinite", cell), cell), *zones, was)
            elif kind == TIME and was == "VARCHAR":
                known, day = formats + ["%Y-%m"] * (column == "month"), Call("without_offset", text) if column in DAYS else text
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
