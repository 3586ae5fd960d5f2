"""What each table must look like, and the one error class that users see."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent  # the folder that holds pyproject.toml
MONEY, RATE, TIME, TEXT, COUNT, FLAG = "decimal(18,4)", "decimal(18,8)", "timestamp", "varchar", "integer", "boolean"
BELOW = {MONEY: 10**12, RATE: 10**10, COUNT: 10**9}  # a number of this size is an error, and sums of such numbers have no room


class ReportError(Exception):
    """A problem that the user can fix: what, where, what was found, the rule and the remedy.

    title : what is not usable, as one line.
    problems : every problem found, one line each.
    remedy : what to do about all of them.
    """

    def __init__(self, title: str, problems: Sequence[str] = (), remedy: str = "") -> None:
        self.title, self.problems, self.remedy = title, list(problems), remedy
        count = f" has {len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}" if self.problems else ""
        lines = [f"{title}{count}" + (":" if self.problems else "")]
        lines += [f"  - {problem}" for problem in self.problems]
        super().__init__("\n".join(lines + ([remedy] if remedy else [])))

    def _render_traceback_(self) -> list[str]:
        """IPython's hook: a user's error is shown as its message, in JupyterLab too."""
        return str(self).splitlines()


@dataclass(frozen=True)
class Table:
    """The contract of a canonical table; contracts.yaml says what each term means."""

    name: str
    columns: dict[str, str]
    required: list[str]
    unlocks: str
    moment: str
    worth: str = ""
    latest: str = ""
    may_be_empty: list[str] = field(default_factory=list)
    convert: list[str] = field(default_factory=list)
    defaults: dict[str, str] = field(default_factory=dict)
    key: list[str] = field(default_factory=list)
    accepted: dict[str, list[str]] = field(default_factory=dict)
    at_least: dict[str, int] = field(default_factory=dict)
    not_before: dict[str, str] = field(default_factory=dict)
    refuse: dict[str, list[str]] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    people: list[str] = field(default_factory=lambda: ["customer_id"])
    dimensions: list[str] = field(default_factory=list)  # of the params: further columns, of text


def read_yaml(name: str) -> dict:
    """A YAML file of this package."""
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # the first takes a ninth of the time


TABLES = {name: Table(name, **terms) for name, terms in read_yaml("contracts.yaml").items()}
FORMATS = read_yaml("formats.yaml")  # exports that are read as they come
# Marts that are a table's kept rows as they are, ordered by all columns, for equal rows may stand twice.
KEPT = ("addons", "business_events", "usage", "feedback", "support_tickets", "touches", "fx_rates", "ledger_control")
# The marts in the order they are made, each with its key, which also orders its rows.
MARTS: dict[str, tuple[str, ...]] = {
    "transactions": ("transaction_id", "line_no"),
    "customer_days": ("customer_id", "day"),
    "subscriptions": ("subscription_id", "plan_id", "valid_from"),
    "spells": ("customer_id", "spell"),
    "subscription_months": ("customer_id", "plan_id", "month"),
    "customers": ("customer_id",),
    "customer_months": ("customer_id", "month"),
    "rfm_customers": ("customer_id",),
    "plans": ("plan_id",),
    "marketing_spend": ("month", "channel", "campaign", "kind"),
    "costs": ("month", "category"),
    **{name: tuple(TABLES[name].columns) for name in KEPT},
    "customer_360": ("customer_id",),
    "customer_timeline": ("customer_id", "happened_at", "table", "what", "id", "detail", "amount"),
}
DERIVED = {"account_value": ("customer_id",)}  # marts that rest on estimates, written by the page that makes these
LIFETIMES = ("lifetime_", "ltv", "payback_", "max_cac")  # how the metrics begin that need a history to be judged
NAMED = {"months": "months of history", "customers": "customers", "ends": "customers who left"}  # what lifetimes rest on
SPILL = "spill-"  # how folders in a run's folder begin that hold what did not fit into memory
READ = f"{SPILL}read"  # in a run's folder: where the months of one call find what another of them has read
BOOKS = ("transactions", "subscriptions")  # a report needs one of them, and is as fresh as their newest row
CARRIERS = ("customers", *BOOKS)  # tables whose files may hold the dimensions of the params
MEMBERS = 200  # of a dimension: more are no groups, and each has a curve of its own


@cache
def taken() -> frozenset[str]:
    """Names that no dimension may have: every word of the queries, for there they call columns of their own so."""
    files = [path for path in (Path(__file__).parent / "sql").rglob("*.sql") if path.parent.name != "demo"]
    queries = [path.read_text(encoding="utf-8") for path in files]
    words = {word for text in queries for word in re.findall(r"[a-z_]\w*", re.sub("--.*", "", text).lower())}
    columns = {begin + column for table in TABLES.values() for column in table.columns for begin in ("", "known_", "told_")}
    return frozenset({"file_row_number", *words, *columns})


@cache
def definitions() -> dict[str, dict]:
    """definitions.yaml: metric id -> name, formula, unit, good direction, why, source, version."""
    return read_yaml("definitions.yaml")
