"""How the fitted models sit on the data that they were fitted to. Formulas and sources: docs/methods.md, section 6."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import ndtri

from helpers.metrics.clv_models import REGULAR, sbg_of
from helpers.metrics.ltv import select
from helpers.models.bgnbd import BgNbd
from helpers.models.survival import kaplan_meier

AGES = [1, 3, 6, 12, 24, 36]
MANY = 7  # repeat days, or more, in one row


def frequencies(purchases: pd.DataFrame, models: pd.DataFrame) -> pd.DataFrame:
    """Customers by repeat days, 0 … 6 and 7+, as counted and as BG/NBD expects of as long a time.

    purchases : a row per (x, last_days, observed_days) with `customers`. models : clv_models, with a bg_nbd.
    """
    starts = purchases.groupby("observed_days")["customers"].sum()
    chances = purchase_model(models).probability(np.arange(MANY)[:, None], starts.index.to_numpy(float) / 7)
    actual = np.bincount(purchases["x"].clip(upper=MANY), purchases["customers"], MANY + 1).astype(int)
    days, expected = [*map(str, range(MANY)), f"{MANY}+"], chances @ starts.to_numpy(float)
    return pd.DataFrame({"repeat_days": days, "actual": actual, "expected": [*expected, starts.sum() - expected.sum()]})


def tracking(purchases: pd.DataFrame, by_month: pd.DataFrame, models: pd.DataFrame) -> pd.DataFrame:
    """Repeat days so far at the last 13 month ends, as counted and as BG/NBD expects from each customer's first day on.

    by_month : `period`, `repeats` and `days_left` to as_of, from the first month on. deviation = expected ÷ actual − 1.
    """
    starts = purchases.groupby("observed_days")["customers"].sum()
    table = by_month.assign(actual=by_month["repeats"].cumsum()).tail(13).reset_index(drop=True)
    days = starts.index.to_numpy(float) - table["days_left"].to_numpy(float)[:, None]  # below 0: not a customer yet
    table["expected"] = purchase_model(models).expected_new(np.maximum(days, 0) / 7) @ starts.to_numpy(float)
    table["deviation"] = table["expected"] / table["actual"].where(table["actual"] > 0) - 1
    return table[["period", "actual", "expected", "deviation"]]


def purchase_model(models: pd.DataFrame) -> BgNbd:
    theta = models[models["model"] == "bg_nbd"].set_index("parameter")["value"]
    return BgNbd(*theta[["r", "alpha", "a", "b"]])


def purchase_checks(spend: pd.DataFrame, regularity: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """What BG/NBD and Gamma-Gamma suppose of a book, measured: spend apart from frequency, and gaps that vary.

    spend : a row per (x, total) of repeat days with `customers`. regularity : `customers`, `median_cv`.
    Pearson's r of x and total ÷ x over customers, Fisher's z; NaN for fewer than 4 customers, or where all are alike.
    """
    x, n = spend["x"].to_numpy(float), spend["customers"].to_numpy(int)
    mean, size, r, half = spend["total"].to_numpy(float) / x, int(n.sum()), np.nan, np.nan
    if size > 3 and len(np.unique(x)) > 1 and len(np.unique(mean)) > 1:
        (xx, xy), (_, yy) = np.cov(x, mean, fweights=n)
        r, half = np.clip(xy / np.sqrt(xx * yy), -1, 1), ndtri(0.5 + confidence / 2) / np.sqrt(size - 3)
    with np.errstate(divide="ignore"):  # at r = 1 both bounds are 1
        low, high = np.tanh(np.arctanh(r) - half), np.tanh(np.arctanh(r) + half)
    told = "too few to say" if np.isnan(r) else "no sign that spend goes with frequency" if low <= 0 <= high else \
        f"who buys more often spends {'more' if r > 0 else 'less'} a time, which Gamma-Gamma does not know"
    gaps, spread = regularity["customers"].iloc[0], regularity["median_cv"].iloc[0]
    ruled = "too regular" if spread < REGULAR else "not too regular" if spread > 0 else "nobody has two gaps"
    return pd.DataFrame([
        ("correlation of repeat days and spend a time", r, low, high, size, told),
        ("median variation of gaps between purchases", spread, np.nan, np.nan, gaps, f"{ruled}; no model below {REGULAR}"),
    ], columns=["check", "value", "low", "high", "n", "reading"])


def curve_fit(ends: pd.DataFrame, models: pd.DataFrame, *, confidence: float, least: int = 10) -> pd.DataFrame:
    """S as seen (Kaplan–Meier, with its band) and as fitted (sBG), at AGES where `least` are at risk, of all and by plan.

    ends : as in `survival.risk_set`, with `dimension` and `member`. models : clv_models. difference = fitted − seen.
    """
    parts = [pd.DataFrame(columns=["dimension", "member", "month", "at_risk", "survival", "low", "high", "sbg"])]
    for key, fit in models[models["model"] == "sbg"].groupby(["dimension", "member"], sort=True):
        seen = kaplan_meier(select(ends, key), confidence).query("month in @AGES and at_risk >= @least")
        model, named = sbg_of(fit.set_index("parameter")["value"]), {"dimension": key[0], "member": key[1]}
        parts.append(seen.assign(**named, sbg=model.survival(seen["month"])))
    table = pd.concat(parts[1:] or parts, ignore_index=True)[[*parts[0]]]
    table = table[table["dimension"] != "segment"].assign(difference=table["sbg"] - table["survival"])
    return table.rename(columns={"month": "age_months", "survival": "seen", "sbg": "fitted"})


def drawn(curves: pd.DataFrame) -> pd.DataFrame:
    """What to draw of `curve_fit` for all together: a row per age and `curve`, the interval with what was seen."""
    whole = curves[curves["dimension"] == "all"]
    seen = whole[["age_months", "low", "high"]].assign(curve="seen", share=whole["seen"])
    return pd.concat([seen, whole[["age_months"]].assign(curve="sBG", share=whole["fitted"])], ignore_index=True)
