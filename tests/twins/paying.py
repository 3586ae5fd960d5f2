"""Twins for books with subscriptions: who pays at a month end, and what moved between two."""

from itertools import pairwise

import numpy as np
import pandas as pd

MOVES = ["new", "reactivated", "resumed", "paused", "churned"]


def mrr_at(subs: pd.DataFrame, moment: pd.Timestamp, by: tuple = ("customer_id",)) -> pd.DataFrame:
    """MRR and paused MRR at a month end; live: started before it, not ended before it. Index: `by`."""
    live = subs[(subs["paid_from"] < moment) & (subs["paid_until"] >= moment)]
    mrr = live["discounted"].where(~(live["discount_ends_at"] < moment), live["full"])
    paused = (live["paused_at"] < moment) & ~(live["resumed_at"] < moment)
    money = pd.DataFrame({"mrr": mrr.where(~paused, 0), "paused": mrr.where(paused, 0)})
    return money.groupby([live[name] for name in by]).sum().query("mrr > 0 or paused > 0")


def both_ends(subs: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """One row a customer paying or paused at either end of a month, with what happened in between as `state`."""
    both = mrr_at(subs, start).join(mrr_at(subs, end), how="outer", suffixes=("_start", "_end")).fillna(0)
    was, now = both["mrr_start"] > 0, both["mrr_end"] > 0
    first = subs.groupby("customer_id")["paid_from"].min().reindex(both.index)
    states = {
        "stayed": was & now, "paused": was & (both["paused_end"] > 0), "churned": was,
        "resumed": now & (both["paused_start"] > 0), "new": now & (first >= start), "reactivated": now}
    return both.assign(was=was, now=now, state=np.select(list(states.values()), list(states), "away"))


def movements(subs: pd.DataFrame, ends: list[pd.Timestamp]) -> pd.DataFrame:
    """Customers and MRR at both ends of each month, and their movements. Index: month."""
    table = {}
    for start, end in pairwise(ends):
        both = both_ends(subs, start, end)
        count, change = both["state"].value_counts(), both["mrr_end"] - both["mrr_start"]
        gain = change.groupby(both["state"]).sum().reindex(MOVES).fillna(0)
        stayed = change[both["state"] == "stayed"]
        money = [both["mrr_start"].sum(), *gain[:3], stayed.clip(lower=0).sum(), -stayed.clip(upper=0).sum(),
                 *-gain[3:], both["mrr_end"].sum()]
        states = [count.get(name, 0) for name in MOVES]
        table[start.to_period("M")] = [both["was"].sum(), both["now"].sum(), *states, *(m / 10_000 for m in money)]
    return pd.DataFrame.from_dict(table, orient="index", columns=[
        "active_start", "active_end", "new", "reactivated", "resumed", "paused", "churned", "mrr_start", "mrr_new",
        "mrr_reactivation", "mrr_resumed", "mrr_expansion", "mrr_contraction", "mrr_paused", "mrr_churn", "mrr_end"])


def in_month_churn(subs: pd.DataFrame, ends: list[pd.Timestamp]) -> pd.Series:
    """Customers who began to pay and ended within a month, and neither pay nor pause at either of its ends."""
    counts = {}
    for start, end in pairwise(ends):
        within = subs[(subs["paid_from"] >= start) & (subs["paid_until"] < end)]
        seen = mrr_at(subs, start).index.union(mrr_at(subs, end).index)
        counts[start.to_period("M")] = within["customer_id"].drop_duplicates().isin(seen).eq(False).sum()
    return pd.Series(counts)


def retained(subs: pd.DataFrame, ends: list[pd.Timestamp]) -> pd.DataFrame:
    """GRR and NRR of the last 13 months against 1 and 12 months earlier: base, what is kept of it, what it is now."""
    rows = []
    for end in ends[-13:]:
        for span in (1, 12):
            base = mrr_at(subs, end - pd.DateOffset(months=span)).query("mrr > 0")["mrr"]
            now = mrr_at(subs, end)["mrr"].reindex(base.index).fillna(0)
            kept = np.minimum(now, base)
            products = [base @ base, kept @ base, kept @ kept, now @ base, now @ now]
            sums = [total.sum() / 10_000 for total in (base, kept, now)]
            rows.append([end.to_period("M") - 1, span, len(base), *sums, *(p / 10_000**2 for p in products)])
    table = pd.DataFrame(rows, columns=["month", "span", "customers", "base", "kept", "now", "base_base", "kept_base",
                                        "kept_kept", "now_base", "now_now"])
    return table[table["customers"] > 0].reset_index(drop=True)


def biggest_moves(subs: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """The ten largest rises and the ten largest falls of MRR between two month ends; ties go to the smaller id."""
    both = both_ends(subs, start, end).reset_index()
    change = both["mrr_end"] - both["mrr_start"]
    rises = pd.Series(np.where(change > 0, "expansion", "contraction"))
    table = pd.DataFrame({
        "customer_id": both["customer_id"], "direction": np.where(change > 0, "win", "loss"),
        "what": both["state"].where(both["state"] != "stayed", rises), "before": both["mrr_start"] / 10_000,
        "now": both["mrr_end"] / 10_000, "change": change / 10_000})[change != 0]
    order = table.assign(size=-table["change"].abs()).sort_values(["direction", "size", "customer_id"])
    return order.drop(columns="size").groupby("direction").head(10).reset_index(drop=True)


def top_tier(subs: pd.DataFrame, rank: pd.Series, moment: pd.Timestamp) -> pd.DataFrame:
    """The highest tier that each customer pays for at a month end; ties go to the larger MRR."""
    plans = mrr_at(subs, moment, by=("customer_id", "plan_id")).query("mrr > 0").reset_index()
    plans["rank"] = plans["plan_id"].map(rank)
    order = plans.sort_values(["customer_id", "rank", "mrr", "plan_id"], ascending=[True, False, False, True])
    return order.groupby("customer_id")[["plan_id", "rank"]].first()


def tier_states(subs: pd.DataFrame, rank: pd.Series, ends: list[pd.Timestamp]) -> pd.DataFrame:
    """Customers and MRR by tier at the start and at the end of each of the last 13 months."""
    months = []
    for start, end in list(pairwise(ends))[-13:]:
        both = both_ends(subs, start, end).query("was or now")
        outside = "(" + both["state"].replace("resumed", "paused") + ")"
        old, new = (top_tier(subs, rank, moment).reindex(both.index) for moment in (start, end))
        plans = {"from_plan": old["plan_id"].fillna(outside), "to_plan": new["plan_id"].fillna(outside)}
        months.append(both.assign(month=start.to_period("M"), **plans, from_rank=old["rank"], to_rank=new["rank"]))
    keys = ["month", "from_plan", "to_plan", "from_rank", "to_rank"]
    table = pd.concat(months).groupby(keys, dropna=False).agg(
        customers=("state", "size"), mrr_start=("mrr_start", "sum"), mrr_end=("mrr_end", "sum"))
    return (table / [1, 10_000, 10_000]).reset_index()
