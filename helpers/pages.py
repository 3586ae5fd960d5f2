"""One line a cell: what a notebook shows of a book's results, or of what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd
from IPython.display import HTML

from helpers import charts, findings, tables, verdicts
from helpers.contracts import LIFETIMES, NAMED, TABLES, ReportError, definitions
from helpers.tables import Formats

KINDS = {"lines": "Line chart", "columns": "Column chart", "bars": "Bar chart", "dots": "Dot chart with intervals",
         "waterfall": "Waterfall chart", "heatmap": "Heatmap", "survival_curves": "Survival curves", "bullet": "Bullet chart",
         "tornado": "Tornado chart"}
COMPONENTS = Path(__file__).parent / "template" / "components.css"


class Page:
    """One page of a report, made by one notebook: its components, in the report's formats.

    As a cell's last expression it brings the style of the components to JupyterLab; in the report the template has it.
    """

    def __init__(self, book, name: str) -> None:
        report = book.params.report
        self.book, self.name, self.period, self.currency = book, name, report.month, report.currency
        self.formats = Formats(report.currency, report.locale, report.currency_style, report.date_format)
        self.skipped: dict[str, str] = {}  # section -> what it needs
        self.shown: dict[str, None] = {}  # ids of the metrics shown

    def _repr_html_(self) -> str:
        return f"<style>{COMPONENTS.read_text(encoding='utf-8')}</style>"

    @cached_property
    def events(self) -> pd.DataFrame:
        """The business events of the last 25 months: `date, label, kind`."""
        return self.book.frame("summaries/events")

    @cached_property
    def published(self) -> dict[str, pd.DataFrame]:
        """Company-wide metrics as published last month and a year ago, by id: for those that a book shows of one month only."""
        found, columns = {}, ["metric", "dimension", "period", "value", "low", "high"]
        for side, months in (("previous", 1), ("last_year", 12)):
            table, period = self.book.earlier("metrics", columns, months), str(pd.Period(self.period, "M") - months)
            table = pd.DataFrame(columns=columns) if table is None else table
            whole = table[(table["dimension"] == "all") & (table["period"] == period)]
            found[side] = whole.drop_duplicates("metric").set_index("metric")
        return found

    @cached_property
    def thin(self) -> str:
        """What lifetimes lack before they are judged: months of history, customers, or customers who left; else nothing."""
        found = self.book.frame("summaries/evidence").iloc[0]
        short = [f"{int(found[what])} {NAMED[what]}, at least {needed} needed"
                 for what, needed in self.book.least.items() if found[what] < needed]
        return "; ".join(short)

    def unit(self, text: str) -> charts.Unit:
        """A chart's unit, whose numbers are written as in the report's locale."""
        return charts.Unit(text, self.formats.locale)

    def number(self, value, unit: str = "money") -> str:
        return tables.number(value, unit, self.formats)

    def texts(self, frame: pd.DataFrame, column: str) -> list[str]:
        """A column's values, each in the `unit` of its row."""
        return [self.number(value, unit) for value, unit in zip(frame[column], frame["unit"], strict=True)]

    def given(self, needs: str, show: Callable[[], object], *, section: str = "") -> object:
        """What `show` makes where the table `needs` is given; else, under `section`, a box that says what it would unlock."""
        if set(needs.split(" or ")) & self.book.given:
            return show()
        if section:
            self.skipped[section] = needs
        return tables.skip_box(section, needs, TABLES[needs.split(" or ")[0]].unlocks) if section else HTML("")

    def query(self, name: str, found: pd.DataFrame | None = None) -> HTML:
        """The SQL behind a section and its first ten rows, folded. found : its result where it is at hand."""
        return tables.query_box(name, self.book.sql(name), self.book.frame(name) if found is None else found)

    def unknown(self, metrics: pd.DataFrame, name: str) -> str:
        """Why a company-wide metric of the month has no value, from its method; nothing where it has one."""
        rows = metrics[(metrics["metric"] == name) & (metrics["dimension"] == "all") & (metrics["period"] == self.period)]
        if rows["value"].notna().any():
            return ""
        why = rows["method"].iloc[0] or "no value" if len(rows) else "not in this book"
        return f"{entry(name)['name']} is not known ({why})"

    def table(self, frame: pd.DataFrame, caption: str, units: dict[str, str] | None = None, **options) -> HTML:
        """See `tables.show_table`; ids of bases, as in gross_margin, are written as words."""
        frame = frame.assign(basis=frame["basis"].str.replace("_", " ")) if "basis" in frame else frame
        return tables.show_table(frame, caption, units, formats=self.formats, **options)

    def cards(self, metrics: pd.DataFrame, ids: Sequence[str], restated: pd.DataFrame | None = None) -> HTML:
        """KPI cards of company-wide metrics against last month, a year ago and plan; those the book does not have are left out.

        restated : `metric, period, value, low, high` of earlier months by today's data, for metrics shown of one month only;
        what it lacks is taken as it was published.
        """
        known, shown = {name: entry(name) for name in ids}, []
        whole = metrics[metrics["dimension"] == "all"]
        months = pd.period_range(end=self.period, periods=13, freq="M").astype(str)
        for name in ids:
            series = whole[whole["metric"] == name].set_index("period")
            if self.period not in series.index:
                continue
            row, trend = series.loc[self.period], series["value"].reindex(months)
            good, unit = known[name]["good"], known[name]["unit"]
            basis = row.get("basis") if isinstance(row.get("basis"), str) else ""
            card = {"label": known[name]["name"], "definition": name, "query": known[name]["query"],
                    "good": None if good == "none" else good, "basis": basis.replace("_", " ")}
            card |= row[["value", "unit", "low", "high", "n"]].to_dict()
            if pd.isna(row["value"]):
                card |= {"n": None, "why": "beyond the horizon" if row["method"] == ">H" else row["method"]}
            elif (row["n"] < self.book.params.policy.min_customers and unit not in ("count", "money")
                  or self.thin and name.startswith(LIFETIMES)):
                card["badge"] = "indicative"
            several = trend.notna().sum() > 1
            if several or pd.notna(row["value"]):
                past = {"previous": months[-2], "last_year": months[0]}
                before = {side: series.loc[at] for side, at in past.items() if at in series.index}
                if not several:
                    before = {side: table.loc[name] for side, table in self.published.items() if name in table.index}
                    again = pd.DataFrame() if restated is None else restated[restated["metric"] == name].set_index("period")
                    before |= {side: again.loc[at] for side, at in past.items() if at in again.index}
                unsure = {side: "within the interval" for side in before if overlap(row, before[side])}
                card |= {"previous": None, "last_year": None, "unsure": unsure} | {s: b["value"] for s, b in before.items()}
            if several:
                usual, now = findings.normal_range(trend, unit)
                card["trend"] = trend.to_list()
                if usual.low <= now <= usual.high and not findings.rolls(name):
                    unsure["previous"] = "as usual"
            if self.period in (plan := self.book.params.targets.get(name, {})):
                card["target"] = plan[self.period]
            shown.append(card)
            self.shown[name] = None
        return tables.kpi_cards(shown, self.formats)

    def metric_table(self, metrics: pd.DataFrame, ids: Sequence[str], caption: str) -> HTML:
        """Company-wide metrics of the month by name, each value in its own unit, with interval, n, formula and method.

        Those that the book does not have are left out. Raises ReportError for an id that definitions.yaml does not know.
        """
        named = {name: entry(name)["name"] for name in ids}
        found = metrics[(metrics["dimension"] == "all") & (metrics["period"] == self.period)].set_index("metric")
        found = found.loc[[name for name in ids if name in found.index]]
        text = {side: self.texts(found, side) for side in ("value", "low", "high")}
        names = [named[name] for name in found.index]
        self.shown |= dict.fromkeys(found.index)
        columns = {"metric": names, **text, "n": found["n"].to_numpy(),
                   "formula": [entry(name)["formula"] for name in found.index], "method": found["method"].fillna("").to_numpy()}
        return self.table(pd.DataFrame(columns), caption)

    def unlike(self, frame: pd.DataFrame, caption: str, units: dict[str, str]) -> HTML:
        """A table of unlike rows. units : column -> the column that names its unit row by row, which is not shown."""
        text = {name: [tables.number(value, kind, self.formats, digits=2) if kind == "share" else self.number(value, kind)
                       for value, kind in zip(frame[name], frame[unit], strict=True)] for name, unit in units.items()}
        return self.table(frame.drop(columns=[*units.values()]).assign(**text), caption)

    def figure(self, draw: Callable, frame: pd.DataFrame, finding: str, measure: str, window: str, *, source: str,
               unit: str, n: float | None = None, data: pd.DataFrame | None = None,
               units: dict[str, str] | None = None, **options) -> HTML:
        """A chart whose title is `finding`; caption, alternative text and the data behind it come from the same facts.

        draw : a function of `charts`, called with frame, title, unit and options. measure, window : what is drawn, of when.
        source : the query or table. data, units : what the folded table shows; by default the frame.
        """
        figure = draw(frame, title=finding, unit=self.unit(unit), **options)
        what = f"{measure}, {window}"
        alt = f"{KINDS[draw.__name__]}: {what}. {finding}"
        alt = alt if len(alt) <= 250 else f"{alt[:249]}…"
        size = "" if n is None or pd.isna(n) else f" n = {self.number(n, 'count')}."
        behind = self.table(frame if data is None else data, f"Data: {what}", units, folded=True, limit=60)
        return charts.captioned(figure, f"{what}.{size} Source: {source}.", alt, data=behind)

    def series(self, metrics: pd.DataFrame, name: str, **options) -> HTML:
        """A metric over its 13 months, with its interval and the business events; the title says whether it moved."""
        terms = entry(name)
        rows = metrics[(metrics["metric"] == name) & (metrics["dimension"] == "all")].sort_values("period")
        unit = self.currency if terms["unit"] == "money" else terms["unit"]
        last = rows["n"].iloc[-1] if len(rows) else None
        band = {"band": ("low", "high")} if rows["low"].notna().any() else {}
        self.shown[name] = None
        finding = findings.moved(rows["value"], terms["name"], unit, self.formats, rolling=findings.rolls(name))
        return self.figure(
            charts.lines, rows, finding, terms["name"], f"13 months to {self.period}",
            source=f"metrics.csv, from {terms['query']}", unit=unit, n=last, metric=name,
            data=rows[["period", "value", "low", "high", "n"]].dropna(axis="columns", how="all"),
            units=dict.fromkeys(["value", "low", "high"], unit), x="period", y="value", events=self.events, **band | options,
        )

    def verdicts(self, metrics: pd.DataFrame) -> HTML:
        """The verdicts of this page on the report month; what is at stake stands on the summary, which has all metrics."""
        return tables.verdict_list(self.judged(metrics, self.name).assign(value_at_stake=None), self.formats, self.name)

    def judged(self, metrics: pd.DataFrame, name: str) -> pd.DataFrame:
        """The verdicts of a page's rules, or of all pages' ("")."""
        params = self.book.params
        return verdicts.judge(metrics, name, self.period, overrides=params.rules, targets=params.targets,
                              least=params.policy.min_customers, thin=self.thin, formats=self.formats)

    def policies(self) -> HTML:
        """The policies of the run; where MRR is made of list prices or invoices, of how many that cannot be."""
        policy, own = self.book.params.policy, {}
        if policy.mrr_source == "plan_prices":
            row = self.book.frame("summaries/unlisted").iloc[0]
            paying, others = (self.number(row[name], "count") for name in ("paying", "own_amount"))
            own = {"subscriptions at their own amount": f"{others} of {paying}, for want of a list price in their currency"}
        elif policy.mrr_source == "invoices":
            row = self.book.frame("summaries/unbilled").iloc[0]
            lines, others = (self.number(row[name], "count") for name in ("lines", "without"))
            amount = self.number(row["amount"], self.currency)
            why = "for want of a customer or a period of service"
            own = {"lines of subscriptions in no MRR": f"{others} of {lines}, {amount}, {why}"}
        row = self.book.frame("summaries/undated").iloc[0]
        if row["due"]:
            due, undated = (self.number(row[name], "count") for name in ("due", "undated"))
            own["past due by status alone"] = (
                f"{due} subscriptions, since the bill that is open by current_period_end; {undated} have none and pay on")
        return tables.facts(policy.model_dump(mode="json") | own)

    def notes(self) -> HTML:
        """Footnotes: the window, the definitions used with their versions, what was left out, what was skipped."""
        params, known = self.book.params, definitions()
        rows = self.book.read("rows").groupby("stage")["rows"].sum()
        read, rejected, later = (self.number(rows[stage], "count") for stage in ("read", "rejected", "after_as_of"))
        window = f"Everything before {self.number(params.as_of, 'date')} ({params.report.timezone}); month {self.period}."
        used = [(f"glossary.html#{name}", known[name]["name"], f" v{known[name]['version']}") for name in self.shown]
        return tables.footnotes({
            "Window": [window],
            "Definitions used": used,
            "Left out": [f"{rejected} rows rejected and {later} dated after the month, of {read} read"],
            "Skipped for want of data": [f"{section}: needs {needs}" for section, needs in self.skipped.items()],
        })


def entry(name: str) -> dict:
    """What definitions.yaml says of a metric; ReportError where it does not know it."""
    if name not in definitions():
        raise ReportError(f"{name!r} is not a known metric", [f"helpers/definitions.yaml has no {name}"],
                          "Write its entry there, as docs/add-a-metric.md shows, or correct the id.")
    return definitions()[name]


def overlap(one: pd.Series, other: pd.Series) -> bool:
    """Whether two estimates' intervals have a value in common; False where either has none."""
    return bool(one["low"] <= other["high"] and other["low"] <= one["high"])


def rehearse() -> None:
    """Draw a chart and a table for nobody: what only the first ones read and prepare is then there for those that follow."""
    definitions()
    table = pd.DataFrame({"month": ["2025-01", "2025-02"], "value": [1.0, 2.0]})
    figure = charts.lines(table, x="month", y="value", title="Value", unit="count", target=1.0)
    charts.captioned(figure, "By month", "Line, 2 months", tables.show_table(table, "By month"))
