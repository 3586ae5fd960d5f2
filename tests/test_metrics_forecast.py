"""What today's customers will bring: by hand, against simulated books, and blind to what came later."""

import numpy as np
import pandas as pd
import pytest
from test_marts import sale, sub

from helpers import findings
from helpers.metrics import clv_models
from helpers.metrics import forecast as ahead
from helpers.models import bgnbd, gamma_gamma
from helpers.settings import LtvCac, Policy

CELL = "month state plan_id term ahead number customers mrr mrr_mrr stayed stayed_mrr next_mrr".split()
NOW = 24306                                                              # 2025-06


def paying(month, term=1, ahead=1, number=1, customers=1000, left=0, grown=0.0, mrr=10.0, plan="a"):
    """A cell of customers with the same MRR each, of whom some left and the others pay more."""
    stayed = customers - left
    return (month, "paying", plan, term, ahead, number, customers, customers * mrr, customers * mrr**2, stayed, stayed * mrr,
            stayed * mrr * (1 + grown))


def cells(*rows):
    return pd.DataFrame(rows, columns=CELL)


# A million a month of whom a tenth leaves, whatever the age: so many that what was fitted is what was seen.
CONSTANT = [paying(NOW - back, number=age, customers=1_000_000, left=100_000) for back in range(1, 13) for age in range(1, 20)]


class TestSubscriptions:
    def test_two_by_the_month_and_one_by_the_year(self):
        yearly = [paying(NOW - back, term=12, ahead=1, number=1, customers=1_000_000, left=500_000) for back in range(1, 13)]
        base = [paying(NOW, customers=2, number=5), paying(NOW, term=12, ahead=6, number=1, customers=1, mrr=100)]
        parts = ahead.subscribers(cells(*CONSTANT, *yearly, *base), NOW, least=5, seed=1).parts
        # five month ends inside the paid year, then half of 100; by the month 20 · 0.9^t
        assert parts[:, 0] == pytest.approx([100] * 5 + [0] * 7)
        assert parts[:, 1] == pytest.approx(20 * 0.9 ** np.arange(1, 13) + np.repeat([0, 50], [5, 7]), rel=1e-3)
        assert parts[:, 2:] == pytest.approx(0)

    def test_who_leaves_within_the_paid_term_lowers_what_is_contracted(self):
        inside = [paying(NOW - back, term=12, ahead=7, customers=1000, left=10, plan="y") for back in range(1, 13)]
        base = paying(NOW, term=12, ahead=3, customers=1, mrr=100, plan="y")
        found = ahead.subscribers(cells(*CONSTANT, *inside, base), NOW, least=5, seed=1)
        assert found.parts[:3, 0] == pytest.approx([99, 98.01, 0])
        # no renewal by the year was seen: the chance of leaving in a month, 12 times over
        monthly = (12 * 19 * 100_000 + 120) / (12 * 19 * 1_000_000 + 12_000)
        assert found.parts[2, 1] == pytest.approx(98.01 * (1 - monthly) ** 12, rel=1e-6)

    def test_expansion_goes_on_at_the_pooled_rate_of_twelve_months(self):
        grows = [paying(NOW - back, number=19, grown=0.5) for back in (13, 14)]                 # over a year ago: no more
        grows += [paying(NOW - back, number=19, grown=0.02 * (back % 2)) for back in range(1, 13)]
        base = [paying(NOW, term=12, ahead=12, customers=1, mrr=100)]
        gone = paying(NOW - 13, customers=1000, left=100)
        parts = ahead.subscribers(cells(gone, *grows, *base), NOW, least=5, seed=1).parts
        assert parts[:3, 2] == pytest.approx([1, 2.01, 3.0301])          # 1 % a month of 100
        assert parts[10, 0] == pytest.approx(100)

    def test_of_who_leaves_a_part_comes_back(self):
        away = [(NOW - back, "away", "", 0, 0, 0, 100, 1000.0, 0.0, 20, 200.0, 200.0) for back in range(1, 13)]
        found = ahead.subscribers(cells(*CONSTANT, *away, paying(NOW, customers=100)), NOW, least=5, seed=1)
        # of 1,000 leave 100, 90, 81; a fifth of who is away comes back each month, and nine tenths of these stay
        assert found.parts[:3, 3] == pytest.approx([0, 20, 18 + 34], rel=1e-3)

    def test_the_number_of_the_renewal_decides(self):
        seen = [paying(NOW - back, number=1 + back % 2, customers=1_000_000, left=400_000 if back % 2 else 200_000)
                for back in range(1, 13)]
        found = ahead.subscribers(cells(*seen, paying(NOW, number=1, mrr=10, customers=100)), NOW, least=5, seed=1)
        assert found.parts[:2, 1] == pytest.approx([800, 480], rel=1e-3)

    def test_a_plan_with_few_departures_goes_with_its_term(self):
        rare = [paying(NOW - back, plan="rare", customers=10, left=int(back == 3)) for back in range(1, 13)]
        found = ahead.subscribers(cells(*CONSTANT, *rare, paying(NOW, plan="rare")), NOW, least=5, seed=1)
        assert found.parts[0, 1] == pytest.approx(9000, rel=1e-3)

    def test_too_little_seen_makes_no_forecast(self):
        few = [paying(NOW - back, left=1) for back in range(1, 6)]
        now = paying(NOW)
        assert ahead.subscribers(cells(*few, now), NOW, least=5, seed=1) is None            # five months
        six = [*few, paying(NOW - 6, left=0)]
        assert ahead.subscribers(cells(*six, now), NOW, least=5, seed=1) is not None
        assert ahead.subscribers(cells(*six, now), NOW, least=6, seed=1) is None            # five departures
        assert ahead.subscribers(cells(*six), NOW, least=5, seed=1) is None                 # nobody pays

    def test_no_width_shrinks_to_zero(self):
        calm = [paying(NOW - back, customers=100, left=10) for back in range(1, 13)]        # each month the same
        found = ahead.subscribers(cells(*calm, paying(NOW, customers=1000)), NOW, least=5, seed=1).bounds(0.95)
        assert (found[:, 1] > found[:, 0]).all() and (found[:, 4] > found[:, 3]).all()
        assert found[0, 1] - found[0, 0] > 2 * 1.9 * 10 * np.sqrt(1000 * 0.1 * 0.9)  # chance alone, and more

    def test_nobody_left_within_a_paid_term_is_no_promise(self):
        inside = [paying(NOW - back, term=12, ahead=7, customers=100, plan="y") for back in range(1, 13)]
        base = paying(NOW, term=12, ahead=12, customers=100, plan="y")
        low, high = ahead.subscribers(cells(*CONSTANT, *inside, base), NOW, least=5, seed=1).bounds(0.95)[0, :2]
        assert 950 < low < high <= 1000

    def test_shocks_of_the_past_widen_it(self):
        calm = [paying(NOW - back, customers=10_000, left=1000) for back in range(1, 13)]
        wild = [paying(NOW - back, customers=10_000, left=500 + 1000 * (back % 2)) for back in range(1, 13)]
        now = paying(NOW, customers=10_000)
        found = [ahead.subscribers(cells(*past, now), NOW, least=5, seed=1).bounds(0.95)[0] for past in (calm, wild)]
        widths = [high - low for low, high, *_ in found]
        assert widths[1] > 5 * widths[0]
        assert widths[1] > 2 * 1.96 * 0.5 * 0.1 * 100_000                # shocks by half of a tenth


def test_queries_by_hand(make):
    book = make("2024-06", subscriptions=[
        sub("ann", "2024-03-05"), sub("bob", "2023-11-15", plan_id="pro", interval="year", amount=240),
        sub("cat", "2024-02-10", "2024-04-20"), sub("cat", "2024-06-01", amount=30), sub("dan", "2024-01-01", amount=6),
        sub("dan", "2024-04-10", plan_id="pro", amount=50, interval="month", interval_count=3)])
    found = book.frame("summaries/forecast_cells").set_index(["month", "state"]).sort_index()
    march, april, june = 24291, 24292, 24294
    names = ["plan_id", "term", "ahead", "number", "customers", "mrr"]
    assert found.loc[(june, "paying"), names].to_numpy().tolist() == [
        ["basic", 1, 1, 1, 1, 30], ["basic", 1, 1, 4, 1, 10],             # cat anew, ann
        ["pro", 3, 1, 1, 1, pytest.approx(6 + 50 / 3, abs=1e-3)],         # dan, by the larger of two, which renews in July
        ["pro", 12, 5, 1, 1, 20]]                                         # bob, in November
    basic = found.loc[(march, "paying")].query("plan_id == 'basic'")
    assert basic[["number", "mrr", "mrr_mrr", "stayed", "stayed_mrr", "next_mrr"]].to_numpy(float).tolist() == [
        [1, 10, 100, 1, 10, 10], [2, 10, 100, 0, 0, 0],                   # ann; cat, who leaves in April
        [3, 6, 36, 1, 6, pytest.approx(6 + 50 / 3, abs=1e-3)]]
    away = found.xs("away", level="state")[["customers", "mrr", "stayed", "next_mrr"]].astype(float)
    assert away.to_dict("index") == {april: {"customers": 1, "mrr": 10, "stayed": 0, "next_mrr": 0},
                                     april + 1: {"customers": 1, "mrr": 10, "stayed": 1, "next_mrr": 30}}
    came = book.frame("summaries/forecast_came").set_index("made_at")
    # cat of March: 30 in June; ann 3 · 10; bob 3 · 20; dan 6 + 50/3 in April, and twice more
    assert float(came.loc[march, "actual"]) == pytest.approx(30 + 30 + 60 + 3 * (6 + 50 / 3), abs=0.01)
    assert came.loc[march, "customers"] == 4 and came.index.max() == june - 1


SALES = [sale("ann", "2024-01-10", 10), sale("ann", "2024-03-10", 30), sale("ann", "2024-03-12", -5),
         sale("bob", "2024-05-31", 8), sale("bob", "2024-06-01", 8), sale(None, "2024-06-02", 99)]


def test_sales_as_each_month_end_saw_them(make):
    book = make("2024-06", transactions=SALES)
    found = book.frame("summaries/forecast_sales")
    names = ["x", "last_days", "observed_days", "total", "bought", "revenue"]
    assert found[found["made_at"] == 24294][names].to_numpy(float).tolist() == [[1, 1, 30, 8, 16, 16], [1, 60, 172, 30, 40, 35]]
    assert found[found["made_at"] == 24290][names].to_numpy(float).tolist() == [[0, 0, 50, 0, 10, 10]]
    assert sorted(set(found["made_at"])) == [24290, 24292, 24294]
    came = book.frame("summaries/forecast_came").set_index("made_at")["actual"].astype(float)
    assert came.loc[[24289, 24292, 24293]].to_list() == [25, 0, 8]


def test_later_months_change_no_earlier_forecast(demo_book):
    table = demo_book.frame("summaries/forecast_cells")
    before = ahead.subscribers(table, NOW - 6, least=5, seed=1)
    later = table[table["month"] > NOW - 6]
    wild = pd.concat([table, later.assign(customers=9 * later["customers"], mrr=99 * later["mrr"], plan_id="new")])
    again = ahead.subscribers(wild, NOW - 6, least=5, seed=1)
    assert (again.parts == before.parts).all() and (again.draws == before.draws).all()
    now = table["month"] == NOW - 6                                      # nor does what became of the month's own customers
    blind = table.assign(**{name: table[name].mask(now, 0) for name in ("stayed", "stayed_mrr", "next_mrr")})
    assert (ahead.subscribers(blind, NOW - 6, least=5, seed=1).draws == before.draws).all()


@pytest.fixture(scope="module")
def tables(cdnow_book):
    return cdnow_book.frames([*ahead.QUERIES, "forecast_sales", "months"])


class TestSales:
    def test_cdnow_is_what_the_models_say_month_by_month(self, tables, cdnow_book):
        found = ahead.buyers(tables["forecast_sales"], tables["months"], cdnow_book.month, least=30, seed=1)
        part = tables["forecast_sales"].query("made_at == @cdnow_book.month")
        x, t_x, T, n = clv_models.weeks(part)
        repeats = part[part["x"] > 0]
        model = bgnbd.fit(x, t_x, T, n)
        money = gamma_gamma.fit(repeats["x"], repeats["total"].astype(float) / repeats["x"], repeats["customers"])
        mean = money.expected(x, part["total"].to_numpy(float) / np.maximum(x, 1))
        assert found.total.sum() == pytest.approx(n @ (model.expected(12 * 365.25 / 84, x, t_x, T) * mean), rel=2e-3)
        assert found.n == 2357 and (np.diff(found.total) < 0).all()      # nobody new, and no season in 18 months

    def test_a_later_sale_changes_no_earlier_forecast(self, tables):
        at = tables["forecast_sales"]["made_at"].unique()[2]
        one = ahead.buyers(tables["forecast_sales"], tables["months"], at, least=30, seed=1)
        months = tables["months"].assign(revenue_known=lambda of: of["revenue_known"].astype(float).mask(of["month"] > at, 1e9))
        sales = tables["forecast_sales"].query("made_at <= @at")
        assert (ahead.buyers(sales, months, at, least=30, seed=1).draws == one.draws).all()
        assert ahead.buyers(sales, months, at + 2, least=30, seed=1) is None

    def test_refunds_lower_it(self, tables, cdnow_book):
        half = tables["forecast_sales"].assign(revenue=lambda of: of["bought"].astype(float) / 2)
        whole, less = (ahead.buyers(of, tables["months"], cdnow_book.month, least=30, seed=1)
                       for of in (tables["forecast_sales"], half))
        assert less.total == pytest.approx(whole.total / 2)

    def test_a_refused_model_makes_no_forecast(self, tables, cdnow_book):
        how = {"subscriptions": False, "policy": Policy(), "terms": LtvCac()}
        found = ahead.forecast(tables, None, cdnow_book.month, refused="too regular", **how)
        assert found["forecast_12m"].empty and found["forecast_backtest"].empty
        assert list(found["forecast_12m"]) == ahead.COLUMNS and list(found["forecast_backtest"]) == ahead.BACKTEST


def by_month(values, first=2022 * 12 + 1):
    return pd.DataFrame({"month": first + np.arange(len(values)), "revenue_known": values})


def test_the_season_is_the_distance_from_a_years_mean_where_two_years_are_known():
    year = np.ones(12)
    year[[0, 11]] = 0.5, 2.0                                             # half in January, twice in December
    index, spread, _ = ahead.season(by_month(np.tile(100 * year, 3) * 1.01 ** np.arange(36)))
    assert index == pytest.approx(year, rel=1e-6) and spread == pytest.approx(0, abs=1e-6)
    assert (ahead.season(by_month(np.tile(100 * year, 2)[:23]))[0] == 1).all()


def test_the_spread_is_that_of_months_about_their_neighbours_and_a_break_counts_once():
    noise = np.exp(np.random.default_rng(1).normal(0, 0.1, 400)) * np.repeat([100, 900], 200)
    _, spread, n = ahead.season(by_month(noise))
    assert spread == pytest.approx(0.1, rel=0.15) and n == 398


CAME = pd.DataFrame({"made_at": [NOW - 2, NOW - 1], "customers": 5, "actual": [200.0, 0.0]})


def test_a_sum_that_was_foretold_stands_beside_the_one_that_came():
    table = ahead.against({NOW - 1: [10, 5, 15], NOW - 2: [220, 190, 240]}, CAME, NOW)
    assert table["made_at"].to_list() == ["2025-04", "2025-05"] and table["months"].to_list() == [2, 1]
    assert table["error"].iloc[0] == pytest.approx(0.1) and np.isnan(table["error"].iloc[1])
    assert table["inside"].to_list() == [True, False]


def test_vintages_are_what_earlier_reports_printed():
    old = pd.DataFrame({"period": ["2025-05", "2025-06", "2025-07"], "sum": [100, 210, 999], "sum_low": [90, 205, 0],
                        "sum_high": [110, 230, 9999]})
    table = ahead.vintages({1: None, 2: old, 3: old, 4: old.tail(1)}, CAME, NOW)  # of three months ago nothing is known
    names = ["made_at", "months", "predicted", "actual", "inside"]
    assert table[names].to_numpy().tolist() == [["2025-04", 2, 210, 200, False]]
    assert list(ahead.vintages({}, CAME, NOW)) == ahead.BACKTEST


def backtest(errors, inside):
    return pd.DataFrame({"error": errors, "inside": inside})


def test_a_model_that_fails_says_so():
    how = {"error_max": 0.125, "confidence": 0.95}
    assert ahead.failures(backtest([0.0, -0.25], [True, True]), **how) == []                # an eighth is not more than one
    assert ahead.failures(backtest([0.1, -0.25], [True, True]), **how) == [
        "it was off by 17.5% on average, more than ltv_error_max, 12.5%"]
    # of twelve, nine or fewer hold with 2 %, eight or fewer with 0.2 %
    assert ahead.failures(backtest([0.0] * 12, [True] * 9 + [False] * 3), **how) == []
    assert ahead.failures(backtest([0.0] * 12, [True] * 8 + [False] * 4), **how) == ["8 of 12 intervals held, chance allows 9"]
    assert ahead.failures(pd.DataFrame(columns=ahead.BACKTEST), **how) == []


def test_the_sentence_tells_the_sum_and_how_earlier_ones_did():
    table = pd.DataFrame({"sum": [1, 1200.0], "sum_low": [1, 1000.0], "sum_high": [1, 1500.0], "n": [7, 7]})
    assert findings.foretold(table, backtest([0.1, -0.2], [True, False])) == (
        "7 customers are expected to bring 1,200.00 USD in 12 months (1,000.00 USD to 1,500.00 USD); forecasts of 2 earlier "
        "month ends were off by 15.0% on average (MAPE), and 1 of 2 intervals held what came")
    assert findings.foretold(table, backtest([], [])).endswith("no earlier one could be tried")
    assert findings.foretold(table.head(0), backtest([], [])) == "Nothing is foretold"


def test_the_title_tells_the_last_month_and_its_interval():
    table = pd.DataFrame({"period": ["2025-07", "2026-06"], "total": [1, 1200.4], "low": [1, 999.5], "high": [1, 1500.0]})
    assert findings.outlook(table, "MRR", "USD") == (
        "Today's customers alone are expected to bring 1,200 USD of MRR in 2026-06 (999.50 USD to 1,500 USD)")


def test_a_forecast_continues_the_last_13_months_of_mrr_or_of_known_customers_revenue():
    months = pd.DataFrame({"month": range(2024 * 12 + 1, 2025 * 12 + 3), "mrr_end": range(14), "revenue_known": range(100, 114)})
    mrr, revenue = (ahead.so_far(months, subscriptions=given) for given in (True, False))
    assert mrr["period"].to_list()[::12] == ["2024-02", "2025-02"]
    assert mrr["total"].to_list() == [*range(1, 14)] and revenue["total"].to_list() == [*range(101, 114)]


def test_the_tables_of_the_demo_company(demo_book):
    tables = demo_book.frames([*ahead.QUERIES, "months"])
    how = {"policy": demo_book.params.policy, "terms": demo_book.params.ltv_cac}
    found = ahead.forecast(tables, None, demo_book.month, subscriptions=True, **how)
    table, tried = found["forecast_12m"], found["forecast_backtest"]
    assert table["period"].iloc[[0, -1]].to_list() == ["2025-07", "2026-06"]
    assert table[ahead.PARTS].sum(axis=1).to_list() == pytest.approx(table["total"].to_list())
    assert table["sum"].to_list() == pytest.approx(table["total"].cumsum().to_list())
    assert tried["months"].to_list() == list(range(12, 0, -1)) and tried["made_at"].iloc[0] == "2024-06"
    base = tables["forecast_cells"].query("state == 'paying'").groupby("month")["mrr"].sum().astype(float)
    mrr = tables["months"].set_index("month")["mrr_end"].astype(float)
    assert base.to_list() == pytest.approx(mrr[mrr > 0].to_list())       # every paying customer, each month
