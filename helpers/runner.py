"""From notebooks to a published report: papermill runs them, nbconvert renders them, a manifest says what was made."""

import asyncio
import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from threading import Timer
from typing import IO

# nbformat reaches this optional module through jsonschema: 1.7 s of grammars at import, only to check URIs.
sys.modules.setdefault("rfc3987_syntax", None)

import nbformat  # noqa: E402
from jupyter_client import AsyncKernelManager  # noqa: E402
from jupyter_client.provisioning import LocalProvisioner  # noqa: E402
from nbclient.exceptions import DeadKernelError  # noqa: E402
from nbconvert import HTMLExporter  # noqa: E402
from papermill import clientwrap, engines, execute  # noqa: E402

from helpers.contracts import BOOKS, ROOT, SPILL, ReportError, definitions, read_yaml  # noqa: E402
from helpers.params import Params, load_params, nearest, parse, to_yaml  # noqa: E402
from helpers.pdf import find_browser, print_pdf  # noqa: E402
from helpers.safety import ended, guard, refused, remedy, replace  # noqa: E402
from helpers.zygote import SINGLE, Zygote  # noqa: E402

HERE = Path(__file__).parent
# What a run reads of which month before.
HISTORY = (("columns", 1), ("decisions", 1), ("definitions", 1), ("metrics", 1), ("metrics", 12), ("volume", 1),
           *(("forecast_12m", months) for months in range(1, 13)))
PARAMETERS = "month, params_file, run_dir"
IMPORTS = "from helpers import charts, marts, pages\nfrom helpers.metrics import ltv_cac"
PACKAGES = ("ltv-report", "duckdb", "matplotlib", "nbconvert", "numpy", "pandas", "papermill", "scipy", "seaborn")


class NotebookError(Exception):
    """A notebook failed for a reason that is not the user's to fix; nothing was published."""


@dataclass
class Notebook:
    """A notebook of a run. `page`: its file name; `at`: the cell last begun; `noise`: what its kernel says;
    `ename`, `error`: how it failed."""

    path: Path
    name: str
    page: str
    title: str
    status: str = "waiting"
    seconds: float = 0.0
    at: int = 0
    kernel: AsyncKernelManager | None = None
    noise: IO[bytes] | None = None
    executed: nbformat.NotebookNode | None = None
    ename: str = ""
    error: str = ""


class Run:
    """A run's folders, log and kernels."""

    def __init__(
        self, params: Params, out: Path, progress: Callable[[str, str, str], object], zygote: Zygote | None, timeout: float,
    ) -> None:
        name, month = params.report.name, params.report.month
        self.params, self.out, self.progress, self.started = params, out, progress, datetime.now(UTC)
        self.published, self.failed = out / name / month, out / name / ".failed" / month
        self.named = self.published  # the folder whose paths are written
        self.work, self.settings = out / ".work" / name / month, out / ".work" / name / f"{month}.yaml"
        self.zygote, self.kernels, self.timeout = zygote, [], timeout
        self.closed = False

    def log(self, notebook: Notebook, text: str) -> None:
        with (self.work / "run.log").open("a", encoding="utf-8") as file:
            for line in text.splitlines():
                file.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {notebook.name}: {line}\n")

    def tell(self, notebook: Notebook, status: str, note: str = "") -> None:
        notebook.status = status
        self.log(notebook, f"{status} {note} {notebook.error}")
        self.progress(notebook.name, status, note)

    def close(self) -> None:
        """End the kernels still at work: they sit in sessions of their own, where Ctrl-C does not reach them."""
        self.closed = True
        for kernel in self.kernels:
            if process := getattr(kernel.provisioner, "process", None):
                process.kill()
        self.zygote.close()


def run_report(
    params_file: str | Path, month: str | None = None, only: Sequence[str] = (), overrides: Sequence[str] = (),
    jobs: int = 2, force: bool = False, dry_run: bool = False, out: str | Path | None = None, pdf: bool = False,
    timeout: float = 60, progress: Callable[[str, str, str], object] = lambda name, status, note: None,
    notebooks: Path = ROOT / "notebooks", zygote: Zygote | None = None,
    stands_for: Path | None = None,
) -> Path:
    """Run the notebooks of one report and month, and publish their pages whole or not at all.

    month, overrides : as for `load_params`. only : notebooks to run, with what they need; publishes nothing.
    jobs : notebooks side by side. force : every run runs everything, so far. out : a folder; None: ROOT/outputs.
    pdf : also print all pages into one report.pdf, with Chromium.
    timeout : minutes that a notebook may take.
    progress : called from several threads with a notebook's name, its status and a note.
    zygote : of whom kernels are forked, if it was started ahead. stands_for : a published folder that this run is to be
    held against: the paths that it writes are those of a run into that folder.
    Returns the last page: index.html. Raises ReportError for what the user can fix, NotebookError for other failures.
    """
    run = Run(load_params(params_file, month, overrides), (ROOT / (out or "outputs")).resolve(), progress, zygote, timeout)
    run.named = stands_for or run.published
    if pdf:
        find_browser()  # before anything is run: it may be missing
    stages = plan(notebooks, only)
    chosen = [notebook for stage in stages for notebook in stage]
    for notebook in chosen:
        progress(notebook.name, "would run" if dry_run else "waiting", "")
    page = (run.work if only else run.published) / chosen[-1].page
    if dry_run:
        return page
    with guard(run.published, run.work):
        make(run, stages, jobs, bool(only), pdf)
    return page


def make(run: Run, stages: list[list[Notebook]], jobs: int, only: bool, pdf: bool) -> None:
    """Execute, render and account for the notebooks; publish them all, or give up on all. only : publish nothing."""
    chosen = [notebook for stage in stages for notebook in stage]
    shutil.rmtree(run.work, ignore_errors=True)
    (run.work / "notebooks").mkdir(parents=True)
    for file, folder in ((run.settings, run.published), (run.work / "params.yaml", run.named)):
        file.write_text(to_yaml(run.params, folder), encoding="utf-8")
    run.zygote = run.zygote or Zygote()
    execute_all(run, stages, jobs)
    for folder in run.work.glob(f"{SPILL}*"):  # a kernel that is ended has no time to clear up
        shutil.rmtree(folder, ignore_errors=True)
    render(run, chosen)
    if pdf and not any(notebook.error for notebook in chosen):
        pages = sorted(run.work.glob("*.html"), key=lambda path: (path.stem != "index", path.stem))
        print_pdf(pages, run.work / "report.pdf", run.params.report.title, run.params.as_of)
    if not only:
        shutil.rmtree(run.work / "parts", ignore_errors=True)  # what the pages handed to the summary
    write_manifest(run, chosen)
    if failed := [notebook for notebook in chosen if notebook.error]:
        give_up(run, failed, kept=run.work if only else run.failed)
    if not only:
        replace(run.published, run.work)
        shutil.rmtree(run.failed, ignore_errors=True)  # mended
        run.settings.unlink()


def plan(folder: Path, only: Sequence[str]) -> list[list[Notebook]]:
    """Stages of notebooks that may run side by side: 01_…, the others, …_summary. Refuses unusable notebooks."""
    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb"), key=lambda path: (path.stem.endswith("_summary"), path.stem))
    problems = [f"{path.name}: {problem}" for path in paths if (problem := unusable(path))]
    if not paths or problems:
        raise ReportError(str(folder), problems or ["no notebook is named like 01_data_prep.ipynb"])
    stems = {name: path.stem for path in paths for name in (path.stem[3:], path.stem)}
    if unknown := [f"'{name}' is not a notebook{nearest(name, stems)}" for name in only if name not in stems]:
        raise ReportError("--only", unknown)
    wanted = {stems[name] for name in only or stems}
    stages: list[list[Notebook]] = [[], [], []]
    for path in paths:
        stage = 2 if path.stem.endswith("_summary") else 0 if path.stem.startswith("01_") else 1
        if stage == 0 or path.stem in wanted or any(stem.endswith("_summary") for stem in wanted):
            page = "index.html" if path == paths[-1] else f"{path.stem}.html"
            stages[stage].append(Notebook(path, path.stem, page, title=path.stem[3:].replace("_", " ")))
    return [stage for stage in stages if stage]


def unusable(path: Path) -> str:
    """Why papermill could not pass the parameters to this notebook; it would only warn, and run on the defaults."""
    cells = nbformat.read(path, as_version=4).cells
    tagged = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    found = " and ".join(", ".join(sorted(re.findall(r"^(\w+) *[:=]", text, re.M))) or "nothing" for text in tagged)
    rule = f"needs exactly one cell tagged 'parameters', which sets {PARAMETERS}"
    return "" if found == PARAMETERS else f"{rule} (found {found or 'none'})"


class Provisioner(LocalProvisioner):
    """Starts a kernel by a fork of the run's zygote; on any trouble an ordinary one, as jupyter_client does, and says why."""

    zygote: Zygote
    trouble = ""

    async def launch_kernel(self, cmd: list[str], **kwargs) -> dict:
        try:
            self.process = self.zygote.fork(cmd[cmd.index("-f") + 1], kwargs["cwd"], kwargs["stdout"].fileno())
        except (OSError, ValueError) as error:
            self.trouble = f"an ordinary kernel, for the zygote cannot serve: {error}"
            return await super().launch_kernel(cmd, **kwargs)
        self.pid = self.pgid = self.process.pid
        return self.connection_info


def warm(run: Run, notebook: Notebook) -> None:
    """Start a notebook's kernel and let it import what the notebooks import, early where a processor has time for it."""
    if run.closed:
        raise InterruptedError("the run was stopped")
    notebook.kernel, notebook.noise = AsyncKernelManager(kernel_name="python3"), tempfile.TemporaryFile()
    how = {"kernel_id": notebook.name, "kernel_spec": notebook.kernel.kernel_spec, "parent": notebook.kernel}
    notebook.kernel.provisioner = Provisioner(**how)
    notebook.kernel.provisioner.zygote = run.zygote
    streams = dict.fromkeys(("stdout", "stderr"), notebook.noise)
    asyncio.run(notebook.kernel.start_kernel(cwd=str(notebook.path.parent), env=os.environ | SINGLE, **streams))
    run.log(notebook, notebook.kernel.provisioner.trouble)
    run.kernels.append(notebook.kernel)
    client = notebook.kernel.blocking_client()
    client.start_channels(iopub=False, stdin=False, hb=False, control=False)
    client.execute(IMPORTS, silent=True, store_history=False)  # not waited for: the first cell will be
    client.stop_channels()


class Engine(engines.NBClientEngine):
    """papermill's engine, on a kernel of the run, whose noise is kept off the terminal."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, *, run, notebook, **_) -> None:
        def on_cell_start(cell: nbformat.NotebookNode, cell_index: int) -> None:
            if run.closed:
                raise InterruptedError("the run was stopped")
            notebook.at = cell_index
            run.progress(notebook.name, "running", f"cell {cell_index + 1} of {len(nb_man.nb.cells)}")

        how = {"on_cell_start": on_cell_start, "coalesce_streams": True}  # text arrives in pieces cut by chance
        client = clientwrap.PapermillNotebookClient(nb_man, km=notebook.kernel, kernel_name=kernel_name, **how)
        process = notebook.kernel.provisioner.process
        alarm = Timer(run.timeout * 60, process.kill)
        alarm.start()
        try:
            client.execute()
        except RuntimeError as error:  # so nbclient and jupyter_client say that a kernel has gone
            if (code := process.poll()) is None or run.closed:
                raise
            if alarm.finished.is_set():
                raise TimeoutError(f"the notebook took longer than {run.timeout:g} minutes. Look what is slow in this "
                                   "cell, or allow more with --timeout.") from error
            raise DeadKernelError(ended(code)) from error
        finally:
            alarm.cancel()
            if client.kc:
                client.kc.stop_channels()
            asyncio.run(notebook.kernel.shutdown_kernel(now=True))


def execute_all(run: Run, stages: list[list[Notebook]], jobs: int) -> None:
    """Run the stages in turn; a failure skips the later stages, not its neighbours."""
    engines.papermill_engines.register("report", Engine)
    with ThreadPoolExecutor(jobs) as pool, closing(run):
        for stage, later in zip(stages, [*stages[1:], []], strict=True):
            failed = [notebook.name for earlier in stages for notebook in earlier if notebook.error]
            for notebook in stage if failed else []:
                run.tell(notebook, "skipped", f"needs {', '.join(failed)}")
            tasks = [(run_notebook, n) for n in stage] + [(warm, n) for n in later[:jobs]]
            for task in [pool.submit(work, run, notebook) for work, notebook in ([] if failed else tasks)]:
                task.result()


def run_notebook(run: Run, notebook: Notebook) -> None:
    """Execute a notebook, judge it, and write its canonical form."""
    run.tell(notebook, "running")
    begun, crash, target = datetime.now(UTC), None, run.work / "notebooks" / notebook.path.name
    given = {"params_file": str(run.settings), "month": run.params.report.month, "run_dir": str(run.work)}
    how = {"engine_name": "report", "kernel_name": "python3", "language": "python", "progress_bar": False}
    try:
        if notebook.kernel is None:
            warm(run, notebook)
        execute.execute_notebook(notebook.path, target, given, **how, run=run, notebook=notebook)
    except Exception as error:  # whatever ended it, the cells say where
        if refused(error):
            raise  # they may be half written
        crash = error
    with notebook.noise as noise:
        noise.seek(0)
        run.log(notebook, noise.read().decode(errors="replace"))
    notebook.executed = execute.remove_error_markers(nbformat.read(target if target.exists() else notebook.path, 4))
    judge(notebook, crash)
    notebook.executed = canonical(run, notebook)
    nbformat.write(notebook.executed, target)
    notebook.seconds = round((datetime.now(UTC) - begun).total_seconds(), 2)
    run.tell(notebook, "failed" if notebook.error else "done", f"{notebook.seconds:.1f} s")


def judge(notebook: Notebook, crash: Exception | None) -> None:
    """Find the title and the error; papermill's own statuses call cells of killed and left kernels completed."""
    heading, number = "", 0  # the number its author sees: the injected cell does not count
    told = (type(crash).__name__, str(crash)) if crash else ("NotRun", "the cell never ran")
    for index, cell in enumerate(notebook.executed.cells):
        number += "injected-parameters" not in cell.metadata.get("tags", [])
        for level, text in re.findall(r"^(#+) +(.+)$", cell.source, re.M) if cell.cell_type == "markdown" else []:
            notebook.title, heading = text if level == "#" and not heading else notebook.title, text
        errors = [(output.ename, output.evalue) for output in cell.get("outputs", []) if output.output_type == "error"]
        never_ran = cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None
        if errors or never_ran or (crash and index == notebook.at):
            notebook.ename, evalue = (errors or [told])[0]
            where = f"cell {number} under '{heading}'" if heading else f"cell {number}"
            notebook.error = evalue if notebook.ename == "ReportError" else f"{where}: {notebook.ename}: {evalue}"
            if hint := remedy(notebook.error):  # the user's to mend
                notebook.ename, notebook.error = "ReportError", f"{notebook.name}, {notebook.error}\n{hint}"
            return


def canonical(run: Run, notebook: Notebook) -> nbformat.NotebookNode:
    """The executed notebook without times, chance and this machine's paths: two runs are then equal."""
    out = run.named.parents[1]
    folder = run.named.relative_to(ROOT if out.is_relative_to(ROOT) else out).as_posix()
    notebook.executed.metadata.pop("papermill", None)
    for number, cell in enumerate(notebook.executed.cells, 1):
        cell.id = f"cell-{number}"
        cell.metadata = {k: v for k, v in cell.metadata.items() if v and k not in ("papermill", "execution")}
        if cell.cell_type == "code":  # warnings name files and processes of this machine: they go to the run log
            run.log(notebook, "".join(output.text for output in cell.outputs if output.get("name") == "stderr"))
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for data in [output.data for output in cell.get("outputs", []) if "data" in output]:
            if any(kind.startswith(("text/", "image/")) for kind in data if kind != "text/plain"):
                data["text/plain"] = ""
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", nbformat.writes(notebook.executed))
    return nbformat.reads(text.replace(str(run.settings), f"{folder}/params.yaml").replace(str(run.work), folder), 4)


def page_exporter() -> HTMLExporter:
    """Notebooks to self-contained pages in the look of the report."""
    return HTMLExporter(template_name="template", extra_template_basedirs=[str(HERE)], exclude_anchor_links=True)


def render(run: Run, notebooks: list[Notebook]) -> None:
    """Write a page for each notebook that ran, and the glossary; one that cannot be rendered has failed."""
    ran = [notebook for notebook in notebooks if notebook.executed]
    exporter = page_exporter()
    first = sorted(ran, key=lambda notebook: notebook.page != "index.html")
    links = [{"name": n.name, "href": n.page, "title": n.title} for n in first]
    report = run.params.report.model_dump() | standing(run) | {
        "month_label": datetime.strptime(run.params.report.month, "%Y-%m").strftime("%B %Y"),
        "as_of": run.params.as_of.isoformat(),
        "pages": [*links, {"name": "glossary", "href": "glossary.html", "title": "Glossary"}],
        "footer": {"Settings": "params.yaml", "Inputs, versions and checksums": "manifest.json"},
        "made_with": f"ltv-report {version('ltv-report')}, definitions {sha256(HERE / 'definitions.yaml')[:12]}",
    }
    for notebook in ran:
        context = report | {"page": notebook.name, "page_title": notebook.title}
        try:
            html, _ = exporter.from_notebook_node(notebook.executed, {"report": context})
            (run.work / notebook.page).write_text(html, encoding="utf-8")
        except Exception as error:  # nbconvert, jinja2 and the template raise many kinds; an earlier failure counts
            if refused(error):
                raise
            notebook.ename = notebook.ename or type(error).__name__
            notebook.error = notebook.error or f"its page: {type(error).__name__}: {error}"
            run.tell(notebook, "failed", "without a page")
    if any(notebook.error for notebook in ran):
        return  # what cannot be rendered would fail here again, and out of the report
    rules = {rule: terms | run.params.rules.get(rule, {}) for rule, terms in read_yaml("rules.yaml").items()}
    context = report | {"page": "glossary", "page_title": "Glossary", "glossary": {"metrics": definitions(), "rules": rules}}
    html, _ = exporter.from_notebook_node(nbformat.v4.new_notebook(), {"report": context})
    (run.work / "glossary.html").write_text(html, encoding="utf-8")


def standing(run: Run) -> dict:
    """For the header: the day of the newest row, and badges that say how far the month can be trusted; of what was made."""
    inputs, found, made = (table(run.work / name) for name in ("tables/inputs.csv", "verdicts.csv", "tables/checks.csv"))
    newest = max((row.get("newest", "")[:10] for row in inputs if row["table"] in BOOKS), default="")
    badges = []
    if newest and (age := (run.params.as_of - date.fromisoformat(newest)).days) > run.params.policy.max_staleness_days:
        badges.append({"kind": "act", "text": f"Newest row {age} days before the month's end"})
    if made:
        passed = sum(row["passed"] == "True" for row in made)
        badges.append({"kind": "good" if passed == len(made) else "act", "text": f"{passed} of {len(made)} checks passed"})
    tied = [row["passed"] == "True" for row in table(run.work / "tables" / "reconciliation.csv") if row["passed"]]
    if inputs and not tied:
        badges.append({"kind": "watch", "text": "Not tied to a ledger"})
    elif tied:
        text = "Ties to the ledger" if all(tied) else f"{tied.count(False)} of {len(tied)} ledger figures differ"
        badges.append({"kind": "good" if all(tied) else "act", "text": text})
    ready = [row["status"] for row in table(run.work / "tables" / "metric_readiness.csv")]
    if ready:
        badges.append({"kind": "", "text": f"{ready.count('ready')} of {len(ready)} metrics ready"})
    if any(row["provisional"] == "True" for row in found):
        badges.append({"kind": "act", "text": "Verdicts are provisional"})
    return {"newest": newest, "badges": badges}


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV that a notebook left; none where it did not get so far."""
    with path.open(encoding="utf-8", newline="") if path.exists() else nullcontext([]) as lines:
        return list(csv.DictReader(lines))


def write_manifest(run: Run, notebooks: list[Notebook]) -> None:
    """What went in, what it ran on, how each notebook ended, and the SHA-256 of every file made."""
    git = ["git", "-C", str(ROOT), "rev-parse", "--verify", "--quiet", "HEAD"]  # silent before the first commit
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip() if shutil.which("git") else None
    outputs = {name: sha256(path) for name, path in files_below(run.work).items()}
    manifest = {
        "report": run.params.report.model_dump(),
        "params": parse(to_yaml(run.params, run.named), "params.yaml"),
        "started": run.started.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": commit or None,
        "versions": versions(),
        "definitions": sha256(HERE / "definitions.yaml"),
        "code": code([notebook.path for notebook in notebooks]),
        "inputs": [row | {"rows": int(row["rows"])} for row in table(run.work / "tables" / "inputs.csv")],
        "history": history(run.params),
        "notebooks": [{"name": n.name, "status": n.status, "seconds": n.seconds} for n in notebooks],
        "outputs": outputs,
    }
    (run.work / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")


def versions() -> dict[str, str]:
    return {"python": sys.version.split()[0]} | {package: version(package) for package in PACKAGES}


def history(params: Params) -> dict[str, str]:
    """The SHA-256 of each file of earlier months that a run reads, by its path under params.history."""
    earlier = [path for name, months in HISTORY if (path := params.earlier(name, months)) and path.is_file()]
    return {path.relative_to(ROOT / params.history).as_posix(): sha256(path) for path in earlier}


def files_below(folder: Path) -> dict[str, Path]:
    """What a manifest accounts for, by path: all files of a month but the manifest and the log."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in found.items() if name not in ("manifest.json", "run.log")}


def code(notebooks: Sequence[Path]) -> dict[str, str]:
    """The SHA-256 of each file that makes a report, by its path: the notebooks, and all of helpers."""
    own = [path for path in sorted(HERE.rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    return {f"{path.parent.name}/{path.name}": sha256(path) for path in notebooks} | {
        path.relative_to(HERE.parent).as_posix(): sha256(path) for path in own}


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def give_up(run: Run, failed: list[Notebook], kept: Path) -> None:
    """Keep the failed run in `kept` and raise what happened."""
    if kept != run.work:
        shutil.rmtree(kept, ignore_errors=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        run.work.rename(kept)
    ending = f"Nothing was published; the run is kept in {kept}."
    if all(notebook.ename == "ReportError" for notebook in failed):
        raise ReportError("\n\n".join(dict.fromkeys(notebook.error for notebook in failed)), remedy=ending)
    told = [f"{notebook.name} failed in {notebook.error}\n  page: {kept / notebook.page}" for notebook in failed]
    raise NotebookError("\n".join([*told, ending]))
