"""What changed between two published months of a report, or two versions of one; and through what, as far as is on record."""

import csv
from pathlib import Path

import pandas as pd

from helpers import tables
from helpers.contracts import ReportError, definitions
from helpers.inputs import table
from helpers.proof import Manifest, changes, flat, plain, read_manifest
from helpers.rendering import page_of

KEY = ["metric", "dimension", "member"]
SHOWN = 1000  # rows of a table on the page
# Settings that say what a figure means; the others say where data lie, how a page looks and what is judged good.
MEANING = ("policy.", "ltv_cac.", "rfm.", "pricing.", "retention.", "report.currency", "report.timezone")


def compare(old: Path, new: Path) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Two published folders of one report.

    Returns
    -------
    One row a figure that changed: `change` (restated: the same period; moved: the last period of each month), `metric,
    dimension, member, period, unit, old, new, difference, relative` (a fraction of the old), `outside` (of the old
    interval; None without one), `cause`. By metric as in the definitions, the largest relative change first.
    And what may have restated figures, see `causes`. Raises ReportError for any other folders.
    """
    was, now = read_manifest(old), read_manifest(new)
    if was.report.name != now.report.name:
        problem = plain(f"{old} is of {was.report.name!r}, {new} of {now.report.name!r}")
        raise ReportError("compare", [problem], "Name two months, or two versions of a month, of one report.")
    one, two, same = read_metrics(old), read_metrics(new), was.report.month == now.report.month
    how = {"suffixes": ("_old", "_new"), "validate": "1:1"}
    both = one.merge(two, "outer" if same else "inner", [*KEY, "period"], **how).assign(change="restated")
    if not same:
        ends = [frame.sort_values("period").drop_duplicates(KEY, keep="last") for frame in (one, two)]
        moved = ends[0].merge(ends[1], "outer", KEY, **how)
        moved = moved[moved["period_old"] != moved["period_new"]]
        period = moved["period_old"].fillna("none") + " to " + moved["period_new"].fillna("none")
        both = pd.concat([moved.assign(change="moved", period=period), both], ignore_index=True)
    both = both.rename(columns={"value_old": "old", "value_new": "new"})
    both = both[(both["old"] != both["new"]) & (both["old"].notna() | both["new"].notna())]
    restated = both["change"] == "restated"
    try:
        found = causes(old, new, was, now, {*both["metric"][restated]}) if restated.any() else {}
    except (ValueError, csv.Error) as error:
        raise ReportError(f"{old} or {new}", [plain(f"a table cannot be read: {error}")]) from None
    difference, inside = both["new"] - both["old"], both["new"].between(both["low_old"], both["high_old"])
    both = both.assign(
        unit=both["unit_new"].fillna(both["unit_old"]), difference=difference,
        relative=difference / both["old"].abs().where(both["old"] != 0), 
        cause=restated.map({True: ", ".join(found), False: ""}),
        outside=(~inside).astype(object).where(both[["new", "low_old", "high_old"]].notna().all(axis=1), None))
    order = {metric: place for place, metric in enumerate(definitions())}
    both = both.assign(place=both["metric"].map(order).fillna(len(order)), size=-both["relative"].abs())
    both = both.sort_values(["change", "place", "metric", "size", "dimension", "member", "period"], ignore_index=True)
    return both[["change", *KEY, "period", "unit", "old", "new", "difference", "relative", "outside", "cause"]], found


def read_metrics(folder: Path) -> pd.DataFrame:
    """metrics.csv with text for keys and units, and numbers. Raises ReportError where it is none."""
    path = folder / "metrics.csv"
    try:
        columns = [*KEY, "period", "value", "low", "high", "unit"]
        frame = pd.read_csv(path, usecols=columns, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise ReportError(str(path), [plain(f"cannot be read as metrics: {str(error).strip()}")]) from None
    if again := int(frame.duplicated([*KEY, "period"]).sum()):
        raise ReportError(str(path), [f"rows that repeat metric, dimension, member and period of another one: {again}"])
    return frame.assign(**{name: pd.to_numeric(frame[name], errors="coerce") for name in ("value", "low", "high")})


def causes(old: Path, new: Path, was: Manifest, now: Manifest, restated: set[str]) -> dict[str, list[str]]:
    """What may have restated these metrics: cause -> the evidence in both folders; all that apply, none guessed."""
    def by(name: str, key: str, value: str, **only: str) -> list[dict[str, str]]:
        rows = [table(folder / "tables" / f"{name}.csv") for folder in (old, new)]
        return [{row.get(key, ""): row.get(value, "") for row in side if only.items() <= row.items()} for side in rows]

    same = was.report.month == now.report.month
    found: dict[str, list[str]] = {name: [] for name in ("late rows", "refunds", "FX", "definition", "code", "data")}
    rows, revenue = by("volume", "period", "rows"), by("volume", "period", "revenue")
    for period in sorted(rows[0].keys() & rows[1].keys()):
        more, gain = (float(side[1][period] or 0) - float(side[0][period] or 0) for side in (rows, revenue))
        if more or gain:
            cause = "data" if not more else "refunds" if more > 0 > gain else "late rows"
            found[cause].append(f"transactions of {period}: {more:+,.0f} rows, revenue {gain:+,.2f} (tables/volume.csv)")
    ours = by("reconciliation", "month", "ours", measure="refunds")
    both = [{month: side[month] for month in ours[0].keys() & ours[1].keys()} for side in ours]
    found["refunds"] += changes("refunds of", *both, shown=True)
    if same:  # of other tables no month is told: in a later report, rows of its own month have come
        kept = by("rows", "table", "rows", stage="kept")
        others = [{name: side[name] for name in side.keys() - {"transactions", "fx_rates"}} for side in kept]
        found["late rows"] += changes("kept rows of", *others, shown=True)
    rates = [{name: digest for name, digest in side.files.items() if name.startswith("fx_rates: ")} for side in (was, now)]
    if (same and rates[0] != rates[1]) or (rates[1] and "mrr_fx" in restated):
        found["FX"] += changes("input", *rates) or ["mrr_fx of a past month, with rates from a database"]
    found["definition"] += changes("version of", *by("definitions", "metric", "version"), shown=True)
    if was.definitions != now.definitions:
        found["definition"].append("definitions.yaml changed")
    meant = [{key: value for key, value in flat(side.params).items() if key.startswith(MEANING)} for side in (was, now)]
    found["definition"] += changes("setting", *meant, shown=True)
    found["code"] += changes("code", was.code, now.code)
    found["code"] += changes("version of", was.versions, now.versions, shown=True)
    if not any(found.values()):
        told = changes("input", was.files, now.files) + changes("history", was.history, now.history)
        found["data"] = told or ["not on record: no input, setting, code or version differs"]
    return {cause: [plain(line) for line in lines] for cause, lines in found.items() if lines}


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of `compare` as words to read."""
    def amount(value: float) -> str:
        return "–" if pd.isna(value) else f"{value:,.2f}" if abs(value) >= 10_000 else f"{value:.6g}"

    words = {name: frame[name].map(amount) for name in ("old", "new", "difference")}
    words["relative"] = frame["relative"].map(lambda value: "–" if pd.isna(value) else f"{value:+.2%}")
    words["outside"] = frame["outside"].map(lambda value: "–" if pd.isna(value) else "yes" if value else "no")
    return frame.assign(**words).map(plain).rename(columns={"outside": "outside_old_interval"})


def as_page(old: Path, new: Path, frame: pd.DataFrame, found: dict[str, list[str]]) -> str:
    """One self-contained page in the look of the others; all text in it is escaped."""
    was, now = read_manifest(old).report, read_manifest(new).report
    shown = [tables.paragraph(f"{was.month} ({old}) against {now.month} ({new}): {len(frame)} figures changed.")]
    if found:
        shown.append(tables.footnotes({f"May have restated: {cause}": lines[:SHOWN] for cause, lines in found.items()}))
    for change, rows in frame.groupby("change", sort=False):
        whole, words = rows["dimension"] == "all", as_text(rows)
        once = ["change", "period"] if words["period"].nunique() == 1 else ["change"]  # said once, in the caption
        about, units = ", ".join(words[once].iloc[0]), {"period": "date"} if change == "restated" else {}
        parts = {"The company": words[whole].drop(columns=KEY[1:]), "By member": words[~whole]}
        shown += [tables.show_table(part.drop(columns=[*once, "cause"]).reset_index(drop=True), f"{name}: {about}", units,
                                    limit=SHOWN) for name, part in parts.items()]
    report = {"title": now.title, "month": now.month, "page": "compare", "page_title": "What changed"}
    return page_of(shown, report)
