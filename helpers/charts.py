"""House charts: a tidy table in, a matplotlib `Figure` out; `captioned` makes it HTML.

The title is the finding, the axes carry the unit; one that starts with "share" is drawn in percent. Values are placed,
never computed. Text from data is never read as math, and is cut where long. Series differ by marker and dash as well as by
colour. `metric` is an id, whose family has one colour on every page. Without values a figure says so. No pyplot.
"""

import base64
import io
import re
import textwrap
from decimal import Decimal
from functools import partial, wraps
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
from babel.numbers import format_decimal
from IPython.display import HTML
from markupsafe import Markup
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

THEME = Path(__file__).parent / "template" / "charts.mplstyle"  # and charts.css, its colours in the dark scheme
SMALL = 48_000  # bytes of an image as it stands in a page
WIDTH = 5.4  # inches; at a phone's 360 pixels 10 points are then 9 pixels high, 11 points 10
INK, QUIET, FAINT, GRID, PALE, WHITE = "#1a1a1a", "#595959", "#bdbdbd", "#e2e2e2", "#f1f1f1", "#ffffff"
BLUE, VERMILION, GREEN, PURPLE, GREY = PALETTE = ("#0173B2", "#D55E00", "#029E73", "#CC78BC", "#949494")
LEADER = {"arrowstyle": "-", "color": GREY, "linestyle": ":", "linewidth": 0.8, "shrinkA": 2, "shrinkB": 4}  # no data
SERIES = [*zip((*PALETTE, INK), "os^Dv*", ("-", "--", "-.", ":", (0, (8, 2)), (0, (3, 1, 1, 1))), strict=True)]
FAMILIES = {  # words of a metric's id, the first that fits: worth and kept, leaving and cost, money in, counts
    GREEN: {"ltv", "clv", "grr", "nrr", "repeat", "retained", "survival"},
    VERMILION: {"churn", "churned", "contraction", "paused", "downgrade", "rejected", "cac", "cost", "payback"},
    BLUE: {"mrr", "arr", "revenue", "arpu", "arpa", "margin", "value"},
    PURPLE: {"customers", "buyers", "orders", "rows"},
}

class Unit(str):
    """A unit whose numbers are written as in `locale`, a Babel id: `Unit("USD", "de")` gives "12,3k"; plain text, "en"."""
    def __new__(cls, text: str, locale: str = "en"):
        unit = super().__new__(cls, text)
        unit.locale = locale
        return unit


def _house(draw):
    """The theme for one figure, over matplotlib's defaults, so that nobody's own settings change a report."""
    @wraps(draw)
    def drawn(table: pd.DataFrame, *, title: str, **options) -> Figure:
        with style.context(THEME, after_reset=True):
            if table.notna().to_numpy().any():
                return draw(table, title=title, **options)
            figure, axes = _figure(title, 1.0)
            axes.set(xticks=(), yticks=(), xlabel="No data to draw")
            return figure
    return drawn


@_house
def lines(table, *, x, y, title, unit, hue=None, band=None, target=None, x_unit="", events=None, forecast=None,
          metric=None, dashed=None) -> Figure:
    """Lines over months (periods, dates, "YYYY-MM") or numbers in `x_unit`, one row per `x` and `hue`; gaps stay gaps.

    `band` names the columns (low, high) of an interval. From the seventh series on lines are grey and unnamed.
    events : `date` and `label`; over months, the last six of them are marked, and named under the axis.
    forecast : `x`, `y` and `band`, or `low`, `high`; continues the last line. metric : an id or, by member, a dict of them.
    dashed : the members that are, where dashes say something; by default they tell the lines apart.
    """
    figure, axes = _figure(title, 3.3 + (0 if events is None else 0.18 * min(len(events), 6)), unit, target=target)
    ahead = table.head(0) if forecast is None else forecast.dropna(subset=[y]).sort_values(x)
    months = not pd.api.types.is_numeric_dtype(table[x])  # placed by their count, so that a missing one keeps its room
    if months:
        table, ahead = (frame.assign(**{x: pd.PeriodIndex(frame[x], freq="M").asi8}) for frame in (table, ahead))
    places = {*table[x], *ahead[x]}
    grid = range(min(places), max(places) + 1) if months else sorted(places)
    ends = [] if target is None else [(grid[-1], target, f"target {_text(unit, target)}")]
    for number, (member, part) in enumerate(table.groupby(hue, sort=False, dropna=False) if hue else [("", table)]):
        colour, marker, dash = SERIES[number] if number < len(SERIES) else (FAINT, "", "-")
        if metric and number < len(SERIES):
            colour = _colour(metric.get(member) if isinstance(metric, dict) else metric)
        dash = dash if dashed is None else "--" if member in dashed else "-"
        part = part.set_index(x).reindex(grid)
        values = part[y].astype(float)
        axes.plot(values.index, values, color=colour, marker=marker, linestyle=dash)
        if band:
            axes.fill_between(grid, *(part[edge].astype(float) for edge in band), color=colour, alpha=0.15, linewidth=0)
        known = values.dropna().tail(1)
        if number < len(SERIES):
            ends += [(last, end, member if hue else _text(unit, end)) for last, end in known.items()]
    if len(ahead):
        low, high = band or ("low", "high")
        path = pd.concat([pd.DataFrame({y: known, low: known, high: known}), ahead.set_index(x)[[y, low, high]].astype(float)])
        axes.plot(path[y], "--o", color=colour, markersize=6, markerfacecolor=WHITE, markevery=slice(len(known), None))
        axes.fill_between(path.index, path[low], path[high], facecolor="none", edgecolor=colour, hatch="////", linewidth=0)
        ends.append((path.index[-1], path[y].iloc[-1], f"forecast {_text(unit, path[y].iloc[-1])}"))
    _ticks_along(axes, grid, months, x_unit)
    if events is not None:
        _mark_events(axes, grid, events)
    _name_ends(axes, ends)
    return figure


@_house
def columns(table, *, x, value, title, unit, metric=None) -> Figure:
    """One column a month, from zero; the last one is labelled. table : one row per month `x`."""
    figure, axes = _figure(title, 2.8, unit)
    heights = pd.Series(table[value].astype(float).to_numpy(), pd.PeriodIndex(table[x], freq="M").asi8).sort_index()
    drawn = axes.bar(heights.index, heights.fillna(0), width=0.75, color=_colour(metric))
    axes.bar_label(drawn, [""] * (len(heights) - 1) + [_text(unit, heights.iloc[-1])], padding=2)
    _ticks_along(axes, range(heights.index[0], heights.index[-1] + 1), months=True)
    return figure


@_house
def bars(table, *, value, title, unit, target=None, ordered=True, metric=None, mark=None) -> Figure:
    """Horizontal bars from zero, the longest on top (`ordered=False`: as in the table); the index is the label.

    mark : a column that is drawn as a diamond on each bar, such as what was expected.
    """
    table = table.sort_values(value, ascending=False, kind="stable") if ordered else table
    widths = table[value].astype(float)
    figure, axes = _figure(title, 0.9 + 0.36 * len(widths), unit, widths.index, target)
    drawn = axes.barh(range(len(widths)), widths.fillna(0), height=0.66, color=_colour(metric))
    if mark is None:
        axes.bar_label(drawn, [_text(unit, width) for width in widths], padding=4)
        return figure
    marks = table[mark].astype(float)
    axes.plot(marks, range(len(table)), "D", color=INK, markeredgecolor=WHITE, markersize=7)
    for row, (width, at) in enumerate(zip(widths, marks, strict=True)):
        axes.annotate(_text(unit, width), (np.nanmax([width, at, 0]), row), (8, 0), textcoords="offset points", va="center")
    axes.set_xlabel(_label(f"{unit}: bars {value}, diamonds {mark}", 60))
    return figure


@_house
def tornado(table, *, lower, higher, title, unit) -> Figure:
    """What one step of each lever adds, down (hatched) and up (filled), from zero; as in the table, the index is the label."""
    figure, axes = _figure(title, 1.3 + 0.36 * len(table), unit, table.index)
    hatched = {"facecolor": WHITE, "edgecolor": VERMILION, "hatch": "////"}
    for column, name, look in ((lower, "a step down", hatched), (higher, "a step up", {"facecolor": BLUE, "edgecolor": BLUE})):
        widths = table[column].astype(float)
        axes.barh(range(len(table)), widths.fillna(0), height=0.66, label=name, **look)
        for row, width in enumerate(widths.fillna(0)):
            if width:
                text, side = ("+" if width > 0 else "") + _text(unit, width), 1 if width > 0 else -1
                axes.annotate(text, (width, row), (4 * side, 0), textcoords="offset points", va="center",
                              ha="left" if side > 0 else "right")
    axes.axvline(0, color=INK, linewidth=1)
    axes.margins(x=0.24)
    figure.legend(loc="outside lower left", ncols=2, frameon=False)
    return figure


@_house
def dots(table, *, value, low, high, title, unit, target=None, ordered=True, metric=None) -> Figure:
    """Estimates with intervals, the highest on top (`ordered=False`: as in the table); the index is the label."""
    table = table.sort_values(value, ascending=False, kind="stable") if ordered else table
    figure, axes = _figure(title, 0.9 + 0.4 * len(table), unit, table.index, target)
    axes.hlines(range(len(table)), table[low].astype(float), table[high].astype(float), INK, linewidth=2)
    for row, estimate in enumerate(table[value].astype(float)):
        axes.plot(estimate, row, "o", color=_colour(metric), markeredgecolor=INK, markersize=9)
        axes.annotate(_text(unit, estimate), (1.02, row), xycoords=axes.get_yaxis_transform(), va="center")
    return figure


@_house
def bullet(table, *, value, low, high, target, floor, title, unit, metric=None) -> Figure:
    """Dots, as in the table, over greys that change at `floor` and `target`; darkest is worst: left, unless less is better."""
    figure = dots(table, value=value, low=low, high=high, title=title, unit=unit, target=target, ordered=False, metric=metric)
    reach = pd.Series([0.0, floor, target, *table[[value, low, high]].astype(float).to_numpy().ravel()])
    ends = [reach.min(), *sorted([floor, target]), reach.max() + (reach.max() - reach.min()) / 20]
    for start, end, shade in zip(ends, ends[1:], (FAINT, GRID, PALE)[:: 1 if floor < target else -1], strict=False):
        figure.axes[0].barh(range(len(table)), end - start, left=start, height=0.72, color=shade, zorder=0.8)
    figure.axes[0].set(xlim=(ends[0], ends[-1]), xlabel=f"{_label(unit, 40)}\ngrey changes at {_text(unit, floor)} and target")
    return figure


@_house
def waterfall(table, *, title, unit) -> Figure:
    """What led from one total to the next. table : `label`, `value`, `kind` ("total" from zero, else "change")."""
    values, totals = table["value"].astype(float).fillna(0), (table["kind"] == "total").to_numpy()
    figure, axes = _figure(title, 0.9 + 0.36 * len(table), unit, table["label"])
    small = totals[0] and 0 < values[~totals].abs().sum() < abs(values.iloc[0]) / 5
    base, level = values.iloc[0] if small else 0.0, 0.0  # changes that could not be seen start at the first total
    for row, (value, total) in enumerate(zip(values, totals, strict=True)):
        start, level = (0.0, value - base) if total else (level, level + value)
        signed = ("+" if level > start else "") + _text(unit, level - start)
        text = signed if not total else f"{_text(unit, value)}, {signed}" if small and row else _text(unit, value)
        colour = QUIET if total else GREEN if value > 0 else VERMILION
        axes.barh(row, level - start, left=start, height=0.66, color=colour)
        axes.annotate(text, (max(start, level), row), (4, 0), textcoords="offset points", va="center")
        axes.vlines(level, row, min(row + 1, len(table) - 1), color=GREY, linewidth=1, zorder=0.9)
    if small:
        axes.set_xlabel(_label(f"change in {unit}", 60))
    return figure


@_house
def heatmap(matrix, *, title, unit, annotate=True, sizes=None, average=None) -> Figure:
    """One cell per index and column label, the names of both on the axes; unknown cells stay blank.

    sizes : by index label, written before the cells under its name. average : by column, a last row that is set apart.
    """
    import seaborn as sns  # here, as it takes longer to import than everything else together
    matrix, names = matrix.astype(float), (matrix.index.name, matrix.columns.name)
    if average is not None:
        matrix = pd.concat([matrix, average.astype(float).to_frame("average").T.reindex(["", "average"])])
    down, across = [*map(_label, matrix.index)], [_label(name, 12) for name in matrix.columns]
    if sizes is not None:
        counts = ["" if pd.isna(size) else _decimal(unit, size) for size in sizes.reindex(matrix.index)]
        down = [f"{name}  {count:\u2007>{max(map(len, counts))}}" for name, count in zip(down, counts, strict=True)]
    known = [*zip(*matrix.notna().to_numpy().nonzero(), strict=True)] if annotate else []
    cells = [_decimal(unit, f"{100 * matrix.iat[at]:.0f}") if unit.startswith("share") else _text(unit, matrix.iat[at])
             for at in known]
    cell = 0.1 * max(map(len, ["100", *across, *cells]))  # inches, so that the longest name or cell has room
    figure, axes = _figure(title, 1.2 + 0.3 * len(matrix), width=max(WIDTH, 1.5 + cell * matrix.shape[1]))
    scale = {"label": _label(unit, 40), "format": partial(_text, unit), "location": "bottom", "pad": 0.02, "aspect": 40}
    sns.heatmap(matrix, ax=axes, cmap="cividis_r", linewidths=1.5, linecolor=WHITE, cbar_kws=scale, xticklabels=across,
                yticklabels=down)
    axes.set(xlabel=_label(names[1]), ylabel=_label(names[0]))
    axes.xaxis.set(ticks_position="top", label_position="top")
    axes.tick_params(length=0, labelsize=10, rotation=0)
    shades = axes.collections[0].to_rgba([matrix.iat[at] for at in known])
    dark = np.atleast_1d(sns.utils.relative_luminance(shades)) < 0.179 if known else []  # both reach 4.5 to 1
    for at, text, white in zip(known, cells, dark, strict=True):
        axes.text(at[1] + 0.5, at[0] + 0.5, text, size=10, ha="center", va="center", color="#fefefe" if white else "#000000",
                  in_layout=False)  # it lies within its cell, and measuring hundreds takes seconds
    if sizes is not None:
        axes.annotate(_label(sizes.name), (0, 0), (-4, 5), textcoords="offset points", ha="right", va="bottom", size=10)
    return figure


@_house
def survival_curves(table, *, title, unit="share still customers") -> Figure:
    """Steps from 1 at age 0 with bands, at risk beneath: by `member` (six), `month`; survival, low, high, at_risk."""
    members, ends = [*dict.fromkeys(table["member"])][: len(SERIES)], []
    figure, axes = _figure(title, 3.3 + 0.2 * len(members), unit)
    for member, (colour, _, dash) in zip(members, SERIES, strict=False):
        curve = table[table["member"] == member].set_index("month")[["survival", "low", "high"]].astype(float)
        curve = pd.concat([pd.DataFrame(1.0, [0], curve.columns), curve[curve.index > 0].sort_index()])
        axes.step(curve.index, curve["survival"], where="post", color=colour, linestyle=dash)
        axes.fill_between(curve.index, curve["low"], curve["high"], step="post", color=colour, alpha=0.15, linewidth=0)
        ends.append((curve.index[-1], curve["survival"].iloc[-1], member))
    at_risk = table.set_index(["month", "member"])["at_risk"].map(partial(_decimal, unit)).to_dict()
    ages = range(0, table["month"].max() + 1, _step(table["month"].max(), 5))
    axes.set_xticks(ages, ["\n".join([str(t), *(at_risk.get((t, m), "") for m in members)]) for t in ages])
    axes.annotate("\n".join(["month", *(_label(member, 12) for member in members)]), (0, 0), (-34, -7), ha="right",
                  va="top", xycoords="axes fraction", textcoords="offset points", color=QUIET)
    axes.set(ylim=(0, 1.02), xlabel="months since the start, and how many were at risk then")
    _name_ends(axes, ends)
    return figure


def captioned(figure: Figure, caption: str, alt: str, data: HTML | None = None) -> HTML:
    """The figure as HTML: SVG, or PNG at twice the size where SVG is large and PNG smaller. Equal figures give equal bytes.

    caption : measure, window, source, n. alt : kind of chart, measure, window, finding; ValueError where it is empty.
    data : the table behind it, shown after the caption as it is. An SVG follows the reader's light or dark scheme.
    """
    if not alt.strip():
        raise ValueError("a figure needs an alternative text: kind of chart, measure, window and finding")
    with style.context(THEME, after_reset=True):
        if engine := figure.get_layout_engine():
            engine.execute(figure)
        figure.set_layout_engine(None)  # laid out once: a second pass takes time and would move things by a hair
        figure.savefig(file := io.BytesIO(), format="svg", metadata={"Date": None})
        source = "data:image/svg+xml," + quote(_small(file.getvalue().decode()), safe=" '/:;=(),[]{}*!+$@")
        if len(source) > SMALL:  # else a second drawing takes time and would save little
            figure.savefig(file := io.BytesIO(), format="png", dpi=192, facecolor=WHITE, metadata={"Software": None})
            source = min(source, f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}", key=len)
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    kind = 'class="chart"' if width < 100 * WIDTH else 'class="wide chart" tabindex="0"'  # the wide scroll on a phone
    page = f'<figure {kind}><img src="{{}}" alt="{{}}" width="{{}}" height="{{}}"><figcaption>{{}}</figcaption>{{}}</figure>'
    return HTML(str(Markup(page).format(Markup(source), alt, width, height, caption, Markup(data.data if data else ""))))


def _small(svg: str) -> str:
    """The drawing in the colours of both schemes, without what no reader sees: second decimals, blanks, remarks, groups' names.

    Single quotes need no escape in a page; no text from data stands in an attribute. Numbers below 1 may be scales.
    """
    svg = svg.replace("</style>", THEME.with_suffix(".css").read_text() + "</style>", 1)
    svg = svg.replace('"', "'").replace("DejaVuSans-", "g").replace("xlink:href", "href")
    svg = re.sub(r"<!DOCTYPE.*?>\n|<metadata>.*?</metadata>\n|/\*.*?\*/|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"(?<=<g) id='\w+'|((?<=[1-9]\.\d)|(?<=\d\d\.\d))\d+", "", svg)
    svg = re.sub(r"(d=')([^']*)(' transform='scale\(0\.)0", lambda m: m[1] + _outline(m[2]) + m[3], svg)
    svg = re.sub(r"(<use href='#g[-\w]+') transform='translate\(([-\d.]+) 0\)'", r"\1 x='\2'", svg)
    svg = re.sub(r"(?<= d=')[^']*", lambda m: re.sub(r"\s*([MLQCz])\s*", r"\1", m[0]), svg)
    return re.sub(r"\s*\n\s*", " ", svg)


def _outline(path: str) -> str:
    """A letter's outline by tens of its units, 2048 to its size, from point to point: a twentieth of a point off."""
    drawn, at, start = "", (0, 0), (0, 0)
    for step, numbers in re.findall(r"([MLQCz])([^MLQCz]*)", path):
        units = [round(int(unit) / 10) for unit in numbers.split()]
        points = [*zip(units[::2], units[1::2], strict=True)]
        drawn += step.lower() + " ".join(f"{x - at[0]} {y - at[1]}" for x, y in points)
        at = points[-1] if points else start
        start = at if step == "M" else start
    return drawn.replace(" -", "-")


def _colour(metric: str | None) -> str:
    words = {*str(metric).split("_")}
    return next((colour for colour, family in FAMILIES.items() if family & words), QUIET if metric else BLUE)


def _figure(title: str, height: float, unit="", rows=None, target=None, width: float = WIDTH):
    """A figure under its title (inches, without it). With `rows`, labels from the top, the axis across measures."""
    headline = textwrap.wrap(_label(title, 400), int(9 * width))
    figure = Figure((width, height + 0.2 * len(headline)), layout="constrained")
    figure.suptitle("\n".join(headline), x=0.01, ha="left", size=12, weight="bold")
    axes = figure.subplots()
    axis = axes.yaxis if rows is None else axes.xaxis
    if rows is not None:
        axes.margins(x=0.14)  # room for the labels at the ends
        axes.set(yticks=range(len(rows)), yticklabels=[*map(_two_lines, rows)], ylim=(len(rows) - 0.4, -0.6))
    if unit:
        axis.set(label_text=_label(unit, 60), major_locator=MaxNLocator(5), major_formatter=Once(partial(_text, unit)))
        axis.grid(True)
    if target is not None:
        (axes.axhline if rows is None else axes.axvline)(target, color=INK, linestyle="--", linewidth=1)
    if target is not None and rows is not None:
        axes.annotate(f"target {_text(unit, target)}", (target, 1.02), xycoords=("data", "axes fraction"), ha="center")
    return figure, axes


class Once(FuncFormatter):
    """Labels of ticks, without those that repeat one: between ticks closer than the unit is written, nothing moved."""

    def format_ticks(self, values) -> list[str]:
        labels = super().format_ticks(values)
        return ["" if label in labels[:place] else label for place, label in enumerate(labels)]


def _ticks_along(axes, grid, months: bool, unit: str = ""):
    axes.xaxis.set(label_text=_label(unit, 60), major_locator=MaxNLocator(7, integer=True))
    if months:
        ticks = grid[:: -_step(len(grid) - 1)]
        axes.set_xticks(ticks, [pd.Period(ordinal=tick, freq="M").strftime("%b\n%Y") for tick in ticks])


def _mark_events(axes, grid, events):
    """Dotted lines at the months of the last six events, numbered above; the key to the numbers is the axis label."""
    months = pd.PeriodIndex(pd.to_datetime(events["date"]), freq="M").asi8
    shown = events.assign(month=months)[(months >= grid[0]) & (months <= grid[-1])].sort_values("date", kind="stable").tail(6)
    place, key, across = -len(grid), [], axes.get_xaxis_transform()
    for number, (month, label) in enumerate(zip(shown["month"], shown["label"], strict=True), 1):
        place = max(month, place + 0.05 * (len(grid) - 1))
        axes.plot([month, month, place], [0, 1, 1.04], ":", color=QUIET, linewidth=1.2, transform=across, clip_on=False)
        axes.text(place, 1.05, str(number), transform=across, size=10, ha="center")
        key.append(f"{number}  {pd.Period(ordinal=month, freq='M').strftime('%b %Y')}: {_label(label, 34)}")
    axes.set_xlabel("\n".join(key), loc="left", size=10, linespacing=1.3)


def _step(span: int, most: int = 7) -> int:  # months between at most so many ticks
    return next(step for step in (1, 2, 3, 6, 12, 24, 48, 96, span) if span < most * step)


def _name_ends(axes, ends):
    """Names (or values) beside the last points, pushed apart so that none covers another."""
    low, high = axes.get_ylim()
    place = low - high
    for x, y, name in sorted(ends, key=lambda end: end[1]):
        place = max(y, place + 0.08 * (high - low))
        axes.annotate(_label(name, 18), (x, y), (1.04, place), textcoords=axes.get_yaxis_transform(), va="center",
                      size=10, arrowprops=LEADER)


def _label(text, width: int = 26) -> str:
    text = "" if text is None else "unknown" if pd.isna(text) else str(text)
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return (line if len(line) <= width else line[: width - 1] + "…").replace("$", r"\$")


def _two_lines(text) -> str:
    return "\n".join(textwrap.wrap(_label(text, 400), 26, max_lines=2, placeholder="…"))


def _text(unit: str, value: float, _position=None) -> str:
    """About three figures, as labels and as matplotlib's formatter: 3.14, 412, 1,234, 12.3k, 5.1%."""
    if pd.isna(value):
        return "–"
    if unit.startswith("share"):
        return _decimal(unit, round(100 * value, 1)) + "%"
    scales = ((1e9, 1e9, "bn"), (1e6, 1e6, "M"), (1e4, 1e3, "k"), (0, 1, ""))
    scaled, suffix = next((value / divisor, suffix) for limit, divisor, suffix in scales if abs(value) >= limit)
    return _decimal(unit, f"{scaled:.0f}" if abs(scaled) >= 100 else f"{scaled:.3g}") + suffix


def _decimal(unit: str, value) -> str:
    number = Decimal(str(value)) + 0  # no minus before a zero
    return format_decimal(number, locale=getattr(unit, "locale", "en"), decimal_quantization=False).replace("-", "−")
