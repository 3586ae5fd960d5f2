"""Sentences that say what a table shows, and no more than it can bear: titles of charts, and the headline.

Each takes a tidy table and returns one line without a full stop. What differs by chance is not called a difference: a
month is held against the normal range of the twelve before it, members against each other's intervals.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.models.intervals import Estimate, n_effective, next_value, wilson
from helpers.tables import PLAIN, Formats, number

LEVELS = ("share", "ratio", "months", "per_year")  # judged by what they are; money and counts by how they change
LEAST = 6  # months before, for a normal range


def normal_range(values, unit: str, confidence: float = 0.95) -> tuple[Estimate, float]:
    """The normal range of the last value, from the twelve before it; and that value. Of money and counts: of their change.

    values : by month, the oldest first, 13 at most are used; unknown months are left out of the range.
    """
    series = np.asarray(values, dtype=float)[-14 if unit not in LEVELS else -13:]
    if unit not in LEVELS:
        before = np.where(series[:-1] > 0, series[:-1], np.nan)
        series = series[1:] / before - 1
    if not len(series):
        return Estimate(np.nan, np.nan, np.nan, 0), np.nan
    known = series[:-1][np.isfinite(series[:-1])]
    usual = next_value(known, confidence) if len(known) >= LEAST else Estimate(np.nan, np.nan, np.nan, len(known))
    if unit == "share":  # where a share can be
        usual = Estimate(usual.value, *(float(np.clip(side, 0, 1)) for side in (usual.low, usual.high)), usual.n)
    return usual, series[-1]


def rolls(metric: str) -> bool:
    """Whether a month of this metric holds most of the month before: it drifts, and has no normal range."""
    return metric.endswith("_12m") or metric in ("repeat_rate", "champions_revenue_share")


def moved(values, name: str, unit: str, formats: Formats = PLAIN, *, rolling: bool = False) -> str:
    """How a metric stands in its last month, against its own normal range; one that rolls, against a year ago."""
    last = np.asarray(values, dtype=float)[-1] if len(values) else np.nan
    if np.isnan(last):
        return f"{name} is not known for this month"
    usual, now = normal_range(values, unit)
    text = f"{name}: {number(last, unit, formats)}"
    if rolling:
        before = np.asarray(values, dtype=float)[-13] if len(values) > 12 else np.nan
        return text if np.isnan(before) else f"{text}, {number(before, unit, formats)} a year ago"
    if unit not in LEVELS:
        text += "" if np.isnan(now) else f", {'up' if now >= 0 else 'down'} {number(abs(now), 'share', formats)}"
        unit = "share"
    if np.isnan(usual.low) or np.isnan(now):
        return text
    low, high = (number(side, unit, formats) for side in (usual.low, usual.high))
    where = "above" if now > usual.high else "below" if now < usual.low else "inside"
    return f"{text}, {where} its normal range ({low} to {high})"


def extremes(table: pd.DataFrame, value: str, low: str, high: str, what: str, unit: str, formats: Formats = PLAIN) -> str:
    """The highest and the lowest member, where their intervals lie apart; the index names the members."""
    known = table.dropna(subset=[value]).sort_values(value, kind="stable")
    if known.empty:
        return f"{what} cannot be estimated"
    least, most = known.iloc[0], known.iloc[-1]
    top, bottom = (f"{row.name} ({number(row[value], unit, formats)})" for row in (most, least))
    if len(known) == 1:
        return f"{what}: {top}"
    ends = [f"highest for {top}"] if most[low] > known[high].iloc[:-1].max() else []
    ends += [f"lowest for {bottom}"] if least[high] < known[low].iloc[1:].min() else []
    if ends:
        return f"{what} is {', '.join(ends)}"
    above = {name: [*known.index[known[low] > row[high]]] for name, row in known.iterrows()}
    pairs = [f"{name} lies below {' and '.join(map(str, others))}" for name, others in above.items() if others]
    rest = f"; {len(pairs) - 2} more lie below others" if len(pairs) > 2 else ""
    return f"{what} is between {bottom} and {top}; {'; '.join(pairs[:2]) + rest or 'none stands apart beyond chance'}"


def span(table: pd.DataFrame, headline: str, what: str, unit: str, formats: Formats = PLAIN) -> str:
    """The headline method's value, and between which others it lies; the index names the methods, `value` holds them."""
    known = table["value"].dropna().drop(headline, errors="ignore").sort_values(kind="stable")
    own = number(table["value"].get(headline, np.nan), unit, formats)
    if known.empty:
        return f"{what}: {own}"
    low, high = (f"{number(known.iloc[at], unit, formats)} ({known.index[at]})" for at in (0, -1))
    return f"{what}: {own}; other methods, on their own bases, give {low} to {high}"


def bridge(table: pd.DataFrame, name: str, unit: str, formats: Formats = PLAIN) -> str:
    """What led from the first total to the last: the largest change up and down. table : `label`, `value`, `kind`."""
    totals, changes = table.loc[table["kind"] == "total", "value"], table[table["kind"] == "change"]
    net = totals.iloc[-1] - totals.iloc[0]
    text = f"{name} {'grew' if net > 0 else 'fell'} by {_brief(abs(net), unit, formats)}"
    text = text if net else f"{name} stayed at {_brief(totals.iloc[-1], unit, formats)}"
    parts = [
        _step(part.loc[part["value"].abs().idxmax()], unit, formats)
        for part in (changes[changes["value"] > 0], changes[changes["value"] < 0]) if len(part)
    ]
    return f"{text}: {' against '.join(parts)}" if parts else text


def built(table: pd.DataFrame, unit: str, formats: Formats = PLAIN) -> str:
    """What makes the last total of the first: its two largest steps. table : as in `bridge`."""
    first, last = (f"{row.label} {_brief(row.value, unit, formats)}" for row in table.iloc[[0, -1]].itertuples())
    changes = table[table["kind"] == "change"].sort_values("value", key=lambda of: -of.abs(), kind="stable").head(2)
    parts = [_step(step, unit, formats) for step in changes.to_dict("records") if step["value"]]
    return f"{first}, {last}: {', '.join(parts)}" if parts else f"{first}, {last}"


def rungs(table: pd.DataFrame, unit: str, formats: Formats = PLAIN) -> str:
    """What the last total of a ladder leaves of the first, and what takes most. table : as in `bridge`."""
    totals, lost = table[table["kind"] == "total"], table[(table["kind"] == "change") & (table["value"] < 0)]
    first, last = (f"{_brief(row.value, unit, formats)} ({row.label})" for row in totals.iloc[[0, -1]].itertuples())
    most = f"; most is lost to {lost.loc[lost['value'].idxmin(), 'label']}" if len(lost) else ""
    return f"A new customer is worth {last} of {first}{most}"


def largest(table: pd.DataFrame, value: str, what: str, share: str = "", of: str = "", formats: Formats = PLAIN) -> str:
    """The row with the largest share; the index names the rows. `share`, `of` : a second share and what it is of."""
    known = table.dropna(subset=[value])
    if known.empty:
        return f"{what}: nothing to share"
    top = known.sort_values(value, kind="stable").iloc[-1]
    aside = f", {number(top[share], 'share', formats)} of {of}," if share else ""
    return f"{top.name}{aside} bring {number(top[value], 'share', formats)} of {what}"


def changed(table: pd.DataFrame, unit: str, formats: Formats = PLAIN) -> str:
    """How LTV moved since last month, and which levers moved it; within noise none is named. table : ltv_change."""
    if table.empty:
        return "How LTV moved since last month is not known: it needs the LTV of both months, on one basis"
    levers, whole = table.iloc[:-1].rename(columns={"lever": "label", "contribution": "value"}), table.iloc[-1]
    text = f"LTV moved by {number(whole['contribution'], unit, formats)} since last month"
    if np.isnan(whole["low"]):
        return f"{text}; how much of it is chance is not known"
    text += f" ({number(whole['low'], unit, formats)} to {number(whole['high'], unit, formats)})"
    if whole["low"] <= 0 <= whole["high"]:
        return f"{text}: within noise"
    beyond = levers[((levers["low"] > 0) | (levers["high"] < 0)) & (levers["value"].abs() >= 0.005)]  # rounding moves nothing
    beyond = beyond.sort_values("value", key=abs, ascending=False, kind="stable")
    named = [_step(row, unit, formats) for _, row in beyond.iterrows()]
    return f"{text}: {', '.join(named) or 'no lever alone beyond noise'}"


def outpaced(table: pd.DataFrame, formats: Formats = PLAIN) -> str:
    """Whether CAC outpaces LTV, sign by sign, with what both grew by. table : cac_outpacing."""
    said = []
    for row in table.itertuples():
        cost, worth, low, high = (number(of, "share", formats) for of in (
            row.cac_growth, row.ltv_growth, row.ltv_growth_low, row.ltv_growth_high))
        interval = f", {low} to {high}" if np.isfinite(row.ltv_growth_low) else ""
        said.append(f"{row.sign}: {row.outcome} (CAC {cost}, LTV {worth}{interval})")
    return "; ".join(said) or "Whether CAC outpaces LTV is not known: it needs both of three or six months ago"


def concentrated(table: pd.DataFrame, what: str, formats: Formats = PLAIN) -> str:
    """How much of `what` hangs on few customers. table : concentration."""
    if table.empty:
        return f"No customer brought {what} in the last 12 months"
    at, n = table.set_index("measure")["value"], number(table["n"].iloc[0], "count", formats)
    top, one = (number(at[name], "share", formats) for name in ("top 10%", "largest customer"))
    gini = number(at["Gini coefficient"], "ratio", formats, bare=True)
    return f"The top 10% of {n} customers brought {top} of 12 months' {what}, the largest alone {one}; Gini coefficient {gini}"


def hangs_on_one(table: pd.DataFrame, what: str, most: float, formats: Formats = PLAIN) -> str:
    """Whether the largest customer's share is a risk. table : concentration; most : ltv_cac.largest_share_max."""
    if table.empty:
        return f"Whether {what} hangs on one customer is not known"
    largest = table.set_index("measure").loc["largest customer", "value"]
    one, limit = (number(at, "share", formats) for at in (largest, most))
    if largest > most:
        return f"The largest customer holds {one} of {what}, above the {limit} from which it is a risk: plan for losing it"
    return f"No customer holds more than {one} of {what}; above {limit} one would be a risk (ltv_cac.largest_share_max)"


def weighed(worth: pd.DataFrame, least: int, formats: Formats = PLAIN) -> str:
    """How many equal customers the value per month rests on. worth : customer_value; least : policy.min_customers."""
    whole = worth[worth["dimension"] == "all"]
    equal = n_effective(whole["sum_y"].sum(), whole["sum_yy"].sum())
    if np.isnan(equal):
        return "No customer pays: the value per month rests on nobody"
    n, same = number(whole["customers"].sum(), "count", formats), number(round(equal), "count", formats)
    said = f"By what they pay, the {n} customers behind the value per month weigh as much as {same} equal ones (n_effective)"
    return f"{said}: so few carry it that the intervals are too short" if equal < least else said


def organic(cuts: pd.DataFrame, confidence: float, formats: Formats = PLAIN) -> str:
    """The share of new customers that no media paid for. cuts : cac_by."""
    channels = cuts[cuts["dimension"] == "channel"].set_index("member")[["customers", "media"]]
    n, known = channels["customers"].sum(), channels.drop("(unattributed)", errors="ignore")
    if not known["customers"].sum():
        return "No new customer of the last six months names the channel that it came by"
    free = known.loc[known["media"] == 0, "customers"].sum()
    share, low, high, rest = (number(float(at), "share", formats) for at in (
        free / n, *wilson(free, n, confidence), 1 - known["customers"].sum() / n))
    return (f"{share} of {number(n, 'count', formats)} new customers of six months came by a channel without media spend "
            f"({low} to {high}); of {rest} the channel is not known")


def dearer(ratio: float, lifetime: float, formats: Formats = PLAIN) -> str:
    """What a new unit of revenue costs against one that is kept, for a month and for a lifetime.

    ratio : acquisition_to_retention_cost_ratio. lifetime : lifetime_months_rmst, NaN where unknown.
    """
    if np.isnan(ratio):
        return "Whether a new unit of revenue costs more than keeping one needs spend, new revenue and costs of retention"
    life = "" if np.isnan(lifetime) else (f", and {number(ratio / lifetime, 'ratio', formats)} what keeping one for "
                                          f"{number(lifetime, 'months', formats)} did, the restricted mean lifetime")
    return (f"Winning a unit of monthly revenue, which is paid once, cost {number(ratio, 'ratio', formats)} what keeping one "
            f"for a month did{life}. The five times that are often quoted are contested and name no time; an average is not "
            "the cost of one more")


def together(table: pd.DataFrame, headline: float, unit: str, formats: Formats = PLAIN) -> str:
    """LTV of all members of a dimension against the headline. table : `cac.together`."""
    if table.empty or np.isnan(headline):
        return "Whether members add up to the headline is not known: it needs the LTV of both and new customers of six months"
    named = {"plan": "plans", "channel": "channels", "segment": "segments", "country": "countries"}
    parts = [f"all {named.get(row.dimension, f'members of {row.dimension}')} together {number(row.ltv, unit, formats)}" + (
        "" if row.known > 0.9995 else f" (of {number(row.known, 'share', formats)} of them)") for row in table.itertuples()]
    return f"Weighted by the new customers of six months: {', '.join(parts)}; headline {number(headline, unit, formats)}"


def paid_back(table: pd.DataFrame) -> str:
    """How many cohorts have earned what they cost, of those seen for a year. table : payback_by_cohort."""
    old = table[(table["months_seen"] >= 12) & table["cac"].notna()]
    back = old["paid_back_month"].dropna().astype(int)
    if old.empty:
        return "No cohort whose cost is known has been seen for 12 months"
    when = f", in {back.min()} to {back.max()} months" if len(back) else ""
    return f"{len(back)} of {len(old)} cohorts seen for 12 months have paid back their cost{when}"


def kept(triangle: pd.DataFrame, formats: Formats = PLAIN, doing: str = "are active") -> str:
    """What is left of cohorts at the highest age that at least three have reached. triangle : cohort_retention."""
    reached = triangle[triangle["age"] > 0].groupby("age")["cohort"].nunique()
    ages = reached[reached >= 3].index
    if not len(ages):
        return "Cohorts are too young to compare"
    at = triangle[triangle["age"] == min(ages.max(), 12)]
    pooled = at["active"].sum() / at["customers"].sum()
    least, most = (number(side, "share", formats) for side in (at["rate"].min(), at["rate"].max()))
    share = number(pooled, "share", formats)
    return f"After {at['age'].iloc[0]} months {share} of a cohort {doing} ({least} to {most} by cohort)"


def stay(curves: pd.DataFrame, formats: Formats = PLAIN, age: int = 12) -> str:
    """Who is still there at an age that all members have reached. curves : survival by `member` and `month`."""
    seen = curves[curves["month"] > 0].groupby("member")["month"].max()
    if seen.empty:
        return "No customer has been seen for a month yet"
    age = min(age, int(seen.min()))
    at = curves[curves["month"] <= age].sort_values("month").groupby("member").tail(1).set_index("member")
    return extremes(at, "survival", "low", "high", f"Share still there after {age} months", "share", formats)


def grid(cells: pd.DataFrame, formats: Formats = PLAIN) -> str:
    """How many customers sit in the best corner, and in the worst. cells : `r, f, customers`."""
    total = cells["customers"].sum()
    if not total:
        return "No customer has a score"
    best, worst = (cells.loc[(cells["r"] == at) & (cells["f"] == at), "customers"].sum() / total for at in (5, 1))
    return (f"{number(best, 'share', formats)} of customers are among the latest and most frequent, "
            f"{number(worst, 'share', formats)} among the longest gone and rarest")


def tiers(moves: pd.DataFrame, order: list[str], formats: Formats = PLAIN) -> str:
    """How many moved up the ladder, and how many down. moves : tier_migration; order : tiers from low to high."""
    rank = {plan: place for place, plan in enumerate(order)}
    step = moves["to_plan"].map(rank) - moves["from_plan"].map(rank)
    up, down = (int(moves.loc[side, "customers"].sum()) for side in (step > 0, step < 0))
    return f"Moves between tiers: {number(up, 'count', formats)} up, {number(down, 'count', formats)} down"


def held(holdout: pd.DataFrame) -> str:
    """How many predictive intervals held what came, and which models fail. holdout : clv_holdout."""
    models = holdout.dropna(subset=["low", "high"])
    if models.empty:
        return "No model could be held against later weeks"
    inside = models["actual"].between(models["low"], models["high"])
    fails = "".join(f"; {name} fails" for name in models.loc[~inside, "model"])
    return f"What came in the held-out weeks lay inside {inside.sum()} of {len(models)} predictive intervals{fails}"


def tracked(table: pd.DataFrame, most: float, formats: Formats = PLAIN) -> str:
    """Whether BG/NBD stays within `most`, a fraction, of what came. table : purchase_tracking."""
    worst = table.loc[table["deviation"].abs().idxmax()]
    off, side = number(abs(worst["deviation"]), "share", formats), "above" if worst["deviation"] > 0 else "below"
    verb = "tracks" if abs(worst["deviation"]) <= most else "fails to track"
    return f"The purchase model {verb} repeat purchases: at most {off} {side} what came ({worst['period']})"


def curves(table: pd.DataFrame, formats: Formats = PLAIN) -> str:
    """How far the sBG lies from Kaplan–Meier. table : survival_fit."""
    if table.empty:
        return "No sBG is fitted: too few customers have left"
    worst, inside = table.loc[table["difference"].abs().idxmax()], table["fitted"].between(table["low"], table["high"])
    off, held = number(abs(worst["difference"]), "share", formats, bare=True), f"{inside.sum()} of {len(table)}"
    return (f"The sBG lies at most {off} points from Kaplan–Meier ({worst['member']}, {worst['age_months']} months), "
            f"and inside its interval at {held} ages")


def swings(table: pd.DataFrame, unit: str, formats: Formats = PLAIN) -> str:
    """The lever that moves LTV most. table : see `worth.swings`."""
    moved = table.dropna()
    if moved.empty:
        return "What a step of a lever adds cannot be told without an LTV"
    down, up = (f"{'+' if value > 0 else ''}{_brief(value, unit, formats)}" for value in moved.iloc[0])
    return f"LTV hangs most on {moved.index[0]}: {down} with a step down, {up} with one up"


def frequencies(table: pd.DataFrame, formats: Formats = PLAIN) -> str:
    """Where BG/NBD misses most of the customers. table : purchase_frequencies."""
    off = (table["expected"] - table["actual"]) / table["actual"].sum()
    worst = off.abs().idxmax()
    side = "many" if off[worst] > 0 else "few"
    return (f"The purchase model misses by at most {number(abs(off[worst]), 'share', formats)} of the customers: "
            f"it expects too {side} with {table.loc[worst, 'repeat_days']} repeat days")


def outlook(ahead: pd.DataFrame, what: str, unit: str, formats: Formats = PLAIN) -> str:
    """The last month of a forecast from today's customers. ahead : forecast_12m."""
    value, low, high = (_brief(ahead[name].iloc[-1], unit, formats) for name in ("total", "low", "high"))
    return f"Today's customers alone are expected to bring {value} of {what} in {ahead['period'].iloc[-1]} ({low} to {high})"


def foretold(ahead: pd.DataFrame, tried: pd.DataFrame, formats: Formats = PLAIN) -> str:
    """What today's customers are expected to bring, and how past forecasts did. ahead, tried : see metrics.forecast."""
    if ahead.empty:
        return "Nothing is foretold"
    value, low, high = (number(ahead[name].iloc[-1], "money", formats) for name in ("sum", "sum_low", "sum_high"))
    off, n = number(tried["error"].abs().mean(), "share", formats), number(ahead["n"].iloc[-1], "count", formats)
    how = "no earlier one could be tried" if tried.empty else (
        f"forecasts of {len(tried)} earlier month ends were off by {off} on average (MAPE), and {tried['inside'].sum()} of "
        f"{len(tried)} intervals held what came")
    return f"{n} customers are expected to bring {value} in 12 months ({low} to {high}); {how}"


def track_record(forecast: pd.DataFrame, name: str, unit: str, formats: Formats = PLAIN) -> str:
    """What was expected of the last month, what came, and how often such forecasts held. forecast : see metrics.summary."""
    past = forecast.dropna(subset=["actual", "low"])
    if past.empty:
        return f"{name}: too few months for a forecast"
    last = past.iloc[-1]
    low, high, came = (number(last[side], unit, formats) for side in ("low", "high", "actual"))
    held = int(past["inside"].astype(bool).sum())
    return (f"The data to {last['made_in']} said {low} to {high} for {last['period']}; it was {came}. "
            f"{held} of {len(past)} such forecasts held.")


def headline(metrics: pd.DataFrame, movements: pd.DataFrame, decisions: pd.DataFrame, period: str, names: dict[str, str],
             formats: Formats = PLAIN) -> str:
    """One number, one cause, one consequence. Without a number there is no sentence.

    metrics : metrics.csv. movements : `label`, `value`, `kind` of what moved the number, may be empty. decisions : the most
    urgent first. names : metric id -> name.
    """
    whole = metrics[(metrics["dimension"] == "all") & metrics["metric"].isin(["mrr", "revenue_net"])]
    for money in ("mrr", "revenue_net"):
        series = whole[whole["metric"] == money].sort_values("period")
        if len(series) and series["period"].iloc[-1] == period and pd.notna(series["value"].iloc[-1]):
            break
    else:
        return ""
    text = moved(series["value"], f"{names[money]} of {period}", formats.currency, formats)
    changes = movements[movements["kind"] == "change"] if len(movements) else movements
    sizes = changes["value"].abs().sort_values(kind="stable") if len(changes) and "inside its" not in text else []
    if len(sizes) and sizes.iloc[-1]:  # a month as usual needs no cause
        top = changes.loc[sizes[sizes > 0.1 * sizes.iloc[-1]].index[-2:][::-1]]  # a second cause, if it is one
        text += f". Moved most by {' and '.join(_step(row, formats.currency, formats) for _, row in top.iterrows())}"
    if len(decisions):
        first = decisions.iloc[0]
        stake = number(first["value_at_stake"], "money", formats)
        text += f". To decide first: {first['because']}" + (f" At stake: {stake} a year" if stake != "–" else "")
    return text.rstrip(".") + "."


def _step(change: pd.Series, unit: str, formats: Formats) -> str:
    return f"{change['label']} {'+' if change['value'] > 0 else '−'}{_brief(abs(change['value']), unit, formats)}"


def _brief(value: float, unit: str, formats: Formats) -> str:
    """A number for a sentence: from a thousand on, what stands behind the point does not matter."""
    return number(value, unit, formats, digits=0 if abs(value) >= 1000 else None)
