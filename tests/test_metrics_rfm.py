"""Segments and their shares, repeat purchases by Kaplan–Meier, what Champions hold."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from helpers.contracts import read_yaml
from helpers.metrics import rfm

LABELS = {month: f"m{month}" for month in range(1, 30)}


def orders(*rows):
    """First month, whether on its first day, month of and age at the second purchase, customers."""
    columns = ["first_month", "on_first_day", "second_month", "months_to_second", "customers"]
    return pd.DataFrame(rows, columns=columns).astype({"second_month": "float64", "months_to_second": "float64"})


def repeats(table, period, last=13):
    rows = rfm.repeat_metrics(table, LABELS, last, confidence=0.95)
    return {row["metric"]: row for row in rows if row["period"] == period}


@pytest.fixture
def book():
    """From month 1: 4 came back after 3 months, 2 after 7, 4 not yet; 10 began in month 8 and have not come back."""
    return orders((1, True, 4, 3, 4), (1, True, 8, 7, 2), (1, True, np.nan, np.nan, 4), (8, True, np.nan, np.nan, 10))


def test_shares_of_customers_and_of_revenue():
    segments = pd.DataFrame([("Champions", 1, 60.0, 3, 9, 60), ("Lost", 3, 40.0, 300, 1, 13)], columns=[
        "segment", "customers", "revenue", "recency_days", "frequency", "monetary"])
    table = rfm.segment_table(segments)
    columns = "segment customers share revenue revenue_share recency_days frequency monetary"
    assert table.columns.to_list() == columns.split()
    assert table["share"].to_list() == [0.25, 0.75] and table["revenue_share"].to_list() == [0.6, 0.4]
    assert "share" not in segments


def test_the_segments_are_a_partition_of_all_125_codes():
    codes = [code for members in read_yaml("rfm_segments.yaml").values() for code in members]
    assert sorted(codes) == [100 * r + 10 * f + m for r, f, m in product(range(1, 6), repeat=3)]


def test_champions_hold_a_share_of_revenue():
    columns = ["period", "customers", "revenue", "champions_revenue"]
    table = pd.DataFrame([("m1", 9, 200.0, 50.0), ("m2", 9, 0.0, 0.0)], columns=columns)
    rows = rfm.champions_share(table)
    assert (rows[0]["value"], rows[0]["n"], rows[0]["unit"], rows[0]["basis"]) == (0.25, 9, "share", "revenue")
    assert np.isnan(rows[1]["value"])


class TestRepeatRate:
    def test_customers_so_far_with_a_second_purchase_day_so_far(self, book):
        rates = {period: repeats(book, period).get("repeat_rate", {}) for period in ("m3", "m4", "m7", "m8")}
        assert [rate["value"] for rate in rates.values()] == [0, 0.4, 0.4, 0.3] and rates["m8"]["n"] == 20
        # Wilson of 4 in 10: (4 + 1.92073 ∓ 1.96 · √(2.4 + .96036)) ÷ 13.84146
        assert [rates["m4"]["low"], rates["m4"]["high"]] == pytest.approx([0.16818, 0.68733], abs=1e-5)

    def test_thirteen_months_and_none_before_the_first_customer(self, book):
        assert [row["period"] for row in rfm.repeat_metrics(book, LABELS, 20, confidence=0.95)][::2] == [
            f"m{month}" for month in range(8, 21)]
        assert repeats(book.assign(first_month=5), "m4") == {}


class TestSecondOrder:
    def test_who_is_too_young_is_censored(self, book):
        # as of month 13, on the first day: 13 months watched, the later ten 6. Of 20, 4 return after 3 months: S = .8;
        # at 7 months 6 are at risk, 2 return: .8 · 4/6 = 8/15; so 7/15 within 12 months, where 6 of 20 have returned
        found = repeats(book, "m13")["second_order_12m"]
        assert found["value"] == pytest.approx(7 / 15) and found["low"] < 7 / 15 < found["high"]
        assert (found["n"], found["method"]) == (20, "Kaplan–Meier")

    def test_a_return_after_the_month_is_not_known_yet(self, book):
        late = pd.concat([book, orders((1, True, 20, 2, 50))])  # they are seen, and have not returned
        # of 70, 4 return after 3 months; of 56 at 7 months 2
        assert repeats(late, "m13")["second_order_12m"]["value"] == pytest.approx(1 - 66 / 70 * 54 / 56)

    def test_nobody_watched_for_twelve_months_is_unknown(self):
        # first bought within month 2: its twelfth month of life ends within month 14; 11 are over at the end of 13
        young = orders((2, False, np.nan, np.nan, 10), (2, False, 5, 3, 10))
        assert np.isnan(repeats(young, "m13")["second_order_12m"]["value"])
        assert repeats(young.assign(on_first_day=True), "m13")["second_order_12m"]["value"] == pytest.approx(0.5)
        assert repeats(young, "m14", last=14)["second_order_12m"]["value"] == pytest.approx(0.5)

    def test_a_return_in_an_unfinished_month_of_life_waits_until_it_is_over(self):
        # bought on 20 January and again on the 25th: the first month of life is not over at the end of January
        quick = orders((1, False, 1, 1, 5), (1, False, np.nan, np.nan, 5))
        seen = rfm.second_within(quick, 1, 1, 0.95), rfm.second_within(quick, 2, 1, 0.95)
        assert np.isnan(seen[0].value) and seen[1].value == pytest.approx(0.5)

    def test_within_means_at_most_that_age(self, book):
        assert rfm.second_within(book, 13, 3, 0.95).value == pytest.approx(0.2)
        assert rfm.second_within(book, 13, 2, 0.95).value == 0
        assert rfm.second_within(book, 13, 6, 0.95).value == pytest.approx(0.2)

    def test_the_bounds_are_those_of_survival_turned_round(self, book):
        # at 3 months: S = .8 of 20; √(4/(20 · 16)) ÷ |ln .8| = .50104; exp(1.96 · .50104) = 2.66987
        found = rfm.second_within(book, 13, 3, 0.95)
        assert [found.low, found.high] == pytest.approx([1 - 0.8 ** (1 / 2.66987), 1 - 0.8**2.66987], rel=1e-4)
