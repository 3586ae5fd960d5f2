"""The same month by other products' definitions, as we read their documentation. Sources: docs/methods.md, section 3."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.metrics.retention import churned

OURS = "this report"
UNITS = {"customer churn": ("share", "count", "count"), "revenue churn": ("share", "money", "money"),
         "LTV": ("money", "money", "share"), "LTV with margin": ("money", "money", "share"),
         "ARPU": ("money", "money", "count")}
LOST, NET = "(churn + contraction) ÷ start", "(churn + contraction − expansion − reactivation) ÷ start"
MONTH = "over 30 days there"
EMPTY = "no movements are known yet, or there is nothing to divide by"


def definition_spread(
    months: pd.DataFrame, returned: pd.DataFrame, *, given: set[str], in_month_churn: str, lifetime: float, margin: float,
) -> pd.DataFrame:
    """Churn, LTV and ARPU of the last month by several definitions: value = numerator ÷ denominator, each with its unit.

    months, returned : the summaries of these names. given : canonical tables of the book; one of sales alone has the ARPUs
    alone. lifetime : lifetime_months_churn, NaN where unknown. margin : g; NaN leaves the LTVs with margin out.
    What cannot be known is empty, and the remark says why.
    """
    now, subscriptions = months.iloc[-1].copy(), "subscriptions" in given
    if not now["moves"]:
        now[["active_start", "mrr_start"]] = np.nan
    back = int(returned["customers"].iloc[0])
    rows = [*products(months, now, back, in_month_churn, lifetime, margin)] if subscriptions else []
    rows += arpus(now, subscriptions, "transactions" in given)
    table = pd.DataFrame(rows, columns=["measure", "definition", "formula", "numerator", "denominator", "remark"])
    numerator, denominator = table["numerator"].astype(float), table["denominator"].astype(float)
    table["value"] = numerator / denominator.where(denominator > 0)
    table["remark"] = table["remark"].mask(table["value"].isna() & ~table["remark"].str.startswith("needs"), EMPTY)
    units = pd.DataFrame([UNITS[name] for name in table["measure"]], columns=["unit", "numerator_unit", "denominator_unit"])
    return pd.concat([table, units], axis=1)[[
        "measure", "definition", "value", "unit", "formula", "numerator", "numerator_unit", "denominator", "denominator_unit",
        "remark"]]


def products(months: pd.DataFrame, now: pd.Series, returned: int, in_month_churn: str, lifetime: float, margin: float):
    """Rows of churn and LTV: what each product counts as lost, of whom."""
    start, end, within = now["active_start"], now["active_end"], now["in_month_churn"]
    every, ours = now["churned"] + within + returned, churned(months.tail(1), in_month_churn).iloc[0]
    customers = [
        (OURS, "churned ÷ start", ours, start, f"joined and left in the month: {in_month_churn}"),
        ("ChartMogul", "gone at the month's end ÷ start", now["churned"], start, ""),
        ("ChartMogul for shops", "all who left ÷ mean of start and end", every, (start + end) / 2, "sum of daily rates there"),
        ("Stripe", "all who left ÷ (start + new)", every, start + now["acquired"], MONTH),
        ("ProfitWell", "who left and had not joined in the month ÷ start", every - within, start, ""),
        ("Maxio", "all who left ÷ start", every, start, ""),
        ("Baremetrics", "all who left ÷ start", every, start, MONTH),
    ]
    yield from (("customer churn", *row) for row in customers)

    gross, gained = now["mrr_churn"] + now["mrr_contraction"], now["mrr_expansion"] + now["mrr_reactivation"]
    held, raised, paid = now["mrr_paused"] - now["mrr_resumed"], now["mrr_expansion"], now["mrr_start"]
    for row in (
        (OURS, LOST, gross, paid, ""),
        ("Maxio", LOST, gross, paid, ""),
        ("Maxio, net", NET, gross - gained, paid, "who is back after 90 days is new there"),
        ("ChartMogul, net", NET, gross - gained, paid, ""),
        ("Baremetrics, net", "(churn − expansion) ÷ start", now["mrr_churn"] - raised, paid, MONTH),
        ("ProfitWell, net", NET.replace(" −", " + paused − resumed −", 1), gross + held - gained, paid, ""),
        ("Stripe", "", np.nan, np.nan, "needs a formula: what we read has none"),
    ):
        yield "revenue churn", *row

    before = months[months["moves"] & (months["active_start"] > 0) & (months["month"] < now["month"])].tail(6)
    trailing = (before["churned"] / before["active_start"]).mean() if len(before) == 6 else np.nan
    arpa = now["mrr_end"] / end if end else np.nan
    rates = {row[0]: row[2] / row[3] if row[3] else np.nan for row in customers}
    for measure, worth in (("LTV", arpa), ("LTV with margin", arpa * margin)):
        if np.isnan(margin) and measure != "LTV":
            continue
        which = "ltv_arpu_lifetime" if measure == "LTV" else "ltv_margin"
        yield measure, OURS, "MRR per customer ÷ pooled churn", worth, 1 / lifetime, f"{which}, not the headline LTV"
        yield (measure, "ChartMogul", "MRR per customer ÷ mean churn of the six months before", worth, trailing,
               "" if len(before) == 6 else f"needs six months before, {len(before)} known")
        for name in ("ChartMogul for shops", "Stripe", "ProfitWell", "Maxio", "Baremetrics"):
            smooth = "smoothed there, in a way not disclosed" if name == "ProfitWell" else ""
            yield measure, name, "MRR per customer ÷ its customer churn", worth, rates[name], smooth


def arpus(now: pd.Series, subscriptions: bool, transactions: bool) -> list[tuple]:
    """Rows of ARPU: the month's revenue by each count of customers."""
    start, end = now["active_start"], now["active_end"]
    revenue, what = (now["revenue_known"], "revenue of known customers") if transactions else (now["mrr_end"], "MRR")
    ours = (now["revenue_active"], "revenue of active customers") if transactions else (revenue, what)
    rows = [(OURS, f"{ours[1]} ÷ active at the end", ours[0], end, "")]
    if subscriptions and transactions:
        rows.append((OURS, "MRR ÷ paying at the end (ARPA)", now["mrr_end"], end, ""))
    rows += [
        ("start", f"{what} ÷ active at the start", revenue, start, ""),
        ("end", f"{what} ÷ active at the end", revenue, end, ""),
        ("mean of both", f"{what} ÷ mean of active at start and end", revenue, (start + end) / 2, ""),
    ]
    bought = (now["buyers"], "") if transactions else (np.nan, "needs transactions")
    return [("ARPU", *row) for row in (*rows, ("buyers", f"{what} ÷ customers with a sale", revenue, *bought))]
