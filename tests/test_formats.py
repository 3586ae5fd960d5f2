"""Exports as they come: what each line is worth is worked out by hand, and every line is kept or rejected with its rule."""

from datetime import datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from test_sources import engine_for, params_for, problem, stage_for, staged, write

from helpers.contracts import ReportError
from helpers.marts import prepare, stage
from helpers.params import load_params
from helpers.sources import init_params

RETAIL = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
RETAIL_ROWS = (
    "536365,85123A,LANTERN,6,12/1/2010 8:26,2.55,17850.0,UK\n"            # 6 x 2.55 = 15.30
    "C536379,D,Discount,-1,12/13/2010 9:41,27.50,14527.0,UK\n"            # given back: -27.50
    "A563185,B,Adjust bad debt,1,12/14/2010 14:50,11062.06,,UK\n"         # sets accounts right
    "536414,22139,,56,12/1/2010 11:52,0,,UK\n"                            # stock that was found: no order
    "536370,POST,POSTAGE,3,12/1/2010 8:45,18.00,12583.0,France\n"         # 54.00, no goods
    "536371,1,X,abc,12/1/2010 9:00,1,1,UK\n"                              # no quantity
)
SHOPIFY = ("Name,Email,Financial Status,Paid at,Currency,Subtotal,Shipping,Taxes,Total,Created at,Lineitem quantity,"
           "Lineitem name,Lineitem price,Lineitem sku,Refunded Amount,Lineitem discount,Vendor\n")
STRIPE = "id,Created date (UTC),Amount,Amount Refunded,Currency,Captured,Mode,Status,Description,Customer Email\n"
CHARGES = "id,created,amount,amount_refunded,currency,status,customer,livemode\n"


def told(engine, *columns: str) -> list[tuple]:
    return engine.table("staged_transactions").order("file, line, line_no").select(*columns).fetchall()


def money(*values: str) -> list[Decimal]:
    return [Decimal(value) for value in values]


def amounts(engine) -> list[Decimal]:
    return [amount for [amount] in told(engine, "amount")]


class TestOnlineRetail:
    def test_lines_are_quantity_times_price_and_each_is_kept_or_rejected(self, tmp_path):
        engine = engine_for(tmp_path, RETAIL + RETAIL_ROWS, format="online_retail")
        assert amounts(engine) == [*money("15.30", "-27.50", "11062.06", "0", "54.00"), None]
        assert told(engine, "line", "type") == [
            (2, "sale"), (3, "refund"), (4, "adjustment"), (5, "adjustment"), (6, "adjustment"), (7, "sale")]
        assert told(engine, "line", "rule", "rule_column", "rule_value")[-1] == (7, "cannot be read", "quantity", "abc")
        assert told(engine, "customer_id", "transacted_at")[0] == ("17850", datetime(2010, 12, 1, 8, 26))

    def test_the_second_edition_has_other_names(self, tmp_path):
        text = RETAIL.replace("InvoiceNo", "Invoice").replace("UnitPrice", "Price").replace("CustomerID", "Customer ID")
        assert amounts(engine_for(tmp_path, text + RETAIL_ROWS, format="online_retail"))[:2] == money("15.30", "-27.50")

    def test_columns_of_the_params_win_over_those_of_the_format(self, tmp_path):
        columns = {"amount": "UnitPrice", "customer_id": "Country", "category": "Description"}
        engine = engine_for(tmp_path, RETAIL + RETAIL_ROWS, format="online_retail", columns=columns)
        assert told(engine, "amount", "customer_id", "category")[0] == (Decimal("2.55"), "UK", "LANTERN")

    def test_files_are_read_one_by_one_and_numbered_each_from_its_own_first_line(self, tmp_path):
        lines = RETAIL_ROWS.splitlines(keepends=True)
        write(tmp_path, RETAIL + lines[0], "in/a.csv")
        write(tmp_path, RETAIL + "\n" + lines[1], "in/b.csv")                        # a blank line above the row
        assert told(staged(params_for(tmp_path, "in/*.csv", format="online_retail", dayfirst=False)), "file", "line") == [("a.csv", 2), ("b.csv", 3)]

    def test_parquet_is_read_in_its_own_types(self, tmp_path):
        columns = {"InvoiceNo": [536365.0], "StockCode": ["85123A"], "Description": ["x"], "Quantity": [6],
                   "InvoiceDate": [datetime(2010, 12, 1, 8, 26)], "UnitPrice": [2.55], "CustomerID": [17850.0]}
        pq.write_table(pa.table(columns), tmp_path / "r.parquet")
        engine = staged(params_for(tmp_path, "r.parquet", format="online_retail"))
        assert told(engine, "line", "transaction_id", "customer_id", "amount") == [(1, "536365", "17850", Decimal("15.30"))]

    def test_what_is_in_a_cell_is_never_run(self, tmp_path):
        evil = "'); drop table run; --{{ 7 * 7 }}"
        engine = engine_for(tmp_path, RETAIL + f'1,"{evil}","{evil}",2,12/13/2010 8:26,3,"{evil}",UK\n', format="online_retail")
        assert told(engine, "product_id", "customer_id", "amount") == [(evil, evil, Decimal(6))]


class TestShopify:
    ORDER = (
        "#1,ann@x.org,paid,2025-06-01 10:00:00 +0200,USD,90.00,5.00,9.50,104.50,2025-06-01 09:00:00 +0200,2,Mug,30.00,M,0.00,0,Acme\n"
        "#1,,,,,,,,,,1,Cap,40.00,C,,0,Bolt\n"
    )

    def test_cells_of_the_first_row_hold_for_the_order_and_its_discount_is_shared_out(self, tmp_path):
        # 60 + 40 = 100 at list, Subtotal 90: a tenth off each, 54 and 36; of the tax of 9.50 on 95 goods have 9.00: 5.40, 3.60
        engine = engine_for(tmp_path, SHOPIFY + self.ORDER, format="shopify_orders")
        assert told(engine, "line", "amount", "discount", "tax") == [(2, *money("54", "6", "5.40")), (3, *money("36", "4", "3.60"))]
        assert told(engine, "customer_id", "transacted_at", "line_no", "stage") == [
            ("ann@x.org", datetime(2025, 6, 1, 8), 1, "kept"), ("ann@x.org", datetime(2025, 6, 1, 8), 2, "kept")]

    def test_a_refund_is_a_line_of_its_own_for_the_part_on_goods(self, tmp_path):
        # prices hold the tax: Total 119 = Subtotal 119, of which 19 tax; half of it given back is 50 of 100
        order = "#2,bob@x.org,partially_refunded,,USD,119,0,19,119,2025-06-03 09:00:00 +0000,1,Mug,119.00,M,59.50,0,Acme\n"
        engine = engine_for(tmp_path, SHOPIFY + order, format="shopify_orders")
        assert told(engine, "line", "line_no", "type", "amount", "original_transaction_id") == [
            (2, 1, "sale", Decimal(100), None), (2, 2, "refund", Decimal(-50), "#2")]

    def test_an_order_with_a_line_that_cannot_be_read_is_rejected_whole(self, tmp_path):
        engine = engine_for(tmp_path, SHOPIFY + self.ORDER.replace(",1,Cap", ",one,Cap"), format="shopify_orders")
        assert told(engine, "line", "rule", "rule_column", "rule_value") == [
            (2, "cannot be read", "quantity", "one"), (3, "cannot be read", "quantity", "one")]

    def test_shares_that_do_not_come_out_even_still_add_up(self, tmp_path):
        row = "#3,,,,,,,,,,1,Cap,1.00,C,,0,Bolt\n"
        head = "#3,cat@x.org,paid,,USD,1.00,0,0,1.00,2025-06-03 09:00:00 +0000,1,Cap,1.00,C,0,0,Bolt\n"
        engine = engine_for(tmp_path, SHOPIFY + head + row * 2, format="shopify_orders")
        assert amounts(engine) == money("0.3333", "0.3334", "0.3333")             # to 0.6667 after two lines, to 1 after three

    def test_what_is_not_paid_counts_nowhere_and_an_unknown_state_is_rejected(self, tmp_path):
        texts = [f"#{n},a,{state},,USD,5,0,0,5,2025-06-0{n} 09:00:00 +0000,1,Cap,5,C,0,0,B\n"
                 for n, state in enumerate(["pending", "voided", "odd"], 1)]
        engine = engine_for(tmp_path, SHOPIFY + "".join(texts), format="shopify_orders")
        assert told(engine, "status", "stage", "rule") == [
            ("failed", "kept", None), ("failed", "kept", None), ("odd", "rejected", "not an accepted value")]


class TestStripe:
    ROWS = ("ch_1,2025-06-30 23:30,31.25,0.00,usd,true,Live,Paid,x,ann@x.org\n"
            "ch_2,2025-06-02 10:00:00 UTC,20.00,5.00,usd,true,Live,Refunded,x,bob@x.org\n"
            "ch_3,2025-06-03 10:00,9.00,0.00,usd,false,Live,Failed,x,bob@x.org\n"
            "ch_4,2025-06-03 10:00,9.00,0.00,usd,true,Test,Paid,x,bob@x.org\n")

    def test_payments_and_refunds_are_lines_and_test_payments_are_rejected(self, tmp_path):
        engine = engine_for(tmp_path, STRIPE + self.ROWS, format="stripe_payments")
        assert told(engine, "line", "type", "status", "amount", "stage") == [
            (2, "sale", "paid", Decimal("31.25"), "kept"), (3, "sale", "paid", Decimal(20), "kept"),
            (3, "refund", "paid", Decimal(-5), "kept"), (4, "sale", "failed", Decimal(9), "kept"),
            (5, "sale", "test payment", Decimal(9), "rejected")]
        assert {currency for [currency] in told(engine, "currency")} == {"USD"}

    def test_times_are_utc_whatever_the_zone_of_the_report(self, tmp_path):
        engine = engine_for(tmp_path, STRIPE + self.ROWS, format="stripe_payments", zone="America/New_York")
        assert told(engine, "transacted_at")[:2] == [(datetime(2025, 6, 30, 19, 30),), (datetime(2025, 6, 2, 6),)]

    def test_smallest_units_of_the_api_are_turned_into_units_of_each_currency(self, tmp_path):
        rows = [f"c{i},2025-06-0{i} 10:00:00,3125,0,{of},succeeded,ann,true" for i, of in enumerate(["usd", "jpy", "kwd"], 1)]
        (tmp_path / "c.csv").write_text(CHARGES + "\n".join(rows))
        engine = staged(params_for(tmp_path, "c.csv", format="stripe_charges"))
        assert amounts(engine) == money("31.25", "3125", "3.125")


GOOGLE = ('Campaign report\n"June 1, 2025 - June 30, 2025"\n'
          "Campaign state,Campaign,Day,Currency code,Cost,Impr.,CTR\n")
GOOGLE_ROWS = ('Enabled,Summer,2025-06-13,EUR,"1,204.50",100,< 10%\n'
               "Paused,Brand,2025-06-14,EUR,--,0,--\n"
               "Enabled,Brand,2025-06-15,EUR,n/a,0,--\n"
               'Total: Campaigns,Total: Campaigns,--,EUR,"1,204.50",100,--\n')
META = ("\ufeffReporting starts,Reporting ends,Campaign name,Amount spent (EUR),Impressions,Results\n"
        "2025-06-01,2025-06-07,Summer,70.00,9,1\n2025-06-08,2025-06-08,Brand,3.50,9,1\n")
MICROSOFT = "Gregorian date,Campaign name,Campaign ID,Impressions,Clicks,Spend,Conversions\n6/13/2025,Summer,7,1000,10,12.50,1\n"


def spent(engine, *columns: str) -> list[tuple]:
    return engine.table("staged_marketing_spend").order("file, line").select(*columns).fetchall()


class TestAds:
    def rows(self, folder, text, form, rates="2025-06-01,EUR,USD,2\n", **how):
        write(folder, "date,from_currency,to_currency,rate\n" + rates, "fx.csv")
        params = params_for(folder, write(folder, text, "ads.csv"), table="marketing_spend", format=form, **how)
        told = yaml.safe_load(params.file.read_text())
        told["sources"]["fx_rates"] = {"path": "fx.csv"}
        params.file.write_text(yaml.safe_dump(told))
        return staged(load_params(params.file))

    def test_of_google_titles_are_left_out_and_a_total_is_not_spent_twice(self, tmp_path):
        engine = self.rows(tmp_path, GOOGLE + GOOGLE_ROWS, "google_ads")
        assert spent(engine, "line", "stage", "rule", "rule_value", "amount") == [
            (4, "kept", None, None, Decimal(2409)),                         # 1,204.50 EUR at 2
            (5, "kept", None, None, Decimal(0)),                            # nothing was spent
            (6, "rejected", "cannot be read", "n/a", None),
            (7, "rejected", "total line", "Total: Campaigns", None)]
        assert spent(engine, "campaign", "channel", "currency", "period_start", "period_end")[0] == (
            "Summer", "google", "USD", datetime(2025, 6, 13), datetime(2025, 6, 13))

    def test_of_google_a_total_may_stand_in_the_column_of_days(self, tmp_path):
        text = "Day,Campaign,Cost\n2025-06-01,Brand,5\nTotal: Account, --,5\n"
        assert spent(self.rows(tmp_path, text, "google_ads"), "stage", "rule_value") == [("kept", None), ("rejected", "Total: Account")]

    def test_of_google_tabs_in_utf_16_below_titles_are_read_too(self, tmp_path):
        text = (GOOGLE.replace(",Cu", "\tCu").replace("state,Campaign,Day", "state\tCampaign\tDay").replace(",Cost,Impr.,CTR", "\tCost\tImpr.\tCTR")
                + "Enabled\tSummer\t2025-06-13\tUSD\t7.25\t1\t2\n\nEnabled\tBrand\t2025-06-14\tUSD\t1\t1\t2\n")
        engine = self.rows(tmp_path, text.encode("utf-16"), "google_ads")
        assert spent(engine, "line", "amount") == [(4, Decimal("7.25")), (6, Decimal(1))]

    def test_of_meta_the_currency_stands_in_the_name_of_a_column_and_days_are_a_span(self, tmp_path):
        engine = self.rows(tmp_path, META, "meta_ads", channel="instagram & co")
        assert spent(engine, "amount", "channel", "campaign", "period_start", "period_end") == [
            (Decimal(140), "instagram & co", "Summer", datetime(2025, 6, 1), datetime(2025, 6, 7)),
            (Decimal(7), "instagram & co", "Brand", datetime(2025, 6, 8), datetime(2025, 6, 8))]

    def test_of_meta_money_in_a_currency_without_rate_is_rejected(self, tmp_path):
        engine = self.rows(tmp_path, META.replace("EUR", "GBP"), "meta_ads")
        assert {stage for [stage] in spent(engine, "stage")} == {"rejected"}

    def test_of_microsoft_days_are_month_first_and_the_channel_may_be_a_column(self, tmp_path):
        engine = self.rows(tmp_path, MICROSOFT, "microsoft_ads", columns={"channel": "Campaign ID"})
        assert spent(engine, "amount", "channel", "campaign", "period_end") == [(Decimal("12.50"), "7", "Summer", datetime(2025, 6, 13))]

    def test_a_channel_without_an_export_of_ads_is_refused(self, tmp_path):
        with pytest.raises(ReportError, match="marketing_spend.channel: is for exports of ads, such as format: google_ads"):
            params_for(tmp_path, "ads.csv", table="marketing_spend", channel="google")
        with pytest.raises(ReportError, match="channel"):
            params_for(tmp_path, "ads.csv", table="marketing_spend", format="google_ads", channel="it's")

    def test_a_folder_of_several_exports_is_read_each_by_its_own_columns(self, tmp_path):
        write(tmp_path, GOOGLE + GOOGLE_ROWS, "ads/google.csv")
        write(tmp_path, META, "ads/meta.csv")
        write(tmp_path, MICROSOFT, "ads/microsoft.csv")
        write(tmp_path, "period_start,period_end,channel,amount\n2025-06-01,2025-06-30,mail,9\n", "ads/own.csv")
        write(tmp_path, "date,from_currency,to_currency,rate\n2025-06-01,EUR,USD,2\n", "fx.csv")
        params = params_for(tmp_path, "ads", table="marketing_spend", format="auto")
        told = yaml.safe_load(params.file.read_text())
        told["sources"]["fx_rates"] = {"path": "fx.csv"}
        params.file.write_text(yaml.safe_dump(told))
        kept = staged(load_params(params.file)).table("staged_marketing_spend").filter("stage = 'kept'")
        assert kept.aggregate("channel, sum(amount)").order("channel").fetchall() == [
            ("bing", Decimal("12.5")), ("google", Decimal(2409)), ("mail", Decimal(9)), ("meta", Decimal(147))]

    def test_a_file_of_a_folder_that_is_no_export_tells_what_it_lacks(self, tmp_path):
        write(tmp_path, META, "ads/meta.csv")
        write(tmp_path, "a,b\n1,2\n", "ads/other.csv")
        found = problem(tmp_path, "ads", table="marketing_spend", format="auto")
        assert "other.csv" in found and "'period_start' is missing" in found and "meta.csv" not in found

    @pytest.mark.parametrize(("text", "form"), [(GOOGLE + GOOGLE_ROWS, "google_ads"), (META, "meta_ads"), (MICROSOFT, "microsoft_ads")])
    def test_init_proposes_the_format(self, tmp_path, text, form):
        write(tmp_path, text, "in/ads.csv")
        write(tmp_path, STRIPE + TestStripe.ROWS, "in/payments.csv")
        path = init_params([tmp_path / "in/payments.csv", tmp_path / "in/ads.csv"], tmp_path / "params")
        source = yaml.safe_load(path.read_text())["sources"]["marketing_spend"]
        assert source["format"] == form and "columns" not in source


SNAPSHOT = ("id,Customer ID,Plan,Quantity,Currency,Interval,Amount,Status,Created (UTC),Start (UTC),Current Period End (UTC),"
            "Trial End (UTC),Canceled At (UTC),Ended At (UTC)\n")
SNAPSHOT_ROWS = (
    "sub_1,cus_1,pro,2,usd,month,20.50,active,2025-01-01 09:00,2025-01-03 10:00,2025-07-03 10:00,,,\n"
    "sub_2,cus_2,pro,1,usd,Year,200.00,active,2025-01-03 10:00,2025-01-03 10:00,2026-01-03 10:00,,2025-05-02 08:00,\n"
    "sub_3,cus_3,pro,1,usd,month,20.50,canceled,2025-01-03 10:00,2025-01-03 10:00,2025-04-03 10:00,,2025-03-20 08:00,2025-04-03 10:00\n"
    "sub_4,cus_4,pro,1,usd,month,20.50,incomplete_expired,2025-01-03 10:00,2025-01-03 10:00,2025-02-03 10:00,,,2025-01-04 10:00\n"
    "sub_5,cus_5,pro,1,usd,month,20.50,trialing,2025-06-20 10:00,2025-06-20 10:00,2025-07-04 10:00,2025-07-04 10:00,,\n")
BAREMETRICS = ("plan_oid,plan_name,plan_currency,plan_amount,plan_interval,plan_interval_count,customer_oid,customer_name,"
               "customer_email,subscription_oid,subscription_started_at,subscription_canceled_at,subscription_quantity\n")
BAREMETRICS_ROWS = ("p1,Pro,USD,2050,month,1,c1,Ann,ann@x.org,s1,2025-01-03,,2\n"
                    "p2,Yen,JPY,3000,year,1,c2,Bob,bob@x.org,s2,2025-01-03,2025-04-05,1\n")


class TestSubscriptions:
    def book(self, folder, text, form):
        write(folder, text)
        write(folder, "date,from_currency,to_currency,rate\n2025-01-01,JPY,USD,0.01\n", "fx.csv")
        sources = {"subscriptions": {"path": "orders.csv", "format": form}, "fx_rates": {"path": "fx.csv"}}
        (folder / "book.yaml").write_text(yaml.safe_dump({
            "report": {"name": "book", "title": "Book", "month": "2025-06", "currency": "USD"}, "sources": sources, "history": None}))
        return prepare(str(folder / "book.yaml"), "2025-06", str(folder / "run"))

    def mrr(self, book, month):
        rows = book.frame("summaries/months").set_index("month")
        return tuple(rows.loc[book.month - 6 + month, ["mrr_end", "active_end"]])

    def test_of_stripe_the_period_that_is_paid_ends_who_asked_to_leave(self, tmp_path):
        book = self.book(tmp_path, SNAPSHOT + SNAPSHOT_ROWS, "stripe_subscriptions")
        ends = book.engine.table("mart_subscriptions").order("subscription_id").select("subscription_id", "started_at", "ended_at").fetchall()
        assert ends[:3] == [("sub_1", datetime(2025, 1, 3, 10), None), ("sub_2", datetime(2025, 1, 3, 10), datetime(2026, 1, 3, 10)),
                            ("sub_3", datetime(2025, 1, 3, 10), datetime(2025, 4, 3, 10))]
        # March: 2 · 20.50, 200 ÷ 12, 20.50; in June sub_3 is gone; a first payment that never came and a trial pay nothing
        assert self.mrr(book, 3) == pytest.approx((41 + 200 / 12 + 20.5, 3), abs=1e-4)
        assert self.mrr(book, 6) == pytest.approx((41 + 200 / 12, 2), abs=1e-4)

    def test_of_baremetrics_amounts_are_in_the_smallest_unit_of_their_currency(self, tmp_path):
        book = self.book(tmp_path, BAREMETRICS + BAREMETRICS_ROWS, "baremetrics")
        assert self.mrr(book, 3) == pytest.approx((41 + 3000 * 0.01 / 12, 2), abs=1e-4)
        assert self.mrr(book, 6) == pytest.approx((41, 1))

    @pytest.mark.parametrize(("text", "form"), [(SNAPSHOT + SNAPSHOT_ROWS, "stripe_subscriptions"), (BAREMETRICS + BAREMETRICS_ROWS, "baremetrics")])
    def test_init_proposes_the_format(self, tmp_path, text, form):
        write(tmp_path, text, "in/subs.csv")
        source = yaml.safe_load(init_params([tmp_path / "in/subs.csv"], tmp_path / "params").read_text())["sources"]["subscriptions"]
        assert source["format"] == form and "columns" not in source


EXPORTS = {"online_retail": RETAIL + RETAIL_ROWS, "shopify_orders": SHOPIFY + TestShopify.ORDER, "stripe_payments": STRIPE + TestStripe.ROWS}


@pytest.mark.parametrize("form", EXPORTS)
def test_init_proposes_the_format_and_its_file_makes_a_book(tmp_path, form):
    write(tmp_path, EXPORTS[form], "in/export.csv")
    path = init_params([tmp_path / "in/export.csv"], tmp_path / "params")
    source = yaml.safe_load(path.read_text())["sources"]["transactions"]
    assert source["format"] == form and "columns" not in source
    month = {"online_retail": "2010-12"}.get(form, "2025-06")
    rows = prepare(str(path), month, str(tmp_path / "run")).frame("summaries/rows").set_index("stage")["rows"]
    read = {"online_retail": 6, "shopify_orders": 2, "stripe_payments": 5}[form]     # a refund of Stripe is a row beside its payment
    kept = {"online_retail": 5, "shopify_orders": 2, "stripe_payments": 4}[form]
    assert (rows["read"], rows["kept"], rows["rejected"]) == (read, kept, read - kept)


def test_a_file_of_another_export_names_what_it_lacks_and_the_format_that_fits(tmp_path):
    found = problem(tmp_path, write(tmp_path, STRIPE + TestStripe.ROWS), format="online_retail")
    assert "format online_retail needs the column 'UnitPrice' or 'Price', for unit_price" in found
    assert "its columns are those of format: stripe_payments" in found
    damaged = RETAIL.replace("Quantity", "Qty") + RETAIL_ROWS
    found = problem(tmp_path, write(tmp_path, damaged), format="online_retail")
    assert found.count("needs the column") == 1 and "'Quantity'" in found and "leave format out" in found


def test_a_format_stands_under_its_own_table_and_an_unknown_one_names_the_nearest(tmp_path):
    write(tmp_path, RETAIL + RETAIL_ROWS)
    with pytest.raises(ReportError, match="online_retail is an export of transactions; put it under sources.transactions"):
        params_for(tmp_path, "orders.csv", table="customers", format="online_retail")
    with pytest.raises(ReportError, match="not a known format; did you mean shopify_orders"):
        params_for(tmp_path, "orders.csv", format="shopify_order")


def test_periods_of_service_are_refused_for_they_are_found_by_lines_that_a_refund_shares(tmp_path):
    found = problem(tmp_path, write(tmp_path, STRIPE + TestStripe.ROWS), format="stripe_payments", columns={"service_start": "Mode"})
    assert "service_start cannot stand beside format stripe_payments; name all columns" in found


def test_columns_that_no_line_fills_do_not_count_as_given(tmp_path):
    engine = stage_for(tmp_path, STRIPE + TestStripe.ROWS, format="stripe_payments")
    given = {column for table, column in engine.table("source_columns").fetchall() if table == "transactions"}
    assert {"customer_id", "amount", "currency", "status"} <= given and not {"product_id", "tax", "category"} & given


def test_the_settings_of_an_export_load_again(tmp_path):
    params = params_for(tmp_path, write(tmp_path, RETAIL + RETAIL_ROWS), month="2010-12", format="online_retail")
    assert load_params(params.file).sources["transactions"].format == "online_retail" and stage(params)
