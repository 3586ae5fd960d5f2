"""How LTV and CAC moved: each month from what was seen by its end, and what changed them. Formulas: docs/methods.md."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
from scipy.special import ndtri

from helpers.metrics import cac, checks, clv_models, ltv
from helpers.metrics.retention import pooled_churn, shared_churn
from helpers.models.intervals import Estimate, product
from helpers.models.likelihood import resample
from helpers.models.sbg import Sbg

QUERIES = ["spells_back", "worth_by_month"]
MIX, PRICE, FREQUENCY, CHURN, MARGIN = "mix of new customers", "price", "frequency", "churn", "margin"
UNITS = {MIX: "money", PRICE: "money", FREQUENCY: "per_year", CHURN: "months", MARGIN: "share"}


@dataclass(frozen=True)
class Past:
    """What the end of a month knew. factors : levers × keys (plans, then all); their products add up to the LTV."""

    ltv: Estimate
    cost: Estimate
    method: str
    levers: tuple[str, ...]
    basis: str
    factors: np.ndarray  # NaN for a key that no new customer counts with
    alive: ltv.Horizon | None = None
    fits: dict | None = None
    members: tuple[str, ...] = ("all",)  # the names of the keys


def trend(tables: dict[str, pd.DataFrame], *, last: int, subscriptions: bool, policy, terms) -> tuple[pd.DataFrame, ...]:
    """Tables ltv_trend, ltv_change, cac_outpacing and ltv_change_terms: up to 13 months, each from what was seen by its end.

    tables : the results of `ltv_cac.QUERIES` and QUERIES by name. last : index of the report month. policy, terms : the
    params' sections. For sales alone it is ltv_margin that is followed: a refit of the model every month is too dear.
    """
    months, rows = tables["months"].tail(13), []
    past = {last - month: (contracts if subscriptions else sales)(tables, month, last, policy) for month in months["month"]}
    for period, of in zip(months["period"], past.values(), strict=True):
        ratio = ltv.over(of.ltv, of.cost, of=of.basis, basis=of.basis)
        rows.append((period, of.ltv.value, of.ltv.low, of.ltv.high, of.ltv.n, of.cost.value,
                     ratio.value, ratio.low, ratio.high, of.basis, of.method))
    names = "period ltv ltv_low ltv_high n cac ltv_to_cac ltv_to_cac_low ltv_to_cac_high basis method".split()
    known = {back: of for back, of in past.items() if np.isfinite(of.ltv.value) and of.basis == past[0].basis}  # like with like
    factors = {back: of.factors[None] for back, of in known.items()}
    if subscriptions and 0 in known:
        factors |= redrawn(tables["spells_back"], known, last, policy, terms)
    reach = ndtri(0.5 + policy.confidence / 2)
    moved = change(known, factors, reach), outpacing(known, factors, reach), change_terms(known)
    return pd.DataFrame(rows, columns=names), *moved


def restated(series: pd.DataFrame) -> pd.DataFrame:
    """`metric, period, value, low, high` of ltv and ltv_to_cac, from ltv_trend of a book with subscriptions; months on
    another basis than the last are left out."""
    series = series[series["basis"] == series["basis"].iloc[-1]]
    return pd.concat([series[["period", name, f"{name}_low", f"{name}_high"]].set_axis(
        ["period", "value", "low", "high"], axis=1).assign(metric=name) for name in ("ltv", "ltv_to_cac")], ignore_index=True)


def contracts(tables: dict[str, pd.DataFrame], month: int, last: int, policy) -> Past:
    """The headline of subscriptions as a month's end had it: `ltv.horizon_ltv` of what was seen by then."""
    months, margin, cost = until(tables, month, policy)
    cells, sums = tables["spells_back"].query("back == 0"), tables["worth_by_month"]
    ends = ends_then(cells, last - month)
    reason = ltv.estimable(tables["lifetimes"], ends, month)
    worth = ltv.value_a_month(sums[sums["month"] == month], confidence=policy.confidence)
    fits = {} if reason else clv_models.sbg_by_member(ends, min_events=policy.min_events)
    new = cells[newcomers(cells, month)].groupby("plan_id", as_index=False)["people"].sum()
    found = ltv.unknown_horizon(reason) if reason else ltv.horizon_ltv(
        ends, fits, worth, new.rename(columns={"people": "new_customers"}), margin=margin.value, horizon=policy.horizon_months,
        annual_rate=policy.annual_discount_rate, min_customers=policy.min_customers, confidence=policy.confidence,
        shared=shared_churn(months, in_month_churn=policy.in_month_churn, confidence=policy.confidence))
    factors = [(share, a.value, lived.value, margin.value) for key in keys(cells)
               for share, a, lived in [found.plans.get(key, [np.nan, ltv.UNKNOWN, ltv.UNKNOWN])]]
    levers, members = (MIX, PRICE, CHURN, MARGIN), tuple(member for _, member in keys(cells))
    return Past(found.discounted, cost, found.method, levers, margin.basis, np.array(factors).T, found, fits, members)


def sales(tables: dict[str, pd.DataFrame], month: int, last: int, policy) -> Past:
    """`ltv_margin` of sales alone as a month's end had it: order value × orders a month ÷ pooled churn × margin.

    Its interval is that of churn: the value a month is taken as known.
    """
    months, margin, cost = until(tables, month, policy)
    reason = ltv.estimable(tables["lifetimes"], months, month)
    churn = pooled_churn(
        months, window=policy.churn_window_months, in_month_churn=policy.in_month_churn, confidence=policy.confidence)
    money, orders, active = months.tail(12)[["revenue_known", "orders_known", "active_end"]].sum().astype(float)
    levers = PRICE, FREQUENCY, CHURN, MARGIN
    if reason or not min(money, orders, active, np.nan_to_num(churn.value)) > 0:
        reason = reason or "needs sales, and customers who left"
        return Past(ltv.UNKNOWN, cost, reason, levers, margin.basis, np.full((4, 1), np.nan))
    value = ltv.scale(product([Estimate(*[money / active] * 3, int(active))], [churn]), margin.value)
    factors = np.array([[money / orders], [orders / active], [1 / churn.value], [margin.value]])
    return Past(value, cost, "ltv_margin, not the headline", levers, margin.basis, factors)


def until(tables: dict[str, pd.DataFrame], month: int, policy) -> tuple[pd.DataFrame, ltv.Margin, Estimate]:
    """Months, margin and CAC as a month's end had them."""
    months, costs, spend = (tables[name][tables[name]["month"] <= month] for name in ("months", "costs", "spend"))
    by_month = cac.cac_by_month(spend, months, lag=policy.cac_lag_months)
    return months, ltv.gross_margin(costs, policy.gross_margin), cac.cac_of(by_month, policy.cac_basis, month - 5, month)


def keys(cells: pd.DataFrame) -> list[tuple[str, str]]:
    """Every plan, then all customers."""
    return [*(("plan", plan) for plan in sorted(cells["plan_id"].unique())), ("all", "all")]


def newcomers(cells: pd.DataFrame, month: int) -> pd.Series:
    """Which cells are new customers of the six months to `month`."""
    return cells["is_new"] & cells["started_month"].between(month - 5, month)


def as_they_stood(cells: pd.DataFrame, back: int) -> pd.DataFrame:
    """First spells `back` months ago: `month` lived, `ended`, and `watched`, whether they had been at risk at all."""
    ended = cells["ended_for"] >= back
    month = cells["end_age"].where(ended, cells["observed"] - back).astype(int)
    return cells.assign(month=month, ended=ended, watched=month > cells["entered"])


def ends_then(cells: pd.DataFrame, back: int) -> pd.DataFrame:
    """What `summaries/survival` had said of plans and all, `back` months ago."""
    seen = as_they_stood(cells, back).query("watched")
    gone = seen.assign(events=seen["people"] * seen["ended"], censored=seen["people"] * ~seen["ended"], entered=0)
    come = seen.assign(month=seen["entered"], events=0, censored=0, entered=seen["people"])
    plans = pd.concat([gone, come]).assign(dimension="plan").rename(columns={"plan_id": "member"})
    both = pd.concat([plans.assign(dimension="all", member="all"), plans])
    return both.groupby(["dimension", "member", "term", "month"], as_index=False)[["events", "censored", "entered"]].sum()


def redrawn(cells: pd.DataFrame, past: dict[int, Past], last: int, policy, terms) -> dict[int, np.ndarray]:
    """Factors (1 + draws, levers, keys) of the months that are compared: first as they are, then for customers drawn with
    replacement, the same ones in every month. A plan's MRR gets noise of the spread within cells, paired with this month's."""
    parts = {back: part.reset_index(drop=True) for back, part in cells.groupby("back") if back in past}
    makers = {back: redraw(past[back], part, back, last - back, policy) for back, part in parts.items()}
    spread = {back: within_cells(part, parts[0]) for back, part in parts.items()}
    rng, plans, found = np.random.default_rng(terms.seed + 1), len(spread[0][0]), {back: [past[back].factors] for back in parts}
    for people in resample(parts[0]["people"], terms.bootstrap, terms.seed):
        shared = rng.standard_normal(plans)
        for back, (along, beside) in spread.items():
            found[back].append(makers[back](people, along * shared + beside * rng.standard_normal(plans)))
    return {back: np.array(rows) for back, rows in found.items()}


def redraw(past: Past, cells: pd.DataFrame, back: int, month: int, policy):
    """A function of people by cell, and of noise by plan, that makes the factors; ages seen and plans shown stay as in `past`.

    The sBG takes one Newton step from its fit, which is as good as a refit for many customers (Bickel 1975). Where one
    hazard fits all, and of renewals, the hazards move together, by as much as the departures that they would have had.
    """
    seen, key, horizon = as_they_stood(cells, back), keys(cells), policy.horizon_months
    row = seen["plan_id"].map({plan: at for at, (_, plan) in enumerate(key)}).to_numpy()
    ages = int(seen[["observed", "entered"]].max(axis=None)) + horizon
    watched, ended, fresh = (of.to_numpy(float) for of in (seen["watched"], seen["ended"], newcomers(cells, month)))
    lives, t = row * ages + seen["month"].clip(lower=0).to_numpy(), np.arange(1, ages)
    comes = row * ages + seen["entered"].to_numpy()
    mrr, there = ((seen[name] / seen["people"]).to_numpy(float) for name in ("mrr", "there"))
    fits = [past.fits.get(of) for of in key]
    curved = np.array([isinstance(of, Sbg) and of.covariance is not None for of in fits])
    alpha, beta = np.array([(of.alpha, of.beta) if steps else (1, 1) for of, steps in zip(fits, curved, strict=True)]).T
    inverse = np.array([of.covariance if steps else np.zeros((2, 2)) for of, steps in zip(fits, curved, strict=True)])
    fitted = np.array([of.hazard(t) if of else np.full(len(t), np.nan) for of in fits])
    until_age = np.array([past.alive.plans[of][2].seen if of in past.alive.plans else 0 for of in key])[:, None]
    small = np.isnan(past.factors[0])
    factors = (1 + ltv.monthly_rate(policy.annual_discount_rate)) ** -np.arange(1.0, horizon)

    def add(at, of, size=ages):
        sums = np.bincount(at, of, (len(key) - 1) * size).reshape(-1, size)
        return np.vstack([sums, sums.sum(axis=0)])

    def risks(people):
        seen = people * watched
        return add(lives, seen * ended)[:, 1:], (add(comes, seen) - add(lives, seen)).cumsum(axis=1)[:, :-1]

    def level(d, n):
        return (d.sum(axis=1) / (n * fitted).sum(axis=1))[:, None]

    first = level(*risks(seen["people"].to_numpy()))

    def make(people, noise):
        d, n = risks(people)
        both, stay = (n / (alpha + beta + t[:, None] - 1).T).sum(axis=1), ((n - d) / (beta + t[:, None] - 1).T).sum(axis=1)
        slopes = np.array([d.sum(axis=1) - alpha * both, beta * (stay - both)])
        a, b = np.array([alpha, beta]) * np.exp(np.clip(np.einsum("kij,jk->ik", inverse, slopes), -2, 2))
        beyond = np.where(curved[:, None], a[:, None] / (a + b + t[:, None] - 1).T, np.minimum(1, fitted * level(d, n) / first))
        hazard = np.where(t <= until_age, d / np.maximum(n, 1), beyond)[:, : horizon - 1]
        new = add(row, people * fresh, 1)[:, 0] / max((people * fresh).sum(), 1)
        share = np.append(np.where(small[:-1], 0, new[:-1]), 0)
        share[-1] = 1 - share.sum()
        worth = (add(row, people * mrr, 1)[:, 0] + np.append(noise, noise.sum())) / add(row, people * there, 1)[:, 0]
        found = np.array([share, worth, 1 + (1 - hazard).cumprod(axis=1) @ factors, past.factors[-1]])
        return np.where(small, np.nan, found)

    return make


def within_cells(part: pd.DataFrame, now: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """By plan, how MRR less its mean spreads within cells (a standard deviation): along with this month's, and beside it."""
    def rest(of):
        sums = of.groupby("plan_id")[["mrr", "there"]].transform("sum")
        a = sums["mrr"] / sums["there"].clip(lower=1)
        return a, of["mrr"] - a * of["there"], of["mrr_squared"] - 2 * a * of["mrr"] + a**2 * of["there"]

    (a, left, own), (b, left_now, own_now) = rest(part), rest(now)
    both = part["mrr_product"] - b * part["mrr_then"] - a * part["mrr_now"] + a * b * part["there_both"]
    pairs = ((own, left**2), (own_now, left_now**2), (both, left * left_now))
    own, own_now, both = ((of - taken / part["people"]).groupby(part["plan_id"]).sum().to_numpy() for of, taken in pairs)
    along = np.divide(both, np.sqrt(own_now.clip(0)), out=np.zeros_like(both), where=own_now > 0)
    return along, np.sqrt((own - along**2).clip(0))


def paired(before: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Factors of two months on the same keys: one that only one month shows counts with a share of 0 in the other."""
    sides = [np.where(np.isnan(one), other, one) for one, other in ((before, now), (now, before))]
    for side, own in zip(sides, (before, now), strict=True):
        side[:, 0] = np.where(np.isnan(own[:, 1]), 0, side[:, 0])
    return tuple(np.nan_to_num(side) for side in sides)


def shapley(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """What each lever adds to Σ Π factors, the mean over all orders in which the levers may move (Shapley 1953).

    before, now : draws × levers × keys; returns draws × levers, whose sum is the change.
    """
    count, found = before.shape[1], np.zeros(before.shape[:2])
    for lever in range(count):
        others = [at for at in range(count) if at != lever]
        for moved in (chosen for size in range(count) for chosen in combinations(others, size)):
            still = [at for at in others if at not in moved]
            rest = now[:, [*moved]].prod(axis=1) * before[:, still].prod(axis=1)
            weight = 1 / (count * comb(count - 1, len(moved)))
            found[:, lever] += weight * (rest * (now - before)[:, lever]).sum(axis=-1)
    return found


def change(past: dict[int, Past], factors: dict[int, np.ndarray], reach: float) -> pd.DataFrame:
    """Table ltv_change: what each lever added since last month, the last row the LTV; bounds where customers were redrawn.

    A lever's `before` and `now` are its mean over the plans, at the mix between the two months; that of the mix itself is
    what its plans are worth between the two months.
    """
    names = "lever before now contribution low high unit".split()
    if not {0, 1} <= {*past}:
        return pd.DataFrame(columns=names)
    before, now = paired(factors[1], factors[0])
    found, levers = shapley(before, now), past[0].levers
    found, middle = np.column_stack([found, found.sum(axis=1)]), (before[0] + now[0]) / 2
    sides = []
    for side in (before[0], now[0]):
        shares = [(middle[1:].prod(axis=0) * side[0]).sum(), *(side[1:-1] @ middle[0])] if levers[0] == MIX else [*side[:-1, 0]]
        sides.append([*shares, side[-1][middle[0] > 0].mean()])
    half = reach * found[1:].std(axis=0, ddof=1) if len(found) > 2 else np.nan
    table = pd.DataFrame({"lever": [*levers, "LTV"], "before": [*sides[0], past[1].ltv.value],
                          "now": [*sides[1], past[0].ltv.value], "contribution": found[0]})
    table.loc[table["lever"] == FREQUENCY, ["before", "now"]] *= 12
    return table.assign(low=found[0] - half, high=found[0] + half, unit=table["lever"].map(UNITS).fillna("money"))


def change_terms(past: dict[int, Past]) -> pd.DataFrame:
    """Table ltv_change_terms: what `change` is made of: a row per month and plan, its levers, whose product is its part of LTV.

    `all` is what new customers of plans without a curve of their own count with. Shapley's mean over these rows is
    `contribution`. A share of 0 has the other month's levers, so that it has something to move to.
    """
    if not {0, 1} <= {*past}:
        return pd.DataFrame(columns=["month", "member", "ltv"])
    sides = paired(past[1].factors[None], past[0].factors[None])
    table = pd.concat([
        pd.DataFrame(side[0].T, columns=past[0].levers).assign(month=month, member=past[0].members, ltv=side[0].prod(axis=0))
        for month, side in zip(("last", "this"), sides, strict=True)], ignore_index=True)
    table = table[table.groupby("member")["ltv"].transform("max") > 0]
    return table[["month", "member", *past[0].levers, "ltv"]].reset_index(drop=True)


def change_checks(table: pd.DataFrame) -> pd.DataFrame:
    """The levers' contributions against the change of the LTV."""
    expected = (table["now"] - table["before"]).tail(1)
    actual = table["contribution"].iloc[:-1].sum()
    return checks(pd.DataFrame({"check": "LTV change adds up", "scope": "levers", "expected": expected, "actual": actual,
                                "tolerance": 0.005}))


def outpacing(past: dict[int, Past], factors: dict[int, np.ndarray], reach: float) -> pd.DataFrame:
    """Table cac_outpacing: growth of CAC and of LTV over six months, and over three in which the ratio may have fallen.

    Bounds are those of LTV's growth, for customers drawn anew; CAC is a complete count. `outcome` is `yes` only where CAC
    grew by more than all of that interval (over three months, where the ratio fell in each of them, too).
    """
    rows = []
    for name, back in (("CAC grew more than LTV over six months", 6), ("LTV:CAC fell three months running", 3)):
        ratios = np.array([past[at].ltv.value / past[at].cost.value if at in past else np.nan for at in range(back, -1, -1)])
        if not ratios[[0, -1]].min() > 0:
            continue
        now, then = (np.nansum(factors[at].prod(axis=1), axis=-1) for at in (0, back))
        cost, worth = past[0].cost.value / past[back].cost.value - 1, now / then - 1
        half = reach * worth[1:].std(ddof=1) if len(worth) > 2 else np.nan
        worse = cost > worth[0] and (back == 6 or (np.diff(ratios) < 0).all())
        unsure = "within noise" if np.isfinite(half) else "no interval, not judged"
        outcome = "no" if not worse else "yes" if cost > worth[0] + half else unsure
        rows.append((name, ratios[0], ratios[-1], cost, worth[0], worth[0] - half, worth[0] + half, outcome))
    names = "sign ratio_before ratio_now cac_growth ltv_growth ltv_growth_low ltv_growth_high outcome".split()
    return pd.DataFrame(rows, columns=names)
