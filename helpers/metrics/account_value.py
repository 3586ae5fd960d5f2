"""What each account is worth, and how much hangs on few of them. Formulas: docs/methods.md."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.metrics import checks, ltv
from helpers.metrics.clv_models import WEEKS_A_MONTH, sbg_of, weeks
from helpers.models import bgnbd, gamma_gamma
from helpers.models.horizon import months_ahead, months_within
from helpers.models.renewals import Renewals
from helpers.models.survival import kaplan_meier

NO_BOUNDS = {"worth": 0.0, "low": 0.0, "high": 0.0}
NO_MONTHS = pd.DataFrame({"dimension": "", "member": "", "term": 0, "age": 0} | NO_BOUNDS, index=[]).astype(
    {"term": int, "age": int} | dict.fromkeys(NO_BOUNDS, float))
NO_PURCHASES = pd.DataFrame(columns=["x", "last_days", "observed_days"], dtype=int).assign(**NO_BOUNDS, worth_of_spend=0.0)
DRAWS = 2000  # an account's bounds are then right to about half a point of chance
STEP = 0.05  # alpha + T within 2.5 % share their draws: a book has many T, and a single account's fate is far less sure


def estimates(tables: dict[str, pd.DataFrame], result, *, policy, subscriptions: bool, seed: int) -> dict[str, pd.DataFrame]:
    """The small frames that marts/account_value joins: `account_terms` (one row), `months_ahead` and `purchases_ahead`.

    tables, result : of `ltv_cac.analyse`. Accounts are predicted where the headline LTV is known, on what it rests on.
    `low` and `high` are the bounds of one account, as multiples of what is predicted of it; seed : of sales' draws.
    """
    margin, headline = result.margin, result.metrics.set_index("metric").loc["ltv"]
    fits = {key: part.set_index("parameter")["value"] for key, part in result.models.groupby(["model", "dimension", "member"])}
    reason = headline["method"] if pd.isna(headline["value"]) else ""
    if not reason and subscriptions and ("sbg", "all", "all") not in fits:
        reason = "not_estimable: too few departures to go beyond the ages seen"
    method = reason or ("MRR × survival of the plan at the start" if subscriptions else "BG/NBD × Gamma-Gamma")
    year = ltv.year_of_costs(tables["costs"])
    support = float(year["support"].sum() / year["revenue"].sum()) if len(year) else 0.0
    terms = {"margin": margin.value, "support": support, "basis": margin.basis, "method": method, "known": not reason}
    how = {"margin": margin.value, "horizon": policy.horizon_months, "rate": ltv.monthly_rate(policy.annual_discount_rate),
           "confidence": policy.confidence}
    frames = {"account_terms": pd.DataFrame([terms]), "months_ahead": NO_MONTHS, "purchases_ahead": NO_PURCHASES}
    if reason:
        return frames
    if subscriptions:
        return frames | {"months_ahead": month_factors(tables, fits, policy.min_customers, **how)}
    how["margin"] *= result.kept_of_sales  # models know sales alone
    return frames | {"purchases_ahead": purchase_factors(tables["purchases"], fits, seed=seed, **how)}


def month_factors(tables, fits, least: int, *, margin: float, horizon: int, rate: float, confidence: float) -> pd.DataFrame:
    """`dimension, member, term, age, worth, low, high`: what a unit of MRR brings, by plan and months from bill to bill at the
    start, and age in whole months.

    A plan with fewer than `least` paying customers, or without an sBG, goes with the curve of all of its term, as in the LTV;
    a term in which nobody was watched with that of all, whose term is 0.
    """
    sums, ends, ages = tables["customer_value"], tables["survival"], np.arange(len(tables["months"]) + 1)
    many = sums.loc[(sums["dimension"] == "plan") & (sums["customers"] >= least), "member"]
    parts = []
    for key in [("all", "all"), *(("plan", plan) for plan in many if ("sbg", "plan", plan) in fits)]:
        own, model = ltv.select(ends, key), sbg_of(fits["sbg", *key])
        for term, part in [*own.groupby("term"), *([(0, own)] if key[0] == "all" else [])]:
            model_of = model.only(term) if term and isinstance(model, Renewals) else model
            along = kaplan_meier(part), model_of, ages[-1], horizon, rate
            months = months_ahead(*along)
            low, high = months_within(*along, confidence) / np.where(months > 0, months, np.inf)
            parts.append(pd.DataFrame({"dimension": key[0], "member": key[1], "term": term, "age": ages,
                                       "worth": margin * months, "low": low, "high": high}))
    return pd.concat(parts, ignore_index=True)


def purchase_factors(counts: pd.DataFrame, fits, *, margin: float, horizon: int, rate: float, confidence: float,
                     seed: int) -> pd.DataFrame:
    """What purchases to come will bring, by `x, last_days, observed_days`: `worth` and, for each unit spent on the x repeat
    days, `worth_of_spend` more, for E[M | x, m] is a line in x·m; so are its bounds, of which `low` and `high` are the
    part. counts : from `summaries/purchases`.
    """
    model = bgnbd.BgNbd(*fits["bg_nbd", "all", "all"][["r", "alpha", "a", "b"]])
    money = gamma_gamma.GammaGamma(*fits["gamma_gamma", "all", "all"][["p", "q", "v"]])
    (x, t_x, T, _), factors = weeks(counts), (1 + rate) ** -(np.arange(1, horizon + 1) - 0.5)
    alike, which = bgnbd.pairs(x, T)
    ahead = model.ahead(np.arange(horizon + 1)[:, None] * WEEKS_A_MONTH, *alike)
    number = model.alive(x, t_x, T) * (np.diff(ahead, axis=0).T @ factors)[which]
    each = number * money.p / (money.p * x + money.q - 1)
    low, high = purchase_bounds(model, money, x, t_x, T, horizon=horizon, rate=rate, confidence=confidence, seed=seed) / each
    bounds = {"worth": each * margin * money.v, "worth_of_spend": each * margin, "low": low, "high": high}
    return counts[["x", "last_days", "observed_days"]].assign(**bounds)


def purchase_bounds(model, money, x, t_x, T, *, horizon: int, rate: float, confidence: float, seed: int) -> np.ndarray:
    """Bounds of what one customer's purchases of the horizon bring, discounted, in units of v + x·m: 2 × rows.

    Drawn from what the models say of a customer: its rate, its chance to drop out, its purchases and what it spends, which
    is a gamma variable over another one, times v + x·m. All purchases of a draw are discounted from their mean moment.
    """
    alive, step = model.alive(x, t_x, T), np.round(np.log(model.alpha + T) / STEP)
    places = 1 - (0.5 + np.array([[confidence], [-confidence]]) / 2) / np.maximum(alive, 1e-9)  # among those still alive
    bounds = np.zeros(places.shape)
    for count in np.unique(x):
        rng, rows = np.random.default_rng([seed, int(count)]), np.flatnonzero(x == count)
        steps, which = np.unique(step[rows], return_inverse=True)
        drop, speed = rng.beta(model.a, model.b + count, DRAWS), rng.standard_gamma(model.r + count, DRAWS)
        with np.errstate(divide="ignore"):
            stays = np.maximum(np.ceil(rng.standard_exponential(DRAWS) / -np.log1p(-drop)), 1)  # purchases till it drops out
        price = rng.standard_gamma(money.p * count + money.q, DRAWS)
        chances = rng.poisson(speed * (horizon * WEEKS_A_MONTH) / np.exp(STEP * steps)[:, None])
        bought = np.minimum(chances, stays)
        moment = horizon * (bought + 1) / (2 * (chances + 1))  # the mean of the first so many of the chances, in months
        brought = np.sort(rng.standard_gamma(money.p * bought) / price * (1 + rate) ** -moment, axis=1)
        at = np.ceil(places[:, rows] * DRAWS).clip(1, DRAWS).astype(int) - 1
        bounds[:, rows] = np.where(places[:, rows] > 0, brought[which, at], 0)
    return bounds


def account_checks(accounts: pd.DataFrame, frames: dict[str, pd.DataFrame], months: pd.DataFrame, ahead: pd.DataFrame, *,
                   given: set[str]) -> pd.DataFrame:
    """What the accounts add up to, expected without them: revenue so far × margin, and what is ahead × what it is worth.

    frames : of `estimates`. months, ahead : from `summaries/months` and `summaries/accounts_ahead`.
    """
    terms, worth, sums = frames["account_terms"].iloc[0], frames["months_ahead"], accounts[["historic", "predicted"]].sum()
    revenue = months["revenue_known" if "transactions" in given else "mrr_end"].sum()
    rows = [("accounts: historic = revenue of known customers × margin", terms["margin"] * revenue, sums["historic"])]
    if terms["known"]:
        if "subscriptions" in given:
            def worth_of(dimension, member, term):
                keys = {"dimension": dimension, "member": member, "term": term, "age": ahead["age"]}
                return pd.DataFrame(keys).merge(worth, how="left", on=[*keys], validate="m:1")["worth"]

            own, whole = worth_of("plan", ahead["plan_id"], ahead["term"]), worth_of("all", "all", ahead["term"])
            expected = ahead["amount"] * own.fillna(whole).fillna(worth_of("all", "all", 0))
        else:
            found = ahead.merge(frames["purchases_ahead"], how="left", on=["x", "last_days", "observed_days"], validate="1:1")
            expected = found["customers"] * found["worth"] + found["amount"] * found["worth_of_spend"]
        what = "MRR by plan, term and age" if "subscriptions" in given else "customers and spend by purchases"
        rows.append((f"accounts: predicted = {what} × worth", expected.sum(skipna=False), sums["predicted"]))
    return checks(pd.DataFrame(rows, columns=["check", "expected", "actual"]).assign(scope="all", tolerance=0.005))
