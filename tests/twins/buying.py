"""Twins for sales: revenue, activity by sales, purchase histories for RFM and for the models."""

from itertools import count, pairwise

import numpy as np
import pandas as pd


def sold(lines: pd.DataFrame) -> pd.DataFrame:
    """Revenue, orders and buyers of each month. Index: month."""
    known, sales = lines[lines["customer_id"].notna()], lines[lines["sale"]]
    table = pd.DataFrame({
        "revenue": lines.groupby("month")["revenue"].sum(),
        "revenue_known": known.groupby("month")["revenue"].sum(),
        "orders": sales.groupby("month")["order"].nunique(),
        "orders_known": sales[sales["customer_id"].notna()].groupby("month")["order"].nunique(),
        "buyers": sales.groupby("month")["customer_id"].nunique()}).fillna(0)
    table["revenue_unattributed"] = table["revenue"] - table["revenue_known"]
    money = ["revenue", "revenue_known", "revenue_unattributed"]
    return table.assign(**{name: table[name] / 10_000 for name in money})


def biggest_moves(lines: pd.DataFrame, month: pd.Period) -> pd.DataFrame:
    """The ten largest rises and the ten largest falls of revenue against the month before."""
    revenue = lines.groupby(["customer_id", "month"])["revenue"].sum().unstack(fill_value=0)
    before, now = (revenue[each] / 10_000 for each in (month - 1, month))
    table = pd.DataFrame({"before": before, "now": now, "change": (revenue[month] - revenue[month - 1]) / 10_000})
    first = lines[lines["sale"]].groupby("customer_id")["month"].min().reindex(table.index)
    table.insert(0, "direction", np.where(table["change"] > 0, "win", "loss"))
    rises = np.where(first == month, "first purchase", "more than last month")
    table.insert(1, "what", np.where(table["change"] > 0, rises, "less than last month"))
    table = table[table["change"] != 0].reset_index()
    order = table.assign(size=-table["change"].abs()).sort_values(["direction", "size", "customer_id"])
    return order.drop(columns="size").groupby("direction").head(10).reset_index(drop=True)


def active_at(lines: pd.DataFrame, moment: pd.Timestamp, inactive_days: int = 180) -> pd.Index:
    """Customers with a sale in the 180 days before a month end, the first of those days included."""
    window = lines[lines["sale"] & (lines["at"] < moment) & (lines["at"] >= moment - pd.Timedelta(days=inactive_days))]
    return pd.Index(window["customer_id"].dropna().unique())


def activity(lines: pd.DataFrame, ends: list[pd.Timestamp]) -> pd.DataFrame:
    """Active, new, churned and reactivated customers of each month, where only sales are known. Index: month."""
    first, rows = lines[lines["sale"]].groupby("customer_id")["at"].min(), {}
    for start, end in pairwise(ends):
        was, now = active_at(lines, start), active_at(lines, end)
        came = now.difference(was)
        new = (first[came] >= start).sum()
        rows[start.to_period("M")] = [len(was), len(now), new, len(came) - new, len(was.difference(now))]
    names = ["active_start", "active_end", "new", "reactivated", "churned"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names)


def buying_days(lines: pd.DataFrame) -> pd.DataFrame:
    """One row a customer and day with a purchase: what was sold that day, and how many days came before (`nth`)."""
    days = lines[lines["sale"] & lines["bought"]].groupby(["customer_id", "day"], as_index=False)["revenue"].sum()
    return days.assign(nth=days.groupby("customer_id").cumcount())


def purchases(lines: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """x, t_x and T in days for BG/NBD, with the customers who share them; T ends the day before as_of."""
    history = buying_days(lines).groupby("customer_id").agg(x=("nth", "max"), first=("day", "min"), last=("day", "max"))
    history["last_days"] = (history["last"] - history["first"]).dt.days
    history["observed_days"] = (as_of - history["first"]).dt.days - 1
    return history.groupby(["x", "last_days", "observed_days"]).size().rename("customers").reset_index()


def purchases_holdout(lines: pd.DataFrame, as_of: pd.Timestamp, weeks: int | None) -> pd.DataFrame:
    """The same as of the start of the holdout, and the purchase days of these customers within it."""
    days = buying_days(lines)
    weeks = weeks or (as_of - days["day"].min()).days // 28
    start = as_of - pd.Timedelta(weeks=weeks)
    known, later = days[days["day"] < start], days[days["day"] >= start].groupby("customer_id").size()
    history = known.groupby("customer_id").agg(x=("nth", "max"), first=("day", "min"), last=("day", "max"))
    history["last_days"] = (history["last"] - history["first"]).dt.days
    history["observed_days"] = (start - history["first"]).dt.days - 1
    history["later"] = later.reindex(history.index).fillna(0)
    keys = ["x", "last_days", "observed_days"]
    return history.groupby(keys).agg(customers=("x", "size"), later=("later", "sum")).reset_index().assign(weeks=weeks)


def repeat_spend(lines: pd.DataFrame) -> pd.DataFrame:
    """Repeat days and what was spent on them, for Gamma-Gamma: only customers whose repeats are worth something."""
    days = buying_days(lines).query("nth > 0")
    repeats = days.groupby("customer_id").agg(x=("day", "size"), total=("revenue", "sum")).query("total > 0")
    counts = repeats.groupby(["x", "total"]).size().rename("customers").reset_index()
    return counts.assign(total=counts["total"] / 10_000)


def rfm_customers(lines: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Recency, frequency, monetary and their scores: 1 + floor(5 · (rank − 1) / n), equal customers equal."""
    table = buying_days(lines).groupby("customer_id").agg(last=("day", "max"), frequency=("day", "size"))
    counted = lines[lines["bought"] & (lines["kind"] != "adjustment")]
    table["monetary"] = counted.groupby("customer_id")["revenue"].sum() / 10_000
    table["recency_days"] = (as_of - table.pop("last")).dt.days
    rank = table.rank(method="min").sub(1).astype("int64") * 5 // len(table)
    scores = pd.DataFrame({"r": 5 - rank["recency_days"], "f": 1 + rank["frequency"], "m": 1 + rank["monetary"]})
    return table.join(scores if len(table) >= 5 else scores.astype("float64") * np.nan).reset_index()


def age_at(first: pd.Timestamp, second: pd.Timestamp) -> float:
    """The smallest k ≥ 1 with first + k months ≥ second; a day that a month lacks is its last. NaN without a second."""
    if pd.isna(second):
        return np.nan
    return next(k for k in count(1) if first + pd.DateOffset(months=k) >= second)


def second_orders(lines: pd.DataFrame) -> pd.DataFrame:
    """Customers by the month of their first purchase day, and by the age at their second."""
    days = buying_days(lines).query("nth < 2").pivot(index="customer_id", columns="nth", values="day")
    ages = [age_at(first, second) for first, second in zip(days[0], days[1], strict=True)]
    table = pd.DataFrame({
        "first_month": days[0].dt.to_period("M"), "on_first_day": days[0].dt.day == 1,
        "second_month": days[1].dt.to_period("M"), "months_to_second": ages})
    return table.groupby(list(table), dropna=False).size().rename("customers").reset_index()
