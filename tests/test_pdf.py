"""The PDF holds every page, can be read aloud, comes out equal each time, and is there whole or not at all."""

import re
import shutil
import subprocess
from datetime import date

import pytest
from bs4 import BeautifulSoup

from helpers import pdf
from helpers.contracts import ReportError
from helpers.pdf import find_browser, join_pages, print_pdf

CHROMIUM = next(filter(None, map(shutil.which, pdf.NAMES + pdf.APPS)), None)
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAAAAAAALAAAAAABAAEAAAICRAEAOw=="
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{name}</title><style>body {{ color: black; }}
@page {{ @bottom-right {{ content: counter(page) " of " counter(pages); }} }}</style></head>
<body><a class="jump" href="#main">Skip to the content</a>
<header class="strip"><p>Acme of {name}</p><nav><a href="index.html">Pages</a></nav></header>
<main id="main">{content}</main>
<footer class="strip">Made from {name}: <a href="params.yaml">params.yaml</a></footer></body></html>
"""
INDEX = f"""<h1>Summary</h1><h2 id="why">Why</h2><img src="{PIXEL}" alt="A black dot (the only one)">
<a href="#why">same</a> <a href="retention.html">page</a> <a href="retention.html#why">place</a>
<a href="lists/at_risk.csv">file</a> <a href="glossary.html#mrr">absent page</a> <a href="retention.html#gone">absent place</a>
<a href="javascript:alert(1)">script</a> <a href="https://example.org/#why">web</a> <a title="x">no address</a>
<footer>of a quotation</footer>"""
RETENTION = """<h1>Retention</h1><h2 id="why">Why</h2><a href="index.html#why">back</a> <a href="#w%68y">coded</a>
<table><caption>Churn</caption><thead><tr><th id="a" scope="col">Tier</th><th id="b" scope="col">Share</th></tr></thead>
<tbody><tr><td headers="a b">plus</td><td headers="b">3%</td></tr></tbody></table>
<div role="region" aria-labelledby="a" aria-describedby="b why"><label for="a">Tier</label></div>"""


@pytest.fixture
def pages(tmp_path):
    contents = {"index": INDEX, "retention": RETENTION}
    for name, content in contents.items():
        (tmp_path / f"{name}.html").write_text(PAGE.format(name=name, content=content), encoding="utf-8")
    return [tmp_path / f"{name}.html" for name in contents]


def joined(pages, title="Acme"):
    return BeautifulSoup(join_pages(pages, title), "html.parser")


def links(soup):
    return {link.text: link.get("href") for link in soup.find_all("a")}


@pytest.fixture
def browser(tmp_path, monkeypatch):
    """A function that puts a shell script in the place of Chromium; `$pdf` is where it should print."""

    def fake(script):
        program = tmp_path / "browser"
        program.write_text(f'#!/bin/sh\nfor one; do case $one in --print-to-pdf=*) pdf=${{one#*=}};; esac; done\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("LTV_REPORT_BROWSER", str(program))
        return program

    return fake


def test_pages_keep_their_order_between_the_first_header_and_the_last_footer(pages):
    soup = joined(pages[::-1])
    parts = soup.body.find_all(recursive=False)
    assert [tag.name for tag in parts] == ["header", "main", "main", "footer"]
    assert [tag.text for tag in soup.find_all("h1")] == ["Retention", "Summary"]
    assert parts[0].text == "Acme of retention"                  # and no navigation
    assert parts[-1].text == "Made from index: params.yaml"


def test_head_and_its_policy_are_kept(pages):
    soup = joined(pages)
    assert soup.html["lang"] == "en"
    assert soup.find("meta", {"http-equiv": "Content-Security-Policy"})["content"].startswith("default-src 'none'")
    assert soup.style.text.startswith("body { color: black; }") and "main + main { break-before: page; }" in soup.style.text


def test_title_is_text(pages):
    hostile = "</title><script>alert(1)</script>&amp;"
    soup = joined(pages, hostile)
    assert soup.title.text == hostile
    assert not soup.find_all("script")


def test_text_that_looks_like_markup_stays_text(pages):
    pages[1].write_text(PAGE.format(name="x", content="<p title='&quot;&gt;'>&lt;script&gt; &amp;lt;</p>"), encoding="utf-8")
    soup = joined(pages)
    assert soup.find_all("main")[1].text == "<script> &lt;"
    assert soup.find_all("main")[1].p["title"] == '">'


def test_no_two_ids_are_equal(pages):
    ids = [tag["id"] for tag in joined(pages).find_all(id=True)]
    assert ids == ["index-main", "index-why", "retention-main", "retention-why", "retention-a", "retention-b"]


def test_labels_and_table_headers_follow_their_ids(pages):
    table, region = (joined(pages).find_all("main")[1].find(name) for name in ("table", "div"))
    assert [cell["headers"] for cell in table.find_all("td")] == [["retention-a", "retention-b"], ["retention-b"]]
    assert (region["aria-labelledby"], region.label["for"]) == ("retention-a", "retention-a")
    assert region["aria-describedby"] == "retention-b retention-why"


def test_links_between_pages_stay_within_the_document(pages):
    found = links(joined(pages))
    assert [found[text] for text in ("same", "page", "place")] == ["#index-why", "#retention-main", "#retention-why"]
    assert (found["back"], found["coded"]) == ("#index-why", "#retention-why")


def test_links_to_files_beside_the_pages_become_text(pages):
    soup = joined(pages)
    assert links(soup).keys() == {"same", "page", "place", "web", "no address", "back", "coded"}
    assert links(soup)["web"] == "https://example.org/#why"
    for text in ("file", "absent page", "absent place", "script", "params.yaml"):
        assert text in soup.text


def test_named_browser_wins(browser):
    program = browser("exit 0")
    assert find_browser() == str(program)


def test_first_usual_name_on_the_path_is_taken(tmp_path, monkeypatch):
    monkeypatch.delenv("LTV_REPORT_BROWSER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("chrome", "google-chrome"):
        (tmp_path / name).touch(0o755)
    assert find_browser() == str(tmp_path / "google-chrome")


def test_application_of_macos_is_found(tmp_path, monkeypatch):
    monkeypatch.delenv("LTV_REPORT_BROWSER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(pdf, "APPS", [str(tmp_path / "Google Chrome")])
    (tmp_path / "Google Chrome").touch(0o755)
    assert find_browser() == str(tmp_path / "Google Chrome")


def test_missing_browser_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.delenv("LTV_REPORT_BROWSER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(pdf, "APPS", [])
    with pytest.raises(ReportError, match="(?s)chromium, .*msedge.*apt-get install chromium.*brew install.*LTV_REPORT_BROWSER"):
        find_browser()


def test_wrongly_named_browser_is_no_reason_to_take_another(monkeypatch):
    monkeypatch.setenv("LTV_REPORT_BROWSER", "/no/such/browser")
    with pytest.raises(ReportError, match="/no/such/browser\n"):
        find_browser()


@pytest.mark.parametrize("script", ["echo 'out of paper' >&2; exit 3", "echo 'out of paper'; printf %%PDF-1.4 > \"$pdf\""])
def test_failure_shows_the_last_words_and_leaves_the_old_file(pages, browser, tmp_path, script):
    browser(f"echo early words; seq 4; echo ERROR:dbus/bus.cc\n{script}")
    target = tmp_path / "report.pdf"
    target.write_bytes(b"last month")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ReportError, match=r"(?s)report\.pdf.*browser made no whole PDF.* 1 \| 2 \| 3 \| 4 \| out of paper\n"):
        print_pdf(pages, target, "Acme", date(2025, 6, 30))
    assert target.read_bytes() == b"last month" and sorted(tmp_path.iterdir()) == before


def test_browser_that_hangs_is_given_up(pages, browser, tmp_path, monkeypatch):
    browser('sleep 2; printf %%%%EOF > "$pdf"')
    monkeypatch.setattr(pdf, "SECONDS", 0.2)
    with pytest.raises(ReportError, match="no whole PDF"):
        print_pdf(pages, tmp_path / "report.pdf", "Acme", date(2025, 6, 30))


def test_dates_and_chance_ids_are_replaced_by_bytes_of_equal_length(pages, browser, tmp_path):
    made = "/CreationDate (D:20991231235959-11'30') /ModDate (D:20991231235959+00'00') /Producer (D:20991231235959+00'00')\n"
    made += "/ID (node00000176) /ID (node00000990) [(node00000176)] /Alt (\\(node00000176\\))\n%%EOF\n"
    browser(f"cat > \"$pdf\" <<'END'\n{made}END")
    print_pdf(pages, tmp_path / "report.pdf", "Acme", date(2025, 6, 30))
    text = (tmp_path / "report.pdf").read_text()
    assert text.startswith("/CreationDate (D:20250630000000+00'00') /ModDate (D:20250630000000+00'00') "
                           "/Producer (D:20991231235959+00'00')\n")
    assert "/ID (node00000000) /ID (node00000001) [(node00000000)] /Alt (\\(node00000176\\))" in text
    assert len(text) == len(made)


def test_browser_keeps_to_its_own_folder_and_off_the_network(pages, browser, tmp_path, monkeypatch):
    browser(f"printf '%s\\n' \"$@\" > '{tmp_path}/asked'; printf %%%%EOF > \"$pdf\"")
    for user in (0, 1000):
        monkeypatch.setattr("os.geteuid", lambda user=user: user)
        print_pdf(pages, tmp_path / "report.pdf", "Acme", date(2025, 6, 30))
        asked = (tmp_path / "asked").read_text().splitlines()
        assert ("--no-sandbox" in asked) == (user == 0)
        assert {"--headless", "--disable-gpu", "--disable-background-networking", "--no-pdf-header-footer",
                "--host-resolver-rules=MAP * ~NOTFOUND"} <= {*asked}
        assert any(re.match(rf"--user-data-dir={tmp_path}/pdf-\w+/profile$", flag) for flag in asked)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """Two prints of equal pages in different folders, and a third dated one day earlier."""
    made = []
    for day in (30, 30, 29):
        folder = tmp_path_factory.mktemp("printed")
        for name, content in {"index": INDEX, "retention": RETENTION}.items():
            (folder / f"{name}.html").write_text(PAGE.format(name=name, content=content), encoding="utf-8")
        pages = [folder / "index.html", folder / "retention.html"]
        print_pdf(pages, folder / "report.pdf", "Größe <b>", date(2025, 6, day))
        assert {path.name for path in folder.iterdir()} == {"index.html", "retention.html", "report.pdf"}
        made.append((folder / "report.pdf").read_bytes())
    return made


@needs_chromium
def test_equal_pages_make_equal_bytes(printed):
    first, again, earlier = printed
    assert first == again
    assert first.replace(b"20250630", b"20250629") == earlier != first


@needs_chromium
def test_pdf_is_tagged_and_says_its_language_and_title(printed):
    assert re.search(rb"/MarkInfo <<[^>]*/Marked true", printed[0])
    for part in (b"/StructTreeRoot ", b"/Lang (en)", b"/S /H1", b"/S /H2", b"/S /TH"):
        assert part in printed[0]
    title = bytes.fromhex(re.search(rb"/Title <FEFF([0-9A-F]+)>", printed[0])[1].decode()).decode("utf-16-be")
    assert title == "Größe <b>"


@needs_chromium
def test_alt_texts_are_in_the_structure(printed):
    assert printed[0].count(b"/Alt ") == 1 and b"/Alt (A black dot \\(the only one\\))" in printed[0]


@needs_chromium
def test_headings_make_the_outline(printed):
    outline = re.search(rb"/Type /Outlines\s.*?/Count (\d+)", printed[0], re.S)
    assert int(outline[1]) == 4
    assert sorted(re.findall(rb"/Title \(([^)]*)\)", printed[0])) == [b"Retention", b"Summary", b"Why", b"Why"]


@needs_chromium
def test_each_page_starts_a_sheet_of_a4(printed):
    assert printed[0].count(b"/Type /Page\n") == 2
    boxes = re.findall(rb"/MediaBox \[0 0 (\S+) (\S+)\]", printed[0])
    assert [(round(float(width)), round(float(height))) for width, height in boxes] == [(595, 842)] * 2


@needs_chromium
def test_links_within_the_document_have_places(printed):
    assert {*re.findall(rb"/Dest /(\S+)", printed[0])} >= {b"index-why", b"retention-why", b"retention-main"}


@needs_chromium
@pytest.mark.skipif(not shutil.which("pdftotext"), reason="needs pdftotext")
def test_sheets_are_numbered_and_carry_no_file_name(printed, tmp_path):
    (tmp_path / "a.pdf").write_bytes(printed[0])
    text = subprocess.run(["pdftotext", "-layout", tmp_path / "a.pdf", "-"], capture_output=True, text=True).stdout
    sheets = ["".join(sheet.split()) for sheet in text.split("\f")]
    assert sheets[0].startswith("Acmeofindex") and sheets[0].endswith("1of2") and sheets[1].endswith("2of2")
    assert "file://" not in text and "pages.html" not in text
