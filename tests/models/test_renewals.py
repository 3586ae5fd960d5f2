"""Renewals of terms of several months: published yearly tables read as months, mixtures and slopes by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_sbg import HIGH_END, ends

from helpers.models import sbg
from helpers.models.renewals import Renewals, Term, fit

YEARLY = Term(12, 0.5, sbg.Sbg(0.25e6, 0.75e6), 0.01)


def counts(term, *rows) -> pd.DataFrame:
    """(month, events, censored) of customers billed by so many months."""
    table = pd.DataFrame(rows, columns=["month", "events", "censored"])
    return new(table).assign(term=term)


def new(table: pd.DataFrame) -> pd.DataFrame:
    """All of them entered at age 0."""
    table = table.assign(entered=0)
    return pd.concat([table, pd.DataFrame({"month": [0], "events": 0, "censored": 0,
                                           "entered": table[["events", "censored"]].to_numpy().sum()})])


def test_renewals_by_the_year_are_the_published_periods():
    model = fit(new(ends(HIGH_END)).assign(month=lambda of: 12 * of["month"], term=12))
    [term] = model.terms
    assert [term.renewal.alpha, term.renewal.beta] == pytest.approx([0.668, 3.806], abs=5e-4)
    assert model.survival([12, 144]) == pytest.approx([0.851, 0.378], abs=5e-4)
    assert model.survival(36) == model.survival(47) and not model.hazard(np.arange(37, 48)).any()
    assert (model.customers, term.share, term.within) == (1000, 1, 0)


def test_who_are_all_billed_by_the_month_have_the_sbg_of_months():
    months, theirs = fit(ends(HIGH_END).assign(term=1)), sbg.fit(ends(HIGH_END))
    assert isinstance(months, sbg.Sbg) and (months.alpha, months.beta) == (theirs.alpha, theirs.beta)
    assert fit(ends(HIGH_END)).alpha == theirs.alpha


def test_the_chance_of_the_only_renewal_seen_goes_on():
    # of 799 who come to month 12, 200 leave there; half an event more on each side
    model = fit(counts(12, (12, 200, 0), (18, 0, 599)))
    assert model.hazard([11, 12, 13, 23, 24, 36]) == pytest.approx([0, 200.5 / 800, 0, 0, 200.5 / 800, 200.5 / 800], abs=1e-4)
    # of log odds, as of a share: 1 ÷ (n·p·(1 − p))
    assert model.covariance[0, 0] == pytest.approx(1 / (799 * 0.250625 * 0.749375), rel=1e-6)


def test_who_leaves_in_the_month_after_a_renewal_did_not_renew():
    late, once = counts(12, (12, 20, 0), (13, 10, 0), (18, 0, 69)), counts(12, (12, 30, 0), (18, 0, 69))
    years = [11, 13, 23, 25, 36, 37]
    assert fit(late).survival(years)[1::2] == pytest.approx(fit(once).survival(years)[1::2])
    # two thirds at the renewal, one a month later: 1 − 2/3 · 30.5/100 at month 24, then 1 − 30.5/100 in all
    there = fit(late).survival([23, 24, 25])
    assert there[1:] / there[0] == pytest.approx([1 - 2 / 3 * 0.305, 1 - 0.305], abs=1e-6)


def test_who_is_not_watched_after_a_renewal_tells_nothing_of_late_leavers():
    # all who do not renew are gone at month 13; 50 of 100 are watched to month 12 alone, of the others 10 leave
    model = fit(counts(12, (12, 0, 50), (13, 10, 0), (18, 0, 40)))
    assert model.survival(13) == pytest.approx(1 - (100 * 0.2 + 0.5) / 101, abs=1e-6) and model.hazard(12) == 0


def test_one_who_leaves_at_once_does_not_empty_a_term():
    model = fit(pd.concat([counts(12, (1, 1, 0)), counts(1, (1, 20, 0), (30, 0, 100))]))
    assert model.terms[1].within == 0.5 and np.isfinite(model.survival(np.arange(40))).all()
    assert sum(of.share for of in model.terms) == pytest.approx(1)


def test_who_leaves_between_renewals_does_so_at_any_age_between():
    # 10 leave at month 5: of 100 at months 1 to 5 and 90 at 6 to 11; months 12 and 13 are of the renewal
    model = fit(counts(12, (5, 10, 0), (13, 0, 90)))
    assert model.terms[0].within == pytest.approx(10 / (5 * 100 + 6 * 90))
    assert model.hazard([1, 7, 14, 26]) == pytest.approx(np.full(4, 10 / 1040)) and model.hazard(13) == 0
    assert model.terms[0].within_variance == pytest.approx((1 - 10 / 1040) / 10)


def test_a_renewal_not_yet_seen_is_taken_from_all_and_hardly_known():
    model = fit(pd.concat([counts(1, (1, 20, 0), (2, 0, 80)), counts(12, (6, 0, 50))]))
    rate = 20 / (100 + 80 + 6 * 50)
    assert model.terms[1].renewal.hazard(1) == pytest.approx(1 - (1 - rate) ** 12)
    assert model.terms[1].renewal.covariance[0, 0] >= 4  # one renewal at most


def test_terms_are_mixed_by_new_customers():
    model = Renewals((Term(1, 0.5, sbg.Sbg(1.0, 1.0), 0.0), replace(YEARLY, within=0.0)))
    by_hand = np.array([1, 0.5 / 2 + 0.5, 0.5 / 12 + 0.5, 0.5 / 13 + 0.5 * 0.75, 0.5 / 25 + 0.5 * 0.75**2])
    assert model.survival([0, 1, 11, 12, 24]) == pytest.approx(by_hand)
    assert model.hazard(12) == pytest.approx(1 - by_hand[3] / by_hand[2])
    assert model.only(12).survival([12, 24]) == pytest.approx([0.75, 0.75**2])


def test_who_came_late_stands_for_those_who_had_left():
    # half of the yearly have left at month 12: 100 who are seen from there on stand for 200 new ones
    late = pd.DataFrame([(0, 0, 0, 99), (12, 50, 0, 100), (18, 0, 149, 0)], columns=["month", "events", "censored", "entered"])
    month = pd.DataFrame([(0, 0, 0, 50), (1, 10, 0, 0), (18, 0, 40, 0)], columns=late.columns)
    model = fit(pd.concat([late.assign(term=12), month.assign(term=1)]))
    assert model.terms[1].renewal.hazard(1) == pytest.approx(50.5 / 100)
    new = 99 + 100 / (1 - 50.5 / 100)
    assert [of.share for of in model.terms] == pytest.approx([50 / (50 + new), new / (50 + new)], rel=1e-5)


def test_slopes_are_those_of_the_logs():
    month, ages, step = Term(1, 0.4, sbg.Sbg(0.8, 6.0), 0.0), np.arange(1, 40), 1e-5
    year = Term(12, 0.6, sbg.Sbg(0.7, 2.0), 0.01)

    def stay(by):
        a, b, w = np.exp(step * by)
        moved = replace(year, renewal=sbg.Sbg(0.7 * a, 2.0 * b), within=0.01 * w)
        return np.log1p(-Renewals((month, moved)).hazard(ages))

    slopes = Renewals((month, year)).slopes(ages)
    assert slopes.shape == (6, 39)
    for of, by in enumerate(np.eye(3)):
        assert slopes[3 + of] == pytest.approx((stay(by) - stay(-by)) / (2 * step), abs=1e-8)


def test_nobody_or_everybody_gone_tells_nothing():
    for rows in ([(12, 0, 10)], [(1, 10, 0)]):
        with pytest.raises(ValueError, match="needs ends and renewals"):
            fit(counts(12, *rows))


def test_of_no_age_there_is_nothing_to_say():
    assert Renewals((YEARLY,)).survival(pd.Series([], dtype=float)).tolist() == []
