"""BG/NBD: repeat purchases of customers who may drop out after any of them (Fader, Hardie and Lee 2005)."""

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, betaincinv, betaln, digamma, expit, gammaln, hyp2f1, xlogy

from .intervals import Estimate
from .likelihood import maximise, refit, resample


@dataclass(frozen=True)
class BgNbd:
    """Purchase rates are gamma(r, alpha), drop-out chances beta(a, b), over customers; arrays in, arrays out.

    x : repeat purchases; t_x, T : time from the first to the last, to the end watched; t : time ahead; one unit.
    """

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float = np.nan
    customers: int = 0

    def expected_new(self, t):
        """E[X(t)]: repeat purchases of a new customer within t of the first."""
        return _purchases(self.r, self.alpha, self.a, self.b, t)

    def probability(self, x, t):
        """P(X(t) = x): chance of x repeat purchases of a new customer within t, equation 8 of the paper."""
        r, a, b, z = self.r, self.a, self.b, t / (self.alpha + t)
        bought = np.exp(gammaln(r + x) - gammaln(r) - gammaln(x + 1) + xlogy(x, z) + r * np.log1p(-z))
        left = np.exp(betaln(a + 1, b + np.maximum(x, 1) - 1) - betaln(a, b)) * betainc(np.maximum(x, 1), r, z)
        return np.exp(betaln(a, b + x) - betaln(a, b)) * bought + np.where(x > 0, left, 0.0)

    def expected(self, t, x, t_x, T):
        """E[Y(t)]: purchases within t from now."""
        return self.alive(x, t_x, T) * _purchases(self.r + x, self.alpha + T, self.a, self.b + x, t)

    def alive(self, x, t_x, T):
        """Probability of not having dropped out; 1 by the model's design where x = 0."""
        odds = np.log(self.a) - np.log(self.b + np.maximum(x, 1) - 1)
        odds = odds + (self.r + x) * (np.log(self.alpha + T) - np.log(self.alpha + t_x))
        return np.where(x > 0, expit(-odds), 1.0)


def fit(x, t_x, T, weights=None) -> BgNbd:
    """Maximum likelihood over rows of `weights` customers each (1 by default); ValueError where there is none."""
    x, t_x, T = (np.asarray(values, dtype=float) for values in (x, t_x, T))
    weights = np.ones(len(x), dtype=np.int64) if weights is None else np.asarray(weights)
    wrong = ~((x >= 0) & ((x > 0) == (t_x > 0)) & (t_x >= 0) & (t_x <= T) & (weights > 0))
    if wrong.any() or not x.any():
        raise ValueError(f"{x.sum():.0f} repeat purchases; {wrong.sum()} rows break 0 ≤ t_x ≤ T, t_x > 0 just where x > 0")
    start = np.log([0.5, 0.5 * (weights @ T) / (weights @ x), 0.5, 2.0])
    theta, mean = maximise(_objective(x, t_x, T, weights), start)
    return BgNbd(*np.exp(theta).tolist(), mean * float(weights.sum()), int(weights.sum()))


def bootstrap(model: BgNbd, x, t_x, T, weights, draws: int, seed: int) -> np.ndarray:
    """(r, alpha, a, b) of refits to `resample(weights, draws, seed)`, draws × 4."""
    return refit(lambda w: _objective(x, t_x, T, w), [model.r, model.alpha, model.a, model.b], weights, draws, seed)


def predict_total(model: BgNbd, refits, x, t_x, T, weights, t: float, confidence: float, seed: int) -> Estimate:
    """Purchases of all customers within t from now, and where they will fall; refits, seed : of `bootstrap` there.

    A draw is the total that a refit expects of its own customers, plus normal noise of a total's exact variance.
    """
    x, t_x, T, weights = (np.asarray(values) for values in (x, t_x, T, weights))
    drawn = resample(weights, len(refits), seed)
    totals = [w @ BgNbd(*p).expected(t, x, t_x, T) for p, w in zip(refits, drawn, strict=True)]
    noise = np.sqrt(weights @ variance(model, x, t_x, T, t))
    totals += np.random.default_rng([seed, 1]).normal(0, noise, len(totals))
    low, high = np.quantile(totals, [0.5 - confidence / 2, 0.5 + confidence / 2]).tolist()
    return Estimate(float(weights @ model.expected(t, x, t_x, T)), max(0.0, low), high, int(weights.sum()))


def _objective(x, t_x, T, weights):
    """The mean log-likelihood of the four log parameters, equation 6 of the paper in logs, and its gradient."""
    x, t_x, T, weights = (np.asarray(of, dtype=float)[np.asarray(weights) > 0] for of in (x, t_x, T, weights))
    counts, which = np.unique(x, return_inverse=True)  # gamma functions once a count, not once a row
    share, earlier, never = weights / weights.sum(), np.maximum(x, 1) - 1, np.where(x > 0, 0, -np.inf)
    shares = np.bincount(which, share)

    def objective(theta):
        r, alpha, a, b = np.exp(theta)
        log_T = np.log(alpha + T)
        since = log_T - np.log(alpha + t_x)
        odds = never + theta[2] - np.log(b + earlier) + (r + x) * since  # log odds of having dropped out
        gone = share * expit(odds)
        by_count = gammaln(r + counts) - gammaln(r) + betaln(a, b + counts) - betaln(a, b)
        value = shares @ by_count + share @ np.logaddexp(0, odds) + r * theta[1] - share @ ((r + x) * log_T)
        psi = digamma(a + b) - shares @ digamma(a + b + counts)
        slopes = np.array([
            shares @ digamma(r + counts) - digamma(r) + theta[1] - share @ log_T + gone @ since,
            r / alpha - (share - gone) @ ((r + x) / (alpha + T)) - gone @ ((r + x) / (alpha + t_x)),
            psi + gone.sum() / a,
            psi + shares @ digamma(b + counts) - digamma(b) - gone @ (1 / (b + earlier)),
        ])
        return value, slopes * np.exp(theta)

    return objective


def _purchases(r, alpha, a, b, t):
    """Mean purchases within t of customers alive now: equation 9 of the paper."""
    r, alpha, a, b, t = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (r, alpha, a, b, t)))
    a = np.where(np.abs(a - 1) < 1e-6, 1 + 1e-6, a)  # equation 9 is 0/0 at a = 1, where its limit is smooth
    c, z = a + b - 1, t / (alpha + t)
    with np.errstate(all="ignore"):
        mean = np.array(c / (a - 1) * (1 - np.exp(r * np.log1p(-z)) * hyp2f1(r, b, c, z)))
    failed = ~((mean >= 0) & (mean <= r * t / alpha * (1 + 1e-9)))  # nobody buys more than without drop-out
    v = (np.arange(1000) + 0.5) / 1000
    for i in map(tuple, np.argwhere(failed)):  # 2F1 fails at extremes: average (1 − (1 + pt/α)^−r)/p over p's quantiles
        p = np.maximum(betaincinv(a[i], b[i], v**8), 1e-12)  # dense where p is small
        mean[i] = np.mean(-np.expm1(-r[i] * np.log1p(p * t[i] / alpha[i])) / p * 8 * v**7)
    return mean[()]


def variance(model: BgNbd, x, t_x, T, t: float) -> np.ndarray:
    """Variance of purchases Y, parameters given, by E[Y²] = Σ_k (2k − 1) P(Y ≥ k): enough bought, and stayed till k."""
    r, b, z = model.r + x, model.b + x, t / (model.alpha + T + t)
    square, rows, k = np.zeros(len(x)), np.arange(len(x)), 1
    while rows.size:
        stay = np.exp(betaln(model.a, b[rows] + k - 1) - betaln(model.a, b[rows]))
        term = (2 * k - 1) * betainc(k, r[rows], z[rows]) * stay
        square[rows] += term
        rows, k = rows[term > 1e-9 * square[rows]], k + 1
    return model.alive(x, t_x, T) * square - model.expected(t, x, t_x, T) ** 2
