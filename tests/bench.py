"""Wall time of the demo report against papermill and nbconvert by hand: the same notebooks, in turn, medians.

Run by `make bench`; writes nothing but what the two ways write into a temporary folder.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
MONTH = "2025-06"


def by_kit(out: Path) -> None:
    subprocess.run([BIN / "ltv-report", "run", "params/demo.yaml", "--out", out], cwd=ROOT, check=True, capture_output=True)


def by_hand(out: Path) -> None:
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        executed = out / notebook.name
        parameters = ["-p", "params_file", "params/demo.yaml", "-p", "month", MONTH, "-p", "run_dir", str(out / "run")]
        subprocess.run([BIN / "papermill", notebook, executed, *parameters], cwd=ROOT, check=True, capture_output=True)
        subprocess.run([BIN / "jupyter", "nbconvert", "--to", "html", executed], cwd=ROOT, check=True, capture_output=True)


def seconds(way, folder: Path) -> float:
    folder.mkdir()
    start = time.perf_counter()
    way(folder)
    return time.perf_counter() - start


def main(repeats: int = 3) -> None:
    os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as name:
        by_kit(Path(name) / "warm")  # makes the demo's files, so that neither way pays for them
        times = {by_kit: [], by_hand: []}
        for turn in range(repeats):
            for way in times:
                times[way].append(seconds(way, Path(name) / f"{way.__name__}{turn}"))
                print(f"{way.__name__}: {times[way][-1]:.1f} s", flush=True)
    kit, hand = (statistics.median(times[way]) for way in (by_kit, by_hand))
    print(f"medians of {repeats}: kit {kit:.1f} s, by hand {hand:.1f} s, ratio {kit / hand:.2f}")


if __name__ == "__main__":
    main()
