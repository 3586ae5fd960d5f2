"""Twins on customers' first spells, cohorts, worth and spend: for subscriptions and for sales alike."""

import pandas as pd


def completed_months(start: pd.Timestamp, until: pd.Timestamp) -> int:
    """The largest k with start + k months ≤ until; a day that a month lacks is its last."""
    k = (until.year - start.year) * 12 + until.month - start.month
    return k if start + pd.DateOffset(months=k) <= until else k - 1


def first_spells(spans: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """One row a customer: start of the first spell, months lived or observed, whether it ended. Spans: from, until."""
    rows = {}
    for customer, own in spans.sort_values(["customer_id", "from", "until"]).groupby("customer_id"):
        start = end = own["from"].iloc[0]
        for begun, until in zip(own["from"], own["until"], strict=True):
            if begun > end:
                break
            end = max(end, until)
        observed = completed_months(start, as_of)
        age = next((k for k in range(1, observed + 1) if start + pd.DateOffset(months=k) >= end), None)
        ended = end < as_of and age is not None
        rows[customer] = [start, age if ended else observed, ended]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["started_at", "months", "ended"])


def survival(spells: pd.DataFrame, groups: dict[str, pd.Series], term: pd.Series) -> pd.DataFrame:
    """Ends and censored spells by age in months; who is not yet a month old was never at risk. Groups, term: by customer."""
    seen, parts = spells[spells["months"] > 0], []
    for dimension, member in groups.items():
        own = seen.assign(member=member.reindex(seen.index), term=term.reindex(seen.index), month=seen["months"])
        ages = own.groupby(["member", "term", "month"])["ended"].agg(["sum", "size"]).reset_index()
        entered = own.groupby(["member", "term"]).size().rename("entered").reset_index().assign(month=0)
        table = pd.concat([ages, entered]).fillna(0)
        parts.append(table.assign(dimension=dimension, events=table["sum"], censored=table["size"] - table["sum"]))
    order = ["dimension", "member", "term", "month"]
    return pd.concat(parts).sort_values(order)[[*order, "events", "censored", "entered"]].reset_index(drop=True)


def cohorts(started: pd.Series, active: dict, revenue: dict, mrr: dict) -> pd.DataFrame:
    """Customers of a cohort by age; by month: who is `active`, and `revenue` and `mrr` of each customer."""
    rows = []
    for cohort, members in started.groupby(started.dt.to_period("M")):
        for month in pd.period_range(cohort, max(active), freq="M"):
            present = members.index.isin(active[month]).sum()
            money = [by_month[month].reindex(members.index).sum() / 10_000 for by_month in (revenue, mrr)]
            rows.append([cohort, (month - cohort).n, len(members), present, *money])
    return pd.DataFrame(rows, columns=["cohort", "age", "customers", "active", "revenue", "mrr"])


def worth(y: pd.Series, x: pd.Series, active: pd.Series, groups: dict[str, pd.Series]) -> pd.DataFrame:
    """Sums and products of what customers brought (y) and their months there (x; active of them), by dimension and member."""
    both, parts = pd.DataFrame({"y": y, "x": x, "active": active}).fillna(0).query("x != 0 or y != 0"), []
    products = both.assign(yy=both["y"] ** 2 / 10_000, xy=both["x"] * both["y"], xx=both["x"] ** 2)[["y", "x", "active", "yy", "xy", "xx"]]
    for dimension, member in groups.items():
        sums = products.groupby(member.reindex(products.index)).sum() / [10_000, 1, 1, 10_000, 10_000, 1]
        sums = sums.add_prefix("sum_")
        sums.insert(0, "customers", products.groupby(member.reindex(products.index)).size())
        parts.append(sums.rename_axis("member").reset_index().assign(dimension=dimension))
    return pd.concat(parts).sort_values(["dimension", "member"], ignore_index=True)


def spend(rows: pd.DataFrame, started: pd.Series, channel: pd.Series, as_of: pd.Timestamp) -> pd.DataFrame:
    """Media and all spend of each month and channel, spread evenly over the days of its period, and customers won."""
    days = [pd.date_range(start, end) for start, end in zip(rows["period_start"], rows["period_end"], strict=True)]
    daily = rows.assign(day=days, share=rows["amount"] / [len(span) for span in days]).explode("day")
    daily = daily[daily["day"] < as_of].assign(month=lambda part: part["day"].dt.to_period("M"))
    daily["media"] = daily["share"].where(daily["kind"] == "media", 0)
    table = daily.groupby(["month", "channel"]).agg(media=("media", "sum"), loaded=("share", "sum")).round(4)
    won = channel.reindex(started.index).fillna("(unattributed)").to_frame("channel")
    counts = won.assign(month=started.dt.to_period("M")).groupby(["month", "channel"]).size().rename("new_customers")
    return table.join(counts, how="outer").fillna(0).reset_index()
