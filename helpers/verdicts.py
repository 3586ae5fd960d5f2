"""Rules in YAML -> verdicts that can be checked: a statement with its value, interval, threshold and n."""

from __future__ import annotations

import math

import pandas as pd

from helpers.contracts import read_yaml
from helpers.tables import number

COLUMNS = (
    "rule page severity dimension member metric value low high threshold n unit statement value_at_stake provisional list"
).split()
RANKS = {"act": 0, "watch": 1, "unclear": 2, "good": 3}


def judge(metrics: pd.DataFrame, page: str, period: str, *, overrides: dict[str, dict[str, float]], least: int) -> pd.DataFrame:
    """Verdicts of a page's rules on the company-wide metrics of a month, most urgent first.

    metrics : rows of metrics.csv. overrides : thresholds by rule id, from the params. least : fewest customers for a
    verdict. `good` where the whole interval clears the target, `watch` where it misses it, `act` where it misses `low`
    too, `unclear` where it holds the target; a value without interval is its own.
    """
    rows, whole = [], metrics[(metrics["period"] == period) & (metrics["dimension"] == "all")]
    for rule, terms in read_yaml("rules.yaml").items():
        terms = {**terms, **overrides.get(rule, {})}
        found = whole[whole["metric"] == terms["metric"]]
        if terms["page"] != page or found.empty:
            continue
        row = found.iloc[0]
        never = row.get("method") == ">H"  # no payback within the horizon: beyond every limit, though no number
        if pd.isna(row["value"]) and not never:
            continue
        low, high = (row["low"], row["high"]) if row[["low", "high"]].notna().any() else (row["value"], row["value"])
        low, high = -math.inf if pd.isna(low) else low, math.inf if pd.isna(high) else high  # one side unknown: no limit
        severity = severity_of(low, high, better=terms["better"], target=terms["target"], low_limit=terms["low"])
        severity = "act" if never else severity
        interval = f" ({number(low, row['unit'])} to {number(high, row['unit'])})" if low < high else ""
        value = "more than the horizon" if never else number(row["value"], row["unit"])
        text = terms["statement"].format(value=value, interval=interval, target=number(terms["target"], row["unit"]))
        if row["n"] < least:
            severity, text = "unclear", f"{text} Only n = {number(row['n'], 'count')}: no verdict."
        elif severity == "unclear":
            text += f" The interval holds the target: cannot tell yet (n = {number(row['n'], 'count')})."
        rows.append({
            "rule": rule, "page": page, "severity": severity, "threshold": terms["target"], "statement": text,
            "provisional": False, **{k: row[k] for k in ("dimension", "member", "metric", "value", "low", "high", "n", "unit")},
        })
    return ordered(pd.DataFrame(rows, columns=COLUMNS))


def ordered(verdicts: pd.DataFrame) -> pd.DataFrame:
    """The most urgent first."""
    return verdicts.assign(rank=verdicts["severity"].map(RANKS)).sort_values(["rank", "rule"], ignore_index=True)[COLUMNS]


def severity_of(low: float, high: float, *, better: str, target: float, low_limit: float) -> str:
    """good, watch, act or unclear: where an interval lies to its target, and to the limit behind it."""
    if better == "lower":
        low, high, target, low_limit = -high, -low, -target, -low_limit
    if low >= target:
        return "good"
    if high >= target:
        return "unclear"
    return "act" if high < low_limit else "watch"


def provisional(verdicts: pd.DataFrame, checks: pd.DataFrame) -> pd.DataFrame:
    """All verdicts marked provisional where a check failed or the data themselves are judged `act`."""
    doubtful = not checks["passed"].all() or (verdicts["rule"].eq("R-DQ-1") & verdicts["severity"].eq("act")).any()
    return verdicts.assign(provisional=doubtful)


def target(rule: str, overrides: dict[str, dict[str, float]]) -> float:
    """The target of a rule, as the params set it or as rules.yaml has it."""
    return overrides.get(rule, {}).get("target", read_yaml("rules.yaml")[rule]["target"])
