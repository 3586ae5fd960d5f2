"""The probability models of the book: fitted, bounded by resampled customers, and tried on a holdout."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit, ndtri

from helpers.contracts import ReportError
from helpers.models import bgnbd, gamma_gamma, renewals, sbg
from helpers.models.intervals import Estimate
from helpers.models.survival import risk_set

WEEKS_A_MONTH = 365.25 / 84
MODELS = "model dimension member parameter value low high unit log_likelihood customers".split()
HOLDOUT = "model dimension member horizon_weeks predicted low high actual".split()
REGULAR = 0.5  # median coefficient of variation of the gaps below which purchases are too regular for a Poisson process


@dataclass(frozen=True)
class PurchaseModel:
    """BG/NBD with Gamma-Gamma of a book: fits, their resampled refits (draws × parameters), and the counts fitted to."""

    purchases: bgnbd.BgNbd
    spend: gamma_gamma.GammaGamma
    purchase_refits: np.ndarray
    spend_refits: np.ndarray


def kept_of_sales(regularity: pd.DataFrame) -> float:
    """What refunds leave of a unit of sales, over all that was bought; NaN without sales. regularity : its summary."""
    net, gross = (float(regularity[name].iloc[0]) for name in ("bought_net", "bought_gross"))
    return net / gross if gross > 0 else np.nan


def refusal(purchases: pd.DataFrame, spend: pd.DataFrame, regularity: pd.DataFrame, min_customers: int) -> str:
    """Why no purchase model is fitted; empty where one is."""
    customers = int(purchases["customers"].sum())
    if not customers:
        return "no sales that a customer chose to make: transactions need item_type where subscriptions are given"
    repeaters = int(spend["customers"].sum())
    if repeaters < min_customers:
        return f"{repeaters} customers have bought again; {min_customers} are needed"
    if not kept_of_sales(regularity) > 0:
        return "refunds took all that was sold"
    spread = regularity["median_cv"].iloc[0]
    if pd.notna(spread) and spread < REGULAR:
        return f"purchases are too regular (median coefficient of variation of the gaps {spread:.2f}, below {REGULAR})"
    return ""


def weeks(table: pd.DataFrame) -> tuple[np.ndarray, ...]:
    """x, t_x and T in weeks, and the customers who share them."""
    days = table["last_days"].to_numpy(dtype=float), table["observed_days"].to_numpy(dtype=float)
    return table["x"].to_numpy(dtype=float), days[0] / 7, days[1] / 7, table["customers"].to_numpy(dtype=float)


def fit_purchases(purchases: pd.DataFrame, spend: pd.DataFrame, *, draws: int, seed: int) -> PurchaseModel:
    """Fit both models to counts.

    purchases : a row per (x, last_days, observed_days) with `customers`. spend : a row per (x, total), repeat days only.
    draws : how many times customers are resampled for the intervals.
    """
    counts = weeks(purchases)
    model = bgnbd.fit(*counts)
    x, weights = spend["x"].to_numpy(dtype=float), spend["customers"].to_numpy(dtype=float)
    mean = spend["total"].to_numpy(dtype=float) / x
    money = gamma_gamma.fit(x, mean, weights)
    return PurchaseModel(
        model,
        money,
        bgnbd.bootstrap(model, *counts, draws=draws, seed=seed),
        gamma_gamma.bootstrap(money, x, mean, weights, draws=draws, seed=seed + 1),
    )


def new_customer_value(model: PurchaseModel, *, margin: float, horizon: int, rate: float, confidence: float) -> Estimate:
    """Margin of a new customer over `horizon` months, the first purchase included, later ones discounted mid-month.

    E[M]·g·(1 + Σ_t (E[X(wt)] − E[X(w(t−1))]) ÷ (1+d)^(t−½)); percentiles over customers resampled and refitted.
    """
    factors = margin * (1 + rate) ** -np.maximum(np.arange(horizon + 1) - 0.5, 0)
    refits = [
        revenue_by_month(bgnbd.BgNbd(*p), gamma_gamma.GammaGamma(*s), horizon) @ factors
        for p, s in zip(model.purchase_refits, model.spend_refits, strict=True)
    ]
    low, high = np.quantile(np.nan_to_num(refits, nan=np.inf), [(1 - confidence) / 2, (1 + confidence) / 2], method="nearest")
    high = high if np.isfinite(high) else np.nan  # too many refits have no finite mean purchase
    value = revenue_by_month(model.purchases, model.spend, horizon) @ factors
    return Estimate(float(value), float(low), float(high), model.purchases.customers)


def revenue_by_month(purchases: bgnbd.BgNbd, spend: gamma_gamma.GammaGamma, horizon: int) -> np.ndarray:
    """What a new customer is expected to spend: the first purchase, then month by month to `horizon`."""
    bought = purchases.expected_new(np.arange(horizon + 1) * WEEKS_A_MONTH)
    return spend.mean * np.append(1.0, np.diff(bought))


def parameters(model: PurchaseModel, confidence: float, currency: str) -> pd.DataFrame:
    """clv_models rows of BG/NBD (time in weeks) and Gamma-Gamma (repeat days only)."""
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    rows = []
    for name, fitted, refits, units in (
        ("bg_nbd", model.purchases, model.purchase_refits, {"r": "", "alpha": "weeks", "a": "", "b": ""}),
        ("gamma_gamma", model.spend, model.spend_refits, {"p": "", "q": "", "v": currency}),
    ):
        bounds = np.nanquantile(refits, tails, axis=0)
        rows += [
            (name, "all", "all", key, getattr(fitted, key), *bounds[:, i], unit, fitted.log_likelihood, fitted.customers)
            for i, (key, unit) in enumerate(units.items())
        ]
    return pd.DataFrame(rows, columns=MODELS)


def sbg_by_member(ends: pd.DataFrame, *, min_events: int) -> dict[tuple[str, str], renewals.Curve]:
    """sBG, of months or of renewals, of every dimension and member with enough departures.

    The others, and who all left at once, are left out.
    """
    fits = {}
    for key, part in ends.groupby(["dimension", "member"], sort=True):
        if part["events"].sum() >= min_events:
            with suppress(ValueError):  # nobody renewed: no parameters fit, which is no fault of the run
                fits[key] = renewals.fit(part)
    return fits


def sbg_parameters(fits: dict[tuple[str, str], renewals.Curve], confidence: float) -> pd.DataFrame:
    """clv_models rows of the sBG fits; bounds from the covariance of the log parameters.

    Of renewals each term, of 12 months say, has `share_12`, `within_12` where anybody left between two bills, and either
    `alpha_12, beta_12` or, where one chance fits all renewals, `chance_12`: see `sbg_of`.
    """
    z, rows = ndtri(0.5 + confidence / 2), []
    for key, fit in fits.items():
        known = sbg_values(fit, z) if isinstance(fit, sbg.Sbg) else [row for of in fit.terms for row in term_values(of, z)]
        rows += [("sbg", *key, *row, "", fit.log_likelihood, fit.customers) for row in known]
    return pd.DataFrame(rows, columns=MODELS)


def sbg_values(of: sbg.Sbg, z: float, suffix: str = "") -> list[tuple]:
    """Names, values and bounds of its parameters, bounds z standard deviations away; of `renewals.even` the one chance."""
    spread = np.full(2, np.nan) if of.covariance is None else np.sqrt(np.diag(of.covariance))
    if spread[1] == 0:
        return [(f"chance{suffix}", of.hazard(1), *expit(logit(of.hazard(1)) + z * spread[0] * np.array([-1, 1])))]
    both = zip(("alpha", "beta"), (of.alpha, of.beta), z * spread, strict=True)
    return [(f"{name}{suffix}", value, value * np.exp(-half), value * np.exp(half)) for name, value, half in both]


def term_values(of: renewals.Term, z: float) -> list[tuple]:
    """As `sbg_values`; `within` where anybody left between two bills."""
    half = z * np.sqrt(of.within_variance)
    between = (f"within_{of.months}", of.within, of.within * np.exp(-half), of.within * np.exp(half))
    share = (f"share_{of.months}", of.share, np.nan, np.nan)
    late = (f"late_{of.months}", of.late, np.nan, np.nan)
    return [share, *sbg_values(of.renewal, z, f"_{of.months}"), *([between] if of.within else []), *([late] if of.late else [])]


def sbg_of(value: pd.Series) -> renewals.Curve:
    """The model that parameters of `sbg_parameters`, by name, tell of."""
    def term(months: str) -> renewals.Term:
        chance, both = value.get(f"chance_{months}"), [value.get(f"{name}_{months}") for name in ("alpha", "beta")]
        renewal = renewals.even(chance) if chance is not None else sbg.Sbg(*both)
        within, late = (value.get(f"{name}_{months}", 0.0) for name in ("within", "late"))
        return renewals.Term(int(months), value[f"share_{months}"], renewal, within, late=late)

    if "alpha" in value:
        return sbg.Sbg(value["alpha"], value["beta"])
    return renewals.Renewals(tuple(term(name.removeprefix("share_")) for name in value.index if name.startswith("share_")))


def purchase_holdout(counts: pd.DataFrame, *, draws: int, seed: int, confidence: float) -> pd.DataFrame:
    """clv_holdout rows: purchases of the held-out weeks as BG/NBD and as the naive rate x/T would have had them."""
    if counts.empty:
        raise ReportError("no customer had bought before the held-out weeks began")
    x, t_x, observed, customers = weeks(counts)
    horizon, actual = int(counts["weeks"].iloc[0]), float(counts["later"].sum())
    model = bgnbd.fit(x, t_x, observed, customers)
    refits = bgnbd.bootstrap(model, x, t_x, observed, customers, draws=draws, seed=seed)
    total = bgnbd.predict_total(model, refits, x, t_x, observed, customers, horizon, confidence, seed)
    naive = float((customers * np.divide(x, observed, out=np.zeros_like(x), where=observed > 0)).sum() * horizon)
    rows = [
        ("bg_nbd", "all", "all", horizon, total.value, total.low, total.high, actual),
        ("naive_rate", "all", "all", horizon, naive, np.nan, np.nan, actual),
    ]
    return pd.DataFrame(rows, columns=HOLDOUT)


def departure_holdout(counts: pd.DataFrame, *, draws: int, seed: int, confidence: float) -> pd.DataFrame:
    """clv_holdout rows: customers who left in the held-out months, as sBG and as one constant rate would have had them.

    counts : a row per (month, ended, entered, term) with `customers`, `left` and `months` held out, from
    `summaries/survival_holdout`. The interval adds the binomial noise of who leaves to the parameters' uncertainty.
    """
    if counts.empty or not (events := counts.loc[counts["ended"], "customers"].sum()):
        raise ReportError("no customer had left before the holdout began")
    people, ended = counts["customers"], counts["ended"]
    gone = pd.DataFrame({"month": counts["month"], "events": people.where(ended, 0), "censored": people.where(~ended, 0)})
    ends = pd.concat([gone, pd.DataFrame({"month": counts["entered"], "entered": people})]).fillna(0).astype(int)
    ends = ends.assign(term=np.tile(counts["term"], 2))
    fit, ahead = renewals.fit(ends), int(counts["months"].iloc[0])
    alive = counts[~counts["ended"]].groupby(["term", "month"])[["customers", "left"]].sum()
    n, rng, stay, slopes = alive["customers"].to_numpy(), np.random.default_rng(seed), [], []
    for term, month in alive.index:  # log of the chance to stay, and its slopes by the parameters
        of, ages = fit if isinstance(fit, sbg.Sbg) else fit.only(term), month + np.arange(1, ahead + 1)
        stay.append(np.log1p(-of.hazard(ages)).sum())
        slopes.append(of.slopes(ages).sum(axis=1))
    stay, slopes, low, high = np.array(stay), np.array(slopes), np.nan, np.nan
    if fit.covariance is not None:
        errors = rng.multivariate_normal(np.zeros(slopes.shape[1]), fit.covariance, size=draws) @ slopes.T
        totals = rng.binomial(n, -np.expm1(np.minimum(0, stay + errors))).sum(axis=1)
        low, high = np.quantile(totals, [(1 - confidence) / 2, (1 + confidence) / 2])
    predicted = float(-n @ np.expm1(stay))
    exposure = risk_set(ends)["at_risk"].iloc[1:].sum()  # nobody can leave at month 0
    naive = float(n.sum() * (1 - (1 - events / exposure) ** ahead))
    weeks_ahead, actual = ahead * WEEKS_A_MONTH, float(alive["left"].sum())
    rows = [
        ("sbg", "all", "all", weeks_ahead, predicted, low, high, actual),
        ("constant_rate", "all", "all", weeks_ahead, naive, np.nan, np.nan, actual),
    ]
    return pd.DataFrame(rows, columns=HOLDOUT)
