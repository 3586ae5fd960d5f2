"""The SQL stays in the portable subset, exact and ordered: parsed by SQLGlot, typed by DuckDB."""

import copy
import itertools
import re

import duckdb
import pytest
import sqlglot
from sqlglot import exp
from test_marts import sub

from helpers.contracts import BELOW, CARRIERS, DERIVED, FORMATS, KEPT, MARTS, TABLES, taken
from helpers.engine import SQL, template
from helpers.marts import PEOPLE, SPLIT
from helpers.refusals import SIGNED
from helpers.settings import Policy

QUERIES = {path.relative_to(SQL).with_suffix("").as_posix(): path.read_text(encoding="utf-8")
           for path in sorted(SQL.rglob("*.sql")) if path.parent.name != "demo"}     # demo: tests/test_demo.py
MACROS = QUERIES.pop("macros")
FILES = list(QUERIES)
# Templates hold for several tables: each is looked at as it is run.
FILLED = {
    **{f"staging/judged {name}": ("staging/judged", {"table": table, "below": BELOW}) for name, table in TABLES.items()},
    **{f"staging/staged {name}": ("staging/staged", {"table": TABLES[name]}) for name in TABLES if name != "transactions"},
    **{f"staging/{name}": (f"staging/{name}", {"table": TABLES["transactions"], "empty": []})
       for name in ("named_transactions", "numbered_transactions", "transactions")},
    "marts/transactions": ("marts/transactions", {"table": TABLES["transactions"]}),
    **{f"marts/kept {name}": ("marts/kept", {"table": TABLES[name]}) for name in KEPT},
    "staging/identity": ("staging/identity", {"people": PEOPLE}), "staging/rows": ("staging/rows", {"tables": list(TABLES)}),
    "staging/read": ("staging/read", {"tables": TABLES, "below": BELOW}),
    "summaries/volume_by_table": ("summaries/volume_by_table", {"tables": ["costs", "subscriptions", "transactions"]}),
    "summaries/columns": ("summaries/columns", {"columns": [("transactions", "amount"), ("costs", "month")]}),
    **{name: (name, {"dimensions": []}) for name in ["marts/customers", *SPLIT]},
    "marts/subscriptions": ("marts/subscriptions", {"dimensions": [], "policy": Policy()}),
    "marts/subscription_months": ("marts/subscription_months", {"policy": Policy(), "single": False}),
    "staging/invoiced": ("staging/invoiced", {"dimensions": []}),
    "marts/customer_timeline": ("marts/customer_timeline", {"policy": Policy()}),
    "summaries/months": ("summaries/months", {"policy": Policy()}),
    **{name: (name, {"month": "report_month"}) for name in ("staging/rfm_ranked", "staging/rfm_bounds", "marts/rfm_customers")},
    "staging/told": ("staging/told", {"dimensions": ["country"], "tables": ["customers"]}),
    **{f"formats/{form['query']} {name}": (
        f"formats/{form['query']}", {"rows": f"export_{name}", "own": [], "minor": False, "currency": "", **form.get("fills", {})})
       for name, form in FORMATS.items()},
    **{f"staging/below_zero {table}": ("staging/below_zero", {"table": table, "member": member})
       for table, member in SIGNED.items()},
    "summaries/rates": ("summaries/rates", {"tables": [table for table in TABLES.values() if "currency" in table.columns]}),
    "summaries/duplicates": ("summaries/duplicates", {"tables": [TABLES["transactions"], TABLES["costs"]]}),
}
for name, (file, names) in FILLED.items():
    QUERIES.pop(file, None)
    QUERIES[name] = template(file).render(names)
SUMMARIES = [name for name in QUERIES if name.startswith("summaries/")]

OTHER = {"movements_of": "subscription", "fx_rates_on": "invoice_date"}

# What counts the same on DuckDB and on Spark, by SQLGlot's names. Left out for a reason: list, first and last (their
# order by is lost), avg (a float of decimals), dayofweek, hash, log, ln, exp, random, now, current_*, unnest.
FUNCTIONS = {
    "and", "or", "case", "if", "cast", "try_cast", "coalesce", "greatest", "least", "round", "sqrt",
    "abs", "count", "sum", "min", "max", "median", "row_number", "rank", "lag", "lead",
    "extract", "datediff", "concat", "chr", "lower", "upper", "pad", "substring", "split_part", "md5",
}
# Within macros alone: they are written anew for each engine.
MACRO_FUNCTIONS = {"last_day", "regexp_like", "regexp_replace", "regexp_extract", "timezone", "replace", "floor", "length", "nullif",
                   "strptime", "try_strptime", "to_seconds", "trim", "timestamp_trunc"}
READING = {"as_text", "as_naive", "as_time", "signed", "as_number", "as_whole", "as_flag", "as_id", "is_filled", "surely_first", "begun_by",
           "without_offset", "calendar_day"}
MACRO_NAMES = READING | {"folded_id", "bare_id", "without_tag", "month_of", "second_of", "monthly", "nearest_units", "movement", "at_rate",
                         "months_lived", "term_of", "times", "rfm_score", "recency_score", "away_for",
                         "whole_months", "reads_as_total", "days_before", "in_service", "smallest_units"}
FORBIDDEN = (exp.Interval, exp.Pivot, exp.Unnest, exp.Placeholder, exp.Parameter, exp.WithinGroup)
PASTED = re.compile(r"[{}?$]|%s")
KEYS = {"customer_id", "plan_id", "line", "part", "day", "rate", "feedback_id"}  # an order that ends in one of these is total
MOMENTS = {"DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}
FLOATS = {"DOUBLE", "FLOAT"}
ALIKE = {"s.position": "stage", "r.nth": "customer_id"}   # a column that is not shown: the one that goes with it


def parsed(text: str) -> exp.Expression:
    [query] = sqlglot.parse(text, dialect="duckdb")
    return query


def function_name(node: exp.Func) -> str:
    return (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()


def unportable(text: str) -> list[str]:
    """What a query uses beyond the portable subset."""
    query = parsed(text)
    found = [name for name in map(function_name, query.find_all(exp.Func)) if name not in FUNCTIONS | MACRO_NAMES]
    found += [node.sql("duckdb") for node in query.find_all(*FORBIDDEN)]
    found += [node.sql("duckdb") for node in query.find_all(exp.DateDiff) if str(node.unit).upper().strip("'") != "DAY"]
    found += [node.sql("duckdb") for node in query.find_all(exp.Order) if isinstance(node.parent, exp.AggFunc)]
    return found + ["asof" for node in query.find_all(exp.Join) if node.method.lower() == "asof"]


def type_within(connection: duckdb.DuckDBPyConnection, node: exp.Expression) -> str:
    """The type that DuckDB gives an expression where it stands: its select again, with nothing else selected."""
    select, root = node.find_ancestor(exp.Select), node.root()
    inside = select.find_ancestor(exp.CTE)
    sources = {key: select.args[key] for key in ("from_", "joins") if select.args.get(key)}
    probe = exp.Select(expressions=[exp.alias_(node.copy(), "probe")], **copy.deepcopy(sources))
    for cte in itertools.takewhile(lambda cte: cte is not inside, root.ctes):
        probe = probe.with_(cte.alias, cte.this.copy())
    return str(connection.sql(probe.sql("duckdb")).types[0])


def inexact(text: str, connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Sums whose result depends on the order of adding, and differences of moments, which engines read differently."""
    query = parsed(text)
    found = [node for node in query.find_all(exp.Sum, exp.Avg) if type_within(connection, node.this) in FLOATS]
    for node in query.find_all(exp.Sub):
        if {type_within(connection, node.left), type_within(connection, node.right)} <= MOMENTS:
            found.append(node)
    return [node.sql("duckdb") for node in found]


def loose_windows(text: str) -> list[str]:
    """Windows that pick or add up rows in an order that is not total."""
    found = []
    for window in parsed(text).find_all(exp.Window):
        order = window.args.get("order")
        picks = isinstance(window.this, exp.RowNumber | exp.Lag | exp.Lead | exp.FirstValue | exp.LastValue)
        last = order.expressions[-1].this if order else None
        if (picks or window.args.get("spec")) and not (isinstance(last, exp.Column) and last.name in KEYS):
            found.append(window.sql("duckdb"))
    return found


@pytest.fixture(scope="module")
def small():
    """A table with a column of each type that sums meet."""
    connection = duckdb.connect()
    connection.execute("create table t (m decimal(18, 4), n integer, x double, d date, e timestamp)")
    return connection


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_states_its_grain_first(name):
    assert re.match(r"-- one row( per |: )\w.+\n", QUERIES[name])


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_is_portable(name):
    assert not unportable(QUERIES[name])


@pytest.mark.parametrize("name", ["marts/customers", "marts/subscriptions", "staging/told", *SPLIT])
def test_a_query_split_by_dimensions_is_portable(name):
    assert not unportable(template(name).render(dimensions=["store", "device"], tables=CARRIERS, policy=Policy()))


@pytest.mark.parametrize("apart", [{"mrr_source": "plan_prices"}, {"plan_changes": "by_day"}])
@pytest.mark.parametrize("name", ["marts/subscriptions", "marts/subscription_months", "summaries/months"])
def test_a_query_for_other_policies_is_portable_exact_and_ordered(name, apart, make):
    book = make("2024-05", OTHER | apart, subscriptions=[sub("ann", "2024-04-05")], plans=[{"plan_id": "basic"}])
    text = template(name).render(policy=book.params.policy, single=True, dimensions=[])
    assert re.match(r"-- one row( per |: )\w.+\n", text) and not PASTED.search(text)
    assert not unportable(text) and not loose_windows(text) and not inexact(text, book.engine.connection)


def test_no_dimension_can_be_called_like_anything_in_a_query():
    nodes = [parsed(text) for text in QUERIES.values()]
    used = {name.lower() for node in nodes for name in [
        *(alias.alias_or_name for alias in node.find_all(exp.Alias, exp.TableAlias)),
        *(column.name for column in node.find_all(exp.Column))]}
    assert used - {"*", ""} <= taken()


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_adds_exactly(name, demo_book):
    if form := FORMATS.get(name.partition(" ")[2] if name.startswith("formats/") else ""):
        columns = {"file_row_number": "bigint", "misread": "varchar", "misread_value": "varchar"}
        columns |= {column: kind for column, (kind, *_) in form["columns"].items()}
        demo_book.engine.connection.values([duckdb.ConstantExpression(None)] * len(columns)).select(
            *[duckdb.ConstantExpression(None).cast(kind).alias(column) for column, kind in columns.items()]
        ).create_view(f"export_{name.partition(' ')[2]}", replace=True)
    assert not inexact(QUERIES[name], demo_book.engine.connection)


@pytest.mark.parametrize("name", QUERIES)
def test_a_window_that_picks_rows_has_a_total_order(name):
    assert not loose_windows(QUERIES[name])


@pytest.mark.parametrize("name", QUERIES)
def test_no_value_is_pasted(name):
    assert not PASTED.search(QUERIES[name])


def test_macros_are_all_known_and_hold_no_pasted_value():
    created = [statement for statement in sqlglot.parse(MACROS, dialect="duckdb") if statement]
    assert {statement.this.this.name for statement in created} == MACRO_NAMES
    used = {function_name(node) for statement in created for node in statement.expression.find_all(exp.Func)}
    assert used <= FUNCTIONS | MACRO_FUNCTIONS | MACRO_NAMES
    assert not PASTED.search(re.sub(r"--.*|'[^']*'", "", MACROS))               # patterns of text hold ? and $


@pytest.mark.parametrize("text", [
    "select list(a order by b) from t", "select first(a order by b) from t", "select last(a order by b) from t",
    "select avg(a) from t", "select dayofweek(d) from t", "select hash(a) from t", "select ln(a) from t",
    "select log(a) from t", "select exp(a) from t", "select random()", "select now()", "select current_date",
    "select current_timestamp", "select unnest([1, 2])", "select date_diff('month', d, e) from t",
    "select d + interval 1 month from t", "select * from t asof join u on t.d >= u.d", "pivot t on a using sum(b)",
    "select a from t where b = ?", "select a from t where b = $b", "select max(a order by b) from t",
    "select date_trunc('month', d) from t", "select quantile_cont(a, 0.5) from t",
])
def test_the_rule_of_portability_sees(text):
    assert unportable(text)


@pytest.mark.parametrize("text", [
    "select sum(cast(m as double)) from t", "select sum(m / 2) from t", "select sum(x) from t", "select avg(x) from t",
    "with u as (select m * x as h from t) select sum(h) from u", "select sum(case when n > 1 then m else x end) from t",
    "with u as (select m from t), v as (select sum(m / 3) as s from u) select s from v", "select d - d from t",
    "select e - e from t", "select n from t where e - d > d - e", "select sum(h) from (select x as h from t) as u",
])
def test_the_rule_of_exact_sums_sees(text, small):
    assert inexact(text, small)


def test_the_rule_of_exact_sums_lets_decimals_and_whole_days_pass(small):
    assert not inexact("select sum(m), sum(n // 2), sum(cast(x as decimal(18, 4))), max(x), max(d - 7) from t", small)


@pytest.mark.parametrize("text", [
    "select row_number() over (partition by a) from t", "select row_number() over (order by amount) from t",
    "select lag(a) over (partition by b) from t", "select row_number() over (order by customer_id, amount) from t",
    "select sum(a) over (order by amount rows unbounded preceding) from t",
])
def test_the_rule_of_total_orders_sees(text):
    assert loose_windows(text)


def test_every_mart_has_a_query_or_is_a_table_as_it_was_kept():
    names = [name.split("/") for name in FILES]
    assert {name for folder, name in names if folder == "marts"} == set(MARTS) - set(KEPT) | {"kept"} | set(DERIVED)
    assert {folder for folder, _ in names} == {"staging", "marts", "summaries", "formats"}


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_summary_ends_in_an_order_that_is_total(name, demo_book):
    """The columns of its order by tell every row apart, so that equal inputs give equal pages."""
    query, frame = parsed(QUERIES[name]), demo_book.frame(name)
    if QUERIES[name].startswith("-- one row:"):
        assert query.args.get("order") is None and len(frame) == 1
        return
    shown = {select.unalias().sql(): column for select, column in zip(query.selects, frame, strict=True)}
    terms = [term.this.sql() for term in query.args["order"].expressions]
    keys = [frame.columns[int(said) - 1] if said.isdigit() else shown.get(said) or ALIKE.get(said) or said.strip('"')
            for said in terms]
    assert not frame.duplicated(keys).any()
