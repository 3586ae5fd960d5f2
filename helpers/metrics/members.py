"""What a new customer of each plan, channel, segment and country is worth. Formulas: docs/methods.md, section 8."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy.special import ndtri

from helpers.metrics import ltv
from helpers.metrics.retention import shared_churn
from helpers.models.horizon import HorizonSum, horizon_sum
from helpers.models.intervals import Estimate, product, ratio_of_sums
from helpers.models.survival import kaplan_meier

DIMENSIONS = ("plan", "channel", "segment", "country")
ALL, ONE = ("all", "all"), Estimate(1.0, 1.0, 1.0, 1)


@dataclass(frozen=True)
class Worth:
    """LTV of a new customer, whose n are the member's customers who are there; by plan and month of life (one beyond
    the horizon, where the curve goes there) what it brings and the share still there; or why nothing is known."""

    ltv: Estimate
    revenue: np.ndarray = field(default_factory=lambda: np.zeros(0))
    curve: np.ndarray = field(default_factory=lambda: np.zeros(0))
    remark: str = ""
    mix: tuple[tuple[float, Standard], ...] = ()  # what it is made of: shares and plans, and θ and ρ
    theta: float = 1.0
    rho: float = 1.0


@dataclass(frozen=True)
class Standard:
    """What members are measured by, of the customers of a plan or of all: value a month, months lived, hazards by age."""

    key: tuple[str, str]
    value: Estimate
    lived: HorizonSum  # discounted
    curve: np.ndarray
    hazards: np.ndarray


def place(dimension: str) -> tuple[int, str]:
    """Orders dimensions: plan, channel, segment, country, then those of the params by name."""
    return (DIMENSIONS.index(dimension) if dimension in DIMENSIONS else len(DIMENSIONS)), dimension


def worth_by(tables, fits, value, *, margin: float, policy, reason: str, split=None, only="") -> dict[tuple, Worth]:
    """Worth by (dimension, member), for all members that `value` knows, or those of the dimension `only`.

    tables : `survival` and `months`. fits, value : `clv_models.sbg_by_member` and `ltv.value_a_month`. reason : why nobody's
    is known. split : from `summaries/member_ages`; its members are measured by their plans, the others by their own curve.
    """
    shared = shared_churn(tables["months"], in_month_churn=policy.in_month_churn, confidence=policy.confidence)
    plain = split is None or split.empty or reason or ALL not in value
    measured, found = {} if plain else by_plans(split, tables["survival"], fits, value, policy), {}
    for key in (key for key in value if key != ALL and only in ("", key[0])):
        n, worth = value[key].n, Worth(ltv.UNKNOWN)
        remark = reason or ("" if key in fits else f"fewer than {policy.min_events} departures")
        if n < policy.min_customers and not reason:
            remark = f"{n} customers; {policy.min_customers} are needed"
        if not remark:
            own = measured.get(key) or ([(1.0, standard(tables["survival"], key, fits, value, policy))], 1.0, ONE, 0.0)
            worth = mixed(*own, shared=shared, margin=margin, policy=policy)
            remark = worth.remark if np.isfinite(worth.ltv.value) else worth.remark or "not known what an active customer pays"
        found[key] = replace(worth, ltv=replace(worth.ltv, n=n), remark=remark)
    return found


def standard(ends: pd.DataFrame, key: tuple[str, str], fits, value, policy) -> Standard:
    table, rate = kaplan_meier(ltv.select(ends, key), policy.confidence), ltv.monthly_rate(policy.annual_discount_rate)
    lived, longer = (
        horizon_sum(table, fits.get(key), policy.horizon_months + more, rate, policy.confidence) for more in (0, 1))
    hazards = (table["events"] / table["at_risk"].clip(lower=1)).to_numpy(dtype=float)
    return Standard(key, value[key], lived, np.array(longer.curve or lived.curve), hazards)


def by_plans(split: pd.DataFrame, ends: pd.DataFrame, fits, value, policy) -> dict[tuple[str, str], tuple]:
    """Members as `mixed` takes them, by the plans of their customers: indirect standardisation (Breslow and Day 1987).

    The mix is that of the new customers of six months, of who is there where there are none. θ : the member's ends ÷ those that
    its plans' hazards would have had. ρ : its MRR ÷ what its customers who are there would pay at their plans' means. A plan
    too small for a curve and value of its own has those of all, as in the headline.
    """
    plans = {plan: ltv.own_or_all(("plan", plan), value, fits, policy.min_customers) for plan in split["plan_id"].unique()}
    standards = {key: standard(ends, key, fits, value, policy) for key in {*plans.values()}}
    names = ["dimension", "member", "plan_id"]
    hazards = pd.DataFrame({plan: pd.Series(standards[key].hazards) for plan, key in plans.items()}).fillna(0).T
    moved = split.assign(come=split["entered"] - split["events"] - split["censored"])
    at_risk = moved.pivot_table(index=names, columns="month", values="come", aggfunc="sum", fill_value=0)
    at_risk = at_risk.reindex(columns=hazards.columns, fill_value=0).cumsum(axis=1).shift(axis=1, fill_value=0)
    of_plan = at_risk.index.get_level_values("plan_id")
    sums = split.groupby(names)[["events", "there", "mrr", "mrr_squared", "new_customers"]].sum().astype(float)
    sums = sums.assign(expected=(at_risk * hazards.loc[of_plan].to_numpy()).sum(axis=1), key=of_plan.map(plans))
    a = sums["key"].map({key: of.value.value for key, of in standards.items()})
    sums = sums.assign(x=a * sums["there"], xx=a**2 * sums["there"], xy=a * sums["mrr"])
    everybody, found = ltv.select(ends, ALL)["events"].sum(), {}
    for key, part in sums.groupby(names[:2]):
        of = part.drop(columns="key").sum()
        if of["expected"] and of["events"] and of["x"]:
            rho = ratio_of_sums(of["there"], of["mrr"], of["x"], of["mrr_squared"], of["xy"], of["xx"], policy.confidence)
            alone = np.sqrt(max(0.0, 1 - of["there"] / value[ALL].n))  # it is a part of what it is measured by
            rho = Estimate(rho.value, *(rho.value + alone * (bound - rho.value) for bound in (rho.low, rho.high)), rho.n)
            error = ndtri(0.5 + policy.confidence / 2) * np.sqrt(max(0.0, 1 / of["events"] - 1 / everybody))
            people = part.groupby("key")["new_customers" if of["new_customers"] else "there"].sum()
            mix = [(w, standards[name]) for name, w in (people[people > 0] / people.sum()).items()]
            found[key] = mix, of["events"] / of["expected"], rho, error
    return found


def mixed(mix: list[tuple[float, Standard]], theta: float, rho: Estimate, error: float, *, shared: float, margin, policy):
    """Worth of a mix of plans, g·ρ·Σ_p w_p·a_p·Σ_t S_p(t)/(1+d)^t, with the hazards of S_p times θ.

    error, shared : half intervals of all hazards, on the log scale, by chance and by what the months share.
    """
    months, horizon = min(len(of.curve) for _, of in mix), policy.horizon_months
    if months < horizon:
        return Worth(ltv.UNKNOWN, remark="too few customers or departures to go beyond the ages seen")
    factors = (1 + ltv.monthly_rate(policy.annual_discount_rate)) ** -np.arange(horizon, dtype=float)
    terms, fall, curves = [], 0.0, []
    for w, of in mix:
        before, after = of.curve[: months - 1], of.curve[1:months]
        stay = np.divide(after, before, out=np.ones(months - 1), where=before > 0)
        stay = np.maximum(1 - theta * (1 - stay), 0)
        path = np.append(1.0, stay.cumprod())
        worth, odds = path[:horizon] * factors, np.divide(1 - stay, stay, out=np.zeros(months - 1), where=stay > 0)
        terms.append((w, product([of.value, ltv.scale(of.lived, worth.sum() / of.lived.value)])))
        fall += w * of.value.value * float(odds[: horizon - 1] @ worth[::-1].cumsum()[::-1][1:])
        curves.append(w * path)
    total = ltv.shaken(ltv.add(terms), np.hypot(error, shared) * fall)
    curve, prices = np.array(curves), rho.value * np.array([[of.value.value] for _, of in mix])
    return Worth(ltv.scale(product([total, rho]), margin), prices * curve, curve, mix=tuple(mix), theta=theta, rho=rho.value)


def member_terms(found: dict[tuple[str, str], Worth], below: int) -> pd.DataFrame:
    """Table member_terms: a row a member and the plan (or its own) curve of ltv_curve that its LTV is made of: w_p, θ, ρ.

    found : `worth_by`. A member of fewer than `below` customers shows none, as it shows no LTV.
    """
    ordered = sorted(found.items(), key=lambda one: (place(one[0][0]), one[0][1]))
    rows = [(*key, *plan.key, w, of.theta, of.rho) for key, of in ordered if of.ltv.n >= below for w, plan in of.mix]
    return pd.DataFrame(rows, columns="dimension member curve_dimension curve_member weight theta rho".split())
