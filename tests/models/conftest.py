"""CDNOW as the papers have it: weekly summary with two decimals, and exact weeks from the purchase days."""

from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture(scope="session")
def cdnow_weekly():
    """2,357 customers: x, t_x, T (weeks) and mean, the repeat spend, 0 without any; of the lifetimes package."""
    folder = Path(find_spec("lifetimes").submodule_search_locations[0]) / "datasets"  # read, never imported
    table = pd.read_csv(folder / "cdnow_customers_summary_with_transactions.csv")
    return table.rename(columns={"zbar": "mean"})[["x", "t_x", "T", "mean"]]


@pytest.fixture(scope="session")
def cdnow_rows(cdnow_weekly):
    """The 1,016 distinct (x, t_x, T) with their customers, as float arrays."""
    rows = cdnow_weekly.groupby(["x", "t_x", "T"], as_index=False).size()
    return tuple(rows[column].to_numpy() for column in ("x", "t_x", "T", "size"))


@pytest.fixture(scope="session")
def cdnow_days(shared_data):
    """Calibration period from purchase days: x, t_x, T in weeks of 7 days; mean of repeats; mean of all purchases."""
    days = pd.read_csv(shared_data / "cdnow.csv", parse_dates=["date"]).query("date <= '1997-09-30'")
    first = days.groupby("customer_id")["date"].transform("min")
    table = days.groupby("customer_id").agg(first=("date", "min"), last=("date", "max"), days=("date", "size"),
                                            all_mean=("amount", "mean"))
    return pd.DataFrame({
        "x": table["days"] - 1,
        "t_x": (table["last"] - table["first"]).dt.days / 7,
        "T": (pd.Timestamp("1997-09-30") - table["first"]).dt.days / 7,
        "mean": days[days["date"] > first].groupby("customer_id")["amount"].mean().reindex(table.index, fill_value=0),
        "all_mean": table["all_mean"],
    })
