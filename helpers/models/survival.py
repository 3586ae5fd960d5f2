"""Survival from counts by whole month: Kaplan–Meier with delayed entry, restricted mean, median."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri

from .intervals import Estimate


@dataclass(frozen=True)
class RestrictedMean(Estimate):
    """Mean months lived up to the age `until`, of n spells."""

    until: int


def risk_set(ends: pd.DataFrame) -> pd.DataFrame:
    """One row for each month 0 … last: `month, at_risk, events, censored`.

    ends : `month` (whole months lived; repeats are added), `events` and `censored` spells that leave there and,
        for delayed entry, `entered`: spells that come under observation at that age (without it, all at 0).
    At risk at t: entry < t ≤ duration, at 0 who enters there. Raises ValueError where the counts contradict.
    """
    found = risks(*columns(ends))
    return pd.DataFrame({"month": np.arange(len(found[0]))} | dict(zip(("at_risk", "events", "censored"), found, strict=True)))


def columns(ends: pd.DataFrame) -> list[np.ndarray | None]:
    """`ends` of `risk_set` as `risks` takes them."""
    return [ends[name].to_numpy(float) if name in ends else None for name in ("month", "events", "censored", "entered")]


def risks(month, events, censored, entered=None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`at_risk, events, censored` of `risk_set`, from arrays: models ask for hundreds, and pandas takes 20 times as long."""
    if not len(month):
        raise ValueError("no spells: nothing was ever at risk")
    ended, left = (np.bincount(month.astype(int), np.nan_to_num(of)).astype(np.int64) for of in (events, censored))
    gone = ended + left
    if entered is None:
        come = np.append(gone.sum(), np.zeros(len(gone) - 1, np.int64))
    else:
        come = np.bincount(month.astype(int), np.nan_to_num(entered)).astype(np.int64)
    at_risk = np.append(come[0], (come - gone).cumsum()[:-1])
    if ended[0] or (at_risk < ended).any() or come.sum() != gone.sum():
        raise ValueError(f"spells must enter once and end later: {come.sum()} entered, {gone.sum()} left")
    return at_risk, ended, left


def kaplan_meier(ends: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """`risk_set` with `survival`, the share that lives longer than `month`, and its band `low, high`.

    Greenwood's variance, log-log transform (Kalbfleisch and Prentice 1980). Before any event high is 1 and low exact,
    (α/2)^(1/at_risk); at survival 0 both are unknown (NaN).
    """
    table = risk_set(ends)
    n, d = table["at_risk"].to_numpy(float), table["events"].to_numpy(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        survival = np.cumprod(np.where(d > 0, 1 - d / n, 1.0))
        spread = np.sqrt(np.cumsum(np.where(d > 0, d / (n * (n - d)), 0.0))) / np.abs(np.log(survival))
        reach = np.exp(ndtri(0.5 + confidence / 2) * spread)
        low = np.where(survival == 1, ((1 - confidence) / 2) ** (1 / n), survival**reach)
        high = np.where(survival == 1, 1.0, survival ** (1 / reach))
    low[0] = 1.0  # nobody ends at month 0
    return table.assign(survival=survival, low=low, high=high)


def last_seen(table: pd.DataFrame, min_at_risk: int) -> int:
    """The last age of a `kaplan_meier` table with so many at risk at it and at every age from 1 on; 0 without one.

    In a book that begins late nobody may have been watched while young: what follows such an age says nothing of a whole life.
    """
    enough = table.loc[table["month"] > 0, "at_risk"] >= min_at_risk
    return int(enough.cummin().sum())


def restricted_mean(
    table, horizon: int, min_at_risk: int = 10, confidence: float = 0.95, shared: float = 0.0
) -> RestrictedMean:
    """Area under the curve of `kaplan_meier` to `horizon`, or the last month with `min_at_risk` where that is less.

    Variance: Σ (area beyond t)² d/(n(n − d)) over events (Klein and Moeschberger 2003, 4.5); NaN without any.
    shared : `intervals.shared_error`, which moves the hazards of all ages together.
    """
    spells = int(table["events"].sum() + table["censored"].sum())
    until = min(horizon, last_seen(table, min_at_risk))
    if until == 0:
        return RestrictedMean(np.nan, np.nan, np.nan, spells, 0)
    seen = table.iloc[: until + 1]
    n, d = seen["at_risk"].to_numpy(float), seen["events"].to_numpy(float)
    area = np.append(np.cumsum(seen["survival"].to_numpy()[-2::-1])[::-1], 0.0)  # from each month to `until`
    some = (d > 0) & (d < n)  # where all at risk end, no area is left
    variance = (area[some] ** 2 * d[some] / (n[some] * (n[some] - d[some]))).sum()
    together = shared * (area[some] * d[some] / (n[some] - d[some])).sum()
    half = np.hypot(ndtri(0.5 + confidence / 2) * np.sqrt(variance), together) if variance else np.nan
    return RestrictedMean(*np.clip([area[0], area[0] - half, area[0] + half], 0, until).tolist(), spells, until)


def median(table: pd.DataFrame) -> Estimate:
    """First month with survival at or below one half; bounds where the band gets there; NaN where not reached."""
    months = [table.loc[table[column] <= 0.5, "month"] for column in ("survival", "low", "high")]
    value, low, high = (float(reached.iloc[0]) if len(reached) else np.nan for reached in months)
    return Estimate(value, low, high, int(table["events"].sum() + table["censored"].sum()))
