"""Proof of a published month: its files against its manifest, what it rests on, and the same files made again."""

import csv
import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from helpers.contracts import ROOT, ReportError
from helpers.inputs import code, files_below, history, sha256, source_digests, table, versions
from helpers.marts import make_demo
from helpers.params import load_params, parse
from helpers.plan import plan
from helpers.runner import NotebookError, run_report

REMEDY = "Name the folder of a published month, such as outputs/demo/2025-06."
SAME = "Run again, every file came out as it is in the folder."
MOVED = "A month is proven where it was published: its settings lead from there to its sources."


class Named(BaseModel):
    name: str
    title: str
    month: str


class Input(BaseModel):
    table: str
    file: str
    sha256: str


class Manifest(BaseModel):
    """What the runner's `write_manifest` says of a month, as far as it is held against anything."""

    report: Named
    params: dict[str, Any]
    versions: dict[str, str]
    definitions: str
    code: dict[str, str]
    inputs: list[Input]
    history: dict[str, str]
    outputs: dict[str, str]

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 of each input file by table and name; empty for a database."""
        return {f"{one.table}: {one.file}": one.sha256 for one in self.inputs}


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a published month. Raises ReportError where there is none, or it is not whole, or not ours."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise ReportError(f"{folder} is no published month: it holds no manifest.json", (), REMEDY)
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        told = [": ".join(filter(None, (".".join(map(str, item["loc"])), item["msg"]))) for item in error.errors()[:20]]
        raise ReportError(f"{path}, cut off or no manifest of this version,", [*map(plain, told)], REMEDY) from None


def verify(folder: Path, say: Callable[[str], object] = print, notebooks: Path = ROOT / "notebooks", **how) -> str:
    """Hold a published month against its manifest and against a re-run in a temporary folder; its folder is only read.

    say : called with each difference before anything is run, and with what cannot be checked.
    how : `progress` and `zygote` of `run_report`. Returns what is equal. Raises ReportError with every difference.
    """
    folder = next((path for path in (folder, ROOT / folder) if path.is_dir()), folder).resolve()
    manifest = read_manifest(folder)
    problems = changes("file", manifest.outputs, {name: sha256(path) for name, path in files_below(folder).items()})
    problems += changes("version of", manifest.versions, versions(), shown=True)
    try:
        now = code([notebook.path for stage in plan(notebooks, ()) for notebook in stage])
        problems += changes("code", manifest.code, now)
        params = load_params(folder / "params.yaml")
        make_demo(params)
        now = flat(parse((folder / "params.yaml").read_bytes(), "params.yaml"))
        problems += changes("setting", flat(manifest.params), now, shown=True)
        files, lacks = source_digests(params)
        lacks = [*map(plain, lacks)]
        problems += changes("input", {k: v for k, v in manifest.files.items() if v}, files)
        problems += changes("history", manifest.history, history(params))
        databases = [name for name, source in params.sources.items() if source.url]
    except ReportError as error:
        lacks, databases = [plain(line) for line in (error.title, *error.problems)], []
    for line in (*problems, *lacks):
        say(line)
    for name in databases:
        say(f"input {name}: the rows of a database cannot be checked, only what is made of them")
    lacks += ["nothing was run again, for this is missing"] if lacks else []
    again = lacks or run_again(folder, manifest, notebooks, **how)
    if problems or again:
        raise ReportError(str(folder), problems + again, MOVED if lacks else "" if again else SAME)
    return f"equal: {len(manifest.outputs)} files, {len(table(folder / 'metrics.csv'))} rows of metrics"


def changes(what: str, then: dict[str, str], now: dict[str, str], shown: bool = False) -> list[str]:
    """A line for each name that is gone, new or changed. shown : with both values, not for SHA-256."""
    lines = []
    for name in sorted(name for name in {*then, *now} if then.get(name) != now.get(name)):
        told = "gone" if name not in now else "new" if name not in then else "changed"
        values = f": {then.get(name, 'none')} -> {now.get(name, 'none')}" if shown else ""
        lines.append(plain(f"{what} {name} {told}{values}"))
    return lines


def flat(value: Any, where: str = "") -> dict[str, str]:
    """Settings by their dotted paths, each value as JSON."""
    if not isinstance(value, dict) or not value:
        return {where: json.dumps(value, ensure_ascii=False)}
    return {path: text for key, inner in value.items() for path, text in flat(inner, f"{where}.{key}".strip(".")).items()}


def plain(text: str) -> str:
    """Text out of a file, which may not steer the terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text)


def run_again(folder: Path, manifest: Manifest, notebooks: Path, **how) -> list[str]:
    """Make the month anew from its own settings, and name every file that comes out otherwise."""
    how |= {"pdf": "report.pdf" in manifest.outputs, "notebooks": notebooks, "stands_for": folder, "force": True}
    with tempfile.TemporaryDirectory(prefix="ltv-report-") as aside:
        try:
            again = files_below(run_report(folder / "params.yaml", out=aside, **how).parent)
        except (ReportError, NotebookError) as error:
            return [plain(f"run again: failed: {str(error).partition('Nothing was published')[0].strip()}")]
        kept = files_below(folder)
        lines = [f"{name} is not made" for name in sorted(manifest.outputs.keys() - again.keys())]
        lines += [f"{name} is made, too" for name in sorted(again.keys() - manifest.outputs.keys())]
        lines += [f"{name} differs{first_difference(kept[name], again[name])}"
                  for name in sorted(kept.keys() & again.keys()) if sha256(kept[name]) != sha256(again[name])]
        return [plain(f"run again: {line}") for line in lines]


def first_difference(kept: Path, again: Path) -> str:
    """Where two CSV files part, and what stands there; nothing of other files."""
    if kept.suffix != ".csv":
        return ""
    with kept.open(encoding="utf-8", errors="replace", newline="") as one, again.open(encoding="utf-8", newline="") as two:
        head: list[str] = []
        with suppress(csv.Error):
            for number, (old, new) in enumerate(zip_longest(csv.reader(one), csv.reader(two), fillvalue=[])):
                head = head or new
                for column, (was, now) in enumerate(zip_longest(old, new)):
                    if was != now:
                        row = f"row {number}" + f" ({', '.join((new or old)[:4])})" * (kept.name == "metrics.csv")
                        name = head[column] if column < len(head) else f"number {column + 1}"
                        return f" from {row}, column {name}: {was!r} in the folder, {now!r} run again"
    return ", though not in its cells"
