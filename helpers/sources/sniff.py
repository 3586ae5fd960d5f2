"""What a file is like, from its bytes and first lines: encoding, delimiter, header, columns, decimal mark, dates."""

import codecs
import csv
import hashlib
import re
from pathlib import Path

from helpers.contracts import COUNT, FORMATS, MONEY, RATE, TABLES, TIME, read_yaml

SAMPLE_LINES = 1000
NUL = "a NUL byte: this is no text, or a damaged one, or UTF-16 without its mark"
COLUMNS = 2000  # of a text: DuckDB needs memory for each, wanted or not
NUMBER = re.compile(r"[+-]?[\d.,]*\d[.,]?$")
DATE = re.compile(r"[12]\d{3}([-/]?)(0[1-9]|1[0-2])\1[0-3]\d(?!\d)|\d{1,2}([./-])\d{1,2}\3\d{4}(?!\d)")
PARTS = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2\d{4}(?!\d)")
CLOCKS = ("", " %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p")
MARKS = ("\t", "|", ";", ",")  # the comma last: it also stands inside numbers
NUMBERS = (MONEY, RATE, COUNT)
LOOKS = {TIME: DATE.match, **dict.fromkeys(NUMBERS, NUMBER.match)}  # what most values of a column must be


def fingerprint(path: Path) -> tuple[str, str]:
    """SHA-256 and encoding of a file, in one pass over its bytes."""
    digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        encoding = "utf-16" if stream.peek(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8"
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
            if encoding == "utf-8" and not (chunk.isascii() and decoder.getstate() == (b"", 0)):  # seen in no time
                try:
                    decoder.decode(chunk, final=len(chunk) < 1 << 20)
                except UnicodeDecodeError:
                    encoding = "latin-1"  # every byte is a letter there, so this reading never fails
    return digest.hexdigest(), encoding


def refuse_damaged(path: Path, encoding: str) -> None:
    """Raises ValueError, with the line, for a byte that no text has, or that is not UTF-8 where letters before it are."""
    line = 1
    with path.open("rb") as stream:
        while encoding != "utf-16" and (chunk := stream.read(1 << 20)):
            if (at := chunk.find(b"\0")) >= 0:
                line += chunk.count(b"\n", 0, at)
                raise ValueError(f"line {line}: {NUL}")
            line += chunk.count(b"\n")
        letters = False
        stream.seek(0)
        for line, text in enumerate(stream if encoding == "latin-1" else (), 1):
            try:
                letters = bool(text.decode("utf-8")) and (letters or not text.isascii())
            except UnicodeDecodeError:
                if letters:
                    raise ValueError(f"line {line}: not UTF-8, as the lines before it are; mend it, or set encoding") from None
                return  # its first letter beyond ASCII is not UTF-8: another encoding


def shape_of(path: Path, encoding: str, delimiter: str | None, header: bool | None) -> tuple[str, bool, int, list[str]]:
    """Delimiter, header, lines before it, names of the columns (column1 … without it); what is given stays."""
    with path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as stream:
        lines = [line for _, line in zip(range(SAMPLE_LINES), stream, strict=False)]
    blank_lines = next((i for i, line in enumerate(lines) if line.strip("\r\n")), len(lines))
    if not (lines := lines[blank_lines:]):
        raise ValueError("the file is empty")
    above = titles(lines) if header is None else 0
    blank_lines, lines = blank_lines + above, lines[above:]
    if "\0" in lines[0]:
        raise ValueError(f"line {blank_lines + 1}: {NUL}")
    best, marks, bare = parted(lines[0])
    delimiter = delimiter or (best if marks or len(bare.split()) < 2 else "blank")
    csv.field_size_limit(1 << 30)  # a long text is no fault; the module's own limit is 128 kB
    rows = [line.split() for line in lines] if delimiter == "blank" else list(csv.reader(lines, delimiter=delimiter))
    if header is None:
        header = not any(NUMBER.match(cell.strip()) or DATE.match(cell.strip()) for cell in rows[0])
    names = [cell.strip() for cell in rows[0]] if header else [""] * max(map(len, rows))
    if len(names) > COLUMNS:
        raise ValueError(f"line {blank_lines + 1}: {len(names):,} columns; a text may have {COLUMNS:,}, Parquet more")
    return delimiter, header, blank_lines, [name or f"column{position}" for position, name in enumerate(names, 1)]


def parted(line: str) -> tuple[str, int, str]:
    """The mark that parts a line, how often it stands there, and the line without what is quoted."""
    bare = re.sub('"[^"]*"', "", line)
    best = max(MARKS, key=bare.count)
    return best, bare.count(best), bare


def titles(lines: list[str]) -> int:
    """How many of the first lines stand above the names of a known export's columns."""
    first = parted(lines[0])[1]
    wider = [(at, line, *parted(line)[:2]) for at, line in enumerate(lines[1:20], 1)]
    return next((at for at, line, mark, count in wider
                 if count > first and formats_of(next(csv.reader([line], delimiter=mark)))), 0)


def called(aliases: list[str], names: list[str]) -> str | None:
    """The first of a column's names in exports that stands among those of a file, as the file writes it."""
    plain = {name.strip().lower(): name.strip() for name in names} | {
        re.sub(r"\([a-z]{3}\)$", "(*)", name.strip().lower()): name.strip() for name in names if name.strip().endswith(")")}
    return next((plain[alias.lower()] for alias in aliases if alias.lower() in plain), None)


def formats_of(names: list[str]) -> list[str]:
    """Formats of which a file has all columns that are needed, the one first that knows most of its columns."""
    has = {name: {column for column, (_, *aliases) in form["columns"].items() if called(aliases, names)}
           for name, form in FORMATS.items()}
    fits = [name for name, form in FORMATS.items() if form["columns"].keys() - {*form["optional"]} <= has[name]]
    return sorted(fits, key=lambda name: -len(has[name]))


def guess_decimal(values: list[str]) -> str:
    """',' or '.', by digits other than three behind it. Raises ValueError where 1,234 may be either."""
    values = [value.strip("+-() ") for value in values]
    by_place = r"{m}(\d\d?|\d{{4,}})$|^0?{m}\d|\d{{4}}{m}\d|{n}\d{{3}}[.,]|[ '\u00a0\u2009\u202f]\d{{3}}{m}\d"
    proofs = (by_place.format(m=mark, n=other) for mark, other in ((",", r"\."), (r"\.", ",")))
    comma, point = (any(re.search(proof, value) for value in values) for proof in proofs)
    unsure = next((value for value in values if re.fullmatch(r"\d{1,3}[.,]\d{3}", value)), None)
    if unsure and comma == point:
        raise ValueError(f"{unsure!r} may be a decimal or a thousand; set decimal")
    return "," if comma and not point else "."


def guess_dayfirst(values: list[str]) -> bool | None:
    """Whether dates name the day first; None where all are ISO. Raises ValueError where both may be."""
    if not (parts := [match for match in map(PARTS.match, values) if match]):
        return None
    first, second = (max(parts, key=lambda match: int(match[group])) for group in (1, 3))
    days, months = int(first[1]) > 12, int(second[3]) > 12
    if days and months:
        raise ValueError(f"{first[0]!r} names the day first, {second[0]!r} the month; export dates as 2025-06-13, or set "
                         "dayfirst: then rows that do not fit are rejected")
    if not days and not months:
        raise ValueError(f"{parts[0][0]!r} may be day/month or month/day; set dayfirst")
    return days


def guess_dates(values: list[str], dayfirst: bool | None) -> list[str]:
    """strptime formats of dates that are not ISO; none for ISO."""
    marks = sorted({match[2] for match in map(PARTS.match, values) if match})
    days = [mark.join(("%d", "%m", "%Y") if dayfirst else ("%m", "%d", "%Y")) for mark in marks]
    days += ["%Y%m%d"] if any(re.match(r"[12]\d{7}(?!\d)", value) for value in values) else []
    return [day + clock for day in days for clock in CLOCKS]


def guess_columns(table: str, names: list[str], seen: list[list[str]]) -> dict[str, int]:
    """Canonical column -> its place in the file: by its name, or by what it holds where the file has no names."""
    plain, places = [re.sub(r"\(.*?\)|[^a-z0-9]", "", name.lower()) for name in names], {}
    synonyms = read_yaml("sources/synonyms.yaml")
    for column, kind in TABLES[table].columns.items():
        known = [column.replace("_", ""), *synonyms.get(f"{table}.{column}", synonyms.get(column, []))]
        for i in [plain.index(name) for name in known if name in plain]:
            if sum(map(bool, map(LOOKS.get(kind, bool), seen[i]))) >= 0.8 * len(seen[i]):
                places.setdefault(column, i)
    if table == "transactions" and names[0] == "column1":
        dates, numbers = ([i for i, v in enumerate(seen) if v and all(map(LOOKS[kind], v))] for kind in (TIME, MONEY))
        money = [i for i in numbers if i not in dates and re.search("[.,]", "".join(seen[i]))]
        ids = [i for i, v in enumerate(seen) if i not in dates + money and len(set(v)) < len(v)]
        guesses = ("customer_id", ids), ("transacted_at", dates), ("amount", money[::-1])
        places = {column: found[0] for column, found in guesses if found}
    return places
