"""One YAML file -> one frozen, validated Params; every problem is reported at once."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from colorsys import hls_to_rgb, rgb_to_hls
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from zoneinfo import available_timezones

import yaml
from babel.localedata import locale_identifiers
from babel.numbers import list_currencies
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from helpers.contracts import CARRIERS, FORMATS, ROOT, TABLES, TEXT, ReportError, Table, definitions, read_yaml, taken

GROUNDS = ("#ffffff", "#f5f6f8", "#15181c", "#1e2329")  # of the pages and their boxes, light and dark
SHORT = ("zh_CN", "zh_HK", "zh_TW", "sr_RS", "bs_BA", "az_AZ", "uz_UZ", "pa_IN")  # locales whose script Babel adds
KEYS = {"sources": ".<table>", "verdicts": ".<rule>", "targets": ".<metric>.<YYYY-MM>"}  # keys that the user names
ENVIRONMENT, TIMESTAMP = r"\$\{(\w+)\}", "tag:yaml.org,2002:timestamp"
DATABASES, DUCKDB = ("postgresql", "postgres", "duckdb"), "duckdb:///"
CHAR, HOST = r"(?:[^\s%@:/?#\[\],]|%[0-9a-fA-F]{2})", r"(?:\[[0-9a-fA-F:.]+\]|[^\s@:/?#\[\],]*)(?::\d+)?"
USER, OPTION = rf"{CHAR}*(?::(?:{CHAR}|[:,])*)?@", r"[a-z_]+=[^\s#@&]*"
# stricter than the driver: where a password holds a bare @ : / ? # or %, it tells parts of it as host, port or option
POSTGRESQL = rf"postgres(?:ql)?://(?:{USER})?{HOST}(?:,{HOST})*(?:/{CHAR}*)?(?:\?{OPTION}(?:&{OPTION})*)?"
PASSWORD = r"://[^/?#\s]*:[^@\s]+@|\b(?:ssl)?password\s*=\s*[^&\s]"  # in a text without its ${NAME}s
FOR_FILES = ("delimiter", "header", "encoding", "decimal", "sheet")


def one_of(known: Iterable[str], rule: str) -> AfterValidator:
    def check(name: str) -> str:
        if name not in known:
            raise ValueError(rule + nearest(name, known))
        return name

    return AfterValidator(check)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio of two colours `#rrggbb`, from 1 to 21 (black on white); ValueError for no such colour."""
    lights = []
    for colour in (one, other):
        parts = [part / 255 for part in bytes.fromhex(colour.removeprefix("#"))]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        lights.append(sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True)))
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def check_accent(accent: str) -> str:
    if not re.fullmatch("#[0-9a-fA-F]{6}", accent):
        raise ValueError('must be a colour written "#rrggbb", in quotes')
    ratio, ground = min((contrast(accent, ground), ground) for ground in GROUNDS)
    if ratio < 3:  # and told rounded down, for 2.999 is not 3.00
        hue, lightness, saturation = rgb_to_hls(*(part / 255 for part in bytes.fromhex(accent[1:])))
        steps = sorted(range(256), key=lambda step: abs(step / 255 - lightness))
        shades = ("#" + bytes(round(255 * part) for part in hls_to_rgb(hue, step / 255, saturation)).hex() for step in steps)
        near = next(shade for shade in shades if all(contrast(shade, ground) >= 3 for ground in GROUNDS))
        raise ValueError(f"has contrast {ratio * 100 // 1 / 100:.2f}:1 on {ground}, marks need 3:1; nearest of its hue: {near}")
    return accent


def check_cuts(cuts: list[float]) -> list[float]:
    if sorted(cuts) != cuts:
        raise ValueError("must not fall")
    return cuts


def check_url(url: str) -> str:
    if re.fullmatch(ENVIRONMENT, url):
        return url  # the variable is not set, which is told
    scheme, mark, _ = url.partition("://")
    if not mark or not re.fullmatch("[A-Za-z][A-Za-z0-9+.-]{0,30}", scheme):  # not shown: it may be a bare password
        raise ValueError("must begin with postgresql:// or duckdb:///")
    if scheme not in DATABASES:
        raise ValueError(f"the database {scheme}:// is not read{nearest(scheme, DATABASES)}")
    if scheme == "duckdb" and not re.fullmatch(rf"{DUCKDB}.*[^/]", url):
        raise ValueError("must name a file: duckdb:///folder/file.duckdb")
    if scheme != "duckdb" and not re.fullmatch(POSTGRESQL, url):
        form = "postgresql://, user:password@, host:port, /database"
        raise ValueError(f"must be made of {form}, with blanks and @ : / ? # % inside a part percent-encoded (@ as %40)")
    return url


ZONES = available_timezones() - {"localtime", "Factory"}  # these two mean another zone on another machine
Zone = Annotated[str, one_of(ZONES, "not a known time zone")]
Currency = Annotated[str, one_of(list_currencies(), "must be an ISO code of three capitals, such as USD")]
Locale = Annotated[str, one_of({*locale_identifiers(), *SHORT}, "not a known locale, such as en, de or fr_CH")]
Format = Annotated[str, one_of(("canonical", "auto", *FORMATS), "not a known format")]
Accent = Annotated[str, AfterValidator(check_accent)]
Url = Annotated[str, AfterValidator(check_url)]
Month = Annotated[str, Field(pattern=r"^(19[7-9]\d|2\d{3})-(0[1-9]|1[0-2])$")]
Cut = Annotated[float, Field(ge=-1e15, le=1e15)]
Cuts = Annotated[list[Cut], Field(min_length=4, max_length=4), AfterValidator(check_cuts)]
Dimension = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,39}$")]
WORDS = {  # where pydantic would recite a regular expression or its own insides
    "report.month": "must be a month written YYYY-MM, from 1970 on, so that every month counted is whole",
    "report.name": "must be a folder's name: text of at most 80 letters, digits, . _ -, not starting with a dot",
    **dict.fromkeys(("sources.str", "sources.int"), "must be the name of a column in the file, or its position from 1"),
    "sources.query": "must be one select",
    **dict.fromkeys((f"dimensions.{place}" for place in range(8)), "must be a name of small letters, digits and _, at most 40; "
                    "sources.<table>.columns says which column of the file it is"),
    "policy.observed_from": "must be a day written YYYY-MM-DD",
    "ltv_cac.next_review_date": "must be a day written YYYY-MM-DD",
    "sources.delimiter": "must be one character, or 'blank' for runs of blanks",
}


class Section(BaseModel):
    """Settings are frozen, typed and complete: an unknown key is an error, never a shrug."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @field_validator("observed_from", "next_review_date", mode="before", check_fields=False)
    @classmethod
    def check_day(cls, value: Any) -> Any:
        """A day is never a number: pydantic would count seconds since 1970."""
        if value is None or isinstance(value, date) or re.fullmatch(r"\d{4}-\d\d-\d\d", str(value)):
            return value
        raise ValueError("must be a day written YYYY-MM-DD")


class Report(Section):
    name: str = Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$", max_length=80, description="folder under outputs/")
    title: str = Field(min_length=1, max_length=120, description="company or book, as the pages show it")
    month: Month = Field(description="last whole month reported")
    currency: Currency = Field("USD", description="ISO code of every amount")
    timezone: Zone = Field("UTC", description="time zone in which months begin and end")
    status: Literal["draft", "reviewed", "signed_off"] = Field("draft", description="how far people stand behind it")
    signed_by: str | None = Field(None, max_length=120, description="who reviewed or signed it off, and when")
    prepared_by: str | None = Field(None, max_length=120, description="who made it, and when")
    reviewed_by: str | None = Field(None, max_length=120, description="who reviewed what another signs off, and when")
    accent: Accent | None = Field(None, description="colour of marks on the page, '#rrggbb' in quotes; null: the house's")
    locale: Locale = Field("en", description="numbers and dates are written as there; the words stay English")
    currency_style: Literal["code", "symbol"] = Field("code", description="1,234 USD or $1,234")
    date_format: Literal["iso", "short", "medium", "long"] = Field("iso", description="iso: 2025-06-30; else the locale's")


class Expect(Section):
    files: int | None = Field(None, ge=1, le=10**6, description="files of the source")
    rows: int | None = Field(None, ge=0, le=10**12, description="rows of all its files")
    amount: float | None = Field(None, ge=-1e15, le=1e15, description="sum of their amounts, in report.currency")


class Source(Section):
    path: str | None = Field(None, min_length=1, description="file, folder or glob, relative to this file; or package://name/path")
    url: Url | None = Field(None, repr=False, description="for path: postgresql://… or duckdb:///file, secrets as ${NAME}")
    query: str | None = Field(None, pattern=r"\S", repr=False, description="for url: one select, which answers with the rows")
    format: Format = Field("canonical", description=f"export as it comes: {', '.join(FORMATS)}; auto: by its columns")
    channel: str | None = Field(None, pattern=r"^[^'\\\x00-\x1f]{1,80}$", description="of ads, as customers have it")
    columns: dict[str, str | int] = Field({}, description="canonical name: name (or position, from 1) in the file")
    delimiter: str | None = Field(None, pattern='^([^"\r\n]|blank)$', description="one character, or 'blank' for many")
    header: bool | None = Field(None, description="whether the first line names the columns")
    encoding: Literal["utf-8", "utf-16", "latin-1"] | None = Field(None, description="text encoding")
    decimal: Literal[".", ","] | None = Field(None, description="decimal mark")
    dayfirst: bool | None = Field(None, description="03/04/2025 is 3 April (true) or March 4 (false)")
    timezone: Zone | None = Field(None, description="zone of times without offset; report.timezone if not set")
    sheet: str | None = Field(None, description="Excel sheet; the first if not set")
    expect: Expect | None = Field(None, description="control totals: what the sender counted, checked against what was read")


class Policy(Section):
    inactive_days: int = Field(180, ge=1, le=3650, description="days without a sale after which a buyer has left")
    observed_from: date | None = Field(None, strict=False, description="the book is complete from this date; null: all")
    reactivation_days: int | None = Field(None, ge=0, le=3650, description="who is back after more days is new; null: never")
    left_edge_months: int = Field(0, ge=0, le=60, description="who is first seen in so many first months is not new")
    churn_window_months: int = Field(6, ge=1, le=60, description="months over which churn is pooled")
    horizon_months: int = Field(36, ge=1, le=240, description="months of a customer's future that LTV counts")
    annual_discount_rate: float = Field(0.10, ge=0, lt=1, description="cost of capital, a fraction a year")
    gross_margin: float | None = Field(None, gt=0, le=1, description="fraction; null: from costs, else 1")
    cac_basis: Literal["blended", "paid", "loaded"] = Field("blended", description="spend and customers in CAC")
    cac_lag_months: int = Field(0, ge=0, le=24, description="months from spend to customer")
    mrr_source: Literal["subscriptions", "plan_prices", "invoices"] = Field("subscriptions", description="what MRR is made of")
    mrr_includes_discounts: bool = Field(True, description="discounts in force lower MRR")
    finite_discounts: Literal["lower", "ignore"] = Field("lower", description="whether discounts that end lower MRR, too")
    plan_changes: Literal["month_end", "by_day"] = Field("month_end", description="by_day: MRR is the mean over the month")
    movements_of: Literal["customer", "subscription"] = Field("customer", description="level at which MRR movements are judged")
    fx_rates_on: Literal["month_end", "invoice_date"] = Field("month_end", description="day whose rate MRR is taken at")
    grace_days: int = Field(7, ge=0, le=180, description="past due stays paying so many days")
    in_month_churn: Literal["apart", "in_rate"] = Field("apart", description="who joins and leaves between month ends")
    churn_moment: Literal["end_of_service", "cancel"] = Field("end_of_service", description="when who leaves has left")
    pauses: Literal["movement", "churn", "unchanged"] = Field("movement", description="what a pause does to MRR and customers")
    refunds_on: Literal["refund_date", "order_date"] = Field("refund_date", description="day on which a refund lowers revenue")
    void_days: int | None = Field(None, ge=0, le=365, description="an order given back whole so soon is none; null: it is one")
    tax: Literal["excluded", "included"] = Field("excluded", description="whether revenue holds the tax beside the amount")
    customer_ids: Literal["fold", "exact"] = Field("fold", description="fold: Ann and ann are one customer")
    email_tags: Literal["keep", "drop"] = Field("keep", description="drop: ann+news@x.org is ann@x.org")
    same_email: Literal["count", "merge"] = Field("count", description="merge: ids of one email_hash are one customer")
    internal_customers: Literal["leave_out", "count"] = Field("leave_out", description="rows of customers with is_internal")
    min_history_months: int = Field(12, ge=1, le=120, description="below: lifetimes and LTV without a verdict")
    min_customers: int = Field(30, ge=1, description="below: the number without a verdict")
    min_events: int = Field(5, ge=1, description="below: the number without a verdict")
    suppress_below: int = Field(5, ge=0, description="members of fewer customers show no estimate in splits")
    confidence: float = Field(0.95, ge=0.5, lt=1, description="coverage of every interval, a fraction")
    pandas_rows: int = Field(5_000_000, ge=1, description="load_mart refuses larger tables")
    max_staleness_days: int = Field(31, ge=1, le=3650, description="age of the newest row and of rates; beyond: provisional")
    ledger_tolerance: float = Field(0.005, ge=0, lt=1, description="gap to the ledger that is let pass, a fraction of it")


class LtvCac(Section):
    holdout_weeks: int | None = Field(None, ge=1, le=520, description="weeks held out; null: a quarter of the history")
    bootstrap: int = Field(200, ge=20, le=5000, description="times that customers are resampled for an interval")
    seed: int = Field(1, ge=0, description="seed of the resampling")
    ltv_error_max: float = Field(0.15, gt=0, le=1, description="mean error of past forecasts; above: recalibrate, a fraction")
    largest_share_max: float = Field(0.10, gt=0, le=1, description="share of the largest customer; above: a risk, a fraction")
    next_review_date: date | None = Field(None, strict=False, description="day on which the model is looked at again")


class Rfm(Section):
    window_months: int | None = Field(None, ge=1, le=240, description="months that F and M count; null: all history")
    cuts: Literal["rank", "fixed", "frozen"] = Field("rank", description="scores by ranks, at set values, or at a base month's")
    base_month: Month | None = Field(None, description="for cuts: frozen; the month whose cut-offs stay")
    recency_days: Cuts | None = Field(None, description="for cuts: fixed; R is 5 to the first, 4 to the second … 1 beyond")
    frequency: Cuts | None = Field(None, description="for cuts: fixed; F is 2 from the first on … 5 from the fourth")
    monetary: Cuts | None = Field(None, description="for cuts: fixed; M likewise. What has no values goes by rank")


class Retention(Section):
    cohorts: int = Field(13, ge=2, le=60, description="monthly cohorts that the triangle shows")


class Demo(Section):
    folder: str = Field(description="where the demo company's files are made when absent, relative to this file")
    customers: int = Field(3000, ge=50, le=10_000_000, description="size of the demo company")
    months: int = Field(36, ge=14, le=120, description="months of history")
    seed: int = Field(1, ge=0, description="another seed is another company")


class Rule(Section):
    target: float | None = Field(None, description="good from here on, in the metric's unit; null: as in rules.yaml")
    low: float | None = Field(None, description="act beyond it; null: as in rules.yaml")
    owner: str | None = Field(None, min_length=1, max_length=80, description="who decides")
    days: int | None = Field(None, ge=1, le=365, description="by when to decide, in days")


class Params(Section):
    """All settings of one report. `file` is the YAML they came from; `raw` what it said, `${NAME}` unread."""

    report: Report
    engine: Literal["duckdb"] = Field("duckdb", description="where the SQL runs")
    sources: dict[str, Source] = Field(description="canonical table -> where it is and how to read it")
    dimensions: list[Dimension] = Field([], max_length=8, description=f"further columns of {', '.join(CARRIERS)} to split by")
    policy: Policy = Policy()
    ltv_cac: LtvCac = LtvCac()
    rfm: Rfm = Rfm()
    pricing: Section = Field(Section(), description="no settings yet")
    retention: Retention = Retention()
    verdicts: dict[str, Rule] = Field({}, description="rule id -> what differs from rules.yaml")
    targets: dict[str, dict[Month, float]] = Field({}, description="the plan for a month, in the metric's unit")
    commentary: str | None = Field(None, min_length=1, description="folder of <YYYY-MM>.md, relative to this file")
    history: str | None = Field("outputs", min_length=1, description="earlier published runs, relative to the project")
    demo: Demo | None = Field(None, description="make the demo company's files when they are absent")
    file: Path = Field(Path(), exclude=True)
    raw: dict[str, Any] = Field({}, exclude=True)

    @property
    def as_of(self) -> date:
        """The first day after the report month: nothing dated at or after it counts."""
        return month_start(month_index(self.report.month) + 1)

    @property
    def has_subscriptions(self) -> bool:
        """Whether there is MRR: from a table of subscriptions, or from invoices."""
        return "subscriptions" in self.sources or self.policy.mrr_source == "invoices"

    @property
    def control_totals(self) -> dict[str, dict[str, float]]:
        """By table, what its sender counted: `files`, `rows`, `amount`, as far as that was told."""
        return {name: source.expect.model_dump(exclude_none=True) for name, source in self.sources.items() if source.expect}

    @property
    def tables(self) -> dict[str, Table]:
        """The canonical tables, with the dimensions among the columns of those that may hold them."""
        own = dict.fromkeys(self.dimensions, TEXT)
        return {name: replace(table, columns=table.columns | own, dimensions=self.dimensions) if name in CARRIERS else table
                for name, table in TABLES.items()}

    @property
    def rules(self) -> dict[str, dict[str, Any]]:
        """Rule id -> the terms that the file sets, and none that it leaves to rules.yaml."""
        return {rule: terms.model_dump(exclude_none=True) for rule, terms in self.verdicts.items()}

    @property
    def settled(self) -> dict[str, str]:
        """Setting -> its value in words: what figures rest on besides data; none of places, control totals or signatures."""
        apart = dict.fromkeys(("commentary", "demo", "engine", "history", "targets"), True)
        given = self.model_dump(mode="json", exclude=apart | {"sources": {"__all__": {"path", "url", "query", "expect"}}})
        report = {name: given["report"][name] for name in ("currency", "timezone")}
        return dict(_flat(unread(given | {"report": report}, self.raw)))

    def earlier(self, table: str, months: int = 1) -> Path | None:
        """Where the report published so many months before this one keeps a table; None without a history."""
        if not self.history:
            return None
        folder = ROOT / self.history / self.report.name / month_label(month_index(self.report.month) - months)
        return folder / "metrics.csv" if table == "metrics" else folder / "tables" / f"{table}.csv"

    def resolve(self, path: str) -> Path:
        """A path of this file as an absolute one."""
        return (self.file.parent / path).resolve()


def nearest(name: str, known: Iterable[Any]) -> str:
    """What to say after an unknown name: the nearest known one, else all of them if they are few."""
    names = {str(key).lower(): str(key) for key in known}
    if close := difflib.get_close_matches(name.lower(), names, 1):
        return f"; did you mean {names[close[0]]}?"
    return f"; known: {', '.join(names.values())}" if len(names) < 25 else ""


def month_index(month: str) -> int:
    """'2025-06' as one number, year * 12 + month, so that months can be subtracted."""
    return int(month[:4]) * 12 + int(month[5:7])


def month_start(index: int) -> date:
    return date((index - 1) // 12, (index - 1) % 12 + 1, 1)


def month_label(index: int) -> str:
    return month_start(index).strftime("%Y-%m")


class Loader(yaml.SafeLoader):
    """YAML whose dates stay text and whose repeated keys are errors."""

    yaml_constructors = {**yaml.SafeLoader.yaml_constructors, TIMESTAMP: yaml.SafeLoader.construct_yaml_str}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value]
        if twice := [key for key, _ in node.value if keys.count(key.value) > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"'{twice[1].value}' stands twice", twice[1].start_mark)
        return super().construct_mapping(node, deep)


def parse(text: str | bytes, where: str) -> Any:
    try:
        return yaml.load(text, Loader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        found = (f"line {mark.line + 1}: " if mark else "") + (getattr(error, "problem", None) or str(error))
        raise ReportError(f"{where} is not valid YAML", [" ".join(found.split())], "Save it as UTF-8.") from None


def load_params(file: str | Path, month: str | None = None, overrides: Sequence[str] = ()) -> Params:
    """Read, complete and check a params file, whose path is relative to the current or the project's folder.

    month : `YYYY-MM` in place of report.month. overrides : `dotted.path=YAML value`.
    Raises ReportError with every problem found.
    """
    path = next((p for p in (Path(file), ROOT / file) if p.is_file()), None)
    if path is None:
        raise ReportError(f"{file} is not there", remedy="Name a params file, such as params/demo.yaml.")
    raw = parse(text := path.read_bytes(), str(file))
    if not isinstance(raw, dict):
        raise ReportError(f"{file} is not a params file", ["it holds no `key: value` pairs at the top"])
    settings = [*([f"report.month={month!r}"] if month else []), *overrides]
    problems = [problem for setting in settings for problem in apply(raw, setting)]
    if re.search(rb"(?m)^[ \t]+accent:[ \t]+#[0-9a-fA-F]{6}\b", text) and not as_written(raw, ("report", "accent")):
        problems.append("report.accent: must stand in quotes; YAML takes a bare # for the start of a comment")
    rules = read_yaml("rules.yaml")
    try:
        values = from_environment(raw, "", problems)
        problems += unknown_names(values, rules) + contradictions(values, rules) + origins(values, raw)
        params = Params(**{**values, "file": path.resolve(), "raw": raw})
    except RecursionError:
        raise ReportError(f"{file} is not a params file", ["an alias in it holds itself"]) from None
    except ValidationError as error:
        problems += dict.fromkeys(explain(item, raw) for item in error.errors())
    if problems:
        raise ReportError(str(file), [re.sub(r"://\S*@", "://…@", problem) for problem in problems])
    return params


def unknown_names(values: dict[str, Any], rules: dict[str, Any]) -> list[str]:
    """Tables, columns, rules and metrics that nobody knows; apart from the types, so that both are told at once."""
    known = {"sources": ("table", TABLES), "verdicts": ("rule", rules), "targets": ("metric", definitions())}
    split = as_written(values, ("dimensions",))
    split = [name for name in split if isinstance(name, str)] if isinstance(split, list) else []
    known |= {f"sources.{name}.columns": (f"column of {name}", [*table.columns, *(split if name in CARRIERS else [])])
              for name, table in TABLES.items()}
    found = {where: as_written(values, where.split(".")) for where in known}
    problems = [f"{key}: not a known setting" for key in ("file", "raw") if key in values]
    for where, (what, names) in known.items():
        unknown = [name for name in found[where] if name not in names] if isinstance(found[where], dict) else []
        carries = where in [f"sources.{name}.columns" for name in CARRIERS]
        own = "; columns of your own are named under dimensions, too" if carries else ""
        problems += [f"{where}.{name}: not a known {what}{nearest(name, names)}{own}" for name in unknown]
    if isinstance(found["sources"], dict) and not {"transactions", "subscriptions"} & found["sources"].keys():
        problems.append("sources: needs transactions or subscriptions; every page is made from one of them")
    return problems


def contradictions(values: dict[str, Any], rules: dict[str, Any]) -> list[str]:
    """A status that nobody signed; control totals of money where there is none; settings of RFM that its cut-offs lack, or do
    not use; names of dimensions that are taken; rules whose `low`, set here or in rules.yaml, is better than their `target`.
    """
    problems, split = [], as_written(values, ("dimensions",))
    for name in dict.fromkeys(map(str, split)) if isinstance(split, list) else []:
        if split.count(name) > 1:
            problems.append(f"dimensions: '{name}' stands {split.count(name)} times")
        if name in taken():
            problems.append(f"dimensions: '{name}' has a meaning of its own here; give it another name, and say under "
                            f"sources.<table>.columns which column of the file it is, as in my_{name}: {name}")
    problems += [f"sources.{name}.expect.amount: {name} has no amount that adds up; tell its rows"
                 for name, table in TABLES.items()
                 if not table.worth and as_written(values, ("sources", name, "expect", "amount")) is not None]
    status, signed_by, month = (as_written(values, ("report", name)) for name in ("status", "signed_by", "month"))
    if status in ("reviewed", "signed_off") and not str(signed_by or "").strip():
        problems.append(f"report.signed_by: a {status} report needs it; write who did so, such as Kim Lee, 2025-07-03")
    prepared_by = as_written(values, ("report", "prepared_by"))
    maker, signer = (str(name or "").partition(",")[0].strip().casefold() for name in (prepared_by, signed_by))
    if status in ("reviewed", "signed_off") and maker and maker == signer:
        name = str(signed_by).partition(",")[0].strip()
        problems.append(f"report.signed_by: {name} prepared it, too; another pair of eyes signs it off")
    rfm = as_written(values, ("rfm",))
    rfm = {name: value for name, value in rfm.items() if value is not None} if isinstance(rfm, dict) else {}
    cuts, lists = rfm.get("cuts", "rank"), {"recency_days", "frequency", "monetary"} & rfm.keys()
    if cuts == "fixed" and not lists:
        problems.append("rfm.cuts: fixed needs values: rfm.recency_days, rfm.frequency or rfm.monetary")
    if cuts == "frozen" and not {"base_month", "window_months"} <= rfm.keys():
        problems.append("rfm.cuts: frozen needs rfm.base_month, and rfm.window_months, without which F and M only grow")
    if cuts != "fixed":
        problems += [f"rfm.{name}: is for cuts: fixed" for name in sorted(lists)]
    if cuts != "frozen" and "base_month" in rfm:
        problems.append("rfm.base_month: is for cuts: frozen")
    elif "base_month" in rfm and str(rfm["base_month"]) > str(month):
        problems.append(f"rfm.base_month: {rfm['base_month']} is after the report month, {month}")
    targets = as_written(values, ("targets",))
    for metric, months in targets.items() if isinstance(targets, dict) else []:
        named = [(f"targets.{metric}.{month}", value) for month, value in months.items()] if isinstance(months, dict) else []
        problems += [told for where, value in named if (told := no_share(where, metric, value))]
    for rule, terms in rules.items():
        own = {name: as_written(values, ("verdicts", rule, name)) for name in ("target", "low")}
        named = [(f"verdicts.{rule}.{name}", value) for name, value in own.items()]
        problems += [told for where, value in named if (told := no_share(where, terms.get("metric"), value))]
        if "target" not in terms and any(limit is not None for limit in own.values()):
            problems.append(f"verdicts.{rule}: has no target or low to set; it follows other rules or its own past months")
        target, low = (terms.get(name) if own[name] is None else own[name] for name in own)
        sign = {"higher": 1, "lower": -1}.get(terms.get("better"), 0)
        if all(isinstance(limit, int | float) for limit in (target, low)) and sign * low > sign * target:
            problems.append(f"verdicts.{rule}: low {low} is better than target {target}, for {terms['better']} is better")
    return problems


def origins(values: dict[str, Any], raw: dict[str, Any]) -> list[str]:
    """Sources that name neither a file nor a query to a database, or both."""
    problems, sources = [], values.get("sources")
    for table, source in sources.items() if isinstance(sources, dict) else []:
        given = {key for key, value in source.items() if value is not None} if isinstance(source, dict) else {"path"}
        form = source.get("format") if isinstance(source, dict) else None
        if isinstance(form, str) and (serves := FORMATS.get(form, {"table": table})["table"]) != table:
            problems.append(f"sources.{table}.format: {form} is an export of {serves}; put it under sources.{serves}")
        if "channel" in given and "channel" not in FORMATS.get(str(form), {}).get("fills", {}):
            problems.append(f"sources.{table}.channel: is for exports of ads, such as format: google_ads; or name a column")
        if (named := given & {"path", "url", "query"}) not in ({"path"}, {"url", "query"}):
            found = " and ".join(sorted(named)) or "neither"
            problems.append(f"sources.{table}: needs path, for files, or url and query, for a database (got {found})")
        elif named != {"path"}:
            problems += [f"sources.{table}.{key}: is for files; let the query say it" for key in FOR_FILES if key in given]
            from_variable = "${" in str(as_written(raw, ("sources", table, "url")))
            if from_variable and re.match(rf"{DUCKDB}[^/]", str(source["url"])):  # relative to nothing that is sure
                problems.append(f"sources.{table}.url: a file that a variable names must be absolute: {DUCKDB}/folder/file")
    return problems


def no_share(where: str, metric: str | None, value: Any) -> str:
    """Why a number cannot be meant as a value of this metric, if that is a share: 90 for 90 %."""
    entry, most = definitions().get(metric, {}), 5 if str(metric).startswith("nrr") else 1
    if entry.get("unit") != "share" or not isinstance(value, int | float) or 0 <= value <= most:
        return ""
    return f"{where}: {metric} is a share, written as a fraction from 0 to {most}, such as 0.9 for 90 % (got {value})"


def apply(raw: dict[str, Any], override: str) -> list[str]:
    """Put one `dotted.path=value` into raw; returns what is wrong with it."""
    name, equals, text = override.partition("=")
    *parents, leaf = name.strip().split(".")
    if not equals or not leaf or not all(parents):
        return [f"--set {override}: must be written KEY=VALUE, such as policy.horizon_months=24"]
    try:
        value = text if text.startswith("#") else parse(text, f"--set {name}")  # a colour, no comment
    except ReportError as error:
        return [f"{error.title}: {error.problems[0]}"]
    for key in parents:
        raw = raw.setdefault(key, {})
        if not isinstance(raw, dict):
            return [f"--set {name}: {key} is a single value, it holds no {leaf}"]
    raw[leaf] = value
    return []


def from_environment(value: Any, where: str, problems: list[str]) -> Any:
    """A copy with every `${NAME}` read from the environment."""
    if isinstance(value, dict):
        return {str(k): from_environment(v, f"{where}.{k}".lstrip("."), problems) for k, v in value.items()}
    if not isinstance(value, str):
        return value
    missing = [name for name in re.findall(ENVIRONMENT, value) if name not in os.environ]
    problems += [f"{where}: the environment variable {name} is not set" for name in missing]
    if re.search(PASSWORD, re.sub(ENVIRONMENT, "", value)):
        problems.append(f"{where}: holds a password, and the settings are published: write ${{NAME}}, set in the environment")
    return re.sub(ENVIRONMENT, lambda found: os.environ.get(found[1], found[0]), value)


def explain(item: dict[str, Any], raw: dict[str, Any]) -> str:
    """A pydantic error in our words: the key's path, the rule, the value found, the nearest name."""
    loc, kind, context = item["loc"], item["type"], item.get("ctx", {})
    where = ".".join(str(part) for part in loc if part not in ("[key]", "str", "int"))
    if kind == "extra_forbidden":
        prefix = f"{loc[0]}{KEYS[loc[0]]}." if loc[0] in KEYS else where.removesuffix(str(loc[-1]))
        paths = [row["path"] for row in describe() if row["path"].startswith(prefix)]
        names = dict.fromkeys(path.removeprefix(prefix).split(".")[0] for path in paths)
        apart = [row["path"] for row in describe() if len(loc) == 2 and row["path"].split(".")[1:] == [str(loc[-1])]]
        return f"{where}: not a known setting" + (f"; did you mean {apart[0]}?" if apart else nearest(str(loc[-1]), names))
    if loc[-1] == "[key]":
        return f"{where}: must be a month written YYYY-MM, from 1970 on"
    if kind == "missing":
        return f"{where}: is required and not given"
    rule = WORDS.get(f"{loc[0]}.{loc[-1]}") or str(context.get("error", item["msg"])).replace("Input should", "should")
    if kind in ("model_type", "dict_type"):
        rule = "must hold `key: value` pairs"
    got = "" if loc[-1] == "url" else f" (got {repr(as_written(raw, loc))[:80]})"  # of a url, no part is sure to be harmless
    return f"{where}: {rule[0].lower()}{rule[1:]}{got}"


def as_written(raw: Any, loc: Sequence[str]) -> Any:
    """What the file says at a place: `${NAME}`, where the value itself may be a secret."""
    for part in loc:
        raw = {str(key): value for key, value in raw.items()}.get(part) if isinstance(raw, dict) else raw
    return raw


def to_yaml(params: Params, folder: Path) -> str:
    """The resolved params: all defaults filled in, `${NAME}` unread, paths relative to `folder`."""
    resolved = unread(params.model_dump(mode="json"), params.raw)
    for section in [resolved, *resolved["sources"].values(), resolved["demo"] or {}]:
        for key in {"path", "folder", "commentary"} & section.keys():
            if section[key] and not re.search(r"://|\$\{", section[key]):
                section[key] = Path(os.path.relpath(params.resolve(section[key]), folder)).as_posix()
    for source in resolved["sources"].values():
        if (url := source["url"] or "").startswith(DUCKDB) and "${" not in url:
            source["url"] = DUCKDB + Path(os.path.relpath(params.resolve(url.removeprefix(DUCKDB)), folder)).as_posix()
    return yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True)


def _flat(values: dict[str, Any], where: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{where}{name}.")
        else:
            yield where + name, "not set" if value is None else str(value)


def unread(resolved: Any, raw: Any) -> Any:
    """What was resolved, but with `${NAME}` wherever the file says so: no secret is ever written."""
    if isinstance(resolved, dict) and isinstance(raw, dict):
        return {key: unread(value, raw.get(key)) for key, value in resolved.items()}
    return raw if isinstance(raw, str) and "${" in raw else resolved


def describe(model: type[BaseModel] = Params, prefix: str = "") -> Iterator[dict[str, str]]:
    """One row a setting: path, type, default, bounds, meaning."""
    for name, info in model.model_fields.items():
        hint, where = float if name == "targets" else info.annotation, prefix + name + KEYS.get(name, "")
        section = next((a for a in (hint, *get_args(hint)) if isinstance(a, type) and issubclass(a, Section)), None)
        if section and section.model_fields:
            yield from describe(section, where + ".")
        elif not info.exclude:
            kind = re.sub(r"<class '(?:\w+\.)*(\w+)'>|Annotated\[(\w+).*\)\]|\w+\.", r"\1\2", str(hint))
            bounds = ", ".join(str(rule) for rule in info.metadata if "func=" not in str(rule))
            default = "required" if info.is_required() else str(info.default)
            yield {"path": where, "type": kind, "default": default, "bounds": bounds, "meaning": info.description or ""}
