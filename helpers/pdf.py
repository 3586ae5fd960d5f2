"""All pages of a report as one tagged PDF, printed by Chromium where it is installed."""

import os
import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from datetime import date
from pathlib import Path
from urllib.parse import unquote

from bs4 import BeautifulSoup

from helpers.contracts import ReportError

NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge"]
APPS = [f"/Applications/{app}.app/Contents/MacOS/{app}" for app in ("Chromium", "Google Chrome", "Microsoft Edge")]
REMEDY = "Get it: apt-get install chromium (Debian, Ubuntu) or brew install --cask chromium (macOS); or set LTV_REPORT_BROWSER."
FLAGS = ["--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
         "--host-resolver-rules=MAP * ~NOTFOUND", "--no-pdf-header-footer", "--generate-pdf-document-outline"]
SECONDS = 120
SHEETS = "@page { size: A4; } main { counter-reset: figure table; } main + main { break-before: page; }"


def find_browser() -> str:
    """The program that LTV_REPORT_BROWSER names, else the first Chromium found; ReportError says how to get one."""
    wanted = os.environ.get("LTV_REPORT_BROWSER")
    places = [wanted] if wanted else NAMES + APPS
    if found := next(filter(None, map(shutil.which, places)), None):
        return found
    raise ReportError("--pdf", [f"needs Chromium, and this machine has none of {', '.join(places)}"], REMEDY)


def join_pages(pages: list[Path], title: str) -> str:
    """One page of the first one's head and header, the content of each and the last one's footer; its ids name the page.
    Links to what is neither in these pages nor on the web become plain text."""
    soups = {page.name: BeautifulSoup(page.read_text("utf-8"), "html.parser", multi_valued_attributes=None) for page in pages}
    ids = {name: {"main", *(tag["id"] for tag in soup.main.find_all(id=True))} for name, soup in soups.items()}
    for name, soup in soups.items():
        for attribute in ("id", "for", "headers", "aria-labelledby", "aria-describedby"):
            for tag in soup.body.find_all(attrs={attribute: True}):
                tag[attribute] = " ".join(f"{Path(name).stem}-{one}" for one in tag[attribute].split())
        for link in soup.body.find_all("a", href=True):
            file, _, anchor = map(unquote, link["href"].partition("#"))
            if (anchor or "main") in ids.get(file or name, ()):
                link["href"] = f"#{Path(file or name).stem}-{anchor or 'main'}"
            elif not re.match("https?://|mailto:", link["href"]):
                link.unwrap()
    joined, last = soups[pages[0].name], soups[pages[-1].name]
    parts = [joined.find("header", "strip"), *(soup.main for soup in soups.values()), last.find("footer", "strip")]
    parts[0].nav.decompose()
    joined.title.string = title
    joined.style.append(SHEETS)
    joined.body.clear()
    joined.body.extend(parts)
    return str(joined)


def print_pdf(pages: list[Path], target: Path, title: str, day: date) -> None:
    """Print the pages, in this order, as the tagged PDF `target`, dated midnight UTC of `day`: equal pages, equal bytes.
    Raises ReportError where no Chromium is found or it makes no whole PDF; `target` is then as it was."""
    browser, root = find_browser(), hasattr(os, "geteuid") and os.geteuid() == 0
    # beside the target, since a move is whole on one disk only, and Chromium from a snap does not see /tmp
    with tempfile.TemporaryDirectory(prefix="pdf-", dir=target.parent, ignore_cleanup_errors=True) as folder:
        source, printed, said = (Path(folder).resolve() / name for name in ("pages.html", "pages.pdf", "said.txt"))
        source.write_text(join_pages(pages, title), "utf-8")
        command = [browser, *FLAGS, *["--no-sandbox"] * root, f"--user-data-dir={folder}/profile",
                   f"--print-to-pdf={printed}", source.as_uri()]
        with said.open("wb") as noise, suppress(subprocess.TimeoutExpired):
            subprocess.run(command, stdout=noise, stderr=noise, timeout=SECONDS)
        made = printed.read_bytes() if printed.exists() else b""
        if not made.rstrip().endswith(b"%%EOF"):
            words = [line for line in said.read_text("utf-8", "replace").splitlines() if ":dbus/" not in line][-5:]
            raise ReportError(str(target), [f"{browser} made no whole PDF; its last words: {' | '.join(words)}"], REMEDY)
        made = re.sub(rb"(?<=Date \(D:)\d{14}[+-]\d\d'\d\d'", f"{day:%Y%m%d}000000+00'00'".encode(), made)
        ranks = {node: b"%08d" % rank for rank, node in enumerate(sorted(set(re.findall(rb"\(node(\d{8})\)", made))))}
        printed.write_bytes(re.sub(rb"(?<=\(node)\d{8}(?=\))", lambda found: ranks[found[0]], made))
        printed.replace(target)
