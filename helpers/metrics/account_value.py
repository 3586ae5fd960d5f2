"""What each account is worth, and how much hangs on few of them. Formulas: docs/methods.md."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.metrics import checks, ltv
from helpers.metrics.clv_models import WEEKS_A_MONTH, weeks
from helpers.models import bgnbd, gamma_gamma, sbg
from helpers.models.horizon import months_ahead
from helpers.models.survival import kaplan_meier

NO_MONTHS = pd.DataFrame({"dimension": "", "member": "", "age": 0, "worth": 0.0}, index=[]).astype({"age": int, "worth": float})
NO_PURCHASES = pd.DataFrame(columns=["x", "last_days", "observed_days"], dtype=int).assign(worth=0.0, worth_of_spend=0.0)


def estimates(tables: dict[str, pd.DataFrame], result, *, policy, subscriptions: bool) -> dict[str, pd.DataFrame]:
    """The small frames that marts/account_value joins: `account_terms` (one row), `months_ahead` and `purchases_ahead`.

    tables, result : of `ltv_cac.analyse`. Accounts are predicted where the headline LTV is known, on what it rests on.
    """
    margin, headline = result.margin, result.metrics.set_index("metric").loc["ltv"]
    fits = {key: part.set_index("parameter")["value"] for key, part in result.models.groupby(["model", "dimension", "member"])}
    reason = headline["method"] if pd.isna(headline["value"]) else ""
    if not reason and subscriptions and ("sbg", "all", "all") not in fits:
        reason = "not_estimable: too few departures to go beyond the ages seen"
    method = reason or ("MRR × survival of the plan at the start" if subscriptions else "BG/NBD × Gamma-Gamma")
    terms = {"margin": margin.value, "basis": margin.basis, "method": method, "known": not reason}
    how = {"margin": margin.value, "horizon": policy.horizon_months, "rate": ltv.monthly_rate(policy.annual_discount_rate)}
    frames = {"account_terms": pd.DataFrame([terms]), "months_ahead": NO_MONTHS, "purchases_ahead": NO_PURCHASES}
    if reason:
        return frames
    if subscriptions:
        return frames | {"months_ahead": month_factors(tables, fits, policy.min_customers, **how)}
    how["margin"] *= result.kept_of_sales  # models know sales alone
    return frames | {"purchases_ahead": purchase_factors(tables["purchases"], fits, **how)}


def month_factors(tables, fits, least: int, *, margin: float, horizon: int, rate: float) -> pd.DataFrame:
    """`dimension, member, age, worth`: what a unit of MRR will bring, by plan at the start and age in completed months.

    A plan with fewer than `least` paying customers, or without an sBG, goes with the curve of all, as in the LTV.
    """
    sums, ends, ages = tables["customer_value"], tables["survival"], np.arange(len(tables["months"]) + 1)
    many = sums.loc[(sums["dimension"] == "plan") & (sums["customers"] >= least), "member"]
    parts = []
    for key in [("all", "all"), *(("plan", plan) for plan in many if ("sbg", "plan", plan) in fits)]:
        model = sbg.Sbg(*fits["sbg", *key][["alpha", "beta"]])
        worth = margin * months_ahead(kaplan_meier(ltv.select(ends, key)), model, ages[-1], horizon, rate)
        parts.append(pd.DataFrame({"dimension": key[0], "member": key[1], "age": ages, "worth": worth}))
    return pd.concat(parts, ignore_index=True)


def purchase_factors(counts: pd.DataFrame, fits, *, margin: float, horizon: int, rate: float) -> pd.DataFrame:
    """What purchases to come will bring, by `x, last_days, observed_days`: `worth` and, for each unit spent on the x repeat
    days, `worth_of_spend` more, for E[M | x, m] is a line in x·m. counts : from `summaries/purchases`.
    """
    model = bgnbd.BgNbd(*fits["bg_nbd", "all", "all"][["r", "alpha", "a", "b"]])
    money = gamma_gamma.GammaGamma(*fits["gamma_gamma", "all", "all"][["p", "q", "v"]])
    (x, t_x, T, _), factors = weeks(counts), (1 + rate) ** -(np.arange(1, horizon + 1) - 0.5)
    alike, which = np.unique([x, T], axis=1, return_inverse=True)  # who is alive buys by x and T alone: few pairs
    ages = np.arange(horizon + 1)[:, None] * WEEKS_A_MONTH
    alive = model.expected(ages, alike[0], alike[1], alike[1]) / model.alive(alike[0], alike[1], alike[1])
    number = model.alive(x, t_x, T) * (np.diff(alive, axis=0).T @ factors)[which]
    mean = number * margin * money.p / (money.p * x + money.q - 1)
    return counts[["x", "last_days", "observed_days"]].assign(worth=mean * money.v, worth_of_spend=mean)


def account_checks(accounts: pd.DataFrame, terms: pd.DataFrame, tables, *, given: set[str]) -> pd.DataFrame:
    """What the accounts add up to: revenue so far × margin, and customers × mean, both counted without the accounts."""
    months, sums = tables["months"], accounts[["historic", "predicted", "predicted_for"]].sum()
    revenue = months["revenue_known" if "transactions" in given else "mrr_end"].sum()
    people = months["active_end"].iloc[-1] if "subscriptions" in given else tables["purchases"]["customers"].sum()
    rows = [("accounts: historic = revenue of known customers × margin", terms["margin"].iloc[0] * revenue, sums["historic"])]
    if terms["known"].iloc[0]:
        expected = people * sums["predicted"] / sums["predicted_for"]
        rows.append(("accounts: predicted = customers × mean", expected, sums["predicted"]))
    return checks(pd.DataFrame(rows, columns=["check", "expected", "actual"]).assign(scope="all", tolerance=0.005))
