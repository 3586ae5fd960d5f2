"""Gamma-Gamma against Fader and Hardie 2013 (note 025) and CLVTools on CDNOW's repeat buyers."""

import numpy as np
import pytest

from helpers.models.bgnbd import bootstrap as purchase_refits
from helpers.models.bgnbd import fit as fit_purchases
from helpers.models.gamma_gamma import GammaGamma, bootstrap, fit

FIRST_TEN = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17]


@pytest.fixture(scope="module")
def model(cdnow_weekly):
    return fit(cdnow_weekly["x"], cdnow_weekly["mean"])


def test_parameters_are_the_published_ones(model):
    assert [model.p, model.q] == pytest.approx([6.25, 3.74], abs=0.005)
    assert model.v == pytest.approx(15.44, abs=0.02)
    assert model.customers == 946


def test_likelihood_of_exact_means_is_the_published_one(cdnow_days):
    model = fit(cdnow_days["x"], cdnow_days["mean"])
    assert model.log_likelihood == pytest.approx(-4055.9177, abs=0.001)


def test_the_first_purchase_in_the_mean_is_another_model(cdnow_days):
    mixed = fit(cdnow_days["x"], cdnow_days["all_mean"])
    assert mixed.p > 2 * 6.25  # 14.3: x counts repeats, the mean must not hold the first purchase


def test_all_purchases_with_the_first_are_a_third_model(cdnow_days):
    everything = fit(cdnow_days["x"] + 1, cdnow_days["all_mean"])  # nobody published it: an independent implementation
    assert [everything.p, everything.q, everything.v] == pytest.approx([9.881, 3.399, 7.929], abs=2e-3)
    assert everything.log_likelihood == pytest.approx(-9898.45, abs=0.01) and everything.customers == 2349


def test_expected_spend_is_the_notes(model, cdnow_weekly):
    ten = cdnow_weekly.head(10)
    assert model.expected(ten["x"], ten["mean"]) == pytest.approx(FIRST_TEN, abs=0.02)
    assert model.mean == pytest.approx(35.17, abs=0.02)


def test_who_has_no_repeat_is_expected_to_spend_the_mean():
    assert GammaGamma(6.0, 4.0, 15.0).mean == 30
    assert GammaGamma(6.0, 4.0, 15.0).expected(np.array([0, 2]), np.array([np.nan, 20.0])).tolist() == [
        30, 6 * (15 + 40) / (12 + 3)]


def test_the_mean_is_infinite_where_spend_has_none():
    assert GammaGamma(6.0, 1.0, 15.0).mean == np.inf
    assert GammaGamma(6.0, 0.8, 15.0).expected(0, 0) == np.inf


def test_rows_without_spend_do_not_move_the_fit(model, cdnow_weekly):
    buyers = cdnow_weekly[cdnow_weekly["x"] > 0]
    alone = fit(buyers["x"], buyers["mean"])
    assert [alone.p, alone.q, alone.v] == pytest.approx([model.p, model.q, model.v], rel=1e-6)


def test_weights_are_repeated_customers(cdnow_weekly):
    buyers = cdnow_weekly[cdnow_weekly["x"] > 0]
    twice = fit(buyers["x"], buyers["mean"], np.where(buyers["x"] > 2, 2, 1))
    rows = buyers.loc[buyers.index.repeat(np.where(buyers["x"] > 2, 2, 1))]
    alone = fit(rows["x"], rows["mean"])
    assert [twice.p, twice.q, twice.v] == pytest.approx([alone.p, alone.q, alone.v], rel=1e-5)
    assert twice.customers == alone.customers == len(rows)


def test_the_currency_moves_v_alone(model, cdnow_weekly):
    yen = fit(cdnow_weekly["x"], cdnow_weekly["mean"] * 150)
    assert [yen.p, yen.q, yen.v] == pytest.approx([model.p, model.q, model.v * 150], rel=1e-4)
    assert yen.log_likelihood == pytest.approx(model.log_likelihood - 946 * np.log(150), abs=1e-4)


def test_refits_share_the_customers_of_purchase_refits():
    # one kind of customer buys often and spends much, the other neither: who is drawn moves both fits together
    rng = np.random.default_rng(8)
    much = np.arange(300) % 3 == 0
    T = np.full(300, 50.0)
    x = np.where(much, 12, 2) + rng.integers(0, 3, 300)
    t_x = T * rng.random(300) ** (1 / x)
    mean = np.where(much, 60.0, 10.0) * rng.gamma(20, 1 / 20, 300)
    weights, spend, purchases = np.ones(300, dtype=int), fit(x, mean), fit_purchases(x, t_x, T)
    rates = purchase_refits(purchases, x, t_x, T, weights, draws=60, seed=1)
    same, other = (bootstrap(spend, x, mean, weights, draws=60, seed=seed) for seed in (1, 2))
    bought = rates[:, 0] / rates[:, 1]
    together, apart = (np.corrcoef(bought, refits[:, 0] * refits[:, 2] / (refits[:, 1] - 1))[0, 1]
                       for refits in (same, other))
    assert together > 0.6
    assert abs(apart) < 0.4


def test_too_few_repeat_buyers_are_refused():
    with pytest.raises(ValueError, match="1 among 3"):
        fit([0, 2, 1], [0.0, 20.0, 0.0])
