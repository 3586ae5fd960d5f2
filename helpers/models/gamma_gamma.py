"""Gamma-Gamma: what a purchase brings, from the means of few (Fader, Hardie and Lee 2005; Fader and Hardie 2013)."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import digamma, gammaln, polygamma

from .likelihood import PART, maximise, refit


@dataclass(frozen=True)
class GammaGamma:
    """Purchases are gamma(p, ν) for a customer, ν is gamma(q, v) over customers; v in the currency of the data."""

    p: float
    q: float
    v: float
    log_likelihood: float = np.nan
    customers: int = 0

    @property
    def mean(self) -> float:
        """Mean purchase of a customer not yet seen, p·v/(q − 1); infinite where q ≤ 1."""
        return self.p * self.v / (self.q - 1) if self.q > 1 else np.inf

    def expected(self, x, mean):
        """Mean purchase of customers whose x purchases had that mean; where x = 0, of a customer not yet seen."""
        rest = self.p * x + self.q - 1
        return np.where(rest > 0, self.p * (self.v + np.where(x > 0, x * mean, 0)) / rest, np.inf)[()]


def fit(x, mean, weights=None) -> GammaGamma:
    """Maximum likelihood over rows of x repeats with that `mean`; rows where either is 0 may be there, uncounted."""
    x, mean = np.asarray(x, dtype=float), np.asarray(mean, dtype=float)
    weights = np.ones(len(x), dtype=np.int64) if weights is None else np.asarray(weights)
    used = (x > 0) & (mean > 0)
    if used.sum() < 2:
        raise ValueError(f"Gamma-Gamma needs two rows with repeat spend above 0: {used.sum()} among {len(x)}")
    customers = int(weights[used].sum())
    objective = Rows(x, mean).given(weights)
    theta, average = maximise(objective, objective.start)
    return GammaGamma(*np.exp(theta).tolist(), average * customers, customers)


def bootstrap(model: GammaGamma, x, mean, weights, draws: int, seed: int) -> np.ndarray:
    """(p, q, v) of refits, draws × 3; BG/NBD's rows, weights and seed draw the customers of BG/NBD's refits."""
    return refit(Rows(x, mean), [model.p, model.q, model.v], weights, draws, seed)


class Rows:
    """Customers by x and mean, made ready for likelihoods; rows where either is 0 do not count."""

    def __init__(self, x, mean) -> None:
        x, mean = (np.asarray(of, dtype=float) for of in (x, mean))
        self.good, self.rows = np.flatnonzero((x > 0) & (mean > 0)), len(x)
        self.counts, self.of_x = np.unique(x[self.good], return_inverse=True)
        self.mean, self.spend = mean[self.good], x[self.good] * mean[self.good]
        self.log_mean, self.log_spend = np.log(self.mean), x[self.good] * np.log(self.spend)

    def given(self, weights) -> "Objective":
        """The likelihood where each row stands for so many customers."""
        return Objective(self, np.asarray(weights, dtype=float)[self.good])

    def scores(self, theta) -> np.ndarray:
        """Each row's gradient of the log-likelihood by the log parameters, 0 where it does not count: rows × 3."""
        (p, q, v), x, whole = np.exp(theta), self.counts[self.of_x], np.exp(theta[2]) + self.spend
        both, alone = digamma(p * self.counts + q)[self.of_x], digamma(p * self.counts)[self.of_x]
        slopes = np.zeros((self.rows, 3))
        slopes[self.good] = np.column_stack([
            x * (both - alone) + self.log_spend - x * np.log(whole), both - digamma(q) + theta[2] - np.log(whole),
            q / v - (p * x + q) / whole,
        ])
        return slopes * np.exp(theta)


class Objective:
    """The mean log-likelihood of the three log parameters (equation 1a of the 2013 note), and its derivatives."""

    def __init__(self, rows: Rows, weights: np.ndarray) -> None:
        share, self.counts, used = weights / weights.sum(), rows.counts, np.flatnonzero(weights)
        self.log_spend, self.log_mean = share @ rows.log_spend, share @ rows.log_mean
        self.start = np.log([2, 3, share @ rows.mean])
        self.shares = np.bincount(rows.of_x, share, len(self.counts))
        kept = share[used], rows.of_x[used], rows.spend[used]
        self.parts = [[of[start:start + PART] for of in kept] for start in range(0, len(used), PART)]

    def __call__(self, theta) -> tuple[float, np.ndarray]:
        """Its value and its gradient."""
        (p, q, v), counts, sums = np.exp(theta), self.counts, np.zeros(3)
        for share, of_x, spend in self.parts:
            x, whole = counts[of_x], v + spend
            logs = share * np.log(whole)
            sums += logs @ x, logs.sum(), (share * (p * x + q)) @ (1 / whole)
        both, alone = p * counts + q, p * counts
        value = self.shares @ (gammaln(both) - gammaln(alone)) - gammaln(q) + q * theta[2]
        value += p * self.log_spend - self.log_mean - p * sums[0] - q * sums[1]
        slopes = np.array([
            self.shares @ (counts * (digamma(both) - digamma(alone))) + self.log_spend - sums[0],
            self.shares @ digamma(both) - digamma(q) + theta[2] - sums[1],
            q / v - sums[2],
        ])
        return value, slopes * np.exp(theta)

    def information(self, theta) -> np.ndarray:
        """Minus its Hessian."""
        (p, q, v), counts, bends, trigamma = np.exp(theta), self.counts, np.zeros((3, 3)), partial(polygamma, 1)
        for share, of_x, spend in self.parts:
            x, inverse = counts[of_x], 1 / (v + spend)
            part = share * inverse
            bends[2] += -(part @ x), -part.sum(), (part * (p * x + q)) @ inverse
        both, alone = trigamma(p * counts + q), trigamma(p * counts)
        bends[0, 0], bends[1, 1] = self.shares @ (counts**2 * (both - alone)), self.shares @ both - trigamma(q)
        bends[0, 1] = bends[1, 0] = self.shares @ (counts * both)
        bends[2] += 0, 1 / v, -q / v**2
        bends[:2, 2] = bends[2, :2]
        return -(bends * np.outer(np.exp(theta), np.exp(theta)) + np.diag(self(theta)[1]))
