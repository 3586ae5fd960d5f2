"""Wall times of the demo report, medians: against papermill and nbconvert by hand, run again, and month by month.

Run by `make bench`; writes nothing but what the two ways write into a temporary folder.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
MONTHS = [f"2024-{month:02}" for month in range(7, 13)] + [f"2025-{month:02}" for month in range(1, 7)]
REPEATS = 5


def kit(out: Path, *words: str) -> str:
    command = [BIN / "ltv-report", "run", "params/demo.yaml", "--out", out, *words]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def by_hand(out: Path) -> None:
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        executed = out / notebook.name
        parameters = ["-p", "params_file", "params/demo.yaml", "-p", "month", MONTHS[-1], "-p", "run_dir", str(out / "run")]
        subprocess.run([BIN / "papermill", notebook, executed, *parameters], cwd=ROOT, check=True, capture_output=True)
        subprocess.run([BIN / "jupyter", "nbconvert", "--to", "html", executed], cwd=ROOT, check=True, capture_output=True)


def seconds(way: Callable, *words) -> float:
    start = time.perf_counter()
    way(*words)
    return time.perf_counter() - start


def notebooks(out: Path) -> dict[str, tuple[float, float]]:
    """How long each notebook of the run in a folder took, by its number, and its cells alone, as the end of its log says."""
    log = (out / "demo" / MONTHS[-1] / "run.log").read_text().partition(" begins seconds\n")[2]
    found = re.findall(r"^ *[\d.]+ +([\d.]+) +(\d\d)_\w+; cells ([\d.]+)", log, re.M)
    return {number: (float(took), float(cells)) for took, number, cells in found}


def main() -> None:
    os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    times: dict[str, list[float]] = {}

    def note(name: str, took: float) -> None:
        times.setdefault(name, []).append(took)
        print(f"{name}: {took:.1f} s", flush=True)

    with tempfile.TemporaryDirectory() as name:
        folders = (Path(name) / f"{number}" for number in count())
        kit(next(folders))  # makes the demo's files, so that neither way pays for them
        for turn in range(REPEATS):
            own, hand = next(folders), next(folders)
            hand.mkdir()
            note("kit", seconds(kit, own))
            note("by hand", seconds(by_hand, hand))
            cells = {number: alone for number, (_, alone) in notebooks(own).items()}
            side = [cells[number] for number in ("02", "03", "04", "05")]
            note("overhead over cells", times["kit"][-1] - cells["01"] - max(*side, sum(side) / 2) - cells["06"])
            note("nothing changed", seconds(kit, own))
            note("one setting of 05", seconds(kit, own, "--set", f"retention.cohorts={turn + 5}"))
            note("05 alone", notebooks(own)["05"][0])
        span, apart = f"{MONTHS[0]}:{MONTHS[-1]}", next(folders)
        note("12 months in one call", seconds(kit, next(folders), "--months", span))
        note("12 runs", sum(seconds(kit, apart, "--month", month) for month in MONTHS))
        note("12 months side by side", seconds(kit, next(folders), "--months", span, "--set", "history=null"))
    medians = {name: statistics.median(all_of) for name, all_of in times.items()}
    for name, median in medians.items():
        print(f"| {name} | {', '.join(f'{took:.1f}' for took in times[name])} | {median:.1f} |")
    for one, other in (("kit", "by hand"), ("12 months in one call", "12 runs"), ("12 months side by side", "12 runs")):
        print(f"{one} ÷ {other}: {medians[one] / medians[other]:.2f}")


if __name__ == "__main__":
    main()
