"""What a text file is like, from its bytes and first lines: encoding, delimiter, header, decimal mark, dates."""

from __future__ import annotations

import codecs
import csv
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SAMPLE_LINES = 1000
NUMBER = re.compile(r"^\s*[+-]?[\d.,]*\d[.,]?\s*$")
DATE = re.compile(r"^\d{4}[-/]?\d\d[-/]?\d\d|^\d{1,2}[./-]\d{1,2}[./-]\d{4}")
ISO = re.compile(r"^\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class TextShape:
    """How to read one text file. `rows` is a sample of its fields, header left out; `names` the header or none."""

    encoding: str
    delimiter: str
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    header: bool


def fingerprint(path: Path) -> tuple[str, str]:
    """SHA-256 and encoding of a file, in one pass over its bytes."""
    digest, encoding, decoder = hashlib.sha256(), "utf-8", codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        start = stream.read(2)
        if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            encoding = "utf-16"
        stream.seek(0)
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
            if encoding == "utf-8":
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError:
                    encoding = "latin-1"  # every byte is a letter there, so this reading never fails
    return digest.hexdigest(), encoding


def shape_of(path: Path, encoding: str, delimiter: str | None = None, header: bool | None = None) -> TextShape:
    """Delimiter, header and a sample of a text file; what is given is not guessed."""
    with path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as stream:
        lines = [line for _, line in zip(range(SAMPLE_LINES), stream, strict=False)]
    delimiter = delimiter or guess_delimiter(lines)
    rows = [tuple(row) for row in split(lines, delimiter)]
    if header is None:
        header = bool(rows) and not any(NUMBER.match(cell) or DATE.match(cell) for cell in rows[0])
    names = tuple(cell.strip() for cell in rows[0]) if header and rows else ()
    return TextShape(encoding, delimiter, names, tuple(rows[1 if header else 0 :]), header)


def split(lines: Iterable[str], delimiter: str) -> list[list[str]]:
    if delimiter == "blank":
        return [line.split() for line in lines if line.strip()]
    return [row for row in csv.reader(lines, delimiter=delimiter) if row]


def guess_delimiter(lines: list[str]) -> str:
    """The delimiter that gives most lines the same number of fields, and more than one."""

    def consistency(mark: str) -> tuple[float, int]:
        widths = [len(row) for row in split(lines, mark)]
        common = max(set(widths), key=lambda width: (widths.count(width), width), default=1)
        return (widths.count(common) / len(widths) if common > 1 else 0, common)

    best = max([",", ";", "\t", "|", "blank"], key=consistency)
    return best if consistency(best)[0] > 0 else ","


def guess_decimal(values: Iterable[str]) -> str:
    """',' where numbers end in a comma and digits other than three, '.' otherwise."""
    values = [value.strip() for value in values]
    comma = any(re.search(r",(\d{1,2}|\d{4,})$", value) for value in values)
    point = any(re.search(r"\.(\d{1,2}|\d{4,})$", value) for value in values)
    return "," if comma and not point else "."


def guess_dates(values: Iterable[str], dayfirst: bool | None) -> list[str]:
    """strptime formats of dates that are not ISO; none for ISO. Raises ValueError where day and month are ambiguous."""
    values = [value.strip() for value in values if value and value.strip()]
    if not values or any(ISO.match(value) for value in values):
        return []
    if all(re.fullmatch(r"\d{8}", value) for value in values):
        return ["%Y%m%d"]
    found = [re.match(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})", value) for value in values]
    parts = [match for match in found if match]
    if not parts:
        return []
    first, second = max(int(m[1]) for m in parts), max(int(m[3]) for m in parts)
    if dayfirst is None:
        if first <= 12 and second <= 12:
            raise ValueError(f"{values[0]!r} may be day/month or month/day; set dayfirst")
        dayfirst = first > 12
    mark = parts[0][2]
    day = mark.join(("%d", "%m", "%Y") if dayfirst else ("%m", "%d", "%Y"))
    return [f"{day} %H:%M:%S", f"{day} %H:%M", day]
