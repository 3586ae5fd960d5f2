"""Our models and counts against lifetimes, PyMC-Marketing and lifelines: the same data, in turn, medians, as Markdown.

Run by `make bench`. The others have an environment of their own, .venv/bench, made anew when their pins change. When a clock
starts, data frames are in memory, libraries imported and our engine open; first calls, which compile, are told apart. Both
processes have one thread for linear algebra, as the kit's kernels do. Ends with an error where results differ by more than
BOUNDS.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.engine import Engine
from helpers.metrics.clv_models import weeks
from helpers.models import bgnbd
from helpers.models.survival import kaplan_meier
from helpers.zygote import SINGLE

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "tests" / "bench-requirements.txt"
CUSTOMERS, REPEATS, AS_OF = 100_000, 5, pd.Timestamp("2025-07-01")
PARAMETERS, KEYS = ["r", "alpha", "a", "b"], {"rfm": "customer_id", "survival": "month"}
BOUNDS = {"fit": 1e-3, "rfm": 0, "survival": 1e-9}
# Frames as the marts that our queries read; then what mart_customers counts of a customer's days, and nothing else of it
SALES = """
select customer_id, transacted_at, cast(transacted_at as date) as day, cast(10 as decimal(18, 4)) as revenue,
    true as sale, true as bought, true as opens_order
from transactions"""
SPELLS = """
select *, true as started_at, 1 as first_term, cast(null as text) as first_plan_id, cast(null as text) as segment,
    cast(null as text) as country, cast(null as text) as channel
from spells"""
HISTORY = """
select customer_id, count(*) - 1 as frequency, date_diff('day', min(day), max(day)) as recency,
    date_diff('day', min(day), cast(max(run.as_of) as date)) - 1 as "T"
from mart_customer_days cross join run
where purchased
group by customer_id"""


def draw_transactions(rng) -> pd.DataFrame:
    """Sales of customers of BG/NBD (r 1, alpha 3 weeks, a 0.8, b 8) whose first lies within the two years before AS_OF."""
    who, rate, drop = np.arange(CUSTOMERS), rng.gamma(1, 1 / 21, CUSTOMERS), rng.beta(0.8, 8, CUSTOMERS)
    alive, day, parts = np.ones(CUSTOMERS, dtype=bool), rng.uniform(0, 730, CUSTOMERS), []
    while alive.any():
        parts.append((who[alive], day[alive]))
        day = day + rng.exponential(1 / rate)
        alive &= (day < 730) & ((rng.random(CUSTOMERS) >= drop) | (len(parts) == 1))  # nobody leaves after the first
    number, days = map(np.concatenate, zip(*parts, strict=True))
    moments = AS_OF - pd.to_timedelta(np.ceil((730 - days) * 86400), unit="s")
    table = pd.DataFrame({"customer_id": np.char.mod("C%06d", number), "transacted_at": moments})
    return table.sort_values("transacted_at", ignore_index=True)


def draw_spells(rng) -> pd.DataFrame:
    """Spells of five years in a book that is complete for the last three: who was there already enters late."""
    watched, life = rng.integers(1, 61, 3 * CUSTOMERS), rng.geometric(rng.beta(1.5, 30, 3 * CUSTOMERS))
    months = {"spell_months": np.minimum(life, watched), "entry_months": np.maximum(watched - 36, 0)}
    table = pd.DataFrame(months).assign(spell_ended=life <= watched).query("spell_months > entry_months")
    return table.head(CUSTOMERS).reset_index(drop=True)


def open_engine() -> Engine:
    engine = Engine()
    engine.register("run", pd.DataFrame({"as_of": [AS_OF]}))
    return engine


def cells(engine: Engine, customers: pd.DataFrame) -> tuple:
    engine.register("mart_customers", customers)
    return weeks(engine.frame("summaries/purchases"))


def fit(engine: Engine, customers: pd.DataFrame) -> pd.DataFrame:
    model = bgnbd.fit(*cells(engine, customers))
    return pd.DataFrame([[getattr(model, name) for name in PARAMETERS]], columns=PARAMETERS)


def rfm(engine: Engine, transactions: pd.DataFrame) -> pd.DataFrame:
    engine.register("transactions", transactions)
    engine.connection.sql(SALES).create_view("mart_transactions")
    engine.build("mart_customer_days", "marts/customer_days")
    return engine.connection.sql(HISTORY).df()


def survival(engine: Engine, spells: pd.DataFrame) -> pd.DataFrame:
    engine.register("spells", spells)
    engine.connection.sql(SPELLS).create_view("mart_customers")
    return kaplan_meier(engine.frame("summaries/survival", dimensions=[]))


def timed(job, frame: pd.DataFrame) -> tuple[float, pd.DataFrame]:
    engine = open_engine()
    start = time.perf_counter()
    found = job(engine, frame)
    return time.perf_counter() - start, found


def environment() -> Path:
    """The interpreter of the other libraries; makes their environment where it is missing or has other pins."""
    folder = ROOT / ".venv" / "bench"
    python, made_of = folder / "bin" / "python", folder / PINS.name
    if not made_of.is_file() or made_of.read_bytes() != PINS.read_bytes():
        venv.create(folder, clear=True, with_pip=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", PINS]
        subprocess.run(pip, check=True)
        shutil.copyfile(PINS, made_of)
    return python


def other(process: subprocess.Popen, job: str, folder: Path) -> tuple[float, pd.DataFrame]:
    """A job of the other process: `bench_others.py` says how it is asked."""
    print(job, file=process.stdin, flush=True)
    return float(process.stdout.readline()), pd.read_parquet(folder / "found.parquet")


def difference(kind: str, ours: pd.DataFrame, theirs: pd.DataFrame, mean) -> float:
    """Of log-likelihoods by our formula, as a share; elsewhere the largest of any value, infinite where keys differ."""
    if kind == "fit":
        ours, theirs = (mean(np.log(found[PARAMETERS].to_numpy()[0]))[0] for found in (ours, theirs))
        return abs(theirs / ours - 1)
    ours, theirs = (found.set_index(KEYS[kind]).sort_index() for found in (ours, theirs))
    if len(ours) != len(theirs) or (ours.index != theirs.index).any():
        return np.inf
    columns = [name for name in ours if name in theirs]
    return float(np.abs(ours[columns].to_numpy(float) - theirs[columns].to_numpy(float)).max())  # NaN where a value is missing


def main() -> None:
    rng = np.random.default_rng(1)
    transactions, spells = draw_transactions(rng), draw_spells(rng)
    counted = timed(rfm, transactions)[1]
    first = AS_OF - pd.to_timedelta(counted["T"] + 1, unit="D")
    days = {"first_sale_day": first, "last_sale_day": first + pd.to_timedelta(counted["recency"], unit="D")}
    customers = pd.DataFrame(days | {"purchase_days": counted["frequency"] + 1})
    in_weeks = counted.assign(recency=counted["recency"] / 7, T=counted["T"] / 7)
    *rows, weights = cells(open_engine(), customers)
    likelihood = bgnbd.Rows(*rows).given(weights)
    print(f"{CUSTOMERS:,} customers in {len(weights):,} cells; {len(transactions):,} transactions; {len(spells):,} spells")
    ours = {"fit": (fit, customers), "rfm": (rfm, transactions), "survival": (survival, spells)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = {"customers": in_weeks, "transactions": transactions, "spells": spells, "run": pd.DataFrame({"as_of": [AS_OF]})}
        for table, frame in given.items():
            frame.to_parquet(folder / f"{table}.parquet")
        command = [environment(), ROOT / "tests" / "bench_others.py", folder]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            hello = json.loads(process.stdout.readline())
            seconds, apart = {}, {}
            for _turn in range(1 + REPEATS):
                for kind, job in ours.items():
                    took, found = timed(*job)
                    seconds.setdefault((kind, "kit"), []).append(took)
                    for library in hello["jobs"][kind]:
                        took, theirs = other(process, f"{kind} {library}", folder)
                        seconds.setdefault((kind, library), []).append(took)
                        apart[kind, library] = difference(kind, found, theirs, likelihood)
            process.stdin.close()
    print("\n| job | by | first (s) | then (s) | median (s) | times the kit's | differs by |\n|---|---|---|---|---|---|---|")
    for (kind, by), (start, *then) in seconds.items():
        median, of_kit = np.median(then), np.median(seconds[kind, "kit"][1:])
        differs = f"{apart[kind, by]:.1g}" if by != "kit" else ""
        runs = ", ".join(f"{took:.3f}" for took in then)
        print(f"| {kind} | {by} | {start:.3f} | {runs} | {median:.3f} | {median / of_kit:.2f} | {differs} |")
    versions = {"python": platform.python_version()} | {name: version(name) for name in ("duckdb", "numpy", "pandas", "scipy")}
    for side, of in (("kit", versions), ("others", hello["versions"])):
        print(f"\n{side}: {', '.join(f'{name} {number}' for name, number in of.items())}; {os.cpu_count()} cores")
    sys.exit(", ".join(f"{kind} by {by} differs" for (kind, by), value in apart.items() if not value <= BOUNDS[kind]) or 0)


if __name__ == "__main__":
    if not SINGLE.items() <= os.environ.items():  # read when numpy is imported, so once more from the start
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | SINGLE)
    main()
