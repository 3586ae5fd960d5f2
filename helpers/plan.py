"""What a run is to do, and where: its notebooks in stages, its folders, log and kernels."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from helpers.cache import APART, Cache
from helpers.contracts import ROOT, ReportError
from helpers.settings import Params, nearest
from helpers.zygote import Zygote

PARAMETERS = "month, params_file, run_dir"
SPENT = "Where the time went"  # from there on, run.log says so


@dataclass
class Notebook:
    """A notebook of a run. `page`: its file name; `reads`: sections of settings that it alone reads, None where it does not
    say; `at`: the cell last begun; `noise`: what its kernel says; `said`: what of it went to the log; `ename`, `error`: how it
    failed."""

    path: Path
    name: str
    page: str
    title: str
    reads: tuple[str, ...] | None = None
    status: str = "waiting"
    seconds: float = 0.0
    at: int = 0
    kernel: Any = None  # a jupyter_client.AsyncKernelManager, which is slow to import; below, a NotebookNode
    noise: IO[bytes] | None = None
    executed: Any = None
    slowest: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    ename: str = ""
    error: str = ""


class Run:
    """A run's folders, log and kernels.

    named : the folder whose paths are written, shown : as they are written. files : what later notebooks are given, made so
    far. read : where the months of one call keep what they read. steps : when each began, how long it took, and what it was.
    """

    def __init__(
        self, params: Params, out: Path, progress: Callable[[str, str, str], object], zygote: Zygote | None,
        timeout: float = 60, force: bool = False, stands_for: Path | None = None, read: Path | None = None,
    ) -> None:
        name, month = params.report.name, params.report.month
        self.params, self.progress, self.started = params, progress, datetime.now(UTC)
        self.published, self.work = out / name / month, out / ".work" / name / month
        self.failed = out / name / ".failed" / month
        self.named = stands_for or self.published
        above = self.named.parents[1]
        self.shown = self.named.relative_to(ROOT if above.is_relative_to(ROOT) else above).as_posix()
        self.cache = Cache(self.work.with_name(f"{month}.made"), params, self.published, self.shown)
        self.zygote, self.kernels, self.timeout, self.force, self.read = zygote, [], timeout, force, read
        self.files: dict[str, str] = {}
        self.steps: list[tuple[float, float, str]] = []
        self.closed = False

    def aside(self, notebook: Notebook) -> tuple[Path, Path]:
        """The folder in which a notebook works, apart from its neighbours, and the file of its settings."""
        return self.work / "running" / notebook.name, self.work.with_name(f"{self.work.name}.{notebook.name}.yaml")

    def log(self, notebook: Notebook, text: str) -> None:
        with (self.work / "run.log").open("a", encoding="utf-8") as file:
            for line in text.splitlines():
                file.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {notebook.name}: {line}\n")

    def note(self, notebook: Notebook, text: str) -> None:
        """Log what a notebook or its kernel said, to be said again where it is reused."""
        notebook.said += [text] if text else []
        self.log(notebook, text)

    def clear(self, notebooks: Sequence[Notebook]) -> None:
        """Take away what a good month makes useless: failed and broken-off runs, settings, notebooks that are gone."""
        for folder in (self.failed, self.work):
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # there is that of another month
            self.failed.parent.rmdir()
        self.put_away()
        self.cache.prune([notebook.name for notebook in notebooks])

    def put_away(self) -> None:
        """Take away what notebooks were given to work with, each apart from its neighbours."""
        shutil.rmtree(self.work / "running", ignore_errors=True)
        for left in self.work.parent.glob(f"{self.work.name}.*.yaml"):
            left.unlink()

    def tell(self, notebook: Notebook, status: str, note: str = "") -> None:
        notebook.status = status
        self.log(notebook, f"{status} {note} {notebook.error}")
        self.progress(notebook.name, status, note)

    @contextmanager
    def clock(self, step: str) -> Iterator[list[str]]:
        """Note when a step began and how long it took, with the details that are put into the list."""
        began, details = datetime.now(UTC), []
        yield details
        seconds = (datetime.now(UTC) - began).total_seconds()
        self.steps.append(((began - self.started).total_seconds(), seconds, "; ".join([step, *details])))

    def spent(self) -> str:
        """Where each second went so far: when each step began and how long it took, in seconds."""
        lines = [f"{began:7.2f} {seconds:7.2f}  {step}" for began, seconds, step in sorted(self.steps)]
        return "\n".join([SPENT, " begins seconds", *lines, ""])

    def close(self) -> None:
        """End the kernels still at work: they sit in sessions of their own, where Ctrl-C does not reach them."""
        self.closed = True
        for kernel in self.kernels:
            if process := getattr(kernel.provisioner, "process", None):
                process.kill()


def plan(folder: Path, only: Sequence[str]) -> list[list[Notebook]]:
    """Stages of notebooks that may run side by side: 01_…, the others, …_summary. Refuses unusable notebooks."""
    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb"), key=lambda path: (path.stem.endswith("_summary"), path.stem))
    read = {path: stored(path) for path in paths}
    problems = [f"{path.name}: {problem}" for path, problem in read.items() if isinstance(problem, str)]
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
            own, title = read[path].metadata.ltv_report, path.stem[3:].replace("_", " ")
            stages[stage].append(Notebook(path, path.stem, page, title, own and own.reads))
    return [stage for stage in stages if stage]


class Reads(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reads: tuple[Literal[APART], ...]


class Tags(BaseModel):
    tags: list[str] = []


class Metadata(BaseModel):
    ltv_report: Reads | None = None


class Cell(BaseModel):
    source: str | list[str]
    metadata: Tags


class Stored(BaseModel):
    """What is asked of a stored notebook; nbformat, which knows more, takes a second to be imported."""

    nbformat: Literal[4]
    metadata: Metadata
    cells: list[Cell]


def stored(path: Path) -> Stored | str:
    """A notebook's file, or why it cannot be run; papermill would only warn, and run on the defaults."""
    try:
        found = Stored.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        return f"is no notebook of format 4, or its metadata are damaged: {where}: {first['msg']}. Save it in JupyterLab again"
    tagged = ["".join(cell.source) for cell in found.cells if "parameters" in cell.metadata.tags]
    names = " and ".join(", ".join(sorted(re.findall(r"^(\w+) *[:=]", text, re.M))) or "nothing" for text in tagged)
    rule = f"needs exactly one cell tagged 'parameters', which sets {PARAMETERS}"
    return found if names == PARAMETERS else f"{rule} (found {names or 'none'})"
