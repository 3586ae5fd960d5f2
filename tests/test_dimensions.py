"""Dimensions: further columns of a book's files, carried to the marts and split by like channel, segment and country."""

import pandas as pd
import pytest
import yaml

from helpers.contracts import ReportError
from helpers.demo import FILES, write_demo
from helpers.marts import SPLIT, prepare
from helpers.metrics import acquisition, cac, ltv_cac, retention
from helpers.params import load_params

TRANSACTIONS = """Kunde,Zeit,Betrag,Store No,device
ann,2025-01-05,10,,app
ann,2025-01-04,10,S2,
ann,2025-02-01,10,S9,web
bob,2025-01-01,10, S1 ,
bob,2025-01-01,20,S0,
cy,2025-01-01,5,,
dee,2025-06-30,5,,
dee,2025-07-01,5,S5,app
,2025-01-01,5,S7,tv
"""
CUSTOMERS = "customer_id,store\nann,S8\ncy,\neve,S4\n"
NAMES = {"customer_id": "Kunde", "transacted_at": "Zeit", "amount": "Betrag", "store": "Store No"}


def write(folder, dimensions, transactions=TRANSACTIONS, names=NAMES, customers=CUSTOMERS):
    (folder / "t.csv").write_text(transactions)
    (folder / "c.csv").write_text(customers)
    sources = {"transactions": {"path": "t.csv", "columns": names}, "customers": {"path": "c.csv"}}
    report = {"name": "book", "title": "Book", "month": "2025-06"}
    settings = {"report": report, "sources": sources, "dimensions": dimensions, "history": None}
    (folder / "book.yaml").write_text(yaml.safe_dump(settings))
    return folder / "book.yaml"


def carried(book) -> dict[str, tuple]:
    frame = book.engine.connection.sql("select customer_id, store, device from mart_customers order by 1").fetchall()
    return {customer: tuple(members) for customer, *members in frame}


@pytest.fixture
def book(tmp_path):
    return prepare(str(write(tmp_path, ["store", "device"])), None, str(tmp_path / "run"))


def test_customers_say_first_else_the_first_row_that_does_before_the_months_end(book):
    assert carried(book) == {
        "ann": ("S8", "app"),  # customers says S8, though the first sale was at S2
        "bob": ("S0", None),  # two at one instant: the first by name
        "cy": (None, None), "dee": (None, None), "eve": ("S4", None)}


def test_every_mart_of_lines_and_customers_carries_them(book):
    lines = book.engine.connection.sql("select store, device from mart_transactions order by 1 nulls first, 2 nulls first")
    assert lines.fetchall() == [(None, None), (None, None), (None, "app"), ("S0", None), ("S1", None), ("S2", None),
                                ("S7", "tv"), ("S9", "web")]
    whole = book.engine.connection.sql("select customer_id, store, device from mart_customer_360 order by 1").fetchall()
    assert whole == [(customer, *members) for customer, members in carried(book).items()]
    ignored = book.engine.connection.sql("select sum(ignored_columns) from source_files").fetchall()
    assert ignored == [(0,)]


def test_without_dimensions_further_columns_are_ignored_and_counted(tmp_path):
    path = write(tmp_path, [], names={name: column for name, column in NAMES.items() if name != "store"})
    plain = prepare(str(path), None, str(tmp_path / "run"))
    found = dict(plain.engine.connection.sql('select "table", ignored_columns from source_files').fetchall())
    assert found == {"transactions": 2, "customers": 1}
    assert "store" not in plain.engine.table("mart_customers").columns


def test_the_same_rows_in_another_order_or_as_parquet_make_the_same_marts(tmp_path):
    head, *rows = TRANSACTIONS.splitlines()
    marts = []
    for kind, text in enumerate((TRANSACTIONS, "\n".join([head, *rows[::-1]]) + "\n", TRANSACTIONS)):
        folder = tmp_path / str(kind)
        folder.mkdir()
        path = write(folder, ["store", "device"], transactions=text)
        if kind == 2:
            pd.read_csv(folder / "t.csv").to_parquet(folder / "t.parquet")
            path.write_text(path.read_text().replace("t.csv", "t.parquet"))
        prepare(str(path), None, str(folder / "run"))
        marts.append({file.name: file.read_bytes() for file in (folder / "run" / "marts").glob("*.parquet")})
    assert marts[0] == marts[1] == marts[2]


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """The demo company twice: with its segments under that name, and under two others beside it."""
    folder = tmp_path_factory.mktemp("twins")
    write_demo(folder, customers=600, end="2025-06")
    customers = pd.read_csv(folder / "customers.csv")
    customers = customers.assign(party=customers["segment"], Reversed=customers["segment"].str[::-1])
    customers.to_csv(folder / "customers.csv", index=False)
    sources = {name: {"path": f"{name}.csv"} for name in FILES}
    sources["customers"]["columns"] = {"mirror": "Reversed"}
    report = {"name": "book", "title": "Book", "month": "2025-06"}
    path = folder / "book.yaml"
    path.write_text(yaml.safe_dump({"report": report, "sources": sources, "dimensions": ["party", "mirror"], "history": None}))
    return prepare(str(path), None, str(folder / "run"))


@pytest.mark.parametrize("query", [name for name in SPLIT if name != "summaries/spellings"])
def test_a_dimension_is_counted_as_a_segment_is(twins, query):
    frame = twins.frame(query)
    segment, party = (frame[frame["dimension"] == name].drop(columns="dimension").reset_index(drop=True)
                      for name in ("segment", "party"))
    assert len(segment)
    pd.testing.assert_frame_equal(segment, party)
    mirror = frame[frame["dimension"] == "mirror"].assign(
        dimension="segment", member=lambda of: of["member"].where(of["member"] == "(unattributed)", of["member"].str[::-1]))
    keys = [name for name in frame.columns[:5] if frame[name].dtype.kind not in "f"]
    again = mirror.sort_values(keys, ignore_index=True).drop(columns="dimension")
    pd.testing.assert_frame_equal(segment.sort_values([k for k in keys if k != "dimension"], ignore_index=True), again)


def test_members_of_a_dimension_have_the_ltv_and_cac_of_like_segments_and_add_up(twins):
    tables, params = twins.frames(ltv_cac.QUERIES), twins.params
    result = ltv_cac.analyse(
        tables, period="2025-06", last=twins.month, currency="USD", given=twins.given, policy=params.policy,
        terms=params.ltv_cac, formulas={}, target=3.0)
    members = result.by_member
    assert [*dict.fromkeys(members["dimension"])] == ["plan", "channel", "segment", "country", "mirror", "party"]
    segment, party = (members[members["dimension"] == name].drop(columns="dimension").reset_index(drop=True)
                      for name in ("segment", "party"))
    assert segment["ltv"].notna().any()
    pd.testing.assert_frame_equal(segment.drop(columns="ltv_shrunken"), party.drop(columns="ltv_shrunken"))
    cuts = acquisition.cac_by(tables["cac_by"], result.cac)
    checks = acquisition.cac_checks(cuts, result.cac, twins.month)
    assert {"party", "mirror"} <= {*checks["scope"]} and checks["passed"].all()
    together = cac.together(members).set_index("dimension")["ltv"]
    assert together["party"] == together["segment"]


@pytest.mark.parametrize(("dimensions", "told"), [
    (["segment"], "dimensions: 'segment' has a meaning of its own here; give it another name"),
    (["nth"], "dimensions: 'nth' has a meaning of its own here"),
    (["all"], "dimensions: 'all' has a meaning of its own here"),
    (["store", "device", "store"], "dimensions: 'store' stands 2 times"),
    (["grace_ends_on"], "dimensions: 'grace_ends_on' has a meaning of its own here"),  # of marts/subscriptions
    (["group"], "dimensions: 'group' has a meaning of its own here"),
    (["file_row_number"], "dimensions: 'file_row_number' has a meaning of its own here"),
    (["Store"], "dimensions.0: must be a name of small letters, digits and _, at most 40; sources.<table>.columns says"),
    (["device", 7], "dimensions.1: must be a name of small letters, digits and _, at most 40"),
    (['x"; drop table run; --'], "dimensions.0: must be a name of small letters"),
    ("store", "dimensions: should be a valid list (got 'store')"),
    ([f"d{n}" for n in range(9)], "dimensions: list should have at most 8 items"),
])
def test_names_that_cannot_be_dimensions_are_refused(tmp_path, dimensions, told):
    with pytest.raises(ReportError) as error:
        load_params(write(tmp_path, dimensions))
    assert any(problem.startswith(told) for problem in error.value.problems)


def test_a_dimension_that_no_file_holds_is_refused_before_anything_is_written(tmp_path):
    path = write(tmp_path, ["store", "shelf", "aisle"])
    with pytest.raises(ReportError, match="dimensions has 2 problems") as error:
        prepare(str(path), None, str(tmp_path / "run"))
    assert error.value.problems[0].startswith("'shelf' is no column of the files of ")
    assert not (tmp_path / "run" / "marts").exists()


def test_subscriptions_carry_them_to_their_customers_alone(tmp_path):
    """Of rows as they are read no query takes more than it names."""
    rows = "customer_id,plan_id,unit_amount,interval,started_at,device,ends_on\nann,p,10,month,2025-01-05,app,2020-01-01\n"
    (tmp_path / "s.csv").write_text("subscription_id," + rows.replace("\nann", "\ns1,ann"))
    report = {"name": "book", "title": "Book", "month": "2025-06"}
    found = []
    for dimensions in ([], ["device", "ends_on"]):
        sources = {"subscriptions": {"path": "s.csv"}}
        settings = {"report": report, "sources": sources, "dimensions": dimensions, "history": None}
        (tmp_path / "book.yaml").write_text(yaml.safe_dump(settings))
        book = prepare(str(tmp_path / "book.yaml"), None, str(tmp_path / f"run{len(dimensions)}"))
        found.append([book.engine.table(f"mart_{name}").order("1").fetchall() for name in ("subscriptions", "customer_months")])
    assert found[0] == found[1] and len(found[0][1]) == 6
    assert book.engine.connection.sql("select device, ends_on from mart_customers").fetchall() == [("app", "2020-01-01")]


def test_whole_numbers_of_a_float_column_are_the_numbers_as_others_write_them(tmp_path):
    path = write(tmp_path, ["store"])
    pd.DataFrame({"Kunde": ["ann", "bob", "cy"], "Zeit": pd.to_datetime(["2025-01-05"] * 3), "Betrag": [1.5, 2, 3],
                  "Store No": [1, None, 2.5]}).to_parquet(tmp_path / "t.parquet")
    path.write_text(path.read_text().replace("t.csv", "t.parquet"))
    (tmp_path / "c.csv").write_text("customer_id,store\nbob,1\n")
    book = prepare(str(path), None, str(tmp_path / "run"))
    found = book.engine.connection.sql("select customer_id, store from mart_customers order by 1").fetchall()
    assert found == [("ann", "1"), ("bob", "1"), ("cy", "2.5")]


def test_more_members_than_groups_can_have_are_refused(tmp_path):
    text = "Kunde,Zeit,Betrag,Store No,device\n" + "".join(f"k{n},2025-01-05,1,S{n},app\n" for n in range(201))
    with pytest.raises(ReportError) as error:
        prepare(str(write(tmp_path, ["store", "device"], transactions=text)), None, str(tmp_path / "run"))
    assert error.value.problems == ["'store' has 201 members, more than 200"]


def test_lines_that_differ_in_a_dimension_are_no_duplicates(tmp_path):
    text = "Kunde,Zeit,Betrag,Store No,device\nann,2025-01-05,1,A,\nann,2025-01-05,1,B,\n"
    counts = [len(prepare(str(write(tmp_path, dimensions, text, names)), None, str(tmp_path / f"run{len(dimensions)}")).frame(
        "summaries/duplicates")) for dimensions, names in
        (([], {name: of for name, of in NAMES.items() if name != "store"}), (["store"], NAMES))]
    assert counts == [1, 0]


def test_what_is_meant_is_said_where_a_name_is_not_known(tmp_path):
    with pytest.raises(ReportError, match="columns of your own are named under dimensions, too"):
        load_params(write(tmp_path, []))
    with pytest.raises(ReportError, match="'devise' is no column of the files of customers or .*; did you mean device"):
        prepare(str(write(tmp_path, ["store", "devise"])), None, str(tmp_path / "run"))


def test_survival_names_no_member_of_few_customers(twins):
    ends = twins.frame("summaries/survival")
    customers = ends.groupby(["dimension", "member"])["entered"].sum()
    below = int(customers.median()) + 1
    some = retention.survival(ends, 0.95, below)
    assert 1 < (customers >= below).sum() < len(customers)
    assert {*map(tuple, some[["dimension", "member"]].to_numpy())} == {*customers[customers >= below].index}
    one = ends[(ends["dimension"] == "segment")].assign(entered=0, events=0, censored=0)
    assert "segment" not in {*retention.survival(pd.concat([one, ends[ends["dimension"] == "all"]]), 0.95, 5)["dimension"]}
