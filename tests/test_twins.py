"""Every headline query equals its pandas twin, which is written from the definitions on the source rows."""

import ast
import inspect
import re
from types import SimpleNamespace

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal, assert_series_equal
from twins import buying, lifetimes, paying, sources

from helpers.contracts import ROOT, read_yaml
from helpers.engine import SQL
from helpers.inputs import source_files

ROUNDED = 2400 * 0.00005  # SQL rounds the product of two amounts to four decimals, for each of up to 2,400 customers
LINES = 15  # a twin is read beside its query: at most so many lines, docstring left out


@pytest.fixture(scope="module")
def demo(dollar_book):
    """The demo company's files as pandas reads them."""
    folder, as_of = dollar_book.params.file.parent, pd.Timestamp("2025-07-01")
    files = {name: pd.read_csv(folder / f"{name}.csv") for name in dollar_book.params.sources}
    subs = sources.subscriptions(files["subscriptions"], as_of)
    spans = subs.rename(columns={"paid_from": "from", "paid_until": "until"})
    spans = spans[spans["from"] < as_of]
    first = spans.sort_values("from").groupby("customer_id").first()
    return SimpleNamespace(
        book=dollar_book, as_of=as_of, files=files, subs=subs, ends=sources.month_ends(subs["paid_from"].min(), as_of),
        lines=sources.transactions(files["transactions"], as_of, subscribed=True), started=first["from"],
        spells=lifetimes.first_spells(spans, as_of), term=first["term"],
        groups={"all": pd.Series("all", first.index), "plan": first["plan_id"],
                **files["customers"].set_index("customer_id")[["channel", "segment", "country"]]})


@pytest.fixture(scope="module")
def cdnow(cdnow_book):
    """CDNOW's raw lines as pandas reads them."""
    [path], as_of = source_files(cdnow_book.params, "transactions"), pd.Timestamp("1998-07-01")
    names = ["customer_id", "sample", "transacted_at", "quantity", "amount"]
    raw = pd.read_csv(path, sep=r"\s+", header=None, names=names, dtype="str")
    iso = raw["transacted_at"].str.replace(r"(....)(..)(..)", r"\1-\2-\3", regex=True)
    raw = raw.drop(columns="customer_id").assign(customer_id=raw["sample"], transacted_at=iso)
    lines = sources.transactions(raw, as_of, subscribed=False)
    spans = lines[lines["sale"]].assign(**{"from": lines["at"], "until": lines["at"] + pd.Timedelta(days=180)})
    first = lines[lines["sale"]].groupby("customer_id")["at"].min()
    return SimpleNamespace(
        book=cdnow_book, as_of=as_of, lines=lines, ends=sources.month_ends(lines["at"].min(), as_of), started=first,
        spells=lifetimes.first_spells(spans, as_of), groups={"all": pd.Series("all", first.index)},
        term=pd.Series(1, first.index))


@pytest.fixture(params=["demo", "cdnow"])
def company(request):
    return request.getfixturevalue(request.param)


def numbered(frame: pd.DataFrame) -> pd.DataFrame:
    """Months as the SQL counts them: year * 12 + month."""
    periods = [name for name in frame if isinstance(frame[name].dtype, pd.PeriodDtype)]
    index = {name: (frame[name].dt.year * 12 + frame[name].dt.month).where(frame[name].notna()) for name in periods}
    return frame.assign(**index)


def assert_equal(ours: pd.DataFrame, twin: pd.DataFrame, **tolerance) -> None:
    """The same rows in any order, counts and money exactly; types apart, for SQL has its own."""
    keys = list(ours)
    ours, twin = (numbered(f)[keys].convert_dtypes().sort_values(keys, ignore_index=True) for f in (ours, twin))
    assert len(ours)
    assert_frame_equal(ours, twin, check_dtype=False, **tolerance or {"check_exact": True})


def by_month(company) -> pd.DataFrame:
    months = company.book.frame("summaries/months")
    return months.set_index(pd.PeriodIndex(months["period"], freq="M"))


def test_a_twin_is_short_and_reads_nothing_of_ours():
    for path in sorted((ROOT / "tests" / "twins").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                said = node.body[0].end_lineno - node.body[0].lineno + 1 if ast.get_docstring(node) else 0
                assert node.end_lineno - node.lineno + 1 - said <= LINES, f"{path.name}: {node.name}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
                assert not any(name.startswith(("helpers", "duckdb", "sqlglot")) for name in names), path.name


def test_the_guide_shows_the_queries_and_the_twins_as_they_are():
    text = (ROOT / "docs" / "sql-for-pandas.md").read_text(encoding="utf-8")
    queries = {path.read_text(encoding="utf-8") for path in SQL.rglob("*.sql")}
    functions = {inspect.getsource(function) for module in (buying, lifetimes, paying)
                 for _, function in inspect.getmembers(module, inspect.isfunction)}
    shown = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    assert len(shown) >= 3 and set(shown) <= queries
    shown = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(shown) >= 3 and {f"{part.strip()}\n" for block in shown for part in block.split("\n\n\n")} <= functions


def test_the_demo_has_every_movement(demo):
    months = demo.book.frame("summaries/months")
    for name in [*paying.MOVES, "mrr_expansion", "mrr_contraction", "in_month_churn"]:
        assert months[name].sum() > 0, name


def test_subscribers_and_mrr_move_as_defined(demo):
    twin = paying.movements(demo.subs, demo.ends)
    assert_frame_equal(by_month(demo)[list(twin)], twin, check_dtype=False, check_names=False, check_exact=True,
                       check_index_type=False)


def test_in_month_churn_and_customers_acquired(demo):
    months = by_month(demo)
    twin = paying.in_month_churn(demo.subs, demo.ends)
    assert_series_equal(months["in_month_churn"], twin, check_names=False, check_index_type=False)
    acquired = demo.started.dt.to_period("M").value_counts().reindex(months.index, fill_value=0)
    assert_series_equal(months["acquired"], acquired, check_names=False, check_index_type=False)


def test_buyers_are_active_for_180_days(cdnow):
    twin = buying.activity(cdnow.lines, cdnow.ends)
    assert_frame_equal(by_month(cdnow)[list(twin)], twin, check_dtype=False, check_names=False, check_index_type=False)


def test_revenue_orders_and_buyers_of_each_month(company):
    twin = buying.sold(company.lines)
    assert_frame_equal(by_month(company)[list(twin)].astype("float64"), twin.astype("float64"), check_names=False,
                       check_exact=True, check_index_type=False)


def test_retained_mrr_of_one_and_twelve_months(demo):
    twin = paying.retained(demo.subs, demo.ends)
    ours = demo.book.frame("summaries/retained_mrr")
    exact = ["month", "span", "customers", "base", "kept", "now"]
    assert_equal(ours[exact], twin[exact])
    assert_equal(ours, twin, rtol=0, atol=ROUNDED)


def test_the_biggest_moves_of_the_month(company):
    if "subs" in vars(company):
        twin = paying.biggest_moves(company.subs, *company.ends[-2:])
    else:
        twin = buying.biggest_moves(company.lines, company.as_of.to_period("M") - 1)
    ours = company.book.frame("summaries/biggest_moves")
    assert len(ours) == 20 and ours["customer_id"].to_list() == twin["customer_id"].to_list()
    assert_equal(ours, twin)


def test_survival_counts_first_spells_by_completed_months(company):
    assert_equal(company.book.frame("summaries/survival"), lifetimes.survival(
        company.spells, company.groups, company.term))


def test_purchase_histories_for_bgnbd(company):
    assert_equal(company.book.frame("summaries/purchases"), buying.purchases(company.lines, company.as_of))


def test_purchase_histories_before_and_within_the_holdout(company):
    weeks = company.book.params.ltv_cac.holdout_weeks
    twin = buying.purchases_holdout(company.lines, company.as_of, weeks)
    assert_equal(company.book.frame("summaries/purchases_holdout"), twin)


def test_repeat_spend_for_gamma_gamma(company):
    assert_equal(company.book.frame("summaries/repeat_spend"), buying.repeat_spend(company.lines))


def test_rfm_scores_and_segments(company):
    codes = read_yaml("rfm_segments.yaml")
    segments = {code: name for name, members in codes.items() for code in members}
    twin = buying.rfm_customers(company.lines, company.as_of)
    twin["segment"] = (100 * twin["r"] + 10 * twin["f"] + twin["m"]).map(segments)
    assert_equal(company.book.engine.table("mart_rfm_customers").df(), twin)


def test_second_orders_by_age(company):
    assert_equal(company.book.frame("summaries/second_orders"), buying.second_orders(company.lines))


def test_cohorts_by_age(company):
    ends, sales = {end.to_period("M") - 1: end for end in company.ends[1:]}, company.lines[company.lines["sale"]]
    if "subs" in vars(company):
        mrr = {month: paying.mrr_at(company.subs, end)["mrr"] for month, end in ends.items()}
        active = {month: paid.index[paid > 0] for month, paid in mrr.items()}
    else:
        mrr = {month: pd.Series(dtype="float64") for month in ends}
        active = {month: part["customer_id"].unique() for month, part in sales.groupby("month")}
    revenue = {month: part.groupby("customer_id")["revenue"].sum() for month, part in company.lines.groupby("month")}
    assert_equal(company.book.frame("summaries/cohorts"), lifetimes.cohorts(company.started, active, revenue, mrr))


def test_what_a_customer_brings_a_month(company):
    if "subs" in vars(company):
        there = paying.mrr_at(company.subs, company.as_of)         # who pays or is paused
        y, x, active = there["mrr"], there["mrr"] * 0 + 1, (there["mrr"] > 0).astype("int64")
    else:
        year = company.lines[company.lines["at"] >= company.as_of - pd.DateOffset(months=12)]
        y = year.groupby("customer_id")["revenue"].sum()
        x = pd.concat([buying.active_at(company.lines, end).to_series() for end in company.ends[-12:]]).value_counts()
        active = x
    ours, twin = company.book.frame("summaries/customer_value"), lifetimes.worth(y, x, active, company.groups)
    exact = ["dimension", "member", "customers", "sum_y", "sum_x", "sum_active", "sum_xx"]
    assert_equal(ours[exact], twin[exact])
    assert_equal(ours, twin, rtol=0, atol=ROUNDED)


def test_tiers_at_both_ends_of_a_month(demo):
    rank = demo.files["plans"].groupby("plan_id")["tier_rank"].last()
    assert_equal(demo.book.frame("summaries/tier_states"), paying.tier_states(demo.subs, rank, demo.ends))


def test_spend_and_customers_won_by_month_and_channel(demo):
    rows = demo.files["marketing_spend"]
    rows = rows.assign(period_start=pd.to_datetime(rows["period_start"]), period_end=pd.to_datetime(rows["period_end"]))
    twin = lifetimes.spend(rows, demo.started, demo.groups["channel"], demo.as_of)
    assert_equal(demo.book.frame("summaries/spend"), twin, rtol=0, atol=1e-9)
