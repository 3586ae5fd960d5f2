"""What a customer costs, against what it is worth. Formulas: docs/methods.md."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.metrics import share
from helpers.metrics.ltv import UNKNOWN
from helpers.metrics.members import Worth, place
from helpers.models.intervals import Estimate


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


def of_all(basis: str) -> str:
    """The basis on which all new customers share the spend, where what they bring is that of all: paid is of some."""
    return "blended" if basis == "paid" else basis


def payback(income: np.ndarray, ltv: Estimate, cac: float) -> tuple[Estimate, str]:
    """First t of 1 … H with g·a·Σ_{u<t} S(u) ≥ CAC; bounds where the income moves as the LTV's interval does."""
    def first(factor: float) -> float:
        reached = np.flatnonzero(np.cumsum(income) * factor >= cac)
        return float(reached[0] + 1) if len(reached) else np.nan

    if not len(income) or np.isnan(cac):
        return UNKNOWN, "needs an LTV and marketing_spend"
    months = first(1.0)
    bounds = [first(side / ltv.value) if ltv.value > 0 else np.nan for side in (ltv.high, ltv.low)]
    return Estimate(months, *bounds, ltv.n), "survival-weighted, undiscounted" if np.isfinite(months) else ">H"


def cost_ratio(months: pd.DataFrame, costs: pd.DataFrame, table: pd.DataFrame, *, subscriptions: bool, last: int) -> float:
    """(spend ÷ new MRR or revenue) ÷ (retention cost ÷ MRR or revenue kept) over six months; averages, not marginal.

    table : `cac_by_month`, whose months count on the side of the spend.
    """
    window, spent = (of[of["month"].between(last - 5, last)] for of in (months, table))
    new = window.set_index("month")["mrr_new" if subscriptions else "revenue_new"]
    kept = window["mrr_end" if subscriptions else "revenue_known"].sum() - new.sum()
    won, acquisition = new[new.index.isin(spent["month"])].sum(), spent["loaded"].sum()
    retention = costs.loc[costs["month"].between(last - 5, last), "retention"].sum()
    return float((acquisition / won) / (retention / kept)) if won and kept and retention and acquisition else np.nan


def by_member(found: dict[tuple[str, str], Worth], won: pd.Series, costs: dict, *, horizon: int, margin: float) -> pd.DataFrame:
    """Table ltv_cac_by: what members are worth and cost, ordered as found, then channels without an active customer.

    found : `members.worth_by`. won, costs : new customers of six months, and CAC of `acquisition.cac_by`, by dimension and
    member. customers : active; new_customers add up to the company's. remark : why there is no LTV.
    """
    rows, rest = [], [key for key in won.index if key[0] == "channel" and key not in found]
    nobody = Worth(UNKNOWN, remark="no active customer names it")
    for key in sorted([*found, *rest], key=lambda key: (place(key[0]), key[1])):
        of, cost = found.get(key, nobody), costs.get(key, np.nan)
        back = payback(margin * np.atleast_2d(of.revenue).sum(axis=0)[:horizon], of.ltv, cost)[0].value
        rows.append((*key, of.ltv.n, of.ltv.value, of.ltv.low, of.ltv.high, cost, of.ltv.value / cost, back,
                     of.ltv.low / cost, of.ltv.high / cost, int(won.get(key, 0)), of.remark))
    columns = ("dimension member customers ltv ltv_low ltv_high cac ltv_to_cac payback_months ltv_to_cac_low ltv_to_cac_high "
               "new_customers remark")
    return pd.DataFrame(rows, columns=columns.split())


def shown(members: pd.DataFrame, below: int) -> pd.DataFrame:
    """ltv_cac_by without the LTV of fewer than `below` active customers, and without the CAC of fewer new ones."""
    few, fresh = members["customers"] < below, members["new_customers"] < below
    hide = dict.fromkeys(["ltv", "ltv_low", "ltv_high", "ltv_shrunken"], few) | {"cac": fresh}
    hide |= dict.fromkeys(["ltv_to_cac", "ltv_to_cac_low", "ltv_to_cac_high", "payback_months"], few | fresh)
    said = members["remark"].mask(few & members["ltv"].notna(), f"hidden: fewer than {below} customers")
    return members.assign(**{name: members[name].mask(mask) for name, mask in hide.items()}, remark=said)


def together(members: pd.DataFrame) -> pd.DataFrame:
    """LTV of all members of a dimension, weighted by their new customers of six months, and the part of these known."""
    rated = members["new_customers"].where(members["ltv"].notna())
    sums = members.assign(known=rated, ltv=members["ltv"] * rated).groupby("dimension", sort=False)
    sums = sums[["ltv", "known", "new_customers"]].sum().query("known > 0").reset_index()
    return sums.assign(ltv=sums["ltv"] / sums["known"], known=sums["known"] / sums.pop("new_customers"))
