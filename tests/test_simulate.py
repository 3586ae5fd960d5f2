"""The simulator of summary tables draws what its parameters say, and the kit's intervals hold the demo company's truth."""

import numpy as np
import pandas as pd
import pytest
from simulate import purchase_tables, spells, survival_tables, value_table

from helpers import demo
from helpers.contracts import read_yaml
from helpers.metrics import clv_models, ltv
from helpers.models import bgnbd, gamma_gamma
from helpers.models.intervals import Estimate

TRUTH = {row["plan"]: row for row in demo.truth(read_yaml("demo.yaml"), 1.0)["expected"] if row["interval"] == "all"}
HAZARDS = {plan: row["hazards"] for plan, row in TRUTH.items() if plan != "all"}
AMOUNTS = {"starter": [5, 5, 20], "plus": [18, 20, 20, 60], "team": [60, 60, 60, 120], "business": [240, 240, 240, 480, 960]}
H = 36


def joined(customers: float) -> dict[str, np.ndarray]:
    """A book of 36 months that grows as the demo company: how many of each plan were watched for 1, 2, … 36 months."""
    weight = 100 + 2 * np.arange(36)[::-1]
    return {plan: np.round(customers * TRUTH[plan]["share"] * weight / weight.sum()).astype(int) for plan in HAZARDS}


def truth_of(plan: str, discount: float) -> float:
    """Discounted months of 36 that a customer of the plan lives, paid in advance."""
    alive = np.append(1, np.cumprod(1 - np.array(HAZARDS[plan])))[:H]
    return float(alive @ (1 + discount) ** (-np.arange(H) / 12))


def test_spells_end_at_the_given_chances_and_everybody_is_counted_once():
    # 40 customers watched for 1 month, 60 for 2, half leave each month: 50 end at 1, 15 at 2; 20 and 15 are left
    events, censored = spells(np.random.default_rng(1), [0.5, 0.5, 0.9], [40, 60], 20_000)
    assert (events.sum(axis=1) + censored.sum(axis=1) == 100).all()
    for counts, means in ((events, [0, 50, 15]), (censored, [0, 20, 15])):
        assert counts.mean(axis=0) == pytest.approx(means, abs=4 * 5 / np.sqrt(20_000))


def test_a_plan_without_leavers_is_censored_where_it_was_watched_to():
    [table] = survival_tables(np.random.default_rng(1), {"a": [0, 0], "b": [1.0]}, {"a": [2, 3], "b": [4]}, 1)
    found = {key: part[["month", "events", "censored", "entered"]].values.tolist()
             for key, part in table.groupby(["dimension", "member"])}
    assert found == {
        ("plan", "a"): [[0, 0, 0, 5], [1, 0, 2, 0], [2, 0, 3, 0]], ("plan", "b"): [[0, 0, 0, 4], [1, 4, 0, 0], [2, 0, 0, 0]],
        ("all", "all"): [[0, 0, 0, 9], [1, 4, 2, 0], [2, 0, 3, 0]]}


def test_value_sums_are_those_of_the_amounts():
    table = value_table(np.random.default_rng(1), {"a": 10, "b": 1}, {"a": [3], "b": [7]}).set_index("member")
    names = ["customers", "sum_y", "sum_x", "sum_yy", "sum_xy", "sum_xx"]
    assert table.loc["a", names].to_list() == [10, 30, 10, 90, 30, 10]
    assert table.loc["all", names].to_list() == [11, 37, 11, 139, 37, 11]


def test_purchases_fit_the_parameters_that_they_were_drawn_from():
    """CDNOW's parameters (Fader, Hardie and Lee 2005), 8,000 customers watched for 39 weeks."""
    counts, spend = purchase_tables(
        np.random.default_rng(4), (0.243, 4.414, 0.793, 2.426), (6.25, 3.74, 15.44), np.full(8_000, 273))
    assert counts["customers"].sum() == 8_000 and spend["customers"].sum() == counts.loc[counts["x"] > 0, "customers"].sum()
    assert ((counts["x"] > 0) == (counts["last_days"] > 0)).all() and (counts["last_days"] <= 273).all()
    fitted = bgnbd.fit(counts["x"], counts["last_days"] / 7, counts["observed_days"] / 7, counts["customers"])
    true = bgnbd.BgNbd(0.243, 4.414, 0.793, 2.426)
    assert fitted.expected_new(39) == pytest.approx(true.expected_new(39), rel=0.05)
    assert fitted.expected_new(78) == pytest.approx(true.expected_new(78), rel=0.08)
    money = gamma_gamma.fit(spend["x"], spend["total"] / spend["x"], spend["customers"])
    assert money.mean == pytest.approx(6.25 * 15.44 / (3.74 - 1), rel=0.05)


def covered(books: int, seed: int) -> tuple[int, int]:
    """How many books of 3,000 customers hold the true lifetime of 36 months, and the true ltv_discounted."""
    rng, people = np.random.default_rng(seed), joined(3_000)
    shares = {plan: months.sum() / sum(m.sum() for m in people.values()) for plan, months in people.items()}
    new = pd.DataFrame({"plan_id": list(people), "new_customers": [months[:6].sum() for months in people.values()]})
    weights = new.set_index("plan_id")["new_customers"] / new["new_customers"].sum()
    life = sum(share * truth_of(plan, 0.0) for plan, share in shares.items())
    worth = sum(weights[plan] * 0.78 * np.mean(AMOUNTS[plan]) * truth_of(plan, 0.10) for plan in people)
    lives = values = 0
    for ends in survival_tables(rng, HAZARDS, people, books):
        _, (_, area, _), _ = ltv.lifetimes(
            Estimate(0.03, 0.02, 0.04, 100), ltv.select(ends, ("all", "all")),
            pd.DataFrame([{"months": 10, "ended": 1, "months_squared": 100}]), horizon=H, confidence=0.95)
        assert area.until == H
        lives += area.low <= life <= area.high
        plans = ends[ends["dimension"] == "plan"]
        living = plans.groupby("member")["censored"].sum()
        sums = value_table(rng, living.to_dict(), AMOUNTS)
        future = ltv.horizon_ltv(
            ends, clv_models.sbg_by_member(plans, min_events=5), ltv.value_a_month(sums, confidence=0.95), new,
            margin=0.78, horizon=H, annual_rate=0.10, min_customers=30, confidence=0.95)
        values += future.discounted.low <= worth <= future.discounted.high
    return lives, values


def test_lifetime_and_ltv_hold_the_truth_of_the_demo_company_in_90_to_99_of_100_books():
    lives, values = covered(100, seed=7)
    assert 90 <= lives <= 99 and 90 <= values <= 99


@pytest.mark.long
def test_lifetime_and_ltv_hold_the_truth_of_the_demo_company_in_93_to_97_percent():
    lives, values = covered(1000, seed=8)
    assert 930 <= lives <= 970 and 930 <= values <= 970
