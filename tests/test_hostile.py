"""Forty hostile strings in every text column of every table: on the pages they are text, and change nothing else.

Two reports are made of one book: the hostile one, and a calm one with a plain word in place of each hostile string. The words
sort as the strings do, so both reports must be equal, cell by cell, but for those words.
"""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import mistune
import pandas as pd
import pytest
import yaml
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright

from helpers.contracts import read_yaml
from helpers.demo import write_demo
from helpers.runner import run_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
RUN = "window.__pwned=1"
HOSTILE = [
    f"<script>{RUN};alert(1)</script>",
    f"</script><script>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    f'"><img src=x onerror="{RUN}">',
    f"' onmouseover='{RUN}' x='",
    f'" autofocus tabindex="1" onfocus="{RUN}',
    f"<svg onload={RUN}>",
    f"<svg><style><img src=x onerror={RUN}></style></svg>",
    f"<math><mtext><table><mglyph><style><!--</style><img src=x onerror={RUN}>",
    '<iframe srcdoc="<script>parent.__pwned=1</script>"></iframe>',
    f"<object data=\"data:text/html,<script>{RUN}</script>\"></object><embed src=x>",
    f'"></textarea></noscript></xmp><details open ontoggle={RUN}>',
    "\"></style><style>body { display: none } @import 'https://evil.example/x.css';",
    '</title><base href="https://evil.example/">',
    '"></td></tr></tbody></table><h1>Another page</h1>',
    '" hidden></details></figure></li></ul></main></div></body></html>',
    '" id="main"></h2><h2>A section of its own</h2>',
    "&lt;b&gt; &amp;amp; &#60;script&#62; &#x3c;i&#x3e; &nbsp;",
    f'<a href="javascript:{RUN}">click</a>',
    f"javascript:{RUN}//",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
    f"[click](javascript:{RUN}) [home](https://evil.example) https://evil.example www.evil.example",
    "![picture](https://evil.example/x.png) ~~gone~~ **bold** `code` | cell |",
    "one\n\n# Heading\n\n- item\n\n> quote\n\n<b>bold</b>",
    '<meta http-equiv=refresh content="0;url=https://evil.example"><link rel=stylesheet href=https://evil.example/x.css>',
    "{{7*7}} {{ ''.__class__.__mro__ }} {% raw %} {#",
    "{% endraw %}{% include '/etc/passwd' %} ${HOME} %(name)s {0.__class__}",
    r'$x^2$ $$\sum$$ \(y\) \[z\] 5$ to 7" x=\'$',
    r"\frac{1}{0} \unknown{ $\input{/etc/passwd}$ _a_ ^b^",
    "=cmd|' /C calc'!A0",
    '+HYPERLINK("https://evil.example","x")',
    "-2+3+cmd|' /C \"calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    '=1+1\r\n=2+2\t=3+3" x="',
    "\"\u202eright to left\u202c \u2066set apart\u2069 zero\u200bwidth\ufeffmark",
    "one\ttwo\x01\x07\x08\x1b[31mred\x7f\x85\x9b\u2028\ufffe",
    "x" * 490 + "<b>a</b>",
    "😀👩‍👩‍👧 客户名称 Ünïcödé z͑ͫ̓a̴l̷g̵o",
    "%%html <b>bold</b> %load_ext x !rm -rf / ?",
    "\" --><!-- --!> <![CDATA[ ]]> <?xml version='1.0'?> <!DOCTYPE x [<!ENTITY y 'z'>]>",
]
FILES = [f"{name}.csv" for name in (
    f"<img src=x onerror={RUN}>", f'"><svg onload={RUN}>', "[click](javascript:alert(1))", "{{7*7}}{% raw %}", "$x^2$ \\frac",
    "=1+1", "' onfocus='x", "&lt;b&gt; <h2>", "{% include 'x' %}", "<!--", "%s %d", "@SUM(1)", "]]>",
)]
CALM = re.compile(r"!?calm\d{5}word")
REJECTED = {  # a row with a hostile value there is rejected, and the value shown; another currency would stop the run
    "addons": ["interval", "amount", "started_at", "ended_at"],
    "business_events": ["kind", "date"],
    "costs": ["category", "scope", "amount", "month"],
    "customers": ["created_at"],
    "feedback": ["kind", "score"],
    "ledger_control": ["measure", "amount", "month"],
    "marketing_spend": ["kind", "amount", "period_start", "period_end"],
    "plans": ["kind", "tier_rank", "list_price", "valid_from"],
    "subscriptions": ["interval", "churn_kind", "unit_amount", "started_at", "ended_at", "quantity", "paused_at"],
    "support_tickets": ["opened_at", "reopened"],
    "touches": ["kind", "cost", "touched_at"],
    "transactions": ["type", "status", "item_type", "amount", "transacted_at", "line_no", "quantity"],
    "usage": ["date", "count"],
}
TEXTS = {  # free text, which no rule looks at; the ids stand in `hostile_tables`
    "transactions": ["product_id", "product_name", "category"],
    "subscriptions": ["status", "contract", "cancel_reason"],
    "addons": ["addon_id"],
    "customers": ["display_name", "email_hash", "segment", "country", "channel", "campaign", "owner", "referred_by",
                  "loyalty_tier"],
    "plans": ["features", "plan_name", "limits"],
    "marketing_spend": ["channel", "campaign"],
    "costs": ["scope_id"],
    "feedback": ["text"],
    "support_tickets": ["topic", "severity", "csat"],
    "touches": ["programme", "response"],
    "usage": ["feature", "category"],
    "business_events": ["label", "plan_id"],  # the last six labels stand under charts
}


TITLE = f"</title></h1><script>{RUN}</script> [x](javascript:alert(1)) https://evil.example $x^2$ **b**"
SIGNED = f"</span><img src=x onerror={RUN}> {{{{7*7}}}} $x$"
OWNERS = [text[:80].strip() for text in HOSTILE[: len(read_yaml("rules.yaml"))]]
MADE = """() => {
    document.querySelectorAll('.long').forEach(node => node.removeAttribute('class'));  // that a text is long may show
    const own = node => [...node.childNodes].filter(n => n.nodeType == 3).map(n => n.data).join('');
    const words = [...document.querySelectorAll('.commentary > :not(.signature), .commentary > :not(.signature) *')];
    const rows = [...document.querySelectorAll('tr')].filter(row => row.textContent.trim().startsWith('traced customer'));
    const places = ['[aria-label="Table: Traced customers"] *', '[aria-label^="Table: The first five rows"] td.num'];
    const cells = places.flatMap(found => [...document.querySelectorAll(found)]);
    const apart = new Set(cells.concat(rows.flatMap(row => [...row.children])));
    return JSON.stringify({
        nodes: [...document.querySelectorAll('*')].filter(node => !words.includes(node)).map(node => ({
            apart: apart.has(node),  // five customers, by the md5 of their ids, and lines: some hostile texts have several
            shape: [node.tagName, node.className, node.id, node.getAttribute('href'), node.getAttributeNames().sort()],
            texts: [own(node), node.getAttribute('alt') || '', node.getAttribute('aria-label') || ''],
        })),
        said: words.filter(node => node.parentElement.className == 'commentary').map(node => node.textContent).join('\\n'),
        commentary: words.map(node => [node.tagName, node.getAttributeNames().join()]),
        undrawn: [...document.images].filter(image => !image.naturalWidth).map(image => image.alt),
        text: document.documentElement.textContent,
        pwned: typeof window.__pwned,
    });
}"""


def every(count: int, start: int = 0) -> list[str]:
    """So many hostile strings: all forty in turn."""
    return [HOSTILE[(start + row) % len(HOSTILE)] for row in range(count)]


def renamed(ids: pd.Series) -> dict[str, str]:
    """A hostile id of its own for each id."""
    known = sorted(set(ids) - {""})
    return {old: f"{text} {number}" for number, (old, text) in enumerate(zip(known, every(len(known)), strict=True))} | {"": ""}


def hostile_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """The demo company with hostile text in all its columns of text and, in rows to reject, in the others."""
    paths = write_demo(folder, customers=120, months=26)
    known = [path for path in paths if path.stem in REJECTED]     # in dollars: rates are none of these tables
    tables = {path.stem: pd.read_csv(path, dtype=str, keep_default_na=False).drop(columns="currency", errors="ignore")
              for path in known}
    months = tables["marketing_spend"]["period_start"].unique()
    spend = pd.MultiIndex.from_product([months, HOSTILE], names=["period_start", "channel"]).to_frame(index=False)
    tables["marketing_spend"] = spend.assign(period_end=spend["period_start"], amount="20", kind="media")
    tables["plans"] = pd.DataFrame({"plan_id": HOSTILE, "list_price": "9.00", "interval": "month", "kind": "tier"}).assign(
        tier_rank=[str(rank) for rank in range(len(HOSTILE))])
    days = pd.date_range("2023-07-01", "2025-06-30", len(HOSTILE)).strftime("%Y-%m-%d")
    tables["business_events"] = pd.DataFrame({"date": days, "label": HOSTILE, "kind": "release"})
    for column in ("customer_id", "subscription_id", "transaction_id"):
        ids = renamed(tables[{"customer_id": "customers"}.get(column, f"{column[:-3]}s")][column])
        for table in tables.values():
            for name in {column, f"original_{column}"} & {*table}:
                table[name] = table[name].map(ids)
    for name, columns in TEXTS.items():
        for place, column in enumerate(columns):
            tables[name][column] = every(len(tables[name]), place)
    old = tables["subscriptions"]["ended_at"].between("1", "2024-12")  # a map of 40 tiers by 40 takes long to draw
    half = len(HOSTILE) // 2
    tables["subscriptions"]["plan_id"] = [HOSTILE[2 * (row % half) + gone] for row, gone in enumerate(old)]
    for name, columns in REJECTED.items():
        bad = pd.concat([tables[name].head(1)] * len(HOSTILE), ignore_index=True).reindex(
            columns=[*dict.fromkeys([*tables[name], *columns])], fill_value="")
        for row, text in enumerate(HOSTILE):
            bad.loc[row, columns[row % len(columns)]] = text
        tables[name] = pd.concat([tables[name], bad], ignore_index=True).fillna("")
    return tables


def calm_words(texts: set[str]) -> dict[str, str]:
    """A plain word for each text: they sort alike, among themselves and against "(new)" and its like."""
    return {text: f"{'!' * (text < '(')}calm{rank:05}word" for rank, text in enumerate(sorted(texts))}


def make_report(folder: Path, tables: dict[str, pd.DataFrame], say: Callable[[str], str]) -> Path:
    """Run a report on the tables, with `say` of each hostile text in place of it; returns its folder."""
    sources = {name: {"path": say(file)} for name, file in zip(tables, FILES, strict=True)}
    for name, table in tables.items():
        table.map(say).to_csv(folder / sources[name]["path"], index=False)
    rules = {rule: {"owner": say(text)} for rule, text in zip(read_yaml("rules.yaml"), OWNERS, strict=True)}
    before = folder / "history" / "book" / "2025-05" / "tables"
    before.mkdir(parents=True)
    said = [say(text) for text in HOSTILE]
    known = {"due_on": "2025-06-30", "value_at_stake": 1, "severity": "act", "metric": "mrr", "value": 1, "unit": "USD"}
    earlier = pd.DataFrame({"rule": said, "decision": said, "because": said, "owner": said}).assign(**known)
    earlier.to_csv(before / "decisions.csv", index=False)
    (folder / "words").mkdir()
    (folder / "words" / "2025-06.md").write_text("\n\n".join([*said, f"— {say(SIGNED)}"]), encoding="utf-8")
    params = {
        "report": {"name": "book", "title": say(TITLE), "month": "2025-06", "signed_by": say(SIGNED)},
        "sources": sources, "verdicts": rules, "commentary": "words", "history": str(folder / "history"),
        "policy": {"min_customers": 2, "min_events": 2}, "ltv_cac": {"bootstrap": 20},
    }
    (folder / "book.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return run_report(folder / "book.yaml", out=folder / "out").parent


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The folders of the hostile and of the calm report, and calm word -> hostile text."""
    folder = tmp_path_factory.mktemp("hostile")
    tables = hostile_tables(folder / "demo")
    cells = {cell for table in tables.values() for cell in table.to_numpy().ravel() if cell.startswith(tuple(HOSTILE))}
    words = calm_words({*cells, *OWNERS, *FILES, TITLE, SIGNED})
    for name in ("hostile", "calm"):
        (folder / name).mkdir()
    hostile = make_report(folder / "hostile", tables, lambda text: text)
    calm = make_report(folder / "calm", tables, lambda text: words.get(text, text))
    return hostile, calm, {word: text for text, word in words.items()}


def shown(text: str, words: dict[str, str] | None = None) -> str:
    """Text as a reader sees it, blanks and case apart; with `words`, the hostile text in place of each calm word."""
    return " ".join(CALM.sub(lambda word: words[word[0]] if words else word[0], text).split()).casefold()


def agrees(here: str, calm: str, words: dict[str, str]) -> bool:
    """Whether a text is the calm one with hostile words; it may be cut (rejected values at 80 letters, alts at 250)."""
    text, whole = shown(here), shown(calm, words)
    checksum = re.fullmatch("[0-9a-f]{12}", text) and re.fullmatch("[0-9a-f]{12}", whole)  # of the input files
    return text == whole or bool(checksum) or len(text) > 70 and whole.startswith(text.rstrip("…"))


@pytest.fixture(scope="module")
def seen(reports):
    """(report, way) -> page -> what Chromium made of it; the way "bare" is without the policy against scripts."""
    if not CHROMIUM:
        pytest.skip("needs Chromium")
    found = {}
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for folder, way in ((reports[0], "strict"), (reports[0], "bare"), (reports[1], "bare")):
            view, pages = browser.new_page(bypass_csp=way == "bare"), {}
            happened: list[str] = []
            view.route(re.compile("^https?:"), lambda route: route.fulfill(status=204))  # stay on a page that would lead away
            view.on("dialog", lambda dialog, to=happened: (to.append(f"dialog {dialog.message}"), dialog.dismiss()))
            view.on("console", lambda message, to=happened: to.append(f"console {message.text}"))
            view.on("pageerror", lambda error, to=happened: to.append(f"error {error}"))
            view.on("request", lambda request, to=happened: to.append(request.url[:200]))
            for path in sorted(folder.glob("*.html")):
                happened.clear()
                view.goto(path.as_uri())
                made = json.loads(view.evaluate(MADE))
                others = [what for what in happened if what != path.as_uri() and not what.startswith("data:")]
                pages[path.stem] = made | {"text": shown(made["text"]), "happened": others}
            found[folder.parents[2].name, way] = pages
    return found


@pytest.mark.parametrize("way", ["strict", "bare"])
def test_nothing_runs_and_nothing_is_asked_for(seen, way):
    pages = seen["hostile", way]
    assert len(pages) == 7
    for name, page in pages.items():
        assert page["happened"] == [] and page["pwned"] == "undefined", name
        assert page["undrawn"] == [], name  # a drawing that is not well-formed is not shown at all


def test_the_structure_of_a_page_is_that_of_a_calm_one(seen):
    for name, page in seen["hostile", "bare"].items():
        mine, calm = ([node["shape"] for node in side["nodes"]] for side in (page, seen["calm", "bare"][name]))
        for place, (here, there) in enumerate(zip(mine, calm, strict=False)):
            assert here == there, (name, place)
        assert len(mine) == len(calm) > 100, name


def test_all_text_is_that_of_a_calm_page_with_the_hostile_text_in_it(seen, reports):
    for name, page in seen["hostile", "bare"].items():
        for mine, calm in zip(page["nodes"], seen["calm", "bare"][name]["nodes"], strict=True):
            for here, there in zip(mine["texts"], calm["texts"], strict=True):
                assert mine["apart"] or agrees(here, there, reports[2]), (name, here, there)


def test_every_string_is_shown(seen):
    pages = seen["hostile", "bare"]
    missing = {name: [text for text in HOSTILE if shown(text) not in page["text"]] for name, page in pages.items()}
    assert missing["index"] == missing["02_ltv_cac"] == missing["04_pricing_tiers"] == []
    # ten rejected rows are shown; the first members of enough customers
    assert len(missing["01_data_prep"]) <= 30 and len(missing["05_retention"]) <= 36
    for page in pages.values():
        assert shown(TITLE) in page["text"] and shown(SIGNED) in page["text"]
    assert all(shown(owner) in pages["glossary"]["text"] for owner in OWNERS)
    assert all(shown(file) in pages["01_data_prep"]["text"] for file in FILES)


def test_words_of_a_person_become_paragraphs_and_emphasis_alone(seen):
    commentary, said = (seen["hostile", "bare"]["index"][part] for part in ("commentary", "said"))
    assert {tag for tag, _ in commentary} <= {"P", "STRONG", "EM", "UL", "LI", "BLOCKQUOTE", "CODE"}
    assert {names for _, names in commentary} == {""}
    marked = re.compile(r"[*`\\\]&\n]|_\w+_")  # read as Markdown, so that their marks are not shown
    assert [text for text in HOSTILE if not marked.search(text) and shown(text) not in shown(said)] == []


def test_no_cell_of_a_csv_is_run_by_a_spreadsheet(reports):
    paths = [*reports[0].glob("*.csv"), *reports[0].glob("tables/*.csv")]
    cells = [cell for path in paths for row in csv.reader(path.open(encoding="utf-8", newline="")) for cell in row]
    harmful = [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert [cell for cell in harmful if not re.fullmatch(r"-?[0-9.]+(e[+-]?[0-9]+)?", cell)] == []
    assert {"'" + text for text in HOSTILE if text[0] in "=+-@"} <= {*cells}


def test_summary_md_holds_no_tag_link_or_formula_of_the_data(reports):
    text = (reports[0] / "summary.md").read_text(encoding="utf-8")
    read = mistune.create_markdown(escape=False, plugins=["url", "strikethrough", "table", "math", "footnotes", "task_lists"])
    page = BeautifulSoup(read(text), "html.parser")
    assert {tag.name for tag in page.find_all()} <= {"h1", "p", "ul", "ol", "li", "img"}, text
    assert [(image["src"], sorted(image.attrs)) for image in page.find_all("img")] == [("summary.png", ["alt", "src"])]
    assert shown(page.h1.text) == shown(f"{TITLE}, 2025-06")


def test_executed_notebooks_hold_no_live_markup_of_the_data(reports):
    for path in sorted((reports[0] / "notebooks").glob("*.ipynb")):
        sides = []
        for folder in reports[:2]:
            cells = json.loads((folder / "notebooks" / path.name).read_text(encoding="utf-8"))["cells"]
            outputs = [output for cell in cells for output in cell.get("outputs", [])]
            assert {kind for output in outputs for kind in output["data"]} == {"text/html", "text/plain"}, path.name
            assert {"".join(output["data"]["text/plain"]) for output in outputs} == {""}, path.name
            html = BeautifulSoup("".join("".join(output["data"]["text/html"]) for output in outputs), "html.parser")
            for words in html.select(".commentary"):
                words.clear()
            for cell in html.select(".long"):
                del cell["class"]
            sides.append([(tag.name, tag.get("class"), tag.get("href"), sorted(tag.attrs)) for tag in html.find_all()])
        assert sides[0] == sides[1], path.name
        names = {tag for tag, *_ in sides[0]} | {name for *_, attributes in sides[0] for name in attributes}
        assert not [name for name in names if name.startswith("on") or name in ("script", "iframe", "object", "embed", "base")]
