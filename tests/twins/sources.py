"""The source files as pandas reads them: rows before as_of that can be read, times parsed, money in 1/10,000."""

import pandas as pd

COLUMNS = ["transaction_id", "customer_id", "transacted_at", "amount", "type", "status", "item_type"]
TIMES = ["started_at", "ended_at", "trial_ended_at", "discount_ends_at", "paused_at", "resumed_at", "valid_from", "valid_to"]


def transactions(rows: pd.DataFrame, as_of: pd.Timestamp, subscribed: bool) -> pd.DataFrame:
    """One row a line; `bought`: paid by a known customer, and no subscription invoice; `sale`: a paid sale."""
    rows = rows.reindex(columns=COLUMNS).astype(dict.fromkeys(COLUMNS, "str"))
    rows["at"] = pd.to_datetime(rows["transacted_at"], format="ISO8601", errors="coerce")
    rows["amount"] = pd.to_numeric(rows["amount"], errors="coerce")
    rows = rows[(rows["at"] < as_of) & rows["amount"].notna()]
    kind = rows["type"].fillna((rows["amount"] < 0).map({True: "refund", False: "sale"}))
    paid = rows["status"].fillna("paid") == "paid"
    choice = rows["item_type"].ne("subscription") & (rows["item_type"].notna() | (not subscribed))
    visit = rows["customer_id"] + " " + rows["transacted_at"]
    return rows.assign(
        order=rows["transaction_id"].fillna(visit), day=rows["at"].dt.normalize(), month=rows["at"].dt.to_period("M"),
        revenue=(rows["amount"] * 10_000).round().where(paid, 0).astype("int64"), kind=kind,
        sale=(kind == "sale") & paid, bought=paid & choice & rows["customer_id"].notna())


def subscriptions(rows: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """One row a subscription and version: its MRR before and after discount, and the span in which it pays."""
    rows = rows.assign(**{name: pd.to_datetime(rows[name]) for name in TIMES})
    rows["term"] = rows["interval"].map({"month": 1, "year": 12})
    monthly = 10_000 / rows["term"]
    off = rows["discount_amount"].fillna(0)
    price = rows["unit_amount"] * rows["quantity"]
    full, discounted = price * monthly, (price - off).clip(lower=0) * monthly
    rows = rows.assign(full=full.round().astype("int64"), discounted=discounted.round().astype("int64"))
    rows["paid_from"] = rows[["started_at", "valid_from", "trial_ended_at"]].max(axis=1)
    rows["paid_until"] = rows[["ended_at", "valid_to"]].min(axis=1).fillna(pd.Timestamp("2200-01-01"))
    free = (rows["discounted"] == 0) & rows["discount_ends_at"].isna()           # for ever: no customer
    return rows[(rows["started_at"] < as_of) & (rows["paid_from"] < rows["paid_until"]) & ~free]


def month_ends(first: pd.Timestamp, as_of: pd.Timestamp) -> list[pd.Timestamp]:
    """The first instants of the months from the one that holds `first` to as_of."""
    return list(pd.date_range(first.normalize().replace(day=1), as_of, freq="MS"))
