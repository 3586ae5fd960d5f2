"""What a params file may set, with types, defaults, bounds and meaning: frozen models of its sections."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from colorsys import hls_to_rgb, rgb_to_hls
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from babel.localedata import locale_identifiers
from babel.numbers import list_currencies
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from helpers.contracts import CARRIERS, FORMATS, ROOT, TABLES, TEXT, Table

GROUNDS = ("#ffffff", "#f5f6f8", "#15181c", "#1e2329")  # of the pages and their boxes, light and dark
SHORT = ("zh_CN", "zh_HK", "zh_TW", "sr_RS", "bs_BA", "az_AZ", "uz_UZ", "pa_IN")  # locales whose script Babel adds
ENVIRONMENT = r"\$\{(\w+)\}"
DATABASES, DUCKDB = ("postgresql", "postgres", "duckdb"), "duckdb:///"
CHAR, HOST = r"(?:[^\s%@:/?#\[\],]|%[0-9a-fA-F]{2})", r"(?:\[[0-9a-fA-F:.]+\]|[^\s@:/?#\[\],]*)(?::\d+)?"
USER, OPTION = rf"{CHAR}*(?::(?:{CHAR}|[:,])*)?@", r"[a-z_]+=[^\s#@&]*"
# stricter than the driver: where a password holds a bare @ : / ? # or %, it tells parts of it as host, port or option
POSTGRESQL = rf"postgres(?:ql)?://(?:{USER})?{HOST}(?:,{HOST})*(?:/{CHAR}*)?(?:\?{OPTION}(?:&{OPTION})*)?"


def nearest(name: str, known: Iterable[Any]) -> str:
    """What to say after an unknown name: the nearest known one, else all of them if they are few."""
    names = {str(key).lower(): str(key) for key in known}
    if close := difflib.get_close_matches(name.lower(), names, 1):
        return f"; did you mean {names[close[0]]}?"
    return f"; known: {', '.join(names.values())}" if len(names) < 25 else ""


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


def month_index(month: str) -> int:
    """'2025-06' as one number, year * 12 + month, so that months can be subtracted."""
    return int(month[:4]) * 12 + int(month[5:7])


def month_start(index: int) -> date:
    return date((index - 1) // 12, (index - 1) % 12 + 1, 1)


def month_label(index: int) -> str:
    return month_start(index).strftime("%Y-%m")


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
