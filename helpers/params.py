"""One YAML file -> one frozen, validated Params; every problem is reported at once."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from zoneinfo import available_timezones

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from helpers.contracts import ROOT, TABLES, ReportError

RULES = Path(__file__).parent / "rules.yaml"
MONTH = r"^[12]\d{3}-(0[1-9]|1[0-2])$"
Share = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """Settings are frozen, typed and complete: an unknown key is an error, never a shrug."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Report(Section):
    name: str = Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$", max_length=80, description="folder under outputs/")
    title: str = Field(min_length=1, max_length=120, description="company or book, as the pages show it")
    month: str = Field(pattern=MONTH, description="last month reported, whole months only")
    currency: str = Field("USD", pattern="^[A-Z]{3}$", description="ISO code of every amount")
    timezone: str = Field("UTC", description="time zone in which months begin and end")

    @field_validator("timezone")
    @classmethod
    def known_zone(cls, zone: str) -> str:
        return check_zone(zone)


class Source(Section):
    path: str = Field(min_length=1, description="file, folder or glob, relative to this file; or package://name/path")
    format: Literal["canonical"] = Field("canonical", description="export format")
    columns: dict[str, str | int] = Field({}, description="canonical name: name (or position, from 1) in the file")
    delimiter: str | None = Field(None, description="character between fields, or 'blank' for runs of blanks")
    header: bool | None = Field(None, description="whether the first line names the columns")
    encoding: Literal["utf-8", "utf-16", "latin-1"] | None = Field(None, description="text encoding")
    decimal: Literal[".", ","] | None = Field(None, description="decimal mark")
    dayfirst: bool | None = Field(None, description="03/04/2025 is 3 April (true) or March 4 (false)")
    timezone: str | None = Field(None, description="zone of times without offset; report.timezone if not set")
    sheet: str | None = Field(None, description="Excel sheet; the first if not set")

    @field_validator("timezone")
    @classmethod
    def known_zone(cls, zone: str | None) -> str | None:
        return zone and check_zone(zone)

    @field_validator("delimiter")
    @classmethod
    def one_character(cls, mark: str | None) -> str | None:
        if mark is not None and mark != "blank" and len(mark) != 1:
            raise ValueError("must be one character, or 'blank' for runs of blanks")
        return mark


class Policy(Section):
    inactive_days: int = Field(180, ge=1, le=3650, description="days without a sale after which a buyer has left")
    observed_from: date | None = Field(None, description="the book is complete from this date; null: from its start")
    left_edge_months: int = Field(0, ge=0, le=60, description="who is first seen in so many first months is not new")
    churn_window_months: int = Field(6, ge=1, le=60, description="months over which churn is pooled")
    horizon_months: int = Field(36, ge=1, le=240, description="months of a customer's future that LTV counts")
    annual_discount_rate: Share = Field(0.10, description="cost of capital, a fraction a year")
    gross_margin: float | None = Field(None, gt=0, le=1, description="fraction; null: from costs, else 1")
    cac_basis: Literal["blended", "paid", "loaded"] = Field("blended", description="spend and customers in CAC")
    cac_lag_months: int = Field(0, ge=0, le=24, description="months from spend to customer")
    mrr_includes_discounts: bool = Field(True, description="discounts in force lower MRR")
    grace_days: int = Field(7, ge=0, le=180, description="past due stays paying so many days")
    in_month_churn: Literal["apart", "in_rate"] = Field("apart", description="who joins and leaves between month ends")
    min_customers: int = Field(30, ge=1, description="below: the number without a verdict")
    min_events: int = Field(5, ge=1, description="below: the number without a verdict")
    confidence: float = Field(0.95, ge=0.5, lt=1, description="coverage of every interval, a fraction")
    pandas_rows: int = Field(5_000_000, ge=1, description="load_mart refuses larger tables")


class LtvCac(Section):
    holdout_weeks: int | None = Field(None, ge=1, le=520, description="weeks held out; null: a quarter of the history")
    bootstrap: int = Field(200, ge=20, le=5000, description="times that customers are resampled for an interval")
    seed: int = Field(1, ge=0, description="seed of the resampling")


class Rfm(Section):
    window_months: int | None = Field(None, ge=1, le=240, description="months that F and M count; null: all history")


class Pricing(Section):
    pass


class Retention(Section):
    cohorts: int = Field(13, ge=2, le=60, description="monthly cohorts that the triangle shows")


class Demo(Section):
    folder: str = Field(description="where the demo company's files are made when absent, relative to this file")
    customers: int = Field(3000, ge=50, le=10_000_000, description="size of the demo company")
    months: int = Field(36, ge=14, le=120, description="months of history")
    seed: int = Field(1, ge=0, description="another seed is another company")


class Params(Section):
    """All settings of one report. `file` is the YAML they came from; `raw` what it said, `${NAME}` unread."""

    report: Report
    engine: Literal["duckdb"] = Field("duckdb", description="where the SQL runs")
    sources: dict[str, Source] = Field(min_length=1, description="canonical table -> where it is and how to read it")
    policy: Policy = Policy()
    ltv_cac: LtvCac = LtvCac()
    rfm: Rfm = Rfm()
    pricing: Pricing = Pricing()
    retention: Retention = Retention()
    verdicts: dict[str, dict[Literal["target", "low"], float]] = Field({}, description="thresholds by rule id")
    demo: Demo | None = Field(None, description="make the demo company's files when they are absent")
    file: Path = Field(Path(), exclude=True)
    raw: dict[str, Any] = Field({}, exclude=True)

    @property
    def as_of(self) -> date:
        """The first day after the report month: nothing dated at or after it counts."""
        return month_start(month_index(self.report.month) + 1)

    def resolve(self, path: str) -> Path:
        """A path of this file as an absolute one."""
        return (self.file.parent / path).resolve()


def check_zone(zone: str) -> str:
    if zone not in available_timezones():
        raise ValueError(f"not a known time zone{nearest(zone, available_timezones())}")
    return zone


def nearest(name: str, known: Sequence[str] | set[str] | dict[str, Any]) -> str:
    close = difflib.get_close_matches(name, [str(key) for key in known], 1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}" if len(known) < 25 else ""


def month_index(month: str) -> int:
    """'2025-06' as one number, year * 12 + month, so that months can be subtracted."""
    return int(month[:4]) * 12 + int(month[5:7])


def month_start(index: int) -> date:
    return date((index - 1) // 12, (index - 1) % 12 + 1, 1)


def month_label(index: int) -> str:
    return month_start(index).strftime("%Y-%m")


class Loader(yaml.SafeLoader):
    """YAML whose dates stay text and whose repeated keys are errors."""

    yaml_implicit_resolvers = {
        key: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
        for key, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value]
        for position, key in enumerate(keys):
            if key in keys[:position]:
                raise yaml.constructor.ConstructorError(None, None, f"'{key}' stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        found = (f"line {mark.line + 1}: " if mark else "") + (getattr(error, "problem", None) or str(error))
        raise ReportError(f"{where} is not valid YAML", [found]) from None


def load_params(file: str | Path, month: str | None = None, overrides: Sequence[str] = ()) -> Params:
    """Read, complete and check a params file.

    file : path of the YAML, relative to the project's folder (or the current one).
    month : `YYYY-MM` in place of report.month. overrides : `dotted.path=YAML value`.
    Raises ReportError with every problem found.
    """
    path = next((p for p in (Path(file), ROOT / file) if p.is_file()), None)
    if path is None:
        raise ReportError(f"{file} is not there", remedy="Name a params file, such as params/demo.yaml.")
    try:
        raw = parse(path.read_text(encoding="utf-8-sig"), str(file))
    except UnicodeDecodeError:
        raise ReportError(f"{file} is not UTF-8 text", remedy="Save it as UTF-8.") from None
    if not isinstance(raw, dict):
        raise ReportError(f"{file} is not a params file", ["it holds no `key: value` pairs at the top"])
    problems: list[str] = []
    for override in [*([f"report.month='{month}'"] if month else []), *overrides]:
        problems += apply(raw, override)
    values = from_environment(raw, "", problems)
    problems += unknown_names(values)
    try:
        params = Params(**{**values, "file": path.resolve(), "raw": raw})
    except ValidationError as error:
        problems += [line for item in error.errors() for line in explain(item)]
    if problems:
        raise ReportError(str(file), problems)
    return params


def unknown_names(values: dict[str, Any]) -> list[str]:
    """Tables, columns and rule ids that nobody knows; apart from the types, so that both are told at once."""
    sources, verdicts = values.get("sources"), values.get("verdicts")
    problems = []
    for table, source in (sources if isinstance(sources, dict) else {}).items():
        if table not in TABLES:
            problems.append(f"sources.{table}: not a known table{nearest(table, TABLES)}")
            continue
        columns = source.get("columns") if isinstance(source, dict) else None
        known = TABLES[table].columns
        for name in columns if isinstance(columns, dict) else {}:
            if name not in known:
                problems.append(f"sources.{table}.columns.{name}: not a column of {table}{nearest(name, known)}")
    if isinstance(sources, dict) and not {"transactions", "subscriptions"} & set(sources):
        problems.append("sources: needs transactions or subscriptions; every page is made from one of them")
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    for rule in verdicts if isinstance(verdicts, dict) else {}:
        if rule not in rules:
            problems.append(f"verdicts.{rule}: not a known rule{nearest(rule, rules)}")
    return problems


def apply(raw: dict[str, Any], override: str) -> list[str]:
    """Put one `dotted.path=value` into raw; returns what is wrong with it."""
    name, equals, text = override.partition("=")
    *parents, leaf = name.strip().split(".")
    if not equals or not leaf or not all(parents):
        return [f"--set {override}: must be written KEY=VALUE, such as policy.horizon_months=24"]
    for key in parents:
        raw = raw.setdefault(key, {})
        if not isinstance(raw, dict):
            return [f"--set {name}: {key} is a single value, it holds no {leaf}"]
    raw[leaf] = parse(text, f"--set {name}")
    return []


def from_environment(value: Any, where: str, problems: list[str]) -> Any:
    """A copy with every `${NAME}` read from the environment."""
    if isinstance(value, dict):
        return {str(k): from_environment(v, f"{where}.{k}".lstrip("."), problems) for k, v in value.items()}
    if not isinstance(value, str):
        return value
    for name in re.findall(r"\$\{(\w+)\}", value):
        if name not in os.environ:
            problems.append(f"{where}: the environment variable {name} is not set")
        value = value.replace(f"${{{name}}}", os.environ.get(name, ""))
    return value


def explain(item: dict[str, Any]) -> list[str]:
    """A pydantic error in our words: the key's path, the rule, the value found, the nearest name."""
    where, got = ".".join(str(part) for part in item["loc"] if part not in ("str", "int")), repr(item["input"])[:80]
    kind, context = item["type"], item.get("ctx", {})
    if kind == "extra_forbidden":
        return [f"{where}: not a known setting{nearest(str(item['loc'][-1]), fields_at(item['loc'][:-1]))}"]
    if kind == "missing":
        return [f"{where}: is required and not given"]
    if kind == "value_error" and not item["loc"]:
        return str(context["error"]).splitlines()
    if where == "report.month":
        return [f"{where}: must be a month written YYYY-MM, so that every month counted is whole (got {got})"]
    if where == "report.name":
        return [f"{where}: must be a folder's name of letters, digits, . _ -, not starting with a dot (got {got})"]
    rule = str(context.get("error", item["msg"])).replace("Input should", "should").replace("Value error, ", "")
    return [f"{where}: {rule[0].lower()}{rule[1:]} (got {got})"]


def fields_at(loc: tuple[Any, ...]) -> list[str]:
    model: Any = Params
    for part in loc:
        model = section_of(model.model_fields[part].annotation) or model if part in model.model_fields else model
    return [name for name, info in model.model_fields.items() if not info.exclude]


def section_of(annotation: Any) -> type[Section] | None:
    found = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, Section)]
    return found[0] if found else None


def to_yaml(params: Params, folder: Path) -> str:
    """The resolved params: all defaults filled in, `${NAME}` unread, source paths relative to `folder`."""
    resolved = params.model_dump(mode="json")
    resolved["report"]["timezone"] = params.report.timezone

    def relocate(path: str) -> str:
        return path if "://" in path or "${" in path else Path(os.path.relpath(params.resolve(path), folder)).as_posix()

    unread(resolved, params.raw)
    for source in resolved["sources"].values():
        source["path"] = relocate(source["path"])
    if params.demo:
        resolved["demo"]["folder"] = relocate(resolved["demo"]["folder"])
    return yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True)


def unread(resolved: dict[str, Any], raw: dict[str, Any]) -> None:
    """Put `${NAME}` back wherever the file says so: no secret is ever written."""
    for key, value in raw.items():
        if isinstance(value, dict) and isinstance(resolved.get(key), dict):
            unread(resolved[key], value)
        elif isinstance(value, str) and "${" in value:
            resolved[key] = value


def describe(model: type[BaseModel] = Params, prefix: str = "") -> Iterator[dict[str, str]]:
    """One row a setting: path, type, default, bounds, meaning."""
    for name, info in model.model_fields.items():
        if info.exclude:
            continue
        inner, hint = section_of(info.annotation), info.annotation
        if inner:
            yield from describe(inner, prefix + name + (".<table>." if name == "sources" else "."))
            continue
        yield {
            "path": prefix + name,
            "type": hint.__name__ if isinstance(hint, type) else re.sub(r"\b(typing|datetime)\.", "", str(hint)),
            "default": "required" if info.is_required() else str(info.default),
            "bounds": ", ".join(str(rule) for rule in info.metadata),
            "meaning": info.description or "",
        }
