"""What a notebook shows of a book: cards, figures from facts, verdicts, skipped sections, notes."""

from datetime import date
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from helpers import charts
from helpers.contracts import ReportError, definitions
from helpers.metrics import COLUMNS
from helpers.pages import Page
from helpers.settings import Policy

DEFAULTS = {"dimension": "all", "member": "all", "period": "2025-06", "low": np.nan, "high": np.nan, "n": 100,
            "unit": "USD", "basis": "", "method": ""}


def metrics(*rows):
    """Rows of metrics.csv: (metric, value) or (metric, value, {other columns})."""
    found = [DEFAULTS | {"metric": name, "value": value} | (rest[0] if rest else {}) for name, value, *rest in rows]
    return pd.DataFrame(found, columns=COLUMNS)


def text(html):
    return " ".join(BeautifulSoup(html.data, "html.parser").get_text(" ").split())


class Book(SimpleNamespace):
    """As much of a book as pages use: what is given, the params, its tables and queries."""

    def __init__(self, given=(), **changes):
        report = SimpleNamespace(month="2025-06", currency="EUR", locale="de", currency_style="code", date_format="medium",
                                 timezone="UTC")
        terms = {"report": report, "as_of": date(2025, 7, 1), "policy": SimpleNamespace(min_customers=30), "targets": {},
                 "rules": {"R-LTV-2": {"target": 2.0}}}
        least = {"months": 12, "customers": 30, "ends": 5}
        super().__init__(given=set(given), params=SimpleNamespace(**terms | changes), least=least, ends=9)

    def sql(self, name):
        return "select 1 as one"

    def earlier(self, name, columns, months):
        value = {1: 100.0, 12: None}[months]
        period = str(pd.Period("2025-06", "M") - months)
        rows = [("ltv", "all", period, value, 90.0, 110.0), ("ltv", "all", "2025-06", 7.0, 1.0, 9.0),
                ("ltv", "plan", period, 7.0, 1.0, 9.0)]
        return None if value is None else pd.DataFrame(rows, columns=columns)

    def frame(self, name):
        if name == "summaries/evidence":
            return pd.DataFrame([{"months": 12, "customers": 30, "ends": self.ends}])
        return pd.DataFrame({"one": range(12)} if name != "summaries/events" else {"date": [], "label": [], "kind": []})

    def read(self, name):
        assert name == "rows"
        stages = [("read", 10), ("kept", 7), ("rejected", 2), ("after_as_of", 1)] * 2
        return pd.DataFrame(stages, columns=["stage", "rows"])


@pytest.fixture
def page():
    return Page(Book(["transactions"]), "02_ltv_cac")


def soup(html):
    return BeautifulSoup(html.data, "html.parser")


def test_in_jupyterlab_the_components_bring_their_style(page):
    assert page._repr_html_().startswith("<style>") and ".card" in page._repr_html_()


class TestSections:
    def test_what_is_given_is_shown(self, page):
        assert page.given("addons or transactions", lambda: "shown", section="Offers") == "shown"

    def test_what_is_missing_says_what_it_needs_and_is_not_computed(self, page):
        box = page.given("marketing_spend or costs", lambda: 1 / 0, section="CAC <b>")
        assert text(box).startswith("Skipped: CAC <b> needs marketing_spend or costs ; adding it unlocks")
        assert page.given("marketing_spend", lambda: 1 / 0).data == ""

    def test_a_query_is_shown_with_its_first_ten_rows(self, page):
        html = page.query("summaries/months")
        assert "select 1 as one" in html.data and len(soup(html).select("tbody tr")) == 10


class TestCards:
    def card(self, *rows, ids=("ltv",), **changes):
        return soup(Page(Book(**changes), "x").cards(metrics(*rows), ids))

    def test_the_month_against_the_last_and_against_a_year_ago(self):
        card = self.card(("ltv", 120.0, {"low": 100.0, "high": 150.0}), ("ltv", 100.0, {"period": "2025-05"}),
                         ("ltv", 240.0, {"period": "2024-06"}), ("ltv", 999.0, {"period": "2024-05"}))
        words = " ".join(card.get_text(" ").split())
        assert "120,00 USD" in words and "100,00 USD to 150,00 USD · n = 100" in words.replace("\xa0", " ")
        assert "up 20,0 % vs last month, better" in words.replace("\xa0", " ")
        assert "down 50,0 % vs a year ago, worse" in words.replace("\xa0", " ")
        assert "lowest 100,00 USD, highest 240,00 USD" in card.find("img")["alt"]  # 13 months: not the 14th

    def test_a_plan_is_set_beside_the_actual(self):
        words = self.card(("ltv", 120.0), targets={"ltv": {"2025-06": 100.0, "2025-05": 1.0}}).get_text(" ")
        assert "up 20,0\u00a0% vs plan, better" in words and "plan 100,00 USD" in words

    def test_it_names_its_row_and_its_query(self):
        words = " ".join(self.card(("ltv", 120.0)).get_text(" ").split())
        assert words.endswith(f"ltv in metrics.csv · from {definitions()['ltv']['query']}")

    def test_a_rate_of_few_customers_is_marked(self):
        few = self.card(("logo_churn_rate", 0.1, {"unit": "share", "n": 29}), ids=["logo_churn_rate"])
        enough = self.card(("logo_churn_rate", 0.1, {"unit": "share", "n": 30}), ids=["logo_churn_rate"])
        assert few.find(class_="badge").text == "indicative" and enough.find(class_="badge") is None

    def test_intervals_that_overlap_make_no_judgement(self):
        wide = {"unit": "share", "low": 0.9, "high": 1.0}
        near = {"unit": "share", "low": 0.8, "high": 0.85, "period": "2025-05"}
        card = self.card(("nrr_12m", 0.95, wide), ("nrr_12m", 0.82, near),
                         ("nrr_12m", 1.01, wide | {"period": "2024-06", "high": 1.1}), ids=["nrr_12m"])
        changes = [p.get_text(" ").strip() for p in card.select(".change")]
        assert changes[0].endswith("vs last month, better") and changes[1].endswith("vs a year ago, within the interval")

    def test_an_unknown_figure_says_why(self):
        row = {"unit": "ratio", "n": 0, "method": "needs marketing_spend"}
        card = self.card(("ltv_to_cac", np.nan, row), ids=["ltv_to_cac"])
        assert [p.text for p in card.select("p")][1:3] == ["–", "needs marketing_spend"]
        never = self.card(("payback_months", np.nan, {"unit": "months", "method": ">H"}), ids=["payback_months"])
        assert "beyond the horizon" in never.get_text(" ") and card.find(class_="badge") is None

    @pytest.mark.parametrize(("now", "said"), [(0.05, "as usual"), (0.2, "worse")])
    def test_a_change_within_the_normal_range_is_not_judged(self, now, said):
        months = [str(m) for m in pd.period_range(end="2025-06", periods=13, freq="M")]
        rows = [("logo_churn_rate", value, {"period": m, "unit": "share"})
                for m, value in zip(months, [0.04, 0.06] * 6 + [now], strict=True)]
        assert f"vs last month, {said}" in self.card(*rows, ids=["logo_churn_rate"]).get_text(" ")

    def test_a_gap_in_the_months_is_no_comparison(self):
        words = self.card(("ltv", 120.0), ("ltv", 100.0, {"period": "2025-04"})).get_text(" ")
        assert "no comparison with last month" in words and "no comparison with a year ago" in words

    def test_one_month_alone_has_no_trend_and_is_set_against_what_was_published(self):
        card = self.card(("ltv", 120.0))
        changes = [" ".join(p.get_text(" ").split()) for p in card.select(".change")]
        assert card.find("img") is None
        assert changes == ["▲ up 20,0 % vs last month, better", "no comparison with a year ago"]
        near = self.card(("ltv", 120.0, {"low": 105.0, "high": 130.0})).select_one(".change")
        assert near.get_text(" ").endswith("vs last month, within the interval")

    def test_a_figure_without_a_good_direction_is_not_judged(self):
        words = {name: self.card((name, 120.0), (name, 100.0, {"period": "2025-05"}), ids=[name]).get_text(" ")
                 for name in ("revenue_unattributed", "mrr_fx")}
        assert "vs last month, worse" in words["revenue_unattributed"]  # down is good
        assert "better" not in words["mrr_fx"] and "worse" not in words["mrr_fx"]

    def test_unknown_ids_other_months_and_members_give_no_card(self):
        rows = ("ltv", 1.0, {"period": "2025-05"}), ("arpa", 2.0, {"dimension": "plan"})
        assert self.card(*rows, ids=["ltv", "arpa", "mrr"]).select("li") == []


def test_unlike_rows_have_each_its_own_unit_and_shares_two_digits(page):
    rows = [("churn", 0.08571, "share"), ("worth", 50.0, "money"), ("none", np.nan, "share")]
    frame = pd.DataFrame(rows, columns=["rule", "value", "kind"])
    shown = soup(page.unlike(frame, "By rule", {"value": "kind"}))
    assert [[cell.get_text(strip=True) for cell in row.find_all(["td", "th"])] for row in shown.find_all("tr")] == [
        ["Rule", "Value"], ["churn", "8,57\xa0%"], ["worth", "50,00 EUR"], ["none", "–"]]


def test_a_metric_table_keeps_the_order_asked_for_and_each_unit(page):
    rows = metrics(("ltv", 120.0, {"low": 90.0, "high": 150.0, "method": "sBG"}),
                   ("logo_churn_rate", 0.05, {"unit": "share"}),
                   ("ltv", 7.0, {"period": "2025-05"}), ("ltv", 8.0, {"dimension": "plan"}))
    html = soup(page.metric_table(rows, ["logo_churn_rate", "mrr", "ltv"], "Figures"))
    cells = [[cell.get_text(strip=True) for cell in row.select("th, td")] for row in html.select("tbody tr")]
    said = definitions()
    (churn, how), (ltv, formula) = ([said[name][of] for of in ("name", "formula")] for name in ("logo_churn_rate", "ltv"))
    assert cells[0] == [churn, "5,0\u00a0%", "–", "–", "100", how, ""]
    assert cells[1:] == [[ltv, "120,00 USD", "90,00 USD", "150,00 USD", "100", formula, "sBG"]]


def test_an_id_without_a_definition_is_refused_with_the_place_to_write_it(page):
    for show in (page.metric_table, page.cards):
        with pytest.raises(ReportError, match="'ltv_nett' is not a known metric") as told:
            show(metrics(("ltv", 1.0)), ["ltv", "ltv_nett"], *["Figures"][: show == page.metric_table])
        assert "helpers/definitions.yaml" in str(told.value) and "docs/add-a-metric.md" in str(told.value)


def test_a_metric_without_a_value_says_why(page):
    rows = metrics(("ltv", np.nan, {"method": "needs spend"}), ("mrr", 1.0), ("mrr", np.nan, {"period": "2025-05"}),
                   ("cac_paid", 9.0, {"period": "2025-05"}), ("ltv", 7.0, {"dimension": "plan"}))
    name = definitions()["ltv"]["name"]
    assert (page.unknown(rows, "ltv"), page.unknown(rows, "mrr")) == (f"{name} is not known (needs spend)", "")
    assert page.unknown(rows, "cac_paid").endswith("is not known (not in this book)")


def test_a_card_of_one_month_is_held_against_restated_months_before_published_ones():
    again = pd.DataFrame([("ltv", "2025-05", 50.0, 45.0, 55.0), ("ltv", "2024-06", 200.0, 95.0, 300.0),
                          ("mrr", "2025-05", 1.0, 1.0, 1.0)], columns=["metric", "period", "value", "low", "high"])
    row = metrics(("ltv", 100.0, {"low": 90.0, "high": 110.0}))
    changes = [" ".join(p.get_text(" ").split()) for p in soup(Page(Book(), "x").cards(row, ["ltv"], again)).select(".change")]
    assert changes == ["▲ up 100,0 % vs last month, better", "▼ down 50,0 % vs a year ago, within the interval"]
    assert soup(Page(Book(), "x").cards(row, ["ltv"], again)).img is None  # two months are no trend


class TestFigures:
    def figure(self, page, finding="It rose <b>", **options):
        frame = pd.DataFrame({"plan": ["a", "b"], "mrr": [1.0, 2.0]}).set_index("plan")
        return soup(page.figure(charts.bars, frame, finding, "MRR by plan", "2025-06", source="summaries/x", unit="EUR",
                                value="mrr", units={"mrr": "EUR"}, **options))

    def test_caption_alt_and_data_are_made_from_the_same_facts(self, page):
        figure = self.figure(page, n=1234).figure
        assert figure.figcaption.text == "MRR by plan, 2025-06. n = 1.234. Source: summaries/x."
        assert figure.img["alt"] == "Bar chart: MRR by plan, 2025-06. It rose <b>"
        assert figure.details.summary.text == "Data: MRR by plan, 2025-06" and "2,00" in figure.details.table.text

    def test_an_alternative_text_stays_short(self, page):
        alt = self.figure(page, finding="word " * 80).img["alt"]
        assert len(alt) == 250 and alt.endswith("…")

    def test_a_series_says_whether_it_moved_and_shows_its_interval(self, page):
        months = [str(m) for m in pd.period_range(end="2025-06", periods=13, freq="M")]
        rows = metrics(*[("logo_churn_rate", value, {"period": m, "unit": "share", "low": 0.01, "high": 0.09})
                         for m, value in zip(months, [0.04, 0.06] * 6 + [0.2], strict=True)])
        figure = soup(page.series(rows, "logo_churn_rate")).figure
        assert ": 20,0\u00a0%, above its normal range" in figure.img["alt"]
        assert len(figure.select("tbody tr")) == 13 and "Low" in figure.table.thead.text


def test_a_page_is_judged_by_the_params(page):
    rows = metrics(("ltv_to_cac", 2.5, {"unit": "ratio"}), ("grr_12m", 0.5, {"unit": "share"}))
    shown = text(page.verdicts(rows))
    assert "Good LTV : CAC is 2,50×; the target is 2,00×." in shown and "R-RET-1" not in shown


class TestNotes:
    def test_they_say_window_definitions_exclusions_and_skips(self, page):
        page.cards(metrics(("ltv", 1.0)), ["ltv"])
        page.given("marketing_spend", lambda: None, section="CAC")
        notes = soup(page.notes())
        assert text(page.notes()) == (
            "Window Everything before 01.07.2025 (UTC); month 2025-06. "
            f"Definitions used {definitions()['ltv']['name']} v{definitions()['ltv']['version']} "
            "Left out 4 rows rejected and 2 dated after the month, of 20 read "
            "Skipped for want of data CAC: needs marketing_spend")
        assert notes.a["href"] == "glossary.html#ltv"


def test_a_card_of_a_lifetime_is_indicative_where_too_few_have_left():
    row = DEFAULTS | {"metric": "ltv", "value": 100.0}
    book = Book()
    assert "indicative" not in Page(book, "02_ltv_cac").cards(pd.DataFrame([row]), ["ltv"]).data
    book.ends = 4
    page = Page(book, "02_ltv_cac")
    assert page.thin == "4 customers who left, at least 5 needed"
    assert "indicative" in page.cards(pd.DataFrame([row]), ["ltv"]).data
    assert "indicative" not in page.cards(pd.DataFrame([row | {"metric": "revenue_net"}]), ["revenue_net"]).data


def test_a_basis_is_written_as_words(page):
    table = page.table(pd.DataFrame({"basis": ["gross_margin"], "name": ["a_b"]}), "By basis")
    assert [cell.text for cell in soup(table).select("tbody td, tbody th")] == ["gross margin", "a_b"]


def test_policies_say_what_mrr_could_not_be_made_of():
    class Told(Book):
        def frame(self, name):
            return pd.DataFrame([{"summaries/unlisted": {"paying": 1959, "own_amount": 728}, "summaries/undated": {"due": due, "undated": 2},
                                  "summaries/unbilled": {"lines": 1500, "without": 3, "amount": 24.5}}[name]])

    due = 0
    plain, listed, billed = (text(Page(Told(policy=Policy(mrr_source=source)), "01_data_prep").policies())
                             for source in ("subscriptions", "plan_prices", "invoices"))
    assert "mrr_source subscriptions" in plain and "own amount" not in plain and "past due by" not in plain
    assert "subscriptions at their own amount 728 of 1.959, for want of a list price in their currency" in listed
    assert "lines of subscriptions in no MRR 3 of 1.500, 24,50" in billed
    due = 5
    due_now = text(Page(Told(policy=Policy()), "01_data_prep").policies())
    assert "past due by status alone 5 subscriptions, since the bill that is open by current_period_end; 2 have none" in due_now
