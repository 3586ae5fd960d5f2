"""verify: a fresh month is equal, and each change is named, by the manifest, by what a re-run rests on and by the re-run."""

import functools
import json
import shutil
from pathlib import Path

import pytest
import yaml
from test_main import call
from test_runner import bytes_below, project, write

from helpers.contracts import ROOT, ReportError
from helpers.proof import changes, first_difference, read_manifest, verify
from helpers.runner import run_report

# Multiplies the source's amounts, 10 and 5, by the discount rate's months: 15 × 36 = 540.
COUNTS = """
import hashlib
from pathlib import Path
from helpers.params import load_params
params, folder = load_params(params_file), Path(run_dir)
source = params.resolve(params.sources["transactions"].path)
total = sum(float(line.split(",")[2]) for line in source.read_text().splitlines()[1:]) * params.policy.horizon_months
(folder / "tables").mkdir()
digest = hashlib.sha256(source.read_bytes()).hexdigest()
(folder / "tables" / "inputs.csv").write_text(f"table,file,sha256,rows\\ntransactions,t.csv,{digest},2\\n")
(folder / "metrics.csv").write_text(f"metric,dimension,member,period,value\\nmrr,all,all,2025-06,{total}\\n")
print(run_dir, params_file)
"""
LINES = "customer_id,transacted_at,amount\na,2025-06-01,10\nb,2025-06-02,5\n"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A project with a published month, whose source is a relative path."""
    where = project(tmp_path_factory.mktemp("proof"), n01_prep=["# One", COUNTS], n02_two=["# Two", "kept = 1"],
                    n03_summary=["# All"])
    (where["params_file"].parent / "t.csv").write_text(LINES)
    run_report(**where)
    return where["params_file"].parent


@pytest.fixture
def month(published, tmp_path):
    """A copy of it, to change: (folder of the month, folder of the project). Relative paths still lead to the copy's source."""
    shutil.copytree(published, tmp_path / "copy")
    return tmp_path / "copy" / "out" / "toy" / "2025-06", tmp_path / "copy"


@pytest.fixture
def still(monkeypatch):
    """Nothing is run again."""
    monkeypatch.setattr("helpers.proof.run_again", lambda *_, **__: [])


def problems(folder: Path, whole: Path, say=lambda line: None) -> list[str]:
    with pytest.raises(ReportError) as caught:
        verify(folder, say, whole / "notebooks")
    return caught.value.problems


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_fresh_month_is_equal_and_its_folder_only_read(month):
    folder, whole = month
    before, said = bytes_below(folder), []
    assert verify(folder, said.append, whole / "notebooks") == "equal: 10 files, 1 rows of metrics"
    assert said == []
    assert bytes_below(folder) == before
    assert {path.name for path in (whole / "out").iterdir()} == {"toy", ".work"}


def test_a_month_below_the_project_is_equal_too(tmp_path, monkeypatch):
    where = project(tmp_path, n01_prep=["# One", COUNTS])
    (tmp_path / "t.csv").write_text(LINES)
    monkeypatch.setattr("helpers.inputs.ROOT", tmp_path)
    folder = run_report(where["params_file"], notebooks=where["notebooks"]).parent
    assert 'run_dir = \\"outputs/toy/2025-06\\"' in (folder / "notebooks" / "01_prep.ipynb").read_text()
    assert verify(folder, notebooks=where["notebooks"]).startswith("equal: ")


def test_every_change_is_named_before_the_rerun_and_its_result_after(month):
    folder, whole = month
    change(whole / "t.csv", "b,2025-06-02,5", "b,2025-06-02,6")
    change(folder / "params.yaml", "horizon_months: 36", "horizon_months: 24")
    change(whole / "notebooks" / "02_two.ipynb", "kept = 1", "kept = 2")
    change(folder / "index.html", "All", "Al1")
    said = []
    found = problems(folder, whole, said.append)
    assert said == [
        "file index.html changed", "file params.yaml changed", "code notebooks/02_two.ipynb changed",
        "setting policy.horizon_months changed: 36 -> 24", "input transactions: t.csv changed",
    ]  # fmt: skip
    assert found[:5] == said
    assert ("run again: metrics.csv differs from row 1 (mrr, all, all, 2025-06), column value: "
            "'540.0' in the folder, '384.0' run again") in found
    assert [line.split(" from ")[0] for line in found[5:]] == [f"run again: {name} differs" for name in (
        "index.html", "metrics.csv", "notebooks/02_two.ipynb", "tables/inputs.csv")]


@pytest.mark.parametrize(
    ("alter", "told"),
    [
        (lambda folder, _: (folder / "glossary.html").unlink(), ["file glossary.html gone"]),
        (lambda folder, _: (folder / "tables" / "mine.csv").touch(), ["file tables/mine.csv new"]),
        (lambda folder, _: change(folder / "metrics.csv", "540", "541"), ["file metrics.csv changed"]),
        (lambda folder, _: change(folder / "run.log", "01_prep", "x"), []),
        (lambda _, whole: change(whole / "t.csv", "a,2025-06-01,10\n", ""), ["input transactions: t.csv changed"]),
        (lambda _, whole: write(whole / "notebooks", "04_own", "# Own"), ["code notebooks/04_own.ipynb new"]),
        (lambda folder, _: state(folder, "code", "helpers/metrics/ltv.py", "ab"), ["code helpers/metrics/ltv.py changed"]),
        (lambda folder, _: state(folder, "code", "helpers/metrics/old.py", "ab"), ["code helpers/metrics/old.py gone"]),
        (lambda folder, _: state(folder, "versions", "sage", "9.1"), ["version of sage gone: 9.1 -> none"]),
        (lambda folder, _: state(folder, "history", "toy/2025-05/metrics.csv", "ab"), ["history toy/2025-05/metrics.csv gone"]),
    ],
)
def test_one_change_is_one_line(month, still, alter, told):
    folder, whole = month
    alter(folder, whole)
    assert (problems(folder, whole) if told else verify(folder, notebooks=whole / "notebooks")[:5]) == (told or "equal")


def state(folder: Path, section: str, name: str, value: str) -> None:
    """Another entry in the manifest."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest[section][name] = value
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_without_its_source_nothing_is_run_and_the_path_is_named(month, monkeypatch):
    folder, whole = month
    monkeypatch.setattr("helpers.proof.run_report", None)
    (whole / "t.csv").unlink()
    found = problems(folder, whole)
    assert found[-2] == f"sources.transactions.path: there is no file {whole / 't.csv'}"
    assert found[-1] == "nothing was run again, for this is missing"


def test_without_its_settings_nothing_is_run(month, monkeypatch):
    folder, whole = month
    monkeypatch.setattr("helpers.proof.run_report", None)
    (folder / "params.yaml").unlink()
    assert problems(folder, whole) == [
        "file params.yaml gone", f"{folder / 'params.yaml'} is not there", "nothing was run again, for this is missing"]


def test_a_database_is_said_to_be_beyond_checking(month, still, monkeypatch):
    folder, whole = month
    settings = yaml.safe_load((folder / "params.yaml").read_text())
    settings["sources"]["subscriptions"] = {"url": "${WAREHOUSE}", "query": "select 1"}
    (folder / "params.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("WAREHOUSE", "duckdb:////tmp/secret.duckdb")
    said = []
    problems(folder, whole, said.append)
    assert said[-1] == "input subscriptions: the rows of a database cannot be checked, only what is made of them"
    assert "secret" not in " ".join(said)


def test_a_rerun_that_fails_is_told_in_a_line(month):
    folder, whole = month
    write(whole / "notebooks", "02_two", "# Two", "1 / 0")
    assert "run again: failed: 02_two failed in cell 3 under 'Two': ZeroDivisionError: division by zero" in " ".join(
        problems(folder, whole))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "is no published month: it holds no manifest.json"),
        ("", "Invalid JSON: EOF"),
        ('{"report": {"name": "toy"', "Invalid JSON: EOF"),
        ('{"name": "package", "version": "1.0"}', "report: Field required"),
        ("[1, 2]", "Input should be an object"),
        ('{"report": {"name": "\\u001b[2J"}, "outputs": {"\\u001b[2J": 3}}', "outputs.\N{REPLACEMENT CHARACTER}[2J: "),
    ],
)
def test_a_folder_without_a_manifest_of_ours_is_refused(tmp_path, text, told):
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ReportError) as caught:
        read_manifest(tmp_path)
    assert told in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert "outputs/demo/2025-06" in str(caught.value)


@pytest.mark.parametrize(
    ("kept", "again", "told"),
    [
        ("a,b\n1,2\n3,4\n", "a,b\n1,2\n3,5\n", " from row 2, column b: '4' in the folder, '5' run again"),
        ("a,b\n1,2\n", "a,b\n1,2\n3,4\n", " from row 2, column a: None in the folder, '3' run again"),
        ("a,c\n1,2\n", "a,b\n1,2\n", " from row 0, column b: 'c' in the folder, 'b' run again"),
        ('a\n"1"\n', "a\n1\n", ", though not in its cells"),
        ("a\n\x1b[2J\n", "a\n1\n", " from row 1, column a: '\\x1b[2J' in the folder, '1' run again"),
    ],
)
def test_the_first_difference_of_two_tables_is_told_by_row_and_column(tmp_path, kept, again, told):
    (tmp_path / "t.csv").write_text(kept)
    (tmp_path / "u.csv").write_text(again)
    assert first_difference(tmp_path / "t.csv", tmp_path / "u.csv") == told


def test_names_that_would_steer_the_terminal_are_made_plain():
    assert changes("file", {}, {"\x1b]0;x\x07": "ab"}) == ["file \N{REPLACEMENT CHARACTER}]0;x\N{REPLACEMENT CHARACTER} new"]


def test_the_command_exits_0_when_equal_and_1_with_all_that_differs(month, monkeypatch, capfd):
    folder, whole = month
    monkeypatch.setattr("helpers.proof.verify", functools.partial(verify, notebooks=whole / "notebooks"))
    monkeypatch.setattr("helpers.proof.run_again", lambda *_, **__: [])
    assert call(monkeypatch, capfd, "verify", folder) == (0, "equal: 10 files, 1 rows of metrics\n", "")
    (folder / "index.html").unlink()
    (folder / "glossary.html").unlink()
    code, out, err = call(monkeypatch, capfd, "verify", folder)
    assert (code, out) == (1, "file glossary.html gone\nfile index.html gone\n")
    assert err.startswith(f"{folder} has 2 problems:\n  - file glossary.html gone\n  - file index.html gone\n")
    assert err.endswith("Run again, every file came out as it is in the folder.")
    assert call(monkeypatch, capfd, "verify", whole)[0] == 1


@pytest.mark.long
def test_two_months_of_the_demo_company_are_equal(tmp_path):
    settings = yaml.safe_load((ROOT / "params" / "demo.yaml").read_text())
    settings["demo"] |= {"folder": "data", "customers": 300}
    for source in settings["sources"].values():
        source["path"] = source["path"].replace("../data/demo", "data")
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(settings | {"history": str(tmp_path / "out")}))
    months = [run_report(tmp_path / "demo.yaml", month, out=tmp_path / "out").parent for month in ("2025-05", "2025-06")]
    shutil.rmtree(tmp_path / "data")  # it is made again
    for folder in months:
        assert verify(folder).startswith("equal: ")
