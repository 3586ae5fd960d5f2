"""What a customer is worth, and how sure we are. Formulas: docs/methods.md."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy.special import ndtri

from helpers.contracts import ReportError
from helpers.metrics import monthly, share
from helpers.models.horizon import HorizonSum, horizon_sum
from helpers.models.intervals import Estimate, product, ratio_of_sums
from helpers.models.renewals import Curve, Renewals
from helpers.models.survival import kaplan_meier, restricted_mean

DIRECT = ["cogs", "support", "hosting", "payment_fees"]
LIFETIMES = ["lifetime_months_churn", "lifetime_months_rmst", "lifetime_months_naive"]
UNKNOWN = Estimate(np.nan, np.nan, np.nan, 0)


def formula_ltv(
    order_value, frequency, duration, *, frequency_per="year", duration_in="year", margin_rate=1.0, acquisition_cost=0.0,
    retention_cost=0.0,
):
    """unit price × margin rate × frequency × duration − (acquisition + retention cost). Raises ReportError for unlike units."""
    if frequency_per != duration_in:
        found = f"the frequency is per {frequency_per}, the duration in {duration_in}s: their product is no number of orders"
        raise ReportError("The formula of LTV", [found], "Say both by the year, or both by the month.")
    return order_value * margin_rate * frequency * duration - (acquisition_cost + retention_cost)


@dataclass(frozen=True)
class Margin:
    """g, the share of revenue left after direct costs; `basis` says what every figure made with it is."""

    value: float
    basis: str
    method: str


def gross_margin(costs: pd.DataFrame, given: float | None) -> Margin:
    """g from the params, else 1 − direct costs ÷ revenue over the last 12 months with costs, else 1 (revenue).

    costs : a row a month with costs, from `summaries/costs`: a column a category, and the revenue they belong to.
    """
    if given is not None:
        return Margin(given, "gross_margin", "policy.gross_margin")
    year = year_of_costs(costs)
    if year.empty:
        return Margin(1.0, "revenue", "no costs given: revenue, not profit")
    absent = [name for name in DIRECT if not year[name].sum()]
    value = 1 - year[DIRECT].to_numpy().sum() / year["revenue"].sum()
    without = f", without {', '.join(absent)}" if absent else ""
    return Margin(float(value), "gross_margin", f"1 − direct costs ÷ revenue over {len(year)} months{without}")


def year_of_costs(costs: pd.DataFrame) -> pd.DataFrame:
    """The last 12 months with direct costs and revenue. costs : as in `gross_margin`."""
    return costs[(costs[DIRECT].sum(axis=1) > 0) & (costs["revenue"] > 0)].tail(12)


def revenue_metrics(months: pd.DataFrame, *, currency: str, subscriptions: bool, transactions: bool) -> list[dict]:
    """Revenue, orders, order value, buyers, ARPU, ARPA and frequency of each of the last 13 months."""
    money = {"unit": currency, "basis": "revenue"}
    active = months["active_end"].to_numpy()
    rows = []
    if subscriptions:
        arpa = share(months["mrr_end"].to_numpy(), active)
        rows += monthly(months, "arpa", arpa, n=active, **money, method="MRR ÷ paying customers at month end")
    if not transactions:
        return rows + monthly(months, "arpu", arpa, n=active, **money, method="MRR, no transactions given")
    orders = months["orders"].to_numpy()
    rows += monthly(months, "revenue_net", months["revenue"], n=orders, **money)
    rows += monthly(months, "revenue_unattributed", months["revenue_unattributed"], n=orders, **money)
    rows += monthly(months, "orders", orders, n=orders, unit="count")
    rows += monthly(months, "average_order_value", share(months["revenue"].to_numpy(), orders), n=orders, **money)
    rows += monthly(months, "buyers", months["buyers"], n=months["buyers"], unit="count")
    rows += monthly(months, "arpu", share(months["revenue_active"].to_numpy(), active), n=active, **money)
    year = months[["orders_known", "active_end"]].rolling(12, min_periods=1)
    frequency = 12 * share(year["orders_known"].sum().to_numpy(), year["active_end"].sum().to_numpy())
    return rows + monthly(months, "purchase_frequency", frequency, n=active, unit="per_year")


def value_a_month(sums: pd.DataFrame, *, confidence: float) -> dict[tuple[str, str], Estimate]:
    """a of each dimension and member, linearised over customers: MRR per customer who is there, paying or paused, as S(t)
    counts them; of sales revenue per active customer and month."""
    return {
        (r.dimension, r.member): ratio_of_sums(r.customers, r.sum_y, r.sum_x, r.sum_yy, r.sum_xy, r.sum_xx, confidence)
        for r in sums.itertuples()
    }


def arpa(sums: pd.DataFrame, confidence: float) -> Estimate:
    """MRR per paying customer at the month end, linearised over them. sums : `summaries/customer_value` of subscriptions."""
    paying, mrr, squared = select(sums, ("all", "all"))[["sum_active", "sum_y", "sum_yy"]].sum()
    return ratio_of_sums(int(paying), mrr, paying, squared, mrr, paying, confidence)


def estimable(lifetimes: pd.DataFrame, ends: pd.DataFrame, report_month: int) -> str:
    """Why no lifetime can be estimated; empty where one can."""
    first = lifetimes["first_end_month"].iloc[0]
    if ends.empty or pd.isna(first) or first >= report_month:
        return "not_estimable: the book shows no departures before its last month"
    return ""


def lifetimes(
    churn: Estimate, ends: pd.DataFrame, naive: pd.DataFrame, *, horizon: int, confidence: float, shared: float = 0.0
) -> list[tuple]:
    """(metric, Estimate, method) of the LIFETIMES in months; the naive one is a warning, nothing more.

    shared : `retention.shared_churn`.
    """
    table = kaplan_meier(ends, confidence)
    area, done = restricted_mean(table, horizon, confidence=confidence, shared=shared), naive.iloc[0]
    mean = done.months / done.ended if done.ended else np.nan
    error = np.nan
    if done.ended > 1:
        error = np.sqrt(max(0.0, done.months_squared / done.ended - mean**2) / (done.ended - 1))
    half = ndtri(0.5 + confidence / 2) * error
    values = product([], [churn]), area, Estimate(mean, mean - half, mean + half, int(done.ended))
    how = "1 ÷ pooled churn", f"area under Kaplan–Meier, m = {area.until}", "completed lifetimes only: biased low"
    return [*zip(LIFETIMES, values, how, strict=True)]


@dataclass(frozen=True)
class Horizon:
    """LTV over the horizon: discounted and not, with the blended survival curve behind them."""

    plain: Estimate
    discounted: Estimate
    method: str
    curve: np.ndarray  # Σ_p w_p S_p(t), t = 0 … H − 1
    income: np.ndarray  # g · Σ_p w_p a_p S_p(t), undiscounted
    plans: dict[tuple[str, str], tuple] = field(default_factory=dict)  # p -> w_p, a_p and the discounted Σ_t S_p(t)


def unknown_horizon(reason: str) -> Horizon:
    return Horizon(UNKNOWN, UNKNOWN, reason, np.zeros(0), np.zeros(0))


def monthly_rate(annual: float) -> float:
    return (1 + annual) ** (1 / 12) - 1


def horizon_ltv(
    ends: pd.DataFrame,
    models: dict[tuple[str, str], Curve],
    worth: dict[tuple[str, str], Estimate],
    new_by_plan: pd.DataFrame,
    *,
    margin: float,
    horizon: int,
    annual_rate: float,
    min_customers: int,
    confidence: float,
    shared: float = 0.0,
) -> Horizon:
    """Σ_p w_p·g·a_p·Σ_t S_p(t)/(1+d)^t over plans p at the start, weighted by the new customers of six months.

    A plan with fewer than `min_customers` counts with the curve and value of all customers. Plans err each for itself, but
    for what the months share: shared, of `retention.shared_churn`.
    """
    whole = ("all", "all")
    nothing = unknown_horizon("not_estimable: too few customers or departures to go beyond the ages seen")
    if whole not in worth or select(ends, whole).empty:
        return nothing
    weights = {("plan", r.plan_id): r.new_customers for r in new_by_plan.itertuples()} or {whole: 1}
    merged: dict[tuple[str, str], float] = {}
    for key, count in weights.items():
        own = own_or_all(key, worth, models, min_customers)
        merged[own] = merged.get(own, 0) + count / sum(weights.values())
    rate, parts = monthly_rate(annual_rate), {}
    for key in merged:
        table = kaplan_meier(select(ends, key), confidence)
        parts[key] = [horizon_sum(table, models.get(key), horizon, d, confidence) for d in (0.0, rate)]
    if not all(np.isfinite(part.value) for pair in parts.values() for part in pair):
        return nothing
    blended = []
    for i in (0, 1):
        total = add([(w, product([worth[key], parts[key][i]])) for key, w in merged.items()])
        total = replace(total, n=min(total.n, worth[whole].n))  # those of a plan are among all
        fall = sum(w * worth[key].value * parts[key][i].slope for key, w in merged.items())
        blended.append(scale(shaken(total, shared * fall), margin))
    curve = sum(w * np.array(parts[key][0].curve) for key, w in merged.items())
    income = sum(w * margin * worth[key].value * np.array(parts[key][0].curve) for key, w in merged.items())
    seen, beyond = min(parts[k][1].seen for k in merged), weighted_share(merged, worth, parts)
    plans = {key: (w, worth[key], parts[key][1]) for key, w in merged.items()}
    by = "sBG of renewals" if any(isinstance(models.get(key), Renewals) for key in merged) else "sBG"
    return Horizon(*blended, f"seen to month {seen}, {beyond:.0%} of the value extrapolated by {by}", curve, income, plans)


def by_plan(plans: dict[tuple[str, str], tuple]) -> tuple[np.ndarray, np.ndarray]:
    """Revenue and share still there by plan and month of life, each with its weight. plans : as of `Horizon`."""
    curves = np.array([w * np.array(lived.curve) for w, _, lived in plans.values()])
    return curves * np.array([[a.value] for _, a, _ in plans.values()]), curves


def curve_table(plans: dict[tuple[str, str], tuple], *, margin: float, annual_rate: float, kept: float, below: int):
    """Table ltv_curve: S_p(t) of every plan with the weight, value and discount that it counts with, t = 0 … H − 1.

    plans : as of `Horizon`; a weight of 0 is of who counts for members alone. kept : ρ. Plans on fewer than `below` customers
    are left out, as their estimates are.
    """
    names = "dimension member t basis survival weight value_a_month gross_margin discount_factor retention_costs".split()
    d = monthly_rate(annual_rate)
    rows = [(*key, t, "seen" if t <= lived.seen else "fitted", s, w, a.value, margin, (1 + d) ** -t, kept)
            for key, (w, a, lived) in sorted(plans.items()) if a.n >= below for t, s in enumerate(lived.curve)]
    return pd.DataFrame(rows, columns=names)


def own_or_all(key: tuple[str, str], worth, models, min_customers: int) -> tuple[str, str]:
    """Whose curve and value a plan counts with: its own where it has enough customers and a model, else those of all."""
    return key if key in worth and worth[key].n >= min_customers and key in models else ("all", "all")


def weighted_share(merged, worth, parts: dict[tuple[str, str], list[HorizonSum]]) -> float:
    value = {key: w * worth[key].value * parts[key][1].value for key, w in merged.items()}
    whole = sum(value.values())  # 0 where nobody paid for a year
    return sum(value[key] * parts[key][1].extrapolated for key in merged) / whole if whole else 0.0


def add(terms: list[tuple[float, Estimate]]) -> Estimate:
    """Σ weight × Estimate of independent estimates; distances to the bounds are squared and added on each side."""
    value = sum(w * e.value for w, e in terms)
    down = np.sqrt(sum((w * (e.value - e.low)) ** 2 for w, e in terms))
    up = np.sqrt(sum((w * (e.high - e.value)) ** 2 for w, e in terms))
    return Estimate(float(value), float(value - down), float(value + up), sum(e.n for _, e in terms))


def shaken(estimate: Estimate, half: float) -> Estimate:
    """An estimate with `half`, in its unit, added to each side as one more independent error, on the log scale."""
    move = np.exp(abs(half / estimate.value)) if estimate.value else 1.0
    return product([estimate, Estimate(1.0, 1 / move, move, estimate.n)])


def select(table: pd.DataFrame, key: tuple[str, str]) -> pd.DataFrame:
    return table[(table["dimension"] == key[0]) & (table["member"] == key[1])].drop(columns=["dimension", "member"])


def over(worth: Estimate, cost: Estimate, *, of: str = "revenue", basis: str = "revenue") -> Estimate:
    """LTV:CAC. CAC is exact, so the bounds are the LTV's, below 0 too.

    of : the basis of `worth`. basis : that of the ratio; unlike ones raise ReportError, as of `net`, which has paid the CAC.
    """
    if of != basis or of == "net":
        raise ReportError("LTV to CAC is not made of unlike bases", [f"the LTV is on basis {of!r}, the ratio on {basis!r}"],
                          "Take an LTV on the basis of the ratio, before CAC.")
    return replace(scale(worth, 1 / cost.value if cost.value else np.nan), n=min(worth.n, cost.n))


def scale(estimate: Estimate, factor: float) -> Estimate:
    low, high = sorted([estimate.low * factor, estimate.high * factor])  # a negative margin turns them round
    return Estimate(estimate.value * factor, low, high, estimate.n)


def order_value_times_frequency(months: pd.DataFrame, worth: Estimate) -> Estimate:
    """12-month average order value × purchase frequency ÷ 12, with the interval of revenue per active month."""
    year = months.tail(12)
    value = year["revenue"].sum() / year["orders"].sum() * year["orders_known"].sum() / year["active_end"].sum()
    return scale(worth, float(value / worth.value)) if worth.value else UNKNOWN


def ltv_methods(rows: list[dict], formulas: dict[str, str]) -> pd.DataFrame:
    """Table ltv_methods: every LTV side by side, with the formula of definitions.yaml."""
    table = pd.DataFrame([row for row in rows if row["metric"].startswith("ltv") and "_to_" not in row["metric"]])
    table = table.rename(columns={"metric": "name"}).assign(formula=table["metric"].map(formulas))
    names = ["dimension", "member", "name", "value", "low", "high", "n", "basis", "formula", "method"]
    return table[names].rename(columns={"method": "remark", "name": "method"})
