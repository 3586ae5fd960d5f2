"""Whole reports on the demo company and on real data: what a run leaves, and the published figures in it."""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import axe_playwright_python
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright

from helpers.contracts import ROOT, definitions
from helpers.runner import run_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
FIRST_PAINT = """() => new Promise(done => new PerformanceObserver(list => {
    const paint = list.getEntriesByName('first-contentful-paint')[0];
    if (paint) done(paint.startTime);
}).observe({type: 'paint', buffered: true}))"""


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
        pages = {"index", "01_data_prep", "02_ltv_cac", "03_rfm", "04_pricing_tiers", "05_retention", "glossary"}
        assert {path.stem for path in demo.glob("*.html")} == pages
        files = {path.name for path in demo.iterdir()}
        assert {"metrics.csv", "verdicts.csv", "params.yaml", "manifest.json", "run.log", "tables", "marts", "summary.md",
                "summary.png"} <= files
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
                  "payback_months", "max_cac", "gross_margin", "acquisition_to_retention_cost_ratio"}
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

    def test_numbers_are_recomputed_from_the_tables_as_the_docs_print_them(self, demo):
        costs, cac, ladder = (table(demo, name) for name in ("costs", "cac", "ltv_ladder"))
        year, early = costs.tail(12), cac[cac["month"].between(cac["month"].max() - 17, cac["month"].max() - 12)]
        margin = 1 - year[["cogs", "support", "hosting", "payment_fees"]].sum().sum() / year["revenue"].sum()
        all_of = table(demo, "customer_value").query("dimension == 'all'").iloc[0]
        own = table(demo, "definition_spread").query("measure == 'LTV' and definition == 'this report'").iloc[0]
        ltv, paths = table(demo, "ltv_methods").set_index("method").loc["ltv", "value"], table(demo, "payback_paths")
        now, half = cac.iloc[-1], cac.tail(6)[["media", "loaded", "acquired"]].sum()
        curve, mrr = table(demo, "ltv_curve"), table(demo, "mrr_movements").tail(6)[["new", "end"]].sum()
        months = curve[["weight", "value_a_month", "gross_margin", "survival"]].prod(axis=1)
        stay = table(demo, "survival").query("dimension == 'all' and cause == 'all' and month < 35")["survival"]
        to_keep = costs.tail(6)["retention"].sum() / (mrr["end"] - mrr["new"])
        plain = {
            "gross_margin": margin,
            "arpa": all_of["sum_y"] / all_of["sum_active"],
            "ltv_arpu_lifetime": own["numerator"] / own["denominator"],
            "ltv_margin": margin * own["numerator"] / own["denominator"],
            "ltv_net": ladder.query("label == 'revenue' or kind == 'change'")["value"].sum(),
            "cac_blended": now["media"] / now["acquired"],
            "ltv_to_cac": ltv * half["acquired"] / half["media"],
            "ltv_to_cac_realised": margin * table(demo, "realised")["revenue"].iloc[0] / early["media"].sum(),
            "max_cac": ltv / 3,
            "lifetime_months_rmst": stay.sum(),
            "ltv_horizon": months.sum(),
            "ltv_discounted": months @ curve["discount_factor"],
            "acquisition_to_retention_cost_ratio": half["loaded"] / mrr["new"] / to_keep,
            "payback_months": paths.query("cohort == 'expected' and paid_back >= 1")["month"].min(),
        }
        published = {name: value(demo, name, "2025-06")["value"] for name in plain}
        assert plain == pytest.approx(published, rel=1e-9)
        docs = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8").split("## 18. Numbers recomputed")[1]
        printed = dict(re.findall(r"^\| `(\w+)` \|.*\| ([\d.,]+ ?%?) \|$", docs, re.M))
        digits = {"gross_margin": ".2%", "payback_months": ".0f"}
        assert printed == {name: format(of, digits.get(name, ",.2f")).replace("%", " %") for name, of in plain.items()}

    def test_rungs_and_members_are_recomputed_from_the_tables(self, demo):
        curve = table(demo, "ltv_curve")
        kept = curve[["weight", "retention_costs", "survival", "discount_factor"]].prod(axis=1).sum()
        assert -kept == pytest.approx(table(demo, "ltv_ladder").set_index("label").loc["retention costs", "value"], abs=0.005)

        marginal = table(demo, "cac_marginal").set_index("channel").loc["partner"]
        spend = table(demo, "spend_by_channel").query("channel == 'partner'").tail(24)[["media", "new_customers"]].sum()
        last = 0.1 * spend["media"] / spend["new_customers"] / (1 - 0.9 ** marginal["elasticity"])
        assert last == pytest.approx(marginal["cac_last_tenth"], abs=0.005)

        shown = table(demo, "ltv_cac_by").dropna(subset="ltv").set_index(["dimension", "member"])["ltv"]
        paths = {key: part.sort_values("t") for key, part in curve.groupby(["dimension", "member"])}
        worth = dict.fromkeys(shown.index, 0.0)
        for of in table(demo, "member_terms").itertuples():
            path = paths[of.curve_dimension, of.curve_member]
            stay = (1 - of.theta * (1 - path["survival"] / path["survival"].shift())).clip(lower=0).fillna(1).cumprod()
            a_month = of.weight * of.rho * path["gross_margin"] * path["value_a_month"]
            worth[of.dimension, of.member] += a_month @ (stay * path["discount_factor"])
        assert worth == pytest.approx(shown.to_dict(), abs=0.005)

        cost = table(demo, "cac_by").query("dimension == 'plan' and member == 'starter'")["cac"].iloc[0]
        path, lost = paths["plan", "starter"], table(demo, "negative_ltv").query("member == 'starter'").iloc[0]
        kept = path["retention_costs"] @ (path["survival"] * path["discount_factor"])
        assert lost["net"] == pytest.approx(worth["plan", "starter"] - kept - cost, abs=0.005)
        assert lost["net"] == pytest.approx(lost["ltv"] - lost["retention_costs"] - lost["cac"], abs=0.005)

    def test_no_machine_path_and_no_time_of_the_run(self, demo):
        for path in demo.rglob("*"):
            if path.suffix in (".html", ".ipynb", ".csv"):  # params.yaml leads from its folder to the sources
                text = path.read_text()
                assert str(ROOT) not in text and str(demo.parent) not in text, path.name
                assert ".work" not in text.replace('run_dir = \\"outputs/.work/demo/2025-06', ""), path.name


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as play:
        options = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
        yield play.chromium.launch(executable_path=CHROMIUM, args=options)


@pytest.mark.skipif(not CHROMIUM and "CI" not in os.environ, reason="needs Chromium")
class TestPages:
    """In a real Chromium: every page of every example."""

    @pytest.fixture(params=["demo", "cdnow", "grocery", "telco"])
    def pages(self, request):
        folder = request.getfixturevalue(request.param)
        found = sorted(folder.glob("*.html"))
        assert len(found) == 7
        return found

    def test_axe_finds_nothing_in_light_and_dark(self, pages, browser):
        view = browser.new_context(bypass_csp=True).new_page()  # the policy would stop axe itself
        for path in pages:
            view.goto(path.as_uri())
            view.evaluate(AXE.read_text(encoding="utf-8"))
            for scheme, options in (("light", "{}"), ("dark", "{runOnly: ['cat.color']}")):  # all else is the same in both
                view.emulate_media(color_scheme=scheme)
                found = view.evaluate(f"axe.run(document, {options})")["violations"]
                told = [(v["id"], [node["html"][:200] for node in v["nodes"][:3]]) for v in found]
                assert told == [], (path.name, scheme)
        view.context.close()

    def test_nothing_is_asked_for_and_a_narrow_phone_needs_no_sideways_scroll(self, pages, browser):
        view = browser.new_page(viewport={"width": 320, "height": 800})
        asked, errors = [], []
        view.on("request", lambda request: asked.append(request.url))
        view.on("console", lambda message: errors.append(message.text))
        for path in pages:
            view.goto(path.as_uri())
            view.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true })")
            assert view.evaluate("document.documentElement.scrollWidth") <= 320, path.name
            assert len(view.query_selector_all("h1")) == 1 and view.title()
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == [] and errors == []
        view.close()

    def test_every_image_has_words_of_its_own(self, pages, browser):
        view = browser.new_page()
        for path in pages:
            view.goto(path.as_uri())
            alts = view.eval_on_selector_all("img", "all => all.map(image => image.alt)")
            assert all(len(alt) > 20 and not re.search(r"\.(png|svg|jpe?g)", alt) for alt in alts), path.name
            assert len(alts) == len(set(alts)), path.name
            assert "description" not in " ".join(alts) and "No description has been provided" not in path.read_text()
        view.close()

    @pytest.mark.parametrize("inches", [8.27, 8.5], ids=["A4", "Letter"])
    def test_no_table_is_cut_on_paper(self, pages, browser, inches):
        width = int((inches - 2 * 14 / 25.4) * 96)  # less the margins of @page
        view = browser.new_page(viewport={"width": width, "height": 1000})
        view.emulate_media(media="print")
        for path in pages:
            view.goto(path.as_uri())
            wide = "all => all.filter(t => t.getBoundingClientRect().right > innerWidth + 1).map(t => t.innerText.slice(0, 40))"
            assert view.eval_on_selector_all("table, img, pre", wide) == [], path.name
        view.close()

    def test_pages_are_small_and_painted_at_once(self, demo, browser):
        pages = sorted(demo.glob("*.html"))
        assert max(path.stat().st_size for path in pages) < 1_500_000
        assert sum(path.stat().st_size for path in demo.rglob("*") if path.is_file()) < 6_600_000
        view = browser.new_page()
        for path in pages:
            times = []
            for _ in range(5):
                view.goto(path.as_uri())
                times.append(view.evaluate(FIRST_PAINT))
            assert sorted(times)[2] < 300, (path.name, times)  # milliseconds
        view.close()

    def test_links_lead_to_what_is_there(self, pages):
        soups = {path.name: BeautifulSoup(path.read_text(), "html.parser") for path in pages}
        for name, soup in soups.items():
            for link in soup.find_all("a", href=True):
                file, _, anchor = link["href"].partition("#")
                assert (pages[0].parent / (file or name)).is_file(), (name, link["href"])
                assert not anchor or soups[file or name].find(id=anchor), (name, link["href"])

    def test_code_and_filler_texts_stay_out(self, pages):
        for path in pages:
            text = path.read_text()
            assert "open_book(" not in text and not re.search(r"Traceback|<script|>nan<|\bNaN\b|None</", text), path.name
            assert 'class="dataframe"' not in text, path.name      # what a cell ends with by mistake is shown as pandas does


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
        assert len(list(grocery.glob("*.html"))) == 7


def test_grocery_in_new_york_has_nothing_after_the_month(tmp_path):
    zones = ["report.timezone=America/New_York", "sources.transactions.timezone=UTC"]
    folder = run_report("params/grocery.yaml", only=["01_data_prep"], overrides=zones, out=tmp_path).parent
    rows = table(folder, "rows").set_index("stage")["rows"]
    assert rows["after_as_of"] == 0 and rows["kept"] == 1469307
