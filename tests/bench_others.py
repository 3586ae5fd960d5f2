"""The jobs of bench_models.py by other libraries, run in their environment: it asks `job library` a line, and gets seconds.

Tables lie in the folder given; what a job found becomes found.parquet there. The first line tells versions and jobs.
"""

import json
import sys
import time
import warnings
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from lifelines import KaplanMeierFitter
from lifetimes import BetaGeoFitter
from lifetimes.utils import summary_data_from_transaction_data
from pymc_extras.prior import Prior
from pymc_marketing.clv import BetaGeoModel

PARAMETERS = ["r", "alpha", "a", "b"]
VERSIONS = ["lifetimes", "pymc-marketing", "lifelines", "pymc", "pytensor", "numpy", "pandas", "scipy"]


def fit_lifetimes(customers, weights=None):
    fitter = BetaGeoFitter(penalizer_coef=0)
    fitter.fit(customers["frequency"], customers["recency"], customers["T"], weights=weights)
    return fitter.params_[PARAMETERS].to_frame().T


def fit_grouped(customers):
    cells = customers.groupby(["frequency", "recency", "T"]).size().rename("customers").reset_index()
    return fit_lifetimes(cells, cells["customers"])


def fit_pymc(customers):
    model = BetaGeoModel(model_config={name: Prior("HalfFlat") for name in PARAMETERS})
    found = model.fit(customers, method="map", progressbar=False).posterior
    return pd.DataFrame({name: found[name].to_numpy().ravel() for name in PARAMETERS})


def rfm_lifetimes(transactions, as_of):
    last = as_of - pd.Timedelta(days=1)
    return summary_data_from_transaction_data(transactions, "customer_id", "transacted_at", observation_period_end=last)


def survival_lifelines(spells):
    fitter = KaplanMeierFitter().fit(spells["spell_months"], spells["spell_ended"], entry=spells["entry_months"])
    return fitter.survival_function_.set_axis(["survival"], axis=1).rename_axis("month")


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    given = {path.stem: pd.read_parquet(path) for path in folder.glob("*.parquet")}
    customers, transactions, spells, as_of = *map(given.get, ("customers", "transactions", "spells")), given["run"]["as_of"][0]
    jobs = {
        "fit": {"lifetimes": (fit_lifetimes, customers), "lifetimes, grouped": (fit_grouped, customers),
                "pymc-marketing": (fit_pymc, customers)},
        "rfm": {"lifetimes": (rfm_lifetimes, transactions, as_of)},
        "survival": {"lifelines": (survival_lifelines, spells)},
    }
    hello = {"versions": {name: version(name) for name in VERSIONS}, "jobs": {kind: list(by) for kind, by in jobs.items()}}
    print(json.dumps(hello), flush=True)
    for line in sys.stdin:
        kind, library = line.strip().split(" ", 1)
        job, *tables = jobs[kind][library]
        start = time.perf_counter()
        with redirect_stdout(sys.stderr):
            found = job(*tables)
        seconds = time.perf_counter() - start
        found.reset_index().to_parquet(folder / "found.parquet")
        print(seconds, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
