"""Many months in one call: in order where they read each other, side by side where not, and one page over all."""

import json
import shutil
import signal
import subprocess
import sys
import time

import duckdb
import pandas as pd
import pytest
from test_main import call, toy  # noqa: F401
from test_runner import bytes_below, project
from test_safety import heeding, wait_for
from test_sources import workbook

from helpers.contracts import ReportError
from helpers.months import run_months, spanned, write_index
from helpers.runner import NotebookError, run_report
from helpers.safety import shared

HEAD = "metric,dimension,member,period,value,low,high,n,unit,basis,method"
WRITES = ["# All", "import pathlib", "value = 2.5 + int(month[-2:])",
          f"row = f'{HEAD}\\nltv_to_cac,all,all,{{month}},{{value}},{{value - 1}},{{value + 1}},9,ratio,,\\n'",
          "pathlib.Path(run_dir, 'metrics.csv').write_text(row)"]
FINDS = ["# First", "import pathlib, yaml; history = yaml.safe_load(pathlib.Path(params_file).read_text())['history']",
         "found = [path.parent.name for path in pathlib.Path(history or '/none', 'toy').glob('*/metrics.csv')]",
         "print(sorted(name for name in found if name < month))"]


def settings(where: dict, history) -> dict:
    terms = json.loads(where["params_file"].read_text()) | {"history": history}
    where["params_file"].write_text(json.dumps(terms))
    return where


@pytest.fixture
def where(tmp_path):
    found = project(tmp_path, n01_prep=FINDS, n06_summary=WRITES)
    return settings(found, str(found["out"]))


def shown(page) -> str:
    cells = json.loads((page / "notebooks" / "01_prep.ipynb").read_text())["cells"]
    return "".join(cells[5]["outputs"][0]["text"]).strip()


def test_months_are_made_in_order_and_each_finds_those_before_it(where):
    index = run_months(months="2024-12:2025-02", **where)
    assert index == where["out"] / "toy" / "index.html"
    assert [shown(index.parent / month) for month in ("2024-12", "2025-01", "2025-02")] == [
        "[]", "['2024-12']", "['2024-12', '2025-01']"]
    page = index.read_text()
    for month, value in (("2024-12", "14.50"), ("2025-01", "3.50"), ("2025-02", "4.50")):
        assert f'<a href="{month}/index.html">{month}</a>' in page and f"{value}×" in page
    assert page.count("<figure") == 1 and "Acme &lt;script&gt;" in page and "<script" not in page


def test_a_month_of_many_is_the_month_of_a_single_run(where):
    made = bytes_below(run_months(months="2025-01:2025-02", **where).parent / "2025-02")
    alone = bytes_below(run_report(**where, month="2025-02", force=True).parent)
    assert {name for name in made.keys() | alone if made.get(name) != alone.get(name)} == {"manifest.json", "run.log"}


@pytest.mark.parametrize("history", [None, "elsewhere"])
def test_months_that_read_no_other_are_made_side_by_side(where, history):
    events, where = [], settings(where, history and str(where["out"] / history))
    run_months(months="2025-01:2025-03", **where, progress=lambda name, status, note: events.append((name, status)))
    assert events.index(("2025-02 01_prep", "running")) < events.index(("2025-01 06_summary", "done"))
    assert {name for name, status in events if status == "done"} == {
        f"2025-0{n} {name}" for n in (1, 2, 3) for name in ("01_prep", "06_summary")}


@pytest.mark.parametrize("history", ["out", None])
def test_a_month_that_fails_is_named_and_ends_those_that_need_it(where, history):
    path, events = where["notebooks"] / "01_prep.ipynb", {}
    path.write_text(path.read_text().replace("print(", "assert month != '2025-02'; print("))
    where = settings(where, history and str(where["out"]))
    with pytest.raises(NotebookError, match="^2025-02: 01_prep failed in cell 5 under 'First': AssertionError") as told:
        run_months(months="2025-01:2025-03", **where, progress=lambda name, status, note: events.update({name: status}))
    assert str(told.value).endswith("Made: 2025-01." if history else "Made: 2025-01, 2025-03.")
    published = sorted(path.name for path in (where["out"] / "toy").glob("2025-*"))
    assert published == (["2025-01"] if history else ["2025-01", "2025-03"])
    assert events.get("2025-03") == ("skipped" if history else None)
    assert "2025-02/index.html" not in (where["out"] / "toy" / "index.html").read_text()


def test_one_month_at_a_time_without_history_goes_on_after_a_failure(where):
    path, where = where["notebooks"] / "01_prep.ipynb", settings(where, None)
    path.write_text(path.read_text().replace("found =", "assert month != '2025-01'; found ="))
    with pytest.raises(NotebookError, match="Made: 2025-02.$"):
        run_months(months="2025-01:2025-02", **where, jobs=1)


def test_the_page_over_all_months_has_all_that_are_published(where):
    run_months(months="2025-01:2025-01", **where)
    index = run_months(months="2025-03:2025-03", **where)
    (index.parent / "2025-03" / "metrics.csv").unlink()
    write_index(index.parent)
    assert '<a href="2025-01/index.html">' in index.read_text() and '<a href="2025-03/index.html">' in index.read_text()


def test_a_month_that_is_set_is_refused(where):
    with pytest.raises(ReportError, match="--set report.month=2025-06 names another month"):
        run_months(months="2025-01:2025-02", **where, overrides=["report.month=2025-06"])


def test_an_interruption_of_months_side_by_side_ends_their_kernels(where):
    path, where = where["notebooks"] / "06_summary.ipynb", settings(where, None)
    path.write_text(path.read_text().replace("value =", "import time; time.sleep(50); value =", 1))
    program = """import sys; from pathlib import Path; from helpers.months import run_months
run_months(sys.argv[1], '2025-01:2025-02', out=sys.argv[2], notebooks=Path(sys.argv[3]))"""
    command = [sys.executable, "-c", program, where["params_file"], where["out"], where["notebooks"]]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heeding)
    work = where["out"] / ".work" / "toy"
    wait_for(lambda: sum("06_summary: running" in log.read_text() for log in work.glob("*/run.log")) == 2)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=15)[1]
    assert "KeyboardInterrupt: Interrupted. Every other month is as it was." in said
    assert not (where["out"] / "toy" / "2025-01").exists() and not [*work.glob("read-*")]


@pytest.mark.parametrize("words", ["2025-01", "2025-03:2025-01", "2025-13:2026-01", "1990-01:2025-01", "", "2025-01:2025-02:x"])
def test_what_is_no_span_of_months_is_refused(words):
    with pytest.raises(ReportError, match="--months has 1 problem:\n  - must be FIRST:LAST, two months written YYYY-MM"):
        spanned(words)


def test_a_span_crosses_the_year():
    assert spanned("2024-11:2025-02") == ["2024-11", "2024-12", "2025-01", "2025-02"]


def test_the_command_makes_months_and_shows_where_the_time_went(toy, monkeypatch, capfd):  # noqa: F811
    import helpers.months
    import helpers.runner

    folder, words = toy
    monkeypatch.setattr(helpers.months, "run_report", helpers.runner.run_report)
    summary = folder / "notebooks" / "02_a.ipynb"
    text = summary.read_text()
    summary.unlink()
    (folder / "notebooks" / "06_summary.ipynb").write_text(text.replace("# A", "# All"))
    code, out, err = call(monkeypatch, capfd, *words, "--months", "2025-05:2025-06", "--dry-run")
    assert (code, err) == (0, "") and out.splitlines()[0] == "2025-05 01_prep would run"
    assert call(monkeypatch, capfd, *words, "--months", "2025-05:2025-06", "--month", "2025-06")[0] == 2
    assert call(monkeypatch, capfd, *words, "--months", "")[0] == 1
    code, out, err = call(monkeypatch, capfd, *words, "--month", "2025-06", "--timings")
    lines = out.splitlines()
    assert code == 0 and lines[-1].endswith("index.html") and " begins seconds" in out
    assert any("01_prep; cells" in line for line in lines) and any(line.endswith("  manifest") for line in lines)


# What is read once


SPIES = """import pathlib
from helpers.marts import prepare
from helpers.sources import read
def spy(name, place):
    was = getattr(read, name)
    def told(*given):
        with open({log!r}, 'a') as log:
            print(month, name, getattr(given[place], 'name', given[place]), file=log)
        return was(*given)
    setattr(read, name, told)
for name, place in dict(fingerprint=0, open_file=1, open_query=2, on_lines=2).items():
    spy(name, place)"""
ORDERS = 'customer_id,transacted_at,amount,shop\nann,2025-01-05,1.50,"North,\nby the sea"\n\nbob,2025-02-03,2,South\n'
LATIN = "customer_id;transacted_at;amount;shop\nZoë;2025-01-06;1.234,50;Süd\nann;2025-03-01;2,25;Süd\n"


@pytest.fixture
def reads(tmp_path):
    """A project of sources in many forms, whose first notebook logs what it reads; that log as a function."""
    log = tmp_path / "reads"
    found = project(tmp_path, n01_prep=["# First", SPIES.format(log=str(log)), "book = prepare(params_file, month, run_dir)"],
                    n06_summary=WRITES)
    orders = tmp_path / "orders"
    orders.mkdir()
    (orders / "a.csv").write_text(ORDERS)
    (orders / "b.csv").write_bytes(LATIN.encode("latin-1"))
    (orders / "c.csv").write_bytes(ORDERS.replace("\n\n", "\n").encode("utf-16"))
    workbook(tmp_path / "people.xlsx", {"A": [["customer_id", "segment"], ["ann", "home"], ["Zoë", "work"]]})
    pd.DataFrame({"month": ["2025-01"], "category": ["cogs"], "amount": [2.5]}).to_parquet(tmp_path / "costs.parquet")
    with duckdb.connect(str(tmp_path / "w.duckdb")) as database:
        database.execute("create table t as select 'ann' as customer_id, 's' as a")
    query = ("select customer_id, 'r' || random() as feedback_id, date '2025-01-03' as answered_at, 9 as score, 'nps' as kind "
             "from t")
    sources = {"transactions": {"path": "orders"}, "customers": {"path": "people.xlsx"}, "costs": {"path": "costs.parquet"},
               "feedback": {"url": f"duckdb:///{tmp_path}/w.duckdb", "query": query}}
    terms = json.loads(found["params_file"].read_text()) | {"sources": sources, "dimensions": ["shop"]}
    found["params_file"].write_text(json.dumps(terms))
    return settings(found, str(found["out"])), lambda: sorted(log.read_text().splitlines())


def left(where: dict) -> list:
    return sorted(path.name for path in (where["out"] / ".work" / "toy").glob("read-*"))


ONCE = sorted([*(f"{step} {name}.csv" for step in ("fingerprint", "on_lines", "open_file") for name in "abc"),
               "fingerprint people.xlsx", "open_file people.xlsx", "open_query feedback"])
AGAIN = ["fingerprint costs.parquet", "open_file costs.parquet"]  # Parquet is typed: it is read where it is used


@pytest.mark.parametrize("history", ["out", None])
def test_many_months_read_their_sources_once_and_are_those_of_single_runs(reads, history):
    where, log = reads
    where = settings(where, history and str(where["out"]))
    report = run_months(months="2025-01:2025-03", **where).parent
    first = sorted([*ONCE, *AGAIN])
    assert log() == [f"2025-0{n} {line}" for n in (1, 2, 3) for line in (first if n == 1 else AGAIN)]
    said = "01_prep: 5 of 6 source files taken as another month of this call read them"
    assert [said in (report / month / "run.log").read_text() for month in ("2025-01", "2025-02", "2025-03")] == [
        False, True, True]
    assert left(where) == []
    rows = [pd.read_parquet(report / month / "marts" / "feedback.parquet") for month in ("2025-01", "2025-03")]
    pd.testing.assert_frame_equal(*rows)  # a query that would answer with other rows is asked once
    shutil.rmtree(where["out"] / ".work")
    change(where, sources={name: how for name, how in terms(where)["sources"].items() if name != "feedback"})
    made = bytes_below(run_months(months="2025-01:2025-03", **where, force=True).parent / "2025-03")
    alone = bytes_below(run_report(**where, month="2025-03", force=True).parent)
    assert {name for name in made.keys() | alone if made.get(name) != alone.get(name)} == {"manifest.json", "run.log"}
    assert len([name for name in made if name.startswith("marts/")]) > 10


def terms(where: dict) -> dict:
    return json.loads(where["params_file"].read_text())


def change(where: dict, **how) -> None:
    where["params_file"].write_text(json.dumps(terms(where) | how))


def test_a_file_that_changes_between_two_months_is_read_again(reads):
    where, log = reads
    path, file = where["notebooks"] / "06_summary.ipynb", where["params_file"].parent / "orders" / "b.csv"
    grows = f"month < '2025-02' and open({str(file)!r}, 'ab').write(b'ann;2025-02-09;5,00;Nord\\\\n'); value ="
    path.write_text(path.read_text().replace("value =", grows, 1))
    report = run_months(months="2025-01:2025-03", **where).parent
    assert [line for line in log() if line[:7] > "2025-01" and "parquet" not in line] == [
        f"2025-02 {step} b.csv" for step in ("fingerprint", "on_lines", "open_file")]
    assert len(pd.read_parquet(report / "2025-02" / "marts" / "transactions.parquet")) == 6
    inputs = [json.loads((report / f"2025-0{n}" / "manifest.json").read_text())["outputs"] for n in (2, 3)]
    assert inputs[0].keys() == inputs[1].keys() and left(where) == []


def test_nothing_that_was_read_is_left_after_a_failure(reads):
    where, _ = reads
    path = where["notebooks"] / "06_summary.ipynb"
    path.write_text(path.read_text().replace("value =", "assert month != '2025-02'; value =", 1))
    with pytest.raises(NotebookError, match="Made: 2025-01.$"):
        run_months(months="2025-01:2025-03", **where)
    assert left(where) == []


def test_what_a_killed_call_read_goes_with_the_next_run_and_that_of_a_living_one_stays(where):
    program = "import os, pathlib, sys, helpers.safety as s\nwith s.shared(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    work = where["out"] / ".work" / "toy"
    assert subprocess.run([sys.executable, "-c", program, str(work)]).returncode == -9
    assert len(left(where)) == 2  # the folder and its lock
    with shared(work) as living:
        run_report(**where)
        assert left(where) == [living.name, f"{living.name}.lock"]
    assert left(where) == []
