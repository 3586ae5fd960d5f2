"""Intervals of rates, ratios and products, from counts and exact sums."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, ndtri, stdtrit


@dataclass(frozen=True)
class Estimate:
    """A value with the interval of values that fit the n units seen; NaN is unknown."""

    value: float
    low: float
    high: float
    n: int


def wilson(successes, n, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Low and high of proportions successes / n, arrays or numbers; NaN where n is 0 (Wilson 1927)."""
    successes, n = np.asarray(successes, dtype=float), np.asarray(n, dtype=float)
    z = ndtri(0.5 + confidence / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        half = z * np.sqrt(successes * (n - successes) / n + z**2 / 4)
    centre = successes + z**2 / 2
    return np.clip((centre - half) / (n + z**2), 0, 1), np.clip((centre + half) / (n + z**2), 0, 1)


def pooled_rate(events, exposures, confidence: float) -> Estimate:
    """Events per exposure over months (one number each), its interval carrying what differs between months, too.

    Binomial variance times the months' dispersion (Pearson's chi² by degree of freedom, at least 1), Student with
    months − 1, in logits; one month: Wilson; no exposure: NaN. At rate 0 (or 1) the far bound is the exact one.
    """
    events, exposures = np.asarray(events, dtype=float), np.asarray(exposures, dtype=float)
    events, exposures = events[exposures > 0], exposures[exposures > 0]
    n, free = int(exposures.sum()), len(exposures) - 1
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    rate, extreme = float(events.sum() / n), ((1 - confidence) / 2) ** (1 / n)
    if rate in (0, 1):
        return Estimate(rate, rate * extreme, 1 - (1 - rate) * extreme, n)
    if free == 0:
        low, high = wilson(events[0], n, confidence)
    else:
        variance = rate * (1 - rate)
        dispersion = max(1, ((events - rate * exposures) ** 2 / exposures).sum() / variance / free)
        half = stdtrit(free, 0.5 + confidence / 2) * np.sqrt(dispersion / (n * variance))
        low, high = expit(logit(rate) - half), expit(logit(rate) + half)
    return Estimate(rate, float(low), float(high), n)


def shared_error(events, exposures, confidence: float) -> float:
    """How far what differs between months may have moved all hazards of a book at once: half an interval, on the log scale.

    events, exposures : one a month, in order. The variance of a month's rate beyond binomial chance, from neighbours alone
    so that a trend is no difference, times Σw², w the months' shares of all events; Student with 2/3 of months − 1, which
    neighbours are worth (von Neumann 1941), of binomial chance, too, since that is known only as part of the sum.
    0 where months differ no more than by chance, or are fewer than 3.
    """
    events, exposures = np.asarray(events, dtype=float), np.asarray(exposures, dtype=float)
    events, exposures = events[exposures > 0], exposures[exposures > 0]
    if len(events) < 3 or not events.sum():
        return 0.0
    weight = exposures[1:] * exposures[:-1] / (exposures[1:] + exposures[:-1])
    rate = (events[1:] + events[:-1]) / (exposures[1:] + exposures[:-1])
    beyond = (weight * np.diff(events / exposures) ** 2 - rate * (1 - rate)).sum()
    variance = max(0.0, beyond) / (2 * weight * rate**2).sum() * (events**2).sum() / events.sum() ** 2
    chance = (1 - events.sum() / exposures.sum()) / events.sum()
    t, z = stdtrit(2 / 3 * (len(events) - 1), 0.5 + confidence / 2), ndtri(0.5 + confidence / 2)
    return float(np.sqrt(t**2 * variance + (t**2 - z**2) * chance)) if variance else 0.0


def ratio_of_sums(n, sum_y, sum_x, sum_yy, sum_xy, sum_xx, confidence: float) -> Estimate:
    """Σy/Σx over n customers with its linearised interval, Student n − 1 (Cochran 1977, 6.4); decimals welcome.

    A few customers who hold most of x make it too short: see `n_effective`. Σx = 0: all NaN; n = 1: bounds NaN.
    """
    if n == 0 or not sum_x:
        return Estimate(np.nan, np.nan, np.nan, int(n))
    y, x, yy, xy, xx = (float(total) for total in (sum_y, sum_x, sum_yy, sum_xy, sum_xx))
    ratio = y / x
    residual = max(0.0, yy - 2 * ratio * xy + ratio**2 * xx)  # Σ(y − ratio·x)²; the residuals sum to 0
    half = float(stdtrit(n - 1, 0.5 + confidence / 2) * np.sqrt(residual * n / max(n - 1, 1)) / abs(x))
    return Estimate(ratio, ratio - half, ratio + half, int(n))  # n = 1: Student without freedom is NaN


def n_effective(sum_w, sum_ww) -> float:
    """(Σw)²/Σw²: how many equal customers carry the same information (Kish 1965); NaN without any weight."""
    return float(sum_w) ** 2 / float(sum_ww) if sum_ww else np.nan


def product(factors: Sequence[Estimate], divisors: Sequence[Estimate] = ()) -> Estimate:
    """Π factors ÷ Π divisors of independent positive estimates; a known number has itself as bounds; n is the smallest.

    Distances from value to bound, as logs, are squared and added on each side (Zou and Donner 2008): factors that move
    together make it too short. Where a value is 0, bounds are multiplied; division by 0: value and high are NaN.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        logs = np.log([[of.value, of.low, of.high] for of in (*factors, *divisors)])
        logs[len(factors):] = -logs[len(factors):, [0, 2, 1]]
        value, low, high = logs.sum(axis=0)
        if np.isfinite(value):
            low, high = value + [-1, 1] * np.sqrt(((logs[:, 1:] - logs[:, :1]) ** 2).sum(axis=0))
        bounds = (float(of) if np.isfinite(of) else np.nan for of in np.exp([value, low, high]))
    return Estimate(*bounds, min(of.n for of in (*factors, *divisors)))


def next_value(values, confidence: float) -> Estimate:
    """Mean of a series' values with the interval that the next one falls into: mean ± t(n − 1)·s·√(1 + 1/n).

    values : one a month, in any unit; NaN is unknown and left out. n counts the known; fewer than 3: bounds NaN, none: all.
    Holds for values that scatter about one level; a trend or a season makes it too wide or puts it in the wrong place.
    Student's prediction interval (Hahn and Meeker 1991, 4.7; Hyndman and Athanasopoulos, FPP3, 5.5).
    """
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    n = len(known)
    mean, half = float(known.mean()) if n else np.nan, np.nan
    if n >= 3:
        half = float(stdtrit(n - 1, 0.5 + confidence / 2) * known.std(ddof=1) * np.sqrt(1 + 1 / n))
    return Estimate(mean, mean - half, mean + half, n)
