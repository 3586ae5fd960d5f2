"""Resampled customers and the search for a maximum."""

import numpy as np
import pytest

from helpers.models import bgnbd, gamma_gamma, likelihood
from helpers.models.likelihood import ROOM, information, maximise, resample


def test_resampled_weights_keep_the_number_of_customers_and_follow_the_seed():
    draws = np.array(list(resample([1, 3, 6], 2000, seed=1)))
    assert (draws.sum(axis=1) == 10).all()
    assert draws.mean(axis=0) == pytest.approx([1, 3, 6], abs=0.1)
    assert draws.var(axis=0) == pytest.approx([0.9, 2.1, 2.4], rel=0.1)  # n·p·(1 − p)
    np.testing.assert_array_equal(draws[:3], list(resample([1, 3, 6], 3, seed=1)))


def test_the_maximum_of_a_narrow_ridge_is_found():
    def ridge(theta):  # highest at (1, 2), ten thousand times steeper across than along
        along, across = theta.sum() - 3, theta[0] - theta[1] + 1
        return -(1e-4 * along**2 + across**2), -np.array([2e-4 * along + 2 * across, 2e-4 * along - 2 * across])

    theta, value = maximise(ridge, np.zeros(2))
    assert theta == pytest.approx([1, 2], abs=1e-3)
    assert value == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(information(ridge, theta), [[2.0002, -1.9998], [-1.9998, 2.0002]], rtol=1e-6)


def test_an_endless_slope_ends_at_the_wall():
    def slope(theta):
        short = 40 - theta.sum()
        return -(short**2) / 2, np.array([short, short])

    theta, _ = maximise(slope, np.zeros(2))
    assert theta.tolist() == [ROOM, ROOM]


def test_a_likelihood_that_is_not_a_number_is_refused():
    with pytest.raises(ValueError):
        maximise(lambda theta: (np.nan, np.array([np.nan])), np.zeros(1))


def test_customers_of_many_rows_are_drawn_one_by_one_with_the_same_spread(monkeypatch):
    monkeypatch.setattr(likelihood, "MANY", 2)
    draws = np.array(list(resample([1, 3, 6], 2000, seed=1)))
    assert (draws.sum(axis=1) == 10).all()
    assert draws.mean(axis=0) == pytest.approx([1, 3, 6], abs=0.1)
    assert draws.var(axis=0) == pytest.approx([0.9, 2.1, 2.4], rel=0.1)


def test_at_a_wall_the_others_go_on():
    def hill(theta):  # highest at (20, 10), which the wall of the first keeps off; there the second is best at −2
        along, across = theta[0] - 20, theta[1] - theta[0] + 10
        return -(along**2 + across**2) / 2, np.array([across - along, -across])

    theta, _ = maximise(hill, np.zeros(2))
    assert theta == pytest.approx([ROOM, ROOM - 10])


@pytest.mark.parametrize("objective", [
    bgnbd.Rows([0, 2, 5, 40], [0, 3.0, 30, 38], [39.0, 39, 31, 38.5]).given([4, 3, 2, 1]),
    gamma_gamma.Rows([1, 2, 2, 9], [5.0, 30, 12, 7]).given([4, 3, 2, 1]),
])
def test_second_derivatives_are_the_differences_of_the_first(objective):
    theta = np.log([0.4, 6.0, 0.9, 2.5])[:len(objective.start)]
    found = information(lambda at: objective(at), theta)
    np.testing.assert_allclose(objective.information(theta), found, atol=1e-6)


@pytest.mark.parametrize(("rows", "theta"), [
    (bgnbd.Rows([2, 0, 40, 5], [3.0, 0, 38, 30], [39.0, 39, 38.5, 31]), np.log([0.4, 6.0, 0.9, 2.5])),
    (gamma_gamma.Rows([9, 1, 0, 2], [7.0, 5, 0, 30]), np.log([2.0, 3.0, 14.0])),
])
def test_scores_are_what_a_row_adds_to_the_gradient(rows, theta):
    weights = np.array([4, 3, 2, 1])
    scores = rows.scores(theta)
    counted = weights[scores.any(axis=1)].sum()
    np.testing.assert_allclose(weights @ scores / counted, rows.given(weights)(theta)[1], atol=1e-12)
    for row in range(4):
        alone = np.eye(4, dtype=int)[row]
        if scores[row].any():
            np.testing.assert_allclose(scores[row], rows.given(alone)(theta)[1], atol=1e-12)


def test_of_many_customers_one_step_comes_to_where_a_refit_does(monkeypatch):
    rng = np.random.default_rng(7)
    n, observed = 20_000, np.floor(rng.uniform(20, 150, 20_000))
    rate, stop = rng.gamma(0.8, 1 / 6, n), rng.beta(0.9, 2.5, n)
    now, bought, last, alive = np.zeros(n), np.zeros(n), np.zeros(n), np.ones(n, dtype=bool)
    while alive.any():
        now = now + rng.exponential(1 / rate)
        alive = alive & (now <= observed)
        bought, last = bought + alive, np.where(alive, now, last)
        alive = alive & (rng.random(n) > stop)
    weights, counts = np.ones(n, dtype=int), (bought, last, observed)
    spent = rng.gamma(4, 1, n) * 30 / rng.gamma(6, 1, n)
    model, money = bgnbd.fit(*counts, weights), gamma_gamma.fit(bought, spent, weights)
    draws = [rng.multinomial(n, np.full(n, 1 / n)) for _ in range(40)]
    monkeypatch.setattr(likelihood, "resample", lambda *_: iter(draws))
    found = {}
    for many in (10**9, 1000):
        monkeypatch.setattr(likelihood, "MANY", many)
        found[many] = (np.log(bgnbd.bootstrap(model, *counts, weights, 40, 1)),
                       np.log(gamma_gamma.bootstrap(money, bought, spent, weights, 40, 1)))
    for full, step in zip(*found.values(), strict=True):
        spread = full.std(axis=0)
        assert not np.array_equal(full, step)
        assert (np.abs(full - step) < 0.5 * spread).all()  # the second order, of each draw
        np.testing.assert_allclose(step.std(axis=0), spread, rtol=0.05)
