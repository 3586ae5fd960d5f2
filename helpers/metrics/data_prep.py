"""What was read and what became of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from helpers.contracts import NAMED, read_yaml
from helpers.metrics import checks, frame, metric, parts_checks

REMEDIES = {  # how a rule begins -> what to do; of two that fit, the later one
    "cannot be read": "Mend the cell; or say how the file writes it: decimal, dayfirst, columns.",
    "total line": "Nothing: a total below the rows is none of them. A row that is meant needs its other cells.",
    "empty": "Fill the cell at the source: a row without it cannot be counted.",
    "not an accepted value": "Write one of the words that docs/inputs.md lists for the column.",
    "before": "Correct the wrong one of the two times: an end, reply or answer comes after its beginning.",
    "before 1970": "Write the true time: such a date often stands for an empty cell.",
    "too large": "Correct the number: a decimal mark may be lost, or an id stand in the wrong column.",
    "below": "Write it without a minus; interval_count is 1 or more. Refunds belong in transactions.",
    "beyond": "Correct the number: the rule names its bounds. A score of another kind needs its kind.",
    "ended without a date": "Fill ended_at or canceled_at: without them nobody knows until when it was paid.",
    "unpaid without a date": "Fill past_due_since or current_period_end: without them nobody knows until when it was paid.",
    "paused without a date": "Fill paused_at: without it nobody knows until when it was paid.",
    "not above zero": "Write what one unit of from_currency is in to_currency.",
    "100 million or more": "Write what one unit of from_currency is in to_currency: this looks like another number.",
    "repeated": "Nothing: the row is equal to the one that is kept. Exports that do not overlap have none.",
    "contradicts another row": "Find the right one by its key and take the other out; lines of one sale need a line_no each.",
    "other currency": "Add fx_rates, or leave rows in other currencies out.",
    "no rate on or before its day": "Add an earlier rate of this currency to fx_rates.",
    "refund above zero": "Write refunds with a minus.",
    "internal customer": "Nothing: policy internal_customers leaves them out, count keeps them.",
}
BRIDGE = {  # columns of summaries/revenue_bridge: what the waterfall calls them, and how it draws them
    "mrr": ("MRR at the end", "total"), "within_month": ("not all month", "change"), "without_period": ("no period", "change"),
    "recognised": ("recognised", "total"), "deferred": ("deferred", "change"), "invoiced": ("invoiced", "total"),
    "other": ("other sales", "change"), "refunds": ("refunds", "change"), "revenue": ("net revenue", "total"),
}
LABELS = {"read": "read", "kept": "kept", "rejected": "rejected", "after_as_of": "after the month"}


def prep_metrics(rows: pd.DataFrame, rejections: pd.DataFrame, tied: pd.DataFrame, period: str) -> pd.DataFrame:
    """rows_in, rows_kept, rows_rejected, rows_after_as_of by table and in all, the rejected share, the gap to the ledger."""
    wide = rows.pivot(index="table", columns="stage", values="rows").astype(int)
    wide["before"] = wide["kept"] + wide["rejected"]  # what comes later changes no figure but its own
    found = []
    for member, row in [("all", wide.sum()), *wide.iterrows()]:
        where = {"dimension": "all" if member == "all" else "table", "member": member, "unit": "count"}
        found += [
            metric(name, period, row[stage], n=row[of], **where)
            for name, stage, of in (("rows_in", "read", "read"), ("rows_kept", "kept", "before"),
                                    ("rows_rejected", "rejected", "before"), ("rows_after_as_of", "after_as_of", "read"))
        ]
    meant = rejections.loc[rejections["rule"] == "internal customer", "rows"].sum()  # left out by a policy, not for a fault
    share = (wide["rejected"].sum() - meant) / wide["before"].sum()
    found.append(metric("rejected_share", period, share, unit="share", n=wide["before"].sum()))
    return frame(found + ledger_metrics(tied))


def by_stage(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a table: its rows and its money in each stage, side by side; no money where it does not add up."""
    wide = rows.pivot(index="table", columns="stage", values=["rows", "amount"])
    wide = wide[[(what, stage) for what in ("rows", "amount") for stage in LABELS]]
    wide.columns = [stage if what == "rows" else f"{what}_{stage}" for what, stage in wide.columns]
    return wide.reset_index()


def waterfall(rows: pd.DataFrame, rejections: pd.DataFrame, table: str) -> pd.DataFrame:
    """From the money read to the money kept, rule by rule: `label`, `value`, `kind`; zeros for a table not given."""
    amounts = rows[rows["table"] == table].set_index("stage")["amount"].reindex([*LABELS], fill_value=0.0)
    rules = rejections[rejections["table"] == table].groupby("rule", sort=True)["amount"].sum()
    steps = [("read", amounts["read"], "total"), *((rule, -amount, "change") for rule, amount in rules.items()),
             (LABELS["after_as_of"], -amounts["after_as_of"], "change"), ("kept", amounts["kept"], "total")]
    return pd.DataFrame(steps, columns=["label", "value", "kind"])


def row_checks(rows: pd.DataFrame) -> pd.DataFrame:
    """read = kept + rejected + after_as_of, in rows and, where it adds up, in money, for every table."""
    found = []
    for table, part in rows.groupby("table", sort=True):
        at = part.set_index("stage")
        for what, tolerance in (("rows", 0), ("amount", 0.005)):
            rest = at.loc[["kept", "rejected", "after_as_of"], what].sum()
            if at[what].notna().all():
                found.append((f"{what}: read = kept + rejected + after as-of", table, at.loc["read", what], rest, tolerance))
    return checks(pd.DataFrame(found, columns=["check", "scope", "expected", "actual", "tolerance"]))


def control_checks(rows: pd.DataFrame, inputs: pd.DataFrame, told: dict[str, dict[str, float]]) -> pd.DataFrame:
    """What was read is what its sender counted. told : by table, any of `files, rows, amount`, as settings name them."""
    read = rows[rows["stage"] == "read"].set_index("table")
    read = {"files": inputs.groupby("table").size(), "rows": read["rows"], "amount": read["amount"]}  # without rows: none
    found = [(f"control total: {what}", table, float(total), float(read[what].get(table, 0)), 0.005 if what == "amount" else 0)
             for table, totals in told.items() for what, total in totals.items()]
    return checks(pd.DataFrame(found, columns=["check", "scope", "expected", "actual", "tolerance"]))


def controls(found: pd.DataFrame, currency: str) -> pd.DataFrame:
    """Checks of control totals with the `unit` of each. found : from `control_checks`."""
    money = found["check"].str.endswith("amount")
    return found.drop(columns="tolerance").assign(unit=np.where(money, currency, "count"))


def controlled(found: pd.DataFrame, number: Callable[[int, str], str]) -> str:
    """What the control totals say of the sources, in a sentence. found : from `control_checks`."""
    if found.empty:
        return "No control totals were told: sources.<table>.expect takes the files, rows and money that the sender counted."
    wrong = ", ".join(found.loc[~found["passed"], "scope"].unique())
    told = f"{number(found['passed'].sum(), 'count')} of {number(len(found), 'count')} control totals agree"
    remedy = "a file is missing, cut off, sent twice or another one; get it again"
    return f"{told}. Not those of {wrong}: {remedy}." if wrong else f"{told}."


def file_checks(inputs: pd.DataFrame) -> pd.DataFrame:
    """No file of a table with rows in it is another one, byte for byte. inputs : from `summaries/inputs`."""
    read = inputs[(inputs["rows"] > 0) & inputs["sha256"].ne("")].groupby("table", sort=True)["sha256"]
    found = {"check": "files: none stands twice", "expected": read.size(), "actual": read.nunique(), "tolerance": 0}
    return checks(pd.DataFrame(found).rename_axis("scope").reset_index())


def rate_checks(rates: pd.DataFrame, most: int) -> pd.DataFrame:
    """There are rates of each currency, and the last was at most so many days old when it was last used.

    rates : from `summaries/rates`.
    """
    quoted = rates["quotes"].notna()
    named = {"check": "there are rates of the currency", "scope": rates["currency"], "expected": 1.0}
    given = checks(pd.DataFrame(named | {"actual": quoted.astype(float), "tolerance": 0.0}))
    named = {"check": "age of the last rate in days", "scope": rates.loc[quoted, "currency"], "expected": 0.0}
    aged = checks(pd.DataFrame(named | {"actual": rates.loc[quoted, "age_days"].astype(float), "tolerance": float(most)}))
    return pd.concat([given, aged], ignore_index=True)


def volume_checks(rows: pd.DataFrame, placed: pd.DataFrame) -> pd.DataFrame:
    """Kept rows, as they were judged, are those of the marts; so is their money, but for spend that falls after the month.

    placed : from `summaries/placed`.
    """
    kept = rows[rows["stage"] == "kept"].set_index("table").fillna({"amount": 0})
    held = placed.groupby("table")[["rows", "amount"]].sum()
    found = [(check, table, kept.loc[table, what], held.loc[table, what], tolerance)
             for table in held.index.intersection(kept.index) for check, what, tolerance in (
                 ("rows: kept = in the marts", "rows", 0), ("amount: kept = in the marts or after the month", "amount", 0.005))]
    return checks(pd.DataFrame(found, columns=["check", "scope", "expected", "actual", "tolerance"]))


def revenue_steps(bridged: pd.DataFrame) -> pd.DataFrame:
    """The last month of `summaries/revenue_bridge` as the steps of a waterfall: `label`, `value`, `kind`."""
    last = bridged.iloc[-1] if len(bridged) else pd.Series(0.0, index=[*BRIDGE])
    rows = [(label, float(last[name]), kind) for name, (label, kind) in BRIDGE.items()]
    return pd.DataFrame(rows, columns=["label", "value", "kind"])


def revenue_checks(bridged: pd.DataFrame, months: pd.DataFrame, labels: dict[int, str]) -> pd.DataFrame:
    """The steps from MRR, and the customers' revenue with that of nobody, make the net revenue that all pages show, by month.

    bridged, months : from `summaries/revenue_bridge` and `summaries/months`.
    """
    whole, changes = months.set_index("month"), [name for name, (_, kind) in BRIDGE.items() if kind == "change"]
    steps = bridged.set_index("month")[["mrr", *changes]].sum(axis=1)
    return pd.concat([
        parts_checks("revenue: steps from MRR add up to all", steps, whole["revenue"], labels, 0.005),
        parts_checks("revenue: customers and unattributed add up to all",
                     whole["revenue_known"] + whole["revenue_unattributed"], whole["revenue"], labels, 0.005)])


def trace_checks(trace: pd.DataFrame) -> pd.DataFrame:
    """The revenue of traced customers is the same in the source rows and in the marts; none of who has no money in either."""
    money = trace[(trace["transaction_rows"] > 0) | (trace["revenue_in_mart"] != 0)]
    found = money.assign(check="traced customer: source = mart", scope=money["customer_id"], tolerance=0.005)
    return checks(found.rename(columns={"amount_in_source": "expected", "revenue_in_mart": "actual"}))


def remedies(rejections: pd.DataFrame) -> pd.DataFrame:
    """The rejections, each with what to do about it."""
    told = {rule: text for name, text in REMEDIES.items() for rule in rejections["rule"] if str(rule).startswith(name)}
    return rejections.assign(remedy=rejections["rule"].map(told))


def strangers(unmatched: pd.DataFrame, number: Callable[[int, str], str], given: bool) -> str:
    """How many ids the table customers does not know, in a sentence. unmatched : from `summaries/unmatched`."""
    if not given:
        return "No table of customers is given: there is nothing to hold ids against."
    if unmatched.empty:
        return "customers knows every id of the other tables."
    found, near = unmatched["found"].iloc[0], unmatched["nearest"].notna().sum()
    listed = f"; the first {number(len(unmatched), 'count')} are listed" if found > len(unmatched) else ""
    hint = (f" {number(near, 'count')} of those listed would be one id of customers without punctuation and leading zeros: "
            "nearest names it, and nothing is joined by it.") if near else ""
    return f"Ids that customers does not know, counted in each table: {number(found, 'count')}{listed}.{hint}"


def adjusted(adjustments: pd.DataFrame, number: Callable[[float, str], str], currency: str) -> str:
    """What revenue holds that nobody bought or gave back, in a sentence. adjustments : from `summaries/adjustments`."""
    if adjustments.empty:
        return "No adjustment is in revenue."
    found, total, new, total_new = adjustments[["found", "total", "found_new", "total_new"]].iloc[0]
    return (f"Adjustments in revenue: {number(found, 'count')}, {number(total, currency)} in all; "
            f"of this month {number(new, 'count')}, {number(total_new, currency)}.")


def extremes(outliers: pd.DataFrame, number: Callable[[float, str], str]) -> str:
    """How many amounts are kept though they lie far beyond the others, in a sentence. outliers : from `summaries/outliers`."""
    if outliers.empty:
        return "No amount lies far beyond the others of its sign."
    found, share = outliers[["found", "revenue_share"]].iloc[0]
    listed = f"; the {number(len(outliers), 'count')} largest are listed" if found > len(outliers) else ""
    held = f", and they hold {number(share, 'share')} of all revenue" if pd.notna(share) else ""
    return f"Amounts far beyond the others of their sign: {number(found, 'count')}{listed}. They are kept{held}."


def sections(
    given: set[str], columns: set[str], least: dict[str, int], evidence: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One row a section of readiness.yaml: ready, partial or impossible, what is missing, what adding it unlocks.

    columns : `table.column` that the files have. evidence : what lifetimes rest on, one row; least : what they need of it.
    Without evidence, as before a run, lifetimes are not called ready: it takes the marts to know who left.
    """
    rows = []
    for entry in read_yaml("readiness.yaml"):
        tables = entry["needs"].split(" or ")
        missing = {name: unlocks for name, unlocks in entry["adds"].items()
                   if name not in columns and (name.split(".")[0] in given or name.split(".")[0] not in tables)}
        for what, needed in least.items() if evidence is not None and "LTV" in entry["section"] else []:
            if (found := int(evidence[what].iloc[0])) < needed:
                missing[f"{needed} {NAMED[what]} (found {found})"] = "verdicts on lifetimes and LTV, now indicative"
        unknown = evidence is None and "LTV" in entry["section"]
        status = "partial" if missing else "known after a run" if unknown else "ready"
        if unknown:
            needed = ", ".join(f"{count} {NAMED[what]}" for what, count in least.items())
            missing[f"{needed}: known after a run"] = "verdicts on lifetimes and LTV"
        if not given.intersection(tables):
            status, missing = "impossible", {entry["needs"]: "the whole section"}
        unlocks = dict.fromkeys(missing.values())
        rows.append((entry["section"], entry["page"], status, "; ".join(missing), "; ".join(unlocks)))
    return pd.DataFrame(rows, columns=["section", "page", "status", "missing", "unlocks"])


def reconcile(ledger: pd.DataFrame, months: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """One row a month and measure of the ledger: `month, measure, ledger, ours, difference, gap, passed`; gap is a share.

    What this book cannot say is not compared: `ours` and `passed` are empty.

    ledger : from `summaries/ledger`; active customers are counted in months, from `summaries/months`.
    """
    active = ledger["month"].map(months.set_index("period")["active_end"].astype(float)).fillna(0.0)
    ours = ledger["ours"].where(ledger["measure"] != "active_customers", active)
    table = ledger.assign(ours=ours, difference=ours - ledger["ledger"])
    allowed = (table["ledger"].abs() * tolerance).clip(lower=0.005)
    gap = (table["difference"] / table["ledger"]).where(table["ledger"] != 0)
    return table.assign(gap=gap, passed=(table["difference"].abs() <= allowed).where(table["ours"].notna()))


def ledger_metrics(tied: pd.DataFrame) -> list[dict]:
    """ledger_gap of the last 13 months by measure, and for all: net revenue's, else MRR's, else the largest."""
    last, found = sorted(tied["month"].unique())[-13:], []
    for month, part in tied[tied["month"].isin(last)].dropna(subset="gap").groupby("month"):
        gaps = part.set_index("measure")["gap"]
        found += [metric("ledger_gap", month, gap, dimension="measure", member=name, unit="share")
                  for name, gap in gaps.items()]
        main = next((name for name in ("net_revenue", "mrr") if name in gaps), gaps.abs().idxmax())
        found.append(metric("ledger_gap", month, gaps[main], unit="share", method=f"of {main}"))
    return found


def ledger_checks(tied: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """One check a month and measure that is compared: our figure is the ledger's, within the tolerance."""
    tied = tied.dropna(subset="ours")
    allowed = (tied["ledger"].abs() * tolerance).clip(lower=0.005)
    found = tied.assign(check="ledger: " + tied["measure"], scope=tied["month"], tolerance=allowed)
    return checks(found.rename(columns={"ledger": "expected", "ours": "actual"}))


def left_edge(months: pd.DataFrame, *, left_edge_months: int, observed_from: bool) -> str:
    """How the book looks cut off on the left, and the setting that says so; empty where it does not, or is set.

    months : from `summaries/months`. Cut off: the first month has three times the newcomers of a usual one of the next
    year, for old customers are taken for new; or nobody leaves where the later pace would have taken five customers or
    more, for only those who stayed are in the file (left truncation; Klein and Moeschberger 2003, 3.4).
    """
    first, usual = months["acquired"].iloc[0], months["acquired"].iloc[3:15].median()
    if not left_edge_months and len(months) >= 6 and first > 3 * usual and first >= 10:
        return (f"{first:,.0f} customers are first seen in {months['period'].iloc[0]}, a usual month has {usual:,.0f}: "
                "the book looks cut off on the left, and old customers count as new. Set policy.left_edge_months.")
    left = months["churned"].to_numpy(float).cumsum()
    before, after = months[left == 0], months[left > 0].head(12)
    if not observed_from and len(before) and len(after) >= 6:
        expected = before["active_start"].sum() * after["churned"].sum() / after["active_start"].sum()
        if expected >= 5:
            return (f"Nobody leaves before {after['period'].iloc[0]}, where the later pace would have taken {expected:,.0f} "
                    "customers: the file seems to hold only those who stayed, and lifetimes look too long. "
                    f"Set policy.observed_from: {after['period'].iloc[0]}-01.")
    return ""


def timeline_checks(timeline: pd.DataFrame) -> pd.DataFrame:
    """Every kept row that names a customer stands in the customers' timeline, table by table."""
    found = timeline.assign(check="timeline: rows of the sources", scope=timeline["table"], tolerance=0)
    return checks(found.rename(columns={"rows": "expected", "told": "actual"}))


def drift(now: pd.DataFrame, then: pd.DataFrame | None, points: float = 0.05) -> pd.DataFrame:
    """Columns that came, went, or are empty more or less often than in last month's report, by more than `points`.

    now, then : `table, column, rows, empty`, as `summaries/columns` has them; then: None without a report.
    """
    columns = ["table", "column", "what", "then", "now"]
    if then is None:
        return pd.DataFrame(columns=columns)
    both = then.merge(now, on=["table", "column"], how="outer", suffixes=("_then", "_now"), indicator=True)
    both = both.assign(then=both["empty_then"] / both["rows_then"], now=both["empty_now"] / both["rows_now"])
    what = both["_merge"].astype("str").map({"left_only": "no longer there", "right_only": "new", "both": "empty cells"})
    return both.assign(what=what)[(what != "empty cells") | ((both["now"] - both["then"]).abs() > points)][columns]


def late(now: pd.DataFrame, then: pd.DataFrame | None, period: str) -> pd.DataFrame:
    """Months before `period` whose rows or money are not what was published; a table that came or went is told by `drift`.

    now, then : `table, period, rows, amount`, as `summaries/volume_by_table` has them; then: None without a report.
    """
    columns = ["table", "period", "rows_then", "rows_now", "amount_then", "amount_now", "change"]
    if then is None:
        return pd.DataFrame(columns=columns)
    first = pd.concat([then.groupby("table")["period"].min(), now.groupby("table")["period"].min()], axis=1, join="inner")
    both = then.merge(now, on=["table", "period"], how="outer", suffixes=("_then", "_now"), validate="one_to_one")
    both = both.fillna({"rows_then": 0, "rows_now": 0})
    both = both[both["table"].isin(first.index)]
    both = both[(both["period"] >= both["table"].map(first.max(axis=1))) & (both["period"] < period)]
    both = both.assign(change=both["amount_now"].fillna(0) - both["amount_then"].fillna(0))
    return both[(both["rows_now"] != both["rows_then"]) | (both["change"].abs() > 0.005)][columns].reset_index(drop=True)


def compared(columns: pd.DataFrame | None, volume: pd.DataFrame | None, drift: pd.DataFrame, late: pd.DataFrame) -> str:
    """What changed since the report of the month before, in a sentence; months that it did not keep are not compared."""
    if columns is None:
        return "No report of the month before was found: there is nothing to compare with."
    months = "its months were not kept by table, so rows that came late are not told" if volume is None else (
        f"{len(late)} past months of {volume['table'].nunique()} tables changed")
    return f"Compared with the report of the month before: {len(drift)} columns changed; {months}."
