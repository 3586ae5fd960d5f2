"""House charts: a tidy table in, a matplotlib `Figure` out; `captioned` makes it HTML.

The title is the finding, the axes carry the unit; one that starts with "share" is drawn in percent. Values are placed,
never computed. Text from data is never read as math, and is cut where long. Series differ by marker and dash as well as
by colour, and are named beside their last point. A table without values gives a figure that says so. No pyplot.
"""

import base64
import io
import textwrap
from functools import partial, wraps
from pathlib import Path

import pandas as pd
from IPython.display import HTML
from markupsafe import Markup
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

THEME = Path(__file__).parent / "template" / "charts.mplstyle"
SMALL = 64_000  # characters of an embedded image
WIDTH = 5.4  # inches; at a phone's 360 pixels 10 points are then 9 pixels high, 11 points 10
INK, QUIET, FAINT, WHITE = "#1a1a1a", "#595959", "#bdbdbd", "#ffffff"
BLUE, VERMILION, GREEN, PURPLE, GREY = PALETTE = ("#0173B2", "#D55E00", "#029E73", "#CC78BC", "#949494")
SERIES = [*zip((*PALETTE, INK), "os^Dv*", ("-", "--", "-.", ":", (0, (8, 2)), (0, (3, 1, 1, 1))), strict=True)]


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
def lines(table, *, x, y, title, unit, hue=None, band=None, target=None, x_unit="") -> Figure:
    """Lines over months (periods, dates, "YYYY-MM") or numbers in `x_unit`, one row per `x` and `hue`; gaps stay gaps.

    `band` names the columns (low, high) of an interval. From the seventh series on lines are grey and unnamed.
    """
    figure, axes = _figure(title, 3.3, unit, target=target)
    months = not pd.api.types.is_numeric_dtype(table[x])  # placed by their count, so that a missing one keeps its room
    table = table.assign(**{x: pd.PeriodIndex(table[x], freq="M").asi8}) if months else table
    grid = range(table[x].min(), table[x].max() + 1) if months else sorted({*table[x]})
    ends = [] if target is None else [(grid[-1], target, f"target {_text(unit, target)}", INK)]
    for number, (member, part) in enumerate(table.groupby(hue, sort=False, dropna=False) if hue else [("", table)]):
        colour, marker, dash = SERIES[number] if number < len(SERIES) else (FAINT, "", "-")
        part = part.set_index(x).reindex(grid)
        values = part[y].astype(float)
        axes.plot(values.index, values, color=colour, marker=marker, linestyle=dash)
        if band:
            axes.fill_between(grid, *(part[edge].astype(float) for edge in band), color=colour, alpha=0.15, linewidth=0)
        if number < len(SERIES) and values.notna().any():
            last = values.last_valid_index()
            ends.append((last, values[last], member if hue else _text(unit, values[last]), colour))
    _ticks_along(axes, grid, months, x_unit)
    _name_ends(axes, ends)
    return figure


@_house
def columns(table, *, x, value, title, unit) -> Figure:
    """One column a month, from zero; the last one is labelled. table : one row per month `x`."""
    figure, axes = _figure(title, 2.8, unit)
    heights = pd.Series(table[value].astype(float).to_numpy(), pd.PeriodIndex(table[x], freq="M").asi8).sort_index()
    drawn = axes.bar(heights.index, heights.fillna(0), width=0.75, color=BLUE)
    axes.bar_label(drawn, [""] * (len(heights) - 1) + [_text(unit, heights.iloc[-1])], padding=2)
    _ticks_along(axes, range(heights.index[0], heights.index[-1] + 1), months=True)
    return figure


@_house
def bars(table, *, value, title, unit, target=None, ordered=True) -> Figure:
    """Horizontal bars from zero, the longest on top (`ordered=False`: as in the table); the index is the label."""
    widths = (table.sort_values(value, ascending=False, kind="stable") if ordered else table)[value].astype(float)
    figure, axes = _figure(title, 0.9 + 0.36 * len(widths), unit, widths.index, target)
    drawn = axes.barh(range(len(widths)), widths.fillna(0), height=0.66, color=BLUE)
    axes.bar_label(drawn, [_text(unit, width) for width in widths], padding=4)
    return figure


@_house
def dots(table, *, value, low, high, title, unit, target=None, ordered=True) -> Figure:
    """Estimates with intervals, the highest on top (`ordered=False`: as in the table); the index is the label."""
    table = table.sort_values(value, ascending=False, kind="stable") if ordered else table
    figure, axes = _figure(title, 0.9 + 0.46 * len(table), unit, table.index, target)
    axes.hlines(range(len(table)), table[low].astype(float), table[high].astype(float), BLUE, linewidth=3, alpha=0.5)
    for row, estimate in enumerate(table[value].astype(float)):
        axes.plot(estimate, row, "o", color=BLUE, markersize=8)
        axes.annotate(_text(unit, estimate), (estimate, row), (0, 7), textcoords="offset points", ha="center", size=10)
    return figure


@_house
def waterfall(table, *, title, unit) -> Figure:
    """What led from one total to the next. table : `label`, `value`, `kind` ("total" from zero, else "change")."""
    figure, axes = _figure(title, 0.9 + 0.36 * len(table), unit, table["label"])
    level = 0.0
    for row, (value, kind) in enumerate(zip(table["value"].astype(float).fillna(0), table["kind"], strict=True)):
        start, level = (0.0, value) if kind == "total" else (level, level + value)
        colour, sign = (QUIET, "") if kind == "total" else (GREEN, "+") if value > 0 else (VERMILION, "")
        drawn = axes.barh(row, value, left=start, height=0.66, color=colour)
        axes.bar_label(drawn, [sign + _text(unit, value)], padding=4)
        axes.vlines(level, row, min(row + 1, len(table) - 1), color=GREY, linewidth=1, zorder=0.9)
    return figure


@_house
def heatmap(matrix, *, title, unit, annotate=True) -> Figure:
    """One cell per index and column label, the names of both on the axes; unknown cells stay blank."""
    import seaborn as sns  # here, as it takes longer to import than everything else together

    matrix = matrix.astype(float)
    across = [_label(name, 12) for name in matrix.columns]
    cell = max(0.52, 0.1 * max(map(len, across), default=0))  # inches, so that the longest name has room
    figure, axes = _figure(title, 1.0 + 0.34 * len(matrix), width=max(WIDTH, 1.9 + cell * matrix.shape[1]))
    scale = {"label": _label(unit, 40), "format": partial(_text, unit), "pad": 0.02}
    sns.heatmap(matrix, ax=axes, cmap="cividis_r", linewidths=1.5, linecolor=WHITE, cbar_kws=scale,
                xticklabels=across, yticklabels=[*map(_label, matrix.index)])
    axes.set(xlabel=_label(matrix.columns.name), ylabel=_label(matrix.index.name))
    axes.tick_params(length=0, labelsize=10, rotation=0)
    for row, column in zip(*matrix.notna().to_numpy().nonzero(), strict=True) if annotate else ():
        value = matrix.iloc[row, column]
        text = f"{100 * value:.1f}" if unit.startswith("share") else _text(unit, value)
        dark = sns.utils.relative_luminance(axes.collections[0].to_rgba(value)) < 0.179  # there both reach 4.6 to 1
        axes.text(column + 0.5, row + 0.5, text, size=10, ha="center", va="center", color=WHITE if dark else "#000000")
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
        ends.append((curve.index[-1], curve["survival"].iloc[-1], member, colour))
    at_risk = table.set_index(["month", "member"])["at_risk"].map("{:,.0f}".format).to_dict()
    ages = range(0, table["month"].max() + 1, _step(table["month"].max(), 5))
    axes.set_xticks(ages, ["\n".join([str(t), *(at_risk.get((t, m), "") for m in members)]) for t in ages])
    axes.annotate("\n".join(["month", *(_label(member, 12) for member in members)]), (0, 0), (-34, -7), ha="right",
                  va="top", xycoords="axes fraction", textcoords="offset points", color=QUIET)
    axes.set(ylim=(0, 1.02), xlabel="months since the start, and how many were at risk then")
    _name_ends(axes, ends)
    return figure


def captioned(figure: Figure, caption: str, alt: str) -> HTML:
    """The figure as HTML: SVG, or PNG at twice the size where SVG is large and PNG smaller. Equal figures give equal bytes.

    caption : measure, window, source, n. alt : kind of chart, measure, window, finding; ValueError where it is empty.
    """
    if not alt.strip():
        raise ValueError("a figure needs an alternative text: kind of chart, measure, window and finding")
    images = []
    with style.context(THEME, after_reset=True):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once: a second pass would move things by a hair
        for mime, metadata in (("svg+xml", {"Date": None}), ("png", {"Software": None})):
            figure.savefig(file := io.BytesIO(), format=mime[:3], dpi=192, metadata=metadata)
            images.append(f"data:image/{mime};base64,{base64.b64encode(file.getvalue()).decode()}")
            if len(images[0]) < SMALL:
                break  # a second drawing takes time and would save little
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    kind = 'class="chart"' if width < 100 * WIDTH else 'class="wide chart" tabindex="0"'  # the wide scroll on a phone
    page = '><img src="{}" alt="{}" width="{}" height="{}"><figcaption>{}</figcaption></figure>'
    return HTML(f"<figure {kind}" + str(Markup(page).format(min(images, key=len), alt, width, height, caption)))


def _figure(title: str, height: float, unit="", rows=None, target=None, width: float = WIDTH):
    """A figure under its title (inches, without it). With `rows`, labels from the top, the axis across measures."""
    headline = textwrap.wrap(_label(title, 400), int(9 * width))
    figure = Figure((width, height + 0.2 * len(headline)), layout="constrained")
    figure.suptitle("\n".join(headline), x=0.01, ha="left", size=12, weight="bold")
    axes = figure.subplots()
    axis = axes.yaxis if rows is None else axes.xaxis
    if rows is not None:
        axes.margins(x=0.14)  # room for the labels at the ends
        axes.set(yticks=range(len(rows)), yticklabels=[_label(row) for row in rows], ylim=(len(rows) - 0.4, -0.6))
    if unit:
        axis.set(label_text=_label(unit, 60), major_locator=MaxNLocator(5), major_formatter=partial(_text, unit))
        axis.grid(True)
    if target is not None and rows is None:
        axes.axhline(target, color=INK, linestyle="--", linewidth=1)
    elif target is not None:
        axes.axvline(target, color=INK, linestyle="--", linewidth=1)
        axes.annotate(f"target {_text(unit, target)}", (target, 1.02), xycoords=("data", "axes fraction"), ha="center")
    return figure, axes


def _ticks_along(axes, grid, months: bool, unit: str = ""):
    axes.xaxis.set(label_text=_label(unit, 60), major_locator=MaxNLocator(7, integer=True))
    if months:
        ticks = grid[:: -_step(len(grid) - 1)]
        axes.set_xticks(ticks, [pd.Period(ordinal=tick, freq="M").strftime("%b\n%Y") for tick in ticks])


def _step(span: int, most: int = 8) -> int:  # months between at most so many ticks
    return next(step for step in (1, 2, 3, 6, 12, 24, 48, 96, span) if span < most * step)


def _name_ends(axes, ends):
    """Names (or values) beside the last points, pushed apart so that none covers another."""
    low, high = axes.get_ylim()
    place = low - high
    for x, y, name, colour in sorted(ends, key=lambda end: end[1]):
        place = max(y, place + 0.08 * (high - low))
        axes.annotate(_label(name, 18), (x, y), (1.04, place), textcoords=axes.get_yaxis_transform(), va="center",
                      size=10, arrowprops={"arrowstyle": "-", "color": colour, "shrinkA": 2, "shrinkB": 3})


def _label(text, width: int = 26) -> str:
    text = "" if text is None else "unknown" if pd.isna(text) else str(text)
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return (line if len(line) <= width else line[: width - 1] + "…").replace("$", r"\$")


def _text(unit: str, value: float, _position=None) -> str:
    """About three figures, as labels and as matplotlib's formatter: 3.14, 412, 1,234, 12.3k, 5.1%."""
    if pd.isna(value):
        return "–"
    if unit.startswith("share"):
        return f"{round(100 * value, 1) + 0:,g}%".replace("-", "−")
    scales = ((1e9, 1e9, "bn"), (1e6, 1e6, "M"), (1e4, 1e3, "k"), (0, 1, ""))
    scaled, suffix = next((value / divisor, suffix) for limit, divisor, suffix in scales if abs(value) >= limit)
    return (f"{scaled:,.0f}" if abs(scaled) >= 100 else f"{scaled:.3g}").replace("-", "−") + suffix
