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
ALL = "all", "all"


@dataclass(frozen=True)
class Worth:
    """LTV of a new customer, whose n are the active customers of the member, or why it is not known.

    revenue, curve : in each month of life, what a customer brings and the share still there; a month beyond the horizon
    where the curve goes there.
    """

    ltv: Estimate
    revenue: np.ndarray = field(default_factory=lambda: np.zeros(0))
    curve: np.ndarray = field(default_factory=lambda: np.zeros(0))
    remark: str = ""


@dataclass(frozen=True)
class Standard:
    """What members are measured by, of the customers of a plan or of all: value a month, months lived, hazards by age."""

    value: Estimate
    lived: HorizonSum  # discounted
    curve: np.ndarray
    hazards: np.ndarray


def worth_by(
    tables, fits, value, dimensions, *, margin: float, policy, reason: str, split=None
) -> dict[tuple[str, str], Worth]:
    """Worth by dimension and member, for all members that `value` knows.

    tables : `survival` and `months`. fits, value : `clv_models.sbg_by_member` and `ltv.value_a_month`. reason : why nobody's
    is known. split : from `summaries/member_ages`; its members are measured by their plans, the others by their own curve.
    """
    shared = shared_churn(tables["months"], in_month_churn=policy.in_month_churn, confidence=policy.confidence)
    measured = {} if split is None or split.empty or reason or ALL not in value else by_plans(
        split, tables["survival"], fits, value, margin=margin, policy=policy, shared=shared)
    found = {}
    for key in sorted(key for key in value if key[0] in dimensions):
        n = value[key].n
        remark = reason or (f"{n} active customers; {policy.min_customers} are needed" if n < policy.min_customers else
                            "" if key in fits else f"fewer than {policy.min_events} departures")
        worth = Worth(ltv.UNKNOWN, remark=remark)
        if not remark:
            worth = measured[key] if key in measured else of_own(
                ltv.select(tables["survival"], key), fits[key], value[key], margin=margin, policy=policy, shared=shared)
        unknown = "" if np.isfinite(worth.ltv.value) else worth.remark or "nothing is known of what an active customer pays"
        found[key] = replace(worth, ltv=replace(worth.ltv, n=n), remark=unknown)
    return found


def of_own(ends: pd.DataFrame, model, value: Estimate, *, margin: float, policy, shared: float) -> Worth:
    """g·a·Σ S(t)/(1+d)^t with the curve and value of the member's own customers."""
    own = standard(ends, model, value, policy)
    worth = ltv.scale(product([value, ltv.shaken(own.lived, shared * own.lived.slope)]), margin)
    return Worth(worth, value.value * own.curve, own.curve)


def standard(ends: pd.DataFrame, model, value: Estimate, policy) -> Standard:
    """ends : of a plan or member, as `ltv.select` gives them. model : sBG, or None."""
    table, rate = kaplan_meier(ends, policy.confidence), ltv.monthly_rate(policy.annual_discount_rate)
    lived, longer = (horizon_sum(table, model, policy.horizon_months + more, rate, policy.confidence) for more in (0, 1))
    hazards = (table["events"] / table["at_risk"].clip(lower=1)).to_numpy(dtype=float)
    return Standard(value, lived, np.array(longer.curve or lived.curve), hazards)


def by_plans(split: pd.DataFrame, ends: pd.DataFrame, fits, value, *, margin: float, policy, shared: float):
    """Worth of members by the plans that their new customers start on: indirect standardisation (Breslow and Day 1987).

    Σ_p w_p·g·ρ·a_p·Σ_t S_p(t)/(1+d)^t, with the hazards of S_p times θ. w : the mix of the member's new customers, of those
    who pay where it has none. θ : its ends ÷ those that its plans' hazards would have had. ρ : its MRR ÷ what its customers
    would pay at their plans' means. A plan too small for a curve and value of its own has those of all, as in the headline.
    """
    plans = {plan: ltv.own_or_all(("plan", plan), value, fits, policy.min_customers) for plan in split["plan_id"].unique()}
    standards = {key: standard(ltv.select(ends, key), fits.get(key), value[key], policy) for key in {*plans.values()}}
    names, ages = ["dimension", "member", "plan_id"], range(max(len(of.hazards) for of in standards.values()))
    moved = split.assign(left=split["entered"] - split["events"] - split["censored"])
    there = moved.pivot_table(index=names, columns="month", values="left", aggfunc="sum", fill_value=0)
    there = there.reindex(columns=ages, fill_value=0).cumsum(axis=1).shift(axis=1, fill_value=0)
    hazards = np.zeros((len(there), len(ages)))
    for row, plan in zip(hazards, there.index.get_level_values("plan_id"), strict=True):
        row[: len(standards[plans[plan]].hazards)] = standards[plans[plan]].hazards
    sums = split.groupby(names)[["events", "paying", "mrr", "mrr_squared", "new_customers"]].sum().astype(float)
    sums = sums.assign(expected=(there.to_numpy() * hazards).sum(axis=1), key=sums.index.get_level_values("plan_id").map(plans))
    a = sums["key"].map({key: of.value.value for key, of in standards.items()})
    sums = sums.assign(x=a * sums["paying"], xx=a**2 * sums["paying"], xy=a * sums["mrr"])
    everybody, found = ltv.select(ends, ALL)["events"].sum(), {}
    for key, part in sums.groupby(["dimension", "member"]):
        of = part.drop(columns="key").sum()
        if not (of["expected"] and of["events"] and of["x"]):
            continue
        rho = ratio_of_sums(of["paying"], of["mrr"], of["x"], of["mrr_squared"], of["xy"], of["xx"], policy.confidence)
        alone = np.sqrt(max(0.0, 1 - of["paying"] / value[ALL].n))  # it is a part of what it is measured by
        rho = Estimate(rho.value, *(rho.value + alone * (bound - rho.value) for bound in (rho.low, rho.high)), rho.n)
        theta, error = of["events"] / of["expected"], np.sqrt(max(0.0, 1 / of["events"] - 1 / everybody))
        people = part.groupby("key")["new_customers" if of["new_customers"] else "paying"].sum()
        mix = {name: (w, standards[name]) for name, w in (people[people > 0] / people.sum()).items()}
        error = np.hypot(shared, ndtri(0.5 + policy.confidence / 2) * error)
        found[key] = mixed(mix, theta, rho, error, margin=margin, policy=policy)
    return found


def mixed(mix: dict[tuple[str, str], tuple[float, Standard]], theta: float, rho: Estimate, error: float, *, margin, policy):
    """Worth of a mix of plans with hazards times θ and prices times ρ; error : half an interval of the hazards, on logs."""
    months = min(len(of.curve) for _, of in mix.values())
    if months < policy.horizon_months:
        return Worth(ltv.UNKNOWN, remark="too few customers or departures to go beyond the ages seen")
    factors = (1 + ltv.monthly_rate(policy.annual_discount_rate)) ** -np.arange(policy.horizon_months, dtype=float)
    terms, fall, revenue, curve = [], 0.0, 0.0, 0.0
    for w, of in mix.values():
        stay = np.divide(of.curve[1:months], of.curve[: months - 1], out=np.ones(months - 1), where=of.curve[: months - 1] > 0)
        path = np.append(1.0, np.maximum(1 - theta * (1 - stay), 0).cumprod())
        worth = path[: len(factors)] * factors
        terms.append((w, product([of.value, ltv.scale(of.lived, worth.sum() / of.lived.value)])))
        after, seen = worth[::-1].cumsum()[::-1], path[: len(factors)]
        odds = np.divide(-np.diff(seen), seen[1:], out=np.zeros(len(seen) - 1), where=seen[1:] > 0)
        fall += w * of.value.value * float(odds @ after[1:])
        revenue, curve = revenue + w * rho.value * of.value.value * path, curve + w * path
    return Worth(ltv.scale(product([ltv.shaken(ltv.add(terms), error * fall), rho]), margin), revenue, curve)
