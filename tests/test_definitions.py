"""definitions.yaml holds every promised metric; docs/methods.md and docs/inputs.md say what the code does."""

import importlib.util
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from helpers.contracts import COUNT, FLAG, MONEY, RATE, ROOT, TABLES, TEXT, TIME, ReportError, read_yaml
from helpers.metrics.ltv import formula_ltv, lifetimes
from helpers.models import bgnbd, gamma_gamma, sbg
from helpers.models.intervals import pooled_rate
from helpers.models.survival import kaplan_meier
from helpers.params import load_params
from helpers.sources.excel import EXCEL

TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in (
    "helpers/definitions.yaml", "docs/methods.md", "docs/inputs.md",
)}
SQL = ROOT / "helpers" / "sql"
DEFINITIONS = yaml.safe_load(TEXTS["helpers/definitions.yaml"])
KEYS = ["name", "formula", "unit", "good", "why", "source", "needs", "query", "version"]
# The table Metrics of the contract, in its order, with pooled churn, gross margin and the share of rows rejected.
METRICS = """
    revenue_net orders average_order_value buyers
    active_customers new_customers churned_customers reactivated_customers in_month_churn
    mrr mrr_new mrr_reactivation mrr_resumed mrr_expansion mrr_contraction mrr_paused mrr_churn mrr_fx
    logo_churn_rate gross_revenue_churn_rate churn_rate_pooled grr nrr grr_12m nrr_12m quick_ratio
    arpu arpa purchase_frequency repeat_rate second_order_12m
    gross_margin lifetime_months_churn lifetime_months_rmst lifetime_months_naive
    ltv_arpu_lifetime ltv_aov_frequency_lifetime ltv_margin ltv_horizon ltv_discounted ltv_net ltv
    cac_blended cac_paid cac_loaded ltv_to_cac ltv_to_cac_realised payback_months max_cac
    acquisition_to_retention_cost_ratio
    rows_in rows_kept rows_rejected rows_after_as_of rejected_share revenue_unattributed ledger_gap
    champions_revenue_share addon_attach_rate upgrade_rate downgrade_rate
""".split()


def test_every_promised_metric_is_defined_in_the_order_of_the_contract():
    assert list(DEFINITIONS)[: len(METRICS)] == METRICS  # more may be added, after them


def test_no_id_stands_twice():
    ids = [key.value for key, _ in yaml.compose(TEXTS["helpers/definitions.yaml"]).value]  # a plain load keeps the last
    assert sorted(ids) == sorted(set(ids))


@pytest.mark.parametrize("metric", DEFINITIONS)
def test_a_definition_is_complete_and_legal(metric):
    entry = DEFINITIONS[metric]
    assert list(entry) == KEYS
    assert entry["unit"] in {"count", "money", "months", "share", "ratio", "per_year"}
    assert entry["good"] in {"up", "down", "none"}
    assert type(entry["version"]) is int and entry["version"] >= 1
    texts = [entry[key] for key in ("name", "formula", "why", "source")]
    assert all(isinstance(text, str) and re.search(r"\w", text) and "\n" not in text for text in texts)
    assert re.fullmatch(r"[A-Z1][^.]*(\.\d[^.]*)*\.", entry["why"])  # one sentence
    assert len(entry["name"]) <= 40  # fits a card
    assert set(re.split(" or | and ", entry["needs"])) <= set(TABLES)
    assert (SQL / f"{entry['query']}.sql").is_file()


def test_names_are_told_apart():
    names = [entry["name"] for entry in DEFINITIONS.values()]
    assert sorted(names) == sorted(set(names))


def test_formulas_name_only_metrics_and_settings_that_exist(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("report: {name: a, title: A, month: 2025-06}\nsources: {transactions: {path: a.csv}}")
    columns = {column for table in TABLES.values() for column in table.columns}
    known = {*DEFINITIONS, *TABLES, *load_params(path).policy.model_dump(), *columns, "in_rate", "after_as_of", "as_of"}
    used = {word for entry in DEFINITIONS.values() for word in re.findall(r"[a-z]{2}\w*_\w+", entry["formula"])}
    assert used - known == set()
    assert "churn_window_months" in used


def test_a_rule_judges_a_defined_metric_in_its_good_direction():
    single = [terms for terms in read_yaml("rules.yaml").values() if "parts" not in terms]
    for terms in single:
        assert DEFINITIONS[terms["metric"]]["good"] == {"higher": "up", "lower": "down"}[terms["better"]]


def test_the_inputs_guide_lists_every_column_with_its_type_and_requirement():
    kinds = {TEXT: "text", TIME: "time", MONEY: "money", RATE: "rate", COUNT: "count", FLAG: "flag"}
    guide = TEXTS["docs/inputs.md"].split("## 2. ")[1].split("## 3. ")[0]
    for section in guide.split("### ")[1:]:
        name, listed, bold = section.split()[0], {}, set()
        for cells, kind in re.findall(r"^\| ([^|]+) \| (text|time|money|rate|count|flag) \|", section, re.MULTILINE):
            listed |= dict.fromkeys(cells.replace("*", "").split(", "), kind)
            bold |= set(re.findall(r"\*\*(\w+)\*\*", cells))
        assert listed == {column: kinds[kind] for column, kind in TABLES[name].columns.items()}, name
        assert bold == set(TABLES[name].required), name
    assert re.findall("^### (.*)$", guide, re.MULTILINE) == list(TABLES)


def test_the_inputs_guide_names_every_accepted_word_and_excel_suffix():
    for name, table in TABLES.items():
        section = TEXTS["docs/inputs.md"].split(f"### {name}\n")[1].split("\n#")[0]
        words = {word for accepted in table.accepted.values() for word in accepted}
        missing = {word for word in words if not re.search(rf"\b{word}\b", section)}
        assert missing == set(), name
    assert {suffix for suffix in EXCEL if suffix not in TEXTS["docs/inputs.md"]} == set()


def test_the_examples_of_the_inputs_guide_are_valid_params(tmp_path):
    blocks = re.findall(r"```yaml\n(.*?)```", TEXTS["docs/inputs.md"], re.DOTALL)
    examples = [text for text in blocks if "report:" in text]
    assert len(examples) == 3
    for text in examples:
        (tmp_path / "example.yaml").write_text(text, encoding="utf-8")
        load_params(tmp_path / "example.yaml")  # raises on any unknown key, table or column


def test_the_simple_formula_gives_the_golden_cases():
    assert formula_ltv(50, 4, 3) == formula_ltv(50, 0.25, 48, frequency_per="month", duration_in="month") == 600
    with pytest.raises(ReportError, match="the frequency is per month, the duration in years"):
        formula_ltv(50, 0.25, 3, frequency_per="month")
    assert formula_ltv(40, 4, 3, margin_rate=0.6) == pytest.approx(288)
    assert formula_ltv(40, 4, 3, margin_rate=0.6, acquisition_cost=90, retention_cost=75) == pytest.approx(123)


def test_a_lifespan_divided_by_customers_twice_is_no_time():
    # a seed divides "the typical number of years" by "the entire quantity of customers"; units are seen by copying the book
    def naive(copies):  # four customers who stayed 2, 4, 6 and 8 months, so many times
        done = pd.DataFrame({"ended": [4 * copies], "months": [20 * copies], "months_squared": [120 * copies]})
        ends = pd.DataFrame({"month": [0, 8], "events": [0, 4], "censored": [0, 0], "entered": [4, 0]})
        return dict((name, value) for name, value, _ in lifetimes(
            pooled_rate([1], [9], 0.95), ends, done, horizon=12, confidence=0.95))["lifetime_months_naive"].value

    assert naive(1) == naive(3) == 5                               # months: Σ lifespans ÷ customers, whatever their number
    literal = [naive(copies) / (4 * copies) for copies in (1, 3)]  # months/customer: three times the customers, a third
    assert literal[0] / literal[1] == pytest.approx(3)


def test_pooled_churn_by_hand():
    estimate = pooled_rate([8, 12, 10, 6, 14, 10], [200] * 6, 0.95)
    # 60/1,200; φ = 1; Student's t of 5 is 2.5706; 2.5706 ÷ √(1,200 × .05 × .95) = .34049; logit(.05) = −2.94444
    assert [estimate.value, estimate.low, estimate.high] == pytest.approx([0.05, 0.03609, 0.06888], abs=1e-5)


@pytest.fixture(scope="module")
def reference():
    """Numbers of docs/methods.md section 12, in its order, from published data and our models."""
    folder = Path(importlib.util.find_spec("lifetimes").submodule_search_locations[0]) / "datasets"
    lines = pd.read_csv(folder / "CDNOW_sample.txt", sep=r"\s+", header=None, usecols=[1, 2, 4])
    lines.columns = ["customer", "day", "amount"]
    lines["day"] = pd.to_datetime(lines["day"].astype(str))
    days, end = lines.groupby(["customer", "day"], as_index=False)["amount"].sum(), pd.Timestamp("1997-09-30")
    known, later = days[days["day"] <= end], days[days["day"] > end]
    spans = known.groupby("customer")["day"].agg(["min", "max", "size"])
    x, t_x = spans["size"] - 1, (spans["max"] - spans["min"]).dt.days / 7
    watched = (end - spans["min"]).dt.days / 7
    model = bgnbd.fit(x, t_x, watched)
    repeats = known[known["day"] > known["customer"].map(spans["min"])].groupby("customer")["amount"]
    repeats = repeats.agg(["size", "mean"])
    money = gamma_gamma.fit(repeats["size"], repeats["mean"])
    sheet = pd.read_csv(folder / "cdnow_customers_summary_with_transactions.csv")
    spend, first = gamma_gamma.fit(sheet["x"], sheet["zbar"]), sheet.head(10)
    regular = contracts([1000, 631, 468, 382, 326, 289, 262, 241])
    high = contracts([1000, 869, 743, 653, 593, 551, 517, 491])
    four = contracts(*([10_000, 8000, 6480, 5307, 4391][: years + 1] for years in (1, 2, 3, 4)))
    aml = curve([9, 13, 18, 23, 31, 34, 48], [13, 28, 45, 161])
    six_mp = curve([6, 6, 6, 7, 10, 13, 16, 22, 23], [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35])
    return [
        [model.r, model.alpha, model.a, model.b],
        [model.log_likelihood],
        model.expected_new([0.1429, 1, 3, 31.8571, 32, 78]),
        [model.expected(39, 2, 30.43, 38.86)],
        [len(later[later["customer"].isin(spans.index)])],
        [model.expected(39, x, t_x, watched).sum(), (x / watched * 39).sum()],
        [money.p, money.q, money.v],
        [money.log_likelihood],
        spend.expected(first["x"], first["zbar"]),
        [regular.alpha, regular.beta],
        [high.alpha, high.beta],
        [regular.survival(12), high.survival(12)],
        [four.alpha, four.beta],
        [high.expected_remaining(0.1, 7)],
        [regular.expected_lifetime(0.1), high.expected_lifetime(0.1)],
        aml.loc[aml["events"] > 0, "survival"],
        aml.loc[aml["month"] == 48, ["low", "high"]].to_numpy()[0],
        six_mp.loc[six_mp["events"] > 0, "survival"],
    ]


def contracts(*cohorts):
    """sBG of customers left after each year, cohorts added up."""
    ends = [(t, left[t - 1] - left[t], 0, 0) for left in cohorts for t in range(1, len(left))]
    ends += [row for left in cohorts for row in ((len(left) - 1, 0, left[-1], 0), (0, 0, 0, left[0]))]
    return sbg.fit(frame(ends))


def curve(events, censored):
    """Kaplan–Meier of single durations."""
    rows = [(t, 1, 0, 0) for t in events] + [(t, 0, 1, 0) for t in censored]
    return kaplan_meier(frame([*rows, (0, 0, 0, len(rows))]))


def frame(rows):
    return pd.DataFrame(rows, columns=["month", "events", "censored", "entered"])


TABLE = TEXTS["docs/methods.md"].split("## 12. ")[1].split("## 13. ")[0]
ROWS = [line.split(" | ") for line in TABLE.split("\n") if line.startswith("| ")][1:]


@pytest.mark.parametrize("position", range(len(ROWS)), ids=[row[0].strip("| ")[:40] for row in ROWS])
def test_reference_numbers_are_published_ones_and_ours(reference, position):
    what, published, here, within = ROWS[position]
    numbers, tolerance = list(reference[position]), float(within.strip(" |"))
    assert len(reference) == len(ROWS)
    assert numbers == pytest.approx([float(text) for text in published.split(",")], abs=tolerance + 1e-9), what
    digits = [len(text.partition(".")[2]) for text in here.split(", ")]
    assert ", ".join(f"{number:.{n}f}" for number, n in zip(numbers, digits, strict=True)) == here, what
