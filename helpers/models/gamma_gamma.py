"""Gamma-Gamma: what a purchase brings, from the means of few (Fader, Hardie and Lee 2005; Fader and Hardie 2013)."""

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, gammaln

from .likelihood import maximise, refit


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
    start = np.log([2, 3, weights[used] @ mean[used] / customers])
    theta, average = maximise(_objective(x, mean, weights), start)
    return GammaGamma(*np.exp(theta).tolist(), average * customers, customers)


def bootstrap(model: GammaGamma, x, mean, weights, draws: int, seed: int) -> np.ndarray:
    """(p, q, v) of refits, draws × 3; BG/NBD's rows, weights and seed draw the customers of BG/NBD's refits."""
    return refit(lambda w: _objective(x, mean, w), [model.p, model.q, model.v], weights, draws, seed)


def _objective(x, mean, weights):
    """The mean log-likelihood of the three log parameters (equation 1a of the 2013 note), and its gradient."""
    used = (np.asarray(x) > 0) & (np.asarray(mean) > 0) & (np.asarray(weights) > 0)
    x, mean, weights = (np.asarray(of, dtype=float)[used] for of in (x, mean, weights))
    share, spend = weights / weights.sum(), x * mean
    log_spend, log_mean = share @ (x * np.log(spend)), share @ np.log(mean)
    counts, which = np.unique(x, return_inverse=True)
    shares = np.bincount(which, share)

    def objective(theta):
        p, q, v = np.exp(theta)
        log_all, both = np.log(v + spend), digamma(p * counts + q)
        value = shares @ (gammaln(p * counts + q) - gammaln(p * counts)) - gammaln(q) + q * theta[2]
        value += p * log_spend - log_mean - share @ ((p * x + q) * log_all)
        slopes = np.array([
            shares @ (counts * (both - digamma(p * counts))) + log_spend - share @ (x * log_all),
            shares @ both - digamma(q) + theta[2] - share @ log_all,
            q / v - share @ ((p * x + q) / (v + spend)),
        ])
        return value, slopes * np.exp(theta)

    return objective
