"""What a unit of value per month is worth over a horizon: survival seen, then a fitted curve, discounted."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri

from helpers.models.intervals import Estimate
from helpers.models.renewals import Curve
from helpers.models.survival import last_seen


@dataclass(frozen=True)
class HorizonSum(Estimate):
    """Σ S(t)·(1+d)^−t over t = 0 … H − 1; `seen` is the last age seen, `extrapolated` the share of the sum beyond it.

    `slope` is the fall of the sum when all hazards rise by a log unit.
    """

    seen: int
    extrapolated: float
    slope: float
    curve: tuple[float, ...]


def horizon_sum(
    table: pd.DataFrame, model: Curve | None, horizon: int, rate: float, confidence: float, min_at_risk: int = 10
) -> HorizonSum:
    """Expected discounted months of a unit paid in advance each month.

    table : a `kaplan_meier` table. model : whose hazards go on where fewer than `min_at_risk` are at risk (None:
    unknown beyond, and so is the sum where it is needed). horizon : months. rate : discount a month, a fraction.
    The interval is Greenwood's for the ages seen, plus the model's covariance for the rest, on the log scale; both come
    from the same ends, so they err together: an efficient fit varies with any other as with itself (Hausman 1978).
    """
    seen = last_seen(table, min_at_risk)
    known = table[table["month"] <= min(seen, horizon - 1)]
    survival, n = known["survival"].to_numpy(), int(table["at_risk"].max())
    factors = (1 + rate) ** -np.arange(horizon, dtype=float)
    if len(survival) < horizon and model is None:
        return HorizonSum(np.nan, float(survival @ factors[: len(survival)]), np.nan, n, seen, np.nan, np.nan, ())

    ages, curve = np.arange(1, horizon), survival
    if beyond := len(survival) < horizon:
        curve = np.append(survival, survival[-1] * np.cumprod(1 - model.hazard(ages[len(survival) - 1 :])))
    worth = curve * factors
    value = worth.sum()
    at_risk, events = known["at_risk"].to_numpy(dtype=float), known["events"].to_numpy(dtype=float)
    left = at_risk - events
    greenwood = np.divide(events, at_risk * left, out=np.zeros_like(events), where=(events > 0) & (left > 0))
    after = worth[::-1].cumsum()[::-1]  # what a hazard at each age moves
    variance = float((after[: len(survival)] ** 2 * greenwood).sum())
    if beyond and model.covariance is not None:
        slopes = model.slopes(ages) * after[1:]  # by the log parameters
        early, late = slopes[:, : len(survival) - 1].sum(axis=1), slopes[:, len(survival) - 1 :].sum(axis=1)
        variance += max(0.0, float(late @ model.covariance @ (late + 2 * early)))
    half = ndtri(0.5 + confidence / 2) * np.sqrt(variance) / value
    odds = -np.diff(curve) / np.where(curve[1:] > 0, curve[1:], np.inf)
    share = float(worth[len(survival) :].sum() / value)
    bounds = float(value), float(value * np.exp(-half)), float(value * np.exp(half))
    return HorizonSum(*bounds, n, seen, share, float(odds @ after[1:]), tuple(curve))


def months_ahead(table: pd.DataFrame, model: Curve, ages: int, horizon: int, rate: float, min_at_risk: int = 10) -> np.ndarray:
    """Expected discounted months to come of who has lived 0, 1, … `ages` months: Σ S(age + t)/S(age)·(1+d)^−t, t = 1 … H.

    table, model, horizon, rate : as in `horizon_sum`, whose curve it goes on along.
    """
    return staying(table, model, ages, horizon, min_at_risk) @ (1 + rate) ** -np.arange(1, horizon + 1, dtype=float)


def months_within(
    table: pd.DataFrame, model: Curve, ages: int, horizon: int, rate: float, confidence: float, min_at_risk: int = 10
) -> np.ndarray:
    """Between which discounted months to come one customer of each age falls: low and high, 2 × (`ages` + 1).

    Quantiles of the month in which it leaves, the curve taken as known. The rest as in `months_ahead`.
    """
    stay = staying(table, model, ages, horizon, min_at_risk)
    paid = np.append(0, np.cumsum((1 + rate) ** -np.arange(1, horizon + 1, dtype=float)))
    return np.array([paid[(stay > chance).sum(axis=1)] for chance in (0.5 + confidence / 2, 0.5 - confidence / 2)])


def staying(table: pd.DataFrame, model: Curve, ages: int, horizon: int, min_at_risk: int = 10) -> np.ndarray:
    """S(age + t)/S(age) for ages 0 … `ages` and t = 1 … H: (ages + 1) × H."""
    seen = last_seen(table, min_at_risk)
    known, hazard = table[table["month"].between(1, seen)], model.hazard(np.arange(1, ages + horizon + 1))
    rates = (known["events"] / known["at_risk"].clip(lower=1)).to_numpy()
    hazard[: len(rates)] = rates[: len(hazard)]
    return np.lib.stride_tricks.sliding_window_view(1 - hazard, horizon).cumprod(axis=1)
