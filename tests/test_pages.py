"""What notebooks show: cards, judged pages, skipped sections, the headline sentence; and what is published."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from IPython.display import HTML

from helpers import pages, verdicts
from helpers.metrics import COLUMNS, summary

DEFAULTS = {"dimension": "all", "member": "all", "period": "2025-06", "low": np.nan, "high": np.nan, "n": 100,
            "unit": "USD", "basis": "", "method": ""}


def metrics(*rows):
    """Rows of metrics.csv: (metric, value) or (metric, value, {other columns})."""
    found = [DEFAULTS | {"metric": name, "value": value} | (rest[0] if rest else {}) for name, value, *rest in rows]
    return pd.DataFrame(found, columns=COLUMNS)


def text(html):
    return " ".join(BeautifulSoup(html.data, "html.parser").get_text(" ").split())


class Book(SimpleNamespace):
    """As much of a book as pages use: what is given, the params, and the parts that pages leave."""

    def __init__(self, given=(), **parts):
        report, policy = SimpleNamespace(month="2025-06"), SimpleNamespace(min_customers=30)
        params = SimpleNamespace(report=report, policy=policy, verdicts={"R-LTV-2": {"target": 2.0}})
        super().__init__(given=set(given), params=params, parts=parts, published={})

    def add(self, kind, page, frame):
        self.parts[kind, page] = frame
        return frame

    def collect(self, kind):
        return self.parts[kind]

    def publish(self, name, frame):
        self.published[name] = frame
        return frame

    save = publish

    def sql(self, name):
        return "select 1 as one"

    def frame(self, name):
        return pd.DataFrame({"one": range(12)})


class TestSections:
    def test_what_is_given_is_shown(self):
        book = Book(["customers", "touches"])
        assert pages.given(book, "addons or touches", lambda: "shown", section="Offers") == "shown"

    def test_what_is_missing_says_what_it_needs_and_unlocks_and_is_not_computed(self):
        box = pages.given(Book(), "marketing_spend or costs", lambda: 1 / 0, section="CAC <b>")
        assert text(box).startswith("Skipped: CAC <b> needs marketing_spend or costs ; adding it unlocks")
        assert pages.given(Book(), "marketing_spend", lambda: 1 / 0).data == ""

    def test_a_query_is_shown_with_its_first_ten_rows(self):
        html = pages.show_query(Book(), "summaries/months")
        assert "select 1 as one" in html.data and len(BeautifulSoup(html.data, "html.parser").select("tbody tr")) == 10


class TestCards:
    def card(self, *rows, ids=("ltv",)):
        return BeautifulSoup(pages.cards(metrics(*rows), ids, "2025-06", "USD").data, "html.parser")

    def test_the_month_against_the_last_and_against_a_year_ago(self):
        card = self.card(("ltv", 120.0, {"low": 100.0, "high": 150.0}), ("ltv", 100.0, {"period": "2025-05"}),
                         ("ltv", 240.0, {"period": "2024-06"}), ("ltv", 999.0, {"period": "2024-05"}))
        words = " ".join(card.get_text(" ").split())
        assert "120.00 USD" in words and "100.00" in words and "n = 100" in words.replace("\xa0", " ")
        assert "up 20.0% vs last month, better" in words and "down 50.0% vs a year ago, worse" in words
        assert "lowest 100.00 USD, highest 240.00 USD" in card.find("img")["alt"]  # 13 months: not the 14th

    def test_a_gap_in_the_months_is_no_comparison(self):
        words = self.card(("ltv", 120.0), ("ltv", 100.0, {"period": "2025-04"})).get_text(" ")
        assert "no comparison with last month" in words and "no comparison with a year ago" in words

    def test_one_month_alone_has_no_trend(self):
        card = self.card(("ltv", 120.0))
        assert card.find("img") is None and " vs " not in card.get_text(" ")

    def test_a_figure_without_a_good_direction_is_not_judged(self):
        words = {name: self.card((name, 120.0), (name, 100.0, {"period": "2025-05"}), ids=[name]).get_text(" ")
                 for name in ("revenue_unattributed", "mrr_fx")}
        assert "up 20.0% vs last month, worse" in words["revenue_unattributed"]  # down is good
        assert "up 20.0% vs last month" in words["mrr_fx"]
        assert "better" not in words["mrr_fx"] and "worse" not in words["mrr_fx"]

    def test_unknown_ids_other_months_and_members_give_no_card(self):
        rows = ("ltv", 1.0, {"period": "2025-05"}), ("arpa", 2.0, {"dimension": "plan"})
        card = self.card(*rows, ids=["ltv", "arpa", "mrr"])
        assert card.select("li") == []


def test_a_metric_table_keeps_the_order_asked_for_and_each_unit():
    rows = metrics(("ltv", 120.0, {"low": 90.0, "high": 150.0, "method": "sBG"}),
                   ("logo_churn_rate", 0.05, {"unit": "share"}),
                   ("ltv", 7.0, {"period": "2025-05"}), ("ltv", 8.0, {"dimension": "plan"}))
    table = pages.metric_table(rows, ["logo_churn_rate", "mrr", "ltv"], "2025-06", "Figures")
    html = BeautifulSoup(table.data, "html.parser")
    cells = [[cell.get_text(strip=True) for cell in row.select("th, td")] for row in html.select("tbody tr")]
    names = [pages.definitions()[name]["name"] for name in ("logo_churn_rate", "ltv")]
    assert cells[0] == [names[0], "5.0%", "–", "–", "100", ""]
    assert cells[1:] == [[names[1], "120.00 USD", "90.00 USD", "150.00 USD", "100", "sBG"]]


def test_a_page_is_judged_by_the_params_and_kept_for_the_summary():
    book = Book()
    rows = metrics(("ltv_to_cac", 2.5, {"unit": "ratio"}), ("grr_12m", 0.5, {"unit": "share"}))
    shown = text(pages.judged(book, "02_ltv_cac", rows))
    kept = book.parts["verdicts", "02_ltv_cac"]
    assert kept[["rule", "severity", "threshold"]].to_numpy().tolist() == [["R-LTV-2", "good", 2.0]]
    assert "LTV : CAC is 2.50×; the target is 2.00×." in shown


class TestPublish:
    def book(self, passed=True):
        rows = metrics(("ltv_to_cac", 3.5, {"unit": "ratio"}), ("arpa", 1.0, {"period": "2025-05"}), ("arpa", 2.0),
                       ("ltv_to_cac", 9.0, {"dimension": "plan", "member": "b", "unit": "ratio"}),
                       ("ltv_to_cac", 8.0, {"dimension": "plan", "member": "a", "unit": "ratio"}),
                       ("payback_months", 20.0))
        found = verdicts.judge(rows, "02_ltv_cac", "2025-06", overrides={}, least=30).iloc[::-1]
        return Book(metrics=rows, verdicts=found, checks=pd.DataFrame({"check": ["a"], "passed": [passed]}))

    def test_metrics_are_ordered_by_key_and_verdicts_by_urgency(self):
        book = self.book()
        metrics, found, checks = pages.publish(book)
        assert metrics["value"].to_list() == [1, 2, 3.5, 8, 9, 20]
        assert found["severity"].to_list() == ["act", "good"] and not found["provisional"].any()
        lengths = {name: len(frame) for name, frame in book.published.items()}
        assert lengths == {"metrics": 6, "verdicts": 2, "checks": 1}

    def test_a_failed_check_makes_every_verdict_provisional(self):
        assert pages.publish(self.book(passed=False))[1]["provisional"].to_list() == [True, True]


class TestHeadline:
    def sentence(self, *rows):
        return text(pages.headline(metrics(*rows), "2025-06", "USD"))

    def test_one_sentence_of_the_month(self):
        found = self.sentence(
            ("mrr", 1100.0), ("mrr", 1000.0, {"period": "2025-05"}), ("revenue_net", 5.0),
            ("logo_churn_rate", 0.05, {"unit": "share"}), ("ltv", 300.0, {"low": 200.0, "high": 400.0}),
            ("ltv_to_cac", 3.0, {"unit": "ratio"}), ("mrr", 7.0, {"dimension": "plan"}))
        assert found == ("MRR of 2025-06 was 1,100.00 USD, up 10.0% on the month before; 5.0% of the customers left; "
                         "a new customer is worth 300.00 USD (200.00 USD to 400.00 USD), 3.00× its cost.")

    def test_what_is_unknown_is_left_out(self):
        found = self.sentence(("revenue_net", 90.0), ("revenue_net", 100.0, {"period": "2025-05"}), ("ltv", np.nan))
        assert found == "Net revenue of 2025-06 was 90.00 USD, down 10.0% on the month before."

    @pytest.mark.parametrize("before", [0.0, -5.0, np.nan])
    def test_there_is_no_change_from_nothing(self, before):
        found = self.sentence(("revenue_net", 90.0), ("revenue_net", before, {"period": "2025-05"}))
        assert found == "Net revenue of 2025-06 was 90.00 USD."

    def test_is_html(self):
        assert isinstance(pages.headline(metrics(("mrr", 1.0)), "2025-06", "USD"), HTML)


class TestSummary:
    def test_the_first_headline_figures_that_the_month_has(self):
        rows = metrics(("ltv", 1.0), ("mrr", 2.0), ("nrr_12m", np.nan), ("arpu", 3.0, {"period": "2025-05"}),
                       ("orders", 4.0), ("payback_months", 5.0, {"dimension": "plan"}))
        assert summary.cards(rows, "2025-06") == ["mrr", "ltv"]
        every = metrics(*[(name, 1.0) for name in reversed(summary.CARDS)])
        assert summary.cards(every, "2025-06", most=3) == summary.CARDS[:3]

    def test_the_trend_is_of_mrr_or_else_of_revenue(self):
        sales = [("revenue_net", 2.0), ("revenue_net", 1.0, {"period": "2025-05"})]
        assert summary.trend(metrics(*sales))["value"].to_list() == [1, 2]
        both = metrics(*sales, ("mrr", 9.0), ("mrr", 8.0, {"dimension": "plan"}))
        assert summary.trend(both)["value"].to_list() == [9]

    def test_checks_are_counted_by_kind(self):
        checks = pd.DataFrame({"check": ["b", "a", "b"], "passed": [True, True, False]})
        assert summary.check_counts(checks).to_numpy().tolist() == [["a", 1, 1], ["b", 2, 1]]
