"""How long customers stay, seen from the bill: churn by billing interval, the loss of a year, medians."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.models.intervals import pooled_rate, wilson
from helpers.models.survival import kaplan_meier, last_seen, median


def churn_by_billing(cells: pd.DataFrame, months: pd.DataFrame, *, window: int, confidence: float) -> pd.DataFrame:
    """Churn per customer-month and per renewal due, by how often customers are billed, over the churn window.

    cells : `summaries/churn_by_billing`, a row per month and billing. months : the summary of this name.
    `customers` is at the start of the last month. All billings together have no renewals: theirs are of unlike terms.
    """
    seen = months.loc[months["moves"], "month"].tail(window)
    inside, rows = cells[cells["month"].isin(seen)], []
    for billing in (*[name for name in ("month", "year", "other") if (inside["billing"] == name).any()], "all"):
        part = inside if billing == "all" else inside[inside["billing"] == billing]
        part = part.drop(columns="billing").groupby("month").sum()
        left, due = part["churned"].sum(), part["renewals"]
        rate = pooled_rate(part["churned"], part["customers"], confidence)
        at = pooled_rate(part["churned_at_renewal"], due * (billing != "all"), confidence)
        last = part["customers"].get(seen.max(), 0) if len(seen) else 0
        rows.append((billing, last, rate.n, left, rate.value, rate.low, rate.high, at.n or np.nan, at.value, at.low, at.high))
    names = "billing customers customer_months churned churn low high renewals churn_at_renewal renewal_low renewal_high"
    return pd.DataFrame(rows, columns=names.split())


def year_loss(counts: pd.DataFrame, churn: pd.Series, confidence: float) -> pd.DataFrame:
    """Customers lost over twelve months as counted, beside the monthly rate c carried on: 1 − (1 − c)^12.

    counts : `customers` active twelve months ago and those of them `lost`. churn : value, low, high, n of churn_rate_pooled.
    """
    n, lost = int(counts["customers"].iloc[0]), int(counts["lost"].iloc[0])
    low, high = wilson(lost, n, confidence)
    carried = [1 - (1 - churn[side]) ** 12 for side in ("value", "low", "high")]
    return pd.DataFrame([
        ("lost of those twelve months ago, counted", lost / n if n else np.nan, float(low), float(high), n, "Wilson"),
        ("the monthly rate carried on for twelve months", *carried, churn["n"], "1 − (1 − c)^12"),
    ], columns=["measure", "value", "low", "high", "n", "method"])


def medians(ends: pd.DataFrame, *, confidence: float, least: int = 10) -> pd.DataFrame:
    """Kaplan–Meier median lifetime of all and by plan at the start, up to the last age with `least` at risk.

    ends : as in `survival.risk_set`, with `dimension` and `member`. `still_there` is S at that age, `seen_months`.
    """
    rows = []
    for key, part in ends[ends["dimension"].isin(["all", "plan"])].groupby(["dimension", "member"]):
        curve = kaplan_meier(part[["month", "events", "censored", "entered"]], confidence)
        age, spells = last_seen(curve, least), int(curve["events"].sum() + curve["censored"].sum())
        half = median(curve.iloc[: age + 1])
        what = "median" if np.isnan(half.value) else "upper bound" if np.isnan(half.high) else ""
        remark = f"{what} not reached in {age} months" if what else ""
        rows.append((*key, spells, half.value, half.low, half.high, age, curve["survival"].iloc[age], remark))
    return pd.DataFrame(rows, columns="dimension member customers median low high seen_months still_there remark".split())
