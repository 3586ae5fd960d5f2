"""Charts place values and state units; nothing in them depends on the machine, and no label is read as math."""

from base64 import b64decode
from io import BytesIO

import matplotlib
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from matplotlib import pyplot
from matplotlib.cbook import is_math_text
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from helpers import charts

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
    return pd.DataFrame([[1.0, 0.5, 0.25], [1.0, 0.6, np.nan], [1.0, np.nan, np.nan]],
                        pd.Index(["2025-04", "2025-05", HOSTILE], name="cohort"), pd.Index(range(3), name="age"))


@pytest.fixture
def bridge():
    return pd.DataFrame({"label": ["May", "new", "churn", "June"], "value": [100.0, 20.0, -30.0, 90.0],
                         "kind": ["total", "change", "change", "total"]})


@pytest.fixture
def figures(months, channels, survival, cohorts, bridge):
    """One of each, titled with hostile text."""
    return lambda: {
        "lines": charts.lines(months, x="month", y="nrr", hue="channel", band=("low", "high"), title=HOSTILE,
                              unit="share of revenue kept", target=1),
        "columns": charts.columns(months.head(3), x="month", value="nrr", title=HOSTILE, unit=HOSTILE),
        "bars": charts.bars(channels, value="ltv", title=HOSTILE, unit="USD per customer", target=150),
        "dots": charts.dots(channels, value="ltv", low="low", high="high", title=HOSTILE, unit="USD"),
        "waterfall": charts.waterfall(bridge, title=HOSTILE, unit="USD"),
        "heatmap": charts.heatmap(cohorts, title=HOSTILE, unit="share still customers"),
        "survival_curves": charts.survival_curves(survival, title=HOSTILE),
    }


def texts(figure) -> list[str]:
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


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


def test_lines_and_bars_stand_out_and_text_can_be_read():
    assert all(contrast(colour, "white") >= 3 for colour in charts.PALETTE)         # WCAG 1.4.11
    assert all(contrast(colour, "white") >= 4.5 for colour in (charts.INK, charts.QUIET))      # WCAG 1.4.3


def test_series_differ_without_colour():
    markers, dashes = zip(*((marker, str(dash)) for _, marker, dash in charts.SERIES), strict=True)
    assert len({*markers}) == len({*dashes}) == len(charts.SERIES)


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


def test_names_at_the_ends_do_not_cover_each_other():
    close = pd.DataFrame({"age": [0, 1] * 6, "y": [0, 1.0, 0, 1.001, 0, 1.002, 0, 1.003, 0, 1.004, 0, 0.2],
                          "who": np.repeat([*"abcdef"], 2)})
    figure = charts.lines(close, x="age", y="y", hue="who", title="t", unit="USD")
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]        # without the leaders
    assert len(boxes) == 6 and not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


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


def test_a_bridge_starts_each_change_where_the_last_one_ended(bridge):
    axes = charts.waterfall(bridge, title="t", unit="USD").axes[0]
    assert [(bar.get_x(), bar.get_width()) for bar in axes.patches] == [(0, 100), (100, 20), (120, -30), (0, 90)]
    assert [text.get_text() for text in axes.texts] == ["100", "+20", "−30", "90"]


def test_a_cell_that_is_not_known_stays_blank(cohorts):
    axes = charts.heatmap(cohorts, title="t", unit="share").axes[0]
    written = {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "100.0", (0, 1): "50.0", (0, 2): "25.0", (1, 0): "100.0", (1, 1): "60.0",
                       (2, 0): "100.0"}
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


def test_a_figure_without_alternative_text_is_refused(bridge):
    with pytest.raises(ValueError, match="alternative text"):
        charts.captioned(charts.waterfall(bridge, title="t", unit="USD"), "caption", "  ")


def test_a_small_drawing_is_svg_and_a_large_one_the_smaller_of_svg_and_png(bridge):
    drawing = charts.waterfall(bridge, title="t", unit="USD")
    shades = pd.DataFrame([[row * column for column in range(40)] for row in range(40)])
    for figure, start in ((drawing, b"<?xml"), (charts.heatmap(shades, title="t", unit="n", annotate=False), b"\x89PNG")):
        image = BeautifulSoup(charts.captioned(figure, "c", "a").data, "html.parser").img
        content = b64decode(image["src"].split(",")[1])
        figure.savefig(other := BytesIO(), format="svg" if content.startswith(b"\x89PNG") else "png", dpi=192)
        assert len(content) < max(len(other.getvalue()), 48_000)
        assert content.startswith(start) or len(other.getvalue()) > len(content) > 48_000
        assert int(image["width"]) == round(figure.get_figwidth() * 96)

