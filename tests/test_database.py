"""Databases: a query's rows count as a file's do, its password is nowhere, and what fails is told in words."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from threading import Timer
from urllib.parse import unquote

import duckdb
import pandas as pd
import pytest
import yaml
from adbc_driver_postgresql import dbapi as adbc

from helpers.contracts import COUNT, MONEY, ROOT, TABLES, TEXT, TIME, ReportError
from helpers.demo import write_demo
from helpers.engine import Engine
from helpers.marts import judge, prepare, settings, stage
from helpers.params import describe, load_params, to_yaml
from helpers.sources import database, read_source

USER, PASSWORD = "ware%40house", "s3cr3t&p%40ss"  # as in the url
DECODED_USER, DECODED = "ware@house", "s3cr3t&p@ss"  # as the server knows them
TELLTALE = re.compile(rb"s3cr3t|p%40ss|p@ss|p%2540ss|ware%40house|ware@house|tok3n|postgres(ql)?://\S*@", re.IGNORECASE)
ROW = "select 'ann' as customer_id, timestamp '2025-06-01 10:00' as transacted_at, 10.50 as amount"
PLAIN = "customer_id, transacted_at, amount"


@pytest.fixture(scope="session")
def server():
    """The url of a PostgreSQL server of our own, with two names to fill in: password and database."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or list(filter(None, [shutil.which("initdb")]))
    if not found:
        reason = "needs the programs of a PostgreSQL server: apt-get install postgresql"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    programs, folder = Path(found[-1]).parent, Path(tempfile.mkdtemp(prefix="ltv-report-postgresql-"))
    (folder / "password").write_text(DECODED)
    as_user = []
    if os.getuid() == 0:  # root may not run the server
        runuser = shutil.which("runuser", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")  # where few users look
        as_user = [runuser, "-u", "postgres", "--"]
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def call(program: str, *words: str) -> None:
        command = [*as_user, str(programs / program), "-D", str(folder / "data"), *words]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)

    init = ["--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--encoding=UTF8", "--locale=C", "--no-sync"]
    call("initdb", f"--username={DECODED_USER}", *init)
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c timezone=Asia/Tokyo"
    call("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
    yield f"postgresql://{USER}:{{}}@127.0.0.1:{port}/{{}}"
    call("pg_ctl", "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture
def warehouse(server, monkeypatch):
    """The server's address, told as people do: by a variable."""
    monkeypatch.setenv("WAREHOUSE_URL", server.format(PASSWORD, "postgres"))
    return server


def execute(server: str, *statements: str) -> None:
    with adbc.connect(server.format(PASSWORD, "postgres"), autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def book(folder: Path, query: str = ROW, url: str = "${WAREHOUSE_URL}", table: str = "transactions", **how) -> Path:
    """A params file with one source in a database; beside it one sale from a file, where it is not transactions."""
    sources = {table: {"url": url, "query": query, **how}}
    if table != "transactions":
        (folder / "t.csv").write_text("customer_id,transacted_at,amount\nann,2025-06-01,1\n")
        sources["transactions"] = {"path": "t.csv"}
    report = {"name": "book", "title": "Book", "month": "2025-06"}
    (folder / "book.yaml").write_text(yaml.safe_dump({"report": report, "sources": sources, "history": None}))
    return folder / "book.yaml"


def read(file: Path, table: str = "transactions") -> Engine:
    params, engine = load_params(file), Engine()
    settings(engine, params)
    for name in dict.fromkeys(["fx_rates", "customers", table]):
        read_source(engine, params, name)
    return engine


def staged(file: Path, table: str = "transactions") -> duckdb.DuckDBPyRelation:
    engine = read(file, table)
    judge(engine, [TABLES[name] for name in dict.fromkeys(["fx_rates", "customers", table])])
    return engine.table(f"staged_{table}").order("line")


def problem(file: Path) -> str:
    with pytest.raises(ReportError) as caught:
        stage(load_params(file))
    assert not TELLTALE.search(str(caught.value).encode()), caught.value
    return str(caught.value)


@pytest.fixture
def warehouse_file(tmp_path):
    """A function that runs SQL in a new DuckDB file, `data/w.duckdb` beside the params; returns the file."""

    def make(*statements: str) -> Path:
        (tmp_path / "data").mkdir(exist_ok=True)
        with duckdb.connect(tmp_path / "data" / "w.duckdb") as connection:
            for statement in statements:
                connection.execute(statement)
        return tmp_path / "data" / "w.duckdb"

    return make


FILE = "duckdb:///data/w.duckdb"

# --- rows -------------------------------------------------------------------------------------------------------


def test_rows_of_a_query_are_counted_as_those_of_a_file(warehouse, tmp_path):
    engine = stage(load_params(book(tmp_path, f"{ROW} union all select null, '2025-06-02', -3.25")))
    kept = engine.table("staged_transactions").filter("stage = 'kept'").order("line").select(f"{PLAIN}, file, line")
    assert kept.fetchall() == [
        ("ann", datetime(2025, 6, 1, 10), Decimal("10.50"), "postgresql query", 1),
        (None, datetime(2025, 6, 2), Decimal("-3.25"), "postgresql query", 2),
    ]
    [found] = [row for row in engine.frame("summaries/inputs").to_dict("records") if row["rows"]]
    kind = {key: found[key] for key in ("table", "file", "sha256", "encoding", "ignored_columns")}
    assert list(kind.values()) == ["transactions", "postgresql query", "", "database", 0] and found["rows"] == 2


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("1.234::numeric", "1.2340"),  # in a text it might be a thousand
        ("1234567.891::numeric(18,4)", "1234567.8910"),
        ("10.00004999999999999999999999::numeric", "10.0000"),  # rounded once
        ("123456789012.0001::numeric", "123456789012.0001"),  # more digits than a double holds
        ("0.1::float8 + 0.2::float8", "0.3000"),
        ("7::smallint", "7.0000"),
        ("'1,234.50'::text", "1234.5000"),
        ("'NaN'::numeric", None),
        ("null::numeric", None),
    ],
)
def test_numbers_stay_exact(warehouse, tmp_path, written, amount):
    found = staged(book(tmp_path, ROW.replace("10.50", written))).select("amount, stage").fetchall()
    assert found == [(Decimal(amount), "kept") if amount else (None, "rejected")]


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("timestamptz '2025-06-01 00:30+02'", datetime(2025, 5, 31, 22, 30)),
        ("timestamp '2025-06-01 00:30'", datetime(2025, 5, 31, 15, 30)),  # in the source's zone
        ("timestamp '2025-06-01 00:30:00.25'", datetime(2025, 5, 31, 15, 30, 0, 250000)),
        ("date '2025-06-01'", datetime(2025, 5, 31, 15)),
        ("'01.06.2025 00:30'::text", datetime(2025, 5, 31, 15, 30)),
        ("timestamptz 'infinity'", None),
        ("timestamp '-infinity'", None),
        ("date 'infinity'", None),
    ],
)
def test_times_are_instants_or_of_the_sources_zone_and_infinity_is_empty(warehouse, tmp_path, written, moment):
    query = ROW.replace("timestamp '2025-06-01 10:00'", written)
    rows = staged(book(tmp_path, query, timezone="Asia/Tokyo", dayfirst=True))
    assert rows.select("transacted_at, stage, \"rule\"").fetchall() == [
        (moment, "kept", None) if moment else (None, "rejected", "empty")]


def test_an_end_at_infinity_is_no_end(warehouse, tmp_path):
    query = ("select 's' subscription_id, 'c' customer_id, 'p' plan_id, 5 unit_amount, 'month' as interval, "
             "date '2025-01-01' started_at, timestamptz 'infinity' ended_at")
    rows = staged(book(tmp_path, query, table="subscriptions"), "subscriptions")
    assert rows.select("stage, ended_at").fetchall() == [("kept", None)]


def test_other_types_arrive_as_their_text(warehouse, tmp_path):
    execute(warehouse, "drop type if exists kind", "create type kind as enum ('sale', 'refund')")
    query = ("select uuid '123e4567-e89b-12d3-a456-426614174000' customer_id, date '2025-06-01' transacted_at, 1 amount, "
             "'refund'::kind as type, json '{\"a\": 1}' product_id, array['x', 'y'] category, ' x '::char(5) product_name, "
             "true item_type, null subscription_id")
    names = "customer_id, type, product_id, category, product_name, item_type, subscription_id"
    [row] = read(book(tmp_path, query)).table("raw_transactions").select(names).fetchall()
    assert row == ("123e4567-e89b-12d3-a456-426614174000", "refund", '{"a": 1}', "[x, y]", "x", "true", None)


@pytest.mark.parametrize(("written", "kind"), [("5::money", "money"), (r"'\xff'::bytea", "bytea"), ("inet '10.0.0.1'", "inet")])
def test_a_type_that_would_be_read_wrongly_is_refused_with_the_remedy(warehouse, tmp_path, written, kind):
    found = problem(book(tmp_path, f"{ROW}, {written} as odd"))
    assert f"column 'odd' is of type {kind}, which is not read; cast it to text or numeric" in found


def test_columns_are_found_by_name_by_mapping_and_by_position(warehouse, tmp_path):
    query = "select 'bob' as x, 'ann' as x, date '2025-06-01' as \"Paid at\", 2 as \"AMOUNT\", 'n' as \"?col\"\"umn\""
    columns = {"customer_id": 2, "transacted_at": "Paid at", "product_id": '?col"umn'}
    rows = staged(book(tmp_path, query, columns=columns)).select(f"{PLAIN}, product_id").fetchall()
    assert rows == [("ann", datetime(2025, 6, 1), Decimal("2.00"), "n")]
    found = problem(book(tmp_path, query, columns={**columns, "customer_id": "x", "quantity": "Qty"}))
    assert "postgresql query: column 'x' for customer_id stands 2 times; give its position instead" in found
    assert "postgresql query: column 'Qty' for quantity is missing" in found
    assert found.endswith("Mend sources.transactions: url, query or columns.")


def test_no_row_is_an_empty_table_and_no_column_an_error(warehouse, tmp_path):
    assert len(staged(book(tmp_path, f"{ROW} where false"))) == 0
    for query in ("select", "do $$ begin perform 1; end $$", "commit"):
        assert "it answers with no columns; the query must be one select" in problem(book(tmp_path, query))


def test_many_rows_stream_in_their_order_and_leave_one_table(warehouse, tmp_path):
    query = "select i as transaction_id, i % 99 as customer_id, date '2025-06-01' as transacted_at, i / 100.0 as amount"
    engine = read(book(tmp_path, f"{query} from generate_series(1, 300000) as i"))
    rows = engine.table("raw_transactions")
    assert len(rows) == 300_000 and len(rows.filter("transaction_id = line")) == 300_000
    assert rows.sum("cast(amount as decimal(18, 2))").fetchall() == [(Decimal("450001500.00"),)]
    tables = engine.connection.sql("select table_name from duckdb_tables()").fetchall()
    assert {name for (name,) in tables} == {"read_transactions_0_rows", "run", "calendar", "days", "rfm_codes", "rfm_fixed"}


@pytest.mark.parametrize("end", [";", " ; \n", "\n-- all of them", " -- all"])
def test_a_query_may_end_in_a_semicolon_or_a_comment(warehouse, tmp_path, end):
    assert len(staged(book(tmp_path, ROW + end))) == 1


# --- DuckDB files -----------------------------------------------------------------------------------------------


def test_rows_of_a_duckdb_file_keep_their_types(warehouse_file, tmp_path):
    warehouse_file("create table t as select 'ann'::enum('ann') as customer_id, 3::hugeint as quantity, "
                   "timestamptz '2025-06-01 00:30:00+02' as transacted_at, 1.234::decimal(9,3) as amount "
                   "union all select 'ann', 4, 'infinity', 2")
    rows = staged(book(tmp_path, "from t;", FILE)).select(f"{PLAIN}, quantity, stage, file, line").fetchall()
    assert rows == [
        ("ann", datetime(2025, 5, 31, 22, 30), Decimal("1.2340"), 3, "kept", "duckdb query", 1),
        ("ann", None, 2, 4, "rejected", "duckdb query", 2),
    ]


def test_a_duckdb_file_is_only_read(warehouse_file, tmp_path):
    file = warehouse_file(f"create table t as {ROW}")
    before, told = file.read_bytes(), "the query must be one select, and nothing that writes"
    for query in ("drop table t", "insert into t from t", "select 1; from t", "set threads = 1", "-- nothing",
                  f"copy t to '{tmp_path}/stolen.csv'", f"attach '{tmp_path}/new.duckdb'"):
        assert told in problem(book(tmp_path, query, FILE)), query
    assert file.read_bytes() == before and {path.name for path in tmp_path.iterdir()} == {"data", "book.yaml"}


def test_faults_of_a_duckdb_query_are_told(warehouse_file, tmp_path, monkeypatch):
    warehouse_file("create table t as select 1 as a, 'x'::blob as b")
    for query, told in [("selec 1", 'syntax error at or near "selec"'), ("from u", "Table with name u does not exist"),
                        ("from t", "column 'b' is of type blob"), ("select error('no') from t", "no")]:
        assert "duckdb query: " in (found := problem(book(tmp_path, query, FILE))) and told in found and "LINE" not in found
    assert "/data/none.duckdb" in problem(book(tmp_path, ROW, "duckdb:///data/none.duckdb"))
    monkeypatch.setenv("WAREHOUSE_URL", f"duckdb:///{tmp_path}/s3cr3t.duckdb")
    assert "Cannot open database" in problem(book(tmp_path))


def test_a_duckdb_file_is_found_from_params_in_another_folder_too(warehouse_file, tmp_path, monkeypatch):
    file = warehouse_file(f"create table t as {ROW}")
    params = load_params(book(tmp_path, "from t", FILE))
    (tmp_path / "far" / "away").mkdir(parents=True)
    copy = tmp_path / "far" / "away" / "params.yaml"
    copy.write_text(to_yaml(params, copy.parent))
    assert yaml.safe_load(copy.read_text())["sources"]["transactions"]["url"] == "duckdb:///../../data/w.duckdb"
    assert len(staged(copy)) == 1
    monkeypatch.setenv("FOLDER", str(file.parent))
    for url in (f"duckdb:///{file}", "duckdb:///${FOLDER}/w.duckdb"):
        copy.write_text(to_yaml(load_params(book(tmp_path, "from t", url)), copy.parent))
        assert len(staged(copy)) == 1
    assert yaml.safe_load(copy.read_text())["sources"]["transactions"]["url"] == url


# --- what fails -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select 1 as a,\n  2 as b frm t", 'syntax error at or near "frm" (line 2, character 10 of the query)'),
        ("select 1\nas\na frm t", 'syntax error at or near "frm" (line 3, character 3 of the query)'),
        ("select *\nfrom nowhere", 'relation "nowhere" does not exist (line 2, character 6 of the query)'),
        ("select amont from (values (1)) as t(amount)", 'column "amont" does not exist (line 1, character 8'),
        ("show timezone", 'syntax error at or near "show" (line 1, character 1 of the query)'),
        (f"{ROW}; {ROW}", "cannot insert multiple commands"),
        ("create table new (a int)", "cannot execute CREATE TABLE in a read-only transaction"),
        ("drop table if exists kept", "cannot execute DROP TABLE in a read-only transaction"),
        ("with new as (insert into kept values (2) returning *) select * from new", "in a read-only transaction"),
        ("do $$ begin delete from kept; end $$", "cannot execute DELETE in a read-only transaction"),
        ("select set_config('transaction_read_only', 'off', false)", "read-write mode must be set before any query"),
        ("select 1 / (200000 - i) as a from generate_series(1, 300000) as i", "division by zero"),  # in midstream
        ("-- nothing", "Failed to execute query"),
    ],
)
def test_a_query_that_fails_is_told_in_the_servers_words(warehouse, tmp_path, query, words):
    execute(warehouse, "drop table if exists kept", "create table kept as select 1 as a")
    found = problem(book(tmp_path, query))
    assert found.startswith("Table 'transactions' is not usable and has 1 problem:\n  - postgresql query: ")
    assert words in found and len(found.splitlines()) == 3
    kept = staged(book(tmp_path, "select 'ann' as customer_id, date '2025-06-01' as transacted_at, a as amount from kept"))
    assert kept.select("amount").fetchall() == [(Decimal(1),)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((PASSWORD, "wr0ng"), "password authentication failed for user …"),
        (("postgres?", "nowhere?"), 'database "nowhere" does not exist'),
        (("127.0.0.1", "no-such-host.invalid"), 'could not translate host name "no-such-host.invalid"'),
        (("?", "?sslmode=require&"), "server does not support SSL, but SSL was required"),
        (("?", f"?password={PASSWORD.replace('&', '%26')}x&"), "password authentication failed for user …"),
        (("?", "?foo=1&"), 'invalid URI query parameter: "foo"'),
    ],
)
def test_a_server_that_cannot_be_used_is_told(server, tmp_path, monkeypatch, change, words):
    monkeypatch.setenv("WAREHOUSE_URL", server.format(PASSWORD, "postgres?connect_timeout=5").replace(*change))
    found = problem(book(tmp_path))
    assert found.startswith("Table 'transactions' is not usable and has 1 problem:\n  - postgresql query: ") and words in found


def test_a_server_that_is_not_there_and_one_that_never_answers_are_told(monkeypatch, tmp_path):
    monkeypatch.setattr(database, "CONNECT_SECONDS", 2)  # the least that the driver knows
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        monkeypatch.setenv("WAREHOUSE_URL", f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/x")
        assert "Connection refused" in problem(book(tmp_path))
        silent.listen()
        end = Timer(15, silent.close)  # lest a run that waits for ever keep the tests waiting, too
        end.start()
        assert "timeout expired" in problem(book(tmp_path))
        monkeypatch.setattr(database, "CONNECT_SECONDS", 60)
        monkeypatch.setenv("WAREHOUSE_URL", f"{os.environ['WAREHOUSE_URL']}?connect_timeout=2")
        assert "timeout expired" in problem(book(tmp_path))
        end.cancel()


def test_a_query_that_takes_too_long_is_ended(warehouse, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "QUERY_SECONDS", 1)
    assert "canceling statement due to statement timeout" in problem(book(tmp_path, "select pg_sleep(10)::text as a"))


@pytest.mark.parametrize(
    "query",
    [
        "select * from t where token = '${TOKEN}'",
        "select '${TOKEN}'::int as a",
        "select ${TOKEN} as a",
        "select '${PART}' as a",
        'select * from "${TOKEN}"',
        "select t.${WORD} from pg_class as t",
        "select ${PARTS}",
    ],
)
def test_what_a_variable_puts_into_a_query_is_never_told(warehouse, tmp_path, monkeypatch, query):
    monkeypatch.setenv("TOKEN", "tok3n of 'ours")
    monkeypatch.setenv("PART", "or' tok3n")
    monkeypatch.setenv("WORD", "TOK3N")
    monkeypatch.setenv("PARTS", "tok3n tok3n_2")
    assert "postgresql query: " in problem(book(tmp_path, query))


@pytest.mark.parametrize(
    "text",
    [
        "no such host: {url}", "no such host: {decoded}", f"password {PASSWORD}", f"password {DECODED}", f'user "{USER}"',
        f'user "{DECODED_USER}"', "password other@pass", "password other%40pass", "host s3cr3t",
    ],
)
def test_whatever_a_driver_says_no_secret_is_passed_on(monkeypatch, text):
    url = f"postgresql://{USER}:{PASSWORD}@host/db?sslpassword=other%40pass"
    monkeypatch.setenv("WAREHOUSE_URL", url)
    monkeypatch.setenv("PART", "s3cr3t")  # which is a part of the password, too
    error = ValueError("[libpq] " + text.format(url=url, decoded=unquote(url)))
    told = database.explain(error, url, "select 1", {"url": "${WAREHOUSE_URL}", "query": "select 1 -- ${PART}"})
    assert not TELLTALE.search(told.encode()) and "@pass" not in told and "%40pass" not in told


# --- params -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://", "postgres://host", "postgresql://user@host/db", "postgresql://user:p%40ss@host:5432/db?sslmode=require",
        "postgresql://user:a:b,c@[::1]:5432/db", "postgresql://h1:1,h2:2/db?target_session_attrs=any&connect_timeout=3",
        "postgresql://user@%2Fvar%2Frun/db", "postgresql:///db?host=/tmp", "duckdb:////data/x.duckdb",
    ],
)
def test_urls_of_databases_are_known(tmp_path, monkeypatch, url):
    monkeypatch.setenv("WAREHOUSE_URL", url)
    assert load_params(book(tmp_path)).sources["transactions"].url == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://user:s3cr3t@host/db", "the database mysql:// is not read; known: postgresql, postgres, duckdb"),
        ("postgresql+psycopg2://user:s3cr3t@host/db", "is not read; did you mean postgresql?"),
        ("Postgresql://user:s3cr3t@host/db", "is not read; did you mean postgresql?"),
        ("s3cr3t", "must begin with postgresql:// or duckdb:///"),
        ("s3cr3t&p://x", "must begin with postgresql:// or duckdb:///"),
        ("postgresql://user:s3cr3t@p@host/db", "percent-encoded (@ as %40)"),
        ("postgresql://user:s3cr3t/p@host/db", "percent-encoded"),
        ("postgresql://user:12/s3cr3t@host/db", "percent-encoded"),
        ("postgresql://user:12?s3cr3t@host/db", "percent-encoded"),
        ("postgresql://user:12?x=s3cr3t@host/db", "percent-encoded"),
        ("postgresql://user:s3cr3t#p@host/db", "percent-encoded"),
        ("postgresql://user:s3cr3t%p@host/db", "percent-encoded"),
        ("postgresql://user:s3cr3t p@host/db", "percent-encoded"),
        ("postgresql://user:s3cr3t", "percent-encoded"),
        ("postgresql://user:p@host/db\n", "percent-encoded"),
        ("duckdb://s3cr3t", "must name a file: duckdb:///folder/file.duckdb"),
        ("duckdb:///", "must name a file"),
        ("duckdb:///data/x.duckdb", "a file that a variable names must be absolute: duckdb:////folder/file"),
    ],
)
def test_a_url_that_a_driver_would_misread_is_refused_unseen(tmp_path, monkeypatch, url, words):
    monkeypatch.setenv("WAREHOUSE_URL", url)
    assert words in (found := problem(book(tmp_path))) and len(found.splitlines()) == 2
    assert "sources.transactions.url: " in found


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://{USER}:{PASSWORD}@host/db", "postgresql://user:s3cr3t@${HOST}/db", "postgresql://user:s3cr3t/p@host/db",
        "postgresql://user:s3cr3t${HOST}@host/db", "postgresql://host/db?user=me&password=s3cr3t", "mysql://user:s3cr3t@host/db",
    ],
)
def test_a_password_in_the_file_or_on_the_command_line_is_refused_unseen(tmp_path, monkeypatch, url):
    monkeypatch.setenv("HOST", "host")
    monkeypatch.setenv("WAREHOUSE_URL", "postgresql://host/db")
    rule = "holds a password, and the settings are published: write ${NAME}, set in the environment"
    assert f"sources.transactions.url: {rule}" in problem(book(tmp_path, url=url))
    for key in ("sources.transactions.url", "sources.transactions.query", "report.title", "sources.transactions.path"):
        with pytest.raises(ReportError) as caught:
            load_params(book(tmp_path), None, [f"{key}={url}"])
        assert f"{key}: {rule}" in str(caught.value) and not TELLTALE.search(str(caught.value).encode())
    for mistaken in (url, f"sources.transactions.ulr={url}", f"ulr:{url}", f"sources.transactions={url}"):
        with pytest.raises(ReportError) as caught:
            load_params(book(tmp_path), None, [mistaken])
        assert "s3cr3t" not in str(caught.value).replace("password=s3cr3t", ""), caught.value


def test_a_password_alone_may_come_from_a_variable(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PGSECRET", PASSWORD)
    assert len(staged(book(tmp_path, url=server.format("${PGSECRET}", "postgres?sslmode=prefer")))) == 1


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({}, ["sources.transactions: needs path, for files, or url and query, for a database (got neither)"]),
        ({"path": None}, ["sources.transactions: needs path, for files, or url and query, for a database (got neither)"]),
        ({"url": FILE}, ["sources.transactions: needs path, for files, or url and query, for a database (got url)"]),
        ({"query": "from t"}, ["sources.transactions: needs path, for files, or url and query, for a database (got query)"]),
        ({"path": "t.csv", "url": FILE, "query": "from t"},
         ["sources.transactions: needs path, for files, or url and query, for a database (got path and query and url)"]),
        ({"url": FILE, "query": "from t", "sheet": "A", "decimal": ","},
         ["sources.transactions.decimal: is for files; let the query say it",
          "sources.transactions.sheet: is for files; let the query say it"]),
        ({"url": 5, "query": " "}, ["sources.transactions.url: should be a valid string",
                                    "sources.transactions.query: must be one select (got ' ')"]),
        ({"url": "${NOT_SET}", "query": "from t", "ulr": 1},
         ["sources.transactions.url: the environment variable NOT_SET is not set",
          "sources.transactions.ulr: not a known setting; did you mean url?"]),
    ],
)  # fmt: skip
def test_a_source_is_files_or_a_query_and_all_faults_are_told_at_once(tmp_path, monkeypatch, source, told):
    monkeypatch.delenv("NOT_SET", raising=False)
    report = {"name": "book", "title": "Book", "month": "2025-6"}
    (tmp_path / "book.yaml").write_text(yaml.safe_dump({"report": report, "sources": {"transactions": source}}))
    with pytest.raises(ReportError) as caught:
        load_params(tmp_path / "book.yaml")
    assert [found for found in caught.value.problems if not found.startswith("report.month")] == told
    assert len(caught.value.problems) == len(told) + 1


def test_params_show_and_write_the_variable_alone(warehouse, tmp_path):
    params = load_params(book(tmp_path, "select '${WAREHOUSE_URL}' as a"))
    assert PASSWORD in params.sources["transactions"].url
    assert not TELLTALE.search(repr(params).encode() + str(params).encode() + repr(params.sources).encode())
    written = yaml.safe_load(to_yaml(params, tmp_path))["sources"]["transactions"]
    assert (written["url"], written["query"]) == ("${WAREHOUSE_URL}", "select '${WAREHOUSE_URL}' as a")


def test_url_and_query_are_described():
    rows = {row["path"]: row for row in describe()}
    assert "postgresql://" in rows["sources.<table>.url"]["meaning"] and "select" in rows["sources.<table>.query"]["meaning"]


# --- whole runs -------------------------------------------------------------------------------------------------


TYPED = {
    "transactions": {"transaction_id": TEXT, "line_no": COUNT, "customer_id": TEXT, "transacted_at": TIME, "amount": MONEY,
                     "type": TEXT, "status": TEXT, "item_type": TEXT},
    "subscriptions": {"subscription_id": TEXT, "customer_id": TEXT, "plan_id": TEXT, "unit_amount": MONEY,
                      "interval": TEXT, "started_at": TIME, "ended_at": TIME},
}  # fmt: skip


@pytest.fixture(scope="module")
def same_rows(server, tmp_path_factory):
    """One book three times: params that read it from PostgreSQL, from a DuckDB file and from CSV."""
    folder = tmp_path_factory.mktemp("same_rows")
    write_demo(folder, customers=80, months=16)
    execute(server, "drop schema if exists billing cascade", "create schema billing")
    sources = {"postgresql": {}, "duckdb": {}, "csv": {}}
    with duckdb.connect(folder / "w.duckdb") as file:
        for table, columns in TYPED.items():
            written = file.read_csv(str(folder / f"{table}.csv"), all_varchar=True)
            typed = written.select(", ".join(f"try_cast({name} as {kind}) as {name}" for name, kind in columns.items()))
            typed = typed.filter("amount is not null" if table == "transactions" else "true").order("all")
            typed.create(table)
            typed.to_csv(str(folder / f"{table}.csv"))
            with adbc.connect(server.format(PASSWORD, "postgres"), autocommit=True) as warehouse, warehouse.cursor() as cursor:
                cursor.adbc_ingest(table, file.table(table).to_arrow_reader(), mode="create", db_schema_name="billing")
            money = next(name for name, kind in columns.items() if kind == MONEY)
            execute(server, f"alter table billing.{table} alter {money} type numeric(18, 4) using {money}::numeric")
            secret = f"select * from billing.{table} where '${{TOKEN}}' like 'tok%' order by 1, 2"
            sources["postgresql"][table] = {"url": "${WAREHOUSE_URL}", "query": secret}
            sources["duckdb"][table] = {"url": "duckdb:///w.duckdb", "query": f"from {table}"}
            sources["csv"][table] = {"path": f"{table}.csv"}
    for kind, tables in sources.items():
        report = {"name": kind, "title": "Book", "month": "2025-06"}
        (folder / f"{kind}.yaml").write_text(yaml.safe_dump({"report": report, "sources": tables, "history": None}))
    return folder


def call(server: str, *words: str, password: str = PASSWORD) -> subprocess.CompletedProcess:
    """`ltv-report` with these words, and with the server's address in the environment."""
    variables = {"WAREHOUSE_URL": server.format(password, "postgres"), "TOKEN": "tok3n"}
    command = [sys.executable, "-m", "helpers", *words]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, check=False)


def telltales(folder: Path, done: subprocess.CompletedProcess) -> list[tuple[str, bytes]]:
    """Where a secret stands in what a call printed and in the names and bytes of all files that it left."""
    texts = {"stdout": done.stdout, "stderr": done.stderr}
    texts |= {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return [(name, found[0]) for name, text in texts.items() if (found := TELLTALE.search(name.encode() + b"\n" + text))]


def test_a_run_leaves_no_secret_anywhere(server, same_rows, tmp_path):
    done = call(server, "run", str(same_rows / "postgresql.yaml"), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr.decode()
    folder = tmp_path / "postgresql" / "2025-06"
    left = {path.relative_to(folder).parts[0] for path in folder.rglob("*")}
    assert {"index.html", "notebooks", "tables", "marts", "params.yaml", "manifest.json", "run.log"} <= left
    assert b"${WAREHOUSE_URL}" in (folder / "params.yaml").read_bytes()
    assert '"file": "postgresql query"' in (folder / "manifest.json").read_text()
    assert telltales(tmp_path, done) == []
    (folder / "planted").write_text(f"<td>{DECODED}")
    assert len(telltales(tmp_path, done)) == 1


@pytest.mark.parametrize(
    ("words", "password", "told"),
    [
        ((), "wr0ng-s3cr3t", b"password authentication failed"),
        (("--set", "sources.transactions.query=select ${TOKEN} frm x"), PASSWORD, b"syntax error"),
        (("--set", "sources.subscriptions.url=${WAREHOUSE_URL}x"), PASSWORD, b"does not exist"),
        (("--set", f"sources.subscriptions.url=postgresql://me:{PASSWORD}@host/x"), PASSWORD, b"holds a password"),
    ],
)
def test_a_run_that_fails_leaves_no_secret_either(server, same_rows, tmp_path, words, password, told):
    params = str(same_rows / "postgresql.yaml")
    done = call(server, "run", params, *words, "--out", str(tmp_path), password=password)
    assert done.returncode == 1 and told in done.stderr and b"Traceback" not in done.stderr
    assert (tmp_path / "postgresql" / ".failed").exists() == (b"holds" not in told)
    assert telltales(tmp_path, done) == []


def test_check_tells_no_secret(server, same_rows, tmp_path):
    for password, code, told in ((PASSWORD, 0, b"transactions"), ("wr0ng-s3cr3t", 1, b"authentication failed")):
        done = call(server, "check", str(same_rows / "postgresql.yaml"), password=password)
        assert done.returncode == code and told in done.stdout + done.stderr and telltales(tmp_path, done) == []


def test_marts_are_equal_whatever_holds_the_rows(server, same_rows, tmp_path, monkeypatch):
    monkeypatch.setenv("WAREHOUSE_URL", server.format(PASSWORD, "postgres"))
    monkeypatch.setenv("TOKEN", "tok3n")
    marts = {}
    for kind in ("postgresql", "duckdb", "csv"):
        prepare(str(same_rows / f"{kind}.yaml"), None, str(tmp_path / kind))
        frames = {path.stem: pd.read_parquet(path) for path in sorted((tmp_path / kind / "marts").iterdir())}
        marts[kind] = {name: frame.drop(columns=["file", "line"], errors="ignore") for name, frame in frames.items()}
    assert len(marts["csv"]["transactions"]) > 100 and len(marts["csv"]["subscriptions"]) > 50
    for name, frame in marts["csv"].items():
        pd.testing.assert_frame_equal(marts["postgresql"][name], frame)
        pd.testing.assert_frame_equal(marts["duckdb"][name], frame)


@pytest.mark.long
def test_metrics_are_equal_whatever_holds_the_rows(server, same_rows, tmp_path):
    for kind in ("postgresql", "duckdb", "csv"):
        done = call(server, "run", str(same_rows / f"{kind}.yaml"), "--out", str(tmp_path))
        assert done.returncode == 0, done.stderr.decode()
    tables = [(tmp_path / kind / "2025-06" / "metrics.csv").read_bytes() for kind in ("postgresql", "duckdb", "csv")]
    assert tables[0] == tables[1] == tables[2] and len(tables[0].splitlines()) > 100
