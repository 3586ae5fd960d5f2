"""What every estimate of 02_ltv_cac rests on: churn, margin, curves, the purchase model and CAC, from its summary tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from helpers.metrics import cac, clv_models, ltv
from helpers.metrics.retention import pooled_churn, shared_churn
from helpers.models.intervals import Estimate


@dataclass(frozen=True)
class Facts:
    """What every estimate of the page rests on."""

    tables: dict[str, pd.DataFrame]
    policy: Any
    period: str  # the report month
    last: int  # its index
    currency: str
    subscriptions: bool
    transactions: bool
    reason: str  # why no lifetime can be estimated; empty where one can
    churn: Estimate
    shared: float  # what differs between months alike for all
    margin: ltv.Margin
    worth: dict[tuple[str, str], Estimate]
    fits: dict
    model: clv_models.PurchaseModel | None
    remarks: dict[str, str]
    kept: float  # what refunds leave of a unit of sales
    spend: pd.DataFrame  # CAC by month
    cost: Estimate  # CAC of six months

    def ahead(self, horizon: int, margin: float) -> ltv.Horizon:
        """The LTV of so many months by the curves of plans."""
        new, policy = self.tables["new_by_plan"], self.policy
        return ltv.unknown_horizon(self.reason) if self.reason else ltv.horizon_ltv(
            self.tables["survival"], self.fits, self.worth, new if self.subscriptions else new.head(0), margin=margin,
            horizon=horizon, annual_rate=policy.annual_discount_rate, min_customers=policy.min_customers,
            confidence=policy.confidence, shared=self.shared)

    @property
    def net_basis(self) -> str:
        return "net" if self.margin.basis == "gross_margin" else self.margin.basis


def facts(tables: dict[str, pd.DataFrame], *, period: str, last: int, currency: str, given: set[str], policy, terms) -> Facts:
    """Each estimated once. Arguments: as of `ltv_cac.analyse`."""
    months, ends, in_month = tables["months"], tables["survival"], policy.in_month_churn
    reason = ltv.estimable(tables["lifetimes"], ends, last)
    model, remarks = purchase_model(tables, policy, terms, "transactions" in given)
    spend = cac.cac_by_month(tables["spend"], months, lag=policy.cac_lag_months)
    return Facts(
        tables=tables, policy=policy, period=period, last=last, currency=currency,
        subscriptions="subscriptions" in given, transactions="transactions" in given, reason=reason,
        churn=pooled_churn(months, window=policy.churn_window_months, in_month_churn=in_month, confidence=policy.confidence),
        shared=shared_churn(months, in_month_churn=in_month, confidence=policy.confidence),
        margin=ltv.gross_margin(tables["costs"], policy.gross_margin),
        worth=ltv.value_a_month(tables["customer_value"], confidence=policy.confidence),
        fits={} if reason else clv_models.sbg_by_member(ends, min_events=policy.min_events),
        model=model, remarks=remarks, kept=clv_models.kept_of_sales(tables["regularity"]),
        spend=spend, cost=cac.cac_of(spend, policy.cac_basis, last - 5, last),
    )


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
