"""What customers cost by every cut, what the next ones cost, and when cohorts paid back. Formulas: docs/methods.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from helpers.metrics import checks, share
from helpers.metrics.cac import cac_of, of_all
from helpers.metrics.worth import Stream, net
from helpers.models.intervals import Estimate, pooled_rate, wilson

NOBODY = "(unattributed)"
NAMED = ["channel", "campaign"]  # the cuts that spend itself is recorded by
LEAST_MONTHS, LEAST_SPREAD, LATEST_MONTHS = 8, 0.1, 24  # of a channel whose response to spend is read
MATURE = 12  # months that all customers of a cohort must have been seen


def cac_by(rows: pd.DataFrame, months: pd.DataFrame, basis: str = "blended") -> pd.DataFrame:
    """Table cac_by: spend, new customers and CAC of six months by every cut, each adding up to the company.

    rows : from `summaries/cac_by`. months : `cac_by_month`, whose months count. By channel and campaign spend is the one
    recorded. In other cuts a customer carries what its channel spent ÷ the channel's new customers; spend of channels
    that won nobody is unattributed. basis : policy.cac_basis; `loaded` shares people and tools among all new customers alike,
    for nothing says whom they won; without new customers they are unattributed. A cut of which no member is
    known is left out; without spend there is no row.
    """
    rows = rows[rows["month"].isin(months["month"])]
    channels = rows[rows["dimension"] == "channel"].groupby("channel")[["media", "other", "new_customers"]].sum()
    each = channels["media"] / channels["new_customers"]  # nobody comes of a channel without new customers
    recorded = rows["dimension"].isin(NAMED)
    rows = rows.assign(spend=rows["media"].where(recorded, rows["new_customers"] * rows["channel"].map(each)))
    cuts = [*NAMED, "segment", "plan", "country"]
    cuts = [name for name in [*cuts, *sorted({*rows["dimension"]}.difference(cuts))]
            if (rows.loc[rows["dimension"] == name, "member"] != NOBODY).any()]
    lost = channels.loc[channels["new_customers"] == 0, "media"].sum()
    rest = pd.DataFrame({"dimension": cuts, "member": NOBODY, "spend": [0.0 if name in NAMED else lost for name in cuts]})
    table = pd.concat([rows[rows["dimension"].isin(cuts)], rest]).rename(columns={"new_customers": "customers"})
    table = table.groupby(["dimension", "member"], as_index=False)[["spend", "customers"]].sum().astype({"spend": float})
    table, known = table.assign(media=table["spend"]), table["member"] != NOBODY
    if basis == "loaded":
        won, other = channels["new_customers"].sum(), float(channels["other"].sum())
        table["spend"] += other * (table["customers"] / won if won else ~known)
    spend, named = table["spend"], table["dimension"].isin(NAMED)
    table = table.assign(
        share_of_spend=share(spend.to_numpy(), spend.groupby(table["dimension"]).transform("sum").to_numpy()),
        cac=share(spend.where((spend > 0) & known).to_numpy(), table["customers"].to_numpy(dtype=float)),
        how=np.where(named, "recorded with the spend", "as its customers' channels cost"),
        cac_basis=np.where(named | (basis != "paid"), basis, "blended"),
        place=table["dimension"].map(cuts.index), unknown=~known, less=-spend,
    ).sort_values(["place", "unknown", "less", "member"], ignore_index=True)
    table["how"] += ", people and tools by new customers" if basis == "loaded" else ""
    return table[["dimension", "member", "customers", "media", "spend", "share_of_spend", "cac", "cac_basis", "how"]]


def cac_checks(table: pd.DataFrame, months: pd.DataFrame, last: int, basis: str = "blended") -> pd.DataFrame:
    """Two checks a cut of cac_by: its spend and its customers against the company's on a basis. months : `cac_by_month`."""
    window = months[months["month"].between(last - 5, last)]
    sums = table.groupby("dimension", sort=False)[["spend", "customers"]].sum()
    return checks(pd.concat([
        pd.DataFrame({"check": f"{what} by member add up", "scope": sums.index, "expected": float(window[whole].sum()),
                      "actual": sums[what].to_numpy(dtype=float), "tolerance": 0.005})
        for what, whole in (("spend", "loaded" if basis == "loaded" else "media"), ("customers", "acquired"))
    ], ignore_index=True))


def spend_outside(spend: pd.DataFrame, months: pd.DataFrame, lag: int) -> tuple[float, int]:
    """Spend of all kinds that counts in no CAC, for its month meets none with customers, and in how many months it lies.

    spend : from `summaries/spend`. months : `cac_by_month`.
    """
    left = spend[~(spend["month"] + lag).isin(months["month"]) & (spend["loaded"] > 0)]
    return float(left["loaded"].sum()), left["month"].nunique()


def referrals(
    found: pd.DataFrame, months: pd.DataFrame, of: Stream, confidence: float
) -> tuple[pd.DataFrame, Estimate, Estimate]:
    """Table referrals, the chance to bring a new customer in a month, and what a customer brings so over its horizon, in money.

    found, months : from `summaries/referrals` and `summaries/months`. The chance is pooled over the months, with what differs
    between them; a month of life is worth chance × what one who is brought is worth before CAC, discounted to its age. Who is
    brought by those is left out. NaN where nobody is named, or no LTV is known; the interval is that of the chance alone.
    """
    table = found.merge(months[["month", "active_start"]], on="month", how="left").rename(columns={"active_start": "customers"})
    chance, worth = pooled_rate(table["brought"], table["customers"], confidence), net(replace(of, cac=0.0))
    each = net(replace(of, revenue=of.curve, margin=1.0, kept=0.0, cac=0.0)) * worth if of.revenue.size else np.nan
    value = Estimate(chance.value * each, *sorted((chance.low * each, chance.high * each)), chance.n)
    return table[["month", "customers", "new_customers", "brought"]], chance, value


def referred(
    table: pd.DataFrame, chance: Estimate, brought: Estimate, number: Callable[[float, str], str], currency: str
) -> str:
    """What `referrals` found, in a sentence."""
    if table.empty:
        return "Who brought whom is not known: referred_by of customers would tell."
    told, both = table[["brought", "new_customers"]].sum(), ((chance, "share"), (brought, currency))
    seen, worth = (f"{number(of.value, unit)} ({number(of.low, unit)} to {number(of.high, unit)})" for of, unit in both)
    new, came = (number(told[name], "count") for name in ("new_customers", "brought"))
    text = (f"Of {new} new customers of six months {came} were brought by another: a chance of {seen} in each of "
            f"{number(chance.n, 'count')} customer months")
    return f"{text}." if np.isnan(brought.value) else (
        f"{text}, worth {worth} over the horizon. It is no rung: who is brought counts as a new customer, too, and may have "
        "come without being brought.")


def trial_conversions(trials: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """The share of ended trials that a paid time followed, by month of their end and pooled, with Wilson's interval.

    trials : `period, trials, converted`, from `summaries/trials`. The row of all months, where there are several, stands last.
    """
    total = trials[["trials", "converted"]].sum()
    rows = [trials, pd.DataFrame([{"period": f"{trials['period'].min()} to {trials['period'].max()}", **total}])]
    table = pd.concat(rows if len(trials) > 1 else rows[:1], ignore_index=True)
    low, high = wilson(table["converted"], table["trials"], confidence)
    return table.assign(conversion_rate=table["converted"] / table["trials"], low=low, high=high)


def marginal_cac(spend: pd.DataFrame, months: pd.DataFrame, *, lag: int, confidence: float) -> pd.DataFrame:
    """Table cac_marginal: by channel with media spend, the mean CAC of up to 24 months beside that of the last tenth.

    spend : from `summaries/spend`. months : `cac_by_month`. New customers of a month are taken as Poisson-like counts whose
    mean is proportional to spend^e: a tenth less spend loses 1 − 0.9^e of the customers. Quasi-likelihood with the months'
    dispersion, at least 1, and Student's t of months − 2 (McCullagh and Nelder 1989, 9.2). A bound beyond which spend
    brings nobody is empty. Correlation over months, no experiment.
    """
    window, rows = set(months["month"].tail(LATEST_MONTHS)), []
    people, paying = spend.set_index(["channel", "month"])["new_customers"], spend[spend["media"] > 0]
    for channel, part in paying.assign(month=paying["month"] + lag).groupby("channel"):
        part = part[part["month"].isin(window)]
        x, y = part["media"].to_numpy(dtype=float), people.reindex([(channel, month) for month in part["month"]]).fillna(0)
        y, n, remark = y.to_numpy(dtype=float), len(x), ""
        if n < LEAST_MONTHS:
            remark = f"needs {LEAST_MONTHS} months with spend"
        elif x.std(ddof=1) < LEAST_SPREAD * x.mean():
            remark = f"spend varies by less than {LEAST_SPREAD:.0%}"
        elif len(np.unique(x[y > 0])) < 2:  # nothing to tell a response from
            remark = "too few new customers name this channel"
        e, low, high = (np.nan,) * 3 if remark else elasticity(x, y, confidence)
        mean = x.sum() / y.sum() if y.sum() else np.nan
        last, best, worst = (0.1 * mean / (1 - 0.9**at) if at > 0 else np.nan for at in (e, high, low))
        remark = remark or ("" if e > 0 else "months with more spend brought no more customers")
        rows.append((channel, n, x.sum(), int(y.sum()), mean, last, best, worst, e, remark))
    columns = "channel months spend customers cac cac_last_tenth low high elasticity remark".split()
    return pd.DataFrame(rows, columns=columns)


def elasticity(x: np.ndarray, y: np.ndarray, confidence: float) -> tuple[float, float, float]:
    """e of E[y] = k·x^e with its bounds, by Fisher scoring; x above 0, two of y above 0."""
    design = np.column_stack([np.ones(len(x)), np.log(x / x.mean())])
    mean = y + 0.5  # a start that has a log
    for _ in range(100):
        working = np.log(mean) + (y - mean) / mean
        information = design.T @ (design * mean[:, None])
        beta = np.linalg.solve(information, design.T @ (mean * working))
        before, mean = mean, np.exp(np.clip(design @ beta, -30, 30))
        if np.allclose(mean, before, rtol=1e-10):
            break
    free = len(x) - 2
    dispersion = max(1.0, ((y - mean) ** 2 / mean).sum() / free)
    half = stdtrit(free, 0.5 + confidence / 2) * np.sqrt(dispersion * np.linalg.inv(design.T @ (design * mean[:, None]))[1, 1])
    return float(beta[1]), float(beta[1] - half), float(beta[1] + half)


def cohort_margins(cohorts: pd.DataFrame, months: pd.DataFrame, *, margin: float, worth: str, basis: str, last: int):
    """A row per calendar quarter of joining and month since: realised margin so far per customer acquired, and their CAC.

    cohorts : from `summaries/cohorts`. months : `cac_by_month`; months without a known CAC take no part. margin : g.
    worth : the column that is multiplied by it. basis : paid is taken as blended, for the margin is that of all. Month 1 is
    the one of joining; months that not all have seen are absent.
    """
    rows = cohorts[cohorts["cohort"].isin(months["month"])]
    rows, parts = rows.assign(quarter=(rows["cohort"] - 1) // 3), []
    for quarter, part in rows.groupby("quarter"):
        customers = part.loc[part["age"] == 0, "customers"].sum()
        path = part.groupby("age")[worth].sum().astype(float).head(last - int(part["cohort"].max()) + 1).cumsum()
        cost = cac_of(months, of_all(basis), 3 * quarter + 1, 3 * quarter + 3).value
        parts.append(pd.DataFrame({"cohort": f"{quarter // 4} Q{quarter % 4 + 1}", "customers": int(customers), "cac": cost,
                                   "month": path.index + 1, "margin": margin * path.to_numpy() / customers}))
    columns = ["cohort", "customers", "cac", "month", "margin"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def payback_by_cohort(margins: pd.DataFrame) -> pd.DataFrame:
    """Table payback_by_cohort: CAC, margin after 3, 6 and 12 months, and the first month that covers the cost, if any yet.

    margins : `cohort_margins`. A cohort is immature until all of it have been seen for twelve months.
    """
    rows = []
    for (cohort, customers, cost), part in margins.groupby(["cohort", "customers", "cac"], dropna=False):
        path, seen = part.set_index("month")["margin"], len(part)
        back = path.index[path >= cost].min()
        said = "CAC not known" if np.isnan(cost) else "paid back" if back > 0 else f"not yet ({seen} months seen)"
        rows.append((cohort, customers, cost, *(path.get(at, np.nan) for at in (3, 6, 12)), back, seen,
                     said + (", immature" if seen < MATURE else "")))
    columns = "cohort customers cac margin_3_months margin_6_months margin_12_months paid_back_month months_seen state".split()
    return pd.DataFrame(rows, columns=columns)


def payback_paths(margins: pd.DataFrame, expected: pd.DataFrame) -> pd.DataFrame:
    """Margin so far ÷ CAC by `cohort` and `month`, to month 24: of a new customer as expected, then of the last 8 cohorts.

    margins : `cohort_margins`. expected : `month, margin, cac`.
    """
    latest = sorted(margins["cohort"].unique())[:-9:-1]
    parts = [expected.assign(cohort="expected"), *(margins[margins["cohort"] == name] for name in latest)]
    both = pd.concat([part for part in parts if len(part)] or parts)
    return both.assign(paid_back=both["margin"] / both["cac"]).query("month <= 24")[["cohort", "month", "paid_back"]].dropna()


def shrunken(members: pd.DataFrame, confidence: float) -> pd.Series:
    """LTV of each member drawn towards the mean of its dimension, the more the less sure it is; empty below 3 members.

    members : `dimension, ltv, ltv_low, ltv_high`; bounds not above 0 take no part. Empirical Bayes, log-normal within and
    between (Morris 1983, JASA 78, 47–55), the variance between by moments (DerSimonian and Laird 1986, Controlled Clinical
    Trials 7, 177–188).
    """
    known = members[["ltv", "ltv_low", "ltv_high"]].astype(float)
    logs = np.log(known.where(known["ltv_low"] > 0))
    error = (logs["ltv_high"] - logs["ltv_low"]) / (2 * ndtri(0.5 + confidence / 2))
    found = pd.Series(np.nan, members.index)
    for _, part in logs["ltv"].where(error > 0).dropna().groupby(members["dimension"]):
        if len(part) < 3:
            continue
        variance = error[part.index] ** 2
        w = 1 / variance
        chance = (w * (part - np.average(part, weights=w)) ** 2).sum() - (len(part) - 1)
        between = max(0.0, chance / (w.sum() - (w**2).sum() / w.sum()))
        centre = np.average(part, weights=1 / (variance + between))
        found[part.index] = np.exp(centre + between / (between + variance) * (part - centre))
    return found
