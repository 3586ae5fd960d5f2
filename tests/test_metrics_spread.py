"""One month by other products' definitions: the worked example of docs/methods.md, and what each rule counts."""

import numpy as np
import pandas as pd
import pytest
from test_marts import sub

from helpers.metrics.spread import UNITS, definition_spread

BOTH = {"subscriptions", "transactions"}


def months(count=7, **columns):
    """`count` months to 2025-12: 100 at the start, 40 new of whom one left at once; 10 gone, one gone and back; ARPA 50."""
    index = np.arange(2025 * 12 + 13 - count, 2025 * 12 + 13)
    plain = {"moves": True, "active_start": 100, "active_end": 129, "churned": 10, "in_month_churn": 1, "acquired": 40,
             "mrr_start": 5000, "mrr_end": 50 * 129, "mrr_churn": 500, "mrr_contraction": 200, "mrr_expansion": 150,
             "mrr_reactivation": 50, "mrr_paused": 90, "mrr_resumed": 30, "revenue_active": 1290, "revenue_known": 2000,
             "buyers": 40}
    return pd.DataFrame({"month": index} | plain | columns)


def spread(table, given=BOTH, back=1, **settings):
    settings = {"in_month_churn": "apart", "lifetime": 10.0, "margin": 0.8} | settings
    return definition_spread(table, pd.DataFrame({"customers": [back]}), given=given, **settings)


def values(table, measure, digits):
    part = table[table["measure"] == measure]
    return dict(zip(part["definition"], part["value"].round(digits), strict=True))


def test_the_worked_example_has_every_products_number():
    # 12 left: 10 gone at the end, one joined and left, one left and came back; 129 = 100 + 40 + 1 − 12 at the end
    found = spread(months())
    assert values(found, "customer churn", 4) == {
        "this report": 0.1, "ChartMogul": 0.1, "ChartMogul for shops": 0.1048, "Stripe": 0.0857, "ProfitWell": 0.11,
        "Maxio": 0.12, "Baremetrics": 0.12}
    assert values(found, "LTV", 0) == {
        "this report": 500, "ChartMogul": 500, "ChartMogul for shops": 477, "Stripe": 583, "ProfitWell": 455, "Maxio": 417,
        "Baremetrics": 417}
    assert values(found, "LTV with margin", 0) == {
        "this report": 400, "ChartMogul": 400, "ChartMogul for shops": 382, "Stripe": 467, "ProfitWell": 364, "Maxio": 333,
        "Baremetrics": 333}


def test_products_divide_differently():
    # docs/methods.md: 1,000 at the start, 300 new, 50 of the old and 20 of the new lost
    table = months(active_start=1000, active_end=1230, acquired=300, churned=50, in_month_churn=20)
    found = values(spread(table, back=0), "customer churn", 4)
    names = ["this report", "ProfitWell", "Maxio", "Stripe", "ChartMogul for shops"]
    assert [found[name] for name in names] == [0.05, 0.05, 0.07, 0.0538, 0.0628]
    assert values(spread(table, back=0, in_month_churn="in_rate"), "customer churn", 4)["this report"] == 0.07


def test_revenue_churn_differs_by_what_makes_up_for_it():
    # of 5,000: 500 churned, 200 contracted; 150 expanded, 50 came back; 90 paused, 30 resumed
    found = spread(months())
    assert values(found, "revenue churn", 4) == pytest.approx({
        "this report": 700 / 5000, "Maxio": 700 / 5000, "Maxio, net": 500 / 5000, "ChartMogul, net": 500 / 5000,
        "Baremetrics, net": 350 / 5000, "ProfitWell, net": 560 / 5000, "Stripe": np.nan}, nan_ok=True)
    stripe = found[(found["measure"] == "revenue churn") & (found["definition"] == "Stripe")].iloc[0]
    assert stripe["remark"].startswith("needs a formula")


def test_chartmoguls_lifetime_is_that_of_the_six_months_before():
    # the month itself and the seventh before it would shout: mean of 5 and 10 %, three times each: 7.5 %
    table = months(8, churned=[99, 5, 5, 5, 10, 10, 10, 99])
    assert values(spread(table), "LTV", 2)["ChartMogul"] == round(50 / 0.075, 2)
    young = spread(months(6)).set_index(["measure", "definition"]).loc[("LTV", "ChartMogul")]
    assert np.isnan(young["value"]) and young["remark"] == "needs six months before, 5 known"
    edge = spread(months(8).assign(moves=[False] * 2 + [True] * 6))
    assert np.isnan(values(edge, "LTV", 2)["ChartMogul"])


def test_arpu_by_each_count_of_customers():
    # 2,000 of known customers, 1,290 of those active at the end; 100 at the start, 129 at the end, 40 bought
    table = spread(months())
    found = table[table["measure"] == "ARPU"]
    assert found["value"].to_list() == pytest.approx([10, 50, 20, 2000 / 129, 2000 / 114.5, 50])
    assert found["definition"].to_list() == ["this report", "this report", "start", "end", "mean of both", "buyers"]


def test_mrr_stands_in_where_no_sales_are_known():
    found = spread(months(), {"subscriptions"}).set_index(["measure", "definition"]).loc["ARPU"]
    assert found["value"].to_list() == pytest.approx([50, 64.5, 50, 6450 / 114.5, np.nan], nan_ok=True)
    assert found.loc["buyers", "remark"] == "needs transactions" and found["formula"].str.startswith("MRR").all()


def test_a_book_of_sales_has_the_arpus_alone():
    found = spread(months(), {"transactions"})
    assert set(found["measure"]) == {"ARPU"} and len(found) == 5
    assert found["value"].iloc[0] == 10


def test_value_is_numerator_over_denominator_and_every_one_has_its_unit():
    found = spread(months()).dropna(subset="value")
    assert (found["numerator"] / found["denominator"]).to_list() == pytest.approx(found["value"].to_list())
    assert [*found[["unit", "numerator_unit", "denominator_unit"]].itertuples(index=False, name=None)] == [
        UNITS[name] for name in found["measure"]]
    assert (found["formula"] != "").all()


@pytest.mark.parametrize(("changes", "measure"), [
    ({"moves": False}, "customer churn"), ({"moves": False}, "revenue churn"), ({"churned": 0, "in_month_churn": 0}, "LTV"),
    ({"active_start": 0, "active_end": 0, "acquired": 0}, "customer churn")])
def test_what_cannot_be_known_is_empty_and_says_why(changes, measure):
    found = spread(months(**changes), back=0, lifetime=np.nan)
    part = found[found["measure"] == measure]
    assert part["value"].isna().all() and part["remark"].str.contains("nothing to divide by|^needs ").all()


def test_without_a_margin_there_is_no_ltv_with_it():
    assert "LTV with margin" not in set(spread(months(), margin=np.nan)["measure"])


class TestReturned:
    def returned(self, make, *rows):
        book = make("2024-05", subscriptions=[sub("old", "2024-01-05"), *rows])
        return book.frame("summaries/returned")["customers"].to_list() == [1]

    def test_who_left_and_came_back_between_the_month_ends_is_counted_once(self, make):
        back = [sub("ann", "2024-01-05", "2024-05-03"), sub("ann", "2024-05-05", "2024-05-08"), sub("ann", "2024-05-20")]
        assert self.returned(make, *back)

    @pytest.mark.parametrize(("first", "second"), [
        (("2024-01-05", "2024-05-03"), ("2024-05-03", None)),          # another plan at once: no end
        (("2024-01-05", "2024-04-30"), ("2024-05-05", None)),          # was away at the start
        (("2024-01-05", "2024-05-03"), ("2024-05-05", "2024-05-30")),  # is away at the end
        (("2024-05-02", "2024-05-03"), ("2024-05-05", None)),          # joined in the month
    ])
    def test_others_are_not(self, make, first, second):
        assert not self.returned(make, sub("ann", *first), sub("ann", *second))

    def test_one_of_two_subscriptions_is_no_end(self, make):
        assert not self.returned(make, sub("ann", "2024-01-05"), sub("ann", "2024-01-05", "2024-05-03"))


def test_our_own_ltvs_say_which_of_ours_they_are():
    found = spread(months())
    ours = found[found["definition"] == "this report"].set_index("measure")["remark"]
    assert ours["LTV"] == "ltv_arpu_lifetime, not the headline LTV" and ours["LTV with margin"].startswith("ltv_margin, not")
