"""Who stays and who leaves: counts, rates, MRR movements that add up, revenue point to point, cohorts, survival."""

import numpy as np
import pandas as pd
import pytest

from helpers.metrics import checks, retention
from helpers.models.intervals import shared_error

MOVES = [f"mrr_{name}" for name in ("new", "reactivation", "resumed", "expansion", "contraction", "paused", "churn", "fx")]
COUNTS = ["active_start", "active_end", "new", "churned", "reactivated", "in_month_churn"]


def months(count=1, **columns):
    """`count` months to 2025-12, whatever is not named is 0."""
    index = np.arange(2025 * 12 + 13 - count, 2025 * 12 + 13)
    zero = dict.fromkeys([*COUNTS, "mrr_start", *MOVES, "mrr_end"], 0)
    table = pd.DataFrame({"month": index, "moves": True} | zero | columns)
    return table.assign(period=[f"{(m - 1) // 12}-{(m - 1) % 12 + 1:02d}" for m in index])


def retained(span, *pairs, month=2025 * 12 + 12):
    """Sums over customers of (base, now), as `summaries/retained_mrr` has them."""
    base, now = np.array(pairs, dtype=float).T
    kept = np.minimum(now, base)
    sums = {"base": base, "kept": kept, "now": now, "base_base": base**2, "kept_base": kept * base,
            "kept_kept": kept**2, "now_base": now * base, "now_now": now**2}
    known = {"month": month, "span": span, "customers": len(pairs)}
    return pd.DataFrame([known | {name: each.sum() for name, each in sums.items()}])


NOTHING = retained(1, (1, 1)).head(0)


def metrics(table, sums=NOTHING, *, subscriptions=True, in_month_churn="apart"):
    rows = retention.monthly_metrics(
        table, sums, currency="EUR", subscriptions=subscriptions, in_month_churn=in_month_churn, confidence=0.95)
    return pd.DataFrame(rows).set_index(["metric", "period"])


def last(table, name):
    return table.loc[(name, "2025-12")]


class TestCustomers:
    def test_counts(self):
        found = metrics(months(active_start=10, active_end=11, new=4, churned=3, reactivated=2, in_month_churn=1))
        names = ["active_customers", "new_customers", "churned_customers", "reactivated_customers", "in_month_churn"]
        assert [last(found, name)["value"] for name in names] == [11, 4, 3, 2, 1]

    @pytest.mark.parametrize(("policy", "rate"), [("apart", 0.05), ("in_rate", 0.07)])
    def test_who_joins_and_leaves_within_the_month_is_apart_or_in_the_rate(self, policy, rate):
        # 1,000 at the start, 300 new, 50 of the old and 20 of the new leave: 5.00 or 7.00 %
        table = months(active_start=1000, churned=50, in_month_churn=20)
        found = last(metrics(table, in_month_churn=policy), "logo_churn_rate")
        assert (found["value"], found["n"], found["unit"]) == (pytest.approx(rate), 1000, "share")

    def test_the_rate_has_wilsons_interval(self):
        # 5 of 100 (z² = 3.8415): (5 + 1.9207 ∓ 1.96 · √(5 · 95/100 + .96036)) ÷ 103.8415
        found = last(metrics(months(active_start=100, churned=5)), "logo_churn_rate")
        assert [found["low"], found["high"]] == pytest.approx([0.02154, 0.11175], abs=1e-5)

    def test_a_month_without_customers_at_its_start_has_no_rate(self):
        assert "logo_churn_rate" not in metrics(months(active_end=5, new=5)).index

    def test_thirteen_months_and_no_movements_at_the_left_edge(self):
        table = months(15, active_start=10, active_end=10).assign(moves=[False] * 5 + [True] * 10)
        found = metrics(table, subscriptions=False).reset_index().groupby("metric")["period"].agg(["count", "min"])
        assert found.loc["active_customers"].to_list() == [13, "2024-12"]
        assert found.loc["new_customers"].to_list() == found.loc["logo_churn_rate"].to_list() == [10, "2025-03"]
        assert metrics(months(15, active_start=10)).loc["logo_churn_rate"].index.min() == "2024-12"
        assert not any(name.startswith(("mrr", "quick")) for name in found.index)  # sales alone have no MRR


class TestPooledChurn:
    def test_sums_over_the_window_and_not_the_mean_of_rates(self):
        # 10 of 100 and 10 of 400: 20/500 = 4 %, not (10 + 2.5)/2; the month before would shout
        table = months(3, active_start=[10, 100, 400], churned=[10, 10, 10], in_month_churn=5)
        found = retention.pooled_churn(table, window=2)
        assert (found.value, found.n) == (0.04, 500)
        assert retention.pooled_churn(table, window=2, in_month_churn="in_rate").value == pytest.approx(30 / 500)

    def test_months_without_movements_are_no_part_of_it(self):
        table = months(3, active_start=100, churned=[90, 5, 7]).assign(moves=[False, True, True])
        assert retention.pooled_churn(table, window=6).value == pytest.approx(12 / 200)
        assert np.isnan(retention.pooled_churn(table.assign(moves=False), window=6).value)


    def test_months_share_what_the_whole_book_shows(self):
        # the book of test_intervals; 90 in a month without movements, and who left within a month, would shout
        table = months(5, active_start=100, churned=[90, 10, 30, 10, 30], in_month_churn=[0, 0, 40, 0, 0])
        table["moves"] = [False, True, True, True, True]
        assert retention.shared_churn(table) == pytest.approx(shared_error([10, 30, 10, 30], [100] * 4, 0.95))
        assert retention.shared_churn(table, in_month_churn="in_rate") > retention.shared_churn(table) + 0.5


class TestRetainedRevenue:
    def test_point_to_point(self):
        # A 100→50→100, B 100→0→100, C 100→150 and D, new within the year, outside the base:
        # NRR 350/300 = 116.7 %, GRR 300/300 = 100 %; summed movements would say 50 % and 83.3 %
        found = metrics(months(), retained(12, (100, 100), (100, 100), (100, 150)))
        grr, nrr = last(found, "grr_12m"), last(found, "nrr_12m")
        assert (grr["value"], grr["low"], grr["high"], grr["n"]) == (1, 1, 1, 3)
        assert nrr["value"] == pytest.approx(350 / 300)
        # residuals −16.67, −16.67, 33.33: Σ² 1,666.67; t(2) = 4.30265 · √(1,666.67 · 3/2) ÷ 300 = .71711
        assert [nrr["low"], nrr["high"]] == pytest.approx([350 / 300 - 0.71711, 350 / 300 + 0.71711], abs=1e-5)
        assert nrr["method"] == "linearised over customers, n_effective 3"
        assert ("grr", "2025-12") not in found.index

    def test_from_one_month_to_the_next(self):
        found = metrics(months(mrr_start=200), retained(1, (100, 0), (60, 80), (40, 40)))
        assert last(found, "grr")["value"] == pytest.approx(100 / 200)
        assert last(found, "nrr")["value"] == pytest.approx(120 / 200)
        # 200² ÷ (100² + 60² + 40²) = 2.63
        assert last(found, "grr")["method"].endswith("n_effective 3") and last(found, "nrr")["unit"] == "share"

    def test_bounds_stay_where_money_can_be(self):
        found = metrics(months(mrr_start=200), retained(1, (100, 20), (100, 100)))
        # GRR .6 ± 12.7 · .4 is far outside 0 … 1; its log odds, ± 12.7 · .4/.24, are not
        assert [last(found, "grr")[side] for side in ("low", "high")] == pytest.approx([0, 1], abs=1e-8)
        assert last(found, "nrr")["low"] == 0 and last(found, "nrr")["high"] > 1

    def test_months_at_the_left_edge_have_none(self):
        found = metrics(months().assign(moves=False), retained(1, (1, 1)))
        assert not {"grr", "nrr"} & set(found.index.get_level_values(0))

    def test_revenue_churn_leaves_out_what_is_paused_and_has_the_width_of_grr(self):
        # of 200: 30 churned, 10 contracted, 20 paused: 40/200 = 20 %; GRR 140/200 with the pause in it
        table = months(mrr_start=200, mrr_churn=30, mrr_contraction=10, mrr_paused=20)
        sums = retained(1, *[(10, 10)] * 14, *[(10, 0)] * 6)
        found = metrics(table, sums)
        churn, grr = last(found, "gross_revenue_churn_rate"), last(found, "grr")
        assert (churn["value"], churn["n"], grr["value"]) == (pytest.approx(0.2), 20, pytest.approx(0.7))
        # Σ(y − .7x)² = 14 · 9 + 6 · 49 = 420; t(19) = 2.09302 · √(420 · 20/19) ÷ 200 = .22004; log odds .84730 ± .22004/.21
        # make .45004 and .86934 of GRR; the distances about .2 are turned round
        assert [grr["low"], grr["high"]] == pytest.approx([0.45004, 0.86934], abs=1e-5)
        assert [churn["low"], churn["high"]] == pytest.approx([0.2 - 0.16934, 0.2 + 0.24996], abs=1e-5)

    def test_losses_that_pass_the_start_have_no_bound_below_zero(self):
        # one of two is lost: GRR .5, its log odds ± 12.7 · .5/.25: from 0 to 1; .1 of it counts as churn, the rest is paused
        table = months(mrr_start=200, mrr_churn=20, mrr_paused=80)
        found = metrics(table, retained(1, (100, 100), (100, 0)))
        assert last(found, "gross_revenue_churn_rate")["low"] == 0


class TestMovements:
    @pytest.fixture
    def table(self):
        # 1000 + 100 + 20 + 5 + 50 − 30 − 10 − 60 − 4 = 1071
        return months(mrr_start=1000, mrr_new=100, mrr_reactivation=20, mrr_resumed=5, mrr_expansion=50,
                      mrr_contraction=30, mrr_paused=10, mrr_churn=60, mrr_fx=-4, mrr_end=1071, active_end=9)

    def test_every_movement_is_a_metric(self, table):
        found = metrics(table)
        assert [last(found, name)["value"] for name in MOVES] == [100, 20, 5, 50, 30, 10, 60, -4]
        assert last(found, "mrr")[["value", "unit"]].to_list() == [1071, "EUR"]

    def test_quick_ratio_is_won_over_lost_and_empty_where_nothing_was_lost(self, table):
        assert last(metrics(table), "quick_ratio")["value"] == pytest.approx((100 + 20 + 50) / (30 + 60))
        assert "quick_ratio" not in metrics(table.assign(mrr_contraction=0, mrr_churn=0)).index

    def test_start_and_movements_make_the_end(self, table):
        found = retention.movements(table)
        columns = "month start new reactivation resumed expansion contraction paused churn fx end".split()
        assert found.columns.to_list() == columns and found.loc[0, "month"] == "2025-12"
        assert checks(retention.movement_checks(found))["passed"].to_list() == [True]

    @pytest.mark.parametrize(("end", "passed"), [(1071.004, True), (1071.006, False), (1070.99, False)])
    def test_half_a_cent_too_much_fails_the_check(self, table, end, passed):
        found = checks(retention.movement_checks(retention.movements(table.assign(mrr_end=end))))
        assert found["passed"].to_list() == [passed]
        assert found.loc[0, ["expected", "actual", "scope"]].to_list() == [1071, end, "2025-12"]

    @pytest.mark.parametrize("name", MOVES)
    def test_no_movement_may_be_forgotten(self, table, name):
        found = checks(retention.movement_checks(retention.movements(table.assign(**{name: 0}))))
        assert found["passed"].to_list() == [False]

    def test_the_bridge_adds_up_and_leaves_out_what_did_not_move(self, table):
        bridge = retention.bridge(retention.movements(table.assign(mrr_paused=0, mrr_end=1081)))
        labels = "start new reactivation resumed expansion contraction churn fx end".split()
        assert bridge["label"].to_list() == labels
        assert bridge["value"].to_list() == [1000, 100, 20, 5, 50, -30, -60, -4, 1081]
        assert bridge.loc[bridge["kind"] == "change", "value"].sum() == 81
        empty = retention.bridge(retention.movements(table.assign(moves=False)))
        assert empty["value"].to_list() == [0, 0]


class TestCohorts:
    LABELS = {1: "2025-01", 2: "2025-02", 3: "2025-03"}

    @pytest.fixture
    def cohorts(self):
        """Three cohorts as of month 3: ages not wholly observed have no row."""
        rows = [(1, 0, 9, 9, 90.0), (1, 1, 9, 8, 80.0), (1, 2, 9, 7, 70.0),
                (2, 0, 4, 4, 40.0), (2, 1, 4, 1, 10.0),
                (3, 0, 2, 2, 20.0)]
        return pd.DataFrame(rows, columns=["cohort", "age", "customers", "active", "revenue"])

    def test_a_triangle_without_cells_not_yet_seen(self, cohorts):
        table = retention.cohort_retention(cohorts, self.LABELS, shown=2, confidence=0.95)
        assert table[["cohort", "age", "customers", "active", "rate"]].to_numpy().tolist() == [
            ["2025-02", 0, 4, 4, 1.0], ["2025-02", 1, 4, 1, 0.25], ["2025-03", 0, 2, 2, 1.0]]
        assert np.isnan(table.pivot(index="cohort", columns="age", values="rate").loc["2025-03", 1])
        # Wilson of 1 in 4: (1 + 1.92073 ∓ 1.96 · √(.75 + .96036)) ÷ 7.84146
        assert table.loc[1, ["low", "high"]].to_list() == pytest.approx([0.04559, 0.69936], abs=1e-5)

    def test_revenue_adds_up_per_customer_acquired(self, cohorts):
        table = retention.cohort_revenue(cohorts, self.LABELS, column="revenue").set_index(["cohort", "age"])
        each = table["cumulative_revenue_per_customer"]
        assert each.loc["2025-01"].to_list() == pytest.approx([10, 170 / 9, 240 / 9])
        assert each.loc["2025-02"].to_list() == [10, 12.5] and table.loc[("2025-02", 1), "revenue"] == 10


class TestSurvival:
    def test_each_member_has_its_own_curve(self):
        rows = [("all", "all", 0, 0, 0, 6), ("all", "all", 1, 1, 0, 0), ("all", "all", 2, 2, 3, 0),
                ("plan", "pro", 0, 0, 0, 4), ("plan", "pro", 1, 1, 0, 0), ("plan", "pro", 2, 0, 3, 0)]
        ends = pd.DataFrame(rows, columns=["dimension", "member", "month", "events", "censored", "entered"])
        table = retention.survival(ends, 0.95).set_index(["dimension", "member", "month"])
        # 6 at risk, 1 leaves: 5/6; of 5, 2 leave: 5/6 · 3/5 = 1/2 · and in the plan 3/4
        assert table["survival"].to_list() == pytest.approx([1, 5 / 6, 1 / 2, 1, 3 / 4, 3 / 4])
        assert table.loc[("all", "all"), "at_risk"].to_list() == [6, 6, 5] and (table["cause"] == "all").all()

    def test_delayed_entries_are_at_risk_from_their_age_on(self):
        # 4 from the start, 6 come under observation at age 2: 1 of 4, then 3 of 3 + 6
        rows = [("all", "all", *row) for row in ((0, 0, 0, 4), (1, 1, 0, 0), (2, 0, 0, 6), (3, 3, 6, 0))]
        ends = pd.DataFrame(rows, columns=["dimension", "member", "month", "events", "censored", "entered"])
        table = retention.survival(ends, 0.95)
        assert table["survival"].to_list() == pytest.approx([1, 3 / 4, 3 / 4, 3 / 4 * 2 / 3])

    def test_nobody_at_risk_is_an_empty_table(self):
        ends = pd.DataFrame(columns=["dimension", "member", "month", "events", "censored", "entered"])
        assert retention.survival(ends, 0.95).empty
