"""What customers cost by every cut, what the last tenth of spend brings, when cohorts paid back, and shrunken LTVs."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from helpers.metrics import acquisition
from helpers.metrics.cac import cac_by_month

NOBODY = "(unattributed)"
LAST = 2024 * 12 + 6


def book_of(make, lag=0):
    """Six new customers of June 2024: three of ads, one of friends, one of mail, one of nobody knows; ada is from 2023.

    June: ads 90 (30 of it of campaign x), poster 40 and wins nobody, mail only people; May: ads 500.
    """
    new = [("a1", "ads", "x", "smb", "US"), ("a2", "ads", "x", "big", "US"), ("a3", "ads", "", "big", ""),
           ("f1", "friends", "", "smb", "US"), ("m1", "mail", "", "smb", "DE"), ("n1", "", "", "", "DE")]
    customers = [dict(zip(["customer_id", "channel", "campaign", "segment", "country"], row, strict=True)) for row in new]
    subs = [{"customer_id": who, "plan_id": "pro" if who in ("a1", "f1") else "basic", "unit_amount": 10, "interval": "month",
             "started_at": start} for who, start in [("ada", "2023-12-05"), *((row[0], "2024-06-10") for row in new)]]
    spend = [("2024-06", "ads", "x", 30, "media"), ("2024-06", "ads", "", 60, "media"), ("2024-06", "poster", "", 40, "media"),
             ("2024-06", "mail", "", 99, "people"), ("2024-05", "ads", "x", 500, "media")]
    return make("2024-06", {"cac_lag_months": lag}, customers=customers, subscriptions=subs, marketing_spend=[
        {"period_start": f"{month}-01", "period_end": f"{month}-28", "channel": channel, "campaign": campaign, "amount": amount,
         "kind": kind} for month, channel, campaign, amount, kind in spend])


def cut(book, first=LAST):
    lag = book.params.policy.cac_lag_months
    months = cac_by_month(book.frame("summaries/spend"), book.frame("summaries/months"), lag=lag)
    months = months[months["month"] >= first]
    return acquisition.cac_by(book.frame("summaries/cac_by"), months), months


class TestCuts:
    def test_channels_and_campaigns_have_the_spend_that_names_them(self, make):
        table, _ = cut(book_of(make))
        rows = table[table["dimension"] == "channel"].set_index("member")
        assert rows[["spend", "customers"]].T.to_dict("list") == {
            "ads": [90, 3], "poster": [40, 0], "friends": [0, 1], "mail": [0, 1], NOBODY: [0, 1]}
        assert rows.index[-1] == NOBODY and rows["share_of_spend"].to_list() == pytest.approx([9 / 13, 4 / 13, 0, 0, 0])
        assert rows["cac"].dropna().to_dict() == {"ads": 30}          # no customer, or no media: unknown, not 0
        rows = table[table["dimension"] == "campaign"].set_index("member")
        assert rows[["spend", "customers"]].T.to_dict("list") == {"x": [30, 2], NOBODY: [100, 4]}
        assert rows["cac"].dropna().to_dict() == {"x": 15}            # those without a name need not belong together

    def test_other_cuts_carry_what_the_channels_of_their_customers_cost(self, make):
        table, _ = cut(book_of(make))
        table = table.set_index(["dimension", "member"])[["spend", "customers"]]
        # ads: 90 ÷ 3 = 30 a customer; friends and mail nothing; the poster's 40 won nobody
        found = {name: table.loc[name].T.to_dict("list") for name in ("segment", "plan", "country")}
        assert found == {"segment": {"big": [60, 2], "smb": [30, 3], NOBODY: [40, 1]},
                         "plan": {"basic": [60, 4], "pro": [30, 2], NOBODY: [40, 0]},
                         "country": {"US": [60, 3], "DE": [0, 2], NOBODY: [70, 1]}}

    def test_loaded_shares_people_and_tools_among_all_new_customers(self, make):
        # 99 of people on 6 new customers: 16.50 each, beside what the media cost
        book = book_of(make)
        _, months = cut(book)
        table = acquisition.cac_by(book.frame("summaries/cac_by"), months, "loaded")
        rows = table.set_index(["dimension", "member"])["spend"]
        found = {name: rows[name].to_dict() for name in ("channel", "campaign", "segment")}
        assert found == {
            "channel": {"ads": 139.5, "poster": 40, "friends": 16.5, "mail": 16.5, NOBODY: 16.5},
            "campaign": {"x": 63, NOBODY: 166}, "segment": {"big": 93, "smb": 79.5, NOBODY: 56.5}}
        assert table.set_index("member").loc["ads", ["media", "cac", "cac_basis"]].to_list() == [90, 46.5, "loaded"]
        checks = acquisition.cac_checks(table, months, LAST, "loaded")
        assert checks["passed"].all() and set(checks["expected"]) == {229, 6}
        assert not acquisition.cac_checks(table, months, LAST)["passed"].all()  # the media alone are less

    def test_people_without_a_new_customer_are_unattributed(self):
        rows = pd.DataFrame([(LAST, "channel", "ads", "ads", 90, 0, 0), (LAST, "channel", NOBODY, NOBODY, 0, 99, 0)],
                            columns=["month", "dimension", "member", "channel", "media", "other", "new_customers"])
        table = acquisition.cac_by(rows, pd.DataFrame({"month": [LAST]}), "loaded").set_index("member")
        assert table["spend"].to_dict() == {"ads": 90, NOBODY: 99} and table["cac"].isna().all()

    def test_paid_is_a_basis_of_channels_and_campaigns_alone(self, make):
        book = book_of(make)
        table = acquisition.cac_by(book.frame("summaries/cac_by"), cut(book)[1], "paid")
        bases = table.groupby("dimension")["cac_basis"].unique().map(list).to_dict()
        assert bases == {"campaign": ["paid"], "channel": ["paid"], "country": ["blended"], "plan": ["blended"],
                         "segment": ["blended"]}

    def test_every_cut_adds_up_to_the_company(self, make):
        table, months = cut(book_of(make))
        found = acquisition.cac_checks(table, months, LAST)
        assert len(found) == 10 and found["passed"].all()
        assert set(found["expected"]) == {130, 6}
        off = table.assign(spend=table["spend"] + 0.01 * (table["member"] == "big"))
        assert acquisition.cac_checks(off, months, LAST).query("~passed")["scope"].to_list() == ["segment"]
        assert not acquisition.cac_checks(table[table["member"] != "DE"], months, LAST)["passed"].all()

    def test_six_months_count_of_those_with_a_known_cost_and_spend_meets_later_customers(self, make):
        table, months = cut(book_of(make), first=0)
        assert table.query("dimension == 'channel'")["spend"].sum() == 630 and months["month"].to_list() == [LAST - 1, LAST]
        assert acquisition.cac_checks(table, months, LAST)["passed"].all()
        assert acquisition.cac_checks(table, months, LAST + 6)["expected"].to_list() == [0] * 10
        long = pd.DataFrame({"month": range(LAST - 7, LAST + 2), "media": 10, "acquired": 1})
        assert set(acquisition.cac_checks(table, long, LAST)["expected"]) == {60, 6}

    def test_a_lag_meets_spend_with_the_customers_that_come_later(self, make):
        table, months = cut(book_of(make, lag=1))
        assert table.query("dimension == 'campaign'").set_index("member").loc["x", ["spend", "cac"]].to_list() == [500, 250]
        assert acquisition.cac_checks(table, months, LAST)["passed"].all()

    def test_a_cut_without_any_member_is_left_out_and_without_spend_there_is_no_row(self, make):
        rows = book_of(make).frame("summaries/cac_by")
        months = pd.DataFrame({"month": [LAST]})
        unknown = rows.assign(member=rows["member"].where(rows["dimension"] == "channel", NOBODY))
        assert set(acquisition.cac_by(unknown, months)["dimension"]) == {"channel"}
        none = acquisition.cac_by(rows, months.head(0))
        assert none.empty and acquisition.cac_checks(none, pd.DataFrame(columns=["month", "media", "acquired"]), LAST).empty


def months_of(x, y, channel="ads", first=1):
    index = range(first, first + len(x))
    rows = {"month": index, "channel": channel, "media": x, "loaded": x, "new_customers": y}
    return pd.DataFrame(rows), pd.DataFrame({"month": index})


def last_tenth(x, y, **terms):
    spend, months = months_of(x, y)
    [row] = acquisition.marginal_cac(spend, months, **{"lag": 0, "confidence": 0.95} | terms).to_dict("records")
    return row


class TestLastTenth:
    X = np.array([100.0, 400.0] * 6)

    def test_customers_that_go_with_spend_cost_the_same_at_the_margin(self):
        row = last_tenth(self.X, self.X / 10)
        assert [row[name] for name in ("months", "spend", "customers", "cac")] == [12, 3000, 300, 10]
        assert row["elasticity"] == pytest.approx(1) and row["cac_last_tenth"] == pytest.approx(10)
        assert row["low"] < 10 < row["high"] and row["remark"] == ""

    def test_customers_that_go_with_the_root_of_spend_cost_twice_as_much_at_the_margin(self):
        # 10 and 20 customers: a tenth less spend, 300 in all, loses 1 − √.9 = 5.13 % of 180
        row = last_tenth(self.X, np.sqrt(self.X))
        assert row["elasticity"] == pytest.approx(0.5) and row["cac_last_tenth"] == pytest.approx(300 / (180 * (1 - 0.9**0.5)))

    def test_the_interval_is_that_of_a_poisson_regression_with_students_t(self):
        # information of e: Σ y (ln x − mean)²: 6 months each of 10 and 40, weights 1 : 4; t(10) = 2.2281
        row = last_tenth(self.X, self.X / 10)
        log = np.log(4)
        half = 2.2281 / np.sqrt(60 * (0.8 * log) ** 2 + 240 * (0.2 * log) ** 2)
        sides = [0.1 * 10 / (1 - 0.9 ** (1 + side * half)) for side in (1, -1)]
        assert [row["low"], row["high"]] == pytest.approx(sides, rel=1e-4)

    def test_months_that_scatter_widen_it(self):
        y = np.array([10, 40, 4, 60, 16, 20] * 2)                       # the same sums at 100 and at 400
        row, calm = last_tenth(self.X, y), last_tenth(self.X, self.X / 10)
        assert row["elasticity"] == pytest.approx(calm["elasticity"]) and row["low"] < calm["low"]
        assert np.isnan(row["high"]) or row["high"] > calm["high"]

    def test_more_spend_without_more_customers_has_no_price(self):
        row = last_tenth(self.X, 50 - self.X / 10)
        assert np.isnan([row["cac_last_tenth"], row["high"]]).all() and "no more customers" in row["remark"]
        flat = last_tenth(self.X, np.array([20, 21] * 6))               # the bound below is under 0
        assert flat["cac_last_tenth"] > 0 and np.isnan(flat["high"]) and flat["low"] > 0

    @pytest.mark.parametrize(("x", "y", "why"), [
        ([100, 400] * 3 + [100], [10, 40] * 3 + [10], "needs 8 months"), ([100, 110] * 6, [10, 11] * 6, "less than 10%"),
        ([100, 400] * 6, [0] * 12, "too few"), ([100, 400] * 6, [0, 9] * 6, "too few")])
    def test_it_is_refused_with_the_reason(self, x, y, why):
        row = last_tenth(np.array(x, float), np.array(y))
        assert why in row["remark"] and np.isnan([row["cac_last_tenth"], row["low"], row["high"]]).all()
        assert last_tenth(self.X[:8], self.X[:8] / 10)["remark"] == ""
        assert last_tenth(np.array([100.0, 130] * 6), np.array([10, 13] * 6))["remark"] == ""

    def test_months_without_spend_and_older_than_24_are_left_out_and_a_lag_is_met(self):
        x, y = np.array([9999.0, 0, *[100, 400] * 12]), np.array([1, 0, *[10, 40] * 12])
        assert last_tenth(x, y)["spend"] == 6000
        spend, months = months_of(np.array([*[100.0, 400] * 6, 777]), np.array([777, *[10, 40] * 6]))
        [row] = acquisition.marginal_cac(spend, months, lag=1, confidence=0.95).to_dict("records")
        assert (row["months"], row["spend"], row["cac"]) == (12, 3000, 10) and row["elasticity"] == pytest.approx(1)

    def test_channels_are_apart_and_those_without_media_are_not_judged(self):
        rows = [months_of(self.X, self.X / 10, "a")[0], months_of(self.X, np.sqrt(self.X), "b")[0],
                months_of(self.X * 0, self.X, "c")[0]]
        months = months_of(self.X, self.X)[1]
        table = acquisition.marginal_cac(pd.concat(rows), months, lag=0, confidence=0.95).set_index("channel")
        assert table["elasticity"].to_dict() == pytest.approx({"a": 1, "b": 0.5})
        early = acquisition.marginal_cac(pd.concat(rows), months.head(0), lag=0, confidence=0.95)
        assert early["months"].to_list() == [0, 0] and early["cac"].isna().all()
        assert acquisition.marginal_cac(rows[2], months, lag=0, confidence=0.95).empty

    @pytest.mark.parametrize("curve", [
        lambda x: 3 * x**0.5, lambda x: 0.1 * x, lambda x: 20 + 0.08 * x, lambda x: 200 * x / (x + 1000)],
        ids=["root", "straight", "straight and some who come anyway", "saturating"])
    def test_it_covers_the_true_cost_of_the_last_tenth(self, curve):
        rng, covered, found = np.random.default_rng(5), 0, []
        for _ in range(100):
            x = 1000 * np.exp(rng.normal(0, 0.35, 18))
            shock = rng.gamma(100, 0.01, 18)                            # months differ by 10 %
            truth = 0.1 * x.sum() / (curve(x) - curve(0.9 * x)).sum()
            row = last_tenth(x, rng.poisson(curve(x) * shock))
            covered += row["low"] <= truth and not row["high"] < truth
            found.append(row["cac_last_tenth"] / truth)
        assert covered >= 88 and np.nanmedian(found) == pytest.approx(1, abs=0.06)


Q1 = 2024 * 12 + 1                                                      # cohorts of January, March and April; to June


def margins(margin=0.5, worth="revenue", basis="blended", last=Q1 + 5):
    rows = [(Q1 + start, age, n, 0, revenue / 2, revenue) for start, n, path in
            ((0, 10, (100, 60, 40, 0, 0, 0)), (2, 30, (300, 60, 40, 80)), (3, 20, (80, 40, 20)), (-3, 999, (9999,)))
            for age, revenue in enumerate(path)]
    cohorts = pd.DataFrame(rows, columns=["cohort", "age", "customers", "active", "mrr", "revenue"])
    months = pd.DataFrame({"month": range(Q1, Q1 + 6), "media": [100, 50, 50, 30, 0, 30], "loaded": 100,
                           "acquired": [10, 0, 30, 20, 0, 0], "acquired_paid": [10, 0, 10, 5, 0, 0]})
    return acquisition.cohort_margins(cohorts, months, margin=margin, worth=worth, basis=basis, last=last)


class TestCohorts:
    def test_margin_so_far_per_customer_of_a_quarter_to_the_age_that_all_have_reached(self):
        table = margins()
        # 400, 520, 600, 680 of 40 customers at half margin; spend of all its months, 200, also where nobody came
        first = table[table["cohort"] == "2024 Q1"]
        assert first["margin"].to_list() == pytest.approx([5, 6.5, 7.5, 8.5]) and first["month"].to_list() == [1, 2, 3, 4]
        assert set(first["customers"]) == {40} and set(first["cac"]) == {5}
        second = table[table["cohort"] == "2024 Q2"]
        assert second["margin"].to_list() == pytest.approx([2, 3, 3.5]) and set(second["cac"]) == {3}
        assert set(table["cohort"]) == {"2024 Q1", "2024 Q2"}           # months whose cost is not known take no part

    def test_recurring_worth_and_the_basis_of_the_policy(self):
        table = margins(worth="mrr", basis="paid")
        assert table["margin"].to_list() == pytest.approx([2.5, 3.25, 3.75, 4.25, 1, 1.5, 1.75])
        # the margin is that of all new customers, so on basis paid the spend is, too
        assert set(table["cac"]) == {5, 3} and set(margins(basis="loaded")["cac"]) == {7.5, 15}

    def test_paid_back_in_the_first_month_that_covers_the_cost(self):
        table = acquisition.payback_by_cohort(margins()).set_index("cohort")
        assert table["paid_back_month"].to_list() == [1, 2]
        assert table["margin_3_months"].to_list() == [7.5, 3.5] and table["margin_6_months"].isna().all()
        assert table["months_seen"].to_list() == [4, 3] and set(table["state"]) == {"paid back, immature"}
        dear = acquisition.payback_by_cohort(margins(margin=0.1)).set_index("cohort")
        assert dear["paid_back_month"].isna().all() and dear.loc["2024 Q2", "state"] == "not yet (3 months seen), immature"

    def test_twelve_months_make_a_cohort_mature(self):
        path = pd.DataFrame({"cohort": "a", "customers": 5, "cac": 13.0, "month": range(1, 14), "margin": range(1, 14)})
        whole = acquisition.payback_by_cohort(path).iloc[0]
        assert whole[["margin_3_months", "margin_6_months", "margin_12_months", "paid_back_month"]].to_list() == [3, 6, 12, 13]
        assert whole["state"] == "paid back"
        assert acquisition.payback_by_cohort(path.head(12)).loc[0, "state"] == "not yet (12 months seen)"
        assert acquisition.payback_by_cohort(path.head(11)).loc[0, "state"] == "not yet (11 months seen), immature"
        unknown = acquisition.payback_by_cohort(path.assign(cac=np.nan)).iloc[0]
        assert unknown["state"] == "CAC not known" and np.isnan(unknown["paid_back_month"])

    def test_the_chart_has_the_expected_path_and_the_last_eight_cohorts(self):
        names = [f"2023 Q{n}" for n in range(1, 10)]
        path = pd.DataFrame({"cohort": names, "customers": 1, "cac": 4.0, "month": 3, "margin": 2.0})
        late = path.assign(month=25)
        expected = pd.DataFrame({"month": [1, 30], "margin": [5.0, 6.0], "cac": 10.0})
        found = acquisition.payback_paths(pd.concat([path, late]), expected)
        assert found["cohort"].to_list() == ["expected", *names[:0:-1]] and found["paid_back"].to_list() == [0.5] * 9
        assert found["month"].to_list() == [1] + [3] * 8

    def test_nothing_known_is_no_crash(self):
        none = acquisition.cohort_margins(pd.DataFrame(columns=["cohort", "age", "customers", "revenue"]),
                                          pd.DataFrame(columns=["month"]), margin=1.0, worth="revenue", basis="blended", last=1)
        assert none.empty and acquisition.payback_by_cohort(none).empty
        assert acquisition.payback_paths(none, pd.DataFrame({"month": [], "margin": [], "cac": []})).empty
        blank = acquisition.payback_paths(none, pd.DataFrame({"month": [1], "margin": [2.0], "cac": [np.nan]}))
        assert blank.empty


class TestShrunken:
    def members(self, logs, error, dimension="plan"):
        table = pd.DataFrame({"dimension": dimension, "ltv": np.exp(logs)})
        half = 1.959964 * np.asarray(error)
        return table.assign(ltv_low=table["ltv"] * np.exp(-half), ltv_high=table["ltv"] * np.exp(half))

    def test_equally_sure_members_keep_the_share_of_variance_that_is_not_chance(self):
        # logs 0, 1, 2, 3 vary by 5/3, each by chance by 2/3: 1 of 5/3 is between them, so .6 of each distance from 1.5 stays
        found = acquisition.shrunken(self.members([0, 1, 2, 3], np.sqrt(2 / 3)), 0.95)
        assert np.log(found).to_list() == pytest.approx([0.6, 1.2, 1.8, 2.4], abs=1e-6)

    def test_the_less_sure_move_further(self):
        found = np.log(acquisition.shrunken(self.members([0, 3, 3], [0.1, 0.1, 1.0]), 0.95))
        assert 0 < found[0] < 0.1 and 2.9 < found[1] < 3 and found[2] < found[1] - 0.1

    def test_members_that_differ_by_chance_alone_are_one(self):
        found = acquisition.shrunken(self.members([1, 1.1, 1.2], 1.0), 0.95)
        assert np.log(found).to_list() == pytest.approx([1.1] * 3)

    def test_dimensions_are_apart_and_two_are_too_few(self):
        table = pd.concat([self.members([0, 1], 0.5), self.members([5, 5, 5, 5], 0.5, "channel")], ignore_index=True)
        found = acquisition.shrunken(table, 0.95)
        assert found[:2].isna().all() and np.log(found[2:]).to_list() == pytest.approx([5] * 4)

    def test_who_has_no_ltv_or_a_bound_below_nothing_takes_no_part(self):
        table = self.members([0, 1, 2, 9, 9], 0.5)
        table.loc[3, ["ltv", "ltv_low", "ltv_high"]] = np.nan
        table.loc[4, "ltv_low"] = -1.0
        assert acquisition.shrunken(table.head(0).astype(object), 0.95).empty
        found = acquisition.shrunken(table, 0.95)
        assert found[3:].isna().all() and found[:3].equals(acquisition.shrunken(table[:3], 0.95))


def test_spend_of_months_without_customers_is_told_with_the_lag():
    spend = pd.DataFrame([(10, "ads", 5, 7), (11, "ads", 20, 30), (11, "mail", 0, 4), (12, "ads", 1, 1), (9, "ads", 0, 0)],
                         columns=["month", "channel", "media", "loaded"])
    months = pd.DataFrame({"month": [11, 12]})
    assert acquisition.spend_outside(spend, months, 0) == (7, 1)  # month 10: all kinds; month 9 has none
    assert acquisition.spend_outside(spend, months, 1) == (1, 1)  # the spend of 10 and 11 met 11 and 12
    assert acquisition.spend_outside(spend, months.head(0), 0) == (42, 3)


class TestTrials:
    ROWS = [
        ("paid", "2024-05-05", None, "2024-05-19", {}), ("left", "2024-05-06", "2024-05-12", "2024-05-20", {}),
        ("left on its last day", "2024-05-07", "2024-05-21", "2024-05-21", {}),
        ("left a day later", "2024-05-07", "2024-05-22", "2024-05-21", {}),
        ("to a free plan", "2024-05-31", None, "2024-06-14", {"unit_amount": 0}),
        ("on the month's last second", "2024-05-17", None, "2024-05-31 23:59:59", {}),
        ("open", "2024-06-20", None, "2024-07-01", {}), ("no trial", "2024-06-05", None, None, {}),
        ("none of a minute", "2024-06-05", None, "2024-06-05", {}), ("long ago", "2023-04-10", None, "2023-05-31", {}),
        ("thirteen months ago", "2023-05-31", None, "2023-06-01", {})]

    def book(self, make, month="2024-06", **more):
        subs = [{"customer_id": who, "subscription_id": who, "plan_id": "basic", "unit_amount": 10, "interval": "month",
                 "started_at": start, "ended_at": end, "trial_ended_at": trial} | terms for who, start, end, trial, terms in self.ROWS]
        return make(month, subscriptions=subs, **more)

    def test_a_trial_counts_in_the_month_of_its_end_and_converts_where_a_paid_time_followed(self, make):
        assert self.book(make).frame("summaries/trials").to_numpy().tolist() == [
            ["2023-06", 1, 1], ["2024-05", 5, 3], ["2024-06", 1, 0]]   # who left later had paid for a day

    def test_what_comes_after_the_month_is_not_known_in_it(self, make):
        found = self.book(make, "2024-05").frame("summaries/trials").set_index("period")
        assert found.loc["2024-05"].to_list() == [5, 3] and "2024-06" not in found.index

    def test_versions_of_a_subscription_are_one_trial(self, make):
        rows = [{"customer_id": "a", "subscription_id": "s", "plan_id": plan, "unit_amount": 10, "interval": "month",
                 "started_at": "2024-05-01", "trial_ended_at": "2024-05-15", "valid_from": since}
                for plan, since in (("basic", "2024-05-01"), ("pro", "2024-06-01"))]
        assert make("2024-06", subscriptions=rows).frame("summaries/trials").to_numpy().tolist() == [["2024-05", 1, 1]]

    def test_shares_carry_wilson_s_interval_and_all_months_stand_last(self):
        table = acquisition.trial_conversions(pd.DataFrame(
            [("2024-05", 10, 8), ("2024-06", 10, 9)], columns=["period", "trials", "converted"]), 0.95)
        assert table["period"].to_list() == ["2024-05", "2024-06", "2024-05 to 2024-06"]
        assert table["conversion_rate"].to_list() == [0.8, 0.9, 0.85]
        for row in table.itertuples():
            other = binomtest(row.converted, row.trials).proportion_ci(0.95, method="wilson")
            assert (row.low, row.high) == pytest.approx((other.low, other.high), abs=1e-12)

    def test_one_month_is_not_told_twice_and_none_is_no_row(self):
        one = pd.DataFrame([("2024-05", 10, 8)], columns=["period", "trials", "converted"])
        assert len(acquisition.trial_conversions(one, 0.95)) == 1
        assert acquisition.trial_conversions(one.head(0), 0.95).empty
