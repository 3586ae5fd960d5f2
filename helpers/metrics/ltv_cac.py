"""The LTV and CAC page: every estimate of 02_ltv_cac from its summary tables, in one pass."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from helpers.contracts import ReportError, definitions
from helpers.metrics import acquisition, cac, clv_models, frame, ltv, metric, monthly
from helpers.metrics.members import member_terms, worth_by
from helpers.metrics.retention import pooled_churn, shared_churn
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
    subscriptions, transactions = "subscriptions" in given, "transactions" in given
    months, ends, confidence = tables["months"], tables["survival"], policy.confidence
    rows = ltv.revenue_metrics(months, currency=currency, subscriptions=subscriptions, transactions=transactions)
    churn = pooled_churn(
        months, window=policy.churn_window_months, in_month_churn=policy.in_month_churn, confidence=confidence
    )
    shared = shared_churn(months, in_month_churn=policy.in_month_churn, confidence=confidence)
    reason = ltv.estimable(tables["lifetimes"], ends, last)
    how = reason or f"{policy.churn_window_months} months; n in customer-months"
    rows.append(metric("churn_rate_pooled", period, churn, unit="share", method=how))

    margin = ltv.gross_margin(tables["costs"], policy.gross_margin)
    share = margin.value if margin.basis == "gross_margin" else np.nan
    rows.append(metric("gross_margin", period, share, unit="share", method=margin.method))
    worth = ltv.value_a_month(tables["customer_value"], confidence=confidence)
    fits = {} if reason else clv_models.sbg_by_member(ends, min_events=policy.min_events)
    lives = [(name, ltv.UNKNOWN, reason) for name in ltv.LIFETIMES] if reason else ltv.lifetimes(
        churn, ltv.select(ends, ("all", "all")), tables["lifetimes"], horizon=policy.horizon_months, confidence=confidence,
        shared=shared,
    )
    rows += [metric(name, period, value, unit="months", method=how) for name, value, how in lives]

    model, remarks = purchase_model(tables, policy, terms, transactions)
    kept = clv_models.kept_of_sales(tables["regularity"])

    def ahead(horizon: int, share: float) -> ltv.Horizon:
        return ltv.unknown_horizon(reason) if reason else ltv.horizon_ltv(
            ends, fits, worth, tables["new_by_plan"] if subscriptions else tables["new_by_plan"].head(0), margin=share,
            horizon=horizon, annual_rate=policy.annual_discount_rate, min_customers=policy.min_customers, confidence=confidence,
            shared=shared,
        )

    future = ahead(policy.horizon_months, margin.value)
    each = worth.get(("all", "all"), ltv.UNKNOWN)
    if subscriptions:
        each = ltv.arpa(tables["customer_value"], confidence)
    methods = classic_methods(months, churn, each, margin, transactions) + [
        ("ltv_horizon", future.plain, margin.basis, future.method),
        ("ltv_discounted", future.discounted, margin.basis, future.method),
    ]
    if reason:
        methods = [(name, ltv.UNKNOWN, basis, reason) for name, _, basis, _ in methods]
    elif not subscriptions:
        methods = [(name, value, basis, f"{how}; {NO_CONTRACT}") for name, value, basis, how in methods]
    headline = ("ltv", *methods[-1][1:])
    if not subscriptions:
        headline = ("ltv", ltv.UNKNOWN, margin.basis, f"not_estimable: {remarks['bg_nbd']}")
    if model and not subscriptions:
        rate = ltv.monthly_rate(policy.annual_discount_rate)
        value = clv_models.new_customer_value(
            model, margin=margin.value * kept, horizon=policy.horizon_months, rate=rate, confidence=confidence
        )
        back = f"; refunds take {1 - kept:.1%} of sales" if kept != 1 else ""
        headline = ("ltv", value, margin.basis, f"BG/NBD × Gamma-Gamma, of a new customer{back}")

    costs_by_month = cac.cac_by_month(tables["spend"], months, lag=policy.cac_lag_months)
    cost = cac.cac_of(costs_by_month, policy.cac_basis, last - 5, last)
    rest = net(future, months, tables["costs"], cost.value, policy, last)
    paid, remark = "net" if margin.basis == "gross_margin" else margin.basis, net_remark(cost, future, tables["costs"], last)
    methods.append(("ltv_net", rest, paid, remark))
    methods.append(headline)
    rows += [metric(name, period, value, unit=currency, basis=basis, method=how) for name, value, basis, how in methods]
    rows += cost_rows(tables, months, costs_by_month, cost, headline, margin, future, period, currency, policy, last,
                      subscriptions, target)

    cuts = acquisition.cac_by(tables["cac_by"], costs_by_month, policy.cac_basis).set_index(["dimension", "member"])
    found = worth_by(
        tables, fits, worth, margin=margin.value, policy=policy, reason=reason, split=tables["member_ages"])
    won = tables["cac_by"].groupby(["dimension", "member"])["new_customers"].sum()
    members = cac.by_member(found, won, cuts["cac"].to_dict(), horizon=policy.horizon_months, margin=margin.value)
    members = members.join(cuts["cac_basis"].where(cuts["cac"].notna()), on=["dimension", "member"])
    parameters = [clv_models.sbg_parameters({k: v for k, v in fits.items() if k[0] in ("all", "plan", "segment")}, confidence)]
    if model:
        parameters.insert(0, clv_models.parameters(model, confidence, currency))
    members["ltv_shrunken"] = acquisition.shrunken(members, confidence)
    path = ahead(policy.horizon_months + 1, 1.0)  # a month further, where the curve can go there
    path = path if len(path.curve) else ahead(policy.horizon_months, 1.0)
    company = Stream(future.discounted, *ltv.by_plan(path.plans), np.arange(len(path.curve)), policy.horizon_months,
                     margin.value, policy.annual_discount_rate, retained(months, tables["costs"], last), cost.value)
    source = replace(company, kept=0.0, cac=0.0)
    if not subscriptions:
        bought = kept * clv_models.revenue_by_month(
            model.purchases, model.spend, policy.horizon_months + 1) if model else np.zeros(0)
        source = replace(source, ltv=headline[1], revenue=bought, curve=np.zeros(len(bought)),
                         ages=np.maximum(np.arange(len(bought)) - 0.5, 0), horizon=policy.horizon_months + 1)
    curve = pd.DataFrame({"month": np.arange(1, len(future.income) + 1), "margin": np.cumsum(future.income)})
    plans = {plan.key: (0.0, plan.value, plan.lived) for of in found.values() for _, plan in of.mix} | future.plans
    curves = ltv.curve_table(plans, margin=margin.value, annual_rate=policy.annual_discount_rate, kept=company.kept,
                             below=policy.suppress_below)
    streams = member_streams(members, company, found, policy)
    split = [metric("ltv_net", period, net_of(of), low=of.ltv.low - of.ltv.value + net_of(of), n=of.ltv.n, unit=currency,
                    high=of.ltv.high - of.ltv.value + net_of(of), basis=paid, method=remark, dimension=name, member=member)
             for (name, member), of in streams.items() if name != "all" and np.isfinite(net_of(of))]
    return Analysis(
        frame(rows + split), ltv.ltv_methods(rows, formulas), pd.concat(parameters, ignore_index=True),
        holdouts(tables, model, fits, terms, confidence, subscriptions, remarks), members,
        costs_by_month, curve.assign(cac=cost.value), margin, streams,
        source, curves, member_terms(found, policy.suppress_below), remarks | {"lifetime": reason, "margin": margin.method},
        kept, model,
    )


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
    ratios = {"ratio": table["ltv_to_cac"], "low": table["ltv_low"] / table["cac"], "high": table["ltv_high"] / table["cac"]}
    return pd.DataFrame(ratios)


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


def purchase_model(tables, policy, terms, transactions: bool):
    """BG/NBD with Gamma-Gamma of the book, or the reason why there is none."""
    reason = "needs transactions" if not transactions else clv_models.refusal(
        tables["purchases"], tables["repeat_spend"], tables["regularity"], policy.min_customers
    )
    if reason:
        return None, {"bg_nbd": reason}
    try:
        fitted = clv_models.fit_purchases(tables["purchases"], tables["repeat_spend"], draws=terms.bootstrap, seed=terms.seed)
    except ValueError as error:  # a book that no parameters fit is no fault of the run
        return None, {"bg_nbd": f"no fit: {error}"}
    if not np.isfinite(fitted.spend.mean):
        return None, {"bg_nbd": f"the mean purchase is not finite (Gamma-Gamma q = {fitted.spend.q:.2f}, at most 1)"}
    return fitted, {"bg_nbd": ""}


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


def net_remark(cost: Estimate, future, costs: pd.DataFrame, last: int) -> str:
    if np.isnan(future.discounted.value):
        return future.method
    if np.isnan(cost.value):
        return no_cac(cost)
    kept = costs.loc[costs["month"] == last, "retention"].sum()
    return "less retention and loyalty costs per month of life, less CAC" if kept else "less CAC; no retention costs this month"


def no_cac(cost: Estimate) -> str:
    """Why there is no CAC."""
    return "no spend on this basis in six months" if cost.n else NO_SPEND


def cost_rows(tables, months, table, cost, headline, margin, future, period, currency, policy, last, subscriptions, target):
    """Metric rows of CAC, LTV:CAC (expected, realised), payback, the most a customer may cost, and the cost ratio."""
    rows = []
    for name, people in (("cac_blended", "acquired"), ("cac_paid", "acquired_paid"), ("cac_loaded", "acquired")):
        rows += monthly(table, name, table[name], unit=currency, n=table[people])
    months_back, how = cac.payback(future.income, future.discounted, cost.value)
    done, early = tables["realised"].iloc[0], cac.cac_of(table, cac.of_all(policy.cac_basis), last - 17, last - 12)
    first = "first 12 months" + "; of all new customers, so over blended CAC" * (policy.cac_basis == "paid")
    covered = int(table["month"].between(last - 17, last - 12).sum())
    realised = margin.value * float(done["revenue"]) / (early.value * early.n) if early.n and covered == 6 else np.nan
    ratio = cac.cost_ratio(months, tables["costs"], table, subscriptions=subscriptions, last=last)
    months_used = int(table["month"].between(last - 5, last).sum())
    remark = f"{policy.cac_basis} CAC of {months_used} months" if np.isfinite(cost.value) else no_cac(cost)
    (_, worth, of, _), basis = headline, margin.basis
    most = ltv.scale(worth, 1 / target if target else np.nan)
    return rows + [
        metric("ltv_to_cac", period, ltv.over(worth, cost, of=of, basis=basis), unit="ratio", basis=basis, method=remark),
        metric("ltv_to_cac_realised", period, realised, n=early.n, unit="ratio", basis=basis,
               method=first if covered == 6 else f"needs spend of M − 17 to M − 12; {covered} of 6 months have it"),
        metric("payback_months", period, months_back, unit="months", basis=basis, method=how),
        metric("max_cac", period, most, unit=currency, basis=basis, method=f"LTV ÷ {target:g}"),
        metric("acquisition_to_retention_cost_ratio", period, ratio, unit="ratio",
               method="averages of six months; spend of all kinds (loaded)"),
    ]


def holdouts(tables, model, fits, terms, confidence: float, subscriptions: bool, remarks: dict[str, str]) -> pd.DataFrame:
    """Table clv_holdout: what the models said of the held-out months, against what came and against the naive rate."""
    known = {"draws": terms.bootstrap, "seed": terms.seed, "confidence": confidence}
    parts = [pd.DataFrame(columns=clv_models.HOLDOUT)]
    for wanted, predict, name in (
        (model, clv_models.purchase_holdout, "purchases_holdout"),
        (subscriptions and ("all", "all") in fits, clv_models.departure_holdout, "survival_holdout"),
    ):
        try:
            parts += [predict(tables[name], **known)] if wanted else []
        except (ReportError, ValueError) as error:
            remarks["holdout"] = str(error)
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
