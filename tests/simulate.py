"""Books drawn at the level of summary tables from true parameters, thousands a second, for tests of coverage.

`demo.py` makes one company with all its rows; here only the counts exist that estimates are made from.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd


def spells(rng, hazards, joined, books: int) -> tuple[np.ndarray, np.ndarray]:
    """First spells that end and that are censored at each age 0 … K in months: two arrays of books × (K + 1).

    hazards : the chance to leave at the end of month 1, 2, … K at least. joined : how many customers have been watched
    for 1, 2, … K months at the end of the book, the same in every book.
    """
    return histories(rng, hazards, joined, np.ones((books, len(joined))))[:2]


def histories(rng, hazards, joined, shocks, seen: int | None = None) -> tuple[np.ndarray, ...]:
    """Spells that end, are censored and enter at each age, and customers who leave and are there at the start of each month.

    hazards, joined : as in `spells`. shocks : books × months, the factor of everybody's chance to leave in the last month
    of the book, the one before it, … seen : the book is complete for so many last months; who was there enters late.
    """
    joined, (books, months) = np.asarray(joined), shocks.shape
    seen = seen or months
    alive = np.tile(joined, (books, 1))
    events, censored, entered = (np.zeros((books, months + 1), dtype=np.int64) for _ in range(3))
    churned, start = (np.zeros((books, months), dtype=np.int64) for _ in range(2))
    entered[:, 0] = joined[:seen].sum()
    for age, hazard in enumerate(hazards[:months], start=1):
        there = alive[:, age - 1 :]                              # everybody watched for at least so long, a view
        left = rng.binomial(there, np.minimum(hazard * shocks[:, : months - age + 1], 1))
        events[:, age] = left[:, :seen].sum(axis=1)
        churned[:, : months - age + 1] += left
        start[:, : months - age + 1] += there
        there -= left
        censored[:, age] = alive[:, age - 1]
        if age + seen <= months:
            entered[:, age] = alive[:, age + seen - 1]
    return events, censored, entered, churned[:, seen - 1 :: -1], start[:, seen - 1 :: -1]


def survival_tables(rng, hazards: Mapping, joined: Mapping, books: int) -> Iterator[pd.DataFrame]:
    """Tables as `summaries/survival` gives them, one a book: `dimension, member, month, events, censored, entered`.

    hazards, joined : by plan, as in `spells`.
    """
    ages = 1 + max(len(months) for months in joined.values())
    counts = np.zeros((3, books, len(joined) + 1, ages), dtype=np.int64)     # ended, censored, entered by plan; last all
    for place, (plan, months) in enumerate(joined.items()):
        for kind, drawn in enumerate(spells(rng, hazards[plan], months, books)):
            counts[kind, :, place, : drawn.shape[1]] = drawn
        counts[2, :, place, 0] = np.sum(months)
    counts[:, :, -1] = counts[:, :, :-1].sum(axis=2)
    members = pd.MultiIndex.from_tuples([*(("plan", plan) for plan in joined), ("all", "all")]).repeat(ages)
    keys = {"dimension": members.get_level_values(0), "member": members.get_level_values(1)}
    keys["month"] = np.tile(np.arange(ages), len(joined) + 1)
    for book in range(books):
        events, censored, entered = counts[:, book].reshape(3, -1)
        yield pd.DataFrame(keys | {"events": events, "censored": censored, "entered": entered})


def value_table(rng, living: Mapping[str, int], amounts: Mapping[str, list]) -> pd.DataFrame:
    """A table as `summaries/customer_value` gives it: the MRR of who is there at the end, each drawn from `amounts`.

    living : customers by plan. amounts : a plan's monthly amounts, each as likely.
    """
    rows = []
    for plan, count in living.items():
        worth = np.asarray(amounts[plan], dtype=float)
        each = rng.multinomial(count, np.full(len(worth), 1 / len(worth)))
        rows.append(("plan", plan, count, each @ worth, count, count, each @ worth**2, each @ worth, count))
    names = ["dimension", "member", "customers", "sum_y", "sum_x", "sum_active", "sum_yy", "sum_xy", "sum_xx"]
    table = pd.DataFrame(rows, columns=names)
    whole = table.drop(columns=["dimension", "member"]).sum()
    return pd.concat([table, pd.DataFrame([whole]).assign(dimension="all", member="all")], ignore_index=True)


def purchase_tables(rng, buying, spending, watched_days) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables as `summaries/purchases` and `summaries/repeat_spend` give them, from BG/NBD and Gamma-Gamma.

    buying : r, alpha, a, b, in weeks. spending : p, q, v. watched_days : days observed after the first sale, one a customer.
    Who buys drops out with a chance of his own after each repeat purchase; purchases of one day are one.
    """
    (r, alpha, a, b), (p, q, v) = buying, spending
    watched = np.asarray(watched_days)
    rate, drop = rng.gamma(r, 1 / alpha, len(watched)), rng.beta(a, b, len(watched))
    scale = rng.gamma(q, 1 / v, len(watched))
    moment, alive = np.zeros(len(watched)), np.ones(len(watched), dtype=bool)
    x, last, total = (np.zeros(len(watched)) for _ in range(3))
    while alive.any():
        moment = moment + rng.exponential(7 / rate)
        alive &= moment < watched + 1
        day = np.floor(moment)
        new = alive & (day > last)
        x, last = x + new, np.where(new, day, last)
        total = total + np.where(new, rng.gamma(p, 1 / scale), 0)
        alive &= rng.random(len(watched)) >= drop
    counts = pd.DataFrame({"x": x.astype(int), "last_days": last.astype(int), "observed_days": watched})
    spend = pd.DataFrame({"x": x.astype(int), "total": total.round(2)})[x > 0]
    return tuple(table.groupby(list(table)).size().rename("customers").reset_index() for table in (counts, spend))


def predicted(book):
    """A prepared book with the mart of accounts, for queries that read it: a unit of MRR is worth 10, a purchase day 1."""
    ages = pd.DataFrame({"dimension": "all", "member": "all", "term": 0, "age": range(900), "worth": 10.0})
    ages = ages.assign(low=0.5, high=2.0)
    purchases = book.frame("summaries/purchases").assign(worth=1.0, worth_of_spend=0.5, low=0.0, high=3.0)
    terms = pd.DataFrame([{"margin": 0.5, "support": 0.0, "basis": "gross_margin", "method": "any", "known": True}])
    book.derive("account_value", account_terms=terms, months_ahead=ages, purchases_ahead=purchases)
    return book


def subscribers(rng, months: int, ahead: int, joining: float, *, shock: float, heavy: float) -> tuple[pd.DataFrame, float]:
    """A book of subscriptions as `summaries/forecast_cells` gives it, and what who pays at its end brings in the months after.

    A third is billed by the year and leaves at renewals alone; each has a chance to leave of his own, times a shock of the
    month, log-normal with mean 1. Amounts are log-normal with a spread of `heavy`, change now and then, and rise in steps;
    who leaves may come back. joining : customers a month.
    """
    span, starts = months + ahead, np.repeat(np.arange(months), rng.poisson(joining, months))
    term = np.where(rng.random(len(starts)) < 1 / 3, 12, 1)
    leaving = np.where(term == 12, rng.beta(2, 7, len(starts)), rng.beta(1.5, 45, len(starts)))
    amount, rows, state = np.exp(rng.normal(3, heavy, len(starts))), np.zeros((span, len(starts))), np.zeros(len(starts), bool)
    for month in range(span):
        of_month = np.exp(shock * rng.normal() - shock**2 / 2)
        due, drawn = (month - starts) % term == 0, rng.random(len(starts))
        stays = state & ~(due & (drawn < np.minimum(1, leaving * of_month)))
        back = ~state & (starts < month) & (rng.random(len(starts)) < 0.02)
        moves = rng.random(len(starts)) < 0.02
        amount = amount * np.where(moves, np.exp(rng.normal(0.1, 0.4, len(starts))), 1) * np.exp(0.002 + 0.005 * rng.normal())
        state = stays | back | (starts == month)
        rows[month] = amount * state
    last, parts = months - 1, []
    for month in range(months):
        paying, following = rows[month] > 0, rows[month + 1] if month < last else np.zeros(len(starts))
        before = np.where(rows[max(0, month - 12):month] > 0, rows[max(0, month - 12):month], np.nan)
        since = pd.DataFrame(before).ffill().iloc[-1].to_numpy() if month else np.full(len(starts), np.nan)
        for name, which, mrr in (("paying", paying, rows[month]), ("away", ~paying & np.isfinite(since), since)):
            of = pd.DataFrame({"plan_id": np.where(term == 12, "yearly", "monthly"), "term": term,
                               "ahead": term - (month - starts) % term, "number": (month - starts) // term + 1})[which]
            of = of.assign(month=month, state=name, customers=1, mrr=mrr[which], mrr_mrr=mrr[which] ** 2,
                           stayed=(following > 0)[which] * 1, next_mrr=following[which])
            parts.append(of.assign(stayed_mrr=of["mrr"] * of["stayed"]))
    keys = ["month", "state", "plan_id", "term", "ahead", "number"]
    cells = pd.concat(parts).groupby(keys, as_index=False).sum()
    return cells, float(rows[months:, rows[last] > 0].sum())
