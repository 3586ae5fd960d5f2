"""Charts place values and state units; nothing in them depends on the machine, and no label is read as math."""

import re
import shutil
from base64 import b64decode
from datetime import date
from io import BytesIO
from urllib.parse import unquote

import matplotlib
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from IPython.display import HTML
from matplotlib import pyplot
from matplotlib.cbook import is_math_text
from matplotlib.colors import to_hex, to_rgb
from matplotlib.image import imread
from matplotlib.text import Text

from helpers import charts

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DARK = "#15181c"                                                 # the page's ground in the dark scheme
HOSTILE = r"</text><script>alert(1)</script> $\frac{$ & 'x' \$5"


@pytest.fixture
def months():
    return pd.DataFrame({"month": ["2025-01", "2025-02", "2025-04"] * 2, "channel": ["search"] * 3 + ["social"] * 3,
                         "nrr": [1.0, 1.02, 1.01, 0.9, 0.91, np.nan], "low": 0.8, "high": 1.1})


@pytest.fixture
def channels():
    return pd.DataFrame({"ltv": [100.0, 300.0, np.nan, 200.0], "low": [90.0, 250.0, np.nan, 150.0],
                         "high": [110.0, 350.0, np.nan, 260.0]}, index=["a", "b", "unknown", HOSTILE])


@pytest.fixture
def survival():
    return pd.DataFrame({"member": ["pro", "pro", HOSTILE], "month": [1, 2, 1], "survival": [0.9, 0.8, 0.5],
                         "low": [0.8, 0.7, 0.4], "high": [1.0, 0.9, 0.6], "at_risk": [1200, 900, 40]})


@pytest.fixture
def cohorts():
    return pd.DataFrame([[1.0, 0.504, 0.25], [1.0, 0.6, np.nan], [1.0, np.nan, np.nan]],
                        pd.Index(["2025-04", "2025-05", HOSTILE], name="cohort"), pd.Index(range(3), name="age"))


@pytest.fixture
def bridge():
    return pd.DataFrame({"label": ["May", "new", "churn", "June"], "value": [100.0, 20.0, -30.0, 90.0],
                         "kind": ["total", "change", "change", "total"]})


@pytest.fixture
def events():
    return pd.DataFrame({"date": [date(2025, 2, 3), date(2025, 1, 20)], "label": ["Price rise", HOSTILE]})


@pytest.fixture
def forecast():
    return pd.DataFrame({"month": ["2025-06", "2025-05"], "nrr": [1.2, 1.1], "low": [1.0, 0.9], "high": [1.4, 1.3]})


@pytest.fixture
def figures(months, channels, survival, cohorts, bridge, events, forecast):
    """One of each, titled with hostile text."""
    return lambda: {
        "lines": charts.lines(months, x="month", y="nrr", hue="channel", band=("low", "high"), title=HOSTILE,
                              unit="share of revenue kept", target=1),
        "forecast": charts.lines(months.head(3), x="month", y="nrr", title=HOSTILE, unit="USD", events=events,
                                 forecast=forecast),
        "columns": charts.columns(months.head(3), x="month", value="nrr", title=HOSTILE, unit=HOSTILE),
        "bars": charts.bars(channels, value="ltv", title=HOSTILE, unit="USD per customer", target=150),
        "marked bars": charts.bars(channels, value="ltv", mark="high", title=HOSTILE, unit="USD"),
        "tornado": charts.tornado(channels - 200, lower="low", higher="high", title=HOSTILE, unit="USD"),
        "dots": charts.dots(channels, value="ltv", low="low", high="high", title=HOSTILE, unit="USD"),
        "waterfall": charts.waterfall(bridge, title=HOSTILE, unit="USD"),
        "bullet": charts.bullet(channels, value="ltv", low="low", high="high", floor=100, target=200, title=HOSTILE,
                                unit="USD"),
        "heatmap": charts.heatmap(cohorts, title=HOSTILE, unit="share still customers", average=cohorts.mean(),
                                  sizes=pd.Series([1200, 80, 7], cohorts.index, name=HOSTILE)),
        "survival_curves": charts.survival_curves(survival, title=HOSTILE),
    }


def texts(figure) -> list[str]:
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def svg(figure) -> str:
    return unquote(BeautifulSoup(charts.captioned(figure, "c", "a").data, "html.parser").img["src"].split(",", 1)[1])


def contrast(first, second) -> float:
    """WCAG 2.2, "contrast ratio" and "relative luminance"."""
    def luminance(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_wcags():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)      # by definition
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)    # the lightest grey that passes AA


@pytest.fixture(scope="module")
def dark():
    """What `charts.css` makes of each colour in the dark scheme."""
    rule = r'\[style\*="(fill|stroke): (#\w{6})"\] \{ (\w+): (#\w{6}) !important \}'
    found = re.findall(rule, charts.THEME.with_suffix(".css").read_text())
    assert len(found) == 11 and all(part == same for part, _, same, _ in found)
    return {(part, light): shade for part, light, _, shade in found}


def test_lines_and_bars_stand_out_and_text_can_be_read(dark):
    for part in ("fill", "stroke"):                              # WCAG 1.4.11 and 1.4.3
        assert dark[part, "#ffffff"] == DARK
        assert all(contrast(colour, ground) >= 3 for colour in charts.PALETTE for ground in ("#ffffff", DARK))
        assert all(contrast(ink, "#ffffff") >= 4.5 <= contrast(dark[part, ink], DARK) for ink in (charts.INK, charts.QUIET))


def test_dots_and_intervals_stand_out_on_the_greys_of_a_bullet(dark):
    for band in (charts.FAINT, charts.GRID, charts.PALE):
        assert contrast(charts.INK, band) >= 3 <= contrast(dark["stroke", charts.INK], dark["fill", band])


def test_every_colour_that_is_drawn_is_a_series_or_has_a_dark_twin(figures, dark):
    for name, figure in figures().items():
        page = svg(figure)
        assert "svg { background: #ffffff } @media screen and (prefers-color-scheme: dark)" in page, name
        if name != "heatmap":                                    # cells keep their colours, and the text on them its own
            series = {(part, colour.lower()) for part in ("fill", "stroke") for colour in charts.PALETTE}
            drawn = {*re.findall(r"(fill|stroke): (#\w{6})", page[page.index("</style>"):])}
            assert drawn and drawn <= {*dark, *series}, name


def test_figures_bring_no_ground_of_their_own(figures):
    for name, figure in figures().items():
        assert {figure.get_facecolor()[3], *(axes.get_facecolor()[3] for axes in figure.axes)} == {0}, name


@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
def test_an_image_follows_the_scheme_of_its_reader_and_stays_dark_on_white_in_print(bridge):
    from playwright.sync_api import sync_playwright

    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    css = ("html { color-scheme: light dark } body { margin: 0 } "
           f"@media screen and (prefers-color-scheme: dark) {{ body {{ background: {DARK} }} }}")
    page = (f'<meta http-equiv="Content-Security-Policy" content="{policy}"><style>{css}</style>'
            + charts.captioned(charts.waterfall(bridge, title="t", unit="USD"), "c", "a").data)
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        shots, prints = [], []
        for scheme in ("light", "dark"):
            tab = browser.new_context(color_scheme=scheme).new_page()
            tab.set_content(page)
            shots.append(imread(BytesIO(tab.locator("img").screenshot()))[..., :3])
            prints.append(re.sub(rb"/(CreationDate|ModDate|Producer|Creator) ?\([^)]*\)", b"", tab.pdf(print_background=True)))
        browser.close()
    assert [shot[2, 2].tolist() for shot in shots] == [pytest.approx(to_rgb(ground), abs=0.01) for ground in ("white", DARK)]
    assert shots[0].min() < 0.15 and shots[1].max() > 0.85           # dark text, light text
    assert prints[0] == prints[1]


def test_a_png_has_a_white_ground():
    shades = pd.DataFrame([[row * column for column in range(40)] for row in range(40)])
    figure = charts.heatmap(shades, title="t", unit="n", annotate=False)
    source = BeautifulSoup(charts.captioned(figure, "c", "a").data, "html.parser").img["src"]
    assert source.startswith("data:image/png")
    assert imread(BytesIO(b64decode(source.split(",")[1])))[2, 2].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(("metric", "colour"), [
    ("mrr", "BLUE"), ("average_order_value", "BLUE"), ("logo_churn_rate", "VERMILION"), ("cac_paid", "VERMILION"),
    ("gross_revenue_churn_rate", "VERMILION"), ("ltv_to_cac", "GREEN"), ("nrr_12m", "GREEN"), ("active_customers", "PURPLE"),
    ("churned_customers", "VERMILION"), ("quick_ratio", "QUIET"), (None, "BLUE"),
])
def test_a_metric_has_the_colour_of_its_family_in_every_chart(months, channels, metric, colour):
    three = months.head(3)
    given = {"title": "t", "unit": "USD", "metric": metric}
    drawn = [
        charts.lines(three, x="month", y="nrr", **given).axes[0].lines[0].get_color(),
        charts.columns(three, x="month", value="nrr", **given).axes[0].patches[0].get_facecolor(),
        charts.bars(channels, value="ltv", **given).axes[0].patches[0].get_facecolor(),
        charts.dots(channels, value="ltv", low="low", high="high", **given).axes[0].lines[0].get_markerfacecolor(),
    ]
    assert {to_rgb(found) for found in drawn} == {to_rgb(getattr(charts, colour))}


def test_two_metrics_of_one_family_differ_by_marker_and_dash(months):
    axes = charts.lines(months, x="month", y="nrr", hue="channel", title="t", unit="share",
                        metric={"search": "grr", "social": "nrr"}).axes[0]
    assert [line.get_color() for line in axes.lines] == [charts.GREEN] * 2
    assert axes.lines[0].get_marker() != axes.lines[1].get_marker()
    assert axes.lines[0].get_linestyle() != axes.lines[1].get_linestyle()


def test_series_differ_without_colour():
    markers, dashes = zip(*((marker, str(dash)) for _, marker, dash in charts.SERIES), strict=True)
    assert len({*markers}) == len({*dashes}) == len(charts.SERIES)


def test_series_without_a_metric_differ_by_colour_too(months):
    axes = charts.lines(months, x="month", y="nrr", hue="channel", title="t", unit="share").axes[0]
    assert [line.get_color() for line in axes.lines] == [charts.BLUE, charts.VERMILION]


def test_labels_are_drawn_as_they_are_and_never_as_math(figures):
    for name, figure in figures().items():
        assert any("$" in text for text in texts(figure)), name
        assert not any(is_math_text(text) for text in texts(figure)), name
        charts.captioned(figure, HOSTILE, HOSTILE)                   # `$\frac{$` as math would raise


def test_text_from_data_cannot_leave_the_image(figures):
    page = BeautifulSoup(charts.captioned(figures()["bars"], HOSTILE, HOSTILE)._repr_html_(), "html.parser")
    assert [tag.name for tag in page.contents] == ["figure"] and page.script is None
    assert (page.img["alt"], page.figcaption.text) == (HOSTILE, HOSTILE)


def test_equal_tables_give_equal_bytes_whatever_the_readers_settings(figures):
    first = {name: charts.captioned(figure, "c", "a").data for name, figure in figures().items()}
    with matplotlib.rc_context({"font.size": 30, "svg.hashsalt": "other", "axes.grid": True, "figure.dpi": 50}):
        second = {name: charts.captioned(figure, "c", "a").data for name, figure in figures().items()}
    assert first == second


def test_showing_a_figure_twice_moves_nothing(figures):
    figure = figures()["lines"]
    assert charts.captioned(figure, "c", "a").data == charts.captioned(figure, "c", "a").data


def test_drawing_leaves_no_state_behind(figures):
    settings = {name for name in matplotlib.rcParams if name != "backend"}         # pyplot's own, chosen when asked
    before = {name: matplotlib.rcParams[name] for name in settings}
    charts.captioned(figures()["heatmap"], "c", "a")
    assert pyplot.get_fignums() == [] and {name: matplotlib.rcParams[name] for name in settings} == before


def test_tables_are_left_as_they_are(figures, months, channels, survival, cohorts, bridge):
    before = [table.copy(deep=True) for table in (months, channels, survival, cohorts, bridge)]
    figures()
    for table, copy in zip((months, channels, survival, cohorts, bridge), before, strict=True):
        pd.testing.assert_frame_equal(table, copy)


def test_every_chart_names_its_finding_and_its_unit(figures):
    for name, figure in figures().items():
        assert figure.get_suptitle().startswith("</text>"), name
        labels = " ".join(f"{axes.get_xlabel()} {axes.get_ylabel()}" for axes in figure.axes)
        assert any(unit in labels for unit in ("share", "USD", "script")), name


def test_letters_are_nine_pixels_or_more_on_a_phone(figures):
    for name, figure in figures().items():
        points = min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text())
        assert points / 72 * 358 / figure.get_figwidth() >= 9, name     # 390 pixels less the margins


def test_a_month_without_a_value_is_a_gap(months):
    axes = charts.lines(months, x="month", y="nrr", hue="channel", title="t", unit="share").axes[0]
    search, social = (line.get_ydata() for line in axes.lines)
    np.testing.assert_array_equal(search, [1.0, 1.02, np.nan, 1.01])         # no row for March
    np.testing.assert_array_equal(social, [0.9, 0.91, np.nan, np.nan])
    assert [label.get_text() for label in axes.get_xticklabels()][0] == "Apr\n2025"     # the last month has a tick


@pytest.mark.parametrize("kind", [str, pd.Timestamp, pd.Period, lambda month: pd.Timestamp(month).date()])
def test_months_are_text_dates_or_periods(months, kind):
    table = months.head(3).assign(month=[kind(month) for month in months["month"].head(3)])
    axes = charts.lines(table, x="month", y="nrr", title="t", unit="share").axes[0]
    assert [*np.diff(axes.lines[0].get_xdata())] == [1, 1, 1] and len(axes.get_xticks()) == 4


def test_a_figure_that_hardly_moves_has_no_label_twice():
    frame = pd.DataFrame({"month": [f"2025-{month:02d}" for month in range(1, 7)], "margin": 0.778 + np.arange(6) * 1e-5})
    figure = charts.lines(frame, x="month", y="margin", title="The margin stood still", unit="share")
    figure.canvas.draw()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) > 2 and [label for label in labels if label] == ["77.8%"]


@pytest.mark.parametrize(("count", "ticks"), [(7, 7), (8, 4), (13, 7), (15, 5), (25, 5)])
def test_ticks_of_months_have_room_on_a_phone(count, ticks):
    table = pd.DataFrame({"month": pd.period_range("2023-01", periods=count, freq="M").astype(str), "rows": 1})
    assert len(charts.columns(table, x="month", value="rows", title="t", unit="rows").axes[0].get_xticks()) == ticks


def test_names_at_the_ends_do_not_cover_each_other():
    close = pd.DataFrame({"age": [0, 1] * 6, "y": [0, 1.0, 0, 1.001, 0, 1.002, 0, 1.003, 0, 1.004, 0, 0.2],
                          "who": np.repeat([*"abcdef"], 2)})
    figure = charts.lines(close, x="age", y="y", hue="who", title="t", unit="USD")
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]        # without the leaders
    assert len(boxes) == 6 and not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_events_are_numbered_at_their_months_and_named_beneath(months, events):
    axes = charts.lines(months.head(3), x="month", y="nrr", title="t", unit="share", events=events).axes[0]
    january, february = (pd.Period(month, freq="M").ordinal for month in ("2025-01", "2025-02"))
    assert [line.get_xdata()[0] for line in axes.lines[1:]] == [january, february]       # by date, not as given
    assert {line.get_linestyle() for line in axes.lines[1:]} == {":"}
    first, second = axes.get_xlabel().split("\n")
    assert first.startswith("1  Jan 2025: </text>") and first.endswith("…") and second == "2  Feb 2025: Price rise"


def test_at_most_six_events_are_marked_and_the_later_ones_win(months):
    eight = pd.DataFrame({"date": pd.to_datetime([f"2025-02-0{day}" for day in range(1, 9)]), "label": [*"abcdefgh"]})
    axes = charts.lines(months.head(3), x="month", y="nrr", title="t", unit="share", events=eight).axes[0]
    assert [line[-1] for line in axes.get_xlabel().split("\n")] == [*"cdefgh"]


def test_events_off_the_axis_are_left_out(months):
    axes = charts.lines(months.head(3), x="month", y="nrr", title="t", unit="share", events=pd.DataFrame({
        "date": pd.to_datetime(["2024-12-31", "2025-01-01", "2025-04-30", "2025-05-01", None]), "label": [*"abcde"]})).axes[0]
    assert axes.get_xlabel() == "1  Jan 2025: b\n2  Apr 2025: c"


def test_numbers_of_events_do_not_cover_each_other():
    long = pd.DataFrame({"month": pd.period_range("2021-01", periods=60, freq="M").astype(str), "v": range(60)})
    days = ["2023-01-01", "2023-01-01", "2023-01-01", "2023-02-01", "2023-03-01", "2025-12-01"]
    crowd = pd.DataFrame({"date": pd.to_datetime(days), "label": "x"})
    figure = charts.lines(long, x="month", y="v", title="t", unit="USD", events=crowd)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text() in "123456"]
    assert len(boxes) == 6 and not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_forecast_stands_apart_from_the_last_actual_on(months, forecast):
    axes = charts.lines(months.head(3), x="month", y="nrr", title="t", unit="USD", forecast=forecast).axes[0]
    actual, ahead = axes.lines
    april = pd.Period("2025-04", freq="M").ordinal
    np.testing.assert_array_equal(actual.get_ydata(), [1.0, 1.02, np.nan, 1.01, np.nan, np.nan])
    assert [*zip(ahead.get_xdata(), ahead.get_ydata(), strict=True)] == [(april, 1.01), (april + 1, 1.1), (april + 2, 1.2)]
    assert (actual.get_linestyle(), ahead.get_linestyle()) == ("-", "--")
    assert (ahead.get_markerfacecolor(), ahead.get_markevery()) == (charts.WHITE, slice(1, None))       # hollow, not at April
    interval, = axes.collections
    assert interval.get_hatch() and interval.get_facecolor().size == 0
    assert interval.get_datalim(axes.transData).intervaly.tolist() == [0.9, 1.4]
    assert [text.get_text() for text in axes.texts] == ["1.01", "forecast 1.2"]


def test_a_forecast_takes_the_columns_of_the_band_and_may_be_unknown(months, forecast):
    renamed = forecast.rename(columns={"low": "from", "high": "to"}).assign(nrr=[np.nan, 1.1])
    axes = charts.lines(months.head(3).rename(columns={"low": "from", "high": "to"}), x="month", y="nrr", band=("from", "to"),
                        title="t", unit="USD", forecast=renamed).axes[0]
    assert axes.lines[1].get_ydata().tolist() == [1.01, 1.1]
    none = charts.lines(months.head(3), x="month", y="nrr", title="t", unit="USD", forecast=forecast.assign(nrr=np.nan)).axes[0]
    assert len(none.lines) == 1 and [text.get_text() for text in none.texts] == ["1.01"]


def test_dashes_can_say_which_members_are_dashed(months):
    axes = charts.lines(months, x="month", y="nrr", hue="channel", title="t", unit="share", dashed=["social"]).axes[0]
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--"]
    axes = charts.lines(months, x="month", y="nrr", hue="channel", title="t", unit="share", dashed=[]).axes[0]
    assert [line.get_linestyle() for line in axes.lines] == ["-", "-"]


def test_from_the_seventh_series_on_lines_are_background():
    many = pd.DataFrame({"age": [0, 1] * 8, "y": range(16), "who": np.repeat([*"abcdefgh"], 2)})
    axes = charts.lines(many, x="age", y="y", hue="who", title="t", unit="USD").axes[0]
    assert sorted(text.get_text() for text in axes.texts) == [*"abcdef"]
    assert [line.get_color() for line in axes.lines][6:] == [charts.FAINT] * 2


def test_a_band_reaches_from_low_to_high(months):
    axes = charts.lines(months.head(2), x="month", y="nrr", band=("low", "high"), title="t", unit="share").axes[0]
    assert axes.collections[0].get_datalim(axes.transData).intervaly.tolist() == [0.8, 1.1]


def test_the_longest_bar_is_on_top_and_unknown_is_a_dash(channels):
    axes = charts.bars(channels, value="ltv", title="t", unit="USD").axes[0]
    assert [bar.get_width() for bar in axes.patches] == [300, 200, 100, 0]
    assert [text.get_text() for text in axes.texts] == ["300", "200", "100", "–"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    given = charts.bars(channels, value="ltv", title="t", unit="USD", ordered=False).axes[0]
    assert [bar.get_width() for bar in given.patches] == [100, 300, 0, 200]


def test_a_mark_lies_on_its_bar_and_the_label_beyond_both(channels):
    axes = charts.bars(channels, value="ltv", mark="high", title="t", unit="USD").axes[0]
    assert axes.lines[0].get_marker() == "D" and list(axes.lines[0].get_xdata())[:3] == [350, 260, 110]
    assert [label.xy[0] for label in axes.texts] == [350, 260, 110, 0]
    assert [label.get_text() for label in axes.texts] == ["300", "200", "100", "–"]
    assert axes.get_xlabel() == "USD: bars ltv, diamonds high"


def test_a_tornado_grows_from_zero_to_both_sides_in_the_order_of_its_table():
    steps = pd.DataFrame({"lower": [30.0, -5.0, np.nan], "higher": [-20.0, 5.0, 0.0]}, index=["churn", "price", "unknown"])
    figure = charts.tornado(steps, lower="lower", higher="higher", title="t", unit="USD")
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [30, -5, 0, -20, 5, 0]
    assert {bar.get_x() for bar in axes.patches} == {0}
    assert [label.get_text() for label in axes.texts] == ["+30", "−5", "−20", "+5"]
    assert [label.get_ha() for label in axes.texts] == ["left", "right", "right", "left"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["churn", "price", "unknown"]
    assert [label.get_text() for label in figure.legends[0].get_texts()] == ["a step down", "a step up"]
    assert axes.patches[0].get_hatch() and not axes.patches[3].get_hatch()      # told apart without colour


def test_bars_and_columns_start_at_zero(channels, months):
    assert charts.bars(channels, value="ltv", title="t", unit="USD").axes[0].get_xlim()[0] <= 0
    assert charts.columns(months.head(3), x="month", value="nrr", title="t", unit="USD").axes[0].get_ylim()[0] == 0


def test_a_target_is_a_line_across(channels):
    axes = charts.dots(channels, value="ltv", low="low", high="high", title="t", unit="USD", target=150).axes[0]
    assert [150, 150] in [line.get_xdata() for line in axes.lines]
    assert "target 150" in [text.get_text() for text in axes.texts]


def test_dots_reach_from_low_to_high_in_the_order_of_the_values(channels):
    axes = charts.dots(channels, value="ltv", low="low", high="high", title="t", unit="USD").axes[0]
    assert [line.get_xdata()[0] for line in axes.lines][:3] == [300, 200, 100]
    spans = [segment[:, 0].tolist() for segment in axes.collections[0].get_segments() if segment.size]
    assert spans == [[250, 350], [150, 260], [90, 110]]


def test_unknown_dots_and_bullets_say_so(channels):
    given = {"value": "ltv", "low": "low", "high": "high", "title": "t", "unit": "USD"}
    for figure in (charts.dots(channels, ordered=False, target=2, **given),
                   charts.bullet(channels, floor=1, target=2, **given)):
        assert [text.get_text() for text in figure.axes[0].texts] == ["target 2", "100", "300", "–", "200"]


@pytest.mark.parametrize(("floor", "target", "shades"), [(150, 200, ("FAINT", "GRID", "PALE")),
                                                         (200, 150, ("PALE", "GRID", "FAINT"))])
def test_the_greys_of_a_bullet_change_at_the_floor_and_the_target(channels, floor, target, shades):
    axes = charts.bullet(channels, value="ltv", low="low", high="high", floor=floor, target=target, title="t",
                         unit="USD").axes[0]
    bands = [(bar.get_x(), bar.get_x() + bar.get_width(), to_rgb(bar.get_facecolor())) for bar in axes.patches[::4]]
    assert bands == [(start, end, to_rgb(getattr(charts, shade))) for start, end, shade in
                     zip((0, 150, 200), (150, 200, 367.5), shades, strict=True)]           # 350 and a twentieth
    assert axes.get_xlim() == (0, 367.5) and len(axes.patches) == 12
    assert f"target {target}" in [text.get_text() for text in axes.texts] and f"changes at {floor} " in axes.get_xlabel()


def test_a_bridge_starts_each_change_where_the_last_one_ended(bridge):
    axes = charts.waterfall(bridge, title="t", unit="USD").axes[0]
    assert [(bar.get_x(), bar.get_width()) for bar in axes.patches] == [(0, 100), (100, 20), (120, -30), (0, 90)]
    assert [text.get_text() for text in axes.texts] == ["100", "+20", "−30", "90"]


def test_changes_too_small_to_be_seen_hang_on_the_first_total():
    small = pd.DataFrame({"label": ["May", "new", "churn", "June"], "value": [1000.0, 120.0, -70.0, 1050.0],
                          "kind": ["total", "change", "change", "total"]})
    axes = charts.waterfall(small, title="t", unit=charts.Unit("USD", "de")).axes[0]
    assert [(bar.get_x(), bar.get_width()) for bar in axes.patches] == [(0, 0), (0, 120), (120, -70), (0, 50)]
    assert [text.get_text() for text in axes.texts] == ["1.000", "+120", "−70", "1.050, +50"]
    assert [text.xy[0] for text in axes.texts] == [0, 120, 120, 50]      # right of the bars, off the names of the rows
    assert axes.get_xlabel() == "change in USD"


@pytest.mark.parametrize(("changes", "label"), [
    ((100.0, -100.0), "USD"), ((100.0, -99.0), "change in USD"), ((0.0, 0.0), "USD"),
])
def test_changes_of_a_fifth_can_be_seen(changes, label):
    table = pd.DataFrame({"label": ["May", "new", "churn"], "value": [1000.0, *changes], "kind": ["total", "change", "change"]})
    assert charts.waterfall(table, title="t", unit="USD").axes[0].get_xlabel() == label


def test_sizes_and_the_average_stand_beside_and_below_the_cells(cohorts):
    axes = charts.heatmap(cohorts, title="t", unit="share", average=pd.Series([1.0, 0.55, np.nan], range(3)),
                          sizes=pd.Series([7, 1200], ["2025-05", "2025-04"], name="customers")).axes[0]
    labels = [label.get_text().replace("\u2007", "_") for label in axes.get_yticklabels()]
    assert labels[:2] == ["2025-04  1,200", "2025-05  ____7"] and labels[2].endswith("…  _____")      # no size: blank
    assert [label.strip("_ ") for label in labels[3:]] == ["", "average"]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert (written[0.5, 4.5], written[1.5, 4.5]) == ("100", "55") and (2.5, 4.5) not in written      # after a gap
    assert [text.get_text() for text in axes.texts][-1] == "customers"
    assert (axes.get_ylabel(), axes.get_xlabel(), axes.xaxis.get_ticks_position()) == ("cohort", "age", "top")


def test_a_matrix_of_thirteen_cohorts_fits_a_phone():
    year = pd.DataFrame(np.tri(13)[::-1], pd.period_range("2024-06", periods=13, freq="M").astype(str))
    figure = charts.heatmap(year.where(year > 0), title="t", unit="share", sizes=pd.Series(1200, year.index, name="customers"))
    assert figure.get_figwidth() == charts.WIDTH
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 92 and not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_cell_that_is_not_known_stays_blank(cohorts):
    axes = charts.heatmap(cohorts, title="t", unit="share").axes[0]
    written = {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "100", (0, 1): "50", (0, 2): "25", (1, 0): "100", (1, 1): "60", (2, 0): "100"}
    drawn = axes.collections[0].get_array()
    assert np.ma.getmaskarray(drawn).ravel().tolist() == cohorts.isna().to_numpy().ravel().tolist()
    assert not charts.heatmap(cohorts, title="t", unit="share", annotate=False).axes[0].texts


def test_a_cells_text_can_be_read_on_every_shade():
    axes = charts.heatmap(pd.DataFrame([np.linspace(0, 1, 60)]), title="t", unit="share").axes[0]
    axes.figure.draw_without_rendering()
    pairs = zip(axes.texts, axes.collections[0].get_facecolors(), strict=True)
    assert min(contrast(text.get_color(), ground) for text, ground in pairs) >= 4.5


def test_survival_starts_at_one_and_says_how_many_were_at_risk(survival):
    axes = charts.survival_curves(survival, title="t").axes[0]
    assert [line.get_ydata().tolist() for line in axes.lines] == [[1, 0.9, 0.8], [1, 0.5]]
    assert {line.get_drawstyle() for line in axes.lines} == {"steps-post"}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0\n\n", "1\n1,200\n40", "2\n900\n"]


@pytest.mark.parametrize("draw", [
    lambda none: charts.lines(none, x="m", y="v", title="t", unit="USD"),
    lambda none: charts.columns(none, x="m", value="v", title="t", unit="USD"),
    lambda none: charts.bars(none, value="v", title="t", unit="USD"),
    lambda none: charts.waterfall(none, title="t", unit="USD"),
    lambda none: charts.heatmap(none, title="t", unit="USD"),
    lambda none: charts.bullet(none, value="v", low="v", high="v", floor=1, target=2, title="t", unit="USD"),
    lambda none: charts.survival_curves(none, title="t"),
])
def test_no_data_gives_a_figure_that_says_so(draw):
    for none in (pd.DataFrame({"m": [], "v": []}), pd.DataFrame({"m": [None], "v": [np.nan]})):
        assert "No data to draw" in texts(draw(none))


@pytest.mark.parametrize(("value", "unit", "text"), [
    (3.14159, "ratio", "3.14"), (412.5, "USD", "412"), (1234.4, "USD", "1,234"), (12345, "USD", "12.3k"),
    (999_950, "USD", "1,000k"), (2_500_000, "USD", "2.5M"), (-7100, "USD", "−7,100"), (0, "USD", "0"),
    (0.0512, "share lost", "5.1%"), (1, "share", "100%"), (-0.0001, "share", "0%"), (np.nan, "USD", "–"),
])
def test_labels_have_about_three_figures(value, unit, text):
    assert charts._text(unit, value) == text


@pytest.mark.parametrize(("value", "text", "locale", "written"), [
    (12345, "USD", "de", "12,3k"), (1234, "USD", "fr", "1\u202f234"), (-7100, "USD", "de", "−7.100"),
    (-12.5, "USD", "sv", "−12,5"), (0.0512, "share", "de", "5,1%"), (-0.0001, "share", "de", "0%"),
])
def test_numbers_are_written_as_in_the_locale_of_the_unit(value, text, locale, written):
    assert charts._text(charts.Unit(text, locale), value) == written


def test_a_unit_is_text_that_knows_its_locale(months, survival):
    unit = charts.Unit("share of revenue", "de")
    assert (unit, unit.locale, charts.Unit("USD").locale) == ("share of revenue", "de", "en")
    drawn = texts(charts.lines(months.head(2).assign(nrr=[0.988, 1.004]), x="month", y="nrr", title="t", unit=unit))
    assert {"99,2%", "100,4%"} <= {*drawn}                       # a tick, the last value
    assert "1\n1.200\n40" in texts(charts.survival_curves(survival, title="t", unit=unit))
    cells = charts.heatmap(pd.DataFrame([[1234.0]]), title="t", unit=charts.Unit("USD", "de")).axes[0].texts
    assert [cell.get_text() for cell in cells] == ["1.234"]


def test_the_table_behind_a_figure_follows_its_caption_as_it_is(bridge):
    figure = charts.waterfall(bridge, title="t", unit="USD")
    page = BeautifulSoup(charts.captioned(figure, "c", "a", HTML("<details>&amp;</details>")).data, "html.parser").figure
    assert [tag.name for tag in page.contents] == ["img", "figcaption", "details"] and page.details.text == "&"
    assert charts.captioned(figure, "c", "a").data.endswith("</figcaption></figure>")


def test_a_figure_without_alternative_text_is_refused(bridge):
    with pytest.raises(ValueError, match="alternative text"):
        charts.captioned(charts.waterfall(bridge, title="t", unit="USD"), "caption", "  ")


def test_a_drawing_is_made_small_without_a_change_that_one_sees(months):
    """Every number of it is that of matplotlib but for less than a tenth of a point, and none that is a scale."""
    figure = charts.lines(months, x="month", y="nrr", hue="channel", title="A title with Ag, 12.5%", unit="share")
    page = svg(figure)
    figure.savefig(file := BytesIO(), format="svg")
    own = re.sub(r"translate\((\S+) 0\)", r"\1", file.getvalue().decode())     # of letters: written as x
    scales = r"scale\([^)]*\)|font-size|stroke-width: [\d.]+"
    assert [scale.replace("(0.15625)", "(0.015625)") for scale in re.findall(scales, page)] == re.findall(scales, own)
    left, right = (re.findall(r" (?:d|x|y|transform)=.([^\"']*)", text) for text in (page, own))
    assert len(left) == len(right) > 100
    for mine, there in zip(left, right, strict=True):
        letter = mine.startswith("m")                                           # an outline, in tens of its units
        mine = placed(mine) if letter else re.findall(r"[\d.]+", mine)
        pairs = zip(mine, re.findall(r"-?[\d.]+" if letter else r"[\d.]+", there), strict=True)
        times, least = (10, 5) if letter else (1, 0.1)
        assert all(abs(float(a) * times - float(b)) <= least for a, b in pairs if "15625" not in str(b))


def placed(path: str) -> list[float]:
    """The places of a path by SVG's rules: of a step in small letters, each point goes from the end of the step before it."""
    at, start, places = np.zeros(2), np.zeros(2), []
    for step, numbers in re.findall(r"([a-z])([^a-z]*)", path):
        points = at + np.array(re.findall(r"-?\d+", numbers), dtype=float).reshape(-1, 2)
        at = points[-1] if len(points) else start
        start = at if step == "m" else start
        places += points.ravel().tolist()
    return places


def test_a_small_drawing_is_svg_and_a_large_one_the_smaller_of_svg_and_png(bridge):
    drawing = charts.waterfall(bridge, title="t", unit="USD")
    shades = pd.DataFrame([[row * column for column in range(40)] for row in range(40)])
    for figure, kind in ((drawing, "svg+xml,"), (charts.heatmap(shades, title="t", unit="n", annotate=False), "png;base64,")):
        image = BeautifulSoup(charts.captioned(figure, "c", "a").data, "html.parser").img
        assert image["src"].startswith(f"data:image/{kind}")
        figure.savefig(file := BytesIO(), format="svg")
        assert len(image["src"]) < len(file.getvalue()) and (len(image["src"]) < 48_000 or kind.startswith("png"))
        assert int(image["width"]) == round(figure.get_figwidth() * 96)


def test_leaders_to_names_look_like_no_data():
    table = pd.DataFrame({"month": [1, 2] * 2, "value": [1.0, 2.0, 3.0, 4.0], "who": ["a", "a", "b", "b"]})
    axes = charts.lines(table, x="month", y="value", hue="who", title="t", unit="USD").axes[0]
    leaders = [text.arrow_patch for text in axes.texts]
    assert len(leaders) == 2 and {arrow.get_linestyle() for arrow in leaders} == {":"}
    assert all(arrow.get_linewidth() < 1 for arrow in leaders)
    drawn = {to_hex(line.get_color()) for line in axes.lines}
    assert not drawn & {to_hex(arrow.get_edgecolor()) for arrow in leaders}
