"""What readers see of a number, and that no text from data becomes markup."""

import re
from base64 import b64decode
from decimal import Decimal
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from helpers import tables
from helpers.tables import Formats

HOSTILE = "<script>alert('1')</script>\"&"


def soup(shown) -> BeautifulSoup:
    return BeautifulSoup(shown._repr_html_(), "html.parser")


def words(node) -> str:
    return " ".join(node.get_text(" ").split())


@pytest.mark.parametrize(("value", "unit", "text"), [
    (1234567, "count", "1,234,567"),
    (2.5, "count", "2.50"),                    # weighted counts keep their fraction
    (1234.5, "USD", "1,234.50 USD"),
    (1234.5, "money", "1,234.50 EUR"),         # the report's currency
    (12345.67, "EUR", "12,346 EUR"),           # cents do not matter from 10,000 on
    (Decimal("-0.10"), "USD", "−0.10 USD"),
    (12.04, "months", "12.0 months"),
    (0.0512, "share", "5.1%"),
    (-0.0512, "share", "−5.1%"),
    (-0.00001, "share", "0.0%"),               # no "minus nothing"
    (3.1, "ratio", "3.10×"),
    (4.2, "per_year", "4.20 a year"),
    (pd.Timestamp("2025-06-30 23:51"), "date", "2025-06-30"),
    ("2025-06", "text", "2025-06"),
    (np.False_, "text", "no"),                 # a check that failed
])
def test_a_number_reads_with_its_unit(value, unit, text):
    assert tables.number(value, unit, Formats("EUR")) == text


@pytest.mark.parametrize(("value", "unit", "formats", "text"), [
    (1234.5, "money", Formats("EUR", "de"), "1.234,50 EUR"),
    (1234.5, "money", Formats("EUR", "de", "symbol"), "1.234,50\u00a0€"),
    (1234.5, "money", Formats("USD", "en", "symbol"), "$1,234.50"),
    (12345.6, "money", Formats("USD", "en", "symbol"), "$12,346"),
    (-5.0, "money", Formats("USD", "en", "symbol"), "−$5.00"),
    (1234.5, "money", Formats("JPY"), "1,234 JPY"),                          # a currency without decimals
    (0.051, "share", Formats("EUR", "de"), "5,1\u00a0%"),
    (1234567, "count", Formats("EUR", "fr"), "1\u202f234\u202f567"),
    (12.04, "months", Formats("EUR", "de"), "12,0 months"),                   # the words stay English
    ("2025-06-30", "date", Formats("EUR", "de", date_format="medium"), "30.06.2025"),
    ("2025-06-30", "date", Formats("USD", "en_US", date_format="short"), "6/30/25"),
    ("2025-06-30", "date", Formats("USD", "en_US"), "2025-06-30"),
])
def test_numbers_and_dates_are_written_as_the_report_asks(value, unit, formats, text):
    assert tables.number(value, unit, formats) == text


@pytest.mark.parametrize("value", [None, float("nan"), pd.NA, pd.NaT, np.nan, float("inf"), Decimal("NaN")])
@pytest.mark.parametrize("unit", ["count", "USD", "share", "date", "text"])
def test_unknown_is_a_dash_and_never_zero(value, unit):
    assert tables.number(value, unit) == "–"


def test_a_misspelt_unit_names_the_known_ones():
    with pytest.raises(ValueError, match="'dollars'.*share"):
        tables.number(1, "dollars")


@pytest.fixture
def channels():
    return pd.DataFrame({"channel": ["search", HOSTILE], "ltv": [12345.678, 999.5], "churn_rate": [0.05, np.nan],
                         "new_customers": [1200, 30]})


@pytest.fixture
def table(channels):
    units = {"ltv": "USD", "churn_rate": "share"}
    return soup(tables.show_table(channels, "LTV by channel", units, total={"ltv": 13345.178}))


def test_headers_are_words_with_units(table):
    heads = table.thead.find_all("th")
    assert [head.text for head in heads] == ["Channel", "LTV (USD)", "Churn rate (%)", "New customers"]
    assert {head["scope"] for head in heads} == {"col"}


def test_cells_are_text_and_a_columns_figures_line_up(table):
    rows = [[cell.text for cell in row.find_all(["th", "td"])] for row in table.tbody.find_all("tr")]
    assert rows == [["search", "12,346", "5.0", "1,200"], [HOSTILE, "1,000", "–", "30"]]   # no cents beside 12,346
    assert table.tbody.th["scope"] == "row"
    assert [cell.get("class") for cell in table.tbody.tr.find_all("td")] == [["num"]] * 3


def test_the_total_is_the_callers(table):
    assert [cell.text for cell in table.tfoot.find_all(["th", "td"])] == ["Total", "13,345", "", ""]


def test_the_region_that_scrolls_can_be_focused_and_is_named_by_the_caption(table):
    region = table.find(role="region")
    assert (region["tabindex"], region["aria-label"]) == ("0", "Table: LTV by channel")
    assert table.caption.text == "LTV by channel"


def test_the_index_names_the_rows_unless_it_is_a_range(channels):
    shown = soup(tables.show_table(channels.set_index("channel"), "x"))
    assert [row.th.text for row in shown.tbody.find_all("tr")] == ["search", HOSTILE]
    unnamed = soup(tables.show_table(channels.set_index("channel").rename_axis(None), "x"))
    assert unnamed.thead.td.text == ""                                    # an empty header cell is no header
    assert not unnamed.find_all("th", string="")


def test_a_cut_table_says_how_many_rows_there_are(channels):
    shown = soup(tables.show_table(channels, "x", limit=1, note="All in tables/x.csv."))
    assert len(shown.tbody.find_all("tr")) == 1
    assert shown.find(class_="note").text == "The first 1 of 2 rows. All in tables/x.csv."


def test_digits_of_a_cut_table_are_those_of_the_whole(channels):
    smallest_first = channels[::-1].reset_index(drop=True)
    assert soup(tables.show_table(smallest_first, "x", {"ltv": "USD"}, limit=1)).td.text == "1,000"


def test_an_empty_table_is_a_sentence(channels):
    shown = soup(tables.show_table(channels.head(0), "LTV by channel"))
    assert shown.text == "LTV by channel: no rows." and shown.table is None


def test_showing_changes_nothing(channels):
    before = channels.copy(deep=True)
    first, second = (tables.show_table(channels, "x")._repr_html_() for _ in range(2))
    assert first == second
    pd.testing.assert_frame_equal(channels, before)


CARD = {"label": "NRR", "value": 0.978, "unit": "share", "good": "up"}


@pytest.mark.parametrize(("card", "text", "judged"), [
    ({"previous": 0.994}, "▼ down 1.6 points vs last month, worse", "worse"),       # 99.4 − 97.8
    ({"last_year": 0.95}, "▲ up 2.8 points vs a year ago, better", "better"),
    ({"previous": 0.9779}, "■ unchanged vs last month", None),                      # 0.01 points are shown as none
    ({"previous": None}, "no comparison with last month", None),
    ({"previous": 0.994, "unsure": {"previous": "as usual"}}, "▼ down 1.6 points vs last month, as usual", None),
    ({"last_year": 0.95, "unsure": {"previous": "as usual"}}, "▲ up 2.8 points vs a year ago, better", "better"),
    ({"value": 110, "unit": "count", "previous": 100}, "▲ up 10.0% vs last month, better", "better"),
    ({"value": 110, "unit": "count", "previous": 100, "good": "down"}, "▲ up 10.0% vs last month, worse", "worse"),
    ({"value": 110, "unit": "count", "previous": 100, "good": None}, "▲ up 10.0% vs last month", None),
    ({"value": 5, "unit": "count", "previous": 0}, "▲ up 5 vs last month, better", "better"),   # no percent of nothing
    ({"value": -50, "unit": "USD", "previous": -100}, "▲ up 50.0% vs last month, better", "better"),
])
def test_a_change_is_told_in_a_word_beside_the_arrow(card, text, judged):
    change = soup(tables.kpi_cards([CARD | card])).find(class_="change")
    assert words(change) == text
    assert change["class"] == (["change", judged] if judged else ["change"])
    assert change.span["aria-hidden"] == "true"


def test_a_card_shows_its_evidence_and_escapes_its_label():
    card = CARD | {"label": HOSTILE, "low": 0.961, "high": 0.99, "n": 1234, "target": 1, "definition": "nrr",
                   "query": "summaries/retained_mrr"}
    shown = soup(tables.kpi_cards([card]))
    assert shown.script is None and shown.find(class_="label").text == HOSTILE
    assert words(shown.li).endswith("97.8% 96.1% to 99.0% · n = 1,234 ▼ down 2.2 points vs plan, worse plan 100.0% "
                                    "nrr in metrics.csv · from summaries/retained_mrr")
    assert shown.a["href"] == "glossary.html#nrr"


def test_a_card_without_extras_has_none():
    assert words(soup(tables.kpi_cards([CARD])).li) == "NRR 97.8%"


def test_a_sparkline_breaks_where_a_month_is_unknown_and_is_described():
    image = soup(tables.kpi_cards([CARD | {"trend": pd.Series([0.9, 1.0, None, 0.95, 0.978])}])).img
    assert image["alt"] == "NRR, 5 months: first 90.0%, last 97.8%, lowest 90.0%, highest 100.0%"
    path = ElementTree.fromstring(b64decode(image["src"].removeprefix("data:image/svg+xml;base64,")))[0].get("d")
    assert re.findall("[ML]", path) == ["M", "L", "M", "L"]
    assert path.startswith("M4.0 30.0L34.5 4.0")                # lowest at the bottom, highest on top, a quarter along


def test_an_interval_that_reads_as_one_number_is_left_out():
    assert words(soup(tables.kpi_cards([CARD | {"low": 0.9779, "high": 0.9781}])).li) == "NRR 97.8%"


def test_one_month_makes_no_sparkline():
    assert soup(tables.kpi_cards([CARD | {"trend": [None, 0.978]}])).img is None


def test_a_verdict_names_severity_evidence_and_doubt():
    verdicts = pd.DataFrame({"rule": ["R-LTV-2", "R-N-1"], "severity": ["act", "unclear"],
                             "statement": [HOSTILE, "Too few."], "value": [2.9, np.nan], "threshold": [3.0, np.nan],
                             "n": [510, 12], "unit": ["ratio", None], "provisional": [True, False],
                             "value_at_stake": [1500.0, np.nan], "page": ["02_ltv_cac", "03_rfm"]})
    first, second = soup(tables.verdict_list(verdicts, Formats("EUR"), here="03_rfm")).find_all("li")
    assert words(first) == (f"✗ Act {HOSTILE} provisional 1,500.00 EUR a year at stake · R-LTV-2 · value 2.90× · "
                            "threshold 3.00× · n = 510 · 02_ltv_cac")
    assert words(second) == "? Unclear Too few. R-N-1 · n = 12"             # it stands on its own page
    assert first.script is None and [a["href"] for a in first.find_all("a")] == ["glossary.html#R-LTV-2", "02_ltv_cac.html"]


def test_a_decision_says_what_why_who_when_and_for_how_much():
    due = pd.DataFrame({"decision": ["Cut spend."], "because": [HOSTILE], "owner": ["CFO"], "due_on": ["2025-07-31"],
                        "value_at_stake": [1500.0], "severity": ["act"], "rule": ["R-LTV-2"]})
    shown = soup(tables.decision_list(due)).li
    assert words(shown) == f"Cut spend. {HOSTILE} CFO , by 2025-07-31 · 1,500.00 USD a year at stake · R-LTV-2"
    assert "No decision is due" in soup(tables.decision_list(due.head(0))).text


def test_footnotes_leave_out_what_is_empty():
    shown = soup(tables.footnotes({"Window": [HOSTILE], "Skipped": [], "Definitions": [("glossary.html#ltv", "LTV", " v1")]}))
    assert words(shown) == f"Window {HOSTILE} Definitions LTV v1" and shown.a["href"] == "glossary.html#ltv"


def test_no_verdict_is_said():
    empty = pd.DataFrame(columns=["rule", "severity", "statement", "value", "threshold", "n", "provisional"])
    assert "No rule gave a verdict" in soup(tables.verdict_list(empty)).text


def test_a_query_is_folded_with_its_first_rows():
    shown = soup(tables.query_box("marts/x", "\nselect 1 -- " + HOSTILE, pd.DataFrame({"n": range(20)})))
    assert not shown.details.has_attr("open")
    assert shown.code.text == "select 1 -- " + HOSTILE
    assert len(shown.tbody.find_all("tr")) == 10 and "of 20 rows" in shown.find(class_="note").text


@pytest.mark.parametrize("shown", [
    tables.headline(HOSTILE), tables.badge(HOSTILE), tables.skip_box(HOSTILE, HOSTILE, HOSTILE),
    tables.facts({HOSTILE: HOSTILE}), tables.query_box(HOSTILE, HOSTILE, pd.DataFrame({HOSTILE: [HOSTILE]})),
    tables.show_table(pd.DataFrame({HOSTILE: [HOSTILE]}), HOSTILE, note=HOSTILE, folded=True),
    tables.show_table(pd.DataFrame(), HOSTILE), tables.kpi_cards([CARD | {"label": HOSTILE, "badge": HOSTILE,
                                                                         "definition": HOSTILE, "trend": [1, 2]}]),
    tables.paragraph(HOSTILE), tables.commentary("<p>words</p>", HOSTILE), tables.footnotes({HOSTILE: [HOSTILE]}),
], ids=range(11))
def test_text_from_data_stays_text(shown):
    assert soup(shown).script is None and HOSTILE in soup(shown).text
    assert not re.search(r"0x[0-9a-f]+", repr(shown))          # no address, which would differ from run to run


def test_a_skipped_section_says_what_would_unlock_it():
    shown = soup(tables.skip_box("Tier scorecard", "plans.tier_rank", "tier scorecard and migration"))
    assert words(shown) == ("Skipped: Tier scorecard needs plans.tier_rank ; adding it unlocks "
                            "tier scorecard and migration.")


def test_a_badge_says_why_there_was_nothing_to_compare():
    assert words(soup(tables.badge("equal"))) == "equal"
    assert words(soup(tables.badge("equal", "no LTV <b>"))) == "Nothing to recompute: no LTV <b>"


def test_a_long_badge_wraps_on_a_phone():
    rule = (tables.Path(tables.__file__).parent / "template" / "components.css").read_text().split(".badge {")[1].split("}")[0]
    assert "nowrap" not in rule
