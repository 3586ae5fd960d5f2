"""What a month rests on, by SHA-256: files of its sources, code, versions, and the earlier months that it reads."""

import csv
import glob
import hashlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from importlib.metadata import version
from pathlib import Path

from helpers.contracts import ROOT, ReportError
from helpers.params import as_written
from helpers.settings import Params

HERE = Path(__file__).parent
# What a run reads of which month before.
HISTORY = (("columns", 1), ("decisions", 1),
           *((table, months) for months in range(1, 13)
             for table in ("definitions", "forecast_12m", "metrics", "settings", "volume_by_table")))
PACKAGES = ("ltv-report", "duckdb", "matplotlib", "nbconvert", "numpy", "pandas", "papermill", "scipy", "seaborn")


def source_files(params: Params, table: str) -> list[Path]:
    """The files of a source, sorted. Raises ReportError where there is none."""
    path, where, folder = params.sources[table].path, f"sources.{table}.path", params.file.parent
    if path.startswith("package://"):
        package, _, path = path.removeprefix("package://").partition("/")
        spec = importlib.util.find_spec(package) if package.isidentifier() else None  # finds, does not import
        if spec is None or not spec.submodule_search_locations:
            raise ReportError(f"{where}: the package {package} is not installed", (), "Of the examples: make examples")
        folder = Path(spec.submodule_search_locations[0])
    elif "://" in path:
        raise ReportError(f"{where}: {path.partition('://')[0]}:// is not read; give a file, folder or glob")
    found = [path] if os.path.exists(folder / path) else glob.glob(path, root_dir=folder, recursive=True)
    if os.path.isdir(folder / path):
        found = [f"{path}/{name}" for name in os.listdir(folder / path) if name[0] not in ".~"]  # hidden, Excel's locks
    if not (files := sorted((folder / name).resolve() for name in found if (folder / name).is_file())):
        shown = as_written(params.raw, ("sources", table, "path"))
        if shown.startswith("..") and "${" not in shown:  # a run's own settings lead far up: the whole path is clearer
            raise ReportError(f"{where}: there is no file {os.path.normpath(folder / path)}")
        raise ReportError(f"{where}: there is no file {shown} (relative to {params.file.name})")
    return files


def source_digests(params: Params) -> tuple[dict[str, str], list[str]]:
    """The SHA-256 of each file of the sources, named as in the manifest; and the sources that are not there."""
    found, problems = {}, []
    for name in [name for name, source in params.sources.items() if source.path]:
        try:
            files = source_files(params, name)
        except ReportError as error:
            problems.append(str(error))
            continue
        above = os.path.commonpath([path.parent for path in files])
        found |= {f"{name}: {path.relative_to(above).as_posix()}": as_it_stands(path, *stamp(path)) for path in files}
    return found, problems


def stamp(path: Path) -> tuple[int, int, int, int]:
    """What tells that a file was changed: its size, when it was written and when it was put there, its place on the disk."""
    of = path.stat()
    return of.st_size, of.st_mtime_ns, of.st_ctime_ns, of.st_ino


@cache
def as_it_stands(path: Path, *stamp: int) -> str:
    """The SHA-256 of a file, taken once while its `stamp` is the same: many months rest on it."""
    return sha256(path)


def versions() -> dict[str, str]:
    return {"python": sys.version.split()[0]} | {package: version(package) for package in PACKAGES}


def installed() -> list[str]:
    """Every package of this environment with its version, as its folder is called."""
    folders = {Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}
    return sorted(path.name for folder in folders for path in folder.glob("*.dist-info"))


def history(params: Params) -> dict[str, str]:
    """The SHA-256 of each file of earlier months that a run reads, by its path under params.history."""
    earlier = [path for name, months in HISTORY if (path := params.earlier(name, months)) and path.is_file()]
    return {path.relative_to(ROOT / params.history).as_posix(): sha256(path) for path in earlier}


def files_below(folder: Path) -> dict[str, Path]:
    """What a manifest accounts for, by path: all files of a month but the manifest and the log."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in found.items() if name not in ("manifest.json", "run.log")}


def own_files() -> list[Path]:
    """All files of helpers, sorted; not what Python compiled of them."""
    return [path for path in sorted(HERE.rglob("*")) if path.is_file() and path.suffix != ".pyc"]


def code(notebooks: Sequence[Path]) -> dict[str, str]:
    """The SHA-256 of each file that makes a report, by its path: the notebooks, and all of helpers."""
    return {f"{path.parent.name}/{path.name}": sha256(path) for path in notebooks} | {
        path.relative_to(HERE.parent).as_posix(): sha256(path) for path in own_files()}


def newer(moment: float, notebooks: Sequence[Path]) -> list[str]:
    """Files of code that were changed after a moment, in seconds since 1970."""
    return sorted(path.name for path in (*own_files(), *notebooks) if path.stat().st_mtime > moment)


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV that a notebook left; none where it did not get so far."""
    with path.open(encoding="utf-8", newline="") if path.exists() else nullcontext([]) as lines:
        return list(csv.DictReader(lines))


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
