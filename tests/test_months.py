"""Many months in one call: in order where they read each other, side by side where not, and one page over all."""

import json
import signal
import subprocess
import sys
import time

import pytest
from test_main import call, toy  # noqa: F401
from test_runner import bytes_below, project
from test_safety import heeding, wait_for

from helpers.contracts import ReportError
from helpers.months import run_months, spanned, write_index
from helpers.runner import NotebookError, run_report

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


def test_months_that_read_no_other_are_made_side_by_side(where):
    events, where = [], settings(where, None)
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
    path, where = where["notebooks"] / "01_prep.ipynb", settings(where, None)
    path.write_text(path.read_text().replace("found =", "import time; time.sleep(50); found ="))
    program = """import sys; from pathlib import Path; from helpers.months import run_months
run_months(sys.argv[1], '2025-01:2025-02', out=sys.argv[2], notebooks=Path(sys.argv[3]))"""
    command = [sys.executable, "-c", program, where["params_file"], where["out"], where["notebooks"]]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heeding)
    work = where["out"] / ".work" / "toy"
    wait_for(lambda: sum("running" in log.read_text() for log in work.glob("*/run.log")) == 2)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=15)[1]
    assert "KeyboardInterrupt: Interrupted. Every other month is as it was." in said
    assert not (where["out"] / "toy" / "2025-01").exists()


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
