"""What a customer costs, against what it is worth. Formulas: docs/methods.md."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.metrics import share
from helpers.metrics.ltv import UNKNOWN, monthly_rate, scale, select, shaken
from helpers.models.horizon import horizon_sum
from helpers.models.intervals import Estimate, product
from helpers.models.survival import kaplan_meier


def cac_by_month(spend: pd.DataFrame, months: pd.DataFrame, *, lag: int) -> pd.DataFrame:
    """One row a month from the first to the last with spend: media, loaded, new customers, and the three CACs.

    spend : a row a month and channel from `summaries/spend`. Spend of month M − lag meets the customers of M, and
    a month without spend between two that have some counts as 0, with its customers; after the last it is unknown.
    """
    paying = spend[spend["media"] > 0]
    totals = spend.groupby("month")[["media", "loaded"]].sum().rename(index=lambda month: month + lag)
    spenders = paying.assign(month=paying["month"] + lag)[["month", "channel"]].drop_duplicates()
    paid = spend.merge(spenders, on=["month", "channel"], validate="one_to_one").groupby("month")["new_customers"].sum()
    table = months[months["moves"]].set_index("month")[["period", "acquired"]]
    table = table.join(totals).join(paid.rename("acquired_paid"))
    spent = table["loaded"].where(table["loaded"] > 0)
    table = table[spent.ffill().notna() & spent.bfill().notna()].fillna({"media": 0, "loaded": 0, "acquired_paid": 0})
    for basis, money, people in (
        ("blended", "media", "acquired"), ("paid", "media", "acquired_paid"), ("loaded", "loaded", "acquired"),
    ):
        table[f"cac_{basis}"] = share(table[money].to_numpy(dtype=float), table[people].to_numpy(dtype=float))
    return table.reset_index()


def cac_of(table: pd.DataFrame, basis: str, first: int, last: int) -> Estimate:
    """Spend ÷ new customers over months first … last on a basis; complete counts and money, so no interval."""
    window = table[table["month"].between(first, last)]
    money = window["loaded" if basis == "loaded" else "media"].sum()
    people = window["acquired_paid" if basis == "paid" else "acquired"].sum()
    value = float(money / people) if people and money else np.nan
    return Estimate(value, value, value, int(people))


def payback(income: np.ndarray, ltv: Estimate, cac: float) -> tuple[Estimate, str]:
    """First t of 1 … H with g·a·Σ_{u<t} S(u) ≥ CAC; bounds where the income moves as the LTV's interval does."""
    def first(factor: float) -> float:
        reached = np.flatnonzero(np.cumsum(income) * factor >= cac)
        return float(reached[0] + 1) if len(reached) else np.nan

    if not len(income) or np.isnan(cac):
        return UNKNOWN, "needs an LTV and marketing_spend"
    months = first(1.0)
    bounds = Estimate(months, first(ltv.high / ltv.value), first(ltv.low / ltv.value), ltv.n)
    return bounds, "survival-weighted, undiscounted" if np.isfinite(months) else ">H"


def cost_ratio(months: pd.DataFrame, costs: pd.DataFrame, spend: pd.DataFrame, *, subscriptions: bool, last: int) -> float:
    """(spend ÷ new MRR or revenue) ÷ (retention cost ÷ MRR or revenue kept) over six months; averages, not marginal."""
    window = months[months["month"].between(last - 5, last)]
    new = window["mrr_new" if subscriptions else "revenue_new"].sum()
    kept = window["mrr_end" if subscriptions else "revenue_known"].sum() - new
    acquisition = spend.loc[spend["month"].between(last - 5, last), "loaded"].sum()
    retention = costs.loc[costs["month"].between(last - 5, last), "retention"].sum()
    return float((acquisition / new) / (retention / kept)) if new and kept and retention and acquisition else np.nan


def by_member(
    dimension: str, ends, models, worth, spend, *, margin, horizon, annual_rate, last, lag, confidence, least, costs,
    shared: float = 0.0,
) -> pd.DataFrame:
    """Table ltv_cac_by: LTV where a member has a model and enough customers and, for channels, media spend of six
    months over their new customers; members without either stay, so that the channels' customers add up. costs : the CAC
    of members of other dimensions, where known."""
    rows, channels = [], {("channel", name) for name in spend["channel"]}
    for key in sorted(key for key in {*worth, *channels} if key[0] == dimension):
        ltv, income, cac = UNKNOWN, np.zeros(0), costs.get(key, np.nan)
        people = worth[key].n if key in worth else 0
        if key in models and people >= least:
            table = kaplan_meier(select(ends, key), confidence)
            curve = horizon_sum(table, models[key], horizon, monthly_rate(annual_rate), confidence)
            ltv = scale(product([worth[key], shaken(curve, shared * curve.slope)]), margin)
            income = margin * worth[key].value * np.array(curve.curve)
        if dimension == "channel":
            mine = spend[spend["channel"] == key[1]]
            money = mine.loc[mine["month"].between(last - 5 - lag, last - lag), "media"].sum()
            people = int(mine.loc[mine["month"].between(last - 5, last), "new_customers"].sum())
            cac = float(money / people) if people and money else np.nan
        back = payback(income, ltv, cac)[0].value
        rows.append((dimension, key[1], people, ltv.value, ltv.low, ltv.high, cac, ltv.value / cac, back))
    columns = ["dimension", "member", "customers", "ltv", "ltv_low", "ltv_high", "cac", "ltv_to_cac", "payback_months"]
    return pd.DataFrame(rows, columns=columns)
