"""What notebooks made, kept with what it rested on: a notebook of which nothing changed is not run again.

A notebook's metadata name the sections of settings that it reads beside those that all read, as in
`"ltv_report": {"reads": ["retention"]}`, and it is given no others. A notebook that names none is always run: nobody
knows what it reads.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ValidationError

from helpers.inputs import code, files_below, history, sha256, source_digests, versions
from helpers.params import Params, to_yaml

APART = ("commentary", "ltv_cac", "pricing", "retention", "rfm")


class Made(BaseModel):
    """What a notebook made. key : of what it rested on. files : their SHA-256 by path, its executed form among them."""

    key: str
    title: str
    seconds: float
    files: dict[str, str]

    @property
    def given(self) -> dict[str, str]:
        """The files that later notebooks are given."""
        return {path: digest for path, digest in self.files.items() if not path.startswith("notebooks/")}


class Cache:
    """What the notebooks of a month made: a folder each, of links to the files of the month where the disk has links."""

    def __init__(self, folder: Path, params: Params, published: Path, shown: str) -> None:
        self.folder, self.params, self.published = folder, params, published
        self.common = {"place": shown, "code": code(()), "versions": versions(), "history": history(params)}

    def settings(self, reads: tuple[str, ...] | None) -> str:
        """The settings that a notebook is given, as YAML: those of other notebooks are left at their defaults."""
        return to_yaml(self._given(reads), self.published)

    def key(self, path: Path, reads: tuple[str, ...] | None, given: Mapping[str, str]) -> str | None:
        """What a notebook rests on, as one SHA-256; None where that cannot be known.

        given : the files that earlier notebooks made; none for the first, which rests on the sources.
        """
        sources, missing = ({}, []) if given else source_digests(self.params)
        if reads is None or missing or not given and any(source.url for source in self.params.sources.values()):
            return None
        params = self._given(reads)
        words = self.params.resolve(params.commentary) / f"{params.report.month}.md" if params.commentary else None
        terms = self.common | {
            "notebook": sha256(path), "settings": self.settings(reads), "sources": sources, "given": dict(given),
            "values": params.model_dump(mode="json", exclude={"sources"}),  # what ${NAME}s stand for; never a password
            "commentary": sha256(words) if words and words.is_file() else None,
        }
        return digest(terms)

    def recall(self, name: str, key: str | None) -> Made | None:
        """What the notebook made when it last rested on the same; None where it never did."""
        with suppress(OSError, ValidationError):
            made = Made.model_validate_json((self.folder / name / "made.json").read_bytes())
            return made if made.key == key else None
        return None

    def find(self, name: str, key: str | None) -> Made | None:
        """As `recall`, where all its files are still what they were."""
        made, kept = self.recall(name, key), self.folder / name / "files"
        whole = made and {path: sha256(file) for path, file in files_below(kept).items()} == made.files
        return made if whole else None

    def take(self, name: str, work: Path) -> None:
        """Put what a notebook made into the folder of a run."""
        for path, file in files_below(self.folder / name / "files").items():
            link(file, work / path)

    def keep(self, name: str, made: Made, work: Path) -> None:
        """Keep what a notebook made in the folder of a run."""
        folder, part = self.folder / name, self.folder / f".{name}"
        shutil.rmtree(part, ignore_errors=True)
        for path in made.files:
            link(work / path, part / "files" / path)
        (part / "made.json").write_text(made.model_dump_json(), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)  # whole or not at all

    def page(self, name: str, context: dict, place: Path) -> bool:
        """Put the page of a notebook that was reused in its place, if it was rendered in the same context."""
        for file in (self.folder / name).glob(f"{digest(context)}-*.html"):
            if file.stem.endswith(sha256(file)):
                link(file, place)
                return True
        return False

    def keep_page(self, name: str, context: dict, page: Path) -> None:
        """Keep the page beside what the notebook made, if that was kept."""
        for file in (self.folder / name).glob("*.html"):
            file.unlink()
        if (self.folder / name).is_dir():
            link(page, self.folder / name / f"{digest(context)}-{sha256(page)}.html")

    def _given(self, reads: tuple[str, ...] | None) -> Params:
        others = set() if reads is None else {*APART} - {*reads}
        left = {name: Params.model_fields[name].default for name in others}
        raw = {name: value for name, value in self.params.raw.items() if name not in left}
        return self.params.model_copy(update=left | {"raw": raw})


def digest(terms: dict) -> str:
    return hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()


def link(file: Path, place: Path) -> None:
    """The same file at a second place; a copy where the disk has no links."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)
