"""compare: what was restated or moved between two months, and through what; on folders made by hand."""

import json
from pathlib import Path

import pandas as pd
import pytest
from test_main import call

from helpers.comparison import as_page, as_text, compare
from helpers.contracts import ReportError

HOSTILE = "=<script>alert(1)</script>\x1b[2J"


def month(folder: Path, *metrics: str, period: str = "2025-06", tables: dict[str, str] | None = None, **manifest) -> Path:
    """A published month. metrics : lines `metric,dimension,member,period,value,low,high`."""
    (folder / "tables").mkdir(parents=True)
    rows = [f"{line},9,USD,net," for line in metrics]
    (folder / "metrics.csv").write_text(
        "\n".join(["metric,dimension,member,period,value,low,high,n,unit,basis,method", *rows]) + "\n", encoding="utf-8")
    for name, text in (tables or {}).items():
        (folder / "tables" / f"{name}.csv").write_text(text)
    whole = {
        "report": {"name": "toy", "title": "Toy", "month": period}, "params": {"policy": {"horizon_months": 36}},
        "versions": {"numpy": "2.0"}, "definitions": "ab", "code": {"helpers/metrics/ltv.py": "ab"},
        "inputs": inputs(), "history": {}, "outputs": {},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(whole | manifest))
    return folder


def listed(frame: pd.DataFrame, *columns: str) -> list[tuple]:
    return list(frame[list(columns)].itertuples(index=False, name=None))


def test_restated_figures_are_told_with_old_new_difference_and_share(tmp_path):
    old = month(tmp_path / "a", "ltv,all,all,2025-06,100,90,110", "mrr,all,all,2025-06,50,,", "arpa,all,all,2025-06,5,,")
    new = month(tmp_path / "b", "ltv,all,all,2025-06,120,105,130", "mrr,all,all,2025-06,40,,", "arpa,all,all,2025-06,5,,")
    frame, _ = compare(old, new)
    columns = ("change", "metric", "period", "unit", "old", "new", "difference", "relative")
    assert listed(frame, *columns) == [  # in the order of the definitions
        ("restated", "mrr", "2025-06", "USD", 50, 40, -10, -0.2), ("restated", "ltv", "2025-06", "USD", 100, 120, 20, 0.2)]
    assert frame["outside"].tolist() == [None, True]  # MRR has no interval; 120 is above 110


@pytest.mark.parametrize(("value", "outside"), [(90, False), (110, False), (89, True), (111, True)])
def test_the_ends_of_the_old_interval_are_inside(tmp_path, value, outside):
    old = month(tmp_path / "a", "ltv,all,all,2025-06,100,90,110")
    frame, _ = compare(old, month(tmp_path / "b", f"ltv,all,all,2025-06,{value},,"))
    assert frame["outside"].tolist() == [outside]


def test_within_a_metric_the_largest_relative_change_comes_first(tmp_path):
    old = month(tmp_path / "a", "mrr,plan,a,2025-06,10,,", "mrr,plan,b,2025-06,1000,,", "mrr,plan,c,2025-06,0,,",
                "mrr_fx,all,all,2025-06,-10,,")
    new = month(tmp_path / "b", "mrr,plan,a,2025-06,5,,", "mrr,plan,b,2025-06,1100,,", "mrr,plan,c,2025-06,7,,",
                "mrr_fx,all,all,2025-06,-5,,")
    frame, _ = compare(old, new)
    assert frame["member"].tolist() == ["a", "b", "c", "all"]  # −50%, +10%, and from 0: unknown
    assert frame["relative"].tolist()[:2] == [-0.5, 0.1]
    assert frame["relative"][3] == 0.5  # −5 is more than −10
    assert pd.isna(frame["relative"][2])


def test_figures_that_came_and_went_are_told_and_unknown_ones_are_not(tmp_path):
    old = month(tmp_path / "a", "mrr,plan,gone,2025-06,1,,", "ltv,all,all,2025-06,,,", "cac,all,all,2025-06,,,")
    new = month(tmp_path / "b", "mrr,plan,came,2025-06,2,,", "ltv,all,all,2025-06,,,")
    frame = as_text(compare(old, new)[0])
    assert listed(frame, "member", "old", "new", "difference") == [("came", "–", "2", "–"), ("gone", "1", "–", "–")]


def test_two_months_move_by_their_last_period_and_restate_what_both_hold(tmp_path):
    old = month(tmp_path / "a", "mrr,all,all,2025-04,8,,", "mrr,all,all,2025-05,10,,", "mrr,plan,gone,2025-05,1,,",
                period="2025-05")
    new = month(tmp_path / "b", "mrr,all,all,2025-05,11,,", "mrr,all,all,2025-06,15,,", "mrr,plan,came,2025-06,2,,")
    frame, _ = compare(old, new)
    assert listed(as_text(frame), "change", "period", "old", "new") == [
        ("moved", "2025-05 to 2025-06", "10", "15"), ("moved", "none to 2025-06", "–", "2"),
        ("moved", "2025-05 to none", "1", "–"), ("restated", "2025-05", "10", "11")]  # 2025-04 has left the thirteen months
    assert frame["cause"].tolist()[0] == ""


VOLUME = "period,rows,revenue\n2025-05,10,100\n2025-06,4,40\n"
ROWS = "table,stage,rows\nsubscriptions,kept,7\nsubscriptions,read,9\ntransactions,kept,14\nfx_rates,kept,2\n"
REFUNDS = "month,measure,ours\n2025-05,refunds,30\n2025-05,mrr,9\n"
VERSIONS = "metric,version\nmrr,1\n"


def inputs(**changed: str) -> list[dict[str, str]]:
    found = {"transactions": "ab", "fx_rates": "ab"} | changed
    return [{"table": name, "file": f"{name[0]}.csv", "sha256": digest} for name, digest in found.items()]


@pytest.mark.parametrize(
    ("tables", "manifest", "found"),
    [
        ({"volume": VOLUME.replace("10,100", "12,130")}, {},
         {"late rows": ["transactions of 2025-05: +2 rows, revenue +30.00 (tables/volume.csv)"]}),
        ({"volume": VOLUME.replace("10,100", "11,80")}, {},
         {"refunds": ["transactions of 2025-05: +1 rows, revenue -20.00 (tables/volume.csv)"]}),
        ({"volume": VOLUME.replace("10,100", "10,90")}, {},
         {"data": ["transactions of 2025-05: +0 rows, revenue -10.00 (tables/volume.csv)"]}),
        ({"rows": ROWS.replace("kept,7", "kept,8")}, {}, {"late rows": ["kept rows of subscriptions changed: 7 -> 8"]}),
        ({"rows": ROWS.replace("read,9", "read,10")}, {"inputs": inputs(transactions="cd")},  # of months to come
         {"data": ["input transactions: t.csv changed"]}),
        ({"reconciliation": REFUNDS.replace("30", "35").replace("9", "8")}, {},
         {"refunds": ["refunds of 2025-05 changed: 30 -> 35"]}),
        ({"volume": VOLUME.replace("10,100", "9,80")}, {},
         {"late rows": ["transactions of 2025-05: -1 rows, revenue -20.00 (tables/volume.csv)"]}),
        ({"rows": ROWS.replace("kept,2", "kept,3")}, {"inputs": inputs(fx_rates="cd")},
         {"FX": ["input fx_rates: f.csv changed"]}),
        ({}, {"inputs": inputs(fx_rates="cd")}, {"FX": ["input fx_rates: f.csv changed"]}),
        ({}, {"definitions": "cd"}, {"definition": ["definitions.yaml changed"]}),
        ({"definitions": VERSIONS.replace("mrr,1", "mrr,2")}, {}, {"definition": ["version of mrr changed: 1 -> 2"]}),
        ({}, {"params": {"policy": {"horizon_months": 24}}},
         {"definition": ["setting policy.horizon_months changed: 36 -> 24"]}),
        ({}, {"code": {"helpers/metrics/ltv.py": "cd"}}, {"code": ["code helpers/metrics/ltv.py changed"]}),
        ({}, {"versions": {"numpy": "2.1"}}, {"code": ["version of numpy changed: 2.0 -> 2.1"]}),
        ({}, {"inputs": inputs(transactions="cd")}, {"data": ["input transactions: t.csv changed"]}),
        ({}, {"history": {"toy/2025-05/metrics.csv": "ab"}}, {"data": ["history toy/2025-05/metrics.csv new"]}),
        ({}, {"params": {"policy": {"horizon_months": 36}, "demo": 1}},
         {"data": ["not on record: no input, setting, code or version differs"]}),
        ({"volume": VOLUME.replace("10,100", "12,130")}, {"code": {}, "inputs": inputs(fx_rates="cd", transactions="cd")},
         {"late rows": ["transactions of 2025-05: +2 rows, revenue +30.00 (tables/volume.csv)"],
          "FX": ["input fx_rates: f.csv changed"], "code": ["code helpers/metrics/ltv.py gone"]}),
    ],
)
def test_each_cause_is_told_with_its_evidence_and_none_is_guessed(tmp_path, tables, manifest, found):
    kept = {"volume": VOLUME, "rows": ROWS, "reconciliation": REFUNDS, "definitions": VERSIONS}
    old = month(tmp_path / "a", "mrr,all,all,2025-06,10,,", tables=kept)
    new = month(tmp_path / "b", "mrr,all,all,2025-06,11,,", tables=kept | tables, **manifest)
    frame, causes = compare(old, new)
    assert causes == found
    assert frame["cause"].tolist() == [", ".join(found)]


@pytest.mark.parametrize(("metric", "found"), [("mrr_fx", ["FX"]), ("mrr", ["data"])])
def test_of_a_later_month_new_rates_count_where_a_past_effect_of_rates_changed(tmp_path, metric, found):
    later = {"rows": ROWS.replace("7", "9"), "volume": VOLUME + "2025-07,3,30\n"}  # rows of its own month
    old = month(tmp_path / "a", f"{metric},all,all,2025-06,10,,", tables={"rows": ROWS, "volume": VOLUME})
    new = month(tmp_path / "b", f"{metric},all,all,2025-06,11,,", period="2025-07", tables=later, inputs=inputs(fx_rates="cd"))
    assert list(compare(old, new)[1]) == found


def test_equal_months_show_nothing(tmp_path):
    old, new = (month(tmp_path / name, "mrr,all,all,2025-06,10,,", code={name: "ab"}) for name in "ab")
    frame, causes = compare(old, new)
    assert (len(frame), causes) == (0, {})
    assert "0 figures changed" in as_page(old, new, frame, causes)


def test_two_reports_are_refused(tmp_path):
    old = month(tmp_path / "a", "mrr,all,all,2025-06,10,,")
    new = month(tmp_path / "b", "mrr,all,all,2025-06,10,,", report={"name": "other", "title": "Toy", "month": "2025-06"})
    with pytest.raises(ReportError, match="of one report"):
        compare(old, new)


@pytest.mark.parametrize(
    ("text", "told"),
    [(None, "metrics.csv has 1 problem"), ("", "No columns"), ("metric,value\nmrr,2\n", "expected but not found"),
     ("metric,dimension,member,period,value,low,high,unit\n" + "mrr,all,all,2025-06,1,,,\n" * 3, "of another one: 2")],
)
def test_metrics_that_are_none_are_refused(tmp_path, text, told):
    old, new = (month(tmp_path / name, "mrr,all,all,2025-06,10,,") for name in "ab")
    (new / "metrics.csv").unlink() if text is None else (new / "metrics.csv").write_text(text)
    with pytest.raises(ReportError) as caught:
        compare(old, new)
    assert told in str(caught.value)


@pytest.mark.parametrize("text", ["period,rows,revenue\n2025-05,many,1\n", "period\n\xff"])
def test_a_broken_table_is_a_clear_error(tmp_path, text):
    old = month(tmp_path / "a", "mrr,all,all,2025-06,10,,", tables={"volume": VOLUME})
    new = month(tmp_path / "b", "mrr,all,all,2025-06,11,,")
    (new / "tables" / "volume.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(ReportError, match="a table cannot be read"):
        compare(old, new)


def test_hostile_text_is_text_on_the_page_and_on_the_terminal(tmp_path, monkeypatch, capfd):
    report = {"name": "toy", "title": HOSTILE, "month": "2025-06"}
    old = month(tmp_path / "a", f"mrr,plan,{HOSTILE},2025-06,10,,", report=report)
    new = month(tmp_path / "b", f"mrr,plan,{HOSTILE},2025-06,11,,", report=report, code={HOSTILE: "ab"},
                versions={HOSTILE: HOSTILE})
    file = tmp_path / "page.html"
    code, out, err = call(monkeypatch, capfd, "compare", old, new, "--html", file)
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    page = file.read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 4
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_command_prints_a_line_a_figure_and_the_causes(tmp_path, monkeypatch, capfd):
    old = month(tmp_path / "a", "mrr,all,all,2025-06,20000,,")
    new = month(tmp_path / "b", "mrr,all,all,2025-06,25000.5,,", versions={"numpy": "2.1"})
    code, out, _ = call(monkeypatch, capfd, "compare", old, new)
    assert code == 0
    assert out.splitlines()[1:] == [
        "restated\tmrr\tall\tall\t2025-06\tUSD\t20,000.00\t25,000.50\t5000.5\t+25.00%\t–\tcode",
        "may have restated: code", "  - version of numpy changed: 2.0 -> 2.1", "1 figures changed"]  # fmt: skip
    assert call(monkeypatch, capfd, "compare", old, tmp_path)[0] == 1


def test_a_page_that_cannot_be_written_is_a_clear_error(tmp_path, monkeypatch, capfd):
    old = month(tmp_path / "a", "mrr,all,all,2025-06,1,,")
    code, _, err = call(monkeypatch, capfd, "compare", old, old, "--html", tmp_path / "nowhere" / "page.html")
    assert code == 1
    assert "page.html" in err
    assert "Traceback" not in err


def test_the_page_tells_causes_then_the_company_then_members(tmp_path):
    old = month(tmp_path / "a", "mrr,all,all,2025-05,10,,", "mrr,all,all,2025-06,10,,", "mrr,plan,pro,2025-06,8,,")
    new = month(tmp_path / "b", "mrr,all,all,2025-05,11,,", "mrr,all,all,2025-06,12,,", "mrr,plan,pro,2025-06,9,,", code={})
    page = as_page(old, new, *compare(old, new))
    marks = ["What changed</h1>", "3 figures changed", "May have restated: code", "code helpers/metrics/ltv.py gone",
             "The company: restated", "+10.00%", "By member: restated", "pro"]  # fmt: skip
    places = [page.index(mark) for mark in marks]
    assert places == sorted(places)
    assert "2025-05" in page[places[4] : places[6]]
