"""The commands: exit codes, and what goes to which stream."""

import json
import sys

import pytest
from test_runner import RAISES, project, write

from helpers import __main__ as cli
from helpers.contracts import ReportError
from helpers.demo import FILES


def call(monkeypatch, capfd, *words) -> tuple[int, str, str]:
    """Exit code, stdout and stderr, kernels' and libraries' included."""
    monkeypatch.setattr(sys, "argv", ["ltv-report", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    code = left.value.code
    out, err = capfd.readouterr()
    return (1, out, f"{err}{code}") if isinstance(code, str) else (code or 0, out, err)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A project on whose notebooks `run` works: (folder, words after `run`)."""
    import helpers.runner

    where = project(tmp_path, n01_prep=["# One"], n02_a=["# A"])
    run_report = helpers.runner.run_report
    monkeypatch.setattr("helpers.runner.run_report", lambda *a, **k: run_report(*a, **k, notebooks=where["notebooks"]))
    return tmp_path, ["run", where["params_file"], "--out", where["out"]]


def test_run_prints_events_then_the_path_of_the_index_and_nothing_on_stderr(toy, monkeypatch, capfd):
    folder, words = toy
    code, out, err = call(monkeypatch, capfd, *words)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:3] == ["01_prep waiting", "02_a waiting", "01_prep running"]
    assert lines[3].startswith("01_prep done ")
    assert lines[-1] == str(folder / "out" / "toy" / "2025-06" / "index.html")


def test_a_failed_notebook_exits_3_without_a_traceback_on_the_terminal(toy, monkeypatch, capfd):
    folder, words = toy
    write(folder / "notebooks", "02_a", *RAISES)
    code, out, err = call(monkeypatch, capfd, *words)
    assert code == 3
    assert err.startswith("02_a failed in cell 4 under 'What it is worth': ZeroDivisionError: division by zero\n")
    assert "Traceback" not in err
    assert "index.html" not in out


def test_a_problem_of_the_user_exits_1_with_all_of_it_and_no_traceback(toy, monkeypatch, capfd):
    _, words = toy
    code, out, err = call(monkeypatch, capfd, *words, "--set", "policy.horizon_month=24", "report.name=../x")
    assert code == 1
    assert "policy.horizon_month: not a known setting; did you mean horizon_months?" in err
    assert "report.name: must be a folder's name" in err
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize(
    "words", [["run"], ["run", "x.yaml", "--jobs", "0"], ["run", "x.yaml", "--moth", "2025-06"], ["fly"], ["params"]]
)
def test_wrong_usage_exits_2(words, monkeypatch, capfd):
    assert call(monkeypatch, capfd, *words)[0] == 2


def test_only_prints_each_page_and_dry_run_only_the_plan(toy, monkeypatch, capfd):
    folder, words = toy
    assert call(monkeypatch, capfd, *words, "--dry-run") == (0, "01_prep would run\n02_a would run\n", "")
    assert not (folder / "out").exists()
    write(folder / "notebooks", "03_b", "# B")
    out = call(monkeypatch, capfd, *words, "--only", "prep", "a")[1].splitlines()
    work = folder / "out" / ".work" / "toy" / "2025-06"
    assert out[-3:] == [str(work / name) for name in ("01_prep.html", "02_a.html", "glossary.html")]


def test_several_values_follow_one_option_once_params_stand():
    assert cli.spread(["run", "p.yaml", "--only", "a", "b", "--jobs", "2", "--set", "x=1", "y=-2"]) == [
        "run", "p.yaml", "--only", "a", "--only", "b", "--jobs", "2", "--set", "x=1", "--set", "y=-2",
    ]  # fmt: skip
    assert cli.spread(["run", "--only", "a", "p.yaml"]) == ["run", "--only", "a", "p.yaml"]


def test_check_tells_rows_rejections_and_what_each_table_unlocks(tmp_path, monkeypatch, capfd):
    file = tmp_path / "toy.yaml"
    file.write_text(json.dumps({
        "report": {"name": "toy", "title": "Toy", "month": "2025-06"}, "sources": {"transactions": {"path": "t.csv"}}
    }))  # fmt: skip
    (tmp_path / "t.csv").write_text("customer_id,transacted_at,amount\na,2025-06-01,10\nb,2025-06-02,5\n")
    code, out, err = call(monkeypatch, capfd, "check", file)
    assert (code, err) == (0, "")
    assert [title for title in out.split("\n\n") if title.startswith("Rows rejected")] == [
        "Rows rejected, by rule\nnone", "Rows rejected, the first five of each\nnone"]
    assert "marketing_spend absent" in " ".join(out.split())
    assert "30 customers, 5 customers who left: known after a run" in " ".join(out.split())  # there are 2: nothing is ready
    (tmp_path / "t.csv").write_text("customer_id,transacted_at,amount\na,2025-06-01,10\nb,,5\nc,2025-06-02,many\n")
    out = call(monkeypatch, capfd, "check", file)[1]
    (told,) = [part for part in out.split("\n\n") if part.startswith("Rows rejected, by rule")]
    assert all(remedy in told for remedy in ("Mend the cell; or say how the file writes it", "Fill the cell at the source"))
    (tmp_path / "t.csv").unlink()
    assert call(monkeypatch, capfd, "check", file)[0] == 1


def test_demo_lists_the_files_it_wrote(tmp_path, monkeypatch, capfd):
    code, out, _ = call(monkeypatch, capfd, "demo", tmp_path / "acme", "--customers", "50", "--months", "14")
    assert code == 0
    assert out.split() == [str(tmp_path / "acme" / f"{name}.csv") for name in FILES]
    assert {f"{name}.csv" for name in FILES} | {"truth.yaml"} <= {path.name for path in (tmp_path / "acme").iterdir()}


def test_params_schema_tells_type_default_bounds_and_meaning(monkeypatch, capfd):
    code, out, _ = call(monkeypatch, capfd, "params", "--schema")
    assert code == 0
    line, meaning = out[out.index("policy.horizon_months") :].splitlines()[:2]
    assert all(word in line for word in ("int", "default 36", "ge=1", "le=240"))
    assert meaning.strip() == "months of a customer's future that LTV counts"


def test_init_writes_params_then_checks_them(tmp_path, monkeypatch, capfd):
    seen = []
    monkeypatch.setattr("helpers.sources.init_params", lambda files: tmp_path / f"{files[0].stem}.yaml")
    monkeypatch.setattr(cli, "check", seen.append)
    code, out, _ = call(monkeypatch, capfd, "init", "orders.csv")
    assert (code, out, seen) == (0, f"{tmp_path / 'orders.yaml'}\n", [tmp_path / "orders.yaml"])


def test_a_live_table_shows_the_running_cell_and_takes_names_as_text():
    display = cli.Display()
    display("02_[red]", "running", "cell 3 of 9")
    columns = [[str(cell) for cell in column.cells] for column in display.table().columns]
    assert columns == [["02_[red]"], ["running"], ["cell 3 of 9, 0 s"]]


def test_a_report_error_outside_notebooks_is_its_message(monkeypatch, capfd):
    def broken(*_):
        raise ReportError("t.csv", ["column x is missing"], "Add it.")

    monkeypatch.setattr("helpers.params.load_params", broken)
    assert call(monkeypatch, capfd, "check", "x.yaml") == (1, "", "t.csv has 1 problem:\n  - column x is missing\nAdd it.")
