"""Summary tables in, result tables out: no I/O, no rounding. Every metric is a row of the columns below."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.models.intervals import Estimate, wilson

COLUMNS = ["metric", "dimension", "member", "period", "value", "low", "high", "n", "unit", "basis", "method"]


def metric(
    name: str, period: str, value: float | Estimate, *, unit: str, n: float = np.nan, basis: str = "", method: str = "",
    low: float = np.nan, high: float = np.nan, dimension: str = "all", member: str = "all",
) -> dict:
    """One row of metrics.csv; an Estimate brings its own interval and n."""
    if isinstance(value, Estimate):
        value, low, high, n = value.value, value.low, value.high, value.n
    row = [name, dimension, member, period, value, low, high, n, unit, basis, method]
    return dict(zip(COLUMNS, row, strict=True))


def monthly(table: pd.DataFrame, name: str, value, *, unit: str, n=np.nan, basis: str = "", method: str = "") -> list[dict]:
    """The last 13 months of a metric: `value` and `n` are columns (or arrays) along `table`, which has `period`."""
    frame = pd.DataFrame({"period": table["period"], "value": value, "n": n}).tail(13)
    return [
        metric(name, row.period, float(row.value), unit=unit, n=row.n, basis=basis, method=method)
        for row in frame.itertuples()
        if pd.notna(row.value)
    ]


def proportions(name: str, parts, whole, periods, confidence: float) -> list[dict]:
    """The last 13 months of part ÷ whole with Wilson bounds, along `periods`; a month without a whole is left out."""
    low, high = wilson(parts, whole, confidence)
    rows = [*zip(periods, parts, whole, low, high, strict=True)][-13:]
    return [
        metric(name, period, part / n, low=float(a), high=float(b), n=n, unit="share", method="Wilson")
        for period, part, n, a, b in rows
        if n > 0
    ]


def frame(rows: list[dict]) -> pd.DataFrame:
    """Rows in the order that metrics.csv keeps: by metric, dimension, member and period."""
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.sort_values(["metric", "dimension", "member", "period"], ignore_index=True)


def hidden(table: pd.DataFrame, below: int) -> pd.DataFrame:
    """A split whose members of fewer than `below` customers show what adds up, and no estimate: one customer is no rate."""
    adds_up = ["customers", "share", "mrr", "revenue", "revenue_share", "tier_rank", "list_price", "media", "spend",
               "share_of_spend"]
    estimates = [name for name in table.select_dtypes("number") if name not in adds_up]
    few = table["customers"] < below
    return table.assign(**{name: table[name].astype("float64").mask(few) for name in estimates})


def share(part, whole):
    """part ÷ whole along months, unknown where there is no whole."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=np.asarray(whole) > 0, dtype=float)


def checks(table: pd.DataFrame) -> pd.DataFrame:
    """Complete checks: `check, scope, expected, actual, tolerance` with the difference and whether it passed."""
    difference = table["actual"] - table["expected"]
    full = table.assign(difference=difference, passed=difference.abs() <= table["tolerance"])
    return full[["check", "scope", "expected", "actual", "difference", "tolerance", "passed"]]


def parts_checks(check: str, parts: pd.Series, whole: pd.Series, labels: dict[int, str], tolerance: float = 0) -> pd.DataFrame:
    """Checks that the parts of an additive measure make the whole, of each of the last 13 months of `whole`.

    parts, whole : sums by the index of their month; a month without parts has none, so 0.
    """
    whole = whole.astype(float).tail(13)
    parts = parts.astype(float).reindex(whole.index, fill_value=0)
    return checks(pd.DataFrame({"check": check, "scope": whole.index.map(labels), "expected": whole.to_numpy(),
                                "actual": parts.to_numpy(), "tolerance": tolerance}))
