"""The LTV and CAC page: every estimate of 02_ltv_cac from its summary tables, in one pass."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from helpers.contracts import ReportError, definitions
from helpers.metrics import acquisition, cac, clv_models, frame, ltv, metric, monthly
from helpers.metrics.facts import Facts, facts
from helpers.metrics.members import member_terms, worth_by
from helpers.metrics.worth import Stream, member_streams
from helpers.metrics.worth import net as net_of
from helpers.models.intervals import Estimate, product

QUERIES = (
    "months survival lifetimes customer_value new_by_plan spend costs realised purchases purchases_holdout repeat_spend "
    "regularity survival_holdout cac_by member_ages referrals"
).split()
NO_CONTRACT = "assumes a contract that ends; with sales alone inactive_days stands for its end"
NO_SPEND = "needs marketing_spend and new customers"


@dataclass(frozen=True)
class Analysis:
    """What 02_ltv_cac shows: metric rows, the tables of the contract, and why a model is missing."""

    metrics: pd.DataFrame
    methods: pd.DataFrame
    models: pd.DataFrame
    holdout: pd.DataFrame
    by_member: pd.DataFrame
    cac: pd.DataFrame
    payback_curve: pd.DataFrame
    margin: ltv.Margin
    streams: dict[tuple[str, str], Stream]  # of the company, ("all", "all"), and of the members that have an LTV
    headline: Stream  # behind ltv, before costs
    curves: pd.DataFrame  # table ltv_curve
    terms: pd.DataFrame  # table member_terms
    remarks: dict[str, str]
    kept_of_sales: float  # what refunds leave of a unit of sales
    purchases: clv_models.PurchaseModel | None = None

    def value(self, name: str) -> float:
        """A company-wide metric of the report month; NaN where the book does not have it, KeyError where nobody knows it."""
        found = self.metrics[(self.metrics["metric"] == name) & (self.metrics["dimension"] == "all")]
        if found.empty and name not in definitions():
            raise KeyError(f"{name!r} is not a metric of helpers/definitions.yaml; see docs/add-a-metric.md")
        return float(found["value"].iloc[-1]) if len(found) else np.nan


def analyse(tables: dict[str, pd.DataFrame], *, period: str, last: int, currency: str, given: set[str], policy, terms,
            formulas: dict[str, str], target: float) -> Analysis:
    """Estimate lifetimes, LTV, CAC and their ratios.

    tables : the results of QUERIES by name. period, last : the report month as text and index. given : canonical tables
    of the book. policy, terms : the params' sections. formulas : metric id -> formula. target : LTV:CAC of R-LTV-2.
    """
    of = facts(tables, period=period, last=last, currency=currency, given=given, policy=policy, terms=terms)
    future = of.ahead(policy.horizon_months, of.margin.value)
    methods = ltv_rows(of, future)
    rows = ltv.revenue_metrics(
        tables["months"], currency=currency, subscriptions=of.subscriptions, transactions=of.transactions)
    rows += life_rows(of)
    rows += [metric(name, period, value, unit=currency, basis=basis, method=how) for name, value, basis, how in methods]
    rows += cost_rows(of, future, methods[-1], target)

    cuts = acquisition.cac_by(tables["cac_by"], of.spend, policy.cac_basis).set_index(["dimension", "member"])
    found = worth_by(tables, of.fits, of.worth, margin=of.margin.value, policy=policy, reason=of.reason,
                     split=tables["member_ages"])
    won = tables["cac_by"].groupby(["dimension", "member"])["new_customers"].sum()
    members = cac.by_member(found, won, cuts["cac"].to_dict(), horizon=policy.horizon_months, margin=of.margin.value)
    members = members.join(cuts["cac_basis"].where(cuts["cac"].notna()), on=["dimension", "member"])
    members["ltv_shrunken"] = acquisition.shrunken(members, policy.confidence)

    company = company_stream(of, future)
    streams = member_streams(members, company, found, policy)
    plans = {plan.key: (0.0, plan.value, plan.lived) for member in found.values() for _, plan in member.mix} | future.plans
    curves = ltv.curve_table(plans, margin=of.margin.value, annual_rate=policy.annual_discount_rate, kept=company.kept,
                             below=policy.suppress_below)
    back = pd.DataFrame({"month": np.arange(1, len(future.income) + 1), "margin": np.cumsum(future.income)})
    holdout, missed = holdouts(of, terms)
    remarks = of.remarks | {"lifetime": of.reason, "margin": of.margin.method, "holdout": missed or "done"}
    return Analysis(
        metrics=frame(rows + net_rows(of, streams, net_remark(of, future))), methods=ltv.ltv_methods(rows, formulas),
        models=parameters(of), holdout=holdout, by_member=members, cac=of.spend, payback_curve=back.assign(cac=of.cost.value),
        margin=of.margin, streams=streams, headline=headline_stream(of, company, methods[-1][1]), curves=curves,
        terms=member_terms(found, policy.suppress_below), remarks=remarks, kept_of_sales=of.kept, purchases=of.model,
    )


def life_rows(of: Facts) -> list[dict]:
    """Metric rows of pooled churn, the gross margin and lifetimes."""
    policy, ends = of.policy, of.tables["survival"]
    how = of.reason or f"{policy.churn_window_months} months; n in customer-months"
    share = of.margin.value if of.margin.basis == "gross_margin" else np.nan
    lives = [(name, ltv.UNKNOWN, of.reason) for name in ltv.LIFETIMES] if of.reason else ltv.lifetimes(
        of.churn, ltv.select(ends, ("all", "all")), of.tables["lifetimes"], horizon=policy.horizon_months,
        confidence=policy.confidence, shared=of.shared)
    return [metric("churn_rate_pooled", of.period, of.churn, unit="share", method=how),
            metric("gross_margin", of.period, share, unit="share", method=of.margin.method),
            *(metric(name, of.period, value, unit="months", method=how) for name, value, how in lives)]


def ltv_rows(of: Facts, future: ltv.Horizon) -> list[tuple]:
    """(metric, Estimate, basis, method) of every LTV; the headline is the last."""
    margin, each = of.margin, of.worth.get(("all", "all"), ltv.UNKNOWN)
    if of.subscriptions:
        each = ltv.arpa(of.tables["customer_value"], of.policy.confidence)
    methods = classic_methods(of.tables["months"], of.churn, each, margin, of.transactions) + [
        ("ltv_horizon", future.plain, margin.basis, future.method),
        ("ltv_discounted", future.discounted, margin.basis, future.method),
    ]
    if of.reason:
        methods = [(name, ltv.UNKNOWN, basis, of.reason) for name, _, basis, _ in methods]
    elif not of.subscriptions:
        methods = [(name, value, basis, f"{how}; {NO_CONTRACT}") for name, value, basis, how in methods]
    headline = ("ltv", *methods[-1][1:])
    if not of.subscriptions:
        headline = ("ltv", ltv.UNKNOWN, margin.basis, f"not_estimable: {of.remarks['bg_nbd']}")
    if of.model and not of.subscriptions:
        value = clv_models.new_customer_value(
            of.model, margin=margin.value * of.kept, horizon=of.policy.horizon_months,
            rate=ltv.monthly_rate(of.policy.annual_discount_rate), confidence=of.policy.confidence)
        back = f"; refunds take {1 - of.kept:.1%} of sales" if of.kept != 1 else ""
        headline = ("ltv", value, margin.basis, f"BG/NBD × Gamma-Gamma, of a new customer{back}")
    rest = net(future, of.tables["months"], of.tables["costs"], of.cost.value, of.policy, of.last)
    return [*methods, ("ltv_net", rest, of.net_basis, net_remark(of, future)), headline]


def company_stream(of: Facts, future: ltv.Horizon) -> Stream:
    """What the company's new customer brings, a month beyond the horizon where the curves go there."""
    horizon, months = of.policy.horizon_months, of.tables["months"]
    path = of.ahead(horizon + 1, 1.0)
    path = path if len(path.curve) else of.ahead(horizon, 1.0)
    return Stream(future.discounted, *ltv.by_plan(path.plans), np.arange(len(path.curve)), horizon, of.margin.value,
                  of.policy.annual_discount_rate, retained(months, of.tables["costs"], of.last), of.cost.value)


def headline_stream(of: Facts, company: Stream, worth: Estimate) -> Stream:
    """The stream behind `ltv`, before retention costs and CAC: with sales alone the model's, from the first purchase on."""
    source = replace(company, kept=0.0, cac=0.0)
    if of.subscriptions:
        return source
    months, model = of.policy.horizon_months + 1, of.model
    bought = of.kept * clv_models.revenue_by_month(model.purchases, model.spend, months) if model else np.zeros(0)
    return replace(source, ltv=worth, revenue=bought, curve=np.zeros(len(bought)),
                   ages=np.maximum(np.arange(len(bought)) - 0.5, 0), horizon=months)


def net_rows(of: Facts, streams: dict[tuple[str, str], Stream], how: str) -> list[dict]:
    """Metric rows of ltv_net by member."""
    left = {key: (stream.ltv, net_of(stream)) for key, stream in streams.items() if key[0] != "all"}
    return [metric("ltv_net", of.period, value, low=worth.low - worth.value + value, high=worth.high - worth.value + value,
                   n=worth.n, unit=of.currency, basis=of.net_basis, method=how, dimension=name, member=member)
            for (name, member), (worth, value) in left.items() if np.isfinite(value)]


def parameters(of: Facts) -> pd.DataFrame:
    """Table clv_models."""
    fits = {key: fit for key, fit in of.fits.items() if key[0] in ("all", "plan", "segment")}
    bought = [clv_models.parameters(of.model, of.policy.confidence, of.currency)] if of.model else []
    return pd.concat([*bought, clv_models.sbg_parameters(fits, of.policy.confidence)], ignore_index=True)


def by_plan(tables: dict[str, pd.DataFrame], *, last: int, policy, margin: float) -> pd.DataFrame:
    """LTV by plan at the start, as ltv_cac_by shows it, for other pages; empty where nothing can be estimated."""
    ends = tables["survival"]
    reason = ltv.estimable(tables["lifetimes"], ends, last)
    plans = ends[ends["dimension"] == "plan"]  # the other fits would be thrown away
    fits = {} if reason else clv_models.sbg_by_member(plans, min_events=policy.min_events)
    worth = ltv.value_a_month(tables["customer_value"], confidence=policy.confidence)
    found = worth_by(tables, fits, worth, only="plan", margin=margin, policy=policy, reason=reason)
    return cac.by_member(found, pd.Series(dtype=int), {}, horizon=policy.horizon_months, margin=margin)


def channel_ratios(members: pd.DataFrame) -> pd.DataFrame:
    """LTV to CAC by channel with the interval of LTV, its CAC taken as known. members : ltv_cac_by."""
    table = members[(members["dimension"] == "channel") & members["ltv_to_cac"].notna()].set_index("member")
    return table[["ltv_to_cac", "ltv_to_cac_low", "ltv_to_cac_high"]].set_axis(["ratio", "low", "high"], axis=1)


def holdout_ratios(holdout: pd.DataFrame) -> pd.DataFrame:
    """Predictions over what came, by model: purchases and departures on one scale. holdout : clv_holdout."""
    table = holdout.set_index("model")[["predicted", "low", "high", "actual"]].astype(float)
    return table.drop(columns="actual").div(table["actual"].where(table["actual"] > 0), axis=0)


def classic_methods(months, churn, each, margin, transactions: bool) -> list[tuple]:
    """The LTVs that multiply averages: ARPU × lifetime, order value × frequency × lifetime, and the first with margin."""
    plain = product([each], [churn])
    rows = [("ltv_arpu_lifetime", plain, "revenue", "constant churn")]
    if transactions and months.tail(12)["orders"].sum():
        orders = product([ltv.order_value_times_frequency(months, each)], [churn])
        rows.append(("ltv_aov_frequency_lifetime", orders, "revenue", "constant churn"))
    return rows + [("ltv_margin", ltv.scale(plain, margin.value), margin.basis, margin.method)]


def net(future, months, costs, cac_value: float, policy, last: int) -> Estimate:
    """ltv_discounted less the cost of retaining at ρ a month of life, less CAC."""
    rho = retained(months, costs, last)
    factors = (1 + ltv.monthly_rate(policy.annual_discount_rate)) ** -np.arange(len(future.curve))
    less = rho * float(future.curve @ factors) + cac_value
    e = future.discounted
    return Estimate(e.value - less, e.low - less, e.high - less, e.n)


def retained(months: pd.DataFrame, costs: pd.DataFrame, last: int) -> float:
    """ρ: retention and loyalty costs of the month ÷ customers active at its start; 0 without either."""
    start = months.loc[months["month"] == last, "active_start"].sum()
    return float(costs.loc[costs["month"] == last, "retention"].sum() / start) if start else 0.0


def net_remark(of: Facts, future: ltv.Horizon) -> str:
    if np.isnan(future.discounted.value):
        return future.method
    if np.isnan(of.cost.value):
        return no_cac(of.cost)
    costs = of.tables["costs"]
    kept = costs.loc[costs["month"] == of.last, "retention"].sum()
    return "less retention and loyalty costs per month of life, less CAC" if kept else "less CAC; no retention costs this month"


def no_cac(cost: Estimate) -> str:
    """Why there is no CAC."""
    return "no spend on this basis in six months" if cost.n else NO_SPEND


def cost_rows(of: Facts, future: ltv.Horizon, headline: tuple, target: float) -> list[dict]:
    """Metric rows of CAC, LTV:CAC (expected, realised), payback, the most a customer may cost, and the cost ratio."""
    rows, table, cost, margin, policy, period, last = [], of.spend, of.cost, of.margin, of.policy, of.period, of.last
    for name, people in (("cac_blended", "acquired"), ("cac_paid", "acquired_paid"), ("cac_loaded", "acquired")):
        rows += monthly(table, name, table[name], unit=of.currency, n=table[people])
    months_back, how = cac.payback(future.income, future.discounted, cost.value)
    done, early = of.tables["realised"].iloc[0], cac.cac_of(table, cac.of_all(policy.cac_basis), last - 17, last - 12)
    first = "first 12 months" + "; of all new customers, so over blended CAC" * (policy.cac_basis == "paid")
    covered = int(table["month"].between(last - 17, last - 12).sum())
    realised = margin.value * float(done["revenue"]) / (early.value * early.n) if early.n and covered == 6 else np.nan
    ratio = cac.cost_ratio(of.tables["months"], of.tables["costs"], table, subscriptions=of.subscriptions, last=last)
    months_used = int(table["month"].between(last - 5, last).sum())
    remark = f"{policy.cac_basis} CAC of {months_used} months" if np.isfinite(cost.value) else no_cac(cost)
    (_, worth, made_of, _), basis = headline, margin.basis
    most = ltv.scale(worth, 1 / target if target else np.nan)
    return rows + [
        metric("ltv_to_cac", period, ltv.over(worth, cost, of=made_of, basis=basis), unit="ratio", basis=basis, method=remark),
        metric("ltv_to_cac_realised", period, realised, n=early.n, unit="ratio", basis=basis,
               method=first if covered == 6 else f"needs spend of M − 17 to M − 12; {covered} of 6 months have it"),
        metric("payback_months", period, months_back, unit="months", basis=basis, method=how),
        metric("max_cac", period, most, unit=of.currency, basis=basis, method=f"LTV ÷ {target:g}"),
        metric("acquisition_to_retention_cost_ratio", period, ratio, unit="ratio",
               method="averages of six months; spend of all kinds (loaded)"),
    ]


def holdouts(of: Facts, terms) -> tuple[pd.DataFrame, str]:
    """Table clv_holdout: what the models said of the held-out months, against what came and against the naive rate; and why
    one of them is missing."""
    known = {"draws": terms.bootstrap, "seed": terms.seed, "confidence": of.policy.confidence}
    parts, why = [pd.DataFrame(columns=clv_models.HOLDOUT)], ""
    for wanted, predict, name in (
        (of.model, clv_models.purchase_holdout, "purchases_holdout"),
        (of.subscriptions and ("all", "all") in of.fits, clv_models.departure_holdout, "survival_holdout"),
    ):
        try:
            parts += [predict(of.tables[name], **known)] if wanted else []
        except (ReportError, ValueError) as error:
            why = str(error)
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True), why
