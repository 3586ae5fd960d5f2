"""From notebooks to a published report: what to run and what to reuse, and a month that is published whole or not at all."""

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path

from helpers.cache import Made
from helpers.contracts import ROOT, ReportError
from helpers.inputs import HERE, code, files_below, history, newer, sha256, table, versions
from helpers.params import load_params, parse, to_yaml
from helpers.pdf import find_browser, print_pdf
from helpers.plan import Notebook, Run, plan
from helpers.safety import guard, replace
from helpers.zygote import Zygote


class NotebookError(Exception):
    """A notebook failed for a reason that is not the user's to fix; nothing was published."""


def run_report(
    params_file: str | Path, month: str | None = None, only: Sequence[str] = (), overrides: Sequence[str] = (),
    jobs: int = 2, force: bool = False, dry_run: bool = False, out: str | Path | None = None, pdf: bool = False,
    timeout: float = 60, progress: Callable[[str, str, str], object] = lambda name, status, note: None,
    notebooks: Path = ROOT / "notebooks", zygote: Zygote | None = None,
    stands_for: Path | None = None, read: Path | None = None,
) -> Path:
    """Run the notebooks of one report and month, and publish their pages whole or not at all.

    month, overrides : as for `load_params`. only : notebooks to run, with what they need; publishes nothing.
    jobs : notebooks side by side. force : run what did not change, too. out : a folder; None: ROOT/outputs.
    pdf : also print all pages into one report.pdf, with Chromium.
    timeout : minutes that a notebook may take.
    progress : called from several threads with a notebook's name, its status and a note.
    zygote : of whom kernels are forked, if it was started ahead; the caller closes it. stands_for : a published folder
    that this run is to be held against: the paths that it writes are those of a run into that folder.
    read : a folder in which the months of one call keep the sources that they read, for each other.
    Returns the last page: index.html. Raises ReportError for what the user can fix, NotebookError for other failures.
    """
    params, out = load_params(params_file, month, overrides), (ROOT / (out or "outputs")).resolve()
    run = Run(params, out, progress, zygote, timeout, force, stands_for, read)
    if pdf:
        find_browser()  # before anything is run: it may be missing
    stages = plan(notebooks, only)
    chosen = [notebook for stage in stages for notebook in stage]
    page = (run.work if only else run.published) / chosen[-1].page
    known = recalled(run, stages)
    for notebook in chosen:
        reused = known.get(notebook.name) and not force
        progress(notebook.name, ("would reuse" if reused else "would run") if dry_run else "waiting", "")
    if dry_run:
        return page
    with guard(run.published, run.work):
        if not only and not force and len(known) == len(chosen) and stands(run, known, chosen, pdf):
            run.clear(chosen)
            for notebook in chosen:
                progress(notebook.name, "reused", "nothing that it rests on has changed")
            return page
        with nullcontext(zygote) if zygote else closing(Zygote()) as run.zygote:
            make(run, stages, jobs, bool(only), pdf)
    return page


def recalled(run: Run, stages: list[list[Notebook]]) -> dict[str, Made]:
    """What is kept of notebooks by name, where nothing that they rest on has changed; the stage after a change is not known."""
    found, given = {}, {}
    for stage in stages:
        found |= {n.name: made for n in stage if (made := run.cache.recall(n.name, run.cache.key(n.path, n.reads, given)))}
        if any(n.name not in found for n in stage):
            break
        for notebook in stage:
            given |= found[notebook.name].given
    return found


def stands(run: Run, known: dict[str, Made], notebooks: list[Notebook], pdf: bool) -> bool:
    """Whether the published month is what a run would make, all of its files as they were written."""
    files = {path: digest for made in known.values() for path, digest in made.files.items() if not path.startswith("parts/")}
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):  # no manifest, or a damaged one
        manifest = json.loads((run.published / "manifest.json").read_bytes())
        found = {path: sha256(file) for path, file in files_below(run.published).items()}
        rests = rests_on(run, notebooks)
        return (found == manifest["outputs"] and files.items() <= found.items() and (not pdf or "report.pdf" in found)
                and {name: manifest[name] for name in rests} == rests)
    return False


def make(run: Run, stages: list[list[Notebook]], jobs: int, only: bool, pdf: bool) -> None:
    """Execute, render and account for the notebooks; publish them all, or give up on all. only : publish nothing."""
    with run.clock("imports of papermill and nbconvert"):
        from helpers.kernels import execute_all
        from helpers.rendering import render

    chosen = [notebook for stage in stages for notebook in stage]
    shutil.rmtree(run.work, ignore_errors=True)
    (run.work / "notebooks").mkdir(parents=True)
    (run.work / "params.yaml").write_text(to_yaml(run.params, run.named), encoding="utf-8")
    execute_all(run, stages, jobs)
    run.put_away()
    with run.clock("pages"):
        render(run, chosen)
    if pdf and not any(notebook.error for notebook in chosen):
        pages = sorted(run.work.glob("*.html"), key=lambda path: (path.stem != "index", path.stem))
        print_pdf(pages, run.work / "report.pdf", run.params.report.title, run.params.as_of)
    if not only:
        shutil.rmtree(run.work / "parts", ignore_errors=True)  # what the pages handed to the summary
    if changed := newer(run.zygote.started, [notebook.path for notebook in chosen]):
        raise ReportError("The code was changed while the report was made, which", changed, "Nothing was published. Run again.")
    with run.clock("manifest"):
        write_manifest(run, chosen)
    with (run.work / "run.log").open("a", encoding="utf-8") as log:
        log.write(run.spent())
    if failed := [notebook for notebook in chosen if notebook.error]:
        give_up(run, failed, kept=run.work if only else run.failed)
    if not only:
        replace(run.published, run.work)
        run.clear(chosen)


def rests_on(run: Run, notebooks: list[Notebook]) -> dict:
    """What a manifest says of what a month rests on, but for its inputs."""
    return {
        "report": run.params.report.model_dump(),
        "params": parse(to_yaml(run.params, run.named), "params.yaml"),
        "versions": versions(),
        "definitions": sha256(HERE / "definitions.yaml"),
        "code": code([notebook.path for notebook in notebooks]),
        "history": history(run.params),
    }


def write_manifest(run: Run, notebooks: list[Notebook]) -> None:
    """What went in, what it ran on, how each notebook ended, and the SHA-256 of every file made."""
    git = ["git", "-C", str(ROOT), "rev-parse", "--verify", "--quiet", "HEAD"]  # silent before the first commit
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip() if shutil.which("git") else None
    manifest = rests_on(run, notebooks) | {
        "started": run.started.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": commit or None,
        "inputs": [row | {"rows": int(row["rows"])} for row in table(run.work / "tables" / "inputs.csv")],
        "notebooks": [{"name": n.name, "status": n.status, "seconds": n.seconds} for n in notebooks],
        "outputs": {name: sha256(path) for name, path in files_below(run.work).items()},
    }
    (run.work / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")


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
