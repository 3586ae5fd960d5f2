"""What members are worth by their plans: mix, haste and price each on its own, members that add up, and simulated books."""

import numpy as np
import pandas as pd
import pytest
from simulate import spells

from helpers.metrics import cac, clv_models, ltv, members
from helpers.models.intervals import Estimate
from helpers.models.sbg import Sbg
from helpers.settings import Policy

ALL, P, Q = ("all", "all"), ("plan", "p"), ("plan", "q")
EVEN = pd.DataFrame({"moves": True, "churned": 3, "in_month_churn": 0, "active_start": 60}, index=range(6))
COLUMNS = ["month", "events", "censored", "entered", "there", "mrr", "mrr_squared", "new_customers"]


def cell(member: str, plan: str, people: int, gone: int, *, price: float, new: int, dimension: str = "channel"):
    """Customers of a member and plan: `gone` leave after a month, the others are there at month 3 and pay `price` each."""
    left = people - gone
    rows = [(0, 0, 0, people, 0, 0, 0, 0), (1, gone, 0, 0, 0, 0, 0, 0),
            (3, 0, left, 0, left, left * price, left * price**2, new)]
    return pd.DataFrame(rows, columns=COLUMNS).assign(dimension=dimension, member=member, plan_id=plan)


def book(*cells):
    """What the page reads of cells of one dimension: the split, survival by plan and member, and value a month."""
    split = pd.concat(cells, ignore_index=True)
    cuts = [split, split.assign(dimension="plan", member=split["plan_id"]), split.assign(dimension="all", member="all")]
    ends = pd.concat(cuts).groupby(["dimension", "member", "month"], as_index=False)[["events", "censored", "entered"]].sum()
    sums = pd.concat(cuts).groupby(["dimension", "member"])[["there", "mrr", "mrr_squared"]].sum().astype(float)
    sums = sums.reset_index().rename(columns={"mrr": "sum_y", "mrr_squared": "sum_yy"})
    sums = sums.assign(customers=sums["there"], sum_x=sums["there"], sum_xx=sums["there"], sum_xy=sums["sum_y"])
    return split, ends, ltv.value_a_month(sums, confidence=0.95)


def worth(split, ends, value, *, margin=1.0, reason="", months=EVEN, fits=None, **policy):
    policy = Policy(**{"horizon_months": 3, "annual_discount_rate": 0.0, "min_customers": 1} | policy)
    fits = fits or dict.fromkeys(set(zip(ends["dimension"], ends["member"], strict=True)), Sbg(1.0, 1.0))
    return members.worth_by({"survival": ends, "months": months}, fits, value, margin=margin, policy=policy,
                            reason=reason, split=split)


@pytest.fixture
def two_plans():
    """p: 10 a month, half leave at once; q: 30, a quarter leave. Channels differ by the plans that their new customers take."""
    return book(*(cell(name, "p", 20, 10, price=10, new=p) for name, p in (("a", 3), ("b", 1))),
                *(cell(name, "q", 20, 5, price=30, new=q) for name, q in (("a", 1), ("b", 3))))


def test_channels_differ_by_the_plans_of_their_new_customers(two_plans):
    found = worth(*two_plans)
    # p: 10 · (1 + .5 + .5) = 20; q: 30 · (1 + .75 + .75) = 75
    assert {key: of.ltv.value for key, of in found.items()} == pytest.approx({
        P: 20, Q: 75, ("channel", "a"): 0.75 * 20 + 0.25 * 75, ("channel", "b"): 0.25 * 20 + 0.75 * 75})
    assert found["channel", "a"].ltv.n == 25 and not any(of.remark for of in found.values())


def test_channels_weighted_by_new_customers_are_the_headline_where_they_differ_by_plan_alone(two_plans):
    found, (split, ends, value) = worth(*two_plans), two_plans
    new = split.groupby("plan_id", as_index=False)["new_customers"].sum()
    fits = dict.fromkeys(value, Sbg(1.0, 1.0))
    headline = ltv.horizon_ltv(ends, fits, value, new, margin=1.0, horizon=3, annual_rate=0.0, min_customers=1, confidence=0.95)
    won = split.groupby(["dimension", "member"])["new_customers"].sum()
    table = cac.together(cac.by_member(found, won, {}, horizon=3, margin=1.0)).set_index("dimension")
    assert table.loc["channel", ["ltv", "known"]].to_list() == pytest.approx([headline.discounted.value, 1])
    assert headline.discounted.value == pytest.approx((20 + 75) / 2)


def test_without_new_customers_the_mix_is_that_of_who_pays(two_plans):
    split, *rest = two_plans
    found = worth(split.assign(new_customers=0), *rest)["channel", "a"]
    assert found.ltv.value == pytest.approx((10 * 20 + 15 * 75) / 25)


def test_who_leaves_sooner_than_others_on_the_plan_is_worth_less():
    # h = 20 of 80: fast would have had 5 of 20 and had 10, so h · 2; slow 15 of 60 and had 10, so h · 2/3
    fast, slow = cell("fast", "p", 20, 10, price=10, new=1), cell("slow", "p", 60, 10, price=10, new=1)
    found = worth(*book(fast, slow), margin=0.5)
    assert found["channel", "fast"].ltv.value == pytest.approx(0.5 * 10 * (1 + 0.5 + 0.5))
    assert found["channel", "slow"].ltv.value == pytest.approx(0.5 * 10 * (1 + 5 / 6 + 5 / 6))
    # a month beyond the horizon the sBG (α = β = 1) has a hazard of 1/4 at month 3; revenue is before the margin
    assert found["channel", "fast"].curve[0, :3] == pytest.approx([1, 0.5, 0.5])
    assert found["channel", "fast"].revenue[0, :3] == pytest.approx([10, 5, 5]) and found["channel", "fast"].revenue.shape == (1, 4)


def test_who_pays_less_than_others_on_the_plan_is_worth_less():
    half, more = cell("half", "p", 40, 20, price=5, new=1), cell("more", "p", 40, 20, price=15, new=1)
    found = worth(*book(half, more))
    assert [found["channel", name].ltv.value for name in ("half", "more")] == pytest.approx([5 * 2, 15 * 2])
    assert found["channel", "half"].revenue[0, :3] == pytest.approx([5, 2.5, 2.5])


def test_hazards_are_compared_age_by_age():
    # half of 40 leave after a month, half of the 20 left after two. Who enters at age 1 has only the second chance to leave:
    # 5 of 10 are expected and 5 left
    young = cell("young", "p", 30, 20, price=10, new=1).assign(month=[0, 1, 3], events=[0, 20, 0], censored=[0, 0, 10])
    old = cell("old", "p", 10, 0, price=10, new=1)
    old.loc[0, ["month", "entered"]] = [1, 10]
    old.loc[1, ["month", "events"]] = [2, 5]
    old.loc[2, ["censored", "there", "mrr", "mrr_squared"]] = [5, 5, 50, 500]
    found = worth(*book(young, old), horizon_months=2)
    # at age 1: 20 of 30 left, at age 2: 5 of 20 (10 young at risk, 10 old): old would have had 2.5 and had 5, θ = 2: all go
    assert found["channel", "old"].curve[0, 1] == 0
    # young: 20 + 2.5 expected, 20 left: θ = 8/9, and 1 − 8/9 · 2/3 = 11/27 stay
    assert found["channel", "young"].curve[0, 1] == pytest.approx(11 / 27)


def test_a_member_that_is_everybody_is_the_headline_with_its_interval(two_plans):
    split, _, _ = two_plans
    whole = book(*(part.assign(member="only") for _, part in split.groupby("member")))
    bumpy = EVEN.assign(active_start=1000, churned=[100, 500] * 3)
    found = worth(*whole, months=bumpy)["channel", "only"].ltv
    new = pd.DataFrame({"plan_id": ["p", "q"], "new_customers": [4, 4]})
    shared = members.shared_churn(bumpy, in_month_churn="apart", confidence=0.95)
    future = ltv.horizon_ltv(whole[1], dict.fromkeys(whole[2], Sbg(1.0, 1.0)), whole[2], new, margin=1.0, horizon=3,
                             annual_rate=0.0, min_customers=1, confidence=0.95, shared=shared).discounted
    assert [found.value, found.low, found.high] == pytest.approx([future.value, future.low, future.high])


def test_the_interval_adds_the_member_s_own_ends_and_prices():
    fast, slow = cell("fast", "p", 20, 10, price=10, new=1), cell("slow", "p", 60, 10, price=10, new=1)
    split, ends, value = book(fast, slow)
    value[P] = Estimate(10, 10, 10, 60)                      # known, and no spread of prices: ends alone
    found = worth(split, ends, value)["channel", "fast"].ltv
    curve = members.standard(ends, P, {P: Sbg(1.0, 1.0)}, value, Policy(horizon_months=3, annual_discount_rate=0.0))
    plan = np.log(curve.lived.high / curve.lived.value)
    # 10 of the 20 ends are its own: 1/10 − 1/20. A log unit of h at 1/2 moves S by 1 · 1/2 in months 1 and 2: 1 of 2
    own = 1.959964 * np.sqrt(1 / 10 - 1 / 20) * 1 / 2
    assert np.log(found.high / found.value) == pytest.approx(np.hypot(plan, own), rel=1e-4)
    priced = split.assign(mrr_squared=split["mrr_squared"] * 2)  # half of the square is spread
    wider = worth(priced, ends, value)["channel", "fast"].ltv
    # residuals 10 · 100 on 10 customers of 60: Student of 9 · √(1000 · 10/9) ÷ 100, narrowed by √(5/6)
    half = 2.262157 * np.sqrt(1000 * 10 / 9) / 100 * np.sqrt(5 / 6)
    both = np.hypot(np.log(found.high / found.value), np.log(1 + half))
    assert np.log(wider.high / wider.value) == pytest.approx(both, rel=1e-4)


def test_a_small_plan_counts_with_all_as_in_the_headline(two_plans):
    split, ends, value = two_plans
    value[Q] = Estimate(30, 30, 30, 9)                       # too few for a value of its own
    found = worth(split, ends, value, min_customers=20)["channel", "a"]
    # all: 30 of 80 leave, 20 pay 10 and 30 pay 30: a = 22; a's plan p would have lost 10 and lost 10, its q 7.5 and lost 5
    theta, rho = 15 / 17.5, (10 * 10 + 15 * 30) / (10 * 10 + 15 * 22)
    p, q = 10 * (1 + 2 * (1 - theta * 0.5)), 22 * (1 + 2 * (1 - theta * 0.375))
    assert found.ltv.value == pytest.approx(rho * (0.75 * p + 0.25 * q))


def test_why_a_member_has_no_ltv(two_plans):
    split, ends, value = two_plans
    fits = dict.fromkeys([ALL, P, Q, ("channel", "a")], Sbg(1.0, 1.0))
    found = worth(split, ends, value, fits=fits, min_customers=26)
    assert found["channel", "a"].remark == "25 customers; 26 are needed" and np.isnan(found["channel", "a"].ltv.value)
    assert found["channel", "a"].ltv.n == 25
    assert worth(split, ends, value, fits=fits, min_customers=25)["channel", "a"].remark == ""
    assert worth(split, ends, value, fits=fits)["channel", "b"].remark == "fewer than 5 departures"
    assert {of.remark for of in worth(split, ends, value, reason="not_estimable: a snapshot").values()} == {
        "not_estimable: a snapshot"}
    far = {**fits, ("channel", "b"): Sbg(1.0, 1.0)}
    del far[ALL], far[Q]                                     # q counts with all, who have no model to go on with
    beyond = worth(split, ends, value, fits=far, horizon_months=36)
    assert beyond["channel", "a"].remark.startswith("too few customers or departures")


def test_sales_alone_have_the_member_s_own_curve(two_plans):
    split, ends, value = two_plans
    found = worth(split.head(0), ends, value)["channel", "a"]
    # 15 of 40 leave; 25 who pay 550: 22 · (1 + .625 + .625)
    assert found.ltv.value == pytest.approx(22 * 2.25) and found.curve[0, :3] == pytest.approx([1, 0.625, 0.625])


PLANS = {"cheap": (0.10, 20.0), "dear": (0.02, 200.0)}       # chance to leave a month, MRR
MIXES = {"a": 0.8, "b": 0.2, "fast": 0.5}                    # of cheap
HASTE = {"a": 1.0, "b": 1.0, "fast": 2.0}
FACTORS = 1.1 ** (-np.arange(36) / 12)


def true_worth(member: str, haste: float) -> float:
    return sum(share * amount * ((1 - haste * hazard) ** np.arange(36) @ FACTORS)
               for share, (hazard, amount) in zip((MIXES[member], 1 - MIXES[member]), PLANS.values(), strict=True))


def simulated(rng, haste) -> tuple:
    """3,000 customers who joined over 40 months, by channel and plan; prices vary by half."""
    cells = []
    for member, cheap in MIXES.items():
        for share, (plan, (hazard, amount)) in zip((cheap, 1 - cheap), PLANS.items(), strict=True):
            joined = np.full(40, round(25 * share))
            gone, there = (of[0] for of in spells(rng, np.full(40, haste[member] * hazard), joined, 1))
            prices = [amount * rng.lognormal(-0.125, 0.5, int(n)) for n in there]
            one = pd.DataFrame({"month": range(41), "events": gone, "censored": there, "entered": 0, "there": there,
                                "mrr": [p.sum() for p in prices], "mrr_squared": [p @ p for p in prices], "new_customers": 0})
            one.loc[0, ["entered", "new_customers"]] = [joined.sum(), joined[:6].sum()]
            cells.append(one.assign(dimension="channel", member=member, plan_id=plan))
    return book(*cells)


def test_where_price_and_churn_go_together_the_truth_by_plan_is_held_and_one_curve_times_a_mean_misses_it():
    rng, inside, ratios, old = np.random.default_rng(11), [], [], []
    for _ in range(40):
        split, ends, value = simulated(rng, dict.fromkeys(MIXES, 1.0))
        fits = clv_models.sbg_by_member(ends, min_events=5)
        found = worth(split, ends, value, fits=fits, horizon_months=36, annual_discount_rate=0.1)
        own = worth(split.head(0), ends, value, fits=fits, horizon_months=36, annual_discount_rate=0.1)
        for member in MIXES:
            of, truth = found["channel", member].ltv, true_worth(member, 1.0)
            inside.append(of.low <= truth <= of.high)
            ratios.append(of.value / truth)
            old.append(own["channel", member].ltv.value / truth)
    assert np.mean(inside) >= 0.88
    assert np.mean(ratios) == pytest.approx(1, abs=0.02) and abs(np.mean(old) - 1) > 0.05


def test_a_channel_whose_customers_leave_twice_as_fast_is_found_to():
    split, ends, value = simulated(np.random.default_rng(12), HASTE)
    fits = clv_models.sbg_by_member(ends, min_events=5)
    found = worth(split, ends, value, fits=fits, horizon_months=36, annual_discount_rate=0.1)["channel", "fast"].ltv
    assert found.high < true_worth("fast", 1.0) and found.low < true_worth("fast", 2.0) < found.high


def test_the_split_adds_up_to_survival_value_and_new_customers(demo_book):
    frames = demo_book.frames(["member_ages", "survival", "customer_value", "cac_by"])
    split, by = frames["member_ages"], ["dimension", "member"]
    counts, ages = ["events", "censored", "entered"], [*by, "month"]
    survival = frames["survival"].query("dimension not in ['all', 'plan']").groupby(ages)[counts].sum()
    mine = split.groupby(ages)[counts].sum()
    assert mine[mine.any(axis=1)].equals(survival.sort_index()[survival.sort_index().any(axis=1)]) and len(survival) > 100
    sums = split.groupby(by)[["there", "mrr", "mrr_squared"]].sum().astype(float)
    value = frames["customer_value"].query("dimension not in ['all', 'plan']").set_index(by).astype(float)
    assert sums["there"].to_dict() == pytest.approx(value["customers"].to_dict())
    assert sums["mrr"].to_dict() == pytest.approx(value["sum_y"].to_dict())
    assert sums["mrr_squared"].to_dict() == pytest.approx(value["sum_yy"].to_dict())
    won = frames["cac_by"].query("dimension in ['channel', 'segment', 'country'] and member != '(unattributed)'")
    new = split.groupby(by)["new_customers"].sum()
    assert new[new > 0].to_dict() == won.groupby(by)["new_customers"].sum().to_dict()
