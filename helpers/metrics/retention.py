"""Who stays, who leaves, and what it does to recurring revenue."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from helpers.metrics import metric, monthly, proportions, share
from helpers.models.intervals import Estimate, n_effective, pooled_rate, ratio_of_sums, shared_error, wilson
from helpers.models.survival import kaplan_meier

COUNTS = {
    "active_customers": "active_end",
    "new_customers": "new",
    "churned_customers": "churned",
    "reactivated_customers": "reactivated",
    "in_month_churn": "in_month_churn",
}
SIGNS = {"new": 1, "reactivation": 1, "resumed": 1, "expansion": 1, "contraction": -1, "paused": -1, "churn": -1, "fx": 1}


def churned(months: pd.DataFrame, in_month_churn: str) -> pd.Series:
    """Customers who left in each month, at most all at its start; `in_rate` adds those who joined and left within it."""
    left = months["churned"] + (months["in_month_churn"] if in_month_churn == "in_rate" else 0)
    return left.clip(upper=months["active_start"])


def pooled_churn(months: pd.DataFrame, *, window: int, in_month_churn: str = "apart", confidence: float = 0.95) -> Estimate:
    """c = Σ churned ÷ Σ active at start over the last `window` months that have movements, a fraction a month."""
    seen = months[months["moves"]].tail(window)
    return pooled_rate(churned(seen, in_month_churn), seen["active_start"], confidence)


def shared_churn(months: pd.DataFrame, *, in_month_churn: str = "apart", confidence: float = 0.95) -> float:
    """How far the months of the book, each good or bad for all, may have moved its churn: `intervals.shared_error`."""
    seen = months[months["moves"]]
    return shared_error(churned(seen, in_month_churn), seen["active_start"], confidence)


def monthly_metrics(
    months: pd.DataFrame, retained: pd.DataFrame, *, currency: str, subscriptions: bool, in_month_churn: str, confidence: float
) -> list[dict]:
    """Counts, MRR movements and rates of each of the last 13 months.

    months : a row a month, from `summaries/months`. retained : a row a month and span, from `summaries/retained_mrr`.
    Months before movements can be known (the left edge of the book) have counts only.
    """
    moving = months[months["moves"]]
    rows = monthly(months, "active_customers", months["active_end"], unit="count", n=months["active_end"])
    for name, column in list(COUNTS.items())[1:]:
        rows += monthly(moving, name, moving[column], unit="count", n=moving[column])
    left = churned(moving, in_month_churn)
    rows += proportions("logo_churn_rate", left, moving["active_start"], moving["period"], confidence)
    if not subscriptions:
        return rows
    rows += monthly(months, "mrr", months["mrr_end"], unit=currency, n=months["active_end"], basis="revenue")
    for name in (f"mrr_{movement}" for movement in SIGNS):
        rows += monthly(moving, name, moving[name], unit=currency, n=moving["active_end"], basis="revenue")
    lost = moving["mrr_contraction"] + moving["mrr_churn"]
    won = moving["mrr_new"] + moving["mrr_reactivation"] + moving["mrr_expansion"]
    ratio = share(won.to_numpy(), lost.to_numpy())
    rows += monthly(moving, "quick_ratio", ratio, unit="ratio", n=moving["active_end"], basis="revenue")
    periods = months.set_index("month")["period"]
    shown = set(moving["month"])
    for row in retained.itertuples():
        if row.month not in shown:
            continue
        method = f"linearised over customers, n_effective {n_effective(row.base, row.base_base):,.0f}"
        known = {"period": periods[row.month], "unit": "share", "basis": "revenue", "method": method}
        suffix = "" if row.span == 1 else "_12m"
        kept = kept_share(row, confidence)
        now = ratio_of_sums(row.customers, row.now, row.base, row.now_now, row.now_base, row.base_base, confidence)
        rows.append(metric(f"grr{suffix}", value=kept, **known))
        low, high = max(0.0, now.low), now.high
        rows.append(metric(f"nrr{suffix}", value=Estimate(now.value, low, high, now.n), **known))
    return rows + revenue_churn(moving, retained, confidence)


def kept_share(row, confidence: float) -> Estimate:
    """GRR, linearised on the log odds: with few large losses the plain bounds hold the truth too seldom, and pass 1."""
    plain = ratio_of_sums(row.customers, row.kept, row.base, row.kept_kept, row.kept_base, row.base_base, confidence)
    if not 0 < plain.value < 1:
        return plain
    half = (plain.high - plain.value) / (plain.value * (1 - plain.value))
    low, high = expit(logit(plain.value) + np.array([-half, half]))
    return Estimate(plain.value, float(low), float(high), plain.n)


def revenue_churn(moving: pd.DataFrame, retained: pd.DataFrame, confidence: float) -> list[dict]:
    """(churn + contraction) ÷ MRR at start; its interval is that of 1 − grr, which also counts what is paused."""
    table = moving.merge(retained[retained["span"] == 1], on="month", validate="one_to_one").tail(13)
    rows = []
    for r in table.itertuples():
        kept = kept_share(r, confidence)
        value = float((r.mrr_churn + r.mrr_contraction) / r.mrr_start)
        known = {"low": max(0.0, value - (kept.high - kept.value)), "high": value + (kept.value - kept.low), "n": r.customers}
        rows.append(metric("gross_revenue_churn_rate", r.period, value, unit="share", basis="revenue", **known))
    return rows


def movements(months: pd.DataFrame) -> pd.DataFrame:
    """MRR from the start to the end of each month: start plus and minus its movements is end, to the cent."""
    moving = months[months["moves"]].tail(13)
    table = pd.DataFrame({"month": moving["period"], "start": moving["mrr_start"]})
    for name in SIGNS:
        table[name] = moving[f"mrr_{name}"]
    table["end"] = moving["mrr_end"]
    return table.reset_index(drop=True)


def bridge(table: pd.DataFrame) -> pd.DataFrame:
    """The last month's movements as `label`, `value`, `kind` for a waterfall; movements of nothing are left out."""
    last = table.iloc[-1] if len(table) else pd.Series(0.0, index=["start", *SIGNS, "end"])
    changes = [(name, sign * last[name], "change") for name, sign in SIGNS.items() if last[name]]
    rows = [("start", last["start"], "total"), *changes, ("end", last["end"], "total")]
    return pd.DataFrame(rows, columns=["label", "value", "kind"])


def movement_checks(table: pd.DataFrame) -> pd.DataFrame:
    """One check a month: what the movements make of the start against the end."""
    expected = table["start"] + sum(sign * table[name] for name, sign in SIGNS.items())
    checks = pd.DataFrame({"check": "MRR movements add up", "scope": table["month"], "expected": expected})
    return checks.assign(actual=table["end"], tolerance=0.005)


def cohort_retention(cohorts: pd.DataFrame, labels: dict[int, str], *, shown: int, confidence: float) -> pd.DataFrame:
    """The triangle of the last `shown` cohorts: customers, active and rate with Wilson bounds; unseen cells are absent."""
    recent = cohorts[cohorts["cohort"] > cohorts["cohort"].max() - shown]
    low, high = wilson(recent["active"], recent["customers"], confidence)
    table = recent[["cohort", "age", "customers", "active"]].assign(rate=recent["active"] / recent["customers"])
    return table.assign(cohort=recent["cohort"].map(labels), low=low, high=high).reset_index(drop=True)


def margins(triangle: pd.DataFrame) -> dict[str, pd.Series]:
    """For the triangle's heatmap: `sizes` of the cohorts, and the `average` rate at each age, weighted by customers."""
    whole = triangle.groupby("age")[["active", "customers"]].sum()
    return {"sizes": triangle.groupby("cohort")["customers"].first(), "average": whole["active"] / whole["customers"]}


def cohort_revenue(cohorts: pd.DataFrame, labels: dict[int, str], *, column: str) -> pd.DataFrame:
    """Revenue (or MRR) by cohort and age, and what it adds up to per customer acquired."""
    table = cohorts[["cohort", "age", "customers"]].assign(revenue=cohorts[column])
    total = table.groupby("cohort")["revenue"].cumsum()
    return table.assign(cohort=table["cohort"].map(labels), cumulative_revenue_per_customer=total / table["customers"])


def survival(ends: pd.DataFrame, confidence: float, below: int = 0) -> pd.DataFrame:
    """Kaplan–Meier by dimension and member (plan and segment as at the start), all causes.

    below : members of fewer customers are left out; all together are not.
    """
    columns = ["dimension", "member", "cause", "month", "at_risk", "events", "censored", "survival", "low", "high"]
    parts = [
        kaplan_meier(part[["month", "events", "censored", "entered"]], confidence).assign(dimension=dimension, member=member)
        for (dimension, member), part in ends.groupby(["dimension", "member"], sort=True)
        if dimension == "all" or part["entered"].sum() >= below
    ]
    return pd.concat(parts, ignore_index=True).assign(cause="all")[columns] if parts else pd.DataFrame(columns=columns)
