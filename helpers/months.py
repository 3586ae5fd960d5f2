"""Many months of one report in one call: run in order or side by side, and one page over all of them."""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path
from threading import Event

from helpers.contracts import ROOT, ReportError, definitions, read_yaml
from helpers.params import load_params
from helpers.runner import NotebookError, run_report
from helpers.safety import shared
from helpers.settings import month_index, month_label
from helpers.zygote import Zygote

CHARTS = 8
COLUMNS = "metric dimension member period value low high n unit month".split()
MOST = 120  # months


def spanned(months: str) -> list[str]:
    """`2024-07:2025-06` -> each month from the first to the last. Raises ReportError."""
    found = re.fullmatch(r"(\d{4}-(?:0[1-9]|1[0-2])):(\d{4}-(?:0[1-9]|1[0-2]))", months)
    first, last = map(month_index, found.groups()) if found else (1, 0)
    if not 0 <= last - first < MOST:
        rule = f"must be FIRST:LAST, two months written YYYY-MM, in order and at most {MOST} of them (got {months[:60]!r})"
        raise ReportError("--months", [rule], "For example --months 2024-07:2025-06.")
    return [month_label(month) for month in range(first, last + 1)]


def run_months(
    params_file: str | Path, months: str, overrides: Sequence[str] = (), jobs: int = 2, dry_run: bool = False,
    progress: Callable[[str, str, str], object] = lambda name, status, note: None, zygote: Zygote | None = None, **how,
) -> Path:
    """Publish each month of `FIRST:LAST`, and `index.html` above them.

    In order where a month reads those before it, which is where `history` is the folder that they are written to; else `jobs`
    months side by side. how : as for `run_report`.
    What a month reads of the sources, the others take.
    A month that fails ends those that read it, not those at its side; what was published stays. Returns the index.
    Raises ReportError and NotebookError, which say what of each month failed.
    """
    names, failed, pages, stopped = spanned(months), {}, {}, Event()
    if twice := [setting for setting in overrides if setting.partition("=")[0].strip() == "report.month"]:
        raise ReportError("--months", [f"--set {twice[0]} names another month"], "Leave it out.")
    params = load_params(params_file, names[0], overrides)
    begun, out = Event(), (ROOT / (how.get("out") or "outputs")).resolve()
    in_order = params.history is not None and (ROOT / params.history).resolve() == out
    apart = 1 if in_order else min(jobs, len(names))
    with (nullcontext(zygote) if zygote or dry_run else closing(Zygote()) as parent,
          nullcontext() if dry_run else shared(out / ".work" / params.report.name) as read):
        def run(month: str) -> None:
            def tell(name: str, status: str, note: str) -> None:
                if stopped.is_set():
                    raise InterruptedError("the run was stopped")
                if status in ("done", "reused", "failed"):  # the first notebook, which reads
                    begun.set()
                progress(f"{month} {name}", status, note)

            if month != names[0]:
                begun.wait()  # for what is read then is the others' to take; and it makes the files of the demo company
            if failed and in_order:
                return progress(month, "skipped", f"needs {next(iter(failed))}")
            try:
                how_many = {"jobs": max(1, jobs // apart), "dry_run": dry_run}
                pages[month] = run_report(
                    params_file, month, overrides=overrides, zygote=parent, progress=tell, read=read, **how_many, **how)
            except (ReportError, NotebookError) as error:
                failed[month] = error
                progress(month, "failed", "")
            finally:
                begun.set()

        with ThreadPoolExecutor(apart) as pool:
            try:
                for _ in pool.map(run, names) if apart > 1 else map(run, names):
                    pass
            except BaseException as error:
                stopped.set()  # Ctrl-C: threads are not told of it; their kernels end with the zygote
                if apart > 1 and parent:
                    parent.close()
                if isinstance(error, KeyboardInterrupt):
                    done = f"Made before: {', '.join(sorted(pages))}. " if pages else ""
                    error.args = (f"Interrupted. {done}Every other month is as it was.",)
                raise
    if pages and not dry_run:
        write_index(pages[max(pages)].parents[1])
    if failed:
        kind = ReportError if all(isinstance(error, ReportError) for error in failed.values()) else NotebookError
        done = [f"Made: {', '.join(sorted(pages))}."] if pages else []
        raise kind("\n\n".join([*(f"{month}: {failed[month]}" for month in names if month in failed), *done]))
    return pages[names[-1]].parents[1] / "index.html"


def write_index(folder: Path) -> None:
    """Write `index.html` over all months that a report has published."""
    months = {path.parent.name: path.parent for path in sorted(folder.glob("[12]???-??/index.html"))}
    part = folder / ".index.html"
    part.write_text(as_page(months), encoding="utf-8")
    part.replace(folder / "index.html")


def as_page(folders: dict[str, Path]) -> str:
    """One self-contained page: what the rules judge, month by month, as each month was published, and each month's pages."""
    import pandas as pd

    from helpers import charts, findings, tables
    from helpers.rendering import page_of

    last = load_params(folders[max(folders)] / "params.yaml").report
    formats = tables.Formats(last.currency, last.locale, last.currency_style, last.date_format)
    files = {month: folder / "metrics.csv" for month, folder in folders.items()}
    parts = [pd.read_csv(file).assign(month=month) for month, file in files.items() if file.is_file() and file.stat().st_size]
    rows = pd.concat([pd.DataFrame(columns=COLUMNS), *(part.reindex(columns=COLUMNS) for part in parts)])
    rows = rows[(rows["dimension"] == "all") & (rows["period"] == rows["month"])].drop_duplicates(["metric", "month"])
    judged = dict.fromkeys(rule["metric"] for rule in read_yaml("rules.yaml").values() if rule.get("metric"))
    known, shown = definitions(), []
    ids = [name for name in judged if rows.loc[rows["metric"] == name, "value"].notna().any()]
    words = {"month": [*folders]}
    for name in ids:
        own = rows[rows["metric"] == name].set_index("month").reindex([*folders])
        unit = own["unit"].dropna().iloc[-1]
        words[known[name]["name"]] = [tables.number(value, unit, formats) for value in own["value"]]
        if len(shown) < CHARTS and own["value"].notna().sum() > 1:
            label = charts.Unit(last.currency if unit == "money" else unit, last.locale)
            title = findings.moved(own["value"], known[name]["name"], label, formats, rolling=findings.rolls(name))
            band = {"band": ("low", "high")} if own["low"].notna().any() else {}
            what = f"{known[name]['name']} of each month as it was published, {min(folders)} to {max(folders)}"
            drawn = charts.lines(own.reset_index(), x="month", y="value", title=title, unit=label, metric=name, **band)
            alt = f"Line chart: {what}. {title}"[:250]
            shown.append(charts.captioned(drawn, f"{what}. Source: metrics.csv of each month.", alt))
    table = tables.show_table(pd.DataFrame(words), "What the rules judge, as each month was published",
                              note="Intervals, n and definitions stand on the pages of each month.")
    links = [{"name": month, "href": f"{month}/index.html", "title": month} for month in folders]
    report = last.model_dump() | {"month": f"{min(folders)} to {max(folders)}", "status": None, "page": "months",
                                  "page_title": "All months", "pages": links}
    return page_of([table, *shown], report)
