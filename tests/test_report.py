"""Whole reports on the demo company and on real data: what a run leaves, and the published figures in it."""

import hashlib
import json
import re

import pandas as pd
import pytest

from helpers.contracts import ROOT, definitions
from helpers.runner import run_report

CHROMIUM = "/usr/bin/chromium"


def folder_of(params, out, **options):
    return run_report(str(params), out=out, **options).parent


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return folder_of("params/demo.yaml", tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def cdnow(tmp_path_factory):
    return folder_of("params/cdnow.yaml", tmp_path_factory.mktemp("cdnow"))


@pytest.fixture(scope="module")
def grocery(tmp_path_factory):
    return folder_of("params/grocery.yaml", tmp_path_factory.mktemp("grocery"))


@pytest.fixture(scope="module")
def telco(tmp_path_factory, shared_data):
    out = tmp_path_factory.mktemp("telco")
    text = "report: {name: telco, title: Telco, month: 2018-12}\nsources:\n"
    for table in ("subscriptions", "addons", "customers"):
        text += f"  {table}: {{path: {shared_data / 'telco' / table}.csv}}\n"
    (out / "telco.yaml").write_text(text)
    return folder_of(out / "telco.yaml", out)


def table(folder, name):
    return pd.read_csv(folder / "tables" / f"{name}.csv", keep_default_na=False, na_values=[""])


def metrics(folder):
    return pd.read_csv(folder / "metrics.csv", keep_default_na=False, na_values=[""])


def value(folder, name, period):
    found = metrics(folder).query("metric == @name and dimension == 'all' and period == @period")
    assert len(found) == 1, name
    return found.iloc[0]


class TestDemo:
    def test_leaves_what_the_contract_promises(self, demo):
        pages = {"index", "01_data_prep", "02_ltv_cac", "03_rfm", "04_pricing_tiers", "05_retention"}
        assert {path.stem for path in demo.glob("*.html")} == pages
        files = {path.name for path in demo.iterdir()}
        assert {"metrics.csv", "verdicts.csv", "params.yaml", "manifest.json", "run.log", "tables", "marts"} <= files
        assert demo.parent.parent.joinpath(".work").exists() is False or not any(demo.parents[1].glob(".work/demo/2025-06"))

    def test_manifest_holds_the_sha256_of_every_output(self, demo):
        manifest = json.loads((demo / "manifest.json").read_text())
        for name, digest in manifest["outputs"].items():
            assert hashlib.sha256((demo / name).read_bytes()).hexdigest() == digest
        left = {str(p.relative_to(demo)) for p in demo.rglob("*") if p.is_file()} - {"manifest.json", "run.log"}
        assert left == set(manifest["outputs"]) - {"run.log"}

    def test_same_inputs_twice_give_equal_bytes(self, demo, tmp_path):
        again = folder_of("params/demo.yaml", tmp_path)
        names = {str(p.relative_to(demo)) for p in demo.rglob("*") if p.is_file()}
        assert names == {str(p.relative_to(again)) for p in again.rglob("*") if p.is_file()}
        differ = [n for n in sorted(names) if (demo / n).read_bytes() != (again / n).read_bytes()]
        assert set(differ) <= {"manifest.json", "run.log"}

    def test_metrics_are_those_of_the_definitions(self, demo):
        assert set(metrics(demo)["metric"]) <= set(definitions())
        unused = set(definitions()) - set(metrics(demo)["metric"])
        assert unused == set()

    def test_metrics_follow_the_contract(self, demo):
        table = metrics(demo)
        columns = "metric dimension member period value low high n unit basis method".split()
        assert table.columns.to_list() == columns
        assert table["unit"].isin(["count", "USD", "months", "share", "ratio", "per_year"]).all()
        assert table["basis"].dropna().isin(["revenue", "gross_margin", "net"]).all()
        key = table[["metric", "dimension", "member", "period"]]
        assert not key.duplicated().any()
        assert key.equals(key.sort_values(list(key.columns), ignore_index=True))
        inside = table.dropna(subset=["low", "value", "high"])
        assert ((inside["low"] <= inside["value"] + 1e-9) & (inside["value"] <= inside["high"] + 1e-9)).all()

    def test_monthly_metrics_have_thirteen_months(self, demo):
        whole = metrics(demo).query("dimension == 'all'")
        single = {"rows_in", "rows_kept", "rows_rejected", "rows_after_as_of", "rejected_share", "churn_rate_pooled",
                  "payback_months", "max_cac", "acquisition_to_retention_cost_ratio"}
        months = whole[~whole["metric"].isin(single) & ~whole["metric"].str.match("ltv|lifetime")].groupby("metric").size()
        assert months[months != 13].to_dict() == {}

    def test_every_check_passed(self, demo):
        checks = table(demo, "checks")
        assert len(checks) >= 30 and checks["passed"].all()

    def test_mrr_movements_add_up_to_the_cent(self, demo):
        m = table(demo, "mrr_movements")
        end = m["start"] + m["new"] + m["reactivation"] + m["resumed"] + m["expansion"]
        end = end - m["contraction"] - m["paused"] - m["churn"] + m["fx"]
        assert (end - m["end"]).abs().max() < 0.005
        assert m["end"].iloc[-1] == pytest.approx(value(demo, "mrr", "2025-06")["value"])

    def test_the_same_figure_is_equal_on_all_pages(self, demo):
        tiers, mrr = table(demo, "tier_scorecard"), value(demo, "mrr", "2025-06")["value"]
        assert tiers["mrr"].sum() == pytest.approx(mrr, abs=0.005)
        assert tiers["customers"].sum() == value(demo, "active_customers", "2025-06")["value"]
        plans = table(demo, "ltv_cac_by").query("dimension == 'plan'").set_index("member")["ltv"]
        pd.testing.assert_series_equal(tiers.set_index("plan_id")["ltv"].sort_index(), plans.sort_index(), check_names=False)

    def test_no_machine_path_and_no_time_of_the_run(self, demo):
        for path in demo.rglob("*"):
            if path.suffix in (".html", ".ipynb", ".csv"):  # params.yaml leads from its folder to the sources
                text = path.read_text()
                assert str(ROOT) not in text and str(demo.parent) not in text, path.name
                assert ".work" not in text.replace('run_dir = \\"outputs/.work/demo/2025-06', ""), path.name


class TestPages:
    @pytest.fixture
    def browser(self):
        api = pytest.importorskip("playwright.sync_api")
        with api.sync_playwright() as play:
            try:
                options = ["--no-sandbox", "--disable-background-networking"]
                browser = play.chromium.launch(executable_path=CHROMIUM, args=options)
            except api.Error as error:
                pytest.skip(f"needs Chromium: {str(error).splitlines()[0]}")
            yield browser
            browser.close()

    def test_pages_load_nothing_and_fit_a_phone(self, demo, browser):
        page = browser.new_page(viewport={"width": 390, "height": 800})
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        for path in sorted(demo.glob("*.html")):
            page.goto(path.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path.name
            alts = page.eval_on_selector_all("img", "all => all.map(i => i.alt)")
            assert all(alts), path.name
            assert len(page.query_selector_all("h1")) == 1 and page.title()
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == [] and errors == []

    def test_code_and_filler_texts_stay_out(self, demo):
        for path in demo.glob("*.html"):
            text = path.read_text()
            assert "No description has been provided" not in text and "open_book(" not in text
            assert not re.search(r"Traceback|<script", text), path.name


class TestCdnow:
    def test_activity_of_180_days(self, cdnow):
        # statistics.md: 344 of 3,467 = 9.92 %, lifetime 10.08 months, ARPU × lifetime 109.6
        churn = value(cdnow, "churn_rate_pooled", "1998-06")
        assert churn["n"] == 3467 and churn["value"] == pytest.approx(344 / 3467, rel=1e-12)
        assert value(cdnow, "lifetime_months_churn", "1998-06")["value"] == pytest.approx(10.08, abs=0.005)
        assert value(cdnow, "ltv_arpu_lifetime", "1998-06")["value"] == pytest.approx(109.6, abs=0.05)
        order_value = value(cdnow, "ltv_aov_frequency_lifetime", "1998-06")["value"]
        assert order_value == pytest.approx(value(cdnow, "ltv_arpu_lifetime", "1998-06")["value"], rel=1e-12)

    def test_holdout_of_39_weeks(self, cdnow):
        found = table(cdnow, "clv_holdout").set_index("model")
        assert found.loc["bg_nbd", "predicted"] == pytest.approx(1653.4, abs=1)
        assert found.loc["bg_nbd", "actual"] == 1882
        assert found.loc["bg_nbd", "low"] < 1882 < found.loc["bg_nbd", "high"]
        assert found.loc["naive_rate", "predicted"] == pytest.approx(2930.1, abs=1)

    def test_skipped_sections_say_what_they_need(self, cdnow):
        assert "marketing_spend" in (cdnow / "02_ltv_cac.html").read_text()
        assert "subscriptions" in (cdnow / "04_pricing_tiers.html").read_text()

    def test_money_is_the_files(self, cdnow):
        rows = table(cdnow, "rows").set_index("stage")
        assert rows.loc["read", "amount"] == rows.loc["kept", "amount"] == pytest.approx(244091.94, abs=0.004)


def test_cdnow_to_1997_09_gives_the_published_parameters(tmp_path):
    # Fader, Hardie & Lee (2005): .243, 4.414, .793, 2.426; CLVTools: −9582.429; note 025: 6.25, 3.74, 15.44
    folder = run_report("params/cdnow.yaml", month="1997-09", only=["02_ltv_cac"], out=tmp_path).parent
    models = table(folder, "clv_models").set_index(["model", "parameter"])
    for key, published, tolerance in (("r", 0.2426, 5e-4), ("alpha", 4.4136, 1e-3), ("a", 0.793, 5e-4), ("b", 2.426, 1e-3)):
        assert models.loc[("bg_nbd", key), "value"] == pytest.approx(published, abs=tolerance)
    assert models.loc[("bg_nbd", "r"), "log_likelihood"] == pytest.approx(-9582.429, abs=0.005)
    for key, published, tolerance in (("p", 6.25, 0.005), ("q", 3.744, 0.005), ("v", 15.44, 0.02)):
        assert models.loc[("gamma_gamma", key), "value"] == pytest.approx(published, abs=tolerance)


class TestTelco:
    def test_rows_and_departures(self, telco):
        rows = table(telco, "rows").query("table == 'subscriptions'").set_index("stage")["rows"]
        assert rows.to_dict() == {"read": 7043, "kept": 7032, "rejected": 0, "after_as_of": 11}
        assert value(telco, "churned_customers", "2018-12")["value"] == 1489
        assert value(telco, "logo_churn_rate", "2018-12")["n"] == 6419
        assert value(telco, "in_month_churn", "2018-12")["value"] == 380
        assert table(telco, "survival").query("dimension == 'all'")["events"].sum() == 1869

    def test_a_book_without_earlier_departures_has_no_lifetime(self, telco):
        for name in ("lifetime_months_churn", "lifetime_months_rmst", "ltv_arpu_lifetime", "ltv_discounted", "ltv"):
            row = value(telco, name, "2018-12")
            assert pd.isna(row["value"]) and row["method"].startswith("not_estimable")


class TestGrocery:
    def test_nothing_is_lost(self, grocery):
        rows = table(grocery, "rows").set_index("stage")
        assert rows["rows"].to_dict() == {"read": 1469307, "kept": 1468773, "rejected": 0, "after_as_of": 534}
        assert rows.loc["read", "amount"] == pytest.approx(4596039.58, abs=0.004)
        assert rows.loc["after_as_of", "amount"] == pytest.approx(1893.26, abs=0.004)
        assert rows.loc[["kept", "rejected", "after_as_of"], "amount"].sum() == pytest.approx(4596039.58, abs=0.004)

    def test_all_pages_are_there(self, grocery):
        assert len(list(grocery.glob("*.html"))) == 6


def test_grocery_in_new_york_has_nothing_after_the_month(tmp_path):
    zones = ["report.timezone=America/New_York", "sources.transactions.timezone=UTC"]
    folder = run_report("params/grocery.yaml", only=["01_data_prep"], overrides=zones, out=tmp_path).parent
    rows = table(folder, "rows").set_index("stage")["rows"]
    assert rows["after_as_of"] == 0 and rows["kept"] == 1469307
