"""What makes up the worth of a new customer, what would change it, and what it may cost. Formulas: docs/methods.md."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from helpers.contracts import read_yaml
from helpers.metrics import checks
from helpers.metrics.ltv import Margin, monthly_rate
from helpers.metrics.members import Worth
from helpers.models.intervals import Estimate


@dataclass(frozen=True)
class Stream:
    """What a new customer brings month by month, and what is taken off; arrays by plan and month, or by month alone, add up
    over plans and may reach beyond the horizon."""

    ltv: Estimate  # discounted margin, before retention costs and CAC
    revenue: np.ndarray  # in each month of life; empty where no LTV is known
    curve: np.ndarray  # share still there in these months
    ages: np.ndarray  # months after the start, by which they are discounted
    horizon: int  # how many of them count
    margin: float
    annual_rate: float
    kept: float  # retention and loyalty costs of a month lived
    cac: float


STEPS = {  # lever -> unit, step, and the stream after a step down (−1) or up (1)
    "monthly churn": ("share", "±1 point", lambda of, side: staying(of, 1 - 0.01 * side)),
    "lifetime": ("months", "±1 month", lambda of, side: replace(of, horizon=of.horizon + side)),
    "price": ("money", "±5%", lambda of, side: replace(  # direct costs stay as they are in money
        of, revenue=of.revenue * (1 + 0.05 * side), margin=1 - (1 - of.margin) / (1 + 0.05 * side))),
    "gross margin": ("share", "±1 point", lambda of, side: replace(of, margin=min(1, of.margin + 0.01 * side))),
    "CAC": ("money", "±10%", lambda of, side: replace(of, cac=of.cac * (1 + 0.1 * side))),
    "discount rate": ("share", "±1 point", lambda of, side: replace(of, annual_rate=max(0, of.annual_rate + 0.01 * side))),
}


def net(of: Stream) -> float:
    """Discounted margin less retention costs, less CAC; NaN where the stream ends before its horizon."""
    if of.revenue.shape[-1] < of.horizon:
        return np.nan
    factors = (1 + monthly_rate(of.annual_rate)) ** -of.ages[: of.horizon]
    return float(np.sum((of.margin * of.revenue - of.kept * of.curve)[..., : of.horizon] @ factors)) - of.cac


def staying(of: Stream, factor: float) -> Stream:
    """With `factor` times the share of a plan's customers who stay from each month to the next, at most all of them."""
    both = np.stack([of.revenue, of.curve])
    before, after = both[..., :-1], both[..., 1:]
    ratio = np.divide(after, before, out=np.zeros_like(after), where=before != 0)
    stay = np.minimum(ratio * factor ** np.diff(of.ages), np.maximum(ratio, 1))
    both[..., 1:] = both[..., :1] * stay.cumprod(axis=-1)
    return replace(of, revenue=both[0], curve=both[1])


def mean_churn(of: Stream) -> float:
    """Customers who leave within the horizon over the months that they were there to leave in."""
    there = of.curve[..., : of.horizon]
    return float((there[..., 0] - there[..., -1]).sum() / there[..., :-1].sum()) if there.shape[-1] > 1 else np.nan


def member_streams(members: pd.DataFrame, company: Stream, found: dict[tuple[str, str], Worth], policy):
    """The company's stream, and one of each member of ltv_cac_by whose LTV is known and may be shown, by dimension and member.

    But for channels, whose spend is their own, a member without a CAC is taken to cost what the company's customers do.
    """
    streams = {("all", "all"): company}
    for row in members[members["customers"] >= policy.suppress_below].dropna(subset="ltv").itertuples():
        of = found[row.dimension, row.member]
        streams[row.dimension, row.member] = replace(
            company, ltv=of.ltv, revenue=of.revenue, curve=of.curve, ages=np.arange(of.curve.shape[-1]),
            cac=company.cac if row.dimension != "channel" and np.isnan(row.cac) else row.cac)
    return streams


def ladder(methods: pd.DataFrame, of: Stream, margin: Margin, costs: pd.DataFrame, brought: float) -> pd.DataFrame:
    """Table ltv_ladder: how a customer's revenue becomes what is left of it: `label, value, kind, basis, formula`.

    methods : ltv_methods. costs : from `summaries/costs`. brought : the value of referrals. Words are ladder.yaml's; the
    formula of an `absent` rung says what it needs. Totals are the metrics; changes are made anew from the stream.
    """
    metric, known = methods.set_index("method"), margin.basis == "gross_margin"
    value, bare = metric["value"], replace(of, kept=0.0, cac=0.0)
    now, flat = net(bare), net(replace(bare, annual_rate=0.0))
    whole, kept = net(replace(bare, annual_rate=0.0, margin=1.0)), net(replace(of, cac=0.0))
    values = [
        value["ltv_arpu_lifetime"], whole, flat - whole if known else np.nan, value["ltv_horizon"] if known else np.nan,
        now - flat, value["ltv_discounted"], kept - now if len(costs) else np.nan, -of.cac, value["ltv_net"], np.nan, brought,
    ]
    bases = {"margin": margin.basis} | ({} if known else {"net": margin.basis})
    table = pd.DataFrame(read_yaml("ladder.yaml")).assign(value=values).replace({"basis": bases})
    absent, needs = table["value"].isna(), table["needs"].fillna("not available: " + metric["remark"]["ltv_net"])
    table["formula"] = table["formula"].mask(absent, needs)
    return table.assign(kind=table["kind"].mask(absent, "absent"))[["label", "value", "kind", "basis", "formula"]]


def ladder_steps(table: pd.DataFrame) -> pd.DataFrame:
    """The rungs for a waterfall, `label, value, kind`: known, up to the last total, without changes of nothing."""
    total = table["kind"] == "total"
    shown = (total | (table["kind"] == "change") & (table["value"] != 0)) & total[::-1].cummax()
    return table.loc[shown, ["label", "value", "kind"]]


def ladder_checks(table: pd.DataFrame) -> pd.DataFrame:
    """One check a total after the first: what the changes make of the first one, against the metric that it is."""
    rungs = ladder_steps(table)
    later = (rungs["kind"] == "total") & (rungs["kind"] == "total").cumsum().gt(1)
    found = pd.DataFrame({"check": "LTV ladder adds up", "scope": rungs["label"], "expected": rungs["value"],
                          "actual": rungs["value"].mask(later, 0.0).cumsum(), "tolerance": 0.005})
    return checks(found[later])


def sensitivity(company: Stream, headline: Stream, margin: Margin) -> pd.DataFrame:
    """Table sensitivity: change in money of ltv_net and ltv with a step of one lever down and up, the largest first.

    company, headline : the streams behind ltv_net and behind ltv. Without a known margin that lever is left out.
    """
    price = (company if company.revenue.size else headline).revenue[..., :1].sum() or np.nan
    now = [mean_churn(company), company.horizon, price, margin.value, company.cac, company.annual_rate]
    rows = [
        (lever, at, unit, step, *(net(taken(of, side)) - net(of) for of in (company, headline) for side in (-1, 1)))
        for (lever, (unit, step, taken)), at in zip(STEPS.items(), now, strict=True)
        if lever != "gross margin" or margin.basis == "gross_margin"
    ]
    sides = ["ltv_net_lower", "ltv_net_higher", "ltv_lower", "ltv_higher"]
    table = pd.DataFrame(rows, columns=["lever", "now", "unit", "step", *sides])
    size = table[sides[:2]].abs().max(axis=1).fillna(table[sides[2:]].abs().max(axis=1))
    return table.loc[size.sort_values(ascending=False, kind="stable").index].reset_index(drop=True)


def swings(moved: pd.DataFrame) -> pd.DataFrame:
    """What to draw of `sensitivity`: by lever, the change of ltv_net, or of ltv where no net is known; without one no row."""
    sides = {side: moved[f"ltv_net_{side}"].fillna(moved[f"ltv_{side}"]) for side in ("lower", "higher")}
    table = pd.DataFrame(sides).set_axis(moved["lever"] + ", " + moved["step"])
    return table[(table != 0).any(axis=1)]


def max_cac_by(members: pd.DataFrame, streams: dict[tuple[str, str], Stream], *, target: float, payback: float) -> pd.DataFrame:
    """Table max_cac_by: what a customer of each member may cost, members ranked by the lower bound of their LTV.

    members : ltv_cac_by as shown. max_cac is ltv ÷ target; max_cac_payback the undiscounted margin of the first `payback`
    months, at most of the horizon. n : customers that the LTV rests on. Who has no LTV is not ranked; remark says why.
    """
    known = [(*key, net(replace(of, kept=0.0, cac=0.0, annual_rate=0.0, horizon=min(of.horizon, int(payback)))), of.ltv.n)
             for key, of in streams.items()]
    early = pd.DataFrame(known, columns=["dimension", "member", "max_cac_payback", "n"])
    table = members[["dimension", "member", "customers", "ltv", "ltv_low", "cac", "remark"]]
    table = table.assign(max_cac=table["ltv"] / target, headroom=table["ltv"] / target - table["cac"])
    table = table.merge(early, how="left", on=["dimension", "member"])
    unsure = table["ltv"].notna() & table["ltv_low"].isna()
    table = table.assign(rank=table.groupby("dimension")["ltv_low"].rank(ascending=False, method="min"),
                         remark=table.pop("remark").mask(unsure, "not ranked: the LTV has no lower bound"))
    return table.sort_values(["dimension", "rank", "member"], ignore_index=True)


def negative_ltv(streams: dict[tuple[str, str], Stream]) -> pd.DataFrame:
    """Table negative_ltv: who brings less than it costs, and what each lever alone must reach to bring that to 0.

    A row a member and lever; net = ltv − retention_costs − cac. `must_reach` is empty where the lever cannot do it. An unknown
    CAC counts as 0. Churn falls by as much at every age as `sensitivity` lets it; `now` and `must_reach` are its means over
    the horizon.
    """
    rows = []
    for key, of in streams.items():
        of = replace(of, cac=float(np.nan_to_num(of.cac)))
        short, brought = net(of), net(replace(of, margin=1.0, kept=0.0, cac=0.0))
        if not short < 0:
            continue
        margin, price = of.margin - short / brought if brought > 0 else np.nan, of.revenue[..., 0].sum()
        factor = brentq(lambda at, of=of: net(staying(of, at)), 1, 1000) if net(staying(of, 1000)) >= 0 else np.nan
        paid = net(replace(of, kept=0.0, cac=0.0)) - net(replace(of, cac=0.0))
        spread = [short + side - of.ltv.value for side in (of.ltv.low, of.ltv.high)]
        rows += [(*key, of.ltv.n, of.ltv.value, paid, of.cac, short, *spread, *lever) for lever in (
            ("gross margin", of.margin, margin if margin <= 1 else np.nan, "share"),
            ("monthly churn", mean_churn(of), mean_churn(staying(of, factor)), "share"),
            ("price", price, price * (1 + margin - of.margin), "money"),
            ("CAC", of.cac, of.cac + short if of.cac + short >= 0 else np.nan, "money"),
        )]
    columns = "dimension member n ltv retention_costs cac net low high lever now must_reach unit"
    return pd.DataFrame(rows, columns=columns.split())
