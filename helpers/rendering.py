"""Pages of notebooks that ran: nbconvert in the look of the report, with its header, badges and glossary."""

import sys
from collections.abc import Sequence
from datetime import date, datetime
from importlib.metadata import version

# nbformat reaches this optional module through jsonschema: 1.7 s of grammars at import, only to check URIs.
sys.modules.setdefault("rfc3987_syntax", None)

import nbformat  # noqa: E402
from bs4 import BeautifulSoup  # noqa: E402
from IPython.display import HTML  # noqa: E402
from jinja2 import pass_context  # noqa: E402
from nbconvert import HTMLExporter, TemplateExporter  # noqa: E402
from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter  # noqa: E402

from helpers.contracts import BOOKS, definitions, read_yaml  # noqa: E402
from helpers.inputs import HERE, sha256, table  # noqa: E402
from helpers.plan import Notebook, Run  # noqa: E402
from helpers.safety import refused  # noqa: E402


class PageExporter(HTMLExporter):
    """Without HTMLExporter's last step, which parses the whole page to add what our template has: two thirds of the time.

    That step also closed what an author's markdown leaves open, so that the rest of the page is not drawn into it.
    """

    @pass_context
    def markdown2html(self, context, source) -> str:
        html = super().markdown2html(context, source)
        return str(BeautifulSoup(html, "html.parser")) if "<" in source else html

    def from_notebook_node(self, nb, resources=None, **kw) -> tuple[str, dict]:
        resources = self._init_resources(resources)
        self.register_filter("filter_data_type", WidgetsDataTypeFilter(self._nb_metadata, parent=self, resources=resources))
        return TemplateExporter.from_notebook_node(self, nb, resources, **kw)


def page_exporter() -> HTMLExporter:
    """Notebooks to self-contained pages in the look of the report."""
    return PageExporter(template_name="template", extra_template_basedirs=[str(HERE)], exclude_anchor_links=True)


def page_of(parts: Sequence[HTML], report: dict) -> str:
    """One page of parts that no notebook shows. report : what the template asks for, as `render` gives it."""
    outputs = [nbformat.v4.new_output("display_data", {"text/html": part.data}) for part in parts]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=outputs)])
    return page_exporter().from_notebook_node(book, {"report": report})[0]


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
        context, page = report | {"page": notebook.name, "page_title": notebook.title}, run.work / notebook.page
        if notebook.status == "reused" and run.cache.page(notebook.name, context, page):
            continue
        try:
            html, _ = exporter.from_notebook_node(notebook.executed, {"report": context})
            page.write_text(html, encoding="utf-8")
        except Exception as error:  # nbconvert, jinja2 and the template raise many kinds; an earlier failure counts
            if refused(error):
                raise
            notebook.ename = notebook.ename or type(error).__name__
            notebook.error = notebook.error or f"its page: {type(error).__name__}: {error}"
            run.tell(notebook, "failed", "without a page")
        if not notebook.error:
            run.log(notebook, run.cache.keep_page(notebook.name, context, page))
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
    compared = [row for row in table(run.work / "tables" / "reconciliation.csv") if row["passed"]]
    tied = [row["passed"] == "True" for row in compared]
    if inputs and not tied:
        badges.append({"kind": "watch", "text": "Not tied to a ledger"})
    elif all(tied) and tied and (last := max(row["month"] for row in compared)) < run.params.report.month:
        badges.append({"kind": "watch", "text": f"The ledger ends {last}"})
    elif tied:
        text = "Ties to the ledger" if all(tied) else f"{tied.count(False)} of {len(tied)} ledger figures differ"
        badges.append({"kind": "good" if all(tied) else "act", "text": text})
    ready = [row["status"] for row in table(run.work / "tables" / "metric_readiness.csv")]
    if ready:
        badges.append({"kind": "", "text": f"{ready.count('ready')} of {len(ready)} metrics ready"})
    if doubt := [row["provisional"] == "True" for row in found if row["provisional"] == "True"]:
        text = "Verdicts are provisional" if len(doubt) == len(found) else f"{len(doubt)} of {len(found)} verdicts provisional"
        badges.append({"kind": "act", "text": text})
    return {"newest": newest, "badges": badges}
