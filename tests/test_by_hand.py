"""Two books small enough to work out every metric by hand: a dozen customers, each odd in another way; a dozen alike.

The arithmetic stands beside each value and was done from the definitions, not from the code. Of a model nothing is fitted:
the horizon lies within the ages at which ten are at risk.
"""

import io
import math

import pandas as pd
import pytest

from helpers import verdicts
from helpers.contracts import definitions
from helpers.marts import prepare
from helpers.metrics import data_prep, frame, ltv_cac, parts_checks, pricing, retention, rfm
from helpers.metrics.spread import definition_spread

NONE = math.nan
DAY_RATE = 1.1 ** (1 / 12)                              # 1 + d: a year at 10 %

# A report of 2024-04 (as_of 2024-05-01) in dollars and in Berlin's time, whose clocks went forward on 2024-03-31.
#   ann  annual plan, 600 a year: 50 a month         ray  left in August, came back in April
#   pam  paused from March to 20 April               ina  joined and left within April
#   ron  got money back, went from pro to basic      con  comped: a discount of the whole price, for ever
#   uma  went from basic to pro in mid-April         dan  a discount of 25 on 20, to 10 March: free, then 20
#   tia  1,080 for two years: 45 a month, to April   dee  starts at 22:00 UTC on 31 March: at midnight of 1 April
#   eva  pays 20 euros: 22 dollars, then 24          lea  from 31 January to 29 February: one month
ODD = {
    "subscriptions": """
subscription_id,customer_id,plan_id,unit_amount,interval,interval_count,started_at,ended_at,discount_amount,discount_ends_at,paused_at,resumed_at,valid_from,valid_to,currency
s1,ann,pro,600,year,1,2023-02-10,,,,,,,,USD
s2,pam,basic,20,month,1,2023-01-15,,,,2024-03-10,2024-04-20,,,USD
s3,ron,pro,50,month,1,2023-03-01,,,,,,2023-03-01,2024-04-08,USD
s3,ron,basic,20,month,1,2023-03-01,,,,,,2024-04-08,,USD
s4,uma,basic,20,month,1,2023-04-10,2024-04-16,,,,,,,USD
s5,uma,pro,50,month,1,2024-04-16,,,,,,,,USD
s6,ray,basic,20,month,1,2023-01-20,2023-08-20,,,,,,,USD
s7,ray,basic,20,month,1,2024-04-12,,,,,,,,USD
s8,ina,pro,50,month,1,2024-04-03,2024-04-20,,,,,,,USD
s9,con,pro,50,month,1,2023-01-01,,50,,,,,,USD
s10,dan,basic,20,month,1,2024-01-10,,25,2024-03-10,,,,,USD
s11,tia,pro,1080,year,2,2022-04-15,2024-04-15,,,,,,,USD
s12,dee,basic,20,month,1,2024-03-31T22:00:00Z,,,,,,,,USD
s13,lea,basic,20,month,1,2024-01-31,2024-02-29,,,,,,,USD
s14,eva,basic,20,month,1,2023-06-05,,,,,,,,EUR
s15,dee,pro,50,month,1,2024-05-01,,,,,,,,USD
""",
    "transactions": """
transaction_id,line_no,customer_id,transacted_at,amount,type,status,item_type,currency,original_transaction_id
t1,1,ann,2023-02-10,600,sale,paid,subscription,USD,
t2,1,ann,2024-02-10,600,sale,paid,subscription,USD,
t3,1,pam,2024-03-01,20,sale,paid,subscription,USD,
t4,1,eva,2024-03-05,20,sale,paid,subscription,EUR,
t5,1,ron,2024-04-02,50,sale,paid,subscription,USD,
t6,1,ron,2024-04-10,-30,refund,paid,subscription,USD,t5
t7,1,uma,2024-04-10,20,sale,paid,subscription,USD,
t8,1,uma,2024-04-16,15,adjustment,paid,subscription,USD,
t9,1,ina,2024-04-03,50,sale,paid,subscription,USD,
t10,1,eva,2024-04-05,20,sale,paid,subscription,EUR,
t11,1,dee,2024-03-31T22:00:00Z,20,sale,paid,subscription,USD,
t12,1,,2024-04-20,7,sale,paid,one_off,USD,
t13,1,dan,2024-04-11,20,sale,failed,subscription,USD,
t14,1,dee,2024-04-30T22:00:00Z,20,sale,paid,subscription,USD,
t15,1,dan,2024-04-09,n/a,sale,paid,subscription,USD,
o1,1,ann,2023-03-15,10,sale,paid,one_off,USD,
o2,1,ann,2023-06-15,10,sale,paid,one_off,USD,
o3,1,ron,2023-05-20,10,sale,paid,one_off,USD,
o4,1,uma,2023-04-11,12,sale,paid,one_off,USD,
o5,1,uma,2024-04-18,5,sale,paid,one_off,USD,
o5,2,uma,2024-04-18,7,sale,paid,one_off,USD,
o6,1,uma,2024-04-25,12,sale,paid,one_off,USD,
o7,1,ray,2023-02-01,10,sale,paid,one_off,USD,
o8,1,ray,2023-07-01,10,sale,paid,one_off,USD,
o9,1,ray,2023-07-02,-2,refund,paid,one_off,USD,o8
o10,1,eva,2023-07-07,10,sale,paid,one_off,EUR,
o11,1,dee,2024-04-02,5,sale,paid,one_off,USD,
""",
    "customers": """
customer_id,channel
ann,
pam,
ron,
uma,
ray,
ina,social
con,
dan,search
tia,
dee,
lea,search
eva,
""",
    "marketing_spend": """
period_start,period_end,channel,amount,kind
2022-11-01,2023-04-30,search,181,media
2024-01-15,2024-02-13,search,30,
2024-03-01,2024-03-31,search,10,media
2024-04-01,2024-04-30,social,80,media
2024-04-01,2024-04-30,social,25,people
""",
    "costs": """
month,category,amount
2024-03-01,cogs,15
2024-04-01,hosting,30
2024-04-01,retention,12
2024-04-01,loyalty,6
""",
    "plans": """
plan_id,tier_rank,list_price
basic,1,20
pro,2,50
""",
    "addons": """
customer_id,addon_id,started_at,ended_at
ann,support,2024-02-01,
ron,support,2024-01-01,2024-04-20
con,support,2024-01-01,
""",
    "fx_rates": """
date,from_currency,to_currency,rate
2023-01-01,EUR,USD,1.10
2024-04-10,EUR,USD,1.20
2024-05-01,EUR,USD,9.99
""",
    "ledger_control": """
month,measure,amount
2024-03-01,net_revenue,40
2024-04-01,net_revenue,200
2024-04-01,mrr,224
2024-04-01,active_customers,10
2024-04-01,refunds,24
2024-04-01,marketing_spend,100
""",
}

# MRR at the ends of the months. March: ann 50, ron 50, uma 20, dan 20, tia 45, eva 22, pam paused: 207 of 6.
# April: ann 50, pam 20, ron 20, uma 50, ray 20, dan 20, dee 20, eva 24: 224 of 8.
# Paying at the ends of May 2023 to April 2024: 6 7 7 6 6 6 6 6 7 6 6 8, Σ 77; of April 2023: 6. February's 6 pay 207.
# c: lea in February, tia in April, of 6 6 6 7 6 6 = 37 at the starts of November to April: 2 ÷ 37, lifetime 18.5.
# At risk at age 1: all but con, who never pays, and ina, not yet a month old: 10, of whom lea leaves: S = 1, .9; at 2: 7.
# Media by day: January 17 of 30, February 13, March 10, April 80: 120; acquired lea, dan, ina, dee: CAC 30.
G, A, LIFE = 0.8, 224 / 8, 37 / 2                       # g: cogs and hosting 45 of revenue 42 + 183
WORTH = G * A * (1 + 0.9 / DAY_RATE)
ODD_HAND = {                                            # metric: (2024-03, 2024-04); a number alone: of 2024-04 only
    # April: ron 50 − 30, uma 20 + 15 + 5 + 7 + 12, ina 50, eva 22, dee 20 + 5, nobody 7; March: pam 20, eva 22
    "revenue_net": (42, 183), "revenue_unattributed": (0, 7),
    "orders": (2, 9), "average_order_value": (42 / 2, 183 / 9),     # ron 1, uma 3, ina 1, eva 1, dee 2, nobody 1
    "buyers": (2, 5),                                   # pam, eva; ron, uma, ina, eva, dee
    "arpu": (22 / 6, 126 / 8),                          # without pam, paused; without ina, who left, and nobody's 7
    "arpa": (207 / 6, 224 / 8),
    # orders of known customers, May to April: 4 of 2023, t2, 2 in March, 8 in April; April to March: o4, 4, t2, 2
    "purchase_frequency": (12 * 8 / (6 + 77 - 8), 12 * 15 / 77),
    "active_customers": (6, 8), "new_customers": (1, 1), "churned_customers": (0, 1), "reactivated_customers": (0, 1),
    "in_month_churn": (0, 1),
    "mrr": (207, 224), "mrr_new": (20, 20),             # dan, dee
    "mrr_reactivation": (0, 20), "mrr_resumed": (0, 20), "mrr_paused": (20, 0),     # ray; pam; pam
    "mrr_expansion": (0, 30), "mrr_contraction": (0, 30),           # uma 20 to 50; ron 50 to 20
    "mrr_churn": (0, 45), "mrr_fx": (0, 2),             # tia; eva: 20 · 1.20 − 20 · 1.10
    "logo_churn_rate": (0 / 6, 1 / 6), "gross_revenue_churn_rate": (0 / 207, (45 + 30) / 207),
    "grr": ((207 - 20) / 207, (50 + 20 + 20 + 20 + 0 + 22) / 207),  # ann, ron, uma, dan, tia, eva
    "nrr": ((207 - 20) / 207, (50 + 20 + 50 + 20 + 0 + 22) / 207),   # eva at the rate of the start: 20 · 1.10
    # of a year before: ann 50, pam 20, ron 50, ray 20, tia 45 (and uma 20 from April); eva came later
    "grr_12m": ((50 + 0 + 50 + 0 + 45) / 185, (50 + 20 + 20 + 20 + 0 + 20) / 205),
    "nrr_12m": ((50 + 0 + 50 + 0 + 45) / 185, (50 + 20 + 20 + 20 + 0 + 50) / 205),
    "quick_ratio": (NONE, (20 + 20 + 30) / (30 + 45)),
    "repeat_rate": (2 / 5, 3 / 6),                      # of ann, ron, uma, ray, eva: ann, ray; then dee, and uma again
    # ann after 3 of ann, ron, uma, ray, eva: 4/5; ray after 5 of 4: 3/4; uma only in her 13th month; March: nobody at 12
    "second_order_12m": (NONE, 1 - 4 / 5 * 3 / 4),
    # uma, recent, often and most: 555, 36 of ann 20, ron 10, uma 36, ray 18, eva 11, dee 5
    "champions_revenue_share": (0 / 71, 36 / 100),
    "addon_attach_rate": (2 / 6, 1 / 8),                # ann and ron; ann alone, for con pays nothing
    "upgrade_rate": (0 / 5, 1 / 5), "downgrade_rate": (0 / 5, 1 / 5),   # uma, ron of ann, ron, uma, dan, eva
    "cac_blended": (10 / 1, 80 / 2), "cac_paid": (10 / 1, 80 / 1), "cac_loaded": (10 / 1, 105 / 2),     # paid: ina
    "ledger_gap": (2 / 40, -17 / 200),
    "rows_in": 16 + 27 + 12 + 5 + 4 + 2 + 3 + 3 + 6, "rows_kept": 78 - 4, "rows_rejected": 1, "rows_after_as_of": 3,
    "rejected_share": 1 / 75,
    "churn_rate_pooled": 2 / 37, "gross_margin": G, "lifetime_months_churn": LIFE,
    "lifetime_months_rmst": 1,                          # S(0): ten are at risk up to age 1 alone
    "lifetime_months_naive": (7 + 24 + 1) / 3,          # ray, tia, lea
    "ltv_arpu_lifetime": A * LIFE, "ltv_margin": G * A * LIFE,
    # revenue May to April: 10 + 10 + 8 + 11 + 600 + 42 + 183 = 864 of 16 orders
    "ltv_aov_frequency_lifetime": 864 / 16 * 15 / 77 * LIFE,
    "ltv_horizon": G * A * 1.9, "ltv_discounted": WORTH, "ltv": WORTH,
    "ltv_net": WORTH - (12 + 6) / 6 * (1 + 0.9 / DAY_RATE) - 30,    # retention and loyalty of the 6 at April's start
    "ltv_to_cac": WORTH / 30, "max_cac": WORTH / 3,
    # acquired from November 2022 to April 2023: ann 620, ron 10, uma 12, ray 18, pam 0 in their first 12 months
    "ltv_to_cac_realised": G * 660 / 181,
    "payback_months": 2,                                # 22.40, then 42.56 of 30
    # spend 145 on new MRR lea 20, dan 20, dee 20; retention 18 on the MRR of six month ends less the new
    "acquisition_to_retention_cost_ratio": (145 / 60) / (18 / (207 + 207 + 227 + 207 + 207 + 224 - 60)),
}

# Twelve who start at the first instant of 2024, at 10 a month, and cost 168 in media: CAC 14. One leaves within the second
# month, one within the fourth: S = 1, 1, 11/12, 11/12, 10/12, 10/12, and ten are at risk to the end of the six months.
ALIKE = {
    "subscriptions": "subscription_id,customer_id,plan_id,unit_amount,interval,started_at,ended_at\n" + "".join(
        f"s{n},c{n},pro,10,month,2024-01-01,{end}\n" for n, end in enumerate(["2024-02-20", "2024-04-20", *[""] * 10])),
    "marketing_spend": "period_start,period_end,channel,amount\n2024-01-01,2024-01-31,search,168\n",
    "costs": "month,category,amount\n2024-06-01,retention,5\n",
}
# The same of whom two are paused in June: there, so that S is as it was, at 8 a month instead of 10; who pays still pays 10.
PAUSED = ALIKE | {"subscriptions": "\n".join(
    f"{line},{'paused_at' if at == 0 else '2024-06-10' if at in (4, 5) else ''}"
    for at, line in enumerate(ALIKE["subscriptions"].splitlines())) + "\n"}
S = [1, 1, 11 / 12, 11 / 12, 10 / 12, 10 / 12]
MONTHS = sum(s / DAY_RATE**t for t, s in enumerate(S))  # a month's pay of each month lived, discounted
ALIKE_HAND = {
    "active_customers": (10, 10), "arpu": (10, 10), "arpa": (10, 10), "mrr": (100, 100),
    "churn_rate_pooled": 2 / 54, "lifetime_months_churn": 27,       # of 0 12 11 11 10 10 at the starts of the months
    "lifetime_months_rmst": 5.5, "lifetime_months_naive": (2 + 4) / 2,
    "ltv_arpu_lifetime": 270, "ltv_margin": 135, "ltv_horizon": 0.5 * 10 * 5.5,
    "ltv_discounted": 5 * MONTHS, "ltv": 5 * MONTHS, "ltv_net": (5 - 5 / 10) * MONTHS - 14,
    "ltv_to_cac": 5 * MONTHS / 14, "max_cac": 5 * MONTHS / 3,
    "payback_months": 3,                                # 5, 10, 14.58
    "ltv_to_cac_realised": NONE,                        # nobody was acquired so long ago
    "acquisition_to_retention_cost_ratio": (168 / 120) / (5 / (120 + 110 + 110 + 100 + 100 + 100 - 120)),
}

PAUSED_HAND = {
    "active_customers": (10, 8), "mrr": (100, 80), "mrr_paused": (0, 20), "arpa": (10, 10), "churn_rate_pooled": 2 / 54,
    "ltv_arpu_lifetime": 270, "ltv_margin": 135,        # months of paying at what is paid
    "ltv_horizon": 0.5 * 8 * 5.5, "ltv_discounted": 4 * MONTHS, "ltv": 4 * MONTHS, "ltv_net": (4 - 5 / 10) * MONTHS - 14,
    "ltv_to_cac": 4 * MONTHS / 14, "max_cac": 4 * MONTHS / 3,
    "payback_months": 4,                                # 4, 8, 11.67, 15.33
}


def metrics_of(book) -> pd.DataFrame:
    """All that the notebooks 01 to 05 put into metrics.csv, by their own calls; the index is (metric, period)."""
    policy, period, given = book.params.policy, book.params.report.month, book.given
    currency, known = book.params.report.currency, {"confidence": book.params.policy.confidence}
    months, states = book.frame("summaries/months"), book.frame("summaries/tier_states")
    tied = data_prep.reconcile(book.frame("summaries/ledger"), months, policy.ledger_tolerance)
    page = ltv_cac.analyse(
        book.frames(ltv_cac.QUERIES), period=period, last=book.month, currency=currency, given=given, policy=policy,
        terms=book.params.ltv_cac, formulas={}, target=verdicts.target("R-LTV-2", book.params.rules))
    attach = book.frame("summaries/addons_all") if "addons" in given else book.frame("summaries/addons_all").head(0)
    found = pd.concat([
        data_prep.prep_metrics(book.frame("summaries/rows"), book.frame("summaries/rejections"), tied, period), page.metrics,
        frame(rfm.repeat_metrics(book.frame("summaries/second_orders"), book.labels, book.month, **known)),
        frame(rfm.champions_share(book.frame("summaries/rfm_champions"))),
        frame(pricing.tier_metrics(states, attach, book.labels, **known)),
        frame(retention.monthly_metrics(
            months, book.frame("summaries/retained_mrr"), currency=currency, subscriptions="subscriptions" in given,
            in_month_churn=policy.in_month_churn, **known)),
    ])
    whole = found[found["dimension"] == "all"].set_index(["metric", "period"])
    assert whole.index.is_unique
    return whole


def prepared(folder, tables: dict[str, str], write_params, month: str, zone: str, **policy):
    for name, text in tables.items():
        pd.read_csv(io.StringIO(text), dtype="str", keep_default_na=False).to_csv(folder / f"{name}.csv", index=False)
    report = {"name": "book", "title": "Book", "month": month, "currency": "USD", "timezone": zone}
    params = write_params(folder, month, list(tables), report=report, policy=policy)
    return prepare(str(params), None, str(folder / "run"))


@pytest.fixture(scope="module")
def odd(tmp_path_factory, write_params):
    return prepared(tmp_path_factory.mktemp("odd"), ODD, write_params, "2024-04", "Europe/Berlin", horizon_months=2)


@pytest.fixture(scope="module")
def odd_metrics(odd):
    return metrics_of(odd)


@pytest.fixture(scope="module")
def alike_metrics(tmp_path_factory, write_params):
    folder = tmp_path_factory.mktemp("alike")
    return metrics_of(prepared(folder, ALIKE, write_params, "2024-06", "UTC", horizon_months=6, gross_margin=0.5))


@pytest.fixture(scope="module")
def paused_metrics(tmp_path_factory, write_params):
    folder = tmp_path_factory.mktemp("paused")
    return metrics_of(prepared(folder, PAUSED, write_params, "2024-06", "UTC", horizon_months=6, gross_margin=0.5))


def check(metrics: pd.DataFrame, name: str, hand, months: tuple[str, str]) -> None:
    before, now = hand if isinstance(hand, tuple) else (None, hand)
    for period, value in zip(months, (before, now), strict=True):
        if value is None:
            continue
        found = metrics["value"].get((name, period), NONE)           # a row left out is an empty one
        assert found == pytest.approx(value, rel=1e-12, abs=1e-12, nan_ok=True), period


@pytest.mark.parametrize("name", ODD_HAND)
def test_a_metric_of_the_odd_dozen(name, odd_metrics):
    check(odd_metrics, name, ODD_HAND[name], ("2024-03", "2024-04"))


@pytest.mark.parametrize("name", PAUSED_HAND)
def test_a_metric_of_a_dozen_of_whom_two_are_paused(name, paused_metrics):
    check(paused_metrics, name, PAUSED_HAND[name], ("2024-05", "2024-06"))


@pytest.mark.parametrize("name", ALIKE_HAND)
def test_a_metric_of_the_dozen_alike(name, alike_metrics):
    check(alike_metrics, name, ALIKE_HAND[name], ("2024-05", "2024-06"))


def test_no_metric_is_left_out(odd_metrics):
    assert set(ODD_HAND) == set(definitions()) == set(odd_metrics.index.get_level_values("metric"))


def test_nothing_of_a_fitted_model_is_in_them(odd_metrics, alike_metrics):
    for metrics, period, seen in ((odd_metrics, "2024-04", 1), (alike_metrics, "2024-06", 6)):
        assert metrics.loc[("ltv", period), "method"] == f"seen to month {seen}, 0% of the value extrapolated by sBG"


def test_parts_of_the_odd_dozen_make_the_whole(odd):
    months, cohorts = odd.frame("summaries/months"), odd.frame("summaries/cohorts").query("age == 0").set_index("cohort")
    found = pd.concat([
        pricing.tier_checks(odd.frame("summaries/tier_states"), months, odd.labels),
        data_prep.revenue_checks(odd.frame("summaries/revenue_bridge"), months, odd.labels),
        parts_checks("cohorts", cohorts["customers"], months.set_index("month")["acquired"], odd.labels)])
    assert len(found) == 5 * 13 and found["passed"].all(), found[~found["passed"]]
    assert (found.groupby("check")["expected"].sum() > 0).all()  # nothing is compared with nothing


def test_lives_of_the_odd_dozen(odd):
    """Months lived and whether they ended, by the day of the start, on the last of a shorter month."""
    lives = odd.engine.table("mart_customers").df().dropna(subset="started_at").set_index("customer_id")
    assert lives[["spell_months", "spell_ended"]].astype(int).T.to_dict("list") == {
        "ann": [14, 0], "pam": [15, 0], "ron": [14, 0], "uma": [12, 0], "ray": [7, 1], "ina": [0, 0], "dan": [1, 0],
        "tia": [24, 1], "dee": [1, 0], "lea": [1, 1], "eva": [10, 0]}


def test_every_figure_of_the_ledger_has_its_gap(odd):
    months = odd.frame("summaries/months")
    tied = data_prep.reconcile(odd.frame("summaries/ledger"), months, 0.005).set_index(["month", "measure"])["gap"]
    assert tied.to_dict() == pytest.approx({
        ("2024-03", "net_revenue"): 2 / 40, ("2024-04", "net_revenue"): -17 / 200, ("2024-04", "mrr"): 0,
        ("2024-04", "active_customers"): -2 / 10, ("2024-04", "refunds"): 6 / 24, ("2024-04", "marketing_spend"): 5 / 100})


def test_the_month_by_other_definitions(odd):
    """April: tia and ina left, nobody came back; 6 at the start, 8 at the end, ina and dee acquired."""
    table = definition_spread(
        odd.frame("summaries/months"), odd.frame("summaries/returned"), given=odd.given, in_month_churn="apart", lifetime=LIFE,
        margin=G).set_index(["measure", "definition"])["value"]
    assert table["customer churn"].to_dict() == pytest.approx({
        "this report": 1 / 6, "ChartMogul": 1 / 6, "ChartMogul for shops": 2 / 7, "Stripe": 2 / 8, "ProfitWell": 1 / 6,
        "Maxio": 2 / 6, "Baremetrics": 2 / 6})
    assert table["revenue churn"].to_dict() == pytest.approx({  # churn 45, contraction 30; expansion 30, back 20, resumed 20
        "this report": 75 / 207, "Maxio": 75 / 207, "Maxio, net": 25 / 207, "ChartMogul, net": 25 / 207,
        "Baremetrics, net": 15 / 207, "ProfitWell, net": 5 / 207, "Stripe": NONE}, nan_ok=True)
    # ChartMogul: lea, one of seven in February, in six months: 1/42
    assert table["LTV"].to_dict() == pytest.approx({
        "this report": A * LIFE, "ChartMogul": A * 42, "ChartMogul for shops": A * 7 / 2, "Stripe": A * 4, "ProfitWell": A * 6,
        "Maxio": A * 3, "Baremetrics": A * 3})
    # 126 of the active, 50 of ina beside it
    assert table["ARPU"].to_list() == pytest.approx([126 / 8, 224 / 8, 176 / 6, 176 / 8, 176 / 7, 176 / 5])
