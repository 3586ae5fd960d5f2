"""A sheet of a workbook -> rows of text, which tell numbers and errors of its cells apart from what is written."""

import re
import zipfile
from functools import reduce
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

import duckdb
import pandas as pd
from python_calamine import load_workbook

from helpers.contracts import ReportError
from helpers.settings import Source, nearest
from helpers.sources.cells import LINE, TYPED, Opened

EXCEL = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
ERROR = re.compile(rb"""\bt\s*=\s*["']e["']""")  # a cell with an error, in the XML of a sheet


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
        raise ValueError(f"the sheet {name!r} is empty")
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
