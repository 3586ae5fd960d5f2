"""What did not change is not run again: what each notebook rests on, what is reused, and what never is."""

import json
import shutil

import nbformat
import pytest
from test_runner import bytes_below, project

from helpers.cache import APART, Cache, digest
from helpers.contracts import ROOT, ReportError
from helpers.params import load_params
from helpers.runner import NotebookError, run_report

COUNTS = ["# Rows", "import pathlib", "source = pathlib.Path(params_file, '../../../../t.csv').resolve().read_text()",
          "pathlib.Path(run_dir, 'rows').write_text(str(len(source.splitlines())))"]
SHOWS = ["# Shows", "import pathlib, yaml; given = yaml.safe_load(pathlib.Path(params_file).read_text())",
         "pathlib.Path(run_dir, 'shown').write_text(str(given['retention']['cohorts']))"]
OWN = ["# Own", "import pathlib; n = len(pathlib.Path(run_dir, 'rows').read_text())"]
SUMS = ["# Sum", "import pathlib; text = [pathlib.Path(run_dir, name).read_text() for name in ('rows', 'shown')]",
        "pathlib.Path(run_dir, 'metrics.csv').write_text(''.join(text))"]
NAMES = ["01_prep", "02_shows", "03_others", "06_summary"]


def declare(where: dict, **reads: list[str]) -> None:
    for name, sections in reads.items():
        path = where["notebooks"] / f"{name.removeprefix('n')}.ipynb"
        notebook = nbformat.read(path, 4)
        notebook.metadata["ltv_report"] = {"reads": sections}
        nbformat.write(notebook, path)


@pytest.fixture
def where(tmp_path):
    """Four notebooks that say what they read, over a source of two rows."""
    (tmp_path / "t.csv").write_text("a\nb\n")
    found = project(tmp_path, n01_prep=COUNTS, n02_shows=SHOWS, n03_others=["# Others", "1 + 1"], n06_summary=SUMS)
    declare(found, n01_prep=[], n02_shows=["retention"], n03_others=[], n06_summary=[])
    return found


def again(where: dict, **how) -> dict[str, str]:
    """Run, and how each notebook ended."""
    ended = {}
    run_report(**where, **how, progress=lambda name, status, note: ended.update({name: status}))
    return ended


def ran(ended: dict[str, str]) -> list[str]:
    assert set(ended.values()) <= {"done", "reused"}
    return [name for name, status in ended.items() if status == "done"]


def month(where: dict):
    return where["out"] / "toy" / "2025-06"


def test_nothing_changed_nothing_runs_and_the_month_is_not_touched(where):
    assert ran(again(where)) == NAMES
    before = {path: path.stat().st_mtime_ns for path in month(where).rglob("*")}
    assert ran(again(where)) == []
    assert {path: path.stat().st_mtime_ns for path in month(where).rglob("*")} == before


def test_a_setting_runs_the_notebooks_that_read_it_and_what_rests_on_their_files(where):
    again(where)
    assert ran(again(where, overrides=["retention.cohorts=5"])) == ["02_shows", "06_summary"]
    assert (month(where) / "metrics.csv").read_text() == "25"
    assert "5" in (month(where) / "params.yaml").read_text()
    assert ran(again(where, overrides=["retention.cohorts=5", "rfm.window_months=3"])) == []
    assert "window_months: 3" in (month(where) / "params.yaml").read_text()  # published anew all the same
    assert ran(again(where, overrides=["retention.cohorts=5", "policy.grace_days=3"])) == NAMES


def test_a_notebook_is_given_no_setting_that_it_does_not_name(where):
    declare(where, n02_shows=["rfm"])
    again(where, overrides=["retention.cohorts=5"])
    assert (month(where) / "shown").read_text() == "13"


def test_a_source_runs_what_reads_it_and_no_more_where_the_same_comes_of_it(where):
    again(where)
    (where["params_file"].parent / "t.csv").write_text("a\nc\n")
    assert ran(again(where)) == ["01_prep"]
    (where["params_file"].parent / "t.csv").write_text("a\nc\nd\n")
    assert ran(again(where)) == NAMES


def test_a_changed_notebook_runs(where):
    again(where)
    path = where["notebooks"] / "03_others.ipynb"
    path.write_text(path.read_text().replace("1 + 1", "1 + 2"))
    assert ran(again(where)) == ["03_others"]
    assert '"text/plain": [\n       "3"' in (month(where) / "notebooks" / "03_others.ipynb").read_text()


@pytest.mark.parametrize("what", ["versions", "code", "history"])
def test_all_rests_on_code_versions_and_earlier_months(where, monkeypatch, what):
    params, keys = load_params(where["params_file"]), []
    for _ in range(2):
        cache = Cache(where["out"] / "made", params, month(where), "toy/2025-06")
        keys.append([cache.key(where["params_file"], (), given) for given in ({}, {"a": "1"})])
        monkeypatch.setattr(f"helpers.cache.{what}", lambda *_: {"pandas": "99"})
    assert all(one and other and one != other for one, other in zip(*keys, strict=True))


def test_force_runs_all_and_comes_to_the_same(where):
    again(where)
    again(where, overrides=["retention.cohorts=5"])
    reused = bytes_below(month(where))
    assert ran(again(where, overrides=["retention.cohorts=5"], force=True)) == NAMES
    forced = bytes_below(month(where))
    assert {name for name in forced.keys() | reused if forced.get(name) != reused.get(name)} == {"manifest.json", "run.log"}


def test_a_notebook_that_does_not_say_what_it_reads_always_runs(where):
    shutil.copy(where["notebooks"] / "03_others.ipynb", where["notebooks"] / "04_own.ipynb")
    declared = json.loads((where["notebooks"] / "04_own.ipynb").read_text())
    declared["metadata"].pop("ltv_report")
    (where["notebooks"] / "04_own.ipynb").write_text(json.dumps(declared))
    again(where)
    assert ran(again(where)) == ["04_own"]


@pytest.mark.parametrize("file", ["rows", "02_shows.html", "manifest.json", "tables/new.csv", None])
def test_a_month_that_was_touched_is_made_again(where, file):
    again(where)
    good = bytes_below(month(where))
    if file is None:
        shutil.rmtree(month(where))
    else:
        (month(where) / file).parent.mkdir(exist_ok=True)
        with (month(where) / file).open("a") as touched:
            touched.write("x")
    again(where)
    now = bytes_below(month(where))
    assert {name for name in now.keys() | good if now.get(name) != good.get(name)} == {"manifest.json", "run.log"}


def test_what_ran_well_beside_a_failure_is_not_run_again(where):
    path = where["notebooks"] / "02_shows.ipynb"
    good = path.read_text()
    path.write_text(good.replace("str(given", "str(never"))
    with pytest.raises(NotebookError, match="02_shows failed"):
        again(where)
    path.write_text(good)
    assert ran(again(where)) == ["02_shows", "06_summary"]


def test_only_reuses_what_it_needs(where):
    again(where)
    assert ran(again(where, only=["shows"], overrides=["retention.cohorts=5"])) == ["02_shows"]
    assert (month(where) / "shown").read_text() == "13"  # what is published stays
    assert ran(again(where)) == ["02_shows"]  # one state of each is kept


def test_neighbours_do_not_see_each_others_files(tmp_path):
    sees = ["# Sees", "import pathlib, time; pathlib.Path(run_dir, 'a').touch(); time.sleep(1)",
            "print(sorted(path.name for path in pathlib.Path(run_dir).iterdir() if path.name not in ('rows', 'params.yaml')))"]
    (tmp_path / "t.csv").write_text("a\n")
    where = project(tmp_path, n01_prep=COUNTS, n02_one=sees, n03_two=[sees[0], sees[1].replace("'a'", "'b'"), sees[2]])
    run_report(**where)
    for name, own in (("02_one", "a"), ("03_two", "b")):
        cells = json.loads((month(where) / "notebooks" / f"{name}.ipynb").read_text())["cells"]
        assert "".join(cells[4]["outputs"][0]["text"]) == f"['{own}']\n"


@pytest.mark.parametrize(("change", "told"), [
    ({"ltv_report": {"reads": ["retenton"]}}, "metadata.ltv_report.reads.0: Input should be 'commentary', 'ltv_cac'"),
    ({"ltv_report": {"read": ["retention"]}}, "metadata.ltv_report.reads: Field required"),
    ({"ltv_report": "x"}, "metadata.ltv_report: Input should be"), ([], "metadata: Input should be"),
    (None, "metadata: Input should be"),
])  # fmt: skip
def test_a_notebook_whose_metadata_are_damaged_is_refused(where, change, told):
    path = where["notebooks"] / "03_others.ipynb"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps(stored | {"metadata": change}))
    with pytest.raises(ReportError, match="03_others.ipynb: is no notebook of format 4, or its metadata are") as refused:
        again(where)
    assert told in str(refused.value)


def edit(where: dict, name: str, old: str, new: str) -> None:
    path = where["notebooks"] / f"{name}.ipynb"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


GIVEN = "str(given["
SPOILS = "str(print('BROKEN', file=pathlib.Path(run_dir, 'rows').open('a'), flush=True) or given["


@pytest.mark.parametrize("only", [(), ("shows",)])
def test_a_notebook_that_changes_what_it_was_given_fails_and_reaches_nothing_published(where, only):
    again(where)
    again(where, overrides=["retention.cohorts=5"])  # of notebooks that were reused, too
    before = bytes_below(month(where))
    edit(where, "02_shows", GIVEN, SPOILS)
    with pytest.raises(NotebookError, match="02_shows failed in its files: rows was made by another notebook, too"):
        again(where, only=only)
    assert bytes_below(month(where)) == before
    edit(where, "02_shows", SPOILS, GIVEN)
    again(where)
    assert (month(where) / "rows").read_text() == "2"


def test_what_is_done_by_hand_after_only_does_not_reach_what_is_published(where):
    again(where)
    again(where, only=["shows"])
    for path in (where["out"] / ".work" / "toy" / "2025-06").rglob("*"):
        if path.is_file():
            path.write_text("by hand")
    assert "by hand" not in "".join(text.decode() for text in bytes_below(month(where)).values())


def test_two_notebooks_that_make_the_same_file_fail(where):
    edit(where, "03_others", "1 + 1", "import pathlib, time; time.sleep(1); pathlib.Path(run_dir, 'shown').write_text('x')")
    with pytest.raises(NotebookError, match="failed in its files: shown was made by another notebook, too"):
        again(where)


def test_a_disk_without_links_comes_to_the_same(where, monkeypatch):
    def refuse(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("helpers.cache.os.link", refuse)
    again(where)
    assert ran(again(where, overrides=["retention.cohorts=5"])) == ["02_shows", "06_summary"]
    assert "cohorts: 5" in (month(where) / "params.yaml").read_text() and (month(where) / "metrics.csv").read_text() == "25"
    kept = bytes_below(where["out"] / ".work" / "toy" / "2025-06.made")
    assert [name for name in kept if name.endswith("/files/rows")] == ["01_prep/files/rows"]


@pytest.mark.parametrize("trouble", ["folder", "notebook", "page"])
def test_trouble_with_what_is_kept_fails_no_run(where, trouble):
    made = where["out"] / ".work" / "toy" / "2025-06.made"
    made.parent.mkdir(parents=True)
    if trouble == "folder":
        made.write_text("in the way")
    elif trouble == "notebook":
        made.mkdir()
        (made / "01_prep").write_text("in the way")
    else:
        again(where)
        (made / "01_prep" / "x.html").mkdir()
        (where["params_file"].parent / "t.csv").write_text("a\nb\nc\n")
    assert ran(again(where)) == NAMES


def test_a_setting_that_the_environment_fills_is_rested_on(where, monkeypatch):
    terms = json.loads(where["params_file"].read_text())
    terms["sources"]["transactions"]["timezone"] = "${ZONE}"
    where["params_file"].write_text(json.dumps(terms))
    for zone in ("UTC", "Asia/Tokyo"):
        monkeypatch.setenv("ZONE", zone)
        assert "01_prep" in ran(again(where))


def test_code_that_changes_meanwhile_is_neither_published_nor_kept(where):
    edit(where, "02_shows", GIVEN, "str(__import__('os').utime('03_others.ipynb', (2e9, 2e9)) or given[")
    with pytest.raises(ReportError, match="changed while the report was made, which has 1 problem:\n  - 03_others"):
        again(where)
    assert not month(where).exists()


def test_dry_run_tells_what_would_be_reused(where):
    again(where)
    edit(where, "02_shows", "str(", "repr(")
    told = again(where, dry_run=True)
    assert [told[name] for name in NAMES] == ["would reuse", "would run", "would reuse", "would run"]
    assert set(again(where, dry_run=True, force=True).values()) == {"would run"}


def test_a_month_that_stands_is_cleared_up_after_a_failure(where):
    again(where)
    edit(where, "02_shows", "str(given", "str(never")
    with pytest.raises(NotebookError):
        again(where)
    edit(where, "02_shows", "str(never", "str(given")
    assert ran(again(where)) == []
    assert [path.name for path in (where["out"] / ".work" / "toy").iterdir()] == ["2025-06.made"]
    assert not (where["out"] / "toy" / ".failed" / "2025-06").exists()


def test_what_a_notebook_that_is_gone_made_is_forgotten(where):
    again(where)
    (where["notebooks"] / "03_others.ipynb").rename(where["notebooks"] / "04_else.ipynb")
    assert ran(again(where)) == ["04_else"]
    made = where["out"] / ".work" / "toy" / "2025-06.made"
    assert sorted(path.name for path in made.iterdir()) == ["01_prep", "02_shows", "04_else", "06_summary"]


def test_the_log_of_a_reused_notebook_has_its_warnings(where):
    edit(where, "03_others", "1 + 1", "import warnings; warnings.warn('mind the gap')")
    again(where)
    again(where, overrides=["retention.cohorts=5"])
    log = (month(where) / "run.log").read_text()
    assert "03_others: reused" in log and "UserWarning: mind the gap" in log


def test_a_source_below_the_folder_of_the_report_is_found(where):
    inside = where["out"] / "toy" / "t.csv"
    inside.parent.mkdir(parents=True)
    (where["params_file"].parent / "t.csv").rename(inside)
    terms = json.loads(where["params_file"].read_text()) | {"sources": {"transactions": {"path": "out/toy/t.csv"}}}
    where["params_file"].write_text(json.dumps(terms))
    edit(where, "01_prep", "pathlib.Path(params_file, '../../../../t.csv').resolve()",
         "pathlib.Path(params_file).parent.joinpath(__import__('yaml').safe_load(open(params_file))['sources']['transactions']['path'])")
    assert ran(again(where)) == NAMES


def test_rows_of_a_database_are_asked_for_every_time(tmp_path):
    """Nobody can know that they are the same; and no password may be guessed from what is kept."""
    settings = {"report": {"name": "toy", "title": "T", "month": "2025-06"},
                "sources": {"transactions": {"url": "postgresql://me:${WORD}@h/d", "query": "select 1"}}}
    (tmp_path / "p.yaml").write_text(json.dumps(settings))
    with pytest.MonkeyPatch.context() as patch:
        keys = []
        for word in ("one", "two"):
            patch.setenv("WORD", word)
            cache = Cache(tmp_path / "made", load_params(tmp_path / "p.yaml"), tmp_path / "toy" / "2025-06", "toy/2025-06")
            keys.append([cache.key(tmp_path / "p.yaml", (), given) for given in ({}, {"marts/a": "1"})])
    assert keys[0] == keys[1] and keys[0][0] is None and keys[0][1]


def test_the_words_of_a_commentary_are_rested_on_where_they_are_read(tmp_path):
    settings = {"report": {"name": "toy", "title": "T", "month": "2025-06"}, "commentary": ".",
                "sources": {"transactions": {"path": "t.csv"}}}
    (tmp_path / "p.yaml").write_text(json.dumps(settings))
    keys = []
    for words in ("One.", "Two."):
        (tmp_path / "2025-06.md").write_text(words)
        cache = Cache(tmp_path / "made", load_params(tmp_path / "p.yaml"), tmp_path / "toy" / "2025-06", "toy/2025-06")
        keys.append([cache.key(tmp_path / "p.yaml", reads, {"a": "1"}) for reads in (("commentary",), ())])
    assert keys[0][0] != keys[1][0] and keys[0][1] == keys[1][1]


def test_the_six_notebooks_name_every_section_that_they_read(tmp_path):
    """Given all settings, and given those that they name alone, they come to the same in every file."""
    words = tmp_path / "words"
    words.mkdir()
    (words / "2025-06.md").write_text("As planned.\n\n— Ann Lee")
    bare = tmp_path / "notebooks"
    shutil.copytree(ROOT / "notebooks", bare, ignore=shutil.ignore_patterns(".*"))
    for path in bare.glob("*.ipynb"):
        stored = json.loads(path.read_text())
        assert {*stored["metadata"].pop("ltv_report")["reads"]} <= {*APART}
        path.write_text(json.dumps(stored))
    sets = ["demo.customers=250", f"demo.folder={tmp_path / 'data'}", f"commentary={words}", "rfm.window_months=7",
            "history=null", "ltv_cac.holdout_weeks=20", "ltv_cac.bootstrap=50", "ltv_cac.seed=3", "retention.cohorts=5"]
    text = (ROOT / "params" / "demo.yaml").read_text().replace("../data/demo", str(tmp_path / "data"))
    (tmp_path / "p.yaml").write_text(text)
    found = []
    for folder in (ROOT / "notebooks", bare):
        page = run_report(tmp_path / "p.yaml", overrides=sets, out=tmp_path / "out", notebooks=folder, force=True)
        found.append({path: digest({"": text.hex()}) for path, text in bytes_below(page.parent).items()
                      if path.rsplit(".")[-1] in ("csv", "html", "parquet", "md", "png") or "/" not in path})
    differ = {path for path in found[0].keys() | found[1] if found[0].get(path) != found[1].get(path)}
    assert differ == {"manifest.json", "run.log"} and len(found[0]) > 60
