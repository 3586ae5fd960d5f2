"""Rules in YAML -> verdicts that can be checked, with the money at stake -> decisions, and what became of them."""

from datetime import date, timedelta
from math import ceil, inf, nan

import numpy as np
import pandas as pd

from helpers.contracts import LIFETIMES, read_yaml
from helpers.models.intervals import next_value
from helpers.tables import PLAIN, Formats, number

COLUMNS = (
    "rule page severity dimension member metric value low high threshold n unit statement value_at_stake provisional list plan"
).split()
DECISION = "rank rule decision because owner due_on value_at_stake severity metric value unit".split()
OUTCOME = "rule decision owner due_on then now unit severity outcome".split()
RANKS = {"act": 0, "watch": 1, "unclear": 2, "good": 3}
BEYOND = "more than the horizon"  # stands for the value of a payback; nothing else is judged without a value


def judge(metrics: pd.DataFrame, page: str, period: str, *, overrides: dict[str, dict], least: int, thin: str = "",
          formats: Formats = PLAIN, targets: dict[str, dict[str, float]] | None = None) -> pd.DataFrame:
    """Verdicts of the rules of a page ("": of all) on the company-wide metrics of a month, in COLUMNS, most urgent first.

    metrics : rows of metrics.csv, with those of 13 months that `stake` and `while` of rules.yaml look at. overrides : terms
    by rule id, from the params. least : fewest customers for a verdict. thin : what lifetimes lack to be judged, if so.
    targets : plan by metric and month.
    `good` where the whole interval clears the target, `watch` where it misses it, `act` where it misses `low` too,
    `unclear` where it holds the target; a value without interval is its own. value_at_stake : money a year, unless good.
    Where `profit` is asked for and only revenue is known, a verdict is provisional, and `good` is `unclear`: profit may miss.
    """
    whole = metrics[metrics["dimension"] == "all"]
    known = whole.assign(value=whole["value"].mask(whole["method"] == ">H", inf)).dropna(subset="value")
    known = known[~known["method"].astype(str).str.startswith("not_estimable")]  # no departures seen is not "none leave"
    rows, bases, found = known.set_index(["metric", "period"]).to_dict("index"), yearly(known, period), []
    for rule, terms in rules(overrides).items():
        metric, goal = terms.get("metric"), terms.get("target")
        if "while" in terms:
            before, holds = rows.get((metric, str(pd.Period(period) - 12))), rows.get((terms["while"], period))
            goal = before["value"] if before and holds and holds["value"] >= goal else nan
        if "normal" in terms:
            side, worst = ("low", -inf) if terms["better"] == "higher" else ("high", inf)
            before = [rows[at]["value"] for k in range(1, 13) if (at := (metric, str(pd.Period(period) - k))) in rows]
            goal = getattr(next_value(before, 0.95), side) if len(before) >= 6 else nan
            terms = terms | {"low": worst}  # beyond the range is to watch; there is no further limit
        if page in ("", terms["page"]) and (metric, period) in rows and pd.notna(goal):
            plan = (targets or {}).get(metric, {}).get(period, nan)
            known_by = {"rule": rule, "page": terms["page"], "metric": metric, "threshold": goal, "plan": plan}
            row = {**rows[metric, period], **known_by} | ({"low": nan, "high": nan} if "normal" in terms else {})
            if other := rows.get((terms.get("behind"), period)):
                row["behind"] = other["n"]
            short = thin if metric.startswith(LIFETIMES) else ""
            row |= _verdict(row, terms, bases, least, formats, short)
            found += [row] if row["severity"] != "unclear" or "while" not in terms else []
            found += _members(metrics[metrics["period"] == period], row, terms, least, formats, short)
    table = pd.DataFrame(found, columns=COLUMNS).replace({"value": {inf: nan}})
    return ordered(table.astype({"provisional": bool}))


def sustainability(verdicts: pd.DataFrame, *, overrides: dict[str, dict], formats: Formats = PLAIN) -> pd.DataFrame:
    """R-SUS-1 from the verdicts of its parts, in COLUMNS: as bad as the worst of them; none where fewer than two were judged.

    value : how many parts clear their targets, of `threshold` judged. value_at_stake : the most of any, for they overlap.
    """
    terms = (every := rules(overrides))["R-SUS-1"]
    parts = ordered(verdicts[verdicts["rule"].isin(terms["parts"])])
    if len(parts) < 2:
        return parts.head(0)
    said = [terms["says"][part.severity].format(
        name=every[part.rule]["name"], value=number(part.value, part.unit, formats).replace("–", BEYOND),
        target=number(part.threshold, part.unit, formats)) for part in parts.itertuples()]
    said += [f"{every[part]['name']} is not judged" for part in terms["parts"] if part not in [*parts["rule"]]]
    clear, severity = int((parts["severity"] == "good").sum()), parts["severity"].iloc[0]
    text = terms["statement"].format(clear=clear, judged=len(parts), parts="; ".join(said), advice=terms["means"][severity])
    return parts.head(1).assign(
        rule="R-SUS-1", page=terms["page"], metric=None, value=clear, threshold=len(parts), unit="count", low=nan, high=nan,
        n=nan, plan=nan, statement=text, value_at_stake=parts["value_at_stake"].max(), provisional=parts["provisional"].any())


def ordered(verdicts: pd.DataFrame) -> pd.DataFrame:
    """The most urgent first; among equals the most money, then those without."""
    ranked = verdicts.assign(rank=verdicts["severity"].map(RANKS))
    return ranked.sort_values(["rank", "value_at_stake", "rule"], ascending=[True, False, True], ignore_index=True)[COLUMNS]


def severity_of(low: float, high: float, *, better: str, target: float, low_limit: float) -> str:
    """good, watch, act or unclear: where an interval lies to its target, and to the limit behind it."""
    if better == "lower":
        low, high, target, low_limit = -high, -low, -target, -low_limit
    return "good" if low >= target else "unclear" if high >= target else "watch" if high >= low_limit else "act"


def provisional(verdicts: pd.DataFrame, checks: pd.DataFrame, stale: bool = False) -> pd.DataFrame:
    """All verdicts marked provisional where a check failed, or data are stale or judged `act` themselves; else as they are."""
    bad = (verdicts["rule"].eq("R-DQ-1") & verdicts["severity"].isin(["act", "watch"])).any()
    return verdicts.assign(provisional=verdicts["provisional"] | bool(stale or bad or not checks["passed"].all()))


def decisions(verdicts: pd.DataFrame, *, as_of: date, overrides: dict[str, dict], most: int = 3) -> pd.DataFrame:
    """What to decide by as_of + the rule's days, in DECISION: of act, then watch, the most at stake; R-SUS-1 asks nothing."""
    due = verdicts[verdicts["severity"].isin(["act", "watch"]) & verdicts["dimension"].eq("all")]
    twice = ["R-SUS-1", *(["R-NRR-1"] if due["rule"].eq("R-RET-1").any() else [])]  # what is lost is one decision
    due = ordered(due[~due["rule"].isin(twice)]).head(most)
    due = due.join(pd.DataFrame(rules(overrides)).T[["action", "owner", "days"]], on="rule")
    due["due_on"] = [as_of + timedelta(days=days) for days in due["days"]]
    return due.assign(rank=due.index + 1).rename(columns={"action": "decision", "statement": "because"})[DECISION]


def became(earlier: pd.DataFrame, metrics: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """What became of last month's `decisions`, in OUTCOME: solved (now good), better, worse, unchanged where both figures
    read the same, or not judged this month. metrics : their last month is this one."""
    month = metrics[(metrics["dimension"] == "all") & (metrics["period"] == metrics["period"].max())].set_index("metric")
    judged = verdicts[verdicts["dimension"] == "all"].set_index("rule")["severity"]
    table = earlier.assign(then=earlier["value"], now=earlier["metric"].map(month["value"]).astype(float),
                           severity=earlier["rule"].map(judged))
    then, now = ([number(*pair) for pair in zip(table[side], table["unit"], strict=True)] for side in ("then", "now"))
    rose = table["now"].fillna(inf) > table["then"].fillna(inf)
    higher = table["rule"].map({rule: terms.get("better") == "higher" for rule, terms in rules({}).items()})
    cases = {"not judged this month": table["severity"].isna(), "solved": table["severity"] == "good",
             "unchanged": np.array(then) == np.array(now), "better": rose == higher}
    return table.assign(outcome=np.select([*cases.values()], [*cases], "worse"))[OUTCOME]


def rules(overrides: dict[str, dict]) -> dict[str, dict]:
    """The rules of rules.yaml by id, each with what the params set."""
    return {rule: {**terms, **overrides.get(rule, {})} for rule, terms in read_yaml("rules.yaml").items()}


def target(rule: str, overrides: dict[str, dict]) -> float:
    """The target of a rule, as the params set it or as rules.yaml has it."""
    return rules(overrides)[rule]["target"]


def yearly(known: pd.DataFrame, period: str) -> dict[str, float]:
    """The bases of `stake`, as rules.yaml has them, from company-wide metric rows; NaN where unknown."""
    year = known[known["period"].isin(pd.period_range(end=period, periods=12, freq="M").astype(str))].set_index("metric")
    sums, spent = (of.groupby(level=0).sum() for of in (year["value"], year["value"] * year["n"]))
    spent, now = spent.reindex(["cac_blended", "cac_paid", "cac_loaded"]).dropna(), year.loc[year["period"] == period, "value"]
    return {"recurring": now["mrr"] * 12 if "mrr" in now else sums.get("revenue_net", nan),
            "acquisition": next(iter(spent), nan), "newcomers": sums.get("new_customers", nan)}


def _members(metrics: pd.DataFrame, whole: dict, terms: dict, least: int, formats: Formats, thin: str) -> list[dict]:
    """Verdicts of the members whose value misses the target of `whole`, at most `members` of the rule: by gap × customers."""
    rows = metrics[metrics["dimension"] != "all"]
    rows = rows[rows["metric"] == whole["metric"]] if "members" in terms else rows.head(0)
    gap = (whole["threshold"] - rows["value"]) * (1 if terms["better"] == "higher" else -1)
    order, found = (gap * rows["n"])[gap > 0].sort_values(ascending=False, kind="stable"), []
    for row in rows.loc[order.index].head(terms.get("members", 0)).to_dict("records"):
        row = row | {name: whole[name] for name in ("rule", "page", "threshold")} | {"plan": nan}
        row |= _verdict(row, terms | {"means": {}, "stake": ""}, {}, least, formats, thin)
        text = f"{row['dimension'].capitalize()} {row['member']} (n = {number(row['n'], 'count', formats)}): {row['statement']}"
        found.append(row | {"statement": text})
    return found


def _verdict(row: dict, terms: dict, bases: dict[str, float], least: int, formats: Formats, thin: str) -> dict:
    """Severity, statement, value at stake of a metric's row against its threshold, and whether that is provisional."""
    value, goal, plan, unit = row["value"], row["threshold"], row["plan"], row["unit"]
    low, high = (row["low"], row["high"]) if pd.notna([row["low"], row["high"]]).any() else (value, value)
    low, high = -inf if pd.isna(low) else low, inf if pd.isna(high) else high  # one side unknown: no limit
    severity = severity_of(low, high, better=terms["better"], target=goal, low_limit=terms["low"])
    now, first, last, aim = (number(of, unit, formats) for of in (value, low, high, goal))
    interval, n = f" ({first} to {last})" if low < high else "", number(row["n"], "count", formats)
    text = terms["statement"].format(value=now.replace("–", BEYOND), interval=interval, target=aim)
    gap, side = abs(value - goal), value - low if value > goal else high - value
    stake = (abs(1 - goal / value) if terms.get("relative") else gap) * bases.get(terms.get("stake"), nan)
    if terms.get("stake") == "leaving":  # of a base that is kept at 1 − c a month, what twelve months bring more at the goal
        stake = bases["recurring"] / 12 * abs(sum((1 - goal) ** month - (1 - value) ** month for month in range(1, 13)))
    unproven = bool(terms.get("profit")) and row.get("basis") == "revenue"
    if thin:
        severity, stake, text = "unclear", nan, f"{text} Only {thin}: no verdict."
    elif row["n"] < least:
        severity, stake, text = "unclear", nan, f"{text} Only n = {n}: no verdict."
    elif severity == "unclear":
        behind = row.get("behind", row["n"])
        need = ceil(round(behind * (side / gap) ** 2, 6)) if behind > 0 and 0 < side <= 10 * gap < inf else 0
        step = 10 ** max(len(str(need)) - 2, 0)
        of = f" in place of {number(behind, 'count', formats)} behind the interval" if behind != row["n"] else ""
        n += f"; about {number(ceil(need / step) * step, 'count', formats)}{of} would be needed" if need else ""
        text += f" The interval holds the target: cannot tell yet (n = {n})."
    elif severity == "good" and unproven:
        severity, stake = "unclear", nan
    elif severity in terms.get("means", {}):
        text += f" {terms['means'][severity]}"
    if severity == "good" and low > terms.get("above", inf):
        text += f" {terms['beyond'].format(above=number(terms['above'], unit, formats))}"
    if unproven:
        text += " This is revenue, not profit: name costs or policy.gross_margin."
    if pd.notna(plan):
        missed, off = (value < plan) if terms["better"] == "higher" else (value > plan), abs(value - plan)
        by = number(off, unit, formats) if unit != "share" else f"{number(100 * off, 'count', formats, digits=1)} points"
        text += f" Plan: {number(plan, unit, formats)}, {f'missed by {by}'.removesuffix(' by –') if missed else 'met'}."
    return {"severity": severity, "statement": text, "value_at_stake": nan if severity == "good" else stake,
            "provisional": unproven}
