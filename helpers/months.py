"""Many months of one report in one call: run in order or side by side, and one page over all of them."""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event

from helpers.contracts import ReportError, definitions, read_yaml
from helpers.params import load_params, month_index, month_label
from helpers.runner import NotebookError, run_report
from helpers.zygote import Zygote

CHARTS = 8
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
    params_file: str | Path, months: str, overrides: Sequence[str] = (), jobs: int = 2,
    progress: Callable[[str, str, str], object] = lambda name, status, note: None, zygote: Zygote | None = None, **how,
) -> Path:
    """Publish each month of `FIRST:LAST`, and `index.html` above them.

    In order, for a month reads those before it; with `history: null`, `jobs` months side by side. how : as for `run_report`.
    A month that fails ends those that come after it, not those at its side; what was published stays. Returns the index.
    Raises ReportError and NotebookError, which say what of each month failed.
    """
    names, failed, pages = spanned(months), {}, {}
    apart = jobs if load_params(params_file, names[0], overrides).history is None else 1
    stopped = Event()
    with closing(zygote or Zygote()) as parent:
        def run(month: str) -> None:
            def tell(name: str, status: str, note: str) -> None:
                if stopped.is_set():
                    raise InterruptedError("the run was stopped")
                progress(f"{month} {name}", status, note)

            if failed and apart == 1:
                return progress(month, "skipped", f"needs {next(iter(failed))}")
            try:
                pages[month] = run_report(
                    params_file, month, overrides=overrides, jobs=max(1, jobs // apart), zygote=parent, progress=tell, **how)
            except (ReportError, NotebookError) as error:
                failed[month] = error
                progress(month, "failed", "")

        with ThreadPoolExecutor(apart) as pool:
            try:
                for _ in pool.map(run, names) if apart > 1 else map(run, names):
                    pass
            finally:
                stopped.set()  # Ctrl-C: threads are not told of it
    if pages and not how.get("dry_run"):
        index = next(iter(pages.values())).parents[1] / "index.html"
        index.write_text(as_page({month: pages[month].parent for month in names if month in pages}), encoding="utf-8")
    if failed:
        kind = ReportError if all(isinstance(error, ReportError) for error in failed.values()) else NotebookError
        raise kind("\n\n".join(f"{month}: {failed[month]}" for month in names if month in failed))
    return pages[names[-1]].parents[1] / "index.html"


def as_page(folders: dict[str, Path]) -> str:
    """One self-contained page: what the rules judge, month by month, as each month was published, and each month's pages."""
    import nbformat
    import pandas as pd

    from helpers import charts, findings, tables
    from helpers.rendering import page_exporter

    last = load_params(folders[max(folders)] / "params.yaml").report
    formats = tables.Formats(last.currency, last.locale, last.currency_style, last.date_format)
    parts = [pd.read_csv(folder / "metrics.csv").assign(month=month) for month, folder in folders.items()]
    rows = pd.concat(parts)
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
    outputs = [nbformat.v4.new_output("display_data", {"text/html": part.data}) for part in (table, *shown)]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=outputs)])
    links = [{"name": month, "href": f"{month}/index.html", "title": month} for month in folders]
    report = last.model_dump() | {"month": f"{min(folders)} to {max(folders)}", "status": None, "page": "months",
                                  "page_title": "All months", "pages": links}
    return page_exporter().from_notebook_node(book, {"report": report})[0]
