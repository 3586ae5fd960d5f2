"""What notebooks made, kept with what it rested on: a notebook of which nothing changed is not run again.

A notebook's metadata name the sections of settings that it reads beside those that all read, as in
`"ltv_report": {"reads": ["retention"]}`, and it is given no others. A notebook that names none is always run: nobody
knows what it reads.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ValidationError

from helpers.inputs import code, files_below, history, installed, sha256, source_digests, versions
from helpers.params import to_yaml
from helpers.settings import Params

APART = ("commentary", "ltv_cac", "pricing", "retention", "rfm")


class Made(BaseModel):
    """What a notebook made. key : of what it rested on. files : their SHA-256 by path, its executed form among them.
    said : what it and its kernel said for the log."""

    key: str
    title: str
    seconds: float
    files: dict[str, str]
    said: list[str] = []

    @property
    def given(self) -> dict[str, str]:
        """The files that later notebooks are given."""
        return {path: digest for path, digest in self.files.items() if not path.startswith("notebooks/")}


class Cache:
    """What the notebooks of a month made, in a folder each. Trouble with it costs time, never a report."""

    def __init__(self, folder: Path, params: Params, published: Path, shown: str) -> None:
        self.folder, self.params, self.published = folder, params, published
        self.common = {"place": shown, "code": code(()), "versions": versions(), "installed": installed(),
                       "history": history(params)}

    def settings(self, reads: tuple[str, ...] | None, folder: Path) -> str:
        """The settings that a notebook is given, as YAML for a folder: those of other notebooks are left at their defaults."""
        return to_yaml(self._given(reads), folder)

    def key(self, path: Path, reads: tuple[str, ...] | None, given: Mapping[str, str]) -> str | None:
        """What a notebook rests on, as one SHA-256; None where that cannot be known.

        given : the files that earlier notebooks made; none for the first, which rests on the sources.
        """
        sources = {} if given else self._sources()
        if reads is None or sources is None:
            return None
        params = self._given(reads)
        words = self.params.resolve(params.commentary) / f"{params.report.month}.md" if params.commentary else None
        secret = {"sources": {"__all__": {"url", "query"}}}  # so that no password can be guessed from a key
        terms = self.common | {
            "notebook": sha256(path), "settings": to_yaml(params, self.published), "sources": sources, "given": dict(given),
            "values": params.model_dump(mode="json", exclude=secret),  # what ${NAME}s stand for
            "commentary": sha256(words) if words and words.is_file() else None,
        }
        return digest(terms)

    def recall(self, name: str, key: str | None) -> Made | None:
        """What the notebook made when it last rested on the same, if it did; its files may have changed since."""
        with suppress(OSError, ValidationError):
            made = Made.model_validate_json((self.folder / name / "made.json").read_bytes())
            return made if made.key == key else None
        return None

    def whole(self, name: str, key: str | None) -> Made | None:
        """As `recall`, where all files are what they were."""
        if made := self.recall(name, key):
            with suppress(OSError):
                if {path: sha256(file) for path, file in files_below(self.folder / name / "files").items()} == made.files:
                    return made
        return None

    def take(self, name: str, work: Path) -> None:
        """Copy what a notebook made into the folder of a run: what is done there must not reach what is published."""
        for path, file in files_below(self.folder / name / "files").items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, work / path)

    def keep(self, name: str, made: Made, work: Path) -> str:
        """Keep what a notebook made in the folder of a run. Returns why it could not be kept, if so."""
        folder, part = self.folder / name, self.folder / f".{name}"
        try:
            for left in (part, folder):
                if left.exists():
                    shutil.rmtree(left)
            for path in made.files:
                link(work / path, part / "files" / path)
            (part / "made.json").write_text(made.model_dump_json(), encoding="utf-8")
            part.rename(folder)  # whole or not at all
        except OSError as error:
            return f"not kept for later runs: {error}"
        return ""

    def page(self, name: str, context: dict, place: Path) -> bool:
        """Copy the page of a notebook that was reused to its place, if it was rendered in the same context."""
        with suppress(OSError):
            for file in (self.folder / name).glob(f"{digest(context)}-*.html"):
                if file.stem.endswith(sha256(file)):
                    shutil.copyfile(file, place)
                    return True
        return False

    def keep_page(self, name: str, context: dict, page: Path) -> str:
        """Keep the page beside what the notebook made, if that was kept. Returns why it could not be kept, if so."""
        try:
            for file in (self.folder / name).glob("*.html"):
                file.unlink()
            if (self.folder / name).is_dir():
                link(page, self.folder / name / f"{digest(context)}-{sha256(page)}.html")
        except OSError as error:
            return f"page not kept for later runs: {error}"
        return ""

    def prune(self, names: Collection[str]) -> None:
        """Forget notebooks that are no longer there."""
        for path in self.folder.glob("*") if self.folder.is_dir() else ():
            if path.name not in names:
                shutil.rmtree(path, ignore_errors=True)

    def _sources(self) -> dict[str, str] | None:
        """The SHA-256 of each source file; None where rows come from a database, or a file is missing."""
        if any(source.url for source in self.params.sources.values()):
            return None
        try:
            found, missing = source_digests(self.params)
        except OSError:
            return None
        return None if missing else found

    def _given(self, reads: tuple[str, ...] | None) -> Params:
        others = set() if reads is None else {*APART} - {*reads}
        left = {name: Params.model_fields[name].default for name in others}
        raw = {name: value for name, value in self.params.raw.items() if name not in left}
        return self.params.model_copy(update=left | {"raw": raw})


def digest(terms: dict) -> str:
    """SHA-256 of terms that JSON can hold, whatever their order."""
    return hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()


def link(file: Path, place: Path) -> None:
    """The same file at a second place; a copy where the disk has no links."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)
