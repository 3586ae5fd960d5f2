"""Tiers: a scorecard that ties with the company, moves between tiers, upgrades, downgrades and add-ons."""

import numpy as np
import pandas as pd
import pytest

from helpers.metrics import pricing

PLANS = pd.DataFrame([("pro", "Pro", 2, 30.0), ("basic", "Basic", 1, 10.0), ("old", "Old", np.nan, np.nan)],
                     columns=["plan_id", "plan_name", "tier_rank", "list_price"])
WORTH = pd.DataFrame([("basic", 100.0, 90.0, 110.0), ("pro", 900.0, 800.0, 1000.0)],
                     columns=["member", "ltv", "ltv_low", "ltv_high"])
RANKS = {"basic": 1.0, "pro": 2.0}


def states(*rows):
    """Month, tier before, tier after, customers, MRR before, MRR after; ranks from RANKS."""
    table = pd.DataFrame(rows, columns=["month", "from_plan", "to_plan", "customers", "mrr_start", "mrr_end"])
    return table.assign(from_rank=table["from_plan"].map(RANKS), to_rank=table["to_plan"].map(RANKS))


@pytest.fixture
def book():
    """At the end of month 6: basic 70 + 3, pro 20 + 6; the months before fall in and out of the window."""
    return states(
        (4, "basic", "(churned)", 900, 9000.0, 0.0),
        (5, "basic", "basic", 90, 900.0, 900.0), (5, "basic", "(churned)", 10, 100.0, 0.0),
        (5, "pro", "pro", 25, 750.0, 750.0),
        (6, "basic", "basic", 70, 700.0, 700.0), (6, "basic", "(churned)", 20, 200.0, 0.0),
        (6, "basic", "pro", 6, 60.0, 180.0), (6, "basic", "(paused)", 4, 40.0, 0.0),
        (6, "pro", "pro", 20, 600.0, 600.0), (6, "pro", "(churned)", 5, 150.0, 0.0),
        (6, "(new)", "basic", 2, 0.0, 20.0), (6, "(reactivated)", "basic", 1, 0.0, 10.0),
    )


class TestScorecard:
    def card(self, table, worth=WORTH, plans=PLANS, window=2):
        return pricing.scorecard(table, plans, worth, month=6, window=window, confidence=0.95).set_index("plan_id")

    def test_customers_and_money_of_the_tiers_make_the_company(self, book):
        card = self.card(book)
        assert card[["customers", "mrr", "arpa"]].to_numpy().tolist() == [[73, 730, 10], [26, 780, 30]]
        assert card["share"].to_list() == pytest.approx([73 / 99, 26 / 99])

    def test_churn_counts_in_the_tier_of_the_start_pooled_over_the_window(self, book):
        # basic: 10 of 100 and 20 of 100, the pause no churn; pro: 0 of 25 and 5 of 25; month 4 lies outside
        card = self.card(book)
        assert card["churn_rate"].to_list() == pytest.approx([30 / 200, 5 / 50])
        assert ((card["churn_low"] < card["churn_rate"]) & (card["churn_rate"] < card["churn_high"])).all()
        assert self.card(book, window=1)["churn_rate"].to_list() == pytest.approx([20 / 100, 5 / 25])
        assert self.card(book, window=3).loc["basic", "churn_rate"] == pytest.approx(930 / 1100)

    def test_revenue_kept_follows_the_customers_of_the_start_wherever_they_went(self, book):
        # basic: (900 + 700 + 180) of (1,000 + 1,000), the upgrade's money with it; pro: 1,350 of 1,500
        assert self.card(book)["nrr"].to_list() == pytest.approx([1780 / 2000, 1350 / 1500])

    def test_tiers_stand_from_low_to_high_with_names_and_worth(self, book):
        card = self.card(book)
        assert card.index.to_list() == ["basic", "pro"] and card["plan_name"].to_list() == ["Basic", "Pro"]
        assert card.loc["pro", ["list_price", "ltv", "ltv_low", "ltv_high"]].to_list() == [30, 900, 800, 1000]
        assert card.reset_index().columns.to_list() == pricing.SCORECARD

    def test_a_tier_that_emptied_and_one_without_past_stay_with_what_is_known(self):
        table = states((6, "old", "(churned)", 3, 30.0, 0.0), (6, "(new)", "pro", 2, 0.0, 60.0))
        card = self.card(table, worth=WORTH.head(0))
        assert card.index.to_list() == ["pro", "old"]  # a tier without rank comes last
        assert card.loc["old", ["customers", "mrr", "churn_rate", "nrr"]].to_list() == [0, 0, 1, 0]
        assert np.isnan(card.loc["old", "arpa"])
        assert card.loc["pro", ["customers", "mrr", "arpa"]].to_list() == [2, 60, 30]
        assert np.isnan(card.loc["pro", ["churn_rate", "nrr", "ltv"]].astype(float)).all()

    def test_a_tier_that_no_plan_names_keeps_its_customers(self):
        card = self.card(states((6, "mystery", "mystery", 3, 30.0, 30.0)))
        assert card.loc["mystery", "customers"] == 3 and pd.isna(card.loc["mystery", "plan_name"])


class TestParts:
    MONTHS = pd.DataFrame({"month": [24305, 24306], "active_end": [3, 4], "mrr_end": [30.0, 50.0]})
    LABELS = {24305: "2025-05", 24306: "2025-06"}

    def test_tiers_add_up_to_the_company(self):
        moves = pd.DataFrame([
            (24305, "a", 2, 20.0), (24305, "b", 1, 10.0), (24306, "a", 3, 30.0), (24306, "b", 1, 20.00390625), (24306, "(churned)", 7, 0.0),
            (24306, "(paused)", 2, 0.0)], columns=["month", "to_plan", "customers", "mrr_end"])
        found = pricing.tier_checks(moves, self.MONTHS, self.LABELS)
        assert found[["scope", "expected", "actual", "passed"]].values.tolist() == [
            ["2025-05", 3, 3, True], ["2025-06", 4, 4, True], ["2025-05", 30, 30, True], ["2025-06", 50, 50.00390625, True]]
        lost = pricing.tier_checks(moves.drop(index=[2]), self.MONTHS, self.LABELS)
        assert lost["passed"].to_list() == [True, False, True, False]
        assert not pricing.tier_checks(moves.head(2), self.MONTHS, self.LABELS)["passed"].all()  # a month without any tier
        assert pricing.tier_checks(moves.head(0), self.MONTHS, self.LABELS).empty  # sales alone


class TestMigration:
    def test_money_at_the_end_and_of_those_who_left_at_the_start(self, book):
        table = pricing.migration(book, 6).set_index(["from_plan", "to_plan"])
        assert table["customers"].sum() == 128 and len(table) == 8
        assert table.loc["basic", "mrr"][["pro", "(churned)", "(paused)"]].to_list() == [180, 200, 40]
        assert table.loc[("(new)", "basic"), "mrr"] == 20

    def test_a_tier_whose_rank_changed_is_one_cell(self):
        twice = states((6, "basic", "pro", 6, 60.0, 180.0), (6, "basic", "pro", 4, 40.0, 120.0))
        assert pricing.migration(twice, 6).to_numpy().tolist() == [["basic", "pro", 10, 300.0]]

    def test_the_matrix_reads_from_low_to_high_with_the_outside_last(self, book):
        matrix = pricing.migration_matrix(pricing.migration(book, 6), ["basic", "pro", "nobody"])
        assert matrix.index.to_list() == ["basic", "pro", "(new)", "(reactivated)"]
        assert matrix.columns.to_list() == ["basic", "pro", "(paused)", "(churned)"]
        assert matrix.loc["basic"].to_list() == [70, 6, 4, 20] and np.isnan(matrix.loc["pro", "basic"])


class TestRates:
    LABELS = {5: "2025-05", 6: "2025-06"}
    NO_ADDONS = pd.DataFrame(columns=["month", "customers", "with_addon"])

    def rates(self, table, attach=NO_ADDONS):
        rows = pricing.tier_metrics(table, attach, self.LABELS, confidence=0.95)
        return {(row["metric"], row["period"]): row for row in rows}

    def test_moves_over_those_who_pay_at_both_ends(self, book):
        down = states((6, "pro", "basic", 4, 120.0, 40.0))
        found = self.rates(pd.concat([book[book["month"] > 4], down]))
        # both ends of month 6: 70 + 6 + 20 + 4 = 100
        up = found["upgrade_rate", "2025-06"]
        assert (up["value"], up["n"], up["unit"]) == (0.06, 100, "share") and up["low"] < 0.06 < up["high"]
        assert found["downgrade_rate", "2025-06"]["value"] == 0.04
        assert found["upgrade_rate", "2025-05"]["value"] == 0 and found["upgrade_rate", "2025-05"]["n"] == 115

    def test_a_move_to_a_tier_without_rank_is_neither_up_nor_down(self):
        moves = [("basic", "basic", 6), ("basic", "old", 3), ("old", "pro", 1)]
        table = states(*[(6, *move, 1.0, 1.0) for move in moves])
        found = self.rates(table)
        assert found["upgrade_rate", "2025-06"]["value"] == found["downgrade_rate", "2025-06"]["value"] == 0
        assert found["upgrade_rate", "2025-06"]["n"] == 10

    def test_without_ranks_there_are_no_such_rates(self):
        assert self.rates(states((6, "old", "older", 5, 1.0, 1.0))) == {}

    def test_attach_rate_is_of_all_active_customers_with_wilsons_interval(self):
        attach = pd.DataFrame([(5, 10, 0), (6, 10, 4)], columns=["month", "customers", "with_addon"])
        found = self.rates(states((6, "old", "old", 5, 1.0, 1.0)), attach)
        assert found["addon_attach_rate", "2025-05"]["value"] == 0
        last = found["addon_attach_rate", "2025-06"]
        # Wilson of 4 in 10: (4 + 1.92073 ∓ 1.96 · √(2.4 + .96036)) ÷ 13.84146
        assert [last["low"], last["high"]] == pytest.approx([0.16818, 0.68733], abs=1e-5)
        assert (last["value"], last["n"]) == (0.4, 10)
