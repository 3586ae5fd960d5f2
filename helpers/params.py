"""One YAML file -> one frozen, validated Params; every problem is reported at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from helpers.contracts import CARRIERS, FORMATS, ROOT, TABLES, ReportError, definitions, read_yaml, taken
from helpers.settings import DUCKDB, ENVIRONMENT, Params, Section, nearest, unread

KEYS = {"sources": ".<table>", "verdicts": ".<rule>", "targets": ".<metric>.<YYYY-MM>"}  # keys that the user names
TIMESTAMP = "tag:yaml.org,2002:timestamp"
PASSWORD = r"://[^/?#\s]*:[^@\s]+@|\b(?:ssl)?password\s*=\s*[^&\s]"  # in a text without its ${NAME}s
FOR_FILES = ("delimiter", "header", "encoding", "decimal", "sheet")
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
