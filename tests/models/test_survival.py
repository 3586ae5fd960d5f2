"""Kaplan–Meier against published curves, SciPy, and hands; delayed entry; restricted mean and median."""

from math import isnan, sqrt

import numpy as np
import pandas as pd
import pytest
from scipy.stats import CensoredData, ecdf

from helpers.models.survival import kaplan_meier, last_seen, median, restricted_mean, risk_set

# Miller 1981, Survival Analysis, p. 49 (R: survival::aml): weeks, 0 where censored
AML_MAINTAINED = [(9, 1), (13, 1), (13, 0), (18, 1), (23, 1), (28, 0), (31, 1), (34, 1), (45, 0), (48, 1), (161, 0)]
AML_NOT = [(5, 1), (5, 1), (8, 1), (8, 1), (12, 1), (16, 0), (23, 1), (27, 1), (30, 1), (33, 1), (43, 1), (45, 1)]
# Freireich et al. 1963, Blood 21: weeks of remission on 6-MP
SIX_MP = [(6, 1), (6, 1), (6, 1), (6, 0), (7, 1), (9, 0), (10, 1), (10, 0), (11, 0), (13, 1), (16, 1), (17, 0), (19, 0),
          (20, 0), (22, 1), (23, 1), (25, 0), (32, 0), (32, 0), (34, 0), (35, 0)]


def ends(spells) -> pd.DataFrame:
    """One row a spell of (month, ended)."""
    table = pd.DataFrame(spells, columns=["month", "events"])
    return table.assign(censored=1 - table["events"])


@pytest.mark.parametrize(("spells", "published"), [
    (AML_MAINTAINED, {9: 0.9091, 13: 0.8182, 18: 0.7159, 23: 0.6136, 31: 0.4909, 34: 0.3682, 48: 0.1841}),
    (SIX_MP, {6: 0.8571, 7: 0.8067, 10: 0.7529, 13: 0.6902, 16: 0.6275, 22: 0.5378, 23: 0.4482}),
])
def test_survival_is_the_published_curve(spells, published):
    survival = kaplan_meier(ends(spells)).set_index("month")["survival"]
    assert survival[list(published)].to_list() == pytest.approx(list(published.values()), abs=1e-4)
    assert survival[0] == 1


def test_the_band_is_log_log():
    row = kaplan_meier(ends(AML_MAINTAINED)).set_index("month").loc[48]
    assert [row["low"], row["high"]] == pytest.approx([0.012, 0.525], abs=5e-4)  # lifelines; plain Greenwood: 0 .. .485


def test_survival_equals_scipy_on_a_real_book(shared_data):
    book = pd.read_csv(shared_data / "telco" / "subscriptions.csv", parse_dates=["started_at"])
    book["month"] = (2019 - book["started_at"].dt.year) * 12 + 1 - book["started_at"].dt.month
    book["events"] = book["ended_at"].notna().astype(int)
    book = book[book["month"] > 0]
    counts = book.assign(censored=1 - book["events"]).groupby("month", as_index=False)[["events", "censored"]].sum()
    gone, stayed = (book.loc[book["events"] == ended, "month"] for ended in (1, 0))
    table = kaplan_meier(counts)
    expected = ecdf(CensoredData(uncensored=gone, right=stayed)).sf.evaluate(table["month"])
    np.testing.assert_allclose(table["survival"], expected, rtol=0, atol=1e-9)
    assert table["at_risk"].iloc[0] == len(book)


def test_who_is_censored_in_a_month_is_at_risk_in_it_and_not_after():
    table = risk_set(ends([(0, 0), (1, 0), (2, 1), (2, 0), (3, 0)]))
    assert table["at_risk"].to_list() == [5, 4, 3, 1]
    assert table.columns.to_list() == ["month", "at_risk", "events", "censored"]


def test_who_enters_late_is_at_risk_only_from_then():
    # (entry, end): 0-1 ended, 0-3 ended, 2-3 ended, 2-4 censored; at 3 three are at risk, at 2 one
    spells = pd.DataFrame({"month": [0, 1, 2, 3, 4], "events": [0, 1, 0, 2, 0], "censored": [0, 0, 0, 0, 1],
                           "entered": [2, 0, 2, 0, 0]})
    table = kaplan_meier(spells)
    assert table["at_risk"].to_list() == [2, 2, 1, 3, 1]
    assert table["survival"].to_list() == pytest.approx([1, 1 / 2, 1 / 2, 1 / 6, 1 / 6])


def test_a_late_book_needs_its_entries():
    rng = np.random.default_rng(5)
    n = 40_000
    ended = rng.geometric(rng.beta(0.7, 8, n))  # months lived; customers differ, so that the hazard falls
    born = rng.integers(-60, 24, n)  # months before or after the book begins, watched for 24 months
    entry, watched = np.maximum(-born, 0), 24 - born
    seen = ended > entry  # who left before the book began is not in it
    last = np.minimum(ended, watched)[seen]
    spells = pd.DataFrame({"month": last, "events": (ended <= watched)[seen].astype(int)})
    spells["censored"] = 1 - spells["events"]
    entered = pd.DataFrame({"month": entry[seen], "events": 0, "censored": 0, "entered": 1})
    truth = (ended > 12).mean()
    with_entries = kaplan_meier(pd.concat([spells.assign(entered=0), entered]))["survival"][12]
    assert with_entries == pytest.approx(truth, abs=0.02)
    assert kaplan_meier(spells)["survival"][12] > truth + 0.1


def test_before_any_event_the_low_bound_is_exact_and_after_the_last_it_is_unknown():
    table = kaplan_meier(ends([(2, 1), (2, 1)]))
    assert table["low"].to_list()[:2] == pytest.approx([1, 0.025**0.5])
    assert table["high"].to_list()[:2] == [1, 1]
    assert table["survival"].iloc[2] == 0
    assert table.loc[2, ["low", "high"]].isna().all()


@pytest.mark.parametrize("spells", [
    pd.DataFrame({"month": [0], "events": [1], "censored": [0]}),
    pd.DataFrame({"month": [0, 3], "events": [0, 1], "censored": [0, 0], "entered": [2, 0]}),
    pd.DataFrame({"month": [2, 3], "events": [1, 0], "censored": [0, 0], "entered": [0, 1]}),
    pd.DataFrame({"month": [], "events": [], "censored": []}),
], ids=["event at 0", "more entered than left", "left before entry", "empty"])
def test_counts_that_contradict_each_other_are_refused(spells):
    with pytest.raises(ValueError, match="spells"):
        risk_set(spells)


def test_restricted_mean_of_a_whole_book_is_the_plain_mean():
    mean = restricted_mean(kaplan_meier(ends([(1, 1), (2, 1), (3, 1), (4, 1)])), horizon=3, min_at_risk=1)
    # min(month, 3): 1 2 3 3, mean 2.25; squares about it 1.5625 + .0625 + .5625 + .5625, over 4²
    half = 1.959964 * sqrt(2.75 / 16)
    assert [mean.value, mean.low, mean.until] == pytest.approx([2.25, 2.25 - half, 3])
    assert (mean.high, mean.n) == (3, 4)  # 2.25 + .81 is beyond the horizon


def test_what_the_months_share_widens_the_restricted_mean():
    # 40 at risk, 20 end at 1, area beyond it 1: Greenwood 20/(40 · 20) = .025; one more log unit of hazard takes 20/20 · 1
    table = kaplan_meier(ends([(1, 1)] * 20 + [(3, 0)] * 20))
    mean = restricted_mean(table, horizon=3, shared=0.3)
    assert mean.value - mean.low == pytest.approx(sqrt(1.959964**2 * 0.025 + 0.3**2), rel=1e-6)


def test_restricted_mean_stops_where_too_few_are_at_risk():
    table = kaplan_meier(ends([(1, 1), (2, 1), (3, 1), (4, 1)]))
    mean = restricted_mean(table, horizon=36, min_at_risk=3)  # at risk 4, 3, 2: to month 2, 1 + 3/4
    assert (mean.value, mean.until) == (1.75, 2)
    none = restricted_mean(table, horizon=36)
    assert isnan(none.value) and isnan(none.low)
    assert none.until == 0


def test_restricted_mean_without_events_has_no_bounds():
    mean = restricted_mean(kaplan_meier(ends([(6, 0)] * 12)), horizon=36)
    assert (mean.value, mean.until) == (6, 6)
    assert isnan(mean.low) and isnan(mean.high)


@pytest.mark.parametrize(("spells", "published"), [(AML_MAINTAINED, 31), (AML_NOT, 23)])
def test_median_is_that_of_r(spells, published):
    assert median(kaplan_meier(ends(spells))).value == published  # R: survfit(Surv(time, status) ~ x, data = aml)


def test_a_median_that_was_not_reached_is_unknown():
    assert isnan(median(kaplan_meier(ends([(1, 1), (2, 0), (3, 0)]))).value)


def test_ages_after_one_at_which_too_few_were_watched_are_not_seen():
    """30 enter at age 3; at 1 and 2 three are watched, of whom one leaves: nothing is known of a whole life."""
    late = pd.DataFrame({"month": [0, 3, 1, 5, 6], "entered": [3, 30, 0, 0, 0], "events": [0, 0, 1, 20, 0],
                         "censored": [0, 0, 0, 0, 12]})
    table = kaplan_meier(late)
    assert table["at_risk"].to_list() == [3, 3, 2, 2, 32, 32, 12]
    assert last_seen(table, 10) == 0 and last_seen(table, 2) == 6 and last_seen(table, 3) == 1
    assert isnan(restricted_mean(table, 6).value)
