"""Departures where customers are billed for several months at once: they leave when they would have to pay again."""

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.linalg import block_diag

from .sbg import Sbg, fit_counts
from .sbg import fit as fit_months
from .survival import columns, risks


@dataclass(frozen=True, eq=False)
class Term:
    """Who is billed every so many `months`: gone at renewal k with the hazard of an sBG, in a month between with `within`.

    late : the part of who does not renew that is gone a month later only, when a failed payment takes effect.
    """

    months: int
    share: float  # of new customers
    renewal: Sbg
    within: float
    within_variance: float = 0.0  # of its log
    late: float = 0.0

    def path(self, last: int) -> tuple[np.ndarray, np.ndarray]:
        """log S at ages 0 … `last`, and its slopes by log alpha, log beta and log within (3 × ages)."""
        ages = np.arange(1, last + 1)
        renews, between = places(ages, self.months)
        after, number = ~renews & ~between, np.maximum(1, ages // self.months)
        gone, slopes = self.renewal.hazard(number), self.renewal.slopes(number)
        first = gone * (1 - self.late)  # (1 − first)·(1 − what the month after adds) is 1 − gone
        hazard = np.select([renews, after], [first, (gone - first) / (1 - first)], self.within)
        part = (1 - self.late) * (1 - gone) / (1 - first)  # of a slope, at the renewal; the rest a month later
        slopes = slopes * np.select([renews, after], [part, 1 - part], 0)
        slopes = np.vstack([slopes, between * self.within / (self.within - 1)])
        return np.append(0, np.log1p(-hazard).cumsum()), np.pad(slopes.cumsum(axis=1), ((0, 0), (1, 0)))


@dataclass(frozen=True, eq=False)
class Renewals:
    """A mixture of terms; t counts months, and the methods are those of `Sbg`."""

    terms: tuple[Term, ...]
    customers: int = 0
    log_likelihood: float = np.nan  # as of `Sbg`: its fits are not one likelihood

    def only(self, months: int) -> "Renewals":
        """The same, as of customers who are all billed so: with the other terms' parameters, which move nothing."""
        return replace(self, terms=tuple(replace(of, share=float(of.months == months)) for of in self.terms))

    @property
    def covariance(self) -> np.ndarray:
        """Of log alpha, log beta and log within, term by term; shares are taken as known."""
        return block_diag(*(part for of in self.terms for part in (of.renewal.covariance, of.within_variance)))

    def survival(self, t):
        """Share that lives longer than t months."""
        t = np.asarray(t, dtype=int)
        return self._path(t)[0][t]

    def hazard(self, t):
        """Chance that who lived t − 1 months ends at t = 1, 2, …"""
        t = np.asarray(t, dtype=int)
        alive = self._path(t)[0]
        return 1 - alive[t] / alive[t - 1]

    def slopes(self, t):
        """Of log(1 − hazard) by the parameters of `covariance`, a row each."""
        t = np.asarray(t, dtype=int)
        alive, moved = self._path(t)
        slopes = moved / alive
        return slopes[:, t] - slopes[:, t - 1]

    def _path(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """S at ages 0, 1, … and its slopes."""
        paths = [(of.share, *of.path(int(t.max(initial=0)))) for of in self.terms]
        alive = sum(share * np.exp(logs) for share, logs, _ in paths)
        return alive, np.vstack([share * np.exp(logs) * slopes for share, logs, slopes in paths])


Curve = Sbg | Renewals


def fit(ends: pd.DataFrame) -> Curve:
    """The sBG of months where all are billed by the month (or `ends` has no `term`), else one of renewals for each term.

    ends : as in `survival.risk_set`, with `term`, the months from bill to bill. ValueError where nobody or everybody left.
    """
    if "term" not in ends or not ((term := ends["term"].to_numpy()) > 1).any():
        return fit_months(ends)
    counts = columns(ends)
    n, d, _ = risks(*counts)
    if not 0 < d.sum() < n[1:].sum():
        return fit_months(ends)
    terms = [fit_term([of[term == months] for of in counts], int(months), d.sum() / n[1:].sum()) for months in np.unique(term)]
    new = sum(of.share for of in terms)
    return Renewals(tuple(replace(of, share=of.share / new) for of in terms), int(counts[1].sum() + counts[2].sum()))


def fit_term(counts: list[np.ndarray], months: int, rate: float) -> Term:
    """One term; `share` in customers. counts : as `survival.risks` takes them. rate : the chance to leave a month that stands
    in for renewals not yet seen.

    Who leaves in the month after a renewal did not pay it. Of one renewal no sBG can be told: its chance goes on.
    """
    n, d, _ = (of.astype(float) for of in risks(*counts))
    n, d, ages = n[1:], d[1:], np.arange(1, len(n))
    renews, between = places(ages, months)
    renews &= n > 0
    number, due, left = ages[renews] // months, n[renews], d[renews]
    late = 0.0
    if months > 1:  # of who was not watched a month longer it is not known yet
        then, those = np.append(d, 0)[1:][renews], np.append(n, 0)[1:][renews]
        stay = (1 - left / due) * (1 - np.divide(then, those, out=np.zeros_like(then), where=those > 0))
        known = ((due - left) * then / np.maximum(those, 1)).sum()
        late, left = known / (left.sum() + known) if known else 0.0, due * (1 - stay)
    chance = (left.sum() + 0.5) / (due.sum() + 1) if due.sum() else min(0.99, 1 - (1 - rate) ** months)
    renewal = None
    if len(due) > 1:
        with suppress(ValueError):  # nobody or everybody left, or no maximum
            renewal = fit_counts(number, due, left, int(due.sum()))
    if renewal is None or renewal.covariance is None:
        renewal = even(chance, max(1, due.sum()))
    gone, there = d[between].sum(), n[between].sum()
    within = min(gone, there - 0.5) / there if gone else 0.0  # not everybody: somebody else would stay
    of = Term(months, 1.0, renewal, within, (1 - within) / gone if gone else 0.0, late)
    month, entered = counts[0].astype(int), counts[3]
    alive = np.exp(of.path(month.max())[0][month])  # who came late stands for those who had left, too
    return replace(of, share=float((entered / alive).sum()))


def even(chance: float, n: float = np.inf) -> Sbg:
    """An sBG whose chance is the same at every renewal, known from n of them: a share's variance, on the log odds."""
    return Sbg(chance * 1e9, (1 - chance) * 1e9, covariance=np.diag([1 / (n * chance * (1 - chance)), 0]))


def places(ages: np.ndarray, months: int) -> tuple[np.ndarray, np.ndarray]:
    """Which ages are renewals, and which lie between them; the month after a renewal is of it."""
    return ages % months == 0, (ages % months > 1) | (ages == 1) & (months > 1)
