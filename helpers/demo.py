"""The demo company: input files of any size, the same on every machine, and the truth that they were drawn from."""

import hashlib
import itertools
import tempfile
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import yaml

from .contracts import TABLES, read_yaml

QUERIES = Path(__file__).parent / "sql" / "demo"
STEPS = ("months", "customers", "periods", "subscriptions", "plans", "addons", "orders", "fx_rates", "sales", "transactions",
         "marketing_spend", "costs", "business_events", "usage", "support_tickets", "touches", "feedback",
         "ledger_control")  # each reads only earlier ones
FILES = ("customers", "plans", "subscriptions", "transactions", "addons", "marketing_spend", "costs", "business_events",
         "usage", "feedback", "support_tickets", "touches", "fx_rates", "ledger_control")
HORIZON, DISCOUNT = 36, 0.10  # months, a year: the defaults of a report


def write_demo(
    folder: Path, customers: int = 3000, months: int = 36, seed: int = 1, end: str = "2025-06"
) -> list[Path]:
    """Write the demo company 'Acme Analytics' as CSV files in canonical columns, and its truth as truth.yaml.

    Parameters
    ----------
    folder : made when absent; files of the same names are replaced, all others are left alone.
    customers : how many ever join, at least 1.
    months : whole months that the book covers, at least 1.
    seed : another seed gives another company with the same true parameters.
    end : the last whole month, YYYY-MM.

    Returns
    -------
    One path a table, in the order of FILES: rows are ordered by key, times are UTC.

    Raises
    ------
    ValueError : a size below 1, or an `end` that is not a month.
    """
    if customers < 1 or months < 1:
        raise ValueError(f"customers and months must be at least 1 (got {customers} and {months})")
    true = read_yaml("demo.yaml")
    as_of = pd.Timestamp(date.fromisoformat(f"{end}-01")).as_unit("us") + pd.offsets.MonthBegin()
    rise_at = as_of - pd.DateOffset(months=true["rises"][0]["months_before_last"] + 1)
    settings = {"seed": seed, "customers": customers, "months": months, "as_of": as_of, "rise_at": rise_at,
                "book_at": as_of - pd.DateOffset(months=months)}
    folder.mkdir(parents=True, exist_ok=True)
    # Written aside and renamed, so that a reader never meets half a file; tables on disk, so that large books spill.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".demo-") as aside:
        with duckdb.connect(str(Path(aside) / "demo.duckdb")) as connection:
            for name, rows in ({"settings": [settings]} | true).items():
                connection.from_df(pd.DataFrame(rows).convert_dtypes()).create(name)
            for step in STEPS:
                connection.sql((QUERIES / f"{step}.sql").read_text()).create(step)
            shocks, rate = connection.table("months").df(), connection.table("fx_rates").df()["rate"].iloc[-1]
            for name in FILES:
                connection.table(name).select(*TABLES[name].columns).to_csv(str(Path(aside) / f"{name}.csv"))
        told = truth(true, float(rate)) | {
            "price_rise": {"on": f"{rise_at:%Y-%m-%d}"} | true["rises"][0],
            "shocks": {f"{month.starts_at:%Y-%m}": month.shock_percent / 100 for month in shocks.itertuples()}}
        words = yaml.safe_dump(told, sort_keys=False, default_flow_style=None)
        (Path(aside) / "truth.yaml").write_text(words, encoding="utf-8")
        (Path(aside) / "truth.yaml").replace(folder / "truth.yaml")
        return [(Path(aside) / f"{name}.csv").replace(folder / f"{name}.csv") for name in FILES]


def recipe() -> str:
    """SHA-256 of all that the files are made by, apart from size and seed."""
    made_by = [QUERIES.parent.parent / "demo.yaml", *sorted(QUERIES.glob("*.sql"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in made_by)).hexdigest()


def truth(true: dict, rate: float) -> dict:
    """What to expect of a customer who joins in the last month, with the prices of that month for ever, as plain values.

    true : demo.yaml. rate : USD for a euro in that month.
    `expected` has a row for every plan and interval, `all` for both: share of new customers, months lived within HORIZON,
    gross margin of the subscription in them in USD, that discounted by DISCOUNT a year, and the chances to leave at the
    end of month 1 … HORIZON. `programmes`: the share there when an effect ends, of those there when it began.
    """
    rates, tiers, channels = true["rates"][0], true["tiers"], pd.DataFrame(true["channels"])
    plans = [tier["plan_id"] for tier in tiers]
    starts = (channels["share_to"] - channels["share_from"]) @ channels[plans].to_numpy() / 1e8
    terms = [(tier["plan_id"], interval, tier["tier"], step, start * part / 1e4)
             for tier, start in zip(tiers, starts, strict=True)
             for interval, step, part in (("month", 1, 1e4 - tier["yearly_share"]), ("year", 12, tier["yearly_share"]))]
    margin = rates["gross_margin"] / 1e4 * np.mean([rate if c["currency"] == "EUR" else 1 for c in true["countries"]])
    alive = [survival(true, tier, step, {}) for *_, tier, step, _ in terms]
    income = [margin * curve[:-1] * price(true, tier, step) for (*_, tier, step, _), curve in zip(terms, alive, strict=True)]

    expected, factors = [], (1 + DISCOUNT) ** (-np.arange(HORIZON) / 12)
    for plan, interval in itertools.product([*plans, "all"], ("month", "year", "all")):
        shares = [share * (plan in (p, "all") and interval in (i, "all")) for p, i, *_, share in terms]
        there, gain = (np.average(curves, axis=0, weights=shares) for curves in (alive, income))
        values = np.round([sum(shares), there[:-1].sum(), gain.sum(), gain @ factors], 6).tolist()
        row = dict(zip(("share", "life_months", "margin", "margin_discounted"), values, strict=True))
        hazards = np.maximum(0, 1 - there[1:] / there[:-1]).round(6).tolist()
        expected.append({"plan": plan, "interval": interval} | row | {"hazards": hazards})
    programmes = {}
    for p in true["programmes"]:
        arms = [sum(share * survival(true, tier, step, {p["programme"]: arm}) for *_, tier, step, share in terms)
                for arm in (1, 0)]
        stay = [round(float(there[p["effect_to"]] / there[p["effect_from"] - 1]), 6) for there in arms]
        programmes[p["programme"]] = {"hazard_ratio": p["effect"] / 100, "ages": [p["effect_from"], p["effect_to"]],
                                      "contacted": stay[0], "held_out": stay[1]}
    return {"expected": expected, "programmes": programmes, "loyalty": {"hazard_ratio": rates["member_effect"] / 100},
            "bad_ticket": {"hazard_ratio": rates["bad_ticket_effect"] / 100}}


def survival(true: dict, origin: int, step: int, arms: dict[str, int]) -> np.ndarray:
    """Share alive at ages 0 … HORIZON of who starts on the tier `origin`, the shocks of the months at their mean.

    step : months of a billing period. arms : programme -> 1 contacted, 0 held out; by its share where absent.
    """
    rates, ends = true["rates"][0], np.arange(1, HORIZON + 1)
    hazard = np.zeros(HORIZON)
    for h in true["hazards"]:
        if (h["origin"], h["period_months"]) == (origin, step):
            hazard[(ends % step == 0) & (h["age_from"] <= ends) & (ends <= h["age_to"])] = h["leave_chance"] / 1e4
    effects = [(rates["member"] / 1e4, rates["member_effect"], 1, HORIZON)]
    effects += [(arms.get(p["programme"], 1 - p["holdout"] / 1e4), p["effect"], p["effect_from"], p["effect_to"])
                for p in true["programmes"]]
    kinds = [(1.0, hazard * (1 + rates["bad_ticket"] / 256 * (rates["bad_ticket_effect"] / 100 - 1)))]
    for share, effect, first, last in effects:           # who has an effect keeps it: each makes two kinds of customers
        factor = np.where((first <= ends) & (ends <= last), effect / 100, 1)
        kinds = [(w * s, h * f) for w, h in kinds for s, f in ((share, factor), (1 - share, 1))]
    return np.append(1, sum(weight * np.cumprod(1 - chances) for weight, chances in kinds))


def price(true: dict, origin: int, step: int) -> np.ndarray:
    """What who started on the tier `origin` and is still there pays in the mean for month 1 … HORIZON.

    Nobody leaves because of a move or a pause, so that survival and price can be multiplied.
    """
    rates, tiers, ages = true["rates"][0], pd.DataFrame(true["tiers"]), np.arange(HORIZON)
    way, monthly = ("monthly", True) if step == 1 else ("yearly", False)
    up, down = tiers[f"up_{way}"].to_numpy() / 1e4, tiers[f"down_{way}"].to_numpy() / 1e4
    moves = np.diag(1 - up - down) + np.diag(up[:-1], 1) + np.diag(down[1:], -1)
    worth = [tiers["price"].to_numpy() * np.where(tiers["tier"] == 4, np.mean(rates["seats"]), 1)]
    for _ in ages:
        worth.append(moves @ worth[-1])                  # after one more chance to move
    worth = np.array(worth)[:, origin - 1] * (1 if monthly else rates["yearly_price"] / 12)
    begins, lengths = rates["pause_from"] + np.arange(rates["pause_ages"]), np.arange(1, rates["pause_longest"] + 1)
    share = rates["pause"] / 1e4 * monthly
    paid = (1 - share) * worth[ages // step]
    for begin, length in itertools.product(begins, lengths):    # no move at either end of a pause or within
        missed = np.clip(ages - begin + 1, 0, length + 1)
        there = (ages < begin) | (ages >= begin + length)
        paid += share / len(begins) / len(lengths) * there * worth[ages // step - missed]
    paid *= 1 - rates["discount"] / 1e4 * rates["discount_percent"] / 100 * (ages < (3 if monthly else 12))
    paid[0] *= 1 - rates["trial"] / 1e4 / 2 * monthly
    return paid
