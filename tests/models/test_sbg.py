"""sBG against the tables of Fader and Hardie 2007 (Interactive Marketing 21(1)) and 2010 (Marketing Science 29(1))."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import betaln, hyp2f1

from helpers.models.sbg import Sbg, fit

REGULAR = [1000, 631, 468, 382, 326, 289, 262, 241]
HIGH_END = [1000, 869, 743, 653, 593, 551, 517, 491]


def ends(alive) -> pd.DataFrame:
    """Ends by period of a cohort of which `alive` are left after 0, 1, 2 … periods."""
    gone = -np.diff(alive)
    table = pd.DataFrame({"month": range(1, len(alive)), "events": gone, "censored": 0})
    table.loc[table.index[-1], "censored"] = alive[-1]
    return table


@pytest.mark.parametrize(("alive", "alpha", "beta", "log_likelihood", "twelfth"), [
    (REGULAR, 0.704, 1.182, -1680.265, 0.170), (HIGH_END, 0.668, 3.806, -1611.158, 0.378),
])
def test_fit_is_the_published_one(alive, alpha, beta, log_likelihood, twelfth):
    model = fit(ends(alive))
    assert [model.alpha, model.beta] == pytest.approx([alpha, beta], abs=5e-4)
    assert model.log_likelihood == pytest.approx(log_likelihood, abs=0.01)
    assert model.survival(12) == pytest.approx(twelfth, abs=5e-4)
    assert model.customers == 1000


def test_retention_rises_as_published():
    published = [0.851, 0.878, 0.897, 0.911, 0.921, 0.929, 0.936]
    assert 1 - fit(ends(HIGH_END)).hazard(np.arange(1, 8)) == pytest.approx(published, abs=6e-4)


@pytest.mark.parametrize(("alive", "alpha", "beta", "tolerance"), [
    ([10000, 8000, 6480, 5307, 4391], 3.80, 15.19, 0.005), ([10000, 8000, 7600, 7383, 7235], 0.067, 0.267, 0.0005),
])
def test_cohorts_of_different_ages_are_fitted_together(alive, alpha, beta, tolerance):
    model = fit(pd.concat([ends(alive[:years]) for years in (2, 3, 4, 5)]))
    assert [model.alpha, model.beta] == pytest.approx([alpha, beta], abs=tolerance)


@pytest.mark.parametrize(("alpha", "beta", "published"), [
    (3.80, 15.19, [3.308, 3.450, 3.585, 3.716, 3.841]), (0.067, 0.267, [7.671, 9.455, 9.851, 10.056, 10.189]),
])
def test_expected_remaining_is_the_published_derl(alpha, beta, published):
    assert [Sbg(alpha, beta).expected_remaining(0.1, k) for k in range(5)] == pytest.approx(published, abs=6e-4)


def test_expected_remaining_after_seven_renewals_of_high_end():
    assert fit(ends(HIGH_END)).expected_remaining(0.1, 7) == pytest.approx(7.530, abs=1e-3)


@pytest.mark.parametrize(("alive", "value"), [(REGULAR, 3.6949), (HIGH_END, 5.9223)])
def test_expected_lifetime_is_the_closed_form(alive, value):
    model = fit(ends(alive))
    closed = hyp2f1(1, model.beta, model.alpha + model.beta, 1 / 1.1)
    assert model.expected_lifetime(0.1) == pytest.approx(closed, rel=1e-10)
    assert model.expected_lifetime(0.1) == pytest.approx(value, abs=1e-3)


def test_the_undiscounted_sum_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        Sbg(0.7, 1.2).expected_lifetime(0.0)


def test_likelihood_and_covariance_are_those_of_the_papers_beta_functions():
    model, table = fit(ends(REGULAR)), ends(REGULAR)

    def likelihood(theta):
        a, b = np.exp(theta)
        return (table["events"] @ (betaln(a + 1, b + table["month"] - 1) - betaln(a, b))
                + 241 * (betaln(a, b + 7) - betaln(a, b)))

    best, h = np.log([model.alpha, model.beta]), 1e-3
    steps = h * np.eye(2)
    hessian = [[(likelihood(best + u + v) - likelihood(best + u - v) - likelihood(best - u + v)
                 + likelihood(best - u - v)) / (4 * h * h) for u in steps] for v in steps]
    assert model.log_likelihood == pytest.approx(likelihood(best), abs=1e-8)
    np.testing.assert_allclose(model.covariance, -np.linalg.inv(hessian), rtol=1e-3)


def test_who_entered_late_counts_from_then_on():
    truth, n = Sbg(0.7, 8.0), 1_000_000
    alive = np.rint(n * truth.survival(np.arange(31))).astype(int)
    late = ends(alive).query("month > 6").assign(entered=0)  # who ended in the first six months is not in the book
    late = pd.concat([late, pd.DataFrame({"month": [6], "events": 0, "censored": 0, "entered": alive[6]})])
    assert [fit(late).alpha, fit(late).beta] == pytest.approx([0.7, 8.0], rel=0.01)
    assert fit(late.drop(columns="entered")).survival(12) > truth.survival(12) + 0.1


def test_one_hazard_for_all_is_kept_and_its_covariance_unknown():
    model = fit(ends(np.rint(100_000 * 0.9 ** np.arange(10)).astype(int)))
    assert model.hazard(np.arange(1, 37)) == pytest.approx(np.full(36, 0.1), abs=2e-3)
    assert model.covariance is None


@pytest.mark.parametrize("alive", [[100, 100, 100], [100, 0]])
def test_without_ends_or_without_renewals_nothing_is_fitted(alive):
    with pytest.raises(ValueError, match="ends and renewals"):
        fit(ends(alive))
