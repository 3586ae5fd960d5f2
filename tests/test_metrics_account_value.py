"""What each account is worth: so far and to come, by hand and against simulated futures; and how much hangs on few."""

from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from test_marts import sale, sub

from helpers import findings
from helpers.engine import Engine
from helpers.metrics import account_value
from helpers.metrics.ltv import Margin
from helpers.models import bgnbd, gamma_gamma, sbg
from helpers.models.horizon import months_ahead
from helpers.models.survival import kaplan_meier
from helpers.settings import Policy

NO_CUSTOMER_LEFT = "not_estimable: the book shows no departures before its last month"


def terms(margin=0.5, known=True, method="by hand", support=0.0):
    return pd.DataFrame([{"margin": margin, "support": support, "basis": "gross_margin", "method": method, "known": known}])


def by_age(*rows):
    return pd.DataFrame(rows, columns=["dimension", "member", "age", "worth"]).assign(term=1, low=0.5, high=1.5)


def valued(book, months=account_value.NO_MONTHS, purchases=account_value.NO_PURCHASES, **given) -> pd.DataFrame:
    """The mart of accounts by customer."""
    book.derive("account_value", account_terms=terms(**given), months_ahead=months, purchases_ahead=purchases)
    return book.engine.table("mart_account_value").df().set_index("customer_id")


ALL_AGES = by_age(*(("all", "all", age, 100.0 + age) for age in range(30)))
BASIC = by_age(*(("plan", "basic", age, 1.0 + age) for age in range(30)))


class TestSubscriptions:
    def test_mrr_times_what_is_to_come_for_plan_and_age(self, make):
        book = make("2024-06", subscriptions=[
            sub("ann", "2024-03-05"),                                    # 3 months old at 1 July
            sub("bob", "2024-02-01", amount=20),                         # 5, the last of them to the day
            sub("cat", "2024-03-05", plan_id="rare"),                    # no curve of its own
            sub("dan", "2024-02-05", "2024-05-20")])
        found = valued(book, pd.concat([ALL_AGES, BASIC]))
        # half of the MRR of 4, 5, 4 and 3 month ends; ann 10 · (1 + 3), bob 20 · (1 + 5), cat 10 · 103
        assert found["historic"].to_dict() == {"ann": 20, "bob": 50, "cat": 20, "dan": 15}
        assert found["predicted"].to_dict() == {"ann": 40, "bob": 120, "cat": 1030, "dan": 0}
        assert found["total"].to_dict() == {"ann": 60, "bob": 170, "cat": 1050, "dan": 15}
        assert found["predicted_low"].to_dict() == {"ann": 20, "bob": 60, "cat": 515, "dan": 0}
        assert found["predicted_high"].to_dict() == {"ann": 60, "bob": 180, "cat": 1545, "dan": 0}
        assert found["method"].to_list() == ["by hand"] * 3 + ["not paying at the month end"]
        assert set(found["basis"]) == {"gross_margin"}

    def test_the_months_from_bill_to_bill_decide(self, make):
        book = make("2024-06", subscriptions=[
            sub("ann", "2024-03-05", interval="year", amount=120), sub("bob", "2024-03-05", interval="week"),
            sub("cat", "2024-03-05", interval="month", interval_count=6, plan_id="rare", amount=60)])
        year = BASIC.assign(term=12, worth=7.0)
        found = valued(book, pd.concat([ALL_AGES, BASIC, year, ALL_AGES.assign(term=6, worth=9.0), ALL_AGES.assign(term=0)]))
        # 120 a year and 60 for six months are 10 a month; a weekly bill is of the term 1
        assert found["predicted"].drop("bob").to_dict() == {"ann": 70, "cat": 90}
        assert found["predicted"]["bob"] == pytest.approx(10 * 52 / 12 * (1 + 3), abs=0.001)

    def test_below_a_margin_of_nothing_the_bounds_change_places(self, make):
        loss = ALL_AGES.assign(worth=-ALL_AGES["worth"])
        found = valued(make("2024-06", subscriptions=[sub("ann", "2024-03-05")]), loss)
        assert found.loc["ann", ["predicted_low", "predicted", "predicted_high"]].to_list() == [-1545, -1030, -515]

    def test_who_came_back_is_as_old_as_the_latest_spell(self, make):
        book = make("2024-06", subscriptions=[sub("eve", "2023-01-10", "2023-06-10"), sub("eve", "2024-04-10", plan_id="pro")])
        found = valued(book, pd.concat([ALL_AGES, BASIC]))
        assert found.loc["eve", "predicted"] == 10 * (1 + 2)             # and counts with the plan at the start

    def test_a_pause_and_a_trial_pay_nothing(self, make):
        book = make("2024-06", subscriptions=[
            sub("ann", "2024-03-05", paused_at="2024-04-10"), sub("bob", "2024-06-25", trial_ended_at="2024-07-09")])
        found = valued(book, ALL_AGES)
        assert found["predicted"].to_list() == [0] * len(found) and "ann" in found.index

    def test_all_that_was_bought_is_in_what_was_brought(self, make):
        lines = [sale("ann", "2024-05-01", 30, item_type="subscription"), sale("ann", "2024-06-01", 7, item_type="service"),
                 sale(None, "2024-06-01", 99, item_type="service")]
        found = valued(make("2024-06", subscriptions=[sub("ann", "2024-05-01")], transactions=lines), ALL_AGES)
        assert found.loc["ann", ["historic", "predicted"]].to_list() == [18.5, 10 * 102]


class TestSales:
    LINES = [
        sale("ann", "2024-06-01", 10), sale("ann", "2024-06-01 18:00", 5),                      # one day: x = 0
        sale("bob", "2024-06-01", 10), sale("bob", "2024-06-11", 30), sale("bob", "2024-06-21", 50),
        sale("bob", "2024-06-22", -20),
        sale("cat", "2024-06-01", 8), sale("cat", "2024-06-11", -8),                            # a refund is no purchase
        sale("dan", "2024-06-05", -40),                                                         # has never bought
        sale(None, "2024-06-05", 999)]
    AHEAD = pd.DataFrame([
        (0, 0, 29, 3.0, 0.0), (2, 20, 29, 4.0, 0.25), (1, 20, 29, 999, 9), (2, 19, 29, 999, 9), (2, 20, 28, 999, 9)],
        columns=["x", "last_days", "observed_days", "worth", "worth_of_spend"]).assign(low=0.0, high=4.0)

    def test_purchases_to_come_by_what_was_bought_and_spent(self, make):
        found = valued(make("2024-06", transactions=self.LINES), purchases=self.AHEAD)
        assert found["historic"].to_dict() == {"ann": 7.5, "bob": 35, "cat": 0, "dan": -20}
        assert found["predicted"].to_dict() == {"ann": 3, "bob": 4 + 0.25 * 80, "cat": 3, "dan": 0}  # refunds lower no spend
        assert found["predicted_high"].to_dict() == {"ann": 12, "bob": 4 * 24, "cat": 12, "dan": 0}
        assert found["predicted_low"].to_list() == [0] * 4
        assert found["total"].to_dict() == {"ann": 10.5, "bob": 59, "cat": 3, "dan": -20}
        assert found["method"].to_list() == ["by hand"] * 3 + ["no purchase that the model takes"]

    def test_without_a_model_there_is_a_reason_and_what_was_brought(self, make):
        book = make("2024-06", transactions=self.LINES)
        found = valued(book, known=False, method="29 customers have bought again; 30 are needed")
        assert found[["predicted", "predicted_low", "predicted_high"]].isna().all(axis=None)
        assert found["total"].isna().all() and found["historic"].sum() == 22.5
        assert set(found["method"]) == {"29 customers have bought again; 30 are needed"}
        table = book.frame("summaries/account_value")
        assert table["customer_id"].to_list() == ["bob", "ann", "cat", "dan"]                   # by what they brought
        assert table["share"].to_list() == pytest.approx([35 / 22.5, 7.5 / 22.5, 0, -20 / 22.5])

    def test_a_cell_that_runs_again_takes_the_new_estimates(self, make):
        book = make("2024-06", transactions=self.LINES)
        assert valued(book, purchases=self.AHEAD).loc["ann", "predicted"] == 3
        assert valued(book, purchases=self.AHEAD.assign(worth=5.0)).loc["ann", "predicted"] == 5


class TestTop:
    @pytest.fixture
    def book(self, make):
        """23 accounts: A20 … A01 bring 20 … 1, Z, Y and X 0.5 each."""
        lines = [sale(f"A{place:02}", "2024-06-01", place) for place in range(1, 21)]
        return make("2024-06", transactions=lines + [sale(name, "2024-06-01", 0.5) for name in "ZYX"])

    def test_twenty_by_value_then_by_id_and_the_others_in_one_row(self, book):
        valued(book, purchases=TestSales.AHEAD.head(1).assign(worth=0.0), margin=1.0)
        table = book.frame("summaries/account_value")
        assert table["customer_id"].to_list() == [f"A{place:02}" for place in range(20, 0, -1)] + ["(all others)"]
        assert table["customers"].to_list() == [1] * 20 + [3] and table["historic"].iloc[-1] == 1.5
        assert table["share"].iloc[[0, -1]].to_list() == pytest.approx([20 / 211.5, 1.5 / 211.5])
        assert table["share"].sum() == pytest.approx(1)
        assert table["predicted_high"].notna().to_list() == [True] * 20 + [False]               # bounds do not add up

    def test_equal_accounts_stand_by_id(self, book):
        valued(book, margin=0.0)
        table = book.frame("summaries/account_value")
        assert table["customer_id"].to_list()[:20] == [f"A{place:02}" for place in range(1, 21)]
        assert table["share"].isna().all()                                                      # of nothing

    def test_they_add_up_to_revenue_and_customers_counted_elsewhere(self, book):
        frames = {"account_terms": terms(), "months_ahead": account_value.NO_MONTHS,
                  "purchases_ahead": TestSales.AHEAD.head(1).assign(worth_of_spend=7.0)}
        book.derive("account_value", **frames)
        accounts, months, ahead = (book.frame(f"summaries/{name}") for name in ("account_value", "months", "accounts_ahead"))

        def check(accounts, **other):
            return account_value.account_checks(accounts, frames | other, months, ahead, given=book.given)

        found = check(accounts)                                          # 23 accounts with a single purchase, worth 3 each
        assert found[["expected", "actual"]].values.tolist() == [[105.75, 105.75], [69, 69]] and found["passed"].all()
        assert check(accounts.tail(20))["passed"].to_list() == [False, False]
        tenfold = accounts.assign(predicted=accounts["predicted"] * 10)
        assert check(tenfold)[["expected", "passed"]].values.tolist() == [[105.75, True], [69, False]]
        unknown = check(accounts, purchases_ahead=account_value.NO_PURCHASES)
        assert np.isnan(unknown["expected"][1]) and not unknown["passed"][1]  # nobody said what they are worth
        assert len(check(accounts, account_terms=terms(known=False))) == 1

    def test_what_was_spent_on_repeat_days_is_in_what_is_expected(self, make):
        book = make("2024-06", transactions=TestSales.LINES)
        frames = {"account_terms": terms(), "months_ahead": account_value.NO_MONTHS, "purchases_ahead": TestSales.AHEAD}
        book.derive("account_value", **frames)
        accounts, months, ahead = (book.frame(f"summaries/{name}") for name in ("account_value", "months", "accounts_ahead"))
        found = account_value.account_checks(accounts, frames, months, ahead, given=book.given)
        assert found["expected"][1] == 3 + 3 + 4 + 0.25 * 80 and found["passed"].all()

    def test_without_transactions_they_add_up_to_the_mrr_of_all_months(self, make):
        book = make("2024-06", subscriptions=[
            sub("ann", "2024-03-05"), sub("bob", "2024-02-01", "2024-05-01", amount=20),
            sub("cat", "2024-05-01", plan_id="rare")])
        frames = {"account_terms": terms(), "months_ahead": pd.concat([ALL_AGES, BASIC]),
                  "purchases_ahead": account_value.NO_PURCHASES}
        book.derive("account_value", **frames)
        accounts, months, ahead = (book.frame(f"summaries/{name}") for name in ("account_value", "months", "accounts_ahead"))
        found = account_value.account_checks(accounts, frames, months, ahead, given=book.given)
        # ann is 3 months old and basic: 10 · (1 + 3); cat 2, of a plan that goes with all: 10 · 102
        assert found["expected"].to_list() == [0.5 * (40 + 60 + 20), 40 + 1020] and found["passed"].all()
        assert not account_value.account_checks(
            accounts.assign(predicted=0), frames, months, ahead, given=book.given)["passed"][1]


class TestService:
    """What it costs to serve an account, and who brings less than that."""

    def book(self, make, **more):
        """A year to 2024-06; ann paid 100, bob 20, eve 30, which she got back and more. bob asked 3 times, ann once."""
        tickets = [("t1", "bob", "2023-07-01"), ("t2", "bob", "2024-06-30"), ("t3", "bob", "2024-01-05"),
                   ("t4", "ann", "2024-01-05"), ("t5", "ann", "2023-06-30")]                   # the last one a day too early
        lines = [sale("ann", "2024-01-01", 100), sale("ann", "2023-06-30", 1000), sale("bob", "2024-02-01", 20),
                 sale("eve", "2024-02-01", 30), sale("eve", "2024-03-01", -34)]
        answers = [("f1", "ann", 3, "2024-01-05"), ("f2", "ann", 9, "2024-02-05"), ("f3", "bob", 2, "2024-02-05")]
        return make("2024-06", transactions=lines, support_tickets=[
            {"ticket_id": name, "customer_id": who, "opened_at": at, "solved_at": at if name == "t1" else None}
            for name, who, at in tickets], feedback=[
            {"feedback_id": name, "customer_id": who, "kind": "nps", "score": score, "answered_at": at}
            for name, who, score, at in answers], **more)

    COSTS = [{"month": month, "category": category, "amount": amount} for month, category, amount in (
        ("2023-07", "support", 30), ("2024-06", "support", 10), ("2023-06", "support", 999), ("2024-06", "hosting", 999))]

    def test_support_costs_of_a_year_by_its_tickets_and_given_back_in_the_margin(self, make):
        book = self.book(make, costs=self.COSTS)
        found = valued(book, known=False, support=0.25)
        assert found["tickets_12m"].to_dict() == {"ann": 1, "bob": 3, "eve": 0}
        assert found["cost_to_serve_12m"].to_dict() == {"ann": 10, "bob": 30, "eve": 0}        # 40 of 4 tickets
        # (.5 + .25) of 100, 20 and −4, less that
        assert found["contribution_12m"].to_dict() == {"ann": 65, "bob": -15, "eve": -3}
        lost = book.frame("summaries/negative_accounts")
        assert lost[["customer_id", "customers", "contribution_12m"]].values.tolist() == [
            ["bob", 1, -15], ["eve", 1, -3], ["(all below 0)", 2, -18]]
        table = book.frame("summaries/account_value").set_index("customer_id")
        asked = table[["tickets_12m", "open_tickets", "cost_to_serve_12m"]]
        assert asked.values.tolist() == [[1, 2, 10], [3, 2, 30], [0, 0, 0]]
        assert table["last_nps"].to_list()[:2] == [9, 2]

    def test_without_costs_or_tickets_what_it_costs_to_serve_is_unknown(self, make):
        found = valued(self.book(make), known=False, support=0.25)
        assert found["cost_to_serve_12m"].isna().all() and found["tickets_12m"].to_list() == [1, 3, 0]
        assert found["contribution_12m"].to_dict() == {"ann": 50, "bob": 10, "eve": -2}         # the margin alone
        book = make("2024-06", transactions=[sale("ann", "2024-01-01", 100)], costs=self.COSTS)
        found = valued(book, known=False, support=0.25)
        assert found[["tickets_12m", "cost_to_serve_12m"]].isna().all(axis=None)

    def test_the_five_worst_and_all_in_one_row(self, make):
        book = make("2024-06", transactions=[sale(f"A{loss}", "2024-06-01", -loss) for loss in range(1, 8)])
        valued(book, known=False, margin=1.0)
        lost = book.frame("summaries/negative_accounts")
        assert lost["customer_id"].to_list() == ["A7", "A6", "A5", "A4", "A3", "(all below 0)"]
        assert lost[["customers", "contribution_12m"]].iloc[-1].to_list() == [7, -28]

    def test_nobody_lost(self, make):
        book = make("2024-06", transactions=[sale("ann", "2024-06-01", 0)])
        valued(book, known=False)
        assert book.frame("summaries/negative_accounts").empty


EVEN = sbg.Sbg(1.0, 1.0)  # hazard 1/(t + 1)


class TestMonthsAhead:
    def test_seen_hazards_first_then_the_fitted_ones(self):
        # seen: half leave after a month, nobody at 2 and 3; then 1/5 and 1/6
        table = kaplan_meier(pd.DataFrame({"month": [1, 3], "events": [20, 0], "censored": [0, 20]}))
        found = months_ahead(table, EVEN, 3, 2, 0.25)
        assert found == pytest.approx([
            0.5 / 1.25 + 0.5 / 1.5625, 1 / 1.25 + 1 / 1.5625, 1 / 1.25 + 0.8 / 1.5625, 0.8 / 1.25 + 0.8 * (5 / 6) / 1.5625])

    def test_seen_is_where_ten_are_at_risk(self):
        def one(left):
            table = kaplan_meier(pd.DataFrame({"month": [1, 2], "events": 0, "censored": [5, left]}))
            return months_ahead(table, EVEN, 0, 2, 0.0)
        assert one(10) == pytest.approx([2]) and one(9) == pytest.approx([1 + 2 / 3])

    def test_an_age_that_nobody_survived_has_a_future_by_the_hazards_after_it(self):
        table = kaplan_meier(pd.DataFrame({"month": [1], "events": [20], "censored": [0]}))
        assert months_ahead(table, EVEN, 1, 1, 0.0) == pytest.approx([0, 2 / 3])

    def test_the_ages_seen_may_reach_beyond_the_ages_asked_for(self):
        table = kaplan_meier(pd.DataFrame({"month": [1, 9], "events": [20, 0], "censored": [0, 20]}))
        assert months_ahead(table, EVEN, 0, 2, 0.0) == pytest.approx([1])

    def test_months_to_come_hold_what_the_living_go_on_to_pay(self):
        """The living of a book of unlike customers, and what each pays in the 24 months after it."""
        rng = np.random.default_rng(5)
        age, churn = np.repeat(np.arange(37), 600), rng.beta(1.2, 14, 37 * 600)
        ended, mrr = rng.geometric(churn), rng.lognormal(3, 1, len(churn))
        gone = ended <= age
        ends = pd.DataFrame({"month": np.where(gone, ended, age), "events": gone.astype(int), "censored": 1 - gone})
        ends = ends[age > 0].groupby("month", as_index=False).sum()
        worth = months_ahead(kaplan_meier(ends), sbg.fit(ends), 36, 24, 0.01)
        discounted = np.append(0, np.cumsum(1.01 ** -np.arange(1.0, 25)))
        paid = mrr * discounted[np.clip(ended - age - 1, 0, 24)]
        living = ~gone
        assert (mrr * worth[age])[living].sum() == pytest.approx(paid[living].sum(), rel=0.02)
        assert (mrr * worth[0])[living].sum() < 0.95 * paid[living].sum()  # as if all were new: the loyal are worth more


BUYING, SPENDING = bgnbd.BgNbd(0.8, 6.0, 0.8, 2.5), gamma_gamma.GammaGamma(6.0, 4.0, 15.0)
FITS = {("bg_nbd", "all", "all"): pd.Series({"r": 0.8, "alpha": 6.0, "a": 0.8, "b": 2.5}),
        ("gamma_gamma", "all", "all"): pd.Series({"p": 6.0, "q": 4.0, "v": 15.0})}
WEEKS = account_value.WEEKS_A_MONTH


class TestPurchaseFactors:
    def test_expected_purchases_each_month_discounted_from_its_middle_times_the_mean_spend_of_the_customer(self):
        # two customers alike in x and T, one who came last long ago, one who has not come back
        counts = pd.DataFrame({"x": [2, 2, 0], "last_days": [70, 14, 0], "observed_days": [140, 140, 35], "customers": 1})
        found = account_value.purchase_factors(counts, FITS, margin=0.5, horizon=2, rate=0.21, confidence=0.95, seed=1)
        for row in found.itertuples():
            first, both = (BUYING.expected(t * WEEKS, row.x, row.last_days / 7, row.observed_days / 7) for t in (1, 2))
            number = first / 1.1 + (both - first) / 1.331                       # 1.21^.5 and 1.21^1.5
            for mean in (0, 30):
                value = 0.5 * number * SPENDING.expected(row.x, mean)
                assert row.worth + row.worth_of_spend * row.x * mean == pytest.approx(value if row.x else 0.5 * number * 30)
        assert found["worth"][0] > found["worth"][1]

    def test_what_is_predicted_is_what_is_bought_in_simulated_futures(self):
        """40,000 customers who buy, stop and spend as the models say; the next 12 months, discounted as they come."""
        rng, n = np.random.default_rng(6), 40_000
        watched = rng.integers(30, 400, n) / 7
        rate, drop, scale = rng.gamma(0.8, 1 / 6, n), rng.beta(0.8, 2.5, n), rng.gamma(4, 1 / 15, n)
        until, moment, alive = watched + 12 * WEEKS, np.zeros(n), np.ones(n, dtype=bool)
        x, last, total, later = (np.zeros(n) for _ in range(4))
        while alive.any():
            moment = moment + rng.exponential(1 / rate)
            alive &= moment < until
            spend, known = rng.gamma(6, 1 / scale), alive & (moment <= watched)
            x, last, total = x + known, np.where(known, moment, last), total + known * spend
            discount = 1.01 ** -(np.floor(np.maximum(moment - watched, 0) / WEEKS) + 0.5)
            later += (alive & ~known) * spend * discount
            alive &= rng.random(n) >= drop
        counts = pd.DataFrame({"x": x, "last_days": last * 7, "observed_days": watched * 7, "customers": 1})
        factors = account_value.purchase_factors(counts, FITS, margin=1.0, horizon=12, rate=0.01, confidence=0.9, seed=1)
        ahead = factors["worth"] + factors["worth_of_spend"] * total
        for some in (x >= 0, x == 0, x >= 3, total / np.maximum(x, 1) > 60):
            gap = (later - ahead)[some]
            assert abs(gap.mean()) < 3 * gap.std() / np.sqrt(len(gap))
        assert ahead.sum() == pytest.approx(later.sum(), rel=0.03)
        low, high = factors["low"] * ahead, factors["high"] * ahead
        for some in (x >= 0, x == 0, x >= 3, total / np.maximum(x, 1) > 60):
            above, below = (later > high)[some].mean(), (later < low)[some].mean()
            assert above == pytest.approx(0.05, abs=0.012) and below < 0.06, (above, below)
        assert (low[x >= 3] > 0).any() and (low == 0).any()


class TestEstimates:
    """The frames that the engine joins, from what the page has estimated."""

    COSTS = pd.DataFrame({"month": [1, 2], "cogs": [0.0, 9.0], "support": [5.0, 15.0], "hosting": 0.0, "payment_fees": 0.0,
                          "retention": 0.0, "revenue": [50.0, 150.0]})

    def tables(self):
        """Of 20 customers 10 leave after a month, in all and of the plan pro; few has 29 paying customers, pro 30."""
        keys, names = (("all", "all"), ("plan", "pro")), ["dimension", "member", "month", "events", "censored", "entered"]
        rows = [row for key in keys for row in ((*key, 0, 0, 0, 20), (*key, 1, 10, 10, 0))]
        paying = [("all", "all", 40), ("plan", "pro", 30), ("plan", "few", 29)]
        worth = pd.DataFrame(paying, columns=["dimension", "member", "customers"])
        counts = pd.DataFrame({"x": [2], "last_days": [70], "observed_days": [140], "customers": [3]})
        return {"survival": pd.DataFrame(rows, columns=names).assign(term=1), "customer_value": worth, "purchases": counts,
                "months": pd.DataFrame(index=range(4)), "costs": self.COSTS}

    def result(self, *models, value=9.0, method="", kept=1.0):
        rows = [(*key, name, value) for *key, parameters in models for name, value in parameters.items()]
        return SimpleNamespace(
            kept_of_sales=kept, margin=Margin(0.5, "gross_margin", "given"),
            metrics=pd.DataFrame({"metric": ["arpa", "ltv"], "value": [1.0, value], "method": ["", method]}),
            models=pd.DataFrame(rows, columns=["model", "dimension", "member", "parameter", "value"]))

    def frames(self, result, subscriptions):
        policy = Policy(horizon_months=1, annual_discount_rate=0.0)
        return account_value.estimates(self.tables(), result, policy=policy, subscriptions=subscriptions, seed=1)

    SBG = {"alpha": 1.0, "beta": 1.0}

    def test_plans_with_an_sbg_and_customers_enough_have_their_own_curve(self):
        fits = [("sbg", *key, self.SBG) for key in (("all", "all"), ("plan", "pro"), ("plan", "few"), ("segment", "pro"))]
        found = self.frames(self.result(*fits), True)
        table = found["months_ahead"]
        assert table.groupby(["dimension", "member", "term"])["age"].agg(list).to_dict() == dict.fromkeys(
            [("all", "all", 0), ("all", "all", 1), ("plan", "pro", 1)], [0, 1, 2, 3, 4])
        # half of: 10 of 20 stay, then 1 − 1/3, 1 − 1/4 …
        assert table.query("member == 'pro'")["worth"].to_list() == pytest.approx([1 / 4, 1 / 3, 3 / 8, 2 / 5, 5 / 12])
        [row] = found["account_terms"].to_dict("records")
        method = "MRR × survival of the plan at the start"
        assert row == {"margin": 0.5, "support": 0.1, "basis": "gross_margin", "method": method, "known": True}
        assert found["purchases_ahead"].empty

    def test_who_is_billed_by_the_year_stays_until_the_next_renewal(self):
        # H = 1 month: by the month half leave after the first; by the year nobody does but at 12, of whom .25 do
        year = {"share_1": 0.5, "alpha_1": 1.0, "beta_1": 1.0, "share_12": 0.5, "chance_12": 0.25, "within_12": 0.0}
        tables, names = self.tables(), ["dimension", "member", "month", "events", "censored", "entered"]
        rows = pd.DataFrame([("all", "all", 0, 0, 0, 9), ("all", "all", 3, 0, 9, 0)], columns=names).assign(term=12)
        tables |= {"survival": pd.concat([tables["survival"], rows]), "months": pd.DataFrame(index=range(14))}
        known = {"policy": Policy(horizon_months=1, annual_discount_rate=0.0), "subscriptions": True, "seed": 1}
        found = account_value.estimates(tables, self.result(("sbg", "all", "all", year)), **known)
        worth = found["months_ahead"].query("dimension == 'all'").set_index(["term", "age"])["worth"]
        assert worth[12].to_list() == pytest.approx([0.5] * 11 + [0.5 * 0.75] + [0.5] * 3, rel=1e-6)
        assert worth[1][0] == pytest.approx(0.5 * 0.5) and worth[0][0] == pytest.approx(0.5 * 19 / 29)  # 0: all terms together
    def test_a_plan_without_an_sbg_goes_with_all(self):
        found = self.frames(self.result(("sbg", "all", "all", self.SBG)), True)
        assert set(found["months_ahead"]["member"]) == {"all"}

    def test_sales_take_the_purchase_model(self):
        found = self.frames(self.result(*((*key, values.to_dict()) for key, values in FITS.items())), False)
        assert len(found["purchases_ahead"]) == 1 and found["months_ahead"].empty
        assert found["account_terms"].loc[0, ["method", "known"]].to_list() == ["BG/NBD × Gamma-Gamma", True]
        fits = [(*key, values.to_dict()) for key, values in FITS.items()]
        less = self.frames(self.result(*fits, kept=0.8), False)["purchases_ahead"]  # a fifth of all sales is given back
        for name in ("worth", "worth_of_spend"):
            assert less[name].to_list() == pytest.approx((0.8 * found["purchases_ahead"][name]).to_list())

    @pytest.mark.parametrize(("subscriptions", "value", "why", "said"), [
        (True, np.nan, NO_CUSTOMER_LEFT, NO_CUSTOMER_LEFT),
        (False, np.nan, "not_estimable: needs transactions", "not_estimable: needs transactions"),
        (True, 9.0, "seen to month 60", "not_estimable: too few departures to go beyond the ages seen")])
    def test_where_the_ltv_is_unknown_or_ends_with_the_ages_seen_nothing_is_predicted(self, subscriptions, value, why, said):
        found = self.frames(self.result(value=value, method=why), subscriptions)
        assert found["months_ahead"].empty and found["purchases_ahead"].empty
        assert found["account_terms"].loc[0, ["method", "known"]].to_list() == [said, False]


class TestConcentration:
    def table(self, amounts):
        """The table of a book whose customers brought so much, each in the last month."""
        engine, revenue = Engine(), [Decimal(str(amount)) for amount in amounts]
        months = pd.DataFrame({"revenue": revenue, "mrr_end": 0, "month": 9})
        engine.register("run", pd.DataFrame({"report_month": [9], "has_transactions": True}))
        engine.register("mart_customer_months", months.assign(customer_id=months.index.astype("str")))
        return engine.frame("summaries/concentration").set_index("measure")

    def test_top_shares_and_gini_of_four(self):
        found = self.table([10, 40, 20, 30])
        # the top 20 % of 4 are .8 of the largest: 32 of 100; Gini (2·(10 + 40 + 90 + 160) − 5·100) ÷ (4·100)
        assert found["value"].to_dict() == pytest.approx({
            "largest customer": 0.4, "top 1%": 0.016, "top 5%": 0.08, "top 10%": 0.16, "top 20%": 0.32,
            "Gini coefficient": 0.25})
        assert found["customers"].to_list()[:5] == pytest.approx([1, 0.04, 0.2, 0.4, 0.8]) and set(found["n"]) == {4}

    def test_a_cut_within_equal_customers_takes_its_part_of_them(self):
        # 10 customers: 40, three of 20, six of 10: 160; the top 20 % are the first and one of the three
        found = self.table([20, 10, 10, 20, 40, 10, 10, 20, 10, 10])
        assert found.loc[["top 10%", "top 20%"], "revenue"].to_list() == [40, 60]
        assert self.table([0.0007] * 5).loc["top 1%", "revenue"] == 0.000035             # not rounded
        assert found.loc["Gini coefficient", "value"] == pytest.approx(self.mean_difference([40] + [20] * 3 + [10] * 6))

    def test_who_is_left_with_nothing_or_less_does_not_count(self):
        found = self.table([50, 30, 20, -20, 0])
        assert found["n"].iloc[0] == 3 and found.loc["largest customer", "value"] == 0.5

    def test_twelve_months_after_refunds_and_no_older_one(self, make):
        book = make("2024-06", transactions=[
            sale("ann", "2023-06-30", 999), sale("ann", "2023-07-01", 10), sale("ann", "2024-06-30", -4),
            sale("bob", "2024-01-01", 2), sale(None, "2024-01-01", 999)])
        found = book.frame("summaries/concentration").iloc[0]
        assert (found["n"], found["revenue"], found["value"]) == (2, 6, 0.75)

    def test_mrr_where_no_transactions_are_given(self, make):
        book = make("2024-06", subscriptions=[sub("ann", "2024-03-05"), sub("bob", "2024-06-05", amount=60)])
        found = book.frame("summaries/concentration").iloc[0]
        assert (found["n"], found["revenue"], found["value"]) == (2, 60, 0.6)

    @pytest.mark.parametrize(("amounts", "gini"), [([5], 0), ([7, 7, 7], 0), ([1, 1, 1, 1, 9996], 0.8 * 9995 / 10000)])
    def test_gini_of_one_of_equals_and_of_one_who_has_nearly_all(self, amounts, gini):
        assert self.table(amounts).loc["Gini coefficient", "value"] == pytest.approx(gini)

    def mean_difference(self, amounts):
        """Half the mean difference of any two, themselves included, over the mean."""
        y = np.asarray(amounts, dtype=float)
        return np.abs(y[:, None] - y).mean() / 2 / y.mean()

    def test_shares_and_gini_of_many_unlike_customers(self):
        amounts = np.random.default_rng(3).lognormal(2, 1.2, 237).round(1)               # some equal
        found, ordered = self.table(amounts.tolist())["value"], np.sort(amounts)[::-1]
        assert found["Gini coefficient"] == pytest.approx(self.mean_difference(amounts), rel=1e-9)
        lorenz = np.append(0, np.cumsum(ordered)) / ordered.sum()
        for cut in (1, 5, 10, 20):
            assert found[f"top {cut}%"] == pytest.approx(np.interp(237 * cut / 100, np.arange(238), lorenz))

    def test_nobody_brought_anything(self):
        assert findings.concentrated(self.table([-5, 0]), "revenue") == "No customer brought revenue in the last 12 months"

    def test_the_largest_is_a_risk_above_what_the_params_say(self):
        table = self.table([10, 40, 20, 30]).reset_index()
        assert findings.hangs_on_one(table, "MRR", 0.39) == (
            "The largest customer holds 40.0% of MRR, above the 39.0% from which it is a risk: plan for losing it")
        assert findings.hangs_on_one(table, "MRR", 0.4) == (
            "No customer holds more than 40.0% of MRR; above 40.0% one would be a risk (ltv_cac.largest_share_max)")
        assert "is not known" in findings.hangs_on_one(self.table([0]).reset_index(), "MRR", 0.4)

    def test_how_many_equal_customers_carry_the_value(self):
        # 2 of 1 and 1 of 2: 4² ÷ 6 = 2.67
        worth = pd.DataFrame({"dimension": ["all", "plan"], "customers": [3, 9], "sum_y": [4.0, 9], "sum_yy": [6.0, 9]})
        said = ("By what they pay, the 3 customers behind the value per month weigh as much as 3 equal ones (n_effective)")
        assert findings.weighed(worth, 2) == said
        assert findings.weighed(worth, 3) == f"{said}: so few carry it that the intervals are too short"
        assert "nobody" in findings.weighed(worth.assign(sum_y=0, sum_yy=0), 3)

    def test_the_finding_has_its_numbers(self):
        table = self.table([10, 40, 20, 30]).reset_index()
        assert findings.concentrated(table, "MRR") == (
            "The top 10% of 4 customers brought 16.0% of 12 months' MRR, the largest alone 40.0%; Gini coefficient 0.25")
