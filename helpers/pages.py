"""One line a cell: what notebooks show of a book's results, or of what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
from IPython.display import HTML

from helpers import tables, verdicts
from helpers.contracts import TABLES, definitions


def show_query(book, name: str) -> HTML:
    """The SQL behind a section and its first ten rows, folded."""
    return tables.query_box(name, book.sql(name), book.frame(name))


def given(book, needs: str, show: Callable[[], object], *, section: str = "") -> object:
    """What `show` makes where the table `needs` is given; else a box that says what it would unlock, under `section`."""
    if set(needs.split(" or ")) & book.given:
        return show()
    return tables.skip_box(section, needs, TABLES[needs.split(" or ")[0]].unlocks) if section else HTML("")


def cards(metrics: pd.DataFrame, ids: Sequence[str], period: str, currency: str) -> HTML:
    """KPI cards of company-wide metrics, with last month, the same month last year and 13 months; unknown ids are left out."""
    known, shown = definitions(), []
    whole = metrics[metrics["dimension"] == "all"]
    for name in ids:
        series = whole[whole["metric"] == name].set_index("period")
        if period not in series.index:
            continue
        row, months = series.loc[period], pd.period_range(end=period, periods=13, freq="M").astype(str)
        trend = series["value"].reindex(months)
        good = known[name]["good"]
        card = {"label": known[name]["name"], "value": row["value"], "unit": row["unit"], "currency": currency,
                "low": row["low"], "high": row["high"], "n": row["n"], "definition": name,
                "good": None if good == "none" else good}
        if trend.notna().sum() > 1:
            card |= {"trend": trend.to_list(), "previous": trend.iloc[-2], "last_year": trend.iloc[0]}
        shown.append(card)
    return tables.kpi_cards(shown)


def judged(book, page: str, metrics: pd.DataFrame) -> HTML:
    """The verdicts of a page on the report month, kept for the summary and shown."""
    period, least = book.params.report.month, book.params.policy.min_customers
    found = verdicts.judge(metrics, page, period, overrides=book.params.verdicts, least=least)
    return tables.verdict_list(book.add("verdicts", page, found))


def metric_table(metrics: pd.DataFrame, ids: Sequence[str], period: str, caption: str) -> HTML:
    """Company-wide metrics of a month by name, each value in its own unit, with interval, n and method."""
    found = metrics[(metrics["dimension"] == "all") & (metrics["period"] == period)].set_index("metric")
    found = found.loc[[name for name in ids if name in found.index]]
    text = {
        side: [tables.number(value, unit) for value, unit in zip(found[side], found["unit"], strict=True)]
        for side in ("value", "low", "high")
    }
    names = [definitions()[name]["name"] for name in found.index]
    columns = {"metric": names, **text, "n": found["n"].to_numpy(), "method": found["method"].fillna("").to_numpy()}
    return tables.show_table(pd.DataFrame(columns), caption)


def publish(book) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Collect the pages' parts into metrics.csv, verdicts.csv and tables/checks.csv; returns the three."""
    order = ["metric", "dimension", "member", "period"]
    metrics = book.publish("metrics", book.collect("metrics").sort_values(order, ignore_index=True))
    checks = book.save("checks", book.collect("checks"))
    found = verdicts.provisional(verdicts.ordered(book.collect("verdicts")), checks)
    return metrics, book.publish("verdicts", found), checks


def headline(metrics: pd.DataFrame, period: str, currency: str) -> HTML:
    """One sentence from the month's metrics: revenue and its change, who left, what a new customer is worth."""
    whole = metrics[metrics["dimension"] == "all"].set_index(["metric", "period"])[["value", "low", "high", "unit"]]
    before = str(pd.Period(period, "M") - 1)

    def text(name: str, at: str = period, pattern: str = "{}") -> str:
        known = (name, at) in whole.index and pd.notna(whole.loc[(name, at), "value"])
        return pattern.format(tables.number(*whole.loc[(name, at), ["value", "unit"]])) if known else ""

    money = "mrr" if text("mrr") else "revenue_net"
    parts = [f"{definitions()[money]['name']} of {period} was {text(money)}"]
    if text(money, before) and whole.loc[(money, before), "value"] > 0:
        change = whole.loc[(money, period), "value"] / whole.loc[(money, before), "value"] - 1
        parts[0] += f", {'up' if change >= 0 else 'down'} {tables.number(abs(change), 'share')} on the month before"
    parts.append(text("logo_churn_rate", pattern="{} of the customers left"))
    if text("ltv"):
        low, high = (tables.number(whole.loc[("ltv", period), side], currency) for side in ("low", "high"))
        cost = text("ltv_to_cac", pattern=", {} its cost")
        parts.append(f"a new customer is worth {text('ltv')} ({low} to {high}){cost}")
    return tables.headline("; ".join(part for part in parts if part) + ".")
