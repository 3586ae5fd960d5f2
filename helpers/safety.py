"""So that nothing is lost: one run of a month at a time, months exchanged whole, and clear words for what ended a run."""

import ctypes
import errno
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

from helpers.contracts import ReportError

SPACE = "Free space on that disk, or name a folder on another one with --out."
RIGHTS = "Let the user who runs the report read and write there, or name another folder with --out."
FOLDER = "Move that file away, for a folder is needed there; or name another folder with --out."
MEMORY = "Run one notebook at a time (--jobs 1), end other programs, or use a machine with more memory."
# What to do about what the system refuses.
REMEDIES = {
    errno.ENOSPC: SPACE, errno.EDQUOT: SPACE, errno.EROFS: RIGHTS, errno.EACCES: RIGHTS, errno.EPERM: RIGHTS,
    errno.ENOTDIR: FOLDER, errno.EEXIST: FOLDER,
}
# The same, as errors of a notebook's cell quote it; DuckDB tells a full disk by the room that it has left for spilling.
QUOTED = {"max_temp_directory_size": SPACE} | {
    os.strerror(number): REMEDIES[number] for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)}


@contextmanager
def guard(published: Path, work: Path) -> Iterator[None]:
    """Make a month in `work`, to be published as `published`, while no other process does; mend first what a crash left.

    Raises ReportError if another run is at it, or for what the disk refuses; says of an interruption what was kept.
    """
    before = None
    try:
        refuse_unusable(published, work)
        with claim(work.with_name(f"{work.name}.lock")):
            restore(published)
            for left in published.parent.glob(".????-??.previous"):
                month = left.name[1:8]
                with suppress(ReportError), claim(work.with_name(f"{month}.lock")):  # unless its own run is at it
                    restore(published.with_name(month))
            clear_read(work.parent)
            before = identity(published)
            yield
    except KeyboardInterrupt as error:
        error.args = (f"Interrupted. {standing(published, before)}",)
        raise
    except OSError as error:
        raise refusal(error, str(published.parent), standing(published, before)) from None


@contextmanager
def shared(above: Path) -> Iterator[Path | None]:
    """A folder in `above` for the length of a call, in which its months share what they read; None where it is refused."""
    with ExitStack() as stack:
        folder = above / f"read-{token_hex(4)}"
        try:
            stack.enter_context(claim(above / f"{folder.name}.lock"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            folder.mkdir()
        except (OSError, ReportError):
            folder = None
        yield folder


def clear_read(above: Path) -> None:
    """Take away what calls that were killed shared between their months."""
    for name in {left.name.removesuffix(".lock") for left in above.glob("read-*")}:
        with suppress(ReportError, OSError), claim(above / f"{name}.lock"):  # unless its call is at it
            shutil.rmtree(above / name, ignore_errors=True)


def refused(error: Exception) -> bool:
    """Whether an error says that the disk refused something."""
    return isinstance(error, OSError) and error.errno in REMEDIES


def refusal(error: OSError, folder: str = "outputs", ending: str = "") -> ReportError:
    """What the disk refused, where, and what to do about it; raises an error that no remedy is known for."""
    if not refused(error):
        raise error
    where = error.filename2 or error.filename or f"The disk of {folder} or of temporary files"
    return ReportError(str(where), [error.strerror], " ".join(filter(None, (REMEDIES[error.errno], ending))))


def identity(published: Path) -> int | None:
    """Which folder stands there: another one after it was replaced."""
    return published.stat().st_ino if published.exists() else None


def standing(published: Path, before: int | None) -> str:
    """What a run that was cut short has left, told by which folder stood there before."""
    now = identity(published)
    if now == before:
        return f"Nothing was published; {published} is {'not there yet' if now is None else 'as it was'}."
    return f"The new month was published before: {published}."


def refuse_unusable(*folders: Path) -> None:
    """Raise ReportError where folders cannot be made or written to: at once, not after the last notebook."""
    problems = []
    for folder in folders:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.is_dir():
            problems.append(f"{there} is a file, and a folder is needed there")
            continue
        try:  # by trying, for rights alone say too little: of a file system that takes nothing, of an administrator
            TemporaryDirectory(dir=there, prefix=".try-").cleanup()
        except OSError as error:
            problems.append(f"{there} cannot be written to: {error.strerror}")
    if problems:
        remedy = "Mend it, or name another folder with --out."
        raise ReportError("The folder of the report", list(dict.fromkeys(problems)), remedy)


@contextmanager
def claim(lock: Path) -> Iterator[None]:
    """Hold a lock, which the system lets go of however this process ends. Raises ReportError at once if another holds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = lock.open("a+", encoding="utf-8")
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                file.seek(0)
                holder = file.read() or "another process"
            remedy = "Wait until it has ended, or end it. Runs of other months and reports may go on."
            raise ReportError(f"{lock.parent.name} {lock.stem} is being made by {holder}", (), remedy) from None
        except (ImportError, OSError):
            pass  # Windows and some network disks have no such locks
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                break
        file.close()  # its holder ended meanwhile, and took the file away
    try:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
        file.flush()
        yield
    finally:
        lock.unlink(missing_ok=True)
        file.close()


def replace(published: Path, work: Path) -> None:
    """Put a new month in the place of the published one, whose metrics are kept, in one step where the system can."""
    published.parent.mkdir(parents=True, exist_ok=True)
    keep_metrics(published)
    if published.exists() and exchange(work, published):
        shutil.rmtree(work)
        return
    try:
        if published.exists():
            published.rename(published.with_name(f".{published.name}.previous"))
        work.rename(published)
    finally:
        restore(published)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step, as Linux and macOS can on most disks; False where that cannot be done."""
    paths = os.fsencode(one), os.fsencode(other)
    with suppress(AttributeError, TypeError):
        system = ctypes.CDLL(None)
        if sys.platform == "darwin":
            return system.renamex_np(*paths, 2) == 0  # RENAME_SWAP
        return system.renameat2(-1, paths[0], -1, paths[1], 2) == 0  # RENAME_EXCHANGE; absolute paths need no folder
    return False


def restore(published: Path) -> None:
    """Bring back a month that a crash left aside, or clear it where its successor is in place."""
    previous = published.with_name(f".{published.name}.previous")
    if previous.exists() and published.exists():
        shutil.rmtree(previous)
    elif previous.exists():
        previous.rename(published)


def keep_metrics(published: Path) -> None:
    """Keep a month's metrics as history/<month>/<UTC time of its run>.metrics.csv; what stands there stays."""
    metrics, folder = published / "metrics.csv", published.parent / "history" / published.name
    if not metrics.is_file():
        return
    try:
        time = datetime.fromisoformat(json.loads((published / "manifest.json").read_bytes())["started"]).astimezone(UTC)
    except (OSError, ValueError, KeyError, TypeError):  # damaged: the file's own time tells
        time = datetime.fromtimestamp(metrics.stat().st_mtime, UTC)
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{time:%Y-%m-%dT%H%M%SZ}.metrics.csv"
    if not kept.exists():  # it does where the run that replaced it was killed before it could
        shutil.copyfile(metrics, folder / ".part")
        (folder / ".part").rename(kept)  # whole or not at all


def ended(code: int) -> str:
    """How a kernel's process ended, by its exit code, and what to do about it."""
    if code >= 0:
        return f"the kernel ended by itself with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
    why = f", most often because memory ran out. {MEMORY}" if name == "SIGKILL" else ""
    return f"the system ended the kernel by signal {-code} ({name}){why}"


def remedy(text: str) -> str:
    """What to do about an error of the disk that a cell quotes; empty where it quotes none."""
    return next((told for quoted, told in QUOTED.items() if quoted in text), "")


def heed_signals() -> None:
    """Take what schedulers send to end a run, and a closed terminal, as Ctrl-C. Signals that are ignored stay so."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
