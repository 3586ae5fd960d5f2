"""What only the summary shows: the pages' parts collected, the sentence of the month, and what to forward."""

from __future__ import annotations

import re
from collections.abc import Sequence

import mistune
import pandas as pd
from IPython.display import HTML
from markupsafe import escape

from helpers import charts, findings, tables, verdicts
from helpers.contracts import BOOKS, definitions
from helpers.pages import Page

DECIDED = "rule decision owner due_on metric value unit".split()  # what is read of last month's decisions


def publish(page: Page) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Collect the pages' parts into metrics.csv, verdicts.csv and tables/checks.csv; returns the three."""
    book, params = page.book, page.book.params
    order = ["metric", "dimension", "member", "period"]
    metrics = book.publish("metrics", book.collect("metrics").sort_values(order, ignore_index=True))
    checks, judged = book.save("checks", book.collect("checks")), page.judged(metrics, "")
    whole = verdicts.sustainability(judged, overrides=params.rules, formats=page.formats)
    inputs = book.read("inputs")
    newest = inputs.loc[inputs["table"].isin(BOOKS), "newest"].astype("str").str[:10]
    age = (pd.Timestamp(params.as_of) - pd.to_datetime(newest).max()).days
    doubtful = age > params.policy.max_staleness_days or bool(reason(metrics))
    found = verdicts.provisional(verdicts.ordered(pd.concat([judged, whole])), checks, stale=doubtful)
    return metrics, book.publish("verdicts", found), checks


def reason(metrics: pd.DataFrame) -> str:
    """Why lifetimes cannot be estimated from this book, if they cannot."""
    methods = metrics.loc[metrics["metric"] == "lifetime_months_churn", "method"].fillna("")
    return next((method for method in methods if method.startswith("not_estimable")), "")


def caution(page: Page, metrics: pd.DataFrame) -> HTML:
    """Said under the headline where churn, or lifetimes and all that is made of them, cannot be trusted."""
    why = reason(metrics).removeprefix("not_estimable").lstrip(": ")
    told = [f"{why}. Churn, retention, forecasts and levers are provisional."] if why else []
    told += [f"{page.thin}. Lifetimes, LTV and payback are indicative and not judged."] if page.thin else []
    return tables.paragraph(f"Caution: {' '.join(told)}") if told else HTML("")


def sentence(page: Page, metrics: pd.DataFrame, moves: pd.DataFrame, decisions: pd.DataFrame) -> str:
    names = {name: entry["name"] for name, entry in definitions().items()}
    return findings.headline(metrics, moves, decisions, page.period, names, page.formats)


def headline(page: Page, metrics: pd.DataFrame, moves: pd.DataFrame, decisions: pd.DataFrame) -> HTML:
    """The month in a sentence: one number, its cause, its consequence."""
    return tables.headline(sentence(page, metrics, moves, decisions))


def became(page: Page, metrics: pd.DataFrame, found: pd.DataFrame) -> HTML:
    """What became of the decisions of last month's published report."""
    before, earlier = str(pd.Period(page.period, "M") - 1), page.book.earlier("decisions", DECIDED)
    if earlier is None:
        return tables.paragraph(f"No report of {before} was published before this one: there is nothing to look back on.")
    table = verdicts.became(earlier, metrics, found)
    table = table.assign(**{side: page.texts(table, side) for side in ("then", "now")})
    return page.table(table.drop(columns="unit"), f"What became of the decisions of {before}", {"due_on": "date"})


def levers(page: Page, levers: pd.DataFrame) -> HTML:
    shown = levers.assign(now=page.texts(levers, "now"))
    return page.table(shown.drop(columns="unit"), "Levers, by what one step brings", {"gain_12m": "money"})


def definitions_changed(page: Page) -> HTML:
    """The definitions whose version is not that of last month's published report, if there is one."""
    now = pd.DataFrame([(name, entry["version"]) for name, entry in definitions().items()], columns=["metric", "version"])
    page.book.save("definitions", now)
    before = page.book.earlier("definitions", ["metric", "version"])
    if before is None:
        return HTML("")
    before = before.drop_duplicates("metric")
    both = now.merge(before, on="metric", how="outer", suffixes=("", "_before"), validate="one_to_one")
    changed = both[both["version"] != both["version_before"]]
    return page.table(changed, "Definitions changed since last month: figures before and after do not compare")


def settings_changed(page: Page) -> HTML:
    """The settings that are not those of last month's published report, if there is one."""
    page.book.save("settings", pd.DataFrame(page.book.params.settled.items(), columns=["setting", "value"]))
    now, before = page.book.read("settings"), page.book.earlier("settings", ["setting", "value"])  # both as they are written
    if before is None:
        return HTML("")
    both = before.astype(str).merge(now.astype(str), on="setting", how="outer", suffixes=("", "_now"), validate="one_to_one")
    both = both.set_axis(["setting", "before", "now"], axis=1).fillna("no such setting")
    return page.table(both[both["before"] != both["now"]], "Settings changed since last month")


def restated(page: Page, table: pd.DataFrame, reports: int) -> HTML:
    """What earlier reports published of their own month and today's data give otherwise. table : from `summary.restated`."""
    if not reports:
        return tables.paragraph(
            "No report of the last twelve months was published before this one: there is nothing to restate.")
    if table.empty:
        return tables.paragraph(
            f"All that was published in the last twelve months (reports: {reports}) reads the same by today's data.")
    whole = table[table["dimension"] == "all"].drop(columns=["dimension", "member"])
    whole = whole.assign(**{side: page.texts(whole, side) for side in ("published", "now", "difference")})
    whole = whole.drop(columns="unit").reset_index(drop=True)
    note = (f"Figures of earlier reports that read otherwise: {page.number(len(table), 'count')}, of the whole company "
            f"{page.number(len(whole), 'count')}; earlier reports: {reports}.")
    return page.table(whole, "Published figures that today's data give otherwise", {"period": "date"}, limit=30, note=note)


def forward(page: Page, metrics: pd.DataFrame, ids: Sequence[str], moves: pd.DataFrame, decisions: pd.DataFrame,
            outlook: pd.DataFrame, most: int = 120) -> HTML:
    """Write summary.md, of at most 120 words to forward, and its picture summary.png."""
    report, folder, known = page.book.params.report, page.book.run_dir, definitions()
    now = metrics[(metrics["dimension"] == "all") & (metrics["period"] == page.period)].set_index("metric")
    name = outlook["metric"].iloc[0] if len(outlook) else "revenue_net"
    series = metrics[(metrics["metric"] == name) & (metrics["dimension"] == "all")].sort_values("period")
    label, unit = known[name]["name"], page.unit(page.currency)
    title = findings.moved(series["value"], label, page.currency, page.formats)
    drawn = charts.lines(series, x="period", y="value", title=title, unit=unit, metric=name, forecast=outlook.tail(1))
    drawn.savefig(folder / "summary.png", dpi=192, facecolor="white", metadata={"Software": None})
    head = [f"# {marked(report.title)}, {page.period}", marked(sentence(page, metrics, moves, decisions))]
    facts = [f"- {known[i]['name']}: {marked(page.number(now.loc[i, 'value'], now.loc[i, 'unit']))}" for i in ids]
    todo = [f"{rank}. {marked(row.decision)} {marked(row.owner)}, by {page.number(row.due_on, 'date')}."
            for rank, row in enumerate(decisions.itertuples(), 1)]
    last = [f"![{marked(title)}](summary.png)", f"{report.status.replace('_', ' ').capitalize()}. All pages: index.html"]
    while len(" ".join([*head, *facts, *todo, *last]).split()) > most and (facts or todo):
        (facts or todo).pop()  # the least of them stand last
    text = "\n\n".join(["\n\n".join(head), "\n".join(facts), "\n".join(todo), "\n\n".join(last)])
    (folder / "summary.md").write_text(f"{text}\n", encoding="utf-8")
    return HTML("")


def commentary(page: Page) -> HTML:
    """The analyst's own words on the month, where the params name their folder: text and emphasis, no links, no HTML."""
    if not (words := page.book.words()):
        return HTML("")
    render = mistune.create_markdown(renderer=Plain(escape=True))
    return tables.commentary(render(words[0]), words[1])


def marked(text: object) -> str:
    """Text that Markdown shows as it is."""
    special = r"([\\`*_\[\]<>&|~!#$@]|:(?=//)|(?<=www)\.)"  # the last ones against addresses that readers make links of
    return re.sub(special, r"\\\1", " ".join(str(text).split()))


class Plain(mistune.HTMLRenderer):
    """Markdown of a person: no address is followed, no picture fetched, and headings stay below the page's own."""

    def link(self, text: str, url: str, title: str | None = None) -> str:
        return f"{text} ({escape(url)})"

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return str(escape(text))

    def heading(self, text: str, level: int, **attributes) -> str:
        return f"<p><strong>{text}</strong></p>\n"
