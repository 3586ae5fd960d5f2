"""What was read and what became of it."""

from __future__ import annotations

import pandas as pd

from helpers.metrics import checks, frame, metric

LABELS = {"read": "read", "kept": "kept", "rejected": "rejected", "after_as_of": "after the month"}


def row_metrics(rows: pd.DataFrame, period: str) -> pd.DataFrame:
    """rows_in, rows_kept, rows_rejected, rows_after_as_of by table and in all, and the rejected share."""
    wide = rows.pivot(index="table", columns="stage", values="rows").astype(int)
    found = []
    for member, row in [("all", wide.sum()), *wide.iterrows()]:
        where = {"dimension": "all" if member == "all" else "table", "member": member, "unit": "count", "n": row["read"]}
        found += [
            metric(name, period, row[stage], **where)
            for name, stage in (("rows_in", "read"), ("rows_kept", "kept"), ("rows_rejected", "rejected"),
                                ("rows_after_as_of", "after_as_of"))
        ]
    share = wide["rejected"].sum() / wide["read"].sum()
    return frame([*found, metric("rejected_share", period, share, unit="share", n=wide["read"].sum())])


def by_stage(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a table: its rows and its money in each stage, side by side."""
    wide = rows.pivot(index="table", columns="stage", values=["rows", "amount"])
    wide = wide[[(what, stage) for what in ("rows", "amount") for stage in LABELS]]
    wide.columns = [stage if what == "rows" else f"{what}_{stage}" for what, stage in wide.columns]
    return wide.reset_index()


def waterfall(rows: pd.DataFrame, table: str) -> pd.DataFrame:
    """From the money read to the money kept: `label`, `value`, `kind` for the chart; zeros for a table not given."""
    signs = {"read": 1, "rejected": -1, "after_as_of": -1, "kept": 1}
    amounts = rows[rows["table"] == table].set_index("stage")["amount"].reindex([*signs], fill_value=0.0)
    return pd.DataFrame({
        "label": [LABELS[stage] for stage in signs],
        "value": [sign * amounts[stage] for stage, sign in signs.items()],
        "kind": ["total", "change", "change", "total"],
    })


def row_checks(rows: pd.DataFrame) -> pd.DataFrame:
    """read = kept + rejected + after_as_of, in rows and in money, for every table."""
    found = []
    for table, part in rows.groupby("table", sort=True):
        at = part.set_index("stage")
        for what, tolerance in (("rows", 0), ("amount", 0.005)):
            rest = at.loc[["kept", "rejected", "after_as_of"], what].sum()
            found.append((f"{what}: read = kept + rejected + after as-of", table, at.loc["read", what], rest, tolerance))
    return checks(pd.DataFrame(found, columns=["check", "scope", "expected", "actual", "tolerance"]))


def trace_checks(trace: pd.DataFrame) -> pd.DataFrame:
    """The revenue of traced customers is the same in the source rows and in the marts."""
    found = trace.assign(check="traced customer: source = mart", scope=trace["customer_id"], tolerance=0.005)
    return checks(found.rename(columns={"amount_in_source": "expected", "revenue_in_mart": "actual"}))
