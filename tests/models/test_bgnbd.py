"""BG/NBD against Fader, Hardie and Lee 2005 (Marketing Science 24(2) 275-284, section 7) on CDNOW."""

import numpy as np
import pytest
from scipy.integrate import quad, trapezoid
from scipy.special import factorial
from scipy.stats import beta

from helpers.models.bgnbd import BgNbd, Rows, bootstrap, fit, predict_total
from helpers.models.likelihood import resample

PAPER = BgNbd(0.243, 4.414, 0.793, 2.426)


@pytest.fixture(scope="module")
def model(cdnow_rows):
    return fit(*cdnow_rows)


@pytest.fixture(scope="module")
def refits(model, cdnow_rows):
    return bootstrap(model, *cdnow_rows, draws=200, seed=1)


def test_likelihood_of_exact_weeks_is_the_published_one(cdnow_days):
    model = fit(cdnow_days["x"], cdnow_days["t_x"], cdnow_days["T"])
    assert model.log_likelihood == pytest.approx(-9582.429, abs=0.001)  # CLVTools; a day more or less: −9589.9
    assert model.customers == 2357


def test_parameters_are_the_published_ones(model):
    assert [model.r, model.a] == pytest.approx([0.243, 0.793], abs=5e-4)
    assert [model.alpha, model.b] == pytest.approx([4.414, 2.426], abs=1e-3)
    assert model.log_likelihood == pytest.approx(-9582.4256, abs=0.001)  # weeks rounded to two decimals


def test_weights_are_repeated_customers(model, cdnow_weekly):
    alone = fit(cdnow_weekly["x"], cdnow_weekly["t_x"], cdnow_weekly["T"])
    assert [alone.r, alone.alpha, alone.a, alone.b] == pytest.approx([model.r, model.alpha, model.a, model.b], rel=1e-4)
    assert alone.log_likelihood == pytest.approx(model.log_likelihood, abs=1e-5)


def test_the_unit_of_time_moves_alpha_alone(model, cdnow_rows):
    x, t_x, T, weights = cdnow_rows
    days = fit(x, t_x * 7, T * 7, weights)
    expected = [model.r, model.alpha * 7, model.a, model.b]
    assert [days.r, days.alpha, days.a, days.b] == pytest.approx(expected, rel=1e-4)
    assert days.expected(273, 2, 213.01, 272.02) == pytest.approx(model.expected(39, 2, 30.43, 38.86), rel=1e-4)


def test_purchases_of_a_new_customer_are_those_of_the_papers_spreadsheet(model):
    weeks = np.array([0.1429, 1, 3, 31.8571, 32, 78])
    assert model.expected_new(weeks) == pytest.approx([0.0078, 0.0532, 0.1506, 1.0405, 1.0437, 1.8576], abs=5e-4)


def test_purchases_expected_of_the_papers_customer(model):
    assert model.expected(39, 2, 30.43, 38.86) == pytest.approx(1.226, abs=1e-3)


def test_holdout_total_is_the_published_one(model, cdnow_rows):
    x, t_x, T, weights = cdnow_rows
    assert weights @ model.expected(39, x, t_x, T) == pytest.approx(1653.4, abs=1)


def test_the_likelihood_sums_up_to_the_published_chances_of_a_number_of_purchases():
    # BTYD's manual. The times before the last are any in order: t_x^(x − 1)/(x − 1)! of them, then any time of the last
    def likelihood(x, t_x, T):
        return np.exp(Rows([x], [t_x], [T]).given([1])(np.log([PAPER.r, PAPER.alpha, PAPER.a, PAPER.b]))[0])

    assert likelihood(0, 0.0, 39.0) == pytest.approx(0.5737864, abs=1e-7)
    ten = quad(lambda t_x: likelihood(10, t_x, 2.0) * t_x**9 / factorial(9), 0, 2, epsabs=0, epsrel=1e-9)[0]
    assert ten == pytest.approx(1.07869e-7, rel=1e-5)


def test_chances_of_a_number_of_purchases_are_the_published_ones():
    assert PAPER.probability(0, 39.0) == pytest.approx(0.5737864, abs=1e-7)  # BTYD's manual
    assert PAPER.probability(10, 2.0) == pytest.approx(1.07869e-7, rel=1e-5)
    x = np.arange(1000)
    assert PAPER.probability(x, 39.0).sum() == pytest.approx(1) and PAPER.probability(x, 0.0)[:2].tolist() == [1, 0]
    assert x @ PAPER.probability(x, 39.0) == pytest.approx(PAPER.expected_new(39.0))


def test_who_never_came_back_is_alive_by_design():
    assert PAPER.alive(np.array([0, 2]), np.array([0, 30.43]), 38.86)[0] == 1
    # x 2: odds a/(b + 1)·((α + T)/(α + t_x))^(r + 2) = .23146·1.24192^2.243
    assert PAPER.alive(2, 30.43, 38.86) == pytest.approx(1 / (1 + 0.793 / 3.426 * (43.274 / 34.844) ** 2.243))


@pytest.mark.parametrize("parameters", [
    (0.243, 4.414, 1.0, 2.426), (0.243, 4.414, 1 + 1e-14, 2.426), (0.243, 4.414, 0.4, 0.6), (0.3, 0.1, 0.02, 170.0),
    (200.0, 0.8, 160.0, 280.0), (400.0, 50.0, 0.8, 400.0), (0.35, 10.0, 1e-3, 4e3), (5.0, 50.0, 190.0, 4e4),
    (0.26, 0.06, 0.001, 1900.0), (960.0, 2.5, 0.95, 0.5), (0.65, 0.1, 0.02, 174.0), (0.35, 10.0, 1e-6, 4e9),
])
@pytest.mark.parametrize("t", [1.0, 52.0, 500.0])
def test_purchases_are_the_mean_over_drop_out_chances(parameters, t):
    r, alpha, a, b = parameters

    def purchases(p):  # at drop-out chance p, by the rate's gamma: (1 − (1 + pt/α)^−r)/p
        return -np.expm1(-r * np.log1p(p * t / alpha)) / p

    steps = np.linspace(-60, np.log(0.5), 200_001)  # logs of p below one half, and of 1 − p above it
    below, above = np.exp(steps), 1 - np.exp(steps)
    expected = trapezoid(purchases(below) * np.exp(beta.logpdf(below, a, b) + steps), steps)
    expected += trapezoid(purchases(above) * np.exp(beta.logpdf(np.exp(steps), b, a) + steps), steps)
    expected += beta.cdf(below[0], a, b) * r * t / alpha
    assert BgNbd(*parameters).expected_new(t) == pytest.approx(expected, rel=1e-3)


def test_a_refit_is_the_fit_of_its_customers(refits, cdnow_rows):
    x, t_x, T, weights = cdnow_rows
    third = list(resample(weights, 3, seed=1))[2]
    drawn = third > 0
    alone = fit(x[drawn], t_x[drawn], T[drawn], third[drawn])
    assert refits[2] == pytest.approx([alone.r, alone.alpha, alone.a, alone.b], rel=1e-3)


def test_refits_spread_as_resampled_customers_do(refits):
    low, high = np.quantile(refits, [0.025, 0.975], axis=0)
    # 200 refits of an independent implementation; a quantile of 200 moves by about a tenth of the range
    assert low == pytest.approx([0.214, 3.48, 0.51, 1.46], rel=0.12)
    assert high == pytest.approx([0.269, 5.46, 1.34, 4.63], rel=0.15)


def test_the_predicted_total_holds_the_actual_one(model, refits, cdnow_rows):
    total = predict_total(model, refits, *cdnow_rows, t=39, confidence=0.95, seed=1)
    assert total.value == pytest.approx(1653.4, abs=1)
    assert total.low < 1882 < total.high  # bought in the 39 weeks after
    assert [total.low, total.high] == pytest.approx([1397, 1920], abs=60)  # of an independent implementation
    assert total.n == 2357


def test_the_noise_of_a_total_is_that_of_the_process():
    customers, draws, rng = 400, 4000, np.random.default_rng(2)
    same = np.tile([PAPER.r, PAPER.alpha, PAPER.a, PAPER.b], (draws, 1))  # nothing but noise is left
    total = predict_total(PAPER, same, [6], [30.0], [38.0], [customers], 39, 0.95, seed=3)
    n = 400_000  # purchases: at most the first after which the customer drops out
    bought = rng.poisson(39 * rng.gamma(PAPER.r + 6, 1 / (PAPER.alpha + 38), n))
    purchases = np.minimum(bought, rng.geometric(rng.beta(PAPER.a, PAPER.b + 6, n)))
    purchases = purchases * (rng.random(n) < PAPER.alive(6, 30.0, 38.0))
    assert total.value == pytest.approx(customers * purchases.mean(), rel=0.01)
    assert total.high - total.low == pytest.approx(2 * 1.96 * np.sqrt(customers * purchases.var()), rel=0.06)


def test_equal_seeds_give_equal_refits(model, cdnow_rows):
    first, again, other = (bootstrap(model, *cdnow_rows, draws=2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_a_book_where_nobody_drops_out_is_fitted_and_refitted():
    rng = np.random.default_rng(4)
    T = rng.uniform(30, 60, 80)
    x = rng.poisson(rng.gamma(1.0, 1 / 10, 80) * T)
    t_x = np.where(x > 0, T * rng.random(80) ** (1 / np.maximum(x, 1)), 0)  # the last of x even times
    model = fit(x, t_x, T)
    assert model.a / (model.a + model.b) < 0.02
    assert np.isfinite(bootstrap(model, x, t_x, T, np.ones(80), draws=30, seed=1)).all()


@pytest.mark.parametrize(("x", "t_x", "T"), [
    ([1, 2], [5.0, 11.0], [10.0, 10.0]), ([1, 2], [5.0, 0.0], [10.0, 10.0]), ([1, 0], [5.0, 3.0], [10.0, 10.0]),
], ids=["last after the end", "same day not merged", "recency without repeat"])
def test_rows_that_contradict_themselves_are_counted(x, t_x, T):
    with pytest.raises(ValueError, match="1 rows break"):
        fit(x, t_x, T)


def test_without_repeat_purchases_nothing_is_fitted():
    with pytest.raises(ValueError, match="0 repeat purchases"):
        fit([0, 0], [0.0, 0.0], [10.0, 12.0])
