"""Shifted beta-geometric: how long contracts last when customers differ (Fader and Hardie 2007)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import betaln

from .likelihood import ROOM, information, maximise
from .survival import columns, risks


@dataclass(frozen=True, eq=False)
class Sbg:
    """A contract ends each period with a chance that is beta(alpha, beta) over customers; t counts whole periods."""

    alpha: float
    beta: float
    log_likelihood: float = np.nan
    customers: int = 0
    covariance: np.ndarray | None = None  # of log alpha and log beta; None where one hazard fits all

    def survival(self, t):
        """Share that lives longer than t periods."""
        return np.exp(betaln(self.alpha, self.beta + np.asarray(t)) - betaln(self.alpha, self.beta))

    def hazard(self, t):
        """Chance that who lived t − 1 periods ends at t = 1, 2, …"""
        return self.alpha / (self.alpha + self.beta + np.asarray(t) - 1)

    def slopes(self, t):
        """Of log(1 − hazard) by log alpha and log beta, a row each."""
        hazard = self.hazard(t)
        return np.array([-hazard, hazard * self.beta / (self.beta + np.asarray(t) - 1)])

    def expected_remaining(self, discount_rate: float, survived: int) -> float:
        """Discounted periods to come, just before the renewal after `survived` ones: DERL (Fader and Hardie 2010)."""
        if discount_rate <= 0:
            raise ValueError(f"undiscounted, the sum is infinite for many books: {discount_rate=} must be above 0")
        force = np.log1p(discount_rate)
        k = np.arange(1, np.ceil(37 / force) + 2)  # e^−37 is below double precision
        return float((self.survival(survived + k) / self.survival(survived) * np.exp(-force * (k - 1))).sum())

    def expected_lifetime(self, discount_rate: float) -> float:
        """Discounted periods of a new customer, paid in advance: Σ_{t ≥ 0} S(t)/(1 + discount_rate)^t."""
        return 1 + self.expected_remaining(discount_rate, 0) / (1 + discount_rate)


def fit(ends: pd.DataFrame) -> Sbg:
    """Maximum likelihood given the age at entry, `ends` as in `survival.risk_set`; ValueError without ends."""
    n, d, _ = risks(*columns(ends))
    customers = int(ends["events"].sum() + ends["censored"].sum())
    return fit_counts(np.arange(1.0, len(n)), n[1:].astype(float), d[1:].astype(float), customers)


def fit_counts(t, n, d, customers: int) -> Sbg:
    """The same where of n who could renew for the t-th time d ended (arrays); customers : how many there are in all."""
    if not 0 < d.sum() < n.sum():
        raise ValueError(f"sBG needs ends and renewals: {d.sum():.0f} of {n.sum():.0f} customer-periods ended")

    def objective(theta):
        alpha, beta = np.exp(theta)
        stay, both = beta + t - 1, alpha + beta + t - 1
        value = d.sum() * theta[0] + (n - d) @ np.log(stay) - n @ np.log(both)
        slopes = np.array([d.sum() / alpha - (n / both).sum(), ((n - d) / stay).sum() - (n / both).sum()])
        return value / customers, slopes * np.exp(theta) / customers

    def curvature(theta):
        """Minus the Hessian of the same by log alpha and log beta."""
        alpha, beta = np.exp(theta)
        stay, both = beta + t - 1, alpha + beta + t - 1
        among, left = n / both, (n - d) / stay
        mixed = alpha * beta * (among / both).sum()
        first = alpha * (among * (1 - alpha / both)).sum()
        second = beta * (among * (1 - beta / both)).sum() - beta * (left * (1 - beta / stay)).sum()
        return np.array([[first, -mixed], [-mixed, second]]) / customers

    objective.information = curvature  # `information` asks for it
    theta, mean = maximise(objective, np.array([0.0, np.log(n.sum() / d.sum() - 1)]))
    precision = customers * information(objective, theta)
    known = np.linalg.eigvalsh(precision)[0] > ROOM**-2  # else one hazard fits all: large values, right ratio
    return Sbg(*np.exp(theta).tolist(), mean * customers, customers, np.linalg.inv(precision) if known else None)
