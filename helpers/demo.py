"""The demo company: input files of any size, the same on every machine, and the truth that they were drawn from."""

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
FILES = ("customers", "plans", "subscriptions", "transactions", "addons", "marketing_spend", "costs",
         "business_events")
HORIZON, DISCOUNT = 36, 0.10  # months, a year: the defaults of a report
MORE = ("usage", "feedback", "support_tickets", "touches", "fx_rates", "ledger_control")  # not read by the kit yet


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
            for name in FILES + MORE:
                table = connection.table(name)
                columns = [column for column in TABLES[name].columns if column in table.columns] if name in TABLES else table.columns
                table.select(*columns).to_csv(str(Path(aside) / f"{name}.csv"))
        shocks = {f"{month.starts_at:%Y-%m}": month.shock_percent / 100 for month in shocks.itertuples()}
        told = truth(true, float(rate)) | {"price_rise": {"on": f"{rise_at:%Y-%m-%d}"} | true["rises"][0], "shocks": shocks}
        (Path(aside) / "truth.yaml").write_text(yaml.safe_dump(told, sort_keys=False, default_flow_style=None), encoding="utf-8")
        for name in ["truth.yaml", *(f"{name}.csv" for name in MORE)]:
            (Path(aside) / name).replace(folder / name)
        return [(Path(aside) / f"{name}.csv").replace(folder / f"{name}.csv") for name in FILES]


def truth(true: dict, rate: float) -> dict:
    """What to expect of a customer who joins in the last month, with the prices of that month for ever, as plain values.

    true : demo.yaml. rate : USD for a euro in that month.
    `expected` has a row for every plan and interval, `all` for both: share of new customers, months lived within HORIZON,
    gross margin of the subscription in them in USD, that discounted by DISCOUNT a year, and the chances to leave at the
    end of month 1 … HORIZON. `programmes`: the share there when an effect ends, of those there when it began.
    """
    rates, tiers = true["rates"][0], true["tiers"]
    won = [(c["share_to"] - c["share_from"]) * (1e4 - rates["internal"] * (c["channel"] == "organic")) for c in true["channels"]]
    upto = np.array([[0, c["upto_starter"], c["upto_plus"], c["upto_team"], 1e4] for c in true["channels"]])
    starts = won @ np.diff(upto) / np.sum(won) / 1e4     # test accounts are left out
    terms = [(tier, "month", 1, start * (1 - tier["yearly_share"] / 1e4)) for tier, start in zip(tiers, starts, strict=True)]
    terms += [(tier, "year", 12, start * tier["yearly_share"] / 1e4) for tier, start in zip(tiers, starts, strict=True)]
    margin = rates["gross_margin"] / 1e4 * np.mean([rate if c["currency"] == "EUR" else 1 for c in true["countries"]])

    spells = [first_spell(true, tier["tier"], step, {}) for tier, _, step, _ in terms]
    rows, factors = [], (1 + DISCOUNT) ** (-np.arange(HORIZON) / 12)
    for plan, interval in itertools.product([*(tier["plan_id"] for tier in tiers), "all"], ("month", "year", "all")):
        shares = [share * (plan in (tier["plan_id"], "all") and interval in (name, "all")) for tier, name, _, share in terms]
        alive, revenue = (np.average(curves, axis=0, weights=shares) for curves in zip(*spells, strict=True))
        values = [sum(shares), alive[:-1].sum(), margin * revenue.sum(), margin * revenue @ factors]
        names = ["share", "life_months", "margin", "margin_discounted"]
        rows.append({"plan": plan, "interval": interval, **{n: round(float(v), 6) for n, v in zip(names, values, strict=True)},
                     "hazards": (1 - alive[1:] / alive[:-1] + 0.0).round(6).tolist()})

    programmes = {}
    for p in true["programmes"]:
        alive = [sum(share * first_spell(true, tier["tier"], step, {p["programme"]: arm})[0] for tier, _, step, share in terms)
                 for arm in (1, 0)]
        stay = [round(float(curve[p["effect_to"]] / curve[p["effect_from"] - 1]), 6) for curve in alive]
        programmes[p["programme"]] = {"hazard_ratio": p["effect"] / 100, "ages": [p["effect_from"], p["effect_to"]],
                                      "contacted": stay[0], "held_out": stay[1]}
    return {"expected": rows, "programmes": programmes, "loyalty": {"hazard_ratio": rates["member_effect"] / 100},
            "bad_ticket": {"hazard_ratio": rates["bad_ticket_effect"] / 100}}


def first_spell(true: dict, origin: int, step: int, arms: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Share alive at ages 0 … HORIZON, and revenue of the months between, of a customer who starts on the tier `origin`.

    step : months of a billing period. arms : programme -> 1 contacted, 0 held out; drawn where absent.
    Exact: chances multiply along every kind of customer, the shocks of the months are at their mean, and who leaves does
    not depend on the moves between tiers, so that survival and price can be taken apart.
    """
    rates, ages, ends = true["rates"][0], np.arange(HORIZON), np.arange(1, HORIZON + 1)
    hazard = np.zeros(HORIZON)
    for h in true["hazards"]:
        if (h["origin"], h["period_months"]) == (origin, step):
            hazard[(ends % step == 0) & (h["age_from"] <= ends) & (ends <= h["age_to"])] = h["leave_chance"] / 1e4
    kinds = [(1.0, hazard * (1 + rates["bad_ticket"] / 256 * (rates["bad_ticket_effect"] / 100 - 1)))]
    effects = [(rates["member"] / 1e4, rates["member_effect"], 1, HORIZON)]
    effects += [(arms.get(p["programme"], 1 - p["holdout"] / 1e4), p["effect"], p["effect_from"], p["effect_to"])
                for p in true["programmes"]]
    for share, effect, first, last in effects:
        changed = np.where((first <= ends) & (ends <= last), effect / 100, 1)
        kinds = [(w * s, h * f) for w, h in kinds for s, f in ((share, changed), (1 - share, 1))]
    alive = np.append(1, sum(weight * np.cumprod(1 - chances) for weight, chances in kinds))

    tiers, way = pd.DataFrame(true["tiers"]), "monthly" if step == 1 else "yearly"
    up, down = tiers[f"up_{way}"].to_numpy() / 1e4, tiers[f"down_{way}"].to_numpy() / 1e4
    moves = np.diag(1 - up - down) + np.diag(up[:-1], 1) + np.diag(down[1:], -1)
    worth = [tiers["price"] * np.where(tiers["tier"] == 4, np.mean(rates["seats"]), 1)]
    for _ in ends:
        worth.append(moves @ worth[-1])                  # the mean price after one more chance to move
    by_moves = np.array(worth)[:, origin - 1] * (1 if step == 1 else rates["yearly_price"] / 12)
    plans = list(itertools.product(rates["pause_from"] + np.arange(rates["pause_ages"]), 1 + np.arange(rates["pause_longest"])))
    share = rates["pause"] / 1e4 if step == 1 else 0
    price = (1 - share) * by_moves[ages // step]
    for begin, length in plans:                          # no chance to move at either end of a pause or within
        missed = np.clip(ages - begin + 1, 0, length + 1)
        price += share / len(plans) * by_moves[ages // step - missed] * ((ages < begin) | (ages >= begin + length))
    price *= 1 - rates["discount"] / 1e4 * rates["discount_percent"] / 100 * (ages < (3 if step == 1 else 12))
    price[0] *= 1 - rates["trial"] / 1e4 / 2 * (step == 1)
    return alive, alive[:-1] * price
