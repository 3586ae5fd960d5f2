"""Whatever a book is like: every row and every cent is accounted for, and nobody sees a traceback."""

import csv
import io
import random
import re
from collections import Counter
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from simulate import predicted

from helpers import marts
from helpers.contracts import BELOW, COUNT, FLAG, MONEY, RATE, TABLES, TEXT, TIME, ReportError
from helpers.demo import FILES, write_demo
from helpers.engine import SQL, Engine
from helpers.inputs import sha256
from helpers.metrics import data_prep
from helpers.params import load_params
from helpers.runner import run_report
from helpers.settings import Source
from helpers.sources import read_source
from helpers.sources.text import BLANKS

# --- random books -----------------------------------------------------------------------------------------------

CELLS = {
    MONEY: ["10", "0.5", "19.99", "1234.5678"], RATE: ["7", "0.01", "12.00000001"], COUNT: ["1", "2", "3"],
    TIME: ["2024-02-29", "2024-11-03 01:30:00", "2025-01-05", "2025-06-30 23:59:59"], FLAG: ["true", "no", "1"],
}
# what stands in a cell for a number -> the number, where it can be read as one
NUMBERS = {
    "": None, "abc": None, "1e400": None, "NaN": None, "Infinity": None, "-": None, "--5": None, "5,5,5": None, "=1+1": None,
    "$5": None, "99999999999999999": None, "1e300": None, "５": None, "99999999999999": "99999999999999", "0": "0", "-0": "0",
    "-99999999999999": "-99999999999999", "99999999999": "99999999999", "2147483647": "2147483647", "2147483648": "2147483648",
    "(1,234.56)": "-1234.56", "5-": "-5", "-3": "-3", "+7": "7", ".5": "0.5", "1e3": "1000", "1'000": "1000",
    "1 234.5": "1234.5", "1\u202f234": "1234", "0.00005": "0.00005", "-0.00005": "-0.00005", "0.00004999": "0.00004999",
    "0.00000001": "0.00000001", "00042": "42", "17850.0": "17850", "45000": "45000",
}
ON_AS_OF = {"2025-07-01", "2025-07-01 00:00:00", "2025-06-30T24:00:00"}  # written in three ways; it has a rate yet
LATE = ON_AS_OF | {"2031-01-01 10:00 UTC", "9999-12-31", "290000-1-1"}
EARLY = {"1969-12-31", "0001-01-01"}
TIMES = [*sorted(LATE | EARLY), "", "2025-02-30", "infinity", "epoch", "45000", "0",
         "2025-06-01 10:00:00+99:00", "12:00", "now"]
TEXTS = [
    "", " ", "\u00a0", "0", "NULL", "'; drop table raw_transactions; --", '"', '""', "'", ",", ";", "\t", "a,b;c|d", "a\nb",
    "\\", "two\r\nlines\r\n", "=cmd|'/C calc'!A0", "@SUM(1)", "<script>", "Zoë 顧客 😀", "e\u0301", "\u200b", "\ufeff",
    "%s {} ${HOME}", "x" * 300, "00042", "17850.0", "ANN@x.org", "ann+news@x.org", "gbp", "ZZZ", "EUR",
]
NAMES = ["ann", "Ann ", "bob", "17850.0", "17850", "ann@x.org", "ann+shop@x.org"]
TEARS = ["cut here", '"', "\0", "\n", ",", "\r", "\udcff", "x" * 2000]  # in the middle of the file


@dataclass
class Sheet:
    """A table as its file holds it; `tear`: what is put in the file, and after how many letters."""

    header: list[str]
    rows: list[list[str]]
    tear: tuple[str, int] | None = None

    def text(self) -> str:
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows([self.header, *self.rows])
        tear, at = self.tear or ("", 0)
        text = stream.getvalue()
        return text[:at] if tear == "cut here" else text[:at] + tear + text[at:]


def valid_cell(chance: random.Random, table: str, column: str) -> str:
    contract = TABLES[table]
    if column in {*contract.known, *contract.not_before}:
        return chance.choice(["", "2025-06-30 12:00:00"])
    if column in contract.accepted:
        return chance.choice(contract.accepted[column])
    if "currency" in column:
        return chance.choice(["USD", "EUR", "eur", ""])
    if column in contract.people:
        return chance.choice(NAMES)
    if column == "is_internal":
        return chance.choice(["", "", "no", "no", "true"])
    if column in contract.key and contract.columns[column] == TEXT:
        return f"{column} {chance.randrange(40)}"
    return chance.choice(CELLS.get(contract.columns[column], ["x", "y", "z"]))


LETTERS = st.characters(codec="utf-8", exclude_characters="\r")  # csv writes it without quotes, and then it ends a line


def damage(draw: st.DrawFn, table: str, sheet: Sheet) -> None:
    """One fault of a kind that exports have."""
    place, row = draw(st.integers(0, len(sheet.header) - 1)), draw(st.sampled_from(sheet.rows))
    column = sheet.header[place].strip().lower()
    kind = draw(st.sampled_from(["cell"] * 20 + ["repeat"] * 4 + ["reorder", "drop", "rename", "double", "shout"]))
    if kind == "cell":
        typed = {TIME: TIMES, **dict.fromkeys((MONEY, RATE, COUNT), [*NUMBERS])}.get(TABLES[table].columns.get(column))
        row[place] = draw(st.sampled_from(typed) if typed else st.sampled_from(TEXTS) | st.text(LETTERS, max_size=8))
    elif kind == "repeat":
        sheet.rows.append([*row])
    elif kind == "reorder":
        for cells in (sheet.header, *sheet.rows):
            cells.append(cells.pop(place))
    elif kind == "drop" and len(sheet.header) > 1:
        for cells in (sheet.header, *sheet.rows):
            del cells[place]
    elif kind == "double":
        for cells in (sheet.header, *sheet.rows):
            cells.append(cells[place])
    elif kind == "rename":
        sheet.header[place] = draw(st.sampled_from([f"{column}_x", "", "select", 'a"b', "2024", column[:-1]]))
    elif kind == "shout":
        sheet.header[place] = f" {column.upper()} "


@st.composite
def sheets(draw: st.DrawFn, table: str) -> Sheet:
    contract, chance = TABLES[table], random.Random(draw(st.integers(0, 10**6)))
    header = [column for column in contract.columns if column in contract.required or chance.random() < 0.5]
    count = draw(st.integers(1, 8))
    sheet = Sheet(header, [[valid_cell(chance, table, column) for column in header] for _ in range(count)])
    for _ in range(draw(st.integers(0, 5))):
        damage(draw, table, sheet)
    if draw(st.integers(0, 9)) == 9:
        sheet.tear = draw(st.sampled_from(TEARS)), draw(st.integers(0, 400))
    return sheet


@st.composite
def books(draw: st.DrawFn, others: int) -> dict[str, Sheet]:
    """One of the tables that a report is made from, and at most so many others."""
    main = draw(st.sampled_from(["transactions", "subscriptions"]))
    others = draw(st.lists(st.sampled_from(sorted(TABLES.keys() - {main, "fx_rates"})), max_size=others, unique=True))
    return {table: draw(sheets(table)) for table in [main, *others]}


def money(table: str, sheet: Sheet) -> Decimal:
    """What the file holds, in the report's currency: 1.25 USD a EUR on every day from 1970 to as_of."""
    contract, total = TABLES[table], Decimal(0)
    places = {name.strip().lower(): place for place, name in enumerate(sheet.header)}
    valid = CELLS[MONEY] + CELLS[RATE]
    if not contract.worth or contract.worth not in places:  # a header may be damaged into an empty one
        return total
    for row in sheet.rows:
        written = row[places[contract.worth]]
        value = Decimal(NUMBERS.get(written, written if written in valid else None) or 0)
        value = half_up(value, contract.columns[contract.worth])
        value = value if abs(value) < 10 ** (10 if contract.columns[contract.worth] == RATE else 14) else Decimal(0)
        at = row[places[contract.moment]] if contract.moment in places else ""
        currency = row[places["currency"]].strip(BLANKS).upper() if "currency" in places else ""
        if contract.worth in contract.convert and currency not in ("", "USD"):
            rate = Decimal("1.25") if currency == "EUR" and at not in LATE - ON_AS_OF | EARLY else Decimal(0)  # none: no money
            value *= rate if abs(value * rate) < 10**12 else 1  # what is rejected as an error for its size is not converted
        total += half_up(value, MONEY)
    return total


def half_up(value: Decimal, kind: str) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-8 if kind == RATE else -4), ROUND_HALF_UP)


class Books:
    """Random books judged in one engine, each in a schema that is dropped: a tenth of the time of `prepare`."""

    def __init__(self, folder: Path) -> None:
        self.params, self.engine, self.seen = load_params(write_book(folder, {})), Engine(), Counter()
        self.engine.connection.execute("set threads = 1")
        marts.settings(self.engine, self.params)
        for table in ("fx_rates", "customers"):
            read_source(self.engine, self.params, table)
        marts.judge(self.engine, [TABLES["fx_rates"], TABLES["customers"]])

    def check(self, book: dict[str, Sheet]) -> None:
        write_book(self.params.file.parent, book)
        sources = {table: Source(path=f"{table}.csv", **HOW) for table in book}
        params = self.params.model_copy(update={"sources": sources})
        self.engine.connection.execute("create schema trial")
        self.engine.connection.execute("set search_path = 'trial,main'")
        try:
            for table in book:
                read_source(self.engine, params, table)
            marts.judge(self.engine, [TABLES[table] for table in book])
            self.engine.build("read_rows", "staging/read", tables={table: TABLES[table] for table in book}, below=BELOW)
            self.engine.build("staged_rows", "staging/rows", tables=list(book))
            self.seen["judged"] += 1
            account_for(self.engine, book)
            for table in book:
                point_at_lines(self.engine, table, book[table])
        except ReportError as error:
            self.seen["refused"] += 1
            assert str(error).count("\n") >= 2  # what, where, and what to do
        finally:
            self.engine.connection.execute("set search_path = 'main'")
            self.engine.connection.execute("drop schema trial cascade")


HOW = {"decimal": ".", "dayfirst": True, "delimiter": ",", "header": True}


def write_book(folder: Path, book: dict[str, Sheet]) -> Path:
    for table, sheet in book.items():
        (folder / f"{table}.csv").write_bytes(sheet.text().encode("utf-8", "surrogateescape"))
    if "fx_rates" not in book:
        (folder / "fx_rates.csv").write_text("date,from_currency,to_currency,rate\n1970-01-01,EUR,USD,1.25\n")
    sources = {table: {"path": f"{table}.csv", **HOW} for table in {"transactions": None, **book, "fx_rates": None}}
    report = {"name": "book", "title": "Book", "month": "2025-06"}
    (folder / "book.yaml").write_text(yaml.safe_dump({"report": report, "sources": sources}))
    return folder / "book.yaml"


def account_for(engine: Engine, book: dict[str, Sheet]) -> None:
    """Check read = kept + rejected + after_as_of in rows and money, and read by a count of our own."""
    stages = engine.table("read_rows").select('"table", \'read\', "rows", amount').fetchall()
    stages += engine.table("staged_rows").select('"table", stage, "rows", amount').fetchall()
    for table, sheet in book.items():
        parts: dict[bool, list[tuple[int, Decimal]]] = {True: [(0, Decimal(0))], False: [(0, Decimal(0))]}
        for name, stage, rows, amount in stages:
            assert stage in ("read", "kept", "rejected", "after_as_of")
            if name == table:
                parts[stage == "read"].append((rows, amount or Decimal(0)))
        read, others = ([sum(column) for column in zip(*parts[side], strict=True)] for side in (True, False))
        assert read == others, table
        if not sheet.tear:
            assert read == [len(sheet.rows), money(table, sheet)], table


NOTHING = {"NULL", "null", "\\N", "NaN", "nan", "NaT", "None", "NA", "<NA>", "N/A", "n/a"}  # docs/inputs.md: no key


def lines(cells: list[str]) -> int:
    """On how many lines of a file a row stands."""
    return len(io.StringIO(Sheet(cells, []).text(), newline="").readlines())


def point_at_lines(engine: Engine, table: str, sheet: Sheet) -> None:
    """Check that each row names the line on which it stands, and each value that cannot be read its cell there."""
    if sheet.tear:
        return
    contract, place, begins = TABLES[table], {name.strip().lower(): i for i, name in enumerate(sheet.header)}, {}
    line = 1 + lines(sheet.header)
    for cells in sheet.rows:
        begins[line] = [cell.strip(BLANKS) or None for cell in cells]
        line += lines(cells)
    changed = {*contract.people, *contract.accepted, *contract.defaults, *contract.known}
    same = place.keys() - changed - {"transaction_id"}
    plain = [name for name, kind in contract.columns.items() if kind == TEXT and name in same]
    plain = [name for name in plain if "currency" not in name]
    keys = [name in contract.key for name in plain]
    columns = ["line", "rule", "rule_column", "rule_value", *(f'"{name}"' for name in plain)]
    for line, rule, column, value, *texts in engine.table(f"staged_{table}").select(*columns).fetchall():
        told = [begins[line][place[name]] for name in plain]
        assert texts == [None if is_key and of in NOTHING else of for of, is_key in zip(told, keys, strict=True)]
        assert rule != "cannot be read" or value == begins[line][place[column]]


@pytest.fixture(scope="module")
def random_books(tmp_path_factory):
    return Books(tmp_path_factory.mktemp("random"))


ALL = {"derandomize": True, "deadline": None, "database": None, "print_blob": True, "suppress_health_check": [*HealthCheck]}


@settings(max_examples=200, **ALL)
@given(book=books(1))
def test_every_row_and_cent_of_a_random_book_is_accounted_for(random_books, book):
    random_books.check(book)


@pytest.mark.long
@settings(max_examples=2000, **ALL)
@given(book=books(5))
def test_every_row_and_cent_of_2000_random_books_is_accounted_for(random_books, book):
    random_books.check(book)


def test_most_random_books_were_judged(random_books):
    assert random_books.seen["refused"] < 0.4 * random_books.seen["judged"]


def test_any_cell_may_hold_anything(tmp_path):
    """One row for each cell of every table and each fault; then every mart and every summary, for sums have an end, too."""
    book = {}
    for table, contract in TABLES.items():
        chance, header, rows = random.Random(7), list(contract.columns), []
        for place, column in [(None, None)] * 5 + list(enumerate(header)):
            for written in [None] if column is None else [*NUMBERS, *TIMES, *TEXTS]:
                row = [valid_cell(chance, table, name) for name in header]
                for name in {*contract.key} - {column, *contract.accepted}:
                    if contract.columns[name] in (TEXT, COUNT):
                        row[header.index(name)] = str(len(rows))
                if place is not None:
                    row[place] = written
                rows.append(row)
        book[table] = Sheet(header, rows)
    made = predicted(marts.prepare(str(write_book(tmp_path, book)), None, str(tmp_path / "run")))
    account_for(made.engine, {table: sheet for table, sheet in book.items() if not TABLES[table].convert})
    for table, sheet in book.items():
        point_at_lines(made.engine, table, sheet)
        kept = made.engine.table(f"staged_{table}").filter("stage = 'kept'").count("*").fetchall()[0][0]
        assert len(sheet.rows) > kept > 5, table
    for query in SUMMARIES:
        made.frame(f"summaries/{query}")


# --- the same book in other words -------------------------------------------------------------------------------

SUMMARIES = sorted(path.stem for path in (SQL / "summaries").glob("*.sql"))
MONTH, AS_OF = "2025-06", "2025-07-01"


def typed_rows(table: str, count: int) -> pd.DataFrame:
    """Rows of a table that the demo company does not have; every fifth breaks its contract."""
    chance, contract = random.Random(3), TABLES[table]
    rows = pd.DataFrame([{name: valid_cell(chance, table, name) for name in contract.columns} for _ in range(count)])
    for name in contract.key:
        rows[name] = [f"{name} {row:03}" if contract.columns[name] == TEXT else rows[name][row] for row in range(count)]
    for name in set(contract.required) & set(contract.accepted) or {contract.required[0]}:
        rows.loc[::5, name] = "nonsense" if name in contract.accepted else ""
    return rows


@pytest.fixture(scope="module")
def company(tmp_path_factory) -> dict[str, pd.DataFrame]:
    """The demo company, as text, with some rows of every table that it lacks, and some that are rejected."""
    folder = tmp_path_factory.mktemp("company")
    write_demo(folder, customers=120, months=18, end=MONTH)
    tables = {name: pd.read_csv(folder / f"{name}.csv", dtype="str", keep_default_na=False) for name in FILES}
    tables |= {name: typed_rows(name, 40) for name in TABLES if name not in tables}
    tables["fx_rates"] = pd.DataFrame([["2024-01-01", "EUR", "USD", "1.25"], ["2025-06-10", "EUR", "USD", "1.5"]],
                                      columns=[*TABLES["fx_rates"].columns])
    sales = tables["transactions"]  # what cannot be read cannot stand in Parquet either
    dated = pd.to_datetime(sales["transacted_at"], errors="coerce", format="ISO8601").notna()
    tables["transactions"] = sales = sales[dated & pd.to_numeric(sales["amount"], errors="coerce").notna()].copy()
    sales.loc[::50, "amount"] = ""
    sales.loc[5::50, "customer_id"] = sales["customer_id"].str.lower()
    tables["subscriptions"].loc[::30, "interval"] = "fortnight"
    return tables


@pytest.fixture(scope="module")
def shop(company) -> dict[str, pd.DataFrame]:
    """Sales alone, without ids of transactions, and some without a customer, two of them at the same time."""
    sales = company["transactions"][["customer_id", "transacted_at", "amount"]].copy()
    sales.loc[sales.index[7::9], "customer_id"] = ""
    return {"transactions": pd.concat([sales, sales[sales["customer_id"] == ""].tail(20).assign(amount="0.25")])}


def write_tables(folder: Path, tables: dict[str, pd.DataFrame]) -> Path:
    """CSV files and a params file."""
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return write_sources(folder, {name: f"{name}.csv" for name in tables})


def write_sources(folder: Path, paths: dict[str, str]) -> Path:
    sources = {name: {"path": path} for name, path in paths.items()}
    how = {"report": {"name": "book", "title": "Book", "month": MONTH}, "sources": sources, "history": None}
    (folder / "book.yaml").write_text(yaml.safe_dump(how))
    return folder / "book.yaml"


def in_three_files(folder: Path, tables: dict[str, pd.DataFrame]) -> Path:
    """The rows in another order, dealt out to three files a table."""
    for name, table in tables.items():
        (folder / name).mkdir()
        shuffled = table.sample(frac=1, random_state=5)
        for part in range(3):
            shuffled.iloc[part::3].to_csv(folder / name / f"{part}.csv", index=False)
    return write_sources(folder, {name: name for name in tables})


KINDS = {MONEY: pa.decimal128(18, 4), RATE: pa.decimal128(18, 8), TIME: pa.timestamp("us"), COUNT: pa.int32(), FLAG: pa.bool_(),
         TEXT: pa.string()}


def as_parquet(folder: Path, tables: dict[str, pd.DataFrame]) -> Path:
    """The rows as typed Parquet files."""
    for name, table in tables.items():
        columns = {}
        for column in table:
            kind = TABLES[name].columns.get(column, TEXT)
            cells = [None if cell == "" else cell for cell in table[column]]
            if kind in (MONEY, RATE):
                cells = [cell and Decimal(cell) for cell in cells]
            elif kind == TIME:
                cells = [cell and pd.Timestamp(cell).tz_localize(None).to_pydatetime() for cell in cells]
            elif kind == COUNT:
                cells = [cell and int(cell) for cell in cells]
            elif kind == FLAG:
                cells = [cell and cell in ("true", "1") for cell in cells]
            columns[column] = pa.array(cells, KINDS[kind])
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return write_sources(folder, {name: f"{name}.parquet" for name in tables})


def with_later_rows(folder: Path, tables: dict[str, pd.DataFrame]) -> Path:
    """Beside each table's rows, some from the time after the month, in which anything may stand."""
    for name, table in tables.items():
        contract, later = TABLES[name], table.tail(12).copy()
        moments = [column for column in contract.columns if contract.columns[column] == TIME and column in table]
        for column in moments:
            later[column] = [f"{AS_OF}T00:00:00" if row % 2 else "2025-09-01" for row in range(len(later))]
        if not {*moments} & {*re.findall(r"\w+", contract.moment)}:
            continue  # without a date a row is of all times
        for column in set(contract.key) & {*table} - {*moments}:
            later[column] = later[column].where(later.index % 3 == 0, "new " + later[column].astype("str"))
        for column in set(contract.people) & {*table}:
            later[column] = [cell.upper() if row % 2 else f"!{cell}" for row, cell in enumerate(later[column])]
        for column in {*table} - {*moments, *contract.people}:
            later[column] = later[column].mask(later[column] == "", "x")
        for column in {"currency", contract.worth, *contract.accepted} & {*table}:
            later[column] = {"currency": "ZZZ", contract.worth: "999999999999999"}.get(column, "nonsense")
        tables = tables | {name: pd.concat([later, table])}
    return write_tables(folder, tables)


@pytest.fixture(scope="module", params=["company", "shop"])
def versions(request, tmp_path_factory):
    """A book, and the same in another order and files, as Parquet, and with rows from later on."""
    tables = request.getfixturevalue(request.param)
    made = {}
    for way in (write_tables, in_three_files, as_parquet, with_later_rows):
        folder = tmp_path_factory.mktemp(way.__name__)
        made[way.__name__] = predicted(marts.prepare(str(way(folder, tables)), None, str(folder / "run")))
    return made


ABOUT_FILES = {"inputs": ["file", "sha256", "encoding", "rows", "first", "last"], "rejected_rows": ["file", "line"],
               "trace": ["first_source_row"]}


def marts_of(book: marts.Book) -> dict[str, str]:
    return {path.stem: sha256(path) for path in sorted((book.run_dir / "marts").glob("*.parquet"))}


def summary(book: marts.Book, query: str) -> pd.DataFrame:
    """A summary without the places of its rows."""
    frame = book.frame(f"summaries/{query}")
    if query == "inputs":  # a row a file
        return frame.fillna("").groupby("table", as_index=False)[["ignored_columns", "newest"]].max()
    frame = frame.drop(columns=ABOUT_FILES.get(query, []))
    return frame.sort_values([*frame], ignore_index=True) if query == "rejected_rows" else frame


@pytest.mark.parametrize("way", ["in_three_files", "as_parquet"])
def test_order_files_and_format_change_no_row_of_a_mart_and_no_summary(versions, way):
    as_it_was, other = versions["write_tables"], versions[way]
    for path in sorted((as_it_was.run_dir / "marts").glob("*.parquet")):
        assert_frame_equal(pd.read_parquet(other.run_dir / "marts" / path.name), pd.read_parquet(path), obj=path.stem)
    for query in SUMMARIES:
        assert_frame_equal(summary(other, query), summary(as_it_was, query), check_exact=True, obj=query)


@pytest.mark.parametrize("way", ["in_three_files", "as_parquet"])
def test_order_files_and_format_change_no_byte_of_a_mart(versions, way):
    assert marts_of(versions[way]) == marts_of(versions["write_tables"])


OF_A_KEY = {  # one row of each table that has a key, and the column in which others say something else
    "transactions": ({"transaction_id": "T", "line_no": 1, "customer_id": "ann", "transacted_at": "2025-05-01"}, "amount"),
    "subscriptions": ({"subscription_id": "S", "customer_id": "ann", "plan_id": "pro", "interval": "month",
                       "started_at": "2025-01-05"}, "unit_amount"),
    "customers": ({"customer_id": "ann"}, "channel"),
    "plans": ({"plan_id": "pro"}, "list_price"),
    "feedback": ({"feedback_id": "F", "customer_id": "ann", "kind": "nps", "asked_at": "2025-05-01"}, "score"),
    "support_tickets": ({"ticket_id": "K", "customer_id": "ann", "opened_at": "2025-05-01"}, "topic"),
    "touches": ({"touch_id": "C", "customer_id": "ann", "touched_at": "2025-05-01", "programme": "care"}, "cost"),
    "fx_rates": ({"date": "2025-01-01", "from_currency": "EUR", "to_currency": "USD"}, "rate"),
    "ledger_control": ({"month": "2025-05-01", "measure": "mrr"}, "amount"),
}


def test_which_row_of_a_key_is_kept_rests_on_no_order_of_rows_or_files(tmp_path):
    assert {*OF_A_KEY} == {name for name, contract in TABLES.items() if contract.key}
    made = []
    for number, (way, values) in enumerate([
            (write_tables, "11223"), (write_tables, "32211"), (write_tables, "21321"), (in_three_files, "32121")]):
        tables = {name: pd.DataFrame([row | {column: value} for value in values]) for name, (row, column) in OF_A_KEY.items()}
        (folder := tmp_path / str(number)).mkdir()
        book = marts.prepare(str(way(folder, tables)), None, str(folder / "run"))
        for name, (_, column) in OF_A_KEY.items():
            staged = book.engine.table(f"staged_{name}").select(f'stage, rule, cast("{column}" as integer)').fetchall()
            assert Counter(staged) == {
                ("kept", None, 1): 1, ("rejected", "repeated", 1): 1,
                ("rejected", "contradicts another row", 2): 2, ("rejected", "contradicts another row", 3): 1}, name
        made.append((marts_of(book), *(summary(book, query).to_csv() for query in ("rows", "rejections", "rejected_rows"))))
    assert all(other == made[0] for other in made[1:])


def test_rows_dated_at_or_after_as_of_change_nothing_but_their_stage(versions):
    as_it_was, later = versions["write_tables"], versions["with_later_rows"]
    assert marts_of(later) == marts_of(as_it_was)
    for query in sorted({*SUMMARIES} - {"rows"}):
        assert_frame_equal(summary(later, query), summary(as_it_was, query), check_exact=True, obj=query)
    here, there = (book.frame("summaries/rows").set_index(["table", "stage"]) for book in (later, as_it_was))
    more = (here - there).groupby("stage")["rows"].agg(["min", "max"])
    assert more.loc[["kept", "rejected"]].eq(0).all(axis=None)
    assert more.loc["after_as_of"].equals(more.loc["read"]) and more.loc["read", "max"] == 12
    tied = pd.DataFrame(columns=["month", "measure", "gap"])
    broken = summary(later, "rejections")
    metrics = [data_prep.prep_metrics(frame.reset_index(), broken, tied, MONTH) for frame in (here, there)]
    metrics = [table[~table["metric"].isin(["rows_in", "rows_after_as_of"])].reset_index(drop=True) for table in metrics]
    assert_frame_equal(*metrics, check_exact=True)
    tables = {table for table, stage in here.index[here["rows"] != there["rows"]] if stage == "after_as_of"}
    assert tables == {table for table, _ in here.index}


def made_by(way, folder: Path, tables: dict[str, pd.DataFrame]) -> dict[str, bytes]:
    """metrics.csv, verdicts.csv and every table of a report."""
    folder.mkdir()
    report = run_report(way(folder, tables), out=folder / "out").parent
    return {path.relative_to(report).as_posix(): path.read_bytes() for path in sorted(report.rglob("*.csv"))}


# tables that name files and lines, that count all rows of the files, or both
ABOUT_LINES, ABOUT_ROWS = {"inputs", "rejected_rows", "trace"}, {"rows", "checks", "metric_readiness"}


@pytest.mark.long
@pytest.mark.parametrize(("way", "may_differ"), [
    (in_three_files, ABOUT_LINES), (as_parquet, ABOUT_LINES), (with_later_rows, ABOUT_LINES | ABOUT_ROWS | {"metrics"})])
def test_a_whole_report_is_the_same_from_the_same_rows_in_other_files(company, tmp_path_factory, way, may_differ):
    folder = tmp_path_factory.mktemp("report")
    as_it_was, other = made_by(write_tables, folder / "was", company), made_by(way, folder / "other", company)
    differ = {Path(name).stem for name in {*as_it_was, *other} if as_it_was.get(name) != other.get(name)}
    assert differ <= may_differ
    lines = [[line for line in made["metrics.csv"].splitlines() if not line.startswith((b"rows_in", b"rows_after_as_of"))]
             for made in (as_it_was, other)]
    assert lines[0] == lines[1]
