"""The runner on toy notebooks: what it publishes, what it refuses, and what it keeps."""

import hashlib
import json
import re
from pathlib import Path

import nbformat
import pytest

from helpers.contracts import ReportError
from helpers.kernels import judge
from helpers.plan import plan
from helpers.runner import NotebookError, run_report

PARAMETERS = 'params_file = "params/demo.yaml"\nmonth = "2025-06"\nrun_dir = "outputs/.work/demo/2025-06"  # kept'
TITLE = "Acme <script>alert(1)</script> & Söhne"
RAISES = ["# Two", "## What it is worth", "1 / 0", "never = 1"]


def write(folder: Path, name: str, *sources: str, parameters: tuple[str, ...] = (PARAMETERS,)) -> None:
    """A notebook: sources that start with '# ' or '## ' are prose, the others code."""
    tagged = [nbformat.v4.new_code_cell(text, metadata={"tags": ["parameters"]}) for text in parameters]
    prose = [text.startswith(("# ", "## ")) for text in sources]
    cells = [
        nbformat.v4.new_markdown_cell(text) if is_prose else nbformat.v4.new_code_cell(text)
        for text, is_prose in zip(sources, prose, strict=True)
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells[:1] + tagged + cells[1:]), folder / f"{name}.ipynb")


def project(folder: Path, **notebooks: list[str]) -> dict:
    """A params file and notebooks; the keywords that run_report needs to work there."""
    (folder / "notebooks").mkdir()
    report = {"name": "toy", "title": TITLE, "month": "2025-06"}
    (folder / "toy.yaml").write_text(json.dumps({"report": report, "sources": {"transactions": {"path": "t.csv"}}}))
    for name, sources in notebooks.items():
        write(folder / "notebooks", name.removeprefix("n"), *sources)
    return {"params_file": folder / "toy.yaml", "notebooks": folder / "notebooks", "out": folder / "out"}


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


FIRST = [
    "# One", "from pathlib import Path\nimport sys, warnings",
    "(Path(run_dir) / 'tables').mkdir()\n"
    "(Path(run_dir) / 'tables' / 'inputs.csv').write_text('table,file,sha256,rows,first,last\\nt,t.csv,ab,7,,\\n')",
    "print('first piece', flush=True)\nimport time; time.sleep(0.2)\nprint('second piece', run_dir, params_file)",
    "warnings.warn('a warning')\nobject()",
    "import os; os.write(2, b'noise from the kernel')",
    "class Rich:\n    def _repr_html_(self): return '<p>rich</p>'\nRich()",
    "",
]  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The same report published twice: (settings, index, first bytes, second bytes, events of the second run)."""
    where = project(
        tmp_path_factory.mktemp("good"), n01_prep=FIRST, n02_two=["# The second page", "open(run_dir + '/two', 'w')"],
        n03_summary=["# All in all", "print(open(run_dir + '/tables/inputs.csv').read())", "assert month == '2025-06'"],
    )  # fmt: skip
    events = []
    index = run_report(**where)
    first = bytes_below(index.parent)
    run_report(**where, progress=lambda *event: events.append(event))
    return where, index, first, bytes_below(index.parent), events


def test_a_good_run_is_published_whole_with_the_summary_as_index(good):
    where, index, files, _, _ = good
    assert index == where["out"] / "toy" / "2025-06" / "index.html"
    assert set(files) == {
        "01_prep.html", "02_two.html", "index.html", "glossary.html", "manifest.json",
        "run.log", "params.yaml", "tables/inputs.csv",
        "two", "notebooks/01_prep.ipynb", "notebooks/02_two.ipynb", "notebooks/03_summary.ipynb",
    }  # fmt: skip
    assert b"All in all" in files["index.html"]
    assert not [path for path in (where["out"] / ".work").rglob("*") if path.is_file() or path.name == "2025-06"]


def test_two_runs_give_equal_bytes_but_for_manifest_and_log(good):
    _, _, first, second, _ = good
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == ["manifest.json", "run.log"]


def test_every_page_links_to_every_page_by_its_heading(good):
    for page in ("01_prep.html", "02_two.html", "index.html"):
        for href, title in (("01_prep.html", "One"), ("02_two.html", "The second page"), ("index.html", "All in all")):
            assert re.search(f'<a [^>]*href="{href}"[^>]*>{title}</a>', good[2][page].decode()), page


def test_a_hostile_title_is_escaped_on_every_page(good):
    for page in ("01_prep.html", "02_two.html", "index.html"):
        text = good[2][page].decode()
        assert "Acme &lt;script&gt;" in text
        assert "<script" not in text


def test_an_executed_notebook_tells_no_time_address_or_path_of_the_machine(good):
    where, _, files, _, _ = good
    text = files["notebooks/01_prep.ipynb"].decode()
    book = nbformat.reads(text, as_version=4)
    assert 'params_file = "toy/2025-06/params.yaml"' in book.cells[2].source
    assert 'run_dir = "toy/2025-06"' in book.cells[2].source
    assert [cell.id for cell in book.cells[:3]] == ["cell-1", "cell-2", "cell-3"]
    for secret in (str(where["out"]), ".work/toy", "papermill", "start_time", "0x", "UserWarning", "ipykernel_"):
        assert secret not in text, secret
    assert "<object>" in text
    assert "second piece toy/2025-06 toy/2025-06/params.yaml" in text
    assert len(book.cells[5].outputs) == 1  # two pieces: where the text is cut is chance


def test_text_gives_way_to_a_richer_output(good):
    book = nbformat.reads(good[2]["notebooks/01_prep.ipynb"].decode(), as_version=4)
    assert book.cells[8].outputs[0].data == {"text/html": "<p>rich</p>", "text/plain": ""}


def test_the_log_takes_what_the_kernel_and_warnings_say(good):
    log = good[2]["run.log"].decode()
    assert "01_prep: noise from the kernel" in log
    assert "UserWarning: a warning" in log


def test_the_manifest_accounts_for_inputs_notebooks_and_outputs(good):
    _, index, _, files, _ = good
    manifest = json.loads(files["manifest.json"])
    assert manifest["inputs"] == [{"table": "t", "file": "t.csv", "sha256": "ab", "rows": 7, "first": "", "last": ""}]
    assert [(n["name"], n["status"]) for n in manifest["notebooks"]] == [
        ("01_prep", "done"), ("02_two", "done"), ("03_summary", "done"),
    ]  # fmt: skip
    assert manifest["outputs"] == {
        name: hashlib.sha256(content).hexdigest()
        for name, content in files.items() if name not in ("manifest.json", "run.log")
    }  # fmt: skip
    assert manifest["started"] <= manifest["ended"]
    where, code = good[0], manifest["code"]
    made = where["notebooks"] / "02_two.ipynb"
    assert code["notebooks/02_two.ipynb"] == hashlib.sha256(made.read_bytes()).hexdigest()
    assert {"helpers/runner.py", "helpers/sql/summaries/rows.sql", "helpers/definitions.yaml"} < set(code)


def test_progress_tells_each_notebook_from_waiting_to_done(good):
    statuses = [status for name, status, _ in good[4] if name == "02_two"]
    assert list(dict.fromkeys(statuses)) == ["waiting", "running", "done"]
    assert ("02_two", "running", "cell 4 of 4") in good[4]  # heading, parameters, injected, code
    order = [name for name, status, _ in good[4] if status == "done"]
    assert order == ["01_prep", "02_two", "03_summary"]


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """A published month, then a run in which notebooks fail in four ways: (settings, bytes before, error, events)."""
    folder = tmp_path_factory.mktemp("bad")
    where = project(folder, n01_prep=["# One"], n06_summary=["# Six"])
    index = run_report(**where)
    before, events = bytes_below(index.parent), []
    write(where["notebooks"], "02_raises", *RAISES)
    write(where["notebooks"], "03_leaves", "# Three", "import sys; sys.exit(0)", "never = 1")
    write(where["notebooks"], "04_killed", "# Four", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    user = "from helpers.contracts import ReportError\nraise ReportError('t.csv', ['column x is missing'], 'Add it.')"
    write(where["notebooks"], "05_user", "# Five", user)
    with pytest.raises(NotebookError) as caught:
        run_report(**where, progress=lambda *event: events.append(event))
    return where, before, str(caught.value), events


def test_a_raising_cell_is_told_by_notebook_cell_heading_and_page(bad):
    where, _, told, _ = bad
    assert "02_raises failed in cell 4 under 'What it is worth': ZeroDivisionError: division by zero" in told
    page = where["out"] / "toy" / ".failed" / "2025-06" / "02_raises.html"
    assert f"page: {page}" in told
    assert "What it is worth" in page.read_text(encoding="utf-8")


def test_what_failed_is_put_away_once_the_month_is_published(tmp_path):
    where, kept = project(tmp_path, n01_prep=["# One", "1 / 0"]), tmp_path / "out" / "toy" / ".failed"
    for month in ("2025-05", "2025-06"):
        with pytest.raises(NotebookError):
            run_report(**where, month=month)
    write(where["notebooks"], "01_prep", "# One", "1 / 1")
    run_report(**where, month="2025-06")
    assert [path.name for path in kept.iterdir()] == ["2025-05"]
    run_report(**where, month="2025-05")
    assert not kept.exists()


def test_leaving_and_killed_kernels_are_failures_though_papermill_calls_them_completed(bad):
    _, _, told, _ = bad
    assert "03_leaves failed in cell 3 under 'Three': SystemExit: 0" in told
    assert "04_killed failed in cell 3 under 'Four': DeadKernelError: the system ended the kernel by signal 9 (SIGKILL)" in told
    assert "most often because memory ran out. Run one notebook at a time (--jobs 1)" in told


def test_a_failure_leaves_the_last_good_month_untouched(bad):
    where, before, _, _ = bad
    assert bytes_below(where["out"] / "toy" / "2025-06") == before


def test_a_failure_leaves_no_settings_of_its_notebooks_behind(bad):
    left = (bad[0]["out"] / ".work" / "toy").iterdir()
    assert not [path for path in left if path.suffix == ".yaml"]


def test_a_failure_skips_the_summary_and_not_its_neighbours(bad):
    where, _, _, events = bad
    last = {name: status for name, status, _ in events}
    assert last["06_summary"] == "skipped"
    assert last["05_user"] == "failed"
    kept = json.loads((where["out"] / "toy" / ".failed" / "2025-06" / "manifest.json").read_text())
    assert {n["name"]: n["status"] for n in kept["notebooks"]} == last


def test_a_users_error_in_a_notebook_is_its_message(bad):
    with pytest.raises(ReportError) as caught:
        run_report(**bad[0], only=["user"])
    assert str(caught.value).startswith("t.csv has 1 problem:\n  - column x is missing\nAdd it.\nNothing was published")
    assert "Traceback" not in str(caught.value)


def test_only_runs_what_it_needs_and_publishes_nothing(tmp_path):
    where = project(tmp_path, n01_prep=["# One"], n02_a=["# A", "b = 1"], n03_b=["# B"], n06_summary=["# S"])
    page = run_report(**where, only=["a"])
    assert page == tmp_path / "out" / ".work" / "toy" / "2025-06" / "02_a.html"
    assert sorted(path.name for path in page.parent.glob("*.html")) == ["01_prep.html", "02_a.html", "glossary.html"]
    assert not (tmp_path / "out" / "toy").exists()


def test_a_failed_first_notebook_skips_all_others_and_a_mended_run_clears_the_failed_one(tmp_path):
    where, events = project(tmp_path, n01_prep=["# One", "no_such_name"], n02_a=["# A"]), []
    (tmp_path / "out" / "toy" / ".2025-05.previous").mkdir(parents=True)  # an earlier run broke off here
    with pytest.raises(NotebookError, match="NameError"):
        run_report(**where, progress=lambda *event: events.append(event))
    assert events[-1] == ("02_a", "skipped", "needs 01_prep")
    assert (tmp_path / "out" / "toy" / "2025-05").exists()
    write(where["notebooks"], "01_prep", "# One")
    run_report(**where)
    assert not (tmp_path / "out" / "toy" / ".failed" / "2025-06").exists()


def test_a_page_that_cannot_be_rendered_is_a_failure(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ValueError("no alt text")

    monkeypatch.setattr("helpers.rendering.PageExporter.from_notebook_node", broken)
    with pytest.raises(NotebookError, match="01_a failed in its page: ValueError: no alt text"):
        run_report(**project(tmp_path, n01_a=["# A"]))
    assert not (tmp_path / "out" / "toy" / "2025-06").exists()


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ((), "(found none)"),
        (("# nothing yet", PARAMETERS), "(found nothing and month, params_file, run_dir)"),
        ((PARAMETERS, PARAMETERS), "(found month, params_file, run_dir and month, params_file, run_dir)"),
        ((PARAMETERS.replace("month", "moth"),), "(found moth, params_file, run_dir)"),
        ((PARAMETERS + "\nhorizon: int = 3",), "(found horizon, month, params_file, run_dir)"),
    ],
)
def test_a_notebook_that_papermill_would_run_on_its_defaults_is_refused(tmp_path, parameters, found):
    where = project(tmp_path, n01_prep=["# One"])
    write(where["notebooks"], "02_odd", "# Odd", parameters=parameters)
    with pytest.raises(ReportError, match=r"02_odd.ipynb: needs exactly one cell tagged 'parameters'") as caught:
        run_report(**where)
    assert found in str(caught.value)
    assert not where["out"].exists()


def test_an_unknown_notebook_is_named_with_the_nearest(tmp_path):
    where = project(tmp_path, n01_prep=["# One"], n03_rfm=["# RFM"])
    with pytest.raises(ReportError, match=r"'rmf' is not a notebook; did you mean rfm\?"):
        run_report(**where, only=["rmf"])


def test_dry_run_tells_the_plan_and_writes_nothing(tmp_path):
    where, events = project(tmp_path, n01_prep=["# One"], n02_a=["# A"], n03_b=["# B"]), []
    index = run_report(**where, only=["b"], dry_run=True, progress=lambda *event: events.append(event[:2]))
    assert events == [("01_prep", "would run"), ("03_b", "would run")]
    assert index.name == "index.html"
    assert not where["out"].exists()


def test_the_summary_needs_all_and_runs_last_whatever_its_number(tmp_path):
    where = project(tmp_path, n01_prep=["# One"], n02_summary=["# S"], n07_own=["# Own"])
    stages = plan(where["notebooks"], ["summary"])
    assert [[(n.name, n.page) for n in stage] for stage in stages] == [
        [("01_prep", "01_prep.html")], [("07_own", "07_own.html")], [("02_summary", "index.html")],
    ]  # fmt: skip


def test_a_cell_that_never_ran_is_a_failure_without_any_exception():
    from helpers.plan import Notebook

    cells = [nbformat.v4.new_code_cell("a = 1", execution_count=1), nbformat.v4.new_code_cell("b = 2")]
    notebook = Notebook(Path("02_a.ipynb"), "02_a", "02_a.html", "a", executed=nbformat.v4.new_notebook(cells=cells))
    judge(notebook, None)
    assert notebook.error == "cell 2: NotRun: the cell never ran"
