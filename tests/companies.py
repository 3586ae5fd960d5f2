"""Companies that break the models, drawn a thousand times each: how often the kit's 95 % intervals hold the truth.

`python tests/companies.py 1000 [company …]` prints the tables of docs/truth.md, which names the truth of each estimand.
"""

import sys
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
from simulate import histories, subscribers

from helpers.metrics import clv_models, forecast, ltv
from helpers.metrics.retention import kept_share, pooled_churn, shared_churn
from helpers.models.intervals import Estimate, product, ratio_of_sums

H, MARGIN, RATE, CAC, NORMAL, STUDENT_5 = 36, 0.78, 0.10, 100.0, 1.959964, 2.570582
NAIVE = pd.DataFrame([{"months": 10, "ended": 1, "months_squared": 100}])
AGES = np.arange(1, 61)


@dataclass(frozen=True)
class Plan:
    share: float  # of new customers
    hazards: np.ndarray  # the mean chance to leave at the end of month 1, 2, …
    amount: float  # mean MRR
    term: int = 1  # months from bill to bill

    def alive(self) -> np.ndarray:
        """S(0), S(1), …"""
        return np.append(1, np.cumprod(1 - self.hazards))


@dataclass(frozen=True)
class Company:
    plans: dict[str, Plan]
    shock: float = 0.0  # standard deviation of a month's factor, lognormal with mean 1
    sigma: float = 0.5  # of the log of an account's MRR within its plan
    paused: float = 0.0  # share of who is there that pays nothing
    lean: float = 0.0  # chance to leave is exp(−lean · z), z the standardised log of MRR
    customers: int = 6_000
    months: int = 36
    seen: int | None = None

    def joined(self, plan: str) -> np.ndarray:
        """Customers watched for 1, 2, … months: a book that grows as the demo company does."""
        weight = 100 + 2 * np.arange(self.months)[::-1]
        return np.round(self.customers * self.plans[plan].share * weight / weight.sum()).astype(int)


def even(hazard) -> dict[str, Plan]:
    return {"even": Plan(1.0, np.resize(hazard, 60), 50.0)}


BETA_GEOMETRIC = 1 / (1 + 15 + AGES - 1)  # customers who differ: from 6 % in the first month to 2 % in the 36th
LATE = 0.7 / (0.7 + 8 + AGES - 1)
FALLING = np.select([AGES <= 3, AGES <= 6, AGES <= 12], [0.08, 0.055, 0.04], 0.025)
RENEWALS = np.where(AGES % 12 == 0, 0.25, 0.0)

CONSTANT = even(0.04)
COMPANIES = {
    "shocks of 10 %": Company(CONSTANT, shock=0.10),
    "shocks of 15 %": Company(CONSTANT, shock=0.15),
    "shocks of 25 %": Company(CONSTANT, shock=0.25),
    "large, shocks of 15 %": Company(CONSTANT, shock=0.15, customers=60_000),
    "yearly renewals": Company({"monthly": Plan(0.6, FALLING, 40.0), "yearly": Plan(0.4, RENEWALS, 70.0, 12)}, shock=0.10),
    "yearly renewals, young": Company(
        {"monthly": Plan(0.6, FALLING, 40.0), "yearly": Plan(0.4, RENEWALS, 70.0, 12)}, shock=0.10, months=18),
    "heavy tails": Company(even(BETA_GEOMETRIC), shock=0.10, sigma=1.0, lean=0.25),
    "late book": Company(even(LATE), shock=0.10, months=60, seen=24),
    "many paused": Company(even(BETA_GEOMETRIC), shock=0.10, paused=0.30),
}

FORECASTS = {  # books whose next twelve months are foretold: months of history, new customers a month, shock, spread of amounts
    "forecast, shocks of 10 %": (30, 25, 0.1, 0.7),
    "forecast, shocks of 30 %": (30, 25, 0.3, 0.7),
    "forecast, heavy tails": (30, 25, 0.2, 1.2),
    "forecast, young": (15, 60, 0.2, 0.7),
}


def truths(of: Company) -> dict[str, float]:
    """What the figures of a company estimate: its mean chances, over the customers it has and wins."""
    left = there = 0.0
    joined = {name: of.joined(name) for name in of.plans}
    for name, plan in of.plans.items():
        for back in range(6):
            watched = np.arange(back + 1, of.months + 1)         # at age watched − back when that month ended
            start = joined[name][watched - 1] * plan.alive()[watched - back - 1]
            there, left = there + start.sum(), left + start @ plan.hazards[watched - back - 1]
    shares = {name: plan.share for name, plan in of.plans.items()}
    new = {name: joined[name][:6].sum() for name in of.plans}
    factors = (1 + RATE) ** (-np.arange(H) / 12)
    worth = sum(new[name] * plan.amount * (plan.alive()[:H] @ factors) for name, plan in of.plans.items())
    ltv_true = MARGIN * (1 - of.paused) * worth / sum(new.values())
    return {
        "churn_rate_pooled": left / there,
        "lifetime_months_churn": there / left,
        "lifetime_months_rmst": sum(shares[name] * plan.alive()[: min(H, of.months)].sum() for name, plan in of.plans.items()),
        "ltv": ltv_true, "ltv_to_cac": ltv_true / CAC,
    }


def value_sums(rng, of: Company, living: dict[str, int]) -> pd.DataFrame:
    """A table as `summaries/customer_value` gives it, of accounts with lognormal MRR."""
    rows = []
    for name, count in living.items():
        y = of.plans[name].amount * np.exp(of.sigma * rng.normal(size=count) - of.sigma**2 / 2)
        if of.paused:
            y[rng.random(count) < of.paused] = 0
        rows.append(("plan", name, count, y.sum(), count, y @ y, y.sum(), count))
    table = pd.DataFrame(rows, columns="dimension member customers sum_y sum_x sum_yy sum_xy sum_xx".split())
    whole = table.drop(columns=["dimension", "member"]).sum()
    return pd.concat([table, pd.DataFrame([whole]).assign(dimension="all", member="all")], ignore_index=True)


def estimates(rng, of: Company, count: int):
    """One dict a book: estimand -> Estimate, through the kit's own path from summary tables to figures."""
    shocks = np.exp(of.shock * rng.normal(size=(count, of.months)) - of.shock**2 / 2)
    drawn = {name: histories(rng, plan.hazards, of.joined(name), shocks, of.seen) for name, plan in of.plans.items()}
    ages = np.arange(of.months + 1)
    alone = len(of.plans) == 1
    new = pd.DataFrame({"plan_id": list(of.plans), "new_customers": [of.joined(name)[:6].sum() for name in of.plans]})
    new = new.head(0) if alone else new
    for book in range(count):
        parts = {("plan", name): [table[book] for table in tables] for name, tables in drawn.items()}
        whole = [sum(tables) for tables in zip(*parts.values(), strict=True)]
        split = pd.concat([
            pd.DataFrame({"dimension": dimension, "member": member, "month": ages, "events": events, "censored": censored,
                          "entered": entered, "term": of.plans[member].term})
            for (dimension, member), (events, censored, entered, _, _) in parts.items()], ignore_index=True)
        ends = split.assign(dimension="all", member="all")           # of one plan there is no split
        ends = ends if alone else pd.concat([split, ends], ignore_index=True)
        churned, start = whole[3:]
        months = pd.DataFrame({"moves": True, "churned": churned, "in_month_churn": 0, "active_start": start})
        churn, shared = pooled_churn(months, window=6), shared_churn(months)
        by_churn, area, _ = ltv.lifetimes(churn, ltv.select(ends, ("all", "all")), NAIVE, horizon=H, confidence=0.95,
                                          shared=shared)
        sums = value_sums(rng, of, {name: int(drawn[name][1][book].sum()) for name in of.plans})
        future = ltv.horizon_ltv(
            ends, clv_models.sbg_by_member(ends if alone else ends[ends["dimension"] == "plan"], min_events=5),
            ltv.value_a_month(sums, confidence=0.95), new, margin=MARGIN, horizon=H, annual_rate=RATE, min_customers=30,
            confidence=0.95, shared=shared)
        cost = Estimate(CAC, CAC, CAC, 1_000)
        rates = (churned / start)[-6:]
        half = STUDENT_5 * rates.std(ddof=1) / 6**0.5
        yield {
            "months": (rates.mean() - half, rates.mean() + half),
            "churn_rate_pooled": churn, "lifetime_months_churn": by_churn[1], "lifetime_months_rmst": area[1],
            "ltv": future.discounted, "ltv_to_cac": product([future.discounted], [cost]),
        }


def retained(rng, of: Company, count: int, months: int, customers: int = 2_500):
    """GRR and NRR of each book over 1 or 12 months with their truths: what its months did to a customer on average.

    Of who stays, 5 % a month pay 30 % more and 3 % pay 30 % less (of twelve months: 40 and 20 %).
    """
    shocks = np.exp(of.shock * rng.normal(size=(count, months)) - of.shock**2 / 2)
    leaving = 1 - np.prod(1 - truths(of)["churn_rate_pooled"] * shocks, axis=1)
    more, less = (0.05, 0.03) if months == 1 else (0.40, 0.20)
    suffix = "" if months == 1 else "_12m"
    for chance in leaving:
        z = rng.normal(size=customers)
        base = np.exp(of.sigma * z)
        stays = rng.random(customers) >= chance * np.exp(-of.lean * z - of.lean**2 / 2)
        now = base * stays * rng.choice([1.3, 0.7, 1.0], size=customers, p=[more, less, 1 - more - less])
        kept = np.minimum(now, base)
        stay = 1 - chance * np.exp(-of.lean * of.sigma)          # weighted by MRR: large accounts leave less
        row = SimpleNamespace(customers=customers, kept=kept.sum(), base=base.sum(), kept_kept=kept @ kept,
                              kept_base=kept @ base, base_base=base @ base)
        yield f"grr{suffix}", kept_share(row, 0.95), stay * (1 - 0.3 * less)
        net = ratio_of_sums(customers, now.sum(), base.sum(), now @ now, now @ base, base @ base, 0.95)
        yield f"nrr{suffix}", net, stay * (1 + 0.3 * (more - less))


@cache
def coverage(name: str, count: int) -> pd.DataFrame:
    """By estimand: the shares of books covered by the kit's interval and by the reference, mean width against it, bias.

    Reference: the estimate ± 1.96 standard deviations of its error over the books, which no report can know. Of pooled
    churn and its reciprocal: Student's interval of the six months' rates, since six months are all that tells how they differ.
    """
    of, rng = COMPANIES[name], np.random.default_rng([count, list(COMPANIES).index(name)])
    true = truths(of)
    if of.plans is not CONSTANT:
        del true["lifetime_months_churn"]                        # 1 ÷ c is a lifetime only where the chance is constant
    rows = [(key, found[key], true[key], found["months"]) for found in estimates(rng, of, count) for key in true]
    rows += [(*row, None) for months in (1, 12) for row in retained(rng, of, count, months)]
    table = pd.DataFrame([(key, of.value, of.low, of.high, true, *(months or (np.nan, np.nan)))
                          for key, of, true, months in rows],
                         columns=["estimand", "value", "low", "high", "truth", "reference_low", "reference_high"])
    found = {}
    for key, part in table.groupby("estimand", sort=False):
        error, truth = part["value"] - part["truth"], part["truth"]
        low, high = part["value"] - NORMAL * error.std(), part["value"] + NORMAL * error.std()
        if "churn" in key:
            low, high = part["reference_low"], part["reference_high"]
        if key == "lifetime_months_churn":
            low, high = 1 / high, 1 / low
        found[key] = {
            "covered": ((part["low"] <= truth) & (truth <= part["high"])).mean(),
            "reference": ((low <= truth) & (truth <= high)).mean(),
            "width": (part["high"] - part["low"]).mean() / (high - low).mean(),
            "bias": error.mean() / truth.mean(), "bias_error": error.std() / truth.mean() / len(part) ** 0.5}
    return pd.DataFrame(found).T


@cache
def foretold(name: str, count: int) -> pd.DataFrame:
    """The same of the sum of twelve months ahead, against what came of the same customers; all relative to what was foretold."""
    (months, joining, shock, heavy), rng, rows = FORECASTS[name], np.random.default_rng([count, [*FORECASTS].index(name)]), []
    for book in range(count):
        cells, actual = subscribers(rng, months, 12, joining, shock=shock, heavy=heavy)
        found = forecast.subscribers(cells, months - 1, least=5, seed=book)
        rows.append(np.array([actual, *found.bounds(0.95)[-1, 3:]]) / found.total.sum() - 1)
    actual, low, high = np.array(rows).T
    half = NORMAL * actual.std(ddof=1)
    found = {"covered": ((low <= actual) & (actual <= high)).mean(), "reference": (abs(actual) <= half).mean(),
             "width": (high - low).mean() / (2 * half), "bias": -actual.mean(), "bias_error": actual.std() / count**0.5}
    return pd.DataFrame({"twelve months": found}).T


if __name__ == "__main__":
    print("| company | estimand | covered | reference | width | bias |\n|---|---|---|---|---|---|")
    for company in sys.argv[2:] or [*COMPANIES, *FORECASTS]:
        drawn = coverage if company in COMPANIES else foretold
        for estimand, row in drawn(company, int(sys.argv[1])).iterrows():
            print(f"| {company} | {estimand} | {row.covered:.1%} | {row.reference:.1%} | {row.width:.2f} |"
                  f" {row.bias:+.2%} |")
