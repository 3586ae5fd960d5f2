"""BG/NBD: repeat purchases of customers who may drop out after any of them (Fader, Hardie and Lee 2005)."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import betainc, betaincinv, betaln, digamma, expit, gammaln, hyp2f1, polygamma, xlogy

from .intervals import Estimate
from .likelihood import MANY, PART, at_once, maximise, refit, resample


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
        return self.alive(x, t_x, T) * self.ahead(t, x, T)

    def ahead(self, t, x, T):
        """Purchases within t from now of customers who have not dropped out."""
        return _purchases(self.r + x, self.alpha + T, self.a, self.b + x, t)

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
    objective = Rows(x, t_x, T).given(weights)
    theta, mean = maximise(objective, objective.start)
    return BgNbd(*np.exp(theta).tolist(), mean * float(weights.sum()), int(weights.sum()))


def bootstrap(model: BgNbd, x, t_x, T, weights, draws: int, seed: int) -> np.ndarray:
    """(r, alpha, a, b) of refits to `resample(weights, draws, seed)`, draws × 4."""
    return refit(Rows(x, t_x, T), [model.r, model.alpha, model.a, model.b], weights, draws, seed)


def predict_total(model: BgNbd, refits, x, t_x, T, weights, t: float, confidence: float, seed: int) -> Estimate:
    """Purchases of all customers within t from now, and where they will fall; refits, seed : of `bootstrap` there.

    A draw is the total that a refit expects of its own customers, plus normal noise of a total's exact variance.
    """
    x, t_x, T, weights = (np.asarray(values) for values in (x, t_x, T, weights))
    (of_x, of_T), which = pairs(x, T)

    def expected(of):
        return of.ahead(t, of_x, of_T)[which] * of.alive(x, t_x, T)

    drawn = zip(refits, resample(weights, len(refits), seed), strict=True)
    totals = at_once(lambda pair: pair[1] @ expected(BgNbd(*pair[0])), drawn, long=len(x) > MANY)
    noise = np.sqrt(weights @ variance(model, x, t_x, T, t))
    totals += np.random.default_rng([seed, 1]).normal(0, noise, len(totals))
    low, high = np.quantile(totals, [0.5 - confidence / 2, 0.5 + confidence / 2]).tolist()
    return Estimate(float(weights @ expected(model)), max(0.0, low), high, int(weights.sum()))


class Rows:
    """Customers by x, t_x and T, made ready for likelihoods: logarithms once a time, gamma functions once a count."""

    def __init__(self, x, t_x, T) -> None:
        (self.counts, by_x), (self.ends, by_T), (self.lasts, by_t) = (
            np.unique(np.asarray(of, dtype=float), return_inverse=True) for of in (x, T, t_x))
        self.order = np.argsort(by_x, kind="stable")  # by x, so that parts of them add up in the order of memory
        self.by_x, self.by_T, self.by_t = by_x[self.order], by_T[self.order], by_t[self.order]
        self.x = self.counts[self.by_x]

    def given(self, weights) -> "Objective":
        """The likelihood where each row stands for so many customers."""
        return Objective(self, np.asarray(weights, dtype=float)[self.order])

    def scores(self, theta) -> np.ndarray:
        """Each row's gradient of the log-likelihood by the log parameters: rows × 4."""
        (r, alpha, a, b), until, to_last = np.exp(theta), np.exp(theta[1]) + self.ends, np.exp(theta[1]) + self.lasts
        since, bought = np.log(until)[self.by_T] - np.log(to_last)[self.by_t], r + self.x
        rest = 1 / (b + np.maximum(self.x, 1) - 1)
        gone = np.where(self.x > 0, expit(np.log(a * rest) + bought * since), 0)
        psi = np.array([digamma(r + self.counts) - digamma(r), digamma(a + b) - digamma(a + b + self.counts),
                        digamma(b + self.counts) - digamma(b)])[:, self.by_x]
        until, to_last = (1 / until)[self.by_T], (1 / to_last)[self.by_t]
        slopes = np.empty((len(self.x), 4))
        slopes[self.order] = np.column_stack([
            psi[0] + theta[1] + np.log(until) + gone * since,
            r / alpha - bought * until + gone * bought * (until - to_last),
            psi[1] + gone / a,
            psi[1] + psi[2] - gone * rest,
        ])
        return slopes * np.exp(theta)


class Objective:
    """The mean log-likelihood of the four log parameters, equation 6 of the paper in logs, and its derivatives."""

    def __init__(self, rows: Rows, weights: np.ndarray) -> None:
        share, self.counts, self.ends, self.lasts = weights / weights.sum(), rows.counts, rows.ends, rows.lasts
        self.shares = np.add.reduceat(share, np.searchsorted(rows.by_x, np.arange(len(self.counts))))
        self.until, self.bought = (np.bincount(rows.by_T, of) for of in (share, share * rows.x))
        used = np.flatnonzero((weights > 0) & (rows.x > 0))  # who bought once has not dropped out
        kept = share[used], rows.by_x[used], rows.by_T[used], rows.by_t[used]
        self.parts = [[of[start:start + PART] for of in kept] for start in range(0, len(used), PART)]

    @property
    def start(self) -> np.ndarray:
        """Where a fit begins."""
        return np.log([0.5, 0.5 * (self.until @ self.ends) / self.bought.sum(), 0.5, 2.0])

    def __call__(self, theta) -> tuple[float, np.ndarray]:
        """Its value and its gradient."""
        (r, alpha, a, b), counts, either, sums = np.exp(theta), self.counts, 0.0, np.zeros(4)
        for share, since, (until, to_last), bought, rest, odds, fall in self._repeats(theta):
            gone = share * np.where(odds > 0, 1, fall) / (1 + fall)
            either += share @ (np.maximum(odds, 0) + np.log1p(fall))
            sums += gone @ since, (gone * bought) @ (until - to_last), gone.sum(), gone @ rest
        by_count = gammaln(r + counts) - gammaln(r) + betaln(a, b + counts) - betaln(a, b)
        log_T, spent = np.log(alpha + self.ends), r * self.until + self.bought
        value = self.shares @ by_count + either + r * theta[1] - spent @ log_T
        psi = digamma(a + b) - self.shares @ digamma(a + b + counts)
        slopes = np.array([
            self.shares @ digamma(r + counts) - digamma(r) + theta[1] - self.until @ log_T + sums[0],
            r / alpha - spent @ (1 / (alpha + self.ends)) + sums[1],
            psi + sums[2] / a,
            psi + self.shares @ digamma(b + counts) - digamma(b) - sums[3],
        ])
        return value, slopes * np.exp(theta)

    def information(self, theta) -> np.ndarray:
        """Minus its Hessian."""
        (r, alpha, a, b), counts, inverse = np.exp(theta), self.counts, 1 / (np.exp(theta[1]) + self.ends)
        spent, trigamma, bends = r * self.until + self.bought, partial(polygamma, 1), np.zeros((4, 4))
        for share, since, (until, to_last), bought, rest, odds, fall in self._repeats(theta):
            slopes = np.array([since, bought * (until - to_last), np.full(len(odds), 1 / a), -rest])  # of the log odds
            gone = share * np.where(odds > 0, 1, fall) / (1 + fall)
            bends += (slopes * (share * fall / (1 + fall) ** 2)) @ slopes.T
            bends[0, 1] += gone @ (until - to_last)
            bends[[1, 2, 3], [1, 2, 3]] += (gone * bought) @ (to_last**2 - until**2), -gone.sum() / a**2, gone @ rest**2
        bends[0, 0] += self.shares @ trigamma(r + counts) - trigamma(r)
        bends[0, 1] += 1 / alpha - self.until @ inverse
        bends[1, 1] += spent @ inverse**2 - r / alpha**2
        bends[2:, 2:] += trigamma(a + b) - self.shares @ trigamma(a + b + counts)
        bends[3, 3] += self.shares @ trigamma(b + counts) - trigamma(b)
        bends[1, 0] = bends[0, 1]
        return -(bends * np.outer(np.exp(theta), np.exp(theta)) + np.diag(self(theta)[1]))

    def _repeats(self, theta):
        """Part by part, of rows with repeats: share, ∂ log odds ÷ ∂r, 1 ÷ (alpha + T) and 1 ÷ (alpha + t_x), r + x,
        1 ÷ (b + x − 1), the log odds of having dropped out, and e to minus their size."""
        r, alpha, _, b = np.exp(theta)
        until, to_last = alpha + self.ends, alpha + self.lasts
        log_T, log_t, until, to_last = np.log(until), np.log(to_last), 1 / until, 1 / to_last
        before = b + np.maximum(self.counts, 1) - 1
        by_count = r + self.counts, 1 / before, theta[2] - np.log(before)
        for share, of_x, of_T, of_t in self.parts:
            bought, rest, first = (of[of_x] for of in by_count)
            since = log_T[of_T] - log_t[of_t]
            odds = first + bought * since
            yield share, since, (until[of_T], to_last[of_t]), bought, rest, odds, np.exp(-np.abs(odds))


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


def pairs(x, T) -> tuple[np.ndarray, np.ndarray]:
    """The distinct x and T (2 × pairs), and which pair a row is of: who is alive buys by these two alone, and they are few."""
    (counts, of_x), (ends, of_T) = (np.unique(of, return_inverse=True) for of in (x, T))
    known, which = np.unique(of_x * len(ends) + of_T, return_inverse=True)
    return np.array([counts[known // len(ends)], ends[known % len(ends)]]), which


def variance(model: BgNbd, x, t_x, T, t: float) -> np.ndarray:
    """Variance of purchases Y, parameters given, by E[Y²] = Σ_k (2k − 1) P(Y ≥ k): enough bought, and stayed till k."""
    (of_x, of_T), which = pairs(x, T)
    r, b, z = model.r + of_x, model.b + of_x, t / (model.alpha + of_T + t)
    square, rows, k = np.zeros(len(of_x)), np.arange(len(of_x)), 1
    while rows.size:
        stay = np.exp(betaln(model.a, b[rows] + k - 1) - betaln(model.a, b[rows]))
        term = (2 * k - 1) * betainc(k, r[rows], z[rows]) * stay
        square[rows] += term
        rows, k = rows[term > 1e-9 * square[rows]], k + 1
    alive = model.alive(x, t_x, T)
    return alive * square[which] - (alive * model.ahead(t, of_x, of_T)[which]) ** 2
