"""What a page shows besides charts: formatted numbers, tables, KPI cards, verdicts and small notes.

Each function returns one HTML object for a notebook cell to show, rendered from a partial in `template/parts/` with
autoescape on. Values keep their digits in data: rounding happens here, in text alone. Unknown is "–", never 0.
"""

import base64
import re
from copy import copy
from dataclasses import dataclass
from functools import cache
from math import inf
from pathlib import Path

import pandas as pd
from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal, get_currency_precision
from IPython.display import HTML
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

DIGITS = {"months": 1, "share": 1, "ratio": 2, "per_year": 2}
SUFFIXES = {"count": "", "months": " months", "share": "%", "ratio": "×", "per_year": " a year"}
MARKS = {"act": "✗", "watch": "!", "unclear": "?", "good": "✓"}
ACRONYMS = {"ltv", "cac", "clv", "mrr", "arr", "nrr", "grr", "arpu", "arpa", "rfm", "kpi", "sql", "id"}


@dataclass(frozen=True)
class Formats:
    """How numbers are written: the report's currency, marks and dates of a locale that Babel knows."""

    currency: str = "USD"
    locale: str = "en"
    currency_style: str = "code"
    date_format: str = "iso"


PLAIN = Formats()


def number(value, unit: str, formats: Formats = PLAIN, *, digits: int | None = None, bare: bool = False) -> str:
    """`value` as text: "1,234.50 USD", "5.1%", "12.0 months", "3.10×", "2025-06-30"; unknown is "–".

    unit : count, share (a fraction), ratio, months, per_year, date, text, money (in the report's currency) or an ISO code.
    digits : after the point; by default what suits the unit, for money none from 10,000 on.
    bare : without the unit, for a table whose header names it. Raises ValueError for any other unit.
    """
    if unit not in (*SUFFIXES, "date", "text", "money") and not re.fullmatch("[A-Z]{3}", unit):
        raise ValueError(f"unknown unit {unit!r}; use {', '.join(SUFFIXES)}, date, text, money or an ISO code")
    if _unknown(value):
        return "–"
    if unit == "text":
        return str(value) if not pd.api.types.is_bool(value) else "yes" if value else "no"
    if unit == "date":
        iso = formats.date_format == "iso"
        return str(value)[:10] if iso else format_date(pd.Timestamp(value), formats.date_format, formats.locale)
    code = {"money": formats.currency}.get(unit, unit)
    digits = _digits([value], code) if digits is None else digits
    if code not in SUFFIXES and formats.currency_style == "symbol" and not bare:
        pattern = copy(Locale.parse(formats.locale).currency_formats["standard"])
        pattern.frac_prec = (digits, digits)
        text = pattern.apply(value, formats.locale, currency=code, currency_digits=False)
    else:
        text = format_decimal(value * 100 if unit == "share" else value, "#,##0." + "0" * digits, formats.locale)
        text += "" if bare else _suffix(code, formats)
    return text.replace("-", "−" if re.search("[1-9]", text) else "")


def show_table(frame: pd.DataFrame, caption: str, units: dict[str, str] | None = None, *, total=None,
               limit: int | None = None, note: str = "", formats: Formats = PLAIN, folded: bool = False) -> HTML:
    """A captioned table in a region that scrolls; its index, unless a plain range, comes first and names the rows.

    caption : names the region, too, so it differs from all others on the page. units : column -> unit, see `number`;
    by default numbers are counts and the rest is text. total : column -> value of a last row (dict or Series).
    limit : rows shown at most, said in the note. folded : closed until clicked.
    """
    if frame.empty:
        return _html("empty", text=f"{caption}: no rows.")
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index(names=[name or "" for name in frame.index.names])
    total = {} if total is None else dict(total)
    columns = []
    for name in frame.columns:
        unit = (units or {}).get(name) or ("count" if pd.api.types.is_any_real_numeric_dtype(frame[name]) else "text")
        numeric = unit not in ("text", "date")
        code = {"money": formats.currency}.get(unit, unit)
        digits = _digits([*frame[name], total.get(name)], code) if numeric else None
        columns.append({"name": name, "unit": unit, "numeric": numeric, "digits": digits,
                        "heading": _heading(str(name), unit, formats)})
    shown = frame.head(len(frame) if limit is None else limit)
    cut = f"The first {len(shown):,} of {len(frame):,} rows. " if len(shown) < len(frame) else ""
    rows = [*shown.itertuples(index=False, name=None)]
    return _html("table", caption=caption, columns=columns, rows=rows, total=total, formats=formats, note=cut + note,
                 folded=folded)


def kpi_cards(cards: list[dict], formats: Formats = PLAIN) -> HTML:
    """Cards, each a dict: `label`, `value`, `unit`; optional `low` and `high`, `n`, `target`, `badge`, `why` (the value is
    unknown), `previous` (last month's value), `last_year`, `unsure` (of these two -> why the change says nothing, such as
    "as usual"), `good` ("up" or "down": the better direction), `definition` (metric id), `query` (that it comes from) and
    `trend` (values by month, the oldest first). A comparison given but unknown is shown as such.
    """
    cards = [{"good": None} | card | {"trend": [*card.get("trend", ())]} for card in cards]
    return _html("cards", cards=[card | {"changes": _changes(card, formats)} for card in cards], formats=formats)


def verdict_list(verdicts: pd.DataFrame, formats: Formats = PLAIN, here: str = "") -> HTML:
    """One item a row, in the order given: `severity` {good, watch, act, unclear}, `statement`, `rule`, `value`,
    `threshold`, `n`, `provisional`; and `unit` of value and threshold, `value_at_stake`, `page` where known. `here` : the
    page they stand on, which needs no link.
    """
    return _html("verdicts", verdicts=verdicts.to_dict("records"), marks=MARKS, formats=formats, here=here)


def decision_list(decisions: pd.DataFrame, formats: Formats = PLAIN) -> HTML:
    """What to decide, who, by when, for how much a year: `decision, because, owner, due_on, value_at_stake, rule`."""
    return _html("decisions", decisions=decisions.to_dict("records"), formats=formats)


def commentary(html: str, signature: str) -> HTML:
    """The analyst's own words; `html` is trusted to be escaped."""
    return _html("commentary", words=Markup(html), signature=signature)


def footnotes(notes: dict[str, list]) -> HTML:
    """Notes at the end of a page: heading -> lines, each a text or a pair (address on this report, text)."""
    return _html("footnotes", notes=notes)


def query_box(name: str, sql: str, frame: pd.DataFrame, rows: int = 10) -> HTML:
    """The text of a query and its first rows, folded."""
    first = Markup(show_table(frame, f"Rows of {name}", limit=rows).data)
    return _html("query", name=name, sql=sql.strip(), table=first)


def facts(values: dict) -> HTML:
    """A list of names and what they stand for; unknown values are "–"."""
    return _html("facts", facts=values)


def paragraph(text: str) -> HTML:
    return HTML(f"<p>{escape(text)}</p>")


def headline(text: str) -> HTML:
    return _html("headline", text=text)


def badge(text: str, unknown: str = "") -> HTML:
    """What was found equal; `unknown` : why there was nothing to compare."""
    return _html("badge", text=f"Nothing to recompute: {unknown}" if unknown else text)


def skip_box(section: str, needs: str, unlocks: str) -> HTML:
    """Stands where a section would: what it needs, and what that would unlock."""
    return _html("skip", section=section, needs=needs, unlocks=unlocks)


def _changes(card: dict, formats: Formats) -> list[dict]:
    """How a card's value moved: shares in points, all else in percent of what it was."""
    changes = []
    for name, since in (("previous", "last month"), ("last_year", "a year ago"), ("target", "plan")):
        if name not in card:
            continue
        now, before, unit = card["value"], card[name], card["unit"]
        if _unknown(now) or _unknown(before):
            changes.append({"arrow": "", "judged": "", "text": f"no comparison with {since}"})
            continue
        size = number(abs((now - before) / before), "share", formats) if before else number(abs(now), unit, formats)
        if unit == "share":
            size = f"{number(abs(now - before) * 100, 'count', formats, digits=1)} points"
        moved = bool(re.search("[1-9]", size))
        word, arrow = ("unchanged", "■") if not moved else ("up", "▲") if now > before else ("down", "▼")
        usual = card.get("unsure", {}).get(name) if moved else None
        judged = "" if usual or not moved or not card["good"] else "better" if word == card["good"] else "worse"
        text = f"{word} {size} vs {since}" if moved else f"{word} vs {since}"
        said = usual or judged
        changes.append({"arrow": arrow, "judged": judged, "text": f"{text}, {said}" if said else text})
    return changes


def _heading(column: str, unit: str, formats: Formats) -> str:
    """`ltv_to_cac` in "ratio" becomes "LTV to CAC (×)"; a name that is no identifier stays as it is."""
    if re.fullmatch("[a-z0-9_]+", column):
        words = " ".join(word.upper() if word in ACRONYMS else word for word in column.split("_"))
        column = words if words == "n" else words[:1].upper() + words[1:]
    suffix = "" if unit in ("date", "text") else _suffix({"money": formats.currency}.get(unit, unit), formats).strip()
    return f"{column} ({suffix})" if suffix and suffix not in column else column


def _suffix(code: str, formats: Formats) -> str:
    """What stands behind a number of a unit or currency: "%" or, where a locale parts it, " %"."""
    if code == "share":
        return Locale.parse(formats.locale).percent_formats[None].suffix[0]
    return SUFFIXES.get(code, f" {code}")


def _digits(values, unit: str) -> int:
    """Digits after the point, one choice for all values, so that the figures of a column line up."""
    known = [abs(value) for value in values if not _unknown(value)]
    if unit == "count":
        return 0 if all(value == int(value) for value in known) else 2
    return DIGITS.get(unit, 0 if max(known, default=0) >= 10_000 else get_currency_precision(unit))


def _unknown(value) -> bool:
    return pd.api.types.is_scalar(value) and bool(value is None or pd.isna(value) or value in (inf, -inf))


@cache
def _parts() -> Environment:
    parts = Environment(loader=FileSystemLoader(Path(__file__).parent / "template" / "parts"), autoescape=True,
                        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    parts.globals["number"] = number
    parts.filters["base64"] = lambda text: base64.b64encode(str(text).encode()).decode()
    parts.tests["unknown"] = _unknown
    return parts


def _html(part: str, **values) -> HTML:
    return HTML(_parts().get_template(f"{part}.html.j2").render(values))
