"""Recency, frequency, monetary: segments and repeat purchases."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.metrics import metric, proportions
from helpers.models.intervals import Estimate
from helpers.models.survival import kaplan_meier


def segment_table(segments: pd.DataFrame) -> pd.DataFrame:
    """Table rfm_segments: shares of customers and revenue beside the medians; in the order of the query."""
    table = segments.assign(
        share=segments["customers"] / segments["customers"].sum(),
        revenue_share=segments["revenue"] / segments["revenue"].sum(),
    )
    return table[["segment", "customers", "share", "revenue", "revenue_share", "recency_days", "frequency", "monetary"]]


def repeat_metrics(orders: pd.DataFrame, labels: dict[int, str], last: int, *, confidence: float) -> list[dict]:
    """repeat_rate and second_order_12m as of each of the last 13 months.

    orders : a row per first month, whether it was a month's first day, month of and age at the second purchase.
    """
    rows = []
    for month in range(last - 12, last + 1):
        seen = orders[orders["first_month"] <= month]
        customers = int(seen["customers"].sum())
        if not customers or month not in labels:
            continue
        repeats = int(seen.loc[seen["second_month"] <= month, "customers"].sum())
        rows += proportions("repeat_rate", [repeats], [customers], [labels[month]], confidence)
        second = second_within(seen, month, 12, confidence)
        rows.append(metric("second_order_12m", labels[month], second, unit="share", method="Kaplan–Meier"))
    return rows


def second_within(seen: pd.DataFrame, month: int, age: int, confidence: float) -> Estimate:
    """Kaplan–Meier share with a second purchase day within `age` months, customers too young for it censored."""
    observed = month + 1 - seen["first_month"] - (~seen["on_first_day"]).astype(int)
    ended = (seen["second_month"] <= month) & (seen["months_to_second"] <= observed)
    counts = pd.DataFrame({
        "month": np.where(ended, seen["months_to_second"].fillna(0), observed),
        "events": seen["customers"].where(ended, 0), "censored": seen["customers"].where(~ended, 0),
    })
    table = kaplan_meier(counts.astype(int), confidence)
    if table["month"].max() < age:
        return Estimate(np.nan, np.nan, np.nan, int(seen["customers"].sum()))
    at = table[table["month"] == age].iloc[0]
    return Estimate(float(1 - at.survival), float(1 - at.high), float(1 - at.low), int(seen["customers"].sum()))


def champions_share(table: pd.DataFrame) -> list[dict]:
    """Share of revenue that Champions hold, as of each month of `summaries/rfm_champions`."""
    rows = []
    for r in table.itertuples():
        value = float(r.champions_revenue / r.revenue) if r.revenue else np.nan
        rows.append(metric("champions_revenue_share", r.period, value, unit="share", n=r.customers, basis="revenue"))
    return rows
