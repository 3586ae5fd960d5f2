"""The commands: parse, call, show errors. Exits with 0 done, 1 fixable, 2 usage, 3 a notebook failed, 130 interrupted."""

# What a command needs is imported inside it, so that --help and a misspelt option answer at once.
import gc
import json
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from threading import Lock
from typing import Annotated

import typer

from helpers.contracts import ReportError

app = typer.Typer(
    name="ltv-report", add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
    help="Monthly customer-value reports: parameterized notebooks, one YAML file, self-contained HTML.",
)
File = Annotated[Path, typer.Argument(metavar="PARAMS", help="params file, such as params/demo.yaml")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="a published month, such as outputs/demo/2025-06")]
Month = Annotated[str | None, typer.Option(metavar="YYYY-MM", help="report this month instead of the file's")]


class Display:
    """Where each notebook stands: a live table on a terminal, elsewhere one plain line an event, or one JSON object."""

    def __init__(self, as_json: bool = False) -> None:
        from rich.console import Console
        from rich.live import Live

        self.rows: dict[str, tuple[str, str, float]] = {}
        self.lock = Lock()
        console = Console()
        self.plain, self.as_json = as_json or not console.is_terminal, as_json
        self.live = nullcontext() if self.plain else Live(get_renderable=self.table, console=console)

    def __call__(self, name: str, status: str, note: str) -> None:
        with self.lock:
            now = time.monotonic()
            before, _, since = self.rows.get(name, ("", "", now))
            self.rows[name] = (status, note, since if status == before else now)
            if self.as_json and status != before:
                took = round(now - since, 1) if before == "running" else None
                self.line("notebook", notebook=name, status=status, seconds=took)
            elif self.plain and status != before:
                print(" ".join(filter(None, (name, status, note))), flush=True)

    def line(self, event: str, **terms) -> None:
        """For schedulers: one JSON object, where they are asked for."""
        if self.as_json:
            print(json.dumps({"event": event} | terms, ensure_ascii=False), flush=True)

    @property
    def ran(self) -> list[str]:
        """The month of each notebook that was run; empty of a single month."""
        return [name.rpartition(" ")[0] for name, (status, _, _) in self.rows.items() if status == "done"]

    def made(self, page: Path) -> list[Path]:
        """The folders of the months of which any notebook was run, by the last page of a run."""
        if not self.ran:
            self.line("timings", month=None, lines=[]) if self.as_json else print("Nothing was run: nothing has changed.")
        return [page.parent / month for month in dict.fromkeys(self.ran) if (page.parent / month / "run.log").is_file()]

    def table(self):
        from rich.table import Table
        from rich.text import Text

        table, rows = Table.grid(padding=(0, 2)), list(self.rows.items())
        if len(rows) > 12:  # of many months, what is at work
            over = sum(status in ("done", "reused") for _, (status, _, _) in rows)
            rows = [(f"{over} of {len(rows)}", ("done", "", 0.0)), *(row for row in rows if row[1][0] in ("running", "failed"))]
        for name, (status, note, since) in rows:
            if status == "running":
                note = f"{note}, {time.monotonic() - since:.0f} s".lstrip(", ")
            style = {"running": "bold", "done": "green", "failed": "bold red"}.get(status, "dim")
            table.add_row(Text(name), Text(status, style), Text(note, "dim"))
        return table


@app.command()
def run(
    params: File,
    month: Month = None,
    months: Annotated[str | None, typer.Option(metavar="FIRST:LAST", help="each month of these, such as 2024-07:2025-06, "
        "and one page over all of them")] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="NAME ...", help="notebooks to run, such as rfm, with "
        "what they need; publishes nothing")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE ...", help="override settings, such "
        "as policy.horizon_months=24")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="notebooks side by side")] = 2,
    force: Annotated[bool, typer.Option("--force", help="run what did not change, too")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would run, and run nothing")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="instead of outputs")] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="also print all pages into one report.pdf; needs Chromium")] = False,
    timings: Annotated[bool, typer.Option("--timings", help="show where each second went")] = False,
    timeout: Annotated[float, typer.Option(min=0.01, metavar="MINUTES", help="end a notebook that takes longer")] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object a line, for schedulers")] = False,
) -> None:
    """Run the notebooks and publish the report; the last line printed is the path of its index.html."""
    from helpers.safety import heed_signals, refusal
    from helpers.zygote import Zygote

    if months is not None and (month or only):
        raise typer.BadParameter("--months goes with neither --month nor --only")
    heed_signals()
    zygote = None if dry_run else Zygote()  # it imports while this process does
    from helpers.plan import SPENT
    from helpers.runner import NotebookError, run_report

    display = Display(as_json)
    try:
        with display.live:
            how = {"overrides": set_ or (), "jobs": jobs, "force": force, "dry_run": dry_run, "out": out, "pdf": pdf,
                   "timeout": timeout, "progress": display, "zygote": zygote}
            if months is not None:
                from helpers.months import run_months

                page = run_months(params, months, **how)
            else:
                page = run_report(params, month, only or (), **how)
                if display.ran and not only and (page.parents[1] / "index.html").exists():  # over all months: it goes along
                    from helpers.months import write_index

                    write_index(page.parents[1])
    except (ReportError, NotebookError, KeyboardInterrupt, OSError) as error:
        told = refusal(error) if isinstance(error, OSError) else error
        code = 3 if isinstance(told, NotebookError) else 130 if isinstance(told, KeyboardInterrupt) else 1
        words = str(told) or "Interrupted before anything was run."
        print(words, file=sys.stderr)
        display.line("end", exit_code=code, error=words, page=None)
        raise typer.Exit(code) from None
    finally:
        if zygote:
            zygote.close()
    for folder in display.made(page) if timings and not dry_run else ():
        spent = (folder / "run.log").read_text(encoding="utf-8").partition(SPENT)[2].splitlines()[1:]
        print(f"{folder.name}:", *spent, sep="\n  ") if not as_json else display.line("timings", month=folder.name, lines=spent)
    for path in [] if dry_run else sorted(page.parent.glob("*.html")) if only or as_json else [page]:
        print(path) if not as_json else display.line("page", notebook=path.stem, page=str(path))
    display.line("end", exit_code=0, error=None, page=None if dry_run else str(page))
    gc.freeze()  # or the interpreter, as it ends, takes a fifth of a second to look for what it could free


@app.command()
def check(params: File, month: Month = None) -> None:
    """Check params, sources, contracts and readiness; no notebook is run."""
    from helpers import marts
    from helpers.metrics import data_prep
    from helpers.params import load_params

    book, shown = marts.check(load_params(params, month))
    stages, files = shown["Rows of each table, by stage"], book.frame("summaries/inputs")
    control = data_prep.control_checks(stages, files, book.params.control_totals)
    twice = data_prep.file_checks(files).query("not passed")
    shown |= {"Rows rejected, by rule": data_prep.remedies(shown["Rows rejected, by rule"]),
              **({"Control totals, and what was read": control} if len(control) else {}),
              **({"Files of a table that are equal in every byte: one was sent twice": twice} if len(twice) else {}),
              "What each section can show": data_prep.sections(book.given, book.columns, book.least),
              "What each table unlocks": marts.readiness(book.params)}
    for title, table in shown.items():
        print(title, table.to_string(index=False) if len(table) else "none", sep="\n", end="\n\n")


@app.command()
def init(files: Annotated[list[Path], typer.Argument(metavar="FILE ...", help="exports of your systems")]) -> None:
    """Recognise formats and columns, write params/<name>.yaml with every guess commented, then check it."""
    from helpers.sources import init_params

    path = init_params(files)
    print(path)
    check(path)


@app.command()
def verify(folder: Folder) -> None:
    """Prove a published month: every SHA-256 of its manifest, what it rests on, and the same files made again."""
    from helpers.proof import verify

    display = Display()
    with display.live:
        told = verify(folder, progress=display)
    print(told)


@app.command()
def compare(
    old: Folder, new: Folder,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="write it as a page, too")] = None,
) -> None:
    """What changed between two published months of a report, or two versions of one, and through what."""
    from helpers import comparison

    frame, causes = comparison.compare(old, new)
    if html:
        try:
            html.write_text(comparison.as_page(old, new, frame, causes), encoding="utf-8")
        except OSError as error:
            raise ReportError(f"{html} cannot be written: {error.strerror}") from None
    show(comparison.as_text(frame))
    for cause, lines in causes.items():
        print(f"may have restated: {cause}", *lines, sep="\n  - ")
    print(f"{len(frame)} figures changed")


def show(frame) -> None:
    """Rows of text: a table on a terminal, elsewhere one line a row with its cells parted by tabs."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        print("\t".join(frame), *map("\t".join, frame.itertuples(index=False)), sep="\n")
        return
    table = Table(*(name.replace("_", " ") for name in frame))
    for row in frame.itertuples(index=False):
        table.add_row(*map(Text, row))
    console.print(table)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    customers: Annotated[int, typer.Option(min=50)] = 3000,
    months: Annotated[int, typer.Option(min=14, help="of history")] = 36,
    seed: Annotated[int, typer.Option(min=0, help="another seed is another company")] = 1,
) -> None:
    """Write the demo company as input files."""
    from helpers.demo import write_demo

    for path in write_demo(folder, customers, months, seed):
        print(path)


@app.command(name="params")
def settings(schema: Annotated[bool, typer.Option("--schema", help="print every setting")] = False) -> None:
    """Every setting with type, default, bounds and meaning."""
    from helpers.params import describe

    if not schema:
        raise typer.BadParameter("needs --schema")
    for row in describe():
        print("  ".join(filter(None, (row["path"], row["type"], f"default {row['default']}", row["bounds"]))))
        print(f"    {row['meaning']}")


def main() -> None:
    """The console script `ltv-report`."""
    try:
        app(spread(sys.argv[1:]))
    except ReportError as error:
        sys.exit(str(error))
    except OSError as error:
        from helpers.safety import refusal

        sys.exit(str(refusal(error)))


def spread(words: list[str]) -> list[str]:
    """`run PARAMS --only a b` as `--only a --only b`, which the parser knows; without PARAMS first, as it is."""
    if words[:1] != ["run"] or words[1:2] == [] or words[1].startswith("-"):
        return words
    spread, option = words[:2], ""
    for before, word in zip(words[1:], words[2:], strict=False):
        option = word if word in ("--only", "--set") else "" if word.startswith("-") else option
        spread += [option, word] if option and before != option and word != option else [word]
    return spread


if __name__ == "__main__":
    main()
