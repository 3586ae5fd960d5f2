"""Pricing tiers: who pays for which, who moves between them, and what is bought on top."""

from __future__ import annotations

import pandas as pd

from helpers.metrics import parts_checks, proportions, share
from helpers.models.intervals import pooled_rate

PARTS = ["value", "low", "high", "n"]
SCORECARD = (
    "plan_id plan_name tier_rank list_price customers share mrr arpa churn_rate churn_low churn_high nrr ltv ltv_low ltv_high"
).split()
OUTSIDE = ["(new)", "(reactivated)", "(paused)", "(churned)"]


def scorecard(
    states: pd.DataFrame, plans: pd.DataFrame, worth: pd.DataFrame, *, month: int, window: int, confidence: float
) -> pd.DataFrame:
    """Table tier_scorecard: customers, share, MRR, ARPA, churn and NRR by highest tier, LTV by plan at the start.

    states : a row per month, tier before and tier after, from `summaries/tier_states`. plans : names and ranks.
    worth : `ltv_cac.by_plan`. Churn and NRR are pooled over the last `window` months, customers counted in the tier
    that they had at each month's start.
    """
    now = states[(states["month"] == month) & ~states["to_plan"].isin(OUTSIDE)]
    held = now.groupby("to_plan").agg(customers=("customers", "sum"), mrr=("mrr_end", "sum"))
    past = states[(states["month"] > month - window) & ~states["from_plan"].isin(OUTSIDE)]
    past = past.assign(left=past["customers"].where(past["to_plan"] == "(churned)", 0))
    base = past.groupby("from_plan")[["mrr_start", "mrr_end"]].sum()
    by_month = past.groupby(["from_plan", "month"])[["left", "customers"]].sum()
    churn = {plan: pooled_rate(part["left"], part["customers"], confidence) for plan, part in by_month.groupby("from_plan")}
    table = held.reindex(held.index.union(base.index)).fillna(0).rename_axis("plan_id")
    rates = pd.DataFrame([vars(churn[p]) if p in churn else {} for p in table.index], index=table.index, columns=PARTS)
    table = table.assign(
        share=table["customers"] / table["customers"].sum(),
        arpa=share(table["mrr"].to_numpy(), table["customers"].to_numpy()),
        churn_rate=rates["value"], churn_low=rates["low"], churn_high=rates["high"],
        nrr=base["mrr_end"] / base["mrr_start"],
    )
    names = plans.set_index("plan_id")[["plan_name", "tier_rank", "list_price"]]
    table = table.join(names).join(worth.set_index("member")[["ltv", "ltv_low", "ltv_high"]]).reset_index()
    return table.sort_values(["tier_rank", "arpa"], ignore_index=True, na_position="last")[SCORECARD]


def migration(states: pd.DataFrame, month: int) -> pd.DataFrame:
    """Table tier_migration of a month: customers and MRR (at its end, of those who left at its start)."""
    now = states[states["month"] == month]
    table = now.assign(mrr=now["mrr_end"].where(~now["to_plan"].isin(["(churned)", "(paused)"]), now["mrr_start"]))
    return table.groupby(["from_plan", "to_plan"], as_index=False)[["customers", "mrr"]].sum()


def tier_checks(states: pd.DataFrame, months: pd.DataFrame, labels: dict[int, str]) -> pd.DataFrame:
    """Customers and MRR of all tiers make those of the company, by month. states, months : from their summaries."""
    tiers = states[~states["to_plan"].isin(["(paused)", "(churned)"])].groupby("month")[["customers", "mrr_end"]].sum()
    whole = months.set_index("month") if len(states) else months.set_index("month").head(0)  # sales alone know no tiers
    return pd.concat([
        parts_checks("active customers: tiers add up to all", tiers["customers"], whole["active_end"], labels),
        parts_checks("mrr: tiers add up to all, by month", tiers["mrr_end"], whole["mrr_end"], labels, 0.005)])


def migration_matrix(table: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    """Customers from tier (rows) to tier (columns), tiers from low to high, outside states last."""
    matrix = table.pivot_table(index="from_plan", columns="to_plan", values="customers", aggfunc="sum")
    known = [*order, *OUTSIDE]
    return matrix.reindex(index=[n for n in known if n in matrix.index], columns=[n for n in known if n in matrix.columns])


def tier_metrics(states: pd.DataFrame, attach: pd.DataFrame, labels: dict[int, str], *, confidence: float) -> list[dict]:
    """upgrade_rate, downgrade_rate (over customers paying at both ends) and addon_attach_rate of the last 13 months."""
    rows = []
    both = states[~states["from_plan"].isin(OUTSIDE) & ~states["to_plan"].isin(OUTSIDE)]
    for name, moved in (
        ("upgrade_rate", both["to_rank"] > both["from_rank"]), ("downgrade_rate", both["to_rank"] < both["from_rank"]),
    ):
        if both["from_rank"].isna().all():
            break
        part = both.assign(moved=both["customers"].where(moved.fillna(False), 0))
        counts = part.groupby("month")[["customers", "moved"]].sum()
        rows += proportions(name, counts["moved"], counts["customers"], counts.index.map(labels), confidence)
    if len(attach):
        rows += proportions(
            "addon_attach_rate", attach["with_addon"], attach["customers"], attach["month"].map(labels), confidence
        )
    return rows
