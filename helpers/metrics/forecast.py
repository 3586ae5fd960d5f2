"""What today's customers will bring in the next twelve months, and how such forecasts did. Formulas: docs/methods.md."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binom

from helpers.metrics import clv_models
from helpers.models import bgnbd, gamma_gamma, sbg

QUERIES = ["forecast_cells", "forecast_came"]
AHEAD, LEAST, DRAWS, REFITS = 12, 6, 1000, 25
PARTS = ["contracted", "renewals_due", "expansion", "returning"]
COLUMNS = ["period", *PARTS, "total", "low", "high", "sum", "sum_low", "sum_high", "n"]
BACKTEST = ["made_at", "months", "predicted", "low", "high", "actual", "error", "inside"]


@dataclass(frozen=True)
class Outlook:
    """Twelve months as one month end saw them: expected parts (months × parts), totals, draws of them (draws × months)."""

    parts: np.ndarray
    total: np.ndarray
    draws: np.ndarray
    n: int

    def bounds(self, confidence: float) -> np.ndarray:
        """Month by month: low and high of the month, the sum to there, its low and high (months × 5)."""
        tails = [0.5 - confidence / 2, 0.5 + confidence / 2]
        month, whole = (np.quantile(of, tails, axis=0) for of in (self.draws, self.draws.cumsum(axis=1)))
        return np.column_stack([*month, self.total.cumsum(), *whole])


def scatter(rng, mean: float, spread: float, months: int) -> np.ndarray:
    """A rate in each month ahead (draws × months), where its mean and its spread are known from so many months: Student's
    predictive distribution. The spread is drawn first, and the mean once, for it is wrong in all months alike."""
    drawn = spread * np.sqrt((months - 1) / rng.chisquare(months - 1, (DRAWS, 1)))
    return mean + drawn * (rng.normal(size=(DRAWS, 1)) / np.sqrt(months) + rng.normal(size=(DRAWS, AHEAD)))


def rates(rng, part: pd.Series, whole: pd.Series) -> np.ndarray:
    """Σ part ÷ Σ whole over the last twelve months with any: as expected of the months ahead (first row), and drawn."""
    part, whole = (of.astype(float)[whole > 0].tail(AHEAD) for of in (part, whole))
    if len(whole) < 2:
        return np.zeros((DRAWS + 1, AHEAD))
    rate = part.sum() / whole.sum()
    spread = np.sqrt(((part / whole - rate) ** 2).sum() / (len(whole) - 1))
    return np.vstack([np.full(AHEAD, rate), scatter(rng, rate, spread, len(whole))])


def hazards(n: np.ndarray, left: np.ndarray, otherwise: float, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Shape and rate of a gamma for the chance to leave at renewal 1, 2, …: who left then, and one event of the fitted sBG
    before it. n, left : who could renew, and who left. otherwise : the chance where nobody could renew. least : for a fit."""
    at = np.flatnonzero(n)
    smooth = np.full(len(n), (left.sum() + 0.5) / (n.sum() + 1) if len(at) else otherwise)
    if left.sum() >= least and len(at) > 1:
        with suppress(ValueError):  # no maximum: one chance for all
            smooth = sbg.fit_counts(at + 1, n[at], left[at], customers=int(n.sum())).hazard(np.arange(1, len(n) + 1))
    return left + 1, n + 1 / smooth


def subscribers(cells: pd.DataFrame, made_at: int, *, least: int, seed: int) -> Outlook | None:
    """MRR at the next month ends of who pays at the end of `made_at`, by what was seen until then; None: too little was.
    cells : from `summaries/forecast_cells`, any months. least : departures for a curve."""
    past = cells[cells["month"] < made_at].assign(left=lambda of: of["customers"] - of["stayed"])
    paid, away = past[past["state"] == "paying"], past[past["state"] == "away"]
    base = cells[(cells["month"] == made_at) & (cells["state"] == "paying")]
    months, gone = paid["month"].nunique(), paid["left"].sum()
    if base.empty or months < LEAST or gone < least:
        return None
    rng, ahead, term, number = np.random.default_rng([seed, made_at]), *base[["ahead", "term", "number"]].to_numpy().T
    mrr, squares = base["mrr"].to_numpy(float), base["mrr_mrr"].to_numpy(float)
    groups = pd.concat([paid, base]).groupby(["plan_id", "term"]).size().reset_index()
    groups["place"], ages = groups.index, int(max(paid["number"].max(), number.max())) + AHEAD
    place = [of.merge(groups, on=["plan_id", "term"], validate="many_to_one")["place"].to_numpy() for of in (paid, base)]
    due, within, terms = (paid["ahead"] == 1).to_numpy(), paid[paid["ahead"] > 1], groups["term"].to_numpy()
    counts = np.zeros((2, len(groups), ages))  # at each renewal, who could, and who left
    for of, column in zip(counts, ("customers", "left"), strict=True):
        np.add.at(of, (place[0][due], paid.loc[due, "number"] - 1), paid.loc[due, column].astype(float))
    small = (counts[1].sum(axis=1) < least)[:, None]  # such a plan goes with all of its term
    whole = np.where(small, (terms[:, None] == terms) @ counts, counts)
    monthly = gone / paid["customers"].sum()
    known = [hazards(*whole[:, of], 1 - (1 - monthly) ** terms[of], least) for of in groups.index]
    shape, rate = np.array(known).swapaxes(0, 1)
    drawn = rng.gamma(shape, 1 / rate, (DRAWS, *shape.shape))
    chance = np.concatenate([(shape / rate)[None], drawn]).reshape(DRAWS + 1, -1).T.copy()  # the expected first
    early, seen = within["left"].sum(), within["customers"].sum() or paid["customers"].sum()  # within a paid term, any plan
    inside = np.append(early / seen, rng.gamma(early + 0.5, 1 / seen, DRAWS))
    likely = np.where(paid["ahead"] == 1, (shape / rate)[place[0], paid["number"] - 1], early / seen).clip(max=1)
    by = paid.assign(mean=paid["customers"] * likely, noise=paid["customers"] * likely * (1 - likely)).groupby("month")
    left, mean, noise = by[["left", "mean", "noise"]].sum().to_numpy(float).T
    shock = max(0.0, ((left - mean) ** 2 * months / (months - 1) - noise).sum() / (mean**2).sum())
    spread = np.clip(scatter(rng, 0.0, np.sqrt(shock), months), -3, 3)
    factor = np.vstack([np.ones(AHEAD), np.exp(spread - shock / 2)]).T
    alive, kept, firm, path = np.ones((len(base), DRAWS + 1)), [], [], []
    for month in range(1, AHEAD + 1):
        renews = (month >= ahead) & ((month - ahead) % term == 0)
        leave = np.where(renews[:, None], chance[place[1] * ages + number - 1 + np.maximum(0, month - ahead) // term], inside)
        alive *= 1 - np.minimum(1, leave * factor[month - 1])
        kept.append(mrr @ alive)
        path.append(alive[:, 0].copy())
        firm.append(path[-1] @ np.where(month < ahead, mrr, 0))
    path, kept, firm = np.array(path), np.array(kept).T, np.array(firm)
    later = np.minimum(path[:, None], path[None])  # who is there in both of two months is there in the later one
    noise = rng.multivariate_normal(np.zeros(AHEAD), (later - path[:, None] * path[None]) @ squares, DRAWS, method="eigh")
    kept[1:] = np.clip(kept[1:] + noise, 0, mrr.sum())
    by, idle = paid.groupby("month")[["stayed_mrr", "next_mrr"]].sum(), away.groupby("month")[["mrr", "next_mrr"]].sum()
    moves = rates(rng, by["next_mrr"] - by["stayed_mrr"], by["stayed_mrr"])
    grown = kept * np.cumprod(1 + np.maximum(moves, -1), axis=1)
    again = np.clip(rates(rng, idle["next_mrr"], idle["mrr"]), 0, 1)
    before = np.column_stack([np.full(DRAWS + 1, mrr.sum()), kept[:, :-1]])
    stay, lost = np.minimum(1, kept / np.maximum(before, 1e-9)), np.maximum(0, before - kept)
    back, out, returned = 0.0, 0.0, []
    for month in range(AHEAD):
        back, out = back * stay[:, month] + again[:, month] * out, out * (1 - again[:, month]) + lost[:, month]
        returned.append(back)
    returned = np.array(returned).T
    parts = np.column_stack([firm, kept[0] - firm, grown[0] - kept[0], returned[0]])
    return Outlook(parts, parts.sum(axis=1), (grown + returned)[1:], int(base["customers"].sum()))


def season(months: pd.DataFrame) -> tuple[np.ndarray, float, int]:
    """Index by month of the year (January first), the relative spread of months about trend and season, and their number.
    months : from `summaries/months`. The index, a mean distance from the centred mean of a year, is 1 where fewer than 24
    months are known. The spread is of a month about its neighbours, by the median, so that a break counts once."""
    logs = np.log(months.set_index("month")["revenue_known"].astype(float).where(lambda of: of > 0))
    index = np.zeros(AHEAD)
    if logs.notna().sum() >= 2 * AHEAD:
        trend = (logs.rolling(AHEAD).mean().shift(-5) + logs.rolling(AHEAD).mean().shift(-6)) / 2
        index = (logs - trend).groupby((logs.index - 1) % AHEAD).mean().reindex(range(AHEAD)).fillna(0).to_numpy()
        index = index - index.mean()
    flat = logs - index[(logs.index - 1) % AHEAD]
    about = (flat - (flat.shift(1) + flat.shift(-1)) / 2).dropna().abs()
    spread = float(about.median()) * 1.4826 * np.sqrt(2 / 3) if len(about) else 0.0  # normal noise; neighbours add a half
    return np.exp(index), spread, max(2, len(about))


def buyers(sales: pd.DataFrame, months: pd.DataFrame, made_at: int, *, least: int, seed: int, fitted=None) -> Outlook | None:
    """Revenue of the next months from who had bought by the end of `made_at`: BG/NBD × Gamma-Gamma as then fitted, times what
    refunds leave of sales, times the season. None: nothing can be fitted.
    sales : from `summaries/forecast_sales`. months : as in `season`, any months. least : repeat buyers. fitted : the
    PurchaseModel of that month end and seed, where it is known."""
    part, months = sales[sales["made_at"] == made_at].astype(float), months[months["month"] <= made_at]
    again = part[(part["x"] > 0) & (part["total"] > 0)]
    if again["customers"].sum() < least or len(months) < LEAST:
        return None
    total = np.maximum(part["total"], 0)
    cells = part[["x", "last_days", "observed_days", "customers"]].assign(
        total=part["customers"] * total, squares=part["customers"] * total**2)
    cells = cells.groupby(["x", "last_days", "observed_days"], as_index=False).sum()
    spent = again.groupby(["x", "total"], as_index=False)["customers"].sum()
    try:
        model = fitted or clv_models.fit_purchases(cells, spent, draws=REFITS, seed=seed)
    except ValueError:  # no parameters fit what was known then
        return None
    if not np.isfinite(model.spend.mean):
        return None
    (x, t_x, T, n), spends, squares = clv_models.weeks(cells), cells["total"].to_numpy(), cells["squares"].to_numpy()
    alike, which = bgnbd.pairs(x, np.round(T))

    def expected(of, months):
        """Purchases in the months ahead of who is alive (months × pairs), and how likely that is (cells)."""
        ages = np.array(months)[:, None] * clv_models.WEEKS_A_MONTH
        return np.diff(of.ahead(ages, *alike), axis=0), of.alive(x, t_x, T)

    def worth(of):
        """What one purchase is expected to bring, and its square, summed over the customers of a cell: lines in totals."""
        unit = of.p / (of.p * x + of.q - 1)
        return unit * (n * of.v + spends), unit**2 * (n * of.v**2 + 2 * of.v * spends + squares)

    def sums(of, money):
        bought, alive = expected(of, [0, AHEAD])
        return bought[0][which] @ (alive * worth(money)[0])

    (bought, alive), (brought, squared) = expected(model.purchases, range(AHEAD + 1)), worth(model.spend)
    plain = bought @ np.bincount(which, alive * brought)
    refits = zip(model.purchase_refits[:REFITS], model.spend_refits[:REFITS], strict=True)
    whole = [sums(bgnbd.BgNbd(*p), gamma_gamma.GammaGamma(*s)) for p, s in refits]
    unsure = np.log(np.maximum(1e-9, whole)).std(ddof=1)
    money, vary = model.spend, bgnbd.variance(model.purchases, x, t_x, T, AHEAD * clv_models.WEEKS_A_MONTH)
    unlike = np.maximum(0, vary - alive * bought.sum(axis=0)[which]) + vary / np.maximum(money.p * x + money.q - 2, 1)
    alone = bought @ np.bincount(which, alive * squared) * (1 + 1 / money.p)  # purchase by purchase
    shared = squared @ unlike  # customer by customer
    (index, spread, seen), net = season(months), float(part["revenue"].sum() / part["bought"].sum())
    sizes = months["revenue_known"].astype(float).where(lambda of: of > 0)
    spread = np.sqrt(max(0.0, spread**2 - net * (alone[0] / plain[0] / sizes).tail(AHEAD).mean()))  # less chance alone
    rng, level = np.random.default_rng([seed, made_at]), net * index[(made_at + np.arange(AHEAD)) % AHEAD]
    shocks = np.exp(np.clip(scatter(rng, 0.0, spread, seen), -3, 3) - spread**2 / 2)
    noise = rng.normal(size=(DRAWS, AHEAD)) * np.sqrt(alone)
    noise = noise + rng.normal(size=(DRAWS, 1)) * np.sqrt(shared) * plain / plain.sum()
    fits = np.exp(np.clip(unsure * rng.standard_t(REFITS - 1, (DRAWS, 1)), -3, 3))
    draws = np.maximum(0, plain * fits * shocks + noise) * level
    return Outlook(np.full((AHEAD, len(PARTS)), np.nan), plain * level, draws, int(n.sum()))


def label(month: int) -> str:
    return str(pd.Period(ordinal=month - 1970 * 12 - 1, freq="M"))


def forecast(tables, sales: Callable[[int], pd.DataFrame], last: int, *, subscriptions: bool, policy, terms,
             refused: str = "", fitted=None) -> dict[str, pd.DataFrame]:
    """Tables forecast_12m, of the months after `last`, and forecast_backtest, of month ends of the year before it.
    tables : QUERIES and `months` by name. sales : month -> `summaries/forecast_sales` of its end. refused : why there is no
    purchase model. fitted : that of `last`. Each forecast sees what its month end had seen; empty where none can be made."""
    cells = tables["forecast_cells"].assign(plan_id=lambda of: pd.factorize(of["plan_id"], sort=True)[0])  # texts cost a fifth

    def made(at: int) -> Outlook | None:
        if subscriptions:
            return subscribers(cells, at, least=policy.min_events, seed=terms.seed)
        known = {"least": policy.min_customers, "seed": terms.seed, "fitted": fitted if at == last else None}
        return None if refused else buyers(sales(at), tables["months"], at, **known)

    told = {at: made(at) for at in tables["forecast_came"]["made_at"]}
    sums = {at: of.bounds(policy.confidence)[last - at - 1, 2:] for at, of in told.items() if of is not None}
    ahead, now = pd.DataFrame(columns=COLUMNS), made(last)
    if now is not None:
        ahead = pd.DataFrame(np.column_stack([now.parts, now.total, now.bounds(policy.confidence)]), columns=COLUMNS[1:-1])
        ahead = ahead.assign(period=[label(last + month) for month in range(1, AHEAD + 1)], n=now.n)[COLUMNS]
    return {"forecast_12m": ahead, "forecast_backtest": against(sums, tables["forecast_came"], last)}


def so_far(months: pd.DataFrame, *, subscriptions: bool) -> pd.DataFrame:
    """What a forecast continues: `period` and `total` of 13 months, MRR at their ends or revenue of known customers."""
    last = months.tail(13)
    return pd.DataFrame({"period": last["month"].map(label), "total": last["mrr_end" if subscriptions else "revenue_known"]})


def against(told: dict[int, np.ndarray], came: pd.DataFrame, last: int) -> pd.DataFrame:
    """Sums of the months to `last`, foretold at month ends (month -> sum, low, high), beside those that came."""
    actual = came.set_index("made_at")["actual"].astype(float)
    rows = [(label(at), last - at, *of, actual[at], np.nan, of[1] <= actual[at] <= of[2]) for at, of in sorted(told.items())]
    table = pd.DataFrame(rows, columns=BACKTEST)
    return table.assign(error=table["predicted"] / table["actual"].where(table["actual"] != 0) - 1)


def vintages(published: dict[int, pd.DataFrame | None], came: pd.DataFrame, last: int) -> pd.DataFrame:
    """Table forecast_vintages: what reports published so many months ago said of the months since, against what came.
    published : months ago -> forecast_12m of then, None without a report. came : from `summaries/forecast_came`."""
    known = {last - ago: table.set_index("period") for ago, table in published.items() if table is not None}
    sums = {at: of.loc[label(last), ["sum", "sum_low", "sum_high"]] for at, of in known.items()
            if at in set(came["made_at"]) and label(last) in of.index}
    return against({at: of.to_numpy(float) for at, of in sums.items()}, came, last)


def failures(backtest: pd.DataFrame, *, error_max: float, confidence: float) -> list[str]:
    """Why to recalibrate, if at all: the mean error, or fewer intervals that held than chance allows (binomial, 1 %)."""
    off, held, least = backtest["error"].abs().mean(), backtest["inside"].sum(), binom.ppf(0.01, len(backtest), confidence)
    found = [f"it was off by {off:.1%} on average, more than ltv_error_max, {error_max:.1%}"] if off > error_max else []
    return found + ([f"{held} of {len(backtest)} intervals held, chance allows {least:.0f}"] if held < least else [])
