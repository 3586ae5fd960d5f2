"""The demo company: reproducible to the byte, coherent as a book, and true to docs/truth.md and truth.yaml."""

import copy
import functools
import math
import re
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
import sqlglot
import yaml
from sqlglot import exp

from helpers import demo
from helpers.contracts import TABLES, read_yaml

TRUTH = Path(__file__).parents[1] / "docs" / "truth.md"
AS_OF = pd.Timestamp("2025-07-01")
RISE = pd.Timestamp("2024-08-01")                        # ten months before June 2025
TIMES = ["started_at", "ended_at", "discount_ends_at", "trial_ended_at", "canceled_at", "paused_at", "resumed_at",
         "current_period_end", "valid_from", "valid_to", "past_due_since"]
TIERS = ["starter", "plus", "team", "business"]
TRUE = read_yaml("demo.yaml")
RATES = TRUE["rates"][0]
# The columns of contract.md that the demo must fill.
MORE = {
    "usage": "customer_id date feature count gated category limit_share",
    "feedback": "feedback_id customer_id kind asked_at answered_at handled_at score text",
    "support_tickets": "ticket_id customer_id opened_at first_reply_at solved_at reopened severity topic csat proactive",
    "touches": "touch_id customer_id touched_at programme kind cost holdout response",
    "fx_rates": "date from_currency to_currency rate",
    "ledger_control": "month measure amount",
}
KEYS = {
    "customers": ["customer_id"], "plans": ["plan_id", "valid_from"], "subscriptions": ["subscription_id", "valid_from"],
    "transactions": ["transaction_id", "line_no"], "addons": ["customer_id", "addon_id"],
    "marketing_spend": ["period_start", "channel", "kind", "campaign"], "costs": ["month", "category"],
    "business_events": ["date", "label"], "usage": ["customer_id", "date", "feature"], "feedback": ["feedback_id"],
    "support_tickets": ["ticket_id"], "touches": ["touch_id"], "fx_rates": ["date", "from_currency", "to_currency"],
    "ledger_control": ["month", "measure"]}


def truth(first_column: str, second_column: str) -> pd.DataFrame:
    """The table of docs/truth.md that has these first two headings, percentages as fractions."""
    heading = rf"^(\| {first_column} \| {second_column} \|.*?)(?:\n\n|\Z)"
    [table] = re.findall(heading, TRUTH.read_text(), flags=re.MULTILINE | re.DOTALL)
    rows = [[cell.strip() for cell in line.strip("| \n").split("|")] for line in table.strip().splitlines()]
    table = pd.DataFrame(rows[2:], columns=rows[0]).set_index(first_column)
    return table.apply(lambda cells: [float(c.removesuffix(" %")) / (100 if "%" in c else 1) for c in cells])


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"[\d.]+", text)]


def months_between(start: pd.Series, end: pd.Series) -> pd.Series:
    """Calendar months from one billing anniversary to another."""
    return (end.dt.year - start.dt.year) * 12 + end.dt.month - start.dt.month


def changed(**tables) -> dict:
    """The true parameters with others in the rows of some tables: `rates={"shock": 0}` changes every row of `rates`."""
    true = copy.deepcopy(TRUE)
    for name, values in tables.items():
        for row in true[name]:
            row.update(values)
    return true


def in_euros() -> dict:
    """The true parameters with customers of the euro area billed in EUR."""
    true = copy.deepcopy(TRUE)
    for row in true["countries"]:
        row["currency"] = "EUR" if row["country"] in ("DE", "FR", "NL") else "USD"
    return true


def write(folder: Path, true: dict = TRUE, **size) -> dict[str, Path]:
    """The files of a company drawn from `true`, by table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "read_yaml", lambda name: {"demo.yaml": true}[name])
        demo.write_demo(folder, **size)
    return {name: folder / f"{name}.csv" for name in KEYS}


def read(paths: dict[str, Path]) -> dict[str, pd.DataFrame]:
    return {name: pd.read_csv(path, low_memory=False) for name, path in paths.items()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write(tmp_path_factory.mktemp("demo") / "acme")


@pytest.fixture(scope="module")
def files(written):
    return read(written)


@pytest.fixture(scope="module")
def told(written):
    """truth.yaml of the default company."""
    return yaml.safe_load((written["customers"].parent / "truth.yaml").read_text())


def without_versions(path: Path) -> pd.DataFrame:
    """One row a subscription: its last version."""
    rows = pd.read_csv(path, parse_dates=TIMES)
    return rows[rows["valid_to"].isna()]


@pytest.fixture(scope="module")
def subscriptions(written):
    return without_versions(written["subscriptions"])


@pytest.fixture(scope="module")
def large_files(tmp_path_factory):
    """12,000 customers: sampling errors half as large as at the default size."""
    return write(tmp_path_factory.mktemp("large"), customers=12_000)


def followed(rows: pd.DataFrame) -> pd.DataFrame:
    """Subscriptions with what came next: `swapped`, `left`, and the `rise` in tiers."""
    rows = rows.sort_values(["customer_id", "started_at"])
    rows["rank"] = rows["plan_id"].map(TIERS.index)
    follower = rows.groupby("customer_id")[["started_at", "rank"]].shift(-1)
    rows["swapped"] = rows["ended_at"].notna() & (follower["started_at"] == rows["ended_at"])
    rows["left"] = rows["ended_at"].notna() & ~rows["swapped"]
    rows["rise"] = (follower["rank"] - rows["rank"]).where(rows["swapped"])
    return rows


@pytest.fixture(scope="module")
def large(large_files):
    return followed(without_versions(large_files["subscriptions"]))


@pytest.fixture(scope="module")
def periods(large, large_files):
    """One row per billing period of a first spell that ended before as_of: `origin` (first tier), `age` and `end`,
    whether the customer `left` there, the documented chance to leave (`base`) and the factors on it."""
    earlier_ends = large.groupby("customer_id")["left"].cumsum() - large["left"]
    rows = large[earlier_ends == 0].copy()
    first = rows.groupby("customer_id")[["started_at", "plan_id"]].transform("first")
    step = np.where(rows["interval"] == "year", 12, 1)
    billed = months_between(rows["started_at"], rows["ended_at"].fillna(rows["current_period_end"])) // step
    unfinished = rows["ended_at"].isna() | (rows["ended_at"] >= AS_OF)      # a known end alone would bias the rates
    rows = rows.assign(origin=first["plan_id"], joined=first["started_at"], step=step, count=billed - unfinished,
                       age=months_between(first["started_at"], rows["started_at"]), finished=~unfinished)
    each = rows.loc[rows.index.repeat(rows["count"])].reset_index(drop=True)
    nth = each.groupby("subscription_id").cumcount() + 1
    is_last = (nth == each["count"]) & each["finished"]
    each = each.assign(age=each["age"] + nth * each["step"], left=each["left"] & is_last,
                       rise=each["rise"].where(is_last))
    each["end"] = each["joined"]
    for age, part in each.groupby("age"):
        each.loc[part.index, "end"] = part["joined"] + pd.DateOffset(months=age)
    hazards = truth("first tier", "month 1–3").loc[each["origin"]]
    bands = [each["interval"] == "year", each["age"] <= 3, each["age"] <= 6, each["age"] <= 12]
    names = ["each yearly renewal", "month 1–3", "4–6", "7–12"]
    each["base"] = np.select(bands, [hazards[name] for name in names], hazards["from 13"])

    told = yaml.safe_load((large_files["customers"].parent / "truth.yaml").read_text())
    each["shock"] = each["end"].dt.strftime("%Y-%m").map(told["shocks"])
    joined = pd.read_csv(large_files["customers"]).set_index("customer_id")["loyalty_joined_at"]
    each["loyalty"] = np.where(each["customer_id"].map(joined).notna(), 0.75, 1)
    touches = pd.read_csv(large_files["touches"])
    for name, factor, ages in (("onboarding_call", 0.7, (1, 3)), ("renewal_check_in", 0.65, (11, 13))):
        arm = touches[touches["programme"] == name].set_index("customer_id")["holdout"]
        each[f"{name}_holdout"] = each["customer_id"].map(arm).where(each["age"].between(*ages))
        each[name] = np.where(each[f"{name}_holdout"] == False, factor, 1)  # noqa: E712  (absent is neither)
    tickets = pd.read_csv(large_files["support_tickets"], parse_dates=["opened_at"]).query("severity == 1")
    after = each[["customer_id", "end"]].reset_index().sort_values("end")
    match = pd.merge_asof(tickets.sort_values("opened_at"), after, left_on="opened_at", right_on="end", by="customer_id",
                          direction="forward")
    each["ticket"] = np.where(each.index.isin(match["index"]), 1.8, 1)
    met = (each["plan_id"] == "plus") & (each["joined"] < RISE) & (each["end"] >= RISE) & (each["end"] < "2024-11-01")
    each["price_rise"] = np.where(met, 1.5, 1)
    return each


EFFECTS = ["shock", "loyalty", "onboarding_call", "renewal_check_in", "ticket", "price_rise"]


def chance(periods: pd.DataFrame, *but: str) -> pd.Series:
    """The true chance to leave at the end of each period, with all effects but those named."""
    return periods["base"] * periods[[name for name in EFFECTS if name not in but]].prod(axis=1)


def standard_errors(happened: pd.Series, chance: pd.Series) -> float:
    """How far a sum of independent events lies from its expectation."""
    return (happened.sum() - chance.sum()) / math.sqrt((chance * (1 - chance)).sum())


# Files

def test_equal_arguments_give_equal_bytes_on_one_thread_too(written, tmp_path, monkeypatch):
    monkeypatch.setattr(duckdb, "connect", functools.partial(duckdb.connect, config={"threads": 1}))
    again = write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.csv" for name in KEYS} | {"truth.yaml"}
    for path in [*again.values(), tmp_path / "truth.yaml"]:
        assert path.read_bytes() == (written["plans"].parent / path.name).read_bytes(), path.name


def test_another_seed_gives_another_company(written, tmp_path):
    other = write(tmp_path, seed=2)
    same = {name for name in KEYS if other[name].read_bytes() == written[name].read_bytes()}
    assert same == {"plans", "business_events"}


def test_the_files_that_the_kit_reads_are_returned_in_order(tmp_path):
    paths = demo.write_demo(tmp_path, customers=7, months=2)
    assert paths == [tmp_path / f"{name}.csv" for name in demo.FILES] and all(path.is_file() for path in paths)


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


def test_true_parameters_are_whole_numbers_and_words():
    cells = [cell for rows in TRUE.values() for row in rows for cell in row.values()]
    flat = [item for cell in cells for item in (cell if isinstance(cell, list) else [cell])]
    assert {type(item) for item in flat} == {int, str, bool, type(None)}     # a float would make SQL's sums inexact


def test_every_query_file_is_a_step():
    assert {path.stem for path in demo.QUERIES.glob("*.sql")} == set(demo.STEPS)


@pytest.mark.parametrize("name", KEYS)
def test_rows_are_ordered_by_a_unique_key(files, name):
    keys = list(files[name][KEYS[name]].fillna("").itertuples(index=False, name=None))
    assert len(keys) > 0 and keys == sorted(set(keys))


@pytest.mark.parametrize("name", KEYS)
def test_every_column_of_the_contract_is_filled_somewhere_and_no_other_is_written(files, name):
    columns = list(TABLES[name].columns) if name in TABLES else MORE[name].split()
    assert set(files[name]) == set(columns)
    assert not [column for column in columns if files[name][column].isna().all()]


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
    plans = pd.read_csv(tmp_path / "plans.csv").set_index("plan_id")          # the rise was before the book
    assert plans.loc["plus", ["list_price", "valid_from"]].to_list() == [20, "2024-11-01"]


def test_events_happen_on_the_documented_days_and_only_within_the_book(files, tmp_path):
    table = TRUTH.read_text().split("## Business events")[1].split("## ")[0]
    rows = re.findall(r"^\| (\d+) \| (\d+) \| ([^|]+) \| (\w+) \|$", table, flags=re.MULTILINE)
    june = pd.Period("2025-06")
    expected = [(f"{june - int(months)}-{int(day):02d}", label, kind) for months, day, label, kind in rows]
    assert len(rows) == 6 and all(len(label) <= 28 for _, _, label, _ in rows)
    events = files["business_events"]
    assert list(events[["date", "label", "kind"]].itertuples(index=False, name=None)) == expected
    demo.write_demo(tmp_path, customers=7, months=9, end="2024-12")           # the event of 8 months before is the oldest
    assert pd.read_csv(tmp_path / "business_events.csv")["date"].to_list() == ["2024-04-21", "2024-09-11"]


def test_the_price_rise_is_announced_45_days_ahead_with_its_plan_and_percentage(files):
    [rise] = files["business_events"].query("kind == 'price_change'").to_dict("records")
    assert [rise["date"], rise["announced_on"], rise["plan_id"]] == ["2024-08-01", "2024-06-17", "plus"]
    assert rise["effect_pct"] == pytest.approx(100 * (20 / 18 - 1), abs=0.005)


# The book

def test_customers_join_in_every_month_and_more_of_them_later(files):
    joined = pd.to_datetime(files["customers"]["created_at"]).dt.to_period("M").value_counts().sort_index()
    assert len(joined) == 36 and joined.sum() == 3000
    # The weight of July is 100, 124, 148 times its season: the third is 1.48 times the first, to one customer
    assert joined["2024-07"] / joined["2022-07"] == pytest.approx(1.48, abs=0.03)


def test_every_row_belongs_to_a_customer_and_what_it_names(files):
    known = set(files["customers"]["customer_id"])
    for name in ("subscriptions", "addons", "transactions", "usage", "feedback", "support_tickets", "touches"):
        assert set(files[name]["customer_id"].dropna()) <= known, name
    assert set(files["subscriptions"]["customer_id"]) == known
    assert set(files["transactions"]["subscription_id"].dropna()) <= set(files["subscriptions"]["subscription_id"])
    plans = set(files["plans"]["plan_id"])
    assert set(files["subscriptions"]["plan_id"]) | set(files["addons"]["addon_id"]) <= plans
    tiers = files["plans"].query("kind == 'tier'")
    entitled = set(";".join(tiers["features"]).split(";"))
    assert set(files["usage"]["feature"]) <= entitled
    assert set(files["transactions"]["product_id"]) <= plans | set(files["costs"]["scope_id"].dropna()) | {"report-benchmark"}


def test_referred_customers_came_after_who_sent_them(files):
    customers = files["customers"].set_index("customer_id")
    referred = customers.dropna(subset="referred_by")
    assert (referred["channel"] == "referral").all() and len(referred) > 300
    assert (customers.loc[referred["referred_by"], "created_at"].to_numpy() < referred["created_at"]).all()


def test_test_accounts_pay_nothing_and_buy_nothing(files):
    internal = files["customers"].query("is_internal")
    assert len(internal) / 3000 == pytest.approx(0.006, abs=4 * math.sqrt(0.006 / 3000))
    terms = files["subscriptions"][files["subscriptions"]["customer_id"].isin(internal["customer_id"])]
    assert (terms["discount_amount"] == terms["unit_amount"] * terms["quantity"]).all()
    assert terms["discount_ends_at"].isna().all()
    bought = files["transactions"][files["transactions"]["customer_id"].isin(internal["customer_id"])]
    assert not len(bought[~bought["transaction_id"].str.contains("late|dirty")])
    assert not files["addons"]["customer_id"].isin(internal["customer_id"]).any()
    assert not files["touches"]["customer_id"].isin(internal["customer_id"]).any()


def test_subscriptions_of_a_customer_never_overlap(subscriptions):
    rows = subscriptions.sort_values(["customer_id", "started_at"])
    assert (rows["ended_at"].isna() | (rows["ended_at"] > rows["started_at"])).all()
    earlier = rows.groupby("customer_id")["ended_at"].shift()
    later = rows["customer_id"].duplicated()
    assert (earlier[later] <= rows.loc[later, "started_at"]).all()              # an open one has no successor
    gaps = rows.loc[later & (earlier < rows["started_at"]), "started_at"] - earlier
    assert gaps.dropna().dt.days.between(61, 180).all() and gaps.notna().sum() > 100


def test_a_new_price_is_a_new_version_of_the_subscription_from_the_first_renewal_on(written):
    rows = pd.read_csv(written["subscriptions"], parse_dates=TIMES)
    old, new = rows[rows["valid_to"].notna()], rows[rows["subscription_id"].duplicated()]
    assert (old["subscription_id"].to_numpy() == new["subscription_id"]).all() and len(old) > 100
    assert (old["valid_to"].to_numpy() == new["valid_from"]).all() and (old["started_at"].to_numpy() == new["started_at"]).all()
    assert (rows["valid_from"] == rows["started_at"])[~rows["subscription_id"].duplicated()].all()
    assert old["ended_at"].isna().all() and (old["valid_from"] < RISE).all() and (new["valid_from"] >= RISE).all()
    period = np.where(old["interval"] == "year", 12, 1)
    last_at_the_old_price = months_between(pd.Series(RISE, old.index), old["valid_to"])
    assert (last_at_the_old_price <= period).all()                            # the first renewal, not a later one
    prices = rows.query("plan_id == 'plus'").groupby([rows["valid_from"] < RISE, "interval"])["unit_amount"].unique()
    assert {key: value.tolist() for key, value in prices.items()} == {
        (True, "month"): [18], (True, "year"): [180], (False, "month"): [20], (False, "year"): [200]}
    others = rows.query("plan_id != 'plus'").groupby(["plan_id", "interval"])["unit_amount"].unique()
    assert {key: value.tolist() for key, value in others.items()} == {
        (plan, interval): [price * (10 if interval == "year" else 1)]
        for plan, price in (("starter", 5), ("team", 60), ("business", 240)) for interval in ("month", "year")}


def test_list_prices_change_on_the_day_of_the_rise(files):
    plus = files["plans"].query("plan_id == 'plus'")
    assert plus[["valid_from", "list_price"]].values.tolist() == [["2022-07-01", 18], ["2024-08-01", 20]]
    assert files["plans"]["plan_id"].value_counts().drop("plus").eq(1).all()


def test_seats_are_those_of_business_accounts_and_heavy_tailed(large):
    business = large[large["plan_id"] == "business"]
    assert (large.loc[large["plan_id"] != "business", "quantity"] == 1).all()
    seats = business.groupby("customer_id")["quantity"].first()
    assert set(seats) == {1, 2, 3, 4, 6, 15}
    assert seats.mean() == pytest.approx(2.35, abs=4 * np.std(RATES["seats"]) / math.sqrt(len(seats)))
    top = seats.sort_values().tail(len(seats) // 20).sum() / seats.sum()
    assert top > 0.2                                                          # 5 % hold 15 ÷ 47 of the seats


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


def test_a_status_says_how_the_subscription_stands(subscriptions):
    live = subscriptions["ended_at"].isna() | (subscriptions["ended_at"] >= AS_OF)
    paused = live & subscriptions["paused_at"].notna() & subscriptions["resumed_at"].isna()
    late, trying = live & subscriptions["past_due_since"].notna(), live & (subscriptions["trial_ended_at"] >= AS_OF)
    expected = np.select([~live, trying, late, paused], ["canceled", "trialing", "past_due", "paused"], "active")
    assert (subscriptions["status"] == expected).all() and subscriptions["status"].nunique() == 5
    since = subscriptions["past_due_since"].dropna()
    assert ((since < AS_OF) & (since >= AS_OF - pd.Timedelta(days=5))).all()


def test_pauses_lie_within_their_subscription_and_version_and_bill_nothing(files, subscriptions):
    paused = subscriptions[subscriptions["paused_at"].notna()]
    end = paused["ended_at"].fillna(AS_OF)
    assert len(paused) > 50
    assert (paused["started_at"] < paused["paused_at"]).all() and (paused["paused_at"] < end).all()
    versions = files["subscriptions"].dropna(subset="paused_at")             # ISO times order as text
    assert (versions["resumed_at"].fillna("9") > versions["valid_from"]).all()
    assert (versions["paused_at"] < versions["valid_to"].fillna("9")).all()
    back = paused["resumed_at"].notna()
    assert (paused["paused_at"] < paused["resumed_at"])[back].all() and (paused["resumed_at"] < end)[back].all()
    billed = paused.merge(files["transactions"].query("type == 'sale' and status == 'paid'"), on="subscription_id")
    begun = pd.to_datetime(billed["service_start"])
    assert not ((begun >= billed["paused_at"]) & (begun < billed["resumed_at"].fillna(AS_OF))).any()


def test_invoices_add_up_to_the_terms_of_the_subscription(files, subscriptions, written):
    """Ended before June 2025, of one price, never paused: months × price × seats, less discounts and half a trial month."""
    versions = pd.read_csv(written["subscriptions"])["subscription_id"].value_counts()
    rows = subscriptions[(subscriptions["ended_at"] < "2025-06-01") & subscriptions["paused_at"].isna()
                         & subscriptions["subscription_id"].map(versions).eq(1)]
    step = np.where(rows["interval"] == "year", 12, 1)
    periods = months_between(rows["started_at"], rows["ended_at"]) // step
    reduced = np.minimum(periods, months_between(rows["started_at"], rows["discount_ends_at"]) // step)
    reduced = reduced.where(rows["discount_amount"].isna() | rows["discount_ends_at"].notna(), periods).fillna(0)
    price, off = rows["unit_amount"] * rows["quantity"], rows["discount_amount"].fillna(0)
    expected = periods * price - reduced * off - ((price - off) / 2).where(rows["trial_ended_at"].notna(), 0)
    invoices = files["transactions"].query("type == 'sale' and status == 'paid'")
    paid = invoices["amount"].astype(float).groupby(invoices["subscription_id"]).sum()
    assert len(rows) > 1000 and (reduced > 0).sum() > 100 and rows["trial_ended_at"].notna().sum() > 100
    assert (rows["quantity"] > 1).sum() > 10
    assert paid.reindex(rows["subscription_id"]).fillna(0).to_numpy() == pytest.approx(expected.to_numpy(), abs=0.005)


def test_a_line_is_quantity_times_price_less_discount_with_tax_on_top(files):
    rows = files["transactions"].query("type == 'sale' and currency == currency")
    rows = rows.assign(amount=pd.to_numeric(rows["amount"], errors="coerce")).dropna(subset=["amount", "customer_id"])
    rows = rows[~rows["transaction_id"].str.contains("late|dirty")]
    expected = rows["quantity"] * rows["unit_price"] - rows["discount"]
    assert rows["amount"].to_numpy() == pytest.approx(expected.to_numpy(), abs=0.005)
    percent = {"US": 0, "GB": 20, "DE": 19, "FR": 20, "CA": 5, "NL": 21}
    country = files["customers"].set_index("customer_id")["country"]
    taxed = rows.dropna(subset="tax")
    expected = taxed["amount"] * taxed["customer_id"].map(country).map(percent) / 100
    assert taxed["tax"].to_numpy() == pytest.approx(expected.to_numpy(), abs=0.005001) and len(taxed) > 40_000


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
        "without customer": rows["customer_id"].isna().sum(),
        "dated after the last month": (dates >= AS_OF).sum(),
        "unreadable date": dates.isna().sum(),
        "unreadable amount": pd.to_numeric(rows["amount"], errors="coerce").isna().sum(),
    }
    assert found == truth("rows of transactions.csv", "always")["always"].to_dict()
    assert dates.max() < pd.Timestamp("2025-08-01") and (dates == AS_OF).sum() == 1      # the edge itself is too late


def test_adjustments_second_lines_and_second_attempts_are_as_frequent_as_documented(files):
    rows = files["transactions"]
    paid = rows[(rows["type"] == "sale") & (rows["status"] == "paid")]
    orders = paid[paid["transaction_id"].str.startswith("O-") & paid["line_no"].eq(1)]
    failed = rows[(rows["status"] == "failed") & rows["transaction_id"].str.startswith("F-I")]
    invoices = paid["transaction_id"].str.startswith("I-").sum()
    for true, found, of in ((0.001, (rows["type"] == "adjustment").sum(), len(paid)),
                            (0.05, (paid["line_no"] == 2).sum(), len(orders)), (0.03, len(failed), invoices)):
        assert found / of == pytest.approx(true, abs=4 * math.sqrt(true / of))


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
    customers = files["customers"].query("not is_internal")
    weeks = (AS_OF - pd.to_datetime(customers["created_at"])).dt.days.to_numpy()[:, None] / 7
    stopping = np.where(q == 0, 1, q)
    implied = 0.7 * np.where(q == 0, p * weeks, (1 - (1 - p * q) ** weeks) / stopping).mean(axis=1)
    rows = files["transactions"].query("type == 'sale' and item_type in ('service', 'one_off') and line_no == 1")
    rows = rows[~rows["transaction_id"].str.contains("late|dirty|guest")]
    bought = rows["customer_id"].value_counts().reindex(customers["customer_id"], fill_value=0)
    assert bought.sum() == pytest.approx(implied.sum(), abs=4 * bought.std() * math.sqrt(len(customers)))


def test_addons_are_bought_by_a_quarter_and_more_often_on_higher_tiers(files, subscriptions):
    first = subscriptions.sort_values("started_at").groupby("customer_id")["plan_id"].first()
    share = first.index.isin(files["addons"]["customer_id"])
    by_tier = pd.Series(share, index=first.index).groupby(first).mean()
    assert 0.2 < share.mean() < 0.3
    assert by_tier["starter"] < by_tier["plus"] < by_tier["team"] < by_tier["business"]


def test_media_cost_per_customer_is_that_of_the_channel(files):
    spend = files["marketing_spend"].query("kind == 'media'").groupby("channel")["amount"].sum()
    won = files["customers"].query("not is_internal")["channel"].value_counts()
    cost = (spend / won).drop("organic")                                     # organic has customers and no spend
    # 36 months, each uniform within a tenth: standard error below 0.1/√3/√36, about 1 %; four of them
    assert cost.to_dict() == pytest.approx({"search": 260, "social": 270, "partner": 330, "referral": 110}, rel=0.04)


def test_test_accounts_cost_no_media(files):
    """Customers won × the channel's cost × a whole percent from 90 to 110, where a channel has no campaigns."""
    joined = files["customers"].query("not is_internal")
    won = joined.groupby([joined["created_at"].str[:7] + "-01", "channel"]).size()
    spend = files["marketing_spend"].query("kind == 'media'").set_index(["period_start", "channel"])["amount"]
    for channel, cost in (("partner", 330), ("referral", 110)):
        percent = 100 * spend.xs(channel, level=1) / won.xs(channel, level=1) / cost
        assert percent.to_numpy() == pytest.approx(percent.round().to_numpy()) and percent.between(89.9, 110.1).all()


def test_direct_costs_are_22_percent_of_sales_and_retention_4(files):
    rows = files["transactions"].query("type == 'sale' and status == 'paid'")
    rows = rows[rows["customer_id"].notna() & ~rows["transaction_id"].str.contains("late|dirty")]
    sales = in_dollars(rows["amount"].astype(float), rows["currency"], pd.to_datetime(rows["transacted_at"]), files["fx_rates"])
    shares = files["costs"].groupby("category")["amount"].sum() / sales.sum()
    assert shares[["cogs", "hosting", "support", "payment_fees"]].sum() == pytest.approx(0.22, rel=0.02)
    assert shares[["retention", "loyalty"]].sum() == pytest.approx(0.04, rel=0.02)


def test_usage_is_of_entitled_features_or_an_attempt_one_tier_below(files, written):
    usage = files["usage"].assign(date=pd.to_datetime(files["usage"]["date"]))
    rows = pd.read_csv(written["subscriptions"], parse_dates=TIMES)
    live = usage.reset_index().merge(rows, on="customer_id")
    live = live[(live["valid_from"].dt.normalize() <= live["date"])
                & ~(live["date"] > live[["ended_at", "valid_to"]].min(axis=1))]
    assert set(live["index"]) == set(usage.index)                            # everybody who uses has a subscription then
    level = live["feature"].map({"dashboards": 0, "alerts": 1, "sharing": 2, "audit": 3})
    tier = live["plan_id"].map(TIERS.index)
    by_row = (tier >= level).groupby(live["index"])                          # on the day of a move both tiers are live
    assert by_row.max()[~usage["gated"]].all() and not by_row.min()[usage["gated"]].any()
    assert (live.loc[live["gated"], "feature"] != "dashboards").all() and 0.02 < usage["gated"].mean() < 0.1
    known = live[~live["gated"] & by_row.min()[live["index"]].to_numpy()]
    for name, plan, share in (("alerts", "plus", 0.65), ("sharing", "team", 0.7), ("audit", "business", 0.3)):
        used = known[known["plan_id"] == plan]["feature"].value_counts()
        assert used[name] / used["dashboards"] == pytest.approx(share / 0.92, abs=0.04)
    assert (usage["count"] > 0).all() and (usage["limit_share"].notna() == (usage["feature"] == "dashboards")).all()
    assert (usage["date"] < AS_OF).all()


def test_feedback_is_answered_after_it_is_asked_and_handled_after_it_is_answered(files):
    rows = files["feedback"]
    asked, answered, handled = (pd.to_datetime(rows[c]) for c in ("asked_at", "answered_at", "handled_at"))
    assert (asked < answered)[answered.notna()].all() and (answered < handled)[handled.notna()].all()
    assert (rows[["asked_at", "answered_at", "handled_at"]].max() < "2025-07-01").all()
    assert set(rows["kind"]) == {"nps", "csat", "onboarding", "cancel"}
    assert rows.loc[answered.isna(), ["score", "text"]].isna().all(axis=None)
    scores = rows.groupby("kind")["score"]
    assert scores.min()[["nps", "csat"]].to_list() == [0, 1] and scores.max()[["nps", "csat"]].to_list() == [10, 5]
    assert scores.count()["cancel"] == 0


def test_who_is_about_to_leave_answers_worse_and_uses_less(files, subscriptions):
    last = subscriptions.sort_values("started_at").drop_duplicates("customer_id", keep="last")
    ends = last.set_index("customer_id")["ended_at"]
    nps = files["feedback"].query("kind == 'nps'").dropna(subset="score")
    near = (nps["customer_id"].map(ends) - pd.to_datetime(nps["asked_at"])).dt.days.between(0, 30)
    assert nps.loc[near, "score"].mean() < nps.loc[~near, "score"].mean() - 2
    usage = files["usage"].query("feature == 'dashboards'")
    left = (usage["customer_id"].map(ends) - pd.to_datetime(usage["date"])).dt.days.between(0, 27)
    assert usage.loc[left, "count"].mean() < 0.6 * usage.loc[~left, "count"].mean()


def test_tickets_are_answered_in_order_and_bad_ones_are_reopened(files):
    rows = files["support_tickets"]
    opened, replied, solved = (pd.to_datetime(rows[c]) for c in ("opened_at", "first_reply_at", "solved_at"))
    assert (opened < replied)[replied.notna()].all() and (opened < solved)[solved.notna()].all()
    assert (rows[["opened_at", "first_reply_at", "solved_at"]].max() < "2025-07-01").all()
    bad = rows["severity"] == 1
    assert (rows["reopened"].dropna() > 0).eq(bad[rows["reopened"].notna()]).all()
    assert ((replied - opened) >= pd.Timedelta(days=1))[replied.notna() & bad].all()
    assert rows.loc[bad, "csat"].dropna().eq("bad").all() and rows["csat"].eq("good").sum() > 100


def test_a_programme_reaches_those_there_then_and_holds_its_share_out_for_nothing(large_files, large):
    touches = pd.read_csv(large_files["touches"], parse_dates=["touched_at"])
    shares = touches.groupby("programme")["holdout"].agg(["mean", "size"])
    for programme, held in (("onboarding_call", 0.2), ("monthly_digest", 0.2), ("upgrade_offer", 0.1),
                            ("renewal_check_in", 0.3), ("win_back", 0.5)):
        found, n = shares.loc[programme]
        assert n > 1000 and found == pytest.approx(held, abs=4 * math.sqrt(held * (1 - held) / n))
    assert (touches.loc[touches["holdout"], "cost"] == 0).all() and (touches.loc[~touches["holdout"], "cost"] > 0).all()
    assert (touches["response"].isna() == touches["holdout"]).all()
    left = large[large["left"]].groupby("customer_id")["ended_at"].first().reindex(touches["customer_id"]).to_numpy()
    back = touches["programme"] == "win_back"
    assert (touches.loc[~back, "touched_at"] < pd.Series(left).fillna(AS_OF)[~back.to_numpy()].to_numpy()).all()
    assert ((touches["touched_at"] - left).dt.days[back] == 30).all()
    consent = pd.read_csv(large_files["customers"]).set_index("customer_id")["marketing_consent"]
    asked = consent[touches["customer_id"]].groupby(touches["programme"].to_numpy()).mean()
    assert asked[["monthly_digest", "upgrade_offer", "win_back"]].eq(1).all() and 0.85 < asked["onboarding_call"] < 0.91


# True effects, counted in the files

@pytest.mark.parametrize("age", [1, 3, 4, 6, 7, 11, 12, 13])
def test_leaving_changes_at_the_documented_ages(periods, age):
    group = periods[(periods["age"] == age) & (periods["interval"] == "month")]
    assert abs(standard_errors(group["left"], chance(group))) < 4


@pytest.mark.parametrize("interval", ["month", "year"])
@pytest.mark.parametrize("tier", TIERS)
def test_leaving_is_the_true_chance_of_each_tier_and_interval(periods, tier, interval):
    group = periods[(periods["origin"] == tier) & (periods["interval"] == interval)]
    assert len(group) > 50 and abs(standard_errors(group["left"], chance(group))) < 4


@pytest.mark.parametrize("effect", [name for name in EFFECTS if name != "shock"])
def test_an_effect_is_the_true_one_and_seen_where_it_is_left_out(periods, effect):
    met = periods[periods[effect] != 1]
    assert abs(standard_errors(met["left"], chance(met))) < 4
    assert abs(standard_errors(met["left"], chance(met, effect))) > 4
    spared = periods[periods[effect] == 1]
    assert abs(standard_errors(spared["left"], chance(spared))) < 4


@pytest.mark.parametrize("programme", ["onboarding_call", "renewal_check_in"])
def test_held_out_customers_leave_as_if_there_were_no_programme(periods, programme):
    held = periods[periods[f"{programme}_holdout"] == True]  # noqa: E712  (absent is neither)
    assert len(held) > 300 and (held[programme] == 1).all()
    assert abs(standard_errors(held["left"], chance(held))) < 4


def test_bad_tickets_are_opened_in_the_20_days_before_a_period_ends(periods, large_files):
    tickets = pd.read_csv(large_files["support_tickets"], parse_dates=["opened_at"]).query("severity == 1")
    found = pd.merge_asof(tickets.sort_values("opened_at"), periods[["customer_id", "end"]].sort_values("end"),
                          left_on="opened_at", right_on="end", by="customer_id", direction="forward").dropna(subset="end")
    ahead = found["end"] - found["opened_at"]
    assert len(found) > 2000 and ahead.min() > pd.Timedelta(0) and ahead.max() <= pd.Timedelta(days=20)


def test_shocks_are_shared_by_a_month(periods):
    months = periods.groupby(periods["end"].dt.to_period("M"))
    found = months.apply(lambda part: standard_errors(part["left"], chance(part)))
    assert found.abs().max() < 4
    flat = months.apply(lambda part: standard_errors(part["left"], chance(part, "shock")))
    assert (flat**2).sum() > (found**2).sum() + 16                           # a likelihood ratio of e^8 for them


def test_a_programme_without_effect_changes_nothing(periods, large_files):
    touches = pd.read_csv(large_files["touches"]).query("programme == 'monthly_digest'").set_index("customer_id")["holdout"]
    after = periods[periods["age"].between(5, 7) & periods["customer_id"].isin(touches.index)]
    for contacted in (True, False):
        part = after[after["customer_id"].map(touches) != contacted]
        assert len(part) > 1000 and abs(standard_errors(part["left"], chance(part))) < 4


def test_leaving_depends_on_the_first_tier_and_not_on_the_present_one(periods):
    moved_up = periods[periods["plan_id"].map(TIERS.index) > periods["origin"].map(TIERS.index)]
    hazards = truth("first tier", "month 1–3")
    bands = [moved_up["interval"] == "year", moved_up["age"] <= 3, moved_up["age"] <= 6, moved_up["age"] <= 12]
    of_now = hazards.loc[moved_up["plan_id"]]
    base = np.select(bands, [of_now[n] for n in ("each yearly renewal", "month 1–3", "4–6", "7–12")], of_now["from 13"])
    assert abs(standard_errors(moved_up["left"], chance(moved_up))) < 4
    assert standard_errors(moved_up["left"], chance(moved_up.assign(base=base))) > 4     # lower


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("interval", ["month", "year"])
@pytest.mark.parametrize("tier", TIERS)
def test_moves_happen_at_the_true_rate_per_period_survived(periods, tier, interval, direction):
    survived = periods[(periods["plan_id"] == tier) & (periods["interval"] == interval) & ~periods["left"]]
    pausing = (survived["paused_at"] <= survived["end"]) & ~(survived["resumed_at"] < survived["end"])
    survived = survived[~pausing]
    moved = survived["rise"] == (1 if direction == "up" else -1)
    true = truth("tier", "up, monthly").loc[tier, f"{direction}, {interval}ly"]
    assert len(survived) > 50
    assert moved.mean() == pytest.approx(true, abs=4 * math.sqrt(true * (1 - true) / len(survived)))


def test_documented_chances_are_those_of_the_parameters():
    found = pd.DataFrame(TRUE["hazards"]).pivot_table(
        index="origin", columns=["period_months", "age_from"], values="leave_chance")
    documented = truth("first tier", "month 1–3")
    assert found.to_numpy() / 10_000 == pytest.approx(documented.drop(columns="billed yearly").to_numpy())
    tiers = pd.DataFrame(TRUE["tiers"]).set_index("plan_id").loc[TIERS]
    assert tiers["yearly_share"].to_numpy() / 10_000 == pytest.approx(documented["billed yearly"].to_numpy())
    moves = tiers[["up_monthly", "down_monthly", "up_yearly", "down_yearly"]]
    assert moves.to_numpy() / 10_000 == pytest.approx(truth("tier", "up, monthly").to_numpy())


def test_programmes_with_an_effect_do_not_overlap():
    ages = [age for p in TRUE["programmes"] if p["effect"] != 100 for age in range(p["effect_from"], p["effect_to"] + 1)]
    assert len(ages) == len(set(ages)) == 6                                  # else the walk would draw a period twice


def test_trials_discounts_failed_payments_and_returns_happen_at_the_documented_rates(large, large_files):
    customers = pd.read_csv(large_files["customers"]).set_index("customer_id")
    rows = pd.read_csv(large_files["subscriptions"], parse_dates=TIMES).sort_values(["customer_id", "valid_from"])
    first = rows[~rows["customer_id"].duplicated()]
    paying = first[~first["customer_id"].map(customers["is_internal"])]
    left = large[large["left"]]
    long_gone = left[left["ended_at"] < AS_OF - pd.Timedelta(days=181)]      # all who return have done so
    is_last = ~long_gone.index.isin(large.index[large["customer_id"].duplicated(keep="last")])
    old = customers["created_at"] < "2025-06"                                # time to join the loyalty programme
    shares = [
        (0.20, first.loc[first["interval"] == "month", "trial_ended_at"].notna()),
        (0.15, paying["discount_amount"].notna()),
        (0.20, left["churn_kind"] == "involuntary"),
        (0.12, pd.Series(~is_last)),
        (0.35, customers.loc[old, "loyalty_tier"].notna()),
        (0.88, customers["marketing_consent"]),
    ]
    for true, found in shares:
        assert found.mean() == pytest.approx(true, abs=4 * math.sqrt(true * (1 - true) / len(found)))


# truth.yaml

def expected(told: dict) -> pd.DataFrame:
    return pd.DataFrame(told["expected"]).set_index(["plan", "interval"])


def test_truth_of_a_company_small_enough_for_the_head(monkeypatch):
    """Half leave each month, and who stays on starter moves up: 5 now, 20 · ½, 20 · ¼ of an acquired customer."""
    monkeypatch.setattr(demo, "HORIZON", 3)
    monkeypatch.setattr(demo, "DISCOUNT", 3.0)           # 4 ** (1/12) a month
    true = changed(
        rates={"member": 0, "bad_ticket": 0, "pause": 0, "trial": 0, "discount": 0, "gross_margin": 5000},
        hazards={"leave_chance": 5000}, programmes={"effect": 100, "effect_from": 1, "effect_to": 1})
    true["tiers"][0]["up_monthly"] = 10_000
    true["tiers"][1].update(up_monthly=0, down_monthly=0)
    starter = expected(demo.truth(true, 1.0)).loc[("starter", "month")]
    assert starter["life_months"] == 1.75 and starter["hazards"] == [0.5, 0.5, 0.5]
    assert starter["margin"] == 0.5 * (5 + 20 / 2 + 20 / 4)
    assert starter["margin_discounted"] == pytest.approx(0.5 * (5 + 10 / 4 ** (1 / 12) + 5 / 4 ** (2 / 12)), abs=1e-6)


@pytest.mark.parametrize(("rates", "margin"), [
    ({"discount": 10_000, "discount_percent": 20}, 0.8 * 3 * 240),
    ({"trial": 10_000}, 2.5 * 240),                      # half the first month is charged
    ({"pause": 10_000, "pause_from": 1, "pause_ages": 1, "pause_longest": 1}, 2 * 240),
    ({"seats": [1, 3]}, 3 * 2 * 240),
    ({"bad_ticket": 128, "bad_ticket_effect": 300}, 240 * (1 + 0.8 + 0.64)),    # 10 %, half the time 30 %: 20 %
    ({"member": 10_000, "member_effect": 500}, 240 * (1 + 0.5 + 0.25)),         # 50 %
    ({"member": 5_000, "member_effect": 500}, 240 * (1 + 0.7 + (0.81 + 0.25) / 2)),    # who stays is the better half
])
def test_each_part_of_the_truth_by_hand(monkeypatch, rates, margin):
    """A business account for three months; nobody leaves but where the case says so, from a chance of 10 %."""
    monkeypatch.setattr(demo, "HORIZON", 3)
    calm = {"member": 0, "bad_ticket": 0, "pause": 0, "trial": 0, "discount": 0, "gross_margin": 10_000, "seats": [1]}
    leaving = 1000 if {"bad_ticket", "member"} & set(rates) else 0
    true = changed(rates=calm | rates, hazards={"leave_chance": leaving}, tiers={"down_monthly": 0},
                   programmes={"effect": 100, "effect_from": 1, "effect_to": 1})
    assert expected(demo.truth(true, 1.0)).loc[("business", "month"), "margin"] == pytest.approx(margin)


def test_prices_month_by_month_by_hand(monkeypatch):
    """Who starts on starter moves up to plus at the first end that allows it and stays; a year of business is 200 a month."""
    monkeypatch.setattr(demo, "HORIZON", 14)
    calm = {"pause": 0, "trial": 0, "discount": 0, "seats": [1]}
    pausing = {"pause": 10_000, "pause_from": 1, "pause_ages": 1, "pause_longest": 1}

    def price(origin, step, **rates):
        true = changed(rates=calm | rates, tiers={"down_monthly": 0, "up_yearly": 0, "down_yearly": 0})
        true["tiers"][0]["up_monthly"], true["tiers"][1]["up_monthly"] = 10_000, 0
        return demo.price(true, origin, step).tolist()

    assert price(1, 1) == [5] + 13 * [20]
    assert price(1, 1, **pausing) == [5, 0, 5] + 11 * [20]                    # no move at either end of the pause
    assert price(4, 1, trial=10_000) == [120] + 13 * [240]
    assert price(4, 12, trial=10_000) == 14 * [200]                           # no trial of a year
    assert price(4, 1, discount=10_000) == pytest.approx(3 * [192] + 11 * [240])
    assert price(4, 12, discount=10_000) == pytest.approx(12 * [160] + 2 * [200])


def test_a_programme_by_hand(monkeypatch):
    """A chance of 10 % at each of three ends; 80 % are called, which makes it 7 %."""
    monkeypatch.setattr(demo, "HORIZON", 3)
    true = changed(rates={"member": 0, "bad_ticket": 0}, hazards={"leave_chance": 1000})
    for programme in true["programmes"]:
        programme.update(effect=70 if programme["programme"] == "onboarding_call" else 100, effect_from=1, effect_to=3)
    contacted, held_out = ([q**age for age in range(4)] for q in (0.93, 0.9))
    assert demo.survival(true, 3, 1, {"onboarding_call": 1}) == pytest.approx(contacted)
    assert demo.survival(true, 3, 1, {"onboarding_call": 0}) == pytest.approx(held_out)
    assert demo.survival(true, 3, 1, {}) == pytest.approx(0.8 * np.array(contacted) + 0.2 * np.array(held_out))
    assert demo.survival(true, 3, 12, {"onboarding_call": 1}).tolist() == [1, 1, 1, 1]     # a year is not over
    told = demo.truth(true, 1.0)
    yearly = 0.1 * 0.292 + 0.2 * 0.4198 + 0.3 * 0.243 + 0.4 * 0.0452
    assert told["programmes"]["onboarding_call"] == {
        "hazard_ratio": 0.7, "ages": [1, 3], "contacted": pytest.approx(yearly + (1 - yearly) * 0.93**3, abs=1e-6),
        "held_out": pytest.approx(yearly + (1 - yearly) * 0.9**3, abs=1e-6)}
    assert told["programmes"]["monthly_digest"]["contacted"] == told["programmes"]["monthly_digest"]["held_out"]


def test_euros_count_at_the_rate_of_the_month():
    dollars, euros = expected(demo.truth(changed(countries={"currency": "USD"}), 1.2)), expected(demo.truth(in_euros(), 1.2))
    assert euros["margin"].to_numpy() == pytest.approx(1.075 * dollars["margin"].to_numpy())     # three in eight pay 1.2
    assert euros["life_months"].to_list() == dollars["life_months"].to_list()


def test_shares_of_new_customers_and_wholes_are_sums_of_their_parts():
    table = expected(demo.truth(TRUE, 1.0)).drop(columns="hazards").sort_index()
    parts = table.drop("all").drop("all", level=1)
    assert parts["share"].sum() == pytest.approx(1, abs=1e-5)
    for name in ("life_months", "margin", "margin_discounted"):
        assert table.loc[("all", "all"), name] == pytest.approx((parts["share"] * parts[name]).sum(), rel=1e-5)
    # by channels: of organic, 30 % of new customers, 30 % begin on starter; of search, 28 %, 25 %; …
    starter = 0.30 * 0.30 + 0.28 * 0.25 + 0.18 * 0.50 + 0.12 * 0.10 + 0.12 * 0.25
    assert table.loc[("starter", "all"), "share"] == pytest.approx(starter, abs=1e-6)
    assert table.loc[("starter", "year"), "share"] == pytest.approx(0.1 * starter, abs=1e-6)


def test_documented_expectations_are_those_of_truth_yaml():
    table, documented = expected(demo.truth(changed(countries={"currency": "USD"}), 1.0)), truth("first tier", "share of new")
    for tier in TIERS:
        whole = table.loc[(tier, "all")]
        months = [round(table.loc[(tier, interval), "life_months"], 2) for interval in ("month", "year", "all")]
        assert documented.loc[tier].to_list() == pytest.approx([round(whole["share"], 3), *months, round(whole["margin"])])


def test_truth_names_the_rise_and_the_shock_of_every_month(told):
    assert told["price_rise"]["on"] == "2024-08-01" and told["price_rise"]["effect"] == 150
    assert list(told["shocks"]) == [str(m) for m in pd.period_range("2022-07", "2025-06", freq="M")]
    assert 0.85 <= min(told["shocks"].values()) < 0.93 and 1.07 < max(told["shocks"].values()) <= 1.15
    assert told["loyalty"] == {"hazard_ratio": 0.75} and told["bad_ticket"] == {"hazard_ratio": 1.8}


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """First spells of everybody watched for 36 months in a company without shocks, price rise and large accounts (their few
    would need many more customers): months lived, and the margin of the subscription in them."""
    true = changed(rates={"shock": 0, "seats": [2]}, rises={"old_price": 20, "effect": 100}, countries={"currency": "USD"})
    paths = write(tmp_path_factory.mktemp("frozen"), true, customers=8_000, months=72)
    rows = followed(without_versions(paths["subscriptions"]))
    first = rows[~rows["customer_id"].duplicated()].set_index("customer_id")[["plan_id", "interval", "started_at"]]
    internal = pd.read_csv(paths["customers"]).set_index("customer_id")["is_internal"]
    first = first[(first["started_at"] + pd.DateOffset(months=36) < AS_OF) & ~internal.reindex(first.index)]
    left = rows[rows["left"]].groupby("customer_id")["ended_at"].first().reindex(first.index)
    first["life"] = months_between(first["started_at"], left).fillna(36).clip(upper=36)
    sales = pd.read_csv(paths["transactions"], parse_dates=["service_start"], low_memory=False)
    sales = sales[(sales["type"] == "sale") & (sales["status"] == "paid") & sales["subscription_id"].notna()]
    sales, begun = sales.assign(amount=sales["amount"].astype(float)), sales["service_start"]
    start, end = sales["customer_id"].map(first["started_at"]), sales["customer_id"].map(left)
    kept = (begun < start + pd.DateOffset(months=36)) & ~(begun >= end)
    first["margin"] = (0.78 * sales[kept].groupby("customer_id")["amount"].sum()).reindex(first.index).fillna(0)
    return first, expected(demo.truth(true, 1.0))


@pytest.mark.parametrize("interval", ["month", "year", "all"])
@pytest.mark.parametrize("tier", [*TIERS, "all"])
def test_truth_is_what_many_customers_bring(frozen, tier, interval):
    first, told = frozen
    group = first[first["plan_id"].eq(tier) | (tier == "all")]
    group = group[group["interval"].eq(interval) | (interval == "all")]
    for name, column in (("life", "life_months"), ("margin", "margin")):
        error = group[name].std() / math.sqrt(len(group))
        assert len(group) > 50 and group[name].mean() == pytest.approx(told.loc[(tier, interval), column], abs=4 * error)


# The books

@pytest.fixture(scope="module", params=["USD", "EUR"])
def booked(request, tmp_path_factory):
    """A small company, all in USD or partly in EUR, as its files say."""
    true = in_euros() if request.param == "EUR" else changed(countries={"currency": "USD"})
    return read(write(tmp_path_factory.mktemp("books"), true, customers=400, months=20)), request.param


def in_dollars(amount: pd.Series, currency: pd.Series, moment: pd.Series, rates: pd.DataFrame) -> pd.Series:
    """At the last rate on or before the moment."""
    rows = pd.DataFrame({"amount": amount, "currency": currency, "date": moment.dt.normalize()}).reset_index()
    rates = rates.assign(date=pd.to_datetime(rates["date"]).astype(rows["date"].dtype))
    found = pd.merge_asof(rows.sort_values("date"), rates, on="date").set_index("index").sort_index()
    return found["amount"] * found["rate"].where(found["currency"] == "EUR", 1)


def test_customers_of_the_euro_area_are_billed_in_their_currency(booked):
    files, currency = booked
    country = files["customers"].set_index("customer_id")["country"]
    for name in ("subscriptions", "transactions"):
        rows = files[name][files[name]["customer_id"].isin(country.index)]
        rows = rows[~rows.get("transaction_id", rows["customer_id"]).str.contains("late|dirty")]
        area = rows["customer_id"].map(country).isin(["DE", "FR", "NL"])
        assert (rows.loc[area, "currency"] == currency).all() and (rows.loc[~area, "currency"] == "USD").all()
        assert 0.2 < area.mean() < 0.6


def test_rates_stand_on_the_last_day_of_each_month_and_walk_by_a_hundredth(booked):
    rates = booked[0]["fx_rates"]
    days = pd.date_range("2023-10-31", "2025-06-30", freq="ME")               # one before the book, twenty in it
    assert rates["date"].to_list() == list(days.strftime("%Y-%m-%d"))
    assert set(rates["from_currency"] + rates["to_currency"]) == {"EURUSD"}
    assert rates["rate"].iloc[0] == pytest.approx(1.08, abs=0.0101)
    steps = rates["rate"].diff().dropna()
    assert steps.abs().max() <= 0.01 + 1e-9 and steps.nunique() > 10


def test_the_ledger_ties_to_the_files(booked):
    """Net revenue, refunds and spend by month; MRR and paying customers at its end, from the terms in force there."""
    files, _ = booked
    rows = files["transactions"].query("status == 'paid'").assign(
        at=lambda part: pd.to_datetime(part["transacted_at"], errors="coerce", format="%Y-%m-%d %H:%M:%S"),
        amount=lambda part: pd.to_numeric(part["amount"], errors="coerce"))
    rows = rows[rows["at"].notna() & rows["amount"].notna() & (rows["at"] < AS_OF)].reset_index(drop=True)
    rows["usd"] = in_dollars(rows["amount"], rows["currency"], rows["at"], files["fx_rates"])
    month = rows["at"].dt.strftime("%Y-%m-01")
    spend = files["marketing_spend"]
    ours = {"net_revenue": rows["usd"].groupby(month).sum(),
            "refunds": -rows["usd"].where(rows["type"] == "refund", 0).groupby(month).sum(),
            "marketing_spend": spend["amount"].groupby(spend["period_start"]).sum()}
    subs = files["subscriptions"]
    subs = subs.assign(**{name: pd.to_datetime(subs[name]) for name in TIMES})
    mrr, active = {}, {}
    for end in pd.date_range("2023-12-01", AS_OF, freq="MS"):
        start, stop = subs[["valid_from", "trial_ended_at"]].max(axis=1), subs[["valid_to", "ended_at"]].min(axis=1)
        live = subs[(start < end) & ~(stop < end) & ~((subs["paused_at"] < end) & ~(subs["resumed_at"] < end))]
        off = live["discount_amount"].fillna(0).where(~(live["discount_ends_at"] < end), 0)
        amount = (live["unit_amount"] * live["quantity"] - off) / np.where(live["interval"] == "year", 12, 1)
        last_day = pd.Series(end - pd.Timedelta(days=1), live.index)
        usd = in_dollars(amount, live["currency"], last_day, files["fx_rates"]).groupby(live["customer_id"]).sum()
        mrr[f"{last_day.iloc[0]:%Y-%m}-01"], active[f"{last_day.iloc[0]:%Y-%m}-01"] = usd.sum(), (usd > 0).sum()
    ours |= {"mrr": pd.Series(mrr), "active_customers": pd.Series(active)}
    ledger = files["ledger_control"].pivot(index="month", columns="measure", values="amount")
    assert len(ledger) == 20 and set(ledger) == set(ours)
    for measure, amounts in ours.items():
        expected = amounts.reindex(ledger.index).fillna(0).to_numpy()
        assert ledger[measure].to_numpy() == pytest.approx(expected, abs=0.02), measure
    assert (ledger["refunds"] > 0).sum() > 10 and ledger["mrr"].iloc[-1] > 1000
