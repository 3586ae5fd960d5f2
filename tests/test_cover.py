"""What only the summary shows: parts collected, last month's decisions, the analyst's words, what to forward."""

import re
from datetime import date
from types import SimpleNamespace

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from helpers import cover
from helpers.contracts import definitions
from helpers.metrics import COLUMNS, summary
from helpers.pages import Page

REPORT = {"title": "Acme <b> | *Sons*", "month": "2025-06", "currency": "USD", "locale": "en", "currency_style": "code",
          "date_format": "iso", "timezone": "UTC", "status": "signed_off"}


def row(metric, value, unit="USD", period="2025-06", n=100, dimension="all", **more):
    known = {"metric": metric, "dimension": dimension, "member": "all", "period": period, "value": value, "n": n, "unit": unit}
    return dict.fromkeys(COLUMNS, "") | {"low": None, "high": None} | known | more


METRICS = pd.DataFrame([
    row("mrr", 1100.0), row("mrr", 1000.0, period="2025-05"), row("ltv_to_cac", 1.5, "ratio"), row("grr_12m", 0.95, "share"),
    row("ltv_to_cac", 9.0, "ratio", dimension="plan"),
], columns=COLUMNS).astype({"value": float, "low": float, "high": float})


class Book(SimpleNamespace):
    def __init__(self, folder, newest="2025-06-30", passed=True, earlier=None, words=None, settled=None):
        policy = SimpleNamespace(min_customers=30, max_staleness_days=31)
        report = SimpleNamespace(**REPORT)
        params = SimpleNamespace(report=report, policy=policy, rules={}, targets={}, as_of=date(2025, 7, 1), settled=settled or {})
        least = {"months": 12, "customers": 30, "ends": 5}
        known = {"least": least, "months": 36, "newest": newest, "passed": passed, "before": earlier or {}, "said": words}
        super().__init__(params=params, run_dir=folder, published={}, **known)

    def collect(self, kind):
        return METRICS.iloc[::-1] if kind == "metrics" else pd.DataFrame({"check": ["a"], "passed": [self.passed]})

    def publish(self, name, frame):
        self.published[name] = frame
        return frame

    save = publish

    def read(self, name):
        if name in self.published:
            return self.published[name]
        newest = [("transactions", "2020-01-01 00:00:00"), ("subscriptions", self.newest), ("costs", "2025-06-30"),
                  ("plans", None)]
        return pd.DataFrame(newest, columns=["table", "newest"])

    def earlier(self, name, columns, months=1):
        return self.before.get(name)

    def frame(self, query):
        return pd.DataFrame([{"months": self.months, "customers": 100, "ends": 9}])

    def words(self):
        return self.said


def text(html):
    return " ".join(BeautifulSoup(html.data, "html.parser").get_text(" ").split())


class TestPublish:
    def test_metrics_are_ordered_by_key_and_verdicts_by_urgency_with_their_money(self, tmp_path):
        book = Book(tmp_path)
        metrics, found, checks = cover.publish(Page(book, "06_summary"))
        assert metrics[["metric", "dimension", "period"]].to_numpy().tolist() == [
            ["grr_12m", "all", "2025-06"], ["ltv_to_cac", "all", "2025-06"], ["ltv_to_cac", "plan", "2025-06"],
            ["mrr", "all", "2025-05"], ["mrr", "all", "2025-06"]]
        assert found["severity"].to_list() == ["watch", "watch", "good"]
        assert set(found["rule"]) == {"R-LTV-2", "R-RET-1", "R-SUS-1"}
        assert set(book.published) == {"metrics", "verdicts", "checks"}

    @pytest.mark.parametrize(("changes", "doubtful"), [
        ({}, False), ({"passed": False}, True), ({"newest": "2025-05-31"}, False), ({"newest": "2025-05-30"}, True),
    ])
    def test_a_failed_check_or_old_data_make_every_verdict_provisional(self, tmp_path, changes, doubtful):
        found = cover.publish(Page(Book(tmp_path, **changes), "06_summary"))[1]   # 31 May is 31 days before 1 July
        assert set(found["provisional"]) == {doubtful}


class TestCaution:
    def test_a_book_without_departures_makes_all_verdicts_provisional_and_says_so(self, tmp_path, monkeypatch):
        why = pd.DataFrame([row("lifetime_months_churn", None, method="not_estimable: no departures <b>")])
        monkeypatch.setattr(Book, "collect", lambda book, kind: pd.concat([METRICS, why], ignore_index=True)
                            if kind == "metrics" else pd.DataFrame({"check": ["a"], "passed": [True]}))
        metrics, found, _ = cover.publish(Page(Book(tmp_path), "06_summary"))
        told = text(cover.caution(Page(Book(tmp_path), "06_summary"), metrics))
        assert found["provisional"].all() and told.startswith("Caution: no departures <b>. Churn")

    def test_a_short_history_is_said(self, tmp_path):
        book = Book(tmp_path)
        book.months = 2
        assert text(cover.caution(Page(book, "06_summary"), METRICS)) == (
            "Caution: 2 months of history, at least 12 needed. Lifetimes, LTV and payback are indicative and not judged.")

    def test_other_books_need_none(self, tmp_path):
        assert cover.caution(Page(Book(tmp_path), "06_summary"), METRICS).data == ""


class TestLookingBack:
    def test_without_an_earlier_report_that_is_said(self, tmp_path):
        shown = cover.became(Page(Book(tmp_path), "06_summary"), METRICS, pd.DataFrame())
        assert text(shown) == "No report of 2025-05 was published before this one: there is nothing to look back on."

    def test_last_months_decisions_stand_with_what_became_of_them(self, tmp_path):
        columns = "rank rule decision because owner due_on value_at_stake severity metric value unit".split()
        last = [1, "R-LTV-2", "Cut <b>.", "why", "CFO", "2025-06-30", 5.0, "act", "ltv_to_cac", 1.0, "ratio"]
        earlier = pd.DataFrame([last], columns=columns)
        page = Page(Book(tmp_path, earlier={"decisions": earlier}), "06_summary")
        shown = cover.became(page, METRICS, cover.publish(page)[1])
        assert "Cut <b>. CFO 2025-06-30 1.00× 1.50× watch better" in text(shown)

    def test_a_definition_of_another_version_is_named(self, tmp_path):
        versions = [(name, entry["version"]) for name, entry in definitions().items()]
        before = pd.DataFrame(versions, columns=["metric", "version"])
        other = before.assign(version=before["version"].mask(before["metric"] == "ltv", 0))
        page = Page(Book(tmp_path, earlier={"definitions": other}), "x")
        assert re.findall(r"\bltv\b", text(cover.definitions_changed(page))) == ["ltv"]
        assert "no rows" in text(cover.definitions_changed(Page(Book(tmp_path, earlier={"definitions": before}), "x")))
        assert cover.definitions_changed(Page(Book(tmp_path), "x")).data == ""


    def test_a_setting_that_is_another_is_told_with_both_values(self, tmp_path):
        now = {"policy.grace_days": "15", "policy.tax": "excluded", "verdicts.R-LTV-1.target": "4.0"}
        before = pd.DataFrame([("policy.grace_days", 7), ("policy.tax", "excluded"), ("rfm.gone", "x")], columns=["setting", "value"])
        shown = text(cover.settings_changed(Page(Book(tmp_path, earlier={"settings": before}, settled=now), "x")))
        assert "policy.grace_days 7 15" in shown and "rfm.gone x no such setting" in shown and "policy.tax" not in shown
        assert "verdicts.R-LTV-1.target no such setting 4.0" in shown
        assert cover.settings_changed(Page(Book(tmp_path), "x")).data == ""


class TestRestated:
    TABLE = pd.DataFrame([["2025-05", "mrr", "plan", "<b>", "USD", 990.0, 1000.0, 10.0, True, "late rows"],
                          ["2025-05", "mrr", "all", "all", "USD", 990.0, 1000.0, 10.0, True, "late rows"]], columns=summary.RESTATED)

    @pytest.mark.parametrize(("table", "reports", "said"), [
        (TABLE.head(0), 0, "No report of the last twelve months was published before this one: there is nothing to restate."),
        (TABLE.head(0), 3, "All that was published in the last twelve months (reports: 3) reads the same by today's data."),
    ])
    def test_nothing_restated_is_said(self, tmp_path, table, reports, said):
        assert text(cover.restated(Page(Book(tmp_path), "06_summary"), table, reports)) == said

    def test_both_values_stand_in_their_unit_with_how_many_more_there_are(self, tmp_path):
        shown = text(cover.restated(Page(Book(tmp_path), "06_summary"), self.TABLE, 3))
        assert "Cause 2025-05 mrr 990.00 USD 1,000.00 USD 10.00 USD yes late rows" in shown
        assert "that read otherwise: 2, of the whole company 1; earlier reports: 3." in shown


class TestCommentary:
    def shown(self, words, folder):
        return BeautifulSoup(cover.commentary(Page(Book(folder, words=(words, "— Ann <Lee>")), "x")).data, "html.parser")

    def test_it_keeps_emphasis_and_its_signature(self, tmp_path):
        page = self.shown("A **strong** month.\n\n- one\n- two", tmp_path)
        assert page.strong.text == "strong" and len(page.select("li")) == 2
        assert page.find(class_="signature").text == "— Ann <Lee>"

    @pytest.mark.parametrize("words", [
        "<script>alert(1)</script>", "<img src=https://evil.example/x.png>", "![x](https://evil.example/x.png)",
        "[x](javascript:alert(1))", "[x](https://evil.example)", "<https://evil.example>", "[x]: https://evil.example\n\n[x]",
        "# Heading <b>", "<div><h1>y</h1></div>", "```html\n<script>\n```", "`<b>`", "[<img src=x onerror=alert(1)>](y)",
        "![\"><script>alert(1)</script>](y \"t\")", "&lt;script&gt;", "text <b onmouseover=alert(1)>bold</b>",
    ])
    def test_nothing_is_fetched_run_or_linked(self, tmp_path, words):
        page = self.shown(words, tmp_path)
        assert not page.find_all(["script", "img", "a", "b", "div", "iframe", "h1", "h2", "style"])
        assert not [name for tag in page.find_all(True) for name in tag.attrs if name.startswith("on")]

    def test_without_words_there_is_nothing(self, tmp_path):
        assert cover.commentary(Page(Book(tmp_path), "x")).data == ""


class TestForward:
    @pytest.fixture
    def written(self, tmp_path):
        one = {"decision": "Cut *spend* now. " * 3, "because": "LTV is low.", "owner": "CFO", "due_on": date(2025, 7, 31)}
        due = pd.DataFrame([one | {"value_at_stake": 10.0}] * 3)
        moves = pd.DataFrame({"label": ["start", "end"], "value": [1000.0, 1100.0], "kind": "total"})
        ahead = pd.DataFrame([("mrr", "2025-06", "2025-07", 1200.0, 1100.0, 1300.0)],
                             columns=["metric", "made_in", "period", "value", "low", "high"])
        more = [row(name, 1.0, "share") for name in ("nrr_12m", "repeat_rate", "arpu", "ltv")]
        metrics = pd.concat([METRICS, pd.DataFrame(more)])
        page = Page(Book(tmp_path), "06_summary")
        cover.forward(page, metrics, ["mrr", "grr_12m", "nrr_12m", "repeat_rate", "arpu", "ltv"], moves, due, ahead)
        return (tmp_path / "summary.md").read_text(), tmp_path

    def test_it_has_at_most_120_words_and_one_picture(self, written):
        words, folder = written
        assert 60 < len(words.split()) <= 120 and len(re.findall(r"!\[.+\]\(summary\.png\)", words)) == 1
        assert (folder / "summary.png").read_bytes().startswith(b"\x89PNG")

    def test_it_holds_the_sentence_figures_decisions_and_status(self, written):
        words = written[0]
        assert "MRR of 2025-06: 1,100.00 USD, up 10.0%" in words and "- MRR: 1,100.00 USD" in words
        assert "3. Cut" in words and "CFO, by 2025-07-31." in words and "Signed off." in words

    def test_text_from_params_is_no_markup(self, written):
        assert written[0].startswith("# Acme \\<b\\> \\| \\*Sons\\*, 2025-06\n")
