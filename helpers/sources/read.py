"""Files of a source -> one relation of text in canonical columns, with file, line and time zone of every row."""

import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import duckdb
from pydantic import TypeAdapter
from python_calamine import CalamineError

from helpers.contracts import FORMATS, READ, TEXT, ReportError, Table
from helpers.engine import Engine
from helpers.inputs import source_files, stamp
from helpers.settings import Params, Source, nearest
from helpers.sources.cells import LINE, Col, Const, Opened, Rows, canonical, notation
from helpers.sources.database import open_query
from helpers.sources.excel import EXCEL, open_excel
from helpers.sources.sniff import called, fingerprint, formats_of
from helpers.sources.text import on_lines, open_text

FAULTS = (ReportError, duckdb.Error, ValueError, OSError, CalamineError)  # what is wrong with a file, not with us
PARQUET = (".parquet", ".pq")
PACKED = (".gz", ".zip", ".bz2", ".xz", ".zst", ".7z", ".rar", ".tar")
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
    how = notation(rows, contract, places, source)
    rows = canonical(rows, contract, places, how, source.timezone, params.report.timezone)
    order = how.dayfirst if source.dayfirst is None else None
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
    return open_text(con, path, source, encoding)


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

