"""Params: whatever is wrong is told at once, by its path, with the rule, what was found and the nearest known name."""

import colorsys
import copy
import os
import re
import sys
from datetime import date
from pathlib import Path

import pytest
import yaml
from babel import Locale
from babel.dates import format_date
from babel.numbers import format_currency
from pydantic import ValidationError

from helpers import __main__ as cli
from helpers.contracts import ROOT, ReportError, read_yaml
from helpers.params import describe, load_params, to_yaml
from helpers.settings import GROUNDS, SHORT, contrast, month_index, month_label, month_start

GOOD = {
    "report": {"name": "book", "title": "Book", "month": "2025-06"},
    "sources": {"transactions": {"path": "orders.csv"}},
}


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "book.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def good(folder: Path, **settings) -> Path:
    """A good file with some settings changed: `report__month=…` sets report.month."""
    raw = copy.deepcopy(GOOD)
    for name, value in settings.items():
        *parents, leaf = name.split("__")
        section = raw
        for key in parents:
            section = section.setdefault(key, {})
        section[leaf] = value
    return write(folder, yaml.safe_dump(raw))


def problems(path: Path, *overrides: str, month: str | None = None) -> list[str]:
    with pytest.raises(ReportError) as caught:
        load_params(path, month, overrides)
    assert str(path) in caught.value.title
    return caught.value.problems


MONTH = "report.month: must be a month written YYYY-MM, from 1970 on, so that every month counted is whole"
NAME = "report.name: must be a folder's name: text of at most 80 letters, digits, . _ -, not starting with a dot"
COLUMN = "must be the name of a column in the file, or its position from 1"
SIGNED = "report needs it; write who did so, such as Kim Lee, 2025-07-03"
COLOUR = 'report.accent: must be a colour written "#rrggbb", in quotes'
LOCALE = "report.locale: not a known locale, such as en, de or fr_CH"
# id: settings, the one problem that they make
BAD = {
    "month 13": ({"report__month": "2025-13"}, f"{MONTH} (got '2025-13')"),
    "month without zero": ({"report__month": "2025-6"}, f"{MONTH} (got '2025-6')"),
    "a day": ({"report__month": "2025-07-15"}, f"{MONTH} (got '2025-07-15')"),
    "a month as number": ({"report__month": 202507}, f"{MONTH} (got 202507)"),
    "no month": ({"report__month": None}, f"{MONTH} (got None)"),
    "a month and a line": ({"report__month": "2025-06\n"}, f"{MONTH} (got '2025-06\\n')"),
    "a month before all": ({"report__month": "1969-12"}, f"{MONTH} (got '1969-12')"),
    "name upwards": ({"report__name": "../x"}, f"{NAME} (got '../x')"),
    "name absolute": ({"report__name": "/x"}, f"{NAME} (got '/x')"),
    "name hidden": ({"report__name": ".hidden"}, f"{NAME} (got '.hidden')"),
    "name of two parts": ({"report__name": "a/b"}, f"{NAME} (got 'a/b')"),
    "name empty": ({"report__name": ""}, f"{NAME} (got '')"),
    "name of 200": ({"report__name": "x" * 200}, f"{NAME} (got '{'x' * 79})"),
    "name a number": ({"report__name": 2025}, f"{NAME} (got 2025)"),
    "title empty": ({"report__title": ""}, "report.title: string should have at least 1 character (got '')"),
    "currency": (
        {"report__currency": "usd"},
        "report.currency: must be an ISO code of three capitals, such as USD; did you mean USD? (got 'usd')",
    ),
    "currency of four letters": (
        {"report__currency": "EURO"},
        "report.currency: must be an ISO code of three capitals, such as USD; did you mean EUR? (got 'EURO')",
    ),
    "currency that nobody issues": (
        {"report__currency": "QQQ"},
        "report.currency: must be an ISO code of three capitals, such as USD (got 'QQQ')",
    ),
    "currency as number": ({"report__currency": 840}, "report.currency: should be a valid string (got 840)"),
    "status": (
        {"report__status": "signed"},
        "report.status: should be 'draft', 'reviewed' or 'signed_off' (got 'signed')",
    ),
    "status of a list": ({"report__status": ["reviewed"]}, "report.status: should be 'draft', 'reviewed' or 'signed_off'"),
    "money of customers to control": (
        {"sources__customers": {"path": "c.csv", "expect": {"rows": 9, "amount": 5}}},
        "sources.customers.expect.amount: customers has no amount that adds up; tell its rows",
    ),
    "half a row to control": ({"sources__transactions__expect": {"rows": 1.5}}, "sources.transactions.expect.rows"),
    "an unknown total to control": ({"sources__transactions__expect": {"row": 1}}, "sources.transactions.expect.row"),
    "signed off by nobody": ({"report__status": "signed_off"}, f"report.signed_by: a signed_off {SIGNED}"),
    "reviewed by nobody": ({"report__status": "reviewed"}, f"report.signed_by: a reviewed {SIGNED}"),
    "reviewed by a blank": (
        {"report__status": "reviewed", "report__signed_by": " "},
        f"report.signed_by: a reviewed {SIGNED}",
    ),
    "signed off by who prepared it": (
        {"report__status": "signed_off", "report__signed_by": "kim Lee, 2025-07-03", "report__prepared_by": "Kim Lee , 2025-07-01"},
        "report.signed_by: kim Lee prepared it, too; another pair of eyes signs it off",
    ),
    "signed by 121 letters": (
        {"report__signed_by": "x" * 121},
        "report.signed_by: string should have at most 120 characters (got 'xxx",
    ),
    "signed by a number": ({"report__signed_by": 7}, "report.signed_by: should be a valid string (got 7)"),
    "accent too light": (
        {"report__accent": "#ffff00"},  # luminance 0.9278 beside that of #f5f6f8, 0.9220: (0.9778 / 0.9720)
        "report.accent: has contrast 1.00:1 on #f5f6f8, marks need 3:1; nearest of its hue: #9",
    ),
    "accent too dark": (
        {"report__accent": "#000000"},  # #15181c: 0.2126 · 0.0075 + 0.7152 · 0.0091 + 0.0722 · 0.0116 = 0.0090; 0.0590 / 0.05
        "report.accent: has contrast 1.17:1 on #15181c, marks need 3:1; nearest of its hue: #6c6c6c (got '#000000')",
    ),
    "accent a name": ({"report__accent": "teal"}, f"{COLOUR} (got 'teal')"),
    "accent of three digits": ({"report__accent": "#07b"}, f"{COLOUR} (got '#07b')"),
    "accent with opacity": ({"report__accent": "#0072b2ff"}, f"{COLOUR} (got '#0072b2ff')"),
    "accent and a line": ({"report__accent": "#0072b2\n"}, f"{COLOUR} (got '#0072b2\\n')"),
    "accent that breaks out": ({"report__accent": "red;}</style>"}, f"{COLOUR} (got 'red;}}</style>')"),
    "accent a number": ({"report__accent": 112233}, "report.accent: should be a valid string (got 112233)"),
    "locale with a hyphen": ({"report__locale": "fr-CH"}, f"{LOCALE}; did you mean fr_CH? (got 'fr-CH')"),
    "locale in other capitals": ({"report__locale": "DE"}, f"{LOCALE}; did you mean de? (got 'DE')"),
    "locale upwards": ({"report__locale": "../.."}, f"{LOCALE} (got '../..')"),
    "locale empty": ({"report__locale": ""}, f"{LOCALE} (got '')"),
    "locale of Norway, bare": ({"report__locale": False}, "report.locale: should be a valid string (got False)"),
    "currency style": (
        {"report__currency_style": "sign"},
        "report.currency_style: should be 'code' or 'symbol' (got 'sign')",
    ),
    "date format": (
        {"report__date_format": "us"},
        "report.date_format: should be 'iso', 'short', 'medium' or 'long' (got 'us')",
    ),
    "stale from the start": (
        {"policy__max_staleness_days": 0},
        "policy.max_staleness_days: should be greater than or equal to 1 (got 0)",
    ),
    "stale for ever": (
        {"policy__max_staleness_days": 3651},
        "policy.max_staleness_days: should be less than or equal to 3650 (got 3651)",
    ),
    "target of an unknown metric": (
        {"targets__revenue_nett": {"2025-06": 1}},
        "targets.revenue_nett: not a known metric; did you mean revenue_net?",
    ),
    "target of month 13": (
        {"targets__mrr": {"2025-13": 1}},
        "targets.mrr.2025-13: must be a month written YYYY-MM, from 1970 on",
    ),
    "target of a day": (
        {"targets__mrr": {"2025-06-30": 1}},
        "targets.mrr.2025-06-30: must be a month written YYYY-MM, from 1970 on",
    ),
    "target of a month as number": (
        {"targets__mrr": {202506: 1}},
        "targets.mrr.202506: must be a month written YYYY-MM, from 1970 on",
    ),
    "target without a month": ({"targets__mrr": 5000}, "targets.mrr: must hold `key: value` pairs (got 5000)"),
    "target a text": ({"targets__mrr": {"2025-06": "5k"}}, "targets.mrr.2025-06: should be a valid number (got '5k')"),
    "target true": ({"targets__mrr": {"2025-06": True}}, "targets.mrr.2025-06: should be a valid number (got True)"),
    "target infinite": (
        {"targets__mrr": {"2025-06": float("inf")}},
        "targets.mrr.2025-06: should be a finite number (got inf)",
    ),
    "targets empty": ({"targets": None}, "targets: must hold `key: value` pairs (got None)"),
    "commentary empty": ({"commentary": ""}, "commentary: string should have at least 1 character (got '')"),
    "commentary a list": ({"commentary": ["a"]}, "commentary: should be a valid string (got ['a'])"),
    "history empty": ({"history": ""}, "history: string should have at least 1 character (got '')"),
    "history true": ({"history": True}, "history: should be a valid string (got True)"),
    "zone": (
        {"report__timezone": "Europe/Berln"},
        "report.timezone: not a known time zone; did you mean Europe/Berlin? (got 'Europe/Berln')",
    ),
    "zone of the machine": ({"report__timezone": "localtime"}, "report.timezone: not a known time zone"),
    "zone of a source": (
        {"sources__transactions__timezone": "utc"},
        "sources.transactions.timezone: not a known time zone; did you mean UTC? (got 'utc')",
    ),
    "engine": ({"engine": "postgres"}, "engine: should be 'duckdb' (got 'postgres')"),
    "unknown at the top": ({"polcy": {}}, "polcy: not a known setting; did you mean policy?"),
    "a field that is not the file's": ({"raw": {}}, "raw: not a known setting"),
    "another one": ({"file": "x"}, "file: not a known setting"),
    "unknown in report": ({"report__titel": "x"}, "report.titel: not a known setting; did you mean title?"),
    "unknown in a source": (
        {"sources__transactions__delimeter": ","},
        "sources.transactions.delimeter: not a known setting; did you mean delimiter?",
    ),
    "unknown in policy": (
        {"policy__horizon_month": 3},
        "policy.horizon_month: not a known setting; did you mean horizon_months?",
    ),
    "unknown in ltv_cac": ({"ltv_cac__sed": 3}, "ltv_cac.sed: not a known setting; did you mean seed?"),
    "unknown in a section without settings": ({"pricing__x": 3}, "pricing.x: not a known setting"),
    "unknown rule": ({"verdicts__R-CHURN-2": {"low": 1}}, "verdicts.R-CHURN-2: not a known rule; did you mean R-CHURN-1?"),
    "unknown threshold": (
        {"verdicts__R-LTV-2": {"goal": 3}},
        "verdicts.R-LTV-2.goal: not a known setting; known: target, low, owner, days",
    ),
    "unknown term of a rule": (
        {"verdicts__R-LTV-2": {"onwer": "x"}},
        "verdicts.R-LTV-2.onwer: not a known setting; did you mean owner?",
    ),
    "a rule that is a number": (
        {"verdicts__R-LTV-2": 3},
        "verdicts.R-LTV-2: must hold `key: value` pairs (got 3)",
    ),
    "low above target": (
        {"verdicts__R-LTV-2": {"target": 3, "low": 3.5}},
        "verdicts.R-LTV-2: low 3.5 is better than target 3, for higher is better",
    ),
    "low above the rule's own target": (
        {"verdicts__R-LTV-2": {"low": 1000}},
        "verdicts.R-LTV-2: low 1000 is better than target ",
    ),
    "target below the rule's own low": (
        {"verdicts__R-LTV-2": {"target": -1000, "low": None}},
        "verdicts.R-LTV-2: low ",
    ),
    "low below target where lower is better": (
        {"verdicts__R-PAY-1": {"target": 12, "low": 11}},
        "verdicts.R-PAY-1: low 11 is better than target 12, for lower is better",
    ),
    "owner empty": (
        {"verdicts__R-LTV-2": {"owner": ""}},
        "verdicts.R-LTV-2.owner: string should have at least 1 character (got '')",
    ),
    "owner of 81": (
        {"verdicts__R-LTV-2": {"owner": "x" * 81}},
        "verdicts.R-LTV-2.owner: string should have at most 80 characters (got 'xxx",
    ),
    "due at once": (
        {"verdicts__R-LTV-2": {"days": 0}},
        "verdicts.R-LTV-2.days: should be greater than or equal to 1 (got 0)",
    ),
    "due in a year and a day": (
        {"verdicts__R-LTV-2": {"days": 366}},
        "verdicts.R-LTV-2.days: should be less than or equal to 365 (got 366)",
    ),
    "due in part of a day": (
        {"verdicts__R-LTV-2": {"days": 1.5}},
        "verdicts.R-LTV-2.days: should be a valid integer (got 1.5)",
    ),
    "unknown table": (
        {"sources__custmers": {"path": "x"}},
        "sources.custmers: not a known table; did you mean customers?",
    ),
    "unknown column": (
        {"sources__transactions__columns": {"customer": "x"}},
        "sources.transactions.columns.customer: not a known column of transactions; did you mean customer_id?",
    ),
    "no source": ({"sources": {}}, "sources: needs transactions or subscriptions; every page is made from one of them"),
    "no main source": (
        {"sources": {"customers": {"path": "x"}}},
        "sources: needs transactions or subscriptions; every page is made from one of them",
    ),
    "a source that is a text": (
        {"sources__transactions": "x.csv"},
        "sources.transactions: must hold `key: value` pairs (got 'x.csv')",
    ),
    "a section that is empty": ({"policy": None}, "policy: must hold `key: value` pairs (got None)"),
    "columns that are a list": (
        {"sources__transactions__columns": ["a"]},
        "sources.transactions.columns: must hold `key: value` pairs",
    ),
    "path missing": (
        {"sources__transactions": {"header": True}},
        "sources.transactions: needs path, for files, or url and query, for a database (got neither)",
    ),
    "path empty": (
        {"sources__transactions__path": ""},
        "sources.transactions.path: string should have at least 1 character (got '')",
    ),
    "format": (
        {"sources__transactions__format": "excel"},
        "sources.transactions.format: not a known format; known: canonical, auto, online_retail, ",
    ),
    "column true": (
        {"sources__transactions__columns": {"amount": True}},
        f"sources.transactions.columns.amount: {COLUMN} (got True)",
    ),
    "column 1.5": (
        {"sources__transactions__columns": {"amount": 1.5}},
        f"sources.transactions.columns.amount: {COLUMN} (got 1.5)",
    ),
    "delimiter of two": (
        {"sources__transactions__delimiter": ";;"},
        "sources.transactions.delimiter: must be one character, or 'blank' for runs of blanks (got ';;')",
    ),
    "encoding": (
        {"sources__transactions__encoding": "ebcdic"},
        "sources.transactions.encoding: should be 'utf-8', 'utf-16' or 'latin-1'",
    ),
    "decimal": (
        {"sources__transactions__decimal": ";"},
        "sources.transactions.decimal: should be '.' or ',' (got ';')",
    ),
    "header text": (
        {"sources__transactions__header": "yes please"},
        "sources.transactions.header: should be a valid boolean",
    ),
    "dayfirst number": (
        {"sources__transactions__dayfirst": 1},
        "sources.transactions.dayfirst: should be a valid boolean (got 1)",
    ),
    "negative": ({"policy__inactive_days": -5}, "policy.inactive_days: should be greater than or equal to 1 (got -5)"),
    "too large": (
        {"policy__horizon_months": 241},
        "policy.horizon_months: should be less than or equal to 240 (got 241)",
    ),
    "rate as percent": (
        {"policy__annual_discount_rate": 10},
        "policy.annual_discount_rate: should be less than 1 (got 10)",
    ),
    "margin 0": ({"policy__gross_margin": 0}, "policy.gross_margin: should be greater than 0 (got 0)"),
    "confidence 1": ({"policy__confidence": 1.0}, "policy.confidence: should be less than 1 (got 1.0)"),
    "text for a number": (
        {"policy__inactive_days": "180"},
        "policy.inactive_days: should be a valid integer (got '180')",
    ),
    "text for a rate": ({"policy__confidence": "0.9"}, "policy.confidence: should be a valid number (got '0.9')"),
    "true for a number": (
        {"policy__inactive_days": True},
        "policy.inactive_days: should be a valid integer (got True)",
    ),
    "true for a rate": ({"policy__gross_margin": True}, "policy.gross_margin: should be a valid number (got True)"),
    "a fraction for a count": ({"policy__inactive_days": 1.5}, "policy.inactive_days: should be a valid integer"),
    "1 for true": (
        {"policy__mrr_includes_discounts": 1},
        "policy.mrr_includes_discounts: should be a valid boolean (got 1)",
    ),
    "infinite": ({"policy__gross_margin": float("inf")}, "policy.gross_margin: should be "),
    "not a number": ({"policy__confidence": float("nan")}, "policy.confidence: should be a finite number (got nan)"),
    "infinite threshold": (
        {"verdicts__R-LTV-2": {"target": float("inf")}},
        "verdicts.R-LTV-2.target: should be a finite number (got inf)",
    ),
    "text for a threshold": (
        {"verdicts__R-LTV-2": {"low": "1"}},
        "verdicts.R-LTV-2.low: should be a valid number (got '1')",
    ),
    "no date": ({"policy__observed_from": "2025-02-30"}, "policy.observed_from: must be a day written YYYY-MM-DD"),
    "true for a date": ({"policy__observed_from": True}, "policy.observed_from: must be a day written YYYY-MM-DD"),
    "seconds for a date": (
        {"ltv_cac__next_review_date": 1751328000},
        "ltv_cac.next_review_date: must be a day written YYYY-MM-DD (got 1751328000)",
    ),
    "seconds as text for a date": (
        {"policy__observed_from": "1751328000"},
        "policy.observed_from: must be a day written YYYY-MM-DD (got '1751328000')",
    ),
    "a setting of another section": (
        {"ltv_cac__horizon_months": 24},
        "ltv_cac.horizon_months: not a known setting; did you mean policy.horizon_months?",
    ),
    "choice": (
        {"policy__cac_basis": "payed"},
        "policy.cac_basis: should be 'blended', 'paid' or 'loaded' (got 'payed')",
    ),
    "demo without folder": ({"demo": {"customers": 100}}, "demo.folder: is required and not given"),
    "unset variable": (
        {"report__title": "${NO_SUCH_VARIABLE}"},
        "report.title: the environment variable NO_SUCH_VARIABLE is not set",
    ),
}


@pytest.mark.parametrize(("settings", "expected"), BAD.values(), ids=BAD)
def test_a_bad_setting_is_told_by_path_rule_value_and_nearest_name(tmp_path, settings, expected):
    [found] = problems(good(tmp_path, **settings))
    assert found.startswith(expected)


def test_all_problems_are_told_at_once(tmp_path):
    path = good(
        tmp_path,
        report__month="2025-6",
        report__title="${NO_SUCH_VARIABLE}",
        sources__custmers={"path": "x"},
        sources__transactions={"path": "x", "columns": {"amout": "x"}},
        policy__inactive_days="x",
        policy__horizon_month=1,
        report__status="reviewed",
        report__accent="#ffffff",
        report__locale="../..",
        targets={"nothing": {"2025-06": 1}, "mrr": {"2025-6": 1}},
        **{"verdicts__R-X": {}, "verdicts__R-LTV-2": {"low": 9, "target": 8}, "verdicts__R-PAY-1": {"low": 8, "target": 9}},
    )
    found = problems(path, "rfm.window_months=0", "nonsense")
    assert sorted(line.split(":")[0] for line in found) == [
        "--set nonsense",
        "policy.horizon_month",
        "policy.inactive_days",
        "report.accent",
        "report.locale",
        "report.month",
        "report.signed_by",
        "report.title",
        "rfm.window_months",
        "sources.custmers",
        "sources.transactions.columns.amout",
        "targets.mrr.2025-6",
        "targets.nothing",
        "verdicts.R-LTV-2",
        "verdicts.R-PAY-1",
        "verdicts.R-X",
    ]
    with pytest.raises(ReportError) as caught:
        load_params(path)
    assert str(caught.value).startswith(f"{path} has 14 problems:\n  - ")


BROKEN = {
    "syntax": ("report:\n  name: 'x\n", "is not valid YAML", "line 3: "),
    "a tab": ("report:\n\tname: x\n", "is not valid YAML", "line 2: found character '\\t'"),
    "a repeated key": (
        "report: {name: x}\nengine: duckdb\nreport: {name: y}\n",
        "is not valid YAML",
        "line 3: 'report' stands twice",
    ),
    "a repeated key further in": (
        "report:\n  name: x\n  'name': y\n",
        "is not valid YAML",
        "line 3: 'name' stands twice",
    ),
    "two documents": ("a: 1\n---\nb: 2\n", "is not valid YAML", "line 2: "),
    "a tag": (
        "report: !!python/object:os.system {}\n",
        "is not valid YAML",
        "line 1: could not determine a constructor",
    ),
    "too deep": ("a: " + "[" * 3000, "is not valid YAML", ""),
    "control characters": (b"report: \x00\n", "is not valid YAML", "unacceptable character #x0000"),
    "a list": ("- report\n", "is not a params file", "it holds no `key: value` pairs at the top"),
    "a text": ("report\n", "is not a params file", "it holds no `key: value` pairs at the top"),
    "empty": ("", "is not a params file", "it holds no `key: value` pairs at the top"),
    "comments alone": ("# nothing\n", "is not a params file", "it holds no `key: value` pairs at the top"),
    "not UTF-8": (
        "report: {title: é}\n".encode("latin-1"),
        "is not valid YAML",
        "unacceptable character #x00e9: invalid continuation byte",
    ),
    "an alias of itself": ("report: &r {name: *r}\n", "is not a params file", "an alias in it holds itself"),
}


@pytest.mark.parametrize(("text", "title", "problem"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_cannot_be_read_is_told_with_its_line(tmp_path, text, title, problem):
    path = write(tmp_path, text)
    with pytest.raises(ReportError) as caught:
        load_params(path)
    assert caught.value.title == f"{path} {title}"
    [found] = caught.value.problems
    assert found.startswith(problem) and "\n" not in found


def test_what_is_not_utf8_says_so_in_its_remedy(tmp_path):
    with pytest.raises(ReportError, match="Save it as UTF-8"):
        load_params(write(tmp_path, "title: é\n".encode("latin-1")))


@pytest.mark.parametrize("place", ["nowhere.yaml", "."])
def test_a_file_that_is_not_there_is_told_with_the_remedy(tmp_path, place):
    with pytest.raises(ReportError, match="is not there\nName a params file, such as params/demo.yaml"):
        load_params(tmp_path / place)


OVERRIDES = {
    "no equals sign": ("policy.horizon_months", "--set policy.horizon_months: must be written KEY=VALUE"),
    "no key": ("=3", "--set =3: must be written KEY=VALUE"),
    "a key with a hole": ("policy..x=3", "--set policy..x=3: must be written KEY=VALUE"),
    "a key that ends in a dot": ("policy.=3", "--set policy.=3: must be written KEY=VALUE"),
    "bad YAML": ("policy.min_events=[", "--set policy.min_events is not valid YAML: line 1: "),
    "unknown": ("policy.horizn_months=3", "policy.horizn_months: not a known setting; did you mean horizon_months?"),
    "unknown section": ("polcy.x=3", "polcy: not a known setting; did you mean policy?"),
    "into a single value": ("report.month.day=3", "--set report.month.day: month is a single value, it holds no day"),
    "of a wrong type": ("policy.min_events=few", "policy.min_events: should be a valid integer (got 'few')"),
}


@pytest.mark.parametrize(("override", "expected"), OVERRIDES.values(), ids=OVERRIDES)
def test_a_bad_override_is_told(tmp_path, override, expected):
    [found] = problems(good(tmp_path), override)
    assert found.startswith(expected)


def test_overrides_are_yaml_and_the_last_one_wins(tmp_path):
    overrides = [
        "policy.min_events=7",
        "policy.min_events=8",
        "sources.transactions.columns={amount: 4}",
        "report.title='a=b'",
    ]
    params = load_params(good(tmp_path), None, [*overrides, "verdicts.R-LTV-2.target=4"])
    assert params.policy.min_events == 8
    assert params.sources["transactions"].columns == {"amount": 4}
    assert params.report.title == "a=b"
    assert params.rules == {"R-LTV-2": {"target": 4.0}}


def test_a_colour_needs_no_second_quotes_in_an_override(tmp_path):
    assert load_params(good(tmp_path), None, ["report.accent=#0072b2"]).report.accent == "#0072b2"


@pytest.mark.parametrize("line", ["accent: #0072b2", "accent: #0072B2  # the house's", "accent:   #0072b2"])
def test_a_colour_without_quotes_is_told_and_not_lost_as_a_comment(tmp_path, line):
    path = write(tmp_path, yaml.safe_dump(GOOD).replace("report:\n", f"report:\n  {line}\n"))
    assert problems(path) == ["report.accent: must stand in quotes; YAML takes a bare # for the start of a comment"]
    assert load_params(path, None, ["report.accent=#d55e00"]).report.accent == "#d55e00"


@pytest.mark.parametrize("line", ["# accent: #0072b2", "accent:  # 2 colours, none yet", "accent: null  # #0072b2"])
def test_a_comment_about_a_colour_is_none(tmp_path, line):
    path = write(tmp_path, yaml.safe_dump(GOOD).replace("report:\n", f"report:\n  {line}\n"))
    assert load_params(path).report.accent is None


def test_a_month_that_is_given_takes_the_place_of_the_files(tmp_path):
    assert load_params(good(tmp_path), "2024-02").report.month == "2024-02"
    for bad in ("2024-2", "x'; \"y", "[", "2024-02\n"):
        assert problems(good(tmp_path), month=bad)[0].startswith(
            ("report.month: must be a month", "--set report.month")
        )


# --- secrets ----------------------------------------------------------------------------------------------------


def test_a_variable_is_read_and_never_written(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2/x${OTHER}")
    monkeypatch.setenv("OTHER", "never")
    path = good(tmp_path, sources__transactions={"path": "/in/${SECRET}.csv", "columns": {"amount": "${SECRET}"}})
    params = load_params(path, None, ["report.title=${SECRET}"])
    # what a variable holds is taken as it is: it names no further variables
    assert params.sources["transactions"].path == "/in/hunter2/x${OTHER}.csv"
    written = to_yaml(params, tmp_path / "out")
    assert "hunter2" not in written and "never" not in written
    raw = yaml.safe_load(written)
    assert raw["sources"]["transactions"]["path"] == "/in/${SECRET}.csv"
    assert raw["sources"]["transactions"]["columns"] == {"amount": "${SECRET}"}
    assert raw["report"]["title"] == "${SECRET}"


@pytest.mark.parametrize(
    "setting",
    [
        "report.currency",
        "report.timezone",
        "report.accent",
        "report.locale",
        "policy.confidence",
        "policy",
        "sources.transactions.encoding",
        "targets.mrr.2025-06",
        "verdicts.R-LTV-2.target",
    ],
)
def test_no_message_shows_what_a_variable_holds(tmp_path, monkeypatch, setting):
    monkeypatch.setenv("SECRET", "hunter2")
    [found] = problems(good(tmp_path), f"{setting}='${{SECRET}}'")
    assert "(got '${SECRET}')" in found and "hunter2" not in found


# --- what is loaded ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["demo", "cdnow", "grocery"])
def test_what_is_written_loads_equal_from_another_folder(tmp_path, name):
    params = load_params(f"params/{name}.yaml")
    (tmp_path / "out").mkdir()
    copied = write(tmp_path / "out", to_yaml(params, tmp_path / "out"))
    again = load_params(copied)
    for one in (params, again):
        assert one.resolve("x").is_absolute()
    paths = [
        [str(p.resolve(s.path)) if "://" not in s.path else s.path for s in p.sources.values()] for p in (params, again)
    ]
    assert paths[0] == paths[1]
    ignored = {"sources": {table: {"path"} for table in params.sources}, "demo": {"folder"} if params.demo else False}
    ignored = {key: value for key, value in ignored.items() if value}
    assert params.model_dump(exclude=ignored) == again.model_dump(exclude=ignored)


def test_every_setting_survives_being_written_and_read(tmp_path):
    path = good(
        tmp_path,
        report__timezone="Europe/Berlin",
        report__currency="CHF",
        report__status="signed_off",
        report__signed_by="Kim Lee, 2025-07-03",
        report__accent="#0072B2",
        report__locale="no",
        report__currency_style="symbol",
        report__date_format="long",
        policy={
            "max_staleness_days": 3650,
            "observed_from": "2024-01-01",
            "gross_margin": 0.8,
            "cac_basis": "paid",
            "mrr_includes_discounts": False,
        },
        sources__transactions={
            "path": "o.csv",
            "header": False,
            "columns": {"amount": 3},
            "delimiter": "\t",
            "dayfirst": True,
        },
        demo={"folder": "d", "seed": 7},
        targets={"mrr": {"2025-06": 5000, "2025-07": 5100.5}, "grr_12m": {"2025-06": 0.92}},
        commentary="words",
        history=None,
        **{"verdicts__R-LTV-2": {"target": 4}, "verdicts__R-PAY-1": {"owner": "CFO", "days": 365, "low": None}},
    )
    params = load_params(path)
    again = load_params(write(tmp_path, to_yaml(params, tmp_path)))
    assert again.model_dump() == params.model_dump()
    assert params.rules == {"R-LTV-2": {"target": 4.0}, "R-PAY-1": {"owner": "CFO", "days": 365}}
    assert params.targets == {"mrr": {"2025-06": 5000.0, "2025-07": 5100.5}, "grr_12m": {"2025-06": 0.92}}
    assert (params.report.accent, params.report.locale, params.history) == ("#0072B2", "no", None)
    assert params.policy.observed_from == date(2024, 1, 1)
    assert params.sources["transactions"].delimiter == "\t"


def test_a_minimal_file_has_every_default(tmp_path):
    params = load_params(good(tmp_path))
    # the defaults of the contract's table of policies
    assert params.report.currency == "USD" and params.report.timezone == "UTC" and params.engine == "duckdb"
    report, policy = params.report, params.policy
    assert (report.status, report.signed_by, report.accent) == ("draft", None, None)
    assert (report.locale, report.currency_style, report.date_format) == ("en", "code", "iso")
    assert (params.targets, params.commentary, params.history, params.rules) == ({}, None, "outputs", {})
    assert policy.max_staleness_days == 31
    assert (policy.inactive_days, policy.observed_from, policy.left_edge_months) == (180, None, 0)
    assert (policy.churn_window_months, policy.horizon_months, policy.annual_discount_rate) == (6, 36, 0.10)
    assert (policy.gross_margin, policy.cac_basis, policy.cac_lag_months) == (None, "blended", 0)
    assert (policy.mrr_includes_discounts, policy.grace_days, policy.in_month_churn) == (True, 7, "apart")
    assert (policy.min_customers, policy.min_events, policy.confidence, policy.pandas_rows) == (30, 5, 0.95, 5_000_000)


def test_params_are_frozen(tmp_path):
    params = load_params(good(tmp_path))
    for section, name in ((params, "engine"), (params.report, "month"), (params.sources["transactions"], "path")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(section, name, "x")


def test_paths_are_relative_to_the_file_and_the_file_to_the_project(tmp_path, monkeypatch):
    params = load_params(good(tmp_path))
    assert params.resolve("../x/orders.csv") == tmp_path.parent / "x" / "orders.csv"
    monkeypatch.chdir(tmp_path)
    assert load_params("params/demo.yaml").file == ROOT / "params" / "demo.yaml"
    assert load_params("book.yaml").file == tmp_path / "book.yaml"


def test_commentary_is_found_from_where_the_params_are_written_and_history_stays(tmp_path, monkeypatch):
    params = load_params(good(tmp_path, commentary="../words", history="../archive"))
    written = yaml.safe_load(to_yaml(params, tmp_path / "outputs" / "2025-06"))
    assert (written["commentary"], written["history"]) == ("../../../words", "../archive")
    assert params.resolve(params.commentary) == tmp_path.parent / "words"
    monkeypatch.setenv("SECRET", "hunter2")
    params = load_params(good(tmp_path, commentary="${SECRET}/words", history="${SECRET}"))
    written = yaml.safe_load(to_yaml(params, tmp_path / "out"))
    assert (written["commentary"], written["history"]) == ("${SECRET}/words", "${SECRET}")


def test_another_than_who_prepared_a_report_signs_it_off(tmp_path):
    names = {"report__prepared_by": "Kim Lee, 2025-07-01", "report__reviewed_by": "Bo", "report__signed_by": "Kim Leeds, 2025-07-03"}
    assert load_params(good(tmp_path, report__status="signed_off", **names)).report.reviewed_by == "Bo"
    assert load_params(good(tmp_path, **names | {"report__signed_by": "Kim Lee"})).report.status == "draft"


@pytest.mark.parametrize(
    ("status", "signed_by"), [("draft", None), ("draft", "Kim"), ("reviewed", "K"), ("signed_off", "x" * 120)]
)
def test_only_a_draft_goes_unsigned(tmp_path, status, signed_by):
    report = load_params(good(tmp_path, report__status=status, report__signed_by=signed_by)).report
    assert (report.status, report.signed_by) == (status, signed_by)


def test_low_may_equal_target_and_both_may_move_together(tmp_path):
    terms = {"R-LTV-2": {"target": 900, "low": 800}, "R-PAY-1": {"target": 5, "low": 5}}
    assert load_params(good(tmp_path, verdicts=terms)).rules == terms


def test_every_rule_of_our_own_keeps_its_limits_in_order(tmp_path):
    rules = read_yaml("rules.yaml")
    assert load_params(good(tmp_path, verdicts={rule: {"owner": "CFO"} for rule in rules})).rules["R-LTV-2"] == {"owner": "CFO"}


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#c0ffee", "#C0FFEE") == 1
    # 1.05 / (its weight + 0.05): pure red, green and blue have the luminance of their weight
    assert contrast("#ff0000", "#ffffff") == pytest.approx(1.05 / 0.2626)
    assert contrast("#00ff00", "#ffffff") == pytest.approx(1.05 / 0.7652)
    assert contrast("#0000ff", "#ffffff") == pytest.approx(1.05 / 0.1222)
    # #767676 is the lightest grey with 4.5:1 on white, WebAIM's well-known example
    assert contrast("#777777", "#ffffff") < 4.5 < contrast("#767676", "#ffffff") < 4.55
    # 1 / 255 = 0.003922 is on the straight part: / 12.92 = 0.0003035; half of #ffffff, 0.5020, is on the curved one: 0.2159
    assert contrast("#010101", "#000000") == pytest.approx(0.0503035 / 0.05, abs=1e-5)
    assert contrast("#808080", "#000000") == pytest.approx(0.2659 / 0.05, abs=1e-2)


@pytest.mark.parametrize("colour", ["#fff", "#12345g", "#0072b2ff", "teal", ""])
def test_contrast_of_no_colour_is_an_error(colour):
    with pytest.raises(ValueError):
        contrast(colour, "#ffffff")


@pytest.mark.parametrize("colour", ["#ffffff", "#ffff00", "#00ffff", "#aaccee", "#000000", "#000080", "#200000", "#5a3d00"])
def test_the_colour_proposed_is_the_nearest_of_its_hue_that_will_do(tmp_path, colour):
    [found] = problems(good(tmp_path, report__accent=colour))
    near = found.split("nearest of its hue: ")[1].split(" ")[0]
    assert load_params(good(tmp_path, report__accent=near)).report.accent == near
    was, now = (colorsys.rgb_to_hls(*(part / 255 for part in bytes.fromhex(one[1:]))) for one in (colour, near))
    assert now[0] == pytest.approx(was[0], abs=0.01) and now[2] == pytest.approx(was[2], abs=0.02)
    # two steps of lightness back towards what was asked for, it will not do
    back = now[1] + (2 / 255 if was[1] > now[1] else -2 / 255)
    shade = "#" + bytes(round(255 * part) for part in colorsys.hls_to_rgb(was[0], back, was[2])).hex()
    assert min(contrast(shade, ground) for ground in GROUNDS) < 3


def test_an_accent_does_on_all_four_grounds_of_the_pages(tmp_path):
    styles = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "helpers" / "template").glob("*.css"))
    assert set(re.findall(r"--(?:ground|raised): *(#\w+)", styles)) == set(GROUNDS)
    # a light one: 3:1 on white alone
    assert contrast("#949494", "#ffffff") > 3 > contrast("#949494", "#f5f6f8")
    assert problems(good(tmp_path, report__accent="#949494"))
    # a dark one: 3:1 on #15181c alone
    assert contrast("#646464", "#15181c") > 3 > contrast("#646464", "#1e2329")
    assert problems(good(tmp_path, report__accent="#646464"))


def test_a_ratio_just_short_is_not_rounded_up_to_enough(tmp_path):
    short = "#00787d"
    assert 2.995 < contrast(short, "#1e2329") < 3
    [found] = problems(good(tmp_path, report__accent=short))
    assert "has contrast 2.99:1 on #1e2329" in found


@pytest.mark.parametrize("locale", ["en", "de", "fr_CH", "ja", "pt_BR", "ar", "en_US_POSIX", *SHORT])
def test_numbers_and_dates_can_be_written_in_every_kind_of_locale(tmp_path, locale):
    known = load_params(good(tmp_path, report__locale=locale)).report.locale
    assert known == locale and Locale.parse(locale)
    assert format_currency(1234.5, "CHF", locale=locale) and format_date(date(2025, 6, 30), "long", locale)


def test_a_byte_order_mark_does_no_harm(tmp_path):
    assert load_params(write(tmp_path, b"\xef\xbb\xbf" + yaml.safe_dump(GOOD).encode())).report.name == "book"


def test_months_count_on_over_the_year():
    assert month_index("2025-01") - month_index("2024-12") == 1
    assert month_start(month_index("2024-12")) == date(2024, 12, 1)
    assert month_label(month_index("2024-12") + 1) == "2025-01"


def test_as_of_is_the_first_day_after_the_month(tmp_path):
    assert load_params(good(tmp_path, report__month="2024-12")).as_of == date(2025, 1, 1)


def test_every_setting_is_described_with_type_default_bounds_and_meaning():
    rows = {row["path"]: row for row in describe()}
    assert rows["policy.inactive_days"] == {
        "path": "policy.inactive_days",
        "type": "int",
        "default": "180",
        "bounds": "Ge(ge=1), Le(le=3650)",
        "meaning": "days without a sale after which a buyer has left",
    }
    assert rows["report.timezone"]["type"] == "str" and rows["policy.observed_from"]["type"] == "date | None"
    assert rows["report.name"]["default"] == "required" and rows["sources.<table>.path"]["default"] == "None"
    for name in ("target", "low", "owner", "days"):
        assert rows[f"verdicts.<rule>.{name}"]["default"] == "None"
    assert rows["verdicts.<rule>.days"]["bounds"] == "Ge(ge=1), Le(le=365)"
    assert rows["targets.<metric>.<YYYY-MM>"]["type"] == "float"
    assert rows["report.status"]["type"] == "Literal['draft', 'reviewed', 'signed_off']"
    assert {"report.signed_by", "report.accent", "report.locale", "report.currency_style", "report.date_format"} <= set(rows)
    assert {"commentary", "history", "policy.max_staleness_days"} <= set(rows) and not {"verdicts", "targets"} & set(rows)
    assert not [row for row in rows.values() if "func" in row["type"] + row["bounds"] or "Annotated" in row["type"]]
    assert all(row["meaning"] for row in rows.values())


# --- through the command ----------------------------------------------------------------------------------------

THROUGH = {
    **{name: (yaml.safe_dump, settings) for name, (settings, _) in BAD.items()},
    **{n: (None, t[0]) for n, t in BROKEN.items()},
}


@pytest.mark.parametrize("name", THROUGH)
def test_run_exits_1_without_a_traceback_and_leaves_nothing(tmp_path, monkeypatch, capsys, name):
    dump, settings = THROUGH[name]
    path = good(tmp_path, **settings) if dump else write(tmp_path, settings)
    monkeypatch.setattr(sys, "argv", ["ltv-report", "run", str(path), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as left:
        cli.main()
    printed = capsys.readouterr()
    assert left.value.code == 1 and str(path) in printed.err and "Traceback" not in printed.out + printed.err
    assert os.listdir(tmp_path) == ["book.yaml"]


@pytest.mark.parametrize(("section", "told"), [
    ("targets: {grr_12m: {2025-06: 90}}", "targets.grr_12m.2025-06: grr_12m is a share, written as a fraction from 0 to 1"),
    ("verdicts: {R-NRR-1: {target: 105}}", "verdicts.R-NRR-1.target: nrr_12m is a share, written as a fraction from 0 to 5"),
    ("verdicts: {R-CHURN-1: {low: -0.1}}", "(got -0.1)"),
    ("verdicts: {R-SUS-1: {target: 3}}", "verdicts.R-SUS-1: has no target or low to set"),
])
def test_percents_for_shares_and_targets_of_rules_without_one_are_refused(tmp_path, section, told):
    path = tmp_path / "a.yaml"
    head = "report: {name: a, title: A, month: 2025-06}\nsources: {transactions: {path: a.csv}}\n"
    path.write_text(head + section, encoding="utf-8")
    with pytest.raises(ReportError, match=re.escape(told)):
        load_params(path)
    path.write_text(head + "targets: {nrr_12m: {2025-06: 1.1}, mrr: {2025-06: 90}}\nverdicts: {R-NRR-1: {target: 1.05}}")
    assert load_params(path).targets["nrr_12m"] == {"2025-06": 1.1}


def test_settings_that_figures_rest_on_are_told_in_words_without_places_secrets_or_signatures(tmp_path, monkeypatch):
    monkeypatch.setenv("DAYS_COLUMN", "top secret")
    path = good(tmp_path, policy={"grace_days": 15}, report__signed_by="Kim", report__currency="CHF", verdicts={"R-LTV-2": {"target": 4.0}},
                sources__transactions={"path": "o.csv", "dayfirst": True, "columns": {"amount": "${DAYS_COLUMN}"}, "expect": {"rows": 3}})
    told = load_params(path).settled
    assert told["policy.grace_days"] == "15" and told["report.currency"] == "CHF" and told["policy.observed_from"] == "not set"
    assert told["sources.transactions.dayfirst"] == "True" and told["sources.transactions.columns.amount"] == "${DAYS_COLUMN}"
    assert told["verdicts.R-LTV-2.target"] == "4.0" and told["ltv_cac.seed"] == "1" and told["rfm.cuts"] == "rank"
    assert not [name for name in told if re.search(r"path|url|query|expect|signed|report\.month|title|^history|commentary|targets", name)]
