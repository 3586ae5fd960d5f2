"""The month on one screen: which figures it shows, what a step of each lever brings, and whether forecasts held."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.contracts import LIFETIMES
from helpers.metrics import checks
from helpers.metrics.data_prep import late
from helpers.metrics.retention import bridge
from helpers.models.intervals import next_value

CARDS = ["active_customers", "nrr_12m", "grr_12m", "ltv_to_cac", "payback_months", "ltv", "logo_churn_rate", "repeat_rate",
         "average_order_value", "arpu"]
FORECAST = ["metric", "made_in", "period", "value", "low", "high", "actual", "inside"]
PUBLISHED = {"metrics": ["metric", "dimension", "member", "period", "value", "low", "high"],
             "volume_by_table": ["table", "period", "rows", "amount"], "definitions": ["metric", "version"],
             "settings": ["setting", "value"]}
RESTATED = ["period", "metric", "dimension", "member", "unit", "published", "now", "difference", "outside", "cause"]
LEVERS = ["lever", "now", "unit", "step", "gain_12m", "customers", "how"]
YEAR = np.arange(1, 13)


def trend_metric(metrics: pd.DataFrame) -> str:
    """MRR, or net revenue where there are no subscriptions."""
    return "mrr" if (metrics["metric"] == "mrr").any() else "revenue_net"


def cards(metrics: pd.DataFrame, period: str, most: int = 6) -> list[str]:
    """Ids of the first `most` headline metrics that this month has a value for."""
    known = metrics[(metrics["dimension"] == "all") & (metrics["period"] == period)].dropna(subset=["value"])["metric"]
    return [name for name in [trend_metric(metrics), *CARDS] if name in set(known)][:most]


def trend(metrics: pd.DataFrame) -> pd.DataFrame:
    """Company-wide rows of `trend_metric` by month."""
    found = metrics[(metrics["dimension"] == "all") & (metrics["metric"] == trend_metric(metrics))]
    return found.sort_values("period", ignore_index=True)


def restated(metrics: pd.DataFrame, volume: pd.DataFrame, versions: dict[str, int], settings: pd.DataFrame,
             published: dict[int, dict[str, pd.DataFrame | None]], period: str) -> pd.DataFrame:
    """Figures that earlier reports published of their own month and that today's data give otherwise: columns RESTATED.

    metrics, volume, versions, settings : of this report; versions: of each definition.
    published : by months ago, the tables and columns PUBLISHED of an earlier report, None for one that it did not keep.
    `outside`: whether today's figure lies outside the published interval, None without one. `cause`: see `_causes`. What
    differs in the tenth digit alone is the same.
    """
    key, found = ["metric", "dimension", "member", "period"], [pd.DataFrame(columns=RESTATED)]
    for ago, report in published.items():
        if (then := report["metrics"]) is None:
            continue
        month, after = (str(pd.Period(period, "M") - months) for months in (ago, ago - 1))
        both = then[then["period"] == month].drop_duplicates(key).merge(metrics, on=key, suffixes=("_then", ""))
        both = both.rename(columns={"value_then": "published", "value": "now"})
        both = both[~np.isclose(both["published"], both["now"], rtol=1e-9, atol=1e-9, equal_nan=True)]
        inside = both["now"].between(both["low_then"], both["high_then"])
        bounded = both[["now", "low_then", "high_then"]].notna().all(axis=1)
        other = None if report["settings"] is None else {*_pairs(report["settings"])} != {*_pairs(settings)}
        cause = _causes(both["metric"], late(volume, report["volume_by_table"], after), report["definitions"], versions, other)
        outside = (~inside).astype(object).where(bounded, None)
        both = both.assign(difference=both["now"] - both["published"], outside=outside, cause=cause)
        found.append(both[RESTATED])
    return pd.concat(found, ignore_index=True)


def _pairs(settings: pd.DataFrame) -> zip:
    return zip(settings["setting"], settings["value"].astype(str), strict=True)


def _causes(metrics: pd.Series, changed: pd.DataFrame, then: pd.DataFrame | None, versions: dict[str, int],
            settings: bool | None) -> list[str]:
    """What may have restated each of these metrics: another version of it, settings, rows of months then published, or none.

    changed : from `late`. then : the definitions then, `metric, version`. settings : whether there are others; None if unknown.
    """
    rows, before = changed["rows_now"], changed["rows_then"]
    kinds = np.select([changed["table"] == "fx_rates", rows < before, rows == before, changed["change"] < 0],
                      ["FX", "rows gone", "data", "refunds"], "late rows")
    found = {*kinds, "settings" if settings else ""}
    told = [kind for kind in ("settings", "late rows", "refunds", "data", "rows gone", "FX") if kind in found]
    rest = "other cells, settings or code" if settings is None else "other cells or code"
    known = {} if then is None else dict(zip(then["metric"], then["version"], strict=True))
    other = [known.get(metric, versions[metric]) != versions[metric] for metric in metrics]
    return [", ".join(["definition"] * new + told) or rest for new in other]


def moves(metrics: pd.DataFrame, movements: pd.DataFrame, period: str) -> pd.DataFrame:
    """What led from last month's money to this month's: `label`, `value`, `kind` for the chart. movements : mrr_movements.

    Without MRR the change of revenue is parted into the number of orders, at last month's value, and the order value.
    """
    if trend_metric(metrics) == "mrr":
        return bridge(movements)
    two = [str(pd.Period(period, "M") - 1), period]
    whole = metrics[(metrics["dimension"] == "all") & metrics["metric"].isin(["revenue_net", "orders"])]
    wide = whole.pivot(index="period", columns="metric", values="value").reindex(two, columns=["revenue_net", "orders"])
    (before, old), (now, new) = wide.to_numpy(float)
    by_number = (new - old) * before / old if old else np.nan
    rows = [("last month", before, "total"), ("number of orders", by_number, "change"),
            ("order value", now - before - by_number, "change"), ("this month", now, "total")]
    if np.isnan(by_number):  # no orders to part it by
        rows[1:3] = [("change", now - before, "change")]
    return pd.DataFrame(rows, columns=["label", "value", "kind"]).fillna({"value": 0.0})


def forecast(months: pd.DataFrame, labels: dict[int, str], *, name: str, column: str, confidence: float) -> pd.DataFrame:
    """One-month-ahead forecasts of a monthly total: of the last twelve months, each from the months before it, and the next.

    months : `month` and the total `column`, from `summaries/months`. The next value is the last one moved by the mean of
    the last twelve relative changes, with Student's prediction interval of a change (a random walk with drift on the log
    scale; Hyndman and Athanasopoulos, Forecasting, 3rd ed., 5.2 and 5.5). No seasons.
    """
    known = months.set_index("month")[column].astype(float)
    known = known.loc[known[known > 0].index.min():] if (known > 0).any() else known.head(0)
    rows, last = [], int(months["month"].max())
    for month in range(last - 11, last + 2):
        past = known.loc[: month - 1].tail(13)
        if len(past) < 7 or (past <= 0).any():
            continue
        change, start = next_value(np.diff(np.log(past)), confidence), past.iloc[-1]
        value, low, high = (float(start * np.exp(side)) for side in (change.value, change.low, change.high))
        actual = float(known.get(month, np.nan))
        inside = low <= actual <= high if np.isfinite(actual) else None
        following = labels.get(month) or str(pd.Period(labels[last], "M") + 1)
        rows.append((name, labels[month - 1], following, value, low, high, actual, inside))
    return pd.DataFrame(rows, columns=FORECAST)


def levers(metrics: pd.DataFrame, months: pd.DataFrame, period: str) -> pd.DataFrame:
    """What one step of each lever brings in the next 12 months, all else as it is: simple sums, not a forecast.

    Table levers: `lever, now, unit, step, gain_12m (money), customers` whom it concerns and `how` it is reckoned. Of a
    base that is kept at 1 − c a month (c = pooled churn), Σ (1 − c)^t over t = 1 … 12 remains to earn.
    """
    whole = metrics[(metrics["dimension"] == "all") & (metrics["period"] == period)].set_index("metric")["value"]
    year, churn = months[months["moves"]].tail(12), float(whole.get("churn_rate_pooled", np.nan))
    recurring = "mrr" in whole
    base = float(whole["mrr"]) if recurring else float(year["revenue_known"].mean())
    active, left = float(whole.get("active_customers", np.nan)), ((1 - churn) ** YEAR).sum()
    step = min(0.005, churn)
    better = ((1 - churn + step) ** YEAR - (1 - churn) ** YEAR).sum()
    price = whole.get("arpa" if recurring else "average_order_value", np.nan)
    rows = [
        ("Unit price", price, "money", "+1%", base * 0.01 * left, active,
         "1% of the base, for the customers who stay"),
        ("Churn", churn, "share", f"−{100 * step:.2g} points a month", base * better, active,
         "base × Σ ((1 − c + step)^t − (1 − c)^t)"),
    ]
    if recurring:
        stays = sum(((1 - churn) ** np.arange(12 - month)).sum() for month in range(12))
        rows += [
            (lever, year[column].mean(), "money", "+10%", year[column].mean() * 0.1 * stays,
             year[people].sum() if people else active, "10% of the mean month, added every month, for those who stay")
            for lever, column, people in (
                ("Upsell and cross-sell", "mrr_expansion", ""), ("New customers", "mrr_new", "new"),
                ("Win-back", "mrr_reactivation", "reactivated"))
        ]
    else:
        rows += [
            ("Purchase frequency", whole.get("purchase_frequency", np.nan), "per_year", "+1%", base * 0.01 * left, active,
             "1% of the base, for the customers who stay"),
            ("New customers", year["new"].mean(), "count", "+10%", year["revenue_new"].mean() * 12 * 0.1,
             year["new"].mean() * 12, "10% of what the new customers of a year buy in their first month"),
        ]
    table = pd.DataFrame(rows, columns=LEVERS)
    return table[table["gain_12m"] > 0].sort_values("gain_12m", ascending=False, kind="stable", ignore_index=True)


def identities(metrics: pd.DataFrame, months: pd.DataFrame, tiers: pd.DataFrame | None, groups: pd.DataFrame | None,
               period: str) -> pd.DataFrame:
    """What must be equal across pages: parts and their whole, customers from month to month, one metric wherever it stands.

    metrics : all pages' rows. months : from `summaries/months`. tiers, groups : tier_scorecard and rfm_segments, where made.
    """
    key = ["metric", "dimension", "member", "period"]
    spread = metrics.groupby(key)["value"].agg(np.ptp)
    rows = [("one metric, one value on all pages", "metrics.csv", 0, float((spread > 1e-9).sum()), 0)]
    whole = metrics[metrics["dimension"] == "all"].set_index(["metric", "period"])["value"]
    for (name, at), parts in metrics[metrics["dimension"] == "table"].groupby(["metric", "period"])["value"]:
        rows.append((f"{name}: tables add up to all", at, whole[name, at], parts.sum(), 0))
    if tiers is not None and ("mrr", period) in whole:
        rows.append(("mrr: tiers add up to all", period, whole["mrr", period], tiers["mrr"].sum(), 0.005))
    for name in ("share", "revenue_share") if groups is not None and len(groups) else ():
        rows.append((f"RFM segments: {name} adds up to 1", period, 1.0, groups[name].sum(), 1e-9))
    moving = months[months["moves"]].tail(13)
    came = moving["new"] + moving["reactivated"] + moving["resumed"] - moving["churned"] - moving["paused"]
    rows += [("customer movements add up", *row, 0)
             for row in zip(moving["period"], moving["active_start"] + came, moving["active_end"], strict=True)]
    return checks(pd.DataFrame(rows, columns=["check", "scope", "expected", "actual", "tolerance"]))


def check_counts(made: pd.DataFrame) -> pd.DataFrame:
    """One row a kind of check: how many were made, how many passed."""
    counted = made.assign(passed=made["passed"].astype(int)).groupby("check", sort=True)["passed"]
    return counted.agg(made="size", passed="sum").reset_index()


def readiness(metrics: pd.DataFrame, definitions: dict[str, dict], period: str, least: int, thin: str = "") -> pd.DataFrame:
    """One row a metric: ready, indicative or impossible this month, and why: what it needs, or its remark.

    least : fewest customers. thin : what lifetimes lack to be judged, if they lack it.
    """
    whole = metrics[(metrics["dimension"] == "all") & (metrics["period"] == period)].set_index("metric")
    rows = []
    for name, entry in definitions.items():
        row = whole.loc[name] if name in whole.index else None
        known = row is not None and (pd.notna(row["value"]) or row["method"] == ">H")
        few = known and row["n"] < least and entry["unit"] not in ("count", "money")
        short = thin if known and name.startswith(LIFETIMES) else ""
        status = "indicative" if few or short else "ready" if known else "impossible"
        why = short or f"n below {least}" if few or short else "" if known else f"no value this month; needs {entry['needs']}"
        if not known and row is not None and row["method"]:
            why = f"no value this month: {row['method']}"
        rows.append((name, status, np.nan if row is None else row["n"], why))
    return pd.DataFrame(rows, columns=["metric", "status", "n", "why"])
