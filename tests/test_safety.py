"""Nothing is lost: two runs at once, kill -9, interruptions, dead and slow kernels, full and forbidden disks, schedulers."""

import errno
import fcntl
import hashlib
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from test_cache import declare
from test_main import call, toy  # noqa: F401
from test_runner import bytes_below, project

from helpers import safety
from helpers.contracts import ROOT, ReportError
from helpers.kernels import judge
from helpers.plan import Notebook
from helpers.runner import NotebookError, run_report
from helpers.sources import read

METRICS = ["# One", "import pathlib; pathlib.Path(run_dir, 'metrics.csv').write_text('metric\\nmrr\\n')"]
SLEEPS = ["# Long", "import os, time\nprint(os.getpid(), os.getppid(), file=open('pid', 'w'), flush=True)", "time.sleep(60)"]
ENTRY = """import functools, pathlib, sys, helpers.runner as r; from helpers.__main__ import main
r.run_report = functools.partial(r.run_report, notebooks=pathlib.Path({notebooks!r}))
main()"""


def start(where: dict, *words: str, **how) -> subprocess.Popen:
    """`ltv-report run` on a toy project, as a process of its own."""
    command = [sys.executable, "-c", ENTRY.format(notebooks=str(where["notebooks"]))]
    command += ["run", str(where["params_file"]), "--out", str(where["out"]), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heeding, **how)


def heeding() -> None:
    """Give a new process Ctrl-C back: a shell that runs the tests in the background takes it from them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def is_whole(month: Path) -> bool:
    """Whether a month holds what its manifest says, and nothing else."""
    outputs = json.loads((month / "manifest.json").read_text())["outputs"]
    found = {name: hashlib.sha256(content).hexdigest() for name, content in bytes_below(month).items()}
    return {name: sha for name, sha in found.items() if name not in ("manifest.json", "run.log")} == outputs


def month_of(folder: Path, name: str, started: str = "2025-07-01T06:05:00+00:00") -> Path:
    """A folder that looks like a published month; the words in it are its name."""
    where = folder / name
    (where / "tables").mkdir(parents=True)
    (where / "metrics.csv").write_text(name)
    (where / "tables" / "a.csv").write_text(name)
    (where / "manifest.json").write_text(json.dumps({"started": started}))
    return where


# Two runs at once


def test_a_second_run_of_the_month_is_refused_at_once_and_told_who_makes_it(tmp_path):
    where = project(tmp_path, n01_prep=["# One"])
    with safety.claim(tmp_path / "out" / ".work" / "toy" / "2025-06.lock"), pytest.raises(ReportError) as refused:
        run_report(**where)
    told = rf"toy 2025-06 is being made by process {os.getpid()} on \S+ since \d{{4}}-\S+ \S+ UTC\nWait until it has ended"
    assert re.match(told, str(refused.value))
    assert not (tmp_path / "out" / "toy").exists()


def test_other_months_are_free_and_a_lock_is_cleared_away(tmp_path):
    with safety.claim(tmp_path / "2025-06.lock"), safety.claim(tmp_path / "2025-05.lock"):
        assert len(list(tmp_path.iterdir())) == 2
    with safety.claim(tmp_path / "2025-06.lock"):
        pass
    assert not list(tmp_path.iterdir())


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path):
    lock = tmp_path / "2025-06.lock"
    program = "import os, pathlib, sys, helpers.safety as s\nwith s.claim(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", program, str(lock)]).returncode == -9
    assert lock.exists()
    with safety.claim(lock):
        assert lock.read_text().startswith(f"process {os.getpid()} on ")


def test_a_lock_whose_file_was_just_taken_away_is_made_anew(tmp_path, monkeypatch):
    """Between opening and locking it, the run before may end; a lock on a file without a name would hold nobody off."""
    lock, take, calls = tmp_path / "2025-06.lock", fcntl.flock, []

    def late(file, how):
        if not calls:
            lock.unlink()
        calls.append(how)
        return take(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with safety.claim(lock):
        assert lock.exists() and len(calls) == 2


def test_a_month_that_a_crash_left_aside_comes_back_unless_its_own_run_is_at_it(tmp_path):
    report, work = tmp_path / "toy", tmp_path / ".work" / "toy"
    for month in (".2025-04.previous", ".2025-05.previous", ".2025-06.previous", "2025-06", ".2025-07.previous"):
        month_of(report, month)
    with safety.claim(work / "2025-04.lock"), safety.guard(report / "2025-07", work / "2025-07"):
        assert sorted(path.name for path in report.iterdir()) == [".2025-04.previous", "2025-05", "2025-06", "2025-07"]
    assert (report / "2025-05" / "metrics.csv").read_text() == ".2025-05.previous"  # its successor never came
    assert (report / "2025-06" / "metrics.csv").read_text() == "2025-06"  # its successor did


# kill -9


def die_at(step: int) -> None:
    """End this process by kill -9 before the so manieth thing that it does to the disk, from 0."""
    seen, changes = iter(range(1000)), ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")
    sys.addaudithook(lambda name, _: name in changes and next(seen) == step and os.kill(os.getpid(), 9))


@pytest.mark.parametrize("at_once", [True, False], ids=["exchange", "rename"])
def test_a_month_is_whole_wherever_its_replacement_is_killed(tmp_path, monkeypatch, at_once):
    """At each step that changes a folder. Where the system exchanges folders, whole at any moment; else when it is mended."""
    if not at_once:
        monkeypatch.setattr(safety, "exchange", lambda *_: False)
    states = []
    for step in range(100):
        report = tmp_path / str(step)
        published, new = month_of(report, "2025-06"), month_of(report, "new")
        if not (pid := os.fork()):
            die_at(step)
            safety.replace(published, new)
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if ended and not at_once:
            safety.restore(published)
        content = {name: text.decode() for name, text in bytes_below(published).items() if name != "manifest.json"}
        assert content in [dict.fromkeys(("metrics.csv", "tables/a.csv"), name) for name in ("2025-06", "new")]
        states.append(content["metrics.csv"])
        if states[-1] == "new":
            assert (report / "history" / "2025-06" / "2025-07-01T060500Z.metrics.csv").read_text() == "2025-06"
        if ended == 0:
            break
    assert states == sorted(states) and set(states) == {"2025-06", "new"} and len(states) > 10
    assert sorted(path.name for path in report.iterdir()) == ["2025-06", "history"]


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.long)])
def test_a_run_killed_at_a_random_moment_leaves_the_month_whole_and_the_next_succeeds(tmp_path, kills):
    """In the long test the next run follows each kill; in the short one six kills in a row. What is kept for later runs is
    killed along, and what the next run makes of it is what a run of everything makes."""
    copies = ["# One", "import pathlib; text = pathlib.Path(params_file, '../../../../t.csv').resolve().read_text()",
              "pathlib.Path(run_dir, 'metrics.csv').write_text('metric\\n' + text)"]
    where = project(tmp_path, n01_prep=copies, n02_summary=["# Two", "import time; time.sleep(0.5)", "print(run_dir)"])
    declare(where, n01_prep=[], n02_summary=[])
    source, begun = tmp_path / "t.csv", time.monotonic()
    source.write_text("-1")
    assert start(where).wait(300) == 0
    took, chance, month = time.monotonic() - begun, random.Random(kills), where["out"] / "toy" / "2025-06"
    for kill in range(kills):
        source.write_text(str(kill))  # else nothing would be run
        process = start(where)
        time.sleep(chance.uniform(0, took))
        process.kill()
        process.communicate()
        assert is_whole(month), f"kill {kill}"
        if kills > 10 or kill == kills - 1:
            process = start(where)
            assert process.wait(300) == 0, process.stderr.read()
            assert is_whole(month) and (month / "metrics.csv").read_text() == f"metric\n{kill}"
            assert not [path for path in (where["out"] / ".work" / "toy").iterdir() if path.name != "2025-06.made"]
            assert {path.name for path in month.parent.iterdir()} == {"2025-06", "history"}
    reused = bytes_below(month)
    run_report(**where, force=True)
    assert {name for name, text in bytes_below(month).items() if reused[name] != text} <= {"manifest.json", "run.log"}


# Interruptions


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_exits_130_says_what_is_kept_and_leaves_no_process(tmp_path, number):
    where = project(tmp_path, n01_prep=SLEEPS)
    month = month_of(where["out"] / "toy", "2025-06")
    before, process, file = bytes_below(month), start(where), where["notebooks"] / "pid"
    wait_for(lambda: file.exists() and file.read_text().strip())
    process.send_signal(number)
    assert process.wait(15) == 130
    assert process.stderr.read() == f"Interrupted. Nothing was published; {month} is as it was.\n"
    assert bytes_below(month) == before
    wait_for(lambda: not any(alive(int(pid)) for pid in file.read_text().split()))
    assert [path.name for path in (where["out"] / ".work" / "toy").iterdir() if path.suffix == ".lock"] == []


def test_an_interruption_after_the_month_was_published_says_so(tmp_path):
    published, new = month_of(tmp_path, "2025-06"), month_of(tmp_path, "new")
    with pytest.raises(KeyboardInterrupt) as told, safety.guard(published, tmp_path / ".work" / "2025-06"):
        safety.replace(published, new)
        raise KeyboardInterrupt
    assert str(told.value) == f"Interrupted. The new month was published before: {published}."


# Kernels that end, and such that do not


def test_how_a_kernel_ended_is_told_by_its_signal():
    assert "signal 9 (SIGKILL), most often because memory ran out" in safety.ended(-9)
    assert safety.ended(-11) == "the system ended the kernel by signal 11 (SIGSEGV)"
    assert safety.ended(3) == "the kernel ended by itself with exit code 3"


def test_a_notebook_that_takes_too_long_fails_and_the_others_finish(tmp_path):
    where, last = project(tmp_path, n01_prep=["# One"], n02_slow=SLEEPS, n03_quick=["# Three", "1"]), {}
    with pytest.raises(NotebookError) as told:
        run_report(**where, timeout=0.15, progress=lambda name, status, note: last.update({name: status}))
    assert "02_slow failed in cell 4 under 'Long': TimeoutError: the notebook took longer than 0.15 minutes." in str(told.value)
    assert "--timeout" in str(told.value)
    assert last == {"01_prep": "done", "02_slow": "failed", "03_quick": "done"}


# What the disk refuses


@pytest.mark.parametrize("name", ["out", "out/toy", "out/toy/2025-06", "out/.work"])
def test_a_file_where_a_folder_is_needed_is_told_before_anything_runs(tmp_path, name):
    where = project(tmp_path, n01_prep=["# One"])
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(ReportError, match=re.escape(f"{tmp_path / name} is a file, and a folder is needed there")):
        run_report(**where)
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no file system that takes no folder from anybody")
def test_a_file_system_that_takes_no_folder_even_from_an_administrator_is_told(tmp_path):
    with pytest.raises(ReportError, match="/proc cannot be written to"):
        run_report(**project(tmp_path, n01_prep=["# One"]) | {"out": Path("/proc/reports")})


def test_a_folder_that_cannot_be_written_to_is_told_before_anything_runs(tmp_path, monkeypatch):
    where = project(tmp_path, n01_prep=["# One"])
    def refused(**where):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    monkeypatch.setattr(safety, "TemporaryDirectory", refused)
    with pytest.raises(ReportError, match="cannot be written to: Read-only file system") as told:
        run_report(**where)
    assert "--out" in str(told.value) and not where["out"].exists()


@pytest.mark.parametrize(("step", "number", "words"), [
    ("kernels.execute.execute_notebook", errno.ENOSPC, "Free space"),  # what is written of the notebook then is cut off
    ("rendering.PageExporter.from_notebook_node", errno.ENOSPC, "Free space"),
    ("runner.write_manifest", errno.EROFS, "Let the user"),
])  # fmt: skip
def test_what_the_disk_refuses_in_a_run_is_told_with_place_and_remedy(tmp_path, monkeypatch, step, number, words):
    where, month = project(tmp_path, n01_prep=["# One"]), month_of(tmp_path / "out" / "toy", "2025-06")
    before = bytes_below(month)

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number), "/the/place")

    monkeypatch.setattr(f"helpers.{step}", refuse)
    with pytest.raises(ReportError) as told:
        run_report(**where)
    assert str(told.value).startswith(f"/the/place has 1 problem:\n  - {os.strerror(number)}\n{words}")
    assert str(told.value).endswith(f"Nothing was published; {month} is as it was.")
    assert bytes_below(month) == before


def test_an_error_without_a_remedy_is_not_hidden(tmp_path):
    with pytest.raises(ConnectionResetError), safety.guard(tmp_path / "2025-06", tmp_path / ".work" / "2025-06"):
        raise ConnectionResetError(errno.ECONNRESET, "reset")


@pytest.mark.parametrize(("words", "remedy"), [
    ("[Errno 28] No space left on device: 'x.parquet'", safety.SPACE),
    ("failed to offload data block. This limit was set by the 'max_temp_directory_size' setting.", safety.SPACE),
    ("[Errno 13] Permission denied: 'orders.csv'", safety.RIGHTS),
])  # fmt: skip
def test_a_cell_that_the_disk_refuses_is_the_users_to_mend(words, remedy):
    failed = nbformat.v4.new_output("error", ename="OSError", evalue=words, traceback=[])
    cells = [nbformat.v4.new_code_cell("a = 1", execution_count=1, outputs=[failed])]
    notebook = Notebook(Path("02_a.ipynb"), "02_a", "02_a.html", "a", executed=nbformat.v4.new_notebook(cells=cells))
    judge(notebook, None)
    assert (notebook.ename, notebook.error) == ("ReportError", f"02_a, cell 1: OSError: {words}\n{remedy}")


def test_a_source_that_may_not_be_read_is_told(make, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(read, "fingerprint", refuse)
    with pytest.raises(ReportError, match="transactions.csv: permission denied: let the user who runs the report read it"):
        make("2025-06", transactions=[{"customer_id": "a", "transacted_at": "2025-06-01", "amount": 1}])


# History


def test_metrics_of_a_replaced_month_are_kept_under_the_time_of_their_run(tmp_path):
    published, kept = month_of(tmp_path, "2025-06", "2025-07-01T08:05:00+02:00"), tmp_path / "history" / "2025-06"
    safety.replace(published, month_of(tmp_path, "second", "2025-07-02T06:05:00+00:00"))
    safety.replace(published, month_of(tmp_path, "third"))
    assert bytes_below(kept) == {"2025-07-01T060500Z.metrics.csv": b"2025-06", "2025-07-02T060500Z.metrics.csv": b"second"}
    assert (published / "metrics.csv").read_text() == "third"


def test_metrics_in_history_are_never_overwritten(tmp_path):
    published = month_of(tmp_path, "2025-06")
    safety.keep_metrics(published)
    (published / "metrics.csv").write_text("other")
    safety.keep_metrics(published)
    assert bytes_below(tmp_path / "history") == {"2025-06/2025-07-01T060500Z.metrics.csv": b"2025-06"}


def test_metrics_that_cannot_be_kept_leave_the_month_and_no_half_file(tmp_path, monkeypatch):
    def full(_, target):
        target.write_text("ha")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(safety.shutil, "copyfile", full)
    published, new = month_of(tmp_path, "2025-06"), month_of(tmp_path, "new")
    with pytest.raises(OSError, match="No space"):
        safety.replace(published, new)
    assert (published / "metrics.csv").read_text() == "2025-06"
    assert not list(tmp_path.glob("history/*/*.metrics.csv"))


def test_metrics_of_a_month_with_a_damaged_manifest_are_kept_under_their_files_time(tmp_path):
    published = month_of(tmp_path, "2025-06")
    (published / "manifest.json").write_text("{")
    os.utime(published / "metrics.csv", (1751349900, 1751349900))  # 2025-07-01 06:05 UTC
    safety.keep_metrics(published)
    assert list(bytes_below(tmp_path / "history")) == ["2025-06/2025-07-01T060500Z.metrics.csv"]


# Schedulers


def test_json_prints_one_object_a_line_and_the_published_path_last(toy, monkeypatch, capfd):  # noqa: F811
    folder, words = toy
    code, out, err = call(monkeypatch, capfd, *words, "--json")
    events, index = [json.loads(line) for line in out.splitlines()], str(folder / "out" / "toy" / "2025-06" / "index.html")
    assert (code, err) == (0, "")
    assert [(e["notebook"], e["status"]) for e in events if e["event"] == "notebook"] == [
        ("01_prep", "waiting"), ("02_a", "waiting"),
        ("01_prep", "running"), ("01_prep", "done"), ("02_a", "running"), ("02_a", "done"),
    ]  # fmt: skip
    assert all((e["seconds"] is not None) == (e["status"] == "done") for e in events if e["event"] == "notebook")
    assert {"event": "page", "notebook": "index", "page": index} in events
    assert events[-1] == {"event": "end", "exit_code": 0, "error": None, "page": index}


def test_json_ends_with_the_error_and_the_exit_code(toy, monkeypatch, capfd):  # noqa: F811
    _, words = toy
    code, out, err = call(monkeypatch, capfd, *words, "--json", "--set", "policy.no_such=1")
    assert code == 1 and "policy.no_such: not a known setting" in err
    assert json.loads(out) == {"event": "end", "exit_code": 1, "error": err.strip(), "page": None}


@pytest.mark.skipif(sys.platform != "linux", reason="its date is GNU's")
def test_the_cron_line_of_the_docs_runs_in_a_bare_environment(tmp_path):
    """As cron does it: sh, its short PATH, no HOME of ours; `%` is cron's own sign for a line's end."""
    where = project(tmp_path, n01_prep=["# One"])
    line = re.search(r"```cron\n(?:#.*\n)*(.+)\n```", (ROOT / "docs" / "schedulers.md").read_text()).group(1)
    assert not re.search(r"(?<!\\)%", line)
    command = line.split(None, 5)[5].replace("\\%", "%").replace("/srv/ltv-report", str(tmp_path))
    command = command.replace("params/orders.yaml", f"toy.yaml --out {shlex.quote(str(where['out']))}")
    script = tmp_path / ".venv" / "bin" / "ltv-report"
    script.parent.mkdir(parents=True)
    entry = ENTRY.format(notebooks=str(where["notebooks"]))
    script.write_text(f"#!{sys.executable}\nimport sys; sys.path.insert(0, {str(ROOT)!r})\n{entry}\n")
    script.chmod(0o755)
    (tmp_path / "outputs").mkdir()
    bare = {"PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "LOGNAME": "reports"}
    done = subprocess.run(["/bin/sh", "-c", command], env=bare, cwd="/", capture_output=True, text=True)
    log = (tmp_path / "outputs" / "cron.log").read_text()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), log
    end = json.loads(log.splitlines()[-1])
    assert end["exit_code"] == 0 and Path(end["page"]).exists()
    last = subprocess.run(["date", "-d", "-1 month", "+%Y-%m"], capture_output=True, text=True).stdout.strip()
    assert Path(end["page"]).parent.name == last
