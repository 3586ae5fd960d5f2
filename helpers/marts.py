"""Runs the SQL in order, checks what it made, writes Parquet; opens the marts of a run for the notebooks."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.contracts import BELOW, BOOKS, DERIVED, KEPT, MARTS, ROOT, TABLES, ReportError, Table, read_yaml
from helpers.demo import FILES, recipe, write_demo
from helpers.engine import BESIDE, Engine, read_sql, template
from helpers.params import load_params
from helpers.refusals import refuse
from helpers.settings import Params, Policy, month_index, month_label, month_start
from helpers.sources import SourceFile, damaged, read_source

PEOPLE = [(table, column) for table in TABLES.values() for column in table.people if column in table.columns]
SPLIT = [f"summaries/{name}" for name in ("survival", "member_ages", "customer_value", "cac_by", "spellings")]
FIRST_MONTH = 1970 * 12 + 1
OWN_AMOUNTS = "Name it, or take policy.mrr_source: subscriptions, whose own amounts are MRR."
COMMENTARY = 20_000  # letters
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Book:
    """A run as its notebooks see it: settings, the engine with its tables, and the folder for results."""

    params: Params
    run_dir: Path
    engine: Engine

    @property
    def month(self) -> int:
        """The report month as year * 12 + month."""
        return month_index(self.params.report.month)

    @property
    def given(self) -> set[str]:
        """The canonical tables that the params name."""
        return {*self.params.sources, *(["subscriptions"] if self.params.has_subscriptions else [])}

    @property
    def columns(self) -> set[str]:
        """The columns, as `table.column`, that the source files have; a margin that is set, or invoices, stand for some."""
        found = {".".join(pair) for pair in self.engine.table("source_columns").fetchall()}
        policy = self.params.policy
        stands = {"costs.amount": policy.gross_margin, "subscriptions.ended_at": policy.mrr_source == "invoices"}
        return found | {name for name, instead in stands.items() if instead}

    @property
    def least(self) -> dict[str, int]:
        """What lifetimes must rest on before they are judged: months of history, customers, and customers who left."""
        policy = self.params.policy
        return {"months": policy.min_history_months, "customers": policy.min_customers, "ends": policy.min_events}

    @property
    def labels(self) -> dict[int, str]:
        """Month index -> `YYYY-MM`, to the report month."""
        return {month: month_label(month) for month in range(FIRST_MONTH, self.month + 1)}

    def frames(self, queries: Sequence[str]) -> dict[str, pd.DataFrame]:
        """The results of several summary queries by name."""
        return {name: self.frame(f"summaries/{name}") for name in queries}

    def frame(self, query: str) -> pd.DataFrame:
        """The result of a summary query, such as `summaries/months`."""
        return self.engine.frame(query, **self._names(query))

    def pieces(self, query: str, column: str) -> Callable[[int], pd.DataFrame]:
        """The result of a summary of many rows, made once and read by the piece: value of `column` -> its rows, in order."""
        self.engine.set_aside("pieces", query)
        return lambda value: self.engine.rows("pieces", column, value)

    def sql(self, query: str) -> str:
        names = self._names(query)
        return template(query).render(names) if names else read_sql(query)

    def _names(self, query: str) -> dict:
        """What fills a summary that is a template: the tables and columns that are given."""
        if query in SPLIT:
            return {"dimensions": self.params.dimensions}
        if query == "summaries/months":
            return {"policy": self.params.policy}
        if query == "summaries/columns":
            return {"columns": sorted(self.engine.table("source_columns").fetchall())}
        if query == "summaries/volume_by_table":
            return {"tables": sorted(self.params.sources)}
        if query == "summaries/rates":
            return {"tables": [table for table in TABLES.values() if "currency" in table.columns]}
        if query == "summaries/duplicates":
            keyless = [table for name, table in self.params.tables.items() if name in self.given and not table.key]
            return {"tables": [self.params.tables[BOOKS[0]], *keyless]}  # sales are empty where none are given, but there
        return {}

    def read(self, name: str) -> pd.DataFrame:
        """A table that an earlier page of this run saved. Raises ReportError where there is none."""
        path = self.run_dir / "tables" / f"{name}.csv"
        if not path.is_file():
            raise ReportError(f"There is no table {name} in this run", remedy="Run the notebooks 01 to 05 first.")
        return read_csv(path)

    def earlier(self, name: str, columns: Sequence[str], months: int = 1) -> pd.DataFrame | None:
        """A table of the report published so many months before, under params.history; None where there is none.

        Raises ReportError where the file is not such a table.
        """
        path = self.params.earlier(name, months)
        if path is None or not path.is_file():
            return None
        try:
            return read_csv(path)[[*columns]]
        except (KeyError, ValueError, OSError):
            remedy = "Run that month again, or set history: null to go on without it."
            raise ReportError(f"{path} is damaged", [f"it should hold the columns {', '.join(columns)}"], remedy) from None

    def words(self) -> tuple[str, str] | None:
        """The analyst's commentary on the month and its signature, if there is one."""
        return commentary(self.params)

    def derive(self, name: str, **frames: pd.DataFrame) -> None:
        """Write a mart that rests on estimates and make it readable; its query joins the small `frames` by their names."""
        for given, frame in frames.items():
            self.engine.connection.from_df(frame).create_view(given)  # a view gives way where the cell is run again
        path = self.run_dir / "marts" / f"{name}.parquet"
        self.engine.write(f"marts/{name}", path, DERIVED[name])
        self.engine.register(f"mart_{name}", path)

    def save(self, name: str, frame: pd.DataFrame) -> pd.DataFrame:
        """Write `tables/<name>.csv`, unrounded and safe to open in a spreadsheet; returns the frame."""
        write_csv(frame, self.run_dir / "tables" / f"{name}.csv")
        return frame

    def publish(self, name: str, frame: pd.DataFrame) -> pd.DataFrame:
        """Write `<name>.csv` beside the pages; returns the frame."""
        write_csv(frame, self.run_dir / f"{name}.csv")
        return frame

    def add(self, kind: str, page: str, frame: pd.DataFrame) -> pd.DataFrame:
        """Keep a page's part of `metrics` or `checks` until 06_summary collects them.

        Raises ReportError where a part of that name holds others, which would be lost.
        """
        path, name = self.run_dir / "parts" / kind / f"{page}.csv", kind.removesuffix("s")
        lost = {*read_csv(path)[name]} - {*frame[name]} if path.is_file() else set()
        if lost:
            remedy = f"Give this one a name of its own, such as {page}_more; or, where those shall go, delete {path}."
            found = [f"would be written again, without {', '.join(sorted(lost)[:5])}"]
            raise ReportError(f"The {kind} of {page}", found, remedy)
        write_csv(frame, path)
        return frame

    def collect(self, kind: str) -> pd.DataFrame:
        """All pages' parts of a kind. Raises ReportError where none was written."""
        parts = sorted((self.run_dir / "parts" / kind).glob("*.csv"))
        if not parts:
            raise ReportError(f"There are no {kind} in this run", remedy="Run the notebooks 01 to 05 first.")
        frames = [read_csv(part) for part in parts]
        return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)


def prepare(params_file: str, month: str | None, run_dir: str) -> Book:
    """Sources -> staging -> marts as Parquet in `<run_dir>/marts`. Raises ReportError with every problem found."""
    params, folder = load_params(params_file, month or None), place(run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    book = Book(params, folder, stage(params, folder))
    for name, key in MARTS.items():
        path = folder / "marts" / f"{name}.parquet"
        table = params.tables[name] if name in (*KEPT, "transactions") else None
        names = {"dimensions": params.dimensions} if name in ("customers", "subscriptions") else {}
        names |= {"policy": params.policy, "single": False} if name.startswith("subscription") else {}
        names |= {"policy": params.policy} if name == "customer_timeline" else {}
        if name == "subscriptions" and params.policy.mrr_source == "invoices":
            book.engine.build("invoiced", "staging/invoiced", dimensions=params.dimensions)
        names |= {"month": "report_month"} if name == "rfm_customers" else {}
        book.engine.write(f"marts/{'kept' if name in KEPT else name}", path, key, table, **names)
        book.engine.register(f"mart_{name}", path)
        if name == "customer_days":
            book.engine.define("rfm_bounds", "staging/rfm_bounds", month="rfm_base_month")
            if params.rfm.cuts == "frozen" and not book.engine.table("rfm_bounds").limit(1).fetchall()[0][0]:
                found = f"fewer than 5 customers had bought by the end of {params.rfm.base_month}, so it has no cut-offs"
                raise ReportError("rfm.base_month", [found], "Name a later month, or take rfm.cuts: rank.")
    if params.policy.movements_of == "subscription":
        path = folder / "marts" / "subscription_mrr.parquet"
        key = ("subscription_id", *MARTS["subscription_months"])
        book.engine.write("marts/subscription_months", path, key, policy=params.policy, single=True)
        book.engine.register("mart_subscription_mrr", path)
    return book


def stage(params: Params, spill: Path | None = None) -> Engine:
    """Read and judge every source: the tables `raw_…` and `staged_…`, and the settings. Raises ReportError."""
    make_demo(params)
    engine, files, problems = Engine(spill), [], []
    try:
        commentary(params)  # told now, not after half the report
    except ReportError as error:
        problems.append(str(error))
    source = params.policy.mrr_source
    needed = {"plan_prices": {"subscriptions", "plans"}, "invoices": {"transactions"}}.get(source, set())
    needed = sorted(needed - params.sources.keys(), reverse=True)
    if found := [f"{source} needs the table {name}, which sources does not name" for name in needed]:
        problems.append(str(ReportError("policy.mrr_source", found, OWN_AMOUNTS)))
    settings(engine, params)
    with ThreadPoolExecutor(2) as pool:  # many small files: one is looked at while another is parsed
        tasks = [pool.submit(read_source, engine.beside(), params, table) for table in TABLES]
    for task in tasks:
        try:
            files += task.result()
        except ReportError as error:
            problems.append(str(error))
    if problems:
        raise ReportError("\n\n".join(problems))
    if taken := sum(file.shared for file in files):  # for run.log
        print(f"{taken} of {len(files)} source files taken as another month of this call read them", file=sys.stderr)
    try:
        judge(engine, list(params.tables.values()))
    except Exception:
        if problems := damaged(engine.connection, files):
            raise ReportError("A source is cut off or damaged, and", problems, "Export it again.") from None
        raise
    engine.build("read_rows", "staging/read", tables=TABLES, below=BELOW)
    engine.build("staged_rows", "staging/rows", tables=list(TABLES))
    engine.register("source_files", inputs_frame(files))
    present = sorted({(file.table, column) for file in files for column in file.columns})
    engine.register("source_columns", pd.DataFrame(present, columns=["table", "column"]))
    found = [f"invoices needs the column {name} of transactions, which no file has" for name in ("service_start", "service_end")
             if source == "invoices" and ("transactions", name) not in present]
    if found:
        raise ReportError("policy.mrr_source", found, OWN_AMOUNTS)
    refuse(engine, params, files)
    return engine


def judge(engine: Engine, tables: Sequence[Table]) -> None:
    """`raw_…` -> `staged_…`: every row with its stage. Rates come first, and who is who, for the others ask for them."""
    people = [(table, column) for table, column in PEOPLE if table.name in {of.name for of in tables}]
    engine.build("identity", "staging/identity", people=people)
    for table in sorted(tables, key=lambda of: ("fx_rates", "customers", of.name).index(of.name)):
        name = table.name
        engine.define(f"judged_{name}", "staging/judged", table=table, below=BELOW)
        if name == "transactions":
            empty = set(engine.empty("judged_transactions")).difference(table.key)  # lines get their numbers yet
            names = {"table": table, "empty": empty}
            engine.set_aside("named_transactions", "staging/named_transactions", **names)
            engine.build("shared_ids", "staging/shared_ids")
            engine.build("numbered_transactions", "staging/numbered_transactions", **names)
            engine.define("staged_transactions", "staging/transactions", **names)
            engine.build("refunds", "staging/refunds")
        else:
            engine.build(f"staged_{name}", "staging/staged", table=table)
        if name == "fx_rates":
            engine.build("rates", "staging/rates")


def commentary(params: Params) -> tuple[str, str] | None:
    """`<month>.md` in the folder that the params name: words and signature. Raises ReportError where it is not usable."""
    if not params.commentary:
        return None
    folder = params.resolve(params.commentary)
    path = folder / f"{params.report.month}.md"
    if not folder.is_dir():
        raise ReportError("commentary", [f"there is no folder {folder}"], "Name the folder of the <YYYY-MM>.md files, or null.")
    if not path.exists():
        return None
    try:
        words = path.read_text(encoding="utf-8-sig").strip()
    except (UnicodeDecodeError, OSError):
        raise ReportError(f"{path} is not a text file in UTF-8") from None
    text, _, last = words.rpartition("\n")
    problems = [] if re.match(r"(—|–|--)(?!-).*\w", last) else [
        f"the last line must be a signature, such as '— Ann Lee, head of data' (got {last[:60]!r})"]
    problems += [] if text.strip() else ["there are no words above the signature"]
    problems += [f"it has {len(words):,} letters, at most {COMMENTARY:,} are shown"] if len(words) > COMMENTARY else []
    if problems:
        raise ReportError(str(path), problems)
    return text, last


def settings(engine: Engine, params: Params) -> None:
    """Fill the small tables that queries join: run (one row), calendar (a row a month), rfm_codes."""
    last, said = month_index(params.report.month), params.policy.model_dump(exclude={"pandas_rows", "confidence"})
    run = said | {
        "report_month": last,
        "as_of": pd.Timestamp(params.as_of),
        "report_zone": params.report.timezone,
        "currency": params.report.currency,
        "has_subscriptions": params.has_subscriptions,
        "has_transactions": "transactions" in params.sources,
        "has_rates": "fx_rates" in params.sources,
        "observed_from": pd.Timestamp(params.policy.observed_from) if params.policy.observed_from else pd.NaT,
        "rfm_window_months": params.rfm.window_months,
        "rfm_base_month": month_index(params.rfm.base_month) if params.rfm.base_month else None,
        "holdout_weeks": params.ltv_cac.holdout_weeks,
    }
    counts = ["report_month", "inactive_days", "grace_days", "left_edge_months", "rfm_window_months", "rfm_base_month",
              "holdout_weeks", "void_days", "reactivation_days"]
    kinds = dict.fromkeys(counts, "Int32") | dict.fromkeys(["as_of", "observed_from"], "datetime64[us]")
    engine.register("run", pd.DataFrame([run]).astype(kinds))
    months = np.arange(FIRST_MONTH, last + 1, dtype="int32")
    starts = pd.to_datetime([month_start(int(m)) for m in months]).astype("datetime64[us]")
    ends = pd.to_datetime([month_start(int(m) + 1) for m in months]).astype("datetime64[us]")
    calendar = pd.DataFrame({"month": months, "month_start": starts, "month_end": ends})
    calendar["days"] = (calendar["month_end"] - calendar["month_start"]).dt.days.astype("int32")
    calendar["active_from"] = calendar["month_end"] - pd.Timedelta(days=params.policy.inactive_days)
    calendar["label"] = [month_label(int(m)) for m in months]
    engine.register("calendar", calendar)
    engine.register("days", pd.DataFrame({"day": pd.date_range("1970-01-01", params.as_of, unit="s").date}))
    codes = read_yaml("rfm_segments.yaml")
    pairs = [(code, segment) for segment, members in codes.items() for code in members]
    engine.register("rfm_codes", pd.DataFrame(pairs, columns=["code", "segment"]))
    fixed = {name: getattr(params.rfm, name) or () for name in ("recency_days", "frequency", "monetary")}
    cuts = [(name, 5 - at if name == "recency_days" else 2 + at, float(value))
            for name, values in fixed.items() for at, value in enumerate(values)]
    kinds = {"measure": "str", "score": "int64", "bound": "float64"}
    engine.register("rfm_fixed", pd.DataFrame(cuts, columns=[*kinds]).astype(kinds))


def open_book(params_file: str, month: str | None, run_dir: str) -> Book:
    """The marts that 01_data_prep wrote, ready for queries. Raises ReportError where they are missing."""
    params, folder = load_params(params_file, month or None), place(run_dir)
    missing = [name for name in MARTS if not (folder / "marts" / f"{name}.parquet").is_file()]
    if missing:
        remedy = "01_data_prep makes them: run it first, with the same run_dir."
        raise ReportError(f"{run_dir} holds no marts yet", remedy=remedy)
    engine = Engine(folder, BESIDE)
    settings(engine, params)
    for name in [*MARTS, *(["subscription_mrr"] if params.policy.movements_of == "subscription" else [])]:
        engine.register(f"mart_{name}", folder / "marts" / f"{name}.parquet")
    engine.define("rfm_bounds", "staging/rfm_bounds", month="rfm_base_month")
    return Book(params, folder, engine)


def load_mart(run_dir: str | Path, name: str) -> pd.DataFrame:
    """A mart as a pandas frame, for an analyst's own notebook. Raises ReportError above the run's policy.pandas_rows."""
    path = place(str(run_dir)) / "marts" / f"{name}.parquet"
    settings_file = path.parent.parent / "params.yaml"
    pandas_rows = (load_params(settings_file).policy if settings_file.is_file() else Policy()).pandas_rows
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.parquet"))) or "none yet; 01_data_prep makes them"
        raise ReportError(f"Mart {name}", [f"it is not there; known: {known}"])
    rows = Engine().connection.read_parquet(str(path))
    if len(rows) > pandas_rows:
        remedy = "Write a query under helpers/sql that summarises it, or raise policy.pandas_rows."
        raise ReportError(f"Mart {name} has {len(rows):,} rows, more than {pandas_rows:,}", remedy=remedy)
    return rows.df()


def check(params: Params) -> tuple[Book, dict[str, pd.DataFrame]]:
    """A book without marts, and by title: its rows by stage, its rejections by rule, the first five rows of each."""
    book = Book(params, ROOT, stage(params))
    first = book.frame("summaries/rejected_rows").groupby(["table", "rule", "column"], dropna=False).head(5)
    shown = first.assign(value=first["value"].map(lambda text: "".join(c for c in text if c.isprintable()), na_action="ignore"))
    return book, {"Rows of each table, by stage": book.frame("summaries/rows"), "Rows rejected, by rule":
                  book.frame("summaries/rejections"), "Rows rejected, the first five of each": shown}


def readiness(params: Params) -> pd.DataFrame:
    """One row a canonical table: whether it is given, and what it unlocks."""
    rows = [(name, "given" if name in params.sources else "absent", table.unlocks) for name, table in TABLES.items()]
    return pd.DataFrame(rows, columns=["table", "status", "unlocks"])


def inputs_frame(files: list[SourceFile]) -> pd.DataFrame:
    rows = [(f.table, f.name, f.sha256, f.encoding, f.ignored_columns) for f in files]
    return pd.DataFrame(rows, columns=["table", "file", "sha256", "encoding", "ignored_columns"])


def make_demo(params: Params) -> None:
    """Write the demo company's files when they are absent, or were made with other settings or by another recipe."""
    if not params.demo:
        return
    folder, size = params.resolve(params.demo.folder), params.demo.model_dump(exclude={"folder"})
    stamp, wanted = folder / "demo.json", size | {"recipe": recipe()}
    missing = [name for name in FILES if not (folder / f"{name}.csv").is_file()]
    if missing or not stamp.is_file() or json.loads(stamp.read_text()) != wanted:
        write_demo(folder, **size)
        stamp.write_text(json.dumps(wanted))


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Floats in full; no cell that a spreadsheet would run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    safe = frame.copy()
    for column in safe.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in safe.dtypes]]:
        safe[column] = safe[column].map(harmless)
    safe.to_csv(path, index=False, lineterminator="\n")


def read_csv(path: Path) -> pd.DataFrame:
    """What `write_csv` wrote; only the empty cell is unknown."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell


@cache
def place(run_dir: str) -> Path:
    """A run folder; relative ones lie under the project's folder, wherever the kernel was started."""
    return (ROOT / run_dir).resolve()
