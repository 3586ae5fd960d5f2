"""The month on one screen: which figures it shows."""

from __future__ import annotations

import pandas as pd

CARDS = ["mrr", "revenue_net", "active_customers", "logo_churn_rate", "nrr_12m", "ltv", "ltv_to_cac", "payback_months", "arpu"]


def cards(metrics: pd.DataFrame, period: str, most: int = 6) -> list[str]:
    """Ids of the first `most` headline metrics that this month has a value for."""
    known = metrics[(metrics["dimension"] == "all") & (metrics["period"] == period)].dropna(subset=["value"])["metric"]
    return [name for name in CARDS if name in set(known)][:most]


def trend_metric(metrics: pd.DataFrame) -> str:
    """MRR, or net revenue where there are no subscriptions."""
    return "mrr" if (metrics["metric"] == "mrr").any() else "revenue_net"


def trend(metrics: pd.DataFrame) -> pd.DataFrame:
    """Company-wide rows of `trend_metric` by month."""
    found = metrics[(metrics["dimension"] == "all") & (metrics["metric"] == trend_metric(metrics))]
    return found.sort_values("period")


def check_counts(checks: pd.DataFrame) -> pd.DataFrame:
    """One row a kind of check: how many were made, how many passed."""
    counted = checks.assign(passed=checks["passed"].astype(int)).groupby("check", sort=True)["passed"]
    return counted.agg(made="size", passed="sum").reset_index()
