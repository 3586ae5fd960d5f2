"""The demo company: reproducible to the byte, coherent as a book, and true to docs/truth.md."""

import functools
import math
import re
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
import sqlglot
from sqlglot import exp

from helpers import demo

TRUTH = Path(__file__).parents[1] / "docs" / "truth.md"
AS_OF = pd.Timestamp("2025-07-01")
TIMES = ["started_at", "ended_at", "discount_ends_at", "trial_ended_at", "canceled_at", "paused_at", "resumed_at",
         "current_period_end"]
TIERS = ["starter", "plus", "team", "business"]


def truth(first_column: str, second_column: str) -> pd.DataFrame:
    """The table of docs/truth.md that has these first two headings, percentages as fractions."""
    heading = rf"^(\| {first_column} \| {second_column} \|.*?)(?:\n\n|\Z)"
    [table] = re.findall(heading, TRUTH.read_text(), flags=re.MULTILINE | re.DOTALL)
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()]
    table = pd.DataFrame(rows[2:], columns=rows[0]).set_index(first_column)
    return table.apply(lambda cells: [float(c.removesuffix(" %")) / (100 if "%" in c else 1) for c in cells])


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"[\d.]+", text)]


def months_between(start: pd.Series, end: pd.Series) -> pd.Series:
    """Calendar months from one billing anniversary to another."""
    return (end.dt.year - start.dt.year) * 12 + end.dt.month - start.dt.month


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return {path.stem: path for path in demo.write_demo(tmp_path_factory.mktemp("demo") / "acme")}


@pytest.fixture(scope="module")
def files(written):
    return {name: pd.read_csv(path) for name, path in written.items()}


@pytest.fixture(scope="module")
def subscriptions(written):
    return pd.read_csv(written["subscriptions"], parse_dates=TIMES)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Subscriptions of 12,000 customers with what followed: sampling errors half as large as at the default size."""
    folder = tmp_path_factory.mktemp("large")
    demo.write_demo(folder, customers=12_000)
    rows = pd.read_csv(folder / "subscriptions.csv", parse_dates=TIMES).sort_values(["customer_id", "started_at"])
    rows["rank"] = rows["plan_id"].map(TIERS.index)
    follower = rows.groupby("customer_id")[["started_at", "rank"]].shift(-1)
    rows["swapped"] = rows["ended_at"].notna() & (follower["started_at"] == rows["ended_at"])
    rows["left"] = rows["ended_at"].notna() & ~rows["swapped"]
    rows["rise"] = (follower["rank"] - rows["rank"]).where(rows["swapped"])
    return rows


@pytest.fixture(scope="module")
def periods(large):
    """One row per billing period of a first spell that ended before as_of: `origin` (first tier), `age` at its end."""
    earlier_ends = large.groupby("customer_id")["left"].cumsum() - large["left"]
    rows = large[earlier_ends == 0].copy()
    first = rows.groupby("customer_id")[["started_at", "plan_id"]].transform("first")
    step = np.where(rows["interval"] == "year", 12, 1)
    billed = months_between(rows["started_at"], rows["ended_at"].fillna(rows["current_period_end"])) // step
    unfinished = rows["ended_at"].isna() | (rows["ended_at"] >= AS_OF)      # a known end alone would bias the rates
    rows = rows.assign(origin=first["plan_id"], step=step, count=billed - unfinished,
                       age=months_between(first["started_at"], rows["started_at"]), finished=~unfinished)
    each = rows.loc[rows.index.repeat(rows["count"])]
    nth = each.groupby("subscription_id").cumcount() + 1
    is_last = (nth == each["count"]) & each["finished"]
    return each.assign(age=each["age"] + nth * each["step"], left=each["left"] & is_last,
                       rise=each["rise"].where(is_last))


def test_equal_arguments_give_equal_bytes_on_one_thread_too(written, tmp_path, monkeypatch):
    monkeypatch.setattr(duckdb, "connect", functools.partial(duckdb.connect, config={"threads": 1}))
    for again in demo.write_demo(tmp_path):
        assert again.read_bytes() == written[again.stem].read_bytes(), again.name


def test_another_seed_gives_another_company(written, tmp_path):
    other = {path.stem: path.read_bytes() for path in demo.write_demo(tmp_path, seed=2)}
    same = {name for name in demo.FILES if other[name] == written[name].read_bytes()}
    assert same == {"plans", "business_events"}


@pytest.mark.parametrize("name", demo.STEPS)
def test_queries_state_their_grain_and_use_nothing_that_differs_between_machines(name):
    text = (demo.QUERIES / f"{name}.sql").read_text()
    assert text.startswith("-- one row per ")
    [query] = sqlglot.parse(text, dialect="duckdb")
    functions = list(query.find_all(exp.Func))
    called = {(f.name if isinstance(f, exp.Anonymous) else f.sql_name()).lower() for f in functions}
    assert not called & {"random", "rand", "hash", "exp", "ln", "log", "pow", "power", "sqrt", "avg", "now", "uuid",
                         "current_date", "current_timestamp", "current_localtimestamp"}
    assert not list(query.find_all(exp.Div))                                  # `/` gives a double; `//` does not
    types = {cast.to.this for cast in query.find_all(exp.Cast)}
    assert not types & {exp.DataType.Type.DOUBLE, exp.DataType.Type.FLOAT}


def test_every_query_file_is_a_step():
    assert {path.stem for path in demo.QUERIES.glob("*.sql")} == set(demo.STEPS)


@pytest.mark.parametrize(("name", "key"), [
    ("customers", ["customer_id"]), ("plans", ["plan_id"]), ("subscriptions", ["subscription_id"]),
    ("transactions", ["transaction_id", "line_no"]), ("addons", ["customer_id", "addon_id"]),
    ("marketing_spend", ["period_start", "channel", "kind"]), ("costs", ["month", "category"]),
    ("business_events", ["date", "label"])])
def test_rows_are_ordered_by_a_unique_key(files, name, key):
    keys = list(files[name][key].itertuples(index=False, name=None))
    assert len(keys) > 0 and keys == sorted(set(keys))


def test_nothing_is_left_of_a_run_that_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "STEPS", (*demo.STEPS, "no_such_query"))
    with pytest.raises(FileNotFoundError, match="no_such_query"):
        demo.write_demo(tmp_path / "acme", customers=10, months=3)
    assert [path.name for path in tmp_path.rglob("*")] == ["acme"]


@pytest.mark.parametrize("bad", [{"customers": 0}, {"months": 0}, {"end": "2025-13"}, {"end": "June"}])
def test_impossible_sizes_and_months_are_refused(tmp_path, bad):
    with pytest.raises(ValueError, match="at least 1|month|isoformat"):
        demo.write_demo(tmp_path / "acme", **bad)
    assert not (tmp_path / "acme").exists()


def test_a_tiny_book_holds_its_size_and_months(tmp_path):
    demo.write_demo(tmp_path, customers=7, months=2, end="2024-12")
    customers = pd.read_csv(tmp_path / "customers.csv", parse_dates=["created_at"])
    assert len(customers) == 7 and customers["created_at"].between("2024-11-01", "2024-12-31 23:59:59").all()
    spend = pd.read_csv(tmp_path / "marketing_spend.csv")
    assert set(zip(spend["period_start"], spend["period_end"], strict=True)) == {
        ("2024-11-01", "2024-11-30"), ("2024-12-01", "2024-12-31")}


def test_events_happen_on_the_documented_days_and_only_within_the_book(written, tmp_path):
    table = TRUTH.read_text().split("## Business events")[1].split("## ")[0]
    rows = re.findall(r"^\| (\d+) \| (\d+) \| ([^|]+) \| (\w+) \|$", table, flags=re.MULTILINE)
    june = pd.Period("2025-06")
    expected = [f"{june - int(months)}-{int(day):02d},{label},{kind}" for months, day, label, kind in rows]
    assert len(rows) == 5 and all(len(label) <= 28 for _, _, label, _ in rows)
    assert written["business_events"].read_text().splitlines() == ["date,label,kind", *expected]
    demo.write_demo(tmp_path, customers=7, months=9, end="2024-12")           # the event of 8 months before is the oldest
    assert pd.read_csv(tmp_path / "business_events.csv")["date"].to_list() == ["2024-04-21", "2024-09-11"]


def test_customers_join_in_every_month_and_more_of_them_later(files):
    joined = pd.to_datetime(files["customers"]["created_at"]).dt.to_period("M").value_counts().sort_index()
    assert len(joined) == 36 and joined.sum() == 3000
    # The weight of July is 100, 124, 148 times its season: the third is 1.48 times the first, to one customer
    assert joined["2024-07"] / joined["2022-07"] == pytest.approx(1.48, abs=0.03)


def test_every_subscription_addon_and_sale_belongs_to_a_customer(files):
    known = set(files["customers"]["customer_id"])
    for name in ("subscriptions", "addons", "transactions"):
        assert set(files[name]["customer_id"].dropna()) <= known, name
    assert set(files["subscriptions"]["customer_id"]) == known
    assert set(files["transactions"]["subscription_id"].dropna()) <= set(files["subscriptions"]["subscription_id"])


def test_subscriptions_of_a_customer_never_overlap(subscriptions):
    rows = subscriptions.sort_values(["customer_id", "started_at"])
    assert (rows["ended_at"].isna() | (rows["ended_at"] > rows["started_at"])).all()
    earlier = rows.groupby("customer_id")["ended_at"].shift()
    later = rows["customer_id"].duplicated()
    assert (earlier[later] <= rows.loc[later, "started_at"]).all()              # an open one has no successor
    gaps = rows.loc[later & (earlier < rows["started_at"]), "started_at"] - earlier
    assert gaps.dropna().dt.days.between(61, 180).all() and gaps.notna().sum() > 100


def test_who_left_has_a_kind_and_a_reason_and_who_moved_has_none(subscriptions):
    rows = subscriptions.sort_values(["customer_id", "started_at"])
    follower = rows.groupby("customer_id")["started_at"].shift(-1)
    left = rows["ended_at"].notna() & (follower != rows["ended_at"])
    for column in ("churn_kind", "cancel_reason", "canceled_at"):
        assert (rows[column].notna() == left).all(), column
    assert (rows.loc[left, "canceled_at"] <= rows.loc[left, "ended_at"]).all()
    assert (rows["canceled_at"].dropna() < AS_OF).all()


def test_some_ends_are_known_before_they_take_effect(subscriptions):
    ahead = subscriptions[subscriptions["ended_at"] >= AS_OF]
    assert 3 <= len(ahead) <= 50 and (ahead["canceled_at"] < AS_OF).all()


def test_pauses_lie_within_their_subscription_and_bill_nothing(files, subscriptions):
    paused = subscriptions[subscriptions["paused_at"].notna()]
    end = paused["ended_at"].fillna(AS_OF)
    assert len(paused) > 50
    assert (paused["started_at"] < paused["paused_at"]).all() and (paused["paused_at"] < end).all()
    back = paused["resumed_at"].notna()
    assert (paused["paused_at"] < paused["resumed_at"])[back].all() and (paused["resumed_at"] < end)[back].all()
    billed = paused.merge(files["transactions"].query("type == 'sale' and status == 'paid'"), on="subscription_id")
    begun = pd.to_datetime(billed["service_start"])
    assert not ((begun >= billed["paused_at"]) & (begun < billed["resumed_at"].fillna(AS_OF))).any()


def test_invoices_add_up_to_the_terms_of_the_subscription(files, subscriptions):
    """Ended before June 2025 and never paused: months × price, less discounted months, less half a trial month."""
    rows = subscriptions[(subscriptions["ended_at"] < "2025-06-01") & subscriptions["paused_at"].isna()]
    step = np.where(rows["interval"] == "year", 12, 1)
    periods = months_between(rows["started_at"], rows["ended_at"]) // step
    reduced = np.minimum(periods, months_between(rows["started_at"], rows["discount_ends_at"]) // step).fillna(0)
    first = rows["unit_amount"] - rows["discount_amount"].fillna(0)
    expected = (periods * rows["unit_amount"] - reduced * rows["discount_amount"].fillna(0)
                - (first / 2).where(rows["trial_ended_at"].notna(), 0))
    invoices = files["transactions"].query("type == 'sale' and status == 'paid'")
    paid = invoices["amount"].astype(float).groupby(invoices["subscription_id"]).sum()
    assert len(rows) > 1000 and (reduced > 0).sum() > 100 and rows["trial_ended_at"].notna().sum() > 100
    assert paid.reindex(rows["subscription_id"]).to_numpy() == pytest.approx(expected.to_numpy(), abs=0.005)


def test_refunds_reverse_a_sale_made_before(files):
    rows = files["transactions"]
    sales = rows[(rows["type"] == "sale") & (rows["status"] == "paid")]
    refunds = rows[rows["type"] == "refund"].merge(
        sales, left_on=["original_transaction_id", "line_no"], right_on=["transaction_id", "line_no"],
        how="left", validate="one_to_one", suffixes=("", "_sold"))
    assert (refunds["amount"].astype(float) == -refunds["amount_sold"].astype(float)).all()
    assert (refunds["customer_id"] == refunds["customer_id_sold"]).all()
    assert (refunds["transacted_at"] > refunds["transacted_at_sold"]).all()
    assert (refunds["transacted_at"] < "2025-07-01").all()
    # 1.5 % of sales, binomial: within four standard errors; the newest sales may yet be refunded
    assert len(refunds) / len(sales) == pytest.approx(0.015, abs=4 * math.sqrt(0.015 / len(sales)))


def test_odd_rows_are_as_many_as_documented(files):
    rows = files["transactions"]
    dates = pd.to_datetime(rows["transacted_at"], format="%Y-%m-%d %H:%M:%S", errors="coerce")
    found = {
        "refund": (rows["type"] == "refund").sum(),
        "adjustment": (rows["type"] == "adjustment").sum(),
        "failed": (rows["status"] == "failed").sum(),
        "second line of an order": rows["line_no"].eq(2)[rows["type"] == "sale"].sum(),
        "without customer": rows["customer_id"].isna().sum(),
        "dated after the last month": (dates >= AS_OF).sum(),
        "unreadable date": dates.isna().sum(),
        "unreadable amount": pd.to_numeric(rows["amount"], errors="coerce").isna().sum(),
    }
    assert found == truth("rows of transactions.csv", "at the default size")["at the default size"].to_dict()
    assert dates.max() < pd.Timestamp("2025-08-01") and (dates == AS_OF).sum() == 1      # the edge itself is too late


def test_irregular_sales_vary_enough_to_fit_a_purchase_model(files):
    rows = files["transactions"].query("item_type in ('service', 'one_off') and type == 'sale'").dropna(
        subset="customer_id")
    repeats = rows["transacted_at"].str[:10].groupby(rows["customer_id"]).nunique() - 1
    assert 0.35 < len(repeats) / 3000 < 0.45
    assert 15 <= repeats.max() <= 30 and (repeats == 0).mean() > 0.3
    assert repeats.var() > 2 * repeats.mean()                                # heterogeneous: a Poisson's are equal


def test_irregular_sales_are_as_many_as_rates_and_stops_imply(files):
    """Rate p a week, then stop with q: after w weeks a customer still buys with (1 − pq)^w, so has bought
    Σ p(1 − pq)^u = (1 − (1 − pq)^w) ÷ q times, or pw where q is 0. Within four standard errors of the total."""
    rates, stops = re.findall(r"with a chance of ([\d., or]+) %", TRUTH.read_text())
    p, q = (grid.ravel() / 100 for grid in np.meshgrid(numbers(rates), numbers(stops)))
    weeks = (AS_OF - pd.to_datetime(files["customers"]["created_at"])).dt.days.to_numpy()[:, None] / 7
    stopping = np.where(q == 0, 1, q)
    implied = 0.7 * np.where(q == 0, p * weeks, (1 - (1 - p * q) ** weeks) / stopping).mean(axis=1)
    rows = files["transactions"].query("type == 'sale' and item_type in ('service', 'one_off') and line_no == 1")
    rows = rows[~rows["transaction_id"].str.contains("late|dirty|guest")]
    bought = rows["customer_id"].value_counts().reindex(files["customers"]["customer_id"], fill_value=0)
    assert bought.sum() == pytest.approx(implied.sum(), abs=4 * bought.std() * math.sqrt(3000))


def test_addons_are_bought_by_a_quarter_and_more_often_on_higher_tiers(files, subscriptions):
    first = subscriptions.sort_values("started_at").groupby("customer_id")["plan_id"].first()
    share = first.index.isin(files["addons"]["customer_id"])
    by_tier = pd.Series(share, index=first.index).groupby(first).mean()
    assert 0.2 < share.mean() < 0.3
    assert by_tier["starter"] < by_tier["plus"] < by_tier["team"] < by_tier["business"]


def test_media_cost_per_customer_is_that_of_the_channel(files):
    spend = files["marketing_spend"].query("kind == 'media'").groupby("channel")["amount"].sum()
    won = files["customers"]["channel"].value_counts()
    cost = (spend / won).drop("organic")                                     # organic has customers and no spend
    # 36 months, each uniform within a tenth: standard error below 0.1/√3/√36, about 1 %; four of them
    assert cost.to_dict() == pytest.approx({"search": 260, "social": 270, "partner": 330, "referral": 110}, rel=0.04)


def test_direct_costs_are_22_percent_of_sales_and_retention_4(files):
    rows = files["transactions"].query("type == 'sale' and status == 'paid'")
    rows = rows[rows["customer_id"].notna() & ~rows["transaction_id"].str.contains("late|dirty")]
    shares = files["costs"].groupby("category")["amount"].sum() / rows["amount"].astype(float).sum()
    assert shares[["cogs", "hosting", "support", "payment_fees"]].sum() == pytest.approx(0.22, rel=0.02)
    assert shares[["retention", "loyalty"]].sum() == pytest.approx(0.04, rel=0.02)


def survival(hazards: pd.Series, interval: str, month: int) -> float:
    """S(month): the product over the ages so far, a factor a month or one a yearly renewal."""
    if interval == "year":
        return (1 - hazards["each yearly renewal"]) ** (month // 12)
    bands = [hazards["month 1–3"]] * 3 + [hazards["4–6"]] * 3 + [hazards["7–12"]] * 6 + [hazards["from 13"]] * 24
    return math.prod(1 - hazard for hazard in bands[:month])


@pytest.mark.parametrize("tier", TIERS)
def test_documented_survival_follows_from_the_documented_hazards(tier):
    hazards = truth("first tier", "month 1–3").loc[tier]
    yearly = hazards["billed yearly"]
    mixed = [(1 - yearly) * survival(hazards, "month", t) + yearly * survival(hazards, "year", t) for t in range(36)]
    expected = [survival(hazards, "month", 12), survival(hazards, "year", 12), mixed[12], sum(mixed)]
    documented = truth("first tier", r"S\(12\) by month").loc[tier].to_list()
    assert documented[:3] == pytest.approx(expected[:3], abs=0.00005)
    assert documented[3] == pytest.approx(expected[3], abs=0.005)


@pytest.mark.parametrize("interval", ["month", "year"])
@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("age", [3, 12, 24])
def test_survival_of_the_first_spell_is_the_true_one(large, tier, interval, age):
    """Watched for `age` months, by the tier at the start: within four binomial standard errors."""
    first = large[~large["customer_id"].duplicated()].set_index("customer_id")
    left = large[large["left"]].groupby("customer_id")["ended_at"].first()
    group = first[(first["plan_id"] == tier) & (first["interval"] == interval)]
    due = group["started_at"] + pd.DateOffset(months=age)
    due = due[due < AS_OF]
    stayed = ~(left.reindex(due.index) <= due)                               # an end at this age counts as left
    true = survival(truth("first tier", "month 1–3").loc[tier], interval, age)
    assert len(due) > 50
    assert stayed.mean() == pytest.approx(true, abs=4 * math.sqrt(true * (1 - true) / len(due)))


def true_hazard(periods: pd.DataFrame) -> np.ndarray:
    """The documented chance to leave at the end of each period, by first tier, interval and age."""
    hazards = truth("first tier", "month 1–3").loc[periods["origin"]]
    bands = [periods["interval"] == "year", periods["age"] <= 3, periods["age"] <= 6, periods["age"] <= 12]
    names = ["each yearly renewal", "month 1–3", "4–6", "7–12"]
    return np.select(bands, [hazards[name] for name in names], hazards["from 13"])


def standard_errors(happened: pd.Series, chance: np.ndarray) -> float:
    """How far a sum of independent events lies from its expectation."""
    return (happened.sum() - chance.sum()) / math.sqrt((chance * (1 - chance)).sum())


@pytest.mark.parametrize("age", [1, 3, 4, 6, 7, 12, 13])
def test_leaving_changes_at_the_documented_ages(periods, age):
    group = periods[(periods["age"] == age) & (periods["interval"] == "month")]
    assert abs(standard_errors(group["left"], true_hazard(group))) < 4


def test_leaving_depends_on_the_first_tier_and_not_on_the_present_one(periods):
    moved_up = periods[periods["plan_id"].map(TIERS.index) > periods["origin"].map(TIERS.index)]
    by_present = true_hazard(moved_up.assign(origin=moved_up["plan_id"]))    # lower
    assert abs(standard_errors(moved_up["left"], true_hazard(moved_up))) < 4
    assert standard_errors(moved_up["left"], by_present) > 4


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("interval", ["month", "year"])
@pytest.mark.parametrize("tier", TIERS)
def test_moves_happen_at_the_true_rate_per_period_survived(periods, tier, interval, direction):
    survived = periods[(periods["plan_id"] == tier) & (periods["interval"] == interval) & ~periods["left"]]
    moved = survived["rise"] == (1 if direction == "up" else -1)
    true = truth("tier", "up, monthly").loc[tier, f"{direction}, {interval}ly"]
    assert len(survived) > 50
    assert moved.mean() == pytest.approx(true, abs=4 * math.sqrt(true * (1 - true) / len(survived)))


def test_documented_chances_are_those_of_the_queries():
    hazards = duckdb.sql((demo.QUERIES / "hazards.sql").read_text()).df()
    found = hazards.assign(tier=hazards["origin"].map(dict(enumerate(TIERS, start=1)))).pivot_table(
        index="tier", columns=["period_months", "age_from"], values="leave_chance").loc[TIERS]
    documented = truth("first tier", "month 1–3")
    assert found.to_numpy() / 10_000 == pytest.approx(documented.drop(columns="billed yearly").to_numpy())
    tiers = duckdb.sql((demo.QUERIES / "tiers.sql").read_text()).df().set_index("plan_id").loc[TIERS]
    assert tiers["yearly_share"].to_numpy() / 10_000 == pytest.approx(documented["billed yearly"].to_numpy())
    moves = tiers[["up_monthly", "down_monthly", "up_yearly", "down_yearly"]]
    assert moves.to_numpy() / 10_000 == pytest.approx(truth("tier", "up, monthly").to_numpy())


def test_trials_discounts_failed_payments_and_returns_happen_at_the_documented_rates(large):
    first = large[~large["customer_id"].duplicated()]
    left = large[large["left"]]
    long_gone = left[left["ended_at"] < AS_OF - pd.Timedelta(days=181)]      # all who return have done so
    is_last = ~long_gone.index.isin(large.index[large["customer_id"].duplicated(keep="last")])
    shares = [
        (0.20, first.loc[first["interval"] == "month", "trial_ended_at"].notna()),
        (0.15, first["discount_amount"].notna()),
        (0.20, left["churn_kind"] == "involuntary"),
        (0.12, pd.Series(~is_last)),
    ]
    for true, found in shares:
        assert found.mean() == pytest.approx(true, abs=4 * math.sqrt(true * (1 - true) / len(found)))
