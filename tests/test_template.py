"""A page is one file that fetches nothing, runs nothing, loses no output and shows no code."""

import re
import shutil
from base64 import b64encode
from pathlib import Path

import nbformat.v4 as v4
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter

from helpers import charts, tables
from helpers.rendering import page_exporter

HELPERS = Path(charts.__file__).parent
HOSTILE = "<script>alert('data')</script><img src=https://evil.example/x.png onerror=alert(2)>"
REPORT = {
    "title": "Acme & <Sons>", "name": "demo", "month": "2025-06", "month_label": "June 2025", "currency": "USD",
    "newest": "2025-06-30", "status": "reviewed", "signed_by": "Ann <Lee>", "accent": "#0173b2",
    "badges": [{"kind": "act", "text": "Newest row <40> days old"}], "as_of": "2025-07-01",
    "page": "02_ltv_cac", "page_title": "LTV and CAC",
    "pages": [{"name": "06_summary", "href": "index.html", "title": "Summary"},
              {"name": "02_ltv_cac", "href": "02_ltv_cac.html", "title": "LTV and CAC"}],
    "footer": {"parameters": "params.yaml", "manifest": "manifest.json"},
}


def code(source, *outputs, **metadata):
    return v4.new_code_cell(source, outputs=list(outputs), execution_count=1, metadata=metadata)


def result(data, **metadata):
    return v4.new_output("execute_result", data, execution_count=1, metadata=metadata)


def shown(component):
    return result({"text/plain": repr(component), "text/html": component._repr_html_()})


def notebook(*cells):
    for place, cell in enumerate(cells):
        cell["id"] = f"cell-{place}"                             # random otherwise
    return v4.new_notebook(cells=list(cells), metadata={"language_info": {"name": "python"}})


def render(node, report=REPORT) -> str:
    exporter = HTMLExporter(template_name="template", extra_template_basedirs=[str(HELPERS)], exclude_anchor_links=True)
    return exporter.from_notebook_node(node, resources={"report": report})[0]


@pytest.fixture(scope="module")
def node():
    months = [f"2024-{month:02d}" for month in range(6, 13)] + [f"2025-{month:02d}" for month in range(1, 7)]
    line = charts.lines(pd.DataFrame({"month": months, "nrr": np.linspace(0.99, 0.978, 13)}), x="month", y="nrr",
                        title="Net revenue retention fell for a year", unit="share of revenue kept", target=1)
    cohorts = pd.DataFrame([[0.97 ** age if age <= 12 - start else np.nan for age in range(13)] for start in range(13)],
                           pd.Index(months, name="cohort"), pd.Index(range(13), name="months since the start"))
    heat = charts.heatmap(cohorts, title="Cohorts keep 97% a month", unit="share still customers")
    frame = pd.DataFrame({"customer": [HOSTILE], "ltv": [412.5]})
    wide = pd.DataFrame({"channel": ["search", HOSTILE], "ltv": [12345.6, 999.5], "churn_rate": [0.05, np.nan]} | {
        f"revenue_of_month_{month}": [1e4, 2e4] for month in range(8)})
    verdicts = pd.DataFrame({"rule": ["R-LTV-2", "R-RET-1", "R-RFM-1", "R-N-1"], "severity": [*tables.MARKS],
                             "statement": "Each customer of search returns 3.4 times its cost.", "value": 3.4,
                             "threshold": 3.0, "n": 510, "unit": "ratio", "provisional": [False, True, False, False]})
    card = {"value": 0.978, "unit": "share", "low": 0.96, "high": 0.99, "n": 1204, "previous": 0.994, "last_year": 0.97,
            "good": "up", "trend": np.linspace(0.9, 0.978, 13), "definition": "nrr"}
    return notebook(
        v4.new_markdown_cell("# LTV and CAC by channel\n\nWhich channel pays back what it costs?"),
        code("secret_code = 1", v4.new_output("stream", name="stderr", text="a warning 0x7f01"),
             v4.new_output("stream", name="stdout", text="printed on the way"), tags=["parameters"]),
        code("headline()", shown(tables.headline("Net revenue retention fell to 97.8%, by 1.6 points on May."))),
        code("cards()", shown(tables.kpi_cards([card | {"label": name} for name in ("NRR", "GRR", "Kept", "Churn")]))),
        v4.new_markdown_cell("## Bottom line\n\nOne sentence before each step."),
        code("verdicts()", shown(tables.verdict_list(verdicts))),
        v4.new_markdown_cell("## What a *customer's* worth\n\n### By channel"),
        code("show()", shown(tables.show_table(wide, "LTV by channel", {"ltv": "USD", "churn_rate": "share"}))),
        code("frame", result({"text/plain": "plain text of a frame", "text/html": frame._repr_html_()})),
        code("other", result({"text/plain": "plain text of a frame", "text/html": frame._repr_html_()})),
        code("100000", result({"text/plain": "100000"})),
        code("line()", shown(charts.captioned(line, "Retention, 13 months.", "Line chart: falls to 97.8%."))),
        code("heat()", shown(charts.captioned(heat, "Cohorts.", "Heatmap of cohorts."))),
        v4.new_markdown_cell("## Bottom line\n\nThe same heading again."),
        code("Markdown()", v4.new_output("display_data", {"text/markdown": f"**bold** {HOSTILE} ![](https://evil.example)"})),
        code("1 / 0", v4.new_output("error", ename="ZeroDivisionError", evalue="zero", traceback=["Traceback: no"])),
        code("js()", v4.new_output("display_data", {"application/javascript": "alert(3)", "text/plain": "x"})),
        code("box()", shown(tables.skip_box("Tier scorecard", "plans.tier_rank", "tier scorecard and migration")),
             shown(tables.query_box("summaries/ltv", "select 1\nfrom run", frame)), shown(tables.badge("provisional")),
             shown(tables.facts({"horizon_months": 36})), shown(tables.show_table(frame.head(0), "Nobody"))),
    )


@pytest.fixture(scope="module")
def html(node):
    return render(node)


@pytest.fixture(scope="module")
def page(html):
    return BeautifulSoup(html, "html.parser")


def test_a_run_leaves_out_a_parse_of_nbconvert_that_changes_nothing(node):
    ours = page_exporter().from_notebook_node(node, {"report": REPORT})[0]
    assert render(node) == str(BeautifulSoup(ours, features="html.parser"))  # HTMLExporter's last step


def test_what_markdown_leaves_open_ends_with_its_cell():
    book = notebook(v4.new_markdown_cell("# T\n\n<b>open <table><tr><td>x"), v4.new_markdown_cell("# Next"))
    html = page_exporter().from_notebook_node(book, {"report": REPORT})[0]
    assert html.index("</table>") < html.index("</b>") < html.index("Next")


def test_nothing_is_fetched_and_nothing_runs(page):
    policy = page.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert not page.find_all(["script", "iframe", "object", "embed", "video", "audio"])
    targets = [tag[name] for name in ("src", "srcset", "poster", "data") for tag in page.find_all(attrs={name: True})]
    targets += [tag["href"] for tag in page.find_all("link")]
    assert targets and all(target.startswith("data:") for target in targets)
    assert not re.search(r"url\(|@import", page.style.text)
    assert not [name for tag in page.find_all(True) for name in tag.attrs if name.startswith("on")]


def test_links_lead_to_the_neighbours(page):
    assert {link["href"] for link in page.find_all("a", href=True) if not link["href"].startswith("#")} == {
        "index.html", "02_ltv_cac.html", "params.yaml", "manifest.json", "glossary.html#nrr",
        *(f"glossary.html#{rule}" for rule in ("R-LTV-2", "R-RET-1", "R-RFM-1", "R-N-1"))}
    assert [link.text for link in page.nav.find_all("a", {"aria-current": "page"})] == ["LTV and CAC"]


@pytest.mark.parametrize("hidden", ["secret_code", "a warning", "printed on the way", "plain text of a frame", "100000",
                                    "Traceback", "ZeroDivisionError", "In [", "Out[", "¶", "alert(3)",
                                    "No description has been provided"])
def test_code_prompts_streams_and_tracebacks_are_not_shown(page, hidden):
    page = BeautifulSoup(str(page), "html.parser")
    for image in page.find_all("img"):
        del image["src"]
    assert hidden not in str(page)


def test_an_error_is_one_neutral_sentence(page):
    assert [note.text for note in page.find_all(class_="failed")] == [
        "This part could not be computed; the run's log says why."]


def test_frames_survive_in_regions_of_their_own(page):
    frames = page.find_all("table", class_="dataframe")
    assert [HOSTILE[:30] in frame.text and "412.5" in frame.text for frame in frames] == [True, True]
    assert not page.find_all("th", string="")                    # an empty header cell is no header
    names = [region["aria-label"] for region in page.find_all(role="region")]
    assert "Data frame 1" in names and len(names) == len({*names})


def test_text_from_data_stays_text(page):
    assert page.text.count("alert('data')") >= 5 and not page.find("img", onerror=True)
    assert page.find("strong", string="bold")                    # a Markdown output is still Markdown
    assert "Acme & <Sons>" in page.header.text and page.title.text == "LTV and CAC – Acme & <Sons>, June 2025"


def test_headings_have_one_order_and_the_contents_lead_to_them(page):
    assert page.html["lang"] == "en"
    assert [heading.name for heading in page.find_all(re.compile("^h[1-6]$"))] == ["h1", "h2", "h2", "h3", "h2"]
    links = page.find(class_="toc").find_all("a")
    assert [link.text for link in links] == ["Bottom line", "What a customer's worth", "Bottom line"]
    assert [page.find(id=link["href"][1:]).text for link in links] == [link.text for link in links]
    ids = [tag["id"] for tag in page.find_all(id=True)]
    assert len(ids) == len({*ids})


def test_a_notebook_without_a_title_gets_its_pages(page):
    plain = BeautifulSoup(render(notebook(v4.new_markdown_cell("Only text."))), "html.parser")
    assert [heading.text for heading in plain.find_all("h1")] == ["LTV and CAC"]
    assert plain.find(class_="toc") is None


def test_every_image_is_described(page):
    alts = [image["alt"] for image in page.find_all("img", src=True)]
    assert len(alts) == 6 and all(alts)
    assert [caption.text for caption in page.select("figure > figcaption")] == ["Retention, 13 months.", "Cohorts."]


@pytest.mark.parametrize(("mime", "data"), [("image/png", "iVBORw0="), ("image/jpeg", "iVBORw0="),
                                            ("image/svg+xml", "<svg/>")])
def test_a_bare_image_is_shown_and_owns_up_to_lacking_a_description(mime, data):
    def image(**metadata):
        cell = code("figure", v4.new_output("display_data", {mime: data, "text/plain": "x"}, metadata=metadata))
        return BeautifulSoup(render(notebook(cell)), "html.parser").figure

    assert image()["class"] == ["undescribed"] and "no description" in image().figcaption.text
    described = image(**{mime: {"alt": HOSTILE}})
    assert described.img["alt"] == HOSTILE and described.figcaption is None
    encoded = b64encode(data.encode()).decode() if "svg" in mime else data
    assert described.img["src"].replace("\n", "") == f"data:{mime};base64,{encoded}"


def test_papermills_banner_is_left_out():
    tags = {"tags": ["papermill-error-cell-tag"]}
    banner = v4.new_markdown_cell("An Exception was encountered at In [1]", metadata=tags)
    assert "An Exception" not in render(notebook(banner))


def test_equal_notebooks_give_equal_bytes(node, html):
    assert render(node) == html


def test_by_hand_without_a_report_there_is_still_a_page(node):
    page = BeautifulSoup(HTMLExporter(template_name="template", extra_template_basedirs=[str(HELPERS)])
                         .from_notebook_node(node)[0], "html.parser")
    assert page.title.text and page.nav is None and page.find("table", class_="dataframe")


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance of #rrggbb."""
    parts = [int(colour[start:start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_in_both_schemes(scheme):
    css = "".join((HELPERS / "template" / f"{name}.css").read_text(encoding="utf-8") for name in ("components", "style"))
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", re.findall(r":root \{(.*?)\}", css, re.DOTALL)[scheme]))
    shades = {name: luminance(colour) for name, colour in colours.items()}
    for name in ("text", "quiet", "link", "good", "act", "watch", "unclear"):
        for ground in ("ground", "raised"):
            dark, light = sorted((shades[name], shades[ground]))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, ground)     # WCAG 1.4.3


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
def test_a_browser_shows_it_at_any_width_and_asks_for_nothing(html, tmp_path):
    from playwright.sync_api import sync_playwright
    path = tmp_path / "page.html"
    path.write_text(html, encoding="utf-8")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            view = browser.new_page(color_scheme=scheme)
            asked, dialogs, complaints = [], [], []
            view.on("request", lambda request, asked=asked: asked.append(request.url))
            view.on("dialog", lambda dialog, dialogs=dialogs: (dialogs.append(dialog.message), dialog.dismiss()))
            view.on("console", lambda message, complaints=complaints: complaints.append(message.text))
            view.goto(path.as_uri())
            for width in (320, 390, 1280):
                view.set_viewport_size({"width": width, "height": 800})
                assert view.evaluate("document.documentElement.scrollWidth") <= width
            assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
            assert (dialogs, complaints) == ([], [])
            ground = view.evaluate("getComputedStyle(document.body).backgroundColor")
            assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 24, 28)"}[scheme]
            assert view.evaluate("[...document.querySelectorAll('img[src]')].every(image => image.naturalWidth > 0)")
        browser.close()


def test_who_prepared_and_who_reviewed_stand_beside_who_signed(node):
    names = {"prepared_by": "Bo <Li>, 2025-07-01", "reviewed_by": "Cy"}
    header = BeautifulSoup(render(node, REPORT | names), "html.parser").header.get_text(" ", strip=True)
    assert "Reviewed, Ann <Lee>" in header and "Prepared by Bo <Li>, 2025-07-01 · Reviewed by Cy" in header
    assert "Prepared" not in render(node)
    assert "Reviewed by Cy" in render(node, REPORT | {"reviewed_by": "Cy"}) and " · Reviewed by" not in render(node, REPORT | {"reviewed_by": "Cy"})
