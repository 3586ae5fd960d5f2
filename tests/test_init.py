"""init: files alone make a params file that loads, each guess beside what was seen, and what cannot be guessed said."""

import importlib.util
from pathlib import Path

import openpyxl
import pytest
import yaml

from helpers.contracts import ReportError
from helpers.demo import FILES, write_demo
from helpers.marts import stage
from helpers.params import load_params
from helpers.sources import init_params

SHOP = """Order ID;Customer ID;InvoiceDate;Amount;E-Mail
O-1;17850;13.05.2025 10:00;1.234,50;jane@example.org
O-2;17850;12.06.2025 11:30;2,5;joe@example.org
"""


def write(folder: Path, content: str | bytes, name: str = "orders.csv") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder / name


def made(folder: Path, *files: Path) -> tuple[dict, str]:
    """The YAML that init writes, parsed and as text; it loads, or the test fails."""
    path = init_params(files, folder / "params")
    load_params(path)
    text = path.read_text(encoding="utf-8")
    return yaml.safe_load(text), text


def line(text: str, start: str) -> str:
    [found] = [line for line in text.splitlines() if line.strip().startswith(start)]
    return found


def problem(folder: Path, *files: Path) -> str:
    with pytest.raises(ReportError) as caught:
        init_params(files, folder / "params")
    assert not (folder / "params").exists()
    return str(caught.value)


def test_a_european_export_is_recognised_whole(tmp_path):
    raw, _ = made(tmp_path, write(tmp_path, SHOP.encode("latin-1"), "in/Shop orders (May).csv"))
    assert raw["report"] == {
        "name": "Shop-orders-May",
        "title": "Shop-orders-May",
        "currency": "USD",
        "timezone": "UTC",
        "month": "2025-05",  # the dates end on 12 June, so that May is the last whole month
    }
    assert raw["sources"]["transactions"] == {
        "path": "../in/Shop orders (May).csv",
        "encoding": "utf-8",
        "delimiter": ";",
        "header": True,
        "decimal": ",",
        "dayfirst": True,
        "columns": {
            "transaction_id": "Order ID",
            "customer_id": "Customer ID",
            "transacted_at": "InvoiceDate",
            "amount": "Amount",
        },
    }


def test_what_is_written_reads_the_file_as_meant(tmp_path):
    path = init_params([write(tmp_path, SHOP)], tmp_path / "params")
    rows = stage(load_params(path, "2025-06")).frame("summaries/rows")
    kept = rows[(rows["table"] == "transactions") & (rows["stage"] == "kept")]
    assert kept[["rows", "amount"]].values.tolist() == [[2, 1237.0]]  # 1,234.50 + 2.50


def test_every_guess_stands_beside_what_was_seen(tmp_path):
    raw, text = made(tmp_path, write(tmp_path, SHOP))
    lines = text.splitlines()
    uncommented = [line for line in lines if line and "#" not in line]
    # headings and names apart, no line is without its reason
    assert [line.split(":")[0].strip() for line in uncommented] == ["report", "name", "sources", "path", "columns"]
    assert '"13.05.2025 10:00", "12.06.2025 11:30"' in line(text, "transacted_at:")
    assert "2025-05-13 to 2025-06-12" in line(text, "month:")
    assert "a guess" in line(text, "currency:")
    assert '# not used: "E-Mail"' in text


def test_texts_are_counted_and_not_shown_for_they_may_be_names(tmp_path):
    text = "email,date,total,name\njane@example.org,2025-06-30,5,Jane Doe\njoe@example.org,2025-06-30,6,Joe Doe\n"
    raw, page = made(tmp_path, write(tmp_path, text))
    assert raw["sources"]["transactions"]["columns"]["customer_id"] == "email"
    assert "2 distinct values" in line(page, "customer_id:")
    assert "example.org" not in page and "Doe" not in page


@pytest.mark.parametrize(
    ("last", "month"),
    [("2025-06-30", "2025-06"), ("2025-06-29", "2025-05"), ("2024-02-29", "2024-02"), ("2025-01-15", "2024-12")],
)
def test_the_month_is_the_last_whole_one(tmp_path, last, month):
    text = f"customer_id,transacted_at,amount\nann,2023-01-05,1\nbob,{last} 23:00:00,2\ncat,,3\n"
    assert made(tmp_path, write(tmp_path, text))[0]["report"]["month"] == month


def test_the_last_day_is_looked_for_in_the_whole_file(tmp_path):
    rows = ["ann,2025-01-05,1"] * 3000 + ["ann,2025-06-30,1"] + ["ann,2025-01-05,1"] * 10
    text = "\n".join(["customer_id,transacted_at,amount", *rows])
    assert made(tmp_path, write(tmp_path, text))[0]["report"]["month"] == "2025-06"


def test_days_that_do_not_exist_and_far_ends_of_time_do_not_make_the_month(tmp_path):
    days = [
        "2025-05-31",
        "2025-13-45",
        "2025-06-31",
        "9999-12-31",
        "0001-01-01",
        "x",
        "",
        "2025-04-01",
        *["2025-05-01"] * 30,
    ]
    text = "\n".join(["customer_id,transacted_at,amount", *(f"ann,{day},1" for day in days)])
    raw, page = made(tmp_path, write(tmp_path, text))
    assert raw["report"]["month"] == "2025-05" and "2025-04-01 to 2025-05-31" in line(page, "month:")


def test_a_file_without_a_date_that_can_be_read_says_so(tmp_path):
    raw, page = made(tmp_path, write(tmp_path, "order_id,customer_id,transacted_at,amount\n1,ann,,1\n"))
    assert "not seen: no date is recognised" in line(page, "month:")


def test_a_file_within_one_month_reports_that_month(tmp_path):
    text = "customer_id,transacted_at,amount\nann,2025-06-05,1\nbob,2025-06-20,2\n"
    assert made(tmp_path, write(tmp_path, text))[0]["report"]["month"] == "2025-06"


def test_a_single_currency_in_the_data_is_taken(tmp_path):
    text = "customer_id,date,amount,currency\nann,2025-06-05,1,eur\nbob,2025-06-20,2,EUR\n"
    assert made(tmp_path, write(tmp_path, text))[0]["report"]["currency"] == "EUR"
    raw, page = made(tmp_path, write(tmp_path, text + "cat,2025-06-20,2,GBP\n"))
    assert raw["report"]["currency"] == "USD" and '"EUR", "GBP"' in line(page, "currency: USD")


def test_columns_without_header_are_guessed_by_content(tmp_path):
    rows = [
        f" {i:05d} {i % 7:04d} 1997{1 + i % 12:02d}15  {1 + i % 3} 1.{i % 90:02d} {i}.{i % 90:02d}"
        for i in range(1, 200)
    ]
    raw, page = made(tmp_path, write(tmp_path, "\n".join(rows), "cd.txt"))
    source = raw["sources"]["transactions"]
    assert source["columns"] == {"customer_id": 2, "transacted_at": 3, "amount": 6}  # the total stands behind the price
    assert (source["delimiter"], source["header"]) == ("blank", False)
    assert "by its content" in line(page, "customer_id: 2")


def test_cdnow_as_it_is_shipped_needs_no_hand(tmp_path):
    spec = importlib.util.find_spec("lifetimes")
    if spec is None:
        pytest.skip("needs the examples: make examples")
    file = Path(spec.submodule_search_locations[0]) / "datasets" / "CDNOW_sample.txt"
    path = init_params([file], tmp_path)
    params = load_params(path)
    assert params.report.month == "1998-06"
    rows = stage(params).frame("summaries/rows")
    # 6,919 lines: the sample of Fader and Hardie as lifetimes ships it
    assert rows[rows["stage"] == "kept"][["table", "rows"]].values.tolist() == [["transactions", 6919]]


def test_every_table_of_the_demo_company_is_told_from_the_others(tmp_path):
    files = write_demo(tmp_path / "in", customers=60, end="2025-06")
    raw, _ = made(tmp_path, *[file.rename(file.with_stem(f"export{i}")) for i, file in enumerate(files)])
    tables = {source["path"]: table for table, source in raw["sources"].items()}
    assert tables == {f"../in/export{i}.csv": name for i, name in enumerate(FILES)}
    assert raw["report"]["month"] in ("2025-05", "2025-06")
    for source in raw["sources"].values():
        assert all(ours == theirs for ours, theirs in source["columns"].items())


EXPORTS = {
    "a calendar of events": (
        "Day,Event,Event type\n2025-05-14,Mobile app,release\n",
        "business_events",
        {"date": "Day", "label": "Event", "kind": "Event type"},
    ),
    "customers by two columns": (
        "Customer ID,Created at\n1,2024-03-04\n",
        "customers",
        {"customer_id": "Customer ID", "created_at": "Created at"},
    ),
    "stripe subscriptions": (
        "id,Customer ID,Plan,Quantity,Currency,Interval,Amount,Status,Start (UTC),Canceled At (UTC),Ended At (UTC)\n"
        "sub_1,cus_1,pro,1,usd,month,20.50,active,2025-01-03 10:00,,\n",
        "subscriptions",
        {
            "subscription_id": "id",
            "customer_id": "Customer ID",
            "plan_id": "Plan",
            "unit_amount": "Amount",
            "interval": "Interval",
            "started_at": "Start (UTC)",
            "ended_at": "Ended At (UTC)",
            "quantity": "Quantity",
            "currency": "Currency",
            "status": "Status",
            "canceled_at": "Canceled At (UTC)",
        },
    ),
    "bing ads": (
        "Gregorian date,Campaign,Campaign ID,Impressions,Clicks,Spend,Conversions,Network\n"
        "6/13/2025,Summer,7,1000,10,12.50,1,search\n",
        "marketing_spend",
        {
            "period_start": "Gregorian date",
            "period_end": "Gregorian date",
            "channel": "Network",
            "amount": "Spend",
            "campaign": "Campaign",
        },
    ),
    "customers of a CRM": (
        "Record ID,Company name,Create Date,Industry,Company owner\n1,Acme,2024-03-04,smb,kim\n",
        "customers",
        {
            "customer_id": "Record ID",
            "display_name": "Company name",
            "created_at": "Create Date",
            "segment": "Industry",
            "owner": "Company owner",
        },
    ),
}


@pytest.mark.parametrize(("text", "table", "columns"), EXPORTS.values(), ids=EXPORTS)
def test_names_of_real_exports_are_known(tmp_path, text, table, columns):
    orders = write(tmp_path, "customer_id,transacted_at,amount\nann,2025-06-05,1\n", "o.csv")
    raw, _ = made(tmp_path, orders, write(tmp_path, text, "export.csv"))
    assert raw["sources"][table]["columns"] == columns


def test_a_required_column_that_cannot_be_guessed_is_a_commented_line(tmp_path):
    text = "Invoice,Quantity,InvoiceDate,Price,Customer ID\n489434,12,2009-12-01 07:45:00,6.95,13085.0\n"
    path = init_params([write(tmp_path, text)], tmp_path / "params")
    page = path.read_text()
    assert line(page, "# amount:").endswith("required, and not recognised: name the column of the file that holds it")
    assert yaml.safe_load(page)["sources"]["transactions"]["columns"] == {
        "transaction_id": "Invoice",
        "customer_id": "Customer ID",
        "transacted_at": "InvoiceDate",
        "quantity": "Quantity",
        "unit_price": "Price",
    }
    with pytest.raises(ReportError, match="column 'amount' is missing"):
        stage(load_params(path))


def test_what_may_be_read_two_ways_is_left_open_and_said(tmp_path):
    text = "customer_id;transacted_at;amount\nann;03/04/2025;1,234\nbob;04/04/2025;7\n"
    path = init_params([write(tmp_path, text)], tmp_path / "params")
    page = path.read_text()
    assert "'1,234' may be a decimal or a thousand" in line(page, "# decimal:")
    assert "'03/04/2025' may be day/month or month/day" in line(page, "# dayfirst:")
    load_params(path)


def test_a_name_on_disk_is_made_legal_and_never_overwritten(tmp_path):
    file = write(tmp_path, SHOP, "Ünïcode & “quotes” #1.csv")
    paths = [init_params([file], tmp_path / "params") for _ in range(3)]
    assert [path.name for path in paths] == ["n-code-quotes-1.yaml", "n-code-quotes-1-2.yaml", "n-code-quotes-1-3.yaml"]
    assert len({load_params(path).report.name for path in paths}) == 3
    assert init_params([write(tmp_path, SHOP, "§.csv")], tmp_path / "params").name == "report.yaml"
    assert load_params(init_params([write(tmp_path, SHOP, "2024.csv")], tmp_path / "params")).report.name == "2024"


HOSTILE = ['"; drop table x; --', "a: b # c", "{{ 7 * 7 }}", "${HOME}", "two\nlines", "\x7f", "😀", "'", "- x", "%s"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_the_file_cannot_break_the_yaml(tmp_path, name):
    quoted = '"' + name.replace('"', '""') + '"'
    text = f"customer_id,transacted_at,amount,{quoted}\nann,2025-06-05,1,{quoted}\n"
    raw, _ = made(tmp_path, write(tmp_path, text))
    assert list(raw["sources"]["transactions"]["columns"]) == ["customer_id", "transacted_at", "amount"]


def test_a_name_that_stands_twice_is_given_by_its_position(tmp_path):
    text = "customer_id,transacted_at,amount,amount\nann,2025-06-05,1,2\n"
    assert made(tmp_path, write(tmp_path, text))[0]["sources"]["transactions"]["columns"]["amount"] == 3


def test_excel_is_recognised_without_settings_of_text(tmp_path):
    book = openpyxl.Workbook()
    for row in (["Customer", "Date", "Revenue"], [17850, "2025-05-31", 10.5]):
        book.active.append(row)
    book.save(tmp_path / "orders.xlsx")
    raw, _ = made(tmp_path, tmp_path / "orders.xlsx")
    assert raw["sources"]["transactions"] == {
        "path": "../orders.xlsx",
        "columns": {"customer_id": "Customer", "transacted_at": "Date", "amount": "Revenue"},
    }


def test_every_file_of_no_use_is_told_and_nothing_is_written(tmp_path):
    good, again = write(tmp_path, SHOP), write(tmp_path, SHOP, "again.csv")
    odd, empty = write(tmp_path, "x,y\na,b\n", "odd.csv"), write(tmp_path, "", "empty.csv")
    found = problem(tmp_path, good, odd, empty, tmp_path / "nowhere.csv", again)
    assert f"{odd}: no table is recognised by the columns x, y" in found
    assert f"{empty}: the file is empty" in found
    assert "nowhere.csv" in found and "No such file" in found
    assert f"{again}: a second file of transactions; name a folder that holds both" in found
    assert "has 4 problems" in found and found.endswith("No params file was written.")


def test_without_transactions_and_subscriptions_there_is_nothing_to_report(tmp_path):
    text = "Record ID,Company name,Create Date\n1,Acme,2024-03-04\n"
    assert "no file holds transactions or subscriptions" in problem(tmp_path, write(tmp_path, text))
