"""The demo company: input files of any size, the same on every machine, from true parameters in docs/truth.md."""

import tempfile
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd

QUERIES = Path(__file__).parent / "sql" / "demo"
STEPS = ("months", "tiers", "hazards", "channels", "people", "periods", "terms", "customers", "plans", "subscriptions",
         "addons", "orders", "sales", "transactions", "marketing_spend", "costs",
         "business_events")  # each reads only earlier ones
FILES = ("customers", "plans", "subscriptions", "transactions", "addons", "marketing_spend", "costs",
         "business_events")


def write_demo(
    folder: Path, customers: int = 3000, months: int = 36, seed: int = 1, end: str = "2025-06"
) -> list[Path]:
    """Write the demo company 'Acme Analytics' as CSV files in canonical columns.

    Parameters
    ----------
    folder : made when absent; files of the same names are replaced, all others are left alone.
    customers : how many ever join, at least 1.
    months : whole months that the book covers, at least 1.
    seed : another seed gives another company with the same true parameters.
    end : the last whole month, YYYY-MM.

    Returns
    -------
    One path a table, in the order of FILES: rows are ordered by key, times are UTC, money is USD.

    Raises
    ------
    ValueError : a size below 1, or an `end` that is not a month.
    """
    if customers < 1 or months < 1:
        raise ValueError(f"customers and months must be at least 1 (got {customers} and {months})")
    as_of = pd.Timestamp(date.fromisoformat(f"{end}-01")).as_unit("us") + pd.offsets.MonthBegin()
    settings = pd.DataFrame([{"seed": seed, "customers": customers, "months": months, "as_of": as_of}])
    folder.mkdir(parents=True, exist_ok=True)
    # Written aside and renamed, so that a reader never meets half a file; tables on disk, so that large books spill.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".demo-") as aside:
        with duckdb.connect(str(Path(aside) / "demo.duckdb")) as connection:
            connection.from_df(settings).create("settings")
            for step in STEPS:
                connection.sql((QUERIES / f"{step}.sql").read_text()).create(step)
            for name in FILES:
                connection.table(name).to_csv(str(Path(aside) / f"{name}.csv"))
        return [(Path(aside) / f"{name}.csv").replace(folder / f"{name}.csv") for name in FILES]
